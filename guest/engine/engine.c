/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"

#include <stdlib.h>

#include "op.h"
#include "rejection.h"
#include "scope.h"
#include "stack.h"
#include "text.h"

struct engine_page engine_page __attribute__((aligned(4096)));

static const char *const hook_names[] = {
#define X(name) #name,
    ENGINE_HOOKS(X)
#undef X
};

bool engine_hook_says(JSContext *ctx, enum engine_hook hook, int argc, JSValueConst *argv)
{
    if (!engine_has_hook(hook))
        return false;
    JSValue answer = engine_hook(ctx, hook, argc, argv);
    if (JS_IsException(answer)) {
        JS_FreeValue(ctx, JS_GetException(ctx));
        return false;
    }
    bool says = JS_ToBool(ctx, answer) > 0;
    JS_FreeValue(ctx, answer);
    return says;
}

bool engine_has_hook(enum engine_hook hook)
{
    return !JS_IsUndefined(eng.hooks[hook]);
}

JSValue engine_hook(JSContext *ctx, enum engine_hook hook, int argc, JSValueConst *argv)
{
    if (!engine_has_hook(hook))
        return JS_ThrowInternalError(ctx, "the runtime has no hook '%s'", hook_names[hook]);
    return JS_Call(ctx, eng.hooks[hook], JS_UNDEFINED, argc, argv);
}

static void engine_job_failed(JSContext *ctx)
{
    JSValue error = JS_GetException(ctx);
    if (!eng.has_diverged)
        engine_report_uncaught(ctx, "Uncaught ", error);
    JS_FreeValue(ctx, error);
}

void engine_drain(JSContext *ctx)
{
    JSContext *job_ctx;
    if (eng.is_durable || eng.has_frames) {
        scope_drain(ctx, engine_job_failed);
        return;
    }
    while (JS_IsJobPending(eng.rt))
        if (JS_ExecutePendingJob(eng.rt, &job_ctx) < 0)
            engine_job_failed(ctx);
}

