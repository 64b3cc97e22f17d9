/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/sql_internal.h"
#include "sql_fixture.h"

static void values_of_all_types_round_trip(void **state)
{
    struct fixture *x = *state;
    struct bytes p = BYTES_INIT;
    bytes_append_u32(&p, 8);
    param_null(&p);
    param_i64(&p, INT64_MIN);
    param_i64(&p, INT64_MAX);
    param_f64(&p, 1.5);
    param_f64(&p, -INFINITY);
    param_f64(&p, NAN);
    param_text(&p, slice_of("a\0\xc3\xa9", 4));
    param_blob(&p, slice_of("\0\xff", 2));
    assert_int_equal(run(x, "SELECT ?, ?, ?, ?, ?, ?, ?, ?, '' AS e, x'' AS b", &p), OK);
    assert_string_equal(
        show(x),
        "?|?|?|?|?|?|?|?|e|b\n"
        "null|-9223372036854775808|9223372036854775807|1.5|-inf|null|'a.\xc3\xa9'|x00ff|''|x"
        "\n");
    bytes_done(&p);
}

static void invalid_utf8_is_replaced(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(run(x, "SELECT CAST(x'41ff42eda080' AS TEXT) AS t", NULL), OK);
    assert_string_equal(show(x), "t\n'A\xef\xbf\xbd"
                                 "B\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd'\n");
    struct bytes p = BYTES_INIT;
    bytes_append_u32(&p, 1);
    param_text(&p, SLICE_LIT("x\xed\xa0\x80"));
    assert_int_equal(run(x, "SELECT length(?) AS n", &p), OK);
    assert_string_equal(show(x), "n\n4\n");
    bytes_done(&p);
}

static void several_statements_run_in_order(void **state)
{
    struct fixture *x = *state;
    struct bytes p = BYTES_INIT;
    bytes_append_u32(&p, 2);
    param_i64(&p, 7);
    param_text(&p, SLICE_LIT("seven"));
    assert_int_equal(
        run(x,
            "-- schema\n CREATE TABLE t(a, b); ; /* ; */ INSERT INTO t VALUES(1, 'one');\n"
            "INSERT INTO t VALUES(?, ?) ; -- end",
            &p),
        OK);
    assert_int_equal(x->changes, 1);
    assert_int_equal(x->rowid, 2);
    assert_int_equal(run(x, "SELECT * FROM t; SELECT * FROM t WHERE a=?2 OR b=?1", NULL), ERR_SQL);
    assert_int_equal(run(x, "SELECT * FROM t ORDER BY a", NULL), OK);
    assert_string_equal(show(x), "a|b\n1|'one'\n7|'seven'\n");
    assert_int_equal(x->changes, 0);
    /* Parameters belong to the last statement. */
    assert_int_equal(run(x, "INSERT INTO t VALUES(?, ?); SELECT 1", NULL), ERR_SQL);
    assert_non_null(strstr(x->error.message, "only the last"));
    assert_int_equal(run(x, "SELECT ?", NULL), ERR_SQL);
    assert_int_equal(run(x, "SELECT 1", &p), ERR_SQL);
    assert_int_equal(run(x, "", &p), ERR_SQL);
    assert_int_equal(run(x, " -- nothing", NULL), OK);
    assert_string_equal(show(x), "");
    assert_int_equal(run_slice(x, slice_of("SELECT 1\0 junk", 14), NULL), ERR_SQL);
    bytes_done(&p);
}

static void errors_carry_sqlites_message(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(run(x, "SELEC 1", NULL), ERR_SQL);
    assert_non_null(strstr(x->error.message, "syntax error"));
    assert_int_equal(run(x, "CREATE TABLE t(a UNIQUE)", NULL), OK);
    assert_int_equal(run(x, "INSERT INTO t VALUES(1)", NULL), OK);
    assert_int_equal(run(x, "INSERT INTO t VALUES(1)", NULL), ERR_SQL);
    assert_string_equal(x->error.message, "UNIQUE constraint failed: t.a");
    assert_int_equal(
        run(x, "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p)", NULL), OK);
    assert_int_equal(run(x, "INSERT INTO c VALUES(5)", NULL), ERR_SQL); /* foreign_keys=ON */
    assert_int_equal(x->result.len, 0);
}

