/* SPDX-License-Identifier: Apache-2.0 */
#include "base/module_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void names_are_split_and_joined(void **state)
{
    static const char *const modules[][3] = {
        {"a", "default", "a"}, {"shop/a", "shop", "a"}, {"shop/a.b", "shop", "a.b"}};
    for (size_t i = 0; i < ARRAY_LEN(modules); i++) {
        CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
        struct module_name n = module_name_split(slice_cstr(modules[i][0]));
        assert_true(slice_eq_cstr(n.space, modules[i][1]));
        assert_true(slice_eq_cstr(n.name, modules[i][2]));
        module_name_join(n.space, n.name, &text);
        assert_string_equal(bytes_cstr(&text), modules[i][0]);
    }
}

static void the_default_namespace_has_two_spellings(void **state)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    module_name_join(SLICE_EMPTY, SLICE_LIT("a"), &text);
    assert_string_equal(bytes_cstr(&text), "a");
    assert_true(namespace_is_same(SLICE_EMPTY, SLICE_LIT("default")));
    assert_false(namespace_is_same(SLICE_EMPTY, SLICE_LIT("shop")));
    assert_false(namespace_is_same(SLICE_LIT("shop"), SLICE_LIT("shops")));
    assert_true(module_name_is_in(SLICE_LIT("a"), SLICE_EMPTY));
    assert_true(module_name_is_in(SLICE_LIT("shop/a"), SLICE_LIT("shop")));
    assert_false(module_name_is_in(SLICE_LIT("shop/a"), SLICE_EMPTY));
    assert_false(module_name_is_in(SLICE_LIT("a"), SLICE_LIT("shop")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_split_and_joined),
        cmocka_unit_test(the_default_namespace_has_two_spellings),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("base/module_name", tests, NULL, NULL);
}
