/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops as functions for guest/runtime, made from ops.def: `native.someName(field, …)` for op some_name
 * whose fields are plain (numbers, strings, buffers) and whose result is BYTES, TEXT, NUMBER, JSON or
 * NOTHING: the value, or, of an EXTERNAL op, which is ASYNC, a promise of it. What wants more has a function
 * of its own in native.c, which goes before. LOCAL ops are the engine's business. */
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "json.h"
#include "native.h"
#include "op.h"

enum { FIELDS_MAX = 8, NAME_BYTES_MAX = 48 };

enum { SYNC, STANDS, ASYNC };
enum { LOCAL, PURE, RECORDED, SQL, TRANSACTIONAL, EXTERNAL, SUSPENDING };
enum { NOTHING, BYTES, TEXT, NUMBER, JSON, RESPONSE, ROWS, VARIABLE, VARIABLES, STEP, SIGNAL };

struct native_row {
    const char *name;
    const char *fields; /* a letter each */
    uint8_t reply, class, shows;
};

#define FIELD_u32 "u"
#define FIELD_f64 "d"
#define FIELD_str "s"
#define FIELD_bytes "b"
#define FIELD_mem "b"
#define F(type, name) FIELD_##type
static const struct native_row rows[] = {
#define OP(CODE, name, number, class, reply, when, handler, shows, fields)                         \
    [number] = {#name, "" fields, reply, class, shows},
#include "host/ops.def"
#undef OP
};
#undef F

/* An argument of a call: its slot, and what has to be released after it. */
struct native_argument {
    union {
        uint64_t u32;
        double f64;
        struct op_bytes bytes;
    } slot;
    struct native_bytes bytes;
};

static bool argument_read(JSContext *ctx, char field, JSValueConst value,
                          struct native_argument *ret)
{
    uint32_t number;
    *ret = (struct native_argument){0};
    switch (field) {
    case 'u':
        if (JS_ToUint32(ctx, &number, value) < 0)
            return false;
        ret->slot.u32 = number;
        return true;
    case 'd':
        return JS_ToFloat64(ctx, &ret->slot.f64, value) == 0;
    case 's':
        ret->bytes = (struct native_bytes){.text = text_of(ctx, value), .is_string = true};
        break;
    default:
        ret->bytes = native_bytes(ctx, value);
    }
    ret->slot.bytes = op_bytes(ret->bytes.text.at, ret->bytes.text.len);
    return ret->bytes.text.at != NULL;
}

static JSValue result_of(JSContext *ctx, uint32_t shows, const uint8_t *data, uint32_t len)
{
    double number = 0;
    switch (shows) {
    case BYTES:
        return JS_NewUint8ArrayCopy(ctx, data, len);
    case TEXT:
        return text_decode(ctx, data, len, true);
    case JSON:
        return json_parse(ctx, data, len);
    case NUMBER:
        memcpy(&number, data, len < sizeof number ? len : sizeof number);
        return JS_NewNumber(ctx, number);
    default:
        return JS_UNDEFINED;
    }
}

static void native_op_done(JSContext *ctx, struct op_pending *op, uint32_t status,
                           const uint8_t *payload, uint32_t len)
{
    if (status)
        op_settle(ctx, op, true, op_error(ctx, status, (const char *)payload, len));
    else
        op_settle(ctx, op, false, result_of(ctx, op->extra, payload, len));
}

static JSValue native_op_start(JSContext *ctx, int code, const uint64_t *slots)
{
    struct op_pending *op = NULL;
    JSValue promise = op_start_promise(ctx, (enum op_code)code, slots, native_op_done, &op);
    if (op)
        op->extra = rows[code].shows;
    return promise;
}

static JSValue native_op_ask(JSContext *ctx, int code, const uint64_t *slots)
{
    struct op_reply reply;
    if (!op_ask(ctx, (enum op_code)code, slots, &reply))
        return JS_EXCEPTION;
    JSValue result = result_of(ctx, rows[code].shows, reply.data, reply.len);
    op_reply_done(&reply);
    return result;
}

static JSValue native_op(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                         int code)
{
    const struct native_row *row = &rows[code];
    struct native_argument arguments[FIELDS_MAX];
    uint64_t slots[FIELDS_MAX];
    JSValue result = JS_EXCEPTION;
    int len = 0;
    bool is_ok = true;
    for (; is_ok && row->fields[len]; len++) {
        is_ok = argument_read(ctx, row->fields[len], len < argc ? argv[len] : JS_UNDEFINED,
                              &arguments[len]);
        memcpy(&slots[len], &arguments[len].slot, sizeof slots[len]);
    }
    if (is_ok)
        result = row->reply == ASYNC ? native_op_start(ctx, code, slots)
                                     : native_op_ask(ctx, code, slots);
    while (len-- > 0)
        native_bytes_done(ctx, arguments[len].bytes);
    return result;
}

/* some_name -> someName */
static void member_name(const char *name, char *ret_name)
{
    size_t len = 0;
    for (; *name; name++) {
        bool is_next_upper = *name == '_';
        name += is_next_upper;
        ret_name[len++] = (char)(is_next_upper ? *name - 'a' + 'A' : *name);
    }
    ret_name[len] = '\0';
}

static bool is_plain(const struct native_row *row)
{
    return row->name && (row->reply != ASYNC || row->class == EXTERNAL || row->class == PURE) &&
           row->class != LOCAL && row->shows <= JSON && strlen(row->fields) <= FIELDS_MAX &&
           strlen(row->name) < NAME_BYTES_MAX;
}

bool native_define_ops(JSContext *ctx, JSValueConst native)
{
    for (int code = 0; code < (int)(sizeof rows / sizeof *rows); code++) {
        char name[NAME_BYTES_MAX];
        if (!is_plain(&rows[code]))
            continue;
        member_name(rows[code].name, name);
        JSAtom atom = JS_NewAtom(ctx, name);
        bool is_there = JS_HasProperty(ctx, native, atom) > 0;
        JS_FreeAtom(ctx, atom);
        if (is_there)
            continue;
        JSValue function = JS_NewCFunctionMagic(
            ctx, native_op, name, (int)strlen(rows[code].fields), JS_CFUNC_generic_magic, code);
        if (JS_IsException(function) ||
            JS_DefinePropertyValueStr(ctx, native, name, function, JS_PROP_C_W_E) < 0)
            return false;
    }
    return true;
}
