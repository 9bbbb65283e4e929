/* SPDX-License-Identifier: MIT */
/*
 * Scenarios as words, "key=value", one function a key. Values are read into integers exactly: "1.5mbit"
 * is 1500000, "1%" is floor(2^32 / 100); nothing goes through floating point.
 *
 * A scenario file is a matter of splitting lines into such words.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/lab.h"

/* ---- numbers with units ------------------------------------------------------------------------------ */

/* value * mul / div. The first unit of a table is meant when none is written, unless it is "!". */
struct unit {
    const char *name;
    uint64_t mul, div;
};

static const struct unit time_units[] = {{"!", 0, 1},          {"ns", 1, 1},
                                         {"us", 1000, 1},      {"ms", 1000000, 1},
                                         {"s", 1000000000, 1}, {"min", 60000000000, 1},
                                         {NULL, 0, 0}};
static const struct unit rate_units[] = {
    {"bit", 1, 1}, {"kbit", 1000, 1}, {"mbit", 1000000, 1}, {"gbit", 1000000000, 1}, {NULL, 0, 0}};
static const struct unit size_units[] = {
    {"b", 1, 1}, {"kb", 1000, 1}, {"mb", 1000000, 1}, {"gb", 1000000000, 1}, {NULL, 0, 0}};
static const struct unit share_units[] = {{"", LAB_ONE, 1}, {"%", LAB_ONE, 100}, {NULL, 0, 0}};
static const struct unit queue_units[] = {{"", 1, 1},      {"p", 1, 1},        {"b", 1, 1},
                                          {"kb", 1000, 1}, {"mb", 1000000, 1}, {"bdp", 100, 1},
                                          {NULL, 0, 0}};
static const struct unit count_units[] = {{"", 1, 1}, {NULL, 0, 0}};

/* Reads one number and its unit up to ',' or the end, and moves *text behind it (and a comma). */
static bool read_unit(const char **text, const struct unit *units, uint64_t *value,
                      const struct unit **which)
{
    const char *p = *text;
    unsigned __int128 digits = 0;
    uint64_t scale = 1;
    size_t n = 0;
    for (; *p >= '0' && *p <= '9' && n < 18; p++, n++)
        digits = digits * 10 + (unsigned)(*p - '0');
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9' && n < 18; p++, n++, scale *= 10)
            digits = digits * 10 + (unsigned)(*p - '0');
    size_t len = strcspn(p, ",");
    const struct unit *unit = units;
    if (len > 0 || strcmp(units->name, "!") == 0)
        while (unit->name != NULL &&
               (strlen(unit->name) != len || strncmp(unit->name, p, len) != 0))
            unit++;
    if (n == 0 || unit->name == NULL || strcmp(p + len, ",") == 0)
        return false;
    unsigned __int128 result = digits * unit->mul / ((unsigned __int128)unit->div * scale);
    if (result > (uint64_t)INT64_MAX)
        return false;
    *value = (uint64_t)result;
    *text = p + len + (p[len] == ',');
    if (which != NULL)
        *which = unit;
    return true;
}

static bool read_number(const char **text, const struct unit *units, uint64_t *value)
{
    return read_unit(text, units, value, NULL);
}

static bool read_time(const char **text, weir_time *t)
{
    uint64_t value;
    if (!read_number(text, time_units, &value) || value > (uint64_t)LAB_TIME_MAX)
        return false;
    *t = (weir_time)value;
    return true;
}

static bool read_share(const char **text, uint64_t *share)
{
    return read_number(text, share_units, share) && *share <= LAB_ONE;
}

/* The whole value is one of that kind. */
static bool whole(const char *text, const struct unit *units, uint64_t *value)
{
    return read_number(&text, units, value) && *text == '\0';
}

static bool whole_time(const char *text, weir_time *t)
{
    return read_time(&text, t) && *text == '\0';
}

static bool whole_share(const char *text, uint64_t *share)
{
    return read_share(&text, share) && *text == '\0';
}

bool wr_lab_read_time(const char *text, weir_time *t)
{
    return whole_time(text, t);
}

bool wr_lab_read_size(const char *text, uint64_t *bytes)
{
    return whole(text, size_units, bytes);
}

