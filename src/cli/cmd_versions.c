/* SPDX-License-Identifier: Apache-2.0
 *
 * `versions list|view|rollback|promote`: of the project here, or of one that is named. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/deploy.h"
#include "cli/say.h"

/* The words in front of the version, if there are as many as that: a name; else the project's. */
static int take_module(struct cli *cli, size_t words_behind, const char **ret_name)
{
    const struct args *args = &cli->args;
    struct project *p;
    if (args_has(args, "--workflow"))
        cli->word = "workflow";
    if (args->positional_len > words_behind) {
        *ret_name = args->positional[0];
        return EXIT_OK;
    }
    int code = deploy_open(cli, ".", &p);
    if (!code)
        *ret_name = p->name;
    return code;
}

static const char *percent_text(struct cli *cli, const struct body_value *v)
{
    const double percent = json_decimal(v, "percent");
    return percent > 0 ? arena_printf(cli->arena, "%g %%", percent) : "";
}

static void version_row(struct cli *cli, struct table *table, const struct body_value *v)
{
    char ago[32];
    say_ago(json_number(v, "created_at_ms"), clock_wall_us() / 1000, ago, sizeof(ago));
    table_cell(table, json_text(cli, v, "version"));
    table_cell(table, slice_cstr(percent_text(cli, v)));
    table_cell(table, slice_cstr(ago));
    table_cell(table, json_text(cli, v, "content_hash"));
}

int cmd_versions_list(struct cli *cli)
{
    static const char *const titles[] = {"VERSION", "TRAFFIC", "CREATED", "CONTENT"};
    const char *name;
    int code = take_module(cli, 0, &name);
    if (code)
        return code;
    const struct client_list list = {
        .path = client_object_path(cli, name, "/versions", NULL),
        .titles = titles,
        .columns = ARRAY_LEN(titles),
        .row = version_row,
        .empty = "no version yet",
    };
    return client_list(cli, &list);
}

int cmd_versions_view(struct cli *cli)
{
    const struct args *args = &cli->args;
    struct reply reply;
    const char *name;
    int code = take_module(cli, 1, &name);
    if (code)
        return code;
    const char *path =
        client_object_path(cli, name, "/versions/%s", args->positional[args->positional_len - 1]);
    code = client_send(cli, "GET", path, SLICE_EMPTY, 0, &reply);
    if (code)
        return code;
    if (cli->is_json) {
        reply_print(&reply);
        return EXIT_OK;
    }
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    json_indent(reply.text, &out);
    printf("%.*s\n", SLICE_ARG(slice_trim(bytes_slice(&out))));
    return EXIT_OK;
}

static int set_traffic(struct cli *cli, const char *name, const char *version, double percent)
{
    struct reply reply;
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "percent");
    json_double(&w, percent);
    json_close(&w, '}');
    int code =
        client_send(cli, "PUT", client_object_path(cli, name, "/versions/%s/traffic", version),
                    bytes_slice(&body), 0, &reply);
    if (!code)
        say_progress(cli->is_json, "%s: version %s answers %g %% of the requests", name, version,
                     percent);
    return code;
}

int cmd_versions_promote(struct cli *cli)
{
    const struct args *args = &cli->args;
    struct error error = {0};
    const char *name, *text = args_get(args, "--percent");
    char *end = NULL;
    double percent = text ? strtod(text, &end) : 100;
    if (text && (end == text || *end || !(percent >= 0 && percent <= 100))) {
        error_set(&error, ERR_INVALID, "'%.40s' is no percentage", text);
        error_hint(&error, "give a number from 0 to 100");
        return say_error(cli->is_json, &error, EXIT_USAGE);
    }
    int code = take_module(cli, 1, &name);
    return code ? code
                : set_traffic(cli, name, args->positional[args->positional_len - 1], percent);
}

/* The newest version below the one that serves; 0: there is none. */
static int64_t version_before(const struct reply *reply)
{
    struct body_value row;
    int64_t serving = 0, before = 0;
    struct body_walk walk = body_walk(&reply->json);
    while (body_next_item(&walk, &row)) { /* newest first */
        const int64_t number = json_number(&row, "version");
        if (serving && !before)
            before = number;
        /* With a split the one that has the rest: the older, as a rollout has it. */
        if (json_decimal(&row, "percent") > 0) {
            serving = number;
            before = 0;
        }
    }
    return before;
}

int cmd_versions_rollback(struct cli *cli)
{
    const struct args *args = &cli->args;
    struct reply reply;
    struct error error = {0};
    const char *name;
    const char *last = args->positional_len > 0 ? args->positional[args->positional_len - 1] : "";
    const bool is_number = *last && strspn(last, "0123456789") == strlen(last);
    int code = take_module(cli, is_number, &name);
    if (code)
        return code;
    if (is_number)
        return set_traffic(cli, name, last, 100);
    code = client_send(cli, "GET", client_object_path(cli, name, "/versions", NULL), SLICE_EMPTY, 0,
                       &reply);
    if (code)
        return code;
    const int64_t before = reply.json.kind == BODY_ARRAY ? version_before(&reply) : 0;
    if (before)
        return set_traffic(cli, name, arena_printf(cli->arena, "%lld", (long long)before), 100);
    error_set(&error, ERR_CONFLICT, "there is no version before the one that serves");
    error_hint(&error, "'limpet versions list' shows what there is");
    return say_error(cli->is_json, &error, EXIT_FAILED);
}
