/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON.parse and JSON.stringify: our parser and writer for what is usual, QuickJS's own functions
 * for the rest: revivers, replacers, and values that need code of the guest to run. */
#include "json.h"

#include <stdlib.h>

#include "engine.h"
#include "layout.h"
#include "text.h"

static JSValue original_parse, original_stringify;

static JSValue json_js_parse(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    if (argc > 1 && JS_IsFunction(ctx, argv[1]))
        return JS_Call(ctx, original_parse, this_value, argc, argv);
    struct text text = text_of_wtf8(ctx, argc > 0 ? argv[0] : JS_UNDEFINED);
    if (!text.at)
        return JS_EXCEPTION;
    JSValue value = json_parse_text(ctx, (const uint8_t *)text.at, text.len, true);
    text_done(ctx, text);
    return value;
}

/* The third argument as text of at most ten characters. False: leave it to QuickJS. */
static bool json_gap(JSContext *ctx, JSValueConst space, char *room, struct text *ret_gap)
{
    *ret_gap = (struct text){.at = room, .len = 0};
    if (JS_IsUndefined(space) || JS_IsNull(space) || JS_IsBool(space))
        return true;
    if (JS_VALUE_GET_TAG(space) == JS_TAG_INT) {
        int32_t n = JS_VALUE_GET_INT(space);
        ret_gap->len = n < 0 ? 0 : n > 10 ? 10 : (uint32_t)n;
        memset(room, ' ', ret_gap->len);
        return true;
    }
    if (JS_VALUE_GET_TAG(space) == JS_TAG_STRING) {
        struct layout_chars chars = layout_chars(space);
        if (chars.is_wide || !text_is_ascii(chars.at, chars.len))
            return false;
        ret_gap->len = chars.len > 10 ? 10 : chars.len;
        memcpy(room, chars.at, ret_gap->len);
        return true;
    }
    return false;
}

static JSValue json_js_stringify(JSContext *ctx, JSValueConst this_value, int argc,
                                 JSValueConst *argv)
{
    char room[10];
    uint8_t small[1024];
    struct text gap;
    bool has_replacer = argc > 1 && JS_IsObject(argv[1]);
    if (!has_replacer && json_gap(ctx, argc > 2 ? argv[2] : JS_UNDEFINED, room, &gap)) {
        struct buffer out = {.data = small, .cap = sizeof small, .is_lent = true};
        JSValue string = JS_UNDEFINED;
        int put = json_write_plain(ctx, argc > 0 ? argv[0] : JS_UNDEFINED, gap, &out);
        if (put == JSON_WRITTEN)
            string = text_decode(ctx, out.data, out.len, true);
        buffer_done(&out);
        if (put != JSON_ELSEWHERE)
            return put == JSON_FAILED ? JS_EXCEPTION : string;
    }
    return JS_Call(ctx, original_stringify, this_value, argc, argv);
}

enum json_written json_write(JSContext *ctx, JSValueConst value, struct buffer *out)
{
    int put = json_write_plain(ctx, value, (struct text){.at = ""}, out);
    if (put != JSON_ELSEWHERE)
        return (enum json_written)put;
    JSValue string = JS_JSONStringify(ctx, value, JS_UNDEFINED, JS_UNDEFINED);
    if (JS_IsException(string))
        return JSON_FAILED;
    if (JS_IsUndefined(string))
        return JSON_NOTHING;
    struct text text = text_of(ctx, string);
    if (text.at) {
        buffer_add(out, text.at, text.len);
        text_done(ctx, text);
    }
    JS_FreeValue(ctx, string);
    if (text.at && out->is_failed)
        JS_ThrowOutOfMemory(ctx);
    return text.at && !out->is_failed ? JSON_WRITTEN : JSON_FAILED;
}

bool json_init(JSContext *ctx)
{
    JSValue global = JS_GetGlobalObject(ctx);
    JSValue json = JS_GetPropertyStr(ctx, global, "JSON"),
            date = JS_GetPropertyStr(ctx, global, "Date");
    original_parse = JS_GetPropertyStr(ctx, json, "parse");
    original_stringify = JS_GetPropertyStr(ctx, json, "stringify");
    eng.date_proto = JS_GetPropertyStr(ctx, date, "prototype");
    eng.date_to_json = JS_GetProperty(ctx, eng.date_proto, eng.atoms[ATOM_toJSON]);
    eng.date_to_iso = JS_GetProperty(ctx, eng.date_proto, eng.atoms[ATOM_toISOString]);
    int flags = JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE;
    JSValue parse = JS_NewCFunction(ctx, json_js_parse, "parse", 2);
    JSValue stringify = JS_NewCFunction(ctx, json_js_stringify, "stringify", 3);
    int failed = JS_DefinePropertyValueStr(ctx, json, "parse", parse, flags) < 0 ||
                 JS_DefinePropertyValueStr(ctx, json, "stringify", stringify, flags) < 0;
    JS_FreeValues(ctx, global, json, date);
    return !failed;
}
