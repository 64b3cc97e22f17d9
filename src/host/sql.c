/* SPDX-License-Identifier: Apache-2.0
 *
 * A thread's connection to a module's database, and running a guest's SQL on it: prepared
 * statements are kept by their text (least recently used ones go), results are encoded as they are
 * stepped. SQLite runs here inline; with synchronous=OFF nothing below waits for a disk (sql_file.c
 * says why that is safe).
 *
 * Invariants: between calls no statement is in the middle of a step, so the connection holds no
 * lock unless depth > 0. depth is what the guest believes; if SQLite has rolled back by itself,
 * is_aborted keeps the guest's next statements from running outside of a transaction. Every commit
 * that took a number (hook_commit) is finished before the call returns (sql_conn_settle), whatever
 * came of it.
 *
 * Limits: a result's room (sql.h), those of sql_guard.c. Thread of the connection. */
#include "host/sql.h"

#include <string.h>
#include <sys/statvfs.h>

#include "base/budget.h"
#include "base/clock.h"
#include "host/fiber_task.h"
#include "host/sql_internal.h"
#include "host/sql_journal.h"
#include "limpet_sqlite.h"

struct sql_cached {
    struct list lru;
    sqlite3_stmt *stmt;
    enum limpet_sqlite_weight weight;
    size_t text_len;
    char text[]; /* as the guest wrote it, white space and all */
};

/* Runs under SQLite's write lock, before the commit becomes visible. Not 0: it is rolled back. */
static int hook_commit(void *arg)
{
    struct sql_conn *c = arg;
    if (__atomic_load_n(&c->file->is_broken, __ATOMIC_SEQ_CST))
        return 1;
    c->commit_seq = __atomic_add_fetch(&c->file->begun, 1, __ATOMIC_SEQ_CST);
    c->has_frames = false;
    return 0;
}

static int hook_wal(void *arg, sqlite3 *db, const char *name, int frames)
{
    struct sql_conn *c = arg;
    (void)db;
    (void)name;
    c->has_frames = true;
    c->is_measured = false;
    sql_atomic_raise(&c->file->wal_mark, sql_mark(c->commit_seq, (uint32_t)frames));
    return SQLITE_OK;
}

void sql_conn_settle(struct sql_conn *c)
{
    struct sql_file *f = c->file;
    if (c->commit_seq) {
        sql_atomic_raise(&f->finished, c->commit_seq);
        /* A commit that changed nothing is as durable as the one before it: no sync for it. */
        uint64_t before = c->commit_seq - 1;
        if (!c->has_frames)
            (void)__atomic_compare_exchange_n(&f->durable, &before, c->commit_seq, false,
                                              __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        c->commit_seq = 0;
    }
    c->seen = __atomic_load_n(&f->begun, __ATOMIC_SEQ_CST);
    if (c->depth && sqlite3_get_autocommit(c->db))
        c->is_aborted = true;
}

static enum err conn_full(struct sql_conn *c, struct error *ret_error)
{
    struct statvfs fs;
    if (statvfs(c->file->path, &fs) != 0 || fs.f_bavail * fs.f_frsize < 1024 * 1024)
        return sql_error(ret_error, c->file->path, NULL, SQLITE_FULL);
    if (sql_disk_is_short()) {
        (void)error_set(ret_error, ERR_IO, "the disk of the server's data is nearly full: %s",
                        "functions may not write the last of it");
        error_hint(ret_error, "free space on it, or lower --disk-reserve");
        return ERR_IO;
    }
    (void)error_set(
        ret_error, ERR_LIMIT_DISK,
        "the database has reached its limit of %llu bytes, which its module's disk quota "
        "leaves it, or a temporary result its limit of %d MiB",
        (unsigned long long)c->bytes_bound, LIMIT_SQL_TEMP_BYTES >> 20);
    error_hint(ret_error, "delete rows, their space is used again, or sort and join less at once; "
                          "or raise the quota disk_bytes");
    return ERR_LIMIT_DISK;
}

enum err sql_conn_error(struct sql_conn *c, int rc, struct error *ret_error)
{
    switch (rc & 0xff) {
    case SQLITE_AUTH:
    case SQLITE_ERROR: /* for a refused function */
        if (!c->refusal[0])
            break;
        (void)error_set(ret_error, ERR_FORBIDDEN, "%s", c->refusal);
        return ERR_FORBIDDEN;
    case SQLITE_INTERRUPT:
        if (fiber_task_current() && fiber_task_is_cancelled(fiber_task_current()))
            return error_set(ret_error, ERR_CANCELLED, "the guest has ended");
        return error_set(ret_error, ERR_LIMIT_CPU, "a SQL statement ran into the CPU limit");
    case SQLITE_FULL:
        return conn_full(c, ret_error);
    case SQLITE_CONSTRAINT:
        if (rc != SQLITE_CONSTRAINT_COMMITHOOK)
            break;
        (void)error_set(ret_error, ERR_IO, "database file %s refuses commits: its disk failed",
                        c->file->path);
        error_hint(ret_error, "check the disk of the server's data folder");
        return ERR_IO;
    default:
        break;
    }
    return sql_error(ret_error, c->file->path, c->db, rc);
}

/* Statements of ours; they return nothing and are not the guest's to refuse. */
static enum err conn_run(struct sql_conn *c, const char *sql, struct error *ret_error)
{
    c->is_internal = true;
    int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
    c->is_internal = false;
    return rc == SQLITE_OK ? OK : sql_conn_error(c, rc, ret_error);
}

static enum err conn_prepare_own(struct sql_conn *c, const char *sql, sqlite3_stmt **ret_stmt,
                                 struct error *ret_error)
{
    c->is_internal = true;
    int rc = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_stmt, NULL);
    c->is_internal = false;
    return rc == SQLITE_OK ? OK : sql_conn_error(c, rc, ret_error);
}

