/* SPDX-License-Identifier: Apache-2.0
 *
 * The WebAssembly modules of a bundle. They stand behind its code, so that a bundle is one text: a line
 * each,
 *
 *     //# limpet-wasm=./NAME-HASH.wasm,BASE64
 *
 * where the name is what the code imports it by, but for anything from a '?' on. Any thread. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"
#include "base/error.h"

/* code: up to and with the newline before the first of those lines that end the text. */
void wasm_modules_split(struct slice bundle, struct slice *ret_code, struct slice *ret_modules);
void wasm_modules_append(struct bytes *bundle, struct slice name, struct slice wasm);
/* The next one's name and base64. False: there are no more. */
bool wasm_modules_next(struct slice *modules, struct slice *ret_name, struct slice *ret_base64);
/* By the name that code imports. */
bool wasm_modules_has(struct slice modules, struct slice name);
/* ERR_INVALID: it is no base64. */
NODISCARD enum err wasm_modules_decode(struct slice base64, struct bytes *out);
