/* SPDX-License-Identifier: Apache-2.0
 *
 * Starting durable executions, their steps, and what is sent to them: the hot path of the store. A
 * step is looked up once, changed in memory (struct durable_state) and saved by one statement; the
 * records are one more. Everything that can be refused is checked before the first write, or the
 * mutation runs in a savepoint (apply_needs_savepoint). */
#include "store/sqlite/durable.h"

#include "base/clock.h"
#include "store/sqlite/durable_columns.h"
#include "store/sqlite/stored.h"

/* ---- starting ---- */

/* Does the version that serves of a module that is no workflow export one? */
static enum err commit_exports_workflow(struct writer *w, const struct apply_function *f,
                                        bool *ret_exports, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, WRITER_VERSION_FIND, PARAMS(P_INT(f->id), P_INT(f->version)),
                             &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    *ret_exports = code == OK && has_row && module_is_durable(f->kind, (uint32_t)db_int(st, 2));
    return code;
}

enum err durable_workflow(struct writer *w, struct slice name, struct apply_function *ret_function,
                          struct error *ret_error)
{
    bool is_one = false;
    enum err code = apply_function_look(w, name, ret_function, ret_error);
    if (code == OK && ret_function->id && module_kinds[ret_function->kind].is_durable)
        is_one = true;
    else if (code == OK && ret_function->id)
        code = commit_exports_workflow(w, ret_function, &is_one, ret_error);
    if (code != OK)
        return code;
    if (!is_one) {
        code = error_set(ret_error, ERR_NOT_FOUND, "there is no workflow '%.*s'", SLICE_ARG(name));
        if (ret_function->id)
            error_hint(ret_error, "that is a %s that exports none",
                       module_kinds[ret_function->kind].word);
        else
            error_hint(ret_error, "see: limpet workflow list");
        return code;
    }
    if (ret_function->version)
        return OK;
    code = error_set(ret_error, ERR_NOT_READY,
                     "workflow '%.*s' cannot run yet: no version of it has been built",
                     SLICE_ARG(name));
    error_hint(ret_error, "see why: limpet workflow build list %.*s", SLICE_ARG(name));
    return code;
}

enum err apply_durable_start(struct writer *w, const struct mutation *m, int64_t *ret_number,
                             struct error *ret_error)
{
    const struct durable_row *row = &m->durable_start.row;
    if (!row->id.len)
        return error_set(ret_error, ERR_INVALID, "an execution's id is empty");
    if (m->bytes > STORE_COMMIT_BYTES_MAX)
        return error_set(ret_error, ERR_TOO_LARGE, "an execution is started with at most %d bytes",
                         STORE_COMMIT_BYTES_MAX);
    struct apply_function f;
    enum err code = durable_workflow(w, row->workflow, &f, ret_error);
    if (code != OK)
        return code;
    code = stored_check(w, f.id,
                        DURABLE_ROW_BYTES + (int64_t)row->input.len + (int64_t)row->metadata.len,
                        ret_error);
    if (code != OK)
        return code;
    struct durable_state state = {.function_id = f.id, .version = f.version};
    struct durable_texts texts = {.id = row->id,
                                  .parent = row->parent,
                                  .export_name = row->export_name,
                                  .key = row->key,
                                  .input = row->input,
                                  .metadata = row->metadata,
                                  .created_us = row->created_us};
    bool is_new = false;
    code = durable_add(w, &state, &texts, &is_new, ret_error);
    *ret_number = is_new ? state.version : 0;
    if (code != OK) /* nothing is refused from there on, so this is the disk */
        w->is_lost = true;
    return code;
}

/* ---- one commit: what it does beside appending ---- */

static enum err commit_is_child(struct writer *w, int64_t seq, struct slice parent,
                                bool *ret_is_child, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, WRITER_DURABLE_PARENT, PARAMS(P_INT(seq)), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    if (code == OK)
        *ret_is_child = has_row && slice_eq(db_text(st, 0), parent);
    return code;
}

/* A child that was there already: is its end still to come, we have to be told. */
static enum err commit_wait_for(struct writer *w, struct durable_step *c, struct slice id,
                                struct error *ret_error)
{
    struct durable_state before, after;
    bool is_ours = false;
    enum err code = durable_find(w, id, &before, ret_error);
    if (code == OK && before.namespace_id != c->state.namespace_id)
        return OK; /* another namespace's: as if it were not there */
    if (code == OK && durable_is_finished(before.status)) {
        durable_wake(&c->state);
        return OK;
    }
    if (code == OK)
        code = commit_is_child(w, before.seq, c->id, &is_ours, ret_error);
    if (code != OK || is_ours || before.seq == c->state.seq)
        return code;
    code = db_run(&w->db, WRITER_DURABLE_WAITER_ADD, PARAMS(P_INT(before.seq), P_TEXT(c->id)),
                  ret_error);
    after = before;
    after.has_waiters = true;
    return code == OK ? durable_save(w, &before, &after, ret_error) : code;
}

/* ---- steps ---- */

