/* SPDX-License-Identifier: Apache-2.0
 *
 * What people do to durable executions, and what goes by itself: retry, fork, migrate, deleted
 * workflows, retention. */
#include <sqlite3.h>

#include "harness_durable.h"

/* What the tables have, seen with a connection of the test's own. */
static int64_t rows_of(struct harness *h, const char *query)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_open(h->url + strlen("sqlite:"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, query, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t rows = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return rows;
}

#define REMAINS                                                                                    \
    "SELECT (SELECT count(*) FROM durable_purge) + (SELECT count(*) FROM function_deleted) +"      \
    " (SELECT count(*) FROM journal) + (SELECT count(*) FROM durable_text) +"                      \
    " (SELECT count(*) FROM signal) + (SELECT count(*) FROM signal_once) +"                        \
    " (SELECT count(*) FROM snapshot) + (SELECT count(*) FROM durable_waiter) +"                   \
    " (SELECT count(*) FROM durable)"

/* The writer removes by itself; its result is what is waited for. */
static void wait_for_rows(struct harness *h, const char *query, int64_t rows)
{
    while (rows_of(h, query) != rows)
        usleep(1000);
}

/* An execution of chunks 0-2, 3-5, 6, whose last record is its end. */
static void make_failed(struct harness *h, const char *id, enum durable_status status)
{
    assert_ok(durable_start(h, id));
    assert_ok(COMMIT(h, id, .count = 3, .sets_status = true, .status = DURABLE_RUNNING));
    assert_ok(COMMIT(h, id, .first = 3, .count = 3));
    assert_ok(durable_signal(h, id, "s", "1", "once", NULL));
    assert_ok(durable_end(h, id, 6, status));
}

static void a_retry_cuts_the_journal(void **state)
{
    struct harness *h = *state;
    make_failed(h, "a", DURABLE_FAILED);
    make_failed(h, "b", DURABLE_CANCELLED);
    make_failed(h, "c", DURABLE_FAILED);
    make_failed(h, "d", DURABLE_FAILED);
    assert_ok(durable_retry(h, "a", 4, 3, 0)); /* in the middle of a chunk */
    assert_ok(durable_retry(h, "b", 6, 6, 0)); /* between two */
    assert_ok(durable_retry(h, "c", 0, 0, 0)); /* all of it */
    assert_ok(durable_retry(h, "d", 7, 7, 0)); /* nothing */
    assert_journal(h, "a", 4);
    assert_journal(h, "b", 6);
    assert_journal(h, "c", 0);
    assert_journal(h, "d", 7);
    struct durable_row row = durable_get(h, "a");
    assert_int_equal(row.status, DURABLE_QUEUED);
    assert_int_equal(row.attempt, 2);
    assert_int_equal(row.finished_us, 0);
    assert_int_equal(row.wake_us, 0);
    assert_slice(row.error, "");
    assert_string_equal(durable_due(h, 1), "a b c d");
    struct durable_counts counts = durable_counted(h);
    assert_int_equal(counts.by_status[DURABLE_QUEUED], 4);
    assert_int_equal(counts.by_status[DURABLE_FAILED], 0);
    assert_int_equal(counts.by_status[DURABLE_CANCELLED], 0);
    /* It goes on where it was cut. */
    assert_ok(COMMIT(h, "a", .first = 4, .count = 2));
    assert_journal(h, "a", 6);
}

static enum err restart(struct harness *h, const char *id)
{
    struct store_op op = HARNESS_OP(h);
    store_durable_restart(h->store, &op, slice_cstr(id));
    return harness_wait(h, &op);
}

static void a_restart_leaves_nothing_of_what_was(void **state)
{
    struct harness *h = *state;
    make_failed(h, "a", DURABLE_FAILED);
    make_failed(h, "b", DURABLE_COMPLETED);
    assert_ok(restart(h, "a"));
    assert_ok(restart(h, "b"));
    for (size_t k = 0; k < 2; k++) {
        const char *id = k == 0 ? "a" : "b";
        struct durable_row row = durable_get(h, id);
        assert_journal(h, id, 0);
        assert_int_equal(row.status, DURABLE_QUEUED);
        assert_int_equal(row.attempt, 2);
        assert_int_equal(row.finished_us, 0);
        assert_slice(row.output, "");
        assert_slice(row.error, "");
    }
    assert_int_equal(rows_of(h, "SELECT count(*) FROM signal"), 0);
    assert_int_equal(rows_of(h, "SELECT count(*) FROM signal_once"), 0);
    assert_string_equal(durable_due(h, 1), "a b");
    assert_int_equal(restart(h, "a"), ERR_CONFLICT);
    assert_int_equal(restart(h, "nobody"), ERR_NOT_FOUND);
    /* The same text is a new signal, and the journal begins at its first record. */
    assert_ok(durable_signal(h, "a", "s", "1", "once", NULL));
    assert_ok(COMMIT(h, "a", .count = 2));
    assert_journal(h, "a", 2);
}

/* Signals of an execution as "seq:name:data", joined by blanks; its row must have counted them. */
static char *signals_of(struct harness *h, const char *id)
{
    struct durable_signal *rows;
    size_t len;
    assert_ok(store_signals(h->reader, h->arena, slice_cstr(id), 0, &rows, &len, &h->error));
    char *text = arena_printf(h->arena, "%s", "");
    for (size_t i = 0; i < len; i++)
        text =
            arena_printf(h->arena, "%s%s%lld:%.*s:%.*s", text, i ? " " : "", (long long)rows[i].seq,
                         SLICE_ARG(rows[i].name), SLICE_ARG(rows[i].data));
    char query[128];
    snprintf(query, sizeof(query), "SELECT signals_waiting FROM durable WHERE id = '%s'", id);
    assert_int_equal(rows_of(h, query), len);
    return text;
}

#define REMEMBERED "SELECT count(*) FROM signal_once"

static void a_retry_has_the_signals_that_were_not_taken(void **state)
{
    struct harness *h = *state;
    int64_t seq = 0;
    static const char *const ids[] = {"failed", "cancelled", "completed"};
    static const enum durable_status ends[] = {DURABLE_FAILED, DURABLE_CANCELLED,
                                               DURABLE_COMPLETED};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        assert_ok(durable_start(h, ids[i]));
        assert_ok(durable_signal(h, ids[i], "x", "1", "", NULL));
        assert_ok(durable_signal(h, ids[i], "y", "2", "once", NULL));
        assert_ok(durable_signal(h, ids[i], "x", "3", "", NULL));
        assert_ok(COMMIT(h, ids[i], .count = 1, .signals = (int64_t[]){1}, .signals_len = 1));
        assert_ok(durable_end(h, ids[i], 1, ends[i]));
    }
    assert_string_equal(signals_of(h, "failed"), "2:y:2 3:x:3");
    assert_string_equal(signals_of(h, "cancelled"), "2:y:2 3:x:3");
    assert_string_equal(signals_of(h, "completed"), "");
    assert_int_equal(rows_of(h, REMEMBERED), 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(durable_signal(h, ids[i], "x", "4", "", NULL), ERR_CONFLICT);
        assert_ok(durable_retry(h, ids[i], 1, 0, 0));
        assert_string_equal(signals_of(h, ids[i]), "2:y:2 3:x:3");
        assert_ok(durable_signal(h, ids[i], "y", "2", "once", &seq)); /* is there already */
        assert_int_equal(seq, 2);
        assert_ok(durable_signal(h, ids[i], "x", "4", "", &seq));
        assert_int_equal(seq, 4);
        assert_string_equal(signals_of(h, ids[i]), "2:y:2 3:x:3 4:x:4");
        assert_ok(COMMIT(h, ids[i], .first = 1, .count = 1, .signals = (int64_t[]){2, 4},
                         .signals_len = 2));
        assert_string_equal(signals_of(h, ids[i]), "3:x:3");
        assert_ok(durable_end(h, ids[i], 2, DURABLE_COMPLETED)); /* now they go */
        assert_string_equal(signals_of(h, ids[i]), "");
    }
    assert_int_equal(rows_of(h, REMEMBERED), 0);
}

