/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests to others, besides the global fetch(). */
#pragma once

#include "quickjs.h"
#include "text.h"

/* Asks the cache, or the bucket, of that name, as src/cache/cache.h and src/bucket/bucket.h say, by a Request that
 * nobody else has. A promise of a Response, as fetch() gives it; an exception only where the request is none. */
enum { FETCH_CACHE, FETCH_BUCKET };
JSValue fetch_host(JSContext *ctx, JSValueConst request, int scheme, struct text name);
