/* SPDX-License-Identifier: Apache-2.0
 *
 * See value_text.h. */
#include "admin/value_text.h"

#include <math.h>

#include "guest/values.h"

enum { BIGINT_SHOWN_BYTES = 64 };

/* ---- reading ---- */

enum value_step value_take(struct value_reader *r, size_t len, const uint8_t **ret_at)
{
    if (len > (size_t)(r->end - r->at))
        return MALFORMED;
    *ret_at = r->at;
    r->at += len;
    return GO_ON;
}

enum value_step value_take_u8(struct value_reader *r, uint8_t *ret_value)
{
    const uint8_t *at;
    if (value_take(r, 1, &at))
        return MALFORMED;
    *ret_value = *at;
    return GO_ON;
}

enum value_step value_take_varint(struct value_reader *r, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 63; shift += 7) {
        uint8_t byte;
        if (value_take_u8(r, &byte))
            return MALFORMED;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *ret_value = value;
            return GO_ON;
        }
    }
    return MALFORMED;
}

enum value_step value_take_f64(struct value_reader *r, double *ret_value)
{
    const uint8_t *at;
    uint64_t bits;
    if (value_take(r, sizeof(bits), &at))
        return MALFORMED;
    memcpy(&bits, at, sizeof(bits));
    bits = le64toh(bits);
    memcpy(ret_value, &bits, sizeof(bits));
    return GO_ON;
}

enum value_step value_take_text(struct value_reader *r, size_t unit, struct value_text *ret_text)
{
    uint64_t len;
    if (value_take_varint(r, &len) || len > (uint64_t)(r->end - r->at) / unit)
        return MALFORMED;
    *ret_text = (struct value_text){.bytes = (size_t)len * unit, .is_wide = unit == 2};
    return value_take(r, ret_text->bytes, &ret_text->at);
}

enum value_step value_take_string(struct value_reader *r, struct value_text *ret_text)
{
    uint8_t tag;
    if (value_take_u8(r, &tag))
        return MALFORMED;
    if (tag >= VALUE_SHORT_LATIN1) {
        *ret_text = (struct value_text){.bytes = tag - VALUE_SHORT_LATIN1};
        return value_take(r, ret_text->bytes, &ret_text->at);
    }
    if (tag != VALUE_LATIN1 && tag != VALUE_UTF16)
        return MALFORMED;
    return value_take_text(r, tag == VALUE_UTF16 ? 2 : 1, ret_text);
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

static uint32_t unit_at(const struct value_text *text, size_t i)
{
    return text->is_wide ? (uint32_t)text->at[i] | (uint32_t)text->at[i + 1] << 8 : text->at[i];
}

/* Appends as UTF-8, at most about `max` bytes and then "...". */
static void put_text(struct bytes *out, const struct value_text *text, size_t max)
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

void value_append_text(const struct value_reader *r, const struct value_text *text,
                       struct bytes *out)
{
    put_text(out, text, room(r));
}

void value_put_string(struct value_reader *r, const struct value_text *text)
{
    CLEANUP(bytes_done) struct bytes utf8 = BYTES_INIT;
    put_text(&utf8, text, room(r));
    json_slice(&r->w, bytes_slice(&utf8));
}

void value_put_key(struct value_reader *r, const struct value_text *text)
{
    CLEANUP(bytes_done) struct bytes utf8 = BYTES_INIT;
    size_t max = room(r);
    put_text(&utf8, text, max ? max : 1);
    json_key(&r->w, bytes_cstr(&utf8)); /* one with a NUL in it is shown up to there */
}

void value_open_special(struct value_reader *r, const char *key)
{
    json_open(&r->w, '{');
    json_key(&r->w, key);
}

void value_put_number(struct value_reader *r, double value)
{
    if (isfinite(value)) {
        json_double(&r->w, value);
        return;
    }
    value_open_special(r, "$number");
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
    for (size_t i = 1; i <= len && i <= BIGINT_SHOWN_BYTES; i++)
        bytes_printf(out, "%02x", (uint8_t)magnitude.ptr[len - i]);
    if (len > BIGINT_SHOWN_BYTES)
        bytes_append_cstr(out, "...");
}

void value_put_bigint(struct value_reader *r, const uint8_t *bytes, size_t len)
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
    value_open_special(r, "$bigint");
    json_slice(&r->w, bytes_slice(&text));
    json_close(&r->w, '}');
}
