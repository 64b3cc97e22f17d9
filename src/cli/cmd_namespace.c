/* SPDX-License-Identifier: Apache-2.0
 *
 * `namespace create|list|show|delete`. */
#include <stdio.h>

#include "admin/names.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"

int cmd_namespace_create(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct error error = {0};
    struct reply reply;
    const char *name = cli->args.positional[0];
    if (names_check_namespace(slice_cstr(name), &error))
        return say_error(cli->is_json, &error, EXIT_USAGE);
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "name");
    json_cstr(&w, name);
    json_close(&w, '}');
    int code = client_send(cli, "POST", "/namespaces", bytes_slice(&body), 0, &reply);
    if (!code && cli->is_json)
        reply_print(&reply);
    else if (!code)
        say_progress(false, "made namespace %s", name);
    return code;
}

static void created_text(const struct body_value *row, char *ret_text, size_t size)
{
    say_ago(json_number(row, "created_at_ms"), clock_wall_us() / 1000, ret_text, size);
}

static void namespace_row(struct cli *cli, struct table *table, const struct body_value *row)
{
    char ago[32];
    created_text(row, ago, sizeof(ago));
    table_cell(table, json_text(cli, row, "name"));
    table_cell(table, json_text(cli, row, "functions"));
    table_cell(table, json_text(cli, row, "workflows"));
    table_cell(table, slice_cstr(ago));
}

int cmd_namespace_list(struct cli *cli)
{
    static const char *const titles[] = {"NAME", "FUNCTIONS", "WORKFLOWS", "CREATED"};
    const struct client_list list = {.path = "/namespaces",
                                     .titles = titles,
                                     .columns = ARRAY_LEN(titles),
                                     .row = namespace_row};
    return client_list(cli, &list);
}

static void print_row(const char *label, struct slice value)
{
    printf("%-10s %.*s\n", label, SLICE_ARG(value.len > 0 ? value : SLICE_LIT("-")));
}

int cmd_namespace_show(struct cli *cli)
{
    struct reply reply, quota;
    char ago[32];
    const char *name = cli->args.positional[0];
    int code = client_send(cli, "GET", client_server_path(cli, "/namespaces/%s", name), SLICE_EMPTY,
                           0, &reply);
    if (!code && cli->is_json) {
        reply_print(&reply);
        return EXIT_OK;
    }
    if (!code)
        code = client_send(cli, "GET", client_server_path(cli, "/namespaces/%s/quota", name),
                           SLICE_EMPTY, 0, &quota);
    if (code)
        return code;
    struct body_value memory = json_member(&quota.json, "memory_bytes");
    created_text(&reply.json, ago, sizeof(ago));
    print_row("name", json_text(cli, &reply.json, "name"));
    print_row("functions", json_text(cli, &reply.json, "functions"));
    print_row("workflows", json_text(cli, &reply.json, "workflows"));
    print_row("created", slice_cstr(ago));
    print_row("memory", slice_cstr(arena_printf(cli->arena, "%.*s of %.*s bytes",
                                                SLICE_ARG(json_text(cli, &memory, "used")),
                                                SLICE_ARG(json_text(cli, &memory, "max")))));
    return EXIT_OK;
}

int cmd_namespace_delete(struct cli *cli)
{
    struct reply reply;
    const char *name = cli->args.positional[0];
    const char *path = client_server_path(
        cli, args_has(&cli->args, "--force") ? "/namespaces/%s?force=true" : "/namespaces/%s",
        name);
    int code = client_send(cli, "DELETE", path, SLICE_EMPTY, 0, &reply);
    if (code)
        return code;
    if (cli->is_json) {
        reply_print(&reply);
        return EXIT_OK;
    }
    struct body_value deleted = json_member(&reply.json, "deleted"), item;
    struct body_walk walk = {0};
    if (deleted.kind == BODY_ARRAY)
        walk = body_walk(&deleted);
    while (deleted.kind == BODY_ARRAY && body_next_item(&walk, &item)) {
        CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
        body_string(&item, &text);
        say_progress(false, "deleted %s/%s", name, bytes_cstr(&text));
    }
    say_progress(false, "deleted namespace %s", name);
    return EXIT_OK;
}
