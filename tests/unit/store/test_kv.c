/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of KV namespaces in the store. */
#include <sched.h>

#include "base/budget.h"
#include "base/clock.h"
#include "harness_fork.h"

static int64_t kv_make(struct harness *h, const char *name)
{
    struct store_op op = HARNESS_OP(h);
    struct resource_row row = {.kind = RESOURCE_KIND_KV, .name = slice_cstr(name)};
    store_resource_create(h->store, &op, &row);
    assert_ok(harness_wait(h, &op));
    return op.number;
}

static enum err kv_put(struct harness *h, struct kv_row row, int64_t if_version, int64_t *ret)
{
    struct store_op op = HARNESS_OP(h);
    if (row.bytes == 0)
        row.bytes = (int64_t)row.value.len;
    store_kv_put(h->store, &op, &row, if_version);
    enum err code = harness_wait(h, &op);
    if (ret)
        *ret = op.number;
    return code;
}

static enum err put(struct harness *h, int64_t of, const char *key, const char *value)
{
    return kv_put(
        h, (struct kv_row){.resource = of, .key = slice_cstr(key), .value = slice_cstr(value)},
        STORE_KV_ANY, NULL);
}

static int64_t del(struct harness *h, int64_t of, const char *key)
{
    struct store_op op = HARNESS_OP(h);
    store_kv_delete(h->store, &op, of, slice_cstr(key), STORE_KV_ANY);
    assert_ok(harness_wait(h, &op));
    return op.number;
}

static enum err add(struct harness *h, int64_t of, const char *key, int64_t by, const char *token,
                    int64_t *ret)
{
    struct store_op op = HARNESS_OP(h);
    store_kv_add(h->store, &op, of, slice_cstr(key), by, slice_cstr(token));
    enum err code = harness_wait(h, &op);
    *ret = op.number;
    return code;
}

static struct kv_row get(struct harness *h, int64_t of, const char *key)
{
    struct kv_row *rows;
    struct slice keys[] = {slice_cstr(key)};
    assert_ok(store_kv_get(h->reader, h->arena, of, keys, 1, INT64_MAX, &rows, &h->error));
    return rows[0];
}

static size_t list(struct harness *h, int64_t of, const char *prefix, const char *after,
                   int64_t limit, struct kv_row **ret_rows, bool *ret_is_complete)
{
    size_t len = 0;
    assert_ok(store_kv_list(h->reader, h->arena, of, slice_cstr(prefix), slice_cstr(after), limit,
                            ret_rows, &len, ret_is_complete, &h->error));
    return len;
}

static int64_t stored(struct harness *h, int64_t *ret_items)
{
    struct resource_counts counts[RESOURCE_KINDS];
    assert_ok(store_resource_counts(h->reader, counts, &h->error));
    *ret_items = counts[RESOURCE_KIND_KV].items;
    return counts[RESOURCE_KIND_KV].bytes;
}

static void what_is_put_is_there(void **state)
{
    struct harness *h = *state;
    int64_t a = kv_make(h, "a"), b = kv_make(h, "b"), first = 0, second = 0;
    assert_int_equal(get(h, a, "k").version, 0);
    assert_ok(
        kv_put(h,
               (struct kv_row){
                   .resource = a, .key = S("k"), .value = S("one"), .metadata = S("{\"m\":1}")},
               STORE_KV_ANY, &first));
    struct kv_row row = get(h, a, "k");
    assert_slice(row.value, "one");
    assert_slice(row.metadata, "{\"m\":1}");
    assert_int_equal(row.version, first);
    assert_int_equal(get(h, b, "k").version, 0);
    assert_ok(kv_put(h, (struct kv_row){.resource = a, .key = S("k"), .value = S("two")},
                     STORE_KV_ANY, &second));
    assert_true(second > first);
    row = get(h, a, "k");
    assert_slice(row.value, "two");
    assert_slice(row.metadata, "");
    assert_int_equal(del(h, a, "k"), 1);
    assert_int_equal(del(h, a, "k"), 0);
    assert_int_equal(get(h, a, "k").version, 0);
}

