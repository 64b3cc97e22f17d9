/* SPDX-License-Identifier: Apache-2.0
 *
 * See html.h. */
#include "host/html.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/fiber.h"
#include "base/limits.h"
#include "host/fiber_task.h"

/* What a stack in the middle of a document has touched, and the object itself. */
#define HTML_OWN_BYTES ((size_t)24 * 1024)
/* What the parser may keep of one document: the rest of a tag, and the elements that are open. */
#define HTML_PARSER_BYTES ((size_t)2 * 1024 * 1024)
#define HTML_CALL_NS (UINT64_C(1000000))
#define HTML_PIECE_NS (HTML_CALL_NS / 4)
#define HTML_TAG_NS_MAX (5 * HTML_CALL_NS)
enum { HTML_PIECE_BYTES = 4096, HTML_SELECTOR_DEPTH = 32 };

struct html {
    struct coding_memory memory;
    struct fiber_runner *runner;
    struct deps_html *parser;
    struct fiber *fiber; /* while a piece is in the parser */
    struct bytes in;     /* that piece */
    struct bytes out;    /* not asked for yet */
    size_t charged;      /* of memory, in all */
    ptrdiff_t held;      /* by the parser */
    size_t piece_bytes;  /* as much takes about HTML_PIECE_NS */
    size_t silent_bytes; /* of the input since the last output: the parser has a part of a tag */
    bool removes;        /* or of an element that is left out */
    uint32_t id, kind;   /* of the handler that is due */
    void *token;         /* what it was given; NULL: none is */
    bool is_end;         /* of the piece in the parser: the last */
    bool is_good;        /* it went well */
    bool is_over, is_stopped;
    bool is_told; /* the caller knows which handler is due */
};

/* ---- errors ---- */

static void html_say(void *ctx, const char *text, size_t len)
{
    bytes_append(ctx, text, len);
}

static enum err html_invalid(const char *what, const struct bytes *why, struct error *ret_error)
{
    return error_set(ret_error, ERR_INVALID, "%s: %.*s", what,
                     SLICE_ARG(slice_utf8_clip(bytes_slice(why), 300)));
}

static enum err html_full(struct error *ret_error)
{
    (void)error_set(ret_error, ERR_LIMIT_MEMORY,
                    "memory and buffered data together are above the limit of this function; there "
                    "is none left to rewrite HTML with");
    error_hint(ret_error, "rewrite fewer documents at once, or raise the function's memory limit");
    return ERR_LIMIT_MEMORY;
}

/* ---- selectors ---- */

/* The parser of selectors calls itself for each of these. */
static bool selector_is_deep(struct slice text)
{
    size_t depth = 0;
    for (size_t i = 0; i < text.len; i++)
        depth += text.ptr[i] == '(' || text.ptr[i] == '[' || text.ptr[i] == '{';
    return depth > HTML_SELECTOR_DEPTH;
}

static enum err selector_check(struct slice text, struct error *ret_error)
{
    if (text.len > LIMIT_HTML_SELECTOR_BYTES)
        return error_set(ret_error, ERR_INVALID, "a selector has %zu bytes, more than %d", text.len,
                         LIMIT_HTML_SELECTOR_BYTES);
    if (selector_is_deep(text))
        return error_set(ret_error, ERR_INVALID, "a selector has more than %d brackets",
                         HTML_SELECTOR_DEPTH);
    return OK;
}

enum err html_selector(struct slice text, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes why = BYTES_INIT;
    enum err err = selector_check(text, ret_error);
    if (err != OK || deps_html_selector(text.ptr, text.len, &why, html_say))
        return err;
    return html_invalid("this is no selector that can be used here", &why, ret_error);
}

/* ---- memory ---- */

/* What it is accounted for becomes what it has. False: there is no more. */
static bool html_account(struct html *h)
{
    size_t has = HTML_OWN_BYTES + (h->held > 0 ? (size_t)h->held : 0) + h->in.cap + h->out.cap;
    if (has > h->charged && !coding_take(&h->memory, has - h->charged))
        return false;
    if (has < h->charged)
        h->memory.give(h->memory.arg, h->charged - has);
    h->charged = has;
    return true;
}

/* ---- the parser's side ---- */

