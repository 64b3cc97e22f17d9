/* SPDX-License-Identifier: Apache-2.0
 *
 * Durable executions as blocking calls. Records are opaque to the store: here each is 8 characters,
 * its number. */
#pragma once

#include "commit.h"
#include "harness.h"

#define NEVER INT64_MAX

static inline enum err workflow_make(struct harness *h, const char *name, const char *code)
{
    struct store_op op = HARNESS_OP(h);
    store_build_start(h->store, &op, slice_cstr(name), MODULE_WORKFLOW);
    enum err err = harness_wait(h, &op);
    return err == OK ? publish(h, name, op.number, code, "", NULL) : err;
}

static inline int durable_setup(void **state)
{
    harness_setup(state);
    struct harness *h = *state;
    assert_ok(workflow_make(h, "flow", "export default 1"));
    return 0;
}

static inline enum err durable_start_in(struct harness *h, const char *workflow, const char *id,
                                        int64_t *ret_number)
{
    struct durable_row row = {.id = slice_cstr(id),
                              .workflow = slice_cstr(workflow),
                              .export_name = S("main"),
                              .key = S("k"),
                              .input = S("{\"n\":1}"),
                              .metadata = S("{\"m\":2}")};
    struct store_op op = HARNESS_OP(h);
    store_durable_start(h->store, &op, &row);
    enum err code = harness_wait(h, &op);
    if (ret_number)
        *ret_number = op.number;
    return code;
}

static inline enum err durable_start(struct harness *h, const char *id)
{
    return durable_start_in(h, "flow", id, NULL);
}

static inline struct bytes records_make(int64_t first, int64_t count)
{
    struct bytes b = BYTES_INIT;
    for (int64_t i = first; i < first + count; i++)
        bytes_printf(&b, "%08lld", (long long)i);
    return b;
}

static inline enum err durable_commit(struct harness *h, struct durable_commit c,
                                      int64_t *ret_number)
{
    struct bytes records = records_make(c.first, c.count);
    if (!c.records.len)
        c.records = bytes_slice(&records);
    struct store_op op = HARNESS_OP(h);
    commit_send(h->store, &op, &c);
    enum err code = harness_wait(h, &op);
    if (ret_number)
        *ret_number = op.number;
    bytes_done(&records);
    return code;
}

/* The rest of the members by name. */
#define COMMIT(h, id_, ...)                                                                        \
    durable_commit((h), (struct durable_commit){.id = slice_cstr(id_), __VA_ARGS__}, NULL)

static inline enum err durable_end(struct harness *h, const char *id, int64_t first,
                                   enum durable_status status)
{
    return COMMIT(h, id, .first = first, .count = 1, .sets_status = true, .status = status,
                  .output = status == DURABLE_COMPLETED ? S("42") : S(""),
                  .error = status == DURABLE_COMPLETED ? S("") : S("{\"code\":\"guest_error\"}"));
}

static inline enum err durable_suspend(struct harness *h, const char *id, int64_t first,
                                       int64_t wake_us, int64_t events_seen)
{
    return COMMIT(h, id, .first = first, .count = 1, .sets_status = true,
                  .status = DURABLE_SUSPENDED, .wake_us = wake_us, .events_seen = events_seen);
}

static inline enum err durable_signal(struct harness *h, const char *id, const char *name,
                                      const char *data, const char *once, int64_t *ret_seq)
{
    struct durable_message m = {.execution = slice_cstr(id),
                                .name = slice_cstr(name),
                                .data = slice_cstr(data),
                                .once = slice_cstr(once)};
    struct store_op op = HARNESS_OP(h);
    store_durable_signal(h->store, &op, &m);
    enum err code = harness_wait(h, &op);
    if (ret_seq)
        *ret_seq = op.number;
    return code;
}

static inline enum err durable_cancel(struct harness *h, const char *id)
{
    struct store_op op = HARNESS_OP(h);
    store_durable_cancel(h->store, &op, slice_cstr(id));
    return harness_wait(h, &op);
}

