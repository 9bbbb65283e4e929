/* SPDX-License-Identifier: MIT */
/* What the files behind `weir lab SCENARIO` share. */
#ifndef WEIR_LABSCENE_H
#define WEIR_LABSCENE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "lab/lab_file.h"

/* ---- what is built into the command (cmake/WeirEmbed.cmake) --------------------------------------- */

struct lab_asset {
    const char *name; /* the file's own, without folders */
    const unsigned char *data;
    size_t len; /* a NUL stands behind it */
};
/* Scenarios (.lab), the report's page and, if the chart library was there at build time, its files. The last
 * one has no name. */
extern const struct lab_asset wr_lab_assets[];
const struct lab_asset *wr_lab_asset(const char *name);

/* ---- labscene.c ---------------------------------------------------------------------------------- */

/* A scenario file by its path, or one that is built in by its name. NULL, and a sentence on standard error. */
struct lab_file *wr_labscene_open(const char *name);
/* Prints all that are built in. */
void wr_labscene_list(FILE *out);
/* The text of the file, which the caller frees. NULL, and a sentence on standard error. */
char *wr_labscene_text(const char *name);

/* ---- labout.c ------------------------------------------------------------------------------------ */

/* {"scenario", "title", "look", "jobs"}; takes `jobs`. NULL: out of memory. */
json_t *wr_labout_document(const struct lab_file *file, json_t *jobs);
/* Each writes to a file, "-" being standard output; false, and a sentence on standard error. JSON leaves the
 * tapes out unless told otherwise. */
bool wr_labout_json(const json_t *document, bool packets, const char *path);
bool wr_labout_csv(const json_t *document, const char *path);
bool wr_labout_html(const json_t *document, const char *path);
/* A few lines for people. */
void wr_labout_print(const json_t *document);

/* ---- labcheck.c ---------------------------------------------------------------------------------- */

/* Evaluates all assertions over the document, prints each with its verdict. 0: all hold; 1: not all;
 * -1: it cannot be done, and a sentence on standard error. */
int wr_labcheck(const struct lab_file *file, const json_t *document, bool quiet);

/* ---- labpcap.c ----------------------------------------------------------------------------------- */

/* A capture as a document: its packets and, of pcapng that `weir capture` and its like wrote, what their comments
 * tell. NULL, and a sentence on standard error. */
json_t *wr_labpcap_document(const char *path, const char *title);
/* A capture as a page. False, and a sentence on standard error. */
bool wr_labpcap_page(const char *path, const char *title, const char *page);

/* ---- labshard.c ---------------------------------------------------------------------------------- */

/* Writes the scenario and a list of n commands into a folder, which it makes. settings: the words "NAME=VALUE" and
 * options to repeat. 0 or an exit status. */
int wr_labshard_write(const char *scene, unsigned n, const char *folder, char **settings,
                      size_t n_settings);
/* The jobs of all shards of a folder in their order; NULL, and a sentence on standard error. *file: its
 * scenario, which the caller frees. */
json_t *wr_labshard_merge(const char *folder, struct lab_file **file);

#endif
