/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects of buckets as rows: what mutations take and queries answer. A bucket is a resource, named by its
 * number (resource_row.id). Keys are UTF-8, ordered by their bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    STORE_OBJECT_INLINE_BYTES = 64 * 1024, /* larger content is files */
    STORE_OBJECT_LIST_MAX = 1000,
    STORE_OBJECT_PARTS_MAX = 10000,
};

#define STORE_OBJECT_ANY (-1) /* of if_id: whatever is there */

/* Content, or a part of it. */
struct object_file {
    int64_t number; /* of the part, from 1; of an object in their order */
    int64_t bytes;
    struct slice hash, etag; /* etag: of a part */
};

struct object_row {
    int64_t resource;
    struct slice key;
    int64_t id; /* read: 0: it is not there; another one for each content */
    int64_t size, uploaded_us;
    struct slice etag, metadata;
    struct slice value;        /* content that is no file, */
    struct object_file *files; /* else these; read only */
    size_t files_len;
    struct slice file; /* of a put: the one that is all of it, "" if it is inline */
};

struct upload_row {
    int64_t resource;
    struct slice name, key, metadata;
    int64_t created_us;
};
