/* SPDX-License-Identifier: MIT */
#ifndef WR_W_ETH_H
#define WR_W_ETH_H

/*
 * Ethernet II framing, RFC 894 and RFC 2464:
 *
 *     0          6          12      14
 *     | dst MAC  | src MAC  | type  | payload, padded so that the frame has 60 bytes
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/addr.h"
#include "wire/w_err.h"

#define W_ETH_ALEN 6
#define W_ETH_HLEN 14
#define W_ETH_MIN  60 /* shortest frame, without the FCS */

#define W_ETHERTYPE_IP4  0x0800
#define W_ETHERTYPE_ARP  0x0806
#define W_ETHERTYPE_IP6  0x86dd
#define W_ETHERTYPE_VLAN 0x8100

struct w_eth {
    uint8_t dst[W_ETH_ALEN];
    uint8_t src[W_ETH_ALEN];
    uint16_t type;
};

/*
 * Reads the header; the payload begins at W_ETH_HLEN. W_SHORT; W_FIELD for an 802.3 length field.
 */
enum w_err wr_w_eth_parse(const uint8_t *p, size_t len, struct w_eth *out);

/* Writes W_ETH_HLEN bytes. */
void wr_w_eth_emit(uint8_t *p, const struct w_eth *eth);

/*
 * Pads a frame of `len` bytes with zeros to W_ETH_MIN where it is shorter; returns the new length.
 */
size_t wr_w_eth_pad(uint8_t *frame, size_t len);

/* True for group addresses, the broadcast among them. */
static inline bool wr_w_eth_is_group(const uint8_t mac[W_ETH_ALEN])
{
    return (mac[0] & 1) != 0;
}

bool wr_w_eth_is_broadcast(const uint8_t mac[W_ETH_ALEN]);
bool wr_w_eth_is_zero(const uint8_t mac[W_ETH_ALEN]);

/*
 * The MAC address of an IP multicast address (RFC 1112 6.4, RFC 2464 7) or of the limited
 * broadcast. False for others.
 */
bool wr_w_eth_map_group(const struct weir_addr *a, uint8_t mac[W_ETH_ALEN]);

#endif
