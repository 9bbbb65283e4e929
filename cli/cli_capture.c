/* SPDX-License-Identifier: MIT */
/*
 * weir capture: the packets of a running host, as lines or as pcapng.
 *
 * The host gives its packets, each with a comment, as pcapng over a descriptor of its own (control.h, "capture").
 * Here they are filtered, by libpcap in tcpdump's language, and printed or written. The end is in two steps: no more
 * packets are asked for, and then what is under way is read, up to the host's own counts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <pcap/pcap.h>
#include <weir/capture.h>

#include "cli/cli.h"
#include "cli/cli_ask.h"
#include "cli/cli_reach.h"
#include "sight/sight_line.h"
#include "sight/sight_read.h"

enum { FILTERS_MAX = 8, LAST_WORDS_MS = 2000, LINKTYPE_RAW = 101 };

struct capture_words {
    const char *host, *link, *file, *filter;
    long count, snap;
    bool verbose, quiet;
};

/* A filter is compiled for each kind of link. */
struct capture_filter {
    int linktype;
    struct bpf_program program;
};

struct capture_run {
    const struct capture_words *words;
    struct cli_ask ask;
    int fd;
    FILE *out; /* NULL: lines */
    struct sight_reader reader;
    struct capture_filter filters[FILTERS_MAX];
    unsigned n_filters;
    uint64_t taken, filtered;
    bool failed, told_to_end, ended;
};

static const char help[] =
    "usage: weir capture [OPTIONS] [FILTER]\n"
    "\n"
    "Shows the packets that the links of a running host carry, a line each, with the reason why it was\n"
    "sent or what became of it. FILTER is in tcpdump's language, pcap-filter(7).\n"
    "\n"
    "  --host HOST  which running host; not needed when only one is\n"
    "  -i LINK      of one link only\n"
    "  -w FILE      write pcapng to FILE (-: standard output), with a comment on each packet: the\n"
    "               connection's state, cwnd, ssthresh, srtt, RTO, pipe, and the reason. For Wireshark,\n"
    "               tshark and `weir explain`\n"
    "  -c COUNT     end after so many packets\n"
    "  -s BYTES     keep so many bytes of each packet (all)\n"
    "  -v           lines with the whole comment\n"
    "  -q           do not say the counts at the end\n"
    "\n"
    "^C ends it. Exit status: 0; 125 if the host cannot be asked or FILE not be written.\n";

/* ---- filter ------------------------------------------------------------------------------------- */

static struct capture_filter *filter_for(struct capture_run *run, int linktype)
{
    for (unsigned i = 0; i < run->n_filters; i++)
        if (run->filters[i].linktype == linktype)
            return &run->filters[i];
    int dlt =
        linktype == LINKTYPE_RAW ? DLT_RAW : linktype; /* the one that libpcap calls otherwise */
    pcap_t *dead = run->n_filters < FILTERS_MAX ? pcap_open_dead(dlt, 1 << 18) : NULL;
    struct capture_filter *filter = &run->filters[run->n_filters];
    if (!dead ||
        pcap_compile(dead, &filter->program, run->words->filter, 1, PCAP_NETMASK_UNKNOWN) != 0) {
        wr_cli_error("filter \"%s\": %s", run->words->filter,
                     dead ? pcap_geterr(dead) : "out of memory");
        if (dead)
            pcap_close(dead);
        run->failed = true;
        return NULL;
    }
    pcap_close(dead);
    filter->linktype = linktype;
    run->n_filters++;
    return filter;
}

static bool passes(struct capture_run *run, const struct sight_packet *packet)
{
    if (!run->words->filter)
        return true;
    struct capture_filter *filter = filter_for(run, packet->linktype);
    struct pcap_pkthdr head = {.caplen = (bpf_u_int32)packet->kept,
                               .len = (bpf_u_int32)packet->len};
    return filter && pcap_offline_filter(&filter->program, &head, packet->frame) != 0;
}

/* A filter that cannot be is told before anything is asked. */
static bool check_filter(struct capture_run *run)
{
    return !run->words->filter || filter_for(run, LINKTYPE_RAW) || !run->failed;
}

