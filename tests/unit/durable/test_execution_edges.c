/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes wrong or is rare: code that differs from its journal, journals that cannot be read,
 * records that only the module's database has, checks, limits. */
#include "world.h"

/* ---- divergence ---- */

static void assert_diverged(struct world *w, int64_t record, uint32_t id, const char *recorded,
                            const char *did)
{
    assert_int_equal(execution_state(w->x), EXECUTION_HAS_DIVERGED);
    const struct execution_divergence *d = execution_divergence(w->x);
    assert_non_null(d);
    assert_string_equal(d->recorded, recorded);
    assert_string_equal(d->did, did);
    assert_int_equal(d->record, record);
    assert_int_equal(d->id, id);
    assert_int_equal(execution_error(w->x)->code, ERR_DIVERGED);
    assert_non_null(strstr(execution_error(w->x)->message, did));
    /* Nothing works any more. */
    char got[64];
    assert_int_equal(world_sync(w, "dice", "4", got), EXECUTION_DIVERGED);
    assert_rests(w);
    execution_finish(w->x, OK, SLICE_EMPTY);
    assert_int_equal(execution_state(w->x), EXECUTION_HAS_DIVERGED);
    assert_false(execution_has_batch(w->x));
}

/* START, SYNC dice, DONE 1 a, DONE 3 c; 2 is pending. */
static void record_some(struct world *w)
{
    assert_sync(w, EXECUTION_LIVE, "dice", "4", "4");
    for (uint32_t id = 1; id <= 3; id++)
        assert_start(w, EXECUTION_EXTERNAL, letters[id - 1], id);
    execution_arrive(w->x, 1, OK, SLICE_LIT("A"));
    execution_arrive(w->x, 3, OK, SLICE_LIT("C"));
    assert_done(w, 1, OK, "A");
    assert_done(w, 3, OK, "C");
    world_commit(w);
    world_crash(w);
}

static void another_sync_op_diverges(void **state)
{
    struct world *w = *state;
    char got[64];
    record_some(w);
    assert_int_equal(world_sync(w, "coin", "1", got), EXECUTION_DIVERGED);
    assert_diverged(w, 1, 0, "random \"dice\"", "random \"coin\"");
}

static void other_arguments_diverge(void **state)
{
    struct world *w = *state;
    struct execution_result r;
    record_some(w);
    assert_int_equal(execution_sync(w->x, WORLD_OP_SYNC, 1, SLICE_LIT("dice"), &r),
                     EXECUTION_DIVERGED);
    assert_diverged(w, 1, 0, "random \"dice\"", "random \"dice\" with other arguments");
}

static void a_call_instead_of_a_sync_op_diverges(void **state)
{
    struct world *w = *state;
    record_some(w);
    assert_start(w, EXECUTION_EXTERNAL, "a", 1);
    assert_rests(w);
    assert_diverged(w, 1, 1, "random \"dice\"", "waits for call \"a\"");
}

static void a_sync_op_instead_of_a_completion_diverges(void **state)
{
    struct world *w = *state;
    char got[64];
    record_some(w);
    assert_sync(w, EXECUTION_REPLAYED, "dice", "", "4");
    assert_start(w, EXECUTION_EXTERNAL, "a", 1);
    assert_int_equal(world_sync(w, "dice", "4", got), EXECUTION_DIVERGED);
    assert_diverged(w, 2, 0, "call \"a\"", "random \"dice\"");
}

static void another_call_diverges_at_its_completion(void **state)
{
    struct world *w = *state;
    record_some(w);
    assert_sync(w, EXECUTION_REPLAYED, "dice", "", "4");
    assert_start(w, EXECUTION_EXTERNAL, "x", 1);
    assert_start(w, EXECUTION_EXTERNAL, "b", 2);
    assert_rests(w);
    assert_diverged(w, 2, 1, "call \"a\"", "call \"x\"");
}

static void fewer_calls_diverge(void **state)
{
    struct world *w = *state;
    record_some(w);
    assert_sync(w, EXECUTION_REPLAYED, "dice", "", "4");
    assert_start(w, EXECUTION_EXTERNAL, "a", 1);
    assert_start(w, EXECUTION_EXTERNAL, "b", 2);
    assert_done(w, 1, OK, "A");
    assert_rests(w);
    assert_diverged(w, 3, 2, "call \"c\"", "waits for call \"b\"");
}

