/* SPDX-License-Identifier: Apache-2.0
 *
 * The description of the API for programs (OpenAPI 3.1 at /openapi.json) and for people
 * (docs/http-api.md), both written from the table of routes and the table of fields below.
 *
 * A field's type is string, integer, number, boolean, object, any, time (ISO 8601 text), or the
 * name of another schema; "[]" in front makes an array of it, "?" behind lets it be null. A schema
 * whose name ends in "List" is an array of the schema before that. */
#include <string.h>

#include "admin/internal.h"

struct field {
    const char *schema, *name, *type;
    bool is_required;
    const char *help;
};

static const struct field fields[] = {
    {"Namespace", "name", "string", true, "1 to 63 lower-case letters, digits and inner hyphens"},
    {"Namespace", "functions", "integer", true, "how many it has"},
    {"Namespace", "workflows", "integer", true, ""},
    {"Namespace", "created_at", "time?", true, "null: the default one, which is always there"},
    {"Namespace", "created_at_ms", "integer?", true, ""},
    {"NamespaceNew", "name", "string", true, ""},
    {"NamespaceDeleted", "name", "string", true, ""},
    {"NamespaceDeleted", "deleted", "[]string", true,
     "names of the modules that went with it, and with all resources"},
    {"TokenNew", "role", "string", true,
     "read, invoke, deploy or admin; each may what the ones before it may"},
    {"TokenMade", "id", "string", true, "names it in lists and in the audit log"},
    {"TokenMade", "namespace", "string", true, ""},
    {"TokenMade", "role", "string", true, ""},
    {"TokenMade", "token", "string", true, "limpet_ID_SECRET; it is stored nowhere"},
    {"Token", "id", "string", true, ""},
    {"Token", "namespace", "string", true, ""},
    {"Token", "role", "string", true, ""},
    {"Token", "created_at", "time", true, ""},
    {"Token", "created_at_ms", "integer", true, ""},
    {"Token", "used_at", "time?", true, "to the minute; null: never"},
    {"Token", "used_at_ms", "integer?", true, ""},
    {"Upload", "name", "string", true, "1 to 63 lower-case letters, digits and inner hyphens"},
    {"Upload", "source", "string?", false,
     "TypeScript or JavaScript, one file; the server bundles it"},
    {"Upload", "bundle", "string?", false,
     "an ES module that is bundled already, in place of source"},
    {"Upload", "source_map", "string?", false, "source map of bundle (JSON text, version 3)"},
    {"Upload", "runtime", "string?", false,
     "what runs it; left out: what takes TypeScript and JavaScript, \"script\""},
    {"Upload", "consumers", "[]Consumer?", false, "queues whose messages its queue() gets"},
    {"Upload", "schedules", "[]ScheduleNew?", false,
     "what the module declares; replaces what it has declared before"},
    {"Upload", "isolation", "string?", false,
     "request (default): fresh globals for each request; module: globals are kept"},
    {"Upload", "limits", "Limits?", false, "what one request may use; left out: the defaults"},
    {"Upload", "egress", "[]string?", false,
     "domains that may be reached: exact, *.suffix, or with :port; left out: all public hosts"},
    {"Upload", "vars", "object?", false,
     "variables of this version: strings as they are, other values as JSON; those that are set "
     "otherwise "
     "take the place of the ones of their names"},
    {"Upload", "routes", "[]string?", false,
     "hosts and paths that it answers for beside its name, as example.com/api/*; docs/projects.md"},
    {"Upload", "bindings", "[]Binding?", false,
     "what its code finds in env beside variables; docs/bindings.md"},
    {"Upload", "assets", "Assets?", false,
     "static files, whose contents have been uploaded before"},
    {"Upload", "serve", "boolean?", false,
     "false: the version that serves goes on; PUT …/traffic gives this one requests. Default true"},
    {"Limits", "memory_mb", "integer", false, "linear memory, 4 to 4096; default 64"},
    {"Limits", "cpu_ms", "integer", false, "CPU time of one request, 1 to 600000; default 1000"},
    {"Limits", "wall_ms", "integer", false, "time of one request, 1 to 3600000; default 30000"},
    {"Limits", "sql_transaction_ms", "integer", false,
     "what code and SQL inside transaction() may compute before it is rolled back, 1 to 60000; "
     "default 100"},
    {"Uploaded", "name", "string", true, ""},
    {"Uploaded", "namespace", "string", true, ""},
    {"Uploaded", "version", "integer", true,
     "202: the version that serves now, 0 if none; 200 (wait): the one this build made"},
    {"Uploaded", "url", "string?", false,
     "where the function answers; with wait; null: a workflow"},
    {"Uploaded", "resources_made", "[]ResourceMade", true,
     "what it is bound to and was not there; made together with the version"},
    {"Uploaded", "build", "BuildState", true, "with wait a whole Build"},
    {"ResourceMade", "type", "string", true, "kv, …"},
    {"ResourceMade", "name", "string", true, ""},
    {"BuildState", "id", "integer", true, "1, 2, 3 for each function"},
    {"BuildState", "status", "string", true, "queued, bundling, evaluating, ready or failed"},
    {"Function", "name", "string", true, ""},
    {"Function", "namespace", "string", true, ""},
    {"Function", "status", "string", true,
     "ready: a version serves; before the first one: storing, compiling or failed"},
    {"Function", "version", "integer", true, "number of the version that serves, 0 if none"},
    {"Function", "split", "Split?", true, "another version that has a part of the requests"},
    {"Function", "content_hash", "string?", true, "SHA-256 of its bundle"},
    {"Function", "url", "string?", true, "where it answers; null: a workflow"},
    {"Function", "last_build", "BuildState?", true, ""},
    {"Function", "created_at", "time", true, ""},
    {"Function", "created_at_ms", "integer", true, ""},
    {"Function", "updated_at", "time", true, ""},
    {"Function", "updated_at_ms", "integer", true, ""},
    {"Function", "isolation", "string", false, "of the serving version; not in lists"},
    {"Function", "limits", "Limits", false, "of the serving version; not in lists"},
    {"Function", "egress", "[]string?", false, "of the serving version, null: all; not in lists"},
    {"Function", "vars", "object?", false, "of the serving version, null: none; not in lists"},
    {"Function", "routes", "[]string", false,
     "of the serving version: what it answers for beside its name; not in lists"},
    {"Function", "bindings", "[]Binding?", false,
     "of the serving version, null: none; not in lists"},
    {"Function", "version_created_at", "time", false, "not in lists"},
    {"Function", "version_created_at_ms", "integer", false, "not in lists"},
    {"Assets", "files", "[]any", true, "[path, SHA-256, size] each; a path is \"/a/b.html\""},
    {"Assets", "code", "boolean", false,
     "what is no file is the code's business; else it is not found"},
    {"Assets", "html", "string", false, "html_handling: auto-trailing-slash (default), …"},
    {"Assets", "not_found", "string", false,
     "not_found_handling: none (default), 404-page or single-page-application"},
    {"Assets", "first", "any", false, "run_worker_first: true, or patterns of paths"},
    {"Assets", "immutable", "[]string", false, "patterns of paths whose content never changes"},
    {"Assets", "navigation", "boolean", false,
     "false: the code is asked before a 404 page or the SPA, also for navigations"},
    {"Assets", "headers", "string", false, "text of _headers"},
    {"Assets", "redirects", "string", false, "text of _redirects"},
    {"AssetHashes", "hashes", "[]string", true, "SHA-256 of contents, at most 20000"},
    {"AssetsMissing", "missing", "[]string", true, "those to upload"},
    {"Split", "version", "integer", true, ""},
    {"Split", "percent", "number", true,
     "of the requests; who sends limpet-version-key, as a header or cookie, "
     "always meets the same version"},
    {"Version", "version", "integer", true, "1, 2, 3 for each function or workflow"},
    {"Version", "percent", "number", true, "of the requests: 100 for the one that serves alone"},
    {"Version", "content_hash", "string?", true, "SHA-256 of its bundle"},
    {"Version", "created_at", "time", true, ""},
    {"Version", "created_at_ms", "integer", true, ""},
    {"Version", "isolation", "string", false, "not in lists"},
    {"Version", "limits", "Limits", false, "not in lists"},
    {"Version", "egress", "[]string?", false, "not in lists"},
    {"Version", "vars", "object?", false, "not in lists"},
    {"Version", "routes", "[]string", false, "not in lists"},
    {"Version", "bindings", "[]Binding?", false, "not in lists"},
    {"RouteList", "routes", "[]Route", true, "by module"},
    {"Route", "pattern", "string", true, "as example.com/api/*"},
    {"Route", "module", "string", true, "the function"},
    {"Binding", "type", "string", true, "service, workflow, assets, kv, …: docs/bindings.md"},
    {"Binding", "name", "string", true, "by which the code finds it in env"},
    {"Binding", "service", "string", false,
     "of a service: a function of the same namespace, which must be there"},
    {"Binding", "entrypoint", "string?", false,
     "of a service: an exported class of that function; left out: its default export"},
    {"Binding", "props", "object?", false, "of a service: what that sees as ctx.props"},
    {"Binding", "bucket", "string", false,
     "of a bucket: its name; a deploy makes it if it is not there"},
    {"Binding", "kv", "string", false,
     "of a KV namespace: its name; a deploy makes it if it is not there"},
    {"Binding", "d1", "string", false,
     "of a database: its name; a deploy makes it if it is not there"},
    {"Binding", "namespace_id", "string", false, "of a rate limit: what it counts in"},
    {"Binding", "simple", "object", false, "of a rate limit: limit, and period, 10 or 60 seconds"},
    {"Binding", "workflow", "string?", false,
     "of a workflow: the module that exports it; left out: the module itself"},
    {"Binding", "export", "string?", false, "of a workflow: which of its exports"},
    {"Binding", "class_name", "string", false,
     "of actors (durable_object_namespace): the exported class of which they are instances"},
    {"Binding", "renamed", "object?", false,
     "of actors: {from}: what the class was called at first, whose instances these are"},
    {"Binding", "script_name", "string?", false,
     "of actors: the function that exports it; left out: the module itself"},
    {"Statements", "sql", "string", false, "a statement, or several without parameters"},
    {"Statements", "params", "[]any?", false,
     "null, booleans, numbers, strings, or {\"base64\": \"text\"}"},
    {"Statements", "statements", "[]any", false, "instead of these: objects with sql and params"},
    {"Statements", "atomic", "boolean", false, "of a list: in one transaction"},
    {"StatementResults", "duration_ms", "number", true, ""},
    {"StatementResults", "size_bytes", "integer", true, "of the database"},
    {"StatementResults", "results", "[]StatementResult", true, "of each, in order"},
    {"StatementResult", "columns", "[]string", true, ""},
    {"StatementResult", "rows", "[]any", true, "arrays of values, as they are given"},
    {"StatementResult", "changes", "integer", true, "rows that the last statement changed"},
    {"StatementResult", "last_row_id", "integer", true, ""},
    {"StatementResult", "rows_read", "integer", true, "about: those of scans"},
    {"StatementResult", "rows_written", "integer", true, ""},
    {"StatementResult", "statements", "integer", true, "how many the text had"},
    {"ResourceNew", "name", "string", true, "1 to 63 letters, digits and inner '-', '_', '.'"},
    {"ResourceNew", "settings", "object?", false, "of kinds that have some"},
    {"ResourceSet", "settings", "object?", false, "null: the defaults"},
    {"Resource", "name", "string", true, ""},
    {"Resource", "type", "string", true, "kv, …"},
    {"Resource", "namespace", "string", true, ""},
    {"Resource", "id", "integer", true, "never used again"},
    {"Resource", "items", "integer", true, "keys and the like in it"},
    {"Resource", "stored_bytes", "integer", true, "which count to the disk quota of the namespace"},
    {"Resource", "settings", "object?", true, ""},
    {"Resource", "created_at", "time", true, ""},
    {"Resource", "created_at_ms", "integer", true, ""},
    {"Resource", "bound_to", "[]string", false,
     "functions and workflows of which a version that serves is bound to it; not in lists"},
    {"KvKey", "name", "string", true, ""},
    {"KvKey", "bytes", "integer", true, "of the value"},
    {"KvKey", "expiration", "integer?", true, "seconds since 1970; null: never"},
    {"KvKey", "metadata", "any", true, ""},
    {"KvKey", "version", "integer", true, "another one for each value, growing"},
    {"Traffic", "percent", "number", true,
     "0 to 100: 100 makes it the one that serves, 0 takes its part away"},
    {"Build", "id", "integer", true, "1, 2, 3 for each function"},
    {"Build", "function", "string", false, "its name; of a workflow in workflow instead"},
    {"Build", "workflow", "string", false, ""},
    {"Build", "namespace", "string", true, ""},
    {"Build", "status", "string", true,
     "queued, bundling, evaluating, ready (the next public request is served by it) or failed"},
    {"Build", "version", "integer?", true,
     "the version it made; the one before if nothing changed"},
    {"Build", "created_at", "time", true, ""},
    {"Build", "created_at_ms", "integer", true, ""},
    {"Build", "started_at", "time?", true, ""},
    {"Build", "started_at_ms", "integer?", true, ""},
    {"Build", "finished_at", "time?", true, ""},
    {"Build", "finished_at_ms", "integer?", true, ""},
    {"Build", "duration_ms", "number?", true, "from upload to end"},
    {"Build", "error", "BuildError?", true, "when failed"},
    {"BuildError", "code", "string", true, "build_failed"},
    {"BuildError", "message", "string", true, ""},
    {"BuildError", "file", "string?", true, ""},
    {"BuildError", "line", "integer?", true, "from 1"},
    {"BuildError", "column", "integer?", true, "from 1"},
    {"BuildError", "frame", "string?", true, "the lines around it, with a mark"},
    {"Execute", "body", "any", false, "what the function gets as its input; default null"},
    {"Execute", "metadata", "object?", false, "default {}"},
    {"Executed", "execution_id", "string", true, ""},
    {"Executed", "status", "string", true, "success; failure comes with the status of its error"},
    {"Executed", "output", "any", false, "what the function returned"},
    {"Executed", "error", "ExecutionError", false, "in place of output when it failed"},
    {"ExecutionError", "code", "string", true, "guest_error, limit_cpu, timeout, …"},
    {"ExecutionError", "message", "string", true, ""},
    {"ExecutionError", "hint", "string", false, ""},
    {"ExecutionError", "name", "string?", true, "of the exception: TypeError"},
    {"ExecutionError", "stack", "string?", true, "its frames, in the lines of the sources"},
    {"Start", "body", "any", false, "what the workflow gets as its input; default null"},
    {"Start", "metadata", "object?", false, "default {}"},
    {"Start", "id", "string?", false,
     "a key, 1 to 200 bytes: the same one again is the same execution"},
    {"Started", "execution_id", "string", true, ""},
    {"Started", "status", "string", true,
     "queued, running, suspended, completed, failed or cancelled"},
    {"Started", "output", "any", false, "what the workflow returned, when it has completed (200)"},
    {"Started", "error", "ExecutionError?", false,
     "in place of output when it failed or was cancelled (200)"},
    {"Execution", "execution_id", "string", true, "a UUID"},
    {"Execution", "id", "string", true, "the same"},
    {"Execution", "function", "string", false,
     "of a run of a function; the members below that are marked W are of workflows"},
    {"Execution", "workflow", "string", false, "W: NAME or NAME.EXPORT"},
    {"Execution", "namespace", "string", true, ""},
    {"Execution", "key", "string?", false, "W: the id that its start gave"},
    {"Execution", "version", "integer", true, "the one that it runs"},
    {"Execution", "status", "string", true,
     "functions: running, success or failure; workflows: queued, running, suspended, completed, "
     "failed or cancelled"},
    {"Execution", "paused", "boolean", false, "W"},
    {"Execution", "parked", "string?", false,
     "W: why the server has paused it by itself; 'resume' or 'retry' goes on with it"},
    {"Execution", "cancel_requested", "boolean", false, "W: it has been asked to end"},
    {"Execution", "error", "ExecutionError?", true, ""},
    {"Execution", "progress", "any", false, "W: what it published last"},
    {"Execution", "parent", "string?", false, "W: the execution that started it"},
    {"Execution", "records", "integer", false, "W: in its journal"},
    {"Execution", "attempt", "integer", false, "W: 1, and one more for each retry"},
    {"Execution", "created_at", "time", true, ""},
    {"Execution", "created_at_ms", "integer", true, ""},
    {"Execution", "started_at", "time?", false, "W"},
    {"Execution", "started_at_ms", "integer?", false, "W"},
    {"Execution", "finished_at", "time?", true, ""},
    {"Execution", "finished_at_ms", "integer?", true, ""},
    {"Execution", "wake_at", "time?", false,
     "W: when a suspended one is due; null: only a signal or a child makes it go on"},
    {"Execution", "wake_at_ms", "integer?", false, "W"},
    {"Execution", "duration_ms", "number?", true, "from created to finished"},
    {"Execution", "input", "any", false, "not in lists"},
    {"Execution", "metadata", "any", false, "not in lists"},
    {"Execution", "output", "any", false, "not in lists"},
    {"Execution", "logs", "[]Log", false, "of functions; not in lists"},
    {"ExecutionState", "execution_id", "string", true, "of a fork: the new one"},
    {"ExecutionState", "status", "string", true, "after the operation"},
    {"ExecutionState", "paused", "boolean", true, ""},
    {"ExecutionState", "parked", "string?", true, ""},
    {"ExecutionState", "cancel_requested", "boolean", true, ""},
    {"Signal", "name", "string", true, "1 to 200 bytes"},
    {"Signal", "data", "any", false, "what waitForEvent gives as data; default null"},
    {"Retry", "version", "any", false,
     "a number, or \"latest\"; left out: the version that it ran"},
    {"Fork", "record", "integer?", false, "the first record that is not kept; left out: all are"},
    {"Check", "source", "string?", false,
     "TypeScript or JavaScript, one file; the server bundles it"},
    {"Check", "bundle", "string?", false,
     "an ES module that is bundled already, in place of source; code is another name for it"},
    {"Check", "code", "string?", false, "see bundle"},
    {"Check", "source_map", "string?", false, "source map of bundle"},
    {"Checked", "checked", "integer", true, "executions that were replayed"},
    {"Checked", "agreeing", "integer", true, "of them, those that the code would go on with"},
    {"Checked", "diverged", "[]Divergence", true, ""},
    {"Divergence", "execution_id", "string", true, ""},
    {"Divergence", "record", "integer", false, "number of the record where they part"},
    {"Divergence", "recorded", "string", false, "what the journal has"},
    {"Divergence", "did", "string", false, "what the code did instead"},
    {"Divergence", "at", "string", false, "where, in the lines of the source, if that is known"},
    {"Divergence", "error", "string", false, "in their place: why it could not be replayed"},
    {"Migrated", "checked", "integer", true, "executions that were replayed"},
    {"Migrated", "migrated", "integer", true, "executions that run the newest version now"},
    {"Migrated", "left", "[]Divergence", true, "those that would diverge stay on theirs"},
    {"Record", "n", "integer", true, "its number, from 0"},
    {"Record", "kind", "string", true, "start, sync, done, attempt, cancel or end"},
    {"Record", "at", "time", true, "when the code learned it"},
    {"Record", "at_ms", "integer", true, ""},
    {"Record", "op", "string?", true, "fetch, step, timer, …: docs/ops.md"},
    {"Record", "id", "integer?", true, "number of the asynchronous call"},
    {"Record", "label", "string?", true, "for people"},
    {"Record", "digest", "string?", true,
     "first 12 hexadecimal digits of the SHA-256 of the result"},
    {"Record", "bytes", "integer", true, "size of the result"},
    {"Record", "attempts", "integer?", true, "of a step: how often it was tried so far"},
    {"Record", "status", "string", true, "ok, or the code of an error"},
    {"Record", "error", "string?", true, "what went wrong"},
    {"Record", "value", "any", false, "the result, with values"},
    {"EnvVar", "name", "string", true, "letters, digits and _, not starting with a digit"},
    {"EnvVar", "value", "string", true, ""},
    {"EnvValue", "value", "string", true, "at most 64 KiB"},
    {"SecretValue", "value", "string", true, "at most 64 KiB"},
    {"SecretValue", "hosts", "[]string?", false,
     "hosts that it goes to, in headers: code has a placeholder; []: to none, code has the value; "
     "left "
     "out: as it is"},
    {"Secret", "name", "string", true, "letters, digits and _, not starting with a digit"},
    {"Secret", "version", "integer", true, "another one for each value that it had"},
    {"Secret", "hosts", "[]string?", true, "it is bound to them; null: to none"},
    {"Secret", "created_at", "time", true, ""},
    {"Secret", "created_at_ms", "integer", true, ""},
    {"Secret", "updated_at", "time", true, ""},
    {"Secret", "updated_at_ms", "integer", true, ""},
    {"Messages", "messages", "[]Message", true, "at most 100, and 256 KiB"},
    {"Message", "body", "any", true, "JSON, or with content_type text a string"},
    {"Message", "content_type", "string?", false, "json (default) or text"},
    {"Message", "delay_seconds", "integer?", false, "delivered that much later"},
    {"Consumer", "queue", "string", true, "its name; a deploy makes it"},
    {"Consumer", "max_batch_size", "integer?", false, "1 to 100, default 10"},
    {"Consumer", "max_batch_timeout", "number?", false, "seconds, 0 to 60, default 5"},
    {"Consumer", "max_retries", "integer?", false, "0 to 100, default 3"},
    {"Consumer", "dead_letter_queue", "string?", false, "where messages go that failed more often"},
    {"Consumer", "max_concurrency", "integer?", false, "batches at a time, 1 to 250, default 10"},
    {"Consumer", "retry_delay", "integer?", false, "seconds, default 0"},
    {"Plan", "cron", "string?", false, "five or six fields; docs/schedules.md"},
    {"Plan", "timezone", "string?", false, "of cron, as Europe/Berlin; default UTC"},
    {"Plan", "every_ms", "integer?", false, "instead of cron: an interval, at least 1000"},
    {"Plan", "at", "any", false, "instead of cron: once, then; a time or milliseconds"},
    {"Plan", "function", "string?", false, "what is started: scheduled() of a function,"},
    {"Plan", "workflow", "string?", false, "or an execution of NAME or NAME.EXPORT,"},
    {"Plan", "queue", "string?", false, "or a message"},
    {"Plan", "input", "any", false, "of the execution"},
    {"Plan", "body", "any", false, "of the message"},
    {"Plan", "overlap", "string?", false,
     "allow (default), skip or queue: while the one before runs"},
    {"Plan", "missed", "string?", false,
     "one (default), all or none: what becomes of missed times"},
    {"Plan", "jitter_ms", "integer?", false, "each run is late by up to so much"},
    {"ScheduleNew", "name", "string", true, "1 to 63 letters, digits, '-', '_' and '.'"},
    {"ScheduleNew", "cron", "string?", false, "this and the other members as of Plan"},
    {"Schedule", "name", "string", true, ""},
    {"Schedule", "namespace", "string", true, ""},
    {"Schedule", "declared_by", "string?", true, "the module whose deploys make and change it"},
    {"Schedule", "plan", "Plan", true, ""},
    {"Schedule", "paused", "boolean", true, ""},
    {"Schedule", "next_at", "time?", true, "without its jitter; null: not again, or paused"},
    {"Schedule", "next_at_ms", "integer?", true, ""},
    {"Schedule", "last_at", "time?", true, "the last time that something was started for"},
    {"Schedule", "last_at_ms", "integer?", true, ""},
    {"Schedule", "last_execution", "string?", true, "that was started then, if it is a workflow's"},
    {"Schedule", "started", "integer", true, ""},
    {"Schedule", "skipped", "integer", true, "times for which nothing was started"},
    {"Schedule", "failed", "integer", true, "runs that threw each time, or could not be started"},
    {"Schedule", "running", "integer", true, "runs of a function that have not ended"},
    {"Schedule", "created_at", "time", true, ""},
    {"Schedule", "created_at_ms", "integer", true, ""},
    {"Schedule", "updated_at", "time", true, ""},
    {"Schedule", "updated_at_ms", "integer", true, ""},
    {"ScheduleStarted", "started", "integer", true, ""},
    {"Backfill", "from", "any", true, "a time or milliseconds"},
    {"Backfill", "to", "any", true, "likewise, inclusive; at most 1000 times lie between them"},
    {"Egress", "namespace", "string", true, ""},
    {"Egress", "default", "string", true, "allow or deny: what no rule is about"},
    {"Egress", "rules", "[]EgressRule", true, "the first that fits holds"},
    {"EgressRule", "id", "integer", true, "its number, which errors and the audit log name"},
    {"EgressRule", "action", "string", true, "allow or deny"},
    {"EgressRule", "methods", "[]string?", true, "null: all"},
    {"EgressRule", "pattern", "string", true, "[http://|https://]HOST[:PORT][/PATH]"},
    {"EgressRule", "module", "string?", true, "null: for all modules of the namespace"},
    {"EgressRuleNew", "action", "string", true, "allow or deny"},
    {"EgressRuleNew", "pattern", "string", true,
     "[http://|https://]HOST[:PORT][/PATH]; *.example.com is every name below; * every host"},
    {"EgressRuleNew", "methods", "[]string?", false, "left out: all"},
    {"EgressRuleNew", "module", "string?", false, "left out: for all modules of the namespace"},
    {"EgressRuleNew", "first", "boolean", false, "before the other rules"},
    {"EgressDefault", "default", "string", true, "allow or deny"},
    {"EgressTest", "url", "string", true, ""},
    {"EgressTest", "method", "string?", false, "default GET"},
    {"EgressTest", "module", "string?", false, "who sends it"},
    {"EgressVerdict", "allowed", "boolean", true,
     "by these rules; addresses that are not public are the server's to open"},
    {"EgressVerdict", "rule", "EgressRule?", true, "null: none fits, so the default holds"},
    {"Audit", "seq", "integer", true, "its number, without gaps over all namespaces"},
    {"Audit", "at", "time", true, ""},
    {"Audit", "at_ms", "integer", true, ""},
    {"Audit", "actor", "string", true,
     "id of the token; server: whoever runs the server; code: a function or workflow"},
    {"Audit", "namespace", "string", true, ""},
    {"Audit", "action", "string", true,
     "name of the route: function_upload, env_put, …; egress: a request of code was refused by a "
     "rule"},
    {"Audit", "target", "string", true, "what of it: the module, and what of that"},
    {"Audit", "outcome", "string", true, "ok, or the code of the error"},
    {"Audit", "hash", "string", true, "SHA-256 of the row and the hash before"},
    {"AuditCheck", "ok", "boolean", true, "so far"},
    {"AuditCheck", "checked", "integer", true, "rows"},
    {"AuditCheck", "from", "integer", true, "number of the first of them"},
    {"AuditCheck", "trimmed", "integer?", true,
     "the rows up to this one were removed by --audit-keep-s or --audit-rows; null: none"},
    {"AuditCheck", "trimmed_at", "time?", true, "when the last of them were"},
    {"AuditCheck", "trimmed_at_ms", "integer?", true, ""},
    {"AuditCheck", "until", "integer", true, "number of the last of them"},
    {"AuditCheck", "hash", "string?", true,
     "of that one: noted elsewhere, it shows later that no row before was replaced"},
    {"AuditCheck", "more", "boolean", true, "there are rows behind it: ask again with after=until"},
    {"AuditCheck", "bad", "integer?", true,
     "number of the first row that is not as it was written"},
    {"AuditCheck", "why", "string?", true, ""},
    {"Log", "id", "integer", true, "grows; give the last one as after to go on"},
    {"Log", "level", "string", true, "debug, info, warn or error"},
    {"Log", "at", "time", true, ""},
    {"Log", "at_ms", "integer", true, ""},
    {"Log", "execution_id", "string?", true, "null for public requests"},
    {"Log", "text", "string", true, ""},
    {"Usage", "module", "string", true, "name of a function or workflow, also of a deleted one"},
    {"Usage", "namespace", "string", true, ""},
    {"Usage", "hour", "time?", true, "when the hour began; null: a total"},
    {"Usage", "hour_ms", "integer?", true, ""},
    {"Usage", "requests", "integer", true, "requests and runs that a guest took"},
    {"Usage", "cpu_seconds", "number", true, "of engine threads"},
    {"Usage", "memory_byte_seconds", "integer", true, "memory of its guests, over time"},
    {"Usage", "egress_bytes", "integer", true, "of answers and requests that left"},
    {"Usage", "stored_bytes", "integer?", true,
     "its database, executions and versions now; null: of an hour"},
    {"Quota", "module", "string", false,
     "name of a function or workflow; left out: all of the namespace"},
    {"Quota", "namespace", "string", true, ""},
    {"Quota", "memory_bytes", "QuotaState", true, "its guests and what is buffered for them"},
    {"Quota", "isolates", "QuotaState", true, "at work or idle; at the quota requests wait"},
    {"Quota", "connections", "QuotaState", true, "outgoing, in use; at the quota fetch() waits"},
    {"Quota", "lookups", "QuotaState", true, "of names, under way; at the quota fetch() waits"},
    {"Quota", "disk_bytes", "QuotaState", true, "its database, executions and versions"},
    {"QuotaState", "quota", "integer?", true, "null: none is set"},
    {"QuotaState", "max", "integer", true, "what holds: the quota, else the server's default"},
    {"QuotaState", "used", "integer", true, "now"},
    {"QuotaSet", "memory_bytes", "integer?", false, "null: the server's default"},
    {"QuotaSet", "isolates", "integer?", false, "at least the server's threads"},
    {"QuotaSet", "connections", "integer?", false, ""},
    {"QuotaSet", "lookups", "integer?", false, ""},
    {"QuotaSet", "disk_bytes", "integer?", false, "null: --database-max"},
    {"Health", "status", "string", true, "ok"},
    {"Health", "version", "string", true, "of the server"},
    {"Error", "error", "ErrorDetail", true, "the one shape of every error"},
    {"ErrorDetail", "code", "string", true, "not_found, invalid, …"},
    {"ErrorDetail", "message", "string", true, "what went wrong"},
    {"ErrorDetail", "hint", "string", false, "what to do about it"},
};

