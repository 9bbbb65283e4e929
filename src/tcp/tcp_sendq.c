/* SPDX-License-Identifier: MIT */
/*
 * What was sent: an ordered list of records that covers [snd_una, snd_nxt) without holes, each a range
 * of sequence numbers with one fate.
 *
 *      snd_una                                                      snd_nxt
 *         |  SACKED  |  LOST  | LOST REXMIT |  SACKED  |  (in flight)  |
 *
 * One record is what was sent at one moment: a segment, a super-segment of 64 KB, a burst. A SACK or a
 * retransmission that covers a part cuts the record; SACKed neighbours are joined again, so the
 * number of records follows the number of holes and not of segments.
 *
 * Records are found by sequence number in a treap (heap order by random numbers that no peer knows):
 * O(log n) whatever the peer's SACK blocks are. Their number is bounded by WR_TCP_MAX_SENT: beyond
 * it new data joins the last record and blocks that would cut one are not believed, which costs
 * precision and nothing else. The sums make wr_tcb_pipe() O(1).
 */
#include "tcp/tcp.h"

enum { RECORD_MAX = 1 << 20 /* bytes */ };

static struct wr_sent *of_seq_node(struct wr_list *node)
{
    return WR_CONTAINER(node, struct wr_sent, by_seq);
}

static uint32_t length(const struct wr_sent *sent)
{
    return sent->end - sent->start;
}

/* ---- treap ------------------------------------------------------------------------------------ */

static struct wr_sent *rotate_right(struct wr_sent *node)
{
    struct wr_sent *left = node->left;
    node->left = left->right;
    left->right = node;
    return left;
}

static struct wr_sent *rotate_left(struct wr_sent *node)
{
    struct wr_sent *right = node->right;
    node->right = right->left;
    right->left = node;
    return right;
}

/* Expected depth is logarithmic, so is the recursion. */
static struct wr_sent *treap_insert(struct wr_sent *root, struct wr_sent *node)
{
    if (root == NULL)
        return node;
    if (seq_lt(node->start, root->start)) {
        root->left = treap_insert(root->left, node);
        if (root->left->prio > root->prio)
            root = rotate_right(root);
    } else {
        root->right = treap_insert(root->right, node);
        if (root->right->prio > root->prio)
            root = rotate_left(root);
    }
    return root;
}

static struct wr_sent *treap_join(struct wr_sent *low, struct wr_sent *high)
{
    if (low == NULL)
        return high;
    if (high == NULL)
        return low;
    if (low->prio > high->prio) {
        low->right = treap_join(low->right, high);
        return low;
    }
    high->left = treap_join(low, high->left);
    return high;
}

static void treap_remove(struct wr_sendq *q, const struct wr_sent *node)
{
    struct wr_sent **link = &q->root;

    while (*link != node)
        link = seq_lt(node->start, (*link)->start) ? &(*link)->left : &(*link)->right;
    *link = treap_join(node->left, node->right);
}

/* ---- records ------------------------------------------------------------------------------------ */

void wr_sendq_init(struct wr_sendq *q)
{
    *q = (struct wr_sendq){0};
    wr_list_init(&q->by_seq);
    wr_list_init(&q->lost);
}

struct wr_sent *wr_sendq_first(const struct wr_sendq *q)
{
    struct wr_list *node = wr_list_first(&q->by_seq);
    return node != NULL ? of_seq_node(node) : NULL;
}

struct wr_sent *wr_sendq_last(const struct wr_sendq *q)
{
    return wr_list_is_empty(&q->by_seq) ? NULL : of_seq_node(q->by_seq.prev);
}

struct wr_sent *wr_sendq_next(const struct wr_sendq *q, const struct wr_sent *sent)
{
    return sent->by_seq.next != &q->by_seq ? of_seq_node(sent->by_seq.next) : NULL;
}

struct wr_sent *wr_sendq_prev(const struct wr_sendq *q, const struct wr_sent *sent)
{
    return sent->by_seq.prev != &q->by_seq ? of_seq_node(sent->by_seq.prev) : NULL;
}

/* Adds or takes away a record's share of the sums. */
static void account(struct wr_sendq *q, uint8_t flags, uint32_t bytes)
{
    if (flags & WR_SENT_SACKED)
        q->sacked_bytes += bytes;
    if (flags & WR_SENT_LOST)
        q->lost_bytes += bytes;
    if (flags & WR_SENT_REXMIT)
        q->rexmit_bytes += bytes;
}

