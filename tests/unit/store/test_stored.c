/* SPDX-License-Identifier: Apache-2.0
 *
 * What executions and versions take of their module's disk budget: at any time as much as the database
 * and the artifacts have of them, after whatever was done, refused, removed, or lost with the process. */
#include <sched.h>
#include <signal.h>

#include "base/budget.h"
#include "harness_fork.h"

enum { LIMIT = 64 * 1024 };

static struct account *root, *module;

static struct account *get(void *ctx, struct slice name)
{
    (void)ctx;
    return account_ref(slice_eq(name, S("flow")) ? module : root);
}

static int setup(void **state)
{
    struct harness *h = harness_new_folder();
    *state = h;
    root = account_new(NULL, "server", SLICE_EMPTY);
    module = account_new(root, "module", S("flow"));
    account_limit(module, RESOURCE_DISK, LIMIT);
    h->accounts.get = get;
    assert_ok(harness_open_store(h));
    assert_ok(workflow_make(h, "flow", "export default 1"));
    return 0;
}

static int teardown(void **state)
{
    harness_teardown(state);
    assert_int_equal(budget_used(&module->budgets[RESOURCE_DISK]), 0);
    account_unref(module);
    account_unref(root);
    return 0;
}

static int64_t used(void)
{
    return (int64_t)budget_used(&module->budgets[RESOURCE_DISK]);
}

/* What there is, added up: of executions that are not removed, and the artifact. */
static void assert_true_count(struct harness *h)
{
    int64_t there =
        number(h, "SELECT (SELECT coalesce(sum(256 + octet_length(input) + octet_length(metadata)"
                  " + octet_length(progress) + octet_length(output) + octet_length(error)), 0)"
                  " FROM durable_text t JOIN durable d ON d.seq = t.execution)"
                  " + (SELECT coalesce(sum(octet_length(j.records) + 32), 0) FROM journal j"
                  " JOIN durable d ON d.seq = j.place >> 24)"
                  " + (SELECT coalesce(sum(octet_length(s.data)), 0) FROM snapshot s"
                  " JOIN durable d ON d.seq = s.execution)"
                  " + (SELECT coalesce(sum(octet_length(s.name) + octet_length(s.data) + 32), 0)"
                  " FROM signal s JOIN durable d ON d.seq = s.execution)");
    assert_int_equal(used(), there + (int64_t)strlen("export default 1"));
}

static void reopen(struct harness *h)
{
    harness_close_store(h);
    assert_int_equal(used(), 0);
    assert_ok(harness_open_store(h));
}

/* Twice the same: as it is, and as a new process finds it. */
static void check(struct harness *h)
{
    assert_true_count(h);
    int64_t before = used();
    reopen(h);
    assert_int_equal(used(), before);
}

static void whatever_they_do_is_counted(void **state)
{
    struct harness *h = *state;
    check(h);
    assert_ok(durable_start(h, "a"));
    check(h);
    assert_ok(COMMIT(h, "a", .count = 3, .sets_status = true, .status = DURABLE_RUNNING));
    check(h);
    for (int64_t n = 3; n < 9; n++)
        assert_ok(COMMIT(h, "a", .first = n, .count = 1)); /* these touch no row */
    check(h);
    assert_ok(durable_signal(h, "a", "name", "\"some data\"", "once", NULL));
    assert_ok(durable_signal(h, "a", "name", "\"some data\"", "once", NULL));
    check(h);
    assert_ok(COMMIT(h, "a", .first = 9, .count = 1, .progress = S("{\"done\":1}")));
    assert_ok(COMMIT(h, "a", .first = 10, .count = 1, .progress = S("2")));
    check(h);
    assert_ok(COMMIT(h, "a", .first = 11, .count = 1, .snapshot = S("a snapshot of its memory"),
                     .sets_status = true, .status = DURABLE_SUSPENDED, .wake_us = NEVER));
    check(h);
    assert_ok(COMMIT(h, "a", .first = 12, .count = 1, .snapshot = S("another"), .sets_status = true,
                     .status = DURABLE_SUSPENDED, .wake_us = NEVER));
    check(h);
    assert_ok(durable_end(h, "a", 13, DURABLE_FAILED));
    check(h);
    assert_ok(durable_retry(h, "a", 12, 12, 0));
    check(h);
    assert_ok(durable_fork(h, "a", "b", 3, 3));
    check(h);
    assert_ok(durable_end(h, "b", 3, DURABLE_COMPLETED));
    check(h);
}

