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
 * number of records follows the number of holes and not of segments. Short ones that are to be sent again
 * become one segment (RFC 9293 3.8.1 lets a sender repacketize): a thousand lost bytes that were written one by
 * one would else take a thousand retransmissions, each with its own chance to be lost.
 *
 * Whatever is not SACKed stands on one of two lists:
 *
 *     flying   thought to be in the network, in the order in which it was sent (last): RACK (RFC 8985)
 *              looks at its front alone, and never at what it has found lost or delivered
 *     lost     to be sent again, lowest sequence number first
 *
 * A record that comes back to `flying` (a loss that was none) takes its old place there; with many of
 * them the place is approximate, which may delay RACK's verdict on one and falsifies none. The same holds
 * for `lost`.
 *
 * Records are found by sequence number in a treap (heap order by random numbers that no peer knows):
 * O(log n) whatever the peer's SACK blocks are. Their number is bounded by WR_TCP_MAX_SENT: beyond
 * it new data joins the last record and blocks that would cut one are not believed, which costs
 * precision and nothing else. The sums make wr_tcb_pipe() O(1).
 */
#include "base/hint.h"
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_sender.h"

enum {
    RECORD_MAX = 1 << 20, /* bytes */
    NEAR = 32,            /* records looked at for a place in a list */
    SPARES = WR_SPARES(32)
};

static struct wr_sent *of_seq_node(struct wr_list *node)
{
    return WR_CONTAINER(node, struct wr_sent, by_seq);
}

static struct wr_sent *of_turn_node(struct wr_list *node)
{
    return WR_CONTAINER(node, struct wr_sent, turn);
}

static uint32_t length(const struct wr_sent *sent)
{
    return sent->end - sent->start;
}

