/* SPDX-License-Identifier: Apache-2.0
 *
 * From what an execution has to have stored to commits (flow/commit.c), and what their answers mean to
 * it: its code may go on, others are told. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/run_internal.h"

enum {
    CHARGE_GRAIN_BYTES = 16 * 1024, /* less is not worth touching what threads share */
    RUN_COLLECT_BYTES = 256 * 1024, /* of code that does not come to rest: stored from here on */
    RUN_SNAPSHOT_BYTES_MAX = 64 * 1024 * 1024,
};
/* All that an execution may have to store at once, whatever its code did: what is not stored, one
 * op more, how it ended, and a snapshot. */
_Static_assert((size_t)EXECUTION_UNSTORED_BYTES_LIMIT + 4UL * EXECUTION_VALUE_BYTES_MAX +
                       RUN_SNAPSHOT_BYTES_MAX <
                   (size_t)STORE_COMMIT_BYTES_MAX,
               "what can be queued can be committed");

struct run_commit {
    struct activation_commit c;
    struct execution_batch *batch; /* NULL: status only, or the store has its copy */
    bool sets_status;
    enum durable_status status;
    int64_t first, end;
    size_t effect_bytes;          /* of the batch */
    struct director_note *note;   /* what others are told when it is stored; NULL: nothing */
    int64_t wake_us, events_seen; /* of a suspension */
    int64_t lines;
    struct bytes snapshot, error;
    bool has_snapshot;
    struct bytes expected; /* --verify-replay */
};

static struct run_commit *commit_of(struct activation_commit *c)
{
    return container_of(c, struct run_commit, c);
}

static void commit_free(struct run_commit *c)
{
    execution_batch_free(c->batch);
    free(c->note);
    bytes_done(&c->snapshot);
    bytes_done(&c->error);
    bytes_done(&c->expected);
    free(c);
}

void run_drop(struct activation_commit *c)
{
    commit_free(commit_of(c));
}

/* ---- what the others must be told ---- */

static size_t count_targets(const struct execution_batch *b)
{
    size_t n = 0;
    for (size_t k = 0; b && k < b->effects_len; k++)
        n += b->effects[k].kind == EXECUTION_START_CHILD ||
             b->effects[k].kind == EXECUTION_SEND_SIGNAL ||
             b->effects[k].kind == EXECUTION_CANCEL_CHILD;
    return n;
}

static struct director_note *note_of(struct run *r, const struct run_commit *c)
{
    const struct execution_batch *b = c->batch;
    size_t targets = count_targets(b), at = 0;
    bool is_finished = c->sets_status && durable_is_finished(c->status);
    bool is_suspended = c->sets_status && c->status == DURABLE_SUSPENDED;
    bool is_cancel = b && b->is_cancel;
    if (targets == 0 && !is_finished && !is_suspended && !is_cancel)
        return NULL;
    struct director_note *n = director_note_new(r->a.env->shared, r->a.key, targets);
    n->is_finished = is_finished;
    n->is_suspended = is_suspended;
    n->cancels_children = is_cancel;
    n->wake_us = c->wake_us;
    if (is_finished && r->row.parent.len > 0)
        snprintf(n->parent, sizeof(n->parent), "%.*s", SLICE_ARG(r->row.parent));
    for (size_t k = 0; b && k < b->effects_len; k++) {
        const struct execution_effect *e = &b->effects[k];
        struct slice id = e->kind == EXECUTION_START_CHILD ? e->id : e->target;
        if (e->kind == EXECUTION_START_CHILD || e->kind == EXECUTION_SEND_SIGNAL ||
            e->kind == EXECUTION_CANCEL_CHILD)
            snprintf(n->wakes[at++], sizeof(n->wakes[0]), "%.*s", (int)id.len, id.ptr);
    }
    return n;
}

/* ---- the store's answer ---- */

