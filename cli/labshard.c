/* SPDX-License-Identifier: MIT */
/*
 * Large sweeps in pieces that share nothing, for GNU parallel, Slurm and the like:
 *
 *     weir lab --shards 16 DIR SCENARIO     DIR/scenario.lab
 *                                           DIR/jobs           16 commands, one a line
 *     parallel -a DIR/jobs                  DIR/shard-1.json ... DIR/shard-16.json
 *     weir lab --merge DIR --html FILE      as if it had been one
 *
 * Shard i of n runs the jobs i-1, i-1+n, i-1+2n ... of the scenario.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/labscene.h"

enum { SHARDS_MAX = 1024 };

static FILE *create(const char *folder, const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", folder, name);
    FILE *out = fopen(path, "we");
    if (out == NULL)
        wr_cli_error("lab: cannot write %s: %s", path, strerror(errno));
    return out;
}

static bool finish(FILE *out, const char *path)
{
    if (fclose(out) == 0)
        return true;
    wr_cli_error("lab: cannot write %s: %s", path, strerror(errno));
    return false;
}

/* A word as a shell takes it. */
static void print_quoted(FILE *out, const char *word)
{
    if (*word != '\0' &&
        strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                     "%+,-./:=@_") == strlen(word)) {
        fputs(word, out);
        return;
    }
    putc('\'', out);
    for (; *word; word++)
        fprintf(out, *word == '\'' ? "'\\''" : "%c", *word);
    putc('\'', out);
}

static bool write_jobs(const char *folder, unsigned n, char **settings, size_t n_settings)
{
    char path[4096];
    FILE *out = create(folder, "jobs", path, sizeof path);
    if (out == NULL)
        return false;
    for (unsigned i = 1; i <= n; i++) {
        char json[4096];
        fprintf(out, "\"${WEIR:-weir}\" lab --threads 1 --shard %u/%u --packets --json ", i, n);
        snprintf(json, sizeof json, "%s/shard-%u.json", folder, i);
        print_quoted(out, json);
        putc(' ', out);
        snprintf(json, sizeof json, "%s/scenario.lab", folder);
        print_quoted(out, json);
        for (size_t j = 0; j < n_settings; j++) {
            putc(' ', out);
            print_quoted(out, settings[j]);
        }
        putc('\n', out);
    }
    return finish(out, path);
}

int wr_labshard_write(const char *scene, unsigned n, const char *folder, char **settings,
                      size_t n_settings)
{
    char path[4096];
    char *text = wr_labscene_text(scene);
    if (text == NULL)
        return CLI_FAILED;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        wr_cli_error("lab: cannot make the folder %s: %s", folder, strerror(errno));
        free(text);
        return CLI_FAILED;
    }
    FILE *out = create(folder, "scenario.lab", path, sizeof path);
    bool good = out != NULL;
    if (good) {
        fputs(text, out);
        good = finish(out, path);
    }
    free(text);
    good = good && write_jobs(folder, n, settings, n_settings);
    if (good)
        printf("%u commands are in %s/jobs; run them, by `parallel -a %s/jobs` say, then: weir lab "
               "--merge %s\n",
               n, folder, folder, folder);
    return good ? 0 : CLI_FAILED;
}

static json_t *read_shard(const char *folder, unsigned i)
{
    char path[4096];
    json_error_t error;
    snprintf(path, sizeof path, "%s/shard-%u.json", folder, i);
    json_t *document = json_load_file(path, 0, &error);
    if (document == NULL)
        wr_cli_error("lab: %s: %s", path, error.text);
    return document;
}

/* How many shards there are: lines of DIR/jobs. */
static unsigned count_shards(const char *folder)
{
    char path[4096];
    unsigned n = 0;
    int c;
    snprintf(path, sizeof path, "%s/jobs", folder);
    FILE *in = fopen(path, "re");
    if (in == NULL) {
        wr_cli_error("lab: %s: %s", path, strerror(errno));
        return 0;
    }
    while ((c = getc(in)) != EOF)
        n += c == '\n';
    fclose(in);
    return n;
}

/* A result as another weir has written it: what else is in it is for those who read it to see. */
static bool is_job(const json_t *one, size_t number)
{
    const json_t *run = json_object_get(one, "run"), *job = json_object_get(one, "job");
    return json_is_integer(job) && json_integer_value(job) == (json_int_t)number &&
           (json_is_null(run) || json_is_string(run)) &&
           json_is_object(json_object_get(one, "set")) &&
           json_is_object(json_object_get(one, "result"));
}

/* Their jobs in order, each from its shard. NULL: they are not those of one scenario. */
static json_t *join(json_t *const *shard, unsigned n)
{
    json_t *all = json_array();
    size_t there = 0;
    bool good = true;
    for (unsigned i = 0; i < n; i++) {
        good = good && json_is_array(json_object_get(shard[i], "jobs"));
        there += json_array_size(json_object_get(shard[i], "jobs"));
    }
    for (size_t job = 0; all != NULL && job < there; job++) {
        json_t *one = json_array_get(json_object_get(shard[job % n], "jobs"), job / n);
        if (!good || !is_job(one, job) || json_array_append(all, one) != 0) {
            json_decref(all);
            all = NULL;
        }
    }
    return all;
}

json_t *wr_labshard_merge(const char *folder, struct lab_file **file)
{
    char scene[4096];
    unsigned n = count_shards(folder), got = 0;
    json_t *all = NULL, *shard[SHARDS_MAX] = {NULL};
    snprintf(scene, sizeof scene, "%s/scenario.lab", folder);
    *file = wr_labscene_open(scene);
    if (n > SHARDS_MAX)
        wr_cli_error("lab: %s/jobs: there are %u shards, more than %d", folder, n, SHARDS_MAX);
    while (n <= SHARDS_MAX && got < n && (shard[got] = read_shard(folder, got + 1)) != NULL)
        got++;
    if (got == n)
        all = join(shard, n);
    if (got == n && json_array_size(all) == 0)
        wr_cli_error("lab: the shards in %s do not belong together", folder);
    for (unsigned i = 0; i < got; i++)
        json_decref(shard[i]);
    if (*file != NULL && json_array_size(all) > 0)
        return all;
    json_decref(all);
    return NULL;
}
