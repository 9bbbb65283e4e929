/* SPDX-License-Identifier: MIT */
/* Observations of sending and receiving: counts, flags, buffers, waiting and its limits. */
#include "observe.h"

#include <sys/sendfile.h>
#include <sys/uio.h>

static void bytes(void)
{
    char buf[64];
    int c, s;
    pair_of(&c, &s);
    say("recv nothing", recv(s, buf, 9, MSG_DONTWAIT));
    say("write", write(c, "hello", 5));
    say_bits("poll", wait_bits(s, POLLIN));
    say("SIOCINQ", asked(s, SIOCINQ));
    say("read", read(s, buf, sizeof buf));
    say_bits("poll after", bits_now(s));
    say("SIOCINQ after", asked(s, SIOCINQ));
    for (int i = 0; i < 300 && asked(c, SIOCOUTQ) > 0; i++)
        pause_ms(10);
    say("SIOCOUTQ at the end", asked(c, SIOCOUTQ));
    struct sockaddr_in in = v4("127.0.0.1", 1);
    socklen_t len = sizeof in;
    say("sendto connected", sendto(c, "ab", 2, 0, (struct sockaddr *)&in, sizeof in));
    wait_bits(s, POLLIN);
    memset(&in, 0xee, sizeof in);
    say("recvfrom", recvfrom(s, buf, 9, 0, (struct sockaddr *)&in, &len));
    say("recvfrom's length of the name", len);
    say("write nothing", write(c, "", 0));
    say("read of nothing", recv(s, buf, 0, MSG_DONTWAIT));
    write(c, "z", 1);
    wait_bits(s, POLLIN);
    say("read 0 with data there", read(s, buf, 0));
    say("read 0, peeking", recv(s, buf, 0, MSG_PEEK));
    say("SIOCINQ still", asked(s, SIOCINQ));
    say("unknown ioctl", asked(s, 0x5499));
    close(c);
    close(s);
}

static void peeks(void)
{
    char buf[64];
    int c, s;
    pair_of(&c, &s);
    say("peek nothing", recv(s, buf, 3, MSG_PEEK | MSG_DONTWAIT));
    write(c, "abcdef", 6);
    wait_bits(s, POLLIN);
    say("peek 3", recv(s, buf, 3, MSG_PEEK));
    say("first byte", buf[0]);
    say("peek 3 again", recv(s, buf, 3, MSG_PEEK));
    say("first byte", buf[0]);
    say("peek all", recv(s, buf, sizeof buf, MSG_PEEK));
    say("SIOCINQ", asked(s, SIOCINQ));
    say("read 2", recv(s, buf, 2, 0));
    say("peek after it", recv(s, buf, sizeof buf, MSG_PEEK));
    say("first byte", buf[0]);
    shutdown(c, SHUT_WR);
    wait_bits(s, POLLRDHUP);
    say("peek 4 before the end", recv(s, buf, sizeof buf, MSG_PEEK | MSG_WAITALL));
    read(s, buf, sizeof buf);
    say("peek at the end", recv(s, buf, 1, MSG_PEEK));
    close(c);
    close(s);
}

static void peek_offset(void)
{
    char buf[8];
    int c, s;
    pair_of(&c, &s);
    say("SO_PEEK_OFF", option(s, SOL_SOCKET, SO_PEEK_OFF));
    say("set to 1", set_option(s, SOL_SOCKET, SO_PEEK_OFF, 1));
    say("SO_PEEK_OFF", option(s, SOL_SOCKET, SO_PEEK_OFF));
    write(c, "abcdef", 6);
    wait_bits(s, POLLIN);
    say("peek 2", recv(s, buf, 2, MSG_PEEK));
    say("first byte", buf[0]);
    say("peek 2 more", recv(s, buf, 2, MSG_PEEK));
    say("first byte", buf[0]);
    say("SO_PEEK_OFF", option(s, SOL_SOCKET, SO_PEEK_OFF));
    say("read 2", recv(s, buf, 2, 0));
    say("SO_PEEK_OFF", option(s, SOL_SOCKET, SO_PEEK_OFF));
    say("set to -1", set_option(s, SOL_SOCKET, SO_PEEK_OFF, -1));
    say("peek 2", recv(s, buf, 2, MSG_PEEK));
    say("first byte", buf[0]);
    close(c);
    close(s);
}

static void *write_later(void *arg)
{
    pause_ms(60);
    send(*(int *)arg, "0123456789", 10, MSG_NOSIGNAL);
    return NULL;
}

