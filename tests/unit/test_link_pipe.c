/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <pthread.h>

#include "unit/link_frames.h"

static struct weir_link *ends[2];

static void open_pipe(struct weir_pipe_config config)
{
    assert_int_equal(weir_link_pipe(&config, ends), 0);
}

static void close_pipe(void)
{
    weir_link_free(ends[0]);
    weir_link_free(ends[1]);
}

static int send_tcp(struct weir_link *link, uint32_t seq, size_t data_len, weir_time now)
{
    uint8_t buf[2000];
    struct weir_out out = out_of(buf, tcp_frame(buf, F_ACK, seq, data_len));
    return link->ops->send(link, &out, now);
}

static void frames_arrive_in_order_and_whole(void **state)
{
    struct weir_frame frame;
    (void)state;
    open_pipe((struct weir_pipe_config){.kind = WEIR_NETIF_IP, .mtu = 1400});
    assert_int_equal(ends[0]->netif.mtu, 1400);
    for (unsigned dir = 0; dir < 2; dir++) {
        for (uint32_t i = 0; i < 10; i++)
            assert_int_equal(send_tcp(ends[dir], i, i * 100, 5), 0);
        for (uint32_t i = 0; i < 10; i++) {
            assert_int_equal(ends[1 - dir]->ops->recv(ends[1 - dir], &frame, 5), 1);
            assert_int_equal(be32(frame.data + 24), i);
            assert_int_equal(frame.len, 40 + i * 100);
            assert_int_equal(frame.gso_size, 0);
            assert_false(frame.csum_valid);
        }
        assert_int_equal(ends[1 - dir]->ops->recv(ends[1 - dir], &frame, 5), 0);
    }
    close_pipe();
}

static void deadline_is_the_time_of_sending(void **state)
{
    struct weir_frame frame;
    (void)state;
    open_pipe((struct weir_pipe_config){.kind = WEIR_NETIF_IP});
    assert_true(ends[1]->ops->deadline(ends[1]) == WEIR_TIME_NEVER);
    send_tcp(ends[0], 0, 0, 77);
    assert_true(ends[1]->ops->deadline(ends[1]) == 77);
    assert_true(ends[0]->ops->deadline(ends[0]) == WEIR_TIME_NEVER);
    ends[1]->ops->recv(ends[1], &frame, 77);
    assert_true(ends[1]->ops->deadline(ends[1]) == WEIR_TIME_NEVER);
    assert_int_equal(ends[0]->ops->fd(ends[0]), -1);
    close_pipe();
}

static void a_full_pipe_says_so_and_when_there_is_room(void **state)
{
    struct weir_frame frame;
    (void)state;
    open_pipe((struct weir_pipe_config){.kind = WEIR_NETIF_IP, .queue_frames = 8});
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(send_tcp(ends[0], i, 0, 1), 0);
    assert_int_equal(send_tcp(ends[0], 8, 0, 1), WEIR_EAGAIN);
    assert_true(ends[0]->ops->deadline(ends[0]) == WEIR_TIME_NEVER);
    ends[1]->ops->recv(ends[1], &frame, 9);
    ends[1]->ops->recv(ends[1], &frame, 9);
    assert_true(ends[0]->ops->deadline(ends[0]) == 9); /* a quarter is free */
    assert_int_equal(send_tcp(ends[0], 8, 0, 9), 0);
    assert_true(ends[0]->ops->deadline(ends[0]) == WEIR_TIME_NEVER);
    for (uint32_t i = 2; i < 9; i++) {
        assert_int_equal(ends[1]->ops->recv(ends[1], &frame, 9), 1);
        assert_int_equal(be32(frame.data + 24), i);
    }
    close_pipe();
}

static struct weir_out super(uint8_t *head, const uint8_t *data)
{
    struct weir_out out = {.head = head, .n_spans = 1, .gso_size = 1000, .csum_partial = true};
    out.head_len = tcp_head(head, 4, F_ACK, 0, 0, 4000);
    out.span[0] = (struct weir_span){data, 4000};
    out.csum_start = 20;
    out.csum_offset = 16;
    return out;
}

