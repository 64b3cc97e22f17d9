/* SPDX-License-Identifier: Apache-2.0
 *
 * One fetch: a state machine over hops. Curl's callbacks only take bytes, note what is to be done
 * and call the caller; whatever touches curl from outside (adding, removing, unpausing a handle) is
 * done by client_fetch_step() from the loop, because curl must not be entered from its own
 * callbacks and the caller may call us from inside of his.
 *
 * States: WAIT_PLACE (exit: a connection may be used -> WAIT_NAME), WAIT_NAME (the host's addresses
 * are known -> WAIT_HEAD), WAIT_HEAD (exits: redirect -> DISCARD, answer -> BODY), DISCARD (next
 * hop: WAIT_NAME), BODY. Every state also ends by: curl's error, our failure, silence, a cancel;
 * all in client_fetch_finish(), which calls on_done once and frees the state. Loop thread. */
#include <string.h>

#include "http/client_internal.h"
#include "http/transport.h"
#include "loop/loop.h"

static size_t on_header_line(char *data, size_t size, size_t count, void *arg)
{
    size_t len = size * count;
    client_progress(arg);
    return client_head_line(arg, slice_of(data, len)) ? len : 0;
}

static size_t on_body_bytes(char *data, size_t size, size_t count, void *arg)
{
    struct http_fetch_state *s = arg;
    size_t len = size * count;
    if (s->is_cancelled || s->failure.code)
        return 0;
    client_progress(s);
    if (s->state == CLIENT_DISCARD) {
        s->discarded += len;
        return s->discarded > CLIENT_DISCARD_BYTES ? 0 : len;
    }
    if (s->has_no_body)
        return 0;
    if (s->is_held) {
        s->is_recv_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    s->is_held = true; /* before the call: http_fetch_resume() from inside of it counts */
    if (!s->fetch->on_body || s->fetch->on_body(s->fetch, slice_of(data, len)))
        s->is_held = false;
    return len;
}

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct http_fetch_state *s = arg;
    (void)purpose;
    if (s->fetch->egress && egress_check_address(s->fetch->egress, s->url.host, s->url.port,
                                                 &a->addr, &s->refusal) != OK)
        return CURL_SOCKET_BAD;
    return socket(a->family, a->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->protocol);
}

/* What was sent, as far as curl knows: request heads, those of CONNECT to a proxy too, and body. */
static void hop_meter(const struct http_fetch_state *s)
{
    long heads = 0;
    curl_off_t body = 0;
    (void)curl_easy_getinfo(s->easy, CURLINFO_REQUEST_SIZE, &heads);
    (void)curl_easy_getinfo(s->easy, CURLINFO_SIZE_UPLOAD_T, &body);
    if (s->fetch->owner)
        atomic_fetch_add_explicit(&s->fetch->owner->meter.egress_bytes,
                                  (uint64_t)heads + (uint64_t)body, memory_order_relaxed);
}

/* Gives curl's handle of this hop back. */
static void hop_release(struct http_fetch_state *s)
{
    if (s->is_added)
        CHECK(curl_multi_remove_handle(s->client->multi, s->easy) == CURLM_OK);
    if (s->is_added)
        hop_meter(s);
    s->is_added = false;
    upgrade_end(s);
    if (s->easy)
        client_easy_give(s->client, TAKE(s->easy));
    curl_slist_free_all(TAKE(s->lines));
    curl_slist_free_all(TAKE(s->names));
}

void client_fetch_finish(struct http_fetch_state *s, const struct error *error)
{
    struct http_fetch *f = s->fetch;
    struct error done = error ? *error : (struct error){0};
    timer_stop(s->client->loop, &s->silence);
    hop_release(s);
    resolver_forget(s->client->resolver, &s->resolve);
    bytes_done(&s->resolve.addresses);
    fair_leave(&s->client->places, &s->place);
    list_remove(&s->link);
    list_remove(&s->ready);
    f->state = NULL;
    struct arena *arena = s->arena;
    struct bytes upload = s->upload;
    f->on_done(f, &done); /* f may be gone now; what its results point to is in the arena */
    bytes_done(&upload);
    arena_free(arena);
}

