/* SPDX-License-Identifier: Apache-2.0 */
#include "scope.h"

#include <string.h>

#include "engine.h"
#include "layout.h"

#if QJS_VERSION_MAJOR != 0 || QJS_VERSION_MINOR != 16
#error "scope.c knows QuickJS-ng 0.16; check the structs below against the new version"
#endif

/* What a promise object points to. */
struct scope_promise {
    uint32_t state;
    struct layout_link reactions[2];
    uint8_t is_handled;
    uint16_t scope; /* ours, in padding */
    JSValue result;
};

struct scope_job {
    struct layout_link link;
    JSContext *ctx;
    JSJobFunc *function;
    int32_t argc;
    uint16_t scope; /* ours, in padding; set by scope_mark() */
    JSValue argv[];
};

/* Jobs of reactions: resolve, reject, handler, is_reject, value. Those of thenables: promise,
 * thenable, then. */
enum { REACTION_ARGS = 5, THENABLE_ARGS = 3, ARG_HANDLER = 2 };

/* What the functions that resolve a promise point to. */
struct scope_resolver {
    JSValue promise;
};

/* What the functions that continue an async function point to. */
struct scope_async {
    struct layout_link link;
    JSValue resolve, reject; /* of the promise that it returned */
};

/* What a C function with data points to; that of an async generator has the generator. */
struct scope_closure {
    void *function;
    uint8_t length, data_count;
    uint16_t magic;
    JSValue data[];
};

struct scope_request { /* a call of next() of an async generator */
    struct layout_link link;
    int32_t kind;
    JSValue value;
    JSValue promise;
};

enum { RUNTIME_BYTES = 1024, GENERATOR_BYTES = 256 }; /* searched for fields */

static struct layout_link *job_list;
static uint32_t generator_queue; /* offset in what an async generator points to */
static uint16_t promise_class, resolve_class, await_class, closure_class, generator_class;
static struct layout_link *marked; /* the last job that has its mark, or job_list */
static JSAtom
    frame_atom; /* of the property that keeps a promise's frame; JS_ATOM_NULL: none does */

/* --- finding the scope of a job ------------------------------------------------------------------
 */

static void *scope_opaque(JSValueConst object)
{
    return (void *)(uintptr_t)(uint32_t)layout_object(object)->u.words[0];
}

static bool scope_is(JSValueConst value, uint16_t class_id)
{
    return JS_IsObject(value) && layout_object(value)->class_id == class_id;
}

uint32_t scope_of_promise(JSValueConst promise)
{
    if (!scope_is(promise, promise_class))
        return 0;
    const struct scope_promise *p = scope_opaque(promise);
    return p ? p->scope : 0;
}

/* The promise that a resolving function, or its reject, belongs to; or undefined. */
static JSValueConst scope_resolved_by(JSValueConst function)
{
    const struct layout_object *o = JS_IsObject(function) ? layout_object(function) : NULL;
    if (!o || (o->class_id != resolve_class && o->class_id != resolve_class + 1))
        return JS_UNDEFINED;
    const struct scope_resolver *resolver = scope_opaque(function);
    return resolver ? resolver->promise : JS_UNDEFINED;
}

/* The promise for which an await goes on: of the async function, or of the next() that the async
 * generator works on. */
static JSValueConst scope_awaited_by(JSValueConst handler)
{
    const struct layout_object *o = JS_IsObject(handler) ? layout_object(handler) : NULL;
    if (!o)
        return JS_UNDEFINED;
    if (o->class_id == await_class || o->class_id == await_class + 1) {
        const struct scope_async *async = scope_opaque(handler);
        return async ? scope_resolved_by(async->resolve) : JS_UNDEFINED;
    }
    if (o->class_id == closure_class) {
        const struct scope_closure *c = scope_opaque(handler);
        if (c->data_count != 1 || !scope_is(c->data[0], generator_class))
            return JS_UNDEFINED;
        const uint8_t *generator = scope_opaque(c->data[0]);
        const struct layout_link *queue = (const void *)(generator + generator_queue);
        if (queue->next != queue)
            return ((const struct scope_request *)queue->next)->promise;
    }
    return JS_UNDEFINED;
}

static JSValueConst scope_promise_of(const struct scope_job *job)
{
    if (job->argc == REACTION_ARGS)
        return JS_IsUndefined(job->argv[0]) ? scope_awaited_by(job->argv[ARG_HANDLER])
                                            : scope_resolved_by(job->argv[0]);
    return job->argc == THENABLE_ARGS ? job->argv[0] : JS_UNDEFINED;
}

static uint32_t scope_of_job(const struct scope_job *job)
{
    JSValueConst promise = scope_promise_of(job);
    return scope_is(promise, promise_class) ? scope_of_promise(promise) : job->scope;
}

