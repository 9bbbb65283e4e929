/* SPDX-License-Identifier: MIT */
/* What the files of socket options share: opts.c has the calls, one file for each level its
 * table. */
#ifndef WR_OPTS_H
#define WR_OPTS_H

#include <weir/cc.h>

#include "sock/sock.h"

/* An option of one socket, on its way. */
struct wr_opt_access {
    struct weir_stack *stack;
    struct wr_sock *sock;
    struct wr_tcp_opts *tcp; /* NULL on UDP */
    struct wr_udp_opts *udp; /* NULL on TCP */
    weir_time now;
};

/* An option that is an int. set NULL: it can only be read. Both answer 0 or a negative error. */
struct wr_opt {
    int name;
    int (*set)(const struct wr_opt_access *a, int value);
    int (*get)(const struct wr_opt_access *a, int *value);
};

struct wr_opt_table {
    const struct wr_opt *rows;
    size_t n_rows;
};

extern const struct wr_opt_table wr_opts_socket; /* WEIR_SOL_SOCKET */
extern const struct wr_opt_table wr_opts_tcp;    /* WEIR_SOL_TCP */
extern const struct wr_opt_table wr_opts_ip;     /* WEIR_SOL_IP */
extern const struct wr_opt_table wr_opts_ip6;    /* WEIR_SOL_IPV6 */

/* The connection of a TCP socket, or NULL. */
struct tcb *wr_opt_conn(const struct wr_opt_access *a);
/* An option of TCP was changed: what the connection must do about it, it does now. Returns 0. */
int wr_opt_changed(const struct wr_opt_access *a);

/* Options that are not an int. Lengths as in setsockopt(2); 0 or a negative error. */
int wr_opt_set_linger(const struct wr_opt_access *a, const void *value, size_t len);
void wr_opt_get_linger(const struct wr_opt_access *a, struct weir_linger *linger);
int wr_opt_set_congestion(const struct wr_opt_access *a, const void *value, size_t len);
void wr_opt_get_congestion(const struct wr_opt_access *a, char name[WEIR_CC_NAME_MAX]);
int wr_opt_set_max_pacing_rate(const struct wr_opt_access *a, const void *value, size_t len);
/* Writes 4 or 8 bytes, as there is room; how many. */
size_t wr_opt_get_max_pacing_rate(const struct wr_opt_access *a, void *value, size_t room);
int wr_opt_set_fastopen_key(const struct wr_opt_access *a, const void *value, size_t len);
void wr_opt_get_info(const struct wr_opt_access *a, struct weir_tcp_info *info);

#endif
