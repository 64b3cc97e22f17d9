/* SPDX-License-Identifier: Apache-2.0
 *
 * Engine threads: set-up, routes, services for guests, stop. See worker.h and turn.c. */
#include "server/worker.h"
#include "server/asset_send.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/module_name.h"
#include "call/call.h"
#include "flow/activation.h"
#include "flow/witness.h"
#include "host/database.h"
#include "host/job.h"
#include "http/client.h"
#include "http/server.h"
#include "server/accounts.h"
#include "server/actor.h"
#include "server/alarm.h"
#include "server/execution_calls.h"
#include "server/place.h"
#include "server/policy.h"
#include "server/rates.h"
#include "server/route.h"
#include "server/slot.h"
#include "server/sql_use.h"
#include "server/statement_calls.h"
#include "server/turn.h"
#include "store/store.h"

enum { TRIM_MS = 2000 };

/* ---- services for guests ---- */

/* The slot is needed until its ops have ended, whatever becomes of their guests. */
static void worker_stand_begin(void *ctx, struct guest *g)
{
    struct slot *s = g->owner;
    s->fibers++;
}

static void worker_stand_end(void *ctx, struct guest *g, uint64_t cpu_ns)
{
    struct slot *s = g->owner;
    s->cpu_ns += cpu_ns;
    s->fibers--;
    slot_release(s);
}

static enum err worker_sql_take(void *ctx, struct guest *g, struct sql_conn **ret_conn,
                                struct sql_file **ret_file, struct error *ret_error)
{
    struct worker *w = ctx;
    struct database *b = g->deployment->database;
    if (g->actor)
        return actor_sql_take(g, ret_conn, ret_file, ret_error);
    enum err err = database_take(b, &w->loop, ret_conn, ret_error);
    if (err == OK)
        *ret_file = database_file(b);
    return err;
}

static void worker_sql_give(void *ctx, struct guest *g, struct sql_conn *conn)
{
    struct worker *w = ctx;
    if (g->actor)
        actor_sql_give(g, conn);
    else
        database_give(g->deployment->database, &w->loop, conn);
}

static void worker_log(void *ctx, const struct deployment *d, const struct dispatch *dispatch,
                       int level, struct slice text)
{
    struct worker *w = ctx;
    struct log_row row = {
        .function = d->name,
        .execution =
            dispatch && dispatch->kind == DISPATCH_EXECUTE ? dispatch->execution_id : SLICE_EMPTY,
        .level = level,
        .at_us = clock_wall_us(),
        .text = text,
    };
    store_log(w->server->store, NULL, &row);
}

/* A read for an op, on whose fiber this runs: the guest stands still until it is answered, or ended.
 */
struct worker_read {
    struct ask *ask;
    struct fiber_task *task;
};

static void worker_answered(struct ask *a)
{
    struct worker_read *r = a->owner;
    fiber_task_wake(r->task);
}

static enum op_status worker_read_start(void *arg)
{
    return ask_start(((struct worker_read *)arg)->ask);
}

static struct ask *worker_ask(struct worker *w, enum store_query_kind kind)
{
    return ask_new(&w->asks, kind, worker_answered, NULL);
}

/* ERR_CANCELLED: the guest is being ended. */
static enum err worker_read(struct ask *a, struct error *ret_error)
{
    struct worker_read r = {.ask = a, .task = fiber_task_current()};
    a->owner = &r;
    fiber_task_await(worker_read_start, &r);
    if (!a->is_answered)
        return error_set(ret_error, ERR_CANCELLED, "the code was ended");
    if (a->query.error.code != OK)
        *ret_error = a->query.error;
    return a->query.error.code;
}

static enum err worker_env_value(void *ctx, const struct deployment *d, struct slice name,
                                 int64_t version, struct bytes *out, struct error *ret_error)
{
    struct worker *w = ctx;
    CLEANUP(ask_cleanup) struct ask *a = worker_ask(w, STORE_QUERY_ENV_VALUE);
    a->query.env_value.function = arena_copy(a->arena, d->name);
    a->query.env_value.name = arena_copy(a->arena, name);
    a->query.env_value.version = version;
    a->query.env_value.out = &a->out;
    enum err err = worker_read(a, ret_error);
    if (err == OK)
        bytes_append_slice(out, bytes_slice(&a->out));
    return err;
}

