/* SPDX-License-Identifier: Apache-2.0
 *
 * See dev.h. Folders are watched, not files: editors write a new file and rename it. */
#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/dev.h"

enum { WATCH_FOLDERS_MAX = 8192, WATCH_QUIET_MS = 10 };

#define WATCH_EVENTS                                                                               \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ONLYDIR)

void dev_watch_open(struct dev_watch *w)
{
    *w =
        (struct dev_watch){.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), .arena = arena_new(NULL)};
    w->paths = calloc(WATCH_FOLDERS_MAX, sizeof(*w->paths));
    CHECK(w->paths);
}

void dev_watch_close(struct dev_watch *w)
{
    if (w->fd >= 0)
        close(w->fd);
    map_done(&w->folders);
    free(w->paths);
    arena_free(w->arena);
}

void dev_watch_folder(struct dev_watch *w, const char *path)
{
    if (w->fd < 0 || map_get(&w->folders, slice_cstr(path)))
        return;
    const int number = inotify_add_watch(w->fd, path, WATCH_EVENTS);
    if (number < 0 || number >= WATCH_FOLDERS_MAX)
        return;
    w->paths[number] = arena_cstr(w->arena, slice_cstr(path));
    (void)map_put(&w->folders, slice_cstr(path), w);
}

static bool is_left_out(const char *name)
{
    return name[0] == '.' || strcmp(name, "node_modules") == 0;
}

static bool is_variables(const char *name)
{
    return strncmp(name, ".dev.vars", 9) == 0 || strncmp(name, ".env", 4) == 0;
}

void dev_watch_tree(struct dev_watch *w, const char *path)
{
    dev_watch_folder(w, path);
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));) {
        struct stat st;
        if (is_left_out(e->d_name))
            continue;
        struct bytes below = BYTES_INIT;
        bytes_printf(&below, "%s/%s", path, e->d_name);
        if (lstat(bytes_cstr(&below), &st) == 0 && S_ISDIR(st.st_mode))
            dev_watch_tree(w, bytes_cstr(&below));
        bytes_done(&below);
    }
    closedir(dir);
}

void dev_watch_read(struct dev_watch *w, void (*on_change)(void *arg, const char *path), void *arg)
{
    char buffer[16 * 1024] __attribute__((aligned(__alignof__(struct inotify_event))));
    struct pollfd quiet = {.fd = w->fd, .events = POLLIN};
    do {
        for (ssize_t n; (n = read(w->fd, buffer, sizeof(buffer))) > 0;) {
            for (ssize_t at = 0; at < n;) {
                const struct inotify_event *e = (const void *)(buffer + at);
                at += (ssize_t)(sizeof(*e) + e->len);
                if (e->wd < 0 || e->wd >= WATCH_FOLDERS_MAX || !w->paths[e->wd] || e->len == 0 ||
                    (is_left_out(e->name) && !is_variables(e->name)))
                    continue;
                struct bytes path = BYTES_INIT;
                bytes_printf(&path, "%s/%s", w->paths[e->wd], e->name);
                if ((e->mask & IN_ISDIR) && (e->mask & (IN_CREATE | IN_MOVED_TO)))
                    dev_watch_tree(w, bytes_cstr(&path));
                on_change(arg, bytes_cstr(&path));
                bytes_done(&path);
            }
        }
    } while (poll(&quiet, 1, WATCH_QUIET_MS) > 0);
}