static void bad_params_are_refused(void **state)
{
    struct fixture *x = *state;
    static const char *const bad[] = {"\1",
                                      "\1\0\0\0",
                                      "\1\0\0\0\5",
                                      "\1\0\0\0\1\0",
                                      "\1\0\0\0\3\xff\xff\xff\xff",
                                      "\1\0\0\0\3\2\0\0\0a",
                                      "\1\0\0\0\0\0"};
    static const size_t lens[] = {1, 4, 5, 6, 9, 10, 6};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        x->result.len = 0;
        assert_int_equal(sql_exec(x->conn, SLICE_LIT("SELECT ?"), slice_of(bad[i], lens[i]),
                                  &x->result, &x->error),
                         ERR_INVALID);
    }
}

static void transactions_nest(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(run(x, "CREATE TABLE t(a)", NULL), OK);
    assert_int_equal(act(x, SQL_COMMIT), ERR_SQL);
    assert_int_equal(act(x, SQL_ROLLBACK), ERR_SQL);
    assert_int_equal(act(x, SQL_BEGIN), OK);
    assert_true(sql_in_transaction(x->conn));
    assert_int_equal(run(x, "INSERT INTO t VALUES(1)", NULL), OK);
    assert_int_equal(act(x, SQL_BEGIN), OK);
    assert_int_equal(run(x, "INSERT INTO t VALUES(2)", NULL), OK);
    assert_int_equal(act(x, SQL_ROLLBACK), OK);
    assert_int_equal(act(x, SQL_BEGIN), OK);
    assert_int_equal(run(x, "INSERT INTO t VALUES(3)", NULL), OK);
    assert_int_equal(act(x, SQL_COMMIT), OK);
    assert_int_equal(act(x, SQL_COMMIT), OK);
    assert_false(sql_in_transaction(x->conn));
    assert_int_equal(run(x, "SELECT a FROM t", NULL), OK);
    assert_string_equal(show(x), "a\n1\n3\n");
    assert_int_equal(act(x, SQL_BEGIN), OK);
    assert_int_equal(run(x, "DELETE FROM t", NULL), OK);
    sql_rollback_all(x->conn);
    assert_false(sql_in_transaction(x->conn));
    assert_int_equal(run(x, "SELECT count(*) AS n FROM t", NULL), OK);
    assert_string_equal(show(x), "n\n2\n");
    int depth = 0;
    while (act(x, SQL_BEGIN) == OK)
        depth++;
    assert_int_equal(depth, SQL_NESTED_MAX);
    assert_int_equal(x->error.code, ERR_LIMIT);
    sql_rollback_all(x->conn);
}

static void failed_commit_stays_open(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(run(x,
                         "CREATE TABLE p(id INTEGER PRIMARY KEY);"
                         "CREATE TABLE c(p REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
                         NULL),
                     OK);
    assert_int_equal(act(x, SQL_BEGIN), OK);
    assert_int_equal(run(x, "INSERT INTO c VALUES(1)", NULL), OK);
    assert_int_equal(act(x, SQL_COMMIT), ERR_SQL);
    assert_true(sql_in_transaction(x->conn));
    assert_int_equal(run(x, "INSERT INTO p VALUES(1)", NULL), OK);
    assert_int_equal(act(x, SQL_COMMIT), OK);
}

static const char *const endless =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

static void deadline_interrupts(void **state)
{
    struct fixture *x = *state;
    sql_conn_set_deadline(x->conn, clock_monotonic_ns() + 5 * 1000 * 1000);
    assert_int_equal(run(x, endless, NULL), ERR_LIMIT_CPU);
    sql_conn_set_deadline(x->conn, 0);
    assert_int_equal(run(x, "CREATE TABLE t(a)", NULL), OK);
    /* SQLite ends the transaction of an interrupted write; the guest must not go on outside of it.
     */
    assert_int_equal(act(x, SQL_BEGIN), OK);
    assert_int_equal(act(x, SQL_BEGIN), OK);
    assert_int_equal(run(x, "INSERT INTO t VALUES(1)", NULL), OK);
    sql_conn_set_deadline(x->conn, clock_monotonic_ns() + 5 * 1000 * 1000);
    assert_int_equal(
        run(x,
            "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
            "SELECT i FROM n",
            NULL),
        ERR_LIMIT_CPU);
    sql_conn_set_deadline(x->conn, 0);
    assert_int_equal(run(x, "INSERT INTO t VALUES(2)", NULL), ERR_SQL);
    assert_int_equal(act(x, SQL_COMMIT), ERR_SQL);
    assert_int_equal(act(x, SQL_ROLLBACK), OK);
    assert_int_equal(run(x, "INSERT INTO t VALUES(2)", NULL), ERR_SQL);
    assert_int_equal(act(x, SQL_ROLLBACK), OK);
    assert_int_equal(run(x, "SELECT count(*) AS n FROM t", NULL), OK);
    assert_string_equal(show(x), "n\n0\n");
}

