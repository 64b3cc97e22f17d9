/* SPDX-License-Identifier: Apache-2.0
 *
 * A reader that never builds the value: it goes over the bytes once and writes as it goes. When the
 * text is long enough it stops reading, and what is open is closed. It recurses as deep as values
 * may be. Keys that are used again are remembered as places in the bytes, so memory follows the
 * input. */
#include "admin/value.h"

#include <math.h>

#include "admin/value_text.h"
#include "base/clock.h"
#include "guest/values.h"

/* ms since 1970 that clock_iso() knows: years 1 to 9999 */
#define ISO_MS_MIN (-62135596800000.0)
#define ISO_MS_MAX 253402300799999.0

static enum value_step node(struct value_reader *r);

static enum value_step string_node(struct value_reader *r)
{
    struct value_text text;
    if (value_take_string(r, &text))
        return MALFORMED;
    value_put_string(r, &text);
    return GO_ON;
}

static enum value_step bigint_node(struct value_reader *r)
{
    struct value_text digits;
    if (value_take_text(r, 1, &digits))
        return MALFORMED;
    value_put_bigint(r, digits.at, digits.bytes);
    return GO_ON;
}

/* ---- members ---- */

/* GO_ON with at NULL: there are no more. */
static enum value_step take_key(struct value_reader *r, struct value_text *ret_key)
{
    uint64_t number, known = r->keys.len / sizeof(struct value_text);
    if (value_take_varint(r, &number) ||
        (number >= VALUE_KEY_FIRST && number - VALUE_KEY_FIRST >= known))
        return MALFORMED;
    if (number == VALUE_KEY_END) {
        ret_key->at = NULL;
        return GO_ON;
    }
    if (number >= VALUE_KEY_FIRST) {
        memcpy(ret_key, r->keys.ptr + (number - VALUE_KEY_FIRST) * sizeof(struct value_text),
               sizeof(struct value_text));
        return GO_ON;
    }
    if (value_take_text(r, number == VALUE_KEY_UTF16 ? 2 : 1, ret_key))
        return MALFORMED;
    bytes_append(&r->keys, ret_key, sizeof(struct value_text));
    return GO_ON;
}

/* What stands for the rest. */
static enum value_step cut_members(struct value_reader *r)
{
    json_key(&r->w, "...");
    json_cstr(&r->w, "...");
    return FULL;
}

static enum value_step members(struct value_reader *r)
{
    for (;;) {
        struct value_text key;
        if (take_key(r, &key))
            return MALFORMED;
        if (!key.at)
            return GO_ON;
        if (value_is_full(r))
            return cut_members(r);
        value_put_key(r, &key);
        enum value_step step = node(r);
        if (step)
            return step;
    }
}

/* tag: of the array, map or set that they are in. */
static enum value_step items(struct value_reader *r, uint64_t count, uint8_t tag)
{
    const bool are_pairs = tag == VALUE_MAP;
    enum value_step step = GO_ON;
    json_open(&r->w, '[');
    for (uint64_t i = 0; i < count && step == GO_ON; i++) {
        if (value_is_full(r)) {
            json_cstr(&r->w, "...");
            step = FULL;
            break;
        }
        if (are_pairs) {
            json_open(&r->w, '[');
            step = node(r);
        }
        if (tag == VALUE_ARRAY && r->at < r->end && *r->at == VALUE_HOLE) {
            r->at++;
            json_nil(&r->w);
        } else if (step == GO_ON) {
            step = node(r);
        }
        if (are_pairs)
            json_close(&r->w, ']');
    }
    json_close(&r->w, ']');
    return step;
}

static enum value_step object_node(struct value_reader *r)
{
    json_open(&r->w, '{');
    enum value_step step = members(r);
    json_close(&r->w, '}');
    return step;
}

static enum value_step array_node(struct value_reader *r)
{
    uint64_t count;
    return value_take_varint(r, &count) ? MALFORMED : items(r, count, VALUE_ARRAY);
}

static enum value_step sparse_node(struct value_reader *r)
{
    uint64_t length;
    if (value_take_varint(r, &length))
        return MALFORMED;
    value_open_special(r, "$length");
    json_int(&r->w, (int64_t)length);
    enum value_step step = members(r);
    json_close(&r->w, '}');
    return step;
}

static enum value_step entries_node(struct value_reader *r, uint8_t tag)
{
    uint64_t count;
    if (value_take_varint(r, &count))
        return MALFORMED;
    value_open_special(r, tag == VALUE_MAP ? "$map" : "$set");
    enum value_step step = items(r, count, tag);
    json_close(&r->w, '}');
    return step;
}

/* ---- other objects ---- */

static enum value_step date_node(struct value_reader *r)
{
    double ms;
    char text[CLOCK_ISO_SIZE];
    if (value_take_f64(r, &ms))
        return MALFORMED;
    if (ms >= ISO_MS_MIN && ms <= ISO_MS_MAX) {
        clock_iso((int64_t)ms * 1000, text);
        json_cstr(&r->w, text);
        return GO_ON;
    }
    value_open_special(r, "$date");
    value_put_number(r, ms);
    json_close(&r->w, '}');
    return GO_ON;
}

