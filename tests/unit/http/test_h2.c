/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 over real sockets, with prior knowledge; the client is nghttp2's too, on a socket that
 * blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "rig.h"

enum { STREAMS_MAX = 600 };

struct stream {
    int32_t id;
    int status;
    bool got_continue;
    struct bytes head, body; /* "name: value\n" each; what came */
    size_t to_send;          /* body bytes left to make; SIZE_MAX: for ever */
    bool is_silent;          /* the body never continues */
    bool is_closed;
    uint32_t error_code;
};

struct client {
    int fd;
    nghttp2_session *session;
    struct stream streams[STREAMS_MAX];
    size_t streams_len, closed;
    bool keeps_window; /* gives no window back */
    bool is_gone, got_goaway, got_settings_ack;
    uint32_t goaway_code;
    int32_t goaway_last;
};

static struct stream *stream_of(struct client *c, int32_t id)
{
    return nghttp2_session_get_stream_user_data(c->session, id);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct stream *s = stream_of(user, frame->hd.stream_id);
    if (!s)
        return 0;
    if (name_len == 7 && memcmp(name, ":status", 7) == 0) {
        s->status = (value[0] - '0') * 100 + (value[1] - '0') * 10 + value[2] - '0';
        s->got_continue |= s->status == 100;
    } else {
        bytes_printf(&s->head, "%.*s: %.*s\n", (int)name_len, name, (int)value_len, value);
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *user)
{
    struct client *c = user;
    struct stream *s = stream_of(c, id);
    if (s)
        bytes_append(&s->body, data, len);
    if (!c->keeps_window)
        nghttp2_session_consume(session, id, len);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct client *c = user;
    struct stream *s = stream_of(c, id);
    if (s) {
        s->is_closed = true;
        s->error_code = code;
        c->closed++;
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct client *c = user;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        c->got_goaway = true;
        c->goaway_code = frame->goaway.error_code;
        c->goaway_last = frame->goaway.last_stream_id;
    }
    if (frame->hd.type == NGHTTP2_SETTINGS && (frame->hd.flags & NGHTTP2_FLAG_ACK))
        c->got_settings_ack = true;
    return 0;
}

static void client_open(struct client *c, const struct rig *r)
{
    nghttp2_session_callbacks *cb;
    nghttp2_option *option;
    memset(c, 0, sizeof(*c));
    c->fd = client_connect(r);
    nghttp2_session_callbacks_new(&cb);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_max_send_header_block_length(option, 1 << 20);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    assert_int_equal(nghttp2_session_client_new2(&c->session, cb, c, option), 0);
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(option);
    nghttp2_submit_settings(c->session, 0, NULL, 0);
}

static void client_close(struct client *c)
{
    nghttp2_session_del(c->session);
    for (size_t i = 0; i < c->streams_len; i++) {
        bytes_done(&c->streams[i].head);
        bytes_done(&c->streams[i].body);
    }
    close(c->fd);
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct stream *s = source->ptr;
    if (s->is_silent && s->to_send == 0)
        return NGHTTP2_ERR_DEFERRED;
    size_t n = s->to_send < len ? s->to_send : len;
    memset(buf, 'b', n);
    s->to_send -= s->to_send == SIZE_MAX ? 0 : n;
    if (s->to_send == 0 && !s->is_silent)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

struct extra {
    const char *name, *value;
};

/* extras ends with a NULL name. */
static struct stream *request_with(struct client *c, const char *method, const char *path,
                                   bool has_body, size_t body, const struct extra *extras)
{
    assert_true(c->streams_len < STREAMS_MAX);
    struct stream *s = &c->streams[c->streams_len++];
    nghttp2_nv nv[LIMIT_HTTP_HEADERS + 10];
    struct extra all[LIMIT_HTTP_HEADERS + 10] = {
        {":method", method}, {":scheme", "http"}, {":authority", "a:1"}, {":path", path}};
    size_t n = 4;
    while (extras && extras->name)
        all[n++] = *extras++;
    for (size_t i = 0; i < n; i++)
        nv[i] = (nghttp2_nv){(uint8_t *)all[i].name, (uint8_t *)all[i].value, strlen(all[i].name),
                             strlen(all[i].value), NGHTTP2_NV_FLAG_NONE};
    nghttp2_data_provider provider = {.source.ptr = s, .read_callback = read_body};
    s->to_send = body;
    s->id = nghttp2_submit_request(c->session, NULL, nv, n, has_body ? &provider : NULL, s);
    assert_true(s->id > 0);
    return s;
}

static struct stream *get(struct client *c, const char *path)
{
    return request_with(c, "GET", path, false, 0, NULL);
}

static struct stream *post(struct client *c, const char *path, size_t body)
{
    return request_with(c, "POST", path, true, body, NULL);
}

static void client_flush(struct client *c)
{
    const uint8_t *data;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(c->session, &data)) > 0)
        client_send(c->fd, (struct slice){(const char *)data, (size_t)n});
}

