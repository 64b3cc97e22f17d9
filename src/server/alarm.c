/* SPDX-License-Identifier: Apache-2.0
 *
 * See alarm.h. A row of the store comes to the thread of its actor as a message, and becomes a call of the
 * actor. What the row is next follows from how that ends; but the actor may have set it itself
 * meanwhile, before what it answers was known, and that is newer. */
#include "server/alarm.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "call/call.h"
#include "flow/director.h"
#include "host/actor_id.h"
#include "server/actor.h"
#include "server/invocation.h"
#include "store/store.h"

enum {
    ALARM_AGAIN_MS = 2000,         /* the actor could not be asked, or has ended in it */
    ALARM_MISSING_MS = 600 * 1000, /* its module is not there: perhaps it comes back */
};

/* One that is under way; in worker->alarms by its key. */
struct alarm {
    struct worker *worker;
    struct bytes key;
    struct call *call;
    uint64_t sets; /* worker->alarm_sets when it began */
    bool is_again; /* it has become due meanwhile */
};

/* ---- rows ---- */

static void key_of(const struct guest *g, struct bytes *out)
{
    bytes_printf(out, "%.*s/%.*s/%.*s", SLICE_ARG(g->deployment->name), SLICE_ARG(g->actor->origin),
                 SLICE_ARG(g->actor->id));
}

static bool key_split(struct slice key, struct call_request *ret)
{
    if (key.len < ACTOR_ID_LEN + 2 || key.ptr[key.len - ACTOR_ID_LEN - 1] != '/')
        return false;
    ret->actor = slice_skip(key, key.len - ACTOR_ID_LEN);
    struct slice rest = slice_of(key.ptr, key.len - ACTOR_ID_LEN - 1);
    size_t at = rest.len;
    while (at > 0 && rest.ptr[at - 1] != '/')
        at--;
    if (at < 2)
        return false;
    ret->actor_class = slice_skip(rest, at);
    ret->module = slice_of(rest.ptr, at - 1);
    return true;
}

/* A row that is being set. Who waits for it may go. */
struct row_set {
    struct store_op op;
    struct worker *worker;
    struct due_row row;
    struct bytes key, module;
    struct fiber_task *task; /* NULL: nobody waits */
    bool is_done;
};

static void row_free(struct row_set *r)
{
    bytes_done(&r->key);
    bytes_done(&r->module);
    free(r);
}

static void row_done(struct store_op *op)
{
    struct row_set *r = container_of(op, struct row_set, op);
    r->is_done = true;
    if (op->error.code == OK)
        director_due_post(r->worker->server->flow.director, &r->row);
    else if (!r->task)
        log_warn("when an alarm is due could not be stored: it comes again after a restart",
                 LOG_SLICE("actor", r->row.key), LOG_STR("error", op->error.message));
    if (r->task)
        fiber_task_wake(r->task);
    else
        row_free(r);
}

static struct row_set *row_new(struct worker *w, struct slice key, struct slice module,
                               int64_t due_us)
{
    struct row_set *r = calloc(1, sizeof(*r));
    CHECK(r);
    r->worker = w;
    bytes_append_slice(&r->key, key);
    bytes_append_slice(&r->module, module);
    r->row = (struct due_row){.kind = DUE_ALARM,
                              .key = bytes_slice(&r->key),
                              .module = bytes_slice(&r->module),
                              .due_us = due_us};
    r->op.loop = &w->loop;
    r->op.done = row_done;
    return r;
}

static void row_set_now(struct worker *w, struct slice key, int64_t due_us)
{
    struct call_request parts = {0};
    if (!key_split(key, &parts))
        return;
    struct row_set *r = row_new(w, key, parts.module, due_us);
    store_due_set(w->server->store, &r->op, &r->row);
}

static enum op_status announce_start(void *arg)
{
    struct row_set *r = arg;
    store_due_set(r->worker->server->store, &r->op, &r->row);
    return OP_PENDING;
}

enum err alarm_announce(void *ctx, struct guest *g, int64_t due_us, struct error *ret_error)
{
    struct worker *w = ctx;
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    key_of(g, &key);
    w->alarm_sets++;
    actor_alarm_is_set(g, w->alarm_sets);
    struct row_set *r = row_new(w, bytes_slice(&key), g->deployment->name, due_us);
    r->task = fiber_task_current();
    fiber_task_await(announce_start, r);
    if (!r->is_done) { /* its guest has ended: nobody waits any more */
        r->task = NULL;
        return error_set(ret_error, ERR_CANCELLED, "the actor was ended");
    }
    enum err err = r->op.error.code;
    if (err != OK)
        *ret_error = r->op.error;
    row_free(r);
    return err;
}

