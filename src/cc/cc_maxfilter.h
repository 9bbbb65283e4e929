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
static inline uint64_t cc_maxfilter_update(struct cc_maxfilter *f, uint32_t window, uint32_t at,
                                           uint64_t value)
{
    if (value >= f->s[0].value || at - f->s[2].at > window)
        return cc_maxfilter_reset(f, at, value);
    int place = value >= f->s[1].value ? 1 : value >= f->s[2].value ? 2 : 3;
    for (int i = place; i < 3; i++) {
        f->s[i].value = value;
        f->s[i].at = at;
    }

    uint32_t age = at - f->s[0].at;
    if (age > window) { /* the best is too old: all move up, at most twice */
        for (int turn = 0; turn < 2 && at - f->s[0].at > window; turn++) {
            f->s[0] = f->s[1];
            f->s[1] = f->s[2];
            f->s[2].value = value;
            f->s[2].at = at;
        }
    } else if (f->s[1].at == f->s[0].at && age > window / 4) {
        for (int i = 1; i < 3; i++) {
            f->s[i].value = value;
            f->s[i].at = at;
        }
    } else if (f->s[2].at == f->s[1].at && age > window / 2) {
        f->s[2].value = value;
        f->s[2].at = at;
    }
    return f->s[0].value;
}

#endif
