/* SPDX-License-Identifier: Apache-2.0
 *
 * Forks of long journals: copied in slices between which others are served, whole or not at all. */
#include "harness_fork.h"

static void others_are_served_between_two_slices(void **state)
{
    struct harness *h = *state;
    struct store_stats before, after;
    struct forking f;
    make_long(h, "a");
    assert_ok(durable_start(h, "b"));
    store_stats(h->store, &before);
    fork_beside(h, &f);
    assert_int_equal(f.op.error.code, OK);
    assert_false(f.was_done_first);
    store_stats(h->store, &after);
    assert_true(after.commits - before.commits >= CHUNKS / SLICE_CHUNKS);
    assert_journal(h, "forked", CHUNKS - 5);
    assert_journal(h, "a", CHUNKS);
    assert_int_equal(durable_get(h, "b").events, 3);
    assert_ok(COMMIT(h, "forked", .first = CHUNKS - 5, .count = 1));
    assert_journal(h, "forked", CHUNKS - 4);
}

/* Nobody sees the half, the next server removes it, and its number is given to nobody else meanwhile. */
static void a_death_between_two_slices_leaves_nothing(void **state)
{
    struct harness *h = *state;
    struct forking f;
    make_long(h, "a");
    assert_ok(durable_start(h, "b"));
    harness_close_store(h);
    fork_and_die(h);
    assert_int_equal(number(h, "SELECT is_all FROM durable_purge"), 2);
    assert_true(number(h, "SELECT count(*) FROM journal") > CHUNKS);
    assert_ok(harness_open_store(h));
    assert_false(durable_is_there(h, "forked"));
    while (number(h, "SELECT count(*) FROM durable_purge") > 0)
        assert_ok(durable_pause(h, "b", true)); /* each commit is followed by a step of tidying */
    assert_int_equal(number(h, "SELECT count(*) FROM journal"), CHUNKS);
    assert_journal(h, "a", CHUNKS);
    fork_beside(h, &f);
    assert_int_equal(f.op.error.code, OK);
    assert_journal(h, "forked", CHUNKS - 5);
}

/* The id is taken by somebody else before the last slice. */
static void a_fork_that_is_refused_at_its_end_leaves_nothing(void **state)
{
    struct harness *h = *state;
    struct store_op op = HARNESS_OP(h), start = {0};
    make_long(h, "a");
    assert_ok(durable_start(h, "b"));
    store_gather(h->store);
    store_durable_fork(h->store, &op, S("a"), S("forked"),
                       &(struct store_cut){.records = CHUNKS, .chunk_first = CHUNKS}, NULL, 0);
    store_durable_start(h->store, &start,
                        &(struct durable_row){.id = S("forked"), .workflow = S("flow")});
    store_send(h->store);
    assert_int_equal(harness_wait(h, &op), ERR_CONFLICT);
    assert_text_has(h->error.message, "already");
    while (number(h, "SELECT count(*) FROM durable_purge") > 0)
        assert_ok(durable_pause(h, "b", true));
    assert_int_equal(number(h, "SELECT count(*) FROM journal"), CHUNKS);
    assert_journal(h, "forked", 0);
}

/* Its journal is another one then. */
static void a_source_that_is_retried_meanwhile_is_not_mixed(void **state)
{
    struct harness *h = *state;
    struct store_op op = HARNESS_OP(h), retry = {0};
    make_long(h, "a");
    assert_ok(durable_start(h, "b"));
    assert_ok(durable_end(h, "a", CHUNKS, DURABLE_FAILED));
    store_gather(h->store);
    store_durable_fork(h->store, &op, S("a"), S("forked"),
                       &(struct store_cut){.records = CHUNKS, .chunk_first = CHUNKS}, NULL, 0);
    store_durable_retry(h->store, &retry, S("a"),
                        &(struct store_cut){.records = CHUNKS, .chunk_first = CHUNKS}, NULL, 0);
    store_send(h->store);
    assert_int_equal(harness_wait(h, &op), ERR_CONFLICT);
    assert_text_has(h->error.message, "while it was being forked");
    assert_false(durable_is_there(h, "forked"));
    while (number(h, "SELECT count(*) FROM durable_purge") > 0)
        assert_ok(durable_pause(h, "b", true));
    assert_int_equal(number(h, "SELECT count(*) FROM journal"), CHUNKS);
    assert_journal(h, "a", CHUNKS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, durable_setup, harness_teardown)
    const struct CMUnitTest tests[] = {
        TEST(others_are_served_between_two_slices),
        TEST(a_death_between_two_slices_leaves_nothing),
        TEST(a_fork_that_is_refused_at_its_end_leaves_nothing),
        TEST(a_source_that_is_retried_meanwhile_is_not_mixed),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("store/durable_fork", tests, NULL, NULL);
}
