/* SPDX-License-Identifier: Apache-2.0
 *
 * build_step() is the whole flow; everything else starts a wait or reports an end. A build is in
 * `builds` from its submission to its end, in order of arrival. The pool owns a build's texts while
 * works_pending > 0; the loop touches them only after. */
#include "admin/build_queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/module_name.h"
#include "loop/work.h"
#include "module/binding.h"
#include "module/runtimes.h"

enum { FAILURE_TEXT_BYTES_MAX = 16 * 1024 }; /* of a message or frame that is stored */

enum build_state {
    BUILD_WAIT_TURN,      /* exits: its turn; drain or cancel (to WAIT_RECORD) */
    BUILD_WAIT_MAKE,      /* pool: the artifact is made of the source */
    BUILD_WAIT_EVALUATE,  /* pool: a fresh isolate loads the artifact */
    BUILD_WAIT_ARTIFACTS, /* pool: artifact and detail become files */
    BUILD_WAIT_RECORD,    /* store: the number, which was asked for at submission */
    BUILD_WAIT_PUBLISH,   /* store: version and end of the build */
    BUILD_WAIT_CHANGE,    /* engine threads take the version */
    BUILD_WAIT_FAIL,      /* store: the failure */
};

struct build {
    struct list link; /* in builds */
    struct build_queue *queue;
    enum build_state state;
    struct arena *arena;
    struct slice function;
    enum module_kind kind;
    struct version_options options;
    struct bytes source, assets;
    struct build_output built;
    size_t bytes; /* counted in the queue */
    bool is_built;
    bool is_kept_back;
    bool is_running; /* has had its turn */
    bool is_cancelled;

    struct work work, detail_work;
    int works_pending;
    struct error error, detail_error; /* code OK: all well so far */
    struct build_failure failure;
    uint32_t exports;
    char hash[65], detail_hash[65];

    struct store_op record_op; /* store_build_start */
    bool is_record_done;
    int64_t number;
    struct store_op op; /* the mutation after it */
    struct admin_change change;
    int64_t created_us, started_us;
    struct list watches;
};

struct build_queue {
    struct build_queue_config config;
    struct list builds;
    struct list turns; /* struct build_turn that wait */
    unsigned turns_running;
    bool was_turn; /* the last to begin was one of these: a build is next */
    size_t bytes;
    struct build_queue_stats stats;
    bool is_draining;
    void (*drain_done)(void *arg);
    void *drain_arg;
};

/* Hands a buffer over, leaving an empty one. */
static struct bytes take_bytes(struct bytes *b)
{
    struct bytes taken = *b;
    *b = BYTES_INIT;
    return taken;
}

enum build_outcome { OUTCOME_READY, OUTCOME_FAILED, OUTCOME_LOST };

static void build_step(struct build *b);
static void queue_pick(struct build_queue *q);

/* ---- the end ---- */

static void build_free(struct build *b)
{
    bytes_done(&b->source);
    bytes_done(&b->assets);
    build_output_done(&b->built);
    build_failure_done(&b->failure);
    arena_free(b->arena); /* b lies in it */
}

static bool has_routes(const struct build *b)
{
    return b->options.routes.len > 0 && !b->is_kept_back;
}

static void build_end(struct build *b, enum build_outcome outcome, const struct error *error)
{
    struct build_queue *q = b->queue;
    uint64_t us = (uint64_t)(clock_wall_us() - b->created_us);
    if (has_routes(b))
        q->config.host->routes.hold(q->config.host->ctx, b->function, SLICE_EMPTY);
    list_remove(&b->link);
    q->bytes -= b->bytes;
    if (b->is_running)
        q->stats.running--;
    else
        q->stats.queued--;
    if (outcome == OUTCOME_LOST) {
        q->stats.lost++;
    } else {
        q->stats.build_us_total += us;
        *(outcome == OUTCOME_READY ? &q->stats.ready : &q->stats.failed) += 1;
        log_info(outcome == OUTCOME_READY ? "build ready" : "build failed",
                 LOG_SLICE("function", b->function), LOG_INT("build", b->number),
                 LOG_INT("ms", us / 1000));
    }
    struct list *n;
    while ((n = list_pop_front(&b->watches))) {
        struct build_watch *w = container_of(n, struct build_watch, link);
        w->on_end(w, error);
    }
    build_free(b);
    queue_pick(q);
    if (q->is_draining && list_is_empty(&q->builds) && q->drain_done) {
        void (*done)(void *) = q->drain_done;
        q->drain_done = NULL;
        done(q->drain_arg);
    }
}

