/* SPDX-License-Identifier: Apache-2.0
 *
 * Schedules: made by themselves and declared by deploys; what is started for one, and its next time, are one
 * commit, which counts only for who has seen the row as it is. */
#include "harness_durable.h"

static const char plan[] = "{\"every_ms\":1000,\"function\":\"f\"}";

static enum err put(struct harness *h, const char *name, bool is_new, int64_t next_us,
                    int64_t *ret_id)
{
    struct store_op op = HARNESS_OP(h);
    store_schedule_put(h->store, &op,
                       &(struct schedule_row){.space = S("default"),
                                              .name = slice_cstr(name),
                                              .plan = S(plan),
                                              .next_us = next_us,
                                              .due_us = next_us},
                       is_new);
    enum err code = harness_wait(h, &op);
    if (ret_id)
        *ret_id = op.number;
    return code;
}

static struct schedule_row row(struct harness *h, int64_t id)
{
    struct store_query q = {.kind = STORE_QUERY_SCHEDULE, .arena = h->arena, .schedule.id = id};
    assert_ok(store_schedule(h->reader, &q, &h->error));
    return q.schedule.row;
}

/* "kind:key@time …" */
static const char *due(struct harness *h)
{
    static char text[256];
    struct due_row *rows = NULL;
    size_t len = 0, at = 0;
    assert_ok(store_dues(h->reader, h->arena, INT64_MAX, 0, 0, 100, &rows, &len, &h->error));
    text[0] = '\0';
    for (size_t k = 0; k < len; k++) {
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%d:%.*s", k ? " " : "",
                               (int)rows[k].kind, SLICE_ARG(rows[k].key));
        if (rows[k].kind == DUE_SCHEDULE)
            at +=
                (size_t)snprintf(text + at, sizeof(text) - at, "@%lld", (long long)rows[k].due_us);
    }
    return text;
}

static struct schedule_fire fire_of(int64_t id, int64_t seen_us, int64_t next_us,
                                    const int64_t *times, size_t len)
{
    return (struct schedule_fire){.id = id,
                                  .seen_us = seen_us,
                                  .next_us = next_us,
                                  .due_us = next_us,
                                  .times = slice_of((const char *)times, len * sizeof(*times))};
}

static enum err fire(struct harness *h, const struct schedule_fire *f)
{
    struct store_op op = HARNESS_OP(h);
    store_schedule_fire(h->store, &op, f);
    return harness_wait(h, &op);
}

static enum err ran(struct harness *h, int64_t id, const char *key, bool has_failed,
                    int64_t retry_us)
{
    struct store_op op = HARNESS_OP(h);
    store_schedule_ran(h->store, &op, id, slice_cstr(key), has_failed, retry_us);
    return harness_wait(h, &op);
}

static void runs_of_a_function(void **state)
{
    struct harness *h = *state;
    int64_t id = 0;
    assert_ok(put(h, "s", true, 100, &id));
    assert_int_equal(put(h, "s", true, 100, NULL), ERR_CONFLICT);
    assert_int_equal(put(h, "t", false, 100, NULL), ERR_NOT_FOUND);
    assert_string_equal(due(h), "0:1@100");
    struct schedule_fire f = fire_of(id, 100, 300, (int64_t[]){100, 200}, 2);
    f.skipped = 3;
    assert_ok(fire(h, &f));
    assert_int_equal(fire(h, &f), ERR_CONFLICT); /* it was there already */
    struct schedule_row s = row(h, id);
    assert_int_equal(s.next_us, 300);
    assert_int_equal(s.last_us, 200);
    assert_int_equal(s.started, 2);
    assert_int_equal(s.skipped, 3);
    assert_int_equal(s.running, 2);
    assert_string_equal(due(h), "0:1@300 2:1/100 2:1/200");
    assert_ok(ran(h, id, "1/100", false, 0));
    assert_ok(ran(h, id, "1/100", false, 0)); /* told twice, counted once */
    assert_ok(ran(h, id, "1/200", true, INT64_MAX - 1));
    assert_int_equal(row(h, id).running, 1);
    assert_string_equal(due(h), "0:1@300 2:1/200");
    assert_ok(ran(h, id, "1/200", true, 0));
    s = row(h, id);
    assert_int_equal(s.running, 0);
    assert_int_equal(s.failed, 1);
    /* By hand: nothing else changes. */
    f = fire_of(id, -1, 0, (int64_t[]){250}, 1);
    assert_ok(fire(h, &f));
    assert_int_equal(row(h, id).next_us, 300);
    struct store_op op = HARNESS_OP(h);
    store_schedule_delete(h->store, &op, S("default"), S("s"));
    assert_ok(harness_wait(h, &op));
    assert_string_equal(due(h), "");
    assert_ok(put(h, "s", true, 100, &id));
    assert_int_equal(id, 2);
}

