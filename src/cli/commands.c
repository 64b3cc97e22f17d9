/* SPDX-License-Identifier: Apache-2.0
 *
 * The table. Texts here are what users read; keep docs/cli.md in step (the test cli/docs compares).
 */
#include <string.h>

#include "base/check.h"
#include "base/module_kind.h"
#include "cli/cli.h"

const struct flag commands_global_flags[] = {
    {"--server", NULL, "URL", "control API (LIMPET_SERVER; default http://127.0.0.1:8888)", false},
    {"--token", NULL, "TOKEN", "token of the control API (LIMPET_TOKEN)", false},
    {"--namespace", NULL, "NAME", "where names belong to (LIMPET_NAMESPACE; default: default)",
     false},
    {"--json", NULL, NULL, "print what the server answers, for programs", false},
    {"--help", "-h", NULL, "explain a command", false},
    {"--version", "-V", NULL, "print the version", false},
    {"--database-url", NULL, "URL", "before serve: as DATABASE_URL", false},
    {"--artifact-dir", NULL, "DIR", "before serve: as ARTIFACT_DIR", false},
    {"--wit-dir", NULL, "DIR", "before serve: as WIT_DIR", false},
    {0},
};

static const struct flag no_flags[] = {{0}};

static const struct flag upload_flags[] = {
    {"--isolation", NULL, "request|module",
     "request (default): fresh globals for each request; module: kept", false},
    {"--memory-mb", NULL, "N", "memory of one isolate, 4 to 4096 (default 64)", false},
    {"--cpu-ms", NULL, "N", "CPU time of one request (default 1000)", false},
    {"--wall-ms", NULL, "N", "time of one request (default 30000)", false},
    {"--sql-transaction-ms", NULL, "N", "computing inside transaction() (default 100)", false},
    {"--egress", NULL, "DOMAIN", "a domain that may be reached; more than once for more", true},
    {0},
};

static const struct flag deploy_flags[] = {
    {"--env", "-e", "NAME", "of a project: what [env.NAME] says", false},
    {"--name", NULL, "NAME", "of a project: another name", false},
    {"--without-bindings", NULL, NULL,
     "of a project: deploy although it declares what this server does not have", false},
    {"--no-serve", NULL, NULL,
     "of a project: the version that serves goes on; 'versions promote' gives this one requests",
     false},
    {"--isolation", NULL, "request|module",
     "of a file: fresh globals for each request (default), or kept", false},
    {"--memory-mb", NULL, "N", "of a file: memory of one isolate, 4 to 4096 (default 64)", false},
    {"--cpu-ms", NULL, "N", "of a file: CPU time of one request (default 1000)", false},
    {"--wall-ms", NULL, "N", "of a file: time of one request (default 30000)", false},
    {"--sql-transaction-ms", NULL, "N", "of a file: computing inside transaction() (default 100)",
     false},
    {"--egress", NULL, "DOMAIN", "of a file: a domain that may be reached; more than once for more",
     true},
    {0},
};

static const struct flag dev_flags[] = {
    {"--port", "-p", "N", "of its server (default 8787, or any that is free)", false},
    {"--env", "-e", "NAME", "what [env.NAME] says", false},
    {0},
};

static const struct flag versions_flags[] = {
    {"--workflow", NULL, NULL, "NAME is a workflow", false},
    {"--env", "-e", "NAME", "of the project here: what [env.NAME] says", false},
    {0},
};

static const struct flag promote_flags[] = {
    {"--percent", NULL, "N", "a part of the requests (default 100: all)", false},
    {"--workflow", NULL, NULL, "NAME is a workflow", false},
    {"--env", "-e", "NAME", "of the project here: what [env.NAME] says", false},
    {0},
};

static const struct flag types_flags[] = {
    {"--env", "-e", "NAME", "what [env.NAME] says", false},
    {0},
};

static const struct flag build_flags[] = {
    {"--env", "-e", "NAME", "what [env.NAME] says", false},
    {"--name", NULL, "NAME", "another name", false},
    {"--out", "-o", "DIR", "where the bundle goes (default .limpet/build)", false},
    {"--without-bindings", NULL, NULL, "build although it declares what this server does not have",
     false},
    {0},
};

