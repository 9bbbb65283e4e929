/* SPDX-License-Identifier: MIT */
/*
 * The IP layer among its own files.
 *
 *     in    ip_host      link header off, dispatch; life of the layer
 *           ip4_input    header checks, ours or not, options    -> ip_frag -> deliver
 *           ip6_input    the same, and the walk over extension headers
 *           ip_frag      reassembly, both families
 *           ip_guest     what no socket here claims, for a second stack; and what that one sends
 *           ip_icmp      echo, errors that come in; ip_icmp_out: errors that go out, their limits
 *           ip_arp       ARP;  ip_ndp: neighbour discovery;  ip_ndp_router: router discovery;
 *                        ip_mld: multicast listener discovery
 *     out   ip_output    wr_ip_send, wr_ip_emit; ip4_output, ip6_output: headers and fragments
 *           ip_neigh     neighbour cache: state machine, waiting packets, link header
 *     both  ip_route     routes, path and source address;  ip_pmtu: path MTUs
 *           ip_config    the public calls for interfaces, addresses and routes
 *
 * Both families go through the same neighbour cache, routing table, reassembly and path MTU table, keyed
 * by struct weir_addr.
 */
#ifndef WR_IP_H
#define WR_IP_H

#include <assert.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "core/core.h"
#include "ip/ip_entry.h"
#include "wire/w_arp.h"
#include "wire/w_ip4.h"
#include "wire/w_ip6.h"
#include "wire/w_ip6ext.h"
#include "wire/w_ndp.h"

/* ---- state ------------------------------------------------------------------------------------- */

enum wr_route_origin {
    WR_ROUTE_CONNECTED, /* of an interface's own address */
    WR_ROUTE_STATIC,    /* weir_route_add() */
    WR_ROUTE_RA,        /* a router advertisement: default route or on-link prefix */
    WR_ROUTE_REDIRECT   /* one destination */
};

struct wr_route {
    struct wr_list node; /* in wr_ip.routes: longest prefix first, then lowest metric */
    struct weir_addr prefix, gateway;
    unsigned prefix_len; /* bits of the 128-bit space */
    bool has_gateway;
    struct wr_netif *netif;
    uint32_t metric;
    enum wr_route_origin origin;
    weir_time expires_at; /* WEIR_TIME_NEVER but for RA and redirects */
};

/* NUD states of RFC 4861 7.3.2; FAILED as in Linux: asked, and nobody answered. */
enum wr_nud {
    WR_NUD_INCOMPLETE,
    WR_NUD_REACHABLE,
    WR_NUD_STALE,
    WR_NUD_DELAY,
    WR_NUD_PROBE,
    WR_NUD_FAILED
};

/* Which entry goes first when the cache is full: the front of the first list that is not empty. */
enum wr_neigh_class {
    WR_NEIGH_JUNK,  /* failed, or learnt and never sent to */
    WR_NEIGH_ASKED, /* no answer yet */
    WR_NEIGH_IDLE,  /* stale, was in use once */
    WR_NEIGH_LIVE,  /* in use: stays, but when its confirmation is long past */
    WR_NEIGH_CLASSES
};

struct wr_neigh {
    struct wr_hash_node hash;
    struct wr_list node; /* in wr_ip.neigh_class[] */
    struct wr_netif *netif;
    struct weir_addr addr;
    struct weir_addr src; /* of the packet that asked first: source of solicitations */
    uint8_t mac[6];
    enum wr_nud state;
    unsigned probes; /* solicitations sent in this state */
    bool used;       /* something was sent by it */
    bool tcp_waits;  /* wr_tcp_neigh_settled() is owed */
    bool is_router;  /* NA's R flag or RA */
    weir_time changed_at, confirmed_at;
    weir_time reachable_ns; /* REACHABLE lasts this long, RFC 4861 6.3.2 */
    struct wr_timer timer;  /* WR_TIMER_NEIGH */
    struct wr_list queue;   /* struct wr_qpkt: IP packets that wait, oldest first */
    uint32_t queue_bytes;
};

enum { WR_RDNSS_MAX = 3 }; /* name servers kept of an interface's routers */

/* A name server of an advertisement, RFC 8106 5.1. */
struct wr_rdnss {
    struct weir_addr addr;
    weir_time until; /* in the past: none */
};

