/* SPDX-License-Identifier: MIT */
/* Reads the file of `weir net` (netfile.h shows one). Every mistake is told with its line. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/link.h>

#include "cli/netfile.h"
#include "lab/words.h"

struct reader {
    struct net_file *file;
    const char *path;
    int line;
    char *error;
    size_t cap;
};

__attribute__((format(printf, 2, 3))) static bool wrong(struct reader *reader, const char *format,
                                                        ...)
{
    int n = snprintf(reader->error, reader->cap, "%s:%d: ", reader->path, reader->line);
    va_list args;
    va_start(args, format);
    if (n >= 0 && (size_t)n < reader->cap)
        vsnprintf(reader->error + n, reader->cap - (size_t)n, format, args);
    va_end(args);
    return false;
}

static bool grow(void **list, size_t n, size_t size)
{
    void *more = realloc(*list, (n + 1) * size);
    if (!more)
        return false;
    *list = more;
    memset((char *)more + n * size, 0, size);
    return true;
}

/* Names are host names and file names too: letters, digits, '-', '_', '.', beginning with a letter. */
static bool good_name(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > 63 || !isalpha((unsigned char)name[0]))
        return false;
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_' && *p != '.')
            return false;
    return true;
}

static bool find_end(const struct net_file *file, const char *name, int *end)
{
    for (size_t i = 0; i < file->n_hosts; i++) {
        if (strcmp(file->hosts[i].name, name) == 0) {
            *end = (int)i;
            return true;
        }
    }
    for (size_t i = 0; i < file->n_switches; i++) {
        if (strcmp(file->switches[i], name) == 0) {
            *end = ~(int)i;
            return true;
        }
    }
    return false;
}

const char *wr_netfile_name(const struct net_file *file, int end)
{
    return end < 0 ? file->switches[~end] : file->hosts[end].name;
}

static bool new_name(struct reader *reader, const char *name)
{
    int end;
    if (!good_name(name))
        return wrong(reader,
                     "\"%s\" cannot be a name: up to 63 letters, digits, '-', '_' and '.', "
                     "beginning with a letter",
                     name);
    if (find_end(reader->file, name, &end))
        return wrong(reader, "there is a \"%s\" already", name);
    return true;
}

/* ---- host ------------------------------------------------------------------------------------- */

static bool addr_taken(const struct net_file *file, const struct weir_addr *addr)
{
    for (size_t h = 0; h < file->n_hosts; h++)
        for (size_t i = 0; i < file->hosts[h].n_addrs; i++)
            if (weir_addr_eq(&file->hosts[h].addrs[i], addr))
                return true;
    return false;
}

static bool host_addr(struct reader *reader, struct net_host *host, const char *word)
{
    struct weir_addr addr;
    if (!weir_addr_parse(word, &addr))
        return wrong(reader,
                     "\"%s\" is no address; a host is: host NAME ADDR... [daemon] -- PROGRAM ARGS",
                     word);
    if (weir_addr_is_any(&addr) || weir_addr_is_multicast(&addr) || weir_addr_is_loopback(&addr) ||
        weir_addr_is_broadcast(&addr))
        return wrong(reader, "%s cannot be a host's address", word);
    if (addr_taken(reader->file, &addr))
        return wrong(reader, "the address %s is given twice", word);
    if (!grow((void **)&host->addrs, host->n_addrs, sizeof *host->addrs))
        return wrong(reader, "out of memory");
    host->addrs[host->n_addrs++] = addr;
    return true;
}

static bool host_program(struct reader *reader, struct net_host *host, char **words, size_t n)
{
    if (n == 0)
        return wrong(reader, "no program after \"--\"");
    host->argv = calloc(n + 1, sizeof *host->argv);
    if (!host->argv)
        return wrong(reader, "out of memory");
    for (size_t i = 0; i < n; i++)
        if (!(host->argv[i] = strdup(words[i])))
            return wrong(reader, "out of memory");
    return true;
}

static bool read_host(struct reader *reader, char **words, size_t n)
{
    struct net_file *file = reader->file;
    size_t i = 2;
    if (n < 3)
        return wrong(reader, "a host is: host NAME ADDR... [daemon] -- PROGRAM ARGS");
    if (!new_name(reader, words[1]))
        return false;
    if (!grow((void **)&file->hosts, file->n_hosts, sizeof *file->hosts))
        return wrong(reader, "out of memory");
    struct net_host *host = &file->hosts[file->n_hosts];
    host->line = reader->line;
    host->name = strdup(words[1]);
    if (!host->name)
        return wrong(reader, "out of memory");
    file->n_hosts++;
    for (; i < n && strcmp(words[i], "--") != 0; i++) {
        if (strcmp(words[i], "daemon") == 0)
            host->daemon = true;
        else if (!host_addr(reader, host, words[i]))
            return false;
    }
    if (host->n_addrs == 0)
        return wrong(reader, "the host %s has no address", host->name);
    if (i < n)
        return host_program(reader, host, words + i + 1, n - i - 1);
    return host->daemon ? wrong(reader, "a daemon needs a program: ... daemon -- PROGRAM ARGS")
                        : true;
}

