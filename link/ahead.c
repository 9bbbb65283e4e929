/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* syscall */
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/hint.h"
#include "link/ahead.h"

void wr_ahead_init(struct wr_ahead *ahead, struct wr_batch *batch, uint8_t *one, size_t pad,
                   size_t cap)
{
    *ahead = (struct wr_ahead){.batch = batch, .one = one, .pad = pad, .cap = cap};
}

void wr_ahead_end(struct wr_ahead *ahead)
{
    free(ahead->slots);
}

/* Half a page more than whole pages: a small frame touches one page, and two frames that follow each other do not
 * contend for the same lines of the cache. */
static size_t stride(const struct wr_ahead *ahead)
{
    enum { PAGE = 4096 };
    return (ahead->pad + ahead->cap + PAGE - 1) / PAGE * PAGE + PAGE / 2;
}

static uint8_t *slot(const struct wr_ahead *ahead, unsigned i)
{
    return ahead->slots + i * stride(ahead) + ahead->pad;
}

/* What the batch brought decides how the next ones are read. */
static void judge(struct wr_ahead *ahead)
{
    unsigned frames = 0;
    bool small = true;

    for (unsigned i = 0; i < ahead->n; i++) {
        frames += ahead->len[i] > 0;
        small &= ahead->len[i] <= WR_AHEAD_SMALL;
    }
    ahead->empty = ahead->n > 0 && ahead->len[ahead->n - 1] == -EAGAIN;
    ahead->row = 0;
    ahead->ask = frames * 2 < WR_AHEAD_MAX ? frames * 2 : WR_AHEAD_MAX;
    if (frames <= WR_AHEAD_FEW || !small)
        ahead->ask = 0;
}

/* Reads as many as are to be asked for. Where that cannot be done it is no more tried. */
WR_APART void read_batch(struct wr_ahead *ahead)
{
    struct iovec to[WR_AHEAD_MAX];
    unsigned n = ahead->ask;

    if (!ahead->slots)
        ahead->slots = malloc(WR_AHEAD_MAX * stride(ahead));
    ahead->next = ahead->n = 0;
    if (ahead->slots) {
        for (unsigned i = 0; i < n; i++)
            to[i] = (struct iovec){slot(ahead, i), ahead->cap};
        ahead->n = wr_batch_read(ahead->batch, to, n, ahead->len);
    }
    judge(ahead);
}

/* The next that the batch has. An error is left for a call of its own to find again. */
static ssize_t lend(struct wr_ahead *ahead, uint8_t **data)
{
    while (wr_ahead_has(ahead)) {
        unsigned i = ahead->next++;
        *data = slot(ahead, i);
        if (ahead->len[i] > 0)
            return ahead->len[i];
    }
    return 0;
}

static ssize_t read_one(struct wr_ahead *ahead, uint8_t **data)
{
    ssize_t n;

    *data = ahead->one + ahead->pad;
    do
        n = syscall(SYS_read, ahead->batch->fd, *data, ahead->cap);
    while (n < 0 && errno == EINTR);
    n = n < 0 ? -errno : n;
    if (n == -EAGAIN)
        n = 0;
    wr_ahead_note(ahead, n);
    return n;
}

/* When nothing was left behind a batch there is hardly more by the time that it is lent, and one read says so as well as
 * sixteen. But it must be asked: an event that told of more may have been used up meanwhile. */
ssize_t wr_ahead_read(struct wr_ahead *ahead, uint8_t **data)
{
    ssize_t n = lend(ahead, data);

    if (n == 0 && ahead->ask > 0 && !ahead->empty) {
        read_batch(ahead);
        n = lend(ahead, data);
        if (n == 0 && ahead->empty)
            return 0;
    }
    ahead->empty &= n != 0;
    return n != 0 ? n : read_one(ahead, data);
}
