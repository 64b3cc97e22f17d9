/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests that are refused, and conditions, ranges and codings of requests. Which file answers is tested
 * from outside (tests/server/assets.test.ts). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "asset/assets.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void manifests_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"files\":[[\"a\",\"" HASH "\",1]]}",
        "{\"files\":[[\"/\",\"" HASH "\",1]]}",
        "{\"files\":[[\"/a/\",\"" HASH "\",1]]}",
        "{\"files\":[[\"//a\",\"" HASH "\",1]]}",
        "{\"files\":[[\"/../a\",\"" HASH "\",1]]}",
        "{\"files\":[[\"/a\\\\b\",\"" HASH "\",1]]}",
        "{\"files\":[[\"/a\",\"x\",1]]}",
        "{\"files\":[[\"/a\",\"" HASH "\",-1]]}",
        "{\"files\":[[\"/a\",\"" HASH "\",1],[\"/a\",\"" HASH "\",1]]}",
        "{\"files\":[],\"html\":\"x\"}",
        "{\"files\":[],\"first\":[\"api\"]}",
        "{\"files\":[],\"headers\":\"x\"}",
    };
    struct assets *a;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error error = {0};
        assert_int_not_equal(assets_parse(slice_cstr(bad[i]), &a, &error), OK);
        assert_true(error.message[0] != '\0' && error.hint[0] != '\0');
    }
    struct error error = {0};
    assert_int_equal(assets_parse(SLICE_LIT("{\"files\":[[\"/a\",\"" HASH "\",1]]}"), &a, &error),
                     OK);
    assert_int_equal(assets_count(a), 1);
    assets_unref(assets_ref(a));
    assets_unref(a);
}

static void tags_name_contents_in_any_coding(void **state)
{
    (void)state;
    const struct slice hash = SLICE_LIT(HASH);
    assert_true(asset_is_known(SLICE_LIT("\"0123456789abcdef0123456789abcdef\""), hash));
    assert_true(
        asset_is_known(SLICE_LIT("\"x\" , W/\"0123456789abcdef0123456789abcdef-br\""), hash));
    assert_true(asset_is_known(SLICE_LIT("*"), hash));
    assert_false(asset_is_known(SLICE_LIT("\"0123456789abcdef0123456789abcde\""), hash));
    assert_false(asset_is_known(SLICE_LIT("0123456789abcdef0123456789abcdef"), hash));
    assert_false(asset_is_known(SLICE_EMPTY, hash));
}

static void codings_have_weights(void **state)
{
    (void)state;
    assert_true(asset_accepts(SLICE_LIT("gzip, BR;q=0.1"), SLICE_LIT("br")));
    assert_false(asset_accepts(SLICE_LIT("gzip, br;q=0.0"), SLICE_LIT("br")));
    assert_true(asset_accepts(SLICE_LIT("br;q=0.01"), SLICE_LIT("br")));
    assert_false(asset_accepts(SLICE_LIT("x-br"), SLICE_LIT("br")));
}

static void ranges_lie_within(void **state)
{
    (void)state;
    uint64_t from, to;
    assert_int_equal(asset_range(SLICE_LIT("bytes=0-"), 0, &from, &to), ASSET_RANGE_BAD);
    assert_int_equal(asset_range(SLICE_LIT("bytes=-0"), 5, &from, &to), ASSET_RANGE_BAD);
    assert_int_equal(asset_range(SLICE_LIT("bytes=-9"), 5, &from, &to), ASSET_RANGE_PART);
    assert_true(from == 0 && to == 5);
    assert_int_equal(asset_range(SLICE_LIT("bytes=4-18446744073709551615"), 5, &from, &to),
                     ASSET_RANGE_PART);
    assert_true(from == 4 && to == 5);
    assert_int_equal(asset_range(SLICE_LIT("bytes=4-99999999999999999999"), 5, &from, &to),
                     ASSET_RANGE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifests_are_checked),
        cmocka_unit_test(tags_name_contents_in_any_coding),
        cmocka_unit_test(codings_have_weights),
        cmocka_unit_test(ranges_lie_within),
    };
    return cmocka_run_group_tests_name("asset/answer", tests, NULL, NULL);
}
