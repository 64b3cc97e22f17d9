/* SPDX-License-Identifier: Apache-2.0
 *
 * The runtime of TypeScript and JavaScript. One engine runs all of it: QuickJS-ng and our glue as one
 * wasm module, embedded in the program in both forms (wasm, and compiled for the CPU it was built
 * on), and the runtime script. A module is a bundle (bundle.h), evaluated once in a fresh isolate
 * whose memory is then the version's image; its detail is a source map. See guest/abi.h for the
 * exports and imports. */
#pragma once

#include "module/runtime.h"

/* Index of each export of guest/abi.h for isolate_call(). */
enum script_export {
    SCRIPT_INITIALIZE,
    SCRIPT_BOOT,
    SCRIPT_ALLOC,
    SCRIPT_FREE,
    SCRIPT_HEAD,
    SCRIPT_LOAD,
    SCRIPT_DISPATCH,
    SCRIPT_COMPLETE,
    SCRIPT_RUN,
    SCRIPT_ABORT,
    SCRIPT_STATE,
    SCRIPT_FORGET,
    SCRIPT_WASM,
    SCRIPT_EXPORTS,
};

struct script {
    struct runtime runtime;
    struct code *code;
    struct image *base; /* booted, runtime loaded, no module */
    uint32_t head;      /* guest address of the dispatch input buffer */
};

extern const struct runtime_type script_runtime;

/* input.c: what a dispatch gives to the guest, as guest/abi.h says. */
void script_encode(const struct dispatch_input *in, struct bytes *out);

/* build.c: for script_runtime. */
enum err script_build(const struct build_config *config, struct slice source,
                      struct build_output *ret_output, struct build_failure *ret_failure,
                      struct error *ret_error);
void script_locate(const struct build_trouble *t, struct build_failure *ret_failure);

/* wasi.c: the imports beside "limpet" that the engine has. */
extern const struct sandbox_import script_wasi[];
extern const size_t script_wasi_len;
