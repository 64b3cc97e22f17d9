/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "http/egress_policy.h"

static bool fits(const char *pattern, const char *url, bool doubt)
{
    struct arena *a = arena_new(NULL);
    struct url_pattern p;
    struct url_target t;
    struct error error = {0};
    if (url_pattern_parse(a, slice_cstr(pattern), &p, &error) != OK)
        fail_msg("%s: %s", pattern, error.message);
    if (url_target_parse(a, slice_cstr(url), &t, &error) != OK)
        fail_msg("%s: %s", url, error.message);
    bool is = url_pattern_matches(&p, &t, doubt);
    assert_int_equal(url_pattern_matches(&p, &t, doubt), is); /* asked again */
    arena_free(a);
    return is;
}

static void patterns_fit_what_they_name(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *url;
        bool fits;
    } cases[] = {
        {"*", "https://api.example.com/x", true},
        {"*", "http://[::1]:8080/", true},
        {"api.example.com", "https://api.example.com", true},
        {"api.example.com", "http://API.Example.COM.:81/x?y", true},
        {"API.example.com.", "http://api.example.com/", true},
        {"api.example.com", "http://api.example.com.evil.org/", false},
        {"api.example.com", "http://xapi.example.com/", false},
        {"https://api.example.com", "http://api.example.com/", false},
        {"http://api.example.com", "http://api.example.com/", true},
        {"http://api.example.com", "https://api.example.com/", false},
        {"api.example.com:443", "https://api.example.com/", true},
        {"api.example.com:443", "http://api.example.com/", false},
        {"api.example.com:8443", "https://api.example.com/", false},
        {"*.example.com", "https://a.example.com/", true},
        {"*.example.com", "https://a.b.example.com/", true},
        {"*.example.com", "https://example.com/", false},
        {"*.example.com", "https://evilexample.com/", false},
        {"*.example.com", "https://a.example.com.evil.org/", false},
        {"a.*.example.com", "https://a.b.example.com/", true},
        {"a.*.example.com", "https://a.b.c.example.com/", false},
        {"a.*.example.com", "https://a.example.com/", false},
        {"*.*.example.com", "https://a.b.c.example.com/", true},
        {"*.*.example.com", "https://a.example.com/", false},
        {"127.0.0.1", "http://127.0.0.1:99/", true},
        {"127.0.0.1", "http://2130706433/", true},
        {"127.1", "http://127.0.0.1/", true},
        {"127.0.0.1", "http://127.0.0.2/", false},
        {"[::1]:80", "http://[0:0::1]/", true},
        {"[::1]:80", "http://[::1]:81/", false},
        {"b\xc3\xbc"
         "cher.example",
         "https://xn--bcher-kva.example/", true},
        {"*.b\xc3\xbc"
         "cher.example",
         "https://www.b\xc3\xbc"
         "cher.example/",
         true},
        {"x.com/", "https://x.com/a/b", true},
        {"x.com/v1", "https://x.com/v1", true},
        {"x.com/v1", "https://x.com/v1/", true},
        {"x.com/v1/", "https://x.com/v1", true},
        {"x.com/v1", "https://x.com/v1/a?b#c", true},
        {"x.com/v1", "https://x.com/v10", false},
        {"x.com/v1", "https://x.com/", false},
        {"x.com/v1", "https://x.com/V1", false},
        {"x.com/v1", "https://x.com/a/v1", false},
        {"x.com/v1", "https://x.com//v1", true},
        {"x.com/v1", "https://x.com/%76%31/a", true},
        {"x.com/v1", "https://x.com/%2Fv1", true},
        {"x.com/v1", "https://x.com\\v1", true},
        {"x.com/v1", "https://x.com/a/../v1", true},
        {"x.com/v1", "https://x.com/a/%2e%2E/v1", true},
        {"x.com/v1", "https://x.com/./v1", true},
        {"x.com/v1", "https://x.com/.%2Fv1", true},
        {"x.com/%76%31", "https://x.com/v1", true},
        {"x.com/f\xc3\xbcr", "https://x.com/f\xc3\xbcr", true},
        {"x.com/f%C3%BCr", "https://x.com/f\xc3\xbcr", true},
        {"x.com/repos/*/issues", "https://x.com/repos/a/issues/5", true},
        {"x.com/repos/*/issues", "https://x.com/repos/a/b/issues", false},
        {"x.com/repos/*/issues", "https://x.com/repos//issues", false},
        {"x.com/*", "https://x.com/a", true},
        {"x.com/*", "https://x.com/", false},
        {"x.com/user-*.json", "https://x.com/user-7.json", true},
        {"x.com/user-*.json", "https://x.com/user-.json/x", true},
        {"x.com/user-*-7", "https://x.com/user-7", false}, /* the two parts do not share a byte */
        {"x.com/user-*.json", "https://x.com/user-7.jso", false},
        {"x.com/a%2Ab", "https://x.com/a*b", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (fits(cases[i].pattern, cases[i].url, false) != cases[i].fits)
            fail_msg("%s on %s", cases[i].pattern, cases[i].url);
}

static void doubtful_paths_are_what_is_asked_for(void **state)
{
    (void)state;
    static const char *const doubtful[] = {
        "https://x.com/v1/..%2fadmin",  "https://x.com/v1/%2e%2e%2fadmin",
        "https://x.com/v1/..%5Cadmin",  "https://x.com/v1/a%2F..",
        "https://x.com/v1/..%2F..%2Fx", "https://x.com/%2f..%2fv1",
    };
    for (size_t i = 0; i < ARRAY_LEN(doubtful); i++) {
        if (fits("x.com/v1", doubtful[i], false) || !fits("x.com/v1", doubtful[i], true) ||
            !fits("x.com/other", doubtful[i], true))
            fail_msg("%s", doubtful[i]);
        assert_true(fits("x.com", doubtful[i], false)); /* without a path nothing is in doubt */
        assert_false(fits("y.com/v1", doubtful[i], true));
    }
    assert_true(fits("x.com/v1", "https://x.com/v1/a..b/...", false));
}

static void bad_patterns_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "*.",
        "*.*",
        "a*.com",
        "*a.com",
        "a.**.com",
        "a.com.*",
        "*.1",
        "*.1.2.3",
        "*.127.0.0.1",
        "*.[::1]",
        "a.*.4",
        "host:",
        "host:0",
        "host:65536",
        "host:x",
        ":80",
        "[::1",
        "::1",
        "ftp://x.com",
        "https://",
        "https:///x",
        "a b.com",
        "x.com/a b",
        "user@x.com",
        "x.com?q",
        "x.com/a?q",
        "x.com/a#f",
        "x.com/..",
        "x.com/a/..",
        "x.com/%2e%2e",
        "x.com/a\\b",
        "x.com/*a*",
        "x.com/a%00 b",
        "10.0.0.300",
        "x%00.com",
        "x.com/\tx",
        "..",
        ".",
        "a..*.com",
        "x.com/\x01",
        "a.*.c\xc3\xbc.com/*x*",
    };
    struct arena *a = arena_new(NULL);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error error = {0};
        struct url_pattern p;
        if (url_pattern_parse(a, slice_cstr(bad[i]), &p, &error) != ERR_INVALID)
            fail_msg("'%s' was taken", bad[i]);
        assert_true(error.hint[0]);
    }
    CLEANUP(bytes_done) struct bytes longest = BYTES_INIT;
    struct url_pattern p;
    bytes_append_cstr(&longest, "x.com/");
    while (longest.len <= URL_PATTERN_BYTES_MAX)
        bytes_append_char(&longest, 'a');
    assert_int_equal(url_pattern_parse(a, slice_of(longest.ptr, URL_PATTERN_BYTES_MAX), &p, NULL),
                     OK);
    assert_int_equal(
        url_pattern_parse(a, slice_of(longest.ptr, URL_PATTERN_BYTES_MAX + 1), &p, NULL),
        ERR_INVALID);
    assert_int_equal(url_pattern_parse(a, slice_of("x\0.com", 6), &p, NULL), ERR_INVALID);
    assert_int_equal(url_pattern_parse(a, SLICE_LIT("x\xff.com"), &p, NULL), ERR_INVALID);
    arena_free(a);
}

