/* SPDX-License-Identifier: MIT */
/*
 * The control socket of a program that drives its own host, with the loop in a thread. Expectations are
 * the contract of include/weir/control.h and docs/control.md. The commands over it, hostile clients and
 * other users are in tests/apps/test_control_tools.py.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/control.h>

static char folder[] = "/tmp/weir-control-XXXXXX";
static struct weir_loop *loop;
static struct weir_host *host;
static struct weir_control *control;

static int setup(void **state)
{
    (void)state;
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    setenv("XDG_RUNTIME_DIR", folder, 1);
    assert_int_equal(weir_loop_new(&loop), 0);
    assert_int_equal(weir_host_new(loop, NULL, &host), 0);
    struct weir_control_config config = {.name = "unit"};
    assert_int_equal(weir_control_open(host, &config, &control), 0);
    assert_int_equal(weir_loop_start(loop), 0);
    return 0;
}

static int teardown(void **state)
{
    char path[128];
    (void)state;
    weir_control_close(control);
    weir_host_free(host);
    assert_int_equal(weir_loop_free(loop), 0);
    snprintf(path, sizeof path, "%s/weir", folder);
    assert_int_equal(rmdir(path), 0); /* the socket has gone with the control */
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

/* ---- a client ---------------------------------------------------------------------------------- */

static int client(void)
{
    char error[256] = "";
    int fd = weir_control_connect("unit", error, sizeof error);
    if (fd < 0)
        fail_msg("%s", error);
    return fd;
}

/* One line, and the descriptor that came with it (-1: none). */
static json_t *line(int fd, int *passed)
{
    char text[8192];
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } space;
    *passed = -1;
    for (size_t n = 0; n < sizeof text; n++) {
        struct iovec iov = {text + n, 1};
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = &space,
                                 .msg_controllen = sizeof space};
        assert_int_equal(recvmsg(fd, &message, MSG_CMSG_CLOEXEC), 1);
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        if (head && head->cmsg_type == SCM_RIGHTS)
            memcpy(passed, CMSG_DATA(head), sizeof *passed);
        if (text[n] != '\n')
            continue;
        json_t *object = json_loadb(text, n, 0, NULL);
        assert_non_null(object);
        return object;
    }
    fail_msg("a line without an end");
    return NULL;
}

static void say(int fd, const char *request)
{
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    assert_int_equal(send(fd, "\n", 1, MSG_NOSIGNAL), 1);
}

static json_t *ask(int fd, const char *request)
{
    int passed;
    say(fd, request);
    json_t *answer = line(fd, &passed);
    assert_int_equal(passed, -1);
    return answer;
}

static void field(json_t *object, const char *key, const char *expected)
{
    const char *value = json_string_value(json_object_get(object, key));
    assert_non_null(value);
    assert_string_equal(value, expected);
}

/* ---- the tests --------------------------------------------------------------------------------- */

/* Counts this program's hosts: others of the user may run on the machine. */
static void count_ours(void *arg, const char *name, int pid)
{
    (void)name;
    *(int *)arg += pid == getpid();
}

static int our_hosts(void)
{
    int count = 0;
    assert_true(weir_control_each(count_ours, &count) >= 0);
    return count;
}

static void names_are_checked_and_taken_once(void **state)
{
    static const char *const bad[] = {
        "",    ".x",       "a/b",
        "a b", "\xc3\xa9", "a-name-that-is-longer-than-forty-eight-characters-are"};
    struct weir_control *other;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct weir_control_config config = {.name = bad[i]};
        assert_int_equal(weir_control_open(host, &config, &other), WEIR_EINVAL);
    }
    struct weir_control_config config = {.name = "unit"};
    assert_int_equal(weir_control_open(host, &config, &other), WEIR_EEXIST);
    assert_int_equal(weir_control_open(host, NULL, &other), 0);
    assert_int_equal(our_hosts(), 2);
    weir_control_close(other);
    assert_int_equal(our_hosts(), 1);
    weir_control_close(NULL);
}

