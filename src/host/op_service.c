/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of other modules by service bindings: the caller's end of a call (call/call.h) for guests. What
 * a binding leads to is looked up here, so that code reaches only what is bound to it.
 *
 * A service has its own memory, which goes when the op has completed or was cancelled, both bodies are
 * done with, and the call has ended. In a durable execution outside of steps it is a call of the
 * execution, and completes with the whole answer, since a record is made of it. */
#include "host/recording.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "call/call.h"
#include "host/actor_id.h"
#include "host/socket.h"
#include "limpet_deps.h"
#include "module/binding.h"
#include "module/deployment.h"

enum {
    SERVICE_HEADERS_MAX = 128,
    SERVICE_INLINE_BYTES = LIMIT_HTTP_BODY_WINDOW_BYTES, /* a larger answer streams */
    SERVICE_NO_BODY = 2,
    SERVICE_SOCKET = 8, /* of the completion: see ops.def */
};

struct service {
    struct op op;
    bool has_answered; /* the op has been completed or cancelled */
    struct guest *guest;
    struct call *call;     /* NULL: this end is done */
    struct slice url;      /* of a request; in the call's arena */
    struct source *source; /* of the answer's body, until its end */
    struct sink *sink;     /* of the request's */
    struct held held;
    bool is_held, is_started;
    bool is_whole; /* the answer waits for its body */
    struct bytes answer, answer_body;
    size_t charged; /* to the guest, for copies of the request and for those */
};

/* Where a call goes to. */
struct service_target {
    struct slice service; /* for errors; "": the module itself */
    struct slice module, entrypoint, props;
    struct slice actor, actor_class, actor_name;
    struct deployment *files; /* whose files are asked for, and no code */
};

/* When nothing is left that the guest could see, only the end of the call may be still to come, and the
 * guest may go before. */
static void service_settle(struct service *s)
{
    if (s->source || s->sink || !s->has_answered)
        return;
    if (s->guest)
        guest_discharge(TAKE(s->guest), s->charged);
    bytes_done(&s->answer);
    bytes_done(&s->answer_body);
    if (!s->call)
        free(s);
}

static void service_end_call(struct service *s)
{
    struct call *c = TAKE(s->call);
    if (c && s->is_started)
        call_end(c, CALL_CALLER);
    else if (c)
        call_drop(c);
}

static enum err service_charge(struct service *s, size_t len)
{
    enum err err = guest_charge(s->guest, len);
    if (err == OK)
        s->charged += len;
    return err;
}

static void service_complete_error(struct service *s, const struct error *error)
{
    if (s->has_answered)
        return;
    s->has_answered = true;
    op_complete_error(&s->op, error);
}

/* The caller's end is of no use any more: the answer cannot come, or is not wanted. */
static void service_fail(struct service *s, const struct error *error)
{
    struct sink *sink = TAKE(s->sink);
    struct source *source = TAKE(s->source);
    service_complete_error(s, error);
    service_end_call(s);
    if (sink) {
        sink->owner = NULL;
        sink_fail(sink, error);
    }
    if (source) {
        source->owner = NULL;
        source_fail(source, error);
    }
    service_settle(s);
}

/* ---- the answer's body ---- */

static void answer_consumed(struct source *source, size_t n)
{
    struct service *s = source->arg;
    if (s->call)
        call_taken(s->call, CALL_CALLER, n);
}

/* Nobody reads on: the other side may stop. */
static void answer_closed(struct source *source)
{
    struct service *s = source->arg;
    s->source = NULL;
    service_end_call(s);
    service_settle(s);
}

static const struct source_owner answer_owner = {NULL, answer_consumed, answer_closed};

/* Of what goes into the completion. False: it has failed, and may be gone. */
static bool service_keep(struct service *s, struct slice data)
{
    struct error e;
    if (s->answer.len + s->answer_body.len + data.len + 4 > EXECUTION_VALUE_BYTES_MAX) {
        error_set(&e, ERR_TOO_LARGE, "the answer is above the limit of %d MiB for what is recorded",
                  EXECUTION_VALUE_BYTES_MAX >> 20);
        error_hint(&e, "call it inside step() and return what you need of it; docs/limits.md has "
                       "all limits");
    } else if (service_charge(s, data.len) != OK) {
        e = s->guest->op_error;
    } else {
        bytes_append_slice(&s->answer_body, data);
        call_taken(s->call, CALL_CALLER, data.len);
        return true;
    }
    service_fail(s, &e);
    return false;
}

