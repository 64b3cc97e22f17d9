/* SPDX-License-Identifier: Apache-2.0
 *
 * Outgoing HTTP for guests. A fetch has its own memory (struct fetch) that lives until the client's
 * on_done, which may come after the guest has ended: then guest is NULL and nothing is reported. */
#include "host/internal.h"

#include <stdlib.h>

#include "base/limits.h"
#include "http/client.h"
#include "script/deployment.h"

enum { FETCH_HEADERS_MAX = 128 };

struct fetch {
    struct op op;
    struct http_fetch http;
    struct guest *guest; /* NULL: it has ended or cancelled */
    struct source *source;
    struct sink *sink;
    struct held held;
    bool is_held, is_started, has_answered;
    size_t charged;                          /* to the guest, for the body */
    struct bytes method, url, headers, body; /* copies, since the start may wait at the gate */
    struct http_header header_list[FETCH_HEADERS_MAX];
};

/* The body counts as the guest's memory while both exist. */
static void fetch_forget_guest(struct fetch *f)
{
    if (f->guest)
        guest_discharge(f->guest, f->charged);
    f->guest = NULL;
}

static void fetch_free(struct fetch *f)
{
    fetch_forget_guest(f);
    bytes_done(&f->method);
    bytes_done(&f->url);
    bytes_done(&f->headers);
    bytes_done(&f->body);
    free(f);
}

/* Nobody is interested any more. */
static void fetch_detach(struct fetch *f)
{
    if (f->source) {
        f->source->owner = NULL;
        f->source = NULL;
    }
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
    else
        fetch_free(f);
}

static void fetch_cancelled(struct op *op)
{
    fetch_detach(container_of(op, struct fetch, op));
}

/* ---- response body ---- */

static void fetched_consumed(struct source *s, size_t n)
{
    struct fetch *f = s->arg;
    if (s->buffer.len < LIMIT_HTTP_BODY_WINDOW_BYTES / 2)
        http_fetch_resume(&f->http);
}

static void fetched_closed(struct source *s)
{
    struct fetch *f = s->arg;
    f->source = NULL;
    fetch_forget_guest(f);
    http_fetch_cancel(&f->http);
}

static const struct source_owner fetched_owner = {NULL, fetched_consumed, fetched_closed};

static void on_head(struct http_fetch *h)
{
    struct fetch *f = container_of(h, struct fetch, http);
    if (!f->guest)
        return;
    f->has_answered = true;
    f->source = source_new(f->guest, &fetched_owner, f);
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    bytes_append_u32(&out, (uint32_t)h->status);
    bytes_append_u32(&out, f->source->id);
    bytes_append_u32(&out, h->was_redirected ? 1 : 0);
    bytes_append_lstr(&out, bytes_slice(&h->final_url));
    bytes_append_lstr(&out, bytes_slice(&h->status_text));
    bytes_append_u32(&out, (uint32_t)h->ret_headers_len);
    for (size_t k = 0; k < h->ret_headers_len; k++) {
        bytes_append_lstr(&out, h->ret_headers[k].name);
        bytes_append_lstr(&out, h->ret_headers[k].value);
    }
    bytes_append_lstr(&out, SLICE_EMPTY);
    op_complete(&f->op, OK, bytes_slice(&out));
}

static bool on_body(struct http_fetch *h, struct slice data)
{
    struct fetch *f = container_of(h, struct fetch, http);
    if (!f->source)
        return true; /* cancelled; the end follows */
    source_push(f->source, data, false);
    return !f->source || f->source->buffer.len < LIMIT_HTTP_BODY_WINDOW_BYTES;
}

static void on_drain(struct http_fetch *h)
{
    struct fetch *f = container_of(h, struct fetch, http);
    if (f->sink)
        sink_drained(f->sink);
}

static void on_done(struct http_fetch *h, const struct error *error)
{
    struct fetch *f = container_of(h, struct fetch, http);
    struct source *s = TAKE(f->source);
    if (f->sink) {
        struct error e = *error;
        if (e.code == OK)
            error_set(&e, ERR_CANCELLED, "the server has answered without reading all of the body");
        sink_fail(TAKE(f->sink), &e);
    }
    if (s) {
        s->owner = NULL;
        if (error->code == OK)
            source_push(s, SLICE_EMPTY, true);
        else
            source_fail(s, error);
    } else if (f->guest && !f->has_answered) {
        op_complete_error(&f->op, error);
    }
    fetch_free(f);
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

static void fetch_refused(struct fetch *f, const struct error *error)
{
    if (f->sink)
        sink_fail(TAKE(f->sink), error);
    if (f->guest)
        op_complete_error(&f->op, error);
    fetch_free(f);
}

static void fetch_start(struct fetch *f)
{
    struct error error;
    f->is_started = true;
    if (http_fetch_start(f->guest->host->client, &f->http, &error) != OK)
        fetch_refused(f, &error);
    else if (f->sink)
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

static enum err fetch_prepare(struct guest *g, const struct op_fetch_args *a, struct fetch *f)
{
    size_t headers_len;
    bytes_append_slice(&f->method, a->method);
    bytes_append_slice(&f->url, a->url);
    bytes_append_slice(&f->headers, a->headers);
    if (a->body_kind == 1)
        bytes_append_slice(&f->body, a->body);
    if (a->body_kind > 2 || a->redirect > HTTP_REDIRECT_MANUAL)
        return op_refuse(g, ERR_INVALID, "malformed fetch");
    enum err err = headers_decode(bytes_slice(&f->headers), f->header_list, FETCH_HEADERS_MAX,
                                  &headers_len, &g->op_error);
    if (err != OK)
        return err;
    err = guest_charge(g, f->body.len);
    if (err != OK)
        return err;
    f->guest = g;
    f->charged = f->body.len;
    f->held.release = fetch_released;
    f->http = (struct http_fetch){
        .method = bytes_slice(&f->method),
        .url = bytes_slice(&f->url),
        .headers = f->header_list,
        .headers_len = headers_len,
        .body = bytes_slice(&f->body),
        .is_streaming = a->body_kind == 2,
        .redirect = (enum http_redirect)a->redirect,
        .egress = g->host->egress,
        .domains = g->deployment->domains,
        .on_head = on_head,
        .on_body = on_body,
        .on_drain = on_drain,
        .on_done = on_done,
    };
    return op_begin(g, &f->op, fetch_cancelled);
}

enum err op_fetch(struct guest *g, const struct op_fetch_args *a)
{
    struct fetch *f = calloc(1, sizeof(*f));
    CHECK(f);
    enum err err = fetch_prepare(g, a, f);
    if (err != OK) {
        fetch_free(f);
        return err;
    }
    if (a->body_kind == 2)
        f->sink = sink_new(g, &upload_owner, f);
    bytes_append_u32(&g->result, f->sink ? f->sink->id : 0);
    if (guest_gate_pass(g, &f->held))
        fetch_start(f);
    else
        f->is_held = true;
    return OK;
}
