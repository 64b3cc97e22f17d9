/* SPDX-License-Identifier: Apache-2.0
 *
 * The error table and the filling of struct error. Texts are formatted aside first, because callers
 * like to quote the old message while replacing it; a text that is too long is cut between
 * characters. Any thread. */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

#include "base/slice.h"

static const struct {
    const char *text;
    int http_status;
    bool is_retryable;
} error_table[ERR_COUNT_] = {[OK] = {"ok", 200, false},
#define X(code, text, status, retryable) [ERR_##code] = {text, status, retryable},
                             ERROR_TABLE(X)
#undef X
};

static void error_store(char *to, size_t size, const char *text)
{
    struct slice kept = slice_utf8_clip(slice_cstr(text), size - 1);
    memcpy(to, kept.ptr, kept.len);
    to[kept.len] = '\0';
}

enum err error_set(struct error *ret, enum err code, const char *format, ...)
{
    CHECK(code > OK && code < ERR_COUNT_);
    if (!ret)
        return code;
    char text[ERROR_MESSAGE_MAX + 4]; /* enough beyond the end to see a cut character */
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    CHECK(wanted >= 0);
    ret->code = code;
    ret->hint[0] = '\0';
    error_store(ret->message, sizeof(ret->message), text);
    return code;
}

void error_hint(struct error *ret, const char *format, ...)
{
    if (!ret)
        return;
    char text[ERROR_HINT_MAX + 4];
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    CHECK(wanted >= 0);
    error_store(ret->hint, sizeof(ret->hint), text);
}

enum err error_context(struct error *ret, enum err fallback, const char *format, ...)
{
    CHECK(fallback > OK && fallback < ERR_COUNT_);
    if (!ret)
        return fallback;
    const bool is_filled = ret->code != OK;
    char text[2 * ERROR_MESSAGE_MAX + 4];
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(text, ERROR_MESSAGE_MAX + 4, format, args);
    va_end(args);
    CHECK(wanted >= 0);
    if (!is_filled) {
        ret->code = fallback;
        ret->hint[0] = '\0';
        error_store(ret->message, sizeof(ret->message), text);
        return fallback;
    }
    size_t len = slice_utf8_clip(slice_cstr(text), ERROR_MESSAGE_MAX).len;
    (void)snprintf(text + len, sizeof(text) - len, ": %s", ret->message); /* cut below */
    error_store(ret->message, sizeof(ret->message), text);
    return ret->code;
}

const char *error_text(enum err code)
{
    CHECK(code >= OK && code < ERR_COUNT_);
    return error_table[code].text;
}

int error_http_status(enum err code)
{
    CHECK(code >= OK && code < ERR_COUNT_);
    return error_table[code].http_status;
}

bool error_is_retryable(enum err code)
{
    CHECK(code >= OK && code < ERR_COUNT_);
    return error_table[code].is_retryable;
}

bool error_is_public(enum err code)
{
    switch (code) {
    case ERR_GUEST:
    case ERR_LIMIT_STACK: /* these two and LIMIT_OPS carry the exception's text */
    case ERR_LIMIT_OPS:
    case ERR_IO:
    case ERR_NETWORK:
    case ERR_SQL:
    case ERR_CORRUPT:
    case ERR_INTERNAL:
    case ERR_DIVERGED:
        return false;
    default:
        return true;
    }
}

enum err error_from_text(const char *text)
{
    for (enum err code = OK + 1; text && code < ERR_COUNT_; code++) {
        if (strcmp(error_table[code].text, text) == 0)
            return code;
    }
    return ERR_INTERNAL;
}
