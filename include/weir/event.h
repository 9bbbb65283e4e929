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
};

/* Takes the oldest event off the queue into *event; false when there is none. Something about the
 * socket changed since its last event: as with an edge of epoll, the bits may be the same. */
bool weir_next_event(struct weir_stack *stack, struct weir_event *event);

#ifdef __cplusplus
}
#endif
#endif
