/* SPDX-License-Identifier: MIT */
/* The parser of drill: what the notation says, and that what is wrong is refused with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drill/dr_script.h"
#include "wire/w_tcp.h"

static struct dr_script script;

static const struct dr_event *parsed(const char *text)
{
    struct dr_options options;
    wr_dr_options_default(&options);
    if (!wr_dr_script_parse(&script, "test", text, strlen(text), &options))
        fail_msg("line %u: %s", script.line, script.error);
    return script.events;
}

static void done(void)
{
    wr_dr_script_free(&script);
}

static void refused(const char *text, unsigned line, const char *why)
{
    struct dr_options options;
    wr_dr_options_default(&options);
    assert_false(wr_dr_script_parse(&script, "test", text, strlen(text), &options));
    if (script.line != line || !strstr(script.error, why))
        fail_msg("%s\ngave line %u: %s", text, script.line, script.error);
    done();
}

static void test_times(void **state)
{
    (void)state;
    const struct dr_event *e = parsed("1.5 < . 1:1(0) ack 1 win 1\n"
                                      "+.25 < . 1:1(0) ack 1 win 1 // comment\n"
                                      "* > . 1:1(0) ack 1 /* two\n lines */\n"
                                      "2~2.000001 > . 1:1(0) ack 1\n"
                                      "+0~+.5 > . 1:1(0) ack 1\n");
    assert_int_equal(e->when.kind, DR_TIME_ABSOLUTE);
    assert_int_equal(e->when.at_ns, 1500000000);
    e = e->next;
    assert_int_equal(e->when.kind, DR_TIME_RELATIVE);
    assert_int_equal(e->when.at_ns, 250000000);
    e = e->next;
    assert_int_equal(e->when.kind, DR_TIME_ANY);
    e = e->next;
    assert_int_equal(e->line, 5);
    assert_int_equal(e->when.kind, DR_TIME_ABSOLUTE_RANGE);
    assert_int_equal(e->when.end_ns, 2000001000);
    e = e->next;
    assert_int_equal(e->when.kind, DR_TIME_RELATIVE_RANGE);
    assert_int_equal(e->when.end_ns, 500000000);
    assert_null(e->next);
    done();
}

static void test_tcp(void **state)
{
    (void)state;
    const struct dr_packet *p =
        parsed("0 < [ce] 1000 > 80 SPW. 5:105(100) ack 7 win 65535 urg 9 "
               "<mss 1460,sackOK,nop,wscale 7,TS val 1 ecr 2,sack 1:2 3:4,FO abcd,raw 0x0102>\n")
            ->packet;
    assert_true(p->inbound && p->has_ports);
    assert_int_equal(p->ip.ecn, 3);
    assert_int_equal(p->src_port, 1000);
    assert_int_equal(p->flags, W_TCP_SYN | W_TCP_PSH | W_TCP_CWR | W_TCP_ACK);
    assert_int_equal(p->seq, 5);
    assert_int_equal(p->len, 100);
    assert_int_equal(p->ack, 7);
    assert_int_equal(p->win, 65535);
    assert_int_equal(p->urg, 9);
    assert_int_equal(p->n_opts, 8);
    assert_int_equal(p->opts[0].a, 1460);
    assert_int_equal(p->opts[4].b, 2);
    assert_int_equal(p->opts[5].n, 2);
    assert_int_equal(p->opts[5].sack[1].end, 4);
    assert_int_equal(p->opts[6].n, 4);
    assert_memory_equal(p->opts[6].blob, "\x22\x04\xab\xcd", 4);
    assert_memory_equal(p->opts[7].blob, "\x01\x02", 2);
    done();
    p = parsed("0 > S 0:0(0) <FO 12345678,FOEXP 0a>\n")->packet;
    assert_memory_equal(p->opts[0].blob, "\x22\x06\x12\x34\x56\x78", 6);
    assert_memory_equal(p->opts[1].blob, "\xfe\x05\xf9\x89\x0a", 5);
    done();
}

static void test_flags(void **state)
{
    (void)state;
    assert_int_equal(parsed("0 > - 1:1(0)")->packet->flags, 0);
    done();
    assert_int_equal(parsed("0 > .5 1:1(0) ack 1")->packet->flags,
                     W_TCP_ACK | W_TCP_ECE | W_TCP_AE);
    done();
    assert_int_equal(parsed("0 > FRUA. 1:1(0) ack 1")->packet->flags,
                     W_TCP_FIN | W_TCP_RST | W_TCP_URG | W_TCP_AE | W_TCP_ACK);
    done();
    assert_true(parsed("0 > S. 0:0(0) ack 1 <...>")->packet->any_options);
    done();
    assert_int_equal(parsed("0 > . 4294967290:4(10)")->packet->len, 10);
    done();
}

static void test_other_packets(void **state)
{
    (void)state;
    const struct dr_event *e = parsed("0 < icmp unreachable frag_needed mtu 1300 [1:1001(1000)]\n"
                                      "0 < udp 53 > 99 (512)\n"
                                      "0 < raw 0x4500ff\n"
                                      "0 > icmp echo_reply id 7 [raw (100)]\n"
                                      "0 > ...\n");
    assert_int_equal(e->packet->icmp_code, 4);
    assert_int_equal(e->packet->mtu, 1300);
    assert_int_equal(e->packet->quote_seq, 1);
    e = e->next;
    assert_int_equal(e->packet->proto, DR_UDP);
    assert_int_equal(e->packet->len, 512);
    e = e->next;
    assert_int_equal(e->packet->raw_len, 3);
    assert_int_equal(e->packet->raw[2], 0xff);
    e = e->next;
    assert_int_equal(e->packet->icmp_id, 7);
    assert_int_equal(e->packet->quote, DR_QUOTE_RAW);
    assert_int_equal(e->next->packet->proto, DR_ANYTHING);
    done();
}

