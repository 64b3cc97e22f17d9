/* SPDX-License-Identifier: Apache-2.0
 *
 * Resources: their mutations and reads. Here they are names and numbers; what one holds has a file of
 * its kind. */
#include "store/sqlite/resource.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/module_name.h"
#include "store/sqlite/reader.h"

_Static_assert(RESOURCE_KIND_KV == 0 && RESOURCE_KIND_D1 == 1 && RESOURCE_KIND_QUEUE == 2 &&
                   RESOURCE_KIND_BUCKET == 3,
               "stored as numbers");

/* What is left of deleted ones: see resource_tidy_fn. NULL: nothing is, in this database. */
static const resource_tidy_fn resource_tidy[RESOURCE_KINDS] = {
    [RESOURCE_KIND_KV] = tidy_kv,
    [RESOURCE_KIND_QUEUE] = tidy_queue,
    [RESOURCE_KIND_BUCKET] = tidy_bucket,
};

static enum err resource_none(enum resource_kind kind, struct slice name, struct error *ret_error)
{
    const struct resource_kind_info *of = &resource_kinds[kind];
    enum err code = error_set(ret_error, ERR_NOT_FOUND, "there is no %s '%.*s'", of->title,
                              SLICE_ARG(slice_utf8_clip(name, RESOURCE_NAME_BYTES_MAX)));
    error_hint(ret_error, "GET %s lists those of the namespace", of->path);
    return code;
}

/* ---- writer ---- */

/* *ret_id 0: there is none. */
static enum err resource_look(struct writer *w, int64_t namespace_id, enum resource_kind kind,
                              struct slice name, int64_t *ret_id, struct error *ret_error)
{
    bool has_row = false;
    int64_t id = 0;
    enum err code =
        apply_one(w, WRITER_RESOURCE_FIND, PARAMS(P_INT(namespace_id), P_INT(kind), P_TEXT(name)),
                  &id, &has_row, ret_error);
    if (code == OK)
        *ret_id = has_row ? id : 0;
    return code;
}

static enum err resource_find(struct writer *w, const struct resource_row *row, int64_t *ret_id,
                              struct error *ret_error)
{
    int64_t namespace_id = 0;
    enum err code = apply_namespace_find(w, row->space, &namespace_id, ret_error);
    if (code == OK)
        code = resource_look(w, namespace_id, row->kind, row->name, ret_id, ret_error);
    if (code == OK && !*ret_id)
        code = resource_none(row->kind, row->name, ret_error);
    return code;
}

static enum err resource_add(struct writer *w, int64_t namespace_id, const struct resource_row *row,
                             int64_t *ret_id, struct error *ret_error)
{
    int64_t count = 0;
    enum err code = resource_name_check(row->kind, row->name, ret_error);
    if (code == OK)
        code = apply_one(w, WRITER_RESOURCE_COUNT, PARAMS(P_INT(namespace_id), P_INT(row->kind)),
                         &count, NULL, ret_error);
    if (code == OK && count >= LIMIT_RESOURCES) {
        code = error_set(ret_error, ERR_CONFLICT,
                         "the namespace has %d resources of this kind (%s), which is the limit",
                         LIMIT_RESOURCES, resource_kinds[row->kind].title);
        error_hint(ret_error, "delete those that are not used");
    }
    if (code == OK)
        code = apply_one(w, WRITER_RESOURCE_ADD,
                         PARAMS(P_INT(namespace_id), P_INT(row->kind), P_TEXT(row->name), P_INT(0),
                                P_TEXT(row->settings), P_INT(clock_wall_us())),
                         ret_id, NULL, ret_error);
    return code;
}

enum err apply_resource_create(struct writer *w, const struct mutation *m, int64_t *ret_number,
                               struct error *ret_error)
{
    const struct resource_row *row = &m->resource_create.row;
    int64_t namespace_id = 0, id = 0;
    enum err code = apply_namespace_find(w, row->space, &namespace_id, ret_error);
    if (code == OK)
        code = resource_look(w, namespace_id, row->kind, row->name, &id, ret_error);
    if (code == OK && id) {
        code = error_set(ret_error, ERR_CONFLICT, "there is a %s '%.*s' already",
                         resource_kinds[row->kind].title, SLICE_ARG(row->name));
        error_hint(ret_error, "choose another name, or use it as it is");
    }
    return code == OK ? resource_add(w, namespace_id, row, ret_number, ret_error) : code;
}

enum err apply_resource_set(struct writer *w, const struct mutation *m, int64_t *ret_number,
                            struct error *ret_error)
{
    const struct resource_row *row = &m->resource_set.row;
    enum err code = resource_find(w, row, ret_number, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_RESOURCE_SET,
                      PARAMS(P_INT(*ret_number), P_TEXT(row->settings)), ret_error);
    return code;
}

