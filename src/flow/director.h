/* SPDX-License-Identifier: Apache-2.0
 *
 * Directing durable executions, on the control thread: operations of the admin API, timers, wakes.
 * It holds no execution; it knows the store, when the next timer is due, and who waits for a
 * result. */
#pragma once

#include "flow/env.h"
#include "flow/request.h"

struct director;
struct flow;

/* threads: the engine threads, which outlive it. suspects: executions that the process before may
 * have ended with, 37 bytes each. env outlives it, too. */
struct director *director_new(struct flow_env *env, struct flow *const *threads, size_t threads_len,
                              struct slice suspects);
void director_free(struct director *d);
void director_stop(struct director *d); /* no more wakes; waiters are told */

/* A workflow was deleted, with its executions: who waits for one of them learns that. */
void director_removed(struct director *d);

/* ---- what falls due other than executions (store_due_set()) ---- */

/* A row is due: on the director's thread, borrowed for the call. Perhaps twice, and perhaps it has been
 * changed since: who is called looks at the truth, and sets when it is next due, or clears it. Until then it
 * is not called again, except by another process, so it tries for itself what fails. */
typedef void director_due_fn(void *ctx, const struct due_row *row);
/* Whose a kind is; right after director_new(). */
void director_due_kind(struct director *d, enum due_kind kind, director_due_fn *due, void *ctx);
/* A row was set, and that is durable. The director's thread. */
void director_due_note(struct director *d, const struct due_row *row);
/* Likewise, from any thread; the row is copied. */
void director_due_post(struct director *d, const struct due_row *row);

/* For the control API. */
void director_request(struct director *d, struct flow_request *op);
/* The client that waits has gone: done comes soon (ERR_CANCELLED for WAIT). */
void director_cancel(struct director *d, struct flow_request *op);

/* From the engine threads, after a commit. */
struct director_note {
    struct post post;
    struct director *director;
    char id[37];
    bool is_finished;
    bool is_suspended;
    bool cancels_children;
    int64_t wake_us;  /* with is_suspended */
    char parent[37];  /* to be told of the end, "" if none */
    char watched[37]; /* `id` waits for the end of this one, which does not know it; "" */
    size_t wakes_len; /* executions to look at */
    char wakes[][37];
};
struct director_note *director_note_new(const struct flow_shared *s, const char *id,
                                        size_t wakes_len);
void director_send(struct director_note *n);            /* any thread; takes it over */
void director_post(struct director *d, struct post *p); /* any thread: to the director's */
