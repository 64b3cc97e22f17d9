/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules that the host has: the Node layer, "node:NAME", and what the runtime loads late,
 * "limpet:internal/runtime/NAME". They are bytecode (guest/compile.mjs), read when something first
 * imports them, so that they cost nothing where nothing does. Bundles say "limpet:node/NAME"
 * (src/script/bundle.c), since the bundler must tell them from what it resolves itself. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "quickjs.h"

#define BUILTIN_NODE "node:"
#define BUILTIN_RUNTIME "limpet:internal/runtime/"

/* Has the host a module of that name? Leaves no exception. */
bool builtin_exists(JSContext *ctx, const char *name);
/* False: there is none of that name. *ret_module: the context's; NULL: an exception is pending. */
bool builtin_find(JSContext *ctx, const char *name, JSModuleDef **ret_module);
/* One export of a module, which is loaded now if it was not. Top-level await in one is an error. */
JSValue builtin_export(JSContext *ctx, const char *name, const char *export_name);
/* A module from its bytecode, not yet evaluated; the value is the caller's. */
JSValue builtin_read(JSContext *ctx, const void *code, uint32_t len);

/* Is limpet_compile() running? Then imports are not followed. */
bool builtin_is_compiling(void);
