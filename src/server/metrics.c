/* SPDX-License-Identifier: Apache-2.0
 *
 * See metrics.h. Format: https://prometheus.io/docs/instrumenting/exposition_formats/ */
#include "server/metrics.h"

#include <stdio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/module_name.h"
#include "cache/cache.h"
#include "host/database.h"
#include "server/accounts.h"
#include "server/worker.h"
#include "store/store.h"

#include "limpet_deps.h"

static const uint64_t bounds_us[METRICS_BUCKETS] = METRICS_BUCKETS_US;

void metrics_answered(struct worker_metrics *m, int status, uint64_t elapsed_ns)
{
    uint64_t us = elapsed_ns / 1000;
    int class = status >= 100 && status <= 599 ? status / 100 : 0, k = 0;
    while (k < METRICS_BUCKETS && us > bounds_us[k])
        k++;
    metric_add(&m->requests[class], 1);
    metric_add(&m->latency[k], 1);
    metric_add(&m->latency_us_sum, us);
}

void metrics_late(void *ctx, int64_t us)
{
    struct lateness *l = ctx;
    uint64_t late = us > 0 ? (uint64_t)us : 0;
    int k = 0;
    while (k < METRICS_BUCKETS && late > bounds_us[k])
        k++;
    metric_add(&l->buckets[k], 1);
    metric_add(&l->us_sum, late);
}

/* Sum over all workers of the counter at an offset of struct worker_metrics. */
static uint64_t sum(const struct server *s, size_t offset)
{
    uint64_t total = 0;
    for (size_t k = 0; k < s->workers_len; k++) {
        const char *m = (const char *)&s->workers[k]->metrics;
        total += atomic_load_explicit((const _Atomic uint64_t *)(m + offset), memory_order_relaxed);
    }
    return total;
}

#define AT(field) offsetof(struct worker_metrics, field)

static void head(struct bytes *out, const char *name, const char *type, const char *help)
{
    bytes_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct bytes *out, const char *name, const char *type, const char *help,
                double value)
{
    head(out, name, type, help);
    bytes_printf(out, "%s %.17g\n", name, value);
}

static void histogram(struct bytes *out, const char *name, const char *help,
                      const uint64_t counts[METRICS_BUCKETS + 1], uint64_t us_sum)
{
    uint64_t total = 0;
    head(out, name, "histogram", help);
    for (size_t k = 0; k <= METRICS_BUCKETS; k++) {
        total += counts[k];
        if (k < METRICS_BUCKETS)
            bytes_printf(out, "%s_bucket{le=\"%g\"} %llu\n", name, (double)bounds_us[k] / 1e6,
                         (unsigned long long)total);
    }
    bytes_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.6f\n%s_count %llu\n", name,
                 (unsigned long long)total, name, (double)us_sum / 1e6, name,
                 (unsigned long long)total);
}

static void write_requests(const struct server *s, struct bytes *out)
{
    static const char *const classes[] = {"broken_off", "1xx", "2xx", "3xx", "4xx", "5xx"};
    head(out, "limpet_http_requests_total", "counter", "Public requests by status class.");
    for (size_t k = 0; k < ARRAY_LEN(classes); k++)
        bytes_printf(out, "limpet_http_requests_total{class=\"%s\"} %llu\n", classes[k],
                     (unsigned long long)sum(s, AT(requests) + k * sizeof(uint64_t)));
    uint64_t counts[METRICS_BUCKETS + 1];
    for (size_t k = 0; k <= METRICS_BUCKETS; k++)
        counts[k] = sum(s, AT(latency) + k * sizeof(uint64_t));
    histogram(out, "limpet_http_request_seconds",
              "From the request's headers to the end of its answer.", counts,
              sum(s, AT(latency_us_sum)));
}

static void write_queues(const struct server *s, struct bytes *out)
{
    one(out, "limpet_queue_delivered_total", "counter", "Messages given to consumers.",
        (double)atomic_load(&s->queues.delivered));
    one(out, "limpet_queue_batches_total", "counter", "Calls of queue() handlers.",
        (double)atomic_load(&s->queues.batches));
    one(out, "limpet_queue_acked_total", "counter", "Messages acknowledged.",
        (double)atomic_load(&s->queues.acked));
    one(out, "limpet_queue_retried_total", "counter", "Messages to be delivered again.",
        (double)atomic_load(&s->queues.retried));
    one(out, "limpet_queue_dead_total", "counter", "Messages that failed too often.",
        (double)atomic_load(&s->queues.dead));
}

