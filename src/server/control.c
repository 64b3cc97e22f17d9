/* SPDX-License-Identifier: Apache-2.0
 *
 * See control.h. Deployments are made here from the store's rows and sent to every worker; a change
 * is done when all workers have taken it. */
#include "server/control.h"
#include "server/accounts.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/admin.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/module_name.h"
#include "host/database.h"
#include "host/guest.h"
#include "loop/work.h"
#include "sandbox/isolate.h"
#include "script/deployment.h"
#include "script/sourcemap.h"
#include "server/director.h"
#include "server/metrics.h"
#include "server/usage.h"
#include "server/worker.h"
#include "store/sqlite/reads.h"
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
    struct store_reader *reader;
    struct arena *names;  /* that changes which are on their way at the start borrow */
    struct map databases; /* module name -> struct database, a reference each */
    struct map workflows; /* "name@version" -> struct deployment, a reference each */
    struct director *director;
    struct usage *usage;
    struct usage_wait last_usage;
    unsigned next_worker;
    uv_signal_t signals[2];
    bool is_stopping;
    pthread_t stopper;
    struct post stopped;
    struct work sweep;
};

struct loop *control_loop(struct control *c)
{
    return &c->loop;
}

int control_admin_port(const struct control *c)
{
    return admin_port(c->admin);
}

/* ---- deployments ---- */

static const char *const *split_domains(struct arena *a, struct slice list)
{
    size_t n = 0;
    if (list.len == 0)
        return NULL;
    const char **out = arena_array(a, list.len + 1, sizeof(*out));
    while (list.len > 0) {
        struct slice domain = slice_trim(slice_split(&list, ','));
        if (domain.len > 0)
            out[n++] = arena_cstr(a, domain);
    }
    out[n] = NULL;
    return out;
}

static void set_options(struct deployment *d, const struct version_options *o)
{
    d->is_module_isolation = o->isolation == ISOLATION_MODULE;
    d->memory_bytes_max = o->memory_mb ? (size_t)o->memory_mb << 20 : LIMIT_GUEST_MEMORY_BYTES;
    d->cpu_ns_max = (uint64_t)(o->cpu_ms ? o->cpu_ms : LIMIT_GUEST_CPU_MS) * 1000000;
    d->wall_ms_max = o->wall_ms ? o->wall_ms : LIMIT_GUEST_WALL_MS;
    d->domains = split_domains(d->arena, o->domains);
}

static enum err load_env(struct control *c, struct deployment *d, struct error *ret_error)
{
    struct env_row *rows;
    enum err err = store_env(c->reader, d->arena, d->name, &rows, &d->env_len, ret_error);
    if (err != OK)
        return err;
    struct deployment_env *env = arena_array(d->arena, d->env_len + 1, sizeof(*env));
    for (size_t k = 0; k < d->env_len; k++)
        env[k] = (struct deployment_env){rows[k].name, rows[k].value, rows[k].version};
    d->env = env;
    return OK;
}

static enum err load_quota(struct control *c, const struct quota_row *owner,
                           struct error *ret_error)
{
    struct quota_row quota;
    enum err err = owner->is_namespace
                       ? store_namespace_quota(c->reader, owner->module, &quota, ret_error)
                       : store_quota(c->reader, owner->module, &quota, ret_error);
    if (err == OK && owner->is_namespace)
        accounts_namespace_quota(c->server->accounts, owner->module, quota.max);
    else if (err == OK)
        accounts_quota(c->server->accounts, owner->module, quota.max);
    return err;
}

/* Top-level code of each version draws its own random numbers, and the same ones whenever its image
 * is made again, since snapshots belong to an image. The time tells servers apart. */
static uint64_t random_seed_of(const struct version_row *v, struct slice name)
{
    uint64_t h = 0xcbf29ce484222325; /* FNV-1a, then a finalizer */
    for (size_t k = 0; k < name.len; k++)
        h = (h ^ (unsigned char)name.ptr[k]) * 0x100000001b3;
    h = (h ^ (uint64_t)v->number) * 0x100000001b3;
    h += (uint64_t)v->created_us * 0x9e3779b97f4a7c15;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9;
    h = (h ^ (h >> 27)) * 0x94d049bb133111eb;
    return h ^ (h >> 31);
}

/* The function as it serves now, or another version of it. ERR_NOT_FOUND: deleted; ERR_NOT_READY:
 * no version yet. */
