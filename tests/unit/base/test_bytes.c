/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_sane(const struct bytes *b)
{
    assert_true(b->len <= b->cap);
    assert_true((b->ptr == NULL) == (b->cap == 0));
}

static void starts_empty(void **state)
{
    struct bytes b = {0};
    assert_sane(&b);
    assert_int_equal(bytes_slice(&b).len, 0);
    assert_string_equal(bytes_cstr(&b), "");
    assert_sane(&b);
    bytes_done(&b);
    bytes_done(&b);
    assert_sane(&b);
    bytes_append(&b, NULL, 0);
    assert_null(b.ptr);
    bytes_consume(&b, 0);
    char *taken = bytes_take(&b);
    assert_string_equal(taken, "");
    free(taken);
    assert_sane(&b);
}

static void appends(void **state)
{
    CLEANUP(bytes_done) struct bytes b = BYTES_INIT;
    bytes_append_cstr(&b, "ab");
    bytes_append_cstr(&b, NULL);
    bytes_append_char(&b, 'c');
    bytes_append_slice(&b, SLICE_LIT("de"));
    assert_sane(&b);
    assert_string_equal(bytes_cstr(&b), "abcde");
    bytes_clear(&b);
    bytes_append_u32(&b, 0x01020304);
    bytes_append_u64(&b, UINT64_C(0x0102030405060708));
    bytes_append_lstr(&b, SLICE_LIT("xy"));
    assert_int_equal(b.len, 18);
    assert_memory_equal(b.ptr, "\4\3\2\1\10\7\6\5\4\3\2\1\2\0\0\0xy", 18);
    assert_sane(&b);
}

static void grows_by_single_bytes(void **state)
{
    CLEANUP(bytes_done) struct bytes b = BYTES_INIT;
    size_t moves = 0, cap = 0;
    for (int i = 0; i < 100000; i++) {
        bytes_append_char(&b, (char)i);
        moves += b.cap != cap;
        cap = b.cap;
    }
    assert_sane(&b);
    assert_true(moves < 20); /* doubling, not stepping */
    for (int i = 0; i < 100000; i++)
        assert_int_equal((unsigned char)b.ptr[i], (unsigned char)i);
}

static void prints_at_every_fill(void **state)
{
    for (size_t fill = 0; fill < 140; fill++) {
        CLEANUP(bytes_done) struct bytes b = BYTES_INIT;
        for (size_t i = 0; i < fill; i++)
            bytes_append_char(&b, '.');
        bytes_printf(&b, "%s-%d", "abcdefgh", 42);
        assert_sane(&b);
        assert_int_equal(b.len, fill + 11);
        assert_memory_equal(b.ptr + fill, "abcdefgh-42", 11);
    }
}

static void keeps_to_its_ceiling(void **state)
{
    CLEANUP(bytes_done) struct bytes b = BYTES_INIT;
    assert_int_equal(bytes_try_append(&b, "abcdef", 6, 5), ERR_LIMIT);
    assert_int_equal(b.cap, 0);
    assert_int_equal(bytes_try_append(&b, "abc", 3, 5), OK);
    assert_true(b.cap <= 5);
    assert_int_equal(bytes_try_append(&b, "def", 3, 5), ERR_LIMIT);
    assert_int_equal(bytes_try_append(&b, "de", 2, 5), OK);
    assert_int_equal(bytes_try_append(&b, NULL, 0, 5), OK);
    assert_int_equal(bytes_try_reserve(&b, 1, 5), ERR_LIMIT);
    assert_int_equal(bytes_try_reserve(&b, SIZE_MAX, SIZE_MAX), ERR_LIMIT);
    assert_int_equal(bytes_try_reserve(&b, SIZE_MAX / 2, SIZE_MAX), ERR_LIMIT);
    assert_string_equal(bytes_cstr(&b), "abcde");
    assert_sane(&b);
}

static void gives_away_its_front(void **state)
{
    CLEANUP(bytes_done) struct bytes b = BYTES_INIT;
    bytes_append_cstr(&b, "abcdef");
    bytes_consume(&b, 2);
    assert_string_equal(bytes_cstr(&b), "cdef");
    bytes_consume(&b, 4);
    assert_int_equal(b.len, 0);
    assert_sane(&b);
}

static void hands_over(void **state)
{
    struct bytes b = BYTES_INIT;
    bytes_append_cstr(&b, "abc");
    char *taken = bytes_take(&b);
    assert_string_equal(taken, "abc");
    assert_null(b.ptr);
    assert_sane(&b);
    free(taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_empty),
        cmocka_unit_test(appends),
        cmocka_unit_test(grows_by_single_bytes),
        cmocka_unit_test(prints_at_every_fill),
        cmocka_unit_test(keeps_to_its_ceiling),
        cmocka_unit_test(gives_away_its_front),
        cmocka_unit_test(hands_over),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("base/bytes", tests, NULL, NULL);
}
