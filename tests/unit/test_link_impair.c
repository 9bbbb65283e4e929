/* SPDX-License-Identifier: MIT */
/* Impairments in virtual time: every expectation follows from the configuration by arithmetic. */
#include <math.h>

#include "unit/link_frames.h"

static struct weir_link *ends[2];

/* A pipe whose end 0 is impaired. */
static void open_impaired(struct weir_impair_config config, enum weir_impair_direction direction)
{
    struct weir_pipe_config pipe = {.kind = WEIR_NETIF_IP, .queue_frames = 100000};
    struct weir_link *inner[2];
    assert_int_equal(weir_link_pipe(&pipe, inner), 0);
    assert_int_equal(weir_link_impair(inner[0], &config, direction, &ends[0]), 0);
    ends[1] = inner[1];
}

static void close_impaired(void)
{
    weir_link_free(ends[0]);
    weir_link_free(ends[1]);
}

static void send_on(unsigned end, unsigned flags, uint32_t seq, size_t data_len, weir_time now)
{
    uint8_t buf[2000];
    struct weir_out out = out_of(buf, tcp_frame(buf, flags, seq, data_len));
    assert_int_equal(ends[end]->ops->send(ends[end], &out, now), 0);
}

/* What arrives at end 1 up to `until`, when every deadline is met: sequence numbers and times. */
struct arrivals {
    unsigned n;
    uint32_t seq[4096];
    weir_time at[4096];
};

static void drain(struct arrivals *got, weir_time now)
{
    struct weir_frame frame;
    while (ends[1]->ops->recv(ends[1], &frame, now) == 1) {
        assert_true(got->n < 4096);
        got->seq[got->n] = be32(frame.data + 24);
        got->at[got->n++] = now;
    }
}

static void run_until(struct arrivals *got, weir_time now, weir_time until)
{
    struct weir_frame frame;
    for (;;) {
        assert_int_equal(ends[0]->ops->recv(ends[0], &frame, now), 0);
        drain(got, now);
        weir_time next = ends[0]->ops->deadline(ends[0]);
        if (next > until)
            return;
        assert_true(next >= now);
        now = next;
    }
}

static struct arrivals got;

static void reset(void)
{
    memset(&got, 0, sizeof got);
}

static void delay_is_exact(void **state)
{
    (void)state;
    reset();
    open_impaired((struct weir_impair_config){.delay = 20 * WEIR_MS}, WEIR_IMPAIR_OUT);
    send_on(0, F_ACK, 1, 0, 5);
    send_on(0, F_ACK, 2, 0, 6);
    run_until(&got, 6, WEIR_SEC);
    assert_int_equal(got.n, 2);
    assert_int_equal(got.at[0], 20 * WEIR_MS + 5);
    assert_int_equal(got.at[1], 20 * WEIR_MS + 6);
    close_impaired();
}

static void jitter_keeps_order(void **state)
{
    weir_time low = WEIR_SEC, high = 0;
    (void)state;
    reset();
    open_impaired((struct weir_impair_config){.delay = 10 * WEIR_MS, .jitter = 4 * WEIR_MS},
                  WEIR_IMPAIR_OUT);
    for (uint32_t i = 0; i < 1000; i++)
        send_on(0, F_ACK, i, 0, i * WEIR_MS);
    run_until(&got, 999 * WEIR_MS, 10 * WEIR_SEC);
    assert_int_equal(got.n, 1000);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(got.seq[i], i);
    close_impaired();

    /* One frame at a time: the whole range is used, and no more than it. */
    for (uint32_t i = 0; i < 300; i++) {
        reset();
        open_impaired(
            (struct weir_impair_config){.seed = i, .delay = 10 * WEIR_MS, .jitter = 4 * WEIR_MS},
            WEIR_IMPAIR_OUT);
        send_on(0, F_ACK, i, 0, 0);
        run_until(&got, 0, WEIR_SEC);
        low = got.at[0] < low ? got.at[0] : low;
        high = got.at[0] > high ? got.at[0] : high;
        close_impaired();
    }
    assert_true(low >= 6 * WEIR_MS && low < 6 * WEIR_MS + 200 * WEIR_US);
    assert_true(high <= 14 * WEIR_MS && high > 14 * WEIR_MS - 200 * WEIR_US);
}

