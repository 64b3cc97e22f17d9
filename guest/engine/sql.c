/* SPDX-License-Identifier: Apache-2.0 */
#include "sql.h"

#include "engine.h"
#include "op.h"
#include "text.h"

enum { SQL_END_TURN = 4 /* action of op SQL_TRANSACTION */ };
enum sql_tag { SQL_NULL, SQL_I64, SQL_F64, SQL_TEXT, SQL_BLOB };

static const int64_t SAFE_INTEGER = ((int64_t)1 << 53) - 1;

/* --- parameters ----------------------------------------------------------------------------------
 */

static void sql_add_i64(struct buffer *out, int64_t value)
{
    buffer_add_u8(out, SQL_I64);
    buffer_add(out, &value, sizeof value);
}

static bool sql_add_bytes(JSContext *ctx, struct buffer *out, JSValueConst value, uint32_t index)
{
    struct text bytes = text_of_buffer(ctx, value);
    if (bytes.at) {
        buffer_add_u8(out, SQL_BLOB);
        buffer_add_lstr(out, bytes.at, bytes.len);
        return true;
    }
    if (!JS_HasException(ctx))
        JS_ThrowTypeError(
            ctx,
            "SQL parameter %u is an object; give null, a boolean, number, bigint, string, "
            "ArrayBuffer or typed array (JSON.stringify() what shall be stored as JSON)",
            (unsigned)index + 1);
    return false;
}

static bool sql_add_bigint(JSContext *ctx, struct buffer *out, JSValueConst value, uint32_t index)
{
    int64_t number;
    if (JS_ToBigInt64(ctx, &number, value) < 0)
        return false;
    JSValue back = JS_NewBigInt64(ctx, number); /* JS_ToBigInt64 wraps around silently */
    bool is_same = JS_IsStrictEqual(ctx, back, value);
    JS_FreeValue(ctx, back);
    if (is_same)
        sql_add_i64(out, number);
    else
        JS_ThrowRangeError(ctx, "SQL parameter %u does not fit 64 bits", (unsigned)index + 1);
    return is_same;
}

static bool sql_add_number(JSContext *ctx, struct buffer *out, JSValueConst value)
{
    double number = 0;
    if (JS_ToFloat64(ctx, &number, value) < 0)
        return false;
    bool is_integer = number >= -(double)SAFE_INTEGER && number <= (double)SAFE_INTEGER &&
                      (double)(int64_t)number == number;
    if (is_integer && !(number == 0 && signbit(number))) {
        sql_add_i64(out, (int64_t)number);
    } else if (number != number) {
        buffer_add_u8(out, SQL_NULL); /* as SQLite itself does with NaN */
    } else {
        buffer_add_u8(out, SQL_F64);
        buffer_add(out, &number, sizeof number);
    }
    return true;
}

static bool sql_add_text(JSContext *ctx, struct buffer *out, JSValueConst value)
{
    struct text text = text_of(ctx, value);
    if (!text.at)
        return false;
    buffer_add_u8(out, SQL_TEXT);
    buffer_add_lstr(out, text.at, text.len);
    text_done(ctx, text);
    return true;
}

static bool sql_add_value(JSContext *ctx, struct buffer *out, JSValueConst value, uint32_t index)
{
    if (JS_IsString(value))
        return sql_add_text(ctx, out, value);
    if (JS_IsNumber(value))
        return sql_add_number(ctx, out, value);
    if (JS_IsBigInt(value))
        return sql_add_bigint(ctx, out, value, index);
    if (JS_IsBool(value)) {
        sql_add_i64(out, JS_VALUE_GET_BOOL(value));
        return true;
    }
    if (JS_IsNull(value) || JS_IsUndefined(value)) {
        buffer_add_u8(out, SQL_NULL);
        return true;
    }
    return sql_add_bytes(ctx, out, value, index);
}

static bool sql_add_params(JSContext *ctx, struct buffer *out, JSValueConst params)
{
    int64_t count = 0;
    if (JS_IsUndefined(params)) {
        buffer_add_u32(out, 0);
        return true;
    }
    if (JS_GetLength(ctx, params, &count) < 0)
        return false;
    if (count < 0 || count > 32766) {
        JS_ThrowRangeError(ctx, "an SQL statement takes at most 32766 parameters");
        return false;
    }
    buffer_add_u32(out, (uint32_t)count);
    for (uint32_t i = 0; i < count; i++) {
        JSValue value = JS_GetPropertyUint32(ctx, params, i);
        bool is_ok = !JS_IsException(value) && sql_add_value(ctx, out, value, i);
        JS_FreeValue(ctx, value);
        if (!is_ok)
            return false;
    }
    if (out->is_failed)
        JS_ThrowOutOfMemory(ctx);
    return !out->is_failed;
}

/* --- results -------------------------------------------------------------------------------------
 */

