/* SPDX-License-Identifier: Apache-2.0
 *
 * From many threads to the disk and back. Callers push mutations onto an atomic stack and go on.
 * The writer thread takes all there are, commits them as one transaction, and only then sends the
 * results, with one message to each loop that waits: while one commit is being synced, the next
 * batch gathers.
 *
 * Invariants: the semaphore gets one unit each time the stack becomes non-empty, and the stack is
 * taken only after a unit was taken, so no wake-up is lost. Waking a thread takes some 40 us where a
 * commit takes 120: so a unit is also given when a change is only about to come (store_expect()), and the
 * writer looks for the next one for the time of two commits before it sleeps, unless it had to wait longer
 * for the one before. An op is
 * acknowledged (code OK) only after the commit that holds it has returned. When a commit fails,
 * every op of its batch fails with the reason, the store is refusing until a commit succeeds, and
 * meanwhile the writer probes. */
#include "store/internal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "loop/post.h"

/* Log lines of one function that were not taken since the writer last said so. */
struct dropped {
    uint64_t lines;
};

/* ---- callers' side: any thread ---- */

static void queue_add_dropped(struct store *s, struct slice function, uint64_t lines)
{
    pthread_mutex_lock(&s->dropped_lock); /* held for microseconds, and only in trouble */
    struct dropped *d = map_get(&s->dropped, function);
    if (!d) {
        d = calloc(1, sizeof(*d));
        CHECK(d);
        map_put(&s->dropped, function, d);
    }
    d->lines += lines;
    atomic_store(&s->has_dropped, true);
    pthread_mutex_unlock(&s->dropped_lock);
}

static struct log_share *queue_log_share(struct store *s, struct slice function)
{
    uint64_t h = 1469598103934665603ULL; /* FNV-1a */
    for (size_t i = 0; i < function.len; i++)
        h = (h ^ (unsigned char)function.ptr[i]) * 1099511628211ULL;
    return &s->log_shares[(h >> 32) % STORE_LOG_SHARES];
}

/* However much one function prints, there is room for the lines of others. */
bool queue_take_log(struct store *s, struct slice function, size_t bytes)
{
    struct log_share *share = queue_log_share(s, function);
    if (atomic_load(&s->log_lines_queued) < STORE_LOG_LINES_QUEUED_MAX &&
        atomic_load(&s->log_bytes_queued) < STORE_LOG_BYTES_QUEUED_MAX &&
        atomic_load(&share->lines) < STORE_LOG_LINES_QUEUED_MAX / STORE_LOG_SHARE &&
        atomic_load(&share->bytes) < STORE_LOG_BYTES_QUEUED_MAX / STORE_LOG_SHARE) {
        atomic_fetch_add(&s->log_lines_queued, 1);
        atomic_fetch_add(&s->log_bytes_queued, bytes);
        atomic_fetch_add(&share->lines, 1);
        atomic_fetch_add(&share->bytes, (uint32_t)bytes);
        return true;
    }
    atomic_fetch_add(&s->logs_dropped, 1);
    queue_add_dropped(s, function, 1);
    return false;
}

/* What this thread has gathered, newest first, like the queue itself. */
static _Thread_local struct {
    struct store *store;
    struct mutation *newest, *oldest;
    uint64_t count;
} queue_gathering;

/* Puts a list on the queue, all of it at once. */
static void queue_put(struct store *s, struct mutation *newest, struct mutation *oldest,
                      uint64_t count)
{
    atomic_fetch_add(&s->queued, count);
    struct mutation *head = atomic_load(&s->queue);
    do
        oldest->next = head;
    while (!atomic_compare_exchange_weak(&s->queue, &head, newest));
    if (!head)
        sem_post(&s->wake);
}