static void service_complete(struct service *s)
{
    s->has_answered = true;
    bytes_append_lstr(&s->answer, bytes_slice(&s->answer_body));
    op_complete(&s->op, OK, bytes_slice(&s->answer));
    service_settle(s); /* the end of the call is still to come */
}

static void on_data(struct call *c, void *user, struct slice data, struct bytes *own, bool is_end)
{
    struct service *s = user;
    if (s->is_whole && !s->has_answered) {
        if (service_keep(s, data) && is_end)
            service_complete(s);
        return;
    }
    struct source *source = s->source;
    if (!source) {
        call_taken(c, CALL_CALLER, data.len); /* it was closed, and the call ends */
        return;
    }
    if (is_end) {
        source->owner = NULL;
        s->source = NULL;
        service_settle(s);
    }
    source_push_own(source, data, own, is_end);
}

static void on_broken(struct call *c, void *user, const struct error *error)
{
    service_fail(user, error);
}

/* ---- the answer ---- */

/* As a fetch completes, but for the body. */
static void encode_answer(struct service *s, const struct call_answer *a, uint32_t source,
                          uint32_t flags)
{
    const struct http_request *r = s->call->request.http;
    struct bytes *out = &s->answer;
    bool is_bare = slice_eq_cstr(r->method, "HEAD") || a->status == 204 || a->status == 205 ||
                   a->status == 304;
    bytes_append_u32(out, (uint32_t)a->status);
    bytes_append_u32(out, source);
    bytes_append_u32(out, flags | (is_bare ? SERVICE_NO_BODY : 0));
    bytes_append_lstr(out, s->url);
    bytes_append_lstr(out, a->reason.len > 0 ? a->reason : slice_cstr(http_reason(a->status)));
    bytes_append_u32(out, (uint32_t)a->headers_len);
    for (size_t k = 0; k < a->headers_len; k++) {
        bytes_append_lstr(out, a->headers[k].name);
        bytes_append_lstr(out, a->headers[k].value);
    }
}

/* The other side speaks WebSocket from here on. */
static void service_upgraded(struct service *s, const struct call_answer *a)
{
    struct error e;
    struct open_socket *o =
        open_socket_fetched(s->op.context, a->headers, a->headers_len, s->source, s->sink);
    if (!o) {
        error_set(&e, ERR_GUEST,
                  "the service has chosen a WebSocket extension that was not offered");
        service_fail(s, &e);
        return;
    }
    encode_answer(s, a, 0, SERVICE_SOCKET | SERVICE_NO_BODY);
    s->has_answered = true;
    bytes_append_lstr(&s->answer, SLICE_EMPTY);
    bytes_append_u32(&s->answer, open_socket_id(o));
    op_complete(&s->op, OK, bytes_slice(&s->answer));
}

static void on_answered(struct call *c, void *user, const struct call_answer *a)
{
    struct service *s = user;
    bool is_inline = a->is_end && a->body.len <= SERVICE_INLINE_BYTES;
    if (a->status != 101 && c->request.http->upgrades && s->sink) {
        s->sink->owner = NULL; /* no WebSocket, so nothing is sent by it */
        sink_withdraw(TAKE(s->sink));
    }
    if (s->is_whole || is_inline) {
        encode_answer(s, a, 0, 0);
        if (service_keep(s, a->body) && a->is_end)
            service_complete(s);
        return;
    }
    struct source *source = s->source = source_new(s->op.context, &answer_owner, s);
    source->scope = s->op.scope;
    if (a->status == 101 && s->sink) {
        service_upgraded(s, a);
        return;
    }
    encode_answer(s, a, source->id, 0);
    service_complete(s);
    if (a->is_end) {
        source->owner = NULL;
        s->source = NULL;
        service_settle(s);
    }
    if (a->body.len > 0 || a->is_end)
        source_push(source, a->body, a->is_end);
}

static void on_value(struct call *c, void *user, struct slice value)
{
    struct service *s = user;
    s->has_answered = true;
    op_complete(&s->op, OK, value);
    service_settle(s);
}

