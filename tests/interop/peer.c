/* SPDX-License-Identifier: MIT */
/*
 * The other side of the interop tests: a host on a TUN or TAP device with a few services, told what to do
 * by lines on standard input. It ends when that is closed, so that nothing of it outlives the test.
 *
 *   peer [--tun NAME] [--tap] [--offload] [--plain] [--netns NS] [--mtu N] [--kernel ADDR/LEN]... [--addr ADDR/LEN]...
 *        [--route PREFIX=GATEWAY]... [--impair TEXT] [--pcap FILE] [--sysctl NAME=VALUE]...
 *        [--dhcp] [--slaac]
 * or, instead of --tun NAME, --packet IFNAME or --xdp IFNAME [--generic | --native].
 *
 * Services, on every address (TCP; echo also UDP):
 *   7 echo    8 close at once    9 sink: reads to the end, answers "BYTES SHA256\n"
 *   10 as sink, after 5 s without reading    13 one byte in, then reset
 *   19 source: "BYTES\n" in, that many bytes and their SHA-256 in hexadecimal out
 *
 * Commands, each answered with one line that begins with "ok" or with "error NAME":
 *   send HOST PORT BYTES    to a sink: checks its answer     recv HOST PORT BYTES    from a source
 *   churn HOST PORT TIMES   connect, echo a byte, close      udp HOST PORT BYTES     echo of a datagram
 *   connect HOST PORT       only that                        await-reset HOST PORT   reads until an error
 *   addrs                   the interface's addresses, with * for one that is learnt
 *   lease                   STATE REQUESTS ADDRESS GATEWAY DNS
 *   drops                   counted drops, name=count        stat NAME               one counter
 */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/host.h>

enum { CHUNK = 1 << 18, MAX_WORDS = 8, HASH_HEX = 65 };

static struct weir_loop *loop;
static struct weir_host *host;
static int ifindex;
static struct weir_link *tun;

static void die(const char *what, int rc)
{
    fprintf(stderr, "peer: %s: %s\n", what, rc < 0 ? weir_error_text(rc) : strerror(errno));
    exit(2);
}

/* ---- streams of bytes --------------------------------------------------------------------------- */

/* Bytes that do not repeat within a test, so that a lost or doubled block changes the hash. */
static void fill(uint8_t *buf, size_t len, uint64_t *state)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t x = *state;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        *state = x;
        memcpy(buf + i, &x, len - i < 8 ? len - i : 8);
    }
}

static void hash_hex(crypto_hash_sha256_state *state, char hex[HASH_HEX])
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(state, hash);
    sodium_bin2hex(hex, HASH_HEX, hash, sizeof hash);
}

/* Sends `total` bytes and gives their hash. False: errno. */
static bool send_stream(int fd, uint64_t total, char hex[HASH_HEX])
{
    crypto_hash_sha256_state state;
    uint64_t seed = 0x9e3779b97f4a7c15u + total;
    uint8_t *buf = malloc(CHUNK);
    bool good = true;
    crypto_hash_sha256_init(&state);
    while (total > 0 && good) {
        size_t len = total < CHUNK ? (size_t)total : CHUNK;
        fill(buf, len, &seed);
        crypto_hash_sha256_update(&state, buf, len);
        good = weir_send(host, fd, buf, len, 0) == (ssize_t)len;
        total -= len;
    }
    free(buf);
    hash_hex(&state, hex);
    return good;
}

/* Reads up to `most` bytes or the end; the hash and how many there were, -1 and errno on error. */
static int64_t recv_stream(int fd, uint64_t most, char hex[HASH_HEX])
{
    crypto_hash_sha256_state state;
    uint8_t *buf = malloc(CHUNK);
    uint64_t total = 0;
    ssize_t n = 1;
    crypto_hash_sha256_init(&state);
    while (total < most && n > 0) {
        n = weir_recv(host, fd, buf, most - total < CHUNK ? (size_t)(most - total) : CHUNK, 0);
        if (n > 0) {
            crypto_hash_sha256_update(&state, buf, (size_t)n);
            total += (uint64_t)n;
        }
    }
    free(buf);
    hash_hex(&state, hex);
    return n < 0 ? -1 : (int64_t)total;
}

