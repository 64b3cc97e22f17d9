/* SPDX-License-Identifier: Apache-2.0
 *
 * A scanner over bytes: scan_value() consumes one value of any depth with a stack of brackets, one
 * byte each, so that nesting costs no recursion. The walkers use the same scanner on text that has
 * passed body_parse(), so what they skip is always well formed (CHECKed). */
#include "admin/body.h"

#include <string.h>

struct scan {
    const char *at, *end;
    const char *problem; /* what was expected at `at`, when a scan failed */
};

static void scan_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
}

static bool scan_fail(struct scan *s, const char *expected)
{
    s->problem = expected;
    return false;
}

static bool scan_literal(struct scan *s, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
        return scan_fail(s, "a value");
    s->at += len;
    return true;
}

static bool is_digit(const struct scan *s)
{
    return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

static bool scan_digits(struct scan *s)
{
    if (!is_digit(s))
        return scan_fail(s, "a digit");
    while (is_digit(s))
        s->at++;
    return true;
}

static bool scan_number(struct scan *s)
{
    if (*s->at == '-')
        s->at++;
    if (s->at < s->end && *s->at == '0')
        s->at++;
    else if (!scan_digits(s))
        return false;
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (!scan_digits(s))
            return false;
    }
    if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
            s->at++;
        return scan_digits(s);
    }
    return true;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool scan_string(struct scan *s)
{
    s->at++; /* the quote */
    while (s->at < s->end) {
        unsigned char c = (unsigned char)*s->at;
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c < 0x20)
            return scan_fail(s, "an escape in place of a control character");
        if (c != '\\') {
            s->at++;
            continue;
        }
        s->at++;
        if (s->at == s->end || *s->at == '\0' || !strchr("\"\\/bfnrtu", *s->at))
            return scan_fail(s, "a known escape");
        if (*s->at++ != 'u')
            continue;
        for (int i = 0; i < 4; i++) {
            if (s->at == s->end || !is_hex(*s->at))
                return scan_fail(s, "four hexadecimal digits");
            s->at++;
        }
    }
    return scan_fail(s, "the end of the string");
}

static bool scan_scalar(struct scan *s, enum body_kind *ret_kind)
{
    switch (*s->at) {
    case '"':
        *ret_kind = BODY_STRING;
        return scan_string(s);
    case 't':
        *ret_kind = BODY_BOOL;
        return scan_literal(s, "true");
    case 'f':
        *ret_kind = BODY_BOOL;
        return scan_literal(s, "false");
    case 'n':
        *ret_kind = BODY_NULL;
        return scan_literal(s, "null");
    default:
        *ret_kind = BODY_NUMBER;
        if (*s->at != '-' && !is_digit(s))
            return scan_fail(s, "a value");
        return scan_number(s);
    }
}

/* In an object: the key and its colon. */
static bool scan_key(struct scan *s)
{
    scan_space(s);
    if (s->at == s->end || *s->at != '"')
        return scan_fail(s, "a name in quotes");
    if (!scan_string(s))
        return false;
    scan_space(s);
    if (s->at == s->end || *s->at != ':')
        return scan_fail(s, "a colon");
    s->at++;
    return true;
}

/* After a value inside containers: closes what ends here. False with no problem set: done. */
static bool scan_after_value(struct scan *s, char *stack, size_t *depth)
{
    while (*depth > 0) {
        char close = stack[*depth - 1];
        scan_space(s);
        if (s->at < s->end && *s->at == ',') {
            s->at++;
            return close == ']' || scan_key(s);
        }
        if (s->at == s->end || *s->at != close)
            return scan_fail(s, close == ']' ? "',' or ']'" : "',' or '}'");
        s->at++;
        (*depth)--;
    }
    return false;
}

/* One whole value from s->at; on success s->at is behind it. */
static bool scan_value(struct scan *s, enum body_kind *ret_kind)
{
    char stack[BODY_DEPTH_MAX];
    size_t depth = 0;
    bool is_first = true;
    for (;;) {
        scan_space(s);
        if (s->at == s->end)
            return scan_fail(s, "a value");
        enum body_kind kind;
        if (*s->at == '{' || *s->at == '[') {
            bool is_object = *s->at == '{';
            kind = is_object ? BODY_OBJECT : BODY_ARRAY;
            if (depth == BODY_DEPTH_MAX)
                return scan_fail(s, "less nesting (512 levels at most)");
            if (is_first)
                *ret_kind = kind;
            is_first = false;
            stack[depth++] = is_object ? '}' : ']';
            s->at++;
            scan_space(s);
            if (s->at == s->end || *s->at != stack[depth - 1]) {
                if (is_object && !scan_key(s))
                    return false;
                continue;
            }
        } else {
            if (!scan_scalar(s, &kind))
                return false;
            if (is_first)
                *ret_kind = kind;
            is_first = false;
        }
        if (!scan_after_value(s, stack, &depth))
            return !s->problem;
    }
}

static void scan_position(struct slice text, const char *at, int *ret_line, int *ret_column)
{
    int line = 1, column = 1;
    for (const char *p = text.ptr; p < at; p++) {
        column++;
        if (*p == '\n') {
            line++;
            column = 1;
        }
    }
    *ret_line = line;
    *ret_column = column;
}

