/* SPDX-License-Identifier: Apache-2.0
 *
 * The client against a small HTTP/1.1 server that does what its paths say. */
#include "call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void gives_status_headers_and_body(void **state)
{
    struct world *w = *state;
    struct call *c = call_new(w, "/hello#frag");
    call_run(w, c);
    expect_ok(c, "hello");
    assert_int_equal(c->fetch.status, 200);
    assert_string_equal(bytes_cstr(&c->status_text), "Fine Indeed");
    assert_string_equal(bytes_cstr(&c->headers),
                        "x-one=1\nset-cookie=a=1\nset-cookie=b=2\ncontent-length=5\n");
    assert_true(slice_ends(bytes_slice(&c->final_url), SLICE_LIT("/hello")));
    assert_false(c->fetch.was_redirected);
    call_free(c);
}

static void sends_method_headers_and_body(void **state)
{
    struct world *w = *state;
    static const struct http_header headers[] = {{SLICE_LIT("x-a"), SLICE_LIT(" one ")},
                                                 {SLICE_LIT("x-empty"), SLICE_LIT("")},
                                                 {SLICE_LIT("host"), SLICE_LIT("evil")},
                                                 {SLICE_LIT("content-length"), SLICE_LIT("999")},
                                                 {SLICE_LIT("connection"), SLICE_LIT("close")},
                                                 {SLICE_LIT("content-type"), SLICE_LIT("text/x")}};
    struct call *c = call_new(w, "/echo");
    c->fetch.method = SLICE_LIT("patch");
    c->fetch.headers = headers;
    c->fetch.headers_len = 6;
    c->fetch.body = slice_of("bo\0dy", 5);
    call_run(w, c);
    expect_ok(c, NULL);
    char want[512];
    (void)snprintf(
        want, sizeof(want),
        "patch /echo\nHost: 127.0.0.1:%d\nAccept: */*\nx-a: one\nx-empty:\ncontent-type: text/x\n"
        "Accept-Encoding: gzip, deflate, br, zstd\nUser-Agent: Limpet/" LIMPET_VERSION
        "\nContent-Length: 5\n\nbo",
        server.port);
    assert_string_equal(bytes_cstr(&c->body), want);
    call_free(c);
    c = call_new(w, "/echo");
    c->fetch.method = SLICE_LIT("post");
    call_run(w, c);
    expect_ok(c, NULL);
    assert_non_null(strstr(bytes_cstr(&c->body), "POST /echo"));
    assert_non_null(strstr(c->body.ptr, "Content-Length: 0"));
    assert_null(strcasestr(c->body.ptr, "content-type"));
    call_free(c);
    c = call_new(w, "/hello");
    c->fetch.method = SLICE_LIT("HEAD");
    call_run(w, c);
    expect_ok(c, "");
    assert_non_null(strstr(bytes_cstr(&c->headers), "content-length=5"));
    call_free(c);
}

static void bad_requests_fail_at_once(void **state)
{
    struct world *w = *state;
    static const char *const urls[] = {"",
                                       "x",
                                       "/relative",
                                       "ftp://x/",
                                       "file:///etc/passwd",
                                       "http://",
                                       "http://[::1",
                                       "http://a b/",
                                       "javascript:1",
                                       "http://u:p@x/",
                                       "http://x:99999/",
                                       "http://1.2.3.4.5/"};
    struct error error;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct call *c = call_new(w, "/");
        c->fetch.url = slice_cstr(urls[i]);
        if (http_fetch_start(w->client, &c->fetch, &error) != ERR_INVALID)
            fail_msg("%s", urls[i]);
        call_free(c);
    }
    static const struct http_header bad[] = {{SLICE_LIT("a b"), SLICE_LIT("x")},
                                             {SLICE_LIT("a"), SLICE_LIT("x\r\ny: z")},
                                             {SLICE_LIT(""), SLICE_LIT("x")},
                                             {SLICE_LIT("a:"), SLICE_LIT("x")}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct call *c = call_new(w, "/");
        c->fetch.headers = &bad[i];
        c->fetch.headers_len = 1;
        assert_int_equal(http_fetch_start(w->client, &c->fetch, &error), ERR_INVALID);
        call_free(c);
    }
    static const char *const methods[] = {"", "CONNECT", "trace", "TRACK", "G T", "GET\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        struct call *c = call_new(w, "/");
        c->fetch.method = slice_cstr(methods[i]);
        assert_int_equal(http_fetch_start(w->client, &c->fetch, &error), ERR_INVALID);
        call_free(c);
    }
    struct call *c = call_new(w, "/");
    c->fetch.body = SLICE_LIT("x"); /* with GET */
    assert_int_equal(http_fetch_start(w->client, &c->fetch, &error), ERR_INVALID);
    call_free(c);
}