static void a_retry_puts_back_the_signals_taken_behind_its_cut(void **state)
{
    struct harness *h = *state;
    assert_ok(durable_start(h, "a"));
    for (int i = 0; i < 4; i++)
        assert_ok(durable_signal(h, "a", "x", (char[]){(char)('1' + i), 0}, i ? "" : "o", NULL));
    assert_ok(COMMIT(h, "a", .count = 2, .signals = (int64_t[]){1}, .signals_len = 1));
    assert_ok(
        COMMIT(h, "a", .first = 2, .count = 2, .signals = (int64_t[]){3, 2}, .signals_len = 2));
    assert_ok(durable_end(h, "a", 4, DURABLE_FAILED));
    assert_string_equal(signals_of(h, "a"), "4:x:4");

    struct durable_signal strange = {.seq = 5, .at_us = 1, .name = S("x"), .data = S("5")};
    assert_int_equal(durable_retry_with(h, "a", 2, 2, 0, &strange, 1), ERR_INVALID);
    assert_text_has(h->error.message, "never sent the signal 5");
    assert_int_equal(durable_get(h, "a").status, DURABLE_FAILED);
    assert_journal(h, "a", 5);
    assert_string_equal(signals_of(h, "a"), "4:x:4");

    /* In the order of their records; one of them is there (harmless). */
    struct durable_signal taken[] = {{.seq = 3, .at_us = 33, .name = S("x"), .data = S("3")},
                                     {.seq = 2, .at_us = 22, .name = S("x"), .data = S("2")},
                                     {.seq = 4, .at_us = 44, .name = S("x"), .data = S("4")}};
    assert_ok(durable_retry_with(h, "a", 2, 2, 0, taken, 3));
    assert_string_equal(signals_of(h, "a"), "2:x:2 3:x:3 4:x:4");
    assert_int_equal(rows_of(h, "SELECT at_us FROM signal WHERE seq = 2"), 22);
    int64_t seq = 0;
    assert_ok(durable_signal(h, "a", "x", "1", "o", &seq)); /* its record is kept */
    assert_int_equal(seq, 1);
    assert_ok(durable_signal(h, "a", "x", "5", "", &seq));
    assert_int_equal(seq, 5);
    assert_ok(COMMIT(h, "a", .first = 2, .count = 1, .signals = (int64_t[]){2}, .signals_len = 1));
    assert_string_equal(signals_of(h, "a"), "3:x:3 4:x:4 5:x:5");
    /* A fork has what waits; what its records name was never in its own table. */
    assert_ok(durable_end(h, "a", 3, DURABLE_CANCELLED));
    assert_ok(durable_fork(h, "a", "f", 3, 3));
    assert_ok(durable_end(h, "f", 3, DURABLE_FAILED));
    assert_string_equal(signals_of(h, "f"), "3:x:3 4:x:4 5:x:5");
    assert_ok(durable_retry_with(h, "f", 2, 2, 0, &taken[1], 1));
    assert_string_equal(signals_of(h, "f"), "2:x:2 3:x:3 4:x:4 5:x:5");
    assert_string_equal(signals_of(h, "a"), "3:x:3 4:x:4 5:x:5");
    /* All that hangs on a removed one goes. */
    assert_ok(function_delete(h, "flow"));
    wait_for_rows(h, REMAINS, 0);
}

