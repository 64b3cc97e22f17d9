/* SPDX-License-Identifier: Apache-2.0
 *
 * One line per event in logfmt on standard error: time, level, a fixed message, fields. error =
 * someone must act; warn = degraded, going on; info = lifecycle; debug = per request. Any thread;
 * a line is written with one write(2). Library code returns errors and does not log; the place that
 * stops an error's journey logs it, once. No secrets, no bodies. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
    const char *key; /* NULL ends the list */
    enum { LOG_FIELD_STR, LOG_FIELD_INT } kind;
    struct slice str;
    int64_t num;
};

#define LOG_STR(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_STR, .str = slice_cstr(v)})
#define LOG_SLICE(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_STR, .str = (v)})
#define LOG_INT(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_INT, .num = (int64_t)(v)})

void log_set_level(enum log_level least);
void log_line(enum log_level level, const char *message, const struct log_field *fields);

#define LOG_FIELDS_(...)                                                                           \
    ((const struct log_field[]){__VA_ARGS__ __VA_OPT__(, )(struct log_field){0}})
#define log_debug(message, ...) log_line(LOG_DEBUG, message, LOG_FIELDS_(__VA_ARGS__))
#define log_info(message, ...) log_line(LOG_INFO, message, LOG_FIELDS_(__VA_ARGS__))
#define log_warn(message, ...) log_line(LOG_WARN, message, LOG_FIELDS_(__VA_ARGS__))
#define log_error(message, ...) log_line(LOG_ERROR, message, LOG_FIELDS_(__VA_ARGS__))
