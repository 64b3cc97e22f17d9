/* SPDX-License-Identifier: Apache-2.0
 *
 * Patterns of routes: their form, which of them is closest, and which of two are about one host. */
#include "http/route_pattern.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static struct arena *arena;

static int arena_up(void **state)
{
    arena = arena_new(NULL);
    return 0;
}

static int arena_down(void **state)
{
    arena_free(arena);
    return 0;
}

static struct route_pattern pattern(const char *text)
{
    struct route_pattern p = {0};
    assert_int_equal(route_pattern_parse(slice_cstr(text), arena, &p, NULL), OK);
    return p;
}

static void forms(void **state)
{
    struct route_pattern p = pattern("https://Shop.Example.com/Api/*");
    assert_true(slice_eq_cstr(p.host, "=shop.example.com"));
    assert_true(slice_eq_cstr(p.path, "/Api/"));
    assert_true(p.is_prefix);
    p = pattern("*.example.com");
    assert_true(slice_eq_cstr(p.host, ".example.com"));
    assert_true(slice_eq_cstr(p.path, "/"));
    assert_false(p.is_prefix);
    assert_true(slice_eq_cstr(pattern("*/*").host, "*"));
    const char *const bad[] = {"",           "/x",          "a.*.com/*",  "a.com/*/b", "a.com/x?y",
                               "a.com:80/*", "a..com/*",    ".a.com/*",   "a.com./*",  "a b.com/*",
                               "a.com/ü*",   "*.*.a.com/*", "http:///x*", "*./x"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error e = {0};
        assert_int_equal(route_pattern_parse(slice_cstr(bad[i]), arena, &p, &e), ERR_INVALID);
        assert_true(e.hint[0] != '\0');
    }
    size_t len;
    struct route_pattern *all = route_patterns_read(SLICE_LIT("a.com/*\nb.com/x"), arena, &len);
    assert_int_equal(len, 2);
    assert_true(slice_eq_cstr(all[1].text, "b.com/x"));
}

static const char *find(const struct route_table *t, const char *host, const char *target)
{
    const char *owner = route_table_find(t, slice_cstr(host), slice_cstr(target));
    return owner ? owner : "none";
}

static void the_closest_answers(void **state)
{
    static char texts[][32] = {"*/*",
                               "*.example.com/*",
                               "*example.com/*",
                               "www.example.com/*",
                               "*.example.com/api/*",
                               "www.example.com/a/*",
                               "www.example.com/a/b",
                               "www.example.com/a/b*",
                               "*.deep.example.com/*"};
    struct route_table t = {0};
    struct route_pattern all[ARRAY_LEN(texts)];
    assert_string_equal(find(&t, "www.example.com", "/"), "none");
    for (size_t i = 1; i < ARRAY_LEN(texts); i++) {
        all[i] = pattern(texts[i]);
        route_table_add(&t, &all[i], texts[i]);
    }
    assert_string_equal(find(&t, "www.example.com", "/a/b"), "www.example.com/a/b");
    assert_string_equal(find(&t, "www.example.com", "/a/b?q"), "www.example.com/a/b");
    assert_string_equal(find(&t, "www.example.com", "/a/bc"), "www.example.com/a/b*");
    assert_string_equal(find(&t, "www.example.com", "/a/c"), "www.example.com/a/*");
    assert_string_equal(find(&t, "www.example.com", "/api/x"), "www.example.com/*");
    assert_string_equal(find(&t, "x.example.com", "/api/x"), "*.example.com/api/*");
    assert_string_equal(find(&t, "x.example.com", "/"), "*.example.com/*");
    assert_string_equal(find(&t, "example.com", "/"), "*example.com/*");
    assert_string_equal(find(&t, "a.deep.example.com", "/"), "*.deep.example.com/*");
    assert_string_equal(find(&t, "deep.example.com", "/"), "*.example.com/*");
    assert_string_equal(find(&t, "notexample.com", "/"), "none");
    assert_string_equal(find(&t, "", "/"), "none");
    all[0] = pattern(texts[0]);
    route_table_add(&t, &all[0], texts[0]);
    assert_string_equal(find(&t, "notexample.com", "/"), "*/*");
    route_table_remove(&t, &all[6], texts[0]); /* not the owner's */
    assert_string_equal(find(&t, "www.example.com", "/a/b"), "www.example.com/a/b");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        route_table_remove(&t, &all[i], texts[i]);
    assert_int_equal(map_count(&t.hosts), 0);
    route_table_done(&t);
}

static bool meet(const char *a, const char *b)
{
    struct route_pattern x = pattern(a), y = pattern(b);
    assert_int_equal(route_pattern_meets(&x, &y), route_pattern_meets(&y, &x));
    return route_pattern_meets(&x, &y);
}

static void hosts_in_common(void **state)
{
    assert_true(meet("a.com/x", "a.com/y*"));
    assert_true(meet("*.a.com/*", "b.a.com/*"));
    assert_true(meet("*a.com/*", "a.com/*"));
    assert_true(meet("*.a.com/*", "*.b.a.com/*"));
    assert_true(meet("*.a.com/*", "*a.com/*"));
    assert_true(meet("*/*", "a.com/*"));
    assert_false(meet("*.a.com/*", "a.com/*"));
    assert_false(meet("ba.com/*", "*a.com/*"));
    assert_false(meet("a.com/*", "b.com/*"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(forms, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(the_closest_answers, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(hosts_in_common, arena_up, arena_down),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