static enum value_step regexp_node(struct value_reader *r)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    struct value_text source, flags;
    if (value_take_string(r, &source) || value_take_string(r, &flags))
        return MALFORMED;
    bytes_append_char(&text, '/');
    value_append_text(r, &source, &text);
    bytes_append_char(&text, '/');
    value_append_text(r, &flags, &text);
    json_slice(&r->w, bytes_slice(&text));
    return GO_ON;
}

static void put_bytes(struct value_reader *r, uint64_t len)
{
    value_open_special(r, "$bytes");
    json_int(&r->w, (int64_t)len);
    json_close(&r->w, '}');
}

static enum value_step buffer_node(struct value_reader *r, bool is_resizable)
{
    uint64_t len, longest;
    const uint8_t *at;
    if (value_take_varint(r, &len) || (is_resizable && value_take_varint(r, &longest)) ||
        len > (uint64_t)(r->end - r->at) || value_take(r, (size_t)len, &at))
        return MALFORMED;
    put_bytes(r, len);
    return GO_ON;
}

/* The bytes that it shows, not those of its buffer. */
static enum value_step view_node(struct value_reader *r)
{
    static const uint8_t units[VALUE_VIEW_COUNT_] = {
        [VALUE_VIEW_INT8] = 1,    [VALUE_VIEW_UINT8] = 1,    [VALUE_VIEW_UINT8_CLAMPED] = 1,
        [VALUE_VIEW_INT16] = 2,   [VALUE_VIEW_UINT16] = 2,   [VALUE_VIEW_INT32] = 4,
        [VALUE_VIEW_UINT32] = 4,  [VALUE_VIEW_FLOAT16] = 2,  [VALUE_VIEW_FLOAT32] = 4,
        [VALUE_VIEW_FLOAT64] = 8, [VALUE_VIEW_BIGINT64] = 8, [VALUE_VIEW_BIGUINT64] = 8,
        [VALUE_VIEW_DATA] = 1,
    };
    uint8_t kind;
    uint64_t offset, length;
    if (value_take_u8(r, &kind) || kind >= VALUE_VIEW_COUNT_ || value_take_varint(r, &offset) ||
        value_take_varint(r, &length) || length > VALUE_BYTES_MAX)
        return MALFORMED;
    size_t before = r->w.out->len;
    bool needed_comma = r->w.needs_comma;
    enum value_step step = node(r); /* the buffer: read, and not shown */
    if (step == MALFORMED)
        return step;
    r->w.out->len = before;
    r->w.needs_comma = needed_comma;
    put_bytes(r, length * units[kind]);
    return step;
}

static enum value_step error_node(struct value_reader *r)
{
    static const char *const names[VALUE_ERROR_COUNT_] = {
        [VALUE_ERROR_PLAIN] = "Error",        [VALUE_ERROR_EVAL] = "EvalError",
        [VALUE_ERROR_RANGE] = "RangeError",   [VALUE_ERROR_REFERENCE] = "ReferenceError",
        [VALUE_ERROR_SYNTAX] = "SyntaxError", [VALUE_ERROR_TYPE] = "TypeError",
        [VALUE_ERROR_URI] = "URIError",       [VALUE_ERROR_AGGREGATE] = "AggregateError",
    };
    uint8_t kind, flags;
    struct value_text stack;
    enum value_step step = GO_ON;
    if (value_take_u8(r, &kind) || kind >= VALUE_ERROR_COUNT_ || value_take_u8(r, &flags) ||
        flags > VALUE_HAS_ALL_)
        return MALFORMED;
    value_open_special(r, "name");
    if (!(flags & VALUE_HAS_NAME))
        json_cstr(&r->w, names[kind]);
    else
        step = string_node(r);
    if (step == GO_ON && (flags & VALUE_HAS_MESSAGE)) {
        json_key(&r->w, "message");
        step = string_node(r);
    }
    if (step == GO_ON && (flags & VALUE_HAS_STACK))
        step = value_take_string(r, &stack);
    for (uint8_t flag = VALUE_HAS_CAUSE; flag <= VALUE_HAS_ERRORS && step == GO_ON; flag <<= 1)
        if (flags & flag) {
            json_key(&r->w, flag == VALUE_HAS_CAUSE ? "cause" : "errors");
            step = node(r);
        }
    if (step == GO_ON)
        step = members(r);
    json_close(&r->w, '}');
    return step;
}

static enum value_step dom_exception_node(struct value_reader *r)
{
    struct value_text message, name, stack;
    if (value_take_string(r, &message) || value_take_string(r, &name))
        return MALFORMED;
    value_open_special(r, "name");
    value_put_string(r, &name);
    json_key(&r->w, "message");
    value_put_string(r, &message);
    json_close(&r->w, '}');
    if (r->at < r->end && *r->at == VALUE_UNDEFINED) {
        r->at++;
        return GO_ON;
    }
    return value_take_string(r, &stack);
}