/* A failure makes no harm: then the commit fails as well. */
static void worker_id_of_key(void *ctx, struct slice workflow, struct slice key, char ret_id[37])
{
    struct worker *w = ctx;
    struct error ignored;
    CLEANUP(ask_cleanup) struct ask *a = worker_ask(w, STORE_QUERY_DURABLE);
    char now[37];
    if (!module_name_is_in(workflow, SLICE_EMPTY)) { /* there were no others before */
        durable_id_of_key(workflow, key, ret_id);
        return;
    }
    durable_id_of_key_before(workflow, key, ret_id);
    durable_id_of_key(workflow, key, now);
    a->query.durable.id = arena_copy(a->arena, slice_cstr(ret_id));
    if (worker_read(a, &ignored) != OK)
        memcpy(ret_id, now, sizeof(now));
}

static enum err worker_workflow(void *ctx, struct slice name, struct error *ret_error)
{
    struct worker *w = ctx;
    CLEANUP(ask_cleanup) struct ask *a = worker_ask(w, STORE_QUERY_FUNCTION);
    a->query.function.name = arena_copy(a->arena, name);
    enum err err = worker_read(a, ret_error);
    const struct function_row *row = &a->query.function.row;
    name = a->query.function.name;
    if (err == OK && !module_is_durable(row->kind, row->exports))
        err = error_set(ret_error, ERR_NOT_FOUND, "'%.*s' is a %s that exports no workflow",
                        SLICE_ARG(name), module_kinds[row->kind].word);
    if (err == OK && row->version == 0)
        err = error_set(ret_error, ERR_NOT_READY, "no version of '%.*s' has been built",
                        SLICE_ARG(name));
    return err;
}

/* Nothing of one namespace is within the reach of another; the store and run_look.c see to it, too, for
 * executions that are not there yet. */
static enum err worker_may_reach(void *ctx, const struct deployment *d, struct slice execution,
                                 struct error *ret_error)
{
    struct worker *w = ctx;
    struct slice space = module_name_split(d->name).space;
    CLEANUP(ask_cleanup) struct ask *a = worker_ask(w, STORE_QUERY_DURABLE);
    execution = a->query.durable.id = arena_copy(a->arena, execution);
    enum err err = worker_read(a, ret_error);
    if (err == ERR_NOT_FOUND)
        return OK; /* it may be made in this very turn */
    if (err != OK || module_name_is_in(a->query.durable.row.workflow, space))
        return err;
    error_set(ret_error, ERR_FORBIDDEN,
              "execution '%.*s' is in another namespace than this code, '%.*s'",
              SLICE_ARG(slice_utf8_clip(execution, 64)), SLICE_ARG(space));
    error_hint(ret_error, "a workflow starts, signals, cancels and reads executions of its own "
                          "namespace only");
    return ERR_FORBIDDEN;
}

static bool worker_rate_limit(void *ctx, const struct deployment *d, struct slice scope,
                              struct slice key, uint32_t limit, uint32_t period_s)
{
    struct worker *w = ctx;
    return rates_take(w->server->rates, module_name_split(d->name).space, scope, key, limit,
                      period_s);
}

static enum err worker_owns(void *ctx, struct error *ret_error)
{
    struct worker *w = ctx;
    CLEANUP(ask_cleanup) struct ask *a = worker_ask(w, STORE_QUERY_OWNS);
    return worker_read(a, ret_error);
}

/* ---- calls ---- */

static const struct deployment *worker_deployment(void *ctx, struct slice module)
{
    struct worker *w = ctx;
    const struct slot *s = map_get(&w->routes, module);
    return s ? s->deployment : NULL;
}

static void worker_queue_sent(void *ctx, int64_t queue, int64_t due_us)
{
    const struct worker *w = ctx;
    queues_post(w->server->flow.queues, queue, due_us);
}

/* A module that is not known here is not known anywhere: then its call is refused here. */
static void worker_call(void *ctx, struct call *c, const struct call_events *events, void *user)
{
    struct worker *w = ctx, *to = w;
    if (c->request.files) {
        call_start(c, &w->loop, &w->loop, events, user, asset_accept, w);
        return;
    }
    const struct slot *s = map_get(&w->routes, c->request.module);
    if (s)
        to = c->request.actor.len > 0 ? actor_home(w->server, &c->request)
                                      : route_home(w, s->deployment);
    call_start(c, &w->loop, &to->loop, events, user, called_accept, to);
}

/* ---- routes ---- */

