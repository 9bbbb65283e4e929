/* SPDX-License-Identifier: MIT */
/* What links of tests over one descriptor have in common: no timers, and the descriptor ends with the link. */
#ifndef WEIR_TEST_FD_LINK_H
#define WEIR_TEST_FD_LINK_H

#include <stdlib.h>
#include <unistd.h>

#include <weir/link.h>

/* The first member of a link that malloc() made. */
struct fd_link {
    struct weir_link link;
    int fd;
};

static inline weir_time fd_link_deadline(const struct weir_link *link)
{
    (void)link;
    return WEIR_TIME_NEVER;
}

static inline int fd_link_fd(const struct weir_link *link)
{
    return ((const struct fd_link *)link)->fd;
}

static inline void fd_link_free(struct weir_link *link)
{
    close(((struct fd_link *)link)->fd);
    free(link);
}

#endif
