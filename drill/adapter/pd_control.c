/* SPDX-License-Identifier: MIT */
/*
 * The script's shell commands run in processes of their own. Those called sysctl, ip, tc, ethtool and nstat
 * are Weir's (tool/pd_tool.c) when their folder is the first in PATH; they find the adapter by an
 * environment variable that names a socket, write their command line to it and read the answer: "ok"
 * and a text to print, or "no" and what is wrong.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "drill/adapter/pd.h"

enum { LINE_MAX_BYTES = 8192, ANSWER_BYTES = 65536 };

/* ---- nstat ----------------------------------------------------------------------------------- */

/* Counters that are not 0, as nstat prints them. */
static void print_counters(const struct pd *pd, char *text, size_t cap)
{
    size_t at = 0;
    for (unsigned i = 0; i < weir_stat_kinds() && at < cap; i++) {
        uint64_t count = weir_stat_count(pd->world.stack, i);
        if (count > 0)
            at += (size_t)snprintf(text + at, cap - at, "%-32s%-16llu0.0\n", weir_stat_name(i),
                                   (unsigned long long)count);
    }
}

/* ---- one request ----------------------------------------------------------------------------- */

static void carry_out(struct pd *pd, const char *line, char *answer)
{
    static const char ok[] = "ok ", no[] = "no ";
    char *text = answer + sizeof ok - 1;
    size_t cap = ANSWER_BYTES - sizeof ok;
    bool done = true;
    text[0] = '\0';
    wr_pd_lock(pd);
    if (strncmp(line, "nstat", 5) == 0)
        print_counters(pd, text, cap);
    else
        done = wr_dr_command_run(&pd->world, line, text, cap);
    wr_pd_settle(pd);
    wr_pd_unlock(pd);
    memcpy(answer, done ? ok : no, sizeof ok - 1);
}

static void write_all(int fd, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t n = send(fd, text, left, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        text += n;
        left -= (size_t)n;
    }
}

static void serve(struct pd *pd, int fd)
{
    static char answer[ANSWER_BYTES];
    char line[LINE_MAX_BYTES];
    size_t len = 0;
    ssize_t n;
    while (len < sizeof line - 1 && (n = recv(fd, line + len, sizeof line - 1 - len, 0)) > 0)
        len += (size_t)n;
    line[len] = '\0';
    carry_out(pd, line, answer);
    write_all(fd, answer);
}

static void *serve_all(void *arg)
{
    struct pd *pd = arg;
    int fd;
    while ((fd = accept4(pd->control, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        serve(pd, fd);
        syscall(SYS_close, fd);
    }
    return NULL;
}

/* ---- its life -------------------------------------------------------------------------------- */

bool wr_pd_control_begin(struct pd *pd)
{
    /* An abstract name that the kernel chooses: nothing is left behind in the file system. */
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t len = sizeof name;
    char text[sizeof name.sun_path + 1] = "";
    pd->control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (pd->control < 0)
        return false;
    bool ok = bind(pd->control, (struct sockaddr *)&name, sizeof name.sun_family) == 0 &&
              listen(pd->control, 16) == 0 &&
              getsockname(pd->control, (struct sockaddr *)&name, &len) == 0;
    size_t chosen = len > offsetof(struct sockaddr_un, sun_path) + 1
                        ? len - offsetof(struct sockaddr_un, sun_path) - 1
                        : 0;
    memcpy(text, name.sun_path + 1, chosen);
    ok = ok && chosen > 0 && setenv(PD_CONTROL_ENV, text, 1) == 0 &&
         pthread_create(&pd->control_thread, NULL, serve_all, pd) == 0;
    if (!ok) {
        syscall(SYS_close, pd->control);
        pd->control = -1;
    }
    return ok;
}

void wr_pd_control_end(struct pd *pd)
{
    if (pd->control < 0)
        return;
    shutdown(pd->control, SHUT_RDWR); /* accept() returns */
    pthread_join(pd->control_thread, NULL);
    syscall(SYS_close, pd->control);
    unsetenv(PD_CONTROL_ENV);
}
