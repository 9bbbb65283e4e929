/* SPDX-License-Identifier: MIT */
/*
 * A SYN flood: SYNs from made-up addresses and ports, put straight on an interface.
 *
 *     bench_flood IFNAME PER_SECOND SECONDS PORT
 *
 * They come from 10.78.0.3 to 10.78.0.254 with any port and go to 10.78.0.2; half carry the options of a
 * common client, half an MSS alone. What did not leave in its millisecond leaves in the next. Prints
 * {"sent": N, "wall_s": T} at the end.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include "bench.h"

enum { BATCH = 64, IP_HLEN = 20, OPTIONS_MAX = 20, PACKET_MAX = IP_HLEN + 20 + OPTIONS_MAX };

static const unsigned char many_options[OPTIONS_MAX] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0,
                                                        0, 9, 0, 0,   0, 0, 1, 3,  3, 7};
static const unsigned char one_option[4] = {2, 4, 5, 180};

static uint64_t state = 88172645463325252u;

static uint64_t next_random(void) /* xorshift64 */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void put16(unsigned char *p, unsigned v)
{
    p[0] = (unsigned char)(v >> 8);
    p[1] = (unsigned char)v;
}

static uint32_t sum(const unsigned char *p, size_t len, uint32_t start)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        start += (uint32_t)p[i] << 8 | p[i + 1];
    return start;
}

static unsigned finish(uint32_t s)
{
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    return ~s & 0xffff;
}

/* A SYN of somebody who does not exist; its length. */
static size_t make_syn(unsigned char *p, unsigned port)
{
    uint64_t r = next_random();
    size_t n_opts = r & 1 ? sizeof many_options : sizeof one_option;
    size_t tcp_len = 20 + n_opts, len = IP_HLEN + tcp_len;
    unsigned char *t = p + IP_HLEN;

    memset(p, 0, IP_HLEN + 20);
    p[0] = 0x45;
    put16(p + 2, (unsigned)len);
    p[8] = 64;
    p[9] = 6;
    memcpy(p + 12, (unsigned char[]){10, 78, 0, (unsigned char)(3 + (r >> 8) % 252)}, 4);
    memcpy(p + 16, (unsigned char[]){10, 78, 0, 2}, 4);
    put16(p + 10, finish(sum(p, IP_HLEN, 0)));
    put16(t, 1024 + (unsigned)(r >> 16) % 64000);
    put16(t + 2, port);
    memcpy(t + 4, &(uint32_t){(uint32_t)(r >> 32)}, 4);
    t[12] = (unsigned char)(tcp_len / 4 << 4);
    t[13] = 2; /* SYN */
    put16(t + 14, 64240);
    memcpy(t + 20, r & 1 ? many_options : one_option, n_opts);
    put16(t + 16, finish(sum(p + 12, 8, sum(t, tcp_len, 6 + (uint32_t)tcp_len))));
    return len;
}

static int open_interface(const char *name, struct sockaddr_ll *to)
{
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    *to = (struct sockaddr_ll){.sll_family = AF_PACKET,
                               .sll_protocol = htons(ETH_P_IP),
                               .sll_ifindex = (int)if_nametoindex(name)};
    if (fd < 0 || to->sll_ifindex == 0)
        die("%s: %s", name, strerror(errno));
    return fd;
}

/* Sends up to n; how many left. A full queue of the interface is no error. */
static unsigned send_some(int fd, struct sockaddr_ll *to, unsigned port, unsigned n)
{
    static unsigned char packet[BATCH][PACKET_MAX];
    struct iovec iov[BATCH];
    struct mmsghdr message[BATCH];
    int sent;

    n = n < BATCH ? n : BATCH;
    memset(message, 0, sizeof message);
    for (unsigned i = 0; i < n; i++) {
        iov[i] = (struct iovec){packet[i], make_syn(packet[i], port)};
        message[i].msg_hdr = (struct msghdr){
            .msg_name = to, .msg_namelen = sizeof *to, .msg_iov = &iov[i], .msg_iovlen = 1};
    }
    sent = sendmmsg(fd, message, n, 0);
    if (sent < 0 && errno != ENOBUFS && errno != EAGAIN)
        die("sendmmsg: %s", strerror(errno));
    return sent > 0 ? (unsigned)sent : 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_ll to;
    double rate, seconds, start, passed;
    uint64_t sent = 0, due;
    unsigned port;
    int fd;

    if (argc != 5)
        die("usage: bench_flood IFNAME PER_SECOND SECONDS PORT");
    fd = open_interface(argv[1], &to);
    rate = strtod(argv[2], NULL);
    seconds = strtod(argv[3], NULL);
    port = (unsigned)strtoul(argv[4], NULL, 10);
    start = wall_seconds();
    while ((passed = wall_seconds() - start) < seconds) {
        due = (uint64_t)(passed * rate);
        if (due <= sent)
            (void)nanosleep(&(struct timespec){0, 500000}, NULL);
        else
            sent += send_some(fd, &to, port, (unsigned)(due - sent < BATCH ? due - sent : BATCH));
    }
    printf("{\"sent\": %llu, \"wall_s\": %.3f}\n", (unsigned long long)sent, passed);
    return 0;
}
