/* SPDX-License-Identifier: Apache-2.0
 *
 * What falls due other than executions: one row a key, set by a mutation, by a step of a commit, or by
 * what applies another mutation (due_put()); read by time, a page at once. */
#include "store/sqlite/durable.h"
#include "store/sqlite/reader.h"

/* ---- writer ---- */

enum err due_put(struct writer *w, const struct due_row *row, struct error *ret_error)
{
    if (row->due_us == DUE_NEVER)
        return db_run(&w->db, WRITER_DUE_CLEAR, PARAMS(P_INT(row->kind), P_TEXT(row->key)),
                      ret_error);
    return db_run(
        &w->db, WRITER_DUE_SET,
        PARAMS(P_INT(row->kind), P_TEXT(row->key), P_TEXT(row->module), P_INT(row->due_us)),
        ret_error);
}

enum err apply_due_set(struct writer *w, const struct mutation *m, int64_t *ret_number,
                       struct error *ret_error)
{
    return due_put(w, &m->due_set.row, ret_error);
}

enum err step_falls_due(struct writer *w, struct durable_step *c, const struct store_step *s,
                        struct error *ret_error)
{
    const struct due_row row = {.kind = (enum due_kind)s->falls_due.what,
                                .key = s->falls_due.key,
                                .module = s->falls_due.module,
                                .due_us = s->falls_due.due_us};
    return due_put(w, &row, ret_error);
}

/* ---- reader ---- */

enum err store_dues(struct store_reader *r, struct arena *a, int64_t until_us, int64_t after_due_us,
                    int64_t after_seq, int64_t limit, struct due_row **ret_rows, size_t *ret_len,
                    struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct due_row *rows = NULL;
    size_t len = 0, cap = 0;
    bool has_row = false;
    enum err code =
        reader_first(r, READER_DUES,
                     PARAMS(P_INT(until_us), P_INT(after_due_us), P_INT(after_seq), P_INT(limit)),
                     &st, &has_row, ret_error);
    while (code == OK && has_row) {
        rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
        rows[len++] = (struct due_row){.due_us = db_int(st, 0),
                                       .seq = db_int(st, 1),
                                       .kind = (enum due_kind)db_int(st, 2),
                                       .key = db_text_copy(st, 3, a),
                                       .module = db_text_copy(st, 4, a)};
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    *ret_rows = rows;
    *ret_len = len;
    return OK;
}
