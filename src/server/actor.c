/* SPDX-License-Identifier: Apache-2.0
 *
 * See actor.h. Whatever is called here may be the end of the actor: such calls stand last. */
#include "server/actor.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "call/call.h"
#include "host/actor_id.h"
#include "host/database.h"
#include "server/actor_files.h"
#include "server/invocation.h"
#include "server/slot.h"
#include "server/turn.h"

enum {
    ACTOR_IDLE_MS =
        10 * 1000, /* stays so long after its last event, as long as nobody wants the room */
    ACTOR_MAILBOX_MAX = 1024, /* calls that wait for one */
    ACTOR_CALLS_MAX = 8192,   /* that one has taken up */
};

enum actor_state { ACTOR_PREPARING, ACTOR_QUEUED, ACTOR_LIVE };

struct actor {
    struct worker *worker;
    struct slot *slot; /* of the version that it runs, or is to run; held by its invocations */
    enum actor_state state;
    struct bytes key; /* of worker->actors */
    struct guest_actor self;
    struct guest *guest; /* LIVE */
    struct prepare prepare;
    struct task task;
    struct list mailbox; /* struct invocation, by waiting */
    unsigned mailbox_len, calls;
    struct list member; /* slot->actors */
    struct list idle;   /* worker->actors_idle, if it could go */
    uint64_t idle_ms;   /* since then */
    uint64_t alarm_set; /* the last time: of worker->alarm_sets */
    bool is_retired;    /* its version does not serve any more */
};

/* ---- by key ---- */

static void key_of(const struct call_request *r, struct bytes *out)
{
    bytes_append_slice(out, r->module);
    bytes_append_char(out, '\0');
    bytes_append_slice(out, r->actor_class);
    bytes_append_char(out, '\0');
    bytes_append_slice(out, r->actor);
}

struct worker *actor_home(struct server *s, const struct call_request *r)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    key_of(r, &key);
    return s->workers[slice_hash(bytes_slice(&key)) % s->workers_len];
}

/* ---- mailbox ---- */

static void mailbox_push(struct actor *a, struct invocation *v)
{
    v->stage = INVOCATION_QUEUED;
    v->actor = a;
    list_push_back(&a->mailbox, &v->waiting);
    a->mailbox_len++;
}

static struct invocation *mailbox_pop(struct actor *a)
{
    struct list *n = list_pop_front(&a->mailbox);
    if (!n)
        return NULL;
    a->mailbox_len--;
    return container_of(n, struct invocation, waiting);
}

void actor_withdraw(struct invocation *v)
{
    if (!list_is_linked(&v->waiting))
        return;
    list_remove(&v->waiting);
    v->actor->mailbox_len--;
}

void actor_answered(struct invocation *v)
{
    v->actor->calls--;
}

static void mailbox_fail(struct actor *a, const struct error *error)
{
    struct invocation *v;
    while ((v = mailbox_pop(a)))
        invocation_fail(v, error);
}

/* ---- its life ---- */

static void unidle(struct actor *a)
{
    list_remove(&a->idle);
}

static void let_slot_go(struct actor *a)
{
    struct slot *s = TAKE(a->slot);
    list_remove(&a->member);
    s->invocations--;
    slot_release(s);
}

static void actor_free(struct actor *a)
{
    struct worker *w = a->worker;
    CHECK(!a->guest && list_is_empty(&a->mailbox));
    w->rested++; /* of many the memory goes back to the system: slots_trim() */
    unidle(a);
    (void)map_remove(&w->actors, bytes_slice(&a->key));
    w->actors_len--;
    databases_leave(w->server->databases, a->self.database);
    let_slot_go(a);
    bytes_done(&a->key);
    free(a);
}

static void actor_begin(struct actor *a);

/* Its memory goes. The isolate is pristine again, for others. error: of what it has not answered; NULL: it
 * has nothing. */
static void end_guest(struct actor *a, const struct error *error)
{
    struct guest *g = TAKE(a->guest);
    struct slot *s = a->slot;
    if (!g)
        return;
    unidle(a);
    s->invocations++;
    guest_end(g, error);
    a->self.blocker = NULL;
    a->self.is_over = false;
    a->self.alarm_us = INT64_MAX;
    turn_give_back(a->worker, g);
    s->invocations--;
}

