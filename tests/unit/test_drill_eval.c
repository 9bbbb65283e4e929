/* SPDX-License-Identifier: MIT */
/* The evaluator of %{ }%: values from first principles (Python's rules), and that errors are found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drill/dr_eval.h"

static long double variable = 0;
static int used = -1;

static bool name(void *ctx, const char *text, long double *value)
{
    (void)ctx;
    if (strcmp(text, "seven") == 0)
        *value = 7;
    else if (strcmp(text, "variable") == 0)
        *value = variable;
    else
        return false;
    return true;
}

static bool call(void *ctx, const char *function, const char *arg, long double *value)
{
    (void)ctx;
    *value = (long double)strlen(arg);
    return strcmp(function, "length") == 0;
}

static bool use(void *ctx, int fd)
{
    (void)ctx;
    used = fd;
    return fd < 10;
}

static bool set(void *ctx, const char *text, long double value)
{
    (void)ctx;
    variable = value;
    return strcmp(text, "variable") == 0;
}

static const struct dr_resolver resolver = {.name = name, .call = call, .use = use, .set = set};

static void good(const char *code)
{
    char error[256] = "";
    if (!wr_dr_eval(code, &resolver, error, sizeof error))
        fail_msg("%s: %s", code, error);
}

static void bad(const char *code, const char *why)
{
    char error[256] = "";
    assert_false(wr_dr_eval(code, &resolver, error, sizeof error));
    if (!strstr(error, why))
        fail_msg("%s: \"%s\" does not say \"%s\"", code, error, why);
}

static void test_arithmetic(void **state)
{
    (void)state;
    good("assert 1 + 2 * 3 == 7");
    good("assert (1 + 2) * 3 == 9");
    good("assert -7 // 2 == -4 and -7 % 3 == 2");
    good("assert 7 / 2 == 3.5");
    good("assert 1 << 4 | 1 == 17 and 0x10 == 16 and 6 & 3 == 2 and 6 ^ 3 == 5 and ~0 == -1");
    good("assert abs(-3) == 3 and min(3, 1, 2) == 1 and max(3, 1, 2) == 3 and int(2.9) == 2");
    good("assert 18446744073709551615 > 18446744073709551614");
}

static void test_logic(void **state)
{
    (void)state;
    good("assert not 0 and 1 or 0");
    good("assert 0 or not (1 and 0)");
    good("assert 1 < 2 <= 2 < 3");
    good("assert seven in (1, 7) and seven not in [1, 2]");
    good("assert seven != 8; assert seven >= 7 and seven <= 7");
}

static void test_statements(void **state)
{
    (void)state;
    good("");
    good("\n  # nothing\n");
    good("assert 1, 'why'\nassert (1\n  + 1) == 2, 'a %d' % seven ; assert 1, seven");
    good("print(seven, 'text'); print seven");
    good("variable = seven * 2; assert variable == 14");
    good("use 4");
    assert_int_equal(used, 4);
    good("assert length(tcp_bad_checksum) == 16 and length(\"a.b\") == 3");
}

static void test_failures_are_found(void **state)
{
    (void)state;
    bad("assert 1 == 2", "assertion failed: 1 == 2");
    bad("assert seven == 8, 'is %d' % seven", "[7]");
    bad("assert 1; assert seven < 7", "assertion failed: seven < 7");
    bad("assert 1 < 2 < 2", "assertion failed");
    bad("assert not seven", "assertion failed");
    bad("assert unknown", "unknown name unknown");
    bad("assert nothing(3) == 1", "unknown function nothing");
    bad("assert 1 / 0", "division by zero");
    bad("assert 5 % 0", "division by zero");
    bad("assert (1", "expected \")\"");
    bad("assert 'text", "expected a value");
    bad("assert 1, 'text", "string does not end");
    bad("assert 1 1", "unexpected");
    bad("import os", "expected assert");
    bad("other = 3", "cannot assign");
    bad("use 11", "no descriptor 11");
    bad("assert", "expected a value");
}

static void test_nesting_is_bounded(void **state)
{
    (void)state;
    char code[10000];
    memset(code, '(', sizeof code);
    memcpy(code, "assert ", 7);
    code[sizeof code - 1] = '\0';
    bad(code, "nested too deeply");
    memset(code + 7, '-', sizeof code - 8);
    bad(code, "nested too deeply");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arithmetic),         cmocka_unit_test(test_logic),
        cmocka_unit_test(test_statements),         cmocka_unit_test(test_failures_are_found),
        cmocka_unit_test(test_nesting_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