static void connections_are_reused(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 20; i++) {
        struct call *c = call_new(w, "/hello");
        call_run(w, c);
        expect_ok(c, "hello");
        call_free(c);
    }
    assert_int_equal(server_connections(&server), 1);
    enum { N = 100 };
    struct call *calls[N];
    int left = N;
    for (int i = 0; i < N; i++) {
        calls[i] = call_new(w, "/hello");
        calls[i]->left = &left;
        assert_int_equal(http_fetch_start(w->client, &calls[i]->fetch, NULL), OK);
    }
    loop_run(&w->loop);
    for (int i = 0; i < N; i++) {
        expect_ok(calls[i], "hello");
        call_free(calls[i]);
    }
}

static void follows_redirects(void **state)
{
    struct world *w = *state;
    static const int statuses[] = {301, 302, 303, 307, 308};
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        struct call *c = call_new(w, "/redirect/%d/3", statuses[i]);
        static const struct http_header headers[] = {
            {SLICE_LIT("content-type"), SLICE_LIT("text/x")},
            {SLICE_LIT("authorization"), SLICE_LIT("secret")}};
        c->fetch.method = SLICE_LIT("POST");
        c->fetch.body = SLICE_LIT("the body");
        c->fetch.headers = headers;
        c->fetch.headers_len = 2;
        call_run(w, c);
        expect_ok(c, NULL);
        bool is_kept = statuses[i] >= 307;
        const char *got = bytes_cstr(&c->body);
        assert_true(c->fetch.was_redirected);
        assert_true(slice_starts(bytes_slice(&c->body), is_kept ? SLICE_LIT("POST /echo?to\n")
                                                                : SLICE_LIT("GET /echo?to\n")));
        assert_int_equal(strstr(got, "the body") != NULL, is_kept);
        assert_int_equal(strstr(got, "content-type: text/x") != NULL, is_kept);
        assert_non_null(strstr(got, "authorization: secret")); /* same origin */
        assert_true(slice_ends(bytes_slice(&c->final_url), SLICE_LIT("/echo?to")));
        call_free(c);
    }
    /* PUT stays PUT except for 303. */
    struct call *c = call_new(w, "/redirect/302/1");
    c->fetch.method = SLICE_LIT("PUT");
    c->fetch.body = SLICE_LIT("x");
    call_run(w, c);
    assert_true(slice_starts(bytes_slice(&c->body), SLICE_LIT("PUT ")));
    call_free(c);
    c = call_new(w, "/redirect/303/1");
    c->fetch.method = SLICE_LIT("HEAD");
    call_run(w, c);
    expect_ok(c, "");
    call_free(c);
}

static void redirect_to_another_origin_drops_secrets(void **state)
{
    struct world *w = *state;
    static const struct http_header headers[] = {{SLICE_LIT("Authorization"), SLICE_LIT("secret")},
                                                 {SLICE_LIT("cookie"), SLICE_LIT("a=secret")},
                                                 {SLICE_LIT("x-keep"), SLICE_LIT("yes")}};
    struct call *c = call_new(w, "/across/302");
    c->fetch.headers = headers;
    c->fetch.headers_len = 3;
    call_run(w, c);
    expect_ok(c, NULL);
    assert_null(strstr(bytes_cstr(&c->body), "secret"));
    assert_non_null(strstr(c->body.ptr, "x-keep: yes"));
    assert_int_equal(server_connections(&other), 1);
    call_free(c);
}

