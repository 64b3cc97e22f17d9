/* SPDX-License-Identifier: Apache-2.0 */
#include "stack.h"

#include "engine.h"
#include "op.h"
#include "text.h"

enum {
    STACK_CAUSES_MAX = 8,             /* of an error, one below the other */
    STACK_ERRORS_MAX = 16,            /* shown of an AggregateError */
    STACK_TELL_BYTES_MAX = 24 * 1024, /* no further error is begun above; a log line has 16 KiB */
};

static JSValue stack_frames_getter; /* QuickJS's own */

/* --- texts ---------------------------------------------------------------------------------------
 */

static void stack_no_exception(JSContext *ctx)
{
    if (JS_HasException(ctx))
        JS_FreeValue(ctx, JS_GetException(ctx));
}

/* A property's text if it is a string; false: it is none, or cannot be had. */
static bool stack_property(JSContext *ctx, JSValueConst error, enum engine_atom atom,
                           struct text *ret_text)
{
    JSValue value = JS_GetProperty(ctx, error, eng.atoms[atom]);
    struct text text = JS_IsString(value) ? text_of(ctx, value) : (struct text){0};
    JS_FreeValue(ctx, value);
    stack_no_exception(ctx);
    if (text.at)
        *ret_text = text;
    return text.at;
}

static void stack_add_text(JSContext *ctx, JSValueConst value, struct buffer *out)
{
    struct text text = text_of(ctx, value);
    if (text.at) {
        buffer_add(out, text.at, text.len);
        text_done(ctx, text);
    }
    stack_no_exception(ctx);
}

bool stack_is_error(JSContext *ctx, JSValueConst value)
{
    struct text message;
    if (!JS_IsObject(value))
        return false;
    if (JS_IsError(value))
        return true;
    bool has_message = stack_property(ctx, value, ATOM_message, &message);
    if (has_message)
        text_done(ctx, message);
    return has_message;
}

/* What was thrown and is no error: a string as it is, else as the console shows it. */
static void stack_add_value(JSContext *ctx, JSValueConst value, struct buffer *out)
{
    JSValue shown = JS_UNDEFINED;
    if (JS_IsString(value) || !engine_has_hook(HOOK_inspect))
        shown = JS_DupValue(ctx, value);
    else
        shown = engine_hook(ctx, HOOK_inspect, 1, &value);
    stack_no_exception(ctx);
    stack_add_text(ctx, JS_IsException(shown) ? value : shown, out);
    JS_FreeValue(ctx, shown);
}

void stack_head(JSContext *ctx, JSValueConst thrown, struct buffer *out)
{
    struct text name = {0}, message = {0};
    if (!stack_is_error(ctx, thrown)) {
        stack_add_value(ctx, thrown, out);
        return;
    }
    bool has_name = stack_property(ctx, thrown, ATOM_name, &name);
    bool has_message = stack_property(ctx, thrown, ATOM_message, &message);
    if (has_name)
        buffer_add(out, name.at, name.len);
    else if (JS_IsError(thrown))
        buffer_add(out, "Error", 5);
    if (has_message && message.len > 0) {
        if ((has_name && name.len > 0) || (!has_name && JS_IsError(thrown)))
            buffer_add(out, ": ", 2);
        buffer_add(out, message.at, message.len);
    }
    if (has_name)
        text_done(ctx, name);
    if (has_message)
        text_done(ctx, message);
}

/* --- frames --------------------------------------------------------------------------------------
 */

static bool stack_is_frame(const char *at, uint32_t len)
{
    return len >= 7 && memcmp(at, "    at ", 7) == 0;
}

/* As they are if the host has no map. */
void stack_add_mapped(struct text frames, struct buffer *out)
{
    struct op_stack_map args = {.stack = op_bytes(frames.at, frames.len)};
    int32_t len = op_call(OP_STACK_MAP, &args, NULL, 0);
    uint8_t *room = len > 0 ? buffer_room(out, (uint32_t)len) : NULL;
    if (room) {
        op_result(room, (uint32_t)len);
        out->len += (uint32_t)len;
    } else if (len != 0) {
        buffer_add(out, frames.at, frames.len);
    }
    while (out->len > 0 && out->data[out->len - 1] == '\n')
        out->len--;
}

