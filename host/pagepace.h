/* SPDX-License-Identifier: MIT */
#ifndef WR_HOST_PAGEPACE_H
#define WR_HOST_PAGEPACE_H

/*
 * Whether the next 2 MB should be a huge page. Its first byte costs the clearing of all of it: 0.1 to 0.3 ms, but 5 ms in a
 * virtual machine whose memory its host must find first, and two such in a row are a pause that users feel. So after a slow one
 * comes a row of ordinary pages, whose cost is spread over their use, twice as many each time that the next was slow again.
 */

#include <stdbool.h>
#include <stdint.h>

enum { WR_PAGE_SLOW_NS = 1000000, WR_PAGE_ROW_FIRST = 8, WR_PAGE_ROW_MOST = 512 };

struct wr_page_pace {
    uint32_t left; /* ordinary ones until the next huge one */
    uint32_t row;  /* how many there were the last time; 0: the last huge page came fast */
};

/* Asked once for each. */
static inline bool wr_page_pace_huge(struct wr_page_pace *pace)
{
    if (pace->left == 0)
        return true;
    pace->left--;
    return false;
}

/* The huge page that was to be had cost so many nanoseconds. */
static inline void wr_page_pace_took(struct wr_page_pace *pace, int64_t ns)
{
    if (ns < WR_PAGE_SLOW_NS)
        pace->row = 0;
    else if (pace->row == 0)
        pace->row = WR_PAGE_ROW_FIRST;
    else if (pace->row < WR_PAGE_ROW_MOST)
        pace->row *= 2;
    pace->left = pace->row;
}

#endif
