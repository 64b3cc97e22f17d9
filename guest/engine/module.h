/* SPDX-License-Identifier: Apache-2.0
 *
 * Loading: the user's bundle and the runtime are ES modules; builtin modules are objects that the
 * runtime registers by name, or those of the Node layer, whose texts the host has. There are no
 * files, so an import of anything else is an error that lists what there is. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pack.h"
#include "quickjs.h"

/* limpet_load(). False: op FAIL was called. */
bool module_load(JSContext *ctx, uint32_t kind, struct text name, const char *source, uint32_t len);
/* Registers a builtin; the object's own enumerable properties become exports. */
bool module_define(JSContext *ctx, const char *name, JSValueConst exports);
/* The default export of a module of the Node layer ("node:events"), or an exception. */
JSValue module_require(JSContext *ctx, const char *name);
/* The name given to limpet_load() for the module. */
struct text module_name(void);
