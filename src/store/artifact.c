/* SPDX-License-Identifier: Apache-2.0
 *
 * Artifacts: what versions are loaded from, and what is known of their sources, a file each, named by the SHA-256 of the content, spread over
 * folders named by its first two digits. A file appears under its name only when it is whole and on
 * the disk (temporary file, sync, rename, sync of the folder), so a name that exists can be trusted
 * to be complete; its content is verified at each read all the same.
 *
 * Any thread. What is put is remembered for a while, because the mutation that will name it is yet
 * to come: the removal of unused artifacts leaves those alone. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "store/internal.h"

enum { ARTIFACT_HASH_LEN = 64, ARTIFACT_RECENT_CLEAN = 256 };

struct artifact_recent {
    uint64_t put_ns;
};

void artifact_hash(struct slice content, char ret_hash[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    CHECK(EVP_Digest(content.ptr ? content.ptr : "", content.len, digest, &len, EVP_sha256(),
                     NULL) == 1);
    CHECK(len == ARTIFACT_HASH_LEN / 2);
    for (unsigned i = 0; i < len; i++)
        snprintf(ret_hash + 2 * (size_t)i, 3, "%02x", digest[i]);
}

bool artifact_is_hash(struct slice hash)
{
    if (hash.len != ARTIFACT_HASH_LEN)
        return false;
    for (size_t i = 0; i < hash.len; i++)
        if (!((hash.ptr[i] >= '0' && hash.ptr[i] <= '9') ||
              (hash.ptr[i] >= 'a' && hash.ptr[i] <= 'f')))
            return false;
    return true;
}

void artifact_path(const struct store *s, struct slice hash, bool is_folder, struct bytes *out)
{
    bytes_printf(out, "%s/%.2s", s->artifact_dir, hash.ptr);
    if (!is_folder)
        bytes_printf(out, "/%.*s", SLICE_ARG(hash));
}

bool artifact_exists(struct store *s, struct slice hash)
{
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    if (!artifact_is_hash(hash))
        return false;
    artifact_path(s, hash, false, &path);
    return access(bytes_cstr(&path), R_OK) == 0;
}

int64_t artifact_bytes(struct store *s, struct slice hash)
{
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    struct stat st;
    if (!artifact_is_hash(hash))
        return 0;
    artifact_path(s, hash, false, &path);
    return stat(bytes_cstr(&path), &st) == 0 ? (int64_t)st.st_size : 0;
}

/* ---- what was put lately ---- */

static bool artifact_is_recent(const struct artifact_recent *r, uint64_t now_ns)
{
    return r && now_ns - r->put_ns < (uint64_t)STORE_ARTIFACT_RECENT_MS * 1000000;
}

/* Forgets one old entry; false if there is none. The map may not change while it is walked. */
static bool artifact_forget_one(struct store *s, uint64_t now_ns)
{
    struct slice hash;
    void *value;
    for (size_t cursor = 0; map_next(&s->artifact_recent, &cursor, &hash, &value);) {
        if (artifact_is_recent(value, now_ns))
            continue;
        char key[ARTIFACT_HASH_LEN];
        memcpy(key, hash.ptr, sizeof(key));
        free(map_remove(&s->artifact_recent, slice_of(key, sizeof(key))));
        return true;
    }
    return false;
}

/* With artifact_lock held. */
static void artifact_remember(struct store *s, struct slice hash)
{
    uint64_t now = clock_monotonic_ns();
    /* Each time that there are twice as many as the last time has left: so many are looked at for each. */
    if (map_count(&s->artifact_recent) >= 2 * s->artifact_recent_left + ARTIFACT_RECENT_CLEAN) {
        while (artifact_forget_one(s, now))
            ;
        s->artifact_recent_left = map_count(&s->artifact_recent);
    }
    struct artifact_recent *r = malloc(sizeof(*r));
    CHECK(r);
    r->put_ns = now;
    free(map_put(&s->artifact_recent, hash, r));
}

void artifact_put_begins(struct store *s, struct slice hash)
{
    pthread_mutex_lock(&s->artifact_lock);
    artifact_remember(s, hash);
    pthread_mutex_unlock(&s->artifact_lock);
}

bool store_asset_keep(struct store *s, struct slice hash)
{
    if (!artifact_is_hash(hash))
        return false;
    artifact_put_begins(s, hash);
    return artifact_exists(s, hash);
}

static const char *const artifact_codings[STORE_ASSET_CODINGS_MAX] = {"br", "zstd", "gzip"};

static void artifact_remove_coded(struct store *s, struct slice hash)
{
    for (size_t i = 0; artifact_codings[i]; i++) {
        CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
        artifact_path(s, hash, false, &path);
        bytes_printf(&path, ".%s", artifact_codings[i]);
        (void)unlink(bytes_cstr(&path));
    }
}