static void large_results_are_refused(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(run(x, "CREATE TABLE t(a)", NULL), OK);
    assert_int_equal(run(x,
                         "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50) "
                         "SELECT zeroblob(100000) FROM n",
                         NULL),
                     ERR_LIMIT);
    assert_int_equal(x->result.len, 0);
    assert_int_equal(run(x, "SELECT zeroblob(5000000)", NULL), ERR_LIMIT);
    /* A write whose rows do not fit has not happened. */
    assert_int_equal(
        run(x,
            "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
            "LIMIT 50) SELECT i FROM n RETURNING zeroblob(100000)",
            NULL),
        ERR_LIMIT);
    assert_int_equal(run(x, "SELECT count(*) AS n FROM t", NULL), OK);
    assert_string_equal(show(x), "n\n0\n");
    assert_int_equal(run(x, "INSERT INTO t VALUES(1) RETURNING a + 1 AS b", NULL), OK);
    assert_string_equal(show(x), "b\n2\n");
    assert_int_equal(x->changes, 1);
}

static void authorizer_refuses(void **state)
{
    struct fixture *x = *state;
    static const char *const refused[] = {
        "ATTACH ':memory:' AS x",
        "DETACH main",
        "VACUUM",
        "VACUUM INTO '/tmp/x'",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "END",
        "SAVEPOINT s",
        "RELEASE s",
        "ROLLBACK TO s",
        "PRAGMA journal_mode=DELETE",
        "PRAGMA synchronous=FULL",
        "PRAGMA foreign_keys=OFF",
        "PRAGMA writable_schema=1",
        "PRAGMA wal_checkpoint",
        "PRAGMA wal_autocheckpoint=1",
        "PRAGMA cache_size=100000",
        "PRAGMA mmap_size=1000000",
        "PRAGMA temp_store_directory='/'",
        "PRAGMA locking_mode=EXCLUSIVE",
        "PRAGMA max_page_count=10",
        "PRAGMA trusted_schema=1",
        "PRAGMA incremental_vacuum",
        "PRAGMA database_list",
        "SELECT * FROM pragma_database_list",
        "PRAGMA defer_foreign_keys=1", /* outside of a transaction */
        "PRAGMA compile_options; PRAGMA cache_spill=0",
        "SELECT sqlite_compileoption_get(1)",
        "SELECT sqlite_log(1, 'x')",
        "SELECT rtreecheck('t')",
        "CREATE TEMP TABLE t(a)",
        "CREATE TABLE temp.t(a)",
        "CREATE TEMP VIEW v AS SELECT 1",
        "CREATE VIRTUAL TABLE v USING dbstat",
        "CREATE VIRTUAL TABLE v USING fts4(x)",
        "CREATE VIRTUAL TABLE v USING csv(x)",
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        if (run(x, refused[i], NULL) != ERR_FORBIDDEN)
            fail_msg("%s: %s %s", refused[i], error_text(x->error.code), x->error.message);
        assert_true(x->error.message[0] && strcmp(x->error.message, "not authorized"));
    }
    static const char *const allowed[] = {
        "PRAGMA table_info('t')",
        "PRAGMA user_version",
        "PRAGMA user_version=7",
        "PRAGMA foreign_keys",
        "PRAGMA journal_mode",
        "PRAGMA integrity_check",
        "PRAGMA optimize",
        "SELECT * FROM pragma_table_info('t')",
        "CREATE TABLE t(a)",
        "ALTER TABLE t ADD COLUMN b",
        "CREATE VIRTUAL TABLE f USING fts5(a)",
        "INSERT INTO f VALUES('hello world')",
        "SELECT * FROM f WHERE f MATCH 'hello'",
        "CREATE VIRTUAL TABLE r USING rtree(id,a,b)",
        "ANALYZE",
        "REINDEX",
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO f VALUES('x'); END",
        "INSERT INTO t VALUES(1, 2)",
        "DROP TRIGGER g",
        "DROP TABLE f",
        "EXPLAIN QUERY PLAN SELECT * FROM t",
        "SELECT unixepoch(), last_insert_rowid()",
        "ALTER TABLE t RENAME COLUMN b TO c",
        "ALTER TABLE t RENAME TO u",
        "ALTER TABLE u DROP COLUMN c",
        "SELECT row_number() OVER (ORDER BY a), sum(a) OVER () FROM u",
        "SELECT json_extract('{\"a\":1}', '$.a'), '[1]' -> 0, sqrt(2)",
        "SELECT value FROM json_each('[1,2]')",
    };
    static const char *const absent[] = {
        "SELECT load_extension('x')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT * FROM sqlite_stmt",
        "SELECT * FROM dbstat",
        "SELECT * FROM sqlite_dbpage",
        "SELECT \"no such column\"",
        "SELECT sqlite_rename_test('main', 'x', 'table', 't', 0, '', 0)",
    };
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
        if (run(x, allowed[i], NULL) != OK)
            fail_msg("%s: %s %s", allowed[i], error_text(x->error.code), x->error.message);
    }
    for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
        if (run(x, absent[i], NULL) != ERR_SQL)
            fail_msg("%s: %s %s", absent[i], error_text(x->error.code), x->error.message);
    }
    /* Corrupting the schema is SQLite's own refusal. */
    assert_int_equal(run(x, "UPDATE sqlite_master SET sql='x'", NULL), ERR_SQL);
}

