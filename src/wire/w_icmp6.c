/* SPDX-License-Identifier: MIT */
#include "wire/w_icmp6.h"

#include "base/bytes.h"
#include "wire/w_csum.h"
#include "wire/w_ip6.h"
#include "wire/w_ip6ext.h"

static uint16_t checksum(const uint8_t *p, size_t len, const struct weir_addr *src,
                         const struct weir_addr *dst)
{
    uint64_t sum = wr_csum_pseudo(src, dst, W_IPPROTO_ICMP6, (uint32_t)len);
    return wr_csum_finish(wr_csum_add(sum, p, len));
}

enum w_err wr_w_icmp6_parse(const uint8_t *p, size_t len, const struct weir_addr *src,
                            const struct weir_addr *dst, struct w_icmp6 *out)
{
    if (len < W_ICMP_HLEN)
        return W_SHORT;
    out->type = p[0];
    out->code = p[1];
    out->rest = get_be32(p + 4);
    return checksum(p, len, src, dst) == 0 ? W_OK : W_CSUM;
}

void wr_w_icmp6_emit(uint8_t *p, size_t len, const struct weir_addr *src,
                     const struct weir_addr *dst, const struct w_icmp6 *icmp)
{
    p[0] = icmp->type;
    p[1] = icmp->code;
    put_be32(p + 4, icmp->rest);
    wr_w_icmp6_seal(p, len, src, dst);
}

void wr_w_icmp6_seal(uint8_t *p, size_t len, const struct weir_addr *src,
                     const struct weir_addr *dst)
{
    put_be16(p + 2, 0);
    put_be16(p + 2, checksum(p, len, src, dst));
}

/* Moves *off over the extension header of kind *proto. False when the quote ends within it. */
static bool skip_extension(const uint8_t *p, size_t len, size_t *off, struct w_quote *out)
{
    size_t hdr_len = 8;

    if (len - *off < 8)
        return false;
    if (out->proto == W_IPPROTO_FRAGMENT) {
        if ((get_be16(p + *off + 2) & 0xfff8) != 0)
            out->is_fragment = true;
    } else {
        hdr_len += (size_t)p[*off + 1] * 8;
    }
    if (hdr_len > len - *off)
        return false;
    out->proto = p[*off];
    *off += hdr_len;
    return true;
}

enum w_err wr_w_icmp6_quote(const uint8_t *p, size_t len, struct w_quote *out)
{
    struct w_ip6 ip;
    size_t off = W_IP6_HLEN;
    enum w_err err = wr_w_ip6_parse_quoted(p, len, &ip);

    if (err != W_OK)
        return err;
    if (len > W_IP6_HLEN + (size_t)ip.payload_len)
        len = W_IP6_HLEN + (size_t)ip.payload_len;
    memset(out, 0, sizeof *out);
    out->src = ip.src;
    out->dst = ip.dst;
    out->proto = ip.next;
    while (!out->is_fragment &&
           (out->proto == W_IPPROTO_HOPOPTS || out->proto == W_IPPROTO_DSTOPTS ||
            out->proto == W_IPPROTO_ROUTING || out->proto == W_IPPROTO_FRAGMENT)) {
        if (!skip_extension(p, len, &off, out))
            return W_CHAIN;
    }
    out->l4 = p + off;
    out->l4_len = len - off;
    return W_OK;
}