/* What it holds goes later, in small steps (tidy_resources). */
static enum err resource_remove(struct writer *w, int64_t id, struct error *ret_error)
{
    enum err code = db_run(&w->db, WRITER_RESOURCE_DELETED_ADD, PARAMS(P_INT(id)), ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_RESOURCE_DELETE, PARAMS(P_INT(id)), ret_error);
    if (code == OK) {
        writer_add_count(w, writer_resource(id), WRITER_COUNTED_GONE, 1);
        w->needs_tidy = true;
    }
    return code;
}

static enum err resource_check_unused(struct writer *w, const struct resource_row *row, int64_t id,
                                      struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, WRITER_RESOURCE_USER, PARAMS(P_INT(id)), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    if (code != OK || !has_row)
        return code;
    error_set(ret_error, ERR_CONFLICT, "'%.*s' is bound to the %s '%.*s'",
              SLICE_ARG(db_text(st, 0)), resource_kinds[row->kind].title, SLICE_ARG(row->name));
    error_hint(ret_error,
               "deploy it without that binding first, or delete with unbind: its code then "
               "gets errors, and all that is in it is lost");
    return ERR_CONFLICT;
}

enum err apply_resource_delete(struct writer *w, const struct mutation *m, int64_t *ret_number,
                               struct error *ret_error)
{
    const struct resource_row *row = &m->resource_delete.row;
    int64_t id = 0;
    enum err code = resource_find(w, row, &id, ret_error);
    if (code == OK && !m->resource_delete.is_forced)
        code = resource_check_unused(w, row, id, ret_error);
    if (code == OK)
        code = resource_remove(w, id, ret_error);
    if (code == OK)
        *ret_number = id;
    return code;
}

enum err resource_ensure(struct writer *w, struct slice space, enum resource_kind kind,
                         struct slice name, int64_t *ret_id, struct error *ret_error)
{
    const struct resource_row row = {.kind = kind, .name = name};
    int64_t namespace_id = 0;
    *ret_id = 0;
    enum err code = apply_namespace_find(w, space, &namespace_id, ret_error);
    if (code == OK)
        code = resource_look(w, namespace_id, kind, name, ret_id, ret_error);
    return code == OK && !*ret_id ? resource_add(w, namespace_id, &row, ret_id, ret_error) : code;
}

enum err resource_bind(struct writer *w, struct slice space, int64_t function_id, int64_t version,
                       struct slice resources, struct error *ret_error)
{
    int64_t namespace_id = 0;
    enum err code = OK;
    if (resources.len > 0)
        code = apply_namespace_find(w, space, &namespace_id, ret_error);
    while (code == OK && resources.len > 0) {
        struct slice name = slice_split(&resources, '\n'), word = slice_split(&name, ' ');
        struct resource_row row = {.name = name};
        int64_t id = 0;
        if (!resource_kind_find(word, &row.kind))
            return error_set(ret_error, ERR_INTERNAL, "a version is bound to a '%.*s'",
                             SLICE_ARG(word));
        code = resource_look(w, namespace_id, row.kind, name, &id, ret_error);
        if (code == OK && !id)
            code = resource_add(w, namespace_id, &row, &id, ret_error);
        if (code == OK)
            code = db_run(&w->db, WRITER_RESOURCE_USE_SET,
                          PARAMS(P_INT(function_id), P_INT(version), P_INT(row.kind), P_TEXT(name),
                                 P_INT(id)),
                          ret_error);
    }
    return code;
}

/* All that a statement finds, one after the other. */
static enum err resource_remove_each(struct writer *w, int stmt, int64_t of, bool *ret_did,
                                     struct error *ret_error)
{
    bool has_row = true;
    enum err code = OK;
    while (code == OK && has_row) {
        int64_t id = 0;
        code = apply_one(w, stmt, PARAMS(P_INT(of)), &id, &has_row, ret_error);
        if (code == OK && has_row)
            code = resource_remove(w, id, ret_error);
        *ret_did |= has_row;
    }
    return code;
}

enum err resource_unbind(struct writer *w, int64_t function_id, struct error *ret_error)
{
    bool did = false;
    enum err code =
        db_run(&w->db, WRITER_RESOURCE_USES_DELETE, PARAMS(P_INT(function_id)), ret_error);
    if (code == OK)
        code = resource_remove_each(w, WRITER_RESOURCE_OF_FUNCTION, function_id, &did, ret_error);
    return code;
}

enum err resource_delete_all(struct writer *w, struct slice space, int64_t namespace_id,
                             bool is_forced, struct error *ret_error)
{
    bool has_row = false;
    int64_t id = 0;
    if (is_forced)
        return resource_remove_each(w, WRITER_RESOURCE_OF_NAMESPACE, namespace_id, &has_row,
                                    ret_error);
    enum err code = apply_one(w, WRITER_RESOURCE_OF_NAMESPACE, PARAMS(P_INT(namespace_id)), &id,
                              &has_row, ret_error);
    if (code == OK && has_row) {
        code =
            error_set(ret_error, ERR_CONFLICT, "namespace '%.*s' has resources", SLICE_ARG(space));
        error_hint(ret_error, "delete its KV namespaces and the like first, or give --force");
    }
    return code;
}

