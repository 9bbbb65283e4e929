/* SPDX-License-Identifier: MIT */
#include "wire/w_tcp.h"

#include "base/bytes.h"
#include "wire/w_csum.h"
#include "wire/w_ip4.h"

enum w_err wr_w_tcp_parse(const uint8_t *p, size_t len, struct w_tcp *out)
{
    if (len < W_TCP_HLEN)
        return W_SHORT;
    out->src_port = get_be16(p);
    out->dst_port = get_be16(p + 2);
    out->seq = get_be32(p + 4);
    out->ack = get_be32(p + 8);
    out->data_off = (uint8_t)((p[12] >> 4) * 4);
    out->flags = get_be16(p + 12) & 0x1ff;
    out->wnd = get_be16(p + 14);
    out->urg = get_be16(p + 18);
    return out->data_off >= W_TCP_HLEN && out->data_off <= len ? W_OK : W_HDRLEN;
}

bool wr_w_tcp_csum_ok(const uint8_t *p, size_t len, const struct weir_addr *src,
                      const struct weir_addr *dst)
{
    uint64_t sum = wr_csum_pseudo(src, dst, W_IPPROTO_TCP, (uint32_t)len);
    return wr_csum_finish(wr_csum_add(sum, p, len)) == 0;
}

void wr_w_tcp_emit(uint8_t *p, const struct w_tcp *tcp)
{
    put_be16(p, tcp->src_port);
    put_be16(p + 2, tcp->dst_port);
    put_be32(p + 4, tcp->seq);
    put_be32(p + 8, tcp->ack);
    put_be16(p + 12, (uint16_t)(tcp->data_off / 4 << 12 | (tcp->flags & 0x1ff)));
    put_be16(p + 14, tcp->wnd);
    put_be16(p + W_TCP_OFF_CSUM, 0);
    put_be16(p + 18, tcp->urg);
}
