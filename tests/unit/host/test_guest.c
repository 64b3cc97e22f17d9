/* SPDX-License-Identifier: Apache-2.0
 *
 * Guests on the real engine, without sockets: answers, failures, limits, pristine and shared
 * isolates, streams with back-pressure, the output gate over a real database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../traps.h"
#include "base/module_kind.h"
#include "host/guest.h"
#include "host/job.h"
#include "host/runtimes.h"
#include "loop/loop.h"
#include "module/deployment.h"
#include "sandbox/isolate.h"

static struct runtimes *runtimes;
static struct loop loop;
static struct guest_host host;
static struct sql_file *file;
static struct sql_conn *conn;

/* ---- a dispatch whose answer is recorded ---- */

struct recorded {
    struct dispatch dispatch;
    struct http_request request;
    struct http_header headers[2];
    int status;
    struct error error;
    struct bytes body, stack;
    bool is_answered, is_ended, is_aborted, is_over, is_full, was_body_started;
    size_t consumed;
};

static struct recorded *of(struct dispatch *d)
{
    return container_of(d, struct recorded, dispatch);
}

static void port_respond(struct dispatch *d, const struct call_answer *a)
{
    of(d)->is_answered = true;
    of(d)->status = a->status;
    of(d)->is_ended = a->is_end;
    bytes_append_slice(&of(d)->body, a->body);
}

static bool port_write(struct dispatch *d, struct slice data, bool is_end)
{
    bytes_append_slice(&of(d)->body, data);
    of(d)->is_ended = is_end;
    return !of(d)->is_full;
}

static void port_abort(struct dispatch *d)
{
    of(d)->is_aborted = true;
}

static void port_value(struct dispatch *d, struct slice json)
{
    of(d)->is_answered = true;
    bytes_append_slice(&of(d)->body, json);
}

static void port_fail(struct dispatch *d, const struct error *error, struct slice name,
                      struct slice stack)
{
    of(d)->is_answered = true;
    of(d)->error = *error;
    bytes_append_slice(&of(d)->stack, stack);
}

static void port_body_start(struct dispatch *d)
{
    of(d)->was_body_started = true;
}

static void port_body_consumed(struct dispatch *d, size_t n)
{
    of(d)->consumed += n;
}

static void port_over(struct dispatch *d)
{
    of(d)->is_over = true;
}

static const struct dispatch_port port = {
    .respond = port_respond,
    .write = port_write,
    .abort = port_abort,
    .value = port_value,
    .fail = port_fail,
    .body_start = port_body_start,
    .body_consumed = port_body_consumed,
    .over = port_over,
};

static struct recorded *request_new(const char *target)
{
    struct recorded *r = calloc(1, sizeof(*r));
    r->headers[0] = (struct http_header){SLICE_LIT("host"), SLICE_LIT("t.localhost")};
    r->request = (struct http_request){
        .method = SLICE_LIT("GET"),
        .target = slice_cstr(target),
        .authority = SLICE_LIT("t.localhost"),
        .headers = r->headers,
        .headers_len = 1,
        .content_length = -1,
    };
    r->dispatch = (struct dispatch){
        .port = &port,
        .kind = DISPATCH_HTTP,
        .request = &r->request,
        .execution_id = SLICE_LIT("id"),
    };
    return r;
}

static void recorded_free(struct recorded *r)
{
    bytes_done(&r->body);
    bytes_done(&r->stack);
    free(r);
}

/* ---- deployments and stepping ---- */

static struct guest *runnable;

static void on_runnable(void *ctx, struct guest *g)
{
    runnable = g;
    loop_again(&loop);
}

static enum err on_sql(void *ctx, struct guest *g, struct sql_conn **ret_conn,
                       struct sql_file **ret_file, struct error *ret_error)
{
    *ret_conn = conn;
    *ret_file = file;
    return OK;
}

static void on_sql_give(void *ctx, struct guest *g, struct sql_conn *c)
{
    assert_ptr_equal(c, conn);
}

static struct bytes log_text;

