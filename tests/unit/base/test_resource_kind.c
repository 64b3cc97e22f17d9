/* SPDX-License-Identifier: Apache-2.0 */
#include "base/resource_kind.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* What a new row must have for all that goes by the table. */
static void rows_are_whole(void **state)
{
    (void)state;
    for (unsigned k = 0; k < RESOURCE_KINDS; k++) {
        const struct resource_kind_info *of = &resource_kinds[k];
        enum resource_kind kind;
        assert_non_null(of->word);
        assert_non_null(of->title);
        assert_int_equal(of->path[0], '/');
        assert_true(resource_kind_find(slice_cstr(of->word), &kind));
        assert_int_equal(kind, k); /* so no two have one word */
        assert_int_equal(resource_kind_of_path(slice_cstr(of->path)), k);
    }
}

static void paths_and_words(void **state)
{
    enum resource_kind kind;
    (void)state;
    assert_int_equal(resource_kind_of_path(SLICE_LIT("/kv/:resource/keys")), RESOURCE_KIND_KV);
    assert_int_equal(resource_kind_of_path(SLICE_LIT("/buckets")), RESOURCE_KIND_BUCKET);
    assert_false(resource_kind_find(SLICE_LIT("KV"), &kind));
    assert_false(resource_kind_find(SLICE_EMPTY, &kind));
}

static void names(void **state)
{
    static const char *const good[] = {"a", "A-1_b.c", "0f2ac74b498b48028cb68387c421e279"};
    static const char *const bad[] = {"", ".", "..", "a.", "-a", "a/b", "a b", "a\nb", "ä"};
    (void)state;
    struct error error = {0};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(resource_name_check(RESOURCE_KIND_KV, slice_cstr(good[i]), &error), OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(resource_name_check(RESOURCE_KIND_KV, slice_cstr(bad[i]), &error),
                         ERR_INVALID);
        assert_non_null(strstr(error.message, "name of a KV namespace"));
    }
    char long_name[RESOURCE_NAME_BYTES_MAX + 2];
    memset(long_name, 'a', sizeof(long_name));
    struct slice text = slice_of(long_name, RESOURCE_NAME_BYTES_MAX);
    assert_int_equal(resource_name_check(RESOURCE_KIND_D1, text, &error), OK);
    text.len++;
    assert_int_equal(resource_name_check(RESOURCE_KIND_D1, text, &error), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_whole),
        cmocka_unit_test(paths_and_words),
        cmocka_unit_test(names),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("base/resource_kind", tests, NULL, NULL);
}
