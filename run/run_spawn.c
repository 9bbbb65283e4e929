/* SPDX-License-Identifier: MIT */
/*
 * The supervisor's life, and that of its programs.
 *
 * Starting one: the child enters its namespaces, puts the seccomp filter on itself, sends the filter's
 * listener to the supervisor over a socket pair (sendmsg is not filtered), waits for the word, and execs.
 * If exec fails the pair carries errno; if it succeeds the pair closes.
 *
 * Ending: the first process's status is what the program's owner is told, but only when every other
 * process that uses the filter is gone too, since without the supervisor those would have no network.
 * The kernel says so by a hang-up of the listener. Orphans become children of the supervisor, which
 * is their subreaper, so that it may inspect them (Yama) and reap them.
 *
 * If the supervisor dies the first process gets SIGTERM (PR_SET_PDEATHSIG); what is left after that
 * is ended by the guard (run_guard.c).
 */
#define _GNU_SOURCE /* SCHED_BATCH */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/run_int.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#    define SECCOMP_IOCTL_NOTIF_SET_FLAGS      SECCOMP_IOW(4, __u64)
#    define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

enum {
    NOFILE_MAX = 1 << 20,
    MEMORY_BLOCK_MAX = 4 << 20, /* larger ones go back to the kernel at once */
    MEMORY_KEPT = 32 << 20
};

void weir_run_options_default(struct weir_run_options *options)
{
    memset(options, 0, sizeof *options);
    for (int i = 0; i < 3; i++)
        options->stdio[i] = -1;
    options->join = -1;
}

/* ---- the supervisor --------------------------------------------------------------------------- */

static bool
    the_one_exists; /* SIGCHLD and the subreaper's role are the process's, not the object's */

void wr_run_spawn_tell(struct weir_program *program)
{
    if (!program->first_ended || program->listener_fd >= 0 || program->join_fd >= 0 ||
        program->told)
        return;
    program->told = true;
    if (program->events.on_exit)
        program->events.on_exit(program->events.arg, program, program->wait_status);
}

void wr_run_spawn_gone(struct weir_program *program)
{
    epoll_ctl(program->run->epoll_fd, EPOLL_CTL_DEL, program->listener_fd, NULL);
    close(program->listener_fd);
    program->listener_fd = -1;
    wr_run_heard_forget(program);
    wr_run_park_drop(program);
    wr_run_spawn_tell(program);
}

static void reap(struct weir_run *run)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (struct weir_program *p = run->programs, *next; p; p = next) {
            next = p->next;
            if (p->pid != pid || p->first_ended)
                continue;
            p->first_ended = true;
            p->wait_status = status;
            wr_run_spawn_tell(p);
        }
    }
}

static void signals_ready(struct run_source *source, uint32_t events)
{
    struct weir_run *run = (struct weir_run *)((char *)source - offsetof(struct weir_run, signals));
    struct signalfd_siginfo info;
    (void)events;
    while (read(run->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        ;
    reap(run);
}

/* What a batch drops is freed at its end only, for later events of the batch may name it. Control calls
 * come last in a batch, since bytes written before a call must count as sent before it. */
static void run_ready(void *arg, struct epoll_event *ready, int n)
{
    struct weir_run *run = arg;
    wr_run_pump_ahead(run, ready, n);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < n; i++) {
            struct run_source *source = ready[i].data.ptr;
            if ((source->ready == wr_run_notify_ready) == (pass == 1))
                source->ready(source, ready[i].events);
        }
        wr_run_pump_ahead_end(run);
    }
    wr_run_sock_sweep(run);
}

static int watch_signals(struct weir_run *run)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, &run->saved_mask) < 0)
        return -errno;
    sigaction(SIGCHLD, &plain,
              &run->saved_chld); /* ignored, there would be no status to wait for */
    run->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (run->signal_fd < 0)
        return -errno;
    run->signals.ready = signals_ready;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &run->signals};
    return epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, run->signal_fd, &event) < 0 ? -errno : 0;
}

/* One descriptor for each socket of the program. The hard limit can be raised by root, up to fs.nr_open,
 * which is at least NOFILE_MAX. */
