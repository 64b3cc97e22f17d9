/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads: what is committed, on a connection of one's own, never waiting for the writer (WAL). Each
 * statement is its own snapshot, and is released before the call returns, so that no reader ever
 * keeps the log from being copied back. Texts are copied into the caller's arena; a page of rows
 * ends early when it has become large, so that a list of large values cannot take the server's
 * memory. */
#include "store/sqlite/reader.h"

enum err reader_open(const char *path, const struct secret_key *key,
                     struct store_reader **ret_reader, struct error *ret_error)
{
    struct store_reader *r = calloc(1, sizeof(*r));
    CHECK(r);
    r->key = key;
    enum err code = db_open(&r->db, path, reader_sqls, READER_STMTS, ret_error);
    if (code == OK)
        code = db_exec(&r->db, "PRAGMA query_only = 1; PRAGMA cache_size = -8192", ret_error);
    if (code != OK) {
        store_reader_close(r);
        return code;
    }
    *ret_reader = r;
    return OK;
}

void store_reader_close(struct store_reader *r)
{
    if (!r)
        return;
    db_close(&r->db);
    free(r);
}

/* ---- rows ---- */

static struct function_row reader_function_row(sqlite3_stmt *st, struct arena *a)
{
    return (struct function_row){
        .name = db_text_copy(st, 0, a),
        .kind = (enum module_kind)db_int(st, 1),
        .version = db_int(st, 2),
        .hash = db_text_copy(st, 3, a),
        .last_build_status = (enum build_status)db_int(st, 4),
        .last_build = db_int(st, 5),
        .created_us = db_int(st, 6),
        .updated_us = db_int(st, 7),
        .split_version = db_int(st, 8),
        .split_permyriad = (uint32_t)db_int(st, 9),
        .exports = (uint32_t)db_int(st, 10),
    };
}

static struct build_row reader_build_row(sqlite3_stmt *st, struct arena *a)
{
    return (struct build_row){
        .function = db_text_copy(st, 0, a),
        .number = db_int(st, 1),
        .status = (enum build_status)db_int(st, 2),
        .version = db_int(st, 3),
        .created_us = db_int(st, 4),
        .started_us = db_int(st, 5),
        .finished_us = db_int(st, 6),
        .error_message = db_text_copy(st, 7, a),
        .error_file = db_text_copy(st, 8, a),
        .error_frame = db_text_copy(st, 9, a),
        .error_line = db_int(st, 10),
        .error_column = db_int(st, 11),
    };
}

/* with_texts: and those that only one row is read with. */
static struct execution_row reader_execution_row(sqlite3_stmt *st, struct arena *a, bool with_texts)
{
    struct execution_row row = {
        .id = db_text_copy(st, 0, a),
        .function = db_text_copy(st, 1, a),
        .version = db_int(st, 2),
        .status = (enum execution_status)db_int(st, 3),
        .error = db_text_copy(st, 4, a),
        .created_us = db_int(st, 5),
        .finished_us = db_int(st, 6),
    };
    if (with_texts) {
        row.input = db_text_copy(st, 8, a);
        row.output = db_text_copy(st, 9, a);
        row.metadata = db_text_copy(st, 10, a);
    }
    return row;
}

static struct log_row reader_log_row(sqlite3_stmt *st, struct arena *a)
{
    return (struct log_row){
        .id = db_int(st, 0),
        .function = db_text_copy(st, 1, a),
        .execution = db_text_copy(st, 2, a),
        .level = (int)db_int(st, 3),
        .at_us = db_int(st, 4),
        .text = db_text_copy(st, 5, a),
    };
}

void *reader_grow(struct arena *a, void *rows, size_t len, size_t *cap, size_t size)
{
    if (len < *cap)
        return rows;
    size_t more = *cap ? 2 * *cap : 16;
    void *bigger = arena_array(a, more, size);
    if (len)
        memcpy(bigger, rows, len * size);
    *cap = more;
    return bigger;
}

