/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoding of what a dispatch gives to the guest (guest/abi.h). */
#include "script/script.h"

#include <string.h>

#include "guest/abi.h"
#include "http/server.h"

_Static_assert((int)DISPATCH_HTTP == ABI_DISPATCH_HTTP &&
                   (int)DISPATCH_EXECUTE == ABI_DISPATCH_EXECUTE &&
                   (int)DISPATCH_SETUP == ABI_DISPATCH_SETUP &&
                   (int)DISPATCH_WORKFLOW == ABI_DISPATCH_WORKFLOW &&
                   (int)DISPATCH_METHOD == ABI_DISPATCH_METHOD,
               "the guest is given the kind as it is");

static void encode_url(const struct dispatch_input *in, struct bytes *out)
{
    const struct http_request *r = in->request;
    size_t len_at = out->len;
    bytes_append_u32(out, 0);
    bytes_append_cstr(out, r->is_tls ? "https://" : "http://");
    if (r->authority.len > 0) {
        bytes_append_slice(out, r->authority);
    } else {
        bytes_append_slice(out, in->module);
        bytes_append_cstr(out, ".localhost");
    }
    bytes_append_slice(out,
                       r->target.len > 0 && r->target.ptr[0] == '/' ? r->target : SLICE_LIT("/"));
    uint32_t len = (uint32_t)(out->len - len_at - 4);
    memcpy(out->ptr + len_at, &len, sizeof(len));
}

static void encode_http(const struct dispatch_input *in, struct bytes *out)
{
    const struct http_request *r = in->request;
    uint32_t flags = 0;
    if (in->source)
        flags = ABI_HTTP_HAS_BODY;
    else if (in->inline_body.len > 0)
        flags = ABI_HTTP_HAS_BODY | ABI_HTTP_BODY_INLINE;
    flags |= (uint32_t)r->version << ABI_HTTP_VERSION_SHIFT;
    flags |= (uint32_t)r->tls_version << ABI_HTTP_TLS_SHIFT;
    if (in->is_actor)
        flags |= ABI_HTTP_ACTOR;
    const bool is_bound = in->export_name.len > 0 || in->props.len > 0;
    if (is_bound)
        flags |= ABI_HTTP_ENTRYPOINT;
    bytes_append_u32(out, flags);
    bytes_append_u32(out, in->source);
    bytes_append_u64(out, (uint64_t)r->content_length);
    bytes_append_lstr(out, r->method);
    encode_url(in, out);
    bytes_append_lstr(out, in->execution_id);
    if (is_bound) {
        bytes_append_lstr(out, in->export_name);
        bytes_append_lstr(out, in->props);
    }
    bytes_append_u32(out, (uint32_t)r->headers_len);
    for (size_t k = 0; k < r->headers_len; k++) {
        bytes_append_lstr(out, r->headers[k].name);
        bytes_append_lstr(out, r->headers[k].value);
    }
    bytes_append_lstr(out, in->inline_body);
}

void script_encode(const struct dispatch_input *in, struct bytes *out)
{
    bytes_clear(out);
    if (in->kind == DISPATCH_HTTP) {
        encode_http(in, out);
        return;
    }
    bytes_append_lstr(out, in->module);
    bytes_append_lstr(out, in->execution_id);
    if (in->kind == DISPATCH_SETUP)
        return;
    if (in->kind == DISPATCH_METHOD) {
        bytes_append_lstr(out, in->export_name);
        bytes_append_lstr(out, in->props);
        bytes_append_u32(out, in->what + (in->is_actor ? ABI_METHOD_ACTOR : 0));
        bytes_append_lstr(out, in->method);
        bytes_append_lstr(out, in->body);
        return;
    }
    if (in->kind == DISPATCH_WORKFLOW)
        bytes_append_lstr(out, in->export_name);
    bytes_append_lstr(out, in->body.len > 0 ? in->body : SLICE_LIT("null"));
    bytes_append_lstr(out, in->metadata.len > 0 ? in->metadata : SLICE_LIT("{}"));
    if (in->kind == DISPATCH_WORKFLOW) {
        bytes_append_u64(out, (uint64_t)(in->started_us / 1000));
        bytes_append_lstr(out, in->key);
    }
}
