/* SPDX-License-Identifier: Apache-2.0
 *
 * Images: the linear memory of a booted isolate, mapped privately by every isolate made from it. A
 * page that the guest writes becomes a private copy; /proc/self/pagemap tells private pages from
 * shared ones (Documentation/admin-guide/mm/pagemap.rst: bit 63 present, 62 swapped, 61 file or
 * shared), so that a restore copies back only those. Dropping them instead (madvise) costs a page
 * fault each.
 *
 * All images lie in one memfd, each in a range of its own, so they cost no descriptors. An image
 * that was made from another (a module's, from the engine's) is first only the words that differ
 * (delta.c): its isolates map the base and get those written in, which makes some dozens of pages
 * private and each restore a little slower. When it turns out to be wanted much (IMAGE_WHOLE_*) it
 * is written out whole, once, and isolates map that.
 *
 * The digest names the content, for what is kept outside of the process and belongs to an image.
 *
 * A page once private stays private until the memory is mapped anew; when their number passes
 * IMAGE_PRIVATE_PAGES_MAX the mapping is renewed, which gives the memory back. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/budget.h"
#include "sandbox/internal.h"

enum {
    IMAGE_PRIVATE_PAGES_MAX = 512,
    PAGEMAP_BATCH = 512,
    /* When an image is written out whole: so many isolates write its pages into their memory, or
     * have been restored page by page so often, or there are so many pages. */
    IMAGE_WHOLE_ISOLATES = 8,
    IMAGE_WHOLE_RESTORES = 64,
    IMAGE_WHOLE_PAGES = 256,
    IMAGE_WHOLE_SPARE = 4, /* and only if its owner has room for so many times what that takes */
};

/* What images beside their bases may take for being whole, all together; others work without. */
#define IMAGE_WHOLE_BYTES_MAX ((size_t)256 << 20)

#define PAGEMAP_PRESENT (1ULL << 63)
#define PAGEMAP_SWAPPED (1ULL << 62)
#define PAGEMAP_FILE (1ULL << 61)

/* ---- the backing file ---- */

struct extent {
    struct extent *next;
    size_t at, len;
};

