/* SPDX-License-Identifier: MIT */
/*
 * libweir-packetdrill.so by its contract (drill/adapter/pd_abi.h), without packetdrill: this program
 * takes its part. It loads the object, and moves, sends, receives and waits with two threads as that
 * one does. The cases of LD_PRELOAD are run by a second process of this program.
 */
#define _GNU_SOURCE
/* These come first: <unistd.h> has a W_OK of its own. */
#include "base/bytes.h"
#include "drill/adapter/pd_abi.h"
#include "wire/w_csum.h"
#include "wire/w_ip4.h"
#include "wire/w_tcp.h"
#include "wire/w_tcpopt.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <weir/info.h>

enum { PORT = 8080, PEER_PORT = 40001, PEER_ISS = 1000 };

static const char local_text[] = "192.168.0.1", remote_text[] = "192.0.2.1";

static struct pd_interface ifc;
static void *object;

/* What the peer knows of the connection. */
static uint32_t snd, rcv;

/* ---- the object ------------------------------------------------------------------------------- */

static const char *object_path(void)
{
    static char path[4096];
    const char *build = getenv("WEIR_BUILD");
    snprintf(path, sizeof path, "%s/packetdrill/libweir-packetdrill.so", build ? build : ".");
    return path;
}

static void begin(const char *flags)
{
    object = dlopen(object_path(), RTLD_NOW | RTLD_LOCAL);
    if (!object)
        fail_msg("%s", dlerror());
    void (*init)(const char *, struct pd_interface *);
    *(void **)&init = dlsym(object, "packetdrill_interface_init");
    assert_non_null(init);
    memset(&ifc, 0, sizeof ifc);
    init(flags, &ifc);
    assert_non_null(ifc.userdata);
}

static void end(void)
{
    ifc.free(ifc.userdata);
    dlclose(object);
}

static long long now_us(void)
{
    struct timeval tv;
    assert_int_equal(ifc.gettimeofday(ifc.userdata, &tv, NULL), 0);
    return tv.tv_sec * 1000000LL + tv.tv_usec;
}

/* ---- packets ---------------------------------------------------------------------------------- */

static void inject(uint16_t flags, const char *data)
{
    uint8_t packet[256] = {0};
    struct in_addr ours, theirs;
    size_t len = strlen(data), whole = 40 + len;
    inet_pton(AF_INET, local_text, &ours);
    inet_pton(AF_INET, remote_text, &theirs);
    struct weir_addr from = weir_addr_from_v4_bytes((const uint8_t *)&theirs);
    struct weir_addr to = weir_addr_from_v4_bytes((const uint8_t *)&ours);
    struct w_ip4 ip = {.src = from,
                       .dst = to,
                       .total_len = (uint16_t)whole,
                       .ttl = 64,
                       .proto = W_IPPROTO_TCP,
                       .hdr_len = W_IP4_HLEN};
    wr_w_ip4_emit(packet, &ip);
    struct w_tcp th = {.src_port = PEER_PORT,
                       .dst_port = PORT,
                       .seq = snd,
                       .ack = flags & W_TCP_ACK ? rcv : 0,
                       .flags = flags,
                       .wnd = 65535,
                       .data_off = 20};
    wr_w_tcp_emit(packet + 20, &th);
    memcpy(packet + 40, data, len);
    uint64_t sum = wr_csum_pseudo(&from, &to, W_IPPROTO_TCP, (uint32_t)(20 + len));
    put_be16(packet + 36, wr_csum_finish(wr_csum_add(sum, packet + 20, 20 + len)));
    snd += (uint32_t)len + ((flags & (W_TCP_SYN | W_TCP_FIN)) ? 1 : 0);
    assert_int_equal(ifc.netdev_send(ifc.userdata, packet, whole), 0);
}

/* The next packet; false when none comes. */
static bool receive(struct w_tcp *th, size_t *data_len, long long *at_us)
{
    uint8_t packet[2048];
    size_t len = sizeof packet;
    assert_int_equal(ifc.netdev_receive(ifc.userdata, packet, &len, at_us), 0);
    if (len == 0)
        return false;
    assert_true(len >= 40);
    assert_int_equal(packet[0], 0x45);
    assert_int_equal(wr_w_tcp_parse(packet + 20, len - 20, th), 0);
    *data_len = len - 20 - th->data_off;
    rcv = th->seq + (uint32_t)*data_len + ((th->flags & (W_TCP_SYN | W_TCP_FIN)) ? 1 : 0);
    return true;
}