static void raise_nofile(struct weir_run *run)
{
    getrlimit(RLIMIT_NOFILE, &run->saved_nofile);
    struct rlimit raised = {NOFILE_MAX, NOFILE_MAX};
    if (run->saved_nofile.rlim_max >= NOFILE_MAX || setrlimit(RLIMIT_NOFILE, &raised) < 0) {
        raised.rlim_cur = raised.rlim_max = run->saved_nofile.rlim_max;
        setrlimit(RLIMIT_NOFILE, &raised);
    }
    run->fds_max = raised.rlim_cur < INT32_MAX ? (int)raised.rlim_cur : INT32_MAX;
    run->fds_max -= run->fds_max > 2 * RUN_FDS_RESERVE ? RUN_FDS_RESERVE : run->fds_max / 4;
}

/* Buffers of busy connections come and go by the hundred kilobytes. glibc would give most of them back to the kernel
 * at once, to have the same pages cleared for the next. */
static void keep_memory(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, MEMORY_BLOCK_MAX);
    mallopt(M_TRIM_THRESHOLD, MEMORY_KEPT);
#endif
}

/* Who is woken under SCHED_BATCH does not take the CPU from who runs on it. So a program that writes to twenty connections
 * does that first, and the supervisor finds them all in one turn; else it would run after each of them, where both
 * share a CPU. The programs themselves are as the caller is. */
static void step_back(struct weir_run *run)
{
    const struct sched_param none = {0};
    run->stepped_back =
        sched_getscheduler(0) == SCHED_OTHER && sched_setscheduler(0, SCHED_BATCH, &none) == 0;
}

static void step_forward(const struct weir_run *run)
{
    const struct sched_param none = {0};
    if (run->stepped_back)
        (void)sched_setscheduler(0, SCHED_OTHER, &none);
}

static int run_set_up(struct weir_run *run)
{
    struct seccomp_notif_sizes sizes;
    if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
        return WEIR_ENOTSUP;
    keep_memory();
    run->scratch = malloc(RUN_SCRATCH_BYTES);
    if (!run->scratch)
        return WEIR_ENOMEM;
    wr_run_pump_open(run);
    int err = weir_loop_batch(run->loop, run_ready, run);
    if (err)
        return err;
    run->epoll_fd = weir_loop_fd(run->loop);
    err = wr_run_fd_test(run);
    if (!err)
        err = watch_signals(run);
    if (err)
        return err;
    err = wr_run_lone_open(run);
    if (err)
        return err;
    raise_nofile(run);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    err = wr_run_guard_start(run);
    if (err)
        return err;
    run->can_isolate = wr_run_space_possible();
    step_back(run);
    return 0;
}

int weir_run_new(struct weir_loop *loop, struct weir_run **out)
{
    struct weir_run *run;
    int err;
    if (the_one_exists)
        return WEIR_EBUSY;
    run = calloc(1, sizeof *run);
    if (!run)
        return WEIR_ENOMEM;
    run->loop = loop;
    run->epoll_fd = run->signal_fd = -1;
    run->door_fd = run->door_path_fd = -1;
    for (size_t i = 0; i < RUN_PIDFD_SLOTS; i++)
        run->pidfds[i].fd = -1;
    the_one_exists = true;
    err = run_set_up(run);
    if (err) {
        weir_run_free(run);
        return err;
    }
    *out = run;
    return 0;
}

void weir_run_free(struct weir_run *run)
{
    bool any_runs = false;
    for (struct weir_program *program = run->programs, *next; program; program = next) {
        next = program->next;
        any_runs |= program->listener_fd >= 0;
        weir_program_free(program);
    }
    wr_run_heard_end(run);
    wr_run_join_forget(run);
    wr_run_guard_end(run, any_runs);
    wr_run_sock_sweep(run);
    wr_run_fd_forget(run);
    wr_run_lone_close(run);
    wr_run_net_forget(run);
    if (run->signal_fd >= 0) {
        epoll_ctl(run->epoll_fd, EPOLL_CTL_DEL, run->signal_fd, NULL);
        close(run->signal_fd);
        sigaction(SIGCHLD, &run->saved_chld, NULL);
        sigprocmask(SIG_SETMASK, &run->saved_mask, NULL);
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    }
    if (run->epoll_fd >= 0)
        weir_loop_batch(run->loop, NULL, NULL);
    if (run->saved_nofile.rlim_max)
        setrlimit(RLIMIT_NOFILE, &run->saved_nofile);
    step_forward(run);
    free(run->socks);
    free(run->scratch);
    wr_run_pump_close(run);
    free(run);
    the_one_exists = false;
}

