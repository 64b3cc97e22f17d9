/* SPDX-License-Identifier: Apache-2.0
 *
 * The world as it is. See env.h and place.h. */
#include "flow/env.h"

#include "base/clock.h"

const struct flow_clock flow_clock_of_loop = {
    .wall_us = clock_wall_us,
    .monotonic_ns = clock_monotonic_ns,
    .timer_start = timer_start,
    .timer_stop = timer_stop,
    .post = loop_post,
};

const struct flow_isolates flow_isolates_of_host = {
    .add = guest_add,
    .resume = guest_resume,
    .save = guest_save,
    .end = guest_end,
    .start_call = guest_start_call,
    .stop_call = guest_stop_call,
    .scope_over = guest_scope_over,
};
