/* SPDX-License-Identifier: MIT */
/*
 * Super-segments in software, on the way in. What must not be joined is Linux's (tcp_gro_receive, inet_gro_receive):
 * whatever a receiver of single segments would have seen of the second one that the first did not have. What was joined
 * and is cut again must be the same bytes. Where frames are lent, each is copied to where it might be joined before it
 * is known whether it is.
 */
#include "unit/link_offloaded.h"

enum { TS = 12, BUF = 70000 };

/* Bytes of a frame's headers, as far as there are any. */
static size_t head_of(const uint8_t *frame, size_t len)
{
    const uint8_t *ip = frame + (far_end->netif.kind == WEIR_NETIF_ETHERNET ? 14 : 0);
    size_t l4 = (size_t)(ip - frame) + (ip[0] >> 4 == 4 ? (size_t)(ip[0] & 15) * 4 : 40);
    size_t head = l4 + 13 < len ? l4 + (size_t)(frame[l4 + 12] >> 4) * 4 : len;
    return head < len && head <= WEIR_HEAD_MAX ? head : len;
}

static void put(uint8_t *data, size_t len)
{
    static uint8_t kept[128][BUF]; /* what is lent is not written to again */
    static unsigned next;
    struct weir_out out = out_of(data, len);
    if (lending) {
        out.head_len = head_of(data, len);
        out.span[0] = (struct weir_span){memcpy(kept[next], data, len), len};
        out.span[0].ptr += out.head_len;
        out.span[0].len -= out.head_len;
        out.n_spans = 1;
        out.stays = true;
        next = (next + 1) % 128;
    }
    assert_int_equal(far_end->ops->send(far_end, &out, 0), 0);
}

/* ---- segments -------------------------------------------------------------------------------------- */

/* Both checksums, after a change. */
static void finish(uint8_t *ip, size_t len)
{
    size_t l4 = ip[0] >> 4 == 4 ? (size_t)(ip[0] & 15) * 4 : 40;
    if (ip[0] >> 4 == 4) {
        set16(ip + 10, 0);
        set16(ip + 10, ~plain_sum(ip, l4, 0));
    }
    set16(ip + l4 + 16, 0);
    set16(ip + l4 + 16, ~plain_sum(ip + l4, len - l4, pseudo(ip, 6, len - l4)));
}

/* The n-th segment of a stream, of LEN bytes but the last, with timestamps. Returns the frame's length. */
static size_t segment(uint8_t *frame, unsigned family, bool ether, unsigned n, size_t len,
                      unsigned flags)
{
    uint8_t *ip = frame + (ether ? 14 : 0);
    memset(frame, 0, (size_t)(ip - frame));
    if (ether) {
        memcpy(frame, "\x02\0\0\0\0\1\x02\0\0\0\0\2", 12);
        set16(frame + 12, family == 4 ? 0x0800 : 0x86dd);
    }
    size_t head = tcp_head(ip, family, flags, 0xfffffc00u + n * LEN, TS, len);
    uint8_t *tcp = ip + head - 20 - TS;
    memcpy(tcp + 20, "\1\1\x8\xa\0\0\0\7\0\0\0\5", TS);
    if (family == 4)
        set16(ip + 4, 0xfffe + n);
    for (size_t i = 0; i < len; i++)
        ip[head + i] = (uint8_t)((n * LEN + i) * 13);
    finish(ip, head + len);
    return (size_t)(ip - frame) + head + len;
}

/* ---- what is joined -------------------------------------------------------------------------------- */

struct stream {
    uint8_t bytes[8][2000];
    size_t len[8];
    unsigned n, seen;
};

static int same_as_sent(void *arg, const uint8_t *frame, size_t len)
{
    struct stream *s = arg;
    assert_true(s->seen < s->n);
    assert_int_equal(len, s->len[s->seen]);
    assert_memory_equal(frame, s->bytes[s->seen], len);
    s->seen++;
    return 0;
}

