/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal's tail in a module's database: what is put comes back gapless, with the guest's
 * effects or not at all, also over kill -9; guests cannot touch the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "durable/record.h"
#include "host/sql_internal.h"
#include "host/sql_journal.h"
#include "sql_fixture.h"

static const struct slice X = SLICE_LIT("execution-x"), Y = SLICE_LIT("execution-y");

/* Record number n tells its number. */
static void add_record(struct bytes *out, int64_t n, size_t len)
{
    CLEANUP(bytes_done) struct bytes payload = BYTES_INIT;
    bytes_printf(&payload, "%" PRId64 " ", n);
    while (payload.len < len)
        bytes_append_char(&payload, 'x');
    struct record r = {.kind = RECORD_SYNC, .op = 26, .at_us = n, .payload = bytes_slice(&payload)};
    record_append(&r, out);
}

static enum err put(struct fixture *x, struct slice execution, int64_t first, int64_t end,
                    int64_t stored)
{
    CLEANUP(bytes_done) struct bytes chunk = BYTES_INIT;
    for (int64_t n = first; n < end; n++)
        add_record(&chunk, n, 10);
    x->error = (struct error){0};
    return sql_journal_put(x->conn, execution, first, bytes_slice(&chunk), stored, &x->error);
}

/* A transaction that inserts a value and keeps records. */
static void commit_with(struct fixture *x, const char *sql, int64_t first, int64_t end,
                        int64_t stored)
{
    assert_int_equal(act(x, SQL_BEGIN), OK);
    assert_int_equal(run(x, sql, NULL), OK);
    assert_true(sql_is_writing(x->conn));
    assert_int_equal(put(x, X, first, end, stored), OK);
    assert_int_equal(act(x, SQL_COMMIT), OK);
}

/* What is there from `from` on is exactly first..end-1. */
static void expect(struct fixture *x, struct slice execution, int64_t from, int64_t first,
                   int64_t end)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    int64_t got = -1;
    bytes_append_cstr(&out, "kept");
    enum err err = sql_journal_get(x->conn, execution, from, &out, &got, &x->error);
    if (err != OK)
        fail_msg("%s", x->error.message);
    assert_int_equal(got, first);
    assert_memory_equal(out.ptr, "kept", 4);
    struct slice rest = slice_skip(bytes_slice(&out), 4);
    struct record r;
    for (int64_t n = first; n < end; n++) {
        assert_int_equal(record_take(&rest, &r, &x->error), OK);
        assert_int_equal(r.at_us, n);
    }
    assert_int_equal(rest.len, 0);
}

static void expect_nothing(struct fixture *x, struct slice execution, int64_t from)
{
    expect(x, execution, from, from, from);
}

static const char *query(struct fixture *x, const char *sql)
{
    if (run(x, sql, NULL) != OK)
        fail_msg("%s: %s", sql, x->error.message);
    return bytes_cstr(&x->text);
}

static void nothing_is_made_by_reading(void **state)
{
    struct fixture *x = *state;
    uint64_t seen = sql_conn_seen(x->conn);
    expect_nothing(x, X, 0);
    expect_nothing(x, X, 7);
    assert_int_equal(sql_journal_forget(x->conn, X, &x->error), OK);
    assert_string_equal(query(x, "SELECT count(*) FROM sqlite_schema"), "count(*)\n0\n");
    assert_int_equal(sql_conn_seen(x->conn), seen);
}

static void runs_join(void **state)
{
    struct fixture *x = *state;
    (void)query(x, "CREATE TABLE t(a)");
    commit_with(x, "INSERT INTO t VALUES(1)", 3, 5, 3);
    expect(x, X, 3, 3, 5);
    expect(x, X, 4, 4, 5);
    expect_nothing(x, X, 5);
    expect(x, X, 0, 3, 5);                              /* that is all there is */
    commit_with(x, "INSERT INTO t VALUES(2)", 3, 8, 3); /* again, longer */
    expect(x, X, 3, 3, 8);
    commit_with(x, "INSERT INTO t VALUES(3)", 6, 10, 4); /* overlapping */
    expect(x, X, 4, 4, 10);
    expect(x, X, 7, 7, 10);
    commit_with(x, "INSERT INTO t VALUES(4)", 10, 12, 4); /* following */
    expect(x, X, 4, 4, 12);
    commit_with(x, "INSERT INTO t VALUES(5)", 14, 16, 4); /* after a gap */
    expect(x, X, 4, 4, 12);
    expect(x, X, 12, 14, 16);
    expect_nothing(x, Y, 0);
    fixture_reopen(x, 0);
    expect(x, X, 4, 4, 12);
}

