/* SPDX-License-Identifier: MIT */
/*
 * Sockets of a stack: BSD sockets as on Linux, but never blocking and with time as an argument.
 *
 * A socket is named by a handle of slot and generation: a stale one is WEIR_EBADF, never a crash.
 * Calls return 0 or a count, or a negative error (error.h) where Linux would set that errno on a
 * non-blocking socket. Levels, options, flags and poll bits have Linux's numbers, so that a program's
 * own values can be passed through. Blocking calls for threads are in host.h.
 */
#ifndef WEIR_SOCKET_H
#define WEIR_SOCKET_H

#include <stddef.h>
#include <stdint.h>

#include <weir/stack.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint64_t weir_sock; /* 0 is never a socket */

enum { WEIR_AF_INET = 2, WEIR_AF_INET6 = 10 };
enum { WEIR_SOCK_STREAM = 1, WEIR_SOCK_DGRAM = 2 };
/* Protocols beside the usual ones: a WEIR_SOCK_DGRAM socket of these (the second with WEIR_AF_INET6) sends
 * echo requests, and receives the replies, as ICMP messages with their header; its port is the identifier
 * in them, which the stack fills in, with the checksum. */
enum { WEIR_PROTO_ICMP = 1, WEIR_PROTO_ICMPV6 = 58 };
enum { WEIR_SHUT_RD = 0, WEIR_SHUT_WR = 1, WEIR_SHUT_RDWR = 2 };

enum {
    WEIR_POLLIN = 0x001,
    WEIR_POLLPRI = 0x002,
    WEIR_POLLOUT = 0x004,
    WEIR_POLLERR = 0x008,
    WEIR_POLLHUP = 0x010,
    WEIR_POLLRDHUP = 0x2000,
};

enum {
    WEIR_MSG_OOB = 0x1,
    WEIR_MSG_PEEK = 0x2,
    WEIR_MSG_TRUNC = 0x20,
    WEIR_MSG_WAITALL = 0x100,
    WEIR_MSG_DONTWAIT = 0x40,
    WEIR_MSG_EOR = 0x80, /* a record ends: what is written later leaves in segments of its own */
    WEIR_MSG_NOSIGNAL = 0x4000,
    WEIR_MSG_MORE = 0x8000,
    WEIR_MSG_ZEROCOPY = 0x4000000,
    WEIR_MSG_FASTOPEN = 0x20000000, /* connects, with the data on the SYN; RFC 7413 */
};

enum {
    WEIR_SOL_IP = 0,
    WEIR_SOL_SOCKET = 1,
    WEIR_SOL_TCP = 6,
    WEIR_SOL_UDP = 17,
    WEIR_SOL_IPV6 = 41
};

/* Options of level WEIR_SOL_SOCKET. */
enum {
    WEIR_SO_REUSEADDR = 2,
    WEIR_SO_TYPE = 3,
    WEIR_SO_ERROR = 4,
    WEIR_SO_BROADCAST = 6,
    WEIR_SO_SNDBUF = 7,
    WEIR_SO_RCVBUF = 8,
    WEIR_SO_KEEPALIVE = 9,
    WEIR_SO_OOBINLINE = 10,
    WEIR_SO_PRIORITY = 12, /* kept, and means nothing: there is no queue to stand in */
    WEIR_SO_LINGER = 13,   /* struct weir_linger */
    WEIR_SO_REUSEPORT = 15,
    WEIR_SO_RCVLOWAT = 18,
    WEIR_SO_SNDLOWAT = 19,
    WEIR_SO_ACCEPTCONN = 30,
    WEIR_SO_MARK = 36,         /* kept, and means nothing: no rule of routing looks at it */
    WEIR_SO_TIMESTAMPING = 37, /* WEIR_STAMPING_* */
    WEIR_SO_PROTOCOL = 38,
    WEIR_SO_DOMAIN = 39,
    WEIR_SO_PEEK_OFF = 42, /* TCP: where the next peek begins; -1: where the next read does */
    WEIR_SO_MAX_PACING_RATE = 47, /* bytes per second: 4 bytes, all ones being no limit, or 8 */
    WEIR_SO_ZEROCOPY = 60,
};