void client_progress(struct http_fetch_state *s)
{
    s->progress_ms = loop_now_ms(s->client->loop);
    s->is_suspect = false;
}

static enum err hop_start(struct http_fetch_state *s, struct error *ret_error)
{
    enum err err = client_hop_pick(s, ret_error);
    if (!err)
        err = client_hop_fill(s, ret_error);
    if (err)
        return err;
    if (s->fetch->upgrades) {
        client_progress(s);
        s->state = CLIENT_WAIT_HEAD;
        s->head_bytes = 0;
        upgrade_start(s);
        return OK;
    }
    client_hop_set_up(s);
    client_progress(s);
    s->state = CLIENT_WAIT_HEAD;
    s->head_bytes = 0;
    s->is_send_paused = s->is_recv_paused = false;
    CHECK(curl_easy_setopt(s->easy, CURLOPT_HEADERFUNCTION, on_header_line) == CURLE_OK);
    CHECK(curl_easy_setopt(s->easy, CURLOPT_HEADERDATA, s) == CURLE_OK);
    CHECK(curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, on_body_bytes) == CURLE_OK);
    CHECK(curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, s) == CURLE_OK);
    CHECK(curl_easy_setopt(s->easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket) == CURLE_OK);
    CHECK(curl_easy_setopt(s->easy, CURLOPT_OPENSOCKETDATA, s) == CURLE_OK);
    CURLMcode code = curl_multi_add_handle(s->client->multi, s->easy);
    if (code != CURLM_OK)
        return error_set(ret_error, ERR_NETWORK, "fetching from '%.*s': %s", SLICE_ARG(s->url.host),
                         curl_multi_strerror(code));
    s->is_added = true;
    return OK;
}

static void on_resolved(struct resolve *r)
{
    struct http_fetch_state *s = container_of(r, struct http_fetch_state, resolve);
    struct error error = r->error;
    if (error.code || hop_start(s, &error) != OK)
        client_fetch_finish(s, &error);
}

/* The next hop, from its name on. May end the fetch. */
static void hop_begin(struct http_fetch_state *s)
{
    struct error error;
    enum err err = client_hop_check(s, &error);
    s->state = CLIENT_WAIT_NAME;
    if (!err && !s->url.is_address) {
        s->resolve.done = on_resolved;
        s->resolve.owner = s->fetch->owner;
        s->resolve.member = s->fetch->member;
        if (resolver_ask(s->client->resolver, &s->resolve, s->url.host) == RESOLVE_WAITS)
            return;
        error = s->resolve.error;
        err = error.code;
    }
    if (err || hop_start(s, &error) != OK)
        client_fetch_finish(s, &error);
}

static void on_place(struct fair_place *p)
{
    struct http_fetch_state *s = container_of(p, struct http_fetch_state, place);
    s->wants_start = true;
    client_kick(s);
}

static void fetch_cancelled(struct http_fetch_state *s)
{
    struct error error;
    (void)error_set(&error, ERR_CANCELLED, "the request to '%.*s' was cancelled",
                    SLICE_ARG(s->url.host));
    client_fetch_finish(s, &error);
}

void client_fetch_step(struct http_fetch_state *s)
{
    struct error error;
    if (s->is_cancelled) {
        fetch_cancelled(s);
        return;
    }
    if (s->failure.code) {
        error = s->failure;
        client_fetch_finish(s, &error);
        return;
    }
    if (s->wants_start) {
        s->wants_start = false;
        client_progress(s);
        if (fair_is_held(&s->place) ||
            fair_enter(&s->client->places, &s->place, s->fetch->owner, s->fetch->member))
            hop_begin(s);
        return;
    }
    if (s->upgrade) {
        upgrade_step(s);
        return;
    }
    if (s->wants_unpause && s->is_added) {
        s->wants_unpause = false;
        /* May deliver bytes from inside; s stays, since ending is always a step of its own. */
        int mask =
            (s->is_recv_paused ? CURLPAUSE_RECV : 0) | (s->is_send_paused ? CURLPAUSE_SEND : 0);
        (void)curl_easy_pause(s->easy, mask); /* an error ends the transfer, which reports it */
    }
}

