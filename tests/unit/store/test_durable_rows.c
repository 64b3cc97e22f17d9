/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of executions that run, which the writer keeps in memory and which commits that only append do not
 * touch: what they say must be what the journal says, whatever was refused, undone, removed or lost
 * with the process. */
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include "harness_durable.h"

static void run(struct harness *h, const char *id)
{
    assert_ok(durable_start(h, id));
    assert_ok(COMMIT(h, id, .count = 1, .sets_status = true, .status = DURABLE_RUNNING));
}

/* What the column says, whatever the journal has. */
static int64_t stored_records(struct harness *h, const char *id)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_open(h->url + strlen("sqlite:"), &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT records FROM durable WHERE id = ?1", -1, &st, NULL),
        SQLITE_OK);
    sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t records = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return records;
}

static void appends_change_no_row(void **state)
{
    struct harness *h = *state;
    run(h, "a");
    for (int64_t n = 1; n < 20; n++)
        assert_ok(COMMIT(h, "a", .first = n, .count = 1));
    assert_int_equal(stored_records(h, "a"), 1);
    assert_journal(h, "a", 20);
    struct durable_row *rows;
    struct slice next;
    size_t len;
    assert_ok(store_durables(h->reader, h->arena, &(struct durable_filter){.status = -1},
                             &(struct store_page){0}, &rows, &len, &next, &h->error));
    assert_int_equal(len, 1);
    assert_int_equal(rows[0].records, 20);
    /* The fence is what the journal has. */
    assert_int_equal(COMMIT(h, "a", .first = 1, .count = 1), ERR_CONFLICT);
    assert_text_has(h->error.message, "has 20 records");
    assert_int_equal(COMMIT(h, "a", .first = 21, .count = 1), ERR_CONFLICT);
    /* All that is not told by the journal is in the row at once, and with it the number. */
    assert_ok(durable_signal(h, "a", "x", "1", "", NULL));
    assert_int_equal(stored_records(h, "a"), 20);
    assert_ok(COMMIT(h, "a", .first = 20, .count = 1));
    assert_int_equal(stored_records(h, "a"), 20);
    assert_ok(durable_suspend(h, "a", 21, NEVER, 1));
    assert_int_equal(stored_records(h, "a"), 22);
    assert_journal(h, "a", 22);
    assert_ok(durable_end(h, "a", 22, DURABLE_COMPLETED));
    assert_journal(h, "a", 23);
}

/* As a process finds them that knows nothing of those before. */
static void the_next_server_goes_on_where_the_journal_ends(void **state)
{
    struct harness *h = *state;
    run(h, "a");
    run(h, "b");
    assert_ok(COMMIT(h, "a", .first = 1, .count = 7));
    harness_close_store(h);
    assert_ok(harness_open_store(h));
    assert_int_equal(stored_records(h, "a"), 1);
    assert_journal(h, "a", 8);
    assert_journal(h, "b", 1);
    assert_int_equal(COMMIT(h, "a", .first = 1, .count = 1), ERR_CONFLICT);
    assert_ok(COMMIT(h, "a", .first = 8, .count = 1));
    assert_ok(COMMIT(h, "b", .first = 1, .count = 1));
    assert_ok(durable_cancel(h, "a"));
    assert_ok(durable_pause(h, "a", true));
    assert_journal(h, "a", 9);
    assert_ok(durable_end(h, "a", 9, DURABLE_CANCELLED));
    assert_ok(durable_retry(h, "a", 5, 1, 0));
    assert_journal(h, "a", 5);
    assert_ok(COMMIT(h, "a", .first = 5, .count = 1)); /* it is not said to run */
    assert_int_equal(stored_records(h, "a"), 6);
}

static void what_is_undone_is_forgotten(void **state)
{
    struct harness *h = *state;
    run(h, "a");
    run(h, "b");
    assert_ok(COMMIT(h, "a", .first = 1, .count = 1));
    assert_ok(COMMIT(h, "b", .first = 1, .count = 1));
    /* Appended, b woken, then refused, in a savepoint. */
    const struct store_step steps[] = {
        {.kind = STORE_STEP_APPEND, .append = {1, S("00000002")}},
        {.kind = STORE_STEP_MESSAGE, .message = {S("b"), S("x"), S("1"), S("")}},
        {.kind = STORE_STEP_SIGNAL_BACK, .signal_back = {77, 1, S("x"), S("1")}},
    };
    struct store_op op = HARNESS_OP(h);
    store_durable_commit(h->store, &op, S("a"), 2, steps, 3);
    assert_int_equal(harness_wait(h, &op), ERR_INVALID);
    assert_journal(h, "a", 2);
    assert_int_equal(durable_get(h, "b").events, 0);
    assert_int_equal(COMMIT(h, "a", .first = 3, .count = 1), ERR_CONFLICT);
    assert_ok(COMMIT(h, "a", .first = 2, .count = 1));
    assert_ok(COMMIT(h, "b", .first = 2, .count = 1));
    assert_int_equal(durable_get(h, "b").events, 0);
    assert_journal(h, "a", 3);
    assert_journal(h, "b", 3);
}

