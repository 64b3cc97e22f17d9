/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a manifest, and looking paths up. */
#include "asset/assets.h"

#include <jansson.h>
#include <stdlib.h>

#include "asset/internal.h"

/* ---- reading ---- */

static enum err manifest_refuse(struct error *ret_error, const char *what)
{
    error_set(ret_error, ERR_INVALID, "the assets %s", what);
    error_hint(ret_error, "GET /openapi.json describes the members");
    return ERR_INVALID;
}

static struct slice manifest_text(struct arena *a, const json_t *v)
{
    return json_is_string(v) ? arena_copy(a, slice_of(json_string_value(v), json_string_length(v)))
                             : SLICE_EMPTY;
}

/* Absolute, of plain parts: nothing that a browser or a file system would read in another way. */
static bool is_path(struct slice path)
{
    if (path.len < 2 || path.len > ASSETS_PATH_BYTES_MAX || path.ptr[0] != '/' ||
        !slice_is_utf8(path))
        return false;
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.ptr[i] < ' ' || path.ptr[i] == 0x7f || path.ptr[i] == '\\')
            return false;
    for (struct slice rest = slice_skip(path, 1); rest.len > 0;) {
        const bool is_last = slice_find(rest, '/') < 0;
        const struct slice part = slice_split(&rest, '/');
        if (part.len == 0 || slice_eq_cstr(part, ".") || slice_eq_cstr(part, "..") ||
            (!is_last && rest.len == 0))
            return false;
    }
    return true;
}

static bool is_hash(struct slice hash)
{
    for (size_t i = 0; i < hash.len; i++)
        if (!((hash.ptr[i] >= '0' && hash.ptr[i] <= '9') ||
              (hash.ptr[i] >= 'a' && hash.ptr[i] <= 'f')))
            return false;
    return hash.len == 64;
}