static void *shut_later(void *arg)
{
    pause_ms(60);
    shutdown(*(int *)arg, SHUT_WR);
    return NULL;
}

static void wait_all(void)
{
    char buf[64];
    int c, s;
    pthread_t thread;
    pair_of(&c, &s);
    write(c, "abc", 3);
    wait_bits(s, POLLIN);
    say("WAITALL, not to wait", recv(s, buf, 9, MSG_WAITALL | MSG_DONTWAIT));
    write(c, "abc", 3);
    wait_bits(s, POLLIN);
    pthread_create(&thread, NULL, write_later, &c);
    say("WAITALL of 13", recv(s, buf, 13, MSG_WAITALL));
    pthread_join(thread, NULL);
    write(c, "abc", 3);
    wait_bits(s, POLLIN);
    pthread_create(&thread, NULL, write_later, &c);
    say("WAITALL of 5", recv(s, buf, 5, MSG_WAITALL));
    pthread_join(thread, NULL);
    wait_bits(s, POLLIN);
    say("the rest", recv(s, buf, sizeof buf, MSG_DONTWAIT));
    write(c, "abc", 3);
    wait_bits(s, POLLIN);
    struct timeval tenth = {0, 100000};
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tenth, sizeof tenth);
    say("WAITALL until a time", recv(s, buf, 9, MSG_WAITALL));
    say("nothing until a time", recv(s, buf, 9, 0));
    write(c, "abc", 3);
    pthread_create(&thread, NULL, shut_later, &c);
    say("WAITALL until the end", recv(s, buf, 9, MSG_WAITALL));
    pthread_join(thread, NULL);
    say("after the end", recv(s, buf, 9, MSG_WAITALL));
    close(c);
    close(s);
}

static void truncated(void)
{
    char buf[16] = "................";
    int c, s;
    pair_of(&c, &s);
    say("nothing", recv(s, NULL, 4, MSG_TRUNC | MSG_DONTWAIT));
    write(c, "0123456789", 10);
    wait_bits(s, POLLIN);
    say("4 thrown away", recv(s, NULL, 4, MSG_TRUNC));
    say("SIOCINQ", asked(s, SIOCINQ));
    say("1 into a buffer", recv(s, buf, 1, MSG_TRUNC));
    say("which is not written", buf[0] == '.');
    say("read", recv(s, buf, 2, 0));
    say("first byte", buf[0]);
    say("more than there is", recv(s, NULL, 100, MSG_TRUNC));
    say("nothing is left", recv(s, buf, 1, MSG_DONTWAIT));
    shutdown(c, SHUT_WR);
    wait_bits(s, POLLRDHUP);
    say("at the end", recv(s, NULL, 4, MSG_TRUNC));
    close(c);
    close(s);
}

/* Of two pieces, with places for what a stream has none of. */
static long read_message(int fd, int flags, struct msghdr *msg, char out[2][4])
{
    static char control[64];
    static struct sockaddr_in from;
    static struct iovec pieces[2];
    memset(out, '.', 8);
    pieces[0] = (struct iovec){out[0], 4};
    pieces[1] = (struct iovec){out[1], 2};
    *msg = (struct msghdr){.msg_name = &from,
                           .msg_namelen = sizeof from,
                           .msg_iov = pieces,
                           .msg_iovlen = 2,
                           .msg_control = control,
                           .msg_controllen = sizeof control,
                           .msg_flags = MSG_CTRUNC};
    return recvmsg(fd, msg, flags);
}

static void truncated_messages(void)
{
    struct msghdr msg;
    char out[2][4];
    int c, s;
    pair_of(&c, &s);
    say("nothing", read_message(s, MSG_TRUNC | MSG_DONTWAIT, &msg, out));
    write(c, "0123456789", 10);
    wait_bits(s, POLLIN);
    say("6 thrown away", read_message(s, MSG_TRUNC, &msg, out));
    say("none is written", out[0][0] == '.' && out[1][0] == '.');
    say("address", msg.msg_namelen);
    say("control", (long)msg.msg_controllen);
    say("flags", msg.msg_flags);
    say("SIOCINQ", asked(s, SIOCINQ));
    say("peeking", read_message(s, MSG_TRUNC | MSG_PEEK, &msg, out));
    say("SIOCINQ", asked(s, SIOCINQ));
    say("less than asked for", read_message(s, MSG_TRUNC, &msg, out));
    say("nothing is left", read_message(s, MSG_DONTWAIT, &msg, out));
    msg.msg_iovlen = 1025;
    say("too many pieces", recvmsg(s, &msg, MSG_TRUNC | MSG_DONTWAIT));
    msg.msg_iovlen = 0;
    write(c, "x", 1);
    wait_bits(s, POLLIN);
    say("no piece", recvmsg(s, &msg, MSG_TRUNC | MSG_DONTWAIT));
    shutdown(c, SHUT_WR);
    wait_bits(s, POLLRDHUP);
    say("the last", read_message(s, MSG_TRUNC, &msg, out));
    say("at the end", read_message(s, MSG_TRUNC, &msg, out));
    close(c);
    close(s);
}

