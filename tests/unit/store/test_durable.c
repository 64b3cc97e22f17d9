/* SPDX-License-Identifier: Apache-2.0
 *
 * Durable executions: starting, committing, signals, children, what is due. */
#include "harness_durable.h"

static void a_start_is_made_once(void **state)
{
    struct harness *h = *state;
    int64_t number = -1;
    assert_ok(durable_start_in(h, "flow", "a", &number));
    assert_int_equal(number, 1);
    assert_ok(durable_start_in(h, "flow", "a", &number));
    assert_int_equal(number, 0);
    struct durable_row row = durable_get(h, "a");
    assert_slice(row.id, "a");
    assert_slice(row.workflow, "flow");
    assert_slice(row.export_name, "main");
    assert_slice(row.key, "k");
    assert_slice(row.input, "{\"n\":1}");
    assert_slice(row.metadata, "{\"m\":2}");
    assert_slice(row.parent, "");
    assert_slice(row.output, "");
    assert_slice(row.error, "");
    assert_slice(row.progress, "");
    assert_int_equal(row.version, 1);
    assert_int_equal(row.status, DURABLE_QUEUED);
    assert_int_equal(row.attempt, 1);
    assert_int_equal(row.records, 0);
    assert_int_equal(row.events, 0);
    assert_int_equal(row.wake_us, 0);
    assert_true(row.created_us > 0);
    assert_int_equal(row.started_us, 0);
    assert_int_equal(row.finished_us, 0);
    assert_int_equal(durable_counted(h).by_status[DURABLE_QUEUED], 1);
}

static void only_a_workflow_with_a_version_starts(void **state)
{
    struct harness *h = *state;
    assert_int_equal(durable_start_in(h, "nobody", "a", NULL), ERR_NOT_FOUND);
    assert_text_has(h->error.message, "no workflow 'nobody'");
    assert_ok(build_start(h, "plain", NULL));
    assert_int_equal(durable_start_in(h, "plain", "a", NULL), ERR_NOT_FOUND);
    struct store_op op = HARNESS_OP(h);
    store_build_start(h->store, &op, S("young"), MODULE_WORKFLOW);
    assert_ok(harness_wait(h, &op));
    assert_int_equal(durable_start_in(h, "young", "a", NULL), ERR_NOT_READY);
    assert_text_has(h->error.message, "'young'");
    assert_int_equal(durable_start(h, ""), ERR_INVALID);
    assert_false(durable_is_there(h, "a"));
    assert_int_equal(durable_counted(h).by_status[DURABLE_QUEUED], 0);
}

static void a_version_is_pinned_at_the_start(void **state)
{
    struct harness *h = *state;
    assert_ok(durable_start(h, "a"));
    assert_ok(workflow_make(h, "flow", "export default 2"));
    assert_ok(durable_start(h, "b"));
    assert_int_equal(durable_get(h, "a").version, 1);
    assert_int_equal(durable_get(h, "b").version, 2);
}

static void records_are_appended_in_order(void **state)
{
    struct harness *h = *state;
    int64_t first, count;
    assert_ok(durable_start(h, "a"));
    assert_ok(durable_start(h, "b"));
    assert_ok(COMMIT(h, "a", .count = 3, .sets_status = true, .status = DURABLE_RUNNING));
    assert_ok(COMMIT(h, "b", .count = 1));
    assert_ok(COMMIT(h, "a", .first = 3, .count = 1));
    assert_ok(COMMIT(h, "a", .first = 4, .count = 50));
    assert_ok(COMMIT(h, "a", .first = 54)); /* nothing to say is fine */
    assert_journal(h, "a", 54);
    assert_journal(h, "b", 1);
    struct durable_row row = durable_get(h, "a");
    assert_int_equal(row.status, DURABLE_RUNNING);
    assert_true(row.started_us >= row.created_us);

    /* From the chunk that holds a record on, and not more than asked for. */
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    bytes_append_cstr(&out, "x");
    assert_ok(store_journal(h->reader, S("a"), 2, 8, &out, &first, &count, &h->error));
    assert_int_equal(first, 0);
    assert_int_equal(count, 3);
    assert_int_equal(out.len, 1 + 3 * 8);
    bytes_clear(&out);
    assert_ok(store_journal(h->reader, S("a"), 3, 9, &out, &first, &count, &h->error));
    assert_int_equal(first, 3);
    assert_int_equal(count, 51);
    bytes_clear(&out);
    assert_ok(store_journal(h->reader, S("a"), 54, 1000, &out, &first, &count, &h->error));
    assert_int_equal(first, 54);
    assert_int_equal(count, 0);
    assert_int_equal(out.len, 0);
    assert_int_equal(
        store_journal(h->reader, S("nobody"), 0, 1000, &out, &first, &count, &h->error),
        ERR_NOT_FOUND);
}

