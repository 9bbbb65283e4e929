/* SPDX-License-Identifier: MIT */
/*
 * The stack: a whole TCP/IP host that does no input or output of its own.
 *
 * Time comes in as an argument, randomness as a seed, memory through an allocator. The program that
 * owns a stack drives it with four calls:
 *
 *     weir_input()     a frame came in on a link
 *     weir_output()    what to send next on a link
 *     weir_deadline()  when the stack next wants to be called
 *     weir_advance()   time has passed
 *
 * in a loop such as this (whole in examples/own_loop.c):
 *
 *     sleep until a frame is there or weir_deadline() has come
 *     weir_input() for each frame, then weir_advance()
 *     socket calls, for weir_next_event() and for what the program wants
 *     weir_output() for each link until it gives 0
 *
 * Nothing is ever called back. What an application must learn is read with weir_next_event()
 * (event.h). A stack is not thread-safe; two stacks share nothing. `now` must never go back; a call
 * with an earlier `now` than one before is taken as if it said the latest one.
 */
#ifndef WEIR_STACK_H
#define WEIR_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/addr.h>
#include <weir/alloc.h>
#include <weir/error.h>
#include <weir/span.h>
#include <weir/time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_stack;

/* ---- a stack's life --------------------------------------------------------------------------- */

struct weir_config {
    struct weir_allocator alloc; /* where all memory comes from; copied */
    uint8_t seed[32];            /* every random choice follows from it: secret in production */
    size_t mem_max_bytes; /* bound of all memory the stack takes; 0: none but the allocator's */
    uint32_t max_sockets; /* default 1048576 */
    bool loopback;        /* have interface 1, "lo", with 127.0.0.1/8 and ::1; default true */
};

/* Fills in the defaults, with the C library's allocator and a seed of zeros: set `seed` yourself. */
void weir_config_default(struct weir_config *config);

/* Makes a stack. NULL when out of memory. The caller frees it with weir_stack_free(). */
struct weir_stack *weir_stack_new(const struct weir_config *config, weir_time now);

/* Frees the stack and everything in it; connections vanish without a word on the wire. */
void weir_stack_free(struct weir_stack *stack);

/* ---- the four calls ---------------------------------------------------------------------------- */

/* A frame that came in, borrowed until weir_input() returns. */
struct weir_frame {
    const uint8_t *data; /* Ethernet frame, or IP packet on a link without Ethernet */
    size_t len;          /* bytes; up to 64 KiB and the link header */
    uint16_t gso_size;   /* not 0: one large TCP segment made of segments of this many data bytes */
    bool csum_valid;     /* the link vouches for the transport checksum: do not verify it */
    /* Not NULL: only the first body_at bytes stand at `data`, the others here, in weir_input_room()'s data. */
    const uint8_t *body;
    size_t body_at;
};

enum {
    WEIR_HEAD_MAX = 256 /* room that weir_output() needs for the headers of a frame, in bytes */
};

/* A frame to send: headers in the caller's buffer, then up to two spans of data that the stack
 * lends until the next call on it. */
struct weir_out {
    uint8_t *head;   /* in: caller's buffer of at least WEIR_HEAD_MAX bytes */
    size_t head_len; /* out: bytes of it that are the frame's beginning */
    struct weir_span span[2];
    unsigned n_spans;
    uint16_t gso_size;   /* not 0: the link must cut the TCP payload into pieces of this size */
    bool gso_ipv6;       /* of an IPv6 packet (virtio: TCPV6) */
    bool csum_partial;   /* the link must finish the checksum: the field holds the folded sum of the
                          pseudo-header, the rest is to be summed from csum_start to the end */
    uint16_t csum_start; /* bytes from the frame's beginning */
    uint16_t csum_offset; /* of the field, bytes from csum_start */
    bool stays;           /* the spans are lent for longer: until the next call on the stack but
                          weir_output(); never on Ethernet */
};

/* Takes one frame in. Returns 0, or WEIR_ENODEV for an interface that is not there. Bad frames
 * are dropped and counted, which is no error. */
int weir_input(struct weir_stack *stack, int ifindex, const struct weir_frame *frame,
               weir_time now);

/* Where the next frame's data is probably going to be read by the program. A link that copies frames out of the kernel
 * may read the first head_len bytes of the next one to where it likes, and up to `len` more to `data`; if there are
 * some, they are weir_frame.body. It costs nothing but a copy if the guess was wrong. */
