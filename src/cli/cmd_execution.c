/* SPDX-License-Identifier: Apache-2.0
 *
 * `execution list|show`. */
#include <stdio.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"

static void print_table(struct cli *cli, const struct body_value *list)
{
    static const char *const titles[] = {"ID",      "FUNCTION", "VERSION", "STATUS",
                                         "CREATED", "TOOK",     "ERROR"};
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    CLEANUP(table_done) struct table table = table_new(titles, ARRAY_LEN(titles));
    struct body_walk walk = body_walk(list);
    struct body_value row;
    while (body_next_item(&walk, &row)) {
        char ago[32], took[32] = "";
        struct body_value error = json_member(&row, "error");
        struct slice message = json_text(cli, &error, "message");
        double ms = json_decimal(&row, "duration_ms");
        say_ago(json_number(&row, "created_at_ms"), clock_wall_us() / 1000, ago, sizeof(ago));
        if (ms >= 0)
            say_duration(ms, took, sizeof(took));
        table_cell(&table, json_text(cli, &row, "id"));
        table_cell(&table, json_text(cli, &row, "function"));
        table_cell(&table, json_text(cli, &row, "version"));
        table_cell(&table, json_text(cli, &row, "status"));
        table_cell(&table, slice_cstr(ago));
        table_cell(&table, slice_cstr(took));
        table_cell(&table, slice_split(&message, '\n'));
    }
    table_write(&table, &out);
    fputs(bytes_cstr(&out), stdout);
}

int cmd_execution_list(struct cli *cli)
{
    struct error error = {0};
    struct reply reply;
    uint64_t limit;
    if (args_uint(&cli->args, "--limit", 50, 1000, &limit, &error))
        return say_error(cli->is_json, &error, EXIT_USAGE);
    const char *function = args_get(&cli->args, "--function");
    const char *path =
        function ? client_path(cli, "/functions/%s/executions", function, NULL) : "/executions";
    path = arena_printf(cli->arena, "%s?limit=%llu", path, (unsigned long long)limit);
    int code = client_send(cli, "GET", path, SLICE_EMPTY, 0, &reply);
    if (code)
        return code;
    if (cli->is_json || reply.json.kind != BODY_ARRAY)
        reply_print(&reply);
    else
        print_table(cli, &reply.json);
    return EXIT_OK;
}

static void print_row(const char *label, struct slice value)
{
    if (value.len > 0)
        printf("%-10s %.*s\n", label, SLICE_ARG(value));
}

static void print_json(const char *label, const struct body_value *execution, const char *member)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    struct body_value value = json_member(execution, member);
    if (value.text.len == 0 || value.kind == BODY_NULL)
        return;
    json_indent(value.text, &text);
    printf("\n%s\n%.*s\n", label, SLICE_ARG(bytes_slice(&text)));
}

static void print_failure(struct cli *cli, const struct body_value *execution)
{
    struct body_value error = json_member(execution, "error");
    if (error.kind != BODY_OBJECT)
        return;
    struct slice stack = json_text(cli, &error, "stack");
    printf("\nerror\n%.*s\n", SLICE_ARG(json_exception(cli, &error)));
    if (stack.len > 0)
        printf("%.*s%s", SLICE_ARG(stack), stack.ptr[stack.len - 1] == '\n' ? "" : "\n");
}

static void print_logs(struct cli *cli, const struct body_value *execution)
{
    struct body_value logs = json_member(execution, "logs"), line;
    if (logs.kind != BODY_ARRAY)
        return;
    struct body_walk walk = body_walk(&logs);
    for (bool is_first = true; body_next_item(&walk, &line); is_first = false) {
        struct slice level = json_text(cli, &line, "level"), text = json_text(cli, &line, "text");
        printf("%s%-5.*s  %.*s\n", is_first ? "\nlogs\n" : "", SLICE_ARG(level), SLICE_ARG(text));
    }
}

int cmd_execution_show(struct cli *cli)
{
    struct reply reply;
    char ago[32], took[32];
    const char *path = client_path(cli, "/executions/%s", cli->args.positional[0], NULL);
    int code = client_send(cli, "GET", path, SLICE_EMPTY, 0, &reply);
    if (code)
        return code;
    if (cli->is_json) {
        reply_print(&reply);
        return EXIT_OK;
    }
    const struct body_value *e = &reply.json;
    say_ago(json_number(e, "created_at_ms"), clock_wall_us() / 1000, ago, sizeof(ago));
    print_row("id", json_text(cli, e, "id"));
    print_row("function", json_text(cli, e, "function"));
    print_row("version", json_text(cli, e, "version"));
    print_row("status", json_text(cli, e, "status"));
    printf("%-10s %.*s (%s)\n", "created", SLICE_ARG(json_text(cli, e, "created_at")), ago);
    double ms = json_decimal(e, "duration_ms");
    if (ms >= 0) {
        say_duration(ms, took, sizeof(took));
        print_row("took", slice_cstr(took));
    }
    print_json("input", e, "input");
    print_json("output", e, "output");
    print_failure(cli, e);
    print_logs(cli, e);
    return EXIT_OK;
}