static void on_log(void *ctx, const struct deployment *d, const struct dispatch *dispatch,
                   int level, struct slice text)
{
    bytes_printf(&log_text, "%d:%.*s\n", level, SLICE_ARG(text));
}

/* Of what is not to meet its limits, however starved the machine; and of what is. */
enum { AMPLE_MS = 60000, TIGHT_MS = 200 };

static struct deployment *deploy(const char *code)
{
    struct error e = {0};
    struct guest_load load = {
        .name = SLICE_LIT("t"),
        .code = slice_cstr(code),
        .memory_bytes_max = 32 << 20,
        .cpu_ns_max = AMPLE_MS * UINT64_C(1000000),
    };
    if (guest_load(runtimes_find(runtimes, SLICE_EMPTY), &load, &e) != OK)
        fail_msg("load: %s", e.message);
    struct deployment *d = deployment_new();
    d->name = SLICE_LIT("t");
    d->runtime = runtimes_find(runtimes, SLICE_EMPTY);
    d->image = load.image;
    d->exports = load.exports;
    d->memory_bytes_max = load.memory_bytes_max;
    d->cpu_ns_max = load.cpu_ns_max;
    d->wall_ms_max = AMPLE_MS;
    return d;
}

static struct guest *guest_of(struct deployment *d)
{
    struct guest *g;
    struct error e;
    assert_int_equal(guest_new(&host, d, &g, &e), OK);
    return g;
}

static enum guest_status last_status;

/* The owner's turn: steps the one guest until it waits; stops the loop when the guest is done. */
static void turn(void *arg)
{
    struct guest *g = runnable;
    if (!g)
        return;
    runnable = NULL;
    last_status = guest_step(g);
    if (last_status == GUEST_AGAIN)
        on_runnable(NULL, g);
    else if (last_status != GUEST_WAITS && !runnable)
        loop_stop(&loop);
}

static enum guest_status run(struct guest *g)
{
    on_runnable(NULL, g);
    loop_run(&loop);
    return last_status;
}

/* Until it waits, however often a starved machine preempts it. */
static enum guest_status step(struct guest *g)
{
    enum guest_status status;
    while ((status = guest_step(g)) == GUEST_AGAIN)
        continue;
    return status;
}

static void drop(struct guest *g, struct deployment *d)
{
    struct error e;
    error_set(&e, ERR_UNAVAILABLE, "test over");
    guest_end(g, &e);
    guest_free(g);
    deployment_unref(d);
}

/* One request to a fresh guest of the code. */
static struct recorded *serve(const char *code, const char *target, unsigned limit_ms)
{
    struct deployment *d = deploy(code);
    d->cpu_ns_max = limit_ms * UINT64_C(1000000);
    d->wall_ms_max = limit_ms;
    struct guest *g = guest_of(d);
    struct recorded *r = request_new(target);
    guest_add(g, &r->dispatch);
    (void)run(g);
    assert_true(r->is_over);
    drop(g, d);
    return r;
}

static void expect_body(const char *code, const char *body)
{
    struct recorded *r = serve(code, "/x", AMPLE_MS);
    assert_int_equal(r->error.code, OK);
    assert_string_equal(bytes_cstr(&r->body), body);
    recorded_free(r);
}

static void expect_failure_within(const char *code, unsigned limit_ms, enum err err,
                                  const char *part)
{
    struct recorded *r = serve(code, "/x", limit_ms);
    if (r->error.code != err || !strstr(r->error.message, part))
        fail_msg("got %s: %s", error_text(r->error.code), r->error.message);
    recorded_free(r);
}

static void expect_failure(const char *code, enum err err, const char *part)
{
    expect_failure_within(code, AMPLE_MS, err, part);
}

/* ---- tests ---- */

static void test_answers(void **state)
{
    expect_body("export default { fetch() { return Response.json({a:1}) } }", "{\"a\":1}");
    expect_body("export default async () => { await null; return {b:2} }", "{\"b\":2}");
    expect_body("export default { async fetch(r) { await new Promise(f => setTimeout(f, 2));"
                " return new Response(new URL(r.url).pathname) } }",
                "/x");
    expect_body("export function handler(req) { return {path: req.metadata.url} }",
                "{\"path\":\"http://t.localhost/x\"}");
}

