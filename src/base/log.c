/* SPDX-License-Identifier: Apache-2.0
 *
 * logfmt on standard error. A line is built whole and written with one write(2), so that lines of
 * different threads do not mix. Values come from anywhere, guests included: what could start a new
 * field or line, or move a terminal, is quoted and escaped, and a value is cut at
 * LIMIT_LOG_VALUE_BYTES. A log that cannot be written is lost; nothing waits for it. Any thread. */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits.h"

static const char *const log_level_names[] = {"debug", "info", "warn", "error"};

static _Atomic int log_level_least = LOG_INFO;

void log_set_level(enum log_level least)
{
    atomic_store_explicit(&log_level_least, (int)least, memory_order_relaxed);
}

static bool log_is_plain(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return s.len > 0;
}

static void log_append_escaped(struct bytes *line, unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        bytes_append_char(line, '\\');
        bytes_append_char(line, (char)c);
        break;
    case '\n':
        bytes_append_cstr(line, "\\n");
        break;
    case '\r':
        bytes_append_cstr(line, "\\r");
        break;
    case '\t':
        bytes_append_cstr(line, "\\t");
        break;
    default:
        bytes_printf(line, "\\x%02x", c);
    }
}

static void log_append_quoted(struct bytes *line, struct slice s)
{
    bytes_append_char(line, '"');
    while (s.len) {
        unsigned char c = (unsigned char)s.ptr[0];
        size_t len = slice_utf8_char(s);
        /* U+0080 to U+009F are control characters too (C2 80 to C2 9F). */
        bool is_c1 = len == 2 && c == 0xc2 && (unsigned char)s.ptr[1] < 0xa0;
        if (len == 0 || is_c1 || c < ' ' || c == 0x7f || c == '"' || c == '\\') {
            log_append_escaped(line, c);
            len = 1;
        } else {
            bytes_append(line, s.ptr, len);
        }
        s = slice_skip(s, len);
    }
    bytes_append_char(line, '"');
}

static void log_append_value(struct bytes *line, struct slice value)
{
    struct slice kept = slice_utf8_clip(value, LIMIT_LOG_VALUE_BYTES);
    if (log_is_plain(kept))
        bytes_append_slice(line, kept);
    else
        log_append_quoted(line, kept);
    if (kept.len < value.len)
        bytes_append_cstr(line, "...");
}

void log_line(enum log_level level, const char *message, const struct log_field *fields)
{
    if ((int)level < atomic_load_explicit(&log_level_least, memory_order_relaxed))
        return;
    const int saved_errno = errno; /* logging is often the last thing before errno is looked at */
    CLEANUP(bytes_done) struct bytes line = BYTES_INIT;
    char now[CLOCK_ISO_SIZE];
    clock_iso(clock_wall_us(), now);
    bytes_reserve(&line, 256);
    bytes_append_cstr(&line, "time=");
    bytes_append_cstr(&line, now);
    bytes_append_cstr(&line, " level=");
    bytes_append_cstr(&line, log_level_names[level]);
    bytes_append_cstr(&line, " msg=");
    log_append_quoted(&line, slice_cstr(message));
    for (const struct log_field *f = fields; f && f->key; f++) {
        bytes_append_char(&line, ' ');
        bytes_append_cstr(&line, f->key);
        bytes_append_char(&line, '=');
        if (f->kind == LOG_FIELD_INT)
            bytes_printf(&line, "%lld", (long long)f->num);
        else
            log_append_value(&line, f->str);
    }
    bytes_append_char(&line, '\n');
    ssize_t wrote;
    do
        wrote = write(STDERR_FILENO, line.ptr, line.len);
    while (wrote < 0 && errno == EINTR);
    errno = saved_errno;
}
