/* SPDX-License-Identifier: MIT */
/*
 * A wire inside the process: two bounded queues, one for each direction, without delay or loss.
 *
 *     end 0  --- send --->  wire.dir[0]  --- recv --->  end 1
 *            <-- recv ----  wire.dir[1]  <-- send ----
 *
 * A frame is copied into the queue when it is sent. On a wire that lends only its headers are; its data stays in the
 * sender's ring, and is copied once, from there to the receiver's:
 *
 *     send ring       [ . . d0 d0 d0 d1 d1 d1 . . ]
 *                           ^ lent   ^ lent
 *     wire.dir[0]     [h0]--+   [h1]-+                 recv_room: to the room; recv, flush: behind the headers
 *
 * So nothing of a sender's memory is ever seen by who receives, and nothing of it is held when a call could change it:
 * flush has the rest copied.
 *
 * A full queue is WEIR_EAGAIN for the sender, never a loss. In virtual time, and with one thread, the
 * deadline of an end says that there is something to do: a frame to take (at the time it was sent), or room
 * again after EAGAIN. With threads each end has an eventfd that becomes readable for the same reasons,
 * and a mutex guards the wire. The end that is freed last frees the wire.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/hint.h"
#include "link/frame_queue.h"
#include "link/link_wire.h"

enum { DEFAULT_MTU = 1500, DEFAULT_FRAMES = 1024 };
enum { WORTH_LENDING = 1024 }; /* bytes of data: fewer are copied as soon as noted */

struct wire;

struct end {
    struct weir_link link;
    struct wire *wire;
    struct end *peer;
    struct wr_frame_queue *in, *out; /* of wire->dir */
    int event_fd;                    /* -1 without threads */
    bool open;
    bool was_full;     /* a send was refused, and room has not come back */
    weir_time room_at; /* when it came back and send was not tried since; else NEVER */
};

struct wire {
    pthread_mutex_t lock;
    bool threads, csum_offload, lends;
    uint32_t gso_max;
    struct wr_frame_queue dir[2];
    struct end end[2];
};

static void wire_lock(struct wire *wire)
{
    if (wire->threads)
        pthread_mutex_lock(&wire->lock);
}

static void wire_unlock(struct wire *wire)
{
    if (wire->threads)
        pthread_mutex_unlock(&wire->lock);
}

WR_APART void ring_end(const struct end *end)
{
    uint64_t one = 1;
    if (end->event_fd >= 0 && write(end->event_fd, &one, sizeof one) < 0)
        return; /* only a counter at its limit refuses, and that is readable */
}

WR_APART void silence(const struct end *end)
{
    uint64_t count;
    if (end->event_fd >= 0 && read(end->event_fd, &count, sizeof count) < 0)
        return; /* it was not raised */
}

/* ---- send --------------------------------------------------------------------------------------- */

struct put {
    struct end *from;
    weir_time now;
};

/* The data stays where it is until the frame is taken, or flush. */
static bool lends(const struct end *from, const struct weir_out *out, size_t len)
{
    return from->wire->lends && out->stays && len - out->head_len >= WORTH_LENDING;
}

/* Queues one frame given as head and spans. */
WR_INLINE int put_frame(struct end *from, const struct weir_out *out, weir_time now)
{
    struct wr_frame_queue *q = from->out;
    size_t len = wr_link_out_len(out);
    bool full;
    struct wr_frame_buf *buf = wr_frame_queue_put(q, len, now, &full);
    if (!buf) {
        from->was_full |= full;
        return full ? WEIR_EAGAIN : WEIR_ENOMEM;
    }
    buf->gso_size = out->gso_size;
    buf->csum_valid = out->csum_partial;
    if (out->n_spans == 0) {
        memcpy(buf->data, out->head, out->head_len);
    } else if (lends(from, out, len)) {
        memcpy(buf->data, out->head, out->head_len);
        wr_frame_queue_lend(q, buf, out->span, out->n_spans);
    } else {
        wr_link_gather_all(out, buf->data);
    }
    return 0;
}

WR_APART int put_plain(void *arg, const uint8_t *frame, size_t len)
{
    struct put *put = arg;
    struct weir_out out = {.n_spans = 1, .span = {{frame, len}}};
    return put_frame(put->from, &out, put->now);
}

/* True when the frame passes the wire as it is. One that does not say its length (weir_netif_config.gso_max_bytes) is cut:
 * the other end is a stack, and only the kernel's takes that. */
WR_INLINE bool passes(const struct end *end, const struct weir_out *out)
{
    const struct wire *wire = end->wire;
    if (out->gso_size) {
        size_t l3 = end->link.netif.kind == WEIR_NETIF_ETHERNET ? WR_ETH_HEAD : 0;
        if (wire->gso_max == 0 || wr_link_out_len(out) > l3 + 65535)
            return false;
    }
    return !out->csum_partial || wire->csum_offload;
}

