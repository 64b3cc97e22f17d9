/* SPDX-License-Identifier: Apache-2.0
 *
 * The surroundings of one execution for unit tests: a clock, a store that is an array of bytes, and
 * a diary of what the port was asked for. Included by one file a program. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "durable/execution.h"

enum { WORLD_OP_SYNC = 3, WORLD_OP_CALL = 13, WORLD_SECOND = 1000000 };

static const char *const letters[] = {"a", "b", "c"};

struct world {
    struct execution_port port;
    struct execution *x;
    int64_t now_us;
    struct bytes journal; /* stored */
    int64_t stored;
    int64_t read_max; /* records at once */
    bool fails_reading;
    int64_t here;       /* records that can be read now; the others come later */
    struct bytes diary; /* "start 1 args; stop 1; over 3; " */
    size_t runnables;
};

static inline int64_t world_now(void *ctx)
{
    return ((struct world *)ctx)->now_us;
}

static inline enum err world_read(void *ctx, int64_t first, struct bytes *out, int64_t *ret_count,
                                  struct error *ret_error)
{
    struct world *w = ctx;
    if (w->fails_reading)
        return error_set(ret_error, ERR_IO, "the disk is gone");
    if (first >= w->here) {
        *ret_count = EXECUTION_LATER;
        return OK;
    }
    struct slice all = bytes_slice(&w->journal);
    struct slice rest = slice_skip(all, record_prefix(all, first).len);
    struct slice part = record_prefix(rest, w->read_max);
    bytes_append_slice(out, part);
    *ret_count = record_count(part);
    return OK;
}

static inline bool world_has(void *ctx, int64_t first)
{
    return first < ((struct world *)ctx)->here;
}

static inline void world_start(void *ctx, uint32_t id, uint32_t op, struct slice args)
{
    struct world *w = ctx;
    assert_int_equal(op, WORLD_OP_CALL);
    bytes_printf(&w->diary, "start %u %.*s; ", id, SLICE_ARG(args));
}

static inline void world_stop(void *ctx, uint32_t id)
{
    bytes_printf(&((struct world *)ctx)->diary, "stop %u; ", id);
}

static inline void world_scope_over(void *ctx, uint32_t scope)
{
    bytes_printf(&((struct world *)ctx)->diary, "over %u; ", scope);
}

static inline void world_runnable(void *ctx)
{
    ((struct world *)ctx)->runnables++;
}

static const char *world_op_text(uint32_t op)
{
    return op == WORLD_OP_SYNC ? "random" : "call";
}

static inline struct execution_config world_config(struct world *w)
{
    return (struct execution_config){
        .port = &w->port, .id = SLICE_LIT("e"), .started_us = w->now_us, .stored = w->stored};
}

static inline int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->port = (struct execution_port){.ctx = w,
                                      .now_us = world_now,
                                      .read = world_read,
                                      .has = world_has,
                                      .start = world_start,
                                      .stop = world_stop,
                                      .scope_over = world_scope_over,
                                      .runnable = world_runnable,
                                      .op_text = world_op_text};
    w->now_us = 1000 * (int64_t)WORLD_SECOND;
    w->read_max = 3;
    w->here = INT64_MAX;
    const struct execution_config config = world_config(w);
    w->x = execution_new(&config);
    *state = w;
    return 0;
}

static inline int world_teardown(void **state)
{
    struct world *w = *state;
    execution_free(w->x);
    bytes_done(&w->journal);
    bytes_done(&w->diary);
    free(w);
    return 0;
}

/* Everything new, on its way to the store. */
static inline struct execution_batch *world_take_only(struct world *w)
{
    struct execution_batch *b = execution_take(w->x);
    assert_int_equal(b->first, w->stored);
    assert_int_equal(record_count(bytes_slice(&b->records)), b->count);
    return b;
}

static inline void world_stored(struct world *w, const struct execution_batch *b)
{
    bytes_append_slice(&w->journal, bytes_slice(&b->records));
    w->stored += b->count;
    execution_committed(w->x, w->stored, b->effect_bytes);
    assert_int_equal(execution_durable(w->x), w->stored);
}

/* Stores everything new; the batch for who wants to look at it. */
static inline struct execution_batch *world_take(struct world *w)
{
    struct execution_batch *b = world_take_only(w);
    world_stored(w, b);
    return b;
}

static inline void world_commit(struct world *w)
{
    execution_batch_free(world_take(w));
}