/* Sends what waits, then one read. False: the connection is gone. */
static bool client_turn(struct client *c)
{
    uint8_t part[32 * 1024];
    client_flush(c);
    ssize_t n = recv(c->fd, part, sizeof(part), 0);
    if (n < 0 && errno == EAGAIN)
        fail_msg("nothing comes");
    if (n <= 0) {
        c->is_gone = true;
        return false;
    }
    assert_int_equal(nghttp2_session_mem_recv(c->session, part, (size_t)n), n);
    return true;
}

static void await_closed(struct client *c, size_t count)
{
    while (c->closed < count)
        if (!client_turn(c))
            fail_msg("the connection ended; %zu of %zu streams done", c->closed, count);
}

static void await_body(struct client *c, struct stream *s, size_t len)
{
    while (s->body.len < len)
        if (!client_turn(c))
            fail_msg("the connection ended; %zu of %zu bytes", s->body.len, len);
}

static void await_end(struct client *c)
{
    while (client_turn(c))
        ;
}

static void hello(void **state)
{
    static struct client c;
    struct rig r;
    rig_init(&r);
    rig_start(&r);
    client_open(&c, &r);
    struct stream *now = get(&c, "/hello"), *later = get(&c, "/later");
    struct stream *head = request_with(&c, "HEAD", "/hello", false, 0, NULL);
    struct stream *none = get(&c, "/status?n=204"), *error = get(&c, "/error");
    struct stream *evil = get(&c, "/evil");
    await_closed(&c, 6);
    assert_int_equal(now->status, 200);
    assert_string_equal(bytes_cstr(&now->body), "hello");
    assert_true(bytes_have(&now->head, "content-length: 5\n"));
    assert_true(bytes_have(&now->head, "date: "));
    assert_string_equal(bytes_cstr(&later->body), "later");
    assert_true(bytes_have(&head->head, "content-length: 5\n") && !head->body.len);
    assert_true(none->status == 204 && !none->body.len);
    assert_false(bytes_have(&none->head, "content-length"));
    assert_int_equal(error->status, 503);
    assert_true(bytes_have(&error->head, "retry-after: 1\n"));
    assert_true(bytes_have(&evil->head, "x-good: 1\n"));
    assert_false(bytes_have(&evil->head, "injected") || bytes_have(&evil->head, "chunked") ||
                 bytes_have(&evil->head, "never") || bytes_have(&evil->head, "999"));
    client_close(&c);
    rig_wait(&r, rig_complete, 6);
    rig_stop(&r);
}

static void many_streams(void **state)
{
    enum { COUNT = 500 };
    static struct client c;
    struct rig r;
    rig_init(&r);
    rig_start(&r);
    client_open(&c, &r);
    for (int i = 0; i < COUNT; i++) {
        if (i % 3 == 0)
            get(&c, "/later");
        else if (i % 3 == 1)
            post(&c, "/sink", 10000);
        else
            post(&c, "/whole", 5);
    }
    await_closed(&c, COUNT);
    for (int i = 0; i < COUNT; i++) {
        static const char *const texts[] = {"later", "10000", "bbbbb"};
        assert_int_equal(c.streams[i].status, 200);
        assert_string_equal(bytes_cstr(&c.streams[i].body), texts[i % 3]);
    }
    client_close(&c);
    rig_wait(&r, rig_complete, COUNT);
    rig_stop(&r);
}