/* Curl's failure in words that name the host and the cause. */
static void fetch_error(const struct http_fetch_state *s, CURLcode code, struct error *ret_error)
{
    const char *detail = s->curl_error[0] ? s->curl_error : curl_easy_strerror(code);
    int len = (int)(s->url.host.len < 200 ? s->url.host.len : 200);
    const char *host = s->url.host.ptr;
    int port = s->url.port;
    if (code == CURLE_COULDNT_CONNECT && s->refusal.code) {
        *ret_error = s->refusal;
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        (void)error_set(ret_error, ERR_TIMEOUT,
                        "connecting to '%.*s' (port %d) took longer than %d ms", len, host, port,
                        LIMIT_FETCH_CONNECT_MS);
    } else if (code == CURLE_COULDNT_CONNECT) {
        (void)error_set(ret_error, ERR_NETWORK, "cannot connect to '%.*s' (port %d): %s", len, host,
                        port, detail);
    } else if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR) {
        (void)error_set(ret_error, ERR_NETWORK, "TLS with '%.*s' (port %d) failed: %s", len, host,
                        port, detail);
    } else {
        (void)error_set(ret_error, ERR_NETWORK, "fetching from '%.*s' (port %d): %s", len, host,
                        port, detail);
    }
}

/* All of a streamed body that was promised by its length has been there. */
static bool upload_is_short(const struct http_fetch_state *s)
{
    return s->has_body && s->upload_len >= 0 && s->upload_ended &&
           s->upload_total < (uint64_t)s->upload_len;
}

void client_fetch_hop_ended(struct http_fetch_state *s, CURLcode code)
{
    struct error error = {0};
    hop_release(s);
    if (s->is_cancelled) {
        fetch_cancelled(s);
        return;
    }
    if (s->failure.code) {
        error = s->failure;
    } else if (s->state == CLIENT_DISCARD) { /* however its body ended */
        s->refusal.code = OK;
        if (client_hop_redirect(s, &error) == OK) {
            hop_begin(s);
            return;
        }
    } else if (s->state == CLIENT_BODY && s->has_no_body) {
        /* Whatever came behind its head is none of it. */
    } else if (code != CURLE_OK && upload_is_short(s)) {
        (void)error_set(&error, ERR_INVALID, "the request body ended before its content-length");
    } else if (code != CURLE_OK) {
        fetch_error(s, code, &error);
    } else if (s->state == CLIENT_WAIT_HEAD) {
        (void)error_set(&error, ERR_NETWORK, "'%.*s' closed the connection without an answer",
                        SLICE_ARG(s->url.host));
    }
    client_fetch_finish(s, &error);
}

/* A pause that the caller makes is no silence of the peer. */
static void on_silence(struct timer *t)
{
    struct http_fetch_state *s = container_of(t, struct http_fetch_state, silence);
    struct loop *loop = s->client->loop;
    struct error error;
    uint64_t silent_ms = loop_now_ms(loop) - s->progress_ms;
    if (s->is_held || s->status == 101)
        silent_ms = 0; /* a WebSocket that is silent is found by those who speak it */
    if (silent_ms >= s->silence_ms && !s->is_suspect) {
        /* After a stop of ours, what came meanwhile is heard first. */
        s->is_suspect = true;
        timer_start(loop, t, 1, on_silence);
        return;
    }
    if (silent_ms < s->silence_ms) {
        timer_start(loop, t, s->silence_ms - silent_ms, on_silence);
        return;
    }
    struct account *owner = s->fetch->owner;
    if (s->state == CLIENT_WAIT_PLACE && owner &&
        budget_left(&owner->budgets[RESOURCE_CONNECTIONS]) == 0)
        (void)error_set(&error, ERR_TIMEOUT,
                        "no connection was free for '%.*s' within %u ms: %.*s has all %zu of its "
                        "quota in use",
                        SLICE_ARG(s->url.host), s->silence_ms, SLICE_ARG(owner->name),
                        budget_used(&owner->budgets[RESOURCE_CONNECTIONS]));
    else if (s->state == CLIENT_WAIT_PLACE)
        (void)error_set(&error, ERR_TIMEOUT,
                        "no connection was free for '%.*s' within %u ms: this request holds %u and "
                        "its function %u of the %d that its thread may have",
                        SLICE_ARG(s->url.host), s->silence_ms, fair_member_held(&s->place),
                        fair_owner_held(&s->place), LIMIT_FETCH_CONNECTIONS);
    else
        (void)error_set(&error, ERR_TIMEOUT, "%s '%.*s' (port %d) within %u ms",
                        s->state == CLIENT_BODY ? "no more of the answer from" : "no answer from",
                        SLICE_ARG(s->url.host), s->url.port, s->silence_ms);
    if (s->state == CLIENT_WAIT_PLACE)
        error_hint(&error, "read the bodies of answers, or cancel them, before asking for more");
    client_fetch_finish(s, &error);
}

