/* SPDX-License-Identifier: Apache-2.0
 *
 * See sql_store.h. WITHOUT ROWID: a put is one page more in the commit, and last_insert_rowid(), which the
 * guest can see, stays. Statements are prepared at their first use; a table that is not there has
 * nothing in it, and may go away with a rollback, so each use that fails looks whether it is that. */
#include "host/sql_store.h"

#include <string.h>

#include "host/fiber_task.h"
#include "host/sql_internal.h"

static const char store_create[] =
    "CREATE TABLE IF NOT EXISTS main._cf_KV(key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS main._cf_METADATA(name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID";
static const char store_create_calls[] = "CREATE TABLE IF NOT EXISTS main._cf_CALLS(number INTEGER "
                                         "PRIMARY KEY, id TEXT UNIQUE, at INTEGER, answer BLOB)";

static const char *const store_sql[SQL_STORE_STATEMENTS] = {
    [SQL_STORE_GET] = "SELECT value FROM main._cf_KV WHERE key = ?1",
    [SQL_STORE_PUT] = "INSERT OR REPLACE INTO main._cf_KV(key, value) VALUES(?1, ?2)",
    [SQL_STORE_DELETE] = "DELETE FROM main._cf_KV WHERE key = ?1",
    [SQL_STORE_LIST] =
        "SELECT key, value FROM main._cf_KV WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3",
    [SQL_STORE_LIST_BACK] = "SELECT key, value FROM main._cf_KV WHERE key >= ?1 AND key < ?2 ORDER "
                            "BY key DESC LIMIT ?3",
    [SQL_STORE_META_GET] = "SELECT value FROM main._cf_METADATA WHERE name = ?1",
    [SQL_STORE_META_PUT] = "INSERT OR REPLACE INTO main._cf_METADATA(name, value) VALUES(?1, ?2)",
    [SQL_STORE_CALL_GET] = "SELECT answer FROM main._cf_CALLS WHERE id = ?1",
    [SQL_STORE_CALL_PUT] =
        "INSERT OR IGNORE INTO main._cf_CALLS(id, at, answer) VALUES(?1, ?3, ?2)",
    /* One is made at a time, and one goes. */
    [SQL_STORE_CALL_TRIM] = "DELETE FROM main._cf_CALLS WHERE number ="
                            " (SELECT min(number) FROM main._cf_CALLS) AND at < ?1",
};

/* The guard is off in between; what a guest's statements have counted stays. */
struct store_entry {
    struct sql_counters counters;
};

static struct store_entry store_enter(struct sql_conn *c)
{
    struct store_entry e;
    sql_conn_counters(c, &e.counters);
    c->is_internal = true; /* also while stepping: that may prepare again */
    c->refusal[0] = 0;
    return e;
}

static void store_leave(struct sql_conn *c, const struct store_entry *e)
{
    c->is_internal = false;
    sql_conn_lend(c, &e->counters);
    sql_conn_settle(c);
    fiber_task_home();
}

/* The table of that statement: they go one by one. */
static bool store_exists(struct sql_conn *c, enum sql_store_statement which)
{
    const char *table = which < SQL_STORE_META_GET   ? "_cf_KV"
                        : which < SQL_STORE_CALL_GET ? "_cf_METADATA"
                                                     : "_cf_CALLS";
    return sqlite3_table_column_metadata(c->db, "main", table, NULL, NULL, NULL, NULL, NULL,
                                         NULL) == SQLITE_OK;
}

/* *ret_stmt is NULL if there is no such table. */
static enum err store_statement(struct sql_conn *c, enum sql_store_statement which,
                                sqlite3_stmt **ret_stmt, struct error *ret_error)
{
    int rc = SQLITE_OK;
    *ret_stmt = NULL;
    if (!c->store[which])
        rc = sqlite3_prepare_v3(c->db, store_sql[which], -1, SQLITE_PREPARE_PERSISTENT,
                                &c->store[which], NULL);
    if (rc == SQLITE_ERROR && !store_exists(c, which))
        return OK;
    if (rc != SQLITE_OK)
        return sql_conn_error(c, rc, ret_error);
    *ret_stmt = c->store[which];
    return OK;
}

