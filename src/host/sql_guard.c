/* SPDX-License-Identifier: Apache-2.0
 *
 * What a guest's SQL may do. The connection is shared by all guests of a thread, and durability
 * hangs on its settings, so statements that would change the connection, reach other files or take
 * over transaction control are refused when they are prepared, as is any that touches the server's
 * own tables (sql_journal.h, sql_store.h; they show in sqlite_schema, which cannot be filtered); sizes and depths
 * are bounded; a deadline and other writers are watched while they run. Thread of the connection.
 */
#include "host/sql_internal.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "host/fiber_task.h"

enum {
    GUARD_FUNCTION_ARGS = 100,
    GUARD_EXPRESSION_DEPTH =
        200, /* the parser recurses on the guest's fiber, whose stack is small */
    GUARD_COMPOUND_SELECTS = 100,
    GUARD_COLUMNS = 2000,
    GUARD_VDBE_OPS = 1000 * 1000,
    GUARD_LIKE_BYTES = 1024, /* matching has no progress callback */
    GUARD_VARIABLES = 32766,
    GUARD_TRIGGER_DEPTH = 100,
    GUARD_SPIN_NS = 50 * 1000, /* yields that long before it sleeps between looks at the lock */
    GUARD_NAP_NS = 200 * 1000,
    GUARD_NAP_MS = 1, /* a task's */
};

static bool is_one_of(const char *name, const char *const *list)
{
    for (; *list; list++) {
        if (strcasecmp(name, *list) == 0)
            return true;
    }
    return false;
}

/* Pragmas that tell something, with or without an argument; of the database and of SQLite, not of
 * the server or of this connection. */
static const char *const pragmas_told[] = {"table_info",
                                           "table_xinfo",
                                           "table_list",
                                           "index_list",
                                           "index_info",
                                           "index_xinfo",
                                           "foreign_key_list",
                                           "foreign_key_check",
                                           "integrity_check",
                                           "quick_check",
                                           "function_list",
                                           "collation_list",
                                           "module_list",
                                           "pragma_list",
                                           "compile_options",
                                           "data_version",
                                           "freelist_count",
                                           "optimize",
                                           NULL};
/* Pragmas that tell something without an argument and would set it with one. */
static const char *const pragmas_read[] = {
    "encoding",           "page_count",     "page_size",    "max_page_count", "foreign_keys",
    "journal_mode",       "schema_version", "auto_vacuum",  "cache_size",     "synchronous",
    "recursive_triggers", "secure_delete",  "busy_timeout", "temp_store",     NULL};
/* Kept in the file for the guest's own use. */
static const char *const pragmas_set[] = {"user_version", "application_id", NULL};
static const char *const modules_made[] = {"fts5", "fts5vocab", "rtree", "rtree_i32", NULL};

/* Functions of SQLite that compute, by name; whatever else a newer SQLite or an extension brings is
 * refused until it is put here. Those of ALTER TABLE are only reached by it. */
static const char *const functions_known[] = {"->",
                                              "->>",
                                              "abs",
                                              "acos",
                                              "acosh",
                                              "asin",
                                              "asinh",
                                              "atan",
                                              "atan2",
                                              "atanh",
                                              "avg",
                                              "bm25",
                                              "ceil",
                                              "ceiling",
                                              "changes",
                                              "char",
                                              "coalesce",
                                              "concat",
                                              "concat_ws",
                                              "cos",
                                              "cosh",
                                              "count",
                                              "cume_dist",
                                              "current_date",
                                              "current_time",
                                              "current_timestamp",
                                              "date",
                                              "datetime",
                                              "degrees",
                                              "dense_rank",
                                              "exp",
                                              "first_value",
                                              "floor",
                                              "format",
                                              "fts5_get_locale",
                                              "fts5_insttoken",
                                              "fts5_locale",
                                              "glob",
                                              "group_concat",
                                              "hex",
                                              "highlight",
                                              "if",
                                              "ifnull",
                                              "iif",
                                              "instr",
                                              "json",
                                              "json_array",
                                              "json_array_insert",
                                              "json_array_length",
                                              "json_error_position",
                                              "json_extract",
                                              "json_group_array",
                                              "json_group_object",
                                              "json_insert",
                                              "json_object",
                                              "json_patch",
                                              "json_pretty",
                                              "json_quote",
                                              "json_remove",
                                              "json_replace",
                                              "json_set",
                                              "json_type",
                                              "json_valid",
                                              "jsonb",
                                              "jsonb_array",
                                              "jsonb_array_insert",
                                              "jsonb_extract",
                                              "jsonb_group_array",
                                              "jsonb_group_object",
                                              "jsonb_insert",
                                              "jsonb_object",
                                              "jsonb_patch",
                                              "jsonb_remove",
                                              "jsonb_replace",
                                              "jsonb_set",
                                              "julianday",
                                              "lag",
                                              "last_insert_rowid",
                                              "last_value",
                                              "lead",
                                              "length",
                                              "like",
                                              "likelihood",
                                              "likely",
                                              "ln",
                                              "log",
                                              "log10",
                                              "log2",
                                              "lower",
                                              "ltrim",
                                              "match",
                                              "max",
                                              "min",
                                              "mod",
                                              "nth_value",
                                              "ntile",
                                              "nullif",
                                              "octet_length",
                                              "percent_rank",
                                              "pi",
                                              "pow",
                                              "power",
                                              "printf",
                                              "quote",
                                              "radians",
                                              "random",
                                              "randomblob",
                                              "rank",
                                              "replace",
                                              "round",
                                              "row_number",
                                              "rtrim",
                                              "sign",
                                              "sin",
                                              "sinh",
                                              "snippet",
                                              "sqlite_add_constraint",
                                              "sqlite_drop_column",
                                              "sqlite_drop_constraint",
                                              "sqlite_fail",
                                              "sqlite_find_constraint",
                                              "sqlite_rename_column",
                                              "sqlite_rename_quotefix",
                                              "sqlite_rename_table",
                                              "sqlite_rename_test",
                                              "sqlite_source_id",
                                              "sqlite_version",
                                              "sqrt",
                                              "strftime",
                                              "string_agg",
                                              "substr",
                                              "substring",
                                              "subtype",
                                              "sum",
                                              "tan",
                                              "tanh",
                                              "time",
                                              "timediff",
                                              "total",
                                              "total_changes",
                                              "trim",
                                              "trunc",
                                              "typeof",
                                              "unhex",
                                              "unicode",
                                              "unistr",
                                              "unistr_quote",
                                              "unixepoch",
                                              "unlikely",
                                              "upper",
                                              "zeroblob"};

