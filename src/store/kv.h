/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of KV namespaces as rows: what mutations take and queries answer. A namespace is a resource, named
 * by its number (resource_row.id). Keys are UTF-8, ordered by their bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    STORE_KV_INLINE_BYTES = 64 * 1024, /* a larger value of a put is a file */
    STORE_KV_LIST_MAX = 1000,
};
#define STORE_KV_ANY (-1) /* of if_version: whatever is there */

struct kv_row {
    int64_t resource;
    struct slice key;
    int64_t version;       /* read: 0: it is not there; grows with each put, also over deletions */
    int64_t expires_s;     /* since 1970; 0: never */
    struct slice metadata; /* JSON, "" if none */
    struct slice token;    /* of a write that may be repeated; "": none */
    struct slice value;    /* "" if it is a file */
    struct slice file;     /* its hash, "" if it is inline */
    int64_t bytes;         /* of the value */
};