static void test_calls(void **state)
{
    (void)state;
    const struct dr_event *e =
        parsed("--define=LEN=12\n"
               "0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3\n"
               "+0...0.200 connect(3, {sa_family = AF_INET, sin_port = htons(80),"
               " sin_addr = inet_addr(\"192.0.2.1\")}, ...) = -1 ETIMEDOUT (timed (out)\n"
               "+0 setsockopt(3, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0\n"
               "+0 poll([{fd=3, events=POLLIN, revents=0}], 1, 0) = 0\n"
               "+0 write(3, \"a\\x00b\" \"c\", LEN) = 12\n"
               "+0 `sysctl -q a=1`\n"
               "+0 %{ assert 1 }%\n");
    assert_int_equal(script.options.mtu, 1500);
    assert_string_equal(e->call->name, "socket");
    assert_int_equal(e->call->args[1]->kind, DR_EXPR_OR);
    e = e->next;
    assert_true(e->call->blocking);
    assert_int_equal(e->call->end_ns, 200000000);
    assert_string_equal(e->call->error, "ETIMEDOUT");
    assert_string_equal(wr_dr_expr_field(e->call->args[1], "sin_addr")->items[0]->text,
                        "192.0.2.1");
    e = e->next;
    assert_int_equal(wr_dr_expr_field(e->call->args[3], "onoff")->num, 1);
    e = e->next;
    assert_int_equal(e->call->args[0]->n_items, 1);
    e = e->next;
    assert_int_equal(e->call->args[1]->len, 4);
    assert_memory_equal(e->call->args[1]->text, "a\0bc", 4);
    assert_int_equal(e->call->args[2]->num, 12);
    assert_int_equal(e->next->kind, DR_EVENT_COMMAND);
    assert_int_equal(e->next->next->kind, DR_EVENT_CODE);
    done();
}

static void test_options(void **state)
{
    (void)state;
    parsed("--ip_version=ipv6\n--tolerance_usecs=0\n--strict_segments\n--mtu=9000\n"
           "--bind_port=99\n--local_ip=fd00::1/64\n0 > ...\n");
    assert_int_equal(script.options.ip_version, DR_IP_V6);
    assert_int_equal(script.options.tolerance_ns, 0);
    assert_int_equal(script.options.mtu, 9000);
    assert_int_equal(script.prefix_len, 64);
    assert_int_equal(script.bind_port, 99);
    assert_true(script.strict_segments);
    done();
}

static void test_refusals(void **state)
{
    (void)state;
    refused("", 1, "no events");
    refused("--unknown=1\n0 > ...", 1, "unknown option");
    refused("--mtu=20\n0 > ...", 1, "bad value");
    refused("0 > ...\n1 what", 2, "expected '('");
    refused("0 < S 0:0(0)", 1, "needs its win");
    refused("\n0 < X 0:0(0) win 1", 2, "invalid TCP flag 'X'");
    refused("0 < . 1:3(1) win 1", 1, "do not agree");
    refused("0 < . 1:1(0) ack 1 win 70000", 1, "win out of range");
    refused("0 < . 1:1(0) win 1 <bogus>", 1, "unknown TCP option");
    refused("0 < . 1:1(0) win 1 <...>", 1, "outbound");
    refused("0 < . 1:1(0) win 1 <nop", 1, "expected '>'");
    refused("0 > [bad checksum] . 1:1(0)", 1, "inbound");
    refused("0 < [ect01] . 1:1(0) win 1", 1, "outbound");
    refused("0 < [nonsense] . 1:1(0) win 1", 1, "unknown word");
    refused("* < . 1:1(0) win 1", 1, "packets that the stack sends");
    refused("0~1 socket() = 3", 1, "packets that the stack sends");
    refused("2~1 > . 1:1(0)", 1, "backwards");
    refused("0 < icmp nonsense", 1, "unknown ICMP type");
    refused("0 < icmp unreachable nonsense", 1, "unknown ICMP code");
    refused("0 close(3 = 0", 1, "expected ','");
    refused("0 close(3) 0", 1, "expected '='");
    refused("0 write(3, \"abc", 1, "does not end");
    refused("0 %{ assert 1", 1, "%{ without }%");
    refused("/* open", 1, "comment does not end");
    refused("0 < raw 0x123", 1, "even number");
    refused("0 < ipv4 1.2.3.4", 1, "encapsulation");
    refused("99999999999999999999 > ...", 1, "too large");
}

/* Every prefix of a script ends in a refusal or a script, never anything else. */
static void test_prefixes(void **state)
{
    (void)state;
    static const char text[] =
        "--tolerance_usecs=5\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
        "+0 < [ect0, ttl 3] 1 > 2 SE. 0:10(10) ack 1 win 2 urg 3 <mss 1,sack 1:2,TS val 1 ecr 2>\n"
        "+0 < icmp unreachable frag_needed mtu 5 [udp (3)]\n+0 %{ assert 1 }% 1 `x`\n"
        "+0...1 poll([{fd=1, events=2}], 1, 0) = -1 EAGAIN (no)\n* > ...";
    struct dr_options options;
    wr_dr_options_default(&options);
    for (size_t n = 0; n < sizeof text; n++) {
        bool ok = wr_dr_script_parse(&script, "test", text, n, &options);
        assert_int_equal(ok, script.error[0] == '\0');
        done();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),    cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_flags),    cmocka_unit_test(test_other_packets),
        cmocka_unit_test(test_calls),    cmocka_unit_test(test_options),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
