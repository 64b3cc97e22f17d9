/* SPDX-License-Identifier: Apache-2.0
 *
 * See dial.h. A dial has one socket (struct dial_tcp) at a time, an attempt for each address; a socket outlives
 * its dial until libuv has closed it, or until what was written before an orderly end has left. TLS is
 * OpenSSL over memory BIOs, as in tls.c. */
#include "http/dial.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/limits.h"
#include "http/client_internal.h"
#include "http/url.h"

enum {
    DIAL_READ_BYTES = 64 * 1024,
    DIAL_RECORD_BYTES = 16 * 1024,
    DIAL_LINGER_MS = 5 * 1000, /* for the last bytes of one that was closed */
};

struct dial_tcp {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct list link;  /* client->dials */
    struct dial *dial; /* NULL: it is on its own */
    struct http_client *client;
    struct bytes wire; /* in libuv's hands */
    struct timer linger;
    bool is_writing, is_closing;
};

struct dial {
    struct list link; /* client->dials_closed */
    struct http_client *client;
    const struct dial_events *events;
    void *user;
    const struct egress *egress;
    struct bytes addresses, host;
    size_t next; /* in addresses */
    int port;
    struct dial_tcp *tcp; /* NULL: none yet, or none any more */
    SSL *ssl;
    BIO *in, *out_bio;
    struct bytes plain; /* until TLS is there, or the connection */
    struct bytes out;   /* to the socket */
    struct timer timer;
    struct error refusal; /* of the last address */
    uint64_t sent;
    unsigned busy; /* inside of so many events */
    bool is_tls, is_connected, is_secure, is_paused, is_reading, is_full;
    bool is_ending, has_shut, is_eof, eof_told, is_closed, has_failed, is_upgrading;
};

static void dial_free(struct dial *d)
{
    list_remove(&d->link);
    SSL_free(d->ssl);
    bytes_done(&d->addresses);
    bytes_done(&d->host);
    bytes_done(&d->plain);
    bytes_done(&d->out);
    free(d);
}

/* Events are told between these two. False: it was closed meanwhile. */
static void dial_enter(struct dial *d)
{
    d->busy++;
}

static bool dial_leave(struct dial *d)
{
    d->busy--;
    return !d->is_closed;
}

/* ---- sockets ---- */

static void tcp_closed(uv_handle_t *h)
{
    struct dial_tcp *t = container_of((uv_tcp_t *)(void *)h, struct dial_tcp, tcp);
    bytes_done(&t->wire);
    free(t);
}

static void tcp_close(struct dial_tcp *t)
{
    if (t->is_closing)
        return;
    t->is_closing = true;
    if (t->dial)
        t->dial->tcp = NULL;
    t->dial = NULL;
    list_remove(&t->link);
    timer_stop(t->client->loop, &t->linger);
    uv_close((uv_handle_t *)&t->tcp, tcp_closed);
}

void dials_close(struct http_client *c)
{
    struct list *n;
    while ((n = list_first(&c->dials)))
        tcp_close(container_of(n, struct dial_tcp, link));
    while ((n = list_first(&c->dials_closed))) {
        struct dial *d = container_of(n, struct dial, link);
        timer_stop(c->loop, &d->timer);
        dial_free(d);
    }
    free(c->dial_buffer);
}

static void linger_over(struct timer *t)
{
    tcp_close(container_of(t, struct dial_tcp, linger));
}

static void dial_fail(struct dial *d, const struct error *error)
{
    if (d->has_failed || d->is_closed)
        return;
    d->has_failed = true;
    timer_stop(d->client->loop, &d->timer);
    if (d->tcp)
        tcp_close(d->tcp);
    dial_enter(d);
    d->events->failed(d->user, error);
    (void)dial_leave(d);
}

static void dial_broken(struct dial *d, int code)
{
    struct error e;
    (void)error_set(&e, ERR_NETWORK, "the connection to '%.*s' (port %d) broke: %s",
                    SLICE_ARG(bytes_slice(&d->host)), d->port, uv_strerror(code));
    dial_fail(d, &e);
}

/* ---- writing ---- */

static void dial_flush(struct dial *d);

static void tcp_shut(uv_shutdown_t *r, int status)
{
    struct dial_tcp *t = container_of(r, struct dial_tcp, shutdown);
    (void)status; /* the end either way */
    if (!t->dial && !t->is_closing)
        tcp_close(t);
}

