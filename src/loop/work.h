/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocking jobs on the process-wide pool (libuv's). run() is called on a pool thread, then done()
 * on the loop that started the job; always both, exactly once. The struct belongs to the pool in
 * between. There is no cancel: jobs are bounded by their own limits. */
#pragma once

#include <uv.h>

struct loop;

struct work {
    void (*run)(struct work *w);
    void (*done)(struct work *w);
    /* private */
    uv_work_t req;
};

void work_start(struct loop *l, struct work *w); /* loop thread */
