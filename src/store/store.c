/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening and closing: which database the URL names, the folders, the lock, the writer and its
 * thread. */
#include "store/store.h"

#include <sys/stat.h>
#include <unistd.h>

#include "store/internal.h"
#include "store/sqlite/writer.h"

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

/* The file that a URL names: malloc'd. */
static enum err store_parse_url(const char *text, char **ret_path, struct error *ret_error)
{
    struct slice path = slice_cstr(text), scheme = slice_split(&path, ':');
    enum err code;
    if (scheme.len == strlen(text)) { /* no colon at all */
        code = error_set(ret_error, ERR_INVALID, "the database URL '%s' has no scheme", text);
        error_hint(ret_error, "write sqlite:%s", *text ? text : "./data/db.sqlite");
        return code;
    }
    if (!slice_eq_nocase(scheme, SLICE_LIT("sqlite"))) {
        code = error_set(ret_error, ERR_INVALID, "databases of the kind '%.*s' are not supported",
                         SLICE_ARG(scheme));
        error_hint(ret_error, "use a SQLite file, such as sqlite:./data/db.sqlite");
        return code;
    }
    if (slice_starts(path, SLICE_LIT("//")))
        path = slice_skip(path, 2);
    if (slice_starts(path, SLICE_LIT(":memory:"))) {
        code = error_set(
            ret_error, ERR_INVALID,
            "the database cannot be in memory: what the server acknowledges must survive it");
        error_hint(ret_error, "use a file, such as sqlite:./data/db.sqlite");
        return code;
    }
    /* What other programs write into DATABASE_URL to say "make it if missing", which we do. */
    if (slice_ends(path, SLICE_LIT("?mode=rwc")))
        path.len -= strlen("?mode=rwc");
    if (slice_find(path, '?') >= 0) {
        code = error_set(ret_error, ERR_INVALID, "the database URL '%s' has options", text);
        error_hint(ret_error, "leave out what begins with '?'");
        return code;
    }
    if (!path.len || path.ptr[path.len - 1] == '/') {
        code = error_set(ret_error, ERR_INVALID, "the database URL '%s' names no file", text);
        error_hint(ret_error, "such as sqlite:./data/db.sqlite");
        return code;
    }
    *ret_path = strndup(path.ptr, path.len);
    CHECK(*ret_path);
    return OK;
}

/* Before anything is made beside it. */
static enum err store_check_path(const struct store *s, struct error *ret_error)
{
    struct stat st;
    if (stat(s->path, &st) || !S_ISDIR(st.st_mode))
        return OK;
    enum err code = error_set(ret_error, ERR_INVALID, "the database %s is a folder", s->path);
    error_hint(ret_error, "name a file in it, such as sqlite:%s/db.sqlite", s->path);
    return code;
}

static enum err store_make_folder(struct store *s, char **ret_folder, struct error *ret_error)
{
    const char *slash = strrchr(s->path, '/');
    size_t len = slash == s->path ? 1 : slash ? (size_t)(slash - s->path) : 0;
    char *folder = len ? strndup(s->path, len) : strdup(".");
    CHECK(folder);
    enum err code = folder_make(folder, "the data folder", ret_error);
    if (code != OK)
        free(folder);
    else
        *ret_folder = folder;
    return code;
}

static void store_free_text(char **text)
{
    free(*text);
}

static enum err store_open_parts(struct store *s, const struct store_config *config,
                                 struct error *ret_error)
{
    CLEANUP(store_free_text) char *folder = NULL;
    enum err code = store_parse_url(config->url, &s->path, ret_error);
    if (code == OK)
        code = store_check_path(s, ret_error);
    if (code == OK)
        code = store_make_folder(s, &folder, ret_error);
    if (code == OK) {
        CLEANUP(bytes_done) struct bytes lock = BYTES_INIT;
        bytes_printf(&lock, "%s.lock", s->path);
        code = folder_lock(bytes_cstr(&lock), s->path, "--database-url", &s->lock_fd, ret_error);
    }
    if (code != OK)
        return code;
    s->artifact_dir = strdup(config->artifact_dir);
    CHECK(s->artifact_dir);
    bool is_new = access(s->path, F_OK) != 0;
    code = artifact_open(s, ret_error);
    if (code == OK)
        code = writer_open(s, config, &s->writer, ret_error);
    if (code == OK && is_new)
        code = folder_sync(folder, ret_error); /* the file's name must survive too */
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
    s->lock_fd = s->artifact_lock_fd = -1;
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
    writer_close(s->writer);
    artifact_close(s);
    if (s->lock_fd >= 0)
        close(s->lock_fd); /* after the database: the next server may open it from here on */
    pthread_mutex_destroy(&s->artifact_lock);
    pthread_mutex_destroy(&s->dropped_lock);
    free(s->artifact_dir);
    free(s->path);
    free(s);
}

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
