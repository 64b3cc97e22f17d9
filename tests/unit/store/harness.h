/* SPDX-License-Identifier: Apache-2.0
 *
 * What the store's tests share: a folder of their own, a store in it, and mutations as blocking
 * calls. */
#pragma once

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

#include "loop/loop.h"
#include "store/sqlite/reads.h"
#include "store/store.h"

struct harness {
    char folder[64], url[128], artifacts[128];
    struct loop loop;
    struct store *store;
    struct store_reader *reader;
    struct arena *arena;
    struct error error;
    uint32_t log_rows_max, execution_rows_max;
    int64_t durable_keep_us;
    struct store_accounts accounts;
    int pending;
};

#define S(text) SLICE_LIT(text)
#define assert_slice(actual, expected)                                                             \
    do {                                                                                           \
        struct slice actual_ = (actual);                                                           \
        if (!slice_eq_cstr(actual_, (expected)))                                                   \
            fail_msg("is '%.*s', expected '%s'", SLICE_ARG(actual_), (expected));                  \
    } while (0)
#define assert_ok(call)                                                                            \
    do {                                                                                           \
        enum err code_ = (call);                                                                   \
        if (code_ != OK)                                                                           \
            fail_msg("%s: %s: %s", #call, error_text(code_), h->error.message);                    \
    } while (0)
#define assert_text_has(text, part)                                                                \
    do {                                                                                           \
        if (!strstr((text), (part)))                                                               \
            fail_msg("'%s' does not have '%s'", (text), (part));                                   \
    } while (0)

/* Runs a program of the system: no shell, no surprises in names. */
static inline void harness_remove_folder(const char *folder)
{
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", folder, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

static inline enum err harness_open_store(struct harness *h)
{
    struct store_config config = {.url = h->url,
                                  .artifact_dir = h->artifacts,
                                  .log_rows_max = h->log_rows_max,
                                  .execution_rows_max = h->execution_rows_max,
                                  .durable_keep_us = h->durable_keep_us,
                                  .accounts = h->accounts};
    enum err code = store_open(&config, &h->store, &h->error);
    if (code == OK)
        code = store_reader_open(h->store, &h->reader, &h->error);
    return code;
}

static inline void harness_close_store(struct harness *h)
{
    store_reader_close(h->reader);
    store_close(h->store);
    h->reader = NULL;
    h->store = NULL;
}

static inline struct harness *harness_new_folder(void)
{
    struct harness *h = calloc(1, sizeof(*h));
    assert_non_null(h);
    snprintf(h->folder, sizeof(h->folder), "/tmp/limpet-store-XXXXXX");
    assert_non_null(mkdtemp(h->folder));
    snprintf(h->url, sizeof(h->url), "sqlite:%s/data/db.sqlite", h->folder);
    snprintf(h->artifacts, sizeof(h->artifacts), "%s/data/artifacts", h->folder);
    loop_init(&h->loop);
    h->arena = arena_new(NULL);
    return h;
}

static inline int harness_setup(void **state)
{
    struct harness *h = harness_new_folder();
    *state = h;
    assert_ok(harness_open_store(h));
    return 0;
}

static inline int harness_setup_folder(void **state)
{
    *state = harness_new_folder();
    return 0;
}

static inline int harness_teardown(void **state)
{
    struct harness *h = *state;
    harness_close_store(h);
    arena_free(h->arena);
    loop_done(&h->loop);
    harness_remove_folder(h->folder);
    free(h);
    return 0;
}

static inline void harness_on_done(struct store_op *op)
{
    loop_stop(op->loop);
}

#define HARNESS_OP(h) {.loop = &(h)->loop, .done = harness_on_done}

/* Waits for the one op in flight. */
static inline enum err harness_wait(struct harness *h, struct store_op *op)
{
    loop_run(&h->loop);
    h->error = op->error;
    return op->error.code;
}

static inline enum err build_start(struct harness *h, const char *name, int64_t *ret_number)
{
    struct store_op op = HARNESS_OP(h);
    store_build_start(h->store, &op, slice_cstr(name), MODULE_FUNCTION);
    enum err code = harness_wait(h, &op);
    if (ret_number)
        *ret_number = op.number;
    return code;
}

static inline enum err publish(struct harness *h, const char *name, int64_t build,
                               const char *code_text, const char *map_text, int64_t *ret_number)
{
    char hash[65], map_hash[65] = "";
    assert_ok(store_artifact_put(h->store, slice_cstr(code_text), hash, &h->error));
    if (*map_text)
        assert_ok(store_artifact_put(h->store, slice_cstr(map_text), map_hash, &h->error));
    struct version_row v = {.function = slice_cstr(name),
                            .hash = slice_cstr(hash),
                            .detail_hash = slice_cstr(map_hash),
                            .exports = 4,
                            .options = {.isolation = ISOLATION_MODULE,
                                        .cpu_ms = 250,
                                        .domains = S("a.example,*.b.example"),
                                        .runtime = S("wasm")}};
    struct store_op op = HARNESS_OP(h);
    store_publish(h->store, &op, build, &v);
    enum err code = harness_wait(h, &op);
    if (ret_number)
        *ret_number = op.number;
    return code;
}

static inline enum err execution_start(struct harness *h, const char *name, const char *id)
{
    struct execution_row row = {.id = slice_cstr(id),
                                .function = slice_cstr(name),
                                .version = 1,
                                .input = S("{\"n\":1}"),
                                .metadata = S("{}")};
    struct store_op op = HARNESS_OP(h);
    store_execution_start(h->store, &op, &row);
    return harness_wait(h, &op);
}

static inline enum err execution_finish(struct harness *h, const char *id)
{
    struct execution_row row = {
        .id = slice_cstr(id), .status = EXECUTION_SUCCESS, .output = S("42")};
    struct store_op op = HARNESS_OP(h);
    store_execution_finish(h->store, &op, &row);
    return harness_wait(h, &op);
}

static inline enum err function_delete(struct harness *h, const char *name)
{
    struct store_op op = HARNESS_OP(h);
    store_function_delete(h->store, &op, slice_cstr(name));
    return harness_wait(h, &op);
}
