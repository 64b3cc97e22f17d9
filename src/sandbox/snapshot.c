/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots, see snapshot.h. Which pages may differ from the image is asked from the kernel, each
 * of them is compared, and only the words that really do are kept (delta.c).
 *
 * Trust: a snapshot is only ever an optimization over a replay, and a wrong one would be worse than
 * none. So two checksums of different kinds cover it (CRC-32 over all that is stored, zstd's XXH64
 * over what comes out), everything is parsed and unpacked before the isolate is touched, and no
 * number in it is used before it is compared with what the isolate may have.
 *
 * An image that another is the base of is kept in the same form, as what an isolate of the base
 * would save. */
#include "sandbox/snapshot.h"

#include <endian.h>
#include <string.h>

#include <zlib.h>

#include "sandbox/internal.h"

struct snapshot_header {
    char magic[4];
    uint32_t crc; /* CRC-32 of everything after this field, the frame included */
    uint32_t version;
    uint32_t pages;
    uint8_t engine[IMAGE_DIGEST_BYTES], image[IMAGE_DIGEST_BYTES];
    uint64_t memory_len;
    uint32_t stack_pointer;
    uint32_t globals; /* other mutable ones, in the frame */
};
_Static_assert(sizeof(struct snapshot_header) == 64, "the format has no padding");

static const char snapshot_magic[4] = "lsnp";

static uint32_t checksum(const struct snapshot_header *h, struct slice frame)
{
    const size_t skip = offsetof(struct snapshot_header, version);
    uLong crc = crc32(0, (const Bytef *)h + skip, sizeof(*h) - skip);
    return (uint32_t)crc32_z(crc, (const Bytef *)frame.ptr, frame.len);
}

/* Writes what delta_collect() has found. */
static enum err write_snapshot(struct image *image, size_t memory_len,
                               const struct globals *globals, struct delta_scratch *s,
                               struct bytes *out, struct error *ret_error)
{
    struct snapshot_header h = {
        .version = htole32(SNAPSHOT_VERSION),
        .memory_len = htole64(memory_len),
        .stack_pointer = htole32((uint32_t)globals->stack_pointer),
        .pages = htole32((uint32_t)s->list.len),
        .globals = htole32(globals->len),
    };
    enum err err = delta_pack(s, ret_error);
    if (err != OK)
        return err;
    memcpy(h.magic, snapshot_magic, sizeof(h.magic));
    memcpy(h.engine, image->code->digest, sizeof(h.engine));
    image_digest(image, h.image);
    h.crc = htole32(checksum(&h, bytes_slice(&s->packed)));
    bytes_append(out, &h, sizeof(h));
    bytes_append_slice(out, bytes_slice(&s->packed));
    return OK;
}

/* Neither tables nor what code has of WebAssembly are in a snapshot. */
static enum err check_outside(const struct code *c, bool has_nested, struct error *ret_error)
{
    if (has_nested)
        return error_set(ret_error, ERR_TOO_LARGE,
                         "of code that uses WebAssembly no memory is kept");
    if (c->tables_len == 0)
        return OK;
    return error_set(ret_error, ERR_TOO_LARGE,
                     "of a module whose code changes its tables no memory is kept");
}

static enum err check_count(const struct delta_scratch *s, struct error *ret_error)
{
    if (s->list.len <= SNAPSHOT_PAGES_MAX)
        return OK;
    return error_set(ret_error, ERR_TOO_LARGE, "%zu pages have changed, more than %d", s->list.len,
                     SNAPSHOT_PAGES_MAX);
}

enum err snapshot_save(struct isolate *i, struct bytes *out, struct error *ret_error)
{
    CHECK(i->image);
    CHECK(!isolate_is_running(i));
    struct delta_scratch *s = delta_scratch_get();
    struct globals globals;
    image_list_private(&i->memory, &s->list);
    enum err err = check_outside(i->code, i->nested, ret_error);
    if (err == OK)
        err = check_count(s, ret_error);
    if (err == OK) {
        isolate_get_globals(i, &globals);
        delta_collect(i->memory.base, i->image, &globals, s);
        err = write_snapshot(i->image, i->memory.len, &globals, s, out, ret_error);
        globals_done(&globals);
    }
    delta_scratch_trim(s);
    return err;
}