static enum err make_deployment(struct control *c, struct slice name, int64_t version,
                                struct deployment **ret_deployment, struct error *ret_error)
{
    struct deployment *d = deployment_new();
    struct function_row f;
    struct version_row v;
    enum err err = store_function(c->reader, d->arena, name, &f, ret_error);
    if (err == OK && f.version == 0)
        err = error_set(ret_error, ERR_NOT_READY, "no version of '%.*s' has been built",
                        SLICE_ARG(name));
    if (err == OK)
        err = store_version(c->reader, d->arena, name, version, &v, ret_error);
    if (err == OK) {
        d->account = accounts_module(c->server->accounts, f.name);
        d->is_workflow = f.kind == STORE_WORKFLOW;
        d->name = f.name;
        d->version = v.number;
        d->random_seed = random_seed_of(&v, f.name);
        d->hash = v.hash;
        d->source_map_hash = v.source_map_hash;
        d->exports = v.exports;
        d->is_setup_done = v.is_setup_done;
        CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
        databases_path(c->server, &f, &path);
        d->database = databases_get(c->server->databases, bytes_cstr(&path));
        d->release_database = database_unref;
        set_options(d, &v.options);
        err = load_env(c, d, ret_error);
        if (err == OK)
            err = load_quota(c, &(struct quota_row){.module = name}, ret_error);
    }
    if (err != OK) {
        deployment_unref(d);
        return err;
    }
    *ret_deployment = d;
    return OK;
}

/* ---- workflows ---- */

/* Texts that name a version: "name@3". */
static void version_key(struct slice name, int64_t version, struct bytes *out)
{
    bytes_printf(out, "%.*s@%lld", SLICE_ARG(name), (long long)version);
}

/* The version that serves, known under its number and under 0. */
static enum err serving_deployment(struct control *c, struct slice name,
                                   struct deployment **ret_deployment, struct error *ret_error)
{
    struct version_row v;
    struct arena *a = arena_new(NULL);
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    enum err err = store_version(c->reader, a, name, 0, &v, ret_error);
    if (err == OK)
        err = control_deployment(c, name, v.number, ret_deployment, ret_error);
    if (err == OK) {
        version_key(name, 0, &key);
        (void)map_put(&c->workflows, bytes_slice(&key), deployment_ref(*ret_deployment));
    }
    arena_free(a);
    return err;
}

enum err control_deployment(struct control *c, struct slice name, int64_t version,
                            struct deployment **ret_deployment, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    version_key(name, version, &key);
    struct deployment *d = map_get(&c->workflows, bytes_slice(&key));
    if (!d && version == 0)
        return serving_deployment(c, name, ret_deployment, ret_error);
    if (!d) {
        enum err err = make_deployment(c, name, version, &d, ret_error);
        if (err != OK)
            return err;
        d->is_module_isolation = false; /* an execution has its isolate alone */
        (void)map_put(&c->workflows, bytes_slice(&key), d);
    }
    *ret_deployment = deployment_ref(d);
    return OK;
}

enum err control_trial(struct control *c, struct slice name, struct slice code,
                       struct slice source_map, struct deployment **ret_deployment,
                       struct error *ret_error)
{
    char hash[65], map_hash[65] = "";
    struct deployment *d;
    enum err err = make_deployment(c, name, 0, &d, ret_error);
    if (err != OK)
        return err;
    /* Artifacts that no version names go by themselves. */
    err = store_artifact_put(c->server->store, code, hash, ret_error);
    if (err == OK && source_map.len > 0)
        err = store_artifact_put(c->server->store, source_map, map_hash, ret_error);
    if (err != OK) {
        deployment_unref(d);
        return err;
    }
    d->hash = arena_copy(d->arena, slice_cstr(hash));
    d->source_map_hash = arena_copy(d->arena, slice_cstr(map_hash));
    d->is_module_isolation = false;
    d->is_setup_done = true;
    *ret_deployment = d;
    return OK;
}

/* Its versions, environment or existence changed: what starts from now on sees that. */
static void forget_workflow(struct control *c, struct slice name)
{
    size_t cursor = 0;
    struct slice key;
    void *value;
    while (map_next(&c->workflows, &cursor, &key, &value)) {
        struct slice rest = key;
        if (!slice_eq(slice_split(&rest, '@'), name))
            continue;
        (void)map_remove(&c->workflows, key);
        deployment_unref(value);
        cursor = 0;
    }
}

/* ---- changes ---- */

struct change {
    struct control *control;
    struct admin_change *request; /* NULL at start-up */
    struct post post;
    unsigned pending; /* workers; atomic */
    struct worker_change workers[];
};