static void super_segments_pass_or_are_cut(void **state)
{
    uint8_t head[WEIR_HEAD_MAX], data[4000] = {1, 2, 3};
    struct weir_frame frame;
    (void)state;
    struct weir_out out = super(head, data);
    open_pipe((struct weir_pipe_config){
        .kind = WEIR_NETIF_IP, .gso_max_bytes = 65535, .csum_offload = true});
    assert_true(ends[0]->netif.tx_csum);
    assert_int_equal(ends[0]->ops->send(ends[0], &out, 0), 0);
    assert_int_equal(ends[1]->ops->recv(ends[1], &frame, 0), 1);
    assert_int_equal(frame.len, 4040);
    assert_int_equal(frame.gso_size, 1000);
    assert_true(frame.csum_valid);
    close_pipe();

    open_pipe((struct weir_pipe_config){.kind = WEIR_NETIF_IP, .queue_frames = 7});
    assert_int_equal(ends[0]->ops->send(ends[0], &out, 0), 0);
    assert_int_equal(ends[0]->ops->send(ends[0], &out, 0), WEIR_EAGAIN); /* all four or none */
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(ends[1]->ops->recv(ends[1], &frame, 0), 1);
        assert_int_equal(frame.len, 1040);
        assert_ip_good(frame.data, frame.len);
    }
    assert_int_equal(ends[1]->ops->recv(ends[1], &frame, 0), 0);
    close_pipe();
}

/* What cannot say its length is cut, for the other end is a stack (weir_netif_config.gso_max_bytes). */
static void what_is_too_long_for_its_header_is_cut(void **state)
{
    enum { MOST = 65535, GSO = 1400 };
    static uint8_t head[WEIR_HEAD_MAX], data[MOST + 1];
    struct weir_frame frame;
    (void)state;
    for (size_t len = MOST; len <= MOST + 1; len++) {
        struct weir_out out = {.head = head,
                               .n_spans = 1,
                               .gso_size = GSO,
                               .csum_partial = true,
                               .csum_start = 20,
                               .csum_offset = 16};
        out.head_len = tcp_head(head, 4, F_ACK, 0, 0, len <= MOST ? len - 40 : 0);
        out.span[0] = (struct weir_span){data, len - out.head_len};
        open_pipe((struct weir_pipe_config){
            .kind = WEIR_NETIF_IP, .gso_max_bytes = 262144, .csum_offload = true});
        assert_int_equal(ends[0]->ops->send(ends[0], &out, 0), 0);
        assert_int_equal(ends[1]->ops->recv(ends[1], &frame, 0), 1);
        assert_int_equal(frame.len, len <= MOST ? len : 40 + GSO);
        assert_int_equal(frame.gso_size, len <= MOST ? GSO : 0);
        close_pipe();
    }
}

static void the_other_end_gone_is_netdown(void **state)
{
    struct weir_frame frame;
    (void)state;
    open_pipe((struct weir_pipe_config){.kind = WEIR_NETIF_ETHERNET});
    send_tcp(ends[0], 1, 0, 0);
    weir_link_free(ends[0]);
    assert_int_equal(ends[1]->ops->recv(ends[1], &frame, 0), 1); /* what was sent still arrives */
    assert_int_equal(ends[1]->ops->recv(ends[1], &frame, 0), WEIR_ENETDOWN);
    assert_int_equal(send_tcp(ends[1], 0, 0, 0), WEIR_ENETDOWN);
    weir_link_free(ends[1]);
}

/* ---- data that stays with the sender --------------------------------------------------------------- */

enum { DATA = 3000, HEAD = 40 };

static uint8_t lent_head[WEIR_HEAD_MAX], lent_data[DATA];

static void open_lending(uint32_t queue_frames)
{
    open_pipe((struct weir_pipe_config){.kind = WEIR_NETIF_IP,
                                        .gso_max_bytes = 65535,
                                        .csum_offload = true,
                                        .queue_frames = queue_frames,
                                        .lends = true});
}

/* Of `len` bytes in two spans, all `value`. */
static struct weir_out lent(uint8_t value, size_t len)
{
    struct weir_out out = {.head = lent_head, .n_spans = 2, .gso_size = 1000, .stays = true};
    out.head_len = tcp_head(lent_head, 4, F_ACK, value, 0, len);
    assert_int_equal(out.head_len, HEAD);
    out.csum_partial = true;
    out.csum_start = 20;
    out.csum_offset = 16;
    memset(lent_data, value, len);
    out.span[0] = (struct weir_span){lent_data, len / 3};
    out.span[1] = (struct weir_span){lent_data + len / 3, len - len / 3};
    return out;
}

static void send_lent(uint8_t value, size_t len)
{
    struct weir_out out = lent(value, len);
    assert_int_equal(ends[0]->ops->send(ends[0], &out, 0), 0);
    memset(lent_head, 0xee, sizeof lent_head);
}

static void assert_filled(const uint8_t *p, uint8_t value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        assert_int_equal(p[i], value);
}

