/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of durable executions (see durable.h). Those that run are kept in memory, and the commits that
 * nearly all of theirs are, which only append, change no row at all: it can be told from the journal
 * (durable_columns.h). Of two statements for the rest one is for columns that are in no index. */
#include "store/sqlite/durable.h"

#include <stdlib.h>

#include "base/clock.h"
#include "store/sqlite/durable_columns.h"
#include "store/sqlite/stored.h"

/* As the columns of WRITER_DURABLE_SQL are listed. */
static struct durable_state durable_read(sqlite3_stmt *st)
{
    return (struct durable_state){
        DURABLE_COLUMN_TABLE(DURABLE_COLUMN_READ).function_id = db_int(st, DURABLE_COLUMNS),
        .has_waiters = db_int(st, DURABLE_COLUMNS + 1) != 0,
        .signals_last = db_int(st, DURABLE_COLUMNS + 2),
        .signals_waiting = db_int(st, DURABLE_COLUMNS + 3),
        .namespace_id = db_int(st, DURABLE_COLUMNS + 4),
        .bytes = db_int(st, DURABLE_COLUMNS + 5),
        .grown = db_int(st, DURABLE_COLUMNS + 6),
    };
}

enum err durable_query(struct writer *w, int stmt, const struct db_param *params,
                       struct durable_state *ret_state, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, stmt, params, &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    if (code == OK)
        *ret_state = has_row ? durable_read(st) : (struct durable_state){0};
    return code;
}

/* ---- rows of running ones, in memory ---- */

enum { DURABLE_KEPT_MAX = 4096 };

/* A row as the running transaction sees it, under its id. It counts only while it says RUNNING: whatever
 * may remove a row without looking here removes no such one, or forgets them all. */
struct durable_kept {
    struct durable_state state;
};

void durable_forget(struct writer *w)
{
    void *kept;
    for (size_t cursor = 0; map_next(&w->kept, &cursor, NULL, &kept);)
        free(kept);
    map_done(&w->kept);
    w->kept = (struct map){0};
}

void durable_forget_many(struct writer *w)
{
    if (map_count(&w->kept) > DURABLE_KEPT_MAX)
        durable_forget(w);
}

static struct durable_kept *durable_keep(struct writer *w, struct slice id,
                                         struct durable_kept *kept)
{
    if (kept)
        return kept;
    kept = calloc(1, sizeof(*kept));
    CHECK(kept);
    (void)map_put(&w->kept, id, kept);
    return kept;
}

enum err durable_look(struct writer *w, struct slice id, struct durable_state *ret_state,
                      struct error *ret_error)
{
    struct durable_kept *kept = map_get(&w->kept, id);
    if (kept && kept->state.status == DURABLE_RUNNING) {
        *ret_state = kept->state;
        return OK;
    }
    enum err code = durable_query(w, WRITER_DURABLE_FIND, PARAMS(P_TEXT(id)), ret_state, ret_error);
    if (code != OK || ret_state->status != DURABLE_RUNNING)
        return code;
    ret_state->kept = durable_keep(w, id, kept);
    ret_state->kept->state = *ret_state;
    return OK;
}

enum err durable_find(struct writer *w, struct slice id, struct durable_state *ret_state,
                      struct error *ret_error)
{
    enum err code = durable_look(w, id, ret_state, ret_error);
    if (code != OK || ret_state->seq)
        return code;
    code = error_set(ret_error, ERR_NOT_FOUND, "there is no execution '%.*s'",
                     (int)(id.len > 64 ? 64 : id.len), id.ptr ? id.ptr : "");
    error_hint(ret_error, "see: limpet execution list; old ones are removed");
    return code;
}

enum err durable_finished_error(struct slice id, const struct durable_state *state,
                                struct error *ret_error)
{
    return error_set(ret_error, ERR_CONFLICT, "execution '%.*s' has finished already: it is %s",
                     SLICE_ARG(id), durable_status_text(state->status));
}

/* Nothing makes it run at a time by itself: it is in no index of due ones. */
static struct db_param durable_due(const struct durable_state *s)
{
    bool is_never = durable_is_finished(s->status) || s->is_paused || s->wake_us == DURABLE_NEVER;
    return is_never ? P_NULL : P_INT(s->wake_us);
}

static void durable_count(struct writer *w, const struct durable_state *s, int64_t add)
{
    writer_add_count(w, s->function_id, WRITER_COUNTED_DURABLE + s->status, add);
    if (s->is_paused)
        writer_add_count(w, s->function_id, WRITER_COUNTED_PAUSED, add);
}

