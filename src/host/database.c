/* SPDX-License-Identifier: Apache-2.0
 *
 * See database.h. Two locks: of a database (stage, connections, line) and of all of them (paths, the
 * list of open ones), taken in the order all, one. Neither is held while anything is opened, synced,
 * closed or left: the stages opening and closing belong to one thread alone, which says when they
 * are over. Whoever waits is in line under the database's lock, and is taken out by the one who
 * posts to its loop, under the same lock. */
#include "host/database.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/bytes.h"
#include "base/map.h"
#include "host/fiber_task.h"
#include "host/sql_internal.h"
#include "loop/loop.h"
#include "loop/work.h"

enum {
    FILE_DESCRIPTORS = 4, /* the checkpointer's two, shared memory, the log for syncs */
    CONN_DESCRIPTORS = 2,
};

enum database_stage { DATABASE_CLOSED, DATABASE_OPENING, DATABASE_OPEN, DATABASE_CLOSING };

struct database {
    unsigned refs; /* atomic */
    struct databases *of;
    char *path;
    struct sql_file *file;
    struct list open; /* of->open, with a reference */

    pthread_mutex_t mutex; /* the rest */
    enum database_stage stage;
    bool is_removed;
    bool is_one_of_many;
    struct list idle; /* connections that nobody uses, last used first */
    unsigned conns;   /* with those in use */
    unsigned used;
    struct list line; /* struct waiter */
    uint64_t used_ms; /* when one was last given back */
    struct account *account;
    uint64_t stored; /* bytes, taken from the account; atomic, written with the lock */
    struct database *next_to_close;
};

struct databases {
    struct databases_config config;
    unsigned descriptors; /* atomic */
    uint64_t opened;      /* atomic */
    pthread_mutex_t mutex;
    struct map paths; /* path -> struct database, a reference */
    struct list open; /* databases */
};

/* On the stack of a task that stands still. */
struct waiter {
    struct list link;
    struct post post;
    struct loop *loop;
    struct fiber_task *task;
    struct sql_conn *conn; /* NULL: look again */
    struct error error;    /* of the opening that it shared */
    bool is_woken;
};

/* ---- waiting in line ---- */

static void waiter_posted(struct post *p)
{
    struct waiter *w = container_of(p, struct waiter, post);
    loop_arrived(w->loop);
    w->is_woken = true;
    fiber_task_wake(w->task);
}

static void waiter_post(struct waiter *w)
{
    w->post.fn = waiter_posted;
    loop_post(w->loop, &w->post); /* w may be gone now */
}

/* With the lock held: all in line look again, or are told what went wrong. */
static void line_wake(struct database *b, const struct error *error)
{
    struct list *n;
    while ((n = list_pop_front(&b->line))) {
        struct waiter *w = container_of(n, struct waiter, link);
        if (error)
            w->error = *error;
        waiter_post(w);
    }
}

static enum op_status waiter_awaits(void *arg)
{
    const struct waiter *w = arg;
    return w->is_woken ? OP_DONE : OP_PENDING;
}

/* Until somebody posts. False: the task was cancelled and has left the line. */
static bool waiter_stand(struct database *b, struct waiter *w)
{
    while (!w->is_woken) {
        if (fiber_task_is_cancelled(w->task)) {
            pthread_mutex_lock(&b->mutex);
            bool is_in_line = list_is_linked(&w->link);
            list_remove(&w->link);
            pthread_mutex_unlock(&b->mutex);
            if (is_in_line) {
                loop_arrived(w->loop); /* it will not come */
                return false;
            }
        }
        fiber_task_await(waiter_awaits, w);
    }
    return true;
}

/* ---- its size ---- */

/* With the lock held. Files that are there cannot be refused. */
static void charge(struct database *b, uint64_t stored)
{
    if (b->account && stored > b->stored)
        budget_force(&b->account->budgets[RESOURCE_DISK], stored - b->stored);
    else if (b->account && stored < b->stored)
        budget_give(&b->account->budgets[RESOURCE_DISK], b->stored - stored);
    __atomic_store_n(&b->stored, stored, __ATOMIC_RELAXED);
}

enum { SIZE_STEP_FROM_BYTES = 64 * 1024 * 1024, SIZE_STEP_BYTES = 8 * 1024 * 1024 };

