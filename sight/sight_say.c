/* SPDX-License-Identifier: MIT */
/* Verdicts as sentences, and as JSON. */
#include "sight/sight_say.h"

#include <string.h>

/* %A: the one whose finding it is; %B: the other. */
static const char *sentence_of(enum sight_cause cause)
{
    switch (cause) {
    case SIGHT_SYN_UNANSWERED:
        return "The SYN was never answered: %A is not there, or what is between drops it";
    case SIGHT_REFUSED:
        return "Refused: nobody listens at %A";
    case SIGHT_UNREACHABLE:
        return "There is no way to it";
    case SIGHT_ACCEPT_QUEUE:
        return "The accept queue of %A is full: its program does not accept as fast as connections "
               "come";
    case SIGHT_RESET:
        return "Reset by %A";
    case SIGHT_UNANSWERED:
        return "%A has fallen silent: nothing that was sent at the end was answered";
    case SIGHT_BLACK_HOLE:
        return "A black hole for large packets from %A: the path's MTU is smaller, and no ICMP "
               "says so";
    case SIGHT_ZERO_WINDOW:
        return "%B closed its window: its program did not read, and %A had to wait";
    case SIGHT_LOSS:
        return "Segments of %A were lost";
    case SIGHT_SPURIOUS:
        return "%A sent again what had arrived: its segments or their ACKs were late, not lost";
    case SIGHT_REORDERING:
        return "Segments of %A were reordered on the way";
    case SIGHT_NAGLE_DELACK:
        return "Nagle against delayed ACK: %A holds short segments back until %B's delayed ACK "
               "comes. TCP_NODELAY, or one write instead of two, ends it";
    case SIGHT_WINDOW:
        return "%A was limited by %B's window: a larger receive buffer there would help";
    case SIGHT_CWND:
        return "%A was limited by its congestion window";
    case SIGHT_PACING:
        return "%A was held by pacing";
    case SIGHT_APP:
    case SIGHT_CAUSE_COUNT:
        break;
    }
    return "%A's application had nothing to send";
}

static double percent_of(const struct sight_verdict *verdict, uint64_t ns)
{
    uint64_t all = verdict->ended - verdict->began;

    return all > 0 ? (double)ns * 100.0 / (double)all : 0;
}

/* The sentence with the ends' names in it. */
static void fill_in(const struct sight_flow *flow, const struct sight_finding *finding, char *text,
                    size_t cap)
{
    const char *from = sentence_of(finding->cause);
    char ends[2][64];
    size_t len = 0;

    for (int side = 0; side < 2; side++)
        sight_end_text(&flow->end[side], ends[side]);
    for (text[0] = '\0'; *from != '\0' && len + 1 < cap; from++) {
        if (from[0] == '%' && (from[1] == 'A' || from[1] == 'B')) {
            int side = finding->side < 0 ? 0 : finding->side;
            from++;
            len += (size_t)snprintf(text + len, cap - len, "%s", ends[*from == 'A' ? side : !side]);
            len = len < cap ? len : cap - 1;
        } else {
            text[len++] = *from;
            text[len] = '\0';
        }
    }
}

static void say_finding(FILE *out, const struct sight_flow *flow,
                        const struct sight_verdict *verdict, const struct sight_finding *finding)
{
    char text[512];

    fill_in(flow, finding, text, sizeof text);
    fprintf(out, "  %s", text);
    if (finding->detail[0] != '\0')
        fprintf(out, " (%s)", finding->detail);
    fputs(".", out);
    if (finding->of > 0)
        fprintf(out, " %u of %u segments, %.2g %%.", finding->n, finding->of,
                finding->n * 100.0 / finding->of);
    else if (finding->n > 1)
        fprintf(out, " %u times.", finding->n);
    if (finding->ns > 0)
        fprintf(out, " It took %.3f s, %.0f %% of the time.", (double)finding->ns / 1e9,
                percent_of(verdict, finding->ns));
    for (unsigned i = 0; i < finding->n_numbers; i++)
        fprintf(out, "%s%u", i == 0 ? finding->n_numbers == 1 ? " Packet " : " Packets " : ", ",
                finding->number[i]);
    fprintf(out, "%s\n",
            finding->n > finding->n_numbers && finding->n_numbers > 0 ? ", ..."
            : finding->n_numbers > 0                                  ? "."
                                                                      : "");
}

void sight_say(FILE *out, const struct sight_flow *flow, const struct sight_verdict *verdict)
{
    char ends[2][64];
    const struct sight_segment *last = &flow->segments[flow->n - 1];

    for (int side = 0; side < 2; side++)
        sight_end_text(&flow->end[side], ends[side]);
    fprintf(out, "%s to %s: packets %u to %u, %.3f s, %llu bytes sent and %llu received", ends[0],
            ends[1], flow->segments[0].number, last->number,
            (double)(verdict->ended - verdict->began) / 1e9, (unsigned long long)verdict->bytes[0],
            (unsigned long long)verdict->bytes[1]);
    if (verdict->rtt > 0)
        fprintf(out, ", round trip %.3f ms", (double)verdict->rtt / 1e6);
    fprintf(out, "\n");
    if (sight_is_healthy(verdict))
        fprintf(out, "  Healthy.\n");
    for (unsigned i = 0; i < verdict->n_findings; i++)
        say_finding(out, flow, verdict, &verdict->findings[i]);
}

/* ---- JSON -------------------------------------------------------------------------------------------- */

static json_t *finding_json(const struct sight_flow *flow, const struct sight_verdict *verdict,
                            const struct sight_finding *finding)
{
    json_t *numbers = json_array(), *object;
    char text[512], by[64] = "";

    fill_in(flow, finding, text, sizeof text);
    if (finding->side >= 0)
        sight_end_text(&flow->end[finding->side], by);
    for (unsigned i = 0; i < finding->n_numbers; i++)
        json_array_append_new(numbers, json_integer(finding->number[i]));
    object =
        json_pack("{s:s, s:s, s:i, s:f, s:f, s:o, s:s, s:s}", "cause",
                  sight_cause_name(finding->cause), "side", by, "times", (int)finding->n, "seconds",
                  (double)finding->ns / 1e9, "percent", percent_of(verdict, finding->ns), "packets",
                  numbers, "text", text, "detail", finding->detail);
    return object;
}

json_t *sight_json(const struct sight_flow *flow, const struct sight_verdict *verdict)
{
    json_t *findings = json_array();
    char ends[2][64];

    for (int side = 0; side < 2; side++)
        sight_end_text(&flow->end[side], ends[side]);
    for (unsigned i = 0; i < verdict->n_findings; i++)
        json_array_append_new(findings, finding_json(flow, verdict, &verdict->findings[i]));
    return json_pack("{s:s, s:s, s:i, s:i, s:f, s:I, s:I, s:f, s:b, s:b, s:o}", "from", ends[0],
                     "to", ends[1], "first", (int)flow->segments[0].number, "last",
                     (int)flow->segments[flow->n - 1].number, "seconds",
                     (double)(verdict->ended - verdict->began) / 1e9, "sent",
                     (json_int_t)verdict->bytes[0], "received", (json_int_t)verdict->bytes[1],
                     "rtt", (double)verdict->rtt / 1e9, "annotated", (int)verdict->annotated,
                     "healthy", (int)sight_is_healthy(verdict), "findings", findings);
}
