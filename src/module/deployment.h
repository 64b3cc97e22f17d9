/* SPDX-License-Identifier: Apache-2.0
 *
 * A function as it serves now: one version with its limits, environment and database. Immutable but
 * for the marked fields; refcounted, shared by all threads. A change of version or env makes a new
 * one.
 *
 * The image is made on first use (loading), so that a server with many functions starts at once,
 * and goes when no slot has used it for a while, so that those of a thousand functions that are
 * seldom called cost nothing. Who needs it calls deployment_await() and is told when it is ready,
 * and deployment_leave() when it needs it no more; the loading itself is started by whoever gets
 * DEPLOYMENT_LOAD_IT back. The same for setup(), which runs once per version. */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/list.h"
#include "base/slice.h"
#include "loop/post.h"
#include "module/binding.h"

struct account;
struct assets;
struct binding;
struct database;
struct image;
struct loop;
struct module_kind_info;
struct placeholder;
struct route_pattern;
struct runtime;

struct deployment_env {
    struct slice name, value;
    int64_t version; /* names the value, in journals */
    bool is_secret;
    bool is_bound;                 /* to hosts: the value is a placeholder */
    bool is_json;                  /* the value is JSON, of something that is no string */
    const struct binding *binding; /* it is no variable; the value is the word of its kind */
    struct database *database;     /* that the binding leads to: a reference; NULL: none */
};

enum deployment_stage {
    DEPLOYMENT_UNLOADED,
    DEPLOYMENT_LOADING,
    DEPLOYMENT_LOADED,
    DEPLOYMENT_SETTING_UP,
    DEPLOYMENT_READY
};

struct deployment {
    int refs;            /* atomic */
    struct arena *arena; /* holds the texts below */
    const struct module_kind_info *kind;
    struct runtime *runtime;              /* what runs it; stays longer */
    struct slice name, hash, detail_hash; /* hashes name artifacts; of the detail perhaps "" */
    const struct route_pattern *routes;   /* beside its name */
    size_t routes_len;
    struct account *account; /* of its module, a reference; NULL: nothing is counted */
    int64_t version;
    uint64_t random_seed; /* of Math.random in top-level code */
    uint32_t exports;     /* enum module_export */
    bool is_module_isolation;
    size_t memory_bytes_max;
    uint64_t cpu_ns_max;
    uint32_t wall_ms_max;
    uint32_t sql_transaction_ms;
    const struct deployment_env *env; /* sorted by name */
    size_t env_len;
    const struct placeholder *placeholders; /* those of env that are bound */
    size_t placeholders_len;
    const char *const *domains; /* NULL-terminated; NULL: all that the server allows */
    struct assets *assets;      /* a reference: static files; NULL: none */
    void (*release_assets)(struct assets *a);
    struct deployment
        *split; /* a reference: another version that has a part of its requests, or NULL */
    uint32_t split_permyriad;                     /* of 10,000 */
    struct database *database;                    /* a reference; NULL: it has none */
    void (*release_database)(struct database *b); /* host/database.h lies above this folder */

    /* under mutex */
    pthread_mutex_t mutex;
    enum deployment_stage stage;
    struct list waiters;
    unsigned users;     /* who may use image and detail */
    bool is_setup_done; /* at creation, from the store */
    size_t charged;     /* bytes of image and detail that its account has */

    /* constant while there are users */
    struct image *image;
    void *detail; /* what the runtime knows of it (runtime_type.detail_read), or NULL */
};

struct deployment *deployment_new(void); /* with an arena, one reference, zeros */
struct deployment *deployment_ref(struct deployment *d);
void deployment_unref(struct deployment *d);

/* What it has under this name, if that is of the kind; NULL. */
const struct binding *deployment_binding(const struct deployment *d, enum binding_kind kind,
                                         struct slice name);

/* What an exported class of its actors was called at first: by that their ids and data go on when it is
 * renamed. And the other way round. */
struct slice deployment_actor_origin(const struct deployment *d, struct slice class);
struct slice deployment_actor_class(const struct deployment *d, struct slice origin);

/* Someone on a loop that waits for the next stage. Owned by the caller until done. */
struct deployment_waiter {
    struct post post; /* private */
    struct list link; /* private */
    struct loop *loop;
    void (*done)(struct deployment_waiter
                     *w); /* on loop; ask deployment_await() again if error.code is OK */
    struct error error;
};

enum deployment_answer {
    DEPLOYMENT_GO,      /* ready to serve, until deployment_leave() */
    DEPLOYMENT_WAIT,    /* the waiter is queued */
    DEPLOYMENT_LOAD_IT, /* the caller must load the image, then call deployment_loaded() */
    DEPLOYMENT_SET_UP,  /* the caller must run setup(), then call deployment_set_up() */
};
/* With GO and SET_UP the caller is a user from now on, if *is_user did not say so already. */
enum deployment_answer deployment_await(struct deployment *d, struct deployment_waiter *w,
                                        bool *is_user);
/* What image and detail take is its account's from now on, if it is not yet, until they go. For a
 * user. ERR_OVERLOAD: at a limit, which can pass; ERR_LIMIT_MEMORY: they are above one by themselves. */
NODISCARD enum err deployment_charge(struct deployment *d, struct error *ret_error);
/* A user leaves; with the last one image and detail go. */
void deployment_leave(struct deployment *d);
/* image and detail are taken over; on failure (image NULL) all waiters get the error and the next
 * request tries again. */
void deployment_loaded(struct deployment *d, struct image *image, void *detail,
                       const struct error *error);
void deployment_set_up(struct deployment *d, const struct error *error);

/* A stack trace of its code as its author knows it; whoever asks is a user. */
void deployment_write_stack(const struct deployment *d, struct slice stack, struct bytes *out);