static void write_schedules(const struct server *s, struct bytes *out)
{
    uint64_t counts[METRICS_BUCKETS + 1];
    const struct lateness *l = &s->schedule_lateness;
    for (size_t k = 0; k <= METRICS_BUCKETS; k++)
        counts[k] = atomic_load_explicit(&l->buckets[k], memory_order_relaxed);
    histogram(out, "limpet_schedule_lateness_seconds",
              "How long after their time (and jitter) scheduled runs were started.", counts,
              atomic_load_explicit(&l->us_sum, memory_order_relaxed));
    one(out, "limpet_schedule_started_total", "counter", "Runs that schedules have started.",
        (double)atomic_load(&s->schedules.started));
    one(out, "limpet_schedule_skipped_total", "counter", "Times for which nothing was started.",
        (double)atomic_load(&s->schedules.skipped));
    one(out, "limpet_schedule_failed_total", "counter",
        "Scheduled runs that failed each time, or could not be started.",
        (double)atomic_load(&s->schedules.failed));
    one(out, "limpet_schedule_calls_total", "counter", "Calls of scheduled() handlers.",
        (double)atomic_load(&s->schedules.tries));
}

static void write_durable(const struct server *s, struct bytes *out)
{
    uint64_t counts[METRICS_BUCKETS + 1];
    const struct lateness *l = &s->wake_lateness;
    for (size_t k = 0; k <= METRICS_BUCKETS; k++)
        counts[k] = atomic_load_explicit(&l->buckets[k], memory_order_relaxed);
    histogram(out, "limpet_wake_lateness_seconds",
              "How long after their time suspended executions were woken.", counts,
              atomic_load_explicit(&l->us_sum, memory_order_relaxed));
    one(out, "limpet_journal_records_total", "counter", "Records stored.",
        (double)sum(s, AT(flow.records)));
    one(out, "limpet_replays_total", "counter", "Executions brought back by replay.",
        (double)sum(s, AT(flow.replays)));
    one(out, "limpet_verified_replays_total", "counter", "Replays compared by --verify-replay.",
        (double)atomic_load(&s->flow.verified));
    one(out, "limpet_verify_failures_total", "counter", "Of those, how many differed.",
        (double)atomic_load(&s->flow.verify_failures));
    head(out, "limpet_snapshots_total", "counter", "Snapshots of suspended executions.");
    bytes_printf(out, "limpet_snapshots_total{what=\"taken\"} %llu\n",
                 (unsigned long long)sum(s, AT(flow.snapshots_taken)));
    bytes_printf(out, "limpet_snapshots_total{what=\"used\"} %llu\n",
                 (unsigned long long)sum(s, AT(flow.snapshots_used)));
    bytes_printf(out, "limpet_snapshots_total{what=\"refused\"} %llu\n",
                 (unsigned long long)sum(s, AT(flow.snapshots_refused)));
}

/* /proc/self/statm: total and resident size in pages (proc(5)). */
static double resident_bytes(void)
{
    char text[128] = "";
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f)
        return 0;
    if (!fgets(text, sizeof(text), f))
        text[0] = '\0';
    fclose(f);
    struct slice rest = slice_cstr(text);
    uint64_t pages = 0;
    (void)slice_split(&rest, ' ');
    if (!slice_to_u64(slice_split(&rest, ' '), &pages))
        return 0;
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* ---- budgets and meters ---- */

/* One number of each module: a counter of its account. per: how many are one of the series' unit. */
struct account_series {
    const char *name, *type, *help;
    size_t at;
    double per;
};
#define METER(counter) offsetof(struct account, meter.counter)
#define HELD(resource) offsetof(struct account, budgets[RESOURCE_##resource].used)
_Static_assert(sizeof(((struct budget *)0)->used) == sizeof(((struct meter *)0)->requests),
               "budgets and meters count in the same type");

