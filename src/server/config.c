/* SPDX-License-Identifier: Apache-2.0
 *
 * Flags of `limpet serve`, one table. Every flag may be written --flag VALUE or --flag=VALUE. */
#include "server/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "server/accounts.h"
#include "store/store.h"

const char config_usage[] =
    "usage: limpet serve [flags]\n"
    "\n"
    "  --addr HOST:PORT         admin API (default 127.0.0.1:8888)\n"
    "  --http HOST:PORT         public traffic (default 127.0.0.1:8080)\n"
    "  --data-dir DIR           everything on disk (default $LIMPET_DATA_DIR or the folder of a "
    "SQLite\n"
    "                           database, ./data)\n"
    "  --database-url URL       metadata (default $DATABASE_URL or sqlite:DIR/db.sqlite)\n"
    "  --artifact-dir DIR       bundles and images (default $ARTIFACT_DIR or DIR/artifacts)\n"
    "  --threads N              engine threads (default: one a core)\n"
    "  --tls-cert FILE --tls-key FILE  serve public traffic over TLS\n"
    "  --admin-token TOKEN      ask for it on the admin API (default $LIMPET_TOKEN); needed off "
    "loopback\n"
    "  --egress-allow RULE      let functions reach HOST[:PORT] or CIDR although it is private; "
    "repeatable\n"
    "  --resolver LIST          name servers for outgoing requests, such as "
    "192.0.2.1,[2001:db8::1]:53"
    "\n"
    "                           (default: those of /etc/resolv.conf)\n"
    "  --ca-file FILE           certificate authorities (PEM) that outgoing requests trust "
    "(default "
    "$SSL_CERT_FILE\n"
    "                           or the system's)\n"
    "  --esbuild FILE           the bundler (default: found beside the program or in PATH)\n"
    "  --isolates-max N         live isolates (default 2048)\n"
    "  --rest-ms N              a function not called for so long gives back its memory (default "
    "20000)\n"
    "  --queue-max N            requests waiting for an isolate; 503 above (default 1024)\n"
    "  --connections-max N      open connections (default 10000)\n"
    "  --body-max BYTES         request bodies; 413 above (default: no limit, bodies stream)\n"
    "  --database-max BYTES     what one function or workflow that has no quota may have on disk: "
    "its "
    "database,\n"
    "                           executions, versions (default 10 GiB)\n"
    "  --disk-reserve BYTES     of the data folder's disk, that functions may not fill (default "
    "256 "
    "MiB)\n"
    "  --memory-max BYTES       guests and what is buffered for them; newcomers wait, then get 503 "
    "(default: 70 % of the machine or cgroup)\n"
    "  --namespace-memory-max BYTES  of one namespace that has no quota (default: all)\n"
    "  --module-memory-max BYTES  of one function or workflow that has no quota (default: three "
    "quarters of --memory-max)\n"
    "  --head-timeout-ms N --idle-timeout-ms N --body-timeout-ms N  slow and idle clients\n"
    "  --websocket-message-max N  bytes of a WebSocket's message that comes (default 33554432)\n"
    "  --build-cpu-ms N         CPU time of top-level code, once a build (default 10000)\n"
    "  --snapshot-after N       snapshot an execution that is suspended when so many records are "
    "new (default 16)\n"
    "  --verify-replay          for debugging: replay each execution that leaves memory and "
    "compare\n"
    "  --keep-s N seconds that finished executions of workflows are kept (default a "
    "week)\n"
    "  --audit-keep-s N         seconds that rows of the audit log are kept (default: for good)\n"
    "  --audit-rows N           how many of them are kept (default: all)\n"
    "  --grace-ms N             time for running requests at a stop (default 30000)\n"
    "  --expose-errors          public clients get the text of uncaught exceptions (default "
    "$LIMPET_EXPOSE_ERRORS or: a request id, under which the log has it)\n"
    "  --verbose                log more\n";