/* It has no isolate. Who has come meanwhile gets a new instance, of the version that serves now. */
static void go(struct actor *a)
{
    struct worker *w = a->worker;
    struct error e;
    if (list_is_empty(&a->mailbox)) {
        actor_free(a);
        return;
    }
    if (a->is_retired) {
        const struct slot *old = a->slot;
        struct slot *s = map_get(&w->routes, old->deployment->name);
        if (!s || w->is_over) {
            error_set(&e, w->is_over ? ERR_UNAVAILABLE : ERR_NOT_FOUND,
                      w->is_over ? "the server is stopping"
                                 : "there is no function '%.*s' any more",
                      SLICE_ARG(old->deployment->name));
            mailbox_fail(a, &e);
            actor_free(a);
            return;
        }
        let_slot_go(a);
        a->slot = s;
        a->self.class = deployment_actor_class(s->deployment, a->self.origin);
        a->is_retired = false;
        s->invocations++;
        list_push_back(&s->actors, &a->member);
    }
    actor_begin(a);
}

static void leave(struct actor *a)
{
    end_guest(a, NULL);
    go(a);
}

/* ---- calls ---- */

static void hand_over(struct actor *a, struct invocation *v)
{
    unidle(a);
    v->stage = INVOCATION_RUNNING;
    v->actor = a;
    a->calls++;
    a->slot->requests++;
    guest_add(a->guest, &v->dispatch);
}

static bool takes_calls(const struct actor *a)
{
    return a->state == ACTOR_LIVE && a->guest && !a->self.is_over && !a->is_retired;
}

/* ---- PREPARING, QUEUED ---- */

static void refuse_all(struct actor *a, const struct error *error)
{
    mailbox_fail(a, error);
    actor_free(a);
}

static bool task_start(struct task *t, struct guest *g)
{
    struct actor *a = container_of(t, struct actor, task);
    struct invocation *v;
    a->state = ACTOR_LIVE;
    a->guest = g;
    g->actor = &a->self;
    g->run = a;
    while ((v = mailbox_pop(a)))
        hand_over(a, v);
    return true;
}

static void task_refuse(struct task *t, const struct error *error)
{
    refuse_all(container_of(t, struct actor, task), error);
}

static void prepared(struct prepare *p, const struct error *error)
{
    struct actor *a = container_of(p, struct actor, prepare);
    if (error->code != OK) {
        refuse_all(a, error);
        return;
    }
    if (list_is_empty(&a->mailbox)) {
        actor_free(a);
        return;
    }
    a->state = ACTOR_QUEUED;
    turn_enqueue(a->worker, &a->task);
}

static void actor_begin(struct actor *a)
{
    a->state = ACTOR_PREPARING;
    a->prepare = (struct prepare){.slot = a->slot, .execution_id = a->self.id, .done = prepared};
    a->task = (struct task){.slot = a->slot,
                            .start = task_start,
                            .refuse = task_refuse,
                            .is_call = true,
                            .is_own = true};
    prepare_start(&a->prepare);
}

/* ---- LIVE ---- */

static void died(struct actor *a)
{
    struct error e;
    metric_add(&a->worker->metrics.guest_deaths, 1);
    error_set(&e, ERR_UNAVAILABLE, "the actor was reset");
    end_guest(a, &e);
    go(a);
}

void actor_stepped(struct guest *g, enum guest_status status)
{
    struct actor *a = g->run;
    CHECK(a->guest == g);
    if (status == GUEST_DEAD) {
        died(a);
        return;
    }
    if (status != GUEST_FINISHED || g->is_queued) {
        unidle(a);
        return;
    }
    if (a->self.is_over || a->is_retired) {
        leave(a);
        return;
    }
    unidle(a);
    a->idle_ms = loop_now_ms(&a->worker->loop);
    list_push_back(&a->worker->actors_idle, &a->idle);
}

/* ---- arrival ---- */

static struct actor *actor_new(struct slot *s, const struct call_request *r, struct slice key)
{
    struct worker *w = s->worker;
    struct actor *a = calloc(1, sizeof(*a));
    CHECK(a);
    a->worker = w;
    a->slot = s;
    s->invocations++;
    list_push_back(&s->actors, &a->member);
    list_init(&a->mailbox);
    /* The key, and then what it does not have. */
    bytes_append_slice(&a->key, key);
    bytes_append_slice(&a->key, r->actor_name);
    bytes_append_slice(&a->key, r->entrypoint);
    const char *origin = a->key.ptr + r->module.len + 1;
    a->self.origin = slice_of(origin, r->actor_class.len);
    a->self.id = slice_of(origin + r->actor_class.len + 1, r->actor.len);
    a->self.name = slice_of(a->key.ptr + key.len, r->actor_name.len);
    a->self.class = slice_of(a->key.ptr + key.len + r->actor_name.len, r->entrypoint.len);
    a->key.len = key.len;
    a->self.alarm_us = a->self.alarm_next_us = INT64_MAX;
    (void)map_put(&w->actors, bytes_slice(&a->key), a);
    w->actors_len++;
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    actor_files_path(s->deployment->database, a->self.origin, a->self.id, &path);
    a->self.database =
        databases_get_one_of_many(w->server->databases, bytes_cstr(&path), s->deployment->account);
    return a;
}

