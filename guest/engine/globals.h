/* SPDX-License-Identifier: Apache-2.0
 *
 * Globals that not every module needs. A lazy one is a property like any other, whose value is an
 * export of a module of the platform; the module is loaded when the property is first looked at. So
 * that no request pays for that, it is also loaded into the image of a bundle that speaks of it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "quickjs.h"

/* names: { NAME: "MODULE" or "MODULE WORD…" }: the global NAME is that export of the runtime's
 * MODULE; a bundle that has one of the words speaks of it, too. False: exception. */
bool globals_define_lazy(JSContext *ctx, JSValueConst names);
/* Before a bundle is evaluated: loads the lazy ones that its text speaks of, and defines `process`
 * and `Buffer` if it speaks of those. False: exception. */
bool globals_define_for(JSContext *ctx, const char *source, uint32_t len);