bool weir_run_idle(const struct weir_run *run)
{
    return run->n_socks == run->n_dead;
}

/* ---- the child -------------------------------------------------------------------------------- */

/* What the child says of itself: the listener travels with `step` 0, trouble with its step's name. */
enum {
    CHILD_FDS = 3
}; /* the listener; in new namespaces a netlink socket and the TUN (run_net.c) */

struct child_word {
    int error;
    bool isolated;
    const char *step; /* a literal: the same address in parent and child */
};

static void say(int sock, struct child_word word, const int *fds, size_t n_fds)
{
    if (!wr_run_say(sock, &word, sizeof word, fds, n_fds))
        _exit(125);
}

static void take_stdio(const struct weir_run_options *options)
{
    for (int i = 0; i < 3; i++)
        if (options->stdio[i] >= 0)
            dup2(options->stdio[i], i);
}

/* What must be so for the program and is otherwise in the supervisor. */
static void restore_process(struct weir_run *run, pid_t parent)
{
    sigaction(SIGCHLD, &run->saved_chld, NULL);
    sigprocmask(SIG_SETMASK, &run->saved_mask, NULL);
    setrlimit(RLIMIT_NOFILE, &run->saved_nofile);
    step_forward(run);
    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if (getppid() != parent)
        _exit(125);
}

static void child_main(struct weir_run *run, const struct weir_run_options *options,
                       char *const argv[], int sock, const struct sock_fprog filter[2],
                       const struct run_space *space, pid_t parent)
{
    struct child_word word = {0};
    char go;
    if (space->wanted) {
        word.error = wr_run_space_enter(space, &word.step);
        word.isolated = word.error == 1;
    }
    int fds[CHILD_FDS] = {-1, -1, -1};
    if (word.isolated && !space->join) {
        fds[1] = wr_run_net_open(&fds[2]);
        word.step = "network";
        word.error = fds[1] < 0 ? fds[1] : 1;
    }
    if (word.error >= 0)
        fds[0] = wr_run_filter_load(&filter[word.isolated ? 1 : 0]);
    if (word.error >= 0 && fds[0] < 0) {
        word.error = fds[0];
        word.step = "seccomp filter";
    }
    say(sock, word, fds, fds[0] < 0 ? 0 : fds[1] < 0 ? 1 : fds[2] < 0 ? 2 : 3);
    if (fds[0] < 0)
        _exit(125);
    for (int i = 0; i < CHILD_FDS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (read(sock, &go, 1) != 1)
        _exit(125);
    take_stdio(options);
    restore_process(run, parent);
    execvp(argv[0], argv);
    say(sock, (struct child_word){.error = -errno, .step = "exec"}, NULL, 0);
    _exit(125);
}

/* ---- the parent ------------------------------------------------------------------------------- */

static int explain(const struct child_word *word, const char *name, char *error, size_t cap)
{
    if (word->step && strcmp(word->step, "exec") == 0)
        snprintf(error, cap, "%s: %s", name,
                 word->error == -ENOENT ? "no such program" : strerror(-word->error));
    else if (word->error == -EBUSY)
        snprintf(
            error, cap,
            "this runs under another supervisor with a seccomp listener (another weir run, or a "
            "container engine); one cannot run inside the other");
    else
        snprintf(error, cap, "cannot prepare the program's process: %s: %s",
                 word->step ? word->step : "child", strerror(-word->error));
    return word->error;
}

static int watch_program(struct weir_run *run, struct weir_program *program)
{
    uint64_t flags = SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &program->listener};
    ioctl(program->listener_fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags); /* Linux 6.6; else slower */
    program->listener.ready = wr_run_notify_ready;
    return epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, program->listener_fd, &event) < 0 ? -errno : 0;
}

/* The listener is served here, or by the process whose host the program joins. */
static int settle(struct weir_program *program, const int fds[CHILD_FDS], struct child_word *word)
{
    word->step = "network";
    if (program->join_fd < 0)
        return fds[1] >= 0 ? wr_run_net_make(program, fds[1], fds[2]) : 0;
    word->step = "host";
    int err = wr_run_join_hand_over(program->join_fd, program->pid, program->listener_fd);
    close(program->listener_fd);
    program->listener_fd = -1;
    return err;
}