static void test_failures(void **state)
{
    struct recorded *r =
        serve("export default { fetch() { throw new TypeError('no way') } }", "/", AMPLE_MS);
    assert_int_equal(r->error.code, ERR_GUEST);
    assert_string_equal(r->error.message, "TypeError: no way");
    assert_non_null(strstr(bytes_cstr(&r->stack), "t:1:"));
    recorded_free(r);
    expect_failure("export default { fetch() { return new Promise(() => {}) } }", ERR_GUEST,
                   "never settle");
    expect_failure("export default { fetch() { } }", ERR_GUEST, "");
}

static void test_limits(void **state)
{
    traps_restore();
    expect_failure_within("export default { fetch() { for (;;); } }", TIGHT_MS, ERR_LIMIT_CPU,
                          "200 ms");
    expect_failure_within("export default { async fetch() { for (;;) await null; } }", TIGHT_MS,
                          ERR_LIMIT_CPU, "200 ms");
    expect_failure("export default { fetch() { const a = []; for (;;) a.push(new Uint8Array(1 << "
                   "20).fill(1)); } }",
                   ERR_LIMIT_MEMORY, "32 MiB");
    expect_failure("export default { fetch() { const f = () => f() + 1; return f(); } }",
                   ERR_LIMIT_STACK, "");
    expect_failure_within(
        "export default { async fetch() { await new Promise(f => setTimeout(f, 1e6)); } }",
        TIGHT_MS, ERR_TIMEOUT, "200 ms");
    expect_failure("export default { async fetch() { for (let i = 0; i < 2000; i++) setTimeout(() "
                   "=> {}, 1e6); } }",
                   ERR_LIMIT_OPS, "pending at once");
}

/* One call in the guest that copies or fills a quarter of a gigabyte is left several times, at any
 * speed of memory there is; uninterrupted, there would be a turn for each call. */
static void test_large_copies_are_preempted(void **state)
{
    static const char *const calls[] = {"a.copyWithin(1, 0)", "a.copyWithin(0, 1)", "a.fill(7)",
                                        "a.set(a.subarray(1))"};
    for (size_t k = 0; k < ARRAY_LEN(calls); k++) {
        char code[256];
        snprintf(code, sizeof(code),
                 "let a; export default { fetch(r) { a = a || new Uint8Array(256 << 20); if "
                 "(r.url.endsWith('go')) %s; return new Response(String(a.length)); } };",
                 calls[k]);
        struct deployment *d = deploy(code);
        d->memory_bytes_max = 600 << 20;
        struct guest *g = guest_of(d);
        struct recorded *first = request_new("/make"), *r = request_new("/go");
        guest_add(g, &first->dispatch);
        (void)step(g);
        guest_add(g, &r->dispatch);
        unsigned turns = 0;
        while (guest_step(g) == GUEST_AGAIN)
            turns++;
        assert_string_equal(bytes_cstr(&r->body), "268435456");
        assert_true(turns >= 2);
        drop(g, d);
        recorded_free(first);
        recorded_free(r);
    }
}

static void test_guests_are_pristine(void **state)
{
    struct deployment *d =
        deploy("let n = 0; export default { fetch() { globalThis.x = (globalThis.x ?? 0) + 1;"
               " return Response.json([++n, globalThis.x, Math.random()]) } }");
    struct guest *g = guest_of(d);
    char first[128] = "";
    for (int k = 0; k < 5; k++) {
        struct recorded *r = request_new("/");
        guest_add(g, &r->dispatch);
        assert_int_equal(run(g), GUEST_FINISHED);
        guest_end(g, NULL);
        assert_true(guest_recycle(g));
        assert_memory_equal(r->body.ptr, "[1,1,", 5);
        assert_string_not_equal(bytes_cstr(&r->body), first); /* the random number */
        snprintf(first, sizeof(first), "%s", bytes_cstr(&r->body));
        recorded_free(r);
    }
    drop(g, d);
}

