/* SPDX-License-Identifier: Apache-2.0
 *
 * The one table of routes. Dispatch, the Allow header, body limits, /openapi.json and the test that
 * keeps docs/http-api.md complete are all made from it.
 *
 *     X(handler, METHOD, path, body, status, request, response, query, summary)
 *
 * body      how much a request body may be (enum route_body); ROUTE_BODY_NONE reads none
 * status    of success
 * request,  names of schemas in openapi.c, "" for none
 * response
 * query     names of the query parameters, space-separated
 *
 * A segment that starts with ':' matches any one segment and becomes params[n], decoded. */
#pragma once

#include <stddef.h>

#include "base/slice.h"

enum route_body { ROUTE_BODY_NONE, ROUTE_BODY_SMALL, ROUTE_BODY_EXECUTE, ROUTE_BODY_UPLOAD };
enum route_method { ROUTE_GET, ROUTE_POST, ROUTE_PUT, ROUTE_DELETE };

/* clang-format off */
#define ADMIN_ROUTES(X)                                                                                                \
    X(function_upload, POST, "/functions", UPLOAD, 202, "Upload", "Uploaded", "wait",                                  \
      "Upload a function and build it")                                                                                \
    X(function_list, GET, "/functions", NONE, 200, "", "FunctionList", "",                                             \
      "All functions, by name")                                                                                        \
    X(function_show, GET, "/functions/:name", NONE, 200, "", "Function", "",                                           \
      "One function and the version that serves")                                                                      \
    X(function_delete, DELETE, "/functions/:name", NONE, 204, "", "", "",                                              \
      "Delete a function, its versions, variables, executions and logs")                                               \
    X(build_list, GET, "/functions/:name/builds", NONE, 200, "", "BuildList", "",                                      \
      "Builds of a function, newest first")                                                                            \
    X(build_show, GET, "/functions/:name/builds/:id", NONE, 200, "", "Build", "wait",                                  \
      "One build; with wait, when it has ended")                                                                       \
    X(execution_run, POST, "/functions/:name/execute", EXECUTE, 200, "Execute", "Executed", "",                        \
      "Run a function and keep a record of it")                                                                        \
    X(execution_list_of, GET, "/functions/:name/executions", NONE, 200, "", "ExecutionList", "limit cursor",           \
      "Executions of a function, newest first")                                                                        \
    X(execution_list, GET, "/executions", NONE, 200, "", "ExecutionList", "limit cursor",                              \
      "Executions of all functions, newest first")                                                                     \
    X(execution_show, GET, "/executions/:id", NONE, 200, "", "Execution", "",                                          \
      "One execution with input, output, error and logs")                                                              \
    X(env_list, GET, "/functions/:name/env", NONE, 200, "", "EnvVarList", "",                                          \
      "Environment variables of a function, by name")                                                                  \
    X(env_get, GET, "/functions/:name/env/:var", NONE, 200, "", "EnvVar", "",                                          \
      "One environment variable")                                                                                      \
    X(env_put, PUT, "/functions/:name/env/:var", SMALL, 204, "EnvValue", "", "",                                       \
      "Set an environment variable; the next request sees it")                                                         \
    X(env_delete, DELETE, "/functions/:name/env/:var", NONE, 204, "", "", "",                                          \
      "Delete an environment variable")                                                                                \
    X(log_list, GET, "/functions/:name/logs", NONE, 200, "", "LogList", "after limit follow",                          \
      "Log lines of a function, oldest first; with follow, an NDJSON stream that stays open")                          \
    X(health_show, GET, "/healthz", NONE, 200, "", "Health", "",                                                       \
      "Whether the server can do its work; needs no token")                                                            \
    X(metrics_show, GET, "/metrics", NONE, 200, "", "text/plain", "",                                                  \
      "Metrics in Prometheus' text format")                                                                            \
    X(openapi_show, GET, "/openapi.json", NONE, 200, "", "object", "",                                                 \
      "This description")
/* clang-format on */

struct admin_request;

#define X(handler, ...) void handler(struct admin_request *r);
ADMIN_ROUTES(X)
#undef X

enum { ROUTE_PARAMS_MAX = 2 };

struct route {
    const char *id; /* "function_upload" */
    enum route_method method;
    const char *path;
    enum route_body body;
    int status;
    const char *request, *response, *query, *summary;
    void (*handler)(struct admin_request *r);
};

extern const struct route routes_table[];
extern const size_t routes_count;

const char *route_method_text(enum route_method method);
size_t route_body_bytes_max(enum route_body body);

struct route_match {
    const struct route *route;             /* NULL: none for this method */
    struct slice params[ROUTE_PARAMS_MAX]; /* still encoded, borrowed from path */
    char allow[64];                        /* methods of the path, "" if no route has it */
};

/* path without query. HEAD matches GET. */
void route_find(struct slice method, struct slice path, struct route_match *ret_match);
