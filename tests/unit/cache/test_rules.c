/* SPDX-License-Identifier: Apache-2.0
 *
 * Which responses may be kept, for how long, and what conditions and ranges get of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cache/rules.h"

#define NOW INT64_C(1800000000000) /* 2027-01-15T08:00:00Z */

/* Of a response with status 200 and one header, or two. */
static int64_t fresh_s(const char *name, const char *value, const char *other)
{
    const struct http_header list[] = {{slice_cstr(name), slice_cstr(value)},
                                       {SLICE_LIT("set-cookie"), slice_cstr(other ? other : "")}};
    const struct cache_headers h = {list, other ? 2 : 1};
    const struct cache_policy p = cache_policy(200, h, NOW);
    return p.may_keep ? p.fresh_ms / 1000 : -1;
}

static int64_t default_s(int status)
{
    const struct cache_policy p = cache_policy(status, (struct cache_headers){NULL, 0}, NOW);
    return p.may_keep ? p.fresh_ms / 1000 : -1;
}

static void cache_control_says_how_long(void **state)
{
    (void)state;
    assert_int_equal(fresh_s("cache-control", "max-age=60", NULL), 60);
    assert_int_equal(fresh_s("cache-control", "Max-Age=\"60\"", NULL), 60);
    assert_int_equal(fresh_s("cache-control", "max-age=60, s-maxage=5", NULL), 5);
    assert_int_equal(fresh_s("cache-control", "s-maxage=5,max-age=0", NULL), 5);
    assert_int_equal(fresh_s("cache-control", "public, max-age=99999999999999999999", NULL), -1);
    assert_int_equal(fresh_s("cache-control", "max-age=999999999", NULL), 365 * 24 * 3600);
    assert_int_equal(fresh_s("cache-control", "max-age=0", NULL), -1);
    assert_int_equal(fresh_s("cache-control", "max-age=x", NULL), -1);
    assert_int_equal(fresh_s("cache-control", "no-store", NULL), -1);
    assert_int_equal(fresh_s("cache-control", "max-age=60, no-cache", NULL), -1);
    assert_int_equal(fresh_s("cache-control", "private, max-age=60", NULL), -1);
    assert_int_equal(fresh_s("cache-control", "private=\"x, set-cookie\", max-age=60", NULL), -1);
    assert_int_equal(fresh_s("expires", "Fri, 15 Jan 2027 08:00:30 GMT", NULL), 30);
    assert_int_equal(fresh_s("expires", "Fri, 15 Jan 2027 08:00:00 GMT", NULL), -1);
    assert_int_equal(fresh_s("expires", "0", NULL), -1);
    assert_int_equal(default_s(200), 7200);
    assert_int_equal(default_s(302), 1200);
    assert_int_equal(default_s(404), 180);
    assert_int_equal(default_s(500), -1);
}

static void what_is_one_clients_is_not_kept(void **state)
{
    (void)state;
    assert_int_equal(fresh_s("cache-control", "max-age=60", "a=b"), -1);
    assert_int_equal(fresh_s("cache-control", "max-age=60, private=Set-Cookie", "a=b"), 60);
    assert_int_equal(fresh_s("vary", "accept, *", NULL), -1);
    assert_int_equal(fresh_s("vary", "accept", NULL), 7200);
    const struct http_header list[] = {{SLICE_LIT("cache-control"), SLICE_LIT("max-age=60")}};
    const struct cache_headers h = {list, 1};
    assert_true(cache_policy(500, h, NOW).may_keep);
    assert_false(cache_policy(206, h, NOW).may_keep);
    assert_false(cache_policy(304, h, NOW).may_keep);
    assert_false(cache_policy(101, h, NOW).may_keep);
    assert_string_equal(cache_policy(206, h, NOW).why, "its status");
}

static enum cache_answer answer(const char *name, const char *value, const char *if_range,
                                uint64_t *ret_from, uint64_t *ret_to)
{
    static const struct http_header response[] = {
        {SLICE_LIT("etag"), SLICE_LIT("\"v1\"")},
        {SLICE_LIT("last-modified"), SLICE_LIT("Sun, 06 Nov 1994 08:49:37 GMT")}};
    const struct http_header request[] = {
        {slice_cstr(name), slice_cstr(value)},
        {SLICE_LIT("if-range"), slice_cstr(if_range ? if_range : "")}};
    return cache_answer((struct cache_headers){request, if_range ? 2 : 1}, 200,
                        (struct cache_headers){response, 2}, 100, ret_from, ret_to);
}

static void conditions_are_answered(void **state)
{
    (void)state;
    uint64_t from = 0, to = 0;
    static const char *const date = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_int_equal(answer("if-none-match", "\"v1\"", NULL, &from, &to), CACHE_NOT_MODIFIED);
    assert_int_equal(answer("if-none-match", "\"a,b\", W/\"v1\"", NULL, &from, &to),
                     CACHE_NOT_MODIFIED);
    assert_int_equal(answer("if-none-match", "*", NULL, &from, &to), CACHE_NOT_MODIFIED);
    assert_int_equal(answer("if-none-match", "\"v2\"", NULL, &from, &to), CACHE_WHOLE);
    assert_int_equal(answer("if-modified-since", date, NULL, &from, &to), CACHE_NOT_MODIFIED);
    assert_int_equal(answer("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT", NULL, &from, &to),
                     CACHE_WHOLE);
    assert_int_equal(answer("range", "bytes=10-19", NULL, &from, &to), CACHE_PART);
    assert_int_equal(from, 10);
    assert_int_equal(to, 20);
    assert_int_equal(answer("range", "bytes=-1", "\"v1\"", &from, &to), CACHE_PART);
    assert_int_equal(from, 99);
    assert_int_equal(answer("range", "bytes=0-1", date, &from, &to), CACHE_PART);
    assert_int_equal(answer("range", "bytes=0-1", "\"v2\"", &from, &to), CACHE_WHOLE);
    assert_int_equal(answer("range", "bytes=0-1", "W/\"v1\"", &from, &to), CACHE_WHOLE);
    assert_int_equal(answer("range", "bytes=100-", NULL, &from, &to), CACHE_NO_PART);
    assert_int_equal(answer("range", "lines=1-2", NULL, &from, &to), CACHE_WHOLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache_control_says_how_long),
        cmocka_unit_test(what_is_one_clients_is_not_kept),
        cmocka_unit_test(conditions_are_answered),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
