/* SPDX-License-Identifier: Apache-2.0
 *
 * Power failures, simulated. A VFS below SQLite and the gate's hook record every write, truncation
 * and sync of the main file and its WAL while commits pass the gate and checkpoints run. Then, for
 * many points of that history, a disk is made up that a power failure there could have left:
 * everything that was synced; of the rest, any sectors in any order - except that a truncation
 * comes before later writes to the same file, as file systems order it (sql_file.c). Each such disk
 * must open without damage, hold every commit that was told, and no commit by half. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/sql_internal.h"
#include "loop/loop.h"
#include "sql_fixture.h"

enum { SECTOR = 512, COMMITS = 1500, CRASHES = 400, ROWS = 60, IMAGE_MAX = 8 * 1024 * 1024 };
enum kind { WRITE, TRUNCATE, SYNC, TOLD };
enum which { MAIN, WAL, FILES };

struct event {
    enum kind kind;
    enum which file;
    int64_t
        at; /* WRITE: offset; TRUNCATE: size; SYNC: events before this one are covered; TOLD: row */
    size_t len;
    unsigned char *data;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct event *events;
static size_t events_len, events_cap;
static bool is_recording;

static size_t record(struct event e, const void *data)
{
    pthread_mutex_lock(&lock);
    size_t index = events_len;
    if (is_recording) {
        if (events_len == events_cap) {
            events_cap = events_cap ? 2 * events_cap : 1024;
            events = reallocarray(events, events_cap, sizeof(*events));
        }
        if (data) {
            e.data = malloc(e.len);
            memcpy(e.data, data, e.len);
        }
        events[events_len++] = e;
    }
    pthread_mutex_unlock(&lock);
    return index;
}

static sqlite3_vfs vfs;
static sqlite3_vfs *vfs_below;
static const sqlite3_io_methods *below[FILES];
static sqlite3_io_methods methods[FILES];

/* Which file it is they are told by their names: the VFS above has methods of its own. */
static int rec_write(enum which which, sqlite3_file *file, const void *data, int len,
                     sqlite3_int64 at)
{
    (void)record((struct event){WRITE, which, at, (size_t)len, NULL}, data);
    return below[which]->xWrite(file, data, len, at);
}

static int rec_write_main(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    return rec_write(MAIN, file, data, len, at);
}

static int rec_write_wal(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    return rec_write(WAL, file, data, len, at);
}

static int rec_truncate(enum which which, sqlite3_file *file, sqlite3_int64 size)
{
    (void)record((struct event){TRUNCATE, which, size, 0, NULL}, NULL);
    return below[which]->xTruncate(file, size);
}

static int rec_truncate_main(sqlite3_file *file, sqlite3_int64 size)
{
    return rec_truncate(MAIN, file, size);
}

static int rec_truncate_wal(sqlite3_file *file, sqlite3_int64 size)
{
    return rec_truncate(WAL, file, size);
}

static int rec_sync(enum which which, int flags)
{
    size_t covered;
    pthread_mutex_lock(&lock);
    covered = events_len;
    pthread_mutex_unlock(&lock);
    (void)flags; /* the disk is made up below; syncing the real one would only take time */
    (void)record((struct event){SYNC, which, (int64_t)covered, 0, NULL}, NULL);
    return SQLITE_OK;
}

static int rec_sync_main(sqlite3_file *file, int flags)
{
    (void)file;
    return rec_sync(MAIN, flags);
}

static int rec_sync_wal(sqlite3_file *file, int flags)
{
    (void)file;
    return rec_sync(WAL, flags);
}

static int rec_fdatasync(int fd)
{
    (void)fd;
    pthread_mutex_lock(&lock);
    size_t covered = events_len;
    pthread_mutex_unlock(&lock);
    (void)record((struct event){SYNC, WAL, (int64_t)covered, 0, NULL}, NULL);
    return 0;
}

static int rec_open(sqlite3_vfs *self, sqlite3_filename name, sqlite3_file *file, int flags,
                    int *ret_flags)
{
    int rc = vfs_below->xOpen(self, name, file, flags, ret_flags);
    enum which which = flags & SQLITE_OPEN_WAL ? WAL : MAIN;
    if (rc != SQLITE_OK || !(flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB)))
        return rc;
    pthread_mutex_lock(&lock);
    if (!below[which]) {
        below[which] = file->pMethods;
        methods[which] = *file->pMethods;
        methods[which].xWrite = which == WAL ? rec_write_wal : rec_write_main;
        methods[which].xTruncate = which == WAL ? rec_truncate_wal : rec_truncate_main;
        methods[which].xSync = which == WAL ? rec_sync_wal : rec_sync_main;
    }
    pthread_mutex_unlock(&lock);
    file->pMethods = &methods[which];
    return SQLITE_OK;
}