/* Do only those columns differ that the journal says, too (DURABLE_RECORDS_SQL)? */
static bool durable_is_longer(const struct durable_state *before, const struct durable_state *s)
{
    return s->status == DURABLE_RUNNING && s->version == before->version &&
           s->is_cancel_requested == before->is_cancel_requested &&
           s->has_waiters == before->has_waiters && s->records >= before->records &&
           s->events == before->events && s->signals_last == before->signals_last &&
           s->signals_waiting == before->signals_waiting && s->attempt == before->attempt &&
           s->started_us == before->started_us && s->lines == before->lines &&
           s->bytes == before->bytes;
}

/* Columns of an index. */
static bool durable_is_moved(const struct durable_state *before, const struct durable_state *s)
{
    return s->status != before->status || s->is_paused != before->is_paused ||
           s->wake_us != before->wake_us || s->finished_us != before->finished_us;
}

static enum err durable_write(struct writer *w, const struct durable_state *before,
                              const struct durable_state *after, bool is_moved,
                              struct error *ret_error)
{
    const struct durable_state *s = after;
    if (!is_moved)
        return db_run(&w->db, WRITER_DURABLE_MARK,
                      PARAMS(P_INT(s->seq), P_INT(s->version), P_INT(s->is_cancel_requested),
                             P_INT(s->has_waiters), P_INT(s->records), P_INT(s->events),
                             P_INT(s->signals_last), P_INT(s->signals_waiting), P_INT(s->attempt),
                             P_INT(s->started_us), P_INT(s->lines), P_INT(s->bytes + s->grown)),
                      ret_error);
    enum err code = db_run(
        &w->db, WRITER_DURABLE_MOVE,
        PARAMS(P_INT(s->seq), P_INT(s->version), P_INT(s->is_cancel_requested),
               P_INT(s->has_waiters), P_INT(s->records), P_INT(s->events), P_INT(s->signals_last),
               P_INT(s->signals_waiting), P_INT(s->attempt), P_INT(s->started_us), P_INT(s->status),
               P_INT(s->is_paused), P_INT(s->wake_us), durable_due(s), P_INT(s->finished_us),
               P_INT(s->lines), P_INT(s->bytes + s->grown)),
        ret_error);
    if (code == OK && (s->status != before->status || s->is_paused != before->is_paused)) {
        durable_count(w, before, -1);
        durable_count(w, after, 1);
    }
    if (code == OK && s->finished_us && w->retain_us == INT64_MAX)
        w->retain_us = s->finished_us + w->keep_us;
    return code;
}

enum err durable_save(struct writer *w, const struct durable_state *before,
                      const struct durable_state *after, struct error *ret_error)
{
    const bool is_moved = durable_is_moved(before, after);
    const bool is_written = is_moved || !durable_is_longer(before, after);
    const int64_t bytes = after->bytes + after->grown;
    enum err code = is_written ? durable_write(w, before, after, is_moved, ret_error) : OK;
    if (code != OK)
        return code;
    if (bytes != before->bytes + before->grown)
        writer_add_count(w, after->function_id, WRITER_COUNTED_STORED,
                         bytes - before->bytes - before->grown);
    if (is_written && bytes != before->bytes)
        writer_add_count(w, after->function_id, WRITER_COUNTED_BYTES, bytes - before->bytes);
    if (!after->kept)
        return OK;
    after->kept->state = *after;
    if (is_written) {
        after->kept->state.bytes = bytes;
        after->kept->state.grown = 0;
    }
    return OK;
}

enum err durable_measure(struct writer *w, struct durable_state *state, struct error *ret_error)
{
    int64_t bytes = 0;
    enum err code = apply_one(w, WRITER_DURABLE_BYTES,
                              PARAMS(P_INT(state->seq), P_INT(durable_place(state->seq, 0)),
                                     P_INT(durable_place(state->seq + 1, 0))),
                              &bytes, NULL, ret_error);
    state->bytes = DURABLE_ROW_BYTES + bytes;
    state->grown = 0;
    return code;
}

enum err durable_drop_snapshot(struct writer *w, struct durable_state *state,
                               struct error *ret_error)
{
    int64_t bytes = 0;
    bool has_row = false;
    enum err code = apply_one(w, WRITER_SNAPSHOT_DELETE, PARAMS(P_INT(state->seq)), &bytes,
                              &has_row, ret_error);
    state->bytes -= bytes;
    return code;
}

