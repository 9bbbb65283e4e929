/* SPDX-License-Identifier: MIT */
#ifndef DRILL_DR_TABLE_H
#define DRILL_DR_TABLE_H

/*
 * Descriptors of scripted programs: sockets of the stack, and what a kernel has beside them: epoll
 * sets, pipes, files. A descriptor is an index of the table; whoever makes one chooses the number.
 * No call blocks: where Linux would, the answer is WEIR_EAGAIN, and the caller asks again when the
 * stack may have changed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include <weir/weir.h>

enum { DR_FDS = 1024 };

struct dr_epoll;
struct dr_pipe;

enum dr_fd_kind { DR_FD_NONE, DR_FD_SOCKET, DR_FD_EPOLL, DR_FD_PIPE, DR_FD_FILE };

struct dr_fd {
    enum dr_fd_kind kind;
    bool nonblocking;
    weir_sock sock; /* of a socket, as the next two */
    int domain, type;
    struct dr_epoll *epoll;
    struct dr_pipe *pipe;
    bool writes; /* of a pipe: this is the end that is written to */
    int file;    /* of a file: the machine's own descriptor, closed with this one */

    uint64_t written, read; /* bytes of the stream so far, for a script's pattern */
    bool stream_exact;      /* reads are checked against the pattern */
};

struct dr_table {
    struct weir_stack *stack;
    uint32_t edges[DR_FDS]; /* how often something happened to the socket of that number */
    bool writable[DR_FDS];  /* as seen last */
    int n_fds;              /* above the highest number ever used */
    struct dr_fd fds[DR_FDS];
};

/* NULL when there is none of that number. */
struct dr_fd *wr_dr_fd_find(struct dr_table *table, int number);
/* Makes `number`, which must be free, a descriptor of the socket; its events count in edges[]. */
struct dr_fd *wr_dr_fd_socket(struct dr_table *table, int number, weir_sock sock, int domain,
                              int type, bool nonblocking);
/* Is a connection on its way, of a TCP socket? 0: no more; WEIR_EAGAIN; or why it failed. A blocking
 * send that began one (fast open) returns no sooner, as on Linux. */
int wr_dr_fd_opened(struct dr_table *table, const struct dr_fd *fd, weir_time now);
/* Closes it. 0 or a negative error. */
int wr_dr_fd_close(struct dr_table *table, int number, weir_time now);
/* Closes all that is left. */
void wr_dr_table_fini(struct dr_table *table, weir_time now);
/* Counts edges; call it after whatever may have made some. That a socket can be written is one only
 * when it could not before (Linux: sk_write_space); anything else is one whenever it happens. */
void wr_dr_table_events(struct dr_table *table);

/* Poll bits as they are now, with POLLRDNORM and POLLWRNORM as Linux sets them. */
uint32_t wr_dr_fd_poll(struct dr_table *table, int number);

/* ---- epoll: dr_epoll.c ----------------------------------------------------------------------- */

/* WEIR_EINVAL, WEIR_ENOMEM. */
int wr_dr_epoll_create(struct dr_table *table, int number, int size);
int wr_dr_epoll_ctl(struct dr_table *table, int number, int op, int member_number,
                    const struct epoll_event *event);
/* What is ready now, at most `max`; 0 when nothing is. */
int wr_dr_epoll_wait(struct dr_table *table, int epoll, struct epoll_event *events, int max);
void wr_dr_epoll_free(struct dr_epoll *epoll);
/* The descriptor is closed: it leaves all sets. */
void wr_dr_epoll_forget(struct dr_table *table, int number);

/* ---- pipes, and bytes that go by without a buffer of the program's: dr_pipe.c ------------------ */

/* Makes both ends. */
int wr_dr_pipe(struct dr_table *table, int reader, int writer);
void wr_dr_pipe_close(struct dr_fd *fd);
uint32_t wr_dr_pipe_poll(const struct dr_fd *fd);
ptrdiff_t wr_dr_pipe_read(struct dr_fd *fd, void *data, size_t len);
ptrdiff_t wr_dr_pipe_write(struct dr_fd *fd, const void *data, size_t len);
/* splice(2) between a socket and a pipe, or two pipes, as far as it goes now. */
ptrdiff_t wr_dr_splice(struct dr_table *table, int in, int out, size_t len, unsigned flags,
                       weir_time now);
/* sendfile(2) from a descriptor of the machine's to a socket. *offset goes on by what was sent. */
ptrdiff_t wr_dr_sendfile(struct dr_table *table, int out, int file, off_t *offset, size_t len,
                         weir_time now);

#endif
