/* SPDX-License-Identifier: MIT */
/*
 * What the scenarios of procs.c, procs_waits.c and procs_ends.c share (procs_kit.c): saying what happened,
 * sockets to work with, children, threads and signals.
 */
#ifndef PROCS_H
#define PROCS_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PATIENCE = 20000
}; /* ms in which what is to happen has happened, be the machine as busy as it may */

struct scenario {
    const char *name;
    void (*run)(void);
};
/* Each ends with an empty name. */
extern const struct scenario scenarios_of_processes[], scenarios_of_waits[], scenarios_of_ends[];

extern const char *scenario;          /* the one that runs */
extern const char *self;              /* the program's path */
extern volatile sig_atomic_t handled; /* signals, since handle() */

/* What "procs -exec ..." does. */
int exec_main(char **argv);

const char *name_of(int error);
/* One write a line: scenarios share the output. */
void say(const char *what, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A call's value, and errno if it is -1. */
void say_call(const char *what, long value);
/* Whether it gave a descriptor. */
void say_fd(const char *what, int fd);
void say_status(const char *what, int status);
double clock_now(void);
void nap(int ms);
/* Until a thread of this process waits in this system call. */
void await_in(long call);
/* Until a connect of this socket is under way: from then on it has a port. */
void await_connecting(int fd);
/* waitpid that gives up. */
bool await(pid_t pid, int *status, int options, int ms);
void say_end(const char *what, pid_t pid, int options);
struct sockaddr_in loopback(int port);
int port_of(int fd);
int bound(int port, int option);
int listener(int backlog);
int connect_fd(int fd, int port);
int connected(int port);
void pair_of(int *client, int *server);
void set_time(int fd, int option, int ms);
/* What a read gives within 2 s: "abc", "end", an error, or "nothing" after `ms`. */
const char *read_text(int fd, int ms);
void say_read(const char *what, int fd);
bool echo_works(int a, int b);
/* A child that runs `work` and exits with what it returns. */
pid_t child(int (*work)(int), int arg);
int exit_of(pid_t pid);
int echo_once(int fd);
int ask_echo(int port);
void *accept_thread(void *arg);
bool joined(pthread_t thread, long *value, int ms);
void say_joined(const char *what, pthread_t thread, int ms);
int accept_for_ever(int fd);
int accept_all(int fd);
/* A listener whose queue is full: SYNs to it are dropped, connects to it wait. */
int full_listener(void);
void handle(int sig, int flags);
void alarm_in(int ms);

#endif
