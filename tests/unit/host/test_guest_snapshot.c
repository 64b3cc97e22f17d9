/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots of the real engine: a guest that waits in the middle of its code is saved, applied to
 * another isolate of its image, and the two memories are equal; images of the same code are equal,
 * so that a snapshot outlives the process that made it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../traps.h"
#include "host/guest.h"
#include "host/internal.h"
#include "host/runtimes.h"
#include "loop/loop.h"
#include "module/deployment.h"
#include "sandbox/isolate.h"
#include "sandbox/snapshot.h"

enum { MEMORY_BYTES_MAX = 32 << 20, SNAPSHOT_BYTES_MAX = 30 * 1024 };

static const char waits[] =
    "const seen = new Map();"
    "async function inner(r) { const url = new URL(r.url); seen.set(url.pathname, [...'abc']);"
    " await new Promise(f => setTimeout(f, 3600e3)); return Response.json([...seen]) }"
    "export default { async fetch(r) { let n = 0; for (let i = 0; i < 10; i++) n += await i;"
    " try { return await inner(r) } finally { seen.clear() } } }";

static struct runtimes *runtimes;
static struct loop loop;
static struct guest_host host;

static void on_runnable(void *ctx, struct guest *g)
{
    (void)ctx;
    (void)g;
}

static void on_over(struct dispatch *d)
{
    (void)d;
}

static void on_fail(struct dispatch *d, const struct error *error, struct slice name,
                    struct slice stack)
{
    (void)d;
    (void)error;
    (void)name;
    (void)stack;
}

static const struct dispatch_port port = {.fail = on_fail, .over = on_over};

static struct deployment *deploy(const struct runtimes *from, const char *code)
{
    struct error e = {0};
    struct guest_load load = {
        .name = SLICE_LIT("t"),
        .code = slice_cstr(code),
        .memory_bytes_max = MEMORY_BYTES_MAX,
        .cpu_ns_max = 1000000000,
    };
    struct runtime *runtime = runtimes_find(from, SLICE_EMPTY);
    if (guest_load(runtime, &load, &e) != OK)
        fail_msg("load: %s", e.message);
    struct deployment *d = deployment_new();
    d->name = SLICE_LIT("t");
    d->runtime = runtime;
    d->image = load.image;
    d->exports = load.exports;
    d->memory_bytes_max = load.memory_bytes_max;
    d->cpu_ns_max = load.cpu_ns_max;
    d->wall_ms_max = 60000;
    return d;
}

/* A guest of d in the middle of a request. */
struct waiting {
    struct http_request request;
    struct http_header header;
    struct dispatch dispatch;
    struct guest *guest;
};

static void waiting_start(struct waiting *w, struct deployment *d)
{
    struct error e = {0};
    w->header = (struct http_header){SLICE_LIT("host"), SLICE_LIT("t.localhost")};
    w->request = (struct http_request){
        .method = SLICE_LIT("GET"),
        .target = SLICE_LIT("/some/where"),
        .authority = SLICE_LIT("t.localhost"),
        .headers = &w->header,
        .headers_len = 1,
        .content_length = -1,
    };
    w->dispatch = (struct dispatch){
        .port = &port,
        .kind = DISPATCH_HTTP,
        .request = &w->request,
        .execution_id = SLICE_LIT("id"),
    };
    assert_int_equal(guest_new(&host, d, &w->guest, &e), OK);
    guest_add(w->guest, &w->dispatch);
    enum guest_status status = guest_step(w->guest);
    while (status == GUEST_AGAIN)
        status = guest_step(w->guest);
    assert_int_equal(status, GUEST_WAITS);
}

static void waiting_stop(struct waiting *w)
{
    struct error e;
    error_set(&e, ERR_UNAVAILABLE, "test over");
    guest_end(w->guest, &e);
    guest_free(w->guest);
}

static void assert_same_memory(struct isolate *a, struct isolate *b)
{
    size_t len = isolate_memory_bytes(a);
    assert_int_equal(isolate_memory_bytes(b), len);
    assert_memory_equal(isolate_memory(a, 0, len), isolate_memory(b, 0, len), len);
}

static struct isolate *fresh(struct deployment *d)
{
    struct isolate *i;
    struct error e = {0};
    assert_int_equal(isolate_new(image_code(d->image), d->image, MEMORY_BYTES_MAX, &i, &e), OK);
    return i;
}

static void test_a_waiting_guest(void **state)
{
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT, again = BYTES_INIT;
    struct deployment *d = deploy(runtimes, waits);
    struct waiting w;
    struct error e = {0};
    (void)state;
    waiting_start(&w, d);
    assert_int_equal(snapshot_save(w.guest->isolate, &saved, &e), OK);
    assert_true(saved.len < SNAPSHOT_BYTES_MAX);
    struct isolate *other = fresh(d), *pristine = fresh(d);
    assert_int_equal(snapshot_apply(other, bytes_slice(&saved), &e), OK);
    assert_same_memory(w.guest->isolate, other);
    /* What was applied gives the same snapshot. */
    assert_int_equal(snapshot_save(other, &again, &e), OK);
    assert_true(slice_eq(bytes_slice(&saved), bytes_slice(&again)));
    if (isolate_restore(other))
        assert_same_memory(other, pristine);
    isolate_free(other);
    isolate_free(pristine);
    waiting_stop(&w);
    deployment_unref(d);
}

static void test_images_are_deterministic(void **state)
{
    uint8_t first[IMAGE_DIGEST_BYTES], second[IMAGE_DIGEST_BYTES];
    struct deployment *a = deploy(runtimes, waits), *b = deploy(runtimes, waits);
    struct deployment *c = deploy(runtimes, "export default () => 1");
    (void)state;
    image_digest(a->image, first);
    image_digest(b->image, second);
    assert_memory_equal(first, second, sizeof(first));
    image_digest(c->image, second);
    assert_memory_not_equal(first, second, sizeof(first));
    deployment_unref(a);
    deployment_unref(b);
    deployment_unref(c);
}

/* As in another process of the same build, whether it boots or is given the booted image. */
static void test_engines_are_deterministic(void **state)
{
    CLEANUP(bytes_done) struct bytes booted = BYTES_INIT;
    uint8_t first[IMAGE_DIGEST_BYTES], second[IMAGE_DIGEST_BYTES];
    struct error e = {0};
    (void)state;
    runtimes_save(runtimes, &booted);
    struct deployment *a = deploy(runtimes, waits);
    image_digest(a->image, first);
    for (int k = 0; k < 2; k++) {
        struct runtimes *other;
        struct slice from = k == 0 ? bytes_slice(&booted) : SLICE_EMPTY;
        assert_int_equal(runtimes_start(from, &other, &e), OK);
        struct deployment *b = deploy(other, waits);
        image_digest(b->image, second);
        assert_memory_equal(first, second, sizeof(first));
        deployment_unref(b);
        runtimes_stop(other);
    }
    deployment_unref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_waiting_guest),
        cmocka_unit_test(test_images_are_deterministic),
        cmocka_unit_test(test_engines_are_deterministic),
    };
    struct error e = {0};
    cmocka_set_message_output(CM_OUTPUT_TAP);
    if (runtimes_start(SLICE_EMPTY, &runtimes, &e) != OK) {
        (void)fprintf(stderr, "runtimes: %s\n", e.message);
        return 1;
    }
    traps_save();
    loop_init(&loop);
    host = (struct guest_host){.loop = &loop, .runnable = on_runnable};
    int failed = cmocka_run_group_tests_name("host/guest_snapshot", tests, NULL, NULL);
    loop_done(&loop);
    runtimes_stop(runtimes);
    return failed;
}
