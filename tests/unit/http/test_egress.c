/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "http/egress.h"

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage s = {0};
    struct sockaddr_in *v4 = (void *)&s;
    struct sockaddr_in6 *v6 = (void *)&s;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
        v4->sin_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
        v6->sin6_family = AF_INET6;
    else
        fail_msg("bad address in test: %s", text);
    return s;
}

static enum err check(const struct egress *e, const char *host, int port, const char *address,
                      struct error *ret_error)
{
    struct sockaddr_storage s = address_of(address);
    return egress_check_address(e, slice_cstr(host), port, (struct sockaddr *)&s, ret_error);
}

static void refuses_what_is_not_public(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.0.0.53",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "192.168.255.255",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::2",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:192.168.1.1",
        "::ffff:0.0.0.0",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",
        "64:ff9b:1::8.8.8.8",
        "100::1",
        "2001::1",
        "2001:0:7f00:1::",
        "2001:0:1:2:3:4:80ff:fffe",
        "2001:10::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:a00:1::1",
        "2002:a9fe:a9fe::1",
        "2002:c0a8:101::",
        "2a00::5efe:10.0.0.1",
        "2a00::200:5efe:127.0.0.1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "8000::1",
        "fc00::1",
        "fd00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::5efe:8.8.8.8",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    };
    struct egress *e = egress_new();
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        struct error error = {0};
        if (check(e, "example.com", 80, refused[i], &error) != ERR_FORBIDDEN)
            fail_msg("%s passed", refused[i]);
        assert_int_equal(error.code, ERR_FORBIDDEN);
        assert_non_null(strstr(error.hint, "--egress-allow example.com:80"));
    }
    egress_free(e);
}

static void passes_what_is_public(void **state)
{
    (void)state;
    static const char *const passed[] = {
        "1.1.1.1",          "8.8.8.8",         "9.255.255.255",        "11.0.0.0",
        "100.63.255.255",   "100.128.0.0",     "126.255.255.255",      "128.0.0.1",
        "168.63.129.15",    "169.253.255.255", "169.255.0.0",          "172.15.255.255",
        "172.32.0.0",       "192.0.1.1",       "192.167.255.255",      "192.169.0.0",
        "198.17.255.255",   "198.20.0.0",      "223.255.255.255",      "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8", "2001:200::1",     "2001:4860:4860::8888", "2002:808:808::1",
        "2606:4700::1111",  "2a00:1450::1",    "2a00::5efe:8.8.8.8",   "3ffe::1",
    };
    struct egress *e = egress_new();
    for (size_t i = 0; i < sizeof(passed) / sizeof(*passed); i++) {
        struct error error = {0};
        if (check(e, "example.com", 443, passed[i], &error) != OK)
            fail_msg("%s refused: %s", passed[i], error.message);
    }
    egress_free(e);
}

static void refuses_other_families(void **state)
{
    (void)state;
    struct egress *e = egress_new();
    assert_int_equal(egress_allow(e, SLICE_LIT("0.0.0.0/0"), NULL), OK);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct error error;
    assert_int_equal(egress_check_address(e, SLICE_LIT("x"), 80, (struct sockaddr *)&un, &error),
                     ERR_FORBIDDEN);
    egress_free(e);
}

struct allow_case {
    const char *rule, *host;
    int port;
    const char *address;
    bool is_allowed;
};

