/* SPDX-License-Identifier: MIT */
/* See lab_capture.h. */
#include "lab/lab_capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/trace.h>

#include "lab/lab_node.h"
#include "lab/lab_tape.h"

struct lab_capture {
    struct lab_tape *tape;
    weir_time epoch; /* the first packet's */
};

/* ---- what a comment says ------------------------------------------------------------------------ */

/* The number behind " NAME="; times come with "ms" and are given in microseconds. */
static bool number_of(const char *text, const char *name, uint32_t *value)
{
    char key[24];
    snprintf(key, sizeof key, " %s=", name);
    const char *at = strstr(text, key);
    if (at == NULL)
        return false;
    char *end;
    double number = strtod(at + strlen(key), &end);
    if (strncmp(end, "ms", 2) == 0)
        number *= 1000;
    else if (*end == 's')
        number *= 1000000;
    *value = number >= 0 && number <= UINT32_MAX ? (uint32_t)number : 0;
    return end != at + strlen(key);
}

static int find_name(const char *(*name_of)(unsigned), unsigned n, const char *text)
{
    for (unsigned i = 0; i < n; i++) {
        const char *name = name_of(i);
        size_t len = name != NULL ? strlen(name) : 0;
        if (len > 0 && strncmp(text, name, len) == 0 && (text[len] == ' ' || text[len] == '\0'))
            return (int)i;
    }
    return -1;
}

/* "sent fast: ..." */
static int point_of(const char *text)
{
    for (unsigned i = 0; i < WEIR_TRACE_POINTS; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s %s:", weir_trace_kind(i), weir_trace_why(i));
        if (strncmp(text, name, strlen(name)) == 0)
            return (int)i;
    }
    return -1;
}

/* Of bytes, in segments. */
static uint32_t segments(const char *text, const char *name, uint32_t mss, uint32_t otherwise)
{
    uint32_t bytes;
    return number_of(text, name, &bytes) ? bytes / mss : otherwise;
}

static void take_comment(struct lab_tape *tape, const char *text, weir_time now)
{
    struct lab_tape_packet *packet = &tape->packets[tape->n_packets - 1];
    bool sent = strncmp(text, "sent ", 5) == 0;
    int point = sent ? point_of(text) : -1;
    const char *state = strstr(text, " | ");
    if (point >= 0)
        packet->why = (uint8_t)(point + 1);
    if (packet->conn < 0 || state == NULL)
        return;
    unsigned side = sent ? packet->side : !packet->side;
    int number = find_name(weir_trace_state, 16, state + 3);
    if (number < 0)
        return;
    const char *recovery = strchr(state + 3, ' ');
    int ca_state = recovery != NULL ? find_name(weir_trace_ca_state, 8, recovery + 1) : -1;
    uint32_t mss, srtt = 0, rto = 0, snd_wnd = 0, rcv_wnd = 0;
    tape->arrived = (int32_t)tape->n_packets - 1;
    wr_lab_tape_state(tape, packet->conn, side, (unsigned)number, now);
    if (!number_of(text, "mss", &mss) || mss == 0)
        return;
    (void)number_of(text, "srtt", &srtt);
    (void)number_of(text, "rto", &rto);
    (void)number_of(text, "peer_window", &snd_wnd);
    (void)number_of(text, "window", &rcv_wnd);
    const struct lab_tape_sample sample = {
        .at = now,
        .cwnd = segments(text, "cwnd", mss, 0),
        .ssthresh = segments(text, "ssthresh", mss, INT32_MAX),
        .pipe = segments(text, "pipe", mss, 0),
        .srtt_us = srtt,
        .rto_us = rto,
        .snd_wnd = snd_wnd,
        .rcv_wnd = rcv_wnd,
        .ca_state = ca_state > 0 ? (uint32_t)ca_state : 0,
    };
    wr_lab_tape_sample(&tape->conns[packet->conn].side[side], &sample);
}

/* ---- packets ------------------------------------------------------------------------------------ */

struct lab_capture *wr_lab_capture_new(void)
{
    struct lab_capture *capture = calloc(1, sizeof *capture);
    if (capture != NULL && (capture->tape = wr_lab_tape_new()) == NULL) {
        free(capture);
        return NULL;
    }
    return capture;
}

void wr_lab_capture_free(struct lab_capture *capture)
{
    if (capture == NULL)
        return;
    wr_lab_tape_free(capture->tape);
    free(capture);
}

void wr_lab_capture_add(struct lab_capture *capture, const uint8_t *bytes, size_t len,
                        const char *comment, weir_time at)
{
    struct lab_packet packet = {.data = (uint8_t *)bytes, .len = (uint32_t)len}; /* only read */
    wr_lab_tape_sent(capture->tape, &packet, false, at);
    if (packet.number == 0)
        return;
    if (capture->tape->n_packets == 1)
        capture->epoch = at;
    wr_lab_tape_arrived(capture->tape, &packet, at);
    if (comment != NULL)
        take_comment(capture->tape, comment, at);
}

size_t wr_lab_capture_packets(const struct lab_capture *capture)
{
    return capture->tape->n_packets;
}

json_t *wr_lab_capture_json(const struct lab_capture *capture)
{
    return json_pack("{s:o}", "tape", wr_lab_tape_json(capture->tape, capture->epoch));
}