static int rows_of(struct fixture *x)
{
    sqlite3_stmt *stmt;
    int n = 0;
    x->conn->is_internal = true;
    if (sqlite3_prepare_v2(x->conn->db, "SELECT count(*) FROM limpet_journal", -1, &stmt, NULL) ==
        SQLITE_OK) {
        assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
        n = sqlite3_column_int(stmt, 0);
    }
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
    x->conn->is_internal = false;
    return n;
}

static void stored_rows_go(void **state)
{
    struct fixture *x = *state;
    (void)query(x, "CREATE TABLE t(a)");
    assert_int_equal(act(x, SQL_BEGIN), OK);
    assert_int_equal(put(x, Y, 0, 3, 0), OK);
    assert_int_equal(act(x, SQL_COMMIT), OK);
    commit_with(x, "INSERT INTO t VALUES(1)", 1, 3, 1);
    commit_with(x, "INSERT INTO t VALUES(1)", 3, 6, 2); /* the first row ends above 2 */
    assert_int_equal(rows_of(x), 3);
    commit_with(x, "INSERT INTO t VALUES(1)", 6, 7, 3);
    assert_int_equal(rows_of(x), 3); /* it is gone, and one has come */
    expect(x, X, 3, 3, 7);
    commit_with(x, "INSERT INTO t VALUES(1)", 7, 8, 7);
    assert_int_equal(rows_of(x), 2);
    expect(x, X, 7, 7, 8);
    expect(x, Y, 0, 0, 3);
    assert_int_equal(sql_journal_forget(x->conn, X, &x->error), OK);
    expect_nothing(x, X, 7);
    expect(x, Y, 1, 1, 3);
    assert_int_equal(sql_journal_forget(x->conn, Y, &x->error), OK);
    assert_int_equal(rows_of(x), 0);
}

static void rollback_loses_both(void **state)
{
    struct fixture *x = *state;
    (void)query(x, "CREATE TABLE t(a)");
    for (int round = 0; round < 3; round++) { /* the table goes with the first ones */
        assert_int_equal(act(x, SQL_BEGIN), OK);
        assert_int_equal(run(x, "INSERT INTO t VALUES(1)", NULL), OK);
        assert_int_equal(put(x, X, 0, 2, 0), OK);
        expect(x, X, 0, 0, 2);
        if (round == 0)
            assert_int_equal(act(x, SQL_ROLLBACK), OK);
        else
            sql_rollback_all(x->conn);
        assert_string_equal(query(x, "SELECT count(*) FROM t"), "count(*)\n0\n");
        expect_nothing(x, X, 0);
        assert_int_equal(sql_journal_forget(x->conn, X, &x->error), OK);
    }
    commit_with(x, "INSERT INTO t VALUES(1)", 0, 2, 0);
    assert_string_equal(query(x, "SELECT count(*) FROM t"), "count(*)\n1\n");
    expect(x, X, 0, 0, 2);
    /* An inner transaction that is rolled back takes what was put in it. */
    assert_int_equal(act(x, SQL_BEGIN), OK);
    assert_int_equal(put(x, X, 2, 3, 0), OK);
    assert_int_equal(act(x, SQL_BEGIN), OK);
    assert_int_equal(put(x, X, 3, 4, 0), OK);
    assert_int_equal(act(x, SQL_ROLLBACK), OK);
    assert_int_equal(act(x, SQL_COMMIT), OK);
    expect(x, X, 0, 0, 3);
}

static void connections_see_each_other(void **state)
{
    struct fixture *x = *state;
    struct fixture other = {.file = x->file};
    assert_int_equal(sql_conn_open(x->file, &other.conn, &x->error), OK);
    (void)query(x, "CREATE TABLE t(a)");
    expect_nothing(&other, X, 0); /* it knows the schema now, without the table */
    commit_with(x, "INSERT INTO t VALUES(1)", 0, 2, 0);
    expect(&other, X, 0, 0, 2);
    assert_int_equal(act(&other, SQL_BEGIN), OK);
    x->error = (struct error){0};
    assert_int_equal(sql_journal_forget(x->conn, X, &x->error), ERR_UNAVAILABLE);
    assert_int_equal(put(&other, X, 2, 3, 0), OK);
    assert_int_equal(sql_journal_forget(other.conn, X, &other.error), ERR_UNAVAILABLE);
    assert_int_equal(act(&other, SQL_COMMIT), OK);
    expect(x, X, 0, 0, 3);
    assert_int_equal(sql_journal_forget(other.conn, X, &x->error), OK);
    expect_nothing(x, X, 0);
    sql_conn_close(other.conn);
}

