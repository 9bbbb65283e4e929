/* SPDX-License-Identifier: MIT */
/*
 * Calls every call that the supervisor is told of with arguments no sane program passes, from four threads
 * that also close each other's descriptors, and then checks that an ordinary connection still works.
 * The arguments follow from the seed given.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

enum { ROUNDS = 4000, SLOTS = 12 };

static int slots[SLOTS];
static char *edge; /* the last byte before an unmapped page */

static uint64_t next(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

static long pointer(uint64_t *s)
{
    static char good[256], readonly[64] __attribute__((section(".rodata"))) = {2};
    static struct sockaddr_in in;
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in.sin_port = htons((uint16_t)(next(s) % 3 ? 6000 + next(s) % 8 : 0));
    switch (next(s) % 8) {
    case 0:
        return 0;
    case 1:
        return 8;
    case 2:
        return -1;
    case 3:
        return (long)(edge - next(s) % 40);
    case 4:
        return (long)readonly;
    case 5:
        return (long)good;
    default:
        return (long)&in;
    }
}

static long length(uint64_t *s)
{
    static const long all[] = {0, 1, 4, 16, 28, 128, 129, 4096, -1, 1L << 31, 1L << 40, 0x7fffffff};
    return next(s) % 2 ? 16 : all[next(s) % (sizeof all / sizeof *all)];
}

static long descriptor(uint64_t *s)
{
    switch (next(s) % 16) {
    case 0:
        return -1;
    case 1:
        return 0x7fffffff;
    case 2:
        return (long)(next(s) << 33) | slots[0]; /* rubbish in the upper half of the register */
    default:
        return slots[next(s) % SLOTS];
    }
}

static void one_call(uint64_t *s)
{
    static const int levels[] = {SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP, IPPROTO_IPV6, 4242, -1};
    long fd = descriptor(s), level = levels[next(s) % 6], option = (long)(next(s) % 80);
    int slot = (int)(next(s) % SLOTS);
    switch (next(s) % 16) {
    case 0:
        slots[slot] = (int)syscall(SYS_socket, next(s) % 2 ? AF_INET : AF_INET6,
                                   SOCK_STREAM | (next(s) % 4 ? SOCK_NONBLOCK : 0), next(s) % 8);
        break;
    case 1:
        syscall(SYS_bind, fd, pointer(s), length(s));
        break;
    case 2:
    case 3:
        syscall(SYS_connect, fd, pointer(s), length(s));
        break;
    case 4:
        syscall(SYS_listen, fd, (long)next(s));
        break;
    case 5:
        slots[slot] = (int)syscall(SYS_accept4, fd, pointer(s), pointer(s),
                                   next(s) % 3 ? SOCK_NONBLOCK : (long)next(s));
        break;
    case 6:
        syscall(SYS_getsockname, fd, pointer(s), pointer(s));
        break;
    case 7:
        syscall(SYS_getpeername, fd, pointer(s), pointer(s));
        break;
    case 8:
        if (option == SO_LINGER)
            break;
        syscall(SYS_setsockopt, fd, level, option, pointer(s), length(s));
        break;
    case 9:
        syscall(SYS_getsockopt, fd, level, option, pointer(s), pointer(s));
        break;
    case 10:
        syscall(SYS_shutdown, fd, (long)(next(s) % 5) - 1);
        break;
    case 11:
        syscall(SYS_sendto, fd, pointer(s), length(s) & 0xffff, MSG_NOSIGNAL | MSG_DONTWAIT,
                pointer(s), length(s));
        break;
    case 12:
        syscall(SYS_ioctl, fd, SIOCOUTQ, pointer(s));
        break;
    case 13:
        close(slots[slot]);
        break;
    case 14:
        syscall(SYS_socket, (long)(next(s) % 50), (long)next(s), (long)next(s));
        break;
    default:
        if (slots[slot] >= 0)
            send(slots[slot], "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

static void *work(void *arg)
{
    uint64_t s = (uint64_t)(uintptr_t)arg * 0x9e3779b97f4a7c15u | 1;
    for (int i = 0; i < ROUNDS; i++)
        one_call(&s);
    return NULL;
}

static void on_signal(int sig)
{
    (void)sig;
}

/* Signals, so that a call which blocks comes back. */
static void shake(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    struct itimerval often = {{0, 3000}, {0, 3000}};
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
}

static int still_works(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    char c = 0;
    int l = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(l, (struct sockaddr *)&in, sizeof in) < 0 || listen(l, 1) < 0 ||
        getsockname(l, (struct sockaddr *)&in, &len) < 0 ||
        connect(fd, (struct sockaddr *)&in, sizeof in) < 0)
        return 0;
    int s = accept(l, NULL, NULL);
    return s >= 0 && write(fd, "!", 1) == 1 && read(s, &c, 1) == 1 && c == '!';
}

int main(int argc, char **argv)
{
    pthread_t threads[4];
    long seed = argc > 1 ? atol(argv[1]) : 1;
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(pages + 4096, 4096);
    edge = pages + 4095;
    memset(slots, 0xff, sizeof slots);
    shake();
    for (long i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, work, (void *)(seed * 4 + i));
    /* A thread may wait in an accept that nobody will end: the signals go to the main thread. */
    for (int quiet = 0, i = 0; i < 4; quiet++) {
        if (pthread_tryjoin_np(threads[i], NULL) == 0)
            i++, quiet = 0;
        else if (quiet > 40)
            pthread_kill(threads[i], SIGALRM), usleep(5000);
        else
            usleep(20000);
    }
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    puts(still_works() ? "works" : "broken");
    return 0;
}
