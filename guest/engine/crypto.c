/* SPDX-License-Identifier: Apache-2.0
 *
 * crypto.getRandomValues, crypto.randomUUID and Math.random. Real randomness comes from the host,
 * which refuses it to top-level code, since what that draws would be frozen into the image.
 * Math.random is xorshift128+, seeded by the host at the first use in each dispatch; top-level code
 * has a seed of the version. */
#include <stdlib.h>

#include "engine.h"
#include "op.h"
#include "text.h"

enum { RANDOM_BYTES_MAX = 65536 };

static bool crypto_random(JSContext *ctx, void *at, uint32_t len)
{
    int32_t got = op_call(OP_RANDOM, &(struct op_random){.len = len}, at, len);
    if (got < 0)
        op_throw(ctx, got);
    else if ((uint32_t)got != len)
        JS_ThrowInternalError(ctx, "the host gave %d random bytes, not %u", (int)got,
                              (unsigned)len);
    return got >= 0 && (uint32_t)got == len;
}

static JSValue crypto_get_random_values(JSContext *ctx, JSValueConst this_value, int argc,
                                        JSValueConst *argv)
{
    int type = argc > 0 ? JS_GetTypedArrayType(argv[0]) : -1;
    if (type < 0 || type >= JS_TYPED_ARRAY_FLOAT16) {
        JS_ThrowDOMException(ctx, "TypeMismatchError",
                             "getRandomValues needs an integer typed array");
        return JS_EXCEPTION;
    }
    struct text bytes = text_of_buffer(ctx, argv[0]);
    if (bytes.len > RANDOM_BYTES_MAX) {
        JS_ThrowDOMException(ctx, "QuotaExceededError",
                             "getRandomValues gives at most %d bytes at once", RANDOM_BYTES_MAX);
        return JS_EXCEPTION;
    }
    if (bytes.len > 0 && !crypto_random(ctx, (char *)bytes.at, bytes.len))
        return JS_EXCEPTION;
    return JS_DupValue(ctx, argv[0]);
}

static JSValue crypto_random_uuid(JSContext *ctx, JSValueConst this_value, int argc,
                                  JSValueConst *argv)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[16];
    char text[36], *out = text;
    if (!crypto_random(ctx, bytes, sizeof bytes))
        return JS_EXCEPTION;
    bytes[6] = (uint8_t)((bytes[6] & 0x0F) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3F) | 0x80);
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    return JS_NewStringLen(ctx, text, sizeof text);
}

/* Bodies of steps draw from a generator of their own: a replay does not run them, and the others
 * shall draw the same numbers then. */
static struct {
    uint64_t state[2];
    bool is_seeded;
} random_of_steps;

static bool random_seed(JSContext *ctx, uint64_t *s, bool is_loading)
{
    uint64_t seed = 0;
    if (!is_loading && !crypto_random(ctx, s, 2 * sizeof *s))
        return false;
    if (is_loading) {
        (void)op_call(OP_SEED, &(struct op_seed){}, &seed, sizeof seed);
        s[0] = seed ^ 0x9E3779B97F4A7C15;
        s[1] = (seed << 32 | seed >> 32) ^ 0xD1B54A32D192ED03;
    }
    s[1] |= s[0] == 0; /* the state must not be all zeros */
    return true;
}

static JSValue math_random(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    uint64_t *s = eng.random_state;
    if (eng.scope) {
        s = random_of_steps.state;
        if (!random_of_steps.is_seeded && !random_seed(ctx, s, false))
            return JS_EXCEPTION;
        random_of_steps.is_seeded = true;
    } else if (eng.random_dispatch != eng.dispatch) {
        if (!random_seed(ctx, s, eng.dispatch == 0))
            return JS_EXCEPTION;
        eng.random_dispatch = eng.dispatch;
    }
    uint64_t a = s[0], b = s[1];
    s[0] = b;
    a ^= a << 23;
    s[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
    return JS_NewFloat64(ctx, (double)((s[1] + b) >> 11) * 0x1p-53);
}

static const JSCFunctionListEntry crypto_methods[] = {
    JS_CFUNC_DEF("getRandomValues", 1, crypto_get_random_values),
    JS_CFUNC_DEF("randomUUID", 0, crypto_random_uuid),
    JS_PROP_STRING_DEF("[Symbol.toStringTag]", "Crypto", JS_PROP_CONFIGURABLE),
};

bool crypto_init(JSContext *ctx)
{
    JSValue global = JS_GetGlobalObject(ctx), crypto = JS_NewObject(ctx);
    JSValue math = JS_GetPropertyStr(ctx, global, "Math");
    JS_SetPropertyFunctionList(ctx, crypto, crypto_methods,
                               sizeof crypto_methods / sizeof *crypto_methods);
    bool is_ok = JS_DefinePropertyValueStr(ctx, math, "random",
                                           JS_NewCFunction(ctx, math_random, "random", 0),
                                           JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE) >= 0 &&
                 JS_DefinePropertyValueStr(ctx, global, "crypto", crypto,
                                           JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE) >= 0;
    JS_FreeValues(ctx, global, math);
    return is_ok;
}
