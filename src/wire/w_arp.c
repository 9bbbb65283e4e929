/* SPDX-License-Identifier: MIT */
#include "wire/w_arp.h"

#include "base/bytes.h"
#include "wire/w_eth.h"

#define HRD_ETHERNET 1

enum w_err wr_w_arp_parse(const uint8_t *p, size_t len, struct w_arp *out)
{
    if (len < W_ARP_LEN)
        return W_SHORT;
    if (get_be16(p) != HRD_ETHERNET || get_be16(p + 2) != W_ETHERTYPE_IP4 || p[4] != 6 || p[5] != 4)
        return W_FIELD;
    out->op = get_be16(p + 6);
    if (out->op != W_ARP_REQUEST && out->op != W_ARP_REPLY)
        return W_FIELD;
    memcpy(out->sha, p + 8, 6);
    out->spa = weir_addr_from_v4_bytes(p + 14);
    memcpy(out->tha, p + 18, 6);
    out->tpa = weir_addr_from_v4_bytes(p + 24);
    if (wr_w_eth_is_group(out->sha) || wr_w_eth_is_zero(out->sha))
        return W_ADDR;
    if (weir_addr_is_multicast(&out->spa) || weir_addr_is_broadcast(&out->spa))
        return W_ADDR;
    return W_OK;
}

void wr_w_arp_emit(uint8_t *p, const struct w_arp *arp)
{
    put_be16(p, HRD_ETHERNET);
    put_be16(p + 2, W_ETHERTYPE_IP4);
    p[4] = 6;
    p[5] = 4;
    put_be16(p + 6, arp->op);
    memcpy(p + 8, arp->sha, 6);
    memcpy(p + 14, arp->spa.b + 12, 4);
    memcpy(p + 18, arp->tha, 6);
    memcpy(p + 24, arp->tpa.b + 12, 4);
}