/* It takes no more. */
static void fill_with_signals(struct harness *h, const char *id)
{
    struct durable_message m = {.execution = slice_cstr(id), .name = S("x")};
    assert_ok(durable_start(h, id));
    for (int i = 0; i < 9999; i++)
        store_durable_signal(h->store, NULL, &m);
    assert_ok(durable_signal(h, id, "x", "", "", NULL));
}

static void a_refused_commit_leaves_no_trace(void **state)
{
    struct harness *h = *state;
    assert_ok(durable_start(h, "a"));
    assert_ok(durable_start(h, "b"));
    assert_ok(durable_signal(h, "a", "go", "1", "", NULL));
    assert_ok(COMMIT(h, "a", .count = 2));
    struct durable_row before = durable_get(h, "a");
    int64_t consumed = 1;
    struct durable_child children[] = {{.id = S("c1"), .workflow = S("flow")}};
    struct durable_message messages[] = {
        {.execution = S("b"), .name = S("hi"), .data = S("1")},
        {.execution = S("full"), .name = S("hi"), .data = S("1")},
    };
    fill_with_signals(h, "full");
    struct log_row line = {.level = 1, .text = S("hello")};
    struct durable_commit c = {.id = S("a"),
                               .first = 2,
                               .count = 1,
                               .sets_status = true,
                               .status = DURABLE_COMPLETED,
                               .output = S("1"),
                               .progress = S("2"),
                               .snapshot = S("snap"),
                               .signals = &consumed,
                               .signals_len = 1,
                               .children = children,
                               .children_len = 1,
                               .messages = messages,
                               .messages_len = 2,
                               .logs = &line,
                               .logs_len = 1};
    assert_int_equal(durable_commit(h, c, NULL), ERR_OVERLOAD); /* after it has written much */
    assert_text_has(h->error.message, "'full'");
    c.children_len = c.messages_len = 0;
    c.first = 1;
    assert_int_equal(durable_commit(h, c, NULL), ERR_CONFLICT); /* somebody else wrote */
    c.first = 3;
    assert_int_equal(durable_commit(h, c, NULL), ERR_CONFLICT);
    c.first = 2;
    c.id = S("nobody");
    assert_int_equal(durable_commit(h, c, NULL), ERR_NOT_FOUND);

    struct durable_row after = durable_get(h, "a");
    assert_int_equal(after.status, before.status);
    assert_int_equal(after.events, before.events);
    assert_int_equal(after.finished_us, 0);
    assert_slice(after.output, "");
    assert_slice(after.progress, "");
    assert_journal(h, "a", 2);
    assert_false(durable_is_there(h, "c1"));
    assert_int_equal(durable_get(h, "b").events, 0);
    struct durable_signal *signals;
    struct log_row *lines;
    size_t len;
    assert_ok(store_signals(h->reader, h->arena, S("a"), 0, &signals, &len, &h->error));
    assert_int_equal(len, 1);
    assert_ok(store_logs(h->reader, h->arena, S("flow"), S("a"), -1, 10, &lines, &len, &h->error));
    assert_int_equal(len, 0);
    CLEANUP(bytes_done) struct bytes snapshot = BYTES_INIT;
    int64_t records = -1;
    assert_ok(store_snapshot(h->reader, S("a"), &snapshot, &records, &h->error));
    assert_int_equal(records, 0);
    struct durable_counts counts = durable_counted(h);
    assert_int_equal(counts.by_status[DURABLE_QUEUED], 3);
    assert_int_equal(counts.by_status[DURABLE_COMPLETED], 0);
    /* And the store goes on. */
    assert_ok(COMMIT(h, "a", .first = 2, .count = 1));
}