static void versions_are_compared(void **state)
{
    struct harness *h = *state;
    int64_t a = kv_make(h, "a"), first = 0, second = 0;
    struct kv_row row = {.resource = a, .key = S("k"), .value = S("v")};
    assert_int_equal(kv_put(h, row, 5, NULL), ERR_CONFLICT);
    assert_ok(kv_put(h, row, 0, &first));
    assert_int_equal(kv_put(h, row, 0, NULL), ERR_CONFLICT);
    assert_ok(kv_put(h, row, first, &second));
    assert_int_equal(kv_put(h, row, first, NULL), ERR_CONFLICT);
    /* A repeated write is the first one, whatever it compares. */
    row.token = S("t");
    row.value = S("w");
    assert_ok(kv_put(h, row, second, &first));
    assert_ok(kv_put(h, row, second, &second));
    assert_int_equal(first, second);
    struct store_op op = HARNESS_OP(h);
    store_kv_delete(h->store, &op, a, S("k"), 7);
    assert_int_equal(harness_wait(h, &op), ERR_CONFLICT);
}

static void numbers_are_added(void **state)
{
    struct harness *h = *state;
    int64_t a = kv_make(h, "a"), n = 0;
    assert_ok(add(h, a, "n", 5, "", &n));
    assert_int_equal(n, 5);
    assert_ok(add(h, a, "n", -12, "", &n));
    assert_int_equal(n, -7);
    assert_slice(get(h, a, "n").value, "-7");
    assert_ok(add(h, a, "n", 1, "once", &n));
    assert_ok(add(h, a, "n", 1, "once", &n));
    assert_int_equal(n, -6);
    assert_ok(put(h, a, "t", "text"));
    assert_int_equal(add(h, a, "t", 1, "", &n), ERR_INVALID);
    assert_int_equal(add(h, a, "n", INT64_MAX, "", &n), ERR_INVALID);
    assert_ok(add(h, a, "m", INT64_C(1) << 53, "", &n));
    assert_int_equal(add(h, a, "m", 1, "", &n), ERR_INVALID);
}

static void lists_are_in_order_and_in_pages(void **state)
{
    static const char *const keys[] = {"b", "a", "a:2", "a:1", "ä", "a:", "z"};
    struct harness *h = *state;
    struct kv_row *rows;
    bool is_complete = false;
    int64_t a = kv_make(h, "a");
    assert_int_equal(list(h, a, "", "", 10, &rows, &is_complete), 0);
    assert_true(is_complete);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        assert_ok(put(h, a, keys[i], "v"));
    assert_int_equal(list(h, a, "", "", 10, &rows, &is_complete), 7);
    assert_slice(rows[0].key, "a");
    assert_slice(rows[6].key, "ä");
    assert_int_equal(list(h, a, "a:", "", 10, &rows, &is_complete), 3);
    assert_slice(rows[0].key, "a:");
    assert_int_equal(list(h, a, "", "", 2, &rows, &is_complete), 2);
    assert_false(is_complete);
    assert_int_equal(list(h, a, "", "a:", 2, &rows, &is_complete), 2);
    assert_slice(rows[0].key, "a:1");
    assert_int_equal(list(h, a, "a:", "a:1", 1, &rows, &is_complete), 1);
    assert_true(is_complete);
    assert_int_equal(list(h, a, "b", "a", 10, &rows, &is_complete), 1);
}

static void what_has_expired_is_not_there(void **state)
{
    struct harness *h = *state;
    struct kv_row *rows;
    bool is_complete = false;
    int64_t a = kv_make(h, "a"), now = clock_wall_us() / 1000000, n = 0, items = 0;
    struct kv_row row = {.resource = a, .key = S("k"), .value = S("5"), .expires_s = now + 1000};
    assert_ok(kv_put(h, row, STORE_KV_ANY, NULL));
    assert_int_equal(get(h, a, "k").expires_s, now + 1000);
    row.expires_s = now - 5;
    assert_ok(kv_put(h, row, STORE_KV_ANY, NULL));
    assert_int_equal(get(h, a, "k").version, 0);
    assert_int_equal(list(h, a, "", "", 10, &rows, &is_complete), 0);
    assert_ok(kv_put(h, row, 0, NULL));
    assert_int_equal(del(h, a, "k"), 0);
    assert_ok(kv_put(h, row, 0, NULL));
    assert_ok(add(h, a, "k", 1, "", &n));
    assert_int_equal(n, 1);
    row.key = S("other");
    assert_ok(kv_put(h, row, 0, NULL));
    do { /* until the tidying has come by */
        assert_ok(put(h, a, "kept", "v"));
    } while (stored(h, &items) > 0 && items > 2);
}