void mutation_enqueue(struct store *s, struct mutation *m)
{
    CHECK(!atomic_load(&s->is_closing));
    if (m->op) {
        CHECK(m->op->loop);
        m->op->error.code = ERR_INTERNAL; /* until known */
        m->op->number = 0;
        m->op->internal = NULL;
    }
    if (s->backend->take) {
        s->backend->take(s->db, m);
    } else if (queue_gathering.store == s) {
        m->next = queue_gathering.newest;
        queue_gathering.newest = m;
        if (!queue_gathering.oldest)
            queue_gathering.oldest = m;
        queue_gathering.count++;
    } else
        queue_put(s, m, m, 1);
}

void store_expect(struct store *s)
{
    if (atomic_load_explicit(&s->is_asleep, memory_order_relaxed) &&
        atomic_exchange(&s->is_asleep, false))
        sem_post(&s->wake);
}

uint64_t store_answer_ns(const struct store *s)
{
    uint64_t ns = atomic_load_explicit(&s->soon_ns, memory_order_relaxed);
    return ns > STORE_SOON_US * 1000 ? 0 : 2 * ns;
}

void store_gather(struct store *s)
{
    CHECK(!queue_gathering.store);
    queue_gathering.store = s;
}

void store_send(struct store *s)
{
    CHECK(queue_gathering.store == s);
    if (queue_gathering.newest)
        queue_put(s, queue_gathering.newest, queue_gathering.oldest, queue_gathering.count);
    memset(&queue_gathering, 0, sizeof(queue_gathering));
}

/* ---- results ---- */

/* The results of one batch for one loop. */
struct delivery {
    struct post post;
    struct loop *loop;
    struct store_op *first, **last; /* linked by op->internal */
    struct delivery *next;
};

static void delivery_run(struct post *p)
{
    struct delivery *d = container_of(p, struct delivery, post);
    for (struct store_op *op = d->first, *next; op; op = next) {
        next = op->internal; /* done may free the op, or use it again */
        op->done(op);
    }
    free(d);
}

static void delivery_add(struct delivery **deliveries, struct store_op *op)
{
    struct delivery *d = *deliveries;
    while (d && d->loop != op->loop)
        d = d->next;
    if (!d) {
        d = calloc(1, sizeof(*d));
        CHECK(d);
        d->post.fn = delivery_run;
        d->loop = op->loop;
        d->last = &d->first;
        d->next = *deliveries;
        *deliveries = d;
    }
    op->internal = NULL;
    *d->last = op;
    d->last = (struct store_op **)&op->internal;
}

static void delivery_send(struct delivery *deliveries)
{
    for (struct delivery *d = deliveries, *next; d; d = next) {
        next = d->next; /* d belongs to the loop from here */
        loop_post(d->loop, &d->post);
    }
}

/* ---- the writer thread ---- */

static bool queue_is_lost(const struct store *s)
{
    return s->backend->is_lost(s->db);
}

/* Everything queued, oldest first. */
static struct mutation *queue_take(struct store *s)
{
    struct mutation *list = NULL;
    for (struct mutation *m = atomic_exchange(&s->queue, NULL), *next; m; m = next) {
        next = m->next;
        m->next = list;
        list = m;
    }
    return list;
}

static void queue_append(struct mutation *list, struct mutation *more)
{
    while (list->next)
        list = list->next;
    list->next = more;
}

/* Says once when writing stops working and once when it works again: whoever asked is told each
 * time. */
static void queue_set_refusing(struct store *s, const struct error *error)
{
    bool was = atomic_exchange(&s->is_refusing, error != NULL);
    bool is_fenced = error && error->code == ERR_FENCED;
    if (is_fenced && !atomic_exchange(&s->is_fenced, true))
        log_error("store has lost its database to another server, refusing mutations for ever",
                  LOG_STR("error", error->message), LOG_STR("hint", error->hint));
    else if (error && !was && !is_fenced)
        log_error("store cannot write, refusing mutations until it can",
                  LOG_STR("error", error->message), LOG_STR("hint", error->hint));
    else if (!error && was)
        log_info("store writes again", LOG_STR("database", s->where));
}