bool artifact_remove(struct store *s, struct slice hash)
{
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    if (!artifact_is_hash(hash))
        return true;
    artifact_path(s, hash, false, &path);
    pthread_mutex_lock(&s->artifact_lock);
    bool is_recent = artifact_is_recent(map_get(&s->artifact_recent, hash), clock_monotonic_ns());
    if (!is_recent) {
        (void)unlink(bytes_cstr(&path)); /* a file that stays does no harm */
        artifact_remove_coded(s, hash);
    }
    pthread_mutex_unlock(&s->artifact_lock);
    return !is_recent;
}

/* ---- reading ---- */

static enum err artifact_read(const char *path, struct bytes *ret_content, struct error *ret_error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT
                   ? error_set(ret_error, ERR_NOT_FOUND, "there is no artifact %s", path)
                   : folder_error(ret_error, errno, "read the artifact", path);
    struct stat st;
    enum err code = OK;
    if (fstat(fd, &st))
        code = folder_error(ret_error, errno, "read the artifact", path);
    else if (!S_ISREG(st.st_mode) || st.st_size > STORE_ARTIFACT_BYTES_MAX)
        code = error_set(ret_error, ERR_CORRUPT, "the artifact %s is not a file of ours", path);
    else
        bytes_reserve(ret_content, (size_t)st.st_size + 1);
    while (code == OK && ret_content->len < ret_content->cap) {
        ssize_t n =
            read(fd, ret_content->ptr + ret_content->len, ret_content->cap - ret_content->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            code = folder_error(ret_error, errno, "read the artifact", path);
        if (n <= 0)
            break;
        ret_content->len += (size_t)n;
    }
    close(fd);
    return code;
}

enum err store_artifact_get(struct store *s, struct slice hash, struct bytes *ret_content,
                            struct error *ret_error)
{
    if (!artifact_is_hash(hash))
        return error_set(ret_error, ERR_INVALID, "'%.*s' is not the name of an artifact",
                         SLICE_ARG(hash));
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes content = BYTES_INIT;
    artifact_path(s, hash, false, &path);
    enum err code = artifact_read(bytes_cstr(&path), &content, ret_error);
    if (code != OK)
        return code;
    char actual[65];
    artifact_hash(bytes_slice(&content), actual);
    if (!slice_eq_cstr(hash, actual)) {
        code = error_set(ret_error, ERR_CORRUPT,
                         "the artifact %s is damaged: its content has another SHA-256",
                         bytes_cstr(&path));
        error_hint(ret_error, "upload the function again, or restore the file from a backup");
        return code;
    }
    *ret_content = content;
    content = BYTES_INIT;
    return OK;
}

/* ---- writing ---- */

static enum err artifact_write_all(int fd, struct slice content, const char *path,
                                   struct error *ret_error)
{
    while (content.len) {
        ssize_t n = write(fd, content.ptr, content.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return folder_error(ret_error, errno, "write the artifact", path);
        content = slice_skip(content, (size_t)n);
    }
    if (fsync(fd))
        return folder_error(ret_error, errno, "sync the artifact", path);
    return OK;
}

static enum err artifact_write(struct store *s, struct slice hash, struct slice content,
                               const char *path, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes temporary = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes folder = BYTES_INIT;
    artifact_path(s, hash, true, &folder);
    bytes_printf(&temporary, "%s/" ARTIFACT_TEMPORARY "%016llx", s->artifact_dir,
                 (unsigned long long)random_u64());
    bool is_folder_new = mkdir(bytes_cstr(&folder), 0700) == 0;
    if (!is_folder_new && errno != EEXIST)
        return folder_error(ret_error, errno, "make the folder", bytes_cstr(&folder));
    int fd = open(bytes_cstr(&temporary), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return folder_error(ret_error, errno, "make the file", bytes_cstr(&temporary));
    enum err code = artifact_write_all(fd, content, bytes_cstr(&temporary), ret_error);
    close(fd);
    if (code == OK && rename(bytes_cstr(&temporary), path))
        code = folder_error(ret_error, errno, "make the file", path);
    if (code != OK) {
        (void)unlink(bytes_cstr(&temporary)); /* else the next start removes it */
        return code;
    }
    code = folder_sync(bytes_cstr(&folder), ret_error);
    if (code == OK && is_folder_new)
        code = folder_sync(s->artifact_dir, ret_error);
    return code;
}

enum err store_artifact_put(struct store *s, struct slice content, char ret_hash[65],
                            struct error *ret_error)
{
    if (content.len > STORE_ARTIFACT_BYTES_MAX)
        return error_set(ret_error, ERR_TOO_LARGE, "an artifact has at most %d MiB",
                         STORE_ARTIFACT_BYTES_MAX >> 20);
    char hash[65];
    artifact_hash(content, hash);
    struct slice name = slice_cstr(hash);
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes present = BYTES_INIT;
    artifact_path(s, name, false, &path);
    /* Remembered first: from here on the file is not removed. */
    artifact_put_begins(s, name);
    enum err code;
    if (artifact_read(bytes_cstr(&path), &present, NULL) == OK &&
        slice_eq(bytes_slice(&present), content)) {
        /* Another thread may have renamed it a moment ago and not have synced the folder yet. */
        CLEANUP(bytes_done) struct bytes folder = BYTES_INIT;
        artifact_path(s, name, true, &folder);
        code = folder_sync(bytes_cstr(&folder), ret_error);
    } else
        code = artifact_write(s, name, content, bytes_cstr(&path), ret_error); /* new, or damaged */
    if (code != OK)
        return code;
    memcpy(ret_hash, hash, sizeof(hash));
    return OK;
}

/* ---- static files ---- */

enum err store_asset_put(struct store *s, struct slice content, char ret_hash[65],
                         struct error *ret_error)
{
    return store_artifact_put(s, content, ret_hash, ret_error);
}

enum err store_asset_put_coded(struct store *s, struct slice hash, const char *coding,
                               struct slice content, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    artifact_path(s, hash, false, &path);
    bytes_printf(&path, ".%s", coding);
    if (access(bytes_cstr(&path), R_OK) == 0)
        return OK; /* whole, since it got its name at the end */
    return artifact_write(s, hash, content, bytes_cstr(&path), ret_error);
}

enum err store_asset_open(struct store *s, struct slice hash, const char *coding, int *ret_fd,
                          uint64_t *ret_size, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    struct stat st;
    if (!artifact_is_hash(hash))
        return error_set(ret_error, ERR_NOT_FOUND, "'%.*s' names no content", SLICE_ARG(hash));
    artifact_path(s, hash, false, &path);
    if (coding[0])
        bytes_printf(&path, ".%s", coding);
    const int fd = open(bytes_cstr(&path), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT
                   ? error_set(ret_error, ERR_NOT_FOUND, "there is no file %s", bytes_cstr(&path))
                   : folder_error(ret_error, errno, "read the file", bytes_cstr(&path));
    if (fstat(fd, &st)) {
        enum err code = folder_error(ret_error, errno, "read the file", bytes_cstr(&path));
        close(fd);
        return code;
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)st.st_size;
    return OK;
}

enum err store_asset_read(int fd, uint64_t at, size_t len, struct bytes *out,
                          struct error *ret_error)
{
    bytes_reserve(out, len + 1);
    while (len > 0) {
        ssize_t n = pread(fd, out->ptr + out->len, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(ret_error, ERR_IO, "cannot read a static file: %s", strerror(errno));
        if (n == 0)
            return error_set(ret_error, ERR_CORRUPT, "a static file is shorter than it was");
        out->len += (size_t)n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return OK;
}

/* ---- start and stop ---- */

enum err artifact_open(struct store *s, struct error *ret_error)
{
    enum err code = folder_make(s->artifact_dir, "the artifact folder", ret_error);
    if (code != OK)
        return code;
    /* Two servers with two databases would remove each other's artifacts as unused. */
    CLEANUP(bytes_done) struct bytes lock = BYTES_INIT;
    bytes_printf(&lock, "%s/lock", s->artifact_dir);
    code = folder_lock(bytes_cstr(&lock), s->artifact_dir, "--artifact-dir", &s->artifact_lock_fd,
                       ret_error);
    if (code != OK)
        return code;
    DIR *dir = opendir(s->artifact_dir);
    if (!dir)
        return folder_error(ret_error, errno, "open the artifact folder", s->artifact_dir);
    /* What a killed server was about to write. */
    int fd = dirfd(dir);
    for (struct dirent *e; fd >= 0 && (e = readdir(dir));)
        if (slice_starts(slice_cstr(e->d_name), SLICE_LIT(ARTIFACT_TEMPORARY)))
            (void)unlinkat(fd, e->d_name, 0);
    closedir(dir);
    return OK;
}

void artifact_close(struct store *s)
{
    struct slice hash;
    void *value;
    for (size_t cursor = 0; map_next(&s->artifact_recent, &cursor, &hash, &value);)
        free(value);
    map_done(&s->artifact_recent);
    if (s->artifact_lock_fd >= 0)
        close(s->artifact_lock_fd);
}
