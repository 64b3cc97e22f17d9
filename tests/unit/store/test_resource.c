/* SPDX-License-Identifier: Apache-2.0
 *
 * Resources in the store: names in a namespace, numbers for good, and what versions are bound to. */
#include "base/limits.h"
#include "harness_durable.h"

static enum err create(struct harness *h, const char *space, enum resource_kind kind,
                       const char *name, int64_t *ret_id)
{
    struct store_op op = HARNESS_OP(h);
    struct resource_row row = {.space = slice_cstr(space), .kind = kind, .name = slice_cstr(name)};
    store_resource_create(h->store, &op, &row);
    enum err code = harness_wait(h, &op);
    if (ret_id)
        *ret_id = op.number;
    return code;
}

static enum err delete(struct harness *h, const char *space, enum resource_kind kind,
                       const char *name, bool is_forced)
{
    struct store_op op = HARNESS_OP(h);
    struct resource_row row = {.space = slice_cstr(space), .kind = kind, .name = slice_cstr(name)};
    store_resource_delete(h->store, &op, &row, is_forced);
    return harness_wait(h, &op);
}

static enum err look(struct harness *h, const char *space, enum resource_kind kind,
                     const char *name, struct resource_row *ret_row, size_t *ret_users)
{
    struct slice *users;
    return store_resource(h->reader, h->arena, slice_cstr(space), kind, slice_cstr(name), ret_row,
                          &users, ret_users, &h->error);
}

static enum err space_make(struct harness *h, const char *name)
{
    struct store_op op = HARNESS_OP(h);
    store_namespace_create(h->store, &op, slice_cstr(name));
    return harness_wait(h, &op);
}

static enum err space_delete(struct harness *h, const char *name, bool is_forced)
{
    struct store_op op = HARNESS_OP(h);
    store_namespace_delete(h->store, &op, slice_cstr(name), is_forced);
    return harness_wait(h, &op);
}

/* Publishes code that is bound to these: lines "WORD NAME". */
static enum err deploy(struct harness *h, const char *function, const char *code_text,
                       const char *resources, int64_t *ret_version)
{
    char hash[65];
    int64_t build = 0;
    assert_ok(build_start(h, function, &build));
    assert_ok(store_artifact_put(h->store, slice_cstr(code_text), hash, &h->error));
    struct version_row v = {.function = slice_cstr(function),
                            .hash = slice_cstr(hash),
                            .resources = slice_cstr(resources)};
    struct store_op op = HARNESS_OP(h);
    store_publish(h->store, &op, build, &v);
    enum err code = harness_wait(h, &op);
    *ret_version = op.number;
    return code;
}

static int64_t bound_id(struct harness *h, const char *function, int64_t version, const char *name)
{
    struct resource_row *rows;
    size_t len;
    struct version_row v = {.function = slice_cstr(function), .number = version};
    assert_ok(store_resources_of(h->reader, h->arena, &v, &rows, &len, &h->error));
    for (size_t i = 0; i < len; i++)
        if (slice_eq_cstr(rows[i].name, name))
            return rows[i].id;
    return -1;
}

static void they_come_and_go(void **state)
{
    struct harness *h = *state;
    struct resource_row row, *rows;
    size_t len = 0, users = 0;
    int64_t first = 0, other = 0, again = 0;
    assert_ok(create(h, "", RESOURCE_KIND_KV, "sessions", &first));
    assert_int_equal(create(h, "default", RESOURCE_KIND_KV, "sessions", NULL), ERR_CONFLICT);
    assert_ok(
        create(h, "", RESOURCE_KIND_QUEUE, "sessions", &other)); /* another kind, other names */
    assert_int_not_equal(first, other);
    assert_int_equal(create(h, "", RESOURCE_KIND_KV, "a/b", NULL), ERR_INVALID);
    assert_int_equal(create(h, "nobody", RESOURCE_KIND_KV, "x", NULL), ERR_NOT_FOUND);
    assert_ok(look(h, "", RESOURCE_KIND_KV, "sessions", &row, &users));
    assert_int_equal(row.id, first);
    assert_slice(row.space, "default");
    assert_true(row.created_us > 0);
    assert_ok(
        store_resources(h->reader, h->arena, S(""), RESOURCE_KIND_KV, &rows, &len, &h->error));
    assert_int_equal(len, 1);
    assert_ok(delete(h, "", RESOURCE_KIND_KV, "sessions", false));
    assert_int_equal(delete(h, "", RESOURCE_KIND_KV, "sessions", false), ERR_NOT_FOUND);
    assert_text_has(h->error.message, "KV namespace 'sessions'");
    assert_int_equal(look(h, "", RESOURCE_KIND_KV, "sessions", &row, &users), ERR_NOT_FOUND);
    assert_ok(create(h, "", RESOURCE_KIND_KV, "sessions", &again));
    assert_true(again > other);
}