/* Nobody waits for this mutation, so its failure ends here. */
static void queue_log_failure(const struct mutation *m, const struct error *error)
{
    if (m->kind !=
        MUTATION_LOG) /* the function was deleted, or the batch failed, which is logged */
        log_warn("store mutation failed", LOG_STR("mutation", mutation_text(m)),
                 LOG_SLICE("of", mutation_subject(m)), LOG_STR("error", error->message));
}

/* Lost lines are replaced by one that says how many. */
static enum err queue_write_dropped(struct store *s, struct error *ret_error)
{
    if (!atomic_load(&s->has_dropped))
        return OK;
    pthread_mutex_lock(&s->dropped_lock);
    struct map dropped = s->dropped;
    s->dropped = (struct map){0};
    atomic_store(&s->has_dropped, false);
    pthread_mutex_unlock(&s->dropped_lock);
    struct slice name;
    void *value;
    enum err code = OK;
    for (size_t cursor = 0; map_next(&dropped, &cursor, &name, &value);) {
        char text[160];
        struct dropped *d = value;
        int len = snprintf(
            text, sizeof(text),
            "%llu log lines were lost here: more were printed than the disk takes, or it took none",
            (unsigned long long)d->lines);
        struct mutation_progress progress = {0};
        struct mutation m = {
            .kind = MUTATION_LOG,
            .progress = &progress,
            .log.row = {.function = name, .level = LOG_WARN, .text = slice_of(text, (size_t)len)}};
        int64_t ignored = 0;
        if (!queue_is_lost(s)) {
            enum err one = s->backend->apply(s->db, &m, &ignored, ret_error);
            if (queue_is_lost(s))
                code = one; /* else: the function was deleted, nobody will read its log */
        }
        if (queue_is_lost(s))
            queue_add_dropped(s, name, d->lines);
        free(d);
    }
    map_done(&dropped);
    return code;
}

/* Applies mutations of the list up to the limits of a batch. Returns the first that is not in it.
 */
static struct mutation *queue_apply(struct store *s, struct mutation *list, uint64_t *ret_count,
                                    struct error *ret_error)
{
    struct mutation *m = list;
    size_t bytes = 0;
    for (size_t count = 0; m && count < STORE_BATCH_MUTATIONS_MAX && bytes < STORE_BATCH_BYTES_MAX;
         *ret_count = ++count) {
        struct error error;
        int64_t number = 0;
        enum err code = s->backend->apply(s->db, m, &number, &error);
        m->is_applied = code == OK;
        m->progress->goes_on &= code == OK;
        if (queue_is_lost(s)) {
            if (code != OK)
                *ret_error = error;
            else
                error_set(ret_error, ERR_IO, "the database lost the running transaction");
            return m->next;
        }
        if (m->op && code != OK)
            m->op->error = error;
        else if (m->op) {
            m->op->error.code = OK;
            m->op->number = number;
        } else if (code != OK)
            queue_log_failure(m, &error);
        bytes += m->bytes;
        m = m->next;
    }
    return m;
}

/* The first bucket whose bound is not below value; bounds double from first. */
static size_t queue_bucket(uint64_t value, uint64_t first)
{
    size_t i = 0;
    while (i < STORE_BUCKETS - 1 && value > first << i)
        i++;
    return i;
}

static enum err queue_commit(struct store *s, uint64_t mutations, struct error *ret_error)
{
    uint64_t start = clock_monotonic_ns();
    enum err code = s->backend->commit(s->db, ret_error);
    if (code != OK)
        return code;
    uint64_t ns = clock_monotonic_ns() - start, soon = atomic_load(&s->soon_ns);
    atomic_store_explicit(&s->soon_ns, soon - soon / 8 + ns / 8, memory_order_relaxed);
    atomic_fetch_add(&s->commit_ns_total, ns);
    atomic_fetch_add(&s->commits, 1);
    atomic_fetch_add(&s->commit_sizes[queue_bucket(mutations, STORE_BUCKET_MUTATIONS)], 1);
    atomic_fetch_add(&s->commit_times[queue_bucket(ns / 1000, STORE_BUCKET_US)], 1);
    return OK;
}

