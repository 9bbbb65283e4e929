/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "probe.h"
#include "wire/w_icmp6.h"
#include "wire/w_ip6.h"
#include "wire/w_ip6ext.h"

enum { MAX = 4096 };

static uint8_t packet[MAX];
static size_t packet_len;

/* Begins a packet whose first next-header value is `next`. */
static void begin(uint8_t next)
{
    memset(packet, 0, sizeof packet);
    packet[0] = 0x60;
    packet[6] = next;
    packet_len = W_IP6_HLEN;
}

static void add(const uint8_t *p, size_t n)
{
    assert_true(packet_len + n <= MAX);
    wr_bytes_copy(packet + packet_len, p, n);
    packet_len += n;
}

#define ADD(...)                                                                                   \
    do {                                                                                           \
        const uint8_t bytes[] = {__VA_ARGS__};                                                     \
        add(bytes, sizeof bytes);                                                                  \
    } while (0)

/* Walks an exact copy. */
static struct w_ip6ext walk(void)
{
    struct w_ip6ext ext;
    uint8_t *copy = exact_copy(packet, packet_len);

    wr_w_ip6ext_walk(copy, packet_len, &ext);
    free(copy);
    return ext;
}

static void assert_accepted(uint8_t proto, uint32_t off, uint32_t next_off)
{
    struct w_ip6ext ext = walk();

    assert_int_equal(ext.act, W_IP6EXT_ACCEPT);
    assert_int_equal(ext.err, W_OK);
    assert_int_equal(ext.proto, proto);
    assert_int_equal(ext.off, off);
    assert_int_equal(ext.next_off, next_off);
}

static void assert_discarded(enum w_err err)
{
    struct w_ip6ext ext = walk();

    assert_int_equal(ext.act, W_IP6EXT_DISCARD);
    assert_int_equal(ext.err, err);
}

static void assert_problem(uint8_t code, uint32_t pointer)
{
    struct w_ip6ext ext = walk();

    assert_int_equal(ext.act, W_IP6EXT_PROBLEM);
    assert_int_equal(ext.code, code);
    assert_int_equal(ext.pointer, pointer);
}

static void without_extensions_the_walk_ends_at_once(void **state)
{
    static const uint8_t protos[] = {W_IPPROTO_TCP,
                                     W_IPPROTO_UDP,
                                     W_IPPROTO_ICMP6,
                                     W_IPPROTO_ESP,
                                     W_IPPROTO_AH,
                                     W_IPPROTO_NONE,
                                     135,
                                     253,
                                     255,
                                     1,
                                     4,
                                     41};

    (void)state;
    for (size_t i = 0; i < sizeof protos; i++) {
        begin(protos[i]);
        ADD(1, 2, 3);
        assert_accepted(protos[i], 40, 6);
    }
}

static void a_full_chain_is_walked(void **state)
{
    struct w_ip6ext ext;

    (void)state;
    begin(W_IPPROTO_HOPOPTS);
    ADD(W_IPPROTO_DSTOPTS, 0, 5, 2, 0, 0, 1, 0); /* router alert, PadN 0 */
    ADD(W_IPPROTO_ROUTING, 1, 0, 0, 0, 0, 0, 0, 1, 6, 0, 0, 0, 0, 0, 0);
    ADD(W_IPPROTO_FRAGMENT, 0, 2, 0, 0, 0, 0, 0); /* routing, nothing left */
    ADD(W_IPPROTO_DSTOPTS, 0, 0, 0, 1, 2, 3, 4);  /* atomic fragment */
    ADD(W_IPPROTO_TCP, 0, 0, 0, 0, 0, 0, 0);      /* Pad1 x 6 */
    ADD(1, 2, 3, 4);
    assert_accepted(W_IPPROTO_TCP, 88, 80);
    ext = walk();
    assert_int_equal(ext.n_headers, 5);
    assert_true(ext.router_alert && ext.has_routing && ext.has_frag && ext.atomic);
    assert_int_equal(ext.frag_id, 0x01020304);
    assert_int_equal(ext.frag_hdr_off, 72);
    assert_int_equal(ext.frag_next_off, 64);
}

