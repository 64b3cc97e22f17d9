/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of __limpet share: see native.c. */
#pragma once

#include <stdbool.h>

#include "quickjs.h"
#include "text.h"

/* Bytes of a string (UTF-8) or buffer; release with native_bytes_done(). .at NULL: exception. */
struct native_bytes {
    struct text text;
    bool is_string;
};
struct native_bytes native_bytes(JSContext *ctx, JSValueConst value);
void native_bytes_done(JSContext *ctx, struct native_bytes b);

/* native_op.c: members for ops that need no code of their own here, but for those that `native` has
 * already. */
bool native_define_ops(JSContext *ctx, JSValueConst native);