/* Everything that was not stored is lost. */
static inline void world_crash(struct world *w)
{
    execution_free(w->x);
    bytes_clear(&w->diary);
    const struct execution_config config = world_config(w);
    w->x = execution_new(&config);
}

static inline void assert_diary(struct world *w, const char *expected)
{
    assert_string_equal(bytes_cstr(&w->diary), expected);
    bytes_clear(&w->diary);
}

static inline uint64_t world_digest(uint32_t op, const char *text)
{
    struct record_hash h;
    record_hash_init(&h, op);
    record_hash_add(&h, slice_cstr(text));
    return record_hash_end(&h);
}

/* A synchronous op; `live` is its result when it is not replayed. The result is NUL-terminated in
 * ret. */
static inline enum execution_answer world_sync(struct world *w, const char *label, const char *live,
                                               char ret[64])
{
    const uint64_t digest = world_digest(WORLD_OP_SYNC, label);
    struct execution_result r = {OK, slice_cstr(live)};
    enum execution_answer answer =
        execution_sync(w->x, WORLD_OP_SYNC, digest, slice_cstr(label), &r);
    if (answer == EXECUTION_LIVE)
        execution_sync_done(w->x, WORLD_OP_SYNC, digest, slice_cstr(label), OK, slice_cstr(live));
    (void)snprintf(ret, 64, "%.*s", SLICE_ARG(r.payload));
    return answer;
}

static inline void assert_sync(struct world *w, enum execution_answer answer, const char *label,
                               const char *live, const char *expected)
{
    char got[64];
    assert_int_equal(world_sync(w, label, live, got), answer);
    assert_string_equal(got, expected);
}

static inline struct execution_call world_call(enum execution_kind kind, const char *label)
{
    return (struct execution_call){.kind = kind,
                                   .op = WORLD_OP_CALL,
                                   .digest = world_digest(WORLD_OP_CALL, label),
                                   .label = slice_cstr(label),
                                   .args = slice_cstr(label),
                                   .delay_us = EXECUTION_NEVER,
                                   .name = slice_cstr(label),
                                   .retry = {.attempts_max = 1,
                                             .factor = 1,
                                             .delay_max_us = EXECUTION_NEVER,
                                             .timeout_us = EXECUTION_NEVER}};
}

static inline uint32_t assert_call(struct world *w, const struct execution_call *call, uint32_t id)
{
    uint32_t got = 0, scope = 0;
    struct error error = {0};
    const enum err err = execution_call(w->x, call, &got, &scope, &error);
    assert_string_equal(error.message, "");
    assert_int_equal(err, OK);
    assert_int_equal(got, id);
    return scope;
}

/* The call with that label, as the kind says; returns the scope. */
static inline uint32_t assert_start(struct world *w, enum execution_kind kind, const char *label,
                                    uint32_t id)
{
    const struct execution_call call = world_call(kind, label);
    return assert_call(w, &call, id);
}

static inline void assert_done(struct world *w, uint32_t id, uint32_t status, const char *payload)
{
    struct execution_delivery d = {.kind = EXECUTION_CANCEL};
    assert_true(execution_next(w->x, &d));
    assert_int_equal(d.kind, EXECUTION_DONE);
    assert_int_equal(d.id, id);
    assert_int_equal(d.status, status);
    assert_int_equal(d.payload.len, strlen(payload));
    if (d.payload.len)
        assert_memory_equal(d.payload.ptr, payload, d.payload.len);
}

static inline uint32_t assert_run(struct world *w, uint32_t id, uint32_t attempt)
{
    struct execution_delivery d = {.kind = EXECUTION_CANCEL};
    assert_true(execution_next(w->x, &d));
    assert_int_equal(d.kind, EXECUTION_RUN);
    assert_int_equal(d.id, id);
    assert_int_equal(d.attempt, attempt);
    assert_int_not_equal(d.scope, 0);
    assert_int_equal(execution_scope_step(w->x, d.scope), id);
    return d.scope;
}

static inline void assert_told_to_cancel(struct world *w)
{
    struct execution_delivery d = {.kind = EXECUTION_DONE};
    assert_true(execution_next(w->x, &d));
    assert_int_equal(d.kind, EXECUTION_CANCEL);
    assert_true(execution_is_cancelled(w->x));
}

static inline void assert_rests(struct world *w)
{
    struct execution_delivery d;
    assert_false(execution_next(w->x, &d));
}
