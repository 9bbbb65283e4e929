/* SPDX-License-Identifier: MIT */
/* `weir lab`: a network in virtual time, what its flows reached, and the line that shows it again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/labscene.h"
#include "lab/lab.h"

struct wish {
    const char *seed;                    /* NULL: not given */
    const char *json, *csv, *html;       /* file names, "-" for standard output, or NULL */
    const char *pcap;                    /* a capture to make a page of */
    const char *scene, *merge;           /* file or name of a scenario; folder of shards */
    const char *shards, *folder, *shard; /* --shards N DIR, --shard I/N */
    const char *threads;                 /* NULL: as many as there are CPUs */
    bool help, list, check, packets;
    char **words;
    size_t n_words;
    struct lab_scenario scenario; /* of words alone */
};

static void usage(FILE *out)
{
    fputs(
        "usage: weir lab [--seed N] [--json FILE] [--html FILE] [KEY=VALUE...]\n"
        "       weir lab [OPTION...] SCENARIO [NAME=VALUE...]\n"
        "       weir lab --pcap FILE --html FILE\n"
        "       weir lab --list\n"
        "       weir lab --shards N DIR SCENARIO [NAME=VALUE...], weir lab --merge DIR [OPTION...]\n\n"
        "Runs TCP over a network in virtual time and prints what came of it. The same words and seed\n"
        "give the same run on every machine. SCENARIO is a file, or one of those that --list names;\n"
        "NAME=VALUE sets a variable of it, NAME=V,V,V or NAME=A..B sweeps over it.\n\n"
        "    --json FILE  all results with their time series (\"-\": standard output, not the table)\n"
        "    --csv FILE   a row for each flow or socket of each job\n"
        "    --html FILE  a page with sequence diagrams and charts, which needs no network\n"
        "    --packets    the JSON has every packet, too\n"
        "    --check      evaluates the scenario's assertions; exit status 1: not all hold\n"
        "    --threads N  (default: one for each CPU)\n"
        "    --seed N     the same as seed=N\n"
        "    --pcap FILE  makes the page of a capture, pcap or pcapng\n"
        "    --shards N DIR, --merge DIR\n"
        "                 the sweep as N commands for other machines, and what they wrote as one\n\n"
        "    weir lab rate=100mbit rtt=50ms loss=1% flows=4 cc=reno time=30s\n"
        "    weir lab --html page.html bufferbloat\n\n"
        "Words of a network, also in scenarios:\n\n",
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

/* Options with a value. False: argv[*i] is none of them. */
static bool take_valued(struct wish *wish, int argc, char **argv, int *i)
{
    const struct {
        const char *name;
        const char **value;
    } options[] = {
        {"--seed", &wish->seed},   {"--json", &wish->json},       {"--csv", &wish->csv},
        {"--html", &wish->html},   {"--merge", &wish->merge},     {"--shards", &wish->shards},
        {"--shard", &wish->shard}, {"--threads", &wish->threads}, {"--pcap", &wish->pcap},
    };
    for (size_t j = 0; j < sizeof options / sizeof *options; j++) {
        const char *value = option_value(options[j].name, argc, argv, i);
        if (value == NULL)
            continue;
        *options[j].value = value;
        if (options[j].value == &wish->shards && *i + 1 < argc)
            wish->folder = argv[++*i];
        return true;
    }
    return false;
}

static bool take_flag(struct wish *wish, const char *word)
{
    bool *flag = strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ? &wish->help
                 : strcmp(word, "--list") == 0                          ? &wish->list
                 : strcmp(word, "--check") == 0                         ? &wish->check
                 : strcmp(word, "--packets") == 0                       ? &wish->packets
                                                                        : NULL;
    if (flag != NULL)
        *flag = true;
    return flag != NULL;
}

/* A word without "=" is the scenario; its settings and the words of a network look alike. */
static bool read_words(struct wish *wish, int argc, char **argv)
{
    wish->words = argv; /* packed to the front as they are met */
    for (int i = 1; i < argc; i++) {
        if (take_flag(wish, argv[i]) || take_valued(wish, argc, argv, &i))
            continue;
        if (argv[i][0] == '-' && argv[i][1] != '\0') {
            wr_cli_error("lab: \"%s\" is no option; `weir lab --help` lists them", argv[i]);
            return false;
        }
        if (strchr(argv[i], '=') != NULL || strncmp(argv[i], "net.", 4) == 0) {
            wish->words[wish->n_words++] = argv[i];
        } else if (wish->scene == NULL) {
            wish->scene = argv[i];
        } else {
            wr_cli_error("lab: \"%s\": there is a scenario already, \"%s\"", argv[i], wish->scene);
            return false;
        }
    }
    return true;
}

/* Without a scenario: what the words lay out. */
static bool read_scenario(struct wish *wish)
{
    wr_lab_scenario_default(&wish->scenario);
    if (wish->seed != NULL && !wr_cli_seed(wish->seed, &wish->scenario.seed)) {
        wr_cli_error("lab: the seed must be a number, not \"%s\"", wish->seed);
        return false;
    }
    for (size_t i = 0; i < wish->n_words; i++)
        if (!take_word(wish, wish->words[i]))
            return false;
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

/* The page of one run of words. */
static bool write_html(const struct wish *wish, const struct lab *lab)
{
    char error[LAB_FILE_ERROR];
    struct lab_file *file = wr_lab_file_of_words(wish->words, wish->n_words, error);
    if (file == NULL) {
        wr_cli_error("lab: %s", error);
        return false;
    }
    json_t *jobs =
        json_pack("[{s:i,s:n,s:{},s:o}]", "job", 0, "run", "set", "result", wr_lab_json(lab));
    json_t *document = wr_labout_document(file, jobs);
    bool done = document != NULL && wr_labout_html(document, wish->html);
    json_decref(document);
    wr_lab_file_free(file);
    return done;
}

static int run_words(const struct wish *wish)
{
    struct lab *lab;
    int error = wr_lab_new(&wish->scenario, &lab);
    if (error == WEIR_EINVAL) {
        wr_cli_error("lab: a tunable or its value is not known");
        return CLI_USAGE;
    }
    if (error == 0 && (wish->html != NULL || wish->packets))
        error = wr_lab_record(lab);
    if (error != 0) {
        wr_cli_error("lab: %s", weir_error_text(error));
        return CLI_FAILED;
    }
    error = wr_lab_run(lab);
    bool done = wish->json == NULL || write_json(lab, wish->json);
    done = (wish->html == NULL || write_html(wish, lab)) && done;
    if (wish->json == NULL || strcmp(wish->json, "-") != 0)
        print_table(lab);
    if (error != 0)
        wr_cli_error("lab: events without end at %.6f s", (double)wr_lab_elapsed(lab) / 1e9);
    wr_lab_free(lab);
    return error == 0 && done ? 0 : CLI_FAILED;
}

/* ---- scenarios ----------------------------------------------------------------------------------- */

/* On a terminal, from the second on: how far it is. */
struct bar {
    time_t began;
    bool shown;
};

static void show_bar(void *arg, size_t done, size_t all)
{
    enum { WIDTH = 40 };
    struct bar *bar = arg;
    if (time(NULL) - bar->began < 1 && !bar->shown)
        return;
    int filled = (int)(done * WIDTH / all);
    bar->shown = true;
    fprintf(stderr, "\r[%.*s%*s] %zu of %zu", filled, "########################################",
            WIDTH - filled, "", done, all);
    if (done == all)
        fputs("\r\033[K", stderr);
    fflush(stderr);
}

/* "3/16" */
static bool read_shard(const char *text, size_t *first, size_t *of)
{
    unsigned i, n;
    int end = 0;
    if (sscanf(text, "%u/%u%n", &i, &n, &end) != 2 || text[end] != '\0' || i == 0 || i > n)
        return false;
    *first = i - 1;
    *of = n;
    return true;
}

/* A value with commas or ".." sweeps. */
static bool set_variables(const struct wish *wish, struct lab_file *file)
{
    for (size_t i = 0; i < wish->n_words; i++) {
        bool sweep = strchr(wish->words[i], ',') != NULL || strstr(wish->words[i], "..") != NULL;
        if (!wr_lab_file_set(file, wish->words[i], sweep)) {
            wr_cli_error("lab: \"%s\" sets no variable of this scenario", wish->words[i]);
            return false;
        }
    }
    if (wish->seed != NULL) {
        char word[64];
        snprintf(word, sizeof word, "seed=%s", wish->seed);
        return wr_lab_file_set(file, word, false);
    }
    return true;
}

static unsigned count_threads(const struct wish *wish)
{
    long n = wish->threads != NULL ? atol(wish->threads) : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 256 ? 256 : (unsigned)n;
}

static json_t *run_jobs(const struct wish *wish, const struct lab_file *file)
{
    char error[LAB_FILE_ERROR] = "";
    struct bar bar = {.began = time(NULL)};
    size_t first = 0, of = 1;
    if (wish->shard != NULL && !read_shard(wish->shard, &first, &of)) {
        wr_cli_error("lab: --shard I/N, not \"%s\"", wish->shard);
        return NULL;
    }
    bool record = wish->html != NULL || wish->packets || wish->check;
    json_t *jobs = wr_lab_file_run(file, first, of, count_threads(wish), record,
                                   isatty(STDERR_FILENO) ? show_bar : NULL, &bar, error);
    if (jobs == NULL)
        wr_cli_error("lab: %s", error);
    return jobs;
}

static int report(const struct wish *wish, const struct lab_file *file, json_t *jobs)
{
    json_t *document = wr_labout_document(file, jobs);
    if (document == NULL) {
        wr_cli_error("lab: out of memory");
        return CLI_FAILED;
    }
    int status = wish->check ? wr_labcheck(file, document, false) : 0;
    bool quiet = wish->check || (wish->json != NULL && strcmp(wish->json, "-") == 0) ||
                 (wish->csv != NULL && strcmp(wish->csv, "-") == 0) || wish->shard != NULL;
    bool done = (wish->html == NULL || wr_labout_html(document, wish->html));
    done = (wish->json == NULL || wr_labout_json(document, wish->packets, wish->json)) && done;
    done = (wish->csv == NULL || wr_labout_csv(document, wish->csv)) && done;
    if (!quiet)
        wr_labout_print(document);
    json_decref(document);
    return !done || status < 0 ? CLI_FAILED : status;
}

static int run_scene(const struct wish *wish)
{
    struct lab_file *file = NULL;
    json_t *jobs = NULL;
    int status = CLI_FAILED;
    if (wish->merge != NULL) {
        jobs = wr_labshard_merge(wish->merge, &file);
    } else {
        file = wr_labscene_open(wish->scene);
        bool good = file != NULL && set_variables(wish, file);
        status = good ? CLI_FAILED : CLI_USAGE;
        jobs = good ? run_jobs(wish, file) : NULL;
    }
    if (jobs != NULL)
        status = report(wish, file, jobs);
    wr_lab_file_free(file);
    return status;
}

/* A capture as a page. */
static int show_capture(const struct wish *wish)
{
    if (wish->html == NULL && wish->json == NULL) {
        wr_cli_error("lab: --pcap FILE wants --html FILE or --json FILE");
        return CLI_USAGE;
    }
    json_t *document = wr_labpcap_document(wish->pcap, wish->pcap);
    bool done = document != NULL;
    if (wish->html != NULL)
        done = done && wr_labout_html(document, wish->html);
    if (wish->json != NULL)
        done = done && wr_labout_json(document, true, wish->json);
    json_decref(document);
    return done ? 0 : CLI_FAILED;
}

static int write_shards(const struct wish *wish)
{
    unsigned n = (unsigned)atoi(wish->shards);
    if (n == 0 || n > 1024 || wish->folder == NULL || wish->scene == NULL) {
        wr_cli_error("lab: --shards N DIR SCENARIO, N from 1 to 1024");
        return CLI_USAGE;
    }
    struct lab_file *file = wr_labscene_open(wish->scene);
    bool good = file != NULL && set_variables(wish, file);
    wr_lab_file_free(file);
    return good ? wr_labshard_write(wish->scene, n, wish->folder, wish->words, wish->n_words)
                : CLI_USAGE;
}

int wr_cli_lab(int argc, char **argv)
{
    static struct wish wish;
    if (!read_words(&wish, argc, argv))
        return CLI_USAGE;
    if (wish.help)
        usage(stdout);
    else if (wish.list)
        wr_labscene_list(stdout);
    else if (wish.pcap != NULL)
        return show_capture(&wish);
    else if (wish.shards != NULL)
        return write_shards(&wish);
    else if (wish.scene != NULL || wish.merge != NULL)
        return run_scene(&wish);
    else
        return read_scenario(&wish) ? run_words(&wish) : CLI_USAGE;
    return 0;
}
