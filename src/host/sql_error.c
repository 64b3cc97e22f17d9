/* SPDX-License-Identifier: Apache-2.0
 *
 * SQLite's result codes as ours. What the guest's SQL is to blame for is ERR_SQL with SQLite's own
 * message; what the server or its disk is to blame for is something else. Any thread. */
#include "host/sql_internal.h"

#include <errno.h>
#include <string.h>

#include "host/fiber_task.h"

static enum err error_of_full(struct error *ret_error, const char *what)
{
    (void)error_set(ret_error, ERR_IO, "%s: no space is left on the disk", what);
    error_hint(ret_error, "free some space on the server's data disk");
    return ERR_IO;
}

static enum err error_of_memory(struct error *ret_error)
{
    const struct fiber_task *t = fiber_task_current();
    if (t && t->full)
        return budget_refuse(t->full, ret_error);
    if (!t)
        return error_set(ret_error, ERR_LIMIT_MEMORY, "SQLite ran out of memory");
    (void)error_set(ret_error, ERR_LIMIT_MEMORY,
                    "a SQL statement needed more than the function's %zu MiB of memory",
                    t->memory_max / 1024 / 1024);
    error_hint(ret_error, "work on less at once, or raise the module's memory_mb limit");
    return ERR_LIMIT_MEMORY;
}

enum err sql_error_descriptors(struct error *ret_error, const char *path)
{
    (void)error_set(ret_error, ERR_OVERLOAD, "%s: the server has no file descriptor left", path);
    error_hint(ret_error, "try again later, or raise the server's limit of open files");
    return ERR_OVERLOAD;
}

enum err sql_error(struct error *ret_error, const char *path, sqlite3 *db, int rc)
{
    const char *message = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    int system = db ? sqlite3_system_errno(db) : 0;
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        (void)error_set(ret_error, ERR_UNAVAILABLE,
                        "database is busy: another transaction held it for more than %d ms",
                        SQL_BUSY_MS);
        error_hint(ret_error, "keep transactions short, or try again");
        return ERR_UNAVAILABLE;
    case SQLITE_TOOBIG:
        (void)error_set(ret_error, ERR_LIMIT, "%s (the limit of a value and of a row is %d MiB)",
                        message, SQL_VALUE_BYTES_MAX / 1024 / 1024);
        error_hint(ret_error, "keep it in several rows; docs/limits.md has all limits");
        return ERR_LIMIT;
    case SQLITE_NOMEM:
        return error_of_memory(ret_error);
    case SQLITE_FULL:
        return error_of_full(ret_error, "database");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        (void)error_set(ret_error, ERR_CORRUPT, "database file %s: %s", path, message);
        error_hint(ret_error, "restore the file from a backup");
        return ERR_CORRUPT;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL:
        if (system == ENOSPC || system == EDQUOT)
            return error_of_full(ret_error, path);
        if (system == EMFILE || system == ENFILE)
            return sql_error_descriptors(ret_error, path);
        return error_set(ret_error, ERR_IO, "database file %s: %s%s%s", path, message,
                         system ? ": " : "", system ? strerror(system) : "");
    default:
        return error_set(ret_error, ERR_SQL, "%s", message);
    }
}
