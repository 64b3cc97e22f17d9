/* SPDX-License-Identifier: Apache-2.0
 *
 * A module's database file: making it, its checkpoints, and why nothing acknowledged is ever lost.
 *
 * Guests' connections run with synchronous=OFF: a commit writes frames to the WAL and returns,
 * without a sync. What makes that safe:
 *
 * 1. Gate. Nothing that depends on commit N leaves before fdatasync(WAL) has returned after all
 * frames of N were written (sql_gate.c). Frames carry a running checksum, so recovery sees a prefix
 * of the commits; what it may drop was not synced, hence not told to anyone.
 * 2. Checkpoint. Pages move to the main file only by the keeper's connection, synchronous=FULL:
 * SQLite syncs the WAL before it writes the first page, and the main file before the WAL may be
 * reused.
 * 3. Restart of the WAL. Once all frames are in the main file, the next writer starts again at
 * offset 0. SQLite syncs the new header first, because with the old header and some old frames left
 * on disk, a power failure would replay a stale prefix over a newer main file - but it does so only
 * when synchronous is not OFF, and it would make an engine thread wait. Instead the VFS below
 * truncates the file before it writes a header: nobody reads those frames any more (the writer has
 * just locked all read marks to restart), and file systems order a truncation before later writes
 * into the blocks it freed (ext4, xfs, btrfs and zfs do). So the disk holds either the whole old
 * log, which replays to what the main file already contains, or a beginning of the new one. Only
 * complete checkpoints let the WAL restart, and complete ones have synced the main file.
 * 4. Opening. What a killed process left in the WAL is visible but perhaps not on disk, so a file
 * starts with one commit that is finished and not durable: the first reply waits at the gate once.
 * 5. A failed sync. The kernel marks the pages clean and forgets; a later "OK" says nothing about
 * them. The file then refuses commits until the WAL, read back, proves sound by its checksums up to
 * the last commit and a complete checkpoint has put all of it into the main file with a sync
 * (sql_file_recover). If the sync of the main file itself fails, only a restart of the process
 * helps: then recovery starts from the WAL, which was synced, and writes every page of it again.
 *
 * The POSIX-lock trap: closing any descriptor of the main file drops all of the process's locks on
 * it. It is opened by SQLite alone, which knows; we open only the WAL, which carries no locks.
 *
 * Threads: refcounted; counters are atomics; the keeper is used on the pool, under its lock. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "host/fiber_task.h"
#include "host/sql_internal.h"
#include "loop/loop.h"

enum { SQL_WAL_HEADER_BYTES = 32, SQL_WAL_FRAME_BYTES = 4096 + 24 };

uint32_t sql_checkpoint_frames = SQL_CHECKPOINT_FRAMES;

/* The VFS "limpet": SQLite's default one, but a WAL is truncated before its header is written, and
 * tasks can leave where pages are read and written. */
static pthread_once_t vfs_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t vfs_lock = PTHREAD_MUTEX_INITIALIZER;
static sqlite3_vfs vfs;
static const sqlite3_vfs *vfs_default;
static const sqlite3_io_methods *wal_methods_default;
static sqlite3_io_methods wal_methods;
static const sqlite3_io_methods *main_methods_default;
static sqlite3_io_methods main_methods;

/* ---- bounds of what is written ---- */

/* The server's own store is on this disk, too: guests do not get the last of it. Set before there
 * are threads. */
static int reserve_folder = -1;
static uint64_t reserve_bytes;

enum { RESERVE_LOOK_BYTES = 1024 * 1024 /* written by a thread between two looks */ };

enum err sql_bound_disk(const char *folder, uint64_t keep_free_bytes, struct error *ret_error)
{
    static char temp[PATH_MAX];
    struct statvfs fs;
    if (snprintf(temp, sizeof(temp), "%s-tmp", folder) >= (int)sizeof(temp) ||
        (mkdir(temp, 0700) != 0 && errno != EEXIST))
        return error_set(ret_error, ERR_IO, "cannot make the folder %s: %s", temp, strerror(errno));
    sqlite3_temp_directory = temp; /* SQLite's sorts and materialized results: not in /tmp */
    reserve_folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (reserve_folder < 0 || fstatvfs(reserve_folder, &fs) != 0)
        return error_set(ret_error, ERR_IO, "cannot look at the disk of %s: %s", folder,
                         strerror(errno));
    reserve_bytes = keep_free_bytes;
    return OK;
}

