/* SPDX-License-Identifier: Apache-2.0
 *
 * Forks of long journals, which are copied in slices, and what others want meanwhile. */
#pragma once

#include <sqlite3.h>
#include <stdatomic.h>

#include "harness_durable.h"

enum { CHUNKS = 9000, SLICE_CHUNKS = 2000 };

/* An execution whose journal has so many chunks of a record each. */
static inline void make_long(struct harness *h, const char *id)
{
    enum { AT_ONCE = 1000 };
    static struct store_op op;
    assert_ok(durable_start(h, id));
    for (int64_t n = 0; n < CHUNKS; n += AT_ONCE) {
        store_gather(h->store);
        for (int64_t k = n; k < n + AT_ONCE; k++) {
            struct bytes records = records_make(k, 1);
            const struct store_step steps[] = {
                {.kind = STORE_STEP_APPEND, .append = {1, bytes_slice(&records)}},
                {.kind = STORE_STEP_STATUS, .status = {.status = DURABLE_RUNNING}}};
            op = (struct store_op)HARNESS_OP(h);
            if (k < n + AT_ONCE - 1)
                op.done = NULL;
            store_durable_commit(h->store, &op, slice_cstr(id), k, steps, k == 0 ? 2 : 1);
            bytes_done(&records);
        }
        store_send(h->store);
        assert_ok(harness_wait(h, &op));
    }
}

struct forking {
    struct store_op op;
    struct harness *h;
    bool is_done, was_done_first;
    struct store_op other;
    int others;
};

static inline void fork_done(struct store_op *op)
{
    struct forking *f = container_of(op, struct forking, op);
    f->is_done = true;
    if (f->others >= 3)
        loop_stop(op->loop);
}

static inline void other_done(struct store_op *op)
{
    struct forking *f = container_of(op, struct forking, other);
    assert_int_equal(op->error.code, OK);
    f->was_done_first |= f->others == 0 && f->is_done;
    if (++f->others < 3)
        store_durable_signal(
            f->h->store, &f->other,
            &(struct durable_message){.execution = S("b"), .name = S("x"), .data = S("1")});
    else if (f->is_done)
        loop_stop(op->loop);
}

/* A fork, and what others want meanwhile. */
static inline void fork_beside(struct harness *h, struct forking *f)
{
    *f = (struct forking){.op = {.loop = &h->loop, .done = fork_done},
                          .other = {.loop = &h->loop, .done = other_done},
                          .h = h};
    store_gather(h->store);
    store_durable_fork(h->store, &f->op, S("a"), S("forked"),
                       &(struct store_cut){.records = CHUNKS - 5, .chunk_first = CHUNKS - 5}, NULL,
                       0);
    store_durable_signal(
        h->store, &f->other,
        &(struct durable_message){.execution = S("b"), .name = S("x"), .data = S("1")});
    store_send(h->store);
    loop_run(&h->loop);
}

/* The one number that a query of the database answers. */
static inline int64_t number(struct harness *h, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_open(h->url + strlen("sqlite:"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return value;
}

/* The process ends where so many commits from now would be made. */
static atomic_int commits_left;

static inline int commit_counted(void *ignored)
{
    (void)ignored;
    if (atomic_load(&commits_left) > 0 && atomic_fetch_sub(&commits_left, 1) == 1)
        _exit(0);
    return 0;
}

static inline int commits_watched(sqlite3 *db, char **ret_error,
                                  const struct sqlite3_api_routines *api)
{
    (void)ret_error;
    (void)api;
    (void)sqlite3_commit_hook(db, commit_counted, NULL);
    return SQLITE_OK;
}

/* A server that ends in the middle of such a fork; the store is closed, before and afterwards. */
static inline void fork_and_die(struct harness *h)
{
    struct forking f;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (sqlite3_auto_extension((void (*)(void))commits_watched) != SQLITE_OK ||
            harness_open_store(h) != OK)
            _exit(2);
        atomic_store(&commits_left, 3); /* of a copy in five slices */
        fork_beside(h, &f);
        _exit(3); /* it was to end before */
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}
