/* SPDX-License-Identifier: Apache-2.0
 *
 * Host, Origin and token rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "admin/access.h"
#include "admin/internal.h"

static char listen_host[] = "127.0.0.1", secret[] = "s3cret";

static enum err check(const char *token, const char *host, const char *name, const char *value,
                      bool is_public)
{
    struct admin a = {.listen_host = listen_host, .token = token ? secret : NULL};
    struct http_header header = {slice_cstr(name), slice_cstr(value)};
    struct http_request request = {.method = SLICE_LIT("POST"),
                                   .authority = slice_cstr(host),
                                   .version = 11,
                                   .headers = &header,
                                   .headers_len = name ? 1 : 0};
    struct error e = {0};
    struct slice given;
    enum err err = access_check(&a, &request, is_public, &given, &e);
    assert_int_equal(err, e.code);
    if (err)
        assert_true(e.hint[0] != '\0');
    return err;
}

static void loopback_is_known(void **state)
{
    (void)state;
    static const char *const yes[] = {"localhost", "LOCALHOST", "127.0.0.1",
                                      "127.9.9.9", "::1",       "[::1]"};
    static const char *const no[] = {"0.0.0.0",        "127.0.0.1.evil.com", "127.1", "evil.com",
                                     "localhost.evil", "127.0.0.256",        "::",    ""};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_true(access_is_loopback(slice_cstr(yes[i])));
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        assert_false(access_is_loopback(slice_cstr(no[i])));
}

static void without_token_only_loopback_hosts_come_in(void **state)
{
    (void)state;
    assert_int_equal(check(NULL, "127.0.0.1:8888", NULL, NULL, false), OK);
    assert_int_equal(check(NULL, "localhost:8888", NULL, NULL, false), OK);
    assert_int_equal(check(NULL, "[::1]:8888", NULL, NULL, false), OK);
    assert_int_equal(check(NULL, "evil.example:8888", NULL, NULL, false), ERR_FORBIDDEN);
    assert_int_equal(check(NULL, "", NULL, NULL, false), ERR_FORBIDDEN);
    assert_int_equal(check(NULL, "evil.example", NULL, NULL, true), ERR_FORBIDDEN);
}

static void without_token_pages_of_other_sites_are_refused(void **state)
{
    (void)state;
    const char *host = "localhost:8888";
    assert_int_equal(check(NULL, host, "origin", "http://localhost:8888", false), OK);
    assert_int_equal(check(NULL, host, "origin", "http://localhost:8080", false), ERR_FORBIDDEN);
    assert_int_equal(check(NULL, host, "origin", "https://evil.example", false), ERR_FORBIDDEN);
    assert_int_equal(check(NULL, host, "origin", "null", false), ERR_FORBIDDEN);
}

static void the_token_is_asked_for(void **state)
{
    (void)state;
    const char *host = "any.example";
    assert_int_equal(check("t", host, NULL, NULL, false), ERR_UNAUTHORIZED);
    assert_int_equal(check("t", host, NULL, NULL, true), OK);
    assert_int_equal(check("t", host, "authorization", "Bearer s3cret", false), OK);
    assert_int_equal(check("t", host, "authorization", "bearer s3cret", false), OK);
    assert_int_equal(check("t", host, "authorization", "Bearer s3creT", false), ERR_UNAUTHORIZED);
    assert_int_equal(check("t", host, "authorization", "Bearer s3cre", false), ERR_UNAUTHORIZED);
    assert_int_equal(check("t", host, "authorization", "Bearer s3crets3cret", false),
                     ERR_UNAUTHORIZED);
    assert_int_equal(check("t", host, "authorization", "Bearer", false), ERR_UNAUTHORIZED);
    assert_int_equal(check("t", host, "authorization", "Basic s3cret", false), ERR_UNAUTHORIZED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loopback_is_known),
        cmocka_unit_test(without_token_only_loopback_hosts_come_in),
        cmocka_unit_test(without_token_pages_of_other_sites_are_refused),
        cmocka_unit_test(the_token_is_asked_for),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
