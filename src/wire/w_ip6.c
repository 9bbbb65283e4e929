/* SPDX-License-Identifier: MIT */
#include "wire/w_ip6.h"

#include "base/bytes.h"

enum w_err wr_w_ip6_parse_quoted(const uint8_t *p, size_t len, struct w_ip6 *out)
{
    if (len < W_IP6_HLEN)
        return W_SHORT;
    if (p[0] >> 4 != 6)
        return W_VERSION;

    uint32_t word = get_be32(p);
    out->tclass = (uint8_t)(word >> 20);
    out->flow = word & 0xfffff;
    out->payload_len = get_be16(p + 4);
    out->next = p[6];
    out->hop_limit = p[7];
    out->src = weir_addr_from_v6_bytes(p + 8);
    out->dst = weir_addr_from_v6_bytes(p + 24);
    if (weir_addr_is_v4(&out->src) || weir_addr_is_v4(&out->dst))
        return W_ADDR;
    return W_OK;
}

enum w_err wr_w_ip6_parse(const uint8_t *p, size_t len, struct w_ip6 *out)
{
    enum w_err err = wr_w_ip6_parse_quoted(p, len, out);

    if (err == W_OK && out->payload_len > len - W_IP6_HLEN)
        return W_LENGTH;
    return err;
}

void wr_w_ip6_emit(uint8_t *p, const struct w_ip6 *ip)
{
    put_be32(p, 6u << 28 | (uint32_t)ip->tclass << 20 | (ip->flow & 0xfffff));
    put_be16(p + 4, ip->payload_len);
    p[6] = ip->next;
    p[7] = ip->hop_limit;
    memcpy(p + 8, ip->src.b, 16);
    memcpy(p + 24, ip->dst.b, 16);
}
