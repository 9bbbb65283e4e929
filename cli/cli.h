/* SPDX-License-Identifier: MIT */
/* What the files of cli/ share: one file a subcommand, each with one function of the table in cli.c. */
#ifndef WEIR_CLI_H
#define WEIR_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/host.h>

struct weir_program;
struct weir_run;

/* Exit statuses of the command itself, as env(1) and timeout(1) have them. */
enum {
    CLI_USAGE = 2,        /* wrong words */
    CLI_FAILED = 125,     /* weir itself could not do it */
    CLI_CANNOT_RUN = 126, /* the program is there but cannot be run */
    CLI_NOT_FOUND = 127   /* there is no such program */
};

/* The subcommands. argv[0] is the subcommand's name. Each returns the exit status, or minus the number of
 * a signal: the command is to end by it, as a program of it did. */
int wr_cli_run(int argc, char **argv);
int wr_cli_net(int argc, char **argv);
/* The same for one program of the command line, on the host `host` of the file at `path` (NULL: the only one
 * without a program), among the programs of the file: `weir run --net`. */
struct cli_net_front {
    const char *path, *host, *name; /* name: for the control socket; NULL: the host's */
    const char *pcap, *impair;      /* impair: every link of the program's host, NULL: none */
    const char *capture;            /* of the program's host, with comments; NULL: none */
    uint64_t seed;
    bool verbose;
    char **argv;
};
int wr_cli_net_front(const struct cli_net_front *front);
int wr_cli_ping(int argc, char **argv);
int wr_cli_nc(int argc, char **argv);
int wr_cli_ss(int argc, char **argv);
int wr_cli_sysctl(int argc, char **argv);
int wr_cli_capture(int argc, char **argv);
int wr_cli_trace(int argc, char **argv);
int wr_cli_explain(int argc, char **argv);
int wr_cli_drill(int argc, char **argv);
int wr_cli_lab(int argc, char **argv);

/* "weir: " and a formatted line on standard error. */
__attribute__((format(printf, 1, 2))) void wr_cli_error(const char *format, ...);

struct option;
/* What a command takes before its other words. -h and --help (whose value is 'h') are not told to `take`. */
struct cli_options {
    const char *command; /* of weir: "run" */
    const char *help;    /* what --help prints */
    const char *letters; /* as getopt_long(3) has them */
    const struct option *words;
    bool (*take)(void *arg,
                 int option); /* one of them, with optarg; false: it is wrong, and that is told */
};
/* Reads the options, up to argv[optind]. 0: go on; else the exit status plus one. */
int wr_cli_options(const struct cli_options *options, int argc, char **argv, void *arg);

/* A number of at least 1, for an option; false after telling that it is none. */
bool wr_cli_count(const char *text, long *value);
/* A seed given as a number; false if it is none. */
bool wr_cli_seed(const char *text, uint64_t *seed);
/* The stack's configuration with a seed of its own for host number `n`; seed 0: a random one. */
int wr_cli_config(struct weir_config *config, uint64_t seed, unsigned n);

/* Programs have ended, but what they wrote last may still be on its way: goes on until every peer has
 * acknowledged all of it and the FIN, at most `longest`, or *hurry is set. run NULL: without programs. */
void wr_cli_let_out(struct weir_loop *loop, const struct weir_run *run, struct weir_host **hosts,
                    size_t n_hosts, weir_time longest, const bool *hurry);

/* weir_run_new(), and a sentence on standard error if it fails. */
int wr_cli_supervisor(struct weir_loop *loop, struct weir_run **run);

/* Says on standard error when the program's sockets other than TCP do not reach what the host reaches.
 * name: of its host; NULL: there is one host. */
void wr_cli_tell_reach(const struct weir_program *program, const char *name);

/* Writes what the host's links carry to a file of pcapng with comments, as long as it lives. 0, or a negative error
 * after telling. */
int wr_cli_capture_host(struct weir_host *host, const char *path);

struct weir_control;
/* Opens the host's control socket under a name made of `name` (a path's last part). Sockets are shown as
 * those of the programs of `run`; `join` (NULL: none) takes programs of others in. NULL if it cannot be
 * had, with *error. */
struct weir_control *wr_cli_control(struct weir_host *host, const char *name, struct weir_run *run,
                                    int (*join)(void *arg, int fd), void *join_arg, int *error);

/* The exit status for a program that could not be started. */
int wr_cli_start_status(int error);
/* What a subcommand returns to end as the program ended: with its exit status, or killed by the same signal. */
int wr_cli_pass_status(int wait_status);

/* ---- cli_signal.c ----------------------------------------------------------------------------- */

/* Signals sent to the command: HUP, INT, QUIT, TERM, USR1, USR2, blocked and read in the loop. */
struct cli_signals {
    struct weir_loop *loop;
    int fd;
    /* from: the sender's process id; 0 if it was the terminal, which told the programs as well. */
    void (*on_signal)(void *arg, int sig, int from);
    void *arg;
};
/* After weir_run_new(), so that programs start with the mask that was before. 0 or a negative error. */
int wr_cli_signals_open(struct cli_signals *signals, struct weir_loop *loop);
void wr_cli_signals_close(struct cli_signals *signals);

#endif
