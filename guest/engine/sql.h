/* SPDX-License-Identifier: Apache-2.0
 *
 * native.sqlExec and native.sqlTransaction: values between JS and the packed form of
 * src/host/ops.def. */
#pragma once

#include "quickjs.h"

JSValue sql_exec(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
/* native.sqlPack(flags, [[sql, params], …]) → bytes, native.sqlUnpack(bytes) → {duration, size, commit, results} */
JSValue sql_pack(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
JSValue sql_unpack(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
JSValue sql_transaction(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
/* The code of an actor comes to rest: what it has stored since is one commit. If that fails, the host ends
 * the isolate here. */
void sql_end_turn(JSContext *ctx);
