/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots: the pages in which an idle isolate differs from its image, compressed, as bytes that
 * can be kept. A snapshot belongs to exactly one image: it carries that image's digest, and
 * applying it to an isolate of another one is refused. It is checked completely before anything is
 * changed.
 *
 * Format (all little-endian): struct snapshot_header as in snapshot.c, then one zstd frame of three
 * arrays: for each page a mask of its words of 8 bytes, bit k of byte j set if word 8j + k differs
 * from the image; those words, each XORed with the image's (0 beyond its end); the pages' numbers
 * (u32, rising). */
#pragma once

#include "base/bytes.h"
#include "sandbox/isolate.h"

enum {
    SNAPSHOT_VERSION = 1,
    SNAPSHOT_PAGES_MAX = 8192, /* 32 MiB; with more a replay is not much dearer */
};

/* The isolate must be idle (no call yielded or waiting). Appends to out. ERR_TOO_LARGE: more than
 * SNAPSHOT_PAGES_MAX pages are its own. */
NODISCARD enum err snapshot_save(struct isolate *i, struct bytes *out, struct error *ret_error);
/* Onto a pristine isolate of the same image. ERR_CORRUPT: damaged; ERR_CONFLICT: of another image,
 * engine or format; ERR_LIMIT_MEMORY: it needs more memory than the isolate may have. After a
 * failure other than of memory the isolate is as before. */
NODISCARD enum err snapshot_apply(struct isolate *i, struct slice saved, struct error *ret_error);

enum { IMAGE_DIGEST_BYTES = 16 };
/* The image's content (length, stack pointer, pages), hashed on first use (about a millisecond, so
 * better not first on an engine thread); any thread. */
void image_digest(struct image *m, uint8_t ret_digest[IMAGE_DIGEST_BYTES]);
