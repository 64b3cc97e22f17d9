/* SPDX-License-Identifier: Apache-2.0
 *
 * See witness.h. The file: struct witness_head, then for each thread a struct witness_thread and
 * its slots. A file of another shape is as good as none. */
#include "flow/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ID_BYTES = 37, FIRST_SLOT = 2 /* below: WITNESS_NOTHING, WITNESS_FUNCTION */ };

struct witness_head {
    char magic[16];
    uint32_t threads, slots;
    uint32_t fell; /* 1: it ended by a fault of its own */
    uint32_t unused;
};
static const char magic[16] = "limpet running 2";

struct witness_thread {
    uint64_t alive_ms; /* of a monotonic clock, which one does not matter */
    uint32_t running;  /* slot, or WITNESS_FUNCTION */
    uint32_t unused;
};

struct witness_slot {
    uint64_t stepped_ms; /* 0: not yet */
    char id[ID_BYTES];   /* "": free */
    char unused[3];
};
_Static_assert(sizeof(struct witness_slot) == 48, "as in the file");

struct witness {
    char *path;
    char *map;
    size_t len;
    ino_t inode;
    unsigned threads, slots;
    uint32_t *next; /* of each thread: where the search for a free slot begins */
};

static size_t file_len(unsigned threads, unsigned slots)
{
    return sizeof(struct witness_head) +
           (size_t)threads *
               (sizeof(struct witness_thread) + (size_t)slots * sizeof(struct witness_slot));
}

static struct witness_thread *thread_of(char *map, unsigned slots, unsigned thread)
{
    size_t each = sizeof(struct witness_thread) + (size_t)slots * sizeof(struct witness_slot);
    return (struct witness_thread *)(map + sizeof(struct witness_head) + thread * each);
}

static struct witness_slot *slots_of(struct witness_thread *t)
{
    return (struct witness_slot *)(t + 1);
}

/* ---- what the process before has left ---- */

static bool is_used(const struct witness_slot *s)
{
    return s->id[0] && !s->id[ID_BYTES - 1];
}

static void add(struct bytes *out, const struct witness_slot *s)
{
    if (is_used(s))
        bytes_append(out, s->id, ID_BYTES);
}

static void suspects_of(char *map, unsigned threads, unsigned slots, struct bytes *out)
{
    uint64_t alive_ms = 0;
    bool is_busy = false;
    for (unsigned t = 0; t < threads; t++) {
        const struct witness_thread *thread = thread_of(map, slots, t);
        alive_ms = thread->alive_ms > alive_ms ? thread->alive_ms : alive_ms;
        is_busy |= thread->running != WITNESS_NOTHING;
    }
    for (unsigned t = 0; t < threads; t++) {
        struct witness_thread *thread = thread_of(map, slots, t);
        const struct witness_slot *all = slots_of(thread);
        if (is_busy && thread->running >= FIRST_SLOT && thread->running - FIRST_SLOT < slots)
            add(out, &all[thread->running - FIRST_SLOT]);
        for (unsigned k = 0; !is_busy && k < slots; k++)
            if (all[k].stepped_ms > 0 && all[k].stepped_ms + WITNESS_RECENT_MS >= alive_ms)
                add(out, &all[k]);
    }
}

static void read_suspects(int fd, struct bytes *out)
{
    struct witness_head head;
    struct stat st;
    if (fstat(fd, &st) != 0 || pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
        memcmp(head.magic, magic, sizeof(magic)) != 0 || head.threads > UINT16_MAX ||
        head.slots > WITNESS_SLOTS_MAX ||
        (uint64_t)st.st_size != file_len(head.threads, head.slots))
        return;
    char *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return;
    if (head.fell == 1)
        suspects_of(map, head.threads, head.slots, out);
    munmap(map, (size_t)st.st_size);
}

/* ---- begin and end ---- */

/* A new file in place of the old one, which a server that has lost its lease may still write to.
 * With all of its blocks: a write to the mapping must not fail when the disk is full. */
