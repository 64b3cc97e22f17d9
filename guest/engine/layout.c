/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include <string.h>

#include "engine.h"

#if QJS_VERSION_MAJOR != 0 || QJS_VERSION_MINOR != 16
#error "layout.c knows QuickJS-ng 0.16; check the struct offsets against the new version"
#endif

enum { RUNTIME_BYTES = 1024 }; /* searched for fields; the struct is larger */

static uint32_t *stack_limit;
static struct layout_link *gc_list;
static const struct layout_object *object_proto, *array_proto;

/* --- checks at boot ------------------------------------------------------------------------------
 */

/* stack_size, stack_top and stack_limit lie in a row in the runtime. A size that is set for a
 * moment shows where. */
static bool layout_find_stack_limit(void)
{
    const uint32_t mark = 0x5A17ACE5;
    uint32_t *words = (uint32_t *)eng.rt;
    JS_SetMaxStackSize(eng.rt, mark);
    for (uint32_t i = 0; i + 2 < RUNTIME_BYTES / 4; i++)
        if (words[i] == mark && words[i + 2] == 0)
            stack_limit = &words[i + 2];
    JS_SetMaxStackSize(eng.rt, 0);
    return stack_limit != NULL && stack_limit[-2] == 0;
}

static bool layout_is_chars(JSValueConst string, const void *at, uint32_t len, bool is_wide)
{
    struct layout_chars chars = layout_chars(string);
    return layout_block(JS_VALUE_GET_PTR(string))->refs >= 1 && chars.len == len &&
           chars.is_wide == is_wide && memcmp(chars.at, at, len << is_wide) == 0;
}

static bool layout_check_strings(JSContext *ctx)
{
    static const uint16_t wide[] = {0x4E00, 'x'};
    uint8_t *data;
    JSValue a = JS_NewString(ctx, "limpet"), b = JS_NewStringUTF16(ctx, wide, 2);
    JSValue c = layout_new_string8(ctx, 6, &data);
    memcpy(data, "limpet", 6);
    bool is_ok = layout_is_chars(a, "limpet", 6, false) && layout_is_chars(b, wide, 2, true) &&
                 JS_IsStrictEqual(ctx, a, c) &&
                 memcmp(JS_VALUE_GET_PTR(a), JS_VALUE_GET_PTR(c), 8) == 0;
    JS_FreeValues(ctx, a, b, c);
    return is_ok;
}

/* An object with properties `a` and `b`. */
static bool layout_check_object(JSContext *ctx, JSValueConst object, JSAtom a, JSAtom b,
                                JSValueConst value)
{
    const struct layout_object *o = layout_object(object);
    const struct layout_shape *shape = o->shape;
    const struct layout_property *p = layout_properties(shape);
    return JS_GetClassID(object) == LAYOUT_CLASS_OBJECT && o->class_id == LAYOUT_CLASS_OBJECT &&
           !(o->flags & (LAYOUT_EXOTIC | LAYOUT_FAST_ARRAY)) && layout_block(o)->refs == 1 &&
           shape->is_hashed == 1 && shape->count == 2 && shape->size >= 2 &&
           shape->deleted_count == 0 && shape->proto == object_proto && p[0].atom == a &&
           p[1].atom == b && layout_property_flags(&p[0]) == JS_PROP_C_W_E &&
           o->values[0] == JS_NewInt32(ctx, 7) && o->values[1] == value;
}

