/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules as an upload could hold them: what survey.c reads of one, and the exports that state.c adds.
 * A module that is valid is so with them, too; and likewise what nested_module.c makes of it. Input: a module, or a part of one. */
#include <string.h>

#include "sandbox/internal.h"
#include "sandbox/nested.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static wasm_engine_t *engine;
    static struct engine *whole;
    CLEANUP(bytes_done) struct bytes added = BYTES_INIT;
    struct slice wasm = slice_of((const char *)data, size);
    struct error error = {0};
    bool changes_tables = false;
    struct nested_module *nested;
    if (!engine)
        engine = engine_configure();
    if (!whole)
        whole = engine_new();
    /* What code of a guest's may compile: what is valid is so with what is added to it. */
    bool is_valid = nested_validate(whole, wasm);
    bool is_made = nested_module_new(whole, wasm, &nested, &error) == OK;
    CHECK(is_made == is_valid);
    if (is_made)
        nested_module_unref(nested);
    enum err err = state_prepare(wasm, &added, &changes_tables, &error);
    if (err != OK) {
        CHECK(error.message[0]);
        return 0;
    }
    wasmtime_error_t *e = wasmtime_module_validate(engine, data, size);
    if (e) {
        wasmtime_error_delete(e);
        return 0;
    }
    if (added.len > 0)
        e = wasmtime_module_validate(engine, (const uint8_t *)added.ptr, added.len);
    CHECK(!e);
    return 0;
}
