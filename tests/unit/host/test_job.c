/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs: a module that asks for many leaves places to others, all run in the end, cancelled ones are
 * let go wherever they are, and CPU time is charged and bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/limits.h"
#include "host/job.h"
#include "loop/loop.h"
#include "loop/timer.h"

enum { JOBS = 20 };

struct test_job {
    struct job job;
    bool waits; /* until released, or told to stop */
    bool spins; /* until told to stop */
    bool is_done, was_stopped;
};

static struct loop loop;
static struct job_runner *runner;
static struct account *server, *busy, *other;
static atomic_int running, most;
static atomic_bool is_released;
static int done, wanted;

static void run(struct job *j)
{
    struct test_job *t = container_of(j, struct test_job, job);
    int now = atomic_fetch_add(&running, 1) + 1;
    for (int seen = atomic_load(&most); now > seen;)
        if (atomic_compare_exchange_weak(&most, &seen, now))
            break;
    while ((t->spins || (t->waits && !atomic_load(&is_released))) && !t->was_stopped)
        t->was_stopped = job_stops(j);
    (void)atomic_fetch_sub(&running, 1);
}

static void on_done(struct job *j)
{
    container_of(j, struct test_job, job)->is_done = true;
    if (++done == wanted)
        loop_stop(&loop);
}

static void start(struct test_job *t, struct account *owner)
{
    t->job.run = run;
    t->job.done = on_done;
    if (t->job.cpu_ns_max == 0)
        t->job.cpu_ns_max = UINT64_MAX;
    job_start(runner, &t->job, owner, owner);
}

static void run_until(int n)
{
    wanted = n;
    if (done < n)
        loop_run(&loop);
    assert_int_equal(done, n);
}

static int setup(void **state)
{
    loop_init(&loop);
    runner = job_runner_new(&loop);
    server = account_new(NULL, "server", SLICE_EMPTY);
    busy = account_new(server, "module", slice_cstr("busy"));
    other = account_new(server, "module", slice_cstr("other"));
    account_limit(server, RESOURCE_COMPUTATIONS, 2);
    account_limit(busy, RESOURCE_COMPUTATIONS, 1);
    account_limit(other, RESOURCE_COMPUTATIONS, 1);
    atomic_store(&is_released, false);
    atomic_store(&most, 0);
    done = 0;
    return 0;
}

static int teardown(void **state)
{
    loop_done(&loop);
    job_runner_free(runner);
    assert_int_equal(atomic_load(&running), 0);
    assert_int_equal(budget_used(&server->budgets[RESOURCE_COMPUTATIONS]), 0);
    account_unref(busy);
    account_unref(other);
    account_unref(server);
    return 0;
}

static void one_that_asks_for_many_leaves_a_place(void **state)
{
    struct test_job many[JOBS] = {0}, one = {0};
    for (int i = 0; i < JOBS; i++) {
        many[i].waits = true;
        start(&many[i], busy);
    }
    start(&one, other);
    run_until(1);
    assert_true(one.is_done);
    atomic_store(&is_released, true);
    run_until(1 + JOBS);
    assert_int_equal(atomic_load(&most), 2);
}

static void cancelled_ones_are_let_go(void **state)
{
    struct test_job first = {.spins = true}, second = {.waits = true};
    start(&first, busy);
    start(&second, busy);
    assert_true(job_cancel(&second.job)); /* it has not begun */
    assert_false(job_cancel(&first.job));
    run_until(1);
    assert_true(first.is_done && first.job.is_cancelled && !second.is_done);
    struct test_job last = {0};
    start(&last, busy);
    run_until(2);
    assert_true(last.is_done);
}

static void time_is_charged_and_bounded(void **state)
{
    struct test_job t = {.spins = true, .job.cpu_ns_max = 3000000};
    start(&t, busy);
    run_until(1);
    assert_true(t.job.is_late && t.was_stopped && !t.job.is_cancelled);
    assert_true(t.job.cpu_ns >= 3000000);
    assert_true(atomic_load(&busy->meter.cpu_ns) == t.job.cpu_ns);
    assert_true(atomic_load(&other->meter.cpu_ns) == 0);
}

/* The loop ends with a job away, whose guest is gone. */
static void a_loop_ends_after_its_jobs(void **state)
{
    static struct test_job t;
    t = (struct test_job){.spins = true};
    start(&t, other);
    assert_false(job_cancel(&t.job));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(one_that_asks_for_many_leaves_a_place),
        T(cancelled_ones_are_let_go),
        T(time_is_charged_and_bounded),
        T(a_loop_ends_after_its_jobs),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
