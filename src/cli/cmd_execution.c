/* SPDX-License-Identifier: Apache-2.0
 *
 * `execution list|show`, of functions and workflows. */
#include <stdio.h>

#include "base/clock.h"
#include "base/module_kind.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"

/* "suspended (paused)", "running (parked)" */
static struct slice status_text(struct cli *cli, const struct body_value *execution)
{
    struct slice status = json_text(cli, execution, "status");
    if (!slice_eq_cstr(json_text(cli, execution, "paused"), "true"))
        return status;
    bool is_parked = json_text(cli, execution, "parked").len > 0;
    return slice_cstr(
        arena_printf(cli->arena, "%.*s (%s)", SLICE_ARG(status), is_parked ? "parked" : "paused"));
}

/* What kind of module it is a run of: the member that names it. */
static const char *word_of(const struct body_value *execution)
{
    for (unsigned k = 0; k < MODULE_KINDS; k++)
        if (json_member(execution, module_kinds[k].word).kind == BODY_STRING)
            return module_kinds[k].word;
    return module_kinds[MODULE_FUNCTION].word;
}

static struct slice name_text(struct cli *cli, const struct body_value *execution)
{
    return json_text(cli, execution, word_of(execution));
}

static void execution_row(struct cli *cli, struct table *table, const struct body_value *row)
{
    char ago[32], took[32] = "";
    struct body_value error = json_member(row, "error");
    struct slice message = json_text(cli, &error, "message");
    double ms = json_decimal(row, "duration_ms");
    say_ago(json_number(row, "created_at_ms"), clock_wall_us() / 1000, ago, sizeof(ago));
    if (ms >= 0)
        say_duration(ms, took, sizeof(took));
    table_cell(table, json_text(cli, row, "execution_id"));
    table_cell(table, name_text(cli, row));
    table_cell(table, json_text(cli, row, "version"));
    table_cell(table, status_text(cli, row));
    table_cell(table, slice_cstr(ago));
    table_cell(table, slice_cstr(took));
    table_cell(table, slice_split(&message, '\n'));
}

/* The path with what the flags ask for, or NULL. */
static const char *list_path(struct cli *cli, struct error *ret_error)
{
    static const char *const filters[] = {"workflow", "status", "parent"};
    const struct args *args = &cli->args;
    const char *function = args_get(args, "--function");
    bool is_all = args_has(args, "--all");
    uint64_t limit;
    if (args_uint(args, "--limit", is_all ? 1000 : 50, 1000, &limit, ret_error))
        return NULL;
    const char *path =
        function ? client_path(cli, "/functions/%s/executions", client_name(cli, function), NULL)
                 : client_path(cli, "/executions", NULL, NULL);
    path = arena_printf(cli->arena, "%s?limit=%llu", path, (unsigned long long)limit);
    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        const char *value = args_get(args, arena_printf(cli->arena, "--%s", filters[i]));
        if (value && function) {
            error_set(ret_error, ERR_INVALID, "--%s is for executions of workflows", filters[i]);
            error_hint(ret_error, "leave --function out");
            return NULL;
        }
        if (value)
            path = arena_printf(cli->arena, "%s&%s=%s", path, filters[i],
                                client_path(cli, "%s", value, NULL));
    }
    return path;
}

int cmd_execution_list(struct cli *cli)
{
    static const char *const titles[] = {"ID",      "NAME", "VERSION", "STATUS",
                                         "CREATED", "TOOK", "ERROR"};
    struct error error = {0};
    const struct client_list list = {
        .path = list_path(cli, &error),
        .titles = titles,
        .columns = ARRAY_LEN(titles),
        .row = execution_row,
        .is_all = args_has(&cli->args, "--all"),
    };
    return list.path ? client_list(cli, &list) : say_error(cli->is_json, &error, EXIT_USAGE);
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

/* "2026-11-21T13:41:00.123Z (3 min ago)" */
static void print_time(struct cli *cli, const struct body_value *e, const char *label,
                       const char *member)
{
    char ago[32];
    struct slice at = json_text(cli, e, member);
    int64_t ms = json_number(e, arena_printf(cli->arena, "%s_ms", member));
    say_ago(ms, clock_wall_us() / 1000, ago, sizeof(ago));
    if (at.len > 0)
        printf("%-10s %.*s (%s)\n", label, SLICE_ARG(at), ago);
}

static void print_execution(struct cli *cli, const struct body_value *e)
{
    char took[32];
    struct slice wake = json_text(cli, e, "wake_at");
    print_row("id", json_text(cli, e, "execution_id"));
    print_row(word_of(e), name_text(cli, e));
    print_row("version", json_text(cli, e, "version"));
    print_row("status", status_text(cli, e));
    print_row("parked", json_text(cli, e, "parked"));
    print_row("key", json_text(cli, e, "key"));
    print_row("parent", json_text(cli, e, "parent"));
    print_row("records", json_text(cli, e, "records"));
    if (json_number(e, "attempt") > 1)
        print_row("attempt", json_text(cli, e, "attempt"));
    print_time(cli, e, "created", "created_at");
    print_time(cli, e, "finished", "finished_at");
    double ms = json_decimal(e, "duration_ms");
    if (ms >= 0) {
        say_duration(ms, took, sizeof(took));
        print_row("took", slice_cstr(took));
    }
    print_row("wakes", wake);
    if (slice_eq_cstr(json_text(cli, e, "status"), "suspended") && wake.len == 0)
        print_row("waits for", SLICE_LIT("a signal or a child"));
    print_json("progress", e, "progress");
    print_json("input", e, "input");
    print_json("output", e, "output");
    print_failure(cli, e);
    print_logs(cli, e);
}

int cmd_execution_show(struct cli *cli)
{
    struct reply reply;
    const char *path = client_path(cli, "/executions/%s", cli->args.positional[0], NULL);
    int code = client_send(cli, "GET", path, SLICE_EMPTY, 0, &reply);
    if (code)
        return code;
    if (cli->is_json)
        reply_print(&reply);
    else
        print_execution(cli, &reply.json);
    return EXIT_OK;
}
