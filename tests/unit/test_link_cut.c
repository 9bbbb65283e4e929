/* SPDX-License-Identifier: MIT */
/*
 * Super-segments in software, on the way out: each piece goes exactly once and in order, whatever the link below refuses
 * or loses meanwhile, and what is lost is counted.
 */
#include "unit/link_offloaded.h"

static uint8_t out_head[WEIR_HEAD_MAX], out_data[5 * LEN];

static struct weir_out super(unsigned family)
{
    struct weir_out out = {.head = out_head, .n_spans = 2, .gso_size = LEN, .csum_partial = true};
    for (size_t i = 0; i < sizeof out_data; i++)
        out_data[i] = (uint8_t)(i * 13);
    out.head_len = tcp_head(out_head, family, F_ACK | F_PSH, 0xfffffc00u, 0, sizeof out_data);
    out.span[0] = (struct weir_span){out_data, 1501};
    out.span[1] = (struct weir_span){out_data + 1501, sizeof out_data - 1501};
    out.csum_start = family == 4 ? 20 : 40;
    out.csum_offset = 16;
    return out;
}

static void assert_next_piece(unsigned family, unsigned n)
{
    size_t head = family == 4 ? 40 : 60;
    struct weir_frame frame;
    assert_int_equal(far_end->ops->recv(far_end, &frame, 0), 1);
    assert_int_equal(frame.len, head + LEN);
    assert_int_equal(be32(frame.data + head - 16), 0xfffffc00u + n * LEN);
    assert_ip_good(frame.data, frame.len);
    for (size_t i = 0; i < LEN; i++)
        assert_int_equal(frame.data[head + i], (uint8_t)((n * LEN + i) * 13));
}

/* Three places for five pieces: what has gone does not go again, and what has not gone goes. */
static void a_full_link_takes_the_rest_later(void **state)
{
    (void)state;
    for (unsigned family = 4; family <= 6; family += 2) {
        struct weir_out out = super(family);
        open_links(WEIR_NETIF_IP, false, 3);
        assert_int_equal(near_end->ops->send(near_end, &out, 0), WEIR_EAGAIN);
        assert_next_piece(family, 0);
        assert_int_equal(near_end->ops->send(near_end, &out, 0), WEIR_EAGAIN);
        for (unsigned i = 1; i < 4; i++)
            assert_next_piece(family, i);
        assert_int_equal(near_end->ops->send(near_end, &out, 0), 0);
        assert_next_piece(family, 4);
        assert_int_equal(near_end->ops->send(near_end, &out, 0), WEIR_EAGAIN); /* all anew */
        assert_next_piece(family, 0);
        close_links();
    }
}

/* A link that takes several frames by one call, `at_once` at most, and otherwise is the one inside. */
struct many {
    struct weir_link link;
    struct weir_link *inner;
    unsigned at_once, calls, lose; /* lose: the n-th frame ever is lost by an error; 0: none */
    unsigned frames, lost;
};

static struct many many;

static unsigned many_send(struct weir_link *link, const struct weir_out *frames, unsigned n,
                          int *rc, weir_time now)
{
    unsigned i;
    assert_ptr_equal(link, &many.link);
    assert_true(n > 1); /* one alone goes by send() */
    many.calls++;
    *rc = 0;
    for (i = 0; i < n && i < many.at_once; i++) {
        int one = WEIR_ENOMEM;
        if (++many.frames != many.lose)
            one = many.inner->ops->send(many.inner, &frames[i], now);
        if (one == WEIR_EAGAIN || one == WEIR_ENETDOWN) {
            *rc = one;
            break;
        }
        many.lost += one != 0;
    }
    return i;
}

static int many_send_one(struct weir_link *link, const struct weir_out *out, weir_time now)
{
    assert_ptr_equal(link, &many.link);
    if (++many.frames == many.lose)
        return WEIR_ENOMEM;
    return many.inner->ops->send(many.inner, out, now);
}

static unsigned many_flush(struct weir_link *link, weir_time now)
{
    unsigned lost = many.lost;
    assert_ptr_equal(link, &many.link);
    (void)now;
    many.lost = 0;
    return lost;
}

static void many_free(struct weir_link *link)
{
    assert_ptr_equal(link, &many.link);
    weir_link_free(many.inner);
}

static void open_many(unsigned at_once, uint32_t queue_frames)
{
    static const struct weir_link_ops ops = {
        .send = many_send_one, .free = many_free, .flush = many_flush, .send_many = many_send};
    struct weir_pipe_config config = {.kind = WEIR_NETIF_IP, .queue_frames = queue_frames};
    struct weir_link *ends[2];
    assert_int_equal(weir_link_pipe(&config, ends), 0);
    many = (struct many){.inner = ends[1], .at_once = at_once};
    many.link = (struct weir_link){.ops = &ops, .netif = ends[1]->netif};
    assert_int_equal(weir_link_offload(&many.link, &near_end), 0);
    far_end = ends[0];
}

