/* SPDX-License-Identifier: MIT */
/*
 * What AF_XDP lays into its rings, as the stack gets it. The kernel's part is played here by its own rules (net/xdp/xsk.c,
 * Linux 6.18): a chunk from the fill ring for each 3840 bytes, 256 bytes into the chunk, all descriptors but a frame's last with
 * XDP_PKT_CONTD; what does not fit into the rings whole is lost whole.
 */
#include "link/xdp_rx.h"
#include "unit/link_frames.h"

enum { CHUNKS = WR_XDP_RX_CHUNKS, HEADROOM = 256, TS = 12, MTU = 1500, BIG = 65535 };
#define AREA ((size_t)CHUNKS * WR_XDP_CHUNK)

/* ---- the kernel's side ------------------------------------------------------------------------------ */

static struct {
    uint32_t made, taken, flags;             /* rx ring */
    uint32_t fill_made, fill_taken, no_flag; /* fill ring */
    struct xdp_desc desc[CHUNKS];
    uint64_t fill[WR_XDP_FILL];
} rings;
static struct wr_xdp_rx rx;
static uint8_t *area, whole[WR_XDP_FRAME_MAX], sent[80000];

static void open_with(uint32_t first, uint32_t least)
{
    memset(&rings, 0, sizeof rings);
    rings.made = rings.taken = rings.fill_made = rings.fill_taken = first;
    area = malloc(AREA);
    assert_non_null(area);
    rx = (struct wr_xdp_rx){
        .area = area, .whole = whole, .mtu = MTU, .trusts = true, .least = least};
    rx.fill = (struct xsk_ring_prod){.cached_prod = first,
                                     .cached_cons = first + WR_XDP_FILL,
                                     .mask = WR_XDP_FILL - 1,
                                     .size = WR_XDP_FILL,
                                     .producer = &rings.fill_made,
                                     .consumer = &rings.fill_taken,
                                     .ring = rings.fill,
                                     .flags = &rings.no_flag};
    rx.ring = (struct xsk_ring_cons){.cached_prod = first,
                                     .cached_cons = first,
                                     .mask = CHUNKS - 1,
                                     .size = CHUNKS,
                                     .producer = &rings.made,
                                     .consumer = &rings.taken,
                                     .ring = rings.desc,
                                     .flags = &rings.flags};
    wr_xdp_rx_fill(&rx);
    assert_int_equal(rings.fill_made - rings.fill_taken, least);
}

static void open_rings(uint32_t first)
{
    open_with(first, CHUNKS);
}

/* Every chunk is the kernel's again, and each of them once. */
static void close_rings(void)
{
    static uint8_t seen[CHUNKS];
    struct weir_frame frame;
    memset(seen, 0, sizeof seen);
    assert_false(wr_xdp_rx_take(&rx, NULL, &frame));
    assert_int_equal(rings.fill_made - rings.fill_taken, CHUNKS);
    for (uint32_t i = rings.fill_taken; i != rings.fill_made; i++) {
        uint64_t addr = rings.fill[i % WR_XDP_FILL];
        assert_int_equal(addr % WR_XDP_CHUNK, 0);
        assert_int_equal(seen[addr / WR_XDP_CHUNK]++, 0);
    }
    free(area);
}

/* A piece, as it lies in the ring; not yet told of. */
static void lay(uint32_t i, const uint8_t *data, size_t len, bool more)
{
    uint64_t addr = rings.fill[rings.fill_taken++ % WR_XDP_FILL] + HEADROOM;
    memcpy(area + addr, data, len);
    rings.desc[(rings.made + i) % CHUNKS] =
        (struct xdp_desc){addr, (uint32_t)len, more ? XDP_PKT_CONTD : 0};
}

