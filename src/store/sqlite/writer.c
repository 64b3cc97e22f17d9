/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions of the writer (see writer.h), and the counts of trimmable rows, which are added up
 * over a batch and written once for each function.
 *
 * The lease: each opening of the database takes the next epoch (open.c). A transaction that finds
 * another epoch than its own ends at once, and no other is begun: what another server has read may
 * not be changed under it. */
#include "store/sqlite/writer.h"

#include "base/clock.h"
#include "store/sqlite/durable.h"
#include "store/sqlite/stored.h"

static enum err writer_fenced(const struct writer *w, struct error *ret_error)
{
    const char *owner = w->taken_by;
    enum err code = error_set(ret_error, ERR_FENCED, "another server has taken over %s%s%s%s",
                              w->db.path, *owner ? " (" : "", owner, *owner ? ")" : "");
    error_hint(ret_error, "stop this server; the data folder's lock file was removed or is not "
                          "shared with the other one");
    return code;
}

/* In the same transaction as what is written: nobody can take the lease in between. */
static enum err writer_check_epoch(struct writer *w, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, WRITER_EPOCH, PARAMS(), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    if (code != OK || (has_row && db_int(st, 0) == w->epoch))
        return code;
    w->is_fenced = true;
    if (has_row)
        snprintf(w->taken_by, sizeof(w->taken_by), "%.*s", SLICE_ARG(db_text(st, 1)));
    return writer_fenced(w, ret_error);
}

enum err writer_begin(struct writer *w, struct error *ret_error)
{
    w->is_lost = false;
    w->counts_len = 0;
    w->countings_len = 0;
    durable_forget_many(w);
    if (w->is_fenced)
        return writer_fenced(w, ret_error);
    enum err code = db_run(&w->db, WRITER_BEGIN, PARAMS(), ret_error);
    return code == OK ? writer_check_epoch(w, ret_error) : code;
}

/* Doubles an array when it is full. */
static void *writer_grow(void *rows, size_t len, size_t *cap, size_t size)
{
    if (len < *cap)
        return rows;
    *cap = *cap ? 2 * *cap : 64;
    rows = reallocarray(rows, *cap, size);
    CHECK(rows);
    return rows;
}

void writer_add_count(struct writer *w, int64_t owner, enum writer_counted what, int64_t add)
{
    /* The same one as a moment ago, nearly always; few in one batch in any case. */
    size_t slot = w->counts_len;
    while (slot > 0 && w->counts[slot - 1].owner != owner)
        slot--;
    if (slot > 0)
        slot--;
    else {
        w->counts = writer_grow(w->counts, w->counts_len, &w->counts_cap, sizeof(*w->counts));
        slot = w->counts_len++;
        w->counts[slot] = (struct writer_count){.owner = owner};
    }
    w->counts[slot].add[what] += add;
    w->countings =
        writer_grow(w->countings, w->countings_len, &w->countings_cap, sizeof(*w->countings));
    w->countings[w->countings_len++] =
        (struct writer_counting){.slot = slot, .what = what, .add = add};
}

void writer_count_rows(struct writer *w, int64_t function_id, int64_t bytes)
{
    writer_add_count(w, function_id, WRITER_COUNTED_ROW_BYTES, bytes);
    writer_add_count(w, function_id, WRITER_COUNTED_STORED, bytes);
}

void writer_counted(struct writer *w, bool is_refused)
{
    for (size_t i = 0; is_refused && i < w->countings_len; i++)
        w->counts[w->countings[i].slot].add[w->countings[i].what] -= w->countings[i].add;
    w->countings_len = 0;
}

static enum err writer_write_rows(struct writer *w, const struct writer_count *c,
                                  struct error *ret_error)
{
    const int64_t *add = c->add;
    if (!add[WRITER_COUNTED_EXECUTIONS] && !add[WRITER_COUNTED_LOGS] &&
        !add[WRITER_COUNTED_ROW_BYTES])
        return OK;
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code =
        db_query(&w->db, WRITER_COUNT,
                 PARAMS(P_INT(c->owner), P_INT(add[WRITER_COUNTED_EXECUTIONS]),
                        P_INT(add[WRITER_COUNTED_LOGS]), P_INT(add[WRITER_COUNTED_ROW_BYTES])),
                 &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    /* No row: deleted later in the same batch. */
    if (code == OK && has_row &&
        (db_int(st, 0) > w->execution_rows_max || db_int(st, 1) > w->log_rows_max))
        w->needs_tidy = true;
    while (code == OK && has_row)
        code = db_step(&w->db, st, &has_row, ret_error);
    return code;
}

static enum err writer_write_durable(struct writer *w, const struct writer_count *c,
                                     struct error *ret_error)
{
    const int64_t *n = c->add + WRITER_COUNTED_DURABLE;
    bool is_changed = false;
    for (int i = 0; i <= WRITER_COUNTED_BYTES - WRITER_COUNTED_DURABLE; i++)
        is_changed = is_changed || n[i];
    if (!is_changed)
        return OK;
    const struct db_param *params =
        PARAMS(P_INT(c->owner), P_INT(n[0]), P_INT(n[1]), P_INT(n[2]), P_INT(n[3]), P_INT(n[4]),
               P_INT(n[5]), P_INT(n[6]), P_INT(n[7]));
    enum err code = db_run(&w->db, WRITER_COUNT_DURABLE, params, ret_error);
    if (code == OK && !db_changes(&w->db))
        code = db_run(&w->db, WRITER_COUNT_DURABLE_ADD, params, ret_error);
    return code;
}

static enum err writer_write_resource(struct writer *w, const struct writer_count *c,
                                      struct error *ret_error)
{
    return db_run(&w->db, WRITER_RESOURCE_COUNTED,
                  PARAMS(P_INT(-c->owner), P_INT(c->add[WRITER_COUNTED_ITEMS]),
                         P_INT(c->add[WRITER_COUNTED_STORED])),
                  ret_error);
}

static enum err writer_write_counts(struct writer *w, struct error *ret_error)
{
    enum err code = OK;
    for (size_t i = 0; i < w->counts_len && code == OK; i++) {
        if (w->counts[i].owner < 0) {
            code = writer_write_resource(w, &w->counts[i], ret_error);
            continue;
        }
        code = writer_write_rows(w, &w->counts[i], ret_error);
        if (code == OK)
            code = writer_write_durable(w, &w->counts[i], ret_error);
    }
    return code;
}

enum err writer_commit(struct writer *w, struct error *ret_error)
{
    enum err code = writer_write_counts(w, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_COMMIT, PARAMS(), ret_error);
    if (code == OK) {
        stored_committed(w);
        w->counts_len = 0;
    }
    return code;
}

void writer_rollback(struct writer *w)
{
    w->counts_len = 0;
    w->countings_len = 0;
    w->is_lost = false;
    w->forks =
        0; /* those of a batch that failed; another one finds its mark gone, should that be so */
    durable_forget(w);
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
