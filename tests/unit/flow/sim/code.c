/* SPDX-License-Identifier: Apache-2.0
 *
 * What simulated guests run: a list of ops that the seed gives, one after the other. All its state is
 * struct code, so a copy of it is a snapshot; all its values depend on the op's place alone, so every
 * life of it comes to the same. */
#include "host/op_row.h"
#include "sim/sim.h"

#include <stdlib.h>

unsigned code_len(const struct sim_execution *x)
{
    return 1 + (unsigned)(mix(x->seed, 1) % (x->depth > 1 ? 4 : OPS_MAX));
}

enum code_op code_op_of(const struct sim_execution *x, unsigned at)
{
    enum code_op op = (enum code_op)(mix(x->seed, 100 + at) % CODE_OPS);
    return op == CODE_CHILD && x->depth >= 2 ? CODE_LOG : op;
}

unsigned code_events(const struct sim_execution *x)
{
    unsigned n = 0;
    for (unsigned k = 0; k < code_len(x); k++)
        n += code_op_of(x, k) == CODE_EVENT;
    return n;
}

void code_child_id(const struct sim_execution *x, unsigned at, char ret_id[37])
{
    uint64_t a = mix(x->seed, 200 + at), b = mix(x->seed, 300 + at);
    snprintf(ret_id, 37, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(a >> 32), (unsigned)(a & 0xffff),
             (unsigned)(a >> 16 & 0xffff), (unsigned)(b >> 48),
             (unsigned long long)(b & 0xffffffffffffULL));
}

static uint64_t value_of(const struct sim_execution *x, unsigned at)
{
    return mix(x->seed, 400 + at) >> 16;
}

static uint64_t fold(uint64_t acc, uint64_t value)
{
    return mix(acc, value) >> 16;
}

/* Numbers of ops in journals: of what a retry looks at, those of ops.def. */
static uint32_t number_in_journal(unsigned op)
{
    enum { NONE = 1000 };
    return op == CODE_FETCH   ? OP_NUMBER_FETCH
           : op == CODE_STEP  ? OP_NUMBER_STEP
           : op == CODE_EVENT ? OP_NUMBER_EVENT_WAIT
                              : NONE + op;
}

bool code_expect(const struct sim_execution *x, uint64_t *ret_output)
{
    uint64_t acc = 0;
    unsigned events = 0;
    for (unsigned k = 0; k < code_len(x); k++) {
        enum code_op op = code_op_of(x, k);
        uint64_t value = value_of(x, k);
        if (op == CODE_EVENT)
            value = ++events;
        if (op == CODE_SLEEP || op == CODE_SLEEP_LONG)
            value = 0;
        if (op == CODE_CHILD) {
            char id[37];
            code_child_id(x, k, id);
            const struct sim_execution *child = store_find(slice_cstr(id));
            if (!child || child->was_harmed || !code_expect(child, &value))
                return false;
        }
        acc = fold(acc, value);
    }
    *ret_output = acc;
    return !x->is_cancel_requested && !(x->is_fork && x->was_harmed);
}

/* ---- ops ---- */

enum went { WENT_ON, WENT_WAITS, WENT_STOPPED, WENT_DOWN };

static struct execution *execution_of(struct sim_guest *s)
{
    return s->g.durable->execution;
}

static uint64_t digest_of(const struct sim_guest *s, unsigned op)
{
    return mix(s->execution->seed, 1000 + s->code.pc * 16 + op);
}

static struct slice slice_u64(const uint64_t *v)
{
    return slice_of((const char *)v, sizeof(*v));
}

static void add_effect(struct sim_guest *s, unsigned op)
{
    char text[2] = {(char)('a' + s->code.pc), 0}, id[37];
    struct execution_effect e = {.kind = EXECUTION_LOG, .value = slice_cstr(text)};
    code_child_id(s->execution, s->code.pc, id);
    if (op == SIM_CHILD_START)
        e = (struct execution_effect){.kind = EXECUTION_START_CHILD,
                                      .target = SLICE_LIT("sim"),
                                      .value = SLICE_LIT("null"),
                                      .id = slice_cstr(id)};
    if (op == SIM_CHILD_START || op == CODE_LOG)
        execution_effect(execution_of(s), &e);
}

