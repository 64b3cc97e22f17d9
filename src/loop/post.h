/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending a message to another thread's loop. The message is embedded in its payload; from
 * loop_post() until fn is called it belongs to the receiving loop. Messages of one sender arrive in
 * order. Never blocks. Messages posted after the receiver stopped are never delivered. */
#pragma once

struct loop;

struct post {
    void (*fn)(struct post *p); /* runs on the receiving loop's thread */
    /* private */
    struct post *next;
};

void loop_post(struct loop *target, struct post *p); /* any thread */