static void knows_whether_it_is_writing(void **state)
{
    struct fixture *x = *state;
    assert_false(sql_is_writing(x->conn));
    (void)query(x, "CREATE TABLE t(a)");
    assert_false(sql_is_writing(x->conn)); /* no transaction is open */
    assert_int_equal(act(x, SQL_BEGIN), OK);
    assert_false(sql_is_writing(x->conn));
    (void)query(x, "SELECT * FROM t");
    assert_false(sql_is_writing(x->conn));
    (void)query(x, "INSERT INTO t VALUES(1)");
    assert_true(sql_is_writing(x->conn));
    assert_int_equal(act(x, SQL_BEGIN), OK);
    assert_true(sql_is_writing(x->conn));
    assert_int_equal(act(x, SQL_COMMIT), OK);
    assert_int_equal(act(x, SQL_COMMIT), OK);
    assert_false(sql_is_writing(x->conn));
    assert_int_equal(act(x, SQL_BEGIN), OK);
    assert_false(sql_is_writing(x->conn));
    (void)query(x, "CREATE TABLE u(a)");
    assert_true(sql_is_writing(x->conn));
    assert_int_equal(act(x, SQL_ROLLBACK), OK);
    assert_false(sql_is_writing(x->conn));
}

static void limits_of_guests_do_not_count(void **state)
{
    struct fixture *x = *state;
    CLEANUP(bytes_done) struct bytes chunk = BYTES_INIT, out = BYTES_INIT;
    int64_t first;
    (void)query(x, "CREATE TABLE t(a)");
    /* With its other columns the row is more than a guest's may be. */
    add_record(&chunk, 0, SQL_JOURNAL_BYTES_MAX - RECORD_HEAD_BYTES);
    assert_int_equal(chunk.len, SQL_VALUE_BYTES_MAX);
    assert_int_equal(act(x, SQL_BEGIN), OK);
    sql_conn_set_deadline(x->conn, 1); /* long ago */
    assert_int_equal(sql_journal_put(x->conn, X, 0, bytes_slice(&chunk), 0, &x->error), OK);
    sql_conn_set_deadline(x->conn, 0);
    assert_int_equal(act(x, SQL_COMMIT), OK);
    assert_int_equal(sql_journal_get(x->conn, X, 0, &out, &first, &x->error), OK);
    assert_true(slice_eq(bytes_slice(&out), bytes_slice(&chunk)));
    /* Guests have theirs again, and what they can ask for has not changed. */
    char large[64];
    snprintf(large, sizeof(large), "SELECT length(hex(zeroblob(%d)))", SQL_VALUE_BYTES_MAX / 2 + 1);
    assert_int_equal(run(x, large, NULL), ERR_LIMIT);
    (void)query(x, "INSERT INTO t VALUES(1)");
    commit_with(x, "INSERT INTO t VALUES(2)", 1, 2, 1);
    assert_string_equal(query(x, "SELECT last_insert_rowid()"), "last_insert_rowid()\n2\n");
}

static void bad_input(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(act(x, SQL_BEGIN), OK);
    assert_int_equal(sql_journal_put(x->conn, X, 0, SLICE_LIT("nonsense"), 0, &x->error),
                     ERR_CORRUPT);
    assert_int_equal(put(x, X, 5, 5, 0), OK); /* nothing */
    assert_int_equal(rows_of(x), 0);
    assert_int_equal(put(x, X, 0, 2, 0), OK);
    assert_int_equal(act(x, SQL_COMMIT), OK);
    x->conn->is_internal = true;
    assert_int_equal(
        sqlite3_exec(x->conn->db, "UPDATE limpet_journal SET count = 3", NULL, NULL, NULL),
        SQLITE_OK);
    x->conn->is_internal = false;
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    int64_t first = -1;
    assert_int_equal(sql_journal_get(x->conn, X, 0, &out, &first, &x->error), ERR_CORRUPT);
    assert_int_equal(out.len, 0);
    assert_int_equal(first, -1);
    assert_int_equal(sql_journal_forget(x->conn, X, &x->error), OK);
}