/* The op's record and its row in one transaction of the module's database. */
static enum went commit_sql(struct sim_guest *s, uint64_t value)
{
    struct sim_process *p = s->thread->process;
    struct execution *x = execution_of(s);
    struct sim_db *db = &s->execution->db;
    int64_t first;
    if (p->is_dead || p->epoch != W->store.epoch ||
        (W->has_bad_database && !W->is_over && percent(20))) {
        stats.sql_failures++;
        return WENT_DOWN;
    }
    execution_sync_done(x, number_in_journal(CODE_SQL), digest_of(s, CODE_SQL), SLICE_LIT("sql"),
                        OK, slice_u64(&value));
    struct slice tail = execution_tail(x, &first);
    int64_t end = db->first + record_count(bytes_slice(&db->tail));
    if (first < db->first || first > end) {
        bytes_clear(&db->tail);
        db->first = first;
    }
    db->tail.len = record_prefix(bytes_slice(&db->tail), first - db->first).len;
    bytes_append_slice(&db->tail, tail);
    execution_kept(x);
    db->rows[s->code.pc]++;
    s->g.sql.file = (struct sql_file *)p;
    s->g.sql.gate_seq = (uint64_t)++p->db_seq;
    return WENT_ON;
}

static enum went run_sync(struct sim_guest *s, unsigned op, uint64_t *value)
{
    struct execution *x = execution_of(s);
    struct execution_result r;
    switch (execution_sync(x, number_in_journal(op), digest_of(s, op), SLICE_LIT("op"), &r)) {
    case EXECUTION_DIVERGED:
        return WENT_STOPPED;
    case EXECUTION_REPLAYED:
        memcpy(value, r.payload.ptr, sizeof(*value));
        if (execution_is_tail(x))
            add_effect(s, op);
        return WENT_ON;
    case EXECUTION_LIVE:
        break;
    }
    if (op == CODE_SQL)
        return commit_sql(s, *value);
    add_effect(s, op);
    execution_sync_done(x, number_in_journal(op), digest_of(s, op), SLICE_LIT("op"), OK,
                        slice_u64(value));
    return WENT_ON;
}

static void body(struct sim_guest *s, uint32_t scope, uint32_t id, uint32_t attempt)
{
    uint64_t value = value_of(s->execution, s->code.pc), what = mix(value, attempt) % 4;
    SAY("%s: attempt %u of %u in scope %u: %d", s->execution->id, attempt, id, scope, (int)what);
    if (what == 0 && attempt < 3) {
        execution_step_done(execution_of(s), scope, ERR_GUEST, false, SLICE_LIT("{}"),
                            SLICE_LIT("it failed"));
    } else if (what == 1 && s->bodies_len < ARRAY_LEN(s->bodies)) {
        s->bodies[s->bodies_len].scope = scope;
        s->bodies[s->bodies_len++].id = id;
    } else {
        execution_step_done(execution_of(s), scope, OK, false, slice_u64(&value), SLICE_EMPTY);
    }
}

static enum went call(struct sim_guest *s, enum code_op op)
{
    struct code *c = &s->code;
    char child[37];
    uint64_t place = c->pc;
    uint32_t scope = 0;
    struct error e;
    struct execution_call how = {.kind = EXECUTION_EXTERNAL,
                                 .op = number_in_journal(op),
                                 .digest = digest_of(s, op),
                                 .label = SLICE_LIT("call"),
                                 .args = slice_u64(&place),
                                 .delay_us = EXECUTION_NEVER};
    code_child_id(s->execution, c->pc, child);
    switch (op) {
    case CODE_SLEEP:
    case CODE_SLEEP_LONG:
        how.kind = EXECUTION_TIMER;
        how.delay_us =
            (int64_t)(value_of(s->execution, c->pc) % 3000) * 1000 * (op == CODE_SLEEP ? 1 : 1000);
        break;
    case CODE_EVENT:
        how.kind = EXECUTION_EVENT;
        how.name = how.label = SLICE_LIT("go"); /* as in the guest: a retry reads it there */
        break;
    case CODE_CHILD:
        how.kind = EXECUTION_CHILD_RESULT;
        how.name = slice_cstr(child);
        break;
    case CODE_STEP:
        how.kind = EXECUTION_STEP;
        how.name = SLICE_LIT("step");
        how.retry = (struct execution_retry){.attempts_max = 5,
                                             .delay_us = 400 * 1000,
                                             .factor = 2,
                                             .delay_max_us = EXECUTION_NEVER,
                                             .timeout_us = EXECUTION_NEVER};
        break;
    default:
        break;
    }
    if (execution_call(execution_of(s), &how, &c->id, &scope, &e) != OK)
        return WENT_STOPPED;
    c->waits = c->id;
    if (scope)
        body(s, scope, c->id, 1);
    return WENT_WAITS;
}

