/* SPDX-License-Identifier: MIT */
/*
 * Tunables by name: integers, vectors, texts. "Linux (observed)" is what sysctl(8) and a 6.18 kernel do
 * with the same words; the rest is the contract of include/weir/stack.h. That the defaults are Linux's
 * is asked of the kernel itself, by tests/interop/test_tunable_defaults.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/core.h"
#include "sim/sim_pair.h"

static struct weir_stack *stack0(void)
{
    return sim.host[0].stack;
}

static int put(const char *name, const char *text)
{
    return weir_sysctl_write(stack0(), name, text);
}

static void shows(const char *name, const char *expected)
{
    char text[256];
    assert_int_equal(weir_sysctl_read(stack0(), name, text, sizeof text), strlen(expected));
    assert_string_equal(text, expected);
}

/* Whatever is listed can be read, and written back unless it is read-only. */
static void each_name_reads_and_takes_its_own_value(void **state)
{
    char text[1024];
    unsigned n = 0;
    (void)state;
    for (const char *name; (name = weir_sysctl_name(n)) != NULL; n++) {
        assert_in_range(weir_sysctl_read(stack0(), name, text, sizeof text), 0, sizeof text - 1);
        bool read_only = strstr(name, "available") != NULL;
        assert_int_equal(put(name, text), read_only ? WEIR_EACCES : 0);
        for (unsigned i = 0; i < n; i++)
            assert_string_not_equal(weir_sysctl_name(i), name);
    }
    assert_true(n > 40);
    assert_null(weir_sysctl_name(n + 1));
}

static void integers_have_bounds(void **state)
{
    int64_t value;
    (void)state;
    assert_int_equal(weir_sysctl_get(stack0(), "net.ipv4.tcp_fin_timeout", &value), 0);
    assert_int_equal(value, 60);
    assert_int_equal(weir_sysctl_set(stack0(), "net.ipv4.tcp_fin_timeout", 30), 0);
    shows("net.ipv4.tcp_fin_timeout", "30");
    assert_int_equal(weir_sysctl_set(stack0(), "net.ipv4.tcp_fin_timeout", 121), WEIR_EINVAL);
    assert_int_equal(weir_sysctl_set(stack0(), "net.ipv4.tcp_fin_timeout", -1), WEIR_EINVAL);
    assert_int_equal(weir_sysctl_get(stack0(), "net.ipv4.nonsense", &value), WEIR_ENOENT);
    assert_int_equal(weir_sysctl_set(stack0(), "net.ipv4.nonsense", 1), WEIR_ENOENT);
    assert_int_equal(put("net.ipv4.nonsense", "1"), WEIR_ENOENT);
    assert_int_equal(weir_sysctl_read(stack0(), "net.ipv4.nonsense", NULL, 0), WEIR_ENOENT);
    shows("net.ipv4.tcp_fin_timeout", "30");
}

/* Linux (observed): octal and hexadecimal as in C, blanks around. That what follows the number is refused
 * is ours: the kernel takes the number and ignores a second word. */