static enum err conn_know_size(struct sql_conn *c, struct error *ret_error)
{
    sqlite3_stmt *stmt = NULL;
    enum err err = conn_prepare_own(c, "PRAGMA page_size", &stmt, ret_error);
    if (err)
        return err;
    int page = sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int(stmt, 0) : 0;
    (void)sqlite3_finalize(stmt); /* a step's failure, seen above as no row */
    c->page_bytes = page > 0 ? (uint32_t)page : 4096;
    c->bytes_bound = UINT64_MAX;
    err = conn_prepare_own(c, "PRAGMA page_count", &c->page_count, ret_error);
    return err ? err : sql_conn_bound(c, UINT64_MAX, ret_error);
}

enum err sql_conn_bound(struct sql_conn *c, uint64_t bytes_max, struct error *ret_error)
{
    char sql[64];
    if (c->file->bytes_max && c->file->bytes_max < bytes_max)
        bytes_max = c->file->bytes_max;
    if (bytes_max == c->bytes_bound)
        return OK;
    uint64_t pages = bytes_max / c->page_bytes;
    (void)snprintf(sql, sizeof(sql), "PRAGMA max_page_count=%llu",
                   (unsigned long long)(pages < 1                ? 1
                                        : pages < UINT32_MAX - 1 ? pages
                                                                 : UINT32_MAX - 1));
    enum err err = conn_run(c, sql, ret_error);
    if (!err)
        c->bytes_bound = bytes_max;
    return err;
}

uint64_t sql_conn_size(struct sql_conn *c)
{
    uint64_t bytes = 0;
    if (sqlite3_step(c->page_count) == SQLITE_ROW)
        bytes = (uint64_t)sqlite3_column_int64(c->page_count, 0) * c->page_bytes;
    (void)sqlite3_reset(c->page_count);
    return bytes;
}

bool sql_conn_stored(struct sql_conn *c, uint64_t *ret_bytes)
{
    if (c->is_measured)
        return false;
    uint64_t bytes = sql_conn_size(c);
    c->is_measured = bytes > 0;
    if (c->is_measured)
        *ret_bytes = bytes;
    return c->is_measured;
}

void sql_conn_rows(struct sql_conn *c, struct sql_rows *ret_rows)
{
    *ret_rows = c->rows;
    c->rows = (struct sql_rows){0};
}

static enum err conn_set_up(struct sql_conn *c, struct error *ret_error)
{
    sql_guard_install(c);
    (void)sqlite3_commit_hook(c->db, hook_commit, c);
    (void)sqlite3_wal_hook(c->db, hook_wal, c);
    enum err err = conn_run(
        c, "PRAGMA synchronous=OFF; PRAGMA foreign_keys=ON; PRAGMA secure_delete=FAST", ret_error);
    if (!err)
        err = conn_know_size(c, ret_error);
    /* A transaction that writes takes the write lock at once: one that read first and found another
     * writer's commit in between could only fail. */
    if (!err)
        err = conn_prepare_own(c, "BEGIN IMMEDIATE", &c->begin, ret_error);
    if (!err)
        err = conn_prepare_own(c, "COMMIT", &c->commit, ret_error);
    if (!err)
        err = conn_prepare_own(c, "ROLLBACK", &c->rollback, ret_error);
    return err;
}