static void rate_spaces_frames_and_queue_drops_the_tail(void **state)
{
    (void)state;
    reset();
    /* 1000 bytes at 8 Mbit/s are 1 ms. */
    open_impaired((struct weir_impair_config){.rate_bps = 8000000, .queue_frames = 10},
                  WEIR_IMPAIR_OUT);
    for (uint32_t i = 0; i < 15; i++)
        send_on(0, F_ACK, i, 960, 0);
    run_until(&got, 0, WEIR_SEC);
    assert_int_equal(got.n, 10);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(got.seq[i], i);
        assert_int_equal(got.at[i], (i + 1) * WEIR_MS);
    }
    send_on(0, F_ACK, 99, 460, 50 * WEIR_MS); /* the limiter does not save up */
    run_until(&got, 50 * WEIR_MS, WEIR_SEC);
    assert_int_equal(got.at[10], 50 * WEIR_MS + 500 * WEIR_US);
    close_impaired();
}

static unsigned survivors(double loss, uint64_t seed)
{
    reset();
    open_impaired((struct weir_impair_config){.loss = loss, .seed = seed}, WEIR_IMPAIR_OUT);
    for (uint32_t i = 0; i < 4000; i++)
        send_on(0, F_ACK, i, 0, 0);
    run_until(&got, 0, WEIR_SEC);
    close_impaired();
    return got.n;
}

static void loss_is_as_asked_and_repeats_with_the_seed(void **state)
{
    struct arrivals *first = malloc(sizeof *first);
    (void)state;
    unsigned n = survivors(0.1, 7);
    /* 4000 trials of 0.9: sigma is 19; four of them on each side */
    assert_in_range(n, 3600 - 76, 3600 + 76);
    *first = got;
    assert_int_equal(survivors(0.1, 7), n);
    assert_memory_equal(first->seq, got.seq, n * sizeof got.seq[0]);
    survivors(0.1, 8);
    assert_memory_not_equal(first->seq, got.seq, n * sizeof got.seq[0]);
    assert_int_equal(survivors(0, 7), 4000);
    assert_int_equal(survivors(1, 7), 0);
    free(first);
}

/* With one seed, another fault turned on loses the same frames. */
static void faults_draw_apart(void **state)
{
    struct arrivals *first = malloc(sizeof *first);
    (void)state;
    unsigned n = survivors(0.2, 3);
    *first = got;
    reset();
    open_impaired(
        (struct weir_impair_config){
            .loss = 0.2, .seed = 3, .corrupt = 0.5, .jitter = 5, .delay = 9},
        WEIR_IMPAIR_OUT);
    for (uint32_t i = 0; i < 4000; i++)
        send_on(0, F_ACK, i, 1000, 0);
    run_until(&got, 0, WEIR_SEC);
    assert_int_equal(got.n, n);
    unsigned same = 0; /* corruption may hit a sequence number now and then */
    for (unsigned i = 0; i < n; i++)
        same += got.seq[i] == first->seq[i];
    assert_true(same > n - n / 50);
    close_impaired();
    free(first);
}

static void reordered_frames_are_overtaken(void **state)
{
    unsigned late = 0;
    (void)state;
    reset();
    open_impaired((struct weir_impair_config){.delay = WEIR_MS, .reorder = 0.1, .seed = 5},
                  WEIR_IMPAIR_OUT);
    for (uint32_t i = 0; i < 1000; i++)
        send_on(0, F_ACK, i, 0, i * WEIR_MS);
    run_until(&got, 999 * WEIR_MS, 10 * WEIR_SEC);
    assert_int_equal(got.n, 1000);
    for (unsigned i = 0; i < 1000; i++)
        late += i > 0 && got.seq[i] < got.seq[i - 1];
    assert_in_range(late, 50, 150);
    close_impaired();
}

