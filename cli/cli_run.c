/* SPDX-License-Identifier: MIT */
/*
 * weir run: one host with one program, or with those of others who join it by its name.
 *
 * Without a link the host has its loopback only: enough for programs that talk among themselves. With
 * --tun it stands on a TUN device, as one machine beside another: the kernel's side is the peer.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/control.h>

#include "cli/cli.h"
#include "cli/cli_join.h"
#include "cli/cli_link.h"
#include "cli/cli_names.h"
#include "cli/cli_report.h"
#include "run/run.h"

struct run_words {
    struct cli_link_words link;
    const char *name, *capture, *report, *dns[CLI_DNS_MAX];
    char *net; /* the file of a virtual network */
    unsigned n_dns;
    bool verbose;
};

struct run_session {
    struct weir_loop *loop;
    struct weir_host *host;
    struct weir_control *control;
    struct weir_run *run;
    struct weir_program *program;
    struct cli_signals signals;
    struct cli_names names;
    const char *name; /* of the host, by which others find it; NULL: none was given */
    int lock;         /* weir_control_lock(); -1: not held */
    bool verbose, ended, hurry;
    bool told_joined,
        quit; /* those who joined have been told to end; they need not be waited for */
    int wait_status;
};

static const char help[] =
    "usage: weir run [OPTIONS] -- PROGRAM [ARGS]\n"
    "\n"
    "Runs PROGRAM, unmodified, with its TCP sockets on Weir instead of the kernel's TCP.\n"
    "Exits as PROGRAM does, once all processes it started are gone.\n"
    "\n"
    "A link, up to 8 of them; ITEMs behind the name are ADDR/PREFIX, gw=ADDR, mac=ADDR, dhcp\n"
    "(IPv4 by DHCP) and slaac (IPv6 from routers):\n"
    "\n"
    "  --tun NAME[,ITEM...]    the TUN device NAME, made if it is not there; kernel=ADDR/PREFIX\n"
    "                   sets the kernel's side up\n"
    "  --tap NAME[,ITEM...]    a TAP device: Ethernet, for a bridge or by itself; kernel= as well\n"
    "  --packet IFNAME[,ITEM...]  the interface IFNAME of the kernel's, beside the kernel, with an\n"
    "                   Ethernet address of its own (AF_PACKET)\n"
    "  --xdp IFNAME[,ITEM...]  the same by AF_XDP; native, generic: only at the driver's hook, or\n"
    "                   at the kernel's own (of a veth by default)\n"
    "\n"
    "and of the link given before:\n"
    "\n"
    "  --netns NS       its device is in the network namespace NS\n"
    "  --addr ADDR/PREFIX, --gw ADDR\n"
    "                   more addresses, another gateway\n"
    "  --mtu N          its MTU\n"
    "  --impair SPEC    impair it both ways: \"delay=20ms jitter=2ms loss=1% rate=100mbit\n"
    "                   queue=100 dup=.. corrupt=.. reorder=.. rules='drop fin 1'\"\n"
    "  --pcap FILE      write all its packets to FILE (pcapng)\n"
    "\n"
    "  --capture FILE   write the packets of all links to FILE (pcapng), each with a comment that says\n"
    "                   why it was sent or what became of it (see `weir capture`)\n"
    "  --report FILE    write a page with charts and sequence diagrams of its connections to FILE\n"
    "  --net FILE[,HOST]  instead of links: stand on the virtual network of FILE, which `weir net` reads,\n"
    "                   as HOST, or else the only host there without a program; the other hosts\n"
    "                   run theirs until PROGRAM ends. --impair: its links; --pcap: all of them\n"
    "\n"
    "  --dns ADDR       ask this name server (up to 3); else those that DHCP or routers told, else,\n"
    "                   with a gateway, the machine's\n"
    "  --busy-poll USEC after each frame go on asking the links for so many microseconds before\n"
    "                   sleeping: answers come sooner, for a whole CPU (net.core.busy_poll)\n"
    "  --seed N         take every random choice from N\n"
    "  --host NAME      the host's name, for `weir ss` and others; else PROGRAM's. If a host of\n"
    "                   that name runs, PROGRAM joins it: no options of links then. The host\n"
    "                   stays until the last program on it has ended\n"
    "  -v, --verbose    say on standard error what each connection did\n"
    "\n"
    "Without a link the host has its loopback only, 127.0.0.1 and ::1.\n"
    "\n"
    "TCP of PROGRAM is Weir's. Its other sockets are the kernel's, in a network namespace of their own\n"
    "(as root, or by a user namespace), and reach what the host reaches. Where no namespace can be\n"
    "had they are refused (EACCES). Names resolve by /etc/hosts and by the name servers of --dns.\n";

