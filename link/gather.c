/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* syscall */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/hint.h"
#include "link/gather.h"

WR_APART unsigned write_together(struct wr_gather *gather, ssize_t *result)
{
    struct wr_batch_parts parts[WR_GATHER_MAX];

    for (unsigned i = 0; i < gather->n; i++) {
        parts[i].iov[0] = (struct iovec){gather->frame[i], gather->len[i]};
        parts[i].n = 1;
    }
    return wr_batch_write(gather->batch, parts, gather->n, result);
}

static ssize_t write_one(struct wr_gather *gather, unsigned i)
{
    ssize_t rc = syscall(SYS_write, gather->batch->fd, gather->frame[i], (size_t)gather->len[i]);
    return rc < 0 ? -errno : rc;
}

/* Keeps the i-th frame as the n-th of those that wait on. */
WR_APART void keep(struct wr_gather *gather, unsigned i, unsigned n)
{
    if (i == n)
        return;
    memcpy(gather->frame[n], gather->frame[i], gather->len[i]);
    gather->len[n] = gather->len[i];
}

bool wr_gather_write(struct wr_gather *gather)
{
    ssize_t result[WR_GATHER_MAX];
    unsigned tried = 0, kept = 0;

    if (gather->n > WR_GATHER_FEW)
        tried = write_together(gather, result);
    for (unsigned i = 0; i < gather->n; i++) {
        ssize_t rc = -EAGAIN; /* behind one that has no room nothing is tried one by one */
        if (i < tried)
            rc = result[i];
        else if (kept == 0)
            rc = write_one(gather, i);
        if (WR_SELDOM(rc == -EAGAIN)) {
            keep(gather, i, kept++);
        } else if (WR_SELDOM(rc < 0)) {
            gather->lost++;
            gather->error = (int)rc;
        }
    }
    gather->n = kept;
    return kept == 0;
}
