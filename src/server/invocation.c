/* SPDX-License-Identifier: Apache-2.0
 *
 * Invocations: a public request or an execute, from its arrival to its answer. An invocation is
 * freed when both sides are done with it: the exchange (or the API call) has ended, and the guest
 * is over with the dispatch. The client may leave at any stage. */
#include "server/invocation.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/module_name.h"
#include "base/random.h"
#include "http/server.h"
#include "http/url.h"
#include "server/asset_send.h"
#include "server/control.h"
#include "server/slot.h"
#include "server/turn.h"
#include "store/store.h"

enum { CHARGED_BODY_BYTES = 16 * 1024 /* an answer that its client may have to be waited for */ };

struct invocation *invocation_new(struct worker *w, struct slot *slot, enum dispatch_kind kind)
{
    struct invocation *v = calloc(1, sizeof(*v));
    CHECK(v);
    v->worker = w;
    v->slot = slot;
    slot->invocations++;
    v->dispatch.kind = kind;
    v->started_ns = clock_monotonic_ns();
    slot_use(slot, v->started_ns);
    random_uuid7(v->id);
    v->dispatch.execution_id = slice_of(v->id, sizeof(v->id) - 1);
    return v;
}

void invocation_free(struct invocation *v)
{
    struct slot *s = v->slot;
    s->invocations--;
    free(v);
    slot_release(s);
}

static void prepared(struct prepare *p, const struct error *error)
{
    struct invocation *v = container_of(p, struct invocation, prepare);
    if (error->code != OK) {
        invocation_fail(v, error);
        return;
    }
    v->stage = INVOCATION_QUEUED;
    turn_enqueue(v->worker, &v->task);
}

static bool task_start(struct task *t, struct guest *g)
{
    struct invocation *v = container_of(t, struct invocation, task);
    v->stage = INVOCATION_RUNNING;
    guest_add(g, &v->dispatch);
    return true;
}

static void task_refuse(struct task *t, const struct error *error)
{
    invocation_fail(container_of(t, struct invocation, task), error);
}

void invocation_prepare(struct invocation *v)
{
    v->prepare.slot = v->task.slot = v->slot;
    v->prepare.execution_id = slice_of(v->id, sizeof(v->id) - 1);
    v->prepare.done = prepared;
    v->task.start = task_start;
    v->task.refuse = task_refuse;
    prepare_start(&v->prepare);
}

/* Frees it once nobody needs it any more. */
static void check_free(struct invocation *v)
{
    if (v->stage == INVOCATION_OVER && !v->exchange && !v->execute)
        invocation_free(v);
}

/* ---- failures ---- */

static struct slice request_id(const struct invocation *v)
{
    return slice_of(v->id, sizeof(v->id) - 1);
}

void invocation_log(struct slot *s, const struct dispatch *dispatch, const struct error *error,
                    struct slice request, struct slice stack)
{
    struct deployment *d = s->deployment;
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    bytes_append_cstr(&text, error->message);
    if (request.len > 0)
        bytes_printf(&text, " (request %.*s)", SLICE_ARG(request));
    if (stack.len > 0) {
        bytes_append_char(&text, '\n');
        deployment_write_stack(d, stack, &text);
    }
    s->worker->host.log(s->worker, d, dispatch, 3, slice_trim(bytes_slice(&text)));
}

/* That of a request names its id, which is all that the client was told. */
static void log_failure(struct invocation *v, const struct error *error, struct slice stack)
{
    invocation_log(v->slot, &v->dispatch, error, v->exchange ? request_id(v) : SLICE_EMPTY, stack);
}

static void execute_fail(struct invocation *v, const struct error *error, struct slice name,
                         struct slice stack)
{
    struct admin_execute *e = v->execute;
    e->error = *error;
    bytes_append_slice(&e->error_name, name);
    deployment_write_stack(v->slot->deployment, stack, &e->error_stack);
}

/* What the public client gets of a failure. */
static void answer_error(struct invocation *v, const struct error *error)
{
    struct error e = *error;
    v->status = error_http_status(error->code);
    if (!error_is_public(error->code) && !v->worker->server->config.exposes_errors) {
        (void)error_set(&e, error->code, "the function failed");
        error_hint(&e, "its log says more under this request_id");
    }
    http_respond_error_of(v->exchange, &e, request_id(v));
}

static void execute_done(struct invocation *v);