static struct sockaddr_in address(const char *text, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, text, &in.sin_addr);
    return in;
}

static int listener(void)
{
    struct sockaddr_in in = address(local_text, PORT);
    int fd = ifc.socket(ifc.userdata, AF_INET, SOCK_STREAM, IPPROTO_TCP);
    assert_true(fd >= 0);
    assert_int_equal(ifc.bind(ifc.userdata, fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(ifc.listen(ifc.userdata, fd, 5), 0);
    return fd;
}

static void handshake(void)
{
    struct w_tcp th;
    size_t len;
    long long at;
    snd = PEER_ISS;
    inject(W_TCP_SYN, "");
    assert_true(receive(&th, &len, &at));
    assert_int_equal(th.flags, W_TCP_SYN | W_TCP_ACK);
    inject(W_TCP_ACK, "");
}

static int establish(int fd)
{
    handshake();
    int conn = ifc.accept(ifc.userdata, fd, NULL, NULL);
    assert_true(conn >= 0);
    return conn;
}

/* ---- time ------------------------------------------------------------------------------------- */

static void test_usleep_moves_the_clock_and_asking_it_creeps(void **state)
{
    (void)state;
    begin(NULL);
    long long before = now_us();
    assert_int_equal(now_us() - before, 1); /* a program that spins gets there */
    assert_int_equal(ifc.usleep(ifc.userdata, 1000000), 0);
    assert_int_equal(now_us() - before, 1000002);
    end();
}

/* RFC 6298 2 (2.1): the first retransmission after 1 s; its stamp is on the clock. */
static void test_receive_waits_for_what_the_stack_sends_and_stamps_it(void **state)
{
    struct w_tcp th;
    size_t len;
    long long first, second;
    (void)state;
    begin(NULL);
    listener();
    snd = PEER_ISS;
    inject(W_TCP_SYN, "");
    assert_true(receive(&th, &len, &first));
    assert_true(receive(&th, &len, &second));
    assert_int_equal(th.flags, W_TCP_SYN | W_TCP_ACK);
    assert_int_equal(second - first, 1000000);
    assert_true(now_us() >= second);
    end();
}

static void test_receive_of_nothing_ends(void **state)
{
    struct w_tcp th;
    size_t len;
    long long at;
    (void)state;
    begin(NULL);
    assert_false(receive(&th, &len, &at));
    end();
}

/* ---- calls that block ------------------------------------------------------------------------- */

struct caller {
    pthread_t thread;
    int fd, result, error;
    long long returned_us;
    char data[64];
    _Atomic int tid;
};

static bool sleeps(const struct caller *caller)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", caller->tid);
    FILE *in = caller->tid ? fopen(path, "r") : NULL;
    if (!in)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, in);
    fclose(in);
    const char *after = n > 0 ? strrchr(text, ')') : NULL;
    return after && after[2] == 'S';
}

/* As packetdrill does: when the other thread sleeps its call has begun to block. */
static void start(struct caller *caller, void *(*fn)(void *))
{
    assert_int_equal(pthread_create(&caller->thread, NULL, fn, caller), 0);
    while (!sleeps(caller))
        sched_yield();
}

static void *accept_thread(void *arg)
{
    struct caller *caller = arg;
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    caller->tid = gettid();
    caller->result = ifc.accept(ifc.userdata, caller->fd, (struct sockaddr *)&peer, &len);
    caller->error = errno;
    caller->returned_us = now_us();
    snprintf(caller->data, sizeof caller->data, "%s:%u", inet_ntoa(peer.sin_addr),
             ntohs(peer.sin_port));
    return NULL;
}

static void *read_thread(void *arg)
{
    struct caller *caller = arg;
    caller->tid = gettid();
    caller->result = (int)ifc.read(ifc.userdata, caller->fd, caller->data, sizeof caller->data - 1);
    caller->error = errno;
    caller->returned_us = now_us();
    return NULL;
}