static void rules_allow_what_they_name(void **state)
{
    (void)state;
    static const struct allow_case cases[] = {
        {"localhost", "localhost", 80, "127.0.0.1", true},
        {"localhost", "localhost", 8080, "::1", true},
        {"localhost", "LOCALHOST.", 8080, "::1", true},
        {"LocalHost", "localhost", 8080, "::1", true},
        {"localhost", "127.0.0.1", 80, "127.0.0.1", false},
        {"localhost", "evil.com", 80, "127.0.0.1", false},
        {"localhost", "localhost.evil.com", 80, "127.0.0.1", false},
        {"localhost:3000", "localhost", 3000, "127.0.0.1", true},
        {"localhost:3000", "localhost", 3001, "127.0.0.1", false},
        {"127.0.0.1", "127.0.0.1", 80, "127.0.0.1", true},
        {"127.0.0.1", "anything", 80, "127.0.0.1", true},
        {"127.0.0.1", "anything", 80, "127.0.0.2", false},
        {"127.0.0.1", "127.0.0.1", 80, "::ffff:127.0.0.1", true},
        {"127.0.0.1", "x", 80, "64:ff9b::127.0.0.1", false},
        {"127.0.0.1:81", "127.0.0.1", 80, "127.0.0.1", false},
        {"127.0.0.1:80", "127.0.0.1", 80, "127.0.0.1", true},
        {"::ffff:127.0.0.1", "x", 80, "127.0.0.1", true},
        {"*.internal", "db.internal", 5432, "10.1.2.3", true},
        {"*.internal", "a.b.internal", 5432, "10.1.2.3", true},
        {"*.internal", "internal", 5432, "10.1.2.3", false},
        {"*.internal", "evilinternal", 5432, "10.1.2.3", false},
        {"*.internal", ".internal", 5432, "10.1.2.3", false},
        {"*.internal:80", "db.internal", 5432, "10.1.2.3", false},
        {"10.0.0.0/8", "x", 1, "10.200.0.1", true},
        {"10.0.0.0/8", "x", 1, "11.0.0.1", true}, /* public */
        {"10.0.0.0/8", "x", 1, "192.168.0.1", false},
        {"10.0.0.0/8", "x", 1, "::ffff:10.0.0.1", true},
        {"10.0.0.0/8:443", "x", 443, "10.0.0.1", true},
        {"10.0.0.0/8:443", "x", 80, "10.0.0.1", false},
        {"10.1.2.3/8", "x", 443, "10.9.9.9", true},
        {"192.168.4.0/22", "x", 1, "192.168.7.255", true},
        {"192.168.4.0/22", "x", 1, "192.168.8.0", false},
        {"0.0.0.0/0", "x", 1, "127.0.0.1", true},
        {"0.0.0.0/0", "x", 1, "::1", false},
        {"::/0", "x", 1, "::1", true},
        {"::/0", "x", 1, "127.0.0.1", false},
        {"::ffff:10.0.0.0/104", "x", 1, "10.2.3.4", true},
        {"[::1]:8080", "[::1]", 8080, "::1", true},
        {"[::1]:8080", "::1", 8080, "::1", true},
        {"[::1]:8080", "::1", 8081, "::1", false},
        {"::1", "x", 1, "::1", true},
        {"fd00::/8", "x", 1, "fd12:3456::1", true},
        {"fd00::/8", "x", 1, "fc00::1", false},
        {"[fd00::/8]:443", "x", 443, "fd12::1", true},
        {"[fd00::/8]:443", "x", 80, "fd12::1", false},
        {" 127.0.0.1 ", "x", 80, "127.0.0.1", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct allow_case *c = &cases[i];
        struct egress *e = egress_new();
        struct error error = {0};
        if (egress_allow(e, slice_cstr(c->rule), &error) != OK)
            fail_msg("rule %s: %s", c->rule, error.message);
        if ((check(e, c->host, c->port, c->address, NULL) == OK) != c->is_allowed)
            fail_msg("rule %s, host %s:%d, address %s", c->rule, c->host, c->port, c->address);
        egress_free(e);
    }
}

static void bad_rules_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "*",
        "*.",
        "*.*",
        "a*.com",
        "host:",
        "host:0",
        "host:65536",
        "host:x",
        "host:-1",
        ":80",
        "[::1",
        "::1]",
        "[]",
        "[host]:80",
        "http://x",
        "x/y",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/8/8",
        "::/129",
        "::ffff:1.2.3.4/95",
        "10.0.0.300",
        "010.0.0.1",
        "0x7f.1",
        "2130706433",
        "a b",
        "user@host",
        "host%00",
        "fe80::1%eth0",
    };
    struct egress *e = egress_new();
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct error error = {0};
        if (egress_allow(e, slice_cstr(bad[i]), &error) != ERR_INVALID)
            fail_msg("rule '%s' was taken", bad[i]);
        assert_true(error.hint[0]);
    }
    assert_int_equal(egress_allow(e, slice_of("a\0b", 3), NULL), ERR_INVALID);
    assert_int_equal(check(e, "", 80, "127.0.0.1", NULL), ERR_FORBIDDEN);
    egress_free(e);
}

static void rules_are_bounded(void **state)
{
    (void)state;
    struct egress *e = egress_new();
    enum err err = OK;
    int count = 0;
    while (!err) {
        err = egress_allow(e, SLICE_LIT("a.example"), NULL);
        count++;
    }
    assert_int_equal(err, ERR_LIMIT);
    assert_int_equal(count, 1025);
    egress_free(e);
}

struct domain_case {
    const char *domain, *host;
    int port;
    bool is_allowed;
};

static void domain_lists(void **state)
{
    (void)state;
    static const struct domain_case cases[] = {
        {"api.example.com", "api.example.com", 443, true},
        {"api.example.com", "API.example.com.", 443, true},
        {"api.example.com", "example.com", 443, false},
        {"api.example.com", "x.api.example.com", 443, false},
        {"*.example.com", "api.example.com", 443, true},
        {"*.example.com", "example.com", 443, false},
        {"*.example.com", "notexample.com", 443, false},
        {"*.example.com", "api.example.com.evil.org", 443, false},
        {"api.example.com:443", "api.example.com", 443, true},
        {"api.example.com:443", "api.example.com", 80, false},
        {"127.0.0.1", "127.0.0.1", 80, true},
        {"[::1]:80", "[::1]", 80, true},
        {"[::1]:80", "[::1]", 81, false},
        {"10.0.0.0/8", "10.2.3.4", 80, true},
        {"10.0.0.0/8", "ten.example", 80, false},
        {"nonsense rule", "nonsense", 80, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *const list[] = {"first.example", cases[i].domain, NULL};
        enum err err = egress_check_domain(list, slice_cstr(cases[i].host), cases[i].port, NULL);
        if ((err == OK) != cases[i].is_allowed)
            fail_msg("domain %s, host %s:%d", cases[i].domain, cases[i].host, cases[i].port);
    }
    const char *const none[] = {NULL};
    struct error error = {0};
    assert_int_equal(egress_check_domain(NULL, SLICE_LIT("any"), 80, NULL), OK);
    assert_int_equal(egress_check_domain(none, SLICE_LIT("any"), 80, &error), ERR_FORBIDDEN);
    assert_non_null(strstr(error.message, "any"));
    assert_int_equal(egress_check_domain(none, SLICE_EMPTY, 80, &error), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_not_public),
        cmocka_unit_test(passes_what_is_public),
        cmocka_unit_test(refuses_other_families),
        cmocka_unit_test(rules_allow_what_they_name),
        cmocka_unit_test(bad_rules_are_refused),
        cmocka_unit_test(rules_are_bounded),
        cmocka_unit_test(domain_lists),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