/* Five segments, the last short with PSH (and FIN), come as one, and are the same five when they are cut. */
static void join_and_cut(unsigned family, bool ether, unsigned last_flags)
{
    static uint8_t head[2048];
    struct stream s = {.n = 5};
    struct weir_frame frame;
    enum weir_netif_kind kind = ether ? WEIR_NETIF_ETHERNET : WEIR_NETIF_IP;
    size_t l3 = ether ? 14 : 0, hlen = l3 + (family == 4 ? 20 : 40) + 20 + TS;
    open_links(kind, false, 0);
    for (unsigned i = 0; i < s.n; i++) {
        s.len[i] = segment(s.bytes[i], family, ether, i, i == 4 ? 77 : LEN,
                           i == 4 ? F_ACK | last_flags : F_ACK);
        put(s.bytes[i], s.len[i]);
    }
    assert_int_equal(near_end->ops->recv(near_end, &frame, 0), 1);
    assert_int_equal(frame.gso_size, LEN);
    assert_true(frame.csum_valid);
    assert_int_equal(frame.len, hlen + 4 * LEN + 77);
    const uint8_t *ip = frame.data + l3;
    if (family == 4) {
        assert_int_equal(be16(ip + 2), frame.len - l3);
        assert_int_equal(plain_sum(ip, 20, 0), 0xffff);
    } else {
        assert_int_equal(be16(ip + 4), frame.len - l3 - 40);
    }
    assert_int_equal(ip[hlen - l3 - TS - 20 + 13], F_ACK | last_flags);
    memcpy(head, frame.data, hlen);
    struct weir_out out = {.head = head, .head_len = hlen, .gso_size = frame.gso_size};
    out.span[0] = (struct weir_span){frame.data + hlen, 3};
    out.span[1] = (struct weir_span){frame.data + hlen + 3, frame.len - hlen - 3};
    out.n_spans = 2;
    assert_int_equal(weir_out_segment(&out, kind, same_as_sent, &s), 0);
    assert_int_equal(s.seen, 5);
    assert_int_equal(near_end->ops->recv(near_end, &frame, 0), 0);
    close_links();
}

static void segments_in_a_row_are_joined_and_cut_to_the_same(void **state)
{
    (void)state;
    for (unsigned ether = 0; ether < 2; ether++)
        for (unsigned family = 4; family <= 6; family += 2) {
            join_and_cut(family, ether, F_PSH);
            join_and_cut(family, ether, F_PSH | F_FIN);
            join_and_cut(family, ether, 0);
        }
}

/* ---- what is not ----------------------------------------------------------------------------------- */

typedef void change_fn(uint8_t *ip, size_t *len);

/* A first segment and a second one that `change` makes different: both arrive as they were sent, one by one. */
static void assert_not_joined(const char *what, unsigned family, change_fn *first,
                              change_fn *change, bool finished)
{
    uint8_t a[2000], b[2000];
    struct weir_frame frame;
    open_links(WEIR_NETIF_IP, false, 0);
    size_t a_len = segment(a, family, false, 0, LEN, F_ACK);
    size_t b_len = segment(b, family, false, 1, LEN, F_ACK);
    if (first) {
        first(a, &a_len);
        finish(a, a_len);
    }
    if (change)
        change(b, &b_len);
    if (change && finished)
        finish(b, b_len);
    put(a, a_len);
    put(b, b_len);
    for (unsigned i = 0; i < 2; i++) {
        if (near_end->ops->recv(near_end, &frame, 0) != 1 || frame.gso_size != 0)
            fail_msg("%s: joined", what);
        assert_int_equal(frame.len, i ? b_len : a_len);
        assert_memory_equal(frame.data, i ? b : a, frame.len);
    }
    assert_int_equal(near_end->ops->recv(near_end, &frame, 0), 0);
    close_links();
}

#define CHANGE(name, statement)                                                                    \
    static void name(uint8_t *ip, size_t *len)                                                     \
    {                                                                                              \
        uint8_t *tcp = ip + (ip[0] >> 4 == 4 ? 20 : 40);                                           \
        (void)tcp;                                                                                 \
        (void)len;                                                                                 \
        statement;                                                                                 \
    }

