/* SPDX-License-Identifier: Apache-2.0
 *
 * Bringing an execution into an isolate: its row, snapshot or journal, signals, and the ends of
 * children that it waits for; and looking again when something has happened to it. Reads are
 * synchronous, from the store's page cache, on the engine thread. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "host/op.h"
#include "host/sql_journal.h"
#include "script/sourcemap.h"
#include "server/run_internal.h"
#include "server/witness.h"

enum { LOAD_SIGNALS = 1000 };

/* ---- the port ---- */

static int64_t port_now_us(void *ctx)
{
    return clock_wall_us();
}

static enum err port_read(void *ctx, int64_t first, struct bytes *out, int64_t *ret_count,
                          struct error *ret_error)
{
    struct run *r = ctx;
    struct store_reader *reader;
    int64_t from = 0;
    CLEANUP(bytes_done) struct bytes chunk = BYTES_INIT;
    enum err err = run_reader(r->worker, &reader, ret_error);
    if (err == OK)
        err = store_journal(reader, slice_cstr(r->id), first, EXECUTION_CHUNK_BYTES, &chunk, &from,
                            ret_count, ret_error);
    if (err != OK || *ret_count == 0)
        return err;
    struct slice all = bytes_slice(&chunk);
    int64_t skip = first - from;
    bytes_append_slice(out, slice_skip(all, record_prefix(all, skip).len));
    *ret_count -= skip;
    return OK;
}

static void port_start(void *ctx, uint32_t id, uint32_t op, struct slice args)
{
    struct run *r = ctx;
    guest_start_call(r->guest, id, op, args);
}

static void port_stop(void *ctx, uint32_t id)
{
    struct run *r = ctx;
    guest_stop_call(r->guest, id);
}

static void port_scope_over(void *ctx, uint32_t scope)
{
    struct run *r = ctx;
    guest_scope_over(r->guest, scope);
}

static void port_runnable(void *ctx)
{
    struct run *r = ctx;
    if (r->guest)
        guest_poke(r->guest);
}

/* ---- how it ends ---- */

static void map_stack(struct run *r, struct slice stack, struct bytes *out)
{
    struct deployment *d = r->slot->deployment;
    if (d->map)
        sourcemap_map_stack(d->map, d->name, stack, out);
    else
        bytes_append_slice(out, stack);
}

static void write_divergence(const struct execution_divergence *d, struct json_writer *j)
{
    json_key(j, "record");
    json_int(j, d->record);
    json_key(j, "recorded");
    json_cstr(j, d->recorded);
    json_key(j, "did");
    json_cstr(j, d->did);
}

void run_write_error(struct run *r, const struct error *error, struct slice name,
                     struct slice stack, struct bytes *out)
{
    struct json_writer j = json_writer(out);
    json_open(&j, '{');
    json_key(&j, "code");
    json_cstr(&j, error_text(error->code));
    if (name.len > 0) {
        json_key(&j, "name");
        json_slice(&j, name);
    }
    struct slice message = slice_cstr(error->message);
    if (name.len > 0 && slice_starts(message, name) &&
        slice_starts(slice_skip(message, name.len), SLICE_LIT(": "))) /* it is said above */
        message = slice_skip(message, name.len + 2);
    json_key(&j, "message");
    json_slice(&j, message);
    if (error->hint[0]) {
        json_key(&j, "hint");
        json_cstr(&j, error->hint);
    }
    if (stack.len > 0) {
        json_key(&j, "stack");
        json_slice(&j, slice_trim(stack));
    }
    if (error->code == ERR_DIVERGED)
        write_divergence(&r->divergence, &j);
    json_close(&j, '}');
}

static bool has_stopped_replay(const struct run *r)
{
    enum execution_state state = execution_state(r->x);
    return state == EXECUTION_HAS_DIVERGED || state == EXECUTION_BROKEN ||
           state == EXECUTION_AGREED;
}

