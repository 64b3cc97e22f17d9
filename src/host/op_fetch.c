/* SPDX-License-Identifier: Apache-2.0
 *
 * Outgoing HTTP for guests. A fetch has its own memory (struct fetch) that lives until the client's
 * on_done, which may come after the guest has ended (then guest is NULL and nothing is reported),
 * and until the guest has all of the body or has given it up.
 *
 * A body with a content coding is kept as it came, up to a window, and decoded as it is read: at
 * most LIMIT_FETCH_DECODED_BYTES a turn of the loop and ahead of the reader. All of it, with the
 * decoders' own memory, counts as the guest's.
 *
 * A large request body is lent: curl reads it where the guest has it, piece by piece, and again if the
 * request is redirected or repeated, until the op `lent` completes.
 *
 * In a durable execution a fetch carries an Idempotency-Key that is the same on each try. Outside
 * of steps it is a call of the execution, started by op_fetch_start() when there is no record of
 * its answer, and its answer is complete with the whole body, since a record is made of it. */
#include "host/recording.h"
#include "host/socket.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "bucket/bucket.h"
#include "cache/cache.h"
#include "http/client.h"
#include "http/decode.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "module/binding.h"
#include "module/deployment.h"

enum { FETCH_HEADERS_MAX = 128 /* of the guest's own */ };

/* of the completion: see ops.def */
enum { FETCH_REDIRECTED = 1, FETCH_NO_BODY = 2, FETCH_LENT = 4, FETCH_SOCKET = 8 };

struct fetch {
    struct op op;
    struct http_fetch http;
    struct guest *guest;           /* NULL: it has ended or cancelled */
    struct deployment *deployment; /* a reference: has what is filled in */
    struct source *source;
    struct sink *sink;
    struct held held;
    bool is_held, is_started, has_answered;
    bool is_done; /* the exchange is over, `failure` says how */
    struct error failure;
    struct decode *decode; /* NULL: the body is given as it comes */
    struct bytes raw;      /* not yet decoded */
    struct timer decode_timer;
    bool is_whole;       /* the answer waits for its body */
    struct bytes answer; /* its head meanwhile */
    struct bytes answer_body;
    struct op lent; /* the guest's memory is read while is_lent */
    bool is_lent;
    char key[96];                            /* Idempotency-Key */
    size_t charged;                          /* to the guest, for the body */
    struct bytes method, url, headers, body; /* copies, since the start may wait at the gate */
    struct http_header header_list[FETCH_HEADERS_MAX + 1];
};

static void fetch_upgraded(struct fetch *f);

/* What is kept for the guest counts as its memory. */
static bool fetch_charge(void *arg, size_t len)
{
    struct fetch *f = arg;
    if (!f->guest || guest_charge(f->guest, len) != OK)
        return false;
    f->charged += len;
    return true;
}

static void fetch_discharge(void *arg, size_t len)
{
    struct fetch *f = arg;
    CHECK(f->guest && f->charged >= len);
    guest_discharge(f->guest, len);
    f->charged -= len;
}

/* What has arrived cannot be refused; reading on can. */
static void fetch_charge_arrived(struct fetch *f, size_t len)
{
    guest_hold(f->guest, len);
    f->charged += len;
}

/* May more of the body come? */
static bool fetch_has_room(struct fetch *f, size_t held)
{
    if (held >= LIMIT_HTTP_BODY_WINDOW_BYTES)
        return false;
    if (held == 0)
        return true; /* or it would wait for ever */
    if (!fetch_charge(f, LIMIT_HTTP_BODY_WINDOW_BYTES))
        return false;
    fetch_discharge(f, LIMIT_HTTP_BODY_WINDOW_BYTES);
    return true;
}

static void fetch_forget_guest(struct fetch *f)
{
    if (!f->guest)
        return;
    timer_stop(f->guest->host->loop, &f->decode_timer);
    decode_free(TAKE(f->decode));
    guest_discharge(f->guest, f->charged);
    f->charged = 0;
    bytes_done(&f->raw);
    f->guest = NULL;
}

static void fetch_free(struct fetch *f)
{
    fetch_forget_guest(f);
    deployment_unref(f->deployment);
    bytes_done(&f->method);
    bytes_done(&f->url);
    bytes_done(&f->headers);
    bytes_done(&f->body);
    bytes_done(&f->answer);
    bytes_done(&f->answer_body);
    free(f);
}

