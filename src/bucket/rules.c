/* SPDX-License-Identifier: Apache-2.0
 *
 * See rules.h. */
#include "bucket/rules.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "bucket/bucket.h"
#include "http/url.h"

struct slice bucket_header(struct bucket_headers h, const char *name)
{
    for (size_t i = 0; i < h.len; i++)
        if (slice_eq_cstr(h.list[i].name, name))
            return h.list[i].value;
    return SLICE_EMPTY;
}

/* ---- conditions ---- */

static const char *const condition_headers[] = {"if-match", "if-none-match", "limpet-before",
                                                "limpet-after"};

bool bucket_has_condition(struct bucket_headers h)
{
    for (size_t k = 0; k < ARRAY_LEN(condition_headers); k++)
        if (bucket_header(h, condition_headers[k]).len > 0)
            return true;
    return false;
}

/* Is it in a list of "etag", W/"etag", or *? */
static bool etag_matches(struct slice list, struct slice etag)
{
    while (list.len > 0) {
        struct slice one = slice_trim(slice_split(&list, ','));
        if (slice_eq_cstr(one, "*"))
            return true;
        if (slice_starts(one, SLICE_LIT("W/")))
            one = slice_skip(one, 2);
        if (one.len >= 2 && one.ptr[0] == '"' && one.ptr[one.len - 1] == '"')
            one = slice_of(one.ptr + 1, one.len - 2);
        if (slice_eq(one, etag))
            return true;
    }
    return false;
}

static bool time_read(struct slice text, int64_t *ret_ms)
{
    uint64_t ms = 0;
    if (text.len == 0 || !slice_to_u64(text, &ms) || ms > INT64_MAX)
        return false;
    *ret_ms = (int64_t)ms;
    return true;
}

enum bucket_condition bucket_check(struct bucket_headers h, const struct object_row *row)
{
    const struct slice match = bucket_header(h, "if-match"),
                       none_match = bucket_header(h, "if-none-match");
    int64_t before = 0, after = 0;
    const bool has_before = time_read(bucket_header(h, "limpet-before"), &before);
    const bool has_after = time_read(bucket_header(h, "limpet-after"), &after);
    if (!row)
        return match.len == 0 && !has_after ? BUCKET_HOLDS : BUCKET_FAILS;
    const int64_t uploaded = row->uploaded_us / 1000;
    const bool holds_match = match.len == 0 || etag_matches(match, row->etag);
    const bool holds_none = none_match.len == 0 || !etag_matches(none_match, row->etag);
    if (!holds_match || (has_before && uploaded >= before && match.len == 0))
        return BUCKET_FAILS;
    if (!holds_none || (has_after && uploaded <= after && none_match.len == 0))
        return BUCKET_NOT_MODIFIED;
    return BUCKET_HOLDS;
}

/* ---- ranges ---- */

enum bucket_range bucket_range(struct slice range, int64_t size, int64_t *ret_from, int64_t *ret_to)
{
    uint64_t a = 0, b = 0;
    *ret_from = 0;
    *ret_to = size;
    if (!slice_starts(range, SLICE_LIT("bytes=")) || slice_find(range, ',') >= 0)
        return BUCKET_WHOLE;
    range = slice_skip(range, 6);
    const ptrdiff_t dash = slice_find(range, '-');
    if (dash < 0)
        return BUCKET_WHOLE;
    struct slice first = slice_trim(slice_of(range.ptr, (size_t)dash)),
                 last = slice_trim(slice_skip(range, (size_t)dash + 1));
    const bool has_first = slice_to_u64(first, &a), has_last = slice_to_u64(last, &b);
    if ((first.len > 0 && !has_first) || (last.len > 0 && !has_last) || (!has_first && !has_last) ||
        (has_first && has_last && b < a))
        return BUCKET_WHOLE;
    if (!has_first) {
        if (b == 0 || size == 0)
            return BUCKET_NO_PART;
        *ret_from = b < (uint64_t)size ? size - (int64_t)b : 0;
        return BUCKET_PART;
    }
    if (a >= (uint64_t)size)
        return BUCKET_NO_PART;
    *ret_from = (int64_t)a;
    if (has_last && b < (uint64_t)size - 1)
        *ret_to = (int64_t)b + 1;
    return BUCKET_PART;
}