static void a_retry_is_refused(void **state)
{
    struct harness *h = *state;
    make_failed(h, "done", DURABLE_COMPLETED);
    make_failed(h, "a", DURABLE_FAILED);
    assert_ok(durable_start(h, "running"));
    assert_int_equal(durable_retry(h, "done", 3, 3, 0), ERR_CONFLICT);
    assert_text_has(h->error.message, "it is completed");
    assert_int_equal(durable_retry(h, "running", 0, 0, 0), ERR_CONFLICT);
    assert_int_equal(durable_retry(h, "nobody", 0, 0, 0), ERR_NOT_FOUND);
    assert_int_equal(durable_retry(h, "a", 8, 6, 0), ERR_CONFLICT); /* has 7 */
    assert_int_equal(durable_retry(h, "a", 4, 2, 0), ERR_INVALID);  /* no chunk begins at 2 */
    assert_int_equal(durable_retry(h, "a", 4, 3, 9), ERR_NOT_FOUND);
    assert_text_has(h->error.message, "no version 9");
    assert_int_equal(durable_get(h, "a").status, DURABLE_FAILED);
    assert_journal(h, "a", 7);
    assert_int_equal(durable_counted(h).by_status[DURABLE_FAILED], 1);
    assert_ok(workflow_make(h, "flow", "export default 2"));
    assert_ok(durable_retry(h, "a", 4, 3, 2));
    assert_int_equal(durable_get(h, "a").version, 2);
    assert_ok(durable_cancel(h, "a"));
    assert_ok(durable_end(h, "a", 4, DURABLE_CANCELLED));
    assert_ok(durable_retry(h, "a", 4, 4, 0));
    assert_false(durable_get(h, "a").is_cancel_requested);
    assert_int_equal(durable_get(h, "a").attempt, 3);
}