/* Options of level WEIR_SOL_TCP. */
enum {
    WEIR_TCP_NODELAY = 1,
    WEIR_TCP_MAXSEG = 2,
    WEIR_TCP_CORK = 3,
    WEIR_TCP_KEEPIDLE = 4,
    WEIR_TCP_KEEPINTVL = 5,
    WEIR_TCP_KEEPCNT = 6,
    WEIR_TCP_SYNCNT = 7,
    WEIR_TCP_LINGER2 = 8,
    WEIR_TCP_DEFER_ACCEPT = 9,
    WEIR_TCP_WINDOW_CLAMP = 10,
    WEIR_TCP_INFO = 11, /* struct weir_tcp_info of info.h */
    WEIR_TCP_QUICKACK = 12,
    WEIR_TCP_CONGESTION = 13,  /* a string */
    WEIR_TCP_THIN_DUPACK = 17, /* taken and without effect, as on Linux since 4.11 */
    WEIR_TCP_USER_TIMEOUT = 18,
    WEIR_TCP_FASTOPEN =
        23, /* of a listener: connections opened fast and not yet acknowledged, at most */
    WEIR_TCP_NOTSENT_LOWAT = 25,
    WEIR_TCP_FASTOPEN_CONNECT = 30, /* connect() waits for the first data, if there is a cookie */
    WEIR_TCP_FASTOPEN_KEY = 33,     /* of a listener: 16 bytes, or 32: key and the one before it */
    WEIR_TCP_FASTOPEN_NO_COOKIE = 34, /* neither asks for cookies nor wants them */
    WEIR_TCP_INQ = 36,                /* recvmsg tells how much is left: TCP_CM_INQ */
};

enum {
    WEIR_IP_TOS = 1,
    WEIR_IP_TTL = 2,
    WEIR_IP_MTU_DISCOVER = 10,
    WEIR_IP_MTU = 14,
    WEIR_IP_FREEBIND = 15,
    WEIR_IP_BIND_ADDRESS_NO_PORT = 24 /* bind() to port 0 leaves the port to connect() */
};
enum {
    WEIR_IPV6_UNICAST_HOPS = 16,
    WEIR_IPV6_MTU_DISCOVER = 23,
    WEIR_IPV6_MTU = 24,
    WEIR_IPV6_V6ONLY = 26,
    WEIR_IPV6_TCLASS = 67
};

struct weir_linger {
    int on;
    int seconds;
};

/* Bits of WEIR_SO_TIMESTAMPING, of those that Linux has. Others are WEIR_ENOTSUP. */
enum {
    WEIR_STAMPING_TX_SOFTWARE = 1 << 1,
    WEIR_STAMPING_SOFTWARE = 1 << 4, /* the note has the time in it */
    WEIR_STAMPING_OPT_ID = 1 << 7,
    WEIR_STAMPING_TX_SCHED = 1 << 8,
    WEIR_STAMPING_TX_ACK = 1 << 9,
    WEIR_STAMPING_OPT_TSONLY = 1 << 11,
    WEIR_STAMPING_OPT_ID_TCP = 1 << 16,
    WEIR_STAMPING_TX = WEIR_STAMPING_TX_SOFTWARE | WEIR_STAMPING_TX_SCHED | WEIR_STAMPING_TX_ACK
};

/* Makes a socket. type: WEIR_SOCK_STREAM (protocol 0 or 6) or WEIR_SOCK_DGRAM (0 or 17).
 * WEIR_EAFNOSUPPORT, WEIR_ESOCKTNOSUPPORT, WEIR_EPROTONOSUPPORT, WEIR_EMFILE, WEIR_ENOMEM. */
int weir_sock_open(struct weir_stack *stack, int domain, int type, int protocol, weir_sock *sock);

/* Closes it: TCP goes on in the background as close(2) does (FIN, or RST when data is unread or
 * SO_LINGER says so). The handle is stale afterwards. WEIR_EBADF. */
int weir_sock_close(struct weir_stack *stack, weir_sock sock, weir_time now);

/* Gives it a local address (unspecified: any of the stack's) and port (0: one is chosen, RFC 6056). An IPv4
 * endpoint on an IPv6 socket is the v4-mapped address, and so it is everywhere. WEIR_EADDRINUSE,
 * WEIR_EADDRNOTAVAIL, WEIR_EINVAL (it has one), WEIR_EAFNOSUPPORT, WEIR_EACCES, WEIR_EBADF, WEIR_ENOMEM. */