/* Before a guest has had it. */
void invocation_fail(struct invocation *v, const struct error *error)
{
    v->stage = INVOCATION_OVER;
    if (v->exchange) {
        if (!error_is_public(error->code))
            log_failure(v, error, SLICE_EMPTY);
        answer_error(v, error);
    } else if (v->execute) {
        execute_fail(v, error, SLICE_EMPTY, SLICE_EMPTY);
        execute_done(v);
    } else {
        check_free(v);
    }
}

/* ---- HTTP: the port of a dispatch ---- */

static struct invocation *of(struct dispatch *d)
{
    return container_of(d, struct invocation, dispatch);
}

static struct slice request_method(const struct invocation *v)
{
    return http_exchange_request(v->exchange)->method;
}

static void http_port_respond(struct dispatch *d, const struct dispatch_answer *a)
{
    struct invocation *v = of(d);
    v->status = a->status;
    /* An answer to HEAD has no body, so that only its header says how long the body would be. */
    bool is_known = a->is_end && (a->body.len || !slice_eq_cstr(request_method(v), "HEAD"));
    int64_t len = is_known ? (int64_t)a->body.len : a->body_len;
    for (size_t k = 0; k < a->headers_len && len < 0; k++) {
        uint64_t n;
        if (slice_eq_cstr(a->headers[k].name, "content-length") &&
            slice_to_u64(a->headers[k].value, &n) && n <= INT64_MAX)
            len = (int64_t)n;
    }
    if (a->body.len >= CHARGED_BODY_BYTES)
        http_exchange_charge(v->exchange, v->slot->deployment->account);
    v->slot->egress_bytes += a->body.len;
    if (a->is_end && len < 0)
        len = 0;
    http_exchange_reason(v->exchange, a->reason);
    http_respond(v->exchange, a->status, a->headers, a->headers_len, len, a->body, a->is_end);
}

static bool http_port_write(struct dispatch *d, struct slice data, bool is_end)
{
    struct invocation *v = of(d);
    v->slot->egress_bytes += data.len;
    if (http_write(v->exchange, data, is_end))
        return true;
    http_exchange_charge(v->exchange, v->slot->deployment->account); /* its client is slow */
    return false;
}

static void http_port_abort(struct dispatch *d)
{
    http_abort(of(d)->exchange);
}

static void http_port_fail(struct dispatch *d, const struct error *error, struct slice name,
                           struct slice stack)
{
    struct invocation *v = of(d);
    log_failure(v, error, stack);
    answer_error(v, error);
}

static void http_port_body_start(struct dispatch *d)
{
    if (of(d)->exchange)
        http_body_start(of(d)->exchange);
}

static void http_port_body_consumed(struct dispatch *d, size_t n)
{
    if (of(d)->exchange)
        http_body_consumed(of(d)->exchange, n);
}

static void port_over(struct dispatch *d)
{
    struct invocation *v = of(d);
    v->stage = INVOCATION_OVER;
    check_free(v);
}

static const struct dispatch_port http_port = {
    .respond = http_port_respond,
    .write = http_port_write,
    .abort = http_port_abort,
    .fail = http_port_fail,
    .body_start = http_port_body_start,
    .body_consumed = http_port_body_consumed,
    .over = port_over,
};

/* ---- routing ---- */

static struct slot *only_slot(struct worker *w)
{
    size_t cursor = 0;
    struct slice name;
    void *slot;
    if (w->default_len != 1)
        return NULL;
    while (map_next(&w->routes, &cursor, &name, &slot))
        if (module_name_is_in(name, SLICE_EMPTY))
            return slot;
    return NULL;
}

/* Appends a label in lower case; false: it is none that something could be named by. */
static bool append_label(struct slice label, struct bytes *out)
{
    if (label.len == 0 || label.len > LIMIT_NAME_BYTES)
        return false;
    for (size_t k = 0; k < label.len; k++) {
        char c = label.ptr[k];
        bytes_append_char(out, c >= 'A' && c <= 'Z' ? (char)(c + 32) : c);
    }
    return true;
}

/* The second label of a host of three or more names a namespace, if there is one of that name. */
static bool append_namespace(struct worker *w, struct slice rest, struct bytes *out)
{
    struct slice label = slice_split(&rest, '.');
    bool is_named = map_count(&w->spaces) > 0 && rest.len > 0 && append_label(label, out) &&
                    map_get(&w->spaces, bytes_slice(out));
    if (is_named)
        bytes_append_char(out, '/');
    else
        bytes_clear(out);
    return is_named;
}

/* Is it a number, or does it end in one? Then no label of it is a name. */
static bool is_address(struct slice host)
{
    return host.len > 0 &&
           (host.ptr[0] == '[' || (host.ptr[host.len - 1] >= '0' && host.ptr[host.len - 1] <= '9'));
}

