/* SPDX-License-Identifier: Apache-2.0
 *
 * From an exchange to a handler and back: access, route, the whole body within its limit, the
 * answer. Handlers see a request only when its body is complete; nothing of it is acted on before.
 */
#include <stdlib.h>
#include <string.h>

#include "admin/access.h"
#include "admin/internal.h"
#include "admin/names.h"
#include "base/module_name.h"
#include "http/url.h"

void request_hold(struct admin_request *r)
{
    r->holds++;
}

void request_on_gone(struct admin_request *r, void (*fn)(struct admin_request *r))
{
    r->on_gone = fn;
    if (fn && !r->exchange)
        fn(r);
}

void request_body_drop(struct admin_request *r)
{
    CHECK(r->admin->bodies_bytes >= r->body_buffer.len);
    r->admin->bodies_bytes -= r->body_buffer.len;
    bytes_done(&r->body_buffer);
    r->body = SLICE_EMPTY;
}

void request_release(struct admin_request *r)
{
    CHECK(r->holds > 0);
    if (--r->holds > 0)
        return;
    struct admin *a = r->admin;
    request_body_drop(r);
    arena_free(r->arena); /* r lies in it */
    admin_unref(a);
}

/* ---- what a handler reads ---- */

static void request_forget_reads(void *arg)
{
    struct admin_request *r = arg;
    asks_drop(&r->reads);
    r->read_at = &r->reads;
}

void request_go(struct admin_request *r, void (*handler)(struct admin_request *r))
{
    CHECK(r->waits == 0);
    request_forget_reads(r);
    r->handler = handler;
    handler(r);
}

static void on_read(struct ask *a)
{
    struct admin_request *r = a->owner;
    if (--r->waits == 0) {
        r->read_at = &r->reads;
        r->handler(r);
    }
    request_release(r);
}

static struct ask *request_ask(struct admin_request *r, const struct store_query *q)
{
    struct ask *a = ask_new(&r->admin->asks, q->kind, on_read, r);
    struct store_query made = a->query;
    a->query = *q;
    a->query.loop = made.loop;
    a->query.arena = made.arena;
    if (q->kind == STORE_QUERY_JOURNAL)
        a->query.journal.out = &a->out;
    list_push_back(&r->reads, &a->link);
    if (ask_start(a) == OP_PENDING) {
        r->waits++;
        request_hold(r);
    }
    return a;
}

enum err request_read(struct admin_request *r, struct store_query *q, struct error *ret_error)
{
    struct ask *a = r->read_at->next == &r->reads
                        ? request_ask(r, q)
                        : container_of(r->read_at->next, struct ask, link);
    CHECK(a->query.kind == q->kind);
    r->read_at = &a->link;
    if (!a->is_answered)
        return error_set(ret_error, ERR_UNAVAILABLE, "the store has not answered yet");
    *q = a->query;
    if (q->error.code != OK && ret_error)
        *ret_error = q->error;
    return q->error.code;
}

/* ---- operations of a request ---- */

struct request_op {
    struct store_op op;
    struct admin_request *request;
    void (*fn)(struct admin_request *r, const struct store_op *op);
};

static void on_op_done(struct store_op *op)
{
    struct request_op *o = container_of(op, struct request_op, op);
    o->fn(o->request, op);
    request_release(o->request);
}

struct store_op *request_op(struct admin_request *r,
                            void (*fn)(struct admin_request *r, const struct store_op *op))
{
    struct request_op *o = arena_new_struct(r->arena, struct request_op);
    o->op.loop = r->admin->loop;
    o->op.done = on_op_done;
    o->op.audit = request_audit(r);
    r->has_audit |= o->op.audit != NULL;
    o->request = r;
    o->fn = fn;
    request_hold(r);
    return &o->op;
}

struct request_change {
    struct admin_change change;
    struct admin_request *request;
    void (*fn)(struct admin_request *r, const struct error *e);
};

static void on_change_done(struct admin_change *change)
{
    struct request_change *c = container_of(change, struct request_change, change);
    c->fn(c->request, &change->error);
    request_release(c->request);
}

