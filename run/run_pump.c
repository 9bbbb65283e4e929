/* SPDX-License-Identifier: MIT */
/*
 * Bytes between the pair and the Weir socket, and what the two have to tell each other.
 *
 *      program | pair                                  | supervisor         | Weir
 *      --------+---------------------------------------+--------------------+----------------------
 *      write   | -> [k|...new bytes...]                 | wr_run_pump_up     | -> weir_sock_send
 *      read    | <- [..............]                    | pump_down          | <- weir_sock_peek
 *
 *      k: bytes kept, one at least. They were sent on already, but stay at the head of the queue until newer
 *      ones are behind them, so that the queue is never empty and closing our end resets the program's.
 *      Small batches are read by MSG_PEEK, which is a call less than to ask for the length first; large
 *      ones are not, so as not to copy them twice.
 *
 * Backpressure is passed on by not reading: a full Weir buffer leaves the pair full (at most one read's
 * rest is held in the record), a full pair leaves Weir's receive buffer full and so closes the window.
 *
 * What happens                          seen as                     done
 *   program shuts its sending side      notified (run_call_end.c)   FIN when the queue is sent
 *   program closes the last descriptor  HUP of our end              as close(2): FIN, or
 *      ... with bytes unread            ... and ECONNRESET          RST, as Linux does
 *      ... with SO_LINGER 0                                         RST
 *   peer's FIN                          peek gives 0                SHUT_WR of our end
 *   peer's RST, time-out                peek gives an error         our end is closed: ECONNRESET
 *   both directions ended                                           our end is emptied and closed
 *
 * HUP tells a last close only while not both directions are shut: when they are, our end shows HUP
 * anyway. That is why it is given up then.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <weir/info.h>

#include "run/run_int.h"

/* ---- program to Weir -------------------------------------------------------------------------- */

enum {
    PEEK_BYTES = 8192, /* a batch that is rather copied twice than asked for its length first */
    /* Bytes that may stay in the queue after they were sent on, so that a small batch costs one call and not
     * two. Each may be a write of its own, which weighs 768 bytes, and the first may pin 16 KiB, or 64
     * if there were large writes: all together must weigh less than a quarter of the pair's SO_SNDBUF
     * (run_sock.c). */
    UNREAD_MAX = 112,
    UNREAD_MAX_LARGE = 48
};

/* One of many pairs that are served together. What its queue held a moment ago: bytes that were sent on before,
 * and new ones. */
struct run_ahead {
    struct run_sock *rs;
    ssize_t got;
    bool fresh; /* not yet looked at */
    bool trim;  /* too much is kept in the queue */
    uint8_t bytes[UNREAD_MAX + PEEK_BYTES];
};

/* The next byte of our end's queue is urgent. */
static bool is_at_mark(const struct run_sock *rs)
{
    int mark = 0;
    return ioctl(rs->fd, SIOCATMARK, &mark) == 0 && mark;
}

/* Copies new bytes out from behind those that were sent on before, and leaves all in the queue. *from: the new
 * ones. *empty: there is no more; what comes later makes an edge of its own. */
static size_t peek_few(struct run_sock *rs, const uint8_t **from, bool *empty)
{
    uint8_t *buf = rs->program->run->scratch;
    ssize_t n;
    if (rs->ahead && rs->ahead->fresh) {
        n = rs->ahead->got;
        buf = rs->ahead->bytes;
        rs->ahead->fresh = false;
    } else {
        n = recv(rs->fd, buf, rs->unread + PEEK_BYTES, MSG_DONTWAIT | MSG_PEEK);
    }
    size_t got = n > (ssize_t)rs->unread ? (size_t)n - rs->unread : 0;
    *from = buf + rs->unread;
    *empty = got < PEEK_BYTES;
    rs->many = !*empty;
    rs->large |= rs->many;
    rs->unread += (uint32_t)got;
    return got;
}

/* Weir has no room, or no memory, now. */
static bool is_full(ptrdiff_t n)
{
    return n == WEIR_EAGAIN || n == WEIR_ENOBUFS || n == WEIR_ENOMEM;
}

/* Bytes that Weir took, or a negative error that ends the connection's sending. */
static ptrdiff_t send_bytes(struct run_sock *rs, const uint8_t *data, size_t len)
{
    struct weir_stack *stack = weir_host_lock(rs->program->host);
    ptrdiff_t n = weir_sock_send(stack, rs->sock, data, len, WEIR_MSG_DONTWAIT | WEIR_MSG_NOSIGNAL,
                                 NULL, weir_now());
    weir_host_unlock(rs->program->host);
    return is_full(n) ? 0 : n;
}

