/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads as queries: answered at once by SQLite; by a store that is far away (slow.c, in builds that
 * have it) later, from the loop, in any order, once each. */
#include "harness.h"

struct asked {
    struct store_query q;
    struct harness *h;
    int told;
};

static void on_answer(struct store_query *q)
{
    struct asked *a = container_of(q, struct asked, q);
    a->told++;
    if (--a->h->pending == 0)
        loop_stop(&a->h->loop);
}

static struct asked query_of(struct harness *h, enum store_query_kind kind)
{
    return (struct asked){
        .h = h,
        .q = {.kind = kind, .loop = &h->loop, .done = on_answer, .arena = h->arena},
    };
}

static void make_function(struct harness *h)
{
    int64_t build, version;
    assert_ok(build_start(h, "a", &build));
    assert_ok(publish(h, "a", build, "export default 1", "", &version));
    assert_int_equal(version, 1);
}

static void sqlite_answers_at_once(void **state)
{
    struct harness *h = *state;
    make_function(h);
    struct asked a = query_of(h, STORE_QUERY_FUNCTION);
    a.q.function.name = S("a");
    assert_int_equal(store_read(h->store, &a.q), OP_DONE);
    assert_int_equal(a.q.error.code, OK);
    assert_int_equal(a.q.function.row.version, 1);
    assert_int_equal(a.told, 0);
    a.q.function.name = S("b");
    assert_int_equal(store_read(h->store, &a.q), OP_DONE);
    assert_int_equal(a.q.error.code, ERR_NOT_FOUND);
    h->pending = 1;
    store_ask(h->store, &a.q);
    assert_int_equal(a.told, 1);
    struct asked owns = query_of(h, STORE_QUERY_OWNS);
    assert_int_equal(store_read(h->store, &owns.q), OP_DONE);
    assert_int_equal(owns.q.error.code, OK);
}

/* A function, its version and what else it runs by, of one moment. */
static void a_module_is_read_whole(void **state)
{
    struct harness *h = *state;
    struct asked a = query_of(h, STORE_QUERY_MODULE);
    int64_t build;
    a.q.module.name = S("a");
    assert_int_equal(store_read(h->store, &a.q), OP_DONE);
    assert_int_equal(a.q.error.code, ERR_NOT_FOUND);
    assert_ok(build_start(h, "a", &build));
    assert_int_equal(store_read(h->store, &a.q), OP_DONE);
    assert_int_equal(a.q.error.code, ERR_NOT_READY);
    assert_ok(publish(h, "a", build, "export default 1", "", NULL));
    struct store_op op = HARNESS_OP(h);
    store_env_set(h->store, &op, S("a"), S("KEY"), S("value"));
    assert_ok(harness_wait(h, &op));
    assert_int_equal(store_read(h->store, &a.q), OP_DONE);
    assert_int_equal(a.q.error.code, OK);
    assert_int_equal(a.q.module.version.number, 1);
    assert_int_equal(a.q.module.version.options.cpu_ms, 250);
    assert_int_equal(a.q.module.env_len, 1);
    assert_slice(a.q.module.env[0].value, "value");
    assert_slice(a.q.module.quota.module, "a");
    a.q.module.number = 7;
    assert_int_equal(store_read(h->store, &a.q), OP_DONE);
    assert_int_equal(a.q.error.code, ERR_NOT_FOUND);
}

static void folders_of_urls(void **state)
{
    static const char *const cases[][2] = {{"sqlite:./data/db.sqlite", "./data"},
                                           {"sqlite:///var/lib/x/db.sqlite", "/var/lib/x"},
                                           {"SQLITE:db.sqlite?mode=rwc", "."},
                                           {"sqlite:/db.sqlite", "/"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *folder = store_folder_of(cases[i][0]);
        assert_string_equal(folder, cases[i][1]);
        free(folder);
    }
    assert_null(store_folder_of("postgres://host/name"));
    assert_null(store_folder_of("no colon"));
}

#ifdef LIMPET_CRASH_POINTS
enum { MANY = 200 };

static int setup_slow(void **state)
{
    assert_int_equal(setenv("LIMPET_SLOW_STORE", "1", 1), 0);
    struct harness *h = harness_new_folder();
    *state = h;
    struct store_config config = {.url = h->url, .artifact_dir = h->artifacts};
    assert_ok(store_open(&config, &h->store, &h->error));
    return 0;
}

static int teardown_slow(void **state)
{
    int rc = harness_teardown(state);
    assert_int_equal(unsetenv("LIMPET_SLOW_STORE"), 0);
    return rc;
}

static void a_far_store_answers_later_and_once(void **state)
{
    struct harness *h = *state;
    static struct asked asked[MANY];
    make_function(h);
    for (int i = 0; i < MANY; i++) {
        asked[i] = query_of(h, STORE_QUERY_FUNCTION);
        asked[i].q.function.name = i % 2 ? S("a") : S("b");
        assert_int_equal(store_read(h->store, &asked[i].q), OP_PENDING);
        h->pending++;
    }
    loop_run(&h->loop);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(asked[i].told, 1);
        assert_int_equal(asked[i].q.error.code, i % 2 ? OK : ERR_NOT_FOUND);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sqlite_answers_at_once, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(a_module_is_read_whole, harness_setup, harness_teardown),
        cmocka_unit_test(folders_of_urls),
#ifdef LIMPET_CRASH_POINTS
        cmocka_unit_test_setup_teardown(a_far_store_answers_later_and_once, setup_slow,
                                        teardown_slow),
#endif
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
