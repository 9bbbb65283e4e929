/* SPDX-License-Identifier: MIT */
/*
 * weir drill: runs scripts in packetdrill's notation against the stack, in virtual time.
 *
 * A folder stands for the scripts (*.pkt) in it and in the folders below, in the order of their
 * names. For one script a failure is shown with what was expected, what came and the packets before
 * it; for several with one line each, unless -v asks for all.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "drill/drill.h"

struct list {
    char **path;
    size_t n, room;
};

static bool add(struct list *list, const char *path)
{
    if (list->n == list->room) {
        size_t room = list->room > 0 ? 2 * list->room : 64;
        char **longer = realloc(list->path, room * sizeof *longer);
        if (!longer)
            return false;
        list->path = longer;
        list->room = room;
    }
    list->path[list->n] = strdup(path);
    return list->path[list->n++] != NULL;
}

static bool is_script(const char *name)
{
    size_t len = strlen(name);
    return len > 4 && strcmp(name + len - 4, ".pkt") == 0;
}

/* The file itself, or the scripts below the folder. False: it cannot be read. */
static bool collect(struct list *list, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return false;
    if (!S_ISDIR(st.st_mode))
        return add(list, path);
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort);
    bool ok = n >= 0;
    for (int i = 0; i < n; i++) {
        char below[4096];
        int len = snprintf(below, sizeof below, "%s/%s", path, entries[i]->d_name);
        bool fits = len > 0 && (size_t)len < sizeof below;
        bool dir =
            fits && entries[i]->d_name[0] != '.' && stat(below, &st) == 0 && S_ISDIR(st.st_mode);
        if (ok && fits && (dir || is_script(entries[i]->d_name)))
            ok = collect(list, below);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return ok;
}

/* Runs one script; of a failure only the first line is shown when `brief`. */
static bool run_one(const char *path, const struct dr_options *options, bool brief)
{
    char *report = NULL;
    size_t len = 0;
    if (!brief)
        return wr_dr_run_file(path, options, stdout);
    FILE *out = open_memstream(&report, &len);
    if (!out)
        return wr_dr_run_file(path, options, stdout);
    bool passed = wr_dr_run_file(path, options, out);
    fclose(out);
    if (!passed)
        printf("%.*s\n", (int)strcspn(report, "\n"), report);
    free(report);
    return passed;
}

static int usage(FILE *out)
{
    fputs("usage: weir drill [-v] [--ip_version=ipv4|ipv6|ipv4-mapped-ipv6] [--mtu=N]\n"
          "                  [--tolerance_usecs=N] SCRIPT|FOLDER...\n"
          "Runs scripts in packetdrill's notation against the stack, in virtual time.\n",
          out);
    return out == stdout ? 0 : CLI_USAGE;
}

static bool option_number(const char *text, unsigned long high, unsigned long *value)
{
    char *end;
    errno = 0;
    *value = strtoul(text, &end, 10);
    return *text != '\0' && *text != '-' && *end == '\0' && errno == 0 && *value <= high;
}

static bool parse_option(const char *arg, struct dr_options *options)
{
    unsigned long n;
    if (strcmp(arg, "-v") == 0) {
        options->verbose = true;
        return true;
    }
    if (strncmp(arg, "--ip_version=", 13) == 0)
        return wr_dr_options_ip_version(options, arg + 13);
    if (strncmp(arg, "--mtu=", 6) == 0 && option_number(arg + 6, 65535, &n)) {
        options->mtu = (uint32_t)n;
        return true;
    }
    if (strncmp(arg, "--tolerance_usecs=", 18) == 0 && option_number(arg + 18, 60000000, &n)) {
        options->tolerance_ns = (int64_t)n * 1000;
        return true;
    }
    return false;
}

static int give_up(struct list *list, FILE *out)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->path[i]);
    free(list->path);
    return usage(out);
}

int wr_cli_drill(int argc, char **argv)
{
    struct dr_options options;
    struct list list = {.n = 0};
    size_t failed = 0;
    bool readable = true;
    wr_dr_options_default(&options);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
            return give_up(&list, stdout);
        if (argv[i][0] == '-' && !parse_option(argv[i], &options)) {
            wr_cli_error("drill: unknown option or bad value %s", argv[i]);
            return give_up(&list, stderr);
        }
        if (argv[i][0] != '-' && !collect(&list, argv[i])) {
            wr_cli_error("drill: %s cannot be read", argv[i]);
            readable = false;
        }
    }
    if (readable && list.n == 0) {
        wr_cli_error("drill: no script");
        return give_up(&list, stderr);
    }
    for (size_t i = 0; i < list.n; i++) {
        failed += !run_one(list.path[i], &options, list.n > 1 && !options.verbose);
        free(list.path[i]);
    }
    printf("%zu passed, %zu failed\n", list.n - failed, failed);
    free(list.path);
    return failed == 0 && readable ? 0 : 1;
}