static void requests_as_seen(void **state)
{
    static struct client c;
    struct rig r;
    rig_init(&r);
    rig_start(&r);
    client_open(&c, &r);
    const struct extra extras[] = {{"cookie", "a=1"},  {"x-y", "z"},      {"cookie", "b=2"},
                                   {"te", "trailers"}, {"cookie", "c=3"}, {NULL, NULL}};
    const struct extra two_hosts[] = {{"host", "other"}, {NULL, NULL}};
    const struct extra same_host[] = {{"host", "a:1"}, {NULL, NULL}};
    struct stream *s = request_with(&c, "GET", "/headers?q=1", false, 0, extras);
    struct stream *bad = request_with(&c, "GET", "/headers", false, 0, two_hosts);
    struct stream *good = request_with(&c, "GET", "/headers", false, 0, same_host);
    await_closed(&c, 3);
    assert_string_equal(bytes_cstr(&s->body),
                        "method=GET\ntarget=/headers?q=1\nauthority=a:1\nversion=20\nlength=-1\n"
                        "cookie: a=1; b=2; c=3\nx-y: z\nhost: a:1\n");
    assert_int_equal(bad->status, 400);
    assert_int_equal(bytes_count(&good->body, "host: a:1\n"), 1);
    client_close(&c);
    rig_stop(&r);
}

static void refusals(void **state)
{
    static struct client c;
    static char large[LIMIT_HTTP_TARGET_BYTES + 10];
    static char value[8001];
    struct rig r;
    rig_init(&r);
    r.config.body_bytes_max = 1000;
    rig_start(&r);
    client_open(&c, &r);
    memset(large, 'x', sizeof(large) - 1);
    memset(value, 'v', sizeof(value) - 1);
    large[0] = '/';
    struct extra many[LIMIT_HTTP_HEADERS + 2] = {0}, long_ones[10] = {0};
    for (int i = 0; i <= LIMIT_HTTP_HEADERS; i++)
        many[i] = (struct extra){"x", "y"};
    for (int i = 0; i < 9; i++)
        long_ones[i] = (struct extra){"x", value};
    const struct extra length[] = {{"content-length", "1001"}, {NULL, NULL}};
    const struct extra expect[] = {{"expect", "cake"}, {NULL, NULL}};
    struct stream *target = get(&c, large), *fragment = get(&c, "/x#y");
    struct stream *count = request_with(&c, "GET", "/hello", false, 0, many);
    struct stream *size = request_with(&c, "GET", "/hello", false, 0, long_ones);
    struct stream *stated = request_with(&c, "POST", "/sink", true, 1001, length);
    struct stream *sent = post(&c, "/sink", 1001), *fits = post(&c, "/sink", 1000);
    struct stream *cake = request_with(&c, "POST", "/sink", true, 1, expect);
    await_closed(&c, 8);
    assert_int_equal(target->status, 414);
    assert_int_equal(fragment->status, 400);
    assert_int_equal(count->status, 431);
    assert_int_equal(size->status, 431);
    assert_int_equal(stated->status, 413);
    assert_int_equal(sent->status, 413);
    assert_true(bytes_have(&sent->body, "{\"error\":{\"code\":\"too_large\""));
    assert_int_equal(fits->status, 200);
    assert_int_equal(cake->status, 417);
    client_close(&c);
    rig_stop(&r);
}

static void expectations(void **state)
{
    static struct client c;
    struct rig r;
    rig_init(&r);
    rig_start(&r);
    client_open(&c, &r);
    const struct extra expect[] = {
        {"expect", "100-continue"}, {"content-length", "3"}, {NULL, NULL}};
    struct stream *s = request_with(&c, "POST", "/sink", true, 0, expect);
    struct stream *unwanted = request_with(&c, "POST", "/ignore", true, 0, expect);
    s->is_silent = unwanted->is_silent = true;
    while (!s->got_continue)
        assert_true(client_turn(&c));
    s->is_silent = false;
    s->to_send = 3;
    nghttp2_session_resume_data(c.session, s->id);
    await_closed(&c, 2);
    assert_int_equal(s->status, 200);
    assert_string_equal(bytes_cstr(&s->body), "3");
    assert_int_equal(unwanted->status, 200);
    assert_string_equal(bytes_cstr(&unwanted->body), "ignored");
    assert_false(unwanted->got_continue);
    client_close(&c);
    rig_stop(&r);
}