static void port_value(struct dispatch *d, struct slice json)
{
    struct run *r = container_of(d, struct run, dispatch);
    if (r->check)
        bytes_append_slice(&r->result, json);
    execution_finish(r->x, OK, json);
}

static void port_fail(struct dispatch *d, const struct error *error, struct slice name,
                      struct slice stack)
{
    struct run *r = container_of(d, struct run, dispatch);
    if (r->is_dropping)
        return;
    bytes_clear(&r->stack);
    map_stack(r, stack, &r->stack);
    if (error->code == ERR_IO && name.len == 0) {
        r->is_broken = true;
        return;
    }
    if (has_stopped_replay(r) || r->break_id != 0)
        return; /* run_stepped() sees to it */
    CLEANUP(bytes_done) struct bytes json = BYTES_INIT;
    struct error e = *error;
    if (slice_eq_cstr(name, "CancelledError") && execution_is_cancelled(r->x))
        e.code = ERR_CANCELLED;
    run_write_error(r, &e, name, bytes_slice(&r->stack), &json);
    if (r->check)
        bytes_append_slice(&r->result, bytes_slice(&json));
    execution_finish(r->x, e.code, bytes_slice(&json));
}

/* What the journal says and what the code did differ. When that came out at rest, the code runs
 * once more, up to the call in question, for its line. */
bool run_stop_replay(struct run *r)
{
    enum execution_state state = execution_state(r->x);
    struct error e = {0};
    if (r->break_id == 0 && state != EXECUTION_HAS_DIVERGED && state != EXECUTION_BROKEN)
        return false;
    if (state == EXECUTION_HAS_DIVERGED && r->break_id == 0) {
        r->divergence = *execution_divergence(r->x);
        if (r->stack.len == 0 && r->divergence.id != 0) {
            r->break_id = r->divergence.id;
            run_end_guest(r);
            run_again(r);
            return true;
        }
    }
    if (state == EXECUTION_BROKEN && r->break_id == 0) {
        e = *execution_error(r->x);
    } else {
        error_set(&e, ERR_DIVERGED, "the journal says at record %lld: %s; the code did: %s",
                  (long long)r->divergence.record, r->divergence.recorded, r->divergence.did);
        error_hint(&e, "code that runs again must do the same in the same order; limpet workflow "
                       "check NAME FILE tells before a deploy");
    }
    r->break_id = 0;
    if (r->check) {
        run_check_differs(r, &e);
        return true;
    }
    CLEANUP(bytes_done) struct bytes json = BYTES_INIT;
    run_write_error(r, &e, e.code == ERR_DIVERGED ? SLICE_LIT("NonDeterminismError") : SLICE_EMPTY,
                    bytes_slice(&r->stack), &json);
    r->stage = RUN_LEAVING;
    run_end_guest(r);
    run_fail(r, bytes_slice(&json));
    return true;
}

static void port_over(struct dispatch *d)
{
}

static const struct dispatch_port workflow_port = {
    .value = port_value, .fail = port_fail, .over = port_over};

/* ---- loading ---- */

static enum err read_row(struct run *r, struct error *ret_error)
{
    struct store_reader *reader;
    enum err err = run_reader(r->worker, &reader, ret_error);
    if (err != OK)
        return err;
    arena_free(r->arena);
    r->arena = arena_new(NULL);
    return store_durable(reader, r->arena, slice_cstr(r->id), &r->row, ret_error);
}

