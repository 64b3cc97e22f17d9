/* SPDX-License-Identifier: Apache-2.0
 *
 * See sql_journal.h. A row is a run of records of one execution: its number, their count, and the
 * chunk. Rows may overlap, since a record is put again until the store has it; where they do they
 * are equal, so reading goes through them in order and leaves out what it has. The table is made by
 * the first put, in the guest's transaction, and may so go away again with a rollback; therefore
 * each use asks whether it is there, which is a look into SQLite's schema in memory.
 *
 * WITHOUT ROWID: a put is one page more in the commit, and last_insert_rowid(), which the guest can
 * see, stays. The guest's deadline does not count here: what it has done is to be kept. Thread of
 * the connection. */
#include "host/sql_journal.h"

#include "durable/record.h"
#include "host/fiber_task.h"
#include "host/sql_internal.h"

static const char journal_create[] = "CREATE TABLE IF NOT EXISTS main." SQL_JOURNAL_TABLE
                                     "(execution BLOB NOT NULL, first INTEGER NOT NULL,"
                                     " count INTEGER NOT NULL, records BLOB NOT NULL,"
                                     " PRIMARY KEY(execution, first)) WITHOUT ROWID";

/* ?1 is the execution in all of them. */
static const char *const journal_sql[SQL_JOURNAL_STATEMENTS] = {
    [SQL_JOURNAL_PUT] = "INSERT OR REPLACE INTO main." SQL_JOURNAL_TABLE
                        "(execution, first, count, records) VALUES(?1, ?2, ?3, ?4)",
    [SQL_JOURNAL_TRIM] = "DELETE FROM main." SQL_JOURNAL_TABLE
                         " WHERE execution = ?1 AND first < ?2 AND first + count <= ?2",
    [SQL_JOURNAL_GET] = "SELECT first, count, records FROM main." SQL_JOURNAL_TABLE
                        " WHERE execution = ?1 AND first + count > ?2 ORDER BY first",
    [SQL_JOURNAL_FORGET] = "DELETE FROM main." SQL_JOURNAL_TABLE " WHERE execution = ?1",
};

/* The guard, the guest's deadline and its limit on values are off in between. */
static uint64_t journal_enter(struct sql_conn *c)
{
    uint64_t deadline_ns = c->deadline_ns;
    c->deadline_ns = 0;
    c->is_internal = true; /* also while stepping: that may prepare again */
    c->refusal[0] = 0;
    (void)sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH, 2 * SQL_JOURNAL_BYTES_MAX); /* a row is more */
    return deadline_ns;
}

static void journal_leave(struct sql_conn *c, uint64_t deadline_ns)
{
    (void)sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH, SQL_VALUE_BYTES_MAX);
    c->deadline_ns = deadline_ns;
    c->is_internal = false;
    sql_conn_settle(c);
    fiber_task_home();
}

static bool journal_exists(struct sql_conn *c)
{
    return sqlite3_table_column_metadata(c->db, "main", SQL_JOURNAL_TABLE, NULL, NULL, NULL, NULL,
                                         NULL, NULL) == SQLITE_OK;
}

/* *ret_stmt is NULL if the database has no such table. Preparing looks at the file for it, so what
 * another connection has made is seen. */
static enum err journal_statement(struct sql_conn *c, enum sql_journal_statement which,
                                  struct slice execution, sqlite3_stmt **ret_stmt,
                                  struct error *ret_error)
{
    sqlite3_stmt *stmt = c->journal[which];
    int rc = SQLITE_OK;
    if (!stmt)
        rc = sqlite3_prepare_v3(c->db, journal_sql[which], -1, SQLITE_PREPARE_PERSISTENT, &stmt,
                                NULL);
    if (rc == SQLITE_ERROR && !journal_exists(c)) {
        *ret_stmt = NULL;
        return OK;
    }
    if (rc == SQLITE_OK) {
        c->journal[which] = stmt;
        rc = sqlite3_bind_blob64(stmt, 1, execution.ptr, execution.len, SQLITE_STATIC);
    }
    if (rc != SQLITE_OK)
        return sql_conn_error(c, rc, ret_error);
    *ret_stmt = stmt;
    return OK;
}