static const struct account_series account_series[] = {
    {"limpet_module_requests_total", "counter", "Requests and executions that a guest took.",
     METER(requests), 1},
    {"limpet_module_cpu_seconds_total", "counter", "Time of engine threads used by its guests.",
     METER(cpu_ns), 1e9},
    {"limpet_module_memory_byte_seconds_total", "counter", "Memory held, over time.",
     METER(memory_byte_ms), 1e3},
    {"limpet_module_egress_bytes_total", "counter", "Bytes of answers and of its requests.",
     METER(egress_bytes), 1},
    {"limpet_module_memory_held_bytes", "gauge",
     "Its image, its guests and what is buffered for them.", HELD(MEMORY), 1},
    {"limpet_module_isolates", "gauge", "Its isolates, at work and idle.", HELD(ISOLATES), 1},
    {"limpet_module_connections", "gauge", "Its outgoing connections in use.", HELD(CONNECTIONS),
     1},
    {"limpet_module_lookups", "gauge", "Its look-ups of names under way.", HELD(LOOKUPS), 1},
    {"limpet_module_disk_bytes", "gauge", "Its database, executions and versions.", HELD(DISK), 1},
};

struct account_writer {
    struct bytes *out;
    const struct account_series *series;
};

static void write_account(void *arg, struct slice name, struct account *of)
{
    const struct account_writer *w = arg;
    const char *at = (const char *)of + w->series->at;
    uint64_t value =
        atomic_load_explicit((const _Atomic uint64_t *)(const void *)at, memory_order_relaxed);
    struct module_name n = module_name_split(name);
    bytes_printf(w->out, "%s{", w->series->name);
    if (!namespace_is_default(n.space)) /* the series of the default one are as they always were */
        bytes_printf(w->out, "namespace=\"%.*s\",", SLICE_ARG(n.space));
    bytes_printf(w->out, "module=\"%.*s\"} %.17g\n", SLICE_ARG(n.name),
                 (double)value / w->series->per);
}

static void write_namespace(void *arg, struct slice name, struct account *of)
{
    bytes_printf(arg, "limpet_namespace_memory_held_bytes{namespace=\"%.*s\"} %zu\n",
                 SLICE_ARG(name), budget_used(&of->budgets[RESOURCE_MEMORY]));
}

static void write_accounts(const struct server *s, struct bytes *out)
{
    const struct budget *memory = &accounts_server(s->accounts)->budgets[RESOURCE_MEMORY];
    one(out, "limpet_memory_held_bytes", "gauge",
        "Images of functions, guests and what is buffered for them.", (double)budget_used(memory));
    one(out, "limpet_memory_max_bytes", "gauge", "What they may hold together: --memory-max.",
        (double)atomic_load_explicit(&memory->max, memory_order_relaxed));
    for (size_t k = 0; k < ARRAY_LEN(account_series); k++) {
        struct account_writer w = {out, &account_series[k]};
        head(out, w.series->name, w.series->type, w.series->help);
        accounts_each(s->accounts, write_account, &w);
    }
    head(out, "limpet_namespace_memory_held_bytes", "gauge",
         "Guests of all its modules and what is buffered for them.");
    accounts_each_namespace(s->accounts, write_namespace, out);
}

static void write_cache(const struct server *s, struct bytes *out)
{
    struct http_cache_figures f;
    http_cache_figures(s->cache, &f);
    head(out, "limpet_cache_matches_total", "counter", "Look-ups in caches of code.");
    bytes_printf(out, "limpet_cache_matches_total{found=\"yes\"} %llu\n",
                 (unsigned long long)f.hits);
    bytes_printf(out, "limpet_cache_matches_total{found=\"no\"} %llu\n",
                 (unsigned long long)f.misses);
    one(out, "limpet_cache_puts_total", "counter", "Responses put into caches.", (double)f.puts);
    one(out, "limpet_cache_refused_total", "counter",
        "Responses that there was no room for in a quota.", (double)f.refusals);
    one(out, "limpet_cache_evicted_total", "counter",
        "Responses that made room for others before they were stale.", (double)f.evictions);
    one(out, "limpet_cache_responses", "gauge", "Responses that are kept.", (double)f.responses);
    one(out, "limpet_cache_bytes", "gauge", "Their bodies.", (double)f.bytes);
}

