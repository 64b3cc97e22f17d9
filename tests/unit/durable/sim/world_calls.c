/* SPDX-License-Identifier: Apache-2.0
 *
 * What the code asks for: ops that are over at once, bodies of steps, calls that are completed later.
 * The host's and the server's part of the contract, as small as it can be: requests wait until what
 * they depend on is durable, SQL commits with the records that are not stored yet. */
#include "sim/world_internal.h"

enum { ATTEMPT_TIMEOUT_US = 5000 * ONE_MS };

/* ---- what the guest asks for ---- */

static void effect(struct world *w, enum guest_op op, uint64_t path, uint64_t in)
{
    const struct model_row row = {op == GUEST_LOG ? path : child_id(path), in};
    const struct execution_effect e = {
        .kind = op == GUEST_LOG ? EXECUTION_LOG : EXECUTION_START_CHILD, .value = slice_row(&row)};
    if (op == GUEST_LOG || op == GUEST_CHILD_START)
        execution_effect(w->x, &e);
}

/* Rows of records may overlap; they are equal then. Those that the store has may be missing. */
static void db_put(struct world *w, int64_t first, struct slice records)
{
    struct db *db = &w->db;
    const int64_t end = db->tail_first + record_count(bytes_slice(&db->tail));
    if (first > end && first > w->store.count)
        world_fails(w, "records %" PRId64 " to %" PRId64 " are nowhere", end, first);
    if (first < db->tail_first || first > end) {
        bytes_clear(&db->tail);
        db->tail_first = first;
    }
    const struct slice known = record_prefix(bytes_slice(&db->tail), first - db->tail_first);
    const struct slice again = slice_skip(bytes_slice(&db->tail), known.len);
    if (again.len > records.len || (again.len && memcmp(again.ptr, records.ptr, again.len) != 0))
        world_fails(w, "records from %" PRId64 " are not the same in the database", first);
    db->tail.len = known.len;
    bytes_append_slice(&db->tail, records);
}

/* The op's record and the row in one transaction. */
static void sql_commit(struct world *w, uint64_t digest, uint64_t path, uint64_t in, uint64_t value)
{
    int64_t first;
    if (world_boundary(w))
        return;
    execution_sync_done(w->x, GUEST_SQL, digest, slice_cstr("sql"), OK, slice_u64(&value));
    const struct slice tail = execution_tail(w->x, &first);
    if (record_count(tail) != execution_end(w->x) - first || w->db.rows_len == MODEL_EVENTS_MAX) {
        world_fails(w, "the tail is not all that is not stored");
        return;
    }
    db_put(w, first, tail);
    execution_kept(w->x);
    w->db.rows[w->db.rows_len++] = (struct model_row){path, in};
    SAY(w, "db: commits with records from %" PRId64, first);
    (void)world_boundary(w);
}

static uint64_t sync_value(struct world *w, enum guest_op op, uint64_t path)
{
    if (w->program.is_pure || op == GUEST_LOG || op == GUEST_CHILD_START)
        return mix(path, op);
    return op == GUEST_SQL ? w->db.rows_len : dice_roll(&w->dice);
}

static uint32_t host_sync(void *ctx, enum guest_op op, uint64_t path, uint64_t in,
                          uint64_t *ret_value)
{
    struct world *w = ctx;
    const uint64_t digest = call_digest(op, path, in);
    const struct slice label = slice_cstr(world_op_text(op));
    struct execution_result r;
    switch (execution_sync(w->x, op, digest, label, &r)) {
    case EXECUTION_DIVERGED:
        world_fails(w, "a sync op diverged: %s", execution_error(w->x)->message);
        return OK;
    case EXECUTION_REPLAYED:
        memcpy(ret_value, r.payload.ptr, sizeof(*ret_value));
        if (execution_is_tail(w->x)) {
            w->stats->replayed_tails++;
            effect(w, op, path, in);
        }
        return r.status;
    case EXECUTION_LIVE:
        break;
    }
    *ret_value = sync_value(w, op, path);
    const bool is_effect_first = percent(w, 50);
    if (is_effect_first)
        effect(w, op, path, in);
    if (op == GUEST_SQL)
        sql_commit(w, digest, path, in, *ret_value);
    else
        execution_sync_done(w->x, op, digest, label, OK, slice_u64(ret_value));
    if (!is_effect_first)
        effect(w, op, path, in);
    return OK;
}

/* ---- bodies of steps ---- */

enum body_mode world_body_mode(uint64_t path, bool has_timeout, uint32_t attempt)
{
    if (attempt > 4)
        return BODY_WORKS; /* of those that are tried without end */
    switch (mix(path, attempt + 100) % 16) {
    case 0:
    case 1:
    case 2:
        return BODY_WORKS_AT_ONCE;
    case 3:
    case 4:
        return BODY_FAILS;
    case 5:
    case 6:
        return BODY_FAILS_AT_ONCE;
    case 7:
        return has_timeout ? BODY_HANGS : BODY_WORKS;
    case 8:
        return BODY_IS_FINAL;
    default:
        return BODY_WORKS;
    }
}