/* ---- packets ------------------------------------------------------------------------------------- */

static void print_packet(const struct capture_run *run, const struct sight_packet *packet)
{
    char line[2048], clock[32];
    time_t second = (time_t)(packet->time / 1000000000u);
    struct tm tm;
    const char *name = run->reader.interfaces[packet->interface].name;
    localtime_r(&second, &tm);
    strftime(clock, sizeof clock, "%H:%M:%S", &tm);
    sight_line(packet, line, sizeof line);
    printf("%s.%06u %s %s %s\n", clock, (unsigned)(packet->time % 1000000000u / 1000), name,
           packet->direction == SIGHT_OUT ? "Out" : "In ", line);
    if (packet->comment && run->words->verbose)
        printf("        %s\n", packet->comment);
    else if (packet->comment)
        printf("        %.*s\n", (int)strcspn(packet->comment, "|\n"), packet->comment);
}

static void cannot_write(struct capture_run *run)
{
    wr_cli_error("cannot write %s: %s", run->out ? run->words->file : "lines", strerror(errno));
    run->failed = true;
}

static void write_block(struct capture_run *run, const struct sight_packet *packet)
{
    if (fwrite(packet->block, packet->block_len, 1, run->out) != 1)
        cannot_write(run);
}

static void take_packet(struct capture_run *run, const struct sight_packet *packet)
{
    if (run->words->count > 0 && run->taken >= (uint64_t)run->words->count)
        return;
    if (!passes(run, packet)) {
        run->filtered += !run->failed;
        return;
    }
    run->taken++;
    if (run->out)
        write_block(run, packet);
    else
        print_packet(run, packet);
}

static void take_all(struct capture_run *run)
{
    struct sight_packet packet;
    enum sight_item item;
    while (!run->failed && (item = sight_next(&run->reader, &packet)) != SIGHT_NOTHING) {
        if (item == SIGHT_BAD) {
            wr_cli_error("the host's packets cannot be read: %s", run->reader.trouble);
            run->failed = true;
        } else if (item == SIGHT_PACKET) {
            take_packet(run, &packet);
        } else if (run->out) {
            write_block(run, &packet);
        }
    }
    FILE *out = run->out ? run->out : stdout;
    if ((fflush(out) != 0 || ferror(out)) && !run->failed)
        cannot_write(run);
}

static void read_some(struct capture_run *run)
{
    size_t room;
    uint8_t *to = sight_room(&run->reader, 1 << 16, &room);
    ssize_t n = to ? recv(run->fd, to, room, MSG_DONTWAIT) : -1;
    if (!to || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        wr_cli_error("cannot read the host's packets: %s", to ? strerror(errno) : "out of memory");
        run->failed = true;
    } else if (n == 0) {
        run->ended = true;
    } else if (n > 0) {
        sight_fed(&run->reader, (size_t)n);
        take_all(run);
    }
}

/* ---- the whole ------------------------------------------------------------------------------------ */

static bool enough(const struct capture_run *run)
{
    return wr_cli_caught || (run->words->count > 0 && run->taken >= (uint64_t)run->words->count);
}

static void go(struct capture_run *run)
{
    weir_time until = WEIR_TIME_NEVER;
    while (!run->failed && !run->ended && weir_now() < until) {
        if (enough(run) && !run->told_to_end) {
            shutdown(run->fd, SHUT_WR);
            run->told_to_end = true;
            until = weir_now() + LAST_WORDS_MS * WEIR_MS;
        }
        struct pollfd pollfd = {run->fd, POLLIN, 0};
        if (poll(&pollfd, 1, run->told_to_end ? 100 : -1) > 0)
            read_some(run);
    }
    if (run->ended && !run->told_to_end && !run->words->quiet)
        fprintf(stderr, "the host has ended\n");
}

static void tell_counts(const struct capture_run *run)
{
    uint64_t lost = 0;
    for (unsigned i = 0; i < run->reader.n_interfaces; i++)
        lost += run->reader.interfaces[i].lost;
    fprintf(
        stderr,
        "%llu packets captured\n%llu packets dropped by filter\n%llu packets lost, for this was "
        "too slow\n",
        (unsigned long long)run->taken, (unsigned long long)run->filtered,
        (unsigned long long)lost);
}