/* Of a slot that shares its requests with another version: the one that has this actor. */
static struct slot *split_of(struct slot *s, struct slice key)
{
    return s->split && slice_hash(key) / 7 % STORE_SPLIT_ALL < s->deployment->split_permyriad
               ? s->split
               : s;
}

static void refuse_overload(struct call *c)
{
    struct error e;
    error_set(&e, ERR_OVERLOAD,
              "Durable Object is overloaded. Too many requests wait for the same "
              "object");
    error_hint(&e, "spread them over several objects");
    call_refuse(c, &e);
}

void actor_accept(struct slot *s, struct call *c)
{
    struct worker *w = s->worker;
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    key_of(&c->request, &key);
    s = split_of(s, bytes_slice(&key));
    struct actor *a = map_get(&w->actors, bytes_slice(&key));
    if (a && (a->mailbox_len >= ACTOR_MAILBOX_MAX || a->calls >= ACTOR_CALLS_MAX)) {
        refuse_overload(c);
        return;
    }
    if (a && a->slot != s)
        a->is_retired = true; /* as soon as it can */
    bool is_new = !a;
    if (!a)
        a = actor_new(s, &c->request, bytes_slice(&key));
    struct invocation *v = called_take_up(s, c);
    if (takes_calls(a)) {
        hand_over(a, v);
        return;
    }
    mailbox_push(a, v);
    if (is_new)
        actor_begin(a);
    else if (a->state == ACTOR_LIVE && list_is_linked(&a->idle))
        leave(a); /* it is of another version: the new one is to come */
}

/* ---- its database ---- */

enum err actor_sql_take(struct guest *g, struct sql_conn **ret_conn, struct sql_file **ret_file,
                        struct error *ret_error)
{
    struct database *b = g->actor->database;
    enum err err = database_is_open(b) ? OK : actor_files_make_folders(database_path(b), ret_error);
    if (err == OK)
        err = database_take(b, g->host->loop, ret_conn, ret_error);
    if (err == OK)
        *ret_file = database_file(b);
    return err;
}

void actor_sql_give(struct guest *g, struct sql_conn *conn)
{
    database_give(g->actor->database, g->host->loop, conn);
}

/* ---- its alarm ---- */

void actor_alarm_is_set(struct guest *g, uint64_t number)
{
    struct actor *a = g->run;
    a->alarm_set = number;
}

bool actor_alarm_next(struct worker *w, const struct call_request *r, uint64_t since,
                      int64_t *ret_next_us)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    key_of(r, &key);
    const struct actor *a = map_get(&w->actors, bytes_slice(&key));
    if (!a || a->alarm_set > since)
        return false;
    *ret_next_us = a->self.alarm_next_us;
    return true;
}

/* ---- all of a thread ---- */

void actors_init(struct worker *w)
{
    list_init(&w->actors_idle);
}

bool actors_reclaim(struct worker *w)
{
    struct list *n = list_first(&w->actors_idle);
    if (!n)
        return false;
    leave(container_of(n, struct actor, idle));
    return true;
}

void actors_trim(struct worker *w)
{
    uint64_t now = loop_now_ms(&w->loop);
    uint64_t idle_ms =
        w->server->config.rest_ms < ACTOR_IDLE_MS ? w->server->config.rest_ms : ACTOR_IDLE_MS;
    struct list *n;
    while ((n = list_first(&w->actors_idle)) &&
           now - container_of(n, struct actor, idle)->idle_ms >= idle_ms)
        (void)actors_reclaim(w);
}

void actors_retire(struct slot *s)
{
    struct list looked_at, *n;
    list_init(&looked_at);
    list_splice_back(&looked_at, &s->actors);
    while ((n = list_pop_front(&looked_at))) {
        struct actor *a = container_of(n, struct actor, member);
        list_push_back(&s->actors, n);
        a->is_retired = true;
        if (list_is_linked(&a->idle))
            leave(a);
    }
}

void actors_abandon(struct worker *w)
{
    struct error e;
    size_t cursor = 0;
    struct slice key;
    void *at;
    error_set(&e, ERR_UNAVAILABLE, "the server is stopping");
    while (map_next(&w->actors, &cursor, &key, &at)) {
        struct actor *a = at;
        mailbox_fail(a, &e);
        if (a->state == ACTOR_QUEUED)
            turn_withdraw(&a->task);
        end_guest(a, &e);
        if (a->state == ACTOR_PREPARING)
            (void)map_remove(&w->actors, key); /* it is freed when its code is there */
        else
            actor_free(a);
        cursor = 0;
    }
    map_done(&w->actors);
}
