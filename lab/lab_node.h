/* SPDX-License-Identifier: MIT */
#ifndef LAB_NODE_H
#define LAB_NODE_H

/*
 * The laboratory's kernel: packets, nodes, and one queue of moments.
 *
 * A node is three functions, after quicly's simulator: `forward` takes a packet over, `next_run_at`
 * says when the node next wants to run, `run` does what is due then. A node passes packets on to
 * the node behind it with wr_lab_pass(). The net asks a node for its moment after each call of it, so
 * a node never schedules anything itself:
 *
 *     wr_lab_pass(next, packet) -> next->forward -> ... -> wr_lab_pass(its next) | wr_lab_drop()
 *                                      |
 *                                 next_run_at  -> the net's heap of moments -> run
 *
 * Time is the net's `now`, which jumps from moment to moment. Moments that are equal come in the
 * order in which they were asked for. Chains are as deep as a topology has nodes: a host never acts
 * inside forward, it only puts the packet into its inbox.
 *
 * Every node draws random numbers from a stream of its own, seeded with the net's seed and the
 * node's name: a node more in a topology changes no other node's luck.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/addr.h>
#include <weir/time.h>

#include "base/rng.h"
#include "base/timerq.h"
#include "lab/lab_config.h"

/* The moment at which a net starts: not 0, which must not be special to anybody. */
#define LAB_EPOCH (1000 * WEIR_SEC)

/* ---- packets ----------------------------------------------------------------------------------- */

enum { LAB_FLOW_NONE = 0xffff };

/* A packet has one owner: the node that was given it last, until it passes, drops or frees it. */
struct lab_packet {
    struct wr_timer timer;   /* its owner's: when it goes on */
    struct lab_packet *next; /* its owner's list */
    weir_time stamp;         /* when it came into the queue it is in */
    uint32_t len;            /* bytes of the IP packet */
    uint16_t flow;           /* number of the flow it belongs to, or LAB_FLOW_NONE */
    bool ect;                /* ECN-capable transport: ECT(0), ECT(1), or marked already */
    bool ce;                 /* congestion experienced */
    bool has_data;           /* a TCP segment with data */
    bool pure_ack;           /* a TCP segment with neither data nor SYN, FIN, RST */
    uint32_t number;         /* on the net's tape; 0: not there */
    struct weir_addr dst;
    uint8_t *data; /* `len` bytes; packet_bytes of room */
};

struct lab_net;

/* A packet of `len` bytes with undefined content; NULL (counted) when out of memory, or len is more
 * than the net's packet_bytes. */
struct lab_packet *wr_lab_packet_new(struct lab_net *net, size_t len);
void wr_lab_packet_free(struct lab_net *net, struct lab_packet *packet);
/* Fills in what nodes want to know (flow, ect, ce, has_data, pure_ack, dst) from the bytes. Flow i is the one
 * with TCP port LAB_PORT + i at either end, i < n_flows. */
void wr_lab_packet_read(struct lab_packet *packet, unsigned n_flows);
/* Sets CE (RFC 3168 5) and mends the IPv4 header's checksum. The packet must be ect. */
void wr_lab_packet_mark(struct lab_packet *packet);

enum { LAB_PORT = 5000 };

/* A list of packets in the order they came. */
struct lab_fifo {
    struct lab_packet *head, *tail;
    uint32_t packets;
    uint64_t bytes;
};

void wr_lab_fifo_push(struct lab_fifo *fifo, struct lab_packet *packet);
/* NULL when empty. */
struct lab_packet *wr_lab_fifo_pop(struct lab_fifo *fifo);

/* ---- nodes ------------------------------------------------------------------------------------- */

struct lab_node;

struct lab_node_ops {
    /* Takes the packet over. NULL for nodes that no packet goes to. */
    void (*forward)(struct lab_node *node, struct lab_packet *packet, weir_time now);
    /* When run is due; WEIR_TIME_NEVER. Not before net->now, or at net->now to run again at once. */
    weir_time (*next_run_at)(const struct lab_node *node);
    void (*run)(struct lab_node *node, weir_time now);
    /* Gives back what the node holds, packets too; not the node itself. May be NULL. */
    void (*close)(struct lab_node *node);
};