/* Records that a transaction of the module's database kept and the store does not have yet. */
static enum err read_tail(struct run *r, struct guest *g, struct bytes *out, int64_t *ret_first,
                          struct error *ret_error)
{
    struct slot *s = r->slot;
    if (s->sql_len == 0 && access(s->deployment->sql_path, F_OK) != 0)
        return OK; /* it never had a database */
    struct sql_conn *conn;
    struct sql_file *file;
    enum err err = g->host->sql_take(g->host->ctx, g, &conn, &file, ret_error);
    /* Behind the lock of whoever had the lease before: it asks for the lease under it. */
    if (err != OK)
        return err;
    err = sql_transaction(conn, SQL_BEGIN, ret_error);
    if (err == OK)
        err = sql_journal_get(conn, slice_cstr(r->tail_name), r->row.records, out, ret_first,
                              ret_error);
    sql_rollback_all(conn);
    g->host->sql_give(g->host->ctx, g, conn);
    return err;
}

static void give_signals(struct run *r)
{
    struct store_reader *reader;
    struct durable_signal *rows;
    size_t len;
    struct error e;
    struct arena *a = arena_new(NULL);
    enum err err = run_reader(r->worker, &reader, &e);
    do {
        len = 0;
        if (err == OK)
            err = store_signals(reader, a, slice_cstr(r->id), r->signal_last, &rows, &len, &e);
        for (size_t k = 0; err == OK && k < len; k++) {
            execution_signal(r->x, rows[k].seq, rows[k].at_us, rows[k].name, rows[k].data);
            r->signal_last = rows[k].seq;
        }
    } while (err == OK && len == LOAD_SIGNALS);
    if (err != OK)
        r->is_stale = true; /* once more before it leaves */
    arena_free(a);
}

/* A check prints nothing. */
static int64_t lines_stored(const struct run *r)
{
    return r->check ? INT64_MAX : r->row.lines;
}

/* The snapshot's parts: u64 run_snapshot_sum() of the rest, u32 length of the execution's, that
 * part, the guest's. */
static enum err resume(struct run *r, const struct execution_config *config, struct slice saved,
                       struct error *ret_error)
{
    uint32_t len;
    uint64_t sum;
    if (saved.len < sizeof(sum) + sizeof(len))
        return error_set(ret_error, ERR_CORRUPT, "the snapshot is cut short");
    memcpy(&sum, saved.ptr, sizeof(sum));
    saved = slice_skip(saved, sizeof(sum));
    if (sum != run_snapshot_sum(saved))
        return error_set(ret_error, ERR_CORRUPT, "the snapshot is damaged");
    memcpy(&len, saved.ptr, sizeof(len));
    if (len > saved.len - sizeof(len))
        return error_set(ret_error, ERR_CORRUPT, "the snapshot is cut short");
    enum err err =
        execution_restore(config, slice_of(saved.ptr + sizeof(len), len), &r->x, ret_error);
    if (err != OK)
        return err;
    guest_make_durable(r->guest, r->x, slice_cstr(r->tail_name), lines_stored(r));
    err = guest_resume(r->guest, &r->dispatch, slice_skip(saved, sizeof(len) + len), ret_error);
    if (err != OK) {
        execution_free(TAKE(r->x));
        guest_make_ordinary(r->guest);
    }
    return err;
}

/* True: it goes on from its snapshot. */
static bool try_snapshot(struct run *r, const struct execution_config *config)
{
    struct store_reader *reader;
    struct error e;
    struct worker_metrics *m = &r->worker->metrics;
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    r->snapshot_records = 0;
    if (r->check || r->break_id != 0 || run_reader(r->worker, &reader, &e) != OK)
        return false;
    if (store_snapshot(reader, slice_cstr(r->id), &saved, &r->snapshot_records, &e) != OK ||
        r->snapshot_records == 0)
        return false;
    if (resume(r, config, bytes_slice(&saved), &e) == OK) {
        metric_add(&m->snapshots_used, 1);
        return true;
    }
    r->snapshot_records = 0;
    metric_add(&m->snapshots_refused, 1);
    log_debug("a snapshot was not usable, replaying", LOG_STR("execution", r->id),
              LOG_STR("error", e.message));
    store_durable_snapshot_drop(r->worker->server->store, NULL, slice_cstr(r->id));
    return false;
}

