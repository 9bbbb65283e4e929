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
        cmocka_unit_test(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
