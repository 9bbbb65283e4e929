/* SPDX-License-Identifier: MIT */
/* Results of scenarios, as they leave the command: JSON, CSV, a page, lines for people. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/labscene.h"

json_t *wr_labout_document(const struct lab_file *file, json_t *jobs)
{
    json_t *document = json_object();
    json_object_set_new(document, "scenario", json_string(wr_lab_file_name(file)));
    json_object_set_new(document, "title", json_string(wr_lab_file_title(file)));
    json_object_set_new(document, "look", json_string(wr_lab_file_look(file)));
    if (json_object_set_new(document, "jobs", jobs) == 0)
        return document;
    json_decref(document);
    return NULL;
}

/* The file to write to; NULL, and a sentence on standard error. */
static FILE *open_out(const char *path)
{
    FILE *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    if (out == NULL)
        wr_cli_error("lab: cannot write to \"%s\"", path);
    return out;
}

static bool close_out(FILE *out, bool good, const char *path)
{
    good = fflush(out) == 0 && !ferror(out) && good;
    if (out != stdout)
        good = fclose(out) == 0 && good;
    if (!good)
        wr_cli_error("lab: cannot write to \"%s\"", path);
    return good;
}

/* ---- JSON ---------------------------------------------------------------------------------------- */

/* A job without its tape; shares all else. */
static json_t *without_tape(const json_t *job)
{
    json_t *copy = json_copy((json_t *)job);
    json_t *result = json_copy(json_object_get(job, "result"));
    json_object_del(result, "tape");
    json_object_set_new(copy, "result", result);
    return copy;
}

bool wr_labout_json(const json_t *document, bool packets, const char *path)
{
    FILE *out = open_out(path);
    json_t *copy = json_copy((json_t *)document), *jobs = json_array(), *job;
    size_t i;
    if (out == NULL || copy == NULL || jobs == NULL) {
        json_decref(copy);
        json_decref(jobs);
        return false;
    }
    json_array_foreach(json_object_get(document, "jobs"), i, job)
    {
        json_array_append_new(jobs, packets ? json_incref(job) : without_tape(job));
    }
    json_object_set_new(copy, "jobs", jobs);
    bool good =
        json_dumpf(copy, out, JSON_COMPACT | JSON_PRESERVE_ORDER) == 0 && putc('\n', out) != EOF;
    json_decref(copy);
    return close_out(out, good, path);
}

/* ---- CSV ----------------------------------------------------------------------------------------- */

static bool is_scalar(const json_t *value)
{
    return !json_is_object(value) && !json_is_array(value);
}

/* RFC 4180: quoted when it holds a comma, a quote or a line's end. */
static void print_field(FILE *out, const json_t *value)
{
    const char *text = json_string_value(value);
    if (json_is_integer(value))
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "1" : "0", out);
    else if (text != NULL && strpbrk(text, ",\"\n") == NULL)
        fputs(text, out);
    else if (text != NULL) {
        putc('"', out);
        for (; *text; text++)
            fprintf(out, *text == '"' ? "\"\"" : "%c", *text);
        putc('"', out);
    }
}

/* The names, then the values, of the scalars in an object; in those of `nested` below it, too. */
static void print_scalars(FILE *out, const json_t *object, bool names)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (!is_scalar(value))
            continue;
        putc(',', out);
        if (names)
            fputs(key, out);
        else
            print_field(out, value);
    }
}

/* One row: the job's number, run and variables, the row's own name, its scalars. */
static void print_row(FILE *out, const json_t *job, const char *name, const json_t *row,
                      bool *headed)
{
    const json_t *set = json_object_get(job, "set"), *info = json_object_get(row, "info");
    for (int names = !*headed; names >= 0; names--) {
        if (names)
            fputs("job,run", out);
        else {
            print_field(out, json_object_get(job, "job"));
            putc(',', out);
            print_field(out, json_object_get(job, "run"));
        }
        print_scalars(out, set, names);
        fprintf(out, ",%s", names ? "name" : name);
        print_scalars(out, row, names);
        if (info != NULL)
            print_scalars(out, info, names);
        putc('\n', out);
    }
    *headed = true;
}

bool wr_labout_csv(const json_t *document, const char *path)
{
    FILE *out = open_out(path);
    bool headed = false;
    json_t *job, *row;
    const char *key;
    size_t i, j;
    if (out == NULL)
        return false;
    json_array_foreach(json_object_get(document, "jobs"), i, job)
    {
        json_t *result = json_object_get(job, "result");
        char name[32];
        json_array_foreach(json_object_get(result, "flows"), j, row)
        {
            snprintf(name, sizeof name, "flow%zu", j);
            print_row(out, job, name, row, &headed);
        }
        /* Listeners have other columns, and nothing to compare. */
        json_object_foreach(json_object_get(result, "sockets"), key, row)
        {
            if (json_object_get(row, "info") != NULL)
                print_row(out, job, key, row, &headed);
        }
    }
    return close_out(out, true, path);
}