struct parameter {
    const char *name, *type, *help;
};

static const struct parameter parameters[] = {
    {"wait", "string", "answer when it has ended, or after this time: 30s, 500ms, at most 5m"},
    {"limit", "integer", "how many, at most 1000"},
    {"cursor", "string", "from the rel=\"next\" link of the page before"},
    {"after", "integer",
     "only lines with a greater id, or records with a greater number; left out: the newest lines, "
     "the first records"},
    {"values", "boolean", "with the results themselves"},
    {"workflow", "string",
     "only executions of this workflow: NAME, all of the module; NAME.EXPORT, those started by "
     "that "
     "name; NAME.default, those started by NAME too. A page may be short while its Link says that "
     "there is more"},
    {"status", "string",
     "only those that are queued, running, suspended, completed, failed or cancelled"},
    {"since", "string",
     "from the hour of then on: 24h (default), 90m, 7d, or a time such as 2026-01-31T12:00:00Z"},
    {"module", "string", "only this one"},
    {"by", "string", "hour: a row for each hour"},
    {"before", "integer", "only rows with a smaller number"},
    {"force", "boolean", "delete what is in it, too"},
    {"prefix", "string", "only those whose names begin so"},
    {"expiration", "integer", "when it goes, in seconds since 1970"},
    {"expiration_ttl", "integer", "in so many seconds it goes, at least 60"},
    {"metadata", "string", "JSON of at most 1024 bytes"},
    {"unbind", "boolean", "although it is in use: code that has it then gets errors"},
    {"parent", "string", "only those that this execution started"},
    {"follow", "boolean",
     "keep the answer open: one JSON line for each log line, empty lines now and then"},
};

