/* SPDX-License-Identifier: Apache-2.0
 *
 * esbuild reports to people only:
 *
 *     ✘ [ERROR] Expected ";" but found "b"
 *
 *         hello.ts:1:6:
 *           1 │ let a b;
 *             │       ^
 *             ╵       ;
 *
 *       A note, which may have a position and a frame of its own
 *
 * The first error is taken apart: it is the one that caused the others. What does not look like
 * this (a crash of esbuild, an older version) is passed on as it is, cut to a bearable length. */
#include <stdarg.h>

#include "base/check.h"
#include "script/bundle_internal.h"
#include "script/sourcemap.h"

#define FAILURE_MARK "✘ [ERROR] "

enum {
    FAILURE_RAW_BYTES_MAX = 500,
    FAILURE_FRAME_BYTES_MAX = 4096,
    FAILURE_MESSAGE_BYTES_MAX = 600
};

/* The parts of the first error, borrowed from the text. */
struct failure_parts {
    struct slice message; /* one line */
    struct slice file;    /* empty: no position */
    int line, column;     /* from 1; the column in bytes */
    struct slice frame;   /* whole lines as esbuild drew them */
    struct slice note;
    struct slice note_file;
    int note_line;
    int others; /* errors after this one */
};

enum err bundle_fail(struct bundle_failure *ret_failure, struct error *ret_error, struct slice file,
                     int line, int column, struct slice frame, const char *format, ...)
{
    CLEANUP(bytes_done) struct bytes message = BYTES_INIT;
    va_list args;
    va_start(args, format);
    bytes_vprintf(&message, format, args);
    va_end(args);
    *ret_failure = (struct bundle_failure){.line = line, .column = column};
    bytes_append_slice(&ret_failure->message, bytes_slice(&message));
    bytes_append_slice(&ret_failure->file, file);
    bytes_append_slice(&ret_failure->frame, frame);
    if (!file.len)
        return error_set(ret_error, ERR_BUILD_FAILED, "%s", bytes_cstr(&message));
    return error_set(ret_error, ERR_BUILD_FAILED, "%.*s:%d:%d: %s", SLICE_ARG(file), line, column,
                     bytes_cstr(&message));
}