CHANGE(other_src_port, tcp[1]++)
CHANGE(other_dst_port, tcp[3]++)
CHANGE(a_gap, tcp[7]++)
CHANGE(an_overlap, tcp[7]--)
CHANGE(the_same_again, tcp[6] = (uint8_t)(tcp[6] - (LEN >> 8)); tcp[7] = (uint8_t)(tcp[7] - LEN))
CHANGE(other_ack, tcp[11]++)
CHANGE(other_window, tcp[15]++)
CHANGE(other_ts_val, tcp[27]++)
CHANGE(other_ts_ecr, tcp[31]++)
CHANGE(ece, tcp[13] |= F_ECE)
CHANGE(cwr, tcp[13] |= F_CWR)
CHANGE(ae, tcp[12] |= 1)
CHANGE(syn, tcp[13] |= F_SYN)
CHANGE(rst, tcp[13] |= F_RST)
CHANGE(urg, tcp[13] |= 32)
CHANGE(urgent_pointer, tcp[19] = 1)
CHANGE(no_ack, tcp[13] = 0)
CHANGE(other_option, memcpy(tcp + 20, "\1\1\5\xa\0\0\0\1\0\0\0\2", TS))
CHANGE(unused_option, memcpy(tcp + 20, "\xfe\xc\xf9\x89\0\0\0\1\0\0\0\2", TS))
CHANGE(no_data, *len -= LEN; set16(ip + 2, (unsigned)*len))
CHANGE(longer, *len += 1; set16(ip + 2, (unsigned)*len))
CHANGE(shorter, *len -= 1; set16(ip + 2, (unsigned)*len))
CHANGE(push, tcp[13] |= F_PSH)
CHANGE(fin, tcp[13] |= F_FIN)
CHANGE(other_src, ip[15]++)
CHANGE(other_dst, ip[19]++)
CHANGE(other_dscp, ip[1] ^= 0x20)
CHANGE(congestion, ip[1] ^= 3)
CHANGE(other_ttl, ip[8]--)
CHANGE(other_id, ip[5]++)
CHANGE(may_fragment, ip[6] = 0)
CHANGE(is_fragment, ip[6] = 0x20)
CHANGE(reserved_bit, ip[6] |= 0x80)
CHANGE(bad_ip_sum, ip[11] ^= 1)
CHANGE(bad_tcp_sum, tcp[17] ^= 1)
CHANGE(bad_data, ip[*len - 1] ^= 1)
CHANGE(not_tcp, ip[9] = 99)
CHANGE(cut_short, set16(ip + 2, (unsigned)*len + 1))
CHANGE(too_short, set16(ip + 2, 39))
CHANGE(bad_offset, tcp[12] = 0x40)
CHANGE(offset_beyond, tcp[12] = 0xf0)
CHANGE(other_label, ip[3]++)
CHANGE(other_class, ip[1] ^= 0x20)
CHANGE(other_hops, ip[7]--)
CHANGE(other_src6, ip[23]++)
CHANGE(other_dst6, ip[39]++)
CHANGE(other_next, ip[6] = 17)

/* An option of IP in both: twelve bytes of TCP's are taken for it. */
CHANGE(ip_options, memmove(ip + 24, ip + 20, *len - 20); ip[0] = 0x46; memset(ip + 20, 1, 4);
       *len += 4; set16(ip + 2, (unsigned)*len))