static void change_done(struct post *p)
{
    struct change *ch = container_of(p, struct change, post);
    struct admin_change *request = ch->request;
    free(ch);
    if (request)
        request->done(request);
}

/* On a worker's thread. */
static void change_taken(struct worker_change *w)
{
    struct change *ch = w->arg;
    if (__atomic_sub_fetch(&ch->pending, 1, __ATOMIC_ACQ_REL) == 0)
        loop_post(&ch->control->loop, &ch->post);
}

/* The template to every worker; of its deployment, if there is one, each gets a reference. */
static void send_all(struct control *c, struct worker_change template, struct admin_change *request)
{
    size_t n = c->server->workers_len;
    struct change *ch = calloc(1, sizeof(*ch) + n * sizeof(ch->workers[0]));
    CHECK(ch);
    ch->control = c;
    ch->request = request;
    ch->post.fn = change_done;
    ch->pending = (unsigned)n;
    for (size_t k = 0; k < n; k++) {
        struct worker_change *w = &ch->workers[k];
        *w = template;
        w->deployment = template.deployment ? deployment_ref(template.deployment) : NULL;
        w->done = change_taken;
        w->arg = ch;
        worker_change(c->server->workers[k], w);
    }
    // The workers hold ch by its members, and change_done() frees it.
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc)
}

/* Remembers where the module's data lies; removes it when the module is gone. */
static void track_database(struct control *c, struct slice name, const struct deployment *d)
{
    struct database *old = d ? map_put(&c->databases, name, database_ref(d->database))
                             : map_remove(&c->databases, name);
    if (old && (!d || old != d->database))
        databases_remove(c->server->databases, old, &c->loop);
    database_unref(old);
}

/* d NULL: the function is gone. The reference is taken over. name must outlive the change. */
static void send_change(struct control *c, struct slice name, struct deployment *d,
                        struct admin_change *request)
{
    send_all(c, (struct worker_change){.name = d ? d->name : name, .deployment = d}, request);
    track_database(c, name, d);
    deployment_unref(d);
}

/* Hosts name it from now on, or do not any more. */
static void send_namespace(struct control *c, struct slice name, bool is_deleted,
                           struct admin_change *request)
{
    enum worker_space what = is_deleted ? WORKER_SPACE_GONE : WORKER_SPACE_MADE;
    send_all(c, (struct worker_change){.name = name, .space = what}, request);
    if (is_deleted)
        accounts_forget_namespace(c->server->accounts, name);
}

static void host_change(void *ctx, struct admin_change *request)
{
    struct control *c = ctx;
    struct deployment *d = NULL;
    request->error.code = OK;
    if (request->is_namespace) {
        send_namespace(c, request->function, request->is_deleted, request);
        return;
    }
    forget_workflow(c, request->function);
    if (request->is_deleted) {
        director_removed(c->director);
        accounts_forget(c->server->accounts, request->function);
    }
    enum err err = make_deployment(c, request->function, 0, &d, &request->error);
    if (err == OK && d->is_workflow) {
        track_database(c, request->function, d);
        deployment_unref(d);
        request->done(request);
        return;
    }
    if (err == OK || err == ERR_NOT_FOUND) {
        request->error.code = OK;
        send_change(c, request->function, d, request);
        return;
    }
    if (err == ERR_NOT_READY)
        request->error.code = OK; /* an env change before the first build: nothing serves yet */
    struct change *ch = calloc(1, sizeof(*ch));
    CHECK(ch);
    ch->request = request;
    ch->post.fn = change_done;
    loop_post(&c->loop, &ch->post);
}

/* ---- what the admin API asks for ---- */

/* Where it happened is the first frame of the bundle, "NAME:LINE:COLUMN", in the stack. */
static void first_position(struct slice stack, struct slice name, int *ret_line, int *ret_column)
{
    const char *at = stack.len ? memmem(stack.ptr, stack.len, name.ptr, name.len) : NULL;
    if (!at)
        return;
    struct slice rest = slice_skip(stack, (size_t)(at - stack.ptr) + name.len + 1);
    uint64_t line, column;
    struct slice digits = slice_split(&rest, ':');
    if (!slice_to_u64(digits, &line) || line > INT_MAX)
        return;
    for (digits = rest, digits.len = 0;
         digits.len < rest.len && rest.ptr[digits.len] >= '0' && rest.ptr[digits.len] <= '9';)
        digits.len++;
    *ret_line = (int)line;
    *ret_column = slice_to_u64(digits, &column) && column <= INT_MAX ? (int)column : 1;
}

