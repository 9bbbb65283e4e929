/* SPDX-License-Identifier: MIT */
/* The stage of a play: hosts, links, the prompter who has the script. See play.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/stack.h>

#include "lab/play_int.h"

#define WATCH_EACH (10 * WEIR_MS)

enum { WATCH_MAX = 20000 };

struct prompter {
    struct lab_node node; /* first */
    struct play *play;
};

/* ---- the prompter ------------------------------------------------------------------------------- */

static weir_time prompter_next_run_at(const struct lab_node *node)
{
    const struct play *play = ((const struct prompter *)node)->play;
    weir_time at = play->watch_at;
    if (play->next_action < play->n_actions)
        at = weir_time_min(at, play->action[play->next_action].at);
    return at;
}

static void watch(struct play_link *link, weir_time now)
{
    if (link->words.forward.queue.rate_bps == 0 || link->n_series == WATCH_MAX)
        return;
    if (link->n_series == link->room) {
        size_t room = link->room > 0 ? 2 * link->room : 64;
        struct lab_queue_sample *series = realloc(link->series, room * sizeof *series);
        if (series == NULL)
            return;
        link->series = series;
        link->room = room;
    }
    link->series[link->n_series++] = wr_lab_link_sample(link->link[0], now);
}

static void prompter_run(struct lab_node *node, weir_time now)
{
    struct play *play = ((struct prompter *)node)->play;
    while (play->next_action < play->n_actions && play->action[play->next_action].at <= now)
        wr_play_act(play, &play->action[play->next_action++], now);
    if (play->watch_at > now)
        return;
    play->watch_at = now + WATCH_EACH;
    for (unsigned i = 0; i < play->n_links; i++)
        watch(play->link[i], now);
}

static const struct lab_node_ops prompter_ops = {.next_run_at = prompter_next_run_at,
                                                 .run = prompter_run};

/* ---- hosts and links ---------------------------------------------------------------------------- */

static void on_event(void *arg, const struct weir_event *event, weir_time now)
{
    wr_play_event(arg, event, now);
}

static struct weir_addr address(const struct play *play, unsigned number)
{
    if (!play->ip6)
        return weir_addr_v4(0x0a000001 + (number << 8));
    struct weir_addr addr = weir_addr_any6();
    addr.b[0] = 0xfd;
    addr.b[7] = (uint8_t)(number + 1);
    addr.b[15] = 1;
    return addr;
}

int wr_play_find_host(const struct play *play, const char *name)
{
    for (unsigned i = 0; i < play->n_hosts; i++)
        if (strcmp(play->host[i].name, name) == 0)
            return (int)i;
    return -1;
}

int wr_play_dress_host(struct play_host *host)
{
    for (unsigned i = 0; i < host->n_sysctls; i++) {
        char name[96];
        size_t len = strcspn(host->sysctls[i], "=");
        snprintf(name, sizeof name, "%.*s", (int)len, host->sysctls[i]);
        int error = weir_sysctl_write(host->host->stack, name, host->sysctls[i] + len + 1);
        if (error != 0)
            return error;
    }
    return 0;
}

static bool keep_sysctls(struct play_host *host, char **words, size_t n, const char **why)
{
    *why = "a host is: host NAME [net.NAME=VALUE ...], 16 of them at most";
    for (size_t i = 0; i < n; i++) {
        if (strchr(words[i], '=') == NULL || host->n_sysctls == 16)
            return false;
        host->sysctls[host->n_sysctls] = strdup(words[i]);
        if (host->sysctls[host->n_sysctls] == NULL)
            return false;
        host->n_sysctls++;
    }
    return true;
}

static bool add_host(struct play *play, char **words, size_t n, const char **why)
{
    char ways[PLAY_NAME + 8];
    *why = "a host is: host NAME [net.NAME=VALUE ...]; there may be 16";
    if (n < 1 || strlen(words[0]) >= PLAY_NAME || play->n_hosts == PLAY_HOSTS)
        return false;
    *why = "there is a host of that name";
    if (wr_play_find_host(play, words[0]) >= 0)
        return false;
    struct play_host *host = &play->host[play->n_hosts];
    struct weir_addr addr = address(play, play->n_hosts);
    memcpy(host->name, words[0], strlen(words[0]) + 1);
    snprintf(ways, sizeof ways, "%s out", host->name);
    play->n_hosts++;
    host->ways = wr_lab_router_new(&play->net, ways);
    host->host = wr_lab_host_new(&play->net, host->name, &addr, 1500);
    *why = "out of memory";
    if (host->ways == NULL || host->host == NULL)
        return false;
    host->host->node.next = host->ways;
    host->host->on_event = on_event;
    host->host->arg = play;
    host->host->trace = &play->trace;
    host->host->number = (int)play->n_hosts - 1;
    if (!keep_sysctls(host, words + 1, n - 1, why))
        return false;
    *why = "a tunable or its value is not known";
    return wr_play_dress_host(host) == 0;
}