/* False: the rings were full, the frame is lost. */
static bool arrives(const uint8_t *data, size_t len)
{
    uint32_t n = (uint32_t)((len - 1) / WR_XDP_PIECE + 1);
    if (rings.fill_made - rings.fill_taken < n || rings.made - rings.taken + n > CHUNKS)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        size_t size = i + 1 < n ? WR_XDP_PIECE : len - (size_t)i * WR_XDP_PIECE;
        lay(i, data + (size_t)i * WR_XDP_PIECE, size, i + 1 < n);
    }
    rings.made += n;
    return true;
}

/* A segment with timestamps whose IP packet has `ip_len` bytes, its checksum unfinished, at `sent`. The frame's length. */
static size_t segment(unsigned family, size_t ip_len)
{
    size_t data = ip_len - (family == 4 ? 20 : 40) - 20 - TS;
    memcpy(sent, "\x02\0\0\0\0\1\x02\0\0\0\0\2", 12);
    set16(sent + 12, family == 4 ? 0x0800 : 0x86dd);
    size_t head = 14 + tcp_head(sent + 14, family, F_ACK, 1000, TS, data);
    for (size_t i = 0; i < data; i++)
        sent[head + i] = (uint8_t)(i * 7 + i / 251);
    return head + data;
}

static size_t field(unsigned family)
{
    return 14 + (family == 4 ? 20u : 40u) + 16;
}

static void take(const struct weir_room *room, struct weir_frame *frame, size_t len)
{
    assert_true(wr_xdp_rx_take(&rx, room, frame));
    assert_int_equal(frame->len, len);
}

/* ---- what comes --------------------------------------------------------------------------------------- */

static void test_a_small_frame_is_lent_where_it_lies(void **state)
{
    struct weir_frame frame;
    (void)state;
    open_rings(0);
    size_t len = segment(4, MTU);
    assert_true(arrives(sent, len));
    take(NULL, &frame, len);
    assert_ptr_equal(frame.data, area + HEADROOM);
    assert_memory_equal(frame.data, sent, len);
    assert_int_equal(frame.gso_size, 0);
    assert_true(frame.csum_valid);
    assert_int_equal(rings.fill_made - rings.fill_taken, CHUNKS - 1); /* until it has been read */
    close_rings();
}

/* Sizes around the edges of a piece, and the largest. What the segments had: the MTU without the headers. */
static void test_super_segments_come_whole(void **state)
{
    static const size_t lens[] = {MTU + 1, 3826, 3827, 7666, 7667, BIG};
    struct weir_frame frame;
    (void)state;
    open_rings(0xfffffff0u); /* the rings' numbers wrap */
    for (unsigned family = 4; family <= 6; family += 2) {
        for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
            size_t len = segment(family, lens[i]);
            assert_true(arrives(sent, len));
            take(NULL, &frame, len);
            assert_null(frame.body);
            assert_memory_equal(frame.data, sent, len);
            assert_true(frame.csum_valid);
            assert_int_equal(frame.gso_size, MTU - (family == 4 ? 20 : 40) - 20 - TS);
        }
    }
    close_rings();
}

static void test_a_super_segment_goes_to_the_room(void **state)
{
    static uint8_t data[65536];
    struct weir_room room = {.data = data, .len = sizeof data, .head_len = 14 + 20 + 20 + TS};
    struct weir_frame frame;
    (void)state;
    open_rings(0);
    size_t len = segment(4, BIG);
    assert_true(arrives(sent, len));
    take(&room, &frame, len);
    assert_ptr_equal(frame.data, area + HEADROOM); /* headers lie where they came */
    assert_memory_equal(frame.data, sent, room.head_len);
    assert_ptr_equal(frame.body, data);
    assert_int_equal(frame.body_at, room.head_len);
    assert_memory_equal(data, sent + room.head_len, len - room.head_len);
    assert_int_equal(rings.fill_made - rings.fill_taken, CHUNKS - 1);
    /* Nothing is written beyond the room. */
    room.len = 20000;
    memset(data, 0xee, sizeof data);
    assert_true(arrives(sent, len));
    take(&room, &frame, len);
    assert_null(frame.body);
    assert_memory_equal(frame.data, sent, len);
    assert_int_equal(data[0], 0xee);
    close_rings();
}