static void executions_start_with_the_next_time(void **state)
{
    struct harness *h = *state;
    const char ids[] = "00000000-0000-4000-8000-00000000000100000000-0000-4000-8000-000000000002";
    int64_t id = 0;
    assert_ok(workflow_make(h, "w", "export default 1"));
    assert_ok(put(h, "s", true, 100, &id));
    struct schedule_fire f = fire_of(id, 100, 300, (int64_t[]){100, 200}, 2);
    f.ids = S(ids);
    f.workflow = S("nowhere");
    f.key = S("schedule:s:");
    f.input = S("1");
    f.metadata = S("{}");
    assert_int_equal(fire(h, &f), ERR_NOT_FOUND);
    assert_int_equal(row(h, id).started, 0); /* without a trace */
    assert_string_equal(due(h), "0:1@100");
    f.workflow = S("w");
    assert_ok(fire(h, &f));
    struct durable_row d;
    assert_ok(store_durable(h->reader, h->arena, slice_of(ids + 36, 36), &d, &h->error));
    assert_slice(d.key, "schedule:s:0");
    assert_slice(d.input, "1");
    assert_int_equal(row(h, id).running, 0);
    assert_slice(row(h, id).last_execution, ids + 36);
}

static enum err deploy(struct harness *h, const char *code_text, const char *schedules)
{
    int64_t build;
    char hash[65];
    assert_ok(build_start(h, "m", &build));
    assert_ok(store_artifact_put(h->store, slice_cstr(code_text), hash, &h->error));
    struct version_row v = {
        .function = S("m"), .hash = slice_cstr(hash), .options.schedules = slice_cstr(schedules)};
    struct store_op op = HARNESS_OP(h);
    store_publish(h->store, &op, build, &v);
    return harness_wait(h, &op);
}

/* "name=plan …" */
static const char *declared(struct harness *h)
{
    static char text[256];
    size_t at = 0;
    struct store_query q = {.kind = STORE_QUERY_SCHEDULES,
                            .arena = h->arena,
                            .schedules = {.space = S("default"), .limit = 100}};
    assert_ok(store_schedules(h->reader, &q, &h->error));
    text[0] = '\0';
    for (size_t k = 0; k < q.schedules.len; k++)
        at +=
            (size_t)snprintf(text + at, sizeof(text) - at, "%s%lld %.*s=%.*s", k ? ", " : "",
                             (long long)q.schedules.rows[k].id, SLICE_ARG(q.schedules.rows[k].name),
                             SLICE_ARG(q.schedules.rows[k].plan));
    return text;
}

static void a_deploy_makes_changes_and_removes_them(void **state)
{
    struct harness *h = *state;
    assert_ok(deploy(h, "1", "[{\"name\":\"a\",\"plan\":\"A\"},{\"name\":\"b\",\"plan\":\"B\"}]"));
    assert_string_equal(declared(h), "1 a=A, 2 b=B");
    assert_ok(deploy(h, "1", "[{\"name\":\"b\",\"plan\":\"B2\"},{\"name\":\"c\",\"plan\":\"C\"}]"));
    assert_string_equal(declared(h), "2 b=B2, 3 c=C");
    assert_int_equal(put(h, "b", false, 1, NULL), ERR_CONFLICT);
    assert_ok(put(h, "d", true, 1, NULL));
    assert_int_equal(deploy(h, "2", "[{\"name\":\"d\",\"plan\":\"D\"}]"), ERR_CONFLICT);
    assert_string_equal(declared(h), "2 b=B2, 3 c=C, 4 d={\"every_ms\":1000,\"function\":\"f\"}");
    assert_ok(function_delete(h, "m"));
    assert_string_equal(declared(h), "4 d={\"every_ms\":1000,\"function\":\"f\"}");
    assert_string_equal(due(h), "0:4@1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_of_a_function, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(executions_start_with_the_next_time, harness_setup,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(a_deploy_makes_changes_and_removes_them, harness_setup,
                                        harness_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
