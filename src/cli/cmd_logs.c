/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines of functions, workflows and executions, once or followed. A stream that breaks off is
 * an error; the end of the execution, or Ctrl-C, is the normal end. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/logs.h"
#include "cli/say.h"

/* "14:03:27.123  info   text"; the date is left to --json. Control characters but tabs are dropped.
 */
static void print_line(struct cli *cli, const struct body_value *line, FILE *out)
{
    struct slice at = json_text(cli, line, "at"), text = json_text(cli, line, "text");
    struct slice level = json_text(cli, line, "level");
    struct slice time = at.len >= 23 ? slice_of(at.ptr + 11, 12) : at;
    fprintf(out, "%.*s  %-5.*s  ", SLICE_ARG(time), SLICE_ARG(level));
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_control = ((unsigned char)c < 0x20 && c != '\t' && c != '\n') || c == 0x7f;
        if (!is_control)
            fputc(c, out);
    }
    fputc('\n', out);
}

static void show_line(struct cli *cli, struct slice text, FILE *out)
{
    struct body_value line;
    if (cli->is_json) {
        fprintf(out, "%.*s\n", SLICE_ARG(text));
    } else if (!body_parse(text, &line, NULL)) {
        /* A stream has no end, so its lines may not pile up in the program's arena. */
        struct arena *whole = cli->arena;
        cli->arena = arena_new(NULL);
        print_line(cli, &line, out);
        arena_free(cli->arena);
        cli->arena = whole;
    }
    fflush(out);
}

static void on_line(struct cli *cli, struct slice text)
{
    show_line(cli, text, stdout);
}

static void on_tail_line(struct cli *cli, struct slice text)
{
    show_line(cli, text, stderr);
}

int logs_tail(struct cli *cli, const char *execution)
{
    const char *path =
        client_path(cli, "/executions/%s/logs?follow=true&after=0&limit=1000", execution, NULL);
    return client_follow(cli, path, on_tail_line);
}

/* path: of the lines, without a query. */
static int show_logs(struct cli *cli, const char *path)
{
    struct error error = {0};
    struct reply reply;
    uint64_t after, limit;
    if (args_uint(&cli->args, "--after", 0, INT64_MAX, &after, &error) ||
        args_uint(&cli->args, "--limit", 100, 1000, &limit, &error))
        return say_error(cli->is_json, &error, EXIT_USAGE);
    path = arena_printf(cli->arena, "%s?limit=%llu", path, (unsigned long long)limit);
    if (args_has(&cli->args, "--after"))
        path = arena_printf(cli->arena, "%s&after=%llu", path, (unsigned long long)after);
    if (args_has(&cli->args, "--follow"))
        return client_follow(cli, arena_printf(cli->arena, "%s&follow=true", path), on_line);
    int code = client_send(cli, "GET", path, SLICE_EMPTY, 0, &reply);
    if (code)
        return code;
    if (cli->is_json || reply.json.kind != BODY_ARRAY) {
        reply_print(&reply);
        return EXIT_OK;
    }
    struct body_walk walk = body_walk(&reply.json);
    struct body_value line;
    while (body_next_item(&walk, &line))
        print_line(cli, &line, stdout);
    return EXIT_OK;
}

int cmd_function_logs(struct cli *cli)
{
    return show_logs(cli, client_object_path(cli, cli->args.positional[0], "/logs", NULL));
}

int cmd_execution_logs(struct cli *cli)
{
    return show_logs(cli, client_path(cli, "/executions/%s/logs", cli->args.positional[0], NULL));
}
