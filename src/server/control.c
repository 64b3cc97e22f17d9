/* SPDX-License-Identifier: Apache-2.0
 *
 * See control.h. The program's start and stop, and what the admin API asks of the server. */
#include "server/control.h"
#include "server/accounts.h"
#include "server/event.h"
#include "server/execute.h"
#include "server/statement_calls.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/admin.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "flow/director.h"
#include "flow/queues.h"
#include "flow/schedules.h"
#include "host/database.h"
#include "host/guest.h"
#include "host/runtimes.h"
#include "loop/work.h"
#include "module/deployment.h"
#include "module/runtime.h"
#include "sandbox/isolate.h"
#include "server/alarm.h"
#include "server/deployments.h"
#include "server/metrics.h"
#include "server/usage.h"
#include "server/worker.h"
#include "store/store.h"

/* One asking of the control API. */
struct admin_usage_wait {
    struct usage_wait wait;
    struct admin_usage *admin;
};

struct control {
    struct server *server;
    struct loop loop;
    struct admin *admin;
    struct asks asks; /* reads of the store */
    struct deployments *deployments;
    struct flow_env env;
    struct flow **flows; /* of the workers */
    struct director *director;
    struct schedules *schedules;
    struct queues *queues;
    struct usage *usage;
    struct usage_wait last_usage;
    unsigned next_worker;
    uv_signal_t signals[2];
    bool is_started, is_stopping, has_stopper;
    struct error error; /* of the start */
    void (*ready)(void *arg);
    void *ready_arg;
    pthread_t stopper;
    struct post stopped;
};

struct loop *control_loop(struct control *c)
{
    return &c->loop;
}

int control_admin_port(const struct control *c)
{
    return admin_port(c->admin);
}

/* ---- what the admin API asks for ---- */

struct removal {
    struct work work;
    struct server *server;
    size_t name_len;
    char name[];
};

static void removal_run(struct work *w)
{
    struct removal *r = container_of(w, struct removal, work);
    images_remove(r->server, slice_of(r->name, r->name_len));
}

static void removal_done(struct work *w)
{
    free(container_of(w, struct removal, work));
}

static void remove_images(struct control *c, struct slice name)
{
    struct removal *r = calloc(1, sizeof(*r) + name.len);
    CHECK(r);
    *r = (struct removal){.work = {.run = removal_run, .done = removal_done},
                          .server = c->server,
                          .name_len = name.len};
    memcpy(r->name, name.ptr, name.len);
    work_start(&c->loop, &r->work);
}

static void host_change(void *ctx, struct admin_change *request)
{
    struct control *c = ctx;
    if (request->kind == ADMIN_DELETED) {
        director_removed(c->director);
        remove_images(c, request->function);
        accounts_forget(c->server->accounts, request->function);
    }
    if (request->kind == ADMIN_CHANGED)
        schedules_deployed(c->schedules, request->function);
    queues_declared(c->queues);
    deployments_change(c->deployments, request);
}

static enum err no_runtime(struct slice name, struct error *ret_error)
{
    return error_set(ret_error, ERR_UNAVAILABLE, "this server has no runtime '%.*s'",
                     SLICE_ARG(name));
}

static enum err host_evaluate(void *ctx, struct slice function, const struct build_output *built,
                              const struct version_options *options, uint32_t *ret_exports,
                              struct build_failure *ret_failure, struct error *ret_error)
{
    struct control *c = ctx;
    struct runtime *runtime = runtimes_find(c->server->runtimes, options->runtime);
    struct guest_load load = {
        .name = function,
        .code = bytes_slice(&built->artifact),
        .memory_bytes_max =
            options->memory_mb ? (size_t)options->memory_mb << 20 : LIMIT_GUEST_MEMORY_BYTES,
        .cpu_ns_max = config_build_cpu_ns(&c->server->config, (uint64_t)options->cpu_ms * 1000000),
    };
    enum err err =
        runtime ? guest_load(runtime, &load, ret_error) : no_runtime(options->runtime, ret_error);
    if (err == OK) {
        char hash[65];
        *ret_exports = load.exports;
        images_hash(load.code, hash); /* so that its first call need not evaluate it again */
        if (!load.has_drawn) /* else the version, which is not made yet, has numbers of its own */
            images_put(c->server, runtime, function, slice_cstr(hash), load.image);
    } else {
        bytes_append_cstr(&ret_failure->message, ret_error->message);
    }
    if (err != OK && runtime && runtime->type->locate) {
        const struct build_trouble trouble = {.module = function,
                                              .artifact = load.code,
                                              .detail = bytes_slice(&built->detail),
                                              .message = slice_cstr(ret_error->message),
                                              .stack = bytes_slice(&load.error_stack)};
        runtime->type->locate(&trouble, ret_failure);
    }
    image_unref(load.image);
    bytes_done(&load.error_name);
    bytes_done(&load.error_stack);
    bytes_done(&load.workflows);
    return err;
}

