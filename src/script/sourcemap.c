/* SPDX-License-Identifier: Apache-2.0
 *
 * Source maps (see sourcemap.h). Decoded once into an array sorted by generated position, searched
 * by bisection. A map comes with an upload, so nothing in it is trusted: numbers are checked when
 * decoded, and a map that is not one is ERR_INVALID, never a crash.
 *
 * Positions inside are counted from 0, as in the format; the functions of the header count from 1.
 */
#include "script/sourcemap.h"

#include <jansson.h>

#include "base/check.h"

enum {
    SOURCEMAP_JSON_BYTES_MAX = 256 * 1024 * 1024,
    SOURCEMAP_NO_SOURCE = -1, /* generated code that comes from no source */
    SOURCEMAP_FRAME_COLUMNS = 100,
    SOURCEMAP_FRAME_BEFORE = 70, /* columns kept before the caret in a long line */
};

struct sourcemap_point {
    int32_t line, column; /* generated */
    int32_t source, source_line, source_column;
};

struct sourcemap_source {
    char *name; /* with sourceRoot */
    struct slice content;
};

struct sourcemap {
    json_t *root; /* owns the contents */
    struct sourcemap_source *sources;
    size_t sources_len;
    struct sourcemap_point *points; /* by line, then column */
    size_t points_len, points_cap;
    size_t text_bytes; /* of the map as it was read: what root takes, roughly */
};

/* ---- decoding ---- */

static int sourcemap_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One base-64 VLQ: five bits a digit, lowest first, the lowest bit of all is the sign. */
static bool sourcemap_vlq(struct slice *text, int64_t *ret_value)
{
    uint64_t value = 0;
    for (int shift = 0; shift <= 30; shift += 5) {
        int digit = text->len ? sourcemap_digit(text->ptr[0]) : -1;
        if (digit < 0)
            return false;
        *text = slice_skip(*text, 1);
        value |= (uint64_t)(digit & 31) << shift;
        if (!(digit & 32)) {
            *ret_value = value & 1 ? -(int64_t)(value >> 1) : (int64_t)(value >> 1);
            return true;
        }
    }
    return false; /* more than 32 bits */
}

static bool sourcemap_add(int32_t *field, int64_t delta)
{
    int64_t sum = *field + delta;
    if (sum < 0 || sum > INT32_MAX)
        return false;
    *field = (int32_t)sum;
    return true;
}

static void sourcemap_push(struct sourcemap *m, struct sourcemap_point p)
{
    if (m->points_len == m->points_cap) {
        m->points_cap = m->points_cap ? 2 * m->points_cap : 256;
        m->points = reallocarray(m->points, m->points_cap, sizeof(*m->points));
        CHECK(m->points);
    }
    m->points[m->points_len++] = p;
}

/* One segment: 1, 4 or 5 numbers, each relative to the one before of its kind. */
static bool sourcemap_segment(struct sourcemap *m, struct slice text, struct sourcemap_point *at,
                              int32_t *name)
{
    int64_t fields[5];
    int len = 0;
    while (text.len) {
        if (len == 5 || !sourcemap_vlq(&text, &fields[len]))
            return false;
        len++;
    }
    if (len != 1 && len != 4 && len != 5)
        return false;
    if (!sourcemap_add(&at->column, fields[0]))
        return false;
    struct sourcemap_point p = *at;
    if (len == 1) {
        p.source = SOURCEMAP_NO_SOURCE;
        sourcemap_push(m, p);
        return true;
    }
    if (!sourcemap_add(&at->source, fields[1]) || !sourcemap_add(&at->source_line, fields[2]) ||
        !sourcemap_add(&at->source_column, fields[3]) ||
        (len == 5 && !sourcemap_add(name, fields[4])) || (size_t)at->source >= m->sources_len)
        return false;
    sourcemap_push(m, *at);
    return true;
}

