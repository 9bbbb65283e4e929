/* SPDX-License-Identifier: MIT */
/* How processes and descriptors end; rights and limits (see procs.c). */
#define _GNU_SOURCE
#include "procs.h"

/* ---- ends ------------------------------------------------------------------------------------- */

static int die_with(int fd)
{
    nap(100);
    raise(SIGKILL);
    return fd;
}

/* A process that is killed: FIN if it had read all, RST if not, RST with SO_LINGER 0. */
static void scenario_died(void)
{
    static const char *const what[] = {"all read", "bytes unread", "SO_LINGER 0"};
    for (int i = 0; i < 3; i++) {
        int c, s;
        struct linger linger = {1, 0};
        pair_of(&c, &s);
        if (i == 1)
            write(c, "unread", 6);
        if (i == 2)
            setsockopt(s, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        write(s, "last words", 10);
        pid_t pid = child(die_with, s);
        close(s);
        exit_of(pid);
        nap(250);
        struct pollfd p = {c, POLLIN | POLLOUT | POLLRDHUP, 0};
        poll(&p, 1, 0);
        say(what[i], "poll %#x", p.revents);
        const char *first = read_text(c, 1000);
        say(what[i], "first read %s", first);
        say(what[i], "then %s", read_text(c, 1000));
        say(what[i], "then %s", read_text(c, 1000));
        say_call(what[i], send(c, "x", 1, MSG_NOSIGNAL));
        close(c);
    }
}

/* Exit while another thread's call is parked. */
static int exit_around_accept(int status)
{
    pthread_t thread;
    int l = listener(2);
    pthread_create(&thread, NULL, accept_thread, &l);
    await_in(SYS_accept);
    exit(status);
}

static void scenario_exit(void)
{
    pid_t pid = child(exit_around_accept, 6);
    say_end("exit with a thread in accept", pid, 0);
    int c, s;
    pair_of(&c, &s);
    pid = fork();
    if (pid == 0) {
        pthread_t thread;
        int l = listener(2);
        close(c);
        pthread_create(&thread, NULL, accept_thread, &l);
        nap(250);
        write(s, "bye", 3);
        _exit(3);
    }
    close(s);
    say_end("its exit", pid, 0);
    const char *text = read_text(c, 1000);
    say("its last words", "%s", text);
    say_read("and its end", c);
}

/* ---- rights and limits ------------------------------------------------------------------------ */

static int whole_turn(void)
{
    int c, s, one = 1;
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    int l = listener(4);
    if ((c = connected(port_of(l))) < 0)
        return 1;
    if ((s = accept(l, (struct sockaddr *)&in, &len)) < 0 || ntohs(in.sin_port) != port_of(c))
        return 2;
    if (setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
        return 3;
    if (getpeername(c, (struct sockaddr *)&in, &len) < 0 || ntohs(in.sin_port) != port_of(l))
        return 4;
    if (!echo_works(c, s) || !echo_works(s, c) || shutdown(c, SHUT_WR) < 0)
        return 5;
    return strcmp(read_text(s, 1000), "end") == 0 ? 0 : 6;
}

static int undumpable(int unused)
{
    (void)unused;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) ? 10 : whole_turn();
}

static int other_user(int unused)
{
    (void)unused;
    if (getuid() == 0 && (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0))
        return 11;
    return whole_turn();
}

static int own_files(int unused)
{
    (void)unused;
    int fd = listener(1), port = port_of(fd);
    if (unshare(CLONE_FILES) < 0)
        return 12;
    return port_of(fd) == port ? whole_turn() : 13;
}

static void scenario_rights(void)
{
    say("not dumpable", "%d", exit_of(child(undumpable, 0)));
    say("another user", "%d", exit_of(child(other_user, 0)));
    say("descriptors of its own", "%d", exit_of(child(own_files, 0)));
}

/* A filter of the program's own: it answers before, and after it comes the supervisor's. */
static int filtered(int action)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, (unsigned)action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) < 0)
        return 100;
    errno = 0;
    return whole_turn() ? errno : 0;
}

static void scenario_filters(void)
{
    say("allowed", "%d", exit_of(child(filtered, SECCOMP_RET_ALLOW)));
    say("logged", "%d", exit_of(child(filtered, SECCOMP_RET_LOG)));
    say("errno", "%d", exit_of(child(filtered, SECCOMP_RET_ERRNO | 71)));
    say("trap", "%d", exit_of(child(filtered, SECCOMP_RET_TRAP)));
    say("kill", "%d", exit_of(child(filtered, SECCOMP_RET_KILL_PROCESS)));
}

/* The program's limit of descriptors is its own, and binds. */
static void scenario_limits(void)
{
    struct rlimit limit;
    int n = 0, last = -1, fd;
    getrlimit(RLIMIT_NOFILE, &limit);
    say("descriptors", "%llu %llu", (unsigned long long)limit.rlim_cur,
        (unsigned long long)limit.rlim_max);
    for (fd = 3; fd < 64; fd++)
        close(fd);
    limit.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &limit);
    while ((fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0)
        n++, last = fd;
    say("sockets", "%d, then %s", n, name_of(errno));
    struct sockaddr_in in = loopback(0);
    say_call("bind of the last", bind(last, (struct sockaddr *)&in, sizeof in));
    close(last);
    say_fd("socket after a close", socket(AF_INET, SOCK_STREAM, 0));
}

/* Descriptors closed otherwise than by close(). */
static void scenario_closings(void)
{
    int c, s;
    pair_of(&c, &s);
    syscall(SYS_close_range, s, s, 0);
    say_read("close_range", c);
    close(c);
    pair_of(&c, &s);
    int pipes[2];
    pipe(pipes);
    dup2(pipes[0], s);
    say_read("dup2 over it", c);
    close(s);
    close(c);
    pair_of(&c, &s);
    FILE *stream = fdopen(s, "r+");
    fputs("stdio", stream);
    fclose(stream);
    const char *text = read_text(c, 1000);
    say("stdio", "%s", text);
    say_read("fclose", c);
}

const struct scenario scenarios_of_ends[] = {
    {"died", scenario_died},
    {"exit", scenario_exit},
    {"rights", scenario_rights},
    {"filters", scenario_filters},
    {"limits", scenario_limits},
    {"closings", scenario_closings},
    {NULL, NULL},
};
