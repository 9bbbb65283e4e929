/* SPDX-License-Identifier: MIT */
#include "sight/sight_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pcap/pcap.h>
#include <weir/error.h>

enum {
    BLOCK_SHB = 0x0a0d0d0a,
    BLOCK_IDB = 1,
    BLOCK_SPB = 3,
    BLOCK_ISB = 5,
    BLOCK_EPB = 6,
    MAGIC = 0x1a2b3c4d,
    MAGIC_SWAPPED = 0x4d3c2b1a,
    BLOCK_MIN = 12,
    BLOCK_MAX = 16 << 20,
    INTERFACES_MAX = 4096,
    OPT_END = 0,
    OPT_COMMENT = 1,
    OPT_IF_NAME = 2,
    OPT_IF_TSRESOL = 9,
    OPT_EPB_FLAGS = 2,
    OPT_ISB_IFRECV = 4,
    OPT_ISB_IFDROP = 5
};

/* Link types: www.tcpdump.org/linktypes.html */
enum {
    LINK_NULL = 0,
    LINK_ETHERNET = 1,
    LINK_RAW_BSD = 12,
    LINK_RAW_OPENBSD = 14,
    LINK_RAW = 101,
    LINK_LOOP = 108,
    LINK_SLL = 113,
    LINK_IPV4 = 228,
    LINK_IPV6 = 229,
    LINK_SLL2 = 276
};

/* ---- bytes ------------------------------------------------------------------------------------- */

static uint16_t get16(const struct sight_reader *reader, const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return reader->swapped ? __builtin_bswap16(v) : v;
}

static uint32_t get32(const struct sight_reader *reader, const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return reader->swapped ? __builtin_bswap32(v) : v;
}

static uint64_t get64(const struct sight_reader *reader, const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return reader->swapped ? __builtin_bswap64(v) : v;
}

uint8_t *sight_room(struct sight_reader *reader, size_t want, size_t *room)
{
    if (reader->off > 0 && reader->cap - reader->len < want) {
        memmove(reader->bytes, reader->bytes + reader->off, reader->len - reader->off);
        reader->len -= reader->off;
        reader->off = 0;
    }
    if (reader->cap - reader->len < want) {
        size_t cap = (reader->len + want) * 2;
        uint8_t *bytes = realloc(reader->bytes, cap);
        if (!bytes)
            return NULL;
        reader->bytes = bytes;
        reader->cap = cap;
    }
    *room = reader->cap - reader->len;
    return reader->bytes + reader->len;
}

void sight_fed(struct sight_reader *reader, size_t n)
{
    reader->len += n;
}

/* ---- options ------------------------------------------------------------------------------------- */

/* The next option at *p, which moves on; false at the end. */
static bool option(const struct sight_reader *reader, const uint8_t **p, const uint8_t *end,
                   uint16_t *code, const uint8_t **value, uint16_t *len)
{
    if (end - *p < 4)
        return false;
    *code = get16(reader, *p);
    *len = get16(reader, *p + 2);
    *value = *p + 4;
    if (*code == OPT_END || end - *value < *len)
        return false;
    *p = *value + (*len + 3) / 4 * 4;
    if (*p > end)
        *p = end;
    return true;
}

static uint64_t ticks_of(uint8_t resolution)
{
    uint64_t ticks = 1;
    unsigned power = resolution & 0x7f;
    if (resolution & 0x80)
        return power < 63 ? UINT64_C(1) << power : 0;
    for (unsigned i = 0; i < power; i++) {
        if (ticks > UINT64_MAX / 10)
            return 0;
        ticks *= 10;
    }
    return ticks;
}

/* ---- blocks ---------------------------------------------------------------------------------------- */

static const char *take_interface(struct sight_reader *reader, const uint8_t *body,
                                  const uint8_t *end)
{
    uint16_t code, len;
    const uint8_t *value, *p = body + 8;
    if (end - body < 8 || reader->n_interfaces == INTERFACES_MAX)
        return "an interface block is too short, or there are too many";
    struct sight_interface *more =
        realloc(reader->interfaces, (reader->n_interfaces + 1) * sizeof *more);
    if (!more)
        return "out of memory";
    reader->interfaces = more;
    struct sight_interface *interface = &more[reader->n_interfaces];
    *interface = (struct sight_interface){.linktype = get16(reader, body), .ticks = 1000000};
    while (option(reader, &p, end, &code, &value, &len)) {
        if (code == OPT_IF_NAME)
            snprintf(interface->name, sizeof interface->name, "%.*s", (int)len,
                     (const char *)value);
        else if (code == OPT_IF_TSRESOL && len == 1)
            interface->ticks = ticks_of(value[0]);
    }
    if (interface->ticks == 0)
        return "an interface has an impossible clock";
    reader->n_interfaces++;
    return NULL;
}