static void bodies_both_ways(void **state)
{
    enum { TOTAL = 20 * 1000 * 1000 };
    static struct client c;
    struct rig r;
    rig_init(&r);
    rig_start(&r);
    client_open(&c, &r);
    struct stream *a = post(&c, "/echo", TOTAL), *b = post(&c, "/echo", TOTAL);
    struct stream *d = get(&c, "/down?n=20000000"), *e = get(&c, "/big?n=3000000");
    await_closed(&c, 4);
    assert_int_equal(a->body.len, TOTAL);
    assert_int_equal(b->body.len, TOTAL);
    assert_int_equal(d->body.len, TOTAL);
    assert_int_equal(e->body.len, 3000000);
    assert_true(bytes_have(&e->head, "content-length: 3000000\n"));
    client_close(&c);
    rig_wait(&r, rig_complete, 4);
    struct rig_counts counts = rig_counts(&r);
    assert_true(counts.delivered_max <= LIMIT_HTTP_BODY_WINDOW_BYTES);
    assert_true(counts.down_refused > 0);
    rig_stop(&r);
}

/* The window is the bound on what a handler that does not consume can be made to hold. */
static void stalled_handler(void **state)
{
    static struct client c;
    struct rig r;
    rig_init(&r);
    rig_start(&r);
    client_open(&c, &r);
    struct stream *s = post(&c, "/stall", SIZE_MAX);
    while (!c.got_settings_ack)
        assert_true(client_turn(&c));
    /* Others go on meanwhile. Each answer shows that all sent before has been seen. */
    for (size_t i = 1; i <= 5; i++) {
        get(&c, "/hello");
        await_closed(&c, i);
    }
    assert_int_equal(nghttp2_session_get_stream_remote_window_size(c.session, s->id), 0);
    client_close(&c);
    rig_wait(&r, rig_broken, 1);
    assert_int_equal(rig_counts(&r).delivered_max, LIMIT_HTTP_BODY_WINDOW_BYTES);
    rig_stop(&r);
}

/* A client that gives no window: the writer is told to wait, and given up when nothing moves. */
static void stalled_client(void **state)
{
    static struct client c;
    struct rig r;
    rig_init(&r);
    r.config.body_timeout_ms = 40;
    rig_start(&r);
    client_open(&c, &r);
    c.keeps_window = true;
    struct stream *s = get(&c, "/down?n=1000000000");
    struct stream *silent = post(&c, "/sink", 3);
    silent->is_silent = true;
    await_closed(&c, 2);
    assert_int_equal(s->error_code, NGHTTP2_CANCEL);
    assert_int_equal(silent->status, 408);
    rig_wait(&r, rig_broken, 2);
    client_close(&c);
    rig_stop(&r);
}

static void breaks(void **state)
{
    static struct client c;
    struct rig r;
    rig_init(&r);
    rig_start(&r);
    client_open(&c, &r);
    struct stream *a = get(&c, "/abort"), *b = get(&c, "/cut"), *d = get(&c, "/short");
    struct stream *e = get(&c, "/long");
    await_closed(&c, 4);
    assert_int_equal(a->error_code, NGHTTP2_INTERNAL_ERROR);
    assert_int_equal(b->error_code, NGHTTP2_INTERNAL_ERROR);
    assert_int_equal(d->error_code, NGHTTP2_INTERNAL_ERROR);
    assert_int_equal(e->error_code, NGHTTP2_INTERNAL_ERROR);
    rig_wait(&r, rig_broken, 4);
    /* The client's turn: a reset, then going away altogether. */
    struct stream *never = get(&c, "/never");
    client_flush(&c);
    rig_wait(&r, rig_requests, 5);
    nghttp2_submit_rst_stream(c.session, 0, never->id, NGHTTP2_CANCEL);
    client_flush(&c);
    rig_wait(&r, rig_broken, 5);
    get(&c, "/never");
    post(&c, "/stall", SIZE_MAX);
    client_flush(&c);
    rig_wait(&r, rig_requests, 7);
    client_close(&c);
    rig_wait(&r, rig_broken, 7);
    rig_stop(&r);
}

