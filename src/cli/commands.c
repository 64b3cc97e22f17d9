/* SPDX-License-Identifier: Apache-2.0
 *
 * The table. Texts here are what users read; keep docs/cli.md in step (the test cli/docs compares).
 */
#include <string.h>

#include "base/check.h"
#include "cli/cli.h"

const struct flag commands_global_flags[] = {
    {"--server", NULL, "URL", "control API (LIMPET_SERVER; default http://127.0.0.1:8888)", false},
    {"--token", NULL, "TOKEN", "token of the control API (LIMPET_TOKEN)", false},
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
    {"--egress", NULL, "DOMAIN", "a domain that may be reached; more than once for more", true},
    {0},
};

static const struct flag run_flags[] = {
    {"--input", NULL, "JSON", "the body; @FILE reads a file, - standard input (default {})", false},
    {"--metadata", NULL, "JSON", "an object beside the body", false},
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

static const struct flag execution_list_flags[] = {
    {"--function", NULL, "NAME", "only those of one function", false},
    {"--limit", "-n", "N", "how many, newest first (default 50)", false},
    {0},
};

static const char upload_details[] =
    "Bundles FILE with its local imports and node_modules, uploads the result, and waits until "
    "the\n"
    "new version serves. When the build fails, the error and its place are printed and the "
    "version\n"
    "that served before goes on. The same content and options make no new version.";

const struct command commands_table[] = {
    {"serve", "[FLAGS]", "Start the server", NULL, no_flags, cmd_serve},
    {"deploy", "[NAME] FILE", "Bundle, upload and build a function",
     "As 'function upload'; without NAME the file's name is used (of index.ts, its folder's).",
     upload_flags, cmd_upload},
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
    {"execution list", "", "Runs through the control API, newest first", NULL, execution_list_flags,
     cmd_execution_list},
    {"execution show", "ID", "One run with input, output, error and logs", NULL, no_flags,
     cmd_execution_show},
    {"help", "[COMMAND]", "Explain a command", NULL, no_flags, cmd_help},
    {"version", "", "Print the version", NULL, no_flags, cmd_version},
};
const size_t commands_count = ARRAY_LEN(commands_table);

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
