/* SPDX-License-Identifier: MIT */
/* What the scenarios of procs.c share, and what runs them: see procs.h. */
#define _GNU_SOURCE
#include "procs.h"

const char *scenario, *self;

/* ---- saying it -------------------------------------------------------------------------------- */

const char *name_of(int error)
{
    const char *name = strerrorname_np(error);
    return name ? name : "?";
}

void say(const char *what, const char *format, ...)
{
    char line[256];
    va_list args;
    int n = snprintf(line, sizeof line, "%s %s: ", scenario, what);
    va_start(args, format);
    n += vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
    va_end(args);
    line[n++] = '\n';
    if (write(1, line, (size_t)n) != n)
        _exit(3);
}

void say_call(const char *what, long value)
{
    int error = errno;
    say(what, "%ld%s%s", value, value == -1 ? " " : "", value == -1 ? name_of(error) : "");
}

void say_fd(const char *what, int fd)
{
    int error = errno;
    say(what, "%s", fd >= 0 ? "a descriptor" : name_of(error));
}

void say_status(const char *what, int status)
{
    if (WIFSTOPPED(status))
        say(what, "stopped by %d", WSTOPSIG(status));
    else if (WIFCONTINUED(status))
        say(what, "continued");
    else if (WIFSIGNALED(status))
        say(what, "killed by %d", WTERMSIG(status));
    else
        say(what, "exited with %d", WEXITSTATUS(status));
}

double clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void nap(int ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
        ;
}

void await_in(long call)
{
    char path[64];
    bool found = false;
    for (double until = clock_now() + PATIENCE / 1e3; !found && clock_now() < until; nap(2)) {
        DIR *tasks = opendir("/proc/self/task");
        for (struct dirent *task; tasks && (task = readdir(tasks)) != NULL;) {
            snprintf(path, sizeof path, "/proc/self/task/%.20s/syscall", task->d_name);
            FILE *file = fopen(path, "r");
            long number = -1;
            found |= file && fscanf(file, "%ld", &number) == 1 && number == call;
            if (file)
                fclose(file);
        }
        if (tasks)
            closedir(tasks);
    }
    nap(250); /* whoever serves the call has heard of it */
}

void await_connecting(int fd)
{
    for (double until = clock_now() + PATIENCE / 1e3; port_of(fd) == 0 && clock_now() < until;)
        nap(2);
}

bool await(pid_t pid, int *status, int options, int ms)
{
    for (double until = clock_now() + ms / 1e3;; nap(2)) {
        if (waitpid(pid, status, options | WNOHANG) == pid)
            return true;
        if (clock_now() > until)
            return false;
    }
}

void say_end(const char *what, pid_t pid, int options)
{
    int status;
    if (await(pid, &status, options, PATIENCE))
        say_status(what, status);
    else
        say(what, "not within 20 s");
}

/* ---- sockets to work with --------------------------------------------------------------------- */

struct sockaddr_in loopback(int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    return in;
}

int port_of(int fd)
{
    struct sockaddr_in in = {0};
    socklen_t len = sizeof in;
    getsockname(fd, (struct sockaddr *)&in, &len);
    return ntohs(in.sin_port);
}

