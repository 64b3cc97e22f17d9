/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots over a module written in WAT: round trips, memory that has grown, exact restore
 * afterwards, and every way in which one may be refused without a trace. The file under test is
 * included, so that snapshots can be forged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <wasmtime.h>
#include <zstd.h>

#include "../../../src/sandbox/snapshot.c"

enum { POKE, PEEK, GROW, SET_SP, GET_SP };
enum { MEMORY_BYTES = 4 * WASM_PAGE, MEMORY_BYTES_MAX = 1 << 20 };

/* The text in the middle makes another module of it. */
#define WAT(data)                                                                                  \
    "(module (memory (export \"memory\") 4) (data (i32.const 100) \"" data "\")"                   \
    "  (global $sp (export \"__stack_pointer\") (mut i32) (i32.const 65536))"                      \
    "  (func (export \"poke\") (param i32 i32) (result i32)"                                       \
    "    (i32.store (local.get 0) (local.get 1)) (i32.const 0))"                                   \
    "  (func (export \"peek\") (param i32) (result i32) (i32.load (local.get 0)))"                 \
    "  (func (export \"grow\") (param i32) (result i32) (memory.grow (local.get 0)))"              \
    "  (func (export \"set_sp\") (param i32) (result i32) (global.set $sp (local.get 0))"          \
    "    (i32.const 0))"                                                                           \
    "  (func (export \"get_sp\") (result i32) (global.get $sp)))"

static const struct sandbox_export exports[] = {
    {"poke", true}, {"peek", true}, {"grow", true}, {"set_sp", true}, {"get_sp", true},
};

static struct engine *engine;
static struct code *code;

static struct code *code_of(const char *wat)
{
    struct code *c = NULL;
    struct error e = {0};
    wasm_byte_vec_t wasm;
    CHECK(!wasmtime_wat2wasm(wat, strlen(wat), &wasm));
    struct code_config config = {
        .wasm = slice_of(wasm.data, wasm.size),
        .exports = exports,
        .exports_len = ARRAY_LEN(exports),
    };
    CHECK(code_new(engine, &config, &c, &e) == OK);
    wasm_byte_vec_delete(&wasm);
    return c;
}

static struct isolate *make_in(struct code *c, struct image *image, size_t memory_bytes_max)
{
    struct isolate *i = NULL;
    struct error e = {0};
    if (isolate_new(c, image, memory_bytes_max, &i, &e) != OK)
        fail_msg("%s", e.message);
    return i;
}

static struct isolate *make(struct image *image)
{
    return make_in(code, image, MEMORY_BYTES_MAX);
}

static int32_t call(struct isolate *i, unsigned fn, int32_t a, int32_t b)
{
    static const uint8_t arity[] = {[POKE] = 2, [PEEK] = 1, [GROW] = 1, [SET_SP] = 1, [GET_SP] = 0};
    int32_t args[] = {a, b};
    enum isolate_status status = isolate_call(i, fn, args, arity[fn]);
    while (status == ISOLATE_YIELDED) /* preempted, on a busy machine */
        status = isolate_resume(i);
    assert_int_equal(status, ISOLATE_DONE);
    return isolate_result(i);
}

static struct image *image_with_in(struct code *c, int32_t address, int32_t value)
{
    struct image *m = NULL;
    struct error e;
    struct isolate *i = make_in(c, NULL, MEMORY_BYTES_MAX);
    (void)call(i, POKE, address, value);
    assert_int_equal(image_capture(i, &m, &e), OK);
    isolate_free(i);
    return m;
}

static struct image *image_with(int32_t address, int32_t value)
{
    return image_with_in(code, address, value);
}

static void save(struct isolate *i, struct bytes *out)
{
    struct error e = {0};
    bytes_clear(out);
    if (snapshot_save(i, out, &e) != OK)
        fail_msg("%s", e.message);
}

