/* SPDX-License-Identifier: Apache-2.0
 *
 * See engine.h. */
#include "sandbox/nested_internal.h"

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

/* Memories of these lie side by side in a guest's, so that each access is checked; results are the same on
 * any machine, since executions are replayed. */
static wasm_engine_t *configure_nested(void)
{
    static wasmtime_memory_creator_t creator = {.new_memory = nested_memory_create};
    wasm_config_t *config = wasm_config_new();
    CHECK(config);
    wasmtime_config_epoch_interruption_set(config, true);
    wasmtime_config_max_wasm_stack_set(config, SANDBOX_NESTED_STACK_BYTES);
    wasmtime_config_async_stack_size_set(config, SANDBOX_FIBER_STACK_BYTES);
    wasmtime_config_cranelift_opt_level_set(config, WASMTIME_OPT_LEVEL_SPEED);
    wasmtime_config_cranelift_nan_canonicalization_set(config, true);
    wasmtime_config_wasm_relaxed_simd_deterministic_set(config, true);
    wasmtime_config_wasm_threads_set(config, false);
    wasmtime_config_wasm_memory64_set(config, false);
    wasmtime_config_parallel_compilation_set(config, false); /* the pool's thread is one */
    wasmtime_config_memory_may_move_set(config, true);
    wasmtime_config_memory_reservation_set(config, 0);
    wasmtime_config_memory_guard_size_set(config, 0);
    wasmtime_config_memory_init_cow_set(config, false);
    wasmtime_config_native_unwind_info_set(config, true);
    wasmtime_config_host_memory_creator_set(config, &creator);
    return wasm_engine_new_with_config(config);
}

wasm_engine_t *engine_nested(struct engine *e)
{
    wasm_engine_t *made = __atomic_load_n(&e->nested, __ATOMIC_ACQUIRE);
    if (made)
        return made;
    pthread_mutex_lock(&e->modules_lock);
    if (!e->nested) {
        made = configure_nested();
        CHECK(made);
        ticker_add(e->ticker, made);
        __atomic_store_n(&e->nested, made, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&e->modules_lock);
    return e->nested;
}

struct engine *engine_new(void)
{
    struct engine *e = calloc(1, sizeof(*e));
    CHECK(e);
    e->wasm = engine_configure();
    CHECK(e->wasm);
    CHECK(pthread_mutex_init(&e->modules_lock, NULL) == 0);
    e->ticker = ticker_new(e->wasm);
    return e;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    ticker_free(e->ticker);
    CHECK(!e->modules);
    if (e->nested)
        wasm_engine_delete(e->nested);
    wasm_engine_delete(e->wasm);
    pthread_mutex_destroy(&e->modules_lock);
    free(e);
}