void change_announce(struct admin_request *r, struct slice function, enum admin_change_kind kind,
                     void (*fn)(struct admin_request *r, const struct error *e))
{
    struct request_change *c = arena_new_struct(r->arena, struct request_change);
    c->change.done = on_change_done;
    c->change.function = function;
    c->change.kind = kind;
    c->request = r;
    c->fn = fn;
    request_hold(r);
    r->admin->host.change(r->admin->host.ctx, &c->change);
}

/* ---- answers ---- */

static void count_status(struct admin *a, int status)
{
    int hundreds = status / 100;
    if (hundreds >= 1 && hundreds <= 5)
        a->requests[hundreds]++;
}

void reply_with(struct admin_request *r, int status, const struct http_header *headers,
                size_t headers_len, const char *type, struct bytes *body)
{
    if (r->exchange && !r->is_answered && r->waits == 0) {
        struct http_header all[8];
        CHECK(headers_len + 2 <= ARRAY_LEN(all));
        size_t len = 0;
        if (type)
            all[len++] = (struct http_header){SLICE_LIT("content-type"), slice_cstr(type)};
        all[len++] = (struct http_header){SLICE_LIT("cache-control"), SLICE_LIT("no-store")};
        for (size_t i = 0; i < headers_len; i++)
            all[len++] = headers[i];
        r->is_answered = true;
        count_status(r->admin, status);
        http_respond(r->exchange, status, all, len, (int64_t)body->len, bytes_slice(body), true);
    }
    bytes_done(body);
}

void reply_json(struct admin_request *r, int status, struct bytes *body)
{
    bytes_append_char(body, '\n');
    reply_with(r, status, NULL, 0, "application/json", body);
}

void reply_row(struct admin_request *r, int status, const void *row, row_json *write)
{
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    write(r, &w, row);
    reply_json(r, status, &body);
}

void reply_rows(struct admin_request *r, const void *rows, size_t len, size_t size, row_json *write)
{
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '[');
    for (size_t i = 0; i < len; i++)
        write(r, &w, (const char *)rows + i * size);
    json_close(&w, ']');
    reply_json(r, 200, &body);
}

void reply_page(struct admin_request *r, const char *next, struct bytes *body)
{
    struct http_header link = {SLICE_LIT("link"), SLICE_EMPTY};
    if (next)
        link.value = slice_cstr(arena_printf(r->arena, "<%s%s>; rel=\"next\"", r->base, next));
    bytes_append_char(body, '\n');
    reply_with(r, 200, &link, next ? 1 : 0, "application/json", body);
}

void reply_empty(struct admin_request *r, int status)
{
    struct bytes none = BYTES_INIT;
    reply_with(r, status, NULL, 0, NULL, &none);
}

static void reply_error_with(struct admin_request *r, const struct error *e,
                             const struct http_header *header)
{
    struct http_header headers[2];
    size_t len = 0;
    int status = error_http_status(e->code);
    if (!r->is_answered && r->waits == 0)
        request_audit_refused(r, e->code);
    if (header)
        headers[len++] = *header;
    if (status == 503 || status == 429)
        headers[len++] = (struct http_header){SLICE_LIT("retry-after"), SLICE_LIT("1")};
    else if (status == 401)
        headers[len++] = (struct http_header){SLICE_LIT("www-authenticate"), SLICE_LIT("Bearer")};
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_error(&w, e);
    bytes_append_char(&body, '\n');
    reply_with(r, status, headers, len, "application/json", &body);
}

void reply_error(struct admin_request *r, const struct error *e)
{
    reply_error_with(r, e, NULL);
}

void reply_changed(struct admin_request *r, const struct error *e)
{
    if (e->code)
        reply_error(r, e);
    else
        reply_empty(r, 204);
}

/* ---- query ---- */

bool request_query(struct admin_request *r, const char *name, struct slice *ret_value)
{
    struct slice raw;
    if (!url_query_get(r->query, name, &raw))
        return false;
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    if (url_decode(raw, &text))
        *ret_value = arena_copy(r->arena, raw);
    else
        *ret_value = arena_copy(r->arena, bytes_slice(&text));
    return true;
}

