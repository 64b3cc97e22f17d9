/* SPDX-License-Identifier: Apache-2.0
 *
 * Payloads of records as people see them: each op's shape, errors, and what is malformed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "admin/journal_value.h"
#include "guest/values.h"

enum {
    NUMBER_LOG = 1,
    NUMBER_RANDOM = 3,
    NUMBER_ENV_GET = 4,
    NUMBER_ENV_LIST = 5,
    NUMBER_SQL_EXEC = 9,
    NUMBER_TIMER = 11,
    NUMBER_FETCH = 13,
    NUMBER_STEP = 24,
    NUMBER_EVENT_WAIT = 26,
    NUMBER_CHILD_START = 27,
    NUMBER_CHILD_RESULT = 28,
};

static struct bytes payload;
static struct bytes out;

static int teardown(void **state)
{
    (void)state;
    bytes_done(&payload);
    bytes_done(&out);
    return 0;
}

static struct record record_of(uint32_t op, uint32_t status)
{
    return (struct record){
        .kind = RECORD_DONE, .op = op, .id = 1, .status = status, .payload = bytes_slice(&payload)};
}

/* The value of a record whose payload is in `payload`, which is then empty. */
static const char *shown(uint32_t op, uint32_t status)
{
    struct record r = record_of(op, status);
    bytes_clear(&out);
    journal_value_json(&r, &out);
    bytes_clear(&payload);
    return bytes_cstr(&out);
}

static const char *failure(uint32_t op, uint32_t status)
{
    struct record r = record_of(op, status);
    bytes_clear(&out);
    journal_value_error(&r, &out);
    bytes_clear(&payload);
    return bytes_cstr(&out);
}

static void ops_have_names(void **state)
{
    (void)state;
    assert_string_equal(journal_value_op_name(NUMBER_FETCH), "fetch");
    assert_string_equal(journal_value_op_name(NUMBER_CHILD_RESULT), "child_result");
    assert_null(journal_value_op_name(0));
    assert_null(journal_value_op_name(60000));
}

static void simple_results_are_shown(void **state)
{
    (void)state;
    assert_string_equal(shown(NUMBER_TIMER, 0), "null");
    assert_string_equal(shown(NUMBER_LOG, 0), "null");
    bytes_append_cstr(&payload, "\x01\xab");
    assert_string_equal(shown(NUMBER_RANDOM, 0), "\"0x01ab\"");
    bytes_append_u32(&payload, 0);
    assert_string_equal(shown(NUMBER_ENV_GET, 0), "null");
    bytes_append_u32(&payload, 1);
    bytes_append_cstr(&payload, "a\"b");
    assert_string_equal(shown(NUMBER_ENV_GET, 0), "{\"value\":\"(hidden)\"}");
    bytes_append_u32(&payload, 2);
    bytes_append_u64(&payload, 7);
    assert_string_equal(shown(NUMBER_ENV_GET, 0), "{\"value\":\"(hidden)\",\"version\":7}");
    bytes_append_u32(&payload, 1);
    bytes_append_lstr(&payload, SLICE_LIT("A"));
    bytes_append_lstr(&payload, SLICE_LIT("1"));
    assert_string_equal(shown(NUMBER_ENV_LIST, 0), "[{\"name\":\"A\",\"value\":\"(hidden)\"}]");
    bytes_append_u32(&payload, UINT32_MAX);
    bytes_append_u32(&payload, 1);
    bytes_append_lstr(&payload, SLICE_LIT("A"));
    bytes_append_u64(&payload, 3);
    assert_string_equal(shown(NUMBER_ENV_LIST, 0),
                        "[{\"name\":\"A\",\"value\":\"(hidden)\",\"version\":3}]");
    bytes_append_cstr(&payload, "0192f0c4-0000-7000-8000-000000000000");
    assert_string_equal(shown(NUMBER_CHILD_START, 0), "\"0192f0c4-0000-7000-8000-000000000000\"");
    bytes_append_cstr(&payload, "{\"a\": [1]}");
    assert_string_equal(shown(NUMBER_CHILD_RESULT, 0), "{\"a\": [1]}");
}