int weir_sock_bind(struct weir_stack *stack, weir_sock sock, const struct weir_endpoint *local);
/* TCP: connections are taken from now on, up to `backlog` that wait for accept (at most
 * net.core.somaxconn). Again: changes that. WEIR_EADDRINUSE, WEIR_EINVAL, WEIR_ENOTSUP, WEIR_EBADF,
 * WEIR_ENOMEM. */
int weir_sock_listen(struct weir_stack *stack, weir_sock sock, int backlog, weir_time now);
/* TCP: WEIR_EINPROGRESS when the SYN is on its way; later POLLOUT and SO_ERROR tell. 0 with
 * TCP_FASTOPEN_CONNECT and a known cookie: the first send sends the SYN. remote NULL: AF_UNSPEC, dissolves
 * the association. */
int weir_sock_connect(struct weir_stack *stack, weir_sock sock, const struct weir_endpoint *remote,
                      weir_time now);
/* Takes a connection off the accept queue: *conn is a socket of the caller's. peer may be NULL.
 * WEIR_EAGAIN, WEIR_EINVAL (it does not listen), WEIR_ENOTSUP, WEIR_EBADF, WEIR_EMFILE, WEIR_ENOMEM. */
int weir_sock_accept(struct weir_stack *stack, weir_sock sock, weir_sock *conn,
                     struct weir_endpoint *peer, weir_time now);

/* Copies into the socket's send buffer; returns the bytes taken (UDP: all or an error). `to` is for
 * UDP and for WEIR_MSG_FASTOPEN, which connects there and takes what fits on the SYN, or is
 * WEIR_EINPROGRESS when that goes without data; else NULL. WEIR_EAGAIN, WEIR_EPIPE, WEIR_ENOTCONN, WEIR_EMSGSIZE, ... */
ptrdiff_t weir_sock_send(struct weir_stack *stack, weir_sock sock, const void *data, size_t len,
                         int flags, const struct weir_endpoint *to, weir_time now);
/* Copies out of the receive buffer; 0 is end of stream. `from` may be NULL. UDP: the datagram's
 * rest is lost, and with WEIR_MSG_TRUNC its whole length is returned. WEIR_EAGAIN, ... */
ptrdiff_t weir_sock_recv(struct weir_stack *stack, weir_sock sock, void *data, size_t len,
                         int flags, struct weir_endpoint *from, weir_time now);

/* TCP without the copy. peek lends up to two spans of what recv would give (valid until the next
 * call on the stack, which may be a weir_sock_send() of them) and returns their bytes, 0 at end of stream,
 * or recv's error; consume then takes `len` of them off. */
ptrdiff_t weir_sock_peek(struct weir_stack *stack, weir_sock sock, struct weir_span span[2],
                         weir_time now);
int weir_sock_consume(struct weir_stack *stack, weir_sock sock, size_t len, weir_time now);
/* And outwards. reserve lends room in the send buffer for up to `len` bytes, in up to two pieces, and returns
 * how many, or send's error; WEIR_ENOTSUP where only a send() will do (TCP_FASTOPEN_CONNECT). The caller
 * writes there and calls commit, as the next call on the stack, with how many of them are to be sent: it
 * returns that, or send's error. Room that is not used is given back by a commit of 0. */
ptrdiff_t weir_sock_reserve(struct weir_stack *stack, weir_sock sock, struct weir_piece room[2],
                            size_t len, weir_time now);
ptrdiff_t weir_sock_commit(struct weir_stack *stack, weir_sock sock, size_t len, weir_time now);

/* A note of the socket's error queue, as recvmsg(MSG_ERRQUEUE) has it in struct sock_extended_err;
 * WEIR_POLLERR shows while there is one. That of a send with WEIR_MSG_ZEROCOPY is there when the send
 * returns (Linux: when the data is acknowledged), for the data has been copied. */
enum { WEIR_NOTE_TIMESTAMPING = 4, WEIR_NOTE_ZEROCOPY = 5 };           /* origin */
enum { WEIR_STAMP_SND = 0, WEIR_STAMP_SCHED = 1, WEIR_STAMP_ACK = 2 }; /* info, of a timestamp */
enum { WEIR_ZEROCOPY_COPIED = 1 };                                     /* code */

struct weir_note {
    uint8_t origin; /* WEIR_NOTE_* */
    uint8_t type, code;
    int error;           /* positive errno */
    uint32_t info, data; /* of sends with WEIR_MSG_ZEROCOPY: the first and last that are done */
    bool cut;            /* Linux would have given the packet with it (MSG_TRUNC) */
    bool stamped;
    weir_time at; /* when it happened, if stamped */
};

