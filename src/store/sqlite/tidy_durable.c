/* SPDX-License-Identifier: Apache-2.0
 *
 * What the writer removes of durable executions when nobody waits: those of deleted workflows,
 * those that finished long ago, and what hung on either. Rows go first, so that nobody sees half of
 * one; their journals follow, as many rows and bytes in one step as cost a few milliseconds.
 *
 * A finished execution whose parent may still ask for its result is kept as long as the parent
 * runs. So the old ones are looked through in passes, with a rest between two. */
#include "store/sqlite/durable.h"
#include "store/sqlite/stored.h"

#include "base/clock.h"

enum {
    TIDY_REST_US_MAX = 60 * 1000 * 1000, /* an execution is kept at most so much longer */
    TIDY_REST_US_MIN = 1000,
};

enum err tidy_deleted_durables(struct writer *w, int64_t function_id, int64_t *rows,
                               struct error *ret_error)
{
    enum err code = OK;
    while (code == OK && *rows > 0) {
        struct durable_state state;
        code = durable_query(w, WRITER_TIDY_DELETED_DURABLES, PARAMS(P_INT(function_id)), &state,
                             ret_error);
        if (code != OK || !state.seq)
            return code;
        /* Its parent asks for it and learns that it is gone. */
        if (!durable_is_finished(state.status))
            code = durable_notify(w, &state, ret_error);
        if (code == OK)
            code = durable_remove(w, state.seq, ret_error);
        --*rows;
    }
    return code;
}

/* ---- retention ---- */

static enum err tidy_retain_one(struct writer *w, const struct durable_state *state,
                                bool *ret_is_kept, struct error *ret_error)
{
    int64_t is_wanted = 0;
    enum err code = apply_one(w, WRITER_TIDY_RETAIN_WANTED, PARAMS(P_INT(state->seq)), &is_wanted,
                              NULL, ret_error);
    *ret_is_kept = is_wanted != 0;
    if (code != OK || is_wanted)
        return code;
    writer_add_count(w, state->function_id, WRITER_COUNTED_DURABLE + state->status, -1);
    writer_add_count(w, state->function_id, WRITER_COUNTED_STORED, -state->bytes);
    writer_add_count(w, state->function_id, WRITER_COUNTED_BYTES, -state->bytes);
    return durable_remove(w, state->seq, ret_error);
}

/* All were looked through: when is the next one old enough? */
static enum err tidy_retain_end(struct writer *w, int64_t now, struct error *ret_error)
{
    int64_t rest = w->keep_us / 16, next = 0;
    rest = rest > TIDY_REST_US_MAX ? TIDY_REST_US_MAX : rest;
    rest = rest < TIDY_REST_US_MIN ? TIDY_REST_US_MIN : rest;
    bool has_row = false;
    enum err code = apply_one(w, WRITER_TIDY_RETAIN_NEXT, PARAMS(P_INT(now - w->keep_us)), &next,
                              &has_row, ret_error);
    if (code != OK)
        return code;
    int64_t soonest = now + rest;
    w->retain_us = w->retain_has_kept            ? soonest
                   : !has_row                    ? INT64_MAX
                   : next > soonest - w->keep_us ? next + w->keep_us
                                                 : soonest;
    w->retain_after_us = w->retain_after_seq = 0;
    w->retain_has_kept = false;
    code = db_run(&w->db, WRITER_ENV_FORMERS_TIDY, PARAMS(), ret_error);
    return code != OK ? code : db_run(&w->db, WRITER_ENV_FORMERS_TIDY_SHARED, PARAMS(), ret_error);
}

enum err tidy_retain(struct writer *w, bool *ret_did, struct error *ret_error)
{
    int64_t now = clock_wall_us();
    if (now < w->retain_us)
        return OK;
    enum err code = OK;
    for (int i = 0; i < STORE_TIDY_ROWS && code == OK; i++) {
        struct durable_state state;
        bool is_kept = false;
        code = durable_query(
            w, WRITER_TIDY_RETAIN,
            PARAMS(P_INT(w->retain_after_us), P_INT(w->retain_after_seq), P_INT(now - w->keep_us)),
            &state, ret_error);
        if (code == OK && !state.seq)
            return tidy_retain_end(w, now, ret_error);
        if (code == OK)
            code = tidy_retain_one(w, &state, &is_kept, ret_error);
        w->retain_after_us = state.finished_us;
        w->retain_after_seq = state.seq;
        w->retain_has_kept = w->retain_has_kept || is_kept;
        *ret_did = true;
    }
    return code;
}