static void set_flags(struct wr_sendq *q, struct wr_sent *sent, uint8_t flags)
{
    bool queued = (flags & WR_SENT_LOST) && !(flags & WR_SENT_REXMIT);

    account(q, sent->flags, 0u - length(sent));
    sent->flags = flags;
    account(q, sent->flags, length(sent));
    if (!queued)
        wr_list_remove(&sent->lost);
    else if (!wr_list_is_linked(&sent->lost))
        wr_list_push_back(&q->lost, &sent->lost);
}

/* splitmix64 from a secret start: nobody outside sees a priority. */
static uint32_t next_prio(struct wr_tcp *tcp)
{
    uint64_t x = tcp->prio += 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    return (uint32_t)(x >> 32);
}

static struct wr_sent *record_new(struct weir_stack *stack, struct wr_sendq *q)
{
    struct wr_sent *sent;

    if (q->count >= WR_TCP_MAX_SENT)
        return NULL;
    sent = wr_alloc(stack, sizeof *sent);
    if (sent == NULL)
        return NULL;
    *sent = (struct wr_sent){.prio = next_prio(stack->tcp)};
    wr_list_init(&sent->by_seq);
    wr_list_init(&sent->lost);
    q->count++;
    return sent;
}

static void record_free(struct weir_stack *stack, struct wr_sendq *q, struct wr_sent *sent)
{
    account(q, sent->flags, 0u - length(sent));
    treap_remove(q, sent);
    wr_list_remove(&sent->by_seq);
    wr_list_remove(&sent->lost);
    q->count--;
    wr_free(stack, sent, sizeof *sent);
}

void wr_sendq_clear(struct weir_stack *stack, struct wr_sendq *q)
{
    while (!wr_list_is_empty(&q->by_seq)) {
        struct wr_sent *sent = of_seq_node(wr_list_pop_front(&q->by_seq));
        wr_free(stack, sent, sizeof *sent);
    }
    wr_sendq_init(q);
}

bool wr_sendq_append(struct weir_stack *stack, struct wr_sendq *q, uint32_t start, uint32_t end,
                     uint32_t mss, weir_time now)
{
    bool empty = wr_list_is_empty(&q->by_seq);
    struct wr_sent *last = empty ? NULL : of_seq_node(q->by_seq.prev), *sent;

    if (!empty && last->flags == 0 && last->sent_at == now && last->mss == mss && !last->eor &&
        end - last->start <= RECORD_MAX) {
        last->end = end; /* a burst has one fate so far */
        return true;
    }
    sent = record_new(stack, q);
    if (sent == NULL) {
        if (empty)
            return false;
        account(q, last->flags, 0u - length(last));
        last->end = end;
        account(q, last->flags, length(last));
        last->sent_at = now;
        last->flags |= WR_SENT_EVER; /* parts were sent at another time: no RTT sample */
        return true;
    }
    sent->start = start;
    sent->end = end;
    sent->mss = mss;
    sent->sent_at = now;
    wr_list_push_back(&q->by_seq, &sent->by_seq);
    q->root = treap_insert(q->root, sent);
    return true;
}

void wr_sendq_note_end(struct wr_sendq *q, bool psh, bool eor)
{
    struct wr_sent *last = of_seq_node(q->by_seq.prev);

    last->psh = psh;
    last->eor = eor;
}

struct wr_sent *wr_sendq_find(const struct wr_sendq *q, uint32_t seq)
{
    struct wr_sent *node = q->root;

    while (node != NULL) {
        if (seq_lt(seq, node->start))
            node = node->left;
        else if (seq_lt(seq, node->end))
            return node;
        else
            node = node->right;
    }
    return NULL;
}

struct wr_sent *wr_sendq_split(struct weir_stack *stack, struct wr_sendq *q, struct wr_sent *sent,
                               uint32_t seq)
{
    struct wr_sent *right = record_new(stack, q);

    if (right == NULL)
        return NULL;
    right->start = seq;
    right->end = sent->end;
    right->mss = sent->mss;
    right->sent_at = sent->sent_at;
    right->flags = sent->flags;
    right->rate = sent->rate;
    sent->end = seq;
    sent->rate.in_flight -= length(right); /* the left part left first */
    right->psh = sent->psh;
    right->eor = sent->eor;
    sent->psh = sent->eor = false;
    wr_list_insert_before(sent->by_seq.next, &right->by_seq);
    if (wr_list_is_linked(&sent->lost))
        wr_list_insert_before(sent->lost.next, &right->lost);
    q->root = treap_insert(q->root, right);
    return right;
}

