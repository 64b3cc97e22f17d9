/* SPDX-License-Identifier: Apache-2.0
 *
 * Files whose content comes in pieces: what artifact.c says of files holds for them, too, and memory does
 * not grow with them. Their hash is known only at the end, so the content is written to a temporary file
 * in any case. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "store/internal.h"

struct store_blob {
    struct store *store;
    struct bytes temporary; /* its path; "" once it is kept */
    int fd;
    EVP_MD_CTX *digest;
    char hash[65];
};

enum err store_blob_new(struct store *s, struct store_blob **ret_blob, struct error *ret_error)
{
    struct store_blob *b = calloc(1, sizeof(*b));
    CHECK(b);
    b->store = s;
    bytes_printf(&b->temporary, "%s/" ARTIFACT_TEMPORARY "%016llx", s->artifact_dir,
                 (unsigned long long)random_u64());
    b->fd = open(bytes_cstr(&b->temporary), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (b->fd < 0) {
        enum err code = folder_error(ret_error, errno, "make the file", bytes_cstr(&b->temporary));
        bytes_clear(&b->temporary);
        store_blob_free(b);
        return code;
    }
    b->digest = EVP_MD_CTX_new();
    CHECK(b->digest && EVP_DigestInit_ex(b->digest, EVP_sha256(), NULL) == 1);
    *ret_blob = b;
    return OK;
}

enum err store_blob_write(struct store_blob *b, struct slice data, struct error *ret_error)
{
    if (data.len == 0)
        return OK;
    CHECK(EVP_DigestUpdate(b->digest, data.ptr, data.len) == 1);
    while (data.len > 0) {
        ssize_t n = write(b->fd, data.ptr, data.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return folder_error(ret_error, errno, "write the file", bytes_cstr(&b->temporary));
        data = slice_skip(data, (size_t)n);
    }
    return OK;
}

enum err store_blob_end(struct store_blob *b, char ret_hash[65], struct error *ret_error)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (fsync(b->fd))
        return folder_error(ret_error, errno, "sync the file", bytes_cstr(&b->temporary));
    CHECK(EVP_DigestFinal_ex(b->digest, digest, &len) == 1 && 2 * len + 1 == sizeof(b->hash));
    for (unsigned i = 0; i < len; i++)
        snprintf(b->hash + 2 * (size_t)i, 3, "%02x", digest[i]);
    artifact_put_begins(b->store,
                        slice_cstr(b->hash)); /* who tidies waits for it, once it is expected */
    memcpy(ret_hash, b->hash, sizeof(b->hash));
    return OK;
}

/* One that is there already has the same content, unless it is damaged: then this one repairs it. */
enum err store_blob_keep(struct store_blob *b, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes folder = BYTES_INIT, path = BYTES_INIT;
    const struct slice hash = slice_cstr(b->hash);
    CHECK(hash.len > 0);
    artifact_put_begins(b->store, hash); /* again: it may have waited long */
    artifact_path(b->store, hash, true, &folder);
    artifact_path(b->store, hash, false, &path);
    bool is_folder_new = mkdir(bytes_cstr(&folder), 0700) == 0;
    if (!is_folder_new && errno != EEXIST)
        return folder_error(ret_error, errno, "make the folder", bytes_cstr(&folder));
    if (rename(bytes_cstr(&b->temporary), bytes_cstr(&path)))
        return folder_error(ret_error, errno, "make the file", bytes_cstr(&path));
    bytes_clear(&b->temporary);
    enum err code = folder_sync(bytes_cstr(&folder), ret_error);
    if (code == OK && is_folder_new)
        code = folder_sync(b->store->artifact_dir, ret_error);
    return code;
}

void store_blob_free(struct store_blob *b)
{
    if (!b)
        return;
    if (b->fd >= 0)
        close(b->fd);
    if (b->temporary.len > 0)
        (void)unlink(bytes_cstr(&b->temporary)); /* else the next start removes it */
    bytes_done(&b->temporary);
    EVP_MD_CTX_free(b->digest);
    free(b);
}
