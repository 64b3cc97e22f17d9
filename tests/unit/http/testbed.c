/* SPDX-License-Identifier: Apache-2.0
 *
 * See the header. */
#include "testbed.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "http/url.h"

enum { DOWN_PIECE = 64 * 1024 };

struct visit {
    struct testbed *bed;
    struct http_exchange *x;
    struct list node; /* in later */
    struct bytes body;
    uint64_t left; /* of /down */
    size_t held;   /* delivered, not consumed */
    uint64_t total;
    struct slice path;
    bool is_paused; /* echo: the sink is full */
    bool is_done;
};

static const struct http_header text_plain[] = {{{"content-type", 12}, {"text/plain", 10}}};

static struct visit *visit_of(struct http_exchange *x)
{
    return *http_exchange_user(x);
}

static bool path_is(const struct visit *v, const char *path)
{
    return slice_eq_cstr(v->path, path);
}

static void respond(struct http_exchange *x, int status, struct slice body)
{
    http_respond(x, status, text_plain, ARRAY_LEN(text_plain), -1, body, true);
}

static void down(struct visit *v)
{
    static char piece[DOWN_PIECE];
    if (!piece[0])
        memset(piece, 'x', sizeof(piece));
    bool goes_on = true;
    while (!v->is_done && goes_on) {
        size_t n = v->left < sizeof(piece) ? v->left : sizeof(piece);
        v->left -= n;
        v->is_done = v->left == 0;
        goes_on = http_write(v->x, (struct slice){piece, n}, v->is_done);
    }
    if (!v->is_done)
        v->bed->down_refused++;
}

static void show(struct visit *v)
{
    const struct http_request *r = http_exchange_request(v->x);
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    bytes_printf(&out, "method=%.*s\ntarget=%.*s\nauthority=%.*s\nversion=%d\nlength=%lld\n",
                 SLICE_ARG(r->method), SLICE_ARG(r->target), SLICE_ARG(r->authority), r->version,
                 (long long)r->content_length);
    for (size_t i = 0; i < r->headers_len; i++)
        bytes_printf(&out, "%.*s: %.*s\n", SLICE_ARG(r->headers[i].name),
                     SLICE_ARG(r->headers[i].value));
    respond(v->x, 200, bytes_slice(&out));
}

static void evil(struct visit *v)
{
    const struct http_header headers[] = {
        {SLICE_LIT("x-good"), SLICE_LIT("1")},
        {SLICE_LIT("x-split"), SLICE_LIT("1\r\nx-injected: 1")},
        {SLICE_LIT("x-name\r\nx-injected"), SLICE_LIT("1")},
        {SLICE_LIT("content-length"), SLICE_LIT("999")},
        {SLICE_LIT("transfer-encoding"), SLICE_LIT("chunked")},
        {SLICE_LIT("connection"), SLICE_LIT("close")},
        {SLICE_LIT("date"), SLICE_LIT("never")},
    };
    http_respond(v->x, 200, headers, ARRAY_LEN(headers), -1, SLICE_LIT("evil"), true);
}

static uint64_t query_number(const struct visit *v, uint64_t otherwise)
{
    struct slice query = http_exchange_request(v->x)->target, value;
    uint64_t n;
    (void)slice_split(&query, '?');
    if (!url_query_get(query, "n", &value) || !slice_to_u64(value, &n))
        return otherwise;
    return v->bed->n_max && n > v->bed->n_max ? v->bed->n_max : n;
}

static void big(struct visit *v)
{
    size_t n = query_number(v, 1 << 20);
    char *all = malloc(n + 1);
    CHECK(all);
    memset(all, 'x', n);
    respond(v->x, 200, (struct slice){all, n});
    free(all);
}

static void start_body(struct visit *v)
{
    struct slice whole;
    if (path_is(v, "/echo"))
        http_respond(v->x, 200, text_plain, ARRAY_LEN(text_plain), -1, SLICE_EMPTY, false);
    if (path_is(v, "/whole") && http_body_take_whole(v->x, &whole))
        respond(v->x, 200, whole);
    else
        http_body_start(v->x);
}

