/* SPDX-License-Identifier: MIT */
/*
 * The joiner: a process beside the program, as the host's own is beside its own. It starts the program,
 * passes signals on, and ends as the program does; the calls of the program are served by the host's process
 * (run_join.c).
 *
 * Who finds no host makes one. So that two who start at once do not both find none, looking and making
 * are one step under the lock of the control sockets' folder; and a host that ends does so under
 * that lock, when nobody is between looking and joining.
 */
#include "cli/cli_join.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <weir/control.h>

#include "cli/cli.h"
#include "cli/cli_ask.h"
#include "run/run.h"

/* ---- the host ---------------------------------------------------------------------------------- */

/* The host says either '{', the beginning of a refusal, or the first word of run_join.c. */
static int hear_answer(struct cli_ask *ask, const char *name)
{
    const struct timeval patience = {.tv_sec = 10};
    char first;
    setsockopt(ask->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ssize_t n = recv(ask->fd, &first, 1, MSG_PEEK);
    if (n == 1 && first != '{')
        return 0;
    if (n == 0)
        return WEIR_ENOENT; /* it ended meanwhile */
    json_t *answer = n == 1 ? wr_cli_ask_next(ask) : NULL;
    const char *text = json_string_value(json_object_get(answer, "text"));
    wr_cli_error("the host %s lets no program in: %s", name, text ? text : "it does not answer");
    json_decref(answer);
    return WEIR_ENOTSUP;
}

int wr_cli_join_ask(const char *name)
{
    struct cli_ask ask = {.passed = -1};
    char error[1024];
    ask.fd = weir_control_connect(name, error, sizeof error);
    if (ask.fd == WEIR_ENOENT)
        return ask.fd;
    if (ask.fd < 0) {
        wr_cli_error("%s", error);
        return ask.fd;
    }
    int err = wr_cli_ask_send(&ask, json_pack("{s:s}", "op", "join")) ? hear_answer(&ask, name)
                                                                      : WEIR_ENOENT;
    int stream = ask.fd;
    if (!err)
        ask.fd = -1;
    wr_cli_ask_close(&ask);
    return err ? err : stream;
}

/* ---- the program ------------------------------------------------------------------------------ */

struct join_session {
    struct weir_loop *loop;
    struct weir_run *run;
    struct weir_program *program;
    struct cli_signals signals;
    bool ended;
    int wait_status;
};

static void on_exit_of(void *arg, struct weir_program *program, int wait_status)
{
    struct join_session *session = arg;
    (void)program;
    session->ended = true;
    session->wait_status = wait_status;
}

static void on_report(void *arg, struct weir_program *program, const char *line)
{
    (void)arg;
    (void)program;
    wr_cli_error("%s", line);
}

static void on_signal(void *arg, int sig, int from)
{
    struct join_session *session = arg;
    if (from == 0 || weir_program_has(session->program, from))
        return;
    if (weir_program_signal(session->program, sig) == WEIR_ENOENT)
        weir_program_signal_all(session->program, sig);
}

static int start(struct join_session *session, int stream, char **argv)
{
    struct weir_run_options options;
    char error[256];
    weir_run_options_default(&options);
    options.join = stream;
    options.events =
        (struct weir_run_events){.on_exit = on_exit_of, .on_report = on_report, .arg = session};
    int err =
        weir_run_spawn(session->run, NULL, &options, argv, &session->program, error, sizeof error);
    if (err)
        wr_cli_error("%s", error);
    return err;
}

static int open_session(struct join_session *session)
{
    int err = weir_loop_new(&session->loop);
    if (!err)
        err = wr_cli_supervisor(session->loop, &session->run);
    if (err)
        return err;
    session->signals.on_signal = on_signal;
    session->signals.arg = session;
    return wr_cli_signals_open(&session->signals, session->loop);
}

int wr_cli_join(int stream, char **argv)
{
    struct join_session session = {0};
    int status = CLI_FAILED;
    int err = open_session(&session);
    if (err) {
        close(stream);
    } else {
        err = start(&session, stream, argv);
        if (err)
            status = wr_cli_start_status(err);
        while (!err && !session.ended)
            if (weir_loop_step(session.loop, -1) < 0)
                break;
    }
    if (session.signals.loop)
        wr_cli_signals_close(&session.signals);
    if (session.run)
        weir_run_free(session.run);
    if (session.loop)
        weir_loop_free(session.loop);
    return session.ended ? wr_cli_pass_status(session.wait_status) : status;
}
