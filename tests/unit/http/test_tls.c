/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS over real sockets, with a client of OpenSSL's that blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "rig.h"

static char cert_path[] = "/tmp/limpet-test-cert-XXXXXX";
static char key_path[] = "/tmp/limpet-test-key-XXXXXX";
static char other_key_path[] = "/tmp/limpet-test-other-XXXXXX";

static FILE *temporary(char *path)
{
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    return fdopen(fd, "w");
}

static void write_key(char *path, EVP_PKEY *key)
{
    FILE *f = temporary(path);
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    (void)fclose(f);
}

static int make_files(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    FILE *f = temporary(cert_path);
    assert_int_equal(PEM_write_X509(f, cert), 1);
    (void)fclose(f);
    write_key(key_path, key);
    write_key(other_key_path, other);
    X509_free(cert);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    return 0;
}

static int remove_files(void **state)
{
    (void)unlink(cert_path);
    (void)unlink(key_path);
    (void)unlink(other_key_path);
    return 0;
}

static void start(struct rig *r)
{
    struct error error = {0};
    if (tls_context_new(cert_path, key_path, &r->config.tls, &error))
        fail_msg("%s", error.message);
    rig_start(r);
}

static void stop(struct rig *r)
{
    rig_stop(r);
    tls_context_free(r->config.tls);
}

struct secure {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
};

/* alpn is in wire format; NULL: none. */
static struct secure secure_connect(const struct rig *r, const char *alpn)
{
    struct secure s = {.fd = client_connect(r), .ctx = SSL_CTX_new(TLS_client_method())};
    s.ssl = SSL_new(s.ctx);
    if (alpn)
        SSL_set_alpn_protos(s.ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn));
    SSL_set_fd(s.ssl, s.fd);
    assert_int_equal(SSL_connect(s.ssl), 1);
    return s;
}

static void secure_close(struct secure *s)
{
    SSL_free(s->ssl);
    SSL_CTX_free(s->ctx);
    close(s->fd);
}

static void secure_say(struct secure *s, const char *text)
{
    assert_int_equal(SSL_write(s->ssl, text, (int)strlen(text)), (int)strlen(text));
}

/* True: the server has said that it is over. */
static bool secure_read_all(struct secure *s, struct bytes *in)
{
    char part[16 * 1024];
    int n;
    while ((n = SSL_read(s->ssl, part, sizeof(part))) > 0)
        bytes_append(in, part, (size_t)n);
    return SSL_get_error(s->ssl, n) == SSL_ERROR_ZERO_RETURN;
}

static bool alpn_is(const struct secure *s, const char *name)
{
    const unsigned char *text;
    unsigned len;
    SSL_get0_alpn_selected(s->ssl, &text, &len);
    return slice_eq_cstr((struct slice){(const char *)text, len}, name);
}

static void requests(void **state)
{
    struct rig r;
    rig_init(&r);
    start(&r);
    static const char *const offers[] = {NULL, "\x08http/1.1", "\x02h3\x08http/1.1", "\x02h3"};
    for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
        CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
        struct secure s = secure_connect(&r, offers[i]);
        assert_true(alpn_is(&s, i == 1 || i == 2 ? "http/1.1" : ""));
        secure_say(&s, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /later HTTP/1.1\r\nHost: a\r\n"
                       "Connection: close\r\n\r\n");
        assert_true(secure_read_all(&s, &in));
        assert_true(bytes_have(&in, "\r\n\r\nhelloHTTP/1.1 200 OK\r\n"));
        assert_true(bytes_have(&in, "\r\n\r\nlater"));
        secure_close(&s);
    }
    struct secure h2 = secure_connect(&r, "\x08http/1.1\x02h2"); /* our order counts */
    assert_true(alpn_is(&h2, "h2"));
    secure_close(&h2);
    rig_wait(&r, rig_complete, 2 * ARRAY_LEN(offers));
    stop(&r);
}

/* One large request; the server reads what it takes. */
static void large_bodies(void **state)
{
    enum { TOTAL = 20 * 1000 * 1000 };
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    start(&r);
    struct secure s = secure_connect(&r, NULL);
    char text[128];
    snprintf(text, sizeof(text), "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
             TOTAL);
    secure_say(&s, text);
    char *body = calloc(1, TOTAL);
    assert_int_equal(SSL_write(s.ssl, body, TOTAL), TOTAL);
    free(body);
    secure_say(&s, "GET /down?n=20000000 HTTP/1.0\r\n\r\n");
    assert_true(secure_read_all(&s, &in));
    assert_true(bytes_have(&in, "\r\n\r\n20000000HTTP/1.1 200 OK"));
    assert_true(in.len > TOTAL);
    secure_close(&s);
    struct rig_counts c = rig_counts(&r);
    assert_true(c.delivered_max <= LIMIT_HTTP_BODY_WINDOW_BYTES);
    stop(&r);
}

static void ends(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    r.config.head_timeout_ms = 50;
    start(&r);
    /* Not TLS at all. */
    int fd = client_connect(&r);
    client_say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)client_read_all(fd, &in);
    assert_false(bytes_have(&in, "HTTP/1.1"));
    close(fd);
    /* No handshake. */
    fd = client_connect(&r);
    (void)client_read_all(fd, &in);
    close(fd);
    /* A client that says it is done still gets its answer. */
    struct secure s = secure_connect(&r, NULL);
    bytes_clear(&in);
    secure_say(&s, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)SSL_shutdown(s.ssl);
    assert_true(secure_read_all(&s, &in));
    assert_true(bytes_have(&in, "later"));
    secure_close(&s);
    /* One that disappears is noticed. */
    s = secure_connect(&r, NULL);
    secure_say(&s, "GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_wait(&r, rig_requests, 2);
    secure_close(&s);
    rig_wait(&r, rig_broken, 1);
    /* A broken record ends the connection. */
    s = secure_connect(&r, NULL);
    secure_say(&s, "GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_wait(&r, rig_requests, 3);
    client_send(s.fd, SLICE_LIT("\x17\x03\x03\x00\x20this is no cipher text, is it?!!"));
    rig_wait(&r, rig_broken, 2);
    secure_close(&s);
    stop(&r);
}

static void drains(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    start(&r);
    struct secure s = secure_connect(&r, "\x08http/1.1");
    secure_say(&s, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_wait(&r, rig_complete, 1);
    rig_drain(&r);
    assert_true(secure_read_all(&s, &in));
    assert_true(bytes_have(&in, "hello"));
    rig_wait(&r, rig_drained, 0);
    secure_close(&s);
    stop(&r);
}

static void bad_files(void **state)
{
    static const struct {
        const char *cert, *key, *message;
    } cases[] = {
        {"/nonexistent", key_path, "cannot load the certificate '/nonexistent'"},
        {cert_path, "/nonexistent", "cannot load the private key '/nonexistent'"},
        {key_path, key_path, "cannot load the certificate"},
        {cert_path, other_key_path, "key"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_context *tls = NULL;
        struct error error = {0};
        assert_int_equal(tls_context_new(cases[i].cert, cases[i].key, &tls, &error), ERR_INVALID);
        assert_null(tls);
        assert_non_null(strstr(error.message, cases[i].message));
    }
    tls_context_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests), cmocka_unit_test(large_bodies), cmocka_unit_test(ends),
        cmocka_unit_test(drains),   cmocka_unit_test(bad_files),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("http/tls", tests, make_files, remove_files);
}