bool wr_lab_read_count(const char *text, uint64_t *n)
{
    return whole(text, count_units, n);
}

bool wr_lab_read_rate(const char *text, uint64_t *bps)
{
    return whole(text, rate_units, bps);
}

/* ---- the keys -------------------------------------------------------------------------------------------- */

/* A key's function: false when the value is none. */
typedef bool setter(struct lab_scenario *s, const char *v);

static bool set_seed(struct lab_scenario *s, const char *v)
{
    char *end;
    errno = 0;
    s->seed = strtoull(v, &end, 0);
    return errno == 0 && *v >= '0' && *v <= '9' && *end == '\0';
}

static bool set_duration(struct lab_scenario *s, const char *v)
{
    return whole_time(v, &s->duration) && s->duration > 0;
}

static bool set_warmup(struct lab_scenario *s, const char *v)
{
    return whole_time(v, &s->warmup);
}

static bool set_sample(struct lab_scenario *s, const char *v)
{
    return strcmp(v, "0") == 0 ? (s->sample = 0, true) : whole_time(v, &s->sample);
}

static bool set_topology(struct lab_scenario *s, const char *v)
{
    s->topology = strcmp(v, "dumbbell") == 0 ? LAB_DUMBBELL : LAB_PATH;
    return strcmp(v, "dumbbell") == 0 || strcmp(v, "path") == 0;
}

static bool set_flows(struct lab_scenario *s, const char *v)
{
    uint64_t n;
    if (!whole(v, count_units, &n) || n == 0 || n > LAB_FLOWS_MAX)
        return false;
    s->n_flows = (unsigned)n;
    return true;
}

static bool set_stagger(struct lab_scenario *s, const char *v)
{
    return whole_time(v, &s->stagger);
}

static bool set_spread(struct lab_scenario *s, const char *v)
{
    return whole_time(v, &s->spread);
}

static bool set_ip(struct lab_scenario *s, const char *v)
{
    s->ip6 = strcmp(v, "6") == 0;
    return s->ip6 || strcmp(v, "4") == 0;
}

static bool set_mtu(struct lab_scenario *s, const char *v)
{
    uint64_t n;
    if (!whole(v, count_units, &n) || n < 576 || n > 65535)
        return false;
    s->mtu = (uint32_t)n;
    return true;
}

static bool set_rate(struct lab_scenario *s, const char *v)
{
    return whole(v, rate_units, &s->forward.queue.rate_bps);
}

static bool set_back_rate(struct lab_scenario *s, const char *v)
{
    return whole(v, rate_units, &s->back.queue.rate_bps);
}

static bool set_rtt(struct lab_scenario *s, const char *v)
{
    weir_time rtt;
    if (!whole_time(v, &rtt))
        return false;
    s->forward.delay.delay = rtt / 2;
    s->back.delay.delay = rtt - rtt / 2;
    return true;
}

static bool set_delay(struct lab_scenario *s, const char *v)
{
    return whole_time(v, &s->forward.delay.delay);
}

static bool set_back_delay(struct lab_scenario *s, const char *v)
{
    return whole_time(v, &s->back.delay.delay);
}

static bool read_jitter(struct lab_delay_config *delay, const char *v)
{
    if (!read_time(&v, &delay->jitter))
        return false;
    delay->jitter_reorders = strcmp(v, "free") == 0;
    return delay->jitter_reorders || *v == '\0';
}

static bool set_jitter(struct lab_scenario *s, const char *v)
{
    return read_jitter(&s->forward.delay, v);
}

static bool set_back_jitter(struct lab_scenario *s, const char *v)
{
    return read_jitter(&s->back.delay, v);
}

static bool set_reorder(struct lab_scenario *s, const char *v)
{
    struct lab_delay_config *delay = &s->forward.delay;
    delay->reorder_delay = 3 * WEIR_MS;
    return read_share(&v, &delay->reorder) &&
           (*v == '\0' || (read_time(&v, &delay->reorder_delay) && *v == '\0'));
}

