/* SPDX-License-Identifier: Apache-2.0
 *
 * Images: the linear memory of a booted isolate in a memfd, mapped privately by every isolate made
 * from it. A page that the guest writes becomes a private copy; /proc/self/pagemap tells private
 * pages from shared ones (Documentation/admin-guide/mm/pagemap.rst: bit 63 present, 62 swapped, 61
 * file or shared), so that a restore copies back only those. Dropping them instead (madvise) costs
 * a page fault each.
 *
 * The digest names the content, for what is kept outside of the process and belongs to an image.
 *
 * A page once private stays private until the memory is mapped anew; when their number passes
 * IMAGE_PRIVATE_PAGES_MAX the mapping is renewed, which gives the memory back. */
#include "sandbox/internal.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
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
    pthread_mutex_destroy(&m->digest_lock);
    free(m->is_nonzero);
    free(m);
}

size_t image_bytes(const struct image *m)
{
    return m->nonzero;
}

static size_t bitmap_bytes(size_t len)
{
    return len / HOST_PAGE / 8;
}

bool page_is_zero(const char *page)
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

static bool scan_private(const struct memory *memory, size_t len, struct page_list *ret);

/* Marks the pages of the new image that are not zero. In a memory that came from an image, only
 * pages of its own can differ from it. */
static void find_nonzero(struct image *m, struct isolate *i)
{
    struct memory *memory = &i->memory;
    const struct image *base = i->image;
    size_t pages = m->len / HOST_PAGE;
    if (base) {
        /* a longer list is as good */
        (void)scan_private(memory, base->len, &memory->private_pages);
        memcpy(m->is_nonzero, base->is_nonzero, bitmap_bytes(base->len));
        for (size_t k = 0; k < memory->private_pages.len; k++) {
            size_t page = memory->private_pages.at[k];
            uint8_t bit = (uint8_t)(1u << (page % 8));
            m->is_nonzero[page / 8] &= (uint8_t)~bit;
            if (!page_is_zero(memory->base + page * HOST_PAGE))
                m->is_nonzero[page / 8] |= bit;
        }
    }
    size_t first = base ? base->len / HOST_PAGE : 0; /* what has grown beyond the base */
    for (size_t page = first; page < pages; page++)
        if (!page_is_zero(memory->base + page * HOST_PAGE))
            m->is_nonzero[page / 8] |= (uint8_t)(1u << (page % 8));
}

/* Zero pages stay holes; runs of others are written at once. */
static bool image_copy_pages(struct image *m, const char *source)
{
    size_t pages = m->len / HOST_PAGE, run = 0;
    for (size_t page = 0; page <= pages; page++) {
        if (page < pages && !image_is_hole(m, page))
            continue;
        size_t len = (page - run) * HOST_PAGE;
        if (len > 0 && !write_all(m->fd, source + run * HOST_PAGE, len, (off_t)(run * HOST_PAGE)))
            return false;
        m->nonzero += len;
        run = page + 1;
    }
    return true;
}

static struct image *image_new(size_t len)
{
    struct image *m = calloc(1, sizeof(*m));
    CHECK(m);
    m->refs = 1;
    m->len = len;
    m->fd = -1;
    pthread_mutex_init(&m->digest_lock, NULL);
    m->is_nonzero = calloc(1, bitmap_bytes(len));
    CHECK(m->is_nonzero);
    return m;
}

/* Fills the file from the pages of source that are marked, and maps it. Frees m when it fails. */
static enum err image_build(struct image *m, const char *source, struct error *ret_error)
{
    void *view = MAP_FAILED;
    m->fd = memfd_create("limpet-image", MFD_CLOEXEC);
    if (m->fd >= 0 && ftruncate(m->fd, (off_t)m->len) == 0 && image_copy_pages(m, source))
        view = mmap(NULL, m->len, PROT_READ, MAP_SHARED, m->fd, 0);
    if (view == MAP_FAILED) {
        enum err err = error_set(ret_error, ERR_IO, "cannot make an image: %s", strerror(errno));
        image_unref(m);
        return err;
    }
    m->view = view;
    return OK;
}