static struct egress_verdict judge(const struct egress_policy *p, const char *module,
                                   const char *method, const char *url)
{
    struct arena *a = arena_new(NULL);
    struct url_target t;
    assert_int_equal(url_target_parse(a, slice_cstr(url), &t, NULL), OK);
    struct egress_verdict v = egress_policy_judge(p, slice_cstr(module), slice_cstr(method), &t);
    arena_free(a);
    return v;
}

static void add(struct egress_policy *p, int64_t id, bool is_allow, const char *methods,
                const char *pattern, const char *module)
{
    struct error error = {0};
    const struct egress_policy_rule rule = {id, is_allow, slice_cstr(methods), slice_cstr(pattern),
                                            slice_cstr(module)};
    if (egress_policy_add(p, &rule, &error) != OK)
        fail_msg("%s: %s", pattern, error.message);
}

static void the_first_rule_that_fits_holds(void **state)
{
    (void)state;
    struct egress_policy *p = egress_policy_new(true, 10);
    add(p, 7, false, "", "api.example.com/admin", "");
    add(p, 2, true, "GET,HEAD", "*.example.com", "");
    add(p, 3, true, "", "*.example.com/hooks", "sender");
    static const struct {
        const char *module, *method, *url;
        bool is_allowed;
        int64_t rule;
    } cases[] = {
        {"f", "GET", "https://api.example.com/x", true, 2},
        {"f", "get", "https://api.example.com/x", true, 2},
        {"f", "GETX", "https://api.example.com/x", false, 0},
        {"f", "POST", "https://api.example.com/x", false, 0},
        {"f", "GET", "https://api.example.com/admin/x", false, 7},
        {"f", "GET", "https://api.example.com/x/..%2fadmin", false, 7},
        {"f", "GET", "https://other.example.com/x/..%2fadmin", true, 2},
        {"f", "POST", "https://api.example.com/hooks/1", false, 0},
        {"sender", "POST", "https://api.example.com/hooks/1", true, 3},
        {"sender", "POST", "https://api.example.com/hooks/..%2f1", false, 7},
        {"sender", "POST", "https://other.example.com/hooks/..%2f1", false, 0},
        {"f", "GET", "https://example.org/", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct egress_verdict v = judge(p, cases[i].module, cases[i].method, cases[i].url);
        if (v.is_allowed != cases[i].is_allowed || (v.rule ? v.rule->id : 0) != cases[i].rule)
            fail_msg("%s %s of %s: rule %lld", cases[i].method, cases[i].url, cases[i].module,
                     (long long)(v.rule ? v.rule->id : 0));
    }
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    egress_policy_rule_text(judge(p, "sender", "POST", "https://a.example.com/hooks").rule, &text);
    assert_string_equal(bytes_cstr(&text), "allow *.example.com/hooks from sender");
    egress_policy_unref(p);
    p = egress_policy_new(false, 0);
    assert_true(judge(p, "f", "GET", "https://example.org/").is_allowed);
    egress_policy_unref(p);
}

static void lists_are_bounded_and_judged_in_no_time(void **state)
{
    (void)state;
    struct egress_policy *p = egress_policy_new(true, EGRESS_POLICY_RULES_MAX + 5);
    CLEANUP(bytes_done) struct bytes pattern = BYTES_INIT, url = BYTES_INIT;
    bytes_append_cstr(&pattern, "*.a.a.a.a.a.a.a.a.com");
    while (pattern.len + 5 <= URL_PATTERN_BYTES_MAX)
        bytes_append_cstr(&pattern, "/a*aa");
    for (int i = 0; i < EGRESS_POLICY_RULES_MAX; i++)
        add(p, i + 1, true, "", bytes_cstr(&pattern), "");
    struct error error;
    const struct egress_policy_rule more = {.pattern = SLICE_LIT("x.com")};
    assert_int_equal(egress_policy_add(p, &more, &error), ERR_LIMIT);
    bytes_append_cstr(&url, "https://a.a.a.a.a.a.a.a.a.com");
    while (url.len < 60000)
        bytes_append_cstr(&url, url.len % 300 == 0 ? "/" : "a");
    bytes_append_char(&url, 'b');
    uint64_t before = clock_monotonic_ns();
    for (int i = 0; i < 10; i++)
        (void)judge(p, "f", "GET", bytes_cstr(&url));
    printf("# 256 rules on a URL of 60 KB: %llu us\n",
           (unsigned long long)(clock_monotonic_ns() - before) / 10000);
    egress_policy_unref(p);
}

static void reports_are_one_a_rule_and_minute(void **state)
{
    (void)state;
    struct egress_policy *p = egress_policy_new(true, 20);
    uint64_t since = 99, reported = 0;
    for (int i = 0; i < 20; i++)
        add(p, i + 1, false, "", "x.com", "");
    struct egress_verdict v = judge(p, "f", "GET", "https://x.com/");
    assert_int_equal(v.rule->id, 1);
    assert_true(egress_policy_refused(p, &v, 0, &since));
    assert_int_equal(since, 0);
    for (int i = 0; i < 1000; i++)
        assert_false(egress_policy_refused(p, &v, 30000, &since));
    assert_false(egress_policy_refused(p, &v, 59999, &since));
    assert_true(egress_policy_refused(p, &v, 60000, &since));
    assert_int_equal(since, 1001);
    /* Many rules together. */
    for (size_t i = 0; i < 20; i++) {
        struct egress_verdict other = {.index = i};
        reported += egress_policy_refused(p, &other, 600000, &since);
    }
    assert_int_equal(reported, EGRESS_REPORTS_MAX);
    egress_policy_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_fit_what_they_name),
        cmocka_unit_test(doubtful_paths_are_what_is_asked_for),
        cmocka_unit_test(bad_patterns_are_refused),
        cmocka_unit_test(the_first_rule_that_fits_holds),
        cmocka_unit_test(lists_are_bounded_and_judged_in_no_time),
        cmocka_unit_test(reports_are_one_a_rule_and_minute),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