static bool set_stall(struct lab_scenario *s, const char *v)
{
    struct lab_delay_config *delay = &s->forward.delay;
    return read_time(&v, &delay->stall_at) && read_time(&v, &delay->stall_for) && *v == '\0';
}

static bool set_loss(struct lab_scenario *s, const char *v)
{
    return whole_share(v, &s->forward.loss.loss);
}

static bool set_back_loss(struct lab_scenario *s, const char *v)
{
    return whole_share(v, &s->back.loss.loss);
}

static bool set_burst_loss(struct lab_scenario *s, const char *v)
{
    struct lab_loss_config *loss = &s->forward.loss;
    loss->loss_in_bad = LAB_ONE;
    return read_share(&v, &loss->to_bad) && read_share(&v, &loss->to_good) && loss->to_good > 0 &&
           (*v == '\0' || (read_share(&v, &loss->loss_in_bad) && *v == '\0'));
}

static bool set_loss_every(struct lab_scenario *s, const char *v)
{
    return whole(v, count_units, &s->forward.loss.every);
}

/* "9-10", or one number. */
static bool set_lose(struct lab_scenario *s, const char *v)
{
    struct lab_loss_config *loss = &s->forward.loss;
    char *end;
    if (*v < '1' || *v > '9')
        return false;
    errno = 0;
    loss->first = loss->last = strtoull(v, &end, 10);
    if (*end == '-' && end[1] >= '1' && end[1] <= '9')
        loss->last = strtoull(end + 1, &end, 10);
    return errno == 0 && *end == '\0' && loss->first <= loss->last;
}

static bool set_ack_loss(struct lab_scenario *s, const char *v)
{
    return whole_share(v, &s->back.ack_loss);
}

static bool set_policer(struct lab_scenario *s, const char *v)
{
    struct lab_policer_config *policer = &s->forward.policer;
    return read_number(&v, rate_units, &policer->rate_bps) && policer->rate_bps > 0 &&
           read_number(&v, size_units, &policer->burst_bytes) && *v == '\0';
}

/* "1200", "1200,silent" */
static bool read_path_mtu(struct lab_direction *direction, const char *v)
{
    uint64_t mtu;
    if (!read_number(&v, count_units, &mtu) || mtu < 68 || mtu > 65535)
        return false;
    direction->path_mtu = (uint32_t)mtu;
    direction->path_is_black = strcmp(v, "silent") == 0;
    return direction->path_is_black || *v == '\0';
}

static bool set_path_mtu(struct lab_scenario *s, const char *v)
{
    return read_path_mtu(&s->forward, v);
}

static bool set_back_path_mtu(struct lab_scenario *s, const char *v)
{
    return read_path_mtu(&s->back, v);
}

static bool set_rules(struct lab_scenario *s, const char *v)
{
    return wr_lab_read_rules(v, &s->forward.rules);
}

static bool set_back_rules(struct lab_scenario *s, const char *v)
{
    return wr_lab_read_rules(v, &s->back.rules);
}

static bool read_queue(struct lab_queue_config *queue, const char *v, uint64_t *bdp_percent)
{
    const struct unit *unit;
    uint64_t n;
    if (!read_unit(&v, queue_units, &n, &unit) || *v != '\0' || n == 0 || n > UINT32_MAX)
        return false;
    assert(queue != NULL);
    bool packets = unit->name[0] == '\0' || unit->name[0] == 'p';
    bool bdp = strcmp(unit->name, "bdp") == 0;
    *bdp_percent = bdp ? n : 0;
    queue->limit_packets = packets ? (uint32_t)n : 0;
    queue->limit_bytes = packets || bdp ? 0 : n;
    return true;
}

static bool set_queue(struct lab_scenario *s, const char *v)
{
    return read_queue(&s->forward.queue, v, &s->queue_bdp_percent);
}

static bool set_back_queue(struct lab_scenario *s, const char *v)
{
    uint64_t bdp_percent;
    return read_queue(&s->back.queue, v, &bdp_percent) && bdp_percent == 0;
}