static void vfs_install(void)
{
    assert_int_equal(sqlite3_initialize(), SQLITE_OK);
    vfs_below = sqlite3_vfs_find(NULL);
    vfs = *vfs_below;
    vfs.zName = "recorder";
    vfs.xOpen = rec_open;
    assert_int_equal(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
}

/* What a disk holds of one file. */
struct image {
    unsigned char *data;
    size_t size;
};

static void image_write(struct image *i, const unsigned char *data, size_t len, size_t at)
{
    assert_true(at + len <= IMAGE_MAX);
    if (at > i->size)
        memset(i->data + i->size, 0, at - i->size);
    memcpy(i->data + at, data, len);
    i->size = at + len > i->size ? at + len : i->size;
}

static void image_truncate(struct image *i, size_t size)
{
    if (size > i->size)
        memset(i->data + i->size, 0, size - i->size);
    i->size = size;
}

static void image_load(struct image *i, const char *path)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, i->data, IMAGE_MAX);
    assert_true(n >= 0);
    i->size = (size_t)n;
    (void)close(fd); /* only while no connection is open, or after: POSIX locks */
}

static void image_store(const struct image *i, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, i->data, i->size), i->size);
    (void)close(fd);
}

static uint64_t seed;

static uint32_t chance(uint32_t below_this)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % below_this;
}

/* A write that was not synced: any of its sectors. */
static void image_write_some(struct image *i, const struct event *e, uint32_t percent)
{
    for (size_t done = 0; done < e->len;) {
        size_t at = (size_t)e->at + done, len = SECTOR - at % SECTOR;
        len = len > e->len - done ? e->len - done : len;
        if (chance(100) < percent)
            image_write(i, e->data + done, len, at);
        done += len;
    }
}

static size_t synced_until(enum which file, size_t crash)
{
    size_t covered = 0;
    for (size_t k = 0; k < crash; k++) {
        if (events[k].kind == SYNC && events[k].file == file && (size_t)events[k].at > covered)
            covered = (size_t)events[k].at;
    }
    return covered;
}

static void image_make(struct image *i, enum which file, size_t crash)
{
    static const uint32_t percents[] = {0, 10, 50, 90, 100};
    size_t covered = synced_until(file, crash);
    uint32_t percent = percents[chance(ARRAY_LEN(percents))], pending = 0;
    /* Sometimes the last writes got there and earlier ones did not. */
    size_t from = chance(2) ? covered : covered + chance((uint32_t)(crash - covered) + 1);
    for (size_t k = covered; k < crash; k++)
        pending += events[k].file == file && events[k].kind == TRUNCATE;
    uint32_t reached = chance(pending + 1); /* so many of those truncations got to the disk */
    for (size_t k = 0; k < crash; k++) {
        const struct event *e = &events[k];
        if (e->file != file || (e->kind != WRITE && e->kind != TRUNCATE))
            continue;
        if (k >= covered && e->kind == TRUNCATE && reached-- == 0)
            return;
        if (e->kind == TRUNCATE)
            image_truncate(i, (size_t)e->at);
        else if (k < covered || (from > covered && k >= from))
            image_write(i, e->data, e->len, (size_t)e->at);
        else if (from == covered)
            image_write_some(i, e, percent);
    }
}

static int told_until(size_t crash)
{
    int told = 0;
    for (size_t k = 0; k < crash; k++)
        told = events[k].kind == TOLD ? (int)events[k].at : told;
    return told;
}

