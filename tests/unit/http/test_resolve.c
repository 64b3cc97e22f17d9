/* SPDX-License-Identifier: Apache-2.0
 *
 * The resolver against a name server of our own on loopback, that answers, lies, or says nothing.
 */
#include "dns.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "http/resolve.h"
#include "loop/loop.h"

struct world {
    struct loop loop;
    struct dns dns;
    struct resolver *resolver;
    int left; /* the loop stops when so many more are told */
};

struct ask {
    struct resolve r;
    struct world *w;
    int told;
};

static void on_done(struct resolve *r)
{
    struct ask *a = container_of(r, struct ask, r);
    a->told++;
    if (--a->w->left == 0)
        loop_stop(&a->w->loop);
}

static int up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    dns_start(&w->dns);
    loop_init(&w->loop);
    assert_int_equal(resolver_new(&w->loop, w->dns.address, &w->resolver, NULL), OK);
    *state = w;
    return 0;
}

static int down(void **state)
{
    struct world *w = *state;
    resolver_free(w->resolver);
    loop_done(&w->loop);
    dns_stop(&w->dns);
    free(w);
    return 0;
}

static bool ask(struct world *w, struct ask *a, const char *name)
{
    a->w = w;
    a->r.done = on_done;
    return resolver_ask(w->resolver, &a->r, slice_cstr(name)) == RESOLVE_DONE;
}

/* Waits for it, if need be. */
static struct ask asked(struct world *w, const char *name)
{
    struct ask a = {0};
    if (!ask(w, &a, name)) {
        w->left = 1;
        loop_run(&w->loop);
        assert_int_equal(a.told, 1);
    }
    return a;
}

static void expect(struct world *w, const char *name, const char *addresses)
{
    struct ask a = asked(w, name);
    if (a.r.error.code)
        fail_msg("%s: %s", name, a.r.error.message);
    assert_string_equal(bytes_cstr(&a.r.addresses), addresses);
    bytes_done(&a.r.addresses);
}

static void expect_failure(struct world *w, const char *name, const char *text)
{
    struct ask a = asked(w, name);
    if (a.r.error.code != ERR_NETWORK || !strstr(a.r.error.message, text))
        fail_msg("%s: %s: %s", name, error_text(a.r.error.code), a.r.error.message);
    bytes_done(&a.r.addresses);
}

static int threads_now(void)
{
    int threads = 0;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    while (readdir(dir))
        threads++;
    closedir(dir);
    return threads;
}

static void finds_both_families(void **state)
{
    struct world *w = *state;
    expect(w, "a.test", "127.0.0.1");
    expect(w, "aaaa.test", "[::1]");
    struct ask a = asked(w, "both.test");
    assert_non_null(strstr(bytes_cstr(&a.r.addresses), "127.0.0.1"));
    assert_non_null(strstr(bytes_cstr(&a.r.addresses), "[::1]"));
    bytes_done(&a.r.addresses);
    /* As many as anybody would try. */
    a = asked(w, "many.test");
    int commas = 0;
    for (const char *c = bytes_cstr(&a.r.addresses); *c; c++)
        commas += *c == ',';
    assert_int_equal(commas, 15);
    bytes_done(&a.r.addresses);
}

static void localhost_is_not_asked_for(void **state)
{
    struct world *w = *state;
    expect(w, "localhost", "127.0.0.1,[::1]");
    expect(w, "x.localhost", "127.0.0.1,[::1]");
    expect(w, "localhost.", "127.0.0.1,[::1]");
    assert_int_equal(w->dns.seen_len, 0);
    expect_failure(w, "nolocalhost", "was not found");
}

static void failures_are_told(void **state)
{
    struct world *w = *state;
    char label[300];
    expect_failure(w, "none.test", "host 'none.test' was not found");
    expect_failure(w, "fail.test", "could not be looked up");
    (void)snprintf(label, sizeof(label), "%064d.test", 0);
    expect_failure(w, label, "was not found");
    (void)snprintf(label, sizeof(label), "%0280d", 0);
    expect_failure(w, label, "was not found");
    expect_failure(w, "lies.test", "could not be looked up");
    /* That there is no such name is remembered, too. */
    int questions = dns_questions(&w->dns, "none.test");
    expect_failure(w, "none.test", "was not found");
    assert_int_equal(dns_questions(&w->dns, "none.test"), questions);
}

static void answers_are_kept(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 20; i++)
        expect(w, "a.test", "127.0.0.1");
    assert_int_equal(dns_questions(&w->dns, "a.test"), 1);
}

