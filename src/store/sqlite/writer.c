/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions of the writer (see writer.h), and the counts of trimmable rows, which are added up
 * over a batch and written once for each function. */
#include "store/sqlite/writer.h"

#include "base/clock.h"

enum err writer_begin(struct writer *w, struct error *ret_error)
{
    w->is_lost = false;
    w->counts_len = 0;
    return db_run(&w->db, WRITER_BEGIN, PARAMS(), ret_error);
}

void writer_add_count(struct writer *w, int64_t function_id, int64_t executions, int64_t logs)
{
    /* The same function as a moment ago, nearly always; few in one batch in any case. */
    for (size_t i = w->counts_len; i-- > 0;) {
        if (w->counts[i].function_id == function_id) {
            w->counts[i].executions += executions;
            w->counts[i].logs += logs;
            return;
        }
    }
    if (w->counts_len == w->counts_cap) {
        w->counts_cap = w->counts_cap ? 2 * w->counts_cap : 64;
        w->counts = reallocarray(w->counts, w->counts_cap, sizeof(*w->counts));
        CHECK(w->counts);
    }
    w->counts[w->counts_len++] =
        (struct writer_count){.function_id = function_id, .executions = executions, .logs = logs};
}

static enum err writer_write_counts(struct writer *w, struct error *ret_error)
{
    for (size_t i = 0; i < w->counts_len; i++) {
        const struct writer_count *c = &w->counts[i];
        CLEANUP(db_release) sqlite3_stmt *st = NULL;
        bool has_row = false;
        enum err code = db_query(
            &w->db, WRITER_COUNT,
            PARAMS(P_INT(c->function_id), P_INT(c->executions), P_INT(c->logs)), &st, ret_error);
        if (code == OK)
            code = db_step(&w->db, st, &has_row, ret_error);
        if (code != OK)
            return code;
        /* No row: deleted later in the same batch. */
        if (has_row && (db_int(st, 0) > w->execution_rows_max || db_int(st, 1) > w->log_rows_max))
            w->needs_tidy = true;
        while (code == OK && has_row)
            code = db_step(&w->db, st, &has_row, ret_error);
        if (code != OK)
            return code;
    }
    w->counts_len = 0;
    return OK;
}

enum err writer_commit(struct writer *w, struct error *ret_error)
{
    enum err code = writer_write_counts(w, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_COMMIT, PARAMS(), ret_error);
    return code;
}

void writer_rollback(struct writer *w)
{
    w->counts_len = 0;
    w->is_lost = false;
    db_rollback(&w->db);
}

enum err writer_probe(struct writer *w, struct error *ret_error)
{
    enum err code = writer_begin(w, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_PROBE, PARAMS(P_INT(clock_wall_us())), ret_error);
    if (code == OK)
        code = writer_commit(w, ret_error);
    if (code != OK)
        writer_rollback(w);
    return code;
}