/* What it may grow to, as long as others of its namespace do not. */
static uint64_t size_max(struct database *b)
{
    if (!b->account)
        return UINT64_MAX;
    uint64_t stored = __atomic_load_n(&b->stored, __ATOMIC_RELAXED);
    uint64_t left = budget_left(&b->account->budgets[RESOURCE_DISK]);
    /* Where there is much it is told in steps: each change of it is a statement for SQLite, and journals
     * of the module's executions change it all the time. */
    if (left > SIZE_STEP_FROM_BYTES)
        left -= left % SIZE_STEP_BYTES;
    return left > UINT64_MAX - stored ? UINT64_MAX : stored + left;
}

/* ---- closing ---- */

static void files_unlink(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    CLEANUP(bytes_done) struct bytes name = BYTES_INIT;
    for (size_t k = 0; k < ARRAY_LEN(suffixes); k++) {
        bytes_clear(&name);
        bytes_printf(&name, "%s%s", path, suffixes[k]);
        (void)unlink(bytes_cstr(&name)); /* it may never have been made */
    }
}

static void database_unlink(struct database *b)
{
    files_unlink(b->path);
    pthread_mutex_lock(&b->mutex);
    charge(b, 0);
    pthread_mutex_unlock(&b->mutex);
}

static void descriptors_give(struct databases *d, unsigned n)
{
    __atomic_sub_fetch(&d->descriptors, n, __ATOMIC_RELAXED);
}

static void conns_close(struct databases *d, struct list *conns)
{
    struct list *n;
    while ((n = list_pop_front(conns))) {
        sql_conn_close(sql_conn_of(n));
        descriptors_give(d, CONN_DESCRIPTORS);
    }
}

/* With its lock held: could it be closed now? */
static bool is_idle(const struct database *b)
{
    return b->stage == DATABASE_OPEN && b->used == 0 && list_is_empty(&b->line) &&
           sql_file_is_idle(b->file);
}

/* What SQLite makes anew from the log: 32 KiB for each of very many files. */
static void shared_memory_unlink(const struct database *b)
{
    CLEANUP(bytes_done) struct bytes name = BYTES_INIT;
    bytes_printf(&name, "%s-shm", b->path);
    (void)unlink(bytes_cstr(&name));
}

/* With the lock of all: nobody but the map and who asks has one of many that is closed. True: the map's
 * reference is the caller's. */
static bool forget(struct database *b, unsigned refs)
{
    struct databases *d = b->of;
    if (!b->is_one_of_many || b->stage != DATABASE_CLOSED ||
        __atomic_load_n(&b->refs, __ATOMIC_ACQUIRE) != refs ||
        map_get(&d->paths, slice_cstr(b->path)) != b)
        return false;
    (void)map_remove(&d->paths, slice_cstr(b->path));
    return true;
}

/* In stage closing, of the caller. */
static void database_close(struct database *b, bool may_checkpoint)
{
    struct databases *d = b->of;
    struct list conns;
    list_init(&conns);
    pthread_mutex_lock(&b->mutex);
    list_splice_back(&conns, &b->idle);
    b->conns = 0;
    pthread_mutex_unlock(&b->mutex);
    conns_close(d, &conns);
    bool is_closed = sql_file_detach(b->file, may_checkpoint);
    if (is_closed)
        descriptors_give(d, FILE_DESCRIPTORS);
    pthread_mutex_lock(&b->mutex);
    bool is_removed = b->is_removed; /* who removes it from now on finds it closed */
    pthread_mutex_unlock(&b->mutex);
    if (is_closed && is_removed)
        database_unlink(b);
    else if (is_closed && b->is_one_of_many)
        shared_memory_unlink(b);

    pthread_mutex_lock(&d->mutex);
    pthread_mutex_lock(&b->mutex);
    b->stage = is_closed ? DATABASE_CLOSED : DATABASE_OPEN;
    line_wake(b, NULL);
    if (is_closed)
        list_remove(&b->open);
    pthread_mutex_unlock(&b->mutex);
    bool is_unknown = is_closed && forget(b, 2);
    pthread_mutex_unlock(&d->mutex);
    if (is_closed)
        database_unref(b); /* the list's */
    if (is_unknown)
        database_unref(b); /* the map's */
}

