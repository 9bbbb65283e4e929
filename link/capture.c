/* SPDX-License-Identifier: MIT */
/*
 * Captures: frames joined with the records of the trace that tell why they are there.
 *
 * The trace is read at each frame. What it says of the frame's own connection since the last one goes into the
 * comment; what it says of others waits for theirs, since a RST or a SYN-ACK is decided long before the
 * interface's queue lets it out:
 *
 *     trace --> waiting: [timer A] [lost A] [sent A] [sent B: RST] ...
 *                                             |
 *     frame of A leaves  --> comment: sent A, with "timer, lost" before it
 *
 * A frame that leaves is its record's if tuple, sequence number and flags agree. Of a frame that came in the record
 * is the one that its input has written. Bounds: so many records wait, the oldest makes room; so many bytes wait for
 * a slow reader, then packets are lost and counted. Comments look like this (docs/capture.md):
 *
 *     sent fast: fast retransmit | ESTABLISHED Recovery cwnd=10136 ssthresh=10136 pipe=2896 srtt=20.000ms
 *     rto=220.000ms unsent=0 peer_window=65160 window=64512 mss=1448 | timer tlp, lost rack 2897:4345
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weir/capture.h>
#include <weir/trace.h>

#include "link/link_wire.h"
#include "link/pcapng.h"

enum {
    RING = 1 << 12, /* records of the trace, if this is who turns it on */
    HEAD_MAX = 14 + 40 + 20,
    WRITE_AT = 1 << 16,
    BACKLOG = 4 << 20,
    LINKS = 64,
    WAITING = 256
};

struct capture_text {
    char chars[1024];
    size_t len;
};

struct capture_link {
    int ifindex;
    enum weir_netif_kind kind;
    bool wanted;
    uint32_t number; /* in the file, if wanted */
    uint64_t seen, lost;
};

struct weir_capture {
    struct weir_stack *stack;
    struct weir_trace_reader reader;
    char only[16]; /* "": all links */
    uint32_t snap_len, backlog, n_interfaces;
    bool virtual_time, finished;
    bool
        quiet; /* its descriptor does not block: written when it is asked for, not in the middle of traffic */
    int fd, error;
    struct wr_pcapng buf;
    struct capture_text comment, events;
    struct capture_link links[LINKS];
    unsigned n_links;
    struct weir_trace waiting[WAITING];
    unsigned n_waiting;
};

/* ---- whose frame is it? ----------------------------------------------------------------------------- */

struct segment_id {
    struct weir_addr src, dst;
    uint16_t sport, dport, flags;
    uint32_t seq;
};

/* False: not an unfragmented TCP segment with its header at the usual place. */
static bool identify(const uint8_t *p, size_t len, enum weir_netif_kind kind, struct segment_id *id)
{
    size_t at = kind == WEIR_NETIF_ETHERNET ? WR_ETH_HEAD : 0, l4;
    if (len < at + 40)
        return false;
    p += at;
    len -= at;
    if (p[0] >> 4 == 4 && p[9] == WR_PROTO_TCP && (wr_link_get16(p + 6) & 0x3fff) == 0) {
        id->src = weir_addr_from_v4_bytes(p + 12);
        id->dst = weir_addr_from_v4_bytes(p + 16);
        l4 = (size_t)(p[0] & 15) * 4;
    } else if (p[0] >> 4 == 6 && p[6] == WR_PROTO_TCP) {
        id->src = weir_addr_from_v6_bytes(p + 8);
        id->dst = weir_addr_from_v6_bytes(p + 24);
        l4 = 40;
    } else {
        return false;
    }
    if (len < l4 + 14)
        return false;
    id->sport = wr_link_get16(p + l4);
    id->dport = wr_link_get16(p + l4 + 2);
    id->seq = wr_link_get32(p + l4 + 4);
    id->flags = p[l4 + 13];
    return true;
}

static bool is_local(const struct weir_trace *r, const struct weir_addr *local, uint16_t lport,
                     const struct weir_addr *remote, uint16_t rport)
{
    return r->lport == lport && r->rport == rport && weir_addr_eq(&r->local, local) &&
           weir_addr_eq(&r->remote, remote);
}

/* ---- records ------------------------------------------------------------------------------------------ */

static bool is_sent(const struct weir_trace *r)
{
    return r->point <= WEIR_TRACE_SENT_RST;
}

