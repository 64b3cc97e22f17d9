/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditions, ranges, hashes and metadata of objects. */
#include "bucket/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bucket/bucket.h"

static enum bucket_condition check(const char *name, const char *value, const char *name2,
                                   const char *value2, const struct object_row *row)
{
    const struct http_header list[] = {{slice_cstr(name), slice_cstr(value)},
                                       {slice_cstr(name2), slice_cstr(value2)}};
    return bucket_check((struct bucket_headers){list, 2}, row);
}

static void conditions(void **state)
{
    const struct object_row row = {.etag = SLICE_LIT("abc"), .uploaded_us = 5000 * 1000};
    (void)state;
    assert_int_equal(check("if-match", "\"abc\"", "x", "", &row), BUCKET_HOLDS);
    assert_int_equal(check("if-match", "\"x\", W/\"abc\"", "x", "", &row), BUCKET_HOLDS);
    assert_int_equal(check("if-match", "abc", "x", "", &row), BUCKET_HOLDS);
    assert_int_equal(check("if-match", "*", "x", "", &row), BUCKET_HOLDS);
    assert_int_equal(check("if-match", "\"x\"", "x", "", &row), BUCKET_FAILS);
    assert_int_equal(check("if-none-match", "\"abc\"", "x", "", &row), BUCKET_NOT_MODIFIED);
    assert_int_equal(check("if-none-match", "*", "x", "", &row), BUCKET_NOT_MODIFIED);
    assert_int_equal(check("if-none-match", "\"x\"", "x", "", &row), BUCKET_HOLDS);
    assert_int_equal(check("limpet-before", "5001", "x", "", &row), BUCKET_HOLDS);
    assert_int_equal(check("limpet-before", "5000", "x", "", &row), BUCKET_FAILS);
    assert_int_equal(check("limpet-before", "5000", "if-match", "abc", &row), BUCKET_HOLDS);
    assert_int_equal(check("limpet-after", "4999", "x", "", &row), BUCKET_HOLDS);
    assert_int_equal(check("limpet-after", "5000", "x", "", &row), BUCKET_NOT_MODIFIED);
    assert_int_equal(check("limpet-after", "5000", "if-none-match", "x", &row), BUCKET_HOLDS);
    assert_int_equal(check("if-match", "abc", "x", "", NULL), BUCKET_FAILS);
    assert_int_equal(check("if-none-match", "*", "x", "", NULL), BUCKET_HOLDS);
    assert_int_equal(check("limpet-before", "1", "x", "", NULL), BUCKET_HOLDS);
    assert_int_equal(check("limpet-after", "1", "x", "", NULL), BUCKET_FAILS);
}

static void ranges(void **state)
{
    static const struct {
        const char *text;
        int64_t size;
        enum bucket_range is;
        int64_t from, to;
    } cases[] = {
        {"bytes=0-4", 10, BUCKET_PART, 0, 5},       {"bytes=5-", 10, BUCKET_PART, 5, 10},
        {"bytes=-3", 10, BUCKET_PART, 7, 10},       {"bytes=-30", 10, BUCKET_PART, 0, 10},
        {"bytes=9-99", 10, BUCKET_PART, 9, 10},     {"bytes=10-", 10, BUCKET_NO_PART, 0, 10},
        {"bytes=-0", 10, BUCKET_NO_PART, 0, 10},    {"bytes=0-", 0, BUCKET_NO_PART, 0, 0},
        {"bytes=4-2", 10, BUCKET_WHOLE, 0, 10},     {"bytes=a-2", 10, BUCKET_WHOLE, 0, 10},
        {"bytes=0-1,3-4", 10, BUCKET_WHOLE, 0, 10}, {"", 10, BUCKET_WHOLE, 0, 10},
        {"bytes=-", 10, BUCKET_WHOLE, 0, 10},       {"lines=1-2", 10, BUCKET_WHOLE, 0, 10},
    };
    (void)state;
    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        int64_t from = -1, to = -1;
        assert_int_equal(bucket_range(slice_cstr(cases[k].text), cases[k].size, &from, &to),
                         cases[k].is);
        assert_int_equal(from, cases[k].from);
        assert_int_equal(to, cases[k].to);
    }
}

static void hashes(void **state)
{
    struct bucket_sums s;
    struct error error = {0};
    (void)state;
    assert_int_equal(bucket_sums_begin(&s, SLICE_EMPTY, &error), OK);
    bucket_sums_add(&s, SLICE_LIT("hel"));
    bucket_sums_add(&s, SLICE_LIT("lo"));
    assert_int_equal(bucket_sums_end(&s, &error), OK);
    assert_string_equal(s.list[0].is, "5d41402abc4b2a76b9719d911017c592");
    bucket_sums_done(&s);
    assert_int_equal(
        bucket_sums_begin(&s, SLICE_LIT("sha1=aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"), &error),
        OK);
    bucket_sums_add(&s, SLICE_LIT("hello"));
    assert_int_equal(bucket_sums_end(&s, &error), OK);
    assert_int_equal(s.len, 2);
    bucket_sums_done(&s);
    assert_int_equal(
        bucket_sums_begin(&s, SLICE_LIT("sha1=aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"), &error),
        OK);
    bucket_sums_add(&s, SLICE_LIT("hellO"));
    assert_int_equal(bucket_sums_end(&s, &error), ERR_INVALID);
    bucket_sums_done(&s);
    assert_int_equal(bucket_sums_begin(&s, SLICE_LIT("sha1=aaf"), &error), ERR_INVALID);
    assert_int_equal(bucket_sums_begin(&s, SLICE_LIT("crc=00"), &error), ERR_INVALID);
}

static void etags_of_parts(void **state)
{
    char etag[48];
    struct object_file parts[] = {{.etag = SLICE_LIT("5d41402abc4b2a76b9719d911017c592")},
                                  {.etag = SLICE_LIT("7d793037a0760186574b0282f2f435e7")}};
    (void)state;
    assert_true(bucket_etag_of_parts(parts, 2, etag));
    assert_string_equal(etag, "065947336a2f2a95ba8899f3675c3be6-2");
    parts[1].etag = SLICE_LIT("x");
    assert_false(bucket_etag_of_parts(parts, 2, etag));
}

static void metadata(void **state)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct error error = {0};
    char large[3 * BUCKET_METADATA_BYTES_MAX];
    (void)state;
    assert_int_equal(
        bucket_metadata(SLICE_EMPTY, SLICE_LIT("%7B%22a%22%3A%221%22%7D"), NULL, &out, &error), OK);
    assert_string_equal(bytes_cstr(&out), "{\"http\":{},\"custom\":{\"a\":\"1\"},\"sums\":{}}");
    assert_int_equal(bucket_metadata(SLICE_LIT("%7B"), SLICE_EMPTY, NULL, &out, &error),
                     ERR_INVALID);
    assert_int_equal(bucket_metadata(SLICE_LIT("[]"), SLICE_EMPTY, NULL, &out, &error),
                     ERR_INVALID);
    assert_int_equal(bucket_metadata(SLICE_LIT("%zz"), SLICE_EMPTY, NULL, &out, &error),
                     ERR_INVALID);
    memset(large, 'a', sizeof(large));
    assert_int_equal(
        bucket_metadata(slice_of(large, sizeof(large)), SLICE_EMPTY, NULL, &out, &error),
        ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions),     cmocka_unit_test(ranges),   cmocka_unit_test(hashes),
        cmocka_unit_test(etags_of_parts), cmocka_unit_test(metadata),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("bucket/rules", tests, NULL, NULL);
}
