/* SPDX-License-Identifier: MIT */
/* What the rest of the stack may call of IP. */
#ifndef WR_IP_ENTRY_H
#define WR_IP_ENTRY_H

#include "core/core.h"

/* ---- from stack.c ------------------------------------------------------------------------------ */

int wr_ip_init(struct weir_stack *stack);
void wr_ip_fini(struct weir_stack *stack);
/* A frame of any kind of link: Ethernet is taken off, ARP served, IP handed up. */
void wr_ip_input(struct weir_stack *stack, struct wr_netif *netif, const struct weir_frame *frame,
                 weir_time now);
/* Takes an interface's routes, neighbours and reassembly away, before it is removed. */
void wr_ip_netif_gone(struct weir_stack *stack, struct wr_netif *netif);
/* An address came (duplicate address detection starts for IPv6 on Ethernet, RFC 4862 5.4) or went. */
void wr_ip_addr_added(struct weir_stack *stack, struct wr_netif *netif, struct wr_ifaddr *addr,
                      weir_time now);
int wr_ip_route_add(struct weir_stack *stack, const struct weir_route *route);
int wr_ip_route_remove(struct weir_stack *stack, const struct weir_route *route);

void wr_neigh_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now);
void wr_frag_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now);
void wr_pmtu_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now);
void wr_addr_timer(struct weir_stack *stack, struct wr_timer *timer, weir_time now);

/* ---- for the transports ------------------------------------------------------------------------ */

/* Where packets to a destination go. Found once and kept by a connection; `generation` tells when it
 * must be found again. */
struct wr_path {
    struct weir_addr src;      /* the address to send from */
    struct weir_addr next_hop; /* the neighbour; the destination itself when on link */
    struct wr_netif *netif;    /* this and what follows each segment asks for */
    uint32_t generation;       /* of the routing table, see wr_path_stale() */
};

/* Longest prefix match, source address selection (RFC 6724's rules 1, 2, 8 in short; `src` not any: must be
 * one of ours, WEIR_EADDRNOTAVAIL otherwise). Own addresses go by the loopback interface.
 * WEIR_ENETUNREACH, WEIR_ENETDOWN, WEIR_EADDRNOTAVAIL. */
int wr_path_find(struct weir_stack *stack, const struct weir_addr *dst, const struct weir_addr *src,
                 struct wr_path *path);
/* The path by one interface to what its link carries itself: the limited broadcast, a group, a neighbour. src may
 * be unspecified. */
void wr_path_on_link(struct weir_stack *stack, struct wr_netif *netif, const struct weir_addr *src,
                     const struct weir_addr *next_hop, struct wr_path *path);
/* Routes, addresses or interfaces changed since the path was found: path->netif may dangle. */
bool wr_path_stale(const struct weir_stack *stack, const struct wr_path *path);
/* Path MTU to dst in bytes of IP packet: the lesser of the interface's and what ICMP told
 * (RFC 1191, RFC 8201; not below min_pmtu or 1280). */
uint32_t wr_path_mtu(struct weir_stack *stack, const struct wr_path *path,
                     const struct weir_addr *dst);

/* Stores a path MTU that an ICMP error told (wr_icmp_error.mtu), if it is smaller than what is known; it
 * expires after mtu_expires_s. For the transport that has found the quoted packet to be one of its own (RFC
 * 8201 4, RFC 5927 4.1): ip cannot know that, so it stores nothing by itself. */
void wr_path_mtu_learn(struct weir_stack *stack, const struct weir_addr *dst, uint32_t mtu,
                       weir_time now);

enum wr_neigh_state {
    WR_NEIGH_READY,  /* address known (or none needed): send now */
    WR_NEIGH_WAIT,   /* being asked for: wr_tcp_neigh_settled() follows */
    WR_NEIGH_FAILED, /* nobody answers */
};
/* Starts resolution if need be. For TCP, which keeps its data until the answer is there. */
enum wr_neigh_state wr_neigh_resolve(struct weir_stack *stack, const struct wr_path *path,
                                     weir_time now);
/* Upper-layer reachability confirmation (RFC 4861 7.3.1): an ACK for new data came by this path. */
void wr_neigh_confirm_by(struct weir_stack *stack, const struct wr_path *path, weir_time now);
static inline void wr_neigh_confirm(struct weir_stack *stack, const struct wr_path *path,
                                    weir_time now)
{
    if (!WR_SHORT_WAYS || path->netif == NULL || wr_path_stale(stack, path) ||
        path->netif->config.kind == WEIR_NETIF_ETHERNET)
        wr_neigh_confirm_by(stack, path, now);
}

/* Asks by an ARP probe (RFC 5227 2.1.1) whether somebody on the link has an IPv4 address. While
 * netif->arp_asks stays set, a claim or another's probe sets netif->arp_claimed. */