/* Takes the oldest note. 0, WEIR_EAGAIN when there is none, WEIR_EBADF. */
int weir_sock_next_note(struct weir_stack *stack, weir_sock sock, struct weir_note *note);

/* Ends one direction or both, WEIR_SHUT_*: of sending by FIN, after what is still to be sent. A listener
 * stops listening. WEIR_ENOTCONN, WEIR_EINVAL, WEIR_EBADF. */
int weir_sock_shutdown(struct weir_stack *stack, weir_sock sock, int how, weir_time now);

/* Its own address and port, unspecified and 0 as long as it has none; WEIR_EBADF. */
int weir_sock_getsockname(struct weir_stack *stack, weir_sock sock, struct weir_endpoint *local);
/* The other side's. WEIR_ENOTCONN, WEIR_EBADF. */
int weir_sock_getpeername(struct weir_stack *stack, weir_sock sock, struct weir_endpoint *peer);

/* As setsockopt(2) and getsockopt(2) on Linux. Options of time-outs of blocking calls belong to the
 * host layer. WEIR_ENOPROTOOPT, WEIR_EINVAL. */
int weir_sock_setsockopt(struct weir_stack *stack, weir_sock sock, int level, int option,
                         const void *value, size_t len, weir_time now);
int weir_sock_getsockopt(struct weir_stack *stack, weir_sock sock, int level, int option,
                         void *value, size_t *len, weir_time now);

/* WEIR_POLL* bits as poll(2) would show them now, or a negative error. */
int weir_sock_ready(struct weir_stack *stack, weir_sock sock);
/* Bytes readable (SIOCINQ), bytes sent or to be sent and not acknowledged (SIOCOUTQ), whether the
 * read pointer is at the urgent mark (SIOCATMARK); or a negative error. */
ptrdiff_t weir_sock_inq(struct weir_stack *stack, weir_sock sock);
ptrdiff_t weir_sock_outq(struct weir_stack *stack, weir_sock sock);
int weir_sock_atmark(struct weir_stack *stack, weir_sock sock);

/* A number of the application's that comes back in each event of this socket; 0 at first. WEIR_EBADF. */
int weir_sock_set_user(struct weir_stack *stack, weir_sock sock, uint64_t user);

/* Resets a connection at once: RST to the peer, WEIR_ECONNABORTED to the reader (RFC 9293 3.10.5). The
 * handle stays, until it is closed. WEIR_ENOTCONN, WEIR_ENOTSUP, WEIR_EBADF. */
int weir_sock_abort(struct weir_stack *stack, weir_sock sock, weir_time now);

/* What a connection waits for, weir_sock_row.timer: Linux's numbers, as `ss -o` shows them. */
enum {
    WEIR_TIMER_NONE = 0,
    WEIR_TIMER_RETRANSMIT = 1,
    WEIR_TIMER_KEEPALIVE = 2,
    WEIR_TIMER_TIME_WAIT = 3, /* also an orphan's wait in FIN-WAIT-2 */
    WEIR_TIMER_PERSIST = 4,
};

/* One row of the connection table, for ss and its like. */
struct weir_sock_row {
    weir_sock sock; /* 0: no socket is left (orphan, SYN-RECEIVED, TIME-WAIT) */
    uint64_t user;  /* as set by weir_sock_set_user() */
    int type;       /* WEIR_SOCK_STREAM or WEIR_SOCK_DGRAM */
    int protocol;   /* IP's number: 6, 17, of a ping socket 1 or 58 */
    int state;      /* Linux's TCP state numbers: 1 ESTABLISHED ... 10 LISTEN, 11 CLOSING */
    struct weir_endpoint local, peer;
    size_t recv_q, send_q; /* listener: accept queue's length, its limit */
    int domain;            /* of the socket, or of the addresses if none is left */
    bool v6only;
    int timer;            /* WEIR_TIMER_* */
    weir_time timer_at;   /* when it is due; NEVER if there is none */
    unsigned retransmits; /* or probes, since there was progress */
};
/* Rows in a stable order: start with *cursor = 0, call until it returns false. */
bool weir_sock_next_row(struct weir_stack *stack, uint64_t *cursor, struct weir_sock_row *row);

#ifdef __cplusplus
}
#endif
#endif