/* A FIN travels with the last segment. */
static uint32_t segments(uint32_t len, uint32_t mss)
{
    return len <= mss + 1 ? 1 : (len - 2) / mss + 1;
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
WR_APART struct wr_sent *treap_insert(struct wr_sent *root, struct wr_sent *node)
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
    wr_list_init(&q->by_seq);
    wr_list_init(&q->flying);
    wr_list_init(&q->lost);
    /* One by one: some compilers clear the whole word by word. */
    q->root = NULL;
    q->count = q->sends = q->islands = 0;
    q->sacked_bytes = q->lost_bytes = q->rexmit_bytes = 0;
    q->segs = q->sacked_segs = q->lost_segs = q->rexmit_segs = q->ever_segs = 0;
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

struct wr_sent *wr_sendq_lost(const struct wr_sendq *q)
{
    struct wr_list *node = wr_list_first(&q->lost);
    return node != NULL ? of_turn_node(node) : NULL;
}

struct wr_sent *wr_sendq_oldest(const struct wr_sendq *q)
{
    struct wr_list *node = wr_list_first(&q->flying);
    return node != NULL ? of_turn_node(node) : NULL;
}

struct wr_sent *wr_sendq_next(const struct wr_sendq *q, const struct wr_sent *sent)
{
    return sent->by_seq.next != &q->by_seq ? of_seq_node(sent->by_seq.next) : NULL;
}

struct wr_sent *wr_sendq_prev(const struct wr_sendq *q, const struct wr_sent *sent)
{
    return sent->by_seq.prev != &q->by_seq ? of_seq_node(sent->by_seq.prev) : NULL;
}

/* Adds a record's share to the sums, or takes it away (modulo 2^32). */
static void account(struct wr_sendq *q, const struct wr_sent *sent, bool in)
{
    uint32_t bytes = in ? length(sent) : 0u - length(sent),
             segs = in ? sent->segs : 0u - sent->segs;

    q->segs += segs;
    if (sent->flags == 0)
        return;
    if (sent->flags & WR_SENT_EVER)
        q->ever_segs += segs;
    if (sent->flags & WR_SENT_SACKED) {
        q->sacked_bytes += bytes;
        q->sacked_segs += segs;
        q->islands += in ? 1u : 0u - 1u;
    }
    if (sent->flags & WR_SENT_LOST) {
        q->lost_bytes += bytes;
        q->lost_segs += segs;
    }
    if (sent->flags & WR_SENT_REXMIT) {
        q->rexmit_bytes += bytes;
        q->rexmit_segs += segs;
    }
}

/* Another range, its share of the sums follows. */
static void set_range(struct wr_sendq *q, struct wr_sent *sent, uint32_t start, uint32_t end)
{
    account(q, sent, false);
    sent->start = start;
    sent->end = end;
    sent->segs = segments(length(sent), sent->mss);
    account(q, sent, true);
}

static bool waits(uint8_t flags)
{
    return (flags & (WR_SENT_LOST | WR_SENT_REXMIT)) == WR_SENT_LOST;
}

/* The place by time of transmission, from the back. */
static void let_fly(struct wr_sendq *q, struct wr_sent *sent)
{
    struct wr_list *at = &q->flying;

    for (unsigned i = 0; i < NEAR && at->prev != &q->flying; i++, at = at->prev) {
        if (of_turn_node(at->prev)->sent_at <= sent->sent_at)
            break;
    }
    wr_list_insert_before(at, &sent->turn);
}

/* The place by sequence number: by a neighbour that waits too, else from the back. */
static void let_wait(struct wr_sendq *q, struct wr_sent *sent)
{
    struct wr_sent *prev = wr_sendq_prev(q, sent), *next = wr_sendq_next(q, sent);
    struct wr_list *at = &q->lost, *first = wr_list_first(&q->lost);

    if (prev != NULL && waits(prev->flags)) {
        at = prev->turn.next;
    } else if (next != NULL && waits(next->flags)) {
        at = &next->turn;
    } else if (first != NULL && seq_lt(sent->start, of_turn_node(first)->start)) {
        at = first;
    } else {
        for (unsigned i = 0; i < NEAR && at->prev != &q->lost; i++, at = at->prev) {
            if (seq_lt(of_turn_node(at->prev)->start, sent->start))
                break;
        }
    }
    wr_list_insert_before(at, &sent->turn);
}

static void set_flags(struct wr_sendq *q, struct wr_sent *sent, uint8_t flags)
{
    uint8_t was = sent->flags;

    account(q, sent, false);
    sent->flags = flags;
    account(q, sent, true);
    if (waits(was) == waits(flags) && ((was ^ flags) & WR_SENT_SACKED) == 0)
        return;
    wr_list_remove(&sent->turn);
    if (waits(flags))
        let_wait(q, sent);
    else if (!(flags & WR_SENT_SACKED))
        let_fly(q, sent);
}

/* splitmix64 from a secret start: nobody outside sees a priority. */
static uint32_t next_prio(struct wr_tcp *tcp)
{
    uint64_t x = tcp->prio += 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    return (uint32_t)(x >> 32);
}

/* A flight of short messages takes a record and gives it back for each: some are kept. */
static struct wr_sent *take(struct weir_stack *stack)
{
    struct wr_tcp *tcp = stack->tcp;
    struct wr_sent *sent = tcp->spare_sent;

    if (sent == NULL)
        return wr_alloc(stack, sizeof *sent);
    tcp->spare_sent = sent->left;
    tcp->n_spare_sent--;
    return sent;
}

static void give_back(struct weir_stack *stack, struct wr_sent *sent)
{
    struct wr_tcp *tcp = stack->tcp;

    if (tcp->n_spare_sent >= SPARES) {
        wr_free(stack, sent, sizeof *sent);
        return;
    }
    sent->left = tcp->spare_sent;
    tcp->spare_sent = sent;
    tcp->n_spare_sent++;
}

void wr_sendq_trim(struct weir_stack *stack)
{
    struct wr_tcp *tcp = stack->tcp;

    while (tcp->spare_sent != NULL) {
        struct wr_sent *sent = tcp->spare_sent;
        tcp->spare_sent = sent->left;
        wr_free(stack, sent, sizeof *sent);
    }
    tcp->n_spare_sent = 0;
}

static struct wr_sent *record_new(struct weir_stack *stack, struct wr_sendq *q)
{
    struct wr_sent *sent;

    if (q->count >= WR_TCP_MAX_SENT)
        return NULL;
    sent = take(stack);
    if (sent == NULL)
        return NULL;
    sent->prio = next_prio(stack->tcp);
    sent->left = sent->right = NULL;
    sent->flags = 0;
    sent->psh = sent->eor = false;
    wr_list_init(&sent->by_seq);
    wr_list_init(&sent->turn);
    q->count++;
    return sent;
}

/* Of a record that goes, its node needs not to know. One in no list leads to itself. */
static void unlink_node(struct wr_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
}

static void record_free(struct weir_stack *stack, struct wr_sendq *q, struct wr_sent *sent)
{
    account(q, sent, false);
    if (q->count == 1)
        q->root = NULL;
    else
        treap_remove(q, sent);
    unlink_node(&sent->by_seq);
    unlink_node(&sent->turn);
    q->count--;
    give_back(stack, sent);
}

void wr_sendq_clear(struct weir_stack *stack, struct wr_sendq *q)
{
    while (!wr_list_is_empty(&q->by_seq)) {
        struct wr_sent *sent = of_seq_node(wr_list_pop_front(&q->by_seq));
        give_back(stack, sent);
    }
}

/* Sent at another time than the record it joins: that one is of now too, and gives no RTT sample. */
WR_APART void append_to_last(struct wr_sendq *q, struct wr_sent *last, uint32_t end, weir_time now)
{
    set_range(q, last, last->start, end);
    set_flags(q, last, (uint8_t)(last->flags | WR_SENT_EVER));
    last->sent_at = now;
    last->order = ++q->sends;
    if (!waits(last->flags) && !(last->flags & WR_SENT_SACKED)) {
        wr_list_remove(&last->turn);
        wr_list_push_back(&q->flying, &last->turn);
    }
}

/* The only one of its list. */
static void link_only(struct wr_list *list, struct wr_list *node)
{
    node->next = node->prev = list;
    list->next = list->prev = node;
}

/* As in most exchanges: nothing else is in flight. `sent` is the first that is kept. */
WR_INLINE void append_only(struct wr_tcp *tcp, struct wr_sendq *q, struct wr_sent *sent,
                           uint32_t start, uint32_t end, uint32_t mss, weir_time now)
{
    tcp->spare_sent = sent->left;
    tcp->n_spare_sent--;
    sent->start = start;
    sent->end = end;
    sent->mss = mss;
    sent->segs = segments(end - start, mss);
    sent->prio = 0; /* those that come behind it have theirs */
    sent->order = ++q->sends;
    sent->sent_at = now;
    sent->left = sent->right = NULL;
    sent->flags = 0;
    sent->psh = sent->eor = false;
    link_only(&q->by_seq, &sent->by_seq);
    link_only(&q->flying, &sent->turn);
    q->root = sent;
    q->count = 1;
    q->segs = sent->segs;
}

WR_APART bool append_any(struct weir_stack *stack, struct wr_sendq *q, uint32_t start, uint32_t end,
                         uint32_t mss, weir_time now)
{
    bool empty = wr_list_is_empty(&q->by_seq);
    struct wr_sent *last = empty ? NULL : of_seq_node(q->by_seq.prev), *sent;

    if (!empty && last->flags == 0 && last->sent_at == now && last->mss == mss && !last->eor &&
        last->order == q->sends && length(last) == last->segs * mss &&
        end - last->start <= RECORD_MAX) {
        set_range(q, last, last->start, end); /* a burst has one fate so far */
        return true;
    }
    sent = record_new(stack, q);
    if (sent == NULL) {
        if (!empty)
            append_to_last(q, last, end, now);
        return !empty;
    }
    sent->start = start;
    sent->end = end;
    sent->mss = mss;
    sent->segs = segments(end - start, mss);
    sent->sent_at = now;
    sent->order = ++q->sends;
    q->segs += sent->segs;
    wr_list_push_back(&q->by_seq, &sent->by_seq);
    wr_list_push_back(&q->flying, &sent->turn);
    q->root = empty ? sent : treap_insert(q->root, sent);
    return true;
}

bool wr_sendq_append(struct weir_stack *stack, struct wr_sendq *q, uint32_t start, uint32_t end,
                     uint32_t mss, weir_time now)
{
    struct wr_sent *kept = stack->tcp->spare_sent;

    if (wr_may_be_short(stack) && q->root == NULL && kept != NULL) {
        append_only(stack->tcp, q, kept, start, end, mss, now);
        return true;
    }
    return append_any(stack, q, start, end, mss, now);
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
    right->segs = segments(length(right), right->mss);
    right->sent_at = sent->sent_at;
    right->order = sent->order;
    right->flags = sent->flags;
    right->rate = sent->rate;
    sent->rate.in_flight -= length(right); /* the left part left first */
    right->psh = sent->psh;
    right->eor = sent->eor;
    sent->psh = sent->eor = false;
    set_range(q, sent, sent->start, seq);
    account(q, right, true);
    wr_list_insert_before(sent->by_seq.next, &right->by_seq);
    if (wr_list_is_linked(&sent->turn))
        wr_list_insert_before(sent->turn.next, &right->turn);
    q->root = treap_insert(q->root, right);
    return right;
}

/* `next`, the right neighbour and of the same fate, becomes a part of `sent`. */
static void join(struct weir_stack *stack, struct wr_sendq *q, struct wr_sent *sent,
                 struct wr_sent *next)
{
    uint32_t end = next->end, segs = next->segs;

    account(q, sent, false);
    if (next->sent_at > sent->sent_at)
        sent->sent_at = next->sent_at;
    if (next->mss > sent->mss)
        sent->mss = next->mss;
    sent->psh = next->psh;
    sent->eor = next->eor;
    sent->flags |= next->flags & WR_SENT_EVER;
    record_free(stack, q, next);
    sent->end = end;
    sent->segs += segs;
    account(q, sent, true);
}

/* Joins a SACKed record with its right neighbour when that is SACKed too. */
static void join_right(struct weir_stack *stack, struct wr_sendq *q, struct wr_sent *sent)
{
    struct wr_sent *next = wr_sendq_next(q, sent);

    if (next != NULL && (sent->flags & next->flags & WR_SENT_SACKED))
        join(stack, q, sent, next);
}

void wr_sendq_collapse(struct weir_stack *stack, struct wr_sendq *q, struct wr_sent *sent,
                       uint32_t most)
{
    struct wr_sent *next = wr_sendq_next(q, sent);

    while (next != NULL && !sent->eor && waits(next->flags) && next->end - sent->start <= most) {
        join(stack, q, sent, next);
        set_range(q, sent, sent->start, sent->end); /* one segment now */
        next = wr_sendq_next(q, sent);
    }
}

/* ---- fates ----------------------------------------------------------------------------------------- */

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
    set_flags(q, sent, (uint8_t)((sent->flags & WR_SENT_EVER) | WR_SENT_LOST));
}

