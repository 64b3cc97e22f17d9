/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's shared parts: one struct server, N workers (engine threads), one control thread. A
 * worker shares nothing mutable with others but refcounted deployments; changes reach it as posted
 * messages. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/bytes.h"
#include "base/list.h"
#include "base/map.h"
#include "base/slice.h"
#include "flow/env.h"
#include "flow/queues.h"
#include "flow/schedules.h"
#include "loop/loop.h"
#include "loop/post.h"
#include "loop/timer.h"
#include "server/config.h"
#include "server/metrics.h"

struct accounts;
struct admin;
struct control;
struct databases;
struct deployment;
struct egress;
struct http_cache;
struct runtime;
struct runtimes;
struct function_row;
struct image;
struct store;
struct tls_context;
struct witness;
struct worker;

struct server {
    struct config config;
    struct store *store;
    struct runtimes *runtimes;
    struct egress *egress;
    struct http_cache *cache;
    struct tls_context *tls;
    struct worker **workers;
    size_t workers_len;
    _Atomic size_t workers_busy; /* that have requests of clients, while the server stops */
    struct control *control;
    struct flow_shared flow;
    struct lateness wake_lateness, schedule_lateness;
    struct schedules_metrics schedules;
    struct queues_metrics queues;
    _Atomic uint64_t images_read, images_made; /* from disk; by evaluating the artifact */
    struct databases *databases;
    struct witness *witness; /* of what runs; NULL: there is no room for it */
    struct bytes suspects;   /* executions that the process before may have ended with */
    struct accounts *accounts;
    struct images *images;
    struct rates *rates;
    uint64_t started_ns;
};

/* databases.c: where a module's database lies, and its file's name there. */
void databases_path(const struct server *s, const struct function_row *f, struct bytes *out);
void databases_file_name(const struct function_row *f, struct bytes *out);
/* That of a resource, whose number it has: a reference. Its disk is its namespace's. Any thread. */
struct database *databases_resource(struct server *s, struct slice space, int64_t id);
/* At the start: removes files of modules and resources that there are no more. The loop's thread; the loop lasts
 * until that is done. */
void databases_sweep(struct server *s, struct loop *loop);

/* images.c: images of functions, kept on disk beside their artifacts. */
struct image *images_get(const struct server *s, const struct runtime *r, struct slice name,
                         struct slice hash);
void images_put(const struct server *s, const struct runtime *r, struct slice name,
                struct slice hash, const struct image *image);
void images_hash(struct slice code, char ret_hash[65]); /* what the store will call it */
struct images *images_new(void);
void images_free(struct images *i);                            /* NULL is allowed */
void images_remove(const struct server *s, struct slice name); /* the module was deleted */
/* At the start: what there is; then, with the names of all modules that there are by now, what of that is
 * old or nobody's goes, and the rest counts. */
void images_list(const struct server *s, struct map *ret_folders);
void images_sweep(const struct server *s, struct map *folders, const struct map *modules);