/* A line without its end; false when the stream ends or fails first. */
static bool recv_line(int fd, char *line, size_t cap)
{
    size_t len = 0;
    while (len + 1 < cap && weir_recv(host, fd, line + len, 1, 0) == 1) {
        if (line[len] == '\n') {
            line[len] = '\0';
            return true;
        }
        len++;
    }
    return false;
}

/* ---- services ----------------------------------------------------------------------------------- */

static void serve_echo(int fd)
{
    char *buf = malloc(CHUNK);
    ssize_t n;
    while ((n = weir_recv(host, fd, buf, CHUNK, 0)) > 0)
        if (weir_send(host, fd, buf, (size_t)n, 0) != n)
            break;
    free(buf);
}

static void serve_close(int fd)
{
    (void)fd;
}

static void serve_sink(int fd)
{
    char hex[HASH_HEX], answer[128];
    int64_t n = recv_stream(fd, UINT64_MAX, hex);
    int len = snprintf(answer, sizeof answer, "%lld %s\n", (long long)n, hex);
    if (n >= 0)
        weir_send(host, fd, answer, (size_t)len, 0);
}

static void serve_lazy_sink(int fd)
{
    sleep(5);
    serve_sink(fd);
}

static void serve_reset(int fd)
{
    struct weir_linger now = {1, 0};
    char byte;
    weir_recv(host, fd, &byte, 1, 0);
    weir_setsockopt(host, fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static void serve_source(int fd)
{
    char line[32], hex[HASH_HEX];
    if (recv_line(fd, line, sizeof line) && send_stream(fd, strtoull(line, NULL, 10), hex))
        weir_send(host, fd, hex, HASH_HEX - 1, 0);
}

struct service {
    int port;
    void (*serve)(int fd);
    int listener;
};

static struct service services[] = {
    {7, serve_echo, -1},       {8, serve_close, -1},  {9, serve_sink, -1},
    {10, serve_lazy_sink, -1}, {13, serve_reset, -1}, {19, serve_source, -1},
};

struct connection {
    const struct service *service;
    int fd;
};

static void *connection_thread(void *arg)
{
    struct connection c = *(struct connection *)arg;
    free(arg);
    c.service->serve(c.fd);
    weir_close(host, c.fd);
    return NULL;
}

static void *listener_thread(void *arg)
{
    const struct service *service = arg;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (;;) {
        pthread_t thread;
        int fd = weir_accept(host, service->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        struct connection *c = malloc(sizeof *c);
        *c = (struct connection){service, fd};
        if (pthread_create(&thread, &attr, connection_thread, c) != 0) {
            weir_close(host, fd);
            free(c);
        }
    }
}

static int open_bound(int type, int port)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    int fd = weir_socket(host, AF_INET6, type, 0);
    any.sin6_port = htons((uint16_t)port);
    if (fd < 0 || weir_bind(host, fd, (struct sockaddr *)&any, sizeof any) != 0)
        die("bind", 0);
    return fd;
}

static void *udp_echo_thread(void *arg)
{
    static char buf[65536];
    struct sockaddr_in6 from;
    int fd = (int)(intptr_t)arg;
    for (;;) {
        socklen_t len = sizeof from;
        ssize_t n = weir_recvfrom(host, fd, buf, sizeof buf, 0, (struct sockaddr *)&from, &len);
        if (n >= 0)
            weir_sendto(host, fd, buf, (size_t)n, 0, (struct sockaddr *)&from, len);
        else if (errno == EBADF)
            return NULL;
    }
}

static void start_services(void)
{
    pthread_t thread;
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        services[i].listener = open_bound(SOCK_STREAM, services[i].port);
        if (weir_listen(host, services[i].listener, 1024) != 0)
            die("listen", 0);
        pthread_create(&thread, NULL, listener_thread, &services[i]);
        pthread_detach(thread);
    }
    int udp = open_bound(SOCK_DGRAM, 7);
    pthread_create(&thread, NULL, udp_echo_thread, (void *)(intptr_t)udp);
    pthread_detach(thread);
}

/* ---- commands ----------------------------------------------------------------------------------- */

static bool answer_error(void)
{
    printf("error %s\n", weir_error_name(-errno));
    return false;
}

/* Opens a socket to words[1] words[2]; -1 and errno. */
static int open_to(int type, char **words)
{
    struct addrinfo hints = {.ai_socktype = type, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *ai;
    if (getaddrinfo(words[1], words[2], &hints, &ai) != 0) {
        errno = EINVAL;
        return -1;
    }
    int fd = weir_socket(host, ai->ai_family, type, 0);
    if (fd >= 0 && weir_connect(host, fd, ai->ai_addr, ai->ai_addrlen) != 0) {
        int error = errno;
        weir_close(host, fd);
        errno = error;
        fd = -1;
    }
    freeaddrinfo(ai);
    return fd;
}

static bool do_send(int fd, char **words)
{
    char hex[HASH_HEX], line[128], expected[128];
    uint64_t total = strtoull(words[3], NULL, 10);
    if (!send_stream(fd, total, hex) || weir_shutdown(host, fd, SHUT_WR) != 0 ||
        !recv_line(fd, line, sizeof line))
        return answer_error();
    snprintf(expected, sizeof expected, "%llu %s", (unsigned long long)total, hex);
    printf("%s %s\n", strcmp(line, expected) == 0 ? "ok" : "error MISMATCH", line);
    return true;
}

static bool do_recv(int fd, char **words)
{
    char hex[HASH_HEX], told[HASH_HEX] = "", ask[32];
    uint64_t total = strtoull(words[3], NULL, 10);
    int len = snprintf(ask, sizeof ask, "%llu\n", (unsigned long long)total);
    if (weir_send(host, fd, ask, (size_t)len, 0) != len ||
        recv_stream(fd, total, hex) != (int64_t)total ||
        weir_recv(host, fd, told, HASH_HEX - 1, MSG_WAITALL) != HASH_HEX - 1)
        return answer_error();
    printf("%s %s\n", strcmp(hex, told) == 0 ? "ok" : "error MISMATCH", hex);
    return true;
}

static bool do_connect(int fd, char **words)
{
    (void)fd;
    (void)words;
    return printf("ok\n") > 0;
}

static bool do_await_reset(int fd, char **words)
{
    char buf[64];
    ssize_t n;
    (void)words;
    weir_send(host, fd, "x", 1, 0);
    while ((n = weir_recv(host, fd, buf, sizeof buf, 0)) > 0)
        ;
    return n < 0 ? answer_error() : printf("ok end of stream\n") > 0;
}

static bool do_udp(int fd, char **words)
{
    struct timeval timeout = {.tv_sec = 2};
    size_t len = strtoul(words[3], NULL, 10);
    uint64_t seed = 1;
    uint8_t *out = malloc(len + 8), *in = malloc(len + 8);
    fill(out, len, &seed);
    weir_setsockopt(host, fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    ssize_t n = weir_send(host, fd, out, len, 0);
    if (n >= 0)
        n = weir_recv(host, fd, in, len + 8, 0);
    bool same = n == (ssize_t)len && memcmp(in, out, len) == 0;
    if (n < 0)
        answer_error();
    else
        printf("%s %zd\n", same ? "ok" : "error MISMATCH", n);
    free(out);
    free(in);
    return same;
}

static void do_churn(char **words)
{
    unsigned long times = strtoul(words[3], NULL, 10), i;
    for (i = 0; i < times; i++) {
        char byte = (char)i, back = 0;
        int fd = open_to(SOCK_STREAM, words);
        if (fd < 0 || weir_send(host, fd, &byte, 1, 0) != 1 ||
            weir_recv(host, fd, &back, 1, 0) != 1 || back != byte) {
            printf("error %s after %lu\n", weir_error_name(-errno), i);
            return;
        }
        weir_close(host, fd);
    }
    printf("ok %lu\n", i);
}

static void put_addr(const struct weir_addr *addr)
{
    char text[WEIR_ADDR_STRLEN];
    weir_addr_format(addr, text, sizeof text);
    printf(" %s", text);
}

static void do_addrs(void)
{
    struct weir_if_addr list[32];
    int n = weir_addr_list(weir_host_lock(host), ifindex, list, 32);
    weir_host_unlock(host);
    printf("ok");
    for (int i = 0; i < n; i++) {
        put_addr(&list[i].addr);
        printf("/%u%s", list[i].prefix_len, list[i].learnt ? "*" : "");
    }
    printf("\n");
}

static void do_lease(void)
{
    struct weir_dhcp_info info;
    struct weir_addr dns = weir_addr_any4();
    struct weir_stack *stack = weir_host_lock(host);
    weir_dhcp_info(stack, ifindex, &info);
    weir_learnt_dns(stack, &dns, 1);
    weir_host_unlock(host);
    printf("ok %d %u", (int)info.state, info.requests);
    put_addr(&info.addr);
    put_addr(&info.gateway);
    put_addr(&dns);
    printf("\n");
}

static void do_drops(void)
{
    struct weir_stack *stack = weir_host_lock(host);
    printf("ok");
    for (unsigned i = 0; i < weir_drop_reasons(); i++)
        if (weir_drop_count(stack, i))
            printf(" %s=%llu", weir_drop_name(i), (unsigned long long)weir_drop_count(stack, i));
    printf("\n");
    weir_host_unlock(host);
}

static void do_stat(char **words)
{
    struct weir_stack *stack = weir_host_lock(host);
    for (unsigned i = 0; i < weir_stat_kinds(); i++)
        if (strcmp(weir_stat_name(i), words[1]) == 0)
            printf("ok %llu\n", (unsigned long long)weir_stat_count(stack, i));
    weir_host_unlock(host);
}

struct command {
    const char *name;
    int type, words;
    bool (*run)(int fd, char **words);
};

static const struct command commands[] = {
    {"send", SOCK_STREAM, 4, do_send},       {"recv", SOCK_STREAM, 4, do_recv},
    {"connect", SOCK_STREAM, 3, do_connect}, {"await-reset", SOCK_STREAM, 3, do_await_reset},
    {"udp", SOCK_DGRAM, 4, do_udp},
};

static void run_command(char **words, int n)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(words[0], commands[i].name) != 0 || n != commands[i].words)
            continue;
        int fd = open_to(commands[i].type, words);
        if (fd < 0) {
            answer_error();
            return;
        }
        commands[i].run(fd, words);
        weir_close(host, fd);
        return;
    }
    if (strcmp(words[0], "churn") == 0 && n == 4)
        do_churn(words);
    else if (strcmp(words[0], "drops") == 0)
        do_drops();
    else if (strcmp(words[0], "addrs") == 0)
        do_addrs();
    else if (strcmp(words[0], "lease") == 0)
        do_lease();
    else if (strcmp(words[0], "stat") == 0 && n == 2)
        do_stat(words);
    else
        printf("error unknown command\n");
}

