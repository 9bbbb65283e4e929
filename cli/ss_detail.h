/* SPDX-License-Identifier: MIT */
/* What `weir ss` says of a socket beside its columns; each begins with a blank. */
#ifndef WEIR_SS_DETAIL_H
#define WEIR_SS_DETAIL_H

#include <jansson.h>

struct ss_users; /* every socket descriptor of every process that may be looked at */

/* NULL: out of memory, which the calls below take for "none known". */
struct ss_users *wr_ss_users(void);
void wr_ss_users_free(struct ss_users *users);
/* users:(("nginx",pid=17,fd=6),...) of a row's "user"; nothing for NULL. */
void wr_ss_print_users(const struct ss_users *users, const json_t *user);
/* Puts the same in place of the row's "user", as an array "users". */
void wr_ss_add_users(const struct ss_users *users, json_t *row);

/* timer:(keepalive,119min,0) */
void wr_ss_print_timer(const json_t *timer);
/* ino:N sk:N */
void wr_ss_print_extended(const json_t *row);
/* skmem:(r0,rb131072,t0,tb16384,f0,w0,o0,bl0,d0) */
void wr_ss_print_memory(const json_t *row);
/* ts sack cubic wscale:7,7 rto:204 rtt:1.2/0.3 ... */
void wr_ss_print_info(const json_t *info);

#endif
