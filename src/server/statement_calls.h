/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements for the control API, run by an engine thread. */
#pragma once

struct admin_statements;
struct loop;
struct worker;

/* Control thread; s->done comes on its loop. */
void statement_calls_start(struct loop *control, struct worker *to, struct admin_statements *s);
/* Engine thread: it stops, they end soon. */
void statement_calls_cancel(struct worker *w);