/* What the other code threw is told as it is; of what else went wrong the caller is told where. */
static void on_failed(struct call *c, void *user, const struct call_failure *f)
{
    struct error e = f->error;
    if (e.code != ERR_GUEST)
        error_context(&e, e.code, "service '%.*s'", SLICE_ARG(c->request.module));
    service_fail(user, &e);
}

static void on_over(struct call *c, void *user)
{
    struct service *s = user;
    struct error e;
    if (s->sink &&
        call_has_sent(c, CALL_CALLER)) { /* all of it; this is inside of its last write */
        TAKE(s->sink)->owner = NULL;
    }
    if (s->has_answered && !s->source && !s->sink) { /* as a rule */
        service_end_call(s);
        service_settle(s);
        return;
    }
    error_set(&e, ERR_CANCELLED,
              s->has_answered ? "the service has answered without reading all "
                                "of the body"
                              : "the service ended without an answer");
    service_fail(s, &e);
}

/* ---- the request's body ---- */

static void on_drained(struct call *c, void *user)
{
    struct service *s = user;
    if (s->sink && !s->sink->is_open)
        sink_open(s->sink);
    else if (s->sink)
        sink_drained(s->sink);
}

static const struct call_events service_events = {
    .data = on_data,
    .broken = on_broken,
    .drained = on_drained,
    .answered = on_answered,
    .value = on_value,
    .failed = on_failed,
    .over = on_over,
};

static bool upload_write(struct sink *sink, struct slice data, bool is_end)
{
    struct service *s = sink->arg;
    return !s->call || call_send(s->call, CALL_CALLER, data, is_end);
}

static void upload_abort(struct sink *sink)
{
    struct service *s = sink->arg;
    struct error e;
    s->sink = NULL;
    sink->owner = NULL; /* no `over` follows */
    error_set(&e, ERR_CANCELLED, "the body was broken off by the code that sent it");
    if (s->call && s->is_started)
        call_break(s->call, CALL_CALLER, &e);
    service_settle(s);
}

static void upload_over(struct sink *sink)
{
    struct service *s = sink->arg;
    s->sink = NULL;
    service_settle(s);
}

static const struct sink_owner upload_owner = {upload_write, upload_abort, upload_over};

/* ---- start ---- */

static void service_cancelled(struct op *op)
{
    struct service *s = container_of(op, struct service, op);
    struct error e;
    s->has_answered = true;
    if (s->is_held)
        list_remove(&s->held.link);
    error_set(&e, ERR_CANCELLED, "the request was cancelled");
    service_fail(s, &e);
}

static void service_start(struct service *s)
{
    const struct guest_host *host = s->guest->host;
    s->is_started = true;
    host->call(host->ctx, s->call, &service_events, s);
}

static void service_released(struct held *h, const struct error *error)
{
    struct service *s = container_of(h, struct service, held);
    s->is_held = false;
    if (error)
        service_fail(s, error);
    else
        service_start(s);
}

static void service_go(struct service *s)
{
    if (guest_gate_pass(s->guest, &s->held))
        service_start(s);
    else
        s->is_held = true;
}

/* Between the export and the id, where the module's own actors are called; in no name of an export that
 * declarations may have. */
enum { ACTOR_SEPARATOR = ':' };

static enum err actor_find(struct guest *g, struct slice id, struct service_target *t)
{
    t->actor = id;
    t->actor_class = guest_actor_origin(g, t->module, t->entrypoint);
    return actor_id_is_of(t->module, t->actor_class, id)
               ? OK
               : op_refuse(g, ERR_INVALID, "that is no id of an actor of class '%.*s'",
                           SLICE_ARG(slice_utf8_clip(t->entrypoint, 128)));
}

/* The files of the version that this code is, whatever serves now. */
static enum err files_find(struct guest *g, enum call_kind kind, struct service_target *ret)
{
    ret->files = g->deployment;
    if (!ret->files->assets)
        return op_refuse(g, ERR_NOT_FOUND, "this version has no static files");
    if (kind == CALL_FETCH)
        return OK;
    return op_refuse(g, ERR_INVALID, "'%.*s' are static files: they have fetch() and nothing else",
                     SLICE_ARG(slice_utf8_clip(ret->service, 128)));
}