static const struct parameter *parameter_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(parameters); i++) {
        if (slice_eq_cstr(name, parameters[i].name))
            return &parameters[i];
    }
    CHECK(!"a route names a query parameter that is not described");
    return NULL;
}

/* ---- types ---- */

static bool is_plain(struct slice type)
{
    return slice_eq_cstr(type, "string") || slice_eq_cstr(type, "integer") ||
           slice_eq_cstr(type, "number") || slice_eq_cstr(type, "boolean") ||
           slice_eq_cstr(type, "object");
}

static void ref_json(struct json_writer *w, struct slice schema)
{
    CLEANUP(bytes_done) struct bytes ref = BYTES_INIT;
    bytes_printf(&ref, "#/components/schemas/%.*s", SLICE_ARG(schema));
    json_key(w, "$ref");
    json_slice(w, bytes_slice(&ref));
}

/* The members of a schema object for a type. */
static void type_json(struct json_writer *w, struct slice type, bool is_nullable)
{
    bool is_time = slice_eq_cstr(type, "time");
    if (slice_eq_cstr(type, "any"))
        return;
    if (slice_starts(type, SLICE_LIT("[]"))) {
        json_key(w, "items");
        json_open(w, '{');
        type_json(w, slice_skip(type, 2), false);
        json_close(w, '}');
        type = SLICE_LIT("array");
    } else if (is_time) {
        json_key(w, "format");
        json_cstr(w, "date-time");
        type = SLICE_LIT("string");
    } else if (!is_plain(type)) {
        if (!is_nullable) {
            ref_json(w, type);
            return;
        }
        json_key(w, "anyOf");
        json_open(w, '[');
        json_open(w, '{');
        ref_json(w, type);
        json_close(w, '}');
        json_open(w, '{');
        json_key(w, "type");
        json_cstr(w, "null");
        json_close(w, '}');
        json_close(w, ']');
        return;
    }
    json_key(w, "type");
    if (!is_nullable) {
        json_slice(w, type);
        return;
    }
    json_open(w, '[');
    json_slice(w, type);
    json_cstr(w, "null");
    json_close(w, ']');
}

