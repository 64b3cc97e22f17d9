/* SPDX-License-Identifier: Apache-2.0 */
#include "module.h"

#include <stdlib.h>

#include "builtin.h"
#include "engine.h"
#include "globals.h"
#include "native.h"
#include "op.h"
#include "pack.h"
#include "rejection.h"

struct module_native {
    struct module_native *next;
    char *name;
    JSValue
        exports; /* an object; or the text "FILE": it is that module of the runtime's, loaded late */
};

#define MODULE_BUNDLED "limpet:node/"
#define MODULE_PRIVATE "limpet:internal"

static char *loaded_name;

struct text module_name(void)
{
    return (struct text){.at = loaded_name ? loaded_name : "",
                         .len = loaded_name ? (uint32_t)strlen(loaded_name) : 0};
}

/* --- builtin modules -----------------------------------------------------------------------------
 */

bool module_define(JSContext *ctx, const char *name, JSValueConst exports)
{
    struct module_native *m = malloc(sizeof *m), **last = &eng.modules;
    char *copy = strdup(name);
    if (!m || !copy) {
        free(m);
        free(copy);
        JS_ThrowOutOfMemory(ctx);
        return false;
    }
    *m = (struct module_native){.name = copy, .exports = JS_DupValue(ctx, exports)};
    while (*last)
        last = &(*last)->next;
    *last = m;
    return true;
}

static const struct module_native *module_native_find(const char *name)
{
    const struct module_native *m = eng.modules;
    while (m && strcmp(m->name, name) != 0)
        m = m->next;
    return m;
}

/* PREFIX and rest as one name. */
static char *module_join(JSContext *ctx, const char *prefix, const char *rest)
{
    const size_t len = strlen(prefix), rest_len = strlen(rest);
    char *joined = js_malloc(ctx, len + rest_len + 1);
    if (joined) {
        memcpy(joined, prefix, len);
        memcpy(joined + len, rest, rest_len + 1);
    }
    return joined;
}

/* The name of the module that is loaded for it, the caller's to free with js_free(). */
static char *module_native_file(JSContext *ctx, const struct module_native *m)
{
    const char *file = JS_ToCString(ctx, m->exports);
    char *name = file ? module_join(ctx, BUILTIN_RUNTIME, file) : NULL;
    JS_FreeCString(ctx, file);
    return name;
}

/* Calls `each` with the names of the module's exports. */
static int module_native_each(JSContext *ctx, JSModuleDef *m, JSValueConst exports,
                              int (*each)(JSContext *, JSModuleDef *, const char *, JSValue))
{
    JSPropertyEnum *names;
    uint32_t count;
    int failed =
        JS_GetOwnPropertyNames(ctx, &names, &count, exports, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY);
    if (failed)
        return failed;
    for (uint32_t i = 0; i < count && !failed; i++) {
        const char *name = JS_AtomToCString(ctx, names[i].atom);
        JSValue value = JS_GetProperty(ctx, exports, names[i].atom);
        failed = !name || JS_IsException(value) ? -1 : each(ctx, m, name, value);
        JS_FreeCString(ctx, name);
    }
    JS_FreePropertyEnum(ctx, names, count);
    return failed;
}

static int module_native_declare(JSContext *ctx, JSModuleDef *m, const char *name, JSValue value)
{
    JS_FreeValue(ctx, value);
    return JS_AddModuleExport(ctx, m, name);
}

static int module_native_init(JSContext *ctx, JSModuleDef *m)
{
    JSValue exports = JS_GetModulePrivateValue(ctx, m);
    int failed = module_native_each(ctx, m, exports, JS_SetModuleExport);
    JS_FreeValue(ctx, exports);
    return failed;
}

