/* SPDX-License-Identifier: Apache-2.0
 *
 * Times, sizes and tables as people read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/say.h"

static const char *ago(int64_t seconds)
{
    static char text[32];
    say_ago(1000000000000, 1000000000000 + seconds * 1000, text, sizeof(text));
    return text;
}

static void times_are_relative(void **state)
{
    (void)state;
    assert_string_equal(ago(-5), "just now");
    assert_string_equal(ago(1), "just now");
    assert_string_equal(ago(42), "42 s ago");
    assert_string_equal(ago(200), "3 min ago");
    assert_string_equal(ago(3 * 3600), "3 h ago");
    assert_string_equal(ago(5 * 86400), "5 days ago");
    char text[32];
    say_ago(0, 5, text, sizeof(text));
    assert_string_equal(text, "-");
}

static void durations_and_sizes_have_units(void **state)
{
    (void)state;
    char text[32];
    say_duration(1.25, text, sizeof(text));
    assert_string_equal(text, "1.2 ms");
    say_duration(34.4, text, sizeof(text));
    assert_string_equal(text, "34 ms");
    say_duration(2500, text, sizeof(text));
    assert_string_equal(text, "2.5 s");
    say_duration(185000, text, sizeof(text));
    assert_string_equal(text, "3 min 5 s");
    say_bytes(512, text, sizeof(text));
    assert_string_equal(text, "512 B");
    say_bytes(2100, text, sizeof(text));
    assert_string_equal(text, "2.1 KB");
    say_bytes(3000000, text, sizeof(text));
    assert_string_equal(text, "3.0 MB");
}

static void tables_are_aligned_by_characters(void **state)
{
    (void)state;
    static const char *const titles[] = {"NAME", "V", "URL"};
    struct table t = table_new(titles, 3);
    struct bytes out = BYTES_INIT;
    table_cell(&t, SLICE_LIT("h\xc3\xa4llo"));
    table_cell(&t, SLICE_LIT("12"));
    table_cell(&t, SLICE_LIT("http://x"));
    table_cell(&t, SLICE_LIT("a"));
    table_cell(&t, SLICE_EMPTY);
    table_cell(&t, SLICE_LIT("b\x1b[2Jc"));
    table_write(&t, &out);
    assert_string_equal(bytes_cstr(&out), "NAME   V   URL\n"
                                          "h\xc3\xa4llo  12  http://x\n"
                                          "a      -   b [2Jc\n");
    bytes_done(&out);
    table_done(&t);
}

static void elapsed_times_stay_short(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "+0.000s"},
                 {-5, "+0.000s"},
                 {1234, "+1.234s"},
                 {3599999, "+3599.999s"},
                 {3600000, "+1h00m00s"},
                 {86399000, "+23h59m59s"},
                 {86400000LL * 3650, "+3650d00h00m"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[32];
        say_elapsed(cases[i].ms, text, sizeof(text));
        assert_string_equal(text, cases[i].text);
    }
}

static void cells_are_filled_up(void **state)
{
    (void)state;
    struct bytes out = BYTES_INIT;
    say_cell(&out, SLICE_LIT("a\033b"), 5);
    say_cell(&out, SLICE_LIT("\xc3\xa4"), 2);
    say_cell(&out, SLICE_LIT("longer than it"), 4);
    say_cell(&out, SLICE_LIT("next"), 0);
    assert_string_equal(bytes_cstr(&out), "a b    \xc3\xa4   longer than it  next  ");
    bytes_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_relative),
        cmocka_unit_test(durations_and_sizes_have_units),
        cmocka_unit_test(tables_are_aligned_by_characters),
        cmocka_unit_test(elapsed_times_stay_short),
        cmocka_unit_test(cells_are_filled_up),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("say", tests, NULL, NULL);
}
