/* SPDX-License-Identifier: MIT */
/* Segmentation in software. Expectations: what a segment on the wire must be (RFC 9293 3.1, RFC 3168
 * 6.1.2 for CWR), and virtio's rule for unfinished checksums. */
#include "unit/link_frames.h"

enum { DATA = 5000, GSO = 1400 };

struct got {
    unsigned n;
    size_t data; /* bytes seen so far */
    size_t link; /* bytes of link header */
    uint8_t flags[8];
    unsigned id[8];
    int stop_after;
};

static int each(void *arg, const uint8_t *frame, size_t len)
{
    struct got *got = arg;
    const uint8_t *ip = frame + got->link;
    size_t l4 = ip[0] >> 4 == 4 ? 20 : 40;
    const uint8_t *tcp = ip + l4;
    size_t head = l4 + (size_t)(tcp[12] >> 4) * 4;
    assert_ip_good(ip, len - got->link);
    assert_int_equal(be32(tcp + 4), (uint32_t)(0xfffffff0u + got->data));
    for (size_t i = head; i < len - got->link; i++, got->data++)
        assert_int_equal(ip[i], (uint8_t)(got->data * 7));
    got->id[got->n] = be16(ip + 4);
    got->flags[got->n++] = tcp[13];
    return got->stop_after == (int)got->n ? -99 : 0;
}

/* A super-segment with its data in two spans, as a send ring that wraps gives it. */
static struct weir_out super(uint8_t *head, const uint8_t *data, unsigned family, size_t link)
{
    struct weir_out out = {.head = head, .n_spans = 2, .gso_size = GSO, .csum_partial = true};
    memset(head, 0, link);
    if (link)
        set16(head + 12, family == 4 ? 0x0800 : 0x86dd);
    out.head_len =
        link + tcp_head(head + link, family, F_ACK | F_PSH | F_FIN | F_CWR, 0xfffffff0u, 12, DATA);
    out.span[0] = (struct weir_span){data, 1999};
    out.span[1] = (struct weir_span){data + 1999, DATA - 1999};
    out.gso_ipv6 = family == 6;
    out.csum_start = (uint16_t)(link + (family == 4 ? 20 : 40));
    out.csum_offset = 16;
    return out;
}

static void check_super(unsigned family, size_t link)
{
    uint8_t head[WEIR_HEAD_MAX], data[DATA];
    struct got got = {.link = link};
    for (size_t i = 0; i < DATA; i++)
        data[i] = (uint8_t)(i * 7);
    struct weir_out out = super(head, data, family, link);
    enum weir_netif_kind kind = link ? WEIR_NETIF_ETHERNET : WEIR_NETIF_IP;
    assert_int_equal(weir_out_segment(&out, kind, each, &got), 0);
    assert_int_equal(got.n, 4); /* 1400 + 1400 + 1400 + 800 */
    assert_int_equal(got.data, DATA);
    assert_int_equal(got.flags[0], F_ACK | F_CWR);
    assert_int_equal(got.flags[1], F_ACK);
    assert_int_equal(got.flags[2], F_ACK);
    assert_int_equal(got.flags[3], F_ACK | F_PSH | F_FIN);
    for (unsigned i = 0; i < 4 && family == 4; i++)
        assert_int_equal(got.id[i], (0xfffe + i) & 0xffff);
}

struct count {
    size_t n, bytes, at_end;
};

static int count(void *arg, const uint8_t *frame, size_t len)
{
    struct count *count = arg;
    assert_ip_good(frame, len);
    assert_int_equal(be32(frame + 24), (uint32_t)count->bytes);
    count->n++;
    count->bytes += len - 40;
    count->at_end += frame[33] & F_FIN;
    return 0;
}

/* As Linux's skbs of BIG TCP: what does not fit the total length of IPv4 is not told by it. */
static void a_frame_beyond_the_total_length(void **state)
{
    enum { LARGE = 200000 };
    static uint8_t head[WEIR_HEAD_MAX], data[LARGE];
    struct count got = {0};
    struct weir_out out = {.head = head,
                           .head_len = tcp_head(head, 4, F_ACK | F_FIN, 0, 0, 0),
                           .n_spans = 1,
                           .span = {{data, LARGE}},
                           .gso_size = GSO,
                           .csum_partial = true,
                           .csum_start = 20,
                           .csum_offset = 16};
    (void)state;
    set16(head + 2, 0);
    assert_int_equal(weir_out_segment(&out, WEIR_NETIF_IP, count, &got), 0);
    assert_int_equal(got.bytes, LARGE);
    assert_int_equal(got.n, (LARGE + GSO - 1) / GSO);
    assert_int_equal(got.at_end, 1);
}

