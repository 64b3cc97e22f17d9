/* SPDX-License-Identifier: Apache-2.0
 *
 * See actor_files.h. */
#include "server/actor_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/bytes.h"
#include "host/database.h"
#include "loop/loop.h"
#include "loop/work.h"
#include "server/server.h"

#define DATABASE_SUFFIX ".sqlite"

void actor_files_folder(const struct database *module, struct bytes *out)
{
    struct slice path = slice_cstr(database_path(module));
    if (slice_ends(path, SLICE_LIT(DATABASE_SUFFIX)))
        path.len -= strlen(DATABASE_SUFFIX);
    bytes_printf(out, "%.*s" ACTOR_FILES_SUFFIX, SLICE_ARG(path));
}

void actor_files_path(const struct database *module, struct slice class, struct slice id,
                      struct bytes *out)
{
    actor_files_folder(module, out);
    bytes_printf(out, "/%.*s/%.2s/%.*s" DATABASE_SUFFIX, SLICE_ARG(class), id.ptr, SLICE_ARG(id));
}

enum err actor_files_make_folders(const char *path, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes folder = BYTES_INIT;
    const char *from = strstr(path, ACTOR_FILES_SUFFIX "/");
    CHECK(from);
    for (const char *slash = strchr(from, '/'); slash; slash = strchr(slash + 1, '/')) {
        bytes_clear(&folder);
        bytes_append(&folder, path, (size_t)(slash - path));
        if (mkdir(bytes_cstr(&folder), 0700) != 0 && errno != EEXIST)
            return error_set(ret_error, ERR_IO, "cannot make the folder %s: %s",
                             bytes_cstr(&folder), strerror(errno));
    }
    return OK;
}

/* ---- trees ---- */

/* Files below fd, which is closed, and with is_removing the folders, too. Bytes of databases among them. */
static size_t walk(int fd, bool is_removing)
{
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    size_t sum = 0;
    struct stat st;
    if (!dir && fd >= 0)
        close(fd);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (e->d_name[0] == '.' || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISDIR(st.st_mode)) {
            sum +=
                walk(openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
                     is_removing);
            if (is_removing)
                (void)unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR); /* or somebody is in it */
            continue;
        }
        bool is_gone = !is_removing || unlinkat(dirfd(dir), e->d_name, 0) == 0;
        if (is_gone && slice_ends(slice_cstr(e->d_name), SLICE_LIT(DATABASE_SUFFIX)))
            sum += (size_t)st.st_size;
    }
    if (dir)
        closedir(dir);
    return sum;
}

static int folder_open(const char *folder)
{
    return open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

void actor_files_count(const char *folder, struct account *account)
{
    size_t sum = walk(folder_open(folder), false);
    if (sum > 0)
        budget_force(&account->budgets[RESOURCE_DISK], sum);
}

void actor_files_unlink(const char *folder, struct account *account)
{
    size_t sum = walk(folder_open(folder), true);
    (void)rmdir(folder); /* likewise */
    if (account && sum > 0)
        budget_give(&account->budgets[RESOURCE_DISK], sum);
}

/* ---- a module goes ---- */

struct removal {
    struct work work;
    struct account *account;
    struct bytes folder;
};

static void removal_run(struct work *w)
{
    struct removal *r = container_of(w, struct removal, work);
    actor_files_unlink(bytes_cstr(&r->folder), r->account);
}

static void removal_done(struct work *w)
{
    struct removal *r = container_of(w, struct removal, work);
    account_unref(r->account);
    bytes_done(&r->folder);
    free(r);
}

void actor_files_remove(struct server *s, struct loop *loop, struct database *module)
{
    struct removal *r = calloc(1, sizeof(*r));
    CHECK(r);
    actor_files_folder(module, &r->folder);
    databases_remove_below(s->databases, bytes_slice(&r->folder), loop);
    struct account *of = database_account(module);
    r->account = of ? account_ref(of) : NULL;
    r->work = (struct work){.run = removal_run, .done = removal_done};
    work_start(loop, &r->work);
}