static void a_call_given_up_diverges(void **state)
{
    struct world *w = *state;
    record_some(w);
    assert_sync(w, EXECUTION_REPLAYED, "dice", "", "4");
    assert_start(w, EXECUTION_EXTERNAL, "a", 1);
    execution_cancel_call(w->x, 1);
    assert_done(w, 1, ERR_CANCELLED, "cancelled");
    assert_rests(w);
    assert_diverged(w, 2, 0, "call \"a\"", "waits for nothing");
}

static void ending_early_diverges(void **state)
{
    static const struct {
        uint32_t status;
        const char *did;
    } ends[] = {{OK, "returned"}, {ERR_GUEST, "failed"}, {ERR_CANCELLED, "ended as cancelled"}};
    struct world *w = *state;
    record_some(w);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        assert_sync(w, EXECUTION_REPLAYED, "dice", "", "4");
        execution_finish(w->x, ends[i].status, SLICE_LIT("1"));
        assert_diverged(w, 2, 0, "call \"a\"", ends[i].did);
        world_crash(w);
    }
}

static void ending_otherwise_diverges(void **state)
{
    struct world *w = *state;
    assert_start(w, EXECUTION_EXTERNAL, "a", 1);
    execution_finish(w->x, OK, SLICE_LIT("42"));
    world_commit(w);
    world_crash(w);
    execution_finish(w->x, OK, SLICE_LIT("43"));
    assert_diverged(w, 1, 0, "end: completed", "returned another value");
    world_crash(w);
    execution_finish(w->x, ERR_GUEST, SLICE_LIT("{}"));
    assert_diverged(w, 1, 0, "end: completed", "failed");
    world_crash(w);
    assert_start(w, EXECUTION_EXTERNAL, "a", 1);
    assert_rests(w);
    assert_diverged(w, 1, 1, "end: completed", "waits for call \"a\"");
}

static void an_attempt_of_another_call_diverges(void **state)
{
    struct world *w = *state;
    struct execution_call step = world_call(EXECUTION_STEP, "s");
    step.retry.attempts_max = 2;
    const uint32_t scope = assert_call(w, &step, 1);
    execution_step_done(w->x, scope, ERR_GUEST, false, SLICE_EMPTY, SLICE_LIT("no"));
    world_commit(w);
    world_crash(w);
    assert_start(w, EXECUTION_EXTERNAL, "t", 1);
    assert_rests(w);
    assert_diverged(w, 1, 1, "a failed attempt of call \"s\"", "call \"t\"");
    world_crash(w); /* and never called */
    assert_rests(w);
    assert_diverged(w, 1, 0, "a failed attempt of call \"s\"", "waits for nothing");
}

static void ops_without_names_are_shown_by_number(void **state)
{
    struct world *w = *state;
    char got[64];
    w->port.op_text = NULL;
    record_some(w);
    assert_int_equal(world_sync(w, "coin", "1", got), EXECUTION_DIVERGED);
    assert_diverged(w, 1, 0, "op 3 \"dice\"", "op 3 \"coin\"");
}

static void a_call_can_be_stopped_at_for_its_stack(void **state)
{
    struct world *w = *state;
    uint32_t id, scope;
    struct error error;
    record_some(w);
    execution_free(w->x);
    struct execution_config config = world_config(w);
    config.break_id = 2;
    w->x = execution_new(&config);
    assert_sync(w, EXECUTION_REPLAYED, "dice", "", "4");
    assert_start(w, EXECUTION_EXTERNAL, "a", 1);
    const struct execution_call call = world_call(EXECUTION_EXTERNAL, "b");
    assert_int_equal(execution_call(w->x, &call, &id, &scope, &error), ERR_DIVERGED);
}

/* ---- checks ---- */

static void open_check(struct world *w)
{
    execution_free(w->x);
    struct execution_config config = world_config(w);
    config.is_check = true;
    w->x = execution_new(&config);
}

