/* SPDX-License-Identifier: Apache-2.0
 *
 * A store that is far away, for tests: SQLite's backend with LIMPET_SLOW_STORE set, in builds with
 * crash points. It answers no read at once; each waits some milliseconds of its own, so that answers
 * overtake each other, is read by another thread at that moment, and told to the asking loop by a
 * post, as a backend over a network would. */
#include "store/internal.h"

#ifdef LIMPET_CRASH_POINTS
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/random.h"
#include "loop/post.h"

enum { SLOW_US_MAX = 4000 }; /* one in SLOW_FAR takes SLOW_FAR times as long */
enum { SLOW_FAR = 16 };

/* A query under way. */
struct slow_read {
    struct post post;
    struct store_query *query;
    uint64_t due_ns;
    struct slow_read *next; /* by due_ns */
};

struct slow {
    void *db; /* SQLite's */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t thread;
    bool has_thread;
    struct slow_read *first; /* under the mutex, as is: */
    bool is_closing;
    uint64_t seed;
};

static void slow_told(struct post *p)
{
    struct slow_read *r = container_of(p, struct slow_read, post);
    struct store_query *q = r->query;
    free(r);
    q->done(q);
}

static void slow_wait(struct slow *s, uint64_t until_ns)
{
    struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000),
                             .tv_nsec = (long)(until_ns % 1000000000)};
    (void)pthread_cond_clockwait(&s->changed, &s->mutex, CLOCK_MONOTONIC, &until);
}

static void *slow_run(void *arg)
{
    struct slow *s = arg;
    pthread_mutex_lock(&s->mutex);
    while (!s->is_closing) {
        struct slow_read *r = s->first;
        if (!r) {
            pthread_cond_wait(&s->changed, &s->mutex);
        } else if (r->due_ns > clock_monotonic_ns()) {
            slow_wait(s, r->due_ns);
        } else {
            s->first = r->next;
            pthread_mutex_unlock(&s->mutex);
            CHECK(sqlite_backend.read(s->db, r->query) == OP_DONE);
            r->post.fn = slow_told;
            loop_post(r->query->loop, &r->post);
            pthread_mutex_lock(&s->mutex);
        }
    }
    CHECK(!s->first); /* store_close() says so */
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

static char *slow_folder_of(struct slice rest)
{
    return sqlite_backend.folder_of(rest);
}

static enum err slow_open(struct store *store, const struct store_config *config, void **ret_db,
                          struct error *ret_error)
{
    struct slow *s = calloc(1, sizeof(*s));
    CHECK(s);
    *ret_db = s;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->changed, NULL);
    random_bytes(&s->seed, sizeof(s->seed));
    enum err code = sqlite_backend.open(store, config, &s->db, ret_error);
    if (code == OK) {
        CHECK(pthread_create(&s->thread, NULL, slow_run, s) == 0);
        s->has_thread = true;
    }
    return code;
}

static void slow_close(void *db)
{
    struct slow *s = db;
    pthread_mutex_lock(&s->mutex);
    s->is_closing = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->mutex);
    if (s->has_thread)
        pthread_join(s->thread, NULL);
    if (s->db)
        sqlite_backend.close(s->db);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

/* Under the mutex. */
static uint64_t slow_draw_ns(struct slow *s)
{
    s->seed = s->seed * 6364136223846793005ULL + 1442695040888963407ULL;
    uint64_t drawn = s->seed >> 33, us = drawn % SLOW_US_MAX;
    return (drawn / SLOW_US_MAX % SLOW_FAR == 0 ? us * SLOW_FAR : us) * 1000;
}

static enum op_status slow_read(void *db, struct store_query *q)
{
    struct slow *s = db;
    struct slow_read *r = calloc(1, sizeof(*r));
    CHECK(r);
    r->query = q;
    pthread_mutex_lock(&s->mutex);
    r->due_ns = clock_monotonic_ns() + slow_draw_ns(s);
    struct slow_read **at = &s->first;
    while (*at && (*at)->due_ns <= r->due_ns)
        at = &(*at)->next;
    r->next = *at;
    *at = r;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->mutex);
    return OP_PENDING;
}

/* ---- writing: as it is ---- */

static enum err slow_begin(void *db, struct error *ret_error)
{
    return sqlite_backend.begin(((struct slow *)db)->db, ret_error);
}

static enum err slow_apply(void *db, const struct mutation *m, int64_t *ret_number,
                           struct error *ret_error)
{
    return sqlite_backend.apply(((struct slow *)db)->db, m, ret_number, ret_error);
}

static enum err slow_commit(void *db, struct error *ret_error)
{
    return sqlite_backend.commit(((struct slow *)db)->db, ret_error);
}

static void slow_rollback(void *db)
{
    sqlite_backend.rollback(((struct slow *)db)->db);
}

static bool slow_is_lost(const void *db)
{
    return sqlite_backend.is_lost(((const struct slow *)db)->db);
}

static enum err slow_probe(void *db, struct error *ret_error)
{
    return sqlite_backend.probe(((struct slow *)db)->db, ret_error);
}

static enum err slow_tidy(void *db, bool *ret_more, struct error *ret_error)
{
    return sqlite_backend.tidy(((struct slow *)db)->db, ret_more, ret_error);
}

static bool slow_settle(void *db, bool is_idle)
{
    return sqlite_backend.settle(((struct slow *)db)->db, is_idle);
}

static int64_t slow_patience_us(const void *db)
{
    return sqlite_backend.patience_us(((const struct slow *)db)->db);
}

const struct store_backend slow_backend = {
    .scheme = "sqlite",
    .folder_of = slow_folder_of,
    .open = slow_open,
    .close = slow_close,
    .begin = slow_begin,
    .apply = slow_apply,
    .commit = slow_commit,
    .rollback = slow_rollback,
    .is_lost = slow_is_lost,
    .probe = slow_probe,
    .tidy = slow_tidy,
    .settle = slow_settle,
    .patience_us = slow_patience_us,
    .read = slow_read,
};
#endif
