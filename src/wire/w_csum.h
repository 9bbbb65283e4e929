/* SPDX-License-Identifier: MIT */
#ifndef WR_W_CSUM_H
#define WR_W_CSUM_H

/*
 * The Internet checksum: RFC 1071 (sum, byte order, copy), RFC 1624 (incremental update), RFC 9293
 * 3.1 and RFC 8200 8.1 (pseudo-headers).
 *
 * A partial sum is a uint64_t in a private form (memory word order, not folded); partial sums are
 * added with wr_csum_join and leave that form only through wr_csum_fold and wr_csum_finish, which
 * give host-order numbers for put_be16. Up to 2^32 bytes can go into one sum without overflow.
 *
 *     put_be16(tcp + 16, 0);
 *     sum = wr_csum_pseudo(&src, &dst, W_IPPROTO_TCP, len);
 *     put_be16(tcp + 16, wr_csum_finish(wr_csum_add(sum, tcp, len)));
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "weir/addr.h"

/*
 * Adds n bytes that stand at an even offset of the summed data; an odd last byte is padded with
 * zero.
 */
uint64_t wr_csum_add(uint64_t sum, const void *data, size_t n);

/* Adds two partial sums. */
uint64_t wr_csum_join(uint64_t a, uint64_t b);

/* The partial sum as it would be had its data begun at an odd offset. */
uint64_t wr_csum_shift(uint64_t sum);

/* Adds spans that follow each other, of any lengths, the first at an even offset. */
uint64_t wr_csum_spans(uint64_t sum, const struct weir_span *spans, size_t n);

/* Copies n bytes (no overlap) and adds them, reading them once. */
uint64_t wr_csum_copy(uint64_t sum, void *dst, const void *src, size_t n);

/*
 * The partial sum of the pseudo-header: addresses of one family, upper-layer length, protocol. Both
 * families need no more, since zero bytes and their order do not count.
 */
uint64_t wr_csum_pseudo(const struct weir_addr *src, const struct weir_addr *dst, uint8_t proto,
                        uint32_t len);

/* The sum of the two addresses of an IPv4 header, and such a sum folded; both in host order, for headers that are
 * written field by field and need not be read again. */
static inline uint32_t wr_csum_addrs4(const struct weir_addr *src, const struct weir_addr *dst)
{
    uint32_t s = get_be32(src->b + 12), d = get_be32(dst->b + 12);
    return (s >> 16) + (s & 0xffff) + (d >> 16) + (d & 0xffff);
}
static inline uint16_t wr_csum_fold16(uint32_t sum)
{
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t)(sum + (sum >> 16));
}

/*
 * Folded, not complemented, host order. Of a pseudo-header alone it is what goes into the checksum
 * field when the link finishes the sum (checksum offload).
 */
uint16_t wr_csum_fold(uint64_t sum);

/*
 * Folded and complemented, host order: the value of a checksum field; 0 when checked data is
 * intact.
 */
uint16_t wr_csum_finish(uint64_t sum);

/* The checksum of n bytes: wr_csum_finish(wr_csum_add(0, p, n)). */
uint16_t wr_csum(const void *p, size_t n);

/*
 * The field `csum` after a 16-bit or 32-bit field changed from `was` to `is` (RFC 1624 3, eqn. 3).
 */
uint16_t wr_csum_update16(uint16_t csum, uint16_t was, uint16_t is);
uint16_t wr_csum_update32(uint16_t csum, uint32_t was, uint32_t is);

#endif
