/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of loop/ share. Loop thread only, except where said. */
#pragma once

#include <stdbool.h>

struct loop;

/* timer.c */
void timers_init(struct loop *l);
void timers_done(struct loop *l);
/* Before the loop sleeps: sets libuv's timer to our earliest one. */
void timers_arm(struct loop *l);

/* post.c */
void posts_init(struct loop *l);
/* Delivers what is there, up to a bound unless all is asked for. True if something is left. */
bool posts_deliver(struct loop *l, bool is_all);

/* loop.c. Any thread: makes the loop's poll return. Other threads call it between enter and leave.
 */
void loop_wake(struct loop *l);
void loop_enter(struct loop *l);
void loop_leave(struct loop *l);
