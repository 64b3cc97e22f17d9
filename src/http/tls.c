/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS between socket and protocol, by OpenSSL over memory BIOs: cipher text that was read is put
 * into one, what is to be written is taken from the other. Only as much is decrypted as the
 * protocol wants, so that back-pressure reaches the socket; the rest waits in the BIO (less than
 * one read and one record) and the socket is not read meanwhile.
 *
 * The context is shared by threads (OpenSSL counts references); a connection is its loop's. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "http/client.h"
#include "http/internal.h"

enum { TLS_RECORD_BYTES = 16 * 1024 };

struct tls_context {
    SSL_CTX *ctx;
};

/* Our choice first: h2, then http/1.1. A client that offers neither gets no protocol and HTTP/1.1.
 */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned int in_len, void *arg)
{
    static const unsigned char ours[] = "\x02h2\x08http/1.1";
    unsigned char *choice;
    if (SSL_select_next_proto(&choice, out_len, ours, sizeof(ours) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = choice;
    return SSL_TLSEXT_ERR_OK;
}

static enum err tls_error(struct error *ret_error, const char *what, const char *file)
{
    char text[256];
    ERR_error_string_n(ERR_get_error(), text, sizeof(text));
    ERR_clear_error();
    return error_set(ret_error, ERR_INVALID, "%s '%s': %s", what, file, text);
}

enum err tls_context_new(const char *cert_file, const char *key_file, struct tls_context **ret_tls,
                         struct error *ret_error)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    CHECK(ctx);
    ERR_clear_error();
    enum err err = OK;
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1) {
        err = tls_error(ret_error, "cannot load the certificate", cert_file);
        error_hint(ret_error, "it must be a PEM file, the server's certificate first");
    } else if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1) {
        err = tls_error(ret_error, "cannot load the private key", key_file);
        error_hint(ret_error, "it must be a PEM file with the key of the certificate");
    } else if (SSL_CTX_check_private_key(ctx) != 1) {
        err = tls_error(ret_error, "the private key does not belong to the certificate", key_file);
    }
    if (err) {
        SSL_CTX_free(ctx);
        return err;
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    static const unsigned char session_context[] = "limpet";
    SSL_CTX_set_session_id_context(ctx, session_context, sizeof(session_context) - 1);
    struct tls_context *t = malloc(sizeof(*t));
    CHECK(t);
    t->ctx = ctx;
    *ret_tls = t;
    return OK;
}

enum err http_ca_file_check(const char *path, struct error *ret_error)
{
    ERR_clear_error();
    BIO *file = BIO_new_file(path, "r");
    X509 *first = file ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;
    enum err err = OK;
    if (!first) {
        err = tls_error(ret_error, "cannot load the certificate authorities", path);
        error_hint(ret_error, "it must be a PEM file with one certificate or more");
    }
    X509_free(first);
    BIO_free(file);
    return err;
}

void tls_context_free(struct tls_context *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
    free(t);
}

void tls_conn_start(struct http_conn *c)
{
    struct conn_tls *t = calloc(1, sizeof(*t));
    CHECK(t);
    t->ssl = SSL_new(c->server->tls->ctx);
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    CHECK(t->ssl && t->in && t->out);
    BIO_set_mem_eof_return(t->in, -1); /* empty means "later", not the end */
    BIO_set_mem_eof_return(t->out, -1);
    SSL_set_bio(t->ssl, t->in, t->out);
    SSL_set_accept_state(t->ssl);
    c->tls = t;
}

void tls_conn_free(struct http_conn *c)
{
    if (!c->tls)
        return;
    SSL_free(c->tls->ssl);
    free(c->tls);
    c->tls = NULL;
}

bool tls_conn_has_input(const struct http_conn *c)
{
    return c->tls && c->tls->is_ready && c->state == CONN_OPEN &&
           BIO_ctrl_pending(c->tls->in) > HTTP_READ_BYTES;
}

size_t tls_conn_held(const struct http_conn *c)
{
    return c->tls ? BIO_ctrl_pending(c->tls->in) + BIO_ctrl_pending(c->tls->out) : 0;
}

