/* SPDX-License-Identifier: MIT */
/*
 * Programs of other processes on a host that runs.
 *
 *     host's process (weir_run_let_in)            joiner's process (weir_run_spawn with `join`)
 *        WELCOME, the host's namespaces     --->  forks; the child enters them, covers the files of names
 *        and files of names                       for itself, and loads its filter
 *        serves the filter's listener       <---  PROGRAM, the listener
 *        TAKEN                              --->  the child may exec
 *        SIGNAL                             --->  is sent to the program
 *        GONE: no process of it is left     --->  the joiner may end
 *
 * The words go over a stream of AF_UNIX that the owner of both sides has made (the control socket). The
 * program is the joiner's child: its terminal, exit status and signals are as without a host. It is the
 * host's process that serves its calls, as if it had started it.
 *
 * Who is killed: of the joiner, its guard ends the program two seconds later (run_guard.c); the host's
 * process hears the listener hang up, and goes on. Of the host, the stream ends without GONE: the joiner
 * ends its program as the guard would, by SIGTERM and two seconds later SIGKILL.
 */
#define _GNU_SOURCE /* memfd_create */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "run/run_int.h"

#define GRACE (2 * WEIR_SEC)

enum word_kind { WORD_WELCOME, WORD_PROGRAM, WORD_TAKEN, WORD_SIGNAL, WORD_GONE };
enum {
    WELCOME_ISOLATED = 1,
    WELCOME_OPENS = 2,
    WELCOME_SPACE = 8,   /* and the next: which follow */
    WELCOME_HOSTS = 128, /* behind them a file with these texts, each up to a NUL */
    WELCOME_RESOLV = 256,
    TEXTS_MAX = 1 << 24
};
enum { WORD_FDS = RUN_SPACES + 1 };

struct word {
    char magic[4];
    int32_t kind, value;
};
static const char magic[4] = "WJ1";

/* ---- words -------------------------------------------------------------------------------------- */

static bool send_word(int sock, enum word_kind kind, int32_t value, const int *fds, size_t n_fds)
{
    struct word word = {.kind = (int32_t)kind, .value = value};
    memcpy(word.magic, magic, sizeof magic);
    return wr_run_say(sock, &word, sizeof word, fds, n_fds);
}

/* 1: a word; 0: none yet; -1: the other side is gone, or speaks otherwise. fds: WORD_FDS of them, -1
 * where none came. */
static int hear_word(int sock, struct word *word, int *fds)
{
    ssize_t n = wr_run_hear(sock, word, sizeof *word, fds, WORD_FDS);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n == (ssize_t)sizeof *word && memcmp(word->magic, magic, sizeof magic) == 0)
        return 1;
    wr_run_close_all(fds, WORD_FDS);
    return -1;
}

/* ---- the host's side ---------------------------------------------------------------------------- */

/* A conversation with a joiner, until its program is gone or it has never come to one. */
struct run_joiner {
    struct run_joiner *next;
    struct weir_run *run;
    struct weir_host *host;
    struct weir_program *program; /* NULL: not there yet */
    struct weir_run_events events;
    char *hosts, *resolv;
    int fd;
};

static void release(struct run_joiner *joiner)
{
    if (joiner->fd >= 0) {
        weir_loop_watch(joiner->run->loop, joiner->fd, 0, NULL, NULL);
        close(joiner->fd);
    }
    free(joiner->hosts);
    free(joiner->resolv);
    free(joiner);
}

static void dismiss(struct run_joiner *joiner)
{
    struct run_joiner **at = &joiner->run->joiners;
    while (*at != joiner)
        at = &(*at)->next;
    *at = joiner->next;
    joiner->run->n_joiners--;
    release(joiner);
}

/* No process of the program is left. */
static void on_gone(void *arg, struct weir_program *program, int wait_status)
{
    struct run_joiner *joiner = arg;
    (void)wait_status;
    if (joiner->fd >= 0)
        send_word(joiner->fd, WORD_GONE, 0, NULL, 0);
    weir_program_free(program);
    dismiss(joiner);
}

static void on_listen(void *arg, struct weir_program *program, const struct weir_endpoint *local)
{
    struct run_joiner *joiner = arg;
    if (joiner->events.on_listen)
        joiner->events.on_listen(joiner->events.arg, program, local);
}

static void on_report(void *arg, struct weir_program *program, const char *line)
{
    struct run_joiner *joiner = arg;
    if (joiner->events.on_report)
        joiner->events.on_report(joiner->events.arg, program, line);
}

