/* SPDX-License-Identifier: Apache-2.0
 *
 * `workflow check` and `workflow migrate`: what code does to executions that are not finished. */
#include <stdio.h>

#include "admin/names.h"
#include "base/json.h"
#include "cli/build.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"
#include "script/bundle.h"

/* "ID  record 3: step "charge"  -> returned  at shop.ts:7:3" */
static void print_divergence(struct cli *cli, const struct body_value *item)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    struct slice at = json_text(cli, item, "at"), error = json_text(cli, item, "error");
    say_cell(&text, json_text(cli, item, "execution_id"), 0);
    if (error.len > 0) {
        say_cell(&text, error, 0);
    } else {
        bytes_printf(&text, "record %lld: ", (long long)json_number(item, "record"));
        say_cell(&text, json_text(cli, item, "recorded"), 0);
        bytes_append_cstr(&text, "-> ");
        say_cell(&text, json_text(cli, item, "did"), 0);
    }
    if (at.len > 0)
        bytes_append_cstr(&text, "at ");
    say_cell(&text, at, 0);
    printf("%.*s\n", SLICE_ARG(slice_trim(bytes_slice(&text))));
}

/* A line for each execution that would diverge; returns how many. */
static size_t print_diverged(struct cli *cli, const struct body_value *list)
{
    size_t count = 0;
    struct body_value item;
    if (list->kind != BODY_ARRAY)
        return 0;
    struct body_walk walk = body_walk(list);
    for (; body_next_item(&walk, &item); count++)
        print_divergence(cli, &item);
    return count;
}

int cmd_workflow_check(struct cli *cli)
{
    struct bundle b = {0};
    struct error error = {0};
    struct reply reply;
    const char *name = client_name(cli, cli->args.positional[0]);
    if (names_check_function(slice_cstr(name), &error))
        return say_error(cli->is_json, &error, EXIT_USAGE);
    int code =
        build_bundle(cli, &(struct build_entry){.name = name, .file = cli->args.positional[1]}, &b);
    if (code)
        return code;
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "bundle");
    json_slice(&w, bytes_slice(&b.code));
    json_key(&w, "source_map");
    json_slice(&w, bytes_slice(&b.source_map));
    json_close(&w, '}');
    bundle_done(&b);
    const char *path = client_object_path(cli, name, "/check", NULL);
    code = client_send(cli, "POST", path, bytes_slice(&body), 0, &reply);
    if (code)
        return code;
    struct body_value diverged = json_member(&reply.json, "diverged"), item;
    if (cli->is_json) {
        struct body_walk walk = {0};
        if (diverged.kind == BODY_ARRAY)
            walk = body_walk(&diverged);
        reply_print(&reply);
        return body_next_item(&walk, &item) ? EXIT_FAILED : EXIT_OK;
    }
    size_t count = print_diverged(cli, &diverged);
    say_progress(false, "%lld checked, %lld agree, %zu would diverge",
                 (long long)json_number(&reply.json, "checked"),
                 (long long)json_number(&reply.json, "agreeing"), count);
    return count > 0 ? EXIT_FAILED : EXIT_OK;
}

int cmd_workflow_migrate(struct cli *cli)
{
    struct reply reply;
    const char *path = client_object_path(cli, cli->args.positional[0], "/migrate", NULL);
    int code = client_send(cli, "POST", path, SLICE_EMPTY, 0, &reply);
    if (code)
        return code;
    if (cli->is_json) {
        reply_print(&reply);
        return EXIT_OK;
    }
    struct body_value left = json_member(&reply.json, "left");
    size_t count = print_diverged(cli, &left);
    say_progress(false, "%lld moved to the newest version, %zu stay on theirs",
                 (long long)json_number(&reply.json, "migrated"), count);
    return EXIT_OK;
}