static void tcp_written(uv_write_t *w, int status)
{
    struct dial_tcp *t = container_of(w, struct dial_tcp, write);
    struct dial *d = t->dial;
    t->is_writing = false;
    bytes_clear(&t->wire);
    if (t->is_closing)
        return;
    if (!d) {
        if (status < 0)
            tcp_close(t);
        return; /* the shutdown that is queued goes on */
    }
    if (status < 0) {
        dial_broken(d, status);
        return;
    }
    dial_flush(d);
}

static size_t dial_queued(const struct dial *d)
{
    return d->plain.len + d->out.len + (d->tcp ? d->tcp->wire.len : 0);
}

static void dial_take_cipher(struct dial *d)
{
    char *ptr;
    long len = BIO_get_mem_data(d->out_bio, &ptr);
    if (len > 0) {
        bytes_append(&d->out, ptr, (size_t)len);
        (void)BIO_reset(d->out_bio);
    }
}

static bool dial_is_open(const struct dial *d)
{
    return d->is_connected && (!d->ssl || d->is_secure);
}

/* Plain text goes on, encrypted or not. */
static void dial_encode(struct dial *d)
{
    if (!dial_is_open(d) || d->plain.len == 0)
        return;
    if (!d->ssl) {
        bytes_append_slice(&d->out, bytes_slice(&d->plain));
        bytes_clear(&d->plain);
        return;
    }
    ERR_clear_error();
    for (size_t at = 0; at < d->plain.len;) {
        size_t len = d->plain.len - at < DIAL_RECORD_BYTES ? d->plain.len - at : DIAL_RECORD_BYTES;
        int n = SSL_write(d->ssl, d->plain.ptr + at, (int)len);
        if (n <= 0)
            break; /* the session is broken, which reading tells */
        at += (size_t)n;
        dial_take_cipher(d);
    }
    bytes_clear(&d->plain);
}

static void dial_shut_now(struct dial *d)
{
    if (d->has_shut || !d->is_ending || !dial_is_open(d) || d->out.len > 0 || d->tcp->is_writing)
        return;
    d->has_shut = true;
    if (uv_shutdown(&d->tcp->shutdown, (uv_stream_t *)&d->tcp->tcp, tcp_shut) != 0)
        tcp_close(d->tcp);
}

static void dial_flush(struct dial *d)
{
    struct dial_tcp *t = d->tcp;
    if (!t || !d->is_connected || t->is_writing)
        return;
    dial_encode(d);
    if (d->is_ending && d->ssl && d->is_secure && !(SSL_get_shutdown(d->ssl) & SSL_SENT_SHUTDOWN)) {
        (void)SSL_shutdown(d->ssl);
        dial_take_cipher(d);
    }
    if (d->out.len > 0) {
        struct bytes empty = t->wire;
        t->wire = d->out;
        d->out = empty;
        uv_buf_t buf = uv_buf_init(t->wire.ptr, (unsigned)t->wire.len);
        int n = uv_try_write((uv_stream_t *)&t->tcp, &buf, 1);
        if (n > 0)
            bytes_consume(&t->wire, (size_t)n);
        if (n < 0 && n != UV_EAGAIN) {
            dial_broken(d, n);
            return;
        }
        if (t->wire.len > 0) {
            buf = uv_buf_init(t->wire.ptr, (unsigned)t->wire.len);
            t->is_writing = uv_write(&t->write, (uv_stream_t *)&t->tcp, &buf, 1, tcp_written) == 0;
        }
    }
    dial_shut_now(d);
    if (d->is_full && dial_queued(d) < LIMIT_HTTP_OUT_HIGH_BYTES / 2) {
        d->is_full = false;
        dial_enter(d);
        d->events->drained(d->user);
        (void)dial_leave(d);
    }
}

bool dial_write(struct dial *d, struct slice data)
{
    if (d->has_failed || d->is_ending)
        return true;
    d->sent += data.len;
    bytes_append_slice(&d->plain, data);
    dial_enter(d); /* `drained` is not told from inside of here */
    bool was_full = d->is_full;
    d->is_full = false;
    dial_flush(d);
    d->is_full = was_full || dial_queued(d) >= LIMIT_HTTP_OUT_HIGH_BYTES;
    bool is_full = d->is_full;
    (void)dial_leave(d);
    return !is_full;
}

void dial_shutdown(struct dial *d)
{
    if (d->is_ending || d->has_failed)
        return;
    d->is_ending = true;
    dial_enter(d);
    dial_flush(d);
    (void)dial_leave(d);
}

/* ---- TLS ---- */