/* Talks with the child until exec has happened or failed. Negative: it failed, *error says why. */
static int meet_child(struct weir_program *program, int sock, const char *name, char *error,
                      size_t cap)
{
    static const struct child_word lost = {.error = -EIO, .step = "child"};
    struct child_word word = {0};
    int fds[CHILD_FDS];
    if (wr_run_hear(sock, &word, sizeof word, fds, CHILD_FDS) <= 0)
        return explain(&lost, name, error, cap);
    program->listener_fd = fds[0];
    if (fds[0] < 0)
        return explain(&word, name, error, cap);
    program->isolated = word.isolated;
    if (program->isolated)
        wr_run_guard_add(program->run, program->pid, program->join_fd >= 0 ? "uts" : "net");
    word.error = settle(program, fds, &word);
    if (word.error < 0)
        return explain(&word, name, error, cap);
    if (write(sock, "g", 1) != 1)
        return explain(&lost, name, error, cap);
    if (wr_run_hear(sock, &word, sizeof word, fds, CHILD_FDS) > 0)
        return explain(&word, name, error, cap);
    return 0;
}

static int start_child(struct weir_run *run, const struct weir_run_options *options,
                       char *const argv[], struct weir_program *program,
                       const struct run_space *space, const struct sock_fprog filter[2],
                       char *error, size_t cap)
{
    pid_t parent = getpid();
    int pair[2];
    int err;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    program->pid = fork();
    if (program->pid == 0) {
        close(pair[0]);
        child_main(run, options, argv, pair[1], filter, space, parent);
    }
    err = program->pid < 0 ? -errno : 0;
    close(pair[1]);
    if (!err)
        err = meet_child(program, pair[0], argv[0], error, cap);
    close(pair[0]);
    if (err && program->pid > 0) {
        kill(program->pid, SIGKILL);
        waitpid(program->pid, NULL, 0);
    }
    return err;
}

static void release(struct weir_program *program)
{
    wr_run_net_leave(program);
    wr_run_join_close(program);
    if (program->listener_fd >= 0)
        close(program->listener_fd);
    free(program->hosts);
    free(program->resolv);
    free(program);
}

bool wr_run_spawn_opens(const char *hosts, const char *resolv)
{
    return (hosts && access("/etc/hosts", F_OK) < 0) ||
           (resolv && access("/etc/resolv.conf", F_OK) < 0);
}

/* A record that is not in the list yet. */
static struct weir_program *make(struct weir_run *run, struct weir_host *host,
                                 const struct weir_run_options *options)
{
    struct weir_program *program = calloc(1, sizeof *program);
    if (!program)
        return NULL;
    program->run = run;
    program->host = host;
    program->events = options->events;
    program->listener_fd = program->join_fd = -1;
    program->hosts = options->hosts ? strdup(options->hosts) : NULL;
    program->resolv = options->resolv ? strdup(options->resolv) : NULL;
    return program;
}

static void enlist(struct weir_program *program)
{
    program->next = program->run->programs;
    program->run->programs = program;
    if (program->host) {
        weir_host_on_event(program->host, wr_run_pump_event, program->run);
        weir_host_on_told(program->host, wr_run_pump_told, program->run);
    }
}

/* Its own, those of an earlier program on the host, or those of a host in another process. */
static int choose_space(struct weir_program *program, const struct weir_run_options *options,
                        struct run_space *space, struct run_welcome *welcome)
{
    struct run_net *net = wr_run_net_of(program->run, program->host);
    space->hosts = options->hosts;
    space->resolv = options->resolv;
    space->hostname = options->hostname;
    space->uid = geteuid();
    space->gid = getegid();
    space->wanted = program->run->can_isolate;
    welcome->opens = wr_run_spawn_opens(options->hosts, options->resolv);
    if (options->join >= 0) {
        program->join_fd = options->join;
        int err = wr_run_join_welcome(options->join, welcome);
        space->wanted = welcome->isolated;
        space->join = welcome->spaces;
        space->hosts = welcome->hosts;
        space->resolv = welcome->resolv;
        return err;
    }
    if (net) {
        space->join = wr_run_net_spaces(net);
        wr_run_net_join(program, net);
    }
    return 0;
}

