/* SPDX-License-Identifier: Apache-2.0
 *
 * Input: a URL, a header's name and its value, split by newlines; "@" in the value stands for the
 * placeholder. To a host that the secret is bound to goes just what replacing it everywhere gives, in
 * the value or inside of Basic; to any other what was given, to the byte. */
#include <openssl/evp.h>

#include "base/check.h"
#include "http/placeholder.h"

#define TEXT "limpet_secret_0123456789abcdef0123456789abcdef0123456789abcdef"
#define SECRET "\x02the value\x03"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replace(struct slice in, struct slice from, struct slice to, struct bytes *out)
{
    while (in.len > 0) {
        bool is_here = slice_starts(in, from);
        bytes_append_slice(out, is_here ? to : slice_of(in.ptr, 1));
        in = slice_skip(in, is_here ? from.len : 1);
    }
}

/* The text inside of "Basic TEXT", as the server reads it; false: it is none. */
static bool basic_text(struct arena *a, struct slice value, struct slice *ret_text)
{
    struct slice scheme = slice_split(&value, ' ');
    value = slice_trim(value);
    if (!slice_eq_nocase(scheme, SLICE_LIT("basic")) || value.len == 0 || value.len % 4)
        return false;
    unsigned char *plain = arena_alloc(a, value.len);
    int len = EVP_DecodeBlock(plain, (const unsigned char *)value.ptr, (int)value.len);
    for (int i = 0; i < 2 && len > 0 && value.ptr[value.len - 1 - (size_t)i] == '='; i++)
        len--;
    *ret_text = slice_of((const char *)plain, len > 0 ? (size_t)len : 0);
    return len >= 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of((const char *)data, size);
    struct slice url = slice_split(&rest, '\n'), name = slice_split(&rest, '\n');
    CLEANUP(bytes_done) struct bytes given = BYTES_INIT, expected = BYTES_INIT;
    struct arena *a = arena_new(NULL);
    struct url_pattern hosts[2];
    struct url_target t;
    CHECK(placeholder_host_parse(a, SLICE_LIT("api.example.com"), &hosts[0], NULL) == OK);
    CHECK(placeholder_host_parse(a, SLICE_LIT("http://*.local:99/v1"), &hosts[1], NULL) == OK);
    const struct placeholder list[] = {{SLICE_LIT(TEXT), SLICE_LIT(SECRET), hosts, 2}};
    replace(rest, SLICE_LIT("@"), SLICE_LIT(TEXT), &given);
    if (url_target_parse(a, url, &t, NULL) == OK) {
        struct slice value = bytes_slice(&given), text;
        bool is_bound =
            url_pattern_matches(&hosts[0], &t, false) || url_pattern_matches(&hosts[1], &t, false);
        bool is_auth = slice_eq_nocase(name, SLICE_LIT("authorization")) ||
                       slice_eq_nocase(name, SLICE_LIT("proxy-authorization"));
        struct placeholder_fill f = placeholder_fill_for(list, 1, &t);
        enum err err = placeholder_fill(&f, name, &value, NULL);
        CHECK(err == OK || err == ERR_LIMIT);
        if (!is_bound)
            CHECK(err == OK && slice_eq(value, bytes_slice(&given)));
        else if (err == OK && is_auth && basic_text(a, bytes_slice(&given), &text)) {
            struct slice sent;
            replace(text, SLICE_LIT(TEXT), SLICE_LIT(SECRET), &expected);
            CHECK(basic_text(a, value, &sent) && slice_eq(sent, bytes_slice(&expected)));
        } else if (err == OK && !(is_auth && slice_starts(value, SLICE_LIT("Basic")))) {
            replace(bytes_slice(&given), SLICE_LIT(TEXT), SLICE_LIT(SECRET), &expected);
            CHECK(is_auth || slice_eq(value, bytes_slice(&expected)));
        }
    }
    arena_free(a);
    return 0;
}
