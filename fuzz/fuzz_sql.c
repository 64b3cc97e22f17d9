/* SPDX-License-Identifier: Apache-2.0
 *
 * A guest's SQL by the way that it takes: text and parameters, on a task that may leave, with the
 * guards, the limits and the journal of the server's own in the same database. The text goes up to the
 * first NUL, its parameters follow. A first byte of '!' runs it outside of a transaction.
 *
 * Whatever it is: the result is well-formed or empty, the connection is left usable, the journal is as
 * it was, and what it says has not been told. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "durable/record.h"
#include "host/fiber_task.h"
#include "host/sql.h"
#include "host/sql_journal.h"
#include "loop/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "a-record-that-nobody-may-see"
#define CPU_NS (UINT64_C(100) * 1000 * 1000)
enum { MEMORY_BYTES = 32 * 1024 * 1024, FILE_BYTES = 16 * 1024 * 1024 };

static const char tables[] =
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT DEFAULT 'x', UNIQUE (a));"
    "INSERT INTO t (a, b) VALUES (1, 'one'), (2.5, 'zwei'), (NULL, x'00ff'), ('a', NULL);"
    "CREATE VIEW v AS SELECT a, count(*) AS n FROM t GROUP BY a;"
    "CREATE TRIGGER g AFTER DELETE ON t BEGIN INSERT INTO t (a) VALUES (old.id); END;"
    "CREATE VIRTUAL TABLE w USING fts5(x, y); INSERT INTO w VALUES ('some words', 'and more');"
    "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1); INSERT INTO r VALUES (1, 0, 5)";

static struct loop loop;
static struct fiber_runner *runner;
static struct sql_file *file;
static struct sql_conn *conn;
static struct bytes journal;

struct run {
    struct fiber_task task;
    struct slice text, params;
    bool is_bare, has_ended;
    enum err err;
    struct error error;
    struct bytes result;
};

static void run_task(struct fiber_task *t)
{
    struct run *r = container_of(t, struct run, task);
    sql_conn_set_deadline(conn, UINT64_MAX);
    if (!r->is_bare)
        CHECK(sql_transaction(conn, SQL_BEGIN, NULL) == OK);
    r->err = sql_exec(conn, r->text, r->params, &r->result, &r->error);
}

static void run_done(struct fiber_task *t)
{
    container_of(t, struct run, task)->has_ended = true;
    loop_stop(&loop);
}

static void run(struct run *r)
{
    r->task.run = run_task;
    r->task.done = run_done;
    r->task.cpu_ns_max = CPU_NS;
    r->task.memory_max = MEMORY_BYTES;
    r->has_ended = fiber_task_start(runner, &r->task);
    if (!r->has_ended)
        loop_run(&loop);
    CHECK(r->has_ended);
}

static void database_close(void)
{
    sql_conn_close(conn);
    sql_file_unref(file);
    conn = NULL;
    file = NULL;
}

/* A fresh one. Its files live on in the open descriptors. */
static void database_open(void)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char folder[] = "/tmp/limpet-fuzz-XXXXXX", path[64];
    CLEANUP(bytes_done) struct bytes result = BYTES_INIT;
    CHECK(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/db", folder);
    CHECK(sql_file_open(path, FILE_BYTES, &file, NULL) == OK);
    CHECK(sql_conn_open(file, &conn, NULL) == OK);
    CHECK(sql_exec(conn, slice_cstr(tables), SLICE_EMPTY, &result, NULL) == OK);
    CHECK(sql_transaction(conn, SQL_BEGIN, NULL) == OK);
    bytes_clear(&result);
    CHECK(sql_exec(conn, SLICE_LIT("DELETE FROM r WHERE 0"), SLICE_EMPTY, &result, NULL) == OK);
    CHECK(sql_journal_put(conn, SLICE_LIT("x.0"), 0, bytes_slice(&journal), 0, NULL) == OK);
    CHECK(sql_transaction(conn, SQL_COMMIT, NULL) == OK);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        (void)snprintf(path, sizeof(path), "%s/db%s", folder, ends[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

static void open_once(void)
{
    if (!runner) {
        struct record r = {.kind = RECORD_SYNC, .op = 26, .at_us = 1, .payload = SLICE_LIT(SECRET)};
        record_append(&r, &journal);
        loop_init(&loop);
        runner = fiber_runner_new(&loop);
    }
    if (!conn)
        database_open();
}

static struct slice take(struct slice *s, size_t n)
{
    CHECK(s->len >= n);
    struct slice part = slice_of(s->ptr, n);
    *s = slice_skip(*s, n);
    return part;
}

static uint32_t take_u32(struct slice *s)
{
    uint32_t n;
    memcpy(&n, take(s, sizeof(n)).ptr, sizeof(n));
    return le32toh(n);
}

static void check_text(struct slice text)
{
    CHECK(slice_is_utf8(text));
}

static void check_result(struct slice s)
{
    uint32_t columns = take_u32(&s);
    for (uint32_t k = 0; k < columns; k++)
        check_text(take(&s, take_u32(&s)));
    for (uint32_t rows = take_u32(&s); rows > 0; rows--) {
        for (uint32_t k = 0; k < columns; k++) {
            char tag = *take(&s, 1).ptr;
            CHECK(tag >= 0 && tag <= 4);
            if (tag == 1 || tag == 2)
                (void)take(&s, 8);
            else if (tag == 3)
                check_text(take(&s, take_u32(&s)));
            else if (tag == 4)
                (void)take(&s, take_u32(&s));
        }
    }
    CHECK(s.len == 16); /* changes, last row id */
}

static bool holds_secret(struct slice s)
{
    return s.len > 0 && memmem(s.ptr, s.len, SECRET, sizeof(SECRET) - 1);
}

static void check_journal(void)
{
    int64_t first = -1;
    CLEANUP(bytes_done) struct bytes records = BYTES_INIT;
    CHECK(sql_journal_get(conn, SLICE_LIT("x.0"), 0, &records, &first, NULL) == OK);
    CHECK(first == 0 && slice_eq(bytes_slice(&records), bytes_slice(&journal)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size);
    struct run r = {0};
    open_once();
    r.is_bare = size > 0 && data[0] == '!';
    struct slice rest = r.is_bare ? slice_skip(input, 1) : input;
    ptrdiff_t end = slice_find(rest, '\0');
    r.text = end < 0 ? rest : slice_of(rest.ptr, (size_t)end);
    r.params = end < 0 ? SLICE_EMPTY : slice_skip(rest, (size_t)end + 1);
    run(&r);
    if (r.err == OK)
        check_result(bytes_slice(&r.result));
    else
        CHECK(r.result.len == 0 && r.error.code == r.err && r.error.message[0]);
    if (!holds_secret(input))
        CHECK(!holds_secret(bytes_slice(&r.result)) && !holds_secret(slice_cstr(r.error.message)));
    bool was_open = sql_in_transaction(conn);
    CHECK(was_open == !r.is_bare);          /* whatever the text, BEGIN and COMMIT are ours */
    if (sql_conn_is_free(conn) == was_open) /* SQLite has ended it, by an error */
        CHECK(r.err != OK);
    else
        check_journal();
    sql_rollback_all(conn);
    check_journal();
    if (r.is_bare)
        database_close(); /* it may have changed something */
    bytes_done(&r.result);
    return 0;
}