static void the_end_is_the_end(void **state)
{
    struct harness *h = *state;
    CLEANUP(bytes_done) struct bytes snapshot = BYTES_INIT;
    int64_t records = -1;
    struct durable_signal *signals;
    size_t len;
    assert_ok(durable_start(h, "a"));
    assert_ok(durable_start(h, "b"));
    assert_ok(durable_start(h, "c"));
    assert_ok(COMMIT(h, "a", .count = 2, .snapshot = S("state"), .progress = S("50")));
    assert_ok(store_snapshot(h->reader, S("a"), &snapshot, &records, &h->error));
    assert_slice(bytes_slice(&snapshot), "state");
    assert_int_equal(records, 2);
    assert_ok(durable_signal(h, "a", "late", "1", "o", NULL));
    assert_ok(durable_end(h, "a", 2, DURABLE_COMPLETED));
    assert_ok(durable_end(h, "b", 0, DURABLE_FAILED));
    assert_ok(durable_end(h, "c", 0, DURABLE_CANCELLED));
    struct durable_row row = durable_get(h, "a");
    assert_int_equal(row.status, DURABLE_COMPLETED);
    assert_slice(row.output, "42");
    assert_slice(row.progress, "50");
    assert_true(row.finished_us >= row.started_us && row.started_us > 0);
    assert_int_equal(row.wake_us, NEVER);
    assert_slice(durable_get(h, "b").error, "{\"code\":\"guest_error\"}");
    assert_journal(h, "a", 3); /* stays, for those who look */
    bytes_clear(&snapshot);
    assert_ok(store_snapshot(h->reader, S("a"), &snapshot, &records, &h->error));
    assert_int_equal(records, 0);
    assert_ok(store_signals(h->reader, h->arena, S("a"), 0, &signals, &len, &h->error));
    assert_int_equal(len, 0);
    struct durable_counts counts = durable_counted(h);
    assert_int_equal(counts.by_status[DURABLE_QUEUED], 0);
    assert_int_equal(counts.by_status[DURABLE_COMPLETED], 1);
    assert_int_equal(counts.by_status[DURABLE_FAILED], 1);
    assert_int_equal(counts.by_status[DURABLE_CANCELLED], 1);

    assert_int_equal(COMMIT(h, "a", .first = 3, .count = 1), ERR_CONFLICT);
    assert_text_has(h->error.message, "finished already: it is completed");
    assert_int_equal(durable_signal(h, "a", "x", "1", "", NULL), ERR_CONFLICT);
    assert_int_equal(durable_cancel(h, "a"), ERR_CONFLICT);
    assert_int_equal(durable_pause(h, "a", true), ERR_CONFLICT);
    struct store_op op = HARNESS_OP(h);
    store_durable_snapshot_drop(h->store, &op, S("a"));
    assert_ok(harness_wait(h, &op));
}

/* ---- signals ---- */

static void signals_are_kept_in_order_until_taken(void **state)
{
    struct harness *h = *state;
    struct durable_signal *rows;
    size_t len;
    int64_t seq = 0;
    assert_ok(durable_start(h, "a"));
    assert_ok(durable_signal(h, "a", "x", "1", "", &seq));
    assert_int_equal(seq, 1);
    assert_ok(durable_signal(h, "a", "y", "2", "once", &seq));
    assert_int_equal(seq, 2);
    assert_ok(durable_signal(h, "a", "y", "2", "once", &seq));
    assert_int_equal(seq, 2);
    assert_ok(durable_signal(h, "a", "x", "3", "", &seq));
    assert_int_equal(seq, 3);
    assert_int_equal(durable_get(h, "a").events, 3);
    assert_ok(store_signals(h->reader, h->arena, S("a"), 0, &rows, &len, &h->error));
    assert_int_equal(len, 3);
    assert_slice(rows[1].name, "y");
    assert_slice(rows[1].data, "2");
    assert_true(rows[1].at_us > 0);
    assert_ok(store_signals(h->reader, h->arena, S("a"), 2, &rows, &len, &h->error));
    assert_int_equal(len, 1);
    assert_int_equal(rows[0].seq, 3);

    /* Taken, in any order; told twice after a crash. */
    int64_t taken[] = {2, 1, 2};
    assert_ok(COMMIT(h, "a", .count = 1, .signals = taken, .signals_len = 3));
    assert_ok(store_signals(h->reader, h->arena, S("a"), 0, &rows, &len, &h->error));
    assert_int_equal(len, 1);
    assert_ok(durable_signal(h, "a", "y", "2", "once", &seq)); /* remembered though taken */
    assert_int_equal(seq, 2);
    assert_int_equal(durable_get(h, "a").events, 3);
    assert_int_equal(durable_signal(h, "a", "", "2", "", NULL), ERR_INVALID);
    assert_int_equal(durable_signal(h, "nobody", "x", "2", "", NULL), ERR_NOT_FOUND);
    assert_false(durable_get(h, "a").is_cancel_requested);
}