static void *poll_thread(void *arg)
{
    struct caller *caller = arg;
    struct pollfd pfd = {.fd = caller->fd, .events = POLLIN};
    caller->tid = gettid();
    caller->result = ifc.poll(ifc.userdata, &pfd, 1, 5000);
    caller->returned_us = now_us();
    return NULL;
}

static void test_blocked_accept_returns_when_the_handshake_ends(void **state)
{
    (void)state;
    begin("local=192.168.0.1/16");
    struct caller caller = {.fd = listener()};
    start(&caller, accept_thread);
    ifc.usleep(ifc.userdata, 250000);
    handshake();
    long long at = now_us();
    ifc.usleep(ifc.userdata, 3000000); /* its thread reads the clock before it moves on */
    pthread_join(caller.thread, NULL);
    assert_true(caller.result >= 0);
    assert_string_equal(caller.data, "192.0.2.1:40001");
    assert_true(llabs(caller.returned_us - at) <= 10);
    end();
}

/* A blocked read is over at the very time of the segment, though it came in the midst of a sleep of
 * the first thread's: here it is a retransmission time-out that ends the connection. */
static void test_blocked_read_returns_the_error_at_its_time(void **state)
{
    (void)state;
    begin("net.ipv4.tcp_keepalive_time=10,net.ipv4.tcp_keepalive_intvl=5,"
          "net.ipv4.tcp_keepalive_probes=2");
    int one = 1;
    struct caller caller = {.fd = establish(listener())};
    assert_int_equal(
        ifc.setsockopt(ifc.userdata, caller.fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one), 0);
    long long before = now_us();
    start(&caller, read_thread);
    ifc.usleep(ifc.userdata, 60000000);
    pthread_join(caller.thread, NULL);
    assert_int_equal(caller.result, -1);
    assert_int_equal(caller.error, ETIMEDOUT);
    /* RFC 9293 3.8.4; Linux: 10 s idle, then two probes 5 s apart, and 5 s for the last answer */
    assert_true(llabs(caller.returned_us - before - 20000000) < 1000);
    end();
}

/* At the end of a script packetdrill only waits for the other thread: time must not stand still. */
static void test_blocked_call_moves_the_time_when_nobody_else_does(void **state)
{
    (void)state;
    begin(NULL);
    struct caller caller = {.fd = listener()};
    long long before = now_us();
    assert_int_equal(pthread_create(&caller.thread, NULL, poll_thread, &caller), 0);
    pthread_join(caller.thread, NULL);
    assert_int_equal(caller.result, 0);
    assert_true(llabs(caller.returned_us - before - 5000000) <= 10);
    end();
}

static void test_call_that_can_never_return_says_so(void **state)
{
    (void)state;
    begin(NULL);
    assert_int_equal(ifc.accept(ifc.userdata, listener(), NULL, NULL), -1);
    assert_int_equal(errno, EDEADLK);
    end();
}

/* ---- data ------------------------------------------------------------------------------------- */

