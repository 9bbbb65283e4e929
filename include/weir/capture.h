/* SPDX-License-Identifier: MIT */
/*
 * Capture: a stack's packets as pcapng, each with a comment that says why it was sent, or what became of it, and
 * how the connection stood. It joins the frames of the four calls with the records of the trace (trace.h).
 *
 *     weir_input(stack, ifindex, &frame, now);
 *     weir_capture_in(capture, ifindex, &frame, now);
 *
 *     len = weir_output(stack, ifindex, &out, now);
 *     if (len > 0)
 *         weir_capture_out(capture, ifindex, &out, now);
 *
 * What a host of host.h carries is captured by weir_host_capture() instead. Frames of the loopback interface stay
 * inside the stack and are not seen. docs/capture.md describes the comments.
 */
#ifndef WEIR_CAPTURE_H
#define WEIR_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/host.h>
#include <weir/stack.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_capture;

struct weir_capture_config {
    int fd;            /* where it is written; the capture closes it */
    const char *link;  /* the name of one interface; NULL: all */
    uint32_t snap_len; /* bytes of each packet that are kept; 0: all */
    uint32_t
        backlog; /* bytes that may wait for a descriptor that does not block; then packets are lost and
                          counted. 0: 4 MiB */
    bool virtual_time; /* times are those of `now`, not of CLOCK_REALTIME */
};

/* Begins, and turns the stack's trace on. WEIR_ENODEV: there is no such link; WEIR_ENOMEM, WEIR_EINVAL. On an
 * error the descriptor is still the caller's. */
int weir_capture_new(struct weir_stack *stack, const struct weir_capture_config *config,
                     struct weir_capture **capture);
/* No packet follows: interface statistics with the packets seen and lost are the last thing in it, to be flushed. */
void weir_capture_finish(struct weir_capture *capture);
/* Finishes it, flushes once, and frees it; before the stack is freed. NULL is allowed. */
void weir_capture_free(struct weir_capture *capture);

/* A frame that weir_input() has just taken, or weir_output() given. */
void weir_capture_in(struct weir_capture *capture, int ifindex, const struct weir_frame *frame,
                     weir_time now);
void weir_capture_out(struct weir_capture *capture, int ifindex, const struct weir_out *out,
                      weir_time now);
/* Writes what is waiting. 0; WEIR_EAGAIN: there is more, the descriptor takes no more now; other errors: it is
 * broken. */
int weir_capture_flush(struct weir_capture *capture);

struct weir_capture_counts {
    uint64_t seen, lost; /* packets; lost: of them, for want of room */
};
struct weir_capture_counts weir_capture_counts(const struct weir_capture *capture);

/* Captures what a host's links carry from now on. One with a descriptor that blocks (a file) lasts until
 * weir_host_capture_end(), which frees it. One with a descriptor that does not (a socket) is written to as it can be,
 * and ends by itself when its reader has closed or shut down: *capture is not to be used then, and may be NULL. The
 * errors of weir_capture_new(). */
int weir_host_capture(struct weir_host *host, const struct weir_capture_config *config,
                      struct weir_capture **capture);
/* NULL is allowed. Not after weir_host_free(), which does the same. */
void weir_host_capture_end(struct weir_host *host, struct weir_capture *capture);

#ifdef __cplusplus
}
#endif
#endif