static bool read_red(struct lab_queue_config *queue, const char *v)
{
    uint64_t min, max;
    queue->kind = LAB_RED;
    if (*v == '\0')
        return true;
    if (!read_number(&v, count_units, &min) || !read_number(&v, count_units, &max) || min == 0 ||
        min >= max || max > 1000000)
        return false;
    queue->red.min_packets = (uint32_t)min;
    queue->red.max_packets = (uint32_t)max;
    return *v == '\0' || (read_share(&v, &queue->red.max_p) && *v == '\0');
}

static bool read_codel(struct lab_queue_config *queue, const char *v)
{
    queue->kind = LAB_CODEL;
    if (*v == '\0')
        return true;
    return read_time(&v, &queue->codel.target) && read_time(&v, &queue->codel.interval) &&
           *v == '\0' && queue->codel.interval > 0 && queue->codel.interval <= 4 * WEIR_SEC;
}

static bool set_aqm(struct lab_scenario *s, const char *v)
{
    struct lab_queue_config *queue = &s->forward.queue;
    size_t len = strcspn(v, ",");
    const char *rest = v + len + (v[len] == ',');
    if (len == 3 && strncmp(v, "red", len) == 0)
        return read_red(queue, rest);
    if (len == 5 && strncmp(v, "codel", len) == 0)
        return read_codel(queue, rest);
    queue->kind = LAB_DROPTAIL;
    return strcmp(v, "droptail") == 0;
}

static bool set_ecn(struct lab_scenario *s, const char *v)
{
    s->forward.queue.ecn = strcmp(v, "on") == 0;
    return s->forward.queue.ecn || strcmp(v, "off") == 0;
}

static bool set_traffic(struct lab_scenario *s, const char *v)
{
    static const char *const names[] = {
        [LAB_BULK] = "bulk", [LAB_RR] = "rr", [LAB_ONOFF] = "onoff"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(v, names[i]) == 0) {
            s->traffic = (enum lab_traffic)i;
            return true;
        }
    }
    return false;
}

static bool set_bytes(struct lab_scenario *s, const char *v)
{
    return whole(v, size_units, &s->bytes);
}

static bool set_request(struct lab_scenario *s, const char *v)
{
    return whole(v, size_units, &s->request) && s->request > 0;
}

static bool set_response(struct lab_scenario *s, const char *v)
{
    return whole(v, size_units, &s->response) && s->response > 0;
}

static bool set_think(struct lab_scenario *s, const char *v)
{
    return whole_time(v, &s->think);
}

static bool set_count(struct lab_scenario *s, const char *v)
{
    return whole(v, count_units, &s->count);
}

static bool set_on(struct lab_scenario *s, const char *v)
{
    return whole_time(v, &s->on) && s->on > 0;
}

static bool set_off(struct lab_scenario *s, const char *v)
{
    return whole_time(v, &s->off) && s->off > 0;
}

static bool set_cc(struct lab_scenario *s, const char *v)
{
    s->n_ccs = 0;
    while (*v != '\0') {
        size_t len = strcspn(v, ",");
        if (len == 0 || len >= sizeof s->cc[0] || s->n_ccs == LAB_CCS_MAX ||
            strcmp(v + len, ",") == 0)
            return false;
        memcpy(s->cc[s->n_ccs], v, len);
        s->cc[s->n_ccs++][len] = '\0';
        v += len + (v[len] == ',');
    }
    return s->n_ccs > 0;
}

static const struct key {
    const char *name;
    setter *set;
} keys[] = {
    {"seed", set_seed},
    {"time", set_duration},
    {"warmup", set_warmup},
    {"sample", set_sample},
    {"topology", set_topology},
    {"flows", set_flows},
    {"stagger", set_stagger},
    {"spread", set_spread},
    {"ip", set_ip},
    {"mtu", set_mtu},
    {"rate", set_rate},
    {"back-rate", set_back_rate},
    {"rtt", set_rtt},
    {"delay", set_delay},
    {"back-delay", set_back_delay},
    {"jitter", set_jitter},
    {"back-jitter", set_back_jitter},
    {"reorder", set_reorder},
    {"stall", set_stall},
    {"loss", set_loss},
    {"back-loss", set_back_loss},
    {"burst-loss", set_burst_loss},
    {"loss-every", set_loss_every},
    {"lose", set_lose},
    {"ack-loss", set_ack_loss},
    {"policer", set_policer},
    {"rules", set_rules},
    {"back-rules", set_back_rules},
    {"path-mtu", set_path_mtu},
    {"back-path-mtu", set_back_path_mtu},
    {"queue", set_queue},
    {"back-queue", set_back_queue},
    {"aqm", set_aqm},
    {"ecn", set_ecn},
    {"traffic", set_traffic},
    {"bytes", set_bytes},
    {"request", set_request},
    {"response", set_response},
    {"think", set_think},
    {"count", set_count},
    {"on", set_on},
    {"off", set_off},
    {"cc", set_cc},
};