/* Of the idle ones the one unused for longest, in stage closing. NULL: there is none. */
static struct database *pick_idle(struct databases *d)
{
    struct database *oldest = NULL;
    uint64_t oldest_ms = UINT64_MAX;
    bool is_ours = false;
    pthread_mutex_lock(&d->mutex);
    LIST_FOREACH (n, &d->open) {
        struct database *b = container_of(n, struct database, open);
        pthread_mutex_lock(&b->mutex);
        if (is_idle(b) && b->used_ms < oldest_ms) {
            oldest = b;
            oldest_ms = b->used_ms;
        }
        pthread_mutex_unlock(&b->mutex);
    }
    if (oldest) {
        pthread_mutex_lock(&oldest->mutex);
        is_ours = is_idle(oldest); /* or somebody has just taken it */
        if (is_ours)
            oldest->stage = DATABASE_CLOSING;
        pthread_mutex_unlock(&oldest->mutex);
    }
    pthread_mutex_unlock(&d->mutex);
    return is_ours ? oldest : NULL;
}

/* With its lock held: connections that nobody has used since then. */
static void take_idle(struct database *b, uint64_t before_ms, struct list *conns)
{
    while (!list_is_empty(&b->idle)) {
        struct sql_conn *c = sql_conn_of(b->idle.prev);
        if (c->used_ms > before_ms)
            break;
        list_remove(&c->link);
        list_push_back(conns, &c->link);
        b->conns--;
    }
}

/* Every connection that nobody uses, of databases that are in use. */
static void take_spare(struct databases *d, struct list *conns)
{
    pthread_mutex_lock(&d->mutex);
    LIST_FOREACH (n, &d->open) {
        struct database *b = container_of(n, struct database, open);
        pthread_mutex_lock(&b->mutex);
        if (b->stage == DATABASE_OPEN && b->used > 0)
            take_idle(b, UINT64_MAX, conns);
        pthread_mutex_unlock(&b->mutex);
    }
    pthread_mutex_unlock(&d->mutex);
}

/* Closes until there are no more than that, or all are in use. False: nothing was closed. */
static bool make_room(struct databases *d, unsigned descriptors_max)
{
    struct database *b;
    struct list conns;
    bool has_closed = false;
    list_init(&conns);
    while (__atomic_load_n(&d->descriptors, __ATOMIC_RELAXED) > descriptors_max) {
        if (!(b = pick_idle(d)))
            break;
        database_close(b, false);
        has_closed = true;
    }
    if (__atomic_load_n(&d->descriptors, __ATOMIC_RELAXED) > descriptors_max) {
        take_spare(d, &conns);
        has_closed |= !list_is_empty(&conns);
        conns_close(d, &conns);
    }
    return has_closed;
}

/* ---- opening ---- */

static void descriptors_take(struct databases *d, unsigned n)
{
    __atomic_add_fetch(&d->descriptors, n, __ATOMIC_RELAXED);
    (void)make_room(d, d->config.descriptors_max);
}

static enum err gone(struct error *ret_error)
{
    return error_set(ret_error, ERR_NOT_FOUND, "the module was deleted, and its database with it");
}

/* In stage opening, of the caller, who gets a place among the connections if it has succeeded. */
static void opening_over(struct database *b, const struct error *error)
{
    struct databases *d = b->of;
    bool is_open = error->code == OK;
    if (is_open)
        database_ref(b);
    pthread_mutex_lock(&d->mutex);
    pthread_mutex_lock(&b->mutex);
    b->stage = is_open ? DATABASE_OPEN : DATABASE_CLOSED;
    bool is_removed = b->is_removed;
    b->conns = b->used = is_open;
    line_wake(b, is_open ? NULL : error);
    if (is_open)
        list_push_back(&d->open, &b->open);
    pthread_mutex_unlock(&b->mutex);
    pthread_mutex_unlock(&d->mutex);
    if (is_open)
        __atomic_add_fetch(&d->opened, 1, __ATOMIC_RELAXED);
    else if (is_removed)
        database_unlink(b);
}

static enum err database_open(struct database *b, struct error *ret_error)
{
    struct databases *d = b->of;
    struct error e = {0};
    fiber_task_ahead();
    fiber_task_bill(false);
    descriptors_take(d, FILE_DESCRIPTORS);
    enum err err = sql_file_attach(b->file, &e);
    if (err == ERR_OVERLOAD && make_room(d, 0)) { /* others have used up the process's */
        e.code = OK;
        err = sql_file_attach(b->file, &e);
    }
    if (err != OK)
        descriptors_give(d, FILE_DESCRIPTORS);
    fiber_task_bill(true);
    opening_over(b, &e);
    if (err != OK && ret_error)
        *ret_error = e;
    return err;
}