static void a_loop_of_lives(void **state)
{
    struct harness *h = *state;
    char id[16];
    for (int k = 0; k < 20; k++) {
        snprintf(id, sizeof(id), "x%d", k);
        assert_ok(durable_start(h, id));
        assert_ok(COMMIT(h, id, .count = 1, .sets_status = true, .status = DURABLE_RUNNING));
        assert_ok(durable_signal(h, id, "s", "1", "", NULL));
        assert_ok(COMMIT(h, id, .first = 1, .count = 2));
        assert_int_equal(COMMIT(h, id, .first = 1, .count = 2), ERR_CONFLICT); /* takes nothing */
        assert_int_equal(durable_start_in(h, "none", "y", NULL), ERR_NOT_FOUND);
        if (k % 3)
            assert_ok(durable_end(h, id, 3, k % 3 == 1 ? DURABLE_COMPLETED : DURABLE_CANCELLED));
    }
    check(h);
}

/* In a child process, which is killed. */
static void what_a_killed_process_has_appended_counts(void **state)
{
    struct harness *h = *state;
    harness_close_store(h);
    pid_t pid = fork();
    if (pid == 0) {
        loop_init(&h->loop);
        if (harness_open_store(h) != OK || durable_start(h, "a") != OK ||
            COMMIT(h, "a", .count = 1, .sets_status = true, .status = DURABLE_RUNNING) != OK)
            _exit(1);
        for (int64_t n = 1; n < 50; n++)
            if (COMMIT(h, "a", .first = n, .count = 1) != OK)
                _exit(1);
        raise(SIGKILL);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status));
    assert_ok(harness_open_store(h));
    assert_true(used() > 50 * 8);
    check(h);
    assert_ok(COMMIT(h, "a", .first = 50, .count = 1));
    assert_ok(durable_end(h, "a", 51, DURABLE_COMPLETED));
    check(h);
}

static void above_the_quota_nothing_is_added(void **state)
{
    struct harness *h = *state;
    static char big[LIMIT + 1];
    memset(big, 'x', LIMIT);
    assert_ok(durable_start(h, "a"));
    assert_ok(COMMIT(h, "a", .count = 1, .sets_status = true, .status = DURABLE_RUNNING));
    int64_t before = used();
    assert_int_equal(COMMIT(h, "a", .first = 1, .count = 1, .records = slice_of(big, sizeof(big))),
                     ERR_LIMIT_DISK);
    assert_string_equal(h->error.message,
                        "the module 'flow' has reached its limit of 65536 bytes on disk");
    assert_text_has(h->error.hint, "raise the quota disk_bytes");
    assert_int_equal(used(), before);
    check(h);
    /* Others, until it is full. */
    assert_ok(COMMIT(h, "a", .first = 1, .count = 1, .records = slice_of(big, LIMIT - 3000)));
    enum err err = OK;
    while (err == OK)
        err = durable_signal(h, "a", "s", "\"0123456789\"", "", NULL);
    assert_int_equal(err, ERR_LIMIT_DISK);
    assert_int_equal(durable_start(h, "b"), ERR_LIMIT_DISK);
    assert_true(used() <= LIMIT);
    check(h);
    /* An end can always be told, a snapshot is left out, and a deploy is refused. */
    assert_ok(COMMIT(h, "a", .first = 2, .snapshot = slice_of(big, 1000), .sets_status = true,
                     .status = DURABLE_SUSPENDED, .wake_us = NEVER));
    assert_int_equal(number(h, "SELECT count(*) FROM snapshot"), 0);
    assert_int_equal(workflow_make(h, "flow", big), ERR_LIMIT_DISK);
    assert_ok(COMMIT(h, "a", .first = 2, .sets_status = true, .status = DURABLE_FAILED,
                     .error = S("{\"code\":\"limit\"}")));
    check(h);
}