/* Joins a SACKed record with its right neighbour when that is SACKed too. */
static void join_right(struct weir_stack *stack, struct wr_sendq *q, struct wr_sent *sent)
{
    struct wr_sent *next = wr_sendq_next(q, sent);
    uint32_t end;

    if (next == NULL || !(sent->flags & next->flags & WR_SENT_SACKED))
        return;
    end = next->end;
    if (next->sent_at > sent->sent_at)
        sent->sent_at = next->sent_at;
    if (next->mss > sent->mss)
        sent->mss = next->mss;
    sent->psh = next->psh;
    sent->eor = next->eor;
    sent->flags |= next->flags & WR_SENT_EVER;
    record_free(stack, q, next);
    account(q, sent->flags, 0u - length(sent));
    sent->end = end;
    account(q, sent->flags, length(sent));
}

void wr_sendq_mark_sacked(struct weir_stack *stack, struct wr_sendq *q, struct wr_sent *sent)
{
    struct wr_sent *prev = wr_sendq_prev(q, sent);

    set_flags(q, sent, (uint8_t)((sent->flags & WR_SENT_EVER) | WR_SENT_SACKED));
    join_right(stack, q, sent);
    if (prev != NULL)
        join_right(stack, q, prev);
}

void wr_sendq_mark_lost(struct wr_sendq *q, struct wr_sent *sent)
{
    set_flags(q, sent, (uint8_t)((sent->flags & ~WR_SENT_REXMIT) | WR_SENT_LOST));
}

void wr_sendq_mark_rexmit(struct wr_sendq *q, struct wr_sent *sent, uint32_t mss, weir_time now)
{
    sent->sent_at = now;
    sent->mss = mss;
    set_flags(q, sent, (uint8_t)(sent->flags | WR_SENT_REXMIT | WR_SENT_LOST | WR_SENT_EVER));
}

void wr_sendq_unmark(struct wr_sendq *q, struct wr_sent *sent, uint8_t flags)
{
    set_flags(q, sent, (uint8_t)(sent->flags & ~flags));
}

static void note_acked(const struct wr_sent *sent, uint32_t bytes, struct wr_acked *acked)
{
    acked->bytes += bytes;
    if (!(sent->flags & WR_SENT_SACKED)) {
        acked->fresh_bytes += bytes;
        if (acked->rate != NULL)
            wr_rate_delivered(acked->rate, sent, bytes);
    }
    if (sent->flags & WR_SENT_EVER) {
        acked->rexmitted = true;
    } else if (!(sent->flags & WR_SENT_SACKED)) {
        if (acked->first_sent < 0) {
            acked->first_sent = sent->sent_at;
            acked->first_end = sent->start + bytes;
        }
        acked->last_sent = sent->sent_at;
    }
}

void wr_sendq_ack(struct weir_stack *stack, struct wr_sendq *q, uint32_t una,
                  struct wr_acked *acked)
{
    struct wr_sent *sent;

    *acked = (struct wr_acked){.rate = acked->rate, .first_sent = -1, .last_sent = -1};
    while ((sent = wr_sendq_first(q)) != NULL && seq_lt(sent->start, una)) {
        if (seq_leq(sent->end, una)) {
            note_acked(sent, length(sent), acked);
            record_free(stack, q, sent);
            continue;
        }
        /* The order in the treap does not change: no other record starts below `end`. */
        note_acked(sent, una - sent->start, acked);
        account(q, sent->flags, 0u - (una - sent->start));
        sent->start = una;
    }
}

bool wr_sendq_check(const struct wr_sendq *q, uint32_t una, uint32_t nxt)
{
    struct wr_sendq sums = {0};
    uint32_t at = una;

    WR_LIST_FOREACH(node, &q->by_seq)
    {
        struct wr_sent *sent = of_seq_node(node);
        bool queued = (sent->flags & WR_SENT_LOST) && !(sent->flags & WR_SENT_REXMIT);
        if (sent->start != at || !seq_gt(sent->end, at) || wr_sendq_find(q, at) != sent)
            return false;
        if (queued != wr_list_is_linked(&sent->lost))
            return false;
        if ((sent->flags & WR_SENT_SACKED) && (sent->flags & (WR_SENT_LOST | WR_SENT_REXMIT)))
            return false;
        account(&sums, sent->flags, length(sent));
        sums.count++;
        at = sent->end;
    }
    return at == nxt && sums.count == q->count && sums.sacked_bytes == q->sacked_bytes &&
           sums.lost_bytes == q->lost_bytes && sums.rexmit_bytes == q->rexmit_bytes;
}