struct weir_room {
    uint8_t *data;
    size_t len;      /* as much as any frame has */
    size_t head_len; /* bytes of headers expected in front, the link's own included */
};
/* True and *room, which is valid until the next call on the stack, or false: there is nothing to guess from. */
bool weir_input_room(struct weir_stack *stack, int ifindex, struct weir_room *room);
/* No more frames for now: memory that was taken for room alone goes back. */
void weir_input_room_unused(struct weir_stack *stack);

/* Puts the next frame for a link into *out. Returns its whole length in bytes, 0 when there is
 * nothing to send. */
size_t weir_output(struct weir_stack *stack, int ifindex, struct weir_out *out, weir_time now);

/* Whether weir_next_event() has something to tell now, or weir_output() for that link. */
bool weir_has_work(struct weir_stack *stack, int ifindex);

/* When weir_advance() should be called next; WEIR_TIME_NEVER if nothing is pending. */
weir_time weir_deadline(const struct weir_stack *stack);

/* Runs timers due at `now`, and carries what is waiting on the loopback interface. However many are due, it does a
 * bounded amount: while weir_deadline() is not after `now` there is more to do, in another call, and what there
 * is to send may go out in between. */
void weir_advance(struct weir_stack *stack, weir_time now);

/* ---- interfaces, addresses, routes ------------------------------------------------------------- */

enum weir_netif_kind {
    WEIR_NETIF_IP,      /* frames are IP packets (TUN) */
    WEIR_NETIF_ETHERNET /* frames are Ethernet II; ARP and NDP are used */
};

/* The code for a guest, to be named in struct weir_netif_config: who has none does not link it in. */
struct weir_guest;
extern const struct weir_guest weir_guest;

struct weir_netif_config {
    char name[16]; /* NUL-terminated; unique in the stack */
    enum weir_netif_kind kind;
    uint8_t mac[6]; /* Ethernet only */
    uint32_t mtu;   /* bytes of an IP packet; 68 to 65535 */
    /* Largest IP packet that the link cuts by itself; 0: it cuts none. Above 65535 for IPv4 alone: the total
     * length of such a packet is 0, it ends with the frame */
    uint32_t gso_max_bytes;
    bool tx_csum; /* the link finishes transport checksums */
    /* &weir_guest: it leads to another stack that shares this one's addresses, one of its own kind: what
     * comes in and no socket here claims (TCP apart) goes there, what that one sends leaves by this one's
     * routes. Of kind WEIR_NETIF_IP, without offload, addresses or routes; one at most. For the kernel's
     * sockets of a program beside TCP here. NULL: a link like all others */
    const struct weir_guest *guest;
};

/* Adds an interface, up, without addresses. Returns its index (from 1), or WEIR_EEXIST,
 * WEIR_EINVAL, WEIR_ENOMEM. */
int weir_netif_add(struct weir_stack *stack, const struct weir_netif_config *config, weir_time now);
/* Removes it with its addresses, routes, neighbours and queue. Connections stay and time out.
 * WEIR_ENODEV. */
int weir_netif_remove(struct weir_stack *stack, int ifindex, weir_time now);
/* Connections send smaller segments from now on, or larger ones. WEIR_ENODEV, WEIR_EINVAL. */
int weir_netif_set_mtu(struct weir_stack *stack, int ifindex, uint32_t mtu, weir_time now);
/* Of one that is down nothing leaves, and what was queued is lost; addresses and routes stay but lead
 * nowhere, connections try again by their timers. WEIR_ENODEV. */
int weir_netif_set_up(struct weir_stack *stack, int ifindex, bool up, weir_time now);

/* Gives an interface an address, and the route to its prefix. prefix_len counts bits of the
 * address's own family. An IPv6 Ethernet interface also gets its link-local address (RFC 4291 2.5.6).
 * WEIR_EINVAL, WEIR_EEXIST, WEIR_ENODEV, WEIR_ENOMEM. */
int weir_addr_add(struct weir_stack *stack, int ifindex, const struct weir_addr *addr,
                  unsigned prefix_len, weir_time now);
/* Takes it away again, with the route to its prefix. Connections from it stay and time out.
 * WEIR_ENODEV, WEIR_EADDRNOTAVAIL. */
int weir_addr_remove(struct weir_stack *stack, int ifindex, const struct weir_addr *addr,
                     weir_time now);

struct weir_route {
    struct weir_addr prefix;
    unsigned prefix_len;      /* bits of the prefix's own family; 0: the default route */
    struct weir_addr gateway; /* the unspecified address: on link */
    int ifindex;              /* 0 with a gateway: the interface that leads to it */
    uint32_t metric;          /* the lower wins among equal prefixes */
};