/* Embedded at the front of each kind of node. */
struct lab_node {
    const struct lab_node_ops *ops;
    struct lab_net *net;
    struct lab_node *next;  /* where packets go on to; NULL: they are freed */
    struct lab_node *older; /* the net's list */
    struct wr_timer timer;  /* armed for next_run_at */
    struct wr_rng rng;      /* the node's own */
    char name[48];          /* unique in the net */
};

struct lab_net {
    weir_time now;
    uint64_t seed;
    struct wr_timerq moments;
    struct lab_node *newest;
    struct lab_packet *spare; /* packets to use again */
    size_t packet_bytes;
    uint64_t events;
    bool storm; /* a million runs without time passing: the net has stopped */
    uint64_t dropped[LAB_N_CAUSES];
    unsigned n_flows;
    uint64_t (*flow_dropped)[LAB_N_CAUSES]; /* [n_flows], or NULL; not owned */
    struct lab_tape *tape;                  /* or NULL; not owned */
};

/* Starts at LAB_EPOCH. packet_bytes: the largest packet. */
void wr_lab_net_init(struct lab_net *net, uint64_t seed, size_t packet_bytes);
/* Frees all nodes and packets. */
void wr_lab_net_fini(struct lab_net *net);
/* Makes a node of `size` bytes, zeroed behind its struct lab_node, owned by the net. NULL when out of
 * memory. */
void *wr_lab_node_new(struct lab_net *net, size_t size, const struct lab_node_ops *ops,
                      const char *name);
/* Gives a packet to a node (NULL: it is freed). */
void wr_lab_pass(struct lab_net *net, struct lab_node *node, struct lab_packet *packet);
/* Asks the node anew when it wants to run, after something else than forward or run changed it. */
void wr_lab_rearm(struct lab_node *node);
/* Counts and frees. */
void wr_lab_drop(struct lab_net *net, struct lab_packet *packet, enum lab_cause cause);
/* Runs all that is due up to and at `until`, or until *stop (may be NULL) is true; then net->now is
 * `until`, or the moment of the stop. */
void wr_lab_net_run(struct lab_net *net, weir_time until, const bool *stop);

/* True with a probability of `chance` in 2^32. */
static inline bool wr_lab_chance(struct wr_rng *rng, uint64_t chance)
{
    return chance > 0 && wr_rng_u32(rng) < chance;
}

/* ---- kinds of nodes: each makes one, NULL when out of memory -------------------------------------- */

struct lab_node *wr_lab_delay_new(struct lab_net *net, const char *name,
                                  const struct lab_delay_config *config);

struct lab_node *wr_lab_loss_new(struct lab_net *net, const char *name,
                                 const struct lab_loss_config *config);

struct lab_node *wr_lab_policer_new(struct lab_net *net, const char *name,
                                    const struct lab_policer_config *config);

/* The faults that are told one by one; see node_rules.c. */
struct lab_node *wr_lab_rules_new(struct lab_net *net, const char *name,
                                  const struct lab_rules_config *config);

/* A narrow place: packets longer than mtu do not pass. What it answers to them (ICMP, unless `silent`) goes to
 * `reply`, which may be NULL. */
struct lab_node *wr_lab_narrow_new(struct lab_net *net, const char *name, uint32_t mtu, bool silent,
                                   struct lab_node *reply);

/* Sends each packet to the node that belongs to its destination address. */
struct lab_node *wr_lab_router_new(struct lab_net *net, const char *name);
/* 0, or WEIR_ENOMEM. */
int wr_lab_router_add(struct lab_node *router, const struct weir_addr *dst, struct lab_node *to);

/* ---- a direction of a path ------------------------------------------------------------------------ */

struct lab_direction;

/* The nodes that one direction of a path asks for, from the last to the first; `way` is what their names
 * begin with. *chain: where they lead, then the first of them; *link: the one with the queue. reply: where
 * errors of the path go. False when out of memory. */
bool wr_lab_lay(struct lab_net *net, const char *way, const struct lab_direction *direction,
                struct lab_node *reply, struct lab_node **chain, struct lab_node **link);

#endif
