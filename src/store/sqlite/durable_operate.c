/* SPDX-License-Identifier: Apache-2.0
 *
 * What people do to durable executions: pause, resume, retry, restart, fork, migrate. These run in a
 * savepoint where they write more than once. A fork of a long journal is applied in slices; a retry
 * that cuts off much of one takes its time.
 */
#include "store/sqlite/durable.h"
#include "store/sqlite/durable_columns.h"
#include "store/sqlite/stored.h"

#define STORE_CRASHES_TEXT "three"
_Static_assert(STORE_CRASHES_MAX == 3, "the number stands in a message");

enum err apply_durable_pause(struct writer *w, const struct mutation *m, int64_t *ret_number,
                             struct error *ret_error)
{
    struct durable_state before, after;
    enum err code = durable_find(w, m->durable_pause.id, &before, ret_error);
    if (code == OK && durable_is_finished(before.status))
        code = durable_finished_error(m->durable_pause.id, &before, ret_error);
    if (code != OK || before.is_paused == m->durable_pause.is_paused)
        return code;
    after = before;
    after.is_paused = m->durable_pause.is_paused;
    /* What it waited for may have come meanwhile: it looks itself. */
    if (!m->durable_pause.is_paused)
        after.wake_us = 0;
    code = db_run(&w->db, WRITER_DURABLE_TEXT_PARKED,
                  PARAMS(P_INT(before.seq), P_TEXT(SLICE_EMPTY)), ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_DURABLE_UNCRASHED, PARAMS(P_INT(before.seq)), ret_error);
    return code == OK ? durable_save(w, &before, &after, ret_error) : code;
}

/* ---- parking ---- */

static enum err operate_park(struct writer *w, const struct durable_state *before,
                             struct slice reason, struct error *ret_error)
{
    struct durable_state after = *before;
    after.is_paused = true;
    enum err code = db_run(&w->db, WRITER_DURABLE_TEXT_PARKED,
                           PARAMS(P_INT(before->seq), P_TEXT(reason)), ret_error);
    return code == OK ? durable_save(w, before, &after, ret_error) : code;
}

static enum err operate_find_unfinished(struct writer *w, struct slice id,
                                        struct durable_state *ret_state, struct error *ret_error)
{
    enum err code = durable_find(w, id, ret_state, ret_error);
    if (code == OK && durable_is_finished(ret_state->status))
        return durable_finished_error(id, ret_state, ret_error);
    return code;
}

enum err apply_durable_park(struct writer *w, const struct mutation *m, int64_t *ret_number,
                            struct error *ret_error)
{
    struct durable_state before;
    enum err code = operate_find_unfinished(w, m->durable_park.id, &before, ret_error);
    return code == OK ? operate_park(w, &before, m->durable_park.reason, ret_error) : code;
}

enum err apply_durable_crashed(struct writer *w, const struct mutation *m, int64_t *ret_number,
                               struct error *ret_error)
{
    struct durable_state before;
    enum err code = operate_find_unfinished(w, m->durable_crashed.id, &before, ret_error);
    if (code == OK)
        code =
            apply_one(w, WRITER_DURABLE_CRASHED, PARAMS(P_INT(before.seq), P_INT(before.records)),
                      ret_number, NULL, ret_error);
    if (code != OK || before.is_paused || *ret_number < STORE_CRASHES_MAX)
        return code;
    return operate_park(w, &before,
                        SLICE_LIT("the server ended by a crash " STORE_CRASHES_TEXT
                                  " times in a row while it ran this execution"),
                        ret_error);
}

static enum err operate_check_version(struct writer *w, struct slice id,
                                      const struct durable_state *state, int64_t version,
                                      struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, WRITER_VERSION_FIND,
                             PARAMS(P_INT(state->function_id), P_INT(version)), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    if (code == OK && !has_row)
        return error_set(ret_error, ERR_NOT_FOUND,
                         "the workflow of execution '%.*s' has no version %lld", SLICE_ARG(id),
                         (long long)version);
    return code;
}

