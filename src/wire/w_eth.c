/* SPDX-License-Identifier: MIT */
#include "wire/w_eth.h"

#include "base/bytes.h"

#define ETHERTYPE_MIN 0x0600 /* below: a length, IEEE 802.3 */

enum w_err wr_w_eth_parse(const uint8_t *p, size_t len, struct w_eth *out)
{
    if (len < W_ETH_HLEN)
        return W_SHORT;
    memcpy(out->dst, p, W_ETH_ALEN);
    memcpy(out->src, p + 6, W_ETH_ALEN);
    out->type = get_be16(p + 12);
    return out->type < ETHERTYPE_MIN ? W_FIELD : W_OK;
}

void wr_w_eth_emit(uint8_t *p, const struct w_eth *eth)
{
    memcpy(p, eth->dst, W_ETH_ALEN);
    memcpy(p + 6, eth->src, W_ETH_ALEN);
    put_be16(p + 12, eth->type);
}

size_t wr_w_eth_pad(uint8_t *frame, size_t len)
{
    if (len >= W_ETH_MIN)
        return len;
    memset(frame + len, 0, W_ETH_MIN - len);
    return W_ETH_MIN;
}

bool wr_w_eth_is_broadcast(const uint8_t mac[W_ETH_ALEN])
{
    static const uint8_t ones[W_ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    return memcmp(mac, ones, W_ETH_ALEN) == 0;
}

bool wr_w_eth_is_zero(const uint8_t mac[W_ETH_ALEN])
{
    static const uint8_t zero[W_ETH_ALEN] = {0};
    return memcmp(mac, zero, W_ETH_ALEN) == 0;
}

bool wr_w_eth_map_group(const struct weir_addr *a, uint8_t mac[W_ETH_ALEN])
{
    if (weir_addr_is_broadcast(a)) {
        memset(mac, 0xff, W_ETH_ALEN);
        return true;
    }
    if (!weir_addr_is_multicast(a))
        return false;
    if (weir_addr_is_v4(a)) {
        mac[0] = 0x01;
        mac[1] = 0x00;
        mac[2] = 0x5e;
        mac[3] = a->b[13] & 0x7f; /* 23 of the 28 bits */
        memcpy(mac + 4, a->b + 14, 2);
    } else {
        mac[0] = mac[1] = 0x33;
        memcpy(mac + 2, a->b + 12, 4);
    }
    return true;
}
