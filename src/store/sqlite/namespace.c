/* SPDX-License-Identifier: Apache-2.0
 *
 * Namespaces: their mutations and reads. The default one is a row like the others, which nobody can
 * delete. */
#include "base/clock.h"
#include "base/limits.h"
#include "base/module_name.h"
#include "store/sqlite/apply.h"
#include "store/sqlite/reader.h"
#include "store/sqlite/resource.h"

static enum err namespace_none(struct slice name, struct error *ret_error)
{
    enum err code = error_set(ret_error, ERR_NOT_FOUND, "there is no namespace '%.*s'",
                              SLICE_ARG(slice_utf8_clip(name, 80)));
    error_hint(ret_error, "'limpet namespace create %.*s' makes it",
               SLICE_ARG(slice_utf8_clip(name, 80)));
    return code;
}

static struct slice namespace_stored(struct slice name)
{
    return namespace_is_default(name) ? SLICE_LIT(NAMESPACE_DEFAULT) : name;
}

/* ---- writer ---- */

enum err apply_namespace_find(struct writer *w, struct slice name, int64_t *ret_id,
                              struct error *ret_error)
{
    bool has_row = false;
    int64_t id = 0;
    enum err code = apply_one(w, WRITER_NAMESPACE_FIND, PARAMS(P_TEXT(namespace_stored(name))), &id,
                              &has_row, ret_error);
    if (code == OK && !has_row)
        code = namespace_none(name, ret_error);
    if (code == OK)
        *ret_id = id;
    return code;
}

enum err apply_namespace_create(struct writer *w, const struct mutation *m, int64_t *ret_number,
                                struct error *ret_error)
{
    int64_t id = 0, count = 0;
    bool has_row = false;
    if (!m->namespace_create.name.len || m->namespace_create.name.len > LIMIT_NAME_BYTES)
        return error_set(ret_error, ERR_INVALID, "a namespace's name has 1 to %d bytes",
                         LIMIT_NAME_BYTES);
    enum err code = apply_one(w, WRITER_NAMESPACE_FIND, PARAMS(P_TEXT(m->namespace_create.name)),
                              &id, &has_row, ret_error);
    if (code == OK && has_row) {
        code = error_set(ret_error, ERR_CONFLICT, "there is a namespace '%.*s' already",
                         SLICE_ARG(m->namespace_create.name));
        error_hint(ret_error, "choose another name, or use it as it is");
    }
    if (code == OK)
        code = apply_one(w, WRITER_NAMESPACE_COUNT, PARAMS(), &count, NULL, ret_error);
    if (code == OK && count >= LIMIT_NAMESPACES) {
        code = error_set(ret_error, ERR_CONFLICT, "there are %d namespaces, which is the limit",
                         LIMIT_NAMESPACES);
        error_hint(ret_error, "delete one that is not used");
    }
    if (code == OK)
        code = db_run(&w->db, WRITER_NAMESPACE_ADD,
                      PARAMS(P_TEXT(m->namespace_create.name), P_INT(clock_wall_us())), ret_error);
    return code;
}

enum err apply_namespace_delete(struct writer *w, const struct mutation *m, int64_t *ret_number,
                                struct error *ret_error)
{
    static const enum writer_stmt steps[] = {WRITER_NAMESPACE_QUOTAS_DELETE,
                                             WRITER_TOKENS_DELETE,
                                             WRITER_EGRESS_DELETE,
                                             WRITER_ENVS_DELETE_SHARED,
                                             WRITER_ENV_FORMERS_DELETE_SHARED,
                                             WRITER_NAMESPACE_DELETE};
    int64_t id = 0, used = 0;
    bool is_used = false;
    if (namespace_is_default(m->namespace_delete.name)) {
        error_set(ret_error, ERR_CONFLICT, "the default namespace cannot be deleted");
        error_hint(ret_error, "delete its functions and workflows");
        return ERR_CONFLICT;
    }
    enum err code = apply_namespace_find(w, m->namespace_delete.name, &id, ret_error);
    if (code == OK)
        code = apply_one(w, WRITER_NAMESPACE_USED, PARAMS(P_INT(id)), &used, &is_used, ret_error);
    if (code == OK && is_used) {
        code = error_set(ret_error, ERR_CONFLICT, "namespace '%.*s' is not empty",
                         SLICE_ARG(m->namespace_delete.name));
        error_hint(ret_error, "delete its functions and workflows first, or give --force");
    }
    if (code == OK)
        code = resource_delete_all(w, m->namespace_delete.name, id, m->namespace_delete.is_forced,
                                   ret_error);
    if (code == OK)
        code = schedules_forget(w, id, ret_error);
    for (size_t i = 0; i < ARRAY_LEN(steps) && code == OK; i++)
        code = db_run(&w->db, steps[i], PARAMS(P_INT(id)), ret_error);
    return code;
}

/* ---- reader ---- */

enum err reader_namespace_id(struct store_reader *r, struct slice name, int64_t *ret_id,
                             struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = reader_first(r, READER_NAMESPACE_ID, PARAMS(P_TEXT(namespace_stored(name))),
                                 &st, &has_row, ret_error);
    if (code == OK && !has_row)
        return namespace_none(name, ret_error);
    if (code == OK)
        *ret_id = db_int(st, 0);
    return code;
}

static struct namespace_row namespace_read(sqlite3_stmt *st, struct arena *a)
{
    struct namespace_row row = {.name = db_text_copy(st, 0, a), .created_us = db_int(st, 1)};
    for (int k = 0; k < MODULE_KINDS; k++)
        row.modules[k] = db_int(st, 2 + k);
    return row;
}

enum err store_namespaces(struct store_reader *r, struct arena *a, struct namespace_row **ret_rows,
                          size_t *ret_len, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct namespace_row *rows = NULL;
    size_t len = 0, cap = 0;
    bool has_row = false;
    enum err code = reader_first(r, READER_NAMESPACES, PARAMS(), &st, &has_row, ret_error);
    while (code == OK && has_row) {
        rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
        rows[len++] = namespace_read(st, a);
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    *ret_rows = rows;
    *ret_len = len;
    return OK;
}

enum err store_namespace(struct store_reader *r, struct arena *a, struct slice name,
                         struct namespace_row *ret_row, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = reader_first(r, READER_NAMESPACE, PARAMS(P_TEXT(namespace_stored(name))), &st,
                                 &has_row, ret_error);
    if (code == OK && !has_row)
        return namespace_none(name, ret_error);
    if (code == OK)
        *ret_row = namespace_read(st, a);
    return code;
}