/* The code was told that its child was there, and the workflow has been deleted since: as if right
 * after the start. A refusal would be for ever. */
static void a_child_of_a_deleted_workflow_is_not_made(void **state)
{
    struct harness *h = *state;
    assert_ok(durable_start(h, "a"));
    struct durable_child children[] = {{.id = S("c1"), .workflow = S("gone")},
                                       {.id = S("c2"), .workflow = S("flow")}};
    assert_ok(COMMIT(h, "a", .count = 2, .children = children, .children_len = 2));
    assert_journal(h, "a", 2);
    assert_false(durable_is_there(h, "c1"));
    assert_true(durable_is_there(h, "c2"));
    assert_int_equal(durable_get(h, "a").events, 0);
    /* Made again, without a version yet: another one. */
    struct store_op op = HARNESS_OP(h);
    store_build_start(h->store, &op, S("gone"), MODULE_WORKFLOW);
    assert_ok(harness_wait(h, &op));
    assert_ok(COMMIT(h, "a", .first = 2, .count = 1, .children = children, .children_len = 1));
    assert_false(durable_is_there(h, "c1"));
}

static void signals_not_taken_are_bounded(void **state)
{
    struct harness *h = *state;
    fill_with_signals(h, "a");
    assert_int_equal(durable_signal(h, "a", "x", "", "", NULL), ERR_OVERLOAD);
    assert_text_has(h->error.message, "'a' has 10000 signals");
    int64_t taken = 7;
    assert_ok(COMMIT(h, "a", .signals = &taken, .signals_len = 1));
    assert_ok(durable_signal(h, "a", "x", "", "", NULL));
    /* Nor in a new life, though those that it has to take again come on top. */
    assert_ok(durable_end(h, "a", 0, DURABLE_FAILED));
    struct durable_signal back = {.seq = 7, .at_us = 1, .name = S("x"), .data = S("")};
    assert_ok(durable_retry_with(h, "a", 0, 0, 0, &back, 1));
    assert_int_equal(durable_signal(h, "a", "x", "", "", NULL), ERR_OVERLOAD);
    int64_t two[] = {1, 2}, seq = 0;
    assert_ok(COMMIT(h, "a", .signals = two, .signals_len = 2));
    assert_ok(durable_signal(h, "a", "x", "", "", &seq));
    assert_int_equal(seq, 10002);
}

/* ---- what is due ---- */