static void obey(void)
{
    char line[512], *words[MAX_WORDS], *save;
    while (fgets(line, sizeof line, stdin)) {
        int n = 0;
        for (char *w = strtok_r(line, " \n", &save); w && n < MAX_WORDS;
             w = strtok_r(NULL, " \n", &save))
            words[n++] = w;
        if (n > 0)
            run_command(words, n);
        fflush(stdout);
    }
}

/* ---- setting up --------------------------------------------------------------------------------- */

static const char *value_of(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return NULL;
}

static bool is_given(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return false;
}

static void configure_kernel(const char *text, uint32_t mtu)
{
    char copy[64];
    struct weir_addr addr;
    snprintf(copy, sizeof copy, "%s", text);
    char *slash = strchr(copy, '/');
    if (slash)
        *slash = '\0';
    if (!slash || !weir_addr_parse(copy, &addr))
        die(text, WEIR_EINVAL);
    int rc = weir_tun_configure(tun, &addr, (unsigned)atoi(slash + 1), mtu);
    if (rc != 0)
        die("configuring the kernel's side", rc);
}

/* One that stays from peer to peer, as the kernel remembers it: made of the IPv4 address. */
static void stable_mac(int argc, char **argv, uint8_t mac[6])
{
    const char *text = value_of(argc, argv, "--addr");
    struct weir_addr addr;
    char copy[64];
    if (!text)
        return;
    snprintf(copy, sizeof copy, "%.*s", (int)strcspn(text, "/"), text);
    if (!weir_addr_parse(copy, &addr))
        return;
    mac[0] = 2;
    memcpy(mac + 2, addr.b + 12, 4);
}

