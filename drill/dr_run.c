/* SPDX-License-Identifier: MIT */
/*
 * Running a script: one event after the other, the stack's clock in between.
 *
 *     what the script does (`<`, calls, code)   the clock is moved to the event's time exactly
 *     what the stack does (`>`)                 the clock is moved until it has sent something, at
 *                                               the latest to the event's time and the tolerance
 *
 * Packets wait in the order they were sent and keep their times, so a packet that came while the
 * clock was moved for another reason is judged by the time it was sent at. A packet left over when
 * the script ends fails it.
 */
#include "drill/dr_run.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_PEER_PORT = 40001 };

/* ---- reports --------------------------------------------------------------------------------- */

bool wr_dr_fail(struct dr_run *run, const char *format, ...)
{
    if (run->failed)
        return false;
    run->failed = true;
    if (!run->out)
        return false;
    fprintf(run->out, "%s:%u: %.6f: ", run->script->name, run->event ? run->event->line : 0,
            (double)wr_dr_script_time(run, run->world.now) / 1e9);
    va_list args;
    va_start(args, format);
    vfprintf(run->out, format, args);
    va_end(args);
    fputc('\n', run->out);
    unsigned n = run->n_trace < DR_TRACE_LINES ? run->n_trace : DR_TRACE_LINES;
    if (n > 0)
        fprintf(run->out, "  the last packets\n");
    for (unsigned i = run->n_trace - n; i < run->n_trace; i++)
        fprintf(run->out, "    %s\n", run->trace[i % DR_TRACE_LINES]);
    return false;
}

void wr_dr_trace(struct dr_run *run, weir_time at, const struct dr_packet *packet)
{
    char *line = run->trace[run->n_trace++ % DR_TRACE_LINES];
    int n = snprintf(line, DR_LINE_MAX, "%.6f ", (double)at / 1e9);
    wr_dr_packet_print(packet, line + n, DR_LINE_MAX - (size_t)n);
    if (run->script->options.verbose && run->out)
        fprintf(run->out, "%s\n", line);
}

/* ---- time ------------------------------------------------------------------------------------ */

static bool stopped(struct dr_run *run)
{
    if (run->world.broken)
        wr_dr_fail(run, "%s", run->world.broken);
    return run->failed;
}

/* One step towards script time `limit`. */
static void step(struct dr_run *run, weir_time limit)
{
    weir_time target = run->world.start + limit;
    if (run->pending_set && run->pending.due < target)
        target = run->pending.due > run->world.now ? run->pending.due : run->world.now;
    wr_dr_world_step(&run->world, target);
    wr_dr_call_retry(run);
}

void wr_dr_run_until(struct dr_run *run, weir_time at)
{
    do
        step(run, at);
    while (!stopped(run) && wr_dr_script_time(run, run->world.now) < at);
}

void wr_dr_run_until_sent(struct dr_run *run, weir_time limit)
{
    while (!run->world.first && !stopped(run) && wr_dr_script_time(run, run->world.now) < limit)
        step(run, limit);
}

/* The script times between which an event may happen. */
static void bounds(const struct dr_run *run, const struct dr_when *when, weir_time *low,
                   weir_time *high)
{
    weir_time slack = run->script->options.tolerance_ns;
    bool relative = when->kind == DR_TIME_RELATIVE || when->kind == DR_TIME_RELATIVE_RANGE;
    bool range = when->kind == DR_TIME_ABSOLUTE_RANGE || when->kind == DR_TIME_RELATIVE_RANGE;
    weir_time base = relative ? run->before : 0;
    *low = base + when->at_ns;
    *high = base + (range ? when->end_ns : when->at_ns);
    if (when->kind == DR_TIME_ANY) {
        enum { LONGEST_S = 1000000 };
        *low = INT64_MIN / 2;
        *high = wr_dr_script_time(run, run->world.now) + LONGEST_S * WEIR_SEC;
    }
    *low -= slack;
    *high += slack;
}

/* ---- events ---------------------------------------------------------------------------------- */

/* `> ...`: whatever has been sent until now is right. */
static void take_all(struct dr_run *run)
{
    while (run->world.first && !run->failed)
        wr_dr_packet_skip(run);
}

static void run_outbound(struct dr_run *run, const struct dr_event *event)
{
    weir_time low, high;
    bounds(run, &event->when, &low, &high);
    wr_dr_run_until_sent(run, high);
    if (run->failed)
        return;
    weir_time sent = run->world.first ? wr_dr_script_time(run, run->world.first->at) : high;
    wr_dr_packet_out(run, event->packet, low, high);
    bool exact = event->when.kind == DR_TIME_ABSOLUTE || event->when.kind == DR_TIME_RELATIVE;
    run->before = exact ? low + run->script->options.tolerance_ns : sent;
}

