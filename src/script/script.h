/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine that runs all TypeScript: QuickJS-ng and our glue as one wasm module, embedded in the
 * program in both forms (wasm, and compiled for the CPU it was built on), and the runtime script.
 * Made once per process; see guest/abi.h for the exports and imports. */
#pragma once

#include "sandbox/engine.h"
#include "sandbox/isolate.h"

/* Index of each export of guest/abi.h for isolate_call(). */
enum engine_export {
    ENGINE_INITIALIZE,
    ENGINE_BOOT,
    ENGINE_ALLOC,
    ENGINE_FREE,
    ENGINE_HEAD,
    ENGINE_LOAD,
    ENGINE_DISPATCH,
    ENGINE_COMPLETE,
    ENGINE_RUN,
    ENGINE_ABORT,
    ENGINE_STATE,
    ENGINE_FORGET,
    ENGINE_EXPORTS,
};

struct script {
    struct engine *engine;
    struct code *code;
    struct image *base; /* booted, runtime loaded, no module */
    uint32_t head;      /* guest address of the dispatch input buffer */
};

/* imports: what ops.c provides. user: the isolate's user pointer while the runtime loads. booted:
 * what script_save() gave for this very engine, or empty: then it boots here (some 20 ms). */
NODISCARD enum err script_new(const struct sandbox_import *imports, size_t imports_len, void *user,
                              struct slice booted, struct script **ret_script,
                              struct error *ret_error);
/* The base image, for script_new() of another process built from the same files. */
void script_save(const struct script *s, struct bytes *out);
void script_free(struct script *s);

/* Calls LOAD in an isolate that is idle: copies the source in, runs to the end (guest code that
 * yields is resumed at once). kind: enum abi_load. ERR_GUEST when op FAIL was called, else what the
 * isolate says. */
NODISCARD enum err script_load(struct isolate *i, int kind, struct slice name, struct slice source,
                               struct error *ret_error);
