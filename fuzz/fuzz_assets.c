/* SPDX-License-Identifier: Apache-2.0
 *
 * Static files: targets, a line each, then an empty line, then _headers, then "---", then _redirects. What
 * answers is one of the files; where a client is sent without being asked lies on this host. */
#include <stdint.h>

#include "asset/assets.h"
#include "base/json.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct assets *a, struct slice target)
{
    for (size_t i = 0; i < target.len; i++)
        if ((unsigned char)target.ptr[i] <= ' ') /* no parser lets it through */
            return;
    struct arena *arena = arena_new(NULL);
    const struct asset_request r = {SLICE_LIT("GET"), SLICE_LIT("h.example"), target, false, false};
    struct asset_answer answer;
    struct http_header headers[ASSET_HEADERS_MAX];
    assets_answer(a, &r, arena, &answer);
    CHECK(answer.kind != ASSET_CODE);
    if (answer.kind == ASSET_REDIRECT)
        for (size_t i = 0; i < answer.location.len; i++)
            CHECK((unsigned char)answer.location.ptr[i] > ' ');
    if (answer.kind == ASSET_FILE)
        CHECK(assets_headers(a, &r, &answer, arena, headers) <= ASSET_HEADERS_MAX);
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = slice_of((const char *)data, size);
    struct slice rest = text;
    while (rest.len > 0 && slice_split(&rest, '\n').len > 0)
        ;
    const char *mark = memmem(rest.ptr ? rest.ptr : "", rest.len, "---", 3);
    const size_t len = mark ? (size_t)(mark - rest.ptr) : rest.len;
    struct bytes json = BYTES_INIT;
    struct json_writer w = json_writer(&json);
    json_open(&w, '{');
    json_key(&w, "files");
    json_raw(&w, SLICE_LIT("[[\"/index.html\",\"" HASH "\",1],[\"/a.html\",\"" HASH "\",2],"
                           "[\"/b/index.html\",\"" HASH "\",3],[\"/b/c\",\"" HASH "\",4]]"));
    json_key(&w, "headers");
    json_slice(&w, slice_of(rest.ptr, len));
    json_key(&w, "redirects");
    json_slice(&w, slice_skip(rest, len + 3));
    json_close(&w, '}');
    struct assets *a;
    struct error error = {0};
    if (assets_parse(bytes_slice(&json), &a, &error) == OK) {
        struct slice targets = text;
        for (struct slice line; targets.len > 0 && (line = slice_split(&targets, '\n')).len > 0;)
            ask(a, line);
        assets_unref(a);
    } else {
        CHECK(error.message[0]);
    }
    bytes_done(&json);
    return 0;
}
