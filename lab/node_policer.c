/* SPDX-License-Identifier: MIT */
/*
 * A policer: a token bucket without a queue. Tokens come in at the rate up to the bucket's depth; a
 * packet that finds fewer tokens than it has bytes is dropped and takes none, all else passes at once.
 *
 * Tokens are counted in bits * 10^9, so that rate * nanoseconds needs no division and nothing is ever
 * rounded away. The depth is bounded by 10^9 bytes, which keeps the products in 64 bits.
 */
#include "lab/lab_node.h"

#define TOKENS_PER_BYTE (8 * UINT64_C(1000000000))
#define BURST_MAX_BYTES UINT64_C(1000000000)

struct policer {
    struct lab_node node; /* first */
    uint64_t rate_bps;
    uint64_t depth, tokens;
    weir_time filled_at;
};

static void fill(struct policer *policer, weir_time now)
{
    uint64_t elapsed = (uint64_t)(now - policer->filled_at);
    uint64_t room = policer->depth - policer->tokens;
    policer->filled_at = now;
    if (elapsed > room / policer->rate_bps)
        policer->tokens = policer->depth;
    else
        policer->tokens += elapsed * policer->rate_bps;
}

static void policer_forward(struct lab_node *node, struct lab_packet *packet, weir_time now)
{
    struct policer *policer = (struct policer *)node;
    uint64_t need = packet->len * TOKENS_PER_BYTE;
    fill(policer, now);
    if (need > policer->tokens) {
        wr_lab_drop(node->net, packet, LAB_POLICER);
        return;
    }
    policer->tokens -= need;
    wr_lab_pass(node->net, node->next, packet);
}

static weir_time policer_next_run_at(const struct lab_node *node)
{
    (void)node;
    return WEIR_TIME_NEVER;
}

static const struct lab_node_ops policer_ops = {.forward = policer_forward,
                                                .next_run_at = policer_next_run_at};

struct lab_node *wr_lab_policer_new(struct lab_net *net, const char *name,
                                    const struct lab_policer_config *config)
{
    struct policer *policer = wr_lab_node_new(net, sizeof *policer, &policer_ops, name);
    if (policer == NULL)
        return NULL;
    uint64_t burst = config->burst_bytes < BURST_MAX_BYTES ? config->burst_bytes : BURST_MAX_BYTES;
    policer->rate_bps = config->rate_bps;
    policer->depth = burst * TOKENS_PER_BYTE;
    policer->tokens = policer->depth;
    policer->filled_at = net->now;
    return &policer->node;
}
