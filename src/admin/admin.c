/* SPDX-License-Identifier: Apache-2.0
 *
 * Starting and stopping the control API. An admin is held by its owner and by every request, so
 * that operations in flight at admin_close() find their memory; the last one frees it. */
#include "admin/admin.h"

#include <stdlib.h>
#include <string.h>

#include "admin/access.h"
#include "admin/build_queue.h"
#include "admin/internal.h"
#include "base/log.h"

static enum err check_config(const struct admin_config *config, struct error *ret_error)
{
    if (config->token && config->token[0] == '\0') {
        error_set(ret_error, ERR_INVALID, "the token of the control API is empty");
        error_hint(ret_error, "give --admin-token a long random text, or leave it out");
        return ERR_INVALID;
    }
    if (config->token || access_is_loopback(slice_cstr(config->host)))
        return OK;
    error_set(ret_error, ERR_INVALID, "the control API may not listen on %s without a token",
              config->host);
    error_hint(ret_error, "listen on 127.0.0.1, or set a token (--admin-token or LIMPET_TOKEN)");
    return ERR_INVALID;
}

static void admin_destroy(struct admin *a)
{
    CHECK(list_is_empty(&a->followers) && list_is_empty(&a->durable_ops));
    timer_stop(a->loop, &a->follow_timer);
    build_queue_free(a->builds);
    free(a->token);
    free(a->esbuild);
    free(a->listen_host);
    free(a);
}

void admin_unref(struct admin *a)
{
    CHECK(a->holds > 0);
    if (--a->holds == 0)
        admin_destroy(a);
}

static struct admin *admin_alloc(struct loop *loop, const struct admin_config *config,
                                 struct store *store, const struct admin_host *host)
{
    struct admin *a = calloc(1, sizeof(*a));
    CHECK(a);
    a->loop = loop;
    a->store = store;
    a->asks = (struct asks){.store = store, .loop = loop};
    a->host = *host;
    a->esbuild = config->esbuild ? strdup(config->esbuild) : NULL;
    a->public_port = config->public_port;
    a->is_public_tls = config->is_public_tls;
    a->listen_host = strdup(config->host);
    a->token = config->token ? strdup(config->token) : NULL;
    CHECK(a->listen_host && (a->token || !config->token) && (a->esbuild || !config->esbuild));
    a->holds = 1;
    a->handler = request_http_handler;
    a->handler.ctx = a;
    list_init(&a->followers);
    list_init(&a->durable_ops);
    struct build_queue_config builds = {
        .loop = loop, .store = store, .host = &a->host, .esbuild = a->esbuild};
    a->builds = build_queue_new(&builds);
    return a;
}

enum err admin_new(struct loop *loop, const struct admin_config *config, struct store *store,
                   const struct admin_host *host, struct admin **ret_admin, struct error *ret_error)
{
    enum err err = check_config(config, ret_error);
    if (err)
        return err;
    struct admin *a = admin_alloc(loop, config, store, host);
    struct http_server_config server = {
        .host = config->host,
        .port = config->port,
        .body_bytes_max = ADMIN_UPLOAD_BYTES_MAX,
        .connections_max = ADMIN_CONNECTIONS_MAX,
    };
    err = http_server_new(loop, &server, &a->handler, &a->server, ret_error);
    if (err) {
        admin_destroy(a);
        return err;
    }
    *ret_admin = a;
    return OK;
}

int admin_port(const struct admin *a)
{
    return http_server_port(a->server);
}

/* Requests whose clients have gone may still be read for. */
static void on_answered(void *arg)
{
    struct admin *a = arg;
    if (!a->drain_done)
        return;
    void (*done)(void *) = a->drain_done;
    a->drain_done = NULL;
    done(a->drain_arg);
}

static void drain_step(struct admin *a)
{
    if (a->drain_http_done && a->drain_builds_done && a->drain_done)
        asks_await(&a->asks, on_answered, a);
}

static void on_http_drained(void *arg)
{
    struct admin *a = arg;
    a->drain_http_done = true;
    drain_step(a);
}

static void on_builds_drained(void *arg)
{
    struct admin *a = arg;
    a->drain_builds_done = true;
    if (a->is_closed)
        admin_unref(a);
    else
        drain_step(a);
}

void admin_drain(struct admin *a, void (*done)(void *arg), void *arg)
{
    CHECK(!a->is_draining);
    a->is_draining = true;
    a->drain_done = done;
    a->drain_arg = arg;
    log_followers_end(a, SLICE_EMPTY);
    durable_ops_end_waits(a);
    http_server_drain(a->server, on_http_drained, a);
    build_queue_drain(a->builds, on_builds_drained, a);
}

void admin_close(struct admin *a)
{
    if (!a)
        return;
    a->is_closed = true;
    a->drain_done = NULL;
    http_server_close(a->server);
    a->server = NULL;
    if (!a->drain_builds_done) {
        a->holds++; /* of the builds, until on_builds_drained */
        if (!a->is_draining)
            build_queue_drain(a->builds, on_builds_drained, a);
    }
    admin_unref(a);
}
