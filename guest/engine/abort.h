/* SPDX-License-Identifier: Apache-2.0
 *
 * Pending ops that an AbortSignal ends: a fetch, or the wait of a workflow that is withdrawn. The op
 * is cancelled when the signal aborts, and its promise rejects at once with the signal's reason. */
#pragma once

#include "op.h"

/* Throws the signal's reason if it has aborted already. signal: JS_UNDEFINED if there is none. False:
 * exception. */
bool abort_check(JSContext *ctx, JSValueConst signal);
/* An abort of the signal rejects values[1] of op and cancels it from now on, until abort_unwatch();
 * a sink that is not 0 is then ended as failed. signal as above. False: exception. */
bool abort_watch(JSContext *ctx, struct op_pending *op, uint32_t sink, JSValueConst signal);
/* The op is complete. */
void abort_unwatch(JSContext *ctx, const struct op_pending *op);
/* The signal that op is watched with; JS_UNDEFINED. */
JSValue abort_signal(JSContext *ctx, const struct op_pending *op);
/* Ends op with this reason as a signal would; what has another scope than the code that runs stays. */
void abort_op(JSContext *ctx, uint32_t number, JSValueConst reason);

/* signal.addEventListener("abort", listener), or removeEventListener. False: exception. */
bool abort_listen(JSContext *ctx, JSValueConst signal, const char *method, JSValueConst listener);
