/* SPDX-License-Identifier: Apache-2.0
 *
 * The face of crate `url`: no shape of URL and no setter ends the process, and what comes out is
 * what it says (fuzz/url_check.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fuzz/url_check.h"
#include "http/url_set.h"

static bool parse(const char *text, const char *base, struct deps_url *ret)
{
    return deps_url_parse(text, strlen(text), base, base ? strlen(base) : 0, ret);
}

static struct slice part_of(const struct deps_url *u, enum deps_url_part part)
{
    switch (part) {
    case DEPS_URL_USERNAME:
        return url_part(u, u->username_start, u->username_end);
    case DEPS_URL_PASSWORD:
        return url_part(u, u->password_start, u->password_end);
    case DEPS_URL_HOSTNAME:
        return url_part(u, u->host_start, u->host_end);
    case DEPS_URL_PATHNAME:
        return url_part(u, u->path_start, u->path_end);
    default:
        return slice_of(u->href, u->href_len);
    }
}

static void assert_part(const struct deps_url *u, enum deps_url_part part, const char *expected)
{
    CLEANUP(bytes_done) struct bytes got = BYTES_INIT;
    bytes_append_slice(&got, part_of(u, part));
    assert_string_equal(bytes_cstr(&got), expected);
}

static void panics_are_caught(void **state)
{
    uint64_t before = deps_panics();
    assert_true(deps_panic_is_caught());
    assert_true(deps_panic_is_caught()); /* and the guard is as it was */
    assert_int_equal(deps_panics(), before + 2);
}

static unsigned told_times;
static bool told_of_this_file;

static void on_panic(const char *text, size_t len)
{
    told_times++;
    static const char expected[] = "asked for by a test";
    told_of_this_file = memmem(text, len, expected, sizeof(expected) - 1) != NULL;
}

/* Input that panics can come with each request: one line, not one for each. */
static void first_panic_is_told(void **state)
{
    deps_on_panic(on_panic);
    for (int i = 0; i < 3; i++)
        assert_true(deps_panic_is_caught());
    assert_int_equal(told_times, 1);
    assert_true(told_of_this_file);
}

static const char *const schemes[] = {"foo",  "a",           "web+x",    "javascript", "data",
                                      "blob", "view-source", "postgres", "http",       "https",
                                      "ws",   "wss",         "ftp",      "file"};
static const char *const shapes[] = {
    ":",          ":/",       "://",        ":///",       ":////",    "://?",        "://#",
    "://?#",      "://?q#f",  "://@",       "://:@",      "://u@",    "://:80",      "://u:p@",
    "://h",       "://h:",    "://h:80",    "://u@h",     "://u:@h",  "://:p@h",     "://u:p@h",
    "://u:p@h:1", "://h?",    "://h#",      "://me@h/",   ":/.//p",   ":/..//p",     ":..",
    ":?",         ":#",       ":?q#f",      "://%",       "://[::1]", "://[",        "://\\",
    ":\\\\h",     ":/\\h",    "://h/../..", "://h/%2e",   "://a b",   "://\xc3\xa9", ":// ",
    ":o p ?q",    "://h/ # ", "://h:65535", "://h:65536", "://1.2.3", "://0x7f.1"};

static void every_shape(void **state)
{
    uint64_t before = deps_panics();
    size_t parsed = 0;
    for (size_t s = 0; s < ARRAY_LEN(schemes); s++) {
        for (size_t k = 0; k < ARRAY_LEN(shapes); k++) {
            CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
            struct deps_url u, relative;
            bytes_printf(&text, "%s%s", schemes[s], shapes[k]);
            if (!parse(bytes_cstr(&text), NULL, &u))
                continue;
            parsed++;
            url_check(&u);
            static const char *const links[] = {"",    "x",      "/x",   "//",   "//h",
                                                "///", "?q",     "#f",   "..",   "/.//",
                                                ".",   "//u@:1", "\\\\", "//h:0"};
            for (size_t r = 0; r < ARRAY_LEN(links); r++) {
                if (!deps_url_parse(links[r], strlen(links[r]), u.href, u.href_len, &relative))
                    continue;
                url_check(&relative);
                deps_url_done(&relative);
            }
            deps_url_done(&u);
        }
    }
    assert_true(parsed > ARRAY_LEN(schemes) * ARRAY_LEN(shapes) / 2);
    assert_int_equal(deps_panics(), before);
}

static void every_setter(void **state)
{
    static const char *const values[] = {
        "",         "h",   "h:",    ":",  ":80", "80", "0",  "foo",     "http",   "file:", "x:y",
        "//",       "//p", "/.//p", "?",  "#",   "?q", "#f", "@",       "u:p@h",  "[::1]", "a b",
        "\xc3\xa9", "%",   "%2e",   "..", "\\",  " ",  "\t", "1.2.3.4", "h/p?q#f"};
    uint64_t before = deps_panics();
    size_t changed_len = 0;
    for (size_t s = 0; s < ARRAY_LEN(schemes); s++) {
        for (size_t k = 0; k < ARRAY_LEN(shapes); k++) {
            CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
            struct deps_url u, changed;
            bytes_printf(&text, "%s%s", schemes[s], shapes[k]);
            if (!parse(bytes_cstr(&text), NULL, &u))
                continue;
            for (unsigned part = DEPS_URL_PROTOCOL; part <= DEPS_URL_HASH; part++) {
                for (size_t v = 0; v < ARRAY_LEN(values); v++) {
                    if (!url_set(slice_of(u.href, u.href_len), (enum deps_url_part)part,
                                 slice_cstr(values[v]), &changed))
                        continue;
                    changed_len++;
                    url_check(&changed);
                    deps_url_done(&changed);
                }
            }
            deps_url_done(&u);
        }
    }
    assert_true(changed_len > 10000);
    assert_int_equal(deps_panics(), before);
}

