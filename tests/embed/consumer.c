/* SPDX-License-Identifier: MIT */
/* A program of somebody else's: both libraries, public headers alone. Compiled as C11 and as C++. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <weir/host.h>
#include <weir/weir.h>

#undef NDEBUG
#include <assert.h>

static void use_core(void)
{
    struct weir_config config;
    struct weir_stack *stack;
    weir_sock sock;

    weir_config_default(&config);
    stack = weir_stack_new(&config, 0);
    assert(stack);
    assert(weir_sock_open(stack, WEIR_AF_INET, WEIR_SOCK_STREAM, 0, &sock) == 0);
    assert(weir_sock_close(stack, sock, 1) == 0);
    assert(weir_sock_close(stack, sock, 2) == WEIR_EBADF);
    assert(strcmp(weir_error_name(WEIR_EBADF), "EBADF") == 0);
    weir_stack_free(stack);
}

static void use_host(void)
{
    struct weir_loop *loop;
    struct weir_host *host;
    int fd;

    assert(weir_loop_new(&loop) == 0);
    assert(weir_host_new(loop, NULL, &host) == 0);
    fd = weir_socket(host, AF_INET, SOCK_STREAM, 0);
    assert(fd >= 0);
    assert(weir_close(host, fd) == 0);
    assert(weir_close(host, fd) == -1 && errno == EBADF);
    weir_host_free(host);
    assert(weir_loop_free(loop) == 0);
}

int main(void)
{
    use_core();
    use_host();
    puts("consumer works");
    return 0;
}
