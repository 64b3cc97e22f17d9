/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening and closing: which backend the URL names, its database, the writer's thread; and the
 * reads, which go to the backend as they are. */
#include "store/store.h"

#include "store/internal.h"

const char *build_status_text(enum build_status s)
{
    static const char *const texts[] = {"queued", "bundling", "evaluating", "ready", "failed"};
    return (size_t)s < ARRAY_LEN(texts) ? texts[s] : "unknown";
}

const char *execution_status_text(enum execution_status s)
{
    static const char *const texts[] = {"running", "success", "failure"};
    return (size_t)s < ARRAY_LEN(texts) ? texts[s] : "unknown";
}

static const char *const store_durable_texts[] = {"queued",    "running", "suspended",
                                                  "completed", "failed",  "cancelled"};

const char *durable_status_text(enum durable_status s)
{
    return (size_t)s < ARRAY_LEN(store_durable_texts) ? store_durable_texts[s] : "unknown";
}

static const char *const store_role_texts[] = {"read", "invoke", "deploy", "admin"};

const char *token_role_text(enum token_role r)
{
    return (size_t)r < ARRAY_LEN(store_role_texts) ? store_role_texts[r] : "unknown";
}

bool token_role_read(struct slice text, enum token_role *ret_role)
{
    for (size_t i = 0; i < ARRAY_LEN(store_role_texts); i++) {
        if (slice_eq_cstr(text, store_role_texts[i])) {
            *ret_role = (enum token_role)i;
            return true;
        }
    }
    return false;
}

bool durable_status_read(struct slice text, enum durable_status *ret_status)
{
    for (size_t i = 0; i < ARRAY_LEN(store_durable_texts); i++) {
        if (slice_eq_cstr(text, store_durable_texts[i])) {
            *ret_status = (enum durable_status)i;
            return true;
        }
    }
    return false;
}

/* ---- backends ---- */

static const struct store_backend *const store_backends[] = {&sqlite_backend};

/* The backend that a URL names, and what it says to it. */
static enum err store_find_backend(const char *url, const struct store_backend **ret_backend,
                                   struct slice *ret_rest, struct error *ret_error)
{
    struct slice rest = slice_cstr(url), scheme = slice_split(&rest, ':');
    if (scheme.len == strlen(url)) { /* no colon at all */
        error_set(ret_error, ERR_INVALID, "the database URL '%s' has no scheme", url);
        error_hint(ret_error, "write sqlite:%s", *url ? url : "./data/db.sqlite");
        return ERR_INVALID;
    }
    for (size_t i = 0; i < ARRAY_LEN(store_backends); i++) {
        if (!slice_eq_nocase(scheme, slice_cstr(store_backends[i]->scheme)))
            continue;
        *ret_backend = store_backends[i];
        *ret_rest = rest;
        return OK;
    }
    error_set(ret_error, ERR_INVALID, "databases of the kind '%.*s' are not supported",
              SLICE_ARG(scheme));
    error_hint(ret_error, "use a SQLite file, such as sqlite:./data/db.sqlite");
    return ERR_INVALID;
}

char *store_folder_of(const char *url)
{
    const struct store_backend *backend;
    struct slice rest;
    struct error ignored; /* store_open() will say it */
    if (store_find_backend(url, &backend, &rest, &ignored) != OK)
        return NULL;
    return backend->folder_of(rest);
}

/* ---- open, close ---- */

static enum err store_open_parts(struct store *s, const struct store_config *config,
                                 struct error *ret_error)
{
    struct slice rest;
    enum err code = store_find_backend(config->url, &s->backend, &rest, ret_error);
    if (code != OK)
        return code;
#ifdef LIMPET_CRASH_POINTS
    if (getenv("LIMPET_SLOW_STORE"))
        s->backend = &slow_backend;
#endif
    s->artifact_dir = strdup(config->artifact_dir);
    CHECK(s->artifact_dir);
    code = s->backend->open(s, config, &s->db, ret_error);
    if (code == OK)
        code = store_queue_start(s, ret_error);
    return code;
}

enum err store_open(const struct store_config *config, struct store **ret_store,
                    struct error *ret_error)
{
    CHECK(config->url && config->artifact_dir);
    struct store *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->artifact_lock_fd = -1;
    pthread_mutex_init(&s->dropped_lock, NULL);
    pthread_mutex_init(&s->artifact_lock, NULL);
    enum err code = store_open_parts(s, config, ret_error);
    if (code != OK) {
        store_close(s);
        return code;
    }
    *ret_store = s;
    return OK;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    store_queue_stop(s);
    if (s->db)
        s->backend->close(s->db);
    artifact_close(s);
    pthread_mutex_destroy(&s->artifact_lock);
    pthread_mutex_destroy(&s->dropped_lock);
    free(s->artifact_dir);
    free(s);
}

/* ---- reads ---- */

enum op_status store_read(struct store *s, struct store_query *q)
{
    CHECK(q->kind < STORE_QUERY_KINDS && q->loop && q->done);
    q->error.code = OK;
    q->error.hint[0] = '\0';
    return s->backend->read(s->db, q);
}

void store_ask(struct store *s, struct store_query *q)
{
    if (store_read(s, q) == OP_DONE)
        q->done(q);
}

/* ---- figures ---- */

void store_stats(const struct store *s, struct store_stats *ret_stats)
{
    *ret_stats = (struct store_stats){
        .commits = atomic_load(&s->commits),
        .mutations = atomic_load(&s->mutations),
        .commit_ns_total = atomic_load(&s->commit_ns_total),
        .logs_dropped = atomic_load(&s->logs_dropped),
        .queued = atomic_load(&s->queued),
        .durable_starts = atomic_load(&s->durable_starts),
        .durable_commits = atomic_load(&s->durable_commits),
        .durable_records = atomic_load(&s->durable_records),
        .durable_signals = atomic_load(&s->durable_signals),
        .is_refusing = atomic_load(&s->is_refusing),
        .is_fenced = atomic_load(&s->is_fenced),
    };
    for (size_t i = 0; i < STORE_BUCKETS; i++) {
        ret_stats->commit_sizes[i] = atomic_load(&s->commit_sizes[i]);
        ret_stats->commit_times[i] = atomic_load(&s->commit_times[i]);
    }
}
