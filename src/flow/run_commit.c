/* SPDX-License-Identifier: Apache-2.0
 *
 * From what an execution has to have stored to the store's answer. Commits of one run go to the
 * store in order, several at a time; one whose records tell of a commit in the module's database
 * waits until that is on disk (a record that survives must not outlive its effect), and those
 * behind it wait too. When one is refused, what the code has done since is void: the run begins
 * again from its journal, or is forgotten if it is someone else's. */
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
    struct list link; /* run->outbox */
    struct store_op op;
    struct run *run;
    struct execution_batch *batch; /* NULL: status only, or the store has its copy */
    bool sets_status;
    enum durable_status status;
    int64_t first, end;
    size_t effect_bytes;        /* of the batch */
    struct director_note *note; /* what others are told when it is stored; NULL: nothing */
    int64_t wake_us;
    int64_t lines;
    int64_t gate_seq; /* of the module's database; 0: none */
    struct bytes snapshot, error;
    bool has_snapshot;
    struct bytes expected; /* --verify-replay */
};

static void commit_free(struct run_commit *c)
{
    execution_batch_free(c->batch);
    free(c->note);
    bytes_done(&c->snapshot);
    bytes_done(&c->error);
    bytes_done(&c->expected);
    free(c);
}

bool run_is_settled(const struct run *r)
{
    return r->in_flight == 0 && list_is_empty(&r->outbox) && !r->is_gated;
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
    struct director_note *n = director_note_new(r->env->shared, r->id, targets);
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

static void drop_outbox(struct run *r)
{
    LIST_FOREACH (n, &r->outbox)
        commit_free(container_of(n, struct run_commit, link));
    list_init(&r->outbox);
}

/* The store will never take it, and the code would come to the same again. */
static void fail_for_ever(struct run *r, const struct error *error)
{
    CLEANUP(bytes_done) struct bytes json = BYTES_INIT;
    struct error e = *error;
    error_context(&e, e.code, "what it did cannot be stored");
    if (r->has_failed) { /* nor that it has failed: a restart tries again */
        log_error("an execution is left as it is", LOG_STR("execution", r->id),
                  LOG_STR("error", e.message));
        run_forget(r);
        return;
    }
    run_write_error(r, &e, SLICE_EMPTY, SLICE_EMPTY, &json);
    run_fail(r, bytes_slice(&json));
}

/* What a refusal means:
 *
 *     the execution or the store is not ours any more    it is forgotten
 *     the disk fails, somebody else has changed it, a    again from its journal, after a while
 *     receiver takes no signals: that can pass           (run_rest bounds the last two)
 *     anything else                                      it fails, with the reason */
static void refused(struct run *r, const struct error *error)
{
    run_end_guest(r);
    if (r->stage == RUN_RESTING)
        flow_timer_stop(r->env, &r->timer);
    r->stage = RUN_LEAVING;
    r->failure = *error;
    drop_outbox(r);
    if (!run_is_settled(r))
        return; /* here again with the last of them, or when the gate opens */
    bool is_lost = error->code == ERR_NOT_FOUND || error->code == ERR_FENCED;
    if (is_lost || r->flow->is_draining)
        run_forget(r);
    else if (error_is_retryable(error->code) || error->code == ERR_CONFLICT)
        run_rest(r, error);
    else
        fail_for_ever(r, error);
}

/* Is there more to be stored than may wait, or to be replayed than is here? */
static bool has_to_stand(const struct run *r)
{
    return execution_is_full(r->x) || execution_is_behind(r->x);
}

void run_go_on(struct run *r, bool pokes)
{
    bool was_standing = r->is_standing;
    if (was_standing && has_to_stand(r))
        return;
    r->is_standing = false;
    if (was_standing)
        r->env->place->runnable(r->env->ctx, r->guest);
    if (pokes)
        guest_poke(r->guest);
}

static void committed(struct store_op *op)
{
    struct run_commit *c = container_of(op, struct run_commit, op);
    struct run *r = c->run;
    r->in_flight--;
    if (op->error.code != OK) {
        struct error e = op->error;
        commit_free(c);
        refused(r, &e);
        return;
    }
    r->stored = c->end;
    r->failures = 0;
    metric_add(&r->env->metrics->records, (uint64_t)(c->end - c->first));
    if (c->has_snapshot)
        metric_add(&r->env->metrics->snapshots_taken, 1);
    if (c->note)
        director_send(TAKE(c->note));
    bool is_finished = c->sets_status && durable_is_finished(c->status);
    size_t effect_bytes = c->effect_bytes;
    if (c->expected.len > 0 && !r->flow->is_draining)
        run_verify(r, bytes_slice(&c->expected));
    commit_free(c);
    if (is_finished)
        r->env->place->tail_forget(r->slot, r->tail.name);
    if (r->x)
        execution_committed(r->x, r->stored, effect_bytes);
    run_charge(r);
    if (r->guest && r->stage == RUN_ACTIVE) {
        guest_committed(r->guest);
        run_go_on(r, false);
        run_look_for_children(r);
        run_settle(r);
    } else if (r->stage == RUN_LEAVING && run_is_settled(r) && r->failure.code != OK) {
        struct error e = r->failure;
        refused(r, &e); /* the ones before what failed were still good */
    } else if (r->stage == RUN_LEAVING && run_is_settled(r)) {
        run_forget(r);
    }
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

static void submit(struct run *r, struct run_commit *c)
{
    enum {
        OTHER_STEPS = 5
    }; /* beside effects and signals: append, cancel, lines, snapshot, status */
    struct execution_batch *b = c->batch;
    size_t max = OTHER_STEPS + (b ? b->effects_len + b->signals_len : 0), len = 0;
    struct store_step few[16], *steps = few;
    struct arena *a = NULL;
    if (max > ARRAY_LEN(few)) {
        a = arena_new(NULL);
        steps = arena_array(a, max, sizeof(*steps));
    }
    if (b)
        len = steps_of_batch(c, steps);
    if (c->snapshot.len > 0)
        steps[len++] = (struct store_step){.kind = STORE_STEP_SNAPSHOT,
                                           .snapshot = {bytes_slice(&c->snapshot)}};
    if (c->sets_status)
        steps[len++] = status_step(r, c);
    c->op.loop = r->env->loop;
    c->op.done = committed;
    r->in_flight++;
    c->note = note_of(r, c);
    store_durable_commit(r->env->store, &c->op, slice_cstr(r->id), c->first, steps, len);
    arena_free(a);
    /* The store has copied it: what waits is held once. */
    execution_batch_free(TAKE(c->batch));
    c->has_snapshot = c->snapshot.len > 0;
    bytes_done(&c->snapshot);
    bytes_done(&c->error);
}

static void pump(struct run *r);

static void gate_open(struct sql_gate_wait *w, const struct error *error)
{
    struct run *r = container_of(w, struct run, gate);
    struct error e = error->code != OK ? *error : r->failure;
    r->is_gated = false;
    if (e.code != OK)
        refused(r, &e);
    else
        pump(r);
}

static void pump(struct run *r)
{
    while (!r->is_gated && !list_is_empty(&r->outbox)) {
        struct run_commit *c = container_of(r->outbox.next, struct run_commit, link);
        if (c->gate_seq > 0 && !r->env->place->gate_is_open(r->slot, c->gate_seq)) {
            r->is_gated = true;
            r->gate = (struct sql_gate_wait){.done = gate_open, .seq = (uint64_t)c->gate_seq};
            r->env->place->gate_wait(r->slot, &r->gate);
            return;
        }
        list_remove(&c->link);
        submit(r, c);
    }
}

static void push(struct run *r, struct run_commit *c)
{
    c->run = r;
    list_push_back(&r->outbox, &c->link);
    pump(r);
}

static struct run_commit *commit_new(struct run *r)
{
    struct run_commit *c = calloc(1, sizeof(*c));
    CHECK(c);
    c->wake_us = EXECUTION_NEVER;
    c->first = c->end = execution_durable(r->x);
    c->lines = r->guest ? r->guest->durable->lines : 0;
    if (r->guest && r->guest->sql.file)
        c->gate_seq = (int64_t)r->guest->sql.gate_seq;
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
    struct account *of = r->deployment->account;
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
    const struct account *of = r->deployment->account;
    return r->charged > 0 && of && budget_left(&of->budgets[RESOURCE_MEMORY]) == 0;
}

void run_collect(struct run *r)
{
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
        if (r->env->shared->verifies_replay)
            bytes_append_slice(&c->expected, bytes_slice(&b->end_value));
    } else if (!r->says_running) {
        c->sets_status = true;
        c->status = DURABLE_RUNNING;
        r->says_running = true;
    }
    push(r, c);
}

/* Its code runs on without having come to rest, so what there is is stored now. In a transaction
 * nothing may be: its records belong to it, and it cannot stand still. */
bool run_may_go_on(struct guest *g)
{
    struct run *r = g->run;
    run_charge(r);
    if (execution_is_behind(r->x)) {
        r->is_standing = true;
        return false;
    }
    if (r->check || execution_state(r->x) != EXECUTION_IS_LIVE || g->sql.depth > 0)
        return true;
    bool is_short = run_is_short(r);
    if (is_short || execution_unstored_bytes(r->x) > RUN_COLLECT_BYTES)
        run_collect(r);
    r->is_standing = (is_short || execution_is_full(r->x)) && !run_is_settled(r);
    return !r->is_standing;
}

/* ---- leaving ---- */

uint64_t run_snapshot_sum(struct slice parts)
{
    struct record_hash h;
    record_hash_init(&h, 0);
    record_hash_add(&h, parts);
    return record_hash_end(&h);
}

void run_suspend(struct run *r)
{
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
    int64_t after = r->env->shared->snapshot_after;
    /* What code has seen of a secret may be anywhere in its memory; it is replayed instead. */
    if (c->end - r->snapshot_records >= after && !r->guest->durable->has_secret) {
        CLEANUP(bytes_done) struct bytes state = BYTES_INIT;
        execution_save(r->x, &state);
        bytes_append_u64(&c->snapshot, 0); /* its sum, below */
        bytes_append_lstr(&c->snapshot, bytes_slice(&state));
        enum err err = r->env->isolates->save(r->guest, &c->snapshot, &e);
        if (err == OK && c->snapshot.len > RUN_SNAPSHOT_BYTES_MAX)
            err = error_set(&e, ERR_TOO_LARGE, "its memory takes %zu bytes", c->snapshot.len);
        if (err != OK) { /* then by replay */
            log_debug("no snapshot", LOG_STR("execution", r->id), LOG_STR("error", e.message));
            bytes_done(&c->snapshot);
        } else {
            uint64_t sum = run_snapshot_sum(slice_skip(bytes_slice(&c->snapshot), sizeof(sum)));
            memcpy(c->snapshot.ptr, &sum, sizeof(sum));
        }
    }
    if (r->env->shared->verifies_replay)
        execution_describe(r->x, &c->expected);
    r->stage = RUN_LEAVING;
    run_end_guest(r);
    push(r, c);
}

void run_fail(struct run *r, struct slice error_json)
{
    struct run_commit *c = commit_new(r);
    r->has_failed = true;
    c->first = c->end = r->stored;
    c->sets_status = true;
    c->status = DURABLE_FAILED;
    bytes_append_slice(&c->error, error_json);
    push(r, c);
}