/* It left again, and is now the last that did. */
static void sent_again(struct wr_sendq *q, struct wr_sent *sent, uint8_t flags, uint32_t mss,
                       weir_time now)
{
    sent->sent_at = now;
    sent->order = ++q->sends;
    set_flags(q, sent, (uint8_t)(sent->flags | flags | WR_SENT_REXMIT | WR_SENT_EVER));
    if (sent->mss != mss) {
        account(q, sent, false);
        sent->mss = mss;
        sent->segs = segments(length(sent), mss);
        account(q, sent, true);
    }
    wr_list_remove(&sent->turn);
    wr_list_push_back(&q->flying, &sent->turn);
}

void wr_sendq_mark_rexmit(struct wr_sendq *q, struct wr_sent *sent, uint32_t mss, weir_time now)
{
    sent_again(q, sent, WR_SENT_LOST, mss, now);
}

void wr_sendq_mark_probe(struct wr_sendq *q, struct wr_sent *sent, uint32_t mss, weir_time now)
{
    sent_again(q, sent, 0, mss, now);
}

void wr_sendq_unmark(struct wr_sendq *q, struct wr_sent *sent, uint8_t flags)
{
    set_flags(q, sent, (uint8_t)(sent->flags & ~flags));
}

/* The waiting records of one kind go back to their places: one walk through both lists, since the times of
 * each kind rise with its sequence numbers. */