/* The store will never take it, and the code would come to the same again. */
void run_fail(struct activation *a, const struct error *error)
{
    struct run *r = run_of(a);
    CLEANUP(bytes_done) struct bytes json = BYTES_INIT;
    struct error e = *error;
    error_context(&e, e.code, "what it did cannot be stored");
    run_write_error(r, &e, SLICE_EMPTY, SLICE_EMPTY, &json);
    run_push_failure(r, bytes_slice(&json));
}

/* Is there more to be stored than may wait, or to be replayed than is here? */
bool run_has_to_stand(struct activation *a)
{
    const struct run *r = run_of(a);
    return execution_is_full(r->x) || execution_is_behind(r->x);
}

void run_stored(struct activation *a, struct activation_commit *commit)
{
    struct run *r = run_of(a);
    struct run_commit *c = commit_of(commit);
    r->stored = c->end;
    metric_add(&a->env->metrics->records, (uint64_t)(c->end - c->first));
    if (c->has_snapshot)
        metric_add(&a->env->metrics->snapshots_taken, 1);
    /* An event of its own making (a child that had ended before it was started) nobody tells of. */
    if (c->note && c->note->is_suspended && commit->op.number > c->events_seen)
        c->note->wake_us = 0;
    if (c->note)
        director_send(TAKE(c->note));
    if (c->expected.len > 0 && !a->flow->is_draining)
        run_verify(r, c->end, bytes_slice(&c->expected));
    if (c->sets_status && durable_is_finished(c->status)) /* its tail is of no use any more */
        a->env->place->tail_forget(a->slot, r->tail.name);
    if (r->x)
        execution_committed(r->x, r->stored, c->effect_bytes);
    run_charge(r);
    commit_free(c);
}

/* ---- to the store ---- */

static struct store_step step_of_effect(const struct execution_effect *e)
{
    struct slice rest = e->target, module;
    switch (e->kind) {
    case EXECUTION_START_CHILD:
        module = slice_split(&rest, '.');
        return (struct store_step){.kind = STORE_STEP_CHILD,
                                   .child = {e->id, module, rest, e->name, e->value}};
    case EXECUTION_SEND_SIGNAL:
        return (struct store_step){.kind = STORE_STEP_MESSAGE,
                                   .message = {e->target, e->name, e->value, e->id}};
    case EXECUTION_CANCEL_CHILD:
        return (struct store_step){.kind = STORE_STEP_MESSAGE, .message.execution = e->target};
    case EXECUTION_PUBLISH:
        return (struct store_step){.kind = STORE_STEP_PROGRESS, .progress = {e->value}};
    case EXECUTION_KV_PUT:
        return (struct store_step){.kind = STORE_STEP_KV_PUT,
                                   .kv_put = {e->number, e->name, e->target, e->value, e->at_us}};
    case EXECUTION_KV_DELETE:
        return (struct store_step){.kind = STORE_STEP_KV_DELETE, .kv_delete = {e->number, e->name}};
    case EXECUTION_LOG:
        break;
    }
    return (struct store_step){.kind = STORE_STEP_LOG, .log = {e->level, e->at_us, e->value}};
}

/* What the batch has, in the order of mutations.def. */
static size_t steps_of_batch(const struct run_commit *c, struct store_step *steps)
{
    const struct execution_batch *b = c->batch;
    size_t len = 0;
    bool has_logs = false;
    if (b->count > 0)
        steps[len++] = (struct store_step){.kind = STORE_STEP_APPEND,
                                           .append = {b->count, bytes_slice(&b->records)}};
    for (size_t k = 0; k < b->effects_len; k++) {
        has_logs |= b->effects[k].kind == EXECUTION_LOG;
        steps[len++] = step_of_effect(&b->effects[k]);
    }
    for (size_t k = 0; k < b->signals_len; k++)
        steps[len++] =
            (struct store_step){.kind = STORE_STEP_SIGNAL_TAKEN, .signal_taken = {b->signals[k]}};
    if (b->is_cancel)
        steps[len++] = (struct store_step){.kind = STORE_STEP_CANCEL_CHILDREN};
    if (has_logs && c->lines != 0)
        steps[len++] = (struct store_step){.kind = STORE_STEP_LINES, .lines = {c->lines}};
    return len;
}