/* What was committed, by kind, for the metrics. */
static void queue_count_durable(struct store *s, const struct mutation *m)
{
    if (m->kind == MUTATION_DURABLE_COMMIT) {
        atomic_fetch_add(&s->durable_commits, 1);
        atomic_fetch_add(&s->durable_records, (uint64_t)mutation_records(m));
    } else if (m->kind == MUTATION_DURABLE_START)
        atomic_fetch_add(&s->durable_starts, 1);
    else if (m->kind == MUTATION_DURABLE_SIGNAL)
        atomic_fetch_add(&s->durable_signals, 1);
}

/* Answers those that are done. *ret_rest: those with more slices to come, and behind them those from
 * `end` on, which were in no batch yet. */
static void queue_finish(struct store *s, struct mutation *list, struct mutation *end,
                         const struct error *failed, struct mutation **ret_rest)
{
    struct mutation **rest = ret_rest;
    struct delivery *deliveries = NULL;
    uint64_t count = 0;
    for (struct mutation *m = list, *next; m != end; m = next) {
        next = m->next;
        if (!failed && m->progress->goes_on) {
            *rest = m;
            rest = &m->next;
            continue;
        }
        if (m->kind == MUTATION_LOG) {
            struct log_share *share = queue_log_share(s, m->log.row.function);
            atomic_fetch_sub(&s->log_lines_queued, 1);
            atomic_fetch_sub(&s->log_bytes_queued, m->bytes);
            atomic_fetch_sub(&share->lines, 1);
            atomic_fetch_sub(&share->bytes, (uint32_t)m->bytes);
            if (failed) {
                atomic_fetch_add(&s->logs_dropped, 1);
                queue_add_dropped(s, m->log.row.function, 1);
            }
        }
        if (m->op) {
            if (failed) {
                m->op->error = *failed;
                m->op->number = 0;
            }
            delivery_add(&deliveries, m->op);
        } else if (failed)
            queue_log_failure(m, failed);
        if (!failed && m->is_applied)
            queue_count_durable(s, m);
        if (m->kind == MUTATION_SECRET_SET) /* its value */
            OPENSSL_cleanse(m + 1, m->bytes);
        free(m);
        count++;
    }
    *rest = end;
    atomic_fetch_sub(&s->queued, count);
    if (!failed)
        atomic_fetch_add(&s->mutations, count);
    delivery_send(deliveries);
}

/* For tests that end the process at each such commit. */
static bool queue_carries_records(const struct mutation *list, const struct mutation *end)
{
    for (const struct mutation *m = list; m != end; m = m->next)
        if (m->is_applied && mutation_records(m) > 0)
            return true;
    return false;
}

/* One transaction. Returns what is left of the list, those that are not done first. */
static struct mutation *queue_batch(struct store *s, struct mutation *list)
{
    struct error error = {0};
    struct mutation *end = NULL, *rest = NULL;
    uint64_t count = 0;
    enum err code = s->backend->begin(s->db, &error);
    if (code == OK) {
        end = queue_apply(s, list, &count, &error);
        code = queue_is_lost(s) ? error.code : queue_write_dropped(s, &error);
    }
    bool carries = code == OK && queue_carries_records(list, end);
    if (carries)
        crash_point(CRASH_BEFORE);
    if (code == OK)
        code = queue_commit(s, count, &error);
    if (carries && code == OK)
        crash_point(CRASH_AFTER);
    if (code != OK)
        s->backend->rollback(s->db);
    queue_set_refusing(s, code == OK ? NULL : &error);
    queue_finish(s, list, end, code == OK ? NULL : &error, &rest);
    return rest;
}

/* How long to wait for mutations before something else is to be done; INT64_MAX: for ever. */
static int64_t queue_patience_us(const struct store *s)
{
    if (atomic_load(&s->is_fenced))
        return INT64_MAX;
    if (atomic_load(&s->is_refusing))
        return STORE_PROBE_S * 1000000;
    return s->backend->patience_us(s->db);
}