bool sql_disk_is_short(void)
{
    struct statvfs fs;
    return reserve_folder >= 0 && fstatvfs(reserve_folder, &fs) == 0 &&
           fs.f_bavail * fs.f_frsize < reserve_bytes;
}

/* Before len bytes are written. */
static bool may_write(int len)
{
    static _Thread_local uint64_t since;
    static _Thread_local bool is_short;
    since += (uint64_t)len;
    if (is_short || since >= RESERVE_LOOK_BYTES) {
        since = 0;
        is_short = sql_disk_is_short();
    }
    return !is_short;
}

static const sqlite3_io_methods *temp_methods_default;
static sqlite3_io_methods temp_methods;

static int temp_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    if (at + len > LIMIT_SQL_TEMP_BYTES || !may_write(len))
        return SQLITE_FULL;
    (void)fiber_task_tick();
    return temp_methods_default->xWrite(file, data, len, at);
}

/* What SQLite does in one step over many pages, it reads or writes; a task can leave here. */
static int main_read(sqlite3_file *file, void *to, int len, sqlite3_int64 at)
{
    (void)fiber_task_tick();
    return main_methods_default->xRead(file, to, len, at);
}

static int wal_read(sqlite3_file *file, void *to, int len, sqlite3_int64 at)
{
    (void)fiber_task_tick();
    return wal_methods_default->xRead(file, to, len, at);
}

static int wal_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    if (at == 0 && len == SQL_WAL_HEADER_BYTES) {
        int rc = wal_methods_default->xTruncate(file, 0);
        if (rc != SQLITE_OK)
            return rc;
    }
    if (!may_write(len))
        return SQLITE_FULL;
    (void)fiber_task_tick();
    return wal_methods_default->xWrite(file, data, len, at);
}

/* So that SQLITE_IOERR_FSYNC can only mean the main file. A WAL that failed to sync also fails at
 * the gate, whose descriptor gets the kernel's report of its own. */
static int wal_sync(sqlite3_file *file, int flags)
{
    int rc = wal_methods_default->xSync(file, flags);
    return rc == SQLITE_IOERR_FSYNC ? SQLITE_IOERR_WRITE : rc;
}

static int vfs_open(sqlite3_vfs *self, sqlite3_filename name, sqlite3_file *file, int flags,
                    int *ret_flags)
{
    static const int temporary = SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_TRANSIENT_DB |
                                 SQLITE_OPEN_TEMP_JOURNAL | SQLITE_OPEN_SUBJOURNAL;
    int rc = vfs_default->xOpen(self, name, file, flags, ret_flags);
    if (rc != SQLITE_OK || !(flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB | temporary)))
        return rc;
    pthread_mutex_lock(&vfs_lock);
    if (flags & temporary && !temp_methods_default) {
        temp_methods_default = file->pMethods;
        temp_methods = *file->pMethods;
        temp_methods.xWrite = temp_write;
    }
    if (flags & SQLITE_OPEN_MAIN_DB && !main_methods_default) {
        main_methods_default = file->pMethods;
        main_methods = *file->pMethods;
        main_methods.xRead = main_read;
    }
    if (flags & SQLITE_OPEN_WAL && !wal_methods_default) {
        wal_methods_default = file->pMethods;
        wal_methods = *file->pMethods;
        wal_methods.xRead = wal_read;
        wal_methods.xWrite = wal_write;
        wal_methods.xSync = wal_sync;
    }
    pthread_mutex_unlock(&vfs_lock);
    if (flags & temporary) {
        CHECK(file->pMethods == temp_methods_default);
        file->pMethods = &temp_methods;
        return SQLITE_OK;
    }
    bool is_wal = flags & SQLITE_OPEN_WAL;
    CHECK(file->pMethods == (is_wal ? wal_methods_default : main_methods_default));
    file->pMethods = is_wal ? &wal_methods : &main_methods;
    return SQLITE_OK;
}

