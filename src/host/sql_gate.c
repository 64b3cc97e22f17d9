/* SPDX-License-Identifier: Apache-2.0
 *
 * The output gate: makes commits durable in groups. Waits from all loops are pushed onto the file's
 * stack; whoever finds no sync under way starts a job on the work pool. The job takes the stack,
 * notes which commits are finished, syncs once, and posts each wait that this covers to its loop;
 * waits that came meanwhile are served by the next round. So at any time one fdatasync runs per
 * file, and each serves every commit before it.
 *
 * Numbers: a commit takes its number (begun) under SQLite's write lock before it becomes visible,
 * so whoever has seen its data sees a begun at least as high; it is finished once its frames are
 * written. Only finished ones count as covered. A wait for a begun commit goes round until it is
 * finished, which takes microseconds.
 *
 * The flag is_syncing is the job's ownership of `waits` consumption and of needs_folder_sync. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <unistd.h>

#include "host/sql_internal.h"
#include "loop/loop.h"
#include "loop/post.h"

int (*sql_fdatasync)(int fd) = fdatasync;

struct sync_job {
    struct work work;
    struct loop *loop;
    struct sql_file *file;
    struct sql_gate_wait *left; /* taken and not served yet */
    bool is_again;              /* rounds are used up */
};

bool sql_is_durable(const struct sql_file *f, uint64_t seq)
{
    return __atomic_load_n(&f->durable, __ATOMIC_SEQ_CST) >= seq;
}

static struct sql_gate_wait *wait_of(struct list *link)
{
    return link ? container_of(link, struct sql_gate_wait, link) : NULL;
}

