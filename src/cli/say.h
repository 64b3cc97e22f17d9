/* SPDX-License-Identifier: Apache-2.0
 *
 * What people read: errors on standard error, times and sizes in words, and tables. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "cli/command.h"

/* "error: …" and "hint: …", or with is_json the one error shape on one line. Returns code. */
int say_error(bool is_json, const struct error *e, int exit_code);
/* A step of longer work, on standard error; nothing with is_json. */
void say_progress(bool is_json, const char *format, ...) PRINTF_LIKE(2, 3);
/* "just now", "42 s ago", "3 min ago", "5 h ago", "2 days ago"; "-" for 0. */
void say_ago(int64_t then_ms, int64_t now_ms, char *ret_text, size_t size);
/* "12 ms", "1.4 s", "3 min 5 s" */
void say_duration(double ms, char *ret_text, size_t size);
/* Since a beginning: "+1.234s", from an hour on "+2h03m04s", "+10d02h03m". */
void say_elapsed(int64_t ms, char *ret_text, size_t size);
/* Appends text, spaces up to width and two more, also when it is longer; no control characters. */
void say_cell(struct bytes *out, struct slice text, size_t width);
/* "512 B", "2.1 KB", "3.0 MB" */
void say_bytes(uint64_t bytes, char *ret_text, size_t size);

enum { TABLE_COLUMNS_MAX = 8 };

/* Cells are copied. Columns are as wide as their widest cell; the last one is not padded. */
struct table {
    size_t columns;
    struct bytes text; /* cells one after the other, each NUL-terminated */
    size_t cells;
};
struct table table_new(const char *const *titles, size_t columns);
void table_cell(struct table *t, struct slice text); /* "" shows as "-" */
void table_write(const struct table *t, struct bytes *out);
void table_done(struct table *t);
