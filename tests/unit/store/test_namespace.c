/* SPDX-License-Identifier: Apache-2.0
 *
 * Namespaces in the store: what has the same name in two of them never meets. */
#include "base/limits.h"
#include "base/placeholder.h"
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
    store_namespace_delete(h->store, &op, slice_cstr(name), false);
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

static enum err rule_add(struct harness *h, const char *space, const char *pattern, bool is_first,
                         int64_t *ret_id)
{
    struct egress_rule_row row = {.is_allow = true, .pattern = slice_cstr(pattern)};
    struct store_op op = HARNESS_OP(h);
    store_egress_add(h->store, &op, slice_cstr(space), &row, is_first);
    enum err err = harness_wait(h, &op);
    *ret_id = op.number;
    return err;
}

/* "a b c": the patterns in their order. */
static const char *rules_of(struct harness *h, const char *space, bool *ret_denies)
{
    struct bytes all = BYTES_INIT;
    struct egress_rule_row *rows;
    size_t len = 0;
    assert_ok(
        store_egress(h->reader, h->arena, slice_cstr(space), &rows, &len, ret_denies, &h->error));
    for (size_t i = 0; i < len; i++)
        bytes_printf(&all, "%s%.*s", i ? " " : "", SLICE_ARG(rows[i].pattern));
    const char *text = arena_cstr(h->arena, bytes_slice(&all));
    bytes_done(&all);
    return text;
}

static void egress_rules_keep_their_order(void **state)
{
    struct harness *h = *state;
    int64_t id = 0;
    bool denies = true;
    assert_ok(space_create(h, "shop"));
    assert_string_equal(rules_of(h, "shop", &denies), "");
    assert_false(denies);
    assert_ok(rule_add(h, "shop", "b", false, &id));
    assert_int_equal(id, 1);
    assert_ok(rule_add(h, "shop", "c", false, &id));
    assert_ok(rule_add(h, "shop", "a", true, &id));
    assert_int_equal(id, 3);
    assert_string_equal(rules_of(h, "shop", &denies), "a b c");
    assert_string_equal(rules_of(h, "", &denies), "");
    struct store_op op = HARNESS_OP(h);
    store_egress_remove(h->store, &op, S("default"), 3); /* of another one */
    assert_int_equal(harness_wait(h, &op), ERR_NOT_FOUND);
    op = (struct store_op)HARNESS_OP(h);
    store_egress_remove(h->store, &op, S("shop"), 3);
    assert_ok(harness_wait(h, &op));
    assert_ok(rule_add(h, "shop", "d", false, &id));
    assert_int_equal(id, 4); /* never used again */
    op = (struct store_op)HARNESS_OP(h);
    store_egress_default(h->store, &op, S("shop"), true);
    assert_ok(harness_wait(h, &op));
    assert_string_equal(rules_of(h, "shop", &denies), "b c d");
    assert_true(denies);
    assert_ok(space_delete(h, "shop"));
    assert_ok(space_create(h, "shop"));
    assert_string_equal(rules_of(h, "shop", &denies), "");
    assert_false(denies);
    assert_int_equal(rule_add(h, "nobody", "a", false, &id), ERR_NOT_FOUND);
}

static enum err secret_set(struct harness *h, const char *owner, bool is_shared, const char *value,
                           const char *hosts)
{
    const struct secret_of of = {slice_cstr(owner), S("KEY"), is_shared};
    struct store_op op = HARNESS_OP(h);
    store_secret_set(h->store, &op, &of, slice_cstr(value), slice_cstr(hosts), hosts == NULL);
    return harness_wait(h, &op);
}

/* What a module has of KEY. */
static struct env_row key_of(struct harness *h, const char *module)
{
    struct env_row *rows;
    size_t len = 0;
    assert_ok(store_env(h->reader, h->arena, slice_cstr(module), true, &rows, &len, &h->error));
    assert_in_range(len, 0, 1);
    return len ? rows[0] : (struct env_row){0};
}