void metrics_write(const struct server *s, struct bytes *out)
{
    write_requests(s, out);
    write_accounts(s, out);
    write_durable(s, out);
    write_schedules(s, out);
    write_queues(s, out);
    write_cache(s, out);
    one(out, "limpet_calls_total", "counter",
        "Calls from module to module, and of clients from thread to thread.",
        (double)sum(s, AT(calls)));
    one(out, "limpet_executes_total", "counter", "Runs through the API.",
        (double)sum(s, AT(executes)));
    one(out, "limpet_overloads_total", "counter",
        "Requests answered 503 because no isolate was free.", (double)sum(s, AT(overloads)));
    one(out, "limpet_guest_deaths_total", "counter",
        "Isolates ended by a limit, a trap or a time-out.", (double)sum(s, AT(guest_deaths)));
    head(out, "limpet_isolates", "gauge", "Isolates that exist.");
    uint64_t live = sum(s, AT(isolates_live)), idle = sum(s, AT(isolates_idle));
    bytes_printf(out, "limpet_isolates{state=\"pooled\"} %llu\n", (unsigned long long)idle);
    bytes_printf(out, "limpet_isolates{state=\"live\"} %llu\n",
                 (unsigned long long)(live > idle ? live - idle : 0));
    one(out, "limpet_functions_warm", "gauge",
        "Functions and workflows with their image in memory, counted once for each thread.",
        (double)sum(s, AT(warm)));
    head(out, "limpet_images_total", "counter", "Images that were brought to memory.");
    bytes_printf(out, "limpet_images_total{from=\"disk\"} %llu\n",
                 (unsigned long long)atomic_load(&s->images_read));
    bytes_printf(out, "limpet_images_total{from=\"bundle\"} %llu\n",
                 (unsigned long long)atomic_load(&s->images_made));
    struct databases_count databases = databases_count(s->databases);
    one(out, "limpet_databases_open", "gauge", "Databases of modules that are open.",
        (double)databases.open);
    one(out, "limpet_database_connections", "gauge", "Connections to them.",
        (double)databases.connections);
    one(out, "limpet_database_descriptors", "gauge", "File descriptors that they need.",
        (double)databases.descriptors);
    one(out, "limpet_databases_opened_total", "counter", "Databases opened.",
        (double)databases.opened);
    one(out, "limpet_requests_waiting", "gauge", "Requests that wait for an isolate.",
        (double)sum(s, AT(waiting)));
    one(out, "limpet_egress_refused_total", "counter",
        "Requests of code that an egress rule of its namespace refused.",
        (double)sum(s, AT(egress_refusals)));
    one(out, "limpet_isolates_made_total", "counter", "Isolates made.",
        (double)sum(s, AT(isolates_made)));
    one(out, "limpet_isolates_discarded_total", "counter", "Isolates freed.",
        (double)sum(s, AT(isolates_discarded)));
    one(out, "limpet_restores_total", "counter", "Isolates made pristine again.",
        (double)sum(s, AT(restores)));
    one(out, "limpet_restore_seconds_total", "counter", "Time spent making isolates pristine.",
        (double)sum(s, AT(restore_ns)) / 1e9);
    one(out, "limpet_ops_total", "counter", "Host operations that guests asked for.",
        (double)sum(s, AT(ops)));
    one(out, "limpet_connections", "gauge", "Open public connections.",
        (double)sum(s, AT(connections)));
    struct store_stats store;
    store_stats(s->store, &store);
    one(out, "limpet_store_commits_total", "counter", "Commits of the metadata store.",
        (double)store.commits);
    one(out, "limpet_store_mutations_total", "counter", "Mutations in those commits.",
        (double)store.mutations);
    one(out, "limpet_store_commit_seconds_total", "counter", "Time spent in commits.",
        (double)store.commit_ns_total / 1e9);
    one(out, "limpet_store_queued", "gauge", "Mutations that wait for a commit.",
        (double)store.queued);
    one(out, "limpet_store_refusing", "gauge", "1 while the store cannot commit.",
        store.is_refusing);
    one(out, "limpet_logs_dropped_total", "counter", "Log lines dropped under pressure.",
        (double)store.logs_dropped);
    one(out, "limpet_crate_panics_total", "counter",
        "Panics in crates, caught; each refused one call.", (double)deps_panics());
    one(out, "limpet_memory_resident_bytes", "gauge", "Resident memory of the process.",
        resident_bytes());
    one(out, "limpet_uptime_seconds", "gauge", "Since the start.",
        (double)(clock_monotonic_ns() - s->started_ns) / 1e9);
}
