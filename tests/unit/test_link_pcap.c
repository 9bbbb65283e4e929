/* SPDX-License-Identifier: MIT */
/* A capture read back block by block, by the layout of draft-ietf-opsawg-pcapng. */
#include <stdio.h>
#include <unistd.h>

#include "unit/link_frames.h"

static uint8_t file[1 << 20];
static size_t file_len;

static uint32_t word(size_t at)
{
    uint32_t v;
    assert_true(at + 4 <= file_len);
    memcpy(&v, file + at, 4);
    return v;
}

static void load(const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    file_len = fread(file, 1, sizeof file, f);
    fclose(f);
}

/* The next block at *at, of the type asked for; its offset. */
static size_t block(size_t *at, uint32_t type)
{
    size_t here = *at;
    uint32_t total = word(here + 4);
    assert_int_equal(word(here), type);
    assert_int_equal(total % 4, 0);
    assert_int_equal(word(here + total - 4), total);
    *at += total;
    return here;
}

static void expect_packet(size_t *at, uint64_t time, size_t len, uint32_t direction)
{
    size_t epb = block(at, 6);
    assert_int_equal((uint64_t)word(epb + 12) << 32 | word(epb + 16), time);
    assert_int_equal(word(epb + 20), len);
    assert_int_equal(word(epb + 24), len);
    assert_ip_good(file + epb + 28, len);
    size_t opt = epb + 28 + (len + 3) / 4 * 4;
    assert_int_equal(word(opt), 2 | 4 << 16);
    assert_int_equal(word(opt + 4), direction);
}

static void blocks_of_both_directions(void **state)
{
    struct weir_pipe_config pipe = {
        .kind = WEIR_NETIF_IP, .gso_max_bytes = 65535, .csum_offload = true};
    char path[] = "/tmp/weir-pcap-XXXXXX";
    struct weir_link *ends[2], *link;
    uint8_t head[WEIR_HEAD_MAX], data[2500] = {9};
    struct weir_frame frame;
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(weir_link_pipe(&pipe, ends), 0);
    assert_int_equal(weir_link_pcap(ends[0], path, true, &link), 0);

    struct weir_out out = {.head = head, .n_spans = 1, .gso_size = 1000, .csum_partial = true};
    out.head_len = tcp_head(head, 4, F_ACK, 0, 0, 2500);
    out.span[0] = (struct weir_span){data, 2500};
    out.csum_start = 20;
    out.csum_offset = 16;
    weir_time late = (weir_time)1 << 40;
    assert_int_equal(link->ops->send(link, &out, 5), 0);
    assert_int_equal(ends[1]->ops->recv(ends[1], &frame, 5), 1);
    assert_int_equal(frame.len, 2540); /* the capture changes nothing */
    assert_int_equal(ends[1]->ops->send(ends[1], &out, 7), 0);
    assert_int_equal(link->ops->recv(link, &frame, late), 1);
    assert_true(link->ops->deadline(link) == WEIR_TIME_NEVER);
    weir_link_free(link);
    weir_link_free(ends[1]);

    size_t at = 0;
    load(path);
    size_t shb = block(&at, 0x0a0d0d0a);
    assert_int_equal(word(shb + 8), 0x1a2b3c4d);
    assert_int_equal(word(shb + 12), 1);
    size_t idb = block(&at, 1);
    assert_int_equal(word(idb + 8), 101);
    for (unsigned way = 0; way < 2; way++) {
        uint64_t time = way ? (uint64_t)late : 5;
        expect_packet(&at, time, 1040, way ? 1 : 2);
        expect_packet(&at, time, 1040, way ? 1 : 2);
        expect_packet(&at, time, 540, way ? 1 : 2);
    }
    assert_int_equal(at, file_len);
    unlink(path);
}

static void refused_frames_are_not_captured(void **state)
{
    struct weir_pipe_config pipe = {.kind = WEIR_NETIF_IP, .queue_frames = 1};
    char path[] = "/tmp/weir-pcap-XXXXXX";
    struct weir_link *ends[2], *link;
    uint8_t buf[100];
    (void)state;
    close(mkstemp(path));
    assert_int_equal(weir_link_pipe(&pipe, ends), 0);
    assert_int_equal(weir_link_pcap(ends[0], path, true, &link), 0);
    struct weir_out out = out_of(buf, tcp_frame(buf, F_ACK, 1, 3));
    assert_int_equal(link->ops->send(link, &out, 1), 0);
    assert_int_equal(link->ops->send(link, &out, 2), WEIR_EAGAIN);
    weir_link_free(link);
    weir_link_free(ends[1]);
    size_t at = 0;
    load(path);
    block(&at, 0x0a0d0d0a);
    block(&at, 1);
    expect_packet(&at, 1, 43, 2);
    assert_int_equal(at, file_len);
    unlink(path);
}

static void no_path_no_link(void **state)
{
    struct weir_pipe_config pipe = {.kind = WEIR_NETIF_IP};
    struct weir_link *ends[2], *link;
    (void)state;
    assert_int_equal(weir_link_pipe(&pipe, ends), 0);
    assert_int_equal(weir_link_pcap(ends[0], "/nonexistent/x.pcapng", true, &link), WEIR_ENOENT);
    weir_link_free(ends[0]);
    weir_link_free(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_both_directions),
        cmocka_unit_test(refused_frames_are_not_captured),
        cmocka_unit_test(no_path_no_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