static void conn_drop(struct sql_conn **c)
{
    sql_conn_close(*c);
}

enum err sql_conn_open(struct sql_file *f, struct sql_conn **ret_conn, struct error *ret_error)
{
    CLEANUP(conn_drop) struct sql_conn *c = calloc(1, sizeof(*c));
    if (!c)
        check_out_of_memory(sizeof(*c));
    list_init(&c->lru);
    c->room.bytes_max = LIMIT_VALUE_BYTES;
    c->file = sql_file_ref(f);
    enum err err = sql_db_open(f->path, 0, &c->db, ret_error);
    if (!err)
        err = conn_set_up(c, ret_error);
    if (err)
        return err;
    sql_conn_settle(c);
    *ret_conn = TAKE(c);
    return OK;
}

struct list *sql_conn_link(struct sql_conn *c)
{
    return &c->link;
}

struct sql_conn *sql_conn_of(struct list *link)
{
    return container_of(link, struct sql_conn, link);
}

static void cache_evict(struct sql_conn *c, struct sql_cached *entry)
{
    CHECK(map_remove(&c->cache, slice_of(entry->text, entry->text_len)) == entry);
    list_remove(&entry->lru);
    (void)sqlite3_finalize(entry->stmt); /* repeats the error of its last step */
    free(entry);
    c->cached--;
}

void sql_conn_close(struct sql_conn *c)
{
    if (!c)
        return;
    struct list *n;
    while ((n = list_first(&c->lru)))
        cache_evict(c, container_of(n, struct sql_cached, lru));
    map_done(&c->cache);
    (void)sqlite3_finalize(c->page_count);
    (void)sqlite3_finalize(c->begin);
    (void)sqlite3_finalize(c->commit);
    (void)sqlite3_finalize(c->rollback);
    for (size_t i = 0; i < ARRAY_LEN(c->journal); i++)
        (void)sqlite3_finalize(c->journal[i]);
    for (size_t i = 0; i < ARRAY_LEN(c->store); i++)
        (void)sqlite3_finalize(c->store[i]);
    if (c->db) /* rolls back what is open */
        CHECK(sqlite3_close(c->db) == SQLITE_OK);
    sql_file_unref(c->file);
    free(c);
}

void sql_conn_set_deadline(struct sql_conn *c, uint64_t deadline_ns)
{
    c->deadline_ns = deadline_ns;
}

void sql_conn_lend(struct sql_conn *c, const struct sql_counters *counters)
{
    sqlite3_set_last_insert_rowid(c->db, counters->rowid);
    limpet_sqlite_set_changes(c->db, counters->changes, counters->total);
}

void sql_conn_counters(struct sql_conn *c, struct sql_counters *ret_counters)
{
    *ret_counters = (struct sql_counters){sqlite3_last_insert_rowid(c->db),
                                          sqlite3_changes64(c->db), sqlite3_total_changes64(c->db)};
}

void sql_conn_set_room(struct sql_conn *c, const struct sql_room *room)
{
    c->room = *room;
}

size_t sql_conn_room_taken(const struct sql_conn *c)
{
    return c->room.taken;
}

/* Before a statement runs: can it hold the engine thread? */
static void announce(enum limpet_sqlite_weight weight)
{
    if (weight == LIMPET_SQLITE_HEAVY)
        fiber_task_ahead();
    else if (weight == LIMPET_SQLITE_SORTS)
        fiber_task_hurry();
}

/* The statement of that text if it was kept. */
static sqlite3_stmt *cache_get(struct sql_conn *c, struct slice sql)
{
    struct sql_cached *entry = map_get(&c->cache, sql);
    if (!entry)
        return NULL;
    announce(entry->weight);
    list_remove(&entry->lru);
    list_push_back(&c->lru, &entry->lru);
    return entry->stmt;
}

/* Keeps the one statement of a text. False: it is the caller's to finalize. Pragmas do some of
 * their work while they are prepared, and the guard looks at them then. */