static void one_look_up_serves_all_who_ask(void **state)
{
    enum { N = 500 };
    struct world *w = *state;
    struct ask *a = calloc(N, sizeof(*a));
    struct account *owners[N / 10];
    w->left = N;
    for (int i = 0; i < N; i++) {
        if (i % 10 == 0)
            owners[i / 10] = account_new(NULL, "module", SLICE_LIT("m"));
        a[i].r.owner = owners[i / 10];
        a[i].r.member = &a[i];
        assert_false(ask(w, &a[i], "a.test"));
    }
    assert_int_equal(resolver_busy(w->resolver), 1);
    loop_run(&w->loop);
    for (int i = 0; i < N; i++) {
        assert_int_equal(a[i].told, 1);
        assert_int_equal(a[i].r.error.code, OK);
        assert_string_equal(bytes_cstr(&a[i].r.addresses), "127.0.0.1");
        bytes_done(&a[i].r.addresses);
    }
    assert_int_equal(dns_questions(&w->dns, "a.test"), 1);
    for (int i = 0; i < N / 10; i++)
        account_unref(owners[i]);
    free(a);
}

/* Whoever asks for thousands of names that nobody answers for, and forgets them, delays itself. */
static void names_without_answer_harm_nobody(void **state)
{
    enum { N = 4000 };
    struct world *w = *state;
    struct ask *a = calloc(N, sizeof(*a));
    char name[64], member;
    struct account *owner = account_new(NULL, "module", SLICE_LIT("m")), *other;
    int threads = threads_now();
    for (int i = 0; i < N; i++) {
        (void)snprintf(name, sizeof(name), "silent-%d.test", i);
        a[i].r.owner = owner;
        a[i].r.member = &member;
        assert_false(ask(w, &a[i], name));
        if (i % 500 == 499)
            for (int k = i - 499; k <= i - (i == N - 1 ? 10 : 0); k++)
                resolver_forget(w->resolver, &a[k].r);
    }
    assert_int_equal(resolver_busy(w->resolver), LIMIT_FETCH_LOOKUPS / 4);
    expect(w, "a.test", "127.0.0.1");
    assert_int_equal(resolver_busy(w->resolver), LIMIT_FETCH_LOOKUPS / 4);
    assert_int_equal(threads_now(), threads);
    /* Somebody else who asks for a name that waits in line does not stand in that line. */
    (void)snprintf(name, sizeof(name), "silent-%d.test", N - 1);
    other = account_new(NULL, "module", SLICE_LIT("other"));
    struct ask b = {.r.owner = other, .r.member = w};
    assert_false(ask(w, &b, name));
    assert_int_equal(resolver_busy(w->resolver), LIMIT_FETCH_LOOKUPS / 4 + 1);
    resolver_forget(w->resolver, &b.r);
    resolver_forget(w->resolver, &b.r);
    account_unref(other);
    account_unref(owner); /* its look-ups go on, and hold it */
    for (int i = N - 10; i < N; i++) {
        assert_int_equal(a[i].told, 0);
        resolver_forget(w->resolver, &a[i].r);
    }
    free(a);
}

static void a_silent_resolver_is_named(void **state)
{
    struct world *w = *state;
    expect_failure(w, "silent.test", "the resolver does not answer");
    assert_int_equal(resolver_busy(w->resolver), 0);
    /* Not remembered: the next one asks again. */
    int questions = dns_questions(&w->dns, "silent.test");
    struct ask a = {0};
    assert_false(ask(w, &a, "silent.test"));
    while (dns_questions(&w->dns, "silent.test") == questions)
        (void)uv_run(&w->loop.uv, UV_RUN_NOWAIT);
    resolver_forget(w->resolver, &a.r);
}

static void name_servers_are_checked(void **state)
{
    struct world *w = *state;
    static const char *const bad[] = {"nonsense",      "127.0.0.1:x", "1.2.3.4.5",    "1.2.3",
                                      "[127.0.0.1]:5", "127.0.0.1:0", "127.0.0.1,,x", "::1]:5"};
    struct resolver *v = NULL;
    struct error e;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (resolver_new(&w->loop, bad[i], &v, &e) != ERR_INVALID)
            fail_msg("%s", bad[i]);
        assert_non_null(strstr(e.message, bad[i]));
    }
    assert_int_equal(resolver_new(&w->loop, "192.0.2.1,[2001:db8::1]:5353", &v, &e), OK);
    resolver_free(v);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        T(finds_both_families),
        T(localhost_is_not_asked_for),
        T(failures_are_told),
        T(answers_are_kept),
        T(one_look_up_serves_all_who_ask),
        T(names_without_answer_harm_nobody),
        T(a_silent_resolver_is_named),
        T(name_servers_are_checked),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