static void apply(struct isolate *i, const struct bytes *saved)
{
    struct error e = {0};
    if (snapshot_apply(i, bytes_slice(saved), &e) != OK)
        fail_msg("%s", e.message);
}

static void assert_same(struct isolate *a, struct isolate *b)
{
    size_t len = isolate_memory_bytes(a);
    assert_int_equal(isolate_memory_bytes(b), len);
    assert_memory_equal(isolate_memory(a, 0, len), isolate_memory(b, 0, len), len);
    assert_int_equal(call(a, GET_SP, 0, 0), call(b, GET_SP, 0, 0));
}

/* Pages of all kinds: changed, changed and back, emptied, holes that got content. */
static void scribble(struct isolate *i)
{
    (void)call(i, POKE, 5000, 2);
    (void)call(i, POKE, 100, 0);
    (void)call(i, POKE, 104, 0);
    (void)call(i, POKE, 3 * HOST_PAGE, 7);
    (void)call(i, POKE, 3 * HOST_PAGE, 0);
    for (int32_t k = 0; k < HOST_PAGE; k += 4)
        (void)call(i, POKE, 9 * HOST_PAGE + k, k * 40503);
    (void)call(i, POKE, MEMORY_BYTES - 4, -1);
    (void)call(i, SET_SP, 61234, 0);
}

static void test_round_trip(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT, again = BYTES_INIT;
    struct image *m = image_with(5000, 1);
    struct isolate *a = make(m), *b = make(m);
    scribble(a);
    save(a, &saved);
    struct snapshot_header h;
    memcpy(&h, saved.ptr, sizeof(h));
    assert_int_equal(le32toh(h.pages), 4);
    apply(b, &saved);
    assert_same(a, b);
    assert_int_equal(call(b, PEEK, 5000, 0), 2);
    save(b, &again);
    assert_true(slice_eq(bytes_slice(&saved), bytes_slice(&again)));
    isolate_free(a);
    isolate_free(b);
    image_unref(m);
}

static void test_nothing_changed(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    struct image *m = image_with(5000, 1);
    struct isolate *a = make(m), *b = make(m);
    (void)call(a, POKE, 5000, 1);
    save(a, &saved);
    assert_true(saved.len < 100);
    apply(b, &saved);
    assert_same(a, b);
    isolate_free(a);
    isolate_free(b);
    image_unref(m);
}

static void test_restore_after_apply_is_exact(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    struct image *m = image_with(5000, 1);
    struct isolate *a = make(m), *b = make(m), *pristine = make(m);
    scribble(a);
    save(a, &saved);
    for (int round = 0; round < 3; round++) {
        apply(b, &saved);
        assert_same(a, b);
        (void)call(b, POKE, (20 + round) * HOST_PAGE, 99);
        assert_true(isolate_restore(b));
        assert_same(b, pristine);
    }
    apply(b, &saved); /* without a call in between */
    assert_true(isolate_restore(b));
    assert_same(b, pristine);
    isolate_free(a);
    isolate_free(b);
    isolate_free(pristine);
    image_unref(m);
}

static void test_grown_memory(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    struct image *m = image_with(5000, 1);
    struct error e;
    struct isolate *a = make(m), *b = make(m);
    struct isolate *small = make_in(code, m, MEMORY_BYTES + WASM_PAGE), *pristine = make(m);
    scribble(a);
    assert_int_equal(call(a, GROW, 2, 0), 4);
    (void)call(a, POKE, MEMORY_BYTES + 8, 5);
    (void)call(a, POKE, MEMORY_BYTES + 2 * WASM_PAGE - 4, 6);
    (void)call(a, PEEK, MEMORY_BYTES + WASM_PAGE, 0); /* touched, still zero */
    save(a, &saved);
    struct snapshot_header h;
    memcpy(&h, saved.ptr, sizeof(h));
    assert_int_equal(le32toh(h.pages), 6);
    apply(b, &saved);
    assert_same(a, b);
    assert_int_equal(call(b, GROW, 1, 0), 6);
    assert_false(isolate_restore(b));

    assert_int_equal(snapshot_apply(small, bytes_slice(&saved), &e), ERR_LIMIT_MEMORY);
    assert_false(isolate_was_out_of_memory(small));
    assert_same(small, pristine);
    isolate_free(a);
    isolate_free(b);
    isolate_free(small);
    isolate_free(pristine);
    image_unref(m);
}