static void what_a_receiver_can_tell_apart_is_not_joined(void **state)
{
    static const struct {
        const char *what;
        unsigned family;
        change_fn *change;
    } cases[] = {
        {"source port", 4, other_src_port},
        {"destination port", 4, other_dst_port},
        {"gap", 4, a_gap},
        {"overlap", 4, an_overlap},
        {"the same again", 4, the_same_again},
        {"acknowledgment", 4, other_ack},
        {"window", 4, other_window},
        {"timestamp", 4, other_ts_val},
        {"echoed timestamp", 4, other_ts_ecr},
        {"ECE", 4, ece},
        {"CWR", 4, cwr},
        {"AE", 4, ae},
        {"SYN", 4, syn},
        {"RST", 4, rst},
        {"URG", 4, urg},
        {"urgent pointer", 4, urgent_pointer},
        {"no ACK", 4, no_ack},
        {"SACK", 4, other_option},
        {"an option that nobody knows", 4, unused_option},
        {"no data", 4, no_data},
        {"longer", 4, longer},
        {"source", 4, other_src},
        {"destination", 4, other_dst},
        {"DSCP", 4, other_dscp},
        {"congestion experienced", 4, congestion},
        {"TTL", 4, other_ttl},
        {"ID", 4, other_id},
        {"DF", 4, may_fragment},
        {"fragment", 4, is_fragment},
        {"reserved bit", 4, reserved_bit},
        {"other protocol", 4, not_tcp},
        {"data offset", 4, bad_offset},
        {"data offset beyond the packet", 4, offset_beyond},
        {"IP options", 4, ip_options},
        {"source, IPv6", 6, other_src6},
        {"destination, IPv6", 6, other_dst6},
        {"flow label", 6, other_label},
        {"traffic class", 6, other_class},
        {"hop limit", 6, other_hops},
        {"next header", 6, other_next},
        {"acknowledgment, IPv6", 6, other_ack},
        {"gap, IPv6", 6, a_gap},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_not_joined(cases[i].what, cases[i].family, NULL, cases[i].change, true);
}

static void what_is_to_be_dropped_is_not_joined(void **state)
{
    (void)state;
    assert_not_joined("header checksum", 4, NULL, bad_ip_sum, false);
    assert_not_joined("checksum", 4, NULL, bad_tcp_sum, false);
    assert_not_joined("checksum, IPv6", 6, NULL, bad_tcp_sum, false);
    assert_not_joined("data", 4, NULL, bad_data, false);
    assert_not_joined("cut short", 4, NULL, cut_short, false);
    assert_not_joined("length below the headers", 4, NULL, too_short, false);
}

/* The first one has what the second must not have beside it. */
static void nothing_follows_what_ends(void **state)
{
    (void)state;
    assert_not_joined("behind PSH", 4, push, NULL, true);
    assert_not_joined("behind FIN", 4, fin, NULL, true);
    assert_not_joined("behind URG", 4, urg, NULL, true);
    assert_not_joined("behind a SYN", 4, syn, NULL, true);
    assert_not_joined("behind a shorter one", 4, shorter, NULL, true);
    assert_not_joined("behind SACK", 4, other_option, other_option, true);
    assert_not_joined("behind IP options", 4, ip_options, ip_options, true);
    assert_not_joined("CWR behind CWR", 4, cwr, cwr, true);
}

static unsigned n_frames(void)
{
    struct weir_frame frame;
    unsigned n = 0;
    while (near_end->ops->recv(near_end, &frame, 0) == 1)
        n++;
    return n;
}

static void put_segments(unsigned from, unsigned n, size_t len)
{
    uint8_t data[2000];
    for (unsigned i = 0; i < n; i++) {
        size_t frame_len = segment(data, 4, false, from + i, LEN, F_ACK);
        if (len < LEN && i == n - 1)
            frame_len = segment(data, 4, false, from + i, len, F_ACK);
        put(data, frame_len);
    }
}

static void a_short_one_is_the_last(void **state)
{
    (void)state;
    open_links(WEIR_NETIF_IP, false, 0);
    put_segments(
        0, 3, LEN - 1); /* L L S | L: it is not where the short one ended, and nothing may follow */
    put_segments(3, 1, LEN);
    assert_int_equal(n_frames(), 2);
    close_links();
}

/* RFC 6864: a constant ID is good with DF alone, and does not change over to counting. */
static void ids_count_or_stay(void **state)
{
    static const struct {
        unsigned id[3], df, frames;
    } cases[] = {
        {{7, 8, 9}, 1, 1}, {{7, 7, 7}, 1, 1}, {{0, 0, 0}, 1, 1}, {{7, 7, 8}, 1, 2},
        {{7, 8, 8}, 1, 2}, {{7, 8, 9}, 0, 1}, {{7, 7, 7}, 0, 3}, {{0xffff, 0, 1}, 0, 1},
    };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        open_links(WEIR_NETIF_IP, false, 0);
        for (unsigned i = 0; i < 3; i++) {
            uint8_t data[2000];
            size_t len = segment(data, 4, false, i, LEN, F_ACK);
            set16(data + 4, cases[c].id[i]);
            data[6] = cases[c].df ? 0x40 : 0;
            finish(data, len);
            put(data, len);
        }
        assert_int_equal(n_frames(), cases[c].frames);
        close_links();
    }
}

static void no_more_than_an_ip_packet_holds(void **state)
{
    struct weir_frame frame;
    (void)state;
    open_links(WEIR_NETIF_IP, false, 0);
    put_segments(0, 70, LEN);
    assert_int_equal(near_end->ops->recv(near_end, &frame, 0), 1);
    assert_int_equal(frame.len, 52 + 65 * LEN); /* 66 were 66,118 bytes */
    assert_int_equal(near_end->ops->recv(near_end, &frame, 0), 1);
    assert_int_equal(frame.len, 52 + 5 * LEN);
    close_links();
}

/* What Ethernet adds to short frames is no data, and stays where it is. */
static void padding_is_no_data(void **state)
{
    uint8_t data[2000];
    struct weir_frame frame;
    (void)state;
    open_links(WEIR_NETIF_ETHERNET, false, 0);
    for (unsigned i = 0; i < 2; i++) {
        size_t len = segment(data, 4, true, i, LEN, F_ACK);
        memset(data + len, 0xee, 6);
        put(data, len + 6);
    }
    assert_int_equal(near_end->ops->recv(near_end, &frame, 0), 1);
    assert_int_equal(frame.len, 14 + 52 + 2 * LEN);
    for (size_t i = 0; i < 2 * LEN; i++)
        assert_int_equal(frame.data[14 + 52 + i], (uint8_t)(i * 13));
    close_links();
}

