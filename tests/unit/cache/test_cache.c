/* SPDX-License-Identifier: Apache-2.0
 *
 * A cache on a loop: what is put is found, whole or not at all; who reads is not disturbed by who puts; bounds
 * and quotas hold, and everything that was charged is given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "cache/cache.h"
#include "http/client.h"
#include "loop/loop.h"

struct world {
    struct loop loop;
    struct http_cache *cache;
    struct account *server, *space, *other, *module, *stranger;
    char folder[64];
};

struct call {
    struct http_fetch fetch;
    struct world *world;
    struct bytes body;
    struct http_header headers[4];
    int status;
    enum err err;
    bool is_done, pauses, drained;
};

static void on_head(struct http_fetch *f)
{
    container_of(f, struct call, fetch)->status = f->status;
}

static bool on_body(struct http_fetch *f, struct slice data)
{
    struct call *c = container_of(f, struct call, fetch);
    bytes_append_slice(&c->body, data);
    if (c->pauses)
        loop_stop(&c->world->loop);
    return !c->pauses;
}

static void on_drain(struct http_fetch *f)
{
    struct call *c = container_of(f, struct call, fetch);
    c->drained = true;
    loop_stop(&c->world->loop);
}

static void on_done(struct http_fetch *f, const struct error *error)
{
    struct call *c = container_of(f, struct call, fetch);
    c->err = error->code;
    c->is_done = true;
    loop_stop(&c->world->loop);
}

static void call_start(struct world *w, struct call *c, const char *method, struct account *owner,
                       const char *url)
{
    c->world = w;
    c->fetch.method = slice_cstr(method);
    c->fetch.url = slice_cstr(url);
    c->fetch.owner = owner;
    c->fetch.headers = c->headers;
    c->fetch.on_head = on_head;
    c->fetch.on_body = on_body;
    c->fetch.on_drain = on_drain;
    c->fetch.on_done = on_done;
    assert_int_equal(http_cache_fetch(w->cache, &w->loop, &c->fetch, NULL), OK);
}

static void call_end(struct call *c)
{
    while (!c->is_done)
        loop_run(&c->world->loop);
    bytes_done(&c->body);
}

static void header(struct call *c, const char *name, const char *value)
{
    c->headers[c->fetch.headers_len++] = (struct http_header){slice_cstr(name), slice_cstr(value)};
}

static int put(struct world *w, struct account *owner, const char *url, struct slice body)
{
    struct call c = {.fetch.body = body};
    header(&c, "limpet-status", "200 OK");
    header(&c, "cache-control", "max-age=60");
    call_start(w, &c, "PUT", owner, url);
    call_end(&c);
    assert_int_equal(c.err, OK);
    return c.status;
}

/* -1: there is none; else how many bytes, each of which is `fill`. */
static long get(struct world *w, struct account *owner, const char *url, char fill)
{
    struct call c = {0};
    call_start(w, &c, "GET", owner, url);
    while (!c.is_done)
        loop_run(&w->loop);
    assert_int_equal(c.err, OK);
    long len = c.status == 200 ? (long)c.body.len : -1;
    for (size_t i = 0; i < c.body.len; i++)
        assert_int_equal(c.body.ptr[i], fill);
    bytes_done(&c.body);
    return len;
}

static int simple(struct world *w, const char *method, struct account *owner, const char *url)
{
    struct call c = {0};
    call_start(w, &c, method, owner, url);
    call_end(&c);
    return c.status;
}

static struct slice filled(char fill, size_t len)
{
    static char text[3 << 20];
    assert_true(len <= sizeof(text));
    memset(text, fill, len);
    return slice_of(text, len);
}