/* The pieces go together, as many as the link takes, and are those that go one by one. */
static void pieces_go_together(void **state)
{
    static const unsigned at_once[] = {64, 5, 4, 3, 2, 1}, calls[] = {1, 1, 1, 2, 2, 4};
    (void)state;
    for (unsigned family = 4; family <= 6; family += 2)
        for (unsigned k = 0; k < 6; k++) {
            struct weir_out out = super(family);
            open_many(at_once[k], 0);
            assert_int_equal(near_end->ops->send(near_end, &out, 0), 0);
            assert_int_equal(many.calls, calls[k]);
            assert_int_equal(many.frames, 5);
            for (unsigned i = 0; i < 5; i++)
                assert_next_piece(family, i);
            close_links();
        }
}

/* The same as a_full_link_takes_the_rest_later. */
static void pieces_that_go_together_go_once(void **state)
{
    (void)state;
    for (unsigned at_once = 1; at_once <= 5; at_once++) {
        struct weir_out out = super(4);
        open_many(at_once, 3);
        assert_int_equal(near_end->ops->send(near_end, &out, 0), WEIR_EAGAIN);
        assert_next_piece(4, 0);
        assert_int_equal(near_end->ops->send(near_end, &out, 0), WEIR_EAGAIN);
        for (unsigned i = 1; i < 4; i++)
            assert_next_piece(4, i);
        assert_int_equal(near_end->ops->send(near_end, &out, 0), 0);
        assert_next_piece(4, 4);
        close_links();
    }
}

static void assert_lost(unsigned n)
{
    assert_int_equal(near_end->ops->flush(near_end, 0), n);
    assert_int_equal(near_end->ops->flush(near_end, 0), 0);
}

static void a_lost_piece_does_not_keep_the_others_back(void **state)
{
    struct weir_frame frame;
    (void)state;
    for (unsigned at_once = 1; at_once <= 5; at_once++)
        for (unsigned lose = 1; lose <= 5; lose++) {
            struct weir_out out = super(4);
            open_many(at_once, 0);
            many.lose = lose;
            assert_int_equal(near_end->ops->send(near_end, &out, 0), 0);
            assert_lost(1);
            for (unsigned i = 0; i < 5; i++)
                if (i + 1 != lose)
                    assert_next_piece(4, i);
            assert_int_equal(far_end->ops->recv(far_end, &frame, 0), 0);
            close_links();
        }
}

/* Also where another is refused meanwhile, and goes later. */
static void a_lost_piece_is_told_beside_one_that_is_refused(void **state)
{
    (void)state;
    for (unsigned at_once = 1; at_once <= 5; at_once++)
        for (unsigned lose = 1; lose <= 3; lose++) {
            struct weir_out out = super(4);
            open_many(at_once, 3);
            many.lose = lose;
            assert_int_equal(near_end->ops->send(near_end, &out, 0), WEIR_EAGAIN);
            assert_lost(1);
            for (unsigned i = 0; i < 4; i++)
                if (i + 1 != lose)
                    assert_next_piece(4, i);
            assert_int_equal(near_end->ops->send(near_end, &out, 0), 0);
            assert_next_piece(4, 4);
            assert_lost(0);
            close_links();
        }
}

/* More pieces than one call has: each has headers of its own. */
static void a_long_super_segment_goes_in_several_calls(void **state)
{
    enum { SMALL = 100, N = 500 };
    static uint8_t data[N * SMALL];
    struct weir_out out = super(4);
    struct weir_frame frame;
    (void)state;
    out.head_len = tcp_head(out_head, 4, F_ACK, 7, 0, sizeof data);
    out.gso_size = SMALL;
    out.span[0] = (struct weir_span){data, sizeof data};
    out.n_spans = 1;
    open_many(64, 1000);
    assert_int_equal(near_end->ops->send(near_end, &out, 0), 0);
    assert_true(many.calls > 1 && many.calls < N / 10);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(far_end->ops->recv(far_end, &frame, 0), 1);
        assert_int_equal(frame.len, 40 + SMALL);
        assert_int_equal(be32(frame.data + 24), 7 + i * SMALL);
        assert_ip_good(frame.data, frame.len);
    }
    close_links();
}

/* A link that refuses, loses and stops where it likes. Whatever it is done with is the next of the stream. */
static struct {
    struct weir_link link;
    uint64_t rng;
    uint32_t seq;           /* of the next frame */
    unsigned lost, refused; /* lost: by send_many; the others are told by what send returns */
    unsigned all_lost;
} whim;

