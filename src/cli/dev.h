/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of `limpet dev` share. One thread; everything that it waits for is in one poll(). */
#pragma once

#include <sys/types.h>

#include "base/bytes.h"
#include "base/map.h"
#include "project/project.h"

struct cli;

/* ---- dev_server.c: a server of its own, in a child process that ends with this one ---- */

struct dev_server {
    pid_t pid; /* 0: none */
    int out;   /* its standard output */
    char url[64];
    int http_port;
};
/* Its data is in folder; port: of public traffic, 0: any. Blocks until it is ready, or prints why not. */
int dev_server_start(struct cli *cli, const char *folder, int port, bool is_port_given,
                     struct dev_server *ret_server);
void dev_server_stop(struct dev_server *s);
/* `limpet ARGS…` as a child that ends with this process; 0: it could not be started. */
pid_t dev_spawn(const char *const *args, int out, int err);

/* ---- dev_watch.c: which files have changed ---- */

struct dev_watch {
    int fd;
    struct map folders; /* path -> watch number */
    const char **paths; /* watch number -> path */
    size_t paths_len;
    struct arena *arena;
};
void dev_watch_open(struct dev_watch *w);
void dev_watch_close(struct dev_watch *w);
void dev_watch_folder(struct dev_watch *w, const char *path);
/* With those below, but for node_modules, hidden ones and the like. */
void dev_watch_tree(struct dev_watch *w, const char *path);
/* Calls on_change for each file that changed; waits until it has been quiet for a moment. */
void dev_watch_read(struct dev_watch *w, void (*on_change)(void *arg, const char *path), void *arg);

/* ---- dev_page.c: what browsers see ---- */

enum { DEV_PAGES_MAX = 64 };
struct dev_page {
    int listener, port;
    int clients[DEV_PAGES_MAX]; /* open pages that wait for a reload; -1: none */
};
int dev_page_open(struct cli *cli, struct dev_page *ret_page);
void dev_page_close(struct dev_page *p);
void dev_page_accept(struct dev_page *p);
void dev_page_reload(struct dev_page *p);
/* HTML that loads its page again when dev_page_reload() is called. */
const char *dev_page_script(struct arena *a, const struct dev_page *p);
/* A module whose answers are main's, with that script in its pages. */
void dev_page_entry(const char *main, const char *script, struct bytes *out);

/* Why a build failed. */
struct build_problem {
    struct slice message, file, frame, hint;
    int64_t line, column;
};
/* A module that shows it to a browser. */
void dev_page_problem(const struct build_problem *why, const char *script, struct bytes *out);