/* The frames in the text of a stack that may begin with a head. */
static struct text stack_frames_in(struct text stack, const struct buffer *head)
{
    if (head->len <= stack.len && memcmp(stack.at, head->data, head->len) == 0) {
        uint32_t from = head->len;
        if (from == stack.len)
            return (struct text){.at = ""};
        if (stack.at[from] == '\n')
            return (struct text){.at = stack.at + from + 1, .len = stack.len - from - 1};
    }
    for (uint32_t i = 0; i < stack.len; i++)
        if ((i == 0 || stack.at[i - 1] == '\n') && stack_is_frame(stack.at + i, stack.len - i))
            return (struct text){.at = stack.at + i, .len = stack.len - i};
    return stack; /* a text of the module's own */
}

static void stack_add_frames(JSContext *ctx, JSValueConst error, struct buffer *out)
{
    struct text stack;
    struct buffer head = {0};
    if (!JS_IsObject(error) || !stack_property(ctx, error, ATOM_stack, &stack))
        return;
    stack_head(ctx, error, &head);
    struct text frames = stack_frames_in(stack, &head);
    if (frames.len > 0 && out->len > 0)
        buffer_add(out, "\n", 1);
    buffer_add(out, frames.at, frames.len);
    text_done(ctx, stack);
    buffer_done(&head);
}

/* --- causes --------------------------------------------------------------------------------------
 */

struct stack_above { /* errors that this one is told below */
    const struct stack_above *up;
    JSValueConst error;
};

static void stack_add(JSContext *ctx, JSValueConst error, struct buffer *out,
                      const struct stack_above *up, int depth);

static void stack_add_below(JSContext *ctx, const char *intro, JSValueConst error,
                            struct buffer *out, const struct stack_above *above, int depth)
{
    for (const struct stack_above *a = above; a; a = a->up)
        if (JS_IsObject(error) && JS_VALUE_GET_PTR(a->error) == JS_VALUE_GET_PTR(error))
            return; /* it is told already */
    if (depth >= STACK_CAUSES_MAX || out->len > STACK_TELL_BYTES_MAX)
        return;
    if (out->len > 0)
        buffer_add(out, "\n", 1);
    buffer_add(out, intro, (uint32_t)strlen(intro));
    stack_head(ctx, error, out);
    stack_add(ctx, error, out, above, depth);
}

/* An own property that is no accessor; undefined if there is none. */
static JSValue stack_own(JSContext *ctx, JSValueConst error, JSAtom atom)
{
    JSPropertyDescriptor own;
    int has = JS_GetOwnProperty(ctx, &own, error, atom);
    stack_no_exception(ctx);
    if (has <= 0)
        return JS_UNDEFINED;
    JS_FreeValues(ctx, own.getter, own.setter);
    return own.value;
}

static void stack_add_errors(JSContext *ctx, JSValueConst errors, struct buffer *out,
                             const struct stack_above *above, int depth)
{
    int64_t count = 0;
    char intro[48];
    if (!JS_IsArray(errors) || JS_GetLength(ctx, errors, &count) < 0) {
        stack_no_exception(ctx);
        return;
    }
    for (uint32_t i = 0; i < count && i < STACK_ERRORS_MAX; i++) {
        JSValue one = JS_GetPropertyUint32(ctx, errors, i);
        stack_no_exception(ctx);
        snprintf(intro, sizeof intro, "Error %u of %u: ", (unsigned)i + 1, (unsigned)count);
        if (!JS_IsException(one))
            stack_add_below(ctx, intro, one, out, above, depth);
        JS_FreeValue(ctx, one);
    }
}

