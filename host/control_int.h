/* SPDX-License-Identifier: MIT */
/*
 * What the files of the control socket share.
 *
 *   control.c        the socket, conversations, bytes in and out
 *   control_ask.c    requests and their answers
 *   control_relay.c  sockets that a client has opened on the host
 *   control_dir.c    where control sockets are, and how a client finds one
 */
#ifndef WEIR_CONTROL_INT_H
#define WEIR_CONTROL_INT_H

#include <sys/un.h>

#include <jansson.h>

#include <weir/control.h>

#include "host/hostsock.h"

/* A conversation. */
struct wr_talk {
    struct wr_talk *next;
    struct weir_control *control;
    int fd;
    char in[WEIR_CONTROL_LINE_MAX];
    size_t in_len;
    char *out; /* not yet taken by the client: out_off to out_len */
    size_t out_off, out_len, out_cap;
    int out_fd;   /* goes with the next bytes; -1: none */
    bool ending;  /* nothing more is read; closed once all is out */
    bool doomed;  /* to be closed at the end of the turn */
    bool walking; /* a list of sockets is being told, from `cursor` on */
    bool wants_info;
    uint64_t cursor;
    weir_time heard_at; /* when the client last read or wrote */
    bool waiting;       /* an answer is owed that only the network can give */
    bool accepting;     /* the next connection is */
    int listener;       /* descriptor of the host; -1: none */
    unsigned n_relays;
};

struct wr_relay;

struct weir_control {
    struct weir_host *host;
    struct weir_control_config config;
    char name[WEIR_CONTROL_NAME_MAX + 1];
    char path[512];
    int fd;
    struct wr_talk *talks;
    unsigned n_talks;
    struct wr_relay *relays;
    unsigned n_relays, last_relay;
};

/* ---- control.c ---------------------------------------------------------------------------------- */

/* Adds an object and a newline to what goes out, and lets go of it. NULL, as jansson gives when it is out
 * of memory, ends the conversation. */
void wr_control_say(struct wr_talk *talk, json_t *object);

/* Something was said outside a turn of the conversation: it gets one. */
void wr_control_go_on(struct wr_talk *talk);

/* ---- control_relay.c ---------------------------------------------------------------------------- */

/* The requests "open", "listen" and "accept". The first answers by itself, at once or when the network has
 * decided (talk->waiting), unless an error is returned; the others return what to answer. */
int wr_control_open_sock(struct wr_talk *talk, const json_t *request);
int wr_control_listen(struct wr_talk *talk, const json_t *request, struct weir_endpoint *bound);
/* Takes a connection for a client that waits for one, if there is one and the client can be told. */
void wr_control_accept(struct wr_talk *talk);
/* The conversation ends: its relays go on without it, its listener closes. */
void wr_control_leave(struct wr_talk *talk);
void wr_control_end_relays(struct weir_control *control);

/* ---- control_ask.c ------------------------------------------------------------------------------ */

/* Answers a request: one line without its newline. */
void wr_control_ask(struct wr_talk *talk, const char *line, size_t len);
/* Goes on telling sockets, a bounded number. */
void wr_control_walk(struct wr_talk *talk);

/* ---- control_dir.c ------------------------------------------------------------------------------ */

/* Opens, and makes if needed, the folder for control sockets. Its descriptor and path, or a negative
 * error. */
int wr_control_dir_open(char *path, size_t cap);
/* The address of `name` in that folder. False: the name is too long for one. */
bool wr_control_address(int dir, const char *name, struct sockaddr_un *address);
bool wr_control_name_ok(const char *name);

#endif