static bool cache_put(struct sql_conn *c, struct slice sql, sqlite3_stmt *stmt)
{
    if (sql.len > SQL_CACHE_TEXT_BYTES || c->is_pragma)
        return false;
    if (c->cached == SQL_CACHE_STATEMENTS)
        cache_evict(c, container_of(c->lru.next, struct sql_cached, lru));
    struct sql_cached *entry = malloc(sizeof(*entry) + sql.len);
    if (!entry)
        check_out_of_memory(sizeof(*entry) + sql.len);
    *entry = (struct sql_cached){
        .stmt = stmt, .weight = limpet_sqlite_weight(stmt), .text_len = sql.len};
    memcpy(entry->text, sql.ptr, sql.len);
    CHECK(!map_put(&c->cache, sql, entry));
    list_push_back(&c->lru, &entry->lru);
    c->cached++;
    return true;
}

/* Skips what is no statement: white space, comments, empty statements. */
static struct slice text_skip_blank(struct slice s)
{
    for (;;) {
        if (s.len && strchr(" \t\n\f\r;", s.ptr[0]) && s.ptr[0]) {
            s = slice_skip(s, 1);
        } else if (slice_starts(s, SLICE_LIT("--"))) {
            ptrdiff_t end = slice_find(s, '\n');
            s = slice_skip(s, end < 0 ? s.len : (size_t)end + 1);
        } else if (slice_starts(s, SLICE_LIT("/*"))) {
            const char *end = memmem(s.ptr + 2, s.len - 2, "*/", 2);
            s = slice_skip(s, end ? (size_t)(end + 2 - s.ptr) : s.len);
        } else {
            return s;
        }
    }
}

static enum err result_value(struct bytes *out, sqlite3_stmt *stmt, int column, size_t len_max)
{
    uint64_t bits;
    double real;
    enum err err = bytes_try_reserve(out, 16, len_max);
    if (err)
        return err;
    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_INTEGER:
        bytes_append_char(out, 1);
        bytes_append_u64(out, (uint64_t)sqlite3_column_int64(stmt, column));
        return OK;
    case SQLITE_FLOAT:
        real = sqlite3_column_double(stmt, column);
        memcpy(&bits, &real, sizeof(bits));
        bytes_append_char(out, 2);
        bytes_append_u64(out, bits);
        return OK;
    case SQLITE_TEXT: {
        const char *text = (const char *)sqlite3_column_text(stmt, column);
        bytes_append_char(out, 3);
        return sql_text_append(out, slice_of(text, (size_t)sqlite3_column_bytes(stmt, column)),
                               len_max);
    }
    case SQLITE_BLOB: {
        const void *blob = sqlite3_column_blob(stmt, column);
        struct slice value = slice_of(blob, (size_t)sqlite3_column_bytes(stmt, column));
        err = bytes_try_reserve(out, value.len + 8, len_max);
        if (err)
            return err;
        bytes_append_char(out, 4);
        bytes_append_lstr(out, value);
        return OK;
    }
    default:
        bytes_append_char(out, 0);
        return OK;
    }
}

enum err sql_room_charge(struct sql_room *room, size_t len, struct error *ret_error)
{
    struct budget *full;
    if (!room->from || len <= room->taken || len <= SQL_RESULT_FREE_BYTES)
        return OK;
    size_t more = len - room->taken + SQL_RESULT_GRAIN_BYTES;
    if (!budget_take(room->from, more, &full))
        return budget_refuse(full, ret_error);
    room->taken += more;
    return OK;
}

static enum err result_too_large(const struct sql_room *room, struct error *ret_error)
{
    (void)error_set(ret_error, ERR_LIMIT, "the result of the SQL statement is larger than %.1f MiB",
                    (double)room->bytes_max / (1024 * 1024));
    error_hint(ret_error, "%s; docs/limits.md has all limits",
               room->why ? room->why : "select fewer rows with LIMIT");
    return ERR_LIMIT;
}

static enum err result_columns(struct bytes *out, sqlite3_stmt *stmt, size_t len_max)
{
    int columns = sqlite3_column_count(stmt);
    bytes_append_u32(out, (uint32_t)columns);
    for (int i = 0; i < columns; i++) {
        enum err err = sql_text_append(out, slice_cstr(sqlite3_column_name(stmt, i)), len_max);
        if (err)
            return err;
    }
    return bytes_try_reserve(out, 4, len_max);
}

/* Steps to the end and appends "columns, rows" to out. Columns are asked for after the first step,
 * because that may prepare the statement again for a changed schema. */
