/* SPDX-License-Identifier: Apache-2.0
 *
 * The one table of routes. Dispatch, the Allow header, body limits, /openapi.json and the test that
 * keeps docs/http-api.md complete are all made from it.
 *
 *     X(id, handler, METHOD, path, role, body, status, request, response, query, summary)
 *
 * id        its name in the OpenAPI document. What functions and workflows have in common is one
 *           handler, which admin_request.kind tells for which of them it is asked
 * role      who may ask (enum route_role); each knows what the ones before it may, too
 * body      how much a request body may be (enum route_body); ROUTE_BODY_NONE reads none
 * status    of success
 * request,  names of schemas in openapi.c, "" for none
 * response
 * query     names of the query parameters, space-separated
 *
 * A segment that starts with ':' matches any one segment and becomes params[n], decoded. ":name" and
 * ":module" are names of modules: their params are those of base/module_name.h.
 *
 * What belongs to a namespace (route_has_namespace) is there twice: as it stands for the default
 * one, and with "/namespaces/:namespace" in front. */
#pragma once

#include <stddef.h>

#include "base/slice.h"
#include "store/store.h"

enum route_body {
    ROUTE_BODY_NONE,
    ROUTE_BODY_SMALL,
    ROUTE_BODY_EXECUTE,
    ROUTE_BODY_UPLOAD,
    ROUTE_BODY_FILE /* any bytes, of any type */
};
/* PUBLIC: everybody; ANY: whoever has any token. READ to ADMIN: who has a token of the namespace with
 * that role, or a greater one; OWNER: something of a namespace for the server's own token only, as
 * SERVER, which is of no namespace. */
enum route_role {
    ROUTE_PUBLIC,
    ROUTE_ANY,
    ROUTE_READ,
    ROUTE_INVOKE,
    ROUTE_DEPLOY,
    ROUTE_ADMIN,
    ROUTE_OWNER,
    ROUTE_SERVER,
};
enum route_method { ROUTE_GET, ROUTE_POST, ROUTE_PUT, ROUTE_DELETE };

/* clang-format off */
/* Resources of a kind (base/resource_kind.h): its word, path, and title. */
#define RESOURCE_ROUTES(X, word, path, title)                                                                           \
    X(word##_list, resource_list, GET, path, READ, NONE, 200, "", "ResourceList", "",                                   \
      "All of this kind, by name: " title)                                                                              \
    X(word##_create, resource_create, POST, path, DEPLOY, SMALL, 201, "ResourceNew", "Resource", "",                    \
      "Make a " title "; a deploy that is bound to one makes it, too")                                                  \
    X(word##_show, resource_show, GET, path "/:resource", READ, NONE, 200, "", "Resource", "",                          \
      "One " title ", and what is bound to it")                                                                         \
    X(word##_delete, resource_delete, DELETE, path "/:resource", DEPLOY, NONE, 204, "", "", "unbind",                   \
      "Delete a " title " with all that is in it; with unbind, also one that a version that serves is bound to")
/* Of those that have settings: after RESOURCE_ROUTES. */
#define RESOURCE_SETTINGS_ROUTE(X, word, path, title)                                                                   \
    X(word##_set, resource_set, PUT, path "/:resource", DEPLOY, SMALL, 200, "ResourceSet", "Resource", "",              \
      "Replace the settings of a " title)

