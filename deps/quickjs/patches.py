#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""patches.py IN OUT: QuickJS's own file with our changes. Each names the function that it is in, the text
that it replaces there, and what with; a text that is not there exactly once is another QuickJS, and an error."""
import pathlib
import re
import sys

PATCHES = [
    # Frames of async callers (async_frames.c); stacks that objects own are finished by guest/engine/stack.c.
    ("build_backtrace", "\n done:\n", """
 done:
    i = frames_add(ctx, has_prepare ? NULL : &dbuf, has_prepare ? csd : NULL, i, stack_trace_limit);
"""),
    ("build_backtrace", "    if (JS_IsUndefined(ctx->error_back_trace))\n", """\
    if (!has_prepare && (has_filter_func || can_add_backtrace(error_obj)))
        stack = stack_made(ctx, error_obj, stack);
    if (JS_IsUndefined(ctx->error_back_trace))
"""),

    # Dates name their zone, as in V8; guests have no other than UTC.
    ("get_date_string", "char buf[64]", "char buf[96]"),
    ("get_date_string", "/* XXX: tack the time zone code? */",
     'pos += snprintf(buf + pos, sizeof(buf) - pos, " (Coordinated Universal Time)");'),

    # Properties that are made when they are first looked at (lazy.c). What makes one may add other properties,
    # or fail and be tried again.
    ("JS_InstantiateFunctionListItem2", "switch(e->def_type) {", """\
if (e->def_type == LAZY_DEF_TYPE)
        return lazy_value(ctx, e);
    switch(e->def_type) {"""),
    ("JS_AutoInitProperty", "    js_autoinit_free(ctx->rt, pr);", """\
    if (JS_IsException(val))
        return -1;
    prs = find_own_property(&pr, p, prop);
    if (!prs || (prs->flags & JS_PROP_TMASK) != JS_PROP_AUTOINIT) {
        JS_FreeValue(ctx, val);
        return 0;
    }
    js_autoinit_free(ctx->rt, pr);"""),

    # Atomics, of one thread: nothing may wait, so that nobody is to be notified.
    (None, " && !defined(__wasi__) && !__STDC_NO_ATOMICS__", " && !__STDC_NO_ATOMICS__"),

    # What a WeakRef refers to stays until the job ends (guest/engine/weak.c).
    ("js_weakref_constructor", "    insert_weakref_record(arg, wr);", """\
    insert_weakref_record(arg, wr);
    weak_keep(ctx, arg);"""),
    ("js_weakref_deref", "    return js_dup(wrd->target);", """\
    weak_keep(ctx, wrd->target);
    return js_dup(wrd->target);"""),

    # RegExp.$1 and its kin (regexp_last.c).
    ("js_regexp_exec", "        group_name_ptr = lre_get_groupnames(re_bytecode);", """\
        regexp_last_set(ctx, str, re->bytecode, last_index);
        group_name_ptr = lre_get_groupnames(re_bytecode);"""),
    ("JS_RegExpDelete", "        start = (capture[0] - str_buf) >> shift;", """\
        regexp_last_set(ctx, str, re->bytecode, last_index);
        start = (capture[0] - str_buf) >> shift;"""),

    # Bytecode without sources needs no lines either: both are of no use without the other.
    ("JS_WriteFunctionTag", "bc_put_leb128(s, b->pc2line_len);", "bc_put_leb128(s, s->allow_source ? b->pc2line_len : 0);"),
    ("JS_WriteFunctionTag", "dbuf_put(&s->dbuf, b->pc2line_buf, b->pc2line_len);",
     "if (s->allow_source)\n            dbuf_put(&s->dbuf, b->pc2line_buf, b->pc2line_len);"),
]

# Functions that call themselves take that many bytes of the stack in memory, of which QuickJS knows how much is left. Of
# the machine's, which it cannot see, none takes more than four times as much for each level (guest/engine/README.md); these did.
PADS = {
    "JS_FlattenIntoArray": 96, "json_parse_value": 160, "internalize_json_property": 96, "js_json_to_str": 288,
    "js_proxy_getPrototypeOf": 160, "js_proxy_setPrototypeOf": 160, "js_proxy_isExtensible": 160,
    "js_proxy_preventExtensions": 160, "js_proxy_has": 160, "js_proxy_get_own_property": 160,
    "js_proxy_define_own_property": 192, "js_proxy_delete_property": 160, "js_proxy_isArray": 96,
    "js_parse_assign_expr2": 576, "js_parse_statement_or_decl": 128, "js_parse_destructuring_element": 320,
    "js_parse_unary": 80,
}

# What the patches call, declared before the first function that does.
DECLARATIONS = """
enum { LAZY_DEF_TYPE = 100 };
#define STACK_PAD(bytes) __asm__ volatile("" : : "r"(__builtin_alloca(bytes)) : "memory")
void weak_keep(JSContext *ctx, JSValueConst target);
static void regexp_last_set(JSContext *ctx, JSString *text, JSString *code, int64_t from);
typedef struct { char none; } js_mutex_t, js_cond_t, js_once_t;
#define JS_ONCE_INIT {0}
static void js_once(js_once_t *once, void (*init)(void)) {}
static void js_mutex_init(js_mutex_t *m) {}
static void js_mutex_lock(js_mutex_t *m) {}
static void js_mutex_unlock(js_mutex_t *m) {}
static void js_cond_init(js_cond_t *c) {}
static void js_cond_signal(js_cond_t *c) {}
static void js_cond_destroy(js_cond_t *c) {}
static void js_cond_wait(js_cond_t *c, js_mutex_t *m) {}
static int js_cond_timedwait(js_cond_t *c, js_mutex_t *m, uint64_t ns) { return -1; }
static uint32_t frames_add(JSContext *, DynBuf *, JSCallSiteData *, uint32_t, uint32_t);
JSValue stack_made(JSContext *ctx, JSValueConst target, JSValue stack);
JSValue lazy_value(JSContext *ctx, const JSCFunctionListEntry *entry);
"""
DECLARED_BEFORE = "static inline bool double_is_int32("


def function_span(text, name):
    """Where the definition of a function is: from its name to the brace that ends it."""
    found = list(re.finditer(r"^[A-Za-z_][^;{}#=]*?\b" + name + r"\([^;{]*\)\s*\{.*?^\}", text, re.M | re.S))
    if len(found) != 1:
        sys.exit(f"patches.py: {len(found)} functions {name} in this QuickJS")
    return found[0].span()


def main(source, target):
    text = pathlib.Path(source).read_text()
    for name, bytes in PADS.items():
        start, end = function_span(text, name)
        body = text.index("{", start) + 1
        text = f"{text[:body]}\n    STACK_PAD({bytes});{text[body:]}"
    for name, old, new in PATCHES:
        start, end = function_span(text, name) if name else (0, len(text))
        if text[start:end].count(old) != 1:
            sys.exit(f"patches.py: {name} of this QuickJS is another one: it has {text[start:end].count(old)} × {old!r}")
        text = text[:start] + text[start:end].replace(old, new) + text[end:]
    if text.count(DECLARED_BEFORE) != 1:
        sys.exit("patches.py: there is no place for the declarations in this QuickJS")
    text = text.replace(DECLARED_BEFORE, DECLARATIONS + "\n" + DECLARED_BEFORE)
    pathlib.Path(target).write_text(text)


main(*sys.argv[1:])