static void test_gathered_and_scattered_data(void **state)
{
    struct w_tcp th;
    size_t len;
    long long at;
    char a[3] = "", b[8] = "";
    struct iovec out[2] = {{(char *)(uintptr_t) "abc", 3}, {(char *)(uintptr_t) "defg", 4}};
    struct iovec in[2] = {{a, 2}, {b, 7}};
    (void)state;
    begin(NULL);
    int fd = establish(listener());
    assert_int_equal(ifc.writev(ifc.userdata, fd, out, 2), 7);
    assert_true(receive(&th, &len, &at));
    assert_int_equal(len, 7);
    inject(W_TCP_ACK | W_TCP_PSH, "12345");
    assert_int_equal(ifc.readv(ifc.userdata, fd, in, 2), 5);
    assert_string_equal(a, "12");
    assert_string_equal(b, "345");
    assert_int_equal(ifc.recv(ifc.userdata, fd, a, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(ifc.write(ifc.userdata, fd, NULL, 5), -1);
    assert_int_equal(errno, EFAULT);
    assert_int_equal(ifc.read(ifc.userdata, 999, a, 1), -1);
    assert_int_equal(errno, EBADF);
    end();
}

static void test_splice_from_the_stream_into_a_pipe(void **state)
{
    char text[16] = "";
    int ends[2];
    (void)state;
    begin(NULL);
    int fd = establish(listener());
    assert_int_equal(ifc.pipe(ifc.userdata, ends), 0);
    inject(W_TCP_ACK | W_TCP_PSH, "through");
    assert_int_equal(ifc.splice(ifc.userdata, fd, NULL, ends[1], NULL, 100, 0), 7);
    assert_int_equal(ifc.read(ifc.userdata, ends[0], text, sizeof text), 7);
    assert_string_equal(text, "through");
    assert_int_equal(ifc.close(ifc.userdata, ends[1]), 0);
    assert_int_equal(ifc.read(ifc.userdata, ends[0], text, sizeof text), 0);
    end();
}

/* epoll(7): an edge is reported once, a level as long as it lasts. */
static void test_epoll_edge_and_level(void **state)
{
    char text[16];
    (void)state;
    begin(NULL);
    int fd = establish(listener()), set = ifc.epoll_create(ifc.userdata, 1);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = 7}, got[2];
    assert_int_equal(ifc.epoll_ctl(ifc.userdata, set, EPOLL_CTL_ADD, fd, &event), 0);
    assert_int_equal(ifc.epoll_wait(ifc.userdata, set, got, 2, 0), 0);
    inject(W_TCP_ACK | W_TCP_PSH, "one");
    assert_int_equal(ifc.epoll_wait(ifc.userdata, set, got, 2, 0), 1);
    assert_int_equal(got[0].events, EPOLLIN);
    assert_int_equal(got[0].data.u32, 7);
    assert_int_equal(ifc.epoll_wait(ifc.userdata, set, got, 2, 0), 0);
    inject(W_TCP_ACK | W_TCP_PSH, "two");
    assert_int_equal(ifc.epoll_wait(ifc.userdata, set, got, 2, 0), 1);
    event.events = EPOLLIN;
    assert_int_equal(ifc.epoll_ctl(ifc.userdata, set, EPOLL_CTL_MOD, fd, &event), 0);
    assert_int_equal(ifc.epoll_wait(ifc.userdata, set, got, 2, 0), 1);
    assert_int_equal(ifc.epoll_wait(ifc.userdata, set, got, 2, 0), 1);
    assert_int_equal(ifc.read(ifc.userdata, fd, text, sizeof text), 6);
    assert_int_equal(ifc.epoll_wait(ifc.userdata, set, got, 2, 0), 0);
    end();
}

/* ---- flags and commands ----------------------------------------------------------------------- */

static int run_command(const char *line)
{
    char command[8192];
    const char *build = getenv("WEIR_BUILD");
    snprintf(command, sizeof command, "PATH=%s/packetdrill/bin:$PATH; %s", build ? build : ".",
             line);
    return system(command);
}

static bool next_has_sack(void)
{
    uint8_t packet[2048];
    struct w_tcpopt opt;
    size_t len = sizeof packet;
    long long at;
    assert_int_equal(ifc.netdev_receive(ifc.userdata, packet, &len, &at), 0);
    assert_true(len > 40);
    size_t options = (size_t)(packet[32] >> 4) * 4 - 20;
    assert_int_equal(wr_w_tcpopt_parse(packet + 40, options, true, &opt), 0);
    return opt.sack_permitted;
}

/* Our own SYN shows what is in force. */
static bool syn_has_sack(void)
{
    struct sockaddr_in to = address(remote_text, PORT);
    int fd = ifc.socket(ifc.userdata, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(ifc.connect(ifc.userdata, fd, (struct sockaddr *)&to, sizeof to), -1);
    assert_int_equal(errno, EINPROGRESS);
    bool has = next_has_sack();
    assert_int_equal(ifc.close(ifc.userdata, fd), 0);
    return has;
}

static void test_commands_reach_the_stack(void **state)
{
    (void)state;
    begin(NULL);
    assert_true(syn_has_sack());
    assert_int_equal(run_command("sysctl -q net.ipv4.tcp_sack=0"), 0);
    assert_false(syn_has_sack());
    assert_int_equal(run_command("tc qdisc add dev tun0 root pfifo"), 0);
    assert_int_equal(run_command("nstat | grep -q TcpActiveOpens"), 0);
    assert_int_not_equal(run_command("sysctl -q net.ipv4.no_such_thing=1 2>/dev/null"), 0);
    assert_int_not_equal(run_command("ip frobnicate 2>/dev/null"), 0);
    end();
    assert_int_not_equal(run_command("sysctl -q net.ipv4.tcp_sack=0 2>/dev/null"), 0);
}

static void test_flags_set_addresses_mtu_and_tunables(void **state)
{
    (void)state;
    begin("local=10.1.2.3/24,local=10.1.2.4/24,mtu=1400,net.ipv4.tcp_sack=0,seed=9");
    struct sockaddr_in in = address("10.1.2.4", PORT), other = address("10.1.2.5", PORT);
    int fd = ifc.socket(ifc.userdata, AF_INET, SOCK_STREAM, 0);
    assert_int_equal(ifc.bind(ifc.userdata, fd, (struct sockaddr *)&other, sizeof other), -1);
    assert_int_equal(errno, EADDRNOTAVAIL);
    assert_int_equal(ifc.bind(ifc.userdata, fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_false(syn_has_sack());
    end();
}

static void test_flags_not_understood_end_the_program(void **state)
{
    static const char *const wrong[] = {"local=1.2.3.4",      "mtu=65536",  "nonsense",
                                        "net.ipv4.nothing=1", "local=x/24", "mtu="};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        pid_t child = fork();
        if (child == 0) {
            if (!freopen("/dev/null", "w", stderr))
                _exit(3);
            begin(wrong[i]);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1);
    }
}

/* ---- LD_PRELOAD ------------------------------------------------------------------------------- */

enum { PRELOAD_OK = 42 };

/* In a process in which the object stands before the C library: its plain functions know our
 * sockets, and any other descriptor as ever. Exits with PRELOAD_OK. */
static int preloaded(void)
{
    struct w_tcp th;
    size_t len;
    long long at;
    begin(NULL);
    int fd = establish(listener());
    struct weir_tcp_info info;
    socklen_t info_len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_len) != 0 || info_len != sizeof info)
        return 1;
    if (info.tcpi_state != TCP_ESTABLISHED || info.tcpi_snd_cwnd != 10)
        return 2;
    FILE *file = tmpfile();
    off_t offset = 2;
    if (!file || fputs("0123456789", file) < 0 || fflush(file) != 0)
        return 3;
    if (sendfile(fd, fileno(file), &offset, 5) != 5 || offset != 7 || !receive(&th, &len, &at) ||
        len != 5)
        return 4;
    if (close(fd) != 0 || !receive(&th, &len, &at) || !(th.flags & W_TCP_FIN))
        return 5;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_len) != -1 || errno != EBADF)
        return 6;
    int ends[2];
    if (pipe(ends) != 0 || close(ends[0]) != 0 || close(ends[0]) != -1 || errno != EBADF)
        return 7;
    end();
    return PRELOAD_OK;
}