static void due_ones_come_in_order(void **state)
{
    struct harness *h = *state;
    assert_ok(durable_start(h, "later"));
    assert_ok(durable_start(h, "soon"));
    assert_ok(durable_start(h, "never"));
    assert_ok(durable_start(h, "paused"));
    assert_ok(durable_start(h, "ended"));
    assert_ok(durable_start(h, "running"));
    assert_ok(durable_start(h, "queued"));
    assert_ok(durable_suspend(h, "later", 0, 2000, 0));
    assert_ok(durable_suspend(h, "soon", 0, 1000, 0));
    assert_ok(durable_suspend(h, "never", 0, NEVER, 0));
    assert_ok(durable_suspend(h, "paused", 0, 500, 0));
    assert_ok(durable_pause(h, "paused", true));
    assert_ok(durable_end(h, "ended", 0, DURABLE_COMPLETED));
    assert_ok(COMMIT(h, "running", .sets_status = true, .status = DURABLE_RUNNING));
    assert_string_equal(durable_due(h, NEVER), "running queued soon later");
    assert_string_equal(durable_due(h, 2000), "running queued soon");
    assert_string_equal(durable_due(h, 1), "running queued");
    assert_int_equal(durable_get(h, "soon").wake_us, 1000);
    assert_int_equal(durable_get(h, "never").wake_us, NEVER);

    /* The server was killed. */
    harness_close_store(h);
    assert_ok(harness_open_store(h));
    assert_string_equal(durable_due(h, NEVER), "running queued soon later");
    assert_int_equal(durable_get(h, "running").status, DURABLE_RUNNING);

    /* Pages. */
    struct durable_due *rows;
    size_t len;
    int64_t wake = 0, seq = 0;
    int pages = 0;
    while (store_due(h->reader, h->arena, NEVER, wake, seq, 1, &rows, &len, &h->error) == OK &&
           len) {
        assert_int_equal(len, 1);
        assert_true(rows[0].wake_us > wake || (rows[0].wake_us == wake && rows[0].seq > seq));
        wake = rows[0].wake_us;
        seq = rows[0].seq;
        pages++;
    }
    assert_int_equal(pages, 4);

    assert_ok(durable_pause(h, "paused", false));
    assert_ok(durable_pause(h, "paused", false));
    assert_ok(durable_cancel(h, "never"));
    assert_ok(durable_cancel(h, "never"));
    assert_int_equal(durable_get(h, "never").events, 1);
    assert_true(durable_get(h, "never").is_cancel_requested);
    assert_string_equal(durable_due(h, 1), "never paused running queued");
}

static void no_event_is_missed_by_suspending(void **state)
{
    struct harness *h = *state;
    int64_t events = -1;
    assert_ok(durable_start(h, "a"));
    assert_ok(COMMIT(h, "a", .count = 1, .sets_status = true, .status = DURABLE_RUNNING));
    assert_ok(durable_signal(h, "a", "x", "1", "", NULL));
    /* It has not seen the signal yet. */
    struct durable_commit c = {.id = S("a"),
                               .first = 1,
                               .sets_status = true,
                               .status = DURABLE_SUSPENDED,
                               .wake_us = NEVER,
                               .events_seen = 0};
    assert_ok(durable_commit(h, c, &events));
    assert_int_equal(events, 1);
    assert_string_equal(durable_due(h, 1), "a");
    c.events_seen = 1;
    assert_ok(durable_commit(h, c, &events));
    assert_string_equal(durable_due(h, NEVER), "");
    assert_ok(durable_signal(h, "a", "x", "2", "", NULL));
    assert_string_equal(durable_due(h, 1), "a");
    assert_int_equal(durable_get(h, "a").status, DURABLE_SUSPENDED);
    /* While paused nothing makes it due; resuming does. */
    assert_ok(durable_pause(h, "a", true));
    assert_int_equal(durable_counted(h).paused, 1);
    c.events_seen = 2;
    assert_ok(durable_commit(h, c, &events)); /* what ran on may still suspend */
    assert_ok(durable_signal(h, "a", "x", "3", "", NULL));
    assert_string_equal(durable_due(h, NEVER), "");
    assert_true(durable_get(h, "a").is_paused);
    assert_ok(durable_pause(h, "a", false));
    assert_string_equal(durable_due(h, 1), "a");
    assert_int_equal(durable_counted(h).paused, 0);
    assert_ok(durable_pause(h, "a", true));
    assert_ok(durable_end(h, "a", 1, DURABLE_CANCELLED));
    assert_int_equal(durable_counted(h).paused, 0);
}

/* ---- children and messages ---- */

