/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames of async callers in stack traces, and what becomes of a promise's value. Compiled at the end
 * of QuickJS's own file (tools/deps-quickjs), for it reads structs that are private there; the same
 * puts the two calls into build_backtrace().
 *
 * Who waits for a function that throws is written in the graph of promises as it is then: a frame
 * belongs to an async function, which settles a promise, whose first reaction continues another
 * async function (or settles a further promise, as with then(), Promise.all(), `return promise`).
 * So nothing is kept for each await, and a trace costs a walk of at most FRAMES_HOPS_MAX promises.
 */

enum {
    FRAMES_HOPS_MAX = 64,
    FRAMES_USES_MAX = 256, /* reactions that are looked at */
};

/* What error made by C code outside of any frame belongs to; see frames_settle(). */
static JSValueConst frames_origin = JS_UNDEFINED;

static JSObject *frames_object(JSValueConst value)
{
    return JS_VALUE_GET_TAG(value) == JS_TAG_OBJECT ? JS_VALUE_GET_OBJ(value) : NULL;
}

/* The promise that a function which resolves or rejects one belongs to; or undefined. */
static JSValueConst frames_resolved_by(JSValueConst function)
{
    const JSObject *p = frames_object(function);
    if (!p || (p->class_id != JS_CLASS_PROMISE_RESOLVE_FUNCTION &&
               p->class_id != JS_CLASS_PROMISE_REJECT_FUNCTION))
        return JS_UNDEFINED;
    const JSPromiseFunctionData *s = p->u.promise_function_data;
    return s ? s->promise : JS_UNDEFINED;
}

static JSValueConst frames_promise_of_generator(const JSAsyncGeneratorData *s)
{
    if (list_empty(&s->queue))
        return JS_UNDEFINED;
    return list_entry(s->queue.next, JSAsyncGeneratorRequest, link)->promise;
}

/* The promise that the function of this frame settles; or undefined. */
static JSValueConst frames_promise_of(JSStackFrame *sf)
{
    const JSObject *p = frames_object(sf->cur_func);
    if (p && p->class_id == JS_CLASS_ASYNC_FUNCTION)
        return frames_resolved_by(
            container_of(sf, JSAsyncFunctionData, func_state.frame)->resolving_funcs[0]);
    if (p && p->class_id == JS_CLASS_ASYNC_GENERATOR_FUNCTION)
        return frames_promise_of_generator(
            container_of(sf, JSAsyncGeneratorData, func_state.frame));
    return JS_UNDEFINED;
}

/* What one reaction leads to: the frame that it continues, or a promise that it settles. */
static JSStackFrame *frames_follow(const JSPromiseReactionData *rd, JSValueConst *ret_promise)
{
    const JSObject *p = frames_object(rd->handler);
    if (p && p->class_id == JS_CLASS_ASYNC_FUNCTION_RESOLVE) {
        JSAsyncFunctionData *s = p->u.async_function_data;
        if (s && s->is_active)
            return &s->func_state.frame;
    }
    if (p && p->class_id == JS_CLASS_C_FUNCTION_DATA) { /* of async generators, Promise.all() … */
        const JSCFunctionDataRecord *c = p->u.c_function_data_record;
        for (int i = 0; c && i < c->data_len; i++) {
            const JSObject *of = frames_object(c->data[i]);
            if (of && of->class_id == JS_CLASS_ASYNC_GENERATOR && of->u.async_generator_data) {
                JSAsyncGeneratorData *s = of->u.async_generator_data;
                if (s->state != JS_ASYNC_GENERATOR_STATE_COMPLETED)
                    return &s->func_state.frame;
            }
            *ret_promise = frames_resolved_by(c->data[i]);
            if (!JS_IsUndefined(*ret_promise))
                return NULL;
        }
    }
    *ret_promise = frames_resolved_by(rd->handler);
    if (JS_IsUndefined(*ret_promise))
        *ret_promise = frames_resolved_by(rd->resolving_funcs[0]);
    return NULL;
}

/* The frame that waits for the promise, however indirectly; NULL: none. */
static JSStackFrame *frames_waiting_for(JSValueConst promise)
{
    for (int hops = 0; hops < FRAMES_HOPS_MAX; hops++) {
        const JSObject *p = frames_object(promise);
        const JSPromiseData *s = p && p->class_id == JS_CLASS_PROMISE ? p->u.promise_data : NULL;
        if (!s || s->promise_state != JS_PROMISE_PENDING || list_empty(&s->promise_reactions[0]))
            return NULL;
        promise = JS_UNDEFINED;
        JSStackFrame *frame = frames_follow(
            list_entry(s->promise_reactions[0].next, JSPromiseReactionData, link), &promise);
        if (frame)
            return frame;
    }
    return NULL;
}

