/* SPDX-License-Identifier: MIT */
/*
 * Captures of anybody's: what `weir explain`, and the page that `weir lab --pcap` makes, do with them.
 *
 * The first byte chooses how the rest is taken:
 *
 *     0    as a file, of whatever kind (pcapng, pcap)
 *     1    as pcapng that comes in pieces, as from a running host
 *     2    as a program, one step a packet: segments of few connections with numbers near those that went
 *          before, ICMP errors, comments in the words of `weir capture` or not. They are written as pcapng,
 *          and every packet must be read again
 *
 * All packets go through the whole analysis. Verdicts must keep their bounds and name packets that there were;
 * sentences must be printable, JSON must be made.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "fuzz/fuzz_input.h"
#include "lab/lab_capture.h"
#include "sight/sight_judge.h"
#include "sight/sight_line.h"
#include "sight/sight_say.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 400, BLOCK_ROOM = 512 };

/* ---- what was read ------------------------------------------------------------------------------ */

/* A terminal is not to be commanded by a file. */
static void must_be_printable(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        must((text[i] >= ' ' && text[i] <= '~') || text[i] == '\n', "sentences are printable");
}

static void inspect_verdict(const struct sight_verdict *verdict, uint32_t packets)
{
    must(verdict->n_findings <= SIGHT_FINDINGS, "findings within their room");
    for (unsigned i = 0; i < verdict->n_findings; i++) {
        const struct sight_finding *finding = &verdict->findings[i];
        must(finding->cause < SIGHT_CAUSE_COUNT, "a cause that there is");
        must(finding->side >= -1 && finding->side <= 1, "a side that there is");
        must(finding->n_numbers <= SIGHT_EVIDENCE, "evidence within its room");
        for (unsigned j = 0; j < finding->n_numbers; j++)
            must(finding->number[j] >= 1 && finding->number[j] <= packets,
                 "evidence that there was");
    }
}

static void judge_all(const struct sight_flows *flows)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    must(out != NULL, "memory");
    for (size_t i = 0; i < flows->n; i++) {
        struct sight_verdict verdict;
        must(sight_judge(&flows->flows[i], &verdict), "memory");
        inspect_verdict(&verdict, flows->packets);
        sight_say(out, &flows->flows[i], &verdict);
        json_t *object = sight_json(&flows->flows[i], &verdict);
        must(object != NULL, "a verdict as JSON");
        json_decref(object);
    }
    fclose(out);
    must_be_printable(text, len);
    free(text);
}

static void take_packet(struct sight_flows *flows, struct lab_capture *capture,
                        const struct sight_packet *packet)
{
    char line[512];
    int at = sight_ip_at(packet);
    sight_line(packet, line, sizeof line);
    must(strlen(line) < sizeof line, "a line within its room");
    must(sight_flows_add(flows, packet), "memory");
    if (at >= 0 && (size_t)at < packet->kept)
        wr_lab_capture_add(capture, packet->frame + at, packet->kept - (size_t)at, packet->comment,
                           (weir_time)packet->time);
}

/* Returns how many packets there were. */
static unsigned take_all(struct sight_reader *reader, struct sight_flows *flows,
                         struct lab_capture *capture)
{
    struct sight_packet packet;
    enum sight_item item;
    unsigned n = 0;
    while ((item = sight_next(reader, &packet)) == SIGHT_PACKET || item == SIGHT_BLOCK) {
        if (item == SIGHT_PACKET) {
            take_packet(flows, capture, &packet);
            n++;
        }
    }
    must((item == SIGHT_BAD) == (reader->trouble != NULL), "trouble is told");
    return n;
}

static void end_of(struct sight_reader *reader, struct sight_flows *flows,
                   struct lab_capture *capture)
{
    judge_all(flows);
    json_t *result = wr_lab_capture_json(capture);
    must(result != NULL, "a tape as JSON");
    json_decref(result);
    wr_lab_capture_free(capture);
    sight_flows_free(flows);
    sight_reader_free(reader);
}

/* ---- files and streams --------------------------------------------------------------------------- */

static void run_file(const uint8_t *p, size_t n)
{
    struct sight_reader reader;
    struct sight_flows flows = {0};
    const char *why = NULL;
    char path[64];
    int fd = memfd_create("capture", MFD_CLOEXEC);
    must(fd >= 0 && (n == 0 || write(fd, p, n) == (ssize_t)n), "a file in memory");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (sight_open(&reader, path, &why) == 0) {
        struct lab_capture *capture = wr_lab_capture_new();
        must(capture != NULL, "memory");
        take_all(&reader, &flows, capture);
        end_of(&reader, &flows, capture);
    } else {
        must(why != NULL && *why != '\0', "a reason is given");
    }
    close(fd);
}