static void a_full_database(void **state)
{
    struct fixture *x = *state;
    CLEANUP(bytes_done) struct bytes chunk = BYTES_INIT;
    fixture_reopen(x, 64 * 1024);
    (void)query(x, "CREATE TABLE t(a)");
    add_record(&chunk, 0, 200 * 1024);
    assert_int_equal(act(x, SQL_BEGIN), OK);
    (void)query(x, "INSERT INTO t VALUES(1)");
    assert_int_equal(sql_journal_put(x->conn, X, 0, bytes_slice(&chunk), 0, &x->error),
                     ERR_LIMIT_DISK);
    sql_rollback_all(x->conn);
    assert_string_equal(query(x, "SELECT count(*) FROM t"), "count(*)\n0\n");
    expect_nothing(x, X, 0);
    commit_with(x, "INSERT INTO t VALUES(1)", 0, 2, 0);
}

/* Where SQLite finds the name taken before it asks whether it may be, that is as good. */
static void refuse(struct fixture *x, const char *sql)
{
    enum err err = run(x, sql, NULL);
    if (err != ERR_FORBIDDEN && !strstr(x->error.message, "already"))
        fail_msg("%s: %s", sql, x->error.message);
    assert_non_null(strstr(x->error.message, "limpet_journal"));
}

static void guests_are_refused(void **state)
{
    static const char *const reserved[] = {
        "CREATE TABLE limpet_journal(a)",
        "CREATE TABLE \"Limpet_Journal\"(a)",
        "CREATE TABLE IF NOT EXISTS [LIMPET_JOURNAL](a)",
        "CREATE TABLE limpet_journal AS SELECT 1",
        "CREATE VIEW limpet_journal AS SELECT 1",
        "CREATE INDEX limpet_journal ON t(a)",
        "CREATE TRIGGER limpet_journal AFTER INSERT ON t BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE limpet_journal USING fts5(a)",
        "CREATE VIRTUAL TABLE f USING fts5(a, content='limpet_journal')",
        "CREATE TABLE c(a REFERENCES limpet_journal(execution))",
        "CREATE VIEW v AS SELECT * FROM limpet_journal",
        "CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM limpet_journal; END",
        "ALTER TABLE t RENAME TO limpet_journal",
        "ALTER TABLE t ADD COLUMN b REFERENCES limpet_journal",
        "PRAGMA table_info(limpet_journal)",
        "SELECT * FROM pragma_table_info('limpet_journal')",
    };
    static const char *const touching[] = {
        "SELECT * FROM limpet_journal",
        "SELECT count(*) FROM main.limpet_journal",
        "SELECT * FROM t WHERE a IN (SELECT first FROM \"limpet_journal\")",
        "WITH j AS (SELECT * FROM limpet_journal) SELECT 1 FROM j",
        "INSERT INTO limpet_journal VALUES(x'', 1, 1, x'')",
        "REPLACE INTO limpet_journal VALUES(x'', 1, 1, x'')",
        "UPDATE limpet_journal SET first = 0",
        "DELETE FROM limpet_journal",
        "DROP TABLE limpet_journal",
        "DROP TABLE IF EXISTS LIMPET_JOURNAL",
        "ALTER TABLE limpet_journal RENAME TO j",
        "ALTER TABLE limpet_journal ADD COLUMN z",
        "ALTER TABLE limpet_journal DROP COLUMN count",
        "CREATE INDEX j ON limpet_journal(first)",
        "CREATE TRIGGER j AFTER INSERT ON limpet_journal BEGIN SELECT 1; END",
        "CREATE TABLE j AS SELECT * FROM limpet_journal",
        "INSERT INTO t SELECT records FROM limpet_journal",
        "EXPLAIN SELECT * FROM limpet_journal",
    };
    struct fixture *x = *state;
    (void)query(x, "CREATE TABLE t(a)");
    for (int round = 0; round < 2; round++) {
        for (size_t k = 0; k < ARRAY_LEN(reserved); k++)
            refuse(x, reserved[k]);
        if (round == 0)
            commit_with(x, "INSERT INTO t VALUES(1)", 0, 2, 0);
    }
    for (size_t k = 0; k < ARRAY_LEN(touching); k++)
        refuse(x, touching[k]);
    assert_int_equal(run(x, "DELETE FROM sqlite_schema", NULL), ERR_SQL);
    expect(x, X, 0, 0, 2);
    /* What has nothing to do with it goes on. */
    static const char *const allowed[] = {
        "INSERT INTO t VALUES('limpet_journal')",
        "ALTER TABLE t ADD COLUMN b",
        "ALTER TABLE t RENAME COLUMN b TO c",
        "ALTER TABLE t RENAME TO u",
        "ALTER TABLE u DROP COLUMN c",
        "CREATE INDEX i ON u(a)",
        "ANALYZE",
        "REINDEX",
        "PRAGMA optimize",
        "PRAGMA foreign_key_check",
        "DROP TABLE u",
    };
    for (size_t k = 0; k < ARRAY_LEN(allowed); k++)
        (void)query(x, allowed[k]);
    assert_string_equal(query(x, "PRAGMA integrity_check"), "integrity_check\n'ok'\n");
    expect(x, X, 0, 0, 2);
    (void)query(x, "CREATE TABLE t(a)");
    commit_with(x, "INSERT INTO t VALUES(1)", 2, 3, 0);
    expect(x, X, 0, 0, 3);
}

