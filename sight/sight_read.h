/* SPDX-License-Identifier: MIT */
/*
 * Packets out of pcapng, with the comments, from bytes as they come (a live capture) or from a file; files of
 * classic pcap by libpcap.
 *
 * All input is somebody else's: sizes are checked before they are used, and what does not fit ends the reading with
 * a reason.
 */
#ifndef SIGHT_READ_H
#define SIGHT_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIGHT_IN = 1, SIGHT_OUT = 2 }; /* directions, as pcapng has them; 0: not told */

struct sight_interface {
    char name[32]; /* "": not told */
    int linktype;
    uint64_t ticks;      /* of its clock in a second */
    uint64_t seen, lost; /* as its statistics said last; lost: dropped by who captured */
};

struct sight_packet {
    uint64_t time; /* nanoseconds since 1970, below 2^63 */
    unsigned interface;
    int linktype;
    int direction;
    const uint8_t *frame;
    size_t kept, len;     /* bytes here; on the wire */
    const char *comment;  /* all of its comments; NULL: none */
    const uint8_t *block; /* the whole block; NULL: it was none */
    size_t block_len;
};

struct sight_reader {
    uint8_t *bytes; /* not yet read: off to len */
    size_t off, len, cap;
    bool swapped, began;
    struct sight_interface *interfaces;
    unsigned n_interfaces;
    char comment[4096];
    const char *trouble; /* why reading has ended; NULL: it has not */
    void *pcap;          /* pcap_t of a classic file; NULL: pcapng */
};

enum sight_item {
    SIGHT_NOTHING, /* feed more */
    SIGHT_PACKET,
    SIGHT_BLOCK, /* another block; only `block` and `block_len` are set */
    SIGHT_BAD    /* reader->trouble */
};

/* Room for at least `want` bytes more: where to put them, and *room. NULL: out of memory. */
uint8_t *sight_room(struct sight_reader *reader, size_t want, size_t *room);
/* So many were put there. */
void sight_fed(struct sight_reader *reader, size_t n);
/* The next thing, lent until the next call on the reader. */
enum sight_item sight_next(struct sight_reader *reader, struct sight_packet *packet);
void sight_reader_free(struct sight_reader *reader);

/* Opens a whole file. 0, a negative errno, or WEIR_EPROTO: it is no capture; *why then says it in words. */
int sight_open(struct sight_reader *reader, const char *path, const char **why);

/* Where the IP header begins in the frame, or -1 if there is none that is known. */
int sight_ip_at(const struct sight_packet *packet);

#endif