enum { MEMORY_BYTES_MIN = 16 * 1024 * 1024, MEMORY_PERCENT = 70 };

enum kind { TEXT, ADDRESS, NUMBER32, NUMBER64, INTEGER, RULE, FLAG };

struct flag {
    const char *name;
    enum kind kind;
    size_t offset, port_offset;
    long long min, max;
};

#define AT(field) offsetof(struct config, field)
static const struct flag flags[] = {
    {"addr", ADDRESS, AT(admin_host), AT(admin_port), 0, 0},
    {"http", ADDRESS, AT(http_host), AT(http_port), 0, 0},
    {"database-url", TEXT, AT(database_url), 0, 0, 0},
    {"data-dir", TEXT, AT(data_dir), 0, 0, 0},
    {"artifact-dir", TEXT, AT(artifact_dir), 0, 0, 0},
    {"tls-cert", TEXT, AT(tls_cert), 0, 0, 0},
    {"tls-key", TEXT, AT(tls_key), 0, 0, 0},
    {"admin-token", TEXT, AT(admin_token), 0, 0, 0},
    {"esbuild", TEXT, AT(esbuild), 0, 0, 0},
    {"resolver", TEXT, AT(resolver), 0, 0, 0},
    {"ca-file", TEXT, AT(ca_file), 0, 0, 0},
    {"threads", INTEGER, AT(threads), 0, 1, 256},
    {"egress-allow", RULE, 0, 0, 0, 0},
    {"isolates-max", NUMBER32, AT(isolates_max), 0, 1, 30000},
    {"rest-ms", NUMBER32, AT(rest_ms), 0, 1, 1000000000},
    {"queue-max", NUMBER32, AT(queue_max), 0, 0, 1000000},
    {"connections-max", NUMBER32, AT(connections_max), 0, 1, 1000000},
    {"body-max", NUMBER64, AT(body_bytes_max), 0, 0, INT64_MAX},
    {"database-max", NUMBER64, AT(database_bytes_max), 0, MODULE_DISK_BYTES_MIN, INT64_MAX},
    {"disk-reserve", NUMBER64, AT(disk_reserve_bytes), 0, 0, INT64_MAX},
    {"memory-max", NUMBER64, AT(memory_bytes_max), 0, MEMORY_BYTES_MIN, INT64_MAX},
    {"namespace-memory-max", NUMBER64, AT(namespace_memory_bytes_max), 0, MODULE_MEMORY_BYTES_MIN,
     INT64_MAX},
    {"module-memory-max", NUMBER64, AT(module_memory_bytes_max), 0, MODULE_MEMORY_BYTES_MIN,
     INT64_MAX},
    {"websocket-message-max", NUMBER64, AT(websocket_message_max), 0, 1, 1 << 30},
    {"head-timeout-ms", NUMBER32, AT(head_timeout_ms), 0, 1, 3600000},
    {"idle-timeout-ms", NUMBER32, AT(idle_timeout_ms), 0, 1, 3600000},
    {"body-timeout-ms", NUMBER32, AT(body_timeout_ms), 0, 1, 3600000},
    {"build-cpu-ms", NUMBER32, AT(build_cpu_ms), 0, 1, 600000},
    {"snapshot-after", NUMBER32, AT(snapshot_after), 0, 0, 1000000000},
    {"verify-replay", FLAG, AT(verifies_replay), 0, 0, 0},
    {"keep-s", NUMBER32, AT(keep_s), 0, 1, 2000000000},
    {"audit-keep-s", NUMBER32, AT(audit_keep_s), 0, 1, 2000000000},
    {"audit-rows", NUMBER32, AT(audit_rows), 0, 1, 2000000000},
    {"grace-ms", NUMBER32, AT(grace_ms), 0, 0, 3600000},
    {"expose-errors", FLAG, AT(exposes_errors), 0, 0, 0},
    {"verbose", FLAG, AT(is_verbose), 0, 0, 0},
    {"help", FLAG, AT(is_help), 0, 0, 0},
};