struct slot *worker_slot(struct worker *w, struct deployment *d)
{
    struct slot *s = map_get(&w->unnamed, slot_key(&d));
    if (!s) {
        s = slot_new(w, deployment_ref(d));
        s->is_unnamed = true;
        (void)map_put(&w->unnamed, slot_key(&d), s);
        slot_warm(s);
    }
    slot_use(s, clock_monotonic_ns());
    return s;
}

static struct slot *route_slot(struct worker *w, struct deployment *d)
{
    struct slot *s = slot_new(w, d);
    if (d->split)
        s->split = slot_new(w, deployment_ref(d->split));
    return s;
}

static void route_change(struct worker *w, struct slice name, struct deployment *d)
{
    struct slot *old =
        d ? map_put(&w->routes, name, route_slot(w, d)) : map_remove(&w->routes, name);
    if (module_name_is_in(name, SLICE_EMPTY))
        w->default_len += (d ? 1 : 0) - (old ? 1 : 0);
    for (size_t k = 0; old && k < old->deployment->routes_len; k++)
        route_table_remove(&w->hosts, &old->deployment->routes[k], old);
    for (size_t k = 0; d && k < d->routes_len; k++)
        route_table_add(&w->hosts, &d->routes[k], map_get(&w->routes, name));
    if (old)
        slot_retire(old);
}

static void change_arrived(struct post *p)
{
    struct worker_change *c = container_of(p, struct worker_change, post);
    struct worker *w = c->worker;
    if (c->space == WORKER_SPACE_MADE)
        (void)map_put(&w->spaces, c->name, w);
    else if (c->space == WORKER_SPACE_GONE)
        (void)map_remove(&w->spaces, c->name);
    else if (c->space != WORKER_SPACE_EGRESS)
        route_change(w, c->name, c->deployment);
    if (c->space != WORKER_SPACE_NONE) /* a new one of the name of another has none, either */
        policy_change(w, c->name, c->policy);
    w->host.is_divided = map_count(&w->spaces) > 0;
    c->done(c);
}

void worker_change(struct worker *w, struct worker_change *c)
{
    c->worker = w;
    c->post.fn = change_arrived;
    loop_post(&w->loop, &c->post);
}

/* ---- housekeeping ---- */

static void publish_gauges(struct worker *w)
{
    struct worker_metrics *m = &w->metrics;
    atomic_store_explicit(&m->isolates_live, w->guests_len, memory_order_relaxed);
    atomic_store_explicit(&m->isolates_idle, w->idle_len, memory_order_relaxed);
    atomic_store_explicit(&m->waiting, w->waiting_len, memory_order_relaxed);
    atomic_store_explicit(&m->warm, w->warm_len, memory_order_relaxed);
    atomic_store_explicit(&m->ops, w->host.ops, memory_order_relaxed);
    atomic_store_explicit(&m->restores, w->host.restores, memory_order_relaxed);
    atomic_store_explicit(&m->restore_ns, w->host.restore_ns, memory_order_relaxed);
    atomic_store_explicit(&m->isolates_made, w->host.isolates_made, memory_order_relaxed);
    atomic_store_explicit(&m->isolates_discarded, w->host.isolates_discarded, memory_order_relaxed);
    atomic_store_explicit(&m->connections, w->http ? http_server_connections(w->http) : 0,
                          memory_order_relaxed);
}

static uint32_t trim_ms(const struct worker *w)
{
    uint32_t rest_ms = w->server->config.rest_ms;
    return rest_ms < TRIM_MS ? rest_ms : TRIM_MS;
}

static void trim(struct timer *t)
{
    struct worker *w = container_of(t, struct worker, trim);
    witness_alive(w->server->witness, (unsigned)w->index, loop_now_ms(&w->loop));
    actors_trim(w);
    slots_trim(w);
    databases_trim(w->server->databases, &w->loop, w->server->config.rest_ms);
    timer_start(&w->loop, &w->trim, trim_ms(w), trim);
}

void worker_store_now(struct worker *w)
{
    if (!w->is_gathering)
        return;
    store_send(w->server->store);
    store_gather(w->server->store);
}

/* Gauges are published once a turn that did something; reading them needs no lock then. */
static void worker_turn(void *arg)
{
    struct worker *w = arg;
    store_gather(w->server->store); /* what this turn has to have stored is one transaction */
    w->is_gathering = true;
    turn_run(w);
    w->is_gathering = false;
    store_send(w->server->store);
    publish_gauges(w);
    if (flow_hears_soon(w->flow)) {
        (void)sched_yield(); /* to whoever wants this processor */
        loop_again(&w->loop);
    }
}