static void redirects_are_bounded_and_refusable(void **state)
{
    struct world *w = *state;
    struct call *c = call_new(w, "/redirect/302/20");
    call_run(w, c);
    expect_ok(c, NULL);
    call_free(c);
    expect_failure(w, ERR_NETWORK, "more than 20 redirects", call_new(w, "/redirect/302/21"));
    c = call_new(w, "/redirect/302/1");
    c->fetch.redirect = HTTP_REDIRECT_ERROR;
    expect_failure(w, ERR_NETWORK, "redirect", c);
    c = call_new(w, "/redirect/302/1");
    c->fetch.redirect = HTTP_REDIRECT_MANUAL;
    call_run(w, c);
    expect_ok(c, "moved");
    assert_int_equal(c->fetch.status, 302);
    assert_non_null(strstr(bytes_cstr(&c->headers), "location=../../echo?to#there"));
    call_free(c);
    expect_failure(w, ERR_NETWORK, "redirect from", call_new(w, "/to?file:///etc/passwd"));
    expect_failure(w, ERR_NETWORK, "redirect from", call_new(w, "/to?http://u:p@x/"));
    expect_failure(w, ERR_NETWORK, "redirect from", call_new(w, "/to?http://[x/"));
}

static void egress_is_checked_at_every_hop(void **state)
{
    struct world *w = *state;
    static const char *const targets[] = {"http://127.0.0.1:1/",
                                          "http://0x7f.1:1/",
                                          "http://2130706433:1/",
                                          "http://127.1:1/",
                                          "http://017700000001:1/",
                                          "http://[::1]:1/",
                                          "http://[::ffff:127.0.0.1]:1/",
                                          "http://[::ffff:7f00:1]:1/",
                                          "http://localhost:1/",

                                          "http://x.localhost:1/",
                                          "http://169.254.169.254/latest",
                                          "http://0:1/",
                                          "http://0.0.0.0:1/",
                                          "http://10.0.0.1/",
                                          "http://[fd00::1]/",
                                          "http://[fe80::1]/",
                                          "http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.1:1/",
                                          "https://127.0.0.1:1/"};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        expect_failure(w, ERR_FORBIDDEN, "not allowed", call_new(w, "%s", targets[i]));
        struct call *c = call_new(w, "/to?%s", targets[i]);
        expect_failure(w, ERR_FORBIDDEN, "not allowed", c);
    }
    /* The rule names the port too. */
    struct call *c = call_new(w, "/hello");
    call_run(w, c);
    expect_ok(c, "hello");
    call_free(c);
}

static void domain_list_is_checked_at_every_hop(void **state)
{
    struct world *w = *state;
    char own[64];
    (void)snprintf(own, sizeof(own), "127.0.0.1:%d", server.port);
    const char *const domains[] = {"example.com", own, NULL};
    struct call *c = call_new(w, "/redirect/302/1");
    c->fetch.domains = domains;
    call_run(w, c);
    expect_ok(c, NULL);
    call_free(c);
    c = call_new(w, "/across/302");
    c->fetch.domains = domains;
    expect_failure(w, ERR_FORBIDDEN, "allowed domains", c);
    assert_int_equal(server_connections(&other), 0);
    c = call_new(w, "http://sub.example.com/");
    c->fetch.domains = domains;
    expect_failure(w, ERR_FORBIDDEN, "sub.example.com", c);
}

static void tells_what_is_to_be_decoded(void **state)
{
    struct world *w = *state;
    struct call *c = call_new(w, "/gzip");
    call_run(w, c);
    expect_ok(c, NULL);
    assert_memory_equal(c->body.ptr, "\x1f\x8b", 2); /* as it came */
    assert_string_equal(bytes_cstr(&c->headers), "");
    assert_string_equal(bytes_cstr(&c->codings), "gzip");
    call_free(c);
    c = call_new(w, "/chunked");
    call_run(w, c);
    expect_ok(c, "abcde");
    assert_string_equal(bytes_cstr(&c->headers), "");
    call_free(c);
    c = call_new(w, "/hints");
    call_run(w, c);
    expect_ok(c, "final");
    assert_string_equal(bytes_cstr(&c->headers), "content-length=5\n");
    call_free(c);
    c = call_new(w, "/folded");
    call_run(w, c);
    expect_ok(c, "");
    assert_non_null(strstr(bytes_cstr(&c->headers), "x-long=one two\n"));
    call_free(c);
}

static void download_stops_while_paused(void **state)
{
    struct world *w = *state;
    const int size = 3000000;
    struct call *c = call_new(w, "/big/%d", size);
    c->pauses_each = true;
    call_run(w, c);
    expect_ok(c, NULL);
    assert_int_equal(c->body.len, size);
    for (int i = 0; i < size; i++) {
        if (c->body.ptr[i] != (char)(i * 7 + i / 4096))
            fail_msg("byte %d", i);
    }
    assert_true(c->pauses > 50);
    call_free(c);
}

