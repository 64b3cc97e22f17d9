/* SPDX-License-Identifier: Apache-2.0
 *
 * Host and target of a request. Input: a byte (its lowest bit: TLS), the authority, a newline, the
 * target. What the quick look takes for normal the URL parser leaves as it is. */
#include "http/internal.h"
#include "limpet_deps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return -1;
    bool is_tls = data[0] & 1;
    struct slice target = slice_of((const char *)data + 1, size - 1);
    struct slice authority = slice_split(&target, '\n');
    if (!authority.len || !target.len || target.ptr[0] != '/' ||
        !request_authority_is_valid(authority) || !request_url_is_normal(is_tls, authority, target))
        return 0;
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    struct deps_url u;
    bytes_append_cstr(&text, is_tls ? "https://" : "http://");
    bytes_append_slice(&text, authority);
    bytes_append_slice(&text, target);
    CHECK(deps_url_parse(text.ptr, text.len, NULL, 0, &u));
    CHECK(slice_eq(bytes_slice(&text), slice_of(u.href, u.href_len)));
    deps_url_done(&u);
    return 0;
}