#define ADMIN_ROUTES(X)                                                                                                 \
    X(namespace_list, namespace_list, GET, "/namespaces", SERVER, NONE, 200, "", "NamespaceList", "",                   \
      "All namespaces, by name")                                                                                        \
    X(namespace_create, namespace_create, POST, "/namespaces", SERVER, SMALL, 201, "NamespaceNew", "Namespace", "",     \
      "Make a namespace")                                                                                               \
    X(namespace_show, namespace_show, GET, "/namespaces/:namespace", READ, NONE, 200, "", "Namespace", "",              \
      "One namespace")                                                                                                  \
    X(namespace_delete, namespace_delete, DELETE, "/namespaces/:namespace", SERVER, NONE, 200, "", "NamespaceDeleted", "force", \
      "Delete a namespace; with force its functions and workflows, too")                                                \
    X(function_upload, function_upload, POST, "/functions", DEPLOY, UPLOAD, 202, "Upload", "Uploaded", "wait",          \
      "Upload a function and build it")                                                                                 \
    X(function_list, function_list, GET, "/functions", READ, NONE, 200, "", "FunctionList", "",                         \
      "All functions, by name")                                                                                         \
    X(function_show, function_show, GET, "/functions/:name", READ, NONE, 200, "", "Function", "",                       \
      "One function and the version that serves")                                                                       \
    X(function_delete, function_delete, DELETE, "/functions/:name", DEPLOY, NONE, 204, "", "", "",                      \
      "Delete a function, its versions, variables, executions and logs")                                                \
    X(function_version_list, version_list, GET, "/functions/:name/versions", READ, NONE, 200, "", "VersionList", "",               \
      "Versions of a function, newest first, and which of them answer")                                                  \
    X(function_version_show, version_show, GET, "/functions/:name/versions/:version", READ, NONE, 200, "", "Version", "",          \
      "One version, and how it runs")                                                                                   \
    X(function_version_serve, version_serve, PUT, "/functions/:name/versions/:version/traffic", DEPLOY, SMALL, 204, "Traffic", "", "", \
      "Give a version a part of the requests, or all")                                                                  \
    X(workflow_version_list, version_list, GET, "/workflows/:name/versions", READ, NONE, 200, "", "VersionList", "",               \
      "Versions of a workflow, newest first, and which of them answer")                                                  \
    X(workflow_version_show, version_show, GET, "/workflows/:name/versions/:version", READ, NONE, 200, "", "Version", "",          \
      "One version, and how it runs")                                                                                   \
    X(workflow_version_serve, version_serve, PUT, "/workflows/:name/versions/:version/traffic", DEPLOY, SMALL, 204, "Traffic", "", "", \
      "Give a version a part of the requests, or all")                                                                  \
    X(build_list, build_list, GET, "/functions/:name/builds", READ, NONE, 200, "", "BuildList", "",                     \
      "Builds of a function, newest first")                                                                             \
    X(build_show, build_show, GET, "/functions/:name/builds/:id", READ, NONE, 200, "", "Build", "wait",                 \
      "One build; with wait, when it has ended")                                                                        \
    X(execution_run, execution_run, POST, "/functions/:name/execute", INVOKE, EXECUTE, 200, "Execute", "Executed", "",  \
      "Run a function and keep a record of it")                                                                         \
    X(execution_list_of, execution_list_of, GET, "/functions/:name/executions", READ, NONE, 200, "", "ExecutionList", "limit cursor", \
      "Executions of a function, newest first")                                                                         \
    X(env_list, env_list, GET, "/functions/:name/env", DEPLOY, NONE, 200, "", "EnvVarList", "",                         \
      "Environment variables of a function, by name")                                                                   \
    X(env_get, env_get, GET, "/functions/:name/env/:var", DEPLOY, NONE, 200, "", "EnvVar", "",                          \
      "One environment variable")                                                                                       \
    X(env_put, env_put, PUT, "/functions/:name/env/:var", DEPLOY, SMALL, 204, "EnvValue", "", "",                       \
      "Set an environment variable; the next request sees it")                                                          \
    X(env_delete, env_delete, DELETE, "/functions/:name/env/:var", DEPLOY, NONE, 204, "", "", "",                       \
      "Delete an environment variable")                                                                                 \
    X(log_list, log_list, GET, "/functions/:name/logs", READ, NONE, 200, "", "LogList", "after limit follow",           \
      "Log lines of a function, oldest first; with follow, an NDJSON stream that stays open")                           \
    X(workflow_upload, function_upload, POST, "/workflows", DEPLOY, UPLOAD, 202, "Upload", "Uploaded", "wait",          \
      "Upload a workflow and build it")                                                                                 \
    X(workflow_list, function_list, GET, "/workflows", READ, NONE, 200, "", "FunctionList", "",                         \
      "All workflows, by name")                                                                                         \
    X(workflow_show, function_show, GET, "/workflows/:name", READ, NONE, 200, "", "Function", "",                       \
      "One workflow and the version that new executions run")                                                           \
    X(workflow_delete, function_delete, DELETE, "/workflows/:name", DEPLOY, NONE, 204, "", "", "",                      \
      "Delete a workflow, its versions, variables, executions and logs")                                                \
    X(workflow_build_list, build_list, GET, "/workflows/:name/builds", READ, NONE, 200, "", "BuildList", "",            \
      "Builds of a workflow, newest first")                                                                             \
    X(workflow_build_show, build_show, GET, "/workflows/:name/builds/:id", READ, NONE, 200, "", "Build", "wait",        \
      "One build; with wait, when it has ended")                                                                        \
    X(workflow_start, durable_start, POST, "/workflows/:name/execute", INVOKE, EXECUTE, 202, "Start", "Started", "wait", \
      "Start an execution of a workflow, NAME or NAME.EXPORT; with wait, 200 with its result if it ends in time")       \
    X(workflow_execution_list, execution_list_of, GET, "/workflows/:name/executions", READ, NONE, 200, "", "ExecutionList", "status limit cursor", \
      "Executions of a workflow, newest first")                                                                         \
    X(workflow_env_list, env_list, GET, "/workflows/:name/env", DEPLOY, NONE, 200, "", "EnvVarList", "",                \
      "Environment variables of a workflow, by name")                                                                   \
    X(workflow_env_get, env_get, GET, "/workflows/:name/env/:var", DEPLOY, NONE, 200, "", "EnvVar", "",                 \
      "One environment variable")                                                                                       \
    X(workflow_env_put, env_put, PUT, "/workflows/:name/env/:var", DEPLOY, SMALL, 204, "EnvValue", "", "",              \
      "Set an environment variable; code that reads it from now on sees it")                                            \
    X(workflow_env_delete, env_delete, DELETE, "/workflows/:name/env/:var", DEPLOY, NONE, 204, "", "", "",              \
      "Delete an environment variable")                                                                                 \
    X(workflow_log_list, log_list, GET, "/workflows/:name/logs", READ, NONE, 200, "", "LogList", "after limit follow",  \
      "Log lines of a workflow, oldest first; with follow, an NDJSON stream that stays open")                           \
    X(workflow_check, workflow_check, POST, "/workflows/:name/check", DEPLOY, UPLOAD, 200, "Check", "Checked", "",      \
      "Replay all unfinished executions on other code, which is not published")                                         \
    X(workflow_migrate, workflow_migrate, POST, "/workflows/:name/migrate", DEPLOY, NONE, 200, "", "Migrated", "",      \
      "Move unfinished executions that agree with it to the newest version")                                            \
    X(execution_list, execution_list, GET, "/executions", READ, NONE, 200, "", "ExecutionList", "workflow status parent limit cursor", \
      "Executions of functions and workflows, newest first; with workflow, status or parent those of workflows only")   \
    X(execution_show, execution_show, GET, "/executions/:id", READ, NONE, 200, "", "Execution", "wait",                 \
      "One execution with input, output and error; with wait, when it has finished")                                    \
    X(execution_journal, journal_show, GET, "/executions/:id/journal", READ, NONE, 200, "", "RecordList", "after limit values", \
      "Records of a workflow's execution, oldest first")                                                                \
    X(execution_log_list, execution_logs, GET, "/executions/:id/logs", READ, NONE, 200, "", "LogList", "after limit follow", \
      "Log lines of one execution; with follow, a stream that ends when it has finished")                               \
    X(execution_signal, durable_signal, POST, "/executions/:id/signal", INVOKE, EXECUTE, 202, "Signal", "ExecutionState", "", \
      "Send a signal, which waitForEvent receives")                                                                     \
    X(execution_cancel, durable_cancel, POST, "/executions/:id/cancel", INVOKE, NONE, 202, "", "ExecutionState", "",    \
      "Ask an execution to end; its finally blocks run")                                                                \
    X(execution_pause, durable_pause, POST, "/executions/:id/pause", DEPLOY, NONE, 200, "", "ExecutionState", "",       \
      "Stop running an execution until it is resumed")                                                                  \
    X(execution_resume, durable_resume, POST, "/executions/:id/resume", DEPLOY, NONE, 200, "", "ExecutionState", "",    \
      "Go on with a paused execution")                                                                                  \
    X(execution_retry, durable_retry, POST, "/executions/:id/retry", DEPLOY, SMALL, 202, "Retry", "ExecutionState", "", \
      "Run a failed or cancelled execution again from where it failed")                                                 \
    X(execution_restart, durable_restart, POST, "/executions/:id/restart", DEPLOY, NONE, 202, "", "ExecutionState", "", \
      "Run a finished execution again from its beginning, on the version that serves")                                   \
    X(execution_fork, durable_fork, POST, "/executions/:id/fork", DEPLOY, SMALL, 201, "Fork", "ExecutionState", "",     \
      "Start a new execution with the first records of another")                                                        \
    X(asset_check, asset_check, POST, "/assets", DEPLOY, UPLOAD, 200, "AssetHashes", "AssetsMissing", "",               \
      "Which contents of static files the namespace has to upload")                                                     \
    X(asset_put, asset_put, PUT, "/assets/:hash", DEPLOY, FILE, 204, "application/octet-stream", "", "",                \
      "Upload the content of a static file, named by its SHA-256")                                                      \
    RESOURCE_ROUTES(X, d1, "/d1", "database")                                                                           \
    X(d1_query, d1_query, POST, "/d1/:resource/query", DEPLOY, UPLOAD, 200, "Statements", "StatementResults", "",       \
      "Run SQL statements on a database")                                                                               \
    RESOURCE_ROUTES(X, bucket, "/buckets", "bucket")                                                                    \
    RESOURCE_ROUTES(X, kv, "/kv", "KV namespace")                                                                       \
    X(kv_key_list, kv_key_list, GET, "/kv/:resource/keys", READ, NONE, 200, "", "KvKeyList", "prefix limit cursor",     \
      "Keys of a KV namespace, in the order of their bytes")                                                            \
    X(kv_value_get, kv_value_get, GET, "/kv/:resource/values/:key", READ, NONE, 200, "", "application/octet-stream", "", \
      "The value of a key; limpet-version, limpet-expiration and limpet-metadata (percent-encoded) are headers of the answer") \
    X(kv_value_put, kv_value_put, PUT, "/kv/:resource/values/:key", DEPLOY, FILE, 204, "application/octet-stream", "", "expiration expiration_ttl metadata", \
      "Set the value of a key, any bytes")                                                                              \
    X(kv_value_delete, kv_value_delete, DELETE, "/kv/:resource/values/:key", DEPLOY, NONE, 204, "", "", "",             \
      "Delete a key")                                                                                                   \
    RESOURCE_ROUTES(X, queue, "/queues", "queue")                                                                       \
    X(queue_send, queue_send, POST, "/queues/:resource/messages", DEPLOY, UPLOAD, 202, "Messages", "", "",              \
      "Send messages to a queue")                                                                                       \
    X(queue_purge, queue_purge, POST, "/queues/:resource/purge", DEPLOY, NONE, 204, "", "", "",                         \
      "Remove all messages of a queue")                                                                                 \
    X(queue_pause, queue_pause, POST, "/queues/:resource/pause", DEPLOY, NONE, 204, "", "", "",                         \
      "Deliver nothing of a queue until it is resumed; messages may be sent")                                           \
    X(queue_resume, queue_resume, POST, "/queues/:resource/resume", DEPLOY, NONE, 204, "", "", "",                      \
      "Go on delivering messages of a queue")                                                                           \
    X(schedule_list, schedule_list, GET, "/schedules", READ, NONE, 200, "", "ScheduleList", "limit after",              \
      "Schedules, by name; after: of the last one seen")                                                                \
    X(schedule_create, schedule_create, POST, "/schedules", DEPLOY, SMALL, 201, "ScheduleNew", "Schedule", "",          \
      "Make a schedule")                                                                                                \
    X(schedule_show, schedule_show, GET, "/schedules/:schedule", READ, NONE, 200, "", "Schedule", "",                   \
      "One schedule, when it is due next, and what it has started")                                                     \
    X(schedule_put, schedule_put, PUT, "/schedules/:schedule", DEPLOY, SMALL, 200, "Plan", "Schedule", "",              \
      "Replace the plan of a schedule")                                                                                 \
    X(schedule_delete, schedule_delete, DELETE, "/schedules/:schedule", DEPLOY, NONE, 204, "", "", "",                  \
      "Delete a schedule")                                                                                              \
    X(schedule_pause, schedule_pause, POST, "/schedules/:schedule/pause", DEPLOY, NONE, 200, "", "Schedule", "",        \
      "Start nothing for a schedule until it is resumed")                                                               \
    X(schedule_resume, schedule_resume, POST, "/schedules/:schedule/resume", DEPLOY, NONE, 200, "", "Schedule", "",     \
      "Go on with a paused schedule at its next time")                                                                  \
    X(schedule_trigger, schedule_trigger, POST, "/schedules/:schedule/trigger", INVOKE, NONE, 202, "", "ScheduleStarted", "", \
      "Start what a schedule starts, now")                                                                              \
    X(schedule_backfill, schedule_backfill, POST, "/schedules/:schedule/backfill", DEPLOY, SMALL, 202, "Backfill", "ScheduleStarted", "", \
      "Start what a schedule would have started in a stretch of time")                                                  \
    X(usage_list, usage_list, GET, "/usage", READ, NONE, 200, "", "UsageList", "since module by",                       \
      "What modules used, a row for each, or with by=hour for each hour")                                               \
    X(quota_list, quota_list, GET, "/quotas", READ, NONE, 200, "", "QuotaList", "",                                     \
      "Functions and workflows that have quotas, by name")                                                              \
    X(quota_show, quota_show, GET, "/quotas/:module", READ, NONE, 200, "", "Quota", "",                                 \
      "What a function or workflow may hold, and holds")                                                                \
    X(quota_put, quota_put, PUT, "/quotas/:module", ADMIN, SMALL, 200, "QuotaSet", "Quota", "",                         \
      "Set quotas; those that are left out stay, null removes one. They hold at once")                                  \
    X(quota_delete, quota_delete, DELETE, "/quotas/:module", ADMIN, NONE, 204, "", "", "",                              \
      "Remove all quotas of a function or workflow; the server's defaults hold")                                        \
    X(secret_list, secret_list, GET, "/secrets/:module", READ, NONE, 200, "", "SecretList", "",                             \
      "Secrets of a function or workflow, by name; never their values")                                                 \
    X(secret_put, secret_put, PUT, "/secrets/:module/:var", DEPLOY, SMALL, 204, "SecretValue", "", "",                         \
      "Set a secret, which code reads as a variable, or of one with hosts its placeholder; the next request sees it")                                         \
    X(secret_delete, secret_delete, DELETE, "/secrets/:module/:var", DEPLOY, NONE, 204, "", "", "",                         \
      "Delete a secret")                                                                                                \
    X(shared_secret_list, shared_secret_list, GET, "/shared-secrets", READ, NONE, 200, "", "SecretList", "",                \
      "Secrets that all functions and workflows of the namespace read; never their values")                             \
    X(shared_secret_put, shared_secret_put, PUT, "/shared-secrets/:var", DEPLOY, SMALL, 204, "SecretValue", "", "",         \
      "Set a secret of the namespace; a module's own variable or secret of that name comes first")                      \
    X(shared_secret_delete, shared_secret_delete, DELETE, "/shared-secrets/:var", DEPLOY, NONE, 204, "", "", "",            \
      "Delete a secret of the namespace")                                                                               \
    X(route_list, route_list, GET, "/routes", READ, NONE, 200, "", "RouteList", "",                                         \
      "Hosts and paths that functions of the namespace answer for beside their names")                                  \
    X(egress_show, egress_show, GET, "/egress", READ, NONE, 200, "", "Egress", "",                                          \
      "Egress rules of the namespace in their order, and what becomes of requests that none is about")                  \
    X(egress_put, egress_put, PUT, "/egress", ADMIN, SMALL, 200, "EgressDefault", "Egress", "",                             \
      "Set what becomes of requests that no egress rule is about")                                                      \
    X(egress_add, egress_add, POST, "/egress/rules", ADMIN, SMALL, 201, "EgressRuleNew", "EgressRule", "",                  \
      "Add an egress rule behind the others, or before them; it holds at once")                                         \
    X(egress_remove, egress_remove, DELETE, "/egress/rules/:id", ADMIN, NONE, 204, "", "", "",                              \
      "Remove an egress rule")                                                                                          \
    X(egress_test, egress_test, POST, "/egress/test", READ, SMALL, 200, "EgressTest", "EgressVerdict", "",                  \
      "What the egress rules say of a request, which is not sent")                                                      \
    X(audit_list, audit_list, GET, "/audit", ADMIN, NONE, 200, "", "AuditList", "limit before",                             \
      "Control operations on the namespace, newest first: who, what, when, and how it ended")                           \
    X(audit_verify, audit_verify, GET, "/audit/verify", SERVER, NONE, 200, "", "AuditCheck", "after",                       \
      "Whether each row of the audit log covers the one before: 10,000 rows a request")                                \
    X(token_list, token_list, GET, "/tokens", ADMIN, NONE, 200, "", "TokenList", "",                                    \
      "Tokens of the namespace, oldest first; never the tokens themselves")                                             \
    X(token_create, token_create, POST, "/tokens", ADMIN, SMALL, 201, "TokenNew", "TokenMade", "",                      \
      "Make a token of the namespace; the answer is the only place where it stands")                                    \
    X(token_revoke, token_revoke, DELETE, "/tokens/:id", ADMIN, NONE, 204, "", "", "",                                  \
      "Revoke a token, at once")                                                                                        \
    X(namespace_quota_show, quota_show, GET, "/quota", READ, NONE, 200, "", "Quota", "",                                \
      "What all modules of the namespace may hold together, and hold")                                                  \
    X(namespace_quota_put, quota_put, PUT, "/quota", OWNER, SMALL, 200, "QuotaSet", "Quota", "",                        \
      "Set quotas of the namespace")                                                                                    \
    X(namespace_quota_delete, quota_delete, DELETE, "/quota", OWNER, NONE, 204, "", "", "",                             \
      "Remove all quotas of the namespace")                                                                             \
    X(health_show, health_show, GET, "/healthz", PUBLIC, NONE, 200, "", "Health", "",                                   \
      "Whether the server can do its work; needs no token")                                                             \
    X(metrics_show, metrics_show, GET, "/metrics", SERVER, NONE, 200, "", "text/plain", "",                             \
      "Metrics in Prometheus' text format")                                                                             \
    X(openapi_show, openapi_show, GET, "/openapi.json", ANY, NONE, 200, "", "object", "",                               \
      "This description")
