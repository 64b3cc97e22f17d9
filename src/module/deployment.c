/* SPDX-License-Identifier: Apache-2.0
 *
 * See deployment.h. */
#include "module/deployment.h"

#include <stdlib.h>

#include "base/budget.h"
#include "base/limits.h"
#include "base/module_kind.h"
#include "module/runtime.h"
#include "sandbox/isolate.h"

struct deployment *deployment_new(void)
{
    struct deployment *d = calloc(1, sizeof(*d));
    CHECK(d);
    d->refs = 1;
    d->arena = arena_new(NULL);
    d->sql_transaction_ms = LIMIT_SQL_TRANSACTION_MS;
    CHECK(pthread_mutex_init(&d->mutex, NULL) == 0);
    list_init(&d->waiters);
    return d;
}

struct deployment *deployment_ref(struct deployment *d)
{
    __atomic_add_fetch(&d->refs, 1, __ATOMIC_RELAXED);
    return d;
}

static void drop_detail(const struct deployment *d, void *detail)
{
    if (detail)
        d->runtime->type->detail_free(detail);
}

static void uncharge(const struct deployment *d, size_t charged)
{
    if (charged > 0)
        account_give(d->account, RESOURCE_MEMORY, charged);
}

void deployment_unref(struct deployment *d)
{
    if (!d || __atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    CHECK(list_is_empty(&d->waiters));
    if (d->release_assets)
        d->release_assets(d->assets);
    deployment_unref(d->split);
    image_unref(d->image);
    drop_detail(d, d->detail);
    uncharge(d, d->charged);
    account_unref(d->account);
    for (size_t k = 0; d->release_database && k < d->env_len; k++)
        d->release_database(d->env[k].database);
    if (d->release_database)
        d->release_database(d->database);
    pthread_mutex_destroy(&d->mutex);
    arena_free(d->arena);
    free(d);
}

/* With the mutex held. */
static void add_user(struct deployment *d, bool *is_user)
{
    d->users += !*is_user;
    *is_user = true;
}

enum deployment_answer deployment_await(struct deployment *d, struct deployment_waiter *w,
                                        bool *is_user)
{
    enum deployment_answer answer = DEPLOYMENT_GO;
    pthread_mutex_lock(&d->mutex);
    switch (d->stage) {
    case DEPLOYMENT_UNLOADED:
        d->stage = DEPLOYMENT_LOADING;
        answer = DEPLOYMENT_LOAD_IT;
        break;
    case DEPLOYMENT_LOADED:
        add_user(d, is_user);
        if ((d->exports & MODULE_EXPORT_SETUP) && !d->is_setup_done) {
            d->stage = DEPLOYMENT_SETTING_UP;
            answer = DEPLOYMENT_SET_UP;
        } else {
            d->stage = DEPLOYMENT_READY;
        }
        break;
    case DEPLOYMENT_LOADING:
    case DEPLOYMENT_SETTING_UP:
        list_push_back(&d->waiters, &w->link);
        answer = DEPLOYMENT_WAIT;
        break;
    case DEPLOYMENT_READY:
        add_user(d, is_user);
        break;
    }
    pthread_mutex_unlock(&d->mutex);
    return answer;
}

void deployment_leave(struct deployment *d)
{
    struct image *image = NULL;
    void *detail = NULL;
    size_t charged = 0;
    pthread_mutex_lock(&d->mutex);
    CHECK(d->users > 0);
    CHECK(d->stage != DEPLOYMENT_LOADING);
    if (--d->users == 0) {
        CHECK(d->stage != DEPLOYMENT_SETTING_UP); /* who does that is a user */
        image = TAKE(d->image);
        detail = TAKE(d->detail);
        charged = d->charged;
        d->charged = 0;
        d->stage = DEPLOYMENT_UNLOADED;
    }
    pthread_mutex_unlock(&d->mutex);
    image_unref(image);
    drop_detail(d, detail);
    uncharge(d, charged);
}

static size_t held_bytes(const struct deployment *d)
{
    const struct runtime_type *type = d->runtime->type;
    return image_bytes(d->image) + (d->detail ? type->detail_bytes(d->detail) : 0);
}

enum err deployment_charge(struct deployment *d, struct error *ret_error)
{
    enum err err = OK;
    if (!d->account)
        return OK;
    pthread_mutex_lock(&d->mutex);
    CHECK(d->users > 0);
    size_t bytes = d->charged ? 0 : held_bytes(d);
    struct budget *memory = &d->account->budgets[RESOURCE_MEMORY], *full;
    if (bytes > 0 && !budget_take(memory, bytes, &full)) {
        (void)budget_refuse(full, ret_error);
        bool can_pass = bytes <= atomic_load_explicit(&full->max, memory_order_relaxed);
        err = can_pass ? ERR_OVERLOAD : ERR_LIMIT_MEMORY;
        (void)error_context(ret_error, err, "its image takes %zu bytes", bytes);
        if (ret_error)
            ret_error->code = err;
    } else if (bytes > 0) {
        d->charged = bytes;
        image_bill(d->image, memory);
    }
    pthread_mutex_unlock(&d->mutex);
    return err;
}

static void waiter_posted(struct post *p)
{
    struct deployment_waiter *w = container_of(p, struct deployment_waiter, post);
    w->done(w);
}

/* Moves to the stage and tells everyone who waits. */
static void advance(struct deployment *d, enum deployment_stage stage, const struct error *error)
{
    struct list waiters;
    list_init(&waiters);
    pthread_mutex_lock(&d->mutex);
    d->stage = stage;
    d->is_setup_done |= stage == DEPLOYMENT_READY;
    list_splice_back(&waiters, &d->waiters);
    pthread_mutex_unlock(&d->mutex);
    struct list *n;
    while ((n = list_pop_front(&waiters))) {
        struct deployment_waiter *w = container_of(n, struct deployment_waiter, link);
        w->error.code = OK;
        if (error && error->code != OK)
            w->error = *error;
        w->post.fn = waiter_posted;
        loop_post(w->loop, &w->post);
    }
}

void deployment_loaded(struct deployment *d, struct image *image, void *detail,
                       const struct error *error)
{
    CHECK(d->stage == DEPLOYMENT_LOADING);
    d->image = image;
    d->detail = detail;
    advance(d, image ? DEPLOYMENT_LOADED : DEPLOYMENT_UNLOADED, error);
}

void deployment_set_up(struct deployment *d, const struct error *error)
{
    CHECK(d->stage == DEPLOYMENT_SETTING_UP);
    bool is_ok = !error || error->code == OK;
    advance(d, is_ok ? DEPLOYMENT_READY : DEPLOYMENT_LOADED, error);
}

void deployment_write_stack(const struct deployment *d, struct slice stack, struct bytes *out)
{
    const struct runtime_type *type = d->runtime->type;
    if (type->write_stack)
        type->write_stack(d->detail, d->name, stack, out);
    else
        bytes_append_slice(out, stack);
}

const struct binding *deployment_binding(const struct deployment *d, enum binding_kind kind,
                                         struct slice name)
{
    for (size_t k = 0; k < d->env_len; k++) {
        const struct binding *b = d->env[k].binding;
        if (b && b->kind == kind && slice_eq(b->name, name))
            return b;
    }
    return NULL;
}

/* The module's own: NULL if it is not bound to them itself. */
static const struct binding *own_actors(const struct deployment *d, struct slice name,
                                        bool is_origin)
{
    for (size_t k = 0; k < d->env_len; k++) {
        const struct binding *b = d->env[k].binding;
        if (b && b->kind == BINDING_ACTOR && slice_eq(b->part, d->name) &&
            slice_eq(is_origin ? b->origin : b->target, name))
            return b;
    }
    return NULL;
}

struct slice deployment_actor_origin(const struct deployment *d, struct slice class)
{
    const struct binding *b = own_actors(d, class, false);
    return b ? b->origin : class;
}

struct slice deployment_actor_class(const struct deployment *d, struct slice origin)
{
    const struct binding *b = own_actors(d, origin, true);
    return b ? b->target : origin;
}