enum err http_fetch_start(struct http_client *c, struct http_fetch *f, struct error *ret_error)
{
    CHECK(f->on_done && f->egress);
    struct arena *arena = arena_new(NULL);
    struct http_fetch_state *s = arena_new_struct(arena, struct http_fetch_state);
    s->arena = arena;
    s->fetch = f;
    s->client = c;
    enum err err = client_request_take(s, ret_error);
    if (err) {
        arena_free(arena);
        return err;
    }
    f->state = s;
    list_push_back(&c->fetches, &s->link);
    s->silence_ms = f->silence_ms ? f->silence_ms : CLIENT_SILENCE_MS;
    s->place.granted = on_place;
    client_progress(s);
    timer_start(c->loop, &s->silence, s->silence_ms, on_silence);
    s->wants_start = true;
    client_kick(s);
    return OK;
}

bool http_fetch_write(struct http_fetch *f, struct slice data, bool is_end)
{
    struct http_fetch_state *s = f->state;
    if (f->transport)
        return f->transport->write(f, data, is_end);
    if (!s || s->is_discarding_upload || s->is_cancelled || s->failure.code)
        return true; /* nobody reads it any more; on_done says the rest */
    if (s->upgrade)
        return upgrade_write(s, data, is_end);
    CHECK(f->is_streaming && !s->upload_ended);
    s->upload_total += data.len;
    s->upload_ended = is_end;
    if (s->upload_len >= 0 && s->upload_total > (uint64_t)s->upload_len) {
        (void)error_set(&s->failure, ERR_INVALID,
                        "the request body is longer than its content-length");
        client_kick(s);
        return true;
    }
    bytes_append_slice(&s->upload, data);
    if (s->is_send_paused) {
        s->is_send_paused = false;
        s->wants_unpause = true;
        client_kick(s);
    }
    s->is_upload_full = s->upload.len - s->upload_at >= LIMIT_HTTP_OUT_HIGH_BYTES;
    return !s->is_upload_full;
}

void http_fetch_resume(struct http_fetch *f)
{
    struct http_fetch_state *s = f->state;
    if (f->transport)
        f->transport->resume(f);
    if (!s || !s->is_held)
        return;
    s->is_held = false;
    client_progress(s);
    if (s->upgrade) {
        upgrade_resume(s);
        return;
    }
    if (!s->is_recv_paused)
        return; /* curl has not noticed the pause */
    s->is_recv_paused = false;
    s->wants_unpause = true;
    client_kick(s);
}

bool http_fetch_has_sent(const struct http_fetch *f)
{
    const struct http_fetch_state *s = f->state;
    if (f->transport)
        return f->transport->has_sent(f);
    return !s || s->body_at == s->body.len;
}

void http_fetch_cancel(struct http_fetch *f)
{
    struct http_fetch_state *s = f->state;
    if (f->transport)
        f->transport->cancel(f);
    if (!s)
        return;
    s->is_cancelled = true;
    if (f->is_lent)
        s->body = SLICE_EMPTY; /* client_lent_read() stops before it looks */
    client_kick(s);
}