static int guard_name_order(const void *key, const void *element)
{
    return strcasecmp(key, *(const char *const *)element);
}

static bool guard_knows_function(const char *name)
{
    return name && bsearch(name, functions_known, ARRAY_LEN(functions_known),
                           sizeof(functions_known[0]), guard_name_order);
}

PRINTF_LIKE(2, 3) static int guard_refuse(struct sql_conn *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(c->refusal, sizeof(c->refusal), format, args);
    va_end(args);
    return SQLITE_DENY;
}

static int guard_pragma(struct sql_conn *c, const char *name, const char *value)
{
    if (is_one_of(name, pragmas_told) || is_one_of(name, pragmas_set) ||
        (!value && is_one_of(name, pragmas_read)))
        return SQLITE_OK;
    if (strcasecmp(name, "defer_foreign_keys") == 0) /* ends with the transaction, as does that */
        return c->depth > 0 ? SQLITE_OK
                            : guard_refuse(c, "PRAGMA defer_foreign_keys is only for inside "
                                              "transaction(fn)");
    if (value && is_one_of(name, pragmas_read))
        return guard_refuse(c, "PRAGMA %.40s cannot be changed: the server sets it", name);
    return guard_refuse(c, "PRAGMA %.40s is not available", name);
}

static int guard_refuse_temp(struct sql_conn *c)
{
    return guard_refuse(c, "temporary objects are not available: requests share the connection");
}

static bool guard_is_ours(const char *name)
{
    return name && (strcasecmp(name, SQL_JOURNAL_TABLE) == 0 ||
                    strncasecmp(name, SQL_STORE_PREFIX, sizeof(SQL_STORE_PREFIX) - 1) == 0);
}

static bool guard_is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c > 127;
}

/* At the beginning of an identifier. */
static bool guard_text_has(struct slice text, const char *word)
{
    const size_t len = strlen(word);
    for (size_t i = 0; i + len <= text.len; i++)
        if (strncasecmp(text.ptr + i, word, len) == 0 &&
            (i == 0 || !guard_is_word(text.ptr[i - 1])))
            return true;
    return false;
}

static bool guard_text_names_ours(const struct sql_conn *c)
{
    return guard_text_has(c->text, SQL_JOURNAL_TABLE) || guard_text_has(c->text, SQL_STORE_PREFIX);
}

/* Does it touch one of the server's own tables, or take its name? Definitions may name it where the
 * authorizer is not told (a new name, a foreign key), so their whole text counts; an identifier
 * cannot be spelled in another way. */
static bool guard_touches_ours(const struct sql_conn *c, int action, const char *a, const char *b)
{
    switch (action) {
    case SQLITE_READ: /* b is a column */
    case SQLITE_UPDATE:
        return guard_is_ours(a);
    case SQLITE_CREATE_TABLE:
    case SQLITE_CREATE_INDEX:
    case SQLITE_CREATE_TRIGGER:
    case SQLITE_CREATE_VIEW:
    case SQLITE_CREATE_VTABLE:
    case SQLITE_ALTER_TABLE:
        return guard_text_names_ours(c);
    default:
        return guard_is_ours(a) || guard_is_ours(b);
    }
}

