/* SPDX-License-Identifier: MIT */
#ifndef DRILL_DR_CALL_H
#define DRILL_DR_CALL_H

/* Socket calls: what dr_call.c, dr_call_io.c and dr_call_opt.c share. */

#include <sys/socket.h>

#include "drill/dr_run.h"

struct dr_call {
    struct dr_run *run;
    struct dr_try *try;
    const struct dr_syscall *sc;
};

/*
 * A call's function: true when it has returned (try->value, try->error, or try->wrong), false when
 * it blocks; then it is called again whenever the stack may have changed.
 */
typedef bool dr_call_fn(struct dr_call *call);

/* The tables of dr_call_io.c, dr_call_opt.c and dr_call_file.c; NULL when they do not have the name. */
dr_call_fn *wr_dr_call_io(const char *name);
dr_call_fn *wr_dr_call_opt(const char *name);
dr_call_fn *wr_dr_call_file(const char *name);

/* Ends a call with what the stack answered: a count, or a negative error. Always true. */
bool wr_dr_call_end(struct dr_call *call, int64_t answer);
/* Ends it with a failure of the script. Always true. */
bool wr_dr_call_wrong(struct dr_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The number of arguments must be within [low, high]. False: ended. */
bool wr_dr_call_args(struct dr_call *call, size_t low, size_t high);
/* An expression's number. False: ended. */
bool wr_dr_call_num(struct dr_call *call, const struct dr_expr *expr, int64_t *value);
static inline bool wr_dr_call_arg(struct dr_call *call, size_t i, int64_t *value)
{
    return wr_dr_call_num(call, call->sc->args[i], value);
}
/* The descriptor that argument i names. NULL: ended, with EBADF or wrong. */
struct dr_fd *wr_dr_call_fd(struct dr_call *call, size_t i);
/* The same for a socket; anything else is ENOTSOCK. */
struct dr_fd *wr_dr_call_sock(struct dr_call *call, size_t i);
/* Is `number` free for a new descriptor? False: ended. */
bool wr_dr_call_free_fd(struct dr_call *call, int64_t number);
/* {sa_family = AF_INET, sin_port = htons(80), sin_addr = inet_addr("192.0.2.1")}; `...` leaves
 * *endpoint as it is. *none: family AF_UNSPEC. False: ended. */
bool wr_dr_call_endpoint(struct dr_call *call, const struct dr_expr *expr,
                         struct weir_endpoint *endpoint, bool *none);
/* The number that a new descriptor is to have: the call's expected result. -1: ended. */
int wr_dr_call_new_fd(struct dr_call *call);

/* What recvmsg() told beside the data: dr_call_msg.c. */
struct dr_received {
    struct msghdr msg;
    _Alignas(8) unsigned char control[512];
};
/* Fills it; of the error queue, whose oldest note is taken, or of data that was read. 0 or an error. */
int wr_dr_control_get(struct dr_call *call, const struct dr_fd *fd, bool error_queue,
                      struct dr_received *received);
/* Compares with [{cmsg_level=, cmsg_type=, cmsg_data=}, ...]. False: ended. */
bool wr_dr_control_check(struct dr_call *call, const struct dr_received *received,
                         const struct dr_expr *want);

/* connect() or sendto() chose the packets' connection. */
void wr_dr_call_follow(struct dr_call *call, const struct dr_fd *fd,
                       const struct weir_endpoint *remote);

#endif
