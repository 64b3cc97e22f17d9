/* SPDX-License-Identifier: Apache-2.0
 *
 * The head of a response, line by line as curl gives it. What is delivered has lower-case names
 * without line ends, a status that is a status, and no more headers than are allowed. */
#include "http/client_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_head(struct http_fetch *f)
{
    CHECK(f->status >= 100 && f->status <= 999);
    CHECK(f->ret_headers_len <= CLIENT_HEADERS_MAX);
    for (size_t i = 0; i < f->ret_headers_len; i++) {
        struct slice name = f->ret_headers[i].name;
        for (size_t k = 0; k < name.len; k++)
            CHECK(name.ptr[k] != '\n' && name.ptr[k] != ':' &&
                  !(name.ptr[k] >= 'A' && name.ptr[k] <= 'Z'));
        CHECK(slice_find(f->ret_headers[i].value, '\n') < 0);
    }
    ++*(int *)f->user;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int heads = 0;
    struct http_fetch f = {.on_head = on_head, .user = &heads};
    struct http_fetch_state s = {.fetch = &f, .arena = arena_new(NULL), .method = SLICE_LIT("GET")};
    struct slice rest = slice_of((const char *)data, size);
    s.url.host = SLICE_LIT("host");
    f.redirect = size ? (enum http_redirect)(data[0] % 3) : HTTP_REDIRECT_FOLLOW;
    bool goes_on = true;
    while (goes_on && rest.len) {
        ptrdiff_t end = slice_find(rest, '\n');
        size_t len = end < 0 ? rest.len : (size_t)end + 1;
        goes_on = client_head_line(&s, slice_of(rest.ptr, len));
        rest = slice_skip(rest, len);
    }
    CHECK(heads <= 1 && (heads == 1) == (s.state == CLIENT_BODY));
    CHECK(goes_on || s.failure.code || s.state == CLIENT_DISCARD);
    arena_free(s.arena);
    return 0;
}