static bool html_handle(void *ctx, uint32_t id, uint32_t kind, void *token)
{
    struct html *h = ctx;
    h->id = id;
    h->kind = kind;
    h->token = token;
    fiber_leave();
    h->token = NULL;
    return !h->is_stopped;
}

static void html_output(void *ctx, const char *bytes, size_t len)
{
    struct html *h = ctx;
    h->silent_bytes = 0;
    if (!h->is_stopped)
        bytes_append(&h->out, bytes, len);
}

static void html_main(void *arg)
{
    struct html *h = arg;
    h->is_good = deps_html_run(h->parser, h->in.ptr, h->in.len, h->is_end);
}

/* Until the piece is done (true) or a handler is due. */
static bool html_enter(struct html *h)
{
    ptrdiff_t before = deps_memory();
    bool is_done = fiber_run(h->fiber);
    h->held += deps_memory() - before;
    if (is_done)
        fiber_runner_give_back(h->runner, TAKE(h->fiber));
    return is_done;
}

/* ---- its life ---- */

enum err html_new(struct fiber_runner *runner, struct slice encoding,
                  const struct deps_html_handler *handlers, size_t handlers_len,
                  const struct coding_memory *memory, struct html **ret_html,
                  struct error *ret_error)
{
    CHECK(handlers_len <= LIMIT_HTML_HANDLERS);
    for (size_t i = 0; i < handlers_len; i++) {
        const struct deps_html_handler *d = &handlers[i];
        enum err err =
            d->selector ? selector_check(slice_of(d->selector, d->selector_len), ret_error) : OK;
        if (err != OK)
            return err;
    }
    struct html *h = calloc(1, sizeof(*h));
    if (!h)
        check_out_of_memory(sizeof(*h));
    h->runner = runner;
    h->memory = *memory;
    h->piece_bytes = HTML_PIECE_BYTES / (1 + handlers_len / 16);
    const struct deps_html_calls calls = {h, html_handle, html_output};
    CLEANUP(bytes_done) struct bytes why = BYTES_INIT;
    ptrdiff_t before = deps_memory();
    /* Its errors are told with calls.ctx: h->out takes them. */
    h->parser = deps_html_new(encoding.ptr, encoding.len, handlers, handlers_len, HTML_PARSER_BYTES,
                              &calls, html_output);
    h->held = deps_memory() - before;
    enum err err = OK;
    if (!h->parser)
        err = html_invalid("this HTML cannot be rewritten", &h->out, ret_error);
    else if (!html_account(h))
        err = html_full(ret_error);
    if (err != OK)
        html_free(h);
    else
        *ret_html = h;
    return err;
}

void html_free(struct html *h)
{
    if (!h)
        return;
    /* The parser's stack goes the way of an error. */
    h->is_stopped = true;
    while (h->fiber)
        (void)html_enter(h);
    if (h->parser)
        deps_html_free(h->parser);
    h->memory.give(h->memory.arg, h->charged);
    bytes_done(&h->in);
    bytes_done(&h->out);
    free(h);
}

/* ---- a call ---- */

/* How much of the input goes into the parser at once. With each piece it reads a part of a tag that it has
 * again, so what comes then is in proportion. */
static size_t html_cut(const struct html *h, struct slice in)
{
    size_t least = h->removes ? 0 : h->silent_bytes / 4;
    least = least > h->piece_bytes ? least : h->piece_bytes;
    if (in.len <= least)
        return in.len;
    const char *tag = memchr(in.ptr + least, '<', in.len - least);
    return tag ? (size_t)(tag - in.ptr) : in.len;
}

static enum err html_failed(struct html *h, struct error *ret_error)
{
    size_t len = 0;
    const char *text = deps_html_error(h->parser, &len);
    CLEANUP(bytes_done) struct bytes why = BYTES_INIT;
    bytes_append(&why, text, len);
    return html_invalid("this HTML cannot be rewritten", &why, ret_error);
}

