/* SPDX-License-Identifier: MIT */
#ifndef LAB_PLAY_INT_H
#define LAB_PLAY_INT_H

/* What the files of plays share; play.h tells what a play is. */

#include <weir/info.h>
#include <weir/socket.h>

#include "lab/lab.h"
#include "lab/lab_host.h"
#include "lab/lab_queue.h"
#include "lab/lab_tape.h"
#include "lab/play.h"

enum {
    PLAY_HOSTS = 16,
    PLAY_LINKS = 32,
    PLAY_SOCKS = 65536,
    PLAY_ACTIONS = 1 << 20,
    PLAY_NAME = 24,
    PLAY_SEED_BYTES = 65521, /* the pattern that is sent: this long, and around */
};

struct play_options {
    bool hold, close_at_eof, nodelay, reuse;
    uint64_t sndbuf, rcvbuf;                  /* 0: the default */
    int keep_idle, keep_interval, keep_count; /* seconds; idle 0: no keepalive */
    weir_time user_timeout;
    int linger; /* -1: off */
    char cc[16];
};

struct play_host {
    char name[PLAY_NAME];
    struct lab_host *host;
    struct lab_node *ways; /* router behind it, by destination */
    char *sysctls[16];     /* "name=value"; owned; set again after a crash */
    unsigned n_sysctls;
};

/* One direction's queue is watched. */
struct play_link {
    char name[2 * PLAY_NAME];
    struct lab_scenario words; /* the link's own; only its directions count */
    struct lab_node *link[2];  /* forward, back */
    struct lab_queue_sample *series;
    size_t n_series, room;
};

/* Times are absolute; -1: has not happened. */
struct play_sock {
    char name[PLAY_NAME];
    unsigned host;
    weir_sock sock; /* 0: closed, or lost in a crash */
    int32_t peer;   /* number of the socket whose bytes it reads; -1: not known */
    struct weir_endpoint local, remote;
    bool listens, shut, was_shut, corrupt, crashed;
    unsigned n_accepted;
    struct play_options options;
    uint64_t goal, sent, received, may_read; /* bytes; may_read: of a held one */
    int error;
    weir_time opened_at, connected_at, eof_at, closed_at, error_at;
    struct weir_tcp_info info;
    bool has_info;
};

enum play_verb {
    PLAY_LISTEN,
    PLAY_CONNECT,
    PLAY_CRASH,
    PLAY_DOWN,
    PLAY_UP,
    PLAY_MTU,
    PLAY_FLOOD,
    PLAY_SEND,
    PLAY_HOLD,
    PLAY_READ,
    PLAY_SHUTDOWN,
    PLAY_CLOSE,
    PLAY_ABORT
};

struct play_action {
    weir_time at; /* absolute */
    size_t order; /* as written */
    enum play_verb verb;
    unsigned host; /* of actions of hosts, and connect's own */
    unsigned peer; /* connect, flood */
    char sock[PLAY_NAME];
    uint16_t port, local;
    uint64_t n; /* bytes, backlog, mtu, number of a flood's packet */
    struct play_options options;
};

struct play {
    struct lab_net net;
    weir_time duration;
    bool ip6, failed; /* failed: out of memory while it ran */
    uint64_t trace;
    uint8_t pattern[2 * PLAY_SEED_BYTES];
    struct play_host host[PLAY_HOSTS];
    unsigned n_hosts;
    struct play_link *link[PLAY_LINKS];
    unsigned n_links;
    struct play_sock *sock;
    size_t n_socks;
    struct play_action *action;
    size_t n_actions;
    struct lab_node *prompter; /* runs the actions */
    size_t next_action;
    weir_time watch_at;
};

/* play_script.c: reads "at ..." */
bool wr_play_read_action(struct play *play, char **words, size_t n, const char **why);
int wr_play_find_host(const struct play *play, const char *name);

/* play_act.c: does one, and answers the sockets' events. */
void wr_play_act(struct play *play, const struct play_action *action, weir_time now);
void wr_play_event(struct play *play, const struct weir_event *event, weir_time now);
/* Reads the last TCP_INFO of all sockets. */
void wr_play_settle(struct play *play, weir_time now);
/* A host's tunables, after it was made or came back. 0 or an error of weir_sysctl_write(). */
int wr_play_dress_host(struct play_host *host);

#endif
