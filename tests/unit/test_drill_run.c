/* SPDX-License-Identifier: MIT */
/* The runner of drill: right expectations pass, each kind of wrong one fails and says why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drill/drill.h"

#define LISTEN                                                                                     \
    "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"                                                \
    "+0 bind(3, ..., ...) = 0\n"                                                                   \
    "+0 listen(3, 5) = 0\n"
#define OPEN                                                                                       \
    LISTEN "+0 < S 0:0(0) win 65535 <mss 1000>\n"                                                  \
           "+0 > S. 0:0(0) ack 1 <mss 1460>\n"                                                     \
           "+.1 < . 1:1(0) ack 1 win 65535\n"                                                      \
           "+0 accept(3, ..., ...) = 4\n"

static bool run(const char *text, enum dr_ip_version version, char **report)
{
    struct dr_options options;
    size_t len;
    wr_dr_options_default(&options);
    options.ip_version = version;
    FILE *out = open_memstream(report, &len);
    assert_non_null(out);
    bool passed = wr_dr_run_text("script", text, strlen(text), &options, out);
    fclose(out);
    return passed;
}

static void passes(const char *text)
{
    char *report;
    if (!run(text, DR_IP_V4, &report) || report[0] != '\0')
        fail_msg("%s\nfailed: %s", text, report);
    free(report);
}

static void fails(const char *text, const char *why)
{
    char *report;
    if (run(text, DR_IP_V4, &report))
        fail_msg("%s\npassed", text);
    if (!strstr(report, why))
        fail_msg("%s\n\"%s\" does not say \"%s\"", text, report, why);
    free(report);
}

static void test_open(void **state)
{
    (void)state;
    passes(OPEN);
    passes(OPEN "+0 write(4, ..., 100) = 100\n* > P. 1:101(100) ack 1\n");
    passes(OPEN "+0 write(4, ..., 3000) = 3000\n+0 > P. 1:3001(3000) ack 1\n");
    passes(OPEN "+0 write(4, ..., 3000) = 3000\n+0 > ...\n");
    passes("--gso=65535\n--strict_segments\n" OPEN "+0 write(4, ..., 3000) = 3000\n"
           "+0 > P. 1:3001(3000) ack 1\n");
}

static void test_families(void **state)
{
    (void)state;
    static const enum dr_ip_version versions[] = {DR_IP_V4, DR_IP_V6, DR_IP_MAPPED};
    for (size_t i = 0; i < 3; i++) {
        char *report;
        if (!run(OPEN "+0 < P. 1:101(100) ack 1 win 65535\n+0~+.5 > . 1:1(0) ack 101\n"
                      "+0 read(4, ..., 1000) = 100\n",
                 versions[i], &report))
            fail_msg("version %d: %s", (int)versions[i], report);
        free(report);
    }
}

static void test_wrong_packets(void **state)
{
    (void)state;
    fails(LISTEN "+0 < S 0:0(0) win 65535 <mss 1000>\n+0 > S 0:0(0) <mss 1460>\n",
          "wrong packet: flags");
    fails(LISTEN "+0 < S 0:0(0) win 65535 <mss 1000>\n+0 > S. 0:0(0) ack 2 <mss 1460>\n",
          "acknowledgment number");
    fails(LISTEN "+0 < S 0:0(0) win 65535 <mss 1000>\n+0 > S. 0:0(0) ack 1 <mss 1461>\n",
          "wrong packet: options");
    fails(LISTEN "+0 < S 0:0(0) win 65535 <mss 1000>\n+0 > S. 0:0(0) ack 1\n",
          "wrong packet: options");
    fails(LISTEN "+0 < S 0:0(0) win 65535 <mss 1000>\n+0 > S. 0:0(0) ack 1 win 1 <...>\n",
          "wrong packet: window");
    fails(LISTEN "+0 < S 0:0(0) win 65535 <mss 1000>\n+0 > [ce] S. 0:0(0) ack 1 <...>\n", "ECN");
    fails(LISTEN "+0 < S 0:0(0) win 65535 <mss 1000>\n+0 > [tos 0x4] S. 0:0(0) ack 1 <...>\n",
          "tos");
    fails(LISTEN "+0 < S 0:0(0) win 65535 <mss 1000>\n+0 > [ttl 3] S. 0:0(0) ack 1 <...>\n", "ttl");
    fails(LISTEN "+0 < S 0:0(0) win 65535 <mss 1000>\n"
                 "+0 > [to \"192.0.2.9\"] S. 0:0(0) ack 1 <...>\n",
          "destination address");
    fails(LISTEN "+0 < 5 > 8080 S 0:0(0) win 65535 <mss 1000>\n"
                 "+0 > 8080 > 6 S. 0:0(0) ack 1 <...>\n",
          "ports");
    fails(OPEN "+0 write(4, ..., 100) = 100\n+0 > P. 2:102(100) ack 1\n", "sequence number");
    fails(OPEN "+0 write(4, ..., 100) = 100\n+0 > P. 1:100(99) ack 1\n", "length");
    fails(OPEN "+0 write(4, ..., 100) = 100\n+0 > PU. 1:101(100) ack 1 urg 3\n", "urgent pointer");
    fails(OPEN "+0 write(4, ..., 100) = 100\n+0 > udp (100)\n", "protocol");
    fails("--strict_segments\n" OPEN "+0 write(4, ..., 3000) = 3000\n"
          "+0 > P. 1:3001(3000) ack 1\n",
          "length");
}

static void test_wrong_times(void **state)
{
    (void)state;
    fails(OPEN "+0 write(4, ..., 100) = 100\n+.1 > P. 1:101(100) ack 1\n", "sent at 0.1");
    fails(OPEN "+0 write(4, ..., 100) = 100\n+.01~+.02 > P. 1:101(100) ack 1\n", "expected 0.10");
    fails(OPEN "+0 > P. 1:101(100) ack 1\n", "no packet came until 0.104");
    fails("--tolerance_usecs=0\n" OPEN "+0 write(4, ..., 100) = 100\n"
          "+.000001 > P. 1:101(100) ack 1\n",
          "sent at");
    passes("--tolerance_usecs=1\n" OPEN "+0 write(4, ..., 100) = 100\n"
           "+.000001 > P. 1:101(100) ack 1\n");
    fails("1 socket(..., SOCK_STREAM, 0) = 3\n0 close(3) = 0\n", "before the event before");
}

static void test_left_over(void **state)
{
    (void)state;
    fails(OPEN "+0 write(4, ..., 100) = 100\n", "nothing was expected");
    fails(LISTEN "+0 < S 0:0(0) win 65535 <mss 1000>\n", "nothing was expected");
}

static void test_wrong_results(void **state)
{
    (void)state;
    fails(OPEN "+0 write(4, ..., 100) = 99\n", "write() = 100, expected 99");
    fails(OPEN "+0 recv(4, ..., 100, MSG_DONTWAIT) = 100\n", "recv() = -1 EAGAIN, expected 100");
    fails(OPEN "+0 recv(4, ..., 100, MSG_DONTWAIT) = -1 EPIPE (text)\n",
          "EAGAIN, expected -1 EPIPE");
    fails(OPEN "+0 read(4, ..., 100) = 100\n", "read() blocks");
    fails(OPEN "+0 read(77, ..., 100) = 100\n", "EBADF");
    fails(OPEN "+0 poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLIN}], 1, 0) = 1\n", "revents");
    fails(OPEN "+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [5], [4]) = 0\n", "expected 5");
    fails(OPEN "+0 ioctl(4, SIOCINQ, [5]) = 0\n", "expected 5");
    fails(OPEN "+0 nonsense(4) = 0\n", "does not have this call");
    fails(OPEN "+0 close(NONSENSE) = 0\n", "unknown symbol");
    fails(OPEN "+0 close(4) = -1 ENONSENSE\n+0 > ...\n", "unknown error");
    fails("0 socket(..., SOCK_STREAM, 0) = -1 EINVAL\n", "was not expected");
}

static void test_blocking(void **state)
{
    (void)state;
    passes(OPEN "+0...0.200 read(4, ..., 100) = 10\n0.3 < P. 1:11(10) ack 1 win 65535\n"
                "+0~+.5 > . 1:1(0) ack 11\n");
    fails(OPEN "+0...0.300 read(4, ..., 100) = 10\n0.2 < P. 1:11(10) ack 1 win 65535\n"
               "+0~+.5 > . 1:1(0) ack 11\n",
          "read() returned at 0.2");
    fails(OPEN "+0...0.300 read(4, ..., 100) = 10\n", "read() has not returned");
    fails(OPEN "+0 < P. 1:11(10) ack 1 win 65535\n+0~+.5 > . 1:1(0) ack 11\n"
               "+0...0.300 read(4, ..., 100) = 10\n",
          "returned at once");
    passes(OPEN "+0...0.050 poll([{fd=4, events=POLLIN, revents=0}], 1, 50) = 0\n");
    fails(OPEN "+0...0.250 poll([{fd=4, events=POLLIN, revents=0}], 1, 50) = 0\n",
          "poll() returned at 0.15");
}

static void test_wrong_bytes(void **state)
{
    (void)state;
    passes(OPEN
           "+0 < [fill 0x41] P. 1:4(3) ack 1 win 65535\n+0 > ...\n+0 read(4, \"AAA\", 9) = 3\n");
    fails(OPEN "+0 < [fill 0x41] P. 1:4(3) ack 1 win 65535\n+0 > ...\n+0 read(4, \"AAB\", 9) = 3\n",
          "not those that were sent");
}

#define ZEROCOPY                                                                                   \
    OPEN "+0 setsockopt(4, SOL_SOCKET, SO_ZEROCOPY, [1], 4) = 0\n"                                 \
         "+0 send(4, ..., 10, MSG_ZEROCOPY) = 10\n+0 > P. 1:11(10) ack 1\n"
#define NOTE(info)                                                                                 \
    "+0 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 0}], msg_flags=MSG_ERRQUEUE, "            \
    "msg_control=[{cmsg_level=SOL_IP, cmsg_type=IP_RECVERR, cmsg_data={ee_info=" info              \
    "}}]}, MSG_ERRQUEUE) = 0\n"

static void test_wrong_notes(void **state)
{
    (void)state;
    passes(ZEROCOPY NOTE("0"));
    fails(ZEROCOPY NOTE("1"), "ee_info is 0, expected 1");
    fails(ZEROCOPY NOTE("0") NOTE("0"), "recvmsg() = -1 EAGAIN, expected 0");
    fails(ZEROCOPY "+0 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 0}], msg_flags=0}, "
                   "MSG_ERRQUEUE) = 0\n",
          "msg_flags are 0x2000, expected 0x0");
    fails(ZEROCOPY "+0 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 0}], msg_control=[]}, "
                   "MSG_ERRQUEUE) = 0\n",
          "more than 0 control messages");
    fails(ZEROCOPY "+0 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 0}], msg_control=[{"
                   "cmsg_level=SOL_TCP, cmsg_type=TCP_CM_INQ, cmsg_data=7}]}, MSG_ERRQUEUE) = 0\n",
          "a control message of level 0");
}

#define EPOLL                                                                                      \
    OPEN "+0 epoll_create(1) = 5\n+0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLOUT, fd=4}) = 0\n"

static void test_wrong_files(void **state)
{
    (void)state;
    passes(EPOLL "+0 epoll_wait(5, {events=EPOLLOUT, fd=4}, 1, 0) = 1\n");
    fails(EPOLL "+0 epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = 1\n", "the events are 0x4");
    fails(EPOLL "+0 epoll_wait(5, {events=EPOLLOUT, fd=3}, 1, 0) = 1\n", "the datum is 4");
    fails(EPOLL "+0 epoll_wait(4, {events=EPOLLOUT, fd=3}, 1, 0) = 1\n", "EINVAL");
    fails(EPOLL "+0 epoll_create(1) = 5\n", "descriptor 5 is open already");
    fails(EPOLL "+0 pipe([4, 6]) = 0\n", "descriptor 4 is open already");
    fails(EPOLL "+0 bind(5, ..., ...) = 0\n", "bind() = -1 ENOTSOCK");
    fails(EPOLL "+0 splice(4, NULL, 5, NULL, 10, 0) = 10\n", "EINVAL");
    passes(OPEN "+0 pipe([5, 6]) = 0\n+0 write(6, \"abc\", 3) = 3\n+0 read(5, \"abc\", 9) = 3\n"
                "+0 close(6) = 0\n+0 read(5, ..., 9) = 0\n");
    fails(OPEN "+0 open(\"/nonexistent\", O_RDONLY) = 5\n", "open() = -1 ENOENT");
    fails(OPEN "+0 open(\"/dev/zero\", O_RDONLY) = 5\n", "not a regular file");
    passes(OPEN "+0 open(\"/proc/self/exe\", O_RDONLY) = 5\n"
                "+0 sendfile(4, 5, [0], 2000) = 2000\n+0 > P. 1:2001(2000) ack 1\n");
    fails(OPEN "+0 sendfile(4, 4, [0], 2000) = 2000\n", "EINVAL");
}

static void test_code_and_commands(void **state)
{
    (void)state;
    passes(OPEN "+0 %{ assert tcpi_state == TCP_ESTABLISHED; a = tcpi_segs_in; assert a >= 1 }%\n");
    fails(OPEN "+0 %{ assert tcpi_state == TCP_CLOSE, tcpi_state }%\n", "assertion failed");
    fails(OPEN "+0 %{ assert tcpi_nonsense == 1 }%\n", "unknown name");
    fails("0 %{ assert tcpi_state == 1 }%\n", "unknown name");
    passes("0 `sysctl -q net.ipv4.tcp_fin_timeout=30`\n"
           "0 %{ assert sysctl(\"net.ipv4.tcp_fin_timeout\") == 30 }%\n");
    passes("0 `sysctl -w net.ipv4.tcp_rmem=\"4096 8192 16384\"; ip addr add 192.168.0.7/16`\n"
           "0 %{ assert sysctl(net.ipv4.tcp_rmem.max) == 16384 }%\n");
    fails("0 `sysctl net.ipv4.nonsense=30`\n", "the stack has no net.ipv4.nonsense");
    fails("0 `sysctl net.ipv4.tcp_fin_timeout=999999`\n", "cannot set");
    fails("0 `rm -rf nothing`\n", "is refused");
    fails("0 `sysctl`\n", "expected NAME or NAME=VALUE");
    fails("0 `sysctl net.ipv4.nonsense`\n", "the stack has no net.ipv4.nonsense");
    passes("0 `sysctl -n net.ipv4.tcp_fin_timeout; tc qdisc add dev tun0 root pfifo`\n");
    fails("0 `tc qdisc add dev tun0 root netem loss 5%`\n", "the link has no queue");
    passes("0 `ip route change 192.0.2.1 via 192.168.0.2 dev tun0 advmss 1460 mtu lock 1500`\n");
    fails("0 `ip route change 192.0.2.1 dev tun0 mtu lock 640`\n", "the MTU of its link");
    fails("0 `ip addr add nonsense`\n", "bad address");
    fails("0 `ip link add dummy0 nonsense`\n", "unexpected \"nonsense\"");
}

/* The trace shows what led there, and the line is the event's. */
static void test_report(void **state)
{
    (void)state;
    char *report;
    assert_false(
        run(OPEN "+0 write(4, ..., 100) = 100\n+0 > . 1:101(100) ack 1\n", DR_IP_V4, &report));
    assert_non_null(strstr(report, "script:9: 0.100000: wrong packet: flags"));
    assert_non_null(strstr(report, "expected  > . 1:101(100) ack 1"));
    assert_non_null(strstr(report, "got       > P. 1:101(100) ack 1"));
    assert_non_null(strstr(report, "0.000000 < S 0:0(0) win 65535 <mss 1000>"));
    free(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_wrong_packets),
        cmocka_unit_test(test_wrong_times),
        cmocka_unit_test(test_left_over),
        cmocka_unit_test(test_wrong_results),
        cmocka_unit_test(test_blocking),
        cmocka_unit_test(test_wrong_bytes),
        cmocka_unit_test(test_wrong_notes),
        cmocka_unit_test(test_wrong_files),
        cmocka_unit_test(test_code_and_commands),
        cmocka_unit_test(test_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