/* The first step, so what is refused here is refused before anything is written. */
enum err step_append(struct writer *w, struct durable_step *c, const struct store_step *s,
                     struct error *ret_error)
{
    int64_t count = s->append.count, first = c->state.records;
    if (count < 0 || (count > 0) != (s->append.records.len > 0))
        return error_set(ret_error, ERR_INVALID, "%lld records in %zu bytes", (long long)count,
                         s->append.records.len);
    if (count >= (INT64_C(1) << STORE_JOURNAL_BITS) - first)
        return error_set(ret_error, ERR_LIMIT, "a journal has less than %d records",
                         1 << STORE_JOURNAL_BITS);
    if (count > 0) {
        const int64_t bytes = durable_chunk_bytes(s->append.records);
        enum err code = stored_check(w, c->state.function_id, bytes, ret_error);
        if (code != OK)
            return code;
        c->state.grown += bytes;
    }
    c->state.records += count;
    return count ? durable_append(w, c->state.seq, first, count, s->append.records, ret_error) : OK;
}

enum err step_log(struct writer *w, struct durable_step *c, const struct store_step *s,
                  struct error *ret_error)
{
    struct log_row line = {.level = s->log.level, .at_us = s->log.at_us, .text = s->log.text};
    return apply_log_line(w, c->state.function_id, c->id, &line, ret_error);
}

enum err step_progress(struct writer *w, struct durable_step *c, const struct store_step *s,
                       struct error *ret_error)
{
    int64_t old = 0;
    enum err code = apply_one(w, WRITER_DURABLE_PROGRESS_BYTES, PARAMS(P_INT(c->state.seq)), &old,
                              NULL, ret_error);
    c->state.bytes += (int64_t)s->progress.json.len - old;
    if (code == OK)
        code = db_run(&w->db, WRITER_DURABLE_TEXT_PROGRESS,
                      PARAMS(P_INT(c->state.seq), P_TEXT(s->progress.json)), ret_error);
    return code;
}

enum err step_child(struct writer *w, struct durable_step *c, const struct store_step *s,
                    struct error *ret_error)
{
    struct apply_function f;
    bool is_new = false;
    enum err code = durable_workflow(w, s->child.workflow, &f, ret_error);
    if (code == ERR_NOT_FOUND || code == ERR_NOT_READY) {
        /* Deleted since the code asked for it: as if right after the child was made. To refuse would
         * be for ever, the record is there (in the module's database, perhaps). */
        return OK;
    }
    if (code != OK)
        return code;
    code = stored_check(w, f.id, DURABLE_ROW_BYTES + (int64_t)s->child.input.len, ret_error);
    if (code != OK)
        return code;
    struct durable_state made = {.function_id = f.id, .version = f.version};
    struct durable_texts texts = {.id = s->child.id,
                                  .parent = c->id,
                                  .export_name = s->child.export_name,
                                  .key = s->child.key,
                                  .input = s->child.input};
    code = durable_add(w, &made, &texts, &is_new, ret_error);
    return code == OK && !is_new ? commit_wait_for(w, c, s->child.id, ret_error) : code;
}

/* The receiver may be the sender, whose row is saved at the end. */
enum err step_message(struct writer *w, struct durable_step *c, const struct store_step *s,
                      struct error *ret_error)
{
    int64_t seq = 0;
    struct durable_message message = {.execution = s->message.execution,
                                      .name = s->message.name,
                                      .data = s->message.data,
                                      .once = s->message.once};
    if (slice_eq(message.execution, c->id))
        return durable_is_finished(c->state.status)
                   ? OK
                   : durable_receive(w, &c->state, &message, &seq, ret_error);
    struct durable_state before, after;
    enum err code = durable_look(w, message.execution, &before, ret_error);
    if (code != OK || !before.seq || durable_is_finished(before.status) ||
        before.namespace_id != c->state.namespace_id) /* those of others are not there for it */
        return code;
    after = before;
    code = durable_receive(w, &after, &message, &seq, ret_error);
    return code == OK ? durable_save(w, &before, &after, ret_error) : code;
}

enum err step_signal_taken(struct writer *w, struct durable_step *c, const struct store_step *s,
                           struct error *ret_error)
{
    int64_t bytes = 0;
    bool was_there = false; /* else it was consumed before, and this is told again */
    enum err code =
        apply_one(w, WRITER_SIGNAL_DELETE, PARAMS(P_INT(c->state.seq), P_INT(s->signal_taken.seq)),
                  &bytes, &was_there, ret_error);
    if (code == OK && was_there) {
        c->state.signals_waiting--;
        c->state.bytes -= bytes;
    }
    return code;
}

enum err step_cancel_children(struct writer *w, struct durable_step *c, const struct store_step *s,
                              struct error *ret_error)
{
    (void)s;
    return durable_cancel_children(w, c->id, ret_error);
}

enum err step_lines(struct writer *w, struct durable_step *c, const struct store_step *s,
                    struct error *ret_error)
{
    (void)w, (void)ret_error;
    c->state.lines = s->lines.count;
    return OK;
}