/* NAME.NAMESPACE.localhost, or NAME.localhost for one in the default namespace; any domain may stand
 * in the place of localhost. A host that names no function (localhost, an address) reaches the only
 * one of the default namespace, if it has just one. */
static struct slot *route(struct worker *w, const struct http_request *r, struct error *ret_error)
{
    struct slice host = r->authority;
    int port;
    if (url_split_authority(r->authority, 80, &host, &port) != OK)
        host = SLICE_EMPTY;
    struct slice rest = host, name = slice_split(&rest, '.');
    CLEANUP(bytes_done) struct bytes module = BYTES_INIT;
    bool is_named = !is_address(host) && append_namespace(w, rest, &module);
    if (rest.len > 0 && append_label(name, &module)) {
        struct slot *s = map_get(&w->routes, bytes_slice(&module));
        if (s)
            return s;
    }
    bool is_bare =
        rest.len == 0 ||
        (host.len > 0 && (host.ptr[0] == '[' || (host.ptr[0] >= '0' && host.ptr[0] <= '9')));
    struct slot *s = is_bare && !is_named ? only_slot(w) : NULL;
    if (s)
        return s;
    error_set(ret_error, ERR_NOT_FOUND, "no function answers for the host '%.*s'",
              host.len > 100 ? 100 : (int)host.len, host.ptr ? host.ptr : "");
    error_hint(ret_error, map_count(&w->routes) == 0
                              ? "deploy one: limpet function upload NAME FILE"
                          : map_count(&w->spaces) > 0
                              ? "use http://NAME.localhost or http://NAME.NAMESPACE.localhost"
                              : "use http://NAME.localhost with the name of a function");
    return NULL;
}

/* "a=1; b=2" */
static struct slice cookie_value(struct slice cookies, struct slice name)
{
    while (cookies.len > 0) {
        struct slice value = slice_trim(slice_split(&cookies, ';'));
        if (slice_eq(slice_split(&value, '='), name))
            return value;
    }
    return SLICE_EMPTY;
}

/* Which of two versions answers: by what the client says of itself, so that it meets the same one again,
 * else by chance. */
static struct slot *route_split(struct slot *s, const struct http_request *r)
{
    static const struct slice keys[] = {SLICE_LIT("limpet-version-key"),
                                        SLICE_LIT("cloudflare-workers-version-key")};
    struct slice key = SLICE_EMPTY;
    for (size_t i = 0; i < r->headers_len && key.len == 0; i++) {
        for (size_t k = 0; k < ARRAY_LEN(keys); k++)
            if (slice_eq_nocase(r->headers[i].name, keys[k]))
                key = r->headers[i].value;
        if (key.len == 0 && slice_eq_nocase(r->headers[i].name, SLICE_LIT("cookie")))
            key = cookie_value(r->headers[i].value, keys[0]);
    }
    const uint64_t n = key.len > 0 ? slice_hash(key) : random_u64();
    return n % STORE_SPLIT_ALL < s->deployment->split_permyriad ? s->split : s;
}

/* ---- HTTP: events of the exchange ---- */

static void owner_drained(struct http_exchange *x)
{
    struct invocation *v = *http_exchange_user(x);
    if (v && v->stage == INVOCATION_RUNNING)
        dispatch_drained(&v->dispatch);
}

/* The client cannot take the answer for whole; its author finds the reason in the log. */
static void log_broken_promise(struct invocation *v)
{
    uint64_t promised, came;
    if (!http_exchange_broke_promise(v->exchange, &promised, &came))
        return;
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    bytes_printf(&text,
                 "the answer was broken off: its content-length promised %llu bytes, %s%llu came"
                 " (request %.*s)",
                 (unsigned long long)promised, came > promised ? "at least " : "only ",
                 (unsigned long long)came, SLICE_ARG(request_id(v)));
    v->worker->host.log(v->worker, v->slot->deployment, &v->dispatch, 3, bytes_slice(&text));
}

static void owner_closed(struct http_exchange *x, bool is_complete)
{
    struct invocation *v = *http_exchange_user(x);
    log_broken_promise(v);
    metrics_answered(&v->worker->metrics, is_complete ? v->status : 0,
                     clock_monotonic_ns() - v->started_ns);
    v->exchange = NULL;
    switch (v->stage) {
    case INVOCATION_QUEUED:
        turn_withdraw(&v->task);
        v->stage = INVOCATION_OVER;
        check_free(v);
        break;
    case INVOCATION_PREPARING: /* someone holds it; it ends when it would start */
    case INVOCATION_RUNNING:
        dispatch_gone(&v->dispatch);
        break;
    case INVOCATION_OVER:
        check_free(v);
        break;
    }
}

