/* SPDX-License-Identifier: Apache-2.0
 *
 * What an isolate is given back beside its memory: mutable globals, whether exported or not, and
 * tables that code changes; what is refused, by name; modules beside each other in one engine; and
 * several operations that one isolate waits for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <wasmtime.h>

#include "../traps.h"
#include "sandbox/engine.h"
#include "sandbox/isolate.h"
#include "sandbox/snapshot.h"

#define WAT_HEAD "(module (memory (export \"memory\") 1)"

enum { MEMORY_BYTES_MAX = 1 << 20 };

static struct engine *engine;

static enum err open_wat(const char *wat, const struct sandbox_import *imports, size_t imports_len,
                         const struct sandbox_export *exports, size_t exports_len,
                         struct code **ret, struct error *ret_error)
{
    wasm_byte_vec_t wasm;
    wasmtime_error_t *bad = wasmtime_wat2wasm(wat, strlen(wat), &wasm);
    assert_null(bad);
    struct code_config config = {
        .wasm = slice_of(wasm.data, wasm.size),
        .imports = imports,
        .imports_len = imports_len,
        .exports = exports,
        .exports_len = exports_len,
    };
    enum err err = code_new(engine, &config, ret, ret_error);
    wasm_byte_vec_delete(&wasm);
    return err;
}

static struct code *code_of(const char *wat, const struct sandbox_export *exports, size_t len)
{
    struct code *c = NULL;
    struct error e = {0};
    if (open_wat(wat, NULL, 0, exports, len, &c, &e) != OK)
        fail_msg("%s", e.message);
    return c;
}

static struct isolate *make(struct code *c, struct image *image)
{
    struct isolate *i = NULL;
    struct error e = {0};
    if (isolate_new(c, image, MEMORY_BYTES_MAX, &i, &e) != OK)
        fail_msg("%s", e.message);
    return i;
}

static enum isolate_status finish(struct isolate *i, enum isolate_status status)
{
    while (status == ISOLATE_YIELDED) /* preempted, on a busy machine */
        status = isolate_resume(i);
    return status;
}

static int32_t call(struct isolate *i, unsigned fn, const int32_t *args, size_t len)
{
    assert_int_equal(finish(i, isolate_call(i, fn, args, len)), ISOLATE_DONE);
    return isolate_result(i);
}

static int32_t call1(struct isolate *i, unsigned fn, int32_t a)
{
    return call(i, fn, &a, 1);
}

static int32_t call2(struct isolate *i, unsigned fn, int32_t a, int32_t b)
{
    const int32_t args[] = {a, b};
    return call(i, fn, args, 2);
}

static struct image *capture(struct isolate *i)
{
    struct image *m = NULL;
    struct error e = {0};
    if (image_capture(i, &m, &e) != OK)
        fail_msg("%s", e.message);
    isolate_free(i);
    return m;
}

/* ---- globals ---- */

enum { G_SET, G_GET };
static const struct sandbox_export global_exports[] = {{"set", true}, {"get", true}};

