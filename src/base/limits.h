/* SPDX-License-Identifier: Apache-2.0
 *
 * Every limit that is not configured, by name. Units are in the name. A limit that a user meets is
 * named in the error that they see. */
#pragma once

#include <stdint.h>

enum {
    /* HTTP server */
    LIMIT_HTTP_HEAD_BYTES = 64 * 1024,         /* request line and headers: 431 above */
    LIMIT_HTTP_HEADERS = 128,                  /* header lines: 431 above */
    LIMIT_HTTP_TARGET_BYTES = 16 * 1024,       /* request target: 414 above */
    LIMIT_HTTP_BODY_WINDOW_BYTES = 256 * 1024, /* unread request body held per exchange */
    LIMIT_HTTP_OUT_HIGH_BYTES = 256 * 1024, /* response bytes queued before the writer must wait */
    LIMIT_HTTP_PIPELINE = 64, /* answers of pipelined requests gathered into one write */
    LIMIT_HTTP_STREAMS = 128, /* concurrent streams on one HTTP/2 connection */
    LIMIT_HTTP_HEAD_TIMEOUT_MS = 10 * 1000, /* from the first byte to the end of the headers */
    LIMIT_HTTP_IDLE_TIMEOUT_MS = 75 * 1000, /* keep-alive without a request */
    LIMIT_HTTP_BODY_TIMEOUT_MS = 30 * 1000, /* without progress while a body is wanted or sent */
    LIMIT_HTTP_BODY_BYTES_PER_S = 240, /* of a request, on average, after that time; below: 408 */

    /* Guests */
    LIMIT_GUEST_MEMORY_BYTES = 64 * 1024 * 1024,
    LIMIT_GUEST_CPU_MS = 1000,
    LIMIT_GUEST_WALL_MS = 30 * 1000,
    LIMIT_GUEST_GONE_MS =
        1000, /* to notice request.signal and end, once the client has left unanswered */
    LIMIT_GUEST_OPS_PENDING = 1024,
    LIMIT_D1_DUMP_BYTES = 32 * 1024 * 1024, /* of a database that code has as bytes */
    LIMIT_D1_CPU_MS = 30 * 1000,            /* of the statements of one call */
    LIMIT_EXECUTION_KEY_BYTES = 200,        /* that a start is known by */
    LIMIT_VALUE_BYTES =
        4 * 1024 * 1024,            /* one text, list or JSON value of a call; docs/limits.md */
    LIMIT_GUEST_SLICE_MS = 5,       /* runs at most this long before neighbours get a turn */
    LIMIT_SQL_TRANSACTION_MS = 100, /* a guest's own time inside transaction(); default */
    LIMIT_GUEST_LOG_LINE_BYTES = 16 * 1024,
    LIMIT_SQL_TEMP_BYTES = 512 * 1024 * 1024, /* one temporary file of a statement */
    LIMIT_GUEST_LOG_LINES = 1000,             /* per request */
    LIMIT_GUEST_CODECS = 1024,                /* streams and texts that are being coded */
    LIMIT_GUEST_REWRITERS = 64,               /* documents that an HTMLRewriter has under way */
    LIMIT_HTML_HANDLERS = 2048,       /* of one HTMLRewriter: calls of on() and onDocument() */
    LIMIT_HTML_SELECTOR_BYTES = 4096, /* of one selector */

    /* Outgoing requests, for each engine thread; who gets how many: base/fair.h */
    LIMIT_FETCH_CONNECTIONS = 512,
    LIMIT_FETCH_LOOKUPS = 256,
    LIMIT_FETCH_CONNECT_MS = 10 * 1000,
    LIMIT_FETCH_LOOKUP_MS = 10 * 1000,
    LIMIT_FETCH_WORKFLOW_MS = 3600 * 1000, /* without a byte either way; functions: wall_ms */
    LIMIT_FETCH_REDIRECTS = 20,
    LIMIT_FETCH_CODINGS = 4,                 /* in one content-encoding */
    LIMIT_FETCH_DECODED_BYTES = 64 * 1024,   /* decoded ahead of the reader */
    LIMIT_FETCH_INTERIM_BYTES = 1024 * 1024, /* decoded inside several codings for no output */

