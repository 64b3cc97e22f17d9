/* SPDX-License-Identifier: Apache-2.0
 *
 * The client against our own server on the same loop: HTTP/1.1, and HTTP/2 over TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "http/client.h"
#include "http/egress.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "testbed.h"

struct world {
    struct loop loop;
    struct testbed bed;
    struct http_server *server;
    struct http_client *client;
    struct egress *egress;
    char base[64], folder[64], cert[96], key[96];
    struct tls_context *tls;
    int left;
    bool is_stepped; /* the test runs the loop turn by turn */
};

struct call {
    struct http_fetch fetch;
    struct world *world;
    char url[200];
    struct timer resume;
    size_t got, upload, sent;
    uint32_t sum_sent, sum_got;
    bool is_slow, is_paused;
    int heads, drains;
    struct error error;
    struct bytes text;
};

static void write_pem(struct world *w)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    assert_non_null(key);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(cert, san, -1);
    X509_EXTENSION_free(san);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    (void)snprintf(w->folder, sizeof(w->folder), "/tmp/limpet-test-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    (void)snprintf(w->cert, sizeof(w->cert), "%s/cert.pem", w->folder);
    (void)snprintf(w->key, sizeof(w->key), "%s/key.pem", w->folder);
    FILE *f = fopen(w->cert, "w");
    assert_int_equal(PEM_write_X509(f, cert), 1);
    (void)fclose(f);
    f = fopen(w->key, "w");
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    (void)fclose(f);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static int up(void **state, bool is_tls)
{
    struct world *w = calloc(1, sizeof(*w));
    struct error error;
    loop_init(&w->loop);
    testbed_init(&w->bed, &w->loop);
    write_pem(w);
    if (is_tls)
        assert_int_equal(tls_context_new(w->cert, w->key, &w->tls, &error), OK);
    struct http_server_config config = {
        .host = "127.0.0.1", .tls = w->tls, .body_bytes_max = -1, .connections_max = 100};
    assert_int_equal(http_server_new(&w->loop, &config, &w->bed.handler, &w->server, &error), OK);
    (void)snprintf(w->base, sizeof(w->base), "%s://127.0.0.1:%d", is_tls ? "https" : "http",
                   http_server_port(w->server));
    assert_int_equal(http_client_new(&w->loop, NULL, &w->client, &error), OK);
    http_client_set_ca_file(w->client, w->cert);
    w->egress = egress_new();
    assert_int_equal(egress_allow(w->egress, SLICE_LIT("127.0.0.0/8"), NULL), OK);
    *state = w;
    return 0;
}

static int up_plain(void **state)
{
    return up(state, false);
}

static int up_tls(void **state)
{
    return up(state, true);
}

static int down(void **state)
{
    struct world *w = *state;
    http_client_free(w->client);
    http_server_close(w->server);
    loop_done(&w->loop);
    tls_context_free(w->tls);
    egress_free(w->egress);
    (void)unlink(w->cert);
    (void)unlink(w->key);
    (void)rmdir(w->folder);
    free(w);
    return 0;
}

static void on_head(struct http_fetch *f)
{
    container_of(f, struct call, fetch)->heads++;
}

static uint32_t sum_add(uint32_t sum, const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sum = sum * 31 + (unsigned char)p[i];
    return sum;
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
    assert_false(c->is_paused);
    c->got += data.len;
    c->sum_got = sum_add(c->sum_got, data.ptr, data.len);
    if (c->text.len < 4096)
        bytes_append_slice(&c->text, data);
    if (!c->is_slow)
        return true;
    c->is_paused = true;
    timer_start(&c->world->loop, &c->resume, 0, on_resume);
    return false;
}

static void upload_more(struct call *c)
{
    static char piece[30000];
    bool goes_on = true;
    while (goes_on && c->sent < c->upload) {
        size_t n = c->upload - c->sent < sizeof(piece) ? c->upload - c->sent : sizeof(piece);
        memset(piece, (int)(c->sent % 251), n);
        c->sum_sent = sum_add(c->sum_sent, piece, n);
        c->sent += n;
        goes_on = http_fetch_write(&c->fetch, slice_of(piece, n), c->sent == c->upload);
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
    c->error = *error;
    timer_stop(&c->world->loop, &c->resume);
    if (--c->world->left > 0)
        return;
    if (c->world->is_stepped)
        uv_stop(&c->world->loop.uv); /* only this turn */
    else
        loop_stop(&c->world->loop);
}

static struct call *call_start(struct world *w, const char *path, size_t upload)
{
    struct call *c = calloc(1, sizeof(*c));
    c->world = w;
    c->upload = upload;
    (void)snprintf(c->url, sizeof(c->url), "%s%s", w->base, path);
    c->fetch = (struct http_fetch){.method = upload ? SLICE_LIT("POST") : SLICE_LIT("GET"),
                                   .url = slice_cstr(c->url),
                                   .is_streaming = upload > 0,
                                   .egress = w->egress,
                                   .on_head = on_head,
                                   .on_body = on_body,
                                   .on_drain = on_drain,
                                   .on_done = on_done};
    struct error error;
    if (http_fetch_start(w->client, &c->fetch, &error) != OK)
        fail_msg("%s", error.message);
    w->left++;
    upload_more(c);
    return c;
}

static void call_free(struct call *c)
{
    bytes_done(&c->text);
    free(c);
}

static struct call *call_run(struct world *w, const char *path, size_t upload, enum err want)
{
    struct call *c = call_start(w, path, upload);
    loop_run(&w->loop);
    if (c->error.code != want)
        fail_msg("%s: %s", c->url, c->error.message);
    return c;
}

static void answers(void **state)
{
    struct world *w = *state;
    struct call *c = call_run(w, "/hello", 0, OK);
    assert_int_equal(c->fetch.status, 200);
    assert_true(c->got > 0);
    call_free(c);
    c = call_run(w, "/headers", 0, OK);
    call_free(c);
    call_free(call_run(w, "/later", 0, OK));
    c = call_run(w, "/status?n=503", 0, OK);
    assert_int_equal(c->fetch.status, 503);
    call_free(c);
    call_free(call_run(w, "/abort", 0, ERR_NETWORK));
    c = call_run(w, "/cut", 0, ERR_NETWORK);
    assert_int_equal(c->heads, 1);
    call_free(c);
}

static void large_bodies_stream_both_ways(void **state)
{
    struct world *w = *state;
    struct call *c = call_run(w, "/down?n=5000000", 0, OK);
    assert_int_equal(c->got, 5000000);
    call_free(c);
    c = call_run(w, "/echo", 3000000, OK);
    assert_int_equal(c->got, 3000000);
    assert_int_equal(c->sum_got, c->sum_sent);
    assert_true(c->drains > 0);
    call_free(c);
    /* A slow reader: what the server delivers stays bounded. */
    c = call_start(w, "/echo", 2000000);
    c->is_slow = true;
    loop_run(&w->loop);
    assert_int_equal(c->error.code, OK);
    assert_int_equal(c->sum_got, c->sum_sent);
    call_free(c);
}

static void many_at_once(void **state)
{
    struct world *w = *state;
    enum { N = 60 };
    struct call *calls[N];
    call_free(call_run(w, "/hello", 0, OK));
    for (int i = 0; i < N; i++)
        calls[i] = call_start(w, i % 3 ? "/hello" : "/echo", i % 3 ? 0 : 100000);
    loop_run(&w->loop);
    for (int i = 0; i < N; i++) {
        assert_int_equal(calls[i]->error.code, OK);
        if (i % 3 == 0)
            assert_int_equal(calls[i]->got, 100000);
        assert_int_equal(calls[i]->sum_got, i % 3 ? calls[i]->sum_got : calls[i]->sum_sent);
        call_free(calls[i]);
    }
    for (int i = 0; i < 5; i++)
        call_free(call_run(w, "/hello", 0, OK));
    assert_true(http_server_connections(w->server) <= N); /* reused, not one for each */
}

static void cancels_in_every_state(void **state)
{
    struct world *w = *state;
    w->is_stepped = true;
    static const char *const paths[] = {"/hello", "/never", "/down?n=3000000", "/echo"};
    for (size_t i = 0; i < 4; i++) {
        for (int turns = 0; turns < 12; turns++) {
            struct call *c = call_start(w, paths[i], i == 3 ? 500000 : 0);
            for (int k = 0; k < turns && w->left; k++)
                (void)uv_run(&w->loop.uv, UV_RUN_NOWAIT);
            bool is_running = w->left > 0;
            if (is_running)
                http_fetch_cancel(&c->fetch);
            while (w->left)
                (void)uv_run(&w->loop.uv, UV_RUN_ONCE);
            assert_int_equal(c->error.code, is_running ? ERR_CANCELLED : OK);
            call_free(c);
        }
    }
    w->is_stepped = false;
    call_free(call_run(w, "/hello", 0, OK)); /* the pool is sound */
}

static void certificates_are_checked(void **state)
{
    struct world *w = *state;
    http_client_set_ca_file(w->client, NULL);
    struct call *c = call_run(w, "/hello", 0, ERR_NETWORK);
    assert_non_null(strstr(c->error.message, "TLS with '127.0.0.1'"));
    assert_int_equal(c->heads, 0);
    call_free(c);
    http_client_set_ca_file(w->client, w->cert);
    char *at = strstr(w->base, "127.0.0.1");
    at[8] = '2'; /* not a name of the certificate */
    call_free(call_run(w, "/hello", 0, ERR_NETWORK));
}

int main(void)
{
#define PLAIN(name) {#name ", HTTP/1.1", name, up_plain, down, NULL}
#define TLS(name)                                                                                  \
    {                                                                                              \
        #name ", HTTP/2 over TLS", name, up_tls, down, NULL                                        \
    }
    const struct CMUnitTest tests[] = {
        PLAIN(answers),
        TLS(answers),
        PLAIN(large_bodies_stream_both_ways),
        TLS(large_bodies_stream_both_ways),
        PLAIN(many_at_once),
        TLS(many_at_once),
        PLAIN(cancels_in_every_state),
        TLS(cancels_in_every_state),
        TLS(certificates_are_checked),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