/* One that writes: makes the tables if they are not there. */
static enum err store_statement_writing(struct sql_conn *c, enum sql_store_statement which,
                                        sqlite3_stmt **ret_stmt, struct error *ret_error)
{
    if (!store_exists(c, which)) {
        int rc = sqlite3_exec(c->db, which < SQL_STORE_CALL_GET ? store_create : store_create_calls,
                              NULL, NULL, NULL);
        if (rc != SQLITE_OK)
            return sql_conn_error(c, rc, ret_error);
    }
    enum err err = store_statement(c, which, ret_stmt, ret_error);
    CHECK(err != OK || *ret_stmt);
    return err;
}

static int store_bind(sqlite3_stmt *stmt, int at, struct slice text)
{
    return sqlite3_bind_text64(stmt, at, text.ptr ? text.ptr : "", text.len, SQLITE_STATIC,
                               SQLITE_UTF8);
}

/* A step's result as ours: done, or the table is not there (any more). */
static enum err store_end(struct sql_conn *c, enum sql_store_statement which, sqlite3_stmt *stmt,
                          int rc, struct error *ret_error)
{
    enum err err = OK;
    if (rc != SQLITE_DONE && rc != SQLITE_ROW && !(rc == SQLITE_ERROR && !store_exists(c, which)))
        err = sql_conn_error(c, rc, ret_error);
    (void)sqlite3_reset(stmt); /* repeats the error of the step */
    (void)sqlite3_clear_bindings(stmt);
    return err;
}

static enum err store_check(struct sql_conn *c, struct error *ret_error)
{
    if (c->is_aborted)
        return error_set(ret_error, ERR_SQL, "the transaction was rolled back by an error before");
    return OK;
}

static struct slice column_slice(sqlite3_stmt *stmt, int column)
{
    const char *ptr = sqlite3_column_blob(stmt, column);
    return slice_of(ptr ? ptr : "", (size_t)sqlite3_column_bytes(stmt, column));
}

static enum err store_get(struct sql_conn *c, enum sql_store_statement which, struct slice key,
                          struct bytes *out, struct error *ret_error)
{
    sqlite3_stmt *stmt;
    enum err err = store_check(c, ret_error);
    if (err != OK)
        return err;
    struct store_entry e = store_enter(c);
    int rc = SQLITE_DONE;
    err = store_statement(c, which, &stmt, ret_error);
    if (err == OK && stmt) {
        rc = store_bind(stmt, 1, key);
        if (rc == SQLITE_OK)
            rc = sqlite3_step(stmt);
    }
    if (err == OK)
        bytes_append_char(out, rc == SQLITE_ROW);
    if (err == OK && rc == SQLITE_ROW)
        bytes_append_lstr(out, column_slice(stmt, 0));
    if (err == OK && stmt)
        err = store_end(c, which, stmt, rc, ret_error);
    store_leave(c, &e);
    return err;
}

enum err sql_store_get(struct sql_conn *c, struct slice key, struct bytes *out,
                       struct error *ret_error)
{
    return store_get(c, SQL_STORE_GET, key, out, ret_error);
}

static enum err store_put(struct sql_conn *c, enum sql_store_statement which, struct slice key,
                          struct slice value, struct error *ret_error)
{
    sqlite3_stmt *stmt;
    enum err err = store_check(c, ret_error);
    if (err != OK)
        return err;
    struct store_entry e = store_enter(c);
    err = store_statement_writing(c, which, &stmt, ret_error);
    if (err == OK) {
        int rc = store_bind(stmt, 1, key);
        if (rc == SQLITE_OK && which == SQL_STORE_PUT)
            rc = sqlite3_bind_blob64(stmt, 2, value.ptr ? value.ptr : "", value.len, SQLITE_STATIC);
        else if (rc == SQLITE_OK)
            rc = store_bind(stmt, 2, value);
        if (rc == SQLITE_OK)
            rc = sqlite3_step(stmt);
        err = store_end(c, which, stmt, rc, ret_error);
        c->has_written = true;
    }
    store_leave(c, &e);
    return err;
}

enum err sql_store_put(struct sql_conn *c, struct slice key, struct slice value,
                       struct error *ret_error)
{
    if (key.len > SQL_STORE_KEY_BYTES_MAX) {
        error_set(ret_error, ERR_TOO_LARGE, "a key of the storage has at most %d bytes, not %zu",
                  SQL_STORE_KEY_BYTES_MAX, key.len);
        return ERR_TOO_LARGE;
    }
    if (key.len + value.len > SQL_STORE_PAIR_BYTES_MAX) {
        error_set(ret_error, ERR_TOO_LARGE,
                  "a key of the storage and its value have at most %d MiB, not %zu bytes",
                  SQL_STORE_PAIR_BYTES_MAX >> 20, key.len + value.len);
        error_hint(ret_error, "keep it in parts, or in tables of storage.sql");
        return ERR_TOO_LARGE;
    }
    return store_put(c, SQL_STORE_PUT, key, value, ret_error);
}

