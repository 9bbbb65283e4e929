/* SPDX-License-Identifier: MIT */
/* The differ's main program, and what its observations share (observe.h). */
#include "observe.h"

#include <stdarg.h>
#include <time.h>

/* ---- saying ----------------------------------------------------------------------------------- */

static const char *section_name;
static int number, made, left_out;

static const char *name_of(int error)
{
    const char *name = strerrorname_np(error);
    return name ? name : "?";
}

static void begin(const char *what)
{
    made++;
    printf("%s.%03d %s: ", section_name, ++number, what);
}

void say(const char *what, long value)
{
    int error = errno;
    begin(what);
    printf("%ld%s%s\n", value, value == -1 ? " " : "", value == -1 ? name_of(error) : "");
    fflush(stdout);
}

void say_of(long value, const char *format, ...)
{
    int error = errno;
    char what[128];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    errno = error;
    say(what, value);
}

void say_text(const char *what, const char *text)
{
    begin(what);
    printf("%s\n", text);
    fflush(stdout);
}

void say_bits(const char *what, short bits)
{
    static const struct {
        short bit;
        const char *name;
    } names[] = {{POLLIN, "IN"},   {POLLPRI, "PRI"}, {POLLOUT, "OUT"},
                 {POLLERR, "ERR"}, {POLLHUP, "HUP"}, {POLLRDHUP, "RDHUP"}};
    begin(what);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bits & names[i].bit)
            printf("%s ", names[i].name);
    printf("%s\n", bits ? "" : "none");
    fflush(stdout);
}

void say_error(const char *what, int fd)
{
    int error = option(fd, SOL_SOCKET, SO_ERROR);
    begin(what);
    printf("SO_ERROR %s\n", error ? name_of(abs(error)) : "0");
    fflush(stdout);
}

void leave_out(const char *what)
{
    begin(what);
    printf("left out\n");
    made--;
    left_out++;
}

/* ---- asking ----------------------------------------------------------------------------------- */

void pause_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

short bits_now(int fd)
{
    struct pollfd p = {fd, POLLIN | POLLPRI | POLLOUT | POLLRDHUP, 0};
    poll(&p, 1, 0);
    return p.revents;
}

short wait_bits(int fd, short bits)
{
    for (int i = 0; i < 600 && (bits_now(fd) & bits) != bits; i++)
        pause_ms(5);
    return bits_now(fd);
}

short wait_gone(int fd, short bits)
{
    for (int i = 0; i < 600 && (bits_now(fd) & bits); i++)
        pause_ms(5);
    return bits_now(fd);
}

int option(int fd, int level, int name)
{
    int value = -77;
    socklen_t len = sizeof value;
    return getsockopt(fd, level, name, &value, &len) < 0 ? -errno : value;
}

int set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value);
}

int tcp_state(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ? -errno : info.tcpi_state;
}

int port_of(int fd)
{
    struct sockaddr_in6 any = {0};
    socklen_t len = sizeof any;
    getsockname(fd, (struct sockaddr *)&any, &len);
    return ntohs(any.sin6_port); /* at the same place in both families */
}

int asked(int fd, unsigned long request)
{
    int value = -77;
    return socket_ioctl(fd, request, &value) < 0 ? -errno : value;
}

/* ---- sockets to work with --------------------------------------------------------------------- */

struct sockaddr_in v4(const char *addr, int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, addr, &in.sin_addr);
    return in;
}

struct sockaddr_in6 v6(const char *addr, int port)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    inet_pton(AF_INET6, addr, &in6.sin6_addr);
    return in6;
}

int tcp(int flags)
{
    return socket(AF_INET, SOCK_STREAM | flags, 0);
}

static int listener_with(int flags, int backlog)
{
    int fd = tcp(flags);
    struct sockaddr_in in = v4("127.0.0.1", 0);
    bind(fd, (struct sockaddr *)&in, sizeof in);
    listen(fd, backlog);
    return fd;
}

int listener(int flags)
{
    return listener_with(flags, 8);
}

int listener_of(int backlog)
{
    return listener_with(0, backlog);
}

int connect_to(int fd, int port)
{
    struct sockaddr_in in = v4("127.0.0.1", port);
    return connect(fd, (struct sockaddr *)&in, sizeof in);
}

void pair_of(int *client, int *server)
{
    int l = listener(0);
    *client = tcp(0);
    if (connect_to(*client, port_of(l)) < 0)
        perror("connect");
    *server = accept(l, NULL, NULL);
    close(l);
}

int closed_port(void)
{
    int fd = listener(0), port = port_of(fd);
    close(fd);
    return port;
}

struct silent silent_open(void)
{
    struct silent s;
    s.listener = listener_of(0);
    for (int i = 0; i < 2; i++) {
        s.queued[i] = tcp(SOCK_NONBLOCK);
        connect_to(s.queued[i], port_of(s.listener));
        if (i == 0)
            wait_bits(s.queued[0], POLLOUT);
    }
    pause_ms(20);
    s.fd = tcp(SOCK_NONBLOCK);
    connect_to(s.fd, port_of(s.listener));
    return s;
}

void silent_close(struct silent *s)
{
    close(s->fd);
    close(s->queued[0]);
    close(s->queued[1]);
    close(s->listener);
}

void nonblock(int fd)
{
    set_socket_flags(fd, O_RDWR | O_NONBLOCK);
}

void reset(int fd)
{
    struct linger hard = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
}

long fill_up(int fd)
{
    static char block[65536];
    long sent = 0;
    nonblock(fd);
    for (int quiet = 0; quiet < 12;) {
        ssize_t n = send(fd, block, quiet < 6 ? sizeof block : 1, MSG_NOSIGNAL);
        if (n > 0)
            sent += n, quiet = 0;
        else
            quiet++, pause_ms(10);
    }
    return sent;
}

/* ---- the program ------------------------------------------------------------------------------ */

#ifdef OBSERVE_LIBRARY
struct weir_host *observe_host;
static struct weir_loop *loop;

static int host_start(void)
{
    if (weir_loop_new(&loop) || weir_host_new(loop, NULL, &observe_host))
        return 1;
    return weir_loop_start(loop);
}

static void host_end(void)
{
    weir_loop_stop(loop);
    weir_host_free(observe_host);
    weir_loop_free(loop);
}
#else
static int host_start(void)
{
    return 0;
}

static void host_end(void)
{
}
#endif

static void run_section(const struct section *s)
{
    section_name = s->name;
    number = 0;
#ifdef OBSERVE_LIBRARY
    if (s->kernel) {
        printf("left out %s: %s\n", s->name, s->kernel);
        return;
    }
#endif
    s->run();
}

/* With names as arguments, only these sections. */
int main(int argc, char **argv)
{
    static const struct section *const all[] = {observe_open,   observe_connect, observe_data,
                                                observe_end,    observe_option,  observe_ready,
                                                observe_urgent, observe_process};
    signal(SIGPIPE, SIG_IGN);
    if (host_start()) {
        fprintf(stderr, "no host\n");
        return 1;
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        for (const struct section *s = all[i]; s->name; s++) {
            bool wanted = argc < 2;
            for (int a = 1; a < argc; a++)
                wanted |= strcmp(argv[a], s->name) == 0;
            if (wanted)
                run_section(s);
        }
    }
    printf("made %d, left out %d\n", made, left_out);
    host_end();
    return 0;
}