/* What neighbour discovery knows of an interface beside its addresses. */
struct wr_ndp_if {
    struct wr_list node;
    struct wr_netif *netif;
    bool asks; /* routers have been solicited: what they say is listened to */
    unsigned rs_left;
    weir_time rs_at;
    unsigned mld_left; /* reports of the groups joined, still to be sent */
    weir_time mld_at;
    bool mld_answer;   /* the next one answers a query: it tells a state, not a change */
    bool mld_v1;       /* the querier speaks version 1 */
    uint32_t mtu;      /* of an RA; 0: none */
    uint8_t hop_limit; /* of an RA; 0: none */
    weir_time base_reachable_ns, retrans_ns; /* of an RA; 0: none */
    struct wr_rdnss rdnss[WR_RDNSS_MAX];
};

enum {
    WR_SLAAC_MAX = 32,                /* autoconfigured addresses of a stack */
    WR_ID_BUCKETS = 1024,             /* counters of IPv4 and fragment identification */
    WR_ICMP_BUCKETS = 256,            /* of the rate limit per destination */
    WR_FRAG_SOURCES = 256,            /* groups of senders between which reassembly is fair */
    WR_NEIGH_QUEUE_BYTES = 72 * 1024, /* waiting for one neighbour: one datagram of any size */
    WR_NEIGH_QUEUE_TOTAL = 1024 * 1024,
    WR_LINK_HEADROOM = 14 /* kept free in front of every IP packet that is queued */
};

/* An autoconfigured address, RFC 4862 5.5.3 */
struct wr_slaac {
    struct wr_netif *netif; /* NULL: free */
    struct weir_addr addr;
    weir_time valid_until, preferred_until;
};

/* Rate limit of ICMP errors to the destinations that share a bucket. */
struct wr_icmp_bucket {
    weir_time at;
    weir_time credit; /* ns, as Linux's token: one message costs icmp_ratelimit_ms */
};

/* Senders that share a group, see ip_frag.c. */
struct wr_frag_source {
    struct wr_list datagrams; /* oldest first */
    uint32_t bytes;
};

/* A source and one of our own addresses that a packet came with lately, and that were found to be good: until
 * the generation changes they are. A place each by the source, the latest stays. */
struct wr_ip_pair {
    struct weir_addr src_dst[2];
    const struct wr_netif *netif; /* where it came in; NULL: empty */
    uint32_t generation;
    bool v4;
};
enum { WR_IP_PAIRS = 32 };

/* What wr_path_find() has answered lately, and why it would again. A place each by the addresses asked for. */
struct wr_way {
    struct weir_addr dst, src; /* as asked: src may be unspecified */
    struct wr_path path;       /* generation 0: the place is empty */
    bool direct;               /* without a gateway */
};
enum { WR_IP_WAYS = 32 };

struct wr_ip {
    struct wr_list routes;
    unsigned n_routes, n_learnt; /* all; those of RA and redirects, which are bounded */
    uint32_t generation;

    struct wr_hash neighs;
    struct wr_list neigh_class[WR_NEIGH_CLASSES];
    struct wr_neigh *neigh_last; /* found last; NULL when it went */
    size_t neigh_queued_bytes;

    struct wr_hash pmtus;
    struct wr_list pmtu_order; /* earliest to expire first */
    struct wr_timer pmtu_timer;

    struct wr_hash frags;
    size_t frag_bytes;

    struct wr_netif *guest; /* NULL: none */

    struct wr_list ndp_ifs;
    struct wr_timer ndp_timer; /* router solicitations, lifetimes of what routers told */
    struct wr_slaac slaac[WR_SLAAC_MAX];

    struct wr_ip_pair known[WR_IP_PAIRS];
    struct wr_way ways[WR_IP_WAYS];

    uint8_t key[16]; /* SipHash key of the three below */
    uint32_t id_counter[WR_ID_BUCKETS];
    struct wr_icmp_bucket icmp_bucket[WR_ICMP_BUCKETS];
    weir_time icmp_global_at;
    int64_t icmp_global_credit;

    weir_time arp_defended_at; /* RFC 5227 2.4: the last defence, of any address */
    unsigned arp_conflicts;    /* met while probing */

    struct wr_frag_source frag_source[WR_FRAG_SOURCES];
};

/* ---- ip_host ----------------------------------------------------------------------------------- */

/* SipHash of up to 40 bytes of key material under the layer's key. */
uint64_t wr_ip_hash(const struct weir_stack *stack, const void *key, size_t len);
/* True when addr is one of ours and may be used: not tentative. */
bool wr_ip_is_own(struct weir_stack *stack, const struct weir_addr *addr);

/* Were the packet's addresses found to be good, and its destination to be our own, as long as nothing has changed? Or:
 * they are. */
bool wr_ip_pair_is_known(const struct weir_stack *stack, const struct wr_netif *netif,
                         const struct weir_addr *src, const struct weir_addr *dst);