const char *wr_lab_scenario_help(void)
{
    return "network\n"
           "  rate=100mbit       of the bottleneck; without it links have no limit\n"
           "  rtt=50ms           half of it each way; delay= and back-delay= set one way\n"
           "  queue=100          of the bottleneck: packets, or 64kb, or 1bdp (rate * rtt)\n"
           "  aqm=droptail       or red[,MIN,MAX[,CHANCE]] or codel[,TARGET,INTERVAL]\n"
           "  ecn=on             mark packets that are ECN-capable where aqm would drop\n"
           "  jitter=15ms[,free] uniform, each way of it; \"free\" lets packets overtake; back-jitter=\n"
           "  reorder=5%[,3ms]   this share of packets is held back, 3 ms\n"
           "  loss=1%            random; back-loss= of the other way\n"
           "  burst-loss=P,R[,L] Gilbert-Elliott: to bad, to good, loss in bad (100 %)\n"
           "  loss-every=100     exactly each 100th packet with data\n"
           "  lose=9-10          exactly these packets with data, of all flows\n"
           "  ack-loss=20%       of pure ACKs\n"
           "  policer=10mbit,30kb\n"
           "                     token bucket: rate and depth; what exceeds it is dropped\n"
           "  rules='drop syn 1; dup data 2 30s; delay data 5-7 20ms; corrupt fin 1'\n"
           "                     exact faults: of data, syn, synack, ack, fin, rst, frame; back-rules=\n"
           "  path-mtu=1200[,silent]\n"
           "                     a narrow place that says so by ICMP, or does not; back-path-mtu=\n"
           "  stall=5s,500ms     nothing arrives for so long, from then on\n"
           "  back-rate= back-queue=\n"
           "                     a bottleneck for the way back\n"
           "  mtu=1500 ip=4      or ip=6\n"
           "  topology=path      one pair of hosts; dumbbell: a pair for each flow,\n"
           "  spread=10ms        flow i with i times so much more round trip\n"
           "flows\n"
           "  flows=1 stagger=0s flow i begins i times so late\n"
           "  cc=cubic           or a list: flow i uses the i-th, around\n"
           "  traffic=bulk       bytes=1mb: so much; without: as much as goes\n"
           "  traffic=rr         request=100b response=10kb think=0ms count=1000\n"
           "  traffic=onoff      on=500ms off=500ms: means of exponential periods\n"
           "  net.NAME=N         a tunable, on all hosts\n"
           "run\n"
           "  time=10s warmup=0s steady rates count from warmup on\n"
           "  sample=100ms       between two rows of the time series; 0: none\n"
           "  seed=1\n";
}

/* ---- the whole ------------------------------------------------------------------------------------------- */

void wr_lab_scenario_default(struct lab_scenario *scenario)
{
    static const struct lab_queue_config queue = {
        .red = {.min_packets = 5, .max_packets = 15, .max_p = LAB_ONE / 10, .weight_log2 = 9},
        .codel = {.target = 5 * WEIR_MS, .interval = 100 * WEIR_MS, .mtu = 1500},
    };
    *scenario = (struct lab_scenario){
        .seed = 1,
        .duration = 10 * WEIR_SEC,
        .sample = 100 * WEIR_MS,
        .n_flows = 1,
        .mtu = 1500,
        .forward.queue = queue,
        .back.queue = queue,
        .request = 100,
        .response = 10000,
        .on = 500 * WEIR_MS,
        .off = 500 * WEIR_MS,
    };
}

