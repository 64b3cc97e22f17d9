/* SPDX-License-Identifier: Apache-2.0
 *
 * What a WeakRef refers to stays while the job runs in which it was made or looked at (ECMA-262 §9.11,
 * ClearKeptObjects), although nothing else holds it: QuickJS counts references and would free it at
 * once, which no other engine does. Held until the host has nothing more to run. */
#pragma once

#include "quickjs.h"

/* For patches.py: holds the target. Without memory for that it is not held. */
void weak_keep(JSContext *ctx, JSValueConst target);
/* Lets go of all, which may run finalizers and queue jobs. */
void weak_release(JSContext *ctx);
