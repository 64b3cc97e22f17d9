/* SPDX-License-Identifier: Apache-2.0 */
#include "base/budget.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct chain {
    struct account *server, *module;
};

static struct chain chain_new(size_t server_max, size_t module_max)
{
    struct chain c = {.server = account_new(NULL, "server", SLICE_EMPTY)};
    c.module = account_new(c.server, "module", SLICE_LIT("hog"));
    account_limit(c.server, RESOURCE_MEMORY, server_max);
    account_limit(c.module, RESOURCE_MEMORY, module_max);
    return c;
}

static void chain_free(struct chain *c)
{
    assert_int_equal(budget_used(&c->module->budgets[RESOURCE_MEMORY]), 0);
    assert_int_equal(budget_used(&c->server->budgets[RESOURCE_MEMORY]), 0);
    account_unref(c->server);
    account_unref(c->module); /* which holds the server's */
}

static void takes_at_all_levels_or_none(void **state)
{
    struct chain c = chain_new(100, 60);
    struct budget *m = &c.module->budgets[RESOURCE_MEMORY],
                  *s = &c.server->budgets[RESOURCE_MEMORY];
    struct budget *full = NULL;
    assert_true(budget_take(m, 60, &full));
    assert_int_equal(budget_used(s), 60);
    assert_false(budget_take(m, 1, &full));
    assert_ptr_equal(full, m);
    assert_true(budget_take(s, 40, NULL)); /* by someone else */
    budget_give(m, 20);
    assert_true(budget_take(s, 20, NULL));
    assert_int_equal(budget_left(m), 0);
    assert_false(budget_take(m, 1, &full)); /* the module has room, the server has not */
    assert_ptr_equal(full, s);
    assert_int_equal(budget_used(m), 40); /* nothing stays taken below */
    budget_give(s, 60);
    budget_give(m, 40);
    chain_free(&c);
}

static void amounts_near_the_top_do_not_wrap(void **state)
{
    struct chain c = chain_new(SIZE_MAX, 100);
    struct budget *m = &c.module->budgets[RESOURCE_MEMORY];
    assert_true(budget_take(m, 1, NULL));
    assert_false(budget_take(m, SIZE_MAX, NULL));
    assert_int_equal(budget_used(m), 1);
    budget_give(m, 1);
    chain_free(&c);
}

static void what_is_forced_makes_takers_wait(void **state)
{
    struct chain c = chain_new(100, SIZE_MAX);
    struct budget *m = &c.module->budgets[RESOURCE_MEMORY];
    budget_force(m, 150);
    assert_int_equal(budget_left(m), 0);
    assert_false(budget_take(m, 1, NULL));
    budget_give(m, 60);
    assert_true(budget_take(m, 10, NULL));
    budget_give(m, 100);
    chain_free(&c);
}

static void refusals_name_owner_and_limit(void **state)
{
    struct chain c = chain_new(10, 5);
    struct error e;
    assert_int_equal(account_take(c.module, RESOURCE_MEMORY, 6, &e), ERR_LIMIT_MEMORY);
    assert_string_equal(e.message, "the module 'hog' has reached its limit of 5 bytes of memory");
    assert_non_null(strstr(e.hint, "memory_bytes"));
    assert_int_equal(account_take(c.server, RESOURCE_MEMORY, 10, &e), OK);
    assert_int_equal(account_take(c.module, RESOURCE_MEMORY, 1, &e), ERR_OVERLOAD);
    assert_non_null(strstr(e.message, "the server"));
    account_give(c.server, RESOURCE_MEMORY, 10);
    account_limit(c.module, RESOURCE_CONNECTIONS, 0);
    assert_int_equal(account_take(c.module, RESOURCE_CONNECTIONS, 1, &e), ERR_LIMIT_QUOTA);
    chain_free(&c);
}

static void allowances_take_grains(void **state)
{
    enum { GRAIN = ALLOWANCE_GRAIN_BYTES };
    struct chain c = chain_new(SIZE_MAX, 4 * GRAIN);
    struct budget *m = &c.module->budgets[RESOURCE_MEMORY];
    struct allowance a = {.from = m};
    assert_true(allowance_take(&a, 1, NULL));
    assert_int_equal(budget_used(m), GRAIN);
    assert_true(allowance_take(&a, GRAIN - 1, NULL));
    assert_int_equal(budget_used(m), GRAIN);
    assert_true(allowance_take(&a, 3 * GRAIN, NULL));
    struct budget *full = NULL;
    assert_false(allowance_take(&a, 1, &full));
    assert_ptr_equal(full, m);
    assert_int_equal(a.used, 4 * GRAIN);
    allowance_force(&a, 1);
    assert_int_equal(budget_used(m), 5 * GRAIN);
    allowance_give(&a, 4 * GRAIN);
    assert_int_equal(budget_used(m), 2 * GRAIN); /* what is used, and one grain kept */
    allowance_give(&a, 1);
    allowance_done(&a);
    assert_int_equal(budget_used(m), 0);
    struct allowance counts = {0};
    assert_true(allowance_take(&counts, SIZE_MAX / 2, NULL));
    allowance_give(&counts, SIZE_MAX / 2);
    allowance_done(&counts);
    chain_free(&c);
}

enum { THREADS = 4, ROUNDS = 20000, ROOM = 7 };

static void *contend(void *arg)
{
    struct budget *b = arg;
    for (int k = 0; k < ROUNDS; k++) {
        if (!budget_take(b, 3, NULL))
            continue;
        CHECK(budget_used(b) <= ROOM && budget_used(b->parent) <= ROOM + 3 * THREADS);
        budget_give(b, 3);
    }
    return NULL;
}

static void threads_never_pass_the_limit(void **state)
{
    struct chain c = chain_new(SIZE_MAX, ROOM);
    pthread_t threads[THREADS];
    for (int k = 0; k < THREADS; k++)
        assert_int_equal(
            pthread_create(&threads[k], NULL, contend, &c.module->budgets[RESOURCE_MEMORY]), 0);
    for (int k = 0; k < THREADS; k++)
        pthread_join(threads[k], NULL);
    chain_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_at_all_levels_or_none),
        cmocka_unit_test(amounts_near_the_top_do_not_wrap),
        cmocka_unit_test(what_is_forced_makes_takers_wait),
        cmocka_unit_test(refusals_name_owner_and_limit),
        cmocka_unit_test(allowances_take_grains),
        cmocka_unit_test(threads_never_pass_the_limit),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("base/budget", tests, NULL, NULL);
}