/* Segments go in all or none, so that EAGAIN means that nothing was taken. */
static bool fits(const struct end *from, const struct weir_out *out)
{
    const struct wr_frame_queue *q = from->out;
    size_t need = out->gso_size ? wr_link_out_len(out) / out->gso_size + 1 : 1;
    return need <= q->cap - q->count || (q->count == 0 && need > q->cap);
}

/* One that has to be cut. */
WR_APART int send_pieces(struct end *end, const struct weir_out *out, weir_time now)
{
    struct put put = {end, now};
    int rc;
    if (!fits(end, out)) {
        end->was_full = true;
        return WEIR_EAGAIN;
    }
    rc = weir_out_segment(out, end->link.netif.kind, put_plain, &put);
    return rc == WEIR_EAGAIN ? WEIR_ENOBUFS
                             : rc; /* more than the whole queue holds: the tail is lost */
}

WR_INLINE int send_frame(struct end *end, const struct weir_out *out, weir_time now)
{
    end->room_at = WEIR_TIME_NEVER;
    if (!end->peer->open)
        return WEIR_ENETDOWN;
    return passes(end, out) ? put_frame(end, out, now) : send_pieces(end, out, now);
}

WR_APART int send_locked(struct end *end, const struct weir_out *out, weir_time now)
{
    struct wire *wire = end->wire;
    pthread_mutex_lock(&wire->lock);
    bool was_empty = end->out->count == 0;
    int rc = send_frame(end, out, now);
    if (was_empty && end->out->count > 0)
        ring_end(end->peer);
    pthread_mutex_unlock(&wire->lock);
    return rc;
}

static int pipe_send(struct weir_link *link, const struct weir_out *out, weir_time now)
{
    struct end *end = (struct end *)link;
    return end->wire->threads ? send_locked(end, out, now) : send_frame(end, out, now);
}

static unsigned pipe_flush(struct weir_link *link, weir_time now)
{
    (void)now;
    wr_frame_queue_fetch_all(((struct end *)link)->out);
    return 0; /* there was room for it */
}

/* ---- recv --------------------------------------------------------------------------------------- */

/* The reader took a frame: a sender that was refused may try again once a quarter is free. */
WR_APART void room_made(struct end *sender, const struct wr_frame_queue *q, weir_time now)
{
    if (q->count > q->cap - (q->cap + 3) / 4)
        return;
    sender->was_full = false;
    sender->room_at = now;
    ring_end(sender);
}

/* Brings the data here: to the room if the headers' length is the expected one. */
WR_APART void fetch(struct wr_frame_buf *buf, const struct weir_room *room,
                    struct weir_frame *frame)
{
    size_t lent = wr_frame_lent_len(buf), head = buf->len - lent;

    if (room == NULL || room->head_len != head || room->len < lent) {
        wr_frame_fetch(buf, buf->data + head);
        return;
    }
    wr_frame_fetch(buf, room->data);
    frame->body = room->data;
    frame->body_at = head;
}

/* What is seldom left to do with a frame. Here and in take() the calls are the last that is done, so that the short way
 * saves no registers. */
WR_APART int take_rest(struct end *end, struct wr_frame_buf *buf, const struct weir_room *room,
                       struct weir_frame *frame, weir_time now)
{
    if (buf->n_lent > 0)
        fetch(buf, room, frame);
    if (end->peer->was_full)
        room_made(end->peer, end->in, now);
    return 1;
}

static int answer_nothing(const struct end *end)
{
    return end->peer->open ? 0 : WEIR_ENETDOWN;
}

WR_APART int take_nothing(const struct end *end)
{
    silence(end);
    return answer_nothing(end);
}

WR_INLINE int take(struct end *end, const struct weir_room *room, struct weir_frame *frame,
                   weir_time now)
{
    struct wr_frame_queue *q = end->in;
    struct wr_frame_buf *buf = wr_frame_queue_get(q);

    if (buf == NULL)
        return end->event_fd >= 0 && end->room_at == WEIR_TIME_NEVER ? take_nothing(end)
                                                                     : answer_nothing(end);
    frame->data = buf->data;
    frame->len = buf->len;
    frame->gso_size = buf->gso_size;
    frame->csum_valid = buf->csum_valid;
    frame->body = NULL;
    frame->body_at = 0;
    return buf->n_lent > 0 || end->peer->was_full ? take_rest(end, buf, room, frame, now) : 1;
}

