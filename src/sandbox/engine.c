/* SPDX-License-Identifier: Apache-2.0
 *
 * See engine.h. */
#include "sandbox/internal.h"

#include <stdlib.h>

wasm_engine_t *engine_configure(void)
{
    static wasmtime_memory_creator_t creator = {.new_memory = memory_create};
    static wasmtime_stack_creator_t stacks = {.new_stack = stack_create};
    wasm_config_t *config = wasm_config_new();
    CHECK(config);
    wasmtime_config_epoch_interruption_set(config, true);
    wasmtime_config_max_wasm_stack_set(config, SANDBOX_WASM_STACK_BYTES);
    wasmtime_config_async_stack_size_set(config, SANDBOX_FIBER_STACK_BYTES);
    wasmtime_config_cranelift_opt_level_set(config, WASMTIME_OPT_LEVEL_SPEED);
    wasmtime_config_memory_may_move_set(config, false);
    wasmtime_config_memory_init_cow_set(config, false); /* needs Wasmtime's own memories */
    wasmtime_config_native_unwind_info_set(config, true);
    wasmtime_config_host_memory_creator_set(config, &creator);
    wasmtime_config_host_stack_creator_set(config, &stacks);
    return wasm_engine_new_with_config(config);
}

struct engine *engine_new(void)
{
    struct engine *e = calloc(1, sizeof(*e));
    CHECK(e);
    e->wasm = engine_configure();
    CHECK(e->wasm);
    e->ticker = ticker_new(e->wasm);
    return e;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    ticker_free(e->ticker);
    wasm_engine_delete(e->wasm);
    free(e);
}