static void field_json(struct json_writer *w, const struct field *f)
{
    struct slice type = slice_cstr(f->type);
    bool is_nullable = slice_ends(type, SLICE_LIT("?"));
    if (is_nullable)
        type.len--;
    json_key(w, f->name);
    json_open(w, '{');
    type_json(w, type, is_nullable);
    if (f->help[0]) {
        json_key(w, "description");
        json_cstr(w, f->help);
    }
    json_close(w, '}');
}

/* A schema by its name in the table of routes. */
static void schema_json(struct json_writer *w, struct slice name)
{
    json_open(w, '{');
    if (slice_ends(name, SLICE_LIT("List"))) {
        json_key(w, "type");
        json_cstr(w, "array");
        json_key(w, "items");
        json_open(w, '{');
        ref_json(w, slice_of(name.ptr, name.len - 4));
        json_close(w, '}');
    } else {
        type_json(w, name, false);
    }
    json_close(w, '}');
}

static void schemas_json(struct json_writer *w)
{
    json_key(w, "schemas");
    json_open(w, '{');
    for (size_t i = 0; i < ARRAY_LEN(fields);) {
        const char *schema = fields[i].schema;
        size_t end = i;
        while (end < ARRAY_LEN(fields) && strcmp(fields[end].schema, schema) == 0)
            end++;
        json_key(w, schema);
        json_open(w, '{');
        json_key(w, "type");
        json_cstr(w, "object");
        json_key(w, "required");
        json_open(w, '[');
        for (size_t j = i; j < end; j++) {
            if (fields[j].is_required)
                json_cstr(w, fields[j].name);
        }
        json_close(w, ']');
        json_key(w, "properties");
        json_open(w, '{');
        for (; i < end; i++)
            field_json(w, &fields[i]);
        json_close(w, '}');
        json_close(w, '}');
    }
    json_close(w, '}');
}

