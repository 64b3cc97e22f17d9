/* SPDX-License-Identifier: Apache-2.0
 *
 * RegExp.$1, RegExp.lastMatch and their kin (Annex B as browsers have it; the proposal "Legacy RegExp
 * features"). What matched last is remembered as the text, the compiled expression and where it began:
 * three words a match. The parts are found by matching again when somebody asks.
 * Compiled at the end of QuickJS's own file (tools/deps-quickjs). */

enum {
    REGEXP_LAST_MATCH = 0, /* 1 to 9: that group */
    REGEXP_LAST_PAREN = 10,
    REGEXP_LAST_LEFT,
    REGEXP_LAST_RIGHT,
    REGEXP_LAST_GROUPS = 9,
};

static struct {
    JSString *text, *code; /* NULL: nothing matched yet */
    int64_t from;
    JSValue input; /* what was set; undefined: the text */
} regexp_last = {.input = JS_UNDEFINED};

static void regexp_last_set(JSContext *ctx, JSString *text, JSString *code, int64_t from)
{
    JSString *old_text = regexp_last.text, *old_code = regexp_last.code;
    JSValue old_input = regexp_last.input;
    regexp_last.text = JS_VALUE_GET_STRING(js_dup(JS_MKPTR(JS_TAG_STRING, text)));
    regexp_last.code = JS_VALUE_GET_STRING(js_dup(JS_MKPTR(JS_TAG_STRING, code)));
    regexp_last.from = from;
    regexp_last.input = JS_UNDEFINED;
    if (old_text) {
        JS_FreeValue(ctx, JS_MKPTR(JS_TAG_STRING, old_text));
        JS_FreeValue(ctx, JS_MKPTR(JS_TAG_STRING, old_code));
    }
    JS_FreeValue(ctx, old_input);
}

static bool regexp_last_check(JSContext *ctx, JSValueConst this_val)
{
    if (js_same_value(ctx, this_val, ctx->regexp_ctor))
        return true;
    JS_ThrowTypeError(ctx, "it is a property of RegExp itself");
    return false;
}

/* The part from one place in the text to another; empty for a group that did not take part. */
static JSValue regexp_last_part(JSContext *ctx, const uint8_t *from, const uint8_t *to)
{
    JSString *text = regexp_last.text;
    const uint8_t *start = str8(text);
    if (!from || !to)
        return js_empty_string(ctx->rt);
    return js_sub_string(ctx, text, (int)((from - start) >> text->is_wide_char),
                         (int)((to - start) >> text->is_wide_char));
}

static JSValue regexp_last_of(JSContext *ctx, uint8_t **capture, int groups, int magic)
{
    JSString *text = regexp_last.text;
    uint8_t *start = str8(text);
    if (magic == REGEXP_LAST_LEFT)
        return regexp_last_part(ctx, start, capture[0]);
    if (magic == REGEXP_LAST_RIGHT)
        return regexp_last_part(ctx, capture[1], start + ((size_t)text->len << text->is_wide_char));
    int group = magic == REGEXP_LAST_PAREN ? groups - 1 : magic;
    if (group >= groups || (magic == REGEXP_LAST_PAREN && groups == 1))
        return js_empty_string(ctx->rt);
    return regexp_last_part(ctx, capture[2 * group], capture[2 * group + 1]);
}

static JSValue regexp_last_get(JSContext *ctx, JSValueConst this_val, int magic)
{
    if (!regexp_last_check(ctx, this_val))
        return JS_EXCEPTION;
    if (!regexp_last.text)
        return js_empty_string(ctx->rt);
    JSString *text = regexp_last.text;
    const uint8_t *code = str8(regexp_last.code);
    uint8_t **capture = js_malloc(ctx, sizeof(capture[0]) * (lre_get_alloc_count(code) + 1));
    if (!capture)
        return JS_EXCEPTION;
    JSValue value;
    if (lre_exec(capture, code, str8(text), (int)regexp_last.from, text->len, text->is_wide_char,
                 ctx) == 1)
        value = regexp_last_of(ctx, capture, lre_get_capture_count(code), magic);
    else
        value = JS_ThrowInternalError(ctx, "out of memory in regexp execution");
    js_free(ctx, capture);
    return value;
}

static JSValue regexp_last_get_input(JSContext *ctx, JSValueConst this_val)
{
    if (!regexp_last_check(ctx, this_val))
        return JS_EXCEPTION;
    if (!JS_IsUndefined(regexp_last.input))
        return js_dup(regexp_last.input);
    return regexp_last.text ? js_dup(JS_MKPTR(JS_TAG_STRING, regexp_last.text))
                            : js_empty_string(ctx->rt);
}

static JSValue regexp_last_set_input(JSContext *ctx, JSValueConst this_val, JSValueConst value)
{
    if (!regexp_last_check(ctx, this_val))
        return JS_EXCEPTION;
    JSValue text = JS_ToString(ctx, value);
    if (JS_IsException(text))
        return text;
    JS_FreeValue(ctx, regexp_last.input);
    regexp_last.input = text;
    return JS_UNDEFINED;
}

#define REGEXP_LAST(name, magic) JS_CGETSET_MAGIC_DEF(name, regexp_last_get, NULL, magic)
static const JSCFunctionListEntry regexp_last_members[] = {
    JS_CGETSET_DEF("input", regexp_last_get_input, regexp_last_set_input),
    JS_CGETSET_DEF("$_", regexp_last_get_input, regexp_last_set_input),
    REGEXP_LAST("lastMatch", REGEXP_LAST_MATCH),
    REGEXP_LAST("$&", REGEXP_LAST_MATCH),
    REGEXP_LAST("lastParen", REGEXP_LAST_PAREN),
    REGEXP_LAST("$+", REGEXP_LAST_PAREN),
    REGEXP_LAST("leftContext", REGEXP_LAST_LEFT),
    REGEXP_LAST("$`", REGEXP_LAST_LEFT),
    REGEXP_LAST("rightContext", REGEXP_LAST_RIGHT),
    REGEXP_LAST("$'", REGEXP_LAST_RIGHT),
    REGEXP_LAST("$1", 1),
    REGEXP_LAST("$2", 2),
    REGEXP_LAST("$3", 3),
    REGEXP_LAST("$4", 4),
    REGEXP_LAST("$5", 5),
    REGEXP_LAST("$6", 6),
    REGEXP_LAST("$7", 7),
    REGEXP_LAST("$8", 8),
    REGEXP_LAST("$9", REGEXP_LAST_GROUPS),
};

bool regexp_last_init(JSContext *ctx);
/* Defines them on RegExp. False: a JS exception is pending. */
bool regexp_last_init(JSContext *ctx)
{
    return JS_SetPropertyFunctionList(ctx, ctx->regexp_ctor, regexp_last_members,
                                      countof(regexp_last_members)) >= 0;
}
