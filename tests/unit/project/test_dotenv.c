/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of .dev.vars and .env. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "project/project.h"

static struct arena *arena;

static int arena_up(void **state)
{
    (void)state;
    arena = arena_new(NULL);
    return 0;
}

static int arena_down(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static void values_are_as_they_stand_or_quoted(void **state)
{
    (void)state;
    static const char text[] =
        "# first\n\nA=1\n  B = two words  # said\nexport C='a # b'\nD=\"x\\ny\\\"\"\n"
        "E=`l1\nl2`\nF=\nA=later\nG=a#b\r\n";
    static const struct {
        const char *name, *value;
    } wanted[] = {{"A", "later"},  {"B", "two words"}, {"C", "a # b"}, {"D", "x\ny\""},
                  {"E", "l1\nl2"}, {"F", ""},          {"G", "a#b"}};
    struct project_vars vars = {0};
    struct error error = {0};
    assert_int_equal(project_dotenv(arena, ".env", slice_cstr(text), &vars, &error), OK);
    assert_int_equal(vars.len, ARRAY_LEN(wanted));
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        assert_true(slice_eq_cstr(vars.items[i].name, wanted[i].name));
        assert_true(slice_eq_cstr(vars.items[i].value, wanted[i].value));
    }
}

static void mistakes_have_a_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } bad[] = {{"A=1\nwhat\n", ".env:2: it is no NAME=VALUE"},
               {"A=1\n\n1B=2\n", ".env:3:"},
               {"A='x\ny\n", ".env:1: its quote is not closed"}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct project_vars vars = {0};
        struct error error = {0};
        assert_int_equal(project_dotenv(arena, ".env", slice_cstr(bad[i].text), &vars, &error),
                         ERR_INVALID);
        assert_non_null(strstr(error.message, bad[i].message));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values_are_as_they_stand_or_quoted, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(mistakes_have_a_line, arena_up, arena_down),
    };
    return cmocka_run_group_tests_name("project/dotenv", tests, NULL, NULL);
}