static void rows_are_shown(void **state)
{
    (void)state;
    bytes_append_u32(&payload, 2);
    bytes_append_lstr(&payload, SLICE_LIT("a"));
    bytes_append_lstr(&payload, SLICE_LIT("b"));
    bytes_append_u32(&payload, 2);
    bytes_append_char(&payload, 1);
    bytes_append_u64(&payload, (uint64_t)-7);
    bytes_append_char(&payload, 3);
    bytes_append_lstr(&payload, SLICE_LIT("text"));
    bytes_append_char(&payload, 0);
    bytes_append_char(&payload, 4);
    bytes_append_lstr(&payload, SLICE_LIT("\xff"));
    bytes_append_u64(&payload, 3);
    bytes_append_u64(&payload, 9);
    assert_string_equal(shown(NUMBER_SQL_EXEC, 0),
                        "{\"columns\":[\"a\",\"b\"],\"rows\":[[-7,\"text\"],[null,\"0xff\"]],"
                        "\"changes\":3,\"last_insert_rowid\":9}");
    bytes_append_u32(&payload, UINT32_MAX); /* with the counters that its replay needs */
    bytes_append_u64(&payload, 1);
    bytes_append_u64(&payload, 12);
    bytes_append_u32(&payload, 0);
    bytes_append_u32(&payload, 0);
    bytes_append_u64(&payload, 3);
    bytes_append_u64(&payload, 9);
    assert_string_equal(shown(NUMBER_SQL_EXEC, 0),
                        "{\"columns\":[],\"rows\":[],\"changes\":3,\"last_insert_rowid\":9}");
}

static void failures_are_told(void **state)
{
    (void)state;
    assert_string_equal(failure(NUMBER_FETCH, 0), "");
    bytes_append_cstr(&payload, "no answer");
    assert_string_equal(failure(NUMBER_FETCH, ERR_NETWORK), "no answer");
    assert_string_equal(failure(NUMBER_EVENT_WAIT, ERR_TIMEOUT), "timeout");
    bytes_append_cstr(&payload, "{\"name\":\"TypeError\",\"message\":\"no\"}");
    assert_string_equal(failure(NUMBER_CHILD_RESULT, ERR_GUEST), "TypeError: no");
    bytes_append_cstr(&payload, "{\"message\":7}");
    assert_string_equal(failure(NUMBER_CHILD_RESULT, ERR_GUEST), "7");
    bytes_append_char(&payload, VALUE_VERSION);
    bytes_append_char(&payload, (char)(VALUE_SHORT_LATIN1 + 2));
    bytes_append_cstr(&payload, "no");
    assert_string_equal(failure(NUMBER_STEP, ERR_GUEST), "no"); /* throw "no" */
    bytes_append_cstr(&payload, "{\"value\":[1]}");
    assert_string_equal(failure(NUMBER_CHILD_RESULT, ERR_GUEST), "[1]");
}

/* Every beginning of a payload gives JSON. */
static void what_is_cut_is_still_json(void **state)
{
    (void)state;
    static const uint32_t ops[] = {NUMBER_ENV_GET, NUMBER_ENV_LIST,    NUMBER_SQL_EXEC,
                                   NUMBER_FETCH,   NUMBER_STEP,        NUMBER_EVENT_WAIT,
                                   NUMBER_LOG,     NUMBER_CHILD_START, NUMBER_CHILD_RESULT};
    struct bytes whole = BYTES_INIT;
    bytes_append_u32(&whole, 1);
    bytes_append_lstr(&whole, SLICE_LIT("{\"a"));
    bytes_append_u32(&whole, 0xffffffff);
    bytes_append_lstr(&whole, SLICE_LIT("b\xff\"}"));
    for (size_t len = 0; len <= whole.len; len++) {
        for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
            bytes_append(&payload, whole.ptr, len);
            const char *text = shown(ops[i], 0);
            json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            if (!json)
                fail_msg("op %u, %zu bytes: %s", ops[i], len, text);
            json_decref(json);
        }
    }
    bytes_done(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ops_have_names),
        cmocka_unit_test(simple_results_are_shown),
        cmocka_unit_test(rows_are_shown),
        cmocka_unit_test(failures_are_told),
        cmocka_unit_test(what_is_cut_is_still_json),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("journal_value", tests, NULL, teardown);
}