/* From a wire: the field holds a sum of the data, right or wrong. The stack shall verify it. */
static void test_what_is_finished_is_not_vouched_for(void **state)
{
    static uint8_t data[65536];
    struct weir_room room = {.data = data, .len = sizeof data, .head_len = 14 + 20 + 20 + TS};
    struct weir_frame frame;
    (void)state;
    open_rings(0);
    for (unsigned family = 4; family <= 6; family += 2) {
        for (size_t ip_len = MTU; ip_len <= 20 * MTU; ip_len += 19 * MTU) {
            size_t len = segment(family, ip_len);
            set16(sent + field(family), be16(sent + field(family)) ^ 0x0100);
            assert_true(arrives(sent, len));
            take(&room, &frame, len);
            assert_false(frame.csum_valid);
            assert_null(frame.body); /* it must stand in one piece to be summed */
            assert_memory_equal(frame.data, sent, len);
        }
    }
    /* At a driver's hook, where nobody but a wire can be in front, an unfinished one is a wrong one. */
    rx.trusts = false;
    size_t len = segment(4, MTU);
    assert_true(arrives(sent, len));
    take(NULL, &frame, len);
    assert_false(frame.csum_valid);
    close_rings();
}

static void test_a_frame_waits_for_its_last_piece(void **state)
{
    struct weir_frame frame;
    (void)state;
    open_rings(0);
    size_t len = segment(4, 9000), at = 0;
    for (unsigned i = 0; i < 3; i++) {
        size_t size = i < 2 ? WR_XDP_PIECE : len - at;
        assert_false(wr_xdp_rx_take(&rx, NULL, &frame));
        lay(0, sent + at, size, i < 2);
        rings.made++;
        at += size;
    }
    take(NULL, &frame, len);
    assert_memory_equal(frame.data, sent, len);
    close_rings();
}

/* More than a frame of the stack's can have: it sees the first piece, whose lengths do not fit, and counts it. */
static void test_of_a_frame_too_long_the_beginning_is_shown(void **state)
{
    struct weir_frame frame;
    (void)state;
    open_rings(0);
    size_t len = segment(4, BIG);
    assert_true(arrives(sent, WR_XDP_FRAME_MAX + 1));
    assert_true(arrives(sent, sizeof sent));
    assert_true(arrives(sent, len));
    for (unsigned i = 0; i < 2; i++) {
        take(NULL, &frame, WR_XDP_PIECE);
        assert_ptr_not_equal(frame.data, whole);
        assert_memory_equal(frame.data, sent, WR_XDP_PIECE);
        assert_false(frame.csum_valid);
        assert_int_equal(frame.gso_size, 0);
    }
    take(NULL, &frame, len); /* the next one is whole again */
    close_rings();
}

static void test_full_rings_lose_frames_whole(void **state)
{
    struct weir_frame frame;
    (void)state;
    open_rings(0);
    for (unsigned turn = 0; turn < 3; turn++) {
        unsigned n = 0;
        size_t len = segment(4, BIG);
        while (arrives(sent, len))
            n++;
        assert_int_equal(n, CHUNKS / 18); /* 65549 bytes are 18 pieces */
        for (unsigned i = 0; i < n; i++)
            take(NULL, &frame, len);
        assert_false(wr_xdp_rx_take(&rx, NULL, &frame));
    }
    close_rings();
}