static const struct flag run_flags[] = {
    {"--input", NULL, "JSON", "the body; @FILE reads a file, - standard input (default {})", false},
    {"--metadata", NULL, "JSON", "an object beside the body", false},
    {0},
};

static const struct flag workflow_upload_flags[] = {
    {"--memory-mb", NULL, "N", "memory of one execution, 4 to 4096 (default 64)", false},
    {"--cpu-ms", NULL, "N", "CPU time between two waits (default 1000)", false},
    {"--egress", NULL, "DOMAIN", "a domain that may be reached; more than once for more", true},
    {0},
};

static const struct flag workflow_run_flags[] = {
    {"--input", NULL, "JSON", "the body; @FILE reads a file, - standard input (default {})", false},
    {"--metadata", NULL, "JSON", "an object beside the body", false},
    {"--id", NULL, "KEY", "the same KEY again is the same execution", false},
    {"--wait", NULL, "[DURATION]", "print the output when it has ended; 30s, 5m: or give up",
     false},
    {"--tail", NULL, NULL, "wait, with log lines on standard error", false},
    {0},
};

static const struct flag logs_flags[] = {
    {"--follow", "-f", NULL, "keep printing lines as they come, until interrupted", false},
    {"--after", NULL, "ID", "only lines after this one", false},
    {"--limit", "-n", "N", "how many lines, newest (default 100)", false},
    {0},
};

static const struct flag delete_flags[] = {
    {"--yes", "-y", NULL, "do not ask", false},
    {0},
};

static const struct flag resource_delete_flags[] = {
    {"--yes", "-y", NULL, "do not ask", false},
    {"--unbind", NULL, NULL, "although a version that serves is bound to it", false},
    {0},
};

static const struct flag kv_list_flags[] = {
    {"--prefix", NULL, "TEXT", "only keys that begin so", false},
    {0},
};

static const struct flag kv_put_flags[] = {
    {"--path", NULL, "FILE", "the value is what is in FILE; - reads standard input", false},
    {"--ttl", NULL, "SECONDS", "it goes after so long, at least 60", false},
    {"--expiration", NULL, "SECONDS", "it goes then, in seconds since 1970", false},
    {"--metadata", NULL, "JSON", "what list shows with the key", false},
    {0},
};

static const struct flag execution_list_flags[] = {
    {"--function", NULL, "NAME", "only runs of one function", false},
    {"--workflow", NULL, "NAME[.EXPORT]", "only executions of one workflow", false},
    {"--status", NULL, "STATUS", "queued, running, suspended, completed, failed or cancelled",
     false},
    {"--parent", NULL, "ID", "only those that an execution started", false},
    {"--limit", "-n", "N", "how many, newest first (default 50)", false},
    {"--all", NULL, NULL, "all there are", false},
    {0},
};

static const struct flag journal_flags[] = {
    {"--values", NULL, NULL, "print the results too", false},
    {0},
};

static const struct flag signal_flags[] = {
    {"--data", NULL, "JSON", "what it carries; @FILE reads a file, - standard input (default null)",
     false},
    {0},
};

static const struct flag d1_execute_flags[] = {
    {"--command", NULL, "SQL", "one or more statements", false},
    {"--file", NULL, "FILE", "likewise, of a file, or - for standard input, in one transaction",
     false},
    {0},
};

static const struct flag d1_migrations_flags[] = {
    {"--dir", NULL, "DIR", "folder of the migrations (default: the project's, or migrations)",
     false},
    {"--env", "-e", "NAME", "of a project: what [env.NAME] says", false},
    {0},
};

static const struct flag d1_export_flags[] = {
    {"--output", "-o", "FILE", "where to (default: standard output)", false},
    {"--no-schema", NULL, NULL, "rows only", false},
    {"--no-data", NULL, NULL, "no rows", false},
    {0},
};

static const struct flag retry_flags[] = {
    {"--version", NULL, "N|latest", "run that version (default: the one it ran)", false},
    {0},
};