static void duplicates_and_corruption(void **state)
{
    struct weir_frame frame;
    uint8_t clean[540];
    (void)state;
    reset();
    open_impaired((struct weir_impair_config){.duplicate = 1, .corrupt = 1}, WEIR_IMPAIR_OUT);
    size_t len = tcp_frame(clean, F_ACK, 1, 500);
    send_on(0, F_ACK, 1, 500, 0);
    for (unsigned copies = 0; copies < 2; copies++) {
        unsigned flipped = 0;
        assert_int_equal(ends[1]->ops->recv(ends[1], &frame, 0), 1);
        assert_int_equal(frame.len, len);
        for (size_t i = 0; i < len; i++)
            flipped += (unsigned)__builtin_popcount(frame.data[i] ^ clean[i]);
        assert_int_equal(flipped, 1);
        assert_false(frame.csum_valid);
    }
    assert_int_equal(ends[1]->ops->recv(ends[1], &frame, 0), 0);
    close_impaired();
}

static void super_segments_are_cut_before(void **state)
{
    uint8_t head[WEIR_HEAD_MAX], data[4000] = {0};
    struct weir_out out = {.head = head, .n_spans = 1, .gso_size = 1000, .csum_partial = true};
    (void)state;
    reset();
    open_impaired((struct weir_impair_config){.rules = "drop data 2"}, WEIR_IMPAIR_OUT);
    out.head_len = tcp_head(head, 4, F_ACK, 100, 0, 4000);
    out.span[0] = (struct weir_span){data, 4000};
    out.csum_start = 20;
    out.csum_offset = 16;
    assert_int_equal(ends[0]->ops->send(ends[0], &out, 0), 0);
    drain(&got, 0);
    assert_int_equal(got.n, 3);
    assert_int_equal(got.seq[0], 100);
    assert_int_equal(got.seq[1], 2100);
    assert_int_equal(got.seq[2], 3100);
    close_impaired();
}

/* A connection's life, each frame with its own number as sequence number. */
static void send_a_connection(unsigned end)
{
    send_on(end, F_SYN, 1, 0, 0);
    send_on(end, F_SYN | F_ACK, 2, 0, 0);
    send_on(end, F_ACK, 3, 0, 0);
    send_on(end, F_ACK | F_PSH, 4, 10, 0);
    send_on(end, F_ACK, 5, 0, 0);
    send_on(end, F_ACK, 6, 10, 0);
    send_on(end, F_ACK | F_FIN, 7, 10, 0);
    send_on(end, F_ACK | F_FIN, 8, 0, 0);
    send_on(end, F_RST | F_ACK, 9, 0, 0);
    send_on(end, F_SYN, 10, 0, 0);
}

/* The sequence numbers that arrive, as digits (10 is 0). */
static void expect_rules(const char *rules, const char *expected)
{
    char digits[32] = "";
    reset();
    open_impaired((struct weir_impair_config){.rules = rules}, WEIR_IMPAIR_OUT);
    send_a_connection(0);
    run_until(&got, 0, WEIR_SEC);
    for (unsigned i = 0; i < got.n; i++)
        digits[i] = (char)('0' + got.seq[i] % 10);
    assert_string_equal(digits, expected);
    close_impaired();
}

static void rules_meet_their_class_and_number(void **state)
{
    (void)state;
    expect_rules("", "1234567890");
    expect_rules("drop data 3", "1234568"
                                "90");
    expect_rules("drop fin 1", "1234568"
                               "90");
    expect_rules("drop fin 2", "1234567"
                               "90");
    expect_rules("drop syn 1-2", "23456789");
    expect_rules("drop syn 1-", "23456789");
    expect_rules("drop synack 1", "134567890");
    expect_rules("drop ack 2", "123467890");
    expect_rules("drop rst 1", "1234567"
                               "80");
    expect_rules("drop frame 10", "123456789");
    expect_rules("dup data 2", "12345667890");
    expect_rules("delay data 1 20ms", "12356789"
                                      "04");
    expect_rules("drop data 1; drop data 1-2 ;drop fin 9", "123578"
                                                           "90");
    expect_rules("in drop frame 1-; out drop frame 2-9", "10");
    expect_rules("drop frame 2-9'ignored", "10");
}

