/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects of buckets in the store. */
#include <sched.h>

#include "harness_fork.h"

static int64_t bucket_make(struct harness *h, const char *name)
{
    struct store_op op = HARNESS_OP(h);
    struct resource_row row = {.kind = RESOURCE_KIND_BUCKET, .name = slice_cstr(name)};
    store_resource_create(h->store, &op, &row);
    assert_ok(harness_wait(h, &op));
    return op.number;
}

static enum err put(struct harness *h, int64_t of, const char *key, const char *value,
                    int64_t if_id, int64_t *ret_id)
{
    struct store_op op = HARNESS_OP(h);
    struct object_row row = {.resource = of,
                             .key = slice_cstr(key),
                             .value = slice_cstr(value),
                             .size = (int64_t)strlen(value),
                             .etag = S("etag"),
                             .metadata = S("{}")};
    store_object_put(h->store, &op, &row, if_id);
    enum err code = harness_wait(h, &op);
    if (ret_id)
        *ret_id = op.number;
    return code;
}

static struct object_row get(struct harness *h, int64_t of, const char *key)
{
    struct object_row row;
    assert_ok(store_object_get(h->reader, h->arena, of, slice_cstr(key), true, &row, &h->error));
    return row;
}

static enum err delete(struct harness *h, int64_t of, const char *key)
{
    struct store_op op = HARNESS_OP(h);
    store_object_delete(h->store, &op, of, slice_cstr(key));
    return harness_wait(h, &op);
}

static int64_t stored(struct harness *h, int64_t *ret_items)
{
    struct resource_counts counts[RESOURCE_KINDS];
    assert_ok(store_resource_counts(h->reader, counts, &h->error));
    *ret_items = counts[RESOURCE_KIND_BUCKET].items;
    return counts[RESOURCE_KIND_BUCKET].bytes;
}

static void what_is_put_is_there(void **state)
{
    struct harness *h = *state;
    int64_t a = bucket_make(h, "a"), first = 0, second = 0, items = 0;
    assert_int_equal(get(h, a, "k").id, 0);
    assert_ok(put(h, a, "k", "one", STORE_OBJECT_ANY, &first));
    assert_slice(get(h, a, "k").value, "one");
    assert_int_equal(put(h, a, "k", "two", 0, NULL), ERR_CONFLICT);
    assert_int_equal(put(h, a, "k", "two", first + 1, NULL), ERR_CONFLICT);
    assert_ok(put(h, a, "k", "two", first, &second));
    assert_true(second > first);
    assert_slice(get(h, a, "k").value, "two");
    assert_int_equal(stored(h, &items), 128 + 1 + 2 + 3);
    assert_int_equal(items, 1);
    assert_ok(delete(h, a, "k"));
    assert_ok(delete(h, a, "k"));
    assert_int_equal(stored(h, &items), 0);
    assert_int_equal(put(h, a + 100, "k", "v", STORE_OBJECT_ANY, NULL), ERR_NOT_FOUND);
}

static void list(struct harness *h, struct store_query *q, const char *prefix,
                 const char *delimiter, struct slice after, int64_t limit)
{
    *q = (struct store_query){.arena = h->arena,
                              .object_list = {.resource = q->object_list.resource,
                                              .prefix = slice_cstr(prefix),
                                              .delimiter = slice_cstr(delimiter),
                                              .after = after,
                                              .limit = limit}};
    assert_ok(store_object_list(h->reader, q));
}

static void lists_have_pages_and_folders(void **state)
{
    static const char *const keys[] = {"a",     "b/1",   "b/2", "b/c/1", "b/c/2",
                                       "b/c/3", "c/ä/x", "d",   "b",     "c/ä/y"};
    struct harness *h = *state;
    struct store_query q = {.object_list.resource = bucket_make(h, "a")};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        assert_ok(put(h, q.object_list.resource, keys[i], "v", STORE_OBJECT_ANY, NULL));
    list(h, &q, "", "", S(""), 100);
    assert_int_equal(q.object_list.len, 10);
    assert_slice(q.object_list.last, "");
    list(h, &q, "", "/", S(""), 100);
    assert_int_equal(q.object_list.len, 3);
    assert_int_equal(q.object_list.prefixes_len, 2);
    assert_slice(q.object_list.prefixes[0], "b/");
    assert_slice(q.object_list.prefixes[1], "c/");
    list(h, &q, "b/", "/", S(""), 100);
    assert_int_equal(q.object_list.len, 2);
    assert_int_equal(q.object_list.prefixes_len, 1);
    assert_slice(q.object_list.prefixes[0], "b/c/");
    /* One at a time, all of it is met once. */
    struct slice after = SLICE_EMPTY;
    char seen[64] = "";
    do {
        list(h, &q, "", "/", after, 1);
        assert_int_equal(q.object_list.len + q.object_list.prefixes_len, 1);
        struct slice one =
            q.object_list.len ? q.object_list.rows[0].key : q.object_list.prefixes[0];
        snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%.*s ", SLICE_ARG(one));
        after = q.object_list.last;
    } while (after.len > 0);
    assert_string_equal(seen, "a b b/ c/ d ");
    list(h, &q, "c/", "ä", S(""), 100);
    assert_slice(q.object_list.prefixes[0], "c/ä");
    list(h, &q, "", "", S("b/c/1"), 2);
    assert_slice(q.object_list.rows[0].key, "b/c/2");
    assert_slice(q.object_list.last, "b/c/3");
}

