/* SPDX-License-Identifier: Apache-2.0
 *
 * See fiber_task.h. The pool is the process's: FIBER_POOL_THREADS threads, made with the first runner
 * and ended with the last, and one queue under a mutex, in which a task that has used up its slice
 * goes to the end. A task that comes home is put onto its runner's list, and the runner's post
 * tells the loop. SQLite calls the hooks and the progress handler without holding a mutex
 * (multi-thread mode, no shared cache, each page cache with its own group), so that a task can
 * leave there. */
#include "host/fiber_task.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fiber.h"
#include "host/sql_internal.h"
#include "limpet_sqlite.h"
#include "loop/loop.h"

enum {
    FIBER_POOL_THREADS = 4,
    FIBER_STACK_BYTES = 1024 * 1024, /* as far as it is touched */
    FIBERS_KEPT = 16,                /* a runner's */
    FIBERS_LENT = 2048,              /* likewise: each is two of the 65,530 maps of a process */
};
#define FIBER_INLINE_NS (2 * UINT64_C(1000000)) /* on the engine thread */
#define FIBER_HURRY_NS (UINT64_C(300000))       /* ... with a sort to come */
#define FIBER_AWAY_NS (10 * UINT64_C(1000000))  /* a turn on the pool */

struct fiber_runner {
    struct loop *loop;
    struct fiber *fibers[FIBERS_KEPT];
    size_t fibers_len;
    unsigned lent;
    struct post post;
    /* under the pool's mutex */
    struct list home;
    unsigned away;
    bool is_posted;
};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t work, home;
    struct list queue;
    pthread_t threads[FIBER_POOL_THREADS];
    unsigned runners;
    bool is_ending;
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER,
          .work = PTHREAD_COND_INITIALIZER,
          .home = PTHREAD_COND_INITIALIZER};

static _Thread_local struct fiber_task *task_current;

/* Not inlined: a task changes threads, and with them the address. */
__attribute__((noinline)) struct fiber_task *fiber_task_current(void)
{
    __asm__ volatile("");
    return task_current;
}

__attribute__((noinline)) static void task_set_current(struct fiber_task *t)
{
    __asm__ volatile("");
    task_current = t;
}

static void task_main(void *arg)
{
    struct fiber_task *t = arg;
    t->run(t);
    fiber_task_home();
}

/* One stretch, on whatever thread. */
static void task_enter(struct fiber_task *t, uint64_t ns)
{
    t->leaves_ns = clock_monotonic_ns() + ns;
    if (t->is_away)
        t->entered_cpu_ns = clock_thread_cpu_ns();
    task_set_current(t);
    t->is_ended = fiber_run(t->fiber);
    task_set_current(NULL);
    if (t->is_away && !t->is_free)
        t->cpu_ns += clock_thread_cpu_ns() - t->entered_cpu_ns;
}

/* ---- the pool ---- */

static void on_post(struct post *p);

static void pool_give_home(struct fiber_task *t)
{
    struct fiber_runner *r = t->runner;
    list_push_back(&r->home, &t->link);
    r->away--;
    if (!r->is_posted) {
        r->is_posted = true;
        r->post.fn = on_post;
        loop_post(r->loop, &r->post);
    }
    pthread_cond_broadcast(&pool.home);
}

static void *pool_main(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&pool.mutex);
    for (;;) {
        while (list_is_empty(&pool.queue) && !pool.is_ending)
            pthread_cond_wait(&pool.work, &pool.mutex);
        struct list *n = list_pop_front(&pool.queue);
        if (!n)
            break;
        struct fiber_task *t = container_of(n, struct fiber_task, link);
        pthread_mutex_unlock(&pool.mutex);
        task_enter(t, FIBER_AWAY_NS);
        pthread_mutex_lock(&pool.mutex);
        CHECK(!t->is_ended);
        if (t->want == FIBER_TASK_POOL)
            list_push_back(&pool.queue, &t->link);
        else
            pool_give_home(t);
    }
    pthread_mutex_unlock(&pool.mutex);
    return NULL;
}

static void pool_take(struct fiber_task *t)
{
    t->is_away = true;
    pthread_mutex_lock(&pool.mutex);
    t->runner->away++;
    list_push_back(&pool.queue, &t->link);
    pthread_cond_signal(&pool.work);
    pthread_mutex_unlock(&pool.mutex);
}

