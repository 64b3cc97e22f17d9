/* SPDX-License-Identifier: Apache-2.0
 *
 * `build status` and `build list` of functions and workflows. */
#include <stdio.h>

#include "base/clock.h"
#include "cli/build.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"

static void print_row(const char *label, struct slice value)
{
    if (value.len > 0)
        printf("%-10s %.*s\n", label, SLICE_ARG(value));
}

static void print_failure(struct cli *cli, const struct body_value *error)
{
    struct slice file = json_text(cli, error, "file"), frame = json_text(cli, error, "frame");
    print_row("error", json_text(cli, error, "message"));
    if (file.len > 0)
        printf("%-10s %.*s:%lld:%lld\n", "at", SLICE_ARG(file),
               (long long)json_number(error, "line"), (long long)json_number(error, "column"));
    if (frame.len > 0)
        printf("\n%.*s%s", SLICE_ARG(frame), frame.ptr[frame.len - 1] == '\n' ? "" : "\n");
}

int build_show_ended(struct cli *cli, const struct reply *reply, bool is_failed)
{
    const struct body_value *build = &reply->json;
    if (cli->is_json) {
        reply_print(reply);
        return is_failed ? EXIT_FAILED : EXIT_OK;
    }
    char ago[32], time[32];
    say_ago(json_number(build, "created_at_ms"), clock_wall_us() / 1000, ago, sizeof(ago));
    print_row(cli_word(cli), json_text(cli, build, cli_word(cli)));
    print_row("build", json_text(cli, build, "id"));
    print_row("status", json_text(cli, build, "status"));
    print_row("version", json_text(cli, build, "version"));
    print_row("created", slice_cstr(ago));
    double ms = json_decimal(build, "duration_ms");
    if (ms >= 0) {
        say_duration(ms, time, sizeof(time));
        print_row("took", slice_cstr(time));
    }
    struct body_value error = json_member(build, "error");
    if (error.kind == BODY_OBJECT)
        print_failure(cli, &error);
    return is_failed ? EXIT_FAILED : EXIT_OK;
}

int cmd_build_status(struct cli *cli)
{
    struct reply reply;
    const char *path =
        client_object_path(cli, cli->args.positional[0], "/builds/%s", cli->args.positional[1]);
    int code = client_send(cli, "GET", path, SLICE_EMPTY, 0, &reply);
    return code ? code : build_show_ended(cli, &reply, false);
}

static void build_row(struct cli *cli, struct table *table, const struct body_value *build)
{
    char ago[32], took[32] = "";
    struct body_value error = json_member(build, "error");
    struct slice message = json_text(cli, &error, "message");
    double ms = json_decimal(build, "duration_ms");
    say_ago(json_number(build, "created_at_ms"), clock_wall_us() / 1000, ago, sizeof(ago));
    if (ms >= 0)
        say_duration(ms, took, sizeof(took));
    table_cell(table, json_text(cli, build, "id"));
    table_cell(table, json_text(cli, build, "status"));
    table_cell(table, json_text(cli, build, "version"));
    table_cell(table, slice_cstr(ago));
    table_cell(table, slice_cstr(took));
    table_cell(table, slice_split(&message, '\n'));
}

int cmd_build_list(struct cli *cli)
{
    static const char *const titles[] = {"BUILD", "STATUS", "VERSION", "CREATED", "TOOK", "ERROR"};
    const struct client_list list = {
        .path = client_object_path(cli, cli->args.positional[0], "/builds", NULL),
        .titles = titles,
        .columns = ARRAY_LEN(titles),
        .row = build_row,
    };
    return client_list(cli, &list);
}
