/* SPDX-License-Identifier: MIT */
/* struct weir_tcp_info by the names of its fields: for those who print it or ask for a field by name. */
#include <weir/info.h>

#include <stddef.h>
#include <string.h>

#define FIELD(field)                                                                               \
    {                                                                                              \
#        field, offsetof(struct weir_tcp_info, tcpi_##field),                                      \
            sizeof(((struct weir_tcp_info *)0)->tcpi_##field)                                      \
    }

static const struct weir_tcp_info_field table[] = {
    FIELD(state),
    FIELD(ca_state),
    FIELD(retransmits),
    FIELD(probes),
    FIELD(backoff),
    FIELD(options),
    FIELD(wscale),
    FIELD(delivery_limited),
    FIELD(rto),
    FIELD(ato),
    FIELD(snd_mss),
    FIELD(rcv_mss),
    FIELD(unacked),
    FIELD(sacked),
    FIELD(lost),
    FIELD(retrans),
    FIELD(fackets),
    FIELD(last_data_sent),
    FIELD(last_ack_sent),
    FIELD(last_data_recv),
    FIELD(last_ack_recv),
    FIELD(pmtu),
    FIELD(rcv_ssthresh),
    FIELD(rtt),
    FIELD(rttvar),
    FIELD(snd_ssthresh),
    FIELD(snd_cwnd),
    FIELD(advmss),
    FIELD(reordering),
    FIELD(rcv_rtt),
    FIELD(rcv_space),
    FIELD(total_retrans),
    FIELD(pacing_rate),
    FIELD(max_pacing_rate),
    FIELD(bytes_acked),
    FIELD(bytes_received),
    FIELD(segs_out),
    FIELD(segs_in),
    FIELD(notsent_bytes),
    FIELD(min_rtt),
    FIELD(data_segs_in),
    FIELD(data_segs_out),
    FIELD(delivery_rate),
    FIELD(busy_time),
    FIELD(rwnd_limited),
    FIELD(sndbuf_limited),
    FIELD(delivered),
    FIELD(delivered_ce),
    FIELD(bytes_sent),
    FIELD(bytes_retrans),
    FIELD(dsack_dups),
    FIELD(reord_seen),
    FIELD(rcv_ooopack),
    FIELD(snd_wnd),
    FIELD(rcv_wnd),
    FIELD(rehash),
    FIELD(total_rto),
    FIELD(total_rto_recoveries),
    FIELD(total_rto_time),
};

const struct weir_tcp_info_field *weir_tcp_info_fields(size_t *count)
{
    *count = sizeof table / sizeof *table;
    return table;
}

uint64_t weir_tcp_info_value(const struct weir_tcp_info *info,
                             const struct weir_tcp_info_field *field)
{
    const char *at = (const char *)info + field->offset;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;

    switch (field->size) {
    case 1:
        memcpy(&u8, at, 1);
        return u8;
    case 2:
        memcpy(&u16, at, 2);
        return u16;
    case 4:
        memcpy(&u32, at, 4);
        return u32;
    default:
        memcpy(&u64, at, 8);
        return u64;
    }
}
