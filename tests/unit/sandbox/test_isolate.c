/* SPDX-License-Identifier: Apache-2.0
 *
 * Isolates over a module written in WAT: images and exact restore, limits, preemption, waiting
 * imports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <wasmtime.h>

#include "../traps.h"
#include "sandbox/engine.h"
#include "sandbox/isolate.h"

enum { ADD, POKE, PEEK, SPIN, GROW, RECURSE, ECHO, ASK, CRASH, SINK };

static const char wat[] =
    "(module"
    "  (import \"h\" \"echo\" (func $echo (param i32 i64) (result i32)))"
    "  (import \"h\" \"ask\" (func $ask (param i32) (result i32)))"
    "  (memory (export \"memory\") 4)"
    "  (data (i32.const 100) \"initial\")"
    "  (global $sp (export \"__stack_pointer\") (mut i32) (i32.const 65536))"
    "  (func (export \"add\") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))"
    "  (func (export \"poke\") (param i32 i32) (result i32)"
    "    (i32.store (local.get 0) (local.get 1)) (i32.const 0))"
    "  (func (export \"peek\") (param i32) (result i32) (i32.load (local.get 0)))"
    "  (func (export \"spin\") (param i32) (result i32)"
    "    (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (i32.const 7))"
    "  (func (export \"grow\") (param i32) (result i32) (memory.grow (local.get 0)))"
    "  (func $r (export \"recurse\") (param i32) (result i32)"
    "    (i32.add (i32.const 1) (call $r (i32.add (local.get 0) (i32.const 1)))))"
    "  (func (export \"echo\") (param i32) (result i32) (call $echo (local.get 0) (i64.const -5)))"
    "  (func (export \"ask\") (param i32) (result i32) (call $ask (local.get 0)))"
    "  (func (export \"crash\") (result i32)"
    "    (global.set $sp (i32.const 1)) (unreachable))"
    "  (func (export \"sink\") (param i32)))";

static const struct sandbox_export exports[] = {
    {"add", true},     {"poke", true}, {"peek", true}, {"spin", true},  {"grow", true},
    {"recurse", true}, {"echo", true}, {"ask", true},  {"crash", true}, {"sink", false},
};

static int64_t seen_wide;

static int64_t host_echo(struct isolate *i, const int64_t *args)
{
    seen_wide = args[1];
    if (args[0] == 13)
        isolate_trap(i, ERR_FORBIDDEN, "not %d", 13);
    return args[0] * 2;
}

static int64_t host_ask(struct isolate *i, const int64_t *args)
{
    return args[0] == 0 ? 99 : SANDBOX_WAIT;
}

static const struct sandbox_import imports[] = {
    {"h", "echo", "iI", true, false, host_echo},
    {"h", "ask", "i", true, true, host_ask},
};

static struct engine *engine;
static struct code *code;

static void open_code(void)
{
    struct error e;
    wasm_byte_vec_t wasm;
    assert_null(wasmtime_wat2wasm(wat, sizeof(wat) - 1, &wasm));
    struct code_config config = {
        .wasm = slice_of(wasm.data, wasm.size),
        .imports = imports,
        .imports_len = ARRAY_LEN(imports),
        .exports = exports,
        .exports_len = ARRAY_LEN(exports),
    };
    CLEANUP(bytes_done) struct bytes compiled = BYTES_INIT;
    assert_int_equal(code_compile(config.wasm, &compiled, &e), OK);
    config.compiled = bytes_slice(&compiled);
    assert_int_equal(code_new(engine, &config, &code, &e), OK);
    assert_true(code_was_precompiled(code));
    wasm_byte_vec_delete(&wasm);
    traps_save();
}

static struct isolate *make(struct image *image, size_t memory_bytes_max)
{
    struct isolate *i;
    struct error e;
    assert_int_equal(isolate_new(code, image, memory_bytes_max, &i, &e), OK);
    return i;
}

static int32_t call(struct isolate *i, unsigned fn, int32_t a, int32_t b)
{
    static const uint8_t arity[] = {[ADD] = 2,     [POKE] = 2, [PEEK] = 1, [SPIN] = 1,  [GROW] = 1,
                                    [RECURSE] = 1, [ECHO] = 1, [ASK] = 1,  [CRASH] = 0, [SINK] = 1};
    int32_t args[] = {a, b};
    enum isolate_status status = isolate_call(i, fn, args, arity[fn]);
    while (status == ISOLATE_YIELDED) /* preempted, on a busy machine */
        status = isolate_resume(i);
    assert_int_equal(status, ISOLATE_DONE);
    return isolate_result(i);
}

