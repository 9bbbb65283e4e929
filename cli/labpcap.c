/* SPDX-License-Identifier: MIT */
/* A capture for the page of `weir lab`: packets of all its links, of whatever kinds, with their comments. */
#include "cli/cli.h"
#include "cli/labscene.h"
#include "lab/lab_capture.h"
#include "sight/sight_read.h"

/* What was read before a capture ends too early counts. */
static bool read_packets(struct sight_reader *reader, const char *path, struct lab_capture *capture)
{
    struct sight_packet packet;
    enum sight_item item;
    while ((item = sight_next(reader, &packet)) == SIGHT_PACKET || item == SIGHT_BLOCK) {
        int at = item == SIGHT_PACKET ? sight_ip_at(&packet) : -1;
        if (at >= 0 && (size_t)at < packet.kept)
            wr_lab_capture_add(capture, packet.frame + at, packet.kept - (size_t)at, packet.comment,
                               (weir_time)packet.time);
    }
    if (item == SIGHT_BAD)
        wr_cli_error("lab: %s: it ends too early: %s", path, reader->trouble);
    if (wr_lab_capture_packets(capture) > 0)
        return true;
    if (item != SIGHT_BAD)
        wr_cli_error("lab: %s: there are no TCP packets", path);
    return false;
}

static json_t *document_of(const char *title, const struct lab_capture *capture)
{
    return json_pack("{s:s, s:s, s:s, s:[{s:i, s:n, s:{}, s:o}]}", "scenario", title, "title",
                     title, "look", "A capture: packets as they passed one place.", "jobs", "job",
                     0, "run", "set", "result", wr_lab_capture_json(capture));
}

json_t *wr_labpcap_document(const char *path, const char *title)
{
    struct sight_reader reader;
    const char *why;
    if (sight_open(&reader, path, &why) != 0) {
        wr_cli_error("lab: %s: %s", path, why);
        return NULL;
    }
    struct lab_capture *capture = wr_lab_capture_new();
    json_t *document = NULL;
    if (capture == NULL)
        wr_cli_error("lab: out of memory");
    else if (read_packets(&reader, path, capture))
        document = document_of(title, capture);
    if (capture != NULL)
        wr_lab_capture_free(capture);
    sight_reader_free(&reader);
    return document;
}

bool wr_labpcap_page(const char *path, const char *title, const char *page)
{
    json_t *document = wr_labpcap_document(path, title);
    bool done = document != NULL && wr_labout_html(document, page);
    json_decref(document);
    return done;
}
