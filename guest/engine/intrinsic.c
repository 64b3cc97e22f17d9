/* SPDX-License-Identifier: Apache-2.0 */
#include "intrinsic.h"

static JSValue values[INTRINSIC_COUNT_];
static JSClassID classes[INTRINSIC_CLASS_COUNT_];

static const char values_source[] =
    "(() => { const G = (c, name) => Object.getOwnPropertyDescriptor(c.prototype, name).get;"
    "return ["
#define X(name, expression) expression ","
    INTRINSICS(X)
#undef X
        "] })()";

static const char classes_source[] = "["
#define X(name, expression) expression ","
    INTRINSIC_CLASSES(X)
#undef X
        "]";

bool intrinsic_init(JSContext *ctx)
{
    JSValue all =
        JS_Eval(ctx, values_source, sizeof values_source - 1, "intrinsic.c", JS_EVAL_TYPE_GLOBAL);
    JSValue samples =
        JS_Eval(ctx, classes_source, sizeof classes_source - 1, "intrinsic.c", JS_EVAL_TYPE_GLOBAL);
    bool is_ok = !JS_IsException(all) && !JS_IsException(samples);
    for (uint32_t i = 0; is_ok && i < INTRINSIC_COUNT_; i++) {
        values[i] = JS_GetPropertyUint32(ctx, all, i);
        is_ok = JS_IsObject(values[i]);
    }
    for (uint32_t i = 0; is_ok && i < INTRINSIC_CLASS_COUNT_; i++) {
        JSValue sample = JS_GetPropertyUint32(ctx, samples, i);
        classes[i] = JS_GetClassID(sample);
        is_ok = classes[i] != JS_INVALID_CLASS_ID;
        JS_FreeValue(ctx, sample);
    }
    JS_FreeValues(ctx, all, samples);
    return is_ok;
}

JSValueConst intrinsic_value(enum intrinsic which)
{
    return values[which];
}

JSClassID intrinsic_class_id(enum intrinsic_class which)
{
    return classes[which];
}

JSValue intrinsic_call(JSContext *ctx, enum intrinsic which, JSValueConst this_value, int argc,
                       JSValueConst *argv)
{
    return JS_Call(ctx, values[which], this_value, argc, argv);
}

JSValue intrinsic_new(JSContext *ctx, enum intrinsic which, int argc, JSValueConst *argv)
{
    return JS_CallConstructor(ctx, values[which], argc, argv);
}