enum err request_query_uint(struct admin_request *r, const char *name, uint64_t def, uint64_t most,
                            uint64_t *ret_value, struct error *ret_error)
{
    struct slice text;
    uint64_t value;
    if (!request_query(r, name, &text)) {
        *ret_value = def;
        return OK;
    }
    if (slice_to_u64(text, &value) && value <= most) {
        *ret_value = value;
        return OK;
    }
    error_set(ret_error, ERR_INVALID,
              "the query parameter %s is not a number that can be used here", name);
    error_hint(ret_error, "%s may be 0 to %llu", name, (unsigned long long)most);
    return ERR_INVALID;
}

/* "30s", "500ms", "5m", "30" (seconds). */
static bool read_duration(struct slice text, uint64_t *ret_ms)
{
    static const struct {
        const char *suffix;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"", 1000}};
    size_t i = 0;
    while (!slice_ends(text, slice_cstr(units[i].suffix)))
        i++;
    text.len -= strlen(units[i].suffix);
    uint64_t value;
    if (!slice_to_u64(text, &value))
        return false;
    *ret_ms = value > ADMIN_WAIT_MS_MAX / units[i].ms ? ADMIN_WAIT_MS_MAX : value * units[i].ms;
    return true;
}

enum err request_query_wait(struct admin_request *r, uint64_t *ret_ms, struct error *ret_error)
{
    struct slice text;
    *ret_ms = 0;
    if (!request_query(r, "wait", &text) || slice_eq_cstr(text, "false"))
        return OK;
    *ret_ms = ADMIN_WAIT_MS_MAX;
    if (text.len == 0 || slice_eq_cstr(text, "true") || read_duration(text, ret_ms))
        return OK;
    error_set(ret_error, ERR_INVALID, "the query parameter wait is not a time");
    error_hint(ret_error, "write wait=30s, wait=500ms or wait=5m, which is the most");
    return ERR_INVALID;
}

bool request_query_flag(struct admin_request *r, const char *name)
{
    struct slice text;
    return request_query(r, name, &text) && !slice_eq_cstr(text, "false") &&
           !slice_eq_cstr(text, "0");
}

/* ---- arrival ---- */

/* Does the n-th parameter of the path name a module? */
static bool param_is_module(const struct route *route, size_t n)
{
    struct slice rest = slice_cstr(route->path);
    while (rest.len > 0) {
        struct slice segment = slice_split(&rest, '/');
        if (segment.len > 0 && segment.ptr[0] == ':' && n-- == 0)
            return slice_eq_cstr(segment, ":name") || slice_eq_cstr(segment, ":module");
    }
    return false;
}

static void refuse(struct admin_request *r, const struct error *e)
{
    r->is_refused = true;
    reply_error(r, e);
}

static bool is_json_type(struct slice type)
{
    struct slice media = slice_trim(slice_split(&type, ';'));
    return media.len == 0 || slice_eq_nocase(media, SLICE_LIT("application/json")) ||
           (slice_starts(media, SLICE_LIT("application/")) &&
            slice_ends(media, SLICE_LIT("+json")));
}

static enum err check_body_head(const struct admin_request *r, const struct http_request *request,
                                struct error *ret_error)
{
    for (size_t i = 0; i < request->headers_len; i++) {
        const struct http_header *h = &request->headers[i];
        if (!slice_eq_cstr(h->name, "content-type") || is_json_type(h->value) ||
            r->route->body == ROUTE_BODY_FILE)
            continue;
        error_set(ret_error, ERR_UNSUPPORTED_TYPE, "the content type '%.*s' is not JSON",
                  SLICE_ARG(slice_utf8_clip(h->value, 100)));
        error_hint(ret_error, "send 'Content-Type: application/json'");
        return ERR_UNSUPPORTED_TYPE;
    }
    if (request->content_length > (int64_t)r->body_bytes_max) {
        error_set(ret_error, ERR_TOO_LARGE,
                  "the request body has %lld bytes, but this route takes %zu at most",
                  (long long)request->content_length, r->body_bytes_max);
        error_hint(ret_error, "send less in one request; docs/limits.md has all limits");
        return ERR_TOO_LARGE;
    }
    return OK;
}