static void test_preloaded_object_answers_for_the_c_library(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        setenv("LD_PRELOAD", object_path(), 1);
        /* The sanitizer's runtime minds not to be first in line. */
        setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
        execl("/proc/self/exe", "test_drill_adapter", "preloaded", (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), PRELOAD_OK);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "preloaded") == 0)
        return preloaded();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usleep_moves_the_clock_and_asking_it_creeps),
        cmocka_unit_test(test_receive_waits_for_what_the_stack_sends_and_stamps_it),
        cmocka_unit_test(test_receive_of_nothing_ends),
        cmocka_unit_test(test_blocked_accept_returns_when_the_handshake_ends),
        cmocka_unit_test(test_blocked_read_returns_the_error_at_its_time),
        cmocka_unit_test(test_blocked_call_moves_the_time_when_nobody_else_does),
        cmocka_unit_test(test_call_that_can_never_return_says_so),
        cmocka_unit_test(test_gathered_and_scattered_data),
        cmocka_unit_test(test_splice_from_the_stream_into_a_pipe),
        cmocka_unit_test(test_epoll_edge_and_level),
        cmocka_unit_test(test_commands_reach_the_stack),
        cmocka_unit_test(test_flags_set_addresses_mtu_and_tunables),
        cmocka_unit_test(test_flags_not_understood_end_the_program),
        cmocka_unit_test(test_preloaded_object_answers_for_the_c_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
