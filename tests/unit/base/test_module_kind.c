/* SPDX-License-Identifier: Apache-2.0 */
#include "base/module_kind.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

/* What a new row must have for all that goes by the table. */
static void test_rows_are_whole(void **state)
{
    (void)state;
    for (unsigned k = 0; k < MODULE_KINDS; k++) {
        const struct module_kind_info *of = &module_kinds[k];
        assert_non_null(of->word);
        assert_non_null(of->words);
        assert_non_null(of->does);
        assert_int_equal(strncmp(of->words, of->word, strlen(of->word)), 0);
        assert_int_not_equal(of->started_by, 0);
        assert_true(of->is_routed || of->is_durable);
        for (unsigned j = 0; j < k; j++)
            assert_string_not_equal(of->word, module_kinds[j].word);
    }
}

static void test_paths(void **state)
{
    (void)state;
    assert_int_equal(module_kind_of_path(SLICE_LIT("/workflows/:name/builds")), MODULE_WORKFLOW);
    assert_int_equal(module_kind_of_path(SLICE_LIT("/functions")), MODULE_FUNCTION);
    assert_int_equal(module_kind_of_path(SLICE_LIT("/metrics")), MODULE_FUNCTION);
    assert_int_equal(module_kind_of_path(SLICE_EMPTY), MODULE_FUNCTION);
    CLEANUP(bytes_done) struct bytes words = BYTES_INIT;
    module_kinds_words(&words);
    assert_string_equal(bytes_cstr(&words), "function or workflow");
}

static void test_what_starts_a_kind(void **state)
{
    struct slice name = SLICE_LIT("order");
    struct error e;
    (void)state;
    assert_int_equal(module_kind_check(MODULE_FUNCTION, name, MODULE_EXPORT_FETCH, &e), OK);
    assert_int_equal(module_kind_check(MODULE_FUNCTION, name, MODULE_EXPORT_HANDLER, &e), OK);
    assert_int_equal(module_kind_check(MODULE_WORKFLOW, name, MODULE_EXPORT_HANDLER, &e), OK);
    assert_int_equal(module_kind_check(MODULE_WORKFLOW, name, MODULE_EXPORT_WORKFLOW, &e), OK);
    /* Its requests say what is missing. */
    assert_int_equal(module_kind_check(MODULE_FUNCTION, name, 0, &e), OK);

    assert_int_equal(module_kind_check(MODULE_FUNCTION, name, MODULE_EXPORT_WORKFLOW, &e),
                     ERR_BUILD_FAILED);
    assert_string_equal(e.message, "the module exports only workflows, no function that could "
                                   "answer requests");
    assert_string_equal(e.hint, "upload it with 'limpet workflow upload order FILE'");

    assert_int_equal(module_kind_check(MODULE_WORKFLOW, name, 0, &e), ERR_BUILD_FAILED);
    assert_string_equal(e.message, "the module exports no workflow");
    assert_null(strstr(e.hint, "uploaded"));
    assert_int_equal(module_kind_check(MODULE_WORKFLOW, name, MODULE_EXPORT_FETCH, &e),
                     ERR_BUILD_FAILED);
    assert_non_null(strstr(e.hint, "functions are uploaded with 'limpet function upload'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_whole),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_what_starts_a_kind),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("base/module_kind", tests, NULL, NULL);
}
