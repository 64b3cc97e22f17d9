/* SPDX-License-Identifier: Apache-2.0
 *
 * Images of functions on disk, in the artifact folder: what evaluating an artifact comes to, so that
 * bringing back a function that has rested, or any after a restart, is reading a few kilobytes.
 * Only an optimization: a file says which artifact and name it is of, which engine and base image it
 * belongs to, and covers itself with checksums (sandbox/snapshot.h); one that does not fit is made
 * anew from the artifact. So nothing here is synced, and errors mean that there is no file.
 *
 * What a module's files take is its own disk (accounts.h): above its quota, or where the disk is short,
 * none is made. They go with the module; at the start those that nothing has read for IMAGES_KEEP_DAYS
 * go, too, and those of modules that there are no more.
 *
 *     IMAGES/NAMESPACE@NAME/HASH     @NAME in the default namespace; HASH: of name and artifact
 *
 * Any thread; blocking. */
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
#include "base/map.h"
#include "base/module_name.h"
#include "base/random.h"
#include "host/sql.h"
#include "module/runtime.h"
#include "server/accounts.h"
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

/* Neither part of a name has an '@'. */
static void append_module(struct slice name, struct bytes *out)
{
    struct module_name n = module_name_split(name);
    bytes_printf(out, "%.*s@%.*s", SLICE_ARG(namespace_is_default(n.space) ? SLICE_EMPTY : n.space),
                 SLICE_ARG(n.name));
}

static void module_path(const struct server *s, struct slice name, struct bytes *out)
{
    folder_path(s, out);
    bytes_append_char(out, '/');
    append_module(name, out);
}

static void file_path(const struct server *s, struct slice name, const struct images_key *k,
                      struct bytes *out)
{
    module_path(s, name, out);
    bytes_append_char(out, '/');
    for (size_t n = 0; n < IMAGES_KEY_BYTES; n++)
        bytes_printf(out, "%02x", k->digest[n]);
}

static void temporary_path(const struct server *s, struct bytes *out)
{
    folder_path(s, out);
    bytes_printf(out, "/" IMAGES_TEMPORARY "%016llx", (unsigned long long)random_u64());
}

/* ---- what they take ---- */

struct images_share {
    struct account *account; /* a reference */
    size_t bytes;            /* taken from it */
};

struct images {
    pthread_mutex_t mutex; /* held while files change, too, so that sums are true */
    struct map shares;     /* name of a module -> struct images_share */
};

struct images *images_new(void)
{
    struct images *i = calloc(1, sizeof(*i));
    CHECK(i);
    CHECK(pthread_mutex_init(&i->mutex, NULL) == 0);
    return i;
}

static void share_free(struct images_share *share)
{
    if (!share)
        return;
    account_give(share->account, RESOURCE_DISK, share->bytes);
    account_unref(share->account);
    free(share);
}

void images_free(struct images *i)
{
    void *share;
    if (!i)
        return;
    for (size_t cursor = 0; map_next(&i->shares, &cursor, NULL, &share);)
        share_free(share);
    map_done(&i->shares);
    pthread_mutex_destroy(&i->mutex);
    free(i);
}

/* With the mutex. */
static struct images_share *share_get(const struct server *s, struct slice name)
{
    struct images_share *share = map_get(&s->images->shares, name);
    if (share)
        return share;
    share = calloc(1, sizeof(*share));
    CHECK(share);
    share->account = accounts_module(s->accounts, name);
    (void)map_put(&s->images->shares, name, share);
    return share;
}