enum err sql_store_delete(struct sql_conn *c, struct slice key, bool *ret_was_there,
                          struct error *ret_error)
{
    sqlite3_stmt *stmt;
    enum err err = store_check(c, ret_error);
    if (err != OK)
        return err;
    struct store_entry e = store_enter(c);
    bool was_there = false;
    err = store_statement(c, SQL_STORE_DELETE, &stmt, ret_error);
    if (err == OK && stmt) {
        sqlite3_int64 before = sqlite3_total_changes64(c->db);
        int rc = store_bind(stmt, 1, key);
        if (rc == SQLITE_OK)
            rc = sqlite3_step(stmt);
        was_there = sqlite3_total_changes64(c->db) != before;
        err = store_end(c, SQL_STORE_DELETE, stmt, rc, ret_error);
        c->has_written = true;
    }
    store_leave(c, &e);
    if (err == OK)
        *ret_was_there = was_there;
    return err;
}

static enum err list_rows(struct sql_conn *c, sqlite3_stmt *stmt, int rc, struct bytes *out,
                          struct error *ret_error)
{
    const size_t start = out->len;
    enum err err = OK;
    for (; err == OK && rc == SQLITE_ROW; rc = sqlite3_step(stmt)) {
        bytes_append_lstr(out, column_slice(stmt, 0));
        bytes_append_lstr(out, column_slice(stmt, 1));
        err = sql_room_charge(&c->room, out->len - start, ret_error);
        if (err != OK)
            break;
        if (out->len - start > c->room.bytes_max) {
            err = error_set(ret_error, ERR_LIMIT, "the listed values are larger than %.1f MiB",
                            (double)c->room.bytes_max / (1024 * 1024));
            error_hint(ret_error, "list fewer at a time, with limit and startAfter");
            break;
        }
    }
    enum err end = store_end(c, SQL_STORE_LIST, stmt, rc, err == OK ? ret_error : NULL);
    return err != OK ? err : end;
}

enum err sql_store_list(struct sql_conn *c, const struct sql_store_range *range, struct bytes *out,
                        struct error *ret_error)
{
    /* No text of UTF-8 has such a byte. */
    struct slice end = range->end.len > 0 ? range->end : SLICE_LIT("\xff");
    sqlite3_stmt *stmt;
    enum err err = store_check(c, ret_error);
    if (err != OK)
        return err;
    struct store_entry e = store_enter(c);
    err = store_statement(c, range->is_reverse ? SQL_STORE_LIST_BACK : SQL_STORE_LIST, &stmt,
                          ret_error);
    if (err == OK && stmt) {
        int rc = store_bind(stmt, 1, range->start);
        if (rc == SQLITE_OK)
            rc = store_bind(stmt, 2, end);
        if (rc == SQLITE_OK)
            rc = sqlite3_bind_int64(stmt, 3, range->limit > 0 ? (int64_t)range->limit : -1);
        if (rc == SQLITE_OK)
            rc = sqlite3_step(stmt);
        err = list_rows(c, stmt, rc, out, ret_error);
    }
    store_leave(c, &e);
    return err;
}

/* ---- all of it ---- */

