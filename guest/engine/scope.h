/* SPDX-License-Identifier: Apache-2.0
 *
 * Which code belongs to the body of which step: the async context of durable executions. While the
 * body of a step runs, eng.scope is the step's number (1..65535), else 0; every op call passes it.
 *
 * The rule is that of AsyncLocalStorage: code goes on in the scope in which its promise was made.
 * Each promise carries the scope in which it was made (an async function's when it is called, that
 * of .then() when that is called), and before a job runs, the scope is taken from the promise that
 * the job works for. A job that belongs to no promise of ours (queueMicrotask, a promise class that
 * makes its own functions) runs in the scope of the code that queued it; so new jobs are marked
 * whenever the scope changes, which is why nothing but scope_set() may write eng.scope.
 *
 * Only isolates that run a workflow pay for this: scope_begin() turns it on.
 *
 * Both marks lie in padding of QuickJS's structs (JSPromiseData, JSJobEntry); scope_init() checks
 * the layout against live objects at boot. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "quickjs.h"

bool scope_init(JSContext *ctx);
/* From now on promises and jobs carry scopes. */
void scope_begin(JSContext *ctx);
/* From now on promises and jobs carry frames too: a frame is a value of the Node layer's (the map of all
 * AsyncLocalStorages), eng.frame, which goes on where its promise was made, as scopes do. It is a hidden
 * property of the promises that are made while there is one. Only isolates with an AsyncLocalStorage pay
 * for that. False: exception. */
bool scope_begin_frames(JSContext *ctx);
/* Code that runs from here on, until this job ends, has this frame, which is consumed. */
void scope_set_frame(JSContext *ctx, JSValue frame);
/* Code that runs from here on belongs to scope. */
void scope_set(uint32_t scope);
/* Runs jobs until none is left, each in its scope; calls failed for each that threw. Ends in scope
 * 0. */
void scope_drain(JSContext *ctx, void (*failed)(JSContext *ctx));
/* The scope in which a promise was made. */
uint32_t scope_of_promise(JSValueConst promise);
