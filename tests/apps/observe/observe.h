/* SPDX-License-Identifier: MIT */
/*
 * The semantics differ: observations of socket calls, one numbered line each, of what a call returned,
 * errno, poll bits, option values, byte counts. The same files are run three ways, on the kernel, under
 * `weir run`, and (built with OBSERVE_LIBRARY) on the calls of host.h, and the lines are compared
 * (test_run_observe.py). They need a loopback only and print nothing that differs from run to run.
 *
 * Observations are written with the plain names of the calls; observe_calls.h makes them the library's.
 * What asks for descriptors or processes of the kernel is a section marked `kernel`, or a single
 * say_kernel(): the library's run leaves it out and says so.
 */
#ifndef OBSERVE_H
#define OBSERVE_H

#ifndef _GNU_SOURCE
#    define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h> /* the whole struct tcp_info, which netinet/tcp.h has not */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "observe_calls.h"

/* A group of observations. kernel: the library cannot be asked. */
struct section {
    const char *name;
    void (*run)(void);
    const char *kernel; /* why the library's run leaves it out; NULL: it does not */
};
/* Each file of observations has one list, ended by a section without a name. */
extern const struct section observe_open[], observe_connect[], observe_data[], observe_end[],
    observe_option[], observe_ready[], observe_urgent[], observe_process[];

/* ---- saying (observe.c) ----------------------------------------------------------------------- */

/* The call's value, and errno if it is -1. */
void say(const char *what, long value);
/* The same with a name made by printf. */
void say_of(long value, const char *format, ...) __attribute__((format(printf, 2, 3)));
void say_text(const char *what, const char *text);
void say_bits(const char *what, short bits);
/* SO_ERROR, read and cleared. */
void say_error(const char *what, int fd);
/* Counts an observation that the library cannot make. */
void leave_out(const char *what);
#ifdef OBSERVE_LIBRARY
#    define say_kernel(what, value) leave_out(what)
#else
#    define say_kernel(what, value) say(what, value)
#endif

/* ---- asking ----------------------------------------------------------------------------------- */

short bits_now(int fd);
/* Waits until at least `bits` show, 3 s at most; what shows then. */
short wait_bits(int fd, short bits);
/* The same until none of `bits` shows. */
short wait_gone(int fd, short bits);
/* An option of one int, or the negated errno. */
int option(int fd, int level, int name);
int set_option(int fd, int level, int name, int value);
int tcp_state(int fd);
int port_of(int fd);
/* FIONREAD, SIOCOUTQ, SIOCATMARK; the negated errno if it fails. */
int asked(int fd, unsigned long request);
void pause_ms(int ms);
long now_ms(void);

/* ---- sockets to work with --------------------------------------------------------------------- */

struct sockaddr_in v4(const char *addr, int port);
struct sockaddr_in6 v6(const char *addr, int port);
int tcp(int flags);
int listener(int flags);
int listener_of(int backlog);
int connect_to(int fd, int port);
/* Connected to each other: blocking. */
void pair_of(int *client, int *server);
/* A port on which nobody listens. */
int closed_port(void);
/* A connection that gets no answer: a socket in SYN-SENT to a listener whose queue is full. */
struct silent {
    int listener, queued[2], fd;
};
struct silent silent_open(void);
void silent_close(struct silent *s);
void nonblock(int fd);
/* Closes it by a RST. */
void reset(int fd);
/* Writes until nothing more is taken for a while; the bytes taken. The socket does not block after. */
long fill_up(int fd);

#endif
