/* SPDX-License-Identifier: MIT */
/* Loss recovery with a scripted peer: RFC 5681, RFC 6582, RFC 6675, RFC 2018, RFC 3042, RFC 6298. RACK and TLP
 * are off (test_tcp_rack has them). */
#include "unit/tcp_peer.h"

#include "tcp/tcp_host.h"
#include "tcp/tcp_sender.h"

enum { MSS = 1000 };

static const struct w_tcpopt no_sack = {.has_mss = true, .mss = MSS};

/* A connection with `n` full segments in flight (at most 10), Reno. The log is empty. */
static struct conn flight(struct peer *p, const struct w_tcpopt *opt, unsigned n)
{
    peer_init(p);
    p->stack->tunables.tcp_recovery = 0;
    p->stack->tunables.tcp_early_retrans = 0;
    peer_listen(p, 80, 5);
    p->rtt = 10 * WEIR_MS;
    struct conn c = peer_open_with(p, 80, opt);
    assert_int_equal(weir_sock_setsockopt(p->stack, c.sock, WEIR_SOL_TCP, WEIR_TCP_CONGESTION,
                                          "reno", 4, p->now),
                     0);
    assert_int_equal(conn_fill(p, &c, n * MSS), n * MSS);
    assert_int_equal(p->n, n);
    p->n = 0;
    p->now += 10 * WEIR_MS;
    return c;
}

static void sack(struct peer *p, struct conn *c, uint32_t una, uint32_t start, uint32_t end)
{
    struct w_sack block = {una + start, una + end};
    conn_ack(p, c, una, &block, 1);
}

static uint32_t offset(const struct peer *p, unsigned i, uint32_t una)
{
    return p->log[i].th.seq - una;
}

/* 6675-02, 6675-05, 2018-06: 2000 bytes SACKed in one range are not enough, 2001 are. */
static void lost_by_bytes_6675_02_6675_05_2018_06(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, NULL, 10);
    uint32_t una = c.rcv;
    sack(&p, &c, una, MSS, 3 * MSS);
    assert_int_equal(p.n, 0);
    assert_int_equal(conn_info(&p, &c).tcpi_ca_state, WEIR_CA_DISORDER);
    sack(&p, &c, una, MSS, 3 * MSS + 1);
    assert_int_equal(p.n, 1);
    assert_int_equal(offset(&p, 0, una), 0);
    assert_int_equal(p.log[0].len, MSS);
    struct weir_tcp_info info = conn_info(&p, &c);
    assert_int_equal(info.tcpi_ca_state, WEIR_CA_RECOVERY);
    assert_int_equal(info.tcpi_snd_ssthresh, 5);
    assert_int_equal(info.tcpi_snd_cwnd,
                     7); /* RFC 9937: one in place of the lost one, no more yet */
    assert_int_equal(info.tcpi_retrans, 1);
    peer_free(&p);
}

/* 6675-02: three islands, however short. */
static void lost_by_islands_6675_02(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, NULL, 10);
    uint32_t una = c.rcv;
    for (uint32_t i = 1; i <= 5; i += 2) {
        assert_int_equal(p.n, 0);
        sack(&p, &c, una, i * MSS, i * MSS + 1);
    }
    assert_int_equal(p.n, 1);
    assert_int_equal(offset(&p, 0, una), 0);
    peer_free(&p);
}

/* 6675-01: the same SACK again and again says nothing. */
static void repeated_sack_is_nothing_6675_01(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, NULL, 10);
    for (int i = 0; i < 10; i++)
        sack(&p, &c, c.rcv, MSS, 2 * MSS);
    assert_int_equal(p.n, 0);
    peer_free(&p);
}

