/* SPDX-License-Identifier: Apache-2.0
 *
 * What falls due beside executions: one row a key, read by time in pages, also through another opening. */
#include "harness.h"

static enum err set(struct harness *h, const char *key, int64_t due_us)
{
    struct store_op op = HARNESS_OP(h);
    store_due_set(
        h->store, &op,
        &(struct due_row){
            .kind = DUE_ALARM, .key = slice_cstr(key), .module = S("m"), .due_us = due_us});
    return harness_wait(h, &op);
}

/* "key@time …" of a page. */
static const char *page(struct harness *h, int64_t until_us, int64_t after_us, int64_t after_seq,
                        int64_t limit, struct due_row *ret_last)
{
    static char text[256];
    struct due_row *rows = NULL;
    size_t len = 0, at = 0;
    assert_ok(store_dues(h->reader, h->arena, until_us, after_us, after_seq, limit, &rows, &len,
                         &h->error));
    text[0] = '\0';
    for (size_t k = 0; k < len; k++) {
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%.*s@%lld", k ? " " : "",
                               SLICE_ARG(rows[k].key), (long long)rows[k].due_us);
        assert_slice(rows[k].module, "m");
        assert_int_equal(rows[k].kind, DUE_ALARM);
        if (ret_last)
            *ret_last = rows[k];
    }
    return text;
}

static void rows_come_by_time_and_are_one_a_key(void **state)
{
    struct harness *h = *state;
    struct due_row last = {0};
    assert_ok(set(h, "a", 30));
    assert_ok(set(h, "b", 10));
    assert_ok(set(h, "c", 20));
    assert_string_equal(page(h, 100, 0, 0, 10, NULL), "b@10 c@20 a@30");
    assert_string_equal(page(h, 30, 0, 0, 10, NULL), "b@10 c@20");
    assert_ok(set(h, "a", 5));
    assert_string_equal(page(h, 100, 0, 0, 10, NULL), "a@5 b@10 c@20");
    assert_ok(set(h, "b", DUE_NEVER));
    assert_ok(set(h, "unknown", DUE_NEVER));
    assert_string_equal(page(h, 100, 0, 0, 10, NULL), "a@5 c@20");
    /* Page by page, also through many of one time. */
    assert_ok(set(h, "d", 20));
    assert_ok(set(h, "e", 20));
    assert_string_equal(page(h, 100, 0, 0, 2, &last), "a@5 c@20");
    assert_string_equal(page(h, 100, last.due_us, last.seq, 2, &last), "d@20 e@20");
    assert_string_equal(page(h, 100, last.due_us, last.seq, 2, &last), "");
}

static void they_are_there_after_a_restart(void **state)
{
    struct harness *h = *state;
    assert_ok(set(h, "a", 30));
    harness_close_store(h);
    assert_ok(harness_open_store(h));
    assert_string_equal(page(h, 100, 0, 0, 10, NULL), "a@30");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_come_by_time_and_are_one_a_key, harness_setup,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(they_are_there_after_a_restart, harness_setup,
                                        harness_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
