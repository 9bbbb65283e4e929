/* SPDX-License-Identifier: MIT */
/*
 * Records of sockets without a pair. Lone ones (run_lone.c) have none yet; of others it is gone: after a reset, or when both directions have ended, the supervisor's
 * end had to be closed, and with it went the sight of the program's last close. The record must be known as
 * long as the program has the socket: what it calls on it then would else be the kernel's to answer.
 *
 * So the dead are counted, and when they have become many, the kernel is asked which of them are still
 * there: /proc/net/unix lists every socket of the pairs' network namespace by its inode. The list is read
 * in pieces, and while sockets come and go it may leave one out; so a record is forgotten when it was missing
 * twice in a row. The next look comes after as many deaths as make its cost small beside theirs.
 */
#include <stdio.h>

#include "run/run_int.h"

enum {
    FEW = 1024,                 /* dead that are not worth a look */
    MISSED_TO_BE_GONE = 2,      /* looks in a row */
    DEAD_MAX_UNSEEN = 16 * 1024 /* without /proc the oldest go */
};

static void look(struct weir_run *run);

static void mark_living(struct weir_run *run, FILE *list)
{
    char line[512]; /* a path, at the end, may be cut off and read as a line that names no socket */
    unsigned long inode;
    while (fgets(line, sizeof line, list)) {
        if (sscanf(line, "%*x: %*x %*x %*x %*x %*x %lu", &inode) != 1)
            continue;
        struct run_sock *rs = wr_run_sock_find(run, (ino_t)inode);
        if (rs)
            rs->lives = true;
    }
}

static void forget_missing(struct weir_run *run)
{
    for (struct run_sock *rs = run->dead_first, *next; rs; rs = next) {
        next = rs->dead_next;
        rs->missed = rs->lives ? 0 : (uint8_t)(rs->missed + 1);
        rs->lives = false;
        if (rs->missed >= MISSED_TO_BE_GONE)
            wr_run_sock_drop(rs, false);
    }
}

bool wr_run_dead_look(struct weir_run *run)
{
    size_t before = run->n_dead;
    for (int i = 0; i < MISSED_TO_BE_GONE; i++)
        look(run);
    return run->n_dead < before;
}

static void look(struct weir_run *run)
{
    FILE *list = fopen("/proc/self/net/unix", "re");
    if (list) {
        mark_living(run, list);
        fclose(list);
        forget_missing(run);
    }
    while (!list && run->n_dead > DEAD_MAX_UNSEEN)
        wr_run_sock_drop(run->dead_first, false);
    run->dead_look_at = run->n_dead + FEW + run->n_socks / 4;
}

void wr_run_dead_link(struct run_sock *rs)
{
    struct weir_run *run = rs->program->run;
    rs->dead_next = NULL;
    rs->dead_prev = run->dead_last;
    *(run->dead_last ? &run->dead_last->dead_next : &run->dead_first) = rs;
    run->dead_last = rs;
    if (++run->n_dead > FEW && run->n_dead >= run->dead_look_at)
        look(run);
}

void wr_run_dead_unlink(struct run_sock *rs)
{
    struct weir_run *run = rs->program->run;
    *(rs->dead_prev ? &rs->dead_prev->dead_next : &run->dead_first) = rs->dead_next;
    *(rs->dead_next ? &rs->dead_next->dead_prev : &run->dead_last) = rs->dead_prev;
    run->n_dead--;
}
