/* SPDX-License-Identifier: MIT */
/*
 * What every layer above base and wire shares: the stack's common part, interfaces, packets on
 * their way up, timers, readiness, counters, tunables, memory.
 *
 * Each layer keeps its own state behind a pointer that only its folder can look into (stack->ip,
 * stack->tcp, stack->udp, stack->socks).
 */
#ifndef WR_CORE_H
#define WR_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/socket.h>
#include <weir/stack.h>

#include "base/hash.h"
#include "base/hint.h"
#include "base/list.h"
#include "base/rng.h"
#include "base/text.h"
#include "base/timerq.h"

struct wr_ip;    /* src/ip: routes, neighbours, reassembly, path MTUs */
struct wr_tcp;   /* src/tcp: connections, listeners, TIME-WAIT */
struct wr_flow;  /* src/tcp: one of them in the table of 4-tuples */
struct wr_udp;   /* src/udp */
struct wr_ports; /* core/ports.c */
struct wr_socks; /* src/sock: handles and port bindings */
struct wr_dhcp;  /* src/dhcp: a client, one an interface */
struct wr_netif;
struct wr_trace; /* core/tracing.c */

/* ---- counters and tunables: one X-macro list each -------------------------------------------- */

enum wr_drop {
#define X(name) WR_DROP_##name,
#include "core/drop.def"
#undef X
    WR_DROP_COUNT
};

enum wr_stat {
#define X(name, text) WR_STAT_##name,
#include "core/stat.def"
#undef X
    WR_STAT_COUNT
};

struct wr_tunables {
#define X(field, name, initial, lowest, highest) int64_t field;
#include "core/tunable.def"
#undef X
#undef VECTOR
#undef TEXT
};

/* What the stack may call of the DHCP client: through stack->dhcp, which weir_dhcp_start() sets, so that a program
 * which starts no client does not link it in. */
struct wr_dhcp_calls {
    /* A datagram of `len` bytes, checked, came to the client's port on an interface whose netif->dhcp is
     * set. */
    void (*input)(struct weir_stack *stack, struct wr_netif *netif, const uint8_t *data, size_t len,
                  weir_time now);
    void (*timer)(struct weir_stack *stack, struct wr_timer *timer, weir_time now);
    /* Frees the client of an interface that goes, if it has one, without a word to its server. */
    void (*netif_gone)(struct weir_stack *stack, struct wr_netif *netif);
};
/* Whether what a frame has in the room for its data may stay there: wr_tcp_room_fits(). */
typedef bool wr_room_fits(const struct weir_stack *stack, const struct wr_netif *netif,
                          const struct weir_frame *frame);

/* ---- the stack ------------------------------------------------------------------------------- */

/* How many of what comes back are kept for the next who asks: none where each mistake shall be seen. */
#if defined(WEIR_HARD) || defined(__SANITIZE_ADDRESS__)
#    define WR_SPARES(n) 0
#else
#    define WR_SPARES(n) (n)
#endif

/* A block of WR_RING_FIRST bytes that is kept for the next who asks for one, see core/alloc.c. */
struct wr_spare {
    struct wr_spare *next;
};
/* The same of small ones, of one size: as many as are taken and given back for each connection. */
struct wr_small_spares {
    struct wr_spare *first;
    uint32_t size;
    int n;
};
enum { WR_SMALL_SPARES = 32 };
/* The same of a large one. */
struct wr_large_spare {
    void *block;
    size_t size; /* 0: there is none */
};
enum { WR_LARGE_SPARES = 4 };

struct weir_stack {
    /* What every packet asks for comes first. */
    struct weir_allocator alloc; /* counts what is taken, and says no above mem_max_bytes */
    weir_time now; /* the latest time any call brought; for what has no `now` argument */
    struct wr_ip *ip;
    struct wr_tcp *tcp;
    struct wr_socks *socks;
    struct wr_trace *trace;      /* NULL: off, core/tracing.h */
    struct wr_netif *netif_last; /* asked for by its index last; NULL: none, or it went */
    struct wr_netif *lo;         /* NULL: none */
    struct wr_list events;       /* sockets to report, struct wr_ready.node */
    struct wr_list netifs;       /* struct wr_netif.node, ascending by ifindex */
    unsigned work;               /* left to this weir_advance(), see WR_WORK_PER_CALL */
    uint32_t max_sockets;
    struct wr_timerq timers; /* every timer of the stack */