int64_t writer_patience_us(const struct writer *w)
{
    enum { HOUR_US_SHIFT = 32 }; /* 71 minutes: the wall clock may be set meanwhile */
    int64_t next_us = w->retain_us < w->audit_us ? w->retain_us : w->audit_us;
    if (w->expires_us < next_us)
        next_us = w->expires_us;
    if (w->uploads_us < next_us)
        next_us = w->uploads_us;
    if (w->artifacts_us > 0 && w->artifacts_us < next_us)
        next_us = w->artifacts_us;
    if (next_us == INT64_MAX)
        return INT64_MAX;
    int64_t left = next_us - clock_wall_us();
    return left < 0 ? 0 : left > INT64_C(1) << HOUR_US_SHIFT ? INT64_C(1) << HOUR_US_SHIFT : left;
}

/* ---- what hangs on removed ones ---- */

/* Removes the front of a journal. */
static enum err tidy_journal(struct writer *w, int64_t seq, int64_t *rows, int64_t *bytes,
                             struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    int64_t start = durable_place(seq, 0), end = durable_place(seq + 1, 0), last = -1;
    bool has_row = false;
    enum err code = db_query(&w->db, WRITER_TIDY_PURGE_JOURNAL,
                             PARAMS(P_INT(start), P_INT(end), P_INT(*rows)), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    while (code == OK && has_row && *bytes > 0) {
        last = db_int(st, 0);
        *bytes -= db_int(st, 1);
        --*rows;
        code = db_step(&w->db, st, &has_row, ret_error);
    }
    db_release(&st);
    if (code == OK && last >= 0)
        code = db_run(&w->db, WRITER_JOURNAL_CUT, PARAMS(P_INT(start), P_INT(last + 1)), ret_error);
    return code;
}

/* One execution of the list, or a part of it. */
static enum err tidy_purge_one(struct writer *w, int64_t seq, bool is_all, int64_t *rows,
                               int64_t *bytes, struct error *ret_error)
{
    enum err code = is_all ? tidy_journal(w, seq, rows, bytes, ret_error) : OK;
    if (code != OK || *rows <= 0 || *bytes <= 0)
        return code;
    static const enum writer_stmt parts[] = {WRITER_SIGNALS_DELETE, WRITER_SIGNAL_ONCES_DELETE};
    for (size_t i = 0; i < ARRAY_LEN(parts) && code == OK && *rows > 0; i++) {
        code = db_run(&w->db, parts[i], PARAMS(P_INT(seq), P_INT(*rows)), ret_error);
        *rows -= code == OK ? db_changes(&w->db) : 0;
    }
    if (code != OK || *rows <= 0)
        return code;
    if (is_all)
        code = db_run(&w->db, WRITER_SNAPSHOT_DELETE, PARAMS(P_INT(seq)), ret_error);
    if (code == OK && is_all)
        code = db_run(&w->db, WRITER_DURABLE_WAITERS_DELETE, PARAMS(P_INT(seq)), ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_DURABLE_PURGE_DELETE, PARAMS(P_INT(seq)), ret_error);
    --*rows;
    return code;
}

enum err tidy_purge(struct writer *w, bool *ret_did, struct error *ret_error)
{
    int64_t rows = STORE_TIDY_ROWS, bytes = STORE_PURGE_BYTES;
    enum err code =
        w->forks > 0 ? OK : db_run(&w->db, WRITER_TIDY_PURGE_FORKS, PARAMS(), ret_error);
    if (code == OK && !w->forks && db_changes(&w->db))
        stored_forks_dropped(w);
    while (code == OK && rows > 0 && bytes > 0) {
        CLEANUP(db_release) sqlite3_stmt *st = NULL;
        bool has_row = false;
        code = db_query(&w->db, WRITER_TIDY_PURGE, PARAMS(), &st, ret_error);
        if (code == OK)
            code = db_step(&w->db, st, &has_row, ret_error);
        if (code != OK || !has_row)
            return code;
        int64_t seq = db_int(st, 0);
        bool is_all = db_int(st, 1) != 0;
        db_release(&st);
        *ret_did = true;
        code = tidy_purge_one(w, seq, is_all, &rows, &bytes, ret_error);
    }
    return code;
}
