/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* syscall */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "link/gather.h"

static unsigned write_together(struct wr_gather *gather, ssize_t *result)
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

int wr_gather_write(struct wr_gather *gather)
{
    ssize_t result[WR_GATHER_MAX];
    unsigned tried = 0;
    int error = 0;

    if (gather->n > WR_GATHER_FEW)
        tried = write_together(gather, result);
    for (unsigned i = 0; i < gather->n; i++) {
        ssize_t rc = i < tried ? result[i] : write_one(gather, i);
        if (rc < 0)
            error = (int)rc;
    }
    gather->n = 0;
    return error;
}

int wr_gather_add(struct wr_gather *gather, size_t len)
{
    gather->len[gather->n++] = (uint16_t)len;
    return gather->n == WR_GATHER_MAX ? wr_gather_write(gather) : 0;
}
