/* SPDX-License-Identifier: Apache-2.0
 *
 * See builtin.h. guest/compile.mjs writes the pack (guest/pack.mjs): for each module u32 length and the
 * name, then u32 length and the bytecode, each followed by a NUL; little-endian. What bundles may import
 * comes first. */
#include "script/builtin.h"

#include <endian.h>
#include <string.h>

extern const char limpet_builtins[];
extern const uint64_t limpet_builtins_len;

static struct slice builtin_take(struct slice *pack)
{
    uint32_t len;
    CHECK(pack->len >= sizeof(len));
    memcpy(&len, pack->ptr, sizeof(len));
    len = le32toh(len);
    CHECK(len < pack->len - sizeof(len));
    struct slice taken = slice_of(pack->ptr + sizeof(len), len);
    *pack = slice_skip(*pack, sizeof(len) + len + 1);
    return taken;
}

bool builtin_find(struct slice name, struct slice *ret_code)
{
    struct slice pack = slice_of(limpet_builtins, limpet_builtins_len);
    while (pack.len) {
        struct slice at = builtin_take(&pack), code = builtin_take(&pack);
        if (!slice_eq(at, name))
            continue;
        *ret_code = code;
        return true;
    }
    return false;
}

struct slice builtin_name(size_t i)
{
    struct slice pack = slice_of(limpet_builtins, limpet_builtins_len);
    while (pack.len) {
        struct slice name = builtin_take(&pack);
        (void)builtin_take(&pack);
        if (slice_starts(name, SLICE_LIT("internal/")))
            break;
        if (i-- == 0)
            return name;
    }
    return SLICE_EMPTY;
}
