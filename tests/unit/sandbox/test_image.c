/* SPDX-License-Identifier: Apache-2.0
 *
 * Images: what is made from another image is exactly as what is made at once, as the words that
 * differ and written out whole; saved and loaded; whichever kind of page fault made a page private;
 * and what of an isolate's state lies outside of its memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>
#include <wasmtime.h>

#include "../../../src/sandbox/image.c"

enum { POKE, PEEK, GROW, SET, GET };
enum { MEMORY_BYTES = 8 * WASM_PAGE, MEMORY_BYTES_MAX = 8 << 20 };

#define WAT_HEAD                                                                                   \
    "(module (memory (export \"memory\") 8) (data (i32.const 100) \"initial\")"                    \
    "  (global $sp (export \"__stack_pointer\") (mut i32) (i32.const 65536))"

static const char wat[] =
    WAT_HEAD "  (global $n (export \"n\") (mut i64) (i64.const -7))"
             "  (global $f (export \"f\") (mut f32) (f32.const 1.5))"
             "  (global $constant i32 (i32.const 4))"
             "  (func (export \"poke\") (param i32 i32) (result i32)"
             "    (i32.store (local.get 0) (local.get 1)) (i32.const 0))"
             "  (func (export \"peek\") (param i32) (result i32) (i32.load (local.get 0)))"
             "  (func (export \"grow\") (param i32) (result i32) (memory.grow (local.get 0)))"
             "  (func (export \"set\") (param i32) (result i32)"
             "    (global.set $sp (local.get 0))"
             "    (global.set $n (i64.mul (i64.extend_i32_s (local.get 0)) (i64.const 4294967296)))"
             "    (global.set $f (f32.convert_i32_s (local.get 0))) (i32.const 0))"
             "  (func (export \"get\") (result i32)"
             "    (i32.xor (global.get $sp) (i32.xor (i32.trunc_f32_s (global.get $f))"
             "      (i32.wrap_i64 (i64.shr_s (global.get $n) (i64.const 32)))))))";

static const struct sandbox_export exports[] = {
    {"poke", true}, {"peek", true}, {"grow", true}, {"set", true}, {"get", true},
};

static struct engine *engine;
static struct code *code;

static enum err open_wat(const char *text, const struct sandbox_export *of, size_t of_len,
                         struct code **ret, struct error *ret_error)
{
    wasm_byte_vec_t wasm;
    CHECK(!wasmtime_wat2wasm(text, strlen(text), &wasm));
    struct code_config config = {
        .wasm = slice_of(wasm.data, wasm.size), .exports = of, .exports_len = of_len};
    enum err err = code_new(engine, &config, ret, ret_error);
    wasm_byte_vec_delete(&wasm);
    return err;
}

static struct isolate *make(struct image *image)
{
    struct isolate *i = NULL;
    struct error e = {0};
    if (isolate_new(code, image, MEMORY_BYTES_MAX, &i, &e) != OK)
        fail_msg("%s", e.message);
    return i;
}

static int32_t call(struct isolate *i, unsigned fn, int32_t a, int32_t b)
{
    static const uint8_t arity[] = {[POKE] = 2, [PEEK] = 1, [GROW] = 1, [SET] = 1, [GET] = 0};
    int32_t args[] = {a, b};
    enum isolate_status status = isolate_call(i, fn, args, arity[fn]);
    while (status == ISOLATE_YIELDED) /* preempted, on a busy machine */
        status = isolate_resume(i);
    assert_int_equal(status, ISOLATE_DONE);
    return isolate_result(i);
}

static struct image *capture(struct isolate *i)
{
    struct image *m = NULL;
    assert_int_equal(image_capture(i, &m, NULL), OK);
    isolate_free(i);
    return m;
}

static struct image *base_image(void)
{
    struct isolate *i = make(NULL);
    for (int32_t k = 0; k < MEMORY_BYTES; k += 3 * HOST_PAGE)
        (void)call(i, POKE, k + 8, k + 1);
    return capture(i);
}