static enum err take_body(struct admin_request *r, struct slice data, struct error *ret_error)
{
    struct admin *a = r->admin;
    if (data.len > r->body_bytes_max - r->body_buffer.len) {
        error_set(ret_error, ERR_TOO_LARGE,
                  "the request body has more than the %zu bytes that this route takes",
                  r->body_bytes_max);
        error_hint(ret_error, "send less in one request; docs/limits.md has all limits");
        return ERR_TOO_LARGE;
    }
    if (a->bodies_bytes + data.len > ADMIN_BODIES_BYTES_MAX) {
        error_set(ret_error, ERR_OVERLOAD, "too many large requests are being received");
        error_hint(ret_error, "try again in a moment");
        return ERR_OVERLOAD;
    }
    bytes_append_slice(&r->body_buffer, data);
    a->bodies_bytes += data.len;
    return OK;
}

/* A namespace must be there for what is asked about it. */
static void run_route(struct admin_request *r)
{
    struct namespace_row row;
    struct error error = {0};
    if (!namespace_is_default(r->space) && read_namespace(r, &row, &error))
        reply_error(r, &error);
    else
        r->route->handler(r);
}

static void dispatch(struct admin_request *r)
{
    r->body = bytes_slice(&r->body_buffer);
    request_go(r, run_route);
}

static enum err decode(struct admin_request *r, struct slice raw, struct slice *ret_text,
                       struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    if (url_decode(raw, &text) || !slice_is_utf8(bytes_slice(&text))) {
        error_set(ret_error, ERR_INVALID, "the path has a bad percent escape");
        error_hint(ret_error, "escape UTF-8 bytes as %%XX");
        return ERR_INVALID;
    }
    *ret_text = arena_copy(r->arena, bytes_slice(&text));
    return OK;
}

static enum err read_param(struct admin_request *r, const struct route *route, size_t i,
                           struct slice raw, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes module = BYTES_INIT;
    enum err err = decode(r, raw, &r->params[i], ret_error);
    if (err || !param_is_module(route, i))
        return err;
    if (slice_find(r->params[i], '/') >= 0) /* the namespace is the path's to say */
        return names_check_function(r->params[i], ret_error);
    module_name_join(r->space, r->params[i], &module);
    r->params[i] = arena_copy(r->arena, bytes_slice(&module));
    return OK;
}

/* The namespace of the path, or of "/namespaces/:namespace" itself. */
static enum err find_space(struct admin_request *r, const struct route_match *match,
                           struct error *ret_error)
{
    struct slice raw = match->space;
    if (slice_starts(slice_cstr(match->route->path), SLICE_LIT(ROUTE_NAMESPACES)))
        raw = match->params[0];
    if (raw.len == 0)
        return OK;
    enum err err = decode(r, raw, &r->space, ret_error);
    if (!err)
        err = names_check_namespace(r->space, ret_error);
    if (!err && !namespace_is_default(r->space))
        r->base = arena_printf(r->arena, "/namespaces/%.*s", SLICE_ARG(r->space));
    return err;
}

/* Path and query; the parameters are decoded into the arena. */
static enum err find_route(struct admin_request *r, const struct http_request *request,
                           struct route_match *ret_match, struct error *ret_error)
{
    struct slice rest = request->target;
    struct slice path = slice_split(&rest, '?');
    r->query = rest;
    route_find(request->method, path, ret_match);
    if (!ret_match->route && ret_match->allow[0]) {
        error_set(ret_error, ERR_METHOD, "%.*s is not a method of %.*s",
                  SLICE_ARG(slice_utf8_clip(request->method, 40)),
                  SLICE_ARG(slice_utf8_clip(path, 200)));
        error_hint(ret_error, "use %s", ret_match->allow);
        return ERR_METHOD;
    }
    if (!ret_match->route) {
        error_set(ret_error, ERR_NOT_FOUND, "there is no route %.*s",
                  SLICE_ARG(slice_utf8_clip(path, 200)));
        error_hint(ret_error,
                   "GET /openapi.json lists the routes; functions themselves answer on "
                   "NAME.localhost:%d",
                   r->admin->public_port);
        return ERR_NOT_FOUND;
    }
    enum err err = find_space(r, ret_match, ret_error);
    for (size_t i = 0; !err && i < ROUTE_PARAMS_MAX; i++)
        err = read_param(r, ret_match->route, i, ret_match->params[i], ret_error);
    return err;
}

