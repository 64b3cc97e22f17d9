/* SPDX-License-Identifier: Apache-2.0
 *
 * Content codings undone: whole and byte by byte, into small and large buffers; damaged, cut and
 * huge data; memory accounted for to the last byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <brotli/encode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "http/decode.h"

static size_t memory, memory_max, memory_peak;

static bool take(void *arg, size_t len)
{
    (void)arg;
    if (memory + len > memory_max)
        return false;
    memory += len;
    if (memory > memory_peak)
        memory_peak = memory;
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
    memory = memory_peak = 0;
    memory_max = 64 << 20;
    return 0;
}

static int down(void **state)
{
    (void)state;
    assert_int_equal(memory, 0);
    return 0;
}

/* ---- encoding ---- */

static struct bytes zlib_encode(struct slice in, int window_bits)
{
    z_stream z = {0};
    struct bytes out = BYTES_INIT;
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    bytes_reserve(&out, deflateBound(&z, in.len) + 64);
    z.next_in = (z_const Bytef *)(uintptr_t)in.ptr;
    z.avail_in = (uInt)in.len;
    z.next_out = (Bytef *)out.ptr;
    z.avail_out = (uInt)out.cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.len = out.cap - z.avail_out;
    (void)deflateEnd(&z);
    return out;
}

static struct bytes encode(const char *coding, struct slice in)
{
    struct bytes out = BYTES_INIT;
    if (strcmp(coding, "gzip") == 0)
        return zlib_encode(in, 31);
    if (strcmp(coding, "deflate") == 0)
        return zlib_encode(in, 15);
    if (strcmp(coding, "raw") == 0)
        return zlib_encode(in, -15);
    if (strcmp(coding, "br") == 0) {
        size_t len = BrotliEncoderMaxCompressedSize(in.len) + 64;
        bytes_reserve(&out, len);
        assert_true(BrotliEncoderCompress(5, 22, BROTLI_MODE_GENERIC, in.len,
                                          (const uint8_t *)(in.ptr ? in.ptr : ""), &len,
                                          (uint8_t *)out.ptr));
        out.len = len;
        return out;
    }
    bytes_reserve(&out, ZSTD_compressBound(in.len));
    out.len = ZSTD_compress(out.ptr, out.cap, in.ptr, in.len, 3);
    assert_false(ZSTD_isError(out.len));
    return out;
}

static struct bytes text_of(size_t len)
{
    struct bytes out = BYTES_INIT;
    for (unsigned i = 0; out.len < len; i++)
        bytes_printf(&out, "%u line of text %x\n", i, i * 2654435761u >> 20);
    out.len = len;
    return out;
}

/* ---- decoding ---- */

/* Feeds `step` bytes at a time and reads `room` at a time. */
static enum err decode_all(const char *codings, struct slice in, size_t step, size_t room,
                           struct bytes *out, struct error *ret_error)
{
    struct decode *d;
    struct slice have = slice_of(in.ptr, 0);
    bool is_over = false;
    size_t given = 0, len;
    char *buffer = malloc(room);
    enum err err = decode_new(slice_cstr(codings), &accounts, &d, ret_error);
    if (err) {
        free(buffer);
        return err;
    }
    while (!is_over) {
        err = decode_run(d, &have, given == in.len, buffer, room, &len, &is_over, ret_error);
        if (err)
            break;
        bytes_append(out, buffer, len);
        if (is_over || len == room)
            continue;
        assert_int_equal(have.len, 0);
        assert_true(given < in.len);
        size_t more = in.len - given < step ? in.len - given : step;
        have = slice_of(in.ptr + given, more);
        given += more;
    }
    decode_free(d);
    free(buffer);
    return err;
}

static void expect_text(const char *codings, struct slice in, size_t step, size_t room,
                        struct slice want)
{
    struct error error;
    struct bytes out = BYTES_INIT;
    if (decode_all(codings, in, step, room, &out, &error) != OK)
        fail_msg("%s by %zu: %s", codings, step, error.message);
    assert_int_equal(out.len, want.len);
    assert_memory_equal(out.ptr ? out.ptr : "", want.ptr ? want.ptr : "", want.len);
    bytes_done(&out);
}

