/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections and statements (see db.h). Which codes mean what to the writer: IO, UNAVAILABLE and
 * CORRUPT say that the database cannot be written at all just now; everything else concerns the one
 * statement. */
#include "store/sqlite/db.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { DB_BUSY_TIMEOUT_MS = 5000 }; /* another program holds the lock: a backup, a curious person */

static enum err db_error_no_space(struct db *db, struct error *ret_error)
{
    enum err code =
        error_set(ret_error, ERR_UNAVAILABLE,
                  "cannot write %s: no space left (disk full, quota or file size limit)", db->path);
    error_hint(ret_error, "free some space; writing goes on by itself then");
    return code;
}

/* The system's reason for an I/O error. sqlite3_system_errno() reads errno late, when other calls
 * have changed it, so the files are asked first: the write-ahead log, then the database. */
static int db_system_errno(struct db *db)
{
    int os = 0;
    sqlite3_file *log = NULL;
    if (sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&log) ==
            SQLITE_OK &&
        log && log->pMethods &&
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &os) == SQLITE_OK && os)
        return os;
    if (sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_LAST_ERRNO, &os) == SQLITE_OK && os)
        return os;
    return sqlite3_system_errno(db->handle);
}

enum err db_error(struct db *db, int rc, struct error *ret_error)
{
    bool is_io = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN;
    const char *detail = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc);
    int os = db->handle && is_io ? db_system_errno(db) : 0;
    enum err code;
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return db_error_no_space(db, ret_error);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        if (os == ENOSPC || os == EDQUOT || os == EFBIG)
            return db_error_no_space(db, ret_error);
        return error_set(ret_error, ERR_IO, "cannot access %s: %s (%s)", db->path,
                         os ? strerror(os) : "input/output error", detail);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        code = error_set(ret_error, ERR_UNAVAILABLE, "%s is locked by another program", db->path);
        error_hint(ret_error, "find it with: fuser %s", db->path);
        return code;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        code = error_set(ret_error, ERR_UNAVAILABLE, "cannot write %s: %s", db->path, detail);
        error_hint(ret_error, "the server's user must be able to write the file and its folder");
        return code;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        code = error_set(ret_error, ERR_CORRUPT, "%s is damaged or not a database: %s", db->path,
                         detail);
        error_hint(ret_error,
                   "restore it from a backup, or move it away to begin with an empty one");
        return code;
    case SQLITE_NOMEM:
        return error_set(ret_error, ERR_UNAVAILABLE, "out of memory in the database");
    case SQLITE_TOOBIG:
        return error_set(ret_error, ERR_TOO_LARGE, "a value is too large to be stored: %s", detail);
    case SQLITE_CONSTRAINT:
        return error_set(ret_error, ERR_CONFLICT, "the database refused the change: %s", detail);
    default:
        return error_set(ret_error, ERR_INTERNAL, "%s: unexpected failure of the database: %s (%d)",
                         db->path, detail, rc);
    }
}

enum err db_open(struct db *db, const char *path, const char *const *sqls, size_t sqls_len,
                 struct error *ret_error)
{
    *db = (struct db){.sqls = sqls, .stmts_len = sqls_len};
    db->path = strdup(path);
    db->stmts = calloc(sqls_len, sizeof(*db->stmts));
    CHECK(db->path && db->stmts);
    int rc = sqlite3_open_v2(path, &db->handle,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
                             NULL);
    if (rc != SQLITE_OK) {
        enum err code = db_error(db, rc, ret_error);
        db_close(db);
        return code;
    }
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_busy_timeout(db->handle, DB_BUSY_TIMEOUT_MS);
    return OK;
}

void db_close(struct db *db)
{
    for (size_t i = 0; i < db->stmts_len && db->stmts; i++)
        sqlite3_finalize(db->stmts[i]);
    free(db->stmts);
    free(db->path);
    CHECK(sqlite3_close(db->handle) == SQLITE_OK);
    *db = (struct db){0};
}

enum err db_exec(struct db *db, const char *sql, struct error *ret_error)
{
    int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? OK : db_error(db, rc, ret_error);
}

