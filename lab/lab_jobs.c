/* SPDX-License-Identifier: MIT */
/* Runs the jobs of a scenario on several threads. Each job is a world of its own, so all that threads share is
 * the number of the next one and the table of results, whose order is that of the jobs. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/lab_file.h"

enum { THREADS_MAX = 256 };

struct pool {
    const struct lab_file *file;
    size_t first, of, n;
    bool record;
    json_t **results; /* [n] */
    lab_progress *progress;
    void *arg;
    char *error;
    pthread_mutex_t lock; /* of what follows, and of calls of progress */
    size_t next, done;
    size_t failed; /* number of the first job that failed; n: none */
};

static bool take(struct pool *pool, size_t *number)
{
    pthread_mutex_lock(&pool->lock);
    bool more = pool->next < pool->n && pool->failed == pool->n;
    if (more)
        *number = pool->next++;
    pthread_mutex_unlock(&pool->lock);
    return more;
}

static void give(struct pool *pool, size_t number, json_t *result, const char *error)
{
    pthread_mutex_lock(&pool->lock);
    pool->results[number] = result;
    if (result == NULL && number < pool->failed) {
        pool->failed = number;
        memcpy(pool->error, error, LAB_FILE_ERROR);
    }
    pool->done++;
    if (pool->progress != NULL)
        pool->progress(pool->arg, pool->done, pool->n);
    pthread_mutex_unlock(&pool->lock);
}

static void *work(void *arg)
{
    struct pool *pool = arg;
    size_t number;
    while (take(pool, &number)) {
        char error[LAB_FILE_ERROR] = "";
        json_t *result =
            wr_lab_file_job(pool->file, pool->first + number * pool->of, pool->record, error);
        give(pool, number, result, error);
    }
    return NULL;
}

static void run_all(struct pool *pool, unsigned threads)
{
    pthread_t thread[THREADS_MAX];
    unsigned started = 0;
    json_object_seed(1); /* or the first objects of two threads would both do it */
    if (threads > THREADS_MAX)
        threads = THREADS_MAX;
    while (started + 1 < threads && started + 1 < pool->n &&
           pthread_create(&thread[started], NULL, work, pool) == 0)
        started++;
    work(pool);
    for (unsigned i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
}

json_t *wr_lab_file_run(const struct lab_file *file, size_t first, size_t of, unsigned threads,
                        bool record, lab_progress *progress, void *arg, char *error)
{
    size_t jobs = wr_lab_file_n_jobs(file);
    struct pool pool = {.file = file,
                        .first = first,
                        .of = of,
                        .n = first < jobs ? (jobs - first - 1) / of + 1 : 0,
                        .record = record,
                        .progress = progress,
                        .arg = arg,
                        .error = error};
    if (pool.n > LAB_FILE_JOBS) {
        snprintf(error, LAB_FILE_ERROR, "%s: its sweeps make more than %d jobs",
                 wr_lab_file_name(file), LAB_FILE_JOBS);
        return NULL;
    }
    pool.failed = pool.n;
    pool.results = calloc(pool.n + 1, sizeof *pool.results);
    json_t *all = json_array();
    if (pool.results == NULL || all == NULL) {
        snprintf(error, LAB_FILE_ERROR, "out of memory");
        free(pool.results);
        json_decref(all);
        return NULL;
    }
    pthread_mutex_init(&pool.lock, NULL);
    run_all(&pool, threads);
    pthread_mutex_destroy(&pool.lock);
    for (size_t i = 0; i < pool.n; i++)
        if (pool.results[i] != NULL)
            json_array_append_new(all, pool.results[i]);
    free(pool.results);
    if (pool.failed == pool.n)
        return all;
    json_decref(all);
    return NULL;
}
