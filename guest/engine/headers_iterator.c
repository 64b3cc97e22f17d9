/* SPDX-License-Identifier: Apache-2.0 */
#include "headers_iterator.h"

#include <stdlib.h>

#include "engine.h"
#include "headers.h"
#include "text.h"

static JSClassID iterator_class;

struct header_entry {
    struct text name, value;
    uint32_t order;
};

static int header_entry_compare(const void *a, const void *b)
{
    const struct header_entry *x = a, *y = b;
    uint32_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    int c = memcmp(x->name.at, y->name.at, len);
    if (c == 0)
        c = (x->name.len > y->name.len) - (x->name.len < y->name.len);
    return c ? c : (x->order > y->order) - (x->order < y->order);
}

/* An array of what an iteration gives. */
static JSValue view_sorted(JSContext *ctx, const struct header_list *list, int what)
{
    uint32_t count = 0, n = 0;
    struct header_entry *entries = malloc((header_list_count(list) + 1) * sizeof *entries);
    JSValue array = entries ? JS_NewArray(ctx) : JS_ThrowOutOfMemory(ctx);
    if (JS_IsException(array)) {
        free(entries);
        return array;
    }
    struct header_walk w = header_walk_begin(list);
    while (header_walk_next(&w)) {
        entries[count] = (struct header_entry){.name = w.name, .value = w.value, .order = count};
        count++;
    }
    qsort(entries, count, sizeof *entries, header_entry_compare);
    for (uint32_t i = 0; i < count; i++) {
        bool is_cookie = text_is(entries[i].name, "set-cookie");
        if (i > 0 && !is_cookie && text_same(entries[i].name, entries[i - 1].name))
            continue;
        JSValue name = JS_UNDEFINED, value = JS_UNDEFINED;
        if (what != HEADERS_VALUES)
            name = text_from_latin1(ctx, (const uint8_t *)entries[i].name.at, entries[i].name.len);
        if (what != HEADERS_KEYS)
            value = is_cookie ? text_from_latin1(ctx, (const uint8_t *)entries[i].value.at,
                                                 entries[i].value.len)
                              : header_list_combined(ctx, list, entries[i].name);
        JSValue item = what == HEADERS_KEYS ? name : value;
        if (what == HEADERS_ENTRIES)
            item = JS_NewArrayFrom(ctx, 2, (JSValue[]){name, value});
        JS_DefinePropertyValueUint32(ctx, array, n++, item, JS_PROP_C_W_E);
    }
    free(entries);
    return array;
}

/* What is iterated over, as it was when last looked at. */
struct view {
    struct header_list *list; /* a reference */
    JSValue items;            /* an array; undefined: not looked at yet */
    uint32_t changes;         /* of the list then */
    uint32_t at;
    int what;
};

/* The next item; undefined: there is none. */
static JSValue view_next(JSContext *ctx, struct view *v)
{
    if (JS_IsUndefined(v->items) || v->changes != v->list->changes) {
        JSValue items = view_sorted(ctx, v->list, v->what);
        if (JS_IsException(items))
            return items;
        JS_FreeValue(ctx, v->items);
        v->items = items;
        v->changes = v->list->changes;
    }
    int64_t length = 0;
    if (JS_GetLength(ctx, v->items, &length) < 0)
        return JS_EXCEPTION;
    return v->at < length ? JS_GetPropertyUint32(ctx, v->items, v->at++) : JS_UNDEFINED;
}

static void view_done(JSRuntime *rt, struct view *v)
{
    header_list_unref(rt, v->list);
    JS_FreeValueRT(rt, v->items);
}

/* --- the class -----------------------------------------------------------------------------------
 */

static void iterator_finalize(JSRuntime *rt, JSValueConst value)
{
    struct view *v = JS_GetOpaque(value, iterator_class);
    if (!v)
        return;
    view_done(rt, v);
    js_free_rt(rt, v);
}

static void iterator_mark(JSRuntime *rt, JSValueConst value, JS_MarkFunc *mark)
{
    const struct view *v = JS_GetOpaque(value, iterator_class);
    if (v)
        JS_MarkValue(rt, v->items, mark);
}

