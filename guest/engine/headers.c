/* SPDX-License-Identifier: Apache-2.0 */
#include "headers.h"

#include <stdlib.h>

#include "engine.h"
#include "headers_iterator.h"
#include "layout.h"
#include "text.h"

static JSClassID headers_class;

/* --- lists ---------------------------------------------------------------------------------------
 */

struct header_list *header_list_new(JSContext *ctx)
{
    struct header_list *list = js_mallocz(ctx, sizeof *list);
    if (list)
        list->refs = 1;
    return list;
}

struct header_list *header_list_borrow(JSContext *ctx, const uint8_t *data, uint32_t len)
{
    struct header_list *list = header_list_new(ctx);
    if (list) {
        list->data = (uint8_t *)data; /* not written before header_list_own() */
        list->len = list->cap = len;
    }
    return list;
}

struct header_list *header_list_copy(JSContext *ctx, const struct header_list *list)
{
    struct header_list *copy = header_list_new(ctx);
    if (!copy || !list || list->len == 0)
        return copy;
    copy->data = js_malloc(ctx, list->len);
    if (!copy->data) {
        header_list_unref(JS_GetRuntime(ctx), copy);
        return NULL;
    }
    memcpy(copy->data, list->data, list->len);
    copy->len = copy->cap = list->len;
    copy->is_owned = true;
    return copy;
}

struct header_list *header_list_ref(struct header_list *list)
{
    list->refs++;
    return list;
}

void header_list_unref(JSRuntime *rt, struct header_list *list)
{
    if (!list || --list->refs > 0)
        return;
    if (list->is_owned)
        js_free_rt(rt, list->data);
    js_free_rt(rt, list);
}

static bool header_list_room(JSContext *ctx, struct header_list *list, uint32_t more)
{
    if (list->is_owned && list->cap - list->len >= more)
        return true;
    uint32_t cap = list->len + more + 128;
    uint8_t *data = list->is_owned ? js_realloc(ctx, list->data, cap) : js_malloc(ctx, cap);
    if (!data)
        return false;
    if (!list->is_owned && list->len > 0)
        memcpy(data, list->data, list->len);
    list->data = data;
    list->cap = cap;
    list->is_owned = true;
    return true;
}

bool header_list_own(JSContext *ctx, struct header_list *list)
{
    return list->is_owned || header_list_room(ctx, list, 0);
}

uint32_t header_list_count(const struct header_list *list)
{
    uint32_t count = 0;
    if (list->len >= 4)
        memcpy(&count, list->data, 4);
    return count;
}

bool header_list_append(JSContext *ctx, struct header_list *list, struct text name,
                        struct text value)
{
    if (!header_list_room(ctx, list, 4 + 8 + name.len + value.len))
        return false;
    uint32_t count = header_list_count(list) + 1;
    if (list->len < 4)
        list->len = 4;
    memcpy(list->data, &count, 4);
    uint8_t *at = list->data + list->len;
    memcpy(at, &name.len, 4);
    memcpy(at + 4, name.at, name.len);
    memcpy(at + 4 + name.len, &value.len, 4);
    memcpy(at + 8 + name.len, value.at, value.len);
    list->len += 8 + name.len + value.len;
    list->changes++;
    return true;
}

struct header_walk header_walk_begin(const struct header_list *list)
{
    struct header_walk w = {.reader = reader_of(list->data, list->len)};
    w.left = list->len >= 4 ? reader_u32(&w.reader) : 0;
    return w;
}

bool header_walk_next(struct header_walk *w)
{
    if (w->left == 0)
        return false;
    w->left--;
    w->entry = w->reader.at;
    w->name = reader_lstr(&w->reader);
    w->value = reader_lstr(&w->reader);
    return !w->reader.is_bad;
}

struct text header_list_find(const struct header_list *list, const char *name)
{
    if (list) {
        struct header_walk w = header_walk_begin(list);
        while (header_walk_next(&w))
            if (text_is(w.name, name))
                return w.value;
    }
    return (struct text){0};
}