static void keep(struct weir_capture *capture, const struct weir_trace *record)
{
    if (capture->n_waiting == WAITING) {
        memmove(capture->waiting, capture->waiting + 1, (WAITING - 1) * sizeof *capture->waiting);
        capture->n_waiting--;
    }
    capture->waiting[capture->n_waiting++] = *record;
}

static void forget(struct weir_capture *capture, unsigned i)
{
    capture->n_waiting--;
    memmove(capture->waiting + i, capture->waiting + i + 1,
            (capture->n_waiting - i) * sizeof *capture->waiting);
}

/* ---- the comment ---------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void add(struct capture_text *text, const char *format,
                                                      ...)
{
    va_list args;
    size_t room = sizeof text->chars - text->len;
    va_start(args, format);
    int n = vsnprintf(text->chars + text->len, room, format, args);
    va_end(args);
    if (n > 0)
        text->len += (size_t)n < room ? (size_t)n : room - 1;
}

static const char *why_of(const struct weir_trace *r)
{
    return r->point == WEIR_TRACE_DROPPED ? weir_drop_name(r->reason) : weir_trace_why(r->point);
}

static void add_main(struct capture_text *text, const struct weir_trace *r)
{
    add(text, "%s %s", weir_trace_kind(r->point), why_of(r));
    if (r->point != WEIR_TRACE_DROPPED)
        add(text, ": %s", weir_trace_text(r->point));
}

static void add_state(struct capture_text *text, const struct weir_trace *r)
{
    if (r->state == 0)
        return;
    add(text, " | %s %s", weir_trace_state(r->state), weir_trace_ca_state(r->ca_state));
    if (r->cwnd != 0)
        add(text, " cwnd=%u", r->cwnd);
    if (r->cwnd != 0 && r->ssthresh != UINT32_MAX)
        add(text, " ssthresh=%u", r->ssthresh);
    add(text, " pipe=%u", r->pipe);
    if (r->srtt > 0)
        add(text, " srtt=%.3fms", (double)r->srtt / 1e6);
    add(text, " rto=%.3fms unsent=%u peer_window=%u window=%u mss=%u", (double)r->rto / 1e6,
        r->unsent, r->snd_wnd, r->rcv_wnd, r->smss);
    if (r->pacing_rate > 0)
        add(text, " pacing=%llu", (unsigned long long)r->pacing_rate);
}

static void add_event(struct capture_text *text, const struct weir_trace *r, bool first)
{
    add(text, first ? " | " : ", ");
    if (r->point == WEIR_TRACE_STATE)
        add(text, "state %s", weir_trace_state(r->state));
    else
        add(text, "%s %s", weir_trace_kind(r->point), why_of(r));
    if (r->point == WEIR_TRACE_STATE && r->reason != 0)
        add(text, " %s", weir_error_name(-(int)r->reason));
    if (r->len > 0 && r->point != WEIR_TRACE_DROPPED)
        add(text, " %u:%u", r->seq - r->iss, r->seq - r->iss + r->len);
}

/* Which record is the frame's own: a drop before anything else. */
static bool outranks(const struct weir_trace *r, const struct weir_trace *than)
{
    return than == NULL || (r->point == WEIR_TRACE_DROPPED && than->point == WEIR_TRACE_RECEIVED);
}

/* Takes what the trace has of the connection, up to the frame's own record. */
static void annotate(struct weir_capture *capture, const struct segment_id *id, bool out)
{
    const struct weir_addr *local = out ? &id->src : &id->dst, *remote = out ? &id->dst : &id->src;
    uint16_t lport = out ? id->sport : id->dport, rport = out ? id->dport : id->sport;
    struct weir_trace own, state = {.state = 0};
    bool has_own = false, any = false;
    struct capture_text *events = &capture->events;

    events->len = 0;
    for (unsigned i = 0; i < capture->n_waiting;) {
        const struct weir_trace *r = &capture->waiting[i];
        bool ends = false;
        if (!is_local(r, local, lport, remote, rport)) {
            i++;
            continue;
        }
        if (is_sent(r) && !(out && r->seq == id->seq && r->flags == id->flags)) {
            i++; /* of another frame, not yet here */
            continue;
        }
        ends = is_sent(r);
        if (r->state != 0)
            state = *r;
        if (ends || (!out && (r->point == WEIR_TRACE_DROPPED || r->point == WEIR_TRACE_RECEIVED))) {
            if (outranks(r, has_own ? &own : NULL))
                own = *r;
            has_own = true;
        } else {
            add_event(events, r, !any);
            any = true;
        }
        forget(capture, i);
        if (ends)
            break;
    }
    if (has_own)
        add_main(&capture->comment, &own);
    else
        add(&capture->comment, out ? "sent" : "received: for no connection yet");
    if (has_own && own.state != 0)
        state = own;
    add_state(&capture->comment, &state);
}