static void setup_world(struct world *w)
{
    *w = (struct world){0};
    loop_init(&w->loop);
    w->server = account_new(NULL, "server", SLICE_EMPTY);
    w->space = account_new(w->server, "namespace", SLICE_LIT("a"));
    w->other = account_new(w->server, "namespace", SLICE_LIT("b"));
    w->module = account_new(w->space, "module", SLICE_LIT("a/m"));
    w->stranger = account_new(w->other, "module", SLICE_LIT("b/m"));
    (void)snprintf(w->folder, sizeof(w->folder), "%s", "/tmp/limpet-cache-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    assert_int_equal(http_cache_new(w->folder, &w->cache, NULL), OK);
}

static void end_world(struct world *w)
{
    loop_done(&w->loop);
    http_cache_free(w->cache);
    assert_int_equal(budget_used(&w->server->budgets[RESOURCE_MEMORY]), 0);
    assert_int_equal(budget_used(&w->server->budgets[RESOURCE_DISK]), 0);
    assert_true(account_is_single(w->module));
    account_unref(w->module);
    account_unref(w->stranger);
    account_unref(w->space);
    account_unref(w->other);
    account_unref(w->server);
    assert_int_equal(remove(w->folder), 0); /* nothing is left in it */
}

static void what_is_put_is_found(void **state)
{
    (void)state;
    struct world w;
    setup_world(&w);
    assert_int_equal(put(&w, w.module, "cache:default http://x/1", filled('a', 10)), 204);
    assert_int_equal(put(&w, w.module, "cache:default http://x/2", filled('b', 3 << 20)), 204);
    assert_int_equal(put(&w, w.module, "cache:default http://x/3", SLICE_EMPTY), 204);
    assert_int_equal(get(&w, w.module, "cache:default http://x/1", 'a'), 10);
    assert_int_equal(get(&w, w.module, "cache:default http://x/2", 'b'), 3 << 20);
    assert_int_equal(get(&w, w.module, "cache:default http://x/3", 0), 0);
    assert_int_equal(get(&w, w.module, "cache:=x http://x/1", 0), -1);
    assert_int_equal(get(&w, w.stranger, "cache:default http://x/1", 0), -1);
    assert_int_equal(put(&w, w.module, "cache:default http://x/1", filled('c', 20000)), 204);
    assert_int_equal(get(&w, w.module, "cache:default http://x/1", 'c'), 20000);
    assert_int_equal(simple(&w, "PURGE", w.module, "cache:default http://x/1"), 200);
    assert_int_equal(simple(&w, "PURGE", w.module, "cache:default http://x/1"), 404);
    assert_int_equal(get(&w, w.module, "cache:default http://x/1", 0), -1);
    http_cache_forget(w.cache, w.space);
    assert_int_equal(get(&w, w.module, "cache:default http://x/2", 0), -1);
    end_world(&w);
}

static void who_reads_is_not_disturbed(void **state)
{
    (void)state;
    struct world w;
    setup_world(&w);
    assert_int_equal(put(&w, w.module, "cache:default http://x/", filled('a', 1 << 20)), 204);
    struct call c = {.pauses = true};
    call_start(&w, &c, "GET", w.module, "cache:default http://x/");
    loop_run(&w.loop); /* a first piece */
    assert_true(c.body.len > 0 && c.body.len < 1 << 20);
    assert_int_equal(put(&w, w.module, "cache:default http://x/", filled('b', 1 << 20)), 204);
    assert_int_equal(get(&w, w.module, "cache:default http://x/", 'b'), 1 << 20);
    c.pauses = false;
    http_fetch_resume(&c.fetch);
    while (!c.is_done)
        loop_run(&w.loop);
    assert_int_equal(c.body.len, 1 << 20);
    for (size_t i = 0; i < c.body.len; i++)
        assert_int_equal(c.body.ptr[i], 'a');
    bytes_done(&c.body);
    end_world(&w);
}

static void what_is_cut_is_not_kept(void **state)
{
    (void)state;
    struct world w;
    setup_world(&w);
    assert_int_equal(put(&w, w.module, "cache:default http://x/", filled('a', 100)), 204);
    struct call c = {.fetch.is_streaming = true};
    header(&c, "limpet-status", "200 ");
    call_start(&w, &c, "PUT", w.module, "cache:default http://x/");
    assert_false(http_fetch_write(&c.fetch, filled('b', 1 << 20), false));
    while (!c.drained)
        loop_run(&w.loop);
    (void)http_fetch_write(&c.fetch, filled('b', 10), false);
    http_fetch_cancel(&c.fetch);
    call_end(&c);
    assert_int_equal(c.err, ERR_CANCELLED);
    assert_int_equal(get(&w, w.module, "cache:default http://x/", 'a'), 100);
    end_world(&w);
}

static void quotas_and_bounds_hold(void **state)
{
    (void)state;
    struct world w;
    struct http_cache_figures f;
    setup_world(&w);
    account_limit(w.module, RESOURCE_DISK, 1 << 20);
    assert_int_equal(put(&w, w.module, "cache:default http://x/1", filled('a', 3 << 20)), 413);
    assert_int_equal(get(&w, w.module, "cache:default http://x/1", 0), -1);
    http_cache_figures(w.cache, &f);
    assert_int_equal(f.refusals, 1);
    assert_int_equal(f.bytes, 0);
    for (int i = 0; i <= LIMIT_CACHE_SPACE_RESPONSES; i++) {
        char url[64];
        (void)snprintf(url, sizeof(url), "cache:default http://x/%d", i);
        assert_int_equal(put(&w, w.stranger, url, SLICE_EMPTY), 204);
        if (i == LIMIT_CACHE_SPACE_RESPONSES - 1) /* used last now */
            assert_int_equal(get(&w, w.stranger, "cache:default http://x/0", 0), 0);
    }
    http_cache_figures(w.cache, &f);
    assert_int_equal(f.responses, LIMIT_CACHE_SPACE_RESPONSES);
    assert_int_equal(f.evictions, 1);
    assert_int_equal(get(&w, w.stranger, "cache:default http://x/0", 0), 0);
    assert_int_equal(get(&w, w.stranger, "cache:default http://x/1", 0), -1);
    end_world(&w);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    struct world w;
    setup_world(&w);
    struct http_fetch f = {.owner = w.module, .method = SLICE_LIT("GET")};
    static const char *const urls[] = {"", "cache:", "cache:default", "http://x/"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        f.url = slice_cstr(urls[i]);
        assert_int_equal(http_cache_fetch(w.cache, &w.loop, &f, NULL), ERR_INVALID);
    }
    f.url = SLICE_LIT("cache:default http://x/");
    f.method = SLICE_LIT("POST");
    assert_int_equal(http_cache_fetch(w.cache, &w.loop, &f, NULL), ERR_INVALID);
    f.method = SLICE_LIT("PUT");
    assert_int_equal(http_cache_fetch(w.cache, &w.loop, &f, NULL), ERR_INVALID);
    f.owner = NULL;
    assert_int_equal(http_cache_fetch(w.cache, &w.loop, &f, NULL), ERR_INVALID);
    end_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_found),    cmocka_unit_test(who_reads_is_not_disturbed),
        cmocka_unit_test(what_is_cut_is_not_kept), cmocka_unit_test(quotas_and_bounds_hold),
        cmocka_unit_test(nonsense_is_refused),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
