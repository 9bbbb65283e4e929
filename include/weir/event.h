/* SPDX-License-Identifier: MIT */
/*
 * Events: what the application must learn, read after weir_input(), weir_advance() or a socket call.
 * A socket is in the queue at most once, however much happens to it before it is read.
 */
#ifndef WEIR_EVENT_H
#define WEIR_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_event {
    weir_sock sock;
    uint64_t user;  /* as set by weir_sock_set_user() */
    uint32_t ready; /* WEIR_POLL* bits as they are now */
    /* The WEIR_POLL* bits that something has happened to since the socket's last event, whether they are
     * set now or not: data came (IN, PRI), room for more to send (OUT), an error (ERR), or the connection's
     * state has changed (all). What edge-triggered epoll(7) goes by on Linux. 0: something else, which
     * poll(2) does not show (all that was sent has been acknowledged). */
    uint32_t happened;
};

/* Takes the oldest event off the queue into *event; false when there is none. Something about the
 * socket changed since its last event: as with an edge of epoll, the bits may be the same. */
bool weir_next_event(struct weir_stack *stack, struct weir_event *event);

#ifdef __cplusplus
}
#endif
#endif