    struct wr_udp *udp;
    struct wr_ports *ports;           /* local ports held by connections, see wr_port_hold() */
    const struct wr_dhcp_calls *dhcp; /* NULL: no client was ever started */
    wr_room_fits *room_fits;          /* NULL: nobody ever asked for room, weir_input_room() */
    struct weir_allocator user_alloc;
    size_t mem_bytes, mem_max_bytes;
    struct wr_spare *spares; /* counted in mem_bytes */
    int n_spares;
    struct wr_small_spares small_spares[WR_SMALL_SPARES]; /* counted, too */
    struct wr_large_spare large_spares[WR_LARGE_SPARES];  /* counted, too */
    unsigned next_large;                                  /* to be filled next */

    struct wr_rng rng;  /* choices that need not be secret: jitter of timers */
    uint8_t secret[32]; /* key material for ISNs, ports, cookies; each user derives its own */
    struct wr_tunables tunables;
    uint64_t drops[WR_DROP_COUNT];
    uint64_t stats[WR_STAT_COUNT];
#ifdef WEIR_CHECK
    bool long_ways; /* for tests: see wr_may_be_short() */
#endif
};

/* May what was found or made lately be used again? True, but in builds that check themselves a test may bar it, and all
 * short ways, and compare. */
static inline bool wr_may_remember(const struct weir_stack *stack)
{
#ifdef WEIR_CHECK
    return !stack->long_ways;
#else
    (void)stack;
    return true;
#endif
}
/* Asked at the top of each short way: base/hint.h */
static inline bool wr_may_be_short(const struct weir_stack *stack)
{
    return WR_SHORT_WAYS && wr_may_remember(stack);
}

/* The time of a call: `now`, or the latest time that a call brought when that is later (time never
 * goes back). Every public call that has a `now` begins with it. */
static inline weir_time wr_clock(struct weir_stack *stack, weir_time now)
{
    return stack->now = now > stack->now ? now : stack->now;
}

/* Memory of the stack; NULL when there is none or the bound is reached. zalloc zeroes. */
static inline void *wr_alloc(struct weir_stack *stack, size_t size)
{
    return stack->alloc.alloc(stack->alloc.ctx, size);
}
void *wr_zalloc(struct weir_stack *stack, size_t size);
/* Sets up the counting of a fresh stack's memory; frees the stack itself, the last thing it has. */
void wr_alloc_init(struct weir_stack *stack, const struct weir_config *config);
void wr_alloc_fini(struct weir_stack *stack);
/* Gives back what is kept for later. */
void wr_alloc_trim(struct weir_stack *stack);
/* Nothing to do for NULL. */
void wr_free(struct weir_stack *stack, void *ptr, size_t size);

/* What came in is dropped: counts it, and tells the trace. */
WR_COLD void wr_drop(struct weir_stack *stack, enum wr_drop reason);
static inline void wr_count(struct weir_stack *stack, enum wr_stat kind)
{
    stack->stats[kind]++;
}
static inline void wr_count_add(struct weir_stack *stack, enum wr_stat kind, uint64_t n)
{
    stack->stats[kind] += n;
}

/* Sets every tunable to its default. */
void wr_tunables_init(struct wr_tunables *tunables);

/* Derives a 16-byte SipHash key for one purpose from the stack's secret. */
void wr_derive_key(const struct weir_stack *stack, const char *purpose, uint8_t key[16]);
/* Makes an empty hash table of the stack's memory under such a key. */
void wr_table_init(struct weir_stack *stack, struct wr_hash *table, const char *purpose,
                   uint32_t limit);

/* ---- timers ---------------------------------------------------------------------------------- */

/* Whose timer it is: weir_advance() calls that layer's named function. Put the enum in
 * wr_timer.kind when the owner is made. */
enum wr_timer_kind {
    WR_TIMER_TCP,      /* wr_tcp_timer: one per connection, its earliest deadline */
    WR_TIMER_TCP_SYNQ, /* wr_tcp_synq_timer: a SYN queue entry */
    WR_TIMER_TCP_TW,   /* wr_tcp_timewait_timer */
    WR_TIMER_TCP_REST, /* wr_tcp_rest_timer: keepalive of a connection at rest */
    WR_TIMER_TCP_SCAN, /* wr_tcp_rest_scan: who may rest? */
    WR_TIMER_NEIGH,    /* wr_neigh_timer */
    WR_TIMER_FRAG,     /* wr_frag_timer */
    WR_TIMER_PMTU,     /* wr_pmtu_timer */
    WR_TIMER_ADDR,     /* wr_addr_timer: duplicate address detection */
    WR_TIMER_DHCP      /* stack->dhcp->timer */
};

/* What one weir_advance() does at most, so that no crowd that is due at one moment holds its caller up: timers fired,
 * and entries of a line of many that one timer serves. Who serves such a line takes from stack->work for each entry,
 * and arms its timer for what is left: the next call goes on, for which the deadline asks at once. */