static void host_execute(void *ctx, struct admin_execute *e)
{
    struct control *c = ctx;
    execute_start(&c->loop, c->server->workers[c->next_worker++ % c->server->workers_len], e);
}

static void host_statements(void *ctx, struct admin_statements *s)
{
    struct control *c = ctx;
    struct worker *to = c->server->workers[c->next_worker++ % c->server->workers_len];
    statement_calls_start(&c->loop, to, s);
}

static void host_database_gone(void *ctx, struct slice space, int64_t resource)
{
    struct control *c = ctx;
    struct database *b = databases_resource(c->server, space, resource);
    databases_remove(c->server->databases, b, &c->loop);
    database_unref(b);
}

static void host_durable(void *ctx, struct flow_request *d)
{
    struct control *c = ctx;
    director_request(c->director, d);
}

static void host_durable_cancel(void *ctx, struct flow_request *d)
{
    struct control *c = ctx;
    director_cancel(c->director, d);
}

static void host_metrics(void *ctx, struct bytes *out)
{
    struct control *c = ctx;
    metrics_write(c->server, out);
}

static void host_schedule_look(void *ctx, int64_t id)
{
    struct control *c = ctx;
    schedules_look(c->schedules, id);
}

static void host_queue_look(void *ctx, int64_t queue)
{
    struct control *c = ctx;
    queues_look(c->queues, queue);
}

static void host_schedule_ask(void *ctx, struct schedule_ask *a)
{
    struct control *c = ctx;
    schedules_ask(c->schedules, a);
}

/* ---- usage and quotas ---- */

static void usage_flushed(struct usage_wait *w)
{
    struct admin_usage *u = container_of(w, struct admin_usage_wait, wait)->admin;
    u->error = w->error;
    free(container_of(w, struct admin_usage_wait, wait));
    u->done(u);
}

static void host_usage(void *ctx, struct admin_usage *u)
{
    struct control *c = ctx;
    struct admin_usage_wait *w = calloc(1, sizeof(*w));
    CHECK(w);
    w->admin = u;
    w->wait.done = usage_flushed;
    usage_flush(c->usage, &w->wait);
}

static int64_t host_stored_bytes(void *ctx, struct slice module)
{
    struct control *c = ctx;
    return (int64_t)accounts_held(c->server->accounts, module, RESOURCE_DISK);
}

static bool host_quota_look(void *ctx, const struct quota_row *owner, enum resource r,
                            struct admin_quota *ret_quota)
{
    struct control *c = ctx;
    struct accounts *a = c->server->accounts;
    if (!accounts_has_quota(a, r, &ret_quota->least, &ret_quota->most))
        return false;
    if (owner->module.len > 0) {
        struct account *of = owner->is_namespace ? accounts_namespace(a, owner->module)
                                                 : accounts_module(a, owner->module);
        ret_quota->used = budget_used(&of->budgets[r]);
        account_unref(of);
    }
    ret_quota->otherwise =
        owner->is_namespace ? accounts_namespace_default(a, r) : accounts_default(a, r);
    return true;
}

static enum err host_disk_left(void *ctx, struct slice module, struct error *ret_error)
{
    struct control *c = ctx;
    struct account *of = accounts_module(c->server->accounts, module);
    enum err err = account_take(of, RESOURCE_DISK, 1, ret_error);
    if (err == OK)
        account_give(of, RESOURCE_DISK, 1);
    else
        error_hint(ret_error, "delete rows, executions or versions, or raise the quota disk_bytes");
    account_unref(of);
    return err;
}

static enum err host_routes_check(void *ctx, struct slice module, struct slice lines,
                                  struct error *ret_error)
{
    return deployments_routes_check(((struct control *)ctx)->deployments, module, lines, ret_error);
}

static void host_routes_hold(void *ctx, struct slice module, struct slice lines)
{
    deployments_routes_hold(((struct control *)ctx)->deployments, module, lines);
}