/* --- running -------------------------------------------------------------------------------------
 */

/* Marks the jobs that were queued since the last time. */
static void scope_mark(void)
{
    for (struct layout_link *at = marked->next; at != job_list; at = at->next) {
        ((struct scope_job *)at)->scope = (uint16_t)eng.scope;
        marked = at;
    }
}

void scope_set(uint32_t scope)
{
    scope_mark();
    eng.scope = scope;
}

void scope_set_frame(JSContext *ctx, JSValue frame)
{
    JSValue old = eng.frame;
    eng.frame = frame;
    JS_FreeValue(ctx, old);
}

/* The frame in which a job runs: that of the promise which it works for. */
static JSValue scope_frame_of_job(JSContext *ctx, const struct scope_job *job)
{
    JSValueConst promise = scope_promise_of(job);
    JSValue frame =
        scope_is(promise, promise_class) ? JS_GetProperty(ctx, promise, frame_atom) : JS_UNDEFINED;
    if (!JS_IsException(frame))
        return frame;
    JS_FreeValue(ctx, JS_GetException(ctx));
    return JS_UNDEFINED;
}

void scope_drain(JSContext *ctx, void (*failed)(JSContext *ctx))
{
    for (;;) {
        JSContext *job_ctx;
        scope_mark();
        struct layout_link *job = job_list->next;
        if (job == job_list || eng.has_diverged)
            break;
        eng.scope = scope_of_job((const struct scope_job *)job);
        if (frame_atom != JS_ATOM_NULL)
            scope_set_frame(ctx, scope_frame_of_job(ctx, (const struct scope_job *)job));
        if (marked == job)
            marked = job_list;
        if (JS_ExecutePendingJob(eng.rt, &job_ctx) < 0)
            failed(ctx);
    }
    eng.scope = 0;
    if (frame_atom != JS_ATOM_NULL)
        scope_set_frame(ctx, JS_UNDEFINED);
}

static void scope_on_promise(JSContext *ctx, JSPromiseHookType type, JSValueConst promise,
                             JSValueConst parent, void *opaque)
{
    if (type != JS_PROMISE_HOOK_INIT)
        return;
    if (eng.scope)
        ((struct scope_promise *)scope_opaque(promise))->scope = (uint16_t)eng.scope;
    if (!JS_IsUndefined(eng.frame) &&
        JS_DefinePropertyValue(ctx, promise, frame_atom, JS_DupValue(ctx, eng.frame), 0) < 0)
        JS_FreeValue(ctx, JS_GetException(ctx)); /* out of memory: what awaits it has no frame */
}

void scope_begin(JSContext *ctx)
{
    marked = job_list;
    JS_SetPromiseHook(eng.rt, scope_on_promise, NULL);
}

bool scope_begin_frames(JSContext *ctx)
{
    if (frame_atom != JS_ATOM_NULL)
        return true;
    JSValue symbol = JS_NewSymbol(ctx, "async context", false);
    if (JS_IsException(symbol))
        return false;
    frame_atom = JS_ValueToAtom(ctx, symbol);
    JS_FreeValue(ctx, symbol);
    eng.has_frames = true;
    if (!eng.is_durable)
        scope_begin(ctx);
    return frame_atom != JS_ATOM_NULL;
}

/* --- checks at boot ------------------------------------------------------------------------------
 */

static JSValue scope_probe(JSContext *ctx, int argc, JSValueConst *argv)
{
    return JS_UNDEFINED;
}

/* The list of jobs is the pair of words in the runtime that an only job is linked to. */
static bool scope_find_jobs(JSContext *ctx)
{
    struct layout_link *words = (struct layout_link *)eng.rt;
    JSValue argument = JS_NewInt32(ctx, 7);
    if (JS_EnqueueJob(ctx, scope_probe, 1, &argument) < 0)
        return false;
    for (uint32_t i = 0; i + 1 < RUNTIME_BYTES / 4 && !job_list; i++) {
        struct layout_link *head = (struct layout_link *)((uint32_t *)words + i);
        struct scope_job *job = (struct scope_job *)head->next;
        uintptr_t at = (uintptr_t)job;
        if (head->next != head->prev || job == (void *)head || at < 1024 || at % 8 != 0 ||
            at + sizeof *job > __builtin_wasm_memory_size(0) * 65536u)
            continue;
        if (job->link.next == head && job->link.prev == head && job->ctx == ctx &&
            job->function == scope_probe && job->argc == 1 && job->argv[0] == argument)
            job_list = head;
    }
    engine_drain(ctx);
    return job_list && job_list->next == job_list;
}

