/* SPDX-License-Identifier: Apache-2.0
 *
 * How a dispatch is answered: a Response or any value, over HTTP or as the output of an execution.
 */
#pragma once

#include "dispatch.h"
#include "quickjs.h"

/* Answers with what the handler gave; value is consumed. */
void answer_with(JSContext *ctx, struct dispatch *d, JSValue value);
/* Answers with the pending exception, which is cleared. */
void answer_fail(JSContext *ctx, struct dispatch *d);
/* Answers 400 with the pending SyntaxError: the client sent text that is not the JSON it says it
 * is. */
void answer_bad_json(JSContext *ctx, struct dispatch *d);