static void a_fork_has_the_first_records(void **state)
{
    struct harness *h = *state;
    make_failed(h, "a", DURABLE_COMPLETED);
    assert_ok(workflow_make(h, "flow", "export default 2"));
    assert_ok(durable_fork(h, "a", "f1", 4, 3));
    assert_ok(durable_fork(h, "a", "f2", 6, 6));
    assert_ok(durable_fork(h, "a", "f3", 0, 0));
    assert_ok(durable_fork(h, "f1", "f4", 4, 4)); /* of one that has not finished */
    assert_journal(h, "f1", 4);
    assert_journal(h, "f2", 6);
    assert_journal(h, "f3", 0);
    assert_journal(h, "f4", 4);
    assert_journal(h, "a", 7);
    struct durable_row row = durable_get(h, "f1");
    assert_int_equal(row.version, 1);
    assert_int_equal(row.status, DURABLE_QUEUED);
    assert_int_equal(row.attempt, 1);
    assert_int_equal(row.finished_us, 0);
    assert_slice(row.input, "{\"n\":1}");
    assert_slice(row.metadata, "{\"m\":2}");
    assert_slice(row.export_name, "main");
    assert_slice(row.key, "");
    assert_slice(row.output, "");
    /* Its records name the signals that it took: new ones have other numbers. */
    int64_t seq = 0;
    assert_ok(durable_signal(h, "f1", "s", "1", "once", &seq));
    assert_int_equal(seq, 2);
    assert_int_equal(durable_fork(h, "a", "f1", 0, 0), ERR_CONFLICT);
    assert_text_has(h->error.message, "'f1' already");
    assert_int_equal(durable_fork(h, "nobody", "f9", 0, 0), ERR_NOT_FOUND);
    assert_int_equal(durable_fork(h, "a", "f9", 8, 6), ERR_CONFLICT);
    assert_int_equal(durable_fork(h, "a", "f9", 5, 4), ERR_INVALID);
    assert_int_equal(durable_fork(h, "a", "", 0, 0), ERR_INVALID);
    assert_false(durable_is_there(h, "f9"));
    assert_int_equal(durable_counted(h).by_status[DURABLE_QUEUED], 4);
}

static void a_migration_needs_what_was_checked(void **state)
{
    struct harness *h = *state;
    CLEANUP(bytes_done) struct bytes snapshot = BYTES_INIT;
    int64_t records = -1;
    assert_ok(durable_start(h, "a"));
    assert_ok(COMMIT(h, "a", .count = 2, .snapshot = S("state"), .sets_status = true,
                     .status = DURABLE_SUSPENDED, .wake_us = 77));
    assert_int_equal(durable_migrate(h, "a", 2, 2), ERR_NOT_FOUND); /* no such version */
    assert_ok(workflow_make(h, "flow", "export default 2"));
    assert_int_equal(durable_migrate(h, "a", 1, 2), ERR_CONFLICT);
    assert_int_equal(durable_get(h, "a").version, 1);
    assert_ok(store_snapshot(h->reader, S("a"), &snapshot, &records, &h->error));
    assert_int_equal(records, 2);
    assert_ok(durable_migrate(h, "a", 2, 2));
    assert_int_equal(durable_get(h, "a").version, 2);
    assert_int_equal(durable_get(h, "a").wake_us, 77);
    assert_ok(store_snapshot(h->reader, S("a"), &snapshot, &records, &h->error));
    assert_int_equal(records, 0);
    assert_ok(durable_end(h, "a", 2, DURABLE_FAILED));
    assert_int_equal(durable_migrate(h, "a", 3, 1), ERR_CONFLICT);
}

