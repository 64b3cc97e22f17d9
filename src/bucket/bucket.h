/* SPDX-License-Identifier: Apache-2.0
 *
 * Buckets of objects, asked in the form of an outgoing HTTP request (http/client.h): code by its binding
 * (host/op_fetch.c), S3's clients by the public port (server/s3.c). Bodies go through in pieces, to and from
 * files; memory does not grow with them. An answer to a change comes when that is durable.
 *
 * f->url is not looked at; `query` is "op=…&key=…", percent-encoded:
 *
 *   GET    op=object  key             200, 206, 304, 404, 412, 416: "limpet-object" (but for 404) and the content
 *   HEAD   op=object  key             likewise, without content
 *   PUT    op=object  key             200: "limpet-object"; 412: the condition does not hold
 *   DELETE op=object  key             204, also if there was none
 *   GET    op=list    prefix after cursor delimiter limit   200: JSON {"objects", "prefixes", "cursor"?}
 *   POST   op=upload  key             200: JSON {"uploadId"}
 *   PUT    op=part    upload number   200: JSON {"partNumber", "etag"}
 *   POST   op=complete upload         the body: JSON [{"partNumber", "etag"}]; 200: "limpet-object"
 *   GET    op=parts   upload          200: JSON [{"partNumber", "etag", "size"}]
 *   DELETE op=upload  upload          204
 *
 * Other failures have their status and "limpet-error": CODE, a space, percent-encoded text. Headers of requests, all
 * optional: "range", "if-match", "if-none-match", "limpet-before", "limpet-after" (ms since 1970, of the upload),
 * "limpet-http", "limpet-custom" (percent-encoded JSON objects), "limpet-sums" (NAME=HEX, a space
 * between: what the content must have). Loop thread. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct asks;
struct http_fetch;

enum {
    BUCKET_KEY_BYTES_MAX = 1024,
    BUCKET_METADATA_BYTES_MAX = 8192,        /* of limpet-custom, as of limpet-http */
    BUCKET_PART_BYTES_MIN = 5 * 1024 * 1024, /* of all parts but the last */
};
#define BUCKET_OBJECT_BYTES_MAX (INT64_C(5) << 40)

/* Answers f instead of the network. bucket: its number. ERR_INVALID: the query is none of these. */
NODISCARD enum err bucket_fetch(struct asks *asks, int64_t bucket, struct slice query,
                                struct http_fetch *f, struct error *ret_error);
