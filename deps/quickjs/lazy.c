/* SPDX-License-Identifier: Apache-2.0
 *
 * Properties whose value is made by us when something first looks at them. QuickJS has such properties
 * for its own tables only; patches.py has it call lazy_value() for an entry of LAZY_DEF_TYPE.
 * Compiled at the end of QuickJS's own file (tools/deps-quickjs). */

int lazy_define(JSContext *ctx, JSValueConst object, JSAtom atom,
                const JSCFunctionListEntry *entry);
/* Defines the property, which must not be there yet: entry->prop_flags are its flags, lazy_value() will
 * give its value. The entry must stay. < 0: out of memory. */
int lazy_define(JSContext *ctx, JSValueConst object, JSAtom atom, const JSCFunctionListEntry *entry)
{
    return JS_DefineAutoInitProperty(ctx, object, atom, JS_AUTOINIT_ID_PROP, (void *)entry,
                                     entry->prop_flags);
}

JSValue lazy_module(JSContext *ctx, const char *name);
/* The module of that name, loaded and resolved but perhaps not evaluated; or an exception. */
JSValue lazy_module(JSContext *ctx, const char *name)
{
    JSModuleDef *m =
        js_host_resolve_imported_module(ctx, "limpet:internal/runtime/", name, JS_UNDEFINED);
    if (!m || js_resolve_module(ctx, m) < 0)
        return JS_EXCEPTION;
    return JS_NewModuleValue(ctx, m);
}
