/* SPDX-License-Identifier: MIT */
/*
 * An HTTP/1.1 server (RFC 9112) with keep-alive, pipelining and time-outs; requests are parsed by http_parser:
 *
 *     sudo ./http weir0 10.0.0.2/24 10.0.0.1 80 &
 *     curl http://10.0.0.2/ http://10.0.0.2/bytes/1000000
 *
 * A thread serves a connection. The parser is given what came, whole requests or a part of one; the answers to all
 * that were whole leave in one send, in their order. A connection that waits IDLE seconds for a request is closed;
 * a request that takes longer than SLOW seconds to come, or stops for IDLE, is answered by 408.
 */
#include <http_parser.h>
#include <pthread.h>
#include <sys/time.h>

#include "on_tun.h"

enum { IDLE = 5, SLOW = 10, URL_MAX = 256, HEAD_MAX = 256 };

struct connection {
    int fd;
    http_parser parser;
    bool in_request, last, lost; /* last: no more requests; lost: the client takes no answers */
    weir_time began;             /* the request in hand */
    char url[URL_MAX];
    size_t url_len; /* may be more than fits: then it is not kept */
    size_t body_len, out_len;
    char out[16384]; /* answers that are not sent yet */
};

static struct weir_host *host;

static void flush(struct connection *c)
{
    if (c->out_len > 0 && !c->lost)
        c->lost = weir_send(host, c->fd, c->out, c->out_len, 0) != (ssize_t)c->out_len;
    c->out_len = 0;
}

/* Puts an answer behind those before it. text NULL: a body of `len` bytes that say nothing. */
static void answer(struct connection *c, const char *status, const char *text, size_t len)
{
    if (sizeof c->out - c->out_len < HEAD_MAX)
        flush(c);
    c->out_len +=
        (size_t)snprintf(c->out + c->out_len, HEAD_MAX,
                         "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n",
                         status, len, c->last ? "Connection: close\r\n" : "");
    for (size_t n, at = 0; at < len && !c->lost && c->parser.method != HTTP_HEAD; at += n) {
        n = len - at < sizeof c->out - c->out_len ? len - at : sizeof c->out - c->out_len;
        text ? memcpy(c->out + c->out_len, text + at, n) : memset(c->out + c->out_len, '.', n);
        c->out_len += n;
        if (c->out_len == sizeof c->out)
            flush(c);
    }
}

static int on_begin(http_parser *parser)
{
    struct connection *c = parser->data;
    c->in_request = true;
    c->began = weir_now();
    c->url_len = c->body_len = 0;
    return 0;
}

/* The URL may come in pieces, as the bytes did. */
static int on_url(http_parser *parser, const char *at, size_t len)
{
    struct connection *c = parser->data;
    if (c->url_len + len < URL_MAX)
        memcpy(c->url + c->url_len, at, len);
    c->url_len += len;
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
    (void)at; /* counted, and not kept */
    ((struct connection *)parser->data)->body_len += len;
    return 0;
}

/* What the server is for. Not 0: the parser stops, and what follows is not looked at. */
static int on_complete(http_parser *parser)
{
    struct connection *c = parser->data;
    char text[64];
    size_t n;
    c->in_request = false;
    c->last = !http_should_keep_alive(parser);
    c->url[c->url_len < URL_MAX ? c->url_len : 0] = '\0';
    snprintf(text, sizeof text, "%zu bytes\n", c->body_len);
    if (c->url_len >= URL_MAX)
        answer(c, "414 URI Too Long", "", 0);
    else if (parser->method == HTTP_POST || parser->method == HTTP_PUT)
        answer(c, "200 OK", text, strlen(text));
    else if (parser->method != HTTP_GET && parser->method != HTTP_HEAD)
        answer(c, "501 Not Implemented", "", 0);
    else if (strcmp(c->url, "/") == 0)
        answer(c, "200 OK", "Hello.\n", 7);
    else if (sscanf(c->url, "/bytes/%10zu", &n) == 1)
        answer(c, "200 OK", NULL, n);
    else
        answer(c, "404 Not Found", "", 0);
    return c->last || c->lost;
}

static void *serve(void *arg)
{
    http_parser_settings use = {on_begin, on_url, 0, 0, 0, 0, on_body, on_complete, 0, 0};
    struct connection c = {.fd = (int)(intptr_t)arg, .parser.data = &c};
    struct timeval idle = {.tv_sec = IDLE};
    char in[16384];
    http_parser_init(&c.parser, HTTP_REQUEST); /* keeps .data */
    weir_setsockopt(host, c.fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle);
    weir_setsockopt(host, c.fd, SOL_SOCKET, SO_SNDTIMEO, &idle, sizeof idle);
    for (ssize_t n = 1; n > 0 && !c.last && !c.lost; flush(&c)) {
        n = weir_recv(host, c.fd, in, sizeof in, 0);
        bool slow =
            c.in_request && (n < 0 ? errno == EAGAIN : weir_now() - c.began > SLOW * WEIR_SEC);
        bool bad = n > 0 && http_parser_execute(&c.parser, &use, in, (size_t)n) < (size_t)n;
        if (!c.last && (bad || slow)) {
            c.last = true;
            answer(&c, bad ? "400 Bad Request" : "408 Request Timeout", "", 0);
        }
    }
    /* RFC 9112 9.6: a close with bytes unread would be a reset, which may overtake the last answer. */
    if (weir_shutdown(host, c.fd, SHUT_WR) == 0)
        for (int i = 0; i < 64 && weir_recv(host, c.fd, in, sizeof in, 0) > 0; i++)
            ;
    weir_close(host, c.fd);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    uint16_t port;
    host = start_host(argc, argv, &port);
    int listener = listen_on(host, port, 0), fd;
    while ((fd = weir_accept(host, listener, NULL, NULL)) >= 0 || errno == ECONNABORTED)
        if (fd >= 0 && pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
        else if (fd >= 0)
            weir_close(host, fd);
    die("accept", strerror(errno));
}
