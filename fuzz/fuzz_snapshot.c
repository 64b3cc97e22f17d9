/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots from the disk. The input is read as a snapshot is built, so that its checksums fit and
 * what lies behind them is reached:
 *
 *     u8 how        1: the rest is a whole snapshot, as it is; 2: the content is a frame already
 *     u32 pages, u64 memory length, u32 stack pointer, u32 other globals
 *     content       is compressed, or taken as the frame
 *
 * What is refused leaves no trace. What is accepted stays inside the memory limit, comes out of
 * snapshot_save() with the same meaning, and a restore makes the isolate pristine again. */
#include <wasmtime.h>
#include <zstd.h>

#include "../src/sandbox/snapshot.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY_BYTES = 4 * WASM_PAGE, MEMORY_BYTES_MAX = 6 * WASM_PAGE, HEAD_BYTES = 21 };

static const char wat[] = "(module (memory (export \"memory\") 4) (data (i32.const 5000) \"x\")"
                          " (global (export \"__stack_pointer\") (mut i32) (i32.const 65536)))";

static struct engine *engine;
static struct code *code;
static struct image *image;
static struct isolate *pristine, *first, *second;

static struct isolate *make(struct image *from)
{
    struct isolate *i = NULL;
    CHECK(isolate_new(code, from, MEMORY_BYTES_MAX, &i, NULL) == OK);
    return i;
}

static void open_once(void)
{
    if (code)
        return;
    wasm_byte_vec_t wasm;
    CHECK(!wasmtime_wat2wasm(wat, sizeof(wat) - 1, &wasm));
    struct code_config config = {.wasm = slice_of(wasm.data, wasm.size)};
    engine = engine_new();
    CHECK(code_new(engine, &config, &code, NULL) == OK);
    wasm_byte_vec_delete(&wasm);
    struct isolate *i = make(NULL);
    CHECK(image_capture(i, &image, NULL) == OK);
    isolate_free(i);
    pristine = make(image);
    first = make(image);
    second = make(image);
}

static bool is_same(struct isolate *a, struct isolate *b)
{
    return a->memory.len == b->memory.len && isolate_stack_pointer(a) == isolate_stack_pointer(b) &&
           memcmp(a->memory.base, b->memory.base, a->memory.len) == 0;
}

static void build(struct slice input, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes frame = BYTES_INIT;
    char how = input.ptr[0];
    struct snapshot_header h = {.version = htole32(SNAPSHOT_VERSION)};
    memcpy(&h.pages, input.ptr + 1, 4);
    memcpy(&h.memory_len, input.ptr + 5, 8);
    memcpy(&h.stack_pointer, input.ptr + 13, 4);
    memcpy(&h.globals, input.ptr + 17, 4);
    input = slice_skip(input, HEAD_BYTES);
    if (how == 2) {
        bytes_append_slice(&frame, input);
    } else {
        bytes_reserve(&frame, ZSTD_compressBound(input.len));
        frame.len = ZSTD_compress(frame.ptr, frame.cap, input.ptr, input.len, 1);
        CHECK(!ZSTD_isError(frame.len));
    }
    memcpy(h.magic, snapshot_magic, sizeof(h.magic));
    memcpy(h.engine, code->digest, sizeof(h.engine));
    image_digest(image, h.image);
    h.crc = htole32(checksum(&h, bytes_slice(&frame)));
    bytes_append(out, &h, sizeof(h));
    bytes_append_slice(out, bytes_slice(&frame));
}

static void clean(struct isolate **i)
{
    if (isolate_restore(*i)) {
        CHECK(is_same(*i, pristine));
        return;
    }
    isolate_free(*i);
    *i = make(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT, again = BYTES_INIT;
    struct slice input = slice_of((const char *)data, size);
    open_once();
    if (size > 0 && data[0] == 1)
        bytes_append_slice(&saved, slice_skip(input, 1));
    else if (size >= HEAD_BYTES)
        build(input, &saved);
    if (snapshot_apply(first, bytes_slice(&saved), NULL) != OK) {
        CHECK(is_same(first, pristine));
        return 0;
    }
    CHECK(first->memory.len <= MEMORY_BYTES_MAX);
    CHECK(snapshot_save(first, &again, NULL) == OK);
    CHECK(snapshot_apply(second, bytes_slice(&again), NULL) == OK);
    CHECK(is_same(first, second));
    clean(&first);
    clean(&second);
    return 0;
}
