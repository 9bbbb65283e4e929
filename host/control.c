/* SPDX-License-Identifier: MIT */
/*
 * The control socket: accepts its owner's connections and no other's, reads requests, sends answers.
 *
 * It lives in the host's loop and never makes it wait. Every descriptor is non-blocking; a turn reads one
 * buffer of a conversation and answers one request, or tells a bounded number of rows; what a client
 * does not take stays in a buffer that grows no further until it is empty. There are at most TALKS_MAX
 * conversations, each ended when nothing has moved for PATIENCE. What a client sends is length-checked
 * before it is parsed, and a line too long or not of JSON ends the conversation.
 */
#define _GNU_SOURCE /* accept4, renameat2 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/control_int.h"

enum {
    TALKS_MAX = 32,
    OUT_FULL = 32 << 10 /* bytes waiting at which no more rows are told */
};
#define PATIENCE (30 * WEIR_SEC)

static void talk_ready(void *arg, int fd, uint32_t events);
static void listener_ready(void *arg, int fd, uint32_t events);
static void on_time(void *arg, weir_time now);

/* ---- bytes out ---------------------------------------------------------------------------------- */

static bool reserve(struct wr_talk *talk, size_t len)
{
    if (talk->out_off > 0) {
        memmove(talk->out, talk->out + talk->out_off, talk->out_len - talk->out_off);
        talk->out_len -= talk->out_off;
        talk->out_off = 0;
    }
    if (talk->out_cap - talk->out_len >= len)
        return true;
    size_t cap = (talk->out_len + len) * 2;
    char *out = realloc(talk->out, cap);
    if (!out)
        return false;
    talk->out = out;
    talk->out_cap = cap;
    return true;
}

void wr_control_say(struct wr_talk *talk, json_t *object)
{
    size_t len = object ? json_dumpb(object, NULL, 0, JSON_COMPACT) : 0;
    if (len == 0 || !reserve(talk, len + 1)) {
        talk->doomed = true;
    } else {
        json_dumpb(object, talk->out + talk->out_len, len, JSON_COMPACT);
        talk->out_len += len;
        talk->out[talk->out_len++] = '\n';
    }
    json_decref(object);
}

/* send(2), with talk->out_fd if there is one. */
static ssize_t send_some(struct wr_talk *talk)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.space = {0}};
    struct iovec iov = {talk->out + talk->out_off, talk->out_len - talk->out_off};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (talk->out_fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(head), &talk->out_fd, sizeof(int));
    }
    ssize_t n = sendmsg(talk->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0 && talk->out_fd >= 0) {
        close(talk->out_fd);
        talk->out_fd = -1;
    }
    return n;
}

/* Sends what the client takes. */
static void flush(struct wr_talk *talk, weir_time now)
{
    while (talk->out_off < talk->out_len) {
        ssize_t n = send_some(talk);
        if (n < 0) {
            talk->doomed |= errno != EAGAIN && errno != EINTR;
            return;
        }
        talk->out_off += (size_t)n;
        talk->heard_at = now;
    }
    talk->out_off = talk->out_len = 0;
}

/* ---- bytes in ----------------------------------------------------------------------------------- */

/* Serves the first request in the buffer. False when there is no whole one. */
static bool serve_line(struct wr_talk *talk)
{
    char *end = memchr(talk->in, '\n', talk->in_len);
    if (!end) {
        if (talk->in_len == sizeof talk->in) {
            wr_control_say(talk, json_pack("{s:s, s:s}", "error", "EMSGSIZE", "text",
                                           "the request is too long"));
            talk->ending = true;
            talk->in_len = 0;
        }
        return false;
    }
    size_t len = (size_t)(end - talk->in);
    wr_control_ask(talk, talk->in, len);
    talk->in_len -= len + 1;
    memmove(talk->in, end + 1, talk->in_len);
    return true;
}