static bool ask_for_packets(struct capture_run *run)
{
    const struct capture_words *words = run->words;
    json_t *answer = wr_cli_ask(&run->ask,
                                json_pack("{s:s, s:s*, s:I}", "op", "capture", "link", words->link,
                                          "snap", (json_int_t)words->snap),
                                words->link ? words->link : "capture");
    run->fd = answer ? run->ask.passed : -1;
    if (answer)
        run->ask.passed = -1;
    json_decref(answer);
    return run->fd >= 0;
}

static bool open_file(struct capture_run *run)
{
    const char *file = run->words->file;
    if (!file)
        return true;
    run->out = strcmp(file, "-") == 0 ? stdout : fopen(file, "we");
    if (!run->out)
        wr_cli_error("cannot write %s: %s", file, strerror(errno));
    return run->out != NULL;
}

static int capture(const struct capture_words *words)
{
    struct capture_run run = {.words = words, .fd = -1};
    if (!check_filter(&run))
        return CLI_USAGE;
    if (!wr_cli_ask_open(&run.ask, words->host))
        return CLI_FAILED;
    wr_cli_catch();
    if (ask_for_packets(&run) && open_file(&run)) {
        go(&run);
        if (!words->quiet && !run.failed)
            tell_counts(&run);
    } else {
        run.failed = true;
    }
    if (run.out && run.out != stdout && fclose(run.out) != 0) {
        wr_cli_error("cannot write %s: %s", words->file, strerror(errno));
        run.failed = true;
    }
    for (unsigned i = 0; i < run.n_filters; i++)
        pcap_freecode(&run.filters[i].program);
    if (run.fd >= 0)
        close(run.fd);
    wr_cli_ask_close(&run.ask);
    sight_reader_free(&run.reader);
    return run.failed ? CLI_FAILED : 0;
}

int wr_cli_capture_host(struct weir_host *host, const char *path)
{
    struct weir_capture_config config = {
        .fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
    int err = config.fd < 0 ? -errno : weir_host_capture(host, &config, NULL);
    if (!err)
        return 0;
    if (config.fd >= 0)
        close(config.fd);
    wr_cli_error("cannot write %s: %s", path, weir_error_text(err));
    return err;
}

/* ---- words ------------------------------------------------------------------------------------------ */

/* The filter's words, joined; the caller frees them. False when out of memory. */
static bool join_words(int n, char **words, char **filter)
{
    size_t len;
    *filter = NULL;
    FILE *out = n > 0 ? open_memstream(filter, &len) : NULL;
    for (int i = 0; i < n && out; i++)
        fprintf(out, "%s%s", i > 0 ? " " : "", words[i]);
    return n == 0 || (out && fclose(out) == 0);
}

static bool take_option(void *arg, int option)
{
    struct capture_words *words = arg;

    switch (option) {
    case 'H':
        words->host = optarg;
        return true;
    case 'i':
        words->link = optarg;
        return true;
    case 'w':
        words->file = optarg;
        return true;
    case 'v':
        words->verbose = true;
        return true;
    case 'q':
        words->quiet = true;
        return true;
    case 'c':
        return wr_cli_count(optarg, &words->count);
    default:
        return wr_cli_count(optarg, &words->snap);
    }
}

int wr_cli_capture(int argc, char **argv)
{
    static const struct option long_options[] = {{"help", no_argument, NULL, 'h'},
                                                 {"host", required_argument, NULL, 'H'},
                                                 {NULL, 0, NULL, 0}};
    static const struct cli_options options = {"capture", help, "+hi:w:c:s:vq", long_options,
                                               take_option};
    struct capture_words words = {0};
    char *filter;
    int status = wr_cli_options(&options, argc, argv, &words);

    if (status)
        return status - 1;
    if (!join_words(argc - optind, argv + optind, &filter)) {
        wr_cli_error("out of memory");
        return CLI_FAILED;
    }
    words.filter = filter;
    status = capture(&words);
    free(filter);
    return status;
}
