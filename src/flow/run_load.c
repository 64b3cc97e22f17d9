/* SPDX-License-Identifier: Apache-2.0
 *
 * Bringing an execution into an isolate: READING. What it needs is read from the store in stages, each
 * of which may be answered at once or later:
 *
 *     ROW       is it still to be run, and by this version?   no: it leaves
 *     TAIL      records that only the module's own database has (here, not in the store)
 *     SNAPSHOT  if there is one
 *     JOURNAL   the first chunk that is to be replayed
 *     SIGNALS   that wait for it, a page at a time; then its code runs
 *
 * From each it may have to be tried again, where the store cannot be read. A snapshot that cannot be
 * used leads back to JOURNAL, from the first record.
 *
 * The journal is read a chunk at a time while the code replays it. Where the store answers at once a
 * chunk is read when it is wanted; where it does not the next one is asked for while this one is
 * replayed, and code that comes to its end first stands still (execution_is_behind). */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/run_internal.h"
#include "host/op.h"

enum { LOAD_AHEAD_BYTES_MAX = 64 * 1024 * 1024 };

/* ---- the journal ---- */

static void ahead_arrived(struct ask *a)
{
    struct run *r = a->owner;
    if (r->a.state == ACTIVATION_READING && r->reading == READ_JOURNAL)
        activation_read_on(&r->a);
    else if (activation_is_live(&r->a))
        activation_go_on(&r->a, true);
}

/* Asks for the journal from this record on. */
static void ahead_ask(struct run *r, int64_t first)
{
    ask_drop(TAKE(r->ahead));
    struct ask *a = r->ahead = ask_new(r->a.env->asks, STORE_QUERY_JOURNAL, ahead_arrived, r);
    a->query.journal.id = arena_copy(a->arena, slice_cstr(r->a.key));
    a->query.journal.first = first;
    a->query.journal.bytes_max = r->ahead_bytes;
    a->query.journal.out = &a->out;
    r->is_far |= ask_start(a) == OP_PENDING;
}

static bool ahead_is_of(const struct run *r, int64_t first)
{
    return r->ahead && r->ahead->query.journal.first == first;
}

static bool port_has(void *ctx, int64_t first)
{
    struct run *r = ctx;
    if (!r->is_far)
        return true;
    if (!ahead_is_of(r, first))
        ahead_ask(r, first);
    return r->ahead->is_answered;
}

static enum err port_read(void *ctx, int64_t first, struct bytes *out, int64_t *ret_count,
                          struct error *ret_error)
{
    struct run *r = ctx;
    if (!ahead_is_of(r, first))
        ahead_ask(r, first);
    *ret_count = EXECUTION_LATER;
    r->is_behind = !r->ahead->is_answered;
    if (r->is_behind)
        return OK;
    CLEANUP(ask_cleanup) struct ask *a = TAKE(r->ahead);
    if (a->query.error.code != OK) {
        *ret_error = a->query.error;
        return ret_error->code;
    }
    int64_t skip = first - a->query.journal.start;
    *ret_count = a->query.journal.count;
    if (*ret_count == 0)
        return OK;
    struct slice all = bytes_slice(&a->out);
    bytes_append_slice(out, skip > 0 ? slice_skip(all, record_prefix(all, skip).len) : all);
    *ret_count -= skip;
    if (r->is_far && first + *ret_count < r->journal_len)
        ahead_ask(r, first + *ret_count);
    return OK;
}

/* ---- the rest of the port ---- */

static int64_t port_now_us(void *ctx)
{
    const struct run *r = ctx;
    return flow_now_us(r->a.env);
}

static void port_start(void *ctx, uint32_t id, uint32_t op, struct slice args)
{
    struct run *r = ctx;
    r->a.env->isolates->start_call(r->a.guest, id, op, args);
}

static void port_stop(void *ctx, uint32_t id)
{
    struct run *r = ctx;
    r->a.env->isolates->stop_call(r->a.guest, id);
}

static void port_scope_over(void *ctx, uint32_t scope)
{
    struct run *r = ctx;
    r->a.env->isolates->scope_over(r->a.guest, scope);
}