static void a_check_ends_where_it_would_go_live(void **state)
{
    struct world *w = *state;
    char got[64];
    record_some(w);
    for (int round = 0; round < 3; round++) {
        open_check(w);
        assert_sync(w, EXECUTION_REPLAYED, "dice", "", "4");
        for (uint32_t id = 1; id <= 3; id++)
            assert_start(w, EXECUTION_EXTERNAL, letters[id - 1], id);
        assert_done(w, 1, OK, "A");
        assert_done(w, 3, OK, "C");
        assert_int_equal(execution_state(w->x), EXECUTION_REPLAYING);
        switch (round) {
        case 0:
            assert_rests(w);
            break;
        case 1:
            assert_int_equal(world_sync(w, "dice", "4", got), EXECUTION_DIVERGED);
            break;
        default:
            execution_finish(w->x, OK, SLICE_LIT("1"));
        }
        assert_int_equal(execution_state(w->x), EXECUTION_AGREED);
        assert_null(execution_divergence(w->x));
        assert_false(execution_has_batch(w->x));
        assert_diary(w, "");
    }
}

static void a_check_agrees_with_an_ended_journal(void **state)
{
    struct world *w = *state;
    assert_sync(w, EXECUTION_LIVE, "dice", "4", "4");
    execution_finish(w->x, OK, SLICE_LIT("42"));
    world_commit(w);
    open_check(w);
    assert_sync(w, EXECUTION_REPLAYED, "dice", "", "4");
    execution_finish(w->x, OK, SLICE_LIT("42"));
    assert_int_equal(execution_state(w->x), EXECUTION_AGREED);
    open_check(w);
    assert_rests(w);
    assert_int_equal(execution_state(w->x), EXECUTION_HAS_DIVERGED);
}

static void a_check_of_an_empty_journal_agrees(void **state)
{
    struct world *w = *state;
    open_check(w);
    assert_start(w, EXECUTION_STEP, "s", 1);
    assert_rests(w);
    assert_int_equal(execution_state(w->x), EXECUTION_AGREED);
    assert_false(execution_has_batch(w->x));
}

static void a_prefix_of_a_journal_is_a_journal(void **state)
{
    struct world *w = *state;
    record_some(w);
    w->stored = 3; /* a fork: cut after the completion of 1 */
    w->journal.len = record_prefix(bytes_slice(&w->journal), 3).len;
    world_crash(w);
    assert_sync(w, EXECUTION_REPLAYED, "dice", "", "4");
    for (uint32_t id = 1; id <= 3; id++)
        assert_start(w, EXECUTION_EXTERNAL, letters[id - 1], id);
    assert_done(w, 1, OK, "A");
    assert_rests(w);
    assert_diary(w, "start 2 b; start 3 c; ");
}

/* ---- journals that cannot be read ---- */

static void assert_broken(struct world *w, enum err code, const char *says)
{
    assert_int_equal(execution_state(w->x), EXECUTION_BROKEN);
    assert_int_equal(execution_error(w->x)->code, code);
    assert_non_null(strstr(execution_error(w->x)->message, says));
    assert_null(execution_divergence(w->x));
    char got[64];
    assert_int_equal(world_sync(w, "dice", "4", got), EXECUTION_DIVERGED);
    assert_rests(w);
}

static void a_disk_error_breaks_it(void **state)
{
    struct world *w = *state;
    record_some(w);
    w->fails_reading = true;
    world_crash(w);
    assert_broken(w, ERR_IO, "the disk is gone");
}

/* START, SYNC dice and DONE 1 are here (three at once), DONE 3 is not. */
static void what_is_not_here_yet_is_waited_for_at_rest(void **state)
{
    struct world *w = *state;
    record_some(w);
    w->here = 3;
    world_crash(w);
    assert_true(execution_is_behind(w->x));
    assert_sync(w, EXECUTION_REPLAYED, "dice", "", "4");
    for (uint32_t id = 1; id <= 3; id++)
        assert_start(w, EXECUTION_EXTERNAL, letters[id - 1], id);
    assert_done(w, 1, OK, "A");
    assert_rests(w);
    assert_rests(w); /* and again: nothing is lost */
    assert_int_equal(execution_state(w->x), EXECUTION_REPLAYING);
    assert_false(execution_is_idle(w->x));
    assert_int_equal(execution_wake_us(w->x), EXECUTION_NEVER);
    w->here = INT64_MAX;
    assert_false(execution_is_behind(w->x));
    assert_done(w, 3, OK, "C");
    assert_rests(w);
    assert_int_equal(execution_state(w->x), EXECUTION_IS_LIVE);
    assert_false(execution_is_behind(w->x));
}