static void pool_ref(void)
{
    pthread_mutex_lock(&pool.mutex);
    if (pool.runners++ == 0) {
        list_init(&pool.queue);
        pool.is_ending = false;
        for (size_t i = 0; i < FIBER_POOL_THREADS; i++)
            CHECK(pthread_create(&pool.threads[i], NULL, pool_main, NULL) == 0);
    }
    pthread_mutex_unlock(&pool.mutex);
}

static void pool_unref(void)
{
    pthread_mutex_lock(&pool.mutex);
    bool is_last = --pool.runners == 0;
    pool.is_ending = is_last;
    pthread_cond_broadcast(&pool.work);
    pthread_mutex_unlock(&pool.mutex);
    for (size_t i = 0; is_last && i < FIBER_POOL_THREADS; i++)
        CHECK(pthread_join(pool.threads[i], NULL) == 0);
}

/* ---- the loop's side ---- */

struct fiber_runner *fiber_runner_new(struct loop *loop)
{
    struct fiber_runner *r = calloc(1, sizeof(*r));
    if (!r)
        check_out_of_memory(sizeof(*r));
    r->loop = loop;
    list_init(&r->home);
    pool_ref();
    return r;
}

void fiber_runner_free(struct fiber_runner *r)
{
    if (!r)
        return;
    CHECK(r->away == 0 && list_is_empty(&r->home));
    while (r->fibers_len)
        fiber_free(r->fibers[--r->fibers_len]);
    free(r);
    pool_unref();
}

static struct fiber *runner_take(struct fiber_runner *r)
{
    return r->fibers_len ? r->fibers[--r->fibers_len] : fiber_new(FIBER_STACK_BYTES);
}

static void runner_keep(struct fiber_runner *r, struct fiber *f)
{
    if (r->fibers_len < FIBERS_KEPT)
        r->fibers[r->fibers_len++] = f;
    else
        fiber_free(f);
}

struct fiber *fiber_runner_lend(struct fiber_runner *r)
{
    if (r->lent == FIBERS_LENT)
        return NULL;
    r->lent++;
    return runner_take(r);
}

void fiber_runner_give_back(struct fiber_runner *r, struct fiber *f)
{
    r->lent--;
    runner_keep(r, f);
}

static void task_end(struct fiber_task *t)
{
    allowance_give(&t->held, t->held.used); /* what is left is the connection's now */
    allowance_done(&t->held);
    runner_keep(t->runner, t->fiber);
    t->fiber = NULL;
}

static void task_woken(struct timer *timer);

/* Goes on on the loop's thread. True: it has ended. */
static bool task_step(struct fiber_task *t)
{
    for (;;) {
        task_enter(t, FIBER_INLINE_NS);
        if (t->is_ended) {
            task_end(t);
            return true;
        }
        if (t->want == FIBER_TASK_POOL) {
            pool_take(t);
            return false;
        }
        if (t->want == FIBER_TASK_NAP) {
            timer_start(t->runner->loop, &t->timer, t->nap_ms, task_woken);
            return false;
        }
        if (t->want == FIBER_TASK_AWAIT && t->start(t->start_arg) == OP_PENDING)
            return false;
    }
}

static void task_go_on(struct fiber_task *t)
{
    if (task_step(t))
        t->done(t); /* t may be gone now */
}

static void task_woken(struct timer *timer)
{
    task_go_on(container_of(timer, struct fiber_task, timer));
}

static void task_arrived(struct fiber_task *t)
{
    t->is_away = false;
    if (t->want == FIBER_TASK_NAP && !fiber_task_is_cancelled(t))
        timer_start(t->runner->loop, &t->timer, t->nap_ms, task_woken);
    else
        task_go_on(t);
}

static void runner_take_home(struct fiber_runner *r)
{
    struct list arrived, *n;
    list_init(&arrived);
    pthread_mutex_lock(&pool.mutex);
    r->is_posted = false;
    list_splice_back(&arrived, &r->home);
    pthread_mutex_unlock(&pool.mutex);
    while ((n = list_pop_front(&arrived)))
        task_arrived(container_of(n, struct fiber_task, link));
}

static void on_post(struct post *p)
{
    runner_take_home(container_of(p, struct fiber_runner, post));
}

void fiber_runner_drain(struct fiber_runner *r)
{
    for (;;) {
        pthread_mutex_lock(&pool.mutex);
        while (r->away && list_is_empty(&r->home))
            pthread_cond_wait(&pool.home, &pool.mutex);
        bool is_over = !r->away && list_is_empty(&r->home);
        r->is_posted = true; /* the loop takes none any more */
        pthread_mutex_unlock(&pool.mutex);
        if (is_over)
            return;
        runner_take_home(r);
        r->is_posted = true;
    }
}