/* Its place among the connections is taken already. */
static enum err database_connect(struct database *b, struct sql_conn **ret_conn,
                                 struct error *ret_error)
{
    struct databases *d = b->of;
    fiber_task_ahead();
    fiber_task_bill(false);
    descriptors_take(d, CONN_DESCRIPTORS);
    enum err err = sql_conn_open(b->file, ret_conn, ret_error);
    if (err == ERR_OVERLOAD && make_room(d, 0))
        err = sql_conn_open(b->file, ret_conn, ret_error);
    fiber_task_bill(true);
    if (err == OK)
        return OK;
    descriptors_give(d, CONN_DESCRIPTORS);
    pthread_mutex_lock(&b->mutex);
    b->conns--;
    b->used--;
    line_wake(b, NULL); /* one of them may do better */
    pthread_mutex_unlock(&b->mutex);
    return err;
}

/* ---- taking and giving ---- */

enum step { STEP_GOT, STEP_OPEN, STEP_CONNECT, STEP_WAIT, STEP_GONE };

/* One that this thread has used is better: its cache is near. */
static struct sql_conn *idle_pop(struct database *b, const struct loop *loop)
{
    struct list *best = list_first(&b->idle);
    LIST_FOREACH (n, &b->idle) {
        if (sql_conn_of(n)->home == loop) {
            best = n;
            break;
        }
    }
    if (!best)
        return NULL;
    list_remove(best);
    return sql_conn_of(best);
}

static enum step take_step(struct database *b, const struct loop *loop, struct waiter *w,
                           struct sql_conn **ret_conn)
{
    if (b->is_removed)
        return STEP_GONE;
    if (b->stage == DATABASE_CLOSED) {
        b->stage = DATABASE_OPENING;
        return STEP_OPEN;
    }
    if (b->stage == DATABASE_OPEN) {
        struct sql_conn *conn = idle_pop(b, loop);
        if (conn || b->conns < b->of->config.connections_max) {
            b->conns += !conn;
            b->used++;
            *ret_conn = conn;
            return conn ? STEP_GOT : STEP_CONNECT;
        }
    }
    list_push_back(&b->line, &w->link);
    return STEP_WAIT;
}

/* Stands in line, then has a connection, an error, or (OK and no connection) looks again. */
static enum err stand_in_line(struct database *b, struct waiter *w, struct sql_conn **ret_conn,
                              struct error *ret_error)
{
    loop_expect(w->loop); /* nothing comes before this thread goes on */
    if (!waiter_stand(b, w))
        return error_set(ret_error, ERR_CANCELLED, "what wanted the database has ended");
    if (w->error.code != OK && ret_error)
        *ret_error = w->error;
    *ret_conn = w->conn;
    return w->error.code;
}

enum err database_take(struct database *b, struct loop *loop, struct sql_conn **ret_conn,
                       struct error *ret_error)
{
    enum err err = OK;
    struct sql_conn *conn = NULL;
    CHECK(fiber_task_current());
    while (err == OK && !conn) {
        struct waiter w = {.loop = loop, .task = fiber_task_current()};
        pthread_mutex_lock(&b->mutex);
        enum step step = take_step(b, loop, &w, &conn);
        pthread_mutex_unlock(&b->mutex);
        if (step == STEP_GONE)
            err = gone(ret_error);
        else if (step == STEP_WAIT)
            err = stand_in_line(b, &w, &conn, ret_error);
        else if (step == STEP_OPEN)
            err = database_open(b, ret_error);
        if (err == OK && (step == STEP_OPEN || step == STEP_CONNECT))
            err = database_connect(b, &conn, ret_error);
        fiber_task_home();
    }
    if (err == OK)
        err = sql_conn_bound(conn, size_max(b), ret_error);
    if (err == OK)
        *ret_conn = conn;
    else if (conn)
        database_give(b, loop, conn);
    return err;
}