static bool take_sysctl(struct lab_scenario *scenario, const char *word, size_t name_len)
{
    struct lab_sysctl *sysctl = &scenario->sysctl[scenario->n_sysctls];
    const char *value = word + name_len + 1;
    if (scenario->n_sysctls == LAB_SYSCTLS_MAX || name_len >= sizeof sysctl->name ||
        *value == '\0' || strlen(value) >= sizeof sysctl->value)
        return false;
    memcpy(sysctl->name, word, name_len);
    sysctl->name[name_len] = '\0';
    memcpy(sysctl->value, value, strlen(value) + 1);
    scenario->n_sysctls++;
    return true;
}

/* For the replay line, which names the seed itself. */
static bool keep_word(struct lab_scenario *scenario, const char *word)
{
    if (strncmp(word, "seed=", 5) == 0)
        return true;
    if (scenario->n_words == LAB_WORDS_MAX || strlen(word) >= sizeof scenario->word[0])
        return false;
    memcpy(scenario->word[scenario->n_words++], word, strlen(word) + 1);
    return true;
}

bool wr_lab_scenario_word(struct lab_scenario *scenario, const char *word, const char **why)
{
    size_t len = strcspn(word, "=");
    *why = "is not key=value";
    if (word[len] != '=')
        return false;
    if (strncmp(word, "net.", 4) == 0 || strncmp(word, "weir.", 5) == 0) {
        *why = "has no value or a long one, or there are too many tunables";
        return take_sysctl(scenario, word, len) && keep_word(scenario, word);
    }
    *why = "has a key that is not known";
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strlen(keys[i].name) != len || strncmp(keys[i].name, word, len) != 0)
            continue;
        *why = "has a value that does not fit its key";
        if (!keys[i].set(scenario, word + len + 1))
            return false;
        *why = "is too long, or there are too many words";
        return keep_word(scenario, word);
    }
    return false;
}

const char *wr_lab_scenario_check(const struct lab_scenario *s)
{
    if (s->warmup >= s->duration)
        return "warmup must be shorter than time";
    if (s->sample > 0 && s->duration / s->sample >= LAB_SAMPLES_MAX)
        return "too many samples: make sample= longer";
    if (s->sample > 0 && s->duration / s->sample * s->n_flows >= LAB_ROWS_MAX)
        return "too many samples of so many flows: make sample= longer";
    if (s->queue_bdp_percent > 0 && s->forward.queue.rate_bps == 0)
        return "queue=...bdp needs a rate";
    if (s->forward.queue.rate_bps == 0 && s->forward.queue.kind != LAB_DROPTAIL)
        return "aqm needs a rate: without one there is no queue";
    if (s->ip6 && s->mtu < 1280)
        return "IPv6 needs an mtu of 1280 or more";
    if (s->spread > 0 && s->topology != LAB_DUMBBELL)
        return "spread needs topology=dumbbell";
    if (s->n_flows == 0 || s->n_flows > LAB_FLOWS_MAX || s->mtu < 68)
        return "flows or mtu out of range";
    return NULL;
}

void wr_lab_scenario_complete(struct lab_scenario *scenario)
{
    struct lab_direction *directions[] = {&scenario->forward, &scenario->back};
    weir_time rtt = scenario->forward.delay.delay + scenario->back.delay.delay;
    unsigned __int128 bdp_bits =
        (unsigned __int128)scenario->forward.queue.rate_bps * (uint64_t)rtt / (uint64_t)WEIR_SEC;
    if (scenario->queue_bdp_percent > 0) {
        unsigned __int128 bytes = bdp_bits / 8 * scenario->queue_bdp_percent / 100;
        scenario->forward.queue.limit_packets = 0;
        scenario->forward.queue.limit_bytes = bytes > INT64_MAX       ? INT64_MAX
                                              : bytes > scenario->mtu ? (uint64_t)bytes
                                                                      : scenario->mtu;
    }
    for (int i = 0; i < 2; i++) {
        struct lab_queue_config *queue = &directions[i]->queue;
        if (queue->limit_packets == 0 && queue->limit_bytes == 0)
            queue->limit_packets = 1000;
        queue->codel.mtu = scenario->mtu;
    }
}