/* The source goes on by itself with what it has. */
static void fetch_leave_source(struct fetch *f)
{
    f->source->owner = NULL;
    f->source = NULL;
    fetch_forget_guest(f);
}

/* The body is the guest's again. Either it was sent, or the exchange is over or cancelled. */
static void fetch_give_back(struct fetch *f)
{
    if (!f->is_lent)
        return;
    f->is_lent = false;
    op_complete(&f->lent, OK, SLICE_EMPTY);
}

/* The guest takes it back, or ends. */
static void lent_cancelled(struct op *op)
{
    struct fetch *f = container_of(op, struct fetch, lent);
    f->is_lent = false;
    f->http.body = SLICE_EMPTY; /* if it has not been started */
    http_fetch_cancel(&f->http);
}

/* Nobody is interested any more. */
static void fetch_detach(struct fetch *f)
{
    if (f->source)
        fetch_leave_source(f);
    if (f->sink) {
        struct error e;
        error_set(&e, ERR_CANCELLED, "the request was cancelled");
        sink_fail(TAKE(f->sink), &e);
    }
    fetch_forget_guest(f);
    if (f->is_held)
        list_remove(&f->held.link);
    if (f->is_started)
        http_fetch_cancel(&f->http);
    fetch_give_back(f);
    if (!f->is_started)
        fetch_free(f);
}

static void fetch_cancelled(struct op *op)
{
    fetch_detach(container_of(op, struct fetch, op));
}

/* ---- response body ---- */

static void fetch_settle(struct fetch *f)
{
    if (f->is_done && !f->source)
        fetch_free(f);
}

static void decode_due(struct timer *t);

static void decode_later(struct fetch *f)
{
    if (!timer_is_running(&f->decode_timer))
        timer_start(f->guest->host->loop, &f->decode_timer, 0, decode_due);
}

static void fetch_broken(struct fetch *f, const struct error *error)
{
    struct source *s = f->source;
    fetch_leave_source(f);
    source_fail(s, error);
    if (!f->is_done)
        http_fetch_cancel(&f->http);
}

/* One helping for the reader. Not called from inside of streams, whose state it changes. */
static void decode_some(struct fetch *f)
{
    char out[LIMIT_FETCH_DECODED_BYTES];
    struct source *s = f->source;
    struct slice in = bytes_slice(&f->raw);
    size_t room = s->buffer.len < sizeof(out) ? sizeof(out) - s->buffer.len : 0, len;
    bool is_over, is_last = f->is_done && f->failure.code == OK;
    struct error error;
    if (room == 0 || s->is_end)
        return; /* fetched_consumed() comes, or nothing */
    if (decode_run(f->decode, &in, is_last, out, room, &len, &is_over, &error) != OK) {
        fetch_broken(f, &error);
        return;
    }
    size_t taken = f->raw.len - in.len;
    bytes_consume(&f->raw, taken);
    fetch_discharge(f, taken);
    if (f->raw.len < LIMIT_HTTP_BODY_WINDOW_BYTES / 2)
        http_fetch_resume(&f->http);
    if (is_over && f->is_done)
        fetch_leave_source(f); /* else the source still ends the exchange when it is closed */
    else if (len == room)
        decode_later(f);
    else if (f->failure.code && !is_over)
        fetch_leave_source(f);
    if (len > 0 || is_over)
        source_push(s, slice_of(out, len), is_over);
    if (!is_over && len < room && f->failure.code)
        source_fail(s, &f->failure);
}

static void decode_due(struct timer *t)
{
    struct fetch *f = container_of(t, struct fetch, decode_timer);
    decode_some(f);
    fetch_settle(f);
}

static void fetched_consumed(struct source *s, size_t n)
{
    struct fetch *f = s->arg;
    if (f->decode)
        decode_later(f);
    else if (s->buffer.len < LIMIT_HTTP_BODY_WINDOW_BYTES / 2)
        http_fetch_resume(&f->http);
}

static void fetched_closed(struct source *s)
{
    struct fetch *f = s->arg;
    f->source = NULL;
    fetch_forget_guest(f);
    if (!f->is_done)
        http_fetch_cancel(&f->http);
    fetch_settle(f);
}

static const struct source_owner fetched_owner = {NULL, fetched_consumed, fetched_closed};