static struct {
    pthread_mutex_t mutex;
    int fd;
    size_t end;
    struct extent *unused; /* punched; taken again by images of the same length, as most are */
    size_t derived_bytes;  /* atomic: held by images that could do without */
} backing = {.mutex = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

/* With the mutex held. */
static bool backing_extend(size_t len, size_t *ret_at)
{
    if (backing.fd < 0)
        backing.fd = memfd_create("limpet-images", MFD_CLOEXEC);
    if (backing.fd < 0 || ftruncate(backing.fd, (off_t)(backing.end + len)) != 0)
        return false;
    *ret_at = backing.end;
    backing.end += len;
    return true;
}

static bool backing_take(size_t len, size_t *ret_at)
{
    pthread_mutex_lock(&backing.mutex);
    struct extent **link = &backing.unused;
    while (*link && (*link)->len != len)
        link = &(*link)->next;
    struct extent *e = *link;
    bool is_ok = true;
    if (e) {
        *link = e->next;
        *ret_at = e->at;
        free(e);
    } else {
        is_ok = backing_extend(len, ret_at);
    }
    pthread_mutex_unlock(&backing.mutex);
    return is_ok;
}

static void backing_give(size_t at, size_t len)
{
    struct extent *e = malloc(sizeof(*e));
    CHECK(e);
    *e = (struct extent){.at = at, .len = len};
    pthread_mutex_lock(&backing.mutex);
    /* A range with content that cannot be dropped must not be taken for an empty one. */
    if (fallocate(backing.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len) ==
        0) {
        e->next = backing.unused;
        backing.unused = TAKE(e);
    }
    pthread_mutex_unlock(&backing.mutex);
    free(e);
}

static bool backing_write(const char *ptr, size_t len, size_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(backing.fd, ptr, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        ptr += n;
        at += (size_t)n;
        len -= (size_t)n;
    }
    return true;
}

/* ---- life ---- */

static size_t bitmap_bytes(size_t len)
{
    return len / HOST_PAGE / 8;
}

static struct image *image_new(struct code *c, size_t len)
{
    struct image *m = calloc(1, sizeof(*m));
    CHECK(m);
    m->refs = 1;
    m->code = code_ref(c);
    m->len = m->delta.memory_len = len;
    CHECK(pthread_mutex_init(&m->lock, NULL) == 0);
    return m;
}

struct image *image_ref(struct image *m)
{
    __atomic_add_fetch(&m->refs, 1, __ATOMIC_RELAXED);
    return m;
}

void image_unref(struct image *m)
{
    if (!m || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (m->view) {
        munmap((void *)m->view, m->len);
        backing_give(m->at, m->len);
        if (m->base)
            __atomic_sub_fetch(&backing.derived_bytes, m->nonzero, __ATOMIC_RELAXED);
        if (m->billed)
            budget_give(m->memory, m->billed);
    }
    free(m->is_nonzero);
    delta_done(&m->delta);
    pthread_mutex_destroy(&m->lock);
    image_unref(m->base);
    tables_content_free(m->tables, m->code->tables_len);
    nested_plan_free(m->nested);
    code_unref(m->code);
    free(m);
}

struct code *image_code(const struct image *m)
{
    return m->code;
}

size_t image_bytes(const struct image *m)
{
    return sizeof(*m) + m->delta.bytes + (image_is_whole(m) ? m->nonzero : 0);
}

void image_bill(struct image *m, struct budget *memory)
{
    pthread_mutex_lock(&m->lock);
    m->memory = memory;
    pthread_mutex_unlock(&m->lock);
}

struct image *image_of_delta(struct image *base, const struct delta *d)
{
    struct image *m = image_new(base->code, d->memory_len);
    CHECK(!base->base);
    m->base = image_ref(base);
    m->delta = *d;
    delta_keep(&m->delta);
    return m;
}

bool page_is_zero(const char *page)
{
    const uint64_t *words = (const uint64_t *)page;
    for (size_t i = 0; i < HOST_PAGE / sizeof(*words); i++)
        if (words[i])
            return false;
    return true;
}

const uint64_t *image_page(const struct image *m, size_t page, uint64_t scratch[PAGE_WORDS])
{
    static const uint64_t zeros[PAGE_WORDS];
    if (page >= m->len / HOST_PAGE)
        return zeros;
    if (image_is_whole(m))
        return image_is_hole(m, page) ? zeros : (const uint64_t *)(m->view + page * HOST_PAGE);
    const uint64_t *below = image_page(m->base, page, NULL); /* which is whole */
    size_t k = delta_find(&m->delta, (uint32_t)page);
    if (k == m->delta.pages_len || delta_page(&m->delta, k) != page)
        return below;
    // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): only a base is asked without scratch
    memcpy(scratch, below, HOST_PAGE);
    delta_patch_page(&m->delta, k, scratch);
    return scratch;
}

/* ---- whole images ---- */

static void mark_page(struct image *m, size_t page)
{
    m->is_nonzero[page / 8] |= (uint8_t)(1u << (page % 8));
}

/* Writes the pages of source that are marked: runs at once, zero pages stay holes. */
static bool write_pages(struct image *m, const struct image *marks, const char *source)
{
    size_t pages = marks->len / HOST_PAGE, run = 0;
    for (size_t page = 0; page <= pages; page++) {
        if (page < pages && !image_is_hole(marks, page))
            continue;
        size_t len = (page - run) * HOST_PAGE;
        if (len > 0 && !backing_write(source + run * HOST_PAGE, len, m->at + run * HOST_PAGE))
            return false;
        run = page + 1;
    }
    return true;
}

/* The base's pages, and over them those that differ. */
static bool write_derived(struct image *m)
{
    uint64_t scratch[PAGE_WORDS];
    memcpy(m->is_nonzero, m->base->is_nonzero, bitmap_bytes(m->base->len));
    if (!write_pages(m, m->base, m->base->view))
        return false;
    for (size_t k = 0; k < m->delta.pages_len; k++) {
        size_t page = delta_page(&m->delta, k);
        const uint64_t *content = image_page(m, page, scratch);
        mark_page(m, page);
        if (!backing_write((const char *)content, HOST_PAGE, m->at + page * HOST_PAGE))
            return false;
    }
    return true;
}

/* From source, where the pages to take are marked already, or from base and delta. */
static bool build_whole(struct image *m, const char *source)
{
    if (!m->is_nonzero)
        m->is_nonzero = calloc(1, bitmap_bytes(m->len));
    CHECK(m->is_nonzero);
    if (!backing_take(m->len, &m->at))
        return false;
    void *view = MAP_FAILED;
    if (source ? write_pages(m, m, source) : write_derived(m))
        view = mmap(NULL, m->len, PROT_READ, MAP_SHARED, backing.fd, (off_t)m->at);
    if (view == MAP_FAILED) {
        backing_give(m->at, m->len);
        return false;
    }
    for (size_t k = 0; k < bitmap_bytes(m->len); k++)
        m->nonzero += (size_t)__builtin_popcount(m->is_nonzero[k]) * HOST_PAGE;
    __atomic_store_n(&m->view, view, __ATOMIC_RELEASE);
    return true;
}

/* Under the lock. Its owner can spare what being whole takes. */
static bool bill_whole(struct image *m)
{
    size_t most = m->base->nonzero + m->delta.pages_len * HOST_PAGE;
    if (!m->memory)
        return true;
    if (budget_left(m->memory) / IMAGE_WHOLE_SPARE < most || !budget_take(m->memory, most, NULL))
        return false;
    m->billed = most;
    return true;
}

/* Under the lock: what it takes in the end. */
static void settle_whole(struct image *m)
{
    size_t takes = m->view ? m->nonzero : 0;
    if (m->billed > takes)
        budget_give(m->memory, m->billed - takes);
    m->billed = m->billed < takes ? m->billed : takes;
}

/* Costs a copy of all its pages: half a millisecond. */
static bool make_whole(struct image *m)
{
    if (__atomic_load_n(&backing.derived_bytes, __ATOMIC_RELAXED) > IMAGE_WHOLE_BYTES_MAX)
        return false;
    pthread_mutex_lock(&m->lock);
    bool is_new = !m->view && !m->is_never_whole && bill_whole(m);
    if (is_new) {
        is_new = build_whole(m, NULL);
        m->is_never_whole = !m->view; /* no room: it would fail at each request */
        settle_whole(m);
    }
    pthread_mutex_unlock(&m->lock);
    if (is_new)
        __atomic_add_fetch(&backing.derived_bytes, m->nonzero, __ATOMIC_RELAXED);
    return image_is_whole(m);
}

static bool is_wanted_much(const struct image *m)
{
    return __atomic_load_n(&m->isolates, __ATOMIC_RELAXED) >= IMAGE_WHOLE_ISOLATES ||
           __atomic_load_n(&m->restores, __ATOMIC_RELAXED) >= IMAGE_WHOLE_RESTORES ||
           m->delta.pages_len >= IMAGE_WHOLE_PAGES;
}

/* ---- making ---- */

static bool scan_private(const struct memory *memory, size_t len, struct page_list *ret);

static int compare_pages(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The pages in which an isolate may differ from the base of its image: its own, and the image's. */
static void list_derived(const struct isolate *i, struct page_list *list)
{
    const struct delta *d = &i->image->delta;
    size_t len = 0;
    image_list_private(&i->memory, list);
    for (size_t k = 0; k < d->pages_len; k++)
        page_list_add(list, delta_page(d, k));
    qsort(list->at, list->len, sizeof(*list->at), compare_pages);
    for (size_t k = 0; k < list->len; k++)
        if (len == 0 || list->at[len - 1] != list->at[k])
            list->at[len++] = list->at[k];
    list->len = len;
}

static struct image *capture_delta(struct isolate *i, const struct globals *globals)
{
    struct image *base = i->image->base ? i->image->base : i->image;
    struct delta_scratch *s = delta_scratch_get();
    struct delta d = {.memory_len = i->memory.len, .globals = *globals};
    struct error e;
    list_derived(i, &s->list);
    delta_collect(i->memory.base, base, globals, s);
    d.pages_len = s->list.len;
    CHECK(delta_divide(bytes_slice(&s->content), &d, &e) == OK);
    struct image *m = image_of_delta(base, &d);
    delta_scratch_trim(s);
    return m;
}

/* Fills the file from the pages of source that are marked. Frees m when it fails. */
static enum err finish_whole(struct image *m, const char *source, struct error *ret_error)
{
    if (build_whole(m, source))
        return OK;
    enum err err = error_set(ret_error, ERR_IO, "cannot make an image: %s", strerror(errno));
    image_unref(m);
    return err;
}

enum err image_capture(struct isolate *i, struct image **ret_image, struct error *ret_error)
{
    CHECK(!isolate_is_running(i));
    struct globals globals;
    struct table_content *tables;
    struct nested_plan *nested;
    enum err err = nested_capture(i, &nested, ret_error);
    if (err != OK)
        return err;
    err = tables_capture(i, &tables, ret_error);
    if (err != OK) {
        nested_plan_free(nested);
        return err;
    }
    isolate_get_globals(i, &globals);
    if (i->image) {
        *ret_image = capture_delta(i, &globals);
        (*ret_image)->tables = tables;
        (*ret_image)->nested = nested;
        return OK;
    }
    struct image *m = image_new(i->code, i->memory.len);
    m->delta.globals = globals;
    m->tables = tables;
    m->nested = nested;
    m->is_nonzero = calloc(1, bitmap_bytes(m->len));
    CHECK(m->is_nonzero);
    for (size_t page = 0; page < m->len / HOST_PAGE; page++)
        if (!page_is_zero(i->memory.base + page * HOST_PAGE))
            mark_page(m, page);
    err = finish_whole(m, i->memory.base, ret_error);
    if (err == OK)
        *ret_image = m;
    return err;
}

/* ---- as bytes ---- */

struct image_header {
    char magic[8];
    uint64_t len;
    int32_t stack_pointer;
    uint32_t pages; /* nonzero ones */
    uint32_t globals, unused;
};

static const char image_magic[8] = "limpimg2";

void image_save(const struct image *m, struct bytes *out)
{
    const struct globals *g = &m->delta.globals;
    struct image_header h = {.len = m->len,
                             .stack_pointer = g->stack_pointer,
                             .pages = (uint32_t)(m->nonzero / HOST_PAGE),
                             .globals = g->len};
    CHECK(image_is_whole(m) && !m->tables && !m->nested);
    memcpy(h.magic, image_magic, sizeof(h.magic));
    bytes_append(out, &h, sizeof(h));
    if (g->len > 0)
        bytes_append(out, g->value, g->len * sizeof(g->value[0]));
    bytes_append(out, m->is_nonzero, bitmap_bytes(m->len));
    for (size_t page = 0; page < m->len / HOST_PAGE; page++)
        if (!image_is_hole(m, page))
            bytes_append(out, m->view + page * HOST_PAGE, HOST_PAGE);
}

/* Writes the saved pages to where they belong. */
static bool spread(struct image *m, struct slice pages)
{
    size_t len = m->len / HOST_PAGE;
    if (!backing_take(m->len, &m->at))
        return false;
    for (size_t page = 0, run; page < len; page = run + 1) {
        for (run = page; run < len && !image_is_hole(m, run); run++)
            ;
        size_t bytes = (run - page) * HOST_PAGE;
        if (bytes > 0 && !backing_write(pages.ptr, bytes, m->at + page * HOST_PAGE))
            return false;
        pages = slice_skip(pages, bytes);
    }
    void *view = mmap(NULL, m->len, PROT_READ, MAP_SHARED, backing.fd, (off_t)m->at);
    m->view = view == MAP_FAILED ? NULL : view;
    return m->view;
}

static enum err check_saved(const struct code *c, struct slice saved, struct image_header *ret,
                            struct error *ret_error)
{
    if (saved.len < sizeof(*ret))
        return error_set(ret_error, ERR_CORRUPT, "the saved image is cut short");
    memcpy(ret, saved.ptr, sizeof(*ret));
    const size_t fixed = sizeof(*ret) + ret->globals * sizeof(uint64_t) + bitmap_bytes(ret->len);
    size_t pages = 0;
    if (memcmp(ret->magic, image_magic, sizeof(ret->magic)) != 0 || ret->len % WASM_PAGE != 0 ||
        ret->len > UINT32_MAX || ret->globals != c->globals_len ||
        saved.len != fixed + (size_t)ret->pages * HOST_PAGE)
        return error_set(ret_error, ERR_CORRUPT, "the saved image is malformed");
    for (size_t k = fixed - bitmap_bytes(ret->len); k < fixed; k++)
        pages += (size_t)__builtin_popcount((uint8_t)saved.ptr[k]);
    if (pages != ret->pages)
        return error_set(ret_error, ERR_CORRUPT, "the saved image has %u pages and marks %zu",
                         ret->pages, pages);
    return OK;
}

enum err image_load(struct code *c, struct slice saved, struct image **ret_image,
                    struct error *ret_error)
{
    struct image_header h = {0};
    enum err err = check_saved(c, saved, &h, ret_error);
    if (err != OK)
        return err;
    struct image *m = image_new(c, h.len);
    struct globals *g = &m->delta.globals;
    saved = slice_skip(saved, sizeof(h));
    g->stack_pointer = h.stack_pointer;
    globals_make(g, h.globals);
    if (g->len > 0)
        memcpy(g->value, saved.ptr, g->len * sizeof(g->value[0]));
    saved = slice_skip(saved, g->len * sizeof(g->value[0]));
    m->is_nonzero = malloc(bitmap_bytes(h.len) + 1);
    CHECK(m->is_nonzero);
    memcpy(m->is_nonzero, saved.ptr, bitmap_bytes(h.len));
    m->nonzero = (size_t)h.pages * HOST_PAGE;
    if (!spread(m, slice_skip(saved, bitmap_bytes(h.len)))) {
        err = error_set(ret_error, ERR_IO, "cannot make an image: %s", strerror(errno));
        image_unref(m);
        return err;
    }
    *ret_image = m;
    return OK;
}

/* ---- in isolates ---- */

void image_unmap(struct image *m, struct memory *memory)
{
    if (memory->mapped && memory->mapped != m)
        __atomic_sub_fetch(&m->isolates, 1, __ATOMIC_RELAXED);
    memory->mapped = NULL;
}

static enum err map_whole(const struct image *m, struct memory *memory, struct error *ret_error)
{
    void *at = mmap(memory->base, m->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
                    backing.fd, (off_t)m->at);
    if (at == MAP_FAILED)
        return error_set(ret_error, ERR_IO, "cannot map an image: %s", strerror(errno));
    return OK;
}

/* The base, zeros beyond its end, and what differs. */
static enum err map_derived(struct image *m, struct memory *memory, struct error *ret_error)
{
    size_t tail = m->len - m->base->len;
    enum err err = map_whole(m->base, memory, ret_error);
    if (err != OK)
        return err;
    if (tail > 0 && memory_clear(memory, m->base->len, tail) != OK)
        return error_set(ret_error, ERR_IO, "cannot map an image: %s", strerror(errno));
    delta_patch(&m->delta, memory->base);
    return OK;
}

enum err image_map(struct image *m, struct memory *memory, struct error *ret_error)
{
    CHECK(memory->len == m->len);
    bool is_whole = image_is_whole(m) || (is_wanted_much(m) && make_whole(m));
    enum err err = is_whole ? map_whole(m, memory, ret_error) : map_derived(m, memory, ret_error);
    if (err != OK)
        return err;
    image_unmap(m, memory);
    memory->mapped = is_whole ? m : m->base;
    if (!is_whole)
        __atomic_add_fetch(&m->isolates, 1, __ATOMIC_RELAXED);
    memory->private_pages.len = 0;
    memory->has_faulted = !is_whole;
    return OK;
}

static int pagemap_fd(void)
{
    static _Thread_local int fd = -1;
    if (fd < 0)
        fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    return fd;
}

void page_list_add(struct page_list *list, size_t page)
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

static void restore_pages(const struct image *whole, const struct memory *memory)
{
    for (size_t k = 0; k < memory->private_pages.len; k++) {
        size_t page = memory->private_pages.at[k];
        char *to = memory->base + page * HOST_PAGE;
        if (page >= whole->len / HOST_PAGE || image_is_hole(whole, page))
            memset(to, 0, HOST_PAGE);
        else
            memcpy(to, whole->view + page * HOST_PAGE, HOST_PAGE);
    }
}

/* Both lists rise. */
static void patch_pages(const struct delta *d, const struct memory *memory)
{
    for (size_t k = 0, at = 0; k < memory->private_pages.len && at < d->pages_len; k++) {
        uint32_t page = memory->private_pages.at[k];
        while (at < d->pages_len && delta_page(d, at) < page)
            at++;
        if (at < d->pages_len && delta_page(d, at) == page)
            delta_patch_page(d, at, (uint64_t *)(memory->base + (size_t)page * HOST_PAGE));
    }
}

void image_restore(struct image *m, struct memory *memory)
{
    size_t pages_max = IMAGE_PRIVATE_PAGES_MAX;
    bool is_due = false;
    if (memory->has_faulted)
        memory->has_faulted = !scan_private(memory, m->len, &memory->private_pages);
    if (memory->mapped != m) {
        pages_max += m->delta.pages_len;
        __atomic_add_fetch(&m->restores, 1, __ATOMIC_RELAXED);
        is_due = image_is_whole(m) || (is_wanted_much(m) && make_whole(m));
    }
    if ((is_due || memory->private_pages.len > pages_max) && image_map(m, memory, NULL) == OK)
        return;
    restore_pages(memory->mapped, memory);
    if (memory->mapped != m)
        patch_pages(&m->delta, memory);
}

/* ---- digest ---- */

static bool digest_whole(const struct image *m, EVP_MD_CTX *hash)
{
    bool is_ok = EVP_DigestUpdate(hash, m->is_nonzero, bitmap_bytes(m->len));
    for (size_t page = 0; is_ok && page < m->len / HOST_PAGE; page++)
        if (!image_is_hole(m, page))
            is_ok = EVP_DigestUpdate(hash, m->view + page * HOST_PAGE, HOST_PAGE);
    return is_ok;
}

static bool digest_derived(const struct image *m, EVP_MD_CTX *hash)
{
    uint8_t base[IMAGE_DIGEST_BYTES];
    image_digest(m->base, base);
    return EVP_DigestUpdate(hash, base, sizeof(base)) &&
           EVP_DigestUpdate(hash, m->delta.masks,
                            (size_t)((const char *)(m->delta.numbers + m->delta.pages_len) -
                                     (const char *)m->delta.masks));
}

static void digest_content(const struct image *m, uint8_t ret_digest[IMAGE_DIGEST_BYTES])
{
    uint8_t full[EVP_MAX_MD_SIZE];
    const struct globals *g = &m->delta.globals;
    const uint64_t len = htole64(m->len);
    const uint32_t sp = htole32((uint32_t)g->stack_pointer);
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    CHECK(hash);
    bool is_ok = EVP_DigestInit_ex(hash, EVP_sha256(), NULL) &&
                 EVP_DigestUpdate(hash, &len, sizeof(len)) &&
                 EVP_DigestUpdate(hash, &sp, sizeof(sp)) &&
                 (g->len == 0 || EVP_DigestUpdate(hash, g->value, g->len * sizeof(g->value[0]))) &&
                 (m->base ? digest_derived(m, hash) : digest_whole(m, hash));
    CHECK(is_ok);
    CHECK(EVP_DigestFinal_ex(hash, full, NULL));
    EVP_MD_CTX_free(hash);
    memcpy(ret_digest, full, IMAGE_DIGEST_BYTES);
}

void image_digest(struct image *m, uint8_t ret_digest[IMAGE_DIGEST_BYTES])
{
    if (!__atomic_load_n(&m->has_digest, __ATOMIC_ACQUIRE)) {
        pthread_mutex_lock(&m->lock);
        if (!m->has_digest) {
            digest_content(m, m->digest);
            __atomic_store_n(&m->has_digest, true, __ATOMIC_RELEASE);
        }
        pthread_mutex_unlock(&m->lock);
    }
    memcpy(ret_digest, m->digest, IMAGE_DIGEST_BYTES);
}
