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

    # Bytecode without sources needs no lines either: both are of no use without the other.
    ("JS_WriteFunctionTag", "bc_put_leb128(s, b->pc2line_len);", "bc_put_leb128(s, s->allow_source ? b->pc2line_len : 0);"),
    ("JS_WriteFunctionTag", "dbuf_put(&s->dbuf, b->pc2line_buf, b->pc2line_len);",
     "if (s->allow_source)\n            dbuf_put(&s->dbuf, b->pc2line_buf, b->pc2line_len);"),
]

# What the patches call, declared before the first function that does.
DECLARATIONS = """
enum { LAZY_DEF_TYPE = 100 };
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
    for name, old, new in PATCHES:
        start, end = function_span(text, name)
        if text[start:end].count(old) != 1:
            sys.exit(f"patches.py: {name} of this QuickJS is another one: it has {text[start:end].count(old)} × {old!r}")
        text = text[:start] + text[start:end].replace(old, new) + text[end:]
    if text.count(DECLARED_BEFORE) != 1:
        sys.exit("patches.py: there is no place for the declarations in this QuickJS")
    text = text.replace(DECLARED_BEFORE, DECLARATIONS + "\n" + DECLARED_BEFORE)
    pathlib.Path(target).write_text(text)


main(*sys.argv[1:])
