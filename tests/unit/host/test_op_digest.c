/* SPDX-License-Identifier: Apache-2.0
 *
 * What the records of ops are recognized by is in journals: for each op that is recorded, the fields
 * in the order in which they have always been hashed, each as it has always been put. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "durable/record.h"
#include "host/recording.h"

#define VALUE(v) slice_of((const char *)&(v), sizeof(v))
#define A SLICE_LIT("one")
#define B SLICE_LIT("two, longer")
#define C SLICE_LIT("")

static uint64_t hash(uint32_t op, size_t len, const struct slice *arguments)
{
    struct record_hash h;
    record_hash_init(&h, op);
    for (size_t k = 0; k < len; k++)
        record_hash_add(&h, arguments[k]);
    return record_hash_end(&h);
}

#define assert_digest(NUMBER, name, arguments, ...)                                                \
    do {                                                                                           \
        const struct op_##name##_args a = arguments;                                               \
        const struct slice in[] = {__VA_ARGS__};                                                   \
        assert_true(recording_digest(NUMBER, &a) == hash(NUMBER, sizeof(in) / sizeof(in[0]), in)); \
    } while (0)
#define ARGS(...) {__VA_ARGS__}

static void test_fields(void **state)
{
    const uint32_t one = 1, two = 2, three = 3, four = 4;
    const double ms = 1500.25;
    (void)state;
    assert_digest(3, random, ARGS(.len = 3), VALUE(three));
    assert_digest(4, env_get, ARGS(.name = A), A);
    assert_digest(9, sql_exec, ARGS(.sql = A, .params = B), A, B);
    assert_digest(10, sql_transaction, ARGS(.action = 2), VALUE(two));
    assert_digest(11, timer, ARGS(.delay_ms = ms), VALUE(ms));
    assert_digest(
        13, fetch,
        ARGS(.method = A, .url = B, .headers = C, .body_kind = 2, .body = A, .redirect = 1), A, B,
        C, A, VALUE(one));
    assert_digest(24, step, ARGS(.name = A, .attempts_max = 3, .delay_ms = 2, .timeout_ms = 9), A);
    assert_digest(26, event_wait, ARGS(.name = B, .timeout_ms = 7), B);
    assert_digest(27, child_start, ARGS(.workflow = A, .input = B, .key = C), A, B, C);
    assert_digest(28, child_result, ARGS(.execution = A), A);
    assert_digest(29, signal, ARGS(.execution = A, .name = B, .data = A), A, B, A);
    assert_digest(30, child_cancel, ARGS(.execution = A), A, C, C);
    assert_digest(31, progress, ARGS(.json = B), C, C, B);
    assert_digest(
        36, crypto_random,
        ARGS(.function = 1, .hash = 2, .a = 3, .b = 4, .key = A, .salt = B, .info = C, .data = A),
        VALUE(one), VALUE(two), VALUE(three), VALUE(four), A, B, C, A);
}

static void test_no_fields(void **state)
{
    const struct op_env_list_args a = {};
    (void)state;
    assert_true(recording_digest(5, &a) == hash(5, 0, NULL));
}

/* One as a number, so that the hash itself is held, too. */
static void test_a_known_one(void **state)
{
    const struct op_step_args a = {.name = SLICE_LIT("charge")};
    (void)state;
    assert_int_equal(recording_digest(24, &a), UINT64_C(0xd8e47a34a2cef7ae));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_no_fields),
        cmocka_unit_test(test_a_known_one),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("host/op_digest", tests, NULL, NULL);
}