static void answer(struct visit *v)
{
    struct http_exchange *x = v->x;
    if (path_is(v, "/hello"))
        respond(x, 200, SLICE_LIT("hello"));
    else if (path_is(v, "/later"))
        list_push_back(&v->bed->later, &v->node);
    else if (path_is(v, "/echo") || path_is(v, "/sink") || path_is(v, "/whole") ||
             path_is(v, "/stall"))
        start_body(v);
    else if (path_is(v, "/ignore"))
        respond(x, 200, SLICE_LIT("ignored"));
    else if (path_is(v, "/headers"))
        show(v);
    else if (path_is(v, "/abort"))
        http_abort(x);
    else if (path_is(v, "/evil"))
        evil(v);
    else if (path_is(v, "/big"))
        big(v);
    else if (path_is(v, "/status"))
        respond(x, (int)query_number(v, 200), SLICE_LIT("status"));
    else if (path_is(v, "/short")) {
        http_respond(x, 200, NULL, 0, 100, SLICE_LIT("1234"), false);
        (void)http_write(x, SLICE_EMPTY, true);
    } else if (path_is(v, "/long")) {
        http_respond(x, 200, NULL, 0, 4, SLICE_LIT("1234"), false);
        (void)http_write(x, SLICE_LIT("5"), true);
    } else if (path_is(v, "/cut")) {
        http_respond(x, 200, NULL, 0, -1, SLICE_LIT("part"), false);
        list_push_back(&v->bed->later, &v->node);
    } else if (path_is(v, "/down")) {
        v->left = query_number(v, 1 << 20);
        http_respond(x, 200, text_plain, ARRAY_LEN(text_plain), -1, SLICE_EMPTY, false);
        down(v);
    } else if (!path_is(v, "/never")) {
        struct error e = {0};
        (void)error_set(&e, path_is(v, "/error") ? ERR_OVERLOAD : ERR_NOT_FOUND, "no such path");
        error_hint(&e, "see the list");
        http_respond_error(x, &e);
    }
}

static void event(struct testbed *bed)
{
    if (bed->on_event)
        bed->on_event(bed);
}

static void on_request(void *ctx, struct http_exchange *x)
{
    struct testbed *bed = ctx;
    struct visit *v = arena_new_struct(http_exchange_arena(x), struct visit);
    struct slice target = http_exchange_request(x)->target;
    v->bed = bed;
    v->x = x;
    v->path = slice_split(&target, '?');
    list_init(&v->node);
    *http_exchange_user(x) = v;
    bed->requests++;
    bed->live++;
    answer(v);
    event(bed);
}

static void echo(struct visit *v, struct slice data, bool is_end)
{
    bool goes_on = http_write(v->x, data, is_end);
    if (goes_on) {
        http_body_consumed(v->x, v->held);
        v->held = 0;
    }
    v->is_paused = !goes_on;
}

static void on_body(struct http_exchange *x, struct slice data, bool is_end)
{
    struct visit *v = visit_of(x);
    struct testbed *bed = v->bed;
    v->held += data.len;
    v->total += data.len;
    bed->body_bytes += data.len;
    if (v->held > bed->delivered_max)
        bed->delivered_max = v->held;
    if (path_is(v, "/stall"))
        return;
    if (path_is(v, "/echo")) {
        echo(v, data, is_end);
        return;
    }
    if (path_is(v, "/whole"))
        bytes_append_slice(&v->body, data);
    http_body_consumed(x, v->held);
    v->held = 0;
    if (!is_end)
        return;
    if (path_is(v, "/whole")) {
        respond(x, 200, bytes_slice(&v->body));
        return;
    }
    char text[32];
    int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)v->total);
    respond(x, 200, (struct slice){text, (size_t)n});
}

static void on_drain(struct http_exchange *x)
{
    struct visit *v = visit_of(x);
    if (path_is(v, "/echo")) {
        v->is_paused = false;
        http_body_consumed(x, v->held);
        v->held = 0;
    } else {
        down(v);
    }
}

static void on_close(struct http_exchange *x, bool is_complete)
{
    struct visit *v = visit_of(x);
    struct testbed *bed = v->bed;
    list_remove(&v->node);
    bytes_done(&v->body);
    bed->live--;
    if (is_complete)
        bed->closes_complete++;
    else
        bed->closes_broken++;
    event(bed);
}

static void on_turn(void *arg)
{
    struct testbed *bed = arg;
    struct list *n;
    while ((n = list_pop_front(&bed->later))) {
        struct visit *v = container_of(n, struct visit, node);
        if (path_is(v, "/cut"))
            http_abort(v->x);
        else
            respond(v->x, 200, SLICE_LIT("later"));
    }
}

void testbed_init(struct testbed *bed, struct loop *loop)
{
    memset(bed, 0, sizeof(*bed));
    bed->loop = loop;
    list_init(&bed->later);
    bed->handler = (struct http_handler){.ctx = bed,
                                         .on_request = on_request,
                                         .on_body = on_body,
                                         .on_drain = on_drain,
                                         .on_close = on_close};
    loop_on_turn(loop, on_turn, bed);
}