/* ---- paths ---- */

/* "/functions/:name" as "/functions/{name}" */
static void path_template(const char *path, struct bytes *out)
{
    bool is_open = false;
    for (const char *p = path; *p; p++) {
        if (*p == '/' && is_open) {
            bytes_append_char(out, '}');
            is_open = false;
        }
        bytes_append_char(out, *p == ':' ? '{' : *p);
        is_open |= *p == ':';
    }
    if (is_open)
        bytes_append_char(out, '}');
}

static void one_parameter_json(struct json_writer *w, struct slice name, bool is_path)
{
    json_open(w, '{');
    json_key(w, "name");
    json_slice(w, name);
    json_key(w, "in");
    json_cstr(w, is_path ? "path" : "query");
    json_key(w, "required");
    json_bool(w, is_path);
    const struct parameter *p = is_path ? NULL : parameter_find(name);
    if (p) {
        json_key(w, "description");
        json_cstr(w, p->help);
    }
    json_key(w, "schema");
    json_open(w, '{');
    json_key(w, "type");
    json_cstr(w, p ? p->type : "string");
    json_close(w, '}');
    json_close(w, '}');
}

static void parameters_json(struct json_writer *w, const char *base, const struct route *route)
{
    CLEANUP(bytes_done) struct bytes whole = BYTES_INIT;
    bytes_printf(&whole, "%s%s", base, route->path);
    json_key(w, "parameters");
    json_open(w, '[');
    struct slice path = bytes_slice(&whole);
    while (path.len > 0) {
        struct slice segment = slice_split(&path, '/');
        if (segment.len > 0 && segment.ptr[0] == ':')
            one_parameter_json(w, slice_skip(segment, 1), true);
    }
    struct slice query = slice_cstr(route->query);
    while (query.len > 0)
        one_parameter_json(w, slice_split(&query, ' '), false);
    json_close(w, ']');
}

