/* SPDX-License-Identifier: Apache-2.0
 *
 * What the admin's tests share: a real store in a folder of its own, and a fake of the rest of the
 * server, steered by what the bundle and the input say:
 *
 *   a bundle with "BROKEN"    fails evaluation at source.ts:2:5
 *   a bundle with "GATE"      evaluates only after harness_open_gate()
 *   an input with "throw"     fails as a TypeError; others come back as output
 *   an input with "wait"      is done only when harness_finish_runs() is called
 *   a bundle with "WORKFLOW"  exports only a workflow, one with "HANDLER" derp's handler
 *
 * Executions of workflows are rows of the real store and run nothing (fake_durable.h).
 *
 * The fake counts, so that tests can say what happened in which order. */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/admin.h"
#include "base/clock.h"
#include "base/module_kind.h"
#include "loop/loop.h"
#include "loop/post.h"

struct fake {
    struct loop *loop;
    struct store *store;
    sem_t gate;
    int evaluations; /* atomic */
    int running_now, running_most;
    int changes;
    char order[512]; /* names of evaluated functions, in order of their start */
    pthread_mutex_t lock;
    struct admin_execute *waiting;
    enum err change_fails;
    struct list durables;     /* of struct fake_durable that wait; fake_durable.h */
    char durable_order[1024]; /* "start pause cancel " */
    uint32_t durable_wait_ms; /* of the last operation */
    int64_t durable_version, durable_record;
};

void fake_durable(void *ctx, struct flow_request *d);
void fake_durable_cancel(void *ctx, struct flow_request *d);

static inline void fake_init(struct fake *f)
{
    memset(f, 0, sizeof(*f));
    sem_init(&f->gate, 0, 0);
    pthread_mutex_init(&f->lock, NULL);
    list_init(&f->durables);
}

static inline bool fake_has(struct slice s, const char *word)
{
    return s.ptr && memmem(s.ptr, s.len, word, strlen(word)) != NULL;
}

static inline enum err fake_evaluate(void *ctx, struct slice function,
                                     const struct build_output *built,
                                     const struct version_options *options, uint32_t *ret_exports,
                                     struct build_failure *ret_failure, struct error *ret_error)
{
    struct fake *f = ctx;
    struct slice code = bytes_slice(&built->artifact);
    (void)options;
    pthread_mutex_lock(&f->lock);
    f->evaluations++;
    if (++f->running_now > f->running_most)
        f->running_most = f->running_now;
    size_t len = strlen(f->order);
    snprintf(f->order + len, sizeof(f->order) - len, "%.*s ", SLICE_ARG(function));
    pthread_mutex_unlock(&f->lock);
    if (fake_has(code, "GATE"))
        while (sem_wait(&f->gate) != 0)
            continue;
    pthread_mutex_lock(&f->lock);
    f->running_now--;
    pthread_mutex_unlock(&f->lock);
    if (!fake_has(code, "BROKEN")) {
        *ret_exports = fake_has(code, "WORKFLOW")  ? MODULE_EXPORT_WORKFLOW
                       : fake_has(code, "HANDLER") ? MODULE_EXPORT_HANDLER
                                                   : MODULE_EXPORT_FETCH;
        return OK;
    }
    bytes_append_cstr(&ret_failure->message, "ReferenceError: x is not defined");
    bytes_append_cstr(&ret_failure->file, "source.ts");
    bytes_append_cstr(&ret_failure->frame, "  2 | BROKEN\n    |     ^\n");
    ret_failure->line = 2;
    ret_failure->column = 5;
    return error_set(ret_error, ERR_GUEST, "x is not defined");
}

struct fake_done {
    struct post post;
    struct admin_change *change;
};

static inline void fake_change_done(struct post *p)
{
    struct fake_done *d = container_of(p, struct fake_done, post);
    struct admin_change *c = d->change;
    free(d);
    c->done(c);
}

static inline void fake_change(void *ctx, struct admin_change *c)
{
    struct fake *f = ctx;
    struct fake_done *d = calloc(1, sizeof(*d));
    f->changes++;
    d->change = c;
    d->post.fn = fake_change_done;
    if (f->change_fails)
        error_set(&c->error, f->change_fails, "the engines did not take it");
    loop_post(f->loop, &d->post);
}

static inline void fake_finish(struct fake *f, struct admin_execute *e)
{
    struct log_row row = {.function = e->function,
                          .execution = e->execution_id,
                          .level = 1,
                          .at_us = clock_wall_us(),
                          .text = SLICE_LIT("ran")};
    store_log(f->store, NULL, &row);
    if (fake_has(e->body, "throw")) {
        error_set(&e->error, ERR_GUEST, "it is not a function");
        bytes_append_cstr(&e->error_name, "TypeError");
        bytes_append_cstr(&e->error_stack, "    at handle (source.ts:3:9)\n");
    } else {
        bytes_append_slice(&e->output, e->body);
    }
    e->done(e);
}

static inline void fake_execute(void *ctx, struct admin_execute *e)
{
    struct fake *f = ctx;
    if (fake_has(e->body, "wait"))
        f->waiting = e;
    else
        fake_finish(f, e);
}

static inline void fake_metrics(void *ctx, struct bytes *out)
{
    (void)ctx;
    bytes_append_cstr(out, "limpet_fake 1\n");
}

/* Nothing is metered: what a test puts into the store is all there is. */
static inline void fake_usage(void *ctx, struct admin_usage *u)
{
    (void)ctx;
    u->error.code = OK;
    u->done(u);
}

static inline int64_t fake_stored_bytes(void *ctx, struct slice module)
{
    (void)ctx;
    return (int64_t)module.len;
}

static inline bool fake_quota_look(void *ctx, const struct quota_row *owner, enum resource r,
                                   struct admin_quota *ret_quota)
{
    (void)ctx, (void)owner;
    *ret_quota = (struct admin_quota){1000, 9000, 5000, 7};
    return r == RESOURCE_MEMORY;
}

static inline enum err fake_disk_left(void *ctx, struct slice module, struct error *ret_error)
{
    (void)ctx, (void)ret_error;
    return module.len > 0 ? OK : ERR_LIMIT_DISK;
}

static inline struct admin_host fake_host(struct fake *f)
{
    return (struct admin_host){.ctx = f,
                               .evaluate = fake_evaluate,
                               .change = fake_change,
                               .execute = fake_execute,
                               .metrics = fake_metrics,
                               .durable = fake_durable,
                               .durable_cancel = fake_durable_cancel,
                               .usage = fake_usage,
                               .stored_bytes = fake_stored_bytes,
                               .quota_look = fake_quota_look,
                               .disk_left = fake_disk_left};
}

static inline void remove_folder(const char *folder)
{
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", folder, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

/* A store in a new folder, whose path is put into folder. */
static inline struct store *open_store(char folder[64])
{
    char url[128], artifacts[128];
    struct store *store;
    struct error error = {0};
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, 64, "%.40s/limpet-admin-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(url, sizeof(url), "sqlite:%s/db.sqlite", folder);
    snprintf(artifacts, sizeof(artifacts), "%s/artifacts", folder);
    struct store_config config = {.url = url, .artifact_dir = artifacts};
    if (store_open(&config, &store, &error))
        fail_msg("store_open: %s", error.message);
    return store;
}