static void rules_corrupt(void **state)
{
    struct weir_frame frame;
    (void)state;
    open_impaired((struct weir_impair_config){.rules = "corrupt data 1"}, WEIR_IMPAIR_OUT);
    send_on(0, F_ACK, 1, 0, 0);
    send_on(0, F_ACK, 1, 10, 0);
    assert_int_equal(ends[1]->ops->recv(ends[1], &frame, 0), 1);
    assert_ip_good(frame.data, frame.len);
    assert_int_equal(ends[1]->ops->recv(ends[1], &frame, 0), 1);
    uint8_t clean[64];
    tcp_frame(clean, F_ACK, 1, 10);
    assert_memory_not_equal(clean, frame.data, 50);
    close_impaired();
}

static void the_way_in_is_on_its_own(void **state)
{
    struct weir_frame frame;
    (void)state;
    reset();
    open_impaired((struct weir_impair_config){.delay = 5 * WEIR_MS, .rules = "in drop data 1"},
                  WEIR_IMPAIR_IN);
    send_on(0, F_ACK, 1, 10, 0);
    drain(&got, 0);
    assert_int_equal(got.n, 1); /* out is not impaired */
    send_on(1, F_ACK, 2, 10, 0);
    send_on(1, F_ACK, 3, 10, 0);
    assert_int_equal(ends[0]->ops->recv(ends[0], &frame, 0), 0);
    assert_true(ends[0]->ops->deadline(ends[0]) == 5 * WEIR_MS);
    assert_int_equal(ends[0]->ops->recv(ends[0], &frame, 5 * WEIR_MS), 1);
    assert_int_equal(be32(frame.data + 24), 3);
    assert_int_equal(ends[0]->ops->recv(ends[0], &frame, WEIR_SEC), 0);
    close_impaired();
}

static void a_full_inner_link_holds_frames_back(void **state)
{
    struct weir_pipe_config pipe = {.kind = WEIR_NETIF_IP, .queue_frames = 4};
    struct weir_impair_config config = {0};
    struct weir_link *inner[2];
    uint8_t buf[100];
    struct weir_out out = out_of(buf, tcp_frame(buf, F_ACK, 1, 0));
    (void)state;
    reset();
    assert_int_equal(weir_link_pipe(&pipe, inner), 0);
    assert_int_equal(weir_link_impair(inner[0], &config, WEIR_IMPAIR_BOTH, &ends[0]), 0);
    ends[1] = inner[1];
    unsigned sent = 0;
    while (ends[0]->ops->send(ends[0], &out, 0) == 0)
        assert_true(++sent < 10);
    assert_int_equal(ends[0]->ops->send(ends[0], &out, 0), WEIR_EAGAIN);
    drain(&got, 0);
    run_until(&got, 0, WEIR_SEC);
    assert_int_equal(got.n, sent);
    assert_int_equal(ends[0]->ops->send(ends[0], &out, 0), 0);
    close_impaired();
}

/* Gilbert's model: bursts are 1 / burst_end frames long on average, and burst / (burst + burst_end) of
 * all frames are lost. */
static void bursts_are_as_long_and_as_many_as_asked(void **state)
{
    unsigned runs = 0;
    (void)state;
    reset();
    open_impaired((struct weir_impair_config){.burst = 0.02, .burst_end = 0.25, .seed = 3},
                  WEIR_IMPAIR_OUT);
    for (uint32_t i = 0; i < 4000; i++)
        send_on(0, F_ACK, i, 0, 0);
    run_until(&got, 0, WEIR_SEC);
    for (unsigned i = 1; i < got.n; i++)
        runs += got.seq[i] != got.seq[i - 1] + 1;
    unsigned lost = 4000 - got.n;
    /* 296 of 4000 in 74 runs of 4; a geometric length has sigma 3.5, a sum of 74 of them about 30, and
     * their number 8. */
    assert_in_range(lost, 296 - 150, 296 + 150);
    assert_in_range(runs, 74 - 32, 74 + 32);
    assert_true(lost > 3 * runs && lost < 5 * runs);
    close_impaired();
}

static void acks_alone_are_lost(void **state)
{
    (void)state;
    reset();
    open_impaired((struct weir_impair_config){.ack_loss = 1}, WEIR_IMPAIR_OUT);
    send_on(0, F_SYN, 1, 0, 0);
    send_on(0, F_SYN | F_ACK, 2, 0, 0);
    send_on(0, F_ACK, 3, 0, 0);
    send_on(0, F_ACK, 4, 1, 0);
    send_on(0, F_ACK | F_FIN, 5, 0, 0);
    run_until(&got, 0, WEIR_SEC);
    assert_int_equal(got.n, 4);
    assert_int_equal(got.seq[2], 4);
    close_impaired();
}

