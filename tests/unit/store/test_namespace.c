/* SPDX-License-Identifier: Apache-2.0
 *
 * Namespaces in the store: what has the same name in two of them never meets. */
#include "base/limits.h"
#include "harness_durable.h"

static enum err space_create(struct harness *h, const char *name)
{
    struct store_op op = HARNESS_OP(h);
    store_namespace_create(h->store, &op, slice_cstr(name));
    return harness_wait(h, &op);
}

static enum err space_delete(struct harness *h, const char *name)
{
    struct store_op op = HARNESS_OP(h);
    store_namespace_delete(h->store, &op, slice_cstr(name));
    return harness_wait(h, &op);
}

static size_t functions_of(struct harness *h, const char *space, struct function_row **ret_rows)
{
    size_t len = 0;
    assert_ok(store_functions(h->reader, h->arena, slice_cstr(space), MODULE_FUNCTION, ret_rows,
                              &len, &h->error));
    return len;
}

static void namespaces_come_and_go(void **state)
{
    struct harness *h = *state;
    struct namespace_row *rows, row;
    size_t len = 0;
    assert_ok(space_create(h, "shop"));
    assert_int_equal(space_create(h, "shop"), ERR_CONFLICT);
    assert_int_equal(space_create(h, "default"), ERR_CONFLICT);
    assert_ok(store_namespaces(h->reader, h->arena, &rows, &len, &h->error));
    assert_int_equal(len, 2);
    assert_slice(rows[0].name, "default");
    assert_slice(rows[1].name, "shop");
    assert_true(rows[1].created_us > 0);
    assert_int_equal(build_start(h, "nobody/a", NULL), ERR_NOT_FOUND);
    assert_ok(build_start(h, "shop/a", NULL));
    assert_ok(store_namespace(h->reader, h->arena, S("shop"), &row, &h->error));
    assert_int_equal(row.modules[MODULE_FUNCTION], 1);
    assert_int_equal(row.modules[MODULE_WORKFLOW], 0);
    assert_int_equal(space_delete(h, "shop"), ERR_CONFLICT);
    assert_ok(function_delete(h, "shop/a"));
    assert_ok(space_delete(h, "shop"));
    assert_int_equal(space_delete(h, "shop"), ERR_NOT_FOUND);
    assert_int_equal(space_delete(h, "default"), ERR_CONFLICT);
    assert_int_equal(store_namespace(h->reader, h->arena, S("shop"), &row, &h->error),
                     ERR_NOT_FOUND);
}

static size_t executions_of(struct harness *h, const char *space, struct execution_row **ret_rows)
{
    struct store_page page = {.limit = 10};
    struct slice next;
    size_t len = 0;
    assert_ok(store_executions(h->reader, h->arena, slice_cstr(space), S(""), &page, ret_rows, &len,
                               &next, &h->error));
    return len;
}

static void the_same_names_are_other_modules(void **state)
{
    struct harness *h = *state;
    struct function_row *rows;
    struct execution_row *runs;
    int64_t number = 0;
    assert_ok(space_create(h, "shop"));
    assert_ok(build_start(h, "a", NULL));
    assert_ok(build_start(h, "a", NULL));
    assert_ok(build_start(h, "shop/a", &number));
    assert_int_equal(number, 1);
    assert_int_equal(functions_of(h, "", &rows), 1);
    assert_slice(rows[0].name, "a");
    assert_int_equal(functions_of(h, "shop", &rows), 1);
    assert_slice(rows[0].name, "shop/a");
    assert_ok(execution_start(h, "a", "1"));
    assert_ok(execution_start(h, "shop/a", "2"));
    assert_ok(execution_start(h, "a", "3"));
    assert_int_equal(executions_of(h, "", &runs), 2);
    assert_slice(runs[0].id, "3");
    assert_slice(runs[1].id, "1");
    assert_int_equal(executions_of(h, "shop", &runs), 1);
    assert_slice(runs[0].id, "2");
    assert_slice(runs[0].function, "shop/a");
    assert_ok(function_delete(h, "a"));
    assert_int_equal(functions_of(h, "shop", &rows), 1);
    assert_int_equal(executions_of(h, "shop", &runs), 1);
    assert_int_equal(executions_of(h, "", &runs), 0);
}

static size_t durables_of(struct harness *h, const char *space, int status,
                          struct durable_row **ret_rows)
{
    struct durable_filter filter = {.space = slice_cstr(space), .status = status};
    struct store_page page = {.limit = 10};
    struct slice next;
    size_t len = 0;
    assert_ok(
        store_durables(h->reader, h->arena, &filter, &page, ret_rows, &len, &next, &h->error));
    return len;
}

static enum durable_status status_of(struct harness *h, const char *id)
{
    struct durable_row row;
    assert_ok(store_durable(h->reader, h->arena, slice_cstr(id), &row, &h->error));
    return row.status;
}

/* What the code of one namespace sends to an execution of another one is dropped, as if that were
 * not there. */
