/* SPDX-License-Identifier: MIT */
/*
 * What is remembered of a peer beyond its connections (Linux's tcp_metrics): its fast open cookie and MSS
 * (RFC 7413 4.1.3), whether SYNs with data were lost (4.1.3.1), and that it is alive, which counts when
 * the SYN queue is nearly full and cookies are off.
 *
 * A record is found by the pair of addresses. There are at most WR_METRICS_MAX; the one that was used
 * longest ago makes room, so a flood of peers costs memory once and memories of old peers at worst.
 */
#include "tcp/tcp.h"
#include "tcp/tcp_host.h"
#include "tcp/tcp_open.h"

struct pair { /* a hash key: no padding */
    struct weir_addr local, remote;
};
static_assert(sizeof(struct pair) == 32, "a hash key must have no padding");

static struct pair pair_of(const struct wr_tuple *tuple)
{
    return (struct pair){tuple->local, tuple->remote};
}

struct wr_metric *wr_metrics_find(const struct weir_stack *stack, const struct wr_tuple *tuple)
{
    const struct wr_metrics *metrics = &stack->tcp->metrics;
    struct pair pair = pair_of(tuple);
    struct wr_hash_node *node =
        wr_hash_first(&metrics->table, wr_hash_of(&metrics->table, &pair, sizeof pair));

    for (; node != NULL; node = wr_hash_next(node)) {
        struct wr_metric *metric = WR_CONTAINER(node, struct wr_metric, node);
        if (weir_addr_eq(&metric->local, &tuple->local) &&
            weir_addr_eq(&metric->remote, &tuple->remote))
            return metric;
    }
    return NULL;
}

static void forget(struct weir_stack *stack, struct wr_metric *metric)
{
    wr_hash_remove(&stack->tcp->metrics.table, &metric->node);
    wr_list_remove(&metric->used);
    wr_free(stack, metric, sizeof *metric);
}

struct wr_metric *wr_metrics_get(struct weir_stack *stack, const struct wr_tuple *tuple)
{
    struct wr_metrics *metrics = &stack->tcp->metrics;
    struct wr_metric *metric = wr_metrics_find(stack, tuple);
    struct pair pair = pair_of(tuple);

    if (metric != NULL) {
        wr_list_remove(&metric->used);
        wr_list_push_back(&metrics->used, &metric->used);
        return metric;
    }
    if (metrics->table.count >= WR_METRICS_MAX)
        forget(stack, WR_CONTAINER(wr_list_first(&metrics->used), struct wr_metric, used));
    metric = wr_zalloc(stack, sizeof *metric);
    if (metric == NULL)
        return NULL;
    metric->local = tuple->local;
    metric->remote = tuple->remote;
    if (!wr_hash_insert(&metrics->table, &metric->node,
                        wr_hash_of(&metrics->table, &pair, sizeof pair))) {
        wr_free(stack, metric, sizeof *metric);
        return NULL;
    }
    wr_list_init(&metric->used);
    wr_list_push_back(&metrics->used, &metric->used);
    return metric;
}

void wr_metrics_alive(struct weir_stack *stack, const struct tcb *tcb)
{
    struct wr_metric *metric;

    if (stack->tunables.tcp_syncookies != 0 || tcb->rtt.srtt == 0)
        return;
    metric = wr_metrics_get(stack, &tcb->tuple);
    if (metric != NULL)
        metric->proven = true;
}

bool wr_metrics_proven(const struct weir_stack *stack, const struct wr_tuple *tuple)
{
    const struct wr_metric *metric = wr_metrics_find(stack, tuple);

    return metric != NULL && metric->proven;
}

void wr_metrics_init(struct weir_stack *stack)
{
    wr_table_init(stack, &stack->tcp->metrics.table, "tcp metrics", UINT32_MAX);
    wr_list_init(&stack->tcp->metrics.used);
}

void weir_metrics_flush(struct weir_stack *stack)
{
    struct wr_list *first;

    while ((first = wr_list_first(&stack->tcp->metrics.used)) != NULL)
        forget(stack, WR_CONTAINER(first, struct wr_metric, used));
}

void wr_metrics_fini(struct weir_stack *stack)
{
    weir_metrics_flush(stack);
    wr_hash_fini(&stack->tcp->metrics.table);
}