static void feed(struct sight_reader *reader, const uint8_t *p, size_t n)
{
    size_t room;
    uint8_t *to = sight_room(reader, n, &room);
    must(to != NULL && room >= n, "room that was asked for");
    wr_bytes_copy(to, p, n);
    sight_fed(reader, n);
}

static void run_stream(const uint8_t *p, size_t n)
{
    struct sight_reader reader = {0};
    struct sight_flows flows = {0};
    struct lab_capture *capture = wr_lab_capture_new();
    must(capture != NULL, "memory");
    for (size_t piece = n > 0 ? p[0] + 1u : 1; n > 0;) {
        size_t some = piece < n ? piece : n;
        feed(&reader, p, some);
        take_all(&reader, &flows, capture);
        p += some;
        n -= some;
    }
    end_of(&reader, &flows, capture);
}

/* ---- programs ------------------------------------------------------------------------------------- */

/* One of the connections: what each side sends next. */
struct talk {
    uint32_t next[2];
};

struct program {
    struct input in;
    struct talk talk[4];
    uint64_t time; /* microseconds */
    struct sight_reader reader;
    unsigned packets;
};

static void emit(struct program *program, const uint8_t *frame, size_t len, const char *comment)
{
    uint8_t block[BLOCK_ROOM];
    size_t padded = (len + 3) / 4 * 4, at = 28 + padded, text = comment ? strlen(comment) : 0;
    uint32_t head[7] = {6,
                        0,
                        0,
                        (uint32_t)(program->time >> 32),
                        (uint32_t)program->time,
                        (uint32_t)len,
                        (uint32_t)len};
    memset(block, 0, sizeof block);
    memcpy(block + 28, frame, len);
    if (text > 0) {
        uint16_t option[2] = {1, (uint16_t)text};
        memcpy(block + at, option, sizeof option);
        memcpy(block + at + 4, comment, text);
        at += 4 + (text + 3) / 4 * 4 + 4; /* and the end of options */
    }
    head[1] = (uint32_t)(at + 4);
    memcpy(block, head, sizeof head);
    memcpy(block + at, &head[1], 4);
    feed(&program->reader, block, at + 4);
    program->packets++;
}

static void begin(struct program *program)
{
    static const uint32_t section[7] = {0x0a0d0d0a, 28, 0x1a2b3c4d, 1, UINT32_MAX, UINT32_MAX, 28};
    static const uint32_t interface[5] = {1, 20, 101, 0, 20}; /* raw IP */
    feed(&program->reader, (const uint8_t *)section, sizeof section);
    feed(&program->reader, (const uint8_t *)interface, sizeof interface);
}

static size_t put_ip(uint8_t *p, size_t len, unsigned talk, unsigned side, uint8_t proto)
{
    if (talk & 1) {
        p[0] = 0x60;
        put_be16(p + 4, (uint16_t)len);
        p[6] = proto;
        p[8] = p[24] = 0xfd;
        p[23] = (uint8_t)(1 + side);
        p[39] = (uint8_t)(2 - side);
        return 40;
    }
    p[0] = 0x45;
    put_be16(p + 2, (uint16_t)(20 + len));
    p[9] = proto;
    p[12] = p[16] = 10;
    p[15] = (uint8_t)(1 + side);
    p[19] = (uint8_t)(2 - side);
    return 20;
}

/* A number near `base`: mostly exactly there, or off by some segments, or anything. */
static uint32_t near_to(struct input *in, uint32_t base)
{
    uint8_t how = take8(in);
    if (how < 128)
        return base;
    if (how < 240)
        return base + (uint32_t)(how - 220) * 1000;
    return take32(in);
}

static const char *choose_comment(struct input *in, char *own, size_t size)
{
    static const char *const ours[] = {
        NULL,
        "sent data: held app | ESTABLISHED Open cwnd=14480 mss=1448 srtt=20ms rto=220ms pipe=1448",
        "sent fast: retransmission | ESTABLISHED Recovery cwnd=7240 mss=1448 pipe=5000",
        "sent rto: timer rto; held window, held cwnd | ESTABLISHED Loss cwnd=1448 mss=1448",
        "sent tlp: held nagle",
        "received: recovery undone | ESTABLISHED Open held pacing mss=0",
        "dropped tcp_accept_queue_full",
        "dropped tcp_syn_queue_full: | LISTEN"};
    uint8_t how = take8(in);
    size_t n;
    if (how < 240)
        return ours[how % 8];
    n = how % 16 * 4u;
    n = n < size - 1 ? n : size - 1;
    for (size_t i = 0; i < n; i++)
        own[i] = (char)(take8(in) | 1); /* not NUL */
    own[n] = '\0';
    return own;
}

