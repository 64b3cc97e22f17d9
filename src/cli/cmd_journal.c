/* SPDX-License-Identifier: Apache-2.0
 *
 * `execution journal`: one line a record, as they come; a journal may have millions. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"

struct journal {
    int64_t began_ms;
    bool has_values;
};

/* What happened: the op, or the kind of a record that is not about an op's result. */
static struct slice what(struct cli *cli, const struct body_value *record)
{
    struct slice kind = json_text(cli, record, "kind"), op = json_text(cli, record, "op");
    bool is_result = slice_eq_cstr(kind, "sync") || slice_eq_cstr(kind, "done");
    return is_result && op.len > 0 ? op : kind;
}

static void print_value(const struct body_value *record)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    struct body_value value = json_member(record, "value");
    if (value.kind == BODY_NULL)
        return;
    json_indent(value.text, &text);
    struct slice rest = bytes_slice(&text);
    while (rest.len > 0) {
        struct slice line = slice_split(&rest, '\n');
        printf("          %.*s\n", SLICE_ARG(line));
    }
}

static void print_record(struct cli *cli, const struct body_value *record, void *arg)
{
    struct journal *j = arg;
    CLEANUP(bytes_done) struct bytes line = BYTES_INIT;
    char elapsed[32];
    int64_t n = json_number(record, "n"), at_ms = json_number(record, "at_ms");
    int64_t attempts = json_number(record, "attempts");
    if (n == 0)
        j->began_ms = at_ms;
    say_elapsed(at_ms - j->began_ms, elapsed, sizeof(elapsed));
    bytes_printf(&line, "%6lld  %11s  ", (long long)n, elapsed);
    say_cell(&line, what(cli, record), 12);
    say_cell(&line, json_text(cli, record, "label"), 40);
    say_cell(&line, json_text(cli, record, "digest"), 12);
    say_cell(&line,
             attempts > 1 ? slice_cstr(arena_printf(cli->arena, "%lld tries", (long long)attempts))
                          : SLICE_EMPTY,
             8);
    say_cell(&line, json_text(cli, record, "error"), 0);
    while (line.len > 0 && line.ptr[line.len - 1] == ' ')
        line.len--;
    printf("%s\n", bytes_cstr(&line));
    if (j->has_values)
        print_value(record);
}

int cmd_execution_journal(struct cli *cli)
{
    struct journal journal = {.has_values = args_has(&cli->args, "--values")};
    const char *path = client_path(cli, "/executions/%s/journal", cli->args.positional[0], NULL);
    path = arena_printf(cli->arena, "%s?limit=1000%s", path, journal.has_values ? "&values=1" : "");
    return client_each(cli, path, print_record, &journal);
}