/* The next piece should take as long as it may. Refuses what cannot be cut smaller. */
static enum err html_measure(struct html *h, uint64_t ns, struct error *ret_error)
{
    if (!h->removes && h->silent_bytes > h->in.len)
        return OK; /* it was for what came before */
    if (ns < HTML_PIECE_NS / 4 && h->piece_bytes < HTML_PIECE_BYTES)
        h->piece_bytes *= 2;
    if (ns > HTML_PIECE_NS && h->piece_bytes > 1)
        h->piece_bytes /= 2;
    else if (ns > HTML_TAG_NS_MAX && h->in.len < HTML_PIECE_BYTES)
        return error_set(ret_error, ERR_LIMIT,
                         "elements are nested too deep for so many selectors: one tag takes "
                         "more than %d ms",
                         (int)(HTML_TAG_NS_MAX / HTML_CALL_NS));
    return OK;
}

/* One piece, or the rest of one whose handler has returned. */
static enum err html_piece(struct html *h, struct error *ret_error)
{
    uint64_t began = clock_thread_cpu_ns();
    bool is_done = html_enter(h);
    if (is_done && !h->is_good)
        return html_failed(h, ret_error);
    if (is_done && h->is_end)
        h->is_over = true;
    if (!html_account(h))
        return html_full(ret_error);
    return html_measure(h, clock_thread_cpu_ns() - began, ret_error);
}

static enum err html_begin(struct html *h, struct slice in, bool is_end, struct error *ret_error)
{
    h->fiber = fiber_runner_lend(h->runner);
    if (!h->fiber)
        return error_set(ret_error, ERR_OVERLOAD,
                         "too many HTML documents wait for their handlers at once");
    bytes_clear(&h->in);
    bytes_append_slice(&h->in, in);
    h->is_end = is_end;
    h->silent_bytes += in.len;
    fiber_set(h->fiber, html_main, h);
    return OK;
}

static size_t html_give(struct html *h, char *out, size_t room)
{
    size_t len = h->out.len < room ? h->out.len : room;
    if (len)
        memcpy(out, h->out.ptr, len);
    bytes_consume(&h->out, len);
    return len;
}

enum err html_run(struct html *h, struct slice in, bool is_end, char *out, size_t room,
                  size_t *ret_len, struct html_result *ret_result, struct error *ret_error)
{
    const uint64_t leaves = clock_thread_cpu_ns() + HTML_CALL_NS;
    size_t taken = 0;
    enum err err = OK;
    if (h->fiber && h->is_told)
        err = html_piece(h, ret_error);
    while (err == OK && !h->fiber && !h->is_over && (taken < in.len || is_end) &&
           h->out.len < room && clock_thread_cpu_ns() < leaves) {
        struct slice rest = slice_skip(in, taken);
        size_t len = html_cut(h, rest);
        err = html_begin(h, slice_of(rest.ptr, len), is_end && len == rest.len, ret_error);
        taken += len;
        if (err == OK)
            err = html_piece(h, ret_error);
    }
    if (err != OK)
        return err;
    *ret_len = html_give(h, out, room);
    *ret_result = (struct html_result){
        .status = h->out.len > 0             ? HTML_LEFT
                  : h->fiber                 ? HTML_EVENT
                  : h->is_over               ? HTML_OVER
                  : taken < in.len || is_end ? HTML_LEFT
                                             : HTML_WANTS,
        .id = h->id,
        .kind = h->kind,
        .taken = taken,
    };
    h->is_told = ret_result->status == HTML_EVENT;
    return OK;
}

enum err html_ask(struct html *h, const struct deps_html_ask *ask, struct bytes *out,
                  struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes said = BYTES_INIT;
    if (!h->token)
        return error_set(ret_error, ERR_CONFLICT,
                         "this token belongs to a handler that has returned: what it says has to "
                         "be read, and changed, until then");
    h->removes |= ask->what >= DEPS_HTML_REPLACE && ask->what <= DEPS_HTML_REMOVE;
    ptrdiff_t before = deps_memory();
    bool is_good = deps_html_token(h->parser, h->kind, h->token, ask, &said, html_say);
    h->held += deps_memory() - before;
    if (!is_good)
        return error_set(ret_error, ERR_INVALID, "%.*s",
                         SLICE_ARG(slice_utf8_clip(bytes_slice(&said), 300)));
    if (!html_account(h))
        return html_full(ret_error);
    bytes_append_slice(out, bytes_slice(&said));
    return OK;
}
