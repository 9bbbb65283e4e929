/* SPDX-License-Identifier: MIT */
#include "cli/cli_ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/control.h>

#include "cli/cli.h"

bool wr_cli_ask_open(struct cli_ask *ask, const char *which)
{
    char error[1024];
    memset(ask, 0, sizeof *ask);
    ask->passed = -1;
    ask->fd = weir_control_connect(which, error, sizeof error);
    if (ask->fd < 0) {
        wr_cli_error("%s", error);
        return false;
    }
    return true;
}

void wr_cli_ask_close(struct cli_ask *ask)
{
    close(ask->fd);
    if (ask->passed >= 0)
        close(ask->passed);
    free(ask->buf);
    memset(ask, 0, sizeof *ask);
}

bool wr_cli_ask_send(struct cli_ask *ask, json_t *request)
{
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    size_t len = text ? strlen(text) : 0, done = 0;
    json_decref(request);
    if (text)
        text[len++] = '\n'; /* where its NUL was */
    while (done < len) {
        ssize_t n = send(ask->fd, text + done, len - done, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        done += (size_t)n;
    }
    free(text);
    if (len == 0 || done < len) {
        wr_cli_error("cannot ask the host: %s", len ? strerror(errno) : "out of memory");
        ask->failed = true;
    }
    return !ask->failed;
}

/* Keeps a descriptor that came with the bytes. */
static void take_passed(struct cli_ask *ask, struct msghdr *message)
{
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        if (ask->passed >= 0)
            close(ask->passed);
        memcpy(&ask->passed, CMSG_DATA(head), sizeof ask->passed);
    }
}

/* Waits for more bytes. False at the end, or when there is no memory. */
static bool more(struct cli_ask *ask)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    if (ask->off > 0) {
        memmove(ask->buf, ask->buf + ask->off, ask->len - ask->off);
        ask->len -= ask->off;
        ask->off = 0;
    }
    if (ask->cap - ask->len < 4096) {
        size_t cap = (ask->cap + 4096) * 2;
        char *buf = realloc(ask->buf, cap);
        if (!buf)
            return false;
        ask->buf = buf;
        ask->cap = cap;
    }
    struct iovec iov = {ask->buf + ask->len, ask->cap - ask->len};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t n;
    do
        n = recvmsg(ask->fd, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    ask->len += (size_t)n;
    take_passed(ask, &message);
    return true;
}

bool wr_cli_ask_pending(const struct cli_ask *ask)
{
    return ask->len > ask->off && memchr(ask->buf + ask->off, '\n', ask->len - ask->off) != NULL;
}

json_t *wr_cli_ask_next(struct cli_ask *ask)
{
    while (!wr_cli_ask_pending(ask)) {
        if (more(ask))
            continue;
        wr_cli_error("the host has ended");
        ask->failed = true;
        return NULL;
    }
    char *line = ask->buf + ask->off, *end = memchr(line, '\n', ask->len - ask->off);
    json_t *answer = json_loadb(line, (size_t)(end - line), 0, NULL);
    ask->off += (size_t)(end - line) + 1;
    if (!answer) {
        wr_cli_error("the host's answer cannot be read");
        ask->failed = true;
    } else if (json_is_true(json_object_get(answer, "done"))) {
        json_decref(answer);
        return NULL;
    }
    return answer;
}

json_t *wr_cli_ask(struct cli_ask *ask, json_t *request, const char *what)
{
    json_t *answer = wr_cli_ask_send(ask, request) ? wr_cli_ask_next(ask) : NULL;
    const char *error = answer ? wr_cli_ask_error(answer) : NULL;
    if (!error)
        return answer;
    wr_cli_error("%s: %s", what, error);
    json_decref(answer);
    return NULL;
}

const char *wr_cli_ask_error(const json_t *answer)
{
    if (!json_object_get(answer, "error"))
        return NULL;
    const char *text = json_string_value(json_object_get(answer, "text"));
    return text ? text : "it went wrong";
}
