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

static void send_signal(struct harness *h, const char *name)
{
    struct store_op op = HARNESS_OP(h);
    store_durable_signal(
        h->store, &op,
        &(struct durable_message){.execution = S("a"), .name = slice_cstr(name), .data = S("1")});
    assert_ok(harness_wait(h, &op));
}

/* Appends a record that consumes a signal. */
static void take_signal(struct harness *h, struct store_op *op, int64_t first, int64_t seq)
{
    struct bytes records = records_make(first, 1);
    const struct store_step steps[] = {
        {.kind = STORE_STEP_APPEND, .append = {1, bytes_slice(&records)}},
        {.kind = STORE_STEP_STATUS, .status = {.status = DURABLE_RUNNING}},
        {.kind = STORE_STEP_SIGNAL_TAKEN, .signal_taken = {seq}}};
    store_durable_commit(h->store, op, S("a"), first, steps, 3);
    bytes_done(&records);
}

static int64_t signals_of_newest(struct harness *h)
{
    return number(h,
                  "SELECT count(*) FROM signal WHERE execution = (SELECT max(seq) FROM durable)");
}

/* Who looks through the journal and then forks would know of no signal that was consumed in between. */
static void a_signal_consumed_since_the_survey_refuses_the_fork(void **state)
{
    struct harness *h = *state;
    struct store_op op = HARNESS_OP(h);
    struct store_cut cut = {.is_fenced = true};
    assert_ok(durable_start(h, "a"));
    send_signal(h, "one");
    send_signal(h, "two");
    assert_int_equal(durable_get(h, "a").signals_taken, 0);
    take_signal(h, &op, 0, 1);
    assert_ok(harness_wait(h, &op));
    assert_int_equal(durable_get(h, "a").signals_taken, 1);
    op = (struct store_op)HARNESS_OP(h);
    store_durable_fork(h->store, &op, S("a"), S("forked"), &cut, NULL, 0);
    assert_int_equal(harness_wait(h, &op), ERR_CONFLICT);
    assert_text_has(h->error.message, "consumed a signal while it was being forked");
    assert_false(durable_is_there(h, "forked"));
    cut.signals_taken = 1;
    op = (struct store_op)HARNESS_OP(h);
    store_durable_fork(h->store, &op, S("a"), S("forked"), &cut, NULL, 0);
    assert_ok(harness_wait(h, &op));
    assert_int_equal(signals_of_newest(h), 1);
    assert_int_equal(durable_get(h, "forked").signals_taken, 1);
}

/* The fork has what waited when it began, also what its source consumes before it is done. */
static void a_signal_consumed_between_two_slices_is_not_lost(void **state)
{
    struct harness *h = *state;
    struct store_op op = HARNESS_OP(h), taken = {0};
    struct store_cut cut = {.records = CHUNKS, .chunk_first = CHUNKS, .is_fenced = true};
    make_long(h, "a");
    send_signal(h, "one");
    send_signal(h, "two");
    store_gather(h->store);
    store_durable_fork(h->store, &op, S("a"), S("forked"), &cut, NULL, 0);
    take_signal(h, &taken, CHUNKS, 1);
    store_send(h->store);
    assert_ok(harness_wait(h, &op));
    assert_int_equal(durable_get(h, "a").signals_taken, 1);
    assert_int_equal(signals_of_newest(h), 2);
    assert_int_equal(durable_get(h, "forked").signals_taken, 0);
    assert_journal(h, "forked", CHUNKS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, durable_setup, harness_teardown)
    const struct CMUnitTest tests[] = {
        TEST(others_are_served_between_two_slices),
        TEST(a_death_between_two_slices_leaves_nothing),
        TEST(a_fork_that_is_refused_at_its_end_leaves_nothing),
        TEST(a_source_that_is_retried_meanwhile_is_not_mixed),
        TEST(a_signal_consumed_since_the_survey_refuses_the_fork),
        TEST(a_signal_consumed_between_two_slices_is_not_lost),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("store/durable_fork", tests, NULL, NULL);
}