static void super_segment_ipv4(void **state)
{
    (void)state;
    check_super(4, 0);
    check_super(4, 14);
}

static void super_segment_ipv6(void **state)
{
    (void)state;
    check_super(6, 0);
    check_super(6, 14);
}

static void stops_at_the_first_error(void **state)
{
    uint8_t head[WEIR_HEAD_MAX], data[DATA];
    struct got got = {.stop_after = 2};
    (void)state;
    for (size_t i = 0; i < DATA; i++)
        data[i] = (uint8_t)(i * 7);
    struct weir_out out = super(head, data, 4, 0);
    assert_int_equal(weir_out_segment(&out, WEIR_NETIF_IP, each, &got), -99);
    assert_int_equal(got.n, 2);
}

static void data_of_one_segment_is_one_frame(void **state)
{
    uint8_t head[WEIR_HEAD_MAX], data[GSO];
    struct got got = {0};
    (void)state;
    for (size_t i = 0; i < GSO; i++)
        data[i] = (uint8_t)(i * 7);
    struct weir_out out = {.head = head, .n_spans = 1, .csum_partial = true, .csum_start = 20};
    out.head_len = tcp_head(head, 4, F_ACK | F_PSH, 0xfffffff0u, 0, GSO);
    out.csum_offset = 16;
    out.span[0] = (struct weir_span){data, GSO};
    assert_int_equal(weir_out_segment(&out, WEIR_NETIF_IP, each, &got), 0);
    out.gso_size = GSO;
    got.data = 0;
    assert_int_equal(weir_out_segment(&out, WEIR_NETIF_IP, each, &got), 0);
    assert_int_equal(got.n, 2);
    assert_int_equal(got.flags[1], F_ACK | F_PSH);
}

static int copy(void *arg, const uint8_t *frame, size_t len)
{
    memcpy(arg, frame, len);
    return 0;
}

static void odd_length_and_udp_zero_checksum(void **state)
{
    /* RFC 768: a computed zero is sent as all ones. Find a datagram whose sum is that. */
    uint8_t p[31] = {0x45, 0, 0, 31, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
    uint8_t got[31];
    (void)state;
    set16(p + 10, ~plain_sum(p, 20, 0));
    set16(p + 20, 53);
    set16(p + 22, 53);
    set16(p + 24, 11);
    p[28] = 'a';
    p[30] = 'b';
    set16(p + 26, pseudo(p, 17, 11));
    unsigned sum = plain_sum(p + 20, 11, 0);
    set16(p + 22, 53 + (0xffff - sum)); /* now everything sums to 0xffff, its complement to zero */
    struct weir_out out = {.head = p, .head_len = 31, .csum_partial = true};
    out.csum_start = 20;
    out.csum_offset = 6;
    assert_int_equal(weir_out_segment(&out, WEIR_NETIF_IP, copy, got), 0);
    assert_int_equal(be16(got + 26), 0xffff);
    assert_ip_good(got, 31);
}

static void nonsense_is_refused(void **state)
{
    uint8_t head[WEIR_HEAD_MAX] = {0};
    struct got got = {0};
    struct weir_out out = {.head = head, .head_len = 60, .gso_size = 1000};
    (void)state;
    assert_int_equal(weir_out_segment(&out, WEIR_NETIF_IP, each, &got), WEIR_EINVAL);
    tcp_head(head, 4, F_ACK, 0, 0, 0);
    out.head_len = 30; /* TCP header cut */
    assert_int_equal(weir_out_segment(&out, WEIR_NETIF_IP, each, &got), WEIR_EINVAL);
    out = (struct weir_out){.head = head, .head_len = 40, .csum_partial = true, .csum_start = 39};
    assert_int_equal(weir_out_segment(&out, WEIR_NETIF_IP, each, &got), WEIR_EINVAL);
    assert_int_equal(got.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(super_segment_ipv4),
        cmocka_unit_test(super_segment_ipv6),
        cmocka_unit_test(a_frame_beyond_the_total_length),
        cmocka_unit_test(stops_at_the_first_error),
        cmocka_unit_test(data_of_one_segment_is_one_frame),
        cmocka_unit_test(odd_length_and_udp_zero_checksum),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