static void evaluate_failure(struct guest_load *load, struct slice function,
                             struct slice source_map, struct bundle_failure *ret_failure,
                             struct error *error)
{
    struct sourcemap *map = NULL;
    CLEANUP(bytes_done) struct bytes stack = BYTES_INIT;
    struct slice raw = bytes_slice(&load->error_stack), file;
    if (source_map.len > 0 && sourcemap_parse(source_map, &map, NULL) == OK)
        sourcemap_map_stack(map, function, raw, &stack);
    else
        bytes_append_slice(&stack, raw);
    bytes_append_cstr(&ret_failure->message, error->message);
    int line = 0, column = 0;
    first_position(raw, function, &line, &column);
    if (map && line > 0 &&
        sourcemap_find(map, line, column > 0 ? column : 1, &file, &line, &column)) {
        bytes_append_slice(&ret_failure->file, file);
        ret_failure->line = line;
        ret_failure->column = column;
        sourcemap_frame(sourcemap_content(map, file), line, column, &ret_failure->frame);
    }
    sourcemap_free(map);
}

static enum err host_evaluate(void *ctx, struct slice function, struct slice code,
                              struct slice source_map, const struct version_options *options,
                              uint32_t *ret_exports, struct bundle_failure *ret_failure,
                              struct error *ret_error)
{
    struct control *c = ctx;
    struct guest_load load = {
        .name = function,
        .code = code,
        .memory_bytes_max =
            options->memory_mb ? (size_t)options->memory_mb << 20 : LIMIT_GUEST_MEMORY_BYTES,
        .cpu_ns_max = config_build_cpu_ns(&c->server->config, (uint64_t)options->cpu_ms * 1000000),
    };
    enum err err = guest_load(c->server->engine, &load, ret_error);
    if (err == OK) {
        char hash[65];
        *ret_exports = load.exports;
        images_hash(code, hash); /* so that its first call need not evaluate it again */
        if (!load.has_drawn) /* else the version, which is not made yet, has numbers of its own */
            images_put(c->server, function, slice_cstr(hash), load.image);
    } else
        evaluate_failure(&load, function, source_map, ret_failure, ret_error);
    image_unref(load.image);
    bytes_done(&load.error_name);
    bytes_done(&load.error_stack);
    bytes_done(&load.workflows);
    return err;
}

static void host_execute(void *ctx, struct admin_execute *e)
{
    struct control *c = ctx;
    worker_execute(c->server->workers[c->next_worker++ % c->server->workers_len], e);
}

static void host_durable(void *ctx, struct admin_durable *d)
{
    struct control *c = ctx;
    director_durable(c->director, d);
}

static void host_durable_cancel(void *ctx, struct admin_durable *d)
{
    struct control *c = ctx;
    director_cancel(c->director, d);
}

static void host_metrics(void *ctx, struct bytes *out)
{
    struct control *c = ctx;
    metrics_write(c->server, out);
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

/* The database with its log. Copies of versions and journals are the server's. */
static int64_t host_stored_bytes(void *ctx, struct slice module)
{
    static const char *const suffixes[] = {"", "-wal"};
    struct control *c = ctx;
    struct database *b = map_get(&c->databases, module);
    CLEANUP(bytes_done) struct bytes name = BYTES_INIT;
    int64_t bytes = 0;
    for (size_t k = 0; b && k < ARRAY_LEN(suffixes); k++) {
        struct stat st;
        bytes_clear(&name);
        bytes_printf(&name, "%s%s", database_path(b), suffixes[k]);
        if (stat(bytes_cstr(&name), &st) == 0)
            bytes += st.st_size;
    }
    return bytes;
}

static enum err host_quota_changed(void *ctx, const struct quota_row *owner,
                                   struct error *ret_error)
{
    return load_quota(ctx, owner, ret_error);
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
    ret_quota->otherwise = owner->is_namespace ? ret_quota->most : accounts_default(a, r);
    return true;
}

/* ---- start ---- */

static enum err route_all(struct control *c, struct slice space, enum store_kind kind,
                          struct error *ret_error)
{
    struct function_row *rows;
    size_t len;
    struct arena *a = arena_new(NULL);
    enum err err = store_functions(c->reader, a, space, kind, &rows, &len, ret_error);
    for (size_t k = 0; err == OK && k < len; k++) {
        struct deployment *d;
        if (rows[k].version == 0)
            continue;
        err = make_deployment(c, rows[k].name, 0, &d, ret_error);
        if (err == OK && kind == STORE_FUNCTION) {
            send_change(c, rows[k].name, d, NULL);
        } else if (err == OK) {
            track_database(c, rows[k].name, d);
            deployment_unref(d);
        }
    }
    arena_free(a);
    return err;
}

static enum err route_namespaces(struct control *c, struct error *ret_error)
{
    struct namespace_row *rows;
    size_t len;
    struct arena *a = arena_new(NULL);
    enum err err = store_namespaces(c->reader, a, &rows, &len, ret_error);
    for (size_t k = 0; err == OK && k < len; k++) {
        struct quota_row owner = {.module = arena_copy(c->names, rows[k].name),
                                  .is_namespace = true};
        if (!namespace_is_default(owner.module))
            send_namespace(c, owner.module, false, NULL);
        err = load_quota(c, &owner, ret_error);
        if (err == OK)
            err = route_all(c, owner.module, STORE_FUNCTION, ret_error);
        if (err == OK)
            err = route_all(c, owner.module, STORE_WORKFLOW, ret_error);
    }
    arena_free(a);
    return err;
}

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
    struct admin_host host = {c,
                              host_evaluate,
                              host_change,
                              host_execute,
                              host_metrics,
                              host_durable,
                              host_durable_cancel,
                              host_usage,
                              host_stored_bytes,
                              host_quota_changed,
                              host_quota_look};
    return admin_new(&c->loop, &admin, c->server->store, &host, &c->admin, ret_error);
}

