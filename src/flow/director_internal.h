/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the director share. Control thread. */
#pragma once

#include "base/map.h"
#include "flow/director.h"
#include "flow/due.h"

/* Something that is read from the store until it has been read: a failure that can pass is tried
 * again, after pauses that double. One answer at a time, and between two answers others have their
 * turn. The first member of whatever it belongs to; freed by chore_end(). */
struct chore {
    struct list link; /* director->chores */
    struct director *director;
    const struct chore_kind *kind;
    struct ask *ask; /* NULL: it rests, or waits for something else */
    struct due due;
};

enum chore_next {
    CHORE_OVER,  /* it has ended */
    CHORE_AGAIN, /* ask once more */
    CHORE_WAITS, /* somebody else calls chore_end(), chore_ask() or chore_rest() */
};

struct chore_kind {
    const char *what; /* cannot be done, for the log */
    enum store_query_kind query;
    void (*fill)(struct chore *c, struct store_query *q, struct arena *a);
    /* The answer: error code OK, or one that cannot pass, or ERR_NOT_FOUND. */
    enum chore_next (*take)(struct chore *c, const struct store_query *q);
};

/* One of this size, from malloc, zeroed. */
void *chore_new(struct director *d, const struct chore_kind *kind, size_t size);
void chore_ask(struct chore *c); /* the first time, or once more, at once */
void chore_rest(struct chore *c, const struct error *error);
void chore_end(struct chore *c); /* frees it */
bool chore_may_pass(const struct error *error);

enum { DIRECTOR_PAGE = 500 }; /* rows read at once; then others have their turn */

/* Reading what falls due by an index of the store: director_due.c. */
struct due_scan {
    struct director *director;
    const struct due_scan_kind *kind;
    struct due due;
    int64_t armed_us;          /* what due is set for; INT64_MAX: nothing */
    int64_t mark_us, mark_seq; /* everything due up to here has been handed on */
    struct chore *rows;        /* what is due is being read, */
    int64_t rows_until_us;     /* up to then */
};
/* At the latest then it reads. */
void due_scan_arm(struct due_scan *s, int64_t due_us);
/* What has become due at that time is not read any more: who tells of it hands it on. */
bool due_scan_has_passed(const struct due_scan *s, int64_t due_us);
void director_due_init(struct director *d);
void director_due_begin(struct director *d); /* everything that is due by now */
void director_due_stop(struct director *d);

struct director {
    struct flow_env *env;
    struct flow *const *threads;
    size_t threads_len;
    struct list chores;
    struct map watchers; /* id -> struct watchers */

    struct due_scan runs, others; /* executions, and what else falls due */
    struct {
        director_due_fn *due; /* NULL: nobody's here */
        void *ctx;
    } due_kinds[DUE_KINDS];

    struct chore *removal; /* who waits for what was deleted is being found */
    unsigned noting;       /* crashes on their way to the store; nothing is woken before */
    bool is_stopping;
};

/* An API call that waits for an end. */
struct waiter {
    struct list link;
    struct due due;
    struct director *director;
    struct flow_request *op;
    char id[37];
};

void director_wake(struct director *d, const char *id, const char *child);
struct flow *director_owner(struct director *d, const char *id);
/* Until it ends, is found to have ended or to be gone, or its time is over. */
void director_await(struct director *d, struct flow_request *op, const char *id);
/* If it has ended or is gone, whoever waits for that is told. */
void director_look_for_end(struct director *d, const char *id);

/* director_cut.c: retry and fork. */
static inline void director_deploy(struct director *d, struct deployment_ask *a, struct slice name,
                                   int64_t version)
{
    d->env->code->get(d->env->ctx, a, name, version);
}
void director_cut(struct director *d, struct flow_request *a);
/* director_check.c: check and migrate. */
void director_check(struct director *d, struct flow_request *a);
/* director_api.c: a mutation for an API call; when it is durable, the execution is woken and the
 * caller told. */
struct store_op *director_mutation(struct director *d, struct flow_request *a, struct slice id);
void director_fail(struct flow_request *a, const struct error *error);
