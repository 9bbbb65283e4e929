/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_HOST_WORLD_H
#define FUZZ_HOST_WORLD_H

/* The host of fuzz_host.c and what is around it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/link.h>
#include <weir/socket.h>
#include <weir/stack.h>

#include "fuzz/fuzz_input.h"

enum { SOCKS = 12, FLOWS = 8, FRAME_MAX = 70000, MEM_MAX = 24 << 20 };

/* What was seen of a connection from outside: the host's last segment. */
struct flow {
    struct weir_addr us, peer;
    uint16_t us_port, peer_port;
    uint32_t next, ack; /* after the segment; what the host has acknowledged */
    bool has_ts;
    uint32_t ts_val; /* the host's latest */
};

struct world {
    struct weir_stack *stack;
    weir_time now;
    int ether, tun;
    int guest; /* 0: none */
    struct weir_link
        *wire[2]; /* NULL, or what comes in at tun0 passes them, in pieces that are joined */
    bool answers; /* the peer answers ARP and neighbour solicitations */
    weir_sock socks[SOCKS];
    struct flow flows[FLOWS];
    unsigned n_flows;
    uint8_t last[2048]; /* the host's last IP packet */
    size_t last_len;
    size_t live, calls, fail_at, fail_count;
};

extern const uint8_t us_mac[6], peer_mac[6];

/* ---- host_world.c: the host, and what comes out of it ---------------------------------------------- */

/* A host with interfaces, addresses and sockets; `how`: the variant. */
void make_world(struct world *w, uint8_t how);
void free_world(struct world *w);
struct weir_addr addr(const char *text);
/* A frame that comes in; gso_size and vouched as in struct weir_frame. */
void feed(struct world *w, int ifindex, const uint8_t *p, size_t len, bool vouched,
          uint16_t gso_size);
/* Takes all frames and events; frames must be well-formed, the host must come to rest. */
void drain(struct world *w);
void run_until(struct world *w, weir_time until);

/* ---- host_traffic.c: what others send -------------------------------------------------------------- */

struct weir_addr choose_us(uint8_t which);
struct weir_addr choose_peer(uint8_t which, bool v4);
void op_tcp(struct world *w, struct input *in);
void op_tcp_new(struct world *w, struct input *in);
void op_udp(struct world *w, struct input *in);
void op_icmp_error(struct world *w, struct input *in);
void op_icmp(struct world *w, struct input *in);
void op_ndp(struct world *w, struct input *in);
void op_arp(struct world *w, struct input *in);
void op_fragment(struct world *w, struct input *in);
void op_reflect(struct world *w, struct input *in);
void op_raw(struct world *w, struct input *in, int ifindex);
void op_guest(struct world *w, struct input *in);

/* ---- host_app.c: what the application and the administrator do ------------------------------------- */

void op_sock(struct world *w, struct input *in);
void op_config(struct world *w, struct input *in);
/* The table of all sockets has an end. */
void sock_table(struct world *w);

#endif
