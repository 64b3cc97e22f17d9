/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared by the files of nested.h. */
#pragma once

#include "sandbox/internal.h"
#include "sandbox/nested.h"

enum {
    NESTED_KINDS = 5, /* of imports and exports */
    NESTED_DIGEST_BYTES = 32,
    NESTED_NO_MAX = UINT32_MAX,
    NESTED_INSTANCE_BYTES = 64 * 1024, /* what one is taken to hold */
    NESTED_OBJECT_BYTES = 256,
};

struct nested_export {
    uint8_t kind;
    uint32_t index; /* among all of its kind in the module, imported ones first */
    uint32_t first; /* the first export of the same thing */
};

struct nested_module {
    int refs; /* atomic */
    struct engine *engine;
    struct nested_module *next; /* engine's list */
    uint8_t digest[NESTED_DIGEST_BYTES];
    wasmtime_module_t *module;
    wasm_importtype_vec_t imports;
    wasm_exporttype_vec_t exports; /* its own, then those that were added */
    struct nested_export *export;  /* of these */
    size_t exports_len;            /* its own */
    uint32_t imported[NESTED_KINDS];
    uint32_t *import_of; /* where each import is, by kind and then in order */
    bool has_start;      /* "limpet:start" */
    bool changes_tables;
    bool drops;            /* segments, which nothing gives back */
    struct bytes sections; /* custom ones: lstr name, lstr content */
};
extern const char nested_start_name[];

/* nested_type.c: between Wasmtime's types and bytes of the binary format. */
uint8_t nested_type_byte(wasm_valkind_t kind);
wasm_valtype_t *nested_type_of_byte(uint8_t type); /* NULL: none that values may have */
void nested_put_type(struct bytes *out, const wasm_externtype_t *type);
wasm_functype_t *nested_functype(struct slice params, struct slice results); /* NULL: likewise */

/* A memory in the guest's: [at, at+cap) of it. */
struct nested_memory {
    struct nested_memory *next; /* those made before */
    struct isolate *isolate;
    uint32_t at;
    size_t len, cap, len_max;
};

struct nested_object {
    uint32_t number;
    uint8_t kind; /* enum nested_kind */
    bool is_mutable;
    uint8_t type;             /* of a global or table */
    uint32_t from;            /* instance that exports it, 0: made by the guest */
    uint32_t export_at;       /* there */
    uint32_t import;          /* function: of the guest's */
    uint32_t params, results; /* function: how many */
    char *types;              /* function: of these; owned */
    uint32_t min, max;        /* table, memory: as it was made */
    uint32_t *numbers; /* instance: of its exports, at the first of each; 0: none yet; owned */
    uint32_t *imports; /* instance: numbers; owned */
    uint32_t module;   /* instance: its module's number */
    struct nested_module
        *code; /* module, memory that the guest made: a reference; instance: borrowed */
    struct nested_memory *memory;
    struct nested *nested;
    union {
        wasmtime_func_t func;
        wasmtime_table_t table;
        wasmtime_memory_t mem;
        wasmtime_global_t global;
        wasmtime_instance_t instance;
    } of;
};

struct nested_place {
    uint32_t at;
    size_t len, cap;
};

struct nested_known {
    const void *func; /* as Wasmtime knows it */
    uint32_t number;
};

struct nested {
    struct isolate *isolate;
    wasmtime_store_t *store;
    wasmtime_context_t *context;
    struct nested_object **objects; /* number n at n - 1 */
    size_t len, cap;
    unsigned instances;
    struct nested_memory *memories; /* newest first */
    struct nested_known *known;     /* functions of exports, a hash of `known_cap` places */
    size_t known_len, known_cap;
    size_t known_objects; /* how many objects have been looked at for it */
    uint32_t own;         /* where the guest's functions have their values */
    unsigned depth;       /* calls under way */
    bool has_thrown;      /* the guest, in a function of its own that nested code has called */
    bool has_grown;       /* a memory, since the guest was told */
    bool is_changed;      /* has more than the image says, or larger: to be made anew */
    bool has_stepped;     /* may have other values than the image says */
    bool has_set_table;   /* the guest has, itself */
    bool changes_tables;  /* some instance's code may */
    bool expects_memories;
    const struct nested_plan *plan; /* that it is being made by */
    size_t memories_made;
};

struct nested *nested_of(struct isolate *i); /* made when there is none */
/* nested_image.c: where the image's memories are; how many. */
size_t nested_plan_memories(const struct nested_plan *plan, const struct nested_place **ret);
struct nested_object *nested_find(struct isolate *i, uint32_t number, enum nested_kind kind,
                                  struct error *ret_error); /* NULL: ERR_INVALID */
struct nested_object *nested_add(struct nested *n, enum nested_kind kind, uint32_t *ret_number);
NODISCARD enum err nested_check_room(struct nested *n, struct error *ret_error);
/* The number of what an instance exports at index k of its module's exports. */
uint32_t nested_export_number(struct nested *n, uint32_t instance, uint32_t k);
/* Makes what the object says, whose number is the next. */
NODISCARD enum err nested_make(struct nested *n, struct nested_object *o, uint64_t value,
                               struct error *ret_error);
void nested_delete(struct nested *n);

/* nested_value.c */
NODISCARD bool nested_to_raw(struct nested *n, uint8_t type, uint64_t value,
                             wasmtime_val_raw_t *ret);
uint64_t nested_from_raw(struct nested *n, uint8_t type, const wasmtime_val_raw_t *raw);
NODISCARD bool nested_to_val(struct nested *n, uint8_t type, uint64_t value, wasmtime_val_t *ret);
uint64_t nested_from_val(struct nested *n, const wasmtime_val_t *val);
/* The number of a function that Wasmtime has given. */
uint32_t nested_number_of_func(struct nested *n, const wasmtime_func_t *func);

/* nested_memory.c */
wasmtime_error_t *nested_memory_create(void *env, const wasm_memorytype_t *type, size_t minimum,
                                       size_t maximum, size_t reserved, size_t guard,
                                       wasmtime_linear_memory_t *ret_memory);
void nested_memory_expect(struct nested *n); /* on this thread; NULL: nobody's */
struct nested_memory *nested_memory_at(struct nested *n, const uint8_t *base);

/* nested_call.c */
void nested_trap_text(wasm_trap_t *trap, struct error *ret_error);
