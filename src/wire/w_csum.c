/* SPDX-License-Identifier: MIT */
/*
 * RFC 1071 2: the sum may be taken in any word size and in the machine's own byte order, since one's
 * complement addition carries around and swapping the bytes of all words swaps those of the sum. So
 * memory is read in 64-bit words, added with the carry brought back in. Long data is read in blocks of four
 * words: the words are added, and their upper halves once more to a sum of their own, so that no carry is needed to know
 * the sum of both halves, which 2^32 blocks cannot overflow; and the compiler makes vector instructions of it: the widest that the processor at hand has,
 * where it can be asked. Only folding brings the result to host order.
 */
#include "wire/w_csum.h"

#include "base/hint.h"

#define WORTH_IT   4u    /* blocks, for less the call is not */
#define COPY_BLOCK 4096u /* stays in the first-level cache between copying and summing */

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t halves(uint64_t v)
{
    return (v & 0xffffffffu) + (v >> 32);
}

uint64_t wr_csum_join(uint64_t a, uint64_t b)
{
    uint64_t sum = a + b;
    return sum + (sum < a);
}

typedef uint64_t lanes __attribute__((vector_size(32)));

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) &&       \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#    define BY_PROCESSOR __attribute__((target_clones("avx2", "default"), optimize("O3")))
#else
#    define BY_PROCESSOR
#endif

/* 32-byte blocks. 2^32 is 1 in one's complement, so the upper halves count as the lower do. The sum of the lower ones is
 * what the sum of the whole words, which overflows, has beside the upper ones. */
BY_PROCESSOR static uint64_t add_blocks(uint64_t sum, const uint8_t *p, size_t blocks)
{
    lanes all = {0}, high = {0}, v, w, x, y;

    for (; blocks >= 4; blocks -= 4, p += 4 * sizeof v) {
        memcpy(&v, p, sizeof v);
        memcpy(&w, p + sizeof v, sizeof w);
        memcpy(&x, p + 2 * sizeof v, sizeof x);
        memcpy(&y, p + 3 * sizeof v, sizeof y);
        all += (v + w) + (x + y);
        high += ((v >> 32) + (w >> 32)) + ((x >> 32) + (y >> 32));
    }
    for (; blocks > 0; blocks--, p += sizeof v) {
        memcpy(&v, p, sizeof v);
        all += v;
        high += v >> 32;
    }
    all = all - (high << 32) + high; /* of 2^32 bytes below 2^60 each */
    return wr_csum_join(sum, all[0] + all[1] + all[2] + all[3]);
}

/*
 * The last n < 8 bytes. Where in a 64-bit word they would stand does not matter, as long as each piece
 * stands at an even offset: 2^16 is 1 in one's complement.
 */
static uint64_t add_tail(uint64_t sum, const uint8_t *p, size_t n)
{
    if (n & 4) {
        uint32_t v;
        memcpy(&v, p, sizeof v);
        sum = wr_csum_join(sum, v);
        p += 4;
    }
    if (n & 2) {
        uint16_t v;
        memcpy(&v, p, sizeof v);
        sum = wr_csum_join(sum, v);
        p += 2;
    }
    if (n & 1) {
        const uint8_t padded[2] = {p[0], 0};
        uint16_t v;
        memcpy(&v, padded, sizeof v);
        sum = wr_csum_join(sum, v);
    }
    return sum;
}

uint64_t wr_csum_add(uint64_t sum, const void *data, size_t n)
{
    const uint8_t *p = data;
    size_t blocks = n / 32;

    if (WR_SHORT_WAYS && blocks >= WORTH_IT) {
        sum = add_blocks(sum, p, blocks);
        p += blocks * 32;
        n %= 32;
    }
    for (; n >= 8; n -= 8, p += 8)
        sum = wr_csum_join(sum, load64(p));
    return add_tail(sum, p, n);
}

/* Folded to 16 bits, in memory order. */
static uint16_t fold_native(uint64_t sum)
{
    sum = halves(sum);
    sum = halves(sum);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

uint64_t wr_csum_shift(uint64_t sum)
{
    uint16_t v = fold_native(sum);
    return (uint16_t)(v << 8 | v >> 8);
}

uint64_t wr_csum_spans(uint64_t sum, const struct weir_span *spans, size_t n)
{
    bool odd = false;

    for (size_t i = 0; i < n; i++) {
        uint64_t part = wr_csum_add(0, spans[i].ptr, spans[i].len);
        sum = wr_csum_join(sum, odd ? wr_csum_shift(part) : part);
        odd ^= spans[i].len % 2 != 0;
    }
    return sum;
}

uint64_t wr_csum_copy(uint64_t sum, void *dst, const void *src, size_t n)
{
    uint8_t *to = dst;
    const uint8_t *from = src;

    while (n > 0) {
        size_t block = n < COPY_BLOCK ? n : COPY_BLOCK;
        memcpy(to, from, block);
        sum = wr_csum_add(sum, to, block);
        to += block;
        from += block;
        n -= block;
    }
    return sum;
}

uint64_t wr_csum_pseudo(const struct weir_addr *src, const struct weir_addr *dst, uint8_t proto,
                        uint32_t len)
{
    uint8_t tail[8] = {0};
    uint64_t sum;

    put_be32(tail, len);
    tail[7] = proto;
    sum = halves(load64(tail));
    if (weir_addr_is_v4(src)) /* no carry: there is room for it */
        return sum + load32(src->b + 12) + load32(dst->b + 12);
    sum = wr_csum_add(sum, src->b, sizeof src->b);
    return wr_csum_add(sum, dst->b, sizeof dst->b);
}

uint16_t wr_csum_fold(uint64_t sum)
{
    uint16_t native = fold_native(sum);
    uint8_t b[2];

    memcpy(b, &native, sizeof b);
    return get_be16(b);
}

uint16_t wr_csum_finish(uint64_t sum)
{
    return (uint16_t)~wr_csum_fold(sum);
}

uint16_t wr_csum(const void *p, size_t n)
{
    const uint8_t *b = p;

    if (n == 20) /* an IPv4 header without options */
        return wr_csum_finish(load32(b) + load32(b + 4) + load32(b + 8) + load32(b + 12) +
                              load32(b + 16));
    return wr_csum_finish(wr_csum_add(0, p, n));
}

/* RFC 1624 3, equation 3: HC' = ~(~HC + ~m + m') */
uint16_t wr_csum_update16(uint16_t csum, uint16_t was, uint16_t is)
{
    uint32_t sum = (uint32_t)(uint16_t)~csum + (uint16_t)~was + is;

    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

uint16_t wr_csum_update32(uint16_t csum, uint32_t was, uint32_t is)
{
    csum = wr_csum_update16(csum, (uint16_t)(was >> 16), (uint16_t)(is >> 16));
    return wr_csum_update16(csum, (uint16_t)was, (uint16_t)is);
}
