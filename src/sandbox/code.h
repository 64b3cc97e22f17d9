/* SPDX-License-Identifier: Apache-2.0
 *
 * One WebAssembly module made ready to run in many isolates: compiled, with the functions of the
 * host that it imports and those of its own that the host calls. Immutable after code_new();
 * counted; shared by all threads.
 *
 * An isolate is made pristine between two requests, so a module may have no state that cannot be
 * given back. What it may have:
 *   - one linear memory of 32 bits, its own, exported as "memory";
 *   - mutable globals that are numbers of 4 or 8 bytes, exported or not;
 *   - any tables that its code does not change; and tables of functions that it does, if it puts in
 *     only what stood in some table when an instance starts. Of such a module no image is kept on
 *     disk and no snapshot is made.
 * Any other state (vectors and references in mutable globals, other tables that are changed, dropped
 * segments, collected objects) is refused by code_new(), which names what it is. */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

struct code;
struct engine;
struct isolate;

enum { SANDBOX_ARGS_MAX = 8, SANDBOX_EXPORTS_MAX = 16 };

/* What a waiting import returns when the guest must wait for isolate_wake(). */
#define SANDBOX_WAIT INT64_MIN

/* A function given to guests. params: one letter each, 'i' i32, 'I' i64. Arguments arrive
 * sign-extended; pointers are guest addresses, checked by isolate_memory(). */
struct sandbox_import {
    const char *module, *name, *params;
    bool has_result; /* i32 */
    bool may_wait;   /* may return SANDBOX_WAIT; costs a little more per call */
    int64_t (*fn)(struct isolate *i, const int64_t *args);
};

/* A function of guests that the host calls; all parameters are i32. */
struct sandbox_export {
    const char *name;
    bool has_result; /* i32 */
};

struct code_config {
    struct slice compiled; /* output of code_compile(); may be empty */
    struct slice wasm;     /* compiled here when `compiled` is empty or of another engine or CPU */
    const struct sandbox_import *imports; /* copied; of what it does not import nothing is said */
    size_t imports_len;
    const struct sandbox_export
        *exports; /* isolate_call() takes their index; names must outlive the code */
    size_t exports_len;
    /* Which of them nested code (nested.h) calls the guest by: (number of the function, address of its
     * values, has a memory grown) -> 0, or 1: it has thrown. Only for modules whose guests have some. */
    unsigned callback;
};

NODISCARD enum err code_new(struct engine *engine, const struct code_config *config,
                            struct code **ret_code, struct error *ret_error);
struct code *code_ref(struct code *c);
void code_unref(struct code *c); /* NULL is allowed; isolates and images have their references */
/* False: the compiled form did not fit this machine and the module was compiled anew (seconds). */
bool code_was_precompiled(const struct code *c);

/* Compiles for this machine's CPU; for the build. */
NODISCARD enum err code_compile(struct slice wasm, struct bytes *ret_compiled,
                                struct error *ret_error);
