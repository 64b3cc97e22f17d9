/* SPDX-License-Identifier: Apache-2.0
 *
 * Promises that were rejected while nobody listened. They are logged when the jobs have drained and
 * the dispatches have taken what is theirs. */
#pragma once

#include <stdbool.h>

#include "quickjs.h"

void rejection_init(void);
/* Somebody took care of this promise after all. False: it had been reported already. */
bool rejection_forget(JSContext *ctx, JSValueConst promise);
/* Tells listeners for "unhandledrejection", logs what they do not prevent, and forgets all. */
void rejection_report(JSContext *ctx);