/* ---- pool work; run functions touch nothing but their build ---- */

static void on_work_done(struct work *w)
{
    struct build *b = container_of(w, struct build, work);
    if (--b->works_pending == 0)
        build_step(b);
}

static void on_detail_work_done(struct work *w)
{
    struct build *b = container_of(w, struct build, detail_work);
    if (--b->works_pending == 0)
        build_step(b);
}

static void start_work(struct build *b, void (*run)(struct work *w))
{
    b->work.run = run;
    b->work.done = on_work_done;
    b->works_pending++;
    work_start(b->queue->config.loop, &b->work);
}

static const struct runtime_type *type_of(const struct build *b)
{
    return runtime_type_find(b->options.runtime);
}

static void run_make(struct work *w)
{
    struct build *b = container_of(w, struct build, work);
    struct build_config config = {
        .tool = b->queue->config.esbuild,
        .name = arena_cstr(b->arena, module_name_split(b->function).name),
    };
    enum err err =
        type_of(b)->build(&config, bytes_slice(&b->source), &b->built, &b->failure, &b->error);
    CHECK(err == b->error.code);
    bytes_done(&b->source);
}

enum err build_check_detail(const struct runtime_type *type, struct slice detail,
                            struct error *ret_error)
{
    void *read = NULL;
    if (detail.len == 0 || !type->detail_read)
        return OK;
    if (type->detail_read(detail, &read, ret_error))
        return error_context(ret_error, ERR_BUILD_FAILED, "the uploaded %s cannot be read",
                             type->detail_member);
    type->detail_free(read);
    return OK;
}

static void run_evaluate(struct work *w)
{
    struct build *b = container_of(w, struct build, work);
    const struct admin_host *host = b->queue->config.host;
    enum err err = OK;
    if (b->is_built)
        err = build_check_detail(type_of(b), bytes_slice(&b->built.detail), &b->error);
    if (!err)
        err = host->evaluate(host->ctx, b->function, &b->built, &b->options, &b->exports,
                             &b->failure, &b->error);
    if (!err)
        err = module_kind_check(b->kind, b->function, b->exports, &b->error);
    CHECK(err == b->error.code);
}

static void run_put_code(struct work *w)
{
    struct build *b = container_of(w, struct build, work);
    enum err err = store_artifact_put(b->queue->config.store, bytes_slice(&b->built.artifact),
                                      b->hash, &b->error);
    CHECK(err == b->error.code);
}

static void run_put_detail(struct work *w)
{
    struct build *b = container_of(w, struct build, detail_work);
    enum err err = store_artifact_put(b->queue->config.store, bytes_slice(&b->built.detail),
                                      b->detail_hash, &b->detail_error);
    CHECK(err == b->detail_error.code);
}

/* The two files are written and synced side by side: a disk takes two syncs in the time of one. */
static void start_artifacts(struct build *b)
{
    start_work(b, run_put_code);
    if (b->built.detail.len == 0)
        return;
    b->detail_work.run = run_put_detail;
    b->detail_work.done = on_detail_work_done;
    b->works_pending++;
    work_start(b->queue->config.loop, &b->detail_work);
}

/* ---- store ---- */

static void on_op_done(struct store_op *op)
{
    build_step(container_of(op, struct build, op));
}

static void start_op(struct build *b)
{
    b->op = (struct store_op){.loop = b->queue->config.loop, .done = on_op_done};
}

/* What the version is bound to, for the store. */
static struct slice resources_of(const struct build *b)
{
    CLEANUP(bytes_done) struct bytes lines = BYTES_INIT;
    struct binding *items;
    size_t len;
    if (b->options.bindings.len == 0 ||
        bindings_read(b->options.bindings, b->arena, &items, &len, NULL) != OK)
        return SLICE_EMPTY;
    bindings_write_resources(items, len, &lines);
    return arena_copy(b->arena, bytes_slice(&lines));
}

static enum err hold_routes(struct build *b)
{
    const struct admin_host *host = b->queue->config.host;
    if (!has_routes(b))
        return OK;
    enum err err = host->routes.check(host->ctx, b->function, b->options.routes, &b->error);
    if (err == OK)
        host->routes.hold(host->ctx, b->function, b->options.routes);
    return err;
}

