/* SPDX-License-Identifier: Apache-2.0
 *
 * A document that is rewritten (src/host/html.h), down to crate lol_html. Input: a byte that says what handlers do,
 * selectors, one a line, up to an empty one, then the document. It comes out the same in one piece and in
 * many; what was taken of memory is given back; nothing panics; handlers that never return end with the
 * document. */
#include <string.h>

#include "base/bytes.h"
#include "base/fiber.h"
#include "host/fiber_task.h"
#include "host/html.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The stacks, of which a server's are its runner's. */
struct fiber *fiber_runner_lend(struct fiber_runner *r)
{
    (void)r;
    return fiber_new((size_t)1 << 20);
}

void fiber_runner_give_back(struct fiber_runner *r, struct fiber *f)
{
    (void)r;
    fiber_free(f);
}

static size_t held;

static bool take(void *arg, size_t len)
{
    (void)arg;
    held += len;
    return held < (size_t)64 << 20;
}

static void give(void *arg, size_t len)
{
    (void)arg;
    CHECK(held >= len);
    held -= len;
}

static void ask(struct html *h, uint32_t what, uint32_t flags, const char *a, const char *b,
                struct bytes *out)
{
    const struct deps_html_ask q = {what, flags, 7, a, strlen(a), b, strlen(b)};
    bytes_clear(out);
    if (html_ask(h, &q, out, NULL) != OK)
        bytes_clear(out); /* much of it is none of that token's */
}

/* What a handler does follows from its token alone: so it is the same however the input was cut. */
static void handle(struct html *h, uint32_t kind, uint8_t how)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    if (kind == DEPS_HTML_CONTENT) {
        ask(h, DEPS_HTML_WRITE, 0, "later \xc3\xa9 <&", "", &out);
        return;
    }
    if (kind == DEPS_HTML_TEXT)
        return;
    ask(h, DEPS_HTML_NAME, 0, "", "", &out);
    const uint32_t seed = (uint32_t)out.len * 7u + how;
    ask(h, DEPS_HTML_ATTRIBUTES, 0, "", "", &out);
    if (seed & 1)
        ask(h, DEPS_HTML_ATTRIBUTE_SET, 0, "data-x", "a\"b", &out);
    ask(h, DEPS_HTML_BEFORE + seed % 6, seed & 2 ? DEPS_HTML_IS_HTML : 0, "<b>x</b>", "", &out);
    if (seed & 4)
        ask(h, DEPS_HTML_APPEND, DEPS_HTML_LATER, "", "", &out);
    if (seed & 8)
        ask(h, DEPS_HTML_ON_END_TAG, 0, "", "", &out);
    if (seed & 16)
        ask(h, DEPS_HTML_REMOVE, 0, "", "", &out);
    ask(h, DEPS_HTML_NAME_SET, 0, how & 32 ? "z z" : "q", "", &out);
}

/* False: it was refused, and `out` is what came until then. */
static bool rewrite(const struct deps_html_handler *handlers, size_t len, struct slice in,
                    size_t piece, uint8_t how, struct bytes *out)
{
    const struct coding_memory memory = {take, give, NULL, false};
    char room[4096];
    struct html *h = NULL;
    struct html_result r = {0};
    enum err err = html_new(NULL, SLICE_LIT("utf-8"), handlers, len, &memory, &h, NULL);
    unsigned events = 0;
    while (err == OK && r.status != HTML_OVER) {
        size_t got = 0;
        struct slice next = slice_of(in.ptr, in.len < piece ? in.len : piece);
        err = html_run(h, next, next.len == in.len, room, sizeof(room), &got, &r, NULL);
        if (err != OK)
            break;
        CHECK(r.taken <= next.len && got <= sizeof(room));
        bytes_append(out, room, got);
        in = slice_skip(in, r.taken);
        if (r.status == HTML_EVENT && how == 255 && ++events == 3)
            break; /* this one never returns */
        if (r.status == HTML_EVENT)
            handle(h, r.kind, how);
    }
    html_free(h);
    CHECK(held == 0);
    return err == OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { HANDLERS = 8 };
    struct deps_html_handler handlers[HANDLERS];
    size_t len = 0;
    struct slice rest = slice_of((const char *)data, size);
    if (size == 0)
        return 0;
    const uint8_t how = data[0];
    rest = slice_skip(rest, 1);
    while (len < HANDLERS - 1) {
        struct slice line = slice_split(&rest, '\n');
        if (line.len == 0)
            break;
        if (html_selector(line, NULL) == OK)
            handlers[len++] =
                (struct deps_html_handler){line.ptr, line.len, how & 7, (uint32_t)len};
    }
    handlers[len++] = (struct deps_html_handler){.kinds = how & 26, .id = 99};
    CLEANUP(bytes_done) struct bytes whole = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes pieces = BYTES_INIT;
    bool is_good = rewrite(handlers, len, rest, SIZE_MAX, how, &whole);
    bool is_also = rewrite(handlers, len, rest, 7, how, &pieces);
    if (how != 255 && is_good && is_also)
        CHECK(slice_eq(bytes_slice(&whole), bytes_slice(&pieces)));
    CHECK(deps_panics() == 0);
    return 0;
}