bool fiber_task_start(struct fiber_runner *r, struct fiber_task *t)
{
    t->runner = r;
    t->fiber = runner_take(r);
    t->timer = (struct timer){0};
    t->is_away = t->is_ended = t->is_cancelled = t->is_late = t->is_free = false;
    t->cpu_ns = 0;
    t->memory = 0;
    t->full = NULL;
    t->held = (struct allowance){.from = t->memory_from};
    fiber_set(t->fiber, task_main, t);
    return task_step(t);
}

void fiber_task_cancel(struct fiber_task *t)
{
    __atomic_store_n(&t->is_cancelled, true, __ATOMIC_RELAXED);
    if (t->is_away)
        return;
    CHECK(timer_is_running(&t->timer) || t->want == FIBER_TASK_AWAIT);
    timer_stop(t->runner->loop, &t->timer);
    task_go_on(t);
}

/* ---- from inside ---- */

static void task_leave(struct fiber_task *t, enum fiber_task_want want)
{
    t->want = want;
    fiber_leave();
}

void fiber_task_ahead(void)
{
    struct fiber_task *t = fiber_task_current();
    if (t && !t->is_away)
        task_leave(t, FIBER_TASK_POOL);
}

void fiber_task_hurry(void)
{
    struct fiber_task *t = fiber_task_current();
    if (t && !t->is_away && t->leaves_ns > clock_monotonic_ns() + FIBER_HURRY_NS)
        t->leaves_ns = clock_monotonic_ns() + FIBER_HURRY_NS;
}

bool fiber_task_tick(void)
{
    struct fiber_task *t = fiber_task_current();
    if (!t)
        return false;
    if (fiber_task_is_cancelled(t))
        return true;
    if (clock_monotonic_ns() < t->leaves_ns)
        return t->is_late;
    if (t->is_away)
        t->is_late =
            !t->is_free && t->cpu_ns + clock_thread_cpu_ns() - t->entered_cpu_ns > t->cpu_ns_max;
    if (!t->is_late)
        task_leave(t, FIBER_TASK_POOL);
    return t->is_late || fiber_task_is_cancelled(t);
}

void fiber_task_home(void)
{
    struct fiber_task *t = fiber_task_current();
    if (t && t->is_away)
        task_leave(t, FIBER_TASK_HOME);
}

void fiber_task_nap(uint32_t ms)
{
    struct fiber_task *t = fiber_task_current();
    CHECK(t);
    t->nap_ms = ms;
    task_leave(t, FIBER_TASK_NAP);
}

void fiber_task_await(enum op_status (*start)(void *arg), void *arg)
{
    fiber_task_home();
    struct fiber_task *t = fiber_task_current();
    CHECK(t);
    t->start = start;
    t->start_arg = arg;
    task_leave(t, FIBER_TASK_AWAIT);
}

void fiber_task_wake(struct fiber_task *t)
{
    task_go_on(t);
}

/* cpu_ns is corrected by what this stretch has used so far, and may be below 0 until it ends. */
void fiber_task_bill(bool is_own)
{
    struct fiber_task *t = fiber_task_current();
    if (!t || t->is_free == !is_own)
        return;
    uint64_t used = t->is_away ? clock_thread_cpu_ns() - t->entered_cpu_ns : 0;
    t->is_free = !is_own;
    if (t->is_free)
        t->cpu_ns += used;
    else
        t->cpu_ns -= used;
}

static int hook_working(void)
{
    return fiber_task_tick();
}

/* What a statement takes is its module's, but for the little that most need. Below 0: it has freed
 * what others took, pages of a connection's cache for example. */
static int hook_charge(ptrdiff_t bytes)
{
    enum { FREE_BYTES = 64 * 1024 };
    struct fiber_task *t = fiber_task_current();
    if (!t)
        return 0;
    ptrdiff_t now = t->memory + bytes;
    if (bytes > 0 && t->memory > 0 && (size_t)now > t->memory_max) {
        t->full = NULL;
        return 1;
    }
    size_t counts = now > FREE_BYTES ? (size_t)(now - FREE_BYTES) : 0;
    if (counts < t->held.used)
        allowance_give(&t->held, t->held.used - counts);
    else if (counts > t->held.used && !allowance_take(&t->held, counts - t->held.used, &t->full))
        return 1;
    t->memory = now;
    return 0;
}

void fiber_task_install_hooks(void)
{
    static const struct limpet_sqlite_hooks hooks = {fiber_task_ahead, hook_working, hook_charge};
    limpet_sqlite_set_hooks(&hooks);
}
