/* SPDX-License-Identifier: MIT */
/*
 * Trace: what the stack decides, and why. (Events, event.h, are what an application must learn; this is what a
 * person who looks at a connection wants to know.)
 *
 * A stack whose trace is on writes a record at each decision into a ring of its own: a segment was sent, and for
 * which reason; a range was taken for lost, and by which rule; recovery began, ended, was taken back. Each record
 * bears the connection's windows and times of that moment. Nothing is called back: readers follow the ring at
 * their own pace, any number of them; one that is too slow learns how much it has missed.
 *
 *     struct weir_trace_reader reader;
 *     struct weir_trace record;
 *     weir_trace_on(stack, 4096);
 *     weir_trace_begin(stack, &reader);
 *     ... calls on the stack ...
 *     while (weir_trace_read(stack, &reader, &record))
 *         ... record.point is WEIR_TRACE_SENT_FAST, say ...
 *     weir_trace_off(stack);
 *
 * Off it costs one predictable branch at each decision. Where the build found sys/sdt.h each point is also a
 * static probe (USDT) of provider "weir" named for kind and why ("sent__fast"), with the record's address, seq, len,
 * cwnd and pipe as arguments; it fires while the trace of a stack is on.
 */
#ifndef WEIR_TRACE_H
#define WEIR_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/stack.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The one list of decisions: X(NAME, kind, why, text). Enumerators, names, sentences and probes come from it. */
#define WEIR_TRACE_LIST(X)                                                                         \
    /* a segment leaves: seq, len, ack, wnd, flags are its own */                                  \
    X(SENT_NEW, sent, new, "new data")                                                             \
    X(SENT_FIN, sent, fin, "FIN: the user has closed")                                             \
    X(SENT_FORCED, sent, forced, "new data although Nagle or a small window held it back")         \
    X(SENT_MTU_PROBE, sent, mtu_probe, "new data as a probe of a larger path MTU")                 \
    X(SENT_TLP_NEW, sent, tlp_new, "tail loss probe with new data")                                \
    X(SENT_TLP, sent, tlp, "tail loss probe: the last segment again")                              \
    X(SENT_FAST, sent, fast, "fast retransmit")                                                    \
    X(SENT_RTO, sent, rto, "retransmission after a time-out")                                      \
    X(SENT_SMALLER, sent, smaller, "again in smaller segments: the path MTU shrank")               \
    X(SENT_DOUBTFUL, sent, doubtful, "again though not known to be lost: room was left")           \
    X(SENT_SYN, sent, syn, "SYN")                                                                  \
    X(SENT_SYN_AGAIN, sent, syn_again, "SYN again: the first was not answered")                    \
    X(SENT_SYNACK, sent, synack, "SYN-ACK")                                                        \
    X(SENT_PROBE, sent, probe, "window probe: the peer's window is closed")                        \
    X(SENT_KEEPALIVE, sent, keepalive, "keepalive: nothing was heard for long")                    \
    X(SENT_ACK, sent, ack, "ACK")                                                                  \
    X(SENT_ACK_DELAYED, sent, ack_delayed, "delayed ACK: no data came to take it along")           \
    X(SENT_ACK_GAP, sent, ack_gap, "duplicate ACK: data is missing before what came")              \
    X(SENT_ACK_WINDOW, sent, ack_window, "window update: the reader has made room")                \
    X(SENT_ACK_AGAIN, sent, ack_again, "ACK again: an old or unacceptable segment came")           \
    X(SENT_RST, sent, rst, "RST")                                                                  \
    /* a segment came in for a connection, and was dealt with */                                   \
    X(RECEIVED, received, segment, "a segment was taken in")                                       \
    /* a frame, or what was in it, was dropped; reason: weir_drop_name() */                        \
    X(DROPPED, dropped, reason, "dropped")                                                         \
    /* [seq, seq + len) is taken for lost */                                                       \
    X(LOST_RACK, lost, rack, "lost: sent long enough before what has arrived (RACK)")              \
    X(LOST_SACK, lost, sack, "lost: enough above it was SACKed (RFC 6675)")                        \
    X(LOST_DUPACKS, lost, dupacks, "lost: the third duplicate ACK")                                \
    X(LOST_PARTIAL, lost, partial, "lost: a partial ACK ends before it (RFC 6582)")                \
    X(LOST_RTO, lost, rto, "lost: the retransmission timer expired")                               \
    X(LOST_TOO_BIG, lost, too_big, "lost: larger than the path MTU")                               \
    X(LOST_MTU_PROBE, lost, mtu_probe, "lost: a probe of the path MTU did not pass")               \
    /* the states of recovery */                                                                   \
    X(RECOVERY_FAST, recovery, fast, "fast recovery begins, cwnd comes down")                      \
    X(RECOVERY_ECN, recovery, ecn, "congestion was marked (ECN), cwnd comes down")                 \
    X(RECOVERY_RTO, recovery, rto, "recovery after a time-out begins, cwnd is one segment")        \
    X(RECOVERY_RESEND, recovery, resend, "the flight is sent again, without a reduction")          \
    X(RECOVERY_PROBED, recovery, probed, "a tail loss probe repaired a loss, cwnd comes down")     \
    X(RECOVERY_LEFT, recovery, left, "recovery is over")                                           \
    X(RECOVERY_UNDONE_DSACK, recovery, undone_dsack,                                               \
      "the reduction is taken back: all that was sent again came twice (D-SACK)")                  \
    X(RECOVERY_UNDONE_LATE, recovery, undone_late,                                                 \
      "the reduction is taken back: the originals were only late (Eifel)")                         \
    X(RECOVERY_UNDONE_RTO, recovery, undone_rto,                                                   \
      "the reduction is taken back: the time-out was spurious")                                    \
    /* a timer of the connection fired */                                                          \
    X(TIMER_RTO, timer, rto, "the retransmission timer fired")                                     \
    X(TIMER_TLP, timer, tlp, "the probe timer fired: the tail of the flight may be lost")          \
    X(TIMER_REORDER, timer, reorder, "the reordering timer fired")                                 \
    X(TIMER_PERSIST, timer, persist, "the persist timer fired")                                    \
    X(TIMER_KEEPALIVE, timer, keepalive, "the keepalive timer fired")                              \
    X(TIMER_DELACK, timer, delack, "the delayed-ACK timer fired")                                  \
    X(TIMER_SYN, timer, syn, "the SYN was not answered in time")                                   \
    /* the connection has nothing more to send now, and what holds it */                           \
    X(HELD_APP, held, app, "nothing is left to send: the application")                             \
    X(HELD_WINDOW, held, window, "held by the peer's window")                                      \
    X(HELD_CWND, held, cwnd, "held by cwnd")                                                       \
    X(HELD_PACING, held, pacing, "held by pacing")                                                 \
    X(HELD_NAGLE, held, nagle, "a short segment is held: Nagle, cork or MSG_MORE")                 \
    /* windows */                                                                                  \
    X(WINDOW_CLOSED, window, closed, "the peer closed its window")                                 \
    X(WINDOW_OPENED, window, opened, "the peer opened its window again")                           \
    X(WINDOW_FULL, window, full, "our receive buffer is full: window 0 is announced")              \
    X(WINDOW_ROOM, window, room, "our receive buffer has room again")                              \
    /* the connection's state is another; of CLOSED reason is an errno, or 0 */                    \
    X(STATE, state, changed, "the state changed")

