/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots, see snapshot.h. Which pages may differ from the image is asked from the kernel, each
 * of them is compared, and only the words that really do are kept: a few of each page. zstd gets no
 * long runs of zeros, which would take it most of its time, and its fastest level is as good as a
 * slow one.
 *
 * Trust: a snapshot is only ever an optimization over a replay, and a wrong one would be worse than
 * none. So two checksums of different kinds cover it (CRC-32 over all that is stored, zstd's XXH64
 * over what comes out), everything is parsed and unpacked before the isolate is touched, and no
 * number in it is used before it is compared with what the isolate may have.
 *
 * Buffers and zstd's contexts are kept per thread, since setting them up costs more than using
 * them; they are freed when the thread ends, and after each use if they have become large. */
#include "sandbox/snapshot.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "sandbox/internal.h"

enum {
    SNAPSHOT_LEVEL = 1,
    SNAPSHOT_KEEP_BYTES = 1024 * 1024, /* larger buffers are not kept */
};

struct snapshot_header {
    char magic[4];
    uint32_t crc; /* CRC-32 of everything after this field, the frame included */
    uint32_t version;
    uint32_t pages;
    uint8_t engine[IMAGE_DIGEST_BYTES], image[IMAGE_DIGEST_BYTES];
    uint64_t memory_len;
    uint32_t stack_pointer;
    uint32_t unused; /* 0 */
};
_Static_assert(sizeof(struct snapshot_header) == 64, "the format has no padding");

static const char snapshot_magic[4] = "lsnp";

enum { PAGE_WORDS = HOST_PAGE / sizeof(uint64_t), PAGE_MASKS = PAGE_WORDS / 64 };
/* At most this much is unpacked for one page: its mask, its words, its number. */
enum { PAGE_CONTENT_BYTES = PAGE_WORDS / 8 + HOST_PAGE + (int)sizeof(uint32_t) };

/* A snapshot taken apart; the arrays lie in the scratch of the thread. */
struct snapshot {
    size_t memory_len;
    int32_t stack_pointer;
    size_t pages_len;
    const uint64_t *masks; /* PAGE_MASKS a page */
    const uint64_t *words;
    const uint32_t *numbers;
};

/* ---- what a thread keeps ---- */

struct scratch {
    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
    struct page_list list;
    struct bytes content, packed;
};

static _Thread_local struct scratch *scratch_here;
static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_free(void *arg)
{
    struct scratch *s = arg;
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

static struct scratch *scratch_get(void)
{
    if (scratch_here)
        return scratch_here;
    pthread_once(&scratch_once, scratch_make_key);
    struct scratch *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->pack = ZSTD_createCCtx();
    CHECK(s->pack);
    s->unpack = ZSTD_createDCtx();
    CHECK(s->unpack);
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(s->pack, ZSTD_c_compressionLevel, SNAPSHOT_LEVEL)));
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(s->pack, ZSTD_c_checksumFlag, 1)));
    CHECK(pthread_setspecific(scratch_key, s) == 0);
    return scratch_here = s;
}

static void scratch_trim(struct scratch *s)
{
    if (s->content.cap > SNAPSHOT_KEEP_BYTES)
        bytes_done(&s->content);
    if (s->packed.cap > SNAPSHOT_KEEP_BYTES)
        bytes_done(&s->packed);
}

/* ---- pages ---- */

/* What the image holds there, which is nothing beyond its end. */
static const uint64_t *image_page(const struct image *m, size_t page)
{
    static const uint64_t zeros[PAGE_WORDS];
    if (page >= m->len / HOST_PAGE || image_is_hole(m, page))
        return zeros;
    return (const uint64_t *)(m->view + page * HOST_PAGE);
}

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

/* Fills s->content with what differs; s->list shrinks to the pages that do. */
static void collect(const struct isolate *i, struct scratch *s)
{
    size_t pages_len = 0, words_len = 0;
    bytes_clear(&s->content);
    bytes_reserve(&s->content, s->list.len * PAGE_CONTENT_BYTES + 1);
    uint64_t *masks = (uint64_t *)s->content.ptr, *words = masks + s->list.len * PAGE_MASKS;
    for (size_t k = 0; k < s->list.len; k++) {
        uint32_t page = s->list.at[k];
        size_t n = page_diff((const uint64_t *)(i->memory.base + (size_t)page * HOST_PAGE),
                             image_page(i->image, page), masks + pages_len * PAGE_MASKS,
                             words + words_len);
        words_len += n;
        if (n > 0)
            s->list.at[pages_len++] = htole32(page);
    }
    s->list.len = pages_len;
    s->content.len = pages_len * PAGE_MASKS * sizeof(*masks);
    memmove(s->content.ptr + s->content.len, words, words_len * sizeof(*words));
    s->content.len += words_len * sizeof(*words);
    bytes_append(&s->content, s->list.at, pages_len * sizeof(*s->list.at));
}

