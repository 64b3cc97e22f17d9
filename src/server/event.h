/* SPDX-License-Identifier: Apache-2.0
 *
 * Events for code, from the control thread. */
#pragma once

#include "flow/event.h"

struct loop;
struct worker;

/* Calls the handler on that worker, or where its module is. */
void event_start(struct loop *control, struct worker *to, struct event_call *e);
