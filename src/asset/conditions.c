/* SPDX-License-Identifier: Apache-2.0
 *
 * If-None-Match, Range and Accept-Encoding. */
#include "asset/assets.h"

/* Entity tags are the content's hash, perhaps with a coding behind it (server/files.c). */
bool asset_is_known(struct slice if_none_match, struct slice hash)
{
    while (if_none_match.len > 0) {
        struct slice tag = slice_trim(slice_split(&if_none_match, ','));
        if (slice_eq_cstr(tag, "*"))
            return true;
        if (slice_starts(tag, SLICE_LIT("W/")))
            tag = slice_skip(tag, 2);
        tag = slice_skip(tag, 1);
        if (slice_starts(tag, slice_of(hash.ptr, 32)) && tag.len > 32 &&
            (tag.ptr[32] == '"' || tag.ptr[32] == '-'))
            return true;
    }
    return false;
}

enum asset_range asset_range(struct slice range, uint64_t size, uint64_t *ret_from,
                             uint64_t *ret_to)
{
    if (!slice_starts(range, SLICE_LIT("bytes=")) || slice_find(range, ',') >= 0)
        return ASSET_RANGE_NONE;
    struct slice last = slice_skip(range, 6);
    if (slice_find(last, '-') < 0)
        return ASSET_RANGE_NONE;
    const struct slice first = slice_trim(slice_split(&last, '-'));
    uint64_t from = 0, to = 0;
    last = slice_trim(last);
    if ((first.len == 0 && last.len == 0) || (first.len > 0 && !slice_to_u64(first, &from)) ||
        (last.len > 0 && !slice_to_u64(last, &to)))
        return ASSET_RANGE_NONE;
    if (first.len == 0) { /* so many from the end */
        if (to == 0 || size == 0)
            return ASSET_RANGE_BAD;
        *ret_from = to < size ? size - to : 0;
        *ret_to = size;
        return ASSET_RANGE_PART;
    }
    if (last.len > 0 && to < from)
        return ASSET_RANGE_NONE;
    if (from >= size)
        return ASSET_RANGE_BAD;
    *ret_from = from;
    *ret_to = last.len == 0 || to >= size ? size : to + 1;
    return ASSET_RANGE_PART;
}

bool asset_accepts(struct slice accept, struct slice coding)
{
    while (accept.len > 0) {
        struct slice weight = slice_split(&accept, ',');
        const struct slice name = slice_trim(slice_split(&weight, ';'));
        if (!slice_eq_nocase(name, coding))
            continue;
        weight = slice_trim(weight);
        /* "q=0", "q=0.000" */
        if (!slice_starts(weight, SLICE_LIT("q=0")))
            return true;
        weight = slice_skip(weight, 3);
        for (size_t i = 0; i < weight.len; i++)
            if (weight.ptr[i] >= '1' && weight.ptr[i] <= '9')
                return true;
        return false;
    }
    return false;
}
