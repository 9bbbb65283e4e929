/* SPDX-License-Identifier: MIT */
#include "wire/w_tcp.h"

#include "wire/w_csum.h"
#include "wire/w_ip4.h"

bool wr_w_tcp_csum_ok(const uint8_t *p, size_t len, const struct weir_addr *src,
                      const struct weir_addr *dst)
{
    uint64_t sum = wr_csum_pseudo(src, dst, W_IPPROTO_TCP, (uint32_t)len);
    return wr_csum_finish(wr_csum_add(sum, p, len)) == 0;
}