/* ---- the call ---- */

static void alarm_start(struct worker *w, struct slice key);

static void alarm_free(struct alarm *a)
{
    (void)map_remove(&a->worker->alarms, bytes_slice(&a->key));
    bytes_done(&a->key);
    free(a);
}

static void on_value(struct call *c, void *user, struct slice value)
{
    struct alarm *a = user;
    struct worker *w = a->worker;
    int64_t next_us;
    /* It is in memory: the answer is leaving it. */
    if (!a->is_again && actor_alarm_next(w, &c->request, a->sets, &next_us))
        row_set_now(w, bytes_slice(&a->key), next_us == INT64_MAX ? DUE_NEVER : next_us);
}

static void on_failed(struct call *c, void *user, const struct call_failure *f)
{
    struct alarm *a = user;
    int64_t ms = f->error.code == ERR_NOT_FOUND ? ALARM_MISSING_MS : ALARM_AGAIN_MS;
    a->is_again = false;
    if (!a->worker->is_over)
        row_set_now(a->worker, bytes_slice(&a->key), clock_wall_us() + ms * 1000);
}

static void on_over(struct call *c, void *user)
{
    struct alarm *a = user;
    struct worker *w = a->worker;
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    if (a->is_again)
        bytes_append_slice(&key, bytes_slice(&a->key));
    call_end(TAKE(a->call), CALL_CALLER);
    alarm_free(a);
    if (key.len > 0 && !w->is_over)
        alarm_start(w, bytes_slice(&key));
}

static const struct call_events events = {.value = on_value, .failed = on_failed, .over = on_over};

static void alarm_start(struct worker *w, struct slice key)
{
    struct call_request parts = {0};
    if (!key_split(key, &parts))
        return;
    struct alarm *a = map_get(&w->alarms, key);
    if (a) {
        a->is_again = true;
        return;
    }
    const struct slot *s = map_get(&w->routes, parts.module);
    a = calloc(1, sizeof(*a));
    CHECK(a);
    a->worker = w;
    a->sets = w->alarm_sets;
    bytes_append_slice(&a->key, key);
    (void)map_put(&w->alarms, key, a);
    struct call *c = a->call = call_new(CALL_METHOD, s ? s->deployment->account : NULL);
    struct call_request *r = &c->request;
    r->module = arena_copy(c->arena, parts.module);
    r->actor_class = arena_copy(c->arena, parts.actor_class);
    r->entrypoint = s ? arena_copy(c->arena, deployment_actor_class(s->deployment, r->actor_class))
                      : r->actor_class;
    r->actor = arena_copy(c->arena, parts.actor);
    r->method = SLICE_LIT("alarm");
    r->what = CALL_WHAT_ALARM;
    call_start(c, &w->loop, &w->loop, &events, a, called_accept, w);
}

/* ---- from the director ---- */

struct wake {
    struct post post;
    struct worker *worker;
    struct bytes key;
};

static void wake_arrived(struct post *p)
{
    struct wake *k = container_of(p, struct wake, post);
    if (!k->worker->is_over)
        alarm_start(k->worker, bytes_slice(&k->key));
    bytes_done(&k->key);
    free(k);
}

static void alarm_due(void *ctx, const struct due_row *row)
{
    struct server *s = ctx;
    struct call_request parts = {0};
    if (!key_split(row->key, &parts)) {
        log_warn("a row of an alarm is malformed", LOG_SLICE("key", row->key));
        return;
    }
    struct wake *k = calloc(1, sizeof(*k));
    CHECK(k);
    k->worker = actor_home(s, &parts);
    k->post.fn = wake_arrived;
    bytes_append_slice(&k->key, row->key);
    loop_post(&k->worker->loop, &k->post);
}

void alarms_direct(struct director *d, struct server *s)
{
    director_due_kind(d, DUE_ALARM, alarm_due, s);
}

/* Their calls have been told that they are over, or are now. The store has the rows. */
void alarms_abandon(struct worker *w)
{
    size_t cursor = 0;
    struct slice key;
    void *at;
    while (map_next(&w->alarms, &cursor, &key, &at)) {
        struct alarm *a = at;
        if (a->call)
            call_end(TAKE(a->call), CALL_CALLER);
        alarm_free(a);
        cursor = 0;
    }
    map_done(&w->alarms);
}