static void take_in(struct wr_talk *talk, weir_time now)
{
    size_t room = sizeof talk->in - talk->in_len;
    ssize_t n = room ? recv(talk->fd, talk->in + talk->in_len, room, MSG_DONTWAIT) : 0;
    if (n > 0) {
        talk->in_len += (size_t)n;
        talk->heard_at = now;
    } else if (room && n == 0) {
        talk->ending = true; /* what was asked is still answered */
    } else if (room && errno != EAGAIN && errno != EINTR) {
        talk->doomed = true;
    }
}

/* One step: an answer is finished before the next request is looked at. */
static void step(struct wr_talk *talk, uint32_t events, weir_time now)
{
    if (events & EPOLLIN && !talk->ending)
        take_in(talk, now);
    else if (events & (EPOLLERR | EPOLLHUP))
        talk->doomed = true;
    flush(talk, now);
    if (!talk->doomed && talk->walking && talk->out_len - talk->out_off < OUT_FULL)
        wr_control_walk(talk);
    else if (!talk->doomed && talk->out_len == 0 && talk->waiting)
        talk->doomed |= talk->ending; /* nobody would hear the answer */
    else if (!talk->doomed && !talk->walking && talk->out_len == 0 && !serve_line(talk))
        talk->doomed |= talk->ending && talk->out_len == 0;
    flush(talk, now);
    if (talk->accepting && !talk->doomed)
        wr_control_accept(talk);
}

/* ---- conversations ------------------------------------------------------------------------------ */

/* What the conversation waits for: to be read while there is something to tell, else for a request. One
 * that is already in the buffer is served in a turn of its own, which EPOLLOUT brings. */
static uint32_t waits_for(const struct wr_talk *talk)
{
    bool asked = memchr(talk->in, '\n', talk->in_len) || talk->in_len == sizeof talk->in;
    if (talk->walking || talk->out_len > 0 || talk->ending || (asked && !talk->waiting))
        return EPOLLOUT;
    return asked ? EPOLLRDHUP : EPOLLIN; /* what was asked last is still to be answered */
}

static void talk_end(struct wr_talk *talk)
{
    struct weir_control *control = talk->control;
    struct wr_talk **at = &control->talks;
    while (*at != talk)
        at = &(*at)->next;
    *at = talk->next;
    control->n_talks--;
    wr_control_leave(talk);
    weir_loop_watch(control->host->loop, talk->fd, 0, NULL, NULL);
    close(talk->fd);
    if (talk->out_fd >= 0)
        close(talk->out_fd);
    free(talk->out);
    free(talk);
}

static void talk_ready(void *arg, int fd, uint32_t events)
{
    struct wr_talk *talk = arg;
    step(talk, events, weir_now());
    if (talk->doomed ||
        weir_loop_watch(talk->control->host->loop, fd, waits_for(talk), talk_ready, talk) != 0)
        talk_end(talk);
}

/* From wherever something was said: the turn itself comes from the loop, as the conversation may end. */
void wr_control_go_on(struct wr_talk *talk)
{
    weir_loop_watch(talk->control->host->loop, talk->fd, EPOLLOUT, talk_ready, talk);
}

/* Only the user whose host it is, or root, has any business here. */
static bool is_owner(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

static void talk_begin(struct weir_control *control, int fd)
{
    struct wr_talk *talk =
        control->n_talks < TALKS_MAX && is_owner(fd) ? calloc(1, sizeof *talk) : NULL;
    if (!talk || weir_loop_watch(control->host->loop, fd, EPOLLIN, talk_ready, talk) != 0) {
        free(talk);
        close(fd);
        return;
    }
    talk->control = control;
    talk->fd = fd;
    talk->listener = talk->out_fd = -1;
    talk->heard_at = weir_now();
    talk->next = control->talks;
    control->talks = talk;
    control->n_talks++;
    if (control->n_talks == 1)
        weir_loop_alarm(control->host->loop, talk->heard_at + PATIENCE, on_time, control);
}

static void listener_ready(void *arg, int fd, uint32_t events)
{
    struct weir_control *control = arg;
    (void)events;
    int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client >= 0) {
        talk_begin(control, client);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        /* Out of descriptors or memory: not to be asked again at once. */
        weir_loop_watch(control->host->loop, fd, 0, NULL, NULL);
        weir_loop_alarm(control->host->loop, weir_now() + WEIR_SEC, on_time, control);
    }
}