static enum went op(struct sim_guest *s)
{
    struct code *c = &s->code;
    enum code_op what = code_op_of(s->execution, c->pc);
    uint64_t value = value_of(s->execution, c->pc);
    enum went went = WENT_ON;
    if (what == CODE_CHILD && !c->is_child_started) {
        went = run_sync(s, SIM_CHILD_START, &value);
        c->is_child_started = went == WENT_ON;
        return went;
    }
    if (what == CODE_LOG || what == CODE_RANDOM || what == CODE_SQL)
        went = run_sync(s, what, &value);
    else
        return call(s, what);
    if (went == WENT_ON) {
        c->acc = fold(c->acc, value);
        c->pc++;
    }
    return went;
}

static void fail(struct sim_guest *s, enum err code, struct slice name)
{
    struct dispatch *d = TAKE(s->dispatch);
    struct error e;
    error_set(&e, code, "it ended");
    if (d)
        d->port->fail(d, &e, name, SLICE_EMPTY);
}

static void finish(struct sim_guest *s)
{
    char text[32];
    struct dispatch *d = TAKE(s->dispatch);
    snprintf(text, sizeof(text), "%" PRIu64, s->code.acc);
    if (d)
        d->port->value(d, slice_cstr(text));
}

static uint64_t number_of(struct slice s)
{
    uint64_t v = 0;
    if (s.len == sizeof(v))
        memcpy(&v, s.ptr, sizeof(v));
    return v;
}

/* Of a signal: f64 when it was sent, lstr data. A child's output is text. */
static uint64_t result_of(enum code_op op, struct slice payload)
{
    uint64_t v = 0;
    if (op == CODE_EVENT && payload.len > 12)
        payload = slice_skip(payload, 12);
    if (op == CODE_EVENT || op == CODE_CHILD)
        return slice_to_u64(payload, &v) ? v : 0;
    return number_of(payload);
}

static void take(struct sim_guest *s, const struct execution_delivery *d)
{
    struct code *c = &s->code;
    if (d->kind == EXECUTION_CANCEL) {
        c->is_cancelled = true;
    } else if (d->kind == EXECUTION_RUN) {
        body(s, d->scope, d->id, d->attempt);
    } else if (d->id == c->waits) {
        c->waits = 0;
        if (d->status != OK) {
            c->is_over = d->status;
            return;
        }
        c->acc = fold(c->acc, result_of(code_op_of(s->execution, c->pc), d->payload));
        c->is_child_started = false;
        c->pc++;
    }
}

enum guest_status code_step(struct sim_guest *s)
{
    struct execution *x = execution_of(s);
    struct code *c = &s->code;
    struct execution_delivery d;
    s->g.durable->has_news = false;
    SAY("%s: is stepped at op %u", s->execution->id, c->pc);
    if (!s->dispatch)
        return GUEST_FINISHED;
    for (;;) {
        while (c->waits == 0 && c->is_over == 0 && c->pc < code_len(s->execution)) {
            if (percent(5))
                return GUEST_AGAIN;
            enum went went = op(s);
            if (went == WENT_STOPPED)
                return GUEST_WAITS;
            if (went == WENT_DOWN) {
                fail(s, ERR_IO, SLICE_EMPTY);
                return GUEST_DEAD;
            }
        }
        if (c->is_over != 0) {
            fail(s, (enum err)c->is_over,
                 c->is_over == ERR_CANCELLED ? SLICE_LIT("CancelledError") : SLICE_LIT("Error"));
            return GUEST_FINISHED;
        }
        if (c->waits == 0) {
            finish(s);
            return GUEST_FINISHED;
        }
        if (!execution_next(x, &d))
            return GUEST_WAITS;
        take(s, &d);
    }
}

/* For people. */
size_t code_describe(struct sim_guest *s, char *ret_text, size_t size)
{
    struct execution *x = s->g.durable ? execution_of(s) : NULL;
    int len = snprintf(ret_text, size,
                       " [op %u of kind %d, waits for %u; %zu requests, %zu bodies; queued %d, "
                       "news %d, records %lld, stored %lld, state %d]",
                       s->code.pc, s->execution ? (int)code_op_of(s->execution, s->code.pc) : -1,
                       s->code.waits, s->requests_len, s->bodies_len, s->g.is_queued,
                       guest_has_news(&s->g), x ? (long long)execution_end(x) : -1,
                       x ? (long long)execution_durable(x) : -1, x ? (int)execution_state(x) : -1);
    return len > 0 && (size_t)len < size ? (size_t)len : 0;
}

/* ---- outside of it ---- */