void invocation_on_request(void *ctx, struct http_exchange *x)
{
    struct worker *w = ctx;
    const struct http_request *r = http_exchange_request(x);
    struct error e;
    struct slot *s = http_exchange_normalize(x, &e) == OK ? route(w, r, &e) : NULL;
    if (!s) {
        http_respond_error(x, &e);
        return;
    }
    if (s->split)
        s = route_split(s, r);
    if (s->deployment->assets && asset_send(w, s, x))
        return;
    struct invocation *v = invocation_new(w, s, DISPATCH_HTTP);
    *http_exchange_user(x) = v;
    v->owner = (struct exchange_owner){owner_drained, owner_closed};
    v->exchange = x;
    v->dispatch.port = &http_port;
    v->dispatch.request = r;
    if (r->has_body) {
        struct slice body;
        if (http_body_take_whole(x, &body))
            v->dispatch.inline_body = arena_copy(http_exchange_arena(x), body);
        else
            v->dispatch.has_stream_body = true;
    }
    invocation_prepare(v);
}

void invocation_on_body(struct http_exchange *x, struct slice data, bool is_end)
{
    struct invocation *v = *http_exchange_user(x);
    if (v && v->stage == INVOCATION_RUNNING)
        dispatch_body(&v->dispatch, data, is_end);
    else
        http_body_consumed(x, data.len);
}

void invocation_on_drain(struct http_exchange *x)
{
    struct exchange_owner *o = *http_exchange_user(x);
    if (o)
        o->on_drain(x);
}

void invocation_on_close(struct http_exchange *x, bool is_complete)
{
    struct exchange_owner *o = *http_exchange_user(x);
    if (o)
        o->on_close(x, is_complete);
}

/* ---- execute ---- */

static void execute_port_value(struct dispatch *d, struct slice json)
{
    bytes_append_slice(&of(d)->execute->output, json);
}

static void execute_port_fail(struct dispatch *d, const struct error *error, struct slice name,
                              struct slice stack)
{
    log_failure(of(d), error, stack);
    execute_fail(of(d), error, name, stack);
}

static void execute_port_over(struct dispatch *d)
{
    of(d)->stage = INVOCATION_OVER;
    execute_done(of(d));
}

static const struct dispatch_port execute_port = {
    .value = execute_port_value,
    .fail = execute_port_fail,
    .over = execute_port_over,
};

/* On the control loop. */
static void execute_posted(struct post *p)
{
    struct admin_execute *e = container_of(p, struct execute_message, post)->execute;
    free(container_of(p, struct execute_message, post));
    e->done(e);
}

static void execute_done(struct invocation *v)
{
    struct execute_message *m = calloc(1, sizeof(*m));
    CHECK(m);
    m->execute = TAKE(v->execute);
    m->execute->version = v->slot->deployment->version;
    m->post.fn = execute_posted;
    struct loop *control = control_loop(v->worker->server->control);
    /* Its log lines of this turn are queued before the record that the control thread makes. */
    worker_store_now(v->worker);
    metric_add(&v->worker->metrics.executes, 1);
    check_free(v);
    loop_post(control, &m->post);
}

static void execute_arrived(struct post *p)
{
    struct execute_message *m = container_of(p, struct execute_message, post);
    struct admin_execute *e = m->execute;
    struct worker *w = m->worker;
    struct slot *s = map_get(&w->routes, e->function);
    if (!s) {
        error_set(&e->error, ERR_NOT_READY, "the function '%.*s' is not serving",
                  SLICE_ARG(e->function));
        m->post.fn = execute_posted;
        loop_post(control_loop(w->server->control), &m->post);
        return;
    }
    free(m);
    struct invocation *v = invocation_new(w, s, DISPATCH_EXECUTE);
    v->execute = e;
    v->dispatch.port = &execute_port;
    v->dispatch.execution_id = e->execution_id;
    v->dispatch.body = e->body;
    v->dispatch.metadata = e->metadata;
    invocation_prepare(v);
}

void worker_execute(struct worker *w, struct admin_execute *e)
{
    struct execute_message *m = calloc(1, sizeof(*m));
    CHECK(m);
    m->execute = e;
    m->worker = w;
    m->post.fn = execute_arrived;
    e->error.code = OK;
    loop_post(&w->loop, &m->post);
}
