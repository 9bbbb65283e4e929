/* SPDX-License-Identifier: MIT */
/* The texts of impairments: numbers with units, and exact rules. */
#ifndef WEIR_LINK_IMPAIR_PARSE_H
#define WEIR_LINK_IMPAIR_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/link.h>

enum wr_impair_class {
    WR_CLASS_FRAME, /* any */
    WR_CLASS_DATA,  /* TCP with data */
    WR_CLASS_SYN,   /* SYN without ACK */
    WR_CLASS_SYNACK,
    WR_CLASS_ACK, /* nothing but an acknowledgment */
    WR_CLASS_FIN,
    WR_CLASS_RST,
    WR_CLASSES
};

enum wr_impair_action { WR_DROP, WR_DUP, WR_DELAY, WR_CORRUPT };

/* "drop data 3-5": to the frames number first to last of a class, counted from 1. */
struct wr_impair_rule {
    enum wr_impair_action action;
    enum wr_impair_class of;
    unsigned directions; /* of enum weir_impair_direction */
    uint64_t first, last;
    weir_time delay; /* WR_DELAY */
};

/* Parses one rule, [in|out] ACTION CLASS N[-[M]] [TIME], from *text on, and moves *text past it and past
 * the ';' behind it. A quote ends the text as a NUL does. 1: *rule is filled in; 0: there is no rule
 * any more; WEIR_EINVAL: *text stands at the word not understood. */
int wr_impair_rule_next(const char **text, struct wr_impair_rule *rule);

#endif
