/* SPDX-License-Identifier: MIT */
/* One direction of a path, as nodes:
 *
 *     rules -> narrow place -> policer -> loss of ACKs -> loss -> link with its queue -> delay
 *
 * Those that nothing asks for are left out.
 */
#include <stdio.h>

#include "lab/lab.h"
#include "lab/lab_node.h"
#include "lab/lab_queue.h"

/* Puts a node in front of *chain. */
static bool prepend(struct lab_node **chain, struct lab_node *node)
{
    if (node == NULL)
        return false;
    node->next = *chain;
    *chain = node;
    return true;
}

static bool has_delay(const struct lab_delay_config *delay)
{
    return delay->delay > 0 || delay->jitter > 0 || delay->reorder > 0 || delay->stall_for > 0;
}

static bool has_loss(const struct lab_loss_config *loss)
{
    return loss->loss > 0 || loss->to_bad > 0 || loss->every > 0 || loss->last > 0;
}

static void name_node(char *text, size_t size, const char *way, const char *what)
{
    snprintf(text, size, "%s %s", way, what);
}

bool wr_lab_lay(struct lab_net *net, const char *way, const struct lab_direction *direction,
                struct lab_node *reply, struct lab_node **chain, struct lab_node **link)
{
    struct lab_loss_config acks = {.acks_only = true, .loss = direction->ack_loss};
    char name[48];
    bool ok = true;
    name_node(name, sizeof name, way, "delay");
    if (has_delay(&direction->delay))
        ok = prepend(chain, wr_lab_delay_new(net, name, &direction->delay));
    name_node(name, sizeof name, way, "link");
    ok = ok && prepend(chain, wr_lab_link_new(net, name, &direction->queue));
    *link = *chain;
    name_node(name, sizeof name, way, "loss");
    if (has_loss(&direction->loss))
        ok = ok && prepend(chain, wr_lab_loss_new(net, name, &direction->loss));
    name_node(name, sizeof name, way, "ack loss");
    if (direction->ack_loss > 0)
        ok = ok && prepend(chain, wr_lab_loss_new(net, name, &acks));
    name_node(name, sizeof name, way, "policer");
    if (direction->policer.rate_bps > 0)
        ok = ok && prepend(chain, wr_lab_policer_new(net, name, &direction->policer));
    name_node(name, sizeof name, way, "narrow");
    if (direction->path_mtu > 0)
        ok = ok && prepend(chain, wr_lab_narrow_new(net, name, direction->path_mtu,
                                                    direction->path_is_black, reply));
    name_node(name, sizeof name, way, "rules");
    if (direction->rules.n_rules > 0)
        ok = ok && prepend(chain, wr_lab_rules_new(net, name, &direction->rules));
    return ok;
}
