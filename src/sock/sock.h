/* SPDX-License-Identifier: MIT */
/*
 * Sockets: what stands between the user's calls and the protocols.
 *
 *     handle.c         socket, close: the pool of sockets and their handles
 *     sock_bind.c      bind: local endpoints and who may share them; ephemeral ports
 *     sock_connect.c   connect, listen, accept, shutdown, abort: the states below
 *     sock_io.c        send, recv, peek, consume, queue lengths
 *     sock_name.c      getsockname, getpeername, rows for ss
 *     opts.c           setsockopt, getsockopt; opts_socket.c, opts_tcp.c, opts_ip.c a level each
 *     ready.c          poll bits, events
 *
 * A TCP socket has one of four states. They are those of Linux's struct socket, beside which the
 * connection has its own (RFC 9293) in the tcb:
 *
 *               listen                     shutdown(RD), connect(AF_UNSPEC)
 *        IDLE ----------> LISTENING   LISTENING -----------------------------> IDLE
 *               connect                     connect again, when it is established
 *        IDLE ----------> CONNECTING  CONNECTING ----------------------------> CONNECTED
 *               accept                      connect again, when it has failed
 *        (new) ---------> CONNECTED   CONNECTING ----------------------------> IDLE
 *                                     any, connect(AF_UNSPEC)
 *                                     ---------------------------------------> IDLE
 *
 * A socket of state CONNECTING or CONNECTED has a connection, which may be dead (wr_tcp_state() is CLOSE)
 * and then holds only an error and data to read, or be at rest; a call that does something wakes it. A UDP socket is IDLE, or CONNECTED when it has a
 * peer.
 */
#ifndef WR_SOCK_H
#define WR_SOCK_H

#include <assert.h>

#include <weir/event.h>
#include <weir/socket.h>

#include "base/hash.h"
#include "base/pool.h"
#include "core/core.h"
#include "ip/ip_entry.h"
#include "sock/sock_entry.h"
#include "tcp/tcp_entry.h"
#include "udp/udp_entry.h"

enum wr_sock_state { WR_SOCK_IDLE, WR_SOCK_LISTENING, WR_SOCK_CONNECTING, WR_SOCK_CONNECTED };

enum { WR_SOCK_SHUT_RCV = 1, WR_SOCK_SHUT_SEND = 2 };

/* What the socket of a connection can do without, which most are. */
struct wr_sock_more {
    struct wr_sock *sock;             /* whose it is */
    struct wr_hash_node bind_node;    /* in socks->binds while local.port is not 0 */
    union {                           /* CONNECTING, CONNECTED: ready.flow */
        struct wr_listener *listener; /* LISTENING */
        struct wr_udp_sock *udp;      /* UDP, always */
    };
    struct wr_tcp_opts opts; /* TCP; of no account while there is a connection, which has its own */
    uint8_t (*fastopen_key)[16]; /* TCP_FASTOPEN_KEY: room for two; NULL: none set */
    int error;                   /* IDLE: what SO_ERROR tells; positive errno */
    uint32_t mark;               /* SO_MARK */
    uint32_t peek_from;          /* SO_PEEK_OFF and one more; 0: off */
    struct weir_endpoint local;  /* as bound; port 0: not bound */
    uint8_t fastopen_keys;       /* how many */
};

struct wr_sock {
    struct wr_ready ready;
    struct wr_sock_more
        *more;            /* NULL: there is a connection, and all of it is as in a new socket */
    uint8_t state;        /* enum wr_sock_state */
    uint8_t shut;         /* IDLE or UDP: WR_SOCK_SHUT_* */
    uint8_t mtu_discover; /* IP_MTU_DISCOVER as set on a TCP socket */
    uint8_t protocol;     /* IP's number: TCP, UDP, or of a ping socket ICMP's */
    uint8_t priority : 3; /* SO_PRIORITY */
    bool broadcast : 1;
    bool freebind : 1;                      /* IP_FREEBIND */
    bool no_port : 1;                       /* IP_BIND_ADDRESS_NO_PORT */
    bool is_udp : 1, is_v6 : 1, v6only : 1; /* is_udp: ping sockets, too */
    bool reuseaddr : 1, reuseport : 1;
    bool port_chosen : 1; /* the user named the port (SOCK_BINDPORT_LOCK): kept when idle again */
    bool addr_chosen : 1; /* the same of the address */
};

/* Is there a connection, dead or alive? */
static inline bool wr_sock_has_tcb(const struct wr_sock *sock)
{
    return !sock->is_udp && (sock->state == WR_SOCK_CONNECTING || sock->state == WR_SOCK_CONNECTED);
}

/* That connection; NULL while it is at rest, and when there is none. */
static inline struct tcb *wr_sock_tcb(const struct wr_sock *sock)
{
    return wr_tcp_conn(&sock->ready);
}

