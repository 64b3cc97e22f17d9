/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/url.h"

static void authority(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        int port;
    } cases[] = {
        {"host", "host", 80},         {"host:8080", "host", 8080}, {"[::1]:8080", "::1", 8080},
        {"[fd00::1]", "fd00::1", 80}, {"1.2.3.4:1", "1.2.3.4", 1}, {"a:65535", "a", 65535},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice host;
        int port;
        assert_int_equal(url_split_authority(slice_cstr(cases[i].text), 80, &host, &port), OK);
        assert_true(slice_eq_cstr(host, cases[i].host));
        assert_int_equal(port, cases[i].port);
    }
    static const char *const bad[] = {"",       ":80",    "a:",    "a:0",       "a:65536",
                                      "a:b",    "a:+1",   "a:1:2", "[::1",      "[]:80",
                                      "[::1]x", "[::1]:", "::1",   "a:00000080"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct slice host = SLICE_LIT("untouched");
        int port = 7;
        assert_int_equal(url_split_authority(slice_cstr(bad[i]), 80, &host, &port), ERR_INVALID);
        assert_true(slice_eq_cstr(host, "untouched"));
        assert_int_equal(port, 7);
    }
}

static void escapes(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    bytes_append_cstr(&out, "kept ");
    assert_int_equal(url_decode(SLICE_LIT("a%20b%2Fc%2f+%e2%82%ac"), &out), OK);
    assert_string_equal(bytes_cstr(&out), "kept a b/c/+\xe2\x82\xac");
    static const char *const bad[] = {"%", "a%2", "%zz", "%2", "a%00b", "%0", "%%20"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        size_t len = out.len;
        assert_int_equal(url_decode(slice_cstr(bad[i]), &out), ERR_INVALID);
        assert_int_equal(out.len, len);
    }
    bytes_clear(&out);
    url_encode(SLICE_LIT("aZ0-._~ /\xff%"), &out);
    assert_string_equal(bytes_cstr(&out), "aZ0-._~%20%2F%FF%25");
}

static void query(void **state)
{
    (void)state;
    struct slice value, text = SLICE_LIT("a=1&b=&c&d=x=y&a=2&&e=%20");
    assert_true(url_query_get(text, "a", &value) && slice_eq_cstr(value, "1"));
    assert_true(url_query_get(text, "b", &value) && value.len == 0);
    assert_true(url_query_get(text, "c", &value) && value.len == 0);
    assert_true(url_query_get(text, "d", &value) && slice_eq_cstr(value, "x=y"));
    assert_true(url_query_get(text, "e", &value) && slice_eq_cstr(value, "%20"));
    assert_false(url_query_get(text, "f", &value));
    assert_false(url_query_get(SLICE_EMPTY, "f", &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(authority),
        cmocka_unit_test(escapes),
        cmocka_unit_test(query),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("http/url", tests, NULL, NULL);
}
