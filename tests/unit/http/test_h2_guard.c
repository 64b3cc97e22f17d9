/* SPDX-License-Identifier: Apache-2.0
 *
 * What floods cost, under a clock of our own: the bucket takes a burst, and flows back with time, no
 * faster and no higher. Where the input is in its frames is none of its business. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/h2_guard.c"

static uint64_t now_ms;
static int ends;

uint64_t loop_now_ms(const struct loop *l)
{
    (void)l;
    return now_ms;
}

int nghttp2_session_terminate_session(nghttp2_session *session, uint32_t code)
{
    (void)session;
    assert_int_equal(code, NGHTTP2_ENHANCE_YOUR_CALM);
    ends++;
    return 0;
}

nghttp2_stream *nghttp2_session_find_stream(nghttp2_session *session, int32_t id)
{
    (void)session;
    (void)id;
    return NULL;
}

static struct http_server server;

static struct http_conn *conn(void)
{
    static struct http_conn c;
    now_ms = 5000;
    ends = 0;
    c = (struct http_conn){.server = &server};
    c.h2.flood_tokens = HTTP2_FLOOD_BURST;
    c.h2.flood_ms = now_ms;
    c.h2.frame_left = 7;
    return &c;
}

/* How many frames it may send at once. */
static int wave(struct http_conn *c)
{
    int n = 0;
    while (h2_pay(c, 1), !c->h2.is_failed)
        n++;
    c->h2.is_failed = false;
    c->h2.flood_tokens = 0;
    return n;
}

static void test_a_burst(void **state)
{
    struct http_conn *c = conn();
    (void)state;
    assert_int_equal(wave(c), HTTP2_FLOOD_BURST);
    assert_int_equal(ends, 1);
}

static void test_flows_back_with_time(void **state)
{
    struct http_conn *c = conn();
    (void)state;
    (void)wave(c);
    now_ms += 500;
    assert_int_equal(wave(c), HTTP2_FLOOD_PER_S / 2);
    now_ms += 3600 * 1000;
    assert_int_equal(wave(c), HTTP2_FLOOD_BURST);
}

/* Steadily: a frame each tick of its rate is nothing; twice as many are too many in the end. */
static void test_a_steady_stream(void **state)
{
    struct http_conn *c = conn();
    (void)state;
    for (int k = 0; k < 100000; k++, now_ms += 1000 / HTTP2_FLOOD_PER_S)
        h2_pay(c, 1);
    assert_false(c->h2.is_failed);
    for (int k = 0; k <= 2 * HTTP2_FLOOD_BURST; k++, now_ms += 1000 / HTTP2_FLOOD_PER_S)
        h2_pay(c, 2);
    assert_true(c->h2.is_failed);
}

static void test_the_input_stays_where_it_is(void **state)
{
    struct http_conn *c = conn();
    (void)state;
    now_ms += 1000; /* the bucket is full, and runs over */
    h2_pay(c, 1);
    assert_int_equal(c->h2.frame_left, 7);
    assert_int_equal(c->h2.flood_tokens, HTTP2_FLOOD_BURST - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_burst),
        cmocka_unit_test(test_flows_back_with_time),
        cmocka_unit_test(test_a_steady_stream),
        cmocka_unit_test(test_the_input_stays_where_it_is),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("http/h2_guard", tests, NULL, NULL);
}