static void refused(struct isolate *i, struct isolate *pristine, struct slice saved, enum err want)
{
    struct error e = {0};
    enum err err = snapshot_apply(i, saved, &e);
    if (err != want)
        fail_msg("%s: %s", error_text(err), err == OK ? "" : e.message);
    assert_true(e.message[0]);
    size_t len = isolate_memory_bytes(pristine);
    assert_int_equal(isolate_memory_bytes(i), len);
    assert_memory_equal(isolate_memory(i, 0, len), isolate_memory(pristine, 0, len), len);
    assert_int_equal(isolate_stack_pointer(i), isolate_stack_pointer(pristine));
}

static void test_damage(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    struct image *m = image_with(5000, 1);
    struct isolate *a = make(m), *b = make(m), *pristine = make(m);
    (void)call(a, POKE, 5000, 2);
    (void)call(a, POKE, 70000, 3);
    save(a, &saved);
    for (size_t k = 0; k < saved.len; k++) {
        saved.ptr[k] ^= 0x10;
        refused(b, pristine, bytes_slice(&saved), ERR_CORRUPT);
        saved.ptr[k] ^= 0x10;
        CLEANUP(bytes_done) struct bytes cut = BYTES_INIT; /* its own block, for ASan */
        bytes_append(&cut, saved.ptr, k);
        refused(b, pristine, bytes_slice(&cut), ERR_CORRUPT);
    }
    bytes_append_char(&saved, 0);
    refused(b, pristine, bytes_slice(&saved), ERR_CORRUPT);
    saved.len--;
    apply(b, &saved);
    assert_same(a, b);
    isolate_free(a);
    isolate_free(b);
    isolate_free(pristine);
    image_unref(m);
}

static void test_of_another(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    struct image *m = image_with(5000, 1), *other = image_with(5000, 2);
    struct code *another = code_of(WAT("initial2"));
    struct image *foreign = image_with_in(another, 5000, 1);
    struct isolate *a = make(m), *b = make(m), *c = make(other), *c2 = make(other);
    struct isolate *d = make_in(another, foreign, MEMORY_BYTES_MAX);
    struct isolate *d2 = make_in(another, foreign, MEMORY_BYTES_MAX);
    (void)call(a, POKE, 5000, 3);
    save(a, &saved);
    refused(c, c2, bytes_slice(&saved), ERR_CONFLICT);
    refused(d, d2, bytes_slice(&saved), ERR_CONFLICT);
    struct snapshot_header h;
    memcpy(&h, saved.ptr, sizeof(h));
    h.version = htole32(SNAPSHOT_VERSION + 1);
    h.crc = htole32(checksum(&h, slice_skip(bytes_slice(&saved), sizeof(h))));
    memcpy(saved.ptr, &h, sizeof(h));
    struct isolate *pristine = make(m);
    refused(b, pristine, bytes_slice(&saved), ERR_CONFLICT);
    isolate_free(a);
    isolate_free(b);
    isolate_free(c);
    isolate_free(c2);
    isolate_free(d);
    isolate_free(d2);
    isolate_free(pristine);
    image_unref(m);
    image_unref(other);
    image_unref(foreign);
    code_unref(another);
}

/* ---- forged ones: everything but one thing is right ---- */

struct forgery {
    const char *name;
    uint64_t memory_len;
    uint32_t pages, globals;
    uint64_t masks[2 * PAGE_MASKS];
    size_t masks_len, words_len;
    uint32_t numbers[2];
    size_t numbers_len;
    bool has_garbage, is_doubled, is_empty_frame, has_no_size;
};

