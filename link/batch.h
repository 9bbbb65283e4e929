/* SPDX-License-Identifier: MIT */
/*
 * Many frames to or from one descriptor by one system call, where the descriptor has one frame a call: an io_uring.
 *
 * Entering and leaving the kernel costs as much as a read or a write of 1500 bytes does in there, and more where
 * processors must be kept from leaking at each entry. What is to be read or written does not depend on what was before,
 * so the kernel is given all of it at once, in order. None of it waits (RWF_NOWAIT): when the call returns all are done, and
 * nothing is under way between two calls. Any thread may call, one at a time.
 *
 * **Where there may be no room** for a frame, and is again for a later one of the same call, that one would overtake it. So
 * each write then depends on the one before (IOSQE_IO_LINK): behind one that has no room nothing is tried. It costs the kernel some
 * more, and few devices need it: a TUN device has no bound unless one was set (TUNSETSNDBUF).
 *
 * The ring is made when it is used first. Where there is none (a kernel before 5.18, a container or an administrator who
 * forbids it, a build without liburing), or the kernel will not use it for this descriptor, that is found out once, and
 * the caller is left to its own system calls.
 */
#ifndef WEIR_LINK_BATCH_H
#define WEIR_LINK_BATCH_H

#include <errno.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { WR_BATCH_MAX = 64 }; /* frames a call */

struct io_uring;

struct wr_batch {
    int fd;
    bool refused;          /* there is none, and will be none */
    bool bounded;          /* a write may find no room: known by the caller, or found out */
    struct io_uring *ring; /* NULL: not made yet */
};

/* What one frame to write consists of. */
struct wr_batch_parts {
    struct iovec iov[4];
    unsigned n;
};

/* For descriptor `fd`, which the caller closes after wr_batch_end(). */
static inline void wr_batch_init(struct wr_batch *batch, int fd)
{
    *batch = (struct wr_batch){.fd = fd};
}

void wr_batch_end(struct wr_batch *batch);

/* Reads up to n frames, the i-th to to[i]. Returns how many were asked for: n, or less when the kernel will not. Of those
 * result[i] is the length or a negative errno, EAGAIN when there was none. A frame may have come after one before it was not
 * there. */
unsigned wr_batch_read(struct wr_batch *batch, const struct iovec *to, unsigned n, ssize_t *result);

/* Writes n frames in order. Returns how many were tried: n, or less when the kernel will not, or, if it is bounded, up to the
 * first that had no room. Of those result[i] is the length or a negative errno; a write that fails otherwise does not keep
 * the next one back. */
unsigned wr_batch_write(struct wr_batch *batch, const struct wr_batch_parts *frames, unsigned n,
                        ssize_t *result);

/* Of n frames that were tried, how many are done with: all up to the last one that was written or lost. Those behind it had no
 * room and may be tried again; one before it that had none, as the first may that tells that it is bounded, is lost, lest
 * what went behind it go twice. */
static inline unsigned wr_batch_done(const ssize_t *result, unsigned n)
{
    while (n > 0 && result[n - 1] == -EAGAIN)
        n--;
    return n;
}

#endif