/* What is trusted: that file, which may change, or what the system has. */
static SSL_CTX *dial_context(struct http_client *c)
{
    if (c->tls && !c->ca_file)
        return SSL_CTX_up_ref(c->tls), c->tls;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        check_out_of_memory(0);
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (c->ca_file) {
        (void)SSL_CTX_load_verify_file(ctx, c->ca_file); /* without it nobody is trusted */
        return ctx;
    }
    (void)SSL_CTX_set_default_verify_paths(ctx);
    c->tls = ctx;
    SSL_CTX_up_ref(ctx);
    return ctx;
}

static void dial_tls_new(struct dial *d)
{
    SSL_CTX *ctx = dial_context(d->client);
    struct sockaddr_storage unused;
    struct slice name = bytes_slice(&d->host);
    char host[256];
    if (name.len > 2 && name.ptr[0] == '[')
        name = slice_of(name.ptr + 1, name.len - 2);
    snprintf(host, sizeof(host), "%.*s", SLICE_ARG(name));
    d->ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    d->in = BIO_new(BIO_s_mem());
    d->out_bio = BIO_new(BIO_s_mem());
    CHECK(d->ssl && d->in && d->out_bio);
    BIO_set_mem_eof_return(d->in, -1);
    BIO_set_mem_eof_return(d->out_bio, -1);
    SSL_set_bio(d->ssl, d->in, d->out_bio);
    SSL_set_connect_state(d->ssl);
    if (url_address(name, d->port, &unused)) {
        (void)X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(d->ssl), host);
    } else {
        (void)SSL_set_tlsext_host_name(d->ssl, host);
        (void)SSL_set1_host(d->ssl, host);
    }
}

static void dial_tls_failed(struct dial *d)
{
    struct error e;
    char text[200];
    long verify = SSL_get_verify_result(d->ssl);
    unsigned long code = ERR_get_error();
    if (verify != X509_V_OK)
        snprintf(text, sizeof(text), "%s", X509_verify_cert_error_string(verify));
    else if (code)
        snprintf(text, sizeof(text), "%s",
                 ERR_reason_error_string(code) ? ERR_reason_error_string(code) : "it is broken");
    else
        snprintf(text, sizeof(text), "the other side has ended it");
    ERR_clear_error();
    (void)error_set(&e, ERR_NETWORK, "TLS with '%.*s' (port %d) failed: %s",
                    SLICE_ARG(bytes_slice(&d->host)), d->port, text);
    dial_take_cipher(d);
    dial_fail(d, &e);
}

static void dial_secure(struct dial *d)
{
    bool was_upgrade = d->is_upgrading;
    d->is_secure = true;
    timer_stop(d->client->loop, &d->timer);
    dial_enter(d);
    if (was_upgrade && d->events->secured)
        d->events->secured(d->user);
    else if (!was_upgrade)
        d->events->connected(d->user);
    if (!d->is_closed)
        dial_flush(d);
    (void)dial_leave(d);
}

/* False: not through, or gone. */
static bool dial_handshake(struct dial *d)
{
    ERR_clear_error();
    int code = SSL_do_handshake(d->ssl);
    dial_take_cipher(d);
    if (code == 1) {
        dial_enter(d);
        dial_secure(d);
        return dial_leave(d) && !d->has_failed;
    }
    int why = SSL_get_error(d->ssl, code);
    if (why == SSL_ERROR_WANT_READ && !d->is_eof)
        dial_flush(d);
    else
        dial_tls_failed(d);
    return false;
}

/* ---- reading ---- */

static void dial_tell_eof(struct dial *d)
{
    if (d->eof_told)
        return;
    d->eof_told = true;
    dial_enter(d);
    d->events->eof(d->user);
    (void)dial_leave(d);
}

/* Decrypts as long as somebody takes it. */
static void dial_pump_tls(struct dial *d)
{
    char *buffer = d->client->dial_buffer + DIAL_READ_BYTES;
    if (!d->is_secure && !dial_handshake(d))
        return;
    dial_enter(d);
    while (!d->is_closed && !d->has_failed && !d->is_paused) {
        ERR_clear_error();
        int n = SSL_read(d->ssl, buffer, DIAL_RECORD_BYTES);
        if (n > 0) {
            d->events->data(d->user, slice_of(buffer, (size_t)n));
            continue;
        }
        int why = SSL_get_error(d->ssl, n);
        if (why == SSL_ERROR_ZERO_RETURN || (why == SSL_ERROR_WANT_READ && d->is_eof))
            dial_tell_eof(d);
        else if (why != SSL_ERROR_WANT_READ)
            dial_tls_failed(d);
        break;
    }
    if (!d->is_closed && !d->has_failed) {
        dial_take_cipher(d); /* key updates */
        dial_flush(d);
    }
    (void)dial_leave(d);
}

