/* SPDX-License-Identifier: Apache-2.0
 *
 * A function on a stack of its own, which it can leave in the middle, to be continued later, also
 * by another thread. Only for code of others that has no state machine of its own and calls us back
 * in the middle of long work (SQLite); what we write ourselves waits as STYLE.md says.
 *
 * A fiber belongs to one thread at a time. What it holds across fiber_leave() must not be tied to a
 * thread: no mutex, no address of a thread-local variable. The stack ends in a guard page. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct fiber;

struct fiber *fiber_new(size_t stack_bytes);
void fiber_free(struct fiber *f); /* not in the middle of its function */
/* fn(arg) is what the next fiber_run() begins with. */
void fiber_set(struct fiber *f, void (*fn)(void *arg), void *arg);
/* Runs until the function ends (true) or leaves (false: run it again). Fibers do not nest. */
bool fiber_run(struct fiber *f);
/* From inside: back to whoever called fiber_run(). Returns in the next one. */
void fiber_leave(void);
bool fiber_is_inside(void); /* does this thread run a fiber now? */
