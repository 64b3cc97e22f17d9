/* SPDX-License-Identifier: Apache-2.0
 *
 * `limpet serve`: opens everything in order, runs until a signal, closes everything in reverse. */
#include "server/serve.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "cache/cache.h"
#include "flow/witness.h"
#include "host/database.h"
#include "host/runtimes.h"
#include "host/sql.h"
#include "http/client.h"
#include "http/egress.h"
#include "http/server.h"
#include "module/runtimes.h"
#include "server/accounts.h"
#include "server/control.h"
#include "server/rates.h"
#include "server/worker.h"
#include "store/store.h"

#include "limpet_deps.h"

enum {
    DATABASE_CONNECTIONS_SPARE = 7, /* beside one for each thread: with statements that take long */
    DATABASE_DESCRIPTORS_MIN = 64,
    DATABASE_DESCRIPTORS_MAX = 4096,
};

/* The runtimes as they have started, embedded (host/boot_main.c). */
extern const char limpet_booted[];
extern const uint64_t limpet_booted_len;

/* A fault of a crate's, met by someone's input: the call was refused, nothing else happened. */
static void on_crate_panic(const char *text, size_t len)
{
    log_error(
        "a crate panicked and was caught; further ones are counted in limpet_crate_panics_total",
        LOG_SLICE("panic", slice_of(text, len)));
}

static enum err open_egress(struct server *s, struct error *ret_error)
{
    s->egress = egress_new();
    for (int k = 0; k < s->config.egress_allow_len; k++) {
        enum err err = egress_allow(s->egress, slice_cstr(s->config.egress_allow[k]), ret_error);
        if (err != OK)
            return error_context(ret_error, err, "--egress-allow %s", s->config.egress_allow[k]);
    }
    return OK;
}

static struct witness *fallen;

static void note_fall(void)
{
    if (fallen)
        witness_fell(fallen);
}

/* Wasmtime takes the signals of traps and hands on what is none of its own. */
static void on_fault(int number)
{
    note_fall();
    (void)signal(number, SIG_DFL); /* and it comes again */
    (void)raise(number);
}

static void watch_faults(struct witness *w)
{
    static const int faults[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK};
    fallen = w;
#ifdef LIMPET_CRASH_POINTS
    crash_mark = note_fall;
#endif
    for (size_t k = 0; w && k < ARRAY_LEN(faults); k++)
        (void)sigaction(faults[k], &action, NULL);
}

/* Without it nothing is parked, but everything runs: on a disk that is full, say. */
static void open_witness(struct server *s)
{
    const struct config *c = &s->config;
    unsigned n = (unsigned)c->threads;
    char path[PATH_MAX];
    struct error e;
    snprintf(path, sizeof(path), "%s/.running", c->sql_dir);
    /* Those that have an isolate, and those whose last records are on their way. */
    unsigned slots = 2 * ((c->isolates_max + n - 1) / n);
    slots = slots < WITNESS_SLOTS_MAX ? slots : WITNESS_SLOTS_MAX;
    if (witness_open(path, n, slots, &s->suspects, &s->witness, &e) != OK)
        log_warn("it is not noted which executions run; should one end the server, it is not found",
                 LOG_STR("error", e.message));
    watch_faults(s->witness);
}

static struct account *accounts_get(void *accounts, struct slice module)
{
    return accounts_module(accounts, module);
}

static struct account *accounts_get_space(void *accounts, struct slice name)
{
    return accounts_namespace(accounts, name);
}

static enum err server_open(struct server *s, struct error *ret_error)
{
    struct config *c = &s->config;
    s->accounts = accounts_new(c);
    s->images = images_new();
    s->rates = rates_new();
    if (!c->esbuild)
        c->esbuild = c->owned[1] = runtime_type_find(SLICE_EMPTY)->find_tool();
    struct store_config store = {.accounts = {accounts_get, accounts_get_space, s->accounts},
                                 .url = c->database_url,
                                 .data_dir = c->data_dir,
                                 .artifact_dir = c->artifact_dir,
                                 .audit_keep_us = (int64_t)c->audit_keep_s * 1000000,
                                 .audit_rows_max = c->audit_rows,
                                 .secret_key = c->secret_key,
                                 .durable_keep_us = (int64_t)c->keep_s * 1000000};
    struct databases_config databases = {
        .bytes_max = (uint64_t)c->database_bytes_max,
        .connections_max = (unsigned)c->threads + DATABASE_CONNECTIONS_SPARE,
        .descriptors_max = c->database_descriptors,
    };
    enum err err = store_open(&store, &s->store, ret_error);
    c->secret_key = NULL;
    unsetenv("LIMPET_SECRET_KEY"); /* it is nobody's business from here on, nor a child's */
    if (err == OK && mkdir(c->sql_dir, 0700) != 0 && errno != EEXIST)
        err = error_set(ret_error, ERR_IO, "cannot make the folder %s: %s", c->sql_dir,
                        strerror(errno));
    if (err == OK)
        err = sql_bound_disk(c->sql_dir, (uint64_t)c->disk_reserve_bytes, ret_error);
    if (err == OK)
        err = http_cache_new(c->cache_dir, &s->cache, ret_error);
    if (err == OK)
        open_witness(s);
    if (err == OK)
        err = open_egress(s, ret_error);
    if (err == OK && c->tls_cert)
        err = tls_context_new(c->tls_cert, c->tls_key, &s->tls, ret_error);
    if (err == OK && c->ca_file)
        err = http_ca_file_check(c->ca_file, ret_error);
    if (err == OK)
        err = runtimes_start(slice_of(limpet_booted, limpet_booted_len), &s->runtimes, ret_error);
    s->databases = databases_new(&databases);
    if (err == OK)
        err = control_new(s, &s->control, ret_error);
    return err;
}