/* The code that a function runs; NULL: it has none. */
static JSFunctionBytecode *frames_code(JSValueConst function)
{
    const JSObject *p = frames_object(function);
    return p && js_class_has_bytecode(p->class_id) ? p->u.func.function_bytecode : NULL;
}

/* at: in the function's code; NULL: it is not known. */
static void frames_write(JSContext *ctx, DynBuf *out, const char *intro, JSValueConst function,
                         const uint8_t *at)
{
    const char *name = get_func_name(ctx, function);
    JSFunctionBytecode *b = frames_code(function);
    dbuf_printf(out, "    at %s%s", intro, name && *name ? name : "<anonymous>");
    JS_FreeCString(ctx, name);
    if (b && at) {
        int column;
        int line = find_line_num(ctx, b, (uint32_t)(at - b->byte_code_buf - 1), &column);
        const char *file = b->filename ? JS_AtomToCString(ctx, b->filename) : NULL;
        dbuf_printf(out, " (%s:%d:%d)", file ? file : "<null>", line, column);
        JS_FreeCString(ctx, file);
    }
    dbuf_putc(out, '\n');
}

/* Is it the C function by which an async generator goes on after an await? */
static bool frames_is_resumption(const JSStackFrame *sf)
{
    const JSObject *p = frames_object(sf->cur_func);
    const JSCFunctionDataRecord *c =
        p && p->class_id == JS_CLASS_C_FUNCTION_DATA ? p->u.c_function_data_record : NULL;
    const JSObject *of = c && c->data_len == 1 ? frames_object(c->data[0]) : NULL;
    return of && of->class_id == JS_CLASS_ASYNC_GENERATOR;
}

/* Adds frames of async callers to the `count` that are there: to out, or to sites for a
 * prepareStackTrace(). Returns how many there are then, at most `max`. */
static uint32_t frames_add(JSContext *ctx, DynBuf *out, JSCallSiteData *sites, uint32_t count,
                           uint32_t max)
{
    JSStackFrame *last = ctx->rt->current_stack_frame;
    while (last && last->prev_frame && !frames_is_resumption(last->prev_frame))
        last = last->prev_frame;
    if (out && last && last->prev_frame && count > 0 &&
        count < max) { /* drop the line of that one */
        out->size--;
        while (out->size > 0 && out->buf[out->size - 1] != '\n')
            out->size--;
        count--;
    }
    JSValueConst promise = last ? frames_promise_of(last) : frames_origin;
    for (JSStackFrame *sf = frames_waiting_for(promise); sf && count < max;
         sf = frames_waiting_for(frames_promise_of(sf))) {
        if (sites)
            js_new_callsite_data(ctx, &sites[count], sf);
        else
            frames_write(ctx, out, "async ", sf->cur_func, sf->cur_pc);
        count++;
    }
    return count;
}

void frames_settle(JSValueConst resolver);
/* Errors that C code makes now, outside of any frame, are for who waits for the promise of this
 * resolving function; undefined: for nobody. Borrowed until the next call. */
void frames_settle(JSValueConst resolver)
{
    frames_origin = frames_resolved_by(resolver);
}

/* --- places --- */

bool frames_caller(JSContext *ctx, JSValue *ret_function, uint32_t *ret_at);
/* Where the module's own code stands, below what the platform calls: a function, which is the
 * caller's to free, and a place in its code. False: it does not run. */
bool frames_caller(JSContext *ctx, JSValue *ret_function, uint32_t *ret_at)
{
    static const char platform[] = "limpet:";
    for (JSStackFrame *sf = ctx->rt->current_stack_frame; sf; sf = sf->prev_frame) {
        const JSFunctionBytecode *b = frames_code(sf->cur_func);
        const char *file = b && b->filename ? JS_AtomToCString(ctx, b->filename) : NULL;
        const bool is_own = file && sf->cur_pc && strncmp(file, platform, strlen(platform)) != 0;
        JS_FreeCString(ctx, file);
        if (!is_own)
            continue;
        *ret_function = js_dup(sf->cur_func);
        *ret_at = (uint32_t)(sf->cur_pc - b->byte_code_buf);
        return true;
    }
    return false;
}