/* The completion but for the inline body, which comes last. */
static void encode_head(const struct fetch *f, uint32_t source, uint32_t flags, struct bytes *out)
{
    const struct http_fetch *h = &f->http;
    bytes_append_u32(out, (uint32_t)h->status);
    bytes_append_u32(out, source);
    bytes_append_u32(out, flags | (h->was_redirected ? FETCH_REDIRECTED : 0) |
                              (h->has_no_body ? FETCH_NO_BODY : 0) | (f->is_lent ? FETCH_LENT : 0));
    bytes_append_lstr(out, bytes_slice(&h->final_url));
    bytes_append_lstr(out, bytes_slice(&h->status_text));
    bytes_append_u32(out, (uint32_t)h->ret_headers_len);
    for (size_t k = 0; k < h->ret_headers_len; k++) {
        bytes_append_lstr(out, h->ret_headers[k].name);
        bytes_append_lstr(out, h->ret_headers[k].value);
    }
}

static void fetch_fail_op(struct fetch *f, const struct error *error)
{
    f->has_answered = true;
    op_complete_error(&f->op, error);
    fetch_forget_guest(f);
    http_fetch_cancel(&f->http);
    fetch_give_back(f);
}

/* The other side speaks WebSocket from here on. */
static void fetch_upgraded(struct fetch *f)
{
    struct http_fetch *h = &f->http;
    struct error e;
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct source *source = source_new(f->op.context, &fetched_owner, f);
    source->scope = f->op.scope;
    struct open_socket *o =
        open_socket_fetched(f->op.context, h->ret_headers, h->ret_headers_len, source, f->sink);
    if (!o) {
        source->owner = NULL;
        source_close(source);
        error_set(&e, ERR_NETWORK,
                  "the server has chosen a WebSocket extension that was not offered");
        fetch_fail_op(f, &e);
        return;
    }
    f->has_answered = true;
    f->source = source;
    encode_head(f, 0, FETCH_SOCKET | FETCH_NO_BODY, &out);
    bytes_append_lstr(&out, SLICE_EMPTY);
    bytes_append_u32(&out, open_socket_id(o));
    sink_open(f->sink);
    op_complete(&f->op, OK, bytes_slice(&out));
}

static void on_head(struct http_fetch *h)
{
    struct fetch *f = container_of(h, struct fetch, http);
    const struct coding_memory memory = {fetch_charge, fetch_discharge, f};
    struct error e;
    if (!f->guest)
        return;
    if (http_fetch_has_sent(h))
        fetch_give_back(f);
    if (h->codings.len > 0 && decode_new(h->codings, &memory, &f->decode, &e) != OK) {
        fetch_fail_op(f, &e);
        return;
    }
    if (f->is_whole) {
        encode_head(f, 0, 0, &f->answer);
        return;
    }
    if (h->status == 101) {
        fetch_upgraded(f);
        return;
    }
    f->has_answered = true;
    if (!h->has_no_body)
        f->source = source_new(f->op.context, &fetched_owner, f);
    if (f->source)
        f->source->scope = f->op.scope;
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    encode_head(f, f->source ? f->source->id : 0, 0, &out);
    bytes_append_lstr(&out, SLICE_EMPTY);
    if (f->is_lent)
        bytes_append_u32(&out, f->lent.id);
    op_complete(&f->op, OK, bytes_slice(&out));
    if (!f->source)
        fetch_forget_guest(f); /* the exchange ends by itself */
}

/* Part of a body that becomes a record. */
static void keep_body(struct fetch *f, struct slice data)
{
    struct error e;
    if (f->answer.len + f->answer_body.len + data.len + 4 <= EXECUTION_VALUE_BYTES_MAX) {
        if (fetch_charge(f, data.len)) {
            bytes_append_slice(&f->answer_body, data);
            return;
        }
        e = f->guest->op_error;
        fetch_fail_op(f, &e);
        return;
    }
    error_set(&e, ERR_TOO_LARGE, "the answer is above the limit of %d MiB for what is recorded",
              EXECUTION_VALUE_BYTES_MAX >> 20);
    error_hint(&e, "fetch it inside step() and return what you need of it; docs/limits.md has all "
                   "limits");
    fetch_fail_op(f, &e);
}

/* The same, decoded: what is kept is bounded, so this ends soon. */
static void keep_decoded(struct fetch *f, struct slice data, bool is_last)
{
    char out[LIMIT_FETCH_DECODED_BYTES];
    size_t len = sizeof(out);
    bool is_over = false;
    struct error e;
    bytes_append_slice(&f->raw, data);
    struct slice in = bytes_slice(&f->raw);
    while (f->decode && !is_over && len == sizeof(out)) {
        if (decode_run(f->decode, &in, is_last, out, sizeof(out), &len, &is_over, &e) != OK) {
            fetch_fail_op(f, &e);
            return;
        }
        keep_body(f, slice_of(out, len));
    }
    bytes_clear(&f->raw); /* all of it is used up */
}

