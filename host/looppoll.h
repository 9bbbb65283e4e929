/* SPDX-License-Identifier: MIT */
/* How weir_loop_run() waits for links; see the .c file. All with the lock held, but for wr_loop_poll(). */
#ifndef WEIR_HOST_LOOPPOLL_H
#define WEIR_HOST_LOOPPOLL_H

#include <poll.h>

#include "host/host_internal.h"

enum { LINKS_POLLED = 4 };

/* Fills in what the loop's thread, which calls this, is to wait for: 1 + LINKS_POLLED places at most, the first for the
 * epoll set. Returns how many. */
unsigned wr_loop_poll_begin(struct weir_loop *loop, struct pollfd *fds);
/* Waits for them, or just looks. The lock is not held. True when the epoll set has something. */
bool wr_loop_poll(struct weir_loop *loop, struct pollfd *fds, unsigned n, bool sleep);
/* Has the links asked that have something. */
void wr_loop_poll_mark(struct weir_loop *loop, const struct pollfd *fds, unsigned n);
/* All links are the epoll set's again, which tells of what is left to do, too. */
void wr_loop_poll_end(struct weir_loop *loop);
/* The link goes: when this returns nobody waits for its descriptor. */
void wr_loop_poll_leave(struct weir_loop *loop, struct wr_attach *attach);

#endif
