/* SPDX-License-Identifier: MIT */
/*
 * The control socket of a running host: how `weir ss`, `weir sysctl`, `weir ping` and `weir nc` see it and
 * use it. A program that drives its hosts with host.h may serve it as well.
 *
 * It is an AF_UNIX socket called NAME.PID in a folder that only its owner can enter; requests and answers
 * are JSON objects, one a line. docs/control.md describes them.
 */
#ifndef WEIR_CONTROL_H
#define WEIR_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/host.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_control;

enum {
    WEIR_CONTROL_NAME_MAX = 48,  /* characters of a host's name */
    WEIR_CONTROL_LINE_MAX = 4096 /* bytes of a request, with its newline */
};

/* Who has a socket, for `ss -p`. */
struct weir_control_user {
    char program[32]; /* "" : not known */
    int pid;          /* 0: not known */
    int fd;           /* of the program; -1: not known */
    uint64_t inode; /* of the socket that the program's descriptor is; 0: it is not the kernel's */
};

struct weir_control_config {
    /* The host's name: letters, digits, "_", "-" and, but not first, "."; NULL: "host". */
    const char *name;
    /* Fills in who has a socket; false: nobody. In the loop's thread, with the lock held. NULL: this
     * process, by the descriptors of weir_socket(). */
    bool (*user_of)(void *arg, const struct weir_sock_row *row, struct weir_control_user *user);
    /* Takes a conversation over whose client wants to put a program on the host (weir_run_let_in()): the
     * descriptor, which does not block, is its own then. Or a negative error, for the client. NULL:
     * WEIR_ENOTSUP. */
    int (*join)(void *arg, int fd);
    void *arg;      /* of user_of */
    void *join_arg; /* of join */
};

/* Serves requests about the host, in its loop, until weir_control_close(), which comes before
 * weir_host_free(). config NULL: defaults. WEIR_EEXIST: this process has a host of that name;
 * WEIR_EINVAL: the name; WEIR_EACCES: no folder can be had that is the user's alone; other errors of the
 * system. */
int weir_control_open(struct weir_host *host, const struct weir_control_config *config,
                      struct weir_control **control);
/* Ends all conversations and removes the socket. NULL is allowed. */
void weir_control_close(struct weir_control *control);
/* Where it is. */
const char *weir_control_path(const struct weir_control *control);

/* Calls fn for each host of this user that runs now; what dead ones have left is removed. Returns their
 * number or a negative error. */
typedef void weir_control_fn(void *arg, const char *name, int pid);
int weir_control_each(weir_control_fn *fn, void *arg);
/* Holds off whoever else of this user calls it, until the descriptor that it returns is closed: so looking
 * for a host and making it can be one step. With `wait` it waits for its turn; else it returns WEIR_EAGAIN when
 * another has it. Other negative errors. */
int weir_control_lock(bool wait);
/* Connects to the host that `which` names: by "NAME", "NAME.PID" or "PID"; NULL: the only one there is.
 * Returns a blocking descriptor, or WEIR_ENOENT (none), WEIR_EEXIST (several), other errors; then a sentence
 * is in error[cap]. */
int weir_control_connect(const char *which, char *error, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
