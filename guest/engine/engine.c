/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"

#include <stdlib.h>

#include "op.h"
#include "rejection.h"
#include "scope.h"
#include "text.h"

struct engine_page engine_page __attribute__((aligned(4096)));

static const char *const hook_names[] = {
#define X(name) #name,
    ENGINE_HOOKS(X)
#undef X
};

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
        engine_report(ctx, "Uncaught ", error);
    JS_FreeValue(ctx, error);
}

void engine_drain(JSContext *ctx)
{
    JSContext *job_ctx;
    if (eng.is_durable) {
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

/* What of an error can be told; each text is "" if it cannot be had. */
struct error_texts {
    struct text name, message, stack;
};

static struct text error_text(JSContext *ctx, JSValueConst error, enum engine_atom atom)
{
    JSValue value = JS_GetProperty(ctx, error, eng.atoms[atom]);
    struct text text = {0};
    if (JS_IsString(value))
        text = text_of(ctx, value);
    JS_FreeValue(ctx, value);
    if (JS_HasException(ctx))
        JS_FreeValue(ctx, JS_GetException(ctx));
    return text;
}

static struct error_texts error_texts(JSContext *ctx, JSValueConst error)
{
    struct error_texts t = {0};
    if (JS_IsObject(error)) {
        t.name = error_text(ctx, error, ATOM_name);
        t.message = error_text(ctx, error, ATOM_message);
        t.stack = error_text(ctx, error, ATOM_stack);
    }
    if (!t.name.at && !t.message.at) {
        t.message = text_of(ctx, error);
        if (!t.message.at)
            JS_FreeValue(ctx, JS_GetException(ctx));
    }
    return t;
}

static void error_texts_done(JSContext *ctx, struct error_texts *t)
{
    struct text all[] = {t->name, t->message, t->stack};
    for (int i = 0; i < 3; i++)
        if (all[i].at)
            text_done(ctx, all[i]);
}

static struct op_bytes text_slot(struct text text)
{
    return op_bytes(text.at ? text.at : "", text.len);
}

void engine_report(JSContext *ctx, const char *prefix, JSValueConst error)
{
    struct error_texts t = error_texts(ctx, error);
    struct buffer line = {0};
    buffer_add(&line, prefix, (uint32_t)strlen(prefix));
    if (t.name.at)
        buffer_add(&line, t.name.at, t.name.len);
    if (t.name.at && t.message.len > 0)
        buffer_add(&line, ": ", 2);
    if (t.message.at)
        buffer_add(&line, t.message.at, t.message.len);
    while (t.stack.len > 0 && t.stack.at[t.stack.len - 1] == '\n')
        t.stack.len--;
    if (t.stack.len > 0) {
        buffer_add(&line, "\n", 1);
        buffer_add(&line, t.stack.at, t.stack.len);
    }
    op_tell(OP_LOG, &(struct op_log){.level = 3, .text = op_bytes(line.data, line.len)});
    buffer_done(&line);
    error_texts_done(ctx, &t);
}

static bool engine_is_out_of_memory(void)
{
    void *probe = malloc(256 * 1024);
    free(probe);
    return !probe;
}

void engine_fail(JSContext *ctx, uint32_t dispatch)
{
    JSValue error = JS_GetException(ctx);
    struct error_texts t = error_texts(ctx, error);
    if (JS_IsNull(error) && engine_is_out_of_memory()) {
        /* QuickJS throws null when not even the error fits in memory. */
        static const char message[] = "out of memory: the function passed its memory limit";
        op_tell_own(OP_FAIL, &(struct op_fail){.dispatch = dispatch,
                                               .name = op_bytes("InternalError", 13),
                                               .message = op_bytes(message, sizeof message - 1),
                                               .stack = op_bytes("", 0)});
    } else {
        op_tell_own(OP_FAIL, &(struct op_fail){.dispatch = dispatch,
                                               .name = text_slot(t.name),
                                               .message = text_slot(t.message),
                                               .stack = text_slot(t.stack)});
    }
    error_texts_done(ctx, &t);
    JS_FreeValue(ctx, error);
}

/* --- rejections without a handler ----------------------------------------------------------------
 */

struct rejection {
    struct rejection *next;
    JSValue promise, reason;
};

static void rejection_track(JSContext *ctx, JSValueConst promise, JSValueConst reason,
                            bool is_handled, void *opaque)
{
    if (is_handled) {
        rejection_forget(ctx, promise);
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

void rejection_forget(JSContext *ctx, JSValueConst promise)
{
    for (struct rejection **at = &eng.rejections; *at; at = &(*at)->next) {
        struct rejection *r = *at;
        if (JS_VALUE_GET_PTR(r->promise) == JS_VALUE_GET_PTR(promise)) {
            *at = r->next;
            rejection_free(ctx, r);
            return;
        }
    }
}

void rejection_report(JSContext *ctx)
{
    while (eng.rejections) {
        struct rejection *r = eng.rejections;
        eng.rejections = r->next;
        if (eng.is_durable)
            scope_set(scope_of_promise(r->promise));
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
