/* SPDX-License-Identifier: Apache-2.0
 *
 * Width is counted in characters, not bytes; what a terminal would take for a command (control
 * characters of guests' texts) is replaced. */
#include "cli/say.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

int say_error(bool is_json, const struct error *e, int exit_code)
{
    if (is_json) {
        CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
        struct json_writer w = json_writer(&text);
        json_error(&w, e);
        fprintf(stderr, "%s\n", bytes_cstr(&text));
        return exit_code;
    }
    fprintf(stderr, "error: %s\n", e->message);
    if (e->hint[0])
        fprintf(stderr, "hint: %s\n", e->hint);
    return exit_code;
}

void say_progress(bool is_json, const char *format, ...)
{
    va_list args;
    if (is_json)
        return;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void say_ago(int64_t then_ms, int64_t now_ms, char *ret_text, size_t size)
{
    int64_t s = (now_ms - then_ms) / 1000;
    if (then_ms == 0)
        snprintf(ret_text, size, "-");
    else if (s < 2)
        snprintf(ret_text, size, "just now");
    else if (s < 100)
        snprintf(ret_text, size, "%lld s ago", (long long)s);
    else if (s < 100 * 60)
        snprintf(ret_text, size, "%lld min ago", (long long)(s / 60));
    else if (s < 48 * 3600)
        snprintf(ret_text, size, "%lld h ago", (long long)(s / 3600));
    else
        snprintf(ret_text, size, "%lld days ago", (long long)(s / 86400));
}

void say_duration(double ms, char *ret_text, size_t size)
{
    if (ms < 10)
        snprintf(ret_text, size, "%.1f ms", ms);
    else if (ms < 1000)
        snprintf(ret_text, size, "%.0f ms", ms);
    else if (ms < 120 * 1000)
        snprintf(ret_text, size, "%.1f s", ms / 1000);
    else
        snprintf(ret_text, size, "%lld min %lld s", (long long)ms / 60000,
                 (long long)ms / 1000 % 60);
}

void say_elapsed(int64_t ms, char *ret_text, size_t size)
{
    long long all = ms < 0 ? 0 : ms, s = all / 1000;
    if (s < 3600)
        snprintf(ret_text, size, "+%lld.%03llds", s, all % 1000);
    else if (s < 86400)
        snprintf(ret_text, size, "+%lldh%02lldm%02llds", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(ret_text, size, "+%lldd%02lldh%02lldm", s / 86400, s / 3600 % 24, s / 60 % 60);
}

static void append_clean(struct bytes *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_control = (unsigned char)c < 0x20 || c == 0x7f;
        bytes_append_char(out, is_control ? ' ' : c);
    }
}

void say_cell(struct bytes *out, struct slice text, size_t width)
{
    size_t chars = 0;
    append_clean(out, text);
    for (size_t i = 0; i < text.len; i++)
        chars += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    for (size_t end = (chars > width ? chars : width) + 2; chars < end; chars++)
        bytes_append_char(out, ' ');
}

void say_bytes(uint64_t bytes, char *ret_text, size_t size)
{
    if (bytes < 1000)
        snprintf(ret_text, size, "%llu B", (unsigned long long)bytes);
    else if (bytes < 1000 * 1000)
        snprintf(ret_text, size, "%.1f KB", (double)bytes / 1e3);
    else
        snprintf(ret_text, size, "%.1f MB", (double)bytes / 1e6);
}

/* ---- tables ---- */

struct table table_new(const char *const *titles, size_t columns)
{
    CHECK(columns > 0 && columns <= TABLE_COLUMNS_MAX);
    struct table t = {.columns = columns};
    for (size_t i = 0; i < columns; i++)
        table_cell(&t, slice_cstr(titles[i]));
    return t;
}

void table_cell(struct table *t, struct slice text)
{
    if (text.len == 0)
        text = SLICE_LIT("-");
    append_clean(&t->text, text);
    bytes_append_char(&t->text, '\0');
    t->cells++;
}

static size_t width_of(const char *cell)
{
    size_t width = 0;
    for (; *cell; cell++)
        width += ((unsigned char)*cell & 0xc0) != 0x80;
    return width;
}

void table_write(const struct table *t, struct bytes *out)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    CHECK(t->cells % t->columns == 0);
    const char *cell = t->text.ptr;
    for (size_t i = 0; i < t->cells; i++, cell += strlen(cell) + 1) {
        size_t width = width_of(cell);
        if (width > widths[i % t->columns])
            widths[i % t->columns] = width;
    }
    cell = t->text.ptr;
    for (size_t i = 0; i < t->cells; i++, cell += strlen(cell) + 1) {
        size_t column = i % t->columns;
        bytes_append_cstr(out, cell);
        if (column + 1 == t->columns) {
            bytes_append_char(out, '\n');
            continue;
        }
        for (size_t pad = width_of(cell); pad < widths[column] + 2; pad++)
            bytes_append_char(out, ' ');
    }
}

void table_done(struct table *t)
{
    bytes_done(&t->text);
}
