/* SPDX-License-Identifier: Apache-2.0
 *
 * What the store keeps as files, each named by the SHA-256 of its content: artifacts of versions, and
 * static files. Any thread; all of it blocks. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

struct store;

/* Writes by temporary file, fsync, rename, fsync of the folder. ret_hash: 65 bytes. */
NODISCARD enum err store_artifact_put(struct store *s, struct slice content, char ret_hash[65],
                                      struct error *ret_error);
/* Verifies the hash (ERR_CORRUPT). */
NODISCARD enum err store_artifact_get(struct store *s, struct slice hash, struct bytes *ret_content,
                                      struct error *ret_error);

/* A static file: content in another coding has its name with that behind it ("br"), and goes with it. */
enum { STORE_ASSET_CODINGS_MAX = 4 };
NODISCARD enum err store_asset_put(struct store *s, struct slice content, char ret_hash[65],
                                   struct error *ret_error);
NODISCARD enum err store_asset_put_coded(struct store *s, struct slice hash, const char *coding,
                                         struct slice content, struct error *ret_error);
/* It is not removed for a while, used or not. False: it is not stored. */
bool store_asset_keep(struct store *s, struct slice hash);
/* For reading; the caller closes. coding "": as it is. ERR_NOT_FOUND. */
NODISCARD enum err store_asset_open(struct store *s, struct slice hash, const char *coding,
                                    int *ret_fd, uint64_t *ret_size, struct error *ret_error);
/* Appends exactly so many bytes from there on. ERR_IO, ERR_CORRUPT. */
NODISCARD enum err store_asset_read(int fd, uint64_t at, size_t len, struct bytes *out,
                                    struct error *ret_error);

/* Content that comes in pieces, of any size, in a file without a name until it is whole. So that nothing is left
 * of one that no row comes to name, store_file_expected() is committed between end and keep. One thread at
 * a time. */
struct store_blob;
NODISCARD enum err store_blob_new(struct store *s, struct store_blob **ret_blob,
                                  struct error *ret_error);
NODISCARD enum err store_blob_write(struct store_blob *b, struct slice data,
                                    struct error *ret_error);
/* All of it is on the disk. ret_hash: 65 bytes, its name. */
NODISCARD enum err store_blob_end(struct store_blob *b, char ret_hash[65], struct error *ret_error);
/* It has its name. */
NODISCARD enum err store_blob_keep(struct store_blob *b, struct error *ret_error);
/* NULL is allowed. What was not kept is gone. */
void store_blob_free(struct store_blob *b);