static void what_is_deleted_gives_back(void **state)
{
    struct harness *h = *state;
    assert_ok(durable_start(h, "a"));
    assert_ok(COMMIT(h, "a", .count = 5, .sets_status = true, .status = DURABLE_RUNNING));
    assert_ok(COMMIT(h, "a", .first = 5, .count = 5));
    struct store_op op = HARNESS_OP(h);
    store_function_delete(h->store, &op, S("flow"));
    assert_ok(harness_wait(h, &op));
    assert_int_equal(used(), 0);
    reopen(h);
    assert_int_equal(used(), 0);
    /* One of the same name begins anew, also where an old execution makes room. */
    assert_ok(workflow_make(h, "flow", "export default 1"));
    assert_ok(durable_start(h, "a"));
    check(h);
}

static void retention_gives_back(void **state)
{
    struct harness *h = *state;
    harness_close_store(h);
    h->durable_keep_us = 1;
    assert_ok(harness_open_store(h));
    assert_ok(durable_start(h, "a"));
    assert_ok(COMMIT(h, "a", .count = 5, .sets_status = true, .status = DURABLE_RUNNING));
    assert_ok(durable_end(h, "a", 5, DURABLE_COMPLETED));
    while (number(h, "SELECT count(*) FROM durable") > 0)
        (void)sched_yield();
    assert_ok(durable_start(h, "b")); /* behind the commit of the removal */
    check(h);
}

static void versions_count_once(void **state)
{
    struct harness *h = *state;
    int64_t one = used();
    assert_int_equal(one, strlen("export default 1"));
    assert_ok(workflow_make(h, "flow", "export default 2 // longer"));
    int64_t two = used();
    assert_int_equal(two, one + (int64_t)strlen("export default 2 // longer"));
    assert_ok(workflow_make(h, "flow", "export default 1")); /* back again: a version, no file */
    assert_int_equal(used(), two);
    reopen(h);
    assert_int_equal(used(), two);
}

static void purge(struct harness *h)
{
    while (number(h, "SELECT count(*) FROM durable_purge") > 0)
        assert_ok(durable_pause(h, "b", true)); /* each commit is followed by a step of tidying */
    assert_ok(durable_pause(h, "b", false));    /* behind the last one */
}

/* "a", whose journal is long, with a signal, and "b". Returns what "a" takes. */
static int64_t make_both(struct harness *h)
{
    account_limit(module, RESOURCE_DISK, 16 * 1024 * 1024);
    assert_ok(durable_start(h, "b"));
    int64_t before = used();
    make_long(h, "a");
    assert_ok(durable_signal(h, "a", "name", "\"some data\"", "once", NULL));
    assert_true(used() - before > CHUNKS * 8);
    return used() - before;
}

