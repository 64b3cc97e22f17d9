/* SPDX-License-Identifier: Apache-2.0
 *
 * A hop of a fetch that asks for a WebSocket: HTTP/1.1 over a dialled connection (dial.h), since curl gives no
 * connection away. Its place, name, egress rules, secrets and redirects are those of any hop (client_fetch.c). The answer's
 * head is read line by line as curl would give it; after 101 bytes go either way as they are; the body of another
 * answer is unframed by llhttp, to which all of the answer is shown, too. Loop thread only. */
#include <llhttp.h>
#include <string.h>

#include "http/client_internal.h"
#include "http/dial.h"
#include "http/grammar.h"
#include "websocket/handshake.h"

struct upgrade {
    struct http_fetch_state *s;
    struct dial *dial;
    struct bytes head; /* of the answer, until it is whole */
    llhttp_t parser;
    llhttp_settings_t settings;
    char accept[WEBSOCKET_ACCEPT_BYTES + 1];
    bool is_in_body, is_tunnel, is_over, must_end, owes_drain;
};

static void upgrade_fail(struct upgrade *u, const struct error *error)
{
    if (!u->s->failure.code)
        u->s->failure = *error;
    client_kick(u->s);
}

static void upgrade_ended(struct upgrade *u)
{
    u->must_end = true;
    client_kick(u->s);
}

/* ---- the answer ---- */

static void give_body(struct upgrade *u, struct slice data)
{
    struct http_fetch_state *s = u->s;
    if (s->is_cancelled || s->failure.code || data.len == 0)
        return;
    client_progress(s);
    if (s->state == CLIENT_DISCARD) {
        s->discarded += data.len;
        if (s->discarded > CLIENT_DISCARD_BYTES)
            upgrade_ended(u);
        return;
    }
    if (s->has_no_body)
        return;
    s->is_held = true;
    if (!s->fetch->on_body || s->fetch->on_body(s->fetch, data))
        s->is_held = false;
    else
        dial_pause(u->dial, true);
}

static int on_parsed_body(llhttp_t *p, const char *at, size_t len)
{
    give_body(p->data, slice_of(at, len));
    return 0;
}

static int on_parsed_end(llhttp_t *p)
{
    struct upgrade *u = p->data;
    u->is_over = true;
    return HPE_PAUSED;
}

static bool is_accepted(const struct upgrade *u)
{
    const struct http_fetch_state *s = u->s;
    for (size_t k = 0; k < s->response_len; k++)
        if (slice_eq_cstr(s->response[k].name, "sec-websocket-accept"))
            return slice_eq_cstr(s->response[k].value, u->accept);
    return false;
}

static void fail_head(struct upgrade *u, const char *what)
{
    struct error e;
    (void)error_set(&e, ERR_NETWORK, "'%.*s' %s", SLICE_ARG(u->s->url.host), what);
    upgrade_fail(u, &e);
}

/* Lines of the head, as client_head_line() wants them, up to the last. False: nothing more is to be done with what has
 * come. */
static bool take_head(struct upgrade *u, struct slice *data)
{
    struct http_fetch_state *s = u->s;
    while (data->len > 0 && s->state == CLIENT_WAIT_HEAD) {
        ptrdiff_t end = slice_find(*data, '\n');
        size_t len = end < 0 ? data->len : (size_t)end + 1;
        bytes_append(&u->head, data->ptr, len);
        *data = slice_skip(*data, len);
        if (u->head.len > LIMIT_HTTP_HEAD_BYTES)
            return fail_head(u, "answered with larger headers than are read (64 KiB)"), false;
        if (end < 0)
            return false;
        bool is_upgraded = u->head.len <= 2 && s->status == 101;
        if (is_upgraded && !is_accepted(u))
            return fail_head(u, "does not speak WebSocket: its sec-websocket-accept is wrong"),
                   false;
        u->is_tunnel = is_upgraded; /* it may be written to from inside of this */
        bool goes_on = client_head_line(s, bytes_slice(&u->head));
        bytes_clear(&u->head);
        if (!goes_on && s->state == CLIENT_WAIT_HEAD)
            client_kick(s); /* refused */
        else if (!goes_on)
            upgrade_ended(u);
        if (!goes_on)
            return false;
    }
    return s->state != CLIENT_WAIT_HEAD;
}

static void take_data(struct upgrade *u, struct slice data)
{
    struct http_fetch_state *s = u->s;
    struct slice rest = data;
    if (s->is_cancelled || s->failure.code || u->must_end)
        return;
    client_progress(s);
    bool has_head = s->state != CLIENT_WAIT_HEAD || take_head(u, &rest);
    if (u->is_tunnel) {
        give_body(u, rest);
        return;
    }
    if (s->failure.code || u->must_end)
        return;
    enum llhttp_errno code = llhttp_execute(&u->parser, data.ptr, data.len);
    if (u->is_over && has_head)
        upgrade_ended(u);
    else if (code != HPE_OK)
        fail_head(u, "answered with something that is no HTTP");
}

/* ---- the connection ---- */

static void put_line(struct bytes *out, struct slice name, struct slice value)
{
    bytes_printf(out, "%.*s: %.*s\r\n", SLICE_ARG(name), SLICE_ARG(value));
}

static bool is_ours(struct slice name)
{
    static const char *const ours[] = {"host",
                                       "upgrade",
                                       "connection",
                                       "sec-websocket-key",
                                       "sec-websocket-version",
                                       "content-length",
                                       "transfer-encoding",
                                       "keep-alive",
                                       "te",
                                       "expect"};
    for (size_t k = 0; k < ARRAY_LEN(ours); k++)
        if (slice_eq_nocase(name, slice_cstr(ours[k])))
            return true;
    return false;
}