static enum err stmt_step_all(struct sql_conn *c, sqlite3_stmt *stmt, struct bytes *out,
                              struct error *ret_error)
{
    const size_t len_max = c->room.bytes_max > 64 ? c->room.bytes_max - 64 : 0; /* and the tail */
    enum err err = OK, charged = OK;
    uint32_t rows = 0;
    size_t start = out->len;
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        err = result_columns(out, stmt, start + len_max);
    size_t rows_at = out->len;
    int columns = sqlite3_column_count(stmt);
    if (!err)
        bytes_append_u32(out, 0);
    for (; !err && rc == SQLITE_ROW; rows++) {
        for (int i = 0; !err && i < columns; i++)
            err = result_value(out, stmt, i, start + len_max);
        if (!err)
            err = charged = sql_room_charge(&c->room, out->len, ret_error);
        if (!err)
            rc = sqlite3_step(stmt);
    }
    if (err)
        return charged ? charged : result_too_large(&c->room, ret_error);
    if (rc != SQLITE_DONE)
        return sql_conn_error(c, rc, ret_error);
    uint64_t scanned = (uint64_t)sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_FULLSCAN_STEP, true);
    c->rows.read += scanned > rows ? scanned : rows;
    uint32_t rows_le = htole32(rows);
    memcpy(out->ptr + rows_at, &rows_le, sizeof(rows_le));
    return OK;
}

/* One statement from binding to reset. The result is appended to out, the tail included. */
static enum err stmt_run(struct sql_conn *c, sqlite3_stmt *stmt, struct slice params,
                         struct bytes *out, struct error *ret_error)
{
    size_t start = out->len;
    sqlite3_int64 changes_before = sqlite3_total_changes64(c->db);
    enum err err = sql_params_bind(stmt, params, ret_error);
    if (!err)
        err = stmt_step_all(c, stmt, out, ret_error);
    if (err && sqlite3_stmt_busy(stmt) && !sqlite3_stmt_readonly(stmt)) {
        /* Its rows do not fit, and resetting it now would commit what it changed: make it fail. */
        sqlite3_interrupt(c->db);
        (void)sqlite3_step(stmt); /* SQLITE_INTERRUPT, which rolls it back */
    }
    (void)sqlite3_reset(stmt); /* repeats the error of the step */
    (void)sqlite3_clear_bindings(stmt);
    if (!sqlite3_stmt_readonly(stmt) && !c->has_yielded)
        c->has_written = true; /* also if it failed: OR FAIL keeps what came before */
    sql_conn_settle(c);
    if (err) {
        out->len = start;
        return err;
    }
    bool is_change = sqlite3_total_changes64(c->db) != changes_before;
    c->rows.written += (uint64_t)(sqlite3_total_changes64(c->db) - changes_before);
    c->rows.statements++;
    c->rows.is_writing |= !sqlite3_stmt_readonly(stmt);
    bytes_append_u64(out, is_change ? (uint64_t)sqlite3_changes64(c->db) : 0);
    bytes_append_u64(out, (uint64_t)sqlite3_last_insert_rowid(c->db));
    return OK;
}

static enum err exec_prepare(struct sql_conn *c, struct slice *sql, sqlite3_stmt **ret_stmt,
                             struct error *ret_error)
{
    const char *tail = NULL;
    c->refusal[0] = 0;
    c->is_pragma = false;
    int rc = sqlite3_prepare_v3(c->db, sql->ptr, (int)sql->len, SQLITE_PREPARE_PERSISTENT, ret_stmt,
                                &tail);
    if (rc != SQLITE_OK)
        return sql_conn_error(c, rc, ret_error);
    *sql = slice_skip(*sql, (size_t)(tail - sql->ptr));
    return OK;
}