static void secrets_are_shared_in_their_namespace(void **state)
{
    struct harness *h = *state;
    struct env_row *rows;
    size_t len = 0;
    assert_ok(space_create(h, "shop"));
    assert_ok(build_start(h, "a", NULL));
    assert_ok(build_start(h, "shop/a", NULL));
    assert_ok(build_start(h, "shop/b", NULL));
    assert_ok(secret_set(h, "shop", true, "common", NULL));
    assert_slice(key_of(h, "shop/a").value, "common");
    assert_true(key_of(h, "shop/b").version > STORE_SHARED_VERSION);
    assert_int_equal(key_of(h, "a").value.len, 0);
    assert_ok(secret_set(h, "shop/a", false, "own", NULL));
    assert_slice(key_of(h, "shop/a").value, "own");
    assert_int_equal(key_of(h, "shop/a").version, 1);
    assert_slice(key_of(h, "shop/b").value, "common");
    assert_ok(store_env(h->reader, h->arena, S("shop/b"), false, &rows, &len, &h->error));
    assert_int_equal(len, 0); /* lists of a module have what is its own */
    assert_ok(store_shared_env(h->reader, h->arena, S("shop"), &rows, &len, &h->error));
    assert_int_equal(len, 1);
    assert_int_equal(rows[0].value.len, 0);
    assert_int_equal(secret_set(h, "nobody", true, "x", NULL), ERR_NOT_FOUND);
}

static void bound_secrets_show_a_placeholder(void **state)
{
    struct harness *h = *state;
    assert_ok(space_create(h, "shop"));
    assert_ok(build_start(h, "a", NULL));
    assert_ok(build_start(h, "shop/a", NULL));
    assert_ok(secret_set(h, "a", false, "one", "x.com y.com"));
    assert_ok(secret_set(h, "shop/a", false, "one", "x.com"));
    struct env_row first = key_of(h, "a"), other = key_of(h, "shop/a");
    assert_int_equal(first.value.len, PLACEHOLDER_BYTES);
    assert_true(slice_starts(first.value, S(PLACEHOLDER_START)));
    assert_slice(first.secret, "one");
    assert_slice(first.hosts, "x.com y.com");
    assert_false(slice_eq(first.value, other.value));
    assert_ok(secret_set(h, "a", false, "two", NULL)); /* stays bound, under the same text */
    assert_true(slice_eq(key_of(h, "a").value, first.value));
    assert_slice(key_of(h, "a").secret, "two");
    assert_int_equal(secret_set(h, "a", false, "t\nwo", NULL), ERR_INVALID);
    assert_int_equal(secret_set(h, "a", false, "", NULL), ERR_INVALID);
    assert_ok(secret_set(h, "a", false, "t\nwo", ""));
    assert_slice(key_of(h, "a").value, "t\nwo");
    assert_int_equal(secret_set(h, "a", false, "t\nwo", "x.com"), ERR_INVALID);
}

/* As long as an execution of the namespace is there that may have read it. */
static void former_shared_secrets_are_kept_for_journals(void **state)
{
    struct harness *h = *state;
    CLEANUP(bytes_done) struct bytes value = BYTES_INIT;
    assert_ok(durable_start(h, "mine"));
    assert_ok(secret_set(h, "default", true, "first", NULL));
    int64_t version = key_of(h, "flow").version;
    for (int i = 0; i < 3; i++)
        assert_ok(secret_set(h, "default", true, i ? "later" : "second", "x.com"));
    assert_ok(store_env_value(h->reader, S("flow"), S("KEY"), version, &value, &h->error));
    assert_slice(bytes_slice(&value), "first");
    bytes_clear(&value); /* that one was bound: its placeholder, as code has had it */
    assert_ok(store_env_value(h->reader, S("flow"), S("KEY"), version + 1, &value, &h->error));
    assert_true(slice_eq(bytes_slice(&value), key_of(h, "flow").value));
    assert_int_equal(
        store_env_value(h->reader, S("flow"), S("KEY"), version + 9, &value, &h->error),
        ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(namespaces_come_and_go, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(tokens_are_bounded, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(egress_rules_keep_their_order, harness_setup,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(secrets_are_shared_in_their_namespace, harness_setup,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(bound_secrets_show_a_placeholder, harness_setup,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(former_shared_secrets_are_kept_for_journals, durable_setup,
                                        harness_teardown),
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