/* Removes the entries of that name after the first `keep` of them. */
static bool header_list_remove(JSContext *ctx, struct header_list *list, struct text name)
{
    if (!header_list_own(ctx, list))
        return false;
    struct header_walk w = header_walk_begin(list);
    uint32_t count = header_list_count(list), kept = 0;
    uint8_t *out = list->data + 4;
    while (header_walk_next(&w)) {
        if (text_same(w.name, name))
            continue;
        uint32_t len = (uint32_t)(w.reader.at - w.entry);
        memmove(out, w.entry, len);
        out += len;
        kept++;
    }
    if (count > 0) {
        memcpy(list->data, &kept, 4);
        list->len = (uint32_t)(out - list->data);
    }
    list->changes++;
    return true;
}

/* --- names and values ----------------------------------------------------------------------------
 */

static bool header_is_token(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* The name in lower case, in memory of its own (js_free). .at NULL: exception. */
static struct text header_name(JSContext *ctx, JSValueConst value)
{
    struct text name = text_bytestring(ctx, value, "a header name");
    if (!name.at)
        return name;
    bool is_valid = name.len > 0;
    for (uint32_t i = 0; i < name.len && is_valid; i++)
        is_valid = header_is_token((uint8_t)name.at[i]);
    char *lower = NULL;
    if (!is_valid)
        JS_ThrowTypeError(ctx, "'%.*s' is not a valid header name",
                          (int)(name.len < 100 ? name.len : 100), name.at);
    else
        lower = js_malloc(ctx, name.len);
    if (lower)
        for (uint32_t i = 0; i < name.len; i++)
            lower[i] =
                name.at[i] >= 'A' && name.at[i] <= 'Z' ? (char)(name.at[i] | 0x20) : name.at[i];
    text_done(ctx, name);
    return (struct text){.at = lower, .len = name.len};
}

static bool header_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Trims; release what text_bytestring gave, not the result. */
static bool header_value(JSContext *ctx, struct text raw, struct text *ret_value)
{
    struct text value = raw;
    while (value.len > 0 && header_is_space(value.at[0])) {
        value.at++;
        value.len--;
    }
    while (value.len > 0 && header_is_space(value.at[value.len - 1]))
        value.len--;
    for (uint32_t i = 0; i < value.len; i++)
        if (value.at[i] == 0 || value.at[i] == '\r' || value.at[i] == '\n') {
            JS_ThrowTypeError(ctx, "a header value must not contain NUL, CR or LF");
            return false;
        }
    *ret_value = value;
    return true;
}

/* Appends, or sets when is_replacing, from JS values. */
static bool header_list_put(JSContext *ctx, struct header_list *list, JSValueConst name_value,
                            JSValueConst value_value, bool is_replacing)
{
    struct text name = header_name(ctx, name_value), value;
    if (!name.at)
        return false;
    struct text raw = text_bytestring(ctx, value_value, "a header value");
    bool is_ok = raw.at && header_value(ctx, raw, &value);
    if (is_ok && is_replacing)
        is_ok = header_list_remove(ctx, list, name);
    if (is_ok)
        is_ok = header_list_append(ctx, list, name, value);
    if (raw.at)
        text_done(ctx, raw);
    js_free(ctx, (void *)name.at);
    return is_ok;
}

/* --- filling -------------------------------------------------------------------------------------
 */

static bool header_list_fill_pair(JSContext *ctx, struct header_list *list, JSValueConst pair)
{
    int64_t length = -1;
    if (!JS_IsObject(pair) || JS_GetLength(ctx, pair, &length) < 0 || length != 2) {
        if (!JS_HasException(ctx))
            JS_ThrowTypeError(ctx, "headers given as a list need [name, value] pairs");
        return false;
    }
    JSValue name = JS_GetPropertyUint32(ctx, pair, 0);
    JSValue value = JS_GetPropertyUint32(ctx, pair, 1);
    bool is_ok = !JS_IsException(name) && !JS_IsException(value) &&
                 header_list_put(ctx, list, name, value, false);
    JS_FreeValue(ctx, name);
    JS_FreeValue(ctx, value);
    return is_ok;
}

static bool header_list_fill_iterable(JSContext *ctx, struct header_list *list, JSValueConst init,
                                      JSValueConst method)
{
    JSValue iterator = JS_Call(ctx, method, init, 0, NULL);
    if (JS_IsException(iterator))
        return false;
    bool is_ok = false;
    for (;;) {
        JSValue step = JS_Invoke(ctx, iterator, eng.atoms[ATOM_next], 0, NULL);
        if (JS_IsException(step))
            break;
        JSValue done = JS_GetProperty(ctx, step, eng.atoms[ATOM_done]);
        int is_done = JS_ToBool(ctx, done);
        JS_FreeValue(ctx, done);
        if (is_done) {
            is_ok = is_done > 0;
            JS_FreeValue(ctx, step);
            break;
        }
        JSValue pair = JS_GetProperty(ctx, step, eng.atoms[ATOM_value]);
        JS_FreeValue(ctx, step);
        bool is_put = !JS_IsException(pair) && header_list_fill_pair(ctx, list, pair);
        JS_FreeValue(ctx, pair);
        if (!is_put)
            break;
    }
    JS_FreeValue(ctx, iterator);
    return is_ok;
}

/* One member of a record, if it is enumerable: asked for and read before the next one is, as a Proxy
 * may see. */
static bool header_list_fill_member(JSContext *ctx, struct header_list *list, JSValueConst init,
                                    JSAtom atom)
{
    JSPropertyDescriptor own;
    int has = JS_GetOwnProperty(ctx, &own, init, atom);
    if (has <= 0)
        return has == 0;
    JS_FreeValues(ctx, own.value, own.getter, own.setter);
    if (!(own.flags & JS_PROP_ENUMERABLE))
        return true;
    JSValue name = JS_AtomToValue(ctx, atom);
    if (JS_IsSymbol(name)) {
        JS_FreeValue(ctx, name);
        JS_ThrowTypeError(ctx, "the name of a header is a symbol");
        return false;
    }
    if (JS_VALUE_GET_TAG(name) == JS_TAG_STRING && layout_chars(name).is_wide) {
        JS_FreeValue(ctx, name); /* before the value is looked at (Web IDL §3.2.20) */
        JS_ThrowTypeError(ctx, "the name of a header has a character beyond Latin-1");
        return false;
    }
    JSValue value = JS_GetProperty(ctx, init, atom);
    bool is_ok = !JS_IsException(name) && !JS_IsException(value) &&
                 header_list_put(ctx, list, name, value, false);
    JS_FreeValue(ctx, name);
    JS_FreeValue(ctx, value);
    return is_ok;
}

static bool header_list_fill_record(JSContext *ctx, struct header_list *list, JSValueConst init)
{
    JSPropertyEnum *names;
    uint32_t count;
    if (JS_GetOwnPropertyNames(ctx, &names, &count, init, JS_GPN_STRING_MASK | JS_GPN_SYMBOL_MASK) <
        0)
        return false;
    bool is_ok = true;
    for (uint32_t i = 0; i < count && is_ok; i++)
        is_ok = header_list_fill_member(ctx, list, init, names[i].atom);
    JS_FreePropertyEnum(ctx, names, count);
    return is_ok;
}

static JSAtom headers_iterator_atom; /* Symbol.iterator */
static JSValue headers_entries;      /* Headers.prototype.entries, as it was made */

bool header_list_fill(JSContext *ctx, struct header_list *list, JSValueConst init)
{
    if (JS_IsUndefined(init))
        return true;
    if (!JS_IsObject(init)) {
        JS_ThrowTypeError(ctx, "headers must be a Headers object, an object, or a list of pairs");
        return false;
    }
    JSValue method = JS_GetProperty(ctx, init, headers_iterator_atom);
    if (JS_IsException(method))
        return false;
    const struct header_list *other = headers_list(init);
    if (other && JS_IsObject(method) &&
        JS_VALUE_GET_PTR(method) == JS_VALUE_GET_PTR(headers_entries)) {
        JS_FreeValue(ctx, method);
        struct header_walk w = header_walk_begin(other);
        while (header_walk_next(&w))
            if (!header_list_append(ctx, list, w.name, w.value))
                return false;
        return true;
    }
    bool is_ok = JS_IsFunction(ctx, method) ? header_list_fill_iterable(ctx, list, init, method)
                                            : header_list_fill_record(ctx, list, init);
    JS_FreeValue(ctx, method);
    return is_ok;
}

/* --- the class -----------------------------------------------------------------------------------
 */

struct header_list *headers_list(JSValueConst value)
{
    return JS_GetOpaque(value, headers_class);
}

JSValue headers_object(JSContext *ctx, struct header_list *list)
{
    JSValue object = JS_NewObjectClass(ctx, (int)headers_class);
    if (!JS_IsException(object))
        JS_SetOpaque(object, header_list_ref(list));
    return object;
}

static void headers_finalize(JSRuntime *rt, JSValueConst value)
{
    header_list_unref(rt, JS_GetOpaque(value, headers_class));
}

static JSValue headers_construct(JSContext *ctx, JSValueConst new_target, int argc,
                                 JSValueConst *argv)
{
    JSValue proto = JS_GetProperty(ctx, new_target, eng.atoms[ATOM_prototype]);
    if (JS_IsException(proto))
        return proto;
    JSValue object = JS_NewObjectProtoClass(ctx, proto, headers_class);
    JS_FreeValue(ctx, proto);
    if (JS_IsException(object))
        return object;
    struct header_list *list = header_list_new(ctx);
    if (list)
        JS_SetOpaque(object, list);
    if (!list || (argc > 0 && !header_list_fill(ctx, list, argv[0]))) {
        JS_FreeValue(ctx, object);
        return JS_EXCEPTION;
    }
    return object;
}

struct header_list *headers_this(JSContext *ctx, JSValueConst this_value, int argc, int need)
{
    struct header_list *list = JS_GetOpaque2(ctx, this_value, headers_class);
    if (list && argc < need) {
        JS_ThrowTypeError(ctx, "%d argument%s needed, %d given", need, need == 1 ? "" : "s", argc);
        return NULL;
    }
    return list;
}

static bool headers_check_mutable(JSContext *ctx, const struct header_list *list)
{
    if (list->is_immutable)
        JS_ThrowTypeError(ctx,
                          "these headers cannot be changed; copy them with new Headers(headers)");
    return !list->is_immutable;
}

enum { HEADERS_APPEND, HEADERS_SET };

static JSValue headers_put(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                           int magic)
{
    struct header_list *list = headers_this(ctx, this_value, argc, 2);
    if (!list || !headers_check_mutable(ctx, list) ||
        !header_list_put(ctx, list, argv[0], argv[1], magic == HEADERS_SET))
        return JS_EXCEPTION;
    return JS_UNDEFINED;
}

static JSValue headers_delete(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct header_list *list = headers_this(ctx, this_value, argc, 1);
    if (!list || !headers_check_mutable(ctx, list))
        return JS_EXCEPTION;
    struct text name = header_name(ctx, argv[0]);
    if (!name.at)
        return JS_EXCEPTION;
    bool is_ok = header_list_remove(ctx, list, name);
    js_free(ctx, (void *)name.at);
    return is_ok ? JS_UNDEFINED : JS_EXCEPTION;
}

JSValue header_list_combined(JSContext *ctx, const struct header_list *list, struct text name)
{
    struct header_walk w = header_walk_begin(list);
    struct text first = {0};
    struct buffer joined = {0};
    while (header_walk_next(&w)) {
        if (!text_same(w.name, name))
            continue;
        if (!first.at) {
            first = w.value;
            continue;
        }
        if (joined.len == 0)
            buffer_add(&joined, first.at, first.len);
        buffer_add(&joined, ", ", 2);
        buffer_add(&joined, w.value.at, w.value.len);
    }
    JSValue value = JS_NULL;
    if (joined.is_failed)
        value = JS_ThrowOutOfMemory(ctx);
    else if (joined.len > 0)
        value = text_from_latin1(ctx, joined.data, joined.len);
    else if (first.at)
        value = text_from_latin1(ctx, (const uint8_t *)first.at, first.len);
    buffer_done(&joined);
    return value;
}

enum { HEADERS_GET, HEADERS_HAS };

static JSValue headers_get(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                           int magic)
{
    struct header_list *list = headers_this(ctx, this_value, argc, 1);
    if (!list)
        return JS_EXCEPTION;
    struct text name = header_name(ctx, argv[0]);
    if (!name.at)
        return JS_EXCEPTION;
    JSValue result = JS_FALSE;
    if (magic == HEADERS_GET) {
        result = header_list_combined(ctx, list, name);
    } else {
        struct header_walk w = header_walk_begin(list);
        while (header_walk_next(&w))
            if (text_same(w.name, name))
                result = JS_TRUE;
    }
    js_free(ctx, (void *)name.at);
    return result;
}

static JSValue headers_get_set_cookie(JSContext *ctx, JSValueConst this_value, int argc,
                                      JSValueConst *argv)
{
    struct header_list *list = headers_this(ctx, this_value, argc, 0);
    JSValue array = list ? JS_NewArray(ctx) : JS_EXCEPTION;
    if (JS_IsException(array))
        return array;
    struct header_walk w = header_walk_begin(list);
    uint32_t n = 0;
    while (header_walk_next(&w))
        if (text_is(w.name, "set-cookie"))
            JS_DefinePropertyValueUint32(
                ctx, array, n++, text_from_latin1(ctx, (const uint8_t *)w.value.at, w.value.len),
                JS_PROP_C_W_E);
    return array;
}

static const JSCFunctionListEntry headers_methods[] = {
    JS_CFUNC_MAGIC_DEF("append", 2, headers_put, HEADERS_APPEND),
    JS_CFUNC_MAGIC_DEF("set", 2, headers_put, HEADERS_SET),
    JS_CFUNC_DEF("delete", 1, headers_delete),
    JS_CFUNC_MAGIC_DEF("get", 1, headers_get, HEADERS_GET),
    JS_CFUNC_MAGIC_DEF("has", 1, headers_get, HEADERS_HAS),
    JS_CFUNC_DEF("getSetCookie", 0, headers_get_set_cookie),
    JS_CFUNC_MAGIC_DEF("entries", 0, headers_iterate, HEADERS_ENTRIES),
    JS_CFUNC_MAGIC_DEF("keys", 0, headers_iterate, HEADERS_KEYS),
    JS_CFUNC_MAGIC_DEF("values", 0, headers_iterate, HEADERS_VALUES),
    JS_CFUNC_DEF("forEach", 1, headers_for_each),
    JS_ALIAS_DEF("[Symbol.iterator]", "entries"),
    JS_PROP_STRING_DEF("[Symbol.toStringTag]", "Headers", JS_PROP_CONFIGURABLE),
};

bool headers_init(JSContext *ctx)
{
    static const JSClassDef def = {.class_name = "Headers", .finalizer = headers_finalize};
    JSValue global = JS_GetGlobalObject(ctx);
    JSValue symbol = JS_GetPropertyStr(ctx, global, "Symbol");
    JSValue iterator = JS_GetPropertyStr(ctx, symbol, "iterator");
    headers_iterator_atom = JS_ValueToAtom(ctx, iterator);
    JS_FreeValues(ctx, global, symbol, iterator);
    if (headers_iterator_atom == JS_ATOM_NULL ||
        !engine_class(ctx, &headers_class, &def, headers_construct, 0, headers_methods,
                      sizeof headers_methods / sizeof *headers_methods))
        return false;
    JSValue proto = JS_GetClassProto(ctx, headers_class);
    headers_entries = JS_GetProperty(ctx, proto, headers_iterator_atom);
    JS_FreeValue(ctx, proto);
    return JS_IsFunction(ctx, headers_entries) && headers_iterator_init(ctx, headers_iterator_atom);
}
