/* SPDX-License-Identifier: Apache-2.0
 *
 * Values to bytes. Most values are plain data, and looking at that runs no code of the guest, so
 * the first pass looks at properties in place, holds no references, and needs to remember only
 * objects that have more than one (an object with one reference cannot be met twice). At the first
 * thing that may run code (a getter, an error, an odd array) it starts over in the careful way,
 * which holds every object and key that it has met and asks for each property as the standard says.
 * Both give the same bytes.
 *
 * It recurses; VALUE_DEPTH_MAX and a look at the stack pointer bound the depth. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"
#include "guest/values.h"
#include "intrinsic.h"
#include "serialize.h"
#include "serialize_put.h"
#include "text.h"

enum {
    SLACK = 16,            /* room for a number may be asked for beyond the limit */
    STACK_LOW = 48 * 1024, /* no deeper when only so much is left */
    PROTO_DEPTH_MAX = 100, /* prototypes looked at in place */
    INDEX_DIGITS_MAX = 10, /* of an array index */
    WHAT_BYTES = 100,      /* of a name in a message */
    PATH_BYTES = 100,
};

/* --- tables from pointers or atoms to numbers ----------------------------------------------------
 */

static void table_init(struct table *t)
{
    t->slots = t->inline_slots;
    t->count = 0;
    t->bits = __builtin_ctz(TABLE_INLINE);
    memset(t->inline_slots, 0, sizeof t->inline_slots);
}

static void table_done(struct table *t)
{
    if (t->slots != t->inline_slots)
        free(t->slots);
}

/* The slot of key, or the free one where it belongs. */
static inline struct slot *table_find(const struct table *t, uint32_t key)
{
    uint32_t mask = (1u << t->bits) - 1, i = key * 2654435769u >> (32 - t->bits);
    while (t->slots[i].key != 0 && t->slots[i].key != key)
        i = (i + 1) & mask;
    return &t->slots[i];
}

static bool table_grow(struct table *t)
{
    struct table bigger = {.bits = t->bits + 1};
    bigger.slots = calloc((size_t)1 << bigger.bits, sizeof *bigger.slots);
    if (!bigger.slots)
        return false;
    for (uint32_t i = 0; i < 1u << t->bits; i++)
        if (t->slots[i].key != 0)
            *table_find(&bigger, t->slots[i].key) = t->slots[i];
    table_done(t);
    t->slots = bigger.slots;
    t->bits = bigger.bits;
    return true;
}

/* Fills a free slot that table_find() gave. */
static inline bool table_set(struct table *t, struct slot *slot, uint32_t key, uint32_t value)
{
    *slot = (struct slot){.key = key, .value = value};
    t->count++;
    return t->count < (3u << t->bits) / 4 || table_grow(t);
}

/* --- the writer ----------------------------------------------------------------------------------
 */

enum put put_no_memory(struct writer *w)
{
    if (!JS_HasException(w->ctx))
        JS_ThrowOutOfMemory(w->ctx);
    return PUT_FAILED;
}

enum put put_too_large(struct writer *w)
{
    JS_ThrowRangeError(w->ctx,
                       "the value is too large: more than %d MiB when serialized "
                       "(docs/limits.md); keep it in a database or store, and its key here",
                       VALUE_BYTES_MAX >> 20);
    return PUT_FAILED;
}

/* NULL: exception. */
static inline uint8_t *put_room(struct writer *w, uint32_t len)
{
    if (len > VALUE_BYTES_MAX + SLACK - (w->out->len - w->start)) {
        put_too_large(w);
        return NULL;
    }
    uint8_t *at = buffer_room(w->out, len);
    if (!at)
        put_no_memory(w);
    return at;
}

