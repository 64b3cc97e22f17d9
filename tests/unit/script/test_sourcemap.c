/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "script/sourcemap.h"

/* Generated:          Source a.ts:
 *   line 1: column 1    line 1, column 1
 *           column 9    line 1, column 17
 *   line 2: nothing
 *   line 3: column 3    line 3, column 5
 *           column 7    no source             */
#define MAP                                                                                        \
    "{\"version\":3,\"sources\":[\"a.ts\"],\"sourcesContent\":[\"one\\ntwo\\nthree\"],\"names\":[" \
    "],"                                                                                           \
    "\"mappings\":\"AAAA,QAAgB;;EAEZ,I\"}"

static struct sourcemap *parse(const char *json)
{
    struct sourcemap *m = NULL;
    struct error error;
    if (sourcemap_parse(slice_cstr(json), &m, &error) != OK)
        fail_msg("%s", error.message);
    return m;
}

static void expect(const struct sourcemap *m, int line, int column, int source_line,
                   int source_column)
{
    struct slice file;
    int at_line = 0, at_column = 0;
    bool is_found = sourcemap_find(m, line, column, &file, &at_line, &at_column);
    assert_int_equal(is_found, source_line != 0);
    if (!is_found)
        return;
    assert_true(slice_eq_cstr(file, "a.ts"));
    assert_int_equal(at_line, source_line);
    assert_int_equal(at_column, source_column);
}

static void positions_are_found(void **state)
{
    (void)state;
    struct sourcemap *m = parse(MAP);
    expect(m, 1, 1, 1, 1);
    expect(m, 1, 8, 1, 1);
    expect(m, 1, 9, 1, 17);
    expect(m, 1, 900, 1, 17);
    expect(m, 2, 1, 0, 0);
    expect(m, 3, 2, 0, 0);
    expect(m, 3, 3, 3, 5);
    expect(m, 3, 6, 3, 5);
    expect(m, 3, 7, 0, 0);
    expect(m, 4, 1, 0, 0);
    expect(m, 0, 0, 0, 0);
    expect(m, -1, -1, 0, 0);
    expect(m, INT32_MAX, INT32_MAX, 0, 0);
    assert_true(slice_eq_cstr(sourcemap_content(m, SLICE_LIT("a.ts")), "one\ntwo\nthree"));
    assert_int_equal(sourcemap_content(m, SLICE_LIT("b.ts")).len, 0);
    sourcemap_free(m);
}

static void unsorted_segments_are_sorted(void **state)
{
    (void)state;
    struct sourcemap *m =
        parse("{\"version\":3,\"sources\":[\"a.ts\"],\"mappings\":\"UAAA,RAAU\"}");
    expect(m, 1, 1, 0, 0);
    expect(m, 1, 3, 1, 11);
    expect(m, 1, 11, 1, 1);
    sourcemap_free(m);
}

static void the_source_root_is_put_before(void **state)
{
    (void)state;
    struct sourcemap *m = parse(
        "{\"version\":3,\"sourceRoot\":\"src\",\"sources\":[\"a.ts\",null],\"mappings\":\"AAAA\"}");
    struct slice file;
    int line, column;
    assert_true(sourcemap_find(m, 1, 1, &file, &line, &column));
    assert_true(slice_eq_cstr(file, "src/a.ts"));
    sourcemap_free(m);
}

static void what_is_no_map_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "null",
        "{",
        "{}",
        "{\"version\":2,\"sources\":[],\"mappings\":\"\"}",
        "{\"version\":3,\"sources\":[]}",
        "{\"version\":3,\"sources\":[],\"mappings\":7}",
        "{\"version\":3,\"sections\":[],\"sources\":[],\"mappings\":\"\"}",
        "{\"version\":3,\"sources\":[],\"mappings\":\"AAAA\"}",             /* no such source */
        "{\"version\":3,\"sources\":[\"a\"],\"mappings\":\"ACAA\"}",        /* no such source */
        "{\"version\":3,\"sources\":[\"a\"],\"mappings\":\"D\"}",           /* column -1 */
        "{\"version\":3,\"sources\":[\"a\"],\"mappings\":\"AADA\"}",        /* line -1 */
        "{\"version\":3,\"sources\":[\"a\"],\"mappings\":\"AA\"}",          /* two numbers */
        "{\"version\":3,\"sources\":[\"a\"],\"mappings\":\"AAAAAA\"}",      /* six */
        "{\"version\":3,\"sources\":[\"a\"],\"mappings\":\"g\"}",           /* number not ended */
        "{\"version\":3,\"sources\":[\"a\"],\"mappings\":\"A?AA\"}",        /* not base 64 */
        "{\"version\":3,\"sources\":[\"a\"],\"mappings\":\"ggggggggggA\"}", /* more than 32 bits */
        "{\"version\":3,\"sources\":[\"a\"],\"mappings\":\"+/////D,+/////D\"}", /* sum too large */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sourcemap *m = NULL;
        struct error error = {0};
        if (sourcemap_parse(slice_cstr(bad[i]), &m, &error) != ERR_INVALID)
            fail_msg("taken: %s", bad[i]);
        assert_true(error.message[0] != '\0');
        assert_null(m);
    }
}

