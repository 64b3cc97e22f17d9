/* SPDX-License-Identifier: Apache-2.0
 *
 * Usage by the hour and quotas: added up, kept under a name, removed when too old; quotas go with
 * their module; a database of an older schema gets both. */
#include <sqlite3.h>

#include "base/limits.h"
#include "harness.h"

static enum err add(struct harness *h, const char *name, int64_t hour, int64_t n)
{
    struct store_op op = HARNESS_OP(h);
    struct usage_row row = {.module = slice_cstr(name),
                            .hour = hour,
                            .requests = n,
                            .cpu_us = 10 * n,
                            .memory_byte_s = 100 * n,
                            .egress_bytes = 1000 * n};
    store_usage_add(h->store, &op, &row);
    return harness_wait(h, &op);
}

static size_t usage(struct harness *h, const char *module, int64_t since, bool by_hour,
                    struct usage_row **ret_rows)
{
    struct usage_filter filter = {
        .module = slice_cstr(module), .since_hour = since, .by_hour = by_hour};
    size_t len = 0;
    assert_ok(store_usage(h->reader, h->arena, &filter, ret_rows, &len, &h->error));
    return len;
}

static void assert_usage(const struct usage_row *row, const char *name, int64_t hour, int64_t n)
{
    assert_slice(row->module, name);
    assert_int_equal(row->hour, hour);
    assert_int_equal(row->requests, n);
    assert_int_equal(row->cpu_us, 10 * n);
    assert_int_equal(row->memory_byte_s, 100 * n);
    assert_int_equal(row->egress_bytes, 1000 * n);
}

static void an_hour_adds_up(void **state)
{
    struct harness *h = *state;
    struct usage_row *rows;
    assert_ok(add(h, "b", 500000, 1));
    assert_ok(add(h, "a", 500000, 2));
    assert_ok(add(h, "a", 500000, 3));
    assert_ok(add(h, "a", 500001, 4));
    assert_int_equal(usage(h, "", 0, false, &rows), 2);
    assert_usage(&rows[0], "a", 0, 9);
    assert_usage(&rows[1], "b", 0, 1);
    assert_int_equal(usage(h, "", 0, true, &rows), 3);
    assert_usage(&rows[0], "a", 500000, 5);
    assert_usage(&rows[1], "a", 500001, 4);
    assert_usage(&rows[2], "b", 500000, 1);
    assert_int_equal(usage(h, "a", 500001, true, &rows), 1);
    assert_usage(&rows[0], "a", 500001, 4);
    assert_int_equal(usage(h, "b", 0, false, &rows), 1);
    assert_int_equal(usage(h, "b", 500001, false, &rows), 0);
    assert_int_equal(usage(h, "c", 0, false, &rows), 0);
}

static void what_cannot_be_is_refused(void **state)
{
    struct harness *h = *state;
    struct usage_row *rows;
    assert_int_equal(add(h, "", 500000, 1), ERR_INVALID);
    assert_int_equal(add(h, "a", 0, 1), ERR_INVALID);
    assert_int_equal(add(h, "a", 500000, -1), ERR_INVALID);
    assert_int_equal(usage(h, "", 0, true, &rows), 0);
}

/* Removing happens between batches: it is seen after some mutation more. */
static void old_hours_go(void **state)
{
    struct harness *h = *state;
    struct usage_row *rows;
    const int64_t now = 500000;
    assert_ok(add(h, "a", now - LIMIT_USAGE_HOURS - 1, 1));
    assert_ok(add(h, "a", now - LIMIT_USAGE_HOURS, 2));
    assert_int_equal(usage(h, "a", 0, true, &rows), 2);
    assert_ok(add(h, "b", now, 1));
    for (int i = 0; usage(h, "a", 0, true, &rows) == 2; i++) {
        assert_true(i < 100000);
        assert_ok(add(h, "b", now, 1));
    }
    assert_usage(&rows[0], "a", now - LIMIT_USAGE_HOURS, 2);
}

static enum err quota_set(struct harness *h, const char *name, int64_t memory, int64_t isolates)
{
    struct store_op op = HARNESS_OP(h);
    struct quota_row row = {.module = slice_cstr(name)};
    row.max[RESOURCE_MEMORY] = memory;
    row.max[RESOURCE_ISOLATES] = isolates;
    store_quota_set(h->store, &op, &row);
    return harness_wait(h, &op);
}

static void assert_quota(struct harness *h, const char *name, int64_t memory, int64_t isolates)
{
    struct quota_row row;
    assert_ok(store_quota(h->reader, slice_cstr(name), &row, &h->error));
    for (int r = 0; r < RESOURCES; r++)
        assert_int_equal(row.max[r], r == RESOURCE_MEMORY     ? memory
                                     : r == RESOURCE_ISOLATES ? isolates
                                                              : 0);
}

static void quotas_are_set_one_by_one(void **state)
{
    struct harness *h = *state;
    struct quota_row *rows;
    size_t len = 0;
    assert_int_equal(quota_set(h, "a", 1000, 0), ERR_NOT_FOUND);
    assert_ok(build_start(h, "b", NULL));
    assert_ok(build_start(h, "a", NULL));
    assert_ok(quota_set(h, "a", 1000, 7));
    assert_ok(quota_set(h, "b", 2000, QUOTA_AS_IT_IS));
    assert_quota(h, "a", 1000, 7);
    assert_ok(quota_set(h, "a", 3000, QUOTA_AS_IT_IS));
    assert_quota(h, "a", 3000, 7);
    assert_ok(store_quotas(h->reader, h->arena, S(""), &rows, &len, &h->error));
    assert_int_equal(len, 2);
    assert_slice(rows[0].module, "a");
    assert_int_equal(rows[0].max[RESOURCE_MEMORY], 3000);
    assert_int_equal(rows[0].max[RESOURCE_ISOLATES], 7);
    assert_int_equal(rows[1].max[RESOURCE_MEMORY], 2000);
    assert_ok(quota_set(h, "a", QUOTA_NONE, QUOTA_AS_IT_IS));
    assert_quota(h, "a", 0, 7);
}

static void a_module_takes_its_quota_along_and_leaves_its_usage(void **state)
{
    struct harness *h = *state;
    struct store_op op = HARNESS_OP(h);
    struct usage_row *rows;
    assert_ok(build_start(h, "a", NULL));
    assert_ok(quota_set(h, "a", 1000, 0));
    assert_ok(add(h, "a", 500000, 1));
    store_function_delete(h->store, &op, S("a"));
    assert_ok(harness_wait(h, &op));
    assert_ok(build_start(h, "a", NULL));
    assert_quota(h, "a", 0, 0);
    assert_int_equal(usage(h, "a", 0, true, &rows), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_hour_adds_up),
        TEST(what_cannot_be_is_refused),
        TEST(old_hours_go),
        TEST(quotas_are_set_one_by_one),
        TEST(a_module_takes_its_quota_along_and_leaves_its_usage),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("store/usage", tests, NULL, NULL);
}
