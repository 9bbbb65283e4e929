/* SPDX-License-Identifier: MIT */
/* Control messages of recvmsg() as scripts write them, compared with those that came. */
#include <netinet/in.h>

#include <linux/errqueue.h>
#include <stdlib.h>
#include <string.h>

#include "drill/dr_call.h"
#include "drill/dr_control.h"

int wr_dr_control_get(struct dr_call *call, const struct dr_fd *fd, bool error_queue,
                      struct dr_received *received)
{
    struct dr_world *world = &call->run->world;
    struct msghdr *msg = &received->msg;
    memset(received, 0, sizeof *received);
    msg->msg_control = received->control;
    msg->msg_controllen = sizeof received->control;
    if (error_queue)
        return wr_dr_control_error(msg, &world->table, fd, -world->start);
    wr_dr_control_data(msg, &world->table, fd, world->now);
    return 0;
}

/* One field of a structure. False: ended. */
static bool check_field(struct dr_call *call, const struct dr_expr *data, const char *name,
                        uint32_t got)
{
    int64_t want;
    const struct dr_expr *field = wr_dr_expr_field(data, name);
    if (!field || field->kind == DR_EXPR_ELLIPSIS)
        return true;
    if (!wr_dr_call_num(call, field, &want))
        return false;
    if ((uint32_t)want == got)
        return true;
    return !wr_dr_call_wrong(call, "%s is %u, expected %lld", name, got, (long long)want);
}

/* {ee_errno=, ee_origin=, ee_type=, ee_code=, ee_info=, ee_data=} */
static bool check_error(struct dr_call *call, const struct dr_expr *data, const void *from)
{
    struct sock_extended_err err;
    memcpy(&err, from, sizeof err);
    return check_field(call, data, "ee_errno", err.ee_errno) &&
           check_field(call, data, "ee_origin", err.ee_origin) &&
           check_field(call, data, "ee_type", err.ee_type) &&
           check_field(call, data, "ee_code", err.ee_code) &&
           check_field(call, data, "ee_info", err.ee_info) &&
           check_field(call, data, "ee_data", err.ee_data);
}

/* {scm_sec=, scm_nsec=}: a time of the script, give or take the tolerance. */
static bool check_stamp(struct dr_call *call, const struct dr_expr *data, const void *from)
{
    int64_t sec, nsec;
    struct timespec stamp;
    const struct dr_expr *s = wr_dr_expr_field(data, "scm_sec"),
                         *ns = wr_dr_expr_field(data, "scm_nsec");
    if (!s || !ns)
        return !wr_dr_call_wrong(call, "expected {scm_sec=, scm_nsec=}");
    if (!wr_dr_call_num(call, s, &sec) || !wr_dr_call_num(call, ns, &nsec))
        return false;
    memcpy(&stamp, from, sizeof stamp);
    weir_time want = sec * WEIR_SEC + nsec, got = stamp.tv_sec * WEIR_SEC + stamp.tv_nsec;
    if (llabs(got - want) <= call->run->script->options.tolerance_ns)
        return true;
    return !wr_dr_call_wrong(call, "the timestamp is %.6f, expected %.6f", (double)got / 1e9,
                             (double)want / 1e9);
}

static bool check_number(struct dr_call *call, const struct dr_expr *data, const void *from)
{
    int64_t want;
    int got;
    memcpy(&got, from, sizeof got);
    if (!wr_dr_call_num(call, data, &want))
        return false;
    return got == want || !wr_dr_call_wrong(call, "the control message says %d, expected %lld", got,
                                            (long long)want);
}

static bool check_one(struct dr_call *call, const struct dr_expr *item, struct cmsghdr *cmsg)
{
    int64_t level, type;
    const struct dr_expr *l = wr_dr_expr_field(item, "cmsg_level"),
                         *t = wr_dr_expr_field(item, "cmsg_type"),
                         *data = wr_dr_expr_field(item, "cmsg_data");
    if (item->kind != DR_EXPR_STRUCT || !l || !t || !data)
        return !wr_dr_call_wrong(call, "expected {cmsg_level=, cmsg_type=, cmsg_data=}");
    if (!wr_dr_call_num(call, l, &level) || !wr_dr_call_num(call, t, &type))
        return false;
    /* A script that names IPv4's means those of the socket's family. */
    bool error = cmsg->cmsg_level == SOL_IPV6 && cmsg->cmsg_type == IPV6_RECVERR;
    bool same = error && level == SOL_IP && type == IP_RECVERR;
    if (!same && (cmsg->cmsg_level != level || cmsg->cmsg_type != type))
        return !wr_dr_call_wrong(
            call, "a control message of level %d, type %d, expected %lld, %lld", cmsg->cmsg_level,
            cmsg->cmsg_type, (long long)level, (long long)type);
    if (level == SOL_SOCKET)
        return check_stamp(call, data, CMSG_DATA(cmsg));
    if (level == SOL_IP || level == SOL_IPV6)
        return check_error(call, data, CMSG_DATA(cmsg));
    return check_number(call, data, CMSG_DATA(cmsg));
}

bool wr_dr_control_check(struct dr_call *call, const struct dr_received *received,
                         const struct dr_expr *want)
{
    struct msghdr msg = received->msg;
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    if (want->kind == DR_EXPR_ELLIPSIS)
        return true;
    if (want->kind != DR_EXPR_LIST)
        return !wr_dr_call_wrong(call, "expected a list of control messages");
    for (size_t i = 0; i < want->n_items; i++) {
        if (!cmsg)
            return !wr_dr_call_wrong(call, "%zu control messages came, expected %zu", i,
                                     want->n_items);
        if (!check_one(call, want->items[i], cmsg))
            return false;
        cmsg = CMSG_NXTHDR(&msg, cmsg);
    }
    return !cmsg || !wr_dr_call_wrong(call, "more than %zu control messages came", want->n_items);
}