static void expect_error(const char *codings, struct slice in, enum err code, const char *text)
{
    struct error error;
    struct bytes out = BYTES_INIT;
    enum err err = decode_all(codings, in, in.len ? in.len : 1, 4096, &out, &error);
    if (err != code || !strstr(error.message, text))
        fail_msg("%s: %s: %s", codings, error_text(err), error.message);
    bytes_done(&out);
}

static const char *const all[] = {"gzip", "deflate", "br", "zstd"};

static void knows_codings(void **state)
{
    (void)state;
    static const char *const known[] = {"gzip",
                                        "x-gzip",
                                        "GZip",
                                        "deflate",
                                        "br",
                                        "zstd",
                                        "gzip, br",
                                        " gzip ,zstd",
                                        "identity, gzip",
                                        "gzip,,gzip",
                                        "gzip, gzip, gzip, gzip"};
    static const char *const unknown[] = {"",
                                          "identity",
                                          "none",
                                          "utf-8",
                                          "aws-chunked",
                                          "gzip, aws-chunked",
                                          "aws-chunked, gzip",
                                          "compress",
                                          "gzi",
                                          "gzip;q=1",
                                          "gzip, gzip, gzip, gzip, gzip"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (!decode_knows(slice_cstr(known[i])))
            fail_msg("%s", known[i]);
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        if (decode_knows(slice_cstr(unknown[i])))
            fail_msg("%s", unknown[i]);
}

static void undoes_each(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 1000, 300000};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
            CLEANUP(bytes_done) struct bytes text = text_of(sizes[k]);
            CLEANUP(bytes_done) struct bytes in = encode(all[i], bytes_slice(&text));
            expect_text(all[i], bytes_slice(&in), in.len, 65536, bytes_slice(&text));
            expect_text(all[i], bytes_slice(&in), 1, 4096, bytes_slice(&text));
            expect_text(all[i], bytes_slice(&in), 7, 1, bytes_slice(&text));
            expect_text(all[i], bytes_slice(&in), 100, 3, bytes_slice(&text));
        }
    }
    CLEANUP(bytes_done) struct bytes text = text_of(5000);
    CLEANUP(bytes_done) struct bytes raw = encode("raw", bytes_slice(&text));
    expect_text("deflate", bytes_slice(&raw), raw.len, 65536, bytes_slice(&text));
    expect_text("deflate", bytes_slice(&raw), 1, 10, bytes_slice(&text));
}

static void undoes_several_in_a_row(void **state)
{
    (void)state;
    char codings[64];
    CLEANUP(bytes_done) struct bytes text = text_of(200000);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        for (size_t k = 0; k < ARRAY_LEN(all); k++) {
            CLEANUP(bytes_done) struct bytes once = encode(all[i], bytes_slice(&text));
            CLEANUP(bytes_done) struct bytes twice = encode(all[k], bytes_slice(&once));
            (void)snprintf(codings, sizeof(codings), "%s, identity, %s", all[i], all[k]);
            expect_text(codings, bytes_slice(&twice), twice.len, 65536, bytes_slice(&text));
            expect_text(codings, bytes_slice(&twice), 13, 500, bytes_slice(&text));
        }
    }
}

static void members_and_frames_follow_each_other(void **state)
{
    (void)state;
    static const char *const with_more[] = {"gzip", "zstd"};
    for (size_t i = 0; i < ARRAY_LEN(with_more); i++) {
        CLEANUP(bytes_done) struct bytes text = text_of(3000);
        CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
        for (int k = 0; k < 3; k++) {
            CLEANUP(bytes_done)
            struct bytes part = encode(with_more[i], slice_of(text.ptr + 1000 * k, 1000));
            bytes_append_slice(&in, bytes_slice(&part));
        }
        expect_text(with_more[i], bytes_slice(&in), in.len, 65536, bytes_slice(&text));
        expect_text(with_more[i], bytes_slice(&in), 1, 10, bytes_slice(&text));
    }
}

static void what_follows_the_end_is_ignored(void **state)
{
    (void)state;
    static const char *const ended[] = {"gzip", "deflate", "br"};
    for (size_t i = 0; i < ARRAY_LEN(ended); i++) {
        CLEANUP(bytes_done) struct bytes text = text_of(1000);
        CLEANUP(bytes_done) struct bytes in = encode(ended[i], bytes_slice(&text));
        bytes_append_cstr(&in, "rubbish");
        expect_text(ended[i], bytes_slice(&in), in.len, 65536, bytes_slice(&text));
        expect_text(ended[i], bytes_slice(&in), 1, 65536, bytes_slice(&text));
    }
}

