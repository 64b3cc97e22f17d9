/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests to others, besides the global fetch(). */
#pragma once

#include "quickjs.h"
#include "text.h"

/* Asks the cache of that name, as src/cache/cache.h says, by a Request that nobody else has. A promise of
 * a Response, as fetch() gives it; an exception only where the request is none. */
JSValue fetch_cache(JSContext *ctx, JSValueConst request, struct text name);
