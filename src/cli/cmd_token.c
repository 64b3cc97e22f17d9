/* SPDX-License-Identifier: Apache-2.0
 *
 * `token create|list|revoke`, of the namespace that the command line names. */
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/module_name.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"
#include "store/store.h"

int cmd_token_create(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct error error = {0};
    struct reply reply;
    enum token_role role;
    const char *text = args_get(&cli->args, "--role");
    if (!text)
        text = "read";
    if (!token_role_read(slice_cstr(text), &role)) {
        error_set(&error, ERR_INVALID, "there is no role '%.40s'", text);
        error_hint(&error, "--role is read, invoke, deploy or admin");
        return say_error(cli->is_json, &error, EXIT_USAGE);
    }
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "role");
    json_cstr(&w, text);
    json_close(&w, '}');
    const char *path = client_path(cli, "/tokens", NULL, NULL);
    int code = client_send(cli, "POST", path, bytes_slice(&body), 0, &reply);
    if (code)
        return code;
    if (cli->is_json) {
        reply_print(&reply);
        return EXIT_OK;
    }
    say_progress(false, "token %.*s of namespace %s, role %s; it is shown this once:",
                 SLICE_ARG(json_text(cli, &reply.json, "id")),
                 cli->space ? cli->space : NAMESPACE_DEFAULT, text);
    printf("%.*s\n", SLICE_ARG(json_text(cli, &reply.json, "token")));
    return EXIT_OK;
}

static void token_row(struct cli *cli, struct table *table, const struct body_value *row)
{
    int64_t now_ms = clock_wall_us() / 1000;
    char made[32], used[32];
    say_ago(json_number(row, "created_at_ms"), now_ms, made, sizeof(made));
    say_ago(json_number(row, "used_at_ms"), now_ms, used, sizeof(used));
    table_cell(table, json_text(cli, row, "id"));
    table_cell(table, json_text(cli, row, "role"));
    table_cell(table, slice_cstr(made));
    table_cell(table, slice_cstr(used));
}

int cmd_token_list(struct cli *cli)
{
    static const char *const titles[] = {"ID", "ROLE", "CREATED", "USED"};
    const struct client_list list = {
        .path = client_path(cli, "/tokens", NULL, NULL),
        .titles = titles,
        .columns = ARRAY_LEN(titles),
        .row = token_row,
        .empty = "no tokens; 'limpet token create --role ROLE' makes one",
    };
    return client_list(cli, &list);
}

int cmd_token_revoke(struct cli *cli)
{
    struct reply reply;
    const char *id = cli->args.positional[0];
    int code = client_send(cli, "DELETE", client_path(cli, "/tokens/%s", id, NULL), SLICE_EMPTY, 0,
                           &reply);
    if (!code)
        say_progress(cli->is_json, "revoked %s", id);
    return code;
}