/* Keeps what Weir had no room for. Without memory for it the connection cannot go on. */
static bool hold_bytes(struct run_sock *rs, const uint8_t *data, size_t len)
{
    rs->hold = malloc(len);
    if (!rs->hold)
        return false;
    memcpy(rs->hold, data, len);
    rs->hold_off = 0;
    rs->hold_len = len;
    return true;
}

/* Sends on what was read, and holds the rest. 1: all is sent; 0: Weir is full; negative: an error. */
static ptrdiff_t send_or_hold(struct run_sock *rs, const uint8_t *data, size_t len)
{
    ptrdiff_t n = send_bytes(rs, data, len);
    if (n >= 0 && (size_t)n < len && !hold_bytes(rs, data + n, len - (size_t)n))
        n = WEIR_ENOMEM;
    return n < 0 ? n : (size_t)n == len;
}

/* Reads new bytes out of the queue into what Weir has lent, and leaves the newest there, too. */
static size_t read_into(struct run_sock *rs, const struct weir_piece room[2], bool to_the_end)
{
    uint8_t old[UNREAD_MAX];
    struct iovec iov[3] = {
        {old, rs->unread}, {room[0].ptr, room[0].len}, {room[1].ptr, room[1].len}};
    struct iovec *last = &iov[room[1].len > 0 ? 2 : 1];
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 3};
    last->iov_len -= to_the_end;
    ssize_t n = recvmsg(rs->fd, &msg, MSG_DONTWAIT);
    if (n < (ssize_t)rs->unread)
        return 0;
    size_t got = (size_t)n - rs->unread;
    bool all = got == room[0].len + room[1].len - to_the_end;
    uint8_t *newest = (uint8_t *)last->iov_base + last->iov_len;
    rs->unread = 0;
    if (to_the_end && all && !is_at_mark(rs) &&
        recv(rs->fd, newest, 1, MSG_DONTWAIT | MSG_PEEK) == 1) {
        rs->unread = 1;
        got++;
    }
    return got;
}

/* What Weir takes no more is thrown away. */
static void throw_away(struct run_sock *rs, size_t queued)
{
    rs->unread = (uint32_t)queued;
    wr_run_sock_unfill(rs);
}

/* Sends a large batch on, read from the pair straight into Weir's send buffer. */
static ptrdiff_t send_many(struct run_sock *rs, bool *empty)
{
    struct weir_piece room[2];
    int queued = 0;
    *empty = true;
    if (ioctl(rs->fd, FIONREAD, &queued) < 0 || queued <= (int)rs->unread)
        return 1;
    size_t fresh = (size_t)queued - rs->unread;
    rs->many = fresh >= PEEK_BYTES;
    struct weir_stack *stack = weir_host_lock(rs->program->host);
    ptrdiff_t n = weir_sock_reserve(stack, rs->sock, room, fresh, weir_now());
    *empty = n == (ptrdiff_t)fresh;
    if (n > 0)
        n = weir_sock_commit(stack, rs->sock, read_into(rs, room, *empty), weir_now());
    weir_host_unlock(rs->program->host);
    if (n == WEIR_ENOTSUP) {
        rs->many = false;
        return 1;
    }
    if (is_full(n))
        return 0;
    if (n < 0)
        throw_away(rs, (size_t)queued);
    return n < 0 ? n : 1;
}

/* 1: nothing is held any more; 0: Weir is full; negative: an error. */
static ptrdiff_t send_held(struct run_sock *rs)
{
    while (rs->hold_len > 0) {
        ptrdiff_t n = send_bytes(rs, rs->hold + rs->hold_off, rs->hold_len);
        if (n <= 0)
            return n;
        rs->hold_off += (size_t)n;
        rs->hold_len -= (size_t)n;
    }
    free(rs->hold);
    rs->hold = NULL;
    return 1;
}

static bool keeps_too_much(const struct run_sock *rs)
{
    return rs->unread > (rs->large ? UNREAD_MAX_LARGE : UNREAD_MAX);
}