static void workflows_reach_only_their_own(void **state)
{
    struct harness *h = *state;
    struct durable_row *rows, row;
    struct durable_signal *signals;
    size_t len = 1;
    assert_ok(space_create(h, "shop"));
    assert_ok(workflow_make(h, "shop/flow", "export default 2"));
    assert_ok(durable_start(h, "mine"));
    assert_ok(durable_start(h, "other"));
    assert_ok(durable_start_in(h, "shop/flow", "theirs", NULL));
    assert_int_equal(durables_of(h, "", -1, &rows), 2);
    assert_int_equal(durables_of(h, "shop", -1, &rows), 1);
    assert_slice(rows[0].workflow, "shop/flow");
    assert_int_equal(durables_of(h, "shop", DURABLE_QUEUED, &rows), 1);
    assert_int_equal(durables_of(h, "shop", DURABLE_FAILED, &rows), 0);

    struct durable_message messages[] = {
        {.execution = S("theirs"), .name = S("go"), .data = S("1")},
        {.execution = S("theirs")}, /* to cancel */
        {.execution = S("other"), .name = S("go"), .data = S("1")}};
    assert_ok(COMMIT(h, "mine", .first = 0, .count = 1, .messages = messages, .messages_len = 3));
    assert_ok(store_durable(h->reader, h->arena, S("theirs"), &row, &h->error));
    assert_false(row.is_cancel_requested);
    assert_int_equal(row.events, 0);
    assert_ok(store_signals(h->reader, h->arena, S("theirs"), 0, &signals, &len, &h->error));
    assert_int_equal(len, 0);
    assert_ok(store_signals(h->reader, h->arena, S("other"), 0, &signals, &len, &h->error));
    assert_int_equal(len, 1);

    /* A child with the id of an execution of others is not told about, nor waited for. */
    struct durable_child child = {.id = S("theirs"), .workflow = S("flow")};
    assert_ok(durable_suspend(h, "mine", 1, NEVER, 0));
    assert_ok(COMMIT(h, "mine", .first = 2, .count = 1, .sets_status = true,
                     .status = DURABLE_SUSPENDED, .wake_us = NEVER, .children = &child,
                     .children_len = 1));
    assert_ok(durable_end(h, "theirs", 0, DURABLE_COMPLETED));
    assert_ok(store_durable(h->reader, h->arena, S("mine"), &row, &h->error));
    assert_int_equal(row.wake_us, NEVER);
    assert_int_equal(status_of(h, "theirs"), DURABLE_COMPLETED);
}

static void quotas_and_usage_are_of_one_namespace(void **state)
{
    struct harness *h = *state;
    struct quota_row quota = {.module = S("shop"), .is_namespace = true}, row, *rows;
    struct usage_row *used;
    size_t len = 0;
    assert_ok(space_create(h, "shop"));
    assert_ok(build_start(h, "a", NULL));
    assert_ok(build_start(h, "shop/a", NULL));
    quota.max[RESOURCE_MEMORY] = 1000;
    struct store_op op = HARNESS_OP(h);
    store_quota_set(h->store, &op, &quota);
    assert_ok(harness_wait(h, &op));
    assert_ok(store_namespace_quota(h->reader, S("shop"), &row, &h->error));
    assert_int_equal(row.max[RESOURCE_MEMORY], 1000);
    assert_ok(store_namespace_quota(h->reader, S(""), &row, &h->error));
    assert_int_equal(row.max[RESOURCE_MEMORY], 0);
    quota = (struct quota_row){.module = S("shop/a")};
    quota.max[RESOURCE_MEMORY] = 500;
    op = (struct store_op)HARNESS_OP(h);
    store_quota_set(h->store, &op, &quota);
    assert_ok(harness_wait(h, &op));
    assert_ok(store_quotas(h->reader, h->arena, S(""), &rows, &len, &h->error));
    assert_int_equal(len, 0);
    assert_ok(store_quotas(h->reader, h->arena, S("shop"), &rows, &len, &h->error));
    assert_int_equal(len, 1);
    assert_slice(rows[0].module, "shop/a");

    static const char *const names[] = {"a", "shop/a", "shopping/a"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct usage_row add = {.module = slice_cstr(names[i]), .hour = 500000, .requests = 1};
        op = (struct store_op)HARNESS_OP(h);
        store_usage_add(h->store, &op, &add);
        assert_ok(harness_wait(h, &op));
    }
    for (int by_hour = 0; by_hour < 2; by_hour++) {
        struct usage_filter filter = {.space = S("shop"), .by_hour = by_hour};
        assert_ok(store_usage(h->reader, h->arena, &filter, &used, &len, &h->error));
        assert_int_equal(len, 1);
        assert_slice(used[0].module, "shop/a");
        filter.space = S("");
        assert_ok(store_usage(h->reader, h->arena, &filter, &used, &len, &h->error));
        assert_int_equal(len, 1);
        assert_slice(used[0].module, "a");
    }
}

static void on_token(struct store_op *op)
{
    struct harness *h = container_of(op->loop, struct harness, loop);
    if (--h->pending == 0)
        loop_stop(op->loop);
}

/* Who may make tokens cannot fill the database with them. */
static void tokens_are_bounded(void **state)
{
    struct harness *h = *state;
    static struct store_op ops[LIMIT_TOKENS + 1];
    char hash[TOKEN_HASH_BYTES] = "";
    h->pending = LIMIT_TOKENS + 1;
    for (int i = 0; i <= LIMIT_TOKENS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "t%d", i);
        struct token_row row = {.id = slice_cstr(id),
                                .space = S("default"),
                                .role = TOKEN_INVOKE,
                                .hash = slice_of(hash, sizeof(hash))};
        ops[i] = (struct store_op){.loop = &h->loop, .done = on_token};
        store_token_create(h->store, &ops[i], &row);
    }
    loop_run(&h->loop);
    for (int i = 0; i < LIMIT_TOKENS; i++)
        assert_int_equal(ops[i].error.code, OK);
    assert_int_equal(ops[LIMIT_TOKENS].error.code, ERR_CONFLICT);
    assert_true(ops[LIMIT_TOKENS].error.hint[0] != '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(namespaces_come_and_go, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(tokens_are_bounded, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(the_same_names_are_other_modules, harness_setup,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(workflows_reach_only_their_own, durable_setup,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(quotas_and_usage_are_of_one_namespace, harness_setup,
                                        harness_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("store/namespace", tests, NULL, NULL);
}
