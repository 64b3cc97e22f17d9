/* SPDX-License-Identifier: Apache-2.0
 *
 * `function list|show|delete|run`. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/input.h"
#include "cli/say.h"

int cmd_function_list(struct cli *cli)
{
    static const char *const titles[] = {"NAME", "STATUS", "VERSION", "BUILD", "UPDATED", "URL"};
    struct reply reply;
    int code = client_send(cli, "GET", "/functions", SLICE_EMPTY, 0, &reply);
    if (code)
        return code;
    if (cli->is_json || reply.json.kind != BODY_ARRAY) {
        reply_print(&reply);
        return EXIT_OK;
    }
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    CLEANUP(table_done) struct table table = table_new(titles, ARRAY_LEN(titles));
    struct body_walk walk = body_walk(&reply.json);
    struct body_value function;
    size_t count = 0;
    for (; body_next_item(&walk, &function); count++) {
        char ago[32];
        struct body_value build = json_member(&function, "last_build");
        struct slice id = json_text(cli, &build, "id");
        say_ago(json_number(&function, "updated_at_ms"), clock_wall_us() / 1000, ago, sizeof(ago));
        table_cell(&table, json_text(cli, &function, "name"));
        table_cell(&table, json_text(cli, &function, "status"));
        table_cell(&table, json_text(cli, &function, "version"));
        table_cell(&table, slice_cstr(arena_printf(cli->arena, "%.*s %.*s", SLICE_ARG(id),
                                                   SLICE_ARG(json_text(cli, &build, "status")))));
        table_cell(&table, slice_cstr(ago));
        table_cell(&table, json_text(cli, &function, "url"));
    }
    table_write(&table, &out);
    if (count > 0)
        fputs(bytes_cstr(&out), stdout);
    else
        say_progress(false, "no functions yet; 'limpet function upload NAME FILE' makes one");
    return EXIT_OK;
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
    print_row("url", json_text(cli, f, "url"));
    print_row("version", json_text(cli, f, "version"));
    print_row("content", json_text(cli, f, "content_hash"));
    print_row("build", slice_cstr(arena_printf(cli->arena, "%.*s %.*s",
                                               SLICE_ARG(json_text(cli, &build, "id")),
                                               SLICE_ARG(json_text(cli, &build, "status")))));
    if (limits.kind == BODY_OBJECT) {
        print_row("isolation", json_text(cli, f, "isolation"));
        print_row("limits", slice_cstr(arena_printf(
                                cli->arena, "%.*s MiB memory, %.*s ms CPU, %.*s ms in all",
                                SLICE_ARG(json_text(cli, &limits, "memory_mb")),
                                SLICE_ARG(json_text(cli, &limits, "cpu_ms")),
                                SLICE_ARG(json_text(cli, &limits, "wall_ms")))));
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
    const char *path = client_path(cli, "/functions/%s", cli->args.positional[0], NULL);
    int code = client_send(cli, "GET", path, SLICE_EMPTY, 0, &reply);
    if (code)
        return code;
    if (cli->is_json)
        reply_print(&reply);
    else
        print_function(cli, &reply.json);
    return EXIT_OK;
}

/* Data goes with the function, so only "y" or --yes deletes; a script that forgot it is refused. */
static bool is_confirmed(const struct cli *cli, const char *name)
{
    char answer[16];
    if (args_has(&cli->args, "--yes"))
        return true;
    fprintf(stderr,
            "Delete function '%s' with its versions, database, variables, executions and logs? "
            "[y/N] ",
            name);
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
    const char *path = client_path(cli, "/functions/%s", name, NULL);
    int code = client_send(cli, "DELETE", path, SLICE_EMPTY, 0, &reply);
    if (!code)
        say_progress(cli->is_json, "deleted %s", name);
    return code;
}

/* ---- run ---- */

static int say_run_failed(struct cli *cli, const struct reply *reply)
{
    struct body_value error = json_member(&reply->json, "error");
    if (cli->is_json) {
        fprintf(stderr, "%.*s\n", SLICE_ARG(slice_trim(reply->text)));
        return EXIT_FAILED;
    }
    struct slice stack = json_text(cli, &error, "stack");
    struct slice hint = json_text(cli, &error, "hint");
    struct slice id = json_text(cli, &reply->json, "execution_id");
    fprintf(stderr, "error: %.*s\n", SLICE_ARG(json_exception(cli, &error)));
    if (stack.len > 0)
        fprintf(stderr, "%.*s%s", SLICE_ARG(stack), stack.ptr[stack.len - 1] == '\n' ? "" : "\n");
    if (hint.len > 0)
        fprintf(stderr, "hint: %.*s\n", SLICE_ARG(hint));
    else
        fprintf(stderr, "hint: 'limpet execution show %.*s' has its log lines\n", SLICE_ARG(id));
    return EXIT_FAILED;
}

static void print_output(const struct body_value *output)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    if (isatty(STDOUT_FILENO))
        json_indent(output->text, &text);
    else
        bytes_append_slice(&text, output->text);
    fwrite(text.ptr, 1, text.len, stdout);
    putchar('\n');
}

static enum err run_body(struct cli *cli, struct bytes *out, struct error *ret_error)
{
    struct slice input, metadata;
    enum err err = input_json(cli, "--input", "{}", &input, ret_error);
    if (!err)
        err = input_json(cli, "--metadata", "{}", &metadata, ret_error);
    if (err)
        return err;
    struct json_writer w = json_writer(out);
    json_open(&w, '{');
    json_key(&w, "body");
    json_raw(&w, input);
    json_key(&w, "metadata");
    json_raw(&w, metadata);
    json_close(&w, '}');
    return OK;
}

/* An answer with an execution_id is the function's, whatever its status. */
int cmd_function_run(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct error error = {0};
    struct reply reply;
    if (run_body(cli, &body, &error))
        return say_error(cli->is_json, &error, EXIT_USAGE);
    const char *path = client_path(cli, "/functions/%s/execute", cli->args.positional[0], NULL);
    int code = client_call(cli, "POST", path, bytes_slice(&body), &reply);
    if (code)
        return code;
    if (json_member(&reply.json, "execution_id").kind != BODY_STRING)
        return client_refused(cli, &reply);
    if (!slice_eq_cstr(json_text(cli, &reply.json, "status"), "success"))
        return say_run_failed(cli, &reply);
    struct body_value output = json_member(&reply.json, "output");
    if (cli->is_json)
        reply_print(&reply);
    else
        print_output(&output);
    return EXIT_OK;
}
