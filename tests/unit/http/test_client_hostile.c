/* SPDX-License-Identifier: Apache-2.0
 *
 * Servers that say what they must not. Whatever it is, the fetch ends with an error or an answer,
 * once, what is kept of it is bounded, the connection is closed, and the client goes on. */
#include "call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* code, and a part of the message; OK: an answer with this body. */
static const struct {
    const char *path;
    enum err code;
    const char *text;
} cases[] = {
    {"/flood-interim", ERR_NETWORK, "larger headers"},
    {"/flood-header", ERR_NETWORK, ""},
    {"/flood-headers", ERR_NETWORK, "too many headers"},
    {"/flood-fold", ERR_NETWORK, "larger headers"},
    {"/flood-status", ERR_NETWORK, ""},
    {"/flood-trailers", ERR_NETWORK, "larger headers"},
    {"/flood-redirect", OK, "hello"},
    {"/flood-empty", OK, ""},
    {"/flood-205", OK, ""},
    {"/chunk-size", ERR_NETWORK, ""},
    {"/chunk-sign", ERR_NETWORK, ""},
    {"/chunk-text", ERR_NETWORK, ""},
    {"/chunk-end", ERR_NETWORK, ""},
    {"/chunk-cut", ERR_NETWORK, ""},
    {"/chunk-none", ERR_NETWORK, ""},
    {"/length-sign", ERR_NETWORK, ""},
    {"/length-text", ERR_NETWORK, ""},
    {"/length-huge", ERR_NETWORK, ""},
    {"/length-cut", ERR_NETWORK, ""},
    {"/coded-transfer", ERR_NETWORK, "transfer-encoding"},
    {"/coded-transfer2", ERR_NETWORK, "transfer-encoding"},
    {"/status-none", ERR_NETWORK, ""},
    {"/status-text", ERR_NETWORK, ""},
    {"/status-small", ERR_NETWORK, ""},
    {"/version", ERR_NETWORK, ""},
    {"/nothing", ERR_NETWORK, ""},
    {"/old", ERR_NETWORK, ""},
    {"/head-cut", ERR_NETWORK, ""},
    {"/redirect-self", ERR_NETWORK, "more than 20 redirects"},
};

static void each_ends(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct call *c = call_new(w, "%s", cases[i].path);
        c->fetch.silence_ms = 600 * 1000; /* that is not what ends it */
        enum err err = call_run(w, c);
        if (err != cases[i].code || (err && !strstr(c->error.message, cases[i].text)))
            fail_msg("%s: %s: %s", c->url, error_text(err), c->error.message);
        if (!err)
            assert_string_equal(bytes_cstr(&c->body), cases[i].text);
        assert_true(c->body.len < 100000);
        call_free(c);
        if (err)
            server_await_open(&server, 0);
        c = call_new(w, "/hello");
        (void)call_run(w, c);
        expect_ok(c, "hello");
        call_free(c);
        server_await_open(&server, 1); /* that of "/hello" */
    }
}

static void all_at_once_end(void **state)
{
    struct world *w = *state;
    struct call *calls[ARRAY_LEN(cases) * 4];
    int left = (int)ARRAY_LEN(calls);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        calls[i] = call_new(w, "%s", cases[i % ARRAY_LEN(cases)].path);
        calls[i]->left = &left;
        call_start(w, calls[i]);
    }
    loop_run(&w->loop);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        assert_int_equal(calls[i]->dones, 1);
        assert_int_equal(calls[i]->error.code, cases[i % ARRAY_LEN(cases)].code);
        call_free(calls[i]);
    }
}

/* Each is cancelled at every turn of the loop until it would have ended by itself. */
static void each_can_be_cancelled(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i += 3) {
        bool has_ended = false;
        for (int turns = 0; !has_ended && turns < 8; turns++) {
            struct call *c = call_new(w, "%s", cases[i].path);
            int left = 2;
            c->left = &left;
            call_start(w, c);
            for (int k = 0; k < turns && !c->dones; k++)
                (void)uv_run(&w->loop.uv, UV_RUN_ONCE);
            has_ended = c->dones > 0;
            left = 1;
            if (!has_ended) {
                http_fetch_cancel(&c->fetch);
                loop_run(&w->loop);
            }
            assert_int_equal(c->dones, 1);
            call_free(c);
        }
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)
    const struct CMUnitTest tests[] = {
        T(each_ends),
        T(all_at_once_end),
        T(each_can_be_cancelled),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
