/* SPDX-License-Identifier: Apache-2.0
 *
 * What errors show: `error.stack` begins with "Name: message" and its positions are those of the
 * sources, which the host knows (op STACK_MAP); what is logged and told to the host shows causes,
 * too.
 *
 * QuickJS gives genuine errors an accessor on Error.prototype over frames that it keeps inside;
 * head and mapping are made when somebody reads it, so that an error nobody looks at costs nothing.
 * Own stacks (of DOMExceptions, Error.captureStackTrace()) are finished when they are made. */
#pragma once

#include "pack.h"
#include "quickjs.h"

bool stack_init(JSContext *ctx);
/* "Name: message" of what was thrown; for what is no error, its text. Leaves no exception. */
void stack_head(JSContext *ctx, JSValueConst thrown, struct buffer *out);
/* Frames of an error, without its head, and what caused it or it consists of. Leaves no exception.
 */
void stack_tell(JSContext *ctx, JSValueConst error, struct buffer *out);
/* The frames in a text as a reader is to see them: with the positions of the sources; without the
 * newlines at the end. */
void stack_add_mapped(struct text frames, struct buffer *out);
/* Is value an object that has a message to show? */
bool stack_is_error(JSContext *ctx, JSValueConst value);
/* For build_backtrace() (tools/deps-quickjs): the own stack that target shall have. stack is
 * consumed. */
JSValue stack_made(JSContext *ctx, JSValueConst target, JSValue stack);
/* deps/quickjs/async_frames.c. C code makes errors now for who waits for this resolver's promise.
 */
void frames_settle(JSValueConst resolver);
/* Does this function resolve that promise? */
bool frames_resolves(JSValueConst resolver, JSValueConst promise);
/* The value of this resolver's promise goes nowhere: what wanted it, a Promise.race() say, has one. */
bool frames_is_over(JSValueConst resolver);
/* Where the module's own code stands now: a function, the caller's to free, and a place in it, which
 * frames_line() tells as a line of a stack. False: it does not run. */
bool frames_caller(JSContext *ctx, JSValue *ret_function, uint32_t *ret_at);
JSValue frames_line(JSContext *ctx, JSValueConst function, uint32_t at);