bool engine_class(JSContext *ctx, JSClassID *ret_id, const JSClassDef *def,
                  JSCFunction *constructor, int length, const JSCFunctionListEntry *methods,
                  int method_count)
{
    JS_NewClassID(eng.rt, ret_id);
    if (JS_NewClass(eng.rt, *ret_id, def) < 0)
        return false;
    JSValue proto = JS_NewObject(ctx);
    if (JS_IsException(proto) || JS_SetPropertyFunctionList(ctx, proto, methods, method_count) < 0)
        return false;
    if (constructor) {
        JSValue global = JS_GetGlobalObject(ctx);
        JSValue function =
            JS_NewCFunction2(ctx, constructor, def->class_name, length, JS_CFUNC_constructor, 0);
        JS_SetConstructor(ctx, function, proto);
        int defined = JS_DefinePropertyValueStr(ctx, global, def->class_name, function,
                                                JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
        JS_FreeValue(ctx, global);
        if (defined < 0)
            return false;
    }
    JS_SetClassProto(ctx, *ret_id, proto);
    return true;
}

/* --- errors --------------------------------------------------------------------------------------
 */

static struct op_bytes engine_slot(struct text text)
{
    return op_bytes(text.at ? text.at : "", text.len);
}

void engine_report(JSContext *ctx, const char *prefix, JSValueConst error)
{
    struct buffer line = {0}, rest = {0};
    buffer_add(&line, prefix, (uint32_t)strlen(prefix));
    stack_head(ctx, error, &line);
    stack_tell(ctx, error, &rest);
    if (rest.len > 0) {
        buffer_add(&line, "\n", 1);
        buffer_add(&line, rest.data, rest.len);
    }
    op_tell(OP_LOG, &(struct op_log){.level = 3, .text = op_bytes(line.data, line.len)});
    buffer_done(&line);
    buffer_done(&rest);
}

void engine_report_uncaught(JSContext *ctx, const char *prefix, JSValueConst error)
{
    if (!engine_hook_says(ctx, HOOK_errorUncaught, 1, &error))
        engine_report(ctx, prefix, error);
}

static bool engine_is_out_of_memory(void)
{
    void *probe = malloc(256 * 1024);
    free(probe);
    return !probe;
}

/* A property that is a string; .at NULL: it is none. */
static struct text engine_property(JSContext *ctx, JSValueConst error, enum engine_atom atom)
{
    JSValue value = JS_GetProperty(ctx, error, eng.atoms[atom]);
    struct text text = JS_IsString(value) ? text_of(ctx, value) : (struct text){0};
    JS_FreeValue(ctx, value);
    if (JS_HasException(ctx))
        JS_FreeValue(ctx, JS_GetException(ctx));
    return text;
}

void engine_fail(JSContext *ctx, uint32_t dispatch)
{
    JSValue error = JS_GetException(ctx);
    if (JS_IsNull(error) && engine_is_out_of_memory()) {
        /* QuickJS throws null when not even the error fits in memory. */
        static const char message[] = "out of memory: the function passed its memory limit";
        op_tell_own(OP_FAIL, &(struct op_fail){.dispatch = dispatch,
                                               .name = op_bytes("InternalError", 13),
                                               .message = op_bytes(message, sizeof message - 1),
                                               .stack = op_bytes("", 0)});
        return;
    }
    struct text name = {0}, message = {0};
    struct buffer head = {0}, rest = {0};
    if (stack_is_error(ctx, error)) {
        name = engine_property(ctx, error, ATOM_name);
        message = engine_property(ctx, error, ATOM_message);
        stack_tell(ctx, error, &rest);
    } else {
        stack_head(ctx, error, &head);
    }
    struct op_fail args = {
        .dispatch = dispatch,
        .name = engine_slot(name),
        .message = message.at ? engine_slot(message) : op_bytes(head.data, head.len),
        .stack = op_bytes(rest.data, rest.len),
    };
    op_tell_own(OP_FAIL, &args);
    if (name.at)
        text_done(ctx, name);
    if (message.at)
        text_done(ctx, message);
    buffer_done(&head);
    buffer_done(&rest);
    JS_FreeValue(ctx, error);
}

/* --- rejections without a handler ----------------------------------------------------------------
 */

struct rejection {
    struct rejection *next;
    JSValue promise, reason;
};

/* Was it told, and is it handled after all? */
static void rejection_handled(JSContext *ctx, JSValueConst promise, JSValueConst reason)
{
    JSValueConst args[2] = {promise, reason};
    (void)engine_hook_says(ctx, HOOK_rejectionHandled, 2, args);
}

static void rejection_track(JSContext *ctx, JSValueConst promise, JSValueConst reason,
                            bool is_handled, void *opaque)
{
    if (is_handled) {
        if (!rejection_forget(ctx, promise))
            rejection_handled(ctx, promise, reason);
        return;
    }
    struct rejection *r = malloc(sizeof *r);
    if (!r)
        return; /* only a log line is lost */
    r->promise = JS_DupValue(ctx, promise);
    r->reason = JS_DupValue(ctx, reason);
    r->next = NULL;
    struct rejection **last = &eng.rejections;
    while (*last)
        last = &(*last)->next;
    *last = r;
}

static void rejection_free(JSContext *ctx, struct rejection *r)
{
    JS_FreeValue(ctx, r->promise);
    JS_FreeValue(ctx, r->reason);
    free(r);
}

bool rejection_forget(JSContext *ctx, JSValueConst promise)
{
    for (struct rejection **at = &eng.rejections; *at; at = &(*at)->next) {
        struct rejection *r = *at;
        if (JS_VALUE_GET_PTR(r->promise) == JS_VALUE_GET_PTR(promise)) {
            *at = r->next;
            rejection_free(ctx, r);
            return true;
        }
    }
    return false;
}

void rejection_report(JSContext *ctx)
{
    while (eng.rejections) {
        struct rejection *r = eng.rejections;
        eng.rejections = r->next;
        if (eng.is_durable)
            scope_set(scope_of_promise(r->promise));
        JSValueConst args[2] = {r->promise, r->reason};
        if (!engine_hook_says(ctx, HOOK_rejectionUnhandled, 2, args))
            engine_report(ctx, "Uncaught (in promise) ", r->reason);
        rejection_free(ctx, r);
    }
    if (eng.is_durable)
        scope_set(0);
}

void rejection_init(void)
{
    JS_SetHostPromiseRejectionTracker(eng.rt, rejection_track, NULL);
}
