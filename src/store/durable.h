/* SPDX-License-Identifier: Apache-2.0
 *
 * Durable executions, runs of workflows, as the store keeps them: the row, what is sent to one, and the
 * steps that a commit consists of. */
#pragma once

#include <stdint.h>

#include "base/slice.h"

enum durable_status {
    DURABLE_QUEUED,    /* never ran yet */
    DURABLE_RUNNING,   /* in the memory of its owner, or was when the server ended */
    DURABLE_SUSPENDED, /* waits for wake_us or an event; needs no memory */
    DURABLE_COMPLETED,
    DURABLE_FAILED,
    DURABLE_CANCELLED,
};
const char *durable_status_text(enum durable_status s); /* "queued" ... */
bool durable_status_read(struct slice text, enum durable_status *ret_status);
static inline bool durable_is_finished(enum durable_status s)
{
    return s >= DURABLE_COMPLETED;
}

struct durable_row {
    int64_t seq; /* grows with the start; a cursor */
    struct slice id, workflow,
        export_name;  /* workflow: the module's name; export "" is the default one */
    struct slice key; /* of the start, "" if none */
    int64_t version;  /* pinned at the start */
    enum durable_status status;
    bool is_paused, is_cancel_requested;
    struct slice parent;          /* id of the execution that started it, "" if none */
    struct slice input, metadata; /* JSON */
    struct slice output, error; /* JSON, "" if none; error: {"code","name","message","stack",...} */
    struct slice progress;      /* JSON, "" if none */
    struct slice parked;        /* with is_paused: why it is not run until somebody resumes it */
    int64_t records;            /* in its journal */
    int64_t events;             /* signals, ends of children and requests that it was sent so far */
    int64_t signals_taken;      /* consumed so far */
    int64_t wake_us;            /* when it is due; INT64_MAX: only an event makes it due */
    int64_t attempt;            /* 1; one more for each retry */
    int64_t lines; /* log lines stored that the code printed outside of steps; -1: not known */
    int64_t created_us, started_us, finished_us; /* 0: not yet */
};

/* Of texts in one commit or start: ERR_TOO_LARGE. */
enum { STORE_COMMIT_BYTES_MAX = 256 * 1024 * 1024 };

struct durable_signal {
    int64_t seq; /* grows per execution */
    int64_t at_us;
    struct slice name, data;
};

struct durable_message { /* a signal, or with an empty name a request to cancel */
    struct slice execution, name, data;
    struct slice once; /* a second one with the same text is ignored; "": not checked */
};

/* One part of what is done to an execution: a row of mutations.def. */
enum store_step_kind {
#define STEP(KIND, name, guard, fields) STORE_STEP_##KIND,
#include "store/mutations.def"
    STORE_STEPS,
};
struct store_step {
    enum store_step_kind kind;
    union {
#define T(name) struct slice name;
#define V(type, name) type name;
#define N(member)
#define STEP(KIND, name, guard, fields)                                                            \
    struct {                                                                                       \
        fields                                                                                     \
    } name;
#include "store/mutations.def"
#undef T
#undef V
#undef N
    };
};

/* Where the journal of a retried or forked execution is cut: its first `records` records stay, which are
 * those of whole chunks up to number `chunk_first`, and of `chunk`, which takes the place of the one
 * there; the chunks above go. */
struct store_cut {
    int64_t records, chunk_first;
    struct slice chunk;
    int64_t version; /* 0: as it was */
    /* A fork, if is_fenced: how many signals the source had consumed when its journal was looked through for
     * those that come back. ERR_CONFLICT: it has consumed others. */
    bool is_fenced;
    int64_t signals_taken;
};

/* Deaths of the process in a row, while it ran an execution, with which that is parked. */
enum { STORE_CRASHES_MAX = 3 };
