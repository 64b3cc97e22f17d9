/* SPDX-License-Identifier: Apache-2.0
 *
 * Patterns, _headers and _redirects: what they take and refuse, with lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "asset/rules.h"

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

/* What "to" becomes; "" if it does not match. */
static const char *filled(const char *pattern, const char *text, const char *to)
{
    static char out[200];
    struct pattern p = {0};
    struct pattern_match match;
    struct error error = {0};
    struct bytes b = BYTES_INIT;
    assert_int_equal(pattern_parse(arena, slice_cstr(pattern), &p, &error), OK);
    out[0] = '\0';
    if (pattern_matches(&p, slice_cstr(text), &match)) {
        pattern_fill(slice_cstr(to), &match, &b);
        assert_true(b.len < sizeof(out));
        strncat(out, bytes_cstr(&b), sizeof(out) - 1);
    }
    bytes_done(&b);
    return out;
}

static void patterns_match_whole_texts(void **state)
{
    (void)state;
    assert_string_equal(filled("/a", "/a", "y"), "y");
    assert_string_equal(filled("/a", "/ab", "y"), "");
    assert_string_equal(filled("/a/*", "/a/b/c", ":splat"), "b/c");
    assert_string_equal(filled("/a/*", "/a/", "[:splat]"), "[]");
    assert_string_equal(filled("/*.js", "/x/y.js", ":splat"), "x/y");
    assert_string_equal(filled("/*.js", "/x/y.jsx", "y"), "");
    assert_string_equal(filled("/:a/:b", "/1/2", ":b-:a-:c"), "2-1-:c");
    assert_string_equal(filled("/:a/:b", "/1/", "y"), "");
    assert_string_equal(filled("/:a-:b", "/1-2", ":b:a"), "21");
    assert_string_equal(filled("https://:h.x/*", "https://w.x/p", ":h :splat"), "w p");
    struct pattern p;
    struct error error = {0};
    assert_int_equal(pattern_parse(arena, SLICE_LIT("/*/*"), &p, &error), ERR_INVALID);
    assert_int_equal(pattern_parse(arena, SLICE_LIT("/*/:x"), &p, &error), ERR_INVALID);
}

static void headers_are_read_with_their_lines(void **state)
{
    (void)state;
    static const char text[] = "# c\n/a\n  X-One: 1: 2\n\t! Two\n\nhttps://h/*\n  Three:\n";
    struct rule_headers *rules;
    size_t len;
    struct error error = {0};
    assert_int_equal(rules_headers(arena, slice_cstr(text), &rules, &len, &error), OK);
    assert_int_equal(len, 2);
    assert_int_equal(rules[0].len, 2);
    assert_true(slice_eq_cstr(rules[0].headers[0].name, "x-one"));
    assert_true(slice_eq_cstr(rules[0].headers[0].value, "1: 2"));
    assert_true(rules[0].headers[1].is_removal);
    assert_true(rules[1].has_host);
    static const struct {
        const char *text, *message;
    } bad[] = {{"  X: 1\n", "_headers:1:"},
               {"/a\n  nothing\n", "_headers:2:"},
               {"/a\n  X Y: 1\n", "_headers:2:"},
               {"a\n", "_headers:1:"}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(rules_headers(arena, slice_cstr(bad[i].text), &rules, &len, &error),
                         ERR_INVALID);
        assert_non_null(strstr(error.message, bad[i].message));
    }
}

static void redirects_are_read_with_their_lines(void **state)
{
    (void)state;
    static const char text[] = "/a /b\n/c https://x/:splat 308 # why\n\n/d/* /e 200\n";
    struct rule_redirect *rules;
    size_t len;
    struct error error = {0};
    assert_int_equal(rules_redirects(arena, slice_cstr(text), &rules, &len, &error), OK);
    assert_int_equal(len, 3);
    assert_int_equal(rules[0].status, 302);
    assert_int_equal(rules[1].status, 308);
    assert_int_equal(rules[2].status, 200);
    static const struct {
        const char *text, *message;
    } bad[] = {{"/a\n", "_redirects:1:"},
               {"/a /b 300\n", "_redirects:1:"},
               {"/ok /b\n/a /b 301 x\n", "_redirects:2:"},
               {"/a ftp://x\n", "_redirects:1:"},
               {"/a https://x 200\n", "_redirects:1:"}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(rules_redirects(arena, slice_cstr(bad[i].text), &rules, &len, &error),
                         ERR_INVALID);
        assert_non_null(strstr(error.message, bad[i].message));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(patterns_match_whole_texts, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(headers_are_read_with_their_lines, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(redirects_are_read_with_their_lines, arena_up, arena_down),
    };
    return cmocka_run_group_tests_name("asset/rules", tests, NULL, NULL);
}