void world_seen_add(struct world *w, struct seen *s, uint64_t path, uint64_t in)
{
    if (s->count > 0 && (s->path != path || s->in != in))
        world_fails(w, "an idempotency key was used for two things");
    *s = (struct seen){path, in, s->count + 1};
}

void world_body_end(struct world *w, uint32_t scope, uint32_t id, uint32_t attempt, uint64_t path,
                    enum body_mode mode)
{
    const bool works = mode == BODY_WORKS || mode == BODY_WORKS_AT_ONCE;
    const uint64_t value = mix(path, works ? 200 : 300 + attempt);
    w->stats->retries += !works;
    if (mode == BODY_WORKS)
        world_seen_add(w, &w->steps_seen[id], path, 0);
    if (world_boundary(w))
        return;
    SAY(w, "body of %u, attempt %u: %s", id, attempt, works ? "works" : "fails");
    execution_step_done(w->x, scope, works ? OK : ERR_GUEST, mode == BODY_IS_FINAL,
                        slice_u64(&value), SLICE_LIT("it failed"));
}

/* When attempt `failed` of the step failed, when was the next one to be? */
static int64_t attempt_due(struct world *w, uint32_t id, uint32_t failed)
{
    int64_t first, due_us = 0;
    const struct slice unstored = execution_tail(w->x, &first);
    struct slice parts[] = {bytes_slice(&w->store.journal), bytes_slice(&w->db.tail), unstored};
    struct record r;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        while (parts[i].len > 0 && record_take(&parts[i], &r, NULL) == OK)
            if (r.kind == RECORD_ATTEMPT && r.id == id && (uint32_t)r.payload.ptr[0] == failed)
                memcpy(&due_us, r.payload.ptr + sizeof(failed), sizeof(due_us));
    return due_us;
}

/* Is it right that this attempt begins now? */
static void judge_attempt(struct world *w, uint32_t id, uint32_t attempt,
                          const struct guest_made *made)
{
    for (size_t i = 0; i < WORLD_BODIES_MAX; i++)
        if (w->bodies[i].is_used && w->bodies[i].id == id && !w->bodies[i].is_over)
            world_fails(w, "two attempts of step %u run at once", id);
    if (attempt == 1)
        return;
    const enum body_mode before = world_body_mode(made->path, made->has_timeout, attempt - 1);
    const int64_t due_us = attempt_due(w, id, attempt - 1);
    if (before != BODY_FAILS && before != BODY_FAILS_AT_ONCE && before != BODY_HANGS)
        world_fails(w, "step %u is tried again without a reason", id);
    if (due_us == 0 || due_us > w->now_us)
        world_fails(w, "attempt %u of step %u begins too early or was not recorded", attempt, id);
}

void world_body_start(struct world *w, uint32_t scope, uint32_t id, uint32_t attempt,
                      const struct guest_made *made)
{
    const enum body_mode mode = world_body_mode(made->path, made->has_timeout, attempt);
    if (execution_scope_step(w->x, scope) != id)
        world_fails(w, "a scope is not its step's");
    judge_attempt(w, id, attempt, made);
    if (mode == BODY_WORKS_AT_ONCE || mode == BODY_FAILS_AT_ONCE) {
        world_body_end(w, scope, id, attempt, made->path, mode);
        return;
    }
    for (size_t i = 0; i < WORLD_BODIES_MAX; i++) {
        struct body *b = &w->bodies[i];
        if (b->is_used && b->scope == scope)
            world_fails(w, "a scope is used twice");
        if (b->is_used)
            continue;
        *b = (struct body){.is_used = true,
                           .scope = scope,
                           .id = id,
                           .attempt = attempt,
                           .gate = execution_end(w->x),
                           .due_us = w->now_us + (int64_t)dice_below(&w->dice, 20) * ONE_MS,
                           .path = made->path,
                           .mode = mode};
        if (mode == BODY_HANGS)
            b->due_us = EXECUTION_NEVER;
        return;
    }
    world_fails(w, "too many bodies");
}

static void port_scope_over(void *ctx, uint32_t scope)
{
    struct world *w = ctx;
    for (size_t i = 0; i < WORLD_BODIES_MAX; i++) {
        struct body *b = &w->bodies[i];
        if (!b->is_used || b->scope != scope)
            continue;
        w->stats->zombies++;
        b->is_over = true; /* its code goes on for a while */
        b->due_us = w->now_us + (int64_t)dice_below(&w->dice, 500) * ONE_MS;
        b->gate = 0;
        if (b->due_us - w->now_us < 50 * ONE_MS) {
            b->is_used = false;
            execution_step_done(w->x, scope, ERR_GUEST, false, SLICE_EMPTY, SLICE_EMPTY);
        }
    }
}

/* ---- calls ---- */