enum { WR_WORK_PER_CALL = 256 };

/* Takes one unit of work; false: there is none left. */
static inline bool wr_work(struct weir_stack *stack)
{
    if (stack->work == 0)
        return false;
    stack->work--;
    return true;
}

void wr_timer_arm(struct weir_stack *stack, struct wr_timer *timer, weir_time at);
void wr_timer_cancel(struct weir_stack *stack, struct wr_timer *timer);

/* ---- readiness ------------------------------------------------------------------------------- */

/* What happened to a socket, as those bits of poll(2) whose waiters Linux would wake for it. It is no more than
 * a hint of what to look at: the bits themselves are asked when the event is read. */
enum {
    WR_HAPPENED_NOTHING = 0, /* of interest to the socket's owner, though poll(2) shows no change */
    WR_HAPPENED_DATA = WEIR_POLLIN | WEIR_POLLPRI,
    WR_HAPPENED_SPACE = WEIR_POLLOUT,
    WR_HAPPENED_ERROR = WEIR_POLLERR,
    WR_HAPPENED_STATE = WEIR_POLLIN | WEIR_POLLPRI | WEIR_POLLOUT | WEIR_POLLERR | WEIR_POLLHUP |
                        WEIR_POLLRDHUP, /* all */
};

/* Embedded in a socket. A protocol calls wr_ready_touch() when anything that poll(2) shows may have
 * changed; weir_next_event() asks the socket what its bits are when the event is read. */
struct wr_ready {
    struct wr_list node;
    uint64_t sock; /* weir_sock */
    uint64_t user;
    struct wr_notes *notes; /* the error queue, core/note.h; NULL: never needed */
    struct wr_flow *flow;   /* TCP: the connection, awake or at rest; NULL: none */
    uint32_t happened;      /* WR_HAPPENED_* since the last event was read */
};
/* happened: WR_HAPPENED_*. ready may be NULL (a connection without a socket): nothing is done. */
void wr_ready_touch(struct weir_stack *stack, struct wr_ready *ready, uint32_t happened);
void wr_ready_forget(struct wr_ready *ready);
/* Takes the oldest off the queue; NULL when it is empty. */
struct wr_ready *wr_ready_pop(struct weir_stack *stack);

/* ---- local TCP ports held by connections ----------------------------------------------------- */

enum { WR_PORT_REUSEADDR = 1, WR_PORT_REUSEPORT = 2 };

/*
 * Counts, per local port, the connections and TIME-WAIT records on it, whatever their addresses, so
 * that bind() knows of children, orphans and TIME-WAIT without a search (Linux's bind bucket). tcp
 * holds when it makes a tcb or a TIME-WAIT record and releases with the same arguments when it
 * frees it. `reuse`: which of WR_PORT_* its socket or listener had set then. False when out of
 * memory.
 */
bool wr_port_hold(struct weir_stack *stack, uint16_t port, unsigned reuse);
void wr_port_release(struct weir_stack *stack, uint16_t port, unsigned reuse);
/* How many hold the port without all of the WR_PORT_* bits `reuse` (one bit, or 0: all holders). */
uint32_t wr_port_holders(const struct weir_stack *stack, uint16_t port, unsigned reuse);
/* Ports that are never chosen, but may be asked for: net.ipv4.ip_local_reserved_ports, "1,5-9". */
bool wr_port_is_reserved(const struct weir_stack *stack, uint16_t port);
void wr_ports_reserved_read(const struct weir_stack *stack, struct wr_text *text);
int wr_ports_reserved_write(struct weir_stack *stack, const char *text);
/* Gives back what is kept for later. */
void wr_ports_trim(struct weir_stack *stack);
int wr_ports_init(struct weir_stack *stack);
void wr_ports_fini(struct weir_stack *stack);

/* ---- interfaces ------------------------------------------------------------------------------ */

enum { WR_ADDRS_PER_NETIF = 16 };

enum wr_addr_state { WR_ADDR_TENTATIVE, WR_ADDR_PREFERRED };

struct wr_ifaddr {
    struct weir_addr addr;
    unsigned prefix_len; /* bits of the 128-bit space: an IPv4 /24 is 120 */
    enum wr_addr_state state;
    bool deprecated; /* not chosen as a source while there is another, RFC 4862 5.5.4 */
    bool learnt;     /* leased, or from an advertised prefix */
    unsigned dad_left;
    struct wr_timer timer; /* WR_TIMER_ADDR */
};