/* Several statements: each is prepared after the one before has run, for it may need its tables. */
static enum err exec_text(struct sql_conn *c, struct slice sql, struct slice params,
                          struct bytes *ret_result, struct error *ret_error)
{
    const struct slice whole = sql;
    const size_t start = ret_result->len;
    bool has_run = false;
    for (sql = text_skip_blank(sql); sql.len; sql = text_skip_blank(sql)) {
        sqlite3_stmt *stmt = NULL;
        c->run_bytes = whole.len - sql.len;
        enum err err = exec_prepare(c, &sql, &stmt, ret_error);
        if (!err && !stmt) /* a NUL, or something else that SQLite takes for the end */
            err = error_set(ret_error, ERR_SQL, "the SQL text holds bytes after its end");
        bool is_last = text_skip_blank(sql).len == 0;
        if (!err && !is_last && sqlite3_bind_parameter_count(stmt))
            err = error_set(ret_error, ERR_SQL,
                            "of several statements only the last one may have parameters");
        ret_result->len = start;
        if (!err)
            announce(limpet_sqlite_weight(stmt));
        if (!err)
            err = stmt_run(c, stmt, is_last ? params : SLICE_EMPTY, ret_result, ret_error);
        if (err || !is_last || has_run || !cache_put(c, whole, stmt))
            (void)sqlite3_finalize(stmt); /* repeats the error of the step */
        if (err) {
            ret_result->len = start;
            return err;
        }
        has_run = true;
    }
    if (has_run)
        return OK;
    uint32_t count;
    enum err err = sql_params_count(params, &count, ret_error);
    if (err)
        return err;
    if (count)
        return error_set(ret_error, ERR_SQL, "there are parameters but no statement");
    bytes_append_u32(ret_result, 0);
    bytes_append_u32(ret_result, 0);
    bytes_append_u64(ret_result, 0);
    bytes_append_u64(ret_result, (uint64_t)sqlite3_last_insert_rowid(c->db));
    return OK;
}

enum err sql_exec(struct sql_conn *c, struct slice sql, struct slice params,
                  struct bytes *ret_result, struct error *ret_error)
{
    if (c->is_aborted) {
        (void)error_set(ret_error, ERR_SQL, "the transaction was rolled back by an error before");
        error_hint(ret_error, "let the error leave transaction(fn), then try again");
        return ERR_SQL;
    }
    if (sql.len > SQL_TEXT_BYTES_MAX)
        return error_set(ret_error, ERR_LIMIT,
                         "the SQL text is longer than %d KiB: give values as parameters",
                         SQL_TEXT_BYTES_MAX / 1024);
    c->refusal[0] = 0;
    c->text = sql;
    c->run_bytes = 0;
    if (sql.len > SQL_TEXT_AHEAD_BYTES || params.len > SQL_PARAMS_AHEAD_BYTES)
        fiber_task_ahead();
    sqlite3_stmt *stmt = cache_get(c, sql);
    enum err err = stmt ? stmt_run(c, stmt, params, ret_result, ret_error)
                        : exec_text(c, sql, params, ret_result, ret_error);
    c->text = SLICE_EMPTY;
    fiber_task_home();
    return err;
}

enum err sql_dump(struct sql_conn *c, struct bytes *out, struct error *ret_error)
{
    uint64_t size = sql_conn_size(c);
    sqlite3_int64 len = 0;
    if (size > c->room.bytes_max)
        return result_too_large(&c->room, ret_error);
    enum err err = sql_room_charge(&c->room, out->len + (size_t)size, ret_error);
    if (err)
        return err;
    fiber_task_ahead();
    unsigned char *data = sqlite3_serialize(c->db, "main", &len, 0);
    if (data)
        bytes_append(out, data, (size_t)len);
    err = data ? OK : sql_conn_error(c, SQLITE_NOMEM, ret_error);
    sqlite3_free(data);
    sql_conn_settle(c);
    fiber_task_home();
    return err;
}

static enum err transaction_step(struct sql_conn *c, sqlite3_stmt *stmt, struct error *ret_error)
{
    c->is_internal = true; /* it is prepared again after the rollback of a schema change */
    int rc = sqlite3_step(stmt);
    c->is_internal = false;
    enum err err = rc == SQLITE_DONE ? OK : sql_conn_error(c, rc, ret_error);
    (void)sqlite3_reset(stmt);
    return err;
}

/* Inner transactions are savepoints, named by their depth. */
static enum err transaction_savepoint(struct sql_conn *c, const char *verb, unsigned depth,
                                      struct error *ret_error)
{
    char sql[64];
    int len = snprintf(sql, sizeof(sql), "%s limpet_%u", verb, depth);
    CHECK(len > 0 && (size_t)len < sizeof(sql));
    return conn_run(c, sql, ret_error);
}

