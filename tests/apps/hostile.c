/* SPDX-License-Identifier: MIT */
/*
 * Calls every call that the supervisor is told of with arguments no sane program passes, from four threads
 * that also close and replace each other's descriptors, while a fifth takes memory away and gives it back,
 * and children are forked that do the same and end with calls under way. Meanwhile a process that does no
 * harm makes connections, and none may fail. The arguments follow from the seed given.
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
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 4000, CHILD_ROUNDS = 60, SLOTS = 12 };

static int slots[SLOTS];
static char *edge;  /* the last byte before an unmapped page */
static char *shaky; /* a page that comes and goes */
static int is_child;

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
    switch (next(s) % 9) {
    case 0:
        return 0;
    case 7:
        return (long)(shaky + next(s) % 64);
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

static void one_call(uint64_t *s);
static void *work(void *arg);

/* Ends with its threads in calls, one way or another. */
static void child(uint64_t s)
{
    static const int ways[] = {SIGKILL, SIGTERM, SIGSEGV, 0, 0, 0};
    pthread_t thread;
    is_child = 1;
    pthread_create(&thread, NULL, work, (void *)(uintptr_t)s);
    alarm(1); /* may wait in a call that nobody ends */
    signal(SIGALRM, SIG_DFL);
    for (int i = 0; i < CHILD_ROUNDS; i++)
        one_call(&s);
    int way = ways[next(&s) % 6];
    if (way)
        kill(getpid(), way);
    _exit(0);
}

static void maybe_fork(uint64_t *s)
{
    uint64_t seed = next(s);
    if (!is_child && seed % 16 == 0 && fork() == 0)
        child(seed);
}

/* A message of wrong pieces, or at a wrong place. */
static void message_call(uint64_t *s, long fd, long nr, int flags)
{
    struct iovec pieces[4];
    struct msghdr msg = {.msg_name = (void *)pointer(s),
                         .msg_namelen = (socklen_t)length(s),
                         .msg_iov = next(s) % 4 ? pieces : (struct iovec *)pointer(s),
                         .msg_iovlen = next(s) % 8 ? next(s) % 5 : (size_t)length(s),
                         .msg_control = (void *)pointer(s),
                         .msg_controllen = (size_t)length(s)};
    for (int i = 0; i < 4; i++)
        pieces[i] = (struct iovec){(void *)pointer(s), (size_t)length(s) & 0xffff};
    if (next(s) % 8 == 0)
        pieces[next(s) % 4].iov_len = (size_t)length(s);
    syscall(nr, fd, next(s) % 8 ? (long)&msg : pointer(s), flags | MSG_DONTWAIT);
}

static void one_call(uint64_t *s)
{
    static const int levels[] = {SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP, IPPROTO_IPV6, 4242, -1};
    long fd = descriptor(s), level = levels[next(s) % 6], option = (long)(next(s) % 80);
    int slot = (int)(next(s) % SLOTS);
    switch (next(s) % 20) {
    case 16:
        dup2(slots[slot], slots[next(s) % SLOTS]);
        break;
    case 17:
        maybe_fork(s);
        break;
    case 18:
        message_call(s, fd, SYS_sendmsg, (next(s) % 2 ? MSG_MORE : MSG_FASTOPEN) | MSG_NOSIGNAL);
        break;
    case 19:
        message_call(s, fd, SYS_recvmsg, MSG_TRUNC);
        break;
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

static volatile sig_atomic_t asked_to_end;

static void *work(void *arg)
{
    uint64_t s = (uint64_t)(uintptr_t)arg * 0x9e3779b97f4a7c15u | 1;
    for (int i = 0; i < ROUNDS; i++)
        one_call(&s);
    return NULL;
}

static void *shake_memory(void *arg)
{
    for (unsigned i = 0; !*(volatile int *)arg; i++) {
        mprotect(shaky, 4096, i % 2 ? PROT_NONE : PROT_READ | PROT_WRITE);
        usleep(i % 3 * 50);
    }
    return NULL;
}

static void on_signal(int sig)
{
    asked_to_end = sig == SIGTERM;
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
    int works = s >= 0 && write(fd, "!", 1) == 1 && read(s, &c, 1) == 1 && c == '!';
    close(l);
    close(fd);
    close(s);
    return works;
}

/* A process apart: its status is 1 if a connection failed it. */
static pid_t do_no_harm(void)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    signal(SIGTERM, on_signal);
    for (int i = 0; i < 100000 && !asked_to_end; i++)
        if (!still_works())
            _exit(1);
    _exit(0);
}

int main(int argc, char **argv)
{
    pthread_t threads[4], shaker;
    int done = 0, status = -1;
    pid_t harmless = do_no_harm();
    long seed = argc > 1 ? atol(argv[1]) : 1;
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(pages + 4096, 4096);
    edge = pages + 4095;
    shaky = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    signal(SIGCHLD, SIG_IGN);
    memset(slots, 0xff, sizeof slots);
    pthread_create(&shaker, NULL, shake_memory, &done);
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
    done = 1;
    pthread_join(shaker, NULL);
    puts(still_works() ? "works" : "broken");
    signal(SIGCHLD, SIG_DFL);
    kill(harmless, SIGTERM);
    if (waitpid(harmless, &status, 0) != harmless || status != 0)
        printf("others were harmed: %d\n", status);
    return 0;
}