/* Consumption that never comes because an exchange broke off must not shrink the connection. */
static void window_survives_breaks(void **state)
{
    static struct client c;
    struct rig r;
    rig_init(&r);
    rig_start(&r);
    client_open(&c, &r);
    while (!c.got_settings_ack) /* the windows of the server's settings count from here */
        assert_true(client_turn(&c));
    for (size_t i = 0; i < 12; i++) { /* three times the connection's window */
        struct stream *s = post(&c, "/stall", LIMIT_HTTP_BODY_WINDOW_BYTES);
        client_flush(&c);
        nghttp2_submit_rst_stream(c.session, 0, s->id, NGHTTP2_CANCEL);
        get(&c, "/hello");
        await_closed(&c, 2 * i + 2);
    }
    struct stream *last = post(&c, "/sink", 3000000);
    await_closed(&c, 25);
    assert_string_equal(bytes_cstr(&last->body), "3000000");
    client_close(&c);
    rig_stop(&r);
}

static void rapid_reset(void **state)
{
    static struct client c;
    struct rig r;
    rig_init(&r);
    rig_start(&r);
    client_open(&c, &r);
    for (int i = 0; i < STREAMS_MAX; i++) {
        struct stream *s = get(&c, "/never");
        client_flush(&c);
        nghttp2_submit_rst_stream(c.session, 0, s->id, NGHTTP2_CANCEL);
        client_flush(&c);
    }
    await_end(&c);
    assert_true(c.got_goaway);
    assert_int_equal(c.goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_true(rig_counts(&r).requests < STREAMS_MAX / 2);
    client_close(&c);
    rig_stop(&r);
}

static void append_frame(struct bytes *out, size_t len, int type, int flags, uint32_t stream,
                         const char *payload)
{
    const char head[9] = {(char)(len >> 16),    (char)(len >> 8),    (char)len,
                          (char)type,           (char)flags,         (char)(stream >> 24),
                          (char)(stream >> 16), (char)(stream >> 8), (char)stream};
    bytes_append(out, head, sizeof(head));
    if (payload)
        bytes_append(out, payload, len);
}

/* Sends raw frames behind a preface; the connection must end, with a GOAWAY of that code. */
static void expect_goaway(struct rig *r, const struct bytes *frames, uint32_t code)
{
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    int fd = client_connect(r);
    bytes_append_cstr(&out, NGHTTP2_CLIENT_MAGIC);
    append_frame(&out, 0, NGHTTP2_SETTINGS, 0, 0, NULL);
    bytes_append(&out, frames->ptr, frames->len);
    client_send(fd, bytes_slice(&out));
    (void)client_read_all(fd, &in);
    close(fd);
    const uint8_t *at = (const uint8_t *)in.ptr, *end = at + in.len;
    uint32_t seen = UINT32_MAX;
    while (end - at >= 9) {
        size_t len = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
        if (at[3] == NGHTTP2_GOAWAY && (size_t)(end - at) >= 17)
            seen = (uint32_t)at[13] << 24 | (uint32_t)at[14] << 16 | (uint32_t)at[15] << 8 | at[16];
        at += 9 + len;
    }
    assert_int_equal(seen, code);
}

static void floods(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes frames = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    for (int i = 0; i < 3000; i++)
        append_frame(&frames, 8, NGHTTP2_PING, 0, 0, "12345678");
    expect_goaway(&r, &frames, NGHTTP2_ENHANCE_YOUR_CALM);
    bytes_clear(&frames);
    for (int i = 0; i < 3000; i++)
        append_frame(&frames, 0, NGHTTP2_SETTINGS, 0, 0, NULL);
    expect_goaway(&r, &frames, NGHTTP2_ENHANCE_YOUR_CALM);
    bytes_clear(&frames);
    /* POST /stall, host a; then empty data for ever */
    append_frame(&frames, 13, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1,
                 "\x83\x86\x41\x01\x61\x04\x06/stall");
    for (int i = 0; i < 3000; i++)
        append_frame(&frames, 0, NGHTTP2_DATA, 0, 1, NULL);
    expect_goaway(&r, &frames, NGHTTP2_ENHANCE_YOUR_CALM);
    bytes_clear(&frames);
    append_frame(&frames, 1, NGHTTP2_HEADERS, 0, 1, "\x82");
    for (int i = 0; i < 100; i++)
        append_frame(&frames, 0, NGHTTP2_CONTINUATION, 0, 1, NULL);
    expect_goaway(&r, &frames, NGHTTP2_PROTOCOL_ERROR);
    bytes_clear(&frames);
    append_frame(&frames, 0, NGHTTP2_DATA, 0, 1, NULL); /* on an idle stream */
    expect_goaway(&r, &frames, NGHTTP2_PROTOCOL_ERROR);
    bytes_clear(&frames);
    append_frame(&frames, 5, NGHTTP2_PING, 0, 0, "12345");
    expect_goaway(&r, &frames, NGHTTP2_FRAME_SIZE_ERROR);
    rig_stop(&r);
}

/* What h2spec asks of streams that the client has closed, 5.1 and 5.1.1. */
static void closed_streams(void **state)
{
    static const char hello[] = "\x82\x86\x41\x01\x61\x04\x06/hello"; /* GET, host a */
    static const char stall[] = "\x83\x86\x41\x01\x61\x04\x06/stall"; /* POST */
    static const int types[] = {NGHTTP2_DATA, NGHTTP2_HEADERS};
    const int whole = NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM;
    struct rig r;
    CLEANUP(bytes_done) struct bytes frames = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        bool is_data = types[i] == NGHTTP2_DATA;
        const char *payload = is_data ? "x" : hello;
        size_t len = is_data ? 1 : 13;
        bytes_clear(&frames); /* after its own reset */
        append_frame(&frames, 13, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, stall);
        append_frame(&frames, 4, NGHTTP2_RST_STREAM, 0, 1, "\0\0\0\x08");
        append_frame(&frames, len, types[i], whole, 1, payload);
        expect_goaway(&r, &frames, NGHTTP2_STREAM_CLOSED);
        bytes_clear(&frames); /* an id that was skipped */
        append_frame(&frames, 13, NGHTTP2_HEADERS, whole, 5, hello);
        append_frame(&frames, len, types[i], whole, 3, payload);
        expect_goaway(&r, &frames, NGHTTP2_PROTOCOL_ERROR);
    }
    rig_stop(&r);
}