JSValue frames_line(JSContext *ctx, JSValueConst function, uint32_t at);
/* The line of a stack for a place of frames_caller(). */
JSValue frames_line(JSContext *ctx, JSValueConst function, uint32_t at)
{
    DynBuf out;
    const JSFunctionBytecode *b = frames_code(function);
    js_dbuf_init(ctx, &out);
    frames_write(ctx, &out, "", function, b ? b->byte_code_buf + at : NULL);
    JSValue line = dbuf_error(&out) ? JS_ThrowOutOfMemory(ctx)
                                    : JS_NewStringLen(ctx, (const char *)out.buf, out.size);
    dbuf_free(&out);
    return line;
}

/* --- where a value goes --- */

bool frames_resolves(JSValueConst resolver, JSValueConst promise);
/* Does this function resolve (or reject) that promise? */
bool frames_resolves(JSValueConst resolver, JSValueConst promise)
{
    const JSObject *p = frames_object(promise);
    return p && frames_object(frames_resolved_by(resolver)) == p;
}

enum frames_use {
    FRAMES_UNUSED, /* nothing takes it, so far */
    FRAMES_OVER,   /* only what has its value already: races */
    FRAMES_USED,
};

static enum frames_use frames_use_of(JSValueConst promise, int *left);

/* It resolves a promise that has a value already, or one whose value goes somewhere. */
static enum frames_use frames_use_by_resolver(JSValueConst resolver, int *left)
{
    const JSPromiseFunctionData *s = frames_object(resolver)->u.promise_function_data;
    if (!s || s->presolved->already_resolved)
        return FRAMES_OVER;
    const enum frames_use use = frames_use_of(s->promise, left);
    return use == FRAMES_UNUSED ? FRAMES_USED : use; /* who has that promise may still await it */
}

/* Code that runs has a use for the value, unless what it returns goes only to races that are over. */
static enum frames_use frames_use_by_code(JSValueConst resolver, int *left)
{
    return frames_use_of(frames_resolved_by(resolver), left) == FRAMES_OVER ? FRAMES_OVER
                                                                            : FRAMES_USED;
}

static enum frames_use frames_use_by(const JSPromiseReactionData *rd, int *left)
{
    const JSObject *p = frames_object(rd->handler);
    if (!JS_IsUndefined(frames_resolved_by(rd->handler)))
        return frames_use_by_resolver(rd->handler, left);
    if (!p) /* catch(), or then(undefined, …): passed on */
        return frames_use_of(frames_resolved_by(rd->resolving_funcs[0]), left);
    if (p->class_id == JS_CLASS_ASYNC_FUNCTION_RESOLVE && p->u.async_function_data)
        return frames_use_by_code(p->u.async_function_data->resolving_funcs[0], left);
    if (p->class_id == JS_CLASS_C_FUNCTION_DATA) { /* of Promise.all() and its like */
        const JSCFunctionDataRecord *c = p->u.c_function_data_record;
        for (int i = 0; c && i < c->data_len; i++)
            if (!JS_IsUndefined(frames_resolved_by(c->data[i])))
                return frames_use_by_resolver(c->data[i], left);
    }
    return frames_use_by_code(rd->resolving_funcs[0], left);
}

static enum frames_use frames_use_of(JSValueConst promise, int *left)
{
    const JSObject *p = frames_object(promise);
    const JSPromiseData *s = p && p->class_id == JS_CLASS_PROMISE ? p->u.promise_data : NULL;
    enum frames_use use = FRAMES_UNUSED;
    struct list_head *el;
    if (!s)
        return FRAMES_UNUSED;
    list_for_each(el, &s->promise_reactions[0])
    {
        if (--*left < 0)
            return FRAMES_USED; /* that is too much to tell */
        const enum frames_use by = frames_use_by(list_entry(el, JSPromiseReactionData, link), left);
        if (by == FRAMES_USED)
            return by;
        if (by == FRAMES_OVER)
            use = by;
    }
    return use;
}

bool frames_is_over(JSValueConst resolver);
/* The value that this function is to resolve a promise with goes nowhere: whoever wanted it has a value
 * from elsewhere, as a Promise.race() that is over, however many then() and async functions lie between. */
bool frames_is_over(JSValueConst resolver)
{
    int left = FRAMES_USES_MAX;
    return frames_use_of(frames_resolved_by(resolver), &left) == FRAMES_OVER;
}
