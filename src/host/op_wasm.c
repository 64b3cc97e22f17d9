/* SPDX-License-Identifier: Apache-2.0
 *
 * WebAssembly of guests' code: ops WASM and WASM_COMPILE, import wasm_call; what they do is
 * sandbox/nested.h. Compilation is a job on the pool, also where the code waits for it; its CPU time is its
 * context's. It cannot be stopped once it runs, so that what looks as if it would use up the time that is
 * left is refused before. While a module is loaded it is done here and now: the thread is the build's. */
#include "host/recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "host/job.h"
#include "module/deployment.h"
#include "sandbox/isolate.h"
#include "sandbox/nested.h"
#include "script/wasm_modules.h"

/* ---- compiling ---- */

struct compile_op {
    struct op op;
    struct job job;
    struct engine *engine;
    struct bytes wasm;
    size_t charged;
    struct nested_module *module;
    enum err err;
    struct error error;
};

static void compile_op_free(struct compile_op *o)
{
    nested_module_unref(o->module);
    bytes_done(&o->wasm);
    free(o);
}

static void on_cancelled(struct op *op)
{
    struct compile_op *o = container_of(op, struct compile_op, op);
    guest_discharge(op->guest, o->charged);
    op->guest = NULL;
    if (job_cancel(&o->job))
        compile_op_free(o);
}

static void compile_run(struct job *j)
{
    struct compile_op *o = container_of(j, struct compile_op, job);
    o->err = nested_module_new(o->engine, bytes_slice(&o->wasm), &o->module, &o->error);
}

static void compile_done(struct job *j)
{
    struct compile_op *o = container_of(j, struct compile_op, job);
    if (j->is_cancelled) {
        compile_op_free(o);
        return;
    }
    struct guest *g = o->op.guest;
    struct context *c = o->op.context;
    uint32_t number = 0;
    context_charge_cpu(c, j->cpu_ns);
    guest_discharge(g, o->charged);
    bool is_late = j->cpu_ns > j->cpu_ns_max;
    if (is_late)
        o->err = error_set(&o->error, ERR_LIMIT_CPU, "compiling used up the CPU time");
    if (o->err == OK)
        o->err = nested_add_module(g->isolate, o->module, &number, &o->error);
    g->pauses = g->pauses || guest_is_to_stand(g);
    if (o->err == OK)
        op_complete(&o->op, OK, slice_of((const char *)&number, sizeof(number)));
    else
        op_complete_error(&o->op, &o->error);
    if (is_late)
        context_exhaust(c);
    compile_op_free(o);
}

static enum err compile_now(struct guest *g, struct slice wasm)
{
    struct nested_module *m = NULL;
    uint32_t number;
    enum err err = nested_module_new(isolate_engine(g->isolate), wasm, &m, &g->op_error);
    if (err == OK)
        err = nested_add_module(g->isolate, m, &number, &g->op_error);
    nested_module_unref(m);
    if (err != OK)
        return err;
    bytes_append_u32(&g->result, 0);
    bytes_append_u32(&g->result, number);
    return OK;
}

static enum err compile_begin(struct guest *g, struct slice wasm)
{
    enum err err = guest_charge(g, wasm.len);
    if (err != OK)
        return err;
    struct compile_op *o = calloc(1, sizeof(*o));
    CHECK(o);
    o->charged = wasm.len;
    err = op_begin(g, &o->op, on_cancelled);
    if (err != OK) {
        guest_discharge(g, o->charged);
        free(o);
        return err;
    }
    o->engine = isolate_engine(g->isolate);
    bytes_append_slice(&o->wasm, wasm);
    o->job.run = compile_run;
    o->job.done = compile_done;
    o->job.cpu_ns_max = context_cpu_left(o->op.context);
    job_start(g->host->jobs, &o->job, g->deployment->account, g);
    return OK;
}

enum err op_wasm_compile(struct guest *g, const struct op_wasm_compile_args *a)
{
    if (a->bytes.len > NESTED_MODULE_BYTES_MAX)
        return op_refuse(g, ERR_TOO_LARGE, "the WebAssembly module has %zu bytes, more than %d MiB",
                         a->bytes.len, NESTED_MODULE_BYTES_MAX >> 20);
    if (g->loading || !g->host || !g->host->jobs)
        return compile_now(g, a->bytes);
    if (guest_is_recorded(g) && !g->may_stand)
        return op_refuse(g, ERR_INVALID, "that is an op to wait for");
    uint64_t ns = nested_code_bytes(a->bytes) * NESTED_COMPILE_NS;
    if (!g->context || ns > context_cpu_left(g->context)) {
        op_refuse(g, ERR_LIMIT_CPU, "compiling the WebAssembly module would use up the CPU time");
        error_hint(&g->op_error,
                   "import the .wasm file: it is compiled when the module is deployed");
        return ERR_LIMIT_CPU;
    }
    return compile_begin(g, a->bytes);
}

