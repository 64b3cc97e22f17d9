/* SPDX-License-Identifier: Apache-2.0
 *
 * Durable executions in the guest: the loop that asks the host for one delivery after the other,
 * and what a workflow calls: step(), sleep(), waitForEvent(), children, progress.
 *
 * The code that runs outside of steps must do the same on every replay. It does because nothing
 * moves it but deliveries, one at a time, each only when no job is left; and because nothing that
 * the body of a step does here (scope.h) is seen by it but the step's result, which always comes
 * back from its bytes, never as the object that the body made. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "quickjs.h"

/* The isolate runs a workflow from now on. */
void workflow_begin(JSContext *ctx);
/* No job is left: takes the next delivery. False: there is none now. */
bool workflow_next(JSContext *ctx);
/* Does code of a workflow run that is in no step? */
bool workflow_is_main(void);
/* The host found that the call just made is not the one in the journal (its message is the last
 * result): tells it where the code is. */
void workflow_diverged(void);

/* Errors that the runtime makes; the text of those of children is JSON {name, message}. */
enum workflow_error {
    WORKFLOW_CANCELLED,
    WORKFLOW_TIMEOUT,
    WORKFLOW_CHILD_FAILED,
    WORKFLOW_CHILD_CANCELLED,
};
JSValue workflow_error(JSContext *ctx, enum workflow_error kind, const char *text, uint32_t len);

/* Members of __limpet. */
JSValue workflow_step(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
JSValue workflow_sleep(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
JSValue workflow_event_wait(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
JSValue workflow_wait_of(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
JSValue workflow_withdraw(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
JSValue workflow_child_start(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
JSValue workflow_child_result(JSContext *ctx, JSValueConst this_value, int argc,
                              JSValueConst *argv);
JSValue workflow_signal(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
JSValue workflow_child_cancel(JSContext *ctx, JSValueConst this_value, int argc,
                              JSValueConst *argv);
JSValue workflow_progress(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
/* The scope of the code that calls. */
JSValue workflow_scope(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
/* Calls argv[1] in scope argv[0]. */
JSValue workflow_in_scope(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