/* ---- switch and link -------------------------------------------------------------------------- */

static bool read_switch(struct reader *reader, char **words, size_t n)
{
    struct net_file *file = reader->file;
    if (n != 2)
        return wrong(reader, "a switch is: switch NAME");
    if (!new_name(reader, words[1]))
        return false;
    if (!grow((void **)&file->switches, file->n_switches, sizeof *file->switches) ||
        !(file->switches[file->n_switches] = strdup(words[1])))
        return wrong(reader, "out of memory");
    file->n_switches++;
    return true;
}

/* rules='...' holds blanks, which the splitter's quotes took care of: they are put back. */
static char *join_spec(char **words, size_t n)
{
    char *spec = NULL;
    size_t len;
    FILE *out = open_memstream(&spec, &len);
    if (!out)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        const char *equals = strchr(words[i], '=');
        if (equals && strchr(words[i], ' ')) {
            fwrite(words[i], 1, (size_t)(equals + 1 - words[i]), out);
            fprintf(out, "'%s' ", equals + 1);
        } else {
            fprintf(out, "%s ", words[i]);
        }
    }
    if (fclose(out) != 0) {
        free(spec);
        return NULL;
    }
    return spec;
}

static bool link_end(struct reader *reader, const char *name, int *end)
{
    if (find_end(reader->file, name, end))
        return true;
    return wrong(reader, "there is no host or switch \"%s\" above this line", name);
}

static bool read_link(struct reader *reader, char **words, size_t n)
{
    struct net_file *file = reader->file;
    struct weir_impair_config config = {0};
    const char *bad = NULL;
    if (n < 3)
        return wrong(reader, "a link is: link NAME NAME [delay=20ms loss=1%% ...]");
    if (!grow((void **)&file->links, file->n_links, sizeof *file->links))
        return wrong(reader, "out of memory");
    struct net_link *link = &file->links[file->n_links];
    if (!link_end(reader, words[1], &link->a) || !link_end(reader, words[2], &link->b))
        return false;
    if (link->a == link->b)
        return wrong(reader, "a link needs two different ends");
    if (link->a < 0 && link->b < 0)
        return wrong(reader, "a link between two switches is not possible; use one switch");
    link->line = reader->line;
    link->spec = join_spec(words + 3, n - 3);
    if (!link->spec)
        return wrong(reader, "out of memory");
    file->n_links++;
    if (weir_impair_parse(link->spec, &config, &bad) != 0)
        return wrong(reader, "cannot understand \"%s\" of a link", bad ? bad : link->spec);
    return true;
}

/* ---- the file --------------------------------------------------------------------------------- */

static bool read_statement(struct reader *reader, char **words, size_t n)
{
    if (n == 0)
        return true;
    if (strcmp(words[0], "host") == 0)
        return read_host(reader, words, n);
    if (strcmp(words[0], "switch") == 0)
        return read_switch(reader, words, n);
    if (strcmp(words[0], "link") == 0)
        return read_link(reader, words, n);
    return wrong(reader, "\"%s\" is none of host, switch, link", words[0]);
}

static char *read_text(const char *path)
{
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    size_t len = 0, cap = 4096;
    char *text = in ? malloc(cap) : NULL;
    while (text) {
        len += fread(text + len, 1, cap - len - 1, in);
        if (len < cap - 1)
            break;
        char *more = realloc(text, cap *= 2);
        if (!more) {
            free(text);
            errno = ENOMEM;
        }
        text = more;
    }
    if (text && ferror(in)) {
        free(text);
        text = NULL;
    }
    if (text)
        text[len] = '\0';
    if (in && in != stdin)
        fclose(in);
    return text;
}

bool wr_netfile_read(const char *path, struct net_file *file, char *error, size_t cap)
{
    struct reader reader = {.file = file, .path = path, .line = 1, .error = error, .cap = cap};
    char *text = read_text(path);
    const char *at = text;
    bool good = true;
    memset(file, 0, sizeof *file);
    if (!text) {
        snprintf(error, cap, "cannot read %s: %s", path, strerror(errno));
        return false;
    }
    for (int next = 1; good && *at;) {
        char **words;
        size_t n;
        reader.line = next;
        if (!wr_words_split(&at, &next, &words, &n)) {
            good = wrong(&reader, "a quote is not closed");
            break;
        }
        good = read_statement(&reader, words, n);
        wr_words_free(words);
    }
    if (good && file->n_hosts == 0)
        good = wrong(&reader, "there is no host in the file");
    free(text);
    return good;
}

void wr_netfile_free(struct net_file *file)
{
    for (size_t i = 0; i < file->n_hosts; i++) {
        free(file->hosts[i].name);
        free(file->hosts[i].addrs);
        wr_words_free(file->hosts[i].argv);
    }
    for (size_t i = 0; i < file->n_switches; i++)
        free(file->switches[i]);
    for (size_t i = 0; i < file->n_links; i++)
        free(file->links[i].spec);
    free(file->hosts);
    free(file->switches);
    free(file->links);
    memset(file, 0, sizeof *file);
}