static void test_shared_isolate(void **state)
{
    struct deployment *d =
        deploy("let n = 0; export default { async fetch() { const mine = ++n;"
               " await new Promise(f => setTimeout(f, 5)); return Response.json([mine, n]) } }");
    d->is_module_isolation = true;
    struct guest *g = guest_of(d);
    struct recorded *a = request_new("/"), *b = request_new("/");
    guest_add(g, &a->dispatch);
    guest_add(g, &b->dispatch);
    assert_int_equal(run(g), GUEST_FINISHED);
    assert_string_equal(bytes_cstr(&a->body), "[1,2]");
    assert_string_equal(bytes_cstr(&b->body), "[2,2]");
    recorded_free(a);
    recorded_free(b);
    drop(g, d);
}

/* What a request had under way ends with it, in a guest that lives on. */
static void test_nothing_of_a_request_stays(void **state)
{
    struct deployment *d = deploy(
        "let ticks = 0, late; export default { async fetch(r) {"
        " if (r.url.endsWith('ticks')) { const before = ticks;"
        "   await new Promise(f => setTimeout(f, 20)); return Response.json(ticks - before) }"
        " if (r.url.endsWith('late')) return Response.json(await late().catch(e => e.name));"
        " setInterval(() => ticks++, 1);"
        " late = () => new Promise((f, no) => setTimeout(f, 1)).then(() => 'late');"
        " return new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(9));"
        "   if (++this.n > 3) c.close() }, n: 0 })) } }");
    d->is_module_isolation = true;
    struct guest *g = guest_of(d);
    for (int k = 0; k < 20; k++) {
        struct recorded *r = request_new("/");
        guest_add(g, &r->dispatch);
        assert_int_equal(run(g), GUEST_FINISHED);
        assert_int_equal(r->error.code, OK);
        assert_int_equal(r->body.len, 36);
        assert_true(list_is_empty(&g->contexts));
        assert_int_equal(g->sinks_open, 0);
        assert_int_equal(g->ops_len, 0);
        recorded_free(r);
    }
    struct recorded *r = request_new("/ticks"), *late = request_new("/late");
    guest_add(g, &r->dispatch);
    assert_int_equal(run(g), GUEST_FINISHED);
    assert_string_equal(bytes_cstr(&r->body), "0");
    guest_add(g, &late->dispatch); /* a closure of another request, called by this one: its own */
    assert_int_equal(run(g), GUEST_FINISHED);
    assert_string_equal(bytes_cstr(&late->body), "\"late\"");
    recorded_free(r);
    recorded_free(late);
    drop(g, d);
}

static void test_a_dead_shared_isolate_fails_all(void **state)
{
    traps_restore();
    struct deployment *d =
        deploy("export default { async fetch(r) { if (r.url.endsWith('loop')) for (;;);"
               " await new Promise(f => setTimeout(f, 1e6)); } }");
    d->is_module_isolation = true;
    d->cpu_ns_max = TIGHT_MS * UINT64_C(1000000);
    struct guest *g = guest_of(d);
    struct recorded *a = request_new("/wait"), *b = request_new("/loop");
    guest_add(g, &a->dispatch);
    guest_add(g, &b->dispatch);
    assert_int_equal(run(g), GUEST_DEAD);
    assert_int_equal(a->error.code, ERR_LIMIT_CPU);
    assert_int_equal(b->error.code, ERR_LIMIT_CPU);
    recorded_free(a);
    recorded_free(b);
    drop(g, d);
}