int asset_compare_paths(struct slice a, struct slice b)
{
    const int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_files(const void *a, const void *b)
{
    return asset_compare_paths(((const struct asset *)a)->path, ((const struct asset *)b)->path);
}

static enum err read_files(struct assets *a, const json_t *files, struct error *ret_error)
{
    const size_t len = json_array_size(files);
    if (!json_is_array(files))
        return manifest_refuse(ret_error, "have no list of files");
    if (len > ASSETS_FILES_MAX) {
        error_set(ret_error, ERR_TOO_LARGE, "there are %zu assets, at most %d are allowed", len,
                  ASSETS_FILES_MAX);
        error_hint(ret_error,
                   "keep many small files in a store, or leave some out (.assetsignore)");
        return ERR_TOO_LARGE;
    }
    a->files = arena_array(a->arena, len + 1, sizeof(*a->files));
    for (size_t i = 0; i < len; i++) {
        const json_t *file = json_array_get(files, i);
        struct asset *f = &a->files[i];
        f->path = manifest_text(a->arena, json_array_get(file, 0));
        f->hash = manifest_text(a->arena, json_array_get(file, 1));
        const json_int_t size = json_integer_value(json_array_get(file, 2));
        if (!is_path(f->path) || !is_hash(f->hash) || size < 0 || size > ASSETS_FILE_BYTES_MAX) {
            error_set(ret_error, ERR_INVALID, "asset %zu ('%.*s') is no [path, SHA-256, size]", i,
                      SLICE_ARG(slice_utf8_clip(f->path, 200)));
            error_hint(ret_error, "a path begins with /, its parts are not empty, '.' or '..'; a "
                                  "file has at most 25 MiB");
            return ERR_INVALID;
        }
        f->size = (uint64_t)size;
        f->type = asset_type(f->path);
    }
    a->files_len = len;
    qsort(a->files, len, sizeof(*a->files), compare_files);
    for (size_t i = 1; i < len; i++)
        if (slice_eq(a->files[i - 1].path, a->files[i].path))
            return manifest_refuse(ret_error, "have a path twice");
    return OK;
}

static enum err read_word(const json_t *root, const char *key, const char *const *words,
                          size_t words_len, unsigned *ret_index, struct error *ret_error)
{
    const char *text = json_string_value(json_object_get(root, key));
    *ret_index = 0;
    if (!text)
        return OK;
    for (size_t i = 0; i < words_len; i++) {
        if (slice_eq_cstr(slice_cstr(text), words[i])) {
            *ret_index = (unsigned)i;
            return OK;
        }
    }
    error_set(ret_error, ERR_INVALID, "assets: '%.40s' is no '%s'", text, key);
    error_hint(ret_error, "docs/assets.md lists what there is");
    return ERR_INVALID;
}

/* "first" and "immutable": patterns, of which those with a "!" take back. */
static enum err read_patterns(struct assets *a, const json_t *list, struct asset_patterns *ret,
                              struct error *ret_error)
{
    const size_t len = json_array_size(list);
    if (len > ASSETS_PATTERNS_MAX)
        return manifest_refuse(ret_error, "have more than 100 patterns");
    ret->items = arena_array(a->arena, len + 1, sizeof(*ret->items));
    for (size_t i = 0; i < len; i++) {
        struct slice text = manifest_text(a->arena, json_array_get(list, i));
        struct asset_pattern *p = &ret->items[i];
        p->is_negative = text.len > 0 && text.ptr[0] == '!';
        text = slice_skip(text, p->is_negative);
        if (text.len == 0 || text.ptr[0] != '/') {
            error_set(ret_error, ERR_INVALID, "the pattern '%.*s' is no path",
                      SLICE_ARG(slice_utf8_clip(text, 100)));
            error_hint(ret_error, "write \"/api/*\", or \"!/api/docs/*\" to take some back");
            return ERR_INVALID;
        }
        enum err err = pattern_parse(a->arena, text, &p->pattern, ret_error);
        if (err)
            return err;
    }
    ret->len = len;
    return OK;
}

static enum err read_rules(struct assets *a, const json_t *root, struct error *ret_error)
{
    const struct slice headers = manifest_text(a->arena, json_object_get(root, "headers"));
    const struct slice redirects = manifest_text(a->arena, json_object_get(root, "redirects"));
    enum err err = rules_headers(a->arena, headers, &a->headers, &a->headers_len, ret_error);
    if (!err)
        err = rules_redirects(a->arena, redirects, &a->redirects, &a->redirects_len, ret_error);
    return err;
}

static enum err read_manifest(struct assets *a, const json_t *root, struct error *ret_error)
{
    static const char *const htmls[] = {"auto-trailing-slash", "force-trailing-slash",
                                        "drop-trailing-slash", "none"};
    static const char *const not_founds[] = {"none", "404-page", "single-page-application"};
    const json_t *first = json_object_get(root, "first");
    unsigned word;
    enum err err = read_files(a, json_object_get(root, "files"), ret_error);
    if (!err)
        err = read_word(root, "html", htmls, ARRAY_LEN(htmls), &word, ret_error);
    if (!err) {
        a->html = (enum asset_html)word;
        err = read_word(root, "not_found", not_founds, ARRAY_LEN(not_founds), &word, ret_error);
    }
    if (!err) {
        a->not_found = (enum asset_not_found)word;
        err = read_patterns(a, first, &a->code_first, ret_error);
    }
    if (!err)
        err = read_patterns(a, json_object_get(root, "immutable"), &a->immutable, ret_error);
    if (!err)
        err = read_rules(a, root, ret_error);
    a->has_code = json_is_true(json_object_get(root, "code"));
    a->is_code_first = json_is_true(first);
    a->prefers_pages = !json_is_false(json_object_get(root, "navigation"));
    return err;
}

enum err assets_parse(struct slice json, struct assets **ret_assets, struct error *ret_error)
{
    if (json.len > ASSETS_MANIFEST_BYTES_MAX)
        return error_set(ret_error, ERR_TOO_LARGE, "the list of assets is larger than %d MiB",
                         ASSETS_MANIFEST_BYTES_MAX >> 20);
    json_t *root = json_loadb(json.ptr ? json.ptr : "", json.len, JSON_REJECT_DUPLICATES, NULL);
    struct arena *arena = arena_new(NULL);
    struct assets *a = arena_new_struct(arena, struct assets);
    a->arena = arena;
    a->refs = 1;
    enum err err = json_is_object(root) ? read_manifest(a, root, ret_error)
                                        : manifest_refuse(ret_error, "are no object");
    json_decref(root);
    if (err)
        arena_free(arena);
    else
        *ret_assets = a;
    return err;
}

struct assets *assets_ref(struct assets *a)
{
    __atomic_add_fetch(&a->refs, 1, __ATOMIC_RELAXED);
    return a;
}

void assets_unref(struct assets *a)
{
    if (a && __atomic_sub_fetch(&a->refs, 1, __ATOMIC_ACQ_REL) == 0)
        arena_free(a->arena); /* a lies in it */
}

/* ---- looking up ---- */

size_t assets_count(const struct assets *a)
{
    return a->files_len;
}

const struct asset *assets_at(const struct assets *a, size_t i)
{
    return &a->files[i];
}

const struct asset *assets_find(const struct assets *a, struct slice path)
{
    size_t low = 0, high = a->files_len;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = asset_compare_paths(path, a->files[middle].path);
        if (order == 0)
            return &a->files[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

bool asset_patterns_match(const struct asset_patterns *p, struct slice path)
{
    bool is_in = false;
    for (size_t i = 0; i < p->len; i++) {
        if (!pattern_matches(&p->items[i].pattern, path, NULL))
            continue;
        if (p->items[i].is_negative)
            return false; /* whatever the others say */
        is_in = true;
    }
    return is_in;
}