static int query_int(sqlite3 *db, const char *sql, size_t crash)
{
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        fail_msg("crash at %zu: %s: %s", crash, sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int n = sqlite3_column_int(stmt, 0);
    (void)sqlite3_finalize(stmt);
    return n;
}

static void check_disk(const char *path, size_t crash)
{
    sqlite3 *db;
    int told = told_until(crash);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL); /* it would sync */
    int is_ok = query_int(
        db, "SELECT count(*) = 1 AND max(integrity_check) = 'ok' FROM pragma_integrity_check",
        crash);
    int rows = query_int(db, "SELECT count(*) FROM log", crash);
    int last = query_int(db, "SELECT coalesce(max(id), 0) FROM log", crash);
    int sum = query_int(db, "SELECT sum(v) FROM page", crash);
    if (!is_ok || rows != last || sum != rows || rows < told)
        fail_msg("crash at %zu of %zu: integrity %d, %d rows up to %d, sum %d, told %d", crash,
                 events_len, is_ok, rows, last, sum, told);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

struct gate {
    struct sql_gate_wait wait;
    struct loop *loop;
    int row;
};

static void on_gate(struct sql_gate_wait *w, const struct error *error)
{
    struct gate *g = container_of(w, struct gate, wait);
    assert_int_equal(error->code, OK);
    (void)record((struct event){TOLD, FILES, g->row, 0, NULL}, NULL);
    loop_stop(g->loop);
}

/* Commits that touch several pages each, told in groups; checkpoints run when they like. */
static void make_history(struct fixture *x)
{
    struct loop loop;
    loop_init(&loop);
    for (int row = 1; row <= COMMITS; row++) {
        char sql[256];
        (void)snprintf(
            sql, sizeof(sql),
            "INSERT INTO log VALUES(%d, randomblob(%u)); UPDATE page SET v = v + 1 WHERE id = %u",
            row, chance(600), 1 + chance(ROWS));
        assert_int_equal(act(x, SQL_BEGIN), OK);
        assert_int_equal(run(x, sql, NULL), OK);
        assert_int_equal(act(x, SQL_COMMIT), OK);
        if (chance(4))
            continue;
        struct gate g = {
            .wait = {.done = on_gate, .seq = sql_conn_seen(x->conn)}, .loop = &loop, .row = row};
        sql_gate_wait(&loop, x->file, &g.wait);
        loop_run(&loop);
        /* Now and then the checkpoint gets to the end, since no commit comes, and the WAL restarts.
         */
        while (row % 3 == 0 && __atomic_load_n(&x->file->is_checkpointing, __ATOMIC_SEQ_CST))
            (void)sched_yield();
    }
    loop_done(&loop);
}

/* The header of a WAL is written. */
static bool is_restart(const struct event *e)
{
    return e->kind == WRITE && e->file == WAL && e->at == 0;
}

static void power_failures_lose_nothing_told(void **state)
{
    struct fixture *x = *state;
    struct image start[FILES], disk[FILES];
    char paths[FILES][320], shm[320];
    (void)snprintf(paths[MAIN], sizeof(paths[MAIN]), "%s/disk", x->folder);
    (void)snprintf(paths[WAL], sizeof(paths[WAL]), "%s/disk-wal", x->folder);
    (void)snprintf(shm, sizeof(shm), "%s/disk-shm", x->folder);
    for (int f = 0; f < FILES; f++) {
        start[f].data = malloc(IMAGE_MAX);
        disk[f].data = malloc(IMAGE_MAX);
    }
    assert_int_equal(run(x,
                         "CREATE TABLE log(id INTEGER PRIMARY KEY, a); CREATE TABLE page(id "
                         "INTEGER PRIMARY KEY, "
                         "v, pad)",
                         NULL),
                     OK);
    assert_int_equal(run(x,
                         "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 60) "
                         "INSERT INTO page SELECT i, 0, randomblob(1500) FROM n",
                         NULL),
                     OK);
    fixture_close(x);
    image_load(&start[MAIN], x->path);
    (void)snprintf(shm + 0, sizeof(shm), "%s-wal", x->path);
    image_load(&start[WAL], shm);
    (void)snprintf(shm, sizeof(shm), "%s/disk-shm", x->folder);
    fixture_open(x, 0);
    seed = 20261121;
    sql_checkpoint_frames = 48;
    is_recording = true;
    make_history(x);
    is_recording = false;
    size_t restarts = 0;
    for (size_t k = 0; k < events_len; k++)
        restarts += is_restart(&events[k]);
    assert_true(restarts > 10);
    for (int i = 0; i < CRASHES; i++) {
        size_t crash = chance((uint32_t)events_len + 1);
        if (i % 2) { /* half of them soon after the WAL restarts, where the danger is */
            while (crash < events_len &&
                   !(events[crash].kind == TRUNCATE && events[crash].file == WAL))
                crash++;
            crash += chance(40);
            crash = crash > events_len ? events_len : crash;
        }
        for (int f = 0; f < FILES; f++) {
            memcpy(disk[f].data, start[f].data, start[f].size);
            disk[f].size = start[f].size;
            image_make(&disk[f], (enum which)f, crash);
            image_store(&disk[f], paths[f]);
        }
        (void)unlink(shm);
        check_disk(paths[MAIN], crash);
    }
    for (int f = 0; f < FILES; f++) {
        free(start[f].data);
        free(disk[f].data);
    }
    for (size_t k = 0; k < events_len; k++)
        free(events[k].data);
    free(events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(power_failures_lose_nothing_told, fixture_up, fixture_down),
    };
    vfs_install();
    sql_fdatasync = rec_fdatasync;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