static_assert(sizeof(struct wr_sock) <= 72, "each idle connection has one");

enum { WR_TURNS = 256 };

/* RFC 6056 3.3.4: an entry of table[]. */
struct wr_port_turn {
    uint32_t count;
    bool crowded; /* the ports next in order were all taken */
    bool odd;     /* it goes through the ports of the other parity */
};

struct wr_socks {
    struct wr_pool pool;
    weir_sock last_handle; /* the socket that was asked for or made last; 0: it is gone */
    struct wr_sock *last;  /* NULL then */
    struct wr_hash binds;  /* wr_sock.bind_node by protocol and port */
    struct wr_port_turn turns[WR_TURNS];
};

/* ---- handle.c -------------------------------------------------------------------------------- */

/* The socket of a handle; NULL when it is stale. */
struct wr_sock *wr_sock_find(const struct weir_stack *stack, weir_sock handle);
/* The same for a call that is to do something: its connection, if any, is awake. 0 and *sock, or WEIR_EBADF,
 * WEIR_ENOBUFS (no memory to wake it). */
int wr_sock_get(struct weir_stack *stack, weir_sock handle, struct wr_sock **sock);
/* For a call that only a connection has: 0 and *tcb, or as wr_sock_get(), WEIR_ENOTSUP of UDP, WEIR_ENOTCONN. */
int wr_sock_get_connection(struct weir_stack *stack, weir_sock handle, struct tcb **tcb);
/* A zeroed socket. 0 and *sock, or WEIR_EMFILE, WEIR_ENOMEM. */
int wr_sock_new(struct weir_stack *stack, struct wr_sock **sock);
/* sock->more is there when this returns true; false: out of memory. */
bool wr_sock_need_more(struct weir_stack *stack, struct wr_sock *sock);
/* There is a connection: what is as in a new socket is not kept. */
void wr_sock_need_less(struct weir_stack *stack, struct wr_sock *sock);
/* Takes it out of events and of the table of bindings and frees it; the protocol's part is gone. */
void wr_sock_free(struct weir_stack *stack, struct wr_sock *sock);

/* ---- sock_bind.c ----------------------------------------------------------------------------- */

/* May this address stand at this socket: of its family, not IPv4 when it is IPv6 only? 0 or
 * error. */
int wr_sock_family_check(const struct wr_sock *sock, const struct weir_addr *addr,
                         int v6only_error);
/* Gives the socket a local endpoint and enters it in the table; port 0: one is chosen. 0,
 * WEIR_EADDRINUSE, WEIR_ENOMEM. */
int wr_bind_enter(struct weir_stack *stack, struct wr_sock *sock,
                  const struct weir_endpoint *local);
/* Takes it out of the table; the local endpoint is unspecified then. */
void wr_bind_leave(struct weir_stack *stack, struct wr_sock *sock);
/* Does the binding still stand if the socket listens (Linux asks again at listen)? 0 or
 * WEIR_EADDRINUSE. */
int wr_bind_recheck(struct weir_stack *stack, struct wr_sock *sock);
/* Chooses local->port for a connection from local->addr to remote (RFC 6056 3.3.4). 0 or
 * WEIR_EADDRNOTAVAIL. */
int wr_bind_choose_port(struct weir_stack *stack, struct weir_endpoint *local,
                        const struct weir_endpoint *remote, weir_time now);
/* Binds a socket without a port to one that is chosen, at the address it has. As
 * wr_bind_enter(). */
int wr_sock_autobind(struct weir_stack *stack, struct wr_sock *sock);

/* ---- sock_connect.c -------------------------------------------------------------------------- */

/* The options in force, for reading and writing; TCP only. */
struct wr_tcp_opts *wr_sock_opts(struct wr_sock *sock);
/* The unspecified address of the socket's family. */
struct weir_addr wr_sock_any(const struct wr_sock *sock);
/* Where a packet to `remote` goes: there, or when it is unspecified to this host. */
struct weir_addr wr_sock_destination(const struct wr_sock *sock, const struct weir_addr *remote);

/* send with MSG_FASTOPEN. Bytes that went on the SYN, WEIR_EINPROGRESS, or an error as of connect;
 * WEIR_EISCONN when the connection is open already. */
ptrdiff_t wr_sock_send_fast(struct weir_stack *stack, struct wr_sock *sock,
                            const struct weir_endpoint *to, const void *data, size_t len,
                            weir_time now);

/* ---- ready.c --------------------------------------------------------------------------------- */

/* WEIR_POLL* bits of the socket. */
uint32_t wr_sock_poll(const struct weir_stack *stack, const struct wr_sock *sock);
/* SO_ERROR: takes the pending error; 0 or positive errno. */
int wr_sock_take_error(struct wr_sock *sock);

#endif
