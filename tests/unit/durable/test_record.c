/* SPDX-License-Identifier: Apache-2.0
 *
 * The format of records: what is written is read back, what is damaged is refused, and the bytes
 * and hashes are the ones that are in journals already. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <zlib.h>

#include "durable/record.h"

static const struct record sample = {
    .kind = RECORD_DONE,
    .op = 24,
    .id = 7,
    .digest = 0x0123456789abcdefULL,
    .at_us = 1700000000000000,
    .status = ERR_TIMEOUT,
    .label = {"charge", 6},
    .payload = {"{\"ok\":1}", 8},
};

static void assert_same(const struct record *a, const struct record *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->op, b->op);
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->digest, b->digest);
    assert_int_equal(a->at_us, b->at_us);
    assert_int_equal(a->status, b->status);
    assert_true(slice_eq(a->label, b->label));
    assert_true(slice_eq(a->payload, b->payload));
}

static void reads_what_it_wrote(void **state)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    for (int kind = RECORD_START; kind <= RECORD_END; kind++) {
        struct record r = sample;
        r.kind = (enum record_kind)kind;
        r.at_us = -kind;
        record_append(&r, &out);
    }
    struct slice rest = bytes_slice(&out);
    assert_int_equal(record_count(rest), RECORD_END);
    for (int kind = RECORD_START; kind <= RECORD_END; kind++) {
        struct record want = sample, got;
        want.kind = (enum record_kind)kind;
        want.at_us = -kind;
        assert_int_equal(record_take(&rest, &got, NULL), OK);
        assert_same(&got, &want);
    }
    assert_int_equal(rest.len, 0);
}

/* The documented format, byte by byte: it may not change. */
static void has_the_documented_bytes(void **state)
{
    static const unsigned char head[] = {46,   0,    0,    0,    0,    0,    0,    0,    1,
                                         3,    24,   0,    7,    0,    0,    0,    0xef, 0xcd,
                                         0xab, 0x89, 0x67, 0x45, 0x23, 0x01, 0x00, 0x40, 0x1e,
                                         0x18, 0x24, 0x0a, 0x06, 0x00, 18,   0,    6,    0};
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    record_append(&sample, &out);
    assert_int_equal(out.len, RECORD_HEAD_BYTES + 6 + 8);
    uint32_t crc;
    memcpy(&crc, out.ptr + 4, sizeof(crc));
    assert_int_equal(le32toh(crc),
                     crc32(0, (const unsigned char *)out.ptr + 8, (unsigned)out.len - 8));
    memset(out.ptr + 4, 0, sizeof(crc));
    assert_memory_equal(out.ptr, head, sizeof(head));
    assert_memory_equal(out.ptr + sizeof(head), "charge{\"ok\":1}", 14);
}

static void checks_like_zlib_at_every_length(void **state)
{
    char payload[100];
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (char)(i * 37 + 11);
    for (size_t len = 0; len < sizeof(payload); len++) {
        CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
        record_append(&(struct record){.kind = RECORD_SYNC, .payload = {payload, len}}, &out);
        uint32_t crc;
        memcpy(&crc, out.ptr + 4, sizeof(crc));
        assert_int_equal(le32toh(crc),
                         crc32(0, (const unsigned char *)out.ptr + 8, (unsigned)out.len - 8));
    }
}

static void every_flipped_bit_is_noticed(void **state)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    record_append(&sample, &out);
    for (size_t bit = 0; bit < out.len * 8; bit++) {
        struct slice rest = bytes_slice(&out);
        struct record r;
        struct error error = {0};
        out.ptr[bit / 8] = (char)(out.ptr[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(record_take(&rest, &r, &error), ERR_CORRUPT);
        assert_true(error.message[0]);
        assert_int_equal(rest.len, out.len);
        out.ptr[bit / 8] = (char)(out.ptr[bit / 8] ^ 1 << bit % 8);
    }
}

static void every_cut_is_noticed(void **state)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    record_append(&sample, &out);
    const size_t one = out.len;
    record_append(&sample, &out);
    for (size_t len = 0; len < out.len; len++) {
        struct slice rest = slice_of(out.ptr, len);
        struct record r;
        assert_int_equal(record_count(rest), len == 0 ? 0 : len == one ? 1 : -1);
        assert_int_equal(record_take(&rest, &r, NULL), len < one ? ERR_CORRUPT : OK);
    }
}

