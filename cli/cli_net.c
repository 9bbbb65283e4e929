/* SPDX-License-Identifier: MIT */
/*
 * weir net: the programs of a file, each on a host of a virtual network, in one process.
 *
 * Programs start in the file's order. One that is no daemon waits until every daemon above it listens on
 * some TCP port, or has ended, or LISTEN_WAIT has passed: so that a client does not knock before its
 * server is there. When all programs but daemons have ended, the daemons are sent SIGTERM, and
 * SIGKILL after KILL_WAIT. The exit status is 0 if every program that was not ended so exited with
 * 0, else that of the first in the file that did not.
 *
 * With `weir run --net` one program more is in front: that of the command line, on a host that the file declares.
 * It starts last, when all daemons listen; it alone has standard input; when it ends the others are ended,
 * and its exit status is the command's.
 */
#define _GNU_SOURCE /* asprintf */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/control.h>

#include "cli/cli.h"
#include "cli/cli_report.h"
#include "cli/netbuild.h"
#include "cli/netfile.h"
#include "cli/nettee.h"
#include "run/run.h"

#define LISTEN_WAIT (10 * WEIR_SEC)
#define KILL_WAIT   (3 * WEIR_SEC)

struct net_program {
    struct net_session *session;
    const struct net_host *host;
    struct weir_program *program;
    struct net_tee tee[2];
    weir_time started_at;
    bool started, listens, ended, ended_by_us;
    int status, wait_status;
};

struct net_session {
    struct net_file file;
    struct net_build build;
    struct weir_control **controls; /* as file.hosts; NULL: none */
    struct net_build_options options;
    struct weir_loop *loop;
    struct weir_run *run;
    struct net_program *programs; /* as file.hosts */
    char *names;
    struct cli_signals signals;
    size_t next;        /* how many programs have been started: see nth() */
    size_t front;       /* the host of the command line's program; n_hosts: there is none */
    const char *called; /* its name for others; NULL: the host's */
    const char *report; /* page to be made of the capture; NULL: none */
    bool verbose, check, ending, failed, done, hurry;
    int signal; /* that ended it */
};

static const char help[] =
    "usage: weir net [OPTIONS] FILE\n"
    "\n"
    "Runs the programs of FILE, each on a host of its own, on a virtual network in this process.\n"
    "No privilege and no device is needed. FILE (\"-\": standard input) has a line for each:\n"
    "\n"
    "  host NAME ADDR... [daemon] -- PROGRAM ARGS\n"
    "  link NAME NAME [delay=20ms] [jitter=2ms] [loss=1%] [rate=100mbit] [queue=100] ...\n"
    "  switch NAME           joins what `link HOST NAME` links to it\n"
    "\n"
    "Words are split as by a shell; # begins a comment. Each host's name resolves in every program.\n"
    "Programs start in the file's order; one that is no daemon waits until the daemons above it\n"
    "listen (10 s at most). Daemons get SIGTERM, then SIGKILL, once all others have ended.\n"
    "Exit status: 0 if every program that was not ended so exited with 0.\n"
    "\n"
    "  --pcap FILE   write the packets of all links to FILE (pcapng)\n"
    "  --capture HOST=FILE  write those of one host to FILE, each with a comment that says why it was\n"
    "                sent or what became of it (see `weir capture`)\n"
    "  --report [HOST=]FILE  write a page with charts and sequence diagrams of one host's connections\n"
    "                to FILE: --capture's host, else the first with a program\n"
    "  --keep DIR    keep each program's output and each link's capture in DIR\n"
    "  --seed N      take every random choice, losses too, from N\n"
    "  --check       only read FILE and say what it holds\n"
    "  -v, --verbose say on standard error what each connection did\n";

/* ---- programs --------------------------------------------------------------------------------- */