/* The same of two IPv4 addresses as they stand in a header, or NULL. */
const struct wr_ip_pair *wr_ip_pair_known4(const struct weir_stack *stack,
                                           const struct wr_netif *netif, const uint8_t *addrs);
void wr_ip_pair_learn(struct weir_stack *stack, const struct wr_netif *netif,
                      const struct weir_addr *src, const struct weir_addr *dst);

/* ---- input ------------------------------------------------------------------------------------- */

/* The IP packet that begins at `p` in the frame (padding may follow); of IPv6 of `len` bytes. link_group: it came to a
 * group address of the link. */
void wr_ip4_input(struct weir_stack *stack, struct wr_netif *netif, const struct weir_frame *frame,
                  const uint8_t *p, bool link_group, weir_time now);
void wr_ip6_input(struct weir_stack *stack, struct wr_netif *netif, const struct weir_frame *frame,
                  const uint8_t *p, size_t len, weir_time now);
/* A reassembled packet. The header is checked, the payload is whole. */
void wr_ip4_deliver(struct weir_stack *stack, struct wr_pkt *pkt, weir_time now);
void wr_ip6_reassembled(struct weir_stack *stack, struct wr_netif *netif, const uint8_t *p,
                        size_t len, weir_time now);
/* True for 255.255.255.255 and for the directed broadcast of a prefix on netif (any when NULL). */
bool wr_ip4_is_broadcast(struct weir_stack *stack, const struct wr_netif *netif,
                         const struct weir_addr *addr);

/* ---- ip_guest ---------------------------------------------------------------------------------- */

/* What only a stack with a guest needs; found by the configuration of its interface. */
struct weir_guest {
    /* A packet from the guest. */
    void (*input)(struct weir_stack *stack, const struct weir_frame *frame, weir_time now);
    /* No neighbour answered for a packet that no socket here has sent. */
    void (*link_failure)(struct weir_stack *stack, const uint8_t *p, size_t len);
};

/* Gives the guest a copy of an IP packet to a group that this host is not in. False: dst is no group, or
 * there is no guest for it. */
bool wr_guest_take_group(struct weir_stack *stack, const struct wr_netif *netif,
                         const struct weir_addr *dst, const uint8_t *p, size_t len);

/* ---- ip_frag ----------------------------------------------------------------------------------- */

/* Takes a fragment; pkt->data is its piece of the payload. What is whole with it is delivered. */
void wr_frag_input4(struct weir_stack *stack, const struct wr_pkt *pkt, const struct w_ip4 *ip,
                    weir_time now);
void wr_frag_input6(struct weir_stack *stack, const struct wr_pkt *pkt, const struct w_ip6ext *ext,
                    weir_time now);
void wr_frag_init(struct weir_stack *stack);
/* Forgets the datagrams of netif, all when NULL. */
void wr_frag_flush(struct weir_stack *stack, const struct wr_netif *netif);

/* ---- output ------------------------------------------------------------------------------------ */

/* Write the IP header for `payload_len` bytes of transport header and data. */
void wr_ip4_write_header(struct weir_stack *stack, const struct wr_ip_tx *tx, size_t payload_len,
                         unsigned gso_segs, uint8_t *p);
void wr_ip6_write_header(struct weir_stack *stack, const struct wr_path *path,
                         const struct wr_ip_tx *tx, size_t payload_len, uint8_t *p);
/* Cut a datagram into fragments of at most mtu bytes and send each. Errors as wr_ip_send. */
int wr_ip4_fragment(struct weir_stack *stack, const struct wr_path *path, const struct wr_ip_tx *tx,
                    const struct weir_span *spans, unsigned n_spans, uint32_t mtu, weir_time now);
int wr_ip6_fragment(struct weir_stack *stack, const struct wr_path *path, const struct wr_ip_tx *tx,
                    const struct weir_span *spans, unsigned n_spans, uint32_t mtu, weir_time now);
/* The next identification for a packet from src to dst that may be fragmented, RFC 6864 4.2: a counter
 * with an offset that only the key's holder knows. `n` numbers are taken. */
uint32_t wr_ip_next_id(struct weir_stack *stack, const struct wr_ip_tx *tx, uint32_t n);
/* Copies bytes [off, off + len) of the spans. */
void wr_ip_copy_range(uint8_t *dst, const struct weir_span *spans, unsigned n_spans, size_t off,
                      size_t len);

/* ---- ip_route ---------------------------------------------------------------------------------- */

/* Back to whom pkt came from, with `src` or (any) an address chosen. */
int wr_path_back(struct weir_stack *stack, const struct wr_pkt *pkt, const struct weir_addr *src,
                 struct wr_path *path);