static void stack_add(JSContext *ctx, JSValueConst error, struct buffer *out,
                      const struct stack_above *up, int depth)
{
    if (!stack_is_error(ctx, error))
        return;
    struct stack_above here = {.up = up, .error = error};
    stack_add_frames(ctx, error, out);
    JSAtom atom = JS_NewAtom(ctx, "errors");
    JSValue errors = stack_own(ctx, error, atom);
    JSValue cause = stack_own(ctx, error, eng.atoms[ATOM_cause]);
    if (JS_IsObject(errors))
        stack_add_errors(ctx, errors, out, &here, depth + 1);
    if (!JS_IsUndefined(cause))
        stack_add_below(ctx, "Caused by: ", cause, out, &here, depth + 1);
    JS_FreeAtom(ctx, atom);
    JS_FreeValues(ctx, errors, cause);
}

void stack_tell(JSContext *ctx, JSValueConst error, struct buffer *out)
{
    stack_add(ctx, error, out, NULL, 0);
}

/* --- the property --------------------------------------------------------------------------------
 */

/* Head and frames; frames that a prepareStackTrace() of the module made stay as they are. */
static JSValue stack_whole(JSContext *ctx, JSValueConst error, JSValue frames)
{
    uint8_t small[512];
    struct buffer out = {.data = small, .cap = sizeof small, .is_lent = true};
    struct text text = text_of(ctx, frames);
    if (!text.at) {
        stack_no_exception(ctx);
        return frames;
    }
    if (text.len > 0 && !stack_is_frame(text.at, text.len)) {
        text_done(ctx, text);
        return frames;
    }
    if (stack_is_error(ctx, error))
        stack_head(ctx, error, &out);
    else
        buffer_add(&out, "Error", 5); /* of Error.captureStackTrace({}), as in V8 */
    buffer_add(&out, "\n", 1);
    stack_add_mapped(text, &out);
    text_done(ctx, text);
    JSValue whole = out.is_failed ? JS_EXCEPTION : text_decode(ctx, out.data, out.len, true);
    buffer_done(&out);
    if (JS_IsException(whole)) {
        stack_no_exception(ctx);
        return frames;
    }
    JS_FreeValue(ctx, frames);
    return whole;
}

JSValue stack_made(JSContext *ctx, JSValueConst target, JSValue stack)
{
    JSValue pending = JS_GetException(ctx); /* the trace may be for it */
    if (JS_IsString(stack))
        stack = stack_whole(ctx, target, stack);
    JS_Throw(ctx, pending);
    return stack;
}

static JSValue stack_get(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    JSValue frames = JS_Call(ctx, stack_frames_getter, this_value, 0, NULL);
    if (JS_IsUndefined(frames) && JS_IsError(this_value))
        frames = JS_NewString(ctx, "");
    return JS_IsString(frames) ? stack_whole(ctx, this_value, frames) : frames;
}

/* Whatever is set becomes a property of the error, as in V8. */
static JSValue stack_set(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    if (!JS_IsObject(this_value))
        return JS_ThrowTypeError(ctx, "stack is set on something that is no object");
    JSValue value = JS_DupValue(ctx, argc > 0 ? argv[0] : JS_UNDEFINED);
    int defined = JS_DefinePropertyValue(ctx, this_value, eng.atoms[ATOM_stack], value,
                                         JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE | JS_PROP_THROW);
    return defined < 0 ? JS_EXCEPTION : JS_UNDEFINED;
}

bool stack_init(JSContext *ctx)
{
    JSPropertyDescriptor own;
    JSValue error = JS_NewError(ctx), proto = JS_GetPrototype(ctx, error);
    if (JS_GetOwnProperty(ctx, &own, proto, eng.atoms[ATOM_stack]) <= 0)
        return false;
    stack_frames_getter = own.getter;
    JS_FreeValues(ctx, own.setter, own.value);
    JSValue getter = JS_NewCFunction(ctx, stack_get, "get stack", 0);
    JSValue setter = JS_NewCFunction(ctx, stack_set, "set stack", 1);
    bool is_ok = JS_IsFunction(ctx, stack_frames_getter) &&
                 JS_DefinePropertyGetSet(ctx, proto, eng.atoms[ATOM_stack], getter, setter,
                                         JS_PROP_CONFIGURABLE) >= 0;
    JS_FreeValues(ctx, error, proto);
    return is_ok;
}
