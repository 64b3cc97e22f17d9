/* SPDX-License-Identifier: Apache-2.0
 *
 * Images: the linear memory of a booted isolate in a memfd, mapped privately by every isolate made
 * from it. A page that the guest writes becomes a private copy; /proc/self/pagemap tells private
 * pages from shared ones (Documentation/admin-guide/mm/pagemap.rst: bit 63 present, 62 swapped, 61
 * file or shared), so that a restore copies back only those. Dropping them instead (madvise) costs
 * a page fault each.
 *
 * A page once private stays private until the memory is mapped anew; when their number passes
 * IMAGE_PRIVATE_PAGES_MAX the mapping is renewed, which gives the memory back. */
#include "sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { IMAGE_PRIVATE_PAGES_MAX = 512, PAGEMAP_BATCH = 512 };

#define PAGEMAP_PRESENT (1ULL << 63)
#define PAGEMAP_SWAPPED (1ULL << 62)
#define PAGEMAP_FILE (1ULL << 61)

struct image *image_ref(struct image *m)
{
    __atomic_add_fetch(&m->refs, 1, __ATOMIC_RELAXED);
    return m;
}

void image_unref(struct image *m)
{
    if (!m || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (m->view)
        munmap((void *)m->view, m->len);
    if (m->fd >= 0)
        close(m->fd);
    free(m);
}

size_t image_bytes(const struct image *m)
{
    return m->nonzero;
}

static bool page_is_zero(const char *page)
{
    const uint64_t *words = (const uint64_t *)page;
    for (size_t i = 0; i < HOST_PAGE / sizeof(*words); i++)
        if (words[i])
            return false;
    return true;
}

static bool write_all(int fd, const char *ptr, size_t len, off_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, ptr, len, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        ptr += n;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

static bool image_copy_pages(struct image *m, const struct memory *memory)
{
    for (size_t at = 0; at < m->len; at += HOST_PAGE) {
        if (page_is_zero(memory->base + at))
            continue;
        if (!write_all(m->fd, memory->base + at, HOST_PAGE, (off_t)at))
            return false;
        m->nonzero += HOST_PAGE;
        m->used = at + HOST_PAGE;
    }
    return true;
}

enum err image_capture(struct isolate *i, struct image **ret_image, struct error *ret_error)
{
    CHECK(!isolate_is_running(i));
    struct image *m = calloc(1, sizeof(*m));
    CHECK(m);
    m->refs = 1;
    m->len = i->memory.len;
    wasmtime_val_t sp;
    wasmtime_global_get(i->context, &i->stack_pointer, &sp);
    m->stack_pointer = sp.of.i32;
    m->fd = memfd_create("limpet-image", MFD_CLOEXEC);
    if (m->fd < 0 || ftruncate(m->fd, (off_t)m->len) != 0 || !image_copy_pages(m, &i->memory)) {
        enum err e = error_set(ret_error, ERR_IO, "cannot make an image: %s", strerror(errno));
        image_unref(m);
        return e;
    }
    void *view = mmap(NULL, m->len, PROT_READ, MAP_SHARED, m->fd, 0);
    if (view == MAP_FAILED) {
        enum err e = error_set(ret_error, ERR_IO, "cannot map an image: %s", strerror(errno));
        image_unref(m);
        return e;
    }
    m->view = view;
    *ret_image = m;
    return OK;
}

enum err image_map(const struct image *m, struct memory *memory, struct error *ret_error)
{
    CHECK(memory->len == m->len);
    void *at =
        mmap(memory->base, m->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, m->fd, 0);
    if (at == MAP_FAILED)
        return error_set(ret_error, ERR_IO, "cannot map an image: %s", strerror(errno));
    memory->image_len = m->len;
    return OK;
}

static int pagemap_fd(void)
{
    static _Thread_local int fd = -1;
    if (fd < 0)
        fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    return fd;
}

/* Without pagemap (not Linux's default, but some containers hide it) every page has to be compared.
 */
static size_t image_restore_by_comparison(const struct image *m, struct memory *memory)
{
    size_t copied = 0;
    for (size_t at = 0; at < m->len; at += HOST_PAGE) {
        if (memcmp(memory->base + at, m->view + at, HOST_PAGE) == 0)
            continue;
        memcpy(memory->base + at, m->view + at, HOST_PAGE);
        copied++;
    }
    return copied;
}

size_t image_restore(const struct image *m, struct memory *memory)
{
    int fd = pagemap_fd();
    if (fd < 0)
        return image_restore_by_comparison(m, memory);
    uint64_t entries[PAGEMAP_BATCH];
    size_t pages = m->len / HOST_PAGE, private_pages = 0;
    for (size_t first = 0; first < pages; first += PAGEMAP_BATCH) {
        size_t n = pages - first < PAGEMAP_BATCH ? pages - first : PAGEMAP_BATCH;
        off_t at = (off_t)(((uintptr_t)memory->base / HOST_PAGE + first) * sizeof(uint64_t));
        if (pread(fd, entries, n * sizeof(uint64_t), at) != (ssize_t)(n * sizeof(uint64_t)))
            return image_restore_by_comparison(m, memory);
        for (size_t k = 0; k < n; k++) {
            bool is_private = (entries[k] & PAGEMAP_SWAPPED) ||
                              ((entries[k] & PAGEMAP_PRESENT) && !(entries[k] & PAGEMAP_FILE));
            if (!is_private)
                continue;
            size_t offset = (first + k) * HOST_PAGE;
            memcpy(memory->base + offset, m->view + offset, HOST_PAGE);
            private_pages++;
        }
    }
    if (private_pages > IMAGE_PRIVATE_PAGES_MAX && image_map(m, memory, NULL) == OK)
        return 0;
    return private_pages;
}