void database_give(struct database *b, struct loop *loop, struct sql_conn *conn)
{
    struct waiter *w = NULL;
    uint64_t stored;
    conn->home = loop;
    conn->used_ms = loop_now_ms(loop);
    bool is_news = sql_conn_stored(conn, &stored);
    pthread_mutex_lock(&b->mutex);
    if (is_news)
        charge(b, stored);
    b->used_ms = conn->used_ms;
    struct list *n = list_pop_front(&b->line);
    if (n) {
        w = container_of(n, struct waiter, link);
        w->conn = conn; /* stays in use */
    } else {
        b->used--;
        list_push_front(&b->idle, &conn->link);
    }
    pthread_mutex_unlock(&b->mutex);
    if (w)
        waiter_post(w);
}

bool database_is_open(struct database *b)
{
    pthread_mutex_lock(&b->mutex);
    bool is_open = b->stage == DATABASE_OPEN;
    pthread_mutex_unlock(&b->mutex);
    return is_open;
}

/* ---- one ---- */

static struct database *database_new(struct databases *of, const char *path,
                                     struct account *account, bool is_one_of_many)
{
    struct stat st;
    struct database *b = calloc(1, sizeof(*b));
    CHECK(b);
    b->refs = 1;
    b->of = of;
    b->path = strdup(path);
    CHECK(b->path);
    b->file = sql_file_new(path, account ? 0 : of->config.bytes_max);
    b->account = account ? account_ref(account) : NULL;
    b->is_one_of_many = is_one_of_many;
    if (is_one_of_many)
        sql_file_settles(b->file);
    bool is_there = stat(path, &st) == 0;
    if (is_there && is_one_of_many)
        b->stored = (uint64_t)st.st_size;
    else if (is_there)
        charge(b, (uint64_t)st.st_size);
    list_init(&b->idle);
    list_init(&b->line);
    CHECK(pthread_mutex_init(&b->mutex, NULL) == 0);
    return b;
}

struct database *database_ref(struct database *b)
{
    __atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
    return b;
}