static uint64_t nanoseconds(uint64_t time, uint64_t ticks)
{
    uint64_t whole = time / ticks * 1000000000u;
    return (whole + (uint64_t)((unsigned __int128)(time % ticks) * 1000000000u / ticks)) &
           INT64_MAX; /* a clock that is past the year 2262 is no clock */
}

/* Comments follow each other, with a newline between. */
static void add_comment(struct sight_reader *reader, const uint8_t *text, size_t len)
{
    size_t at = strlen(reader->comment), room = sizeof reader->comment - at - 1;
    if (at > 0 && room > 0) {
        reader->comment[at++] = '\n';
        room--;
    }
    len = len < room ? len : room;
    for (size_t i = 0; i < len; i++) /* a terminal is not to be commanded by a file */
        reader->comment[at + i] = (char)(text[i] >= ' ' || text[i] == '\n' ? text[i] : '?');
    reader->comment[at + len] = '\0';
}

static const char *take_packet(struct sight_reader *reader, const uint8_t *body, const uint8_t *end,
                               struct sight_packet *packet)
{
    uint16_t code, len;
    const uint8_t *value, *p;
    if (end - body < 20)
        return "a packet block is too short";
    packet->interface = get32(reader, body);
    packet->kept = get32(reader, body + 12);
    packet->len = get32(reader, body + 16);
    packet->frame = body + 20;
    if (packet->interface >= reader->n_interfaces)
        return "a packet is of an interface that was not described";
    if (packet->kept > (size_t)(end - packet->frame))
        return "a packet is longer than its block";
    const struct sight_interface *interface = &reader->interfaces[packet->interface];
    packet->linktype = interface->linktype;
    packet->time = nanoseconds((uint64_t)get32(reader, body + 4) << 32 | get32(reader, body + 8),
                               interface->ticks);
    p = packet->frame + (packet->kept + 3) / 4 * 4;
    reader->comment[0] = '\0';
    while (p < end && option(reader, &p, end, &code, &value, &len)) {
        if (code == OPT_EPB_FLAGS && len == 4)
            packet->direction = (int)(get32(reader, value) & 3);
        else if (code == OPT_COMMENT)
            add_comment(reader, value, len);
    }
    packet->comment = reader->comment[0] ? reader->comment : NULL;
    return NULL;
}

static const char *take_statistics(struct sight_reader *reader, const uint8_t *body,
                                   const uint8_t *end)
{
    uint16_t code, len;
    const uint8_t *value, *p = body + 12;
    uint32_t n = end - body < 12 ? UINT32_MAX : get32(reader, body);
    if (n >= reader->n_interfaces)
        return NULL; /* of no use, and no harm */
    while (option(reader, &p, end, &code, &value, &len)) {
        if (code == OPT_ISB_IFRECV && len == 8)
            reader->interfaces[n].seen = get64(reader, value);
        else if (code == OPT_ISB_IFDROP && len == 8)
            reader->interfaces[n].lost = get64(reader, value);
    }
    return NULL;
}

/* A section begins: its byte order, and no interface yet. */
static bool begin_section(struct sight_reader *reader, const uint8_t *block)
{
    uint32_t magic;
    memcpy(&magic, block + 8, sizeof magic);
    reader->swapped = magic == MAGIC_SWAPPED;
    reader->began = magic == MAGIC || magic == MAGIC_SWAPPED;
    reader->n_interfaces = 0;
    return reader->began;
}

static enum sight_item bad(struct sight_reader *reader, const char *trouble)
{
    reader->trouble = trouble;
    return SIGHT_BAD;
}

static enum sight_item next_block(struct sight_reader *reader, struct sight_packet *packet)
{
    const uint8_t *block = reader->bytes + reader->off;
    size_t have = reader->len - reader->off;
    uint32_t type, len;
    const char *trouble = NULL;
    if (have < BLOCK_MIN)
        return SIGHT_NOTHING;
    memcpy(&type, block, sizeof type);
    if (type == BLOCK_SHB ? !begin_section(reader, block) : !reader->began)
        return bad(reader, "it is no pcapng");
    type = get32(reader, block);
    len = get32(reader, block + 4);
    if (len < BLOCK_MIN || len % 4 || len > BLOCK_MAX)
        return bad(reader, "a block has an impossible length");
    if (have < len)
        return SIGHT_NOTHING;
    const uint8_t *body = block + 8, *end = block + len - 4;
    reader->off += len;
    packet->block = block;
    packet->block_len = len;
    if (type == BLOCK_IDB)
        trouble = take_interface(reader, body, end);
    else if (type == BLOCK_ISB)
        trouble = take_statistics(reader, body, end);
    else if (type == BLOCK_EPB)
        trouble = take_packet(reader, body, end, packet);
    if (trouble)
        return bad(reader, trouble);
    return type == BLOCK_EPB ? SIGHT_PACKET : SIGHT_BLOCK;
}

