/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread that increments Wasmtime's epoch every SANDBOX_TICK_US while guests run, so that their
 * epoch callbacks can preempt or end them. After TICKER_IDLE_TICKS without a call it sleeps until
 * the next one, so an idle server does not wake up. */
#include "sandbox/internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { TICKER_IDLE_TICKS = 100 };

struct ticker {
    wasm_engine_t *engine;
    wasm_engine_t *other; /* atomic; NULL: there is one only */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    atomic_bool was_touched, is_asleep, is_stopping;
};

static void *ticker_main(void *arg)
{
    struct ticker *t = arg;
    int idle = 0;
    while (!atomic_load(&t->is_stopping)) {
        struct timespec pause = {0, SANDBOX_TICK_US * 1000L};
        nanosleep(&pause, NULL);
        wasmtime_engine_increment_epoch(t->engine);
        wasm_engine_t *other = __atomic_load_n(&t->other, __ATOMIC_ACQUIRE);
        if (other)
            wasmtime_engine_increment_epoch(other);
        if (atomic_exchange_explicit(&t->was_touched, false, memory_order_relaxed))
            idle = 0;
        if (++idle < TICKER_IDLE_TICKS)
            continue;
        pthread_mutex_lock(&t->mutex);
        atomic_store(&t->is_asleep, true);
        /* Sequentially consistent with ticker_touch(): either it sees is_asleep, or we see the
         * touch. */
        while (!atomic_load(&t->was_touched) && !atomic_load(&t->is_stopping))
            pthread_cond_wait(&t->wake, &t->mutex);
        atomic_store(&t->is_asleep, false);
        pthread_mutex_unlock(&t->mutex);
        idle = 0;
    }
    return NULL;
}

struct ticker *ticker_new(wasm_engine_t *engine)
{
    struct ticker *t = calloc(1, sizeof(*t));
    CHECK(t);
    t->engine = engine;
    CHECK(pthread_mutex_init(&t->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&t->wake, NULL) == 0);
    CHECK(pthread_create(&t->thread, NULL, ticker_main, t) == 0);
    return t;
}

void ticker_add(struct ticker *t, wasm_engine_t *engine)
{
    __atomic_store_n(&t->other, engine, __ATOMIC_RELEASE);
}

void ticker_touch(struct ticker *t)
{
    if (!atomic_load_explicit(&t->was_touched, memory_order_relaxed))
        atomic_store(&t->was_touched, true);
    if (!atomic_load(&t->is_asleep))
        return;
    pthread_mutex_lock(&t->mutex);
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->mutex);
}

void ticker_free(struct ticker *t)
{
    if (!t)
        return;
    atomic_store(&t->is_stopping, true);
    pthread_mutex_lock(&t->mutex);
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->mutex);
    pthread_join(t->thread, NULL);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->mutex);
    free(t);
}
