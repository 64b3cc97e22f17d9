/* SPDX-License-Identifier: Apache-2.0
 *
 * Several threads post and loops end under them. Meant for ThreadSanitizer too. */
#include "loop/post.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "loop/loop.h"

enum { SENDERS = 4, MESSAGES = 5000 };

struct message {
    struct post post;
    int sender, number;
};

static struct loop loop;
static int received[SENDERS]; /* loop thread: the next number from each */
static int received_all;

static void on_message(struct post *p)
{
    struct message *m = container_of(p, struct message, post);
    CHECK(m->number == received[m->sender]); /* not cmocka's: they are not for other threads */
    received[m->sender]++;
    received_all++;
    if (received_all == SENDERS * MESSAGES)
        loop_stop(&loop);
    free(m); /* the sender may still be inside loop_post() */
}

static void *send_all(void *arg)
{
    const int sender = *(int *)arg;
    for (int i = 0; i < MESSAGES; i++) {
        struct message *m = malloc(sizeof(*m));
        CHECK(m);
        *m = (struct message){.post = {.fn = on_message}, .sender = sender, .number = i};
        loop_post(&loop, &m->post);
    }
    return NULL;
}

static void each_senders_order_is_kept(void **state)
{
    pthread_t threads[SENDERS];
    int ids[SENDERS];
    loop_init(&loop);
    for (int i = 0; i < SENDERS; i++) {
        ids[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &ids[i]), 0);
    }
    loop_run(&loop);
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(received[i], MESSAGES);
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    loop_done(&loop);
}

/* Two loops on two threads play ball; then each is stopped by the other's last message. */
struct player {
    struct loop loop;
    struct post ball; /* the one that this player receives */
    struct player *other;
    int left;
};

static void on_ball(struct post *p)
{
    struct player *me = container_of(p, struct player, ball);
    if (--me->left == 0)
        loop_stop(&me->loop);
    loop_post(&me->other->loop, &me->other->ball);
}

static void *play(void *arg)
{
    struct player *me = arg;
    loop_run(&me->loop);
    return NULL;
}

static void loops_post_to_each_other(void **state)
{
    static struct player a, b;
    a = (struct player){.ball = {.fn = on_ball}, .other = &b, .left = 1000};
    b = (struct player){.ball = {.fn = on_ball}, .other = &a, .left = 1000};
    loop_init(&a.loop);
    loop_init(&b.loop);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, play, &b), 0);
    loop_post(&a.loop, &a.ball);
    loop_run(&a.loop);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(a.left, 0);
    assert_int_equal(b.left, 0);
    loop_done(&a.loop);
    loop_done(&b.loop);
}

/* The message ends its loop, and the loop is done while the sender may be inside loop_post(). */
static struct loop *ending;

static void on_end(struct post *p)
{
    (void)p;
    loop_stop(ending);
}

static void *send_end(void *arg)
{
    loop_post(ending, arg);
    return NULL;
}

static void message_may_end_its_loop(void **state)
{
    for (int i = 0; i < 200; i++) {
        struct post end = {.fn = on_end};
        ending = malloc(sizeof(*ending));
        assert_non_null(ending);
        loop_init(ending);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, send_end, &end), 0);
        loop_run(ending);
        loop_done(ending);
        free(ending);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

static void on_never(struct post *p)
{
    (void)p;
    CHECK(!"delivered after the stop");
}

static void nothing_after_done(void **state)
{
    struct post late = {.fn = on_never};
    loop_init(&loop);
    loop_stop(&loop);
    loop_run(&loop);
    loop_done(&loop);
    loop_post(&loop, &late);
    loop_stop(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_senders_order_is_kept),
        cmocka_unit_test(loops_post_to_each_other),
        cmocka_unit_test(message_may_end_its_loop),
        cmocka_unit_test(nothing_after_done),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("loop/post", tests, NULL, NULL);
}