static enum err reader_no_function(struct slice name, struct error *ret_error)
{
    enum err code =
        error_set(ret_error, ERR_NOT_FOUND, "there is no function '%.*s'", SLICE_ARG(name));
    error_hint(ret_error, "see: limpet function list");
    return code;
}

enum err reader_first(struct store_reader *r, int stmt, const struct db_param *params,
                      sqlite3_stmt **ret_st, bool *ret_has_row, struct error *ret_error)
{
    enum err code = db_query(&r->db, stmt, params, ret_st, ret_error);
    return code == OK ? db_step(&r->db, *ret_st, ret_has_row, ret_error) : code;
}

enum err reader_function(struct store_reader *r, struct slice name, sqlite3_stmt **ret_st,
                         struct error *ret_error)
{
    bool has_row = false;
    enum err code =
        reader_first(r, READER_FUNCTION_ID, PARAMS(P_TEXT(name)), ret_st, &has_row, ret_error);
    return code == OK && !has_row ? reader_no_function(name, ret_error) : code;
}

enum err reader_function_id(struct store_reader *r, struct slice name, int64_t *ret_id,
                            struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    enum err code = reader_function(r, name, &st, ret_error);
    if (code == OK)
        *ret_id = db_int(st, 0);
    return code;
}

int64_t reader_limit(int64_t limit)
{
    return limit <= 0                     ? READER_PAGE_ROWS
           : limit > READER_PAGE_ROWS_MAX ? READER_PAGE_ROWS_MAX
                                          : limit;
}

/* ---- functions, versions, builds, env ---- */