static enum err service_find(struct guest *g, enum call_kind kind, struct slice service,
                             struct slice entrypoint, struct slice props,
                             struct service_target *ret)
{
    const struct deployment *d = g->deployment;
    *ret = (struct service_target){
        .service = service, .module = d->name, .entrypoint = entrypoint, .props = props};
    if (!g->host->call)
        return op_refuse(g, ERR_UNAVAILABLE, "there are no other modules here");
    if (service.len == 0) {
        ptrdiff_t at = slice_find(entrypoint, ACTOR_SEPARATOR);
        if (at < 0)
            return OK;
        *ret = (struct service_target){.module = d->name,
                                       .entrypoint = slice_of(entrypoint.ptr, (size_t)at),
                                       .actor_name = props};
        return actor_find(g, slice_skip(entrypoint, (size_t)at + 1), ret);
    }
    const struct binding *b = deployment_binding(d, BINDING_SERVICE, service);
    if (b) {
        *ret = (struct service_target){
            .service = service, .module = b->target, .entrypoint = b->part, .props = b->details};
        return OK;
    }
    if (deployment_binding(d, BINDING_ASSETS, service))
        return files_find(g, kind, ret);
    b = deployment_binding(d, BINDING_ACTOR, service);
    if (b) {
        *ret = (struct service_target){
            .service = service, .module = b->part, .entrypoint = b->target, .actor_name = props};
        return actor_find(g, entrypoint, ret);
    }
    return op_refuse(g, ERR_FORBIDDEN, "this code has no service binding '%.*s'",
                     SLICE_ARG(slice_utf8_clip(service, 128)));
}

static enum err check_depth(struct guest *g, unsigned *ret_depth)
{
    *ret_depth = g->context ? g->context->depth + 1 : 1;
    if (*ret_depth <= LIMIT_CALL_DEPTH)
        return OK;
    op_refuse(g, ERR_LIMIT_CALLS, "%d calls from module to module, each inside of another",
              LIMIT_CALL_DEPTH);
    error_hint(&g->op_error, "look for modules that call each other in a circle");
    return ERR_LIMIT_CALLS;
}

/* A new one, charged for what is copied. NULL: refused. */
static struct service *service_new(struct guest *g, enum call_kind kind,
                                   const struct service_target *t, size_t copied)
{
    unsigned depth;
    if (check_depth(g, &depth) != OK)
        return NULL;
    struct service *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->guest = g;
    s->held.release = service_released;
    if (service_charge(s, copied) != OK) {
        free(s);
        return NULL;
    }
    struct call *c = s->call = call_new(kind, g->deployment->account);
    struct call_request *r = &c->request;
    r->module = arena_copy(c->arena, t->module);
    r->entrypoint = arena_copy(c->arena, t->entrypoint);
    r->props = arena_copy(c->arena, t->props);
    r->actor = arena_copy(c->arena, t->actor);
    r->actor_class = arena_copy(c->arena, t->actor_class);
    r->actor_name = arena_copy(c->arena, t->actor_name);
    r->files = t->files;
    r->caller = arena_copy(c->arena, g->deployment->name);
    r->root = arena_copy(c->arena, slice_cstr(g->context ? g->context->root : ""));
    r->depth = depth;
    r->answer_ms = g->durable ? LIMIT_CALL_WORKFLOW_MS : 0;
    return s;
}

/* Nothing has been registered, started or sent yet. */
static void service_drop(struct service *s)
{
    call_drop(TAKE(s->call));
    s->has_answered = true;
    service_settle(s);
}

/* id: of the call, when it is one of the execution; else 0. */
static enum err service_begin(struct service *s, uint32_t id)
{
    s->is_whole = id != 0;
    if (id == 0)
        return op_begin(s->guest, &s->op, service_cancelled);
    op_adopt(s->guest, &s->op, id, service_cancelled);
    return OK;
}

/* ---- a request ---- */

