/* SPDX-License-Identifier: Apache-2.0
 *
 * The host's and the server's part of the contract is here too, as small as it can be: requests
 * wait until what they depend on is durable, SQL commits with the records that are not stored yet,
 * batches go to the store in order. */
#include <inttypes.h>
#include <stdlib.h>

#include "durable/execution.h"
#include "sim/world.h"

enum {
    ONE_MS = 1000,
    ATTEMPT_TIMEOUT_US = 5000 * ONE_MS,
    ACTIONS_MAX = 100000,
    CHUNK_RECORDS = 7,
};

struct request { /* an external call, on its way */
    bool is_wanted, is_sent, is_answered;
    uint32_t answers; /* still to come */
    int64_t gate, due_us;
    uint64_t path, in;
};

struct body { /* of a step; is_over: its scope is, but the code goes on */
    bool is_used, is_over;
    uint32_t scope, id, attempt;
    int64_t gate, due_us;
    uint64_t path;
    enum body_mode {
        BODY_WORKS,
        BODY_WORKS_AT_ONCE, /* before the call of the step returns: it asks nobody */
        BODY_FAILS,
        BODY_FAILS_AT_ONCE,
        BODY_IS_FINAL,
        BODY_HANGS,
    } mode;
};

struct seen { /* by the server out there, under one idempotency key */
    uint64_t path, in, count;
};

struct store {
    struct bytes journal;
    int64_t count;
    bool has_ended;
    uint32_t end_status;
    uint64_t end_value;
    struct model_row logs[MODEL_EVENTS_MAX];
    size_t logs_len;
    struct child {
        uint64_t id, in;
        bool has_ended;
    } children[MODEL_EVENTS_MAX];
    size_t children_len;
    struct {
        int64_t at_us;
        uint32_t name;
        bool is_consumed;
    } signals[WORLD_SIGNALS_MAX + 1]; /* by seq */
    int64_t signals_len;
    bool is_cancel_asked;
    uint64_t events;
    struct bytes saved; /* a snapshot: of the execution, and */
    struct guest saved_guest;
    int64_t saved_count;
    int64_t wake_us; /* when suspended */
    uint64_t wake_events;
};

struct db {
    struct model_row rows[MODEL_EVENTS_MAX];
    size_t rows_len;
    struct bytes tail; /* all records that were ever put here, gapless from tail_first */
    int64_t tail_first;
};

struct flight {                    /* a commit on its way to the store */
    struct execution_batch *batch; /* NULL: only */
    bool is_leaving;               /* the execution has left memory with it */
    int64_t wake_us;
    uint64_t events_seen;
    struct bytes saved; /* with leaving_guest */
};

struct world {
    const struct world_options *options;
    struct world_stats *stats;
    struct dice dice;
    struct program program;
    struct execution_port port;
    int64_t now_us;
    char failure[2048];
    bool has_failed;
    uint64_t boundaries, crashes, refusals;
    bool is_dead;

    struct execution *x; /* NULL: not in memory */
    struct guest guest;
    struct guest_host host;
    bool has_started, is_runnable, is_cancel_passed;
    uint64_t events_seen;
    int64_t signals_passed;
    struct request requests[GUEST_CALLS_MAX + 2];
    struct body bodies[WORLD_BODIES_MAX];
    struct flight flight[WORLD_FLIGHT_MAX];
    size_t flight_len;
    struct guest leaving_guest;
    struct bytes leaving_text; /* execution_describe() */

    struct store store;
    struct db db;
    uint32_t event_names[GUEST_CALLS_MAX + 2]; /* by id, from 1; 0: no wait for an event */
    struct seen requests_seen[GUEST_CALLS_MAX + 2], steps_seen[GUEST_CALLS_MAX + 2];
};

#define SAY(w, ...)                                                                                \
    do {                                                                                           \
        if ((w)->options->is_loud)                                                                 \
            (void)printf("# " __VA_ARGS__), (void)printf("\n");                                    \
    } while (0)

__attribute__((format(printf, 2, 3))) static void fails(struct world *w, const char *format, ...)
{
    if (!w->has_failed) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(w->failure, sizeof(w->failure), format, args);
        va_end(args);
        SAY(w, "FAILS: %s", w->failure);
    }
    w->has_failed = w->is_dead = w->host.is_stopped = true;
}

static bool percent(struct world *w, uint64_t n)
{
    return dice_percent(&w->dice, n);
}

/* True: the process has died here. */
static bool boundary(struct world *w)
{
    if (w->is_dead)
        return true;
    w->boundaries++;
    const struct world_options *o = w->options;
    const bool dies = o->crash_at ? w->boundaries == o->crash_at
                                  : w->crashes < o->crashes_max && dice_below(&w->dice, 40) == 0;
    if (!dies)
        return false;
    SAY(w, "dies at boundary %" PRIu64, w->boundaries);
    w->is_dead = w->host.is_stopped = true;
    return true;
}

static struct slice slice_row(const struct model_row *row)
{
    return slice_of((const char *)row, sizeof(*row));
}

static struct slice slice_u64(const uint64_t *v)
{
    return slice_of((const char *)v, sizeof(*v));
}

