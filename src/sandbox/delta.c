/* SPDX-License-Identifier: Apache-2.0
 *
 * Deltas: a memory as the words in which it differs from an image, a few of each page. What a
 * module adds to the booted engine, and what a run adds to its module, are some ten bytes here and
 * there on each of many pages: 73 pages, 1,200 words for a hello module, so 15 KB instead of 290.
 *
 * As bytes it is one zstd frame of four arrays: the values of mutable globals other than the stack
 * pointer (u64), for each page a mask of its words, the words, XORed with the image's, and the
 * pages' numbers. zstd gets no long runs of zeros, which would take it most of its time, and its
 * fastest level is as good as a slow one. Everything is checked before it is used.
 *
 * Buffers and zstd's contexts are kept per thread, since setting them up costs more than using
 * them; they are freed when the thread ends, and after each use if they have become large. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "sandbox/internal.h"

enum {
    DELTA_LEVEL = 1,
    DELTA_KEEP_BYTES = 1024 * 1024, /* larger buffers are not kept */
};

/* At most this much is unpacked for one page: its mask, its words, its number. */
enum { PAGE_CONTENT_BYTES = PAGE_WORDS / 8 + HOST_PAGE + (int)sizeof(uint32_t) };

/* ---- what a thread keeps ---- */

static _Thread_local struct delta_scratch *scratch_here;
static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_free(void *arg)
{
    struct delta_scratch *s = arg;
    ZSTD_freeCCtx(s->pack);
    ZSTD_freeDCtx(s->unpack);
    page_list_done(&s->list);
    bytes_done(&s->content);
    bytes_done(&s->packed);
    free(s);
    scratch_here = NULL;
}

static void scratch_make_key(void)
{
    CHECK(pthread_key_create(&scratch_key, scratch_free) == 0);
}

struct delta_scratch *delta_scratch_get(void)
{
    if (scratch_here)
        return scratch_here;
    pthread_once(&scratch_once, scratch_make_key);
    struct delta_scratch *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->pack = ZSTD_createCCtx();
    CHECK(s->pack);
    s->unpack = ZSTD_createDCtx();
    CHECK(s->unpack);
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(s->pack, ZSTD_c_compressionLevel, DELTA_LEVEL)));
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(s->pack, ZSTD_c_checksumFlag, 1)));
    CHECK(pthread_setspecific(scratch_key, s) == 0);
    return scratch_here = s;
}

void delta_scratch_trim(struct delta_scratch *s)
{
    if (s->content.cap > DELTA_KEEP_BYTES)
        bytes_done(&s->content);
    if (s->packed.cap > DELTA_KEEP_BYTES)
        bytes_done(&s->packed);
}

/* ---- from a memory ---- */

/* Puts the words in which a page differs, XORed, at words, and a bit for each into masks; returns
 * their count. Nearly all are equal, so it looks at 64 bytes at once. */
static size_t page_diff(const uint64_t *page, const uint64_t *base, uint64_t masks[PAGE_MASKS],
                        uint64_t *words)
{
    size_t n = 0;
    memset(masks, 0, PAGE_MASKS * sizeof(*masks));
    for (size_t k = 0; k < PAGE_WORDS; k += 8) {
        uint64_t any = 0;
        for (size_t j = k; j < k + 8; j++)
            any |= page[j] ^ base[j];
        for (size_t j = k; any && j < k + 8; j++) {
            if (page[j] == base[j])
                continue;
            masks[j / 64] |= UINT64_C(1) << (j % 64);
            words[n++] = htole64(page[j] ^ base[j]);
        }
    }
    for (size_t k = 0; k < PAGE_MASKS; k++)
        masks[k] = htole64(masks[k]);
    return n;
}

void delta_collect(const char *memory, const struct image *against, const struct globals *globals,
                   struct delta_scratch *s)
{
    size_t pages_len = 0, words_len = 0;
    uint64_t scratch[PAGE_WORDS];
    bytes_clear(&s->content);
    for (size_t k = 0; k < globals->len; k++)
        bytes_append_u64(&s->content, globals->value[k]);
    const size_t first = s->content.len;
    bytes_reserve(&s->content, s->list.len * PAGE_CONTENT_BYTES + 1);
    uint64_t *masks = (uint64_t *)(s->content.ptr + first);
    uint64_t *words = masks + s->list.len * PAGE_MASKS;
    for (size_t k = 0; k < s->list.len; k++) {
        uint32_t page = s->list.at[k];
        size_t n = page_diff((const uint64_t *)(memory + (size_t)page * HOST_PAGE),
                             image_page(against, page, scratch), masks + pages_len * PAGE_MASKS,
                             words + words_len);
        words_len += n;
        if (n > 0)
            s->list.at[pages_len++] = htole32(page);
    }
    s->list.len = pages_len;
    s->content.len = first + pages_len * PAGE_MASKS * sizeof(*masks);
    memmove(s->content.ptr + s->content.len, words, words_len * sizeof(*words));
    s->content.len += words_len * sizeof(*words);
    bytes_append(&s->content, s->list.at, pages_len * sizeof(*s->list.at));
}

enum err delta_pack(struct delta_scratch *s, struct error *ret_error)
{
    bytes_clear(&s->packed);
    bytes_reserve(&s->packed, ZSTD_compressBound(s->content.len));
    size_t n =
        ZSTD_compress2(s->pack, s->packed.ptr, s->packed.cap, s->content.ptr, s->content.len);
    if (ZSTD_isError(n))
        return error_set(ret_error, ERR_INTERNAL, "cannot compress a snapshot: %s",
                         ZSTD_getErrorName(n));
    s->packed.len = n;
    return OK;
}

