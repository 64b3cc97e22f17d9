/* SPDX-License-Identifier: Apache-2.0
 *
 * One WebAssembly module made ready to run in many isolates: Wasmtime engine, compiled module, host
 * imports, and the ticker thread that lets running guests be preempted. Immutable after
 * sandbox_new(); shared by all threads. Wasmtime's types do not leave this folder. */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

struct isolate;
struct sandbox;

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

struct sandbox_config {
    struct slice compiled; /* output of sandbox_compile(); may be empty */
    struct slice wasm; /* compiled here when `compiled` is empty or of another engine or CPU. All
                          its mutable globals must be exported, and be numbers */
    const struct sandbox_import *imports;
    size_t imports_len;
    const struct sandbox_export
        *exports; /* isolate_call() takes their index; names must outlive the sandbox */
    size_t exports_len;
};

NODISCARD enum err sandbox_new(const struct sandbox_config *config, struct sandbox **ret_sandbox,
                               struct error *ret_error);
void sandbox_free(struct sandbox *s); /* all isolates are gone before */
/* False: the compiled form did not fit this machine and the module was compiled anew (seconds). */
bool sandbox_was_precompiled(const struct sandbox *s);

/* Compiles for this machine's CPU; for the build. */
NODISCARD enum err sandbox_compile(struct slice wasm, struct bytes *ret_compiled,
                                   struct error *ret_error);
