/* SPDX-License-Identifier: Apache-2.0
 *
 * What is asked of an object and what is said of it: conditions, ranges, hashes, JSON. Pure. */
#pragma once

#include <openssl/evp.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "http/server.h"
#include "store/object.h"

struct bucket_headers {
    const struct http_header *list;
    size_t len;
};
/* The value of the first header of that name (lower case); ptr NULL if there is none. */
struct slice bucket_header(struct bucket_headers h, const char *name);

enum bucket_condition { BUCKET_HOLDS, BUCKET_NOT_MODIFIED, BUCKET_FAILS };
bool bucket_has_condition(struct bucket_headers h);
/* row NULL: there is no object. */
enum bucket_condition bucket_check(struct bucket_headers h, const struct object_row *row);

enum bucket_range { BUCKET_WHOLE, BUCKET_PART, BUCKET_NO_PART };
/* Of "bytes=A-B", "bytes=A-", "bytes=-N"; others are the whole. ret_to: behind the last byte. */
enum bucket_range bucket_range(struct slice range, int64_t size, int64_t *ret_from,
                               int64_t *ret_to);

/* Hashes of content that comes in pieces: MD5, and those that are named. */
struct bucket_sum {
    const char *name; /* "sha256" */
    EVP_MD_CTX *digest;
    char want[129], is[129]; /* hexadecimal; want "": any */
};
enum { BUCKET_SUMS_MAX = 5 };
struct bucket_sums {
    struct bucket_sum list[BUCKET_SUMS_MAX];
    size_t len;
};
/* wants: "limpet-sums". ERR_INVALID: an unknown name, or no hash. */
NODISCARD enum err bucket_sums_begin(struct bucket_sums *s, struct slice wants,
                                     struct error *ret_error);
void bucket_sums_add(struct bucket_sums *s, struct slice data);
/* ERR_INVALID: the content has another hash than is wanted. */
NODISCARD enum err bucket_sums_end(struct bucket_sums *s, struct error *ret_error);
void bucket_sums_done(struct bucket_sums *s);
/* That of one whose parts have these (MD5 each, in hexadecimal): "…-N". False: one is none. */
bool bucket_etag_of_parts(const struct object_file *parts, size_t len, char ret_etag[48]);

/* What is stored as object_row.metadata: {"http", "custom", "sums"}. http, custom: percent-encoded JSON objects, or empty;
 * sums may be NULL. ERR_INVALID, ERR_TOO_LARGE. */
NODISCARD enum err bucket_metadata(struct slice http, struct slice custom,
                                   const struct bucket_sums *sums, struct bytes *out,
                                   struct error *ret_error);
/* {"key", "version", "size", "etag", "uploaded" (ms), "metadata", "range"?}. to < 0: no range. */
void bucket_object_json(const struct object_row *row, int64_t from, int64_t to, struct bytes *out);