/* It should have stood still: what it asks for is not here, and it cannot wait. That can pass. */
static void a_sync_op_cannot_wait_for_its_record(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 5; i++)
        assert_sync(w, EXECUTION_LIVE, "dice", "4", "4");
    world_commit(w);
    w->here = 3;
    world_crash(w);
    assert_sync(w, EXECUTION_REPLAYED, "dice", "", "4");
    assert_sync(w, EXECUTION_REPLAYED, "dice", "", "4");
    assert_true(execution_is_behind(w->x));
    char got[64];
    assert_int_equal(world_sync(w, "dice", "4", got), EXECUTION_DIVERGED);
    assert_int_equal(execution_state(w->x), EXECUTION_BROKEN);
    assert_int_equal(execution_error(w->x)->code, ERR_UNAVAILABLE);
    assert_true(error_is_retryable(execution_error(w->x)->code));
    w->here = INT64_MAX;
    world_crash(w);
    for (int i = 0; i < 5; i++)
        assert_sync(w, EXECUTION_REPLAYED, "dice", "", "4");
}

static void a_short_journal_breaks_it(void **state)
{
    struct world *w = *state;
    record_some(w);
    w->stored++;
    world_crash(w);
    assert_sync(w, EXECUTION_REPLAYED, "dice", "", "4");
    for (uint32_t id = 1; id <= 3; id++)
        assert_start(w, EXECUTION_EXTERNAL, letters[id - 1], id);
    assert_done(w, 1, OK, "A");
    assert_done(w, 3, OK, "C");
    assert_rests(w);
    assert_broken(w, ERR_CORRUPT, "ends at record 4 of 5");
}

static void a_damaged_record_breaks_it(void **state)
{
    struct world *w = *state;
    record_some(w);
    w->journal.ptr[record_prefix(bytes_slice(&w->journal), 2).len - 1] ^= 1;
    world_crash(w);
    char got[64];
    assert_int_equal(world_sync(w, "dice", "", got), EXECUTION_DIVERGED);
    assert_broken(w, ERR_CORRUPT, "record 1");
}

static void a_journal_begins_with_a_start(void **state)
{
    struct world *w = *state;
    bytes_clear(&w->journal);
    record_append(&(struct record){.kind = RECORD_CANCEL}, &w->journal);
    w->stored = 1;
    world_crash(w);
    assert_broken(w, ERR_CORRUPT, "cancel");
}

/* ---- the tail ---- */

static void open_tail(struct world *w, struct slice tail, int64_t first)
{
    execution_free(w->x);
    bytes_clear(&w->diary);
    struct execution_config config = world_config(w);
    config.tail = tail;
    config.tail_first = first;
    w->x = execution_new(&config);
}

static void records_of_the_tail_are_stored_again(void **state)
{
    struct world *w = *state;
    int64_t first;
    assert_sync(w, EXECUTION_LIVE, "dice", "4", "4");
    assert_start(w, EXECUTION_EVENT, "go", 1);
    execution_signal(w->x, 7, 5, SLICE_LIT("go"), SLICE_LIT("true"));
    struct execution_delivery d;
    assert_true(execution_next(w->x, &d));
    assert_sync(w, EXECUTION_LIVE, "sql", "1 row", "1 row");
    CLEANUP(bytes_done) struct bytes tail = BYTES_INIT;
    bytes_append_slice(&tail, execution_tail(w->x, &first));
    assert_int_equal(first, 0);
    assert_int_equal(record_count(bytes_slice(&tail)), 4);
    /* Nothing was stored, the START neither. The store still has the signal, and gives it before
     * or after it is replayed. */
    for (int when = 0; when < 3; when++) {
        open_tail(w, bytes_slice(&tail), first);
        if (when == 0)
            execution_signal(w->x, 7, 5, SLICE_LIT("go"), SLICE_LIT("true"));
        assert_int_equal(execution_end(w->x), 4);
        assert_sync(w, EXECUTION_REPLAYED, "dice", "5", "4");
        assert_true(execution_is_tail(w->x));
        execution_effect(w->x, &(struct execution_effect){.kind = EXECUTION_PUBLISH});
        assert_start(w, EXECUTION_EVENT, "go", 1);
        assert_true(execution_next(w->x, &d));
        assert_int_equal(d.id, 1);
        assert_int_equal(d.payload.len, 8 + 4 + 4);
        assert_sync(w, EXECUTION_REPLAYED, "sql", "", "1 row");
        if (when == 1)
            execution_signal(w->x, 7, 5, SLICE_LIT("go"), SLICE_LIT("true"));
        assert_start(w, EXECUTION_EVENT, "go", 2);
        assert_rests(w);
        if (when == 2)
            execution_signal(w->x, 7, 5, SLICE_LIT("go"), SLICE_LIT("true"));
        execution_signal(w->x, 7, 5, SLICE_LIT("go"), SLICE_LIT("true"));
        assert_rests(w);
        execution_signal(w->x, 8, 5, SLICE_LIT("go"), SLICE_LIT("2"));
        assert_true(execution_next(w->x, &d));
        assert_int_equal(d.id, 2);
        struct execution_batch *b = execution_take(w->x);
        assert_int_equal(b->first, 0);
        assert_int_equal(b->count, 5);
        assert_int_equal(b->effects_len, 1);
        assert_int_equal(b->signals_len, 2);
        assert_int_equal(b->signals[0], 7);
        assert_int_equal(b->signals[1], 8);
        assert_memory_equal(b->records.ptr, tail.ptr, tail.len);
        execution_batch_free(b);
    }
}