static bool on_body(struct http_fetch *h, struct slice data)
{
    struct fetch *f = container_of(h, struct fetch, http);
    if (f->is_whole && f->guest && !f->has_answered) {
        if (f->decode)
            keep_decoded(f, data, false);
        else
            keep_body(f, data);
    }
    if (!f->source)
        return true; /* cancelled, or kept; the end follows */
    if (!f->decode) {
        source_push(f->source, data, false);
        return !f->source || fetch_has_room(f, f->source->buffer.len);
    }
    if (f->source->is_end)
        return true; /* behind the end of what was coded */
    bytes_append_slice(&f->raw, data);
    fetch_charge_arrived(f, data.len);
    decode_some(f);
    return !f->source || fetch_has_room(f, f->raw.len);
}

static void on_drain(struct http_fetch *h)
{
    struct fetch *f = container_of(h, struct fetch, http);
    if (f->sink)
        sink_drained(f->sink);
}

static void source_done(struct fetch *f)
{
    struct source *s = f->source;
    if (f->decode && !s->is_end) {
        decode_some(f);
        return;
    }
    fetch_leave_source(f);
    if (f->failure.code == OK)
        source_push(s, SLICE_EMPTY, true);
    else
        source_fail(s, &f->failure);
}

static void on_done(struct http_fetch *h, const struct error *error)
{
    struct fetch *f = container_of(h, struct fetch, http);
    f->is_done = true;
    f->failure = *error;
    fetch_give_back(f);
    if (f->sink) {
        struct error e = *error;
        if (e.code == OK)
            error_set(&e, ERR_CANCELLED, "the server has answered without reading all of the body");
        sink_fail(TAKE(f->sink), &e);
    }
    if (f->is_whole && f->decode && !f->has_answered && error->code == OK)
        keep_decoded(f, SLICE_EMPTY, true);
    if (f->source) {
        source_done(f);
    } else if (f->guest && !f->has_answered && f->is_whole && error->code == OK) {
        bytes_append_lstr(&f->answer, bytes_slice(&f->answer_body));
        op_complete(&f->op, OK, bytes_slice(&f->answer));
    } else if (f->guest && !f->has_answered) {
        op_complete_error(&f->op, error);
    }
    fetch_settle(f);
}

/* ---- request body ---- */

static bool upload_write(struct sink *s, struct slice data, bool is_end)
{
    struct fetch *f = s->arg;
    return http_fetch_write(&f->http, data, is_end);
}

static void upload_abort(struct sink *s)
{
    struct fetch *f = s->arg;
    f->sink = NULL;
    http_fetch_cancel(&f->http);
}

static void upload_over(struct sink *s)
{
    struct fetch *f = s->arg;
    f->sink = NULL;
}

static const struct sink_owner upload_owner = {upload_write, upload_abort, upload_over};

/* ---- start ---- */

static enum err may_send(struct http_fetch *h, struct slice method, struct url_target *t,
                         struct error *ret_error)
{
    struct fetch *f = container_of(h, struct fetch, http);
    if (!f->guest)
        return error_set(ret_error, ERR_CANCELLED, "the request was cancelled");
    const struct guest_host *host = f->guest->host;
    return host->may_fetch ? host->may_fetch(host->ctx, f->guest->deployment, method, t, ret_error)
                           : OK;
}

static void fetch_refused(struct fetch *f, const struct error *error)
{
    fetch_give_back(f);
    if (f->sink)
        sink_fail(TAKE(f->sink), error);
    if (f->guest)
        op_complete_error(&f->op, error);
    fetch_free(f);
}

/* "bucket:NAME URL": what is bound to the code under this name, and in the URL's query what is asked of it. */
static enum err fetch_bucket(struct fetch *f, struct error *ret_error)
{
    const struct deployment *d = f->deployment;
    struct slice rest = slice_skip(f->http.url, strlen("bucket:")), name = slice_split(&rest, ' ');
    (void)slice_split(&rest, '?');
    for (size_t k = 0; k < d->env_len; k++) {
        const struct binding *b = d->env[k].binding;
        if (!b || b->kind != BINDING_BUCKET || !slice_eq(b->name, name))
            continue;
        if (b->resource && f->guest->host->asks)
            return bucket_fetch(f->guest->host->asks, b->resource, rest, &f->http, ret_error);
        error_set(ret_error, ERR_NOT_FOUND, "the bucket '%.*s' has been deleted",
                  SLICE_ARG(b->target));
        error_hint(ret_error, "deploy this code again: that makes a new one");
        return ERR_NOT_FOUND;
    }
    return error_set(ret_error, ERR_FORBIDDEN, "this code has no bucket '%.*s'",
                     SLICE_ARG(slice_utf8_clip(name, 128)));
}