static void low_water(void)
{
    char buf[32];
    int c, s;
    pthread_t thread;
    pair_of(&c, &s);
    say("SO_RCVLOWAT", option(s, SOL_SOCKET, SO_RCVLOWAT));
    say("set to 0", set_option(s, SOL_SOCKET, SO_RCVLOWAT, 0));
    say("SO_RCVLOWAT", option(s, SOL_SOCKET, SO_RCVLOWAT));
    say("set to 8", set_option(s, SOL_SOCKET, SO_RCVLOWAT, 8));
    say("SO_RCVLOWAT", option(s, SOL_SOCKET, SO_RCVLOWAT));
    write(c, "abc", 3);
    pause_ms(30);
    say_bits("poll with 3", bits_now(s));
    say("recv not to wait", recv(s, buf, sizeof buf, MSG_DONTWAIT));
    write(c, "abcd", 4);
    pause_ms(20);
    say("recv of fewer", recv(s, buf, 4, 0));
    write(c, "abcd", 4);
    pthread_create(&thread, NULL, write_later, &c);
    say("recv waits", recv(s, buf, sizeof buf, 0));
    pthread_join(thread, NULL);
    write(c, "01234567", 8);
    say_bits("poll with 8", wait_bits(s, POLLIN));
    recv(s, buf, sizeof buf, 0);
    write(c, "abc", 3);
    shutdown(c, SHUT_WR);
    say_bits("poll with 3 and the end", wait_bits(s, POLLRDHUP));
    say("recv with the end", recv(s, buf, sizeof buf, 0));
    close(c);
    close(s);
}

static void full(void)
{
    static char block[65536];
    struct timeval tenth = {0, 100000};
    int c, s;
    pair_of(&c, &s);
    long sent = fill_up(c), got = 0;
    pause_ms(400); /* a probe of the window may take what fits into it */
    /* `weir run` then sees room of less than a third of the buffer, too (docs/run.md). */
    asked(c, SIOCOUTQ);
    sent += fill_up(c);
    say("took something", sent > 0);
    say("write", write(c, block, 1));
    say("write nothing", write(c, block, 0));
    say_bits("poll", bits_now(c));
    say("SIOCOUTQ", asked(c, SIOCOUTQ) > 0);
    set_socket_flags(c, O_RDWR);
    setsockopt(c, SOL_SOCKET, SO_SNDTIMEO, &tenth, sizeof tenth);
    long before = now_ms();
    say("send with SO_SNDTIMEO", send(c, block, 1, MSG_NOSIGNAL));
    say("has waited", now_ms() - before >= 90);
    say("send not to wait", send(c, block, 1, MSG_DONTWAIT | MSG_NOSIGNAL));
    while (got < sent) {
        ssize_t n = read(s, block, sizeof block);
        if (n <= 0)
            break;
        got += n;
    }
    say("all arrived", got == sent);
    say("no more", recv(s, block, 1, MSG_DONTWAIT));
    say_bits("poll when drained", wait_bits(c, POLLOUT));
    close(c);
    close(s);
}

struct big {
    int fd;
    long sent;
};

static void *send_big(void *arg)
{
    struct big *big = arg;
    static char block[8 << 20];
    big->sent = send(big->fd, block, sizeof block, MSG_NOSIGNAL);
    return NULL;
}

static void large(void)
{
    static char block[65536];
    int c, s;
    long got = 0, n;
    pthread_t thread;
    pair_of(&c, &s);
    struct big big = {c, 0};
    pthread_create(&thread, NULL, send_big, &big);
    while (got < 8 << 20 && (n = read(s, block, sizeof block)) > 0)
        got += n;
    pthread_join(thread, NULL);
    say("a blocking send of 8 MiB takes all", big.sent);
    say("and all arrives", got);
    close(c);
    close(s);
}