static void a_snapshot_can_be_dropped(void **state)
{
    struct harness *h = *state;
    CLEANUP(bytes_done) struct bytes snapshot = BYTES_INIT;
    int64_t records = -1;
    assert_ok(durable_start(h, "a"));
    assert_ok(COMMIT(h, "a", .count = 1, .snapshot = S("old")));
    assert_ok(COMMIT(h, "a", .first = 1, .count = 1, .snapshot = S("new")));
    assert_ok(COMMIT(h, "a", .first = 2, .count = 1)); /* stays behind */
    assert_ok(store_snapshot(h->reader, S("a"), &snapshot, &records, &h->error));
    assert_int_equal(records, 2);
    assert_slice(bytes_slice(&snapshot), "new");
    struct store_op op = HARNESS_OP(h);
    store_durable_snapshot_drop(h->store, &op, S("a"));
    assert_ok(harness_wait(h, &op));
    bytes_clear(&snapshot);
    assert_ok(store_snapshot(h->reader, S("a"), &snapshot, &records, &h->error));
    assert_int_equal(records, 0);
    assert_int_equal(snapshot.len, 0);
    store_durable_snapshot_drop(h->store, &op, S("nobody"));
    assert_int_equal(harness_wait(h, &op), ERR_NOT_FOUND);
}

/* ---- what goes ---- */

static void a_deleted_workflow_takes_its_executions_along(void **state)
{
    struct harness *h = *state;
    assert_ok(workflow_make(h, "other", "export default 1"));
    assert_ok(durable_start_in(h, "other", "p", NULL));
    struct durable_child child = {.id = S("a"), .workflow = S("flow")};
    assert_ok(COMMIT(h, "p", .count = 1, .children = &child, .children_len = 1, .sets_status = true,
                     .status = DURABLE_SUSPENDED, .wake_us = NEVER));
    assert_ok(COMMIT(h, "a", .count = 1, .snapshot = S("state"), .sets_status = true,
                     .status = DURABLE_RUNNING));
    for (int i = 1; i < 600; i++)
        commit_send(h->store, NULL,
                    &(struct durable_commit){.id = S("a"),
                                             .first = i,
                                             .count = 1,
                                             .records = S("12345678"),
                                             .progress = S("1")});
    assert_ok(durable_signal(h, "a", "s", "1", "once", NULL));
    assert_ok(durable_start(h, "b"));
    assert_ok(function_delete(h, "flow"));
    assert_false(durable_is_there(h, "a"));
    assert_int_equal(durable_counted(h).by_status[DURABLE_QUEUED], 0);
    assert_int_equal(durable_counted(h).by_status[DURABLE_SUSPENDED], 1);
    assert_int_equal(COMMIT(h, "a", .first = 600, .count = 1), ERR_NOT_FOUND);

    /* The same key in a new workflow of the name: the old one is out of the way at once. */
    assert_ok(workflow_make(h, "flow", "export default 1"));
    int64_t is_new = 0;
    assert_ok(durable_start_in(h, "flow", "a", &is_new));
    assert_int_equal(is_new, 1);
    assert_journal(h, "a", 0);
    assert_ok(COMMIT(h, "a", .count = 2));
    assert_journal(h, "a", 2);

    /* Who waits for one of them is due when that is over, which takes a while. */
    bool is_removing = true;
    while (is_removing)
        assert_ok(store_is_removing(h->reader, &is_removing, &h->error));
    assert_int_equal(durable_get(h, "p").events, 1);
    /* All that hung on the old ones goes; what is left: p and a, their texts and chunks. */
    wait_for_rows(h, REMAINS, 2 + 2 + 2);
    assert_journal(h, "a", 2);
    assert_int_equal(durable_get(h, "p").events, 1); /* its child is gone */
    assert_string_equal(durable_due(h, 1), "p a");
    assert_int_equal(durable_counted(h).by_status[DURABLE_QUEUED], 1);
    harness_close_store(h);
    assert_ok(harness_open_store(h));
    assert_journal(h, "a", 2);
}