/* A cache, and a bucket, are asked like other servers. */
static enum err fetch_begin(struct fetch *f, struct error *ret_error)
{
    const struct guest_host *host = f->guest->host;
    if (slice_starts(f->http.url, SLICE_LIT("bucket:")))
        return fetch_bucket(f, ret_error);
    if (!slice_starts(f->http.url, SLICE_LIT("cache:")))
        return http_fetch_start(host->client, &f->http, ret_error);
    if (!host->cache)
        return error_set(ret_error, ERR_INVALID, "there is no cache here");
    return http_cache_fetch(host->cache, host->loop, &f->http, ret_error);
}

static void fetch_start(struct fetch *f)
{
    struct error error;
    f->is_started = true;
    if (fetch_begin(f, &error) != OK)
        fetch_refused(f, &error);
    else if (f->sink && !f->http.upgrades)
        sink_open(f->sink);
}

static void fetch_released(struct held *h, const struct error *error)
{
    struct fetch *f = container_of(h, struct fetch, held);
    f->is_held = false;
    if (error)
        fetch_refused(f, error);
    else
        fetch_start(f);
}

/* The same effect has the same key, however often it is tried: the receiver can tell. Code that
 * sets its own keeps it. */
static size_t add_idempotency_key(struct guest *g, struct fetch *f, size_t headers_len, uint32_t id)
{
    if (!g->durable)
        return headers_len;
    for (size_t k = 0; k < headers_len; k++)
        if (slice_eq_cstr(f->header_list[k].name, "idempotency-key"))
            return headers_len;
    struct slice execution = execution_id(g->durable->execution);
    if (id != 0)
        snprintf(f->key, sizeof(f->key), "%.*s-%u", SLICE_ARG(execution), id);
    else
        snprintf(f->key, sizeof(f->key), "%.*s-%u-%u", SLICE_ARG(execution),
                 execution_scope_step(g->durable->execution, g->scope), guest_count_fetch(g));
    f->header_list[headers_len] =
        (struct http_header){SLICE_LIT("idempotency-key"), slice_cstr(f->key)};
    return headers_len + 1;
}

/* id: of the call, when it is one of the execution; else 0. */
static enum err fetch_prepare(struct guest *g, const struct op_fetch_args *a, uint32_t id,
                              struct fetch *f)
{
    size_t headers_len;
    if (a->body_kind > ABI_BODY_LENT || a->redirect > HTTP_REDIRECT_MANUAL)
        return op_refuse(g, ERR_INVALID, "malformed fetch");
    bool is_lent = a->body_kind == ABI_BODY_LENT;
    struct slice body = a->body_kind == ABI_BODY_INLINE ? a->body : SLICE_EMPTY;
    if (body.len > LIMIT_VALUE_BYTES)
        return op_refuse(g, ERR_INVALID, "malformed fetch");
    /* What is kept here, and what the client makes of it: the URL whole, in parts, resolved and as the
     * final one, headers as lines and as they are sent. */
    enum { URL_COPIES = 6, HEADERS_COPIES = 3 };
    size_t copied =
        a->method.len + URL_COPIES * a->url.len + HEADERS_COPIES * a->headers.len + body.len;
    f->guest = g;
    f->deployment = deployment_ref(g->deployment);
    if (!fetch_charge(f, copied))
        return g->op_error.code;
    bytes_append_slice(&f->method, a->method);
    bytes_append_slice(&f->url, a->url);
    bytes_append_slice(&f->headers, a->headers);
    bytes_append_slice(&f->body, body);
    enum err err = headers_decode(bytes_slice(&f->headers), f->header_list, FETCH_HEADERS_MAX,
                                  &headers_len, &g->op_error);
    if (err != OK)
        return err;
    bool upgrades = headers_upgrade(f->header_list, headers_len) && a->body_kind == ABI_BODY_NONE &&
                    !slice_starts(a->url, SLICE_LIT("cache:"));
    headers_len = add_idempotency_key(g, f, headers_len, id);
    f->is_whole = id != 0;
    f->held.release = fetch_released;
    f->http = (struct http_fetch){
        .method = bytes_slice(&f->method),
        .url = bytes_slice(&f->url),
        .headers = f->header_list,
        .headers_len = headers_len,
        .body = is_lent ? a->body : bytes_slice(&f->body),
        .is_lent = is_lent,
        .is_streaming = a->body_kind == ABI_BODY_STREAM,
        .upgrades = upgrades,
        .redirect = (enum http_redirect)a->redirect,
        .silence_ms = g->durable ? LIMIT_FETCH_WORKFLOW_MS : g->deployment->wall_ms_max,
        .owner = g->deployment->account, /* of its module: the same for all versions */
        .member = g,
        .egress = g->host->egress,
        .domains = g->deployment->domains,
        .placeholders = g->deployment->placeholders,
        .placeholders_len = g->deployment->placeholders_len,
        .may_send = may_send,
        .on_head = on_head,
        .on_body = on_body,
        .on_drain = on_drain,
        .on_done = on_done,
    };
    if (id == 0)
        return op_begin(g, &f->op, fetch_cancelled);
    op_adopt(g, &f->op, id, fetch_cancelled);
    return OK;
}

