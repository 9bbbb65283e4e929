/* SPDX-License-Identifier: MIT */
#include "wire/w_udp.h"

#include "base/bytes.h"
#include "wire/w_csum.h"
#include "wire/w_ip4.h"

enum w_err wr_w_udp_parse(const uint8_t *p, size_t len, struct w_udp *out)
{
    if (len < W_UDP_HLEN)
        return W_SHORT;
    out->src_port = get_be16(p);
    out->dst_port = get_be16(p + 2);
    out->len = get_be16(p + 4);
    out->csum = get_be16(p + 6);
    return out->len >= W_UDP_HLEN && out->len <= len ? W_OK : W_LENGTH;
}

static uint16_t checksum(const uint8_t *p, size_t len, const struct weir_addr *src,
                         const struct weir_addr *dst)
{
    uint64_t sum = wr_csum_pseudo(src, dst, W_IPPROTO_UDP, (uint32_t)len);
    return wr_csum_finish(wr_csum_add(sum, p, len));
}

bool wr_w_udp_csum_ok(const uint8_t *p, const struct w_udp *udp, const struct weir_addr *src,
                      const struct weir_addr *dst)
{
    if (udp->csum == 0)
        return weir_addr_is_v4(src); /* RFC 8200 8.1: never over IPv6 */
    return checksum(p, udp->len, src, dst) == 0;
}

void wr_w_udp_emit(uint8_t *p, const struct w_udp *udp)
{
    put_be16(p, udp->src_port);
    put_be16(p + 2, udp->dst_port);
    put_be16(p + 4, udp->len);
    put_be16(p + 6, udp->csum);
}

void wr_w_udp_seal(uint8_t *p, size_t len, const struct weir_addr *src, const struct weir_addr *dst)
{
    uint16_t csum;

    put_be16(p + 6, 0);
    csum = checksum(p, len, src, dst);
    put_be16(p + 6, csum != 0 ? csum : 0xffff);
}
