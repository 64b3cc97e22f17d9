/* SPDX-License-Identifier: Apache-2.0
 *
 * Loading: the user's bundle and the runtime are ES modules; builtin modules are objects that the
 * runtime registers by name, or those that the host has (builtin.h). There are no
 * files, so an import of anything else is an error that lists what there is. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pack.h"
#include "quickjs.h"

/* limpet_load(). False: op FAIL was called. */
bool module_load(JSContext *ctx, uint32_t kind, struct text name, const char *source, uint32_t len);
/* Registers a builtin. exports: an object, whose own enumerable properties become exports; or a
 * text: it is that module of the runtime's (guest/runtime/lazy), read when it is first imported. */
bool module_define(JSContext *ctx, const char *name, JSValueConst exports);
/* The name given to limpet_load() for the module. */
struct text module_name(void);
