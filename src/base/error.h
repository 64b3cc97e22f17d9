/* SPDX-License-Identifier: Apache-2.0
 *
 * Every failure has one code from this table; its HTTP status and whether trying again can help are
 * properties of the code, so that HTTP, guests, the journal and the CLI agree. What can fail
 * returns `enum err` (OK is 0) and fills an optional `struct error *ret_error`, last argument, with
 * a message for people and a hint that says what to do. On OK the struct is left untouched. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>

#include "base/check.h"

/* code, text on the wire, HTTP status, whether the same call may succeed later. The numbers of the
 * codes are in journals: new ones come at the end, none goes. */
#define ERROR_TABLE(X)                                                                             \
    X(INVALID, "invalid", 400, false)           /* malformed input or name */                      \
    X(UNAUTHORIZED, "unauthorized", 401, false) /* no token, or a wrong one */                     \
    X(FORBIDDEN, "forbidden", 403, false)       /* policy: egress, capability */                   \
    X(NOT_FOUND, "not_found", 404, false)                                                          \
    X(METHOD, "method_not_allowed", 405, false)                                                    \
    X(CONFLICT, "conflict", 409, false)                                                            \
    X(NOT_READY, "not_ready", 409, true) /* no version of it has been built yet */                 \
    X(TOO_LARGE, "too_large", 413, false)                                                          \
    X(UNSUPPORTED_TYPE, "unsupported_media_type", 415, false)                                      \
    X(BUILD_FAILED, "build_failed", 422, false)                                                    \
    X(HEADERS_TOO_LARGE, "headers_too_large", 431, false)                                          \
    X(GUEST, "guest_error", 500, false)         /* guest code threw */                             \
    X(LIMIT_MEMORY, "limit_memory", 500, false) /* guest passed its memory limit */                \
    X(LIMIT_CPU, "limit_cpu", 500, false)       /* guest passed its CPU limit */                   \
    X(LIMIT_STACK, "limit_stack", 500, false)   /* guest recursed too deep */                      \
    X(LIMIT_OPS, "limit_ops", 500, false)       /* guest passed its pending-op limit */            \
    X(LIMIT, "limit", 500, false)               /* any other named limit */                        \
    X(TIMEOUT, "timeout", 504, true)                                                               \
    X(CANCELLED, "cancelled", 499, false)                                                          \
    X(OVERLOAD, "overload", 503, true)                                                             \
    X(UNAVAILABLE, "unavailable", 503, true) /* shutting down, store refuses work */               \
    X(IO, "io", 500, true)                   /* disk or network failed */                          \
    X(NETWORK, "network", 502, true)         /* outgoing request failed */                         \
    X(SQL, "sql", 500, false)                /* the guest's SQL was refused by SQLite */           \
    X(CORRUPT, "corrupt", 500, false)        /* stored data fails its checks */                    \
    X(INTERNAL, "internal", 500, false)                                                            \
    X(DIVERGED, "non_deterministic", 500, false) /* a replay differs from its journal */           \
    X(FENCED, "fenced", 503, true)               /* another server owns the data now */            \
    X(LIMIT_CALLS, "limit_calls", 508, false)    /* modules that call each other, too deep */      \
    X(LIMIT_DISK, "limit_disk", 507, false)      /* a quota of what is kept on disk */             \
    X(LIMIT_QUOTA, "limit_quota", 429, true)     /* a quota of what may be under way at once */

enum err {
    OK = 0,
#define X(code, text, status, retryable) ERR_##code,
    ERROR_TABLE(X)
#undef X
        ERR_COUNT_
};

enum { ERROR_MESSAGE_MAX = 768, ERROR_HINT_MAX = 256 };

struct error {
    enum err code;
    char message[ERROR_MESSAGE_MAX];
    char hint[ERROR_HINT_MAX]; /* "" if there is nothing useful to say */
};

/* Fills ret (may be NULL) and returns code, so that a failure is one return statement. */
enum err error_set(struct error *ret, enum err code, const char *format, ...) PRINTF_LIKE(3, 4);
/* Sets the hint of an already filled error; ret may be NULL. */
void error_hint(struct error *ret, const char *format, ...) PRINTF_LIKE(2, 3);
/* Puts "context: " in front of the message; ret may be NULL. Returns ret's code, or fallback. */
enum err error_context(struct error *ret, enum err fallback, const char *format, ...)
    PRINTF_LIKE(3, 4);

const char *error_text(enum err code); /* "not_found" */
int error_http_status(enum err code);  /* 404; OK gives 200 */
bool error_is_retryable(enum err code);
/* Its message is our own and about the caller's request or a limit, so that anyone may read it. That
 * of the others may quote what guest code said, or name a file of this machine. */
bool error_is_public(enum err code);
/* The code with that text, or ERR_INTERNAL. */
enum err error_from_text(const char *text);