/* Four types, one of them exported; no stack pointer; set() writes all, get() mixes them. */
static void test_globals_that_are_not_exported(void **state)
{
    static const char wat[] =
        WAT_HEAD " (global $a (mut i32) (i32.const 1)) (global $k i32 (i32.const 5))"
                 " (global $b (export \"b\") (mut i64) (i64.const 0x100000001))"
                 " (global $c (mut f32) (f32.const 1.5)) (global $d (mut f64) (f64.const 2.5))"
                 " (func (export \"set\") (param i32) (result i32)"
                 "   (global.set $a (local.get 0))"
                 "   (global.set $b (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)))"
                 "   (global.set $c (f32.convert_i32_s (local.get 0)))"
                 "   (global.set $d (f64.convert_i32_s (local.get 0))) (i32.const 0))"
                 " (func (export \"get\") (result i32) (i32.add (i32.add (global.get $a)"
                 "   (i32.wrap_i64 (i64.shr_u (global.get $b) (i64.const 32))))"
                 "   (i32.add (i32.trunc_f32_s (f32.mul (global.get $c) (f32.const 100)))"
                 "   (i32.trunc_f64_s (f64.mul (global.get $d) (f64.const 10000)))))))";
    (void)state;
    struct code *c = code_of(wat, global_exports, ARRAY_LEN(global_exports));
    struct isolate *i = make(c, NULL);
    int32_t at_first = call(i, G_GET, NULL, 0);
    assert_int_equal(at_first, 1 + 1 + 150 + 25000);
    (void)call1(i, G_SET, 7);
    struct image *m = capture(i);
    i = make(c, m);
    int32_t of_image = call(i, G_GET, NULL, 0);
    assert_int_equal(of_image, 7 + 7 + 700 + 70000);
    (void)call1(i, G_SET, 9);
    assert_true(isolate_restore(i));
    assert_int_equal(call(i, G_GET, NULL, 0), of_image);
    /* In a snapshot, too. */
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    struct error e = {0};
    (void)call1(i, G_SET, 11);
    int32_t of_snapshot = call(i, G_GET, NULL, 0);
    assert_int_equal(snapshot_save(i, &saved, &e), OK);
    struct isolate *other = make(c, m);
    assert_int_equal(snapshot_apply(other, bytes_slice(&saved), &e), OK);
    assert_int_equal(call(other, G_GET, NULL, 0), of_snapshot);
    isolate_free(other);
    isolate_free(i);
    image_unref(m);
    code_unref(c);
}

/* As dynamic linking makes them. */
static void test_many_globals(void **state)
{
    enum { MANY = 500 };
    CLEANUP(bytes_done) struct bytes wat = BYTES_INIT;
    (void)state;
    bytes_append_cstr(&wat, WAT_HEAD);
    for (int k = 0; k < MANY; k++)
        bytes_printf(&wat, " (global $g%d (mut i32) (i32.const %d))", k, k);
    bytes_append_cstr(&wat, " (func (export \"set\") (param i32) (result i32)");
    for (int k = 0; k < MANY; k++)
        bytes_printf(&wat, " (global.set $g%d (local.get 0))", k);
    bytes_append_cstr(&wat, " (i32.const 0)) (func (export \"get\") (result i32) (i32.const 0)");
    for (int k = 0; k < MANY; k++)
        bytes_printf(&wat, " (i32.add (global.get $g%d))", k);
    bytes_append_cstr(&wat, "))");
    struct code *c = code_of(bytes_cstr(&wat), global_exports, ARRAY_LEN(global_exports));
    struct image *m = capture(make(c, NULL));
    struct isolate *i = make(c, m);
    (void)call1(i, G_SET, 3);
    assert_int_equal(call(i, G_GET, NULL, 0), 3 * MANY);
    assert_true(isolate_restore(i));
    assert_int_equal(call(i, G_GET, NULL, 0), MANY * (MANY - 1) / 2);
    isolate_free(i);
    image_unref(m);
    code_unref(c);
}

/* ---- tables ---- */

enum { T_MOVE, T_CLEAR, T_CALL, T_GROW, T_STRANGER };
static const struct sandbox_export table_exports[] = {
    {"move", true}, {"clear", true}, {"call", true}, {"grow", true}, {"stranger", true}};

/* Two tables of three and two, neither exported. */
static const char table_wat[] =
    WAT_HEAD " (type $f (func (result i32)))"
             " (table $t 3 funcref) (table $u 2 funcref)"
             " (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2))"
             " (func $three (result i32) (i32.const 3)) (func $four (result i32) (i32.const 4))"
             " (elem (table $t) (i32.const 0) func $one $two)"
             " (elem (table $u) (i32.const 0) func $three)"
             " (elem declare func $four)"
             " (func (export \"move\") (param i32 i32) (result i32)"
             "   (table.set $t (local.get 0) (table.get $u (local.get 1))) (i32.const 0))"
             " (func (export \"clear\") (param i32) (result i32)"
             "   (table.set $t (local.get 0) (ref.null func)) (i32.const 0))"
             " (func (export \"call\") (param i32) (result i32)"
             "   (if (result i32) (ref.is_null (table.get $t (local.get 0)))"
             "     (then (i32.const 0)) (else (call_indirect $t (type $f) (local.get 0)))))"
             " (func (export \"grow\") (param i32) (result i32)"
             "   (table.grow $t (ref.null func) (local.get 0)))"
             " (func (export \"stranger\") (result i32)"
             "   (table.set $t (i32.const 2) (ref.func $four)) (i32.const 0)))";