static void part(struct harness *h, int64_t of, int64_t number, const char *content)
{
    char hash[65];
    struct store_op op = HARNESS_OP(h);
    assert_ok(store_artifact_put(h->store, slice_cstr(content), hash, &h->error));
    struct object_file file = {.number = number,
                               .bytes = (int64_t)strlen(content),
                               .hash = slice_cstr(hash),
                               .etag = S("p")};
    store_upload_part(h->store, &op, of, S("u"), &file);
    assert_ok(harness_wait(h, &op));
}

static void parts_become_an_object(void **state)
{
    struct harness *h = *state;
    struct store_op op = HARNESS_OP(h);
    int64_t a = bucket_make(h, "a"), items = 0;
    struct upload_row row = {.resource = a, .name = S("u"), .key = S("k"), .metadata = S("{}")};
    store_upload_new(h->store, &op, &row);
    assert_ok(harness_wait(h, &op));
    part(h, a, 1, "one");
    part(h, a, 3, "three");
    part(h, a, 2, "two");
    part(h, a, 3, "third");
    assert_int_equal(stored(h, &items), 3 + 3 + 5);
    struct object_file *parts;
    size_t len = 0;
    assert_ok(store_upload_get(h->reader, h->arena, a, S("u"), &row, &parts, &len, &h->error));
    assert_int_equal(len, 3);
    assert_int_equal(
        store_upload_get(h->reader, h->arena, a + 1, S("u"), &row, &parts, &len, &h->error),
        ERR_NOT_FOUND);
    const uint32_t missing[] = {1, 4}, numbers[] = {1, 3};
    struct object_row object = {.resource = a, .size = 8, .etag = S("e-2")};
    store_upload_complete(h->store, &op, &object, S("u"),
                          slice_of((const char *)missing, sizeof(missing)));
    assert_int_equal(harness_wait(h, &op), ERR_NOT_FOUND);
    store_upload_complete(h->store, &op, &object, S("u"),
                          slice_of((const char *)numbers, sizeof(numbers)));
    assert_ok(harness_wait(h, &op));
    struct object_row got = get(h, a, "k");
    assert_int_equal(got.files_len, 2);
    assert_int_equal(got.files[1].bytes, 5);
    assert_slice(got.etag, "e-2");
    assert_int_equal(stored(h, &items), 128 + 1 + 2 + 8);
    store_upload_abort(h->store, &op, a, S("u"));
    assert_int_equal(harness_wait(h, &op), ERR_NOT_FOUND);
}

static void deleted_buckets_are_emptied(void **state)
{
    struct harness *h = *state;
    struct store_op op = HARNESS_OP(h);
    int64_t a = bucket_make(h, "a");
    char key[32];
    for (int i = 0; i < 600; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_ok(put(h, a, key, "v", STORE_OBJECT_ANY, NULL));
    }
    struct upload_row upload = {.resource = a, .name = S("u"), .key = S("k"), .metadata = S("{}")};
    store_upload_new(h->store, &op, &upload);
    assert_ok(harness_wait(h, &op));
    part(h, a, 1, "one");
    struct resource_row row = {.kind = RESOURCE_KIND_BUCKET, .name = S("a")};
    store_resource_delete(h->store, &op, &row, false);
    assert_ok(harness_wait(h, &op));
    while (number(
        h, "SELECT (SELECT count(*) FROM object) + (SELECT count(*) FROM upload)"
           " + (SELECT count(*) FROM upload_part) + (SELECT count(*) FROM resource_deleted)"))
        sched_yield();
    struct object_row got;
    assert_int_equal(store_object_get(h->reader, h->arena, a, S("k1"), false, &got, &h->error),
                     ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_put_is_there, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(lists_have_pages_and_folders, harness_setup,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(parts_become_an_object, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(deleted_buckets_are_emptied, harness_setup,
                                        harness_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("store/object", tests, NULL, NULL);
}
