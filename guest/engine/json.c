/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "engine.h"
#include "text.h"

JSValue json_parse(JSContext *ctx, const uint8_t *at, uint32_t len)
{
    struct buffer copy = {0};
    buffer_add(&copy, at, len);
    buffer_add_u8(&copy, 0);
    JSValue v = JS_ParseJSON(ctx, (const char *)copy.data, len, "<json>");
    buffer_done(&copy);
    return v;
}

enum json_written json_write(JSContext *ctx, JSValueConst value, struct buffer *out)
{
    JSValue s = JS_JSONStringify(ctx, value, JS_UNDEFINED, JS_UNDEFINED);
    if (JS_IsException(s))
        return JSON_FAILED;
    if (JS_IsUndefined(s))
        return JSON_NOTHING;
    struct text t = text_of(ctx, s);
    buffer_add(out, t.at, t.len);
    text_done(ctx, t);
    JS_FreeValue(ctx, s);
    return JSON_WRITTEN;
}
bool json_init(JSContext *ctx)
{
    return true;
}
