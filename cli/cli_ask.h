/* SPDX-License-Identifier: MIT */
/* The client's side of the control socket of a running host (weir/control.h). */
#ifndef WEIR_CLI_ASK_H
#define WEIR_CLI_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct cli_ask {
    int fd;
    char *buf; /* what came: off to len is not read yet */
    size_t off, len, cap;
    int passed;  /* the descriptor that came last and was not taken (set it to -1); -1: none */
    bool failed; /* the conversation broke, which was told */
};

/* Connects to the host that `which` names (NULL: the only one). False after telling why not. */
bool wr_cli_ask_open(struct cli_ask *ask, const char *which);
void wr_cli_ask_close(struct cli_ask *ask);
/* Sends a request, and lets go of it. False after telling. */
bool wr_cli_ask_send(struct cli_ask *ask, json_t *request);
/* The next line of the answer, which the caller lets go of; NULL after telling, or when the answer is
 * {"done":true}. */
json_t *wr_cli_ask_next(struct cli_ask *ask);
/* Sends a request and returns the one line that answers it; NULL after telling what went wrong, which
 * also is an answer that says so: "what: text". */
json_t *wr_cli_ask(struct cli_ask *ask, json_t *request, const char *what);
/* True when there is a whole line to be read without waiting. */
bool wr_cli_ask_pending(const struct cli_ask *ask);
/* The text of an answer that says what went wrong, NULL for any other. */
const char *wr_cli_ask_error(const json_t *answer);

#endif