static uint32_t checksum(const struct snapshot_header *h, struct slice frame)
{
    const size_t skip = offsetof(struct snapshot_header, version);
    uLong crc = crc32(0, (const Bytef *)h + skip, sizeof(*h) - skip);
    return (uint32_t)crc32_z(crc, (const Bytef *)frame.ptr, frame.len);
}

static enum err save_into(struct isolate *i, struct scratch *s, struct bytes *out,
                          struct error *ret_error)
{
    struct snapshot_header h = {
        .version = htole32(SNAPSHOT_VERSION),
        .memory_len = htole64(i->memory.len),
        .stack_pointer = htole32((uint32_t)isolate_stack_pointer(i)),
    };
    image_list_private(&i->memory, &s->list);
    if (s->list.len > SNAPSHOT_PAGES_MAX)
        return error_set(ret_error, ERR_TOO_LARGE, "%zu pages have changed, more than %d",
                         s->list.len, SNAPSHOT_PAGES_MAX);
    collect(i, s);
    h.pages = htole32((uint32_t)s->list.len);
    bytes_clear(&s->packed);
    bytes_reserve(&s->packed, ZSTD_compressBound(s->content.len));
    size_t n =
        ZSTD_compress2(s->pack, s->packed.ptr, s->packed.cap, s->content.ptr, s->content.len);
    if (ZSTD_isError(n))
        return error_set(ret_error, ERR_INTERNAL, "cannot compress a snapshot: %s",
                         ZSTD_getErrorName(n));
    memcpy(h.magic, snapshot_magic, sizeof(h.magic));
    memcpy(h.engine, i->sandbox->digest, sizeof(h.engine));
    image_digest(i->image, h.image);
    h.crc = htole32(checksum(&h, slice_of(s->packed.ptr, n)));
    bytes_append(out, &h, sizeof(h));
    bytes_append(out, s->packed.ptr, n);
    return OK;
}

enum err snapshot_save(struct isolate *i, struct bytes *out, struct error *ret_error)
{
    CHECK(i->image);
    CHECK(!isolate_is_running(i));
    struct scratch *s = scratch_get();
    enum err err = save_into(i, s, out, ret_error);
    scratch_trim(s);
    return err;
}

/* ---- reading ---- */

/* The parts that tell whether it is ours to read, and the checksum over all of it. */
static enum err check_header(const struct isolate *i, struct slice saved,
                             struct snapshot_header *ret, struct error *ret_error)
{
    uint8_t image[IMAGE_DIGEST_BYTES];
    if (saved.len < sizeof(*ret))
        return error_set(ret_error, ERR_CORRUPT, "the snapshot is cut short");
    memcpy(ret, saved.ptr, sizeof(*ret));
    if (memcmp(ret->magic, snapshot_magic, sizeof(ret->magic)) != 0)
        return error_set(ret_error, ERR_CORRUPT, "this is no snapshot");
    if (le32toh(ret->crc) != checksum(ret, slice_skip(saved, sizeof(*ret))))
        return error_set(ret_error, ERR_CORRUPT, "the snapshot is damaged: wrong checksum");
    if (le32toh(ret->version) != SNAPSHOT_VERSION)
        return error_set(ret_error, ERR_CONFLICT,
                         "the snapshot has format %u, this server reads %d", le32toh(ret->version),
                         SNAPSHOT_VERSION);
    if (memcmp(ret->engine, i->sandbox->digest, sizeof(ret->engine)) != 0)
        return error_set(ret_error, ERR_CONFLICT, "the snapshot was made by another engine build");
    image_digest(i->image, image);
    if (memcmp(ret->image, image, sizeof(image)) != 0)
        return error_set(ret_error, ERR_CONFLICT, "the snapshot belongs to another image");
    return OK;
}

static enum err check_size(const struct isolate *i, const struct snapshot_header *h,
                           struct error *ret_error)
{
    uint64_t len = le64toh(h->memory_len);
    if (len % WASM_PAGE != 0 || len < i->image->len || len > UINT64_C(1) << 32 ||
        le32toh(h->pages) > len / HOST_PAGE || le32toh(h->pages) > SNAPSHOT_PAGES_MAX ||
        h->unused != 0)
        return error_set(ret_error, ERR_CORRUPT, "the snapshot's header is malformed");
    if (len > i->memory.len_max)
        return error_set(ret_error, ERR_LIMIT_MEMORY,
                         "the snapshot needs %llu bytes of memory, the limit is %zu",
                         (unsigned long long)len, i->memory.len_max);
    return OK;
}

