/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON writer. One flag is all the state it needs: whether the next thing written stands after
 * a sibling. The output is valid JSON in valid UTF-8 whatever the strings contain, as long as the
 * caller pairs brackets and gives every value in an object a key. A writer belongs to one thread.
 */
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct json_writer json_writer(struct bytes *out)
{
    return (struct json_writer){.out = out};
}

/* Before a value (or key): its comma. After it, the next one needs a comma. */
static void json_next(struct json_writer *w)
{
    if (w->needs_comma)
        bytes_append_char(w->out, ',');
    w->needs_comma = true;
}

void json_open(struct json_writer *w, char bracket)
{
    CHECK(bracket == '{' || bracket == '[');
    json_next(w);
    bytes_append_char(w->out, bracket);
    w->needs_comma = false;
}

void json_close(struct json_writer *w, char bracket)
{
    CHECK(bracket == '}' || bracket == ']');
    bytes_append_char(w->out, bracket);
    w->needs_comma = true;
}

void json_key(struct json_writer *w, const char *key)
{
    json_next(w);
    json_quote(w->out, slice_cstr(key));
    bytes_append_char(w->out, ':');
    w->needs_comma = false;
}

void json_slice(struct json_writer *w, struct slice s)
{
    json_next(w);
    json_quote(w->out, s);
}

void json_cstr(struct json_writer *w, const char *s)
{
    if (s)
        json_slice(w, slice_cstr(s));
    else
        json_nil(w);
}

void json_int(struct json_writer *w, int64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);
    uint64_t rest = v < 0 ? -(uint64_t)v : (uint64_t)v;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    json_next(w);
    if (v < 0)
        bytes_append_char(w->out, '-');
    bytes_append(w->out, digits + at, sizeof(digits) - at);
}

void json_double(struct json_writer *w, double v)
{
    if (!isfinite(v)) {
        json_nil(w);
        return;
    }
    /* The fewest digits that give the same number back; 17 always do. */
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        int len = snprintf(text, sizeof(text), "%.*g", digits, v);
        CHECK(len > 0 && len < (int)sizeof(text));
        if (strtod(text, NULL) == v)
            break;
    }
    json_next(w);
    bytes_append_cstr(w->out, text);
}

void json_bool(struct json_writer *w, bool v)
{
    json_raw(w, v ? SLICE_LIT("true") : SLICE_LIT("false"));
}

void json_nil(struct json_writer *w)
{
    json_raw(w, SLICE_LIT("null"));
}

void json_raw(struct json_writer *w, struct slice json)
{
    json_next(w);
    bytes_append_slice(w->out, json);
}

void json_error(struct json_writer *w, const struct error *e)
{
    json_error_of_request(w, e, SLICE_EMPTY);
}

void json_error_of_request(struct json_writer *w, const struct error *e, struct slice request_id)
{
    json_open(w, '{');
    json_key(w, "error");
    json_open(w, '{');
    json_key(w, "code");
    json_cstr(w, error_text(e->code));
    json_key(w, "message");
    json_cstr(w, e->message);
    if (e->hint[0]) {
        json_key(w, "hint");
        json_cstr(w, e->hint);
    }
    if (request_id.len) {
        json_key(w, "request_id");
        json_slice(w, request_id);
    }
    json_close(w, '}');
    json_close(w, '}');
}

static void json_escape(struct bytes *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                   ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    bytes_append_char(out, '\\');
    if (c < sizeof(letters) && letters[c]) {
        bytes_append_char(out, letters[c]);
        return;
    }
    const char code[5] = {'u', '0', '0', hex[c >> 4], hex[c & 15]};
    bytes_append(out, code, sizeof(code));
}

static bool json_is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* How many bytes from p on need no escape and are ASCII. Eight at a time: of each byte the top bit
 * says whether it is special. Subtracting borrows across bytes only above one that is special
 * itself, and the lowest special byte is the one looked for. */
static size_t json_plain_run(const char *p, size_t len)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    size_t i = 0;
    for (; len - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, 8);
        word = le64toh(word);
        uint64_t quote = word ^ (ones * '"'), back = word ^ (ones * '\\');
        uint64_t below = (word - ones * 0x20) & ~word; /* < 0x20 */
        uint64_t special =
            (word | ((quote - ones) & ~quote) | ((back - ones) & ~back) | below) & tops;
        if (special)
            return i + (size_t)__builtin_ctzll(special) / 8;
    }
    while (i < len && json_is_plain((unsigned char)p[i]))
        i++;
    return i;
}

void json_quote(struct bytes *out, struct slice s)
{
    bytes_reserve(out, s.len + 2);
    bytes_append_char(out, '"');
    size_t i = 0;
    while (i < s.len) {
        size_t plain = json_plain_run(s.ptr + i, s.len - i);
        bytes_append(out, s.ptr + i, plain);
        i += plain;
        if (i == s.len)
            break;
        unsigned char c = (unsigned char)s.ptr[i];
        size_t len = slice_utf8_char(slice_of(s.ptr + i, s.len - i));
        if (c < 0x80)
            json_escape(out, c);
        else if (len)
            bytes_append(out, s.ptr + i, len);
        else
            bytes_append_cstr(out, "\xef\xbf\xbd"); /* U+FFFD */
        i += len ? len : 1;
    }
    bytes_append_char(out, '"');
}