static int sourcemap_compare(const void *a, const void *b)
{
    const struct sourcemap_point *p = a, *q = b;
    if (p->line != q->line)
        return p->line < q->line ? -1 : 1;
    return p->column < q->column ? -1 : p->column > q->column;
}

static bool sourcemap_decode(struct sourcemap *m, struct slice mappings)
{
    struct sourcemap_point at = {0};
    int32_t name = 0;
    bool is_sorted = true;
    while (mappings.len) {
        struct slice line = slice_split(&mappings, ';');
        at.column = 0;
        while (line.len) {
            struct slice segment = slice_split(&line, ',');
            size_t len = m->points_len;
            if (segment.len && !sourcemap_segment(m, segment, &at, &name))
                return false;
            if (len && m->points_len > len &&
                sourcemap_compare(&m->points[len - 1], &m->points[len]) > 0)
                is_sorted = false;
        }
        at.line++; /* at most one a byte of a text below 2^31 */
    }
    if (!is_sorted)
        qsort(m->points, m->points_len, sizeof(*m->points), sourcemap_compare);
    return true;
}

static struct slice sourcemap_string(const json_t *value)
{
    return json_is_string(value) ? slice_of(json_string_value(value), json_string_length(value))
                                 : SLICE_EMPTY;
}

static void sourcemap_take_sources(struct sourcemap *m)
{
    const json_t *sources = json_object_get(m->root, "sources");
    const json_t *contents = json_object_get(m->root, "sourcesContent");
    struct slice root = sourcemap_string(json_object_get(m->root, "sourceRoot"));
    size_t len = json_array_size(sources);
    if (!len)
        return;
    m->sources = calloc(len, sizeof(*m->sources));
    CHECK(m->sources);
    for (size_t i = 0; i < len; i++) {
        struct bytes name = BYTES_INIT;
        bytes_append_slice(&name, root);
        if (root.len && root.ptr[root.len - 1] != '/')
            bytes_append_char(&name, '/');
        bytes_append_slice(&name, sourcemap_string(json_array_get(sources, i)));
        m->sources[i].name = bytes_take(&name);
        m->sources[i].content = sourcemap_string(json_array_get(contents, i));
        m->sources_len++;
    }
}

size_t sourcemap_bytes(const struct sourcemap *m)
{
    return sizeof(*m) + m->text_bytes + m->sources_len * sizeof(*m->sources) +
           m->points_cap * sizeof(*m->points);
}

enum err sourcemap_parse(struct slice json, struct sourcemap **ret_map, struct error *ret_error)
{
    if (json.len > SOURCEMAP_JSON_BYTES_MAX)
        return error_set(ret_error, ERR_INVALID, "the source map is larger than %d MiB",
                         SOURCEMAP_JSON_BYTES_MAX >> 20);
    struct sourcemap *m = calloc(1, sizeof(*m));
    CHECK(m);
    m->text_bytes = json.len;
    json_error_t why;
    m->root = json_loadb(json.ptr ? json.ptr : "", json.len, JSON_ALLOW_NUL, &why);
    enum err code = OK;
    if (!json_is_object(m->root))
        code = error_set(ret_error, ERR_INVALID, "the source map is not a JSON object%s%s",
                         m->root ? "" : ": ", m->root ? "" : why.text);
    else if (json_integer_value(json_object_get(m->root, "version")) != 3)
        code = error_set(ret_error, ERR_INVALID, "the source map is not of version 3");
    else if (json_object_get(m->root, "sections"))
        code = error_set(ret_error, ERR_INVALID, "source maps in sections are not supported");
    if (code == OK) {
        const json_t *mappings = json_object_get(m->root, "mappings");
        sourcemap_take_sources(m);
        if (!json_is_string(mappings) || !sourcemap_decode(m, sourcemap_string(mappings)))
            code = error_set(ret_error, ERR_INVALID, "the mappings of the source map are damaged");
    }
    if (code != OK) {
        sourcemap_free(m);
        return code;
    }
    *ret_map = m;
    return OK;
}

