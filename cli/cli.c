/* SPDX-License-Identifier: MIT */
/* The command `weir`: its subcommands, and what they have in common. */
#include "cli/cli.h"

#include <weir/control.h>
#include <weir/info.h>

#include "run/run.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef WEIR_VERSION
#    define WEIR_VERSION "0.1.0"
#endif

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what;
};

static const struct command commands[] = {
    {"run", wr_cli_run, "run a program with its TCP sockets on Weir"},
    {"net", wr_cli_net, "run several hosts with their programs on a virtual network"},
    {"ss", wr_cli_ss, "show the sockets of a running host"},
    {"sysctl", wr_cli_sysctl, "show and set the tunables of a running host"},
    {"ping", wr_cli_ping, "send echo requests from a running host, or from one of its own"},
    {"nc", wr_cli_nc, "connect or listen on a running host, or on one of its own"},
    {"capture", wr_cli_capture, "show the packets of a running host, and why each was sent"},
    {"trace", wr_cli_trace, "follow what the TCP of a running host decides, and why"},
    {"explain", wr_cli_explain, "say why connections are slow or broken, from their packets"},
    {"drill", wr_cli_drill, "run packetdrill scripts against the stack in virtual time"},
    {"lab", wr_cli_lab, "run TCP flows over a network in virtual time"},
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

void wr_cli_error(const char *format, ...)
{
    va_list args;
    fputs("weir: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

int wr_cli_options(const struct cli_options *options, int argc, char **argv, void *arg)
{
    for (int option;
         (option = getopt_long(argc, argv, options->letters, options->words, NULL)) != -1;) {
        if (option == 'h') {
            fputs(options->help, stdout);
            return 1;
        }
        if (option == '?')
            fprintf(stderr, "weir: `weir %s --help` lists the options\n", options->command);
        if (option == '?' || !options->take(arg, option))
            return CLI_USAGE + 1;
    }
    return 0;
}

bool wr_cli_count(const char *text, long *value)
{
    char *end;
    errno = 0;
    *value = strtol(text, &end, 10);
    if (!errno && end != text && !*end && *value > 0 && *value <= INT32_MAX)
        return true;
    wr_cli_error("\"%s\" is no number that would do", text);
    return false;
}

bool wr_cli_seed(const char *text, uint64_t *seed)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    if (errno || end == text || *end || text[0] == '-')
        return false;
    *seed = value;
    return true;
}

int wr_cli_config(struct weir_config *config, uint64_t seed, unsigned n)
{
    weir_config_default(config);
    if (seed == 0)
        return getrandom(config->seed, sizeof config->seed, 0) == sizeof config->seed ? 0
                                                                                      : WEIR_EIO;
    memcpy(config->seed, &seed, sizeof seed);
    memcpy(config->seed + sizeof seed, &n, sizeof n);
    return 0;
}

/* FIN-WAIT-1, CLOSING and LAST-ACK wait for the ACK of a FIN; elsewhere data may wait. */
static bool is_busy(const struct weir_sock_row *row)
{
    switch (row->state) {
    case WEIR_TCP_FIN_WAIT1:
    case WEIR_TCP_CLOSING:
    case WEIR_TCP_LAST_ACK:
        return true;
    case WEIR_TCP_ESTABLISHED:
    case WEIR_TCP_CLOSE_WAIT:
        return row->send_q > 0;
    default:
        return false;
    }
}

static bool host_busy(struct weir_host *host)
{
    struct weir_stack *stack = weir_host_lock(host);
    struct weir_sock_row row;
    uint64_t cursor = 0;
    bool busy = false;
    while (!busy && weir_sock_next_row(stack, &cursor, &row))
        busy = row.type == WEIR_SOCK_STREAM && is_busy(&row);
    weir_host_unlock(host);
    return busy;
}

void wr_cli_let_out(struct weir_loop *loop, const struct weir_run *run, struct weir_host **hosts,
                    size_t n_hosts, weir_time longest, const bool *hurry)
{
    weir_time until = weir_now() + longest;
    while (!*hurry && weir_now() < until) {
        bool busy = run && !weir_run_idle(run);
        for (size_t i = 0; i < n_hosts && !busy; i++)
            busy = host_busy(hosts[i]);
        if (!busy || weir_loop_step(loop, 10 * WEIR_MS) < 0)
            return;
    }
}

int wr_cli_supervisor(struct weir_loop *loop, struct weir_run **run)
{
    int err = weir_run_new(loop, run);
    if (err == WEIR_ENOTSUP)
        wr_cli_error("this kernel has no seccomp notification: Linux 5.19 or later is needed");
    else if (err == WEIR_EPERM)
        wr_cli_error("pidfd_getfd and process_vm_readv are not permitted here, by a container's "
                     "seccomp profile perhaps: without them a program's sockets cannot be served");
    else if (err)
        wr_cli_error("cannot start the supervisor: %s", weir_error_text(err));
    return err;
}

void wr_cli_tell_reach(const struct weir_program *program, const char *name)
{
    const char *what = weir_program_isolated(program)
                           ? "no TUN device can be had here: UDP reaches the program's own host"
                           : "no network namespace can be had here: UDP sockets are refused";
    if (!weir_program_reaches(program))
        wr_cli_error("%s%s%s", name ? name : "", name ? ": " : "", what);
}

static bool user_of(void *arg, const struct weir_sock_row *row, struct weir_control_user *user)
{
    return weir_run_user(arg, row, user);
}

struct weir_control *wr_cli_control(struct weir_host *host, const char *name, struct weir_run *run,
                                    int (*join)(void *arg, int fd), void *join_arg, int *error)
{
    char good[WEIR_CONTROL_NAME_MAX + 1];
    struct weir_control_config config = {
        .name = good, .user_of = user_of, .arg = run, .join = join, .join_arg = join_arg};
    struct weir_control *control = NULL;
    const char *slash = strrchr(name, '/');
    snprintf(good, sizeof good, "%s", slash && slash[1] ? slash + 1 : name);
    for (char *c = good; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && (*c != '.' || c == good))
            *c = '_';
    *error = weir_control_open(host, &config, &control);
    if (control && run)
        weir_run_remove_if_killed(run, weir_control_path(control));
    return control;
}

int wr_cli_start_status(int error)
{
    if (error == WEIR_ENOENT)
        return CLI_NOT_FOUND;
    return error == WEIR_EACCES || error == -ENOEXEC || error == -EISDIR ? CLI_CANNOT_RUN
                                                                         : CLI_FAILED;
}

int wr_cli_pass_status(int wait_status)
{
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -WTERMSIG(wait_status);
}

/* Ends this process as a signal ended a program. */
static int die_by(int sig)
{
    struct rlimit none = {0, 0}; /* the program's core is the one of interest */
    sigset_t set;
    fflush(NULL);
    setrlimit(RLIMIT_CORE, &none);
    signal(sig, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    kill(getpid(), sig);
    return 128 + sig;
}

static void usage(FILE *out)
{
    fputs("usage: weir COMMAND [OPTIONS] ...\n\n", out);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].what);
    fputs("\n`weir COMMAND --help` says more about each. `weir --version` tells the version.\n",
          out);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("weir " WEIR_VERSION);
        return 0;
    }
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0) {
            int status = commands[i].run(argc - 1, argv + 1);
            return status < 0 ? die_by(-status) : status;
        }
    wr_cli_error("there is no command \"%s\"; `weir --help` lists them", argv[1]);
    return CLI_USAGE;
}