static int retention_setup(void **state)
{
    struct harness *h = harness_new_folder();
    *state = h;
    h->durable_keep_us = 1;
    assert_ok(harness_open_store(h));
    assert_ok(workflow_make(h, "flow", "export default 1"));
    return 0;
}

static void old_ones_are_removed_but_none_that_may_be_asked_for(void **state)
{
    struct harness *h = *state;
    struct durable_child child = {.id = S("c"), .workflow = S("flow")};
    assert_ok(durable_start(h, "p"));
    assert_ok(durable_start(h, "q"));
    assert_ok(durable_start(h, "w"));
    assert_ok(COMMIT(h, "p", .count = 1, .children = &child, .children_len = 1));
    child.id = S("w");
    assert_ok(COMMIT(h, "q", .count = 1, .children = &child, .children_len = 1)); /* not its own */
    assert_ok(durable_end(h, "c", 0, DURABLE_COMPLETED));
    assert_ok(durable_end(h, "w", 0, DURABLE_COMPLETED));
    assert_ok(durable_suspend(h, "q", 1, 77, 0));
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof(id), "e%d", i);
        assert_ok(durable_start(h, id));
        assert_ok(durable_end(h, id, 0, i % 2 ? DURABLE_FAILED : DURABLE_COMPLETED));
    }
    /* p, q, the two whose results they may want; texts; chunks (p, q twice, c, w); the waiter. */
    wait_for_rows(h, REMAINS, 4 + 4 + 5 + 1);
    assert_true(durable_is_there(h, "c"));
    assert_true(durable_is_there(h, "w"));
    struct durable_counts counts = durable_counted(h);
    assert_int_equal(counts.by_status[DURABLE_QUEUED], 1);
    assert_int_equal(counts.by_status[DURABLE_SUSPENDED], 1);
    assert_int_equal(counts.by_status[DURABLE_COMPLETED], 2);
    assert_int_equal(counts.by_status[DURABLE_FAILED], 0);
    assert_ok(durable_end(h, "p", 1, DURABLE_COMPLETED));
    wait_for_rows(h, REMAINS, 2 + 2 + 3 + 1);
    assert_ok(durable_end(h, "q", 2, DURABLE_FAILED));
    wait_for_rows(h, REMAINS, 0);
    counts = durable_counted(h);
    for (int i = 0; i <= DURABLE_CANCELLED; i++)
        assert_int_equal(counts.by_status[i], 0);
}

/* A start finds what became old while no server ran. */
static void what_became_old_meanwhile_goes_at_the_start(void **state)
{
    struct harness *h = *state;
    assert_ok(durable_start(h, "a"));
    assert_ok(durable_start(h, "b"));
    assert_ok(durable_end(h, "a", 0, DURABLE_COMPLETED));
    harness_close_store(h);
    assert_ok(harness_open_store(h)); /* 7 days: nothing */
    assert_true(durable_is_there(h, "a"));
    harness_close_store(h);
    h->durable_keep_us = 1;
    assert_ok(harness_open_store(h));
    wait_for_rows(h, "SELECT count(*) FROM durable", 1);
    assert_true(durable_is_there(h, "b"));
}

/* Many and large chunks go in steps that let mutations through. */
static void a_long_journal_goes_in_steps(void **state)
{
    struct harness *h = *state;
    char *large = malloc(1 << 20);
    memset(large, 'x', 1 << 20);
    assert_ok(durable_start(h, "a"));
    for (int i = 0; i < 10; i++)
        assert_ok(COMMIT(h, "a", .first = i, .count = 1, .records = slice_of(large, 1 << 20)));
    free(large);
    assert_ok(durable_end(h, "a", 10, DURABLE_FAILED));
    for (int i = 0; i < 1200; i++) {
        struct durable_message m = {.execution = S("b"), .name = S("x"), .once = SLICE_EMPTY};
        if (i == 0)
            assert_ok(durable_start(h, "b"));
        char once[16];
        snprintf(once, sizeof(once), "%d", i);
        m.once = slice_cstr(once);
        store_durable_signal(h->store, NULL, &m);
    }
    assert_ok(durable_end(h, "b", 0, DURABLE_COMPLETED));
    wait_for_rows(h,
                  "SELECT (SELECT count(*) FROM signal) + (SELECT count(*) FROM signal_once)"
                  " + (SELECT count(*) FROM durable_purge)",
                  0);
    assert_journal(h, "b", 1);
    assert_ok(function_delete(h, "flow"));
    wait_for_rows(h, REMAINS, 0);
}

