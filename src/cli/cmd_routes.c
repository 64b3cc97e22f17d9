/* SPDX-License-Identifier: Apache-2.0
 *
 * `routes list`: hosts and paths that functions of the namespace answer for beside their names. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"

static const char *const route_titles[] = {"PATTERN", "FUNCTION"};

int cmd_routes_list(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct reply reply;
    int code =
        client_send(cli, "GET", client_path(cli, "/routes", NULL, NULL), SLICE_EMPTY, 0, &reply);
    if (code)
        return code;
    if (cli->is_json) {
        reply_print(&reply);
        return EXIT_OK;
    }
    struct table table = table_new(route_titles, ARRAY_LEN(route_titles));
    struct body_value routes = json_member(&reply.json, "routes"), route;
    struct body_walk walk = {0};
    size_t count = 0;
    if (routes.kind == BODY_ARRAY)
        walk = body_walk(&routes);
    for (; routes.kind == BODY_ARRAY && body_next_item(&walk, &route); count++) {
        table_cell(&table, json_text(cli, &route, "pattern"));
        table_cell(&table, json_text(cli, &route, "module"));
    }
    if (count > 0)
        table_write(&table, &out);
    table_done(&table);
    fputs(bytes_cstr(&out), stdout);
    return EXIT_OK;
}