/* A bucket of 3000 bytes that 8 Mbit/s fill: 1000 bytes a millisecond. */
static void a_policer_lets_the_bucket_pass_and_then_its_rate(void **state)
{
    static const uint32_t passed[] = {0, 1, 2, 5, 10, 11, 12};
    (void)state;
    reset();
    open_impaired((struct weir_impair_config){.police_bps = 8000000, .police_bytes = 3000},
                  WEIR_IMPAIR_OUT);
    for (uint32_t i = 0; i < 5; i++)
        send_on(0, F_ACK, i, 960, 0);
    send_on(0, F_ACK, 5, 960, WEIR_MS);
    send_on(0, F_ACK, 6, 960, WEIR_MS + WEIR_MS / 2);
    for (uint32_t i = 10; i < 15; i++) /* no more is saved up than the bucket holds */
        send_on(0, F_ACK, i, 960, WEIR_SEC);
    run_until(&got, WEIR_SEC, 2 * WEIR_SEC);
    assert_int_equal(got.n, sizeof passed / sizeof *passed);
    assert_memory_equal(got.seq, passed, sizeof passed);
    close_impaired();
}

static void a_stall_holds_and_lets_go_at_once(void **state)
{
    (void)state;
    reset();
    open_impaired((struct weir_impair_config){.delay = 10 * WEIR_MS,
                                              .stall_at = 30 * WEIR_MS,
                                              .stall = 50 * WEIR_MS},
                  WEIR_IMPAIR_OUT);
    for (uint32_t i = 0; i < 100; i++) /* the first comes at 1 s: the stall is from 1.03 to 1.08 */
        send_on(0, F_ACK, i, 0, WEIR_SEC + i * WEIR_MS);
    run_until(&got, WEIR_SEC + 99 * WEIR_MS, 2 * WEIR_SEC);
    assert_int_equal(got.n, 100);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(got.seq[i], i);
    close_impaired();

    reset();
    open_impaired((struct weir_impair_config){.stall_at = 30 * WEIR_MS, .stall = 50 * WEIR_MS},
                  WEIR_IMPAIR_OUT);
    for (uint32_t i = 0; i < 100; i++) {
        weir_time at = WEIR_SEC + i * WEIR_MS;
        send_on(0, F_ACK, i, 0, at);
        run_until(&got, at, at);
    }
    run_until(&got, WEIR_SEC + 99 * WEIR_MS, 2 * WEIR_SEC);
    assert_int_equal(got.n, 100);
    for (uint32_t i = 0; i < 100; i++)
        assert_true(got.at[i] == WEIR_SEC + (i >= 30 && i < 80 ? 80 : i) * WEIR_MS);
    close_impaired();
}

static void text_becomes_a_configuration(void **state)
{
    struct weir_impair_config c = {0};
    const char *bad = NULL;
    (void)state;
    assert_int_equal(weir_impair_parse("delay=20ms jitter=1.5ms,loss=1% dup=0.25 corrupt=0.1% "
                                       "reorder=2% rate=100mbit queue=100 seed=7 "
                                       "rules='drop data 3; drop fin 1'",
                                       &c, &bad),
                     0);
    assert_int_equal(c.delay, 20 * WEIR_MS);
    assert_int_equal(c.jitter, 1500 * WEIR_US);
    assert_true(fabs(c.loss - 0.01) < 1e-12 && fabs(c.corrupt - 0.001) < 1e-12);
    assert_true(c.duplicate == 0.25 && fabs(c.reorder - 0.02) < 1e-12);
    assert_int_equal(c.rate_bps, 100000000);
    assert_int_equal(c.queue_frames, 100);
    assert_int_equal(c.seed, 7);
    assert_memory_equal(c.rules, "drop data 3; drop fin 1'", 24);
    c = (struct weir_impair_config){0};
    assert_int_equal(weir_impair_parse("rate=2.5gbit delay=1s rules=drop fin 1", &c, &bad), 0);
    assert_int_equal(c.rate_bps, 2500000000u);
    assert_string_equal(c.rules, "drop fin 1");
    c = (struct weir_impair_config){0};
    assert_int_equal(weir_impair_parse("burst=1% burst-end=0.25 ack-loss=20% police=5mbit "
                                       "bucket=30000 stall-at=2s stall=500ms reorder-delay=4ms",
                                       &c, &bad),
                     0);
    assert_true(c.burst == 0.01 && c.burst_end == 0.25 && fabs(c.ack_loss - 0.2) < 1e-12);
    assert_true(c.police_bps == 5000000 && c.police_bytes == 30000);
    assert_true(c.stall_at == 2 * WEIR_SEC && c.stall == WEIR_SEC / 2);
    assert_true(c.reorder_delay == 4 * WEIR_MS);
    assert_int_equal(weir_impair_parse("", &c, &bad), 0);
}