static void the_folder_is_the_users_alone(void **state)
{
    char path[128];
    struct stat st;
    (void)state;
    snprintf(path, sizeof path, "%s/weir/unit.%d", folder, (int)getpid());
    assert_string_equal(weir_control_path(control), path);
    *strrchr(path, '/') = '\0';
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void requests_are_answered_in_order(void **state)
{
    int fd = client(), passed;
    (void)state;
    say(fd,
        "{\"op\":\"hello\"}\n{\"op\":\"sysctl\",\"name\":\"net.ipv4.tcp_sack\"}\n{\"op\":\"x\"}");
    json_t *hello = line(fd, &passed), *sack = line(fd, &passed), *unknown = line(fd, &passed);
    field(hello, "host", "unit");
    assert_int_equal(json_integer_value(json_object_get(hello, "pid")), getpid());
    field(sack, "value", "1");
    field(unknown, "error", "ENOTSUP");
    json_decref(hello);
    json_decref(sack);
    json_decref(unknown);
    close(fd);
}

/* A tunable that is the host's and not its stack's, in Linux's bounds. */
static void busy_polling_is_tuned_while_it_runs(void **state)
{
    static const char *const wrong[] = {"-1", "2147483648", "5x", "", "1 2"};
    int fd = client(), passed;
    char words[128];
    (void)state;
    say(fd, "{\"op\":\"sysctl\",\"name\":\"net.core.busy_poll\"}");
    say(fd, "{\"op\":\"sysctl\",\"name\":\"net.core.busy_poll\",\"value\":\"50\"}");
    json_t *off = line(fd, &passed), *on = line(fd, &passed);
    field(off, "value", "0");
    field(on, "value", "50");
    json_decref(off);
    json_decref(on);
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(words, sizeof words,
                 "{\"op\":\"sysctl\",\"name\":\"net.core.busy_poll\",\"value\":\"%s\"}", wrong[i]);
        say(fd, words);
        json_t *refused = line(fd, &passed);
        field(refused, "error", "EINVAL");
        json_decref(refused);
    }
    assert_int_equal(weir_host_busy_poll(host), 50);
    close(fd);
}