enum err store_functions(struct store_reader *r, struct arena *a, struct slice space,
                         enum module_kind kind, struct function_row **ret_rows, size_t *ret_len,
                         struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct function_row *rows = NULL;
    size_t len = 0, cap = 0;
    bool has_row = false;
    int64_t id = 0;
    enum err code = reader_namespace_id(r, space, &id, ret_error);
    if (code == OK)
        code = reader_first(r, READER_FUNCTIONS, PARAMS(P_INT(kind), P_INT(id)), &st, &has_row,
                            ret_error);
    while (code == OK && has_row) {
        rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
        rows[len++] = reader_function_row(st, a);
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    *ret_rows = rows;
    *ret_len = len;
    return OK;
}

enum err store_function(struct store_reader *r, struct arena *a, struct slice name,
                        struct function_row *ret_row, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code =
        reader_first(r, READER_FUNCTION, PARAMS(P_TEXT(name)), &st, &has_row, ret_error);
    if (code == OK && !has_row)
        return reader_no_function(name, ret_error);
    if (code == OK)
        *ret_row = reader_function_row(st, a);
    return code;
}

/* Why a function has nothing to serve. */
static enum err reader_no_version(struct store_reader *r, struct arena *a, struct slice function,
                                  int64_t number, struct error *ret_error)
{
    struct function_row f;
    enum err code = store_function(r, a, function, &f, ret_error);
    if (code != OK)
        return code;
    if (number)
        return error_set(ret_error, ERR_NOT_FOUND, "function '%.*s' has no version %lld",
                         SLICE_ARG(function), (long long)number);
    code = error_set(ret_error, ERR_NOT_READY,
                     "function '%.*s' cannot run yet: its build %lld is %s", SLICE_ARG(function),
                     (long long)f.last_build, build_status_text(f.last_build_status));
    if (f.last_build_status == BUILD_FAILED)
        error_hint(ret_error, "see why: limpet function build status %.*s %lld",
                   SLICE_ARG(function), (long long)f.last_build);
    else
        error_hint(ret_error, "try again in a moment");
    return code;
}

static enum err reader_version_row(sqlite3_stmt *st, struct arena *a, struct version_row *ret_row,
                                   struct error *ret_error)
{
    struct version_row row = {
        .function = db_text_copy(st, 0, a),
        .number = db_int(st, 1),
        .hash = db_text_copy(st, 2, a),
        .detail_hash = db_text_copy(st, 3, a),
        .exports = (uint32_t)db_int(st, 4),
        .is_setup_done = db_int(st, 5) != 0,
        .created_us = db_int(st, 7),
    };
    enum err code = version_options_read(db_text(st, 6), a, &row.options, ret_error);
    if (code == OK)
        *ret_row = row;
    return code;
}

enum err store_version(struct store_reader *r, struct arena *a, struct slice function,
                       int64_t number, struct version_row *ret_row, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = number
                        ? reader_first(r, READER_VERSION, PARAMS(P_TEXT(function), P_INT(number)),
                                       &st, &has_row, ret_error)
                        : reader_first(r, READER_VERSION_SERVING, PARAMS(P_TEXT(function)), &st,
                                       &has_row, ret_error);
    if (code != OK)
        return code;
    if (!has_row) {
        db_release(&st);
        return reader_no_version(r, a, function, number, ret_error);
    }
    return reader_version_row(st, a, ret_row, ret_error);
}

enum err store_versions(struct store_reader *r, struct arena *a, struct slice function,
                        struct version_row **ret_rows, size_t *ret_len, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct version_row *rows = NULL;
    size_t len = 0, cap = 0;
    bool has_row = false;
    enum err code =
        reader_first(r, READER_VERSIONS, PARAMS(P_TEXT(function), P_INT(STORE_VERSIONS_MAX)), &st,
                     &has_row, ret_error);
    while (code == OK && has_row) {
        rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
        code = reader_version_row(st, a, &rows[len++], ret_error);
        if (code == OK)
            code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    *ret_rows = rows;
    *ret_len = len;
    return OK;
}

enum err store_builds(struct store_reader *r, struct arena *a, struct slice function,
                      struct build_row **ret_rows, size_t *ret_len, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct build_row *rows = NULL;
    size_t len = 0, cap = 0;
    bool has_row = false;
    int64_t id = 0;
    enum err code = reader_function_id(r, function, &id, ret_error);
    if (code == OK)
        code = reader_first(r, READER_BUILDS, PARAMS(P_INT(id), P_INT(READER_PAGE_ROWS_MAX)), &st,
                            &has_row, ret_error);
    while (code == OK && has_row) {
        rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
        rows[len++] = reader_build_row(st, a);
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    *ret_rows = rows;
    *ret_len = len;
    return OK;
}

enum err store_build(struct store_reader *r, struct arena *a, struct slice function, int64_t number,
                     struct build_row *ret_row, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    int64_t id = 0;
    enum err code = reader_function_id(r, function, &id, ret_error);
    if (code == OK)
        code = reader_first(r, READER_BUILD, PARAMS(P_INT(id), P_INT(number)), &st, &has_row,
                            ret_error);
    if (code == OK && !has_row) {
        code = error_set(ret_error, ERR_NOT_FOUND, "function '%.*s' has no build %lld",
                         SLICE_ARG(function), (long long)number);
        error_hint(ret_error, "see: limpet function build list %.*s", SLICE_ARG(function));
    }
    if (code == OK)
        *ret_row = reader_build_row(st, a);
    return code;
}

/* ---- executions ---- */

enum err reader_cursor(struct slice cursor, int64_t *ret_before, struct error *ret_error)
{
    *ret_before = INT64_MAX;
    if (!cursor.len)
        return OK;
    bool is_good = cursor.len >= 2 && cursor.len <= 16 && cursor.ptr[0] == 'e';
    int64_t value = 0;
    for (size_t i = 1; is_good && i < cursor.len; i++) {
        char c = cursor.ptr[i];
        is_good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        value = value * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (!is_good || value <= 0) {
        enum err code = error_set(ret_error, ERR_INVALID, "'%.*s' is not a cursor",
                                  (int)(cursor.len > 40 ? 40 : cursor.len), cursor.ptr);
        error_hint(ret_error, "give the one from the page before, as it was");
        return code;
    }
    *ret_before = value;
    return OK;
}

struct slice reader_cursor_text(struct arena *a, int64_t last)
{
    return slice_cstr(arena_printf(a, "e%llx", (unsigned long long)last));
}

enum err store_executions(struct store_reader *r, struct arena *a, struct slice space,
                          struct slice function, const struct store_page *page,
                          struct execution_row **ret_rows, size_t *ret_len, struct slice *ret_next,
                          struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    int64_t before = 0, id = 0, last = 0, limit = reader_limit(page->limit);
    struct execution_row *rows = NULL;
    size_t len = 0, cap = 0, bytes = 0;
    bool has_row = false;
    enum err code = reader_cursor(page->cursor, &before, ret_error);
    if (code == OK)
        code = function.len ? reader_function_id(r, function, &id, ret_error)
                            : reader_namespace_id(r, space, &id, ret_error);
    /* One row more than asked for tells whether there is a next page. */
    if (code == OK)
        code = reader_first(r, function.len ? READER_EXECUTIONS_OF : READER_EXECUTIONS,
                            PARAMS(P_INT(before), P_INT(limit + 1), P_INT(id)), &st, &has_row,
                            ret_error);
    while (code == OK && has_row && (int64_t)len < limit && bytes < READER_PAGE_BYTES_MAX) {
        rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
        rows[len] = reader_execution_row(st, a, false);
        bytes += rows[len++].error.len;
        last = db_int(st, 7);
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    *ret_rows = rows;
    *ret_len = len;
    *ret_next = has_row ? reader_cursor_text(a, last) : SLICE_EMPTY;
    return OK;
}

enum err store_execution(struct store_reader *r, struct arena *a, struct slice id,
                         struct execution_row *ret_row, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = reader_first(r, READER_EXECUTION, PARAMS(P_TEXT(id)), &st, &has_row, ret_error);
    if (code == OK && !has_row) {
        code = error_set(ret_error, ERR_NOT_FOUND, "there is no execution '%.*s'",
                         (int)(id.len > 64 ? 64 : id.len), id.ptr ? id.ptr : "");
        error_hint(ret_error, "see: limpet execution list; old ones are removed");
    }
    if (code == OK)
        *ret_row = reader_execution_row(st, a, true);
    return code;
}

/* ---- logs ---- */

static enum err reader_logs_first(struct store_reader *r, int64_t id, struct slice execution,
                                  int64_t after, int64_t limit, sqlite3_stmt **ret_st,
                                  bool *ret_has_row, struct error *ret_error)
{
    if (execution.len && after < 0)
        return reader_first(r, READER_LOGS_OF_NEWEST,
                            PARAMS(P_INT(id), P_INT(limit), P_TEXT(execution)), ret_st, ret_has_row,
                            ret_error);
    if (execution.len)
        return reader_first(r, READER_LOGS_OF,
                            PARAMS(P_INT(id), P_INT(after), P_INT(limit), P_TEXT(execution)),
                            ret_st, ret_has_row, ret_error);
    if (after < 0)
        return reader_first(r, READER_LOGS_NEWEST, PARAMS(P_INT(id), P_INT(limit)), ret_st,
                            ret_has_row, ret_error);
    return reader_first(r, READER_LOGS, PARAMS(P_INT(id), P_INT(after), P_INT(limit)), ret_st,
                        ret_has_row, ret_error);
}

enum err store_logs(struct store_reader *r, struct arena *a, struct slice function,
                    struct slice execution, int64_t after, int64_t limit, struct log_row **ret_rows,
                    size_t *ret_len, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct log_row *rows = NULL;
    size_t len = 0, cap = 0, bytes = 0;
    bool has_row = false;
    int64_t id = 0;
    enum err code = reader_function_id(r, function, &id, ret_error);
    if (code == OK)
        code = reader_logs_first(r, id, execution, after, reader_limit(limit), &st, &has_row,
                                 ret_error);
    while (code == OK && has_row && bytes < READER_PAGE_BYTES_MAX) {
        rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
        rows[len] = reader_log_row(st, a);
        bytes += rows[len++].text.len;
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    for (size_t i = 0; after < 0 && i < len / 2; i++) { /* newest first so far */
        struct log_row row = rows[i];
        rows[i] = rows[len - 1 - i];
        rows[len - 1 - i] = row;
    }
    *ret_rows = rows;
    *ret_len = len;
    return OK;
}