/* The same for one batch out of the pair. */
static ptrdiff_t send_batch(struct run_sock *rs, bool *empty)
{
    const uint8_t *from;
    if (rs->many)
        return send_many(rs, empty);
    size_t got = peek_few(rs, &from, empty);
    if (!got)
        return 1;
    ptrdiff_t n = send_or_hold(rs, from, got);
    if (keeps_too_much(rs)) {
        if (rs->ahead && *empty)
            rs->ahead->trim = true;
        else
            wr_run_sock_unfill(rs);
        rs->large = got >= PEEK_BYTES;
    }
    return n;
}

/* ---- many at once ----------------------------------------------------------------------------- */

void wr_run_pump_open(struct weir_run *run)
{
    run->ring = wr_run_ring_open();
    run->ahead = run->ring ? malloc(RUN_RING_MAX * sizeof *run->ahead) : NULL;
}

void wr_run_pump_close(struct weir_run *run)
{
    wr_run_ring_close(run->ring);
    free(run->ahead);
}

/* A small batch is all that is expected of it. */
static bool can_read_ahead(const struct run_sock *rs, uint32_t events)
{
    return (events & EPOLLIN) && !(events & EPOLLPRI) && rs->state == RUN_OPEN && !rs->many &&
           !rs->urgent && !rs->fin_sent && rs->hold_len == 0 && rs->unread <= UNREAD_MAX;
}

void wr_run_pump_ahead(struct weir_run *run, const struct epoll_event *ready, int n)
{
    if (n < 2 || !run->ahead)
        return;
    for (int i = 0; i < n && run->n_ahead < RUN_RING_MAX; i++) {
        struct run_source *source = ready[i].data.ptr;
        struct run_sock *rs =
            (struct run_sock *)((char *)source - offsetof(struct run_sock, source));
        struct run_ahead *ahead = &run->ahead[run->n_ahead];
        if (source->ready != wr_run_pump_ready || !can_read_ahead(rs, ready[i].events))
            continue;
        if (!wr_run_ring_recv(run->ring, rs->fd, ahead->bytes, rs->unread + PEEK_BYTES, MSG_PEEK,
                              &ahead->got))
            break;
        ahead->rs = rs;
        run->n_ahead++;
    }
    wr_run_ring_go(run->ring);
    for (size_t i = 0; i < run->n_ahead; i++) {
        struct run_ahead *ahead = &run->ahead[i];
        ahead->fresh = ahead->got != -ECANCELED;
        ahead->trim = false;
        ahead->rs->ahead = ahead;
    }
}

/* Takes out of the queues what they need not keep; the bytes are not looked at. */
void wr_run_pump_ahead_end(struct weir_run *run)
{
    for (size_t i = 0; i < run->n_ahead; i++) {
        struct run_ahead *ahead = &run->ahead[i];
        struct run_sock *rs = ahead->rs;
        rs->ahead = NULL;
        ahead->trim =
            ahead->trim && rs->state == RUN_OPEN && keeps_too_much(rs) &&
            wr_run_ring_recv(run->ring, rs->fd, run->scratch, rs->unread - 1, 0, &ahead->got);
    }
    wr_run_ring_go(run->ring);
    for (size_t i = 0; i < run->n_ahead; i++)
        if (run->ahead[i].trim && run->ahead[i].got > 0)
            run->ahead[i].rs->unread -= (uint32_t)run->ahead[i].got;
    run->n_ahead = 0;
}

/* ---- urgent bytes ----------------------------------------------------------------------------- */

/*
 * MSG_OOB: a pair has it as TCP has, so what one side's program sends is read as urgent here, sent as urgent
 * by Weir, and the other way round. SIGURG, SIOCATMARK and POLLPRI are then the kernel's business.
 *
 *      queue of our end   [k|a b|!|c d]     k: sent on before; !: the urgent byte, at which every read stops
 *
 * With SO_OOBINLINE on our end the urgent byte is read as any other, once the bytes before it are gone. It
 * is then the byte that is kept back.
 */
static bool has_urgent(const struct run_sock *rs)
{
    struct pollfd p = {.fd = rs->fd, .events = POLLPRI};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLPRI);
}