static int prepare(struct weir_program *program, const struct weir_run_options *options,
                   char *const argv[], char *error, size_t cap)
{
    struct sock_fprog filter[2] = {{0}, {0}}; /* [isolated] */
    struct run_welcome welcome = {.spaces = {-1, -1, -1}};
    struct run_space space = {0};
    snprintf(error, cap, "the host has ended");
    int err = choose_space(program, options, &space, &welcome);
    if (!err) {
        snprintf(error, cap, "cannot make the seccomp filter");
        err = wr_run_filter_build(false, true, &filter[0]);
    }
    if (!err)
        err = wr_run_filter_build(true, welcome.opens, &filter[1]);
    if (!err) {
        snprintf(error, cap, "cannot start a process");
        err = start_child(program->run, options, argv, program, &space, filter, error, cap);
    }
    for (int i = 0; i < RUN_SPACES; i++)
        if (welcome.spaces[i] >= 0)
            close(welcome.spaces[i]);
    free(welcome.hosts);
    free(welcome.resolv);
    free(filter[0].filter);
    free(filter[1].filter);
    return err;
}

int weir_run_spawn(struct weir_run *run, struct weir_host *host,
                   const struct weir_run_options *options, char *const argv[],
                   struct weir_program **out, char *error, size_t cap)
{
    struct weir_program *program = make(run, options->join < 0 ? host : NULL, options);
    snprintf(error, cap, "out of memory");
    if (!program)
        return WEIR_ENOMEM;
    int err = prepare(program, options, argv, error, cap);
    if (!err)
        err = program->join_fd < 0 ? watch_program(run, program) : wr_run_join_watch(program);
    if (err) {
        release(program);
        return err;
    }
    enlist(program);
    *out = program;
    return 0;
}

int wr_run_spawn_adopt(struct weir_run *run, struct weir_host *host,
                       const struct weir_run_options *options, pid_t pid, int listener,
                       struct weir_program **out)
{
    struct weir_program *program = make(run, host, options);
    struct run_net *net = wr_run_net_of(run, host);
    if (!program) {
        close(listener);
        return WEIR_ENOMEM;
    }
    program->pid = pid;
    program->listener_fd = listener;
    program->first_ended = true; /* its status is its parent's to know */
    program->isolated = net != NULL;
    if (net)
        wr_run_net_join(program, net);
    int err = watch_program(run, program);
    if (err) {
        release(program);
        return err;
    }
    enlist(program);
    *out = program;
    return 0;
}

void weir_program_free(struct weir_program *program)
{
    struct weir_run *run = program->run;
    for (struct weir_program **p = &run->programs; *p; p = &(*p)->next) {
        if (*p == program) {
            *p = program->next;
            break;
        }
    }
    wr_run_heard_forget(program);
    wr_run_park_drop(program);
    wr_run_sock_drop_all(program);
    release(program);
}

/* ---- signals ---------------------------------------------------------------------------------- */

int weir_program_signal(struct weir_program *program, int sig)
{
    wr_run_heard_all(program->run);
    if (program->first_ended || kill(program->pid, sig) < 0)
        return WEIR_ENOENT;
    return 0;
}

/* The parent of a process by /proc/PID/stat: the second field after the name's last ')'. */
static pid_t parent_of(pid_t pid)
{
    char path[40], text[512];
    int parent = -1;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *after = strrchr(text, ')');
    if (!after || sscanf(after, ") %*c %d", &parent) != 1)
        return -1;
    return parent;
}

/* Whether a process descends from the program's first process, or is an orphan that the supervisor took
 * over, which may be of any of its programs if there are several. */
bool weir_program_has(const struct weir_program *program, int pid)
{
    pid_t self = getpid();
    for (int depth = 0; depth < 64 && pid > 1 && pid != program->run->guard; depth++) {
        if (pid == program->pid)
            return true;
        pid_t parent = parent_of(pid);
        if (parent == self) {
            for (const struct weir_program *p = program->run->programs; p; p = p->next)
                if (p->pid == pid && !p->first_ended)
                    return false;
            return true;
        }
        pid = parent;
    }
    return false;
}

void weir_program_signal_all(struct weir_program *program, int sig)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    if (!dir)
        return;
    wr_run_heard_all(program->run);
    while ((entry = readdir(dir))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 1 && weir_program_has(program, pid))
            kill(pid, sig);
    }
    closedir(dir);
}

int weir_program_pid(const struct weir_program *program)
{
    return program->pid;
}

bool weir_program_isolated(const struct weir_program *program)
{
    return program->isolated;
}

bool weir_program_reaches(const struct weir_program *program)
{
    return program->net && wr_run_net_reaches(program->net);
}