/* ---- the page ------------------------------------------------------------------------------------ */

/* JSON inside <script>: "</" must not stand there, and "<!--" neither. */
static int print_safe(const char *text, size_t len, void *arg)
{
    FILE *out = arg;
    for (size_t i = 0; i < len; i++)
        if (text[i] == '<' ? fputs("\\u003c", out) == EOF : putc(text[i], out) == EOF)
            return -1;
    return 0;
}

static bool print_asset(FILE *out, const char *name)
{
    const struct lab_asset *asset = wr_lab_asset(name);
    return asset != NULL && fwrite(asset->data, 1, asset->len, out) == asset->len;
}

/* Replaces each line "@NAME@" of the page by that asset, "@DATA@" by the results. */
static bool print_page(FILE *out, const json_t *document)
{
    const char *page = (const char *)wr_lab_asset("report.html")->data;
    while (*page != '\0') {
        size_t len = strcspn(page, "\n");
        char name[64];
        bool good;
        if (len > 2 && len - 2 < sizeof name && page[0] == '@' && page[len - 1] == '@') {
            snprintf(name, sizeof name, "%.*s", (int)len - 2, page + 1);
            if (strcmp(name, "DATA") == 0)
                good = json_dump_callback(document, print_safe, out,
                                          JSON_COMPACT | JSON_PRESERVE_ORDER) == 0;
            else
                good = print_asset(out, name);
        } else {
            good = fwrite(page, 1, len, out) == len;
        }
        if (!good || putc('\n', out) == EOF)
            return false;
        page += len + (page[len] == '\n');
    }
    return true;
}

bool wr_labout_html(const json_t *document, const char *path)
{
    if (wr_lab_asset("dygraph.min.js") == NULL) {
        wr_cli_error(
            "lab: this weir was built without the chart library dygraphs, which --html needs "
            "(Debian: libjs-dygraphs)");
        return false;
    }
    FILE *out = open_out(path);
    return out != NULL && close_out(out, print_page(out, document), path);
}

/* ---- lines --------------------------------------------------------------------------------------- */

/* What should be a text, and is in results that we wrote. */
static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "?";
}

static void print_job(const json_t *job)
{
    const char *run = json_string_value(json_object_get(job, "run")), *key;
    json_t *value;
    printf("%s", run != NULL ? run : "run");
    json_object_foreach(json_object_get(job, "set"), key, value)
    {
        printf(" %s=%s", key, text_of(json_object_get(job, "set"), key));
    }
    json_t *result = json_object_get(job, "result");
    printf("  (%.3f s, trace %s)\n",
           (double)json_integer_value(json_object_get(result, "elapsed_us")) / 1e6,
           text_of(result, "trace"));
}

static double number(const json_t *object, const char *key, double scale)
{
    return (double)json_integer_value(json_object_get(object, key)) / scale;
}

static void print_flow(size_t i, const json_t *flow)
{
    printf("    flow %zu %-6s %9.3f Mbit/s, steady %9.3f, %4.0f retransmissions, %3.0f RTOs, "
           "srtt %.1f ms\n",
           i, text_of(flow, "cc"), number(flow, "goodput_bps", 1e6),
           number(flow, "steady_bps", 1e6), number(flow, "retransmits", 1), number(flow, "rto", 1),
           number(flow, "srtt_us", 1e3));
}

static void print_sock(const char *name, const json_t *sock)
{
    const char *error = json_string_value(json_object_get(sock, "error"));
    const json_t *info = json_object_get(sock, "info");
    printf("    %-10s on %-8s", name, text_of(sock, "host"));
    if (json_object_get(sock, "accepted") != NULL)
        printf(" listens, accepted %.0f", number(sock, "accepted", 1));
    else if (json_is_null(json_object_get(sock, "connected_us")))
        printf(" not connected");
    else
        printf(" connected %.6f s, sent %.0f, received %.0f, %.0f retransmissions",
               number(sock, "connected_us", 1e6), number(sock, "sent", 1),
               number(sock, "received", 1), number(info, "total_retrans", 1));
    if (error != NULL)
        printf(", %s at %.6f s", error, number(sock, "error_us", 1e6));
    putchar('\n');
}

void wr_labout_print(const json_t *document)
{
    json_t *job, *one;
    const char *key;
    size_t i, j, shown = 0;
    printf("%s\n%s\n\n", text_of(document, "title"), text_of(document, "look"));
    json_array_foreach(json_object_get(document, "jobs"), i, job)
    {
        json_t *result = json_object_get(job, "result");
        print_job(job);
        json_array_foreach(json_object_get(result, "flows"), j, one)
        {
            print_flow(j, one);
        }
        shown = 0;
        json_object_foreach(json_object_get(result, "sockets"), key, one)
        {
            if (shown++ < 12)
                print_sock(key, one);
        }
        if (shown > 12)
            printf("    ... and %zu more sockets\n", shown - 12);
    }
}