/* The program is served from here on. */
static int adopt(struct run_joiner *joiner, pid_t pid, int listener)
{
    struct weir_run_options options;
    weir_run_options_default(&options);
    options.hosts = joiner->hosts;
    options.resolv = joiner->resolv;
    options.events = (struct weir_run_events){
        .on_exit = on_gone, .on_listen = on_listen, .on_report = on_report, .arg = joiner};
    return wr_run_spawn_adopt(joiner->run, joiner->host, &options, pid, listener, &joiner->program);
}

/* The joiner says which program, and later only that it has ended itself. */
static void joiner_ready(void *arg, int fd, uint32_t events)
{
    struct run_joiner *joiner = arg;
    struct word word = {0};
    int fds[WORD_FDS];
    int heard = hear_word(fd, &word, fds);
    (void)events;
    if (heard == 0)
        return;
    if (heard > 0 && word.kind == WORD_PROGRAM && !joiner->program && fds[0] >= 0) {
        int err = adopt(joiner, word.value, fds[0]);
        wr_run_close_all(fds + 1, WORD_FDS - 1);
        if (send_word(fd, WORD_TAKEN, err, NULL, 0) && !err)
            return;
        if (err) {
            dismiss(joiner);
            return;
        }
    } else if (heard > 0) {
        wr_run_close_all(fds, WORD_FDS);
    }
    if (joiner->program) { /* it goes on until its listener hangs up */
        weir_loop_watch(joiner->run->loop, fd, 0, NULL, NULL);
        close(fd);
        joiner->fd = -1;
    } else {
        dismiss(joiner);
    }
}

/* A file of the texts that there are, or -1. */
static int write_texts(const char *hosts, const char *resolv)
{
    const char *const texts[] = {hosts, resolv};
    int fd = memfd_create("weir-names", MFD_CLOEXEC);
    for (size_t i = 0; fd >= 0 && i < sizeof texts / sizeof *texts; i++) {
        size_t len = texts[i] ? strlen(texts[i]) + 1 : 0;
        if (write(fd, texts[i], len) != (ssize_t)len) {
            close(fd);
            fd = -1;
        }
    }
    return fd;
}

static bool welcome(const struct run_joiner *joiner, bool opens)
{
    const struct run_net *net = wr_run_net_of(joiner->run, joiner->host);
    const int *spaces = net ? wr_run_net_spaces(net) : NULL;
    int32_t flags = opens ? WELCOME_OPENS : 0;
    int fds[WORD_FDS], texts = -1;
    size_t n = 0;
    if (net)
        flags |= WELCOME_ISOLATED;
    for (int i = 0; net && i < RUN_SPACES; i++) {
        if (spaces[i] < 0)
            continue;
        flags |= WELCOME_SPACE << i;
        fds[n++] = spaces[i];
    }
    if (joiner->hosts || joiner->resolv) {
        flags |= (joiner->hosts ? WELCOME_HOSTS : 0) | (joiner->resolv ? WELCOME_RESOLV : 0);
        fds[n++] = texts = write_texts(joiner->hosts, joiner->resolv);
        if (texts < 0)
            return false;
    }
    bool sent = send_word(joiner->fd, WORD_WELCOME, flags, fds, n);
    if (texts >= 0)
        close(texts);
    return sent;
}

int weir_run_let_in(struct weir_run *run, struct weir_host *host,
                    const struct weir_run_options *options, int fd)
{
    struct run_joiner *joiner = calloc(1, sizeof *joiner);
    if (!joiner)
        return WEIR_ENOMEM;
    joiner->run = run;
    joiner->host = host;
    joiner->events = options->events;
    joiner->fd = fd;
    joiner->hosts = options->hosts ? strdup(options->hosts) : NULL;
    joiner->resolv = options->resolv ? strdup(options->resolv) : NULL;
    joiner->next = run->joiners;
    run->joiners = joiner;
    run->n_joiners++;
    bool opens = !wr_run_net_of(run, host) || wr_run_spawn_opens(options->hosts, options->resolv);
    int err = weir_loop_watch(run->loop, fd, EPOLLIN, joiner_ready, joiner);
    if (!err && !welcome(joiner, opens))
        err = WEIR_EPIPE;
    if (err) {
        weir_loop_watch(run->loop, fd, 0, NULL, NULL);
        joiner->fd = -1;
        dismiss(joiner);
    }
    return err;
}

unsigned weir_run_joined(const struct weir_run *run)
{
    return run->n_joiners;
}

void weir_run_signal_joined(struct weir_run *run, int sig)
{
    for (struct run_joiner *joiner = run->joiners; joiner; joiner = joiner->next)
        if (joiner->program && joiner->fd >= 0)
            send_word(joiner->fd, WORD_SIGNAL, sig, NULL, 0);
}