/* Functions of which this server has its own (deps/sqlite): what SQLite's own give. */
static void own_functions_agree(void **state)
{
    struct fixture *x = *state;
    static const struct {
        const char *sql, *result;
    } cases[] = {
        {"instr('h\u00e9llo', 'l')", "3"},
        {"instr('abc', '')", "1"},
        {"instr('', 'a')", "0"},
        {"instr(NULL, 'a')", "null"},
        {"instr(x'c3a9', x'a9')", "2"},
        {"instr('\u00e9', x'a9')", "0"},
        {"instr(12345, 34)", "3"},
        {"instr(zeroblob(300000), zeroblob(150000) || x'01')", "0"},
        {"replace('aaaa', 'aa', 'b')", "'bb'"},
        {"replace('abc', '', 'x')", "'abc'"},
        {"replace('abc', 'b', NULL)", "null"},
        {"replace('a.b.c', '.', '')", "'abc'"},
        {"length(replace(printf('%.*c', 5000, 'x'), 'x', 'yyy'))", "15000"},
        {"trim('  a b ')", "'a b'"},
        {"ltrim('xyxa', 'yx')", "'a'"},
        {"rtrim('a\u00e9\u00e8', '\u00e8\u00e9')", "'a'"},
        {"trim('abc', '')", "'abc'"},
        {"'abc' LIKE 'A%c'", "1"},
        {"'abc' LIKE 'a_'", "0"},
        {"'a%c' LIKE 'a\\%c' ESCAPE '\\'", "1"},
        {"'abc' LIKE 'a\\%c' ESCAPE '\\'", "0"},
        {"'\u00c9' LIKE '\u00e9'", "0"},
        {"'aXbXc' LIKE '%x%X%'", "1"},
        {"'abcd' GLOB '*[b-c]?'", "1"},
        {"'abcd' GLOB '*[^b-c]?'", "0"},
        {"'a]' GLOB 'a[]]'", "1"},
        {"x'61' LIKE 'a'", "0"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char sql[256], want[64];
        (void)snprintf(sql, sizeof(sql), "SELECT %s AS v", cases[i].sql);
        (void)snprintf(want, sizeof(want), "v\n%s\n", cases[i].result);
        if (run(x, sql, NULL) != OK)
            fail_msg("%s: %s", sql, x->error.message);
        assert_string_equal(show(x), want);
    }
    assert_int_equal(run(x, "SELECT json_patch(json_quote(hex(zeroblob(40000))), '1')", NULL),
                     ERR_SQL);
    assert_non_null(strstr(x->error.message, "64 KiB"));
}

/* What a pragma does while it is prepared it does each time. */
static void pragmas_work_again(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(run(x,
                         "CREATE TABLE p(id INTEGER PRIMARY KEY);"
                         "CREATE TABLE c(p REFERENCES p(id))",
                         NULL),
                     OK);
    for (int i = 1; i <= 2; i++) {
        char sql[64];
        assert_int_equal(sql_transaction(x->conn, SQL_BEGIN, &x->error), OK);
        assert_int_equal(run(x, "PRAGMA defer_foreign_keys=1", NULL), OK);
        (void)snprintf(sql, sizeof(sql), "INSERT INTO c VALUES(%d)", i);
        assert_int_equal(run(x, sql, NULL), OK);
        (void)snprintf(sql, sizeof(sql), "INSERT INTO p VALUES(%d)", i);
        assert_int_equal(run(x, sql, NULL), OK);
        assert_int_equal(sql_transaction(x->conn, SQL_COMMIT, &x->error), OK);
        assert_int_equal(run(x, "PRAGMA defer_foreign_keys=1", NULL), ERR_FORBIDDEN);
    }
}

static void statements_are_kept_and_bounded(void **state)
{
    struct fixture *x = *state;
    char sql[64];
    assert_int_equal(run(x, "CREATE TABLE t(a)", NULL), OK);
    assert_int_equal(x->conn->cached, 1);
    assert_int_equal(run(x, "\n SELECT * FROM t ;\n ", NULL), OK);
    assert_int_equal(x->conn->cached, 2);
    assert_int_equal(run(x, "\n SELECT * FROM t ;\n ", NULL), OK);
    assert_int_equal(x->conn->cached, 2);
    assert_int_equal(run(x, "SELECT 1; SELECT 2", NULL), OK);
    assert_int_equal(x->conn->cached, 2);
    for (int i = 0; i < 3 * SQL_CACHE_STATEMENTS; i++) {
        (void)snprintf(sql, sizeof(sql), "SELECT %d AS n", i);
        assert_int_equal(run(x, sql, NULL), OK);
        assert_int_equal(run(x, "\n SELECT * FROM t ;\n ", NULL), OK); /* stays: used last */
        assert_true(x->conn->cached <= SQL_CACHE_STATEMENTS);
    }
    assert_non_null(map_get(&x->conn->cache, SLICE_LIT("\n SELECT * FROM t ;\n ")));
    /* The schema changed under a kept statement: the new column is there. */
    struct sql_conn *other;
    assert_int_equal(sql_conn_open(x->file, &other, &x->error), OK);
    struct bytes out = BYTES_INIT;
    assert_int_equal(
        sql_exec(other,
                 SLICE_LIT("ALTER TABLE t ADD COLUMN b DEFAULT 5; INSERT INTO t(a) VALUES(1)"),
                 SLICE_EMPTY, &out, &x->error),
        OK);
    bytes_done(&out);
    sql_conn_close(other);
    assert_int_equal(run(x, "\n SELECT * FROM t ;\n ", NULL), OK);
    assert_string_equal(show(x), "a|b\n1|5\n");
}

static void database_size_is_bounded(void **state)
{
    struct fixture *x = *state;
    fixture_reopen(x, 64 * 4096);
    assert_int_equal(run(x, "CREATE TABLE t(a)", NULL), OK);
    enum err err = OK;
    int rows = 0;
    for (; !err; rows++)
        err = run(x, "INSERT INTO t VALUES(randomblob(4000))", NULL);
    assert_int_equal(err, ERR_LIMIT_DISK);
    assert_true(rows > 30 && rows < 65);
    assert_int_equal(run(x, "DELETE FROM t", NULL), OK);
    assert_int_equal(run(x, "INSERT INTO t VALUES(randomblob(4000))", NULL), OK);
}

static void another_writer_makes_it_busy(void **state)
{
    struct fixture *x = *state;
    struct sql_conn *other;
    assert_int_equal(run(x, "CREATE TABLE t(a)", NULL), OK);
    assert_int_equal(sql_conn_open(x->file, &other, &x->error), OK);
    assert_int_equal(sql_transaction(other, SQL_BEGIN, &x->error), OK);
    assert_int_equal(run(x, "INSERT INTO t VALUES(1)", NULL), ERR_UNAVAILABLE);
    assert_non_null(strstr(x->error.message, "busy"));
    assert_int_equal(act(x, SQL_BEGIN), ERR_UNAVAILABLE);
    assert_false(sql_in_transaction(x->conn));
    assert_int_equal(run(x, "SELECT count(*) AS n FROM t", NULL), OK); /* readers go on */
    sql_conn_close(other);                                             /* rolls back */
    assert_int_equal(run(x, "INSERT INTO t VALUES(1)", NULL), OK);
}

/* A setup() that begins while a text is under way, right before its n-th statement. */
struct intruder {
    struct sql_conn *conn;
    int left;
};

static int intrude(unsigned kind, void *arg, void *stmt, void *text)
{
    struct intruder *i = arg;
    if (kind != SQLITE_TRACE_STMT || --i->left != 0)
        return 0;
    assert_int_equal(sql_transaction(i->conn, SQL_BEGIN, NULL), OK);
    sql_conn_set_up(i->conn, true);
    return 0;
}

/* Whichever statement of a text meets a setup(): those before it are done, it and the others are not,
 * and are done by the rest of the text later. */
static void texts_go_on_after_a_setup(void **state)
{
    static const char sql[] = "INSERT INTO t VALUES(1);\nINSERT INTO t VALUES(2) ; -- and\n"
                              " SELECT 3;INSERT INTO t VALUES(4)";
    static const struct {
        int before; /* which statement */
        const char *rest;
    } cases[] = {{1, sql},
                 {2, "INSERT INTO t VALUES(2) ; -- and\n SELECT 3;INSERT INTO t VALUES(4)"},
                 {4, "INSERT INTO t VALUES(4)"}};
    struct fixture *x = *state;
    struct intruder other;
    assert_int_equal(run(x, "CREATE TABLE t(a)", NULL), OK);
    assert_int_equal(sql_conn_open(x->file, &other.conn, &x->error), OK);
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        assert_int_equal(run(x, "DELETE FROM t", NULL), OK);
        other.left = cases[k].before;
        (void)sqlite3_trace_v2(x->conn->db, SQLITE_TRACE_STMT, intrude, &other);
        sql_conn_may_yield(x->conn, true);
        assert_int_equal(run(x, sql, NULL), ERR_UNAVAILABLE);
        assert_true(sql_conn_has_yielded(x->conn));
        (void)sqlite3_trace_v2(x->conn->db, 0, NULL, NULL);
        size_t done = sql_conn_has_run(x->conn);
        assert_string_equal(sql + done, cases[k].rest);
        sql_conn_may_yield(x->conn, false);
        sql_rollback_all(other.conn);
        sql_conn_set_up(other.conn, false);
        assert_int_equal(run(x, sql + done, NULL), OK);
        assert_int_equal(run(x, "SELECT a FROM t", NULL), OK);
        assert_string_equal(show(x), "a\n1\n2\n4\n");
    }
    sql_conn_close(other.conn);
}

