/* SPDX-License-Identifier: Apache-2.0
 *
 * `egress list|allow|deny|default|remove|test`, of the namespace that the command line names. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"

static void rule_cells(struct cli *cli, struct table *table, const struct body_value *rule)
{
    CLEANUP(bytes_done) struct bytes all = BYTES_INIT;
    struct body_value methods = json_member(rule, "methods"), item;
    struct body_walk walk = {0};
    if (methods.kind == BODY_ARRAY)
        walk = body_walk(&methods);
    while (methods.kind == BODY_ARRAY && body_next_item(&walk, &item)) {
        if (all.len > 0)
            bytes_append_char(&all, ',');
        body_string(&item, &all);
    }
    table_cell(table, json_text(cli, rule, "id"));
    table_cell(table, json_text(cli, rule, "action"));
    table_cell(table, all.len > 0 ? bytes_slice(&all) : SLICE_LIT("all"));
    table_cell(table, json_text(cli, rule, "pattern"));
    struct slice module = json_text(cli, rule, "module");
    table_cell(table, module.len > 0 ? module : SLICE_LIT("all"));
}

static const char *const rule_titles[] = {"ID", "ACTION", "METHODS", "PATTERN", "MODULE"};

int cmd_egress_list(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct reply reply;
    int code =
        client_send(cli, "GET", client_path(cli, "/egress", NULL, NULL), SLICE_EMPTY, 0, &reply);
    if (code)
        return code;
    if (cli->is_json) {
        reply_print(&reply);
        return EXIT_OK;
    }
    struct table table = table_new(rule_titles, ARRAY_LEN(rule_titles));
    struct body_value rules = json_member(&reply.json, "rules"), rule;
    struct body_walk walk = {0};
    size_t count = 0;
    if (rules.kind == BODY_ARRAY)
        walk = body_walk(&rules);
    for (; rules.kind == BODY_ARRAY && body_next_item(&walk, &rule); count++)
        rule_cells(cli, &table, &rule);
    if (count > 0)
        table_write(&table, &out);
    table_done(&table);
    fputs(bytes_cstr(&out), stdout);
    printf("default: %.*s\n", SLICE_ARG(json_text(cli, &reply.json, "default")));
    return EXIT_OK;
}

static int rule_add(struct cli *cli, const char *action)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct reply reply;
    const char *module = args_get(&cli->args, "--module");
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "action");
    json_cstr(&w, action);
    json_key(&w, "pattern");
    json_cstr(&w, cli->args.positional[0]);
    if (args_has(&cli->args, "--method")) {
        json_key(&w, "methods");
        json_open(&w, '[');
        for (size_t i = 0; i < cli->args.options_len; i++)
            if (strcmp(cli->args.options[i].flag->name, "--method") == 0)
                json_cstr(&w, cli->args.options[i].value);
        json_close(&w, ']');
    }
    if (module) {
        json_key(&w, "module");
        json_cstr(&w, client_name(cli, module));
    }
    json_key(&w, "first");
    json_bool(&w, args_has(&cli->args, "--first"));
    json_close(&w, '}');
    int code = client_send(cli, "POST", client_path(cli, "/egress/rules", NULL, NULL),
                           bytes_slice(&body), 0, &reply);
    if (!code && cli->is_json)
        reply_print(&reply);
    else if (!code)
        say_progress(false, "egress rule %.*s: %s %s", SLICE_ARG(json_text(cli, &reply.json, "id")),
                     action, cli->args.positional[0]);
    return code;
}

int cmd_egress_allow(struct cli *cli)
{
    return rule_add(cli, "allow");
}

int cmd_egress_deny(struct cli *cli)
{
    return rule_add(cli, "deny");
}

int cmd_egress_default(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct reply reply;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "default");
    json_cstr(&w, cli->args.positional[0]);
    json_close(&w, '}');
    int code = client_send(cli, "PUT", client_path(cli, "/egress", NULL, NULL), bytes_slice(&body),
                           0, &reply);
    if (!code && cli->is_json)
        reply_print(&reply);
    else if (!code)
        say_progress(false, "what no egress rule is about: %s", cli->args.positional[0]);
    return code;
}

int cmd_egress_remove(struct cli *cli)
{
    struct reply reply;
    const char *id = cli->args.positional[0];
    int code = client_send(cli, "DELETE", client_path(cli, "/egress/rules/%s", id, NULL),
                           SLICE_EMPTY, 0, &reply);
    if (!code)
        say_progress(cli->is_json, "removed egress rule %s", id);
    return code;
}

int cmd_egress_test(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct reply reply;
    const char *method = args_get(&cli->args, "--method");
    const char *module = args_get(&cli->args, "--module");
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "url");
    json_cstr(&w, cli->args.positional[0]);
    json_key(&w, "method");
    json_cstr(&w, method ? method : "GET");
    if (module) {
        json_key(&w, "module");
        json_cstr(&w, client_name(cli, module));
    }
    json_close(&w, '}');
    int code = client_send(cli, "POST", client_path(cli, "/egress/test", NULL, NULL),
                           bytes_slice(&body), 0, &reply);
    if (code)
        return code;
    bool is_allowed = slice_eq_cstr(json_text(cli, &reply.json, "allowed"), "true");
    struct body_value rule = json_member(&reply.json, "rule");
    if (cli->is_json)
        reply_print(&reply);
    else if (rule.kind == BODY_OBJECT)
        printf("%s by rule %.*s: %.*s\n", is_allowed ? "allowed" : "refused",
               SLICE_ARG(json_text(cli, &rule, "id")), SLICE_ARG(json_text(cli, &rule, "pattern")));
    else
        printf("%s: no rule is about it\n", is_allowed ? "allowed" : "refused");
    return is_allowed ? EXIT_OK : EXIT_FAILED;
}