static void content_json(struct json_writer *w, const char *schema)
{
    bool is_text = strchr(schema, '/') != NULL; /* a media type in place of a schema */
    json_key(w, "content");
    json_open(w, '{');
    json_key(w, is_text ? schema : "application/json");
    json_open(w, '{');
    json_key(w, "schema");
    schema_json(w, is_text ? SLICE_LIT("string") : slice_cstr(schema));
    json_close(w, '}');
    json_close(w, '}');
}

static void responses_json(struct json_writer *w, const struct route *route)
{
    char status[16];
    snprintf(status, sizeof(status), "%d", route->status);
    json_key(w, "responses");
    json_open(w, '{');
    json_key(w, status);
    json_open(w, '{');
    json_key(w, "description");
    json_cstr(w, route->status == 204 ? "Done" : route->status == 202 ? "Accepted" : "The answer");
    if (route->response[0])
        content_json(w, route->response);
    json_close(w, '}');
    json_key(w, "default");
    json_open(w, '{');
    json_key(w, "description");
    json_cstr(w, "An error");
    content_json(w, "Error");
    json_close(w, '}');
    json_close(w, '}');
}

static void operation_json(struct json_writer *w, const char *base, const struct route *route)
{
    static const char *const keys[] = {"get", "post", "put", "delete"};
    json_key(w, keys[route->method]);
    json_open(w, '{');
    CLEANUP(bytes_done) struct bytes id = BYTES_INIT;
    bytes_printf(&id, "%s%s", route->id, base[0] ? "_in_namespace" : "");
    json_key(w, "operationId");
    json_slice(w, bytes_slice(&id));
    json_key(w, "summary");
    json_cstr(w, route->summary);
    parameters_json(w, base, route);
    if (route->request[0]) {
        json_key(w, "requestBody");
        json_open(w, '{');
        json_key(w, "required");
        json_bool(w, route->body != ROUTE_BODY_EXECUTE);
        content_json(w, route->request);
        json_close(w, '}');
    }
    responses_json(w, route);
    json_close(w, '}');
}

