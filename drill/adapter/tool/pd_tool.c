/* SPDX-License-Identifier: MIT */
/*
 * sysctl, ip, tc, ethtool and nstat for the shell commands of packetdrill's scripts: one program
 * under five names, which hands its command line to the adapter (pd_control.c) and does nothing else. Without
 * an adapter to ask it fails, so it never touches the machine.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PD_CONTROL_ENV "WEIR_PACKETDRILL"

enum { LINE_BYTES = 8192, FAILED = 255 };

/* The words, each in quotes as the adapter takes them. False: too long. */
static bool join(char *line, size_t cap, const char *name, int argc, char **argv)
{
    int n = snprintf(line, cap, "%s", name);
    for (int i = 1; i < argc && n > 0 && (size_t)n < cap; i++) {
        int more = snprintf(line + n, cap - (size_t)n, " \"%s\"", argv[i]);
        n = more < 0 ? more : n + more;
    }
    return n > 0 && (size_t)n < cap;
}

static int reach(const char *where)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t len = strlen(where);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || len > sizeof name.sun_path - 1)
        return -1;
    memcpy(name.sun_path + 1, where, len);
    socklen_t whole = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
    return connect(fd, (struct sockaddr *)&name, whole) == 0 ? fd : -1;
}

/* Prints what comes; true if it began with "ok ". */
static bool take_answer(int fd, const char *name)
{
    static char answer[1 << 16];
    size_t len = 0;
    ssize_t n;
    while (len < sizeof answer - 1 && (n = read(fd, answer + len, sizeof answer - 1 - len)) > 0)
        len += (size_t)n;
    answer[len] = '\0';
    if (strncmp(answer, "ok ", 3) == 0) {
        fputs(answer + 3, stdout);
        return true;
    }
    fprintf(stderr, "%s: %s\n", name, len > 3 ? answer + 3 : "the adapter did not answer");
    return false;
}

int main(int argc, char **argv)
{
    char line[LINE_BYTES];
    const char *where = getenv(PD_CONTROL_ENV), *slash = strrchr(argv[0], '/');
    const char *name = slash ? slash + 1 : argv[0];
    if (!where) {
        fprintf(stderr, "%s: only for commands of a script that packetdrill runs on Weir\n", name);
        return FAILED;
    }
    if (!join(line, sizeof line, name, argc, argv)) {
        fprintf(stderr, "%s: too many words\n", name);
        return FAILED;
    }
    int fd = reach(where);
    if (fd < 0 || write(fd, line, strlen(line)) != (ssize_t)strlen(line)) {
        fprintf(stderr, "%s: the adapter cannot be reached\n", name);
        return FAILED;
    }
    shutdown(fd, SHUT_WR);
    return take_answer(fd, name) ? EXIT_SUCCESS : FAILED;
}