static void unmark_pass(struct wr_sendq *q, uint8_t ever)
{
    struct wr_list *at = q->flying.next, *node = q->lost.next, *next;

    for (; node != &q->lost; node = next) {
        struct wr_sent *sent = of_turn_node(node);
        next = node->next;
        if ((sent->flags & WR_SENT_EVER) != ever)
            continue;
        account(q, sent, false);
        sent->flags &= (uint8_t)~WR_SENT_LOST;
        account(q, sent, true);
        wr_list_remove(node);
        while (at != &q->flying && of_turn_node(at)->sent_at <= sent->sent_at)
            at = at->next;
        wr_list_insert_before(at, node);
    }
}

void wr_sendq_unmark_lost(struct wr_sendq *q)
{
    unmark_pass(q, 0);
    unmark_pass(q, WR_SENT_EVER);
}

/* ---- what an ACK delivers ----------------------------------------------------------------------- */

void wr_sendq_delivered(const struct wr_sent *sent, uint32_t start, uint32_t end,
                        struct wr_delivery *d)
{
    d->bytes += end - start;
    if (!(sent->flags & WR_SENT_EVER)) {
        if (!d->original || seq_lt(start, d->lowest))
            d->lowest = start;
        if (!d->original || seq_gt(end, d->highest))
            d->highest = end;
        d->original = true;
    } else if (sent->sent_at > d->rexmit_until) {
        return;
    }
    if (d->sent_at < 0 || wr_sent_after(sent->order, end, d->order, d->end)) {
        d->sent_at = sent->sent_at;
        d->order = sent->order;
        d->end = end;
    }
}

