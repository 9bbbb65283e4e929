/* SPDX-License-Identifier: MIT */
/*
 * Where the program cannot have a mount namespace, it cannot have an /etc/hosts laid over the machine's
 * either; and where the machine has no such file (small containers), there is nothing to lay it over. Then
 * the filter notifies open() and openat() too, and these two names are answered with a descriptor of
 * the text that the program is to see. All other names are the kernel's, 6 us later.
 */
#define _GNU_SOURCE /* memfd_create, process_vm_readv */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "run/run_int.h"

enum { NAME_MAX_BYTES = 32 }; /* longer than the names of interest */

/* Reads a string that may end right before an unmapped page. */
static bool read_name(const struct run_call *call, uint64_t from, char name[NAME_MAX_BYTES])
{
    size_t to_page_end = 4096 - (size_t)(from & 4095);
    size_t first = to_page_end < NAME_MAX_BYTES ? to_page_end : NAME_MAX_BYTES;
    struct iovec local = {name, NAME_MAX_BYTES};
    struct iovec remote[2] = {{(void *)(uintptr_t)from, first},
                              {(void *)(uintptr_t)(from + first), NAME_MAX_BYTES - first}};
    ssize_t n = process_vm_readv((pid_t)call->req->pid, &local, 1, remote,
                                 first < NAME_MAX_BYTES ? 2 : 1, 0);
    return n > 0 && memchr(name, '\0', (size_t)n) &&
           wr_run_call_alive(call->program->listener_fd, call->req->id);
}

/* A descriptor for reading `text`; -1 and errno. */
static int text_fd(const char *text)
{
    char path[40];
    int fd = memfd_create("weir-text", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    int readable = -1;
    if (write(fd, text, strlen(text)) == (ssize_t)strlen(text)) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        readable = open(path, O_RDONLY | O_CLOEXEC);
    }
    close(fd);
    return readable;
}

int64_t wr_run_call_open(struct run_call *call)
{
    const struct seccomp_data *data = &call->req->data;
    struct weir_program *program = call->program;
    bool at = data->nr == SYS_openat;
    uint64_t flags = data->args[at ? 2 : 1];
    char name[NAME_MAX_BYTES];
    const char *text = NULL;
    if ((flags & O_ACCMODE) != O_RDONLY || !read_name(call, data->args[at ? 1 : 0], name))
        return RUN_CONTINUE;
    if (strcmp(name, "/etc/hosts") == 0)
        text = program->hosts;
    else if (strcmp(name, "/etc/resolv.conf") == 0)
        text = program->resolv;
    int fd = text ? text_fd(text) : -1;
    if (fd < 0)
        return RUN_CONTINUE;
    int err = wr_run_answer_fd(program->listener_fd, call->req->id, fd, flags & O_CLOEXEC);
    close(fd);
    return err ? err : RUN_SENT;
}