/* Reads until the answer of so many streams is whole. */
static void read_answers(int fd, struct bytes *in, size_t wanted)
{
    for (;;) {
        const uint8_t *at = (const uint8_t *)in->ptr, *end = at + in->len;
        size_t ended = 0;
        while (end - at >= 9) {
            size_t len = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
            if ((size_t)(end - at) < 9 + len)
                break;
            bool is_end = (at[3] == NGHTTP2_DATA || at[3] == NGHTTP2_HEADERS) &&
                          (at[4] & NGHTTP2_FLAG_END_STREAM);
            ended += is_end || at[3] == NGHTTP2_RST_STREAM;
            at += 9 + len;
        }
        if (ended >= wanted)
            return;
        char part[4096];
        ssize_t n = recv(fd, part, sizeof(part), 0);
        assert_true(n > 0);
        bytes_append(in, part, (size_t)n);
    }
}

/* The same once the answer has come; and frames that cross a reset of ours are no fault. */
static void answered_streams(void **state)
{
    static const char hello[] = "\x82\x86\x41\x01\x61\x04\x06/hello";
    static const char abort[] = "\x83\x86\x41\x01\x61\x04\x06/abort"; /* POST */
    const int whole = NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM;
    struct rig r;
    rig_init(&r);
    rig_start(&r);
    for (int is_data = 0; is_data < 2; is_data++) {
        CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
        CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
        int fd = client_connect(&r);
        bytes_append_cstr(&out, NGHTTP2_CLIENT_MAGIC);
        append_frame(&out, 0, NGHTTP2_SETTINGS, 0, 0, NULL);
        append_frame(&out, 13, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, abort);
        client_send(fd, bytes_slice(&out));
        read_answers(fd, &in, 1);
        bytes_clear(&out); /* it has been reset by the server, and does not know */
        append_frame(&out, 1, NGHTTP2_DATA, 0, 1, "x");
        append_frame(&out, 1, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "x");
        append_frame(&out, 13, NGHTTP2_HEADERS, whole, 3, hello);
        client_send(fd, bytes_slice(&out));
        bytes_clear(&in);
        read_answers(fd, &in, 1);
        assert_true(bytes_have(&in, "hello"));
        bytes_clear(&out); /* this one it has closed itself */
        append_frame(&out, is_data ? 1 : 13, is_data ? NGHTTP2_DATA : NGHTTP2_HEADERS, whole, 3,
                     is_data ? "x" : hello);
        client_send(fd, bytes_slice(&out));
        bytes_clear(&in);
        (void)client_read_all(fd, &in);
        assert_true(in.len >= 17 && in.ptr[3] == NGHTTP2_GOAWAY);
        assert_int_equal(in.ptr[16], NGHTTP2_STREAM_CLOSED);
        close(fd);
    }
    rig_stop(&r);
}

