/* SPDX-License-Identifier: MIT */
/*
 * Interfaces as data: the list, the addresses on each, and the queue of frames that wait for
 * weir_output(). What an interface means to routing and discovery is in src/ip, which also holds the
 * public calls that add and remove interfaces, addresses and routes (ip_config.c).
 */
#include "core/core.h"

struct wr_netif *wr_netif_by_index(struct weir_stack *stack, int ifindex)
{
    if (stack->netif_last != NULL && stack->netif_last->ifindex == ifindex)
        return stack->netif_last;
    WR_LIST_FOREACH(node, &stack->netifs)
    {
        struct wr_netif *netif = WR_CONTAINER(node, struct wr_netif, node);
        if (netif->ifindex == ifindex)
            return stack->netif_last = netif;
    }
    return NULL;
}

static struct wr_ifaddr *addr_on(struct wr_netif *netif, const struct weir_addr *addr)
{
    for (unsigned i = 0; i < netif->n_addrs; i++) {
        if (weir_addr_eq(&netif->addrs[i].addr, addr))
            return &netif->addrs[i];
    }
    return NULL;
}

/* All of 127.0.0.0/8 is the host itself (RFC 1122 3.2.1.3 (g)), though lo has but one record. */
static struct wr_ifaddr *loopback4_record(struct wr_netif *lo)
{
    for (unsigned i = 0; i < lo->n_addrs; i++) {
        struct wr_ifaddr *record = &lo->addrs[i];
        if (weir_addr_is_v4(&record->addr) && weir_addr_is_loopback(&record->addr))
            return record;
    }
    return NULL;
}

struct wr_ifaddr *wr_netif_own_addr(struct weir_stack *stack, struct wr_netif *netif,
                                    const struct weir_addr *addr)
{
    if (netif) {
        struct wr_ifaddr *record = addr_on(netif, addr);
        if (record || !netif->loopback)
            return record;
    } else {
        WR_LIST_FOREACH(node, &stack->netifs)
        {
            struct wr_ifaddr *record = addr_on(WR_CONTAINER(node, struct wr_netif, node), addr);
            if (record)
                return record;
        }
    }
    if (stack->lo && weir_addr_is_v4(addr) && weir_addr_is_loopback(addr))
        return loopback4_record(stack->lo);
    return NULL;
}

/* ---- packets and the queue --------------------------------------------------------------------- */

struct wr_qpkt *wr_qpkt_new(struct weir_stack *stack, size_t headroom, size_t len)
{
    size_t size = sizeof(struct wr_qpkt) + headroom + len;
    struct wr_qpkt *pkt = wr_alloc(stack, size);
    if (!pkt)
        return NULL;
    wr_list_init(&pkt->node);
    pkt->size = (uint32_t)size;
    pkt->len = (uint32_t)len;
    pkt->offset = (uint32_t)headroom;
    pkt->csum_partial = false;
    pkt->csum_start = 0;
    pkt->csum_offset = 0;
    return pkt;
}

void wr_qpkt_free(struct weir_stack *stack, struct wr_qpkt *pkt)
{
    if (!pkt)
        return;
    wr_list_remove(&pkt->node);
    wr_free(stack, pkt, pkt->size);
}

void wr_netif_enqueue(struct weir_stack *stack, struct wr_netif *netif, struct wr_qpkt *pkt)
{
    enum wr_drop why = WR_DROP_netif_queue_full;
    if (!netif->up)
        why = WR_DROP_netif_down;
    else if (netif->queue_len < (uint64_t)stack->tunables.netif_queue_frames) {
        wr_list_push_back(&netif->queue, &pkt->node);
        netif->queue_len++;
        return;
    }
    wr_drop(stack, why);
    wr_qpkt_free(stack, pkt);
}

void wr_netif_flush(struct weir_stack *stack, struct wr_netif *netif)
{
    struct wr_list *node;
    while ((node = wr_list_pop_front(&netif->queue)) != NULL) {
        wr_drop(stack, WR_DROP_netif_down);
        wr_qpkt_free(stack, WR_CONTAINER(node, struct wr_qpkt, node));
    }
    netif->queue_len = 0;
    wr_qpkt_free(stack, netif->lent);
    netif->lent = NULL;
}

void wr_netif_free_all(struct weir_stack *stack)
{
    struct wr_list *node;
    while ((node = wr_list_pop_front(&stack->netifs)) != NULL) {
        struct wr_netif *netif = WR_CONTAINER(node, struct wr_netif, node);
        for (unsigned i = 0; i < netif->n_addrs; i++)
            wr_timer_cancel(stack, &netif->addrs[i].timer);
        if (stack->dhcp != NULL)
            stack->dhcp->netif_gone(stack, netif);
        wr_netif_flush(stack, netif);
        wr_free(stack, netif, sizeof *netif);
    }
    stack->lo = stack->netif_last = NULL;
}
