/* SPDX-License-Identifier: MIT */
/*
 * Several captures made by weir_link_pcap() become one pcapng file: a section header, an interface for
 * each, then all packets by time. A pcapng block is type, length, body, length again, all in the writer's
 * byte order, which here is ours; an enhanced packet block's body begins with the interface and the
 * time, high word first.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/error.h>

#include "cli/netbuild.h"

enum { BLOCK_SHB = 0x0a0d0d0a, BLOCK_IDB = 1, BLOCK_EPB = 6, BLOCK_MAX = 1 << 20 };

struct block {
    uint32_t type, len;
    uint8_t *bytes; /* the whole block */
};

struct source {
    FILE *in;
    struct block packet; /* the next one; bytes NULL: none is left */
    struct block interface;
    struct block section;
};

static uint32_t word_at(const struct block *block, size_t at)
{
    uint32_t word;
    memcpy(&word, block->bytes + at, sizeof word);
    return word;
}

static uint64_t time_of(const struct block *block)
{
    return (uint64_t)word_at(block, 12) << 32 | word_at(block, 16);
}

/* False at the file's end; a block cut short by a writer that was killed is its end too. */
static bool read_block(FILE *in, struct block *block)
{
    uint32_t head[2];
    block->bytes = NULL;
    if (fread(head, sizeof head, 1, in) != 1 || head[1] < 12 || head[1] > BLOCK_MAX || head[1] % 4)
        return false;
    block->bytes = malloc(head[1]);
    if (!block->bytes)
        return false;
    memcpy(block->bytes, head, sizeof head);
    if (fread(block->bytes + sizeof head, head[1] - sizeof head, 1, in) != 1) {
        free(block->bytes);
        block->bytes = NULL;
        return false;
    }
    block->type = head[0];
    block->len = head[1];
    return true;
}

static void advance(struct source *source)
{
    free(source->packet.bytes);
    while (read_block(source->in, &source->packet)) {
        if (source->packet.type == BLOCK_EPB && source->packet.len >= 32)
            return;
        free(source->packet.bytes);
    }
    source->packet.bytes = NULL;
}

static int open_source(struct source *source, const char *path)
{
    source->in = fopen(path, "re");
    if (!source->in)
        return -errno;
    if (!read_block(source->in, &source->section) || source->section.type != BLOCK_SHB ||
        !read_block(source->in, &source->interface) || source->interface.type != BLOCK_IDB)
        return WEIR_EIO;
    advance(source);
    return 0;
}

static void write_block(FILE *out, const struct block *block)
{
    fwrite(block->bytes, block->len, 1, out);
}

static void write_packets(FILE *out, struct source *sources, size_t n)
{
    for (;;) {
        struct source *first = NULL;
        for (size_t i = 0; i < n; i++)
            if (sources[i].packet.bytes &&
                (!first || time_of(&sources[i].packet) < time_of(&first->packet)))
                first = &sources[i];
        if (!first)
            return;
        uint32_t interface = (uint32_t)(first - sources);
        memcpy(first->packet.bytes + 8, &interface, sizeof interface);
        write_block(out, &first->packet);
        advance(first);
    }
}

static int merge(struct source *sources, size_t n, const char *to)
{
    FILE *out = fopen(to, "we");
    if (!out)
        return -errno;
    write_block(out, &sources[0].section);
    for (size_t i = 0; i < n; i++)
        write_block(out, &sources[i].interface);
    write_packets(out, sources, n);
    int failed = ferror(out);
    return fclose(out) != 0 || failed ? WEIR_EIO : 0;
}

int wr_pcap_merge(char *const *paths, size_t n, const char *to)
{
    struct source *sources = calloc(n + 1, sizeof *sources);
    int err = sources ? 0 : WEIR_ENOMEM;
    for (size_t i = 0; i < n && !err; i++)
        err = paths[i] ? open_source(&sources[i], paths[i]) : WEIR_ENOENT;
    if (!err && n > 0)
        err = merge(sources, n, to);
    for (size_t i = 0; sources && i < n; i++) {
        if (sources[i].in)
            fclose(sources[i].in);
        free(sources[i].packet.bytes);
        free(sources[i].interface.bytes);
        free(sources[i].section.bytes);
    }
    free(sources);
    return err;
}