static struct image *image_with(int32_t address, int32_t value)
{
    struct image *m;
    struct error e;
    struct isolate *i = make(NULL, 1 << 20);
    (void)call(i, POKE, address, value);
    assert_int_equal(image_capture(i, &m, &e), OK);
    isolate_free(i);
    return m;
}

static void test_calls(void **state)
{
    struct isolate *i = make(NULL, 1 << 20);
    int32_t args[] = {40, 2}, result;
    assert_int_equal(call(i, ADD, 40, 2), 42);
    assert_true(isolate_call_now(i, ADD, args, 2, &result));
    assert_int_equal(result, 42);
    assert_int_equal(call(i, ECHO, 21, 0), 42);
    assert_int_equal(seen_wide, -5);
    (void)call(i, SINK, 1, 0);
    assert_memory_equal(isolate_memory(i, 100, 7), "initial", 7);
    assert_null(isolate_memory(i, 4 * 65536 - 3, 4));
    assert_null(isolate_memory(i, UINT32_MAX, 1));
    assert_non_null(isolate_memory(i, 4 * 65536, 0));
    isolate_free(i);
}

static void test_restore_is_exact(void **state)
{
    struct image *m = image_with(5000, 1);
    struct isolate *i = make(m, 1 << 20);
    static char before[4 * 65536];
    memcpy(before, isolate_memory(i, 0, sizeof(before)), sizeof(before));
    for (int round = 0; round < 3; round++) {
        assert_int_equal(call(i, PEEK, 5000, 0), 1);
        for (int32_t at = 0; at < 4 * 65536; at += 4096 * (round + 1) + 8)
            (void)call(i, POKE, at, 0x5a5a5a5a);
        assert_true(isolate_restore(i));
        assert_memory_equal(isolate_memory(i, 0, sizeof(before)), before, sizeof(before));
    }
    assert_true(isolate_private_bytes(i) > 0);
    isolate_free(i);
    image_unref(m);
}

static void test_isolates_of_an_image_are_apart(void **state)
{
    struct image *m = image_with(5000, 1);
    struct isolate *a = make(m, 1 << 20), *b = make(m, 1 << 20);
    (void)call(a, POKE, 5000, 2);
    assert_int_equal(call(b, PEEK, 5000, 0), 1);
    assert_int_equal(call(a, PEEK, 5000, 0), 2);
    isolate_free(a);
    isolate_free(b);
    image_unref(m);
}

static void test_memory_limit(void **state)
{
    struct image *m = image_with(5000, 1);
    struct isolate *i = make(m, 6 * 65536);
    assert_int_equal(call(i, GROW, 3, 0), -1);
    assert_true(isolate_was_out_of_memory(i));
    assert_true(isolate_restore(i));
    assert_false(isolate_was_out_of_memory(i));
    assert_int_equal(call(i, GROW, 2, 0), 4);
    (void)call(i, POKE, 6 * 65536 - 4, 1);
    assert_false(isolate_restore(i)); /* memory cannot shrink */
    isolate_free(i);
    image_unref(m);
}

static void test_image_of_grown_memory(void **state)
{
    struct image *m;
    struct error e;
    struct isolate *i = make(NULL, 1 << 20);
    (void)call(i, GROW, 2, 0);
    (void)call(i, POKE, 6 * 65536 - 4, 77);
    assert_int_equal(image_capture(i, &m, &e), OK);
    isolate_free(i);
    i = make(m, 1 << 20);
    assert_int_equal(call(i, PEEK, 6 * 65536 - 4, 0), 77);
    assert_true(isolate_restore(i));
    isolate_free(i);
    image_unref(m);
}