static inline uint8_t *put_varint_at(uint8_t *at, uint64_t value)
{
    while (value > 127) {
        *at++ = (uint8_t)(value | 128);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline void put_end(struct writer *w, const uint8_t *end)
{
    w->out->len = (uint32_t)(end - w->out->data);
}

enum put put_byte(struct writer *w, uint8_t byte)
{
    uint8_t *at = put_room(w, 1);
    if (!at)
        return PUT_FAILED;
    *at = byte;
    w->out->len++;
    return PUT_OK;
}

enum put put_varint(struct writer *w, int tag, uint64_t value)
{
    uint8_t *at = put_room(w, 11);
    if (!at)
        return PUT_FAILED;
    if (tag >= 0)
        *at++ = (uint8_t)tag;
    put_end(w, put_varint_at(at, value));
    return PUT_OK;
}

enum put put_bytes(struct writer *w, const void *data, uint32_t len)
{
    uint8_t *at = put_room(w, len);
    if (!at)
        return PUT_FAILED;
    if (len > 0)
        memcpy(at, data, len);
    w->out->len += len;
    return PUT_OK;
}

/* --- what cannot be cloned -----------------------------------------------------------------------
 */

/* The path to place as text in the end of room; returns where it begins. */
static const char *put_path(struct writer *w, const struct place *place, char *room)
{
    char *end = room + PATH_BYTES, *at = end;
    *--at = 0;
    for (; place && place->up; place = place->up) {
        char part[48];
        const char *name =
            place->kind == PLACE_MEMBER ? JS_AtomToCString(w->ctx, place->key) : NULL;
        int len;
        if (place->kind == PLACE_MEMBER)
            len = snprintf(part, sizeof part, ".%s", name ? name : "?");
        else
            len = snprintf(part, sizeof part, place->kind == PLACE_ITEM ? "[%u]" : ".entries()[%u]",
                           (unsigned)place->key);
        JS_FreeCString(w->ctx, name);
        if (len >= (int)sizeof part)
            len = sizeof part - 1;
        if (at - room < len + 3) {
            memcpy(at -= 3, "...", 3);
            break;
        }
        memcpy(at -= len, part, (size_t)len);
    }
    return at;
}

enum put put_refuse(struct writer *w, const struct place *place, const char *article,
                    const char *what)
{
    char room[PATH_BYTES];
    const char *path = put_path(w, place, room);
    JS_ThrowDOMException(w->ctx, "DataCloneError", "%s%.*s could not be cloned%s%s%s", article,
                         WHAT_BYTES, what, *path ? " (at value" : "", path, *path ? ")" : "");
    return PUT_FAILED;
}

static enum put put_refuse_symbol(struct writer *w, JSValueConst symbol, const struct place *place)
{
    JSAtom atom = JS_ValueToAtom(w->ctx, symbol);
    const char *text = JS_AtomToCString(w->ctx, atom);
    char what[WHAT_BYTES];
    snprintf(what, sizeof what, "Symbol(%s)", text ? text : "");
    JS_FreeCString(w->ctx, text);
    JS_FreeAtom(w->ctx, atom);
    return put_refuse(w, place, "", what);
}

/* An object of a class that is not serializable. */
enum put put_refuse_object(struct writer *w, JSValueConst value, const struct place *place)
{
    JSContext *ctx = w->ctx;
    if (JS_IsProxy(value))
        return put_refuse(w, place, "", "a Proxy");
    if (JS_IsFunction(ctx, value)) {
        JSPropertyDescriptor name = {
            .value = JS_UNDEFINED, .getter = JS_UNDEFINED, .setter = JS_UNDEFINED};
        int has = JS_GetOwnProperty(ctx, &name, value, eng.atoms[ATOM_name]);
        const char *text =
            has > 0 && JS_IsString(name.value) ? JS_ToCString(ctx, name.value) : NULL;
        if (has > 0)
            JS_FreeValues(ctx, name.value, name.getter, name.setter);
        enum put put = put_refuse(w, place, "function ", text && *text ? text : "(anonymous)");
        JS_FreeCString(ctx, text);
        return put;
    }
    JSAtom atom = JS_GetClassName(eng.rt, JS_GetClassID(value));
    const char *text = JS_AtomToCString(ctx, atom);
    enum put put = put_refuse(w, place, "a ", text ? text : "platform object");
    JS_FreeCString(ctx, text);
    JS_FreeAtom(ctx, atom);
    return put;
}

/* --- numbers and strings -------------------------------------------------------------------------
 */

static inline enum put put_int(struct writer *w, int32_t value)
{
    if (value >= 0 && value < VALUE_SHORT_LATIN1 - VALUE_SMALL_INT)
        return put_byte(w, (uint8_t)(VALUE_SMALL_INT + value));
    return put_varint(w, VALUE_INT, (uint32_t)value << 1 ^ (uint32_t)(value >> 31));
}

enum put put_f64(struct writer *w, double value)
{
    if (isnan(value))
        value = NAN; /* one of its many forms */
    return put_bytes(w, &value, sizeof value);
}

static enum put put_number(struct writer *w, double value)
{
    if (value >= INT32_MIN && value <= INT32_MAX && value == (int32_t)value &&
        !(value == 0 && signbit(value)))
        return put_int(w, (int32_t)value);
    uint8_t *at = put_room(w, 9);
    if (!at)
        return PUT_FAILED;
    *at = VALUE_DOUBLE;
    w->out->len++;
    return put_f64(w, value);
}

static inline enum put put_narrow(struct writer *w, const uint8_t *text, uint32_t len)
{
    uint8_t *at = len < VALUE_BYTES_MAX ? put_room(w, len + 6) : (put_too_large(w), NULL);
    if (!at)
        return PUT_FAILED;
    if (len < 256 - VALUE_SHORT_LATIN1) {
        *at++ = (uint8_t)(VALUE_SHORT_LATIN1 + len);
    } else {
        *at++ = VALUE_LATIN1;
        at = put_varint_at(at, len);
    }
    memcpy(at, text, len);
    put_end(w, at + len);
    return PUT_OK;
}

static bool put_is_narrow(const uint16_t *units, uint32_t len)
{
    uint16_t all = 0;
    for (uint32_t i = 0; i < len; i++)
        all |= units[i];
    return all < 256;
}

static uint8_t *put_narrowed(uint8_t *at, const uint16_t *units, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++)
        *at++ = (uint8_t)units[i];
    return at;
}

static enum put put_wide(struct writer *w, const uint16_t *units, uint32_t len)
{
    if (len >= VALUE_BYTES_MAX)
        return put_too_large(w);
    bool is_narrow = put_is_narrow(units, len);
    uint8_t *at = put_room(w, 2 * len + 6);
    if (!at)
        return PUT_FAILED;
    if (is_narrow && len < 256 - VALUE_SHORT_LATIN1) {
        *at++ = (uint8_t)(VALUE_SHORT_LATIN1 + len);
    } else {
        *at++ = is_narrow ? VALUE_LATIN1 : VALUE_UTF16;
        at = put_varint_at(at, len);
    }
    if (is_narrow) {
        put_end(w, put_narrowed(at, units, len));
    } else {
        memcpy(at, units, 2 * len);
        put_end(w, at + 2 * len);
    }
    return PUT_OK;
}

enum put put_string(struct writer *w, JSValueConst string)
{
    if (JS_VALUE_GET_TAG(string) == JS_TAG_STRING) {
        struct layout_chars chars = layout_chars(string);
        return chars.is_wide ? put_wide(w, chars.at, chars.len)
                             : put_narrow(w, chars.at, chars.len);
    }
    size_t len; /* a rope */
    const uint16_t *units = JS_ToCStringLenUTF16(w->ctx, &len, string);
    if (!units)
        return PUT_FAILED;
    enum put put = len < VALUE_BYTES_MAX ? put_wide(w, units, (uint32_t)len) : put_too_large(w);
    JS_FreeCStringUTF16(w->ctx, units);
    return put;
}

/* Two's complement as short as can be. */
static enum put put_bigint_bytes(struct writer *w, const uint8_t *bytes, uint32_t len)
{
    while (len > 0) {
        uint8_t top = bytes[len - 1], sign = len > 1 ? bytes[len - 2] & 128 : 0;
        if (!(top == 0 && !sign) && !(top == 255 && sign))
            break;
        len--;
    }
    enum put put = put_varint(w, VALUE_BIGINT, len);
    return put == PUT_OK ? put_bytes(w, bytes, len) : put;
}

/* From hexadecimal digits, with a sign. */
static enum put put_bigint_hex(struct writer *w, const char *hex, uint32_t len)
{
    bool is_negative = *hex == '-';
    hex += is_negative;
    len -= is_negative;
    uint32_t n = len / 2 + 2, carry = 1; /* with room for a sign */
    uint8_t *bytes = calloc(n, 1);
    if (!bytes)
        return put_no_memory(w);
    for (uint32_t i = 0; i < len; i++) {
        char c = hex[len - 1 - i];
        uint8_t digit = (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        bytes[i / 2] |= (uint8_t)(digit << 4 * (i % 2));
    }
    for (uint32_t i = 0; is_negative && i < n; i++) {
        carry += (uint8_t)~bytes[i];
        bytes[i] = (uint8_t)carry;
        carry >>= 8;
    }
    enum put put = put_bigint_bytes(w, bytes, n);
    free(bytes);
    return put;
}

static enum put put_bigint(struct writer *w, JSValueConst value)
{
    int64_t small;
    if (JS_ToBigInt64(w->ctx, &small, value) < 0)
        return PUT_FAILED;
    JSValue again = JS_NewBigInt64(w->ctx, small);
    bool is_small = JS_IsStrictEqual(w->ctx, again, value);
    JS_FreeValue(w->ctx, again);
    if (is_small)
        return put_bigint_bytes(w, (const uint8_t *)&small, sizeof small);
    JSValueConst radix = JS_NewInt32(w->ctx, 16);
    JSValue text = intrinsic_call(w->ctx, INTRINSIC_BIGINT_TO_STRING, value, 1, &radix);
    size_t len;
    const char *hex = JS_IsException(text) ? NULL : JS_ToCStringLen(w->ctx, &len, text);
    enum put put = hex ? put_bigint_hex(w, hex, (uint32_t)len) : PUT_FAILED;
    JS_FreeCString(w->ctx, hex);
    JS_FreeValue(w->ctx, text);
    return put;
}

/* --- members -------------------------------------------------------------------------------------
 */

/* Could it be an array index that is too large for LAYOUT_ATOM_INT? */
static bool put_may_be_index(struct layout_chars chars)
{
    const uint8_t *at = chars.at;
    if (chars.is_wide || chars.len == 0 || chars.len > INDEX_DIGITS_MAX)
        return false;
    for (uint32_t i = 0; i < chars.len; i++)
        if (at[i] < '0' || at[i] > '9')
            return false;
    return true;
}

static enum put put_key_text(struct writer *w, struct layout_chars chars)
{
    bool is_narrow = !chars.is_wide || put_is_narrow(chars.at, chars.len);
    uint8_t *at =
        chars.len < VALUE_BYTES_MAX ? put_room(w, 2 * chars.len + 6) : (put_too_large(w), NULL);
    if (!at)
        return PUT_FAILED;
    *at++ = is_narrow ? VALUE_KEY_LATIN1 : VALUE_KEY_UTF16;
    at = put_varint_at(at, chars.len);
    if (chars.is_wide && is_narrow) {
        at = put_narrowed(at, chars.at, chars.len);
    } else {
        memcpy(at, chars.at, chars.len << chars.is_wide);
        at += chars.len << chars.is_wide;
    }
    put_end(w, at);
    return PUT_OK;
}

static enum put put_new_key(struct writer *w, JSAtom atom, struct slot *slot)
{
    JSValue name = JS_AtomToValue(w->ctx, atom);
    if (JS_IsException(name))
        return PUT_FAILED;
    enum put put = PUT_SKIPPED; /* symbols */
    if (JS_VALUE_GET_TAG(name) == JS_TAG_STRING) {
        struct layout_chars chars = layout_chars(name);
        if (!w->is_careful && put_may_be_index(chars))
            put = PUT_CAREFUL;
        else
            put = put_key_text(w, chars);
        if (put == PUT_OK) {
            if (w->is_careful)
                JS_DupAtom(w->ctx, atom);
            if (!table_set(&w->names, slot, atom, w->keys++))
                put = put_no_memory(w);
        }
    }
    JS_FreeValue(w->ctx, name);
    return put;
}

static inline enum put put_key(struct writer *w, JSAtom atom)
{
    struct slot *slot = table_find(&w->names, atom);
    if (slot->key == atom)
        return put_varint(w, -1, VALUE_KEY_FIRST + (uint64_t)slot->value);
    return put_new_key(w, atom, slot);
}

/* Has the shape only what can be looked at in place? */
static bool put_is_simple(struct writer *w, const struct layout_shape *shape)
{
    const struct layout_property *p = layout_properties(shape);
    if (shape == w->looked)
        return true;
    for (int32_t i = 0; i < shape->count; i++) {
        uint32_t flags = layout_property_flags(&p[i]);
        if (p[i].atom != JS_ATOM_NULL && (flags & JS_PROP_ENUMERABLE) &&
            ((flags & JS_PROP_TMASK) != JS_PROP_NORMAL || (p[i].atom & LAYOUT_ATOM_INT)))
            return false;
    }
    w->looked = shape;
    return true;
}

/* The members of a plain object, in place. */
static enum put put_members_in_place(struct writer *w, const struct layout_object *object,
                                     const struct place *place)
{
    const struct layout_property *p = layout_properties(object->shape);
    struct place here = {.up = place, .depth = place->depth + 1, .kind = PLACE_MEMBER};
    if (!put_is_simple(w, object->shape))
        return PUT_CAREFUL;
    for (int32_t i = 0; i < object->shape->count; i++) {
        if (p[i].atom == JS_ATOM_NULL || !(layout_property_flags(&p[i]) & JS_PROP_ENUMERABLE))
            continue;
        enum put done = put_key(w, p[i].atom);
        if (done == PUT_SKIPPED)
            continue;
        here.key = p[i].atom;
        if (done == PUT_OK)
            done = put(w, object->values[i], &here);
        if (done != PUT_OK)
            return done;
    }
    return put_byte(w, VALUE_KEY_END);
}

static bool put_has(struct writer *w, JSValueConst object, JSAtom atom, int *ret_has)
{
    *ret_has = JS_GetOwnProperty(w->ctx, NULL, object, atom);
    return *ret_has >= 0;
}

/* One property, which a getter before it may have removed. */
static enum put put_member(struct writer *w, JSValueConst object, JSAtom atom,
                           const struct place *place)
{
    int has;
    if (!put_has(w, object, atom, &has))
        return PUT_FAILED;
    if (!has)
        return PUT_OK;
    struct place here = {.up = place, .depth = place->depth + 1, .kind = PLACE_MEMBER, .key = atom};
    JSValue value = JS_GetProperty(w->ctx, object, atom);
    enum put done = JS_IsException(value) ? PUT_FAILED : put_key(w, atom);
    if (done == PUT_OK)
        done = put(w, value, &here);
    JS_FreeValue(w->ctx, value);
    return done;
}

static bool put_is_among(JSAtom atom, const JSAtom *atoms, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (atom == atoms[i])
            return true;
    return false;
}

enum put put_members(struct writer *w, JSValueConst object, const struct place *place,
                     const JSAtom *except, uint32_t except_count)
{
    JSPropertyEnum *names;
    uint32_t count;
    enum put done = PUT_OK;
    if (JS_GetOwnPropertyNames(w->ctx, &names, &count, object,
                               JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0)
        return PUT_FAILED;
    for (uint32_t i = 0; i < count && done == PUT_OK; i++)
        if (!put_is_among(names[i].atom, except, except_count))
            done = put_member(w, object, names[i].atom, place);
    JS_FreePropertyEnum(w->ctx, names, count);
    return done == PUT_OK ? put_byte(w, VALUE_KEY_END) : done;
}

/* --- arrays --------------------------------------------------------------------------------------
 */

static enum put put_array_in_place(struct writer *w, const struct layout_object *array,
                                   const struct place *place)
{
    uint32_t count = array->u.array.count;
    struct place here = {.up = place, .depth = place->depth + 1, .kind = PLACE_ITEM};
    if (!(array->flags & LAYOUT_FAST_ARRAY) || array->shape->count != 1 ||
        array->values[0] != JS_NewInt32(w->ctx, (int32_t)count))
        return PUT_CAREFUL; /* with holes, or further properties */
    enum put done = put_varint(w, VALUE_ARRAY, count);
    for (uint32_t i = 0; i < count && done == PUT_OK; i++) {
        here.key = i;
        done = put(w, array->u.array.values[i], &here);
    }
    return done;
}

/* Are the names just the indices below length? */
static bool put_is_dense(const JSPropertyEnum *names, uint32_t count, uint32_t length)
{
    if (count != length)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (names[i].atom != (i | LAYOUT_ATOM_INT))
            return false;
    return true;
}

static enum put put_item(struct writer *w, JSValueConst array, JSAtom atom,
                         const struct place *place)
{
    int has;
    if (!put_has(w, array, atom, &has))
        return PUT_FAILED;
    if (!has)
        return put_byte(w, VALUE_HOLE);
    struct place here = {.up = place,
                         .depth = place->depth + 1,
                         .kind = PLACE_ITEM,
                         .key = atom & ~(uint32_t)LAYOUT_ATOM_INT};
    JSValue value = JS_GetProperty(w->ctx, array, atom);
    enum put done = JS_IsException(value) ? PUT_FAILED : put(w, value, &here);
    JS_FreeValue(w->ctx, value);
    return done;
}

static enum put put_array(struct writer *w, JSValueConst array, const struct place *place)
{
    JSPropertyEnum *names;
    uint32_t count;
    int64_t length;
    if (!w->is_careful)
        return put_array_in_place(w, layout_object(array), place);
    if (JS_GetLength(w->ctx, array, &length) < 0 ||
        JS_GetOwnPropertyNames(w->ctx, &names, &count, array,
                               JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0)
        return PUT_FAILED;
    bool is_dense = put_is_dense(names, count, (uint32_t)length);
    enum put done = put_varint(w, is_dense ? VALUE_ARRAY : VALUE_SPARSE, (uint32_t)length);
    for (uint32_t i = 0; is_dense && i < count && done == PUT_OK; i++)
        done = put_item(w, array, names[i].atom, place);
    JS_FreePropertyEnum(w->ctx, names, count);
    return done == PUT_OK && !is_dense ? put_members(w, array, place, NULL, 0) : done;
}

/* --- objects -------------------------------------------------------------------------------------
 */

/* Is every object from proto upwards one whose prototype can be asked for without running code? */
static bool put_can_walk(const struct layout_object *proto)
{
    for (int i = 0; i < PROTO_DEPTH_MAX; i++) {
        if (!proto)
            return true;
        if (JS_IsProxy(JS_MKPTR(JS_TAG_OBJECT, (void *)proto)))
            return false;
        proto = proto->shape->proto;
    }
    return false;
}

/* PUT_OK: an ordinary object, to be written by its members. PUT_SKIPPED: written here. */
static enum put put_instance(struct writer *w, JSValueConst value, const struct place *place)
{
    const struct layout_object *proto = layout_object(value)->shape->proto;
    if (!proto || proto == layout_object_proto())
        return PUT_OK;
    for (uint32_t i = 0; !w->is_careful && i < w->plain_count; i++)
        if (proto == w->plain[i])
            return PUT_OK;
    if (!w->is_careful && !put_can_walk(proto))
        return PUT_CAREFUL;
    enum put done = put_platform(w, value, place);
    if (done == PUT_OK && w->plain_count < PLAIN_PROTOS)
        w->plain[w->plain_count++] = proto;
    return done;
}

static enum put put_plain(struct writer *w, JSValueConst value, const struct place *place)
{
    enum put done = put_instance(w, value, place);
    if (done != PUT_OK)
        return done == PUT_SKIPPED ? PUT_OK : done;
    done = put_byte(w, VALUE_OBJECT);
    if (done != PUT_OK)
        return done;
    return w->is_careful ? put_members(w, value, place, NULL, 0)
                         : put_members_in_place(w, layout_object(value), place);
}

/* Gives the object its number. PUT_SKIPPED: it had one, and a reference was written. */
static enum put put_seen(struct writer *w, JSValueConst value)
{
    void *object = JS_VALUE_GET_PTR(value);
    if (w->is_careful || layout_block(object)->refs > 1) {
        uint32_t key = (uint32_t)(uintptr_t)object;
        struct slot *slot = table_find(&w->seen, key);
        if (slot->key == key) {
            enum put done = put_varint(w, VALUE_REF, slot->value);
            return done == PUT_OK ? PUT_SKIPPED : done;
        }
        if (w->is_careful)
            JS_DupValue(w->ctx, value);
        if (!table_set(&w->seen, slot, key, w->objects))
            return put_no_memory(w);
    }
    w->objects++;
    return PUT_OK;
}

static enum put put_object(struct writer *w, JSValueConst value, const struct place *place)
{
    const struct layout_object *object = layout_object(value);
    enum put done = put_seen(w, value);
    if (done != PUT_OK)
        return done == PUT_SKIPPED ? PUT_OK : done;
    if (place->depth >= VALUE_DEPTH_MAX || (uintptr_t)place < STACK_LOW) {
        JS_ThrowRangeError(w->ctx, "the value is nested too deeply: more than %d levels",
                           VALUE_DEPTH_MAX);
        return PUT_FAILED;
    }
    if (object->class_id == LAYOUT_CLASS_OBJECT)
        return put_plain(w, value, place);
    if (object->class_id == LAYOUT_CLASS_ARRAY)
        return put_array(w, value, place);
    return put_special(w, value, place);
}

enum put put(struct writer *w, JSValueConst value, const struct place *place)
{
    switch (JS_VALUE_GET_NORM_TAG(value)) {
    case JS_TAG_OBJECT:
        return put_object(w, value, place);
    case JS_TAG_STRING:
    case JS_TAG_STRING_ROPE:
        return put_string(w, value);
    case JS_TAG_INT:
        return put_int(w, JS_VALUE_GET_INT(value));
    case JS_TAG_FLOAT64:
        return put_number(w, JS_VALUE_GET_FLOAT64(value));
    case JS_TAG_BOOL:
        return put_byte(w, JS_VALUE_GET_BOOL(value) ? VALUE_TRUE : VALUE_FALSE);
    case JS_TAG_NULL:
        return put_byte(w, VALUE_NULL);
    case JS_TAG_UNDEFINED:
        return put_byte(w, VALUE_UNDEFINED);
    case JS_TAG_BIG_INT:
    case JS_TAG_SHORT_BIG_INT:
        return put_bigint(w, value);
    default:
        return put_refuse_symbol(w, value, place);
    }
}

static enum put put_all(struct writer *w, JSValueConst value, bool is_careful)
{
    struct place place = {.kind = PLACE_VALUE}; /* its address tells how deep the stack is */
    w->is_careful = is_careful;
    w->objects = w->keys = 0;
    w->looked = NULL;
    w->plain_count = 0;
    table_init(&w->seen);
    table_init(&w->names);
    enum put done = put_byte(w, VALUE_VERSION);
    if (done == PUT_OK)
        done = put(w, value, &place);
    for (uint32_t i = 0; is_careful && i < 1u << w->seen.bits; i++)
        if (w->seen.slots[i].key)
            JS_FreeValue(w->ctx, JS_MKPTR(JS_TAG_OBJECT, (void *)(uintptr_t)w->seen.slots[i].key));
    for (uint32_t i = 0; is_careful && i < 1u << w->names.bits; i++)
        if (w->names.slots[i].key)
            JS_FreeAtom(w->ctx, w->names.slots[i].key);
    table_done(&w->seen);
    table_done(&w->names);
    return done;
}

bool serialize(JSContext *ctx, JSValueConst value, struct buffer *out)
{
    struct writer w;
    w.ctx = ctx;
    w.out = out;
    w.start = out->len;
    enum put done = put_all(&w, value, false);
    if (done == PUT_CAREFUL) {
        out->len = w.start;
        done = put_all(&w, value, true);
    }
    if (done == PUT_OK && out->len - w.start > VALUE_BYTES_MAX)
        done = put_too_large(&w);
    if (done == PUT_OK)
        return true;
    out->len = w.start;
    return false;
}
