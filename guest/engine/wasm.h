/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of WebAssembly's JavaScript API that C must have or does fast: calls both ways, values, and
 * buffers over memories. The rest is guest/node/internal/webassembly.ts. Nothing of it exists before that is
 * loaded. */
#pragma once

#include <stdint.h>

#include "quickjs.h"

/* Members of `native` (guest/runtime/native.ts). */
JSValue wasm_compile(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
JSValue wasm_setup(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
JSValue wasm_function(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
JSValue wasm_import(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
JSValue wasm_buffer(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
JSValue wasm_moved(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
JSValue wasm_encode(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
JSValue wasm_decode(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
