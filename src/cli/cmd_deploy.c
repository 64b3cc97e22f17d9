/* SPDX-License-Identifier: Apache-2.0
 *
 * `deploy` and `build` of a project: what limpet.toml, or wrangler's file in its place, describes. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/deploy.h"
#include "cli/say.h"
#include "script/bundle.h"

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static const char *project_of(const struct cli *cli)
{
    const struct args *args = &cli->args;
    return args->positional_len > 0 ? args->positional[args->positional_len - 1] : ".";
}

/* Everything up to the bundle. */
static int open_and_bundle(struct cli *cli, struct project **ret_project, struct bundle *ret_bundle)
{
    int code = deploy_open(cli, project_of(cli), ret_project);
    if (!code)
        code = deploy_check_missing(cli, *ret_project, false);
    if (!code)
        code = deploy_run_build(cli, ret_project);
    return code ? code : deploy_bundle(cli, *ret_project, ret_bundle);
}

/* A flag that says nothing here would else be believed. */
static int refuse_flags(struct cli *cli, bool is_project)
{
    static const char *const of_project[] = {"--env", "--name", "--without-bindings", "--no-serve"};
    static const char *const of_file[] = {"--isolation", "--memory-mb",          "--cpu-ms",
                                          "--wall-ms",   "--sql-transaction-ms", "--egress"};
    const char *const *flags = is_project ? of_file : of_project;
    const size_t len = is_project ? ARRAY_LEN(of_file) : ARRAY_LEN(of_project);
    struct error error = {0};
    for (size_t i = 0; i < len; i++) {
        if (!args_has(&cli->args, flags[i]))
            continue;
        error_set(&error, ERR_INVALID, "%s is for %s", flags[i],
                  is_project ? "a file, and this is a project" : "projects, and this is a file");
        error_hint(&error, is_project ? "write it into the project's file (docs/projects.md)"
                                      : "name the folder of a project");
        return say_error(cli->is_json, &error, EXIT_USAGE);
    }
    return EXIT_OK;
}

int cmd_deploy(struct cli *cli)
{
    struct project *p;
    struct bundle b = {0};
    const char *path = project_of(cli);
    const bool is_project = is_folder(path) || project_find(cli->arena, path);
    int refused = refuse_flags(cli, is_project);
    if (refused)
        return refused;
    if (!is_project)
        return cmd_upload(cli);
    if (cli->args.positional_len > 1) {
        struct error error = {0};
        error_set(&error, ERR_INVALID, "a project has its name in its file");
        error_hint(&error, "--name gives it another: limpet deploy %.150s --name %.60s", path,
                   cli->args.positional[0]);
        return say_error(cli->is_json, &error, EXIT_USAGE);
    }
    int code = open_and_bundle(cli, &p, &b);
    if (!code)
        code = deploy_upload(cli, p, &b);
    bundle_done(&b);
    return code;
}

/* ---- build ---- */

/* Makes the folder with those above it. */
static bool make_folders(char *path)
{
    for (char *c = path + 1; *c; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        const bool is_there = mkdir(path, 0777) == 0 || errno == EEXIST;
        *c = '/';
        if (!is_there)
            return false;
    }
    return mkdir(path, 0777) == 0 || errno == EEXIST;
}

static enum err write_file(const char *path, struct slice text, struct error *ret_error)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return error_set(ret_error, ERR_IO, "cannot write %.300s: %s", path, strerror(errno));
    const bool is_whole = fwrite(text.ptr ? text.ptr : "", 1, text.len, file) == text.len;
    if (fclose(file) == 0 && is_whole)
        return OK;
    return error_set(ret_error, ERR_IO, "cannot write %.300s: %s", path, strerror(errno));
}

static int write_bundle(struct cli *cli, const struct project *p, const struct bundle *b)
{
    struct error error = {0};
    char size[32];
    const char *to = args_get(&cli->args, "--out");
    char *dir = arena_cstr(cli->arena, slice_cstr(to ? to : project_path(p, ".limpet/build")));
    const char *code = arena_printf(cli->arena, "%s/index.js", dir);
    const char *map = arena_printf(cli->arena, "%s/index.js.map", dir);
    if (!make_folders(dir))
        error_set(&error, ERR_IO, "cannot make the folder %.300s: %s", dir, strerror(errno));
    else if (!write_file(code, bytes_slice(&b->code), &error) && b->source_map.len > 0)
        (void)write_file(map, bytes_slice(&b->source_map), &error);
    if (error.code)
        return say_error(cli->is_json, &error, EXIT_FAILED);
    say_bytes(b->code.len, size, sizeof(size));
    if (cli->is_json)
        printf("{\"name\":\"%s\",\"bytes\":%zu}\n", p->name, b->code.len);
    else
        printf("%s (%s)\n", code, size);
    return EXIT_OK;
}

int cmd_project_build(struct cli *cli)
{
    struct project *p;
    struct bundle b = {0};
    int code = open_and_bundle(cli, &p, &b);
    if (!code)
        code = write_bundle(cli, p, &b);
    bundle_done(&b);
    return code;
}