static void run_call(struct dr_run *run, const struct dr_event *event, weir_time base)
{
    wr_dr_call_finish(run);
    run->event = event;
    if (!stopped(run))
        wr_dr_call_run(run, event, base + event->call->end_ns);
}

static void run_command(struct dr_run *run, const char *text)
{
    char error[256];
    if (!wr_dr_command_run(&run->world, text, error, sizeof error))
        wr_dr_fail(run, "%s", error);
}

static void run_event(struct dr_run *run, const struct dr_event *event)
{
    run->event = event;
    if (event->kind == DR_EVENT_PACKET && !event->packet->inbound &&
        event->packet->proto != DR_ANYTHING) {
        run_outbound(run, event);
        return;
    }
    weir_time base = event->when.kind == DR_TIME_RELATIVE ? run->before : 0;
    weir_time at = base + event->when.at_ns;
    if (at > wr_dr_script_time(run, run->world.now))
        wr_dr_run_until(run, at);
    if (stopped(run))
        return;
    if (at < run->before) {
        wr_dr_fail(run, "time %.6f is before the event before", (double)at / 1e9);
        return;
    }
    run->before = at;
    switch (event->kind) {
    case DR_EVENT_PACKET:
        if (event->packet->inbound)
            wr_dr_packet_in(run, event->packet);
        else
            take_all(run);
        wr_dr_call_retry(run);
        break;
    case DR_EVENT_CALL:
        run_call(run, event, base);
        break;
    case DR_EVENT_COMMAND:
        run_command(run, event->text);
        break;
    case DR_EVENT_CODE:
        wr_dr_code_run(run, event->text);
        break;
    }
}

static void run_events(struct dr_run *run)
{
    const struct dr_event *last = NULL;
    for (const struct dr_event *e = run->script->events; e && !stopped(run); e = e->next) {
        run_event(run, e);
        last = e;
    }
    if (!run->failed)
        wr_dr_call_finish(run);
    run->event = last;
    if (!stopped(run) && run->world.first)
        wr_dr_packet_unexpected(run, run->world.first);
}

static bool run_script(const struct dr_script *script, FILE *out)
{
    struct dr_run *run = calloc(1, sizeof *run);
    if (!run) {
        fputs("drill: out of memory\n", stderr);
        exit(2);
    }
    run->script = script;
    run->out = out;
    run->code_fd = -1;
    run->next_port = FIRST_PEER_PORT;
    run->writes_exact = run->reads_exact = true;
    struct dr_scene scene = {.local = script->local,
                             .gateway = script->gateway,
                             .prefix_len = script->prefix_len,
                             .mtu = script->options.mtu,
                             .gso_bytes = script->gso_bytes,
                             .seed = script->seed};
    if (wr_dr_world_init(&run->world, &scene))
        run_events(run);
    else
        wr_dr_fail(run, "%s", run->world.broken);
    bool passed = !run->failed;
    wr_dr_world_fini(&run->world);
    free(run);
    return passed;
}

/* ---- the outside ----------------------------------------------------------------------------- */

bool wr_dr_run_text(const char *name, const char *text, size_t len,
                    const struct dr_options *options, FILE *out)
{
    struct dr_script script;
    bool passed = wr_dr_script_parse(&script, name, text, len, options);
    if (passed)
        passed = run_script(&script, out);
    else if (out)
        fprintf(out, "%s:%u: %s\n", name, script.line, script.error);
    wr_dr_script_free(&script);
    return passed;
}

bool wr_dr_run_file(const char *path, const struct dr_options *options, FILE *out)
{
    FILE *in = fopen(path, "rb");
    char *text = NULL;
    size_t len = 0;
    bool readable = in != NULL;
    while (readable && !feof(in)) {
        enum { PIECE = 65536 };
        char *longer = realloc(text, len + PIECE);
        readable = longer != NULL;
        if (longer) {
            text = longer;
            len += fread(text + len, 1, PIECE, in);
            readable = !ferror(in);
        }
    }
    if (in)
        fclose(in);
    bool passed = readable && wr_dr_run_text(path, text, len, options, out);
    if (!readable && out)
        fprintf(out, "%s: cannot be read\n", path);
    free(text);
    return passed;
}