/* Who asks, for what, and may they? Before anything of the body is taken. */
static void arrive(struct admin_request *r)
{
    struct http_exchange *x = r->exchange;
    if (!x)
        return; /* the client has gone meanwhile */
    const struct http_request *request = http_exchange_request(x);
    struct slice token;
    struct error error = {0};
    struct route_match match = {0};
    enum err err = find_route(r, request, &match, &error);
    bool is_public = match.route && match.route->role == ROUTE_PUBLIC;
    struct error denied = {0};
    enum err no = access_check(r->admin, request, is_public, &token, &denied);
    if (!no && token.len > 0)
        no = access_token(r, token, &denied);
    else if (!no)
        r->caller.is_server = true;
    if (r->waits > 0)
        return; /* here again when the token is read */
    if (no) {
        refuse(r, &denied); /* before anything is said about routes */
        return;
    }
    if (err == ERR_METHOD) {
        struct http_header allow = {SLICE_LIT("allow"), slice_cstr(match.allow)};
        r->is_refused = true;
        reply_error_with(r, &error, &allow);
        return;
    }
    if (!err)
        request_audit_begin(r, match.route);
    if (!err)
        err = access_allows(&r->caller, match.route->role, r->space, &error);
    if (err) {
        refuse(r, &error);
        return;
    }
    r->route = match.route;
    r->kind = route_kind(match.route);
    r->body_bytes_max = route_body_bytes_max(match.route->body);
    if (match.route->body == ROUTE_BODY_NONE || !request->has_body) {
        dispatch(r);
        return;
    }
    struct slice whole;
    if (check_body_head(r, request, &error)) {
        refuse(r, &error);
    } else if (!http_body_take_whole(x, &whole)) {
        http_body_start(x);
    } else if (take_body(r, whole, &error)) {
        refuse(r, &error);
    } else {
        dispatch(r);
    }
}

static void on_request(void *ctx, struct http_exchange *x)
{
    struct admin *a = ctx;
    struct arena *arena = arena_new(NULL);
    struct admin_request *r = arena_new_struct(arena, struct admin_request);
    r->admin = a;
    r->exchange = x;
    r->arena = arena;
    r->holds = 1;
    r->space = SLICE_LIT(NAMESPACE_DEFAULT);
    r->base = "";
    a->holds++;
    list_init(&r->reads);
    r->read_at = &r->reads;
    arena_on_free(arena, request_forget_reads, r);
    *http_exchange_user(x) = r;
    r->endings = a->endings;
    request_go(r, arrive);
}

bool request_may_last(struct admin_request *r)
{
    if (r->endings == r->admin->endings)
        return true;
    r->endings = r->admin->endings;
    request_go(r, arrive);
    return false;
}

static void on_body(struct http_exchange *x, struct slice data, bool is_end)
{
    struct admin_request *r = *http_exchange_user(x);
    struct error error = {0};
    if (r->is_refused) {
        http_body_consumed(x, data.len);
        return;
    }
    if (take_body(r, data, &error)) {
        request_body_drop(r);
        refuse(r, &error);
        return;
    }
    if (is_end)
        dispatch(r);
    else
        http_body_consumed(x, data.len);
}

static void on_drain(struct http_exchange *x)
{
    struct admin_request *r = *http_exchange_user(x);
    if (r->on_drain)
        r->on_drain(r);
}

static void on_close(struct http_exchange *x, bool is_complete)
{
    struct admin_request *r = *http_exchange_user(x);
    (void)is_complete; /* what was asked is done whether or not the answer arrived */
    r->exchange = NULL;
    if (r->on_gone)
        r->on_gone(r);
    request_release(r);
}

const struct http_handler request_http_handler = {
    .on_request = on_request, .on_body = on_body, .on_drain = on_drain, .on_close = on_close};