/* ---- what the API asks for ---- */

static uint32_t take_u32(struct slice *in)
{
    uint32_t v = 0;
    if (in->len >= sizeof(v)) {
        memcpy(&v, in->ptr, sizeof(v));
        *in = slice_skip(*in, sizeof(v));
    } else {
        in->len = 0;
    }
    return v;
}

static uint64_t take_value(struct slice *in)
{
    uint64_t low = take_u32(in);
    return low | (uint64_t)take_u32(in) << 32;
}

static struct slice take_types(struct slice *in)
{
    uint32_t len = take_u32(in);
    struct slice s = slice_of(in->ptr, len < in->len ? len : in->len);
    *in = slice_skip(*in, s.len);
    return s;
}

/* One result of 4 bytes. */
static enum err give_u32(struct guest *g, enum err err, uint32_t value)
{
    if (err == OK)
        bytes_append_u32(&g->result, value);
    return err;
}

static enum err give_value(struct guest *g, enum err err, uint64_t value)
{
    if (err == OK)
        bytes_append_u64(&g->result, value);
    return err;
}

static enum err instantiate(struct guest *g, const struct op_wasm_args *a)
{
    size_t len = a->data.len / sizeof(uint32_t);
    uint32_t *imports = calloc(len + 1, sizeof(*imports));
    CHECK(imports);
    memcpy(imports, a->data.ptr, len * sizeof(*imports));
    enum err err = nested_instantiate(g->isolate, a->a, imports, len, &g->result, &g->op_error);
    free(imports);
    return err;
}

static enum err make(struct guest *g, const struct op_wasm_args *a)
{
    struct isolate *i = g->isolate;
    struct error *e = &g->op_error;
    struct slice rest = a->data;
    uint32_t number = 0;
    enum err err;
    if (a->what == ABI_WASM_FUNC) {
        struct slice params = take_types(&rest), results = take_types(&rest);
        err = nested_func_new(i, a->a, params, results, &number, e);
    } else if (a->what == ABI_WASM_MEMORY) {
        err = nested_memory_new(i, a->a, a->b, &number, e);
    } else {
        uint64_t value = take_value(&rest);
        uint8_t type = rest.len > 0 ? (uint8_t)rest.ptr[0] : 0;
        err = a->what == ABI_WASM_TABLE
                  ? nested_table_new(i, type, a->a, a->b, value, &number, e)
                  : nested_global_new(i, (uint8_t)a->a, a->b != 0, value, &number, e);
    }
    return give_u32(g, err, number);
}

static enum err ask_memory(struct guest *g, const struct op_wasm_args *a)
{
    uint32_t at = 0, pages = 0;
    enum err err;
    if (a->what == ABI_WASM_MEMORY_GROW) {
        err = nested_memory_grow(g->isolate, a->a, a->b, &pages, &g->op_error);
    } else {
        err = nested_memory_state(g->isolate, a->a, &at, &pages, &g->op_error);
        err = give_u32(g, err, at);
    }
    return give_u32(g, err, pages);
}

static enum err ask_table(struct guest *g, const struct op_wasm_args *a)
{
    struct isolate *i = g->isolate;
    struct error *e = &g->op_error;
    struct slice rest = a->data;
    uint32_t len = 0;
    uint64_t value = take_value(&rest);
    enum err err;
    switch (a->what) {
    case ABI_WASM_TABLE_LEN:
        err = nested_table_len(i, a->a, &len, e);
        return give_u32(g, err, len);
    case ABI_WASM_TABLE_GROW:
        err = nested_table_grow(i, a->a, a->b, value, &len, e);
        return give_u32(g, err, len);
    case ABI_WASM_TABLE_GET:
        err = nested_table_get(i, a->a, a->b, &value, e);
        return give_value(g, err, value);
    default:
        return nested_table_set(i, a->a, a->b, value, e);
    }
}

