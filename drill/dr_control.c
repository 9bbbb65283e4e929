/* SPDX-License-Identifier: MIT */
#include "drill/dr_control.h"

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

/* A control buffer as given, filled step by step; MSG_CTRUNC tells when it is too small. */
struct dr_control {
    struct msghdr *msg;
    size_t room; /* msg_controllen as it was */
};

static void begin(struct dr_control *control, struct msghdr *msg)
{
    control->msg = msg;
    control->room = msg->msg_control ? msg->msg_controllen : 0;
    msg->msg_controllen = 0;
    msg->msg_flags = 0;
}

static void add(struct dr_control *control, int level, int type, const void *data, size_t len)
{
    struct msghdr *msg = control->msg;
    size_t at = msg->msg_controllen;
    if (at + CMSG_SPACE(len) > control->room) {
        msg->msg_flags |= MSG_CTRUNC;
        return;
    }
    struct cmsghdr head = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
    unsigned char *to = (unsigned char *)msg->msg_control + at;
    memset(to, 0, CMSG_SPACE(len));
    memcpy(to, &head, sizeof head);
    memcpy(to + CMSG_LEN(0), data, len);
    msg->msg_controllen = at + CMSG_SPACE(len);
}

static void add_stamp(struct dr_control *control, weir_time at)
{
    struct timespec stamps[3] = {{.tv_sec = (time_t)(at / WEIR_SEC), .tv_nsec = at % WEIR_SEC}};
    add(control, SOL_SOCKET, SO_TIMESTAMPING, stamps, sizeof stamps);
}

/* The error, and the address of who told of it: nobody, for it was this host. */
static void add_error(struct dr_control *control, const struct weir_note *note, bool v6)
{
    struct {
        struct sock_extended_err error;
        struct sockaddr_in6 offender;
    } whole;
    memset(&whole, 0, sizeof whole);
    whole.error.ee_errno = (uint32_t)note->error;
    whole.error.ee_origin = note->origin;
    whole.error.ee_type = note->type;
    whole.error.ee_code = note->code;
    whole.error.ee_info = note->info;
    whole.error.ee_data = note->data;
    if (v6)
        add(control, SOL_IPV6, IPV6_RECVERR, &whole, sizeof whole);
    else
        add(control, SOL_IP, IP_RECVERR, &whole, sizeof whole.error + sizeof(struct sockaddr_in));
}

int wr_dr_control_error(struct msghdr *msg, struct dr_table *table, const struct dr_fd *fd,
                        weir_time shift)
{
    struct dr_control control;
    struct weir_note note;
    int rc = weir_sock_next_note(table->stack, fd->sock, &note);
    if (rc != 0)
        return rc;
    begin(&control, msg);
    if (note.stamped)
        add_stamp(&control, note.at + shift);
    add_error(&control, &note, fd->domain == AF_INET6);
    msg->msg_flags |= MSG_ERRQUEUE | (note.cut ? MSG_TRUNC : 0);
    return 0;
}

void wr_dr_control_data(struct msghdr *msg, struct dr_table *table, const struct dr_fd *fd,
                        weir_time now)
{
    struct dr_control control;
    begin(&control, msg);
    int on = 0, left;
    size_t len = sizeof on;
    if (fd->type != SOCK_STREAM || weir_sock_getsockopt(table->stack, fd->sock, WEIR_SOL_TCP,
                                                        WEIR_TCP_INQ, &on, &len, now) != 0)
        return;
    ptrdiff_t queued = weir_sock_inq(table->stack, fd->sock);
    if (!on || queued < 0)
        return;
    left = (int)queued;
    /* Linux counts the end of the stream as a byte, lest nobody reads it. */
    if (weir_sock_ready(table->stack, fd->sock) & WEIR_POLLRDHUP)
        left++;
    add(&control, SOL_TCP, WEIR_TCP_INQ, &left, sizeof left);
}