/* With the mutex: it takes so much instead of so much. False: the module may not have that. */
static bool share_change(struct images_share *share, size_t before, size_t now)
{
    struct budget *disk = &share->account->budgets[RESOURCE_DISK];
    if (now > before && (sql_disk_is_short() || !budget_take(disk, now - before, NULL)))
        return false;
    if (now < before)
        budget_give(disk, before - now);
    share->bytes = share->bytes + now - before;
    return true;
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
    file_path(s, name, &k, &path);
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

/* With the mutex. */
static void put_file(const struct server *s, struct slice name, const char *path,
                     struct slice content)
{
    CLEANUP(bytes_done) struct bytes folder = BYTES_INIT, temporary = BYTES_INIT;
    struct images_share *share = share_get(s, name);
    struct stat st;
    size_t before = stat(path, &st) == 0 ? (size_t)st.st_size : 0;
    if (before > share->bytes) /* not looked at yet */
        before = share->bytes;
    if (!share_change(share, before, content.len))
        return; /* evaluated each time */
    folder_path(s, &folder);
    (void)mkdir(bytes_cstr(&folder), 0700);
    bytes_clear(&folder);
    module_path(s, name, &folder);
    (void)mkdir(bytes_cstr(&folder), 0700);
    temporary_path(s, &temporary);
    if (write_all(bytes_cstr(&temporary), content) && rename(bytes_cstr(&temporary), path) == 0)
        return;
    (void)unlink(bytes_cstr(&temporary));
    (void)share_change(share, content.len, before);
}

void images_put(const struct server *s, const struct runtime *r, struct slice name,
                struct slice hash, const struct image *image)
{
    struct images_key k = key_of(name, hash);
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT, saved = BYTES_INIT;
    bytes_append(&saved, k.digest, IMAGES_KEY_BYTES);
    if (!r->type->image_save || r->type->image_save(r, image, &saved, NULL) != OK)
        return; /* too large: evaluated each time */
    file_path(s, name, &k, &path);
    pthread_mutex_lock(&s->images->mutex);
    put_file(s, name, bytes_cstr(&path), bytes_slice(&saved));
    pthread_mutex_unlock(&s->images->mutex);
}

void images_hash(struct slice code, char ret_hash[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    CHECK(EVP_Digest(code.ptr ? code.ptr : "", code.len, digest, NULL, EVP_sha256(), NULL) == 1);
    for (size_t k = 0; k < 32; k++)
        snprintf(ret_hash + 2 * k, 3, "%02x", digest[k]);
}

/* ---- what is old, and what is nobody's ---- */

/* Removes files of a folder that were not read since; with INT64_MAX all. The bytes of those that stay. */
static size_t sweep_files(const char *folder, int64_t since)
{
    DIR *dir = opendir(folder);
    size_t left = 0;
    struct stat st;
    if (!dir)
        return 0;
    int fd = dirfd(dir);
    for (struct dirent *e; fd >= 0 && (e = readdir(dir));) {
        if (e->d_name[0] == '.' || fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        if (st.st_mtime >= since)
            left += (size_t)st.st_size;
        else
            (void)unlinkat(fd, e->d_name, 0);
    }
    closedir(dir);
    return left;
}

static void remove_folder(const char *path)
{
    (void)sweep_files(path, INT64_MAX);
    if (rmdir(path) != 0)
        (void)unlink(path); /* it is a file */
}

void images_remove(const struct server *s, struct slice name)
{
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT, temporary = BYTES_INIT;
    module_path(s, name, &path);
    temporary_path(s, &temporary);
    pthread_mutex_lock(&s->images->mutex);
    struct images_share *share = map_remove(&s->images->shares, name);
    bool is_there = rename(bytes_cstr(&path), bytes_cstr(&temporary)) == 0;
    pthread_mutex_unlock(&s->images->mutex);
    if (is_there)
        remove_folder(bytes_cstr(&temporary));
    share_free(share);
}

void images_list(const struct server *s, struct map *ret_folders)
{
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    folder_path(s, &path);
    DIR *dir = opendir(bytes_cstr(&path));
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.')
            (void)map_put(ret_folders, slice_cstr(e->d_name), ret_folders);
    if (dir)
        closedir(dir);
}

static void sweep_module(const struct server *s, struct slice name)
{
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    module_path(s, name, &path);
    pthread_mutex_lock(&s->images->mutex);
    size_t bytes = sweep_files(bytes_cstr(&path),
                               (int64_t)time(NULL) - (int64_t)IMAGES_KEEP_DAYS * 24 * 60 * 60);
    struct images_share *share = share_get(s, name);
    if (bytes > share->bytes) /* they are there, whatever the quota says */
        budget_force(&share->account->budgets[RESOURCE_DISK], bytes - share->bytes);
    else
        budget_give(&share->account->budgets[RESOURCE_DISK], share->bytes - bytes);
    share->bytes = bytes;
    pthread_mutex_unlock(&s->images->mutex);
}

void images_sweep(const struct server *s, struct map *folders, const struct map *modules)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    size_t cursor = 0;
    struct slice name;
    while (map_next(modules, &cursor, &name, NULL)) {
        bytes_clear(&text);
        append_module(name, &text);
        if (map_remove(folders, bytes_slice(&text)))
            sweep_module(s, name);
    }
    cursor = 0;
    while (map_next(folders, &cursor, &name, NULL)) { /* deleted, or of an earlier layout */
        bytes_clear(&text);
        folder_path(s, &text);
        bytes_printf(&text, "/%.*s", SLICE_ARG(name));
        remove_folder(bytes_cstr(&text));
    }
}