static bool scope_check_promise(JSContext *ctx)
{
    JSValue settle[2];
    JSValue promise = JS_NewPromiseCapability(ctx, settle);
    if (JS_IsException(promise))
        return false;
    promise_class = JS_GetClassID(promise);
    resolve_class = JS_GetClassID(settle[0]);
    struct scope_promise *p = JS_GetOpaque(promise, promise_class);
    const struct scope_resolver *r = JS_GetOpaque(settle[0], resolve_class);
    bool is_ok = JS_GetClassID(settle[1]) == resolve_class + 1 && p == scope_opaque(promise) &&
                 r == scope_opaque(settle[0]) && r->promise == promise && p->state == 0 &&
                 p->reactions[0].next == &p->reactions[0] &&
                 p->reactions[1].prev == &p->reactions[1] && p->result == JS_UNDEFINED &&
                 p->is_handled == 0 && p->scope == 0;
    JSValue value = JS_NewInt32(ctx, 7);
    p->scope = 0xA5A5;
    JS_PromiseMarkAsHandled(ctx, promise);
    JSValue result = JS_Call(ctx, settle[0], JS_UNDEFINED, 1, &value);
    is_ok = is_ok && p->is_handled == 1 && p->state == JS_PROMISE_FULFILLED && p->result == value &&
            p->scope == 0xA5A5;
    JS_FreeValues(ctx, promise, settle[0], settle[1], result);
    return is_ok;
}

/* The promise of the first job that source leaves in the queue must be what source gives. */
static bool scope_check_job(JSContext *ctx, const char *source)
{
    JSValue promise = JS_Eval(ctx, source, strlen(source), "scope", JS_EVAL_TYPE_GLOBAL);
    const struct scope_job *job = (const struct scope_job *)job_list->next;
    bool is_ok =
        JS_IsPromise(promise) && job_list->next != job_list && scope_promise_of(job) == promise;
    engine_drain(ctx);
    JS_FreeValue(ctx, promise);
    return is_ok;
}

/* The class of what continues an await of source's function. */
static uint16_t scope_handler_class(JSContext *ctx, const char *source, JSValue *ret_handler)
{
    JSValue value = JS_Eval(ctx, source, strlen(source), "scope", JS_EVAL_TYPE_GLOBAL);
    const struct scope_job *job = (const struct scope_job *)job_list->next;
    bool is_job = job_list->next != job_list && job->argc == REACTION_ARGS &&
                  JS_IsUndefined(job->argv[0]) && JS_IsObject(job->argv[ARG_HANDLER]);
    *ret_handler = is_job ? JS_DupValue(ctx, job->argv[ARG_HANDLER]) : JS_UNDEFINED;
    JS_FreeValue(ctx, value);
    return is_job ? JS_GetClassID(*ret_handler) : 0;
}

/* The queue of an async generator whose only request asked for `promise`. */
static bool scope_find_queue(JSValueConst generator)
{
    const uint8_t *data = scope_opaque(generator);
    for (uint32_t i = 8; i + 8 <= GENERATOR_BYTES; i += 4) {
        const struct layout_link *head = (const void *)(data + i);
        const struct scope_request *r = (const void *)head->next;
        uintptr_t at = (uintptr_t)r;
        if (head->next != head->prev || r == (const void *)head || at < 1024 || at % 8 != 0 ||
            at + sizeof *r > __builtin_wasm_memory_size(0) * 65536u)
            continue;
        if (r->link.next == head && r->link.prev == head && r->kind == 0 &&
            scope_is(r->promise, promise_class)) {
            generator_queue = i;
            return true;
        }
    }
    return false;
}

static bool scope_check_awaits(JSContext *ctx)
{
    JSValue handler;
    await_class = scope_handler_class(ctx, "(async () => { await 0 })()", &handler);
    JS_FreeValue(ctx, handler);
    engine_drain(ctx);
    closure_class = scope_handler_class(ctx, "(async function* () { await 0 })().next()", &handler);
    const struct scope_closure *c = closure_class ? scope_opaque(handler) : NULL;
    bool is_ok = await_class && c && c->data_count == 1 && JS_IsObject(c->data[0]);
    if (is_ok) {
        generator_class = JS_GetClassID(c->data[0]);
        is_ok = scope_find_queue(c->data[0]);
    }
    JS_FreeValue(ctx, handler);
    engine_drain(ctx);
    return is_ok;
}

bool scope_init(JSContext *ctx)
{
    static const char *const sources[] = {
        "(async () => { await 0 })()",
        "(async () => { try { await Promise.reject(0) } catch {} })()",
        "(async function* () { await 0 })().next()",
        "Promise.resolve(0).then(() => {})",
        "Promise.reject(0).catch(() => {})",
        "new Promise((resolve) => resolve({ then(f) { f() } }))",
    };
    if (!scope_find_jobs(ctx) || !scope_check_promise(ctx) || !scope_check_awaits(ctx))
        return false;
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (!scope_check_job(ctx, sources[i]))
            return false;
    return true;
}
