/* SPDX-License-Identifier: MIT */
/*
 * The maximum over a sliding window, in constant space: Nichols' filter of three samples, as Linux's
 * win_minmax. The best, the best after that, and the best after both are kept; as the first grows too
 * old the others move up. A second and third from the last quarter and half of the window make sure that
 * the estimate which moves up is itself recent.
 */
#ifndef WR_CC_MAXFILTER_H
#define WR_CC_MAXFILTER_H

#include <stdint.h>

struct cc_maxfilter {
    struct {
        uint64_t value;
        uint32_t at;
    } s[3]; /* s[0] >= s[1] >= s[2] in value, and in that order in time */
};

static inline uint64_t cc_maxfilter_reset(struct cc_maxfilter *f, uint32_t at, uint64_t value)
{
    for (int i = 0; i < 3; i++) {
        f->s[i].value = value;
        f->s[i].at = at;
    }
    return value;
}

static inline uint64_t cc_maxfilter_get(const struct cc_maxfilter *f)
{
    return f->s[0].value;
}

/* A new value at a time that never goes back (modulo 2^32); the maximum of the last `window`. */
uint64_t wr_cc_maxfilter_update(struct cc_maxfilter *f, uint32_t window, uint32_t at,
                                uint64_t value);

#endif
