/* SPDX-License-Identifier: MIT */
/* `weir lab`: a network in virtual time, what its flows reached, and the line that shows it again. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "lab/lab.h"

struct wish {
    struct lab_scenario scenario;
    const char *json; /* file name, "-" for standard output, or NULL */
    bool help;
};

static void usage(FILE *out)
{
    fputs(
        "usage: weir lab [--seed N] [--json FILE] [KEY=VALUE...]\n\n"
        "Runs TCP flows over a network in virtual time and prints what they reached. The same words\n"
        "and seed give the same run on every machine. --json writes all results with their time\n"
        "series to FILE (\"-\": standard output, instead of the table).\n\n"
        "    weir lab rate=100mbit rtt=50ms loss=1% flows=4 cc=reno time=30s\n\n",
        out);
    fputs(wr_lab_scenario_help(), out);
}

/* The value of "--name VALUE" or "--name=VALUE" at argv[*i]; NULL: it is another option. */
static const char *option_value(const char *name, int argc, char **argv, int *i)
{
    size_t len = strlen(name);
    const char *word = argv[*i];
    if (!word || strncmp(word, name, len) != 0)
        return NULL;
    if (word[len] == '=')
        return word + len + 1;
    if (word[len] != '\0')
        return NULL;
    const char *value = *i + 1 < argc ? argv[*i + 1] : NULL;
    if (value == NULL)
        return "";
    ++*i;
    return value;
}

static bool take_word(struct wish *wish, const char *word)
{
    const char *why;
    if (wr_lab_scenario_word(&wish->scenario, word, &why))
        return true;
    wr_cli_error("lab: \"%s\" %s; `weir lab --help` lists the keys", word, why);
    return false;
}

static bool read_words(struct wish *wish, int argc, char **argv)
{
    wr_lab_scenario_default(&wish->scenario);
    for (int i = 1; i < argc; i++) {
        const char *value;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            wish->help = true;
            return true;
        }
        if ((value = option_value("--seed", argc, argv, &i)) != NULL) {
            if (!wr_cli_seed(value, &wish->scenario.seed)) {
                wr_cli_error("lab: the seed must be a number, not \"%s\"", value);
                return false;
            }
        } else if ((value = option_value("--json", argc, argv, &i)) != NULL) {
            wish->json = value;
        } else if (!take_word(wish, argv[i])) {
            return false;
        }
    }
    const char *wrong = wr_lab_scenario_check(&wish->scenario);
    if (wrong != NULL)
        wr_cli_error("lab: %s", wrong);
    return wrong == NULL;
}

static bool write_json(const struct lab *lab, const char *path)
{
    const size_t flags = JSON_COMPACT | JSON_PRESERVE_ORDER;
    json_t *json = wr_lab_json(lab);
    bool done;
    if (json == NULL) {
        wr_cli_error("lab: out of memory");
        return false;
    }
    if (strcmp(path, "-") == 0)
        done = json_dumpf(json, stdout, flags) == 0 && putchar('\n') != EOF && fflush(stdout) == 0;
    else
        done = json_dump_file(json, path, flags) == 0;
    json_decref(json);
    if (!done)
        wr_cli_error("lab: cannot write the results to \"%s\"", path);
    return done;
}

static void print_flow(unsigned number, const struct lab_flow_result *flow)
{
    const struct weir_tcp_info *info = &flow->info;
    printf("%4u %-8s %10.3f %10.3f %8" PRIu32 " %5" PRIu32 " %8.1f %8" PRIu32, number, flow->cc,
           (double)flow->goodput_bps / 1e6, (double)flow->steady_bps / 1e6,
           info->tcpi_total_retrans, (uint32_t)info->tcpi_total_rto, info->tcpi_rtt / 1e3,
           info->tcpi_snd_cwnd);
    if (flow->completed_at >= 0)
        printf(" %9.3f", (double)(flow->completed_at - flow->began_at) / 1e9);
    else
        printf(" %9s", "-");
    if (flow->n_exchanges > 0)
        printf("  %" PRIu64 " exchanges, p50 %.3f ms, p99 %.3f ms", flow->n_exchanges,
               (double)wr_lab_exchange_percentile(flow, 50) / 1e6,
               (double)wr_lab_exchange_percentile(flow, 99) / 1e6);
    if (flow->error != 0)
        printf("  failed: %s", weir_error_text(flow->error));
    if (flow->corrupt)
        printf("  CORRUPT");
    putchar('\n');
}

static void print_table(const struct lab *lab)
{
    const struct lab_queue_stats *queue = wr_lab_bottleneck(lab);
    char replay[4096];
    printf("flow cc        goodput     steady  retrans   rto  srtt ms     cwnd      done\n"
           "                Mbit/s     Mbit/s                             segs         s\n");
    for (unsigned i = 0; i < wr_lab_n_flows(lab); i++)
        print_flow(i, wr_lab_flow(lab, i));
    printf("\nbottleneck: %" PRIu64
           " packets, %.1f %% of its time, mean wait %.3f ms, most %" PRIu32
           " waiting; dropped %" PRIu64 " full, %" PRIu64 " early; marked %" PRIu64 "\n",
           queue->out_packets, 100 * wr_lab_utilisation(lab),
           queue->out_packets > 0 ? (double)queue->sojourn_sum / (double)queue->out_packets / 1e6
                                  : 0.0,
           queue->max_packets, queue->dropped_full, queue->dropped_aqm, queue->marked);
    printf("lost on the way:");
    for (int i = LAB_LOSS; i < LAB_N_CAUSES; i++)
        printf(" %s %" PRIu64, wr_lab_cause_name((enum lab_cause)i), wr_lab_dropped(lab)[i]);
    wr_lab_replay(wr_lab_scenario(lab), replay, sizeof replay);
    printf("\nfairness %.4f, trace %016" PRIx64 ", %.3f s in %" PRIu64 " events\nagain: %s\n",
           wr_lab_fairness(lab), wr_lab_trace(lab), (double)wr_lab_elapsed(lab) / 1e9,
           wr_lab_events(lab), replay);
}

static int run(const struct wish *wish)
{
    struct lab *lab;
    int error = wr_lab_new(&wish->scenario, &lab);
    if (error == WEIR_EINVAL) {
        wr_cli_error("lab: a tunable or its value is not known");
        return CLI_USAGE;
    }
    if (error != 0) {
        wr_cli_error("lab: %s", weir_error_text(error));
        return CLI_FAILED;
    }
    error = wr_lab_run(lab);
    bool done = wish->json == NULL || write_json(lab, wish->json);
    if (wish->json == NULL || strcmp(wish->json, "-") != 0)
        print_table(lab);
    if (error != 0)
        wr_cli_error("lab: events without end at %.6f s", (double)wr_lab_elapsed(lab) / 1e9);
    wr_lab_free(lab);
    return error == 0 && done ? 0 : CLI_FAILED;
}

int wr_cli_lab(int argc, char **argv)
{
    static struct wish wish;
    if (!read_words(&wish, argc, argv))
        return CLI_USAGE;
    if (wish.help) {
        usage(stdout);
        return 0;
    }
    return run(&wish);
}
