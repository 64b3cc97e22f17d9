/* SPDX-License-Identifier: Apache-2.0 */
#include "server/schedule.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { Q = SCHEDULE_QUANTUM_NS };

static void gives_what_there_is(void **state)
{
    struct schedule s;
    struct share a = {0};
    schedule_init(&s);
    assert_null(schedule_next(&s));
    schedule_add(&s, &a);
    schedule_add(&s, &a); /* known */
    assert_ptr_equal(schedule_next(&s), &a);
    assert_ptr_equal(schedule_next(&s), &a); /* stays until it says that there is no more */
    assert_false(schedule_is_empty(&s));
    schedule_remove(&a);
    assert_null(schedule_next(&s));
    assert_true(schedule_is_empty(&s));
}

static void alone_it_runs_on_whatever_it_owes(void **state)
{
    struct schedule s;
    struct share a = {0};
    schedule_init(&s);
    schedule_add(&s, &a);
    for (int k = 0; k < 10; k++) {
        assert_ptr_equal(schedule_next(&s), &a);
        schedule_spent(&s, &a, 1000ULL * Q);
    }
    assert_ptr_equal(schedule_next(&s), &a);
    assert_true(a.left_ns > 0 && a.left_ns <= Q);
}

/* Two that always have something, one in large pieces, one in small ones: each gets half. */
static void shares_are_equal(void **state)
{
    struct schedule s;
    struct share heavy = {0}, light = {0};
    uint64_t of_heavy = 0, of_light = 0;
    schedule_init(&s);
    schedule_add(&s, &heavy);
    schedule_add(&s, &light);
    while (of_heavy + of_light < 10000ULL * Q) {
        struct share *next = schedule_next(&s);
        uint64_t ns = next == &heavy ? 25ULL * Q : Q / 20;
        *(next == &heavy ? &of_heavy : &of_light) += ns;
        schedule_spent(&s, next, ns);
    }
    uint64_t more = of_heavy > of_light ? of_heavy - of_light : of_light - of_heavy;
    assert_true(more <= 26ULL * Q);
}

/* Who seldom runs is next, however much the others have queued. */
static void a_newcomer_is_next(void **state)
{
    enum { HOGS = 50 };
    struct schedule s;
    struct share hogs[HOGS] = {0}, newcomer = {0};
    schedule_init(&s);
    for (int k = 0; k < HOGS; k++)
        schedule_add(&s, &hogs[k]);
    for (int k = 0; k < 1000; k++) {
        struct share *next = schedule_next(&s);
        schedule_spent(&s, next, 20ULL * Q);
        if (k % 100 != 99)
            continue;
        schedule_add(&s, &newcomer);
        assert_ptr_equal(schedule_next(&s), &newcomer);
        schedule_spent(&s, &newcomer, Q / 10);
        schedule_remove(&newcomer);
    }
}

/* Coming and going renews nothing. */
static void a_pause_pays_no_debt(void **state)
{
    struct schedule s;
    struct share a = {0}, b = {0};
    uint64_t of_a = 0, of_b = 0;
    schedule_init(&s);
    schedule_add(&s, &b);
    for (int k = 0; k < 5000; k++) {
        schedule_add(&s, &a);
        struct share *next = schedule_next(&s);
        uint64_t ns = next == &a ? 10ULL * Q : Q / 2;
        *(next == &a ? &of_a : &of_b) += ns;
        schedule_spent(&s, next, ns);
        schedule_remove(&a); /* and comes again at once */
    }
    assert_true(of_a < of_b + 11ULL * Q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_what_there_is),  cmocka_unit_test(alone_it_runs_on_whatever_it_owes),
        cmocka_unit_test(shares_are_equal),     cmocka_unit_test(a_newcomer_is_next),
        cmocka_unit_test(a_pause_pays_no_debt),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("server/schedule", tests, NULL, NULL);
}