enum err tidy_resources(struct writer *w, bool *ret_did, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    enum err code = db_query(&w->db, WRITER_TIDY_RESOURCE, PARAMS(), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, ret_did, ret_error);
    if (code != OK || !*ret_did)
        return code;
    int64_t id = db_int(st, 0), left = STORE_TIDY_ROWS;
    enum resource_kind kind = (enum resource_kind)db_int(st, 1);
    db_release(&st);
    if (kind < RESOURCE_KINDS && resource_tidy[kind])
        code = resource_tidy[kind](w, id, &left, ret_error);
    if (code == OK && left > 0)
        code = db_run(&w->db, WRITER_TIDY_RESOURCE_DONE, PARAMS(P_INT(id)), ret_error);
    return code;
}

/* ---- reader ---- */

static struct resource_row resource_read(sqlite3_stmt *st, struct arena *a)
{
    return (struct resource_row){.id = db_int(st, 0),
                                 .kind = (enum resource_kind)db_int(st, 1),
                                 .space = db_text_copy(st, 2, a),
                                 .name = db_text_copy(st, 3, a),
                                 .settings = db_text_copy(st, 4, a),
                                 .items = db_int(st, 5),
                                 .bytes = db_int(st, 6),
                                 .created_us = db_int(st, 7)};
}

static enum err resource_read_all(struct store_reader *r, struct arena *a, int stmt,
                                  const struct db_param *params, struct resource_row **ret_rows,
                                  size_t *ret_len, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct resource_row *rows = NULL;
    size_t len = 0, cap = 0;
    bool has_row = false;
    enum err code = reader_first(r, stmt, params, &st, &has_row, ret_error);
    while (code == OK && has_row) {
        rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
        rows[len++] = resource_read(st, a);
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    *ret_rows = rows;
    *ret_len = len;
    return OK;
}

enum err store_resources(struct store_reader *r, struct arena *a, struct slice space,
                         enum resource_kind kind, struct resource_row **ret_rows, size_t *ret_len,
                         struct error *ret_error)
{
    int64_t id = 0;
    enum err code = reader_namespace_id(r, space, &id, ret_error);
    if (code != OK)
        return code;
    return resource_read_all(r, a, READER_RESOURCES, PARAMS(P_INT(id), P_INT(kind)), ret_rows,
                             ret_len, ret_error);
}

enum err store_resources_of(struct store_reader *r, struct arena *a,
                            const struct version_row *version, struct resource_row **ret_rows,
                            size_t *ret_len, struct error *ret_error)
{
    return resource_read_all(r, a, READER_RESOURCES_OF,
                             PARAMS(P_TEXT(version->function), P_INT(version->number)), ret_rows,
                             ret_len, ret_error);
}

static enum err resource_users(struct store_reader *r, struct arena *a, int64_t id,
                               struct slice **ret_users, size_t *ret_len, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct slice *users = NULL;
    size_t len = 0, cap = 0;
    bool has_row = false;
    enum err code =
        reader_first(r, READER_RESOURCE_USERS, PARAMS(P_INT(id)), &st, &has_row, ret_error);
    while (code == OK && has_row) {
        users = reader_grow(a, users, len, &cap, sizeof(*users));
        users[len++] = db_text_copy(st, 0, a);
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    *ret_users = users;
    *ret_len = len;
    return code;
}

enum err store_resource(struct store_reader *r, struct arena *a, struct slice space,
                        enum resource_kind kind, struct slice name, struct resource_row *ret_row,
                        struct slice **ret_users, size_t *ret_users_len, struct error *ret_error)
{
    struct resource_row *rows = NULL;
    size_t len = 0;
    int64_t id = 0;
    enum err code = reader_namespace_id(r, space, &id, ret_error);
    if (code == OK)
        code =
            resource_read_all(r, a, READER_RESOURCE, PARAMS(P_INT(id), P_INT(kind), P_TEXT(name)),
                              &rows, &len, ret_error);
    if (code == OK && len == 0)
        code = resource_none(kind, name, ret_error);
    if (code == OK)
        code = resource_users(r, a, rows[0].id, ret_users, ret_users_len, ret_error);
    if (code == OK)
        *ret_row = rows[0];
    return code;
}

enum err store_resource_counts(struct store_reader *r,
                               struct resource_counts ret_counts[RESOURCE_KINDS],
                               struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = reader_first(r, READER_RESOURCE_COUNTS, PARAMS(), &st, &has_row, ret_error);
    for (unsigned k = 0; k < RESOURCE_KINDS; k++)
        ret_counts[k] = (struct resource_counts){0};
    while (code == OK && has_row) {
        int64_t kind = db_int(st, 0);
        if (kind >= 0 && kind < RESOURCE_KINDS)
            ret_counts[kind] =
                (struct resource_counts){db_int(st, 1), db_int(st, 2), db_int(st, 3)};
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    return code;
}