/* ---- words ------------------------------------------------------------------------------------ */

static bool add_dns(struct run_words *words, const char *text)
{
    struct weir_addr addr;
    if (!weir_addr_parse(text, &addr)) {
        wr_cli_error("--dns: \"%s\" is no address", text);
        return false;
    }
    if (words->n_dns == CLI_DNS_MAX) {
        wr_cli_error("too many name servers: %s", text);
        return false;
    }
    words->dns[words->n_dns++] = text;
    return true;
}

static bool take_option(void *arg, int option)
{
    struct run_words *words = arg;

    switch (option) {
    case 'd':
        return add_dns(words, optarg);
    case 'C':
        words->capture = optarg;
        return true;
    case 'R':
        words->report = optarg;
        return true;
    case 'H':
        words->name = optarg;
        return true;
    case 'N':
        words->net = optarg;
        return true;
    case 'v':
        words->verbose = true;
        return true;
    default:
        return wr_cli_link_option(&words->link, option, optarg);
    }
}

/* Whether the words make sense together. */
static bool check_words(const struct run_words *words)
{
    const struct cli_link_one *first = &words->link.links[0];
    if (words->net) {
        if (!words->link.n_links && !first->n_addrs && !first->n_gateways && !first->mtu &&
            !first->netns && !words->n_dns && !words->link.busy_poll)
            return true;
        wr_cli_error(
            "--net says the links and addresses itself: beside it --impair, --pcap, --seed, "
            "--host");
        return false;
    }
    if (words->link.n_links == 0 && words->n_dns) {
        wr_cli_error("--dns needs a link: give --tun, --tap, --packet or --xdp");
        return false;
    }
    return wr_cli_link_check(&words->link);
}