static int log_open(const struct net_session *session, const struct net_host *host)
{
    char *path;
    if (asprintf(&path, "%s/%s.log", session->options.keep, host->name) < 0)
        return -1;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        wr_cli_error("cannot write %s: %s", path, strerror(errno));
    free(path);
    return fd;
}

static void go_on(struct net_session *session);

static int status_of(int wait_status)
{
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

static void on_exit_of(void *arg, struct weir_program *program, int wait_status)
{
    struct net_program *p = arg;
    (void)program;
    p->ended = true;
    p->status = p->ended_by_us ? 0 : status_of(wait_status);
    p->wait_status = wait_status;
    bool in_front = p == &p->session->programs[p->session->front];
    if (p->status && !p->session->ending && !in_front) {
        if (WIFSIGNALED(wait_status))
            wr_cli_error("%s: %s was killed by signal %d", p->host->name, p->host->argv[0],
                         WTERMSIG(wait_status));
        else
            wr_cli_error("%s: %s exited with %d", p->host->name, p->host->argv[0], p->status);
    }
    go_on(p->session);
}

static void on_listen(void *arg, struct weir_program *program, const struct weir_endpoint *local)
{
    struct net_program *p = arg;
    (void)program;
    (void)local;
    if (p->listens)
        return;
    p->listens = true;
    go_on(p->session);
}

static void on_report(void *arg, struct weir_program *program, const char *line)
{
    struct net_program *p = arg;
    (void)program;
    wr_cli_error("%s: %s", p->host->name, line);
}

/* Standard input goes to at most one program, the first that is no daemon. */
static int stdin_for(const struct net_session *session, size_t n)
{
    if (n == session->front)
        return -1;
    for (size_t i = 0; i < session->file.n_hosts; i++) {
        const struct net_host *host = &session->file.hosts[i];
        if (host->argv && !host->daemon && session->front == session->file.n_hosts)
            return i == n ? -1 : open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int spawn(struct net_session *session, size_t n, struct weir_run_options *options)
{
    struct net_program *p = &session->programs[n];
    const struct net_host *host = &session->file.hosts[n];
    char error[256];
    options->hostname = host->name;
    options->hosts = session->names;
    options->events = (struct weir_run_events){.on_exit = on_exit_of,
                                               .on_listen = on_listen,
                                               .on_report = session->verbose ? on_report : NULL,
                                               .arg = p};
    int err = weir_run_spawn(session->run, session->build.hosts[n], options, host->argv,
                             &p->program, error, sizeof error);
    if (err) {
        wr_cli_error("%s: %s", host->name, error);
        p->ended = true;
        p->status = wr_cli_start_status(err);
    } else if (session->verbose) {
        wr_cli_tell_reach(p->program, host->name);
    }
    return err;
}

static int start(struct net_session *session, size_t n)
{
    struct net_program *p = &session->programs[n];
    struct weir_run_options options;
    int log = -1;
    weir_run_options_default(&options);
    p->started = true;
    p->started_at = weir_now();
    options.stdio[0] = stdin_for(session, n);
    if (session->options.keep) {
        log = log_open(session, &session->file.hosts[n]);
        if (log < 0)
            return WEIR_EIO;
        options.stdio[1] = wr_nettee_open(&p->tee[0], session->loop, STDOUT_FILENO, log);
        options.stdio[2] = wr_nettee_open(&p->tee[1], session->loop, STDERR_FILENO, log);
    }
    int err = spawn(session, n, &options);
    for (int i = 0; i < 3; i++)
        if (options.stdio[i] >= 0)
            close(options.stdio[i]);
    return err;
}

/* ---- the order of things ---------------------------------------------------------------------- */

static void on_time(void *arg, weir_time now)
{
    (void)now;
    go_on(arg);
}

/* The host whose program starts as number i: in the file's order, but for the one in front. */
static size_t nth(const struct net_session *session, size_t i)
{
    if (i < session->front)
        return i;
    return i + 1 < session->file.n_hosts ? i + 1 : session->front;
}

/* When program number n may start; NEVER: when something has happened; 0: now. */
static weir_time start_time(const struct net_session *session, size_t n)
{
    weir_time at = 0;
    if (session->file.hosts[n].daemon)
        return 0;
    for (size_t i = 0; i < (n == session->front ? session->file.n_hosts : n); i++) {
        const struct net_program *p = &session->programs[i];
        if (!p->host->daemon || p->listens || p->ended)
            continue;
        weir_time latest = p->started_at + LISTEN_WAIT;
        if (latest > weir_now() && latest > at)
            at = latest;
    }
    return at;
}

static void start_more(struct net_session *session)
{
    while (session->next < session->file.n_hosts && !session->ending) {
        size_t n = nth(session, session->next);
        struct net_program *p = &session->programs[n];
        if (!session->file.hosts[n].argv) {
            p->started = p->ended = true;
            session->next++;
            continue;
        }
        weir_time at = start_time(session, n);
        if (at > 0) {
            weir_loop_alarm(session->loop, at, on_time, session);
            return;
        }
        session->next++;
        if (start(session, n) != 0) {
            session->failed = true;
            return;
        }
    }
}

static void kill_all(void *arg, weir_time now)
{
    struct net_session *session = arg;
    (void)now;
    for (size_t i = 0; i < session->file.n_hosts; i++)
        if (session->programs[i].program && !session->programs[i].ended)
            weir_program_signal_all(session->programs[i].program, SIGKILL);
}

/* Ends what still runs. */
static void end(struct net_session *session, int sig)
{
    bool first = !session->ending;
    session->ending = true;
    for (size_t i = 0; i < session->file.n_hosts; i++) {
        struct net_program *p = &session->programs[i];
        if (!p->program || p->ended)
            continue;
        p->ended_by_us = true;
        weir_program_signal_all(p->program, sig);
    }
    if (first)
        weir_loop_alarm(session->loop, weir_now() + KILL_WAIT, kill_all, session);
}

static bool all_ended(const struct net_session *session, bool daemons_too)
{
    bool any = false;
    if (!daemons_too && session->front < session->file.n_hosts)
        return session->programs[session->front].ended;
    for (size_t i = 0; i < session->file.n_hosts; i++) {
        const struct net_program *p = &session->programs[i];
        if (!p->host->argv || (p->host->daemon && !daemons_too))
            continue;
        any = true;
        if (!p->ended)
            return false;
    }
    return any;
}

/* Called whenever something has happened. */
static void go_on(struct net_session *session)
{
    start_more(session);
    bool all_started = session->next == session->file.n_hosts;
    if (session->failed || (all_started && all_ended(session, false)))
        if (!session->ending)
            end(session, SIGTERM);
    bool nothing_runs = true;
    for (size_t i = 0; i < session->file.n_hosts; i++)
        nothing_runs &= !session->programs[i].program || session->programs[i].ended;
    if (nothing_runs && (session->ending || (all_started && all_ended(session, true))))
        session->done = true;
}

static void on_signal(void *arg, int sig, int from)
{
    struct net_session *session = arg;
    for (size_t i = 0; i < session->file.n_hosts && from; i++) {
        struct net_program *p = &session->programs[i];
        if (p->program && !p->ended && weir_program_has(p->program, from))
            return; /* a program that signals its whole group means itself */
    }
    session->signal = sig;
    session->hurry = true;
    end(session, sig);
    go_on(session);
}

/* ---- words, begin and end --------------------------------------------------------------------- */

static bool take_option(void *arg, int option)
{
    struct net_session *session = arg;

    switch (option) {
    case 'p':
        session->options.pcap = optarg;
        return true;
    case 'C':
        session->options.capture = optarg;
        return true;
    case 'R':
        session->report = optarg;
        return true;
    case 'k':
        session->options.keep = optarg;
        return true;
    case 'c':
        session->check = true;
        return true;
    case 'v':
        session->verbose = true;
        return true;
    default:
        if (wr_cli_seed(optarg, &session->options.seed))
            return true;
        wr_cli_error("--seed: \"%s\" is no number", optarg);
        return false;
    }
}

/* 0: go on; else the exit status plus one. */
static int read_words(int argc, char **argv, struct net_session *session, const char **path)
{
    static const struct option long_options[] = {
        {"pcap", required_argument, NULL, 'p'},
        {"capture", required_argument, NULL, 'C'},
        {"keep", required_argument, NULL, 'k'},
        {"seed", required_argument, NULL, 's'},
        {"check", no_argument, NULL, 'c'},
        {"verbose", no_argument, NULL, 'v'},
        {"report", required_argument, NULL, 'R'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static const struct cli_options options = {"net", help, "vh", long_options, take_option};
    int status = wr_cli_options(&options, argc, argv, session);

    if (status)
        return status;
    if (optind + 1 != argc) {
        wr_cli_error(optind == argc ? "no file given: weir net [OPTIONS] FILE"
                                    : "one file only: weir net [OPTIONS] FILE");
        return CLI_USAGE + 1;
    }
    *path = argv[optind];
    return 0;
}

static void tell_file(const struct net_file *file)
{
    for (size_t h = 0; h < file->n_hosts; h++) {
        const struct net_host *host = &file->hosts[h];
        printf("host %s", host->name);
        for (size_t i = 0; i < host->n_addrs; i++) {
            char text[WEIR_ADDR_STRLEN];
            weir_addr_format(&host->addrs[i], text, sizeof text);
            printf(" %s", text);
        }
        printf("%s", host->daemon ? " daemon" : "");
        for (char **word = host->argv; word && *word; word++)
            printf("%s [%s]", word == host->argv ? " --" : "", *word);
        putchar('\n');
    }
    for (size_t i = 0; i < file->n_switches; i++)
        printf("switch %s\n", file->switches[i]);
    for (size_t i = 0; i < file->n_links; i++)
        printf("link %s %s %s\n", wr_netfile_name(file, file->links[i].a),
               wr_netfile_name(file, file->links[i].b), file->links[i].spec);
}

/* For `weir ss` and others; a network can do without. */
static void open_controls(struct net_session *session)
{
    for (size_t i = 0; i < session->file.n_hosts; i++) {
        const char *name = session->file.hosts[i].name;
        int err;
        if (i == session->front && session->called)
            name = session->called;
        session->controls[i] =
            wr_cli_control(session->build.hosts[i], name, session->run, NULL, NULL, &err);
        if (err && session->verbose)
            wr_cli_error("%s has no control socket: %s", name, weir_error_text(err));
    }
}

static int set_up(struct net_session *session)
{
    size_t n = session->file.n_hosts;
    session->names = wr_netbuild_names(&session->file);
    session->programs = calloc(n + 1, sizeof *session->programs);
    session->controls = calloc(n, sizeof(struct weir_control *));
    if (!session->names || !session->programs || !session->controls)
        return WEIR_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        session->programs[i].session = session;
        session->programs[i].host = &session->file.hosts[i];
        session->programs[i].tee[0].from = session->programs[i].tee[1].from = -1;
    }
    if (session->options.keep && mkdir(session->options.keep, 0777) < 0 && errno != EEXIST) {
        wr_cli_error("cannot make the folder %s: %s", session->options.keep, strerror(errno));
        return -errno;
    }
    int err = weir_loop_new(&session->loop);
    if (!err)
        err = wr_netbuild(&session->build, &session->file, session->loop, &session->options);
    if (err)
        return err;
    err = wr_cli_supervisor(session->loop, &session->run);
    if (err)
        return err;
    open_controls(session);
    session->signals.on_signal = on_signal;
    session->signals.arg = session;
    return wr_cli_signals_open(&session->signals, session->loop);
}

static void close_tees(struct net_session *session)
{
    for (size_t i = 0; session->programs && i < session->file.n_hosts; i++) {
        struct net_tee *tee = session->programs[i].tee;
        int log = tee[0].log;
        wr_nettee_close(&tee[0]);
        wr_nettee_close(&tee[1]);
        if (log > 0)
            close(log);
    }
}

static int tear_down(struct net_session *session)
{
    int err = 0;
    close_tees(session);
    for (size_t i = 0; session->controls && i < session->file.n_hosts; i++)
        weir_control_close(session->controls[i]);
    free(session->controls);
    if (session->signals.loop)
        wr_cli_signals_close(&session->signals);
    if (session->run)
        weir_run_free(session->run);
    if (session->build.file)
        err = wr_netbuild_free(&session->build, &session->options);
    if (session->loop)
        weir_loop_free(session->loop);
    free(session->programs);
    free(session->names);
    wr_netfile_free(&session->file);
    return err;
}

static int status_of_all(const struct net_session *session)
{
    if (session->signal)
        return 128 + session->signal;
    for (size_t i = 0; i < session->file.n_hosts; i++)
        if (session->programs[i].status)
            return session->programs[i].status;
    return session->failed ? CLI_FAILED : 0;
}

/* Sets it up and runs it to its end: the exit status. */
static int run_to_the_end(struct net_session *session)
{
    int status = CLI_FAILED;
    if (set_up(session) == 0) {
        go_on(session);
        while (!session->done && weir_loop_step(session->loop, -1) == 0)
            ;
        wr_cli_let_out(session->loop, session->run, session->build.hosts, session->file.n_hosts,
                       2 * WEIR_SEC, &session->hurry);
        status = status_of_all(session);
    }
    return status;
}

/* ---- weir run --net ----------------------------------------------------------------------------- */

/* The host for the program in front, or n_hosts after telling. */
static size_t front_host(const struct net_file *file, const struct cli_net_front *front)
{
    size_t found = file->n_hosts, n = 0;
    for (size_t i = 0; i < file->n_hosts; i++) {
        if (front->host ? strcmp(file->hosts[i].name, front->host) == 0 : !file->hosts[i].argv) {
            found = i;
            n++;
        }
    }
    if (front->host && n == 0)
        wr_cli_error("%s: there is no host \"%s\"", front->path, front->host);
    else if (front->host && file->hosts[found].argv)
        wr_cli_error("%s:%d: the host %s has a program already", front->path,
                     file->hosts[found].line, front->host);
    else if (n == 1)
        return found;
    else
        wr_cli_error("%s: %s; say which host the program is to run on: --net %s,HOST", front->path,
                     n ? "several hosts have no program" : "every host has a program", front->path);
    return file->n_hosts;
}

static bool put_in_front(struct net_session *session, const struct cli_net_front *front)
{
    char error[512];
    size_t n = 0;
    session->front = SIZE_MAX;
    if (!wr_netfile_read(front->path, &session->file, error, sizeof error)) {
        wr_cli_error("%s", error);
        return false;
    }
    session->front = front_host(&session->file, front);
    if (session->front == session->file.n_hosts)
        return false;
    while (front->argv[n])
        n++;
    struct net_host *host = &session->file.hosts[session->front];
    host->argv = calloc(n + 1, sizeof *host->argv);
    for (size_t i = 0; host->argv && i < n; i++)
        if (!(host->argv[i] = strdup(front->argv[i])))
            return false;
    return host->argv != NULL;
}

int wr_cli_net_front(const struct cli_net_front *front)
{
    struct net_session session = {.verbose = front->verbose, .called = front->name};
    if (!put_in_front(&session, front)) {
        wr_netfile_free(&session.file);
        return CLI_USAGE;
    }
    session.options = (struct net_build_options){.seed = front->seed,
                                                 .pcap = front->pcap,
                                                 .impair = front->impair,
                                                 .impair_host = (int)session.front,
                                                 .capture = front->capture,
                                                 .capture_host = (int)session.front};
    int status = run_to_the_end(&session);
    bool ran = session.programs && session.programs[session.front].program;
    int wait_status = ran ? session.programs[session.front].wait_status : 0;
    if (session.programs && !session.failed && ran)
        status = -1; /* the program's own */
    int err = tear_down(&session);
    if (status >= 0 || err)
        return status > 0 ? status : CLI_FAILED;
    return wr_cli_pass_status(wait_status);
}

/* ---- weir net ----------------------------------------------------------------------------------- */

/* The file of HOST=FILE, and the number of the host. NULL if it is not that. */
static const char *host_and_file(const struct net_file *file, const char *words, int *number)
{
    const char *sign = strchr(words, '=');
    for (size_t h = 0; sign && h < file->n_hosts; h++) {
        const char *name = file->hosts[h].name;
        if (strlen(name) == (size_t)(sign - words) && strncmp(name, words, strlen(name)) == 0) {
            *number = (int)h;
            return sign + 1;
        }
    }
    return NULL;
}

/* HOST=FILE of --capture. False after telling. */
static bool find_capture(struct net_session *session)
{
    struct net_build_options *options = &session->options;
    const char *words = options->capture;
    if (!words)
        return true;
    options->capture = host_and_file(&session->file, words, &options->capture_host);
    if (!options->capture)
        wr_cli_error("--capture: \"%s\" is not HOST=FILE with a host of the file", words);
    return options->capture != NULL;
}

/* Whose page it is if none is said: that of the first with a program, commonly the server of the others. */
static int host_of_interest(const struct net_file *file)
{
    for (size_t h = 0; h < file->n_hosts; h++)
        if (file->hosts[h].argv)
            return (int)h;
    return 0;
}

/* [HOST=]PAGE of --report; it is made of the host's capture. False after telling. */
static bool find_report(struct net_session *session)
{
    struct net_build_options *options = &session->options;
    int host = options->capture ? options->capture_host : host_of_interest(&session->file);
    if (!session->report)
        return true;
    const char *page = host_and_file(&session->file, session->report, &host);
    if (page)
        session->report = page;
    if (options->capture && options->capture_host != host) {
        wr_cli_error("--report and --capture must be of the same host");
        return false;
    }
    options->capture_host = host;
    return true;
}

static bool check_words(struct net_session *session, const char *path)
{
    if (!find_capture(session) || !find_report(session))
        return false;
    if (session->options.pcap && session->file.n_links == 0) {
        wr_cli_error("%s: there is no link to capture", path);
        return false;
    }
    return true;
}

static int run_net(struct net_session *session)
{
    session->front = session->file.n_hosts;
    int status = run_to_the_end(session);
    return tear_down(session) == 0 || status ? status : CLI_FAILED;
}

static int run_reported(struct net_session *session, const char *path)
{
    struct cli_report report;
    if (!wr_cli_report_begin(&report, session->report, path, session->options.capture)) {
        wr_netfile_free(&session->file);
        return CLI_FAILED;
    }
    session->options.capture = report.capture;
    return wr_cli_report_end(&report, run_net(session));
}

int wr_cli_net(int argc, char **argv)
{
    struct net_session session = {0};
    const char *path = NULL;
    char error[512];
    int status = read_words(argc, argv, &session, &path);
    if (status)
        return status - 1;
    bool good = wr_netfile_read(path, &session.file, error, sizeof error);
    if (!good)
        wr_cli_error("%s", error);
    good = good && check_words(&session, path);
    if (!good || session.check) {
        if (good)
            tell_file(&session.file);
        wr_netfile_free(&session.file);
        return good ? 0 : CLI_USAGE;
    }
    return session.report ? run_reported(&session, path) : run_net(&session);
}
