/* SPDX-License-Identifier: Apache-2.0 */
#include "call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_head(struct http_fetch *f)
{
    struct call *c = container_of(f, struct call, fetch);
    assert_int_equal(c->heads++, 0);
    bytes_append_slice(&c->final_url, bytes_slice(&f->final_url));
    bytes_append_slice(&c->status_text, bytes_slice(&f->status_text));
    bytes_append_slice(&c->codings, f->codings);
    for (size_t i = 0; i < f->ret_headers_len; i++)
        bytes_printf(&c->headers, "%.*s=%.*s\n", SLICE_ARG(f->ret_headers[i].name),
                     SLICE_ARG(f->ret_headers[i].value));
    if (c->cancels_on_head)
        http_fetch_cancel(f);
    if (c->after_head)
        c->after_head(c);
}

static void on_resume(struct timer *t)
{
    struct call *c = container_of(t, struct call, resume);
    c->is_paused = false;
    http_fetch_resume(&c->fetch);
}

static bool on_body(struct http_fetch *f, struct slice data)
{
    struct call *c = container_of(f, struct call, fetch);
    assert_int_equal(c->heads, 1);
    assert_false(c->is_paused);
    assert_false(c->cancels_on_head);
    bytes_append_slice(&c->body, data);
    if (c->holds)
        return false;
    if (!c->pauses_each)
        return true;
    c->pauses++;
    c->is_paused = true;
    if (c->pauses % 3 == 0)
        on_resume(&c->resume); /* from inside */
    else
        timer_start(c->loop, &c->resume, c->pauses % 2, on_resume);
    return false;
}

static void upload_more(struct call *c)
{
    while (c->upload_at < c->upload.len) {
        size_t n = c->upload.len - c->upload_at;
        if (n > c->upload_chunk)
            n = c->upload_chunk;
        c->upload_at += n;
        bool is_end = c->upload_at == c->upload.len;
        if (!http_fetch_write(&c->fetch, slice_of(c->upload.ptr + c->upload_at - n, n), is_end))
            return;
    }
}

static void on_drain(struct http_fetch *f)
{
    struct call *c = container_of(f, struct call, fetch);
    c->drains++;
    upload_more(c);
}

static void on_done(struct http_fetch *f, const struct error *error)
{
    struct call *c = container_of(f, struct call, fetch);
    assert_int_equal(c->dones++, 0);
    c->error = *error;
    if (c->is_paused)
        timer_stop(c->loop, &c->resume);
    if (!c->left || --*c->left == 0)
        loop_stop(c->loop);
}

struct call *call_new(struct world *w, const char *format, ...)
{
    struct call *c = calloc(1, sizeof(*c));
    va_list args;
    va_start(args, format);
    char text[256];
    (void)vsnprintf(text, sizeof(text), format, args);
    if (text[0] == '/')
        (void)snprintf(c->url, sizeof(c->url), "http://127.0.0.1:%d%s", server.port, text);
    else
        (void)snprintf(c->url, sizeof(c->url), "%s", text);
    va_end(args);
    c->loop = &w->loop;
    c->fetch = (struct http_fetch){.method = SLICE_LIT("GET"),
                                   .url = slice_cstr(c->url),
                                   .egress = w->egress,
                                   .on_head = on_head,
                                   .on_body = on_body,
                                   .on_drain = on_drain,
                                   .on_done = on_done};
    return c;
}

void call_start(struct world *w, struct call *c)
{
    struct error error = {0};
    if (http_fetch_start(w->client, &c->fetch, &error) != OK)
        fail_msg("%s: %s", c->url, error.message);
    assert_int_equal(c->heads + c->dones, 0);
}

enum err call_run(struct world *w, struct call *c)
{
    call_start(w, c);
    upload_more(c);
    loop_run(&w->loop);
    assert_int_equal(c->dones, 1);
    return c->error.code;
}

void call_free(struct call *c)
{
    bytes_done(&c->body);
    bytes_done(&c->final_url);
    bytes_done(&c->status_text);
    bytes_done(&c->headers);
    bytes_done(&c->codings);
    bytes_done(&c->upload);
    free(c);
}

void expect_ok(struct call *c, const char *body)
{
    if (c->error.code)
        fail_msg("%s: %s", c->url, c->error.message);
    assert_int_equal(c->heads, 1);
    if (body)
        assert_string_equal(bytes_cstr(&c->body), body);
}

void expect_failure(struct world *w, enum err code, const char *text, struct call *c)
{
    if (call_run(w, c) != code || !strstr(c->error.message, text))
        fail_msg("%s: %s: %s", c->url, error_text(c->error.code), c->error.message);
    call_free(c);
}

int world_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    char rule[64];
    server_start(&server);
    server_start(&other);
    loop_init(&w->loop);
    assert_int_equal(http_client_new(&w->loop, NULL, &w->client, NULL), OK);
    w->egress = egress_new();
    (void)snprintf(rule, sizeof(rule), "127.0.0.1:%d", server.port);
    assert_int_equal(egress_allow(w->egress, slice_cstr(rule), NULL), OK);
    (void)snprintf(rule, sizeof(rule), "127.0.0.1:%d", other.port);
    assert_int_equal(egress_allow(w->egress, slice_cstr(rule), NULL), OK);
    *state = w;
    return 0;
}

int world_down(void **state)
{
    struct world *w = *state;
    http_client_free(w->client);
    loop_done(&w->loop);
    egress_free(w->egress);
    free(w);
    server_stop(&server);
    server_stop(&other);
    return 0;
}