static void start_publish(struct build *b)
{
    struct version_row row = {
        .function = b->function,
        .hash = slice_cstr(b->hash),
        .detail_hash = slice_cstr(b->detail_hash),
        .exports = b->exports,
        .options = b->options,
        .assets = bytes_slice(&b->assets),
        .resources = resources_of(b),
        .is_kept_back = b->is_kept_back,
        .created_us = clock_wall_us(),
    };
    start_op(b);
    store_publish(b->queue->config.store, &b->op, b->number, &row);
}

static void start_fail(struct build *b)
{
    struct slice message = bytes_slice(&b->failure.message);
    if (message.len == 0) {
        const char *hint = b->error.hint;
        message =
            slice_cstr(arena_printf(b->arena, "%s%s%s", b->error.message, *hint ? "\n" : "", hint));
    }
    struct build_row row = {
        .function = b->function,
        .number = b->number,
        .status = BUILD_FAILED,
        .created_us = b->created_us,
        .started_us = b->started_us,
        .finished_us = clock_wall_us(),
        .error_message = slice_utf8_clip(message, FAILURE_TEXT_BYTES_MAX),
        .error_file = slice_utf8_clip(bytes_slice(&b->failure.file), FAILURE_TEXT_BYTES_MAX),
        .error_frame = slice_utf8_clip(bytes_slice(&b->failure.frame), FAILURE_TEXT_BYTES_MAX),
        .error_line = b->failure.line,
        .error_column = b->failure.column,
    };
    start_op(b);
    store_build_fail(b->queue->config.store, &b->op, &row);
}

/* Nobody waits for this one: it makes the beginning of a long build durable. */
static void record_began(struct build *b)
{
    store_build_status(b->queue->config.store, NULL, b->function, b->number, BUILD_BUNDLING);
}

static void on_recorded(struct store_op *op)
{
    struct build *b = container_of(op, struct build, record_op);
    b->is_record_done = true;
    b->number = op->number;
    struct list told;
    list_init(&told);
    list_splice_back(&told, &b->watches);
    struct list *n;
    while ((n = list_pop_front(&told))) {
        struct build_watch *w = container_of(n, struct build_watch, link);
        if (!op->error.code)
            list_push_back(&b->watches, n);
        if (w->on_recorded)
            w->on_recorded(w, b->number, &op->error);
    }
    if (op->error.code && b->state == BUILD_WAIT_TURN)
        b->state = BUILD_WAIT_RECORD;
    if (b->state == BUILD_WAIT_RECORD)
        build_step(b);
    else if (b->is_running && !op->error.code)
        record_began(b);
}

static void on_change_done(struct admin_change *c)
{
    build_step(container_of(c, struct build, change));
}

static void start_change(struct build *b)
{
    const struct admin_host *host = b->queue->config.host;
    b->change = (struct admin_change){.done = on_change_done, .function = b->function};
    host->change(host->ctx, &b->change);
}

/* ---- the flow ---- */

static void build_begin(struct build *b)
{
    struct build_queue *q = b->queue;
    b->is_running = true;
    b->started_us = clock_wall_us();
    q->stats.queued--;
    q->stats.running++;
    if (b->is_record_done)
        record_began(b);
}

static void build_lose(struct build *b, const struct error *why)
{
    struct error error = *why;
    if (b->is_cancelled) {
        error_set(&error, ERR_NOT_FOUND, "'%.*s' was deleted while it was built",
                  SLICE_ARG(b->function));
        error_hint(&error, "upload it again if it should exist");
    } else {
        log_error("build lost", LOG_SLICE("function", b->function), LOG_INT("build", b->number),
                  LOG_STR("error", error.message));
    }
    build_end(b, OUTCOME_LOST, &error);
}