static void *write_rows(void *arg)
{
    struct fixture *x = arg;
    struct sql_conn *c;
    struct bytes out = BYTES_INIT;
    struct error error;
    assert_int_equal(sql_conn_open(x->file, &c, &error), OK);
    for (int i = 0; i < 200; i++) {
        uint64_t before = sql_conn_seen(c);
        enum err err = sql_exec(c, SLICE_LIT("INSERT INTO t VALUES(1)"), SLICE_EMPTY, &out, &error);
        if (err)
            fail_msg("%s", error.message);
        assert_true(sql_conn_seen(c) > before);
    }
    bytes_done(&out);
    sql_conn_close(c);
    return NULL;
}

static void threads_write_together(void **state)
{
    struct fixture *x = *state;
    pthread_t threads[4];
    assert_int_equal(run(x, "CREATE TABLE t(a)", NULL), OK);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_rows, x), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(run(x, "SELECT count(*) AS n FROM t", NULL), OK);
    assert_string_equal(show(x), "n\n800\n");
    assert_int_equal(x->file->begun, x->file->finished);
}

static void opening_fails_clearly(void **state)
{
    struct fixture *x = *state;
    struct sql_file *f = NULL;
    struct error error = {0};
    assert_int_equal(sql_file_open("/nonexistent/folder/db", 0, &f, &error), ERR_IO);
    assert_non_null(strstr(error.message, "/nonexistent/folder/db"));
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/garbage", x->folder);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 2000; i++)
        (void)fputs("this is no database", file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(sql_file_open(path, 0, &f, &error), ERR_CORRUPT);
    assert_null(f);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_up, fixture_down)
    const struct CMUnitTest tests[] = {
        T(values_of_all_types_round_trip),
        T(invalid_utf8_is_replaced),
        T(several_statements_run_in_order),
        T(errors_carry_sqlites_message),
        T(bad_params_are_refused),
        T(transactions_nest),
        T(failed_commit_stays_open),
        T(deadline_interrupts),
        T(large_results_are_refused),
        T(authorizer_refuses),
        T(own_functions_agree),
        T(pragmas_work_again),
        T(statements_are_kept_and_bounded),
        T(database_size_is_bounded),
        T(another_writer_makes_it_busy),
        T(texts_go_on_after_a_setup),
        T(threads_write_together),
        T(opening_fails_clearly),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
