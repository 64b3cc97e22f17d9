/* SPDX-License-Identifier: Apache-2.0
 *
 * One SQLite connection with its statements prepared at first use and kept. Statements are named by
 * an index into a table of SQL texts, so that a caller never builds SQL. SQLite's result codes
 * become ours here and nowhere else. One thread at a time. */
#pragma once

#include <sqlite3.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

struct db {
    sqlite3 *handle;
    char *path;
    const char *const *sqls; /* statement texts */
    sqlite3_stmt **stmts;
    size_t stmts_len;
};

/* One value for a parameter: ?1, ?2, … in order. Texts are borrowed until the statement is
 * released. */
struct db_param {
    enum { DB_PARAM_END, DB_PARAM_INT, DB_PARAM_TEXT, DB_PARAM_BLOB, DB_PARAM_NULL } kind;
    int64_t num;
    struct slice text;
};
#define P_INT(v) ((struct db_param){.kind = DB_PARAM_INT, .num = (int64_t)(v)})
#define P_TEXT(v) ((struct db_param){.kind = DB_PARAM_TEXT, .text = (v)})
#define P_BLOB(v) ((struct db_param){.kind = DB_PARAM_BLOB, .text = (v)})
#define P_NULL ((struct db_param){.kind = DB_PARAM_NULL})
#define PARAMS(...) ((const struct db_param[]){__VA_ARGS__ __VA_OPT__(, )(struct db_param){0}})

/* Opens for reading and writing; the file must exist. sqls must outlive the connection. */
NODISCARD enum err db_open(struct db *db, const char *path, const char *const *sqls,
                           size_t sqls_len, struct error *ret_error);
void db_close(struct db *db); /* a zero struct is allowed */

/* Runs SQL that gives no rows and is not kept. */
NODISCARD enum err db_exec(struct db *db, const char *sql, struct error *ret_error);
/* Runs SQL that gives one integer. */
NODISCARD enum err db_pragma(struct db *db, const char *sql, int64_t *ret_value,
                             struct error *ret_error);

/* Runs SQL that gives one text; appends it. No row: nothing. */
NODISCARD enum err db_scalar_text(struct db *db, const char *sql, struct bytes *out,
                                  struct error *ret_error);

/* Ends the running transaction, if SQLite has not done that itself (it does after some failures).
 */
void db_rollback(struct db *db);

/* Binds and runs a kept statement to its end; rows are ignored. */
NODISCARD enum err db_run(struct db *db, int stmt, const struct db_param *params,
                          struct error *ret_error);
/* Binds; rows come from db_step(). Give it back with db_release(), usually by CLEANUP. */
NODISCARD enum err db_query(struct db *db, int stmt, const struct db_param *params,
                            sqlite3_stmt **ret_st, struct error *ret_error);
NODISCARD enum err db_step(struct db *db, sqlite3_stmt *st, bool *ret_has_row,
                           struct error *ret_error);
void db_release(sqlite3_stmt **st); /* NULL is allowed; ends the statement's transaction */

/* Our code for SQLite's last failure on this connection, with a message that says what was tried.
 */
enum err db_error(struct db *db, int rc, struct error *ret_error);
int64_t db_changes(struct db *db);
static inline int64_t db_int(sqlite3_stmt *st, int column)
{
    return sqlite3_column_int64(st, column);
}
struct slice db_text(sqlite3_stmt *st, int column); /* until the next step */
struct slice db_blob(sqlite3_stmt *st, int column); /* likewise */
struct slice db_text_copy(sqlite3_stmt *st, int column, struct arena *a);