static JSValue iterator_next(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct view *v = JS_GetOpaque2(ctx, this_value, iterator_class);
    JSValue item = v ? view_next(ctx, v) : JS_EXCEPTION;
    if (JS_IsException(item))
        return item;
    bool is_over = JS_IsUndefined(item);
    JSValue result = JS_NewObject(ctx);
    if (JS_IsException(result)) {
        JS_FreeValue(ctx, item);
        return result;
    }
    JS_DefinePropertyValueStr(ctx, result, "value", item, JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(ctx, result, "done", JS_NewBool(ctx, is_over), JS_PROP_C_W_E);
    return result;
}

JSValue headers_iterate(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                        int magic)
{
    struct header_list *list = headers_this(ctx, this_value, argc, 0);
    if (!list)
        return JS_EXCEPTION;
    JSValue object = JS_NewObjectClass(ctx, (int)iterator_class);
    struct view *v = JS_IsException(object) ? NULL : js_malloc(ctx, sizeof *v);
    if (!v) {
        JS_FreeValue(ctx, object);
        return JS_EXCEPTION;
    }
    *v = (struct view){.list = header_list_ref(list), .items = JS_UNDEFINED, .what = magic};
    JS_SetOpaque(object, v);
    return object;
}

JSValue headers_for_each(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct header_list *list = headers_this(ctx, this_value, argc, 1);
    if (!list)
        return JS_EXCEPTION;
    if (!JS_IsFunction(ctx, argv[0]))
        return JS_ThrowTypeError(ctx, "forEach needs a function");
    struct view v = {.list = header_list_ref(list), .items = JS_UNDEFINED, .what = HEADERS_ENTRIES};
    JSValue pair, result = JS_UNDEFINED;
    while (!JS_IsException(result) && !JS_IsUndefined(pair = view_next(ctx, &v))) {
        if (JS_IsException(pair)) {
            result = pair;
            break;
        }
        JSValue args[3] = {JS_GetPropertyUint32(ctx, pair, 1), JS_GetPropertyUint32(ctx, pair, 0),
                           JS_DupValue(ctx, this_value)};
        JS_FreeValue(ctx, result);
        result = JS_Call(ctx, argv[0], argc > 1 ? argv[1] : JS_UNDEFINED, 3, args);
        JS_FreeValues(ctx, pair, args[0], args[1], args[2]);
    }
    view_done(JS_GetRuntime(ctx), &v);
    if (JS_IsException(result))
        return result;
    JS_FreeValue(ctx, result);
    return JS_UNDEFINED;
}

bool headers_iterator_init(JSContext *ctx, JSAtom iterator)
{
    static const JSClassDef def = {
        .class_name = "Headers Iterator",
        .finalizer = iterator_finalize,
        .gc_mark = iterator_mark,
    };
    static const JSCFunctionListEntry methods[] = {
        JS_CFUNC_DEF("next", 0, iterator_next),
        JS_PROP_STRING_DEF("[Symbol.toStringTag]", "Headers Iterator", JS_PROP_CONFIGURABLE),
    };
    if (!engine_class(ctx, &iterator_class, &def, NULL, 0, methods,
                      sizeof methods / sizeof *methods))
        return false;
    /* %IteratorPrototype% is the prototype of that of an array's iterator */
    JSValue array = JS_NewArray(ctx);
    JSValue of_array = JS_Invoke(ctx, array, iterator, 0, NULL);
    JSValue array_proto = JS_GetPrototype(ctx, of_array);
    JSValue base = JS_GetPrototype(ctx, array_proto);
    JSValue proto = JS_GetClassProto(ctx, iterator_class);
    JSAtom next = JS_NewAtom(ctx, "next");
    bool is_ok = JS_SetPrototype(ctx, proto, base) >= 0 &&
                 JS_DefineProperty(ctx, proto, next, JS_UNDEFINED, JS_UNDEFINED, JS_UNDEFINED,
                                   JS_PROP_HAS_ENUMERABLE | JS_PROP_ENUMERABLE) >= 0;
    JS_FreeAtom(ctx, next);
    JS_FreeValues(ctx, array, of_array, array_proto, base, proto);
    return is_ok;
}
