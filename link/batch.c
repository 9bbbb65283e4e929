/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

#include "link/batch.h"

enum { OUR_FILE = 0 }; /* the descriptor's number among the ring's registered files */

/* ---- life --------------------------------------------------------------------------------------- */

/* A ring goes some time after the call that closes it, and must not hold the descriptor's file so long. */
static void close_ring(struct wr_batch *batch)
{
    if (!batch->ring)
        return;
    (void)io_uring_unregister_files(batch->ring);
    io_uring_queue_exit(batch->ring);
    free(batch->ring);
    batch->ring = NULL;
}

static struct io_uring *open_ring(int fd)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SUBMIT_ALL};
    struct io_uring *ring = malloc(sizeof *ring);

    if (!ring)
        return NULL;
    if (io_uring_queue_init_params(WR_BATCH_MAX, ring, &params) == 0) {
        (void)io_uring_ring_dontfork(ring); /* else a child that is forked holds the file, too */
        if (io_uring_register_files(ring, &fd, 1) == 0)
            return ring;
        io_uring_queue_exit(ring);
    }
    free(ring);
    return NULL;
}

static bool is_open(struct wr_batch *batch)
{
    if (!batch->ring && !batch->refused) {
        batch->ring = open_ring(batch->fd);
        batch->refused = batch->ring == NULL;
    }
    return batch->ring != NULL;
}

void wr_batch_end(struct wr_batch *batch)
{
    close_ring(batch);
}

/* ---- work --------------------------------------------------------------------------------------- */

static void order(struct io_uring_sqe *sqe, ssize_t *result)
{
    *result = -ECANCELED;
    sqe->rw_flags = RWF_NOWAIT;
    io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
    io_uring_sqe_set_data(sqe, result);
}

static unsigned take_results(struct io_uring *ring)
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;

    io_uring_for_each_cqe(ring, head, cqe)
    {
        *(ssize_t *)io_uring_cqe_get_data(cqe) = cqe->res;
        n++;
    }
    io_uring_cq_advance(ring, n);
    return n;
}

/* What the kernel has not taken would stay in its queue, so the ring is given up then; so it is when this descriptor
 * is none that can be told not to wait. */
static void refuse(struct wr_batch *batch)
{
    batch->refused = true;
    close_ring(batch);
}

/* Has the n orders done. Returns how many were tried. */
static unsigned go(struct wr_batch *batch, unsigned n, const ssize_t *result)
{
    unsigned left = n, tried = 0;

    while (left > 0) {
        int rc = io_uring_submit_and_wait(batch->ring, left);
        unsigned done = take_results(batch->ring);
        if (rc < 0 && rc != -EINTR && done == 0) {
            refuse(batch);
            break;
        }
        left -= done;
    }
    while (tried < n && result[tried] != -ECANCELED && result[tried] != -EOPNOTSUPP)
        tried++;
    return tried;
}

unsigned wr_batch_read(struct wr_batch *batch, const struct iovec *to, unsigned n, ssize_t *result)
{
    if (!is_open(batch))
        return 0;
    for (unsigned i = 0; i < n; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(batch->ring);
        io_uring_prep_read(sqe, OUR_FILE, to[i].iov_base, (unsigned)to[i].iov_len, 0);
        order(sqe, &result[i]);
    }
    unsigned tried = go(batch, n, result);
    if (tried < n)
        refuse(batch);
    return tried;
}

static unsigned write_some(struct wr_batch *batch, const struct wr_batch_parts *frames, unsigned n,
                           ssize_t *result)
{
    for (unsigned i = 0; i < n; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(batch->ring);
        io_uring_prep_writev(sqe, OUR_FILE, frames[i].iov, frames[i].n, 0);
        order(sqe, &result[i]);
        if (batch->bounded && i + 1 < n)
            sqe->flags |= IOSQE_IO_LINK;
    }
    return go(batch, n, result);
}

/* Where each depends on the one before, one that fails has those behind it cancelled: they go by a call of their own, but
 * not behind one that had no room. */
unsigned wr_batch_write(struct wr_batch *batch, const struct wr_batch_parts *frames, unsigned n,
                        ssize_t *result)
{
    bool bounded = batch->bounded;
    unsigned tried = 0;

    if (!is_open(batch))
        return 0;
    while (tried < n && batch->ring) {
        unsigned some = write_some(batch, frames + tried, n - tried, result + tried);
        for (unsigned i = tried; i < tried + some; i++)
            batch->bounded |= result[i] == -EAGAIN;
        tried += some;
        if (bounded && some > 0 && result[tried - 1] == -EAGAIN)
            break;
        if (tried < n && (!bounded || some == 0))
            refuse(batch);
    }
    return tried;
}