static void small_buffer(void)
{
    static char block[8 << 20];
    int c, s;
    pair_of(&c, &s);
    set_option(c, SOL_SOCKET, SO_SNDBUF, 1);
    nonblock(c);
    ssize_t first = send(c, block, sizeof block, 0);
    say("a part is taken", first > 0 && first < (ssize_t)sizeof block);
    close(c);
    close(s);
}

static volatile sig_atomic_t pipes;

static void on_pipe(int sig)
{
    (void)sig;
    pipes++;
}

static void broken_pipe(void)
{
    int c, s;
    signal(SIGPIPE, on_pipe);
    pair_of(&c, &s);
    shutdown(c, SHUT_WR);
    pipes = 0;
    say("MSG_NOSIGNAL", send(c, "x", 1, MSG_NOSIGNAL));
    say("signals", pipes);
    say("write", write(c, "x", 1));
    say("signals", pipes);
    say("send of nothing", send(c, "", 0, 0));
    close(c);
    close(s);
    signal(SIGPIPE, SIG_IGN);
}

static void files(void)
{
    char buf[16];
    int c, s, pipe_fds[2];
    pair_of(&c, &s);
    FILE *file = tmpfile();
    fputs("0123456789", file);
    fflush(file);
    off_t from = 0;
    say("sendfile", sendfile(c, fileno(file), &from, 10));
    say("its offset", from);
    say("recv of sendfile", recv(s, buf, 10, MSG_WAITALL));
    if (pipe(pipe_fds) < 0)
        return;
    say("into a pipe", write(pipe_fds[1], "spliced", 7));
    say("splice out", splice(pipe_fds[0], NULL, c, NULL, 7, 0));
    wait_bits(s, POLLIN);
    say("splice in", splice(s, NULL, pipe_fds[1], NULL, 16, 0));
    say("from the pipe", read(pipe_fds[0], buf, 16));
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    fclose(file);
    close(c);
    close(s);
}

static void wait_queued(int fd, int n)
{
    for (int i = 0; i < 600 && asked(fd, SIOCINQ) < n; i++)
        pause_ms(5);
}

static void vectors(void)
{
    char a[4], b[8];
    struct iovec out[2] = {{"ab", 2}, {"cdefg", 5}}, in[2] = {{a, sizeof a}, {b, sizeof b}};
    struct sockaddr_in name;
    struct msghdr msg = {.msg_iov = out, .msg_iovlen = 2};
    int c, s;
    pair_of(&c, &s);
    say("sendmsg", sendmsg(c, &msg, 0));
    say("writev", writev(c, out, 2));
    wait_queued(s, 14);
    msg = (struct msghdr){
        .msg_iov = in, .msg_iovlen = 2, .msg_name = &name, .msg_namelen = sizeof name};
    say("recvmsg", recvmsg(s, &msg, 0));
    say("its name's length", msg.msg_namelen);
    say("its flags", msg.msg_flags);
    say("readv", readv(s, in, 2));
    msg = (struct msghdr){.msg_iov = out, .msg_iovlen = 2000};
    say("sendmsg of 2000 pieces", sendmsg(c, &msg, 0));
    say("send from a bad pointer", send(c, (void *)8, 10, 0));
    write(c, "x", 1);
    wait_bits(s, POLLIN);
    say("recv to a bad pointer", recv(s, (void *)8, 10, 0));
    say("recv after it", recv(s, a, 1, MSG_DONTWAIT));
    say("lseek", lseek(c, 0, SEEK_SET));
    say("pread", pread(c, a, 1, 0));
    say("isatty", isatty(c) ? 1 : -1);
    close(c);
    close(s);
}

const struct section observe_data[] = {
    {"bytes", bytes, NULL},
    {"peek", peeks, NULL},
    {"peek-offset", peek_offset, NULL},
    {"wait-all", wait_all, NULL},
    {"trunc", truncated, NULL},
    {"truncated-messages", truncated_messages, NULL},
    {"low-water", low_water, NULL},
    {"full", full, NULL},
    {"large", large, NULL},
    {"small-buffer", small_buffer, NULL},
    {"sigpipe", broken_pipe, "it raises no signals"},
    {"file", files, "sendfile and splice want descriptors of the kernel"},
    {"vector", vectors, "it has no calls with vectors, and no bad pointers"},
    {0},
};