static JSValue sql_integer(JSContext *ctx, int64_t value)
{
    return value >= -SAFE_INTEGER && value <= SAFE_INTEGER ? JS_NewInt64(ctx, value)
                                                           : JS_NewBigInt64(ctx, value);
}

static JSValue sql_read_value(JSContext *ctx, struct reader *in)
{
    struct text text;
    switch (reader_u8(in)) {
    case SQL_NULL:
        return JS_NULL;
    case SQL_I64:
        return sql_integer(ctx, reader_i64(in));
    case SQL_F64:
        return JS_NewNumber(ctx, reader_f64(in));
    case SQL_TEXT:
        text = reader_lstr(in);
        return text_decode(ctx, (const uint8_t *)text.at, text.len, true);
    case SQL_BLOB:
        text = reader_lstr(in);
        return JS_NewUint8ArrayCopy(ctx, (const uint8_t *)text.at, text.len);
    default:
        in->is_bad = true;
        return JS_UNDEFINED;
    }
}

static JSValue sql_read_rows(JSContext *ctx, struct reader *in, uint32_t columns)
{
    JSValue rows = JS_NewArray(ctx);
    uint32_t count = reader_u32(in);
    for (uint32_t i = 0; i < count && !in->is_bad && !JS_IsException(rows); i++) {
        JSValue row = JS_NewArray(ctx);
        bool is_ok = !JS_IsException(row);
        for (uint32_t k = 0; k < columns && is_ok; k++) {
            JSValue value = sql_read_value(ctx, in);
            is_ok = !JS_IsException(value) &&
                    JS_DefinePropertyValueUint32(ctx, row, k, value, JS_PROP_C_W_E) >= 0;
        }
        if (!is_ok || JS_DefinePropertyValueUint32(ctx, rows, i, row, JS_PROP_C_W_E) < 0) {
            JS_FreeValue(ctx, rows);
            return JS_EXCEPTION;
        }
    }
    return rows;
}

