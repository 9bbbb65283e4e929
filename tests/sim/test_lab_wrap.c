/* SPDX-License-Identifier: MIT */
/*
 * Connections that live longer than their sequence numbers. State that is not moved for 2^31 bytes seems to
 * lie ahead, and after 2^32 it is met again (RFC 9293 3.4): five gigabytes without a loss for more than two of
 * them, then one, must arrive as sent and be recovered without a time-out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lab/lab.h"

static void carry_five_gigabytes(const char *const *words, size_t n)
{
    static struct lab_scenario scenario;
    struct lab *lab;
    const char *why;
    wr_lab_scenario_default(&scenario);
    for (size_t i = 0; i < n; i++)
        assert_true(wr_lab_scenario_word(&scenario, words[i], &why));
    assert_int_equal(wr_lab_new(&scenario, &lab), 0);
    assert_int_equal(wr_lab_run(lab), 0);
    const struct lab_flow_result *flow = wr_lab_flow(lab, 0);
    assert_int_equal(flow->error, 0);
    assert_false(flow->corrupt);
    assert_true(flow->received > UINT64_C(4800000000));
    assert_int_equal(wr_lab_dropped(lab)[LAB_LOSS], 2); /* at 2.3 and 4.6 gigabytes */
    assert_true(flow->info.tcpi_total_retrans >= 2);
    assert_int_equal(flow->info.tcpi_total_rto, 0);
    wr_lab_free(lab);
}

static const char *const words[] = {"time=4s",  "rate=10gbit",        "queue=1000",
                                    "rtt=1ms",  "mtu=65535",          "loss-every=35000",
                                    "sample=0", "net.ipv4.tcp_sack=0"};

static void a_stream_passes_the_wrap_with_sack(void **state)
{
    (void)state;
    carry_five_gigabytes(words, sizeof words / sizeof *words - 1);
}

static void a_stream_passes_the_wrap_without_sack(void **state)
{
    (void)state;
    carry_five_gigabytes(words, sizeof words / sizeof *words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_passes_the_wrap_with_sack),
        cmocka_unit_test(a_stream_passes_the_wrap_without_sack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
