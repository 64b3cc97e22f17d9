/* SPDX-License-Identifier: Apache-2.0
 *
 * What a dispatch gives to the guest, the request's body among it, and decoding of the packed headers
 * that come back. */
#include "host/internal.h"

#include <string.h>

#include "base/limits.h"
#include "http/grammar.h"
#include "module/deployment.h"

/* ---- the request's body as a source ---- */

static void body_start(struct source *s)
{
    struct dispatch *d = s->arg;
    d->port->body_start(d);
}

static void body_consumed(struct source *s, size_t n)
{
    struct dispatch *d = s->arg;
    if (!d->is_gone)
        d->port->body_consumed(d, n);
}

static void body_closed(struct source *s)
{
    struct dispatch *d = s->arg;
    d->source = NULL;
}

static const struct source_owner body_owner = {body_start, body_consumed, body_closed};

struct source *dispatch_source(struct dispatch *d)
{
    return d->source = source_new(d->context, &body_owner, d);
}

struct dispatch_input dispatch_input(struct dispatch *d)
{
    if (d->has_stream_body)
        d->source = source_new(d->context, &body_owner, d);
    return (struct dispatch_input){
        .kind = d->kind,
        .number = d->id,
        .module = d->guest->deployment->name,
        .execution_id = d->execution_id,
        .request = d->request,
        .inline_body = d->has_stream_body ? SLICE_EMPTY : d->inline_body,
        .source = d->source ? d->source->id : 0,
        .body = d->body,
        .metadata = d->metadata,
        .export_name = d->export_name,
        .props = d->props,
        .method = d->method,
        .what = d->what,
        .is_actor = d->guest->actor != NULL,
        .started_us = d->started_us,
        .key = d->key,
    };
}

void dispatch_body(struct dispatch *d, struct slice data, bool is_end)
{
    if (d->source)
        source_push(d->source, data, is_end);
    else if (data.len > 0 && !d->is_gone)
        d->port->body_consumed(d, data.len); /* the guest closed it: drain */
}

void dispatch_body_own(struct dispatch *d, struct slice data, struct bytes *own, bool is_end)
{
    if (d->source)
        source_push_own(d->source, data, own, is_end);
    else
        dispatch_body(d, data, is_end);
}

void dispatch_body_failed(struct dispatch *d)
{
    if (d->source)
        source_orphan(d->source);
}

/* ---- headers ---- */

static bool take_lstr(struct slice *in, struct slice *ret)
{
    uint32_t len;
    if (in->len < sizeof(len))
        return false;
    memcpy(&len, in->ptr, sizeof(len));
    *in = slice_skip(*in, sizeof(len));
    if (len > in->len)
        return false;
    *ret = slice_of(in->ptr, len);
    *in = slice_skip(*in, len);
    return true;
}

enum err headers_decode(struct slice packed, struct http_header *ret_headers, size_t max,
                        size_t *ret_len, struct error *ret_error)
{
    uint32_t count = 0;
    if (packed.len > 0) {
        if (packed.len < sizeof(count))
            return error_set(ret_error, ERR_INVALID, "malformed headers");
        memcpy(&count, packed.ptr, sizeof(count));
        packed = slice_skip(packed, sizeof(count));
    }
    if (count > max)
        return error_set(ret_error, ERR_LIMIT, "%u headers are above the limit of %zu", count, max);
    for (uint32_t k = 0; k < count; k++) {
        struct http_header *h = &ret_headers[k];
        if (!take_lstr(&packed, &h->name) || !take_lstr(&packed, &h->value))
            return error_set(ret_error, ERR_INVALID, "malformed headers");
        if (!grammar_is_token(h->name) || !grammar_all(h->value, GRAMMAR_FIELD))
            return error_set(ret_error, ERR_INVALID,
                             "the header '%.*s' has a name or value that HTTP does not allow",
                             SLICE_ARG(h->name));
    }
    *ret_len = count;
    return OK;
}