/* Reads the trace. A frame that is no TCP segment may have been dropped all the same: its reason. */
static const char *read_trace(struct weir_capture *capture, bool out)
{
    struct weir_trace record;
    const char *dropped = NULL;
    while (weir_trace_read(capture->stack, &capture->reader, &record)) {
        if (record.lport != 0 || record.rport != 0)
            keep(capture, &record);
        else if (!out && record.point == WEIR_TRACE_DROPPED)
            dropped = weir_drop_name(record.reason);
    }
    return dropped;
}

static void make_comment(struct weir_capture *capture, const uint8_t *head, size_t len,
                         enum weir_netif_kind kind, bool out)
{
    struct segment_id id;
    const char *dropped = read_trace(capture, out);

    capture->comment.len = capture->events.len = 0;
    capture->comment.chars[0] = capture->events.chars[0] = '\0';
    if (dropped)
        add(&capture->comment, "dropped %s", dropped);
    else if (identify(head, len, kind, &id))
        annotate(capture, &id, out);
    else
        add(&capture->comment, "%s: of no TCP connection", out ? "sent" : "received");
}

/* ---- packets ---------------------------------------------------------------------------------------------- */

static uint64_t time_of(const struct weir_capture *capture, weir_time now)
{
    struct timespec ts;
    if (capture->virtual_time)
        return (uint64_t)now;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* The interface, made known to the file when it is seen first. NULL: it is not captured. */
static struct capture_link *link_of(struct weir_capture *capture, int ifindex)
{
    struct weir_netif_config netif;
    int index = 0;
    for (unsigned i = 0; i < capture->n_links; i++)
        if (capture->links[i].ifindex == ifindex)
            return capture->links[i].wanted ? &capture->links[i] : NULL;
    if (capture->n_links == LINKS)
        return NULL;
    for (unsigned n = 0; index >= 0 && index != ifindex; n++)
        index = weir_netif_get(capture->stack, n, &netif);
    if (index < 0)
        return NULL;
    struct capture_link *link = &capture->links[capture->n_links];
    bool wanted = capture->only[0] == '\0' || strcmp(capture->only, netif.name) == 0;
    if (wanted && !wr_pcapng_interface(&capture->buf, &netif))
        return NULL;
    capture->n_links++;
    *link = (struct capture_link){.ifindex = ifindex, .kind = netif.kind, .wanted = wanted};
    if (wanted)
        link->number = capture->n_interfaces++;
    return wanted ? link : NULL;
}

struct piece {
    struct weir_capture *capture;
    struct capture_link *link;
    uint64_t time;
    uint32_t flags;
    unsigned n;
};

static int put_piece(void *arg, const uint8_t *frame, size_t len)
{
    struct piece *piece = arg;
    struct weir_capture *capture = piece->capture;
    uint32_t snap = capture->snap_len;
    size_t plain = capture->comment.len;
    const struct wr_pcapng_packet packet = {.interface = piece->link->number,
                                            .time = piece->time,
                                            .flags = piece->flags,
                                            .frame = frame,
                                            .len = len,
                                            .kept = snap != 0 && len > snap ? snap : len,
                                            .comment = capture->comment.chars};
    if (piece->n++ == 0) /* what came before stands with the first piece of a super-segment */
        add(&capture->comment, "%s", capture->events.chars);
    piece->link->seen++;
    if (capture->buf.len > capture->backlog || !wr_pcapng_packet(&capture->buf, &packet))
        piece->link->lost++;
    capture->comment.len = plain;
    capture->comment.chars[plain] = '\0';
    if (!capture->quiet && capture->buf.len >= WRITE_AT)
        weir_capture_flush(capture);
    return 0;
}

static struct piece begin(struct weir_capture *capture, struct capture_link *link, uint32_t flags,
                          weir_time now)
{
    return (struct piece){capture, link, time_of(capture, now), flags, 0};
}

void weir_capture_in(struct weir_capture *capture, int ifindex, const struct weir_frame *frame,
                     weir_time now)
{
    struct capture_link *link = link_of(capture, ifindex);
    if (!link) {
        read_trace(capture, false);
        return;
    }
    struct piece piece = begin(capture, link, WR_PCAPNG_INBOUND, now);
    make_comment(capture, frame->data, frame->len, link->kind, false);
    wr_link_frame_segment(frame, link->kind, put_piece, &piece);
}

void weir_capture_out(struct weir_capture *capture, int ifindex, const struct weir_out *out,
                      weir_time now)
{
    uint8_t head[HEAD_MAX];
    size_t len = wr_link_out_len(out);
    struct capture_link *link = link_of(capture, ifindex);
    if (!link) {
        read_trace(capture, true);
        return;
    }
    struct piece piece = begin(capture, link, WR_PCAPNG_OUTBOUND, now);
    len = len < sizeof head ? len : sizeof head;
    wr_link_gather(out, 0, head, len);
    make_comment(capture, head, len, link->kind, true);
    weir_out_segment(out, link->kind, put_piece, &piece);
}

int weir_capture_flush(struct weir_capture *capture)
{
    if (capture->error)
        return capture->error;
    int err = wr_pcapng_write(&capture->buf, capture->fd);
    if (err && err != WEIR_EAGAIN)
        capture->error = err;
    return err;
}

struct weir_capture_counts weir_capture_counts(const struct weir_capture *capture)
{
    struct weir_capture_counts counts = {0, 0};
    for (unsigned i = 0; i < capture->n_links; i++) {
        counts.seen += capture->links[i].seen;
        counts.lost += capture->links[i].lost;
    }
    return counts;
}

/* ---- life ---------------------------------------------------------------------------------------------------- */

/* All links there are now, so that the file tells them though nothing passes. WEIR_ENODEV: not the one wanted. */
static int find_links(struct weir_capture *capture)
{
    struct weir_netif_config netif;
    int index;
    for (unsigned n = 0; (index = weir_netif_get(capture->stack, n, &netif)) > 0; n++)
        if (strcmp(netif.name, "lo") != 0)
            link_of(capture, index);
    return capture->only[0] != '\0' && capture->n_interfaces == 0 ? WEIR_ENODEV : 0;
}

int weir_capture_new(struct weir_stack *stack, const struct weir_capture_config *config,
                     struct weir_capture **out)
{
    struct weir_capture *capture;
    int err = 0;
    if (config->link && strlen(config->link) >= sizeof capture->only)
        return WEIR_ENODEV;
    capture = calloc(1, sizeof *capture);
    if (!capture)
        return WEIR_ENOMEM;
    capture->stack = stack;
    capture->fd = config->fd;
    capture->snap_len = config->snap_len;
    capture->backlog = config->backlog ? config->backlog : BACKLOG;
    capture->virtual_time = config->virtual_time;
    capture->quiet = (fcntl(config->fd, F_GETFL) & O_NONBLOCK) != 0;
    if (config->link)
        snprintf(capture->only, sizeof capture->only, "%s", config->link);
    if (!wr_pcapng_section(&capture->buf))
        err = WEIR_ENOMEM;
    if (!err)
        err = find_links(capture);
    if (!err)
        err = weir_trace_on(stack, RING);
    if (err) {
        wr_pcapng_free(&capture->buf);
        free(capture);
        return err;
    }
    weir_trace_begin(stack, &capture->reader);
    *out = capture;
    return 0;
}

void weir_capture_finish(struct weir_capture *capture)
{
    uint64_t time = time_of(capture, 0);
    for (unsigned i = 0; i < capture->n_links && !capture->finished; i++)
        if (capture->links[i].wanted)
            wr_pcapng_statistics(&capture->buf, capture->links[i].number, time,
                                 capture->links[i].seen, capture->links[i].lost);
    capture->finished = true;
}

void weir_capture_free(struct weir_capture *capture)
{
    if (!capture)
        return;
    weir_capture_finish(capture);
    weir_capture_flush(capture);
    weir_trace_off(capture->stack);
    close(capture->fd);
    wr_pcapng_free(&capture->buf);
    free(capture);
}
