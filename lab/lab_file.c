/* SPDX-License-Identifier: MIT */
/* Reads scenario files, and makes jobs of them. See lab_file.h. */
#include "lab/lab_file.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/lab.h"
#include "lab/play.h"
#include "lab/words.h"

enum { VARS_MAX = 32, RUNS_MAX = 64, VALUES_MAX = 10000, ASSERTS_MAX = 32, NAME_MAX_LEN = 31 };

struct statement {
    char **words;
    size_t n;
    int line;
};

/* n_values: 1 of "set"; more of "sweep", which jobs run through. */
struct var {
    char name[NAME_MAX_LEN + 1];
    char **value;
    size_t n_values;
    bool swept;
    bool fixed; /* by the caller: stronger than what runs say */
};

struct run {
    char *name;
    const struct statement *statement; /* its words behind the name are "NAME=VALUE" */
};

struct lab_file {
    char *name, *title, *look;
    struct statement *statements;
    size_t n_statements;
    struct var var[VARS_MAX];
    size_t n_vars;
    struct run run[RUNS_MAX];
    size_t n_runs;
    const char *assertion[ASSERTS_MAX];
    size_t n_assertions;
    bool flows, plays;
};

__attribute__((format(printf, 4, 5))) static bool wrong(const struct lab_file *file, int line,
                                                        char *error, const char *format, ...)
{
    int n = line > 0 ? snprintf(error, LAB_FILE_ERROR, "%s:%d: ", file->name, line)
                     : snprintf(error, LAB_FILE_ERROR, "%s: ", file->name);
    va_list args;
    va_start(args, format);
    if (n >= 0 && n < LAB_FILE_ERROR)
        vsnprintf(error + n, LAB_FILE_ERROR - (size_t)n, format, args);
    va_end(args);
    return false;
}

/* ---- variables ----------------------------------------------------------------------------------- */

static struct var *find_var(struct lab_file *file, const char *name, size_t len)
{
    for (size_t i = 0; i < file->n_vars; i++)
        if (strlen(file->var[i].name) == len && strncmp(file->var[i].name, name, len) == 0)
            return &file->var[i];
    return NULL;
}

