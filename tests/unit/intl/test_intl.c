/* SPDX-License-Identifier: Apache-2.0
 *
 * The texts that go to ICU and come back: each function once, what is refused, and that more objects are
 * asked for than are kept. What comes out in which locale is compared with Node in tests/server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "intl/intl.h"

#define REQUEST(text) slice_of(text, sizeof(text) - 1)

static void expect(enum intl_what what, struct slice request, struct slice answer)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct error e;
    bytes_append_char(&out, '>');
    if (intl_ask(what, request, &out, &e) != OK)
        fail_msg("%d: %s", (int)what, e.message);
    struct slice got = slice_skip(bytes_slice(&out), 1);
    if (!slice_eq(got, answer))
        fail_msg("%d: got '%.*s'", (int)what, (int)got.len, got.ptr);
}

static void refuse(enum intl_what what, struct slice request, enum err err)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct error e;
    bytes_append_char(&out, '>');
    assert_int_equal(intl_ask(what, request, &out, &e), err);
    assert_int_equal(out.len, 1);
    assert_true(strlen(e.message) > 0);
}

static void test_answers(void **state)
{
    (void)state;
    expect(INTL_VALUES, REQUEST("c"),
           REQUEST("gregory japanese buddhist roc persian islamic-civil islamic hebrew chinese "
                   "indian coptic ethiopic ethioaa iso8601 dangi islamic-umalqura islamic-tbla "
                   "islamic-rgsa"));
    expect(INTL_LOCALE, REQUEST("th-TH\0c"), REQUEST("buddhist gregory"));
    expect(INTL_LOCALE, REQUEST("he\0r"), REQUEST("rtl"));
    expect(INTL_LOCALE, REQUEST("en-US\0w"), REQUEST("7 1 6 7"));
    expect(INTL_LOCALE, REQUEST("de\0w"), REQUEST("1 4 6 7"));
    expect(INTL_LOCALE, REQUEST("ja\0h"), REQUEST("h23"));
    expect(INTL_LOCALE, REQUEST("de-LI\0z"), REQUEST("Europe/Vaduz"));
    expect(INTL_LOCALE, REQUEST("de\0z"), REQUEST(""));
    expect(INTL_LIKELY,
           REQUEST("zh-TW\0"
                   "1"),
           REQUEST("zh-Hant-TW"));
    expect(INTL_LIKELY,
           REQUEST("zh-Hant-TW\0"
                   "0"),
           REQUEST("zh-TW"));
    expect(INTL_NAME, REQUEST("en\0d\0l\0fr-CA"), REQUEST("Canadian French"));
    expect(INTL_NAME, REQUEST("en\0l\0l\0fr-CA"), REQUEST("French (Canada)"));
    expect(INTL_NAME, REQUEST("de\0r\0l\0AT"), REQUEST("Österreich"));
    expect(INTL_NAME, REQUEST("en\0r\0s\0US"), REQUEST("US"));
    expect(INTL_NAME, REQUEST("en\0s\0l\0Cyrl"), REQUEST("Cyrillic"));
    expect(INTL_NAME, REQUEST("en\0u\0n\0EUR"), REQUEST("Euro"));
    expect(INTL_NAME, REQUEST("en\0u\0l\0XYZ"), REQUEST(""));
    expect(INTL_NAME, REQUEST("en\0a\0l\0buddhist"), REQUEST("Buddhist Calendar"));
    expect(INTL_NAME,
           REQUEST("de\0f\0l\0"
                   "9"),
           REQUEST("Tag"));
    expect(INTL_SEGMENT, REQUEST("en\0000\000e\u0301x"), REQUEST("2 3"));
    expect(INTL_SEGMENT, REQUEST("en\0001\000it is"), REQUEST("2w 3 5w"));
    expect(INTL_SEGMENT, REQUEST("en\0002\000So. It is."), REQUEST("4 10"));
    expect(INTL_SEGMENT, REQUEST("en\0000\000"), REQUEST(""));
    expect(INTL_CANONICAL, REQUEST("EN-latn-us-u-NU-latn"), REQUEST("en-Latn-US-u-nu-latn"));
    expect(INTL_AVAILABLE, REQUEST("de-AT\0"), REQUEST("1"));
    expect(INTL_AVAILABLE, REQUEST("tlh\0"), REQUEST("0"));
    expect(INTL_NUMBERING, REQUEST("fa\0"), REQUEST("arabext"));
    expect(INTL_NUMBER,
           REQUEST("de\0.00\0"
                   "1234.5"),
           REQUEST("1.234,50\0"
                   "518 1 2 512 0 5 514 5 6 513 6 8 "));
    expect(INTL_NUMBER,
           REQUEST("en\0compact-short\0"
                   "12345"),
           REQUEST("12K\0"
                   "512 0 2 524 2 3 "));
    expect(INTL_ZONE, REQUEST("us/eastern"), REQUEST("America/New_York"));
    expect(INTL_CALENDAR, REQUEST("th\0"), REQUEST("buddhist"));
    expect(INTL_DATE_PATTERN, REQUEST("de\0yMMMd\0"), REQUEST("d. MMM y"));
    expect(INTL_DATE_STYLE,
           REQUEST("de\0"
                   "2\0"
                   "-1\0"),
           REQUEST("dd.MM.y"));
    expect(INTL_DATE,
           REQUEST("en\0America/New_York\0y-MM-dd HH:mm z\0"
                   "0\0"),
           REQUEST("1969-12-31 19:00 EST\0"
                   "257 0 4 258 5 7 259 8 10 261 11 13 262 14 16 273 17 20 "));
    expect(INTL_DATE,
           REQUEST("en\0UTC\0y-MM-dd\0"
                   "-62135596800000\0"),
           REQUEST("1-01-01\0"
                   "257 0 1 258 2 4 259 5 7 "));
    expect(INTL_PLURAL,
           REQUEST("en\0"
                   "1\0precision-integer\0"
                   "22"),
           REQUEST("two"));
    expect(INTL_PLURAL_KEYWORDS,
           REQUEST("de\0"
                   "0\0"),
           REQUEST("one\0other"));
    expect(INTL_PLURAL_RANGE,
           REQUEST("en\0"
                   "0\0precision-integer\0"
                   "1\0"
                   "2"),
           REQUEST("other"));
    expect(INTL_COMPARE,
           REQUEST("de\0v\0"
                   "2\0"
                   "äz"),
           REQUEST("-1"));
    expect(INTL_COMPARE,
           REQUEST("sv\0v\0"
                   "2\0"
                   "äz"),
           REQUEST("1"));
    expect(INTL_COMPARE,
           REQUEST("en\0vn\0"
                   "1\0"
                   "910"),
           REQUEST("-1"));
    expect(INTL_COMPARE,
           REQUEST("en\0b\0"
                   "1\0"
                   "aÄ"),
           REQUEST("0"));
    expect(INTL_RELATIVE,
           REQUEST("en\0"
                   "0\0"
                   "1\0day\0"
                   "-1"),
           REQUEST("yesterday\0"
                   "1024 0 9 "));
    expect(
        INTL_LIST,
        REQUEST("en\0"
                "0\0"
                "0\0a\0b\0c\0"),
        REQUEST(
            "a, b, and c\0"
            "1049344 0 1 769 0 1 768 1 3 1049345 3 4 769 3 4 768 4 10 1049346 10 11 769 10 11 "));
    expect(INTL_UPPER, REQUEST("tr\0i\0ß"), slice_of("İ\0SS", 5));
    expect(INTL_LOWER, REQUEST("tr\0I"), REQUEST("ı"));
}

static void test_refusals(void **state)
{
    (void)state;
    refuse(INTL_VALUES, REQUEST("cc"), ERR_INVALID);
    refuse(INTL_LOCALE, REQUEST("de\0?"), ERR_INVALID);
    refuse(INTL_NAME, REQUEST("en\0r\0l\0"), ERR_INVALID);
    refuse(INTL_SEGMENT, REQUEST("en\0009\000a"), ERR_INVALID);
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    refuse(INTL_WHATS, REQUEST(""), ERR_INVALID);
    refuse(INTL_CANONICAL, REQUEST(""), ERR_INVALID);
    refuse(INTL_CANONICAL, REQUEST("en_US"), ERR_INVALID);
    refuse(INTL_CANONICAL, REQUEST("en\0"), ERR_INVALID);
    refuse(INTL_NUMBER,
           REQUEST("!\0\0"
                   "1"),
           ERR_INVALID);
    refuse(INTL_NUMBER,
           REQUEST("en\0nonsense\0"
                   "1"),
           ERR_INVALID);
    refuse(INTL_NUMBER,
           REQUEST("en\0precision-integer\0"
                   "1e999999999"),
           ERR_INVALID);
    refuse(INTL_NUMBER, REQUEST("en\0precision-integer\0one"), ERR_INVALID);
    refuse(INTL_NUMBER_RANGE,
           REQUEST("en\0precision-integer\0"
                   "1\0"),
           ERR_INVALID);
    refuse(INTL_ZONE, REQUEST("Mars/Olympus"), ERR_INVALID);
    refuse(INTL_DATE,
           REQUEST("en\0UTC\0y\0"
                   "8640000000000001\0"),
           ERR_INVALID);
    refuse(INTL_DATE, REQUEST("en\0UTC\0y\0NaN\0"), ERR_INVALID);
    refuse(INTL_COMPARE,
           REQUEST("en\0v\0"
                   "9\0ab"),
           ERR_INVALID);
    refuse(INTL_COMPARE, REQUEST("en\0v\0-1\0ab"), ERR_INVALID);
    refuse(INTL_RELATIVE,
           REQUEST("en\0"
                   "0\0"
                   "0\0era\0"
                   "1"),
           ERR_INVALID);
    bytes_append_cstr(&text, "en");
    bytes_append_char(&text, '\0');
    while (text.len <= INTL_TEXT_MAX)
        bytes_append_char(&text, 'a');
    refuse(INTL_UPPER, bytes_slice(&text), ERR_TOO_LARGE);
    refuse(INTL_NUMBER, slice_of(text.ptr, 3 + INTL_PATTERN_MAX), ERR_INVALID);
}

static void test_kept(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++)
        for (int digits = 1; digits < 2 * INTL_KEPT; digits++) {
            CLEANUP(bytes_done) struct bytes request = BYTES_INIT;
            CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
            struct error e;
            bytes_append(&request, "en\0.", 4);
            for (int i = 0; i < digits; i++)
                bytes_append_char(&request, '0');
            bytes_append(&request,
                         "\0"
                         "1",
                         2);
            assert_int_equal(intl_ask(INTL_NUMBER, bytes_slice(&request), &out, &e), OK);
            assert_int_equal(strlen(bytes_cstr(&out)), 2 + digits);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