static void sweep_run(struct work *w)
{
    images_sweep(container_of(w, struct control, sweep)->server);
}

static void sweep_done(struct work *w)
{
}

enum err control_new(struct server *s, struct control **ret_control, struct error *ret_error)
{
    struct control *c = calloc(1, sizeof(*c));
    CHECK(c);
    c->server = s;
    s->control = c;
    c->names = arena_new(NULL);
    loop_init(&c->loop);
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t k = 0; k < ARRAY_LEN(numbers); k++) {
        uv_signal_init(&c->loop.uv, &c->signals[k]);
        c->signals[k].data = c;
        uv_signal_start(&c->signals[k], on_signal, numbers[k]);
    }
    enum err err = store_reader_open(s->store, &c->reader, ret_error);
    if (err == OK)
        err = start_workers(c, ret_error);
    if (err == OK)
        err = route_namespaces(c, ret_error);
    if (err == OK)
        err = director_new(c, s, &c->director, ret_error);
    if (err == OK)
        c->usage = usage_new(s, &c->loop);
    if (err == OK)
        err = start_admin(c, ret_error);
    if (err == OK) {
        c->sweep = (struct work){.run = sweep_run, .done = sweep_done};
        work_start(&c->loop, &c->sweep);
        databases_sweep(s, &c->loop);
    }
    *ret_control = c;
    return err;
}

/* ---- stop ---- */

static void usage_is_stored(struct usage_wait *w)
{
    loop_stop(&container_of(w, struct control, last_usage)->loop);
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
    for (size_t k = 0; k < c->server->workers_len; k++)
        worker_join(c->server->workers[k]);
    c->server->workers_len = 0;
    c->stopped.fn = stopped;
    loop_post(&c->loop, &c->stopped);
    return NULL;
}

static void admin_drained(void *arg)
{
    struct control *c = arg;
    for (size_t k = 0; k < c->server->workers_len; k++)
        worker_stop(c->server->workers[k]);
    CHECK(pthread_create(&c->stopper, NULL, join_workers, c) == 0);
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
    director_stop(c->director);
    admin_drain(c->admin, admin_drained, c);
}

void control_run(struct control *c)
{
    loop_run(&c->loop);
    pthread_join(c->stopper, NULL);
}

void control_free(struct control *c)
{
    if (!c)
        return;
    for (size_t k = 0; k < c->server->workers_len; k++) { /* a start that failed half-way */
        worker_stop(c->server->workers[k]);
        worker_join(c->server->workers[k]);
    }
    free(c->server->workers);
    for (size_t k = 0; k < ARRAY_LEN(c->signals); k++)
        uv_close((uv_handle_t *)&c->signals[k], NULL);
    if (c->admin)
        admin_close(c->admin);
    usage_free(c->usage);
    director_free(c->director);
    if (c->reader)
        store_reader_close(c->reader);
    size_t cursor = 0;
    struct slice name;
    void *deployment, *database;
    while (map_next(&c->workflows, &cursor, &name, &deployment))
        deployment_unref(deployment);
    map_done(&c->workflows);
    loop_done(&c->loop);
    arena_free(c->names);
    cursor = 0;
    while (map_next(&c->databases, &cursor, &name, &database))
        database_unref(database);
    map_done(&c->databases);
    free(c);
}