static void vfs_init(void)
{
    if (sqlite3_initialize() != SQLITE_OK)
        check_fatal("SQLite does not start");
    fiber_task_install_hooks();
    vfs_default = sqlite3_vfs_find(NULL);
    CHECK(vfs_default);
    vfs = *vfs_default;
    vfs.zName = "limpet";
    vfs.pNext = NULL;
    vfs.xOpen = vfs_open;
    CHECK(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
}

static void db_close(sqlite3 **db)
{
    if (*db)
        CHECK(sqlite3_close(*db) == SQLITE_OK);
    *db = NULL;
}

enum err sql_db_open(const char *path, int flags, sqlite3 **ret_db, struct error *ret_error)
{
    pthread_once(&vfs_once, vfs_init);
    CLEANUP(db_close) sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(
        path, &db, flags | SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
        "limpet");
    if (rc != SQLITE_OK)
        return sql_error(ret_error, path, db, rc);
    (void)sqlite3_wal_autocheckpoint(db, 0);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    int on = 1;
    (void)sqlite3_file_control(db, NULL, SQLITE_FCNTL_PERSIST_WAL, &on);
    *ret_db = TAKE(db);
    return OK;
}

static enum err keeper_run(struct sql_file *f, const char *sql, struct error *ret_error)
{
    int rc = sqlite3_exec(f->keeper, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? OK : sql_error(ret_error, f->path, f->keeper, rc);
}

static int keeper_mode_is_wal(void *arg, int columns, char **values, char **names)
{
    (void)names;
    *(bool *)arg = columns == 1 && values[0] && strcmp(values[0], "wal") == 0;
    return 0;
}

/* Opens the keeper and makes the file a database in WAL mode whose WAL exists and is recovered. */
static enum err keeper_open(struct sql_file *f, struct error *ret_error)
{
    enum err err = sql_db_open(f->path, SQLITE_OPEN_CREATE, &f->keeper, ret_error);
    if (err)
        return err;
    (void)sqlite3_busy_timeout(f->keeper, SQL_CHECKPOINT_BUSY_MS);
    err = keeper_run(f, "PRAGMA synchronous=FULL; PRAGMA cache_size=-64", ret_error);
    if (err)
        return err;
    bool is_wal = false;
    int rc = sqlite3_exec(f->keeper, "PRAGMA journal_mode=WAL", keeper_mode_is_wal, &is_wal, NULL);
    if (rc != SQLITE_OK)
        return sql_error(ret_error, f->path, f->keeper, rc);
    if (!is_wal)
        return error_set(ret_error, ERR_IO, "database file %s: its file system cannot hold a WAL",
                         f->path);
    return keeper_run(f, "PRAGMA schema_version", ret_error); /* opens the WAL and recovers */
}

static enum err wal_open(struct sql_file *f, struct error *ret_error)
{
    f->wal_fd = open(f->wal_path, O_RDONLY | O_CLOEXEC);
    if (f->wal_fd < 0 && (errno == EMFILE || errno == ENFILE))
        return sql_error_descriptors(ret_error, f->wal_path);
    if (f->wal_fd < 0)
        return error_set(ret_error, ERR_IO, "opening %s: %s", f->wal_path, strerror(errno));
    return OK;
}

static void file_drop(struct sql_file **f)
{
    sql_file_unref(*f);
}

struct sql_file *sql_file_new(const char *path, uint64_t bytes_max)
{
    struct sql_file *f = calloc(1, sizeof(*f));
    if (!f)
        check_out_of_memory(sizeof(*f));
    f->refs = 1;
    f->wal_fd = -1;
    f->bytes_max = bytes_max;
    f->begun = f->finished = 1;
    f->needs_folder_sync = true;
    CHECK(pthread_mutex_init(&f->keeper_lock, NULL) == 0);
    f->path = strdup(path);
    if (!f->path || asprintf(&f->wal_path, "%s-wal", f->path) < 0)
        check_out_of_memory(strlen(path));
    return f;
}

enum err sql_file_attach(struct sql_file *f, struct error *ret_error)
{
    CHECK(!f->keeper && f->wal_fd < 0);
    enum err err = keeper_open(f, ret_error);
    if (!err)
        err = wal_open(f, ret_error);
    if (err)
        db_close(&f->keeper);
    return err;
}

bool sql_file_is_idle(const struct sql_file *f)
{
    return !__atomic_load_n(&f->is_syncing, __ATOMIC_SEQ_CST) &&
           !__atomic_load_n(&f->waits, __ATOMIC_SEQ_CST) &&
           !__atomic_load_n(&f->is_checkpointing, __ATOMIC_ACQUIRE) &&
           !__atomic_load_n(&f->is_broken, __ATOMIC_SEQ_CST);
}

static void file_checkpoint_last(struct sql_file *f);

/* With the gate and the checkpoints in our hands, and without connections, nothing of the file
 * moves. */
static bool detach_now(struct sql_file *f, bool may_checkpoint)
{
    if (!sql_gate_sync(f))
        return false;
    if (may_checkpoint && sql_frames(f) >= (f->settles ? 1 : SQL_LAST_CHECKPOINT_FRAMES))
        file_checkpoint_last(f);
    if (__atomic_load_n(&f->is_broken, __ATOMIC_SEQ_CST))
        return false;
    db_close(&f->keeper);
    (void)close(f->wal_fd); /* read-only */
    f->wal_fd = -1;
    __atomic_store_n(&f->wal_mark, 0, __ATOMIC_SEQ_CST); /* counted anew */
    __atomic_store_n(&f->checkpoint_log, 0, __ATOMIC_RELAXED);
    return true;
}

void sql_file_settles(struct sql_file *f)
{
    f->settles = true;
}

bool sql_file_detach(struct sql_file *f, bool may_checkpoint)
{
    bool is_detached = false;
    if (!sql_gate_seize(f))
        return false;
    if (!__atomic_exchange_n(&f->is_checkpointing, true, __ATOMIC_ACQ_REL)) {
        is_detached = detach_now(f, may_checkpoint);
        __atomic_store_n(&f->is_checkpointing, false, __ATOMIC_RELEASE);
    }
    sql_gate_open(f);
    return is_detached;
}

enum err sql_file_open(const char *path, uint64_t bytes_max, struct sql_file **ret_file,
                       struct error *ret_error)
{
    CLEANUP(file_drop) struct sql_file *f = sql_file_new(path, bytes_max);
    enum err err = sql_file_attach(f, ret_error);
    if (err)
        return err;
    *ret_file = TAKE(f);
    return OK;
}

struct sql_file *sql_file_ref(struct sql_file *f)
{
    __atomic_add_fetch(&f->refs, 1, __ATOMIC_RELAXED);
    return f;
}

void sql_file_unref(struct sql_file *f)
{
    if (!f || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    CHECK(!f->waits); /* each wait holds a reference */
    db_close(&f->keeper);
    if (f->wal_fd >= 0)
        (void)close(f->wal_fd); /* read-only */
    CHECK(pthread_mutex_destroy(&f->keeper_lock) == 0);
    free(f->wal_path);
    free(f->path);
    free(f);
}

/* One pass. True: all that was there at its start is in the main file. */
static int checkpoint_pass(struct sql_file *f, int mode, int *ret_log, bool *ret_is_complete)
{
    int log = -1, copied = -1;
    int rc = sqlite3_wal_checkpoint_v2(f->keeper, NULL, mode, &log, &copied);
    *ret_log = log > 0 ? log : 0;
    *ret_is_complete = rc == SQLITE_OK && log == copied && (uint32_t)log == sql_frames(f);
    return rc;
}

/* A passive checkpoint never makes anybody wait. If no commit came meanwhile, the next writer
 * restarts the WAL. Under writers that never pause one always comes, and the WAL grows; from a
 * length on, a pass that holds writers up for two syncs finishes it. The passive passes before have
 * left little to do, and the time that the last one took tells how long writers would wait: not
 * while the disk has a slow spell, unless the WAL gets out of hand. */
static void file_checkpoint(struct sql_file *f)
{
    int log = 0, rc = SQLITE_OK;
    uint64_t took_ns = 0;
    bool is_complete = false;
    pthread_mutex_lock(&f->keeper_lock);
    for (int pass = 0; pass < SQL_CHECKPOINT_PASSES && rc == SQLITE_OK && !is_complete; pass++) {
        uint64_t start_ns = clock_monotonic_ns();
        rc = checkpoint_pass(f, SQLITE_CHECKPOINT_PASSIVE, &log, &is_complete);
        took_ns = clock_monotonic_ns() - start_ns;
    }
    uint64_t thresholds = (uint64_t)log / sql_checkpoint_frames;
    bool is_fast = took_ns < SQL_ESCALATE_MS * UINT64_C(1000000);
    if (rc == SQLITE_OK && !is_complete &&
        thresholds >= (is_fast ? SQL_ESCALATE_TIMES : SQL_ESCALATE_ALWAYS_TIMES))
        rc = checkpoint_pass(f, SQLITE_CHECKPOINT_RESTART, &log, &is_complete);
    if (rc == SQLITE_IOERR_FSYNC) {
        __atomic_store_n(&f->is_dead, true, __ATOMIC_SEQ_CST);
        __atomic_store_n(&f->is_broken, true, __ATOMIC_SEQ_CST);
    }
    pthread_mutex_unlock(&f->keeper_lock);
    __atomic_store_n(&f->checkpoint_log, (uint32_t)log, __ATOMIC_RELAXED);
}

/* So that the next opening has little to recover. Nobody uses the file now. */
static void file_checkpoint_last(struct sql_file *f)
{
    pthread_mutex_lock(&f->keeper_lock);
    int rc = sqlite3_wal_checkpoint_v2(f->keeper, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (rc == SQLITE_IOERR_FSYNC) {
        __atomic_store_n(&f->is_dead, true, __ATOMIC_SEQ_CST);
        __atomic_store_n(&f->is_broken, true, __ATOMIC_SEQ_CST);
    }
    pthread_mutex_unlock(&f->keeper_lock);
}

struct checkpoint_job {
    struct work work;
    struct sql_file *file;
};

static void checkpoint_run(struct work *w)
{
    struct checkpoint_job *job = container_of(w, struct checkpoint_job, work);
    /* What fails here is tried again when the WAL has grown by another quarter of the threshold. */
    file_checkpoint(job->file);
    __atomic_store_n(&job->file->is_checkpointing, false, __ATOMIC_RELEASE);
}

static void checkpoint_done(struct work *w)
{
    struct checkpoint_job *job = container_of(w, struct checkpoint_job, work);
    sql_file_unref(job->file);
    free(job);
}

void sql_checkpoint_maybe(struct loop *loop, struct sql_file *f)
{
    uint32_t frames = sql_frames(f);
    uint32_t last = __atomic_load_n(&f->checkpoint_log, __ATOMIC_RELAXED);
    if (frames < sql_checkpoint_frames ||
        (frames >= last && frames < last + sql_checkpoint_frames / 4))
        return;
    if (__atomic_exchange_n(&f->is_checkpointing, true, __ATOMIC_ACQ_REL))
        return;
    struct checkpoint_job *job = calloc(1, sizeof(*job));
    if (!job)
        check_out_of_memory(sizeof(*job));
    job->work = (struct work){.run = checkpoint_run, .done = checkpoint_done};
    job->file = sql_file_ref(f);
    work_start(loop, &job->work);
}

/* The WAL, read back, holds all that was committed. */
static enum err recover_verify(const struct sql_file *f, struct error *ret_error)
{
    uint32_t sound, wanted = sql_frames(f);
    enum err err = sql_wal_count(f->wal_fd, &sound, ret_error);
    if (!err && sound != wanted)
        err = error_set(ret_error, ERR_IO, "%s lost commits: %u of %u frames are sound",
                        f->wal_path, sound, wanted);
    return err;
}

enum err sql_file_recover(struct sql_file *f, struct error *ret_error)
{
    if (__atomic_load_n(&f->is_dead, __ATOMIC_SEQ_CST)) {
        (void)error_set(ret_error, ERR_IO, "database file %s could not be synced to disk", f->path);
        error_hint(ret_error, "check the disk, then restart the server");
        return ERR_IO;
    }
    /* Commits are refused by now; one that was under way may still end, and then the next try
     * counts. */
    uint64_t target = __atomic_load_n(&f->finished, __ATOMIC_SEQ_CST);
    if (target != __atomic_load_n(&f->begun, __ATOMIC_SEQ_CST))
        return error_set(ret_error, ERR_IO, "%s could not be synced to disk", f->wal_path);
    pthread_mutex_lock(&f->keeper_lock);
    enum err err = recover_verify(f, ret_error);
    if (!err) {
        /* The kernel reports a failed sync once per descriptor. The keeper's has the old failure
         * pending, which says nothing new: take it, or the checkpoint would meet it. */
        sqlite3_file *wal = NULL;
        (void)sqlite3_file_control(f->keeper, NULL, SQLITE_FCNTL_JOURNAL_POINTER, &wal);
        if (wal && wal->pMethods)
            (void)wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
        int rc = sqlite3_wal_checkpoint_v2(f->keeper, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
        if (rc == SQLITE_IOERR_FSYNC)
            __atomic_store_n(&f->is_dead, true, __ATOMIC_SEQ_CST);
        if (rc != SQLITE_OK)
            err = sql_error(ret_error, f->path, f->keeper, rc);
    }
    pthread_mutex_unlock(&f->keeper_lock);
    if (err)
        return err == ERR_IO ? err
                             : error_context(ret_error, ERR_IO, "repairing after a failed sync");
    sql_atomic_raise(&f->durable, target);
    __atomic_store_n(&f->is_broken, false, __ATOMIC_SEQ_CST);
    return OK;
}
