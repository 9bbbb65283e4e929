/* SPDX-License-Identifier: MIT */
/*
 * Work in another network namespace. One belongs to a thread, so entering it is left to a helper
 * thread that ends at once: the caller's threads stay where they are. A descriptor keeps the namespace
 * that it was opened in. Where the caller is in it already no thread is made: a process that ever had a second
 * one pays for it in each system call and allocation of the C library.
 */
#ifndef WEIR_LINK_NETNS_H
#define WEIR_LINK_NETNS_H

/* A descriptor of the namespace made with `ip netns add NAME`, or a negative error. */
int wr_netns_open(const char *name);
/* What fn(arg) returns when called in a namespace, which may be this one; -1: in this one. Negative errors of its own. */
int wr_netns_visit(int ns_fd, int (*fn)(void *arg), void *arg);
/* Both: in the namespace `name`, or here when it is NULL. */
int wr_netns_in(const char *name, int (*fn)(void *arg), void *arg);

#endif
