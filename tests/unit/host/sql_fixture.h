/* SPDX-License-Identifier: Apache-2.0
 *
 * For the tests of host/sql*.c: a database in a folder of its own, parameters, and results as text.
 */
#pragma once

#include <ftw.h>
#include <inttypes.h>

#include "base/random.h"

struct fixture {
    char folder[256], path[300];
    struct sql_file *file;
    struct sql_conn *conn;
    struct bytes result;
    struct bytes text;
    struct error error;
    int64_t changes, rowid;
};

static inline void fixture_open(struct fixture *x, uint64_t bytes_max)
{
    if (sql_file_open(x->path, bytes_max, &x->file, &x->error) != OK ||
        sql_conn_open(x->file, &x->conn, &x->error) != OK)
        fail_msg("%s", x->error.message);
}

static inline void fixture_close(struct fixture *x)
{
    sql_conn_close(x->conn);
    sql_file_unref(x->file);
    x->conn = NULL;
    x->file = NULL;
}

static inline void fixture_reopen(struct fixture *x, uint64_t bytes_max)
{
    fixture_close(x);
    fixture_open(x, bytes_max);
}

static inline void folder_make(char folder[256])
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(folder, 256, "%s/limpet-test-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(folder));
}

static inline int folder_remove_entry(const char *path, const struct stat *s, int flag,
                                      struct FTW *ftw)
{
    (void)s;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void folder_remove(const char *folder)
{
    assert_int_equal(nftw(folder, folder_remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static inline int fixture_up(void **state)
{
    struct fixture *x = calloc(1, sizeof(*x));
    folder_make(x->folder);
    (void)snprintf(x->path, sizeof(x->path), "%s/db", x->folder);
    fixture_open(x, 0);
    *state = x;
    return 0;
}

static inline int fixture_down(void **state)
{
    struct fixture *x = *state;
    fixture_close(x);
    folder_remove(x->folder);
    bytes_done(&x->result);
    bytes_done(&x->text);
    free(x);
    return 0;
}

static inline void param_null(struct bytes *p)
{
    bytes_append_char(p, 0);
}

static inline void param_i64(struct bytes *p, int64_t v)
{
    bytes_append_char(p, 1);
    bytes_append_u64(p, (uint64_t)v);
}

static inline void param_f64(struct bytes *p, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, 8);
    bytes_append_char(p, 2);
    bytes_append_u64(p, bits);
}

static inline void param_text(struct bytes *p, struct slice v)
{
    bytes_append_char(p, 3);
    bytes_append_lstr(p, v);
}

static inline void param_blob(struct bytes *p, struct slice v)
{
    bytes_append_char(p, 4);
    bytes_append_lstr(p, v);
}

static inline uint64_t take_int(struct slice *s, size_t len)
{
    uint64_t v = 0;
    assert_true(s->len >= len);
    memcpy(&v, s->ptr, len);
    *s = slice_skip(*s, len);
    return le64toh(v);
}

static inline struct slice take_lstr(struct slice *s)
{
    size_t len = take_int(s, 4);
    assert_true(s->len >= len);
    struct slice text = slice_of(s->ptr, len);
    *s = slice_skip(*s, len);
    return text;
}

static inline void show_value(struct bytes *out, struct slice *s)
{
    uint64_t bits;
    double real;
    struct slice v;
    switch (take_int(s, 1)) {
    case 0:
        bytes_append_cstr(out, "null");
        return;
    case 1:
        bytes_printf(out, "%" PRId64, (int64_t)take_int(s, 8));
        return;
    case 2:
        bits = take_int(s, 8);
        memcpy(&real, &bits, 8);
        bytes_printf(out, "%g", real);
        return;
    case 3:
        v = take_lstr(s);
        bytes_append_char(out, '\'');
        for (size_t i = 0; i < v.len; i++)
            bytes_append_char(out, v.ptr[i] ? v.ptr[i] : '.');
        bytes_append_char(out, '\'');
        return;
    case 4:
        v = take_lstr(s);
        bytes_append_char(out, 'x');
        for (size_t i = 0; i < v.len; i++)
            bytes_printf(out, "%02x", (unsigned char)v.ptr[i]);
        return;
    default:
        fail_msg("bad tag in a result");
    }
}

/* The result as lines: names, then rows; checks that the encoding has exactly the bytes it should.
 */
static inline const char *show(struct fixture *x)
{
    struct slice s = bytes_slice(&x->result);
    bytes_clear(&x->text);
    uint32_t columns = (uint32_t)take_int(&s, 4);
    for (uint32_t i = 0; i < columns; i++) {
        struct slice name = take_lstr(&s);
        bytes_printf(&x->text, "%s%.*s", i ? "|" : "", SLICE_ARG(name));
    }
    if (columns)
        bytes_append_char(&x->text, '\n');
    uint32_t rows = (uint32_t)take_int(&s, 4);
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t i = 0; i < columns; i++) {
            if (i)
                bytes_append_char(&x->text, '|');
            show_value(&x->text, &s);
        }
        bytes_append_char(&x->text, '\n');
    }
    x->changes = (int64_t)take_int(&s, 8);
    x->rowid = (int64_t)take_int(&s, 8);
    assert_int_equal(s.len, 0);
    return bytes_cstr(&x->text);
}

static inline enum err run_slice(struct fixture *x, struct slice sql, const struct bytes *params)
{
    bytes_clear(&x->result);
    x->error = (struct error){0};
    enum err err =
        sql_exec(x->conn, sql, params ? bytes_slice(params) : SLICE_EMPTY, &x->result, &x->error);
    assert_int_equal(err, x->error.code);
    if (!err)
        (void)show(x);
    return err;
}

static inline enum err run(struct fixture *x, const char *sql, const struct bytes *params)
{
    return run_slice(x, slice_cstr(sql), params);
}

static inline enum err act(struct fixture *x, enum sql_action action)
{
    x->error = (struct error){0};
    return sql_transaction(x->conn, action, &x->error);
}
