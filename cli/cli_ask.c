/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* getline */
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
    ask->fd = weir_control_connect(which, error, sizeof error);
    if (ask->fd < 0) {
        wr_cli_error("%s", error);
        return false;
    }
    ask->in = fdopen(ask->fd, "r");
    if (ask->in)
        return true;
    close(ask->fd);
    wr_cli_error("out of memory");
    return false;
}

void wr_cli_ask_close(struct cli_ask *ask)
{
    if (ask->in)
        fclose(ask->in);
    free(ask->line);
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

json_t *wr_cli_ask_next(struct cli_ask *ask)
{
    ssize_t len = getline(&ask->line, &ask->cap, ask->in);
    json_t *answer = len > 0 ? json_loadb(ask->line, (size_t)len, 0, NULL) : NULL;
    if (!answer) {
        wr_cli_error(len > 0 ? "the host's answer cannot be read" : "the host has ended");
        ask->failed = true;
    } else if (json_is_true(json_object_get(answer, "done"))) {
        json_decref(answer);
        return NULL;
    }
    return answer;
}

const char *wr_cli_ask_error(const json_t *answer)
{
    if (!json_object_get(answer, "error"))
        return NULL;
    const char *text = json_string_value(json_object_get(answer, "text"));
    return text ? text : "it went wrong";
}
