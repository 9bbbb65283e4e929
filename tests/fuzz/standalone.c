/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target without libFuzzer: first every file of the corpus folders named on the
 * command line, then a bounded number of seeded inputs, half of them random and half mutated from
 * the corpus. The same seed gives the same inputs on every machine. Options are spelled as
 * libFuzzer spells them: -runs=N, -seed=N, -max_len=N; a file or a folder may follow. The input
 * that is being run is kept in `crash-standalone` when it kills the process.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    uint8_t *data;
    size_t size;
};

static struct input *corpus;
static size_t corpus_count;
static uint64_t rng_state;
static const uint8_t *running;
static size_t running_size;

static uint64_t random_u64(void)
{
    /* splitmix64 */
    uint64_t z = (rng_state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t random_below(size_t limit)
{
    return limit ? (size_t)(random_u64() % limit) : 0;
}

static void keep_crash(int sig)
{
    int fd = open("crash-standalone", O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd >= 0) {
        ssize_t n = write(fd, running, running_size);

        (void)n;
        (void)close(fd);
    }
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);
}

static void run_one(const uint8_t *data, size_t size)
{
    /* A copy of exactly this size, so that ASan sees the first byte read past the end. */
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    running = copy;
    running_size = size;
    (void)LLVMFuzzerTestOneInput(copy, size);
    running = NULL;
    running_size = 0;
    free(copy);
}

static void add_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    struct input in;

    if (!f || fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode)) {
        fprintf(stderr, "standalone: cannot read %s\n", path);
        exit(2);
    }
    in.data = malloc(st.st_size > 0 ? (size_t)st.st_size : 1);
    corpus = realloc(corpus, (corpus_count + 1) * sizeof(*corpus));
    if (!in.data || !corpus)
        abort();
    in.size = fread(in.data, 1, (size_t)st.st_size, f);
    (void)fclose(f);
    corpus[corpus_count++] = in;
}

static void add_path(const char *path)
{
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort);

    if (n < 0) {
        add_file(path);
        return;
    }
    for (int i = 0; i < n; i++) {
        char full[4096];

        if (names[i]->d_name[0] != '.') {
            (void)snprintf(full, sizeof(full), "%s/%s", path, names[i]->d_name);
            add_file(full);
        }
        free(names[i]);
    }
    free(names);
}

static size_t make_random(uint8_t *buf, size_t max)
{
    size_t size = random_below(max + 1);

    for (size_t i = 0; i < size; i++)
        buf[i] = (uint8_t)random_u64();
    return size;
}

static size_t make_mutant(uint8_t *buf, size_t max)
{
    const struct input *in = &corpus[random_below(corpus_count)];
    size_t size = in->size < max ? in->size : max;
    size_t edits = 1 + random_below(8);

    memcpy(buf, in->data, size);
    for (size_t i = 0; i < edits && size; i++) {
        size_t at = random_below(size);

        switch (random_below(4)) {
        case 0:
            buf[at] = (uint8_t)random_u64();
            break;
        case 1:
            buf[at] ^= (uint8_t)(1u << random_below(8));
            break;
        case 2:
            size = at + 1;
            break;
        default:
            if (size < max) {
                memmove(buf + at + 1, buf + at, size - at);
                size++;
            }
            break;
        }
    }
    return size;
}

int main(int argc, char **argv)
{
    unsigned long runs = 10000;
    size_t max = 4096;
    uint8_t *buf;

    rng_state = 1;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "-runs=", 6) == 0)
            runs = strtoul(argv[i] + 6, NULL, 10);
        else if (strncmp(argv[i], "-seed=", 6) == 0)
            rng_state = strtoul(argv[i] + 6, NULL, 10);
        else if (strncmp(argv[i], "-max_len=", 9) == 0)
            max = strtoul(argv[i] + 9, NULL, 10);
        else
            add_path(argv[i]);
    }
    (void)signal(SIGABRT, keep_crash);
    (void)signal(SIGSEGV, keep_crash);

    buf = malloc(max + 1);
    if (!buf)
        abort();
    for (size_t i = 0; i < corpus_count; i++)
        run_one(corpus[i].data, corpus[i].size);
    for (unsigned long i = 0; i < runs; i++) {
        size_t size = corpus_count && (i & 1) ? make_mutant(buf, max) : make_random(buf, max);

        run_one(buf, size);
    }
    for (size_t i = 0; i < corpus_count; i++)
        free(corpus[i].data);
    free(corpus);
    free(buf);
    printf("%lu seeded inputs, %zu files\n", runs, corpus_count);
    return 0;
}