/* HOST:PORT; unlike in a URL, port 0 means any free one. */
static enum err set_address(struct config *c, const struct flag *f, const char *value,
                            struct error *ret_error)
{
    const char *colon = strrchr(value, ':');
    struct slice host = slice_of(value, colon ? (size_t)(colon - value) : 0);
    uint64_t port;
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = slice_of(host.ptr + 1, host.len - 2);
    if (host.len == 0 || !slice_to_u64(slice_cstr(colon + 1), &port) || port > 65535)
        return error_set(ret_error, ERR_INVALID, "--%s %s: want HOST:PORT, such as 127.0.0.1:8080",
                         f->name, value);
    char **to = (char **)((char *)c + f->offset);
    free(*to);
    *to = strndup(host.ptr, host.len);
    CHECK(*to);
    *(int *)((char *)c + f->port_offset) = (int)port;
    return OK;
}

static enum err set_value(struct config *c, const struct flag *f, const char *value,
                          struct error *ret_error)
{
    void *to = (char *)c + f->offset;
    if (f->kind == ADDRESS)
        return set_address(c, f, value, ret_error);
    if (f->kind == TEXT) {
        *(const char **)to = value;
        return OK;
    }
    if (f->kind == RULE) {
        if (c->egress_allow_len == CONFIG_EGRESS_MAX)
            return error_set(ret_error, ERR_INVALID, "more than %d --egress-allow rules",
                             CONFIG_EGRESS_MAX);
        c->egress_allow[c->egress_allow_len++] = value;
        return OK;
    }
    uint64_t n;
    if (!slice_to_u64(slice_cstr(value), &n) || n < (uint64_t)f->min || n > (uint64_t)f->max)
        return error_set(ret_error, ERR_INVALID, "--%s %s: want a whole number from %lld to %lld",
                         f->name, value, f->min, f->max);
    if (f->kind == NUMBER64)
        *(int64_t *)to = (int64_t)n;
    else if (f->kind == NUMBER32)
        *(uint32_t *)to = (uint32_t)n;
    else
        *(int *)to = (int)n;
    return OK;
}

static const struct flag *find_flag(struct slice name)
{
    for (size_t k = 0; k < ARRAY_LEN(flags); k++)
        if (slice_eq_cstr(name, flags[k].name))
            return &flags[k];
    return NULL;
}

static enum err parse_flags(int argc, char **argv, struct config *c, struct error *ret_error)
{
    for (int k = 0; k < argc; k++) {
        struct slice arg = slice_cstr(argv[k]), rest = slice_skip(arg, 2);
        if (!slice_starts(arg, SLICE_LIT("--")))
            return error_set(ret_error, ERR_INVALID, "unexpected argument '%s'", argv[k]);
        const char *equals = strchr(argv[k], '=');
        struct slice name = slice_split(&rest, '=');
        const struct flag *f = find_flag(name);
        if (!f)
            return error_set(ret_error, ERR_INVALID, "unknown flag --%.*s", SLICE_ARG(name));
        if (f->kind == FLAG) {
            *(bool *)((char *)c + f->offset) = true;
            continue;
        }
        const char *value = equals ? equals + 1 : ++k < argc ? argv[k] : NULL;
        if (!value)
            return error_set(ret_error, ERR_INVALID, "--%s wants a value", f->name);
        enum err err = set_value(c, f, value, ret_error);
        if (err != OK)
            return err;
    }
    return OK;
}

static const char *env_or(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && value[0] ? value : otherwise;
}

static bool env_is_on(const char *name)
{
    const char *value = env_or(name, "0");
    return strcmp(value, "0") != 0 && strcmp(value, "false") != 0;
}