/* Changes pages of the base, empties one, fills holes, and grows. */
static void change(struct isolate *i, int32_t pages, bool grows)
{
    for (int32_t k = 0; k < pages; k++)
        (void)call(i, POKE, k * HOST_PAGE + 40, 1000 + k);
    (void)call(i, POKE, 3 * HOST_PAGE + 8, 0);
    (void)call(i, POKE, 3 * HOST_PAGE + 40, 0);
    (void)call(i, POKE, MEMORY_BYTES - 4, -1);
    (void)call(i, SET, 61000, 0);
    if (grows) {
        assert_int_equal(call(i, GROW, 3, 0), 8);
        (void)call(i, POKE, MEMORY_BYTES + 5 * HOST_PAGE, 77);
    }
}

static void assert_same(struct isolate *a, struct isolate *b)
{
    size_t len = isolate_memory_bytes(a);
    assert_int_equal(isolate_memory_bytes(b), len);
    assert_memory_equal(isolate_memory(a, 0, len), isolate_memory(b, 0, len), len);
    assert_int_equal(call(a, GET, 0, 0), call(b, GET, 0, 0));
}

/* Isolates of the image are as `model`, at first and whenever they are restored. */
static void assert_exact(struct image *m, struct isolate *model, int rounds)
{
    struct isolate *i = make(m);
    assert_same(i, model);
    for (int32_t k = 0; k < rounds; k++) {
        size_t len = isolate_memory_bytes(i);
        for (int32_t at = 16 * k; at < (int32_t)len; at += HOST_PAGE * (1 + k % 5))
            (void)call(i, POKE, at, 0x5a5a5a5a);
        (void)call(i, SET, k, 0);
        assert_true(isolate_restore(i));
        assert_same(i, model);
    }
    isolate_free(i);
}

static void check_derived(int32_t pages, bool grows)
{
    struct image *base = base_image();
    struct isolate *i = make(base), *model = make(base);
    change(i, pages, grows);
    change(model, pages, grows);
    struct image *m = capture(i);
    assert_int_equal(image_is_whole(m), false);
    assert_true(image_bytes(m) < (size_t)(pages + 8) * 100 + 1000);
    assert_exact(m, model, 3);
    assert_int_equal(image_is_whole(m), pages >= IMAGE_WHOLE_PAGES);
    assert_exact(m, model, IMAGE_WHOLE_RESTORES + 3);
    assert_true(image_is_whole(m));
    assert_exact(m, model, 3);
    isolate_free(model);
    image_unref(m);
    image_unref(base);
}

static void test_few_words(void **state)
{
    (void)state;
    check_derived(10, false);
}

static void test_few_words_grown(void **state)
{
    (void)state;
    check_derived(10, true);
}

static void test_many_pages(void **state)
{
    (void)state;
    struct image *base = base_image();
    struct isolate *i = make(base), *model = make(base);
    assert_int_equal(call(i, GROW, 32, 0), 8);
    assert_int_equal(call(model, GROW, 32, 0), 8);
    for (int32_t k = 0; k < IMAGE_WHOLE_PAGES + 20; k++) {
        (void)call(i, POKE, k * HOST_PAGE + 40, 1000 + k);
        (void)call(model, POKE, k * HOST_PAGE + 40, 1000 + k);
    }
    struct image *m = capture(i);
    assert_exact(m, model, 3);
    assert_int_equal(image_is_whole(m), true);
    isolate_free(model);
    image_unref(m);
    image_unref(base);
}

static void test_many_isolates(void **state)
{
    (void)state;
    struct image *base = base_image();
    struct isolate *i = make(base), *all[IMAGE_WHOLE_ISOLATES + 1];
    change(i, 10, true);
    struct image *m = capture(i);
    for (size_t k = 0; k < ARRAY_LEN(all); k++) {
        all[k] = make(m);
        assert_int_equal(image_is_whole(m), k >= IMAGE_WHOLE_ISOLATES);
        assert_same(all[0], all[k]);
    }
    for (size_t k = 0; k < ARRAY_LEN(all); k++) { /* those that had none map it when restored */
        (void)call(all[k], POKE, 40, 3);
        assert_true(isolate_restore(all[k]));
        assert_ptr_equal(all[k]->memory.mapped, m);
    }
    for (size_t k = 0; k < ARRAY_LEN(all); k++) {
        assert_same(all[0], all[k]);
        if (k > 0)
            isolate_free(all[k]);
    }
    isolate_free(all[0]);
    assert_int_equal(m->isolates, 0);
    image_unref(m);
    image_unref(base);
}