static int64_t crashed(struct harness *h, const char *id)
{
    struct store_op op = HARNESS_OP(h);
    store_durable_crashed(h->store, &op, slice_cstr(id));
    return harness_wait(h, &op) == OK ? op.number : -(int64_t)op.error.code;
}

static void the_third_crash_in_a_row_parks(void **state)
{
    struct harness *h = *state;
    assert_ok(durable_start(h, "a"));
    assert_int_equal(crashed(h, "a"), 1);
    assert_ok(COMMIT(h, "a", .count = 1, .sets_status = true, .status = DURABLE_RUNNING));
    assert_int_equal(crashed(h, "a"), 1); /* it had come further */
    assert_int_equal(crashed(h, "a"), 2);
    assert_false(durable_get(h, "a").is_paused);
    assert_int_equal(crashed(h, "a"), 3);
    struct durable_row row = durable_get(h, "a");
    assert_true(row.is_paused);
    assert_int_equal(row.status, DURABLE_RUNNING);
    assert_non_null(memmem(row.parked.ptr, row.parked.len, "three times", 11));
    assert_string_equal(durable_due(h, NEVER), "");
    assert_int_equal(durable_counted(h).paused, 1);
    /* Resumed: from the beginning. */
    struct store_op op = HARNESS_OP(h);
    store_durable_pause(h->store, &op, S("a"), false);
    assert_ok(harness_wait(h, &op));
    row = durable_get(h, "a");
    assert_false(row.is_paused);
    assert_slice(row.parked, "");
    assert_string_equal(durable_due(h, 1), "a");
    assert_int_equal(crashed(h, "a"), 1);
    assert_int_equal(crashed(h, "nobody"), -ERR_NOT_FOUND);
    assert_ok(durable_end(h, "a", 1, DURABLE_COMPLETED));
    assert_int_equal(crashed(h, "a"), -ERR_CONFLICT);
}

static void one_may_be_parked_for_another_reason(void **state)
{
    struct harness *h = *state;
    struct store_op op = HARNESS_OP(h);
    assert_ok(durable_start(h, "a"));
    store_durable_park(h->store, &op, S("a"), S("look at it"));
    assert_ok(harness_wait(h, &op));
    assert_slice(durable_get(h, "a").parked, "look at it");
    assert_true(durable_get(h, "a").is_paused);
    assert_ok(durable_end(h, "a", 0, DURABLE_FAILED));
    assert_false(durable_get(h, "a").is_paused);
    store_durable_park(h->store, &op, S("a"), S("again"));
    assert_int_equal(harness_wait(h, &op), ERR_CONFLICT);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, durable_setup, harness_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_third_crash_in_a_row_parks),
        TEST(one_may_be_parked_for_another_reason),
        TEST(a_retry_cuts_the_journal),
        TEST(a_restart_leaves_nothing_of_what_was),
        TEST(a_retry_has_the_signals_that_were_not_taken),
        TEST(a_retry_puts_back_the_signals_taken_behind_its_cut),
        TEST(a_retry_is_refused),
        TEST(a_fork_has_the_first_records),
        TEST(a_migration_needs_what_was_checked),
        TEST(a_snapshot_can_be_dropped),
        TEST(a_deleted_workflow_takes_its_executions_along),
        cmocka_unit_test_setup_teardown(old_ones_are_removed_but_none_that_may_be_asked_for,
                                        retention_setup, harness_teardown),
        TEST(what_became_old_meanwhile_goes_at_the_start),
        TEST(a_long_journal_goes_in_steps),
    };
    return cmocka_run_group_tests_name("durable_operate", tests, NULL, NULL);
}
