/* SPDX-License-Identifier: Apache-2.0
 *
 * What is JSON and what is not, and that values come through byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "admin/body.h"

static void valid_texts_are_taken(void **state)
{
    (void)state;
    static const char *const texts[] = {"null",         " true ",
                                        "-0",           "0.5e+10",
                                        "\"\"",         "[]",
                                        "{}",           "[ ]",
                                        "{ }",          "[1,[2,[3]]]",
                                        "{\"a\":{}}",   "\"\\u00e4\\n\"",
                                        "\"\xc3\xa4\"", "{\"a\":1,\"a\":2}",
                                        "1e400",        "12345678901234567890123"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct body_value v;
        if (body_parse(slice_cstr(texts[i]), &v, NULL))
            fail_msg("refused: %s", texts[i]);
    }
}

static void invalid_texts_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",     " ",        "nul",         "01",     "1.",      "+1",    "-",          "1e",
        "[1,]", "[1 2]",    "[",           "]",      "{\"a\"}", "{a:1}", "{\"a\":1,}", "{\"a\":}",
        "\"",   "\"\\x\"",  "\"\\u12g4\"", "\"\n\"", "1 2",     "{}{}",  "[1}",        "{\"a\":1]",
        "\xff", "\"\xff\"", "'a'",         "NaN",    "//x\n1",  "\"\\",  "\"\\u12"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct body_value v;
        struct error e = {0};
        if (!body_parse(slice_cstr(texts[i]), &v, &e))
            fail_msg("taken: %s", texts[i]);
        assert_int_equal(e.code, ERR_INVALID);
        assert_true(e.hint[0] != '\0');
    }
}

static void errors_name_line_and_column(void **state)
{
    (void)state;
    struct body_value v;
    struct error e = {0};
    assert_int_equal(body_parse(SLICE_LIT("{\n  \"a\": 1\n  \"b\": 2\n}"), &v, &e), ERR_INVALID);
    assert_non_null(strstr(e.message, "line 3, column 3"));
    assert_non_null(strstr(e.message, "',' or '}'"));
}

static void nesting_has_a_limit(void **state)
{
    (void)state;
    struct bytes text = BYTES_INIT;
    struct body_value v;
    for (int i = 0; i < BODY_DEPTH_MAX; i++)
        bytes_append_char(&text, '[');
    for (int i = 0; i < BODY_DEPTH_MAX; i++)
        bytes_append_char(&text, ']');
    assert_int_equal(body_parse(bytes_slice(&text), &v, NULL), OK);
    bytes_clear(&text);
    for (int i = 0; i < 100000; i++)
        bytes_append_char(&text, '[');
    assert_int_equal(body_parse(bytes_slice(&text), &v, NULL), ERR_INVALID);
    bytes_done(&text);
}

static void members_are_walked_and_values_stay_as_written(void **state)
{
    (void)state;
    struct slice text = SLICE_LIT(" { \"big\" : 12345678901234567890 , \"n\\u0061me\":\"x\", "
                                  "\"deep\": [1, {\"a\": \"}\"}] } ");
    struct body_value root, v;
    struct bytes key = BYTES_INIT;
    assert_int_equal(body_parse(text, &root, NULL), OK);
    struct body_walk walk = body_walk(&root);
    assert_true(body_next_member(&walk, &key, &v));
    assert_true(slice_eq_cstr(bytes_slice(&key), "big"));
    assert_true(slice_eq_cstr(v.text, "12345678901234567890"));
    uint64_t number;
    assert_true(body_uint(&v, &number));
    assert_true(number == 12345678901234567890u);
    assert_true(body_next_member(&walk, &key, &v));
    assert_true(slice_eq_cstr(bytes_slice(&key), "name"));
    assert_int_equal(v.kind, BODY_STRING);
    assert_true(body_next_member(&walk, &key, &v));
    assert_true(slice_eq_cstr(v.text, "[1, {\"a\": \"}\"}]"));
    struct body_walk inner = body_walk(&v);
    struct body_value item;
    assert_true(body_next_item(&inner, &item));
    assert_int_equal(item.kind, BODY_NUMBER);
    assert_true(body_next_item(&inner, &item));
    assert_int_equal(item.kind, BODY_OBJECT);
    assert_false(body_next_item(&inner, &item));
    assert_false(body_next_member(&walk, &key, &v));
    bytes_done(&key);
}

static void strings_are_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"\"plain\"", "plain"},
        {"\"a\\\"b\\\\c\\/d\\b\\f\\n\\r\\t\"", "a\"b\\c/d\b\f\n\r\t"},
        {"\"\\u00e4\\u20AC\"", "\xc3\xa4\xe2\x82\xac"},
        {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"},
        {"\"\\ud83d\"", "\xef\xbf\xbd"},
        {"\"\\ude00x\"", "\xef\xbf\xbdx"},
        {"\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
                               "A"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct body_value v;
        struct bytes out = BYTES_INIT;
        assert_int_equal(body_parse(slice_cstr(cases[i].json), &v, NULL), OK);
        body_string(&v, &out);
        assert_string_equal(bytes_cstr(&out), cases[i].text);
        bytes_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_texts_are_taken),
        cmocka_unit_test(invalid_texts_are_refused),
        cmocka_unit_test(errors_name_line_and_column),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(members_are_walked_and_values_stay_as_written),
        cmocka_unit_test(strings_are_decoded),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("body", tests, NULL, NULL);
}
