/* SPDX-License-Identifier: Apache-2.0
 *
 * The packed encodings of src/host/ops.def (u32, i64, f64, lstr; little-endian, unaligned): a
 * reader that goes bad once and stays bad, so that callers check at the end only, and a growing
 * buffer to write to. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct reader {
    const uint8_t *at, *end;
    bool is_bad;
};

static inline struct reader reader_of(const void *data, uint32_t len)
{
    return (struct reader){.at = data, .end = (const uint8_t *)data + len};
}

static inline const uint8_t *reader_bytes(struct reader *r, uint32_t len)
{
    if ((uint32_t)(r->end - r->at) < len) {
        r->is_bad = true;
        r->at = r->end;
        return NULL;
    }
    const uint8_t *at = r->at;
    r->at += len;
    return at;
}

#define READER_NUMBER(name, type)                                                                  \
    static inline type reader_##name(struct reader *r)                                             \
    {                                                                                              \
        type value = 0;                                                                            \
        const uint8_t *at = reader_bytes(r, sizeof value);                                         \
        if (at)                                                                                    \
            memcpy(&value, at, sizeof value);                                                      \
        return value;                                                                              \
    }
READER_NUMBER(u8, uint8_t)
READER_NUMBER(u32, uint32_t)
READER_NUMBER(i32, int32_t)
READER_NUMBER(i64, int64_t)
READER_NUMBER(f64, double)
#undef READER_NUMBER

struct text {
    const char *at;
    uint32_t len;
};

static inline struct text reader_lstr(struct reader *r)
{
    uint32_t len = reader_u32(r);
    const char *at = (const char *)reader_bytes(r, len);
    return (struct text){.at = at ? at : "", .len = at ? len : 0};
}

static inline bool text_is(struct text text, const char *other)
{
    return text.len == strlen(other) && memcmp(text.at, other, text.len) == 0;
}

static inline bool text_same(struct text a, struct text b)
{
    return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

/* A growing buffer, on the heap or beginning in memory of the caller (is_lent). When memory is out
 * it stays as it was and is_failed is set. */
struct buffer {
    uint8_t *data;
    uint32_t len, cap;
    bool is_lent;
    bool is_failed;
};

/* Makes room for `more` bytes after len. */
bool buffer_grow(struct buffer *b, uint32_t more);
void buffer_done(struct buffer *b);

static inline uint8_t *buffer_room(struct buffer *b, uint32_t more)
{
    if (b->cap - b->len < more && !buffer_grow(b, more))
        return NULL;
    return b->data + b->len;
}

static inline void buffer_add(struct buffer *b, const void *data, uint32_t len)
{
    uint8_t *at = buffer_room(b, len);
    if (at) {
        memcpy(at, data, len);
        b->len += len;
    }
}

static inline void buffer_add_u8(struct buffer *b, uint8_t value)
{
    buffer_add(b, &value, 1);
}

static inline void buffer_add_u32(struct buffer *b, uint32_t value)
{
    buffer_add(b, &value, 4);
}

static inline void buffer_add_lstr(struct buffer *b, const void *data, uint32_t len)
{
    buffer_add_u32(b, len);
    buffer_add(b, data, len);
}
