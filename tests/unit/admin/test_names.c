/* SPDX-License-Identifier: Apache-2.0
 *
 * Names, domains, limits, and suggestions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "admin/names.h"
#include "store/store.h"

static void function_names_are_dns_labels(void **state)
{
    (void)state;
    static const char *const good[] = {
        "a", "hello-world", "0", "a1-2b",
        "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0"};
    static const char *const bad[] = {
        "",
        "-a",
        "a-",
        "Hello",
        "a.b",
        "a_b",
        "a b",
        "\xc3\xa4",
        "../x",
        "a/b",
        "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz01"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_int_equal(names_check_function(slice_cstr(good[i]), NULL), OK);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error e = {0};
        if (names_check_function(slice_cstr(bad[i]), &e) != ERR_INVALID)
            fail_msg("taken: %s", bad[i]);
        assert_true(e.hint[0] != '\0');
    }
}

static void variable_names_are_identifiers(void **state)
{
    (void)state;
    assert_int_equal(names_check_env(SLICE_LIT("API_KEY"), NULL), OK);
    assert_int_equal(names_check_env(SLICE_LIT("_x1"), NULL), OK);
    assert_int_equal(names_check_env(SLICE_LIT("1X"), NULL), ERR_INVALID);
    assert_int_equal(names_check_env(SLICE_LIT("A-B"), NULL), ERR_INVALID);
    assert_int_equal(names_check_env(SLICE_EMPTY, NULL), ERR_INVALID);
}

static void domains_are_checked(void **state)
{
    (void)state;
    static const char *const good[] = {"example.com", "*.example.com", "api.example.com:8443",
                                       "localhost", "10.0.0.1:80"};
    static const char *const bad[] = {"",     "https://a.b", "a.b/c", "*",   "a..b",    ".a",
                                      "a.b.", "A.b",         "a:0",   "a:b", "a:65536", "a,b"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (names_check_domain(slice_cstr(good[i]), NULL))
            fail_msg("refused: %s", good[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (!names_check_domain(slice_cstr(bad[i]), NULL))
            fail_msg("taken: %s", bad[i]);
    }
}

static void limits_have_ranges(void **state)
{
    (void)state;
    struct version_options none = {0};
    assert_int_equal(names_check_limits(&none, NULL), OK);
    struct version_options good = {.memory_mb = 128, .cpu_ms = 1, .wall_ms = NAMES_WALL_MS_MAX};
    assert_int_equal(names_check_limits(&good, NULL), OK);
    struct error e = {0};
    struct version_options small = {.memory_mb = 1};
    assert_int_equal(names_check_limits(&small, &e), ERR_INVALID);
    assert_non_null(strstr(e.message, "memory_mb"));
    struct version_options slow = {.wall_ms = NAMES_WALL_MS_MAX + 1};
    assert_int_equal(names_check_limits(&slow, &e), ERR_INVALID);
    assert_non_null(strstr(e.message, "wall_ms"));
}

static void slips_are_understood(void **state)
{
    (void)state;
    static const char *const words[] = {"source", "bundle", "--input", "--follow", "list"};
    assert_string_equal(names_nearest(SLICE_LIT("sorce"), words, 5), "source");
    assert_string_equal(names_nearest(SLICE_LIT("--inptu"), words, 5), "--input");
    assert_string_equal(names_nearest(SLICE_LIT("--fol"), words, 5), "--follow");
    assert_string_equal(names_nearest(SLICE_LIT("lst"), words, 5), "list");
    assert_null(names_nearest(SLICE_LIT("quite-something-else"), words, 5));
    assert_null(names_nearest(SLICE_EMPTY, words, 5));
}

static void workflows_may_name_an_export(void **state)
{
    (void)state;
    static const char *const good[] = {"shop", "shop.checkout", "shop.$a_1", "shop.default",
                                       "shop.\xc3\xa4"};
    static const char *const bad[] = {"",         "Shop",     "shop.",    "shop.1a",  ".a",
                                      "shop.a-b", "shop.a.b", "shop.a b", "shop.\xff"};
    struct slice name;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(names_check_workflow(slice_cstr(good[i]), &name, NULL), OK);
        assert_true(slice_eq_cstr(name, "shop"));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error error = {0};
        assert_int_equal(names_check_workflow(slice_cstr(bad[i]), &name, &error), ERR_INVALID);
        assert_true(error.hint[0] != '\0');
    }
}

static void signals_and_keys_are_short_texts(void **state)
{
    (void)state;
    char text[NAMES_KEY_BYTES_MAX + 2];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(names_check_key(slice_cstr(text), NULL), ERR_INVALID);
    text[NAMES_KEY_BYTES_MAX] = '\0';
    assert_int_equal(names_check_key(slice_cstr(text), NULL), OK);
    assert_int_equal(names_check_key(SLICE_LIT("order 1/2 \xc3\xa4"), NULL), OK);
    assert_int_equal(names_check_signal(SLICE_LIT("approved"), NULL), OK);
    assert_int_equal(names_check_signal(SLICE_LIT(""), NULL), ERR_INVALID);
    assert_int_equal(names_check_signal(SLICE_LIT("a\tb"), NULL), ERR_INVALID);
    assert_int_equal(names_check_signal(SLICE_LIT("a\0b"), NULL), ERR_INVALID);
    assert_int_equal(names_check_signal(SLICE_LIT("\xff"), NULL), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(function_names_are_dns_labels),
        cmocka_unit_test(variable_names_are_identifiers),
        cmocka_unit_test(domains_are_checked),
        cmocka_unit_test(limits_have_ranges),
        cmocka_unit_test(slips_are_understood),
        cmocka_unit_test(workflows_may_name_an_export),
        cmocka_unit_test(signals_and_keys_are_short_texts),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
