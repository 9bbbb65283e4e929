/* SPDX-License-Identifier: MIT */
/* Where liburing was not there when Weir was built. */
#include "link/batch.h"

void wr_batch_end(struct wr_batch *batch)
{
    (void)batch;
}

unsigned wr_batch_read(struct wr_batch *batch, const struct iovec *to, unsigned n, ssize_t *result)
{
    (void)to, (void)n, (void)result;
    batch->refused = true;
    return 0;
}

unsigned wr_batch_write(struct wr_batch *batch, const struct wr_batch_parts *frames, unsigned n,
                        ssize_t *result)
{
    (void)frames, (void)n, (void)result;
    batch->refused = true;
    return 0;
}
