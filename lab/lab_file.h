/* SPDX-License-Identifier: MIT */
#ifndef LAB_FILE_H
#define LAB_FILE_H

/*
 * A scenario file: what is laid out, what varies, what to look at and what has to come out.
 *
 *     title  "Bufferbloat against CoDel"
 *     look   "The queue of the first run ... In the second ..."
 *     time   20s
 *     set    queue 1000
 *     run    bloat  aqm=droptail
 *     run    codel  aqm=codel
 *     sweep  rtt 20ms 50ms 100ms
 *     flows  rate=10mbit rtt=$rtt queue=$queue aqm=$aqm
 *     assert 'run("codel").flows[0].srtt_us < 60000'
 *
 * Statements are split as a shell splits them (words.h). Either "flows" and the words of lab.h, or "host",
 * "link" and "at" of play.h say what happens. $NAME or ${NAME} is the value of a variable: of "set", of the
 * run, of the sweep, the later the stronger; "seed" is one from the start, 1. Jobs are all combinations of
 * runs and of sweeps' values, the last sweep the quickest: "1..10" are all whole numbers between.
 * Assertions are jq's filters over the results (docs/lab.md), and not expanded.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum {
    LAB_FILE_ERROR = 256,
    LAB_FILE_JOBS = 1000000,     /* of one run, whose results are all kept */
    LAB_FILE_EXPANDED = 1 << 20, /* bytes of a statement with its variables' values */
};

struct lab_file;

/* Reads a file's text. NULL: error[LAB_FILE_ERROR] says "NAME:LINE: why". */
struct lab_file *wr_lab_file_new(const char *name, const char *text, char *error);
void wr_lab_file_free(struct lab_file *file);
/* A scenario of words alone, which lab.h lists, as a file that has nothing but them. */
struct lab_file *wr_lab_file_of_words(char *const *words, size_t n, char *error);

const char *wr_lab_file_name(const struct lab_file *file);
const char *wr_lab_file_title(const struct lab_file *file);
const char *wr_lab_file_look(const struct lab_file *file);
size_t wr_lab_file_n_asserts(const struct lab_file *file);
const char *wr_lab_file_assert(const struct lab_file *file, size_t number);

/* Gives a variable one value in all jobs: "NAME=VALUE"; or several, "NAME=V,V" or "NAME=A..B", when `sweep`.
 * False: there is no such variable, or it is not written so, or out of memory. */
bool wr_lab_file_set(struct lab_file *file, const char *word, bool sweep);

/* SIZE_MAX: more than can be counted. */
size_t wr_lab_file_n_jobs(const struct lab_file *file);
/* Runs one: {"job": number, "run": name, "set": {variables}, "result": {...}}. The caller decrefs. NULL:
 * error[LAB_FILE_ERROR] says why. Jobs may run at the same time in several threads. */
json_t *wr_lab_file_job(const struct lab_file *file, size_t number, bool record, char *error);

/* What is told while jobs run; `done` of `all`; called from one thread at a time. */
typedef void lab_progress(void *arg, size_t done, size_t all);
/* Runs every `of`-th job from `first` on, in as many threads; the results, in their order, do not depend on
 * how many. A JSON array, which the caller decrefs; NULL: error says why. */
json_t *wr_lab_file_run(const struct lab_file *file, size_t first, size_t of, unsigned threads,
                        bool record, lab_progress *progress, void *arg, char *error);

#endif