static void forge(const struct isolate *i, const struct forgery *f, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes content = BYTES_INIT, frame = BYTES_INIT;
    struct snapshot_header h = {
        .version = htole32(SNAPSHOT_VERSION),
        .pages = htole32(f->pages),
        .memory_len = htole64(f->memory_len),
        .globals = f->globals,
    };
    static const uint64_t words[PAGE_WORDS] = {1, 2, 3, 4};
    bytes_append(&content, f->masks, f->masks_len * sizeof(*f->masks));
    bytes_append(&content, words, f->words_len * sizeof(*words));
    bytes_append(&content, f->numbers, f->numbers_len * sizeof(*f->numbers));
    bytes_reserve(&frame, ZSTD_compressBound(content.len));
    ZSTD_CCtx *c = ZSTD_createCCtx();
    (void)ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, !f->has_no_size);
    frame.len = ZSTD_compress2(c, frame.ptr, frame.cap, content.ptr, content.len);
    ZSTD_freeCCtx(c);
    assert_false(ZSTD_isError(frame.len));
    if (f->is_doubled) {
        CLEANUP(bytes_done) struct bytes copy = BYTES_INIT;
        bytes_append_slice(&copy, bytes_slice(&frame));
        bytes_append_slice(&frame, bytes_slice(&copy));
    }
    if (f->has_garbage)
        bytes_append_cstr(&frame, "garbage");
    if (f->is_empty_frame)
        bytes_clear(&frame);
    memcpy(h.magic, snapshot_magic, sizeof(h.magic));
    memcpy(h.engine, i->code->digest, sizeof(h.engine));
    image_digest(i->image, h.image);
    h.crc = htole32(checksum(&h, bytes_slice(&frame)));
    bytes_clear(out);
    bytes_append(out, &h, sizeof(h));
    bytes_append_slice(out, bytes_slice(&frame));
}

#define TWO_PAGES                                                                                  \
    .memory_len = MEMORY_BYTES, .pages = 2, .masks = {[0] = 2, [PAGE_MASKS] = 1},                  \
    .masks_len = 2 * PAGE_MASKS, .words_len = 2, .numbers = {3, 4}, .numbers_len = 2

static void test_forged(void **state)
{
    (void)state;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
    static const struct forgery forgeries[] = {
        {.name = "good", TWO_PAGES},
        {.name = "order", TWO_PAGES, .numbers = {4, 3}},
        {.name = "twice the same", TWO_PAGES, .numbers = {4, 4}},
        {.name = "beyond the end", TWO_PAGES, .numbers = {3, MEMORY_BYTES / HOST_PAGE}},
        {.name = "far beyond", TWO_PAGES, .numbers = {3, UINT32_MAX}},
        {.name = "no numbers", TWO_PAGES, .numbers_len = 1},
        {.name = "words too many", TWO_PAGES, .words_len = 3},
        {.name = "words too few", TWO_PAGES, .words_len = 1},
        {.name = "masks too few", TWO_PAGES, .masks_len = 1},
        {.name = "pages too many", TWO_PAGES, .pages = 3},
        {.name = "pages too few", TWO_PAGES, .pages = 1},
        {.name = "no pages", TWO_PAGES, .pages = 0},
        {.name = "more pages than memory", TWO_PAGES, .pages = MEMORY_BYTES / HOST_PAGE + 1},
        {.name = "no whole page", TWO_PAGES, .memory_len = MEMORY_BYTES + HOST_PAGE},
        {.name = "shorter than the image", TWO_PAGES, .memory_len = MEMORY_BYTES - WASM_PAGE},
        {.name = "no memory", TWO_PAGES, .memory_len = 0},
        {.name = "huge", TWO_PAGES, .memory_len = UINT64_MAX - WASM_PAGE + 1},
        {.name = "globals that it has not", TWO_PAGES, .globals = 1},
        {.name = "garbage", TWO_PAGES, .has_garbage = true},
        {.name = "two frames", TWO_PAGES, .is_doubled = true},
        {.name = "no frame", TWO_PAGES, .is_empty_frame = true},
        {.name = "no size", TWO_PAGES, .has_no_size = true},
    };
#pragma GCC diagnostic pop
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    struct image *m = image_with(5000, 1);
    struct isolate *pristine = make(m);
    for (size_t k = 0; k < ARRAY_LEN(forgeries); k++) {
        struct isolate *i = make(m);
        forge(i, &forgeries[k], &saved);
        print_message("# %s\n", forgeries[k].name);
        if (k == 0) {
            apply(i, &saved);
            assert_int_equal(call(i, PEEK, 3 * HOST_PAGE + 8, 0), 1);
            assert_int_equal(call(i, PEEK, 4 * HOST_PAGE, 0), 2);
        } else {
            refused(i, pristine, bytes_slice(&saved), ERR_CORRUPT);
        }
        isolate_free(i);
    }
    isolate_free(pristine);
    image_unref(m);
}

