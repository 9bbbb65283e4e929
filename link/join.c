/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/bytes.h"
#include "link/join.h"
#include "wire/w_csum.h"

enum { IP4_HEAD = 20, IP6_HEAD = 40, TCP_HEAD = 20, TCP_HEAD_TS = 32 };
enum { AT_IP4_ID = 4, AT_IP4_FRAG = 6, AT_IP4_SUM = 10 };
enum { AT_TCP_OFF = 12, AT_TCP_FLAGS = 13, AT_TCP_SUM = 16 };
enum { DF = 0x4000, RF_MF_OFFSET = 0xbfff };
enum { ECE = 0x40, MAY_HAVE = WR_ACK | WR_PSH | WR_FIN | ECE | WR_CWR };

/* Where what stands in a frame that may be joined. */
struct part {
    const uint8_t *ip, *tcp, *data;
    size_t l4_len, len; /* of all of TCP, of the data */
    uint8_t family;
};

/* Bytes of a frame that stand together with its headers. */
static size_t head_room(const struct weir_frame *frame)
{
    return frame->body != NULL ? frame->body_at : frame->len;
}

/* NOP NOP and the timestamps, as everybody sends them (RFC 7323 appendix A). */
static bool has_timestamps(const uint8_t *tcp)
{
    static const uint8_t ts[4] = {1, 1, 8, 10};
    return memcmp(tcp + TCP_HEAD, ts, sizeof ts) == 0;
}

/* Of `len` bytes the first `near` ones stand here. */
static bool find_tcp(const uint8_t *ip, size_t near, size_t len, struct part *part)
{
    part->ip = ip;
    if (near >= IP4_HEAD + TCP_HEAD && ip[0] == 0x45) {
        size_t total = get_be16(ip + 2);
        part->family = 4;
        part->tcp = ip + IP4_HEAD;
        part->l4_len = total - IP4_HEAD;
        return ip[9] == WR_PROTO_TCP && (get_be16(ip + AT_IP4_FRAG) & RF_MF_OFFSET) == 0 &&
               total <= len && total > IP4_HEAD + TCP_HEAD;
    }
    if (near >= IP6_HEAD + TCP_HEAD && ip[0] >> 4 == 6) {
        part->family = 6;
        part->tcp = ip + IP6_HEAD;
        part->l4_len = get_be16(ip + 4);
        return ip[6] == WR_PROTO_TCP && part->l4_len <= len - IP6_HEAD && part->l4_len > TCP_HEAD;
    }
    return false;
}

/* Finds the parts of a frame; false when it is no plain segment of TCP with data. */
static bool find(const struct weir_frame *frame, size_t l3, struct part *part)
{
    size_t near = head_room(frame);
    if (near <= l3 || !find_tcp(frame->data + l3, near - l3, frame->len - l3, part))
        return false;
    size_t head = (size_t)(part->tcp[AT_TCP_OFF] >> 4) * 4;
    if (head >= part->l4_len || (part->tcp[AT_TCP_FLAGS] & ~MAY_HAVE) != 0 ||
        !(part->tcp[AT_TCP_FLAGS] & WR_ACK))
        return false;
    part->data = part->tcp + head;
    part->len = part->l4_len - head;
    if (frame->body != NULL) {
        if (part->data != frame->data + frame->body_at)
            return false;
        part->data = frame->body;
    }
    return head == TCP_HEAD || (head == TCP_HEAD_TS && has_timestamps(part->tcp));
}

/* The folded sum of the pseudo-header but for the length (RFC 9293 3.1, RFC 8200 8.1). */
static uint16_t pseudo(const uint8_t *ip, uint8_t family)
{
    const uint8_t proto[2] = {0, WR_PROTO_TCP};
    uint64_t sum = wr_csum_add(0, proto, sizeof proto);
    return wr_csum_fold(family == 4 ? wr_csum_add(sum, ip + 12, 8) : wr_csum_add(sum, ip + 8, 32));
}

/* Copies the data to where it belongs, if it is not there. False: a checksum is wrong. */
static bool copy(const struct wr_join *join, uint8_t *to, const struct weir_frame *frame,
                 const struct part *part)
{
    if (part->family == 4 && wr_csum(part->ip, IP4_HEAD) != 0)
        return false;
    if (frame->csum_valid) {
        if (to != part->data)
            memcpy(to, part->data, part->len);
        return true;
    }
    uint64_t sum = wr_csum_add(0, part->tcp, part->l4_len - part->len);
    sum = to != part->data ? wr_csum_copy(sum, to, part->data, part->len)
                           : wr_csum_add(sum, to, part->len);
    return wr_csum_fold16(join->pseudo + (uint32_t)part->l4_len + wr_csum_fold(sum)) == 0xffff;
}

/* Nothing goes behind this one. */
static bool ends(const struct wr_join *join, const struct part *part)
{
    return part->len < join->gso || (part->tcp[AT_TCP_FLAGS] & (WR_PSH | WR_FIN)) != 0;
}

