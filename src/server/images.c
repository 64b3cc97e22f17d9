/* SPDX-License-Identifier: Apache-2.0
 *
 * Images of functions on disk, in the artifact folder: what evaluating an artifact comes to, so that
 * bringing back a function that has rested, or any after a restart, is reading a few kilobytes.
 * Only an optimization: a file says which artifact and name it is of, which engine and base image it
 * belongs to, and covers itself with checksums (sandbox/snapshot.h); one that does not fit is made
 * anew from the artifact. So nothing here is synced, and errors mean that there is no file.
 *
 * Files that nothing has read for IMAGES_KEEP_DAYS are removed at the start. Any thread; blocking.
 */
#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/random.h"
#include "module/runtime.h"
#include "server/server.h"

#define IMAGES_TEMPORARY "tmp-"

enum {
    IMAGES_KEEP_DAYS = 30,
    IMAGES_TOUCH_S = 24 * 60 * 60, /* a file's time says when it was read, to the day */
    IMAGES_BYTES_MAX = 64 << 20,
    IMAGES_KEY_BYTES = 32,
};

struct images_key {
    unsigned char digest[EVP_MAX_MD_SIZE];
};

static struct images_key key_of(struct slice name, struct slice hash)
{
    struct images_key k;
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    bytes_append_lstr(&text, hash);
    bytes_append_lstr(&text, name);
    CHECK(EVP_Digest(text.ptr, text.len, k.digest, NULL, EVP_sha256(), NULL) == 1);
    return k;
}

static void folder_path(const struct server *s, struct bytes *out)
{
    bytes_printf(out, "%s/images", s->config.artifact_dir);
}

/* IMAGES/ab/cdef… */
static void file_path(const struct server *s, const struct images_key *k, bool is_folder,
                      struct bytes *out)
{
    folder_path(s, out);
    bytes_printf(out, "/%02x", k->digest[0]);
    if (is_folder)
        return;
    bytes_append_char(out, '/');
    for (size_t n = 1; n < IMAGES_KEY_BYTES; n++)
        bytes_printf(out, "%02x", k->digest[n]);
}

/* ---- reading ---- */

static bool read_all(int fd, struct bytes *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > IMAGES_BYTES_MAX)
        return false;
    if (time(NULL) - st.st_mtime > IMAGES_TOUCH_S)
        (void)futimens(fd, NULL);
    bytes_reserve(out, (size_t)st.st_size + 1);
    ssize_t n;
    while ((n = read(fd, out->ptr + out->len, out->cap - out->len)) > 0 && out->len < out->cap)
        out->len += (size_t)n;
    return n == 0;
}

struct image *images_get(const struct server *s, const struct runtime *r, struct slice name,
                         struct slice hash)
{
    if (!r->type->image_load)
        return NULL;
    struct images_key k = key_of(name, hash);
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT, saved = BYTES_INIT;
    file_path(s, &k, false, &path);
    int fd = open(bytes_cstr(&path), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    bool is_read = read_all(fd, &saved);
    close(fd);
    struct image *m = NULL;
    if (!is_read || saved.len < IMAGES_KEY_BYTES ||
        memcmp(saved.ptr, k.digest, IMAGES_KEY_BYTES) != 0 ||
        r->type->image_load(r, slice_skip(bytes_slice(&saved), IMAGES_KEY_BYTES), &m, NULL) != OK)
        return NULL; /* damaged, or of an older engine: it will be replaced */
    return m;
}

/* ---- writing ---- */

static bool write_all(const char *path, struct slice content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool is_ok = true;
    while (is_ok && content.len > 0) {
        ssize_t n = write(fd, content.ptr, content.len);
        is_ok = n > 0;
        if (is_ok)
            content = slice_skip(content, (size_t)n);
    }
    return close(fd) == 0 && is_ok;
}

void images_put(const struct server *s, const struct runtime *r, struct slice name,
                struct slice hash, const struct image *image)
{
    struct images_key k = key_of(name, hash);
    CLEANUP(bytes_done) struct bytes folder = BYTES_INIT, path = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes temporary = BYTES_INIT, saved = BYTES_INIT;
    bytes_append(&saved, k.digest, IMAGES_KEY_BYTES);
    if (!r->type->image_save || r->type->image_save(r, image, &saved, NULL) != OK)
        return; /* too large: evaluated each time */
    file_path(s, &k, true, &folder);
    file_path(s, &k, false, &path);
    folder_path(s, &temporary);
    (void)mkdir(bytes_cstr(&temporary), 0700);
    (void)mkdir(bytes_cstr(&folder), 0700);
    bytes_printf(&temporary, "/" IMAGES_TEMPORARY "%016llx", (unsigned long long)random_u64());
    if (!write_all(bytes_cstr(&temporary), bytes_slice(&saved)) ||
        rename(bytes_cstr(&temporary), bytes_cstr(&path)) != 0)
        (void)unlink(bytes_cstr(&temporary));
}

void images_hash(struct slice code, char ret_hash[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    CHECK(EVP_Digest(code.ptr ? code.ptr : "", code.len, digest, NULL, EVP_sha256(), NULL) == 1);
    for (size_t k = 0; k < 32; k++)
        snprintf(ret_hash + 2 * k, 3, "%02x", digest[k]);
}

/* ---- what is old ---- */

static void sweep_folder(int fd, bool is_top, time_t before);

static void sweep_entry(int fd, const char *name, bool is_top, time_t before)
{
    struct stat st;
    if (name[0] == '.' || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    bool is_left_over = is_top && slice_starts(slice_cstr(name), SLICE_LIT(IMAGES_TEMPORARY));
    if (S_ISDIR(st.st_mode) && is_top)
        sweep_folder(openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), false, before);
    else if (S_ISREG(st.st_mode) && (is_left_over || st.st_mtime < before))
        (void)unlinkat(fd, name, 0);
}

static void sweep_folder(int fd, bool is_top, time_t before)
{
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(dir));)
        sweep_entry(fd, e->d_name, is_top, before);
    closedir(dir);
}

void images_sweep(const struct server *s)
{
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    folder_path(s, &path);
    sweep_folder(open(bytes_cstr(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC), true,
                 time(NULL) - (time_t)IMAGES_KEEP_DAYS * 24 * 60 * 60);
}