/* Adds a route; it is copied. The longest prefix that matches is taken. WEIR_EINVAL (prefix, or a gateway of
 * another family or a group's), WEIR_ENODEV, WEIR_ENETUNREACH (no way to the gateway), WEIR_EEXIST,
 * WEIR_ENOMEM. */
int weir_route_add(struct weir_stack *stack, const struct weir_route *route);
/* Removes the route that is equal in all members. The same errors, and WEIR_ENOENT. */
int weir_route_remove(struct weir_stack *stack, const struct weir_route *route);

/* ---- what there is ---------------------------------------------------------------------------- */

/* The n-th of each, from 0; WEIR_ENOENT past the last.
 * netif_get returns the interface's index, and *config as it is now. route_get gives all routes, those
 * to the prefixes of addresses and those that routers told among them. Addresses: weir_addr_list(). */
int weir_netif_get(struct weir_stack *stack, unsigned n, struct weir_netif_config *config);
int weir_route_get(struct weir_stack *stack, unsigned n, struct weir_route *route);
/* A number that is another one after any of these changed (and sometimes when none did). */
uint32_t weir_config_generation(const struct weir_stack *stack);

/* ---- counters and tunables --------------------------------------------------------------------- */

/* Number of drop reasons, the name of each ("tcp_bad_checksum"), how often it happened. */
unsigned weir_drop_reasons(void);
const char *weir_drop_name(unsigned reason);
uint64_t weir_drop_count(const struct weir_stack *stack, unsigned reason);
/* Of the frames that weir_output() gave n were lost by the link. They are counted as link_lost. */
void weir_output_lost(struct weir_stack *stack, unsigned n, weir_time now);

/* The same for what went well, by Linux's names ("TcpRetransSegs", "IpInReceives"). */
unsigned weir_stat_kinds(void);
const char *weir_stat_name(unsigned kind);
uint64_t weir_stat_count(const struct weir_stack *stack, unsigned kind);

/* Forgets what is remembered of peers (proven addresses, cookies of fast open), as
 * `ip tcp_metrics flush all` does. */
void weir_metrics_flush(struct weir_stack *stack);

/* Bytes of memory that the stack holds now. */
size_t weir_mem_bytes(const struct weir_stack *stack);

/* Tunables by Linux's names ("net.ipv4.tcp_fin_timeout"). They are the stack's own, and take effect for
 * what begins after.
 *
 * get and set are for those that are one integer, and for each part of a vector by its own name
 * ("net.ipv4.tcp_rmem.max"). WEIR_ENOENT for an unknown name, WEIR_EINVAL for a value out of its range or
 * a tunable that is no integer. */
int weir_sysctl_get(const struct weir_stack *stack, const char *name, int64_t *value);
int weir_sysctl_set(struct weir_stack *stack, const char *name, int64_t value);

/* read and write are for all, in Linux's spelling: the numbers of a vector have tabs between them when
 * read, any blanks when written; fewer than it has set the first ones. read returns the text's length
 * without the NUL, which may be more than fits into cap (it is cut), or WEIR_ENOENT. write returns 0,
 * WEIR_ENOENT (unknown; also a congestion control that there is none of), WEIR_EINVAL, WEIR_EACCES (it can
 * only be read), WEIR_ENOMEM; nothing is changed then. */
ptrdiff_t weir_sysctl_read(const struct weir_stack *stack, const char *name, char *text,
                           size_t cap);
int weir_sysctl_write(struct weir_stack *stack, const char *name, const char *text);

/* The n-th tunable's name (a vector has one), NULL past the last. */
const char *weir_sysctl_name(unsigned n);

/* ---- secrets of a group of hosts ---------------------------------------------------------------- */

/* SYN cookies of hosts behind one address: each is given the same secret, and takes an ACK whose SYN
 * another one has answered. time_of_day is the common time at `now`, in nanoseconds (since 1970, say);
 * the hosts' clocks must agree to some seconds. Call it before there are connections: the timestamp
 * clock follows the common time from then on. WEIR_EINVAL. */
int weir_syncookie_secret(struct weir_stack *stack, const uint8_t secret[32], weir_time time_of_day,
                          weir_time now);

/* Keys of fast open cookies (RFC 7413 4.1.2) of all listeners without TCP_FASTOPEN_KEY: 16 bytes, or 32,
 * the key that makes cookies and one whose cookies are still taken. Hosts with the same keys take each
 * other's cookies, Linux's (net.ipv4.tcp_fastopen_key) among them: its words are little-endian here.
 * Otherwise a stack has a key of its own, from its seed. WEIR_EINVAL. */
int weir_fastopen_keys(struct weir_stack *stack, const void *keys, size_t len);

#ifdef __cplusplus
}
#endif
#endif