/* The next object that is not to stay, as a statement that drops it; "": there is none. */
static enum err clear_next(struct sql_conn *c, bool keeps_meta, char *ret_sql, size_t size,
                           struct error *ret_error)
{
    static const char text[] =
        "SELECT type, name FROM main.sqlite_schema WHERE type IN ('table', 'view')"
        " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND (name NOT IN ('_cf_METADATA', "
        "'_cf_CALLS') OR ?1 = 0)"
        " AND name NOT IN (SELECT name FROM pragma_table_list WHERE type = 'shadow')"
        " ORDER BY type DESC LIMIT 1";
    sqlite3_stmt *stmt = NULL;
    *ret_sql = '\0';
    int rc = sqlite3_prepare_v2(c->db, text, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int(stmt, 1, keeps_meta);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        sqlite3_snprintf((int)size, ret_sql, "DROP %s main.\"%w\"", sqlite3_column_text(stmt, 0),
                         sqlite3_column_text(stmt, 1));
    enum err err = rc == SQLITE_ROW || rc == SQLITE_DONE ? OK : sql_conn_error(c, rc, ret_error);
    (void)sqlite3_finalize(stmt);
    return err;
}

/* Names are shorter than the statements that made them, which are bounded; this is more than one has. */
enum { CLEAR_SQL_BYTES = 64 * 1024 };

static enum err clear_all(struct sql_conn *c, bool keeps_meta, char *sql, struct error *ret_error)
{
    for (;;) {
        enum err err = clear_next(c, keeps_meta, sql, CLEAR_SQL_BYTES, ret_error);
        if (err != OK || !*sql)
            return err;
        int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
        if (rc != SQLITE_OK)
            return sql_conn_error(c, rc, ret_error);
    }
}

enum err sql_store_clear(struct sql_conn *c, bool keeps_meta, struct error *ret_error)
{
    enum err err = store_check(c, ret_error);
    if (err != OK)
        return err;
    char *sql = malloc(CLEAR_SQL_BYTES);
    CHECK(sql);
    fiber_task_ahead(); /* as long as it is large */
    struct store_entry e = store_enter(c);
    /* All that could be referred to goes as well. */
    (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
    err = clear_all(c, keeps_meta, sql, ret_error);
    (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    c->has_written = true;
    store_leave(c, &e);
    free(sql);
    return err;
}

enum err sql_store_size(struct sql_conn *c, uint64_t *ret_bytes, struct error *ret_error)
{
    int rc = sqlite3_step(c->page_count);
    if (rc == SQLITE_ROW)
        *ret_bytes = (uint64_t)sqlite3_column_int64(c->page_count, 0) * c->page_bytes;
    (void)sqlite3_reset(c->page_count);
    return rc == SQLITE_ROW ? OK : sql_conn_error(c, rc, ret_error);
}

/* ---- what the server knows ---- */

enum err sql_store_meta_get(struct sql_conn *c, struct slice name, struct bytes *out,
                            struct error *ret_error)
{
    sqlite3_stmt *stmt;
    enum err err = store_check(c, ret_error);
    if (err != OK)
        return err;
    struct store_entry e = store_enter(c);
    err = store_statement(c, SQL_STORE_META_GET, &stmt, ret_error);
    if (err == OK && stmt) {
        int rc = store_bind(stmt, 1, name);
        if (rc == SQLITE_OK)
            rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW)
            bytes_append_slice(out, column_slice(stmt, 0));
        err = store_end(c, SQL_STORE_META_GET, stmt, rc, ret_error);
    }
    store_leave(c, &e);
    return err;
}

enum err sql_store_meta_put(struct sql_conn *c, struct slice name, struct slice value,
                            struct error *ret_error)
{
    return store_put(c, SQL_STORE_META_PUT, name, value, ret_error);
}

/* ---- calls that were answered ---- */

enum err sql_store_call_get(struct sql_conn *c, struct slice id, struct bytes *out,
                            struct error *ret_error)
{
    return store_get(c, SQL_STORE_CALL_GET, id, out, ret_error);
}

static enum err call_put(struct sql_conn *c, struct slice id, struct slice answer, int64_t now_us,
                         struct error *ret_error)
{
    sqlite3_stmt *stmt;
    enum err err = store_statement_writing(c, SQL_STORE_CALL_PUT, &stmt, ret_error);
    if (err != OK)
        return err;
    int rc = store_bind(stmt, 1, id);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob64(stmt, 2, answer.ptr ? answer.ptr : "", answer.len, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 3, now_us);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    return store_end(c, SQL_STORE_CALL_PUT, stmt, rc, ret_error);
}

static enum err call_trim(struct sql_conn *c, int64_t before_us, struct error *ret_error)
{
    sqlite3_stmt *stmt;
    enum err err = store_statement(c, SQL_STORE_CALL_TRIM, &stmt, ret_error);
    if (err != OK || !stmt)
        return err;
    int rc = sqlite3_bind_int64(stmt, 1, before_us);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    return store_end(c, SQL_STORE_CALL_TRIM, stmt, rc, ret_error);
}

enum err sql_store_call_put(struct sql_conn *c, struct slice id, struct slice answer,
                            int64_t now_us, struct error *ret_error)
{
    enum err err = store_check(c, ret_error);
    if (err != OK)
        return err;
    struct store_entry e = store_enter(c);
    err = call_put(c, id, answer, now_us, ret_error);
    if (err == OK)
        err = call_trim(c, now_us - SQL_STORE_CALLS_KEEP_US, ret_error);
    c->has_written = true;
    store_leave(c, &e);
    return err;
}
