/* SPDX-License-Identifier: Apache-2.0
 *
 * The static files of a version, as a table of paths: which of them answers a request, if any, and with
 * which headers. Knows no file system: content is named by its SHA-256. Immutable once parsed,
 * refcounted; pure; any thread. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "http/server.h"

enum {
    ASSETS_FILES_MAX = 20000,
    ASSETS_FILE_BYTES_MAX = 25 * 1024 * 1024,
    ASSETS_PATH_BYTES_MAX = 1024,
    ASSETS_MANIFEST_BYTES_MAX = 8 * 1024 * 1024,
};

struct assets;

struct asset {
    struct slice path; /* "/a/b.html", decoded */
    struct slice hash; /* 64 hexadecimal digits */
    uint64_t size;
    struct slice type;
};

/* A manifest: {"files": [[path, hash, size], …], …} as docs/http-api.md says ("Assets"). json is
 * copied. ERR_INVALID, ERR_TOO_LARGE. */
NODISCARD enum err assets_parse(struct slice json, struct assets **ret_assets,
                                struct error *ret_error);
struct assets *assets_ref(struct assets *a);
void assets_unref(struct assets *a);
size_t assets_count(const struct assets *a);
const struct asset *assets_at(const struct assets *a, size_t i);
struct slice asset_type(struct slice path);

struct asset_request {
    struct slice method, host;
    struct slice target; /* "/path?query", encoded; no byte up to ' ' (the parsers see to that) */
    bool is_navigation;  /* a browser goes there, and does not only want a part of a page */
    bool is_from_code;   /* env.ASSETS.fetch(): nobody else could answer */
};

enum asset_answer_kind {
    ASSET_CODE,     /* none of ours: the version's code answers */
    ASSET_FILE,     /* status, asset */
    ASSET_REDIRECT, /* status, location */
    ASSET_NOTHING,  /* 404 without a page */
    ASSET_METHOD,   /* 405 */
};

struct asset_answer {
    enum asset_answer_kind kind;
    int status;
    const struct asset *asset;
    struct slice location; /* in the arena */
};

void assets_answer(const struct assets *a, const struct asset_request *r, struct arena *arena,
                   struct asset_answer *ret_answer);

enum { ASSET_HEADERS_MAX = 40 };
/* The headers of an answer with a file: content-type, cache-control, and what _headers says; not those
 * that depend on how it is sent. Returns how many. */
size_t assets_headers(const struct assets *a, const struct asset_request *r,
                      const struct asset_answer *answer, struct arena *arena,
                      struct http_header ret_headers[ASSET_HEADERS_MAX]);

/* ---- HTTP's conditions and ranges ---- */

/* Does an If-None-Match name this content, in whatever coding? */
bool asset_is_known(struct slice if_none_match, struct slice hash);
enum asset_range { ASSET_RANGE_NONE, ASSET_RANGE_PART, ASSET_RANGE_BAD };
/* A Range of one part; several are answered with the whole. ret_to: behind the last byte. */
enum asset_range asset_range(struct slice range, uint64_t size, uint64_t *ret_from,
                             uint64_t *ret_to);
/* Is this coding among those that an Accept-Encoding takes? */
bool asset_accepts(struct slice accept, struct slice coding);