static void port_runnable(void *ctx)
{
    struct run *r = ctx;
    if (activation_is_live(&r->a))
        guest_poke(r->a.guest);
}

/* ---- stages ---- */

static void load_answered(struct ask *a)
{
    activation_read_on(&((struct run *)a->owner)->a);
}

/* What the stage asks: made by the first call, there for the next. */
static struct ask *load_ask(struct run *r, enum store_query_kind kind)
{
    r->loading = ask_new(r->a.env->asks, kind, load_answered, r);
    return r->loading;
}

static enum activation_next load_fail(const struct error *error, struct error *ret_error)
{
    *ret_error = *error;
    return NEXT_RETRY;
}

static bool is_wanted(struct run *r)
{
    if (r->check)
        return r->check->verifies || !durable_is_finished(r->row.status);
    return !durable_is_finished(r->row.status) && !r->row.is_paused;
}

static enum activation_next load_leave(struct run *r, bool is_other_version)
{
    if (r->check) {
        r->check->is_gone = true;
        r->check->error.code = OK;
    } else if (is_other_version) { /* it was moved: the director knows to which */
        r->a.news = NEWS_UNSEEN;
    }
    return NEXT_LEAVE;
}

/* What an attempt before a retry has left there is void. */
static void load_name_tail(struct run *r)
{
    snprintf(r->tail.name, sizeof(r->tail.name), "%s.%lld", r->a.key, (long long)r->row.attempt);
}

static enum activation_next load_row(struct run *r, struct error *ret_error)
{
    if (!r->loading) {
        struct ask *a = load_ask(r, STORE_QUERY_DURABLE);
        a->query.durable.id = arena_copy(a->arena, slice_cstr(r->a.key));
        if (ask_start(a) == OP_PENDING)
            return NEXT_WAIT;
    }
    CLEANUP(ask_cleanup) struct ask *a = TAKE(r->loading);
    if (a->query.error.code == ERR_NOT_FOUND)
        return load_leave(r, false);
    if (a->query.error.code != OK)
        return load_fail(&a->query.error, ret_error);
    arena_free(r->arena);
    r->arena = TAKE(a->arena);
    r->row = a->query.durable.row;
    load_name_tail(r);
    if (!is_wanted(r))
        return load_leave(r, false);
    bool verifies = r->check && r->check->verifies;
    if (verifies && r->row.records != r->check->records)
        return load_leave(r, false);
    if (!r->check && r->row.version != r->a.deployment->version)
        return load_leave(r, true);
    r->reading = verifies ? READ_JOURNAL : READ_TAIL; /* what is there by now is of later */
    return NEXT_READ;
}

static void tail_read(struct tail *t)
{
    activation_read_on(&((struct run *)t->owner)->a);
}

/* Records that a transaction of the module's database kept and the store does not have yet. */
static enum activation_next load_tail(struct run *r, struct error *ret_error)
{
    if (!r->tail.owner) {
        bytes_done(&r->tail.records);
        r->tail.error.code = OK;
        r->tail.first = r->tail.gate_seq = 0;
        r->tail.from = r->row.records;
        r->tail.done = tail_read;
        r->tail.owner = r;
        if (r->a.env->place->tail_read(r->a.slot, &r->tail) == OP_PENDING)
            return NEXT_WAIT;
    }
    r->tail.owner = NULL;
    if (r->tail.error.code != OK)
        return load_fail(&r->tail.error, ret_error);
    r->snapshot_records = 0;
    r->reading = r->row.records > 0 && !r->check && r->break_id == 0 ? READ_SNAPSHOT : READ_JOURNAL;
    return NEXT_READ;
}