/* ---- thread ---- */

struct starting {
    struct worker *worker;
    int port;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_done;
    enum err err;
    struct error *error;
};

static enum err worker_open(struct worker *w, int port, struct error *ret_error)
{
    const struct config *c = &w->server->config;
    int n = c->threads;
    struct http_server_config config = {
        .host = c->http_host,
        .port = port,
        .tls = w->server->tls,
        .body_bytes_max = c->body_bytes_max,
        .connections_max = (c->connections_max + n - 1) / n,
        .account = accounts_server(w->server->accounts),
        .head_timeout_ms = c->head_timeout_ms,
        .idle_timeout_ms = c->idle_timeout_ms,
        .body_timeout_ms = c->body_timeout_ms,
    };
    struct http_handler handler = {w, public_on_request, public_on_body, public_on_drain,
                                   public_on_close};
    enum err err = http_client_new(&w->loop, c->resolver, &w->client, ret_error);
    if (err == OK)
        err = http_server_new(&w->loop, &config, &handler, &w->http, ret_error);
    if (err == OK && c->ca_file)
        http_client_set_ca_file(w->client, c->ca_file);
    w->host.client = w->client;
    return err;
}

static void worker_close_all(struct worker *w)
{
    size_t cursor = 0;
    struct slice name;
    void *slot;
    timer_stop(&w->loop, &w->trim);
    timer_stop(&w->loop, &w->unstall);
    w->is_over = true;
    if (w->http)
        http_server_close(w->http);
    w->http = NULL;
    actors_abandon(w);
    alarms_abandon(w);
    LIST_FOREACH (n, &w->slots)
        slot_abandon(container_of(n, struct slot, link));
    LIST_FOREACH (n, &w->slots) {
        struct slot *s = container_of(n, struct slot, link);
        if (s->is_unnamed)
            slot_retire(s);
    }
    while (map_next(&w->routes, &cursor, &name, &slot)) {
        (void)map_remove(&w->routes, name);
        slot_retire(slot);
        cursor = 0;
    }
    if (w->client)
        http_client_free(w->client);
    sql_uses_cancel(w);
    statement_calls_cancel(w);
    fiber_runner_drain(w->host.fiber_runner); /* statements of guests that have ended */
    flow_free(w->flow);
}

static void *worker_main(void *arg)
{
    struct starting *s = arg;
    struct worker *w = s->worker;
    enum err err = worker_open(w, s->port, s->error);
    pthread_mutex_lock(&s->mutex);
    s->err = err;
    s->is_done = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->mutex);
    if (err == OK) {
        timer_start(&w->loop, &w->trim, trim_ms(w), trim);
        loop_run(&w->loop);
    }
    worker_close_all(w);
    loop_done(&w->loop);
    asset_cache_done(&w->assets);
    fiber_runner_free(w->host.fiber_runner);
    job_runner_free(w->host.jobs);
    return NULL;
}

static void worker_init(struct worker *w, struct server *s, int index)
{
    const struct config *c = &s->config;
    unsigned n = (unsigned)c->threads;
    w->server = s;
    w->index = index;
    w->guests_max = (c->isolates_max + n - 1) / n;
    w->waiting_max = (c->queue_max + n - 1) / n;
    list_init(&w->slots);
    list_init(&w->stalled);
    list_init(&w->sql_uses);
    actors_init(w);
    list_init(&w->statement_calls);
    schedule_init(&w->fresh);
    schedule_init(&w->lengthy);
    list_init(&w->warm);
    list_init(&w->pools);
    loop_init(&w->loop);
    asset_cache_init(&w->assets, &w->loop, s->store);
    w->asks = (struct asks){.store = s->store, .loop = &w->loop};
    w->env = worker_env(w);
    w->flow = flow_new(&w->env);
    loop_on_turn(&w->loop, worker_turn, w);
    w->host = (struct guest_host){
        .ctx = w,
        .fiber_runner = fiber_runner_new(&w->loop),
        .jobs = job_runner_new(&w->loop),
        .asks = &w->asks,
        .loop = &w->loop,
        .egress = s->egress,
        .cache = s->cache,
        .socket_message_max = (size_t)s->config.websocket_message_max,
        .stand_begin = worker_stand_begin,
        .stand_end = worker_stand_end,
        .sql_take = worker_sql_take,
        .sql_give = worker_sql_give,
        .log = worker_log,
        .env_value = worker_env_value,
        .call = worker_call,
        .queue_sent = worker_queue_sent,
        .alarm = alarm_announce,
        .deployment = worker_deployment,
        .workflow = worker_workflow,
        .id_of_key = worker_id_of_key,
        .may_fetch = policy_may_fetch,
        .may_reach = worker_may_reach,
        .execution = execution_calls_start,
        .execution_drop = execution_calls_drop,
        .rate_limit = worker_rate_limit,
        .owns = worker_owns,
        .runnable = turn_runnable,
    };
}