static JSValue sql_read_result(JSContext *ctx, struct reader *in)
{
    JSValue names = JS_NewArray(ctx), result = JS_NewObject(ctx);
    uint32_t columns = reader_u32(in);
    for (uint32_t i = 0; i < columns && !in->is_bad; i++) {
        struct text name = reader_lstr(in);
        JS_DefinePropertyValueUint32(ctx, names, i,
                                     text_decode(ctx, (const uint8_t *)name.at, name.len, true),
                                     JS_PROP_C_W_E);
    }
    JSValue rows = sql_read_rows(ctx, in, columns);
    if (JS_IsException(rows) || JS_IsException(result)) {
        JS_FreeValues(ctx, names, result, rows);
        return JS_EXCEPTION;
    }
    JS_DefinePropertyValueStr(ctx, result, "columns", names, JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(ctx, result, "rows", rows, JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(ctx, result, "changes", sql_integer(ctx, reader_i64(in)),
                              JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(ctx, result, "lastRowId", sql_integer(ctx, reader_i64(in)),
                              JS_PROP_C_W_E);
    if (in->is_bad) {
        JS_FreeValue(ctx, result);
        return JS_ThrowInternalError(ctx, "malformed SQL result");
    }
    return result;
}

JSValue sql_exec(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct op_reply reply;
    if (argc < 1 || !JS_IsString(argv[0]))
        return JS_ThrowTypeError(ctx, "SQL must be a string");
    struct text sql = text_of(ctx, argv[0]);
    uint8_t small[256];
    struct buffer params = {.data = small, .cap = sizeof small, .is_lent = true};
    JSValue result = JS_EXCEPTION;
    if (sql.at && sql_add_params(ctx, &params, argc > 1 ? argv[1] : JS_UNDEFINED)) {
        struct op_sql_exec args = {.sql = op_bytes(sql.at, sql.len),
                                   .params = op_bytes(params.data, params.len)};
        if (op_ask(ctx, OP_SQL_EXEC, &args, &reply)) {
            struct reader in = reader_of(reply.data, reply.len);
            result = sql_read_result(ctx, &in);
            op_reply_done(&reply);
        }
    }
    buffer_done(&params);
    if (sql.at)
        text_done(ctx, sql);
    return result;
}

JSValue sql_transaction(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct op_reply reply;
    uint32_t action = 0;
    if (argc > 0 && JS_ToUint32(ctx, &action, argv[0]) < 0)
        return JS_EXCEPTION;
    if (!op_ask(ctx, OP_SQL_TRANSACTION, &(struct op_sql_transaction){.action = action}, &reply))
        return JS_EXCEPTION;
    op_reply_done(&reply);
    return JS_UNDEFINED;
}

void sql_end_turn(JSContext *ctx)
{
    struct op_reply reply;
    if (op_ask(ctx, OP_SQL_TRANSACTION, &(struct op_sql_transaction){.action = SQL_END_TURN},
               &reply))
        op_reply_done(&reply);
    else
        JS_FreeValue(ctx, JS_GetException(ctx)); /* the isolate is ending */
    eng.has_turn = false;
}

/* --- lists of statements (src/host/statements.h) ---------------------------------------------------
 */

static bool sql_add_statement(JSContext *ctx, struct buffer *out, JSValueConst of)
{
    JSValue sql = JS_GetPropertyUint32(ctx, of, 0), params = JS_GetPropertyUint32(ctx, of, 1);
    bool is_ok = !JS_IsException(sql) && !JS_IsException(params);
    struct text text = is_ok ? text_of(ctx, sql) : (struct text){0};
    uint32_t at = 0;
    if (text.at) {
        buffer_add_lstr(out, text.at, text.len);
        at = out->len;
        buffer_add_u32(out, 0); /* the length of what follows */
        is_ok = sql_add_params(ctx, out, params);
    } else {
        is_ok = false;
    }
    if (is_ok) {
        uint32_t len = out->len - at - 4;
        memcpy(out->data + at, &len, sizeof len);
    }
    if (text.at)
        text_done(ctx, text);
    JS_FreeValues(ctx, sql, params);
    return is_ok;
}

JSValue sql_pack(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct buffer out = {0};
    uint32_t flags = 0;
    int64_t count = 0;
    JSValue result = JS_EXCEPTION;
    if (argc < 2 || JS_ToUint32(ctx, &flags, argv[0]) < 0 || JS_GetLength(ctx, argv[1], &count) < 0)
        return JS_EXCEPTION;
    buffer_add_u32(&out, flags);
    buffer_add_u32(&out, (uint32_t)count);
    bool is_ok = true;
    for (uint32_t i = 0; is_ok && i < count; i++) {
        JSValue of = JS_GetPropertyUint32(ctx, argv[1], i);
        is_ok = !JS_IsException(of) && sql_add_statement(ctx, &out, of);
        JS_FreeValue(ctx, of);
    }
    if (is_ok && out.is_failed)
        JS_ThrowOutOfMemory(ctx);
    else if (is_ok)
        result = JS_NewUint8ArrayCopy(ctx, out.data, out.len);
    buffer_done(&out);
    return result;
}

static bool sql_set(JSContext *ctx, JSValueConst object, const char *name, JSValue value)
{
    return JS_DefinePropertyValueStr(ctx, object, name, value, JS_PROP_C_W_E) >= 0;
}

static JSValue sql_read_statement(JSContext *ctx, struct reader *in)
{
    struct text bytes = reader_lstr(in);
    struct reader of = reader_of((const uint8_t *)bytes.at, bytes.len);
    int64_t read = reader_i64(in), written = reader_i64(in);
    bool is_writing = reader_u32(in) != 0;
    uint32_t statements = reader_u32(in);
    JSValue result =
        in->is_bad ? JS_ThrowInternalError(ctx, "malformed SQL result") : sql_read_result(ctx, &of);
    if (JS_IsException(result))
        return result;
    if (!sql_set(ctx, result, "rowsRead", sql_integer(ctx, read)) ||
        !sql_set(ctx, result, "rowsWritten", sql_integer(ctx, written)) ||
        !sql_set(ctx, result, "isWriting", JS_NewBool(ctx, is_writing)) ||
        !sql_set(ctx, result, "statements", JS_NewUint32(ctx, statements))) {
        JS_FreeValue(ctx, result);
        return JS_EXCEPTION;
    }
    return result;
}

JSValue sql_unpack(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct text bytes = text_of_buffer(ctx, argc > 0 ? argv[0] : JS_UNDEFINED);
    if (!bytes.at)
        return JS_ThrowTypeError(ctx, "a result is bytes");
    struct reader in = reader_of((const uint8_t *)bytes.at, bytes.len);
    double ms = reader_f64(&in);
    int64_t size = reader_i64(&in), seq = reader_i64(&in);
    uint32_t count = reader_u32(&in);
    JSValue result = JS_NewObject(ctx), all = JS_NewArray(ctx);
    for (uint32_t i = 0; i < count && !JS_IsException(all); i++) {
        JSValue one = sql_read_statement(ctx, &in);
        if (JS_IsException(one) ||
            JS_DefinePropertyValueUint32(ctx, all, i, one, JS_PROP_C_W_E) < 0) {
            JS_FreeValues(ctx, all, result);
            return JS_EXCEPTION;
        }
    }
    if (!sql_set(ctx, result, "duration", JS_NewFloat64(ctx, ms)) ||
        !sql_set(ctx, result, "size", sql_integer(ctx, size)) ||
        !sql_set(ctx, result, "commit", sql_integer(ctx, seq)) ||
        !sql_set(ctx, result, "results", all)) {
        JS_FreeValue(ctx, result);
        return JS_EXCEPTION;
    }
    return result;
}
