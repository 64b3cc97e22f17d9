/* SPDX-License-Identifier: Apache-2.0
 *
 * The face of crate `url` (deps/limpet-deps). Input: a URL, a line of its own for one resolved
 * against it, then lines of which each is a setter (its first byte says which) and a value. Every
 * URL that comes out holds what url_check.h says, and nothing panics. */
#include "fuzz/url_check.h"
#include "http/url_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void resolve(const struct deps_url *base, struct slice text)
{
    struct deps_url u;
    if (!deps_url_parse(text.ptr, text.len, base->href, base->href_len, &u))
        return;
    url_check(&u);
    deps_url_done(&u);
}

static void set(struct deps_url *u, struct slice line)
{
    struct deps_url changed;
    if (!line.len)
        return;
    enum deps_url_part part = (enum deps_url_part)((unsigned char)(line.ptr[0] - '0') % 10);
    struct slice value = slice_skip(line, 1);
    if (!url_set(slice_of(u->href, u->href_len), part, value, &changed))
        return;
    url_check(&changed);
    deps_url_done(u);
    *u = changed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of((const char *)data, size);
    struct slice input = slice_split(&rest, '\n');
    struct deps_url u;
    if (deps_url_parse(input.ptr, input.len, NULL, 0, &u)) {
        url_check(&u);
        resolve(&u, slice_split(&rest, '\n'));
        while (rest.len)
            set(&u, slice_split(&rest, '\n'));
        deps_url_done(&u);
    }
    CHECK(deps_panics() == 0);
    return 0;
}
