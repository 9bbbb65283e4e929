/* SPDX-License-Identifier: MIT */
/*
 * Scenario files of anybody's. The input is a file's text; behind a NUL come words that set or sweep its
 * variables, each up to the next NUL.
 *
 * Every statement of the text is also given to what reads it when a job runs: the words of "flows" to the
 * scenario, "host", "link" and "at" to a play. Jobs, the first and the last, are made up to where they would run: a
 * statement at the end that is wrong keeps them from it, as a scenario's time knows no bound here.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz_input.h"
#include "lab/lab.h"
#include "lab/lab_file.h"
#include "lab/play.h"
#include "lab/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_say(const char *error)
{
    must(error[0] != '\0' && memchr(error, '\0', LAB_FILE_ERROR) != NULL, "a reason is given");
}

/* ---- statements ------------------------------------------------------------------------------------ */

static void give_flows(char **words, size_t n)
{
    struct lab_scenario *scenario = malloc(sizeof *scenario);
    const char *why = NULL;
    bool good = true;
    must(scenario != NULL, "memory");
    wr_lab_scenario_default(scenario);
    for (size_t i = 1; good && i < n; i++) {
        good = wr_lab_scenario_word(scenario, words[i], &why);
        must(good || why != NULL, "a reason is given");
    }
    if (good && wr_lab_scenario_check(scenario) == NULL) {
        char replay[8192];
        wr_lab_scenario_complete(scenario);
        wr_lab_replay(scenario, replay, sizeof replay);
        must(memchr(replay, '\0', sizeof replay) != NULL, "a replay line that ends");
        must(scenario->duration <= LAB_TIME_MAX && scenario->n_flows <= LAB_FLOWS_MAX,
             "a scenario within its bounds");
    }
    free(scenario);
}

static void give_statements(const char *text)
{
    struct play *play = wr_play_new(1, WEIR_US, false, false);
    int line = 1;
    char **words;
    size_t n;
    must(play != NULL, "memory");
    for (bool good = true; good && *text != '\0' && wr_words_split(&text, &line, &words, &n);
         wr_words_free(words)) {
        const char *why = NULL;
        if (n > 0 && strcmp(words[0], "flows") == 0)
            give_flows(words, n);
        else if (n > 0 && !wr_play_statement(play, words, n, &why)) {
            must(why != NULL && *why != '\0', "a reason is given");
            good = strcmp(words[0], "host") != 0 && strcmp(words[0], "link") != 0 &&
                   strcmp(words[0], "at") != 0;
        }
    }
    wr_play_free(play);
}

/* ---- files ------------------------------------------------------------------------------------------ */

static void run_job(const struct lab_file *file, size_t number)
{
    char error[LAB_FILE_ERROR] = "";
    json_t *result = wr_lab_file_job(file, number, false, error);
    must(result == NULL, "what is wrong is found");
    must_say(error);
}

/* False: a word that sets nothing, after which the file is of no use. */
static bool set_all(struct lab_file *file, const char *word, const char *end)
{
    for (; word < end; word += strlen(word) + 1)
        if (!wr_lab_file_set(file, word, strchr(word, ',') || strstr(word, "..")))
            return false;
    return true;
}

static void run_file(const char *text, const char *end)
{
    char error[LAB_FILE_ERROR] = "";
    struct lab_file *file = wr_lab_file_new("file", text, error);
    if (file == NULL) {
        must_say(error);
        return;
    }
    must(wr_lab_file_title(file) != NULL && wr_lab_file_look(file) != NULL, "a title");
    if (set_all(file, text + strlen(text) + 1, end)) {
        size_t n = wr_lab_file_n_jobs(file);
        must(n > 0, "a job at least");
        run_job(file, 0);
        if (n > 1 && n < SIZE_MAX)
            run_job(file, n - 1);
    }
    wr_lab_file_free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len = strnlen((const char *)data, size), rest = size - len;
    char *text = malloc(size + 16);
    must(text != NULL, "memory");
    memcpy(text, data, len);
    text[len] = '\0'; /* and even after a backslash: */
    strcpy(text + len, strstr(text, "flows") ? "\n\nflows =\n" : "\n\nat\n");
    size_t end = strlen(text) + 1;
    if (rest > 1)
        memcpy(text + end, data + len + 1, rest - 1);
    end += rest > 1 ? rest - 1 : 0;
    text[end] = '\0';
    run_file(text, text + end);
    if (strstr(text, "flows") || strstr(text, "host"))
        give_statements(text);
    free(text);
    return 0;
}