static void build_step(struct build *b)
{
    static const struct error none = {.code = OK};
    for (;;) {
        /* A wait on the pool that ended badly or in vain goes on to the record. */
        bool is_over = b->error.code || b->is_cancelled;
        switch (b->state) {
        case BUILD_WAIT_TURN:
            build_begin(b);
            b->state = b->is_built ? BUILD_WAIT_EVALUATE : BUILD_WAIT_MAKE;
            start_work(b, b->is_built ? run_evaluate : run_make);
            return;
        case BUILD_WAIT_MAKE:
            b->state = is_over ? BUILD_WAIT_RECORD : BUILD_WAIT_EVALUATE;
            if (is_over)
                continue;
            start_work(b, run_evaluate);
            return;
        case BUILD_WAIT_EVALUATE:
            b->state = is_over ? BUILD_WAIT_RECORD : BUILD_WAIT_ARTIFACTS;
            if (is_over)
                continue;
            start_artifacts(b);
            return;
        case BUILD_WAIT_ARTIFACTS:
            if (!b->error.code)
                b->error = b->detail_error;
            b->state = BUILD_WAIT_RECORD;
            continue;
        case BUILD_WAIT_RECORD:
            if (!b->is_record_done)
                return;
            if (b->record_op.error.code || b->is_cancelled) {
                build_lose(b, &b->record_op.error);
                return;
            }
            b->state = b->error.code || hold_routes(b) ? BUILD_WAIT_FAIL : BUILD_WAIT_PUBLISH;
            if (b->error.code)
                start_fail(b);
            else
                start_publish(b);
            return;
        case BUILD_WAIT_PUBLISH:
            if (b->op.error.code == ERR_NOT_FOUND || b->is_cancelled) {
                b->is_cancelled = true;
                build_lose(b, &b->op.error);
                return;
            }
            if (b->op.error.code) {
                b->error = b->op.error;
                b->state = BUILD_WAIT_RECORD;
                continue;
            }
            b->state = BUILD_WAIT_CHANGE;
            start_change(b);
            return;
        case BUILD_WAIT_CHANGE:
            if (b->change.error.code)
                build_lose(b, &b->change.error);
            else
                build_end(b, OUTCOME_READY, &none);
            return;
        case BUILD_WAIT_FAIL:
            if (b->op.error.code)
                build_lose(b, &b->op.error);
            else
                build_end(b, OUTCOME_FAILED, &none);
            return;
        }
    }
}

/* Is b the oldest of its function? */
static bool is_first_of_function(const struct build_queue *q, const struct build *b)
{
    for (const struct list *n = q->builds.next; n != &b->link; n = n->next) {
        const struct build *other = container_of(n, const struct build, link);
        if (slice_eq(other->function, b->function))
            return false;
    }
    return true;
}

static struct build *first_waiting(const struct build_queue *q)
{
    LIST_FOREACH (n, &q->builds) {
        struct build *b = container_of(n, struct build, link);
        if (b->state == BUILD_WAIT_TURN && is_first_of_function(q, b))
            return b;
    }
    return NULL;
}

/* Builds and turns by turns. */
static void queue_pick(struct build_queue *q)
{
    while (q->stats.running + q->turns_running < BUILD_RUNNING_MAX) {
        struct build *b = first_waiting(q);
        struct list *n = b && q->was_turn ? NULL : list_pop_front(&q->turns);
        if (!n && !b)
            return;
        q->was_turn = n != NULL;
        if (n) {
            struct build_turn *t = container_of(n, struct build_turn, link);
            q->turns_running++;
            t->begin(t);
        } else {
            build_step(b); /* starts pool work, so it does not end b here */
        }
    }
}

void build_turn_take(struct build_queue *q, struct build_turn *t)
{
    t->queue = q;
    list_push_back(&q->turns, &t->link);
    queue_pick(q);
}

void build_turn_end(struct build_turn *t)
{
    CHECK(t->queue->turns_running > 0);
    t->queue->turns_running--;
    queue_pick(t->queue);
}

/* A queued build goes to its end without a turn. */
static void build_abandon(struct build *b)
{
    if (b->state != BUILD_WAIT_TURN)
        return;
    b->state = BUILD_WAIT_RECORD;
    build_step(b);
}

/* ---- public ---- */

struct build_queue *build_queue_new(const struct build_queue_config *config)
{
    struct build_queue *q = calloc(1, sizeof(*q));
    CHECK(q);
    q->config = *config;
    list_init(&q->builds);
    list_init(&q->turns);
    return q;
}

void build_queue_free(struct build_queue *q)
{
    if (!q)
        return;
    CHECK(list_is_empty(&q->builds) && list_is_empty(&q->turns) && q->turns_running == 0);
    free(q);
}

static enum err check_room(const struct build_queue *q, size_t bytes, struct error *ret_error)
{
    if (q->is_draining) {
        error_set(ret_error, ERR_UNAVAILABLE, "the server is stopping and takes no uploads");
        error_hint(ret_error, "upload again when it is back");
        return ERR_UNAVAILABLE;
    }
    if (q->stats.queued >= LIMIT_BUILDS_QUEUED || q->bytes + bytes > BUILD_QUEUE_BYTES_MAX) {
        error_set(ret_error, ERR_OVERLOAD, "%u builds are waiting, the queue is full",
                  q->stats.queued);
        error_hint(ret_error, "upload again when some have ended");
        return ERR_OVERLOAD;
    }
    return OK;
}