/* Each cut of a valid chain is accepted as a shorter one or discarded, never read past. */
static void cuts_are_discarded(void **state)
{
    size_t whole;

    (void)state;
    begin(W_IPPROTO_HOPOPTS);
    ADD(W_IPPROTO_DSTOPTS, 0, 1, 4, 0, 0, 0, 0);
    ADD(W_IPPROTO_TCP, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    whole = packet_len;
    for (packet_len = 0; packet_len < whole; packet_len++) {
        struct w_ip6ext ext = walk();
        assert_int_equal(ext.act, W_IP6EXT_DISCARD);
    }
    assert_accepted(W_IPPROTO_TCP, 64, 48);
}

/* Hostile input 9: 100 chained headers, and lengths that pass the end. */
static void long_chains_and_lengths_past_the_end_are_discarded(void **state)
{
    (void)state;
    begin(W_IPPROTO_DSTOPTS);
    for (int i = 0; i < 100; i++)
        ADD(W_IPPROTO_DSTOPTS, 0, 1, 4, 0, 0, 0, 0);
    assert_discarded(W_CHAIN);
    packet_len = W_IP6_HLEN + 8 * W_IP6EXT_MAX;
    packet[packet_len - 8] = W_IPPROTO_TCP;
    assert_accepted(W_IPPROTO_TCP, W_IP6_HLEN + 8 * W_IP6EXT_MAX,
                    W_IP6_HLEN + 8 * (W_IP6EXT_MAX - 1));

    begin(W_IPPROTO_DSTOPTS);
    ADD(W_IPPROTO_TCP, 255, 1, 4, 0, 0, 0, 0);
    assert_discarded(W_HDRLEN);
    begin(W_IPPROTO_ROUTING);
    ADD(W_IPPROTO_TCP, 1, 4, 0, 0, 0, 0, 0);
    assert_discarded(W_HDRLEN);
}

/* Hostile input 9: RFC 8200 4.1, hop-by-hop options stand directly behind the IPv6 header only. */
static void hop_by_hop_elsewhere_is_an_unknown_header(void **state)
{
    (void)state;
    begin(W_IPPROTO_DSTOPTS);
    ADD(W_IPPROTO_HOPOPTS, 0, 1, 4, 0, 0, 0, 0);
    ADD(W_IPPROTO_TCP, 0, 1, 4, 0, 0, 0, 0);
    assert_problem(W_ICMP6_PARAM_NEXT, 40);
    begin(W_IPPROTO_HOPOPTS);
    ADD(W_IPPROTO_HOPOPTS, 0, 1, 4, 0, 0, 0, 0);
    ADD(W_IPPROTO_TCP, 0, 1, 4, 0, 0, 0, 0);
    assert_problem(W_ICMP6_PARAM_NEXT, 40);
}

/* Hostile input 9: RFC 8200 4.2, the action codes of unknown options. */
static void unknown_options_act_by_their_code(void **state)
{
    static const uint8_t kinds[] = {W_IPPROTO_HOPOPTS, W_IPPROTO_DSTOPTS};

    (void)state;
    for (size_t i = 0; i < sizeof kinds; i++) {
        begin(kinds[i]);
        ADD(W_IPPROTO_TCP, 0, 0, 0x1e, 2, 0, 0, 0); /* 00: skip */
        assert_accepted(W_IPPROTO_TCP, 48, 40);
        packet[43] = 0x5e; /* 01: discard */
        assert_discarded(W_OPTION);
        packet[43] = 0x9e; /* 10: problem, to groups too */
        assert_problem(W_ICMP6_PARAM_OPTION, 43);
        assert_true(walk().problem_to_group);
        packet[43] = 0xde; /* 11: problem, not to groups */
        assert_problem(W_ICMP6_PARAM_OPTION, 43);
        assert_false(walk().problem_to_group);
    }
}

static void options_past_the_header_are_discarded(void **state)
{
    static const uint8_t cases[][6] = {
        {1, 255, 0, 0, 0, 0}, {1, 5, 0, 0, 0, 0},    {0, 0, 0, 0, 0, 1},  {0x1e, 5, 0, 0, 0, 0},
        {0, 0, 0, 0, 1, 1},   {0x1e, 3, 0, 0, 0, 5}, {5, 255, 0, 0, 0, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(W_IPPROTO_HOPOPTS);
        ADD(W_IPPROTO_TCP, 0);
        add(cases[i], 6);
        ADD(0, 0, 0, 0); /* payload, which no option may reach */
        assert_discarded(W_OPTION);
    }
}

/* Hostile input 10: RFC 8200 4.4, RFC 5095 3. */
static void routing_with_segments_left_is_a_problem_at_the_type(void **state)
{
    static const uint8_t types[] = {0, 1, 2, 3, 4, 255};

    (void)state;
    for (size_t i = 0; i < sizeof types; i++) {
        begin(W_IPPROTO_ROUTING);
        ADD(W_IPPROTO_TCP, 0, types[i], 0, 0, 0, 0, 0);
        assert_accepted(W_IPPROTO_TCP, 48, 40);
        packet[43] = 1;
        assert_problem(W_ICMP6_PARAM_FIELD, 42);
        packet[43] = 255;
        assert_problem(W_ICMP6_PARAM_FIELD, 42);
    }
}

static void a_fragment_ends_the_walk(void **state)
{
    struct w_ip6ext ext;
    uint8_t frag[W_IP6FRAG_LEN], data[16] = {0};

    (void)state;
    begin(W_IPPROTO_HOPOPTS);
    ADD(W_IPPROTO_FRAGMENT, 0, 1, 4, 0, 0, 0, 0);
    wr_w_ip6frag_emit(frag, W_IPPROTO_DSTOPTS, 1448, true, 0xcafe0001);
    add(frag, sizeof frag);
    add(data, sizeof data);
    assert_accepted(W_IPPROTO_DSTOPTS, 56, 48);
    ext = walk();
    assert_true(ext.has_frag && !ext.atomic && ext.more_frags);
    assert_int_equal(ext.frag_off, 1448);
    assert_int_equal(ext.frag_id, 0xcafe0001);
    assert_int_equal(ext.frag_hdr_off, 48);
    assert_int_equal(ext.frag_next_off, 40);
}

/* Hostile inputs 10 and 13; RFC 8200 4.5: what a fragment may not be. */
static void impossible_fragments_are_refused(void **state)
{
    uint8_t frag[W_IP6FRAG_LEN], data[16] = {0};

    (void)state;
    begin(W_IPPROTO_FRAGMENT);
    wr_w_ip6frag_emit(frag, W_IPPROTO_UDP, 0, true, 1);
    add(frag, sizeof frag);
    assert_discarded(W_LENGTH); /* no data */
    add(data, 13);
    assert_problem(W_ICMP6_PARAM_FIELD, 4); /* not a multiple of 8, more to come */
    packet[43] = 8;                         /* the last may be of any length */
    assert_accepted(W_IPPROTO_UDP, 48, 40);
    put_be16(packet + 42, 65520);
    packet_len = 48 + 15;
    assert_accepted(W_IPPROTO_UDP, 48, 40); /* 65520 + 15 = 65535 */
    packet_len++;
    assert_problem(W_ICMP6_PARAM_FIELD, 42); /* the whole would pass 65535 */

    begin(W_IPPROTO_FRAGMENT);
    wr_w_ip6frag_emit(frag, W_IPPROTO_FRAGMENT, 0, false, 1);
    add(frag, sizeof frag);
    add(frag, sizeof frag);
    assert_discarded(W_CHAIN); /* twice */
}

static void random_chains_stay_within_the_packet(void **state)
{
    static const uint8_t kinds[] = {0, 43, 44, 60, 6};
    uint64_t rnd = 31;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        struct w_ip6ext ext;
        size_t n = 1 + test_below(&rnd, 120);
        begin(kinds[test_below(&rnd, 5)]);
        packet_len += n;
        test_fill(&rnd, packet + W_IP6_HLEN, n);
        for (size_t at = W_IP6_HLEN; at < packet_len; at += 8) {
            packet[at] = kinds[test_below(&rnd, 5)];
            packet[at + 1] = (uint8_t)test_below(&rnd, 3);
            if (test_below(&rnd, 2) == 0)
                memset(packet + at + 2, 0, 6);
        }
        ext = walk();
        assert_true(ext.off <= packet_len);
        assert_true(ext.n_headers <= W_IP6EXT_MAX);
        if (ext.act == W_IP6EXT_PROBLEM)
            assert_true(ext.pointer < packet_len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_extensions_the_walk_ends_at_once),
        cmocka_unit_test(a_full_chain_is_walked),
        cmocka_unit_test(cuts_are_discarded),
        cmocka_unit_test(long_chains_and_lengths_past_the_end_are_discarded),
        cmocka_unit_test(hop_by_hop_elsewhere_is_an_unknown_header),
        cmocka_unit_test(unknown_options_act_by_their_code),
        cmocka_unit_test(options_past_the_header_are_discarded),
        cmocka_unit_test(routing_with_segments_left_is_a_problem_at_the_type),
        cmocka_unit_test(a_fragment_ends_the_walk),
        cmocka_unit_test(impossible_fragments_are_refused),
        cmocka_unit_test(random_chains_stay_within_the_packet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
