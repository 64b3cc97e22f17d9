/* SPDX-License-Identifier: Apache-2.0
 *
 * See resource_kind.h. */
#include "base/resource_kind.h"

const struct resource_kind_info resource_kinds[RESOURCE_KINDS] = {
    [RESOURCE_KIND_KV] = {.word = "kv", .path = "/kv", .title = "KV namespace"},
    [RESOURCE_KIND_D1] = {.word = "d1", .path = "/d1", .title = "database", .is_database = true},
    [RESOURCE_KIND_QUEUE] = {.word = "queue", .path = "/queues", .title = "queue"},
    [RESOURCE_KIND_BUCKET] = {.word = "bucket", .path = "/buckets", .title = "bucket"},
};

enum resource_kind resource_kind_of_path(struct slice path)
{
    for (unsigned k = 0; k < RESOURCE_KINDS; k++) {
        struct slice of = slice_cstr(resource_kinds[k].path);
        if (slice_starts(path, of) && (path.len == of.len || path.ptr[of.len] == '/'))
            return (enum resource_kind)k;
    }
    CHECK(!"a path of no kind of resource");
    return RESOURCE_KIND_KV;
}

bool resource_kind_find(struct slice word, enum resource_kind *ret_kind)
{
    for (unsigned k = 0; k < RESOURCE_KINDS; k++) {
        if (!slice_eq_cstr(word, resource_kinds[k].word))
            continue;
        *ret_kind = (enum resource_kind)k;
        return true;
    }
    return false;
}

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

enum err resource_name_check(enum resource_kind kind, struct slice name, struct error *ret_error)
{
    bool is_good = name.len > 0 && name.len <= RESOURCE_NAME_BYTES_MAX;
    for (size_t i = 0; is_good && i < name.len; i++) {
        char c = name.ptr[i];
        bool is_inner = i > 0 && i + 1 < name.len && (c == '-' || c == '_' || c == '.');
        is_good = is_inner || is_letter_or_digit(c);
    }
    if (is_good)
        return OK;
    error_set(ret_error, ERR_INVALID, "'%.*s' is not the name of a %s",
              SLICE_ARG(slice_utf8_clip(name, 80)), resource_kinds[kind].title);
    error_hint(ret_error, "use 1 to %d letters, digits and inner '-', '_' and '.'",
               RESOURCE_NAME_BYTES_MAX);
    return ERR_INVALID;
}