/* Paths found until now are stale. */
void wr_route_changed(struct weir_stack *stack);
/* Adds or refreshes a route that is not the user's. WEIR_ENOBUFS when too many were learnt. */
int wr_route_learn(struct weir_stack *stack, const struct wr_route *route);
/* Removes every route for which `match` says so. */
void wr_route_remove_if(struct weir_stack *stack,
                        bool (*match)(const struct wr_route *route, const void *arg),
                        const void *arg);
/* Adds the route to an address's prefix; removes it with the last address that needs it. */
int wr_route_connect(struct weir_stack *stack, struct wr_netif *netif,
                     const struct wr_ifaddr *addr);
void wr_route_disconnect(struct weir_stack *stack, struct wr_netif *netif,
                         const struct weir_addr *addr, unsigned prefix_len);
/* True when addr lies in an on-link prefix of netif. */
bool wr_route_on_link(struct weir_stack *stack, const struct wr_netif *netif,
                      const struct weir_addr *addr);
/* True when some route goes by this gateway. */
bool wr_route_is_gateway(struct weir_stack *stack, const struct wr_netif *netif,
                         const struct weir_addr *addr);
/* addr with all bits behind the first `len` cleared. */
struct weir_addr wr_addr_masked(const struct weir_addr *addr, unsigned len);
/* An address of netif to speak from to dst; NULL when it has none of that family. */
const struct wr_ifaddr *wr_source_select(struct wr_netif *netif, const struct weir_addr *dst);

/* ---- ip_neigh ---------------------------------------------------------------------------------- */

void wr_neigh_init(struct weir_stack *stack);
void wr_neigh_flush(struct weir_stack *stack, const struct wr_netif *netif);
struct wr_neigh *wr_neigh_find(struct weir_stack *stack, const struct wr_netif *netif,
                               const struct weir_addr *addr);
/* Finds or makes an entry; NULL when the cache is full of neighbours in use, or out of memory. */
struct wr_neigh *wr_neigh_get(struct weir_stack *stack, struct wr_netif *netif,
                              const struct weir_addr *addr, weir_time now);
/* The neighbour's address is `mac` (NULL: as known) and its state becomes `state`, one of REACHABLE or
 * STALE; what waited is sent. */
void wr_neigh_update(struct weir_stack *stack, struct wr_neigh *neigh, const uint8_t *mac,
                     enum wr_nud state, weir_time now);
/* Puts the link header in front of an IP packet (headroom is there) and queues it on the interface, now
 * or when the neighbour has answered. Takes ownership. src: the packet's, for solicitations. */
int wr_neigh_send(struct weir_stack *stack, struct wr_netif *netif,
                  const struct weir_addr *next_hop, const struct weir_addr *src,
                  struct wr_qpkt *pkt, weir_time now);
/* The link address for a next hop that must be READY; false when it is not known. */
bool wr_neigh_mac(struct weir_stack *stack, const struct wr_path *path, uint8_t mac[6],
                  weir_time now);
/* True when the entry exists and is FAILED. */
bool wr_neigh_is_failed(struct weir_stack *stack, const struct wr_netif *netif,
                        const struct weir_addr *addr);

/* ---- ip_arp, ip_ndp ---------------------------------------------------------------------------- */

void wr_arp_input(struct weir_stack *stack, struct wr_netif *netif, const uint8_t *p, size_t len,
                  weir_time now);
/* Asks who has target: to `mac`, or to all when NULL. src any: an address of netif is chosen. */
void wr_arp_request(struct weir_stack *stack, struct wr_netif *netif,
                    const struct weir_addr *target, const struct weir_addr *src,
                    const uint8_t *mac);
/* RFC 5227 probing of a new address (tunable weir.arp_probe): starts it, goes on with it. */
void wr_arp_probe_start(struct weir_stack *stack, struct wr_ifaddr *addr, weir_time now);
void wr_arp_probe_timer(struct weir_stack *stack, struct wr_netif *netif, struct wr_ifaddr *addr,
                        weir_time now);

void wr_ndp_input(struct weir_stack *stack, const struct wr_pkt *pkt, weir_time now);
void wr_ndp_solicit(struct weir_stack *stack, struct wr_netif *netif,
                    const struct weir_addr *target, const struct weir_addr *src, const uint8_t *mac,
                    weir_time now);
/* Sends an NDP message (hop limit 255) from src to dst by netif. */
void wr_ndp_send(struct weir_stack *stack, struct wr_netif *netif, const struct weir_addr *src,
                 const struct weir_addr *dst, const struct w_ndp *ndp, weir_time now);