static struct store_step status_step(const struct run *r, const struct run_commit *c)
{
    const struct execution_batch *b = c->batch;
    struct store_step s = {.kind = STORE_STEP_STATUS,
                           .status = {.status = c->status,
                                      .wake_us = c->wake_us,
                                      .events_seen = r->events_seen,
                                      .error = bytes_slice(&c->error)}};
    if (b && b->is_end && b->end_status == OK)
        s.status.output = bytes_slice(&b->end_value);
    else if (b && b->is_end)
        s.status.error = bytes_slice(&b->end_value);
    return s;
}

void run_submit(struct activation *a, struct activation_commit *commit)
{
    enum {
        OTHER_STEPS = 5
    }; /* beside effects and signals: append, cancel, lines, snapshot, status */
    struct run *r = run_of(a);
    struct run_commit *c = commit_of(commit);
    struct execution_batch *b = c->batch;
    size_t max = OTHER_STEPS + (b ? b->effects_len + b->signals_len : 0), len = 0;
    struct store_step few[16], *steps = few;
    struct arena *arena = NULL;
    if (max > ARRAY_LEN(few)) {
        arena = arena_new(NULL);
        steps = arena_array(arena, max, sizeof(*steps));
    }
    if (b)
        len = steps_of_batch(c, steps);
    if (c->snapshot.len > 0)
        steps[len++] = (struct store_step){.kind = STORE_STEP_SNAPSHOT,
                                           .snapshot = {bytes_slice(&c->snapshot)}};
    if (c->sets_status)
        steps[len++] = status_step(r, c);
    c->events_seen = r->events_seen;
    c->note = note_of(r, c);
    store_durable_commit(a->env->store, &c->c.op, slice_cstr(a->key), c->first, steps, len);
    arena_free(arena);
    /* The store has copied it: what waits is held once. */
    execution_batch_free(TAKE(c->batch));
    c->has_snapshot = c->snapshot.len > 0;
    bytes_done(&c->snapshot);
    bytes_done(&c->error);
}

static struct run_commit *commit_new(struct run *r)
{
    struct run_commit *c = calloc(1, sizeof(*c));
    CHECK(c);
    c->wake_us = EXECUTION_NEVER;
    c->first = c->end = execution_durable(r->x);
    c->lines = r->a.guest ? r->a.guest->durable->lines : 0;
    c->c.gate_seq = r->tail.gate_seq; /* an earlier life's, which may not have synced it */
    if (r->a.guest && r->a.guest->sql.file && (int64_t)r->a.guest->sql.gate_seq > c->c.gate_seq)
        c->c.gate_seq = (int64_t)r->a.guest->sql.gate_seq;
    return c;
}

static enum durable_status end_status(uint32_t status)
{
    if (status == OK)
        return DURABLE_COMPLETED;
    return status == ERR_CANCELLED ? DURABLE_CANCELLED : DURABLE_FAILED;
}

void run_charge(struct run *r)
{
    struct account *of = r->a.deployment->account;
    size_t now = r->saved.cap + r->tail.records.cap + (r->x ? execution_unstored_bytes(r->x) : 0);
    size_t change = now > r->charged ? now - r->charged : r->charged - now;
    if (!of || change == 0 || (change < CHARGE_GRAIN_BYTES && now > 0))
        return;
    if (now > r->charged)
        budget_force(&of->budgets[RESOURCE_MEMORY], change);
    else
        budget_give(&of->budgets[RESOURCE_MEMORY], change);
    r->charged = now;
}

/* Its module has no memory left: what can be stored is, before there is more. */
static bool run_is_short(const struct run *r)
{
    const struct account *of = r->a.deployment->account;
    return r->charged > 0 && of && budget_left(&of->budgets[RESOURCE_MEMORY]) == 0;
}

