/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP client of a loop: libcurl's multi handle driven by the loop's own polls and timers, so
 * that nothing here blocks; curl keeps the pool of connections and speaks HTTP/1.1 and HTTP/2 (by
 * ALPN). What is ours: names (resolve.h; curl is told the addresses and never asks itself), which
 * addresses may be reached (egress.h, asked at every connect), who may have a connection now
 * (base/fair.h), redirects hop by hop, content codings (decode.h), back-pressure both ways, bounds,
 * and errors.
 *
 *   client.c        multi handle, sockets, the list of fetches with something to do
 *   client_fetch.c  a fetch's state machine     client_hop.c   what a hop sends
 *   client_head.c   a response's head
 *
 * A pooled connection was checked when it was made; it is reused by fetches with the same rules,
 * since egress is one for the whole server. Domain lists of modules are checked at every hop by
 * name.
 *
 * Invariant: curl is entered only from the loop (poll, timer, kick), never from its own callbacks,
 * and callers' callbacks run only inside of that. Loop thread only. */
#include "http/client.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>

#include "http/client_internal.h"

struct client_socket {
    uv_poll_t poll;
    struct http_client *client;
    curl_socket_t fd;
    struct list link;
};

static pthread_once_t global_once = PTHREAD_ONCE_INIT;

static void global_init(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        check_fatal("libcurl does not start");
}

/* Ends of transfers; each may start the next hop or end a fetch. */
static void client_reap(struct http_client *c)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(c->multi, &left))) {
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode code = m->data.result; /* m is gone once the handle is removed */
        char *state = NULL;
        CHECK(curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &state) == CURLE_OK);
        client_fetch_hop_ended((struct http_fetch_state *)(void *)state, code);
    }
}

static void client_act(struct http_client *c, curl_socket_t fd, int events)
{
    int running;
    /* What goes wrong is about transfers, which report it themselves. */
    (void)curl_multi_socket_action(c->multi, fd, events, &running);
    client_reap(c);
}

static void on_curl_timer(struct timer *t)
{
    client_act(container_of(t, struct http_client, curl_timer), CURL_SOCKET_TIMEOUT, 0);
}

static int on_set_timer(CURLM *multi, long delay_ms, void *arg)
{
    struct http_client *c = arg;
    (void)multi;
    if (delay_ms < 0)
        timer_stop(c->loop, &c->curl_timer);
    else
        timer_start(c->loop, &c->curl_timer, (uint64_t)delay_ms, on_curl_timer);
    return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct client_socket *s = container_of(poll, struct client_socket, poll);
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    client_act(s->client, s->fd, flags); /* s may be gone now */
}

static void socket_on_close(uv_handle_t *handle)
{
    free(container_of((uv_poll_t *)(void *)handle, struct client_socket, poll));
}

static void socket_close(struct client_socket *s)
{
    list_remove(&s->link);
    uv_close((uv_handle_t *)&s->poll, socket_on_close);
}

static struct client_socket *socket_open(struct http_client *c, curl_socket_t fd)
{
    struct client_socket *s = calloc(1, sizeof(*s));
    if (!s)
        check_out_of_memory(sizeof(*s));
    s->client = c;
    s->fd = fd;
    if (uv_poll_init(&c->loop->uv, &s->poll, fd) < 0) {
        free(s);
        return NULL;
    }
    list_push_back(&c->sockets, &s->link);
    return s;
}

static int on_watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct http_client *c = arg;
    struct client_socket *s = socket_arg;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s)
            socket_close(s);
        (void)curl_multi_assign(c->multi, fd, NULL);
        return 0;
    }
    if (!s) {
        s = socket_open(c, fd);
        if (!s)
            return -1;
        CHECK(curl_multi_assign(c->multi, fd, s) == CURLM_OK);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&s->poll, events, on_poll) < 0 ? -1 : 0;
}

static void on_kick(struct timer *t)
{
    struct http_client *c = container_of(t, struct http_client, kick_timer);
    struct list now;
    list_init(&now);
    list_splice_back(&now, &c->ready); /* what is kicked meanwhile waits for the next turn */
    for (struct list *n = list_pop_front(&now); n; n = list_pop_front(&now))
        client_fetch_step(container_of(n, struct http_fetch_state, ready));
    client_reap(c);
}