static size_t put_options(struct input *in, uint8_t *p, uint8_t how, uint32_t ack)
{
    static const uint8_t syn[] = {2, 4, 5, 0xb4, 1, 3, 3};
    size_t n = 0;
    if (how & 1) {
        memcpy(p, syn, sizeof syn);
        p[7] = take8(in); /* the scale of the window */
        n = 8;
    }
    if (how & 2) {
        p[n] = p[n + 1] = 1;
        p[n + 2] = 8;
        p[n + 3] = 10;
        put_be32(p + n + 4, take8(in));
        put_be32(p + n + 8, take8(in));
        n += 12;
    }
    if (how & 4) {
        p[n] = p[n + 1] = 1;
        p[n + 2] = 5;
        p[n + 3] = 18;
        for (int i = 0; i < 4; i++)
            put_be32(p + n + 4 + 4 * i, near_to(in, ack + 1000u * (uint32_t)i));
        n += 20;
    }
    return n;
}

static void step_segment(struct program *program, uint8_t how)
{
    struct input *in = &program->in;
    uint8_t frame[160] = {0}, flags = take8(in), options = take8(in);
    char own[64];
    unsigned which = how >> 1 & 3, side = how & 1;
    struct talk *talk = &program->talk[which];
    uint32_t seq = near_to(in, talk->next[side]), ack = near_to(in, talk->next[!side]);
    size_t n_options, len = (options >> 4) * 100u, ip;
    ip = put_ip(frame, 20, which, side, 6);
    n_options = put_options(in, frame + ip + 20, options, ack);
    put_ip(frame, 20 + n_options + len, which, side, 6); /* data is cut off, as by a snap length */
    put_be16(frame + ip, side ? 80 : 1000);
    put_be16(frame + ip + 2, side ? 1000 : 80);
    put_be32(frame + ip + 4, seq);
    put_be32(frame + ip + 8, ack);
    frame[ip + 12] = (uint8_t)((20 + n_options) / 4 << 4);
    frame[ip + 13] = flags & 0x3f;
    put_be16(frame + ip + 14, (uint16_t)(take8(in) * 256));
    if ((int32_t)(seq + (uint32_t)len - talk->next[side]) > 0 || (flags & 2))
        talk->next[side] = seq + (uint32_t)len + (flags & 1) + (flags >> 1 & 1);
    emit(program, frame, ip + 20 + n_options, choose_comment(in, own, sizeof own));
}

static void step_icmp(struct program *program, uint8_t how)
{
    uint8_t frame[160] = {0};
    unsigned which = how >> 1 & 3, side = how & 1;
    size_t quoted, ip = put_ip(frame, 56, which, !side, which & 1 ? 58 : 1);
    frame[ip] = which & 1 ? (uint8_t)(1 + (how >> 3 & 1)) : 3;
    frame[ip + 1] = take8(&program->in) % 6;
    put_be32(frame + ip + 4, take32(&program->in));
    quoted = ip + 8 + put_ip(frame + ip + 8, 20, which, side, 6);
    put_be16(frame + quoted, side ? 80 : 1000);
    put_be16(frame + quoted + 2, side ? 1000 : 80);
    emit(program, frame, quoted + 8, NULL);
}

static void run_program(const uint8_t *p, size_t n)
{
    struct program program = {.in = {p, n}, .time = 1700000000000000};
    struct sight_flows flows = {0};
    struct lab_capture *capture = wr_lab_capture_new();
    must(capture != NULL, "memory");
    begin(&program);
    for (unsigned i = 0; i < STEPS_MAX && program.in.n > 0; i++) {
        uint8_t how = take8(&program.in), pause = take8(&program.in);
        program.time += pause < 250 ? (uint64_t)pause * pause * 8 : take32(&program.in);
        if (pause == 255)
            program.time -= 3600000000; /* clocks are set back */
        if (how < 240)
            step_segment(&program, how);
        else
            step_icmp(&program, how);
    }
    must(take_all(&program.reader, &flows, capture) == program.packets, "every packet is read");
    end_of(&program.reader, &flows, capture);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const runs[])(const uint8_t *, size_t) = {run_file, run_stream, run_program};
    if (size > 0)
        runs[data[0] % 3](data + 1, size - 1);
    return 0;
}