void database_unref(struct database *b)
{
    if (!b || __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    CHECK(b->stage == DATABASE_CLOSED && list_is_empty(&b->line));
    sql_file_unref(b->file);
    if (!b->is_one_of_many || b->is_removed)
        charge(b, 0); /* nobody knows of it any more */
    account_unref(b->account);
    CHECK(pthread_mutex_destroy(&b->mutex) == 0);
    free(b->path);
    free(b);
}

const char *database_path(const struct database *b)
{
    return b->path;
}

struct account *database_account(const struct database *b)
{
    return b->account;
}

struct sql_file *database_file(struct database *b)
{
    return b->file;
}

/* ---- all ---- */

struct databases *databases_new(const struct databases_config *config)
{
    struct databases *d = calloc(1, sizeof(*d));
    CHECK(d);
    d->config = *config;
    CHECK(config->connections_max > 0);
    list_init(&d->open);
    CHECK(pthread_mutex_init(&d->mutex, NULL) == 0);
    return d;
}

/* Every task has ended, so what is open is idle. */
void databases_free(struct databases *d)
{
    size_t cursor = 0;
    struct slice path;
    void *b;
    if (!d)
        return;
    struct list *n;
    while ((n = list_pop_front(&d->open))) {
        struct database *open = container_of(n, struct database, open);
        CHECK(open->stage == DATABASE_OPEN && open->used == 0);
        conns_close(d, &open->idle);
        open->stage = DATABASE_CLOSED;
        if (open->is_removed)
            database_unlink(open);
        database_unref(open); /* the last one closes the file */
    }
    while (map_next(&d->paths, &cursor, &path, &b))
        database_unref(b);
    map_done(&d->paths);
    CHECK(pthread_mutex_destroy(&d->mutex) == 0);
    free(d);
}

static struct database *get(struct databases *d, const char *path, struct account *account,
                            bool is_one_of_many)
{
    pthread_mutex_lock(&d->mutex);
    struct database *b = map_get(&d->paths, slice_cstr(path));
    if (!b) {
        b = database_new(d, path, account, is_one_of_many);
        (void)map_put(&d->paths, slice_cstr(path), b);
    }
    database_ref(b);
    pthread_mutex_unlock(&d->mutex);
    return b;
}

struct database *databases_get(struct databases *d, const char *path, struct account *account)
{
    return get(d, path, account, false);
}

struct database *databases_get_one_of_many(struct databases *d, const char *path,
                                           struct account *account)
{
    return get(d, path, account, true);
}

void databases_leave(struct databases *d, struct database *b)
{
    pthread_mutex_lock(&d->mutex);
    pthread_mutex_lock(&b->mutex);
    bool is_unknown = forget(b, 2);
    pthread_mutex_unlock(&b->mutex);
    pthread_mutex_unlock(&d->mutex);
    if (is_unknown)
        database_unref(b);
    database_unref(b);
}

/* ---- rest ---- */

struct trimming {
    struct work work;
    struct databases *of;
    struct database *first; /* in stage closing */
    struct list conns;
};

static void trimming_run(struct work *w)
{
    struct trimming *t = container_of(w, struct trimming, work);
    conns_close(t->of, &t->conns);
    for (struct database *b = t->first, *next; b; b = next) {
        next = b->next_to_close; /* it may be gone afterwards */
        database_close(b, true);
    }
}

static void trimming_done(struct work *w)
{
    free(container_of(w, struct trimming, work));
}

void databases_trim(struct databases *d, struct loop *loop, uint64_t rest_ms)
{
    struct trimming found = {.of = d};
    uint64_t now = loop_now_ms(loop);
    uint64_t before_ms = now > rest_ms ? now - rest_ms : 0;
    list_init(&found.conns);
    pthread_mutex_lock(&d->mutex);
    LIST_FOREACH (n, &d->open) {
        struct database *b = container_of(n, struct database, open);
        pthread_mutex_lock(&b->mutex);
        if (is_idle(b) && (b->is_removed || b->used_ms <= before_ms)) {
            b->stage = DATABASE_CLOSING;
            b->next_to_close = found.first;
            found.first = b;
        } else if (b->stage == DATABASE_OPEN) {
            take_idle(b, before_ms, &found.conns);
        }
        pthread_mutex_unlock(&b->mutex);
    }
    pthread_mutex_unlock(&d->mutex);
    if (!found.first && list_is_empty(&found.conns))
        return;
    struct trimming *t = calloc(1, sizeof(*t));
    CHECK(t);
    t->of = d;
    t->first = found.first;
    list_init(&t->conns);
    list_splice_back(&t->conns, &found.conns);
    t->work = (struct work){.run = trimming_run, .done = trimming_done};
    work_start(loop, &t->work);
}

/* Who has a connection goes on. */
void databases_remove(struct databases *d, struct database *b, struct loop *loop)
{
    pthread_mutex_lock(&d->mutex);
    bool is_known = map_get(&d->paths, slice_cstr(b->path)) == b;
    if (is_known)
        (void)map_remove(&d->paths, slice_cstr(b->path));
    pthread_mutex_lock(&b->mutex);
    b->is_removed = true;
    bool is_closed = b->stage == DATABASE_CLOSED;
    if (b->stage == DATABASE_OPEN)
        line_wake(b, NULL);
    if (b->is_one_of_many)
        charge(b, 0);
    pthread_mutex_unlock(&b->mutex);
    pthread_mutex_unlock(&d->mutex);
    if (is_closed || b->is_one_of_many) /* who has it open still may have it */
        files_unlink(b->path);
    if (!is_closed)
        databases_trim(d, loop, UINT64_MAX);
    if (is_known)
        database_unref(b);
}

/* The next one below the folder, with a reference. */
static struct database *first_below(struct databases *d, struct slice folder)
{
    struct database *found = NULL;
    size_t cursor = 0;
    struct slice path;
    void *b;
    pthread_mutex_lock(&d->mutex);
    while (!found && map_next(&d->paths, &cursor, &path, &b))
        if (slice_starts(path, folder) && path.len > folder.len && path.ptr[folder.len] == '/')
            found = database_ref(b);
    pthread_mutex_unlock(&d->mutex);
    return found;
}

void databases_remove_below(struct databases *d, struct slice folder, struct loop *loop)
{
    struct database *b;
    while ((b = first_below(d, folder))) {
        databases_remove(d, b, loop);
        database_unref(b);
    }
}

struct databases_count databases_count(struct databases *d)
{
    struct databases_count count = {
        .descriptors = __atomic_load_n(&d->descriptors, __ATOMIC_RELAXED),
        .opened = __atomic_load_n(&d->opened, __ATOMIC_RELAXED),
    };
    pthread_mutex_lock(&d->mutex);
    LIST_FOREACH (n, &d->open) {
        struct database *b = container_of(n, struct database, open);
        pthread_mutex_lock(&b->mutex);
        count.open++;
        count.connections += b->conns;
        pthread_mutex_unlock(&b->mutex);
    }
    pthread_mutex_unlock(&d->mutex);
    return count;
}