static void empty_parts_are_harmless(void **state)
{
    (void)state;
    struct sourcemap *m =
        parse("{\"version\":3,\"sources\":[\"a.ts\"],\"mappings\":\";,,;,AAAA,;;\"}");
    expect(m, 3, 1, 1, 1);
    sourcemap_free(m);
    sourcemap_free(NULL);
}

static void expect_stack(const char *stack, const char *expected)
{
    struct sourcemap *m = parse(MAP);
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    sourcemap_map_stack(m, SLICE_LIT("hello.js"), slice_cstr(stack), &out);
    assert_string_equal(bytes_cstr(&out), expected);
    sourcemap_free(m);
}

static void stacks_name_the_sources(void **state)
{
    (void)state;
    expect_stack("    at handle (hello.js:3:5)\n"
                 "    at hello.js:1:9\n"
                 "    at call (native)\n"
                 "    at dispatch (limpet:runtime:10:2)\n"
                 "    at limpet:boot:1:1\n"
                 "    at other (else.js:3:5)\n",
                 "    at handle (a.ts:3:5)\n"
                 "    at a.ts:1:17\n"
                 "    at call (native)\n"
                 "    at other (else.js:3:5)\n");
}

static void odd_stack_lines_are_kept(void **state)
{
    (void)state;
    expect_stack("", "");
    expect_stack("    at ", "    at ");
    expect_stack("    at )", "    at )");
    expect_stack("    at (", "    at (");
    expect_stack("    at x (hello.js:1", "    at x (hello.js:1");
    expect_stack("    at x (hello.js:99999999999:1)", "    at x (hello.js:99999999999:1)");
    expect_stack("    at x (hello.js:2:1)", "    at x (hello.js:2:1)"); /* nothing maps there */
    expect_stack("    at f (g) (hello.js:1:1)", "    at f (g) (a.ts:1:1)");
    expect_stack("    at x (hello.js:1)", "    at x (a.ts:1:1)");
    expect_stack("Error: at hello.js:1:1\n\n    at hello.js:1:1",
                 "Error: at hello.js:1:1\n\n    at a.ts:1:1");
    expect_stack("    at :1:1", "    at :1:1");
}

static void expect_frame(const char *content, int line, int column, const char *expected)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    sourcemap_frame(slice_cstr(content), line, column, &out);
    assert_string_equal(bytes_cstr(&out), expected);
}

static void frames_show_three_lines(void **state)
{
    (void)state;
    expect_frame("one\ntwo\nthree\nfour\n", 2, 2, "  1 | one\n> 2 | two\n    |  ^\n  3 | three\n");
    expect_frame("one\r\ntwo\r\n", 1, 1, "> 1 | one\n    | ^\n  2 | two\n");
    expect_frame("one\ntwo\n", 2, 4, "  1 | one\n> 2 | two\n    |    ^\n");
    expect_frame("\tx", 1, 2, "> 1 | \tx\n    | \t^\n");
    expect_frame("a é𝄞b", 1, 6,
                 "> 1 | a é𝄞b\n    |     ^\n"); /* the clef is two units, one column */
    expect_frame("1\n2\n3\n4\n5\n6\n7\n8\n9\nten\n", 9, 1,
                 "   8 | 8\n>  9 | 9\n     | ^\n  10 | ten\n");
    expect_frame("x", 1, 99, "> 1 | x\n    |  ^\n");
    expect_frame("x", 2, 1, "");
    expect_frame("x", 0, 1, "");
    expect_frame("x", INT32_MAX, INT32_MAX, "");
    expect_frame("", 1, 1, "> 1 | \n    | ^\n");
}

static void long_lines_are_cut_around_the_caret(void **state)
{
    (void)state;
    char line[1001];
    memset(line, 'x', 1000);
    line[500] = '!';
    line[1000] = '\0';
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    sourcemap_frame(slice_cstr(line), 1, 501, &out);
    struct slice rest = bytes_slice(&out);
    struct slice text = slice_split(&rest, '\n'), caret = slice_split(&rest, '\n');
    assert_true(text.len < 130);
    assert_true(slice_starts(text, SLICE_LIT("> 1 | …x")));
    assert_true(slice_ends(text, SLICE_LIT("x…")));
    /* The ellipsis is three bytes and one column. */
    assert_int_equal(slice_find(text, '!') - 2, slice_find(caret, '^'));
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_are_found),
        cmocka_unit_test(unsorted_segments_are_sorted),
        cmocka_unit_test(the_source_root_is_put_before),
        cmocka_unit_test(what_is_no_map_is_refused),
        cmocka_unit_test(empty_parts_are_harmless),
        cmocka_unit_test(stacks_name_the_sources),
        cmocka_unit_test(odd_stack_lines_are_kept),
        cmocka_unit_test(frames_show_three_lines),
        cmocka_unit_test(long_lines_are_cut_around_the_caret),
    };
    return cmocka_run_group_tests_name("sourcemap", tests, NULL, NULL);
}