static void server_close(struct server *s)
{
    control_free(s->control);
    runtimes_stop(s->runtimes);
    tls_context_free(s->tls);
    egress_free(s->egress);
    databases_free(s->databases);
    http_cache_free(s->cache);
    fallen = NULL;
    witness_close(s->witness);
    bytes_done(&s->suspects);
    if (s->store)
        store_close(s->store);
    images_free(s->images);
    rates_free(s->rates);
    accounts_free(s->accounts);
    config_done(&s->config);
}

/* Programs that start us wait for these lines; a human sees where to go. */
static void announce(void *arg)
{
    const struct server *s = arg;
    const struct config *c = &s->config;
    bool is_v6 = strchr(c->http_host, ':');
    printf("limpet: admin http://%s:%d\n", c->admin_host, control_admin_port(s->control));
    printf("limpet: http %s://%s%s%s:%d\n", c->tls_cert ? "https" : "http", is_v6 ? "[" : "",
           c->http_host, is_v6 ? "]" : "", worker_port(s->workers[0]));
    printf("limpet: ready\n");
    fflush(stdout);
    if (!c->esbuild)
        log_warn("esbuild was not found: uploads of sources will fail; install it or give "
                 "--esbuild FILE");
}

/* Connections leave descriptors to files (databases, images, artifacts) and to outgoing requests: a
 * quarter of what the process may have, and at least 128; half of that is for databases. */
static void keep_descriptors(struct config *c)
{
    c->database_descriptors = DATABASE_DESCRIPTORS_MIN;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    if (files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) != 0 || getrlimit(RLIMIT_NOFILE, &files) != 0)
            return;
    }
    uint64_t kept = files.rlim_cur / 4 > 128 ? files.rlim_cur / 4 : 128;
    c->database_descriptors =
        kept / 2 < DATABASE_DESCRIPTORS_MAX ? (uint32_t)(kept / 2) : DATABASE_DESCRIPTORS_MAX;
    uint64_t most = files.rlim_cur > kept + 16 ? files.rlim_cur - kept : 16;
    if (c->connections_max <= most)
        return;
    log_warn("fewer connections than --connections-max: descriptors are limited",
             LOG_INT("descriptors", (int64_t)files.rlim_cur),
             LOG_INT("connections", (int64_t)most));
    c->connections_max = (uint32_t)most;
}

int serve_main(int argc, char **argv)
{
    struct error error;
    struct server s = {.started_ns = clock_monotonic_ns()};
    if (config_parse(argc - 1, argv + 1, &s.config, &error) != OK) {
        fprintf(stderr, "error: %s\nhint: %s\n", error.message, error.hint);
        return 2;
    }
    if (s.config.is_help) {
        fputs(config_usage, stdout);
        config_done(&s.config);
        return 0;
    }
    log_set_level(s.config.is_verbose ? LOG_DEBUG : LOG_INFO);
    crash_init();
    deps_on_panic(on_crate_panic);
    setenv("UV_THREADPOOL_SIZE", "16", 0); /* builds must not starve syncs; read at first use */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of the write, not our end */
    keep_descriptors(&s.config);
    enum err err = server_open(&s, &error);
    if (err == OK)
        err = control_run(s.control, announce, &s, &error);
    if (err != OK) {
        fprintf(stderr, "error: %s\n", error.message);
        if (error.hint[0])
            fprintf(stderr, "hint: %s\n", error.hint);
    }
    server_close(&s);
    return err == OK ? 0 : 1;
}