static void what_the_store_has_of_the_tail_is_skipped(void **state)
{
    struct world *w = *state;
    int64_t first;
    for (int i = 0; i < 3; i++)
        assert_sync(w, EXECUTION_LIVE, "dice", "4", "4");
    CLEANUP(bytes_done) struct bytes tail = BYTES_INIT;
    bytes_append_slice(&tail, execution_tail(w->x, &first));
    world_commit(w);
    const size_t half = record_prefix(bytes_slice(&w->journal), 2).len;
    for (int64_t stored = 4; stored >= 2; stored -= 2) {
        w->stored = stored;
        w->journal.len = stored == 4 ? w->journal.len : half;
        open_tail(w, bytes_slice(&tail), 0);
        for (int64_t i = 1; i < 4; i++) {
            assert_sync(w, EXECUTION_REPLAYED, "dice", "5", "4");
            assert_int_equal(execution_is_tail(w->x), i >= stored);
        }
        assert_sync(w, EXECUTION_LIVE, "dice", "5", "5");
        struct execution_batch *b = execution_take(w->x);
        assert_int_equal(b->first, stored);
        assert_int_equal(b->count, 5 - stored);
        execution_batch_free(b);
    }
}

static void a_bad_tail_breaks_it(void **state)
{
    struct world *w = *state;
    int64_t first;
    CLEANUP(bytes_done) struct bytes tail = BYTES_INIT;
    bytes_append_slice(&tail, execution_tail(w->x, &first));
    open_tail(w, bytes_slice(&tail), 1);
    assert_broken(w, ERR_CORRUPT, "has more from number 1");
    open_tail(w, slice_of(tail.ptr, tail.len - 1), 0);
    assert_broken(w, ERR_CORRUPT, "malformed");
    tail.ptr[tail.len - 1] ^= 1;
    open_tail(w, bytes_slice(&tail), 0);
    assert_broken(w, ERR_CORRUPT, "checksum");
}

/* ---- limits ---- */

static void too_many_calls_at_once_are_refused(void **state)
{
    struct world *w = *state;
    const struct execution_call call = world_call(EXECUTION_TIMER, "t");
    uint32_t id, scope;
    struct error error;
    for (uint32_t i = 1; i <= EXECUTION_CALLS_MAX; i++)
        assert_call(w, &call, i);
    assert_int_equal(execution_call(w->x, &call, &id, &scope, &error), ERR_LIMIT_OPS);
    assert_non_null(strstr(error.message, "10000"));
    execution_cancel_call(w->x, 5);
    assert_int_equal(execution_call(w->x, &call, &id, &scope, &error), ERR_LIMIT_OPS);
    assert_done(w, 5, ERR_CANCELLED, "cancelled");
    assert_call(w, &call, EXECUTION_CALLS_MAX + 1);
}