static void port_start(void *ctx, uint32_t id, uint32_t op, struct slice args)
{
    struct world *w = ctx;
    struct model_row row;
    struct request *r = &w->requests[id];
    if (op != GUEST_FETCH || args.len != sizeof(row) || r->is_wanted) {
        world_fails(w, "call %u was started twice or wrongly", id);
        return;
    }
    memcpy(&row, args.ptr, sizeof(row));
    *r = (struct request){.is_wanted = true,
                          .answers = percent(w, 20) ? 2 : 1,
                          .gate = execution_end(w->x),
                          .path = row.path,
                          .in = row.in};
}

static void port_stop(void *ctx, uint32_t id)
{
    struct world *w = ctx;
    if (!w->requests[id].is_wanted)
        world_fails(w, "call %u was stopped, but is not started", id);
    w->requests[id].is_wanted = false;
}

static enum execution_kind kind_of(enum guest_op op)
{
    switch (op) {
    case GUEST_TIMER:
        return EXECUTION_TIMER;
    case GUEST_STEP:
        return EXECUTION_STEP;
    case GUEST_EVENT:
        return EXECUTION_EVENT;
    case GUEST_CHILD_RESULT:
        return EXECUTION_CHILD_RESULT;
    default:
        return EXECUTION_EXTERNAL;
    }
}

enum err world_make_call(struct execution *x, const struct guest_call *call, uint32_t *ret_id,
                         uint32_t *ret_scope)
{
    static const char *const names[GUEST_NAMES] = {"go", "stop"};
    const struct model_row row = {call->path, call->in};
    const uint64_t child = child_id(call->path);
    struct error error;
    const struct execution_call c = {
        .kind = kind_of(call->op),
        .op = call->op,
        .digest = call_digest(call->op, call->path, call->in),
        .label = slice_cstr(world_op_text(call->op)),
        .args = slice_row(&row),
        .delay_us = call->delay_us,
        .name = call->op == GUEST_CHILD_RESULT ? slice_u64(&child) : slice_cstr(names[call->name]),
        .retry = {.attempts_max = call->attempts_max,
                  .delay_us = (int64_t)(call->path % 5) * ONE_MS,
                  .factor = 2,
                  .delay_max_us = 20 * ONE_MS,
                  .timeout_us = call->has_timeout ? ATTEMPT_TIMEOUT_US : EXECUTION_NEVER}};
    return execution_call(x, &c, ret_id, ret_scope, &error);
}

static enum err host_call(void *ctx, const struct guest_call *call, uint32_t *ret_id)
{
    struct world *w = ctx;
    uint32_t scope;
    const enum err err = world_make_call(w->x, call, ret_id, &scope);
    if (err == ERR_DIVERGED)
        world_fails(w, "a call diverged");
    SAY(w, "calls %s %u%s", world_op_text(call->op), *ret_id, scope ? ", runs" : "");
    if (err == OK)
        w->event_names[*ret_id] = call->op == GUEST_EVENT ? call->name + 1 : 0;
    if (err == OK && scope)
        world_body_start(w, scope, *ret_id, 1,
                         &(const struct guest_made){call->path, call->has_timeout});
    return err;
}

/* A wait for an event is withdrawn, perhaps while a signal is on its way to it. */
static void note_withdrawn(struct world *w, uint32_t id)
{
    const struct store *s = &w->store;
    if (w->event_names[id] == 0)
        return;
    w->stats->withdrawn++;
    for (int64_t seq = 1; seq <= w->signals_passed; seq++)
        if (!s->signals[seq].is_consumed && s->signals[seq].name + 1 == w->event_names[id]) {
            w->stats->withdrawn_late++;
            return;
        }
}

static void host_cancel_call(void *ctx, uint32_t id)
{
    struct world *w = ctx;
    SAY(w, "gives up %u", id);
    note_withdrawn(w, id);
    execution_cancel_call(w->x, id);
}

static void host_finish(void *ctx, uint32_t status, uint64_t value)
{
    struct world *w = ctx;
    SAY(w, "ends with %u", status);
    execution_finish(w->x, status, slice_u64(&value));
}

static int64_t host_now_us(void *ctx)
{
    return execution_now_us(((struct world *)ctx)->x);
}

static int64_t port_now_us(void *ctx)
{
    return ((struct world *)ctx)->now_us;
}

static void port_runnable(void *ctx)
{
    ((struct world *)ctx)->is_runnable = true;
}

void world_calls_init(struct world *w)
{
    w->port = (struct execution_port){.ctx = w,
                                      .now_us = port_now_us,
                                      .read = world_read,
                                      .start = port_start,
                                      .stop = port_stop,
                                      .scope_over = port_scope_over,
                                      .runnable = port_runnable,
                                      .op_text = world_op_text};
    w->host = (struct guest_host){.ctx = w,
                                  .sync = host_sync,
                                  .call = host_call,
                                  .cancel_call = host_cancel_call,
                                  .finish = host_finish,
                                  .now_us = host_now_us};
}