static void begin(struct run *r, struct guest *g, struct slice tail, int64_t tail_first)
{
    struct execution_config config = {
        .port = &r->port,
        .id = slice_cstr(r->id),
        .started_us = r->row.created_us,
        .stored = r->row.records,
        .tail = tail,
        .tail_first = tail_first,
        .is_check = r->check != NULL,
        .break_id = r->break_id,
    };
    r->port = (struct execution_port){.ctx = r,
                                      .now_us = port_now_us,
                                      .read = port_read,
                                      .start = port_start,
                                      .stop = port_stop,
                                      .scope_over = port_scope_over,
                                      .runnable = port_runnable,
                                      .op_text = op_name};
    r->guest = g;
    g->run = r;
    r->witness = witness_enter(r->worker->server->witness, (unsigned)r->worker->index, r->id);
    r->dispatch = (struct dispatch){
        .port = &workflow_port,
        .kind = ABI_DISPATCH_WORKFLOW,
        .execution_id = slice_cstr(r->id),
        .body = r->row.input,
        .metadata = r->row.metadata,
        .export_name = r->row.export_name,
        .started_us = r->row.created_us,
    };
    r->stage = RUN_ACTIVE;
    r->stored = r->row.records;
    r->says_running = r->row.status == DURABLE_RUNNING;
    r->signal_last = 0;
    r->is_stale = false;
    r->events_seen = r->row.events;
    r->failure.code = OK;
    r->has_failed = false;
    r->awaited_cursor = 0;
    r->waits_for_others = false;
    if (r->row.records > 0 && try_snapshot(r, &config))
        return;
    if (r->row.records > 0)
        metric_add(&r->worker->metrics.replays, 1);
    r->x = execution_new(&config);
    guest_make_durable(g, r->x, slice_cstr(r->tail_name), lines_stored(r));
    guest_add(g, &r->dispatch);
}

static bool is_wanted(struct run *r)
{
    if (r->check)
        return r->check->verifies || !durable_is_finished(r->row.status);
    return !durable_is_finished(r->row.status) && !r->row.is_paused;
}

bool run_start(struct task *t, struct guest *g)
{
    struct run *r = container_of(t, struct run, task);
    struct error e = {0};
    int64_t tail_first = 0;
    CLEANUP(bytes_done) struct bytes tail = BYTES_INIT;
    execution_free(TAKE(r->x));
    bytes_clear(&r->stack);
    bool is_fresh = r->has_row && !r->wants_look;
    r->has_row = r->wants_look = false; /* everything is read from here on */
    enum err err = is_fresh ? OK : read_row(r, &e);
    if (err == OK) /* what an attempt before a retry has left there is void */
        snprintf(r->tail_name, sizeof(r->tail_name), "%s.%lld", r->id, (long long)r->row.attempt);
    bool is_wanted_now = err == OK && is_wanted(r);
    bool is_other_version =
        is_wanted_now && !r->check && r->row.version != r->slot->deployment->version;
    if (is_wanted_now && !is_other_version && !is_fresh)
        err = read_tail(r, g, &tail, &tail_first, &e);
    if (err == OK && is_wanted_now && !is_other_version) {
        begin(r, g, bytes_slice(&tail), tail_first);
        if (!r->check) {
            if (r->row.events > 0)
                give_signals(r);
            if (r->row.is_cancel_requested)
                execution_cancel(r->x);
        }
        return true;
    }
    turn_give_back(r->worker, g);
    if (err != OK && err != ERR_NOT_FOUND) {
        run_rest(r, &e);
    } else if (r->check) {
        r->check->is_gone = true;
        run_check_over(r);
    } else {
        r->wants_look |= is_other_version; /* it was moved: the director knows to which */
        run_forget(r);
    }
    return false;
}

/* ---- keys ---- */