static enum err request_url(struct guest *g, struct arena *a, struct slice url,
                            struct http_request *r)
{
    struct deps_url u;
    bool is_url = deps_url_parse(url.ptr, url.len, "", 0, &u);
    struct slice href = is_url ? slice_of(u.href, u.href_len) : SLICE_EMPTY;
    r->is_tls = slice_starts(href, SLICE_LIT("https:"));
    if (r->is_tls || slice_starts(href, SLICE_LIT("http:"))) {
        size_t end = u.fragment_start >= 0 ? (size_t)u.fragment_start - 1 : href.len;
        size_t host = u.host_start + (href.ptr[u.host_start] == '@');
        r->authority = arena_copy(a, slice_of(href.ptr + host, u.path_start - host));
        r->target = arena_copy(a, slice_of(href.ptr + u.path_start, end - u.path_start));
    } else {
        is_url = false;
    }
    if (href.ptr)
        deps_url_done(&u);
    return is_url ? OK
                  : op_refuse(g, ERR_INVALID,
                              "a service is called with an http: or https: URL, "
                              "not '%.*s'",
                              SLICE_ARG(slice_utf8_clip(url, 200)));
}

/* The same effect has the same key, however often it is tried: the callee can tell. */
static void add_idempotency_key(struct guest *g, struct service *s, uint32_t id)
{
    struct http_request *r = s->call->request.http;
    for (size_t k = 0; k < r->headers_len; k++)
        if (slice_eq_cstr(r->headers[k].name, "idempotency-key"))
            return;
    struct slice execution = execution_id(g->durable->execution);
    const char *key = id != 0 ? arena_printf(s->call->arena, "%.*s-%u", SLICE_ARG(execution), id)
                              : arena_printf(s->call->arena, "%.*s-%u-%u", SLICE_ARG(execution),
                                             execution_scope_step(g->durable->execution, g->scope),
                                             guest_count_fetch(g));
    r->headers[r->headers_len++] =
        (struct http_header){SLICE_LIT("idempotency-key"), slice_cstr(key)};
}

static enum err service_request(struct guest *g, struct service *s,
                                const struct op_service_fetch_args *a, uint32_t id)
{
    struct arena *arena = s->call->arena;
    struct call_request *q = &s->call->request;
    struct http_request *r = q->http = arena_new_struct(arena, struct http_request);
    r->headers = arena_array(arena, SERVICE_HEADERS_MAX + 1, sizeof(*r->headers));
    r->method = arena_copy(arena, a->method);
    r->version = 11;
    enum err err = request_url(g, arena, a->url, r);
    if (err == OK)
        err = headers_decode(arena_copy(arena, a->headers), r->headers, SERVICE_HEADERS_MAX,
                             &r->headers_len, &g->op_error);
    if (err != OK)
        return err;
    r->upgrades = headers_upgrade(r->headers, r->headers_len) && a->body_kind == ABI_BODY_NONE &&
                  slice_eq_cstr(a->method, "GET");
    if (g->durable)
        add_idempotency_key(g, s, id);
    q->has_stream = a->body_kind == ABI_BODY_STREAM || a->body_kind == ABI_BODY_LENT || r->upgrades;
    q->body = q->has_stream ? SLICE_EMPTY : arena_copy(arena, a->body);
    s->url = arena_copy(arena, a->url);
    r->has_body = a->body_kind != ABI_BODY_NONE;
    r->content_length = a->body_kind == ABI_BODY_STREAM ? -1 : (int64_t)a->body.len;
    return OK;
}

/* NULL: *ret_err says why. */
static struct service *service_fetch(struct guest *g, const struct op_service_fetch_args *a,
                                     uint32_t id, enum err *ret_err)
{
    struct service_target t;
    size_t body = a->body_kind == ABI_BODY_INLINE ? a->body.len : 0;
    if (a->body_kind > ABI_BODY_LENT || body > LIMIT_VALUE_BYTES) {
        *ret_err = op_refuse(g, ERR_INVALID, "malformed request");
        return NULL;
    }
    *ret_err = service_find(g, CALL_FETCH, a->service, a->entrypoint, a->props, &t);
    if (*ret_err != OK)
        return NULL;
    struct service *s = service_new(g, CALL_FETCH, &t, a->url.len + a->headers.len + body);
    if (!s) {
        *ret_err = g->op_error.code;
        return NULL;
    }
    *ret_err = service_request(g, s, a, id);
    if (*ret_err == OK)
        *ret_err = service_begin(s, id);
    if (*ret_err == OK)
        return s;
    service_drop(s);
    return NULL;
}