/* A step's result as ours: done, or there is no such table (any more). */
static enum err journal_end(struct sql_conn *c, sqlite3_stmt *stmt, int rc, struct error *ret_error)
{
    enum err err = OK;
    if (rc != SQLITE_DONE && !(rc == SQLITE_ERROR && !journal_exists(c)))
        err = sql_conn_error(c, rc, ret_error);
    (void)sqlite3_reset(stmt); /* repeats the error of the step */
    (void)sqlite3_clear_bindings(stmt);
    return err;
}

static enum err journal_put(struct sql_conn *c, struct slice execution, int64_t first,
                            struct slice records, int64_t count, struct error *ret_error)
{
    sqlite3_stmt *stmt = NULL;
    if (!journal_exists(c)) {
        int rc = sqlite3_exec(c->db, journal_create, NULL, NULL, NULL);
        if (rc != SQLITE_OK)
            return sql_conn_error(c, rc, ret_error);
    }
    enum err err = journal_statement(c, SQL_JOURNAL_PUT, execution, &stmt, ret_error);
    if (err)
        return err;
    CHECK(stmt);
    int rc = sqlite3_bind_int64(stmt, 2, first);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 3, count);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob64(stmt, 4, records.ptr, records.len, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    return journal_end(c, stmt, rc, ret_error);
}

static enum err journal_trim(struct sql_conn *c, struct slice execution, int64_t stored,
                             struct error *ret_error)
{
    sqlite3_stmt *stmt = NULL;
    enum err err = journal_statement(c, SQL_JOURNAL_TRIM, execution, &stmt, ret_error);
    if (err)
        return err;
    CHECK(stmt);
    int rc = sqlite3_bind_int64(stmt, 2, stored);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    return journal_end(c, stmt, rc, ret_error);
}

enum err sql_journal_put(struct sql_conn *c, struct slice execution, int64_t first,
                         struct slice records, int64_t stored, struct error *ret_error)
{
    CHECK(c->depth > 0);
    int64_t count = record_count(records);
    if (count < 0 || first < 0)
        return error_set(ret_error, ERR_CORRUPT,
                         "records for the database's journal are malformed");
    if (records.len > SQL_JOURNAL_BYTES_MAX)
        return error_set(ret_error, ERR_LIMIT,
                         "the records that a transaction has to keep are larger than %d MiB",
                         SQL_JOURNAL_BYTES_MAX / 1024 / 1024);
    if (c->is_aborted)
        return error_set(ret_error, ERR_SQL, "the transaction was rolled back by an error before");
    if (count == 0)
        return OK;
    uint64_t deadline_ns = journal_enter(c);
    enum err err = journal_put(c, execution, first, records, count, ret_error);
    if (err == OK)
        err = journal_trim(c, execution, stored, ret_error);
    journal_leave(c, deadline_ns);
    return err;
}

/* What is read, so far: records from `first` to before `next`. */
struct journal_run {
    int64_t first, next;
    bool is_empty;
};

/* Appends what is new in the row. False: there is a gap before it, and what follows is of no use.
 */
static bool journal_add_row(struct journal_run *run, int64_t first, int64_t count,
                            struct slice records, struct bytes *out)
{
    if (first + count <= run->next)
        return true;
    if (first > run->next && !run->is_empty)
        return false;
    if (first > run->next)
        run->first = run->next = first;
    size_t known = record_prefix(records, run->next - first).len;
    bytes_append_slice(out, slice_skip(records, known));
    run->next = first + count;
    run->is_empty = false;
    return true;
}

