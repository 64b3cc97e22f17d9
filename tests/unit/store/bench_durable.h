/* SPDX-License-Identifier: Apache-2.0
 *
 * What durable commits cost, by hand: "test_durable_crash bench FOLDER". CPU is that of the
 * writer's thread, so it says what a commit costs apart from the disk. */
#pragma once

#include <dirent.h>
#include <time.h>

#include "harness_durable.h"

enum { BENCH_IN_FLIGHT = 64 };

static inline uint64_t bench_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* CPU time of the thread with this name. */
static inline uint64_t bench_thread_ns(const char *name)
{
    uint64_t ns = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[320], text[64] = "";
        snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
        FILE *file = fopen(path, "r");
        if (!file)
            continue;
        bool is_it = fgets(text, sizeof(text), file) && !strncmp(text, name, strlen(name));
        fclose(file);
        snprintf(path, sizeof(path), "/proc/self/task/%s/schedstat", e->d_name);
        file = is_it ? fopen(path, "r") : NULL;
        if (file && fgets(text, sizeof(text), file))
            ns = strtoull(text, NULL, 10);
        if (file)
            fclose(file);
    }
    if (dir)
        closedir(dir);
    return ns;
}

struct bench {
    struct harness *h;
    struct store_op ops[BENCH_IN_FLIGHT];
    char ids[BENCH_IN_FLIGHT][37];
    int64_t records[BENCH_IN_FLIGHT];
    int round;
    uint64_t ns, cpu_ns, commits;
    char data[64 * 1024];
};

static inline void bench_done(struct store_op *op)
{
    if (op->error.code != OK) {
        printf("%s\n", op->error.message);
        exit(1);
    }
    struct harness *h = container_of(op->loop, struct harness, loop);
    if (--h->pending == 0)
        loop_stop(op->loop);
}

typedef void (*bench_fn)(struct bench *b, int i, struct store_op *op);

static inline void bench_round(struct bench *b, int count, bench_fn fn)
{
    b->h->pending = count;
    store_gather(b->h->store);
    for (int i = 0; i < count; i++) {
        b->ops[i] = (struct store_op){.loop = &b->h->loop, .done = bench_done};
        fn(b, i, &b->ops[i]);
    }
    store_send(b->h->store);
    loop_run(&b->h->loop);
    b->round++;
}

static inline void bench_begin(struct bench *b)
{
    struct store_stats stats;
    store_stats(b->h->store, &stats);
    b->commits = stats.commits;
    b->cpu_ns = bench_thread_ns("limpet-store");
    b->ns = bench_ns();
}

static inline void bench_end(struct bench *b, const char *what, int count)
{
    struct store_stats stats;
    store_stats(b->h->store, &stats);
    double ns = (double)(bench_ns() - b->ns),
           cpu = (double)(bench_thread_ns("limpet-store") - b->cpu_ns);
    printf("%-44s %8.0f a second, %6.1f us each, writer %5.1f us CPU, %.1f a transaction\n", what,
           count * 1e9 / ns, ns / count / 1e3, cpu / count / 1e3,
           count / (double)(stats.commits - b->commits));
}

static inline void bench_start(struct bench *b, int i, struct store_op *op)
{
    snprintf(b->ids[i], sizeof(b->ids[i]), "0193e4a0-%08x-7000-%012x", (unsigned)b->round,
             (unsigned)i * 2654435761U);
    b->records[i] = 0;
    struct durable_row row = {.id = slice_cstr(b->ids[i]),
                              .workflow = S("flow"),
                              .input = S("{\"order\":12345,\"lines\":[1,2,3]}")};
    store_durable_start(b->h->store, op, &row);
}

static int bench_bytes, bench_count;
static inline void bench_append(struct bench *b, int i, struct store_op *op)
{
    struct durable_commit c = {.id = slice_cstr(b->ids[i]),
                               .first = b->records[i],
                               .count = bench_count,
                               .records = slice_of(b->data, (size_t)bench_bytes)};
    b->records[i] += bench_count;
    commit_send(b->h->store, op, &c);
}

static enum durable_status bench_status;
static inline void bench_set(struct bench *b, int i, struct store_op *op)
{
    struct durable_commit c = {.id = slice_cstr(b->ids[i]),
                               .first = b->records[i],
                               .count = 1,
                               .records = slice_of(b->data, 200),
                               .sets_status = true,
                               .status = bench_status,
                               .wake_us = 2000000000000000 + b->round,
                               .output = bench_status == DURABLE_COMPLETED ? S("{\"total\":42}")
                                                                           : SLICE_EMPTY};
    b->records[i]++;
    commit_send(b->h->store, op, &c);
}

static inline void bench_appends(struct bench *b, int bytes, int count, int rounds)
{
    char what[64];
    bench_bytes = bytes;
    bench_count = count;
    bench_begin(b);
    for (int r = 0; r < rounds; r++)
        bench_round(b, BENCH_IN_FLIGHT, bench_append);
    snprintf(what, sizeof(what), "64 at once, %d record%s, %d bytes", count, count > 1 ? "s" : "",
             bytes);
    bench_end(b, what, rounds * BENCH_IN_FLIGHT);
    bench_begin(b);
    for (int r = 0; r < 500; r++)
        bench_round(b, 1, bench_append);
    snprintf(what, sizeof(what), "one at a time, %d bytes", bytes);
    bench_end(b, what, 500);
}

static inline int bench_run(const char *folder)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct harness *h = b->h = calloc(1, sizeof(*h));
    snprintf(h->url, sizeof(h->url), "sqlite:%s/db.sqlite", folder);
    snprintf(h->artifacts, sizeof(h->artifacts), "%s/artifacts", folder);
    loop_init(&h->loop);
    h->arena = arena_new(NULL);
    if (harness_open_store(h) != OK || workflow_make(h, "flow", "export default 1") != OK) {
        printf("%s\n", h->error.message);
        return 1;
    }
    memset(b->data, 'x', sizeof(b->data));
    bench_begin(b);
    for (int r = 0; r < 300; r++)
        bench_round(b, BENCH_IN_FLIGHT, bench_start);
    bench_end(b, "64 starts at once", 300 * BENCH_IN_FLIGHT);
    bench_status = DURABLE_RUNNING;
    bench_round(b, BENCH_IN_FLIGHT, bench_set);
    bench_appends(b, 200, 1, 300);
    bench_appends(b, 5000, 20, 100);
    bench_appends(b, 50000, 50, 20);
    static const enum durable_status statuses[] = {DURABLE_RUNNING, DURABLE_SUSPENDED,
                                                   DURABLE_RUNNING, DURABLE_COMPLETED};
    for (size_t s = 0; s < ARRAY_LEN(statuses); s++) {
        bench_status = statuses[s];
        char what[64];
        bench_begin(b);
        if (bench_status != DURABLE_COMPLETED)
            for (int r = 0; r < 100; r++) {
                bench_round(b, BENCH_IN_FLIGHT, bench_set);
                bench_status =
                    bench_status == DURABLE_RUNNING ? DURABLE_SUSPENDED : DURABLE_RUNNING;
            }
        else
            bench_round(b, BENCH_IN_FLIGHT, bench_set);
        snprintf(what, sizeof(what), "64 to %s", durable_status_text(statuses[s]));
        bench_end(b, what, (statuses[s] == DURABLE_COMPLETED ? 1 : 100) * BENCH_IN_FLIGHT);
    }
    harness_close_store(h);
    return 0;
}
