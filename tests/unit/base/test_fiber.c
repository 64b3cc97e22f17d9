/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fiber.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

struct count {
    int steps, leaves;
    double sum;
    pthread_t threads[8];
    int inside;
};

/* Uses the stack and floating point across the switches. */
static void counts(void *arg)
{
    struct count *c = arg;
    volatile char room[4096];
    char text[32];
    (void)snprintf(text, sizeof(text), "%s %g", "aligned", 0.5); /* libc moves whole vectors */
    CHECK(strcmp(text, "aligned 0.5") == 0);
    double x = 0.5;
    for (int i = 0; i < c->leaves; i++) {
        memset((char *)room, i, sizeof(room));
        c->threads[i] = pthread_self();
        c->inside += fiber_is_inside();
        x *= 2;
        c->steps++;
        fiber_leave();
        for (size_t k = 0; k < sizeof(room); k++)
            CHECK(room[k] == (char)i);
    }
    c->sum = x;
}

static void leaves_and_goes_on(void **state)
{
    struct fiber *f = fiber_new(64 * 1024);
    for (int round = 0; round < 3; round++) { /* the stack is used again */
        struct count c = {.leaves = 5};
        fiber_set(f, counts, &c);
        assert_false(fiber_is_inside());
        for (int i = 1; i <= 5; i++) {
            assert_false(fiber_run(f));
            assert_int_equal(c.steps, i);
            assert_false(fiber_is_inside());
        }
        assert_true(fiber_run(f));
        assert_true(c.sum == 16.0);
        assert_int_equal(c.inside, 5);
    }
    fiber_free(f);
}

static void *run_once(void *arg)
{
    return fiber_run(arg) ? arg : NULL;
}

static void goes_on_in_another_thread(void **state)
{
    struct fiber *f = fiber_new(64 * 1024);
    struct count c = {.leaves = 4};
    pthread_t thread;
    void *ended;
    fiber_set(f, counts, &c);
    for (int i = 0; i < 4; i++) {
        if (i % 2) {
            assert_int_equal(pthread_create(&thread, NULL, run_once, f), 0);
            assert_int_equal(pthread_join(thread, &ended), 0);
            assert_null(ended);
        } else {
            assert_false(fiber_run(f));
        }
    }
    assert_true(pthread_equal(c.threads[0], pthread_self()));
    assert_false(pthread_equal(c.threads[1], pthread_self()));
    assert_true(pthread_equal(c.threads[2], pthread_self()));
    assert_int_equal(pthread_create(&thread, NULL, run_once, f), 0);
    assert_int_equal(pthread_join(thread, &ended), 0);
    assert_non_null(ended);
    fiber_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_and_goes_on),
        cmocka_unit_test(goes_on_in_another_thread),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("fiber", tests, NULL, NULL);
}
