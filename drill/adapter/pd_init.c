/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "drill/adapter/pd.h"

struct pd *wr_pd;

static void die(const char *what)
{
    fprintf(stderr, "weir-packetdrill: %s\n", what);
    exit(EXIT_FAILURE);
}

/* Frees the adapter. Descriptors that are left are closed with the stack; their eventfds stay, for
 * packetdrill closes those itself. */
static void free_adapter(void *userdata)
{
    struct pd *pd = userdata;
    wr_pd_control_end(pd);
    wr_pd = NULL;
    wr_dr_world_fini(&pd->world);
    pthread_cond_destroy(&pd->changed);
    pthread_mutex_destroy(&pd->lock);
    free(pd);
}

static void set_up(struct pd *pd, const struct pd_flags *flags)
{
    char error[256];
    if (!wr_dr_world_init(&pd->world, &flags->scene))
        die(pd->world.broken);
    for (unsigned i = 0; i < flags->n_more; i++)
        if (weir_addr_add(pd->world.stack, pd->world.ifindex, &flags->more[i], flags->more_len[i],
                          pd->world.now) != 0)
            die("--so_flags: a local address cannot be added");
    if (!wr_dr_command_run(&pd->world, flags->commands, error, sizeof error))
        die(error);
}

static struct pd *new_adapter(const struct pd_flags *flags)
{
    struct pd *pd = calloc(1, sizeof *pd);
    pthread_condattr_t attr;
    if (!pd)
        die("out of memory");
    pthread_mutex_init(&pd->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&pd->changed, &attr);
    pthread_condattr_destroy(&attr);
    pd->first_thread = pthread_self();
    pd->first_tid = gettid();
    set_up(pd, flags);
    if (!wr_pd_control_begin(pd))
        die("the socket for the script's commands cannot be made");
    return pd;
}

static const struct pd_interface calls = {
    .free = free_adapter,
    .socket = wr_pd_socket,
    .bind = wr_pd_bind,
    .listen = wr_pd_listen,
    .accept = wr_pd_accept,
    .connect = wr_pd_connect,
    .read = wr_pd_read,
    .readv = wr_pd_readv,
    .recv = wr_pd_recv,
    .recvfrom = wr_pd_recvfrom,
    .recvmsg = wr_pd_recvmsg,
    .write = wr_pd_write,
    .writev = wr_pd_writev,
    .send = wr_pd_send,
    .sendto = wr_pd_sendto,
    .sendmsg = wr_pd_sendmsg,
    .fcntl = wr_pd_fcntl,
    .ioctl = wr_pd_ioctl,
    .close = wr_pd_close,
    .shutdown = wr_pd_shutdown,
    .getsockopt = wr_pd_getsockopt,
    .setsockopt = wr_pd_setsockopt,
    .poll = wr_pd_poll,
    .netdev_send = wr_pd_netdev_send,
    .netdev_receive = wr_pd_netdev_receive,
    .usleep = wr_pd_usleep,
    .gettimeofday = wr_pd_gettimeofday,
    .epoll_create = wr_pd_epoll_create,
    .epoll_ctl = wr_pd_epoll_ctl,
    .epoll_wait = wr_pd_epoll_wait,
    .pipe = wr_pd_pipe,
    .splice = wr_pd_splice,
};

__attribute__((visibility("default"))) void packetdrill_interface_init(const char *text,
                                                                       struct pd_interface *ifc)
{
    struct pd_flags flags;
    const char *error;
    if (wr_pd)
        die("packetdrill_interface_init() was called twice");
    if (!wr_pd_flags_parse(&flags, text, &error))
        die(error);
    *ifc = calls;
    ifc->userdata = wr_pd = new_adapter(&flags);
}