enum err body_parse(struct slice text, struct body_value *ret_value, struct error *ret_error)
{
    if (slice_trim(text).len == 0) {
        error_set(ret_error, ERR_INVALID, "the request has no body, but this route needs JSON");
        error_hint(ret_error, "send a JSON object; GET /openapi.json describes it");
        return ERR_INVALID;
    }
    if (!slice_is_utf8(text)) {
        error_set(ret_error, ERR_INVALID, "the request body is not UTF-8");
        error_hint(ret_error, "encode the JSON as UTF-8");
        return ERR_INVALID;
    }
    struct scan s = {.at = text.ptr, .end = text.ptr + text.len};
    scan_space(&s);
    const char *start = s.at;
    enum body_kind kind = BODY_NULL;
    if (scan_value(&s, &kind)) {
        const char *value_end = s.at;
        scan_space(&s);
        if (s.at == s.end) {
            *ret_value = (struct body_value){kind, slice_of(start, (size_t)(value_end - start))};
            return OK;
        }
        s.problem = "nothing more";
    }
    int line, column;
    scan_position(text, s.at, &line, &column);
    error_set(ret_error, ERR_INVALID,
              "the request body is not valid JSON: line %d, column %d: expected %s", line, column,
              s.problem);
    error_hint(ret_error, "check the quotes and commas near that place");
    return ERR_INVALID;
}

struct body_walk body_walk(const struct body_value *container)
{
    CHECK(container->kind == BODY_ARRAY || container->kind == BODY_OBJECT);
    CHECK(container->text.len >= 2);
    return (struct body_walk){slice_of(container->text.ptr + 1, container->text.len - 2)};
}

/* Takes the value at the front of the walk and the comma after it. */
static void walk_value(struct body_walk *w, struct scan *s, struct body_value *ret_value)
{
    scan_space(s);
    const char *start = s->at;
    enum body_kind kind = BODY_NULL;
    CHECK(scan_value(s, &kind));
    *ret_value = (struct body_value){kind, slice_of(start, (size_t)(s->at - start))};
    scan_space(s);
    if (s->at < s->end && *s->at == ',')
        s->at++;
    w->rest = slice_of(s->at, (size_t)(s->end - s->at));
}

bool body_next_item(struct body_walk *w, struct body_value *ret_item)
{
    struct scan s = {.at = w->rest.ptr, .end = w->rest.ptr + w->rest.len};
    scan_space(&s);
    if (s.at == s.end)
        return false;
    walk_value(w, &s, ret_item);
    return true;
}

bool body_next_member(struct body_walk *w, struct bytes *key, struct body_value *ret_value)
{
    struct scan s = {.at = w->rest.ptr, .end = w->rest.ptr + w->rest.len};
    scan_space(&s);
    if (s.at == s.end)
        return false;
    const char *start = s.at;
    CHECK(scan_string(&s));
    struct body_value name = {BODY_STRING, slice_of(start, (size_t)(s.at - start))};
    bytes_clear(key);
    body_string(&name, key);
    scan_space(&s);
    CHECK(s.at < s.end && *s.at == ':');
    s.at++;
    walk_value(w, &s, ret_value);
    return true;
}

static uint32_t hex4(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        v = v * 16 + (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v;
}

static void append_utf8(struct bytes *out, uint32_t c)
{
    if (c < 0x80) {
        bytes_append_char(out, (char)c);
    } else if (c < 0x800) {
        bytes_append_char(out, (char)(0xc0 | (c >> 6)));
        bytes_append_char(out, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        bytes_append_char(out, (char)(0xe0 | (c >> 12)));
        bytes_append_char(out, (char)(0x80 | ((c >> 6) & 0x3f)));
        bytes_append_char(out, (char)(0x80 | (c & 0x3f)));
    } else {
        bytes_append_char(out, (char)(0xf0 | (c >> 18)));
        bytes_append_char(out, (char)(0x80 | ((c >> 12) & 0x3f)));
        bytes_append_char(out, (char)(0x80 | ((c >> 6) & 0x3f)));
        bytes_append_char(out, (char)(0x80 | (c & 0x3f)));
    }
}

/* \uXXXX at p (behind the 'u'); returns what follows. */
static const char *decode_unicode(const char *p, const char *end, struct bytes *out)
{
    uint32_t c = hex4(p);
    p += 4;
    if (c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
        uint32_t low = hex4(p + 2);
        if (low >= 0xdc00 && low < 0xe000) {
            append_utf8(out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
            return p + 6;
        }
    }
    append_utf8(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
    return p;
}

void body_string(const struct body_value *v, struct bytes *out)
{
    CHECK(v->kind == BODY_STRING && v->text.len >= 2);
    const char *p = v->text.ptr + 1, *end = v->text.ptr + v->text.len - 1;
    bytes_reserve(out, (size_t)(end - p));
    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        if (!escape)
            escape = end;
        bytes_append(out, p, (size_t)(escape - p));
        p = escape;
        if (p == end)
            break;
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        const char *simple = strchr(from, p[1]);
        p += 2;
        if (simple)
            bytes_append_char(out, to[simple - from]);
        else
            p = decode_unicode(p, end, out);
    }
}

bool body_uint(const struct body_value *v, uint64_t *ret_value)
{
    return v->kind == BODY_NUMBER && slice_to_u64(v->text, ret_value);
}

const char *body_kind_text(enum body_kind kind)
{
    static const char *const texts[] = {"null",     "a boolean", "a number",
                                        "a string", "an array",  "an object"};
    return texts[kind];
}