static const char *op_text(uint32_t op)
{
    switch ((enum guest_op)op) {
    case GUEST_LOG:
        return "log";
    case GUEST_RANDOM:
        return "random";
    case GUEST_SQL:
        return "sql";
    case GUEST_TIMER:
        return "timer";
    case GUEST_FETCH:
        return "fetch";
    case GUEST_STEP:
        return "step";
    case GUEST_EVENT:
        return "event";
    case GUEST_CHILD_START:
        return "child start";
    case GUEST_CHILD_RESULT:
        return "child result";
    }
    return "unknown op";
}

/* ---- the store ---- */

static enum err port_read(void *ctx, int64_t first, struct bytes *out, int64_t *ret_count,
                          struct error *ret_error)
{
    struct world *w = ctx;
    const struct slice all = bytes_slice(&w->store.journal);
    const struct slice from = slice_skip(all, record_prefix(all, first).len);
    const struct slice part = record_prefix(from, CHUNK_RECORDS);
    bytes_append_slice(out, part);
    *ret_count = record_count(part);
    return OK;
}

static void apply_effect(struct world *w, const struct execution_effect *e)
{
    struct store *s = &w->store;
    struct model_row row;
    memcpy(&row, e->value.ptr, sizeof(row));
    if (s->logs_len == MODEL_EVENTS_MAX || s->children_len == MODEL_EVENTS_MAX) {
        fails(w, "too many effects");
        return;
    }
    if (e->kind == EXECUTION_LOG) {
        s->logs[s->logs_len++] = row;
        return;
    }
    for (size_t i = 0; i < s->children_len; i++)
        if (s->children[i].id == row.path)
            fails(w, "a child was started twice");
    s->children[s->children_len++] = (struct child){.id = row.path, .in = row.in};
}

static void apply_signal(struct world *w, int64_t seq)
{
    struct store *s = &w->store;
    if (seq < 1 || seq > s->signals_len || s->signals[seq].is_consumed)
        fails(w, "signal %" PRId64 " was consumed twice or never sent", seq);
    else
        s->signals[seq].is_consumed = true;
}

static void apply(struct world *w, const struct execution_batch *b)
{
    struct store *s = &w->store;
    if (b->first != s->count || s->has_ended ||
        record_count(bytes_slice(&b->records)) != b->count) {
        fails(w, "a batch from %" PRId64 " does not follow %" PRId64, b->first, s->count);
        return;
    }
    SAY(w, "store: records %" PRId64 "+%" PRId64 "%s", b->first, b->count, b->is_end ? " end" : "");
    bytes_append_slice(&s->journal, bytes_slice(&b->records));
    s->count += b->count;
    for (size_t i = 0; i < b->effects_len; i++)
        apply_effect(w, &b->effects[i]);
    for (size_t i = 0; i < b->signals_len; i++)
        apply_signal(w, b->signals[i]);
    if (!b->is_end)
        return;
    s->has_ended = true;
    s->end_status = b->end_status;
    memcpy(&s->end_value, b->end_value.ptr, sizeof(s->end_value));
}

static void check_stored(struct world *w, int64_t count, bool is_leaving);

static void apply_flight(struct world *w, struct flight *f)
{
    struct store *s = &w->store;
    if (f->batch)
        apply(w, f->batch);
    if (!f->is_leaving)
        return;
    SAY(w, "store: has left memory");
    w->stats->suspended++;
    s->wake_us = f->wake_us;
    s->wake_events = f->events_seen;
    if (percent(w, 50))
        check_stored(w, s->count, true);
    if (f->saved.len == 0)
        return;
    bytes_clear(&s->saved);
    bytes_append_slice(&s->saved, bytes_slice(&f->saved));
    memcpy(&s->saved_guest, &w->leaving_guest, sizeof(s->saved_guest));
    s->saved_count = s->count;
}

/* ---- death and what follows ---- */

static void flight_pop(struct world *w)
{
    execution_batch_free(w->flight[0].batch);
    bytes_done(&w->flight[0].saved);
    w->flight_len--;
    memmove(w->flight, w->flight + 1, w->flight_len * sizeof(w->flight[0]));
}

static void close_execution(struct world *w)
{
    execution_free(w->x);
    w->x = NULL;
    memset(w->requests, 0, sizeof(w->requests));
    memset(w->bodies, 0, sizeof(w->bodies));
}

static void lose_memory(struct world *w)
{
    while (w->flight_len > 0)
        flight_pop(w);
    close_execution(w);
    w->host.is_stopped = false;
    w->is_dead = w->has_failed;
}

static void crash(struct world *w)
{
    w->crashes++;
    w->stats->crashes++;
    for (size_t n = dice_below(&w->dice, w->flight_len + 1); n > 0; n--) {
        apply_flight(w, &w->flight[0]); /* durable, but nobody was told */
        flight_pop(w);
    }
    lose_memory(w);
    if (percent(w, 50))
        w->now_us += (int64_t)dice_below(&w->dice, 3000) * ONE_MS;
}

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
        fails(w, "records %" PRId64 " to %" PRId64 " are nowhere", end, first);
    if (first < db->tail_first || first > end) {
        bytes_clear(&db->tail);
        db->tail_first = first;
    }
    const struct slice known = record_prefix(bytes_slice(&db->tail), first - db->tail_first);
    const struct slice again = slice_skip(bytes_slice(&db->tail), known.len);
    if (again.len > records.len || (again.len && memcmp(again.ptr, records.ptr, again.len) != 0))
        fails(w, "records from %" PRId64 " are not the same in the database", first);
    db->tail.len = known.len;
    bytes_append_slice(&db->tail, records);
}