/* A frame that waits in an interface's queue: all but bulk TCP data goes this way. */
struct wr_qpkt {
    struct wr_list node;
    uint32_t size;     /* allocated, header of this struct included */
    uint32_t len;      /* bytes of frame */
    uint32_t offset;   /* of the frame in data[]: room for a link header is kept in front */
    bool csum_partial; /* see struct weir_out */
    uint16_t csum_start, csum_offset;
    uint8_t data[];
};

struct wr_netif {
    struct wr_list node;
    int ifindex;
    struct weir_netif_config config;
    bool up, loopback;
    unsigned n_addrs;
    struct wr_list queue; /* struct wr_qpkt: ARP, NDP, ICMP, UDP, fragments, RST, SYN-ACK */
    unsigned queue_len;
    struct wr_qpkt *lent;       /* what weir_output() lent last; freed at the next call */
    struct wr_list tcp_ready;   /* connections with something to send here; owned by tcp_output */
    struct wr_dhcp *dhcp;       /* NULL: its addresses are not leased */
    struct weir_addr arp_asked; /* whether somebody has it is being asked, see wr_arp_ask() */
    bool arp_asks, arp_claimed; /* the question stands; somebody claimed it */
    bool tcp_turn;              /* weir_output() gives the next frame to TCP, the queue had its */
    uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
    struct wr_ifaddr addrs[WR_ADDRS_PER_NETIF];
};

/* Makes interface "lo" with 127.0.0.1/8 and ::1, and sets stack->lo. Called by weir_stack_new()
 * once the layers are up. 0 or WEIR_ENOMEM. */
int wr_netif_add_loopback(struct weir_stack *stack, weir_time now);
/* Frees every interface with its queue and addresses, without a word to routes and connections: for
 * weir_stack_free(), after the layers have gone. */
void wr_netif_free_all(struct weir_stack *stack);
/* Throws away what waits in an interface's queue, and the frame lent last. */
void wr_netif_flush(struct weir_stack *stack, struct wr_netif *netif);
struct wr_netif *wr_netif_by_index(struct weir_stack *stack, int ifindex);
/* The address record if addr is one of the stack's own (on netif, or on any when NULL). */
struct wr_ifaddr *wr_netif_own_addr(struct weir_stack *stack, struct wr_netif *netif,
                                    const struct weir_addr *addr);
/* Appends to the queue, which is bounded (tunable netif_queue_frames): the packet is freed and
 * counted as a drop when it is full. */
void wr_netif_enqueue(struct weir_stack *stack, struct wr_netif *netif, struct wr_qpkt *pkt);
/* A packet with `headroom` bytes free in front of `len`. NULL when out of memory. */
struct wr_qpkt *wr_qpkt_new(struct weir_stack *stack, size_t headroom, size_t len);
void wr_qpkt_free(struct weir_stack *stack, struct wr_qpkt *pkt);

/* ---- a packet on its way up ------------------------------------------------------------------ */

/* Made by ip input, lent to the transports. The IP header is checked, reassembly is done. */
struct wr_pkt {
    struct wr_netif *netif;    /* it came in here */
    struct weir_addr src, dst; /* v4-mapped for IPv4 */
    const uint8_t *l3;         /* the IP packet from its header on, for quoting in ICMP errors */
    size_t l3_len;
    const uint8_t *data; /* transport header and payload */
    size_t len;
    const uint8_t *
        body; /* not NULL: the payload stands here and not behind the header, see weir_input_room() */
    uint8_t proto; /* 6, 17, 1, 58 */
    uint8_t hop_limit;
    uint8_t ds;       /* DS field with ECN bits */
    bool dst_unicast; /* to one of our own addresses, not broadcast or multicast */
    bool csum_valid;  /* the link vouches for the transport checksum */
    bool reassembled;
    uint16_t gso_size; /* see struct weir_frame */
};

/* An ICMP error that a transport must know (RFC 1122 3.2.2, RFC 4443 2.4), already checked by ip:
 * it quotes a packet that this host could have sent. */
struct wr_icmp_error {
    struct weir_addr local, remote; /* of the quoted packet: its source (us), its destination */
    uint8_t proto;
    const uint8_t *quoted; /* what is quoted of the transport header on */
    size_t quoted_len;     /* at least 8 */
    int error;    /* negative weir_error as Linux maps it: ECONNREFUSED, EHOSTUNREACH, ... */
    bool hard;    /* Linux's `fatal` column: would end a connection attempt */
    uint32_t mtu; /* not 0: packet too big, next-hop MTU, floored; see wr_path_mtu_learn() */
    struct weir_addr from; /* who sent the error */
};

#endif
