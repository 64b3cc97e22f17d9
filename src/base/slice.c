/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking at borrowed bytes. No allocation, no state; a slice whose ptr is NULL never reaches
 * pointer arithmetic or memcmp, where it would be undefined. Any thread. */
#include "base/slice.h"

static char slice_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool slice_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (slice_lower(a.ptr[i]) != slice_lower(b.ptr[i]))
            return false;
    }
    return true;
}

bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq(slice_of(s.ptr, prefix.len), prefix);
}

bool slice_ends(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len && slice_eq(slice_skip(s, s.len - suffix.len), suffix);
}

struct slice slice_skip(struct slice s, size_t n)
{
    if (s.len == 0)
        return s;
    if (n > s.len)
        n = s.len;
    return slice_of(s.ptr + n, s.len - n);
}

struct slice slice_trim(struct slice s)
{
    while (s.len && slice_is_space(s.ptr[0]))
        s = slice_skip(s, 1);
    while (s.len && slice_is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

ptrdiff_t slice_find(struct slice s, char c)
{
    const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return at ? at - s.ptr : -1;
}

struct slice slice_split(struct slice *rest, char sep)
{
    ptrdiff_t at = slice_find(*rest, sep);
    struct slice head = *rest;
    if (at < 0) {
        *rest = SLICE_EMPTY;
        return head;
    }
    head.len = (size_t)at;
    *rest = slice_skip(*rest, (size_t)at + 1);
    return head;
}

bool slice_to_u64(struct slice s, uint64_t *ret_value)
{
    if (s.len == 0)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c < '0' || c > '9')
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(c - '0'), &value))
            return false;
    }
    *ret_value = value;
    return true;
}

/* How many bytes of plain ASCII p starts with, eight at a time and so possibly a few fewer. */
static size_t slice_ascii_run(const unsigned char *p, size_t len)
{
    size_t i = 0;
    while (len - i >= 8) {
        uint64_t word;
        memcpy(&word, p + i, 8);
        if (word & UINT64_C(0x8080808080808080))
            break;
        i += 8;
    }
    return i;
}

size_t slice_utf8_char(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    if (s.len == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    /* The second byte's range is what rules out overlong forms, surrogates and above U+10FFFF. */
    unsigned char low = 0x80, high = 0xbf;
    size_t len;
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        len = 2;
    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        len = 3;
        low = p[0] == 0xe0 ? 0xa0 : 0x80;
        high = p[0] == 0xed ? 0x9f : 0xbf;
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        len = 4;
        low = p[0] == 0xf0 ? 0x90 : 0x80;
        high = p[0] == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (s.len < len || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return len;
}

bool slice_is_utf8(struct slice s)
{
    while (s.len) {
        s = slice_skip(s, slice_ascii_run((const unsigned char *)s.ptr, s.len));
        if (s.len == 0)
            break;
        size_t len = slice_utf8_char(s);
        if (len == 0)
            return false;
        s = slice_skip(s, len);
    }
    return true;
}

struct slice slice_utf8_clip(struct slice s, size_t len_max)
{
    if (s.len <= len_max)
        return s;
    /* The character that the cut would fall into started at most three bytes before it. */
    for (size_t back = 0; back < 4 && back <= len_max; back++) {
        unsigned char c = (unsigned char)s.ptr[len_max - back];
        if ((c & 0xc0) != 0x80)
            return slice_of(s.ptr, len_max - back);
    }
    return slice_of(s.ptr, len_max);
}

uint64_t slice_hash(struct slice s)
{
    uint64_t h = 0xcbf29ce484222325; /* FNV-1a, then a finalizer */
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * 0x100000001b3;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9;
    h = (h ^ (h >> 27)) * 0x94d049bb133111eb;
    return h ^ (h >> 31);
}