/* The op's record and the row in one transaction. */
static void sql_commit(struct world *w, uint64_t digest, uint64_t path, uint64_t in, uint64_t value)
{
    int64_t first;
    if (boundary(w))
        return;
    execution_sync_done(w->x, GUEST_SQL, digest, slice_cstr("sql"), OK, slice_u64(&value));
    const struct slice tail = execution_tail(w->x, &first);
    if (record_count(tail) != execution_end(w->x) - first || w->db.rows_len == MODEL_EVENTS_MAX) {
        fails(w, "the tail is not all that is not stored");
        return;
    }
    db_put(w, first, tail);
    execution_kept(w->x);
    w->db.rows[w->db.rows_len++] = (struct model_row){path, in};
    SAY(w, "db: commits with records from %" PRId64, first);
    (void)boundary(w);
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
    const struct slice label = slice_cstr(op_text(op));
    struct execution_result r;
    switch (execution_sync(w->x, op, digest, label, &r)) {
    case EXECUTION_DIVERGED:
        fails(w, "a sync op diverged: %s", execution_error(w->x)->message);
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

/* The same for the same attempt of the same place, whenever and however often it runs. */
static enum body_mode body_mode(uint64_t path, bool has_timeout, uint32_t attempt)
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

static void seen_add(struct world *w, struct seen *s, uint64_t path, uint64_t in)
{
    if (s->count > 0 && (s->path != path || s->in != in))
        fails(w, "an idempotency key was used for two things");
    *s = (struct seen){path, in, s->count + 1};
}

static void body_end(struct world *w, uint32_t scope, uint32_t id, uint32_t attempt, uint64_t path,
                     enum body_mode mode)
{
    const bool works = mode == BODY_WORKS || mode == BODY_WORKS_AT_ONCE;
    const uint64_t value = mix(path, works ? 200 : 300 + attempt);
    w->stats->retries += !works;
    if (mode == BODY_WORKS)
        seen_add(w, &w->steps_seen[id], path, 0);
    if (boundary(w))
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
            fails(w, "two attempts of step %u run at once", id);
    if (attempt == 1)
        return;
    const enum body_mode before = body_mode(made->path, made->has_timeout, attempt - 1);
    const int64_t due_us = attempt_due(w, id, attempt - 1);
    if (before != BODY_FAILS && before != BODY_FAILS_AT_ONCE && before != BODY_HANGS)
        fails(w, "step %u is tried again without a reason", id);
    if (due_us == 0 || due_us > w->now_us)
        fails(w, "attempt %u of step %u begins too early or was not recorded", attempt, id);
}

static void body_start(struct world *w, uint32_t scope, uint32_t id, uint32_t attempt,
                       const struct guest_made *made)
{
    const enum body_mode mode = body_mode(made->path, made->has_timeout, attempt);
    if (execution_scope_step(w->x, scope) != id)
        fails(w, "a scope is not its step's");
    judge_attempt(w, id, attempt, made);
    if (mode == BODY_WORKS_AT_ONCE || mode == BODY_FAILS_AT_ONCE) {
        body_end(w, scope, id, attempt, made->path, mode);
        return;
    }
    for (size_t i = 0; i < WORLD_BODIES_MAX; i++) {
        struct body *b = &w->bodies[i];
        if (b->is_used && b->scope == scope)
            fails(w, "a scope is used twice");
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
    fails(w, "too many bodies");
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
        fails(w, "call %u was started twice or wrongly", id);
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
        fails(w, "call %u was stopped, but is not started", id);
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

/* The same in checks. */
static enum err make_call(struct execution *x, const struct guest_call *call, uint32_t *ret_id,
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
        .label = slice_cstr(op_text(call->op)),
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
    const enum err err = make_call(w->x, call, ret_id, &scope);
    if (err == ERR_DIVERGED)
        fails(w, "a call diverged");
    SAY(w, "calls %s %u%s", op_text(call->op), *ret_id, scope ? ", runs" : "");
    if (err == OK)
        w->event_names[*ret_id] = call->op == GUEST_EVENT ? call->name + 1 : 0;
    if (err == OK && scope)
        body_start(w, scope, *ret_id, 1, &(const struct guest_made){call->path, call->has_timeout});
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

/* ---- checks: a replay of what is stored, with nothing around it ---- */

struct check {
    struct world *w;
    struct execution *x;
    struct guest guest;
    struct guest_host host;
};

static uint32_t check_sync(void *ctx, enum guest_op op, uint64_t path, uint64_t in,
                           uint64_t *ret_value)
{
    struct check *c = ctx;
    struct execution_result r;
    if (execution_sync(c->x, op, call_digest(op, path, in), slice_cstr(op_text(op)), &r) !=
        EXECUTION_REPLAYED) {
        c->host.is_stopped = true;
        return OK;
    }
    memcpy(ret_value, r.payload.ptr, sizeof(*ret_value));
    return r.status;
}

static enum err check_call(void *ctx, const struct guest_call *call, uint32_t *ret_id)
{
    uint32_t scope;
    return make_call(((struct check *)ctx)->x, call, ret_id, &scope);
}

static void check_cancel_call(void *ctx, uint32_t id)
{
    execution_cancel_call(((struct check *)ctx)->x, id);
}

static void check_finish(void *ctx, uint32_t status, uint64_t value)
{
    execution_finish(((struct check *)ctx)->x, status, slice_u64(&value));
}

static int64_t check_now_us(void *ctx)
{
    return execution_now_us(((struct check *)ctx)->x);
}

static bool next_delivery(struct execution *x, const struct guest *g, struct execution_delivery *d)
{
    return g->blocked_id ? execution_next_of(x, g->blocked_id, d) : execution_next(x, d);
}

/* Replays the first `count` records with that program. */
static enum execution_state check_run(struct world *w, const struct program *p, int64_t count,
                                      struct guest *ret_guest, struct bytes *ret_text)
{
    struct check c = {.w = w};
    c.host = (struct guest_host){.ctx = &c,
                                 .sync = check_sync,
                                 .call = check_call,
                                 .cancel_call = check_cancel_call,
                                 .finish = check_finish,
                                 .now_us = check_now_us};
    const struct execution_config config = {
        .port = &w->port, .id = SLICE_LIT("sim"), .stored = count, .is_check = true};
    c.x = execution_new(&config);
    guest_start(&c.guest, p, &c.host);
    struct execution_delivery d;
    while (!c.host.is_stopped && next_delivery(c.x, &c.guest, &d))
        if (d.kind == EXECUTION_DONE)
            guest_deliver(&c.guest, p, &c.host, d.id, d.status, d.payload);
    const enum execution_state state = execution_state(c.x);
    if (state == EXECUTION_HAS_DIVERGED && p == &w->program)
        fails(w, "a check diverged: %s", execution_error(c.x)->message);
    if (ret_text)
        execution_describe(c.x, ret_text);
    execution_free(c.x);
    w->stats->checks++;
    if (ret_guest)
        memcpy(ret_guest, &c.guest, sizeof(*ret_guest));
    return state;
}

/* is_leaving: it leads to the state that has just left memory. */
static void check_stored(struct world *w, int64_t count, bool is_leaving)
{
    static struct guest got;
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    if (count == 0)
        return;
    if (check_run(w, &w->program, count, &got, &text) != EXECUTION_AGREED)
        fails(w, "a check of %" PRId64 " records does not agree", count);
    else if (is_leaving && memcmp(&got, &w->leaving_guest, sizeof(got)) != 0)
        fails(w, "a replay leads to another state of the guest");
    else if (is_leaving && !slice_eq(bytes_slice(&text), bytes_slice(&w->leaving_text)))
        fails(w, "a replay leads to another state:\n%s# instead of:\n%s", bytes_cstr(&text),
              bytes_cstr(&w->leaving_text));
}

/* ---- opening and running ---- */

static bool open_saved(struct world *w, const struct execution_config *config)
{
    struct store *s = &w->store;
    if (s->saved.len == 0)
        return false;
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    bytes_append_slice(&saved, bytes_slice(&s->saved));
    const bool is_damaged = percent(w, 20);
    if (is_damaged)
        saved.ptr[dice_below(&w->dice, saved.len)] ^= (char)(1 + dice_below(&w->dice, 255));
    struct error error;
    const enum err err = execution_restore(config, bytes_slice(&saved), &w->x, &error);
    if ((err == OK) == is_damaged) {
        fails(w, "a saved state was %s", err ? error.message : "restored although damaged");
        return false;
    }
    if (err != OK) {
        w->stats->refused_states++;
        return false;
    }
    w->stats->restored++;
    w->stats->restored_old += s->saved_count < s->count;
    memcpy(&w->guest, &s->saved_guest, sizeof(w->guest));
    w->has_started = true;
    return true;
}

static void pass_signals(struct world *w)
{
    static const char *const names[GUEST_NAMES] = {"go", "stop"};
    struct store *s = &w->store;
    for (int64_t seq = w->signals_passed + 1; seq <= s->signals_len; seq++) {
        if (!s->signals[seq].is_consumed)
            execution_signal(w->x, seq, s->signals[seq].at_us,
                             slice_cstr(names[s->signals[seq].name]),
                             slice_of((const char *)&seq, sizeof(seq)));
        w->signals_passed = seq;
    }
    if (s->signals_len == 0 || !percent(w, 20))
        return;
    const int64_t again = 1 + (int64_t)dice_below(&w->dice, (uint64_t)s->signals_len);
    if (s->signals[again].is_consumed)
        return; /* only what the store has is passed */
    w->stats->doubles++;
    execution_signal(w->x, again, s->signals[again].at_us,
                     slice_cstr(names[s->signals[again].name]),
                     slice_of((const char *)&again, sizeof(again)));
}

static void pass_cancel(struct world *w)
{
    if (!w->store.is_cancel_asked || w->is_cancel_passed)
        return;
    w->is_cancel_passed = true;
    execution_cancel(w->x);
}

static bool act_open(struct world *w, bool is_forced)
{
    struct store *s = &w->store;
    const bool is_due = w->now_us >= s->wake_us || s->events != s->wake_events;
    if (w->x || w->flight_len || !(is_due || percent(w, 2)))
        return false;
    struct execution_config config = {.port = &w->port,
                                      .id = SLICE_LIT("sim"),
                                      .started_us = w->now_us,
                                      .stored = s->count,
                                      .tail = bytes_slice(&w->db.tail),
                                      .tail_first = w->db.tail_first};
    SAY(w, "opens with %" PRId64 " records, tail from %" PRId64 "+%" PRId64, s->count,
        w->db.tail_first, record_count(config.tail));
    w->stats->opens++;
    s->wake_us = 0; /* it is running: after a death it is opened again */
    w->has_started = false;
    w->is_cancel_passed = false;
    w->signals_passed = 0;
    if (percent(w, 20) || !open_saved(w, &config))
        w->x = execution_new(&config);
    w->is_runnable = true;
    if (percent(w, 50))
        pass_signals(w);
    if (percent(w, 50))
        pass_cancel(w);
    return true;
}

static void judge_delivery(struct world *w, const struct execution_delivery *d)
{
    const struct request *r = &w->requests[d->id];
    if (d->status == ERR_CANCELLED && r->is_wanted && !r->is_answered)
        fails(w, "request %u was given up, but not stopped", d->id);
    for (size_t i = 0; i < WORLD_BODIES_MAX; i++)
        if (w->bodies[i].is_used && w->bodies[i].id == d->id && !w->bodies[i].is_over)
            fails(w, "step %u is complete, but its body runs", d->id);
}

static void deliver(struct world *w, const struct execution_delivery *d)
{
    switch (d->kind) {
    case EXECUTION_DONE:
        SAY(w, "delivers %u: %u", d->id, d->status);
        w->stats->timeouts += d->status == ERR_TIMEOUT;
        judge_delivery(w, d);
        guest_deliver(&w->guest, &w->program, &w->host, d->id, d->status, d->payload);
        break;
    case EXECUTION_RUN:
        SAY(w, "runs %u, attempt %u", d->id, d->attempt);
        body_start(w, d->scope, d->id, d->attempt, &w->guest.made[d->id]);
        break;
    case EXECUTION_CANCEL:
        SAY(w, "is told to cancel");
        w->stats->cancelled++;
        break;
    }
}

static void take_batch(struct world *w)
{
    if (w->is_dead || !execution_has_batch(w->x) || w->flight_len == WORLD_FLIGHT_MAX)
        return;
    w->flight[w->flight_len++] = (struct flight){.batch = execution_take(w->x)};
}

static bool act_turn(struct world *w, bool is_forced)
{
    if (!w->x || !w->is_runnable)
        return false;
    w->is_runnable = false;
    if (w->options->is_prompt)
        pass_signals(w);
    if (!w->has_started)
        guest_start(&w->guest, &w->program, &w->host);
    w->has_started = true;
    struct execution_delivery d;
    for (size_t n = 1 + dice_below(&w->dice, 20); !boundary(w); n--) {
        if (n == 0) {
            w->is_runnable = true; /* others have their turn */
            break;
        }
        if (!next_delivery(w->x, &w->guest, &d))
            break;
        deliver(w, &d);
    }
    if (w->is_dead)
        return true;
    if (execution_state(w->x) == EXECUTION_HAS_DIVERGED ||
        execution_state(w->x) == EXECUTION_BROKEN)
        fails(w, "%s", execution_error(w->x)->message);
    if (!percent(w, 20) || execution_state(w->x) == EXECUTION_FINISHED)
        take_batch(w);
    return true;
}

static bool act_take(struct world *w, bool is_forced)
{
    if (!w->x || !execution_has_batch(w->x) || w->flight_len == WORLD_FLIGHT_MAX)
        return false;
    take_batch(w);
    return true;
}

static bool act_commit(struct world *w, bool is_forced)
{
    if (w->flight_len == 0 || boundary(w))
        return false;
    if (!w->options->is_calm && w->refusals < WORLD_REFUSALS_MAX && percent(w, 2)) {
        SAY(w, "store: refuses");
        w->refusals++;
        w->stats->refused_batches++;
        lose_memory(w);
        return true;
    }
    const struct execution_batch *b = w->flight[0].batch;
    const int64_t end = b ? b->first + b->count : 0;
    const size_t effect_bytes = b ? b->effect_bytes : 0;
    apply_flight(w, &w->flight[0]);
    flight_pop(w);
    if (boundary(w) || !w->x)
        return true;
    execution_committed(w->x, end, effect_bytes);
    if (w->flight_len == 0 && !execution_has_batch(w->x) && execution_unstored_bytes(w->x) > 0)
        fails(w, "%zu bytes are said not to be stored, though all is",
              execution_unstored_bytes(w->x));
    return true;
}

/* ---- the outside ---- */

static void answer(struct world *w, uint32_t id, const struct request *r)
{
    const uint64_t value = mix(r->path, r->in);
    if (value % 10 == 0)
        execution_arrive(w->x, id, ERR_NETWORK, SLICE_LIT("no route to host"));
    else
        execution_arrive(w->x, id, OK, slice_u64(&value));
}

static bool act_network(struct world *w, bool is_forced)
{
    if (!w->x)
        return false;
    const uint32_t from = (uint32_t)dice_below(&w->dice, GUEST_CALLS_MAX);
    for (uint32_t i = 0; i <= GUEST_CALLS_MAX; i++) {
        const uint32_t id = (from + i) % (GUEST_CALLS_MAX + 1);
        struct request *r = &w->requests[id];
        if (!r->is_wanted || r->answers == 0)
            continue;
        if (r->is_sent && r->due_us <= w->now_us) {
            if (boundary(w))
                return true;
            r->answers--;
            r->is_answered = true;
            answer(w, id, r);
            return true;
        }
        if (r->is_sent || execution_durable(w->x) < r->gate || boundary(w))
            continue;
        r->is_sent = true;
        r->due_us = w->now_us + (int64_t)dice_below(&w->dice, 40) * ONE_MS;
        SAY(w, "sends %u", id);
        seen_add(w, &w->requests_seen[id], r->path, r->in);
        (void)boundary(w);
        return true;
    }
    return false;
}

static bool act_body(struct world *w, bool is_forced)
{
    const size_t from = dice_below(&w->dice, WORLD_BODIES_MAX);
    for (size_t i = 0; w->x && i < WORLD_BODIES_MAX; i++) {
        struct body *b = &w->bodies[(from + i) % WORLD_BODIES_MAX];
        if (!b->is_used || b->due_us > w->now_us || execution_durable(w->x) < b->gate)
            continue;
        b->is_used = false;
        w->is_runnable = true; /* the guest ran */
        if (b->is_over)
            execution_step_done(w->x, b->scope, OK, false, SLICE_LIT("late"), SLICE_EMPTY);
        else
            body_end(w, b->scope, b->id, b->attempt, b->path, b->mode);
        return true;
    }
    return false;
}

static bool act_signal(struct world *w, bool is_forced)
{
    struct store *s = &w->store;
    if (w->program.is_pure || s->has_ended || s->signals_len == WORLD_SIGNALS_MAX ||
        !(is_forced || (s->signals_len < 20 && percent(w, 10))))
        return false;
    s->signals_len++;
    s->signals[s->signals_len].at_us = w->now_us;
    s->signals[s->signals_len].name = (uint32_t)dice_below(&w->dice, GUEST_NAMES);
    s->events++;
    w->stats->signals++;
    SAY(w, "signal %" PRId64 " named %u", s->signals_len, s->signals[s->signals_len].name);
    return true;
}

static bool act_child(struct world *w, bool is_forced)
{
    struct store *s = &w->store;
    if (s->children_len == 0)
        return false;
    struct child *c = &s->children[dice_below(&w->dice, s->children_len)];
    for (size_t i = 0; is_forced && c->has_ended && i < s->children_len; i++)
        c = &s->children[i];
    if (c->has_ended)
        return false;
    c->has_ended = true;
    s->events++;
    return true;
}

static bool act_cancel(struct world *w, bool is_forced)
{
    if (w->options->is_calm || w->program.is_pure || w->store.is_cancel_asked || is_forced ||
        dice_below(&w->dice, 250) != 0)
        return false;
    SAY(w, "someone cancels");
    w->store.is_cancel_asked = true;
    w->store.events++;
    return true;
}

static void tell_child(struct world *w, const struct child *c)
{
    const uint64_t value = mix(c->id, c->in);
    if (value % 7 == 0)
        execution_child_done(w->x, slice_u64(&c->id), ERR_GUEST, SLICE_LIT("{}"));
    else
        execution_child_done(w->x, slice_u64(&c->id), OK, slice_u64(&value));
}

/* The server looks in the store what has come for it. */
static bool act_pass(struct world *w, bool is_forced)
{
    struct store *s = &w->store;
    if (!w->x)
        return false;
    const bool was_runnable = w->is_runnable;
    w->events_seen = s->events;
    pass_signals(w);
    pass_cancel(w);
    if (s->children_len && percent(w, 10)) { /* unasked, perhaps early, perhaps again */
        const struct child *c = &s->children[dice_below(&w->dice, s->children_len)];
        if (c->has_ended)
            tell_child(w, c);
    }
    uint32_t cursor = 0;
    struct slice name;
    while (execution_awaited_child(w->x, &cursor, &name))
        for (size_t i = 0; i < s->children_len; i++)
            if (s->children[i].has_ended && slice_eq(name, slice_u64(&s->children[i].id)))
                tell_child(w, &s->children[i]);
    return w->is_runnable != was_runnable;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool act_time(struct world *w, bool is_forced)
{
    int64_t next = w->x ? execution_wake_us(w->x) : w->store.wake_us;
    for (size_t i = 0; w->x && i < WORLD_BODIES_MAX; i++)
        if (w->bodies[i].is_used)
            next = earlier(next, w->bodies[i].due_us);
    for (size_t i = 0; w->x && i < ARRAY_LEN(w->requests); i++)
        if (w->requests[i].is_wanted && w->requests[i].answers && w->requests[i].is_sent)
            next = earlier(next, w->requests[i].due_us);
    if (next == EXECUTION_NEVER || next <= w->now_us)
        return false;
    w->now_us = next + (percent(w, 30) ? (int64_t)dice_below(&w->dice, 3 * ONE_MS) : 0);
    return true;
}

static bool act_tick(struct world *w, bool is_forced)
{
    if (!w->x || execution_wake_us(w->x) > w->now_us)
        return false;
    if (w->options->is_prompt)
        pass_signals(w);
    execution_tick(w->x);
    if (execution_wake_us(w->x) <= w->now_us)
        fails(w, "a tick left something that is due");
    return true;
}

/* It may leave memory, with or without a snapshot, which is stored together with the last records.
 */
static bool act_suspend(struct world *w, bool is_forced)
{
    struct store *s = &w->store;
    if (!w->x || w->is_runnable || w->flight_len == WORLD_FLIGHT_MAX || !execution_is_idle(w->x) ||
        percent(w, 50))
        return false;
    if (act_pass(w, is_forced)) /* a child that ended before anybody waited for it */
        return true;
    SAY(w, "leaves memory");
    struct flight f = {
        .is_leaving = true, .wake_us = execution_wake_us(w->x), .events_seen = w->events_seen};
    if (execution_has_batch(w->x))
        f.batch = execution_take(w->x);
    if (percent(w, 70))
        execution_save(w->x, &f.saved);
    else if (percent(w, 20))
        bytes_clear(&s->saved); /* someone dropped it */
    memcpy(&w->leaving_guest, &w->guest, sizeof(w->guest));
    bytes_clear(&w->leaving_text);
    execution_describe(w->x, &w->leaving_text);
    close_execution(w);
    w->flight[w->flight_len++] = f;
    (void)boundary(w);
    return true;
}

/* ---- the play ---- */

static bool (*const actions[])(struct world *w, bool is_forced) = {
    act_open, act_turn,  act_turn,   act_commit, act_take, act_network, act_network, act_body,
    act_pass, act_child, act_cancel, act_time,   act_tick, act_suspend, act_signal};

/* The dice choose what happens next; if they do not find anything, everything is tried in order. */
static void play(struct world *w)
{
    for (size_t n = 0; !w->store.has_ended && !w->has_failed; n++) {
        if (w->is_dead) {
            crash(w);
            continue;
        }
        bool is_moving =
            n < ACTIONS_MAX && actions[dice_below(&w->dice, ARRAY_LEN(actions))](w, false);
        for (size_t i = 0; i < 30 && !is_moving && !w->is_dead; i++)
            is_moving = actions[dice_below(&w->dice, ARRAY_LEN(actions))](w, false);
        for (size_t i = 0; i < ARRAY_LEN(actions) && !is_moving && !w->is_dead; i++)
            is_moving = actions[i](w, true);
        if ((!is_moving && !w->is_dead) || n > ACTIONS_MAX)
            fails(w, "nothing goes on");
    }
}

/* ---- the judgement ---- */

static bool same_rows(const struct model_row *a, size_t a_len, const struct model_row *b,
                      size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len * sizeof(*a)) == 0);
}

static void judge_signals(struct world *w, const struct model *m)
{
    int64_t last[GUEST_NAMES] = {0};
    size_t consumed = 0;
    for (int64_t seq = 1; seq <= w->store.signals_len; seq++)
        consumed += w->store.signals[seq].is_consumed;
    if (consumed != m->signals_len)
        fails(w, "%zu signals were consumed, %zu are in the journal", consumed, m->signals_len);
    for (size_t i = 0; i < m->signals_len; i++) {
        const int64_t seq = m->signals[i];
        const uint32_t name = w->store.signals[seq].name;
        for (int64_t s = last[name] + 1; s < seq; s++)
            if (w->store.signals[s].name == name)
                fails(w, "signal %" PRId64 " was passed over", s);
        if (!w->store.signals[seq].is_consumed || seq <= last[name])
            fails(w, "signal %" PRId64 " is not in order", seq);
        if (w->store.signals[seq].at_us > m->signals_due[i])
            fails(w, "signal %" PRId64 " went to a wait that was over when it was sent", seq);
        last[name] = seq;
    }
}

/* Nobody waits in vain: when a wait ended with a time-out, there was no signal sent in time. */
static void judge_timeouts(struct world *w, const struct model *m)
{
    for (size_t i = 0; i < m->timeouts_len && w->options->is_prompt; i++)
        for (int64_t seq = 1; seq <= w->store.signals_len; seq++) {
            if (w->store.signals[seq].name != m->timeouts[i].name ||
                w->store.signals[seq].at_us >= m->timeouts[i].due_us)
                continue;
            bool is_consumed = false;
            for (size_t s = 0; s < m->timeouts[i].signals_len; s++)
                is_consumed |= m->signals[s] == seq;
            if (!is_consumed)
                fails(w, "a wait timed out although signal %" PRId64 " was there", seq);
        }
}

static void judge_step(struct world *w, const struct model *m, uint32_t id)
{
    const uint64_t path = m->calls[id].path;
    const enum body_mode mode =
        body_mode(path, m->guest.made[id].has_timeout, m->calls[id].failed + 1);
    if (mode == BODY_WORKS ? w->steps_seen[id].count == 0 : mode != BODY_WORKS_AT_ONCE)
        fails(w, "step %u never ran, but has a result", id);
    if (m->calls[id].value != mix(path, 200))
        fails(w, "step %u has another result", id);
}

static void judge_requests(struct world *w, const struct model *m)
{
    for (uint32_t id = 1; id < ARRAY_LEN(w->requests_seen); id++) {
        const struct seen *fetch = &w->requests_seen[id], *step = &w->steps_seen[id];
        const bool is_made = id <= m->last_id;
        if ((fetch->count || step->count) && !is_made)
            fails(w, "request %u left, but nothing tells of it", id);
        if (!is_made)
            continue;
        if (fetch->count && (fetch->path != m->calls[id].path || fetch->in != m->calls[id].in))
            fails(w, "request %u is not the one in the journal", id);
        if (m->calls[id].op == GUEST_FETCH && m->calls[id].is_done && fetch->count == 0)
            fails(w, "request %u never left, but was answered", id);
        if (step->count && step->path != m->calls[id].path)
            fails(w, "step %u is not the one in the journal", id);
        if (m->calls[id].op == GUEST_STEP && m->calls[id].is_done && m->calls[id].status == OK)
            judge_step(w, m, id);
    }
}

static void judge(struct world *w, struct world_result *result)
{
    static struct model m;
    model_run(&m, &w->program, bytes_slice(&w->store.journal));
    if (m.error)
        fails(w, "the journal makes no sense: %s", m.error);
    else if (!m.has_ended)
        fails(w, "the journal has no end");
    else if (m.status != w->store.end_status || m.value != w->store.end_value)
        fails(w, "the result is not what the journal says");
    if (!same_rows(m.logs, m.logs_len, w->store.logs, w->store.logs_len))
        fails(w, "the logs are not what the journal says");
    if (!same_rows(m.sql, m.sql_len, w->db.rows, w->db.rows_len))
        fails(w, "the rows are not what the journal says");
    if (m.children_len != w->store.children_len)
        fails(w, "the children are not what the journal says");
    for (size_t i = 0; i < m.children_len && !w->has_failed; i++)
        if (m.children[i].path != w->store.children[i].id ||
            m.children[i].in != w->store.children[i].in)
            fails(w, "child %zu is not what the journal says", i);
    judge_signals(w, &m);
    judge_timeouts(w, &m);
    judge_requests(w, &m);
    result->hit_limit = m.hit_limit;
    for (size_t i = 0; i < m.logs_len; i++)
        result->effects += mix(m.logs[i].path, m.logs[i].in);
    for (size_t i = 0; i < m.sql_len; i++)
        result->effects += mix(m.sql[i].path, m.sql[i].in);
    for (size_t i = 0; i < m.children_len; i++)
        result->effects += mix(m.children[i].path, m.children[i].in);
}

/* What was stored can be replayed up to any record, and other code is noticed or does the same. */
static void judge_replays(struct world *w)
{
    check_stored(w, w->store.count, false);
    check_stored(w, 1 + (int64_t)dice_below(&w->dice, (uint64_t)w->store.count), false);
    static struct program other;
    program_make(&other, &w->dice, w->program.is_pure);
    if (percent(w, 50)) {
        other = w->program;
        struct node *n = &other.nodes[dice_below(&w->dice, other.len)];
        n->children_len = (uint8_t)(n->children_len / 2);
        n->param++;
    }
    const enum execution_state state = check_run(w, &other, w->store.count, NULL, NULL);
    w->stats->diverged += state == EXECUTION_HAS_DIVERGED;
    if (state != EXECUTION_HAS_DIVERGED && state != EXECUTION_AGREED)
        fails(w, "other code leads to state %d", state);
}

static void world_free(struct world *w)
{
    lose_memory(w);
    bytes_done(&w->store.journal);
    bytes_done(&w->store.saved);
    bytes_done(&w->db.tail);
    bytes_done(&w->leaving_text);
}

void world_play(const struct world_options *options, struct world_stats *stats,
                struct world_result *ret_result)
{
    static struct world w;
    static char failure[sizeof(w.failure)];
    memset(&w, 0, sizeof(w));
    w.options = options;
    w.stats = stats;
    w.dice.state = mix(options->seed, 5);
    w.now_us = 1700000000000000;
    w.store.wake_events = 1;
    program_make(&w.program, &w.dice, options->is_pure);
    w.dice.state += options->is_calm; /* the same program, another course of things */
    w.port = (struct execution_port){.ctx = &w,
                                     .now_us = port_now_us,
                                     .read = port_read,
                                     .start = port_start,
                                     .stop = port_stop,
                                     .scope_over = port_scope_over,
                                     .runnable = port_runnable,
                                     .op_text = op_text};
    w.host = (struct guest_host){.ctx = &w,
                                 .sync = host_sync,
                                 .call = host_call,
                                 .cancel_call = host_cancel_call,
                                 .finish = host_finish,
                                 .now_us = host_now_us};
    *ret_result = (struct world_result){0};
    play(&w);
    if (!w.has_failed)
        judge(&w, ret_result);
    if (!w.has_failed)
        judge_replays(&w);
    stats->runs++;
    stats->boundaries += w.boundaries;
    stats->records += (uint64_t)w.store.count;
    ret_result->status = w.store.end_status;
    ret_result->value = w.store.end_value;
    ret_result->boundaries = w.boundaries;
    if (w.has_failed) {
        memcpy(failure, w.failure, sizeof(failure));
        ret_result->failure = failure;
    }
    world_free(&w);
}
