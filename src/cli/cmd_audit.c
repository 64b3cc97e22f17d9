/* SPDX-License-Identifier: Apache-2.0
 *
 * `audit list|verify`. */
#include <stdio.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"

static void audit_row(struct cli *cli, struct table *table, const struct body_value *row)
{
    static const char *const members[] = {"seq", "at", "actor", "action", "target", "outcome"};
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        table_cell(table, json_text(cli, row, members[i]));
}

int cmd_audit_list(struct cli *cli)
{
    static const char *const titles[] = {"SEQ", "AT", "ACTOR", "ACTION", "TARGET", "OUTCOME"};
    struct error error = {0};
    uint64_t limit;
    if (args_uint(&cli->args, "--limit", 50, 1000, &limit, &error))
        return say_error(cli->is_json, &error, EXIT_USAGE);
    const char *path = client_path(cli, "/audit", NULL, NULL);
    const struct client_list list = {
        .path = arena_printf(cli->arena, "%s?limit=%llu", path, (unsigned long long)limit),
        .titles = titles,
        .columns = ARRAY_LEN(titles),
        .row = audit_row,
        .empty = "nothing was changed yet",
    };
    return client_list(cli, &list);
}

int cmd_audit_verify(struct cli *cli)
{
    struct reply reply;
    long long checked = 0, until = 0;
    for (bool has_more = true; has_more;) {
        const char *path = arena_printf(cli->arena, "/audit/verify?after=%lld", until);
        int code = client_send(cli, "GET", path, SLICE_EMPTY, 0, &reply);
        if (code)
            return code;
        checked += json_number(&reply.json, "checked");
        until = json_number(&reply.json, "until");
        has_more = slice_eq_cstr(json_text(cli, &reply.json, "more"), "true");
    }
    bool is_good = slice_eq_cstr(json_text(cli, &reply.json, "ok"), "true");
    struct slice hash = json_text(cli, &reply.json, "hash");
    if (cli->is_json) {
        reply_print(&reply);
    } else if (is_good) {
        printf("%lld rows are as they were written\n", checked);
        if (json_number(&reply.json, "trimmed") > 0)
            printf("rows 1 to %lld were removed by the server's retention, the last at %.*s\n",
                   (long long)json_number(&reply.json, "trimmed"),
                   SLICE_ARG(json_text(cli, &reply.json, "trimmed_at")));
        printf("last %.*s\n", SLICE_ARG(hash.len > 0 ? hash : SLICE_LIT("-")));
    } else {
        struct error e = {0};
        error_set(&e, ERR_CORRUPT, "row %lld of the audit log is not as it was written: %.*s",
                  (long long)json_number(&reply.json, "bad"),
                  SLICE_ARG(json_text(cli, &reply.json, "why")));
        error_hint(&e, "the %lld rows before it are; compare with a backup", checked);
        return say_error(false, &e, EXIT_FAILED);
    }
    return is_good ? EXIT_OK : EXIT_FAILED;
}
