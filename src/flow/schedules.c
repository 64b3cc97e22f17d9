/* SPDX-License-Identifier: Apache-2.0
 *
 * See schedules.h.
 *
 *     due row -> row read -> (has the run before ended?) -> commit: what is started, and the next due row
 *                                                            -> executions are woken, functions are called
 *     call over -> commit: the run is settled, or its row is due for another try */
#include "flow/schedules.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/module_name.h"
#include "flow/director_internal.h"
#include "flow/event.h"
#include "flow/queues.h"
#include "schedule/plan.h"

enum {
    RUN_TRIES = 3,         /* of a function that throws, or cannot be called */
    RUN_RETRY_MS = 1000,   /* the first pause; doubled */
    WAIT_MS = 3600 * 1000, /* for the end of the one before; then it is looked at again */
    DECLARED_PAGE = 100,
};

struct schedules {
    struct director *director;
    struct flow_env *env;
    struct schedules_metrics *metrics;
    struct map busy; /* number -> struct busy: of those that are being looked at or started */
    struct map runs; /* "number/time" -> struct run */
};

/* One that is looked at. */
struct busy {
    struct schedules *schedules;
    int64_t id;
    struct due due;  /* of another try */
    bool again;      /* it was handed on once more meanwhile */
    bool is_waiting; /* for the end of the one before */
};

/* A function's run. */
struct run {
    struct schedules *schedules;
    char key[48];
    int64_t id, at_us;
    unsigned tries;
    bool is_busy;
    struct due due; /* of another try to store its end */
    struct event_call call;
    struct store_op op;
    struct arena *arena; /* of the call */
    bool has_failed;
    int64_t retry_us;
};

/* What is started. */
struct firing {
    struct store_op op;
    struct schedules *schedules;
    struct arena *arena;
    struct schedule_fire fire;
    struct plan plan;
    struct slice module;      /* a function's; with its namespace */
    struct schedule_ask *ask; /* NULL: it was due */
    int64_t times[STORE_TIMES_MAX];
    size_t times_len;
    bool is_failure; /* it tells of one */
};

static struct slice number(int64_t id, char buffer[24])
{
    int len = snprintf(buffer, 24, "%" PRId64, id);
    return slice_of(buffer, (size_t)len);
}

/* ---- who is busy ---- */

static struct busy *busy_of(struct schedules *s, int64_t id)
{
    char buffer[24];
    return map_get(&s->busy, number(id, buffer));
}

static void busy_end(struct schedules *s, int64_t id)
{
    char buffer[24];
    struct busy *b = map_remove(&s->busy, number(id, buffer));
    bool again = b && b->again;
    if (b)
        due_stop(s->env, &b->due);
    free(b);
    if (again)
        schedules_look(s, id);
}

static void busy_retry(struct due *t)
{
    struct busy *b = container_of(t, struct busy, due);
    b->again = true;
    busy_end(b->schedules, b->id);
}

/* ---- functions ---- */

static void run_end(struct run *r)
{
    due_stop(r->schedules->env, &r->due);
    (void)map_remove(&r->schedules->runs, slice_cstr(r->key));
    arena_free(r->arena);
    bytes_done(&r->call.answer);
    free(r);
}

static void run_store(struct run *r);

static void run_store_again(struct due *t)
{
    run_store(container_of(t, struct run, due));
}

/* The end of a run is stored, or that it is to be tried again. */
static void run_settled(struct store_op *op)
{
    struct run *r = container_of(op, struct run, op);
    struct schedules *s = r->schedules;
    const int64_t id = r->id;
    if (op->error.code != OK && op->error.code != ERR_FENCED && !s->director->is_stopping) {
        log_warn("the end of a scheduled run could not be stored, trying again",
                 LOG_STR("run", r->key), LOG_STR("error", op->error.message));
        (void)due_again(s->env, &r->due, RETRY_MS, run_store_again);
        return;
    }
    r->is_busy = false;
    r->due.failures = 0;
    if (op->error.code == OK && r->retry_us > 0) {
        const struct due_row row = {
            .kind = DUE_RUN, .key = slice_cstr(r->key), .due_us = r->retry_us};
        director_due_note(s->director, &row);
        return;
    }
    run_end(r);
    struct busy *b = busy_of(s, id);
    if (b && b->is_waiting && !s->director->is_stopping) {
        b->again = true;
        busy_end(s, id);
    }
}

