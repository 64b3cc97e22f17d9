/* SPDX-License-Identifier: Apache-2.0
 *
 * The one table of routes. Dispatch, the Allow header, body limits, /openapi.json and the test that
 * keeps docs/http-api.md complete are all made from it.
 *
 *     X(id, handler, METHOD, path, body, status, request, response, query, summary)
 *
 * id        its name in the OpenAPI document. What functions and workflows have in common is one
 *           handler, which admin_request.kind tells for which of them it is asked
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
#include "store/store.h"

enum route_body { ROUTE_BODY_NONE, ROUTE_BODY_SMALL, ROUTE_BODY_EXECUTE, ROUTE_BODY_UPLOAD };
enum route_method { ROUTE_GET, ROUTE_POST, ROUTE_PUT, ROUTE_DELETE };

/* clang-format off */
#define ADMIN_ROUTES(X)                                                                                                \
    X(function_upload, function_upload, POST, "/functions", UPLOAD, 202, "Upload", "Uploaded", "wait",                 \
      "Upload a function and build it")                                                                                \
    X(function_list, function_list, GET, "/functions", NONE, 200, "", "FunctionList", "",                              \
      "All functions, by name")                                                                                        \
    X(function_show, function_show, GET, "/functions/:name", NONE, 200, "", "Function", "",                            \
      "One function and the version that serves")                                                                      \
    X(function_delete, function_delete, DELETE, "/functions/:name", NONE, 204, "", "", "",                             \
      "Delete a function, its versions, variables, executions and logs")                                               \
    X(build_list, build_list, GET, "/functions/:name/builds", NONE, 200, "", "BuildList", "",                          \
      "Builds of a function, newest first")                                                                            \
    X(build_show, build_show, GET, "/functions/:name/builds/:id", NONE, 200, "", "Build", "wait",                      \
      "One build; with wait, when it has ended")                                                                       \
    X(execution_run, execution_run, POST, "/functions/:name/execute", EXECUTE, 200, "Execute", "Executed", "",         \
      "Run a function and keep a record of it")                                                                        \
    X(execution_list_of, execution_list_of, GET, "/functions/:name/executions", NONE, 200, "", "ExecutionList", "limit cursor", \
      "Executions of a function, newest first")                                                                        \
    X(env_list, env_list, GET, "/functions/:name/env", NONE, 200, "", "EnvVarList", "",                                \
      "Environment variables of a function, by name")                                                                  \
    X(env_get, env_get, GET, "/functions/:name/env/:var", NONE, 200, "", "EnvVar", "",                                 \
      "One environment variable")                                                                                      \
    X(env_put, env_put, PUT, "/functions/:name/env/:var", SMALL, 204, "EnvValue", "", "",                              \
      "Set an environment variable; the next request sees it")                                                         \
    X(env_delete, env_delete, DELETE, "/functions/:name/env/:var", NONE, 204, "", "", "",                              \
      "Delete an environment variable")                                                                                \
    X(log_list, log_list, GET, "/functions/:name/logs", NONE, 200, "", "LogList", "after limit follow",                \
      "Log lines of a function, oldest first; with follow, an NDJSON stream that stays open")                          \
    X(workflow_upload, function_upload, POST, "/workflows", UPLOAD, 202, "Upload", "Uploaded", "wait",                 \
      "Upload a workflow and build it")                                                                                \
    X(workflow_list, function_list, GET, "/workflows", NONE, 200, "", "FunctionList", "",                              \
      "All workflows, by name")                                                                                        \
    X(workflow_show, function_show, GET, "/workflows/:name", NONE, 200, "", "Function", "",                            \
      "One workflow and the version that new executions run")                                                          \
    X(workflow_delete, function_delete, DELETE, "/workflows/:name", NONE, 204, "", "", "",                             \
      "Delete a workflow, its versions, variables, executions and logs")                                               \
    X(workflow_build_list, build_list, GET, "/workflows/:name/builds", NONE, 200, "", "BuildList", "",                 \
      "Builds of a workflow, newest first")                                                                            \
    X(workflow_build_show, build_show, GET, "/workflows/:name/builds/:id", NONE, 200, "", "Build", "wait",             \
      "One build; with wait, when it has ended")                                                                       \
    X(workflow_start, durable_start, POST, "/workflows/:name/execute", EXECUTE, 202, "Start", "Started", "wait",       \
      "Start an execution of a workflow, NAME or NAME.EXPORT; with wait, 200 with its result if it ends in time")      \
    X(workflow_execution_list, execution_list_of, GET, "/workflows/:name/executions", NONE, 200, "", "ExecutionList", "status limit cursor", \
      "Executions of a workflow, newest first")                                                                        \
    X(workflow_env_list, env_list, GET, "/workflows/:name/env", NONE, 200, "", "EnvVarList", "",                       \
      "Environment variables of a workflow, by name")                                                                  \
    X(workflow_env_get, env_get, GET, "/workflows/:name/env/:var", NONE, 200, "", "EnvVar", "",                        \
      "One environment variable")                                                                                      \
    X(workflow_env_put, env_put, PUT, "/workflows/:name/env/:var", SMALL, 204, "EnvValue", "", "",                     \
      "Set an environment variable; code that reads it from now on sees it")                                           \
    X(workflow_env_delete, env_delete, DELETE, "/workflows/:name/env/:var", NONE, 204, "", "", "",                     \
      "Delete an environment variable")                                                                                \
    X(workflow_log_list, log_list, GET, "/workflows/:name/logs", NONE, 200, "", "LogList", "after limit follow",       \
      "Log lines of a workflow, oldest first; with follow, an NDJSON stream that stays open")                          \
    X(workflow_check, workflow_check, POST, "/workflows/:name/check", UPLOAD, 200, "Check", "Checked", "",             \
      "Replay all unfinished executions on other code, which is not published")                                        \
    X(workflow_migrate, workflow_migrate, POST, "/workflows/:name/migrate", NONE, 200, "", "Migrated", "",             \
      "Move unfinished executions that agree with it to the newest version")                                           \
    X(execution_list, execution_list, GET, "/executions", NONE, 200, "", "ExecutionList", "workflow status parent limit cursor", \
      "Executions of functions and workflows, newest first; with workflow, status or parent those of workflows only")  \
    X(execution_show, execution_show, GET, "/executions/:id", NONE, 200, "", "Execution", "wait",                      \
      "One execution with input, output and error; with wait, when it has finished")                                   \
    X(execution_journal, journal_show, GET, "/executions/:id/journal", NONE, 200, "", "RecordList", "after limit values", \
      "Records of a workflow's execution, oldest first")                                                               \
    X(execution_log_list, execution_logs, GET, "/executions/:id/logs", NONE, 200, "", "LogList", "after limit follow", \
      "Log lines of one execution; with follow, a stream that ends when it has finished")                              \
    X(execution_signal, durable_signal, POST, "/executions/:id/signal", EXECUTE, 202, "Signal", "ExecutionState", "",  \
      "Send a signal, which waitForEvent receives")                                                                    \
    X(execution_cancel, durable_cancel, POST, "/executions/:id/cancel", NONE, 202, "", "ExecutionState", "",           \
      "Ask an execution to end; its finally blocks run")                                                               \
    X(execution_pause, durable_pause, POST, "/executions/:id/pause", NONE, 200, "", "ExecutionState", "",              \
      "Stop running an execution until it is resumed")                                                                 \
    X(execution_resume, durable_resume, POST, "/executions/:id/resume", NONE, 200, "", "ExecutionState", "",           \
      "Go on with a paused execution")                                                                                 \
    X(execution_retry, durable_retry, POST, "/executions/:id/retry", SMALL, 202, "Retry", "ExecutionState", "",        \
      "Run a failed or cancelled execution again from where it failed")                                                \
    X(execution_fork, durable_fork, POST, "/executions/:id/fork", SMALL, 201, "Fork", "ExecutionState", "",            \
      "Start a new execution with the first records of another")                                                       \
    X(usage_list, usage_list, GET, "/usage", NONE, 200, "", "UsageList", "since module by",                            \
      "What modules used, a row for each, or with by=hour for each hour")                                              \
    X(quota_list, quota_list, GET, "/quotas", NONE, 200, "", "QuotaList", "",                                          \
      "Functions and workflows that have quotas, by name")                                                             \
    X(quota_show, quota_show, GET, "/quotas/:module", NONE, 200, "", "Quota", "",                                      \
      "What a function or workflow may hold, and holds")                                                               \
    X(quota_put, quota_put, PUT, "/quotas/:module", SMALL, 200, "QuotaSet", "Quota", "",                               \
      "Set quotas; those that are left out stay, null removes one. They hold at once")                                 \
    X(quota_delete, quota_delete, DELETE, "/quotas/:module", NONE, 204, "", "", "",                                    \
      "Remove all quotas of a function or workflow; the server's defaults hold")                                       \
    X(health_show, health_show, GET, "/healthz", NONE, 200, "", "Health", "",                                          \
      "Whether the server can do its work; needs no token")                                                            \
    X(metrics_show, metrics_show, GET, "/metrics", NONE, 200, "", "text/plain", "",                                    \
      "Metrics in Prometheus' text format")                                                                            \
    X(openapi_show, openapi_show, GET, "/openapi.json", NONE, 200, "", "object", "",                                   \
      "This description")
/* clang-format on */

struct admin_request;

#define X(id, handler, ...) void handler(struct admin_request *r);
ADMIN_ROUTES(X)
#undef X

enum { ROUTE_PARAMS_MAX = 2 };

struct route {
    const char *id; /* "workflow_upload" */
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
enum store_kind route_kind(const struct route *route); /* STORE_WORKFLOW below /workflows */
size_t route_body_bytes_max(enum route_body body);

struct route_match {
    const struct route *route;             /* NULL: none for this method */
    struct slice params[ROUTE_PARAMS_MAX]; /* still encoded, borrowed from path */
    char allow[64];                        /* methods of the path, "" if no route has it */
};

/* path without query. HEAD matches GET. */
void route_find(struct slice method, struct slice path, struct route_match *ret_match);
