/* SPDX-License-Identifier: Apache-2.0
 *
 * Decodes a guest's parameters (host/ops.def, SQL_EXEC) and binds them. Every length comes from the
 * guest and is checked against what is left. Bound text and blobs are borrowed from the encoding,
 * so the statement's bindings are cleared before it is given back. Pure but for the statement. */
#include <endian.h>
#include <string.h>

#include "host/sql_internal.h"

enum { PARAM_NULL = 0, PARAM_I64 = 1, PARAM_F64 = 2, PARAM_TEXT = 3, PARAM_BLOB = 4 };

static bool params_u32(struct slice *rest, uint32_t *ret)
{
    if (rest->len < 4)
        return false;
    uint32_t v;
    memcpy(&v, rest->ptr, 4);
    *ret = le32toh(v);
    *rest = slice_skip(*rest, 4);
    return true;
}

static bool params_u64(struct slice *rest, uint64_t *ret)
{
    if (rest->len < 8)
        return false;
    uint64_t v;
    memcpy(&v, rest->ptr, 8);
    *ret = le64toh(v);
    *rest = slice_skip(*rest, 8);
    return true;
}

static bool params_lstr(struct slice *rest, struct slice *ret)
{
    uint32_t len;
    if (!params_u32(rest, &len) || rest->len < len)
        return false;
    /* Not NULL even when empty: SQLite would bind a null. */
    *ret = slice_of(len ? rest->ptr : "", len);
    *rest = slice_skip(*rest, len);
    return true;
}

static enum err params_malformed(struct error *ret_error)
{
    return error_set(ret_error, ERR_INVALID, "SQL parameters are not encoded as they should be");
}

enum err sql_params_count(struct slice params, uint32_t *ret_count, struct error *ret_error)
{
    *ret_count = 0;
    if (params.len == 0)
        return OK;
    return params_u32(&params, ret_count) ? OK : params_malformed(ret_error);
}

/* Text as it is to be stored: what is not UTF-8 (a lone surrogate of the guest) is replaced. */
static int params_bind_text(sqlite3_stmt *stmt, int index, struct slice text)
{
    if (slice_is_utf8(text))
        return sqlite3_bind_text64(stmt, index, text.ptr, text.len, SQLITE_STATIC, SQLITE_UTF8);
    struct bytes clean = BYTES_INIT;
    if (sql_text_append(&clean, text, 4 + 3 * text.len) != OK)
        return SQLITE_NOMEM;
    int rc = sqlite3_bind_text64(stmt, index, clean.ptr + 4, clean.len - 4, SQLITE_TRANSIENT,
                                 SQLITE_UTF8);
    bytes_done(&clean);
    return rc;
}

/* False: malformed. */
static bool params_bind_one(sqlite3_stmt *stmt, int index, struct slice *rest, int *ret_rc)
{
    struct slice text;
    uint64_t bits;
    double real;
    if (!rest->len)
        return false;
    char tag = rest->ptr[0];
    *rest = slice_skip(*rest, 1);
    switch (tag) {
    case PARAM_NULL:
        *ret_rc = sqlite3_bind_null(stmt, index);
        return true;
    case PARAM_I64:
        if (!params_u64(rest, &bits))
            return false;
        *ret_rc = sqlite3_bind_int64(stmt, index, (sqlite3_int64)bits);
        return true;
    case PARAM_F64:
        if (!params_u64(rest, &bits))
            return false;
        memcpy(&real, &bits, sizeof(real));
        *ret_rc = sqlite3_bind_double(stmt, index, real); /* NaN becomes NULL, infinities stay */
        return true;
    case PARAM_TEXT:
        if (!params_lstr(rest, &text))
            return false;
        *ret_rc = params_bind_text(stmt, index, text);
        return true;
    case PARAM_BLOB:
        if (!params_lstr(rest, &text))
            return false;
        *ret_rc = sqlite3_bind_blob64(stmt, index, text.ptr, text.len, SQLITE_STATIC);
        return true;
    default:
        return false;
    }
}

enum err sql_params_bind(sqlite3_stmt *stmt, struct slice params, struct error *ret_error)
{
    uint32_t count;
    int wanted = sqlite3_bind_parameter_count(stmt);
    enum err err = sql_params_count(params, &count, ret_error);
    if (err)
        return err;
    if (count != (uint32_t)wanted)
        return error_set(ret_error, ERR_SQL, "the statement has %d parameter%s, but %u %s given",
                         wanted, wanted == 1 ? "" : "s", count, count == 1 ? "was" : "were");
    struct slice rest = slice_skip(params, 4);
    for (int index = 1; index <= wanted; index++) {
        int rc = SQLITE_OK;
        if (!params_bind_one(stmt, index, &rest, &rc))
            return params_malformed(ret_error);
        if (rc != SQLITE_OK)
            return sql_error(ret_error, "", sqlite3_db_handle(stmt), rc);
    }
    return rest.len ? params_malformed(ret_error) : OK;
}

/* Bytes of the character that text starts with; 0: it is not UTF-8. */
static size_t text_character(struct slice text)
{
    for (size_t len = 1; len <= 4 && len <= text.len; len++) {
        if (slice_is_utf8(slice_of(text.ptr, len)))
            return len;
    }
    return 0;
}

enum err sql_text_append(struct bytes *out, struct slice text, size_t len_max)
{
    enum err err = bytes_try_reserve(out, text.len + 4, len_max);
    if (err)
        return err;
    if (slice_is_utf8(text)) {
        bytes_append_lstr(out, text);
        return OK;
    }
    size_t start = out->len;
    bytes_append_u32(out, 0);
    while (text.len) {
        size_t len = text_character(text);
        struct slice piece = len ? slice_of(text.ptr, len) : SLICE_LIT("\xef\xbf\xbd");
        err = bytes_try_append(out, piece.ptr, piece.len, len_max);
        if (err) {
            out->len = start;
            return err;
        }
        text = slice_skip(text, len ? len : 1);
    }
    uint32_t written = htole32((uint32_t)(out->len - start - 4));
    memcpy(out->ptr + start, &written, 4);
    return OK;
}