/* 6675-04, 6675-06, 6675-07: two holes; each goes once, then new data; the end is at RecoveryPoint. */
static void two_holes_6675_06_6675_07(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, NULL, 10);
    uint32_t una = c.rcv;
    conn_fill(&p, &c, 10 * MSS); /* waits for cwnd */
    assert_int_equal(p.n, 0);
    struct w_sack blocks[2] = {{una + 3 * MSS, una + 10 * MSS}, {una + MSS, una + 2 * MSS}};
    conn_ack(&p, &c, una, blocks, 2); /* 0 and 2 are missing: pipe 0 of cwnd 5 */
    assert_true(p.n >= 2);
    assert_int_equal(offset(&p, 0, una), 0);
    assert_int_equal(offset(&p, 1, una), 2 * MSS);
    assert_int_equal(p.n, 5); /* and three new ones fill cwnd */
    for (unsigned i = 2; i < 5; i++)
        assert_int_equal(offset(&p, i, una), (8 + i) * MSS);
    p.n = 0;
    conn_ack(&p, &c, una + 2 * MSS, blocks, 1); /* partial: still in recovery, one more may go */
    assert_int_equal(conn_info(&p, &c).tcpi_ca_state, WEIR_CA_RECOVERY);
    assert_int_equal(p.n, 1);
    assert_int_equal(offset(&p, 0, una), 13 * MSS);
    conn_ack(&p, &c, una + 10 * MSS, NULL, 0);
    assert_int_equal(conn_info(&p, &c).tcpi_ca_state, WEIR_CA_OPEN);
    assert_int_equal(conn_info(&p, &c).tcpi_snd_ssthresh, 5);
    assert_int_equal(conn_info(&p, &c).tcpi_total_retrans, 2);
    peer_free(&p);
}

/* 5681-09, 5681-10, 3042-1, 6582-3, 6582-4: without SACK. */
static void three_duplicates_5681_09_5681_10_3042_1_3042_2_6582_1_6582_3_6582_4(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, &no_sack, 10);
    uint32_t una = c.rcv;
    conn_fill(&p, &c, 10 * MSS);
    conn_ack(&p, &c, una, NULL,
             0); /* limited transmit: one new segment for each of the first two */
    assert_int_equal(p.n, 1);
    assert_int_equal(offset(&p, 0, una), 10 * MSS);
    conn_ack(&p, &c, una, NULL, 0);
    assert_int_equal(p.n, 2);
    assert_int_equal(conn_info(&p, &c).tcpi_snd_cwnd, 10); /* 3042-2 */
    p.n = 0;
    conn_ack(&p, &c, una, NULL, 0);
    assert_int_equal(p.n, 1);
    assert_int_equal(offset(&p, 0, una), 0);
    /* Half of 10: what limited transmit added does not count (RFC 5681 3.2). */
    assert_int_equal(conn_info(&p, &c).tcpi_snd_ssthresh, 5);
    p.n = 0;
    for (int i = 0; i < 6; i++)
        conn_ack(&p, &c, una, NULL, 0);
    /* RFC 9937 6.2: 7 of 10 delivered, so ceil(3.5) may have left, the retransmission among them. */
    assert_int_equal(p.n, 2);
    p.n = 0;
    conn_ack(&p, &c, una + 4 * MSS, NULL, 0); /* partial: the next hole at once */
    assert_true(p.n >= 1);
    assert_int_equal(offset(&p, 0, una), 4 * MSS);
    assert_int_equal(conn_info(&p, &c).tcpi_ca_state, WEIR_CA_RECOVERY);
    conn_ack(&p, &c, una + 12 * MSS, NULL, 0);
    assert_int_equal(conn_info(&p, &c).tcpi_ca_state, WEIR_CA_OPEN);
    assert_int_equal(conn_info(&p, &c).tcpi_snd_cwnd, 5);
    peer_free(&p);
}

/* 5681-11: data, window updates and FIN make no duplicate ACK. */
static void what_is_no_duplicate_5681_11(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, &no_sack, 10);
    for (int i = 0; i < 5; i++)
        conn_data(&p, &c, W_TCP_ACK, "x", 1);
    for (int i = 0; i < 5; i++) {
        c.wnd--;
        conn_ack(&p, &c, c.rcv, NULL, 0);
    }
    for (unsigned i = 0; i < p.n; i++)
        assert_int_equal(p.log[i].len, 0);
    assert_int_equal(conn_info(&p, &c).tcpi_total_retrans, 0);
    peer_free(&p);
}

