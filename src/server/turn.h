/* SPDX-License-Identifier: Apache-2.0
 *
 * Running guests. For the worker's thread. */
#pragma once

#include "server/invocation.h"

void turn_enqueue(struct worker *w,
                  struct task *t);  /* gets an isolate in the next turn, or waits */
void turn_withdraw(struct task *t); /* it does not want one any more, if it still waits */
/* A guest whose work is over or broken off: its isolate is for others, or gone. */
void turn_give_back(struct worker *w, struct guest *g);
void turn_runnable(void *ctx, struct guest *g);
void turn_run(void *worker);
