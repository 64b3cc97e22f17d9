/* SPDX-License-Identifier: Apache-2.0
 *
 * Starting durable executions, their steps, and what is sent to them: the hot path of the store. A
 * step is looked up once, changed in memory (struct durable_state) and saved by one statement; the
 * records are one more. Everything that can be refused is checked before the first write, or the
 * mutation runs in a savepoint (apply_needs_savepoint). */
#include "store/sqlite/durable.h"

#include "base/clock.h"

/* ---- starting ---- */

/* The workflow that is to run, with a version. */
static enum err commit_workflow(struct writer *w, struct slice name,
                                struct apply_function *ret_function, struct error *ret_error)
{
    enum err code = apply_function_look(w, name, ret_function, ret_error);
    if (code != OK)
        return code;
    if (!ret_function->id || ret_function->kind != STORE_WORKFLOW) {
        code = error_set(ret_error, ERR_NOT_FOUND, "there is no workflow '%.*s'", SLICE_ARG(name));
        error_hint(ret_error, ret_function->id ? "that is a function; upload it as a workflow"
                                               : "see: limpet workflow list");
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
    const struct durable_row *row = &m->durable;
    if (!m->name.len)
        return error_set(ret_error, ERR_INVALID, "an execution's id is empty");
    if (m->bytes > STORE_COMMIT_BYTES_MAX)
        return error_set(ret_error, ERR_TOO_LARGE, "an execution is started with at most %d bytes",
                         STORE_COMMIT_BYTES_MAX);
    struct apply_function f;
    enum err code = commit_workflow(w, m->function, &f, ret_error);
    if (code != OK)
        return code;
    struct durable_state state = {.function_id = f.id, .version = f.version};
    struct durable_texts texts = {.id = m->name,
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
static enum err commit_wait_for(struct writer *w, const struct durable_commit *c, struct slice id,
                                struct durable_state *state, struct error *ret_error)
{
    struct durable_state before, after;
    bool is_ours = false;
    enum err code = durable_find(w, id, &before, ret_error);
    if (code == OK && before.namespace_id != state->namespace_id)
        return OK; /* another namespace's: as if it were not there */
    if (code == OK && durable_is_finished(before.status)) {
        durable_wake(state);
        return OK;
    }
    if (code == OK)
        code = commit_is_child(w, before.seq, c->id, &is_ours, ret_error);
    if (code != OK || is_ours || before.seq == state->seq)
        return code;
    code = db_run(&w->db, WRITER_DURABLE_WAITER_ADD, PARAMS(P_INT(before.seq), P_TEXT(c->id)),
                  ret_error);
    after = before;
    after.has_waiters = true;
    return code == OK ? durable_save(w, &before, &after, ret_error) : code;
}

static enum err commit_children(struct writer *w, const struct durable_commit *c,
                                struct durable_state *state, struct error *ret_error)
{
    enum err code = OK;
    for (size_t i = 0; i < c->children_len && code == OK; i++) {
        const struct durable_child *child = &c->children[i];
        struct apply_function f;
        code = commit_workflow(w, child->workflow, &f, ret_error);
        if (code == ERR_NOT_FOUND || code == ERR_NOT_READY) {
            /* Deleted since the code asked for it: as if right after the child was made. To refuse
             * would be for ever, the record is there (in the module's database, perhaps). */
            code = OK;
            continue;
        }
        if (code != OK)
            break;
        struct durable_state made = {.function_id = f.id, .version = f.version};
        struct durable_texts texts = {.id = child->id,
                                      .parent = c->id,
                                      .export_name = child->export_name,
                                      .key = child->key,
                                      .input = child->input};
        bool is_new = false;
        code = durable_add(w, &made, &texts, &is_new, ret_error);
        if (code == OK && !is_new)
            code = commit_wait_for(w, c, child->id, state, ret_error);
    }
    return code;
}

/* The receiver may be the sender, whose row is saved at the end. */
static enum err commit_message(struct writer *w, const struct durable_commit *c,
                               const struct durable_message *message, struct durable_state *state,
                               struct error *ret_error)
{
    int64_t seq = 0;
    if (slice_eq(message->execution, c->id))
        return durable_is_finished(state->status)
                   ? OK
                   : durable_receive(w, state, message, &seq, ret_error);
    struct durable_state before, after;
    enum err code = durable_look(w, message->execution, &before, ret_error);
    if (code != OK || !before.seq || durable_is_finished(before.status) ||
        before.namespace_id != state->namespace_id) /* those of others are not there for it */
        return code;
    after = before;
    code = durable_receive(w, &after, message, &seq, ret_error);
    return code == OK ? durable_save(w, &before, &after, ret_error) : code;
}

static enum err commit_signals(struct writer *w, const struct durable_commit *c,
                               struct durable_state *state, struct error *ret_error)
{
    enum err code = OK;
    for (size_t i = 0; i < c->signals_len && code == OK; i++) {
        code = db_run(&w->db, WRITER_SIGNAL_DELETE, PARAMS(P_INT(state->seq), P_INT(c->signals[i])),
                      ret_error);
        if (code == OK)
            state->signals_waiting -= db_changes(&w->db); /* 0: consumed before, told again */
    }
    return code;
}

static enum err commit_texts(struct writer *w, const struct durable_commit *c,
                             const struct durable_state *state, struct error *ret_error)
{
    enum err code = OK;
    bool is_end = c->sets_status && durable_is_finished(c->status);
    if (c->progress.len)
        code = db_run(&w->db, WRITER_DURABLE_TEXT_PROGRESS,
                      PARAMS(P_INT(state->seq), P_TEXT(c->progress)), ret_error);
    if (code == OK && is_end && (c->output.len || c->error.len))
        code = db_run(&w->db, WRITER_DURABLE_TEXT_END,
                      PARAMS(P_INT(state->seq), P_TEXT(c->output), P_TEXT(c->error)), ret_error);
    if (code == OK && !is_end && c->snapshot.len)
        code = db_run(&w->db, WRITER_SNAPSHOT_SET,
                      PARAMS(P_INT(state->seq), P_INT(state->records), P_BLOB(c->snapshot)),
                      ret_error);
    for (size_t i = 0; i < c->logs_len && code == OK; i++)
        code = apply_log_line(w, state->function_id, c->id, &c->logs[i], ret_error);
    return code;
}

static enum err commit_status(struct writer *w, const struct durable_commit *c,
                              struct durable_state *state, struct error *ret_error)
{
    if (!c->sets_status)
        return OK;
    state->status = c->status;
    state->wake_us = 0;
    int64_t now = clock_wall_us();
    if (!state->started_us && c->status != DURABLE_QUEUED)
        state->started_us = now;
    if (c->status == DURABLE_SUSPENDED && state->events <= c->events_seen)
        state->wake_us = c->wake_us;
    if (!durable_is_finished(c->status))
        return OK;
    state->wake_us = DURABLE_NEVER;
    state->finished_us = now;
    state->is_paused = false;
    enum err code = durable_clear(w, state, ret_error);
    return code == OK ? durable_notify(w, state, ret_error) : code;
}

static enum err commit_check(const struct mutation *m, const struct durable_state *state,
                             struct error *ret_error)
{
    const struct durable_commit *c = &m->commit;
    if (durable_is_finished(state->status))
        return durable_finished_error(c->id, state, ret_error);
    if (c->first != state->records)
        return error_set(ret_error, ERR_CONFLICT,
                         "execution '%.*s' has %lld records, and number %lld was to be appended: "
                         "somebody else has changed it",
                         SLICE_ARG(c->id), (long long)state->records, (long long)c->first);
    if (c->count < 0 || (c->count > 0) != (c->records.len > 0))
        return error_set(ret_error, ERR_INVALID, "%lld records in %zu bytes", (long long)c->count,
                         c->records.len);
    if (c->count >= (INT64_C(1) << STORE_JOURNAL_BITS) - c->first)
        return error_set(ret_error, ERR_LIMIT, "a journal has less than %d records",
                         1 << STORE_JOURNAL_BITS);
    if (m->bytes > STORE_COMMIT_BYTES_MAX)
        return error_set(ret_error, ERR_TOO_LARGE,
                         "one commit of an execution has at most %d bytes", STORE_COMMIT_BYTES_MAX);
    return OK;
}

static enum err commit_write(struct writer *w, const struct durable_commit *c,
                             const struct durable_state *before, struct durable_state *after,
                             struct error *ret_error)
{
    enum err code = OK;
    if (c->count)
        code = durable_append(w, after->seq, c->first, c->count, c->records, ret_error);
    after->records += c->count;
    if (code == OK)
        code = commit_texts(w, c, after, ret_error);
    if (code == OK)
        code = commit_signals(w, c, after, ret_error);
    if (code == OK)
        code = commit_children(w, c, after, ret_error);
    for (size_t i = 0; i < c->messages_len && code == OK; i++)
        code = commit_message(w, c, &c->messages[i], after, ret_error);
    if (code == OK && c->cancels_children)
        code = durable_cancel_children(w, c->id, ret_error);
    if (c->lines != 0)
        after->lines = c->lines;
    if (code == OK) /* last: it asks what has happened */
        code = commit_status(w, c, after, ret_error);
    return code == OK ? durable_save(w, before, after, ret_error) : code;
}

enum err apply_durable_commit(struct writer *w, const struct mutation *m, int64_t *ret_number,
                              struct error *ret_error)
{
    const struct durable_commit *c = &m->commit;
    struct durable_state before, after;
    enum err code = durable_find(w, c->id, &before, ret_error);
    if (code == OK)
        code = commit_check(m, &before, ret_error);
    if (code != OK)
        return code;
    after = before;
    code = commit_write(w, c, &before, &after, ret_error);
    *ret_number = after.events;
    /* Without a savepoint nothing may be refused once it has begun, so this is the disk. */
    if (code != OK && !c->children_len && !c->messages_len)
        w->is_lost = true;
    return code;
}

/* ---- signals and cancelling ---- */

enum err apply_durable_message(struct writer *w, const struct mutation *m, int64_t *ret_number,
                               struct error *ret_error)
{
    struct durable_message message = m->message;
    message.execution = m->name;
    if (m->number && !message.name.len)
        return error_set(ret_error, ERR_INVALID, "a signal's name is empty");
    struct durable_state before, after;
    enum err code = durable_find(w, m->name, &before, ret_error);
    if (code == OK && durable_is_finished(before.status))
        code = durable_finished_error(m->name, &before, ret_error);
    if (code != OK)
        return code;
    after = before;
    code = durable_receive(w, &after, &message, ret_number, ret_error);
    return code == OK ? durable_save(w, &before, &after, ret_error) : code;
}
