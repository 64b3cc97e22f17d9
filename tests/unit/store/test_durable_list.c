/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of durable executions: filters and pages. */
#include "harness_durable.h"

static char *listed(struct harness *h, struct durable_filter filter, int64_t limit)
{
    char *text = arena_printf(h->arena, "%s", "");
    struct store_page page = {.limit = limit};
    do {
        struct durable_row *rows;
        size_t len;
        assert_ok(store_durables(h->reader, h->arena, &filter, &page, &rows, &len, &page.cursor,
                                 &h->error));
        for (size_t i = 0; i < len; i++)
            text = arena_printf(h->arena, "%s%.*s ", text, SLICE_ARG(rows[i].id));
        assert_true((int64_t)len <= limit);
    } while (page.cursor.len);
    return text;
}

static void lists_are_filtered_and_paged(void **state)
{
    struct harness *h = *state;
    assert_ok(workflow_make(h, "other", "export default 1"));
    struct durable_child children[] = {{.id = S("c1"), .workflow = S("flow")},
                                       {.id = S("c2"), .workflow = S("other")},
                                       {.id = S("c3"), .workflow = S("flow")}};
    assert_ok(durable_start(h, "a"));
    assert_ok(durable_start_in(h, "other", "b", NULL));
    assert_ok(COMMIT(h, "a", .children = children, .children_len = 3));
    assert_ok(durable_end(h, "c1", 0, DURABLE_FAILED));
    assert_ok(durable_end(h, "c2", 0, DURABLE_FAILED));
    for (int64_t limit = 1; limit < 7; limit++) {
        assert_string_equal(listed(h, (struct durable_filter){.status = -1}, limit),
                            "c3 c2 c1 b a ");
        assert_string_equal(
            listed(h, (struct durable_filter){.workflow = S("flow"), .status = -1}, limit),
            "c3 c1 a ");
        assert_string_equal(listed(h, (struct durable_filter){.status = DURABLE_FAILED}, limit),
                            "c2 c1 ");
        assert_string_equal(listed(h, (struct durable_filter){.status = DURABLE_COMPLETED}, limit),
                            "");
        assert_string_equal(
            listed(h, (struct durable_filter){.workflow = S("flow"), .status = DURABLE_QUEUED},
                   limit),
            "c3 a ");
        assert_string_equal(
            listed(h, (struct durable_filter){.parent = S("a"), .status = -1}, limit), "c3 c2 c1 ");
        assert_string_equal(listed(h,
                                   (struct durable_filter){.parent = S("a"),
                                                           .workflow = S("flow"),
                                                           .status = DURABLE_FAILED},
                                   limit),
                            "c1 ");
    }
    struct durable_filter filter = {.workflow = S("nobody"), .status = -1};
    struct store_page page = {0};
    struct durable_row *rows;
    struct slice next;
    size_t len;
    assert_int_equal(
        store_durables(h->reader, h->arena, &filter, &page, &rows, &len, &next, &h->error),
        ERR_NOT_FOUND);
    page.cursor = S("nonsense");
    filter.workflow = SLICE_EMPTY;
    assert_int_equal(
        store_durables(h->reader, h->arena, &filter, &page, &rows, &len, &next, &h->error),
        ERR_INVALID);
}

static void lists_are_of_one_export(void **state)
{
    struct harness *h = *state;
    struct durable_child children[] = {
        {.id = S("c1"), .workflow = S("flow")},
        {.id = S("c2"), .workflow = S("flow"), .export_name = S("main")},
        {.id = S("c3"), .workflow = S("flow"), .export_name = S("default")},
        {.id = S("c4"), .workflow = S("flow"), .export_name = S("other")}};
    assert_ok(durable_start(h, "a")); /* flow.main */
    assert_ok(COMMIT(h, "a", .children = children, .children_len = 4));
    assert_ok(durable_end(h, "c2", 0, DURABLE_FAILED));
    /* More than a page looks at lie before what two of the lists are to find. */
    struct durable_child more[50];
    for (int k = 0; k < 85; k++) {
        for (size_t i = 0; i < ARRAY_LEN(more); i++)
            more[i] =
                (struct durable_child){.id = slice_cstr(arena_printf(h->arena, "m%d-%zu", k, i)),
                                       .workflow = S("flow"),
                                       .export_name = S("many")};
        assert_ok(COMMIT(h, "a", .first = k, .count = 1, .children = more,
                         .children_len = ARRAY_LEN(more)));
    }
    struct durable_filter of = {.workflow = S("flow"), .status = -1};
    for (int64_t limit = 1; limit < 4; limit++) {
        of.status = -1;
        of.export_name = S("main");
        assert_string_equal(listed(h, of, limit), "c2 a ");
        of.export_name = S("other");
        assert_string_equal(listed(h, of, limit), "c4 ");
        of.export_name = S("default");
        assert_string_equal(listed(h, of, limit), "c3 c1 ");
        of.export_name = S("none");
        assert_string_equal(listed(h, of, limit), "");
        of.status = DURABLE_QUEUED;
        of.export_name = S("other");
        assert_string_equal(listed(h, of, limit), "c4 ");
        of.status = DURABLE_FAILED;
        of.export_name = S("main");
        assert_string_equal(listed(h, of, limit), "c2 ");
    }
    of = (struct durable_filter){.workflow = S("flow"), .status = -1, .export_name = S("many")};
    struct store_page page = {.limit = 1000};
    size_t len, all = 0;
    do {
        struct durable_row *rows;
        assert_ok(
            store_durables(h->reader, h->arena, &of, &page, &rows, &len, &page.cursor, &h->error));
        all += len;
    } while (page.cursor.len);
    assert_int_equal(all, 85 * ARRAY_LEN(more));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, durable_setup, harness_teardown)
    const struct CMUnitTest tests[] = {
        TEST(lists_are_filtered_and_paged),
        TEST(lists_are_of_one_export),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("store/durable_list", tests, NULL, NULL);
}