static int guard_authorize(void *arg, int action, const char *a, const char *b, const char *db,
                           const char *trigger)
{
    struct sql_conn *c = arg;
    bool is_temp = db && strcmp(db, "temp") == 0;
    (void)trigger;
    if (c->is_internal)
        return SQLITE_OK;
    if (guard_touches_ours(c, action, a, b))
        return action == SQLITE_ANALYZE || action == SQLITE_REINDEX /* of all: passes over it */
                   ? SQLITE_IGNORE
                   : guard_refuse(c, "table " SQL_JOURNAL_TABLE
                                     " and those whose names begin with " SQL_STORE_PREFIX
                                     " are the server's own");
    switch (action) {
    case SQLITE_ATTACH: /* VACUUM attaches too */
        return guard_refuse(c, "ATTACH and VACUUM are not available");
    case SQLITE_DETACH:
        return guard_refuse(c, "DETACH is not available");
    case SQLITE_TRANSACTION:
        return guard_refuse(c, "%s is not available as SQL: use transaction(fn)", a);
    case SQLITE_SAVEPOINT:
        return guard_refuse(c, "savepoints are not available as SQL: use transaction(fn) in "
                               "transaction(fn)");
    case SQLITE_PRAGMA:
        c->is_pragma = true;
        return guard_pragma(c, a, b);
    case SQLITE_CREATE_TABLE:
    case SQLITE_CREATE_INDEX:
    case SQLITE_CREATE_TRIGGER:
    case SQLITE_CREATE_VIEW:
        return is_temp ? guard_refuse_temp(c) : SQLITE_OK;
    case SQLITE_CREATE_TEMP_TABLE:
    case SQLITE_CREATE_TEMP_INDEX:
    case SQLITE_CREATE_TEMP_TRIGGER:
    case SQLITE_CREATE_TEMP_VIEW:
        return guard_refuse_temp(c);
    case SQLITE_CREATE_VTABLE:
        if (is_temp)
            return guard_refuse_temp(c);
        return is_one_of(b, modules_made)
                   ? SQLITE_OK
                   : guard_refuse(c, "virtual tables of module %.40s are not available", b);
    case SQLITE_FUNCTION:
        return guard_knows_function(b)
                   ? SQLITE_OK
                   : guard_refuse(c, "function %.60s() is not available", b ? b : "");
    default:
        return SQLITE_OK;
    }
}

static bool guard_is_late(const struct sql_conn *c, uint64_t now)
{
    return c->deadline_ns && now > c->deadline_ns;
}

static int guard_progress(void *arg)
{
    const struct sql_conn *c = arg;
    if (fiber_task_current())
        return fiber_task_tick() && c->deadline_ns; /* without one it is ours, and is to end */
    return c->deadline_ns && guard_is_late(c, clock_monotonic_ns());
}

/* Another transaction or the checkpointer has the write lock, typically for microseconds. A task
 * waits for it on its loop's timer. */
static int guard_busy(void *arg, int count)
{
    struct sql_conn *c = arg;
    uint64_t now = clock_monotonic_ns();
    if (count == 0)
        c->busy_since_ns = now;
    uint64_t waited = now - c->busy_since_ns;
    struct fiber_task *t = fiber_task_current();
    uint64_t max_ms = t ? SQL_BUSY_MS : SQL_BUSY_HERE_MS;
    if (waited > max_ms * UINT64_C(1000000) ||
        (t ? fiber_task_is_cancelled(t) : guard_is_late(c, now)))
        return 0;
    if (c->may_yield && sqlite3_get_autocommit(c->db) && sql_file_is_set_up(c->file)) {
        c->has_yielded = true;
        return 0;
    }
    if (waited < GUARD_SPIN_NS)
        (void)sched_yield();
    else if (t)
        fiber_task_nap(GUARD_NAP_MS);
    else
        (void)nanosleep(&(struct timespec){.tv_nsec = GUARD_NAP_NS}, NULL);
    return 1;
}

void sql_guard_install(struct sql_conn *c)
{
    static const struct {
        int id, value;
    } limits[] = {
        {SQLITE_LIMIT_LENGTH, SQL_VALUE_BYTES_MAX},
        {SQLITE_LIMIT_SQL_LENGTH, SQL_TEXT_BYTES_MAX},
        {SQLITE_LIMIT_COLUMN, GUARD_COLUMNS},
        {SQLITE_LIMIT_EXPR_DEPTH, GUARD_EXPRESSION_DEPTH},
        {SQLITE_LIMIT_COMPOUND_SELECT, GUARD_COMPOUND_SELECTS},
        {SQLITE_LIMIT_VDBE_OP, GUARD_VDBE_OPS},
        {SQLITE_LIMIT_FUNCTION_ARG, GUARD_FUNCTION_ARGS},
        {SQLITE_LIMIT_ATTACHED, 0},
        {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, GUARD_LIKE_BYTES},
        {SQLITE_LIMIT_VARIABLE_NUMBER, GUARD_VARIABLES},
        {SQLITE_LIMIT_TRIGGER_DEPTH, GUARD_TRIGGER_DEPTH},
        {SQLITE_LIMIT_WORKER_THREADS, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        (void)sqlite3_limit(c->db, limits[i].id, limits[i].value);
    (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_busy_handler(c->db, guard_busy, c);
    sqlite3_progress_handler(c->db, SQL_PROGRESS_OPS, guard_progress, c);
    (void)sqlite3_set_authorizer(c->db, guard_authorize, c);
}