static bool layout_check_objects(JSContext *ctx)
{
    JSAtom a = JS_NewAtom(ctx, "layoutA"), b = JS_NewAtom(ctx, "layoutB");
    JSValue value = JS_NewString(ctx, "value"), object = JS_NewObject(ctx);
    gc_list = layout_object(object)->link.next;
    bool is_ok = (uintptr_t)gc_list - (uintptr_t)eng.rt < RUNTIME_BYTES &&
                 gc_list->prev == &layout_object(object)->link;
    JS_DefinePropertyValue(ctx, object, a, JS_NewInt32(ctx, 7), JS_PROP_C_W_E);
    JS_DefinePropertyValue(ctx, object, b, JS_DupValue(ctx, value), JS_PROP_C_W_E);
    is_ok = is_ok && layout_check_object(ctx, object, a, b, value);
    if (is_ok) {
        int refs = layout_block(layout_object(object)->shape)->refs;
        JSValue values[2] = {JS_NewInt32(ctx, 7), JS_DupValue(ctx, value)};
        JSValue like = layout_new_like(ctx, layout_object(object), values);
        is_ok = layout_check_object(ctx, like, a, b, value) &&
                layout_block(layout_object(object)->shape)->refs == refs + 1 &&
                gc_list->prev == &layout_object(like)->link;
        JS_FreeValue(ctx, like);
        is_ok = is_ok && layout_block(layout_object(object)->shape)->refs == refs;
    }
    JS_FreeValues(ctx, value, object);
    JS_FreeAtoms(ctx, a, b);
    return is_ok;
}

static bool layout_check_arrays(JSContext *ctx)
{
    JSValue array =
        JS_NewArrayFrom(ctx, 2, (JSValue[]){JS_NewInt32(ctx, 3), JS_NewFloat64(ctx, 0.5)});
    const struct layout_object *o = layout_object(array);
    bool is_ok = JS_GetClassID(array) == LAYOUT_CLASS_ARRAY && o->class_id == LAYOUT_CLASS_ARRAY &&
                 (o->flags & LAYOUT_FAST_ARRAY) && o->u.array.count == 2 &&
                 o->u.array.values[0] == JS_NewInt32(ctx, 3) && o->shape->count == 1 &&
                 o->shape->proto == array_proto;
    JS_FreeValue(ctx, array);
    return is_ok;
}

bool layout_init(JSContext *ctx)
{
    JSValue object = JS_GetClassProto(ctx, LAYOUT_CLASS_OBJECT);
    JSValue array = JS_GetClassProto(ctx, LAYOUT_CLASS_ARRAY);
    object_proto = layout_object(object); /* the context keeps both */
    array_proto = layout_object(array);
    JS_FreeValues(ctx, object, array);
    return layout_find_stack_limit() && layout_check_strings(ctx) && layout_check_objects(ctx) &&
           layout_check_arrays(ctx);
}

/* --- use -----------------------------------------------------------------------------------------
 */

void layout_set_stack_limit(uint32_t reserve)
{
    *stack_limit = reserve; /* the stack is the lowest part of memory (--stack-first) */
}

const struct layout_object *layout_object_proto(void)
{
    return object_proto;
}

const struct layout_object *layout_array_proto(void)
{
    return array_proto;
}

JSValue layout_new_string8(JSContext *ctx, uint32_t len, uint8_t **ret_data)
{
    struct layout_string *s = js_malloc(ctx, sizeof *s + len + 1);
    if (!s)
        return JS_EXCEPTION;
    layout_block(s)->refs = 1;
    s->len_wide = len;
    s->hash_kind = 0;
    s->hash_next = 0;
    s->weak_refs = NULL;
    s->data[len] = 0;
    *ret_data = s->data;
    return JS_MKPTR(JS_TAG_STRING, s);
}

JSValue layout_new_like(JSContext *ctx, const struct layout_object *like, const JSValue *values)
{
    struct layout_shape *shape = like->shape;
    struct layout_object *o = js_malloc(ctx, sizeof *o);
    JSValue *own = o ? js_malloc(ctx, (size_t)shape->size * sizeof *own) : NULL;
    if (!own) {
        js_free(ctx, o);
        for (int i = 0; i < shape->count; i++)
            JS_FreeValue(ctx, values[i]);
        return JS_EXCEPTION;
    }
    memcpy(own, values, (size_t)shape->count * sizeof *own);
    *o = *like;
    o->flags &= (uint8_t)~1u; /* is_prototype is the other one's */
    o->values = own;
    o->weak_refs = NULL;
    layout_block(shape)->refs++;
    struct layout_block *block = layout_block(o);
    block->gc_type = layout_block(like)->gc_type;
    block->refs = 1;
    o->link.prev = gc_list->prev; /* at the end of the list of objects */
    o->link.next = gc_list;
    gc_list->prev->next = &o->link;
    gc_list->prev = &o->link;
    return JS_MKPTR(JS_TAG_OBJECT, o);
}