static void paths_json(struct json_writer *w, const char *base)
{
    for (size_t i = 0; i < routes_count; i++) {
        const char *path = routes_table[i].path;
        bool is_seen = base[0] && !route_has_namespace(&routes_table[i]);
        for (size_t j = 0; j < i; j++)
            is_seen |= strcmp(routes_table[j].path, path) == 0;
        if (is_seen)
            continue;
        CLEANUP(bytes_done) struct bytes text = BYTES_INIT, whole = BYTES_INIT;
        bytes_printf(&whole, "%s%s", base, path);
        path_template(bytes_cstr(&whole), &text);
        json_key(w, bytes_cstr(&text));
        json_open(w, '{');
        for (size_t j = i; j < routes_count; j++) {
            if (strcmp(routes_table[j].path, path) == 0)
                operation_json(w, base, &routes_table[j]);
        }
        json_close(w, '}');
    }
}

void openapi_write(struct bytes *out)
{
    struct json_writer writer = json_writer(out), *w = &writer;
    json_open(w, '{');
    json_key(w, "openapi");
    json_cstr(w, "3.1.0");
    json_key(w, "info");
    json_open(w, '{');
    json_key(w, "title");
    json_cstr(w, "Limpet control API");
    json_key(w, "version");
    json_cstr(w, LIMPET_VERSION);
    json_close(w, '}');
    json_key(w, "paths");
    json_open(w, '{');
    paths_json(w, "");
    paths_json(w, ROUTE_NAMESPACES ":namespace");
    json_close(w, '}');
    json_key(w, "components");
    json_open(w, '{');
    schemas_json(w);
    json_key(w, "securitySchemes");
    json_raw(w, SLICE_LIT("{\"token\":{\"type\":\"http\",\"scheme\":\"bearer\"}}"));
    json_close(w, '}');
    json_key(w, "security");
    json_raw(w, SLICE_LIT("[{},{\"token\":[]}]"));
    json_close(w, '}');
}