enum err build_queue_submit(struct build_queue *q, struct build_upload *upload,
                            struct build_watch *watch, struct error *ret_error)
{
    size_t bytes = upload->source.len + upload->built.artifact.len + upload->built.detail.len +
                   upload->assets.len;
    enum err err = check_room(q, bytes, ret_error);
    if (err) {
        bytes_done(&upload->source);
        build_output_done(&upload->built);
        bytes_done(&upload->assets);
        return err;
    }
    struct arena *arena = arena_new(NULL);
    struct build *b = arena_new_struct(arena, struct build);
    b->queue = q;
    b->arena = arena;
    b->function = arena_copy(arena, upload->function);
    b->kind = upload->kind;
    b->options = upload->options;
    b->options.domains = arena_copy(arena, upload->options.domains);
    b->options.vars = arena_copy(arena, upload->options.vars);
    b->options.bindings = arena_copy(arena, upload->options.bindings);
    b->options.schedules = arena_copy(arena, upload->options.schedules);
    b->options.consumers = arena_copy(arena, upload->options.consumers);
    b->options.routes = arena_copy(arena, upload->options.routes);
    b->options.runtime = arena_copy(arena, upload->options.runtime);
    b->source = take_bytes(&upload->source);
    b->built.artifact = take_bytes(&upload->built.artifact);
    b->built.detail = take_bytes(&upload->built.detail);
    b->is_built = upload->is_built;
    b->assets = take_bytes(&upload->assets);
    b->is_kept_back = upload->is_kept_back;
    b->bytes = bytes;
    b->created_us = clock_wall_us();
    list_init(&b->watches);
    if (watch)
        list_push_back(&b->watches, &watch->link);
    list_push_back(&q->builds, &b->link);
    q->bytes += bytes;
    q->stats.queued++;
    b->record_op = (struct store_op){.loop = q->config.loop, .done = on_recorded};
    b->record_op.audit = upload->audit;
    store_build_start(q->config.store, &b->record_op, b->function, b->kind);
    queue_pick(q);
    return OK;
}

static struct build *find_live(const struct build_queue *q, struct slice function, int64_t number)
{
    LIST_FOREACH (n, &q->builds) {
        struct build *b = container_of(n, struct build, link);
        if (b->is_record_done && !b->is_cancelled && b->number == number &&
            slice_eq(b->function, function))
            return b;
    }
    return NULL;
}

bool build_queue_watch(struct build_queue *q, struct slice function, int64_t number,
                       struct build_watch *watch)
{
    struct build *b = find_live(q, function, number);
    if (b)
        list_push_back(&b->watches, &watch->link);
    return b != NULL;
}

void build_watch_stop(struct build_watch *w)
{
    list_remove(&w->link);
}

bool build_queue_live(const struct build_queue *q, struct slice function, int64_t number,
                      enum build_status *ret_status, int64_t *ret_started_us)
{
    const struct build *b = find_live(q, function, number);
    if (!b)
        return false;
    *ret_started_us = b->started_us;
    if (!b->is_running)
        *ret_status = BUILD_QUEUED;
    else
        *ret_status = b->state == BUILD_WAIT_MAKE ? BUILD_BUNDLING : BUILD_EVALUATING;
    return true;
}

void build_queue_cancel(struct build_queue *q, struct slice function)
{
    /* Ending one build may end the next of the list too, so start over after each. */
    for (bool is_again = true; is_again;) {
        is_again = false;
        LIST_FOREACH (n, &q->builds) {
            struct build *b = container_of(n, struct build, link);
            if (b->is_cancelled || !slice_eq(b->function, function))
                continue;
            b->is_cancelled = true;
            build_abandon(b);
            is_again = true;
            break;
        }
    }
}

void build_queue_drain(struct build_queue *q, void (*done)(void *arg), void *arg)
{
    q->is_draining = true;
    if (list_is_empty(&q->builds)) {
        done(arg);
        return;
    }
    q->drain_done = done;
    q->drain_arg = arg;
    for (bool is_again = true; is_again;) {
        is_again = false;
        LIST_FOREACH (n, &q->builds) {
            struct build *b = container_of(n, struct build, link);
            if (b->state != BUILD_WAIT_TURN)
                continue;
            error_set(&b->error, ERR_UNAVAILABLE,
                      "the server stopped before this build began; upload again");
            build_abandon(b);
            is_again = true;
            break;
        }
    }
}

void build_queue_stats(const struct build_queue *q, struct build_queue_stats *ret_stats)
{
    *ret_stats = q->stats;
}
