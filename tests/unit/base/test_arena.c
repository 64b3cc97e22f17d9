/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <setjmp.h>

#include <cmocka.h>

#include "base/bytes.h"

static struct bytes order; /* what ended, in order */

static void note(void *arg)
{
    bytes_append_cstr(&order, arg);
}

static void allocates_apart_and_aligned(void **state)
{
    struct arena *a = arena_new(NULL);
    enum { COUNT = 3000 };
    static unsigned char *parts[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        size_t size = i % 97;
        parts[i] = arena_alloc(a, size);
        assert_int_equal((uintptr_t)parts[i] % 16, 0);
        memset(parts[i], (int)(i % 251), size);
    }
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < i % 97; k++)
            assert_int_equal(parts[i][k], i % 251);
    }
    assert_ptr_not_equal(arena_alloc(a, 0), arena_alloc(a, 0));
    arena_free(a);
}

static void allocates_large(void **state)
{
    struct arena *a = arena_new(NULL);
    size_t small = arena_bytes(a);
    char *before = arena_alloc(a, 16);
    char *large = arena_zalloc(a, 1000 * 1000);
    char *after = arena_alloc(a, 16);
    assert_int_equal(large[999999], 0);
    assert_true(after - before < 64); /* the current block is still in use */
    assert_true(arena_bytes(a) >= small + 1000 * 1000);
    arena_reset(a);
    assert_int_equal(arena_bytes(a), small);
    arena_free(a);
}

static void resets_without_malloc(void **state)
{
    struct arena *a = arena_new(NULL);
    size_t settled = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 100; i++)
            memset(arena_alloc(a, 100), round, 100);
        if (round == 3)
            settled = arena_bytes(a);
        if (round > 3)
            assert_int_equal(arena_bytes(a), settled);
        arena_reset(a);
    }
    char *first = arena_alloc(a, 8);
    arena_reset(a);
    assert_ptr_equal(arena_alloc(a, 8), first);
    arena_free(a);
}

static void ends_in_reverse_children_first(void **state)
{
    struct arena *a = arena_new(NULL);
    struct arena *child = arena_new(a);
    struct arena *grandchild = arena_new(child);
    arena_on_free(a, note, (void *)"1");
    arena_on_free(a, note, (void *)"2");
    arena_on_free(child, note, (void *)"c");
    arena_on_free(grandchild, note, (void *)"g");
    arena_free(a);
    assert_string_equal(bytes_cstr(&order), "gc21");
    bytes_done(&order);
}

static void ends_children_alone_or_on_reset(void **state)
{
    struct arena *a = arena_new(NULL);
    struct arena *alone = arena_new(a);
    arena_on_free(arena_new(a), note, (void *)"r");
    arena_on_free(alone, note, (void *)"a");
    arena_free(alone);
    assert_string_equal(bytes_cstr(&order), "a");
    arena_reset(a);
    assert_string_equal(bytes_cstr(&order), "ar");
    arena_reset(a);
    arena_free(a);
    assert_string_equal(bytes_cstr(&order), "ar");
    bytes_done(&order);
    arena_free(NULL);
}

static struct arena *registering;

static void register_more(void *arg)
{
    note(arg);
    arena_on_free(registering, note, (void *)"late");
}

static void cleanup_may_register(void **state)
{
    registering = arena_new(NULL);
    arena_on_free(registering, register_more, (void *)"early ");
    arena_free(registering);
    assert_string_equal(bytes_cstr(&order), "early late");
    bytes_done(&order);
}

static void copies_texts(void **state)
{
    struct arena *a = arena_new(NULL);
    assert_string_equal(arena_cstr(a, SLICE_LIT("abc")), "abc");
    assert_string_equal(arena_cstr(a, SLICE_EMPTY), "");
    assert_true(slice_eq_cstr(arena_copy(a, SLICE_LIT("abc")), "abc"));
    assert_int_equal(arena_copy(a, SLICE_EMPTY).len, 0);
    assert_string_equal(arena_printf(a, "%d-%s", 7, "x"), "7-x");
    for (int width = 120; width < 136; width++) { /* around the short buffer's end */
        const char *text = arena_printf(a, "%0*d", width, 5);
        assert_int_equal(strlen(text), width);
        assert_int_equal(text[width - 1], '5');
    }
    int *numbers = arena_array(a, 10, sizeof(int));
    memset(numbers, 0, 10 * sizeof(int));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocates_apart_and_aligned),
        cmocka_unit_test(allocates_large),
        cmocka_unit_test(resets_without_malloc),
        cmocka_unit_test(ends_in_reverse_children_first),
        cmocka_unit_test(ends_children_alone_or_on_reset),
        cmocka_unit_test(cleanup_may_register),
        cmocka_unit_test(copies_texts),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("base/arena", tests, NULL, NULL);
}
