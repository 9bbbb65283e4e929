/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pipe2 */
#include "cli/nettee.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

static void tee_ready(void *arg, int fd, uint32_t events)
{
    struct net_tee *tee = arg;
    char buf[65536];
    (void)events;
    ssize_t n = read(fd, buf, sizeof buf);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        weir_loop_watch(tee->loop, fd, 0, NULL, NULL);
        close(fd);
        tee->from = -1;
        return;
    }
    for (int i = 0; i < 2; i++) {
        int to = i ? tee->log : tee->to;
        for (ssize_t done = 0, m; done < n; done += m)
            if ((m = write(to, buf + done, (size_t)(n - done))) <= 0)
                break;
    }
}

int wr_nettee_open(struct net_tee *tee, struct weir_loop *loop, int to, int log)
{
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return -1;
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    *tee = (struct net_tee){.loop = loop, .from = pipes[0], .to = to, .log = log};
    if (weir_loop_watch(loop, pipes[0], EPOLLIN, tee_ready, tee) < 0) {
        close(pipes[0]);
        close(pipes[1]);
        tee->from = -1;
        return -1;
    }
    return pipes[1];
}

void wr_nettee_close(struct net_tee *tee)
{
    while (tee->from >= 0) {
        int from = tee->from;
        struct pollfd p = {from, POLLIN, 0};
        if (poll(&p, 1, 0) <= 0) {
            weir_loop_watch(tee->loop, from, 0, NULL, NULL);
            close(from);
            return;
        }
        tee_ready(tee, from, 0);
    }
}