/* 0: go on; else the exit status plus one. */
static int read_words(int argc, char **argv, struct run_words *words)
{
    static const struct option long_options[] = {
        CLI_LINK_OPTIONS,
        {"capture", required_argument, NULL, 'C'},
        {"dns", required_argument, NULL, 'd'},
        {"host", required_argument, NULL, 'H'},
        {"net", required_argument, NULL, 'N'},
        {"report", required_argument, NULL, 'R'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static const struct cli_options options = {"run", help, "+vh", long_options, take_option};
    int status = wr_cli_options(&options, argc, argv, words);

    if (status)
        return status;
    if (optind >= argc) {
        wr_cli_error("no program given: weir run [OPTIONS] -- PROGRAM [ARGS]");
        return CLI_USAGE + 1;
    }
    return check_words(words) ? 0 : CLI_USAGE + 1;
}

/* ---- the program ------------------------------------------------------------------------------ */

static void on_exit_of(void *arg, struct weir_program *program, int wait_status)
{
    struct run_session *session = arg;
    (void)program;
    session->ended = true;
    session->wait_status = wait_status;
}

static void on_report(void *arg, struct weir_program *program, const char *line)
{
    (void)arg;
    (void)program;
    wr_cli_error("%s", line);
}

/* A program that signals its whole group means itself, and the terminal told it already. */
static void on_signal(void *arg, int sig, int from)
{
    struct run_session *session = arg;
    session->hurry = true;
    if (session->ended) { /* the host is there for others only */
        session->quit = session->told_joined;
        session->told_joined = true;
        weir_run_signal_joined(session->run, sig);
        return;
    }
    if (from == 0 || weir_program_has(session->program, from))
        return;
    if (weir_program_signal(session->program, sig) == WEIR_ENOENT)
        weir_program_signal_all(session->program, sig);
}

/* The name servers of --dns, else what DHCP and routers told. How many. */
static unsigned find_servers(const struct run_words *words, struct weir_host *host,
                             struct weir_addr servers[CLI_DNS_MAX])
{
    unsigned n = words->n_dns;
    for (unsigned i = 0; i < n; i++)
        weir_addr_parse(words->dns[i], &servers[i]);
    if (n == 0) {
        n = weir_learnt_dns(weir_host_lock(host), servers, CLI_DNS_MAX);
        weir_host_unlock(host);
    }
    return n;
}

static void describe(struct run_session *session, struct weir_run_options *options)
{
    weir_run_options_default(options);
    options->hosts = session->names.hosts;
    options->resolv = session->names.resolv;
    options->events.on_report = session->verbose ? on_report : NULL;
    options->events.arg = session;
}

static int start(const struct run_words *words, struct run_session *session, char **argv)
{
    struct weir_run_options options;
    struct weir_addr servers[CLI_DNS_MAX];
    char error[256] = "out of memory";
    char domain[64];
    wr_cli_link_domain(&words->link, session->host, domain);
    int err = wr_cli_names(&session->names, servers, find_servers(words, session->host, servers),
                           wr_cli_link_has_gateway(&words->link, session->host), domain);
    describe(session, &options);
    options.events.on_exit = on_exit_of;
    if (!err)
        err = weir_run_spawn(session->run, session->host, &options, argv, &session->program, error,
                             sizeof error);
    if (err)
        wr_cli_error("%s", error);
    else if (words->verbose)
        wr_cli_tell_reach(session->program, NULL);
    return err;
}

/* ---- others on the host ------------------------------------------------------------------------- */

static int on_join(void *arg, int fd)
{
    struct run_session *session = arg;
    struct weir_run_options options;
    describe(session, &options);
    return weir_run_let_in(session->run, session->host, &options, fd);
}

static void unlock(struct run_session *session)
{
    if (session->lock >= 0)
        close(session->lock);
    session->lock = -1;
}

/* True if nobody is on the host and nobody is on the way to it. Who looks for it now waits for the lock, and
 * will not find it. */
static bool may_end(struct run_session *session)
{
    if (session->quit || !session->name)
        return true;
    session->lock = weir_control_lock(false);
    if (session->lock == WEIR_EAGAIN)
        return false;
    if (weir_run_joined(session->run) == 0)
        return true;
    unlock(session);
    return false;
}

/* Until the program has ended, and those of others. False: the loop failed. */
static bool serve(struct run_session *session)
{
    bool said = false;
    while (!session->ended || (weir_run_joined(session->run) > 0 && !session->quit)) {
        if (session->ended && !said)
            wr_cli_error("the program has ended; the host %s stays for %u more", session->name,
                         weir_run_joined(session->run));
        said |= session->ended;
        if (weir_loop_step(session->loop, -1) < 0)
            return false;
    }
    return true;
}

static void tell_totals(struct weir_host *host)
{
    struct weir_stack *stack = weir_host_lock(host);
    static const char *const wanted[] = {"TcpOutSegs", "TcpInSegs", "TcpRetransSegs", "TcpInErrs"};
    for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++)
        for (unsigned kind = 0; kind < weir_stat_kinds(); kind++)
            if (strcmp(weir_stat_name(kind), wanted[i]) == 0)
                wr_cli_error("%s %llu", wanted[i],
                             (unsigned long long)weir_stat_count(stack, kind));
    for (unsigned reason = 0; reason < weir_drop_reasons(); reason++)
        if (weir_drop_count(stack, reason))
            wr_cli_error("dropped, %s: %llu", weir_drop_name(reason),
                         (unsigned long long)weir_drop_count(stack, reason));
    weir_host_unlock(host);
}

static void close_session(struct run_session *session)
{
    if (session->signals.loop)
        wr_cli_signals_close(&session->signals);
    weir_control_close(session->control);
    if (session->run)
        weir_run_free(session->run);
    if (session->host)
        weir_host_free(session->host);
    if (session->loop)
        weir_loop_free(session->loop);
    wr_cli_names_free(&session->names);
    unlock(session);
}

static int open_supervisor(struct run_session *session)
{
    int err = wr_cli_supervisor(session->loop, &session->run);
    if (!err) {
        session->signals.on_signal = on_signal;
        session->signals.arg = session;
        err = wr_cli_signals_open(&session->signals, session->loop);
    }
    return err;
}

/* A host can do without, unless it was given a name to be found by. */
static int open_control(const struct run_words *words, struct run_session *session,
                        const char *program)
{
    int err;
    session->control = wr_cli_control(session->host, words->name ? words->name : program,
                                      session->run, words->name ? on_join : NULL, session, &err);
    if (err && (words->name || words->verbose))
        wr_cli_error("the host has no control socket: %s", weir_error_text(err));
    return words->name ? err : 0;
}

/* FILE[,HOST] */
static int run_on_net(const struct run_words *words, char **argv)
{
    struct cli_net_front front = {.path = strtok(words->net, ","),
                                  .host = strtok(NULL, ","),
                                  .name = words->name,
                                  .pcap = words->link.links[0].pcap,
                                  .capture = words->capture,
                                  .impair = words->link.links[0].impair,
                                  .seed = words->link.seed,
                                  .verbose = words->verbose,
                                  .argv = argv};
    if (front.path)
        return wr_cli_net_front(&front);
    wr_cli_error("--net needs a file");
    return CLI_USAGE;
}

static int run_on_own(struct run_words *words, int lock, char **argv)
{
    struct run_session session = {.name = words->name, .lock = lock, .verbose = words->verbose};
    int status = CLI_FAILED;
    if (weir_loop_new(&session.loop) == 0 &&
        wr_cli_link_host(&words->link, session.loop, &session.host) == 0 &&
        (!words->capture || wr_cli_capture_host(session.host, words->capture) == 0) &&
        open_supervisor(&session) == 0 && open_control(words, &session, argv[0]) == 0) {
        int err = start(words, &session, argv);
        unlock(&session);
        if (err)
            status = wr_cli_start_status(err);
        while (!err && serve(&session)) {
            wr_cli_let_out(session.loop, session.run, &session.host, 1, 30 * WEIR_SEC,
                           &session.hurry);
            if (may_end(&session) || weir_loop_step(session.loop, 20 * WEIR_MS) < 0)
                break;
        }
    }
    if (session.ended && words->verbose)
        tell_totals(session.host);
    close_session(&session);
    return session.ended ? wr_cli_pass_status(session.wait_status) : status;
}

/* Options that describe a host are for the one who makes it. */
static bool describes_host(const struct run_words *words)
{
    const struct cli_link_one *first = &words->link.links[0];
    return words->link.n_links || first->n_addrs || words->link.seed || words->n_dns ||
           words->link.busy_poll || words->capture;
}

/* On the host of that name, or on one to be made under it. */
static int run_by_name(struct run_words *words, char **argv)
{
    int lock = weir_control_lock(true);
    if (lock < 0) {
        wr_cli_error("no folder for control sockets can be had: %s", weir_error_text(lock));
        return CLI_FAILED;
    }
    int stream = wr_cli_join_ask(words->name);
    if (stream == WEIR_ENOENT)
        return run_on_own(words, lock, argv);
    close(lock);
    if (stream < 0)
        return CLI_FAILED;
    if (!describes_host(words))
        return wr_cli_join(stream, argv);
    close(stream);
    wr_cli_error(
        "the host %s is running: its links, addresses, name servers and seed were given when "
        "it was started; leave these options out to join it",
        words->name);
    return CLI_FAILED;
}

static int run_words(struct run_words *words, char **argv)
{
    if (words->net)
        return run_on_net(words, argv);
    return words->name ? run_by_name(words, argv) : run_on_own(words, -1, argv);
}

/* The program's exit status stays what it is, unless it is 0 and there is no page. */
static int run_reported(const struct run_words *words, char **argv)
{
    struct cli_report report;
    struct run_words captured = *words;
    if (!wr_cli_report_begin(&report, words->report, argv[0], words->capture))
        return CLI_FAILED;
    captured.capture = report.capture;
    return wr_cli_report_end(&report, run_words(&captured, argv));
}

int wr_cli_run(int argc, char **argv)
{
    struct run_words words = {0};
    int status = read_words(argc, argv, &words);
    if (status)
        return status - 1;
    return words.report ? run_reported(&words, argv + optind) : run_words(&words, argv + optind);
}