/* A link on an interface of the kernel's. */
static void open_beside(int argc, char **argv, uint32_t mtu, const char *netns)
{
    struct weir_packet_config packet = {.ifname = value_of(argc, argv, "--packet"),
                                        .netns = netns,
                                        .mtu = mtu,
                                        .offload = is_given(argc, argv, "--offload"),
                                        .plain = is_given(argc, argv, "--plain")};
    struct weir_xdp_config xdp = {.ifname = value_of(argc, argv, "--xdp"),
                                  .netns = netns,
                                  .mtu = mtu,
                                  .hook = is_given(argc, argv, "--generic")  ? WEIR_XDP_GENERIC
                                          : is_given(argc, argv, "--native") ? WEIR_XDP_NATIVE
                                                                             : WEIR_XDP_AUTO,
                                  .plain = is_given(argc, argv, "--plain")};
    const char *why = NULL;
    stable_mac(argc, argv, packet.mac);
    stable_mac(argc, argv, xdp.mac);
    int rc = packet.ifname ? weir_link_packet(&packet, &tun) : weir_link_xdp(&xdp, &tun, &why);
    if (rc != 0)
        die(why ? why : "opening the interface", rc);
}

static struct weir_link *open_link(int argc, char **argv)
{
    const char *mtu = value_of(argc, argv, "--mtu"), *impair = value_of(argc, argv, "--impair");
    const char *pcap = value_of(argc, argv, "--pcap"), *bad;
    struct weir_tun_config config = {
        .name = value_of(argc, argv, "--tun"),
        .tap = is_given(argc, argv, "--tap"),
        .offload = is_given(argc, argv, "--offload"),
        .plain = is_given(argc, argv, "--plain"),
        .mtu = mtu ? (uint32_t)atoi(mtu) : 0,
        .netns = value_of(argc, argv, "--netns"),
    };
    struct weir_link *link;
    int rc = 0;
    if (value_of(argc, argv, "--packet") || value_of(argc, argv, "--xdp"))
        open_beside(argc, argv, config.mtu, config.netns);
    else
        rc = weir_link_tun(&config, &tun);
    if (rc != 0)
        die("opening the device", rc);
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--kernel") == 0)
            configure_kernel(argv[i + 1], config.mtu);
    link = tun;
    if (impair) {
        struct weir_impair_config faults = {0};
        rc = weir_impair_parse(impair, &faults, &bad);
        if (rc == 0)
            rc = weir_link_impair(link, &faults, WEIR_IMPAIR_BOTH, &link);
    }
    if (rc == 0 && pcap)
        rc = weir_link_pcap(link, pcap, false, &link);
    if (rc != 0)
        die("impairments or capture", rc);
    return link;
}

