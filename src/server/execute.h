/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs for the control API. Control thread. */
#pragma once

struct admin_execute;
struct loop;
struct worker;

/* Runs one on that thread, or on the one that its module is on; e->done comes on the control loop. */
void execute_start(struct loop *control, struct worker *to, struct admin_execute *e);