static void wait_push(struct sql_gate_wait **stack, struct sql_gate_wait *w)
{
    struct sql_gate_wait *head = __atomic_load_n(stack, __ATOMIC_RELAXED);
    do
        w->link.next = head ? &head->link : NULL;
    while (!__atomic_compare_exchange_n(stack, &head, w, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
}

static void wait_on_post(struct post *p)
{
    struct sql_gate_wait *w = container_of(p, struct sql_gate_wait, post);
    struct sql_file *file = w->file;
    struct error error = {0};
    loop_arrived(w->loop);
    if (w->is_failed) {
        (void)error_set(&error, ERR_IO, "commits to %s could not be synced to disk", file->path);
        error_hint(&error, "check the disk of the server's data folder");
    }
    w->done(w, &error); /* w may be gone now */
    sql_file_unref(file);
}

static void wait_finish(struct sql_gate_wait *w, bool is_failed)
{
    w->is_failed = is_failed;
    w->post.fn = wait_on_post;
    loop_post(w->loop, &w->post);
}

/* The names of the file and its WAL, once: a synced file that no folder names is lost all the same.
 */
static bool sync_folder(const struct sql_file *f)
{
    char *path = strdup(f->path);
    if (!path)
        check_out_of_memory(strlen(f->path));
    int fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(path);
    bool is_ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    return is_ok;
}

/* What SQLite counted when it recovered is not told; until a commit tells it, the file does. */
static void sync_count_frames(struct sql_file *f)
{
    uint32_t frames;
    if (!__atomic_load_n(&f->wal_mark, __ATOMIC_SEQ_CST) &&
        sql_wal_count(f->wal_fd, &frames, NULL) == OK)
        sql_atomic_raise(&f->wal_mark, sql_mark(1, frames)); /* the first number is the opening's */
}

/* One sync. On return, durable says what is covered; false: what is not covered cannot be now. */
static bool sync_once(struct sql_file *f)
{
    if (f->needs_folder_sync && !sync_folder(f))
        return false;
    f->needs_folder_sync = false;
    if (__atomic_load_n(&f->is_broken, __ATOMIC_SEQ_CST))
        return sql_file_recover(f, NULL) == OK;
    uint64_t target = __atomic_load_n(&f->finished, __ATOMIC_SEQ_CST);
    if (sql_is_durable(f, target))
        return true; /* the file may be detached */
    sync_count_frames(f);
    if (sql_fdatasync(f->wal_fd) != 0) {
        __atomic_store_n(&f->is_broken, true, __ATOMIC_SEQ_CST);
        return false;
    }
    sql_atomic_raise(&f->durable, target);
    return true;
}

/* Serves what can be served of job->left and of what has arrived. */
static void sync_round(struct sync_job *job)
{
    struct sql_file *f = job->file;
    struct sql_gate_wait *taken = __atomic_exchange_n(&f->waits, NULL, __ATOMIC_SEQ_CST);
    bool is_ok = sync_once(f);
    struct sql_gate_wait *lists[] = {job->left, taken};
    job->left = NULL;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        for (struct sql_gate_wait *w = lists[i], *next; w; w = next) {
            next = wait_of(w->link.next); /* read before w is given away */
            bool is_covered = sql_is_durable(f, w->seq);
            if (is_covered || !is_ok) {
                wait_finish(w, !is_covered);
                continue;
            }
            w->link.next = job->left ? &job->left->link : NULL;
            job->left = w;
        }
    }
}

bool sql_gate_seize(struct sql_file *f)
{
    return !__atomic_exchange_n(&f->is_syncing, true, __ATOMIC_SEQ_CST);
}

bool sql_gate_sync(struct sql_file *f)
{
    return sync_once(f) && sql_is_durable(f, __atomic_load_n(&f->begun, __ATOMIC_SEQ_CST));
}

static bool sync_has_more(const struct sync_job *job)
{
    return job->left || __atomic_load_n(&job->file->waits, __ATOMIC_SEQ_CST);
}

/* A wait may come right now and see the flag still set. Whoever changes it owns the stack. False:
 * that is us, again. */
static bool sync_leave(struct sql_file *f)
{
    __atomic_store_n(&f->is_syncing, false, __ATOMIC_SEQ_CST);
    return !__atomic_load_n(&f->waits, __ATOMIC_SEQ_CST) || !sql_gate_seize(f);
}

void sql_gate_open(struct sql_file *f)
{
    struct sync_job job = {.file = f};
    while (!sync_leave(f)) {
        do
            sync_round(&job);
        while (sync_has_more(&job));
    }
}

static void sync_run(struct work *w)
{
    struct sync_job *job = container_of(w, struct sync_job, work);
    for (int round = 0; round < SQL_SYNC_ROUNDS; round++) {
        sync_round(job);
        if (!sync_has_more(job) && sync_leave(job->file))
            return;
    }
    job->is_again = true; /* others want the pool too */
}

static void sync_done(struct work *w)
{
    struct sync_job *job = container_of(w, struct sync_job, work);
    if (job->is_again) {
        job->is_again = false;
        work_start(job->loop, &job->work);
        return;
    }
    sql_file_unref(job->file);
    free(job);
}

static void sync_start(struct loop *loop, struct sql_file *f)
{
    struct sync_job *job = calloc(1, sizeof(*job));
    if (!job)
        check_out_of_memory(sizeof(*job));
    job->work = (struct work){.run = sync_run, .done = sync_done};
    job->loop = loop;
    job->file = sql_file_ref(f);
    work_start(loop, &job->work);
}

void sql_gate_wait(struct loop *loop, struct sql_file *f, struct sql_gate_wait *w)
{
    CHECK(w->done);
    CHECK(w->seq <=
          __atomic_load_n(&f->begun, __ATOMIC_SEQ_CST)); /* else nobody would ever finish it */
    w->file = sql_file_ref(f);
    w->loop = loop;
    loop_expect(loop); /* the job may be another loop's, and outlive this one */
    sql_checkpoint_maybe(loop, f);
    if (sql_is_durable(f, w->seq)) {
        wait_finish(w, false);
        return;
    }
    wait_push(&f->waits, w);
    if (!__atomic_exchange_n(&f->is_syncing, true, __ATOMIC_SEQ_CST))
        sync_start(loop, f);
}
