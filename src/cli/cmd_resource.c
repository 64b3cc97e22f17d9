/* SPDX-License-Identifier: Apache-2.0
 *
 * `kv namespace create|list|show|delete`, and the same of other kinds of resources: the command's first
 * word says which (base/resource_kind.h). */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/resource_kind.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"

enum resource_kind cli_resource_kind(const struct cli *cli)
{
    struct slice path = slice_cstr(cli->args.command->path);
    enum resource_kind kind = RESOURCE_KIND_KV;
    CHECK(resource_kind_find(slice_split(&path, ' '), &kind));
    return kind;
}

static const struct resource_kind_info *kind_of(const struct cli *cli)
{
    return &resource_kinds[cli_resource_kind(cli)];
}

const char *cli_resource_path(struct cli *cli, const char *name, const char *rest)
{
    const char *format = arena_printf(cli->arena, "%s/%%s%s", kind_of(cli)->path, rest);
    return client_path(cli, format, name, NULL);
}

int cmd_resource_create(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct error error = {0};
    struct reply reply;
    const char *name = cli->args.positional[0];
    if (resource_name_check(cli_resource_kind(cli), slice_cstr(name), &error))
        return say_error(cli->is_json, &error, EXIT_USAGE);
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "name");
    json_cstr(&w, name);
    json_close(&w, '}');
    int code = client_send(cli, "POST", client_path(cli, kind_of(cli)->path, NULL, NULL),
                           bytes_slice(&body), 0, &reply);
    if (!code && cli->is_json)
        reply_print(&reply);
    else if (!code)
        say_progress(false, "made %s %s", kind_of(cli)->title, name);
    return code;
}

static void resource_row(struct cli *cli, struct table *table, const struct body_value *row)
{
    char ago[32], size[32];
    say_ago(json_number(row, "created_at_ms"), clock_wall_us() / 1000, ago, sizeof(ago));
    say_bytes((uint64_t)json_number(row, "stored_bytes"), size, sizeof(size));
    table_cell(table, json_text(cli, row, "name"));
    table_cell(table, json_text(cli, row, "items"));
    table_cell(table, slice_cstr(size));
    table_cell(table, slice_cstr(ago));
}

int cmd_resource_list(struct cli *cli)
{
    static const char *const titles[] = {"NAME", "ITEMS", "SIZE", "CREATED"};
    const struct client_list list = {
        .path = client_path(cli, kind_of(cli)->path, NULL, NULL),
        .titles = titles,
        .columns = ARRAY_LEN(titles),
        .row = resource_row,
        .empty = "there are none; a deploy that is bound to one makes it",
    };
    return client_list(cli, &list);
}

int cmd_resource_show(struct cli *cli)
{
    struct reply reply;
    char ago[32], size[32];
    const char *path = cli_resource_path(cli, cli->args.positional[0], "");
    int code = client_send(cli, "GET", path, SLICE_EMPTY, 0, &reply);
    if (code)
        return code;
    if (cli->is_json) {
        reply_print(&reply);
        return EXIT_OK;
    }
    say_ago(json_number(&reply.json, "created_at_ms"), clock_wall_us() / 1000, ago, sizeof(ago));
    say_bytes((uint64_t)json_number(&reply.json, "stored_bytes"), size, sizeof(size));
    printf("name      %s\n", cli->args.positional[0]);
    printf("items     %lld\n", (long long)json_number(&reply.json, "items"));
    printf("size      %s\n", size);
    printf("created   %s\n", ago);
    struct body_value users = json_member(&reply.json, "bound_to"), item;
    if (users.kind == BODY_ARRAY)
        for (struct body_walk walk = body_walk(&users); body_next_item(&walk, &item);) {
            CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
            body_string(&item, &text);
            printf("bound to  %s\n", bytes_cstr(&text));
        }
    return EXIT_OK;
}

/* Data goes with it, so only "y" or --yes deletes; a script that forgot it is refused. */
static bool is_confirmed(const struct cli *cli, const char *name)
{
    char answer[16];
    if (args_has(&cli->args, "--yes"))
        return true;
    fprintf(stderr, "Delete %s '%s' with all that is in it? [y/N] ", kind_of(cli)->title, name);
    bool is_yes = fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
    if (!isatty(STDIN_FILENO))
        fputc('\n', stderr); /* nobody typed one */
    return is_yes;
}

int cmd_resource_delete(struct cli *cli)
{
    struct reply reply;
    const char *name = cli->args.positional[0];
    if (!is_confirmed(cli, name)) {
        struct error error = {0};
        error_set(&error, ERR_CANCELLED, "nothing was deleted");
        error_hint(&error, "answer y, or give --yes");
        return say_error(cli->is_json, &error, EXIT_FAILED);
    }
    const char *path =
        cli_resource_path(cli, name, args_has(&cli->args, "--unbind") ? "?unbind=true" : "");
    int code = client_send(cli, "DELETE", path, SLICE_EMPTY, 0, &reply);
    if (!code)
        say_progress(cli->is_json, "deleted %s %s", kind_of(cli)->title, name);
    return code;
}