static enum activation_next load_snapshot(struct run *r)
{
    if (!r->loading) {
        struct ask *a = load_ask(r, STORE_QUERY_SNAPSHOT);
        a->query.snapshot.id = arena_copy(a->arena, slice_cstr(r->a.key));
        a->query.snapshot.out = &a->out;
        if (ask_start(a) == OP_PENDING)
            return NEXT_WAIT;
    }
    CLEANUP(ask_cleanup) struct ask *a = TAKE(r->loading);
    if (a->query.error.code == OK && a->query.snapshot.records > 0) { /* else by replay */
        r->snapshot_records = a->query.snapshot.records;
        bytes_done(&r->saved);
        r->saved = a->out;
        a->out = BYTES_INIT;
    }
    r->reading = READ_JOURNAL;
    return NEXT_READ;
}

/* ---- making it ---- */

/* The snapshot's parts: u64 run_snapshot_sum() of the rest, u32 length of the execution's, that
 * part, the guest's. */
static enum err snapshot_split(struct slice saved, struct slice *ret_execution,
                               struct slice *ret_guest, struct error *ret_error)
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
    *ret_execution = slice_of(saved.ptr + sizeof(len), len);
    *ret_guest = slice_skip(saved, sizeof(len) + len);
    return OK;
}

/* Then by replay, from the first record. */
static void snapshot_refuse(struct run *r, const struct error *error)
{
    metric_add(&r->a.env->metrics->snapshots_refused, 1);
    log_debug("a snapshot was not usable, replaying", LOG_STR("execution", r->a.key),
              LOG_STR("error", error->message));
    store_durable_snapshot_drop(r->a.env->store, NULL, slice_cstr(r->a.key));
    r->snapshot_records = 0;
    bytes_done(&r->saved);
    execution_free(TAKE(r->x));
    r->reading = READ_JOURNAL;
}

static void make_execution(struct run *r)
{
    struct slice of_execution = SLICE_EMPTY, of_guest;
    struct error e;
    struct execution_config config = {
        .port = &r->port,
        .id = slice_cstr(r->a.key),
        .started_us = r->row.created_us,
        .stored = r->row.records,
        .tail = bytes_slice(&r->tail.records),
        .tail_first = r->tail.first,
        .is_check = r->check != NULL,
        .break_id = r->break_id,
    };
    r->port = (struct execution_port){.ctx = r,
                                      .now_us = port_now_us,
                                      .read = port_read,
                                      .has = port_has,
                                      .start = port_start,
                                      .stop = port_stop,
                                      .scope_over = port_scope_over,
                                      .runnable = port_runnable,
                                      .op_text = op_name};
    r->reading = READ_SIGNALS;
    r->signal_last = 0;
    if (r->snapshot_records > 0 &&
        (snapshot_split(bytes_slice(&r->saved), &of_execution, &of_guest, &e) != OK ||
         execution_restore(&config, of_execution, &r->x, &e) != OK))
        snapshot_refuse(r, &e);
    else if (r->snapshot_records == 0)
        r->x = execution_new(&config);
}

static enum activation_next load_journal(struct run *r, struct error *ret_error)
{
    r->journal_len = r->row.records;
    if (r->snapshot_records < r->journal_len) {
        if (!ahead_is_of(r, r->snapshot_records))
            ahead_ask(r, r->snapshot_records);
        if (!r->ahead->is_answered)
            return NEXT_WAIT;
        if (r->ahead->query.error.code != OK)
            return load_fail(&r->ahead->query.error, ret_error);
    }
    make_execution(r);
    return NEXT_READ;
}

static enum activation_next load_begin(struct run *r);

static enum activation_next load_signals(struct run *r, struct error *ret_error)
{
    if (r->check || r->row.events == 0)
        return load_begin(r);
    if (!r->loading) {
        struct ask *a = load_ask(r, STORE_QUERY_SIGNALS);
        a->query.signals.id = arena_copy(a->arena, slice_cstr(r->a.key));
        a->query.signals.after = r->signal_last;
        if (ask_start(a) == OP_PENDING)
            return NEXT_WAIT;
    }
    CLEANUP(ask_cleanup) struct ask *a = TAKE(r->loading);
    if (a->query.error.code != OK)
        return load_fail(&a->query.error, ret_error);
    run_give_signals(r, &a->query);
    return a->query.signals.len < STORE_SIGNALS_PAGE ? load_begin(r) : NEXT_READ;
}