static void tcp_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct dial_tcp *t = container_of((uv_tcp_t *)(void *)h, struct dial_tcp, tcp);
    (void)suggested;
    *buf = uv_buf_init(t->client->dial_buffer, DIAL_READ_BYTES);
}

static void dial_read_on(struct dial *d);

static void tcp_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct dial_tcp *t = container_of((uv_tcp_t *)(void *)s, struct dial_tcp, tcp);
    struct dial *d = t->dial;
    if (!d || n == 0 || n == UV_ENOBUFS)
        return;
    dial_enter(d);
    if (n < 0 && n != UV_EOF) {
        dial_broken(d, (int)n);
    } else {
        if (n < 0) {
            d->is_eof = true;
            (void)uv_read_stop(s);
            d->is_reading = false;
        }
        if (d->ssl && n > 0)
            CHECK(BIO_write(d->in, buf->base, (int)n) == (int)n);
        if (d->ssl)
            dial_pump_tls(d);
        else if (n > 0)
            d->events->data(d->user, slice_of(buf->base, (size_t)n));
        else
            dial_tell_eof(d);
    }
    if (dial_leave(d))
        dial_read_on(d);
}

static void dial_read_on(struct dial *d)
{
    bool wants = d->tcp && d->is_connected && !d->is_eof && !d->has_failed &&
                 (!d->is_paused || (d->ssl && !d->is_secure));
    if (wants == d->is_reading || !d->tcp)
        return;
    d->is_reading = wants;
    if (wants)
        (void)uv_read_start((uv_stream_t *)&d->tcp->tcp, tcp_alloc, tcp_read);
    else
        (void)uv_read_stop((uv_stream_t *)&d->tcp->tcp);
}

void dial_pause(struct dial *d, bool is_paused)
{
    if (d->is_paused == is_paused || d->has_failed)
        return;
    d->is_paused = is_paused;
    dial_enter(d);
    if (!is_paused && d->busy == 1 && d->ssl && d->is_secure)
        dial_pump_tls(d); /* what is decrypted only now */
    if (dial_leave(d))
        dial_read_on(d);
}

void dial_start_tls(struct dial *d, struct slice host)
{
    CHECK(!d->ssl && d->is_connected);
    if (host.len > 0) {
        bytes_clear(&d->host);
        bytes_append_slice(&d->host, host);
    }
    d->is_upgrading = true;
    dial_tls_new(d);
    dial_enter(d);
    (void)dial_handshake(d);
    if (dial_leave(d))
        dial_read_on(d);
}

/* ---- connecting ---- */

static void dial_next(struct dial *d);

static void tcp_connected(uv_connect_t *r, int status)
{
    struct dial_tcp *t = container_of(r, struct dial_tcp, connect);
    struct dial *d = t->dial;
    if (!d)
        return; /* it is being closed */
    if (status < 0) {
        (void)error_set(&d->refusal, ERR_NETWORK, "cannot connect to '%.*s' (port %d): %s",
                        SLICE_ARG(bytes_slice(&d->host)), d->port, uv_strerror(status));
        tcp_close(t);
        dial_next(d);
        return;
    }
    (void)uv_tcp_nodelay(&t->tcp, 1);
    (void)uv_tcp_keepalive(&t->tcp, 1, 60);
    d->is_connected = true;
    dial_enter(d);
    if (d->is_tls) {
        dial_tls_new(d);
        (void)dial_handshake(d);
    } else {
        timer_stop(d->client->loop, &d->timer);
        d->events->connected(d->user);
        if (!d->is_closed)
            dial_flush(d);
    }
    if (dial_leave(d))
        dial_read_on(d);
}