static void host_routes_list(void *ctx, struct slice space, struct json_writer *w)
{
    deployments_routes_list(((struct control *)ctx)->deployments, space, w);
}

/* ---- start ---- */

/* Our listeners share their port among threads (SO_REUSEPORT), so another server of the same user
 * could share it too and get half of the requests. Binding once without sharing finds that out. */
static enum err check_port_is_free(const char *host, int port, struct error *ret_error)
{
    struct addrinfo *list = NULL, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    char service[8];
    snprintf(service, sizeof(service), "%d", port);
    if (port == 0 || getaddrinfo(host, service, &hints, &list) != 0)
        return OK; /* any port; or an address whose error the listener reports */
    enum err err = OK;
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, list->ai_addr, list->ai_addrlen) != 0 && errno == EADDRINUSE) {
            err = error_set(ret_error, ERR_CONFLICT, "%s:%d is in use by another program", host,
                            port);
            error_hint(ret_error, "stop it, or choose other ports with --http and --addr");
        }
        close(fd);
    }
    freeaddrinfo(list);
    return err;
}

static enum err start_workers(struct control *c, struct error *ret_error)
{
    struct server *s = c->server;
    int port = s->config.http_port;
    enum err free_err = check_port_is_free(s->config.http_host, port, ret_error);
    if (free_err == OK)
        free_err = check_port_is_free(s->config.admin_host, s->config.admin_port, ret_error);
    if (free_err != OK)
        return free_err;
    s->workers = calloc((size_t)s->config.threads, sizeof(struct worker *));
    CHECK(s->workers);
    for (int k = 0; k < s->config.threads; k++) {
        enum err err = worker_start(s, k, port, &s->workers[k], ret_error);
        if (err != OK)
            return err;
        s->workers_len++;
        port = worker_port(s->workers[0]);
    }
    return OK;
}

static void on_signal(uv_signal_t *handle, int number);

static enum err start_admin(struct control *c, struct error *ret_error)
{
    const struct config *config = &c->server->config;
    struct admin_config admin = {
        .host = config->admin_host,
        .port = config->admin_port,
        .token = config->admin_token,
        .esbuild = config->esbuild,
        .public_port = worker_port(c->server->workers[0]),
        .is_public_tls = config->tls_cert != NULL,
    };
    struct admin_host host = {.ctx = c,
                              .evaluate = host_evaluate,
                              .change = host_change,
                              .execute = host_execute,
                              .statements = host_statements,
                              .database_gone = host_database_gone,
                              .metrics = host_metrics,
                              .durable = host_durable,
                              .durable_cancel = host_durable_cancel,
                              .usage = host_usage,
                              .stored_bytes = host_stored_bytes,
                              .quota_look = host_quota_look,
                              .disk_left = host_disk_left,
                              .schedule_look = host_schedule_look,
                              .schedule_ask = host_schedule_ask,
                              .queue_look = host_queue_look,
                              .routes = {host_routes_check, host_routes_hold, host_routes_list}};
    return admin_new(&c->loop, &admin, c->server->store, &host, &c->admin, ret_error);
}

enum err control_new(struct server *s, struct control **ret_control, struct error *ret_error)
{
    struct control *c = calloc(1, sizeof(*c));
    CHECK(c);
    c->server = s;
    s->control = c;
    s->flow.late = metrics_late;
    s->flow.late_ctx = &s->wake_lateness;
    s->schedules.late = metrics_late;
    s->schedules.late_ctx = &s->schedule_lateness;
    s->flow.snapshot_after = s->config.snapshot_after;
    s->flow.verifies_replay = s->config.verifies_replay;
    loop_init(&c->loop);
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t k = 0; k < ARRAY_LEN(numbers); k++) {
        uv_signal_init(&c->loop.uv, &c->signals[k]);
        c->signals[k].data = c;
        uv_signal_start(&c->signals[k], on_signal, numbers[k]);
    }
    c->asks = (struct asks){.store = s->store, .loop = &c->loop};
    c->deployments = deployments_new(s, &c->loop, &c->asks);
    *ret_control = c;
    return start_workers(c, ret_error);
}

/* ---- the rest of the start, which reads the store ---- */

static void start_over(void *arg)
{
    loop_stop(&((struct control *)arg)->loop);
}

static void control_deploy(void *ctx, struct deployment_ask *a, struct slice name, int64_t version)
{
    struct control *c = ctx;
    deployments_get(c->deployments, a, name, version);
}