static bool lay_link(struct play *play, struct play_link *link, unsigned a, unsigned b)
{
    struct play_host *ends[2] = {&play->host[a], &play->host[b]};
    const struct lab_direction *ways[2] = {&link->words.forward, &link->words.back};
    for (unsigned i = 0; i < 2; i++) {
        struct lab_node *chain = &ends[!i]->host->node;
        char name[2 * PLAY_NAME];
        snprintf(name, sizeof name, "%s>%s", ends[i]->name, ends[!i]->name);
        if (!wr_lab_lay(&play->net, name, ways[i], &ends[i]->host->node, &chain, &link->link[i]) ||
            wr_lab_router_add(ends[i]->ways, &ends[!i]->host->addr, chain) != 0)
            return false;
    }
    return true;
}

static bool add_link(struct play *play, char **words, size_t n, const char **why)
{
    int a = n >= 2 ? wr_play_find_host(play, words[0]) : -1;
    int b = n >= 2 ? wr_play_find_host(play, words[1]) : -1;
    *why = "a link is: link HOST HOST [rtt=20ms rate=10mbit ...], between two hosts above it";
    if (a < 0 || b < 0 || a == b)
        return false;
    *why = "there are too many links, or too little memory";
    if (play->n_links == PLAY_LINKS)
        return false;
    struct play_link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return false;
    play->link[play->n_links++] = link;
    snprintf(link->name, sizeof link->name, "%s-%s", words[0], words[1]);
    wr_lab_scenario_default(&link->words);
    for (size_t i = 2; i < n; i++)
        if (!wr_lab_scenario_word(&link->words, words[i], why))
            return false;
    *why = wr_lab_scenario_check(&link->words);
    if (*why != NULL)
        return false;
    wr_lab_scenario_complete(&link->words);
    if (link->words.forward.queue.rate_bps > 0 && play->watch_at == WEIR_TIME_NEVER)
        play->watch_at = LAB_EPOCH;
    *why = "out of memory";
    return lay_link(play, link, (unsigned)a, (unsigned)b);
}

/* ---- life --------------------------------------------------------------------------------------- */

struct play *wr_play_new(uint64_t seed, weir_time duration, bool ip6, bool record)
{
    struct play *play = calloc(1, sizeof *play);
    if (play == NULL)
        return NULL;
    play->duration = duration;
    play->ip6 = ip6;
    play->trace = UINT64_C(0xcbf29ce484222325);
    play->watch_at = WEIR_TIME_NEVER;
    wr_lab_net_init(&play->net, seed, 65535);
    struct wr_rng rng;
    wr_rng_init_u64(&rng, seed);
    wr_rng_bytes(&rng, play->pattern, PLAY_SEED_BYTES);
    memcpy(play->pattern + PLAY_SEED_BYTES, play->pattern, PLAY_SEED_BYTES);
    struct prompter *prompter =
        wr_lab_node_new(&play->net, sizeof *prompter, &prompter_ops, "prompter");
    if (record)
        play->net.tape = wr_lab_tape_new();
    if (prompter == NULL || (record && play->net.tape == NULL)) {
        wr_play_free(play);
        return NULL;
    }
    prompter->play = play;
    play->prompter = &prompter->node;
    return play;
}

void wr_play_free(struct play *play)
{
    if (play == NULL)
        return;
    wr_lab_tape_free(play->net.tape);
    play->net.tape = NULL;
    wr_lab_net_fini(&play->net);
    for (unsigned i = 0; i < play->n_hosts; i++)
        for (unsigned j = 0; j < play->host[i].n_sysctls; j++)
            free(play->host[i].sysctls[j]);
    for (unsigned i = 0; i < play->n_links; i++) {
        free(play->link[i]->series);
        free(play->link[i]);
    }
    free(play->sock);
    free(play->action);
    free(play);
}

bool wr_play_statement(struct play *play, char **words, size_t n, const char **why)
{
    if (strcmp(words[0], "host") == 0)
        return add_host(play, words + 1, n - 1, why);
    if (strcmp(words[0], "link") == 0)
        return add_link(play, words + 1, n - 1, why);
    if (strcmp(words[0], "at") == 0)
        return wr_play_read_action(play, words + 1, n - 1, why);
    *why = "is none of host, link, at";
    return false;
}

static int by_time(const void *a, const void *b)
{
    const struct play_action *x = a, *y = b;
    if (x->at != y->at)
        return (x->at > y->at) - (x->at < y->at);
    return (x->order > y->order) - (x->order < y->order);
}

int wr_play_run(struct play *play)
{
    if (play->n_actions > 0)
        qsort(play->action, play->n_actions, sizeof *play->action, by_time);
    wr_lab_rearm(play->prompter);
    wr_lab_net_run(&play->net, LAB_EPOCH + play->duration, &play->failed);
    wr_play_settle(play, play->net.now);
    for (unsigned i = 0; i < play->n_links; i++)
        for (unsigned j = 0; j < 2; j++)
            wr_lab_link_settle(play->link[i]->link[j]);
    if (play->failed)
        return WEIR_ENOMEM;
    return play->net.storm ? WEIR_EIO : 0;
}