/* The first `records` records must be those of whole chunks up to chunk_first, and of the chunk. */
static enum err operate_check_cut(struct writer *w, struct slice id, const struct store_cut *cut,
                                  const struct durable_state *state, struct error *ret_error)
{
    if (cut->records > state->records)
        return error_set(ret_error, ERR_CONFLICT,
                         "execution '%.*s' has %lld records, and %lld were to be kept",
                         SLICE_ARG(id), (long long)state->records, (long long)cut->records);
    int64_t start = durable_place(state->seq, 0), end = 0;
    bool has_row = false;
    enum err code = OK;
    if (cut->chunk_first > 0)
        code =
            apply_one(w, WRITER_JOURNAL_LAST, PARAMS(P_INT(start), P_INT(start + cut->chunk_first)),
                      &end, &has_row, ret_error);
    if (code != OK)
        return code;
    if (cut->chunk_first < 0 || cut->chunk_first > cut->records ||
        (cut->chunk_first > 0 && end != start + cut->chunk_first) ||
        (cut->records > cut->chunk_first) != (cut->chunk.len > 0))
        return error_set(ret_error, ERR_INVALID,
                         "the journal of execution '%.*s' cannot be cut to %lld records at %lld",
                         SLICE_ARG(id), (long long)cut->records, (long long)cut->chunk_first);
    return OK;
}

static enum err operate_append_rest(struct writer *w, int64_t seq, const struct store_cut *cut,
                                    struct error *ret_error)
{
    return cut->chunk.len ? durable_append(w, seq, cut->chunk_first,
                                           cut->records - cut->chunk_first, cut->chunk, ret_error)
                          : OK;
}

static enum err operate_revive(struct writer *w, const struct durable_state *state, int64_t from,
                               struct error *ret_error)
{
    enum err code = db_run(
        &w->db, WRITER_JOURNAL_CUT,
        PARAMS(P_INT(durable_place(state->seq, from)), P_INT(durable_place(state->seq + 1, 0))),
        ret_error);
    if (code == OK)
        code =
            db_run(&w->db, WRITER_DURABLE_TEXT_END,
                   PARAMS(P_INT(state->seq), P_TEXT(SLICE_EMPTY), P_TEXT(SLICE_EMPTY)), ret_error);
    return code;
}

/* Its record is cut off, so it is to be consumed again, in its old order. */
enum err step_signal_back(struct writer *w, struct durable_step *c, const struct store_step *s,
                          struct error *ret_error)
{
    struct durable_state *state = &c->state;
    if (s->signal_back.seq < 1 || s->signal_back.seq > state->signals_last ||
        !s->signal_back.name.len)
        return error_set(ret_error, ERR_INVALID,
                         "execution '%.*s' was never sent the signal %lld that is to come back",
                         SLICE_ARG(c->id), (long long)s->signal_back.seq);
    enum err code =
        db_run(&w->db, WRITER_SIGNAL_PUT_BACK,
               PARAMS(P_INT(state->seq), P_INT(s->signal_back.seq), P_INT(s->signal_back.at_us),
                      P_TEXT(s->signal_back.name), P_TEXT(s->signal_back.data)),
               ret_error);
    if (code == OK && db_changes(&w->db)) {
        state->signals_waiting++;
        state->bytes += durable_signal_bytes(s->signal_back.name, s->signal_back.data);
    }
    return code;
}

enum err apply_durable_retry(struct writer *w, const struct mutation *m, int64_t *ret_number,
                             struct error *ret_error)
{
    struct slice id = m->durable_retry.id;
    const struct store_cut *cut = &m->durable_retry.cut;
    struct durable_state before;
    struct durable_step c = {.id = id};
    enum err code = durable_find(w, id, &before, ret_error);
    if (code == OK && before.status != DURABLE_FAILED && before.status != DURABLE_CANCELLED)
        code = error_set(ret_error, ERR_CONFLICT,
                         "execution '%.*s' cannot be retried: it is %s, neither failed nor "
                         "cancelled",
                         SLICE_ARG(id), durable_status_text(before.status));
    if (code == OK && m->bytes > STORE_COMMIT_BYTES_MAX)
        code = error_set(ret_error, ERR_TOO_LARGE,
                         "a retry keeps a chunk and brings back signals of at most %d bytes",
                         STORE_COMMIT_BYTES_MAX);
    if (code == OK)
        code = operate_check_cut(w, id, cut, &before, ret_error);
    if (code == OK && cut->version)
        code = operate_check_version(w, id, &before, cut->version, ret_error);
    if (code == OK)
        code = operate_revive(w, &before, cut->chunk_first, ret_error);
    if (code == OK)
        code = operate_append_rest(w, before.seq, cut, ret_error);
    c.state = before;
    c.state.records = cut->records;
    if (code == OK)
        code = durable_steps(w, &c, m, ret_error);
    if (code != OK)
        return code;
    struct durable_state *after = &c.state;
    after->status = DURABLE_QUEUED;
    after->version = cut->version ? cut->version : before.version;
    after->is_cancel_requested = false;
    after->wake_us = after->finished_us = 0;
    after->attempt++;
    after->lines = -1; /* which of them belong to the records that are kept, nobody knows */
    code = durable_measure(w, after, ret_error);
    return code == OK ? durable_save(w, &before, after, ret_error) : code;
}