bool wr_join_begin(struct wr_join *join, const struct weir_frame *frame, enum weir_netif_kind kind,
                   const struct weir_room *room)
{
    size_t l3 = kind == WEIR_NETIF_ETHERNET ? WR_ETH_HEAD : 0, head;
    struct part part;

    if (frame->gso_size != 0 || !find(frame, l3, &part))
        return false;
    join->gso = part.len;
    if (ends(join, &part)) /* most of those that are alone */
        return false;
    head = (size_t)(part.tcp - frame->data) + part.l4_len - part.len;
    join->room = room != NULL && room->head_len == head;
    join->data = join->room ? room->data : join->buf + WR_JOIN_PAD + head;
    join->most = 65535 - (head - l3);
    if (join->room && join->most > room->len)
        join->most = room->len;
    join->pseudo = pseudo(part.ip, part.family);
    if (part.len > join->most || !copy(join, join->data, frame, &part))
        return false;
    memcpy(join->buf + WR_JOIN_PAD, frame->data, head);
    join->l3 = l3;
    join->l4 = (size_t)(part.tcp - frame->data);
    join->payload = head;
    join->family = part.family;
    join->len = part.len;
    join->n = 1;
    join->full = false;
    return true;
}

/* RFC 6864 4: with DF the ID means nothing, and whoever sets it sets it to the same or counts. */
static bool id_fits(struct wr_join *join, const uint8_t *first, const uint8_t *ip)
{
    uint16_t ahead = (uint16_t)(get_be16(ip + AT_IP4_ID) - get_be16(first + AT_IP4_ID));
    bool counts = ahead == join->n;

    if (!counts && (ahead != 0 || !(get_be16(ip + AT_IP4_FRAG) & DF)))
        return false;
    if (join->n > 1 && counts != join->ids_count)
        return false;
    join->ids_count = counts;
    return true;
}

static bool same_path(struct wr_join *join, const uint8_t *first, const uint8_t *ip)
{
    if (join->family == 4) /* version, DS; DF, TTL, protocol; addresses */
        return memcmp(first, ip, 2) == 0 && memcmp(first + 6, ip + 6, 4) == 0 &&
               memcmp(first + 12, ip + 12, 8) == 0 && id_fits(join, first, ip);
    return memcmp(first, ip, 4) == 0 && memcmp(first + 6, ip + 6, 34) == 0;
}

/* All but sequence number, PSH, FIN and checksum. */
static bool says_the_same(const uint8_t *first, const uint8_t *tcp)
{
    uint8_t differ = first[AT_TCP_FLAGS] ^ tcp[AT_TCP_FLAGS];

    return memcmp(first, tcp, 4) == 0 && memcmp(first + 8, tcp + 8, 5) == 0 &&
           (differ & ~(WR_PSH | WR_FIN)) == 0 && !(tcp[AT_TCP_FLAGS] & WR_CWR) &&
           memcmp(first + 14, tcp + 14, 2) == 0 && memcmp(first + 18, tcp + 18, 2) == 0 &&
           (first[AT_TCP_OFF] >> 4 == TCP_HEAD / 4 || memcmp(first + 20, tcp + 20, 12) == 0);
}

static bool fits(struct wr_join *join, const struct weir_frame *frame, struct part *part)
{
    const uint8_t *first = join->buf + WR_JOIN_PAD;

    return !join->full && frame->gso_size == 0 && head_room(frame) > join->l3 &&
           memcmp(first, frame->data, join->l3) == 0 && find(frame, join->l3, part) &&
           part->family == join->family && part->len <= join->gso &&
           part->len <= join->most - join->len && same_path(join, first + join->l3, part->ip) &&
           says_the_same(first + join->l4, part->tcp) &&
           get_be32(part->tcp + 4) == (uint32_t)(get_be32(first + join->l4 + 4) + join->len);
}

void wr_join_room(const struct wr_join *join, struct weir_room *room)
{
    *room = (struct weir_room){
        .data = join->data + join->len, .len = join->most - join->len, .head_len = join->payload};
}

bool wr_join_add(struct wr_join *join, const struct weir_frame *frame)
{
    struct part part;

    join->full = !fits(join, frame, &part) || !copy(join, join->data + join->len, frame, &part);
    if (join->full)
        return false;
    join->len += part.len;
    join->n++;
    join->full = ends(join, &part);
    join->buf[WR_JOIN_PAD + join->l4 + AT_TCP_FLAGS] |= part.tcp[AT_TCP_FLAGS];
    return true;
}

/* The headers of all: the lengths, and the checksum as of a frame whose sum a card has left out. */
static void finish_head(struct wr_join *join)
{
    uint8_t *ip = join->buf + WR_JOIN_PAD + join->l3, *tcp = join->buf + WR_JOIN_PAD + join->l4;
    size_t l4_len = join->payload - join->l4 + join->len;

    if (join->family == 4) {
        put_be16(ip + 2, (uint16_t)(l4_len + IP4_HEAD));
        put_be16(ip + AT_IP4_SUM, 0);
        put_be16(ip + AT_IP4_SUM, wr_csum(ip, IP4_HEAD));
    } else {
        put_be16(ip + 4, (uint16_t)l4_len);
    }
    put_be16(tcp + AT_TCP_SUM, wr_csum_fold16(join->pseudo + (uint32_t)l4_len));
}

void wr_join_end(struct wr_join *join, struct weir_frame *frame)
{
    if (join->n > 1)
        finish_head(join);
    *frame = (struct weir_frame){
        .data = join->buf + WR_JOIN_PAD,
        .len = join->payload + join->len,
        .gso_size = (uint16_t)(join->n > 1 ? join->gso : 0),
        .csum_valid = true,
        .body = join->room ? join->data : NULL,
        .body_at = join->room ? join->payload : 0,
    };
}
