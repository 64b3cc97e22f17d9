/* SPDX-License-Identifier: Apache-2.0
 *
 * `function upload`, `workflow upload`, and `deploy` of a file: what their flags say. */
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

#include "admin/names.h"
#include "cli/build.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"
#include "cli/upload.h"
#include "script/bundle.h"

/* "src/hello.ts" is hello; "src/hello/index.ts" too. */
static const char *name_of_file(struct cli *cli, const char *file)
{
    char *path = realpath(file, NULL);
    char *copy = arena_cstr(cli->arena, slice_cstr(path ? path : file));
    free(path);
    char *base = arena_cstr(cli->arena, slice_cstr(basename(copy)));
    char *dot = strchr(base, '.');
    if (dot && dot != base)
        *dot = '\0';
    if (strcmp(base, "index") == 0 || strcmp(base, "main") == 0)
        base = basename(dirname(arena_cstr(cli->arena, slice_cstr(copy))));
    return base;
}

static enum err read_limit(const struct args *args, const char *flag, uint32_t *ret_value,
                           struct error *ret_error)
{
    uint64_t value;
    enum err err = args_uint(args, flag, 0, UINT32_MAX, &value, ret_error);
    if (!err && args_has(args, flag) && value == 0) {
        err = error_set(ret_error, ERR_INVALID, "%s may not be 0", flag);
        error_hint(ret_error, "leave it out for the default");
    }
    if (!err)
        *ret_value = (uint32_t)value;
    return err;
}

/* NULL: none was named. */
static enum err read_egress(struct cli *cli, const char *const **ret_egress,
                            struct error *ret_error)
{
    const struct args *args = &cli->args;
    const char **egress = arena_array(cli->arena, args->options_len + 1, sizeof(*egress));
    size_t len = 0;
    for (size_t i = 0; i < args->options_len; i++) {
        const struct args_option *o = &args->options[i];
        if (strcmp(o->flag->name, "--egress") != 0)
            continue;
        enum err err = names_check_domain(slice_cstr(o->value), ret_error);
        if (err)
            return err;
        egress[len++] = o->value;
    }
    egress[len] = NULL;
    *ret_egress = len > 0 ? egress : NULL;
    return OK;
}

/* All that can be said without a server, so that mistakes cost no bundling. */
static enum err read_upload(struct cli *cli, struct upload *u, const char **ret_file,
                            struct error *ret_error)
{
    const struct args *args = &cli->args;
    const char *file = *ret_file = args->positional[args->positional_len - 1];
    u->name =
        args->positional_len > 1 ? client_name(cli, args->positional[0]) : name_of_file(cli, file);
    enum err err = names_check_function(slice_cstr(u->name), ret_error);
    if (err && args->positional_len == 1)
        error_hint(ret_error, "give a name: limpet deploy NAME %.150s", file);
    const char *isolation = args_get(args, "--isolation");
    if (isolation && strcmp(isolation, "module") == 0) {
        u->options.isolation = ISOLATION_MODULE;
    } else if (!err && isolation && strcmp(isolation, "request") != 0) {
        err = error_set(ret_error, ERR_INVALID, "there is no isolation '%.60s'", isolation);
        error_hint(ret_error, "--isolation is request or module");
    }
    if (!err)
        err = read_limit(args, "--memory-mb", &u->options.memory_mb, ret_error);
    if (!err)
        err = read_limit(args, "--cpu-ms", &u->options.cpu_ms, ret_error);
    if (!err)
        err = read_limit(args, "--wall-ms", &u->options.wall_ms, ret_error);
    if (!err)
        err = read_limit(args, "--sql-transaction-ms", &u->options.sql_transaction_ms, ret_error);
    if (!err)
        err = names_check_limits(&u->options, ret_error);
    return err ? err : read_egress(cli, &u->egress, ret_error);
}

int cmd_upload(struct cli *cli)
{
    struct upload u = {0};
    struct bundle b = {0};
    struct error error = {0};
    const char *file;
    if (read_upload(cli, &u, &file, &error))
        return say_error(cli->is_json, &error, EXIT_USAGE);
    int code = build_bundle(cli, &(struct build_entry){.name = u.name, .file = file}, &b);
    if (!code)
        code = upload_send(cli, &u, &b);
    bundle_done(&b);
    return code;
}
