/* SPDX-License-Identifier: Apache-2.0
 *
 * A file that survives the process and tells which executions it was running when it ended. Written
 * as memory (a shared mapping), so that it costs a few stores a step; what the kernel had not
 * written by a power failure may be lost, which harms nobody.
 *
 * Suspects, if the process fell by itself (an abort, a fault): when threads were in the middle of
 * guests, the executions among those; else every execution that has been stepped within the last
 * seconds, as what has ended the process may have been done for it by another thread. A process that
 * was killed from outside suspects nobody, a clean stop leaves none. What is done about them is the
 * store's business (store_durable_crashed).
 *
 * Each engine thread writes its own part. NULL, where there is room for none, takes no notes. */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

struct witness;

enum {
    WITNESS_RECENT_MS = 10 * 1000,
    WITNESS_SLOTS_MAX = 32 * 1024,
    WITNESS_NOTHING = 0,
    WITNESS_FUNCTION = 1,
};

/* Reads what the process before has left: ids of 36 bytes and a NUL each. Then begins anew. slots:
 * executions of one thread. Only with the store's lock. */
NODISCARD enum err witness_open(const char *path, unsigned threads, unsigned slots,
                                struct bytes *ret_suspects, struct witness **ret_witness,
                                struct error *ret_error);
void witness_close(struct witness *w); /* a clean stop: nothing is left */

/* An execution is in memory. The number of its slot, or WITNESS_NOTHING: there is no room. */
uint32_t witness_enter(struct witness *w, unsigned thread, const char *id);
void witness_leave(struct witness *w, unsigned thread, uint32_t slot);
/* The thread runs this guest: a slot, or WITNESS_FUNCTION; WITNESS_NOTHING: none, any more. */
void witness_step(struct witness *w, unsigned thread, uint32_t slot, uint64_t now_ms);
/* The process is about to end by a fault of its own. From a signal handler, too. */
void witness_fell(struct witness *w);
/* Now and then, so that what was long ago is known to be. */
void witness_alive(struct witness *w, unsigned thread, uint64_t now_ms);