/* The bytes before the mark. As send_batch. */
static ptrdiff_t send_to_mark(struct run_sock *rs)
{
    uint8_t old[UNREAD_MAX], *scratch = rs->program->run->scratch;
    struct iovec iov[2] = {{old, rs->unread}, {scratch, RUN_SCRATCH_BYTES}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t n = recvmsg(rs->fd, &msg, MSG_DONTWAIT);
    if (n < (ssize_t)rs->unread)
        return 1;
    size_t got = (size_t)n - rs->unread;
    rs->unread = 0;
    return got ? send_or_hold(rs, scratch, got) : 1;
}

static ptrdiff_t send_urgent(struct run_sock *rs, bool *empty)
{
    const int on = 1;
    uint8_t byte;
    (void)setsockopt(rs->fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
    bool sent_before = is_at_mark(rs) && rs->unread > 0;
    if (sent_before || !has_urgent(rs)) {
        rs->urgent = false;
        return send_batch(rs, empty);
    }
    ptrdiff_t n = 1;
    while (n > 0 && !is_at_mark(rs))
        n = send_to_mark(rs);
    if (n <= 0 || recv(rs->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) != 1)
        return n;
    struct weir_stack *stack = weir_host_lock(rs->program->host);
    n = weir_sock_send(stack, rs->sock, &byte, 1, WEIR_MSG_OOB | WEIR_MSG_NOSIGNAL, NULL,
                       weir_now());
    weir_host_unlock(rs->program->host);
    if (is_full(n))
        return 0;
    rs->unread = 1;
    rs->urgent = false;
    return n;
}

/* The program will send no more and all of it is with Weir. */
static void send_fin(struct run_sock *rs)
{
    struct weir_stack *stack = weir_host_lock(rs->program->host);
    weir_sock_shutdown(stack, rs->sock, WEIR_SHUT_WR, weir_now());
    weir_host_unlock(rs->program->host);
    rs->fin_sent = true;
}

/* A failed send: the reader must still get what came before the failure, so that the error is left to
 * pump_down, unless nobody reads any more. What the program goes on writing is thrown away. */
static bool send_failed(struct run_sock *rs, int error)
{
    free(rs->hold);
    rs->hold = NULL;
    rs->hold_len = 0;
    if (error != WEIR_EPIPE)
        rs->error = -error;
    if (rs->shut_rd || error == WEIR_ENOMEM) {
        wr_run_sock_die(rs, -error);
        return false;
    }
    return true;
}

bool wr_run_pump_up(struct run_sock *rs)
{
    bool empty = false;
    if (rs->state != RUN_OPEN || rs->fin_sent)
        return rs->state != RUN_DEAD;
    rs->stalled = false;
    if (keeps_too_much(rs)) /* it was put off */
        wr_run_sock_unfill(rs);
    while (!empty) {
        ptrdiff_t n = send_held(rs);
        if (n > 0)
            n = rs->urgent ? send_urgent(rs, &empty) : send_batch(rs, &empty);
        rs->stalled = n == 0;
        if (n < 0)
            return send_failed(rs, (int)n);
        if (n == 0)
            return true;
    }
    if (rs->shut_wr && !rs->closed)
        send_fin(rs);
    return true;
}

/* ---- Weir to program -------------------------------------------------------------------------- */

static ssize_t put_bytes(const struct run_sock *rs, const struct weir_span span[2])
{
    if (span[1].len == 0)
        return send(rs->fd, span[0].ptr, span[0].len, MSG_DONTWAIT | MSG_NOSIGNAL);
    struct iovec iov[2] = {{(void *)(uintptr_t)span[0].ptr, span[0].len},
                           {(void *)(uintptr_t)span[1].ptr, span[1].len}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    return sendmsg(rs->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The peer's end of stream. */
static void put_end(struct run_sock *rs)
{
    shutdown(rs->fd, SHUT_WR);
    rs->shut_rd = true;
}

/* The pair is full. For the first time: it is made as large as the other way, so that who reads much at once and the
 * supervisor need wake each other less, and is watched for room. Others are not watched: each read of the
 * program would be an event. True: there is more room now. */
static bool make_room(struct run_sock *rs)
{
    struct epoll_event event = {.events = RUN_PAIR_EVENTS | EPOLLOUT, .data.ptr = &rs->source};
    if (rs->wants_out)
        return false;
    wr_run_sock_widen(rs->fd);
    epoll_ctl(rs->program->run->epoll_fd, EPOLL_CTL_MOD, rs->fd, &event);
    rs->wants_out = true;
    return true;
}

/* The urgent byte of Weir's stream goes into the pair as one. False: the pair is full. */
static bool put_urgent(struct run_sock *rs, struct weir_stack *stack)
{
    uint8_t byte;
    if (weir_sock_recv(stack, rs->sock, &byte, 1, WEIR_MSG_OOB | WEIR_MSG_PEEK, NULL, weir_now()) !=
        1)
        return true; /* not there yet */
    if (send(rs->fd, &byte, 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
        return false;
    (void)weir_sock_recv(stack, rs->sock, &byte, 1, WEIR_MSG_OOB, NULL, weir_now());
    return true;
}

static void pump_down(struct run_sock *rs)
{
    struct weir_stack *stack = weir_host_lock(rs->program->host);
    while (rs->state == RUN_OPEN && !rs->shut_rd) {
        struct weir_span span[2] = {{0}, {0}};
        if (weir_sock_atmark(stack, rs->sock) == 1 && !put_urgent(rs, stack)) {
            if (make_room(rs))
                continue;
            break;
        }
        ptrdiff_t n = weir_sock_peek(stack, rs->sock, span, weir_now());
        if (n == WEIR_EAGAIN)
            break;
        if (n < 0 || (n == 0 && rs->error))
            wr_run_sock_die(rs, n < 0 ? (int)-n : rs->error);
        else if (n == 0)
            put_end(rs);
        if (n <= 0)
            break;
        ssize_t put = put_bytes(rs, span);
        if (put <= 0) {
            if (make_room(rs))
                continue;
            break; /* or EPIPE: the hang-up will come */
        }
        weir_sock_consume(stack, rs->sock, (size_t)put, weir_now());
    }
    weir_host_unlock(rs->program->host);
}

/* ---- ends ------------------------------------------------------------------------------------- */

static bool lingers_zero(struct run_sock *rs)
{
    struct weir_linger linger = {0};
    size_t len = sizeof linger;
    struct weir_stack *stack = weir_host_lock(rs->program->host);
    int err = weir_sock_getsockopt(stack, rs->sock, WEIR_SOL_SOCKET, WEIR_SO_LINGER, &linger, &len,
                                   weir_now());
    weir_host_unlock(rs->program->host);
    return err == 0 && linger.on && linger.seconds == 0;
}

/* The last descriptor is closed and the program had not read all that was in the pair. */
static bool closed_unread(const struct run_sock *rs)
{
    int error = 0;
    socklen_t len = sizeof error;
    return getsockopt(rs->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == ECONNRESET;
}

static bool anything_in(struct run_sock *rs)
{
    struct weir_span span[2];
    struct weir_stack *stack = weir_host_lock(rs->program->host);
    ptrdiff_t n = weir_sock_peek(stack, rs->sock, span, weir_now());
    weir_host_unlock(rs->program->host);
    return n != WEIR_EAGAIN && n != 0;
}

/* The program is done with it. What it wrote goes out first, unless bytes for it were lost: then, and
 * when more come, the peer must learn so by a reset (RFC 2525 2.17, as Linux). */
static void pump_closed(struct run_sock *rs)
{
    if (rs->state != RUN_OPEN) {
        wr_run_sock_drop(rs, false);
        return;
    }
    if (lingers_zero(rs) || closed_unread(rs) || (!rs->shut_rd && anything_in(rs))) {
        wr_run_sock_drop(rs, true);
        return;
    }
    if (wr_run_pump_up(rs) && !rs->stalled)
        wr_run_sock_drop(rs, false);
}

/* A reset after the peer's FIN: no read would show it. */
static void check_reset(struct run_sock *rs)
{
    struct weir_stack *stack = weir_host_lock(rs->program->host);
    int ready = weir_sock_ready(stack, rs->sock);
    weir_host_unlock(rs->program->host);
    if (ready < 0 || !(ready & WEIR_POLLERR))
        return;
    int error = wr_run_sock_error(rs);
    wr_run_sock_die(rs, error ? error : EPIPE);
}

static void pump(struct run_sock *rs, bool up)
{
    if (rs->state == RUN_DEAD)
        return;
    if (rs->closed) {
        pump_closed(rs);
        return;
    }
    if (rs->state != RUN_OPEN)
        return;
    if (up && !wr_run_pump_up(rs))
        return;
    pump_down(rs);
    if (rs->state == RUN_OPEN && rs->shut_rd)
        check_reset(rs);
    if (rs->state == RUN_OPEN && rs->fin_sent && rs->shut_rd)
        wr_run_sock_die(rs, 0);
}

/* What moved may have made room for a call that waits. */
static void pump_and_tell(struct run_sock *rs, bool up)
{
    pump(rs, up);
    if (rs->parked) {
        rs->parked = false;
        wr_run_park_retry(rs->program->run, rs->ino);
    }
}

void wr_run_pump_down(struct run_sock *rs)
{
    pump_and_tell(rs, rs->stalled);
}

void wr_run_pump(struct run_sock *rs)
{
    pump_and_tell(rs, true);
}

void wr_run_pump_ready(struct run_source *source, uint32_t events)
{
    struct run_sock *rs = (struct run_sock *)((char *)source - offsetof(struct run_sock, source));
    if (rs->state == RUN_DEAD)
        return;
    if ((events & EPOLLHUP) && !(rs->shut_wr && rs->shut_rd))
        rs->closed = true;
    if (events & EPOLLPRI)
        rs->urgent = true;
    wr_run_pump(rs);
}

void wr_run_pump_look(struct run_sock *rs)
{
    struct pollfd p = {.fd = rs->fd};
    if (rs->fd >= 0 && poll(&p, 1, 0) == 1)
        wr_run_pump_ready(&rs->source, p.revents & POLLHUP ? EPOLLHUP : 0);
}

/* ---- events of Weir --------------------------------------------------------------------------- */

void wr_run_pump_tokens(struct run_sock *rs)
{
    struct weir_stack *stack = weir_host_lock(rs->program->host);
    struct weir_tcp_info info;
    size_t len = sizeof info;
    memset(&info, 0, sizeof info);
    int err =
        weir_sock_getsockopt(stack, rs->sock, WEIR_SOL_TCP, WEIR_TCP_INFO, &info, &len, weir_now());
    uint32_t waiting = err ? 0 : info.tcpi_unacked; /* of a listener: the accept queue's length */
    waiting += rs->waiting != NULL;
    weir_host_unlock(rs->program->host);
    while (rs->tokens < waiting && send(rs->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
        rs->tokens++;
}

/* Sends what waits for the first time at each of those that were put off. What it cannot, pump_down does. */
static void put_together(struct weir_run *run)
{
    struct run_sock *sent[RUN_RING_MAX];
    ssize_t put[RUN_RING_MAX];
    size_t n = 0;
    for (size_t i = 0; i < run->n_later; i++) {
        struct run_sock *rs = run->later[i];
        struct weir_span span[2] = {{0}, {0}};
        if (rs->state != RUN_OPEN || rs->shut_rd)
            continue;
        struct weir_stack *stack = weir_host_lock(rs->program->host);
        /* Asked first, for a peek that finds nothing takes a pending error. */
        bool plain = weir_sock_inq(stack, rs->sock) > 0 && weir_sock_atmark(stack, rs->sock) != 1 &&
                     weir_sock_peek(stack, rs->sock, span, weir_now()) > 0 && span[1].len == 0;
        weir_host_unlock(rs->program->host);
        if (plain && wr_run_ring_send(run->ring, rs->fd, span[0].ptr, span[0].len, &put[n]))
            sent[n++] = rs;
    }
    wr_run_ring_go(run->ring);
    for (size_t i = 0; i < n; i++) {
        if (put[i] <= 0)
            continue;
        struct weir_stack *stack = weir_host_lock(sent[i]->program->host);
        weir_sock_consume(stack, sent[i]->sock, (size_t)put[i], weir_now());
        weir_host_unlock(sent[i]->program->host);
    }
}

void wr_run_pump_told(void *arg)
{
    struct weir_run *run = arg;
    if (run->n_later > 1)
        put_together(run);
    for (size_t i = 0; i < run->n_later; i++) {
        struct run_sock *rs = run->later[i];
        rs->later = false;
        if (rs->state != RUN_DEAD)
            wr_run_pump_down(rs);
    }
    run->n_later = 0;
}

/* There may be bytes for the program, as for many others. */
static void put_off(struct run_sock *rs)
{
    struct weir_run *run = rs->program->run;
    if (rs->later)
        return;
    if (run->n_later == RUN_RING_MAX)
        wr_run_pump_told(run);
    rs->later = true;
    run->later[run->n_later++] = rs;
}

void wr_run_pump_event(void *arg, const struct weir_event *event)
{
    struct weir_run *run = arg;
    struct run_sock *rs = wr_run_sock_find(run, (ino_t)event->user);
    if (!rs || rs->sock != event->sock)
        return;
    if (rs->state == RUN_LISTEN) {
        wr_run_park_retry(run, rs->ino);
        if (rs->state == RUN_LISTEN)
            wr_run_pump_tokens(rs);
    } else if (rs->state == RUN_CONNECTING) {
        int error = wr_run_sock_error(rs);
        if (error || (event->ready & WEIR_POLLOUT))
            wr_run_connect_done(rs, error);
    } else {
        put_off(rs);
    }
}
