/* SPDX-License-Identifier: Apache-2.0 */
#include "globals.h"

#include <stdlib.h>
#include <string.h>

#include "builtin.h"
#include "engine.h"

enum { LAZY_DEF_TYPE = 100 }; /* deps/quickjs/patches.py */

struct global_lazy {
    struct global_lazy *next;
    JSCFunctionListEntry entry; /* its name is the global's */
    char *module;               /* "limpet:internal/runtime/…" */
    char *words;                /* separated by blanks; "": none */
};

static struct global_lazy *lazy_first;

/* deps/quickjs/lazy.c, and what it calls. */
int lazy_define(JSContext *ctx, JSValueConst object, JSAtom atom,
                const JSCFunctionListEntry *entry);
JSValue lazy_value(JSContext *ctx, const JSCFunctionListEntry *entry);

JSValue lazy_value(JSContext *ctx, const JSCFunctionListEntry *entry)
{
    const struct global_lazy *lazy =
        (const void *)((const uint8_t *)entry - offsetof(struct global_lazy, entry));
    return builtin_export(ctx, lazy->module, entry->name);
}

static char *globals_module(const char *from, size_t len)
{
    const size_t prefix = strlen(BUILTIN_RUNTIME);
    char *module = malloc(prefix + len + 1);
    if (!module)
        return NULL;
    memcpy(module, BUILTIN_RUNTIME, prefix);
    memcpy(module + prefix, from, len);
    module[prefix + len] = '\0';
    return module;
}

/* where: the module's name, and perhaps words. False: exception. */
static bool globals_add(JSContext *ctx, JSAtom atom, const char *where)
{
    struct global_lazy *lazy = calloc(1, sizeof *lazy);
    const char *name = JS_AtomToCString(ctx, atom);
    const size_t module_len = strcspn(where, " ");
    const bool is_interface = name && name[0] >= 'A' && name[0] <= 'Z'; /* Web IDL §3.7 */
    bool is_ok = false;
    if (lazy && name) {
        *lazy = (struct global_lazy){
            .next = lazy_first,
            .entry = {.name = strdup(name),
                      .prop_flags = JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE |
                                    (is_interface ? 0 : JS_PROP_ENUMERABLE),
                      .def_type = LAZY_DEF_TYPE},
            .module = globals_module(where, module_len),
            .words = strdup(where + module_len),
        };
        is_ok = lazy->entry.name && lazy->module && lazy->words;
    }
    JS_FreeCString(ctx, name);
    if (!is_ok) {
        free(lazy);
        JS_ThrowOutOfMemory(ctx);
        return false;
    }
    lazy_first = lazy; /* for ever: the property refers to it */
    JSValue global = JS_GetGlobalObject(ctx);
    is_ok = lazy_define(ctx, global, atom, &lazy->entry) >= 0;
    JS_FreeValue(ctx, global);
    return is_ok;
}

bool globals_define_lazy(JSContext *ctx, JSValueConst names)
{
    JSPropertyEnum *keys;
    uint32_t count;
    if (JS_GetOwnPropertyNames(ctx, &keys, &count, names, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) <
        0)
        return false;
    bool is_ok = true;
    for (uint32_t i = 0; i < count && is_ok; i++) {
        JSValue value = JS_GetProperty(ctx, names, keys[i].atom);
        const char *where = JS_IsException(value) ? NULL : JS_ToCString(ctx, value);
        is_ok = where && globals_add(ctx, keys[i].atom, where);
        JS_FreeCString(ctx, where);
        JS_FreeValue(ctx, value);
    }
    JS_FreePropertyEnum(ctx, keys, count);
    return is_ok;
}

/* --- what a bundle speaks of ---------------------------------------------------------------------
 */

static bool globals_is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

/* The next place where the name stands as a word; NULL: there is none. */
static const char *globals_next(const char *source, const char *at, const char *end,
                                const char *name, size_t name_len)
{
    while ((at = memmem(at, (size_t)(end - at), name, name_len))) {
        if ((at == source || !globals_is_word(at[-1])) && !globals_is_word(at[name_len]))
            return at;
        at += name_len;
    }
    return NULL;
}

static bool globals_ends(const char *source, const char *at, const char *end)
{
    const size_t len = strlen(end);
    return (size_t)(at - source) >= len && memcmp(at - len, end, len) == 0;
}

/* Does the source speak of a global variable of that name? A property of something else is none. */
static bool globals_has(const char *source, uint32_t len, const char *name)
{
    static const char *const holders[] = {"globalThis.", "globalThis?.", "global.",
                                          "global?.",    "self.",        "window."};
    const size_t name_len = strlen(name);
    for (const char *at = source; (at = globals_next(source, at, source + len, name, name_len));
         at += name_len) {
        if (at == source || at[-1] != '.')
            return true;
        for (size_t i = 0; i < sizeof holders / sizeof *holders; i++)
            if (globals_ends(source, at, holders[i]))
                return true;
    }
    return false;
}

/* Has the source one of the words, which are separated by blanks? */
static bool globals_has_word(const char *source, uint32_t len, const char *words)
{
    while (*(words += strspn(words, " "))) {
        const size_t word_len = strcspn(words, " ");
        if (globals_next(source, source, source + len, words, word_len))
            return true;
        words += word_len;
    }
    return false;
}

static bool globals_load_lazy(JSContext *ctx, const char *source, uint32_t len)
{
    JSValue global = JS_GetGlobalObject(ctx);
    bool is_ok = true;
    for (const struct global_lazy *lazy = lazy_first; lazy && is_ok; lazy = lazy->next) {
        if (!globals_has(source, len, lazy->entry.name) &&
            !globals_has_word(source, len, lazy->words))
            continue;
        JSValue value = JS_GetPropertyStr(ctx, global, lazy->entry.name);
        is_ok = !JS_IsException(value);
        JS_FreeValue(ctx, value);
    }
    JS_FreeValue(ctx, global);
    return is_ok;
}

/* Defines `process` and `Buffer` for code that speaks of them, and for no other. */
static bool globals_define_node(JSContext *ctx, const char *source, uint32_t len)
{
    static const struct {
        const char *name, *module;
    } globals[] = {{"Buffer", BUILTIN_NODE "internal/buffer-global"},
                   {"process", BUILTIN_NODE "process"}};
    bool is_ok = true;
    for (size_t i = 0; i < sizeof globals / sizeof *globals && is_ok; i++) {
        if (!globals_has(source, len, globals[i].name))
            continue;
        JSValue value = builtin_export(ctx, globals[i].module, "default");
        JSValue global = JS_GetGlobalObject(ctx);
        is_ok = !JS_IsException(value) &&
                JS_DefinePropertyValueStr(ctx, global, globals[i].name, value,
                                          JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE) >= 0;
        JS_FreeValue(ctx, global);
    }
    return is_ok;
}

bool globals_define_for(JSContext *ctx, const char *source, uint32_t len)
{
    return globals_load_lazy(ctx, source, len) && globals_define_node(ctx, source, len);
}