void run_collect(struct activation *a)
{
    struct run *r = run_of(a);
    if (!execution_has_batch(r->x))
        return;
    struct run_commit *c = commit_new(r);
    struct execution_batch *b = c->batch = execution_take(r->x);
    c->first = b->first;
    c->end = b->first + b->count;
    c->effect_bytes = b->effect_bytes;
    if (b->is_end) {
        c->sets_status = true;
        c->status = end_status(b->end_status);
        if (r->a.env->shared->verifies_replay)
            bytes_append_slice(&c->expected, bytes_slice(&b->end_value));
    } else if (!r->says_running) {
        c->sets_status = true;
        c->status = DURABLE_RUNNING;
        r->says_running = true;
    }
    activation_push(&r->a, &c->c);
}

/* Its code runs on without having come to rest, so what there is is stored now. In a transaction
 * nothing may be: its records belong to it, and it cannot stand still. */
bool run_may_go_on(struct activation *a)
{
    struct run *r = run_of(a);
    run_charge(r);
    if (execution_is_behind(r->x))
        return false;
    if (r->check || execution_state(r->x) != EXECUTION_IS_LIVE || a->guest->sql.depth > 0)
        return true;
    bool is_short = run_is_short(r);
    if (is_short || execution_unstored_bytes(r->x) > RUN_COLLECT_BYTES)
        run_collect(a);
    return !(is_short || execution_is_full(r->x)) || activation_is_settled(a);
}

/* ---- leaving ---- */

uint64_t run_snapshot_sum(struct slice parts)
{
    struct record_hash h;
    record_hash_init(&h, 0);
    record_hash_add(&h, parts);
    return record_hash_end(&h);
}

void run_leave(struct activation *a)
{
    struct run *r = run_of(a);
    struct run_commit *c = commit_new(r);
    struct error e;
    if (execution_has_batch(r->x)) {
        c->batch = execution_take(r->x);
        c->effect_bytes = c->batch->effect_bytes;
    }
    c->end = execution_end(r->x);
    c->first = c->batch ? c->batch->first : c->end;
    c->sets_status = true;
    c->status = DURABLE_SUSPENDED;
    c->wake_us = execution_wake_us(r->x);
    int64_t after = r->a.env->shared->snapshot_after;
    /* What code has seen of a secret may be anywhere in its memory; it is replayed instead. */
    if (c->end - r->snapshot_records >= after && !r->a.guest->durable->has_secret) {
        CLEANUP(bytes_done) struct bytes state = BYTES_INIT;
        execution_save(r->x, &state);
        bytes_append_u64(&c->snapshot, 0); /* its sum, below */
        bytes_append_lstr(&c->snapshot, bytes_slice(&state));
        enum err err = r->a.env->isolates->save(r->a.guest, &c->snapshot, &e);
        if (err == OK && c->snapshot.len > RUN_SNAPSHOT_BYTES_MAX)
            err = error_set(&e, ERR_TOO_LARGE, "its memory takes %zu bytes", c->snapshot.len);
        if (err != OK) { /* then by replay */
            log_debug("no snapshot", LOG_STR("execution", r->a.key), LOG_STR("error", e.message));
            bytes_done(&c->snapshot);
        } else {
            uint64_t sum = run_snapshot_sum(slice_skip(bytes_slice(&c->snapshot), sizeof(sum)));
            memcpy(c->snapshot.ptr, &sum, sizeof(sum));
        }
    }
    if (r->a.env->shared->verifies_replay)
        execution_describe(r->x, &c->expected);
    activation_push(&r->a, &c->c);
}

void run_push_failure(struct run *r, struct slice error_json)
{
    struct run_commit *c = commit_new(r);
    c->first = c->end = r->stored;
    c->sets_status = true;
    c->status = DURABLE_FAILED;
    bytes_append_slice(&c->error, error_json);
    activation_push(&r->a, &c->c);
}
