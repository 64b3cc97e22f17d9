/* SPDX-License-Identifier: Apache-2.0
 *
 * `list|show|delete` of functions and workflows. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"

static void function_row(struct cli *cli, struct table *table, const struct body_value *function)
{
    char ago[32];
    struct body_value build = json_member(function, "last_build");
    struct slice id = json_text(cli, &build, "id");
    say_ago(json_number(function, "updated_at_ms"), clock_wall_us() / 1000, ago, sizeof(ago));
    table_cell(table, json_text(cli, function, "name"));
    table_cell(table, json_text(cli, function, "status"));
    table_cell(table, json_text(cli, function, "version"));
    table_cell(table, slice_cstr(arena_printf(cli->arena, "%.*s %.*s", SLICE_ARG(id),
                                              SLICE_ARG(json_text(cli, &build, "status")))));
    table_cell(table, slice_cstr(ago));
    if (table->columns > 5) /* workflows have no address */
        table_cell(table, json_text(cli, function, "url"));
}

int cmd_function_list(struct cli *cli)
{
    static const char *const titles[] = {"NAME", "STATUS", "VERSION", "BUILD", "UPDATED", "URL"};
    const char *word = cli_word(cli);
    const struct client_list list = {
        .path = client_path(cli, arena_printf(cli->arena, "/%ss", word), NULL, NULL),
        .titles = titles,
        .columns = strcmp(word, "workflow") == 0 ? 5 : 6,
        .row = function_row,
        .empty = arena_printf(cli->arena, "no %ss yet; 'limpet %s upload NAME FILE' makes one",
                              word, word),
    };
    return client_list(cli, &list);
}

static void print_row(const char *label, struct slice value)
{
    printf("%-10s %.*s\n", label, SLICE_ARG(value.len > 0 ? value : SLICE_LIT("-")));
}

static void print_egress(struct cli *cli, const struct body_value *function)
{
    struct body_value egress = json_member(function, "egress"), domain;
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    if (egress.kind == BODY_ARRAY) {
        struct body_walk walk = body_walk(&egress);
        while (body_next_item(&walk, &domain)) {
            if (text.len > 0)
                bytes_append_cstr(&text, ", ");
            if (domain.kind == BODY_STRING)
                body_string(&domain, &text);
        }
    } else {
        bytes_append_cstr(&text, "all public hosts");
    }
    print_row("egress", bytes_slice(&text));
}

static void print_function(struct cli *cli, const struct body_value *f)
{
    struct body_value build = json_member(f, "last_build"), limits = json_member(f, "limits");
    char ago[32];
    print_row("name", json_text(cli, f, "name"));
    print_row("status", json_text(cli, f, "status"));
    if (json_member(f, "url").kind == BODY_STRING)
        print_row("url", json_text(cli, f, "url"));
    print_row("version", json_text(cli, f, "version"));
    print_row("content", json_text(cli, f, "content_hash"));
    print_row("build", slice_cstr(arena_printf(cli->arena, "%.*s %.*s",
                                               SLICE_ARG(json_text(cli, &build, "id")),
                                               SLICE_ARG(json_text(cli, &build, "status")))));
    if (limits.kind == BODY_OBJECT) {
        print_row("isolation", json_text(cli, f, "isolation"));
        print_row("limits", slice_cstr(arena_printf(
                                cli->arena,
                                "%.*s MiB memory, %.*s ms CPU, %.*s ms in all, %.*s ms in a "
                                "transaction",
                                SLICE_ARG(json_text(cli, &limits, "memory_mb")),
                                SLICE_ARG(json_text(cli, &limits, "cpu_ms")),
                                SLICE_ARG(json_text(cli, &limits, "wall_ms")),
                                SLICE_ARG(json_text(cli, &limits, "sql_transaction_ms")))));
        print_egress(cli, f);
    }
    say_ago(json_number(f, "created_at_ms"), clock_wall_us() / 1000, ago, sizeof(ago));
    print_row("created", slice_cstr(ago));
    say_ago(json_number(f, "updated_at_ms"), clock_wall_us() / 1000, ago, sizeof(ago));
    print_row("updated", slice_cstr(ago));
}

int cmd_function_show(struct cli *cli)
{
    struct reply reply;
    const char *path = client_object_path(cli, cli->args.positional[0], "", NULL);
    int code = client_send(cli, "GET", path, SLICE_EMPTY, 0, &reply);
    if (code)
        return code;
    if (cli->is_json)
        reply_print(&reply);
    else
        print_function(cli, &reply.json);
    return EXIT_OK;
}

/* Data goes with it, so only "y" or --yes deletes; a script that forgot it is refused. */
static bool is_confirmed(const struct cli *cli, const char *name)
{
    char answer[16];
    if (args_has(&cli->args, "--yes"))
        return true;
    fprintf(stderr,
            "Delete %s '%s' with its versions, database, variables, executions and logs? "
            "[y/N] ",
            cli_word(cli), name);
    bool is_yes = fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
    if (!isatty(STDIN_FILENO))
        fputc('\n', stderr); /* nobody typed one */
    return is_yes;
}

int cmd_function_delete(struct cli *cli)
{
    struct reply reply;
    const char *name = cli->args.positional[0];
    if (!is_confirmed(cli, name)) {
        struct error error = {0};
        error_set(&error, ERR_CANCELLED, "nothing was deleted");
        error_hint(&error, "answer y, or give --yes");
        return say_error(cli->is_json, &error, EXIT_FAILED);
    }
    const char *path = client_object_path(cli, name, "", NULL);
    int code = client_send(cli, "DELETE", path, SLICE_EMPTY, 0, &reply);
    if (!code)
        say_progress(cli->is_json, "deleted %s", name);
    return code;
}