/* ---- its code runs ---- */

/* A check prints nothing. */
static int64_t lines_stored(const struct run *r)
{
    return r->check ? INT64_MAX : r->row.lines;
}

static void begin_dispatch(struct run *r)
{
    r->dispatch = (struct dispatch){
        .port = &run_port,
        .kind = DISPATCH_WORKFLOW,
        .execution_id = slice_cstr(r->a.key),
        .body = r->row.input,
        .metadata = r->row.metadata,
        .export_name = r->row.export_name,
        .started_us = r->row.created_us,
        .key = r->row.key,
    };
    r->stored = r->row.records;
    r->says_running = r->row.status == DURABLE_RUNNING;
    r->events_seen = r->row.events;
    r->trouble.code = OK;
    bytes_clear(&r->result); /* of a check that begins again */
    r->awaited_cursor = 0;
    r->is_bound = false;
    r->look_failures = 0;
}

static enum activation_next load_begin(struct run *r)
{
    struct slice of_execution, of_guest = SLICE_EMPTY;
    struct error e;
    struct guest *g = r->a.guest;
    begin_dispatch(r);
    guest_make_durable(g, r->x, slice_cstr(r->tail.name), lines_stored(r));
    if (r->snapshot_records > 0) {
        enum err err = snapshot_split(bytes_slice(&r->saved), &of_execution, &of_guest, &e);
        if (err == OK)
            err = r->a.env->isolates->resume(g, &r->dispatch, of_guest, &e);
        if (err != OK) {
            guest_make_ordinary(g);
            snapshot_refuse(r, &e);
            return NEXT_READ;
        }
        metric_add(&r->a.env->metrics->snapshots_used, 1);
    } else {
        if (r->row.records > 0)
            metric_add(&r->a.env->metrics->replays, 1);
        r->a.env->isolates->add(g, &r->dispatch);
    }
    bytes_done(&r->saved);
    bytes_done(&r->tail.records);
    return NEXT_RUN;
}

void run_started(struct activation *a)
{
    struct run *r = run_of(a);
    if (!r->check && r->row.is_cancel_requested)
        execution_cancel(r->x);
}

enum activation_next run_read(struct activation *a, struct error *ret_error)
{
    struct run *r = run_of(a);
    switch (r->reading) {
    case READ_ROW:
        return load_row(r, ret_error);
    case READ_TAIL:
        return load_tail(r, ret_error);
    case READ_SNAPSHOT:
        return load_snapshot(r);
    case READ_JOURNAL:
        return load_journal(r, ret_error);
    case READ_SIGNALS:
        return load_signals(r, ret_error);
    }
    CHECK(!"what is read is one of these");
    return NEXT_LEAVE;
}

void run_enter(struct activation *a)
{
    struct run *r = run_of(a);
    execution_free(TAKE(r->x));
    bytes_clear(&r->stack);
    bytes_clear(&r->tail.records);
    r->snapshot_records = 0;
    if (r->ahead_bytes == 0)
        r->ahead_bytes = EXECUTION_CHUNK_BYTES;
    if (r->reading == READ_JOURNAL && a->news == NEWS_NONE)
        load_name_tail(r); /* it has just been made: its row is here */
    else
        r->reading = READ_ROW;
}

void run_exit(struct activation *a)
{
    struct run *r = run_of(a);
    run_look_end(r);
    ask_drop(TAKE(r->loading));
    ask_drop(TAKE(r->ahead));
    if (r->tail.owner)
        a->env->place->tail_drop(&r->tail);
    r->tail.owner = NULL;
    bytes_done(&r->saved);
    r->reading = READ_ROW;
}

/* The code met records that were not here yet where it could not wait: more of them are read before
 * it begins. Else the store failed. */
enum activation_next run_load_broken(struct run *r)
{
    if (!r->is_behind || r->ahead_bytes >= LOAD_AHEAD_BYTES_MAX)
        return NEXT_RETRY;
    r->ahead_bytes *= 2;
    return NEXT_AGAIN;
}
