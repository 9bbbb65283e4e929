/* SPDX-License-Identifier: MIT */
/*
 * Name service for the program. Its resolver speaks UDP, which is the kernel's and ends in the program's own
 * network namespace. There the supervisor holds a socket on 127.0.0.53:53, which /etc/resolv.conf names to
 * the program; what comes in goes to the real servers as UDP of the Weir host, and the answer back.
 *
 *   program --UDP--> 127.0.0.53:53 in its namespace | supervisor | Weir host --UDP--> name server
 *
 * Each question has a Weir socket (so a port, RFC 5452 9.2) of its own until its answer has come or
 * QUESTION_TIME has passed; questions are asked of the servers in turn, so that the resolver's
 * repetition reaches the next. Answers are passed on as they are. TCP to 127.0.0.53 port 53, after a
 * truncated answer, is led to the first server (run_call_connect.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "run/run_int.h"

enum { QUESTIONS_MAX = 64, MESSAGE_MAX = 65535 };
#define QUESTION_TIME (10 * WEIR_SEC)

struct question {
    weir_sock sock; /* 0: free */
    struct sockaddr_in from;
    weir_time until;
};

struct run_dns {
    struct run_source source;
    struct weir_program *program;
    int fd;
    struct weir_endpoint servers[RUN_DNS_SERVERS];
    size_t n_servers, turn;
    struct question questions[QUESTIONS_MAX];
};

static void forget(struct run_dns *dns, struct question *question)
{
    struct weir_stack *stack = weir_host_lock(dns->program->host);
    if (question->sock)
        weir_sock_close(stack, question->sock, weir_now());
    weir_host_unlock(dns->program->host);
    question->sock = 0;
}

/* A free place; with none left the oldest question is given up. */
static struct question *place(struct run_dns *dns, weir_time now)
{
    struct question *oldest = &dns->questions[0];
    for (size_t i = 0; i < QUESTIONS_MAX; i++) {
        struct question *question = &dns->questions[i];
        if (question->sock && question->until <= now)
            forget(dns, question);
        if (!question->sock)
            return question;
        if (question->until < oldest->until)
            oldest = question;
    }
    forget(dns, oldest);
    return oldest;
}

/* The process id tells programs apart, whose hosts may give out the same handles. */
static uint64_t user_of(const struct weir_program *program, size_t question)
{
    return RUN_DNS_USER | (uint64_t)program->pid << 8 | question;
}

static void ask(struct run_dns *dns, const uint8_t *message, size_t len,
                const struct sockaddr_in *from)
{
    const struct weir_endpoint *server = &dns->servers[dns->turn++ % dns->n_servers];
    struct weir_stack *stack = weir_host_lock(dns->program->host);
    weir_time now = weir_now();
    struct question *question = place(dns, now);
    int domain = weir_addr_is_v4(&server->addr) ? WEIR_AF_INET : WEIR_AF_INET6;
    if (weir_sock_open(stack, domain, WEIR_SOCK_DGRAM, 0, &question->sock) == 0) {
        question->from = *from;
        question->until = now + QUESTION_TIME;
        weir_sock_set_user(stack, question->sock,
                           user_of(dns->program, (size_t)(question - dns->questions)));
        if (weir_sock_connect(stack, question->sock, server, now) < 0 ||
            weir_sock_send(stack, question->sock, message, len, 0, NULL, now) < 0)
            forget(dns, question);
    } else {
        question->sock = 0;
    }
    weir_host_unlock(dns->program->host);
}

static void ready(struct run_source *source, uint32_t events)
{
    struct run_dns *dns = (struct run_dns *)((char *)source - offsetof(struct run_dns, source));
    uint8_t *message = dns->program->run->scratch;
    (void)events;
    for (;;) {
        struct sockaddr_in from;
        socklen_t from_len = sizeof from;
        ssize_t n = recvfrom(dns->fd, message, MESSAGE_MAX, MSG_DONTWAIT, (struct sockaddr *)&from,
                             &from_len);
        if (n < 0)
            return;
        ask(dns, message, (size_t)n, &from);
    }
}

void wr_run_dns_event(struct weir_program *program, const struct weir_event *event)
{
    struct run_dns *dns = program->dns;
    size_t i = (size_t)(event->user & 0xff);
    if (!dns || event->user != user_of(program, i) || i >= QUESTIONS_MAX ||
        dns->questions[i].sock != event->sock)
        return;
    struct question *question = &dns->questions[i];
    struct weir_stack *stack = weir_host_lock(program->host);
    ptrdiff_t n = weir_sock_recv(stack, event->sock, program->run->scratch, MESSAGE_MAX,
                                 WEIR_MSG_DONTWAIT, NULL, weir_now());
    weir_host_unlock(program->host);
    if (n == WEIR_EAGAIN)
        return;
    if (n > 0)
        (void)sendto(dns->fd, program->run->scratch, (size_t)n, MSG_DONTWAIT,
                     (struct sockaddr *)&question->from, sizeof question->from);
    forget(dns, question); /* an error (refused, unreachable) is left to the resolver's own clock */
}

bool wr_run_dns_server(const struct weir_program *program, const struct weir_endpoint *remote,
                       struct weir_endpoint *server)
{
    const struct weir_addr own = weir_addr_v4(RUN_DNS_ADDR);
    if (!program->dns || remote->port != 53 || !weir_addr_eq(&remote->addr, &own))
        return false;
    *server = program->dns->servers[0];
    return true;
}

int wr_run_dns_open(struct weir_program *program, int fd, const char *const *servers, size_t n)
{
    struct run_dns *dns = calloc(1, sizeof *dns);
    if (!dns)
        return WEIR_ENOMEM;
    for (size_t i = 0; i < n && dns->n_servers < RUN_DNS_SERVERS; i++)
        if (weir_addr_parse(servers[i], &dns->servers[dns->n_servers].addr))
            dns->servers[dns->n_servers++].port = 53;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &dns->source};
    dns->source.ready = ready;
    dns->program = program;
    dns->fd = fd;
    if (dns->n_servers == 0 || epoll_ctl(program->run->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        free(dns);
        return WEIR_EINVAL;
    }
    program->dns = dns;
    return 0;
}

void wr_run_dns_close(struct weir_program *program)
{
    struct run_dns *dns = program->dns;
    if (!dns)
        return;
    for (size_t i = 0; i < QUESTIONS_MAX; i++)
        if (dns->questions[i].sock)
            forget(dns, &dns->questions[i]);
    close(dns->fd);
    free(dns);
    program->dns = NULL;
}
