/* SPDX-License-Identifier: MIT */
#include "link/pcapng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BLOCK_SHB = 0x0a0d0d0a,
    BLOCK_IDB = 1,
    BLOCK_ISB = 5,
    BLOCK_EPB = 6,
    BYTE_ORDER_MAGIC = 0x1a2b3c4d,
    LINKTYPE_ETHERNET = 1,
    LINKTYPE_RAW = 101,
    OPT_END = 0,
    OPT_COMMENT = 1,
    OPT_IF_NAME = 2,
    OPT_IF_TSRESOL = 9,
    OPT_SHB_USERAPPL = 4,
    OPT_EPB_FLAGS = 2,
    OPT_ISB_IFRECV = 4,
    OPT_ISB_IFDROP = 5,
    BLOCK_ENDS = 12, /* type and length in front, length behind */
    COMMENT_MAX = 65000
};

/* ---- the buffer ------------------------------------------------------------------------------- */

static bool reserve(struct wr_pcapng *buf, size_t len)
{
    if (buf->cap - buf->len >= len)
        return true;
    size_t cap = (buf->len + len) * 2;
    uint8_t *bytes = realloc(buf->bytes, cap);
    if (!bytes)
        return false;
    buf->bytes = bytes;
    buf->cap = cap;
    return true;
}

static void put(struct wr_pcapng *buf, const void *data, size_t len)
{
    if (len > 0)
        memcpy(buf->bytes + buf->len, data, len);
    buf->len += len;
}

static void put32(struct wr_pcapng *buf, uint32_t v)
{
    put(buf, &v, sizeof v);
}

static void put_time(struct wr_pcapng *buf, uint64_t time)
{
    put32(buf, (uint32_t)(time >> 32));
    put32(buf, (uint32_t)time);
}

static void put_padded(struct wr_pcapng *buf, const void *data, size_t len)
{
    static const uint8_t zero[4];
    put(buf, data, len);
    put(buf, zero, (4 - len % 4) % 4);
}

static void put_option(struct wr_pcapng *buf, uint16_t code, const void *data, size_t len)
{
    uint16_t head[2] = {code, (uint16_t)len};
    put(buf, head, sizeof head);
    put_padded(buf, data, len);
}

static size_t padded(size_t len)
{
    return (len + 3) / 4 * 4;
}

static size_t option_size(size_t len)
{
    return 4 + padded(len);
}

/* Begins a block with so many bytes of body, for which there is room then. */
static bool begin(struct wr_pcapng *buf, uint32_t type, size_t body)
{
    if (!reserve(buf, BLOCK_ENDS + body))
        return false;
    put32(buf, type);
    put32(buf, (uint32_t)(BLOCK_ENDS + body));
    return true;
}

static void end(struct wr_pcapng *buf, size_t body)
{
    put32(buf, (uint32_t)(BLOCK_ENDS + body));
}

/* ---- blocks ------------------------------------------------------------------------------------- */

bool wr_pcapng_section(struct wr_pcapng *to)
{
    static const char who[] = "weir";
    const uint16_t version[2] = {1, 0};
    const int64_t section_length = -1; /* not known */
    size_t body = 16 + option_size(sizeof who - 1) + 4;
    if (!begin(to, BLOCK_SHB, body))
        return false;
    put32(to, BYTE_ORDER_MAGIC);
    put(to, version, sizeof version);
    put(to, &section_length, sizeof section_length);
    put_option(to, OPT_SHB_USERAPPL, who, sizeof who - 1);
    put_option(to, OPT_END, NULL, 0);
    end(to, body);
    return true;
}

bool wr_pcapng_interface(struct wr_pcapng *to, const struct weir_netif_config *netif)
{
    static const uint8_t nanoseconds = 9;
    size_t name_len = strnlen(netif->name, sizeof netif->name);
    const uint16_t linktype[2] = {
        netif->kind == WEIR_NETIF_ETHERNET ? LINKTYPE_ETHERNET : LINKTYPE_RAW, 0};
    size_t body = 8 + option_size(name_len) + option_size(1) + 4;
    if (!begin(to, BLOCK_IDB, body))
        return false;
    put(to, linktype, sizeof linktype);
    put32(to, 0); /* snap length: none */
    put_option(to, OPT_IF_NAME, netif->name, name_len);
    put_option(to, OPT_IF_TSRESOL, &nanoseconds, 1);
    put_option(to, OPT_END, NULL, 0);
    end(to, body);
    return true;
}

bool wr_pcapng_packet(struct wr_pcapng *to, const struct wr_pcapng_packet *packet)
{
    size_t whole = packet->comment ? strlen(packet->comment) : 0;
    size_t comment = whole < COMMENT_MAX ? whole : COMMENT_MAX;
    size_t body = 20 + padded(packet->kept) + option_size(sizeof packet->flags) +
                  (comment ? option_size(comment) : 0) + 4;
    if (!begin(to, BLOCK_EPB, body))
        return false;
    put32(to, packet->interface);
    put_time(to, packet->time);
    put32(to, (uint32_t)packet->kept);
    put32(to, (uint32_t)packet->len);
    put_padded(to, packet->frame, packet->kept);
    put_option(to, OPT_EPB_FLAGS, &packet->flags, sizeof packet->flags);
    if (comment)
        put_option(to, OPT_COMMENT, packet->comment, comment);
    put_option(to, OPT_END, NULL, 0);
    end(to, body);
    return true;
}

bool wr_pcapng_statistics(struct wr_pcapng *to, uint32_t interface, uint64_t time, uint64_t seen,
                          uint64_t lost)
{
    size_t body = 12 + 2 * option_size(8) + 4;
    if (!begin(to, BLOCK_ISB, body))
        return false;
    put32(to, interface);
    put_time(to, time);
    put_option(to, OPT_ISB_IFRECV, &seen, sizeof seen);
    put_option(to, OPT_ISB_IFDROP, &lost, sizeof lost);
    put_option(to, OPT_END, NULL, 0);
    end(to, body);
    return true;
}

/* ---- out ------------------------------------------------------------------------------------------ */

/* A reader of a socket who has gone is an error and no signal. */
static ssize_t write_some(int fd, const uint8_t *bytes, size_t len)
{
    ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
    return n < 0 && errno == ENOTSOCK ? write(fd, bytes, len) : n;
}

int wr_pcapng_write(struct wr_pcapng *from, int fd)
{
    size_t done = 0;
    int err = 0;
    while (done < from->len && !err) {
        ssize_t n = write_some(fd, from->bytes + done, from->len - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            err = n == 0 ? WEIR_EIO : errno == EAGAIN ? WEIR_EAGAIN : -errno;
    }
    if (done > 0)
        memmove(from->bytes, from->bytes + done, from->len - done);
    from->len -= done;
    return err;
}

void wr_pcapng_free(struct wr_pcapng *buf)
{
    free(buf->bytes);
    *buf = (struct wr_pcapng){0};
}