/* 6298-07, 6298-08, 9293-TIME-2, 5681-06, 5681-07, 6582-6, 6675-09, 2018-08 */
static void time_out_5681_06_5681_07_6675_09_6298_10(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, NULL, 10);
    uint32_t una = c.rcv;
    weir_time t0 = p.now - 10 * WEIR_MS, gap = 210 * WEIR_MS, at = 0;
    peer_run(&p, 4 * WEIR_SEC);
    assert_int_equal(p.n, 4);
    for (unsigned i = 0; i < 4; i++) { /* the first only, doubling */
        at += gap;
        gap *= 2;
        assert_int_equal(offset(&p, i, una), 0);
        assert_int_equal(p.log[i].at - t0, at);
    }
    struct weir_tcp_info info = conn_info(&p, &c);
    assert_int_equal(info.tcpi_ca_state, WEIR_CA_LOSS);
    assert_int_equal(info.tcpi_snd_cwnd, 1);
    assert_int_equal(info.tcpi_snd_ssthresh, 5);
    assert_int_equal(info.tcpi_retransmits, 4);
    assert_int_equal(info.tcpi_backoff, 4);
    p.n = 0;
    conn_ack(&p, &c, una + MSS, NULL, 0); /* slow start through the rest */
    assert_int_equal(p.n, 2);
    assert_int_equal(offset(&p, 0, una), MSS);
    assert_int_equal(offset(&p, 1, una), 2 * MSS);
    p.n = 0;
    for (int i = 0; i < 3; i++) /* no second reduction below RecoveryPoint */
        conn_ack(&p, &c, una + MSS, NULL, 0);
    assert_int_equal(conn_info(&p, &c).tcpi_snd_ssthresh, 5);
    conn_ack(&p, &c, una + 10 * MSS, NULL, 0);
    assert_int_equal(conn_info(&p, &c).tcpi_ca_state, WEIR_CA_OPEN);
    assert_int_equal(conn_info(&p, &c).tcpi_unacked, 0);
    peer_free(&p);
}

/* Marks survive a time-out: only what is missing goes again. */
static void sack_kept_over_time_out(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, NULL, 10);
    uint32_t una = c.rcv;
    sack(&p, &c, una, MSS, 2 * MSS);
    peer_wait(&p, 1, WEIR_SEC);
    assert_int_equal(offset(&p, 0, una), 0);
    p.n = 0;
    conn_ack(&p, &c, una + 2 * MSS, NULL, 0);
    assert_true(p.n >= 1);
    assert_int_equal(offset(&p, 0, una), 2 * MSS);
    peer_free(&p);
}

/* 2018-07, 2018-08, 2018-09: a peer that takes back what it SACKed gets it again. */
static void reneging_2018_08_2018_09(void **arg)
{
    static struct peer p;
    bool seen[10] = {false};
    (void)arg;
    struct conn c = flight(&p, NULL, 10);
    uint32_t una = c.rcv;
    sack(&p, &c, una, 0, 5 * MSS); /* the left edge too: nonsense, but it must end well */
    peer_run(&p, 300 * WEIR_MS);
    assert_true(p.n >= 1);
    assert_int_equal(offset(&p, 0, una), 0);
    for (uint32_t acked = 1; acked <= 10; acked++) {
        for (unsigned i = 0; i < p.n; i++)
            seen[offset(&p, i, una) / MSS] = true;
        p.n = 0;
        conn_ack(&p, &c, una + acked * MSS, NULL, 0);
    }
    for (unsigned i = 0; i < 10; i++)
        assert_true(seen[i]);
    peer_free(&p);
}

/* 2018-11, hostile 35: blocks that no receiver writes change nothing. */
static void senseless_blocks_2018_11_2883_4(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, NULL, 10);
    uint32_t una = c.rcv;
    const struct w_sack bad[] = {
        {una + 3 * MSS, una + 2 * MSS},  {una + 2 * MSS, una + 2 * MSS},
        {una + 9 * MSS, una + 11 * MSS}, {una + 20 * MSS, una + 30 * MSS},
        {una - 5 * MSS, una + 5 * MSS},  {una + 0x80000000u, una + 0x80000100u},
        {una + MSS, una + 0x90000000u},  {0, 0xffffffff},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        conn_ack(&p, &c, una, &bad[i], 1);
        conn_ack(&p, &c, una, bad, 4);
    }
    struct weir_tcp_info info = conn_info(&p, &c);
    assert_int_equal(info.tcpi_sacked, 0);
    assert_int_equal(info.tcpi_lost, 0);
    assert_int_equal(p.n, 0);
    const struct w_sack never[] = {{una - MSS, una}}; /* a D-SACK of what was never sent */
    conn_ack(&p, &c, una, never, 1);
    assert_int_equal(conn_info(&p, &c).tcpi_dsack_dups, 0);
    const struct w_sack dsack[] = {{una, una + MSS}}; /* 2883-4 */
    conn_ack(&p, &c, una + MSS, dsack, 1);
    info = conn_info(&p, &c);
    assert_int_equal(info.tcpi_dsack_dups, 1);
    assert_int_equal(info.tcpi_sacked, 0);
    peer_free(&p);
}

