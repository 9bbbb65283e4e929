/* SPDX-License-Identifier: MIT */
/*
 * A capture for the page of `weir lab`. Packets are read by libpcap, from pcap and pcapng.
 *
 * libpcap does not tell pcapng's comments, so a second walk over the file's blocks collects them: of each enhanced
 * packet block (type 6) the option opt_comment (1), in the file's order, which is that of libpcap's packets.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <pcap/pcap.h>

#include "cli/cli.h"
#include "cli/labscene.h"
#include "lab/lab_capture.h"

enum { BLOCK_SECTION = 0x0a0d0d0a, BLOCK_PACKET = 6, BLOCK_MAX = 1 << 24, OPTION_COMMENT = 1 };

/* ---- comments ----------------------------------------------------------------------------------- */

struct comments {
    char **text; /* of each packet; NULL: none */
    size_t n;
};

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint16_t get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Of the body of an enhanced packet block: interface, time (8), length kept, length, data, options. */
static char *comment_of(const uint8_t *body, size_t len)
{
    if (len < 20 || get32(body + 12) > len - 20)
        return NULL;
    size_t at = 20 + (((size_t)get32(body + 12) + 3) & ~(size_t)3);
    while (at + 4 <= len) {
        size_t size = get16(body + at + 2);
        if (get16(body + at) == 0 || size > len - at - 4)
            break;
        if (get16(body + at) == OPTION_COMMENT)
            return strndup((const char *)body + at + 4, size);
        at += 4 + ((size + 3) & ~(size_t)3);
    }
    return NULL;
}

static bool keep_comment(struct comments *comments, char *text)
{
    if ((comments->n & (comments->n - 1)) == 0) {
        size_t room = comments->n > 0 ? 2 * comments->n : 1;
        char **more = realloc(comments->text, room * sizeof *more);
        if (more == NULL) {
            free(text);
            return false;
        }
        comments->text = more;
    }
    comments->text[comments->n++] = text;
    return true;
}

/* Nothing for a file that is no pcapng of this machine's byte order: it has no comments of ours. */
static void read_comments(const char *path, struct comments *comments)
{
    FILE *in = fopen(path, "re");
    uint8_t head[8];
    bool good = in != NULL, first = true;
    while (good && fread(head, 1, sizeof head, in) == sizeof head) {
        uint32_t type = get32(head), len = get32(head + 4);
        uint8_t *body = len >= 12 && len <= BLOCK_MAX && len % 4 == 0 ? malloc(len - 8) : NULL;
        good = body != NULL && (!first || type == BLOCK_SECTION) &&
               fread(body, 1, len - 8, in) == len - 8;
        if (good && type == BLOCK_PACKET)
            good = keep_comment(comments, comment_of(body, len - 12));
        first = false;
        free(body);
    }
    if (in != NULL)
        fclose(in);
}

/* ---- packets ------------------------------------------------------------------------------------ */

/* Bytes of the link's header before the IP packet; -1: not a link that is known, or not IP. */
static int link_header(int linktype, const uint8_t *frame, size_t len)
{
    size_t at = 12;
    switch (linktype) {
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
        return 0;
    case DLT_NULL:
    case DLT_LOOP:
        return 4;
    case DLT_LINUX_SLL:
        return 16;
    case DLT_LINUX_SLL2:
        return 20;
    case DLT_EN10MB:
        while (at + 6 <= len && frame[at] == 0x81 && frame[at + 1] == 0x00)
            at += 4; /* IEEE 802.1Q */
        return (int)at + 2;
    default:
        return -1;
    }
}

static void take_frame(struct lab_capture *capture, int linktype, const struct pcap_pkthdr *head,
                       const uint8_t *frame, const char *comment)
{
    int skip = link_header(linktype, frame, head->caplen);
    if (skip >= 0 && (size_t)skip < head->caplen)
        wr_lab_capture_add(capture, frame + skip, head->caplen - (size_t)skip, comment,
                           head->ts.tv_sec * WEIR_SEC + head->ts.tv_usec);
}

/* Times have nanoseconds in tv_usec. */
static bool read_frames(const char *path, struct lab_capture *capture,
                        const struct comments *comments)
{
    char why[PCAP_ERRBUF_SIZE];
    struct pcap_pkthdr *head;
    const uint8_t *frame;
    size_t n = 0;
    int status;
    pcap_t *in = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, why);
    if (in == NULL) {
        wr_cli_error("lab: %s", why);
        return false;
    }
    while ((status = pcap_next_ex(in, &head, &frame)) == 1) {
        take_frame(capture, pcap_datalink(in), head, frame,
                   n < comments->n ? comments->text[n] : NULL);
        n++;
    }
    bool good = status != PCAP_ERROR && wr_lab_capture_packets(capture) > 0;
    if (!good)
        wr_cli_error("lab: %s: %s", path,
                     status == PCAP_ERROR ? pcap_geterr(in) : "there are no TCP packets");
    pcap_close(in);
    return good;
}

json_t *wr_labpcap_document(const char *path)
{
    struct comments comments = {NULL, 0};
    struct lab_capture *capture = wr_lab_capture_new();
    json_t *document = NULL;
    if (capture == NULL) {
        wr_cli_error("lab: out of memory");
        return NULL;
    }
    read_comments(path, &comments);
    if (read_frames(path, capture, &comments))
        document =
            json_pack("{s:s, s:s, s:s, s:[{s:i, s:n, s:{}, s:o}]}", "scenario", path, "title", path,
                      "look", "A capture: packets as they passed one place.", "jobs", "job", 0,
                      "run", "set", "result", wr_lab_capture_json(capture));
    for (size_t i = 0; i < comments.n; i++)
        free(comments.text[i]);
    free(comments.text);
    wr_lab_capture_free(capture);
    return document;
}

bool wr_labpcap_page(const char *path, const char *page)
{
    json_t *document = wr_labpcap_document(path);
    bool done = document != NULL && wr_labout_html(document, page);
    json_decref(document);
    return done;
}