bool code_event(struct sim_guest *s)
{
    if (!s->g.durable)
        return false;
    struct execution *x = execution_of(s);
    if (s->bodies_len > 0) {
        uint64_t value = value_of(s->execution, s->code.pc);
        uint32_t scope = s->bodies[--s->bodies_len].scope;
        SAY("%s: the body in scope %u is done", s->execution->id, scope);
        execution_step_done(x, scope, OK, false, slice_u64(&value), SLICE_EMPTY);
        s->g.host->runnable(s->g.host->ctx, &s->g); /* it was its own code that ended it */
        return true;
    }
    for (size_t k = 0; k < s->requests_len; k++) {
        if (execution_durable(x) < s->requests[k].records)
            continue; /* it has not left: what it depends on is not stored */
        uint64_t value = value_of(s->execution, s->requests[k].op);
        uint32_t id = s->requests[k].id;
        s->execution->requests[s->requests[k].op]++;
        s->requests[k] = s->requests[--s->requests_len];
        execution_arrive(x, id, OK, slice_u64(&value));
        return true;
    }
    return false;
}

/* ---- what flow/ does with it ---- */

static void played_add(struct guest *g, struct dispatch *d)
{
    struct sim_guest *s = container_of(g, struct sim_guest, g);
    s->dispatch = d;
    s->execution = store_find_code(d->execution_id);
    SAY("%s: begins", s->execution->id);
    g->host->runnable(g->host->ctx, g);
}

static enum err played_save(struct guest *g, struct bytes *out, struct error *ret_error)
{
    struct sim_guest *s = container_of(g, struct sim_guest, g);
    if (s->requests_len > 0 || s->bodies_len > 0 || !s->dispatch)
        return error_set(ret_error, ERR_CONFLICT, "something is under way");
    if (s->code.waits == 0)
        world_fails("%s leaves in the middle of its code", s->execution->id);
    bytes_append(out, &s->code, sizeof(s->code));
    return OK;
}

static enum err played_resume(struct guest *g, struct dispatch *d, struct slice saved,
                              struct error *ret_error)
{
    struct sim_guest *s = container_of(g, struct sim_guest, g);
    if (saved.len != sizeof(s->code) || (!W->is_over && percent(10)))
        return error_set(ret_error, ERR_CORRUPT, "another build");
    s->dispatch = d;
    s->execution = store_find_code(d->execution_id);
    memcpy(&s->code, saved.ptr, sizeof(s->code));
    SAY("%s: is resumed at op %u", s->execution->id, s->code.pc);
    guest_poke(g);
    return OK;
}

static void played_end(struct guest *g, const struct error *error)
{
    struct sim_guest *s = container_of(g, struct sim_guest, g);
    struct dispatch *d = TAKE(s->dispatch);
    g->is_ending = true;
    if (s->execution)
        SAY("%s: its guest is ended", s->execution->id);
    if (d)
        d->port->fail(d, error, SLICE_EMPTY, SLICE_EMPTY);
    s->requests_len = s->bodies_len = 0;
}

static void played_start_call(struct guest *g, uint32_t id, uint32_t op, struct slice args)
{
    struct sim_guest *s = container_of(g, struct sim_guest, g);
    if (op != OP_NUMBER_FETCH || s->requests_len == ARRAY_LEN(s->requests)) {
        world_fails("a call of op %u was started", op);
        return;
    }
    s->requests[s->requests_len].id = id;
    s->requests[s->requests_len].op = (uint32_t)number_of(args);
    s->requests[s->requests_len++].records = execution_end(execution_of(s));
}

static void played_stop_call(struct guest *g, uint32_t id)
{
    struct sim_guest *s = container_of(g, struct sim_guest, g);
    for (size_t k = 0; k < s->requests_len; k++)
        if (s->requests[k].id == id)
            s->requests[k--] = s->requests[--s->requests_len];
}

static void played_scope_over(struct guest *g, uint32_t scope)
{
    struct sim_guest *s = container_of(g, struct sim_guest, g);
    SAY("%s: scope %u is over", s->execution->id, scope);
    for (size_t k = 0; k < s->bodies_len; k++)
        if (s->bodies[k].scope == scope) {
            s->bodies[k] = s->bodies[--s->bodies_len];
            execution_step_done(execution_of(s), scope, ERR_CANCELLED, true, SLICE_EMPTY,
                                SLICE_EMPTY);
            return;
        }
}

const struct flow_isolates code_isolates = {
    .add = played_add,
    .resume = played_resume,
    .save = played_save,
    .end = played_end,
    .start_call = played_start_call,
    .stop_call = played_stop_call,
    .scope_over = played_scope_over,
};