/* ---- classic pcap ------------------------------------------------------------------------------------ */

static enum sight_item next_classic(struct sight_reader *reader, struct sight_packet *packet)
{
    struct pcap_pkthdr *head;
    const u_char *data;
    int rc = pcap_next_ex(reader->pcap, &head, &data);
    if (rc == PCAP_ERROR_BREAK)
        return SIGHT_NOTHING;
    if (rc != 1)
        return bad(reader, "the file is cut short or broken");
    packet->time = (uint64_t)head->ts.tv_sec * 1000000000u + (uint64_t)head->ts.tv_usec;
    packet->linktype = reader->interfaces[0].linktype;
    packet->frame = data;
    packet->kept = head->caplen;
    packet->len = head->len;
    return SIGHT_PACKET;
}

enum sight_item sight_next(struct sight_reader *reader, struct sight_packet *packet)
{
    memset(packet, 0, sizeof *packet);
    if (reader->trouble)
        return SIGHT_BAD;
    return reader->pcap ? next_classic(reader, packet) : next_block(reader, packet);
}

void sight_reader_free(struct sight_reader *reader)
{
    if (reader->pcap)
        pcap_close(reader->pcap);
    free(reader->bytes);
    free(reader->interfaces);
    memset(reader, 0, sizeof *reader);
}

static int open_classic(struct sight_reader *reader, const char *path, const char **why)
{
    static char error[PCAP_ERRBUF_SIZE];
    reader->pcap = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, error);
    reader->interfaces = calloc(1, sizeof *reader->interfaces);
    if (!reader->pcap || !reader->interfaces) {
        *why = reader->pcap ? "out of memory" : error;
        sight_reader_free(reader);
        return WEIR_EPROTO;
    }
    reader->n_interfaces = 1;
    reader->interfaces[0].linktype = pcap_datalink(reader->pcap);
    return 0;
}

static bool is_pcapng(const struct sight_reader *reader)
{
    uint32_t first;
    if (reader->len < sizeof first)
        return false;
    memcpy(&first, reader->bytes, sizeof first);
    return first == BLOCK_SHB;
}

/* What is no pcapng is given up after its beginning: it may be large, or have no end. */
int sight_open(struct sight_reader *reader, const char *path, const char **why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), err = fd < 0 ? -errno : 0;
    ssize_t n = 1;
    memset(reader, 0, sizeof *reader);
    while (!err && n > 0 && (reader->len < 4 || is_pcapng(reader))) {
        size_t room;
        uint8_t *to = sight_room(reader, 1 << 16, &room);
        n = to ? read(fd, to, room) : -1;
        if (n < 0)
            err = to ? -errno : WEIR_ENOMEM;
        else
            sight_fed(reader, (size_t)n);
    }
    if (fd >= 0)
        close(fd);
    if (!err && is_pcapng(reader))
        return 0;
    sight_reader_free(reader);
    if (err) {
        *why = strerror(-err);
        return err;
    }
    return open_classic(reader, path, why);
}

/* ---- link layers --------------------------------------------------------------------------------------- */

static int after_type(const struct sight_packet *packet, size_t type_at)
{
    size_t at = type_at + 2;
    if (packet->kept < at)
        return -1;
    unsigned type = (unsigned)packet->frame[type_at] << 8 | packet->frame[type_at + 1];
    while (type == 0x8100 || type == 0x88a8) { /* IEEE 802.1Q */
        if (packet->kept < at + 4)
            return -1;
        type = (unsigned)packet->frame[at + 2] << 8 | packet->frame[at + 3];
        at += 4;
    }
    return type == 0x0800 || type == 0x86dd ? (int)at : -1;
}

int sight_ip_at(const struct sight_packet *packet)
{
    switch (packet->linktype) {
    case LINK_ETHERNET:
        return after_type(packet, 12);
    case LINK_SLL:
        return after_type(packet, 14);
    case LINK_SLL2:
        return after_type(packet, 0) < 0 ? -1 : 20;
    case LINK_NULL:
    case LINK_LOOP:
        return 4;
    case LINK_RAW:
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
    case LINK_IPV4:
    case LINK_IPV6:
        return 0;
    default:
        return -1;
    }
}