static bool module_is_in(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* Modules of the platform's own: only modules of the platform may import them. */
static bool module_is_private(const char *name)
{
    return module_is_in(name, MODULE_PRIVATE);
}

static bool module_is_platform(const char *name)
{
    return module_is_in(name, BUILTIN_NODE) || module_is_in(name, BUILTIN_RUNTIME);
}

static void module_throw_unknown(JSContext *ctx, const char *name)
{
    struct buffer list = {0};
    for (const struct module_native *m = eng.modules; m; m = m->next) {
        if (module_is_private(m->name))
            continue;
        if (list.len > 0)
            buffer_add(&list, ", ", 2);
        buffer_add(&list, m->name, (uint32_t)strlen(m->name));
    }
    JSValue error = JS_NewReferenceError(ctx, "%s", "");
    struct buffer text = {0};
    buffer_add(&text, "there is no module '", 20);
    buffer_add(&text, name, (uint32_t)strlen(name));
    buffer_add(&text, "' here; builtin modules are: ", 29);
    buffer_add(&text, list.data ? list.data : (const uint8_t *)"", list.len);
    static const char rest[] = ". Local files and packages are bundled at upload, "
                               "so import them with a literal path or name";
    buffer_add(&text, rest, sizeof rest - 1);
    JS_DefinePropertyValue(ctx, error, eng.atoms[ATOM_message],
                           JS_NewStringLen(ctx, (const char *)text.data, text.len),
                           JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
    buffer_done(&list);
    buffer_done(&text);
    JS_Throw(ctx, error);
}

/* --- loading by name -----------------------------------------------------------------------------
 */

static JSModuleDef *module_load_native(JSContext *ctx, const char *name, void *opaque)
{
    if (builtin_is_compiling()) /* it is linked where it is loaded */
        return JS_NewCModule(ctx, name, module_native_init);
    const struct module_native *native = module_native_find(name);
    JSModuleDef *builtin = NULL;
    if (!native && builtin_find(ctx, name, &builtin))
        return builtin;
    if (!native) {
        module_throw_unknown(ctx, name);
        return NULL;
    }
    JSModuleDef *m = JS_NewCModule(ctx, name, module_native_init);
    if (!m || JS_SetModulePrivateValue(ctx, m, JS_DupValue(ctx, native->exports)) < 0 ||
        module_native_each(ctx, m, native->exports, module_native_declare) < 0)
        return NULL;
    return m;
}

/* "events", where the platform has no module of that name but the Node layer has. */
static char *module_normalize_bare(JSContext *ctx, const char *name)
{
    char *joined = module_join(ctx, BUILTIN_NODE, name);
    if (!joined || builtin_exists(ctx, joined))
        return joined;
    js_free(ctx, joined);
    return js_strdup(ctx, name);
}

static char *module_normalize(JSContext *ctx, const char *base, const char *name, void *opaque)
{
    if (builtin_is_compiling())
        return js_strdup(ctx, name);
    if (module_is_in(name, MODULE_BUNDLED))
        return module_join(ctx, BUILTIN_NODE, name + strlen(MODULE_BUNDLED));
    if (strcmp(name, "cloudflare:node") == 0)
        return js_strdup(ctx, BUILTIN_NODE "internal/cloudflare");
    const char *query = strstr(name, ".wasm?");
    if (query)
        return js_strndup(ctx, name, (size_t)(query - name) + strlen(".wasm"));
    if (module_is_private(name) && !module_is_platform(base))
        return module_join(ctx, "private ", name);
    const struct module_native *native = module_native_find(name);
    if (native && JS_IsString(native->exports))
        return module_native_file(ctx, native);
    if (!strchr(name, ':') && name[0] != '.' && name[0] != '/' && !native)
        return module_normalize_bare(ctx, name);
    return js_strdup(ctx, name);
}

bool module_init(JSContext *ctx)
{
    JS_SetModuleLoaderFunc(JS_GetRuntime(ctx), module_normalize, module_load_native, NULL);
    return true;
}

/* --- loading -------------------------------------------------------------------------------------
 */

/* A SyntaxError about a name that one of our modules does not export says which it does. */
static void module_explain_export(JSContext *ctx)
{
    JSValue error = JS_GetException(ctx);
    JSValue message = JS_GetProperty(ctx, error, eng.atoms[ATOM_message]);
    const char *text = JS_IsString(message) ? JS_ToCString(ctx, message) : NULL;
    const char *in = text && strncmp(text, "Could not find export '", 23) == 0
                         ? strstr(text, "' in module '")
                         : NULL;
    for (const struct module_native *m = in ? eng.modules : NULL; m; m = m->next) {
        const char *module = in + strlen("' in module '");
        const size_t len = strlen(m->name);
        if (JS_IsString(m->exports) || strncmp(module, m->name, len) != 0 ||
            strcmp(module + len, "'") != 0)
            continue;
        struct buffer out = {0};
        JSPropertyEnum *names = NULL;
        uint32_t count = 0;
        buffer_add(&out, text, (uint32_t)strlen(text));
        (void)JS_GetOwnPropertyNames(ctx, &names, &count, m->exports,
                                     JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY);
        for (uint32_t i = 0; i < count; i++) {
            const char *name = JS_AtomToCString(ctx, names[i].atom);
            buffer_add(&out, i ? ", " : ", which exports ", i ? 2 : 16);
            buffer_add(&out, name ? name : "", name ? (uint32_t)strlen(name) : 0);
            JS_FreeCString(ctx, name);
        }
        JS_FreePropertyEnum(ctx, names, count);
        JS_DefinePropertyValue(ctx, error, eng.atoms[ATOM_message],
                               JS_NewStringLen(ctx, (const char *)out.data, out.len),
                               JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
        buffer_done(&out);
    }
    JS_FreeCString(ctx, text);
    JS_FreeValue(ctx, message);
    JS_Throw(ctx, error);
}

static bool module_evaluate(JSContext *ctx, JSValue module)
{
    JSValue promise = JS_EvalFunction(ctx, module);
    if (JS_IsException(promise)) {
        module_explain_export(ctx);
        return false;
    }
    engine_drain(ctx);
    while (op_run_completed(ctx))
        engine_drain(ctx);
    JSPromiseStateEnum state = JS_PromiseState(ctx, promise);
    bool is_ok = state == JS_PROMISE_FULFILLED || state == JS_PROMISE_NOT_A_PROMISE;
    if (state == JS_PROMISE_REJECTED) {
        rejection_forget(ctx, promise);
        JS_Throw(ctx, JS_PromiseResult(ctx, promise));
    } else if (state == JS_PROMISE_PENDING) {
        JS_ThrowPlainError(ctx,
                           "top-level await did not settle: while a module is loaded it cannot "
                           "fetch, sleep or use SQL; do that in the handler or in setup()");
    }
    JS_FreeValue(ctx, promise);
    return is_ok;
}

/* object[name] if it is a function. */
static JSValue module_function(JSContext *ctx, JSValueConst object, const char *name)
{
    JSValue value = JS_IsObject(object) ? JS_GetPropertyStr(ctx, object, name) : JS_UNDEFINED;
    if (JS_IsException(value))
        JS_FreeValue(ctx, JS_GetException(ctx));
    if (!JS_IsFunction(ctx, value)) {
        JS_FreeValue(ctx, value);
        return JS_UNDEFINED;
    }
    return value;
}

static char *workflow_names;

/* Fills workflow_names with the exports that are workflows, comma-separated, of which the runtime
 * keeps the values; false: exception. */
static bool module_find_workflows(JSContext *ctx, JSValueConst namespace)
{
    free(workflow_names);
    workflow_names = NULL;
    if (!engine_has_hook(HOOK_workflowsOf))
        return true;
    JSValue names = engine_hook(ctx, HOOK_workflowsOf, 1, &namespace);
    const char *text = JS_IsException(names) ? NULL : JS_ToCString(ctx, names);
    workflow_names = text ? strdup(text) : NULL;
    JS_FreeCString(ctx, text);
    JS_FreeValue(ctx, names);
    return workflow_names != NULL;
}

/* Is the name in workflow_names? */
static bool module_is_workflow(const char *name)
{
    size_t len = strlen(name);
    for (const char *at = workflow_names; at && *at; at += strcspn(at, ",")) {
        at += *at == ',';
        if (strcspn(at, ",") == len && strncmp(at, name, len) == 0)
            return true;
    }
    return false;
}

/* Has the module, which exports nothing, a listener for "fetch"? */
static JSValue module_listener(JSContext *ctx)
{
    if (!engine_has_hook(HOOK_fetchListener))
        return JS_UNDEFINED;
    return engine_hook(ctx, HOOK_fetchListener, 0, NULL);
}

/* Finds what can be called; false with an exception if there is nothing. */
static bool module_find_exports(JSContext *ctx, JSValueConst namespace)
{
    JSValue value = JS_GetPropertyStr(ctx, namespace, "default");
    JSValue handler = JS_GetPropertyStr(ctx, namespace, "handler");
    if (JS_IsException(value) || JS_IsException(handler))
        return false;
    eng.default_object = value;
    eng.handler_object = handler;
    eng.fetch = module_function(ctx, value, "fetch");
    if (!module_find_workflows(ctx, namespace))
        return false;
    if (JS_IsUndefined(value) && JS_IsUndefined(handler) && !(workflow_names && *workflow_names)) {
        eng.fetch = module_listener(ctx);
        if (JS_IsException(eng.fetch))
            return false;
    }
    JSValue count = engine_has_hook(HOOK_entrypointsOf)
                        ? engine_hook(ctx, HOOK_entrypointsOf, 1, &namespace)
                        : JS_NewInt32(ctx, 0);
    enum { HAS_ENTRYPOINTS = 1, DEFAULT_IS_ONE = 2, HAS_EVENTS = 4 };
    int32_t entrypoints;
    if (JS_ToInt32(ctx, &entrypoints, count) < 0)
        return false;
    eng.is_entrypoint = entrypoints & DEFAULT_IS_ONE;
    bool is_function =
        JS_IsFunction(ctx, value) && !module_is_workflow("default") && !eng.is_entrypoint;
    eng.function = is_function ? JS_DupValue(ctx, value) : JS_UNDEFINED;
    eng.handle = JS_IsFunction(ctx, handler) ? JS_DupValue(ctx, handler)
                                             : module_function(ctx, handler, "handle");
    eng.setup = module_function(ctx, handler, "setup");
    eng.exports = (JS_IsUndefined(eng.fetch) ? 0 : ABI_EXPORT_FETCH) |
                  (JS_IsUndefined(eng.function) ? 0 : ABI_EXPORT_FUNCTION) |
                  (JS_IsUndefined(eng.handle) ? 0 : ABI_EXPORT_HANDLER) |
                  (JS_IsUndefined(eng.setup) ? 0 : ABI_EXPORT_SETUP) |
                  (workflow_names && *workflow_names ? ABI_EXPORT_WORKFLOW : 0) |
                  (entrypoints & (HAS_ENTRYPOINTS | DEFAULT_IS_ONE) ? ABI_EXPORT_ENTRYPOINT : 0) |
                  (entrypoints & HAS_EVENTS ? ABI_EXPORT_EVENT : 0);
    if (!(eng.exports & ~(uint32_t)ABI_EXPORT_SETUP))
        JS_ThrowTypeError(ctx, "the module exports nothing to call: it needs " /* 255 */
                               "export default { fetch(request, env, ctx) {} } (or scheduled(), "
                               "queue()), "
                               "export default function (request) {}, "
                               "export const handler = { handle(req) {} }, "
                               "export default workflow(async (input) => {}) or "
                               "addEventListener(\"fetch\", …)");
    return (eng.exports & ~(uint32_t)ABI_EXPORT_SETUP) != 0;
}

/* --- limpet_load() -------------------------------------------------------------------------------
 */

static void module_define_meta(JSContext *ctx, JSModuleDef *m, const char *name)
{
    JSValue meta = JS_GetImportMeta(ctx, m);
    if (JS_IsObject(meta)) {
        struct buffer url = {0};
        buffer_add(&url, "file:///", 8);
        buffer_add(&url, name, (uint32_t)strlen(name));
        JS_DefinePropertyValueStr(
            ctx, meta, "url", JS_NewStringLen(ctx, (const char *)url.data, url.len), JS_PROP_C_W_E);
        JS_DefinePropertyValueStr(ctx, meta, "main", JS_TRUE, JS_PROP_C_W_E);
        buffer_done(&url);
    }
    JS_FreeValue(ctx, meta);
}

/* { default: the WebAssembly.Module } */
static bool module_define_wasm(JSContext *ctx, JSValueConst module_of, struct text name,
                               uint32_t number)
{
    char *copy = strndup(name.at, name.len);
    JSValue argument = JS_NewUint32(ctx, number), exports = JS_NewObject(ctx);
    JSValue module = copy ? JS_Call(ctx, module_of, JS_UNDEFINED, 1, (JSValueConst *)&argument)
                          : JS_ThrowOutOfMemory(ctx);
    bool is_ok = !JS_IsException(module) && !JS_IsException(exports) &&
                 JS_DefinePropertyValueStr(ctx, exports, "default", module, JS_PROP_C_W_E) >= 0 &&
                 module_define(ctx, copy, exports);
    JS_FreeValue(ctx, exports);
    free(copy);
    return is_ok;
}

/* The WebAssembly modules that come with the bundle are modules that it imports. */
static bool module_define_bundled(JSContext *ctx)
{
    struct op_reply reply;
    const struct op_wasm args = {.what = ABI_WASM_BUNDLED};
    if (!op_ask(ctx, OP_WASM, &args, &reply))
        return false;
    bool is_ok = true;
    JSValue module_of = JS_UNDEFINED;
    if (reply.len > 0) {
        module_of = builtin_export(ctx, BUILTIN_RUNTIME "webassembly", "moduleOf");
        is_ok = !JS_IsException(module_of);
    }
    struct reader in = reader_of(reply.data, reply.len);
    while (is_ok && in.at < in.end) {
        struct text name = reader_lstr(&in);
        is_ok = module_define_wasm(ctx, module_of, name, reader_u32(&in));
    }
    JS_FreeValue(ctx, module_of);
    op_reply_done(&reply);
    return is_ok;
}

static bool module_load_bundle(JSContext *ctx, const char *name, const char *source, uint32_t len)
{
    if (!globals_define_for(ctx, source, len) ||
        (strstr(source, ".wasm") && !module_define_bundled(ctx)))
        return false;
    JSValue module =
        JS_Eval(ctx, source, len, name, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    if (JS_IsException(module))
        return false;
    JSModuleDef *m = JS_VALUE_GET_PTR(module);
    module_define_meta(ctx, m, name);
    if (!module_evaluate(ctx, module))
        return false;
    JSValue namespace = JS_GetModuleNamespace(ctx, m);
    bool is_ok = !JS_IsException(namespace) && module_find_exports(ctx, namespace);
    JS_FreeValue(ctx, namespace);
    return is_ok;
}

static bool module_load_runtime(JSContext *ctx, const char *code, uint32_t len)
{
    JSValue module = native_define(ctx) ? builtin_read(ctx, code, len) : JS_EXCEPTION;
    bool is_ok = !JS_IsException(module) && module_evaluate(ctx, module);
    native_remove(ctx);
    return is_ok;
}

bool module_load(JSContext *ctx, uint32_t kind, struct text name, const char *source, uint32_t len)
{
    char *copy = strndup(name.at, name.len);
    if (!copy) {
        JS_ThrowOutOfMemory(ctx);
        engine_fail(ctx, 0);
        return false;
    }
    bool is_ok = kind == ABI_LOAD_RUNTIME ? module_load_runtime(ctx, source, len)
                                          : module_load_bundle(ctx, copy, source, len);
    if (!is_ok)
        engine_fail(ctx, 0);
    if (kind == ABI_LOAD_RUNTIME) {
        free(copy);
    } else {
        const char *names = workflow_names ? workflow_names : "";
        free(loaded_name);
        loaded_name = copy;
        if (is_ok)
            op_tell(OP_LOADED, &(struct op_loaded){.exports = eng.exports,
                                                   .workflows = op_bytes(names, strlen(names))});
    }
    return is_ok;
}