static void assert_table(struct isolate *i, int32_t a, int32_t b, int32_t c)
{
    assert_int_equal(call1(i, T_CALL, 0), a);
    assert_int_equal(call1(i, T_CALL, 1), b);
    assert_int_equal(call1(i, T_CALL, 2), c);
}

static void test_tables(void **state)
{
    (void)state;
    struct code *c = code_of(table_wat, table_exports, ARRAY_LEN(table_exports));
    struct isolate *i = make(c, NULL);
    assert_table(i, 1, 2, 0);
    (void)call2(i, T_MOVE, 2, 0); /* three */
    (void)call1(i, T_CLEAR, 0);
    struct image *m = capture(i);
    i = make(c, m);
    assert_table(i, 0, 2, 3);
    (void)call2(i, T_MOVE, 0, 0);
    (void)call2(i, T_MOVE, 2, 1); /* null */
    assert_table(i, 3, 2, 0);
    assert_true(isolate_restore(i));
    assert_table(i, 0, 2, 3);
    struct isolate *other = make(c, m);
    assert_table(other, 0, 2, 3);
    isolate_free(other);
    /* Tables do not shrink. */
    assert_int_equal(call1(i, T_GROW, 2), 3);
    assert_false(isolate_restore(i));
    isolate_free(i);
    image_unref(m);
    code_unref(c);
}

static void test_an_image_of_a_grown_table(void **state)
{
    (void)state;
    struct code *c = code_of(table_wat, table_exports, ARRAY_LEN(table_exports));
    struct isolate *i = make(c, NULL);
    (void)call1(i, T_GROW, 2);
    (void)call2(i, T_MOVE, 4, 0);
    struct image *m = capture(i);
    i = make(c, m);
    assert_int_equal(call1(i, T_CALL, 4), 3);
    (void)call1(i, T_CLEAR, 4);
    assert_true(isolate_restore(i));
    assert_int_equal(call1(i, T_CALL, 4), 3);
    assert_int_equal(call1(i, T_GROW, 1 << 20), -1); /* bounded */
    assert_true(isolate_restore(i));
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    struct error e = {0};
    assert_int_equal(snapshot_save(i, &saved, &e), ERR_TOO_LARGE);
    isolate_free(i);
    image_unref(m);
    code_unref(c);
}

static void test_a_function_that_was_in_no_table(void **state)
{
    struct image *m = NULL;
    struct error e = {0};
    (void)state;
    struct code *c = code_of(table_wat, table_exports, ARRAY_LEN(table_exports));
    struct isolate *i = make(c, NULL);
    (void)call(i, T_STRANGER, NULL, 0);
    assert_int_equal(image_capture(i, &m, &e), ERR_INVALID);
    assert_non_null(strstr(e.message, "table 0"));
    isolate_free(i);
    code_unref(c);
}

/* ---- what is refused, and how it is named ---- */

static void test_refused(void **state)
{
    static const struct {
        const char *wat, *names;
    } refused[] = {
        {"(module)", "0 memories"},
        {"(module (memory 1))", "\"memory\""},
        {"(module (memory (export \"memory\") 1) (memory 1))", "2 memories"},
        {"(module (memory (export \"memory\") i64 1))", "64 bits"},
        {WAT_HEAD " (global $v (export \"v\") (mut v128) (v128.const i64x2 1 2)))", "(0, v)"},
        {WAT_HEAD " (global i32 (i32.const 1)) (global (mut externref) (ref.null extern)))", "(1)"},
        {WAT_HEAD " (data $d \"x\") (func (data.drop $d)))", "data.drop) in its function 0"},
        {WAT_HEAD " (func) (func $g) (elem $e func $g) (func (elem.drop $e)))",
         "elem.drop) in its function 2"},
        {WAT_HEAD " (table 1 externref) (func (table.set (i32.const 0) (ref.null extern))))",
         "table 0 is not of functions"},
        {WAT_HEAD " (table 200000 funcref) (func (table.set (i32.const 0) (ref.null func))))",
         "table 0 has more"},
    };
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(refused); k++) {
        struct code *c = NULL;
        struct error e = {0};
        if (open_wat(refused[k].wat, NULL, 0, NULL, 0, &c, &e) == OK)
            fail_msg("accepted: %s", refused[k].wat);
        if (!strstr(e.message, refused[k].names))
            fail_msg("%s: %s", refused[k].wat, e.message);
    }
}

