/* SPDX-License-Identifier: MIT */
/*
 * The two ends of a wire, the near one with super-segments in software: for the tests of what is joined and of what
 * is cut. All of it once on a wire that copies frames, and once on one that lends their data (weir_pipe_config.lends).
 */
#ifndef WEIR_TEST_LINK_OFFLOADED_H
#define WEIR_TEST_LINK_OFFLOADED_H

#include "unit/link_frames.h"

enum { LEN = 1001 }; /* of a segment's data */

static struct weir_link *far_end, *near_end;
static bool lending;

static inline void open_links(enum weir_netif_kind kind, bool csum_offload, uint32_t queue_frames)
{
    struct weir_pipe_config config = {
        .kind = kind, .csum_offload = csum_offload, .queue_frames = queue_frames, .lends = lending};
    struct weir_link *ends[2];
    assert_int_equal(weir_link_pipe(&config, ends), 0);
    assert_int_equal(weir_link_offload(ends[1], &near_end), 0);
    far_end = ends[0];
}

static inline void close_links(void)
{
    weir_link_free(far_end);
    weir_link_free(near_end);
}

#endif