/* Awake, and giving way to whoever wants this processor. */
static bool queue_poll(struct store *s)
{
    uint64_t until = clock_monotonic_ns() + store_answer_ns(s);
    do {
        if (sem_trywait(&s->wake) == 0)
            return true;
        (void)sched_yield();
    } while (clock_monotonic_ns() < until);
    return false;
}

/* For at most so long; INT64_MAX: for ever. */
static bool queue_sleep(struct store *s, int64_t us)
{
    struct timespec until;
    int rc;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += us / 1000000;
    until.tv_nsec += us % 1000000 * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    atomic_store(&s->is_asleep, true);
    do
        rc =
            us == INT64_MAX ? sem_wait(&s->wake) : sem_clockwait(&s->wake, CLOCK_MONOTONIC, &until);
    while (rc && errno == EINTR);
    /* Whoever has woken it for what is still to come is waited for awake. */
    s->is_lively = !atomic_exchange(&s->is_asleep, false);
    return rc == 0;
}

/* Waits for a unit; false: there is something else to do meanwhile. */
static bool queue_wait(struct store *s, bool has_more_tidying)
{
    if (has_more_tidying)
        return sem_trywait(&s->wake) == 0;
    if (s->is_lively && queue_poll(s))
        return true;
    uint64_t start = clock_monotonic_ns();
    if (!queue_sleep(s, queue_patience_us(s)))
        return false;
    s->is_lively |= clock_monotonic_ns() - start < store_answer_ns(s);
    return true;
}

/* One step of what can wait. True: there is more. */
static bool queue_tidy(struct store *s)
{
    struct error error;
    bool has_more = false;
    enum err code = OK;
    if (atomic_load(&s->is_fenced))
        return false;
    if (atomic_load(&s->is_refusing))
        code = s->backend->probe(s->db, &error);
    if (code == OK)
        code = s->backend->tidy(s->db, &has_more, &error);
    queue_set_refusing(s, code == OK ? NULL : &error);
    if (code == OK && s->backend->settle(s->db, !has_more))
        has_more = true;
    return code == OK && has_more;
}

static void *queue_run(void *arg)
{
    struct store *s = arg;
    pthread_setname_np(pthread_self(), "limpet-store");
    bool has_more_tidying = true;
    for (bool is_done = false; !is_done;) {
        if (!queue_wait(s, has_more_tidying)) {
            has_more_tidying = queue_tidy(s);
            continue;
        }
        /* Read before taking: whatever was pushed before closing is then in the list. */
        is_done = atomic_load(&s->is_closing);
        for (struct mutation *list = queue_take(s); list;) {
            list = queue_batch(s, list);
            if (list && list->progress->goes_on)
                queue_append(list, queue_take(s)); /* theirs is the same batch */
        }
        /* One step even when there is always work, or deleted rows would pile up. Not after a
         * failure: a probe waits its time, or each mutation on a full disk would end and begin the
         * refusing. */
        has_more_tidying = !is_done && !atomic_load(&s->is_refusing) && queue_tidy(s);
    }
    return NULL;
}

/* ---- start and stop ---- */

enum err store_queue_start(struct store *s, struct error *ret_error)
{
    CHECK(sem_init(&s->wake, 0, 0) == 0);
    /* Signals are for the threads that wait for them. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&s->thread, NULL, queue_run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc) {
        sem_destroy(&s->wake);
        return error_set(ret_error, ERR_UNAVAILABLE, "cannot start the store's thread: %s",
                         strerror(rc));
    }
    s->has_thread = true;
    return OK;
}

void store_queue_stop(struct store *s)
{
    if (!s->has_thread)
        return;
    atomic_store(&s->is_closing, true);
    sem_post(&s->wake);
    pthread_join(s->thread, NULL);
    sem_destroy(&s->wake);
    s->has_thread = false;
    struct slice name;
    void *value;
    for (size_t cursor = 0; map_next(&s->dropped, &cursor, &name, &value);)
        free(value);
    map_done(&s->dropped);
}
