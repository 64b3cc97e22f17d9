/* SPDX-License-Identifier: Apache-2.0
 *
 * SQLite as a backend of the store: a file, its lock, the one connection that writes (writer.h) and
 * those that read. A read is answered at once, by whichever of the readers is free: the asking
 * thread takes one, the one that was used last, and puts it back, so that there are as many as
 * threads ever read at the same moment. */
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "store/sqlite/query.h"
#include "store/sqlite/reader.h"
#include "store/sqlite/writer.h"

struct sqlite {
    struct store *store;
    char *path; /* of the file */
    int lock_fd;
    struct writer *writer;
    bool is_checkpoint_failing; /* writer thread */
    pthread_mutex_t mutex;
    struct store_reader *readers; /* that nobody uses, under the mutex */
};

/* ---- where it is ---- */

/* The file's name in what stands behind "sqlite:". */
static struct slice sqlite_path_of(struct slice rest)
{
    if (slice_starts(rest, SLICE_LIT("//")))
        rest = slice_skip(rest, 2);
    /* What other programs write into DATABASE_URL to say "make it if missing", which we do. */
    if (slice_ends(rest, SLICE_LIT("?mode=rwc")))
        rest.len -= strlen("?mode=rwc");
    return rest;
}

/* malloc'd */
static char *sqlite_text(struct slice text)
{
    char *copy = strndup(text.ptr, text.len);
    CHECK(copy);
    return copy;
}

static char *sqlite_folder_of(struct slice rest)
{
    struct slice path = sqlite_path_of(rest);
    size_t len = path.len;
    while (len > 0 && path.ptr[len - 1] != '/')
        len--;
    if (len == 0)
        return sqlite_text(SLICE_LIT("."));
    return sqlite_text(slice_of(path.ptr, len > 1 ? len - 1 : 1));
}

/* The file that a URL names: malloc'd. */
static enum err sqlite_parse_url(const char *text, char **ret_path, struct error *ret_error)
{
    struct slice rest = slice_cstr(text);
    (void)slice_split(&rest, ':');
    struct slice path = sqlite_path_of(rest);
    enum err code;
    if (slice_starts(path, SLICE_LIT(":memory:"))) {
        code = error_set(
            ret_error, ERR_INVALID,
            "the database cannot be in memory: what the server acknowledges must survive it");
        error_hint(ret_error, "use a file, such as sqlite:./data/db.sqlite");
        return code;
    }
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
    *ret_path = sqlite_text(path);
    return OK;
}

/* Before anything is made beside it. */
static enum err sqlite_check_path(const struct sqlite *db, struct error *ret_error)
{
    struct stat st;
    if (stat(db->path, &st) || !S_ISDIR(st.st_mode))
        return OK;
    enum err code = error_set(ret_error, ERR_INVALID, "the database %s is a folder", db->path);
    error_hint(ret_error, "name a file in it, such as sqlite:%s/db.sqlite", db->path);
    return code;
}

/* ---- open, close ---- */

static void sqlite_free_text(char **text)
{
    free(*text);
}

static enum err sqlite_open(struct store *s, const struct store_config *config, void **ret_db,
                            struct error *ret_error)
{
    CLEANUP(sqlite_free_text) char *folder = NULL;
    CLEANUP(bytes_done) struct bytes lock = BYTES_INIT;
    struct sqlite *db = calloc(1, sizeof(*db));
    CHECK(db);
    *ret_db = db;
    db->store = s;
    db->lock_fd = -1;
    pthread_mutex_init(&db->mutex, NULL);
    enum err code = sqlite_parse_url(config->url, &db->path, ret_error);
    if (code == OK)
        code = sqlite_check_path(db, ret_error);
    if (code != OK)
        return code;
    s->where = db->path;
    folder = sqlite_folder_of(slice_cstr(db->path));
    bytes_printf(&lock, "%s.lock", db->path);
    const char *data_dir = config->data_dir ? config->data_dir : folder;
    code = folder_make(folder, "the data folder", ret_error);
    if (code == OK)
        code = folder_make(data_dir, "the data folder", ret_error);
    if (code == OK)
        code = folder_lock(bytes_cstr(&lock), db->path, "--database-url", &db->lock_fd, ret_error);
    bool is_new = access(db->path, F_OK) != 0;
    if (code == OK)
        code = artifact_open(s, ret_error);
    if (code == OK)
        code = writer_open(s, db->path, data_dir, config, &db->writer, ret_error);
    if (code == OK && is_new)
        code = folder_sync(folder, ret_error); /* the file's name must survive too */
    return code;
}