static void test_preemption_and_cpu_limit(void **state)
{
    struct image *m = image_with(5000, 1);
    struct isolate *i = make(m, 1 << 20);
    int32_t forever = 0; /* counts down through all 2^32 values */
    isolate_set_cpu_budget(i, 60 * 1000000);
    enum isolate_status status = isolate_call(i, SPIN, &forever, 1);
    int yields = 0;
    for (; status == ISOLATE_YIELDED; yields++) {
        assert_true(isolate_is_running(i));
        status = isolate_resume(i);
    }
    assert_true(yields > 0);
    assert_int_equal(status, ISOLATE_TRAPPED);
    assert_int_equal(isolate_error(i)->code, ERR_LIMIT_CPU);
    assert_false(isolate_is_running(i));
    assert_true(isolate_restore(i));
    isolate_set_cpu_budget(i, 1000000000);
    assert_int_equal(call(i, ADD, 1, 1), 2);

    /* What was used for it elsewhere counts. */
    isolate_set_cpu_budget(i, 60 * 1000000);
    isolate_add_cpu(i, UINT64_C(60) * 1000000);
    assert_int_equal(isolate_call(i, SPIN, &forever, 1), ISOLATE_TRAPPED);
    assert_true(isolate_restore(i));

    isolate_set_cpu_budget(i, 1000000000);
    assert_int_equal(isolate_call(i, SPIN, &forever, 1), ISOLATE_YIELDED);
    isolate_cancel(i);
    assert_true(isolate_restore(i));
    assert_int_equal(call(i, ADD, 1, 1), 2);
    assert_int_equal(isolate_call(i, SPIN, &forever, 1), ISOLATE_YIELDED);
    isolate_free(i); /* unwinds */
    image_unref(m);
}

static void test_traps(void **state)
{
    traps_restore();
    struct image *m = image_with(5000, 1);
    struct isolate *i = make(m, 1 << 20);
    int32_t zero = 0, thirteen = 13;
    enum isolate_status status = isolate_call(i, RECURSE, &zero, 1);
    while (status == ISOLATE_YIELDED) /* a deep stack takes a while to touch */
        status = isolate_resume(i);
    assert_int_equal(status, ISOLATE_TRAPPED);
    assert_int_equal(isolate_error(i)->code, ERR_LIMIT_STACK);
    assert_true(isolate_restore(i));
    assert_int_equal(isolate_call(i, CRASH, NULL, 0), ISOLATE_TRAPPED);
    assert_int_equal(isolate_error(i)->code, ERR_GUEST);
    assert_true(isolate_restore(i));
    assert_int_equal(isolate_call(i, ECHO, &thirteen, 1), ISOLATE_TRAPPED);
    assert_int_equal(isolate_error(i)->code, ERR_FORBIDDEN);
    assert_string_equal(isolate_error(i)->message, "not 13");
    assert_true(isolate_restore(i));
    assert_int_equal(call(i, ECHO, 4, 0), 8);
    isolate_free(i);
    image_unref(m);
}

static void test_waiting_imports(void **state)
{
    struct image *m = image_with(5000, 1);
    struct isolate *i = make(m, 1 << 20);
    int32_t one = 1;
    assert_int_equal(call(i, ASK, 0, 0), 99); /* answered at once */
    assert_int_equal(isolate_call(i, ASK, &one, 1), ISOLATE_WAITING);
    assert_int_equal(isolate_resume(i), ISOLATE_WAITING);
    isolate_wake(i, 123);
    assert_int_equal(isolate_resume(i), ISOLATE_DONE);
    assert_int_equal(isolate_result(i), 123);
    assert_int_equal(isolate_call(i, ASK, &one, 1), ISOLATE_WAITING);
    assert_true(isolate_restore(i)); /* cancels */
    assert_int_equal(call(i, ADD, 1, 2), 3);
    isolate_free(i);
    image_unref(m);
}

static void test_bad_modules(void **state)
{
    struct code *s;
    struct error e;
    struct code_config config = {.wasm = SLICE_LIT("not wasm")};
    assert_int_equal(code_new(engine, &config, &s, &e), ERR_INVALID);
    assert_non_null(strstr(e.message, "cannot compile"));
    struct isolate *i;
    assert_int_equal(isolate_new(code, NULL, 65536, &i, &e), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_restore_is_exact),
        cmocka_unit_test(test_isolates_of_an_image_are_apart),
        cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_image_of_grown_memory),
        cmocka_unit_test(test_preemption_and_cpu_limit),
        cmocka_unit_test(test_traps),
        cmocka_unit_test(test_waiting_imports),
        cmocka_unit_test(test_bad_modules),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    engine = engine_new();
    open_code();
    int failed = cmocka_run_group_tests_name("sandbox/isolate", tests, NULL, NULL);
    code_unref(code);
    engine_free(engine);
    return failed;
}
