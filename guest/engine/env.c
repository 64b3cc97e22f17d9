/* SPDX-License-Identifier: Apache-2.0
 *
 * The `env` object given to handlers: an exotic object without state, made once in the image, that
 * asks the host for what is read. Values are strings, what a project file has in JSON, made anew for
 * each read, or bindings, which the runtime makes once; writing is refused, since it would be seen by
 * nobody. */
#include "engine.h"
#include "op.h"
#include "text.h"

static JSClassID env_class;

enum { ENV_JSON = 3, ENV_BINDING = 4 }; /* host/op_basic.c */

static JSValue env_json(JSContext *ctx, const struct reader *in)
{
    size_t len = (size_t)(in->end - in->at);
    char *text = js_malloc(ctx, len + 1); /* the parser wants a NUL behind it */
    if (!text)
        return JS_EXCEPTION;
    memcpy(text, in->at, len);
    text[len] = '\0';
    JSValue value = JS_ParseJSON(ctx, text, len, "<env>");
    js_free(ctx, text);
    return value;
}

/* What the runtime makes of a binding of that kind. */
static JSValue env_binding(JSContext *ctx, JSAtom name, const struct reader *in)
{
    JSValue args[2] = {text_decode(ctx, in->at, (uint32_t)(in->end - in->at), true),
                       JS_AtomToString(ctx, name)};
    JSValue value = JS_IsException(args[0]) || JS_IsException(args[1])
                        ? JS_EXCEPTION
                        : engine_hook(ctx, HOOK_bindingOf, 2, args);
    JS_FreeValues(ctx, args[0], args[1]);
    return value;
}

/* The value as a string, JS_UNDEFINED if there is none, or JS_EXCEPTION. */
static JSValue env_read(JSContext *ctx, JSAtom atom)
{
    size_t len;
    JSValue key = JS_AtomToValue(ctx, atom);
    if (!JS_IsString(key)) { /* a symbol, or an array index */
        bool is_symbol = JS_IsSymbol(key);
        JS_FreeValue(ctx, key);
        if (is_symbol)
            return JS_UNDEFINED;
    } else {
        JS_FreeValue(ctx, key);
    }
    const char *name = JS_AtomToCStringLen(ctx, &len, atom);
    if (!name)
        return JS_EXCEPTION;
    struct op_reply reply;
    struct op_env_get args = {.name = op_bytes(name, (uint32_t)len)};
    bool is_ok = op_ask(ctx, OP_ENV_GET, &args, &reply);
    JS_FreeCString(ctx, name);
    if (!is_ok)
        return JS_EXCEPTION;
    struct reader reader = reader_of(reply.data, reply.len);
    JSValue value = JS_UNDEFINED;
    uint32_t kind = reader_u32(&reader);
    if (kind == ENV_BINDING)
        value = env_binding(ctx, atom, &reader);
    else if (kind == ENV_JSON)
        value = env_json(ctx, &reader);
    else if (kind)
        value = text_decode(ctx, reader.at, (uint32_t)(reader.end - reader.at), true);
    op_reply_done(&reply);
    return value;
}

static int env_get_own_property(JSContext *ctx, JSPropertyDescriptor *desc, JSValueConst object,
                                JSAtom atom)
{
    JSValue value = env_read(ctx, atom);
    if (JS_IsException(value))
        return -1;
    if (JS_IsUndefined(value))
        return 0;
    if (desc) {
        desc->flags = JS_PROP_ENUMERABLE | JS_PROP_CONFIGURABLE;
        desc->value = value;
        desc->getter = desc->setter = JS_UNDEFINED;
    } else {
        JS_FreeValue(ctx, value);
    }
    return 1;
}

static void env_add_name(JSContext *ctx, struct text name, JSPropertyEnum *ret)
{
    *ret = (JSPropertyEnum){.is_enumerable = true, .atom = JS_NewAtomLen(ctx, name.at, name.len)};
}

static int env_get_own_property_names(JSContext *ctx, JSPropertyEnum **ret_names,
                                      uint32_t *ret_count, JSValueConst object)
{
    struct op_reply reply;
    if (!op_ask(ctx, OP_ENV_LIST, &(struct op_env_list){}, &reply))
        return -1;
    struct reader reader = reader_of(reply.data, reply.len);
    JSPropertyEnum *names = js_malloc(ctx, (reply.len / 4 + 1) * sizeof *names);
    uint32_t n = 0;
    if (names) {
        for (uint32_t left = reader_u32(&reader); left > 0 && !reader.is_bad; left--) {
            env_add_name(ctx, reader_lstr(&reader), &names[n++]);
            (void)reader_lstr(&reader);
        }
        for (uint32_t left = reader_u32(&reader); left > 0 && !reader.is_bad; left--)
            env_add_name(ctx, reader_lstr(&reader), &names[n++]);
        *ret_names = names;
        *ret_count = n;
    }
    op_reply_done(&reply);
    return names ? 0 : -1;
}

static int env_refuse(JSContext *ctx)
{
    JS_ThrowTypeError(ctx, "env cannot be changed by the function; use 'limpet function env set'");
    return -1;
}

static int env_delete(JSContext *ctx, JSValueConst object, JSAtom atom)
{
    return env_refuse(ctx);
}

static int env_define(JSContext *ctx, JSValueConst object, JSAtom atom, JSValueConst value,
                      JSValueConst getter, JSValueConst setter, int flags)
{
    return env_refuse(ctx);
}

static int env_set(JSContext *ctx, JSValueConst object, JSAtom atom, JSValueConst value,
                   JSValueConst receiver, int flags)
{
    return env_refuse(ctx);
}

bool env_init(JSContext *ctx)
{
    static JSClassExoticMethods exotic = {
        .get_own_property = env_get_own_property,
        .get_own_property_names = env_get_own_property_names,
        .delete_property = env_delete,
        .define_own_property = env_define,
        .set_property = env_set,
    };
    static const JSClassDef def = {.class_name = "Env", .exotic = &exotic};
    JS_NewClassID(eng.rt, &env_class);
    if (JS_NewClass(eng.rt, env_class, &def) < 0)
        return false;
    JSValue proto = JS_NewObject(ctx);
    eng.env = JS_NewObjectProtoClass(ctx, proto, env_class);
    JS_FreeValue(ctx, proto);
    return !JS_IsException(eng.env);
}
