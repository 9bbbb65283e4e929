/* SPDX-License-Identifier: MIT */
#include "wire/w_icmp4.h"

#include "base/bytes.h"
#include "wire/w_csum.h"

bool wr_w_icmp4_is_error(uint8_t type)
{
    return type == W_ICMP4_UNREACH || type == W_ICMP4_QUENCH || type == W_ICMP4_REDIRECT ||
           type == W_ICMP4_TIME_EXCEEDED || type == W_ICMP4_PARAM_PROBLEM;
}

enum w_err wr_w_icmp4_parse(const uint8_t *p, size_t len, struct w_icmp4 *out)
{
    if (len < W_ICMP_HLEN)
        return W_SHORT;
    out->type = p[0];
    out->code = p[1];
    out->rest = get_be32(p + 4);
    return wr_csum(p, len) == 0 ? W_OK : W_CSUM;
}

void wr_w_icmp4_emit(uint8_t *p, size_t len, const struct w_icmp4 *icmp)
{
    p[0] = icmp->type;
    p[1] = icmp->code;
    put_be16(p + 2, 0);
    put_be32(p + 4, icmp->rest);
    put_be16(p + 2, wr_csum(p, len));
}

enum w_err wr_w_icmp4_quote(const uint8_t *p, size_t len, struct w_quote *out)
{
    struct w_ip4 *ip = &out->ip4;
    enum w_err err = wr_w_ip4_parse_quoted(p, len, ip);

    if (err != W_OK)
        return err;
    if (len > ip->total_len) /* what follows is an extension (RFC 4884) or padding */
        len = ip->total_len;
    out->src = ip->src;
    out->dst = ip->dst;
    out->proto = ip->proto;
    out->is_fragment = ip->frag_off != 0;
    out->l4 = p + ip->hdr_len;
    out->l4_len = len - ip->hdr_len;
    return W_OK;
}