    /* WebSockets */
    LIMIT_SOCKET_MESSAGE_BYTES = 32 * 1024 * 1024, /* that comes; default */
    LIMIT_SOCKET_AHEAD_BYTES =
        64 * 1024, /* come, and not yet taken by the code: then no more is read */
    LIMIT_SOCKET_QUEUED_BYTES = 16 * 1024 * 1024, /* sent, and not yet taken by the other side */
    LIMIT_SOCKET_SILENCE_MS =
        60 * 1000, /* nothing has come: a ping is sent; as long again: it is over */
    LIMIT_SOCKET_CLOSE_MS = 10 * 1000, /* for the other side's close after ours */

    /* Calls from module to module */
    LIMIT_CALL_DEPTH = 32,                /* each inside of another */
    LIMIT_CALL_WORKFLOW_MS = 3600 * 1000, /* that a workflow waits for an answer; others: wall_ms */

    /* Long computations of ops, on the pool; who gets how many: base/fair.h */
    LIMIT_COMPUTATIONS_THREAD = 4, /* of one engine thread's guests */
    LIMIT_COMPUTATIONS = 8,        /* of all: half of the pool, and no more than engine threads */

    /* Modules */
    LIMIT_NAMESPACES = 10000,
    LIMIT_TOKENS = 1000, /* of one namespace */
    LIMIT_KV_KEY_BYTES = 512,
    LIMIT_KV_VALUE_BYTES = 25 * 1024 * 1024,
    LIMIT_KV_METADATA_BYTES = 1024,
    LIMIT_KV_KEYS = 100,    /* that one get() names */
    LIMIT_RESOURCES = 1000, /* of one kind in one namespace */
    LIMIT_EGRESS_RULES = 256,
    LIMIT_NAME_BYTES = 63, /* a DNS label, since the name is a host */
    LIMIT_SOURCE_BYTES = 16 * 1024 * 1024,
    LIMIT_ENV_VALUE_BYTES = 64 * 1024,
    LIMIT_ENV_VARS = 256,
    LIMIT_BINDINGS = 64, /* of one version, beside its variables */

    /* Static files, on each engine thread */
    LIMIT_ASSET_CACHE_BYTES = 32 * 1024 * 1024, /* kept in memory, */
    LIMIT_ASSET_CACHE_ENTRIES = 16 * 1024,      /* and known to be there, or not */
    LIMIT_ASSET_CACHED_BYTES = 2 * 1024 * 1024, /* of one file; larger ones are read in pieces */
    LIMIT_ASSET_PIECE_BYTES = 256 * 1024,       /* at most read ahead of a client */

    /* Responses that code keeps (caches): */
    LIMIT_CACHE_RESPONSE_BYTES = 256 * 1024 * 1024, /* one body */
    LIMIT_CACHE_SPACE_BYTES = 512 * 1024 * 1024,    /* all of a namespace, */
    LIMIT_CACHE_SPACE_RESPONSES = 20 * 1000,        /* and how many */

    /* Usage */
    LIMIT_USAGE_HOURS = 400 * 24,     /* are kept */
    LIMIT_USAGE_ROWS = 100 * 1000,    /* in one answer */
    LIMIT_USAGE_FLUSH_MS = 60 * 1000, /* what the end of a process may lose */

    /* The host's own log */
    LIMIT_LOG_VALUE_BYTES = 4 * 1024, /* of one field; cut above */

    /* Builds */
    LIMIT_BUILD_MS = 30 * 1000,
    LIMIT_BUILD_MEMORY_BYTES = 1024 * 1024 * 1024,
    LIMIT_BUILD_CPU_MS = 10 * 1000, /* of top-level code */
    LIMIT_BUILDS_QUEUED = 256,
};

/* Responses that code keeps, of all namespaces. */
#define LIMIT_CACHE_BYTES (UINT64_C(4) * 1024 * 1024 * 1024)
_Static_assert(LIMIT_CACHE_RESPONSE_BYTES <= LIMIT_CACHE_SPACE_BYTES &&
                   LIMIT_CACHE_SPACE_BYTES <= LIMIT_CACHE_BYTES,
               "what is put is not what makes room for it");