/* ---- restart ---- */

/* Sets the version that serves. */
static enum err restart_version(struct writer *w, struct slice id, struct durable_state *state,
                                struct error *ret_error)
{
    bool has_row = false;
    enum err code = apply_one(w, WRITER_FUNCTION_VERSION, PARAMS(P_INT(state->function_id)),
                              &state->version, &has_row, ret_error);
    if (code == OK && (!has_row || state->version == 0))
        return error_set(ret_error, ERR_NOT_READY,
                         "no version of the workflow of execution '%.*s' has been built",
                         SLICE_ARG(id));
    return code;
}

enum err apply_durable_restart(struct writer *w, const struct mutation *m, int64_t *ret_number,
                               struct error *ret_error)
{
    struct slice id = m->durable_restart.id;
    struct durable_state before;
    enum err code = durable_find(w, id, &before, ret_error);
    if (code == OK && !durable_is_finished(before.status)) {
        code = error_set(ret_error, ERR_CONFLICT,
                         "execution '%.*s' cannot begin anew: it has not finished, it is %s",
                         SLICE_ARG(id), durable_status_text(before.status));
        error_hint(ret_error, "cancel it first, and wait until it has ended");
    }
    struct durable_state after = before;
    if (code == OK)
        code = restart_version(w, id, &after, ret_error);
    if (code == OK)
        code = operate_revive(w, &before, 0, ret_error);
    const struct db_param *all = PARAMS(P_INT(before.seq), P_INT(INT64_MAX));
    if (code == OK)
        code = db_run(&w->db, WRITER_SIGNALS_DELETE, all, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_SIGNAL_ONCES_DELETE, all, ret_error);
    if (code == OK) /* of those that the tidying was to remove */
        code = db_run(&w->db, WRITER_DURABLE_PURGE_DELETE, PARAMS(P_INT(before.seq)), ret_error);
    if (code != OK)
        return code;
    after.status = DURABLE_QUEUED;
    after.is_paused = after.is_cancel_requested = false;
    after.records = after.signals_waiting = 0;
    after.wake_us = after.finished_us = after.started_us = 0;
    after.attempt++;
    after.lines = 0;
    code = durable_measure(w, &after, ret_error);
    return code == OK ? durable_save(w, &before, &after, ret_error) : code;
}

