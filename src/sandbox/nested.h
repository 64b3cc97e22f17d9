/* SPDX-License-Identifier: Apache-2.0
 *
 * WebAssembly that the code of a guest runs: what the JavaScript API of WebAssembly is made of
 * (https://webassembly.github.io/spec/js-api/). Beside the guest's own instance an isolate may have a
 * second store with instances, memories, tables, globals and functions of its code's making, all
 * numbered from 1 as they come.
 *
 * A memory of these is a range of the guest's own linear memory, so that the guest's code sees it
 * without a copy, and images, restores, snapshots and limits hold for it as they do for the rest. Its
 * code is compiled with bounds checks (docs/webassembly.md).
 *
 * Calls go both ways on the guest's stack and under its limits: one in which others should have their
 * turn stands still with all that has called it.
 *
 * Modules: any thread, counted. The rest: the isolate's thread, from inside of an import. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

struct engine;
struct isolate;
struct nested_module;

enum nested_kind {
    NESTED_FUNC, /* 0 to 4: as in the binary format */
    NESTED_TABLE,
    NESTED_MEMORY,
    NESTED_GLOBAL,
    NESTED_TAG,
    NESTED_MODULE,
    NESTED_INSTANCE,
};

enum {
    NESTED_MODULE_BYTES_MAX = 16 * 1024 * 1024, /* for whoever takes one from outside */
    NESTED_COMPILE_NS = 1000,     /* a byte of a module's code takes about so long to compile */
    NESTED_OBJECTS_MAX = 1 << 20, /* of an isolate */
    NESTED_INSTANCES_MAX = 1000,  /* likewise */
    NESTED_VALUES_MAX = 1000,     /* parameters or results of one function; also Wasmtime's limit */
    NESTED_TABLE_MAX = 1000 * 1000, /* elements; those of all tables are charged as memory */
};

/* ---- modules ---- */

/* One for each content in a process. Compiles if there is none: blocking, 1 to 2 µs a byte.
 * ERR_INVALID: it is not valid; the message says where. */
NODISCARD enum err nested_module_new(struct engine *e, struct slice wasm,
                                     struct nested_module **ret_module, struct error *ret_error);
struct nested_module *nested_module_ref(struct nested_module *m);
void nested_module_unref(struct nested_module *m); /* NULL is allowed */
/* Of its code, which is what takes time to compile; 0 if that cannot be found. */
size_t nested_code_bytes(struct slice wasm);
bool nested_validate(struct engine *e, struct slice wasm);

/* ---- what an isolate has ---- */

/* References are numbers in values: of a function its number, of anything else what the guest has
 * numbered it by; 0 is null. */

/* The module is referred to from now on. */
NODISCARD enum err nested_add_module(struct isolate *i, struct nested_module *m,
                                     uint32_t *ret_number, struct error *ret_error);
/* Imports, then exports: u32 count, then count × (imports: lstr module,) lstr name, type. A type is u8
 * enum nested_kind, then: function: u32 count and that many types of parameters, likewise of results;
 * table: u8 type, u32 min, u32 max; memory: u32 min, u32 max in pages; global: u8 type, u8 mutable. A type of values
 * is its byte in the binary format, no maximum is UINT32_MAX. */
NODISCARD enum err nested_describe_module(struct isolate *i, uint32_t module, struct bytes *out,
                                          struct error *ret_error);
/* The type of an object that is no module or instance; of a function then u32 its index in its module. */
NODISCARD enum err nested_describe(struct isolate *i, uint32_t object, struct bytes *out,
                                   struct error *ret_error);
/* The contents of the custom sections of that name: lstr each. */
NODISCARD enum err nested_custom_sections(struct isolate *i, uint32_t module, struct slice name,
                                          struct bytes *out, struct error *ret_error);
/* imports: numbers. Its start function does not run: out gets u32 that function's number or 0, u32 count,
 * and the numbers of the exports. ERR_CONFLICT: an import is not what the module wants. */
NODISCARD enum err nested_instantiate(struct isolate *i, uint32_t module, const uint32_t *imports,
                                      size_t imports_len, struct bytes *out,
                                      struct error *ret_error);

/* A function that the guest has; it is called by this number (struct nested_code). params, results: types. */
NODISCARD enum err nested_func_new(struct isolate *i, uint32_t import, struct slice params,
                                   struct slice results, uint32_t *ret_number,
                                   struct error *ret_error);
enum nested_outcome {
    NESTED_RETURNED,
    NESTED_TRAPPED,  /* the message is in ret_error */
    NESTED_OVERFLOW, /* of the stack */
    NESTED_THROWN,   /* the guest has thrown, and knows what */
    NESTED_ENDED,    /* the isolate has an error: back to it at once */
};
/* Values lie in guest memory at `values`, 8 bytes each: parameters before, results after. The guest's own
 * functions get and give theirs at `own`, where there is room for NESTED_VALUES_MAX. */
enum nested_outcome nested_call(struct isolate *i, uint32_t func, uint32_t values, uint32_t own,
                                struct error *ret_error);
/* Has a memory grown since the last look? */
bool nested_has_grown(struct isolate *i);

NODISCARD enum err nested_memory_new(struct isolate *i, uint32_t min, uint32_t max,
                                     uint32_t *ret_number, struct error *ret_error);
/* Its address in the guest's memory, and its length in pages of 64 KiB. */
NODISCARD enum err nested_memory_state(struct isolate *i, uint32_t memory, uint32_t *ret_at,
                                       uint32_t *ret_pages, struct error *ret_error);
NODISCARD enum err nested_memory_grow(struct isolate *i, uint32_t memory, uint32_t more,
                                      uint32_t *ret_before, struct error *ret_error);

NODISCARD enum err nested_table_new(struct isolate *i, uint8_t type, uint32_t min, uint32_t max,
                                    uint64_t first, uint32_t *ret_number, struct error *ret_error);
NODISCARD enum err nested_table_len(struct isolate *i, uint32_t table, uint32_t *ret_len,
                                    struct error *ret_error);
NODISCARD enum err nested_table_grow(struct isolate *i, uint32_t table, uint32_t more,
                                     uint64_t value, uint32_t *ret_before, struct error *ret_error);
NODISCARD enum err nested_table_get(struct isolate *i, uint32_t table, uint32_t at,
                                    uint64_t *ret_value, struct error *ret_error);
NODISCARD enum err nested_table_set(struct isolate *i, uint32_t table, uint32_t at, uint64_t value,
                                    struct error *ret_error);

NODISCARD enum err nested_global_new(struct isolate *i, uint8_t type, bool is_mutable,
                                     uint64_t value, uint32_t *ret_number, struct error *ret_error);
NODISCARD enum err nested_global_get(struct isolate *i, uint32_t global, uint64_t *ret_value,
                                     struct error *ret_error);
NODISCARD enum err nested_global_set(struct isolate *i, uint32_t global, uint64_t value,
                                     struct error *ret_error);
