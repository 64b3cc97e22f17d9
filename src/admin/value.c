/* SPDX-License-Identifier: Apache-2.0
 *
 * A reader that never builds the value: it goes over the bytes once and writes as it goes. When the
 * text is long enough it stops reading, and what is open is closed. It recurses as deep as values
 * may be. Keys that are used again are remembered as places in the bytes, so memory follows the
 * input. */
#include "admin/value.h"

#include <math.h>

#include "base/clock.h"
#include "base/json.h"
#include "guest/values.h"

enum { BIGINT_SHOWN_BYTES = 64 };

/* ms since 1970 that clock_iso() knows: years 1 to 9999 */
#define ISO_MS_MIN (-62135596800000.0)
#define ISO_MS_MAX 253402300799999.0

struct key {
    const uint8_t *at;
    size_t bytes;
    bool is_wide;
};

struct value_reader {
    const uint8_t *at, *end;
    struct bytes keys; /* of struct key */
    uint64_t objects;  /* met */
    int depth;
    struct json_writer w;
    size_t start, max;
};

/* Why reading ends; everything that reads passes it on. */
enum value_step { GO_ON, FULL, MALFORMED };

static enum value_step node(struct value_reader *r);

static bool is_full(const struct value_reader *r)
{
    return r->w.out->len - r->start >= r->max;
}

/* ---- reading ---- */

static enum value_step take(struct value_reader *r, size_t len, const uint8_t **ret_at)
{
    if (len > (size_t)(r->end - r->at))
        return MALFORMED;
    *ret_at = r->at;
    r->at += len;
    return GO_ON;
}

static enum value_step take_u8(struct value_reader *r, uint8_t *ret_value)
{
    const uint8_t *at;
    if (take(r, 1, &at))
        return MALFORMED;
    *ret_value = *at;
    return GO_ON;
}

static enum value_step take_varint(struct value_reader *r, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 63; shift += 7) {
        uint8_t byte;
        if (take_u8(r, &byte))
            return MALFORMED;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *ret_value = value;
            return GO_ON;
        }
    }
    return MALFORMED;
}

static enum value_step take_f64(struct value_reader *r, double *ret_value)
{
    const uint8_t *at;
    uint64_t bits;
    if (take(r, sizeof(bits), &at))
        return MALFORMED;
    memcpy(&bits, at, sizeof(bits));
    bits = le64toh(bits);
    memcpy(ret_value, &bits, sizeof(bits));
    return GO_ON;
}

/* The characters after a length; unit: bytes of each. */
static enum value_step take_text(struct value_reader *r, size_t unit, struct key *ret_text)
{
    uint64_t len;
    if (take_varint(r, &len) || len > (uint64_t)(r->end - r->at) / unit)
        return MALFORMED;
    *ret_text = (struct key){.bytes = (size_t)len * unit, .is_wide = unit == 2};
    return take(r, ret_text->bytes, &ret_text->at);
}

/* A string node. */
static enum value_step take_string(struct value_reader *r, struct key *ret_text)
{
    uint8_t tag;
    if (take_u8(r, &tag))
        return MALFORMED;
    if (tag >= VALUE_SHORT_LATIN1) {
        *ret_text = (struct key){.bytes = tag - VALUE_SHORT_LATIN1};
        return take(r, ret_text->bytes, &ret_text->at);
    }
    if (tag != VALUE_LATIN1 && tag != VALUE_UTF16)
        return MALFORMED;
    return take_text(r, tag == VALUE_UTF16 ? 2 : 1, ret_text);
}

/* ---- writing ---- */

static void put_code(struct bytes *out, uint32_t c)
{
    if (c < 0x80) {
        bytes_append_char(out, (char)c);
        return;
    }
    if (c < 0x800) {
        bytes_append_char(out, (char)(0xC0 | c >> 6));
    } else if (c < 0x10000) {
        bytes_append_char(out, (char)(0xE0 | c >> 12));
        bytes_append_char(out, (char)(0x80 | (c >> 6 & 63)));
    } else {
        bytes_append_char(out, (char)(0xF0 | c >> 18));
        bytes_append_char(out, (char)(0x80 | (c >> 12 & 63)));
        bytes_append_char(out, (char)(0x80 | (c >> 6 & 63)));
    }
    bytes_append_char(out, (char)(0x80 | (c & 63)));
}

static uint32_t unit_at(const struct key *text, size_t i)
{
    return text->is_wide ? (uint32_t)text->at[i] | (uint32_t)text->at[i + 1] << 8 : text->at[i];
}