static const struct flag fork_flags[] = {
    {"--record", NULL, "N", "keep the records before number N (default: all)", false},
    {0},
};

static const struct flag wait_flags[] = {
    {"--timeout", NULL, "DURATION", "give up after 30s, 5m, 2h (default: never)", false},
    {0},
};

static const struct flag namespace_delete_flags[] = {
    {"--force", NULL, NULL, "with its functions and workflows, and all that belongs to them",
     false},
    {0},
};

static const struct flag token_flags[] = {
    {"--role", NULL, "ROLE", "read (default), invoke, deploy or admin", false},
    {0},
};

static const struct flag secret_set_flags[] = {
    {"--shared", NULL, NULL, "of the namespace: all its functions and workflows read it", false},
    {"--host", NULL, "HOST", "bind it to a host; more than once for more", true},
    {"--unbound", NULL, NULL, "bind it to no host any more", false},
    {0},
};

static const struct flag secret_flags[] = {
    {"--shared", NULL, NULL, "of the namespace", false},
    {0},
};

static const struct flag egress_flags[] = {
    {"--method", NULL, "METHOD", "only this one; more than once for more (default: all)", true},
    {"--module", NULL, "NAME", "only what this function or workflow sends", false},
    {"--first", NULL, NULL, "before the other rules (default: behind them)", false},
    {0},
};

static const struct flag schedule_flags[] = {
    {"--cron", NULL, "EXPRESSION", "five or six fields, as \"30 4 * * MON-FRI\"", false},
    {"--timezone", NULL, "ZONE", "of --cron, as Europe/Berlin (default UTC)", false},
    {"--every", NULL, "DURATION", "instead: an interval of at least 1s", false},
    {"--at", NULL, "TIME", "instead: once, as 2026-12-24T18:00:00Z", false},
    {"--function", NULL, "NAME", "starts scheduled() of a function", false},
    {"--workflow", NULL, "NAME", "starts an execution of NAME or NAME.EXPORT", false},
    {"--queue", NULL, "NAME", "sends a message", false},
    {"--input", NULL, "JSON", "of the execution", false},
    {"--body", NULL, "JSON", "of the message", false},
    {"--overlap", NULL, "allow|skip|queue", "while the one before runs (default allow)", false},
    {"--missed", NULL, "one|all|none", "what becomes of missed times (default one)", false},
    {"--jitter", NULL, "DURATION", "each run is late by up to so much", false},
    {0},
};

static const struct flag egress_test_flags[] = {
    {"--method", NULL, "METHOD", "default GET", false},
    {"--module", NULL, "NAME", "the function or workflow that sends it", false},
    {0},
};

static const char egress_details[] =
    "PATTERN is [http://|https://]HOST[:PORT][/PATH]: api.example.com, *.example.com (every name\n"
    "below), * (every host), https://api.example.com/v1 (that path and what is below it). Rules "
    "are\n"
    "asked in their order, the first that fits holds, for each redirect, too. Addresses that are "
    "not\n"
    "public stay closed unless the server opens them (--egress-allow).";

static const struct flag audit_flags[] = {
    {"--limit", "-n", "N", "how many (default 50)", false},
    {0},
};

static const struct flag usage_flags[] = {
    {"--since", NULL, "TIME", "24h (default), 90m, 7d, or a time such as 2026-01-31T12:00:00Z",
     false},
    {"--by-hour", NULL, NULL, "a line for each hour", false},
    {0},
};

static const char upload_details[] =
    "Bundles FILE with its local imports and node_modules, uploads the result, and waits until "
    "the\n"
    "new version serves. When the build fails, the error and its place are printed and the "
    "version\n"
    "that served before goes on. The same content and options make no new version.";

/* Of a kind of resources (base/resource_kind.h): the first word of what its commands begin with is the
 * kind's. */
#define RESOURCE_COMMANDS(group, one, many)                                                        \
    {group " create", "NAME",                                                                      \
     "Make " one,     "A deploy that is bound to one makes it, too.",                              \
     no_flags,        cmd_resource_create},                                                        \
        {group " list", "", "All " many, NULL, no_flags, cmd_resource_list},                       \
        {group " show", "NAME",   "What is in " one ", and what is bound to it",                   \
         NULL,          no_flags, cmd_resource_show},                                              \
    {                                                                                              \
        group " delete", "NAME", "Delete " one " with all that is in it", NULL,                    \
            resource_delete_flags, cmd_resource_delete                                             \
    }