enum weir_trace_point {
#define WEIR_TRACE_ENUM(name, kind, why, text) WEIR_TRACE_##name,
    WEIR_TRACE_LIST(WEIR_TRACE_ENUM)
#undef WEIR_TRACE_ENUM
        WEIR_TRACE_POINTS
};

/* Sizes in bytes, sequence numbers as on the wire. What does not apply is 0. */
struct weir_trace {
    weir_time at;
    struct weir_addr local, remote; /* both unspecified: it is of no known connection */
    uint16_t lport, rport;
    uint8_t point; /* WEIR_TRACE_* */
    uint8_t state; /* WEIR_TCP_*; 0: there is no connection (a RST, a SYN-ACK from the SYN queue) */
    uint8_t ca_state; /* WEIR_CA_* */
    bool sack_ok;
    uint16_t reason; /* DROPPED: number of weir_drop_name(); STATE: errno */
    uint16_t
        flags; /* of the segment: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128 */
    uint32_t seq, len;
    uint32_t ack, wnd; /* of the segment; the window scaled */
    uint32_t iss, irs; /* first sequence numbers: ours, the peer's; 0, 0: not known */
    uint32_t snd_una, snd_nxt;
    uint32_t unsent;               /* queued by the user and never sent */
    uint32_t cwnd, ssthresh, pipe; /* cwnd 0: nothing was sent yet. ssthresh UINT32_MAX: none yet */
    uint32_t snd_wnd, rcv_wnd;     /* the peer's window; ours */
    uint32_t smss;
    weir_time srtt, rttvar, rto; /* srtt 0: no sample yet */
    uint64_t pacing_rate;        /* bytes per second; 0: not paced */
};

/* Turns the trace on, with a ring of at least `records` (1 to 2^24; rounded up to a power of two). Each call is
 * undone by one of weir_trace_off(); who comes second shares the first one's ring. 0, WEIR_EINVAL, WEIR_ENOMEM. */
int weir_trace_on(struct weir_stack *stack, uint32_t records);
void weir_trace_off(struct weir_stack *stack);

struct weir_trace_reader {
    uint64_t next; /* number of the record to be read next */
    uint64_t lost; /* records that were overwritten before they were read */
};
/* Starts a reader at what happens from now on. */
void weir_trace_begin(const struct weir_stack *stack, struct weir_trace_reader *reader);
/* Reads the next record; false when there is none, or the trace is off. */
bool weir_trace_read(const struct weir_stack *stack, struct weir_trace_reader *reader,
                     struct weir_trace *record);

/* Names of a point: "sent", "fast", "fast retransmit"; of a state: "ESTABLISHED", "Recovery". NULL: no such number. */
const char *weir_trace_kind(unsigned point);
const char *weir_trace_why(unsigned point);
const char *weir_trace_text(unsigned point);
const char *weir_trace_state(unsigned state);
const char *weir_trace_ca_state(unsigned ca_state);

/* A record as one line without a newline: for people, with sequence numbers counted from the connection's first; as a
 * JSON object. Each returns the length without the NUL, as snprintf does; 1024 bytes are enough. */
size_t weir_trace_print(const struct weir_trace *record, char *text, size_t cap);
size_t weir_trace_json(const struct weir_trace *record, char *text, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
