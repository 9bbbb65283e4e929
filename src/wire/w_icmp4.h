/* SPDX-License-Identifier: MIT */
#ifndef WR_W_ICMP4_H
#define WR_W_ICMP4_H

/*
 * ICMP, RFC 792; codes and the next-hop MTU, RFC 1122 3.2.2, RFC 1191 4:
 *
 *     0      1      2       4                  8
 *     | type | code | csum  | rest, by type    | echoed bytes, or the packet that was the cause
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/w_err.h"
#include "wire/w_ip4.h"

#define W_ICMP_HLEN 8

#define W_ICMP4_ECHO_REPLY      0
#define W_ICMP4_UNREACH         3
#define W_ICMP4_QUENCH          4
#define W_ICMP4_REDIRECT        5
#define W_ICMP4_ECHO            8
#define W_ICMP4_TIME_EXCEEDED   11
#define W_ICMP4_PARAM_PROBLEM   12
#define W_ICMP4_TIMESTAMP       13
#define W_ICMP4_TIMESTAMP_REPLY 14

/* Codes of W_ICMP4_UNREACH. */
#define W_ICMP4_UNREACH_NET         0
#define W_ICMP4_UNREACH_HOST        1
#define W_ICMP4_UNREACH_PROTO       2
#define W_ICMP4_UNREACH_PORT        3
#define W_ICMP4_UNREACH_FRAG        4
#define W_ICMP4_UNREACH_SRCRT       5
#define W_ICMP4_UNREACH_NET_PROHIB  9
#define W_ICMP4_UNREACH_HOST_PROHIB 10
#define W_ICMP4_UNREACH_PROHIB      13

/* Codes of W_ICMP4_TIME_EXCEEDED. */
#define W_ICMP4_EXC_TTL        0
#define W_ICMP4_EXC_REASSEMBLY 1

struct w_icmp4 {
    uint8_t type, code;
    uint32_t rest; /* the second word; readers and makers below */
};

/* Readers of `rest` by type. */
static inline uint16_t wr_w_icmp_echo_id(uint32_t rest)
{
    return (uint16_t)(rest >> 16);
}
static inline uint16_t wr_w_icmp_echo_seq(uint32_t rest)
{
    return (uint16_t)rest;
}
static inline uint32_t wr_w_icmp_echo_rest(uint16_t id, uint16_t seq)
{
    return (uint32_t)id << 16 | seq;
}
/* Next-hop MTU of a fragmentation-needed error; 0 from routers older than RFC 1191. */
static inline uint16_t wr_w_icmp4_mtu(uint32_t rest)
{
    return (uint16_t)rest;
}
/* Offset of the octet in error of a parameter problem. */
static inline uint8_t wr_w_icmp4_pointer(uint32_t rest)
{
    return (uint8_t)(rest >> 24);
}
static inline uint32_t wr_w_icmp4_pointer_rest(uint8_t pointer)
{
    return (uint32_t)pointer << 24;
}

/* True for the types that report an error and quote a packet; none may be sent about those. */
bool wr_w_icmp4_is_error(uint8_t type);

/* Reads the header and checks the checksum over all `len` bytes. W_SHORT, W_CSUM. */
enum w_err wr_w_icmp4_parse(const uint8_t *p, size_t len, struct w_icmp4 *out);

/*
 * Writes the header in front of data that already stands at p + W_ICMP_HLEN, `len` bytes with the
 * header, and the checksum over all of it.
 */
void wr_w_icmp4_emit(uint8_t *p, size_t len, const struct w_icmp4 *icmp);

/* The packet that an ICMP error quotes, of either family. */
struct w_quote {
    struct weir_addr src, dst; /* as in the packet: src is who sent it */
    uint8_t proto;             /* of the upper layer */
    bool is_fragment;          /* not the first piece: l4 is not a header */
    const uint8_t *l4;         /* what is quoted of the upper layer, inside the ICMP message */
    size_t l4_len;
    struct w_ip4 ip4; /* for the IPv4 case: total_len, TTL and id */
};

/* Reads the data of an ICMP error (behind its 8 bytes). The errors of wr_w_ip4_parse_quoted. */
enum w_err wr_w_icmp4_quote(const uint8_t *p, size_t len, struct w_quote *out);

#endif