/* ---- hashes ---- */

static const struct {
    const char *name;
    const EVP_MD *(*type)(void);
} sum_kinds[] = {{"md5", EVP_md5},
                 {"sha1", EVP_sha1},
                 {"sha256", EVP_sha256},
                 {"sha384", EVP_sha384},
                 {"sha512", EVP_sha512}};
_Static_assert(ARRAY_LEN(sum_kinds) == BUCKET_SUMS_MAX, "room for each");

static bool is_hex(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return true;
}

static struct bucket_sum *sum_add(struct bucket_sums *s, size_t kind)
{
    for (size_t k = 0; k < s->len; k++)
        if (s->list[k].name == sum_kinds[kind].name)
            return &s->list[k];
    struct bucket_sum *sum = &s->list[s->len++];
    *sum = (struct bucket_sum){.name = sum_kinds[kind].name, .digest = EVP_MD_CTX_new()};
    CHECK(sum->digest && EVP_DigestInit_ex(sum->digest, sum_kinds[kind].type(), NULL) == 1);
    return sum;
}

enum err bucket_sums_begin(struct bucket_sums *s, struct slice wants, struct error *ret_error)
{
    *s = (struct bucket_sums){0};
    (void)sum_add(s, 0);
    while (wants.len > 0) {
        struct slice value = slice_split(&wants, ' '), name = slice_split(&value, '=');
        size_t kind = 0;
        while (kind < ARRAY_LEN(sum_kinds) && !slice_eq_cstr(name, sum_kinds[kind].name))
            kind++;
        if (kind == ARRAY_LEN(sum_kinds) || !is_hex(value) ||
            value.len != 2 * (size_t)EVP_MD_get_size(sum_kinds[kind].type())) {
            bucket_sums_done(s);
            return error_set(ret_error, ERR_INVALID, "'%.*s' is no hash that content can have",
                             SLICE_ARG(slice_utf8_clip(name, 20)));
        }
        struct bucket_sum *sum = sum_add(s, kind);
        snprintf(sum->want, sizeof(sum->want), "%.*s", SLICE_ARG(value));
    }
    return OK;
}

void bucket_sums_add(struct bucket_sums *s, struct slice data)
{
    for (size_t k = 0; k < s->len && data.len > 0; k++)
        CHECK(EVP_DigestUpdate(s->list[k].digest, data.ptr, data.len) == 1);
}

static void hex_of(const unsigned char *bytes, size_t len, char *ret_text)
{
    for (size_t i = 0; i < len; i++)
        snprintf(ret_text + 2 * i, 3, "%02x", bytes[i]);
}

enum err bucket_sums_end(struct bucket_sums *s, struct error *ret_error)
{
    enum err err = OK;
    for (size_t k = 0; k < s->len; k++) {
        struct bucket_sum *sum = &s->list[k];
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        CHECK(EVP_DigestFinal_ex(sum->digest, digest, &len) == 1);
        hex_of(digest, len, sum->is);
        if (err == OK && sum->want[0] && strcmp(sum->want, sum->is) != 0)
            err = error_set(ret_error, ERR_INVALID,
                            "the content has the %s %s, not the one that was given", sum->name,
                            sum->is);
    }
    return err;
}

void bucket_sums_done(struct bucket_sums *s)
{
    for (size_t k = 0; k < s->len; k++)
        EVP_MD_CTX_free(s->list[k].digest);
    s->len = 0;
}