static void children_run_the_serving_version(void **state)
{
    struct harness *h = *state;
    assert_ok(workflow_make(h, "other", "export default 1"));
    assert_ok(workflow_make(h, "other", "export default 2"));
    assert_ok(durable_start(h, "p"));
    struct durable_child children[] = {{.id = S("c"),
                                        .workflow = S("other"),
                                        .export_name = S("x"),
                                        .key = S("y"),
                                        .input = S("3")},
                                       {.id = S("d"), .workflow = S("flow")}};
    assert_ok(COMMIT(h, "p", .count = 1, .children = children, .children_len = 2));
    struct durable_row row = durable_get(h, "c");
    assert_int_equal(row.version, 2);
    assert_slice(row.workflow, "other");
    assert_slice(row.parent, "p");
    assert_slice(row.export_name, "x");
    assert_slice(row.key, "y");
    assert_slice(row.input, "3");
    assert_int_equal(durable_counted(h).by_status[DURABLE_QUEUED], 3);
    /* Told again after a crash. */
    assert_ok(COMMIT(h, "p", .first = 1, .count = 1, .children = children, .children_len = 2));
    assert_int_equal(durable_counted(h).by_status[DURABLE_QUEUED], 3);
    assert_int_equal(durable_get(h, "p").events, 0);

    assert_ok(durable_suspend(h, "p", 2, NEVER, 0));
    assert_string_equal(durable_due(h, 1), "c d");
    assert_ok(durable_end(h, "c", 0, DURABLE_COMPLETED));
    assert_int_equal(durable_get(h, "p").events, 1);
    assert_string_equal(durable_due(h, 1), "p d");
    assert_ok(durable_end(h, "p", 3, DURABLE_COMPLETED));
    assert_ok(durable_end(h, "d", 0, DURABLE_FAILED)); /* its parent has gone on without it */
    assert_int_equal(durable_get(h, "p").events, 1);
}

/* Only those that run, and each once. */
static void a_cancel_goes_to_the_children(void **state)
{
    struct harness *h = *state;
    struct durable_child children[] = {{.id = S("c1"), .workflow = S("flow")},
                                       {.id = S("c2"), .workflow = S("flow")},
                                       {.id = S("c3"), .workflow = S("flow")}};
    assert_ok(durable_start(h, "p"));
    assert_ok(durable_start(h, "stranger"));
    assert_ok(COMMIT(h, "p", .count = 1, .children = children, .children_len = 3));
    assert_ok(durable_suspend(h, "c1", 0, NEVER, 0));
    assert_ok(durable_end(h, "c2", 0, DURABLE_COMPLETED));
    assert_ok(durable_cancel(h, "c3"));
    assert_ok(COMMIT(h, "p", .first = 1, .count = 1, .cancels_children = true));
    assert_true(durable_get(h, "c1").is_cancel_requested);
    assert_int_equal(durable_get(h, "c1").wake_us, 0);
    assert_int_equal(durable_get(h, "c1").events, 1);
    assert_false(durable_get(h, "c2").is_cancel_requested);
    assert_int_equal(durable_get(h, "c3").events, 1);
    assert_false(durable_get(h, "stranger").is_cancel_requested);
    assert_false(durable_get(h, "p").is_cancel_requested);
}

/* startChild() with a key that somebody else has used: both learn of the end. */
static void a_child_of_somebody_else_is_waited_for(void **state)
{
    struct harness *h = *state;
    struct durable_child child = {.id = S("c"), .workflow = S("flow")};
    assert_ok(durable_start(h, "c"));
    assert_ok(durable_start(h, "p"));
    assert_ok(durable_start(h, "q"));
    assert_ok(COMMIT(h, "p", .count = 1, .children = &child, .children_len = 1));
    assert_ok(COMMIT(h, "q", .count = 1, .children = &child, .children_len = 1));
    assert_slice(durable_get(h, "c").parent, "");
    assert_ok(durable_suspend(h, "p", 1, NEVER, 0));
    assert_ok(durable_suspend(h, "q", 1, NEVER, 0));
    assert_string_equal(durable_due(h, NEVER), "c");
    assert_ok(durable_end(h, "c", 0, DURABLE_COMPLETED));
    assert_string_equal(durable_due(h, NEVER), "p q");
    /* It has ended already: who starts it now is not left to wait. */
    assert_ok(durable_start(h, "r"));
    assert_ok(COMMIT(h, "r", .count = 1, .children = &child, .children_len = 1, .sets_status = true,
                     .status = DURABLE_SUSPENDED, .wake_us = NEVER));
    assert_string_equal(durable_due(h, NEVER), "p q r");
}