static void a_fork_of_a_long_journal_counts_like_the_original(void **state)
{
    struct harness *h = *state;
    struct store_op op = HARNESS_OP(h);
    const int64_t taken = 2;
    int64_t one = make_both(h), before = used();
    struct store_step steps[] = {
        {.kind = STORE_STEP_SIGNAL_BACK, .signal_back = {2, 1, S("taken"), S("\"before\"")}}};
    assert_ok(durable_fork(h, "a", "f", CHUNKS, CHUNKS));
    assert_int_equal(used(), before + one);
    check(h);
    assert_ok(durable_fork(h, "a", "g", CHUNKS / 2, CHUNKS / 2));
    assert_true(used() < before + one * 3 / 2 + one / 10);
    check(h);
    /* A part of a chunk, and a signal that it is to receive again. */
    assert_ok(durable_signal(h, "a", "taken", "\"before\"", "", NULL));
    assert_ok(COMMIT(h, "a", .first = CHUNKS, .count = 3, .signals = &taken, .signals_len = 1));
    check(h);
    struct store_cut cut = {
        .records = CHUNKS + 1, .chunk_first = CHUNKS, .chunk = S("a chunk of one")};
    store_durable_fork(h->store, &op, S("a"), S("i"), &cut, steps, 1);
    assert_ok(harness_wait(h, &op));
    assert_int_equal(number(h, "SELECT signals_waiting FROM durable WHERE id = 'i'"), 2);
    check(h);
    assert_ok(COMMIT(h, "i", .first = CHUNKS + 1, .count = 1));
    check(h);
}

static void an_aborted_fork_counts_nothing(void **state)
{
    struct harness *h = *state;
    struct store_op op = HARNESS_OP(h), start = {0};
    int64_t one = make_both(h), before = used();
    /* Half of it finds room. */
    account_limit(module, RESOURCE_DISK, (size_t)(before + one / 2));
    assert_int_equal(durable_fork(h, "a", "f", CHUNKS, CHUNKS), ERR_LIMIT_DISK);
    assert_text_has(h->error.message, "bytes on disk");
    assert_false(durable_is_there(h, "f"));
    purge(h);
    assert_int_equal(used(), before);
    check(h);
    /* All of its journal, but not its row. */
    account_limit(module, RESOURCE_DISK, (size_t)(before + one - 1));
    assert_int_equal(durable_fork(h, "a", "f", CHUNKS, CHUNKS), ERR_LIMIT_DISK);
    purge(h);
    assert_int_equal(used(), before);
    account_limit(module, RESOURCE_DISK, (size_t)(before + one));
    assert_ok(durable_fork(h, "a", "f", CHUNKS, CHUNKS));
    assert_int_equal(used(), before + one);
    check(h);
    /* Its id is taken meanwhile. */
    account_limit(module, RESOURCE_DISK, 16 * 1024 * 1024);
    store_gather(h->store);
    store_durable_fork(h->store, &op, S("a"), S("g"),
                       &(struct store_cut){.records = CHUNKS, .chunk_first = CHUNKS}, NULL, 0);
    store_durable_start(h->store, &start,
                        &(struct durable_row){.id = S("g"), .workflow = S("flow")});
    store_send(h->store);
    assert_int_equal(harness_wait(h, &op), ERR_CONFLICT);
    purge(h);
    check(h);
}

static void a_fork_that_its_server_did_not_live_to_finish_counts_nothing(void **state)
{
    struct harness *h = *state;
    int64_t one = make_both(h), before = used();
    harness_close_store(h);
    fork_and_die(h);
    assert_ok(harness_open_store(h));
    before += number(h, "SELECT sum(octet_length(name) + octet_length(data) + 32) FROM signal"
                        " JOIN durable d ON d.seq = execution WHERE d.id = 'b'");
    assert_int_equal(used(), before);
    purge(h);
    check(h);
    assert_ok(durable_fork(h, "a", "f", CHUNKS, CHUNKS));
    assert_int_equal(used(), before + one);
    check(h);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(whatever_they_do_is_counted),
        T(a_loop_of_lives),
        T(what_a_killed_process_has_appended_counts),
        T(above_the_quota_nothing_is_added),
        T(what_is_deleted_gives_back),
        T(retention_gives_back),
        T(versions_count_once),
        T(a_fork_of_a_long_journal_counts_like_the_original),
        T(an_aborted_fork_counts_nothing),
        T(a_fork_that_its_server_did_not_live_to_finish_counts_nothing),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
