/* SPDX-License-Identifier: MIT */
/*
 * What TCP says about a connection: field for field Linux's struct tcp_info (kernel 6.x), so that a
 * program's own copy of it can be filled by getsockopt(TCP_INFO). Times in microseconds unless named
 * otherwise, sizes in bytes unless said to be packets.
 */
#ifndef WEIR_INFO_H
#define WEIR_INFO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bits of tcpi_options. */
enum {
    WEIR_TCPI_OPT_TIMESTAMPS = 1,
    WEIR_TCPI_OPT_SACK = 2,
    WEIR_TCPI_OPT_WSCALE = 4,
    WEIR_TCPI_OPT_ECN = 8,
    WEIR_TCPI_OPT_ECN_SEEN = 16,
    WEIR_TCPI_OPT_SYN_DATA = 32,
};

/* Bits 1 and 2 of tcpi_delivery_limited (Linux: tcpi_fastopen_client_fail). */
enum {
    WEIR_TFO_STATUS_UNSPEC = 0,
    WEIR_TFO_COOKIE_UNAVAILABLE = 1,
    WEIR_TFO_DATA_NOT_ACKED = 2,
    WEIR_TFO_SYN_RETRANSMITTED = 3,
};

/* Tcpi_ca_state. */
enum {
    WEIR_CA_OPEN = 0,
    WEIR_CA_DISORDER = 1,
    WEIR_CA_CWR = 2,
    WEIR_CA_RECOVERY = 3,
    WEIR_CA_LOSS = 4,
};

/* Tcpi_state, and weir_sock_row.state. */
enum {
    WEIR_TCP_ESTABLISHED = 1,
    WEIR_TCP_SYN_SENT = 2,
    WEIR_TCP_SYN_RECV = 3,
    WEIR_TCP_FIN_WAIT1 = 4,
    WEIR_TCP_FIN_WAIT2 = 5,
    WEIR_TCP_TIME_WAIT = 6,
    WEIR_TCP_CLOSE = 7,
    WEIR_TCP_CLOSE_WAIT = 8,
    WEIR_TCP_LAST_ACK = 9,
    WEIR_TCP_LISTEN = 10,
    WEIR_TCP_CLOSING = 11,
};

struct weir_tcp_info {
    uint8_t tcpi_state;
    uint8_t tcpi_ca_state;
    uint8_t tcpi_retransmits;
    uint8_t tcpi_probes;
    uint8_t tcpi_backoff;
    uint8_t tcpi_options;
    uint8_t tcpi_wscale;           /* low 4 bits: the peer's (send) scale; high 4: ours */
    uint8_t tcpi_delivery_limited; /* bit 0: delivery rate is application limited; bits 1 and 2: why
                                      fast open failed, WEIR_TFO_* */

    uint32_t tcpi_rto;
    uint32_t tcpi_ato;
    uint32_t tcpi_snd_mss;
    uint32_t tcpi_rcv_mss;

    uint32_t tcpi_unacked; /* packets; of a listener: accept queue's length */
    uint32_t tcpi_sacked;  /* packets; of a listener: its limit */
    uint32_t tcpi_lost;
    uint32_t tcpi_retrans;
    uint32_t tcpi_fackets;

    uint32_t tcpi_last_data_sent; /* milliseconds ago, as the next three */
    uint32_t tcpi_last_ack_sent;  /* always 0, as on Linux */
    uint32_t tcpi_last_data_recv;
    uint32_t tcpi_last_ack_recv;

    uint32_t tcpi_pmtu;
    uint32_t tcpi_rcv_ssthresh;
    uint32_t tcpi_rtt;
    uint32_t tcpi_rttvar;
    uint32_t tcpi_snd_ssthresh; /* packets */
    uint32_t tcpi_snd_cwnd;     /* packets */
    uint32_t tcpi_advmss;
    uint32_t tcpi_reordering; /* packets */

    uint32_t tcpi_rcv_rtt;
    uint32_t tcpi_rcv_space;

    uint32_t tcpi_total_retrans; /* packets */

    uint64_t tcpi_pacing_rate; /* bytes per second */
    uint64_t tcpi_max_pacing_rate;
    uint64_t tcpi_bytes_acked; /* RFC 4898 tcpEStatsAppHCThruOctetsAcked */
    uint64_t tcpi_bytes_received;
    uint32_t tcpi_segs_out;
    uint32_t tcpi_segs_in;

    uint32_t tcpi_notsent_bytes;
    uint32_t tcpi_min_rtt;
    uint32_t tcpi_data_segs_in;
    uint32_t tcpi_data_segs_out;

    uint64_t tcpi_delivery_rate;

    uint64_t tcpi_busy_time;
    uint64_t tcpi_rwnd_limited;
    uint64_t tcpi_sndbuf_limited;

    uint32_t tcpi_delivered;
    uint32_t tcpi_delivered_ce;

    uint64_t tcpi_bytes_sent;
    uint64_t tcpi_bytes_retrans;
    uint32_t tcpi_dsack_dups;
    uint32_t tcpi_reord_seen;

    uint32_t tcpi_rcv_ooopack;

    uint32_t tcpi_snd_wnd;
    uint32_t tcpi_rcv_wnd;

    uint32_t tcpi_rehash;

    uint16_t tcpi_total_rto;
    uint16_t tcpi_total_rto_recoveries;
    uint32_t tcpi_total_rto_time; /* milliseconds */

    /* Counters of accurate ECN (RFC 9768), which is not spoken: always 0. */
    uint32_t tcpi_received_ce;
    uint32_t tcpi_delivered_e1_bytes;
    uint32_t tcpi_delivered_e0_bytes;
    uint32_t tcpi_delivered_ce_bytes;
    uint32_t tcpi_received_e1_bytes;
    uint32_t tcpi_received_e0_bytes;
    uint32_t tcpi_received_ce_bytes;
    uint32_t tcpi_accecn; /* its state, in bits */
};

/* A field of struct weir_tcp_info: Linux's name without "tcpi_", and where it is, in bytes. */
struct weir_tcp_info_field {
    const char *name;
    size_t offset, size;
};
/* Every field that Weir fills, in the order of the struct; *count: how many. The table is constant and the
 * library's. */
const struct weir_tcp_info_field *weir_tcp_info_fields(size_t *count);
/* The value of one of them, widened; units are the struct's. Never fails. */
uint64_t weir_tcp_info_value(const struct weir_tcp_info *info,
                             const struct weir_tcp_info_field *field);

#ifdef __cplusplus
}
#endif
#endif
