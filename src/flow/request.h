/* SPDX-License-Identifier: Apache-2.0
 *
 * What the control API asks of durable executions: see director_request(). */
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "durable/record.h"

struct store_audit;

/* Of a signal's name: a retry reads it out of the record's label. */
enum { REQUEST_SIGNAL_NAME_BYTES_MAX = 200 };
_Static_assert((int)REQUEST_SIGNAL_NAME_BYTES_MAX <= (int)RECORD_LABEL_BYTES_MAX,
               "a label has the whole name");

/* An operation on durable executions. The caller owns it until done, which is called once, on the
 * control loop, when the effect is durable. */
enum flow_request_kind {
    FLOW_START,   /* workflow, key, body, metadata -> id, row if wait_ms */
    FLOW_WAIT,    /* id, wait_ms -> is_finished; done as soon as it has finished, or after
                              wait_ms */
    FLOW_SIGNAL,  /* id, name, body */
    FLOW_CANCEL,  /* id */
    FLOW_PAUSE,   /* id */
    FLOW_RESUME,  /* id */
    FLOW_RETRY,   /* id, version (0: as pinned, -1: the serving one) */
    FLOW_RESTART, /* id: one that has finished, from the beginning */
    FLOW_FORK,    /* id, record (-1: all) -> new_id */
    FLOW_CHECK,   /* workflow, code (an artifact) and its detail: replays -> report */
    FLOW_MIGRATE, /* workflow: to the serving version, those that agree -> report */
};
struct flow_request {
    void (*done)(struct flow_request *d);
    enum flow_request_kind kind;
    /* in: borrowed until done */
    const struct store_audit *audit; /* NULL: it is in no audit log; borrowed until done */
    struct slice workflow;           /* "name" or "name.export" */
    struct slice id, name, key, body, metadata, code, detail;
    struct slice once; /* SIGNAL: a second one with the same text is ignored; "": not checked */
    int64_t version, record;
    uint32_t wait_ms;
    /* out */
    struct error error;
    char new_id[37];
    bool is_logged;      /* it has its row in the audit log, however it ended */
    bool is_new;         /* START: false: the key was known */
    bool is_finished;    /* START, WAIT: read the row for the result */
    struct bytes report; /* CHECK, MIGRATE: JSON; bytes_done() */
    void *internal;
    unsigned forks; /* private: how often one has failed */
};
