/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "link/link_wire.h"
#include "wire/w_csum.h"

enum { IP4_MIN = 20, IP6_HEAD = 40, TCP_MIN = 20, UDP_HEAD = 8 };
enum { EXT_HOP = 0, EXT_ROUTING = 43, EXT_FRAGMENT = 44, EXT_DEST = 60 };

static bool view_ip4(const uint8_t *data, size_t len, struct wr_link_view *v)
{
    const uint8_t *ip = data + v->l3;
    size_t room = len - v->l3;
    if (room < IP4_MIN)
        return false;
    size_t head = (size_t)(ip[0] & 15) * 4, total = wr_link_get16(ip + 2);
    if (head < IP4_MIN || total < head || total > room)
        return false;
    v->family = 4;
    v->proto = ip[9];
    v->fragment = (wr_link_get16(ip + 6) & 0x3fff) != 0;
    v->l4 = v->l3 + head;
    v->end = v->l3 + total;
    return true;
}

static bool view_ip6(const uint8_t *data, size_t len, struct wr_link_view *v)
{
    const uint8_t *ip = data + v->l3;
    size_t room = len - v->l3;
    if (room < IP6_HEAD || wr_link_get16(ip + 4) > room - IP6_HEAD)
        return false;
    v->family = 6;
    v->proto = ip[6];
    v->l4 = v->l3 + IP6_HEAD;
    v->end = v->l4 + wr_link_get16(ip + 4);
    while (v->proto == EXT_HOP || v->proto == EXT_ROUTING || v->proto == EXT_DEST ||
           v->proto == EXT_FRAGMENT) {
        if (v->end - v->l4 < 8)
            return false;
        const uint8_t *ext = data + v->l4;
        size_t size = v->proto == EXT_FRAGMENT ? 8 : ((size_t)ext[1] + 1) * 8;
        if (size > v->end - v->l4)
            return false;
        v->fragment |= v->proto == EXT_FRAGMENT;
        v->proto = ext[0];
        v->l4 += size;
    }
    return true;
}

/* Fills in what is read from the transport header; false when that is cut short. */
static bool view_transport(const uint8_t *data, struct wr_link_view *v)
{
    size_t room = v->end - v->l4;
    v->payload = v->l4;
    if (v->fragment)
        return true;
    if (v->proto == WR_PROTO_TCP) {
        if (room < TCP_MIN)
            return false;
        size_t head = (size_t)(data[v->l4 + 12] >> 4) * 4;
        if (head < TCP_MIN || head > room)
            return false;
        v->payload += head;
        v->flags = data[v->l4 + 13];
    } else if (v->proto == WR_PROTO_UDP) {
        if (room < UDP_HEAD)
            return false;
        v->payload += UDP_HEAD;
    }
    return true;
}

bool wr_link_view(const uint8_t *data, size_t len, enum weir_netif_kind kind,
                  struct wr_link_view *view)
{
    memset(view, 0, sizeof *view);
    if (kind == WEIR_NETIF_ETHERNET) {
        if (len < WR_ETH_HEAD)
            return false;
        uint16_t type = wr_link_get16(data + 12);
        if (type != 0x0800 && type != 0x86dd)
            return false;
        view->l3 = WR_ETH_HEAD;
    }
    if (len <= view->l3)
        return false;
    unsigned version = data[view->l3] >> 4;
    if (version == 4)
        return view_ip4(data, len, view) && view_transport(data, view);
    if (version == 6)
        return view_ip6(data, len, view) && view_transport(data, view);
    return false;
}

uint16_t wr_link_sum(const uint8_t *p, size_t len, uint16_t sum)
{
    uint32_t wide = (uint32_t)sum + wr_csum_fold(wr_csum_add(0, p, len));
    return (uint16_t)((wide & 0xffff) + (wide >> 16));
}

/* RFC 9293 3.1 and RFC 8200 8.1: addresses, protocol and length, as they are summed. */
static uint16_t pseudo_sum(const uint8_t *frame, const struct wr_link_view *v)
{
    size_t len = v->end - v->l4;
    uint8_t tail[8] = {0};
    wr_link_put32(tail, (uint32_t)len);
    tail[7] = v->proto;
    uint16_t sum = wr_link_sum(tail, sizeof tail, 0);
    if (v->family == 4)
        return wr_link_sum(frame + v->l3 + 12, 8, sum);
    return wr_link_sum(frame + v->l3 + 8, 32, sum);
}

bool wr_link_is_unfinished(const uint8_t *frame, const struct wr_link_view *v)
{
    if (v->fragment || (v->proto != WR_PROTO_TCP && v->proto != WR_PROTO_UDP))
        return false;
    const uint8_t *field = frame + v->l4 + (v->proto == WR_PROTO_TCP ? 16 : 6);
    return wr_link_get16(field) == pseudo_sum(frame, v);
}

void wr_link_finish(uint8_t *frame, const struct wr_link_view *v)
{
    if (v->family == 4) {
        uint8_t *ip = frame + v->l3;
        wr_link_put16(ip + 10, 0);
        wr_link_put16(ip + 10, (uint16_t)~wr_link_sum(ip, v->l4 - v->l3, 0));
    }
    if (v->fragment || (v->proto != WR_PROTO_TCP && v->proto != WR_PROTO_UDP))
        return;
    uint8_t *field = frame + v->l4 + (v->proto == WR_PROTO_TCP ? 16 : 6);
    if (v->proto == WR_PROTO_UDP && v->family == 4 && wr_link_get16(field) == 0)
        return;
    wr_link_put16(field, 0);
    uint16_t sum = (uint16_t)~wr_link_sum(frame + v->l4, v->end - v->l4, pseudo_sum(frame, v));
    wr_link_put16(field, v->proto == WR_PROTO_UDP && sum == 0 ? 0xffff : sum);
}

void wr_link_gather_all(const struct weir_out *out, uint8_t *to)
{
    if (out->head_len > 0)
        memcpy(to, out->head, out->head_len);
    to += out->head_len;
    for (unsigned i = 0; i < out->n_spans; i++) {
        const struct weir_span *span = &out->span[i];
        if (span->len == 1) /* as in an exchange of single bytes */
            *to = *span->ptr;
        else if (span->len > 0)
            memcpy(to, span->ptr, span->len);
        to += span->len;
    }
}

void wr_link_gather(const struct weir_out *out, size_t from, uint8_t *to, size_t len)
{
    size_t at = 0;
    for (unsigned i = 0; i <= out->n_spans && len > 0; i++) {
        const uint8_t *ptr = i == 0 ? out->head : out->span[i - 1].ptr;
        size_t size = i == 0 ? out->head_len : out->span[i - 1].len;
        if (from < at + size) {
            size_t skip = from - at, n = size - skip < len ? size - skip : len;
            memcpy(to, ptr + skip, n);
            to += n;
            from += n;
            len -= n;
        }
        at += size;
    }
}

int wr_link_random_mac(uint8_t mac[6])
{
    if (getrandom(mac, 6, 0) != 6)
        return -errno;
    mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02);
    return 0;
}