/* DIR/name */
static char *config_path(const char *dir, const char *prefix, const char *name)
{
    struct bytes b = BYTES_INIT;
    bytes_printf(&b, "%s%s/%s", prefix, dir, name);
    return bytes_take(&b);
}

/* Where what was not named lies. With --data-dir everything is in it; without, as ever: artifacts
 * in ./data, and what belongs to functions in the folder of the metadata, if that is in one. */
static void place_data(struct config *c)
{
    bool is_given = c->data_dir != NULL;
    if (!is_given && c->database_url)
        c->data_dir = c->owned[0] = store_folder_of(c->database_url);
    if (!c->data_dir)
        c->data_dir = "./data";
    if (!c->database_url)
        c->database_url = c->owned[2] = config_path(c->data_dir, "sqlite:", "db.sqlite");
    if (!c->artifact_dir)
        c->artifact_dir = c->owned[3] =
            config_path(is_given ? c->data_dir : "./data", "", "artifacts");
    c->sql_dir = c->owned[4] = config_path(c->data_dir, "", "sql");
    c->cache_dir = c->owned[5] = config_path(c->data_dir, "", "cache");
}

enum err config_parse(int argc, char **argv, struct config *ret_config, struct error *ret_error)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct config c = {
        .admin_host = strdup("127.0.0.1"),
        .http_host = strdup("127.0.0.1"),
        .admin_port = 8888,
        .http_port = 8080,
        .data_dir = env_or("LIMPET_DATA_DIR", NULL),
        .database_url = env_or("DATABASE_URL", NULL),
        .artifact_dir = env_or("ARTIFACT_DIR", NULL),
        .admin_token = env_or("LIMPET_TOKEN", NULL),
        .secret_key = env_or("LIMPET_SECRET_KEY", NULL),
        .ca_file = env_or("SSL_CERT_FILE", NULL),
        .exposes_errors = env_is_on("LIMPET_EXPOSE_ERRORS"),
        .threads = cores < 1     ? 1
                   : cores > 256 ? 256
                                 : (int)cores,
        .isolates_max = 2048,
        .rest_ms = 20000,
        .queue_max = 1024,
        .connections_max = 10000,
        .body_bytes_max = -1,
        .database_bytes_max = INT64_C(10) << 30,
        .disk_reserve_bytes = INT64_C(256) << 20,
        .memory_bytes_max = (int64_t)(machine_memory_bytes() / 100 * MEMORY_PERCENT),
        .websocket_message_max = LIMIT_SOCKET_MESSAGE_BYTES,
        .build_cpu_ms = LIMIT_BUILD_CPU_MS,
        .snapshot_after = 16,
        .keep_s = 7 * 24 * 3600,
        .grace_ms = 30000,
    };
    enum err err = parse_flags(argc, argv, &c, ret_error);
    if (err == OK && (!c.tls_cert != !c.tls_key))
        err = error_set(ret_error, ERR_INVALID, "--tls-cert and --tls-key go together");
    if (err == OK && c.module_memory_bytes_max > c.memory_bytes_max)
        err = error_set(ret_error, ERR_INVALID,
                        "--module-memory-max %lld is more than --memory-max, which is %lld",
                        (long long)c.module_memory_bytes_max, (long long)c.memory_bytes_max);
    if (err == OK && c.namespace_memory_bytes_max > c.memory_bytes_max)
        err = error_set(ret_error, ERR_INVALID,
                        "--namespace-memory-max %lld is more than --memory-max, which is %lld",
                        (long long)c.namespace_memory_bytes_max, (long long)c.memory_bytes_max);
    if (err != OK) {
        error_hint(ret_error, "limpet serve --help lists the flags");
        config_done(&c);
        return err;
    }
    place_data(&c);
    *ret_config = c;
    return OK;
}

void config_done(struct config *c)
{
    free(c->admin_host);
    free(c->http_host);
    for (size_t k = 0; k < ARRAY_LEN(c->owned); k++)
        free(c->owned[k]);
}
