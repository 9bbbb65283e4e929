/* SPDX-License-Identifier: MIT */
/*
 * Frames that are read straight into the receive ring.
 *
 * A link that copies frames out of the kernel can as well copy their data to where the program will read it. The
 * stack guesses that the next frame is the next super-segment of the connection that took one last, and gives the
 * link the room behind that connection's last byte; the headers, whose length was that of the last one, go elsewhere:
 *
 *      frame             [ ip, tcp, options ][ data . . . . . . . . . . . . ]
 *                                 |                      |
 *      read to           room.head_len bytes        room.data
 *                        of the link's own          of the ring:  [ unread data ][ room ... ]
 *
 * When the headers then say that the guess was right (wr_direct_fits), the frame takes the ordinary way in with its
 * data at struct weir_frame.body, and the ring finds the bytes where it was about to copy them. Else they are copied out of
 * the room to stand behind their headers, as in any frame: the room is beyond what the ring holds and stays so.
 *
 * "Right" is narrow, so that nothing on the way can want to put the data elsewhere: the very next byte of the stream,
 * no byte held beyond it, no option or flag that is not of every segment of a transfer.
 *
 * Limits: one connection at a time for the whole stack, and only super-segments, for which a copy counts.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "wire/w_eth.h"
#include "wire/w_ip4.h"
#include "wire/w_ip6.h"

enum { WORTH_IT = 8192, ROOM = 65536 };

void wr_direct_took(struct weir_stack *stack, struct tcb *tcb, const struct seg *seg)
{
    struct wr_direct *direct = &stack->tcp->direct;

    if (seg->len < WORTH_IT || seg->frame->body != NULL)
        return; /* too small, or it is this one already */
    direct->tcb = tcb;
    direct->netif = seg->netif;
    direct->head_len = (uint16_t)(seg->data - seg->l3);
}

void wr_direct_forget(struct weir_stack *stack, const struct tcb *tcb)
{
    if (stack->tcp->direct.tcb == tcb)
        stack->tcp->direct.tcb = NULL;
}

/* Would a segment's data go behind the last byte of the ring, whatever else it says? */
static bool takes_next(const struct tcb *tcb)
{
    return tcb->state != WEIR_TCP_CLOSE && !wr_tcb_opening(tcb) && !tcb->fin_seen &&
           !(tcb->shut & WR_SHUT_RCV) && (tcb->ofo == NULL || tcb->ofo->count == 0) &&
           tcb->rcv_ring.extent == tcb->rcv_ring.len;
}

bool wr_tcp_room(struct weir_stack *stack, const struct wr_netif *netif, struct weir_room *room)
{
    const struct wr_direct *direct = &stack->tcp->direct;
    struct tcb *tcb = direct->tcb;

    if (tcb == NULL || direct->netif != netif || !takes_next(tcb) || wr_mem_is_pressed(stack))
        return false;
    room->data = wr_ring_room(&tcb->rcv_ring, &stack->alloc, ROOM);
    room->len = ROOM;
    room->head_len = direct->head_len;
    wr_mem_settle(stack, tcb);
    return room->data != NULL;
}

void wr_tcp_room_unused(struct weir_stack *stack)
{
    struct tcb *tcb = stack->tcp->direct.tcb;

    if (tcb == NULL || tcb->rcv_ring.extent > 0)
        return;
    wr_ring_forget_beyond(&tcb->rcv_ring, &stack->alloc);
    wr_mem_settle(stack, tcb);
}

/* The transport header of the packet at `p` if it goes between the connection's ends and nothing stands between the
 * two headers; else NULL. */
static const uint8_t *own_tcp(const struct tcb *tcb, const uint8_t *p, size_t len)
{
    struct w_ip4 ip4;
    struct w_ip6 ip6;

    if (wr_tcb_is_v4(tcb)) {
        if (wr_w_ip4_parse(p, len, &ip4) != W_OK || ip4.hdr_len != W_IP4_HLEN ||
            ip4.proto != W_IPPROTO_TCP || wr_w_ip4_is_fragment(&ip4) || ip4.total_len != len ||
            !weir_addr_eq(&ip4.src, &tcb->tuple.remote) ||
            !weir_addr_eq(&ip4.dst, &tcb->tuple.local))
            return NULL;
        return p + W_IP4_HLEN;
    }
    if (wr_w_ip6_parse(p, len, &ip6) != W_OK || ip6.next != W_IPPROTO_TCP ||
        (size_t)W_IP6_HLEN + ip6.payload_len != len ||
        !weir_addr_eq(&ip6.src, &tcb->tuple.remote) || !weir_addr_eq(&ip6.dst, &tcb->tuple.local))
        return NULL;
    return p + W_IP6_HLEN;
}

bool wr_tcp_room_fits(const struct weir_stack *stack, const struct wr_netif *netif,
                      const struct weir_frame *frame)
{
    const struct wr_direct *direct = &stack->tcp->direct;
    size_t l2 = netif->config.kind == WEIR_NETIF_ETHERNET ? W_ETH_HLEN : 0, head, body;
    const struct tcb *tcb = direct->tcb;
    const uint8_t *tcp;
    struct w_tcp th;

    if (tcb == NULL || direct->netif != netif || !takes_next(tcb) || !frame->csum_valid ||
        frame->body_at != l2 + direct->head_len || frame->len <= frame->body_at)
        return false;
    body = frame->len - frame->body_at;
    tcp = own_tcp(tcb, frame->data + l2, frame->len - l2);
    if (tcp == NULL || !wr_ring_is_room(&tcb->rcv_ring, frame->body, body))
        return false;
    head = (size_t)(frame->data + frame->body_at - tcp);
    return head >= W_TCP_HLEN && wr_w_tcp_parse(tcp, head, &th) == W_OK && th.data_off == head &&
           th.src_port == tcb->tuple.rport && th.dst_port == tcb->tuple.lport &&
           th.seq == tcb->rcv_nxt &&
           (th.flags & ~(W_TCP_PSH | W_TCP_ECE | W_TCP_CWR | W_TCP_AE)) == W_TCP_ACK;
}