static bool hex_read(struct slice text, unsigned char *ret_bytes, size_t len)
{
    if (text.len != 2 * len || !is_hex(text))
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned value = 0;
        for (size_t k = 0; k < 2; k++) {
            char c = text.ptr[2 * i + k];
            value = value * 16 + (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        ret_bytes[i] = (unsigned char)value;
    }
    return true;
}

bool bucket_etag_of_parts(const struct object_file *parts, size_t len, char ret_etag[48])
{
    enum { MD5_BYTES = 16 };
    unsigned char one[MD5_BYTES], all[EVP_MAX_MD_SIZE];
    char hex[2 * MD5_BYTES + 1];
    bool is_good = true;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    CHECK(digest && EVP_DigestInit_ex(digest, EVP_md5(), NULL) == 1);
    for (size_t k = 0; k < len && is_good; k++) {
        is_good = hex_read(parts[k].etag, one, sizeof(one));
        CHECK(EVP_DigestUpdate(digest, one, sizeof(one)) == 1);
    }
    CHECK(EVP_DigestFinal_ex(digest, all, NULL) == 1);
    EVP_MD_CTX_free(digest);
    hex_of(all, MD5_BYTES, hex);
    snprintf(ret_etag, 48, "%s-%zu", hex, len);
    return is_good;
}

/* ---- JSON ---- */

/* A percent-encoded object, checked. */
static enum err object_text(const char *what, struct slice encoded, struct bytes *out,
                            struct error *ret_error)
{
    bytes_clear(out);
    if (encoded.len == 0) {
        bytes_append_cstr(out, "{}");
        return OK;
    }
    if (url_decode(encoded, out) != OK)
        return error_set(ret_error, ERR_INVALID, "%s is not percent-encoded", what);
    if (out->len > BUCKET_METADATA_BYTES_MAX)
        return error_set(ret_error, ERR_TOO_LARGE, "%s has %zu bytes, more than %d", what, out->len,
                         BUCKET_METADATA_BYTES_MAX);
    json_t *root = json_loadb(out->ptr, out->len, JSON_REJECT_DUPLICATES, NULL);
    const bool is_good = json_is_object(root);
    json_decref(root);
    return is_good ? OK : error_set(ret_error, ERR_INVALID, "%s is no object", what);
}

enum err bucket_metadata(struct slice http, struct slice custom, const struct bucket_sums *sums,
                         struct bytes *out, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    struct json_writer w = json_writer(out);
    json_open(&w, '{');
    enum err err = object_text("httpMetadata", http, &text, ret_error);
    if (err != OK)
        return err;
    json_key(&w, "http");
    json_raw(&w, bytes_slice(&text));
    err = object_text("customMetadata", custom, &text, ret_error);
    if (err != OK)
        return err;
    json_key(&w, "custom");
    json_raw(&w, bytes_slice(&text));
    json_key(&w, "sums");
    json_open(&w, '{');
    for (size_t k = 0; sums && k < sums->len; k++) {
        json_key(&w, sums->list[k].name);
        json_cstr(&w, sums->list[k].is);
    }
    json_close(&w, '}');
    json_close(&w, '}');
    return OK;
}

void bucket_object_json(const struct object_row *row, int64_t from, int64_t to, struct bytes *out)
{
    char version[40];
    struct json_writer w = json_writer(out);
    snprintf(version, sizeof(version), "%032" PRIx64, (uint64_t)row->id);
    json_open(&w, '{');
    json_key(&w, "key");
    json_slice(&w, row->key);
    json_key(&w, "version");
    json_cstr(&w, version);
    json_key(&w, "size");
    json_int(&w, row->size);
    json_key(&w, "etag");
    json_slice(&w, row->etag);
    json_key(&w, "uploaded");
    json_int(&w, row->uploaded_us / 1000);
    json_key(&w, "metadata");
    json_raw(&w, row->metadata);
    if (to >= 0) {
        json_key(&w, "range");
        json_open(&w, '{');
        json_key(&w, "offset");
        json_int(&w, from);
        json_key(&w, "length");
        json_int(&w, to - from);
        json_close(&w, '}');
    }
    json_close(&w, '}');
}