static void another_neighbour_is_not_joined(void **state)
{
    uint8_t data[2000];
    (void)state;
    for (unsigned at = 0; at < 12; at++) {
        open_links(WEIR_NETIF_ETHERNET, false, 0);
        put(data, segment(data, 4, true, 0, LEN, F_ACK));
        size_t len = segment(data, 4, true, 1, LEN, F_ACK);
        data[at] ^= 1;
        put(data, len);
        assert_int_equal(n_frames(), 2);
        close_links();
    }
}

/* Whose checksum is vouched for is not summed: its field holds anything. */
static void vouched_frames_are_joined(void **state)
{
    uint8_t data[2000];
    struct weir_frame frame;
    (void)state;
    open_links(WEIR_NETIF_IP, true, 0);
    for (unsigned i = 0; i < 2; i++) {
        struct weir_out out = out_of(data, segment(data, 4, false, i, LEN, F_ACK));
        set16(data + 36, 0x1234);
        out.csum_partial = true;
        out.csum_start = 20;
        out.csum_offset = 16;
        assert_int_equal(far_end->ops->send(far_end, &out, 0), 0);
    }
    assert_int_equal(near_end->ops->recv(near_end, &frame, 0), 1);
    assert_int_equal(frame.gso_size, LEN);
    close_links();
}

/* The data goes to the room if the headers are as long as was said, else behind them. */
static void data_goes_to_the_room(void **state)
{
    static uint8_t place[65536];
    struct weir_room room = {.data = place, .len = sizeof place, .head_len = 52};
    struct weir_frame frame;
    (void)state;
    open_links(WEIR_NETIF_IP, false, 0);
    for (unsigned right = 0; right < 2; right++) {
        memset(place, 0, sizeof place);
        room.head_len = right ? 52 : 40;
        put_segments(0, 3, LEN);
        assert_int_equal(near_end->ops->recv_room(near_end, &room, &frame, 0), 1);
        assert_int_equal(frame.len, 52 + 3 * LEN);
        if (right) {
            assert_ptr_equal(frame.body, place);
            assert_int_equal(frame.body_at, 52);
        } else {
            assert_null(frame.body);
        }
        for (size_t i = 0; i < 3 * LEN; i++)
            assert_int_equal(right ? place[i] : frame.data[52 + i], (uint8_t)(i * 13));
    }
    room.len = 2 * LEN + 500; /* nothing is written beyond it */
    memset(place, 0, sizeof place);
    put_segments(0, 3, LEN);
    assert_int_equal(near_end->ops->recv_room(near_end, &room, &frame, 0), 1);
    assert_int_equal(frame.len, 52 + 2 * LEN);
    assert_int_equal(place[2 * LEN], 0);
    close_links();
}

/* A frame that waits is a reason to come again at once. */
static void what_is_held_is_due(void **state)
{
    struct weir_frame frame;
    (void)state;
    open_links(WEIR_NETIF_IP, false, 0);
    put_segments(0, 1, LEN);
    put_segments(2, 1, LEN);
    assert_int_equal(near_end->ops->recv(near_end, &frame, 5), 1);
    assert_true(near_end->ops->deadline(near_end) <= 5);
    assert_int_equal(near_end->ops->recv(near_end, &frame, 5), 1);
    assert_true(near_end->ops->deadline(near_end) == WEIR_TIME_NEVER);
    close_links();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_in_a_row_are_joined_and_cut_to_the_same),
        cmocka_unit_test(what_a_receiver_can_tell_apart_is_not_joined),
        cmocka_unit_test(what_is_to_be_dropped_is_not_joined),
        cmocka_unit_test(nothing_follows_what_ends),
        cmocka_unit_test(a_short_one_is_the_last),
        cmocka_unit_test(ids_count_or_stay),
        cmocka_unit_test(no_more_than_an_ip_packet_holds),
        cmocka_unit_test(padding_is_no_data),
        cmocka_unit_test(another_neighbour_is_not_joined),
        cmocka_unit_test(vouched_frames_are_joined),
        cmocka_unit_test(data_goes_to_the_room),
        cmocka_unit_test(what_is_held_is_due),
    };
    int failed = cmocka_run_group_tests_name("copied", tests, NULL, NULL);
    lending = true;
    return failed + cmocka_run_group_tests_name("lent", tests, NULL, NULL);
}