static char *map_new(const char *path, size_t len, ino_t *ret_inode, int *ret_errno)
{
    char *temporary = NULL, *map = MAP_FAILED;
    struct stat st = {0};
    CHECK(asprintf(&temporary, "%s.new", path) > 0);
    (void)unlink(temporary);
    int fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int err = fd < 0 ? errno : posix_fallocate(fd, 0, (off_t)len);
    if (err == 0 && (fstat(fd, &st) != 0 || rename(temporary, path) != 0))
        err = errno;
    if (err == 0)
        map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (err == 0 && map == MAP_FAILED)
        err = errno;
    if (fd >= 0)
        close(fd);
    if (err != 0)
        (void)unlink(temporary);
    free(temporary);
    *ret_inode = st.st_ino;
    *ret_errno = err;
    return err == 0 ? map : NULL;
}

enum err witness_open(const char *path, unsigned threads, unsigned slots,
                      struct bytes *ret_suspects, struct witness **ret_witness,
                      struct error *ret_error)
{
    size_t len = file_len(threads, slots);
    ino_t inode;
    int err, fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        read_suspects(fd, ret_suspects);
        close(fd);
    }
    char *map = map_new(path, len, &inode, &err);
    if (!map)
        return error_set(ret_error, ERR_IO, "cannot use %s: %s", path, strerror(err));
    struct witness *w = calloc(1, sizeof(*w));
    CHECK(w);
    *w = (struct witness){.path = strdup(path),
                          .map = map,
                          .len = len,
                          .inode = inode,
                          .threads = threads,
                          .slots = slots,
                          .next = calloc(threads, sizeof(*w->next))};
    CHECK(w->path && w->next);
    struct witness_head head = {.threads = threads, .slots = slots};
    memcpy(head.magic, magic, sizeof(magic));
    memcpy(map, &head, sizeof(head));
    *ret_witness = w;
    return OK;
}

void witness_close(struct witness *w)
{
    if (!w)
        return;
    struct stat st;
    munmap(w->map, w->len);
    if (stat(w->path, &st) == 0 && st.st_ino == w->inode) /* and not another server's */
        (void)unlink(w->path);
    free(w->path);
    free(w->next);
    free(w);
}

/* ---- while it runs ---- */

void witness_fell(struct witness *w)
{
    ((struct witness_head *)w->map)->fell = 1;
}

uint32_t witness_enter(struct witness *w, unsigned thread, const char *id)
{
    if (!w)
        return WITNESS_NOTHING;
    struct witness_slot *all = slots_of(thread_of(w->map, w->slots, thread));
    for (unsigned n = 0; n < w->slots; n++) {
        unsigned k = (w->next[thread] + n) % w->slots;
        if (all[k].id[0])
            continue;
        w->next[thread] = k + 1;
        all[k].stepped_ms = 0;
        memcpy(all[k].id, id, ID_BYTES);
        return k + FIRST_SLOT;
    }
    return WITNESS_NOTHING;
}

void witness_leave(struct witness *w, unsigned thread, uint32_t slot)
{
    if (!w || slot < FIRST_SLOT)
        return;
    struct witness_thread *t = thread_of(w->map, w->slots, thread);
    struct witness_slot *s = &slots_of(t)[slot - FIRST_SLOT];
    CHECK(slot - FIRST_SLOT < w->slots && s->id[0]);
    if (t->running == slot)
        t->running = WITNESS_NOTHING;
    s->id[0] = '\0';
    w->next[thread] = slot - FIRST_SLOT; /* the warmest is used next */
}

void witness_step(struct witness *w, unsigned thread, uint32_t slot, uint64_t now_ms)
{
    if (!w)
        return;
    struct witness_thread *t = thread_of(w->map, w->slots, thread);
    t->running = slot;
    t->alive_ms = now_ms;
    if (slot >= FIRST_SLOT)
        slots_of(t)[slot - FIRST_SLOT].stepped_ms = now_ms;
}

void witness_alive(struct witness *w, unsigned thread, uint64_t now_ms)
{
    if (w)
        thread_of(w->map, w->slots, thread)->alive_ms = now_ms;
}