static void fetch_go(struct guest *g, struct fetch *f)
{
    if (guest_gate_pass(g, &f->held))
        fetch_start(f);
    else
        f->is_held = true;
}

/* ---- calls of a durable execution ---- */

enum err op_fetch_call(struct guest *g, const struct op_fetch_args *a, struct op_call *c)
{
    const char *instead = "send it inside step(), where a body may have any size";
    if (a->body.len > LIMIT_VALUE_BYTES)
        return op_refuse_large(g, "the body of a request that is recorded", a->body.len, instead);
    if (a->body_kind == ABI_BODY_STREAM) {
        op_refuse(g, ERR_INVALID, "a request whose body is a stream cannot be recorded");
        error_hint(&g->op_error, "give the whole body, or fetch inside step()");
        return ERR_INVALID;
    }
    struct http_header headers[FETCH_HEADERS_MAX];
    size_t headers_len;
    enum err err =
        headers_decode(a->headers, headers, FETCH_HEADERS_MAX, &headers_len, &g->op_error);
    if (err != OK)
        return err;
    if (headers_upgrade(headers, headers_len))
        return open_socket_refuse_recorded(g);
    c->call.kind = EXECUTION_EXTERNAL;
    bytes_append_slice(&c->label, a->method);
    bytes_append_char(&c->label, ' ');
    bytes_append_slice(&c->label, slice_utf8_clip(a->url, RECORD_LABEL_BYTES_MAX));
    bytes_append_u32(&c->more, 0); /* no sink */
    bytes_append_u32(&c->more, 0); /* a copy of the body was made */
    return OK;
}

enum err op_fetch_start(struct guest *g, uint32_t id, struct op_fetch_args *a)
{
    if (a->body_kind == ABI_BODY_LENT)
        a->body_kind = ABI_BODY_INLINE; /* it is the execution's copy */
    struct fetch *f = calloc(1, sizeof(*f));
    CHECK(f);
    enum err err = fetch_prepare(g, a, id, f);
    if (err == OK)
        fetch_go(g, f);
    else
        fetch_free(f);
    return err;
}

/* ---- the op ---- */

/* The op that says how long a lent body has to stay; its number goes into the result. */
static enum err fetch_lend(struct guest *g, struct fetch *f)
{
    if (!f->http.is_lent) {
        bytes_append_u32(&g->result, 0);
        return OK;
    }
    enum err err = op_begin(g, &f->lent, lent_cancelled);
    f->is_lent = err == OK;
    return err;
}

enum err op_fetch(struct guest *g, const struct op_fetch_args *a)
{
    struct fetch *f = calloc(1, sizeof(*f));
    CHECK(f);
    enum err err = fetch_prepare(g, a, 0, f);
    if (err != OK) {
        fetch_free(f);
        return err;
    }
    if (a->body_kind == ABI_BODY_STREAM || f->http.upgrades) {
        f->sink = sink_new(f->op.context, &upload_owner, f);
        f->sink->scope = f->op.scope;
    }
    bytes_append_u32(&g->result, a->body_kind == ABI_BODY_STREAM ? f->sink->id : 0);
    err = fetch_lend(g, f);
    if (err != OK) {
        op_give_up(&f->op);
        return err;
    }
    fetch_go(g, f);
    return OK;
}
