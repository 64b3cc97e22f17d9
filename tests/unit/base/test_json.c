/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static void writes_nested(void **state)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct json_writer w = json_writer(&out);
    json_open(&w, '{');
    json_key(&w, "a");
    json_int(&w, -1);
    json_key(&w, "b");
    json_open(&w, '[');
    json_bool(&w, true);
    json_nil(&w);
    json_cstr(&w, NULL);
    json_open(&w, '{');
    json_close(&w, '}');
    json_open(&w, '[');
    json_close(&w, ']');
    json_cstr(&w, "x");
    json_raw(&w, SLICE_LIT("{\"raw\":1}"));
    json_close(&w, ']');
    json_key(&w, "c");
    json_slice(&w, SLICE_EMPTY);
    json_close(&w, '}');
    assert_string_equal(bytes_cstr(&out),
                        "{\"a\":-1,\"b\":[true,null,null,{},[],\"x\",{\"raw\":1}],"
                        "\"c\":\"\"}");
}

static const char *written_int(struct bytes *out, int64_t v)
{
    bytes_clear(out);
    struct json_writer w = json_writer(out);
    json_int(&w, v);
    return bytes_cstr(out);
}

static const char *written_double(struct bytes *out, double v)
{
    bytes_clear(out);
    struct json_writer w = json_writer(out);
    json_double(&w, v);
    return bytes_cstr(out);
}

static void writes_numbers(void **state)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    assert_string_equal(written_int(&out, 0), "0");
    assert_string_equal(written_int(&out, INT64_MAX), "9223372036854775807");
    assert_string_equal(written_int(&out, INT64_MIN), "-9223372036854775808");
    assert_string_equal(written_double(&out, 0.1), "0.1");
    assert_string_equal(written_double(&out, 3), "3");
    assert_string_equal(written_double(&out, (double)NAN), "null");
    assert_string_equal(written_double(&out, -(double)INFINITY), "null");
    const double kept[] = {0.1 + 0.2, 1.0 / 3, DBL_MAX, DBL_MIN, 4.9e-324, 123456789012345680.0};
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        assert_true(strtod(written_double(&out, kept[i]), NULL) == kept[i]);
}

static const char *quoted(struct bytes *out, struct slice s)
{
    bytes_clear(out);
    json_quote(out, s);
    return bytes_cstr(out);
}

static void quotes(void **state)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    assert_string_equal(quoted(&out, SLICE_LIT("a\"b\\c/")), "\"a\\\"b\\\\c/\"");
    assert_string_equal(quoted(&out, SLICE_LIT("\b\t\n\f\r\v\0\x1f\x7f")),
                        "\"\\b\\t\\n\\f\\r\\u000b\\u0000\\u001f\x7f\"");
    assert_string_equal(quoted(&out, SLICE_LIT("\xc3\xbc\xf0\x9f\x90\x9a")),
                        "\"\xc3\xbc\xf0\x9f\x90\x9a\"");
    assert_string_equal(quoted(&out, SLICE_LIT("a\xff\xe2\x82z\xed\xa0\x80")),
                        "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz"
                        "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void finds_each_special_byte_anywhere(void **state)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    for (size_t at = 0; at < 20; at++) {
        for (int c = 0; c < 256; c++) {
            char text[20];
            memset(text, 'x', sizeof(text));
            text[at] = (char)c;
            const char *written = quoted(&out, slice_of(text, sizeof(text)));
            bool is_kept = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
            assert_true(is_kept == (out.len == sizeof(text) + 2));
            assert_true(!is_kept || written[at + 1] == (char)c);
            for (size_t i = 0; i < at; i++)
                assert_int_equal(written[i + 1], 'x');
            assert_int_equal(written[out.len - 1 - (sizeof(text) - at - 1)],
                             at + 1 < sizeof(text) ? 'x' : '"');
        }
    }
}

static void writes_errors(void **state)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct error e = {0};
    (void)error_set(&e, ERR_NOT_FOUND, "no \"x\"");
    struct json_writer w = json_writer(&out);
    json_error(&w, &e);
    assert_string_equal(bytes_cstr(&out),
                        "{\"error\":{\"code\":\"not_found\",\"message\":\"no \\\"x\\\"\"}}");
    error_hint(&e, "try y");
    bytes_clear(&out);
    w = json_writer(&out);
    json_error(&w, &e);
    assert_string_equal(bytes_cstr(&out), "{\"error\":{\"code\":\"not_found\",\"message\":\"no "
                                          "\\\"x\\\"\",\"hint\":\"try y\"}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_nested), cmocka_unit_test(writes_numbers),
        cmocka_unit_test(quotes),        cmocka_unit_test(finds_each_special_byte_anywhere),
        cmocka_unit_test(writes_errors),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("base/json", tests, NULL, NULL);
}