/* ---- reading ---- */

static enum err check_numbers(const struct delta *d, struct error *ret_error)
{
    for (size_t k = 0; k < d->pages_len; k++) {
        uint32_t page = delta_page(d, k);
        if (page >= d->memory_len / HOST_PAGE || (k > 0 && page <= delta_page(d, k - 1)))
            return error_set(ret_error, ERR_CORRUPT, "the snapshot's page %zu is misplaced", k);
    }
    return OK;
}

/* Finds the arrays in what was unpacked; they must fill it exactly. */
enum err delta_divide(struct slice content, struct delta *d, struct error *ret_error)
{
    const size_t masks_len = d->pages_len * PAGE_MASKS;
    const size_t numbers_bytes = d->pages_len * sizeof(*d->numbers);
    const size_t globals_bytes = d->globals.len * sizeof(uint64_t);
    const size_t fixed_bytes = globals_bytes + masks_len * sizeof(*d->masks) + numbers_bytes;
    size_t words_len = 0;
    if (content.len < fixed_bytes)
        return error_set(ret_error, ERR_CORRUPT, "the snapshot's pages are cut short");
    if (!d->globals.value)
        globals_make(&d->globals, d->globals.len);
    for (size_t k = 0; k < d->globals.len; k++) {
        uint64_t value;
        memcpy(&value, content.ptr + k * sizeof(value), sizeof(value));
        d->globals.value[k] = le64toh(value);
    }
    d->masks = (const uint64_t *)(content.ptr + globals_bytes);
    d->words = d->masks + masks_len;
    for (size_t k = 0; k < masks_len; k++)
        words_len += (size_t)__builtin_popcountll(d->masks[k]);
    if (content.len != fixed_bytes + words_len * sizeof(*d->words))
        return error_set(ret_error, ERR_CORRUPT, "the snapshot's pages are of the wrong length");
    d->numbers = (const uint32_t *)(d->words + words_len);
    return check_numbers(d, ret_error);
}

/* The frame must be exactly one, and what it holds no longer than its pages can be. */
enum err delta_unpack(struct delta_scratch *s, struct slice frame, struct delta *d,
                      struct error *ret_error)
{
    size_t frame_len = ZSTD_findFrameCompressedSize(frame.ptr, frame.len);
    unsigned long long len = ZSTD_getFrameContentSize(frame.ptr, frame.len);
    if (ZSTD_isError(frame_len) || frame_len != frame.len ||
        len > d->globals.len * sizeof(uint64_t) +
                  d->pages_len * PAGE_CONTENT_BYTES) /* unknown and error are greater, too */
        return error_set(ret_error, ERR_CORRUPT, "the snapshot's pages are no zstd frame");
    bytes_clear(&s->content);
    bytes_reserve(&s->content, len + 1);
    size_t n = ZSTD_decompressDCtx(s->unpack, s->content.ptr, len, frame.ptr, frame.len);
    if (n != len)
        return error_set(ret_error, ERR_CORRUPT, "the snapshot's pages do not unpack");
    return delta_divide(slice_of(s->content.ptr, n), d, ret_error);
}

/* ---- writing ---- */

static const uint64_t *page_patch(const uint64_t masks[PAGE_MASKS], const uint64_t *word,
                                  uint64_t *page)
{
    for (size_t part = 0; part < PAGE_MASKS; part++) {
        uint64_t mask = le64toh(masks[part]);
        for (; mask; mask &= mask - 1)
            page[part * 64 + (size_t)__builtin_ctzll(mask)] ^= le64toh(*word++);
    }
    return word;
}

void delta_patch(const struct delta *d, char *memory)
{
    const uint64_t *word = d->words;
    for (size_t k = 0; k < d->pages_len; k++)
        word = page_patch(d->masks + k * PAGE_MASKS, word,
                          (uint64_t *)(memory + (size_t)delta_page(d, k) * HOST_PAGE));
}

/* ---- kept ones ---- */

void delta_keep(struct delta *d)
{
    const size_t masks_bytes = d->pages_len * PAGE_MASKS * sizeof(*d->masks);
    const size_t words_bytes = (size_t)((const char *)d->numbers - (const char *)d->words);
    const size_t index_bytes = d->pages_len * sizeof(uint32_t);
    char *block = malloc(masks_bytes + words_bytes + 2 * index_bytes + 1);
    CHECK(block);
    if (d->pages_len > 0)
        memcpy(block, d->masks, masks_bytes + words_bytes + index_bytes);
    d->block = block;
    d->masks = (const uint64_t *)block;
    d->words = (const uint64_t *)(block + masks_bytes);
    d->numbers = (const uint32_t *)(block + masks_bytes + words_bytes);
    uint32_t *firsts = (uint32_t *)(block + masks_bytes + words_bytes + index_bytes);
    uint32_t first = 0;
    for (size_t k = 0; k < d->pages_len; k++) {
        firsts[k] = first;
        for (size_t part = 0; part < PAGE_MASKS; part++)
            first += (uint32_t)__builtin_popcountll(d->masks[k * PAGE_MASKS + part]);
    }
    d->firsts = firsts;
    d->bytes = masks_bytes + words_bytes + 2 * index_bytes;
}

void delta_done(struct delta *d)
{
    free(d->block);
    globals_done(&d->globals);
    *d = (struct delta){0};
}

size_t delta_find(const struct delta *d, uint32_t page)
{
    size_t low = 0, high = d->pages_len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (delta_page(d, middle) < page)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void delta_patch_page(const struct delta *d, size_t k, uint64_t *page)
{
    (void)page_patch(d->masks + k * PAGE_MASKS, d->words + d->firsts[k], page);
}