void wr_arp_ask(struct weir_stack *stack, struct wr_netif *netif, const struct weir_addr *addr);
/* Tells the link that this host has the address (RFC 5227 2.3). */
void wr_arp_announce(struct weir_stack *stack, struct wr_netif *netif,
                     const struct weir_addr *addr);
/* Name servers that routers told and that still hold, of all interfaces; how many were written. */
unsigned wr_ndp_dns(const struct weir_stack *stack, struct weir_addr *list, unsigned max);

/* How one packet is to be sent. */
struct wr_ip_tx {
    struct weir_addr src, dst;
    uint8_t proto;
    uint8_t hop_limit; /* 0: the default */
    uint8_t ds;        /* DS field with ECN bits */
    bool dont_fragment;
    uint8_t
        csum_offset; /* of a transport checksum that is left to the link, which takes that; 0: it is complete */
    uint32_t flow_label; /* IPv6, 20 bits */
};

/* Bytes that wr_ip_emit() will put in front of the transport header on this path. */
size_t wr_ip_head_len(const struct wr_path *path, const struct weir_addr *dst);
/* Writes link and IP header for `transport_len` bytes of transport header and payload. The neighbour must
 * be READY. gso: the packet will be cut by the link (IPv4 identification leaves room). */
void wr_ip_emit(struct weir_stack *stack, const struct wr_path *path, const struct wr_ip_tx *tx,
                size_t transport_len, unsigned gso_segs, uint8_t *head, weir_time now);

/* The same for IPv4 where no link header is and DF is set, as of most segments. */
void wr_ip_emit_atomic(struct weir_stack *stack, const struct weir_addr *src,
                       const struct weir_addr *dst, uint8_t proto, uint8_t hop_limit, uint8_t ds,
                       size_t transport_len, uint8_t *head);

/* Sends one packet of any size through the interface's queue: copies the spans, fragments where
 * allowed (WEIR_EMSGSIZE where not), waits for the neighbour in a bounded queue. The transport checksum
 * must be complete, but for tx->csum_offset. path NULL: found here. 0, WEIR_ENETUNREACH, WEIR_EHOSTUNREACH, WEIR_ENOBUFS, ... */
int wr_ip_send(struct weir_stack *stack, const struct wr_path *path, const struct wr_ip_tx *tx,
               const struct weir_span *spans, unsigned n_spans, weir_time now);

/* May the transport checksum of a packet by this path be left to the link? */
static inline bool wr_ip_takes_csum(const struct weir_stack *stack, const struct wr_path *path)
{
    const struct weir_netif_config *config = &path->netif->config;

    return !wr_path_stale(stack, path) && config->tx_csum && config->kind == WEIR_NETIF_IP;
}
/* The short way of wr_ip_send(), for a packet over IPv4 of no more than any path takes (68 bytes, RFC 791) that is written
 * where it waits for the link. Does nothing speak against it, and is there no link header? */
static inline bool wr_ip_is_clear(const struct weir_stack *stack, const struct wr_path *path)
{
    return wr_ip_takes_csum(stack, path) && path->netif->up &&
           path->netif->queue_len < (uint64_t)stack->tunables.netif_queue_frames;
}
/* Then, room for it, from pkt->data + pkt->offset on: a header by wr_ip_emit_atomic(), and what is behind it. NULL: no
 * memory, counted. */
struct wr_qpkt *wr_ip_room(struct weir_stack *stack, size_t whole);
/* Its transport header begins behind head_len bytes, and its checksum there, of which the pseudo-header's sum is
 * written, is the link's to finish. */
static inline void wr_ip_leave_csum(struct wr_qpkt *pkt, size_t head_len, size_t csum_offset)
{
    pkt->csum_partial = true;
    pkt->csum_start = (uint16_t)head_len;
    pkt->csum_offset = (uint16_t)csum_offset;
}
static inline void wr_ip_post(const struct wr_path *path, struct wr_qpkt *pkt)
{
    wr_list_push_back(&path->netif->queue, &pkt->node);
    path->netif->queue_len++;
}

/* ---- the guest ---------------------------------------------------------------------------------- */

/* Gives a packet that no socket here claims (or that is for all) to the guest (ip_guest.c). False if there is
 * none: the packet is then the caller's to drop and to answer. */
bool wr_guest_take(struct weir_stack *stack, const struct wr_pkt *pkt);

/* ---- ICMP errors ------------------------------------------------------------------------------- */

enum wr_unreach { WR_UNREACH_PORT, WR_UNREACH_PROTO, WR_UNREACH_HOST, WR_UNREACH_ADMIN };
/* Answers a packet with an ICMP or ICMPv6 error quoting it, unless RFC 1122 3.2.2 or RFC 4443 2.4 forbids or
 * the rate limit is reached. */
void wr_icmp_unreachable(struct weir_stack *stack, const struct wr_pkt *pkt, enum wr_unreach why,
                         weir_time now);

#endif
