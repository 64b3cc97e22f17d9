/* SPDX-License-Identifier: Apache-2.0
 *
 * /healthz and /metrics: the control API's and the builds' figures, then those of the rest of the
 * server, the store's among them (admin_host.metrics). */
#include "admin/build_queue.h"
#include "admin/internal.h"

void health_show(struct admin_request *r)
{
    struct store_stats stats;
    struct error error = {0};
    store_stats(r->admin->store, &stats);
    if (r->admin->is_draining) {
        error_set(&error, ERR_UNAVAILABLE, "the server is stopping");
        error_hint(&error, "wait until it is back");
    } else if (stats.is_refusing) {
        error_set(&error, ERR_UNAVAILABLE, "the store could not write its last commit");
        error_hint(&error, "look for a full or failing disk; see the server's log");
    }
    if (error.code) {
        reply_error(r, &error);
        return;
    }
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "status");
    json_cstr(&w, "ok");
    json_key(&w, "version");
    json_cstr(&w, LIMPET_VERSION);
    json_close(&w, '}');
    reply_json(r, 200, &body);
}

static void head(struct bytes *out, const char *name, const char *type, const char *help)
{
    bytes_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void number(struct bytes *out, const char *name, const char *type, const char *help,
                   uint64_t value)
{
    head(out, name, type, help);
    bytes_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void seconds(struct bytes *out, const char *name, const char *help, double value)
{
    head(out, name, "counter", help);
    bytes_printf(out, "%s %.6f\n", name, value);
}

static void admin_metrics(const struct admin *a, struct bytes *out)
{
    head(out, "limpet_admin_requests_total", "counter",
         "Answers of the control API by status class");
    for (int i = 1; i <= 5; i++)
        bytes_printf(out, "limpet_admin_requests_total{status=\"%dxx\"} %llu\n", i,
                     (unsigned long long)a->requests[i]);
    number(out, "limpet_admin_connections", "gauge", "Open connections of the control API",
           http_server_connections(a->server));
    number(out, "limpet_audit_dropped_total", "counter",
           "Refused operations that the audit log has no row of: more than a few a second",
           a->audit_dropped);
    number(out, "limpet_log_followers", "gauge", "Open log streams", a->followers_count);
    head(out, "limpet_executions_total", "counter", "Runs through the control API by result");
    bytes_printf(out,
                 "limpet_executions_total{status=\"success\"} %llu\n"
                 "limpet_executions_total{status=\"failure\"} %llu\n",
                 (unsigned long long)a->executions_success,
                 (unsigned long long)a->executions_failure);
    number(out, "limpet_executions_running", "gauge", "Runs through the control API in flight",
           a->executes);
}

/* Likewise, by kind. */
static void resource_metrics(struct admin_request *r, struct bytes *out)
{
    struct store_query q = {.kind = STORE_QUERY_RESOURCE_COUNTS};
    if (request_read(r, &q, NULL))
        return;
    static const char *const names[] = {"limpet_resources", "limpet_resource_items",
                                        "limpet_resource_stored_bytes"};
    static const char *const helps[] = {"KV namespaces and the like, by kind",
                                        "What they hold, keys for example", "Bytes of that"};
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        head(out, names[n], "gauge", helps[n]);
        for (unsigned k = 0; k < RESOURCE_KINDS; k++) {
            const struct resource_counts *c = &q.resource_counts.counts[k];
            const int64_t values[] = {c->count, c->items, c->bytes};
            bytes_printf(out, "%s{kind=\"%s\"} %lld\n", names[n], resource_kinds[k].word,
                         (long long)values[n]);
        }
    }
}

/* Executions of workflows by state, kept by the store. Nothing when it cannot be read: a gauge that
 * shows 0 would be a lie. */
static void durable_metrics(struct admin_request *r, struct bytes *out)
{
    const struct admin *a = r->admin;
    struct store_query q = {.kind = STORE_QUERY_DURABLE_COUNTS};
    if (request_read(r, &q, NULL))
        return;
    struct durable_counts counts = q.durable_counts.counts;
    head(out, "limpet_workflow_executions", "gauge", "Executions of workflows by status");
    for (int i = DURABLE_QUEUED; i <= DURABLE_CANCELLED; i++)
        bytes_printf(out, "limpet_workflow_executions{status=\"%s\"} %lld\n",
                     durable_status_text((enum durable_status)i), (long long)counts.by_status[i]);
    number(out, "limpet_workflow_executions_paused", "gauge", "Executions of workflows on hold",
           (uint64_t)counts.paused);
    number(out, "limpet_workflow_requests", "gauge",
           "Requests of the control API about executions in flight, waiting ones included",
           a->durable_ops_count);
}

static void build_metrics(const struct admin *a, struct bytes *out)
{
    struct build_queue_stats s;
    build_queue_stats(a->builds, &s);
    head(out, "limpet_builds_total", "counter", "Builds that ended by result");
    bytes_printf(out,
                 "limpet_builds_total{status=\"ready\"} %llu\n"
                 "limpet_builds_total{status=\"failed\"} %llu\n"
                 "limpet_builds_total{status=\"lost\"} %llu\n",
                 (unsigned long long)s.ready, (unsigned long long)s.failed,
                 (unsigned long long)s.lost);
    seconds(out, "limpet_build_seconds_total", "Time of builds from upload to end",
            (double)s.build_us_total / 1e6);
    number(out, "limpet_builds_queued", "gauge", "Builds that wait for their turn", s.queued);
    number(out, "limpet_builds_running", "gauge", "Builds that run", s.running);
}

void metrics_show(struct admin_request *r)
{
    struct admin *a = r->admin;
    struct bytes body = BYTES_INIT;
    head(&body, "limpet_info", "gauge", "The running version");
    bytes_printf(&body, "limpet_info{version=\"%s\"} 1\n", LIMPET_VERSION);
    admin_metrics(a, &body);
    durable_metrics(r, &body);
    resource_metrics(r, &body);
    build_metrics(a, &body);
    a->host.metrics(a->host.ctx, &body);
    reply_with(r, 200, NULL, 0, "text/plain; version=0.0.4; charset=utf-8", &body);
}
