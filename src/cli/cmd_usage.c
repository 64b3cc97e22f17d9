/* SPDX-License-Identifier: Apache-2.0
 *
 * `usage` and `quota set|list|show|unset`, of functions and workflows alike. */
#include <stdio.h>
#include <string.h>

#include "admin/names.h"
#include "base/budget.h"
#include "base/json.h"
#include "base/module_name.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"

/* ---- usage ---- */

static void bytes_cell(struct table *table, double bytes)
{
    char text[32];
    say_bytes(bytes > 0 ? (uint64_t)bytes : 0, text, sizeof(text));
    table_cell(table, slice_cstr(text));
}

static void usage_row(struct cli *cli, struct table *table, const struct body_value *row)
{
    char text[32];
    struct slice hour = json_text(cli, row, "hour");
    table_cell(table, json_text(cli, row, "module"));
    if (hour.len > 0) /* UTC, without seconds */
        table_cell(table,
                   slice_cstr(arena_printf(cli->arena, "%.16sZ", arena_cstr(cli->arena, hour))));
    table_cell(table, json_text(cli, row, "requests"));
    say_duration(json_decimal(row, "cpu_seconds") * 1000, text, sizeof(text));
    table_cell(table, slice_cstr(text));
    snprintf(text, sizeof(text), "%.1f", json_decimal(row, "memory_byte_seconds") / (1024 * 1024));
    table_cell(table, slice_cstr(text));
    bytes_cell(table, json_decimal(row, "egress_bytes"));
    if (hour.len == 0)
        bytes_cell(table, json_decimal(row, "stored_bytes"));
}

int cmd_usage(struct cli *cli)
{
    static const char *const totals[] = {"MODULE",      "REQUESTS", "CPU",
                                         "MEMORY MB*S", "EGRESS",   "STORED"};
    static const char *const hours[] = {"MODULE", "HOUR",        "REQUESTS",
                                        "CPU",    "MEMORY MB*S", "EGRESS"};
    const char *since = args_get(&cli->args, "--since"), *name = cli->args.positional[0];
    bool by_hour = args_has(&cli->args, "--by-hour");
    if (name)
        name = client_name(cli, name);
    const char *path = client_path(cli, "/usage?since=%s", since ? since : "24h", NULL);
    if (name)
        path = arena_printf(cli->arena, "%s&module=%s", path, client_path(cli, "%s", name, NULL));
    if (by_hour)
        path = arena_printf(cli->arena, "%s&by=hour", path);
    const struct client_list list = {
        .path = path,
        .titles = by_hour ? hours : totals,
        .columns = 6,
        .row = usage_row,
        .empty = "nothing was used in that time",
    };
    return client_list(cli, &list);
}

/* ---- quotas ---- */

/* name NULL: of the namespace. */
static const char *quota_path(struct cli *cli, const char *name)
{
    return name ? client_path(cli, "/quotas/%s", client_name(cli, name), NULL)
                : client_path(cli, "/quota", NULL, NULL);
}

static const char *owner_text(struct cli *cli, const char *name)
{
    return name ? name
                : arena_printf(cli->arena, "namespace %s",
                               cli->space ? cli->space : NAMESPACE_DEFAULT);
}

/* "268435456", "256M", "2G", with or without a B or iB behind. */
static bool read_size(struct slice text, uint64_t *ret_bytes)
{
    static const char units[] = "KMGT";
    uint64_t unit = 1;
    if (slice_ends(text, SLICE_LIT("iB")))
        text.len -= 2;
    else if (slice_ends(text, SLICE_LIT("B")))
        text.len--;
    char last = text.len > 0 ? text.ptr[text.len - 1] : '\0';
    if (last >= 'a' && last <= 'z')
        last = (char)(last - 'a' + 'A');
    const char *at = last ? strchr(units, last) : NULL;
    if (at) {
        unit = UINT64_C(1) << (10 * (at - units + 1));
        text.len--;
    }
    return slice_to_u64(text, ret_bytes) && !__builtin_mul_overflow(*ret_bytes, unit, ret_bytes);
}