static void run_store(struct run *r)
{
    struct schedules *s = r->schedules;
    r->op = (struct store_op){.loop = s->env->loop, .done = run_settled};
    store_schedule_ran(s->env->store, &r->op, r->id, slice_cstr(r->key), r->has_failed,
                       r->retry_us);
}

static bool says_true(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

static void run_called(struct event_call *e)
{
    struct run *r = container_of(e, struct run, call);
    struct schedules *s = r->schedules;
    json_t *answer = json_loadb(e->answer.len ? e->answer.ptr : "", e->answer.len, 0, NULL);
    const bool is_lost = e->error.code == ERR_UNAVAILABLE && s->director->is_stopping;
    r->has_failed = e->error.code != OK || says_true(answer, "failed");
    r->retry_us = 0;
    if (r->has_failed && !says_true(answer, "noRetry") && r->tries < RUN_TRIES &&
        e->error.code != ERR_NOT_FOUND)
        r->retry_us =
            flow_now_us(s->env) + (int64_t)retry_pause_ms(RUN_RETRY_MS, r->tries - 1) * 1000;
    json_decref(answer);
    if (e->error.code != OK && !is_lost)
        log_warn("a scheduled function could not be called", LOG_SLICE("module", e->module),
                 LOG_STR("error", e->error.message));
    if (is_lost) { /* its row is due, for the next process */
        run_end(r);
        return;
    }
    if (r->has_failed && r->retry_us == 0)
        atomic_fetch_add(&s->metrics->failed, 1);
    run_store(r);
}

static struct run *run_of(struct schedules *s, struct slice key, int64_t id, int64_t at_us)
{
    struct run *r = map_get(&s->runs, key);
    if (r)
        return r;
    r = calloc(1, sizeof(*r));
    CHECK(r);
    snprintf(r->key, sizeof(r->key), "%.*s", SLICE_ARG(key));
    r->schedules = s;
    r->id = id;
    r->at_us = at_us;
    (void)map_put(&s->runs, slice_cstr(r->key), r);
    return r;
}

static void run_call(struct run *r, struct slice module, const struct plan *p)
{
    struct schedules *s = r->schedules;
    CLEANUP(bytes_done) struct bytes input = BYTES_INIT;
    struct json_writer w = json_writer(&input);
    json_open(&w, '{');
    json_key(&w, "cron");
    json_slice(&w, p->cron_text);
    json_key(&w, "scheduledTime");
    json_int(&w, r->at_us / 1000);
    json_close(&w, '}');
    arena_free(r->arena);
    r->arena = arena_new(NULL);
    bytes_done(&r->call.answer);
    r->is_busy = true;
    r->tries++;
    r->call = (struct event_call){.done = run_called,
                                  .module = arena_copy(r->arena, module),
                                  .handler = "scheduled",
                                  .id = slice_cstr(r->key),
                                  .input = arena_copy(r->arena, bytes_slice(&input))};
    atomic_fetch_add(&s->metrics->tries, 1);
    s->env->code->event(s->env->ctx, &r->call);
}

static struct slice module_of(struct arena *a, const struct schedule_row *row, const struct plan *p)
{
    CLEANUP(bytes_done) struct bytes module = BYTES_INIT;
    module_name_join(row->space, p->name, &module);
    return arena_copy(a, bytes_slice(&module));
}

/* A run that was not settled: of a process before, or for another try. */
struct rerun {
    struct chore chore;
    struct schedules *schedules;
    char key[48];
    int64_t id;
};

static void rerun_fill(struct chore *c, struct store_query *q, struct arena *a)
{
    q->schedule.id = container_of(c, struct rerun, chore)->id;
}

static enum chore_next rerun_take(struct chore *c, const struct store_query *q)
{
    struct rerun *n = container_of(c, struct rerun, chore);
    struct schedules *s = n->schedules;
    struct run *r = map_get(&s->runs, slice_cstr(n->key));
    struct plan p;
    if (!r || c->director->is_stopping)
        return CHORE_OVER;
    if (q->error.code == OK &&
        plan_read(q->schedule.row.plan, SLICE_EMPTY, q->arena, &p, NULL) == OK)
        run_call(r, module_of(q->arena, &q->schedule.row, &p), &p);
    else
        run_end(r);
    return CHORE_OVER;
}

static const struct chore_kind rerun_kind = {
    .what = "a scheduled run",
    .query = STORE_QUERY_SCHEDULE,
    .fill = rerun_fill,
    .take = rerun_take,
};

static bool read_run_key(struct slice key, int64_t *ret_id, int64_t *ret_at_us)
{
    uint64_t id, at;
    struct slice rest = key, first = slice_split(&rest, '/');
    if (!slice_to_u64(first, &id) || !slice_to_u64(rest, &at) || key.len >= 48)
        return false;
    *ret_id = (int64_t)id;
    *ret_at_us = (int64_t)at;
    return true;
}

static void run_is_due(void *ctx, const struct due_row *row)
{
    struct schedules *s = ctx;
    int64_t id, at_us;
    if (s->director->is_stopping || !read_run_key(row->key, &id, &at_us))
        return;
    struct run *r = run_of(s, row->key, id, at_us);
    if (r->is_busy)
        return;
    r->is_busy = true;
    struct rerun *n = chore_new(s->director, &rerun_kind, sizeof(*n));
    n->schedules = s;
    n->id = id;
    memcpy(n->key, r->key, sizeof(n->key));
    chore_ask(&n->chore);
}

/* ---- starting ---- */

static void firing_free(struct firing *f)
{
    arena_free(f->arena);
    free(f);
}

static void start_runs(struct firing *f)
{
    for (size_t k = 0; k < f->times_len; k++) {
        char key[48];
        int len = snprintf(key, sizeof(key), "%" PRId64 "/%" PRId64, f->fire.id, f->times[k]);
        struct run *r = run_of(f->schedules, slice_of(key, (size_t)len), f->fire.id, f->times[k]);
        if (!r->is_busy)
            run_call(r, f->module, &f->plan);
    }
}

static void wake_executions(struct firing *f)
{
    for (size_t k = 0; k < f->times_len; k++) {
        char id[37] = "";
        memcpy(id, f->fire.ids.ptr + k * 36, 36);
        director_wake(f->schedules->director, id, "");
    }
}

static void fired(struct firing *f)
{
    struct schedules *s = f->schedules;
    const int64_t now_us = flow_now_us(s->env);
    atomic_fetch_add(&s->metrics->started, f->times_len);
    atomic_fetch_add(&s->metrics->skipped, (uint64_t)f->fire.skipped);
    for (size_t k = 0; k < f->times_len && !f->ask; k++)
        s->metrics->late(s->metrics->late_ctx,
                         now_us - plan_due(&f->plan, (uint64_t)f->fire.id, f->times[k]));
    if (f->fire.ids.len > 0)
        wake_executions(f);
    else if (f->fire.queue.len > 0)
        queues_post(s->env->shared->queues, f->op.number, 0);
    else if (!s->director->is_stopping)
        start_runs(f);
}

static void fail_firing(struct firing *f, const struct error *error);

static void firing_done(struct store_op *op)
{
    struct firing *f = container_of(op, struct firing, op);
    struct schedules *s = f->schedules;
    struct schedule_ask *ask = f->ask;
    const int64_t id = f->fire.id, due_us = f->fire.due_us;
    if (op->error.code == OK && !f->is_failure)
        fired(f);
    if (ask) {
        ask->error = op->error;
        firing_free(f);
        ask->done(ask);
        return;
    }
    if (op->error.code == OK) {
        char buffer[24];
        const struct due_row row = {
            .kind = DUE_SCHEDULE, .key = number(id, buffer), .due_us = due_us};
        firing_free(f);
        busy_end(s, id);
        director_due_note(s->director, &row);
        return;
    }
    struct busy *b = busy_of(s, id);
    if (op->error.code == ERR_CONFLICT && b) { /* it has been changed: what does it say now? */
        b->again = true;
    } else if (retry_of(&op->error) == RETRY_NEVER && !f->is_failure) {
        fail_firing(f, &op->error);
        return;
    } else if (op->error.code != ERR_FENCED) {
        log_warn("what a schedule starts could not be stored, trying again",
                 LOG_INT("schedule", id), LOG_STR("error", op->error.message));
        firing_free(f);
        if (b && !s->director->is_stopping)
            (void)due_again(s->env, &b->due, RETRY_MS, busy_retry);
        return;
    }
    firing_free(f);
    busy_end(s, id);
}

/* Nothing can be started for it now: that is counted, and it goes on with its next time. */
static void fail_firing(struct firing *f, const struct error *error)
{
    struct schedules *s = f->schedules;
    log_warn("a schedule could not start anything", LOG_INT("schedule", f->fire.id),
             LOG_SLICE("target", f->plan.name), LOG_STR("error", error->message));
    atomic_fetch_add(&s->metrics->failed, 1);
    f->is_failure = true;
    f->op = (struct store_op){.loop = s->env->loop, .done = firing_done};
    store_schedule_fail(s->env->store, &f->op, &f->fire);
}

/* Name and export of "name.export". */
static void name_workflow(struct firing *f, const struct schedule_row *row)
{
    struct slice rest = f->plan.name, name = slice_split(&rest, '.');
    struct plan bare = {.name = name};
    f->fire.workflow = module_of(f->arena, row, &bare);
    f->fire.export_name = rest;
    f->fire.input = f->plan.input.len > 0 ? f->plan.input : SLICE_LIT("null");
    f->fire.metadata =
        slice_cstr(arena_printf(f->arena, "{\"schedule\":\"%.*s\"}", SLICE_ARG(row->name)));
    f->fire.key = slice_cstr(arena_printf(f->arena, "schedule:%" PRId64 ":", row->id));
    char *ids = arena_alloc(f->arena, f->times_len * 36 + 1);
    for (size_t k = 0; k < f->times_len; k++) {
        char id[37];
        const char *key =
            arena_printf(f->arena, "%.*s%" PRId64, SLICE_ARG(f->fire.key), f->times[k] / 1000);
        durable_id_of_key(f->fire.workflow, slice_cstr(key), id);
        memcpy(ids + k * 36, id, 36);
    }
    f->fire.ids = slice_of(ids, f->times_len * 36);
}

static void put_u32(struct bytes *out, uint32_t n)
{
    bytes_append(out, &n, sizeof(n));
}

/* One message: store/message.h. */
static void name_queue(struct firing *f, const struct schedule_row *row)
{
    CLEANUP(bytes_done) struct bytes message = BYTES_INIT;
    const struct slice body = f->plan.input.len > 0 ? f->plan.input : SLICE_LIT("null");
    put_u32(&message, 0);
    put_u32(&message, MESSAGE_JSON);
    put_u32(&message, (uint32_t)body.len);
    bytes_append_slice(&message, body);
    f->fire.space = arena_copy(f->arena, row->space);
    f->fire.queue = f->plan.name;
    f->fire.messages = arena_copy(f->arena, bytes_slice(&message));
}

/* Its plan is in the arena. Starts nothing if there are no times, which says when it is due next. */
static void firing_start(struct firing *f, const struct schedule_row *row)
{
    struct schedules *s = f->schedules;
    f->fire.id = row->id;
    f->fire.times = slice_of((const char *)f->times, f->times_len * sizeof(*f->times));
    f->fire.due_us = plan_due(&f->plan, (uint64_t)row->id, f->fire.next_us);
    if (f->plan.target == PLAN_WORKFLOW && f->times_len > 0)
        name_workflow(f, row);
    else if (f->plan.target == PLAN_QUEUE && f->times_len > 0)
        name_queue(f, row);
    else
        f->module = module_of(f->arena, row, &f->plan);
    f->op = (struct store_op){.loop = s->env->loop, .done = firing_done};
    store_schedule_fire(s->env->store, &f->op, &f->fire);
}

static struct firing *firing_new(struct schedules *s, const struct schedule_row *row,
                                 struct error *ret_error)
{
    struct firing *f = calloc(1, sizeof(*f));
    CHECK(f);
    f->schedules = s;
    f->arena = arena_new(NULL);
    f->fire.seen_us = row->next_us;
    if (plan_read(row->plan, SLICE_EMPTY, f->arena, &f->plan, ret_error) == OK)
        return f;
    firing_free(f);
    return NULL;
}

/* ---- looking at one ---- */

struct look {
    struct chore chore;
    struct schedules *schedules;
    int64_t id;
    char last[37];  /* the execution before, if that matters */
    bool has_ended; /* it has */
};

/* Waits until the execution before has ended. */
struct look_wait {
    struct flow_request request;
    struct schedules *schedules;
    int64_t id;
    char last[37];
};

static void look_waited(struct flow_request *q)
{
    struct look_wait *w = container_of(q, struct look_wait, request);
    struct schedules *s = w->schedules;
    const int64_t id = w->id;
    free(w);
    struct busy *b = busy_of(s, id);
    if (b)
        b->again = !s->director->is_stopping;
    busy_end(s, id);
}

static void wait_for_last(struct look *l)
{
    struct look_wait *w = calloc(1, sizeof(*w));
    CHECK(w);
    w->schedules = l->schedules;
    w->id = l->id;
    memcpy(w->last, l->last, sizeof(w->last));
    w->request = (struct flow_request){
        .done = look_waited, .kind = FLOW_WAIT, .id = slice_cstr(w->last), .wait_ms = WAIT_MS};
    director_request(l->schedules->director, &w->request);
}

/* What of these times is started while the one before still runs. */
static void keep_apart(struct plan_turn *t, enum plan_overlap overlap, bool is_running)
{
    if (overlap == PLAN_OVERLAP_ALLOW || t->times_len == 0)
        return;
    if (overlap == PLAN_OVERLAP_SKIP) {
        const size_t kept = is_running ? 0 : 1;
        t->skipped += (int64_t)(t->times_len - kept);
        t->times_len = kept;
    } else if (t->times_len > 1) { /* the next one when this has ended */
        t->next_us = t->times[1];
        t->times_len = 1;
    }
}

static enum chore_next look_decide(struct look *l, const struct schedule_row *row, bool is_running)
{
    struct schedules *s = l->schedules;
    struct error error;
    struct plan_turn t;
    struct firing *f = firing_new(s, row, &error);
    const int64_t now_us = flow_now_us(s->env);
    if (!f) {
        log_error("a schedule cannot be read", LOG_SLICE("schedule", row->name),
                  LOG_STR("error", error.message));
        return busy_end(s, l->id), CHORE_OVER;
    }
    if (row->next_us == 0) {
        t = (struct plan_turn){.next_us = plan_next(&f->plan, row->anchor_us, row->anchor_us)};
    } else {
        plan_take(&f->plan, row->anchor_us, (uint64_t)row->id, row->next_us, now_us, &t);
        keep_apart(&t, f->plan.overlap, is_running);
    }
    if (t.times_len > 0 && is_running && f->plan.overlap == PLAN_OVERLAP_QUEUE) {
        firing_free(f);
        busy_of(s, l->id)->is_waiting = true;
        if (l->last[0]) /* else the end of the run comes by here */
            wait_for_last(l);
        return CHORE_OVER;
    }
    if (t.next_us == row->next_us) { /* nothing is due: it was changed, or the clock was set back */
        char buffer[24];
        const struct due_row due = {.kind = DUE_SCHEDULE,
                                    .key = number(l->id, buffer),
                                    .due_us = plan_due(&f->plan, (uint64_t)row->id, row->next_us)};
        firing_free(f);
        busy_end(s, l->id);
        if (due.due_us > now_us)
            director_due_note(s->director, &due);
        return CHORE_OVER;
    }
    f->fire.next_us = t.next_us;
    f->fire.skipped = t.skipped;
    f->times_len = t.times_len;
    memcpy(f->times, t.times, t.times_len * sizeof(*t.times));
    firing_start(f, row);
    return CHORE_OVER;
}

static const struct chore_kind look_kind, last_kind;

static void look_fill(struct chore *c, struct store_query *q, struct arena *a)
{
    q->schedule.id = container_of(c, struct look, chore)->id;
}

static enum chore_next look_take(struct chore *c, const struct store_query *q)
{
    struct look *l = container_of(c, struct look, chore);
    const struct schedule_row *row = &q->schedule.row;
    struct schedules *s = l->schedules;
    if (q->error.code != OK || row->is_paused || row->next_us == DUE_NEVER ||
        s->director->is_stopping)
        return busy_end(s, l->id), CHORE_OVER;
    if (row->last_execution.len == 36 && !l->has_ended && !l->last[0]) {
        memcpy(l->last, row->last_execution.ptr, 36);
        c->kind = &last_kind;
        return CHORE_AGAIN;
    }
    return look_decide(l, row, row->running > 0 || (l->last[0] && !l->has_ended));
}

static const struct chore_kind look_kind = {
    .what = "a schedule that is due",
    .query = STORE_QUERY_SCHEDULE,
    .fill = look_fill,
    .take = look_take,
};

static void last_fill(struct chore *c, struct store_query *q, struct arena *a)
{
    q->durable.id = slice_cstr(container_of(c, struct look, chore)->last);
}

/* Then the row once more, as it is now. */
static enum chore_next last_take(struct chore *c, const struct store_query *q)
{
    struct look *l = container_of(c, struct look, chore);
    l->has_ended = q->error.code != OK || durable_is_finished(q->durable.row.status);
    c->kind = &look_kind;
    return CHORE_AGAIN;
}

static const struct chore_kind last_kind = {
    .what = "the execution that a schedule started before",
    .query = STORE_QUERY_DURABLE,
    .fill = last_fill,
    .take = last_take,
};

void schedules_look(struct schedules *s, int64_t id)
{
    char buffer[24];
    struct busy *b = busy_of(s, id);
    if (s->director->is_stopping)
        return;
    if (b) {
        b->again = true;
        return;
    }
    b = calloc(1, sizeof(*b));
    CHECK(b);
    b->schedules = s;
    b->id = id;
    (void)map_put(&s->busy, number(id, buffer), b);
    struct look *l = chore_new(s->director, &look_kind, sizeof(*l));
    l->schedules = s;
    l->id = id;
    chore_ask(&l->chore);
}

static void schedule_is_due(void *ctx, const struct due_row *row)
{
    uint64_t id;
    if (slice_to_u64(row->key, &id))
        schedules_look(ctx, (int64_t)id);
}

/* ---- what a deploy declares ---- */

struct declared {
    struct chore chore;
    struct schedules *schedules;
    char module[2 * LIMIT_NAME_BYTES + 2];
    char after[LIMIT_NAME_BYTES + 64];
};

static void declared_fill(struct chore *c, struct store_query *q, struct arena *a)
{
    const struct declared *d = container_of(c, struct declared, chore);
    q->schedules.origin = slice_cstr(d->module);
    q->schedules.after = slice_cstr(d->after);
    q->schedules.is_unknown = true;
    q->schedules.limit = DECLARED_PAGE;
}

static enum chore_next declared_take(struct chore *c, const struct store_query *q)
{
    struct declared *d = container_of(c, struct declared, chore);
    for (size_t k = 0; q->error.code == OK && k < q->schedules.len; k++) {
        snprintf(d->after, sizeof(d->after), "%.*s", SLICE_ARG(q->schedules.rows[k].name));
        schedules_look(d->schedules, q->schedules.rows[k].id);
    }
    return q->error.code == OK && q->schedules.len == DECLARED_PAGE ? CHORE_AGAIN : CHORE_OVER;
}

static const struct chore_kind declared_kind = {
    .what = "schedules of a deploy",
    .query = STORE_QUERY_SCHEDULES,
    .fill = declared_fill,
    .take = declared_take,
};

void schedules_deployed(struct schedules *s, struct slice module)
{
    if (s->director->is_stopping)
        return;
    struct declared *d = chore_new(s->director, &declared_kind, sizeof(*d));
    d->schedules = s;
    snprintf(d->module, sizeof(d->module), "%.*s", SLICE_ARG(module));
    chore_ask(&d->chore);
}

/* ---- what is asked for by hand ---- */

void schedules_ask(struct schedules *s, struct schedule_ask *a)
{
    struct firing *f = NULL;
    CHECK(a->times_len <= STORE_TIMES_MAX);
    if (s->director->is_stopping)
        error_set(&a->error, ERR_UNAVAILABLE, "the server is stopping");
    else
        f = firing_new(s, a->row, &a->error);
    if (!f) {
        a->done(a);
        return;
    }
    f->ask = a;
    f->fire.seen_us = -1;
    f->fire.next_us = DUE_NEVER;
    f->times_len = a->times_len;
    memcpy(f->times, a->times, a->times_len * sizeof(*a->times));
    firing_start(f, a->row);
}

/* ---- start and end ---- */

struct schedules *schedules_new(struct director *d, struct flow_env *env,
                                struct schedules_metrics *metrics)
{
    struct schedules *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->director = d;
    s->env = env;
    s->metrics = metrics;
    director_due_kind(d, DUE_SCHEDULE, schedule_is_due, s);
    director_due_kind(d, DUE_RUN, run_is_due, s);
    return s;
}

void schedules_free(struct schedules *s)
{
    size_t cursor = 0;
    struct slice key;
    void *value;
    if (!s)
        return;
    while (map_next(&s->busy, &cursor, &key, &value)) {
        due_stop(s->env, &((struct busy *)value)->due);
        free(value);
    }
    map_done(&s->busy);
    cursor = 0;
    while (map_next(&s->runs, &cursor, &key, &value)) {
        struct run *r = value;
        due_stop(s->env, &r->due);
        arena_free(r->arena);
        bytes_done(&r->call.answer);
        free(r);
    }
    map_done(&s->runs);
    free(s);
}