/* 9293-M18, Karn: the ACK of what was sent twice is no sample without timestamps. */
static void karn_9293_M18(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, NULL, 1);
    uint32_t before = conn_info(&p, &c).tcpi_rtt;
    peer_wait(&p, 1, WEIR_SEC);
    p.now += 50 * WEIR_MS;
    conn_ack(&p, &c, c.rcv + MSS, NULL, 0);
    assert_int_equal(conn_info(&p, &c).tcpi_rtt, before);
    assert_int_equal(conn_info(&p, &c).tcpi_backoff, 1); /* kept until there is a sample */
    peer_free(&p);
}

/* 9293-M34, 9293-S15, 9293-S16, hostile 34: the window shrinks below what is in flight. */
static void shrunken_window_9293_M34_9293_M35_9293_S15_9293_S16_9293_S17(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, NULL, 10);
    uint32_t una = c.rcv;
    c.wnd = 5 * MSS;
    conn_data(&p, &c, W_TCP_ACK, "x", 1); /* a newer segment, so that the window counts */
    peer_clear(&p);
    conn_fill(&p, &c, 5 * MSS);
    assert_int_equal(p.n, 0);
    peer_run(&p, 300 * WEIR_MS); /* the time-out retransmits what fits */
    assert_int_equal(p.n, 1);
    assert_int_equal(offset(&p, 0, una), 0);
    c.wnd = 0;
    conn_data(&p, &c, W_TCP_ACK, "x", 1);
    peer_clear(&p);
    for (int i = 0; i < 12; i++) { /* 9293-M35, 9293-S17: probed, and kept while answered */
        peer_wait(&p, 1, 130 * WEIR_SEC);
        assert_int_equal(p.n, 1);
        assert_int_equal(offset(&p, 0, una), 0);
        p.n = 0;
        conn_ack(&p, &c, una, NULL, 0);
    }
    assert_int_equal(conn_state(&p, &c), WEIR_TCP_ESTABLISHED);
    c.wnd = 65535;
    conn_ack(&p, &c, una + 10 * MSS, NULL, 0);
    assert_true(p.n >= 1);
    assert_int_equal(offset(&p, 0, una), 10 * MSS);
    peer_free(&p);
}

/* 5681-14: losses in two successive windows reduce twice. */
static void two_windows_5681_14(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, NULL, 10);
    uint32_t una = c.rcv;
    conn_fill(&p, &c, 10 * MSS);
    sack(&p, &c, una, MSS, 10 * MSS);
    assert_int_equal(conn_info(&p, &c).tcpi_snd_ssthresh, 5);
    unsigned sent = p.n - 1; /* beside the retransmission */
    assert_int_equal(sent, 4);
    conn_ack(&p, &c, una + 10 * MSS, NULL, 0);
    assert_int_equal(conn_info(&p, &c).tcpi_ca_state, WEIR_CA_OPEN);
    una += 10 * MSS;
    sack(&p, &c, una, MSS, 4 * MSS);
    assert_int_equal(conn_info(&p, &c).tcpi_ca_state, WEIR_CA_RECOVERY);
    assert_true(conn_info(&p, &c).tcpi_snd_ssthresh <= 3);
    peer_free(&p);
}

/* 6675-08: an ACK that moves on ends the counting. */
static void cumulative_ack_resets_6675_08(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, NULL, 10);
    uint32_t una = c.rcv;
    sack(&p, &c, una, MSS, MSS + 10);
    sack(&p, &c, una, MSS, MSS + 20);
    conn_ack(&p, &c, una + 2 * MSS, NULL, 0);
    sack(&p, &c, una + 2 * MSS, MSS, MSS + 10);
    sack(&p, &c, una + 2 * MSS, MSS, MSS + 20);
    assert_int_equal(conn_info(&p, &c).tcpi_total_retrans, 0);
    sack(&p, &c, una + 2 * MSS, MSS, MSS + 30);
    assert_int_equal(conn_info(&p, &c).tcpi_total_retrans, 1);
    peer_free(&p);
}

/* With SACK too each of the first duplicates lets new data go, but only what brings news does. */
static void limited_transmit_6675_10_3042_3(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, NULL, 10);
    uint32_t una = c.rcv;
    conn_fill(&p, &c, 5 * MSS);
    assert_int_equal(p.n, 0);
    conn_ack(&p, &c, una, NULL, 0);
    conn_ack(&p, &c, una, NULL, 0);
    assert_int_equal(p.n, 0);
    sack(&p, &c, una, MSS, 2 * MSS);
    assert_int_equal(p.n, 1);
    assert_int_equal(offset(&p, 0, una), 10 * MSS);
    peer_free(&p);
}