static void test_image_of_a_derived_one(void **state)
{
    (void)state;
    for (int is_whole = 0; is_whole < 2; is_whole++) {
        struct image *base = base_image();
        struct isolate *i = make(base), *model = make(base);
        change(i, 10, true);
        change(model, 10, true);
        struct image *first = capture(i);
        if (is_whole)
            assert_exact(first, model, IMAGE_WHOLE_RESTORES + 1);
        i = make(first);
        (void)call(i, POKE, 2 * HOST_PAGE + 40, 5);
        (void)call(model, POKE, 2 * HOST_PAGE + 40, 5);
        struct image *second = capture(i);
        assert_ptr_equal(second->base, base);
        image_unref(first);
        assert_exact(second, model, 2);
        isolate_free(model);
        image_unref(second);
        image_unref(base);
    }
}

static void test_saved_delta(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT, again = BYTES_INIT;
    uint8_t a[IMAGE_DIGEST_BYTES], b[IMAGE_DIGEST_BYTES];
    struct error e = {0};
    struct image *base = base_image(), *loaded = NULL;
    struct isolate *i = make(base), *model = make(base);
    change(i, 10, true);
    change(model, 10, true);
    struct image *m = capture(i);
    assert_int_equal(image_save_delta(m, &saved, &e), OK);
    assert_true(saved.len < 2000);
    assert_int_equal(image_load_delta(base, bytes_slice(&saved), &loaded, &e), OK);
    image_digest(m, a);
    image_digest(loaded, b);
    assert_memory_equal(a, b, sizeof(a));
    assert_exact(loaded, model, IMAGE_WHOLE_RESTORES + 2);
    assert_int_equal(image_save_delta(loaded, &again, &e), OK);
    assert_true(slice_eq(bytes_slice(&saved), bytes_slice(&again)));
    image_unref(loaded);

    for (size_t k = 0; k < saved.len; k++) {
        CLEANUP(bytes_done) struct bytes cut = BYTES_INIT;
        bytes_append(&cut, saved.ptr, k);
        assert_int_equal(image_load_delta(base, bytes_slice(&cut), &loaded, &e), ERR_CORRUPT);
        saved.ptr[k] ^= 0x10;
        assert_int_equal(image_load_delta(base, bytes_slice(&saved), &loaded, &e), ERR_CORRUPT);
        saved.ptr[k] ^= 0x10;
    }
    i = make(NULL);
    struct image *other = capture(i);
    assert_int_equal(image_load_delta(other, bytes_slice(&saved), &loaded, &e), ERR_CONFLICT);
    isolate_free(model);
    image_unref(other);
    image_unref(m);
    image_unref(base);
}

static void test_saved_whole(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    struct error e = {0};
    struct image *base = base_image(), *loaded = NULL;
    struct isolate *model = make(base);
    image_save(base, &saved);
    assert_int_equal(image_load(code, bytes_slice(&saved), &loaded, &e), OK);
    assert_exact(loaded, model, 2);
    image_unref(loaded);
    isolate_free(model);

    const size_t marks = sizeof(struct image_header) + 2 * sizeof(uint64_t);
    assert_int_equal(saved.ptr[marks] & 2, 0);
    saved.ptr[marks] |= 2; /* a page more than there are */
    assert_int_equal(image_load(code, bytes_slice(&saved), &loaded, &e), ERR_CORRUPT);
    saved.ptr[marks] &= ~3; /* one less */
    assert_int_equal(image_load(code, bytes_slice(&saved), &loaded, &e), ERR_CORRUPT);
    saved.ptr[marks] |= 1;
    saved.len -= 1;
    assert_int_equal(image_load(code, bytes_slice(&saved), &loaded, &e), ERR_CORRUPT);
    image_unref(base);
}

