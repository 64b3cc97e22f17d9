/* SPDX-License-Identifier: Apache-2.0
 *
 * Codecs of CompressionStream: each format there and back in pieces of all sizes; data that is
 * damaged, cut, or goes on; what is huge comes a room at a time; memory accounted for to the last
 * byte, and refused at every allocation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "host/codec.h"

static size_t memory, memory_max;
static int takes, takes_max;

static bool take(void *arg, size_t len)
{
    (void)arg;
    if (memory + len > memory_max || ++takes > takes_max)
        return false;
    memory += len;
    return true;
}

static void give(void *arg, size_t len)
{
    (void)arg;
    assert_true(memory >= len);
    memory -= len;
}

static const struct coding_memory accounts = {take, give, NULL};

static int up(void **state)
{
    (void)state;
    memory = 0;
    memory_max = 64 << 20;
    takes = 0;
    takes_max = INT32_MAX;
    return 0;
}

static int down(void **state)
{
    (void)state;
    assert_int_equal(memory, 0);
    return 0;
}

/* Runs a codec over all of in, `piece` bytes a call, with `room` bytes for what comes out. */
static enum err run_all(enum coder_format format, bool is_decoder, struct slice in, size_t piece,
                        size_t room, struct bytes *out)
{
    struct codec *c = NULL;
    struct error e;
    enum err err = codec_new(format, is_decoder, &accounts, &c, &e);
    char *to = malloc(room);
    bool is_over = false, is_last = false;
    size_t len = 0;
    assert_non_null(to);
    while (err == OK && !(is_last && is_over)) {
        struct slice part = slice_of(in.ptr, in.len < piece ? in.len : piece);
        size_t had = part.len;
        is_last = part.len == in.len && in.len == 0;
        err = codec_run(c, &part, is_last, to, room, &len, &is_over, &e);
        if (err != OK)
            break;
        in = slice_skip(in, had - part.len);
        assert_true(len <= room);
        bytes_append(out, to, len);
        if (in.len == 0 && len < room && is_over)
            break;
    }
    free(to);
    codec_free(c);
    return err;
}

/* Text that compresses, then noise that does not. */
static void make_data(struct bytes *out, size_t len)
{
    uint32_t x = 1;
    for (size_t i = 0; i < len / 2; i++)
        bytes_append(out, &"the quick brown fox "[i % 20], 1);
    while (out->len < len) {
        x = x * 1664525 + 1013904223;
        bytes_append(out, (char *)&x + 3, 1);
    }
}

static void test_round_trips(void **state)
{
    static const size_t sizes[] = {1, 7, 4096, 1 << 20};
    CLEANUP(bytes_done) struct bytes data = BYTES_INIT;
    (void)state;
    make_data(&data, 100000);
    for (int f = 0; f < CODER_FORMATS; f++) {
        for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
            CLEANUP(bytes_done) struct bytes small = BYTES_INIT;
            CLEANUP(bytes_done) struct bytes back = BYTES_INIT;
            size_t other = sizes[ARRAY_LEN(sizes) - 1 - k];
            assert_int_equal(run_all(f, false, bytes_slice(&data), sizes[k], other, &small), OK);
            assert_true(small.len < data.len * 3 / 4);
            assert_int_equal(run_all(f, true, bytes_slice(&small), sizes[k], other, &back), OK);
            assert_int_equal(back.len, data.len);
            assert_memory_equal(back.ptr, data.ptr, data.len);
        }
    }
}

static void test_nothing(void **state)
{
    (void)state;
    for (int f = 0; f < CODER_FORMATS; f++) {
        CLEANUP(bytes_done) struct bytes small = BYTES_INIT;
        CLEANUP(bytes_done) struct bytes back = BYTES_INIT;
        assert_int_equal(run_all(f, false, SLICE_EMPTY, 10, 100, &small), OK);
        assert_true(small.len > 0);
        assert_int_equal(run_all(f, true, bytes_slice(&small), 10, 100, &back), OK);
        assert_int_equal(back.len, 0);
        assert_int_equal(run_all(f, true, SLICE_EMPTY, 10, 100, &back), ERR_INVALID);
    }
}