enum err op_service_fetch(struct guest *g, const struct op_service_fetch_args *a)
{
    enum err err;
    struct service *s = service_fetch(g, a, 0, &err);
    if (!s)
        return err;
    if (s->call->request.has_stream) {
        s->sink = sink_new(s->op.context, &upload_owner, s);
        s->sink->scope = s->op.scope;
    }
    bytes_append_u32(&g->result, a->body_kind == ABI_BODY_STREAM ? s->sink->id : 0);
    if (a->body_kind != ABI_BODY_LENT)
        bytes_append_u32(&g->result, 0);
    else if ((err = sink_lend(s->sink, a->body)) != OK) {
        op_give_up(&s->op);
        return err;
    }
    service_go(s);
    return OK;
}

/* Whose answer is recorded goes whole, like what is asked. */
enum err op_service_fetch_call(struct guest *g, const struct op_service_fetch_args *a,
                               struct op_call *c)
{
    if (a->body.len > LIMIT_VALUE_BYTES)
        return op_refuse_large(g, "the body of a request that is recorded", a->body.len,
                               "send it inside step(), where a body may have any size");
    if (a->body_kind == ABI_BODY_STREAM) {
        op_refuse(g, ERR_INVALID, "a request whose body is a stream cannot be recorded");
        error_hint(&g->op_error, "give the whole body, or call it inside step()");
        return ERR_INVALID;
    }
    struct http_header headers[SERVICE_HEADERS_MAX];
    size_t headers_len;
    enum err err =
        headers_decode(a->headers, headers, SERVICE_HEADERS_MAX, &headers_len, &g->op_error);
    if (err != OK)
        return err;
    if (headers_upgrade(headers, headers_len))
        return open_socket_refuse_recorded(g);
    c->call.kind = EXECUTION_EXTERNAL;
    bytes_append_slice(&c->label, slice_utf8_clip(a->service, 128));
    bytes_append_cstr(&c->label, ": ");
    bytes_append_slice(&c->label, slice_utf8_clip(a->method, 32));
    bytes_append_char(&c->label, ' ');
    bytes_append_slice(&c->label, slice_utf8_clip(a->url, RECORD_LABEL_BYTES_MAX - c->label.len));
    bytes_append_u32(&c->more, 0); /* no sink */
    bytes_append_u32(&c->more, 0); /* a copy of the body was made */
    return OK;
}

enum err op_service_fetch_start(struct guest *g, uint32_t id, struct op_service_fetch_args *a)
{
    enum err err;
    if (a->body_kind == ABI_BODY_LENT)
        a->body_kind = ABI_BODY_INLINE; /* it is the execution's copy */
    struct service *s = service_fetch(g, a, id, &err);
    if (s)
        service_go(s);
    return err;
}

/* ---- a method ---- */

static enum err service_call(struct guest *g, const struct op_service_call_args *a, uint32_t id)
{
    struct service_target t;
    enum err err = service_find(g, CALL_METHOD, a->service, a->entrypoint, a->props, &t);
    if (err != OK)
        return err;
    struct service *s = service_new(g, CALL_METHOD, &t, a->method.len + a->value.len);
    if (!s)
        return g->op_error.code;
    struct call_request *r = &s->call->request;
    if (id != 0 && r->actor.len > 0) { /* of the execution: it may be repeated, and is done once */
        struct slice execution = execution_id(g->durable->execution);
        r->id = slice_cstr(arena_printf(s->call->arena, "%.*s-%u", SLICE_ARG(execution), id));
    }
    r->method = arena_copy(s->call->arena, a->method);
    r->what = a->what;
    r->body = arena_copy(s->call->arena, a->value);
    err = service_begin(s, id);
    if (err == OK)
        service_go(s);
    else
        service_drop(s);
    return err;
}

enum err op_service_call(struct guest *g, const struct op_service_call_args *a)
{
    return service_call(g, a, 0);
}

enum err op_service_call_call(struct guest *g, const struct op_service_call_args *a,
                              struct op_call *c)
{
    c->call.kind = EXECUTION_EXTERNAL;
    return OK;
}

enum err op_service_call_start(struct guest *g, uint32_t id, struct op_service_call_args *a)
{
    return service_call(g, a, id);
}