/* The answer comes though the client has closed its sending direction. */
static void a_half_closed_client_is_still_answered(void **state)
{
    int fd = client();
    (void)state;
    say(fd, "{\"op\":\"hello\"}");
    shutdown(fd, SHUT_WR);
    int passed;
    json_t *hello = line(fd, &passed);
    field(hello, "host", "unit");
    json_decref(hello);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

static int listening(uint16_t port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = weir_socket(host, AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(weir_bind(host, fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(weir_listen(host, fd, 5), 0);
    return fd;
}

/* Sockets of weir_socket() are this program's, by their descriptors. */
static void sockets_tell_who_has_them(void **state)
{
    int fd = client(), sock = listening(80), passed;
    (void)state;
    json_t *row = ask(fd, "{\"op\":\"sockets\"}"), *end = line(fd, &passed);
    field(row, "state", "LISTEN");
    assert_int_equal(json_integer_value(json_object_get(row, "send_q")), 5);
    json_t *user = json_object_get(row, "user");
    assert_int_equal(json_integer_value(json_object_get(user, "pid")), getpid());
    assert_int_equal(json_integer_value(json_object_get(user, "fd")), sock);
    assert_true(json_is_true(json_object_get(end, "done")));
    json_decref(row);
    json_decref(end);
    close(fd);
    weir_close(host, sock);
}

static void an_opened_socket_carries_bytes_and_ends_both_ways(void **state)
{
    int fd = client(), sock = listening(81), end;
    char byte;
    (void)state;
    say(fd, "{\"op\":\"open\",\"type\":\"stream\",\"family\":4,"
            "\"peer\":{\"addr\":\"127.0.0.1\",\"port\":81}}");
    int conn = weir_accept(host, sock, NULL, NULL);
    assert_true(conn >= 0);
    json_t *answer = line(fd, &end);
    assert_true(json_is_true(json_object_get(answer, "ok")));
    assert_true(end >= 0);
    json_decref(answer);
    assert_int_equal(send(end, "u", 1, MSG_NOSIGNAL), 1);
    assert_int_equal(weir_recv(host, conn, &byte, 1, 0), 1);
    assert_int_equal(byte, 'u');
    shutdown(end, SHUT_WR);
    assert_int_equal(weir_recv(host, conn, &byte, 1, 0), 0);
    assert_int_equal(weir_send(host, conn, "d", 1, 0), 1);
    assert_int_equal(weir_close(host, conn), 0);
    assert_int_equal(recv(end, &byte, 1, 0), 1);
    assert_int_equal(byte, 'd');
    assert_int_equal(recv(end, &byte, 1, 0), 0);
    int passed;
    answer = line(fd, &passed);
    assert_true(json_is_true(json_object_get(answer, "end")));
    assert_null(json_object_get(answer, "error"));
    json_decref(answer);
    close(end);
    close(fd);
    weir_close(host, sock);
}

static void a_reset_is_told(void **state)
{
    struct linger now = {.l_onoff = 1};
    int fd = client(), sock = listening(82), end, passed;
    char byte;
    (void)state;
    say(fd, "{\"op\":\"open\",\"type\":\"stream\",\"family\":4,"
            "\"peer\":{\"addr\":\"127.0.0.1\",\"port\":82}}");
    int conn = weir_accept(host, sock, NULL, NULL);
    json_decref(line(fd, &end));
    assert_int_equal(weir_setsockopt(host, conn, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    assert_int_equal(weir_close(host, conn), 0);
    json_t *answer = line(fd, &passed);
    field(answer, "error", "ECONNRESET");
    json_decref(answer);
    assert_int_equal(recv(end, &byte, 1, 0), 0);
    close(end);
    close(fd);
    weir_close(host, sock);
}

static void a_refusal_is_an_answer(void **state)
{
    int fd = client();
    (void)state;
    json_t *answer = ask(fd, "{\"op\":\"open\",\"type\":\"stream\",\"family\":4,"
                             "\"peer\":{\"addr\":\"127.0.0.1\",\"port\":83}}");
    field(answer, "error", "ECONNREFUSED");
    json_decref(answer);
    answer = ask(fd, "{\"op\":\"hello\"}"); /* the conversation goes on */
    field(answer, "host", "unit");
    json_decref(answer);
    close(fd);
}

/* Data that a client wrote before it went is still sent. */
static void what_was_written_last_arrives(void **state)
{
    enum { SIZE = 100000 };
    static char data[SIZE];
    int fd = client(), sock = listening(84), end;
    (void)state;
    say(fd, "{\"op\":\"open\",\"type\":\"stream\",\"family\":4,"
            "\"peer\":{\"addr\":\"127.0.0.1\",\"port\":84}}");
    int conn = weir_accept(host, sock, NULL, NULL);
    json_decref(line(fd, &end));
    assert_int_equal(send(end, data, sizeof data, MSG_NOSIGNAL), SIZE);
    close(end);
    close(fd);
    ssize_t n, all = 0;
    while ((n = weir_recv(host, conn, data, sizeof data, 0)) > 0)
        all += n;
    assert_int_equal(n, 0);
    assert_int_equal(all, SIZE);
    weir_close(host, conn);
    weir_close(host, sock);
}

/* Conversations and their sockets end with the control. */
static void closing_ends_what_is_open(void **state)
{
    int fd = client(), sock = listening(85), end;
    char byte;
    (void)state;
    say(fd, "{\"op\":\"open\",\"type\":\"stream\",\"family\":4,"
            "\"peer\":{\"addr\":\"127.0.0.1\",\"port\":85}}");
    int conn = weir_accept(host, sock, NULL, NULL);
    json_decref(line(fd, &end));
    weir_control_close(control);
    control = NULL;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    assert_int_equal(recv(end, &byte, 1, 0), 0);
    assert_int_equal(weir_recv(host, conn, &byte, 1, 0), 0);
    close(end);
    close(fd);
    weir_close(host, conn);
    weir_close(host, sock);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(names_are_checked_and_taken_once),
        EACH(the_folder_is_the_users_alone),
        EACH(requests_are_answered_in_order),
        EACH(busy_polling_is_tuned_while_it_runs),
        EACH(a_half_closed_client_is_still_answered),
        EACH(sockets_tell_who_has_them),
        EACH(an_opened_socket_carries_bytes_and_ends_both_ways),
        EACH(a_reset_is_told),
        EACH(a_refusal_is_an_answer),
        EACH(what_was_written_last_arrives),
        EACH(closing_ends_what_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