static void on_time(void *arg, weir_time now)
{
    struct weir_control *control = arg;
    struct wr_talk *next;
    for (struct wr_talk *talk = control->talks; talk; talk = next) {
        next = talk->next;
        bool used = talk->n_relays > 0 || talk->listener >= 0;
        if (!used && now - talk->heard_at >= PATIENCE)
            talk_end(talk);
    }
    weir_loop_watch(control->host->loop, control->fd, EPOLLIN, listener_ready, control);
    if (control->talks)
        weir_loop_alarm(control->host->loop, now + WEIR_SEC, on_time, control);
}

/* ---- life --------------------------------------------------------------------------------------- */

/* Listens under a hidden name, then takes its own. */
static int listen_at(struct weir_control *control, int dir, const char *folder)
{
    char file[WEIR_CONTROL_NAME_MAX + 16], hidden[sizeof file + 1];
    struct sockaddr_un address;
    snprintf(file, sizeof file, "%s.%d", control->name, (int)getpid());
    snprintf(hidden, sizeof hidden, ".%s", file);
    snprintf(control->path, sizeof control->path, "%s/%s", folder, file);
    if (!wr_control_address(dir, hidden, &address))
        return WEIR_EINVAL;
    unlinkat(dir, hidden, 0);
    if (bind(control->fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    if (listen(control->fd, TALKS_MAX) == 0 &&
        renameat2(dir, hidden, dir, file, RENAME_NOREPLACE) == 0)
        return 0;
    int err = -errno;
    unlinkat(dir, hidden, 0);
    return err;
}

static int open_socket(struct weir_control *control)
{
    char folder[256];
    int dir = wr_control_dir_open(folder, sizeof folder);
    if (dir < 0)
        return dir;
    control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int err = control->fd < 0 ? -errno : listen_at(control, dir, folder);
    close(dir);
    return err;
}

int weir_control_open(struct weir_host *host, const struct weir_control_config *config,
                      struct weir_control **out)
{
    struct weir_control *control = calloc(1, sizeof *control);
    if (!control)
        return WEIR_ENOMEM;
    control->host = host;
    control->fd = -1;
    if (config)
        control->config = *config;
    const char *name = control->config.name ? control->config.name : "host";
    int err = wr_control_name_ok(name) ? 0 : WEIR_EINVAL;
    if (!err) {
        snprintf(control->name, sizeof control->name, "%s", name);
        weir_control_each(NULL, NULL); /* a dead process may have had our number */
        err = open_socket(control);
    }
    if (!err)
        err = weir_loop_watch(host->loop, control->fd, EPOLLIN, listener_ready, control);
    if (err) {
        if (control->fd >= 0)
            close(control->fd);
        free(control);
        return err;
    }
    *out = control;
    return 0;
}

void weir_control_close(struct weir_control *control)
{
    if (!control)
        return;
    struct weir_loop *loop = control->host->loop;
    wr_loop_lock(loop);
    unlink(control->path);
    weir_loop_watch(loop, control->fd, 0, NULL, NULL);
    weir_loop_alarm(loop, WEIR_TIME_NEVER, on_time, control);
    close(control->fd);
    for (struct wr_talk *talk = control->talks, *next; talk; talk = next) {
        next = talk->next;
        talk_end(talk);
    }
    wr_control_end_relays(control);
    wr_loop_unlock(loop);
    free(control);
}

const char *weir_control_path(const struct weir_control *control)
{
    return control->path;
}