static void assert_next(uint8_t seq, uint8_t value, size_t len)
{
    struct weir_frame frame;
    assert_int_equal(ends[1]->ops->recv(ends[1], &frame, 0), 1);
    assert_int_equal(frame.len, HEAD + len);
    assert_int_equal(be32(frame.data + 24), seq);
    assert_null(frame.body);
    assert_filled(frame.data + HEAD, value, len);
}

/* It is not copied when it is sent, but when the frame is taken; where to is the reader's to say. */
static void lent_data_is_copied_when_it_is_taken(void **state)
{
    static uint8_t place[DATA];
    struct weir_room room = {.data = place, .len = sizeof place, .head_len = HEAD};
    struct weir_frame frame;
    (void)state;
    open_lending(0);
    send_lent(1, DATA);
    memset(lent_data, 2, DATA);
    assert_int_equal(ends[1]->ops->recv_room(ends[1], &room, &frame, 0), 1);
    assert_int_equal(frame.len, HEAD + DATA);
    assert_int_equal(frame.gso_size, 1000);
    assert_ptr_equal(frame.body, place);
    assert_int_equal(frame.body_at, HEAD);
    assert_int_equal(be32(frame.data + 24), 1);
    memset(lent_data, 3, DATA);
    assert_filled(place, 2, DATA); /* and what was taken is the reader's */

    for (unsigned i = 0; i < 3;
         i++) { /* by recv; the room is short; headers are longer than guessed */
        struct weir_room other = {
            .data = place, .len = i == 1 ? DATA - 1 : DATA, .head_len = i == 2 ? HEAD - 1 : HEAD};
        send_lent(4, DATA);
        memset(place, 0, sizeof place);
        memset(lent_data, 5, DATA);
        if (i == 0)
            assert_int_equal(ends[1]->ops->recv(ends[1], &frame, 0), 1);
        else
            assert_int_equal(ends[1]->ops->recv_room(ends[1], &other, &frame, 0), 1);
        assert_null(frame.body);
        assert_int_equal(frame.len, HEAD + DATA);
        memset(lent_data, 6, DATA);
        assert_filled(frame.data + HEAD, 5, DATA);
        assert_filled(place, 0, DATA);
    }
    close_pipe();
}

/* From flush on the sender may do with its memory what it likes: a reset, a close, new bytes in its place. */
static void flush_leaves_nothing_with_the_sender(void **state)
{
    (void)state;
    open_lending(0);
    for (unsigned round = 0; round < 3; round++) {
        send_lent(1, DATA);
        send_lent(2, 5); /* copied at once, as it is small */
        send_lent(3, DATA);
        memset(lent_data, 7, DATA);
        if (round > 0) /* some are taken before */
            assert_next(1, 7, DATA);
        assert_int_equal(ends[0]->ops->flush(ends[0], 0), 0);
        memset(lent_data, 8, DATA);
        send_lent(4, DATA); /* of a later turn */
        memset(lent_data, 9, DATA);
        if (round == 0)
            assert_next(1, 7, DATA);
        assert_next(2, 2, 5);
        assert_next(3, 7, DATA);
        assert_next(4, 9, DATA);
        assert_int_equal(ends[0]->ops->flush(ends[0], 0), 0);
    }
    close_pipe();
}

/* Frames of which nothing is lent, between such as are, may be taken one by one and their buffers used again. */
static void flush_finds_what_is_lent_behind_frames_that_were_taken(void **state)
{
    (void)state;
    for (unsigned small = 0; small < 6; small++) {
        open_lending(0);
        send_lent(1, DATA);
        for (unsigned i = 0; i < small; i++)
            send_lent(2, 5);
        send_lent(3, DATA);
        memset(lent_data, 7, DATA);
        assert_next(1, 7, DATA);
        for (unsigned i = 0; i < small; i++)
            assert_next(2, 2, 5);
        assert_int_equal(ends[0]->ops->flush(ends[0], 0), 0);
        memset(lent_data, 8, DATA);
        assert_next(3, 7, DATA);
        close_pipe();
    }
}

/* What does not stay is copied when it is sent; on a wire that does not lend all is. */
static void what_does_not_stay_is_copied(void **state)
{
    (void)state;
    for (unsigned lends = 0; lends < 2; lends++) {
        open_pipe((struct weir_pipe_config){.kind = WEIR_NETIF_IP,
                                            .gso_max_bytes = 65535,
                                            .csum_offload = true,
                                            .lends = lends > 0});
        struct weir_out out = lent(1, DATA);
        out.stays = lends == 0;
        assert_int_equal(ends[0]->ops->send(ends[0], &out, 0), 0);
        memset(lent_data, 2, DATA);
        assert_next(1, 1, DATA);
        close_pipe();
    }
}

