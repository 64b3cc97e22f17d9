/* SPDX-License-Identifier: Apache-2.0
 *
 * What `limpet serve` is told by flags and environment. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum {
    CONFIG_EGRESS_MAX = 256,
    MODULE_MEMORY_BYTES_MIN = 4 * 1024 * 1024, /* a few isolates that do little */
    MODULE_DISK_BYTES_MIN = 64 * 1024,         /* a small database */
};

struct config {
    char *admin_host, *http_host;
    int admin_port, http_port;
    const char *database_url, *artifact_dir; /* artifacts, and images of them */
    const char *data_dir;  /* what is in no database, but where other flags say otherwise */
    const char *sql_dir;   /* the functions' own databases: in it */
    const char *cache_dir; /* responses that code keeps; emptied at the start */
    const char *tls_cert, *tls_key;
    const char *admin_token;
    const char *secret_key; /* NULL: of a file in the data folder */
    const char *esbuild;
    const char *ca_file;  /* whom outgoing TLS trusts (PEM); NULL: the system's authorities */
    const char *resolver; /* name servers for outgoing requests; NULL: /etc/resolv.conf */
    int threads;
    const char *egress_allow[CONFIG_EGRESS_MAX];
    int egress_allow_len;
    uint32_t isolates_max;         /* live at once, all threads */
    uint32_t database_descriptors; /* set at the start, by what the process may have */
    uint32_t rest_ms;              /* a function not called for so long gives back its memory */
    uint32_t queue_max;            /* requests that wait for an isolate, all threads */
    uint32_t connections_max;      /* all threads */
    int64_t body_bytes_max;        /* -1: none */
    int64_t database_bytes_max, disk_reserve_bytes;
    int64_t namespace_memory_bytes_max; /* of one namespace without a quota; 0: all */
    int64_t module_memory_bytes_max;    /* of one module without a quota; 0: three quarters of: */
    int64_t memory_bytes_max;           /* of all guests and what is buffered for them */
    int64_t websocket_message_max;      /* bytes of a WebSocket's message that comes */
    uint32_t head_timeout_ms, idle_timeout_ms, body_timeout_ms; /* 0: defaults */
    uint32_t build_cpu_ms;   /* of top-level code; a version's own limit if that is more */
    uint32_t snapshot_after; /* records since the last one; 0: at every suspension */
    bool verifies_replay;    /* whatever leaves memory is replayed and compared */
    uint32_t keep_s;         /* finished durable executions */
    uint32_t audit_keep_s, audit_rows; /* of the audit log; 0: all of it */
    uint32_t grace_ms;                 /* for running requests at a stop */
    bool exposes_errors;               /* public clients get the text of exceptions */
    bool is_help, is_verbose;
    char *owned[6]; /* private */
};

/* argv after "serve". ERR_INVALID says what is wrong with which flag. */
NODISCARD enum err config_parse(int argc, char **argv, struct config *ret_config,
                                struct error *ret_error);
void config_done(struct config *c);
/* CPU time that top-level code may use, which runs once a build and away from requests. own_ns: the
 * version's limit of one request. */
static inline uint64_t config_build_cpu_ns(const struct config *c, uint64_t own_ns)
{
    uint64_t ns = (uint64_t)c->build_cpu_ms * 1000000;
    return own_ns > ns ? own_ns : ns;
}
extern const char config_usage[];