static unsigned draw(unsigned n)
{
    whim.rng = whim.rng * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)((whim.rng >> 33) % n);
}

static int whim_take(const struct weir_out *out)
{
    size_t len = 0;
    if (draw(6) == 0) {
        whim.refused++;
        return WEIR_EAGAIN;
    }
    for (unsigned i = 0; i < out->n_spans; i++)
        len += out->span[i].len;
    assert_int_equal(be32(out->head + 24), whim.seq);
    assert_int_equal(be16(out->head + 2), out->head_len + len);
    whim.seq += (uint32_t)len;
    if (draw(20) != 0)
        return 0;
    whim.all_lost++;
    return WEIR_ENOMEM;
}

static int whim_send(struct weir_link *link, const struct weir_out *out, weir_time now)
{
    (void)link, (void)now;
    return whim_take(out);
}

static unsigned whim_send_many(struct weir_link *link, const struct weir_out *frames, unsigned n,
                               int *rc, weir_time now)
{
    unsigned i = 0;
    (void)link, (void)now;
    *rc = 0;
    do {
        int one = whim_take(&frames[i]);
        if (one == WEIR_EAGAIN) {
            *rc = one;
            return i;
        }
        whim.lost += one != 0;
    } while (++i < n && draw(10) != 0);
    return i;
}

static unsigned whim_flush(struct weir_link *link, weir_time now)
{
    unsigned lost = whim.lost;
    (void)link, (void)now;
    whim.lost = 0;
    return lost;
}

static void whim_free(struct weir_link *link)
{
    (void)link;
}

/* Sends until it is taken, or given up. Returns how many frames are told to be lost. */
static unsigned send_as_a_host(const struct weir_out *out)
{
    unsigned lost = 0;
    int rc;
    do {
        rc = near_end->ops->send(near_end, out, 0);
        lost += near_end->ops->flush(near_end, 0);
    } while (rc == WEIR_EAGAIN && draw(30) != 0);
    return lost + (rc != 0 && rc != WEIR_EAGAIN);
}

static void whatever_is_refused_or_lost_each_piece_is_sent_once_and_counted(void **state)
{
    static const struct weir_link_ops one_by_one = {.send = whim_send,
                                                    .flush = whim_flush,
                                                    .free = whim_free},
                                      together = {.send = whim_send,
                                                  .send_many = whim_send_many,
                                                  .flush = whim_flush,
                                                  .free = whim_free};
    static uint8_t data[60000];
    uint32_t seq = 0xfff00000u;
    unsigned told = 0;
    (void)state;
    memset(&whim, 0, sizeof whim);
    for (unsigned run = 0; run < 2; run++) {
        whim.link = (struct weir_link){.ops = run ? &together : &one_by_one,
                                       .netif = {.kind = WEIR_NETIF_IP, .mtu = 1500}};
        assert_int_equal(weir_link_offload(&whim.link, &near_end), 0);
        for (unsigned i = 0; i < 3000; i++) {
            size_t len = 1 + draw(draw(4) ? sizeof data - 1 : 1400),
                   first = draw((unsigned)len + 1);
            struct weir_out out = super(4);
            out.gso_size = (uint16_t)(500 + draw(900));
            if (len <= out.gso_size)
                out.gso_size = 0;
            out.head_len = tcp_head(out_head, 4, F_ACK, seq, 0, len);
            out.span[0] = (struct weir_span){data, first};
            out.span[1] = (struct weir_span){data + first, len - first};
            whim.seq = seq;
            told += send_as_a_host(&out);
            seq += (uint32_t)len;
        }
        weir_link_free(near_end);
    }
    assert_int_equal(told, whim.all_lost);
    assert_true(told > 100 && whim.refused > 1000);
}

/* If it was given up, the next super-segment is whole. */
static void a_super_segment_that_is_given_up_is_forgotten(void **state)
{
    struct weir_out out = super(4);
    struct weir_frame frame;
    (void)state;
    open_links(WEIR_NETIF_IP, false, 3);
    assert_int_equal(near_end->ops->send(near_end, &out, 0), WEIR_EAGAIN);
    for (unsigned i = 0; i < 3; i++)
        assert_next_piece(4, i);
    set16(out_head + 26, 0x1000);
    out.span[1].len -= 3 * LEN;
    assert_int_equal(near_end->ops->send(near_end, &out, 0), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(far_end->ops->recv(far_end, &frame, 0), 1);
        assert_int_equal(be16(frame.data + 26), 0x1000 + i * LEN);
    }
    close_links();
}

