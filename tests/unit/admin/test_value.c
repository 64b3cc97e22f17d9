/* SPDX-License-Identifier: Apache-2.0
 *
 * Serialized values as JSON text: each type, cutting, and bytes that are no value. The hexadecimal
 * digits are those of tests/guest/values.golden, which the guest wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "admin/value.h"

static void unhex(const char *hex, struct bytes *out)
{
    for (; hex[0] && hex[1]; hex += 2) {
        unsigned byte;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        bytes_append_char(out, (char)byte);
    }
}

static void assert_json(const char *hex, size_t max, const char *expected)
{
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    unhex(hex, &in);
    bytes_append_cstr(&out, "before");
    value_to_json(bytes_slice(&in), max, &out);
    assert_string_equal(bytes_cstr(&out) + strlen("before"), expected);
    json_t *parsed =
        json_loads(bytes_cstr(&out) + strlen("before"), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(parsed);
    json_decref(parsed);
}

static void each_type_is_shown(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"0100", "null"},
        {"0101", "null"},
        {"0103", "true"},
        {"017f", "63"},
        {"01047f", "-64"},
        {"0104ffffffff0f", "-2147483648"},
        {"0105000000000000e03f", "0.5"},
        {"0105000000000000f87f", "{\"$number\":\"NaN\"}"},
        {"0105000000000000f0ff", "{\"$number\":\"-Infinity\"}"},
        {"010600", "{\"$bigint\":\"0\"}"},
        {"0106027fff", "{\"$bigint\":\"-129\"}"},
        {"010609000000000000000001", "{\"$bigint\":\"0x010000000000000000\"}"},
        {"0106090000000000000000ff", "{\"$bigint\":\"-0x010000000000000000\"}"},
        {"0181e9", "\"\xc3\xa9\""},
        {"010802e5652c67", "\"\xe6\x97\xa5\xe6\x9c\xac\""},
        {"0108023dd800de", "\"\xf0\x9f\x98\x80\""},
        {"01080100d8", "\"\xef\xbf\xbd\""},
        {"010a0101614101016281780101630000", "{\"a\":1,\"b\":\"x\",\"c\":null}"},
        {"010b020a01016141000a034200", "[{\"a\":1},{\"a\":2}]"},
        {"010b0341816101", "[1,\"a\",null]"},
        {"010b02400d", "[0,null]"},
        {"010c03010130410101324300", "{\"$length\":3,\"0\":1,\"2\":3}"},
        {"010a010161090000", "{\"a\":{\"$ref\":0}}"},
        {"010e00b08756febc7842", "\"2023-11-14T22:13:20.123Z\""},
        {"010e000000000000f87f", "{\"$date\":{\"$number\":\"NaN\"}}"},
        {"010f84615c2f62826769", "\"/a\\\\/b/gi\""},
        {"01100241836f6e658374776f0a0101324200", "{\"$map\":[[1,\"one\"],[\"two\",{\"2\":2}]]}"},
        {"0111034181610b0142", "{\"$set\":[1,\"a\",[2]]}"},
        {"011203010203", "{\"$bytes\":3}"},
        {"011302ac020000", "{\"$bytes\":2}"},
        {"01140900011208000000000000f83f", "{\"$bytes\":8}"},
        {"010b02411401000112020000", "[1,{\"$bytes\":1}]"},
        {"01150716816781730b02414200",
         "{\"name\":\"AggregateError\",\"message\":\"g\",\"errors\":[1,2]}"},
        {"0115000e816d81730a0103776879410000",
         "{\"name\":\"Error\",\"message\":\"m\",\"cause\":{\"why\":1}}"},
        {"01150006816d81730104636f646584455f4e4f00",
         "{\"name\":\"Error\",\"message\":\"m\",\"code\":\"E_NO\"}"},
        {"01150007855175696574816d817300", "{\"name\":\"Quiet\",\"message\":\"m\"}"},
        {"0116816d8a41626f72744572726f728173", "{\"name\":\"AbortError\",\"message\":\"m\"}"},
        {"01178173", "\"s\""},
        {"01188a746578742f706c61696e03616263", "{\"$bytes\":3,\"type\":\"text/plain\"}"},
        {"011985fc2e747874000000000000284083612f6203616263",
         "{\"$bytes\":3,\"type\":\"a/b\",\"name\":\"\xc3\xbc.txt\"}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        if (cases[i][1])
            assert_json(cases[i][0], 1000, cases[i][1]);
}

static void what_is_long_is_cut_and_stays_json(void **state)
{
    (void)state;
    assert_json("010b0541424344"
                "45",
                4, "[1,2,\"...\"]");
    assert_json("010a0101614101016242"
                "00",
                5, "{\"a\":1,\"...\":\"...\"}");
    assert_json("018a61616161616161616161", 4, "\"aaaa...\"");
    assert_json("010b0142", 0, "[\"...\"]");
    assert_json("010b020b020b02414242"
                "42",
                6, "[[[1,2],\"...\"]]");
    assert_json("0110024142"
                "4344",
                12, "{\"$map\":[[1,2],\"...\"]}");
    /* What is cut is not read, so it may be anything. */
    assert_json("010b054142ffff", 4, "[1,2,\"...\"]");
}

static void what_is_no_value_is_said_to_be_malformed(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "01",
        "0200",
        "010000",
        "011a",
        "010d",
        "010900",
        "0107ffffff7f",
        "010bffffffff0f",
        "01140d00",
        "011508000",
        "010a034000",
        "0111010d",
        "010e0000",
        "011500014100",
        "010a0501",
        "0107ffffffffffffffffffffff",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char expected[64];
        (void)snprintf(expected, sizeof(expected), "{\"$malformed\":%zu}", strlen(cases[i]) / 2);
        assert_json(cases[i], 1000, expected);
    }
    CLEANUP(bytes_done) struct bytes deep = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    bytes_append_char(&deep, 1);
    for (int i = 0; i < 501; i++)
        bytes_append(&deep, "\x0b\x01", 2);
    bytes_append_char(&deep, 0);
    value_to_json(bytes_slice(&deep), 10000, &out);
    assert_string_equal(bytes_cstr(&out), "{\"$malformed\":1004}");
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_is_shown),
        cmocka_unit_test(what_is_long_is_cut_and_stays_json),
        cmocka_unit_test(what_is_no_value_is_said_to_be_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