static void test_too_many_pages(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    struct image *m = image_with(5000, 1);
    struct error e;
    const size_t max = 40 << 20;
    struct isolate *a = make_in(code, m, max), *b = make_in(code, m, max);
    assert_int_equal(call(a, GROW, 520, 0), 4);
    for (int32_t k = 1; k <= SNAPSHOT_PAGES_MAX; k++)
        (void)call(a, POKE, k * HOST_PAGE + 16, k);
    save(a, &saved);
    apply(b, &saved);
    assert_same(a, b);
    (void)call(a, POKE, (SNAPSHOT_PAGES_MAX + 1) * HOST_PAGE, 1);
    size_t len = saved.len;
    assert_int_equal(snapshot_save(a, &saved, &e), ERR_TOO_LARGE);
    assert_int_equal(saved.len, len);
    isolate_free(a);
    isolate_free(b);
    image_unref(m);
}

static void test_digest(void **state)
{
    (void)state;
    uint8_t a[IMAGE_DIGEST_BYTES], b[IMAGE_DIGEST_BYTES];
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    struct error e;
    struct image *m = image_with(5000, 1), *same = image_with(5000, 1), *loaded;
    struct image *other = image_with(5004, 1);
    image_digest(m, a);
    image_digest(same, b);
    assert_memory_equal(a, b, sizeof(a));
    image_digest(other, b);
    assert_memory_not_equal(a, b, sizeof(a));
    image_save(m, &saved);
    assert_int_equal(image_load(code, bytes_slice(&saved), &loaded, &e), OK);
    image_digest(loaded, b);
    assert_memory_equal(a, b, sizeof(a));
    image_unref(m);
    image_unref(same);
    image_unref(other);
    image_unref(loaded);
}

/* The image is hashed once by whoever comes first; each thread has its own scratch and frees it. */
static void *save_and_apply(void *arg)
{
    struct image *m = arg;
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    struct isolate *a = make(m), *b = make(m);
    scribble(a);
    save(a, &saved);
    apply(b, &saved);
    assert_same(a, b);
    isolate_free(a);
    isolate_free(b);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct image *m = image_with(5000, 1);
    pthread_t threads[4];
    for (size_t k = 0; k < ARRAY_LEN(threads); k++)
        assert_int_equal(pthread_create(&threads[k], NULL, save_and_apply, m), 0);
    for (size_t k = 0; k < ARRAY_LEN(threads); k++)
        assert_int_equal(pthread_join(threads[k], NULL), 0);
    image_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_nothing_changed),
        cmocka_unit_test(test_restore_after_apply_is_exact),
        cmocka_unit_test(test_grown_memory),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_of_another),
        cmocka_unit_test(test_forged),
        cmocka_unit_test(test_too_many_pages),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_threads),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    engine = engine_new();
    code = code_of(WAT("initial"));
    int failed = cmocka_run_group_tests_name("sandbox/snapshot", tests, NULL, NULL);
    code_unref(code);
    engine_free(engine);
    return failed;
}