static inline enum err durable_pause(struct harness *h, const char *id, bool is_paused)
{
    struct store_op op = HARNESS_OP(h);
    store_durable_pause(h->store, &op, slice_cstr(id), is_paused);
    return harness_wait(h, &op);
}

static inline enum err durable_retry_with(struct harness *h, const char *id, int64_t records,
                                          int64_t chunk_first, int64_t version,
                                          const struct durable_signal *signals, size_t signals_len)
{
    struct bytes chunk = records_make(chunk_first, records - chunk_first);
    struct store_op op = HARNESS_OP(h);
    struct store_step steps[16];
    assert_true(signals_len <= sizeof(steps) / sizeof(steps[0]));
    for (size_t i = 0; i < signals_len; i++)
        steps[i] = (struct store_step){
            .kind = STORE_STEP_SIGNAL_BACK,
            .signal_back = {signals[i].seq, signals[i].at_us, signals[i].name, signals[i].data}};
    store_durable_retry(h->store, &op, slice_cstr(id),
                        &(struct store_cut){.records = records,
                                            .chunk_first = chunk_first,
                                            .chunk = bytes_slice(&chunk),
                                            .version = version},
                        steps, signals_len);
    bytes_done(&chunk);
    return harness_wait(h, &op);
}

static inline enum err durable_retry(struct harness *h, const char *id, int64_t records,
                                     int64_t chunk_first, int64_t version)
{
    return durable_retry_with(h, id, records, chunk_first, version, NULL, 0);
}

static inline enum err durable_fork(struct harness *h, const char *id, const char *new_id,
                                    int64_t records, int64_t chunk_first)
{
    struct bytes chunk = records_make(chunk_first, records - chunk_first);
    struct store_op op = HARNESS_OP(h);
    store_durable_fork(h->store, &op, slice_cstr(id), slice_cstr(new_id),
                       &(struct store_cut){.records = records,
                                           .chunk_first = chunk_first,
                                           .chunk = bytes_slice(&chunk)},
                       NULL, 0);
    bytes_done(&chunk);
    return harness_wait(h, &op);
}

static inline enum err durable_migrate(struct harness *h, const char *id, int64_t records,
                                       int64_t version)
{
    struct store_op op = HARNESS_OP(h);
    store_durable_migrate(h->store, &op, slice_cstr(id), records, version);
    return harness_wait(h, &op);
}

static inline struct durable_row durable_get(struct harness *h, const char *id)
{
    struct durable_row row = {0};
    assert_ok(store_durable(h->reader, h->arena, slice_cstr(id), &row, &h->error));
    return row;
}

static inline bool durable_is_there(struct harness *h, const char *id)
{
    struct durable_row row;
    enum err code = store_durable(h->reader, h->arena, slice_cstr(id), &row, &h->error);
    assert_true(code == OK || code == ERR_NOT_FOUND);
    return code == OK;
}

/* The whole journal is the records from 0 to `records`, and the row says so. */
static inline void assert_journal(struct harness *h, const char *id, int64_t records)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct bytes expected = records_make(0, records);
    int64_t first = -1, count = -1;
    assert_ok(
        store_journal(h->reader, slice_cstr(id), 0, SIZE_MAX, &out, &first, &count, &h->error));
    assert_int_equal(first, 0);
    assert_int_equal(count, records);
    assert_true(slice_eq(bytes_slice(&out), bytes_slice(&expected)));
    bytes_done(&expected);
    assert_int_equal(durable_get(h, id).records, records);
}

/* The ids that are due before until_us, joined by blanks. */
static inline char *durable_due(struct harness *h, int64_t until_us)
{
    struct durable_due *rows;
    size_t len;
    assert_ok(store_due(h->reader, h->arena, until_us, 0, 0, 1000, &rows, &len, &h->error));
    char *text = arena_printf(h->arena, "%s", "");
    for (size_t i = 0; i < len; i++)
        text = arena_printf(h->arena, "%s%s%.*s", text, i ? " " : "", SLICE_ARG(rows[i].id));
    return text;
}

static inline struct durable_counts durable_counted(struct harness *h)
{
    struct durable_counts counts;
    assert_ok(store_durable_counts(h->reader, &counts, &h->error));
    return counts;
}