static enum err transaction_begin(struct sql_conn *c, struct error *ret_error)
{
    if (c->depth == SQL_NESTED_MAX)
        return error_set(ret_error, ERR_LIMIT, "more than %d transactions in each other",
                         SQL_NESTED_MAX);
    enum err err = c->depth == 0 ? transaction_step(c, c->begin, ret_error)
                                 : transaction_savepoint(c, "SAVEPOINT", c->depth, ret_error);
    if (!err && c->depth++ == 0)
        c->has_written = false;
    return err;
}

static enum err transaction_commit(struct sql_conn *c, struct error *ret_error)
{
    enum err err = c->depth == 1 ? transaction_step(c, c->commit, ret_error)
                                 : transaction_savepoint(c, "RELEASE", c->depth - 1, ret_error);
    if (!err)
        c->depth--;
    return err;
}

static enum err transaction_rollback(struct sql_conn *c, struct error *ret_error)
{
    uint64_t deadline_ns = c->deadline_ns;
    enum err err = OK;
    c->deadline_ns = 0; /* a late guest's transaction must end all the same */
    if (c->is_aborted) {
        /* SQLite has done it. */
    } else if (c->depth == 1) {
        err = transaction_step(c, c->rollback, ret_error);
    } else {
        err = transaction_savepoint(c, "ROLLBACK TO", c->depth - 1, ret_error);
        if (!err)
            err = transaction_savepoint(c, "RELEASE", c->depth - 1, ret_error);
    }
    c->deadline_ns = deadline_ns;
    if (err)
        return err;
    if (--c->depth == 0)
        c->is_aborted = false;
    return OK;
}

enum err sql_transaction(struct sql_conn *c, enum sql_action action, struct error *ret_error)
{
    enum err err;
    if (action != SQL_BEGIN && action != SQL_COMMIT && action != SQL_ROLLBACK)
        return error_set(ret_error, ERR_INVALID, "no such transaction action: %d", (int)action);
    if (action != SQL_BEGIN && c->depth == 0)
        return error_set(ret_error, ERR_SQL, "no transaction is open");
    if (action != SQL_ROLLBACK && c->is_aborted)
        return error_set(ret_error, ERR_SQL, "the transaction was rolled back by an error before");
    if (action == SQL_BEGIN)
        err = transaction_begin(c, ret_error);
    else if (action == SQL_COMMIT)
        err = transaction_commit(c, ret_error);
    else
        err = transaction_rollback(c, ret_error);
    sql_conn_settle(c);
    fiber_task_home();
    return err;
}

bool sql_conn_is_free(const struct sql_conn *c)
{
    return sqlite3_get_autocommit(c->db);
}

bool sql_in_transaction(const struct sql_conn *c)
{
    return c->depth > 0;
}

void sql_rollback_all(struct sql_conn *c)
{
    c->deadline_ns = 0;
    c->depth = 0;
    if (!sqlite3_get_autocommit(c->db)) {
        (void)transaction_step(c, c->rollback, NULL); /* only fails if nothing is open any more */
        CHECK(sqlite3_get_autocommit(c->db));
    }
    c->is_aborted = false;
    sql_conn_settle(c);
    fiber_task_home();
}

void sql_conn_set_up(struct sql_conn *c, bool is_setting_up)
{
    __atomic_fetch_add(&c->file->setups, is_setting_up ? 1u : -1u, __ATOMIC_SEQ_CST);
}

bool sql_file_is_set_up(const struct sql_file *f)
{
    return __atomic_load_n(&f->setups, __ATOMIC_SEQ_CST) > 0;
}

void sql_file_await_setup(const struct sql_file *f)
{
    enum { NAP_MS_MIN = 2, NAP_MS_MAX = 200 };
    const struct fiber_task *t = fiber_task_current();
    for (uint32_t ms = NAP_MS_MIN; sql_file_is_set_up(f) && !fiber_task_is_cancelled(t);
         ms = 2 * ms < NAP_MS_MAX ? 2 * ms : NAP_MS_MAX)
        fiber_task_nap(ms);
}

void sql_conn_may_yield(struct sql_conn *c, bool may_yield)
{
    c->may_yield = may_yield;
    c->has_yielded = false;
}

bool sql_conn_has_yielded(const struct sql_conn *c)
{
    return c->has_yielded;
}

size_t sql_conn_has_run(const struct sql_conn *c)
{
    return c->run_bytes;
}

bool sql_is_writing(struct sql_conn *c)
{
    return c->depth > 0 && !c->is_aborted && c->has_written;
}

uint64_t sql_conn_seen(const struct sql_conn *c)
{
    return c->seen;
}