/* "memory" is written for "memory_bytes". What there is no quota of, the server says. */
static const char *resource_of(struct cli *cli, struct slice name)
{
    for (int r = 0; r < RESOURCES; r++) {
        struct slice full = slice_cstr(resource_name((enum resource)r)), base = full;
        if (slice_ends(full, SLICE_LIT("_bytes")))
            base.len -= 6;
        if (slice_eq(name, base) || slice_eq(name, full))
            return resource_name((enum resource)r);
    }
    return arena_cstr(cli->arena, name);
}

static int put_quota(struct cli *cli, const char *owner, const char *resource, const uint64_t *max)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct reply reply;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, resource);
    if (max)
        json_raw(&w, slice_cstr(arena_printf(cli->arena, "%llu", (unsigned long long)*max)));
    else
        json_nil(&w);
    json_close(&w, '}');
    int code = client_send(cli, "PUT", quota_path(cli, owner), bytes_slice(&body), 0, &reply);
    if (!code && cli->is_json)
        reply_print(&reply);
    return code;
}

int cmd_quota_set(struct cli *cli)
{
    struct error error = {0};
    bool has_owner = cli->args.positional_len > 1;
    const char *owner = has_owner ? cli->args.positional[0] : NULL;
    const char *setting = cli->args.positional[has_owner];
    struct slice size = slice_cstr(setting);
    bool has_size = slice_find(size, '=') >= 0;
    struct slice name = slice_split(&size, '=');
    uint64_t max;
    if (!has_size || !read_size(size, &max)) {
        error_set(&error, ERR_INVALID, "'%s' is not RESOURCE=AMOUNT", setting);
        error_hint(&error, "write memory=256M, memory=2G or memory=268435456");
        return say_error(cli->is_json, &error, EXIT_USAGE);
    }
    const char *resource = resource_of(cli, name);
    int code = put_quota(cli, owner, resource, &max);
    if (!code)
        say_progress(cli->is_json, "%s of %s is at most %llu", resource, owner_text(cli, owner),
                     (unsigned long long)max);
    return code;
}

int cmd_quota_unset(struct cli *cli)
{
    struct reply reply;
    const char *name = cli->args.positional[1], *owner = cli->args.positional[0];
    if (strcmp(owner, "-") == 0)
        owner = NULL;
    int code = name ? put_quota(cli, owner, resource_of(cli, slice_cstr(name)), NULL)
                    : client_send(cli, "DELETE", quota_path(cli, owner), SLICE_EMPTY, 0, &reply);
    if (!code)
        say_progress(cli->is_json, "%s has the server's default", owner_text(cli, owner));
    return code;
}

static void quota_rows(struct cli *cli, struct table *table, const struct body_value *module)
{
    for (int r = 0; r < RESOURCES; r++) {
        const char *name = resource_name((enum resource)r);
        struct body_value state = json_member(module, name);
        if (state.kind != BODY_OBJECT)
            continue;
        struct slice owner = json_text(cli, module, "module");
        table_cell(table, owner.len > 0 ? owner : json_text(cli, module, "namespace"));
        table_cell(table, slice_cstr(name));
        table_cell(table, json_text(cli, &state, "quota"));
        table_cell(table, json_text(cli, &state, "max"));
        table_cell(table, json_text(cli, &state, "used"));
    }
}

static const char *const quota_titles[] = {"MODULE", "RESOURCE", "QUOTA", "MAX", "USED"};

int cmd_quota_list(struct cli *cli)
{
    const struct client_list list = {
        .path = client_path(cli, "/quotas", NULL, NULL),
        .titles = quota_titles,
        .columns = ARRAY_LEN(quota_titles),
        .row = quota_rows,
        .empty = "no quotas; 'limpet quota set NAME memory=256M' sets one",
    };
    return client_list(cli, &list);
}

int cmd_quota_show(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct reply reply;
    int code =
        client_send(cli, "GET", quota_path(cli, cli->args.positional[0]), SLICE_EMPTY, 0, &reply);
    if (code)
        return code;
    if (cli->is_json) {
        reply_print(&reply);
        return EXIT_OK;
    }
    struct table table = table_new(quota_titles, ARRAY_LEN(quota_titles));
    quota_rows(cli, &table, &reply.json);
    table_write(&table, &out);
    table_done(&table);
    fputs(bytes_cstr(&out), stdout);
    return EXIT_OK;
}