void openapi_show(struct admin_request *r)
{
    struct bytes body = BYTES_INIT;
    openapi_write(&body);
    reply_json(r, 200, &body);
}

/* ---- Markdown ---- */

static const char *role_text(enum route_role role)
{
    switch (role) {
    case ROUTE_PUBLIC:
        return "none";
    case ROUTE_ANY:
        return "any";
    case ROUTE_OWNER:
    case ROUTE_SERVER:
        return "the server's own token";
    default:
        return token_role_text((enum token_role)(role - ROUTE_READ));
    }
}

static void route_markdown(const struct route *route, struct bytes *out)
{
    bytes_printf(out, "\n### %s %s%s\n\n%s. Answer: %d", route_method_text(route->method),
                 route->path, route_has_namespace(route) ? " (N)" : "", route->summary,
                 route->status);
    if (route->response[0])
        bytes_printf(out, " `%s`", route->response);
    if (route->request[0])
        bytes_printf(out, ". Body: `%s`", route->request);
    bytes_printf(out, ". Role: %s.\n", role_text(route->role));
    struct slice query = slice_cstr(route->query);
    if (query.len > 0)
        bytes_append_char(out, '\n');
    while (query.len > 0) {
        const struct parameter *p = parameter_find(slice_split(&query, ' '));
        bytes_printf(out, "- `?%s=` %s\n", p->name, p->help);
    }
}

void openapi_markdown(struct bytes *out)
{
    bytes_append_cstr(out,
                      "\n## Routes\n\nThose that belong to a namespace are there as they stand "
                      "for the default one, and for any with\n`/namespaces/:namespace` in "
                      "front: they are marked N.\n");
    for (size_t i = 0; i < routes_count; i++)
        route_markdown(&routes_table[i], out);
    bytes_append_cstr(out,
                      "\n## Schemas\n\nA `?` behind a type: it may be null. A `…List` is an array. "
                      "Members in **bold** are always there.\n");
    const char *last = "";
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const struct field *f = &fields[i];
        if (strcmp(last, f->schema) != 0)
            bytes_printf(out, "\n### %s\n\n| member | type | |\n|---|---|---|\n", f->schema);
        last = f->schema;
        const char *mark = f->is_required ? "**" : "";
        bytes_printf(out, "| %s`%s`%s | %s | %s |\n", mark, f->name, mark, f->type, f->help);
    }
}