/* Duplicate address detection, RFC 4862 5.4. */
void wr_ndp_dad_start(struct weir_stack *stack, struct wr_ifaddr *addr, weir_time now);
void wr_ndp_dad_timer(struct weir_stack *stack, struct wr_netif *netif, struct wr_ifaddr *addr,
                      weir_time now);

/* ip_mld: groups joined are told to switches and routers, RFC 3810. */
void wr_mld_joined(struct weir_stack *stack, struct wr_netif *netif, weir_time now);
void wr_mld_query(struct weir_stack *stack, const struct wr_pkt *pkt, weir_time now);
void wr_mld_timer(struct weir_stack *stack, struct wr_ndp_if *ndp, weir_time now);

/* ip_ndp_router */
struct wr_ndp_if *wr_ndp_if_find(struct weir_stack *stack, const struct wr_netif *netif);
/* Finds or makes it; NULL when out of memory, which is counted. */
struct wr_ndp_if *wr_ndp_if_get(struct weir_stack *stack, struct wr_netif *netif);
/* Something has a new time: the layer's timer is set anew. */
void wr_ndp_rearm(struct weir_stack *stack);
/* A link-local address may be used from now on: routers are asked for (RFC 4861 6.3.7). */
void wr_ndp_router_start(struct weir_stack *stack, struct wr_netif *netif, weir_time now);
void wr_ndp_router_advert(struct weir_stack *stack, const struct wr_pkt *pkt,
                          const struct w_ndp *ndp, weir_time now);
void wr_ndp_redirect(struct weir_stack *stack, const struct wr_pkt *pkt, const struct w_ndp *ndp,
                     weir_time now);
/* A neighbour is no router any more: its default route goes. */
void wr_ndp_router_lost(struct weir_stack *stack, const struct wr_netif *netif,
                        const struct weir_addr *router);
void wr_ndp_router_timer(struct weir_stack *stack, weir_time now);
void wr_ndp_router_gone(struct weir_stack *stack, const struct wr_netif *netif);

/* ---- ip_config --------------------------------------------------------------------------------- */

/* The same as weir_addr_add() and weir_addr_remove() with an address record's prefix length. */
int wr_addr_add(struct weir_stack *stack, struct wr_netif *netif, const struct weir_addr *addr,
                unsigned prefix_len, weir_time now);
void wr_addr_remove(struct weir_stack *stack, struct wr_netif *netif, struct wr_ifaddr *record);
/* A /64 prefix with the interface identifier made from the MAC, RFC 4291 appendix A. */
struct weir_addr wr_addr_eui64(const struct weir_addr *prefix, const uint8_t mac[6]);
/* The interface that holds an address record. */
struct wr_netif *wr_addr_netif(struct weir_stack *stack, const struct wr_ifaddr *record);

/* ---- ip_icmp, ip_icmp_out ------------------------------------------------------------------------ */

void wr_icmp4_input(struct weir_stack *stack, const struct wr_pkt *pkt, weir_time now);
void wr_icmp6_input(struct weir_stack *stack, const struct wr_pkt *pkt, weir_time now);
/* Answers with an ICMP error of that type, code and second word, if the rules and the limit allow.
 * force_group: also when the packet was to a multicast address (RFC 4443 2.4 (e.3)). */
void wr_icmp4_error(struct weir_stack *stack, const struct wr_pkt *pkt, uint8_t type, uint8_t code,
                    uint32_t rest, weir_time now);
void wr_icmp6_error(struct weir_stack *stack, const struct wr_pkt *pkt, uint8_t type, uint8_t code,
                    uint32_t rest, bool force_group, weir_time now);
/* Tells the transport whose packet this was (an IP packet of ours) that its neighbour cannot be reached:
 * EHOSTUNREACH, as Linux's link failure. */
void wr_icmp_link_failure(struct weir_stack *stack, const uint8_t *p, size_t len, weir_time now);

/* ---- ip_pmtu ----------------------------------------------------------------------------------- */

void wr_pmtu_init(struct weir_stack *stack);
void wr_pmtu_flush(struct weir_stack *stack);
/* What is stored for dst; 0: nothing. */
uint32_t wr_pmtu_find(struct weir_stack *stack, const struct weir_addr *dst);
/* MTU of the interface for dst's family. */
uint32_t wr_netif_mtu(struct weir_stack *stack, const struct wr_netif *netif,
                      const struct weir_addr *dst);
/* What a too-big message means: plateaus for 0 (RFC 1191 7.1), floors. 0: to be ignored. */
uint32_t wr_pmtu_judge(struct weir_stack *stack, const struct weir_addr *dst, uint32_t told,
                       uint32_t packet_len);

#endif