static bool good_name(const char *name, size_t len)
{
    if (len == 0 || len > NAME_MAX_LEN || !isalpha((unsigned char)name[0]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '_' && name[i] != '-')
            return false;
    return true;
}

/* The variable of that name, made if it is new; NULL: no good name, or too many. */
static struct var *make_var(struct lab_file *file, const char *name, size_t len)
{
    struct var *var = find_var(file, name, len);
    if (var != NULL || !good_name(name, len) || file->n_vars == VARS_MAX)
        return var;
    var = &file->var[file->n_vars++];
    memcpy(var->name, name, len);
    return var;
}

static void forget_values(struct var *var)
{
    for (size_t i = 0; i < var->n_values; i++)
        free(var->value[i]);
    free(var->value);
    var->value = NULL;
    var->n_values = 0;
}

static bool add_value(struct var *var, const char *text, size_t len)
{
    size_t n = var->n_values;
    if (n == VALUES_MAX)
        return false;
    if ((n & (n - 1)) == 0) { /* full: 0, 1, 2, 4, ... */
        char **more = realloc(var->value, (n > 0 ? 2 * n : 1) * sizeof *more);
        if (more == NULL)
            return false;
        var->value = more;
    }
    var->value[n] = strndup(text, len);
    if (var->value[n] == NULL)
        return false;
    var->n_values++;
    return true;
}

/* "1..10", or one value. */
static bool add_values(struct var *var, const char *text, size_t len)
{
    unsigned long long from, to;
    int end = 0;
    char copy[64], number[32];
    snprintf(copy, sizeof copy, "%.*s", len < sizeof copy ? (int)len : 0, text);
    if (!isdigit((unsigned char)copy[0]) || sscanf(copy, "%llu..%llu%n", &from, &to, &end) != 2 ||
        copy[end] != '\0')
        return add_value(var, text, len);
    if (from > to || to - from >= VALUES_MAX)
        return false;
    for (unsigned long long i = from; i <= to; i++) {
        snprintf(number, sizeof number, "%llu", i);
        if (!add_value(var, number, strlen(number)))
            return false;
    }
    return true;
}

bool wr_lab_file_set(struct lab_file *file, const char *word, bool sweep)
{
    size_t len = strcspn(word, "=");
    struct var *var = word[len] == '=' ? find_var(file, word, len) : NULL;
    if (var == NULL)
        return false;
    const char *value = word + len + 1;
    forget_values(var);
    var->fixed = true;
    var->swept = sweep;
    if (!sweep)
        return add_value(var, value, strlen(value));
    for (;;) {
        size_t n = strcspn(value, ",");
        if (!add_values(var, value, n))
            return false;
        if (value[n] == '\0')
            return true;
        value += n + 1;
    }
}

/* ---- reading ------------------------------------------------------------------------------------- */

static bool read_var(struct lab_file *file, const struct statement *s, bool sweep, char *error)
{
    const char *usage = sweep ? "sweep NAME VALUE VALUE ...; names begin with a letter"
                              : "set NAME VALUE; names begin with a letter";
    struct var *var =
        s->n >= 3 && (sweep || s->n == 3) ? make_var(file, s->words[1], strlen(s->words[1])) : NULL;
    if (var == NULL)
        return wrong(file, s->line, error, "%s", usage);
    forget_values(var);
    var->swept = sweep;
    for (size_t i = 2; i < s->n; i++)
        if (!(sweep ? add_values(var, s->words[i], strlen(s->words[i]))
                    : add_value(var, s->words[i], strlen(s->words[i]))))
            return wrong(file, s->line, error, "too many values, or out of memory");
    return true;
}

static bool read_run(struct lab_file *file, const struct statement *s, char *error)
{
    if (s->n < 2 || file->n_runs == RUNS_MAX)
        return wrong(file, s->line, error, "run NAME [VARIABLE=VALUE ...]; there may be 64");
    for (size_t i = 2; i < s->n; i++) {
        size_t len = strcspn(s->words[i], "=");
        struct var *var = s->words[i][len] == '=' ? make_var(file, s->words[i], len) : NULL;
        if (var == NULL)
            return wrong(file, s->line, error, "\"%s\" is not VARIABLE=VALUE", s->words[i]);
        if (var->n_values == 0 && !add_value(var, "", 0))
            return wrong(file, s->line, error, "out of memory");
    }
    for (size_t i = 0; i < file->n_runs; i++)
        if (strcmp(file->run[i].name, s->words[1]) == 0)
            return wrong(file, s->line, error, "there is a run \"%s\" already", s->words[1]);
    file->run[file->n_runs++] = (struct run){s->words[1], s};
    return true;
}

static bool read_text(struct lab_file *file, const struct statement *s, char **to, char *error)
{
    size_t len = 0;
    bool begun = false;
    FILE *out = s->n >= 2 ? open_memstream(to, &len) : NULL;
    if (out == NULL)
        return wrong(file, s->line, error, "%s \"TEXT\"", s->words[0]);
    for (size_t i = 1; i < s->n; i++) {
        const char *text = s->words[i]; /* which may go over lines */
        while (*(text += strspn(text, " \t\n")) != '\0') {
            size_t word = strcspn(text, " \t\n");
            fprintf(out, "%s%.*s", begun ? " " : "", (int)word, text);
            begun = true;
            text += word;
        }
    }
    return fclose(out) == 0 ? true : wrong(file, s->line, error, "out of memory");
}

static bool read_statement(struct lab_file *file, const struct statement *s, char *error)
{
    const char *verb = s->words[0];
    if (strcmp(verb, "title") == 0 && file->title == NULL)
        return read_text(file, s, &file->title, error);
    if (strcmp(verb, "look") == 0 && file->look == NULL)
        return read_text(file, s, &file->look, error);
    if (strcmp(verb, "set") == 0 || strcmp(verb, "sweep") == 0)
        return read_var(file, s, verb[1] == 'w', error);
    if (strcmp(verb, "run") == 0)
        return read_run(file, s, error);
    if (strcmp(verb, "assert") == 0) {
        if (s->n != 2 || file->n_assertions == ASSERTS_MAX)
            return wrong(file, s->line, error, "assert 'FILTER', in quotes; there may be 32");
        file->assertion[file->n_assertions++] = s->words[1];
        return true;
    }
    if (strcmp(verb, "flows") == 0)
        file->flows = true;
    else if (strcmp(verb, "host") == 0 || strcmp(verb, "link") == 0 || strcmp(verb, "at") == 0)
        file->plays = true;
    else if ((strcmp(verb, "time") != 0 && strcmp(verb, "ip") != 0) || s->n != 2)
        return wrong(file, s->line, error,
                     "\"%s\" is none of title, look, time, ip, set, sweep, run, flows, host, link, "
                     "at, assert, with what belongs to it",
                     verb);
    return true;
}

static bool keep(struct lab_file *file, char **words, size_t n, int line)
{
    size_t have = file->n_statements;
    if ((have & (have - 1)) == 0) {
        size_t room = have > 0 ? 2 * have : 1;
        struct statement *more = realloc(file->statements, room * sizeof *more);
        if (more == NULL)
            return false;
        file->statements = more;
    }
    file->statements[file->n_statements++] = (struct statement){words, n, line};
    return true;
}

static bool split_text(struct lab_file *file, const char *text, char *error)
{
    for (int next = 1; *text != '\0';) {
        char **words;
        size_t n;
        int line = next;
        if (!wr_words_split(&text, &next, &words, &n))
            return wrong(file, line, error, "a quote is not closed");
        if (n == 0) {
            wr_words_free(words);
        } else if (!keep(file, words, n, line)) {
            wr_words_free(words);
            return wrong(file, line, error, "out of memory");
        }
    }
    return true;
}

static bool read_all(struct lab_file *file, char *error)
{
    for (size_t i = 0; i < file->n_statements; i++)
        if (!read_statement(file, &file->statements[i], error))
            return false;
    if (file->flows == file->plays)
        return wrong(file, 0, error,
                     file->flows ? "there are flows and hosts: a scenario has one or the other"
                                 : "there are neither flows nor hosts");
    return true;
}

static struct lab_file *new_file(const char *name)
{
    struct lab_file *file = calloc(1, sizeof *file);
    if (file == NULL)
        return NULL;
    struct var *seed = make_var(file, "seed", 4);
    file->name = strdup(name);
    if (file->name == NULL || !add_value(seed, "1", 1)) {
        wr_lab_file_free(file);
        return NULL;
    }
    return file;
}

struct lab_file *wr_lab_file_new(const char *name, const char *text, char *error)
{
    struct lab_file *file = new_file(name);
    if (file == NULL) {
        snprintf(error, LAB_FILE_ERROR, "out of memory");
        return NULL;
    }
    if (split_text(file, text, error) && read_all(file, error))
        return file;
    wr_lab_file_free(file);
    return NULL;
}

struct lab_file *wr_lab_file_of_words(char *const *words, size_t n, char *error)
{
    struct lab_file *file = new_file("weir lab");
    char **copy = calloc(n + 2, sizeof *copy);
    bool good = file != NULL && copy != NULL && (copy[0] = strdup("flows")) != NULL;
    for (size_t i = 0; good && i < n; i++)
        good = (copy[i + 1] = strdup(words[i])) != NULL;
    good = good && keep(file, copy, n + 1, 0);
    if (good && read_all(file, error))
        return file;
    if (!good) {
        wr_words_free(copy);
        snprintf(error, LAB_FILE_ERROR, "out of memory");
    }
    wr_lab_file_free(file);
    return NULL;
}

void wr_lab_file_free(struct lab_file *file)
{
    if (file == NULL)
        return;
    for (size_t i = 0; i < file->n_statements; i++)
        wr_words_free(file->statements[i].words);
    for (size_t i = 0; i < file->n_vars; i++)
        forget_values(&file->var[i]);
    free(file->statements);
    free(file->name);
    free(file->title);
    free(file->look);
    free(file);
}

const char *wr_lab_file_name(const struct lab_file *file)
{
    return file->name;
}

const char *wr_lab_file_title(const struct lab_file *file)
{
    return file->title != NULL ? file->title : file->name;
}

const char *wr_lab_file_look(const struct lab_file *file)
{
    return file->look != NULL ? file->look : "";
}

size_t wr_lab_file_n_asserts(const struct lab_file *file)
{
    return file->n_assertions;
}

const char *wr_lab_file_assert(const struct lab_file *file, size_t number)
{
    return file->assertion[number];
}

/* ---- jobs ---------------------------------------------------------------------------------------- */

/* The values of all variables in one job. */
struct job {
    const struct lab_file *file;
    const struct run *run; /* NULL: there are none */
    const char *value[VARS_MAX];
    uint64_t seed;
    weir_time duration;
    bool ip6;
};

size_t wr_lab_file_n_jobs(const struct lab_file *file)
{
    size_t n = file->n_runs > 0 ? file->n_runs : 1;
    for (size_t i = 0; i < file->n_vars; i++)
        if (file->var[i].swept && __builtin_mul_overflow(n, file->var[i].n_values, &n))
            return SIZE_MAX;
    return n;
}

static void pick(const struct lab_file *file, size_t number, struct job *job)
{
    *job = (struct job){.file = file, .duration = 10 * WEIR_SEC};
    for (size_t i = file->n_vars; i > 0; i--) {
        const struct var *var = &file->var[i - 1];
        job->value[i - 1] = var->value[var->swept ? number % var->n_values : 0];
        if (var->swept)
            number /= var->n_values;
    }
    if (file->n_runs == 0)
        return;
    job->run = &file->run[number];
    for (size_t i = 2; i < job->run->statement->n; i++) {
        const char *word = job->run->statement->words[i];
        size_t len = strcspn(word, "=");
        const struct var *var = find_var((struct lab_file *)file, word, len);
        if (!var->fixed && !var->swept)
            job->value[var - file->var] = word + len + 1;
    }
}

static const char *value_of(const struct job *job, const char *name, size_t len)
{
    const struct var *var = find_var((struct lab_file *)job->file, name, len);
    return var != NULL ? job->value[var - job->file->var] : NULL;
}

/* The word with its variables' values in their places; NULL: it names one that there is not, or it is longer than
 * *room, or out of memory. *room becomes less by it. */
static char *expand(const struct job *job, const char *word, size_t *room)
{
    char *text = NULL;
    size_t size;
    bool good = true;
    FILE *out = open_memstream(&text, &size);
    while (out != NULL && *word != '\0') {
        if (*word != '$') {
            fputc(*word++, out);
            continue;
        }
        bool braced = word[1] == '{';
        const char *name = word + 1 + braced;
        size_t len = 0;
        while (isalnum((unsigned char)name[len]) || name[len] == '_' ||
               (braced && name[len] == '-'))
            len++;
        const char *value = value_of(job, name, len);
        size_t more = value != NULL ? strlen(value) : 0;
        good = good && value != NULL && (!braced || name[len] == '}') && more <= *room;
        *room -= more <= *room ? more : *room;
        fputs(good ? value : "", out);
        word = name + len + (braced && name[len] == '}');
    }
    if (out != NULL && fclose(out) == 0 && good)
        return text;
    free(text);
    return NULL;
}

struct word_list {
    char **words;
    size_t n, room;
};

static bool add_word(struct word_list *list, const char *text, size_t len)
{
    if (list->n + 1 >= list->room) {
        size_t room = list->room > 0 ? 2 * list->room : 16;
        char **more = realloc(list->words, room * sizeof *more);
        if (more == NULL)
            return false;
        list->words = more;
        list->room = room;
    }
    list->words[list->n] = strndup(text, len);
    list->words[list->n + 1] = NULL;
    return list->words[list->n++] != NULL;
}

/* As in a shell, a word that is nothing but a variable may come out as several words or none. */
static bool add_expanded(struct word_list *list, const char *word, const char *text)
{
    if (word[0] != '$')
        return add_word(list, text, strlen(text));
    for (;;) {
        text += strspn(text, " ");
        size_t len = strcspn(text, " ");
        if (len == 0)
            return true;
        if (!add_word(list, text, len))
            return false;
        text += len;
    }
}

/* The statement's words, expanded; NULL: error says why. */
static char **expand_all(const struct job *job, const struct statement *s, size_t *n, char *error)
{
    struct word_list list = {NULL, 0, 0};
    size_t room = LAB_FILE_EXPANDED;
    for (size_t i = 0; i < s->n; i++) {
        char *text = expand(job, s->words[i], &room);
        bool good = text != NULL && add_expanded(&list, s->words[i], text);
        free(text);
        if (good)
            continue;
        wrong(job->file, s->line, error,
              room > 0 ? "\"%.60s\" names a variable that is not set"
                       : "\"%.60s\" is too long with its variables' values",
              s->words[i]);
        wr_words_free(list.words);
        return NULL;
    }
    *n = list.n;
    return list.words;
}

typedef bool statement_fn(void *arg, char **words, size_t n, const char **why);

/* Gives each statement of the job to `take`, but those of the file itself. */
static bool each_statement(struct job *job, statement_fn *take, void *arg, char *error)
{
    static const char *const own[] = {"title", "look", "set", "sweep", "run", "assert"};
    for (size_t i = 0; i < job->file->n_statements; i++) {
        const struct statement *s = &job->file->statements[i];
        bool skip = false;
        for (size_t j = 0; j < sizeof own / sizeof *own; j++)
            skip = skip || strcmp(s->words[0], own[j]) == 0;
        if (skip)
            continue;
        size_t n;
        const char *why = "";
        char **words = expand_all(job, s, &n, error);
        if (words == NULL)
            return false;
        bool good = take(arg, words, n, &why);
        if (!good)
            wrong(job->file, s->line, error, "%s: %s", words[0], why);
        wr_words_free(words);
        if (!good)
            return false;
    }
    return true;
}

/* "time" and "ip", which have to be known before the rest. */
static bool take_setting(void *arg, char **words, size_t n, const char **why)
{
    struct job *job = arg;
    if (n == 2 && strcmp(words[0], "time") == 0) {
        *why = "is not a time, of 1000000s at most";
        return wr_lab_read_time(words[1], &job->duration) && job->duration > 0;
    }
    if (n == 2 && strcmp(words[0], "ip") == 0) {
        *why = "is 4 or 6";
        job->ip6 = strcmp(words[1], "6") == 0;
        return job->ip6 || strcmp(words[1], "4") == 0;
    }
    return true;
}

static bool take_flows(void *arg, char **words, size_t n, const char **why)
{
    static _Thread_local char said[160];
    struct lab_scenario *scenario = arg;
    const char *what;
    for (size_t i = 1; strcmp(words[0], "flows") == 0 && i < n; i++) {
        if (wr_lab_scenario_word(scenario, words[i], &what))
            continue;
        snprintf(said, sizeof said, "\"%.60s\" %s", words[i], what);
        *why = said;
        return false;
    }
    return true;
}

static bool take_play(void *arg, char **words, size_t n, const char **why)
{
    if (strcmp(words[0], "time") == 0 || strcmp(words[0], "ip") == 0)
        return true;
    return wr_play_statement(arg, words, n, why);
}

static json_t *play_job(struct job *job, bool record, char *error)
{
    json_t *result = NULL;
    struct play *play = wr_play_new(job->seed, job->duration, job->ip6, record);
    if (play == NULL) {
        wrong(job->file, 0, error, "out of memory");
        return NULL;
    }
    if (each_statement(job, take_play, play, error)) {
        int status = wr_play_run(play);
        if (status == 0)
            result = wr_play_json(play);
        if (result == NULL)
            wrong(job->file, 0, error, "%s", weir_error_text(status != 0 ? status : WEIR_ENOMEM));
    }
    wr_play_free(play);
    return result;
}

static json_t *flows_job(struct job *job, bool record, char *error)
{
    json_t *result = NULL;
    struct lab *lab = NULL;
    struct lab_scenario *scenario = malloc(sizeof *scenario);
    if (scenario == NULL) {
        wrong(job->file, 0, error, "out of memory");
        return NULL;
    }
    wr_lab_scenario_default(scenario);
    scenario->seed = job->seed;
    scenario->duration = job->duration;
    scenario->ip6 = job->ip6;
    if (each_statement(job, take_flows, scenario, error)) {
        const char *wrong_with = wr_lab_scenario_check(scenario);
        int status = wr_lab_new(scenario, &lab);
        if (status == 0 && record)
            status = wr_lab_record(lab);
        if (status == 0)
            status = wr_lab_run(lab);
        result = status == 0 ? wr_lab_json(lab) : NULL;
        if (result == NULL)
            wrong(job->file, 0, error, "%s",
                  wrong_with != NULL      ? wrong_with
                  : status == WEIR_EINVAL ? "a tunable or its value is not known"
                                          : weir_error_text(status != 0 ? status : WEIR_ENOMEM));
    }
    wr_lab_free(lab);
    free(scenario);
    return result;
}

static json_t *describe(const struct job *job, size_t number, json_t *result)
{
    json_t *object = json_object(), *set = json_object();
    json_object_set_new(object, "job", json_integer((json_int_t)number));
    json_object_set_new(object, "run",
                        job->run != NULL ? json_string(job->run->name) : json_null());
    for (size_t i = 0; i < job->file->n_vars; i++)
        json_object_set_new(set, job->file->var[i].name, json_string(job->value[i]));
    json_object_set_new(object, "set", set);
    json_object_set_new(object, "result", result);
    return object;
}

json_t *wr_lab_file_job(const struct lab_file *file, size_t number, bool record, char *error)
{
    struct job job;
    char *end;
    pick(file, number, &job);
    const char *seed = value_of(&job, "seed", 4);
    job.seed = strtoull(seed, &end, 0);
    if (*seed < '0' || *seed > '9' || *end != '\0') {
        wrong(file, 0, error, "the seed must be a number, not \"%s\"", seed);
        return NULL;
    }
    if (!each_statement(&job, take_setting, &job, error))
        return NULL;
    json_t *result = file->plays ? play_job(&job, record, error) : flows_job(&job, record, error);
    return result != NULL ? describe(&job, number, result) : NULL;
}
