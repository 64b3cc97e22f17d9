/* SPDX-License-Identifier: Apache-2.0 */
#include "host/job.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "loop/loop.h"
#include "loop/timer.h"

enum { JOB_PLACES_MS = 5 /* between two looks whether others have given back theirs */ };

struct job_runner {
    struct loop *loop;
    struct fair fair;
    struct list granted; /* to be started from the loop */
    struct timer step, places;
};

static void job_on_run(struct work *w)
{
    struct job *j = container_of(w, struct job, work);
    j->entered_ns = clock_thread_cpu_ns();
    if (!atomic_load_explicit(&j->is_to_stop, memory_order_relaxed))
        j->run(j);
    j->cpu_ns = clock_thread_cpu_ns() - j->entered_ns;
}

static void job_on_done(struct work *w)
{
    struct job *j = container_of(w, struct job, work);
    struct job_runner *r = j->runner;
    j->is_away = false;
    if (j->account)
        atomic_fetch_add_explicit(&j->account->meter.cpu_ns, j->cpu_ns, memory_order_relaxed);
    account_unref(TAKE(j->account));
    fair_leave(&r->fair, &j->place);
    j->done(j);
    loop_arrived(r->loop);
}

static void job_go(struct job *j)
{
    j->is_away = true;
    loop_expect(j->runner->loop);
    work_start(j->runner->loop, &j->work);
}

static void on_step(struct timer *t)
{
    struct job_runner *r = container_of(t, struct job_runner, step);
    struct list *n;
    while ((n = list_pop_front(&r->granted)))
        job_go(container_of(n, struct job, link));
}

static void on_granted(struct fair_place *p)
{
    struct job *j = container_of(p, struct job, place);
    list_push_back(&j->runner->granted, &j->link);
    if (!timer_is_running(&j->runner->step))
        timer_start(j->runner->loop, &j->runner->step, 0, on_step);
}

static void on_places(struct timer *t)
{
    fair_retry(&container_of(t, struct job_runner, places)->fair);
}

static void places_refused(struct fair *f)
{
    struct job_runner *r = container_of(f, struct job_runner, fair);
    if (!timer_is_running(&r->places))
        timer_start(r->loop, &r->places, JOB_PLACES_MS, on_places);
}

struct job_runner *job_runner_new(struct loop *loop)
{
    struct job_runner *r = calloc(1, sizeof(*r));
    CHECK(r);
    r->loop = loop;
    list_init(&r->granted);
    fair_init(&r->fair, LIMIT_COMPUTATIONS_THREAD, RESOURCE_COMPUTATIONS, places_refused);
    return r;
}

void job_runner_free(struct job_runner *r)
{
    if (!r)
        return;
    CHECK(list_is_empty(&r->granted));
    fair_done(&r->fair);
    free(r);
}

void job_start(struct job_runner *r, struct job *j, struct account *owner, const void *member)
{
    j->runner = r;
    j->work = (struct work){.run = job_on_run, .done = job_on_done};
    j->place = (struct fair_place){.granted = on_granted};
    j->account = owner ? account_ref(owner) : NULL;
    j->cpu_ns = 0;
    list_init(&j->link);
    if (fair_enter(&r->fair, &j->place, owner, member))
        job_go(j);
}

bool job_cancel(struct job *j)
{
    j->is_cancelled = true;
    if (j->is_away) {
        atomic_store_explicit(&j->is_to_stop, true, memory_order_relaxed);
        return false;
    }
    if (list_is_linked(&j->link))
        list_remove(&j->link);
    fair_leave(&j->runner->fair, &j->place);
    account_unref(TAKE(j->account));
    return true;
}

bool job_stops(void *arg)
{
    struct job *j = arg;
    if (atomic_load_explicit(&j->is_to_stop, memory_order_relaxed))
        return true;
    j->is_late = j->is_late || clock_thread_cpu_ns() - j->entered_ns > j->cpu_ns_max;
    return j->is_late;
}