/* clang-format on */

struct admin_request;

#define X(id, handler, ...) void handler(struct admin_request *r);
ADMIN_ROUTES(X)
#undef X
void resource_set(struct admin_request *r);

enum { ROUTE_PARAMS_MAX = 2 };

struct route {
    const char *id; /* "workflow_upload" */
    enum route_method method;
    const char *path;
    enum route_role role;
    enum route_body body;
    int status;
    const char *request, *response, *query, *summary;
    void (*handler)(struct admin_request *r);
};

extern const struct route routes_table[];
extern const size_t routes_count;

const char *route_method_text(enum route_method method);
enum module_kind route_kind(const struct route *route); /* of what is below /workflows, say */
size_t route_body_bytes_max(enum route_body body);
/* Does it change something that the audit log tells of? Runs of code are in their own lists. */
bool route_is_audited(const struct route *route);
/* May "/namespaces/:namespace" stand in front of its path? */
bool route_has_namespace(const struct route *route);
#define ROUTE_NAMESPACES "/namespaces/"

struct route_match {
    const struct route *route;             /* NULL: none for this method */
    struct slice space;                    /* "": none was named; encoded as params are */
    struct slice params[ROUTE_PARAMS_MAX]; /* still encoded, borrowed from path */
    char allow[64];                        /* methods of the path, "" if no route has it */
};

/* path without query. HEAD matches GET. */
void route_find(struct slice method, struct slice path, struct route_match *ret_match);