static void messages_go_with_the_records(void **state)
{
    struct harness *h = *state;
    struct durable_signal *rows;
    size_t len;
    assert_ok(durable_start(h, "a"));
    assert_ok(durable_start(h, "b"));
    assert_ok(durable_start(h, "ended"));
    assert_ok(durable_suspend(h, "b", 0, NEVER, 0));
    assert_ok(durable_end(h, "ended", 0, DURABLE_COMPLETED));
    struct durable_message messages[] = {
        {.execution = S("b"), .name = S("x"), .data = S("1"), .once = S("a-1")},
        {.execution = S("ended"), .name = S("x"), .data = S("1")},
        {.execution = S("nobody"), .name = S("x"), .data = S("1")},
        {.execution = S("a"), .name = S("self"), .data = S("2")},
        {.execution = S("b")}};
    for (int i = 0; i < 2; i++)
        assert_ok(COMMIT(h, "a", .first = i, .count = 1, .messages = messages,
                         .messages_len = i ? 1 : 5));
    assert_ok(store_signals(h->reader, h->arena, S("b"), 0, &rows, &len, &h->error));
    assert_int_equal(len, 1);
    assert_slice(rows[0].data, "1");
    assert_ok(store_signals(h->reader, h->arena, S("a"), 0, &rows, &len, &h->error));
    assert_int_equal(len, 1);
    assert_slice(rows[0].name, "self");
    assert_true(durable_get(h, "b").is_cancel_requested);
    assert_int_equal(durable_get(h, "b").events, 2);
    assert_int_equal(durable_get(h, "a").events, 1);
    assert_string_equal(durable_due(h, 1), "a b");
}

static void lines_are_in_the_log_of_the_execution(void **state)
{
    struct harness *h = *state;
    struct log_row *rows;
    size_t len;
    assert_ok(durable_start(h, "a"));
    struct log_row lines[] = {{.level = 1, .at_us = 5, .text = S("one")},
                              {.level = 2, .text = S("two")}};
    assert_ok(COMMIT(h, "a", .count = 1, .logs = lines, .logs_len = 2, .lines = 2));
    assert_int_equal(durable_get(h, "a").lines, 2);
    assert_ok(COMMIT(h, "a", .first = 1, .count = 1));
    assert_int_equal(durable_get(h, "a").lines, 2); /* unchanged */
    assert_ok(store_logs(h->reader, h->arena, S("flow"), S("a"), -1, 10, &rows, &len, &h->error));
    assert_int_equal(len, 2);
    assert_slice(rows[0].text, "one");
    assert_slice(rows[0].execution, "a");
    assert_slice(rows[0].function, "flow");
    assert_int_equal(rows[0].at_us, 5);
    assert_int_equal(rows[1].level, 2);
    assert_true(rows[1].at_us > 5);
}

/* ---- lists ---- */

static void statuses_have_texts(void **state)
{
    enum durable_status s = DURABLE_QUEUED;
    for (int i = 0; i <= DURABLE_CANCELLED; i++) {
        assert_true(
            durable_status_read(slice_cstr(durable_status_text((enum durable_status)i)), &s));
        assert_int_equal(s, i);
    }
    assert_false(durable_status_read(S("success"), &s));
    assert_string_equal(durable_status_text(DURABLE_CANCELLED), "cancelled");
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, durable_setup, harness_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_start_is_made_once),
        TEST(only_a_workflow_with_a_version_starts),
        TEST(a_version_is_pinned_at_the_start),
        TEST(records_are_appended_in_order),
        TEST(a_refused_commit_leaves_no_trace),
        TEST(the_end_is_the_end),
        TEST(signals_are_kept_in_order_until_taken),
        TEST(a_child_of_a_deleted_workflow_is_not_made),
        TEST(signals_not_taken_are_bounded),
        TEST(due_ones_come_in_order),
        TEST(no_event_is_missed_by_suspending),
        TEST(children_run_the_serving_version),
        TEST(a_cancel_goes_to_the_children),
        TEST(a_child_of_somebody_else_is_waited_for),
        TEST(messages_go_with_the_records),
        TEST(lines_are_in_the_log_of_the_execution),
        TEST(statuses_have_texts),
    };
    return cmocka_run_group_tests_name("durable", tests, NULL, NULL);
}
