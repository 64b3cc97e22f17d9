/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs of several loops on the one pool. Meant for ThreadSanitizer too. */
#include "loop/work.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "loop/loop.h"
#include "loop/post.h"

enum { LOOPS = 3, JOBS = 200 };

struct owner {
    struct loop loop;
    struct owner *next; /* gets a message for each job done */
    pthread_t thread;
    int done, noted; /* of this loop's thread */
};

struct job {
    struct work work;
    struct post note;
    struct owner *owner;
    int input, output;
    pthread_t ran_on;
};

static struct owner owners[LOOPS];
static struct job jobs[LOOPS][JOBS];

static void maybe_stop(struct owner *owner)
{
    if (owner->done == JOBS && owner->noted == JOBS)
        loop_stop(&owner->loop);
}

static void on_note(struct post *p)
{
    struct owner *to = container_of(p, struct job, note)->owner->next;
    CHECK(pthread_equal(pthread_self(), to->thread));
    to->noted++;
    maybe_stop(to);
}

static void job_run(struct work *w)
{
    struct job *job = container_of(w, struct job, work);
    job->output = job->input * 2;
    job->ran_on = pthread_self();
}

static void job_done(struct work *w)
{
    struct job *job = container_of(w, struct job, work);
    CHECK(pthread_equal(pthread_self(), job->owner->thread));
    CHECK(!pthread_equal(job->ran_on, job->owner->thread));
    CHECK(job->output == job->input * 2);
    job->owner->done++;
    loop_post(&job->owner->next->loop, &job->note);
    maybe_stop(job->owner);
}

static void *own(void *arg)
{
    struct owner *me = arg;
    me->thread = pthread_self();
    for (int i = 0; i < JOBS; i++) {
        struct job *job = &jobs[me - owners][i];
        *job = (struct job){.work = {.run = job_run, .done = job_done},
                            .note = {.fn = on_note},
                            .owner = me,
                            .input = i + 1};
        work_start(&me->loop, &job->work);
    }
    loop_run(&me->loop);
    return NULL;
}

static void jobs_come_home(void **state)
{
    pthread_t threads[LOOPS];
    for (int i = 0; i < LOOPS; i++) {
        loop_init(&owners[i].loop);
        owners[i].next = &owners[(i + 1) % LOOPS];
    }
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, own, &owners[i]), 0);
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < LOOPS; i++) {
        assert_int_equal(owners[i].done, JOBS);
        assert_int_equal(owners[i].noted, JOBS);
        loop_done(&owners[i].loop);
    }
}

static bool late_done;

static void late_job_run(struct work *w)
{
    (void)w;
}

static void late_job_done(struct work *w)
{
    (void)w;
    late_done = true;
}

static void done_comes_even_after_stop(void **state)
{
    static struct loop loop;
    struct work w = {.run = late_job_run, .done = late_job_done};
    loop_init(&loop);
    loop_stop(&loop);
    work_start(&loop, &w);
    loop_run(&loop);
    loop_done(&loop); /* waits for it, since the struct is ours */
    assert_true(late_done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_come_home),
        cmocka_unit_test(done_comes_even_after_stop),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("loop/work", tests, NULL, NULL);
}