enum err db_scalar_text(struct db *db, const char *sql, struct bytes *out, struct error *ret_error)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db->handle, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        bytes_append_slice(out, db_text(st, 0));
    enum err code = rc == SQLITE_ROW || rc == SQLITE_DONE ? OK : db_error(db, rc, ret_error);
    sqlite3_finalize(st);
    return code;
}

void db_rollback(struct db *db)
{
    if (!sqlite3_get_autocommit(db->handle))
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    CHECK(sqlite3_get_autocommit(db->handle));
}

enum err db_pragma(struct db *db, const char *sql, int64_t *ret_value, struct error *ret_error)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db->handle, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    enum err code = OK;
    if (rc == SQLITE_ROW)
        *ret_value = sqlite3_column_int64(st, 0);
    else
        code = db_error(db, rc, ret_error);
    sqlite3_finalize(st);
    return code;
}

static int db_bind(sqlite3_stmt *st, const struct db_param *params)
{
    int rc = SQLITE_OK;
    for (int i = 0; params[i].kind != DB_PARAM_END && rc == SQLITE_OK; i++) {
        const struct db_param *p = &params[i];
        if (p->kind == DB_PARAM_INT)
            rc = sqlite3_bind_int64(st, i + 1, p->num);
        else if (p->kind == DB_PARAM_NULL)
            rc = sqlite3_bind_null(st, i + 1);
        else if (p->kind == DB_PARAM_BLOB)
            rc = sqlite3_bind_blob64(st, i + 1, p->text.ptr ? p->text.ptr : "", p->text.len,
                                     SQLITE_STATIC);
        else /* a NULL pointer would bind NULL, not an empty text */
            rc = sqlite3_bind_text64(st, i + 1, p->text.ptr ? p->text.ptr : "", p->text.len,
                                     SQLITE_STATIC, SQLITE_UTF8);
    }
    return rc;
}

enum err db_query(struct db *db, int stmt, const struct db_param *params, sqlite3_stmt **ret_st,
                  struct error *ret_error)
{
    CHECK(stmt >= 0 && (size_t)stmt < db->stmts_len);
    sqlite3_stmt **kept = &db->stmts[stmt];
    if (!*kept) {
        int rc = sqlite3_prepare_v3(db->handle, db->sqls[stmt], -1, SQLITE_PREPARE_PERSISTENT, kept,
                                    NULL);
        if (rc != SQLITE_OK)
            return db_error(db, rc, ret_error);
    }
    int rc = db_bind(*kept, params);
    if (rc != SQLITE_OK)
        return db_error(db, rc, ret_error);
    *ret_st = *kept;
    return OK;
}

enum err db_step(struct db *db, sqlite3_stmt *st, bool *ret_has_row, struct error *ret_error)
{
    int rc = sqlite3_step(st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return db_error(db, rc, ret_error);
    *ret_has_row = rc == SQLITE_ROW;
    return OK;
}

void db_release(sqlite3_stmt **st)
{
    if (*st)
        sqlite3_reset(*st); /* repeats the code of the last step, which was reported */
    *st = NULL;
}

enum err db_run(struct db *db, int stmt, const struct db_param *params, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    enum err code = db_query(db, stmt, params, &st, ret_error);
    bool has_row = true;
    while (code == OK && has_row)
        code = db_step(db, st, &has_row, ret_error);
    return code;
}

int64_t db_changes(struct db *db)
{
    return sqlite3_changes64(db->handle);
}

struct slice db_text(sqlite3_stmt *st, int column)
{
    const char *ptr = (const char *)sqlite3_column_text(st, column);
    return slice_of(ptr, (size_t)sqlite3_column_bytes(st, column));
}

struct slice db_blob(sqlite3_stmt *st, int column)
{
    const char *ptr = sqlite3_column_blob(st, column);
    return slice_of(ptr, (size_t)sqlite3_column_bytes(st, column));
}

struct slice db_text_copy(sqlite3_stmt *st, int column, struct arena *a)
{
    return arena_copy(a, db_text(st, column));
}