/* Appends as UTF-8, at most about `max` bytes and then "...". */
static void put_text(struct bytes *out, const struct key *text, size_t max)
{
    size_t unit = text->is_wide ? 2 : 1, start = out->len;
    for (size_t i = 0; i < text->bytes; i += unit) {
        if (out->len - start >= max) {
            bytes_append_cstr(out, "...");
            return;
        }
        uint32_t c = unit_at(text, i);
        if ((c & 0xFC00) == 0xD800 && i + 2 < text->bytes &&
            (unit_at(text, i + 2) & 0xFC00) == 0xDC00) {
            c = 0x10000 + ((c & 0x3FF) << 10) + (unit_at(text, i + 2) & 0x3FF);
            i += 2;
        } else if ((c & 0xF800) == 0xD800) {
            c = 0xFFFD;
        }
        put_code(out, c);
    }
}

static size_t room(const struct value_reader *r)
{
    size_t used = r->w.out->len - r->start;
    return used < r->max ? r->max - used : 0;
}

static void put_string(struct value_reader *r, const struct key *text)
{
    CLEANUP(bytes_done) struct bytes utf8 = BYTES_INIT;
    put_text(&utf8, text, room(r));
    json_slice(&r->w, bytes_slice(&utf8));
}

static void put_key(struct value_reader *r, const struct key *text)
{
    CLEANUP(bytes_done) struct bytes utf8 = BYTES_INIT;
    size_t max = room(r);
    put_text(&utf8, text, max ? max : 1);
    json_key(&r->w, bytes_cstr(&utf8)); /* one with a NUL in it is shown up to there */
}

/* {"$bytes":12 and so on; still open. */
static void open_special(struct value_reader *r, const char *key)
{
    json_open(&r->w, '{');
    json_key(&r->w, key);
}

static enum value_step string_node(struct value_reader *r)
{
    struct key text;
    if (take_string(r, &text))
        return MALFORMED;
    put_string(r, &text);
    return GO_ON;
}

static void put_number(struct value_reader *r, double value)
{
    if (isfinite(value)) {
        json_double(&r->w, value);
        return;
    }
    open_special(r, "$number");
    json_cstr(&r->w, isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity");
    json_close(&r->w, '}');
}

/* Of two's complement: its magnitude in hexadecimal digits, the highest ones. */
static void put_hex(struct bytes *out, const uint8_t *bytes, size_t len, bool is_negative)
{
    CLEANUP(bytes_done) struct bytes magnitude = BYTES_INIT;
    unsigned carry = is_negative;
    for (size_t i = 0; i < len; i++) {
        carry += is_negative ? (uint8_t)~bytes[i] : bytes[i];
        bytes_append_char(&magnitude, (char)carry);
        carry >>= 8;
    }
    bytes_append_cstr(out, is_negative ? "-0x" : "0x");
    for (size_t i = len; i-- > 0 && len - i <= BIGINT_SHOWN_BYTES;)
        bytes_printf(out, "%02x", (uint8_t)magnitude.ptr[i]);
    if (len > BIGINT_SHOWN_BYTES)
        bytes_append_cstr(out, "...");
}

static void put_bigint(struct value_reader *r, const uint8_t *bytes, size_t len)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    bool is_negative = len > 0 && (bytes[len - 1] & 128);
    uint64_t value = is_negative ? UINT64_MAX : 0;
    for (size_t i = 0; i < len && i < sizeof(value); i++)
        value = (value & ~(255ULL << 8 * i)) | (uint64_t)bytes[i] << 8 * i;
    if (len <= sizeof(value))
        bytes_printf(&text, "%lld", (long long)value);
    else
        put_hex(&text, bytes, len, is_negative);
    open_special(r, "$bigint");
    json_slice(&r->w, bytes_slice(&text));
    json_close(&r->w, '}');
}

static enum value_step bigint_node(struct value_reader *r)
{
    struct key digits;
    if (take_text(r, 1, &digits))
        return MALFORMED;
    put_bigint(r, digits.at, digits.bytes);
    return GO_ON;
}

/* ---- members ---- */