static void write_head(struct upgrade *u, struct bytes *out)
{
    struct http_fetch_state *s = u->s;
    char key[WEBSOCKET_KEY_BYTES + 1];
    bool has_extensions = false, has_agent = false, is_passed_on = false;
    bool is_usual = s->url.port == (s->url.is_tls ? 443 : 80);
    struct slice target = slice_skip(s->url.href, s->url.origin.len);
    websocket_key(key);
    bytes_printf(out, "GET %s%.*s HTTP/1.1\r\nhost: %.*s",
                 target.len && target.ptr[0] == '/' ? "" : "/", SLICE_ARG(target),
                 SLICE_ARG(s->url.host));
    if (!is_usual)
        bytes_printf(out, ":%d", s->url.port);
    bytes_append_cstr(
        out, "\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n");
    for (size_t k = 0; k < s->headers_len; k++) {
        const struct http_header *h = &s->sent[k];
        /* Of a request that is passed on: who asked is answered by this key. */
        if (slice_eq_nocase(h->name, SLICE_LIT("sec-websocket-key")) &&
            websocket_key_is_valid(h->value)) {
            memcpy(key, h->value.ptr, WEBSOCKET_KEY_BYTES);
            is_passed_on = true; /* what its client has not offered cannot be agreed on */
        }
        has_extensions |= slice_eq_nocase(h->name, SLICE_LIT("sec-websocket-extensions"));
        has_agent |= slice_eq_nocase(h->name, SLICE_LIT("user-agent"));
        if (!is_ours(h->name))
            put_line(out, h->name, h->value);
    }
    if (!has_extensions && !is_passed_on)
        put_line(out, SLICE_LIT("sec-websocket-extensions"), slice_cstr(websocket_offer));
    if (!has_agent)
        put_line(out, SLICE_LIT("user-agent"), SLICE_LIT("Limpet/" LIMPET_VERSION));
    put_line(out, SLICE_LIT("sec-websocket-key"), slice_cstr(key));
    bytes_append_cstr(out, "\r\n");
    websocket_accept(slice_cstr(key), u->accept);
}

static void on_connected(void *user)
{
    struct upgrade *u = user;
    CLEANUP(bytes_done) struct bytes head = BYTES_INIT;
    client_progress(u->s);
    write_head(u, &head);
    (void)dial_write(u->dial, bytes_slice(&head));
}

static void on_data(void *user, struct slice data)
{
    take_data(user, data);
}

static void on_eof(void *user)
{
    struct upgrade *u = user;
    struct error e;
    if (u->is_tunnel || u->s->state != CLIENT_BODY || llhttp_finish(&u->parser) == HPE_OK) {
        upgrade_ended(u);
        return;
    }
    (void)error_set(&e, ERR_NETWORK, "'%.*s' closed the connection in the middle of its answer",
                    SLICE_ARG(u->s->url.host));
    upgrade_fail(u, &e);
}

static void on_drained(void *user)
{
    struct upgrade *u = user;
    client_progress(u->s);
    u->owes_drain = true;
    client_kick(u->s);
}

static void on_failed(void *user, const struct error *error)
{
    upgrade_fail(user, error);
}

static const struct dial_events events = {.connected = on_connected,
                                          .data = on_data,
                                          .eof = on_eof,
                                          .drained = on_drained,
                                          .failed = on_failed};

void upgrade_start(struct http_fetch_state *s)
{
    struct upgrade *u = arena_new_struct(s->arena, struct upgrade);
    struct slice host = s->url.host;
    u->s = s;
    llhttp_settings_init(&u->settings);
    u->settings.on_body = on_parsed_body;
    u->settings.on_message_complete = on_parsed_end;
    llhttp_init(&u->parser, HTTP_RESPONSE, &u->settings);
    u->parser.data = u;
    s->upgrade = u;
    u->dial =
        dial_new(s->client,
                 &(struct dial_config){
                     .addresses = s->url.is_address ? host : bytes_slice(&s->resolve.addresses),
                     .host = host,
                     .port = s->url.port,
                     .is_tls = s->url.is_tls,
                     .egress = s->fetch->egress},
                 &events, u);
}

void upgrade_end(struct http_fetch_state *s)
{
    struct upgrade *u = s->upgrade;
    if (!u)
        return;
    s->upgrade = NULL;
    if (s->fetch->owner)
        atomic_fetch_add_explicit(&s->fetch->owner->meter.egress_bytes, dial_sent(u->dial),
                                  memory_order_relaxed);
    dial_close(u->dial);
    bytes_done(&u->head);
}

bool upgrade_write(struct http_fetch_state *s, struct slice data, bool is_end)
{
    struct upgrade *u = s->upgrade;
    bool has_room = dial_write(u->dial, data);
    client_progress(s);
    if (is_end)
        dial_shutdown(u->dial);
    return has_room || is_end;
}

void upgrade_resume(struct http_fetch_state *s)
{
    client_kick(s); /* not from inside of the caller's call */
}

void upgrade_step(struct http_fetch_state *s)
{
    struct upgrade *u = s->upgrade;
    if (u->must_end) {
        client_fetch_hop_ended(s, CURLE_OK);
        return;
    }
    if (u->owes_drain) {
        u->owes_drain = false;
        if (s->fetch->on_drain)
            s->fetch->on_drain(s->fetch);
    }
    if (!s->is_held)
        dial_pause(u->dial, false);
}