/* Ranges of the file are used again, and hold nothing of what was there. */
static void test_ranges_are_used_again(void **state)
{
    (void)state;
    struct image *m = base_image();
    image_unref(m);
    size_t end = backing.end;
    for (int k = 0; k < 5; k++) {
        struct isolate *i = make(NULL);
        m = capture(i);
        i = make(m);
        assert_int_equal(call(i, PEEK, 3 * HOST_PAGE + 8, 0), 0);
        isolate_free(i);
        image_unref(m);
    }
    assert_int_equal(backing.end, end);
}

/* ---- page faults that count as major ones: the page had to come from swap ---- */

static bool all_faults_are_major;

int getrusage(__rusage_who_t who, struct rusage *usage) // NOLINT(readability-inconsistent-*)
{
    int result = (int)syscall(SYS_getrusage, who, usage);
    if (all_faults_are_major) {
        usage->ru_majflt += usage->ru_minflt;
        usage->ru_minflt = 1000;
    }
    return result;
}

static void test_major_faults(void **state)
{
    (void)state;
    struct image *base = base_image();
    struct isolate *i = make(base), *pristine = make(base);
    all_faults_are_major = true;
    (void)call(i, PEEK, 0, 0);
    assert_true(isolate_restore(i));
    for (int32_t k = 0; k < 20; k++) {
        (void)call(i, POKE, k * HOST_PAGE + 16, 5);
        assert_true(isolate_restore(i));
        assert_int_equal(call(i, PEEK, k * HOST_PAGE + 16, 0), 0);
    }
    all_faults_are_major = false;
    assert_same(i, pristine);
    isolate_free(i);
    isolate_free(pristine);
    image_unref(base);
}

/* ---- state outside of the memory ---- */

static void test_globals(void **state)
{
    (void)state;
    assert_int_equal(code->globals_len, 2);
    struct isolate *i = make(NULL);
    (void)call(i, SET, 4321, 0);
    struct image *m = capture(i);
    i = make(m);
    int32_t before = call(i, GET, 0, 0);
    (void)call(i, SET, 77, 0);
    assert_int_not_equal(call(i, GET, 0, 0), before);
    assert_true(isolate_restore(i));
    assert_int_equal(call(i, GET, 0, 0), before);
    isolate_free(i);
    image_unref(m);
}

static void test_state_that_is_out_of_reach(void **state)
{
    (void)state;
    static const char *const refused[] = {
        WAT_HEAD " (func $g) (elem declare func $g) (global (mut funcref) (ref.func $g)))",
        WAT_HEAD " (global (export \"v\") (mut v128) (v128.const i64x2 1 2)))",
        WAT_HEAD " (global (export \"r\") (mut externref) (ref.null extern)))",
    };
    static const char *const accepted[] = {
        WAT_HEAD ")",
        WAT_HEAD " (global i64 (i64.const -1234567890123)) (global f64 (f64.const 2.5))"
                 " (global (export \"a\") (mut i32) (i32.const 1)))",
    };
    struct code *s = NULL;
    for (size_t k = 0; k < ARRAY_LEN(refused); k++) {
        struct error e = {0};
        assert_int_equal(open_wat(refused[k], NULL, 0, &s, &e), ERR_INVALID);
        assert_non_null(strstr(e.message, "global"));
    }
    for (size_t k = 0; k < ARRAY_LEN(accepted); k++) {
        struct error e = {0};
        if (open_wat(accepted[k], NULL, 0, &s, &e) != OK)
            fail_msg("%s", e.message);
        code_unref(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few_words),
        cmocka_unit_test(test_few_words_grown),
        cmocka_unit_test(test_many_pages),
        cmocka_unit_test(test_many_isolates),
        cmocka_unit_test(test_image_of_a_derived_one),
        cmocka_unit_test(test_saved_delta),
        cmocka_unit_test(test_saved_whole),
        cmocka_unit_test(test_ranges_are_used_again),
        cmocka_unit_test(test_major_faults),
        cmocka_unit_test(test_globals),
        cmocka_unit_test(test_state_that_is_out_of_reach),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    struct error e;
    engine = engine_new();
    CHECK(open_wat(wat, exports, ARRAY_LEN(exports), &code, &e) == OK);
    int failed = cmocka_run_group_tests_name("sandbox/image", tests, NULL, NULL);
    code_unref(code);
    engine_free(engine);
    return failed;
}