static void test_cut_and_long(void **state)
{
    CLEANUP(bytes_done) struct bytes data = BYTES_INIT;
    (void)state;
    make_data(&data, 3000);
    for (int f = 0; f < CODER_FORMATS; f++) {
        CLEANUP(bytes_done) struct bytes small = BYTES_INIT;
        assert_int_equal(run_all(f, false, bytes_slice(&data), 4096, 4096, &small), OK);
        for (size_t len = 0; len < small.len; len++) {
            CLEANUP(bytes_done) struct bytes back = BYTES_INIT;
            struct slice cut = slice_of(small.ptr, len);
            assert_int_equal(run_all(f, true, cut, 4096, 4096, &back), ERR_INVALID);
        }
        /* What comes before the end is not lost. */
        CLEANUP(bytes_done) struct bytes back = BYTES_INIT;
        bytes_append(&small, "x", 1);
        for (size_t piece = 1; piece < 8192; piece *= 2) {
            bytes_clear(&back);
            assert_int_equal(run_all(f, true, bytes_slice(&small), piece, 8192, &back),
                             ERR_INVALID);
            assert_int_equal(back.len, data.len);
        }
        assert_int_equal(run_all(f, true, SLICE_LIT("this is no such thing at all"), 5, 64, &back),
                         ERR_INVALID);
    }
}

/* A gigabyte in a kilobyte comes as slowly as it is asked for. */
static void test_bomb(void **state)
{
    enum { ROOM = 1000 };
    (void)state;
    for (int f = 0; f < CODER_FORMATS; f++) {
        CLEANUP(bytes_done) struct bytes zeros = BYTES_INIT;
        CLEANUP(bytes_done) struct bytes small = BYTES_INIT;
        struct codec *c = NULL;
        struct error e;
        char to[ROOM];
        size_t len = 0;
        bool is_over = false;
        bytes_reserve(&zeros, 4 << 20);
        memset(zeros.ptr, 0, 4 << 20);
        zeros.len = 4 << 20;
        assert_int_equal(run_all(f, false, bytes_slice(&zeros), 65536, 65536, &small), OK);
        assert_int_equal(codec_new(f, true, &accounts, &c, &e), OK);
        struct slice in = bytes_slice(&small);
        for (int i = 0; i < 100; i++) {
            assert_int_equal(codec_run(c, &in, false, to, ROOM, &len, &is_over, &e), OK);
            assert_int_equal(len, ROOM);
        }
        assert_false(is_over);
        codec_free(c);
    }
}

static void test_memory_refused(void **state)
{
    CLEANUP(bytes_done) struct bytes data = BYTES_INIT;
    (void)state;
    make_data(&data, 100000);
    for (int f = 0; f < CODER_FORMATS; f++) {
        CLEANUP(bytes_done) struct bytes small = BYTES_INIT;
        assert_int_equal(run_all(f, false, bytes_slice(&data), 65536, 65536, &small), OK);
        for (int is_decoder = 0; is_decoder < 2; is_decoder++) {
            enum err err = ERR_LIMIT_MEMORY;
            for (takes_max = 0; err == ERR_LIMIT_MEMORY; takes_max++) {
                CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
                takes = 0;
                err = run_all(f, is_decoder, bytes_slice(is_decoder ? &small : &data), 65536, 65536,
                              &out);
                assert_int_equal(memory, 0);
            }
            assert_int_equal(err, OK);
            assert_true(takes_max > 1); /* it has asked */
            takes_max = INT32_MAX;
        }
    }
}