static void worker_free(struct worker *w)
{
    map_done(&w->routes);
    route_table_done(&w->hosts);
    map_done(&w->spaces);
    policies_done(w);
    map_done(&w->unnamed);
    free(w);
}

enum err worker_start(struct server *s, int index, int port, struct worker **ret_worker,
                      struct error *ret_error)
{
    struct worker *w = calloc(1, sizeof(*w));
    CHECK(w);
    worker_init(w, s, index);
    struct starting start = {.worker = w, .port = port, .error = ret_error};
    CHECK(pthread_mutex_init(&start.mutex, NULL) == 0);
    CHECK(pthread_cond_init(&start.changed, NULL) == 0);
    CHECK(pthread_create(&w->thread, NULL, worker_main, &start) == 0);
    pthread_mutex_lock(&start.mutex);
    while (!start.is_done)
        pthread_cond_wait(&start.changed, &start.mutex);
    pthread_mutex_unlock(&start.mutex);
    pthread_cond_destroy(&start.changed);
    pthread_mutex_destroy(&start.mutex);
    if (start.err != OK) {
        pthread_join(w->thread, NULL);
        worker_free(w);
        return start.err;
    }
    *ret_worker = w;
    return OK;
}

int worker_port(const struct worker *w)
{
    return http_server_port(w->http);
}

/* ---- stop ---- */

static void asks_answered(void *arg)
{
    struct worker *w = arg;
    loop_stop(&w->loop);
}

/* Answers of the store come to this loop, also for those who are gone. */
static void flow_drained(void *arg)
{
    struct worker *w = arg;
    asks_await(&w->asks, asks_answered, w);
}

/* Executions need no grace: their journals have them. Only what is being committed is awaited. */
static void finish_arrived(struct post *p)
{
    struct worker *w = container_of(p, struct worker, finish);
    flow_drain(w->flow, flow_drained, w);
}

/* Others may still call modules of this thread, and it theirs: the last one tells all. */
static void finished(struct worker *w)
{
    struct server *s = w->server;
    if (w->is_finished)
        return;
    w->is_finished = true;
    if (atomic_fetch_sub(&s->workers_busy, 1) > 1)
        return;
    for (size_t k = 0; k < s->workers_len; k++) {
        s->workers[k]->finish.fn = finish_arrived;
        loop_post(&s->workers[k]->loop, &s->workers[k]->finish);
    }
}

static void drained(void *arg)
{
    struct worker *w = arg;
    timer_stop(&w->loop, &w->grace);
    finished(w);
}

static void grace_over(struct timer *t)
{
    struct worker *w = container_of(t, struct worker, grace);
    log_warn("requests were still running at the stop", LOG_INT("thread", w->index));
    finished(w);
}

static void stop_arrived(struct post *p)
{
    struct worker *w = container_of(p, struct worker, stop);
    if (w->is_draining)
        return;
    w->is_draining = true;
    timer_start(&w->loop, &w->grace, w->server->config.grace_ms, grace_over);
    LIST_FOREACH (n, &w->slots)
        slot_going_away(container_of(n, struct slot, link));
    http_server_drain(w->http, drained, w);
}

void workers_stop(struct server *s)
{
    atomic_store(&s->workers_busy, s->workers_len);
    for (size_t k = 0; k < s->workers_len; k++) {
        s->workers[k]->stop.fn = stop_arrived;
        loop_post(&s->workers[k]->loop, &s->workers[k]->stop);
    }
}

/* A thread may have been told something by another one when it had ended; that frees what it holds. */
void workers_join(struct server *s)
{
    bool has_more = true;
    for (size_t k = 0; k < s->workers_len; k++)
        pthread_join(s->workers[k]->thread, NULL);
    while (has_more) {
        has_more = false;
        for (size_t k = 0; k < s->workers_len; k++)
            has_more |= loop_deliver_late(&s->workers[k]->loop);
    }
    for (size_t k = 0; k < s->workers_len; k++)
        worker_free(s->workers[k]);
    s->workers_len = 0;
}