static enum value_step blob_node(struct value_reader *r, bool is_file)
{
    struct value_text name = {0}, type, data;
    double modified;
    if ((is_file && (value_take_string(r, &name) || value_take_f64(r, &modified))) ||
        value_take_string(r, &type) || value_take_text(r, 1, &data))
        return MALFORMED;
    value_open_special(r, "$bytes");
    json_int(&r->w, (int64_t)data.bytes);
    json_key(&r->w, "type");
    value_put_string(r, &type);
    if (is_file) {
        json_key(&r->w, "name");
        value_put_string(r, &name);
    }
    json_close(&r->w, '}');
    return GO_ON;
}

/* ---- any value ---- */

static enum value_step object_by_tag(struct value_reader *r, uint8_t tag)
{
    switch (tag) {
    case VALUE_OBJECT:
        return object_node(r);
    case VALUE_ARRAY:
        return array_node(r);
    case VALUE_SPARSE:
        return sparse_node(r);
    case VALUE_DATE:
        return date_node(r);
    case VALUE_REGEXP:
        return regexp_node(r);
    case VALUE_MAP:
    case VALUE_SET:
        return entries_node(r, tag);
    case VALUE_BUFFER:
    case VALUE_RESIZABLE:
        return buffer_node(r, tag == VALUE_RESIZABLE);
    case VALUE_VIEW:
        return view_node(r);
    case VALUE_ERROR:
        return error_node(r);
    case VALUE_DOM_EXCEPTION:
        return dom_exception_node(r);
    case VALUE_BOXED:
        return node(r);
    case VALUE_BLOB:
    case VALUE_FILE:
        return blob_node(r, tag == VALUE_FILE);
    default:
        return MALFORMED;
    }
}

static enum value_step reference_node(struct value_reader *r)
{
    uint64_t number;
    if (value_take_varint(r, &number) || number >= r->objects)
        return MALFORMED;
    value_open_special(r, "$ref");
    json_int(&r->w, (int64_t)number);
    json_close(&r->w, '}');
    return GO_ON;
}

static enum value_step numbered_node(struct value_reader *r, uint8_t tag)
{
    if (r->depth >= VALUE_DEPTH_MAX)
        return MALFORMED;
    r->depth++;
    r->objects++;
    enum value_step step = object_by_tag(r, tag);
    r->depth--;
    return step;
}

static enum value_step number_node(struct value_reader *r, uint8_t tag)
{
    uint64_t bits;
    double value;
    if (tag == VALUE_INT) {
        if (value_take_varint(r, &bits) || bits > UINT32_MAX)
            return MALFORMED;
        json_int(&r->w, (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1));
        return GO_ON;
    }
    if (value_take_f64(r, &value))
        return MALFORMED;
    value_put_number(r, value);
    return GO_ON;
}

static enum value_step node(struct value_reader *r)
{
    uint8_t tag;
    if (value_take_u8(r, &tag))
        return MALFORMED;
    switch (tag >= VALUE_SHORT_LATIN1 ? VALUE_LATIN1
            : tag >= VALUE_SMALL_INT  ? VALUE_SMALL_INT
                                      : tag) {
    case VALUE_UNDEFINED:
    case VALUE_NULL:
        json_nil(&r->w);
        return GO_ON;
    case VALUE_FALSE:
    case VALUE_TRUE:
        json_bool(&r->w, tag == VALUE_TRUE);
        return GO_ON;
    case VALUE_SMALL_INT:
        json_int(&r->w, tag - VALUE_SMALL_INT);
        return GO_ON;
    case VALUE_INT:
    case VALUE_DOUBLE:
        return number_node(r, tag);
    case VALUE_BIGINT:
        return bigint_node(r);
    case VALUE_LATIN1:
    case VALUE_UTF16:
        r->at--;
        return string_node(r);
    case VALUE_REF:
        return reference_node(r);
    default:
        return numbered_node(r, tag);
    }
}

static void reader_done(struct value_reader *r)
{
    bytes_done(&r->keys);
}

void value_to_json(struct slice serialized, size_t bytes_max, struct bytes *out)
{
    const uint8_t *at = (const uint8_t *)serialized.ptr;
    CLEANUP(reader_done)
    struct value_reader r = {.w = json_writer(out), .start = out->len, .max = bytes_max};
    enum value_step step = MALFORMED;
    if (serialized.len > 0 && serialized.len <= VALUE_BYTES_MAX && *at == VALUE_VERSION) {
        r.at = at + 1;
        r.end = at + serialized.len;
        step = node(&r);
        if (step == GO_ON && r.at != r.end)
            step = MALFORMED;
    }
    if (step != MALFORMED)
        return;
    out->len = r.start;
    r.w = json_writer(out);
    value_open_special(&r, "$malformed");
    json_int(&r.w, (int64_t)serialized.len);
    json_close(&r.w, '}');
}