const struct command commands_table[] = {
    {"serve", "[FLAGS]", "Start the server", NULL, no_flags, cmd_serve},
    {"deploy", "[NAME] [DIR|FILE]", "Bundle, upload and build a project, or a file",
     "DIR (default: here) has a limpet.toml, or wrangler's file or a worky.toml in its place. With "
     "a "
     "FILE it\n"
     "is 'function upload'; without NAME the file's name is used (of index.ts, its folder's).",
     deploy_flags, cmd_deploy},
    {"init", "[TEMPLATE] [DIR]", "Make a project to start from",
     "TEMPLATE is function (default), workflow, hono or static; DIR is made if it is not there. "
     "Nothing\n"
     "that is there is changed.",
     no_flags, cmd_init},
    {"types", "[DIR]", "Write limpet-env.d.ts: the types of a project's variables", NULL,
     types_flags, cmd_types},
    {"dev", "[DIR]...", "Serve projects from their sources, anew with each change",
     "Starts a server of its own, with its data in .limpet of the first DIR, unless --server or "
     "LIMPET_SERVER\n"
     "names one. Variables of .dev.vars, else .env, take the place of the project's. Keys: r "
     "builds "
     "again,\n"
     "o opens the browser, q ends.",
     dev_flags, cmd_dev},
    {"build", "[DIR]", "Build a project without deploying it",
     "Runs its own build command, and writes the bundle to .limpet/build in DIR, or to --out.",
     build_flags, cmd_project_build},
    {"versions list", "[NAME]", "Versions, and which of them answer",
     "Without NAME: of the project in this folder.", versions_flags, cmd_versions_list},
    {"versions view", "[NAME] VERSION", "One version, and how it runs", NULL, versions_flags,
     cmd_versions_view},
    {"versions promote", "[NAME] VERSION", "Let a version answer requests, or a part of them",
     "With --percent the version that serves answers the others. Who sends the same value in the\n"
     "header or cookie limpet-version-key always meets the same version. --percent 0 ends that.",
     promote_flags, cmd_versions_promote},
    {"versions rollback", "[NAME] [VERSION]", "Let the version before answer again",
     "With VERSION: that one.", versions_flags, cmd_versions_rollback},
    {"function upload", "NAME FILE", "Bundle, upload and build a function", upload_details,
     upload_flags, cmd_upload},
    {"function list", "", "All functions", NULL, no_flags, cmd_function_list},
    {"function show", "NAME", "One function, its limits and its address", NULL, no_flags,
     cmd_function_show},
    {"function delete", "NAME", "Delete a function and all that belongs to it", NULL, delete_flags,
     cmd_function_delete},
    {"function run", "NAME", "Run a function and print what it returns", NULL, run_flags,
     cmd_function_run},
    {"function logs", "NAME", "Log lines of a function", NULL, logs_flags, cmd_function_logs},
    {"function build status", "NAME ID", "One build, and why it failed", NULL, no_flags,
     cmd_build_status},
    {"function build list", "NAME", "Builds of a function", NULL, no_flags, cmd_build_list},
    {"function env set", "NAME KEY VALUE", "Set an environment variable",
     "The next request sees the value. Write -- before a value that begins with a dash.", no_flags,
     cmd_env_set},
    {"function env get", "NAME KEY", "Print an environment variable", NULL, no_flags, cmd_env_get},
    {"function env list", "NAME", "Environment variables of a function", NULL, no_flags,
     cmd_env_list},
    {"function env delete", "NAME KEY", "Delete an environment variable", NULL, no_flags,
     cmd_env_delete},
    {"workflow upload", "NAME FILE", "Bundle, upload and build a workflow", upload_details,
     workflow_upload_flags, cmd_upload},
    {"workflow list", "", "All workflows", NULL, no_flags, cmd_function_list},
    {"workflow show", "NAME", "One workflow and its limits", NULL, no_flags, cmd_function_show},
    {"workflow delete", "NAME", "Delete a workflow and all that belongs to it", NULL, delete_flags,
     cmd_function_delete},
    {"workflow run", "NAME", "Start an execution",
     "NAME is a module's default workflow, NAME.EXPORT any that it exports. Prints the id of the\n"
     "execution; with --wait or --tail its output.",
     workflow_run_flags, cmd_workflow_run},
    {"workflow check", "NAME FILE", "Would running executions agree with this code?",
     "Replays every unfinished execution on FILE without publishing it, and lists those whose\n"
     "journal the code does not follow, with record and line. Exit code 1 if there are any.",
     no_flags, cmd_workflow_check},
    {"workflow migrate", "NAME", "Move executions to the newest version",
     "Those whose journal the newest version does not follow stay on theirs.", no_flags,
     cmd_workflow_migrate},
    {"workflow logs", "NAME", "Log lines of a workflow", NULL, logs_flags, cmd_function_logs},
    {"workflow build status", "NAME ID", "One build, and why it failed", NULL, no_flags,
     cmd_build_status},
    {"workflow build list", "NAME", "Builds of a workflow", NULL, no_flags, cmd_build_list},
    {"workflow env set", "NAME KEY VALUE", "Set an environment variable",
     "Write -- before a value that begins with a dash.", no_flags, cmd_env_set},
    {"workflow env get", "NAME KEY", "Print an environment variable", NULL, no_flags, cmd_env_get},
    {"workflow env list", "NAME", "Environment variables of a workflow", NULL, no_flags,
     cmd_env_list},
    {"workflow env delete", "NAME KEY", "Delete an environment variable", NULL, no_flags,
     cmd_env_delete},
    {"execution list", "", "Executions, newest first", NULL, execution_list_flags,
     cmd_execution_list},
    {"execution show", "ID", "One execution with input, output and error", NULL, no_flags,
     cmd_execution_show},
    {"execution journal", "ID", "What an execution of a workflow has done, a line a record",
     "Number, time since the start, op, label, digest of the result, attempts, error.",
     journal_flags, cmd_execution_journal},
    {"execution logs", "ID", "Log lines of one execution", NULL, logs_flags, cmd_execution_logs},
    {"execution signal", "ID NAME", "Send a signal to an execution",
     "It is delivered once, also to one that does not wait for it yet.", signal_flags,
     cmd_execution_signal},
    {"execution cancel", "ID", "Ask an execution to end",
     "Its finally blocks run, and its children are asked too.", no_flags, cmd_execution_cancel},
    {"execution pause", "ID", "Stop running an execution until it is resumed", NULL, no_flags,
     cmd_execution_pause},
    {"execution resume", "ID", "Go on with a paused execution", NULL, no_flags,
     cmd_execution_resume},
    {"execution restart", "ID", "Run a finished execution again from its beginning", NULL, no_flags,
     cmd_execution_restart},
    {"execution retry", "ID", "Run a failed execution again from where it failed", NULL,
     retry_flags, cmd_execution_retry},
    {"execution fork", "ID", "Start a new execution with the records of another",
     "Prints the id of the new one.", fork_flags, cmd_execution_fork},
    {"execution wait", "ID", "Wait until an execution has finished and print its output", NULL,
     wait_flags, cmd_execution_wait},
    RESOURCE_COMMANDS("d1", "a SQL database", "SQL databases"),
    {"d1 execute", "NAME", "Run SQL on a database", NULL, d1_execute_flags, cmd_d1_execute},
    {"d1 export", "NAME", "Write a database as SQL statements", NULL, d1_export_flags,
     cmd_d1_export},
    {"d1 migrations create", "NAME TEXT", "Make the next migration's file", NULL,
     d1_migrations_flags, cmd_d1_migrations_create},
    {"d1 migrations list", "NAME", "Migrations that are not applied", NULL, d1_migrations_flags,
     cmd_d1_migrations_list},
    {"d1 migrations apply", "NAME", "Apply the migrations that are not applied",
     "Each file is one transaction, with a row in the table d1_migrations that says so.",
     d1_migrations_flags, cmd_d1_migrations_apply},
    RESOURCE_COMMANDS("bucket", "a bucket", "buckets"),
    RESOURCE_COMMANDS("kv namespace", "a KV namespace", "KV namespaces"),
    RESOURCE_COMMANDS("queue", "a queue", "queues"),
    {"queue send", "NAME JSON", "Send a message", NULL, no_flags, cmd_queue_send},
    {"queue purge", "NAME", "Remove all messages", NULL, no_flags, cmd_queue_purge},
    {"queue pause", "NAME", "Deliver nothing until it is resumed", NULL, no_flags, cmd_queue_pause},
    {"queue resume", "NAME", "Go on delivering", NULL, no_flags, cmd_queue_resume},
    {"kv list", "NAMESPACE", "Keys of a KV namespace", NULL, kv_list_flags, cmd_kv_list},
    {"kv get", "NAMESPACE KEY", "Print the value of a key", NULL, no_flags, cmd_kv_get},
    {"kv put", "NAMESPACE KEY [VALUE]", "Set the value of a key",
     "Write -- before a value that begins with a dash.", kv_put_flags, cmd_kv_put},
    {"kv delete", "NAMESPACE KEY", "Delete a key", NULL, no_flags, cmd_kv_delete},
    {"kv export", "NAMESPACE", "Print all keys with their values, a line of JSON each", NULL,
     kv_list_flags, cmd_kv_export},
    {"kv import", "NAMESPACE [FILE]", "Set the keys that FILE or standard input has",
     "FILE has a line of JSON for each key, as 'kv export' writes it, or one array of such "
     "objects.",
     no_flags, cmd_kv_import},
    {"schedule create", "NAME", "Start something at certain times",
     "One of --cron, --every and --at says when, one of --function, --workflow and --queue what.",
     schedule_flags, cmd_schedule_create},
    {"schedule list", "", "Schedules of the namespace", NULL, no_flags, cmd_schedule_list},
    {"schedule show", "NAME", "One schedule", NULL, no_flags, cmd_schedule_show},
    {"schedule pause", "NAME", "Start nothing for it until it is resumed", NULL, no_flags,
     cmd_schedule_pause},
    {"schedule resume", "NAME", "Go on with a paused schedule at its next time", NULL, no_flags,
     cmd_schedule_resume},
    {"schedule trigger", "NAME", "Start what it starts, now", NULL, no_flags, cmd_schedule_trigger},
    {"schedule backfill", "NAME FROM TO", "Start what it would have started in a stretch of time",
     "Times are written as 2026-11-21T00:00:00Z; at most 1000 times may lie in it.", no_flags,
     cmd_schedule_backfill},
    {"schedule delete", "NAME", "Delete a schedule", NULL, no_flags, cmd_schedule_delete},
    {"namespace create", "NAME", "Make a namespace",
     "Its functions answer at http://FUNCTION.NAME.localhost. A name is also written "
     "NAME/FUNCTION.",
     no_flags, cmd_namespace_create},
    {"namespace list", "", "All namespaces", NULL, no_flags, cmd_namespace_list},
    {"namespace show", "NAME", "One namespace, what it may hold, and holds", NULL, no_flags,
     cmd_namespace_show},
    {"namespace delete", "NAME", "Delete a namespace",
     "One that is not empty is deleted only with --force; what went with it is printed.",
     namespace_delete_flags, cmd_namespace_delete},
    {"token create", "", "Make a token of the namespace and print it, once",
     "Roles: read sees all but variables; invoke also runs, starts, signals and cancels; deploy "
     "also\n"
     "uploads, deletes and sets variables; admin also makes tokens and sets quotas of modules.",
     token_flags, cmd_token_create},
    {"token list", "", "Tokens of the namespace", NULL, no_flags, cmd_token_list},
    {"token revoke", "ID", "Revoke a token, at once", NULL, no_flags, cmd_token_revoke},
    {"secret set", "[NAME] KEY", "Set a secret of a function or workflow, or of all",
     "The value is read from standard input, or on a terminal asked for without showing it. Code "
     "reads\n"
     "it as a variable of that name; nobody else can. With --host code does not, either: it has a\n"
     "placeholder, for which the server puts the value into headers of requests to these hosts, "
     "over\n"
     "https, or http if http:// stands in front of the host. What it is bound to stays when it is "
     "set "
     "anew.",
     secret_set_flags, cmd_secret_set},
    {"secret list", "[NAME]", "Secrets of a function or workflow, without their values", NULL,
     secret_flags, cmd_secret_list},
    {"secret delete", "[NAME] KEY", "Delete a secret", NULL, secret_flags, cmd_secret_delete},
    {"routes list", "", "Hosts and paths that functions answer for beside their names", NULL,
     no_flags, cmd_routes_list},
    {"egress list", "", "Egress rules of the namespace, in their order", NULL, no_flags,
     cmd_egress_list},
    {"egress allow", "PATTERN", "Let code of the namespace send requests there", egress_details,
     egress_flags, cmd_egress_allow},
    {"egress deny", "PATTERN", "Refuse requests there", egress_details, egress_flags,
     cmd_egress_deny},
    {"egress default", "allow|deny", "What becomes of requests that no rule is about",
     "Without rules it is allow.", no_flags, cmd_egress_default},
    {"egress remove", "ID", "Remove an egress rule", NULL, no_flags, cmd_egress_remove},
    {"egress test", "URL", "What the rules say of a request, which is not sent",
     "Exit code 1 if it would be refused.", egress_test_flags, cmd_egress_test},
    {"audit list", "", "Control operations on the namespace, newest first", NULL, audit_flags,
     cmd_audit_list},
    {"audit verify", "", "Is the audit log as it was written?",
     "Each row's hash covers the one before. Names the first that was changed, removed or put\n"
     "elsewhere; exit code 1. Prints the last hash, to be noted elsewhere.",
     no_flags, cmd_audit_verify},
    {"usage", "[NAME]", "What functions and workflows used",
     "Requests, CPU time, memory over time and bytes sent, of all or of one, from the hour of\n"
     "--since on. Deleted ones stay for 400 days.",
     usage_flags, cmd_usage},
    {"quota set", "[NAME] RESOURCE=AMOUNT", "Set a quota of a function or workflow",
     "RESOURCE is memory, isolates (requests at work at once), connections (outgoing), lookups "
     "(of names) or disk (its database, executions and versions); AMOUNT may end in K, M or G. It "
     "holds at once. Without "
     "NAME it is the "
     "namespace's, "
     "for all that is in it together.",
     no_flags, cmd_quota_set},
    {"quota list", "", "Functions and workflows that have quotas", NULL, no_flags, cmd_quota_list},
    {"quota show", "[NAME]", "What one may hold, and holds; without NAME the namespace", NULL,
     no_flags, cmd_quota_show},
    {"quota unset", "NAME [RESOURCE]", "Remove a quota, or all; the server's default holds",
     "With - as NAME those of the namespace.", no_flags, cmd_quota_unset},
    {"help", "[COMMAND]", "Explain a command", NULL, no_flags, cmd_help},
    {"version", "", "Print the version", NULL, no_flags, cmd_version},
};
const size_t commands_count = ARRAY_LEN(commands_table);

const char *cli_word(const struct cli *cli)
{
    if (cli->word)
        return cli->word;
    struct slice path = slice_cstr(cli->args.command ? cli->args.command->path : "");
    struct slice group = slice_split(&path, ' ');
    for (unsigned k = 0; k < MODULE_KINDS; k++)
        if (slice_eq_cstr(group, module_kinds[k].word))
            return module_kinds[k].word;
    return module_kinds[MODULE_FUNCTION].word;
}

const struct command *command_find(const char *path)
{
    for (size_t i = 0; i < commands_count; i++) {
        if (strcmp(commands_table[i].path, path) == 0)
            return &commands_table[i];
    }
    return NULL;
}

bool command_is_group(const char *path)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < commands_count; i++) {
        const char *other = commands_table[i].path;
        if (strncmp(other, path, len) == 0 && other[len] == ' ')
            return true;
    }
    return false;
}