static void a_host_is_emptied(void **state)
{
    struct deps_url u, changed;
    assert_true(parse("foo://h", NULL, &u));
    assert_true(deps_url_set(u.href, u.href_len, DEPS_URL_HOST, "", 0, &changed));
    assert_part(&changed, DEPS_URL_HOSTNAME, "");
    assert_part(&changed, DEPS_URL_HASH, "foo://"); /* the href */
    deps_url_done(&changed);
    deps_url_done(&u);
    /* A port or a user needs a host. */
    static const char *const needy[] = {"foo://h:80", "foo://u@h", "foo://:p@h", "http://h"};
    for (size_t i = 0; i < ARRAY_LEN(needy); i++) {
        assert_true(parse(needy[i], NULL, &u));
        assert_false(deps_url_set(u.href, u.href_len, DEPS_URL_HOST, "", 0, &changed));
        assert_false(deps_url_set(u.href, u.href_len, DEPS_URL_HOSTNAME, "", 0, &changed));
        deps_url_done(&u);
    }
}

/* https://url.spec.whatwg.org/#url-serializing: what would be read as a host begins with "/.". */
static void paths_that_look_like_hosts(void **state)
{
    static const struct {
        const char *text;
        enum deps_url_part part;
        const char *value, *href, *host, *path;
    } cases[] = {
        {"foo:/x", DEPS_URL_PATHNAME, "//y", "foo:/.//y", "", "//y"},
        {"foo:/x", DEPS_URL_PATHNAME, "/.//y", "foo:/.//y", "", "//y"},
        {"foo:/a//b?q#f", DEPS_URL_PATHNAME, "/..//c", "foo:/.//c?q#f", "", "//c"},
        {"foo:/.//x", DEPS_URL_PATHNAME, "z", "foo:/z", "", "/z"},
        {"foo:/.//x", DEPS_URL_PATHNAME, "", "foo:/", "", "/"},
        {"foo:/x", DEPS_URL_PATHNAME, "a?b#c\t d ", "foo:/a%3Fb%23c%20d%20", "",
         "/a%3Fb%23c%20d%20"},
        {"foo:/.//x", DEPS_URL_HOST, "h:8", "foo://h:8//x", "h", "//x"},
        {"foo:/.//x?q", DEPS_URL_HOSTNAME, "h", "foo://h//x?q", "h", "//x"},
        {"foo://h/x", DEPS_URL_PATHNAME, "//y", "foo://h//y", "h", "//y"},
        {"http://h/x", DEPS_URL_PATHNAME, "//y", "http://h//y", "h", "//y"},
        {"foo:/x", DEPS_URL_HOST, "h", "foo://h/x", "h", "/x"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct deps_url u;
        assert_true(
            url_set(slice_cstr(cases[i].text), cases[i].part, slice_cstr(cases[i].value), &u));
        assert_part(&u, DEPS_URL_HASH, cases[i].href); /* the href */
        assert_part(&u, DEPS_URL_HOSTNAME, cases[i].host);
        assert_part(&u, DEPS_URL_PATHNAME, cases[i].path);
        url_check(&u);
        deps_url_done(&u);
    }
}

static void credentials(void **state)
{
    static const struct {
        const char *text, *username, *password, *host;
    } cases[] = {
        {"http://me@h/", "me", "", "h"},
        {"http://me:@h/", "me", "", "h"},
        {"http://:pw@h/", "", "pw", "h"},
        {"http://me:pw@h/", "me", "pw", "h"},
        {"http://h/", "", "", "h"},
        {"postgres://me@h/db", "me", "", "h"},
        {"foo://me@h", "me", "", "h"},
        {"foo://", "", "", ""},
        {"foo://h:80", "", "", "h"},
        {"http://a%40b:c%3Ad@h", "a%40b", "c%3Ad", "h"},
        {"mailto:me@h", "", "", ""},
        {"file:///x", "", "", ""},
        {"http://me@[::1]:81/", "me", "", "[::1]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct deps_url u;
        assert_true(parse(cases[i].text, NULL, &u));
        assert_part(&u, DEPS_URL_USERNAME, cases[i].username);
        assert_part(&u, DEPS_URL_PASSWORD, cases[i].password);
        assert_part(&u, DEPS_URL_HOSTNAME, cases[i].host);
        deps_url_done(&u);
    }
}

static void refused_input(void **state)
{
    struct deps_url u = {.port = 4711};
    static char large[DEPS_URL_BYTES_MAX + 1];
    memset(large, 'a', sizeof(large));
    memcpy(large, "foo:", 4);
    assert_false(parse("nope", NULL, &u));
    assert_false(parse("x", "nope", &u));
    assert_false(parse("foo:\xff", NULL, &u));
    assert_false(deps_url_parse(large, sizeof(large), NULL, 0, &u));
    assert_false(deps_url_set("nope", 4, DEPS_URL_HOST, "h", 1, &u));
    assert_false(deps_url_set("foo://h", 7, (enum deps_url_part)9, "h", 1, &u));
    assert_int_equal(u.port, 4711);
    assert_true(deps_url_parse("http://h", 8, NULL, 0, &u));
    deps_url_done(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape),         cmocka_unit_test(every_setter),
        cmocka_unit_test(a_host_is_emptied),   cmocka_unit_test(paths_that_look_like_hosts),
        cmocka_unit_test(credentials),         cmocka_unit_test(refused_input),
        cmocka_unit_test(first_panic_is_told), cmocka_unit_test(panics_are_caught),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
