/* SPDX-License-Identifier: Apache-2.0
 *
 * The quick look at a request's URL never takes for normal what the URL standard would change, and
 * is not so careful that ordinary requests pay for the parser. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/internal.h"
#include "limpet_deps.h"

/* True if the parser leaves it as it is. */
static bool parser_keeps(bool is_tls, const char *authority, const char *target)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    struct deps_url u;
    bytes_printf(&text, "%s://%s%s", is_tls ? "https" : "http", authority, target);
    if (!deps_url_parse(text.ptr, text.len, NULL, 0, &u))
        return false;
    bool is_same = slice_eq(bytes_slice(&text), slice_of(u.href, u.href_len));
    deps_url_done(&u);
    return is_same;
}

static bool is_normal(bool is_tls, const char *authority, const char *target)
{
    return request_url_is_normal(is_tls, slice_cstr(authority), slice_cstr(target));
}

static void ordinary_requests_are_quick(void **state)
{
    static const char *const authorities[] = {"hello.localhost",   "hello.localhost:8080",
                                              "localhost:8080",    "127.0.0.1:8080",
                                              "10.20.30.40",       "api.example.com",
                                              "my-fn.example.com", "a_b.localhost",
                                              "x1.y2.z3",          "h:65535"};
    static const char *const targets[] = {"/",
                                          "/a/b.txt",
                                          "/a/b?q=1&r=a%20b+c",
                                          "//a//",
                                          "/a..b/c.",
                                          "/~me/(x)/[y]/@z:1;v=2,3",
                                          "/?",
                                          "/?../..",
                                          "/a%2e",
                                          "/A/%C3%A9/",
                                          "/search?q=a/./b",
                                          "/$!*",
                                          "/.well-known/x"};
    for (size_t i = 0; i < ARRAY_LEN(authorities); i++) {
        for (size_t k = 0; k < ARRAY_LEN(targets); k++) {
            assert_true(is_normal(false, authorities[i], targets[k]));
            assert_true(parser_keeps(false, authorities[i], targets[k]));
        }
    }
    assert_true(request_url_is_normal(false, SLICE_EMPTY, SLICE_LIT("/")));
    assert_true(is_normal(true, "h.example:80", "/") && is_normal(false, "h.example:443", "/"));
}

static void others_are_doubted(void **state)
{
    static const char *const authorities[] = {"NORM.localhost",
                                              "h:80",
                                              "h:",
                                              "h:080",
                                              "h:65536",
                                              "h:x",
                                              ":80",
                                              "h.",
                                              "a..b",
                                              ".h",
                                              "xn--a.com",
                                              "a.xn--b",
                                              "0x7f.1",
                                              "127.1",
                                              "256.0.0.1",
                                              "1.2.3.04",
                                              "1.2.3.4.",
                                              "1.2.3",
                                              "%41.com",
                                              "[::1]",
                                              "[::1]:80",
                                              "h.1",
                                              "h.0x1",
                                              "a%2eb",
                                              "a,b",
                                              "h:1:2",
                                              "4294967296"};
    static const char *const targets[] = {"/a/../b", "/%2e%2e/b", "/./", "/a/.",      "/..",
                                          "/%2E",    "/.%2e",     "/.?", "/a\\b",     "/\"",
                                          "/<",      "/>",        "/`",  "/{}",       "/^",
                                          "/|",      "/a b",      "/'",  "/\xc3\xa9", "/?\x7f"};
    for (size_t i = 0; i < ARRAY_LEN(authorities); i++)
        assert_false(is_normal(false, authorities[i], "/"));
    for (size_t i = 0; i < ARRAY_LEN(targets); i++)
        assert_false(is_normal(false, "h", targets[i]));
    assert_false(is_normal(true, "h:443", "/"));
}

/* Every short text over what matters. */
static void never_wrong(void **state)
{
    static const char host_chars[] = "a0.-x:8_", target_chars[] = "a/.%2eE?";
    char host[6] = "", target[7] = "/";
    size_t normal = 0;
    for (unsigned code = 0; code < 8 * 8 * 8 * 8 * 8; code++) {
        for (unsigned i = 0, c = code; i < 5; i++, c /= 8) {
            host[i] = host_chars[c % 8];
            target[i + 1] = target_chars[c % 8];
        }
        for (size_t len = 1; len <= 5; len += 2) {
            char text[7] = "";
            memcpy(text, host, len);
            if (is_normal(false, text, "/")) {
                normal++;
                assert_true(parser_keeps(false, text, "/"));
            }
        }
        if (is_normal(false, "h", target)) {
            normal++;
            assert_true(parser_keeps(false, "h", target));
        }
    }
    assert_true(normal > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_requests_are_quick),
        cmocka_unit_test(others_are_doubted),
        cmocka_unit_test(never_wrong),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("http/request_url", tests, NULL, NULL);
}