static void too_large_values_are_refused(void **state)
{
    struct world *w = *state;
    char *large = calloc(1, EXECUTION_VALUE_BYTES_MAX + 1);
    assert_non_null(large);
    const struct slice value = slice_of(large, EXECUTION_VALUE_BYTES_MAX + 1);
    struct execution_call call = world_call(EXECUTION_EXTERNAL, "a");
    struct execution_delivery d;
    struct error error;
    uint32_t id, scope;
    assert_call(w, &call, 1);
    execution_arrive(w->x, 1, OK, value);
    assert_true(execution_next(w->x, &d));
    assert_int_equal(d.status, ERR_TOO_LARGE);
    call.args = value;
    assert_int_equal(execution_call(w->x, &call, &id, &scope, &error), ERR_TOO_LARGE);
    struct execution_call step = world_call(EXECUTION_STEP, "s");
    step.retry.attempts_max = 3;
    scope = assert_call(w, &step, 2);
    execution_step_done(w->x, scope, OK, false, value, SLICE_EMPTY);
    assert_true(execution_next(w->x, &d));
    assert_int_equal(d.status, ERR_TOO_LARGE);
    call.args = slice_of(large, EXECUTION_VALUE_BYTES_MAX);
    assert_call(w, &call, 3);
    free(large);
}

static void nothing_is_delivered_while_too_much_is_not_stored(void **state)
{
    struct world *w = *state;
    char *large = calloc(1, EXECUTION_VALUE_BYTES_MAX);
    assert_non_null(large);
    struct execution_delivery d;
    uint32_t id = 0;
    do {
        assert_start(w, EXECUTION_EXTERNAL, "a", ++id);
        execution_arrive(w->x, id, OK, slice_of(large, EXECUTION_VALUE_BYTES_MAX));
    } while (execution_next(w->x, &d));
    free(large);
    assert_int_equal(id, EXECUTION_UNSTORED_BYTES_MAX / EXECUTION_VALUE_BYTES_MAX + 1);
    assert_false(execution_is_idle(w->x));
    const size_t runnables = w->runnables;
    world_commit(w);
    assert_int_equal(w->runnables, runnables + 1);
    assert_true(execution_next(w->x, &d));
    assert_int_equal(d.id, id);
}

static void say(struct world *w, enum execution_effect_kind kind, size_t len)
{
    char *text = calloc(1, len + 1);
    assert_non_null(text);
    execution_effect(w->x, &(struct execution_effect){.kind = kind, .value = slice_of(text, len)});
    free(text);
}

/* Nothing is delivered, and still: synchronous records and effects pile up. */
static void code_that_runs_on_is_told_that_it_is_full(void **state)
{
    struct world *w = *state;
    struct execution_delivery d;
    world_commit(w);
    assert_int_equal(execution_unstored_bytes(w->x), 0);
    size_t lines = 0;
    for (; !execution_is_full(w->x); lines++)
        say(w, EXECUTION_LOG, 16 * 1024);
    assert_true(lines <= EXECUTION_UNSTORED_BYTES_MAX / (16 * 1024) + 1);
    assert_false(execution_is_overfull(w->x));
    assert_start(w, EXECUTION_EXTERNAL, "a", 1);
    execution_arrive(w->x, 1, OK, SLICE_LIT("1"));
    assert_false(execution_next(w->x, &d));
    /* What was taken is not stored yet. */
    struct execution_batch *b = execution_take(w->x);
    assert_true(execution_is_full(w->x));
    const size_t runnables = w->runnables;
    execution_committed(w->x, w->stored, b->effect_bytes);
    execution_batch_free(b);
    assert_int_equal(execution_unstored_bytes(w->x), 0);
    assert_int_equal(w->runnables, runnables + 1);
    assert_true(execution_next(w->x, &d));
    /* Empty lines, and records without a value, take room, too. */
    while (!execution_is_full(w->x)) {
        say(w, EXECUTION_LOG, 0);
        assert_sync(w, EXECUTION_LIVE, "dice", "4", "4");
    }
    while (!execution_is_overfull(w->x))
        say(w, EXECUTION_SEND_SIGNAL, EXECUTION_VALUE_BYTES_MAX);
    assert_true(execution_unstored_bytes(w->x) <
                EXECUTION_UNSTORED_BYTES_LIMIT + 2 * EXECUTION_VALUE_BYTES_MAX);
    world_commit(w);
    assert_false(execution_is_full(w->x));
}