static void set_up(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++) {
        int rc = 0;
        char *eq = strchr(argv[i + 1], '=');
        if (strcmp(argv[i], "--addr") == 0)
            rc = weir_host_add_addr(host, ifindex, argv[i + 1]);
        if (strcmp(argv[i], "--route") == 0 && eq) {
            *eq = '\0';
            rc = weir_host_add_route(host, argv[i + 1], eq + 1, ifindex);
        }
        if (strcmp(argv[i], "--sysctl") == 0 && eq) {
            *eq = '\0';
            rc = weir_sysctl_set(weir_host_lock(host), argv[i + 1], atoll(eq + 1));
            weir_host_unlock(host);
        }
        if (rc != 0)
            die(argv[i + 1], rc);
    }
}

int main(int argc, char **argv)
{
    int rc = sodium_init() < 0 ? WEIR_EIO : weir_loop_new(&loop);
    if (rc == 0)
        rc = weir_host_new(loop, NULL, &host);
    if (rc != 0)
        die("starting", rc);
    ifindex = weir_host_add_link(host, open_link(argc, argv));
    if (ifindex < 0)
        die("adding the interface", ifindex);
    set_up(argc, argv);
    rc = weir_loop_start(loop);
    if (rc != 0)
        die("starting the loop", rc);
    unsigned learn = (is_given(argc, argv, "--dhcp") ? WEIR_AUTO_DHCP : 0u) |
                     (is_given(argc, argv, "--slaac") ? WEIR_AUTO_SLAAC : 0u);
    rc = weir_host_autoconf(host, ifindex, learn);
    if (rc == 0)
        rc = weir_host_await_autoconf(host, ifindex, learn, weir_now() + 25 * WEIR_SEC);
    if (rc != 0)
        die("addresses from the network", rc > 0 ? WEIR_ETIMEDOUT : rc);
    start_services();
    printf("ready %s\n", tun->netif.name);
    fflush(stdout);
    obey();
    /* The services' threads are inside calls: they go with the process, and the host is not freed
     * under them. The capture is complete once the loop rests and the link is closed. */
    weir_loop_stop(loop);
    weir_host_lock(host);
    weir_host_free(host);
    _exit(0);
}