static struct call *upload_new(struct world *w, const char *path, size_t size, size_t chunk)
{
    struct call *c = call_new(w, "%s", path);
    c->fetch.method = SLICE_LIT("POST");
    c->fetch.is_streaming = true;
    c->upload_chunk = chunk;
    for (size_t i = 0; i < size; i++)
        bytes_append_char(&c->upload, (char)(i * 11 + i / 1000));
    return c;
}

static void expect_sum(struct call *c, int is_chunked)
{
    char want[64];
    uint32_t sum = 0;
    for (size_t i = 0; i < c->upload.len; i++)
        sum = sum * 31 + (unsigned char)c->upload.ptr[i];
    (void)snprintf(want, sizeof(want), "%zu %u %d", c->upload.len, sum, is_chunked);
    expect_ok(c, want);
}

static void upload_waits_for_drain(void **state)
{
    struct world *w = *state;
    struct call *c = upload_new(w, "/sum", 3000000, 40000);
    call_run(w, c);
    expect_sum(c, 1);
    assert_true(c->drains > 3);
    call_free(c);
    /* A length that is known is sent. */
    static const struct http_header length = {SLICE_LIT("content-length"), SLICE_LIT("1000")};
    c = upload_new(w, "/sum", 1000, 10);
    c->fetch.headers = &length;
    c->fetch.headers_len = 1;
    call_run(w, c);
    expect_sum(c, 0);
    call_free(c);
    c = upload_new(w, "/sum", 1001, 100);
    c->fetch.headers = &length;
    c->fetch.headers_len = 1;
    expect_failure(w, ERR_INVALID, "longer", c);
}

static void upload_resumes_when_more_comes(void **state)
{
    struct world *w = *state;
    struct call *c = upload_new(w, "/sum", 30, 10);
    assert_int_equal(http_fetch_start(w->client, &c->fetch, NULL), OK);
    for (int i = 0; i < 3; i++) { /* curl has paused in between */
        for (int turns = 0; turns < 20; turns++)
            (void)uv_run(&w->loop.uv, UV_RUN_NOWAIT);
        c->upload_at += 10;
        assert_true(
            http_fetch_write(&c->fetch, slice_of(c->upload.ptr + c->upload_at - 10, 10), i == 2));
    }
    loop_run(&w->loop);
    expect_sum(c, 1);
    call_free(c);
}

static void streamed_bodies_are_not_sent_twice(void **state)
{
    struct world *w = *state;
    expect_failure(w, ERR_NETWORK, "streamed", upload_new(w, "/redirect/307/1", 1000, 100));
    struct call *c = upload_new(w, "/redirect/303/1", 1000, 100);
    call_run(w, c);
    expect_ok(c, NULL);
    assert_true(slice_starts(bytes_slice(&c->body), SLICE_LIT("GET /echo")));
    assert_null(strcasestr(bytes_cstr(&c->body), "transfer-encoding"));
    call_free(c);
    /* The rest of the body is dropped when the redirect comes early. */
    c = upload_new(w, "/early-redirect/303", 1000000, 10000);
    call_run(w, c);
    expect_ok(c, NULL);
    call_free(c);
}

static void failures_are_named(void **state)
{
    struct world *w = *state;
    expect_failure(w, ERR_NETWORK, "127.0.0.1", call_new(w, "/close"));
    expect_failure(w, ERR_NETWORK, "127.0.0.1", call_new(w, "/garbage"));
    expect_failure(w, ERR_NETWORK, "change of protocol", call_new(w, "/switch"));
    expect_failure(w, ERR_NETWORK, "headers", call_new(w, "/bighead"));
    expect_failure(w, ERR_NETWORK, "too many headers", call_new(w, "/manyheaders"));
    expect_failure(w, ERR_NETWORK, "TLS with '127.0.0.1'",
                   call_new(w, "https://127.0.0.1:%d/", server.port));
    expect_failure(w, ERR_NETWORK, "was not found", call_new(w, "http://%064d.invalid/", 0));
    struct call *c = call_new(w, "/half");
    assert_int_equal(call_run(w, c), ERR_NETWORK);
    assert_int_equal(c->heads, 1);
    call_free(c);
    /* A port that is allowed but nobody listens on. */
    struct peer_server gone;
    char rule[64];
    server_start(&gone);
    server_stop(&gone);
    (void)snprintf(rule, sizeof(rule), "127.0.0.1:%d", gone.port);
    assert_int_equal(egress_allow(w->egress, slice_cstr(rule), NULL), OK);
    expect_failure(w, ERR_NETWORK, "cannot connect to '127.0.0.1'",
                   call_new(w, "http://127.0.0.1:%d/", gone.port));
}

