/* SPDX-License-Identifier: Apache-2.0
 *
 * `env set|get|list|delete` of functions and workflows. */
#include <stdio.h>

#include "admin/names.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"

static const char *var_path(struct cli *cli)
{
    return client_object_path(cli, cli->args.positional[0], "/env/%s", cli->args.positional[1]);
}

int cmd_env_set(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct error error = {0};
    struct reply reply;
    struct slice value = slice_cstr(cli->args.positional[2]);
    enum err err = names_check_env(slice_cstr(cli->args.positional[1]), &error);
    if (!err && !slice_is_utf8(value)) {
        err = error_set(&error, ERR_INVALID, "the value is not UTF-8");
        error_hint(&error, "encode binary data, for example with base64");
    }
    if (err)
        return say_error(cli->is_json, &error, EXIT_USAGE);
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "value");
    json_slice(&w, value);
    json_close(&w, '}');
    int code = client_send(cli, "PUT", var_path(cli), bytes_slice(&body), 0, &reply);
    if (!code)
        say_progress(cli->is_json, "set %s of %s", cli->args.positional[1],
                     cli->args.positional[0]);
    return code;
}

int cmd_env_get(struct cli *cli)
{
    struct reply reply;
    int code = client_send(cli, "GET", var_path(cli), SLICE_EMPTY, 0, &reply);
    if (code)
        return code;
    if (cli->is_json) {
        reply_print(&reply);
        return EXIT_OK;
    }
    struct slice value = json_text(cli, &reply.json, "value");
    fwrite(value.ptr, 1, value.len, stdout);
    putchar('\n');
    return EXIT_OK;
}

static void env_row(struct cli *cli, struct table *table, const struct body_value *var)
{
    table_cell(table, json_text(cli, var, "name"));
    table_cell(table, json_text(cli, var, "value"));
}

int cmd_env_list(struct cli *cli)
{
    static const char *const titles[] = {"NAME", "VALUE"};
    const struct client_list list = {
        .path = client_object_path(cli, cli->args.positional[0], "/env", NULL),
        .titles = titles,
        .columns = ARRAY_LEN(titles),
        .row = env_row,
    };
    return client_list(cli, &list);
}

int cmd_env_delete(struct cli *cli)
{
    struct reply reply;
    int code = client_send(cli, "DELETE", var_path(cli), SLICE_EMPTY, 0, &reply);
    if (!code)
        say_progress(cli->is_json, "deleted %s of %s", cli->args.positional[1],
                     cli->args.positional[0]);
    return code;
}