/* Instructions of every shape stand before one that is looked for: it is found only if all of them
 * were read rightly. */
static void test_code_is_read_rightly(void **state)
{
    static const char *const shapes[] = {
        "(drop (i32.const -123456))",
        "(drop (i64.const -1234567890123))",
        "(drop (f32.const 1.5))",
        "(drop (f64.const 2.5))",
        "(drop (v128.const i64x2 0x0b0b0b0b0b 0xfc09fc09fc09))",
        "(drop (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 (v128.const i64x2 1 2)"
        " (v128.const i64x2 1 2)))",
        "(drop (i32x4.extract_lane 2 (v128.const i64x2 1 2)))",
        "(drop (v128.load8_lane 3 (i32.const 8) (v128.const i64x2 1 2)))",
        "(drop (v128.load32_zero offset=200 (i32.const 8)))",
        "(drop (i32.load offset=70000 align=1 (i32.const 0)))",
        "(i64.store offset=12 (i32.const 0) (i64.const 11))",
        "(drop (memory.grow (i32.const 0)))",
        "(memory.copy (i32.const 0) (i32.const 8) (i32.const 8))",
        "(memory.fill (i32.const 0) (i32.const 8) (i32.const 8))",
        "(drop (i32.trunc_sat_f64_s (f64.const 1)))",
        "(block (br_table 0 0 0 (i32.const 1)))",
        "(block (result i32) (i32.const 3)) (drop)",
        "(drop (select (result funcref) (ref.null func) (ref.null func) (i32.const 1)))",
        "(if (ref.is_null (table.get 0 (i32.const 0))) (then (nop)) (else (unreachable)))",
        "(drop (table.size 0))",
        "(call_indirect (type $v) (i32.const 0))",
        "(loop (br_if 0 (i32.const 0)))",
        "(drop (ref.func $g))",
        "(drop (i32.atomic.load offset=4 (i32.const 0)))",
        "(atomic.fence)",
    };
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(shapes); k++) {
        char wat[1024];
        struct code *c = NULL;
        struct error e = {0};
        snprintf(wat, sizeof(wat),
                 WAT_HEAD " (type $v (func)) (table 1 funcref) (func $g) (elem declare func $g)"
                          " (data $d \"x\") (func (local i64 f32) %s (data.drop $d)))",
                 shapes[k]);
        assert_int_equal(open_wat(wat, NULL, 0, NULL, 0, &c, &e), ERR_INVALID);
        if (!strstr(e.message, "data.drop"))
            fail_msg("%s: %s", shapes[k], e.message);
    }
}

/* ---- modules beside each other ---- */

static void test_modules_beside_each_other(void **state)
{
    static const struct sandbox_export exports[] = {{"get", true}};
    struct code *codes[8];
    struct isolate *isolates[ARRAY_LEN(codes)];
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(codes); k++) {
        char wat[256];
        snprintf(wat, sizeof(wat),
                 WAT_HEAD " (global $n (mut i32) (i32.const %zu)) (func (export \"get\")"
                          " (result i32) (global.set $n (i32.add (global.get $n) (i32.const 100)))"
                          " (global.get $n)))",
                 k);
        codes[k] = code_of(wat, exports, 1);
        struct image *m = capture(make(codes[k], NULL));
        isolates[k] = make(codes[k], m);
        image_unref(m);
        code_unref(codes[k]); /* its isolate keeps it */
    }
    for (int round = 0; round < 3; round++)
        for (size_t k = 0; k < ARRAY_LEN(codes); k++) {
            assert_int_equal(call(isolates[k], 0, NULL, 0), k + 100);
            assert_true(isolate_restore(isolates[k]));
        }
    for (size_t k = 0; k < ARRAY_LEN(codes); k++)
        isolate_free(isolates[k]);
}