WR_APART int take_locked(struct end *end, struct weir_frame *frame, weir_time now)
{
    struct wire *wire = end->wire;
    pthread_mutex_lock(&wire->lock);
    int rc = take(end, NULL, frame, now);
    pthread_mutex_unlock(&wire->lock);
    return rc;
}

static int pipe_recv(struct weir_link *link, struct weir_frame *frame, weir_time now)
{
    struct end *end = (struct end *)link;
    return end->wire->threads ? take_locked(end, frame, now) : take(end, NULL, frame, now);
}

static int pipe_recv_room(struct weir_link *link, const struct weir_room *room,
                          struct weir_frame *frame, weir_time now)
{
    return take((struct end *)link, room, frame, now);
}

static weir_time pipe_deadline(const struct weir_link *link)
{
    const struct end *end = (const struct end *)link;
    if (end->wire->threads)
        return WEIR_TIME_NEVER; /* the eventfd says it */
    return weir_time_min(wr_frame_queue_oldest(end->in), end->room_at);
}

static int pipe_fd(const struct weir_link *link)
{
    return ((const struct end *)link)->event_fd;
}

/* ---- life --------------------------------------------------------------------------------------- */

static void wire_free(struct wire *wire)
{
    for (unsigned i = 0; i < 2; i++) {
        wr_frame_queue_fini(&wire->dir[i]);
        if (wire->end[i].event_fd >= 0)
            close(wire->end[i].event_fd);
    }
    pthread_mutex_destroy(&wire->lock);
    free(wire);
}

static void pipe_free(struct weir_link *link)
{
    struct end *end = (struct end *)link;
    struct wire *wire = end->wire;
    struct end *peer = end->peer;
    wire_lock(wire);
    wr_frame_queue_fetch_all(end->out);
    end->open = false;
    bool last = !peer->open;
    if (!last)
        ring_end(peer);
    wire_unlock(wire);
    if (last)
        wire_free(wire);
}

static const struct weir_link_ops pipe_ops = {
    .send = pipe_send,
    .recv = pipe_recv,
    .deadline = pipe_deadline,
    .fd = pipe_fd,
    .free = pipe_free,
};

static const struct weir_link_ops lending_ops = {
    .send = pipe_send,
    .recv = pipe_recv,
    .recv_room = pipe_recv_room,
    .room_for_all = true,
    .deadline = pipe_deadline,
    .fd = pipe_fd,
    .free = pipe_free,
    .flush = pipe_flush,
};

static void end_init(struct wire *wire, unsigned side, const struct weir_pipe_config *config)
{
    struct end *end = &wire->end[side];
    struct weir_netif_config *netif = &end->link.netif;
    *end = (struct end){.wire = wire,
                        .peer = &wire->end[1 - side],
                        .in = &wire->dir[1 - side],
                        .out = &wire->dir[side],
                        .event_fd = -1,
                        .open = true};
    end->room_at = WEIR_TIME_NEVER;
    end->link.ops = wire->lends ? &lending_ops : &pipe_ops;
    memcpy(netif->name, "pipe0", sizeof "pipe0");
    netif->kind = config->kind;
    netif->mtu = config->mtu ? config->mtu : DEFAULT_MTU;
    netif->gso_max_bytes = config->gso_max_bytes;
    netif->tx_csum = config->csum_offload;
    if (config->kind == WEIR_NETIF_ETHERNET) {
        /* One address for each side is enough: the two are alone on their wire. */
        static const uint8_t mac[6] = {0x02, 'w', 'e', 'i', 'r', 0};
        memcpy(netif->mac, mac, sizeof mac);
        netif->mac[5] = (uint8_t)(side + 1);
    }
}

int weir_link_pipe(const struct weir_pipe_config *config, struct weir_link *ends[2])
{
    uint32_t frames = config->queue_frames ? config->queue_frames : DEFAULT_FRAMES;
    if (config->lends && config->threads)
        return WEIR_EINVAL;
    struct wire *wire = calloc(1, sizeof *wire);
    if (!wire)
        return WEIR_ENOMEM;
    pthread_mutex_init(&wire->lock, NULL);
    wire->threads = config->threads;
    wire->csum_offload = config->csum_offload;
    wire->lends = config->lends;
    wire->gso_max = config->gso_max_bytes;
    for (unsigned i = 0; i < 2; i++) {
        end_init(wire, i, config);
        wr_frame_queue_init(&wire->dir[i], frames);
        if (config->threads)
            wire->end[i].event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    }
    if (config->threads && (wire->end[0].event_fd < 0 || wire->end[1].event_fd < 0)) {
        int rc = -errno;
        wire_free(wire);
        return rc;
    }
    ends[0] = &wire->end[0].link;
    ends[1] = &wire->end[1].link;
    return 0;
}