/* Cipher text that OpenSSL made, to the socket. */
int tls_conn_version(const struct http_conn *c)
{
    return SSL_version(c->tls->ssl) == TLS1_3_VERSION ? 13 : 12;
}

static void tls_drain(struct http_conn *c)
{
    char *ptr;
    long len = BIO_get_mem_data(c->tls->out, &ptr);
    if (len <= 0 || c->is_writing)
        return;
    conn_socket_write(c, ptr, (size_t)len);
    (void)BIO_reset(c->tls->out);
}

static void tls_negotiated(struct http_conn *c)
{
    const unsigned char *name;
    unsigned len;
    c->tls->is_ready = true;
    c->idle_since_ms = server_now(c->server);
    SSL_get0_alpn_selected(c->tls->ssl, &name, &len);
    if (len == 2 && memcmp(name, "h2", 2) == 0) {
        c->proto = PROTO_H2;
        h2_init(c);
    } else if (len) {
        c->proto = PROTO_H1;
    }
}

/* False: nothing can be read now, or ever. */
static bool tls_handshake(struct http_conn *c)
{
    ERR_clear_error();
    int code = SSL_do_handshake(c->tls->ssl);
    tls_drain(c);
    if (code == 1) {
        tls_negotiated(c);
        return true;
    }
    if (SSL_get_error(c->tls->ssl, code) != SSL_ERROR_WANT_READ)
        conn_finish(c, false); /* the alert leaves first */
    return false;
}

void tls_conn_receive(struct http_conn *c, struct slice data)
{
    CHECK(BIO_write(c->tls->in, data.ptr, (int)data.len) == (int)data.len);
    tls_conn_pump(c);
}

void tls_conn_pump(struct http_conn *c)
{
    struct conn_tls *t = c->tls;
    if (t->is_eof || (!t->is_ready && (!BIO_ctrl_pending(t->in) || !tls_handshake(c))))
        return;
    while (c->state == CONN_OPEN && (BIO_ctrl_pending(t->in) || SSL_pending(t->ssl))) {
        size_t want = conn_proto_want(c);
        if (!want)
            return;
        if (want > TLS_RECORD_BYTES)
            want = TLS_RECORD_BYTES;
        ERR_clear_error();
        int n = SSL_read(t->ssl, c->server->read_buffer, (int)want);
        if (n > 0) {
            conn_input(c, (struct slice){c->server->read_buffer, (size_t)n});
            continue;
        }
        int code = SSL_get_error(t->ssl, n);
        if (code == SSL_ERROR_WANT_READ)
            break;
        t->is_eof = true;
        if (code == SSL_ERROR_ZERO_RETURN)
            conn_got_eof(c);
        else
            conn_finish(c, false);
        break;
    }
    tls_drain(c); /* key updates and tickets */
}

void tls_conn_flush(struct http_conn *c)
{
    struct conn_tls *t = c->tls;
    tls_drain(c);
    if (!t->is_ready)
        return;
    size_t off = 0;
    while (off < c->out.len && !c->is_writing && c->state < CONN_BROKEN) {
        size_t len = c->out.len - off;
        if (len > TLS_RECORD_BYTES)
            len = TLS_RECORD_BYTES;
        ERR_clear_error();
        int n = SSL_write(t->ssl, c->out.ptr + off, (int)len);
        if (n <= 0) { /* a memory BIO takes everything: the session itself is broken */
            conn_break(c);
            break;
        }
        off += (size_t)n;
        tls_drain(c);
    }
    if (off == c->out.len)
        server_give_buffer(c->server, &c->out);
    else
        bytes_consume(&c->out, off);
}

void tls_conn_goodbye(struct http_conn *c)
{
    if (!c->tls->is_ready || (SSL_get_shutdown(c->tls->ssl) & SSL_SENT_SHUTDOWN))
        return;
    ERR_clear_error();
    (void)SSL_shutdown(c->tls->ssl); /* says close_notify; the peer's own is not waited for */
    tls_drain(c);
}
