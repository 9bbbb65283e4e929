/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes of many pairs by one system call, an io_uring. Entering and leaving the kernel costs a
 * program's small read or write more than the copying does, and much more on machines whose processors
 * must be kept from leaking at each entry. When many connections are busy each turn of the loop has many
 * of them, and none depends on another.
 *
 * None of them waits (MSG_DONTWAIT), so each is done when the call that submits it returns, and nothing is
 * ever under way between two calls. Where no io_uring is to be had (a kernel before 6.1, a container, an
 * administrator who forbids it) there is no ring, and each is a call of its own.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "run/run_int.h"

struct run_ring {
    struct io_uring uring;
    unsigned n_added;
    bool broken; /* it refused an order; nothing more is asked of it */
};

struct run_ring *wr_run_ring_open(void)
{
    struct run_ring *ring = calloc(1, sizeof *ring);
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL};
    if (!ring)
        return NULL;
    if (io_uring_queue_init_params(RUN_RING_MAX, &ring->uring, &params) < 0) {
        free(ring);
        return NULL;
    }
    (void)io_uring_register_ring_fd(&ring->uring); /* saves looking it up in each call */
    return ring;
}

void wr_run_ring_close(struct run_ring *ring)
{
    if (!ring)
        return;
    io_uring_queue_exit(&ring->uring);
    free(ring);
}

/* The next entry to fill in, whose result is to go to *result; NULL: there is none. */
static struct io_uring_sqe *entry(struct run_ring *ring)
{
    if (!ring || ring->broken || ring->n_added == RUN_RING_MAX)
        return NULL;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    ring->n_added += sqe != NULL;
    return sqe;
}

static void tell(struct io_uring_sqe *sqe, ssize_t *result)
{
    *result = -ECANCELED;
    io_uring_sqe_set_data(sqe, result);
}

bool wr_run_ring_recv(struct run_ring *ring, int fd, void *to, size_t cap, int flags,
                      ssize_t *result)
{
    struct io_uring_sqe *sqe = entry(ring);
    if (!sqe)
        return false;
    io_uring_prep_recv(sqe, fd, to, cap, flags | MSG_DONTWAIT);
    tell(sqe, result);
    return true;
}

bool wr_run_ring_send(struct run_ring *ring, int fd, const void *from, size_t len, ssize_t *result)
{
    struct io_uring_sqe *sqe = entry(ring);
    if (!sqe)
        return false;
    io_uring_prep_send(sqe, fd, from, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    tell(sqe, result);
    return true;
}

/* Takes in what is done. */
static unsigned reap(struct run_ring *ring)
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;
    io_uring_for_each_cqe(&ring->uring, head, cqe)
    {
        *(ssize_t *)io_uring_cqe_get_data(cqe) = cqe->res;
        n++;
    }
    io_uring_cq_advance(&ring->uring, n);
    return n;
}

void wr_run_ring_go(struct run_ring *ring)
{
    while (ring && ring->n_added > 0 && !ring->broken) {
        int rc = io_uring_submit_and_wait(&ring->uring, ring->n_added);
        unsigned n = reap(ring);
        ring->n_added -= n < ring->n_added ? n : ring->n_added;
        /* What the kernel has not taken stays in the queue for good, and is not done. */
        ring->broken = rc < 0 && rc != -EINTR && n == 0;
    }
}