static enum err ask_global(struct guest *g, const struct op_wasm_args *a)
{
    struct slice rest = a->data;
    uint64_t value = take_value(&rest);
    if (a->what == ABI_WASM_GLOBAL_SET)
        return nested_global_set(g->isolate, a->a, value, &g->op_error);
    enum err err = nested_global_get(g->isolate, a->a, &value, &g->op_error);
    return give_value(g, err, value);
}

/* Those that come with the bundle, compiled. */
static enum err add_bundled(struct guest *g)
{
    struct slice rest = g->cell.wasm_modules, name, base64;
    while (wasm_modules_next(&rest, &name, &base64)) {
        CLEANUP(bytes_done) struct bytes wasm = BYTES_INIT;
        struct nested_module *m = NULL;
        uint32_t number;
        enum err err = wasm_modules_decode(base64, &wasm);
        if (err == OK)
            err =
                nested_module_new(isolate_engine(g->isolate), bytes_slice(&wasm), &m, &g->op_error);
        if (err == OK)
            err = nested_add_module(g->isolate, m, &number, &g->op_error);
        nested_module_unref(m);
        if (err != OK) {
            char text[ERROR_MESSAGE_MAX];
            snprintf(text, sizeof(text), "%s", g->op_error.message);
            return op_refuse(g, ERR_INVALID, "%.*s is no WebAssembly module: %s", SLICE_ARG(name),
                             text);
        }
        bytes_append_lstr(&g->result, name);
        bytes_append_u32(&g->result, number);
    }
    return OK;
}

enum err op_wasm(struct guest *g, const struct op_wasm_args *a)
{
    struct isolate *i = g->isolate;
    switch ((enum abi_wasm)a->what) {
    case ABI_WASM_VALIDATE:
        if (a->data.len > NESTED_MODULE_BYTES_MAX)
            return op_refuse(g, ERR_TOO_LARGE, "the WebAssembly module is larger than %d MiB",
                             NESTED_MODULE_BYTES_MAX >> 20);
        bytes_append_char(&g->result, nested_validate(isolate_engine(i), a->data));
        return OK;
    case ABI_WASM_BUNDLED:
        return add_bundled(g);
    case ABI_WASM_DESCRIBE:
        return nested_describe_module(i, a->a, &g->result, &g->op_error);
    case ABI_WASM_SECTIONS:
        return nested_custom_sections(i, a->a, a->data, &g->result, &g->op_error);
    case ABI_WASM_INSTANTIATE:
        return instantiate(g, a);
    case ABI_WASM_TYPE:
        return nested_describe(i, a->a, &g->result, &g->op_error);
    case ABI_WASM_FUNC:
    case ABI_WASM_MEMORY:
    case ABI_WASM_TABLE:
    case ABI_WASM_GLOBAL:
        return make(g, a);
    case ABI_WASM_MEMORY_STATE:
    case ABI_WASM_MEMORY_GROW:
        return ask_memory(g, a);
    case ABI_WASM_TABLE_LEN:
    case ABI_WASM_TABLE_GROW:
    case ABI_WASM_TABLE_GET:
    case ABI_WASM_TABLE_SET:
        return ask_table(g, a);
    case ABI_WASM_GLOBAL_GET:
    case ABI_WASM_GLOBAL_SET:
        return ask_global(g, a);
    }
    return op_refuse(g, ERR_INVALID, "WebAssembly has no function %u", a->what);
}

_Static_assert((int)ABI_WASM_RETURNED == (int)NESTED_RETURNED &&
                   (int)ABI_WASM_TRAPPED == (int)NESTED_TRAPPED &&
                   (int)ABI_WASM_OVERFLOW == (int)NESTED_OVERFLOW &&
                   (int)ABI_WASM_THROWN == (int)NESTED_THROWN &&
                   (int)ABI_WASM_VALUES_MAX == (int)NESTED_VALUES_MAX,
               "guest/abi.h has the same numbers");

int64_t import_wasm_call(struct isolate *i, const int64_t *args)
{
    struct guest *g = guest_of_isolate(i);
    struct error e;
    g->isolate = i;
    enum nested_outcome outcome =
        nested_call(i, (uint32_t)args[0], (uint32_t)args[1], (uint32_t)args[2], &e);
    if (outcome == NESTED_TRAPPED) {
        op_result_clear(g);
        bytes_append_cstr(&g->result, e.message);
    }
    return (int64_t)outcome + (nested_has_grown(i) ? ABI_WASM_GROWN : 0);
}