static enum err check_numbers(const struct snapshot *p, struct error *ret_error)
{
    for (size_t k = 0; k < p->pages_len; k++) {
        uint32_t page = le32toh(p->numbers[k]);
        if (page >= p->memory_len / HOST_PAGE || (k > 0 && page <= le32toh(p->numbers[k - 1])))
            return error_set(ret_error, ERR_CORRUPT, "the snapshot's page %zu is misplaced", k);
    }
    return OK;
}

/* Finds the arrays in what was unpacked; they must fill it exactly. */
static enum err divide(struct slice content, struct snapshot *p, struct error *ret_error)
{
    const size_t masks_len = p->pages_len * PAGE_MASKS;
    const size_t numbers_bytes = p->pages_len * sizeof(*p->numbers);
    size_t words_len = 0;
    p->masks = (const uint64_t *)content.ptr;
    p->words = p->masks + masks_len;
    if (content.len < masks_len * sizeof(*p->masks) + numbers_bytes)
        return error_set(ret_error, ERR_CORRUPT, "the snapshot's pages are cut short");
    for (size_t k = 0; k < masks_len; k++)
        words_len += (size_t)__builtin_popcountll(p->masks[k]);
    if (content.len !=
        masks_len * sizeof(*p->masks) + words_len * sizeof(*p->words) + numbers_bytes)
        return error_set(ret_error, ERR_CORRUPT, "the snapshot's pages are of the wrong length");
    p->numbers = (const uint32_t *)(p->words + words_len);
    return check_numbers(p, ret_error);
}

/* The frame must be exactly one, and what it holds no longer than its pages can be. */
static enum err unpack(struct scratch *s, struct slice frame, struct snapshot *p,
                       struct error *ret_error)
{
    size_t frame_len = ZSTD_findFrameCompressedSize(frame.ptr, frame.len);
    unsigned long long len = ZSTD_getFrameContentSize(frame.ptr, frame.len);
    if (ZSTD_isError(frame_len) || frame_len != frame.len ||
        len > p->pages_len * PAGE_CONTENT_BYTES) /* unknown and error are greater, too */
        return error_set(ret_error, ERR_CORRUPT, "the snapshot's pages are no zstd frame");
    bytes_clear(&s->content);
    bytes_reserve(&s->content, len + 1);
    size_t n = ZSTD_decompressDCtx(s->unpack, s->content.ptr, len, frame.ptr, frame.len);
    if (n != len)
        return error_set(ret_error, ERR_CORRUPT, "the snapshot's pages do not unpack");
    return divide(slice_of(s->content.ptr, n), p, ret_error);
}

static enum err parse(const struct isolate *i, struct slice saved, struct scratch *s,
                      struct snapshot *ret, struct error *ret_error)
{
    struct snapshot_header h = {0};
    enum err err = check_header(i, saved, &h, ret_error);
    if (err == OK)
        err = check_size(i, &h, ret_error);
    if (err != OK)
        return err;
    *ret = (struct snapshot){
        .memory_len = le64toh(h.memory_len),
        .stack_pointer = (int32_t)le32toh(h.stack_pointer),
        .pages_len = le32toh(h.pages),
    };
    return unpack(s, slice_skip(saved, sizeof(h)), ret, ret_error);
}

static void write_pages(struct isolate *i, const struct snapshot *p)
{
    const uint64_t *word = p->words;
    for (size_t k = 0; k < p->pages_len; k++) {
        uint64_t *page = (uint64_t *)(i->memory.base + (size_t)le32toh(p->numbers[k]) * HOST_PAGE);
        for (size_t part = 0; part < PAGE_MASKS; part++) {
            uint64_t mask = le64toh(p->masks[k * PAGE_MASKS + part]);
            for (; mask; mask &= mask - 1)
                page[part * 64 + (size_t)__builtin_ctzll(mask)] ^= le64toh(*word++);
        }
    }
    i->memory.has_faulted = true; /* outside of a call */
}

enum err snapshot_apply(struct isolate *i, struct slice saved, struct error *ret_error)
{
    CHECK(i->image);
    CHECK(!isolate_is_running(i));
    struct scratch *s = scratch_get();
    struct snapshot p;
    enum err err = parse(i, saved, s, &p, ret_error);
    if (err == OK)
        err = isolate_grow(i, p.memory_len, ret_error);
    if (err == OK) {
        write_pages(i, &p);
        isolate_set_stack_pointer(i, p.stack_pointer);
    }
    scratch_trim(s);
    return err;
}