enum err step_snapshot(struct writer *w, struct durable_step *c, const struct store_step *s,
                       struct error *ret_error)
{
    enum err code = durable_drop_snapshot(w, &c->state, ret_error);
    const int64_t bytes = (int64_t)s->snapshot.state.len;
    /* Without room it goes by replay. */
    if (code != OK || stored_check(w, c->state.function_id, c->state.grown + bytes, NULL) != OK)
        return code;
    c->state.bytes += bytes;
    return db_run(&w->db, WRITER_SNAPSHOT_SET,
                  PARAMS(P_INT(c->state.seq), P_INT(c->state.records), P_BLOB(s->snapshot.state)),
                  ret_error);
}

enum err step_status(struct writer *w, struct durable_step *c, const struct store_step *s,
                     struct error *ret_error)
{
    struct durable_state *state = &c->state;
    int64_t now = clock_wall_us();
    state->status = s->status.status;
    state->wake_us = 0;
    if (!state->started_us && state->status != DURABLE_QUEUED)
        state->started_us = now;
    if (state->status == DURABLE_SUSPENDED && state->events <= s->status.events_seen)
        state->wake_us = s->status.wake_us;
    if (!durable_is_finished(state->status))
        return OK;
    enum err code = OK;
    state->bytes += (int64_t)s->status.output.len + (int64_t)s->status.error.len;
    if (s->status.output.len || s->status.error.len)
        code = db_run(&w->db, WRITER_DURABLE_TEXT_END,
                      PARAMS(P_INT(state->seq), P_TEXT(s->status.output), P_TEXT(s->status.error)),
                      ret_error);
    state->wake_us = DURABLE_NEVER;
    state->finished_us = now;
    state->is_paused = false;
    if (code == OK)
        code = durable_clear(w, state, ret_error);
    return code == OK ? durable_notify(w, state, ret_error) : code;
}

enum err durable_steps(struct writer *w, struct durable_step *c, const struct mutation *m,
                       struct error *ret_error)
{
    static enum err (*const table[])(struct writer *w, struct durable_step *c,
                                     const struct store_step *s, struct error *ret_error) = {
#define STEP(KIND, name, guard, fields) [STORE_STEP_##KIND] = step_##name,
#include "store/mutations.def"
    };
    enum err code = OK;
    for (size_t i = 0; i < m->steps_len && code == OK; i++) {
        code = table[m->steps[i].kind](w, c, &m->steps[i], ret_error);
        c->done += code == OK;
    }
    return code;
}

/* ---- a commit ---- */

static enum err commit_check(const struct mutation *m, const struct durable_state *state,
                             struct error *ret_error)
{
    const struct mutation_durable_commit *a = &m->durable_commit;
    if (durable_is_finished(state->status))
        return durable_finished_error(a->id, state, ret_error);
    if (a->first != state->records)
        return error_set(ret_error, ERR_CONFLICT,
                         "execution '%.*s' has %lld records, and number %lld was to be appended: "
                         "somebody else has changed it",
                         SLICE_ARG(a->id), (long long)state->records, (long long)a->first);
    if (m->bytes > STORE_COMMIT_BYTES_MAX)
        return error_set(ret_error, ERR_TOO_LARGE,
                         "one commit of an execution has at most %d bytes", STORE_COMMIT_BYTES_MAX);
    return OK;
}

enum err apply_durable_commit(struct writer *w, const struct mutation *m, int64_t *ret_number,
                              struct error *ret_error)
{
    struct durable_step c = {.id = m->durable_commit.id};
    struct durable_state before;
    enum err code = durable_find(w, c.id, &before, ret_error);
    if (code == OK)
        code = commit_check(m, &before, ret_error);
    if (code != OK)
        return code;
    c.state = before;
    code = durable_steps(w, &c, m, ret_error);
    *ret_number = c.state.events;
    if (code == OK)
        code = durable_save(w, &before, &c.state, ret_error);
    /* Without a savepoint nothing may be refused once it has begun, so this is the disk. */
    if (code != OK && c.done > 0 && !w->is_guarded)
        w->is_lost = true;
    return code;
}

/* ---- signals and cancelling ---- */

static enum err commit_send(struct writer *w, const struct durable_message *message,
                            int64_t *ret_number, struct error *ret_error)
{
    struct durable_state before, after;
    enum err code = durable_find(w, message->execution, &before, ret_error);
    if (code == OK && durable_is_finished(before.status))
        code = durable_finished_error(message->execution, &before, ret_error);
    if (code != OK)
        return code;
    after = before;
    code = durable_receive(w, &after, message, ret_number, ret_error);
    return code == OK ? durable_save(w, &before, &after, ret_error) : code;
}

enum err apply_durable_signal(struct writer *w, const struct mutation *m, int64_t *ret_number,
                              struct error *ret_error)
{
    const struct durable_message *message = &m->durable_signal.message;
    if (!message->name.len)
        return error_set(ret_error, ERR_INVALID, "a signal's name is empty");
    return commit_send(w, message, ret_number, ret_error);
}

enum err apply_durable_cancel(struct writer *w, const struct mutation *m, int64_t *ret_number,
                              struct error *ret_error)
{
    return commit_send(w, &(struct durable_message){.execution = m->durable_cancel.id}, ret_number,
                       ret_error);
}
