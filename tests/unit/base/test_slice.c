/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void compares(void **state)
{
    assert_true(slice_eq(SLICE_EMPTY, SLICE_LIT("")));
    assert_true(slice_eq(SLICE_LIT("a\0b"), slice_of("a\0b", 3)));
    assert_false(slice_eq(SLICE_LIT("abc"), SLICE_LIT("abd")));
    assert_true(slice_eq_cstr(SLICE_LIT("abc"), "abc"));
    assert_true(slice_eq_cstr(SLICE_EMPTY, NULL));
    assert_false(slice_eq_cstr(SLICE_LIT("abc"), "abcd"));
    assert_true(slice_eq_nocase(SLICE_LIT("Content-TYPE"), SLICE_LIT("content-type")));
    assert_false(slice_eq_nocase(SLICE_LIT("@"), SLICE_LIT("`")));
    assert_true(slice_starts(SLICE_LIT("abc"), SLICE_LIT("ab")));
    assert_true(slice_starts(SLICE_EMPTY, SLICE_EMPTY));
    assert_false(slice_starts(SLICE_LIT("a"), SLICE_LIT("ab")));
    assert_true(slice_ends(SLICE_LIT("abc"), SLICE_LIT("bc")));
    assert_true(slice_ends(SLICE_LIT("abc"), SLICE_EMPTY));
    assert_false(slice_ends(SLICE_LIT("c"), SLICE_LIT("bc")));
}

static void cuts(void **state)
{
    assert_true(slice_eq_cstr(slice_skip(SLICE_LIT("abc"), 1), "bc"));
    assert_int_equal(slice_skip(SLICE_LIT("abc"), 9).len, 0);
    assert_int_equal(slice_skip(SLICE_EMPTY, 9).len, 0);
    assert_true(slice_eq_cstr(slice_trim(SLICE_LIT(" \t a b\r\n")), "a b"));
    assert_int_equal(slice_trim(SLICE_LIT(" \t\r\n")).len, 0);
    assert_int_equal(slice_find(SLICE_LIT("abca"), 'a'), 0);
    assert_int_equal(slice_find(SLICE_LIT("abca"), 'x'), -1);
    assert_int_equal(slice_find(SLICE_EMPTY, 'x'), -1);
}

static void splits(void **state)
{
    struct slice rest = SLICE_LIT("a,,b");
    assert_true(slice_eq_cstr(slice_split(&rest, ','), "a"));
    assert_true(slice_eq_cstr(slice_split(&rest, ','), ""));
    assert_true(slice_eq_cstr(rest, "b"));
    assert_true(slice_eq_cstr(slice_split(&rest, ','), "b"));
    assert_int_equal(rest.len, 0);
    assert_int_equal(slice_split(&rest, ',').len, 0);
}

static void reads_numbers(void **state)
{
    uint64_t v = 7;
    assert_true(slice_to_u64(SLICE_LIT("0"), &v));
    assert_int_equal(v, 0);
    assert_true(slice_to_u64(SLICE_LIT("18446744073709551615"), &v));
    assert_true(v == UINT64_MAX);
    const char *bad[] = {
        "", "18446744073709551616", "99999999999999999999", "-1", "+1", " 1", "1 ", "0x1", "1.0"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        v = 7;
        assert_false(slice_to_u64(slice_cstr(bad[i]), &v));
        assert_int_equal(v, 7);
    }
}

static void knows_utf8(void **state)
{
    const char *good[] = {"",
                          "plain ascii, longer than eight",
                          "gr\xc3\xbc\xc3\x9f",
                          "\xe2\x82\xac",
                          "\xf0\x9f\x90\x9a",
                          "\xed\x9f\xbf",
                          "\xee\x80\x80",
                          "\xf4\x8f\xbf\xbf",
                          "\xe0\xa0\x80",
                          "\xf0\x90\x80\x80"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(slice_is_utf8(slice_cstr(good[i])));
    /* overlong, surrogate, above U+10FFFF, stray, cut */
    const char *bad[] = {"\xc0\xaf",     "\xc1\xbf",         "\xe0\x9f\xbf",     "\xf0\x8f\xbf\xbf",
                         "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\x80",
                         "\xff",         "\xe2\x82",         "12345678\xc3",     "\xc3\x28",
                         "\xf0\x9f\x90"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(slice_is_utf8(slice_cstr(bad[i])));
    assert_true(slice_is_utf8(SLICE_EMPTY));
    assert_int_equal(slice_utf8_char(SLICE_LIT("\xe2\x82\xac!")), 3);
    assert_int_equal(slice_utf8_char(SLICE_LIT("\x82")), 0);
}

static void clips_between_characters(void **state)
{
    struct slice s = SLICE_LIT("\xf0\x9f\x90\x9a\xc3\xbc");
    const size_t want[] = {0, 0, 0, 0, 4, 4, 6, 6};
    for (size_t max = 0; max < sizeof(want) / sizeof(want[0]); max++)
        assert_int_equal(slice_utf8_clip(s, max).len, want[max]);
    /* Not UTF-8: the bound still holds. */
    assert_int_equal(slice_utf8_clip(SLICE_LIT("\x80\x80\x80\x80\x80\x80\x80\x80"), 6).len, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares),   cmocka_unit_test(cuts),
        cmocka_unit_test(splits),     cmocka_unit_test(reads_numbers),
        cmocka_unit_test(knows_utf8), cmocka_unit_test(clips_between_characters),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("base/slice", tests, NULL, NULL);
}
