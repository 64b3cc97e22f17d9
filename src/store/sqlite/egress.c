/* SPDX-License-Identifier: Apache-2.0
 *
 * Egress rules of namespaces: their mutations and reads. What a rule means is not looked at here. */
#include "base/limits.h"
#include "store/sqlite/apply.h"
#include "store/sqlite/reader.h"

/* ---- writer ---- */

static enum err egress_room(struct writer *w, int64_t namespace_id, struct error *ret_error)
{
    int64_t count = 0;
    enum err code =
        apply_one(w, WRITER_EGRESS_COUNT, PARAMS(P_INT(namespace_id)), &count, NULL, ret_error);
    if (code == OK && count >= LIMIT_EGRESS_RULES) {
        code =
            error_set(ret_error, ERR_CONFLICT,
                      "the namespace has %d egress rules, which is the limit", LIMIT_EGRESS_RULES);
        error_hint(ret_error, "'limpet egress remove' those that are not needed");
    }
    return code;
}

enum err apply_egress_add(struct writer *w, const struct mutation *m, int64_t *ret_number,
                          struct error *ret_error)
{
    const struct egress_rule_row *row = &m->egress_add.row;
    int64_t namespace_id = 0, id = 0, position = 0;
    enum err code = apply_namespace_find(w, m->egress_add.space, &namespace_id, ret_error);
    if (code == OK)
        code = egress_room(w, namespace_id, ret_error);
    if (code == OK)
        code = apply_one(w, WRITER_EGRESS_EDGES,
                         PARAMS(P_INT(namespace_id), P_INT(m->egress_add.is_first)), &position,
                         NULL, ret_error);
    if (code == OK)
        code = apply_one(w, WRITER_EGRESS_NEXT, PARAMS(P_INT(namespace_id)), &id, NULL, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_EGRESS_ADD,
                      PARAMS(P_INT(namespace_id), P_INT(id), P_INT(position), P_INT(row->is_allow),
                             P_TEXT(row->methods), P_TEXT(row->pattern), P_TEXT(row->module)),
                      ret_error);
    if (code == OK)
        *ret_number = id;
    return code;
}

enum err apply_egress_remove(struct writer *w, const struct mutation *m, int64_t *ret_number,
                             struct error *ret_error)
{
    int64_t namespace_id = 0;
    enum err code = apply_namespace_find(w, m->egress_remove.space, &namespace_id, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_EGRESS_REMOVE,
                      PARAMS(P_INT(namespace_id), P_INT(m->egress_remove.id)), ret_error);
    if (code == OK && !db_changes(&w->db)) {
        code = error_set(ret_error, ERR_NOT_FOUND, "there is no egress rule %lld",
                         (long long)m->egress_remove.id);
        error_hint(ret_error, "'limpet egress list' shows those of the namespace");
    }
    return code;
}

enum err apply_egress_default(struct writer *w, const struct mutation *m, int64_t *ret_number,
                              struct error *ret_error)
{
    int64_t namespace_id = 0;
    enum err code = apply_namespace_find(w, m->egress_default.space, &namespace_id, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_EGRESS_DEFAULT,
                      PARAMS(P_INT(namespace_id), P_INT(m->egress_default.denies)), ret_error);
    return code;
}

/* ---- reader ---- */

static enum err egress_default(struct store_reader *r, int64_t namespace_id, bool *ret_denies,
                               struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = reader_first(r, READER_EGRESS_DEFAULT, PARAMS(P_INT(namespace_id)), &st,
                                 &has_row, ret_error);
    if (code == OK)
        *ret_denies = has_row && db_int(st, 0) != 0;
    return code;
}

enum err store_egress(struct store_reader *r, struct arena *a, struct slice space,
                      struct egress_rule_row **ret_rows, size_t *ret_len, bool *ret_denies,
                      struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct egress_rule_row *rows = NULL;
    size_t len = 0, cap = 0;
    int64_t id = 0;
    bool has_row = false;
    enum err code = reader_namespace_id(r, space, &id, ret_error);
    if (code == OK)
        code = egress_default(r, id, ret_denies, ret_error);
    if (code == OK)
        code = reader_first(r, READER_EGRESS, PARAMS(P_INT(id)), &st, &has_row, ret_error);
    while (code == OK && has_row) {
        rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
        rows[len++] = (struct egress_rule_row){.id = db_int(st, 0),
                                               .is_allow = db_int(st, 1) != 0,
                                               .methods = db_text_copy(st, 2, a),
                                               .pattern = db_text_copy(st, 3, a),
                                               .module = db_text_copy(st, 4, a)};
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    *ret_rows = rows;
    *ret_len = len;
    return OK;
}