/* What else may follow one that was given up: of the same length and sequence numbers, but not the same. */
static void what_only_looks_like_what_was_given_up_is_whole(void **state)
{
    enum { OTHER_PORT, OTHER_DATA, FRAME_BETWEEN, CASES };
    (void)state;
    for (unsigned n = 0; n < CASES; n++) {
        struct weir_out out = super(4), bare = {.head = out_head, .head_len = 40};
        struct weir_frame frame;
        open_links(WEIR_NETIF_IP, false, 3);
        assert_int_equal(near_end->ops->send(near_end, &out, 0), WEIR_EAGAIN);
        for (unsigned i = 0; i < 3; i++)
            assert_next_piece(4, i);
        if (n == OTHER_PORT)
            out_head[21] ^= 1;
        if (n == OTHER_DATA)
            out_data[100] ^= 1;
        if (n == FRAME_BETWEEN) {
            assert_int_equal(near_end->ops->send(near_end, &bare, 0), 0);
            assert_int_equal(far_end->ops->recv(far_end, &frame, 0), 1);
        }
        assert_int_equal(near_end->ops->send(near_end, &out, 0), WEIR_EAGAIN);
        assert_int_equal(far_end->ops->recv(far_end, &frame, 0), 1);
        assert_int_equal(be32(frame.data + 24), 0xfffffc00u);
        close_links();
    }
}

/* A card that finishes checksums is left to do it (virtio: the field holds the pseudo-header's sum). */
static void checksums_are_left_to_a_link_that_finishes_them(void **state)
{
    struct weir_out out = super(4);
    struct weir_frame frame;
    (void)state;
    open_links(WEIR_NETIF_IP, true, 0);
    assert_int_equal(near_end->ops->send(near_end, &out, 0), 0);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(far_end->ops->recv(far_end, &frame, 0), 1);
        assert_true(frame.csum_valid);
        assert_int_equal(be16(frame.data + 36), pseudo(frame.data, 6, frame.len - 20));
    }
    close_links();
}

/* One segment, its checksum not finished. What the caller keeps is not changed: it may be sent again. */
static void a_single_segment_is_finished(void **state)
{
    uint8_t before[WEIR_HEAD_MAX];
    struct weir_frame frame;
    (void)state;
    for (size_t split = 0; split <= LEN; split += 143) {
        struct weir_out out = super(4);
        out.gso_size = 0;
        set16(out_head + 2, 40 + LEN);
        set16(out_head + 10, 0);
        set16(out_head + 10, ~plain_sum(out_head, 20, 0));
        set16(out_head + 36, pseudo(out_head, 6, 20 + LEN));
        out.span[0] = (struct weir_span){out_data, split};
        out.span[1] = (struct weir_span){out_data + split, LEN - split};
        memcpy(before, out_head, out.head_len);
        open_links(WEIR_NETIF_IP, false, 0);
        assert_int_equal(near_end->ops->send(near_end, &out, 0), 0);
        assert_memory_equal(before, out_head, out.head_len);
        assert_int_equal(far_end->ops->recv(far_end, &frame, 0), 1);
        assert_int_equal(frame.len, 40 + LEN);
        assert_ip_good(frame.data, frame.len);
        close_links();
    }
}

static void a_link_with_super_segments_stays(void **state)
{
    struct weir_pipe_config config = {
        .kind = WEIR_NETIF_IP, .gso_max_bytes = 65535, .csum_offload = true};
    struct weir_link *ends[2], *link;
    (void)state;
    assert_int_equal(weir_link_pipe(&config, ends), 0);
    assert_int_equal(weir_link_offload(ends[0], &link), 0);
    assert_ptr_equal(link, ends[0]);
    weir_link_free(ends[0]);
    weir_link_free(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_link_takes_the_rest_later),
        cmocka_unit_test(pieces_go_together),
        cmocka_unit_test(pieces_that_go_together_go_once),
        cmocka_unit_test(a_lost_piece_does_not_keep_the_others_back),
        cmocka_unit_test(a_lost_piece_is_told_beside_one_that_is_refused),
        cmocka_unit_test(whatever_is_refused_or_lost_each_piece_is_sent_once_and_counted),
        cmocka_unit_test(a_long_super_segment_goes_in_several_calls),
        cmocka_unit_test(a_super_segment_that_is_given_up_is_forgotten),
        cmocka_unit_test(what_only_looks_like_what_was_given_up_is_whole),
        cmocka_unit_test(checksums_are_left_to_a_link_that_finishes_them),
        cmocka_unit_test(a_single_segment_is_finished),
        cmocka_unit_test(a_link_with_super_segments_stays),
    };
    int failed = cmocka_run_group_tests_name("copied", tests, NULL, NULL);
    lending = true;
    return failed + cmocka_run_group_tests_name("lent", tests, NULL, NULL);
}
