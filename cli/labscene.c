/* SPDX-License-Identifier: MIT */
/* Where scenarios come from: files, and those that are built in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/labscene.h"

const struct lab_asset *wr_lab_asset(const char *name)
{
    for (const struct lab_asset *asset = wr_lab_assets; asset->name != NULL; asset++)
        if (strcmp(asset->name, name) == 0)
            return asset;
    return NULL;
}

static const struct lab_asset *built_in(const char *name)
{
    char file[256];
    snprintf(file, sizeof file, "%s.lab", name);
    return wr_lab_asset(file);
}

static char *read_file(const char *path)
{
    FILE *in = fopen(path, "re");
    char *text = NULL, buffer[4096];
    size_t len = 0, n;
    FILE *out = in != NULL ? open_memstream(&text, &len) : NULL;
    while (out != NULL && (n = fread(buffer, 1, sizeof buffer, in)) > 0)
        fwrite(buffer, 1, n, out);
    bool good = out != NULL && !ferror(in);
    int error = errno;
    if (in != NULL)
        fclose(in);
    if (out != NULL && fclose(out) == 0 && good)
        return text;
    free(text);
    errno = error;
    return NULL;
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

char *wr_labscene_text(const char *name)
{
    const struct lab_asset *asset = is_file(name) ? NULL : built_in(name);
    char *text = asset != NULL ? strdup((const char *)asset->data) : read_file(name);
    if (text == NULL)
        wr_cli_error(
            "lab: there is no scenario \"%s\" (%s); `weir lab --list` names those that are "
            "built in",
            name, strerror(errno));
    return text;
}

struct lab_file *wr_labscene_open(const char *name)
{
    char error[LAB_FILE_ERROR];
    char *text = wr_labscene_text(name);
    struct lab_file *file = text != NULL ? wr_lab_file_new(name, text, error) : NULL;
    if (text != NULL && file == NULL)
        wr_cli_error("lab: %s", error);
    free(text);
    return file;
}

/* Breaks a text at blanks, at 78 columns, behind four blanks. */
static void print_text(FILE *out, const char *text)
{
    size_t column = 0;
    while (*(text += strspn(text, " \n")) != '\0') {
        size_t len = strcspn(text, " \n");
        if (column > 0 && column + 1 + len > 74)
            column = 0;
        fprintf(out, column == 0 ? "\n    %.*s" : " %.*s", (int)len, text);
        column += len + (column > 0);
        text += len;
    }
    fputs("\n\n", out);
}

void wr_labscene_list(FILE *out)
{
    for (const struct lab_asset *asset = wr_lab_assets; asset->name != NULL; asset++) {
        char error[LAB_FILE_ERROR], name[128];
        size_t len = strlen(asset->name);
        if (len < 5 || len - 4 >= sizeof name || strcmp(asset->name + len - 4, ".lab") != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)len - 4, asset->name);
        struct lab_file *file = wr_lab_file_new(name, (const char *)asset->data, error);
        if (file == NULL) {
            wr_cli_error("lab: %s", error);
            continue;
        }
        fprintf(out, "%s: %s", name, wr_lab_file_title(file));
        print_text(out, wr_lab_file_look(file));
        wr_lab_file_free(file);
    }
}
