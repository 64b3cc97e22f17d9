/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies that come from the host, read piece by piece, and the signals that end them: a fetch can
 * be aborted until the last byte of its answer. Whoever reads then gets the signal's reason, and
 * the host gives the connection up. */
#pragma once

#include "op.h"

/* An abort of the signal ends the source from now on, until source_over(). False: exception. */
bool source_watch(JSContext *ctx, uint32_t source, JSValueConst signal);
/* It has been read to its end, or closed. */
void source_over(JSContext *ctx, uint32_t source);
/* Starts a STREAM_READ. NULL: a JS exception is pending. */
struct op_pending *source_read(JSContext *ctx, uint32_t source, uint32_t len_max, op_done_fn *done);
/* The same, as op_start_promise() does it; op->extra is the source. */
JSValue source_read_promise(JSContext *ctx, uint32_t source, uint32_t len_max, op_done_fn *done);
/* The error of a read that failed; the source is over. */
JSValue source_error(JSContext *ctx, uint32_t source, uint32_t status, const uint8_t *payload,
                     uint32_t len);