static enum err journal_read(struct sql_conn *c, sqlite3_stmt *stmt, struct journal_run *run,
                             struct bytes *out, struct error *ret_error)
{
    int rc = sqlite3_bind_int64(stmt, 2, run->first);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    for (bool is_gapless = true; rc == SQLITE_ROW && is_gapless;) {
        int64_t first = sqlite3_column_int64(stmt, 0), count = sqlite3_column_int64(stmt, 1);
        const char *ptr = sqlite3_column_blob(stmt, 2);
        struct slice records = slice_of(ptr, (size_t)sqlite3_column_bytes(stmt, 2));
        if (first < 0 || count <= 0 || record_count(records) != count) {
            (void)journal_end(c, stmt, SQLITE_DONE, NULL);
            return error_set(ret_error, ERR_CORRUPT,
                             "database file %s: table " SQL_JOURNAL_TABLE " is malformed",
                             c->file->path);
        }
        is_gapless = journal_add_row(run, first, count, records, out);
        rc = is_gapless ? sqlite3_step(stmt) : SQLITE_DONE;
    }
    return journal_end(c, stmt, rc, ret_error);
}

enum err sql_journal_get(struct sql_conn *c, struct slice execution, int64_t from,
                         struct bytes *out, int64_t *ret_first, struct error *ret_error)
{
    struct journal_run run = {.first = from, .next = from, .is_empty = true};
    size_t start = out->len;
    sqlite3_stmt *stmt = NULL;
    uint64_t deadline_ns = journal_enter(c);
    enum err err = journal_statement(c, SQL_JOURNAL_GET, execution, &stmt, ret_error);
    if (err == OK && stmt)
        err = journal_read(c, stmt, &run, out, ret_error);
    journal_leave(c, deadline_ns);
    if (err == OK)
        *ret_first = run.first;
    else
        out->len = start;
    return err;
}

enum err sql_journal_forget(struct sql_conn *c, struct slice execution, struct error *ret_error)
{
    sqlite3_stmt *stmt = NULL;
    if (c->depth > 0)
        return error_set(ret_error, ERR_UNAVAILABLE, "a guest's transaction is open");
    uint64_t deadline_ns = journal_enter(c);
    enum err err = journal_statement(c, SQL_JOURNAL_FORGET, execution, &stmt, ret_error);
    if (err == OK && stmt) {
        int rc = sqlite3_step(stmt);
        err = journal_end(c, stmt, rc, ret_error);
        if (err != OK && (rc & 0xff) == SQLITE_BUSY)
            err = error_set(ret_error, ERR_UNAVAILABLE, "the database is busy");
    }
    journal_leave(c, deadline_ns);
    return err;
}

/* ---- setup ----
 *
 * A row of its own kind: no execution has this name. */

#define SETUP_NAME SLICE_LIT("setup")

enum err sql_setup_mark(struct sql_conn *c, int64_t version, struct error *ret_error)
{
    CHECK(c->depth > 0);
    if (c->is_aborted)
        return error_set(ret_error, ERR_SQL, "the transaction was rolled back by an error before");
    uint64_t deadline_ns = journal_enter(c);
    enum err err = journal_put(c, SETUP_NAME, version, SLICE_LIT(""), 1, ret_error);
    journal_leave(c, deadline_ns);
    return err;
}

enum err sql_setup_is_done(struct sql_conn *c, int64_t version, bool *ret_is_done,
                           struct error *ret_error)
{
    sqlite3_stmt *stmt = NULL;
    bool is_done = false;
    uint64_t deadline_ns = journal_enter(c);
    enum err err = journal_statement(c, SQL_JOURNAL_GET, SETUP_NAME, &stmt, ret_error);
    if (err == OK && stmt) {
        int rc = sqlite3_bind_int64(stmt, 2, version);
        if (rc == SQLITE_OK)
            rc = sqlite3_step(stmt);
        is_done = rc == SQLITE_ROW && sqlite3_column_int64(stmt, 0) == version;
        err = journal_end(c, stmt, rc == SQLITE_ROW ? SQLITE_DONE : rc, ret_error);
    }
    journal_leave(c, deadline_ns);
    if (err == OK)
        *ret_is_done = is_done;
    return err;
}