static void settings_are_replaced(void **state)
{
    struct harness *h = *state;
    struct store_op op = HARNESS_OP(h);
    struct resource_row row = {
        .space = S(""), .kind = RESOURCE_KIND_QUEUE, .name = S("jobs"), .settings = S("{\"a\":1}")};
    size_t users = 0;
    store_resource_set(h->store, &op, &row);
    assert_int_equal(harness_wait(h, &op), ERR_NOT_FOUND);
    store_resource_create(h->store, &op, &row);
    assert_ok(harness_wait(h, &op));
    row.settings = S("{\"a\":2}");
    store_resource_set(h->store, &op, &row);
    assert_ok(harness_wait(h, &op));
    assert_ok(look(h, "", RESOURCE_KIND_QUEUE, "jobs", &row, &users));
    assert_slice(row.settings, "{\"a\":2}");
}

static void a_deploy_makes_what_it_is_bound_to(void **state)
{
    struct harness *h = *state;
    struct resource_row row;
    size_t users = 0;
    int64_t id = 0, version = 0, before;
    assert_ok(create(h, "", RESOURCE_KIND_KV, "there", &id));
    assert_ok(deploy(h, "f", "one", "kv there\nkv new\nqueue new\n", &version));
    assert_int_equal(bound_id(h, "f", version, "there"), id);
    assert_ok(look(h, "", RESOURCE_KIND_QUEUE, "new", &row, &users));
    assert_ok(look(h, "", RESOURCE_KIND_KV, "new", &row, &users));
    assert_int_equal(users, 1);
    before = row.id;
    /* Refused while a version that serves is bound to it. */
    assert_int_equal(delete(h, "", RESOURCE_KIND_KV, "new", false), ERR_CONFLICT);
    assert_text_has(h->error.message, "'f' is bound to");
    assert_ok(deploy(h, "f", "two", "kv there\n", &version));
    assert_ok(delete(h, "", RESOURCE_KIND_KV, "new", false));
    /* The former version is bound to nothing now, and not to another one of that name. */
    assert_int_equal(bound_id(h, "f", 1, "new"), 0);
    assert_ok(create(h, "", RESOURCE_KIND_KV, "new", NULL));
    assert_int_equal(bound_id(h, "f", 1, "new"), 0);
    /* The same code once more is bound to what there is then. */
    assert_int_equal(delete(h, "", RESOURCE_KIND_KV, "there", false), ERR_CONFLICT);
    assert_ok(delete(h, "", RESOURCE_KIND_KV, "there", true));
    assert_int_equal(bound_id(h, "f", version, "there"), 0);
    assert_ok(deploy(h, "f", "two", "kv there\n", &version));
    assert_int_equal(version, 2);
    assert_true(bound_id(h, "f", version, "there") > before);
    assert_ok(function_delete(h, "f"));
    assert_ok(delete(h, "", RESOURCE_KIND_KV, "there", false));
}

static void namespaces_are_apart_and_take_theirs_along(void **state)
{
    struct harness *h = *state;
    struct resource_row row;
    struct resource_counts counts[RESOURCE_KINDS];
    size_t users = 0;
    int64_t a = 0, b = 0, version = 0;
    assert_ok(space_make(h, "shop"));
    assert_ok(create(h, "shop", RESOURCE_KIND_KV, "same", &a));
    assert_ok(create(h, "", RESOURCE_KIND_KV, "same", &b));
    assert_int_not_equal(a, b);
    assert_ok(deploy(h, "shop/f", "one", "kv same\n", &version));
    assert_int_equal(bound_id(h, "shop/f", version, "same"), a);
    assert_ok(look(h, "", RESOURCE_KIND_KV, "same", &row, &users));
    assert_int_equal(users, 0);
    assert_ok(function_delete(h, "shop/f"));
    assert_int_equal(space_delete(h, "shop", false), ERR_CONFLICT);
    assert_text_has(h->error.message, "has resources");
    assert_ok(space_delete(h, "shop", true));
    assert_ok(space_make(h, "shop"));
    assert_int_equal(look(h, "shop", RESOURCE_KIND_KV, "same", &row, &users), ERR_NOT_FOUND);
    assert_ok(look(h, "", RESOURCE_KIND_KV, "same", &row, &users));
    assert_ok(store_resource_counts(h->reader, counts, &h->error));
    assert_int_equal(counts[RESOURCE_KIND_KV].count, 1);
    assert_int_equal(counts[RESOURCE_KIND_D1].count, 0);
}

static void there_is_a_limit(void **state)
{
    struct harness *h = *state;
    int64_t version = 0;
    char name[32];
    for (int i = 0; i < LIMIT_RESOURCES; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        assert_ok(create(h, "", RESOURCE_KIND_KV, name, NULL));
    }
    assert_int_equal(create(h, "", RESOURCE_KIND_KV, "more", NULL), ERR_CONFLICT);
    assert_ok(create(h, "", RESOURCE_KIND_D1, "more", NULL));
    /* A deploy that cannot have what it is bound to is none. */
    assert_int_equal(deploy(h, "f", "one", "d1 made\nkv more\n", &version), ERR_CONFLICT);
    struct resource_row row;
    size_t users = 0;
    assert_int_equal(look(h, "", RESOURCE_KIND_D1, "made", &row, &users), ERR_NOT_FOUND);
    assert_ok(deploy(h, "f", "one", "kv n7\n", &version));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(they_come_and_go, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(settings_are_replaced, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(a_deploy_makes_what_it_is_bound_to, harness_setup,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(namespaces_are_apart_and_take_theirs_along, harness_setup,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(there_is_a_limit, harness_setup, harness_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("store/resource", tests, NULL, NULL);
}
