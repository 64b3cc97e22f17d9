/* SPDX-License-Identifier: Apache-2.0
 *
 * Runtimes: how modules of one form are run. Whatever is peculiar to a form (the exports of its
 * code and how they are called, what is known of its sources, what its failures mean) is behind
 * this table; nothing above src/module/ knows any other. A runtime is a folder of its own below
 * host/ with one row of functions, `NAME_runtime`, named in src/meson.build (README.md).
 *
 * A type becomes a `struct runtime` in a process that serves, embedded in the runtime's own struct.
 * Functions of guests are for the thread that has the isolate and are called when no other call into
 * it is under way; the others may be called by any thread, and may block where that is said. */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "module/build.h"
#include "sandbox/isolate.h"

struct engine;
struct http_request;
struct runtime;

/* What a module's code may be asked for. */
enum dispatch_kind {
    DISPATCH_HTTP = 1,
    DISPATCH_EXECUTE = 2,
    DISPATCH_SETUP = 3,
    DISPATCH_WORKFLOW = 4,
    DISPATCH_METHOD = 5, /* of a class that it exports; values are bytes, docs/values.md */
};

/* One dispatch, as code gets it. */
struct dispatch_input {
    enum dispatch_kind kind;
    uint32_t number; /* that ops name it by */
    struct slice module, execution_id;
    /* HTTP */
    const struct http_request *request;
    struct slice inline_body; /* the whole body, if it is there */
    uint32_t source;          /* of a body that streams, 0: none */
    struct slice export_name; /* HTTP, METHOD, WORKFLOW: "" is the default one */
    struct slice props;       /* HTTP, METHOD: JSON, or "" */
    struct slice method;      /* METHOD */
    uint32_t what;            /* METHOD: 0 call, 1 read the property */
    bool is_actor;            /* HTTP, METHOD: of the one instance that the isolate is */
    /* EXECUTE, WORKFLOW; METHOD: its arguments in body */
    struct slice body, metadata; /* JSON, or "" */
    int64_t started_us;          /* WORKFLOW */
    struct slice key;            /* WORKFLOW: that it was started with, or "" */
};

/* What a runtime sees of a guest: isolate_user() of its isolate. Part of host's struct guest. */
struct cell {
    uint64_t clock_base_ns; /* what its monotonic clock counts from */
    bool is_loading;        /* top-level code runs: an image must not depend on when that was */
    struct slice
        wasm_modules; /* while it is loaded: those that come with it, as its runtime keeps them */
};

struct runtime_start {
    struct engine *engine;                /* stays longer than the runtime */
    const struct sandbox_import *imports; /* what the host gives to guests: ops, module "limpet" */
    size_t imports_len;
    struct cell *cell;  /* of an isolate that runs while the runtime starts */
    struct slice saved; /* what save() gave in a process built from the same files, or "" */
};

struct runtime_load {
    struct slice name, artifact;
    size_t memory_bytes_max;
    uint64_t cpu_ns_max;
    struct cell *cell;   /* of the isolate in which its top-level code runs */
    struct image *image; /* result, a reference */
    uint32_t exports;    /* result: what is known of them; others are told by op LOADED */
};

enum runtime_state {
    RUNTIME_CLOSED, /* the code has nothing more of the dispatch */
    RUNTIME_OPEN,
    RUNTIME_WAITS, /* for what it gave to waitUntil() */
};

/* What an exception of the code is about. */
enum runtime_fault { RUNTIME_FAULT_CODE, RUNTIME_FAULT_MEMORY, RUNTIME_FAULT_STACK };

struct runtime_type {
    const char *name;

    /* ---- in a process ---- */

    enum err (*start)(const struct runtime_start *s, struct runtime **ret_runtime,
                      struct error *ret_error);
    void (*save)(const struct runtime *r, struct bytes *out); /* runtime_start.saved; may be NULL */
    void (*stop)(struct runtime *r);                          /* nothing of it is used any more */

    /* ---- builds; blocking ---- */

    /* What the artifact and the detail of one that was built elsewhere are called in an upload. */
    const char *artifact_member, *detail_member;
    /* The program that it builds with: malloc'd path, or NULL: it is not there. NULL: needs none. */
    char *(*find_tool)(void);
    /* ERR_BUILD_FAILED fills ret_failure, too; both are empty before, and the caller's. */
    enum err (*build)(const struct build_config *config, struct slice source,
                      struct build_output *ret_output, struct build_failure *ret_failure,
                      struct error *ret_error);
    /* Where in its sources an artifact failed that does not load; file, line, column, frame. May be
     * NULL. */
    void (*locate)(const struct build_trouble *t, struct build_failure *ret_failure);

    /* ---- versions; blocking ---- */

    /* Runs what a module's code does at first, and keeps the memory it leaves. */
    enum err (*load)(struct runtime *r, struct runtime_load *load, struct error *ret_error);
    /* Images as bytes, to be kept on disk; NULL: none is, each load runs the code. ERR_TOO_LARGE; ERR_CORRUPT; ERR_CONFLICT: of another
     * build. */
    enum err (*image_save)(const struct runtime *r, const struct image *m, struct bytes *out,
                           struct error *ret_error);
    enum err (*image_load)(const struct runtime *r, struct slice saved, struct image **ret_image,
                           struct error *ret_error);

    /* ---- a version's detail: what only its runtime knows how to read, stored beside the artifact.
     * NULL: it has none. ---- */

    enum err (*detail_read)(struct slice text, void **ret_detail, struct error *ret_error);
    void (*detail_free)(void *detail);
    size_t (*detail_bytes)(const void *detail); /* of memory that it takes */
    /* A stack trace as its author knows the code. NULL: it is as it is. */
    void (*write_stack)(const void *detail, struct slice module, struct slice stack,
                        struct bytes *out);

    /* One of the runtime's own modules, as its engine reads it, for code that imports it; a NUL follows.
     * False: there is none of that name. NULL: it has none. */
    bool (*builtin)(struct slice name, struct slice *ret_code);

    /* ---- guests ---- */

    /* Gives the input to the code, and calls it. scratch: to be used. ERR_LIMIT_MEMORY: it has not
     * been called, there is no room for the input. */
    enum err (*dispatch)(struct runtime *r, struct isolate *i, const struct dispatch_input *in,
                         struct bytes *scratch, enum isolate_status *ret_status,
                         struct error *ret_error);
    /* Of the last call that was DONE: how many dispatches are not finished: no answer yet, or
     * something given to waitUntil() still under way. */
    int32_t (*unfinished)(const struct isolate *i);
    /* Gives a completion to the code, without running it. False: it trapped. */
    bool (*complete)(struct isolate *i, uint32_t op, enum err status, struct slice payload);
    /* Runs what completions have made runnable. */
    enum isolate_status (*run)(struct isolate *i);
    /* The client of this dispatch has gone: its code hears of it in the next run(). False: trapped. */
    bool (*abort)(struct isolate *i, uint32_t dispatch);
    enum runtime_state (*state)(struct isolate *i, uint32_t dispatch);
    /* The host has given it up: nothing that it has started completes any more. False: trapped. */
    bool (*forget)(struct isolate *i, uint32_t dispatch);

    /* ---- failures, for people ---- */

    /* was_out_of_memory: some was refused to the isolate. */
    enum runtime_fault (*classify)(struct slice name, struct slice message, bool was_out_of_memory);
    const char *hung, *hung_hint; /* there is no answer, and nothing that could bring one */
};

struct runtime {
    const struct runtime_type *type;
};
