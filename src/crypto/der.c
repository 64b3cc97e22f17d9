/* SPDX-License-Identifier: Apache-2.0
 *
 * As much DER as keys need: definite lengths in their shortest form, tags of one byte. */
#include "crypto/internal.h"

enum { DER_LENGTH_BYTES_MAX = 4 };

static struct slice der_fail(struct der *d)
{
    d->is_bad = true;
    d->rest = SLICE_EMPTY;
    return SLICE_EMPTY;
}

bool der_is_next(const struct der *d, enum der_tag tag)
{
    return d->rest.len > 0 && (unsigned char)d->rest.ptr[0] == tag;
}

/* The length that stands at rest[1]; false: there is none, or not in its shortest form. */
static bool der_length(const struct der *d, size_t *ret_head, size_t *ret_len)
{
    const unsigned char *p = (const unsigned char *)d->rest.ptr;
    if (d->rest.len < 2)
        return false;
    *ret_head = 2;
    *ret_len = p[1];
    if (p[1] < 0x80)
        return true;
    size_t count = p[1] & 0x7F, len = 0;
    if (count == 0 || count > DER_LENGTH_BYTES_MAX || d->rest.len < 2 + count || p[2] == 0)
        return false;
    for (size_t i = 0; i < count; i++)
        len = len << 8 | p[2 + i];
    *ret_head = 2 + count;
    *ret_len = len;
    return len >= 0x80;
}

struct slice der_take(struct der *d, enum der_tag tag)
{
    size_t head = 0, len = 0;
    if (!der_is_next(d, tag) || !der_length(d, &head, &len) || len > d->rest.len - head)
        return der_fail(d);
    struct slice contents = slice_of(d->rest.ptr + head, len);
    d->rest = slice_skip(d->rest, head + len);
    return contents;
}

bool der_is_done(const struct der *d)
{
    return !d->is_bad && d->rest.len == 0;
}

struct slice der_take_bits(struct der *d)
{
    struct slice bits = der_take(d, DER_BIT_STRING);
    if (bits.len == 0 || bits.ptr[0] != 0) /* unused bits */
        return der_fail(d);
    return slice_skip(bits, 1);
}

static void der_put_head(struct bytes *out, enum der_tag tag, size_t len)
{
    bytes_append_char(out, (char)tag);
    if (len < 0x80) {
        bytes_append_char(out, (char)len);
        return;
    }
    int count = 1;
    while (count < DER_LENGTH_BYTES_MAX && len >> (8 * count))
        count++;
    bytes_append_char(out, (char)(0x80 | count));
    while (count-- > 0)
        bytes_append_char(out, (char)(len >> (8 * count)));
}

void der_put(struct bytes *out, enum der_tag tag, struct slice contents)
{
    der_put_head(out, tag, contents.len);
    bytes_append_slice(out, contents);
}

void der_put_bits(struct bytes *out, struct slice contents)
{
    der_put_head(out, DER_BIT_STRING, contents.len + 1);
    bytes_append_char(out, 0);
    bytes_append_slice(out, contents);
}
