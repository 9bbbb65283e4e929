/* SPDX-License-Identifier: MIT */
#include "cc/cc_maxfilter.h"

uint64_t wr_cc_maxfilter_update(struct cc_maxfilter *f, uint32_t window, uint32_t at,
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
