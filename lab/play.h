/* SPDX-License-Identifier: MIT */
#ifndef LAB_PLAY_H
#define LAB_PLAY_H

/*
 * A play: hosts, links between them, and what their applications do at which moment. For what textbooks
 * tell of single connections; lab.h is for flows that compete.
 *
 *     host client
 *     host server net.ipv4.tcp_fin_timeout=10
 *     link client server rtt=20ms rate=10mbit rules='drop syn 1'
 *     at 0s   server listen 80 as web close-at-eof
 *     at 0s   client connect server:80 as c
 *     at 1s   c send 10kb
 *     at 2s   c close
 *
 * The actions (play_script.c has them):
 *
 *     HOST listen PORT as NAME [backlog=N] [OPTION...]      what it accepts is called NAME1, NAME2 ...
 *     HOST connect HOST:PORT as NAME [local=PORT] [times=N every=TIME]
 *         [close-after=TIME] [OPTION...]                    several are called NAME1, NAME2 ...
 *     HOST crash | down | up | mtu N
 *     HOST flood HOST:PORT count=N every=TIME               SYNs from addresses that do not exist
 *     NAME send SIZE [times=N every=TIME]
 *     NAME hold | read [SIZE]                               a listener: accept no more, accept again
 *     NAME shutdown | close | abort
 *
 *     OPTION: close-at-eof hold nodelay sndbuf=N rcvbuf=N keepalive=IDLE,INTERVAL,COUNT
 *             user-timeout=TIME linger=SECONDS reuse cc=NAME
 *
 * Hosts are joined by links of their own, which take the words of a path (lab.h); a host has one address. All
 * hosts speak one IP version. Applications read what comes unless told to hold, and compare it with what
 * was sent.
 */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <weir/time.h>

struct play;

/* An empty stage; `ip6`: of that version. `record`: keep a tape. NULL when out of memory. */
struct play *wr_play_new(uint64_t seed, weir_time duration, bool ip6, bool record);
void wr_play_free(struct play *play);
/* Takes one statement in: "host", "link" or "at" and their words. False: *why says what is wrong. */
bool wr_play_statement(struct play *play, char **words, size_t n, const char **why);
/* Runs to its end. 0; WEIR_EIO when the net stormed; WEIR_ENOMEM. */
int wr_play_run(struct play *play);
/* Results; see docs/lab.md. The caller decrefs. */
json_t *wr_play_json(const struct play *play);

#endif