/* ---- several operations under way ---- */

enum { OPS_MAX = 4 };
static struct {
    bool is_done[OPS_MAX];
    unsigned started;
    uint32_t list_at, list_len; /* what the isolate waits for, while it does */
} ops;

static int32_t first_done(struct isolate *i)
{
    for (uint32_t k = 0; k < ops.list_len; k++) {
        uint32_t op;
        const char *at = isolate_memory(i, ops.list_at + 4 * k, 4);
        assert_non_null(at);
        memcpy(&op, at, sizeof(op));
        if (ops.is_done[op])
            return (int32_t)op;
    }
    return -1;
}

static int64_t host_start(struct isolate *i, const int64_t *args)
{
    (void)i;
    (void)args;
    return ops.started++;
}

/* Waits until one of the list is done, and returns which. */
static int64_t host_poll(struct isolate *i, const int64_t *args)
{
    ops.list_at = (uint32_t)args[0];
    ops.list_len = (uint32_t)args[1];
    int32_t done = first_done(i);
    return done >= 0 ? done : SANDBOX_WAIT;
}

static void complete(struct isolate *i, unsigned op)
{
    ops.is_done[op] = true;
    isolate_wake(i, first_done(i));
}

static void test_several_operations_wait(void **state)
{
    static const struct sandbox_import imports[] = {
        {"h", "start", "", true, false, host_start},
        {"h", "poll", "ii", true, true, host_poll},
    };
    static const struct sandbox_export exports[] = {{"run", true}};
    /* Starts three, waits for any of them, then for one of those that are left. */
    static const char wat[] =
        "(module (import \"h\" \"start\" (func $start (result i32)))"
        " (import \"h\" \"poll\" (func $poll (param i32 i32) (result i32)))"
        " (memory (export \"memory\") 1)"
        " (func (export \"run\") (result i32) (local $first i32)"
        "   (i32.store (i32.const 16) (call $start)) (i32.store (i32.const 20) (call $start))"
        "   (i32.store (i32.const 24) (call $start))"
        "   (local.set $first (call $poll (i32.const 16) (i32.const 3)))"
        "   (i32.add (i32.mul (local.get $first) (i32.const 10))"
        "     (call $poll (i32.const 16) (i32.const 2)))))";
    struct code *c = NULL;
    struct error e = {0};
    (void)state;
    memset(&ops, 0, sizeof(ops));
    if (open_wat(wat, imports, ARRAY_LEN(imports), exports, 1, &c, &e) != OK)
        fail_msg("%s", e.message);
    struct isolate *i = make(c, NULL);
    assert_int_equal(finish(i, isolate_call(i, 0, NULL, 0)), ISOLATE_WAITING);
    assert_int_equal(ops.started, 3);
    assert_int_equal(ops.list_len, 3);
    complete(i, 2);
    assert_int_equal(finish(i, isolate_resume(i)), ISOLATE_WAITING);
    assert_int_equal(ops.list_len, 2);
    complete(i, 0);
    assert_int_equal(finish(i, isolate_resume(i)), ISOLATE_DONE);
    assert_int_equal(isolate_result(i), 20);
    isolate_free(i);
    code_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_globals_that_are_not_exported),
        cmocka_unit_test(test_many_globals),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_an_image_of_a_grown_table),
        cmocka_unit_test(test_a_function_that_was_in_no_table),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_code_is_read_rightly),
        cmocka_unit_test(test_modules_beside_each_other),
        cmocka_unit_test(test_several_operations_wait),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    engine = engine_new();
    traps_save();
    int failed = cmocka_run_group_tests_name("sandbox/state", tests, NULL, NULL);
    engine_free(engine);
    return failed;
}