static void either_end_may_go_while_data_is_lent(void **state)
{
    struct weir_frame frame;
    (void)state;
    open_lending(0);
    send_lent(1, DATA);
    send_lent(2, DATA);
    memset(lent_data, 3, DATA);
    weir_link_free(ends[0]); /* it flushes */
    memset(lent_data, 4, DATA);
    assert_next(1, 3, DATA);
    assert_next(2, 3, DATA);
    assert_int_equal(ends[1]->ops->recv(ends[1], &frame, 0), WEIR_ENETDOWN);
    weir_link_free(ends[1]);

    open_lending(0);
    send_lent(1, DATA);
    weir_link_free(ends[1]);
    struct weir_out out = lent(2, DATA);
    assert_int_equal(ends[0]->ops->send(ends[0], &out, 0), WEIR_ENETDOWN);
    assert_int_equal(ends[0]->ops->flush(ends[0], 0), 0);
    weir_link_free(ends[0]);
}

/* A ring of four: what waits is flushed wherever in it it stands, and a refused frame is not noted. */
static void a_full_pipe_lends_no_more(void **state)
{
    (void)state;
    open_lending(4);
    for (uint8_t n = 0; n < 20; n++) {
        send_lent(n, DATA);
        if (n % 3 == 0) {
            assert_int_equal(ends[0]->ops->flush(ends[0], 0), 0);
            memset(lent_data, 0xff, DATA);
        }
        if (n < 3)
            continue;
        struct weir_out out = lent(n, DATA); /* n - 3 is there still: the fifth */
        assert_int_equal(ends[0]->ops->send(ends[0], &out, 0), WEIR_EAGAIN);
        assert_int_equal(ends[0]->ops->flush(ends[0], 0), 0);
        struct weir_frame frame;
        assert_int_equal(ends[1]->ops->recv(ends[1], &frame, 0), 1);
        assert_int_equal(be32(frame.data + 24), n - 3);
        assert_int_equal(frame.len, HEAD + DATA);
    }
    close_pipe();
}

static void threads_lend_nothing(void **state)
{
    struct weir_pipe_config config = {.kind = WEIR_NETIF_IP, .threads = true, .lends = true};
    (void)state;
    assert_int_equal(weir_link_pipe(&config, ends), WEIR_EINVAL);
}

enum { MANY = 20000 };

static void wait_for(struct weir_link *link)
{
    struct pollfd pfd = {.fd = link->ops->fd(link), .events = POLLIN};
    assert_int_equal(poll(&pfd, 1, 30000), 1);
}

static void *sender(void *arg)
{
    struct weir_frame frame;
    (void)arg;
    for (uint32_t i = 0; i < MANY; i++)
        while (send_tcp(ends[0], i, i % 64, 0) == WEIR_EAGAIN) {
            while (ends[0]->ops->recv(ends[0], &frame, 0) == 1)
                ;
            wait_for(ends[0]);
        }
    return NULL;
}

/* Two threads, woken by nothing but the eventfds: a lost wake-up ends in poll's time-out. */
static void threads_lose_nothing(void **state)
{
    pthread_t thread;
    (void)state;
    open_pipe(
        (struct weir_pipe_config){.kind = WEIR_NETIF_IP, .queue_frames = 16, .threads = true});
    pthread_create(&thread, NULL, sender, NULL);
    for (uint32_t i = 0; i < MANY;) {
        struct weir_frame frame;
        wait_for(ends[1]);
        while (ends[1]->ops->recv(ends[1], &frame, 0) == 1) {
            assert_int_equal(be32(frame.data + 24), i);
            i++;
        }
    }
    pthread_join(thread, NULL);
    close_pipe();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_arrive_in_order_and_whole),
        cmocka_unit_test(deadline_is_the_time_of_sending),
        cmocka_unit_test(a_full_pipe_says_so_and_when_there_is_room),
        cmocka_unit_test(super_segments_pass_or_are_cut),
        cmocka_unit_test(what_is_too_long_for_its_header_is_cut),
        cmocka_unit_test(the_other_end_gone_is_netdown),
        cmocka_unit_test(lent_data_is_copied_when_it_is_taken),
        cmocka_unit_test(flush_leaves_nothing_with_the_sender),
        cmocka_unit_test(flush_finds_what_is_lent_behind_frames_that_were_taken),
        cmocka_unit_test(what_does_not_stay_is_copied),
        cmocka_unit_test(either_end_may_go_while_data_is_lent),
        cmocka_unit_test(a_full_pipe_lends_no_more),
        cmocka_unit_test(threads_lend_nothing),
        cmocka_unit_test(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