/* As many chunks are in use as are needed for what comes at once, and fewer again when less does. */
static void test_chunks_in_use_follow_what_comes(void **state)
{
    struct weir_frame frame;
    uint32_t most = WR_XDP_RX_FEW;
    (void)state;
    open_with(0, WR_XDP_RX_FEW);
    size_t len = segment(4, BIG);
    for (unsigned turn = 0; turn < 5; turn++) {
        unsigned n = 0;
        while (arrives(sent, len))
            n++;
        assert_int_equal(n, most / 18);
        for (unsigned i = 0; i < n; i++)
            take(NULL, &frame, len);
        assert_false(wr_xdp_rx_take(&rx, NULL, &frame));
        most = most < CHUNKS ? most * 2 : CHUNKS;
        assert_int_equal(rings.fill_made - rings.fill_taken, most);
        assert_int_equal(rx.n_spare, CHUNKS - most);
    }
    for (unsigned i = 0; i < 10000; i++) { /* single frames: no more than a few need be in use */
        assert_true(arrives(sent, 60));
        take(NULL, &frame, 60);
    }
    assert_false(wr_xdp_rx_take(&rx, NULL, &frame));
    assert_int_equal(rings.fill_made - rings.fill_taken, WR_XDP_RX_FEW);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(arrives(sent, len));
        take(NULL, &frame, len);
        assert_memory_equal(frame.data, sent, len);
    }
    assert_false(wr_xdp_rx_take(&rx, NULL, &frame));
    for (uint32_t i = 0; i < rx.n_spare; i++) /* for the count at the end */
        rings.fill[rings.fill_made++ % WR_XDP_FILL] = rx.spare[i];
    close_rings();
}

/* ---- hostile ------------------------------------------------------------------------------------------ */

/* A chain of IPv6 extension headers that leads out of the first piece, which is the last chunk of the area. */
static void test_headers_are_not_looked_for_beyond_the_first_piece(void **state)
{
    struct weir_frame frame;
    (void)state;
    open_rings(0);
    for (unsigned i = 0; i < CHUNKS - 1; i++) {
        assert_true(arrives(sent, 60));
        take(NULL, &frame, 60);
    }
    size_t len = segment(6, 40000);
    sent[14 + 6] = 60; /* destination options, each of 2048 bytes */
    for (size_t at = 14 + 40; at < len; at += 2048)
        memcpy(sent + at, "\x3c\xff", 2);
    assert_true(arrives(sent, len));
    take(NULL, &frame, len);
    assert_memory_equal(frame.data, sent, len);
    assert_false(frame.csum_valid);
    assert_int_equal(frame.gso_size, 0);
    close_rings();
}

static uint32_t random_number(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Headers with a few bytes of anything, frames of any length: under a sanitizer. What is vouched for has been looked at. */
static void test_any_headers(void **state)
{
    static uint8_t data[65536];
    uint32_t seed = 7;
    unsigned vouched = 0;
    (void)state;
    open_rings(0);
    for (unsigned i = 0; i < 20000; i++) {
        unsigned family = random_number(&seed) % 2 ? 4 : 6;
        size_t most = i % 16 ? 200 : 70000, len = 1 + random_number(&seed) % most;
        struct weir_room room = {data, sizeof data, 14 + random_number(&seed) % 120};
        struct weir_frame frame;
        segment(family, 120);
        for (unsigned n = random_number(&seed) % 4; n > 0; n--)
            sent[12 + random_number(&seed) % 90] = (uint8_t)random_number(&seed);
        assert_true(arrives(sent, len));
        assert_true(wr_xdp_rx_take(&rx, i % 2 ? &room : NULL, &frame));
        assert_true(frame.len == len || frame.len == WR_XDP_PIECE);
        vouched += frame.csum_valid;
    }
    assert_true(vouched > 1000);
    close_rings();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_small_frame_is_lent_where_it_lies),
        cmocka_unit_test(test_super_segments_come_whole),
        cmocka_unit_test(test_a_super_segment_goes_to_the_room),
        cmocka_unit_test(test_what_is_finished_is_not_vouched_for),
        cmocka_unit_test(test_a_frame_waits_for_its_last_piece),
        cmocka_unit_test(test_of_a_frame_too_long_the_beginning_is_shown),
        cmocka_unit_test(test_full_rings_lose_frames_whole),
        cmocka_unit_test(test_chunks_in_use_follow_what_comes),
        cmocka_unit_test(test_headers_are_not_looked_for_beyond_the_first_piece),
        cmocka_unit_test(test_any_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