static void control_try(void *ctx, struct deployment_ask *a, struct slice name, struct slice code,
                        struct slice detail)
{
    struct control *c = ctx;
    deployments_try(c->deployments, a, name, code, detail);
}

static void control_event(void *ctx, struct event_call *e)
{
    struct control *c = ctx;
    event_start(&c->loop, c->server->workers[c->next_worker++ % c->server->workers_len], e);
}

static struct director *control_direct(struct control *c)
{
    static const struct flow_code code = {
        .get = control_deploy, .trial = control_try, .event = control_event};
    struct server *s = c->server;
    c->flows = calloc(s->workers_len, sizeof(struct flow *));
    CHECK(c->flows);
    for (size_t k = 0; k < s->workers_len; k++)
        c->flows[k] = s->workers[k]->flow;
    c->env = (struct flow_env){.clock = &flow_clock_of_loop,
                               .loop = &c->loop,
                               .store = s->store,
                               .asks = &c->asks,
                               .shared = &s->flow,
                               .ctx = c,
                               .code = &code};
    return director_new(&c->env, c->flows, s->workers_len, bytes_slice(&s->suspects));
}

static void start_routed(void *arg, const struct error *error)
{
    struct control *c = arg;
    struct server *s = c->server;
    c->error = *error;
    enum err err = c->is_stopping ? ERR_CANCELLED : c->error.code;
    if (err == OK) {
        c->director = control_direct(c);
        alarms_direct(c->director, s);
        c->schedules = schedules_new(c->director, &c->env, &s->schedules);
        c->queues = queues_new(c->director, &c->env, &s->queues);
        s->flow.queues = c->queues;
        c->usage = usage_new(s, &c->loop);
        err = start_admin(c, &c->error);
    }
    if (err != OK) {
        asks_await(&c->asks, start_over, c);
        return;
    }
    c->is_started = true;
    databases_sweep(s, &c->loop);
    c->ready(c->ready_arg);
}

enum err control_run(struct control *c, void (*ready)(void *arg), void *arg,
                     struct error *ret_error)
{
    c->ready = ready;
    c->ready_arg = arg;
    deployments_route_all(c->deployments, start_routed, c);
    loop_run(&c->loop);
    if (c->has_stopper)
        pthread_join(c->stopper, NULL);
    if (c->error.code != OK)
        *ret_error = c->error;
    return c->error.code;
}

/* ---- stop ---- */

static void answers_are_here(void *arg)
{
    loop_stop(&((struct control *)arg)->loop);
}

static void usage_is_stored(struct usage_wait *w)
{
    struct control *c = container_of(w, struct control, last_usage);
    asks_await(&c->asks, answers_are_here, c);
}

/* Nobody uses anything any more. */
static void stopped(struct post *p)
{
    struct control *c = container_of(p, struct control, stopped);
    c->last_usage.done = usage_is_stored;
    usage_flush(c->usage, &c->last_usage);
}

/* Joining blocks, and workers may still post to the control loop meanwhile. */
static void *join_workers(void *arg)
{
    struct control *c = arg;
    workers_join(c->server);
    c->stopped.fn = stopped;
    loop_post(&c->loop, &c->stopped);
    return NULL;
}

static void admin_drained(void *arg)
{
    struct control *c = arg;
    workers_stop(c->server);
    CHECK(pthread_create(&c->stopper, NULL, join_workers, c) == 0);
    c->has_stopper = true;
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct control *c = handle->data;
    if (c->is_stopping) {
        log_warn("stopping at once: a second signal");
        _exit(1);
    }
    c->is_stopping = true;
    log_info("stopping", LOG_STR("signal", strsignal(number)));
    if (!c->is_started)
        return; /* it ends when what is being read is here */
    director_stop(c->director);
    admin_drain(c->admin, admin_drained, c);
}

void control_free(struct control *c)
{
    if (!c)
        return;
    workers_stop(c->server); /* of a start that failed half-way */
    workers_join(c->server);
    free(c->server->workers);
    for (size_t k = 0; k < ARRAY_LEN(c->signals); k++)
        uv_close((uv_handle_t *)&c->signals[k], NULL);
    if (c->admin)
        admin_close(c->admin);
    usage_free(c->usage);
    queues_free(c->queues);
    schedules_free(c->schedules);
    director_free(c->director);
    free(c->flows);
    deployments_free(c->deployments);
    loop_done(&c->loop);
    free(c);
}