static void numbers_are_spelled_as_the_kernel_reads_them(void **state)
{
    static const struct {
        const char *text;
        const char *after; /* NULL: refused */
    } cases[] = {
        {"20", "20"},     {" 21\n", "21"},  {"0x10", "16"}, {"017", "15"},
        {"0", "0"},       {"", NULL},       {" ", NULL},    {"x", NULL},
        {"1x", NULL},     {"0x", NULL},     {"-", NULL},    {"-1", NULL},
        {"09", NULL},     {"+1", NULL},     {"1 2", NULL},  {"18446744073709551617", NULL},
        {"0x1e 5", NULL}, {"\t0X1E", "30"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(put("net.ipv4.tcp_fin_timeout", "60"), 0);
        int err = put("net.ipv4.tcp_fin_timeout", cases[i].text);
        assert_int_equal(err, cases[i].after ? 0 : WEIR_EINVAL);
        shows("net.ipv4.tcp_fin_timeout", cases[i].after ? cases[i].after : "60");
    }
}

/* Linux (observed): shown with tabs; fewer numbers set the first ones. All or nothing is ours: the kernel
 * keeps what it took before the bad one. */
static void vectors_are_one(void **state)
{
    int64_t value;
    (void)state;
    shows("net.ipv4.tcp_rmem", "4096\t131072\t33554432");
    assert_int_equal(put("net.ipv4.tcp_rmem", "4096 87380   6291456"), 0);
    shows("net.ipv4.tcp_rmem", "4096\t87380\t6291456");
    assert_int_equal(put("net.ipv4.tcp_rmem", "8192"), 0);
    shows("net.ipv4.tcp_rmem", "8192\t87380\t6291456");
    assert_int_equal(put("net.ipv4.tcp_rmem", "4096 0 1"), WEIR_EINVAL);
    assert_int_equal(put("net.ipv4.tcp_rmem", "4096 8192 16384 32768"), WEIR_EINVAL);
    assert_int_equal(put("net.ipv4.tcp_rmem", ""), WEIR_EINVAL);
    shows("net.ipv4.tcp_rmem", "8192\t87380\t6291456");
    assert_int_equal(weir_sysctl_get(stack0(), "net.ipv4.tcp_rmem.max", &value), 0);
    assert_int_equal(value, 6291456);
    assert_int_equal(put("net.ipv4.tcp_rmem.max", "65536"), 0);
    shows("net.ipv4.tcp_rmem", "8192\t87380\t65536");
    assert_int_equal(weir_sysctl_get(stack0(), "net.ipv4.tcp_rmem", &value), WEIR_EINVAL);
    assert_int_equal(weir_sysctl_set(stack0(), "net.ipv4.tcp_rmem", 1), WEIR_EINVAL);
}

/* Linux (observed): EINVAL for a range that is upside down. */
static void the_port_range_ascends(void **state)
{
    (void)state;
    assert_int_equal(put("net.ipv4.ip_local_port_range", "50000 40000"), WEIR_EINVAL);
    assert_int_equal(put("net.ipv4.ip_local_port_range.first", "61000"), WEIR_EINVAL);
    assert_int_equal(put("net.ipv4.ip_local_port_range", "65536 65536"), WEIR_EINVAL);
    shows("net.ipv4.ip_local_port_range", "32768\t60999");
    assert_int_equal(put("net.ipv4.ip_local_port_range", "40000 40000"), 0);
    shows("net.ipv4.ip_local_port_range", "40000\t40000");
}

static void a_short_buffer_cuts_and_tells_the_length(void **state)
{
    char text[8] = "xxxxxxx";
    (void)state;
    assert_int_equal(weir_sysctl_read(stack0(), "net.ipv4.ip_local_port_range", text, sizeof text),
                     strlen("32768\t60999"));
    assert_string_equal(text, "32768\t6");
    assert_int_equal(weir_sysctl_read(stack0(), "net.ipv4.tcp_sack", NULL, 0), 1);
}

/* ---- texts ------------------------------------------------------------------------------------- */

static weir_sock open_tcp(void)
{
    return sim_socket(&sim, 0, WEIR_AF_INET, WEIR_SOCK_STREAM);
}

static int ask_for(weir_sock sock, const char *name)
{
    return weir_sock_setsockopt(stack0(), sock, WEIR_SOL_TCP, WEIR_TCP_CONGESTION, name,
                                strlen(name), sim.now);
}

static void uses(weir_sock sock, const char *expected)
{
    char name[16];
    size_t len = sizeof name;
    assert_int_equal(weir_sock_getsockopt(stack0(), sock, WEIR_SOL_TCP, WEIR_TCP_CONGESTION, name,
                                          &len, sim.now),
                     0);
    assert_string_equal(name, expected);
}

/* LNX-SO-12. Linux (observed): ENOENT for one that there is not. */
static void default_congestion_control_LNX_SO_12(void **state)
{
    (void)state;
    shows("net.ipv4.tcp_congestion_control", "cubic");
    uses(open_tcp(), "cubic");
    assert_int_equal(put("net.ipv4.tcp_congestion_control", "reno\n"), 0);
    shows("net.ipv4.tcp_congestion_control", "reno");
    uses(open_tcp(), "reno");
    weir_sock own = open_tcp();
    assert_int_equal(ask_for(own, "cubic"), 0);
    uses(own, "cubic");
    assert_int_equal(put("net.ipv4.tcp_congestion_control", "vegas9"), WEIR_ENOENT);
    assert_int_equal(put("net.ipv4.tcp_congestion_control", ""), WEIR_ENOENT);
    assert_int_equal(put("net.ipv4.tcp_congestion_control", "reno cubic"), WEIR_ENOENT);
    assert_int_equal(put("net.ipv4.tcp_congestion_control", "a-name-of-more-than-15"), WEIR_ENOENT);
    shows("net.ipv4.tcp_congestion_control", "reno");
}

/* LNX-SO-12: EPERM if restricted. */
static void restricted_congestion_control_LNX_SO_12(void **state)
{
    char available[128];
    (void)state;
    assert_true(weir_sysctl_read(stack0(), "net.ipv4.tcp_available_congestion_control", available,
                                 sizeof available) > 0);
    shows("net.ipv4.tcp_allowed_congestion_control", available);
    assert_non_null(strstr(available, "reno"));
    assert_int_equal(put("net.ipv4.tcp_available_congestion_control", "reno"), WEIR_EACCES);
    assert_int_equal(put("net.ipv4.tcp_allowed_congestion_control", "reno"), 0);
    shows("net.ipv4.tcp_allowed_congestion_control", "reno");
    assert_int_equal(ask_for(open_tcp(), "cubic"), WEIR_EPERM);
    assert_int_equal(ask_for(open_tcp(), "reno"), 0);
    assert_int_equal(put("net.ipv4.tcp_allowed_congestion_control", "reno none"), WEIR_ENOENT);
    shows("net.ipv4.tcp_allowed_congestion_control", "reno");
    /* The default is allowed by being set. */
    assert_int_equal(put("net.ipv4.tcp_congestion_control", "cubic"), 0);
    assert_int_equal(ask_for(open_tcp(), "cubic"), 0);
}

static uint16_t bound_port(uint16_t wanted, int expected)
{
    struct weir_endpoint local = {.port = wanted};
    weir_sock sock = open_tcp();
    assert_true(weir_addr_parse("0.0.0.0", &local.addr));
    assert_int_equal(weir_sock_bind(stack0(), sock, &local), expected);
    assert_int_equal(weir_sock_getsockname(stack0(), sock, &local), 0);
    return local.port;
}

/* LNX-SYSCTL-19: reserved ports are skipped for automatic choice only. */
static void reserved_ports_LNX_SYSCTL_19(void **state)
{
    (void)state;
    shows("net.ipv4.ip_local_reserved_ports", "");
    assert_int_equal(put("net.ipv4.ip_local_port_range", "40000 40007"), 0);
    assert_int_equal(put("net.ipv4.ip_local_reserved_ports", "40006,40001-40004,40003\n"), 0);
    shows("net.ipv4.ip_local_reserved_ports", "40001-40004,40006");
    for (unsigned i = 0; i < 3; i++) {
        uint16_t port = bound_port(0, 0);
        assert_true(port == 40000 || port == 40005 || port == 40007);
    }
    bound_port(0, WEIR_EADDRINUSE);
    bound_port(40006, 0);
    struct weir_endpoint to = sim_endpoint(0, 2, WEIR_AF_INET, 80);
    for (unsigned i = 0; i < 3; i++) {
        weir_sock sock = open_tcp();
        int err = weir_sock_connect(stack0(), sock, &to, sim.now);
        assert_int_equal(err, WEIR_EADDRNOTAVAIL); /* the free ones are bound */
    }
    assert_int_equal(put("net.ipv4.ip_local_reserved_ports", ""), 0);
    bound_port(0, 0);
    static const char *const bad[] = {"65536", "5-4", "1-", "-1", "1;2", "a", "1,b", "1 2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(put("net.ipv4.ip_local_reserved_ports", bad[i]), WEIR_EINVAL);
    shows("net.ipv4.ip_local_reserved_ports", "");
}

/* LNX-SYSCTL-20: EACCES below the first unprivileged port. */
static void unprivileged_ports_LNX_SYSCTL_20(void **state)
{
    (void)state;
    bound_port(80, 0);
    assert_int_equal(put("net.ipv4.ip_unprivileged_port_start", "1024"), 0);
    bound_port(81, WEIR_EACCES);
    bound_port(1023, WEIR_EACCES);
    bound_port(1024, 0);
    bound_port(0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_name_reads_and_takes_its_own_value, setup, teardown),
        cmocka_unit_test_setup_teardown(integers_have_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_are_spelled_as_the_kernel_reads_them, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(vectors_are_one, setup, teardown),
        cmocka_unit_test_setup_teardown(the_port_range_ascends, setup, teardown),
        cmocka_unit_test_setup_teardown(a_short_buffer_cuts_and_tells_the_length, setup, teardown),
        cmocka_unit_test_setup_teardown(default_congestion_control_LNX_SO_12, setup, teardown),
        cmocka_unit_test_setup_teardown(restricted_congestion_control_LNX_SO_12, setup, teardown),
        cmocka_unit_test_setup_teardown(reserved_ports_LNX_SYSCTL_19, setup, teardown),
        cmocka_unit_test_setup_teardown(unprivileged_ports_LNX_SYSCTL_20, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
