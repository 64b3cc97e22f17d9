/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoding of what a dispatch gives to the guest (guest/abi.h), and decoding of the packed headers
 * that come back. */
#include "host/internal.h"

#include <string.h>

#include "base/limits.h"
#include "http/grammar.h"
#include "module/deployment.h"

static void encode_url(const struct http_request *r, const struct deployment *d, struct bytes *out)
{
    size_t len_at = out->len;
    bytes_append_u32(out, 0);
    bytes_append_cstr(out, r->is_tls ? "https://" : "http://");
    if (r->authority.len > 0) {
        bytes_append_slice(out, r->authority);
    } else {
        bytes_append_slice(out, d->name);
        bytes_append_cstr(out, ".localhost");
    }
    bytes_append_slice(out,
                       r->target.len > 0 && r->target.ptr[0] == '/' ? r->target : SLICE_LIT("/"));
    uint32_t len = (uint32_t)(out->len - len_at - 4);
    memcpy(out->ptr + len_at, &len, sizeof(len));
}

static const struct source_owner body_owner;

static enum err encode_http(struct dispatch *d, struct bytes *out, struct error *ret_error)
{
    const struct http_request *r = d->request;
    uint32_t flags = 0, source = 0;
    if (d->has_stream_body) {
        flags = ABI_HTTP_HAS_BODY;
        d->source = source_new(d->context, &body_owner, d);
        source = d->source->id;
    } else if (d->inline_body.len > 0) {
        flags = ABI_HTTP_HAS_BODY | ABI_HTTP_BODY_INLINE;
    }
    bytes_append_u32(out, flags);
    bytes_append_u32(out, source);
    bytes_append_u64(out, (uint64_t)r->content_length);
    bytes_append_lstr(out, r->method);
    encode_url(r, d->guest->deployment, out);
    bytes_append_lstr(out, d->execution_id);
    bytes_append_u32(out, (uint32_t)r->headers_len);
    for (size_t k = 0; k < r->headers_len; k++) {
        bytes_append_lstr(out, r->headers[k].name);
        bytes_append_lstr(out, r->headers[k].value);
    }
    bytes_append_lstr(out, d->inline_body);
    return OK;
}

enum err dispatch_encode(struct dispatch *d, struct bytes *out, struct error *ret_error)
{
    bytes_clear(out);
    if (d->kind == ABI_DISPATCH_HTTP)
        return encode_http(d, out, ret_error);
    bytes_append_lstr(out, d->guest->deployment->name);
    bytes_append_lstr(out, d->execution_id);
    if (d->kind == ABI_DISPATCH_EXECUTE) {
        bytes_append_lstr(out, d->body.len > 0 ? d->body : SLICE_LIT("null"));
        bytes_append_lstr(out, d->metadata.len > 0 ? d->metadata : SLICE_LIT("{}"));
    } else if (d->kind == ABI_DISPATCH_WORKFLOW) {
        bytes_append_lstr(out, d->export_name);
        bytes_append_lstr(out, d->body.len > 0 ? d->body : SLICE_LIT("null"));
        bytes_append_lstr(out, d->metadata.len > 0 ? d->metadata : SLICE_LIT("{}"));
        bytes_append_u64(out, (uint64_t)(d->started_us / 1000));
    }
    return OK;
}

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

void dispatch_body(struct dispatch *d, struct slice data, bool is_end)
{
    if (d->source)
        source_push(d->source, data, is_end);
    else if (data.len > 0 && !d->is_gone)
        d->port->body_consumed(d, data.len); /* the guest closed it: drain */
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
