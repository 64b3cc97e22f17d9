/* SPDX-License-Identifier: Apache-2.0
 *
 * Usage by the hour and quotas: their mutations, their retention, their reads. A row of usage is
 * added to, never set, so that who meters need not know what is stored. */
#include "base/limits.h"
#include "base/module_name.h"
#include "store/sqlite/apply.h"
#include "store/sqlite/reader.h"

/* ---- writer ---- */

enum err apply_usage_add(struct writer *w, const struct mutation *m, int64_t *ret_number,
                         struct error *ret_error)
{
    const struct usage_row *u = &m->usage_add.row;
    if (!u->module.len || u->hour <= 0 || u->requests < 0 || u->cpu_us < 0 ||
        u->memory_byte_s < 0 || u->egress_bytes < 0)
        return error_set(ret_error, ERR_INVALID, "usage has a module, an hour, and only grows");
    enum err code =
        db_run(&w->db, WRITER_USAGE_ADD,
               PARAMS(P_INT(u->hour), P_TEXT(u->module), P_INT(u->requests), P_INT(u->cpu_us),
                      P_INT(u->memory_byte_s), P_INT(u->egress_bytes)),
               ret_error);
    if (code == OK && u->hour > w->usage_hour) { /* an older one may have become too old */
        w->usage_hour = u->hour;
        w->needs_tidy = true;
    }
    return code;
}

enum err apply_quota_set(struct writer *w, const struct mutation *m, int64_t *ret_number,
                         struct error *ret_error)
{
    bool is_namespace = m->quota_set.row.is_namespace;
    enum writer_stmt set = is_namespace ? WRITER_NAMESPACE_QUOTA_SET : WRITER_QUOTA_SET;
    enum writer_stmt drop = is_namespace ? WRITER_NAMESPACE_QUOTA_DELETE : WRITER_QUOTA_DELETE;
    struct apply_function f = {0};
    enum err code = is_namespace
                        ? apply_namespace_find(w, m->quota_set.row.module, &f.id, ret_error)
                        : apply_function_look(w, m->quota_set.row.module, &f, ret_error);
    if (code == OK && !f.id)
        code = error_set(ret_error, ERR_NOT_FOUND, "there is no module '%.*s'",
                         SLICE_ARG(m->quota_set.row.module));
    for (int r = 0; r < RESOURCES && code == OK; r++) {
        struct slice name = slice_cstr(resource_name((enum resource)r));
        if (m->quota_set.row.max[r] == QUOTA_NONE)
            code = db_run(&w->db, drop, PARAMS(P_INT(f.id), P_TEXT(name)), ret_error);
        else if (m->quota_set.row.max[r] != QUOTA_AS_IT_IS)
            code = db_run(&w->db, set,
                          PARAMS(P_INT(f.id), P_TEXT(name), P_INT(m->quota_set.row.max[r])),
                          ret_error);
    }
    return code;
}

enum err tidy_usage(struct writer *w, bool *ret_did, struct error *ret_error)
{
    if (w->usage_tidied_hour >= w->usage_hour)
        return OK;
    enum err code =
        db_run(&w->db, WRITER_TIDY_USAGE,
               PARAMS(P_INT(w->usage_hour - LIMIT_USAGE_HOURS), P_INT(STORE_TIDY_ROWS)), ret_error);
    *ret_did = code == OK && db_changes(&w->db) > 0;
    if (code == OK && !*ret_did)
        w->usage_tidied_hour = w->usage_hour;
    return code;
}

/* ---- reader ---- */

enum err store_usage(struct store_reader *r, struct arena *a, const struct usage_filter *filter,
                     struct usage_row **ret_rows, size_t *ret_len, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct usage_row *rows = NULL;
    size_t len = 0, cap = 0;
    bool has_row = false;
    CLEANUP(bytes_done) struct bytes space = BYTES_INIT;
    module_name_join(filter->space, SLICE_EMPTY, &space); /* "space/", "" */
    struct slice which = filter->module.len ? filter->module : bytes_slice(&space);
    int stmt = filter->module.len ? (filter->by_hour ? READER_USAGE_HOURS_OF : READER_USAGE_OF)
                                  : (filter->by_hour ? READER_USAGE_HOURS : READER_USAGE);
    enum err code = reader_first(
        r, stmt, PARAMS(P_INT(filter->since_hour), P_INT(LIMIT_USAGE_ROWS + 1), P_TEXT(which)), &st,
        &has_row, ret_error);
    while (code == OK && has_row && len <= LIMIT_USAGE_ROWS) {
        rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
        rows[len++] = (struct usage_row){.module = db_text_copy(st, 0, a),
                                         .hour = db_int(st, 1),
                                         .requests = db_int(st, 2),
                                         .cpu_us = db_int(st, 3),
                                         .memory_byte_s = db_int(st, 4),
                                         .egress_bytes = db_int(st, 5)};
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code == OK && len > LIMIT_USAGE_ROWS) {
        code = error_set(ret_error, ERR_TOO_LARGE, "that is more than %d rows of usage",
                         LIMIT_USAGE_ROWS);
        error_hint(ret_error, "ask for one module, for a shorter time, or for totals");
    }
    if (code != OK)
        return code;
    *ret_rows = rows;
    *ret_len = len;
    return OK;
}

static enum err quotas_read(struct store_reader *r, struct arena *a, int stmt, struct slice module,
                            struct quota_row **ret_rows, size_t *ret_len, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct quota_row *rows = NULL;
    size_t len = 0, cap = 0;
    bool has_row = false;
    enum err code = reader_first(r, stmt, PARAMS(P_TEXT(module)), &st, &has_row, ret_error);
    while (code == OK && has_row) {
        if (!len || !slice_eq(rows[len - 1].module, db_text(st, 0))) {
            rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
            rows[len++] = (struct quota_row){.module = db_text_copy(st, 0, a)};
        }
        for (int k = 0; k < RESOURCES; k++) /* one that this version does not know is left alone */
            if (slice_eq_cstr(db_text(st, 1), resource_name((enum resource)k)))
                rows[len - 1].max[k] = db_int(st, 2);
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    *ret_rows = rows;
    *ret_len = len;
    return OK;
}

enum err store_quotas(struct store_reader *r, struct arena *a, struct slice space,
                      struct quota_row **ret_rows, size_t *ret_len, struct error *ret_error)
{
    if (namespace_is_default(space))
        space = SLICE_LIT(NAMESPACE_DEFAULT);
    return quotas_read(r, a, READER_QUOTAS, space, ret_rows, ret_len, ret_error);
}

static enum err quota_read(struct store_reader *r, int stmt, struct slice module,
                           struct quota_row *ret_row, struct error *ret_error)
{
    struct quota_row *rows;
    size_t len;
    struct arena *a = arena_new(NULL);
    enum err code = quotas_read(r, a, stmt, module, &rows, &len, ret_error);
    if (code == OK) {
        *ret_row = len ? rows[0] : (struct quota_row){0};
        ret_row->module = module;
    }
    arena_free(a);
    return code;
}

enum err store_quota(struct store_reader *r, struct slice module, struct quota_row *ret_row,
                     struct error *ret_error)
{
    return quota_read(r, READER_QUOTA, module, ret_row, ret_error);
}

enum err store_namespace_quota(struct store_reader *r, struct slice space,
                               struct quota_row *ret_row, struct error *ret_error)
{
    if (namespace_is_default(space))
        space = SLICE_LIT(NAMESPACE_DEFAULT);
    enum err code = quota_read(r, READER_NAMESPACE_QUOTA, space, ret_row, ret_error);
    if (code == OK)
        ret_row->is_namespace = true;
    return code;
}
