/* SPDX-License-Identifier: Apache-2.0
 *
 * What code asks of durable executions that are not its own: to start one, how it is with one, to do
 * something to one. The host hands it to the server (guest_host.execution). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

/* In journals: never changed. */
enum execution_verb {
    EXECUTION_VERB_SIGNAL = 0,
    EXECUTION_VERB_PAUSE = 1,
    EXECUTION_VERB_RESUME = 2,
    EXECUTION_VERB_CANCEL = 3,
    EXECUTION_VERB_RESTART = 4, /* one that has finished, from its beginning */
    EXECUTION_VERB_RETRY = 5,   /* one that failed or was cancelled, from where it failed */
    EXECUTION_VERBS,
};

enum execution_asked { EXECUTION_ASKED_START, EXECUTION_ASKED_STATUS, EXECUTION_ASKED_TELL };

struct execution_request {
    enum execution_asked asked;
    /* Called once, on the thread that asked; nothing of this is looked at after it. */
    void (*done)(struct execution_request *q);
    /* in: the asker's memory, until the call of guest_host.execution() has returned */
    struct slice workflow; /* START: with its namespace and perhaps its export */
    struct slice key;      /* START: "": none */
    struct slice input;    /* START: JSON */
    struct slice space;    /* where the execution has to be */
    struct slice id;       /* STATUS, TELL */
    enum execution_verb verb;
    struct slice name, data; /* of a signal */
    struct slice by;         /* START: name of the module that starts it */
    struct slice once;       /* START, a signal: names this very call; "": nothing does */
    uint32_t wait_ms;        /* STATUS */
    /* out */
    struct error error;
    char ret_id[37];     /* START */
    bool is_new;         /* START: or `once` was the same before */
    struct bytes answer; /* STATUS: JSON, as op EXECUTION_STATUS says; bytes_done() */
    void *internal;
};
