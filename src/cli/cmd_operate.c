/* SPDX-License-Identifier: Apache-2.0
 *
 * `execution signal|cancel|pause|resume|retry|restart|fork`: one request each, acknowledged when the server
 * has it on disk. */
#include <stdio.h>
#include <string.h>

#include "admin/names.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/input.h"
#include "cli/say.h"

/* Sends; says what has been done, with the state that the server answers. */
static int operate(struct cli *cli, const char *operation, struct slice body, const char *done)
{
    struct reply reply;
    const char *path = client_path(cli, "/executions/%s/%s", cli->args.positional[0], operation);
    int code = client_send(cli, "POST", path, body, 0, &reply);
    if (code)
        return code;
    if (cli->is_json)
        reply_print(&reply);
    else
        say_progress(false, "%s %s; it is %.*s", done, cli->args.positional[0],
                     SLICE_ARG(json_text(cli, &reply.json, "status")));
    return EXIT_OK;
}

int cmd_execution_signal(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct error error = {0};
    struct slice data, name = slice_cstr(cli->args.positional[1]);
    enum err err = names_check_signal(name, &error);
    if (!err)
        err = input_json(cli, "--data", "null", &data, &error);
    if (err)
        return say_error(cli->is_json, &error, EXIT_USAGE);
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "name");
    json_slice(&w, name);
    json_key(&w, "data");
    json_raw(&w, data);
    json_close(&w, '}');
    return operate(cli, "signal", bytes_slice(&body), "signalled");
}

int cmd_execution_cancel(struct cli *cli)
{
    return operate(cli, "cancel", SLICE_EMPTY, "asked to end:");
}

int cmd_execution_pause(struct cli *cli)
{
    return operate(cli, "pause", SLICE_EMPTY, "paused");
}

int cmd_execution_resume(struct cli *cli)
{
    return operate(cli, "resume", SLICE_EMPTY, "resumed");
}

int cmd_execution_restart(struct cli *cli)
{
    return operate(cli, "restart", SLICE_EMPTY, "restarting");
}

int cmd_execution_retry(struct cli *cli)
{
    struct error error = {0};
    const char *version = args_get(&cli->args, "--version");
    uint64_t number = 0;
    bool is_latest = version && strcmp(version, "latest") == 0;
    if (version && !is_latest && (!slice_to_u64(slice_cstr(version), &number) || number == 0)) {
        error_set(&error, ERR_INVALID, "'%.40s' is not a version", version);
        error_hint(&error, "give its number, or latest");
        return say_error(cli->is_json, &error, EXIT_USAGE);
    }
    const char *body = "{}";
    if (is_latest)
        body = "{\"version\":\"latest\"}";
    else if (version)
        body = arena_printf(cli->arena, "{\"version\":%llu}", (unsigned long long)number);
    return operate(cli, "retry", slice_cstr(body), "retrying");
}

int cmd_execution_fork(struct cli *cli)
{
    struct error error = {0};
    struct reply reply;
    uint64_t record;
    if (args_uint(&cli->args, "--record", 0, INT64_MAX, &record, &error))
        return say_error(cli->is_json, &error, EXIT_USAGE);
    const char *body = "{}";
    if (args_has(&cli->args, "--record"))
        body = arena_printf(cli->arena, "{\"record\":%llu}", (unsigned long long)record);
    const char *path = client_path(cli, "/executions/%s/fork", cli->args.positional[0], NULL);
    int code = client_send(cli, "POST", path, slice_cstr(body), 0, &reply);
    if (code)
        return code;
    if (cli->is_json)
        reply_print(&reply);
    else
        printf("%.*s\n", SLICE_ARG(json_text(cli, &reply.json, "execution_id")));
    return EXIT_OK;
}
