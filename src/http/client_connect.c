/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client_connect.h"

#include <stdlib.h>

#include "http/client_internal.h"
#include "http/url.h"

struct client_connect {
    struct http_client *client;
    struct client_connect_config config;
    const struct dial_events *events;
    void *user;
    struct bytes host;
    struct fair_place place;
    struct resolve resolve;
    struct timer timer; /* goes on from the loop; then the limit of waiting for place and name */
    struct dial *dial;
    bool has_place;
};

static void connect_fail(struct client_connect *c, const struct error *error)
{
    timer_stop(c->client->loop, &c->timer);
    c->events->failed(c->user, error);
}

static void connect_dial(struct client_connect *c, struct slice addresses)
{
    timer_stop(c->client->loop, &c->timer);
    c->dial = dial_new(c->client,
                       &(struct dial_config){.addresses = addresses,
                                             .host = bytes_slice(&c->host),
                                             .port = c->config.port,
                                             .is_tls = c->config.is_tls,
                                             .egress = c->config.egress},
                       c->events, c->user);
}

static void on_resolved(struct resolve *r)
{
    struct client_connect *c = container_of(r, struct client_connect, resolve);
    if (r->error.code) {
        struct error e = r->error;
        connect_fail(c, &e);
    } else {
        connect_dial(c, bytes_slice(&r->addresses));
    }
}

static void waited_too_long(struct timer *t)
{
    struct client_connect *c = container_of(t, struct client_connect, timer);
    struct error e;
    (void)error_set(&e, ERR_TIMEOUT, "no connection to '%.*s' (port %d) was free within %d ms",
                    SLICE_ARG(bytes_slice(&c->host)), c->config.port, LIMIT_FETCH_CONNECT_MS);
    connect_fail(c, &e);
}

static void connect_begin(struct timer *t)
{
    struct client_connect *c = container_of(t, struct client_connect, timer);
    struct sockaddr_storage unused;
    struct slice host = bytes_slice(&c->host), bare = host;
    timer_start(c->client->loop, t, LIMIT_FETCH_CONNECT_MS, waited_too_long);
    if (!c->has_place &&
        !fair_enter(&c->client->places, &c->place, c->config.owner, c->config.member))
        return;
    c->has_place = true;
    if (bare.len > 2 && bare.ptr[0] == '[')
        bare = slice_of(bare.ptr + 1, bare.len - 2);
    if (url_address(bare, c->config.port, &unused)) {
        connect_dial(c, host);
        return;
    }
    c->resolve.done = on_resolved;
    c->resolve.owner = c->config.owner;
    c->resolve.member = c->config.member;
    if (resolver_ask(c->client->resolver, &c->resolve, host) == RESOLVE_DONE)
        on_resolved(&c->resolve);
}

static void on_place(struct fair_place *p)
{
    struct client_connect *c = container_of(p, struct client_connect, place);
    c->has_place = true;
    timer_start(c->client->loop, &c->timer, 0, connect_begin);
}

enum err client_connect_new(struct http_client *client, const struct client_connect_config *config,
                            const struct dial_events *events, void *user,
                            struct client_connect **ret_connect, struct error *ret_error)
{
    enum err err = egress_check_domain(config->domains, config->host, config->port, ret_error);
    if (err != OK)
        return err;
    struct client_connect *c = calloc(1, sizeof(*c));
    if (!c)
        check_out_of_memory(sizeof(*c));
    c->client = client;
    c->config = *config;
    c->events = events;
    c->user = user;
    c->place.granted = on_place;
    bytes_append_slice(&c->host, config->host);
    timer_start(client->loop, &c->timer, 0, connect_begin);
    *ret_connect = c;
    return OK;
}

struct dial *client_connect_dial(const struct client_connect *c)
{
    return c->dial;
}

void client_connect_close(struct client_connect *c)
{
    timer_stop(c->client->loop, &c->timer);
    if (c->dial && c->config.owner)
        atomic_fetch_add_explicit(&c->config.owner->meter.egress_bytes, dial_sent(c->dial),
                                  memory_order_relaxed);
    if (c->dial)
        dial_close(c->dial);
    resolver_forget(c->client->resolver, &c->resolve);
    bytes_done(&c->resolve.addresses);
    fair_leave(&c->client->places, &c->place);
    bytes_done(&c->host);
    free(c);
}