static void set_file_size_max(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_batch_that_the_disk_refused_is_forgotten(void **state)
{
    struct harness *h = *state;
    run(h, "a");
    signal(SIGXFSZ, SIG_IGN);
    set_file_size_max(2 * 1024 * 1024);
    enum err code = OK;
    int64_t records = 1;
    while (code == OK && records < 100000) {
        code = COMMIT(h, "a", .first = records, .count = 500);
        records += code == OK ? 500 : 0;
    }
    set_file_size_max(RLIM_INFINITY);
    assert_int_equal(code, ERR_UNAVAILABLE);
    assert_true(records > 1);
    assert_journal(h, "a", records);
    assert_int_equal(COMMIT(h, "a", .first = records + 500, .count = 1), ERR_CONFLICT);
    assert_ok(COMMIT(h, "a", .first = records, .count = 1));
    assert_journal(h, "a", records + 1);
}

static void one_of_a_deleted_workflow_is_gone(void **state)
{
    struct harness *h = *state;
    run(h, "a");
    assert_ok(COMMIT(h, "a", .first = 1, .count = 1));
    assert_ok(function_delete(h, "flow"));
    assert_int_equal(COMMIT(h, "a", .first = 2, .count = 1), ERR_NOT_FOUND);
    assert_ok(workflow_make(h, "flow", "export default 2"));
    assert_int_equal(COMMIT(h, "a", .first = 2, .count = 1), ERR_NOT_FOUND);
    run(h, "a");
    assert_journal(h, "a", 1);
    assert_ok(COMMIT(h, "a", .first = 1, .count = 1));
    assert_journal(h, "a", 2);
}

static int64_t crash(struct harness *h, const char *id)
{
    struct store_op op = HARNESS_OP(h);
    store_durable_crashed(h->store, &op, slice_cstr(id));
    assert_ok(harness_wait(h, &op));
    return op.number;
}

/* Deaths in a row are those without a new record in between, whether the row knows of it or not. */
static void a_record_in_between_is_seen_by_the_count_of_deaths(void **state)
{
    struct harness *h = *state;
    run(h, "a");
    assert_int_equal(crash(h, "a"), 1);
    assert_int_equal(crash(h, "a"), 2);
    assert_ok(COMMIT(h, "a", .first = 1, .count = 1));
    assert_int_equal(crash(h, "a"), 1);
    assert_ok(COMMIT(h, "a", .first = 2, .count = 1));
    harness_close_store(h);
    assert_ok(harness_open_store(h));
    assert_int_equal(crash(h, "a"), 1);
    assert_int_equal(crash(h, "a"), 2);
    assert_int_equal(crash(h, "a"), 3);
    assert_true(durable_get(h, "a").is_paused);
}

/* More than are kept: those in the middle of their lives are read again. */
static void more_run_than_are_kept(void **state)
{
    enum { MANY = 4200, AT_ONCE = 100 };
    struct harness *h = *state;
    static struct store_op ops[AT_ONCE];
    char id[16];
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < MANY; i += AT_ONCE) {
            store_gather(h->store);
            for (int k = 0; k < AT_ONCE; k++) {
                snprintf(id, sizeof(id), "%d", i + k);
                ops[k] = (struct store_op)HARNESS_OP(h);
                if (k < AT_ONCE - 1)
                    ops[k].done = NULL;
                struct durable_row row = {.id = slice_cstr(id), .workflow = S("flow")};
                const struct store_step steps[] = {
                    {.kind = STORE_STEP_APPEND, .append = {1, S("00000000")}},
                    {.kind = STORE_STEP_STATUS, .status = {.status = DURABLE_RUNNING}}};
                if (round == 0)
                    store_durable_start(h->store, &ops[k], &row);
                else
                    store_durable_commit(h->store, &ops[k], row.id, round - 1, steps,
                                         round == 1 ? 2 : 1);
            }
            store_send(h->store);
            assert_ok(harness_wait(h, &ops[AT_ONCE - 1]));
        }
    for (int i = 0; i < MANY; i += 7) {
        snprintf(id, sizeof(id), "%d", i);
        assert_int_equal(durable_get(h, id).records, 2);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, durable_setup, harness_teardown)
    const struct CMUnitTest tests[] = {
        TEST(appends_change_no_row),
        TEST(the_next_server_goes_on_where_the_journal_ends),
        TEST(what_is_undone_is_forgotten),
        TEST(a_batch_that_the_disk_refused_is_forgotten),
        TEST(one_of_a_deleted_workflow_is_gone),
        TEST(a_record_in_between_is_seen_by_the_count_of_deaths),
        TEST(more_run_than_are_kept),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("store/durable_rows", tests, NULL, NULL);
}