/* GO_ON with at NULL: there are no more. */
static enum value_step take_key(struct value_reader *r, struct key *ret_key)
{
    uint64_t number, known = r->keys.len / sizeof(struct key);
    if (take_varint(r, &number) || (number >= VALUE_KEY_FIRST && number - VALUE_KEY_FIRST >= known))
        return MALFORMED;
    if (number == VALUE_KEY_END) {
        ret_key->at = NULL;
        return GO_ON;
    }
    if (number >= VALUE_KEY_FIRST) {
        memcpy(ret_key, r->keys.ptr + (number - VALUE_KEY_FIRST) * sizeof(struct key),
               sizeof(struct key));
        return GO_ON;
    }
    if (take_text(r, number == VALUE_KEY_UTF16 ? 2 : 1, ret_key))
        return MALFORMED;
    bytes_append(&r->keys, ret_key, sizeof(struct key));
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
        struct key key;
        if (take_key(r, &key))
            return MALFORMED;
        if (!key.at)
            return GO_ON;
        if (is_full(r))
            return cut_members(r);
        put_key(r, &key);
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
        if (is_full(r)) {
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
    return take_varint(r, &count) ? MALFORMED : items(r, count, VALUE_ARRAY);
}

static enum value_step sparse_node(struct value_reader *r)
{
    uint64_t length;
    if (take_varint(r, &length))
        return MALFORMED;
    open_special(r, "$length");
    json_int(&r->w, (int64_t)length);
    enum value_step step = members(r);
    json_close(&r->w, '}');
    return step;
}

static enum value_step entries_node(struct value_reader *r, uint8_t tag)
{
    uint64_t count;
    if (take_varint(r, &count))
        return MALFORMED;
    open_special(r, tag == VALUE_MAP ? "$map" : "$set");
    enum value_step step = items(r, count, tag);
    json_close(&r->w, '}');
    return step;
}

/* ---- other objects ---- */

static enum value_step date_node(struct value_reader *r)
{
    double ms;
    char text[CLOCK_ISO_SIZE];
    if (take_f64(r, &ms))
        return MALFORMED;
    if (ms >= ISO_MS_MIN && ms <= ISO_MS_MAX) {
        clock_iso((int64_t)ms * 1000, text);
        json_cstr(&r->w, text);
        return GO_ON;
    }
    open_special(r, "$date");
    put_number(r, ms);
    json_close(&r->w, '}');
    return GO_ON;
}

static enum value_step regexp_node(struct value_reader *r)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    struct key source, flags;
    if (take_string(r, &source) || take_string(r, &flags))
        return MALFORMED;
    bytes_append_char(&text, '/');
    put_text(&text, &source, room(r));
    bytes_append_char(&text, '/');
    put_text(&text, &flags, room(r));
    json_slice(&r->w, bytes_slice(&text));
    return GO_ON;
}

static void put_bytes(struct value_reader *r, uint64_t len)
{
    open_special(r, "$bytes");
    json_int(&r->w, (int64_t)len);
    json_close(&r->w, '}');
}

static enum value_step buffer_node(struct value_reader *r, bool is_resizable)
{
    uint64_t len, longest;
    const uint8_t *at;
    if (take_varint(r, &len) || (is_resizable && take_varint(r, &longest)) ||
        len > (uint64_t)(r->end - r->at) || take(r, (size_t)len, &at))
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
    if (take_u8(r, &kind) || kind >= VALUE_VIEW_COUNT_ || take_varint(r, &offset) ||
        take_varint(r, &length) || length > VALUE_BYTES_MAX)
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
    struct key stack;
    enum value_step step = GO_ON;
    if (take_u8(r, &kind) || kind >= VALUE_ERROR_COUNT_ || take_u8(r, &flags) ||
        flags > VALUE_HAS_ALL_)
        return MALFORMED;
    open_special(r, "name");
    if (!(flags & VALUE_HAS_NAME))
        json_cstr(&r->w, names[kind]);
    else
        step = string_node(r);
    if (step == GO_ON && (flags & VALUE_HAS_MESSAGE)) {
        json_key(&r->w, "message");
        step = string_node(r);
    }
    if (step == GO_ON && (flags & VALUE_HAS_STACK))
        step = take_string(r, &stack);
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
    struct key message, name, stack;
    if (take_string(r, &message) || take_string(r, &name))
        return MALFORMED;
    open_special(r, "name");
    put_string(r, &name);
    json_key(&r->w, "message");
    put_string(r, &message);
    json_close(&r->w, '}');
    if (r->at < r->end && *r->at == VALUE_UNDEFINED) {
        r->at++;
        return GO_ON;
    }
    return take_string(r, &stack);
}

static enum value_step blob_node(struct value_reader *r, bool is_file)
{
    struct key name = {0}, type, data;
    double modified;
    if ((is_file && (take_string(r, &name) || take_f64(r, &modified))) || take_string(r, &type) ||
        take_text(r, 1, &data))
        return MALFORMED;
    open_special(r, "$bytes");
    json_int(&r->w, (int64_t)data.bytes);
    json_key(&r->w, "type");
    put_string(r, &type);
    if (is_file) {
        json_key(&r->w, "name");
        put_string(r, &name);
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
    if (take_varint(r, &number) || number >= r->objects)
        return MALFORMED;
    open_special(r, "$ref");
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
        if (take_varint(r, &bits) || bits > UINT32_MAX)
            return MALFORMED;
        json_int(&r->w, (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1));
        return GO_ON;
    }
    if (take_f64(r, &value))
        return MALFORMED;
    put_number(r, value);
    return GO_ON;
}

static enum value_step node(struct value_reader *r)
{
    uint8_t tag;
    if (take_u8(r, &tag))
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
    open_special(&r, "$malformed");
    json_int(&r.w, (int64_t)serialized.len);
    json_close(&r.w, '}');
}