void run_id_of_key(struct store_reader *reader, struct slice workflow, struct slice key,
                   char ret_id[37])
{
    struct durable_row row;
    struct error ignored;
    struct arena *a = arena_new(NULL);
    durable_id_of_key_before(workflow, key, ret_id);
    if (store_durable(reader, a, slice_cstr(ret_id), &row, &ignored) != OK)
        durable_id_of_key(workflow, key, ret_id);
    arena_free(a);
}

/* ---- looking ---- */

/* The end of an execution that this one waits for, if it has come. */
static void look_at_child(struct run *r, struct slice child)
{
    struct store_reader *reader;
    struct durable_row row;
    struct error e;
    struct arena *a = arena_new(NULL);
    enum err err = run_reader(r->worker, &reader, &e);
    if (err == OK)
        err = store_durable(reader, a, child, &row, &e);
    if (err == ERR_NOT_FOUND) {
        execution_child_done(r->x, child, ERR_NOT_FOUND,
                             SLICE_LIT("{\"name\":\"Error\",\"message\":\"there is no such "
                                       "execution (any more)\"}"));
    } else if (err != OK) {
        r->is_stale = true;
    } else if (durable_is_finished(row.status)) {
        bool is_ok = row.status == DURABLE_COMPLETED;
        execution_child_done(r->x, child,
                             is_ok                             ? OK
                             : row.status == DURABLE_CANCELLED ? ERR_CANCELLED
                                                               : ERR_GUEST,
                             is_ok ? row.output : row.error);
    } else if (!slice_eq_cstr(row.parent, r->id)) {
        r->waits_for_others = true; /* it would not tell us: the director watches */
        struct director_note *n = director_note_new(r->worker->server, r->id, 0);
        snprintf(n->watched, sizeof(n->watched), "%.*s", (int)child.len, child.ptr);
        director_send(n);
    }
    arena_free(a);
}

/* Those whose results the code has asked for since the last look. A child that was started in this
 * very turn is not there yet: its commit tells. */
void run_look_for_children(struct run *r)
{
    struct slice child;
    if (execution_state(r->x) != EXECUTION_IS_LIVE || execution_has_batch(r->x) ||
        !run_is_settled(r))
        return; /* after the commit */
    while (r->guest && execution_awaited_child(r->x, &r->awaited_cursor, &child)) {
        char id[64];
        snprintf(id, sizeof(id), "%.*s", (int)child.len, child.ptr);
        look_at_child(r, slice_cstr(id));
    }
}

/* The row's number of events is read first: whatever is in it has happened before the looks that
 * follow. What was started in a commit that is on its way is not there yet, so that is awaited. */
bool run_look_at_all(struct run *r)
{
    struct error e;
    if (!run_is_settled(r) || execution_has_batch(r->x))
        return false;
    if (read_row(r, &e) != OK)
        return false;
    r->is_stale = false;
    r->events_seen = r->row.events;
    give_signals(r);
    if (r->row.is_cancel_requested)
        execution_cancel(r->x);
    r->awaited_cursor = 0;
    run_look_for_children(r);
    return !r->is_stale && !guest_has_news(r->guest);
}

void run_look(struct run *r, const char *child)
{
    struct error e;
    if (r->stage != RUN_ACTIVE || !r->guest || r->check) {
        r->wants_look = true; /* it reads everything when it starts */
        return;
    }
    r->is_stale = true; /* more than this one thing may have happened, and be in the row's count */
    if (child[0])
        look_at_child(r, slice_cstr(child));
    /* The dispatch points into the row that was read first, which the guest has long since. */
    if (read_row(r, &e) != OK)
        return;
    if (r->row.is_paused || durable_is_finished(r->row.status)) {
        run_end_guest(r);
        r->stage = RUN_LEAVING;
        if (run_is_settled(r))
            run_forget(r);
        return;
    }
    give_signals(r);
    if (r->row.is_cancel_requested)
        execution_cancel(r->x);
    run_settle(r);
}