static void bad_text_is_pointed_at(void **state)
{
    static const char *const texts[][2] = {
        {"delay=20ms loss=101%", "loss=101%"},
        {"delay=20", "delay=20"},
        {"delay=20msx", "delay=20msx"},
        {"delays=20ms", "delays=20ms"},
        {"loss=1% jitter", "jitter"},
        {"rate=100", "rate=100"},
        {"rate=100mbps", "rate=100mbps"},
        {"queue=0", "queue=0"},
        {"queue=-1", "queue=-1"},
        {"loss=-1%", "loss=-1%"},
        {"seed=99999999999999999999", "seed=99999999999999999999"},
        {"rules='drop'", "rules='drop'"},
        {"rules='drop data 0'", "rules='drop data 0'"},
        {"rules='drop data 3-2'", "rules='drop data 3-2'"},
        {"rules='drop syn 1", "rules='drop syn 1"},
        {"rules='delay data 1'", "rules='delay data 1'"},
        {"rules='drop data 1 20ms'", "rules='drop data 1 20ms'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct weir_impair_config c = {0};
        const char *bad = NULL;
        assert_int_equal(weir_impair_parse(texts[i][0], &c, &bad), WEIR_EINVAL);
        assert_string_equal(bad, texts[i][1]);
    }
}

static void bad_configurations_are_refused(void **state)
{
    struct weir_pipe_config pipe = {.kind = WEIR_NETIF_IP};
    static const struct weir_impair_config bad[] = {
        {.loss = 1.5},         {.delay = -1},          {.rules = "drop it"}, {.corrupt = -0.1},
        {.burst = 0.1},        {.burst_end = 2},       {.ack_loss = -1},     {.police_bps = 1000},
        {.police_bytes = 100}, {.stall = -1 * WEIR_MS}};
    (void)state;
    assert_int_equal(weir_link_pipe(&pipe, ends), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct weir_link *link;
        assert_int_equal(weir_link_impair(ends[0], &bad[i], WEIR_IMPAIR_BOTH, &link), WEIR_EINVAL);
    }
    close_impaired();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delay_is_exact),
        cmocka_unit_test(jitter_keeps_order),
        cmocka_unit_test(rate_spaces_frames_and_queue_drops_the_tail),
        cmocka_unit_test(loss_is_as_asked_and_repeats_with_the_seed),
        cmocka_unit_test(faults_draw_apart),
        cmocka_unit_test(reordered_frames_are_overtaken),
        cmocka_unit_test(duplicates_and_corruption),
        cmocka_unit_test(super_segments_are_cut_before),
        cmocka_unit_test(rules_meet_their_class_and_number),
        cmocka_unit_test(rules_corrupt),
        cmocka_unit_test(the_way_in_is_on_its_own),
        cmocka_unit_test(a_full_inner_link_holds_frames_back),
        cmocka_unit_test(bursts_are_as_long_and_as_many_as_asked),
        cmocka_unit_test(acks_alone_are_lost),
        cmocka_unit_test(a_policer_lets_the_bucket_pass_and_then_its_rate),
        cmocka_unit_test(a_stall_holds_and_lets_go_at_once),
        cmocka_unit_test(text_becomes_a_configuration),
        cmocka_unit_test(bad_text_is_pointed_at),
        cmocka_unit_test(bad_configurations_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