static void damage_is_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        CLEANUP(bytes_done) struct bytes text = text_of(50000);
        CLEANUP(bytes_done) struct bytes in = encode(all[i], bytes_slice(&text));
        expect_text(all[i], SLICE_EMPTY, 1, 100, SLICE_EMPTY); /* no body at all is one */
        expect_error(all[i], SLICE_LIT("plain text, and not what it is said to be"), ERR_NETWORK,
                     "damaged");
        static const size_t cuts[] = {1, 2, 10, 1000};
        for (size_t k = 0; k < ARRAY_LEN(cuts); k++) {
            struct slice cut = slice_of(in.ptr, in.len - cuts[k]);
            expect_error(all[i], cut, ERR_NETWORK, "ends early");
            expect_error(all[i], slice_of(in.ptr, cuts[k]), ERR_NETWORK, "ends early");
        }
        char codings[64];
        (void)snprintf(codings, sizeof(codings), "%s, gzip", all[i]);
        CLEANUP(bytes_done) struct bytes twice = zlib_encode(slice_of(in.ptr, in.len / 2), 31);
        expect_error(codings, bytes_slice(&twice), ERR_NETWORK, "ends early");
    }
}

/* 200 MB of zeros: only what is asked for exists. */
static void bombs_are_decoded_as_they_are_read(void **state)
{
    (void)state;
    enum { PARTS = 200, PART = 1 << 20 };
    char *zeros = calloc(1, PART);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
        if (strcmp(all[i], "zstd") == 0 || strcmp(all[i], "gzip") == 0) {
            CLEANUP(bytes_done) struct bytes part = encode(all[i], slice_of(zeros, PART));
            for (int k = 0; k < PARTS; k++)
                bytes_append_slice(&in, bytes_slice(&part));
        } else {
            char *whole = calloc(PARTS, PART);
            in = encode(all[i], slice_of(whole, (size_t)PARTS * PART));
            free(whole);
        }
        memory_peak = 0;
        struct decode *d;
        struct slice have = bytes_slice(&in);
        static char out[LIMIT_FETCH_DECODED_BYTES];
        size_t total = 0, len;
        bool is_over = false;
        assert_int_equal(decode_new(slice_cstr(all[i]), &accounts, &d, NULL), OK);
        while (!is_over) {
            assert_int_equal(decode_run(d, &have, true, out, sizeof(out), &len, &is_over, NULL),
                             OK);
            total += len;
        }
        assert_int_equal(total, (size_t)PARTS * PART);
        assert_true(memory_peak < 17 << 20);
        decode_free(d);
    }
    free(zeros);
}

static void memory_is_asked_for_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        CLEANUP(bytes_done) struct bytes text = text_of(300000);
        CLEANUP(bytes_done) struct bytes in = encode(all[i], bytes_slice(&text));
        int refused = 0;
        struct error error;
        for (memory_max = 0; memory_max < 2 << 20; memory_max += 5000) {
            struct bytes out = BYTES_INIT;
            enum err err = decode_all(all[i], bytes_slice(&in), 1000, 4096, &out, &error);
            bytes_done(&out);
            assert_int_equal(memory, 0);
            if (err == OK)
                break;
            assert_int_equal(err, ERR_LIMIT_MEMORY);
            refused++;
        }
        assert_true(refused > 0);
    }
}

/* Empty blocks inside of a compressed stream: work without end that yields nothing. */
static void nothing_for_much_is_an_error(void **state)
{
    (void)state;
    struct bytes blocks = BYTES_INIT;
    while (blocks.len < 64 << 20)
        bytes_append(&blocks, "\0\0\0\xff\xff", 5); /* stored, empty, not the last */
    CLEANUP(bytes_done) struct bytes in = encode("gzip", bytes_slice(&blocks));
    bytes_done(&blocks);
    expect_error("deflate, gzip", bytes_slice(&in), ERR_NETWORK, "without containing anything");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        T(knows_codings),
        T(undoes_each),
        T(undoes_several_in_a_row),
        T(members_and_frames_follow_each_other),
        T(what_follows_the_end_is_ignored),
        T(damage_is_an_error),
        T(bombs_are_decoded_as_they_are_read),
        T(memory_is_asked_for_first),
        T(nothing_for_much_is_an_error),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