void client_kick(struct http_fetch_state *s)
{
    struct http_client *c = s->client;
    if (list_is_linked(&s->ready))
        return;
    list_push_back(&c->ready, &s->ready);
    if (!timer_is_running(&c->kick_timer))
        timer_start(c->loop, &c->kick_timer, 0, on_kick);
}

CURL *client_easy_take(struct http_client *c)
{
    if (c->idle_len)
        return c->idle[--c->idle_len];
    CURL *easy = curl_easy_init();
    if (!easy)
        check_out_of_memory(sizeof(easy));
    return easy;
}

void client_easy_give(struct http_client *c, CURL *easy)
{
    if (c->idle_len == CLIENT_EASY_IDLE) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_reset(easy);
    c->idle[c->idle_len++] = easy;
}

static void on_places_timer(struct timer *t)
{
    fair_retry(&container_of(t, struct http_client, places_timer)->places);
}

static void places_refused(struct fair *f)
{
    struct http_client *c = container_of(f, struct http_client, places);
    if (!timer_is_running(&c->places_timer))
        timer_start(c->loop, &c->places_timer, CLIENT_PLACES_MS, on_places_timer);
}

enum err http_client_new(struct loop *loop, const char *resolvers, struct http_client **ret_client,
                         struct error *ret_error)
{
    pthread_once(&global_once, global_init);
    struct http_client *c = calloc(1, sizeof(*c));
    if (!c)
        check_out_of_memory(sizeof(*c));
    c->loop = loop;
    list_init(&c->fetches);
    list_init(&c->ready);
    list_init(&c->sockets);
    list_init(&c->dials);
    list_init(&c->dials_closed);
    enum err err = resolver_new(loop, resolvers, &c->resolver, ret_error);
    if (err) {
        free(c);
        return err;
    }
    fair_init(&c->places, LIMIT_FETCH_CONNECTIONS, RESOURCE_CONNECTIONS, places_refused);
    c->multi = curl_multi_init();
    if (!c->multi)
        check_out_of_memory(sizeof(c->multi));
    CHECK(curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_watch_socket) == CURLM_OK);
    CHECK(curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c) == CURLM_OK);
    CHECK(curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_set_timer) == CURLM_OK);
    CHECK(curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c) == CURLM_OK);
    /* One exchange at a time on a connection, HTTP/2 too: with several streams libcurl 7.88 (Debian
     * 12) loses the end of bodies without an error, and stalls (test_client_server.c,
     * many_at_once). */
    CHECK(curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK);
    /* With those that are idle; curl closes one of them before it would let a transfer wait. */
    CHECK(curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                            (long)(LIMIT_FETCH_CONNECTIONS + CLIENT_CONNECTIONS_IDLE)) == CURLM_OK);
    CHECK(curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)CLIENT_CONNECTIONS_IDLE) ==
          CURLM_OK);
    *ret_client = c;
    return OK;
}

void http_client_set_ca_file(struct http_client *c, const char *path)
{
    c->ca_file = path;
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    while (!list_is_empty(&c->fetches)) {
        struct error error;
        struct http_fetch_state *s = container_of(c->fetches.next, struct http_fetch_state, link);
        (void)error_set(&error, ERR_CANCELLED, "the server is stopping");
        client_fetch_finish(s, &error);
    }
    while (c->idle_len)
        curl_easy_cleanup(c->idle[--c->idle_len]);
    CHECK(curl_multi_cleanup(c->multi) == CURLM_OK);
    dials_close(c);
    SSL_CTX_free(c->tls);
    resolver_free(c->resolver);
    fair_done(&c->places);
    LIST_FOREACH (n, &c->sockets)
        socket_close(container_of(n, struct client_socket, link));
    timer_stop(c->loop, &c->curl_timer);
    timer_stop(c->loop, &c->kick_timer);
    timer_stop(c->loop, &c->places_timer);
    free(c);
}