static struct slice failure_next_line(struct slice *rest)
{
    struct slice line = slice_split(rest, '\n');
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* "FILE:LINE:COLUMN:"; esbuild counts columns from 0. */
static bool failure_parse_place(struct slice line, struct slice *ret_file, int *ret_line,
                                int *ret_column)
{
    struct slice text = slice_trim(line);
    uint64_t numbers[2];
    if (!text.len || text.ptr[text.len - 1] != ':')
        return false;
    text.len--;
    for (int i = 2; i-- > 0;) {
        size_t start = text.len;
        while (start && text.ptr[start - 1] >= '0' && text.ptr[start - 1] <= '9')
            start--;
        if (!start || text.ptr[start - 1] != ':' ||
            !slice_to_u64(slice_of(text.ptr + start, text.len - start), &numbers[i]) ||
            numbers[i] > INT32_MAX - 1)
            return false;
        text.len = start - 1;
    }
    if (!text.len)
        return false;
    *ret_file = text;
    *ret_line = (int)numbers[0];
    *ret_column = (int)numbers[1] + 1;
    return true;
}

/* Reads up to the next error: position and frame first, then a note, which may have a position too.
 */
static void failure_parse_body(struct slice *rest, struct failure_parts *p)
{
    while (rest->len) {
        struct slice before = *rest, line = failure_next_line(rest);
        if (slice_starts(line, SLICE_LIT(FAILURE_MARK))) {
            *rest = before;
            return;
        }
        struct slice file;
        int line_number, column;
        if (!slice_trim(line).len)
            continue;
        if (slice_starts(line, SLICE_LIT("    ")) &&
            failure_parse_place(line, &file, &line_number, &column)) {
            const char *start = rest->ptr;
            size_t len = 0;
            for (struct slice ahead = *rest; ahead.len; *rest = ahead) {
                struct slice drawn = failure_next_line(&ahead);
                if (!slice_trim(drawn).len)
                    break;
                len = (size_t)(drawn.ptr + drawn.len - start);
            }
            if (!p->file.len && !p->note.len) {
                p->file = file;
                p->line = line_number;
                p->column = column;
                p->frame = slice_of(start, len);
            } else if (!p->note_file.len) {
                p->note_file = file;
                p->note_line = line_number;
            }
        } else if (!p->note.len && slice_starts(line, SLICE_LIT("  ")))
            p->note = slice_trim(line);
    }
}

static bool failure_parse(struct slice text, struct failure_parts *ret_parts)
{
    struct failure_parts p = {0};
    while (text.len) {
        struct slice line = failure_next_line(&text);
        if (!slice_starts(line, SLICE_LIT(FAILURE_MARK)))
            continue;
        if (p.message.len) {
            p.others++;
            continue;
        }
        p.message = slice_trim(slice_skip(line, strlen(FAILURE_MARK)));
        if (!p.message.len)
            p.message = SLICE_LIT("unknown error");
        failure_parse_body(&text, &p);
    }
    *ret_parts = p;
    return p.message.len > 0;
}

/* The frame without the indentation that all its lines share. */
static void failure_write_frame(struct slice frame, struct bytes *out)
{
    while (frame.len && out->len < FAILURE_FRAME_BYTES_MAX) {
        struct slice line = failure_next_line(&frame);
        if (!slice_trim(line).len)
            continue;
        size_t indent = 0;
        while (indent < 6 && indent < line.len && line.ptr[indent] == ' ')
            indent++;
        bytes_append_slice(out, slice_skip(line, indent));
        bytes_append_char(out, '\n');
    }
}

/* Position and frame as people count: columns in UTF-16 units, as source maps and editors do. What
 * ends too early is reported at the end of the file, which for esbuild includes a line that
 * bundle.c appended; it becomes the end of the last line. */
static void failure_settle(const struct bundle_source_reader *reader, struct failure_parts *p,
                           struct bytes *frame)
{
    CLEANUP(bytes_done) struct bytes content = BYTES_INIT;
    failure_write_frame(p->frame, frame);
    if (!p->file.len || !reader || !reader->read(reader->arg, p->file, &content))
        return;
    struct slice rest = bytes_slice(&content), line = SLICE_EMPTY;
    int number = 0;
    while (number < p->line && (rest.len || !number)) {
        line = slice_split(&rest, '\n');
        number++;
    }
    size_t offset = number == p->line ? (size_t)p->column - 1 : line.len;
    int column = 1;
    for (size_t i = 0; i < offset && i < line.len; i++) {
        unsigned char c = (unsigned char)line.ptr[i];
        column += ((c & 0xc0) != 0x80) + (c >= 0xf0);
    }
    if (number != p->line) {
        bytes_clear(frame);
        sourcemap_frame(bytes_slice(&content), number, column, frame);
    }
    p->line = number;
    p->column = column;
}

/* Could not resolve "NAME": esbuild's advice is about its own options, so we give ours. */
static bool failure_explain_missing(const struct failure_parts *p, struct bytes *out, char *hint,
                                    size_t hint_size)
{
    struct slice prefix = SLICE_LIT("Could not resolve \"");
    if (!slice_starts(p->message, prefix))
        return false;
    struct slice name = slice_skip(p->message, prefix.len);
    while (name.len && name.ptr[name.len - 1] != '"')
        name.len--;
    if (!name.len)
        return false;
    name.len--;
    if (bundle_explain_scheme(name, out, hint, hint_size))
        return true;
    if (name.len && (name.ptr[0] == '.' || name.ptr[0] == '/')) {
        bytes_printf(out, "there is no file \"%.*s\"", SLICE_ARG(name));
        snprintf(hint, hint_size, "the path is looked up from the importing file");
    } else if (slice_starts(name, SLICE_LIT("derp:")) || slice_starts(name, SLICE_LIT("limpet")) ||
               slice_starts(name, SLICE_LIT("cloudflare:"))) {
        bytes_printf(out, "the platform has no module \"%.*s\"", SLICE_ARG(name));
        snprintf(hint, hint_size, "it has %s", bundle_platform_text);
    } else if (slice_find(name, ':') > 0) { /* "virtual:react-router/server-build" */
        bytes_printf(out, "\"%.*s\" is a module that the project's own build makes",
                     SLICE_ARG(name));
        snprintf(hint, hint_size, "run that build first, and deploy what it has made");
    } else {
        bytes_printf(out, "cannot find the package \"%.*s\"", SLICE_ARG(name));
        snprintf(hint, hint_size, "install it beside the function: npm install %.*s",
                 SLICE_ARG(bundle_package_name(name)));
    }
    return true;
}

/* No loader is configured for ".xyz" files: FILE */
static bool failure_explain_loader(const struct failure_parts *p, struct bytes *out, char *hint,
                                   size_t hint_size)
{
    struct slice prefix = SLICE_LIT("No loader is configured for \"");
    if (!slice_starts(p->message, prefix))
        return false;
    struct slice rest = slice_skip(p->message, prefix.len), kind = slice_split(&rest, '"');
    bytes_printf(out, "files of the kind \"%.*s\" cannot be imported as they are", SLICE_ARG(kind));
    snprintf(hint, hint_size,
             "say what they are: import x from \"./file%.*s\" with { type: \"bytes\" }, or "
             "\"text\"",
             SLICE_ARG(slice_utf8_clip(kind, 20)));
    return true;
}

static enum err failure_raw(struct slice text, struct bundle_failure *ret_failure,
                            struct error *ret_error)
{
    text = slice_trim(text);
    if (!text.len)
        return bundle_fail(ret_failure, ret_error, SLICE_EMPTY, 0, 0, SLICE_EMPTY,
                           "the bundler failed without saying why");
    if (text.len > FAILURE_RAW_BYTES_MAX)
        text.len = FAILURE_RAW_BYTES_MAX;
    return bundle_fail(ret_failure, ret_error, SLICE_EMPTY, 0, 0, SLICE_EMPTY,
                       "the bundler failed: %.*s", SLICE_ARG(text));
}

enum err bundle_parse_failure(struct slice text, const struct bundle_source_reader *reader,
                              struct bundle_failure *ret_failure, struct error *ret_error)
{
    struct failure_parts p;
    if (!failure_parse(text, &p))
        return failure_raw(text, ret_failure, ret_error);
    CLEANUP(bytes_done) struct bytes message = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes frame = BYTES_INIT;
    char hint[ERROR_HINT_MAX] = "";
    if (!failure_explain_missing(&p, &message, hint, sizeof(hint)) &&
        !failure_explain_loader(&p, &message, hint, sizeof(hint))) {
        struct slice first = p.message;
        if (first.len > FAILURE_MESSAGE_BYTES_MAX)
            first.len = FAILURE_MESSAGE_BYTES_MAX;
        bytes_append_slice(&message, first);
        /* "Consider adding the "async" keyword here:" needs its position to mean something. */
        bool is_place = p.note.len && p.note.ptr[p.note.len - 1] == ':';
        if (is_place && p.note_file.len)
            snprintf(hint, sizeof(hint), "%.*s %.*s:%d", SLICE_ARG(p.note), SLICE_ARG(p.note_file),
                     p.note_line);
        else if (p.note.len && !is_place)
            snprintf(hint, sizeof(hint), "%.*s", SLICE_ARG(p.note));
    }
    if (p.others)
        bytes_printf(&message, " (and %d more error%s)", p.others, p.others == 1 ? "" : "s");
    failure_settle(reader, &p, &frame);
    enum err code = bundle_fail(ret_failure, ret_error, p.file, p.line, p.column,
                                bytes_slice(&frame), "%s", bytes_cstr(&message));
    if (hint[0])
        error_hint(ret_error, "%s", hint);
    return code;
}

void bundle_failure_done(struct bundle_failure *f)
{
    bytes_done(&f->message);
    bytes_done(&f->file);
    bytes_done(&f->frame);
    *f = (struct bundle_failure){0};
}