void sourcemap_free(struct sourcemap *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->sources_len; i++)
        free(m->sources[i].name);
    free(m->sources);
    free(m->points);
    json_decref(m->root);
    free(m);
}

/* ---- looking up ---- */

bool sourcemap_find(const struct sourcemap *m, int line, int column, struct slice *ret_file,
                    int *ret_line, int *ret_column)
{
    if (line < 1 || column < 1)
        return false;
    struct sourcemap_point key = {.line = line - 1, .column = column - 1};
    size_t low = 0, high = m->points_len; /* points before low are at or before the key */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sourcemap_compare(&m->points[middle], &key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    const struct sourcemap_point *p = low ? &m->points[low - 1] : NULL;
    if (!p || p->line != key.line || p->source == SOURCEMAP_NO_SOURCE)
        return false;
    *ret_file = slice_cstr(m->sources[p->source].name);
    *ret_line = p->source_line < INT32_MAX ? p->source_line + 1 : INT32_MAX;
    *ret_column = p->source_column < INT32_MAX ? p->source_column + 1 : INT32_MAX;
    return true;
}

struct slice sourcemap_content(const struct sourcemap *m, struct slice file)
{
    for (size_t i = 0; i < m->sources_len; i++)
        if (slice_eq_cstr(file, m->sources[i].name))
            return m->sources[i].content;
    return SLICE_EMPTY;
}

/* ---- stack traces ---- */

/* Cuts ":123" off the end; false if there is none. */
static bool sourcemap_cut_number(struct slice *text, int *ret_number)
{
    size_t start = text->len;
    while (start && text->ptr[start - 1] >= '0' && text->ptr[start - 1] <= '9')
        start--;
    uint64_t number;
    if (!start || text->ptr[start - 1] != ':' ||
        !slice_to_u64(slice_of(text->ptr + start, text->len - start), &number) ||
        number > INT32_MAX)
        return false;
    text->len = start - 1;
    *ret_number = (int)number;
    return true;
}

/* "    at name (FILE:LINE:COL)" or "    at FILE:LINE:COL"; parts of the line as given. */
struct sourcemap_frame_line {
    struct slice before, file, after; /* before + file:line:column + after is the whole line */
    int line, column;
};

static bool sourcemap_parse_frame(struct slice text, struct sourcemap_frame_line *ret_frame)
{
    size_t indent = 0;
    while (indent < text.len && text.ptr[indent] == ' ')
        indent++;
    if (!slice_starts(slice_skip(text, indent), SLICE_LIT("at ")))
        return false;
    size_t start = indent + 3, end = text.len;
    if (end > start && text.ptr[end - 1] == ')') {
        end--;
        for (size_t i = end; i-- > start;) { /* the last " (" begins the place */
            if (text.ptr[i] == '(' && text.ptr[i - 1] == ' ') {
                start = i + 1;
                break;
            }
        }
    }
    struct slice place = slice_of(text.ptr + start, end - start);
    ret_frame->before = slice_of(text.ptr, start);
    ret_frame->after = slice_skip(text, end);
    if (!sourcemap_cut_number(&place, &ret_frame->column))
        return false;
    if (!sourcemap_cut_number(&place, &ret_frame->line)) { /* FILE:LINE */
        ret_frame->line = ret_frame->column;
        ret_frame->column = 1;
    }
    ret_frame->file = place;
    return true;
}

void sourcemap_map_stack(const struct sourcemap *m, struct slice bundle, struct slice stack,
                         struct bytes *out)
{
    while (stack.len) {
        ptrdiff_t end = slice_find(stack, '\n');
        bool has_newline = end >= 0;
        struct slice text = slice_of(stack.ptr, has_newline ? (size_t)end : stack.len);
        stack = slice_skip(stack, text.len + (has_newline ? 1 : 0));
        struct sourcemap_frame_line f;
        struct slice file;
        int line, column;
        if (sourcemap_parse_frame(text, &f)) {
            if (slice_starts(f.file, SLICE_LIT("limpet:")))
                continue;
            if (m && slice_eq(f.file, bundle) &&
                sourcemap_find(m, f.line, f.column, &file, &line, &column)) {
                bytes_append_slice(out, f.before);
                bytes_append_slice(out, file);
                bytes_printf(out, ":%d:%d", line, column);
                text = f.after;
            }
        }
        bytes_append_slice(out, text);
        if (has_newline)
            bytes_append_char(out, '\n');
    }
}

/* ---- code frames ---- */

/* Line number n from 1, without its end; false if there is none. */
static bool sourcemap_line(struct slice content, int n, struct slice *ret_line)
{
    if (n < 1)
        return false;
    for (int i = 1; i <= n; i++) {
        if (i > 1 && !content.len)
            return false;
        ptrdiff_t end = slice_find(content, '\n');
        *ret_line = slice_of(content.ptr, end < 0 ? content.len : (size_t)end);
        content = slice_skip(content, end < 0 ? content.len : (size_t)end + 1);
    }
    if (ret_line->len && ret_line->ptr[ret_line->len - 1] == '\r')
        ret_line->len--;
    return true;
}

static bool sourcemap_is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Byte offset of a column counted in UTF-16 units, as source maps do; at most the length. */
static size_t sourcemap_offset(struct slice line, int column)
{
    size_t at = 0;
    for (int unit = 1; unit < column && at < line.len; unit++) {
        unit += (unsigned char)line.ptr[at] >= 0xf0; /* a surrogate pair */
        at++;
        while (at < line.len && sourcemap_is_continuation(line.ptr[at]))
            at++;
    }
    return at;
}

static size_t sourcemap_back(struct slice line, size_t at, size_t bytes)
{
    at = at > bytes ? at - bytes : 0;
    while (at && sourcemap_is_continuation(line.ptr[at]))
        at--;
    return at;
}

/* The part of a line from byte start that fits into a frame. */
static void sourcemap_frame_text(struct slice line, size_t start, struct bytes *out)
{
    struct slice part = slice_skip(line, start);
    bool is_cut = part.len > SOURCEMAP_FRAME_COLUMNS;
    if (is_cut)
        part.len = sourcemap_back(part, SOURCEMAP_FRAME_COLUMNS, 0);
    if (start)
        bytes_append_cstr(out, "…");
    bytes_append_slice(out, part);
    if (is_cut)
        bytes_append_cstr(out, "…");
}

void sourcemap_frame(struct slice content, int line, int column, struct bytes *out)
{
    struct slice text;
    if (!content.ptr || !sourcemap_line(content, line, &text))
        return;
    size_t offset = sourcemap_offset(text, column);
    /* The three lines are cut at the same place, so that they stay aligned. */
    size_t start =
        offset > SOURCEMAP_FRAME_COLUMNS ? sourcemap_back(text, offset, SOURCEMAP_FRAME_BEFORE) : 0;
    int width = snprintf(NULL, 0, "%d", line + 1);
    for (int n = line - 1; n <= line + 1; n++) { /* a line that exists is far below INT_MAX */
        struct slice shown;
        if (n < 1 || !sourcemap_line(content, n, &shown))
            continue;
        bytes_printf(out, "%s%*d | ", n == line ? "> " : "  ", width, n);
        size_t cut = start < shown.len ? start : shown.len;
        while (cut && cut < shown.len && sourcemap_is_continuation(shown.ptr[cut]))
            cut--;
        sourcemap_frame_text(shown, cut, out);
        bytes_append_char(out, '\n');
        if (n != line)
            continue;
        bytes_printf(out, "  %*s | %s", width, "", start ? " " : "");
        for (size_t i = start; i < offset; i++)
            if (!sourcemap_is_continuation(text.ptr[i]))
                bytes_append_char(out, text.ptr[i] == '\t' ? '\t' : ' ');
        bytes_append_cstr(out, "^\n");
    }
}