static uint32_t pipe_of(struct peer *p)
{
    for (uint32_t i = 0; i < p->stack->tcp->tcbs.n_slots; i++) {
        const struct tcb *tcb = wr_pool_at(&p->stack->tcp->tcbs, i);
        if (tcb != NULL)
            return wr_tcb_pipe(tcb);
    }
    fail();
    return 0;
}

/* 6675-03, 6675-04: pipe by hand at each ACK; lost first, then new data, then what may be lost, then one
 * rescue. */
static void next_segment_6675_03_6675_04(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, NULL, 10);
    uint32_t una = c.rcv;
    assert_int_equal(pipe_of(&p), 10 * MSS);
    sack(&p, &c, una, MSS, 2 * MSS);
    assert_int_equal(pipe_of(&p), 9 * MSS);
    /* 1, 3, 4 and 5 are here; 0 is lost (four above), 2 has three above: lost as well. 6 to 9 fly. */
    struct w_sack blocks[2] = {{una + 3 * MSS, una + 6 * MSS}, {una + MSS, una + 2 * MSS}};
    conn_ack(&p, &c, una, blocks, 2);
    assert_int_equal(p.n, 1); /* 0 at once: pipe 4 + 1 of cwnd 5 */
    assert_int_equal(offset(&p, 0, una), 0);
    assert_int_equal(pipe_of(&p), 5 * MSS);
    blocks[0].end = una + 7 * MSS;
    conn_ack(&p, &c, una, blocks, 2); /* (1): the next lost one */
    assert_int_equal(p.n, 2);
    assert_int_equal(offset(&p, 1, una), 2 * MSS);
    assert_int_equal(pipe_of(&p), 5 * MSS);
    conn_write(&p, &c, "new", 3);
    struct w_sack three[3] = {{una + 8 * MSS, una + 9 * MSS}, blocks[0], blocks[1]};
    conn_ack(&p, &c, una, three, 3); /* (2): new data goes before 7, which may be lost */
    assert_true(p.n >= 3);
    assert_int_equal(offset(&p, 2, una), 10 * MSS);
    three[0].end = una + 10 * MSS;
    conn_ack(&p, &c, una, three, 3); /* (3): 7 */
    bool seven = false;
    for (unsigned i = 3; i < p.n; i++)
        seven |= offset(&p, i, una) == 7 * MSS;
    assert_true(seven);
    assert_true(conn_info(&p, &c).tcpi_total_retrans <=
                4); /* no segment twice; one rescue at most */
    peer_free(&p);
}

/* 9937-7: a peer without SACK makes up 1000 duplicates of ten segments. Each counts as a segment that has
 * arrived, but no more than RecoverFS = 10 of them, so no more than that leaves in all (RFC 9937 6.2). */
static void made_up_duplicates_9937_7(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, &no_sack, 10);
    uint32_t una = c.rcv, sent = 0;
    conn_fill(&p, &c, 100 * MSS);
    for (int i = 0; i < 1000; i++) {
        conn_ack(&p, &c, una, NULL, 0);
        sent += p.n;
        p.n = 0;
    }
    assert_int_equal(conn_info(&p, &c).tcpi_ca_state, WEIR_CA_RECOVERY);
    assert_true(sent >= 5 && sent <= 2 + 10); /* two by limited transmit before */
    print_message("%u segments for 1000 duplicates\n", sent);
    peer_free(&p);
}

/* 6582-5: the partial ACK starts the timer anew. */
static void partial_ack_restarts_timer_6582_5(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, &no_sack, 10);
    uint32_t una = c.rcv;
    for (int i = 0; i < 3; i++)
        conn_ack(&p, &c, una, NULL, 0);
    peer_run(&p, 100 * WEIR_MS);
    conn_ack(&p, &c, una + 4 * MSS, NULL, 0);
    weir_time t0 = p.now, rto = conn_info(&p, &c).tcpi_rto * WEIR_US;
    p.n = 0;
    peer_wait(&p, 1, 2 * WEIR_SEC);
    assert_int_equal(p.n, 1);
    assert_int_equal(offset(&p, 0, una), 4 * MSS);
    assert_true(p.now - t0 >= rto && p.now - t0 < rto + WEIR_MS);
    peer_free(&p);
}

