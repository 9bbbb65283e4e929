/* SPDX-License-Identifier: MIT */
/*
 * Assertions of scenarios: jq's filters over the results, evaluated by libjq. These are defined beside what jq
 * has:
 *
 *     run("NAME")      the result of that run (of the first job of it); result: that of the first job
 *     packets          of a result with a tape: its packets as objects
 *     notes(C; SIDE)   of a result with a tape: what that side of connection C decided, as {t, kind, why}
 *     path(C; SIDE)    of a result with a tape: the states that a side of connection C went through
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/labscene.h"

#ifdef WEIR_HAS_JQ
#    include <jq.h>

static const char prelude[] =
    "def run($n): first(.jobs[] | select(.run == $n)).result;"
    "def result: .jobs[0].result;"
    "def packets: .tape as $t | $t.packets | map([$t.packet_columns, .] | transpose"
    " | map({key: .[0], value: .[1]}) | from_entries"
    " | if .why == null then . else .why = $t.points[.why][1] end);"
    "def notes($c; $side): .tape as $t | [$t.connections[$c].notes[] | select(.[1] == $side)"
    " | {t: .[0], kind: $t.points[.[2]][0], why: $t.points[.[2]][1]}];"
    "def path($c; $side): [.tape.connections[$c].states[] | select(.[1] == $side) | .[2]];";

static void on_error(void *arg, jv message)
{
    char **said = arg;
    jv text = jv_get_kind(message) == JV_KIND_STRING ? jv_copy(message)
                                                     : jv_dump_string(jv_copy(message), 0);
    if (*said == NULL)
        *said = strdup(jv_string_value(text));
    jv_free(text);
    jv_free(message);
}

/* 1: true; 0: anything else; -1: the filter is wrong, and *said says how. */
static int evaluate(const char *filter, jv input, char **said)
{
    jq_state *jq = jq_init();
    char *program = NULL;
    size_t size;
    FILE *out = open_memstream(&program, &size);
    int verdict = -1;
    if (jq == NULL || out == NULL) {
        jv_free(input);
        if (out != NULL)
            fclose(out);
        free(program);
        jq_teardown(&jq);
        return -1;
    }
    fprintf(out, "%s %s", prelude, filter);
    fclose(out);
    jq_set_error_cb(jq, on_error, said);
    if (jq_compile(jq, program)) {
        jq_start(jq, input, 0);
        jv answer = jq_next(jq);
        if (jv_is_valid(answer))
            verdict = jv_get_kind(answer) == JV_KIND_TRUE;
        else if (jv_invalid_has_msg(jv_copy(answer)))
            on_error(said, jv_invalid_get_msg(jv_copy(answer)));
        jv_free(answer);
    } else {
        jv_free(input);
    }
    jq_teardown(&jq);
    free(program);
    return verdict;
}

static jv parse(const json_t *document)
{
    char *text = json_dumps(document, JSON_COMPACT);
    jv input = text != NULL ? jv_parse(text) : jv_invalid();
    free(text);
    return input;
}

int wr_labcheck(const struct lab_file *file, const json_t *document, bool quiet)
{
    size_t n = wr_lab_file_n_asserts(file);
    int status = 0;
    jv input = parse(document);
    if (!jv_is_valid(jv_copy(input))) {
        jv_free(input);
        wr_cli_error("lab: out of memory");
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        char *said = NULL;
        const char *filter = wr_lab_file_assert(file, i);
        int verdict = evaluate(filter, jv_copy(input), &said);
        if (verdict != 1)
            status = 1;
        if (verdict != 1 || !quiet)
            printf("%s: %s: %s%s%s\n", wr_lab_file_name(file), verdict == 1 ? "holds" : "FAILS",
                   filter, said != NULL ? ": " : "", said != NULL ? said : "");
        free(said);
    }
    jv_free(input);
    return status;
}

#else

int wr_labcheck(const struct lab_file *file, const json_t *document, bool quiet)
{
    (void)file;
    (void)document;
    (void)quiet;
    wr_cli_error("lab: this weir was built without libjq, which evaluates assertions "
                 "(Debian: libjq-dev)");
    return -1;
}

#endif