void wr_run_join_forget(struct weir_run *run)
{
    for (struct run_joiner *joiner = run->joiners, *next; joiner; joiner = next) {
        next = joiner->next;
        release(joiner);
    }
    run->joiners = NULL;
    run->n_joiners = 0;
}

/* ---- the joiner's side -------------------------------------------------------------------------- */

/* The text at *at, which is behind it then. NULL: none there, or no memory. */
static char *read_text(int fd, off_t *at)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = size > *at && size <= TEXTS_MAX ? malloc((size_t)(size - *at)) : NULL;
    ssize_t n = text ? pread(fd, text, (size_t)(size - *at), *at) : -1;
    if (n <= 0 || memchr(text, '\0', (size_t)n) == NULL) {
        free(text);
        return NULL;
    }
    *at += (off_t)strlen(text) + 1;
    return text;
}

static int read_texts(int fd, int32_t flags, struct run_welcome *welcome)
{
    off_t at = 0;
    if (flags & WELCOME_HOSTS && (welcome->hosts = read_text(fd, &at)) == NULL)
        return WEIR_ENOMEM;
    if (flags & WELCOME_RESOLV && (welcome->resolv = read_text(fd, &at)) == NULL)
        return WEIR_ENOMEM;
    return 0;
}

int wr_run_join_welcome(int sock, struct run_welcome *welcome)
{
    struct word word = {0};
    int fds[WORD_FDS];
    size_t n = 0;
    if (hear_word(sock, &word, fds) <= 0 || word.kind != WORD_WELCOME)
        return WEIR_ECONNRESET;
    welcome->isolated = word.value & WELCOME_ISOLATED;
    for (int i = 0; i < RUN_SPACES; i++)
        welcome->spaces[i] = word.value & WELCOME_SPACE << i ? fds[n++] : -1;
    int err = read_texts(fds[n], word.value, welcome);
    wr_run_close_all(fds + n, WORD_FDS - n);
    welcome->opens = word.value & WELCOME_OPENS ||
                     wr_run_spawn_opens(welcome->hosts, welcome->resolv); /* of its own root */
    return err;
}

int wr_run_join_hand_over(int sock, pid_t pid, int listener)
{
    struct word word = {0};
    int fds[WORD_FDS];
    if (!send_word(sock, WORD_PROGRAM, pid, &listener, 1) || hear_word(sock, &word, fds) <= 0 ||
        word.kind != WORD_TAKEN)
        return WEIR_ECONNRESET;
    return word.value;
}

static void leave(struct weir_program *program)
{
    weir_loop_watch(program->run->loop, program->join_fd, 0, NULL, NULL);
    close(program->join_fd);
    program->join_fd = -1;
    wr_run_spawn_tell(program); /* may free it */
}

static void grace_over(void *arg, weir_time now)
{
    struct weir_program *program = arg;
    (void)now;
    weir_program_signal_all(program, SIGKILL);
    leave(program);
}

/* SIGTERM to all, as PR_SET_PDEATHSIG does to the first process of a host's own programs. */
static void host_lost(struct weir_program *program)
{
    if (program->events.on_report)
        program->events.on_report(program->events.arg, program,
                                  "the host has ended: the program has no network any more");
    weir_loop_watch(program->run->loop, program->join_fd, 0, NULL, NULL);
    weir_program_signal_all(program, SIGTERM);
    weir_loop_alarm(program->run->loop, weir_now() + GRACE, grace_over, program);
}

static void host_ready(void *arg, int fd, uint32_t events)
{
    struct weir_program *program = arg;
    struct word word = {0};
    int fds[WORD_FDS];
    int heard = hear_word(fd, &word, fds);
    (void)events;
    if (heard > 0)
        wr_run_close_all(fds, WORD_FDS);
    if (heard > 0 && word.kind == WORD_SIGNAL) {
        if (weir_program_signal(program, word.value) == WEIR_ENOENT)
            weir_program_signal_all(program, word.value);
    } else if (heard > 0 && word.kind == WORD_GONE) {
        leave(program);
    } else if (heard < 0) {
        host_lost(program);
    }
}

int wr_run_join_watch(struct weir_program *program)
{
    return weir_loop_watch(program->run->loop, program->join_fd, EPOLLIN, host_ready, program);
}

void wr_run_join_close(struct weir_program *program)
{
    if (program->join_fd < 0)
        return;
    weir_loop_alarm(program->run->loop, WEIR_TIME_NEVER, grace_over, program);
    weir_loop_watch(program->run->loop, program->join_fd, 0, NULL, NULL);
    close(program->join_fd);
    program->join_fd = -1;
}
