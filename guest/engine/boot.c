/* SPDX-License-Identifier: Apache-2.0
 *
 * The exports of guest/abi.h, and how an instance comes up. */
#include <stdlib.h>

#include "engine.h"
#include "hot.h"
#include "intrinsic.h"
#include "layout.h"
#include "memory.h"
#include "module.h"
#include "op.h"
#include "rejection.h"
#include "scope.h"
#include "sql.h"
#include "stack.h"
#include "weak.h"
#include "workflow.h"

#define EXPORT(name) __attribute__((export_name(#name))) name

enum {
    STACK_BYTES = 3 * 1024 * 1024, /* of -z stack-size; it begins at address 0 (--stack-first) */
    STACK_RESERVE = 128 * 1024,    /* kept for C code below the deepest JS frame */
    GC_BYTES = 4 * 1024 * 1024,    /* allocated by requests before cycles are looked for */
};

int32_t limpet_boot(void);
void *limpet_alloc(uint32_t len);
void limpet_free(void *at);
void *limpet_head(void);
int32_t limpet_load(uint32_t kind, const char *name, uint32_t name_len, const char *source,
                    uint32_t source_len);
int32_t limpet_dispatch(uint32_t dispatch, uint32_t kind, const uint8_t *at, uint32_t len);
void limpet_complete(uint32_t op, uint32_t status, uint8_t *at, uint32_t len);
int32_t limpet_run(void);
void limpet_abort(uint32_t dispatch);
int32_t limpet_state(uint32_t dispatch);
void limpet_forget(uint32_t dispatch);

bool regexp_last_init(JSContext *ctx); /* deps/quickjs/regexp_last.c */

static void boot_atoms(JSContext *ctx)
{
    static const char *const names[] = {
#define X(name) #name,
        ENGINE_ATOMS(X)
#undef X
    };
    for (int i = 0; i < ATOM_COUNT_; i++)
        eng.atoms[i] = JS_NewAtom(ctx, names[i]);
}

int32_t EXPORT(limpet_boot)(void)
{
    eng.rt = JS_NewRuntime2(&memory_functions, NULL);
    eng.ctx = eng.rt && hot_init(eng.rt) ? JS_NewContext(eng.rt) : NULL;
    if (!eng.ctx)
        return 1;
    JSContext *ctx = eng.ctx;
    JS_SetGCThreshold(eng.rt, (size_t)-1);
    eng.random_dispatch = UINT32_MAX;
    eng.default_object = eng.fetch = eng.function = JS_UNDEFINED;
    eng.handler_object = eng.handle = eng.setup = JS_UNDEFINED;
    eng.frame = JS_UNDEFINED;
    for (int i = 0; i < HOOK_COUNT_; i++)
        eng.hooks[i] = JS_UNDEFINED;
    boot_atoms(ctx);
    static bool (*const inits[])(JSContext *) = {
        intrinsic_init,   layout_init,  stack_init,     scope_init,    module_init,
        headers_init,     request_init, response_init,  fetch_init,    json_init,
        regexp_last_init, crypto_init,  textcodec_init, dispatch_init, env_init,
    };
    for (size_t i = 0; i < sizeof inits / sizeof *inits; i++)
        if (!inits[i](ctx))
            return 2 + (int32_t)i;
    layout_set_stack_limit(STACK_RESERVE);
    rejection_init();
    return hot_prebuild(ctx) ? 0 : 100;
}

void *EXPORT(limpet_alloc)(uint32_t len)
{
    return malloc(len ? len : 1);
}

void EXPORT(limpet_free)(void *at)
{
    free(at);
}

void *EXPORT(limpet_head)(void)
{
    return engine_page.head;
}

int32_t EXPORT(limpet_load)(uint32_t kind, const char *name, uint32_t name_len, const char *source,
                            uint32_t source_len)
{
    JSContext *ctx = eng.ctx;
    eng.is_loading = true;
    eng.dispatch = 0;
    eng.random_dispatch = UINT32_MAX; /* a module has a seed of its own, not the runtime's */
    bool is_ok =
        module_load(ctx, kind, (struct text){.at = name, .len = name_len}, source, source_len);
    rejection_report(ctx);
    weak_release(ctx);
    eng.is_loading = false;
    if (!is_ok)
        return 1;
    JS_RunGC(eng.rt);
    JSMemoryUsage usage;
    JS_ComputeMemoryUsage(eng.rt, &usage);
    JS_SetGCThreshold(eng.rt, (size_t)usage.malloc_size + GC_BYTES);
    if (kind == ABI_LOAD_MODULE)
        hot_end_module(ctx);
    return 0;
}

/* Runs until nothing is runnable. */
static int32_t boot_run(JSContext *ctx)
{
    do {
        do
            engine_drain(ctx);
        while (dispatch_poll(ctx));
        weak_release(ctx);
        if (eng.rejections)
            rejection_report(ctx);
        if (eng.has_diverged)
            return 0;
    } while (JS_IsJobPending(eng.rt) || /* of a listener for rejections */
             (eng.op_completed_first && op_run_completed(ctx)) ||
             (eng.is_durable && workflow_next(ctx)));
    if (eng.has_turn)
        sql_end_turn(ctx);
    eng.dispatch = 0;
    return (int32_t)dispatch_count();
}

int32_t EXPORT(limpet_dispatch)(uint32_t dispatch, uint32_t kind, const uint8_t *at, uint32_t len)
{
    dispatch_start(eng.ctx, dispatch, kind, at, len);
    int32_t left = boot_run(eng.ctx);
    /* The host writes the next input over this one before it calls again. */
    if ((left > 0 || eng.input_request) && !dispatch_keep(eng.ctx)) {
        engine_fail(eng.ctx, dispatch);
        left = boot_run(eng.ctx);
    }
    return left;
}

void EXPORT(limpet_complete)(uint32_t op, uint32_t status, uint8_t *at, uint32_t len)
{
    op_complete(op, status, at, len);
}

int32_t EXPORT(limpet_run)(void)
{
    return boot_run(eng.ctx);
}

void EXPORT(limpet_abort)(uint32_t dispatch)
{
    dispatch_abort(eng.ctx, dispatch);
}

int32_t EXPORT(limpet_state)(uint32_t dispatch)
{
    return dispatch_state(dispatch);
}

void EXPORT(limpet_forget)(uint32_t dispatch)
{
    dispatch_forget(eng.ctx, dispatch);
    op_forget_all(eng.ctx, dispatch);
}
