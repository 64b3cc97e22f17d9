/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/check.h"
#include "http/placeholder.h"

#define P1 "limpet_secret_0123456789abcdef0123456789abcdef0123456789abcdef"
#define P2 "limpet_secret_ffffffffffffffffffffffffffffffffffffffffffffffff"

static struct url_pattern host(struct arena *a, const char *text)
{
    struct url_pattern p = {0};
    struct error error = {0};
    if (placeholder_host_parse(a, slice_cstr(text), &p, &error) != OK)
        fail_msg("%s: %s", text, error.message);
    return p;
}

/* What is sent of a header to a URL; P1 is bound to api.example.com and http://127.0.0.1:99, P2 to
 * *.example.org/v1. */
static const char *sent(struct arena *a, const char *url, const char *name, const char *value)
{
    const struct url_pattern first[] = {host(a, "api.example.com"), host(a, "http://127.0.0.1:99")};
    const struct url_pattern second[] = {host(a, "*.example.org/v1")};
    const struct placeholder list[] = {{SLICE_LIT(P1), SLICE_LIT("value-one"), first, 2},
                                       {SLICE_LIT(P2), SLICE_LIT("two"), second, 1}};
    struct url_target t;
    struct slice v = slice_cstr(value);
    assert_int_equal(url_target_parse(a, slice_cstr(url), &t, NULL), OK);
    struct placeholder_fill f = placeholder_fill_for(list, ARRAY_LEN(list), &t);
    assert_int_equal(placeholder_fill(&f, slice_cstr(name), &v, NULL), OK);
    return arena_cstr(a, v);
}

static void only_bound_hosts_get_the_value(void **state)
{
    (void)state;
    static const struct {
        const char *url, *value, *sent;
    } cases[] = {
        {"https://api.example.com/x", P1, "value-one"},
        {"https://API.example.com.:443/x", "Bearer " P1, "Bearer value-one"},
        {"https://api.example.com/x", "a" P1 "b" P1, "avalue-onebvalue-one"},
        {"http://api.example.com/x", P1, P1}, /* not encrypted */
        {"https://api.example.com:8443/x", P1, P1},
        {"https://api.example.com.evil.org/x", P1, P1},
        {"https://evil.org/api.example.com", P1, P1},
        {"https://sub.api.example.com/", P1, P1},
        {"http://127.0.0.1:99/", P1, "value-one"},
        {"https://127.0.0.1:99/", P1, P1},
        {"http://127.0.0.1/", P1, P1},
        {"http://127.0.0.2:99/", P1, P1},
        {"https://a.example.org/v1/x", P2, "two"},
        {"https://a.example.org/v1/x", P1 P2 P1, P1 "two" P1},
        {"https://a.example.org/v2", P2, P2},
        {"https://a.example.org/v1/..%2fv2", P2, P2}, /* doubtful */
        {"https://example.org/v1", P2, P2},
        /* What is not quite one stays as it is. */
        {"https://api.example.com/", "limpet_secret_", "limpet_secret_"},
        {"https://api.example.com/", "limpet_secret_" P1, "limpet_secret_value-one"},
        {"https://api.example.com/", "limpet_secret_0123456789abcdef",
         "limpet_secret_0123456789abcdef"},
        {"https://api.example.com/",
         "LIMPET_SECRET_0123456789abcdef0123456789abcdef0123456789abcdef",
         "LIMPET_SECRET_0123456789abcdef0123456789abcdef0123456789abcdef"},
        {"https://api.example.com/", "", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *a = arena_new(NULL);
        const char *got = sent(a, cases[i].url, "x-api-key", cases[i].value);
        if (strcmp(got, cases[i].sent) != 0)
            fail_msg("%s, '%s': '%s'", cases[i].url, cases[i].value, got);
        arena_free(a);
    }
}

static void inside_of_basic(void **state)
{
    (void)state;
    struct arena *a = arena_new(NULL);
    /* user:P1, and what becomes of it: user:value-one */
    static const char given[] =
        "Basic dXNlcjpsaW1wZXRfc2VjcmV0XzAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFi"
        "Y2RlZg==";
    assert_string_equal(sent(a, "https://api.example.com/", "Authorization", given),
                        "Basic dXNlcjp2YWx1ZS1vbmU=");
    assert_string_equal(sent(a, "https://api.example.com/", "authorization", given),
                        "Basic dXNlcjp2YWx1ZS1vbmU=");
    assert_string_equal(sent(a, "https://evil.org/", "authorization", given), given);
    assert_string_equal(sent(a, "https://api.example.com/", "x-auth", given), given);
    static const char *const odd[] = {
        "Basic", "Basic ", "Basic =", "Basic ====", "Basic %%%%", "Basic dXNlcjpw"};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        assert_string_equal(sent(a, "https://api.example.com/", "authorization", odd[i]), odd[i]);
    arena_free(a);
}

static void places_are_bounded(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes value = BYTES_INIT;
    struct arena *a = arena_new(NULL);
    const struct url_pattern hosts[] = {host(a, "api.example.com")};
    const struct placeholder list[] = {{SLICE_LIT(P1), SLICE_LIT("v"), hosts, 1}};
    struct url_target t;
    struct error error = {0};
    for (int i = 0; i < PLACEHOLDER_FILLS_MAX; i++)
        bytes_append_cstr(&value, P1);
    struct slice v = bytes_slice(&value);
    assert_int_equal(url_target_parse(a, SLICE_LIT("https://api.example.com/"), &t, NULL), OK);
    struct placeholder_fill f = placeholder_fill_for(list, 1, &t);
    assert_int_equal(placeholder_fill(&f, SLICE_LIT("a"), &v, &error), OK);
    assert_int_equal(v.len, PLACEHOLDER_FILLS_MAX);
    v = SLICE_LIT(P1);
    assert_int_equal(placeholder_fill(&f, SLICE_LIT("b"), &v, &error), ERR_LIMIT);
    arena_free(a);
}

static void hosts_that_none_can_be_bound_to(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "*", "https://*", "*:443", "a*.com", "ftp://x", "x y"};
    struct arena *a = arena_new(NULL);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct url_pattern p;
        struct error error = {0};
        if (placeholder_host_parse(a, slice_cstr(bad[i]), &p, &error) != ERR_INVALID)
            fail_msg("'%s' was taken", bad[i]);
        assert_true(error.hint[0]);
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_bound_hosts_get_the_value),
        cmocka_unit_test(inside_of_basic),
        cmocka_unit_test(places_are_bounded),
        cmocka_unit_test(hosts_that_none_can_be_bound_to),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
