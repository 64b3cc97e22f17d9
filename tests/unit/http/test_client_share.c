/* SPDX-License-Identifier: Apache-2.0
 *
 * What callers of one client do to each other: connections kept, names that nobody answers for. And
 * names at all, whose addresses pass the same rules as any. */
#include "call.h"
#include "dns.h"

#include "base/budget.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct account *owners[4]; /* made at first use, for all tests */
static char members[8];           /* only their addresses count */
static int heads_left;

static void count_head(struct call *c)
{
    if (--heads_left == 0)
        loop_stop(c->loop);
}

static struct call *hog_new(struct world *w, const char *path, int owner, int member)
{
    struct call *c = call_new(w, "%s", path);
    static int never = 1000000;
    if (!owners[owner])
        owners[owner] = account_new(NULL, "module", SLICE_LIT("m"));
    c->fetch.owner = owners[owner];
    c->fetch.member = &members[member];
    c->fetch.silence_ms = 600 * 1000;
    c->holds = true;
    c->left = &never;
    return c;
}

/* Some that keep all they can get, of answers that nobody reads. Returns once they have it. */
static void hogs_start(struct world *w, struct call **calls, int len, int owner, int member,
                       int share)
{
    heads_left = share;
    for (int i = 0; i < len; i++) {
        calls[i] = hog_new(w, "/hold", owner, member);
        calls[i]->after_head = count_head;
        call_start(w, calls[i]);
    }
    loop_run(&w->loop);
}

static void unread_answers_leave_room_for_others(void **state)
{
    enum { N = 512 };
    struct world *w = *state;
    struct call *calls[2 * N];
    hogs_start(w, calls, N, 0, 0, LIMIT_FETCH_CONNECTIONS / 4);
    for (int i = 0; i < 20; i++) {
        struct call *c = hog_new(w, "/hello", 1, 1);
        c->left = NULL;
        c->holds = false;
        (void)call_run(w, c);
        expect_ok(c, "hello");
        call_free(c);
    }
    hogs_start(w, calls + N, N, 1, 2, LIMIT_FETCH_CONNECTIONS / 4);
    struct call *c = hog_new(w, "/hello", 2, 3);
    c->left = NULL;
    (void)call_run(w, c);
    expect_ok(c, "hello");
    call_free(c);
    /* Who has all that it may have is told so. */
    c = hog_new(w, "/hello", 0, 0);
    c->left = NULL;
    c->fetch.silence_ms = 30;
    expect_failure(w, ERR_TIMEOUT, "this request holds 128 and its function 128 of the 512", c);
    int heads = 0;
    for (int i = 0; i < 2 * N; i++)
        heads += calls[i]->heads;
    assert_int_equal(heads, LIMIT_FETCH_CONNECTIONS / 2);
    /* What one gives back goes on to the next in line. */
    heads_left = 10;
    for (int i = 0, given = 0; given < 10; i++) {
        if (calls[i]->heads) {
            http_fetch_cancel(&calls[i]->fetch);
            given++;
        }
    }
    loop_run(&w->loop);
    http_client_free(w->client);
    w->client = NULL;
    for (int i = 0; i < 2 * N; i++) {
        assert_int_equal(calls[i]->dones, 1);
        call_free(calls[i]);
    }
}

static void a_quota_bounds_connections(void **state)
{
    struct world *w = *state;
    struct call *calls[8];
    struct budget *quota;
    hogs_start(w, calls, 1, 3, 0, 1);
    quota = &owners[3]->budgets[RESOURCE_CONNECTIONS];
    account_limit(owners[3], RESOURCE_CONNECTIONS, 3);
    hogs_start(w, calls + 1, 7, 3, 1, 2);
    assert_int_equal(budget_used(quota), 3);
    struct call *c = hog_new(w, "/hello", 3, 2);
    c->left = NULL;
    c->fetch.silence_ms = 30;
    expect_failure(w, ERR_TIMEOUT, "the module 'm' has all 3 of its quota in use", c);
    /* What is given back elsewhere, or allowed, is noticed. */
    account_limit(owners[3], RESOURCE_CONNECTIONS, 5);
    heads_left = 2;
    loop_run(&w->loop);
    http_client_free(w->client);
    w->client = NULL;
    assert_int_equal(budget_used(quota), 0);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(calls[i]->dones, 1);
        call_free(calls[i]);
    }
    account_limit(owners[3], RESOURCE_CONNECTIONS, SIZE_MAX);
}

