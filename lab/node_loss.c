/* SPDX-License-Identifier: MIT */
/*
 * Loss that does not come from a queue.
 *
 *     random         each packet is lost with chance `loss`, independently (Bernoulli)
 *     burst          Gilbert and Elliott's two states:
 *
 *                            to_bad
 *                     good ---------> bad       loss in good: `loss`, in bad: `loss_in_bad`
 *                          <---------
 *                            to_good
 *
 *                    The state moves before each packet. In the long run a share of
 *                    to_bad / (to_bad + to_good) of the packets meets the bad state, in runs of
 *                    1 / to_good packets on average.
 *     exact          the packets with data that are numbered first to last
 *     every n-th     exactly periodic loss of packets with data: the model behind the response
 *                    functions of RFC 9438 5 and of Mathis and others (1997)
 *
 * With acks_only all else passes unseen: loss on the way back (pure ACKs).
 */
#include "lab/lab_node.h"

struct loss {
    struct lab_node node; /* first */
    struct lab_loss_config config;
    bool bad;
    uint64_t seen; /* packets with data */
};

static bool is_lost(struct loss *loss, const struct lab_packet *packet)
{
    const struct lab_loss_config *config = &loss->config;
    if (config->acks_only && !packet->pure_ack)
        return false;
    loss->seen += packet->has_data;
    if (packet->has_data && config->every > 0 && loss->seen % config->every == 0)
        return true;
    if (packet->has_data && loss->seen >= config->first && loss->seen <= config->last)
        return true;
    if (config->to_bad > 0) {
        if (wr_lab_chance(&loss->node.rng, loss->bad ? config->to_good : config->to_bad))
            loss->bad = !loss->bad;
        if (loss->bad)
            return wr_lab_chance(&loss->node.rng, config->loss_in_bad);
    }
    return wr_lab_chance(&loss->node.rng, config->loss);
}

static void loss_forward(struct lab_node *node, struct lab_packet *packet, weir_time now)
{
    struct loss *loss = (struct loss *)node;
    (void)now;
    if (is_lost(loss, packet))
        wr_lab_drop(node->net, packet, loss->config.acks_only ? LAB_ACK_LOSS : LAB_LOSS);
    else
        wr_lab_pass(node->net, node->next, packet);
}

static weir_time loss_next_run_at(const struct lab_node *node)
{
    (void)node;
    return WEIR_TIME_NEVER;
}

static const struct lab_node_ops loss_ops = {.forward = loss_forward,
                                             .next_run_at = loss_next_run_at};

struct lab_node *wr_lab_loss_new(struct lab_net *net, const char *name,
                                 const struct lab_loss_config *config)
{
    struct loss *loss = wr_lab_node_new(net, sizeof *loss, &loss_ops, name);
    if (loss == NULL)
        return NULL;
    loss->config = *config;
    return &loss->node;
}
