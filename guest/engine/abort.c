/* SPDX-License-Identifier: Apache-2.0 */
#include "abort.h"

#include "engine.h"

bool abort_listen(JSContext *ctx, JSValueConst signal, const char *method, JSValueConst listener)
{
    JSValue function = JS_GetPropertyStr(ctx, signal, method);
    JSValue args[2] = {JS_NewString(ctx, "abort"), listener};
    JSValue result =
        JS_IsException(function) ? JS_EXCEPTION : JS_Call(ctx, function, signal, 2, args);
    bool is_ok = !JS_IsException(result);
    JS_FreeValues(ctx, function, args[0], result);
    return is_ok;
}

bool abort_check(JSContext *ctx, JSValueConst signal)
{
    if (JS_IsUndefined(signal))
        return true;
    JSValue aborted = JS_GetProperty(ctx, signal, eng.atoms[ATOM_aborted]);
    int is_aborted = JS_IsException(aborted) ? -1 : JS_ToBool(ctx, aborted);
    JS_FreeValue(ctx, aborted);
    if (is_aborted > 0)
        JS_Throw(ctx, JS_GetProperty(ctx, signal, eng.atoms[ATOM_reason]));
    return is_aborted == 0;
}

void abort_op(JSContext *ctx, uint32_t number, JSValueConst reason)
{
    const struct op_pending *op = op_pending_find(number);
    if (!op || op->scope != eng.scope)
        return;
    JSValue reject = JS_DupValue(ctx, op->values[OP_VALUE_REJECT]);
    abort_unwatch(ctx, op);
    JS_FreeValue(ctx, JS_Call(ctx, reject, JS_UNDEFINED, 1, &reason));
    JS_FreeValue(ctx, reject);
    op_cancel(ctx, number);
}

/* data: op number, sink, reject, signal */
static JSValue abort_happens(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                             int magic, JSValueConst *data)
{
    uint32_t number = 0, sink = 0;
    JS_ToUint32(ctx, &number, data[0]);
    JS_ToUint32(ctx, &sink, data[1]);
    const struct op_pending *op = op_pending_find(number);
    if (op && op->scope != eng.scope && op->scope == 0)
        return JS_ThrowTypeError(
            ctx,
            "the body of a step aborted what the code outside of it waits for. A replay does not "
            "run that body, so nothing was aborted: have the step return, and abort after it");
    JSValue reason = JS_GetProperty(ctx, data[3], eng.atoms[ATOM_reason]);
    if (JS_IsException(reason))
        return reason;
    JSValue result = JS_Call(ctx, data[2], JS_UNDEFINED, 1, &reason);
    JS_FreeValues(ctx, reason, result);
    op_cancel(ctx, number);
    if (sink)
        op_tell(OP_STREAM_END, &(struct op_stream_end){.sink = sink, .failed = 1});
    return JS_UNDEFINED;
}

bool abort_watch(JSContext *ctx, struct op_pending *op, uint32_t sink, JSValueConst signal)
{
    if (JS_IsUndefined(signal))
        return true;
    JSValue data[4] = {JS_NewUint32(ctx, op->number), JS_NewUint32(ctx, sink),
                       op->values[OP_VALUE_REJECT], signal};
    JSValue listener = JS_NewCFunctionData(ctx, abort_happens, 0, 0, 4, data);
    if (JS_IsException(listener) || !abort_listen(ctx, signal, "addEventListener", listener)) {
        JS_FreeValue(ctx, listener);
        return false;
    }
    op->values[OP_VALUE_SIGNAL] =
        JS_NewArrayFrom(ctx, 2, (JSValue[]){JS_DupValue(ctx, signal), listener});
    return true;
}

JSValue abort_signal(JSContext *ctx, const struct op_pending *op)
{
    return JS_IsObject(op->values[OP_VALUE_SIGNAL])
               ? JS_GetPropertyUint32(ctx, op->values[OP_VALUE_SIGNAL], 0)
               : JS_UNDEFINED;
}

void abort_unwatch(JSContext *ctx, const struct op_pending *op)
{
    if (!JS_IsObject(op->values[OP_VALUE_SIGNAL]))
        return;
    JSValue signal = JS_GetPropertyUint32(ctx, op->values[OP_VALUE_SIGNAL], 0);
    JSValue listener = JS_GetPropertyUint32(ctx, op->values[OP_VALUE_SIGNAL], 1);
    if (!abort_listen(ctx, signal, "removeEventListener", listener))
        JS_FreeValue(ctx, JS_GetException(ctx)); /* the listener finds nothing to abort */
    JS_FreeValues(ctx, signal, listener);
}