static void deleted_namespaces_are_emptied(void **state)
{
    struct harness *h = *state;
    int64_t a = kv_make(h, "a"), items = 0;
    char key[32];
    for (int i = 0; i < 1200; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_ok(put(h, a, key, "value"));
    }
    assert_int_equal(stored(h, &items), 1200 * (64 + 5) + 10 * 2 + 90 * 3 + 900 * 4 + 200 * 5);
    assert_int_equal(items, 1200);
    struct resource_row row = {.kind = RESOURCE_KIND_KV, .name = S("a")};
    struct store_op op = HARNESS_OP(h);
    store_resource_delete(h->store, &op, &row, false);
    assert_ok(harness_wait(h, &op));
    assert_int_equal(put(h, a, "k", "v"), ERR_NOT_FOUND);
    struct kv_row *rows;
    struct slice keys[] = {S("k1")};
    assert_int_equal(kv_make(h, "a") > a, true);
    while (number(h, "SELECT count(*) FROM kv") > 0 ||
           number(h, "SELECT count(*) FROM resource_deleted") > 0)
        sched_yield();
    assert_int_equal(store_kv_get(h->reader, h->arena, a, keys, 1, INT64_MAX, &rows, &h->error),
                     ERR_NOT_FOUND);
    assert_text_has(h->error.message, "has been deleted");
}

static struct account *root, *space;

static struct account *get_module(void *ctx, struct slice name)
{
    (void)ctx, (void)name;
    return account_ref(root);
}

static struct account *get_space(void *ctx, struct slice name)
{
    (void)ctx, (void)name;
    return account_ref(space);
}

static int quota_setup(void **state)
{
    struct harness *h = harness_new_folder();
    *state = h;
    root = account_new(NULL, "server", SLICE_EMPTY);
    space = account_new(root, "namespace", S("default"));
    account_limit(space, RESOURCE_DISK, 1000);
    h->accounts = (struct store_accounts){get_module, get_space, NULL};
    assert_ok(harness_open_store(h));
    return 0;
}

static int quota_teardown(void **state)
{
    harness_teardown(state);
    assert_int_equal(budget_used(&space->budgets[RESOURCE_DISK]), 0);
    account_unref(space);
    account_unref(root);
    return 0;
}

static void keys_count_to_their_namespace(void **state)
{
    struct harness *h = *state;
    int64_t a = kv_make(h, "a");
    char value[500];
    memset(value, 'v', sizeof(value));
    struct kv_row row = {.resource = a, .key = S("k"), .value = slice_of(value, sizeof(value))};
    assert_ok(kv_put(h, row, STORE_KV_ANY, NULL));
    assert_int_equal(budget_used(&space->budgets[RESOURCE_DISK]), 64 + 1 + 500);
    row.key = S("l");
    assert_int_equal(kv_put(h, row, STORE_KV_ANY, NULL), ERR_LIMIT_DISK);
    assert_text_has(h->error.message, "namespace");
    row.key = S("k"); /* in the place of what is there */
    assert_ok(kv_put(h, row, STORE_KV_ANY, NULL));
    harness_close_store(h);
    assert_int_equal(budget_used(&space->budgets[RESOURCE_DISK]), 0);
    assert_ok(harness_open_store(h));
    assert_int_equal(budget_used(&space->budgets[RESOURCE_DISK]), 64 + 1 + 500);
    assert_int_equal(del(h, a, "k"), 1);
    assert_int_equal(budget_used(&space->budgets[RESOURCE_DISK]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_put_is_there, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(versions_are_compared, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(numbers_are_added, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(lists_are_in_order_and_in_pages, harness_setup,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(what_has_expired_is_not_there, harness_setup,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(deleted_namespaces_are_emptied, harness_setup,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(keys_count_to_their_namespace, quota_setup, quota_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("store/kv", tests, NULL, NULL);
}