static enum err durable_insert(struct writer *w, struct durable_state *state,
                               const struct durable_texts *t, bool *ret_is_new,
                               struct error *ret_error)
{
    if (!state->seq)
        state->seq = w->durable_seq + 1;
    enum err code = db_run(
        &w->db, WRITER_DURABLE_ADD,
        PARAMS(P_INT(state->seq), P_INT(state->function_id), P_INT(state->version),
               P_INT(state->records), P_INT(state->events), P_INT(state->signals_last),
               P_INT(t->created_us ? t->created_us : clock_wall_us()), P_TEXT(t->id),
               P_TEXT(t->parent), P_TEXT(t->export_name), P_TEXT(t->key), P_INT(state->bytes)),
        ret_error);
    *ret_is_new = code == OK && db_changes(&w->db) > 0;
    if (!*ret_is_new)
        return code;
    if (state->seq > w->durable_seq)
        w->durable_seq = state->seq;
    durable_count(w, state, 1);
    writer_add_count(w, state->function_id, WRITER_COUNTED_STORED, state->bytes);
    writer_add_count(w, state->function_id, WRITER_COUNTED_BYTES, state->bytes);
    return code;
}

enum err durable_add(struct writer *w, struct durable_state *state,
                     const struct durable_texts *texts, bool *ret_is_new, struct error *ret_error)
{
    *state = (struct durable_state){.seq = state->seq,
                                    .function_id = state->function_id,
                                    .version = state->version,
                                    .records = state->records,
                                    .events = state->events,
                                    .signals_last = state->signals_last,
                                    .status = DURABLE_QUEUED,
                                    .attempt = 1,
                                    .bytes = DURABLE_ROW_BYTES + (int64_t)texts->input.len +
                                             (int64_t)texts->metadata.len};
    enum err code = durable_insert(w, state, texts, ret_is_new, ret_error);
    if (code == OK && !*ret_is_new) {
        /* Either it lives, or its function was deleted and the tidying has not come to it yet. */
        struct durable_state there;
        code = durable_look(w, texts->id, &there, ret_error);
        if (code != OK || there.seq)
            return code;
        code =
            durable_query(w, WRITER_DURABLE_FIND_ANY, PARAMS(P_TEXT(texts->id)), &there, ret_error);
        if (code == OK && !durable_is_finished(there.status))
            code = durable_notify(w, &there, ret_error);
        if (code == OK)
            code = durable_remove(w, there.seq, ret_error);
        if (code == OK)
            code = durable_insert(w, state, texts, ret_is_new, ret_error);
    }
    if (code == OK)
        code = db_run(&w->db, WRITER_DURABLE_TEXT_ADD,
                      PARAMS(P_INT(state->seq), P_TEXT(texts->input), P_TEXT(texts->metadata)),
                      ret_error);
    return code;
}

enum err durable_remove(struct writer *w, int64_t seq, struct error *ret_error)
{
    enum err code =
        db_run(&w->db, WRITER_DURABLE_PURGE_ADD, PARAMS(P_INT(seq), P_INT(1)), ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_DURABLE_TEXT_DELETE, PARAMS(P_INT(seq)), ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_DURABLE_DELETE, PARAMS(P_INT(seq)), ret_error);
    w->needs_tidy = true;
    return code;
}

/* ---- events ---- */

void durable_wake(struct durable_state *state)
{
    state->events++;
    if (state->status == DURABLE_SUSPENDED)
        state->wake_us = 0;
}

static enum err durable_notify_one(struct writer *w, struct slice id, struct error *ret_error)
{
    struct durable_state before, after;
    enum err code = durable_look(w, id, &before, ret_error);
    if (code != OK || !before.seq || durable_is_finished(before.status))
        return code;
    after = before;
    durable_wake(&after);
    return durable_save(w, &before, &after, ret_error);
}

/* Each row of a statement names an execution to be notified. */
static enum err durable_notify_rows(struct writer *w, int stmt, int64_t seq,
                                    struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, stmt, PARAMS(P_INT(seq)), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    while (code == OK && has_row) {
        struct slice id = db_text(st, 0);
        if (id.len)
            code = durable_notify_one(w, id, ret_error);
        if (code == OK)
            code = db_step(&w->db, st, &has_row, ret_error);
    }
    return code;
}

enum err durable_notify(struct writer *w, const struct durable_state *ended,
                        struct error *ret_error)
{
    enum err code = durable_notify_rows(w, WRITER_DURABLE_PARENT, ended->seq, ret_error);
    if (code == OK && ended->has_waiters)
        code = durable_notify_rows(w, WRITER_DURABLE_WAITERS, ended->seq, ret_error);
    return code;
}

