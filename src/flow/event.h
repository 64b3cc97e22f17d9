/* SPDX-License-Identifier: Apache-2.0
 *
 * An event for code: a handler of a module's default export other than fetch(), called by the control
 * thread. At most once for each try; who wants more tries again with the same id. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"

/* The caller's until done, as what it names. */
struct event_call {
    void (*done)(struct event_call *e); /* on the control loop, once */
    struct slice module;                /* with its namespace */
    const char *handler;                /* "scheduled", "queue" */
    struct slice id;                    /* for logs */
    struct slice input;                 /* as guest/runtime/events.ts reads it */
    /* out: the answer, JSON; or code other than OK, when the handler was not run to its end */
    struct error error;
    struct bytes answer; /* bytes_done() */
};