static void of_progress_the_last_is_stored(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 1000; i++)
        say(w, EXECUTION_PUBLISH, 64 * 1024);
    assert_false(execution_is_full(w->x));
    say(w, EXECUTION_LOG, 1);
    execution_effect(
        w->x, &(struct execution_effect){.kind = EXECUTION_PUBLISH, .value = SLICE_LIT("last")});
    struct execution_batch *b = world_take(w);
    assert_int_equal(b->effects_len, 2);
    assert_true(slice_eq_cstr(b->effects[0].value, "last"));
    execution_batch_free(b);
    assert_int_equal(execution_unstored_bytes(w->x), 0);
    execution_effect(
        w->x, &(struct execution_effect){.kind = EXECUTION_PUBLISH, .value = SLICE_LIT("next")});
    b = world_take(w);
    assert_int_equal(b->effects_len, 1);
    assert_true(slice_eq_cstr(b->effects[0].value, "next"));
    execution_batch_free(b);
}

/* 10,000 at once: this is quick unless something walks over all of them each time. */
static void wide_fans_are_not_quadratic(void **state)
{
    struct world *w = *state;
    struct execution_delivery d;
    w->read_max = 5000;
    for (int round = 0; round < 2; round++) {
        for (uint32_t id = 1; id <= EXECUTION_CALLS_MAX; id++)
            assert_start(w, (enum execution_kind)(id % 2 ? EXECUTION_EXTERNAL : EXECUTION_EVENT),
                         "a", id);
        for (uint32_t id = EXECUTION_CALLS_MAX; id > 0 && round == 0; id--) {
            execution_arrive(w->x, id, OK, SLICE_LIT("A"));
            if (id % 2 == 0)
                execution_signal(w->x, EXECUTION_CALLS_MAX - id + 1, 0, SLICE_LIT("a"),
                                 SLICE_LIT("1"));
        }
        for (uint32_t i = 0; i < EXECUTION_CALLS_MAX; i++)
            assert_true(execution_next(w->x, &d));
        assert_rests(w);
        world_commit(w);
        world_crash(w);
    }
}

/* A commit of the module's database may fail while one of the store's arrives, which drops what it
 * has stored from the log. */
static void the_last_record_can_be_undone_after_others_are_stored(void **state)
{
    struct world *w = *state;
    char long_text[64];
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    for (int k = 0; k < 20; k++)
        assert_sync(w, EXECUTION_LIVE, "dice", long_text, long_text);
    struct execution_batch *b = world_take_only(w);
    assert_sync(w, EXECUTION_LIVE, "coin", "1", "1");
    world_stored(w, b);
    execution_batch_free(b);
    execution_sync_undo(w->x);
    assert_false(execution_has_batch(w->x));
    assert_sync(w, EXECUTION_LIVE, "coin", "2", "2");
    world_commit(w);
    world_crash(w);
    for (int k = 0; k < 20; k++)
        assert_sync(w, EXECUTION_REPLAYED, "dice", "", long_text);
    assert_sync(w, EXECUTION_REPLAYED, "coin", "", "2");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(another_sync_op_diverges),
        T(other_arguments_diverge),
        T(a_call_instead_of_a_sync_op_diverges),
        T(a_sync_op_instead_of_a_completion_diverges),
        T(another_call_diverges_at_its_completion),
        T(fewer_calls_diverge),
        T(a_call_given_up_diverges),
        T(ending_early_diverges),
        T(ending_otherwise_diverges),
        T(an_attempt_of_another_call_diverges),
        T(ops_without_names_are_shown_by_number),
        T(a_call_can_be_stopped_at_for_its_stack),
        T(a_check_ends_where_it_would_go_live),
        T(a_check_agrees_with_an_ended_journal),
        T(a_check_of_an_empty_journal_agrees),
        T(a_prefix_of_a_journal_is_a_journal),
        T(a_disk_error_breaks_it),
        T(what_is_not_here_yet_is_waited_for_at_rest),
        T(a_sync_op_cannot_wait_for_its_record),
        T(a_short_journal_breaks_it),
        T(a_damaged_record_breaks_it),
        T(a_journal_begins_with_a_start),
        T(records_of_the_tail_are_stored_again),
        T(what_the_store_has_of_the_tail_is_skipped),
        T(a_bad_tail_breaks_it),
        T(too_many_calls_at_once_are_refused),
        T(too_large_values_are_refused),
        T(nothing_is_delivered_while_too_much_is_not_stored),
        T(code_that_runs_on_is_told_that_it_is_full),
        T(of_progress_the_last_is_stored),
        T(the_last_record_can_be_undone_after_others_are_stored),
        T(wide_fans_are_not_quadratic),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("durable/execution_edges", tests, NULL, NULL);
}