static void test_loading_refuses_io(void **state)
{
    traps_restore();
    static const struct {
        const char *code, *part;
    } cases[] = {
        {"await fetch('http://example.com'); export default () => 1", "top-level"},
        {"crypto.randomUUID(); export default () => 1", "top-level"},
        {"export const x = 1", "export"},
        {"throw new Error('at load')", "at load"},
        {"import x from 'nope'; export default () => x", "nope"},
        {"for (;;);", "CPU"},
    };
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct error e = {0};
        struct guest_load load = {
            .name = SLICE_LIT("t"),
            .code = slice_cstr(cases[k].code),
            .memory_bytes_max = 32 << 20,
            .cpu_ns_max = 50000000,
        };
        assert_int_not_equal(guest_load(runtimes_find(runtimes, SLICE_EMPTY), &load, &e), OK);
        if (!strstr(e.message, cases[k].part) && !strstr(e.hint, cases[k].part))
            fail_msg("%s: %s (%s)", cases[k].code, e.message, e.hint);
        bytes_done(&load.error_name);
        bytes_done(&load.error_stack);
        bytes_done(&load.workflows);
    }
}

static void test_body_streams_with_back_pressure(void **state)
{
    struct deployment *d =
        deploy("export default { async fetch(r) { return new Response(r.body) } }");
    struct guest *g = guest_of(d);
    struct recorded *r = request_new("/");
    r->dispatch.has_stream_body = true;
    r->request.method = SLICE_LIT("POST");
    r->request.has_body = true;
    guest_add(g, &r->dispatch);
    assert_int_equal(step(g), GUEST_WAITS);
    assert_true(r->is_answered);
    assert_false(r->is_ended);
    assert_true(r->was_body_started);
    r->is_full = true;
    dispatch_body(&r->dispatch, SLICE_LIT("one "), false);
    (void)step(g);
    assert_int_equal(r->consumed, 4);
    dispatch_body(&r->dispatch, SLICE_LIT("two "),
                  false); /* the client is slow: nothing more is taken */
    (void)step(g);
    assert_int_equal(r->consumed, 4);
    assert_string_equal(bytes_cstr(&r->body), "one ");
    r->is_full = false;
    dispatch_drained(&r->dispatch);
    dispatch_body(&r->dispatch, SLICE_LIT("three"), true);
    (void)step(g);
    assert_string_equal(bytes_cstr(&r->body), "one two three");
    assert_true(r->is_ended);
    assert_true(r->is_over);
    recorded_free(r);
    drop(g, d);
}

static void test_a_client_that_leaves(void **state)
{
    struct deployment *d = deploy("export default { async fetch(r) { setTimeout(() => {}, 1e6);"
                                  " await new Promise(f => r.signal.addEventListener('abort', f));"
                                  " console.log('aborted'); return new Response('late') } }");
    struct guest *g = guest_of(d);
    struct recorded *r = request_new("/");
    bytes_clear(&log_text);
    guest_add(g, &r->dispatch);
    assert_int_equal(step(g), GUEST_WAITS);
    dispatch_gone(&r->dispatch);
    (void)step(g);
    assert_string_equal(bytes_cstr(&log_text), "1:aborted\n");
    assert_false(r->is_answered); /* the late answer has nowhere to go */
    assert_true(r->is_over);
    recorded_free(r);
    drop(g, d);
}

/* The end of the sink closes the source that is piped to it, and the dispatch is over in the middle
 * of it. */
static void test_a_client_that_leaves_a_pipe(void **state)
{
    struct deployment *d =
        deploy("export default { async fetch(r) { return new Response(r.body) } }");
    struct guest *g = guest_of(d);
    struct recorded *r = request_new("/");
    r->dispatch.has_stream_body = true;
    r->request.method = SLICE_LIT("POST");
    r->request.has_body = true;
    guest_add(g, &r->dispatch);
    assert_int_equal(step(g), GUEST_WAITS);
    dispatch_body(&r->dispatch, SLICE_LIT("some"), false);
    assert_false(r->is_over);
    dispatch_gone(&r->dispatch);
    assert_true(r->is_over);
    recorded_free(r); /* as the owner does */
    assert_int_equal(step(g), GUEST_FINISHED);
    drop(g, d);
}