/* The next address that may be reached. */
static void dial_next(struct dial *d)
{
    struct slice rest = slice_skip(bytes_slice(&d->addresses), d->next);
    while (rest.len > 0) {
        struct sockaddr_storage address;
        struct slice text = slice_split(&rest, ',');
        d->next = d->addresses.len - rest.len;
        if (text.len > 2 && text.ptr[0] == '[')
            text = slice_of(text.ptr + 1, text.len - 2);
        if (!url_address(text, d->port, &address) ||
            egress_check_address(d->egress, bytes_slice(&d->host), d->port,
                                 (struct sockaddr *)&address, &d->refusal) != OK)
            continue;
        struct dial_tcp *t = calloc(1, sizeof(*t));
        if (!t)
            check_out_of_memory(sizeof(*t));
        t->client = d->client;
        t->dial = d;
        d->tcp = t;
        CHECK(uv_tcp_init(&d->client->loop->uv, &t->tcp) == 0);
        list_push_back(&d->client->dials, &t->link);
        int code = uv_tcp_connect(&t->connect, &t->tcp, (struct sockaddr *)&address, tcp_connected);
        if (code == 0)
            return;
        (void)error_set(&d->refusal, ERR_NETWORK, "cannot connect to '%.*s' (port %d): %s",
                        SLICE_ARG(bytes_slice(&d->host)), d->port, uv_strerror(code));
        tcp_close(t);
    }
    struct error e = d->refusal;
    if (!e.code)
        (void)error_set(&e, ERR_NETWORK, "'%.*s' has no address", SLICE_ARG(bytes_slice(&d->host)));
    dial_fail(d, &e);
}

static void dial_first(struct timer *t)
{
    struct dial *d = container_of(t, struct dial, timer);
    if (d->tcp) {
        struct error e;
        (void)error_set(&e, ERR_TIMEOUT, "connecting to '%.*s' (port %d) took longer than %d ms",
                        SLICE_ARG(bytes_slice(&d->host)), d->port, LIMIT_FETCH_CONNECT_MS);
        dial_fail(d, &e);
        return;
    }
    timer_start(d->client->loop, &d->timer, LIMIT_FETCH_CONNECT_MS, dial_first);
    dial_next(d);
}

struct dial *dial_new(struct http_client *c, const struct dial_config *config,
                      const struct dial_events *events, void *user)
{
    struct dial *d = calloc(1, sizeof(*d));
    if (!d)
        check_out_of_memory(sizeof(*d));
    d->client = c;
    d->events = events;
    d->user = user;
    d->egress = config->egress;
    d->port = config->port;
    d->is_tls = config->is_tls;
    bytes_append_slice(&d->addresses, config->addresses);
    bytes_append_slice(&d->host, config->host);
    if (!c->dial_buffer)
        c->dial_buffer = malloc(DIAL_READ_BYTES + DIAL_RECORD_BYTES);
    if (!c->dial_buffer)
        check_out_of_memory(DIAL_READ_BYTES);
    timer_start(c->loop, &d->timer, 0, dial_first); /* so that events come from the loop */
    return d;
}

static void dial_gone(struct timer *t)
{
    dial_free(container_of(t, struct dial, timer));
}

/* Its memory stays until the next turn: this may be inside of what it does. */
void dial_close(struct dial *d)
{
    struct dial_tcp *t = d->tcp;
    if (d->is_closed)
        return;
    d->is_closed = true;
    timer_stop(d->client->loop, &d->timer);
    if (t && d->is_ending && d->is_connected && !d->has_failed && d->out.len == 0) {
        (void)uv_read_stop((uv_stream_t *)&t->tcp);
        t->dial = NULL;
        d->tcp = NULL;
        if (!d->has_shut && uv_shutdown(&t->shutdown, (uv_stream_t *)&t->tcp, tcp_shut) != 0)
            tcp_close(t);
        else
            timer_start(t->client->loop, &t->linger, DIAL_LINGER_MS, linger_over);
    } else if (t) {
        tcp_close(t);
    }
    list_push_back(&d->client->dials_closed, &d->link);
    timer_start(d->client->loop, &d->timer, 0, dial_gone);
}

static void address_text(const struct sockaddr_storage *a, char ret[64])
{
    char host[48] = "";
    if (a->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
        (void)uv_ip6_name(v6, host, sizeof(host));
        snprintf(ret, 64, "[%s]:%d", host, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
        (void)uv_ip4_name(v4, host, sizeof(host));
        snprintf(ret, 64, "%s:%d", host, ntohs(v4->sin_port));
    }
}

void dial_addresses(const struct dial *d, char ret_local[64], char ret_remote[64])
{
    struct sockaddr_storage a;
    int len = sizeof(a);
    ret_local[0] = ret_remote[0] = '\0';
    if (!d->tcp)
        return;
    if (uv_tcp_getsockname(&d->tcp->tcp, (struct sockaddr *)&a, &len) == 0)
        address_text(&a, ret_local);
    len = sizeof(a);
    if (uv_tcp_getpeername(&d->tcp->tcp, (struct sockaddr *)&a, &len) == 0)
        address_text(&a, ret_remote);
}

uint64_t dial_sent(const struct dial *d)
{
    return d->sent;
}