static void note_acked(const struct wr_sent *sent, uint32_t end, struct wr_acked *acked,
                       struct wr_delivery *d)
{
    acked->bytes += end - sent->start;
    if (sent->flags & WR_SENT_EVER)
        acked->rexmitted = true;
    if (sent->flags & WR_SENT_SACKED)
        return;
    acked->fresh_bytes += end - sent->start;
    if (acked->rate != NULL)
        wr_rate_delivered(acked->rate, sent, end - sent->start);
    if (!(sent->flags & WR_SENT_EVER)) {
        if (acked->first_sent < 0) {
            acked->first_sent = sent->sent_at;
            acked->first_end = end;
        }
        acked->last_sent = sent->sent_at;
    }
    wr_sendq_delivered(sent, sent->start, end, d);
}

void wr_sendq_drop_only(struct weir_stack *stack, struct wr_sendq *q)
{
    struct wr_sent *sent = q->root;

    wr_list_init(&q->by_seq);
    wr_list_init(&q->flying);
    q->root = NULL;
    q->count = q->segs = 0;
    give_back(stack, sent);
}

void wr_sendq_ack(struct weir_stack *stack, struct wr_sendq *q, uint32_t una,
                  struct wr_acked *acked, struct wr_delivery *d)
{
    struct wr_sent *sent;

    *acked = (struct wr_acked){.rate = acked->rate, .first_sent = -1, .last_sent = -1};
    while ((sent = wr_sendq_first(q)) != NULL && seq_lt(sent->start, una)) {
        if (seq_leq(sent->end, una)) {
            note_acked(sent, sent->end, acked, d);
            record_free(stack, q, sent);
            continue;
        }
        /* The order in the treap does not change: no other record starts below `end`. */
        note_acked(sent, una, acked, d);
        set_range(q, sent, una, sent->end);
    }
}

static bool in_its_list(const struct wr_sent *sent)
{
    bool idle = (sent->flags & WR_SENT_SACKED) != 0;

    return wr_list_is_linked(&sent->turn) != idle &&
           (!idle || !(sent->flags & (WR_SENT_LOST | WR_SENT_REXMIT)));
}

static uint32_t list_length(const struct wr_list *list)
{
    uint32_t n = 0;

    WR_LIST_FOREACH(node, list)
    n++;
    return n;
}

bool wr_sendq_check(const struct wr_sendq *q, uint32_t una, uint32_t nxt)
{
    struct wr_sendq sums = {0};
    uint32_t at = una, waiting = 0, idle = 0;

    WR_LIST_FOREACH(node, &q->by_seq)
    {
        struct wr_sent *sent = of_seq_node(node);
        if (sent->start != at || !seq_gt(sent->end, at) || wr_sendq_find(q, at) != sent)
            return false;
        if (!in_its_list(sent))
            return false;
        waiting += waits(sent->flags);
        idle += (sent->flags & WR_SENT_SACKED) != 0;
        account(&sums, sent, true);
        sums.count++;
        at = sent->end;
    }
    return at == nxt && sums.count == q->count && sums.sacked_bytes == q->sacked_bytes &&
           sums.lost_bytes == q->lost_bytes && sums.rexmit_bytes == q->rexmit_bytes &&
           sums.segs == q->segs && sums.sacked_segs == q->sacked_segs &&
           sums.lost_segs == q->lost_segs && sums.ever_segs == q->ever_segs &&
           sums.rexmit_segs == q->rexmit_segs && sums.islands == q->islands &&
           waiting == list_length(&q->lost) && q->count - waiting - idle == list_length(&q->flying);
}