/* With a right checksum, so that only the fields are wrong. */
static void foreign_fields_are_refused(void **state)
{
    static const struct {
        size_t at;
        unsigned char value;
        const char *says;
    } cases[] = {{8, 2, "version 2"}, {9, 0, "kind 0"}, {9, 7, "kind 7"}, {34, 15, "label"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
        record_append(&sample, &out);
        out.ptr[cases[i].at] = (char)cases[i].value;
        const uint32_t crc =
            htole32((uint32_t)crc32(0, (const unsigned char *)out.ptr + 8, (unsigned)out.len - 8));
        memcpy(out.ptr + 4, &crc, sizeof(crc));
        struct slice rest = bytes_slice(&out);
        struct record r;
        struct error error = {0};
        assert_int_equal(record_take(&rest, &r, &error), ERR_CORRUPT);
        assert_non_null(strstr(error.message, cases[i].says));
    }
}

static void long_labels_are_cut_between_characters(void **state)
{
    char label[301];
    for (size_t i = 0; i + 3 <= sizeof(label); i += 3)
        memcpy(label + i, "\xe2\x82\xac", 3);
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    record_append(&(struct record){.kind = RECORD_SYNC, .label = {label, 300}}, &out);
    struct slice rest = bytes_slice(&out);
    struct record r;
    assert_int_equal(record_take(&rest, &r, NULL), OK);
    assert_int_equal(r.label.len, 198);
    assert_true(slice_is_utf8(r.label));
}

static void prefixes_are_whole_records(void **state)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    size_t ends[4] = {0};
    for (size_t i = 1; i < ARRAY_LEN(ends); i++) {
        record_append(&sample, &out);
        ends[i] = out.len;
    }
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        assert_int_equal(record_prefix(bytes_slice(&out), (int64_t)i).len, ends[i]);
    assert_int_equal(record_prefix(bytes_slice(&out), 9).len, out.len);
    assert_int_equal(record_prefix(SLICE_EMPTY, 1).len, 0);
}

static uint64_t hash_of(uint32_t op, struct slice a, struct slice b)
{
    struct record_hash h;
    record_hash_init(&h, op);
    record_hash_add(&h, a);
    record_hash_add(&h, b);
    return record_hash_end(&h);
}

/* The values are in journals. */
static void hashes_never_change(void **state)
{
    assert_int_equal(hash_of(3, SLICE_LIT("a"), SLICE_LIT("bc")), UINT64_C(0x8a81e8e030aaa92b));
    assert_int_equal(hash_of(24, SLICE_LIT("charge the card"), SLICE_EMPTY),
                     UINT64_C(0xa249f6bafa4233a8));
}

static void hashes_tell_arguments_apart(void **state)
{
    const uint64_t h = hash_of(3, SLICE_LIT("a"), SLICE_LIT("bc"));
    assert_int_not_equal(h, hash_of(4, SLICE_LIT("a"), SLICE_LIT("bc")));
    assert_int_not_equal(h, hash_of(3, SLICE_LIT("ab"), SLICE_LIT("c")));
    assert_int_not_equal(h, hash_of(3, SLICE_LIT("a"), SLICE_LIT("bd")));
    assert_int_not_equal(h, hash_of(3, SLICE_EMPTY, SLICE_LIT("abc")));
}

static void kinds_have_names(void **state)
{
    assert_string_equal(record_kind_text(RECORD_START), "start");
    assert_string_equal(record_kind_text(RECORD_SYNC), "sync");
    assert_string_equal(record_kind_text(RECORD_DONE), "done");
    assert_string_equal(record_kind_text(RECORD_ATTEMPT), "attempt");
    assert_string_equal(record_kind_text(RECORD_CANCEL), "cancel");
    assert_string_equal(record_kind_text(RECORD_END), "end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_wrote),
        cmocka_unit_test(has_the_documented_bytes),
        cmocka_unit_test(checks_like_zlib_at_every_length),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(foreign_fields_are_refused),
        cmocka_unit_test(long_labels_are_cut_between_characters),
        cmocka_unit_test(prefixes_are_whole_records),
        cmocka_unit_test(hashes_never_change),
        cmocka_unit_test(hashes_tell_arguments_apart),
        cmocka_unit_test(kinds_have_names),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("durable/record", tests, NULL, NULL);
}