/* 6582-2: duplicates after a time-out, below what was sent before it, reduce nothing. */
static void no_reduction_below_recover_6582_2_6582_6(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, &no_sack, 10);
    uint32_t una = c.rcv;
    peer_wait(&p, 1, WEIR_SEC);
    conn_ack(&p, &c, una + MSS, NULL, 0); /* what was sent again, and no more: no sign of F-RTO */
    uint32_t ssthresh = conn_info(&p, &c).tcpi_snd_ssthresh;
    for (int i = 0; i < 8; i++)
        conn_ack(&p, &c, una + MSS, NULL, 0);
    assert_int_equal(conn_info(&p, &c).tcpi_snd_ssthresh, ssthresh);
    assert_int_equal(conn_info(&p, &c).tcpi_ca_state, WEIR_CA_LOSS);
    peer_free(&p);
}

/* LNX-CC-02: cwnd halves for each RTO of silence, not below the initial window. */
static void idle_restart_5681_12_LNX_CC_02_LNX_SYSCTL_26_6928_3(void **arg)
{
    static struct peer p;
    (void)arg;
    struct conn c = flight(&p, NULL, 10);
    uint32_t una = c.rcv;
    conn_fill(&p, &c, 19 * MSS);
    for (int i = 1; i <= 29; i++)
        conn_ack(&p, &c, una + (uint32_t)i * MSS, NULL, 0);
    uint32_t cwnd = conn_info(&p, &c).tcpi_snd_cwnd;
    assert_true(cwnd >= 20 && cwnd < 40);
    p.now += 500 * WEIR_MS; /* two RTOs and more */
    p.n = 0;
    conn_fill(&p, &c, 29000);
    assert_int_equal(conn_info(&p, &c).tcpi_snd_cwnd, 10);
    assert_int_equal(conn_info(&p, &c).tcpi_snd_ssthresh, 0x7fffffff); /* not known: it stays so */
    assert_int_equal(p.n, 10);
    peer_free(&p);
}

/* 5681-04: the handshake raises nothing; 6928-2: a SYN-ACK lost twice leaves one segment. */
static void first_window_5681_04_6928_2(void **arg)
{
    static struct peer p;
    struct w_tcpopt opt = {.has_mss = true, .mss = MSS};
    (void)arg;
    struct conn c = flight(&p, NULL, 10);
    assert_int_equal(conn_info(&p, &c).tcpi_snd_cwnd, 10);
    c = peer_conn(&p, 80);
    conn_syn(&p, &c, &opt);
    peer_run(&p, 3500 * WEIR_MS); /* SYN-ACK again at 1 and 3 s */
    conn_at(&p, &c, W_TCP_ACK, c.snd, c.rcv, NULL, 0);
    assert_int_equal(weir_sock_accept(p.stack, p.listener, &c.sock, NULL, p.now), 0);
    p.n = 0;
    conn_fill(&p, &c, 5 * MSS);
    assert_int_equal(p.n, 1);
    peer_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_by_bytes_6675_02_6675_05_2018_06),
        cmocka_unit_test(lost_by_islands_6675_02),
        cmocka_unit_test(repeated_sack_is_nothing_6675_01),
        cmocka_unit_test(two_holes_6675_06_6675_07),
        cmocka_unit_test(three_duplicates_5681_09_5681_10_3042_1_3042_2_6582_1_6582_3_6582_4),
        cmocka_unit_test(what_is_no_duplicate_5681_11),
        cmocka_unit_test(time_out_5681_06_5681_07_6675_09_6298_10),
        cmocka_unit_test(sack_kept_over_time_out),
        cmocka_unit_test(reneging_2018_08_2018_09),
        cmocka_unit_test(senseless_blocks_2018_11_2883_4),
        cmocka_unit_test(karn_9293_M18),
        cmocka_unit_test(shrunken_window_9293_M34_9293_M35_9293_S15_9293_S16_9293_S17),
        cmocka_unit_test(two_windows_5681_14),
        cmocka_unit_test(cumulative_ack_resets_6675_08),
        cmocka_unit_test(limited_transmit_6675_10_3042_3),
        cmocka_unit_test(next_segment_6675_03_6675_04),
        cmocka_unit_test(made_up_duplicates_9937_7),
        cmocka_unit_test(partial_ack_restarts_timer_6582_5),
        cmocka_unit_test(no_reduction_below_recover_6582_2_6582_6),
        cmocka_unit_test(idle_restart_5681_12_LNX_CC_02_LNX_SYSCTL_26_6928_3),
        cmocka_unit_test(first_window_5681_04_6928_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