static void times_out(void **state)
{
    struct world *w = *state;
    struct call *c = call_new(w, "/never");
    c->fetch.silence_ms = 30;
    expect_failure(w, ERR_TIMEOUT, "no answer from '127.0.0.1'", c);
    c = call_new(w, "/drip");
    c->fetch.silence_ms = 30;
    expect_failure(w, ERR_TIMEOUT, "no more of the answer", c);
}

/* What counts is silence, not how long the whole takes. On a slow machine the server may be silent
 * for long, too: then again, slower. */
static void what_drips_may_take_long(void **state)
{
    struct world *w = *state;
    enum err err = ERR_TIMEOUT;
    for (int ms = 30; err == ERR_TIMEOUT && ms < 20000; ms *= 3) {
        struct call *c = call_new(w, "/drip/%d", ms);
        c->fetch.silence_ms = (uint32_t)ms * 5;
        err = call_run(w, c);
        if (!err)
            expect_ok(c, "xxxxxxxxxx");
        call_free(c);
    }
    assert_int_equal(err, OK);
}

static void cancels(void **state)
{
    struct world *w = *state;
    struct call *c = call_new(w, "/never");
    assert_int_equal(http_fetch_start(w->client, &c->fetch, NULL), OK);
    http_fetch_cancel(&c->fetch);
    http_fetch_cancel(&c->fetch);
    assert_int_equal(c->dones, 0);
    loop_run(&w->loop);
    assert_int_equal(c->error.code, ERR_CANCELLED);
    assert_int_equal(c->heads, 0);
    call_free(c);
    c = call_new(w, "/big/1000000");
    c->cancels_on_head = true;
    assert_int_equal(call_run(w, c), ERR_CANCELLED);
    call_free(c);
    /* While the name is being looked up: the thread of the resolver is left alone. */
    c = call_new(w, "http://slow.invalid/");
    assert_int_equal(http_fetch_start(w->client, &c->fetch, NULL), OK);
    (void)uv_run(&w->loop.uv, UV_RUN_NOWAIT);
    http_fetch_cancel(&c->fetch);
    if (!c->dones)
        loop_run(&w->loop);
    assert_int_equal(c->dones, 1);
    call_free(c);
}

static void early_answers_end_uploads(void **state)
{
    struct world *w = *state;
    struct call *c = upload_new(w, "/early", 2000000, 10000);
    call_run(w, c);
    assert_int_equal(c->heads, 1);
    assert_int_equal(c->fetch.status, 403);
    call_free(c);
}

static void freeing_the_client_ends_fetches(void **state)
{
    struct world *w = *state;
    struct call *c = call_new(w, "/never");
    struct call *d = call_new(w, "/never");
    assert_int_equal(http_fetch_start(w->client, &c->fetch, NULL), OK);
    for (int turns = 0; turns < 20; turns++)
        (void)uv_run(&w->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(http_fetch_start(w->client, &d->fetch, NULL), OK);
    http_client_free(w->client);
    w->client = NULL;
    assert_int_equal(c->error.code, ERR_CANCELLED);
    assert_int_equal(d->error.code, ERR_CANCELLED);
    call_free(c);
    call_free(d);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)
    const struct CMUnitTest tests[] = {
        T(gives_status_headers_and_body),
        T(sends_method_headers_and_body),
        T(bad_requests_fail_at_once),
        T(connections_are_reused),
        T(follows_redirects),
        T(redirect_to_another_origin_drops_secrets),
        T(redirects_are_bounded_and_refusable),
        T(egress_is_checked_at_every_hop),
        T(domain_list_is_checked_at_every_hop),
        T(tells_what_is_to_be_decoded),
        T(download_stops_while_paused),
        T(upload_waits_for_drain),
        T(upload_resumes_when_more_comes),
        T(streamed_bodies_are_not_sent_twice),
        T(failures_are_named),
        T(times_out),
        T(what_drips_may_take_long),
        T(cancels),
        T(early_answers_end_uploads),
        T(freeing_the_client_ends_fetches),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