enum err image_save_delta(const struct image *m, struct bytes *out, struct error *ret_error)
{
    const struct delta *d = &m->delta;
    CHECK(m->base);
    struct delta_scratch *s = delta_scratch_get();
    bytes_clear(&s->content);
    for (size_t k = 0; k < d->globals.len; k++)
        bytes_append_u64(&s->content, d->globals.value[k]);
    bytes_append(&s->content, d->masks,
                 (size_t)((const char *)(d->numbers + d->pages_len) - (const char *)d->masks));
    s->list.len = d->pages_len;
    enum err err = check_outside(m->code, m->nested, ret_error);
    if (err == OK)
        err = check_count(s, ret_error);
    if (err == OK)
        err = write_snapshot(m->base, d->memory_len, &d->globals, s, out, ret_error);
    delta_scratch_trim(s);
    return err;
}

/* ---- reading ---- */

/* The parts that tell whether it is ours to read, and the checksum over all of it. */
static enum err check_header(struct image *of, struct slice saved, struct snapshot_header *ret,
                             struct error *ret_error)
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
    if (memcmp(ret->engine, of->code->digest, sizeof(ret->engine)) != 0)
        return error_set(ret_error, ERR_CONFLICT, "the snapshot was made by another engine build");
    image_digest(of, image);
    if (memcmp(ret->image, image, sizeof(image)) != 0)
        return error_set(ret_error, ERR_CONFLICT, "the snapshot belongs to another image");
    return OK;
}

static enum err check_size(const struct image *of, const struct snapshot_header *h,
                           struct error *ret_error)
{
    uint64_t len = le64toh(h->memory_len);
    if (len % WASM_PAGE != 0 || len < of->len || len > UINT64_C(1) << 32 ||
        le32toh(h->pages) > len / HOST_PAGE || le32toh(h->pages) > SNAPSHOT_PAGES_MAX ||
        le32toh(h->globals) != of->code->globals_len)
        return error_set(ret_error, ERR_CORRUPT, "the snapshot's header is malformed");
    return OK;
}

/* What is in the delta lies in s. */
static enum err parse(struct image *of, struct slice saved, struct delta_scratch *s,
                      struct delta *ret, struct error *ret_error)
{
    struct snapshot_header h = {0};
    enum err err = check_header(of, saved, &h, ret_error);
    if (err == OK)
        err = check_size(of, &h, ret_error);
    if (err != OK)
        return err;
    *ret = (struct delta){
        .memory_len = le64toh(h.memory_len),
        .globals = {.stack_pointer = (int32_t)le32toh(h.stack_pointer), .len = le32toh(h.globals)},
        .pages_len = le32toh(h.pages),
    };
    return delta_unpack(s, slice_skip(saved, sizeof(h)), ret, ret_error);
}

enum err snapshot_apply(struct isolate *i, struct slice saved, struct error *ret_error)
{
    CHECK(i->image);
    CHECK(!isolate_is_running(i));
    struct delta_scratch *s = delta_scratch_get();
    struct delta d = {0};
    enum err err = parse(i->image, saved, s, &d, ret_error);
    if (err == OK && d.memory_len > i->memory.len_max)
        err = error_set(ret_error, ERR_LIMIT_MEMORY,
                        "the snapshot needs %zu bytes of memory, the limit is %zu", d.memory_len,
                        i->memory.len_max);
    if (err == OK)
        err = isolate_grow(i, d.memory_len, ret_error);
    if (err == OK) {
        delta_patch(&d, i->memory.base);
        i->memory.has_faulted = true; /* outside of a call */
        isolate_set_globals(i, &d.globals);
    }
    globals_done(&d.globals);
    delta_scratch_trim(s);
    return err;
}

enum err image_load_delta(struct image *base, struct slice saved, struct image **ret_image,
                          struct error *ret_error)
{
    struct delta_scratch *s = delta_scratch_get();
    struct delta d = {0};
    enum err err = parse(base, saved, s, &d, ret_error);
    if (err == OK)
        *ret_image = image_of_delta(base, &d);
    else
        globals_done(&d.globals);
    delta_scratch_trim(s);
    return err;
}