static void slow_clients(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes frames = BYTES_INIT;
    rig_init(&r);
    r.config.head_timeout_ms = 30;
    r.config.idle_timeout_ms = 40;
    rig_start(&r);
    expect_goaway(&r, &frames, NGHTTP2_NO_ERROR);            /* idle */
    append_frame(&frames, 1, NGHTTP2_HEADERS, 0, 1, "\x82"); /* and no end of the headers */
    expect_goaway(&r, &frames, NGHTTP2_ENHANCE_YOUR_CALM);
    rig_stop(&r);
}

static void drains(void **state)
{
    static struct client idle, busy;
    struct rig r;
    rig_init(&r);
    rig_start(&r);
    client_open(&idle, &r);
    client_open(&busy, &r);
    get(&idle, "/hello");
    await_closed(&idle, 1);
    struct stream *s = post(&busy, "/sink", 1);
    s->is_silent = true;
    client_flush(&busy);
    rig_wait(&r, rig_requests, 2);
    rig_drain(&r);
    await_end(&idle);
    assert_true(idle.got_goaway && idle.goaway_code == NGHTTP2_NO_ERROR);
    while (!busy.got_goaway)
        assert_true(client_turn(&busy));
    assert_int_equal(busy.goaway_last, s->id);
    assert_false(rig_counts(&r).is_drained);
    s->is_silent = false;
    s->to_send = 1;
    nghttp2_session_resume_data(busy.session, s->id);
    await_end(&busy);
    assert_string_equal(bytes_cstr(&s->body), "2");
    client_close(&idle);
    client_close(&busy);
    rig_wait(&r, rig_drained, 0);
    rig_stop(&r);
}

/* Answers that are complete before their request. */
static void early_answers(void **state)
{
    static struct client c;
    struct rig r;
    rig_init(&r);
    rig_start(&r);
    client_open(&c, &r);
    const struct extra some[] = {{"content-length", "900000"}, {NULL, NULL}};
    const struct extra much[] = {{"content-length", "90000000"}, {NULL, NULL}};
    struct stream *waits = request_with(&c, "POST", "/ignore", true, 900000, some);
    struct stream *cut = request_with(&c, "POST", "/ignore", true, 90000000, much);
    struct stream *endless = post(&c, "/ignore", SIZE_MAX);
    await_closed(&c, 3);
    assert_string_equal(bytes_cstr(&waits->body), "ignored");
    assert_int_equal(waits->to_send, 0);
    assert_string_equal(bytes_cstr(&cut->body), "ignored");
    assert_string_equal(bytes_cstr(&endless->body), "ignored");
    assert_int_equal(cut->error_code, NGHTTP2_NO_ERROR);
    assert_true(cut->to_send > 0);
    client_close(&c);
    rig_wait(&r, rig_complete, 3);
    rig_stop(&r);
}

static void too_many_connections(void **state)
{
    static struct client first, second;
    struct rig r;
    rig_init(&r);
    r.config.connections_max = 1;
    rig_start(&r);
    client_open(&first, &r);
    get(&first, "/hello");
    await_closed(&first, 1);
    client_open(&second, &r);
    struct stream *s = get(&second, "/hello");
    await_closed(&second, 1);
    assert_int_equal(s->status, 503);
    await_body(&second, s, 10);
    client_close(&second);
    client_close(&first);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello),
        cmocka_unit_test(many_streams),
        cmocka_unit_test(requests_as_seen),
        cmocka_unit_test(refusals),
        cmocka_unit_test(expectations),
        cmocka_unit_test(bodies_both_ways),
        cmocka_unit_test(stalled_handler),
        cmocka_unit_test(stalled_client),
        cmocka_unit_test(breaks),
        cmocka_unit_test(window_survives_breaks),
        cmocka_unit_test(rapid_reset),
        cmocka_unit_test(floods),
        cmocka_unit_test(closed_streams),
        cmocka_unit_test(answered_streams),
        cmocka_unit_test(slow_clients),
        cmocka_unit_test(drains),
        cmocka_unit_test(early_answers),
        cmocka_unit_test(too_many_connections),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("http/h2", tests, NULL, NULL);
}
