/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of events and turns. "e" is an event, "t" a turn. */
#include "loop/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "loop/post.h"
#include "loop/timer.h"

static struct loop loop;
static struct bytes seen;

static void on_turn(void *arg)
{
    (void)arg;
    bytes_append_char(&seen, 't');
}

static int set_up(void **state)
{
    loop_init(&loop);
    loop_on_turn(&loop, on_turn, NULL);
    return 0;
}

static int tear_down(void **state)
{
    loop_done(&loop);
    bytes_done(&seen);
    return 0;
}

static void on_event(struct post *p)
{
    (void)p;
    bytes_append_char(&seen, 'e');
}

static void on_last_event(struct post *p)
{
    on_event(p);
    loop_stop(&loop);
}

static void stop_before_run(void **state)
{
    struct post p = {.fn = on_event};
    loop_post(&loop, &p);
    loop_stop(&loop);
    loop_run(&loop);
    assert_string_equal(bytes_cstr(&seen), "tet"); /* delivered, and the turn came after it */
}

static void runs_again_after_stop(void **state)
{
    loop_stop(&loop);
    loop_run(&loop);
    bytes_clear(&seen);
    struct post p = {.fn = on_last_event};
    loop_post(&loop, &p);
    loop_run(&loop);
    assert_true(bytes_slice(&seen).len >= 3);
    assert_true(slice_ends(bytes_slice(&seen), SLICE_LIT("t")));
    assert_true(slice_find(bytes_slice(&seen), 'e') > 0);
}

static void one_turn_for_a_batch(void **state)
{
    struct post posts[10];
    for (size_t i = 0; i < ARRAY_LEN(posts); i++) {
        posts[i] = (struct post){.fn = i + 1 < ARRAY_LEN(posts) ? on_event : on_last_event};
        loop_post(&loop, &posts[i]);
    }
    loop_run(&loop);
    assert_true(slice_starts(bytes_slice(&seen), SLICE_LIT("teeeeeeeeeet")));
}

/* An event that ends in a close callback: the turn runs after that too. */
static uv_pipe_t ends[2];
static int closed;

static void on_closed(uv_handle_t *handle)
{
    (void)handle;
    bytes_append_char(&seen, 'c');
    if (++closed == 2)
        loop_stop(&loop);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    static char room[16];
    (void)handle;
    (void)suggested;
    *ret_buf = uv_buf_init(room, sizeof(room));
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    (void)buf;
    (void)stream;
    assert_int_equal(got, 1);
    bytes_append_char(&seen, 'e');
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        uv_close((uv_handle_t *)&ends[i], on_closed);
}

static void turn_after_io_and_closing(void **state)
{
    uv_file files[2];
    closed = 0;
    assert_int_equal(uv_pipe(files, UV_NONBLOCK_PIPE, UV_NONBLOCK_PIPE), 0);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        assert_int_equal(uv_pipe_init(&loop.uv, &ends[i], 0), 0);
        assert_int_equal(uv_pipe_open(&ends[i], files[i]), 0);
    }
    assert_int_equal(uv_read_start((uv_stream_t *)&ends[0], on_alloc, on_read), 0);
    assert_int_equal(write(files[1], "x", 1), 1);
    loop_run(&loop);
    assert_true(slice_starts(bytes_slice(&seen), SLICE_LIT("tecct")));
}

static void last_turn_sees_the_last_event(void **state)
{
    struct post p = {.fn = on_last_event};
    loop_post(&loop, &p);
    loop_run(&loop);
    ptrdiff_t event = slice_find(bytes_slice(&seen), 'e');
    assert_true(event >= 0);
    assert_true(slice_find(slice_skip(bytes_slice(&seen), (size_t)event), 't') > 0);
}

static int budget;

static void spend(void *arg)
{
    (void)arg;
    if (--budget > 0)
        loop_again(&loop);
    else if (budget == 0)
        loop_stop(&loop);
}

static void again_does_not_sleep(void **state)
{
    budget = 1000;
    loop_on_turn(&loop, spend, NULL);
    loop_run(&loop); /* nothing else would ever wake it */
    assert_true(budget <= 0);
}

static struct post *hog;
static bool hog_may_end;

static void on_hog(struct post *p)
{
    if (!hog_may_end)
        loop_post(&loop, p);
}

static void on_alarm(struct timer *t)
{
    (void)t;
    hog_may_end = true;
    loop_stop(&loop);
}

static void posts_to_oneself_starve_nobody(void **state)
{
    struct post p = {.fn = on_hog};
    struct timer alarm = {0};
    hog_may_end = false;
    hog = &p;
    loop_post(&loop, hog);
    timer_start(&loop, &alarm, 1, on_alarm);
    loop_run(&loop);
    assert_true(hog_may_end);
}

static void now_stands_still_within_a_turn(void **state)
{
    uint64_t now = loop_now_ms(&loop);
    assert_true(now > 0);
    assert_int_equal(loop_now_ms(&loop), now);
}

static void *stop_from_thread(void *arg)
{
    (void)arg;
    loop_stop(&loop);
    return NULL;
}

static void stops_from_another_thread(void **state)
{
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, stop_from_thread, NULL), 0);
        loop_run(&loop);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stop_before_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(runs_again_after_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_turn_for_a_batch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(turn_after_io_and_closing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(last_turn_sees_the_last_event, set_up, tear_down),
        cmocka_unit_test_setup_teardown(again_does_not_sleep, set_up, tear_down),
        cmocka_unit_test_setup_teardown(posts_to_oneself_starve_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(now_stands_still_within_a_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stops_from_another_thread, set_up, tear_down),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("loop/loop", tests, NULL, NULL);
}