/* A setting that is not for the format, not in its range, or too late is refused; none is lost. */
static void test_settings(void **state)
{
    struct bytes data = BYTES_INIT, packed[10], out = BYTES_INIT;
    (void)state;
    make_data(&data, 1 << 16);
    for (int level = 0; level < 10; level++) {
        struct codec *c;
        struct slice in = bytes_slice(&data);
        size_t len = 0;
        bool is_over = false;
        packed[level] = (struct bytes)BYTES_INIT;
        bytes_reserve(&packed[level], 1 << 17);
        assert_int_equal(codec_new(CODER_DEFLATE, false, &accounts, &c, NULL), OK);
        assert_int_equal(codec_set(c, CODER_LEVEL, level, NULL), OK);
        assert_int_equal(codec_set(c, CODER_WINDOW, 9 + level % 7, NULL), OK);
        assert_int_equal(codec_set(c, CODER_LEVEL, 10, NULL), ERR_INVALID);
        assert_int_equal(codec_set(c, CODER_SETTINGS, 0, NULL), ERR_INVALID);
        assert_int_equal(codec_dictionary(c, SLICE_LIT("what is known"), NULL), OK);
        assert_int_equal(
            codec_run(c, &in, CODER_FINISH, packed[level].ptr, 1 << 17, &len, &is_over, NULL), OK);
        assert_true(is_over);
        packed[level].len = len;
        assert_int_equal(codec_set(c, CODER_MEMORY, 1, NULL), ERR_INVALID);
        codec_free(c);

        in = bytes_slice(&packed[level]);
        bytes_clear(&out);
        bytes_reserve(&out, 1 << 17);
        assert_int_equal(codec_new(CODER_DEFLATE, true, &accounts, &c, NULL), OK);
        assert_int_equal(codec_dictionary(c, SLICE_LIT("what is known"), NULL), OK);
        assert_int_equal(codec_run(c, &in, CODER_FINISH, out.ptr, 1 << 17, &len, &is_over, NULL),
                         OK);
        assert_memory_equal(out.ptr, data.ptr, data.len);
        codec_free(c);
    }
    assert_true(packed[9].len < packed[0].len);
    for (int level = 0; level < 10; level++)
        bytes_done(&packed[level]);
    bytes_done(&data);
    bytes_done(&out);
}

/* Every format that has a flush gives all so far, and goes on; memory of the highest levels is asked for. */
static void test_flush_and_levels(void **state)
{
    (void)state;
    for (int format = 0; format < CODER_FORMATS; format++) {
        struct codec *c, *d;
        char packed[512], out[512];
        size_t len = 0, out_len = 0;
        bool is_over = false;
        struct slice in = SLICE_LIT("all so far");
        struct error error;
        assert_int_equal(codec_new((enum coder_format)format, false, &accounts, &c, NULL), OK);
        assert_int_equal(codec_set(c, CODER_LEVEL, 9, NULL), OK);
        assert_int_equal(
            codec_run(c, &in, CODER_SYNC, packed, sizeof(packed), &len, &is_over, NULL), OK);
        assert_false(is_over);
        assert_int_equal(codec_new((enum coder_format)format, true, &accounts, &d, NULL), OK);
        in = slice_of(packed, len);
        assert_int_equal(
            codec_run(d, &in, CODER_NO_FLUSH, out, sizeof(out), &out_len, &is_over, NULL), OK);
        assert_int_equal(out_len, strlen("all so far"));
        codec_free(c);
        codec_free(d);

        if (format == CODER_ZSTD)
            continue; /* takes no more than the little data asks for */
        memory_max = memory + (format == CODER_BR ? 8 << 20 : 64 << 10);
        enum err err = codec_new((enum coder_format)format, false, &accounts, &c, &error);
        if (err == OK) {
            in = SLICE_LIT("x");
            assert_int_equal(codec_set(c, CODER_LEVEL, 9, NULL), OK);
            err = codec_run(c, &in, CODER_FINISH, packed, sizeof(packed), &len, &is_over, &error);
            codec_free(c);
        }
        assert_int_equal(err, ERR_LIMIT_MEMORY);
        memory_max = 64 << 20;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trips, up, down),
        cmocka_unit_test_setup_teardown(test_nothing, up, down),
        cmocka_unit_test_setup_teardown(test_cut_and_long, up, down),
        cmocka_unit_test_setup_teardown(test_bomb, up, down),
        cmocka_unit_test_setup_teardown(test_memory_refused, up, down),
        cmocka_unit_test_setup_teardown(test_settings, up, down),
        cmocka_unit_test_setup_teardown(test_flush_and_levels, up, down),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