static void test_output_waits_for_the_disk(void **state)
{
    struct deployment *d =
        deploy("import { exec } from 'derp:runtime/sql';"
               "export default { fetch() { exec('CREATE TABLE IF NOT EXISTS t(x)');"
               " exec('INSERT INTO t VALUES (?)', 7);"
               " return Response.json(exec('SELECT x FROM t').toArray()) } }");
    struct guest *g = guest_of(d);
    struct recorded *r = request_new("/");
    guest_add(g, &r->dispatch);
    assert_int_equal(step(g), GUEST_WAITS);
    assert_false(r->is_answered); /* committed, but not on disk */
    assert_int_equal(run(g), GUEST_FINISHED);
    assert_true(r->is_answered);
    assert_string_equal(bytes_cstr(&r->body), "[{\"x\":7}]");
    recorded_free(r);
    drop(g, d);
}

static void test_execute_and_setup(void **state)
{
    struct deployment *d =
        deploy("import { exec } from 'derp:runtime/sql'; export const handler = {"
               " setup() { exec('CREATE TABLE s(x)') },"
               " handle(req) { exec('INSERT INTO s VALUES (?)', req.body.n);"
               " return exec('SELECT count(*) AS n FROM s').one() } }");
    assert_true(d->exports & MODULE_EXPORT_SETUP);
    struct guest *g = guest_of(d);
    for (int k = 0; k < 2; k++) {
        struct recorded *r = request_new("/");
        r->dispatch.kind = k == 0 ? DISPATCH_SETUP : DISPATCH_EXECUTE;
        r->dispatch.body = SLICE_LIT("{\"n\":5}");
        guest_add(g, &r->dispatch);
        assert_int_equal(run(g), GUEST_FINISHED);
        assert_int_equal(r->error.code, OK);
        assert_string_equal(bytes_cstr(&r->body), k == 0 ? "null" : "{\"n\":1}");
        recorded_free(r);
    }
    drop(g, d);
}

/* ---- set-up ---- */

static char folder[] = "/tmp/limpet-test-guest-XXXXXX", path[64];

static void open_all(void)
{
    struct error e = {0};
    if (runtimes_start(SLICE_EMPTY, &runtimes, &e) != OK) {
        fprintf(stderr, "runtimes: %s\n", e.message);
        exit(1);
    }
    traps_save();
    loop_init(&loop);
    loop_on_turn(&loop, turn, NULL);
    host = (struct guest_host){.loop = &loop,
                               .fiber_runner = fiber_runner_new(&loop),
                               .jobs = job_runner_new(&loop),
                               .sql_take = on_sql,
                               .sql_give = on_sql_give,
                               .log = on_log,
                               .runnable = on_runnable};
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/t.sqlite", folder);
    if (sql_file_open(path, 0, &file, &e) != OK || sql_conn_open(file, &conn, &e) != OK) {
        fprintf(stderr, "sql: %s\n", e.message);
        exit(1);
    }
}

static void close_all(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    fiber_runner_drain(host.fiber_runner);
    fiber_runner_free(host.fiber_runner);
    sql_conn_close(conn);
    sql_file_unref(file);
    for (size_t k = 0; k < ARRAY_LEN(suffixes); k++) {
        char name[80];
        snprintf(name, sizeof(name), "%s%s", path, suffixes[k]);
        (void)unlink(name);
    }
    rmdir(folder);
    loop_done(&loop);
    job_runner_free(host.jobs);
    runtimes_stop(runtimes);
    bytes_done(&log_text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_large_copies_are_preempted),
        cmocka_unit_test(test_guests_are_pristine),
        cmocka_unit_test(test_nothing_of_a_request_stays),
        cmocka_unit_test(test_shared_isolate),
        cmocka_unit_test(test_a_dead_shared_isolate_fails_all),
        cmocka_unit_test(test_loading_refuses_io),
        cmocka_unit_test(test_body_streams_with_back_pressure),
        cmocka_unit_test(test_a_client_that_leaves),
        cmocka_unit_test(test_a_client_that_leaves_a_pipe),
        cmocka_unit_test(test_output_waits_for_the_disk),
        cmocka_unit_test(test_execute_and_setup),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    open_all();
    int failed = cmocka_run_group_tests_name("host/guest", tests, NULL, NULL);
    close_all();
    return failed;
}