enum err image_capture(struct isolate *i, struct image **ret_image, struct error *ret_error)
{
    CHECK(!isolate_is_running(i));
    struct image *m = image_new(i->memory.len);
    m->stack_pointer = isolate_stack_pointer(i);
    find_nonzero(m, i);
    enum err err = image_build(m, i->memory.base, ret_error);
    if (err == OK)
        *ret_image = m;
    return err;
}

struct image_header {
    char magic[8];
    uint64_t len;
    int32_t stack_pointer;
    uint32_t pages; /* nonzero ones */
};

static const char image_magic[8] = "limpimg1";

void image_save(const struct image *m, struct bytes *out)
{
    struct image_header h = {.len = m->len,
                             .stack_pointer = m->stack_pointer,
                             .pages = (uint32_t)(m->nonzero / HOST_PAGE)};
    memcpy(h.magic, image_magic, sizeof(h.magic));
    bytes_append(out, &h, sizeof(h));
    bytes_append(out, m->is_nonzero, bitmap_bytes(m->len));
    for (size_t page = 0; page < m->len / HOST_PAGE; page++)
        if (!image_is_hole(m, page))
            bytes_append(out, m->view + page * HOST_PAGE, HOST_PAGE);
}

/* Spreads the saved pages to where they belong, in memory of its own. */
static char *unpack(const struct image *m, struct slice pages)
{
    char *memory = mmap(NULL, m->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    for (size_t page = 0; page < m->len / HOST_PAGE; page++) {
        if (image_is_hole(m, page))
            continue;
        memcpy(memory + page * HOST_PAGE, pages.ptr, HOST_PAGE);
        pages = slice_skip(pages, HOST_PAGE);
    }
    return memory;
}

enum err image_load(struct slice saved, struct image **ret_image, struct error *ret_error)
{
    struct image_header h;
    if (saved.len < sizeof(h))
        return error_set(ret_error, ERR_CORRUPT, "the saved image is cut short");
    memcpy(&h, saved.ptr, sizeof(h));
    if (memcmp(h.magic, image_magic, sizeof(h.magic)) != 0 || h.len % WASM_PAGE != 0 ||
        h.len > UINT32_MAX ||
        saved.len != sizeof(h) + bitmap_bytes(h.len) + (size_t)h.pages * HOST_PAGE)
        return error_set(ret_error, ERR_CORRUPT, "the saved image is malformed");
    struct image *m = image_new(h.len);
    m->stack_pointer = h.stack_pointer;
    memcpy(m->is_nonzero, saved.ptr + sizeof(h), bitmap_bytes(h.len));
    char *memory = unpack(m, slice_skip(saved, sizeof(h) + bitmap_bytes(h.len)));
    if (!memory) {
        image_unref(m);
        return error_set(ret_error, ERR_IO, "cannot unpack an image: %s", strerror(errno));
    }
    enum err err = image_build(m, memory, ret_error);
    munmap(memory, h.len);
    if (err == OK)
        *ret_image = m;
    return err;
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

static void page_list_add(struct page_list *list, size_t page)
{
    if (list->len == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 64;
        uint32_t *grown = realloc(list->at, list->cap * sizeof(*list->at));
        CHECK(grown);
        list->at = grown;
    }
    list->at[list->len++] = (uint32_t)page;
}

void page_list_done(struct page_list *list)
{
    free(list->at);
    *list = (struct page_list){0};
}

/* Where /proc is hidden every page may be private. */
static void assume_private(size_t len, struct page_list *ret)
{
    ret->len = 0;
    for (size_t page = 0; page < len / HOST_PAGE; page++)
        page_list_add(ret, page);
}

static bool scan_pagemap(const struct memory *memory, size_t len, struct page_list *ret)
{
    int fd = pagemap_fd();
    uint64_t entries[PAGEMAP_BATCH];
    size_t pages = len / HOST_PAGE;
    ret->len = 0;
    for (size_t first = 0; first < pages; first += PAGEMAP_BATCH) {
        size_t n = pages - first < PAGEMAP_BATCH ? pages - first : PAGEMAP_BATCH;
        off_t at = (off_t)(((uintptr_t)memory->base / HOST_PAGE + first) * sizeof(uint64_t));
        if (fd < 0 ||
            pread(fd, entries, n * sizeof(uint64_t), at) != (ssize_t)(n * sizeof(uint64_t)))
            return false;
        for (size_t k = 0; k < n; k++)
            if ((entries[k] & PAGEMAP_SWAPPED) ||
                ((entries[k] & PAGEMAP_PRESENT) && !(entries[k] & PAGEMAP_FILE)))
                page_list_add(ret, first + k);
    }
    return true;
}

/* Of the first len bytes. Always leaves a list that holds every private page; false: and others
 * too. */
static bool scan_private(const struct memory *memory, size_t len, struct page_list *ret)
{
    if (scan_pagemap(memory, len, ret))
        return true;
    assume_private(len, ret);
    return false;
}

void image_list_private(const struct memory *memory, struct page_list *ret)
{
    (void)scan_private(memory, memory->len, ret);
}

static void restore_page(const struct image *m, struct memory *memory, size_t page)
{
    char *to = memory->base + page * HOST_PAGE;
    if (image_is_hole(m, page))
        memset(to, 0, HOST_PAGE);
    else
        memcpy(to, m->view + page * HOST_PAGE, HOST_PAGE);
}

void image_restore(const struct image *m, struct memory *memory)
{
    if (memory->has_faulted)
        memory->has_faulted = !scan_private(memory, m->len, &memory->private_pages);
    if (memory->private_pages.len > IMAGE_PRIVATE_PAGES_MAX && image_map(m, memory, NULL) == OK) {
        memory->private_pages.len = 0;
        return;
    }
    for (size_t k = 0; k < memory->private_pages.len; k++)
        restore_page(m, memory, memory->private_pages.at[k]);
}

static void digest_content(const struct image *m, uint8_t ret_digest[IMAGE_DIGEST_BYTES])
{
    uint8_t full[EVP_MAX_MD_SIZE];
    const uint64_t len = htole64(m->len);
    const uint32_t sp = htole32((uint32_t)m->stack_pointer);
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    CHECK(hash);
    bool is_ok = EVP_DigestInit_ex(hash, EVP_sha256(), NULL) &&
                 EVP_DigestUpdate(hash, &len, sizeof(len)) &&
                 EVP_DigestUpdate(hash, &sp, sizeof(sp)) &&
                 EVP_DigestUpdate(hash, m->is_nonzero, bitmap_bytes(m->len));
    for (size_t page = 0; is_ok && page < m->len / HOST_PAGE; page++)
        if (!image_is_hole(m, page))
            is_ok = EVP_DigestUpdate(hash, m->view + page * HOST_PAGE, HOST_PAGE);
    CHECK(is_ok);
    CHECK(EVP_DigestFinal_ex(hash, full, NULL));
    EVP_MD_CTX_free(hash);
    memcpy(ret_digest, full, IMAGE_DIGEST_BYTES);
}

void image_digest(struct image *m, uint8_t ret_digest[IMAGE_DIGEST_BYTES])
{
    if (!__atomic_load_n(&m->has_digest, __ATOMIC_ACQUIRE)) {
        pthread_mutex_lock(&m->digest_lock);
        if (!m->has_digest) {
            digest_content(m, m->digest);
            __atomic_store_n(&m->has_digest, true, __ATOMIC_RELEASE);
        }
        pthread_mutex_unlock(&m->digest_lock);
    }
    memcpy(ret_digest, m->digest, IMAGE_DIGEST_BYTES);
}