/* ---- names ---- */

static struct dns dns;

static int names_up(void **state)
{
    (void)world_up(state);
    struct world *w = *state;
    http_client_free(w->client);
    dns_start(&dns);
    assert_int_equal(http_client_new(&w->loop, dns.address, &w->client, NULL), OK);
    return 0;
}

static int names_down(void **state)
{
    (void)world_down(state);
    dns_stop(&dns);
    return 0;
}

static void expect_hello(struct world *w, const char *host)
{
    struct call *c = call_new(w, "http://%s:%d/hello", host, server.port);
    (void)call_run(w, c);
    expect_ok(c, "hello");
    call_free(c);
}

static void names_are_looked_up(void **state)
{
    struct world *w = *state;
    expect_hello(w, "a.test");
    expect_hello(w, "A.TEST");
    expect_hello(w, "a.test.");
    expect_hello(w, "localhost");
    expect_hello(w, "both.test");                       /* nobody listens on ::1 */
    assert_int_equal(dns_questions(&dns, "a.test"), 2); /* with and without the dot */
    expect_failure(w, ERR_NETWORK, "host 'none.test' was not found",
                   call_new(w, "http://none.test/"));
    expect_failure(w, ERR_NETWORK, "host 'none.test' was not found",
                   call_new(w, "/to?http://none.test/"));
    struct call *c = call_new(w, "/to?http://a.test:%d/hello", server.port);
    (void)call_run(w, c);
    expect_ok(c, "hello");
    call_free(c);
}

/* The port that the rules allow is only on 127.0.0.1. */
static void addresses_of_names_pass_the_rules(void **state)
{
    struct world *w = *state;
    static const char *const hosts[] = {"private.test", "aaaa.test", "many.test"};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        expect_failure(w, ERR_FORBIDDEN, "not allowed",
                       call_new(w, "http://%s:%d/", hosts[i], server.port));
        expect_failure(w, ERR_FORBIDDEN, "not allowed",
                       call_new(w, "/to?http://%s:%d/", hosts[i], server.port));
    }
    expect_hello(w, "mixed.test"); /* what is refused is not tried */
    /* A name that is one address now and another then. */
    expect_hello(w, "turn.test");
    http_client_free(w->client);
    assert_int_equal(http_client_new(&w->loop, dns.address, &w->client, NULL), OK);
    expect_failure(w, ERR_FORBIDDEN, "10.0.0.1",
                   call_new(w, "http://turn.test:%d/hello", server.port));
}

static void silent_names_delay_nobody(void **state)
{
    enum { N = 300 };
    struct world *w = *state;
    struct call *calls[N];
    char url[64];
    for (int wave = 0; wave < 4; wave++) {
        for (int i = 0; i < N; i++) {
            (void)snprintf(url, sizeof(url), "http://silent-%d-%d.test/", wave, i);
            calls[i] = hog_new(w, url, 0, 0);
            call_start(w, calls[i]);
        }
        while (dns.seen_len == 0) /* the first wave has them all */
            (void)uv_run(&w->loop.uv, UV_RUN_ONCE);
        struct call *c = hog_new(w, "/to?http://a.test", 1, 1);
        (void)snprintf(c->url, sizeof(c->url), "http://a.test:%d/hello", server.port);
        c->fetch.url = slice_cstr(c->url);
        c->left = NULL;
        c->holds = false;
        (void)call_run(w, c);
        expect_ok(c, "hello");
        call_free(c);
        int left = N;
        for (int i = 0; i < N; i++) {
            calls[i]->left = &left;
            http_fetch_cancel(&calls[i]->fetch);
        }
        loop_run(&w->loop);
        for (int i = 0; i < N; i++) {
            assert_int_equal(calls[i]->error.code, ERR_CANCELLED);
            call_free(calls[i]);
        }
    }
    assert_true(dns.seen_len <= LIMIT_FETCH_LOOKUPS / 4 + 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)
#define N(name) cmocka_unit_test_setup_teardown(name, names_up, names_down)
    const struct CMUnitTest tests[] = {
        T(unread_answers_leave_room_for_others),
        T(a_quota_bounds_connections),
        N(names_are_looked_up),
        N(addresses_of_names_pass_the_rules),
        N(silent_names_delay_nobody),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
