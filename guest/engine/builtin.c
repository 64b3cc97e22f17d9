/* SPDX-License-Identifier: Apache-2.0 */
#include "builtin.h"

#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "op.h"
#include "rejection.h"

JSValue lazy_module(JSContext *ctx, const char *name); /* deps/quickjs/lazy.c */
uint8_t *limpet_compile(const char *name, const char *source, uint32_t len, uint32_t *ret_len);

static bool is_compiling;

bool builtin_is_compiling(void)
{
    return is_compiling;
}

/* What the host calls a module of that name; NULL: it is none of these. */
static const char *builtin_host_name(const char *name)
{
    static const char scheme[] = "limpet:";
    if (strncmp(name, BUILTIN_NODE, strlen(BUILTIN_NODE)) == 0)
        return name + strlen(BUILTIN_NODE);
    if (strncmp(name, BUILTIN_RUNTIME, strlen(BUILTIN_RUNTIME)) == 0)
        return name + strlen(scheme);
    return NULL;
}

/* The host's bytecode of a module. False: there is none; no exception is left. */
static bool builtin_code(JSContext *ctx, const char *name, struct op_reply *ret_reply)
{
    const char *host_name = builtin_host_name(name);
    if (!host_name)
        return false;
    const struct op_builtin args = {.name = op_bytes(host_name, (uint32_t)strlen(host_name))};
    if (op_ask(ctx, OP_BUILTIN, &args, ret_reply))
        return true;
    JS_FreeValue(ctx, JS_GetException(ctx));
    return false;
}

bool builtin_exists(JSContext *ctx, const char *name)
{
    struct op_reply reply;
    if (!builtin_code(ctx, name, &reply))
        return false;
    op_reply_done(&reply);
    return true;
}

JSValue builtin_read(JSContext *ctx, const void *code, uint32_t len)
{
    return JS_ReadObject(ctx, code, len, JS_READ_OBJ_BYTECODE);
}

bool builtin_find(JSContext *ctx, const char *name, JSModuleDef **ret_module)
{
    struct op_reply reply;
    if (!builtin_code(ctx, name, &reply))
        return false;
    JSValue module = builtin_read(ctx, reply.data, reply.len - 1); /* a NUL follows it */
    op_reply_done(&reply);
    *ret_module = JS_IsException(module) ? NULL : JS_VALUE_GET_PTR(module);
    JS_FreeValue(ctx, module); /* the context keeps it */
    return true;
}

JSValue builtin_export(JSContext *ctx, const char *name, const char *export_name)
{
    JSValue module = lazy_module(ctx, name), value = JS_EXCEPTION;
    if (JS_IsException(module))
        return module;
    JSModuleDef *m = JS_VALUE_GET_PTR(module);
    JSValue promise = JS_EvalFunction(ctx, module);
    if (JS_IsException(promise))
        return promise;
    const JSPromiseStateEnum state = JS_PromiseState(ctx, promise);
    if (state == JS_PROMISE_REJECTED) {
        rejection_forget(ctx, promise);
        JS_Throw(ctx, JS_PromiseResult(ctx, promise));
    } else if (state == JS_PROMISE_PENDING) {
        JS_ThrowInternalError(ctx, "a module of the platform awaits while it is loaded");
    } else {
        JSValue namespace = JS_GetModuleNamespace(ctx, m);
        if (!JS_IsException(namespace))
            value = JS_GetPropertyStr(ctx, namespace, export_name);
        JS_FreeValue(ctx, namespace);
    }
    JS_FreeValue(ctx, promise);
    return value;
}

uint8_t *__attribute__((export_name("limpet_compile")))
limpet_compile(const char *name, const char *source, uint32_t len, uint32_t *ret_len)
{
    size_t size = 0;
    is_compiling = true;
    JSValue module =
        JS_Eval(eng.ctx, source, len, name, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    is_compiling = false;
    uint8_t *code = JS_IsException(module)
                        ? NULL
                        : JS_WriteObject(eng.ctx, &size, module,
                                         JS_WRITE_OBJ_BYTECODE | JS_WRITE_OBJ_STRIP_SOURCE);
    JS_FreeValue(eng.ctx, module);
    if (!code)
        engine_fail(eng.ctx, 0);
    *ret_len = (uint32_t)size;
    return code;
}
