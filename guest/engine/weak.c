/* SPDX-License-Identifier: Apache-2.0 */
#include "weak.h"

#include <stdint.h>
#include <stdlib.h>

static JSValue *kept;
static uint32_t kept_len, kept_cap;

void weak_keep(JSContext *ctx, JSValueConst target)
{
    if (kept_len > 0 && JS_VALUE_GET_PTR(kept[kept_len - 1]) == JS_VALUE_GET_PTR(target))
        return; /* looked at again and again */
    if (kept_len == kept_cap) {
        uint32_t cap = kept_cap ? kept_cap * 2 : 16;
        JSValue *more = realloc(kept, cap * sizeof *more);
        if (!more)
            return;
        kept = more;
        kept_cap = cap;
    }
    kept[kept_len++] = JS_DupValue(ctx, target);
}

void weak_release(JSContext *ctx)
{
    while (kept_len > 0)
        JS_FreeValue(ctx, kept[--kept_len]);
}