static void sqlite_close(void *arg)
{
    struct sqlite *db = arg;
    for (struct store_reader *r = db->readers, *next; r; r = next) {
        next = r->next;
        store_reader_close(r);
    }
    writer_close(db->writer);
    if (db->lock_fd >= 0)
        close(db->lock_fd); /* after the database: the next server may open it from here on */
    pthread_mutex_destroy(&db->mutex);
    free(db->path);
    free(db);
}

/* ---- writer thread ---- */

static enum err sqlite_begin(void *arg, struct error *ret_error)
{
    return writer_begin(((struct sqlite *)arg)->writer, ret_error);
}

static enum err sqlite_apply(void *arg, const struct mutation *m, int64_t *ret_number,
                             struct error *ret_error)
{
    return writer_apply(((struct sqlite *)arg)->writer, m, ret_number, ret_error);
}

static enum err sqlite_commit(void *arg, struct error *ret_error)
{
    return writer_commit(((struct sqlite *)arg)->writer, ret_error);
}

static void sqlite_rollback(void *arg)
{
    writer_rollback(((struct sqlite *)arg)->writer);
}

static bool sqlite_is_lost(const void *arg)
{
    return ((const struct sqlite *)arg)->writer->is_lost;
}

static enum err sqlite_probe(void *arg, struct error *ret_error)
{
    return writer_probe(((struct sqlite *)arg)->writer, ret_error);
}

static enum err sqlite_tidy(void *arg, bool *ret_more, struct error *ret_error)
{
    return writer_tidy(((struct sqlite *)arg)->writer, ret_more, ret_error);
}

/* The log is copied into the database after answers have left, never by the commit that fills it.
 * When that fails commits go on into a log that grows: said once for each time it begins. */
static bool sqlite_settle(void *arg, bool is_idle)
{
    struct sqlite *db = arg;
    struct error error;
    bool has_more = false;
    enum err code = writer_checkpoint(db->writer, &error);
    if (code != OK && !db->is_checkpoint_failing)
        log_warn("store cannot copy its write-ahead log into the database, it grows; retrying",
                 LOG_STR("error", error.message));
    db->is_checkpoint_failing = code != OK;
    if (is_idle && writer_size_log(db->writer, &has_more, &error) != OK)
        log_debug("the write-ahead log keeps its size", LOG_STR("error", error.message));
    return has_more;
}

static int64_t sqlite_patience_us(const void *arg)
{
    return writer_patience_us(((const struct sqlite *)arg)->writer);
}

/* ---- reads ---- */

static enum err sqlite_take_reader(struct sqlite *db, struct store_reader **ret_reader,
                                   struct error *ret_error)
{
    pthread_mutex_lock(&db->mutex); /* held for nanoseconds */
    struct store_reader *r = db->readers;
    if (r)
        db->readers = r->next;
    pthread_mutex_unlock(&db->mutex);
    if (!r)
        return reader_open(db->path, &db->store->secret_key, ret_reader, ret_error);
    *ret_reader = r;
    return OK;
}

static void sqlite_give_reader(struct sqlite *db, struct store_reader *r)
{
    pthread_mutex_lock(&db->mutex);
    r->next = db->readers;
    db->readers = r;
    pthread_mutex_unlock(&db->mutex);
}

static enum op_status sqlite_read(void *arg, struct store_query *q)
{
    struct sqlite *db = arg;
    struct store_reader *r;
    if (sqlite_take_reader(db, &r, &q->error) != OK)
        return OP_DONE;
    query_run(r, db->writer->epoch, q);
    sqlite_give_reader(db, r);
    return OP_DONE;
}

enum err store_reader_open(struct store *s, struct store_reader **ret_reader,
                           struct error *ret_error)
{
    CHECK(s->backend == &sqlite_backend);
    return reader_open(((struct sqlite *)s->db)->path, &s->secret_key, ret_reader, ret_error);
}

const struct store_backend sqlite_backend = {
    .scheme = "sqlite",
    .folder_of = sqlite_folder_of,
    .open = sqlite_open,
    .close = sqlite_close,
    .begin = sqlite_begin,
    .apply = sqlite_apply,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .is_lost = sqlite_is_lost,
    .probe = sqlite_probe,
    .tidy = sqlite_tidy,
    .settle = sqlite_settle,
    .patience_us = sqlite_patience_us,
    .read = sqlite_read,
};