int bound(int port, int option)
{
    struct sockaddr_in in = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (option)
        setsockopt(fd, SOL_SOCKET, option, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&in, sizeof in) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

int listener(int backlog)
{
    int fd = bound(0, 0);
    listen(fd, backlog);
    return fd;
}

int connect_fd(int fd, int port)
{
    struct sockaddr_in in = loopback(port);
    return connect(fd, (struct sockaddr *)&in, sizeof in);
}

int connected(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect_fd(fd, port) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

void pair_of(int *client, int *server)
{
    int l = listener(8);
    *client = connected(port_of(l));
    *server = accept(l, NULL, NULL);
    close(l);
}

void set_time(int fd, int option, int ms)
{
    struct timeval tv = {ms / 1000, ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, option, &tv, sizeof tv);
}

const char *read_text(int fd, int ms)
{
    static _Thread_local char text[64];
    struct pollfd p = {fd, POLLIN, 0};
    if (poll(&p, 1, ms) == 0)
        return "nothing";
    ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    if (n < 0)
        return name_of(errno);
    text[n] = '\0';
    return n ? text : "end";
}

void say_read(const char *what, int fd)
{
    say(what, "%s", read_text(fd, 2000));
}

bool echo_works(int a, int b)
{
    char c = 0;
    struct pollfd p = {b, POLLIN, 0};
    if (send(a, "?", 1, MSG_NOSIGNAL) != 1)
        return false;
    while (poll(&p, 1, 2000) < 0 && errno == EINTR)
        ;
    return recv(b, &c, 1, MSG_DONTWAIT) == 1 && c == '?';
}

pid_t child(int (*work)(int), int arg)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(work(arg));
    return pid;
}

int exit_of(pid_t pid)
{
    int status = -1;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int echo_once(int fd)
{
    char text[16];
    ssize_t n = read(fd, text, sizeof text);
    return n > 0 && write(fd, text, (size_t)n) == n ? 0 : 1;
}

int ask_echo(int port)
{
    int fd = connected(port);
    if (fd < 0 || write(fd, "hello", 5) != 5)
        return 1;
    set_time(fd, SO_RCVTIMEO, 5000);
    char text[16] = "";
    if (recv(fd, text, 5, MSG_WAITALL) != 5 || strcmp(text, "hello") != 0)
        return 2;
    return recv(fd, text, 1, 0) == 0 ? 0 : 3;
}

void *accept_thread(void *arg)
{
    int *fd = arg, got = accept(*fd, NULL, NULL);
    return (void *)(long)(got < 0 ? -errno : got);
}

bool joined(pthread_t thread, long *value, int ms)
{
    struct timespec until;
    void *got = NULL;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000)
        until.tv_sec++, until.tv_nsec -= 1000000000;
    if (pthread_timedjoin_np(thread, &got, &until) != 0)
        return false;
    *value = (long)got;
    return true;
}

void say_joined(const char *what, pthread_t thread, int ms)
{
    long value;
    if (!joined(thread, &value, ms))
        say(what, "still waits");
    else
        say(what, "%s", value < 0 ? name_of((int)-value) : "a connection");
}

int accept_for_ever(int fd)
{
    return accept(fd, NULL, NULL);
}

int accept_all(int fd)
{
    nap(100);
    while (accept(fd, NULL, NULL) >= 0)
        ;
    return 1;
}

int full_listener(void)
{
    int l = listener(0);
    for (int i = 0; i < 3; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect_fd(fd, port_of(l));
    }
    nap(250);
    return l;
}

volatile sig_atomic_t handled;

void on_signal(int sig)
{
    (void)sig;
    handled++;
}

void handle(int sig, int flags)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags};
    sigaction(sig, &sa, NULL);
    handled = 0;
}

void alarm_in(int ms)
{
    struct itimerval it = {{0, 0}, {ms / 1000, ms % 1000 * 1000}};
    setitimer(ITIMER_REAL, &it, NULL);
}

/* ---- all of them ------------------------------------------------------------------------------ */

enum { MOST = 64, SECONDS = 25 };

static pid_t start(const struct scenario *one)
{
    pid_t pid = fork();
    if (pid == 0) {
        scenario = one->name;
        setpgid(0, 0);
        one->run();
        _exit(0);
    }
    setpgid(pid, pid);
    return pid;
}

/* A scenario's group ends with it. */
static void end(const struct scenario *one, pid_t pid, double begun)
{
    int status;
    scenario = one->name;
    if (!await(pid, &status, 0, (int)((begun + SECONDS - clock_now()) * 1000))) {
        say("end", "hangs");
        kill(-pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return;
    }
    kill(-pid, SIGKILL);
    if (status)
        say_status("end", status);
}

int main(int argc, char **argv)
{
    static const struct scenario *const lists[] = {scenarios_of_processes, scenarios_of_waits,
                                                   scenarios_of_ends};
    const struct scenario *running[MOST];
    pid_t pids[MOST];
    int n = 0;
    double begun = clock_now();
    self = argv[0];
    if (argc == 6 && strcmp(argv[1], "-exec") == 0)
        return exec_main(argv + 2);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (const struct scenario *one = lists[i]; one->name && n < MOST; one++)
            if (argc < 2 || strcmp(argv[1], one->name) == 0) {
                running[n] = one;
                pids[n++] = start(one);
            }
    for (int i = 0; i < n; i++)
        end(running[i], pids[i], begun);
    return 0;
}