/* A row like another, with the texts it was started with. */
static enum err operate_copy(struct writer *w, const struct durable_state *from,
                             struct slice new_id, struct durable_state *to, bool *ret_is_new,
                             struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code =
        db_query(&w->db, WRITER_DURABLE_TEXTS, PARAMS(P_INT(from->seq)), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    if (code == OK && !has_row)
        return error_set(ret_error, ERR_INTERNAL, "an execution has lost its input");
    if (code != OK)
        return code;
    struct durable_texts texts = {.id = new_id,
                                  .export_name = db_text(st, 0),
                                  .input = db_text(st, 1),
                                  .metadata = db_text(st, 2)};
    return durable_add(w, to, &texts, ret_is_new, ret_error);
}

/* ---- fork ---- */

/* Copies chunks from p->next on up to the one that is cut, as many as may be in one slice. They count like
 * those of an execution, until there is one or the tidying finds the mark. */
static enum err fork_copy(struct writer *w, const struct durable_state *from,
                          struct mutation_progress *p, int64_t end, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    int64_t start = durable_place(from->seq, p->next), stop = durable_place(from->seq, end);
    int64_t last = stop, bytes = STORE_PURGE_BYTES, rows = 0;
    bool has_row = false;
    enum err code =
        db_query(&w->db, WRITER_TIDY_PURGE_JOURNAL,
                 PARAMS(P_INT(start), P_INT(stop), P_INT(STORE_FORK_ROWS + 1)), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    while (code == OK && has_row && bytes > 0 && rows < STORE_FORK_ROWS) {
        bytes -= db_int(st, 1);
        rows++;
        code = db_step(&w->db, st, &has_row, ret_error);
    }
    if (code == OK && has_row)
        last = db_int(st, 0);
    db_release(&st);
    const int64_t more = STORE_PURGE_BYTES - bytes + rows * DURABLE_PART_BYTES;
    if (code == OK)
        code = stored_check(w, from->function_id, more, ret_error);
    if (code == OK)
        code = db_run(
            &w->db, WRITER_JOURNAL_COPY,
            PARAMS(P_INT(start), P_INT(last), P_INT(durable_place(p->target - from->seq, 0))),
            ret_error);
    p->next = end - (stop - last);
    p->bytes += more;
    writer_add_count(w, from->function_id, WRITER_COUNTED_FORKED, more);
    return code;
}

/* As of now it has the signals that the source has consumed by its surveyed records, which come back with
 * the steps, and those that wait. What is consumed while the journal is copied is among these. */
static enum err fork_signals(struct writer *w, const struct mutation *m,
                             const struct durable_state *from, struct error *ret_error)
{
    const struct store_cut *cut = &m->durable_fork.cut;
    if (cut->is_fenced && cut->signals_taken != from->signals_last - from->signals_waiting) {
        error_set(ret_error, ERR_CONFLICT,
                  "execution '%.*s' consumed a signal while it was being forked",
                  SLICE_ARG(m->durable_fork.id));
        error_hint(ret_error, "fork it again");
        return ERR_CONFLICT;
    }
    return db_run(&w->db, WRITER_SIGNALS_COPY, PARAMS(P_INT(from->seq), P_INT(m->progress->target)),
                  ret_error);
}

/* What a slice has copied is nobody's: a mark says so, and until the last slice takes it away whoever
 * tidies, now or after a death of the process, removes it. */
static enum err fork_mark(struct writer *w, const struct mutation *m,
                          const struct durable_state *from, struct error *ret_error)
{
    struct mutation_progress *p = m->progress;
    int64_t mark = 0;
    bool has_row = false;
    if (!p->target) {
        p->target = ++w->durable_seq;
        p->next = 0;
        p->source = from->seq;
        p->attempt = from->attempt;
        w->forks++;
        w->needs_tidy = true;
        enum err code =
            db_run(&w->db, WRITER_DURABLE_PURGE_ADD, PARAMS(P_INT(p->target), P_INT(2)), ret_error);
        return code == OK ? fork_signals(w, m, from, ret_error) : code;
    }
    enum err code = apply_one(w, WRITER_DURABLE_PURGE_FIND, PARAMS(P_INT(p->target)), &mark,
                              &has_row, ret_error);
    if (code != OK || (mark == 2 && from->seq == p->source && from->attempt == p->attempt))
        return code;
    error_set(ret_error, ERR_CONFLICT,
              "execution '%.*s' was retried or removed while it was being forked",
              SLICE_ARG(m->durable_fork.id));
    error_hint(ret_error, "fork it again");
    return ERR_CONFLICT;
}

/* One slice of the copy; the mutation goes on if it was not the last. */
static enum err fork_slice(struct writer *w, const struct mutation *m,
                           const struct durable_state *from, struct error *ret_error)
{
    struct mutation_progress *p = m->progress;
    int64_t end = m->durable_fork.cut.chunk_first;
    enum err code = fork_mark(w, m, from, ret_error);
    if (code == OK)
        code = fork_copy(w, from, p, end, ret_error);
    p->goes_on = code == OK && p->next < end;
    if (code == OK && !p->goes_on)
        code = db_run(&w->db, WRITER_DURABLE_PURGE_DELETE, PARAMS(P_INT(p->target)), ret_error);
    return code;
}

/* The new one, when its journal is there. */
static enum err fork_make(struct writer *w, const struct mutation *m,
                          const struct durable_state *from, struct error *ret_error)
{
    const struct store_cut *cut = &m->durable_fork.cut;
    struct slice new_id = m->durable_fork.new_id;
    /* Signals and events go on counting: its records name signals by their numbers. */
    struct durable_state to = {.seq = m->progress->target,
                               .function_id = from->function_id,
                               .version = from->version,
                               .records = cut->records,
                               .events = from->events,
                               .signals_last = from->signals_last};
    int64_t signals = 0;
    bool is_new = false;
    enum err code = operate_copy(w, from, new_id, &to, &is_new, ret_error);
    if (code == OK && !is_new)
        return error_set(ret_error, ERR_CONFLICT, "there is an execution '%.*s' already",
                         SLICE_ARG(new_id));
    if (code == OK)
        code = operate_append_rest(w, to.seq, cut, ret_error);
    struct durable_step c = {.id = new_id, .state = to};
    if (code == OK) /* those that came since */
        code =
            db_run(&w->db, WRITER_SIGNALS_COPY, PARAMS(P_INT(from->seq), P_INT(to.seq)), ret_error);
    if (code == OK)
        code = apply_one(w, WRITER_SIGNALS_COUNT, PARAMS(P_INT(to.seq)), &c.state.signals_waiting,
                         NULL, ret_error);
    if (code == OK && c.state.signals_waiting)
        code = apply_one(w, WRITER_SIGNALS_BYTES, PARAMS(P_INT(to.seq)), &signals, NULL, ret_error);
    /* Each slice was measured: the journal is not read again. */
    c.state.bytes = to.bytes + m->progress->bytes + signals;
    if (cut->chunk.len)
        c.state.bytes += durable_chunk_bytes(cut->chunk);
    writer_add_count(w, to.function_id, WRITER_COUNTED_FORKED, -m->progress->bytes);
    if (code == OK)
        code = durable_steps(w, &c, m, ret_error);
    if (code == OK)
        code = stored_check(w, to.function_id, c.state.bytes + c.state.grown - to.bytes, ret_error);
    return code == OK ? durable_save(w, &to, &c.state, ret_error) : code;
}

/* In slices: the journal may be long. */
enum err apply_durable_fork(struct writer *w, const struct mutation *m, int64_t *ret_number,
                            struct error *ret_error)
{
    struct slice id = m->durable_fork.id, new_id = m->durable_fork.new_id;
    struct durable_state from;
    if (!new_id.len)
        return error_set(ret_error, ERR_INVALID, "an execution's id is empty");
    bool is_begun = m->progress->target != 0;
    enum err code = durable_find(w, id, &from, ret_error);
    if (code == OK)
        code = operate_check_cut(w, id, &m->durable_fork.cut, &from, ret_error);
    if (code == OK)
        code = fork_slice(w, m, &from, ret_error);
    if (code == OK && !m->progress->goes_on)
        code = fork_make(w, m, &from, ret_error);
    bool is_over = code != OK || !m->progress->goes_on;
    if (is_over && w->forks > 0 && (is_begun || m->progress->target))
        w->forks--;
    if (code != OK)
        w->needs_tidy = true;
    return code;
}

enum err apply_durable_migrate(struct writer *w, const struct mutation *m, int64_t *ret_number,
                               struct error *ret_error)
{
    const struct mutation_durable_migrate *a = &m->durable_migrate;
    struct durable_state before, after;
    enum err code = durable_find(w, a->id, &before, ret_error);
    if (code == OK && durable_is_finished(before.status))
        code = durable_finished_error(a->id, &before, ret_error);
    if (code == OK && before.records != a->records)
        code =
            error_set(ret_error, ERR_CONFLICT,
                      "execution '%.*s' has %lld records, not the %lld that were checked: it has "
                      "gone on meanwhile",
                      SLICE_ARG(a->id), (long long)before.records, (long long)a->records);
    if (code == OK)
        code = operate_check_version(w, a->id, &before, a->version, ret_error);
    if (code != OK)
        return code;
    after = before;
    after.version = a->version;
    code = durable_drop_snapshot(w, &after, ret_error);
    return code == OK ? durable_save(w, &before, &after, ret_error) : code;
}

enum err apply_durable_snapshot_drop(struct writer *w, const struct mutation *m,
                                     int64_t *ret_number, struct error *ret_error)
{
    struct durable_state before, after;
    enum err code = durable_find(w, m->durable_snapshot_drop.id, &before, ret_error);
    if (code != OK)
        return code;
    after = before;
    code = durable_drop_snapshot(w, &after, ret_error);
    return code == OK ? durable_save(w, &before, &after, ret_error) : code;
}
