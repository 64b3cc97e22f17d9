/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds: from an upload to a serving version. A build is a state machine on the control loop whose
 * blocking steps (esbuild, evaluation, artifact files) run on the work pool:
 *
 *     queued → bundling → evaluating → ready | failed
 *
 * What a status promises: `ready` is shown only after the store has the version durably and every
 * engine thread has taken it, so the next public request is served by it. A failed build changes
 * nothing that serves. Builds of one function run one after the other in the order they came, so
 * the last upload wins; builds of different functions run side by side, BUILD_RUNNING_MAX at a
 * time, checks of workflows counted (build_turn_take), so that the work pool has threads for others.
 *
 * To answer fast, work does not wait for the disk where it need not: bundling begins while the
 * build's record is being committed, and the statuses in between live here, in memory
 * (build_queue_live), not in the store, which marks failed at the next start what a crash left
 * unfinished.
 *
 * All functions are for the control loop's thread. */
#pragma once

#include "admin/admin.h"
#include "base/list.h"

struct build_queue;
struct runtime_type;

enum {
    BUILD_RUNNING_MAX = 2,
    BUILD_QUEUE_BYTES_MAX = 256 * 1024 * 1024, /* of sources and artifacts in queue: 503 above */
};

struct build_queue_config {
    struct loop *loop;
    struct store *store;
    const struct admin_host *host;
    const char *esbuild; /* borrowed */
};

/* What is built. Texts are taken over; texts of options are copied. */
struct build_upload {
    struct slice function; /* copied */
    enum module_kind kind;
    struct bytes source; /* for the runtime of the options, or, when is_built: */
    struct build_output built;
    bool is_built;
    struct bytes assets; /* manifest of static files, or empty */
    bool is_kept_back;   /* it does not serve yet */
    struct version_options options;
    const struct store_audit *audit; /* who uploads; borrowed for the call */
};

/* Tells about one build. Embedded in the watcher's own struct; remove it with build_watch_stop().
 */
struct build_watch {
    /* The build's record is durable, with its number; or, error->code not OK, there is no build.
     * NULL: not wanted. The last call when it is an error. */
    void (*on_recorded)(struct build_watch *w, int64_t number, const struct error *error);
    /* The build is over and its row in the store says how, unless error->code is not OK: it was
     * lost (function deleted, store out of order). The last call. */
    void (*on_end)(struct build_watch *w, const struct error *error);
    /* private */
    struct list link;
};

/* A turn to build and evaluate code without publishing it: counted with the builds that run. Embedded
 * in the taker's own struct. */
struct build_turn {
    void (*begin)(struct build_turn *t); /* it is its turn; perhaps before the take returns */
    /* private */
    struct list link;
    struct build_queue *queue;
};
void build_turn_take(struct build_queue *q, struct build_turn *t);
void build_turn_end(struct build_turn *t); /* once, after begin */

/* Can the runtime read what was uploaded as the detail of what was built elsewhere? ERR_BUILD_FAILED. Any
 * thread. */
NODISCARD enum err build_check_detail(const struct runtime_type *type, struct slice detail,
                                      struct error *ret_error);

struct build_queue *build_queue_new(const struct build_queue_config *config);
void build_queue_free(struct build_queue *q); /* must be idle; NULL is allowed */
/* Queues. ERR_OVERLOAD, ERR_UNAVAILABLE (stopping): the upload's texts are released all the same.
 * Calls of the watch come later, from the loop. */
NODISCARD enum err build_queue_submit(struct build_queue *q, struct build_upload *upload,
                                      struct build_watch *watch, struct error *ret_error);
/* Watches a build that is not over; false: it is. Only on_end is called. */
bool build_queue_watch(struct build_queue *q, struct slice function, int64_t number,
                       struct build_watch *watch);
void build_watch_stop(struct build_watch *w); /* harmless after the last call */

/* A build that is not over: its status and when it began (0: it has not). False: ask the store. */
bool build_queue_live(const struct build_queue *q, struct slice function, int64_t number,
                      enum build_status *ret_status, int64_t *ret_started_us);
/* The function is being deleted: its builds end without a trace. */
void build_queue_cancel(struct build_queue *q, struct slice function);
/* No new builds; queued ones fail, running ones end; then done is called, once. */
void build_queue_drain(struct build_queue *q, void (*done)(void *arg), void *arg);

struct build_queue_stats {
    uint32_t queued, running;
    uint64_t ready, failed, lost, build_us_total; /* of ready and failed ones, from upload to end */
};
void build_queue_stats(const struct build_queue *q, struct build_queue_stats *ret_stats);