enum err durable_clear(struct writer *w, struct durable_state *state, struct error *ret_error)
{
    const struct db_param *params = PARAMS(P_INT(state->seq), P_INT(STORE_TIDY_ROWS));
    int64_t bytes = 0;
    enum err code = durable_drop_snapshot(w, state, ret_error);
    if (code != OK || state->status != DURABLE_COMPLETED || !state->signals_last)
        return code;
    if (state->signals_waiting)
        code =
            apply_one(w, WRITER_SIGNALS_BYTES, PARAMS(P_INT(state->seq)), &bytes, NULL, ret_error);
    state->bytes -= bytes;
    state->signals_waiting = 0;
    if (code == OK)
        code = db_run(&w->db, WRITER_SIGNALS_DELETE, params, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_SIGNAL_ONCES_DELETE, params, ret_error);
    if (code == OK && state->signals_last > STORE_TIDY_ROWS) {
        code = db_run(&w->db, WRITER_DURABLE_PURGE_ADD, PARAMS(P_INT(state->seq), P_INT(0)),
                      ret_error);
        w->needs_tidy = true;
    }
    return code;
}

/* The seq of the signal with this text, 0 if there was none. */
static enum err durable_find_once(struct writer *w, int64_t seq, struct slice once,
                                  int64_t *ret_seq, struct error *ret_error)
{
    bool has_row = false;
    return apply_one(w, WRITER_SIGNAL_ONCE_FIND, PARAMS(P_INT(seq), P_TEXT(once)), ret_seq,
                     &has_row, ret_error);
}

enum err durable_receive(struct writer *w, struct durable_state *state,
                         const struct durable_message *message, int64_t *ret_seq,
                         struct error *ret_error)
{
    enum err code = OK;
    *ret_seq = 0;
    if (!message->name.len) {
        if (!state->is_cancel_requested)
            durable_wake(state);
        state->is_cancel_requested = true;
        return OK;
    }
    if (message->once.len)
        code = durable_find_once(w, state->seq, message->once, ret_seq, ret_error);
    if (code != OK || *ret_seq)
        return code;
    if (state->signals_waiting >= STORE_SIGNALS_WAITING_MAX) {
        code = error_set(ret_error, ERR_OVERLOAD,
                         "execution '%.*s' has %d signals that it has not received yet, the most "
                         "that are kept",
                         SLICE_ARG(message->execution), STORE_SIGNALS_WAITING_MAX);
        error_hint(ret_error, "see what it waits for: limpet execution show %.*s",
                   SLICE_ARG(message->execution));
        return code;
    }
    int64_t bytes = durable_signal_bytes(message->name, message->data);
    code = stored_check(w, state->function_id, bytes, ret_error);
    if (code != OK)
        return code;
    *ret_seq = state->signals_last + 1;
    code = db_run(&w->db, WRITER_SIGNAL_ADD,
                  PARAMS(P_INT(state->seq), P_INT(*ret_seq), P_INT(clock_wall_us()),
                         P_TEXT(message->name), P_TEXT(message->data)),
                  ret_error);
    if (code == OK && message->once.len)
        code = db_run(&w->db, WRITER_SIGNAL_ONCE_ADD,
                      PARAMS(P_INT(state->seq), P_TEXT(message->once), P_INT(*ret_seq)), ret_error);
    if (code != OK)
        return code;
    state->signals_last++;
    state->signals_waiting++;
    state->bytes += bytes;
    durable_wake(state);
    return OK;
}

static enum err durable_cancel_one(struct writer *w, struct slice id, struct error *ret_error)
{
    const struct durable_message message = {0}; /* without a name: to end */
    struct durable_state before, after;
    int64_t ignored;
    enum err code = durable_look(w, id, &before, ret_error);
    if (code != OK || !before.seq)
        return code;
    after = before;
    code = durable_receive(w, &after, &message, &ignored, ret_error);
    return code == OK ? durable_save(w, &before, &after, ret_error) : code;
}

enum err durable_cancel_children(struct writer *w, struct slice parent, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code =
        db_query(&w->db, WRITER_DURABLE_CHILDREN, PARAMS(P_TEXT(parent)), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    while (code == OK && has_row) {
        code = durable_cancel_one(w, db_text(st, 0), ret_error);
        if (code == OK)
            code = db_step(&w->db, st, &has_row, ret_error);
    }
    return code;
}

/* ---- journal ---- */

int64_t durable_chunk_bytes(struct slice records)
{
    return (int64_t)records.len + DURABLE_PART_BYTES;
}

int64_t durable_signal_bytes(struct slice name, struct slice data)
{
    return (int64_t)name.len + (int64_t)data.len + DURABLE_PART_BYTES;
}

enum err durable_append(struct writer *w, int64_t seq, int64_t first, int64_t count,
                        struct slice records, struct error *ret_error)
{
    return db_run(&w->db, WRITER_JOURNAL_ADD,
                  PARAMS(P_INT(durable_place(seq, first)), P_INT(count), P_BLOB(records)),
                  ret_error);
}