/* ---- kill -9 ---- */

/* Commits value n with record n, for ever; tells each commit. */
_Noreturn static void child_commits(const char *path, int tell)
{
    struct sql_file *file;
    struct sql_conn *conn;
    CLEANUP(bytes_done) struct bytes result = BYTES_INIT;
    if (sql_file_open(path, 0, &file, NULL) != OK || sql_conn_open(file, &conn, NULL) != OK)
        _exit(1);
    for (int64_t n = 0;; n++) {
        CLEANUP(bytes_done) struct bytes chunk = BYTES_INIT, sql = BYTES_INIT;
        int64_t stored = n > 5 ? n - 5 : 0, first = n > 3 ? n - 3 : 0;
        for (int64_t k = first; k <= n; k++)
            add_record(&chunk, k, 3000);
        bytes_printf(&sql, "INSERT INTO t VALUES(%" PRId64 ", randomblob(2000))", n);
        bytes_clear(&result);
        if (sql_transaction(conn, SQL_BEGIN, NULL) != OK ||
            sql_exec(conn, bytes_slice(&sql), SLICE_EMPTY, &result, NULL) != OK ||
            sql_journal_put(conn, X, first, bytes_slice(&chunk), stored, NULL) != OK ||
            sql_transaction(conn, SQL_COMMIT, NULL) != OK ||
            write(tell, &n, sizeof(n)) != sizeof(n))
            _exit(1);
    }
}

static int64_t told_until_killed(const char *path, unsigned commits)
{
    int pipes[2];
    int64_t told = -1, n;
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(pipes[0]);
        child_commits(path, pipes[1]);
    }
    close(pipes[1]);
    for (unsigned k = 0; k < commits && read(pipes[0], &n, sizeof(n)) == sizeof(n); k++)
        told = n;
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (read(pipes[0], &n, sizeof(n)) == sizeof(n))
        told = n;
    close(pipes[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    return told;
}

/* Killed anywhere, rows and records are of the same commit. */
static void kill_9_leaves_both_or_neither(void **state)
{
    struct fixture *x = *state;
    for (unsigned round = 0; round < 20; round++) {
        (void)query(x, "DROP TABLE IF EXISTS t");
        (void)query(x, "CREATE TABLE t(n INTEGER PRIMARY KEY, pad)");
        assert_int_equal(sql_journal_forget(x->conn, X, &x->error), OK);
        fixture_close(x);
        int64_t told = told_until_killed(x->path, 1 + 7 * round % 41);
        fixture_open(x, 0);
        (void)query(x, "SELECT max(n) FROM t");
        int64_t last = strtoll(strchr(bytes_cstr(&x->text), '\n') + 1, NULL, 10);
        assert_true(last >= told);
        (void)query(x, "SELECT count(*) FROM t");
        assert_int_equal(strtoll(strchr(bytes_cstr(&x->text), '\n') + 1, NULL, 10), last + 1);
        int64_t from = last > 5 ? last - 5 : 0;
        expect(x, X, from, from, last + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fixture_up, fixture_down)
        T(nothing_is_made_by_reading),
        T(runs_join),
        T(stored_rows_go),
        T(rollback_loses_both),
        T(connections_see_each_other),
        T(knows_whether_it_is_writing),
        T(limits_of_guests_do_not_count),
        T(bad_input),
        T(a_full_database),
        T(guests_are_refused),
        T(kill_9_leaves_both_or_neither),
#undef T
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("host/sql_journal", tests, NULL, NULL);
}
