/* SPDX-License-Identifier: Apache-2.0
 *
 * See deploy.h. */
#include "cli/deploy.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/names.h"
#include "base/module_name.h"
#include "cli/assets.h"
#include "cli/build.h"
#include "cli/cli.h"
#include "cli/say.h"
#include "cli/upload.h"
#include "script/bundle.h"

/* ---- opening ---- */

static void say_warnings(const struct cli *cli, struct project *p)
{
    for (size_t i = 0; i < p->warnings.len; i++)
        say_progress(cli->is_json, "warning: %s", p->warnings.items[i]);
    p->warnings.len = 0;
}

/* What wrangler follows, too: {"configPath": "…"}, relative to the file's folder. */
static const char *redirected(struct cli *cli, const struct project *p)
{
    const char *from = project_path(p, ".wrangler/deploy/config.json");
    struct document doc;
    if (!p->is_foreign || document_read(cli->arena, from, &doc, NULL) != OK)
        return NULL;
    const struct document_value *to = document_member(&doc.root, "configPath");
    if (!to || to->kind != BODY_STRING)
        return NULL;
    const char *path =
        arena_printf(cli->arena, "%s/.wrangler/deploy/%.*s", p->dir, SLICE_ARG(to->text));
    return access(path, R_OK) == 0 ? path : NULL;
}

static const char *name_of_folder(struct cli *cli, const char *dir)
{
    const char *slash = strrchr(dir, '/');
    return arena_cstr(cli->arena, slice_cstr(slash ? slash + 1 : dir));
}

static int take_name(struct cli *cli, struct project *p)
{
    struct error error = {0};
    const char *name = args_get(&cli->args, "--name");
    if (name)
        p->name = name;
    else if (!p->name)
        p->name = name_of_folder(cli, p->dir);
    if (names_check_function(slice_cstr(p->name), &error) == OK)
        return EXIT_OK;
    error_hint(&error, "write name = \"…\" into %s, or give --name", p->file);
    return say_error(cli->is_json, &error, EXIT_USAGE);
}

int deploy_open(struct cli *cli, const char *path, struct project **ret_project)
{
    struct error error = {0};
    const char *environment = args_get(&cli->args, "--env");
    struct project *p, *other;
    enum err err = project_read(cli->arena, path, environment, &p, &error);
    if (err)
        return say_error(cli->is_json, &error, err == ERR_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_USAGE);
    const char *to = redirected(cli, p);
    if (to) {
        err = project_read(cli->arena, to, NULL, &other, &error);
        if (err)
            return say_error(cli->is_json, &error, EXIT_USAGE);
        say_progress(cli->is_json, "reading %s, which the project's build has made", other->path);
        p = other;
    }
    say_warnings(cli, p);
    if (p->space && !args_has(&cli->args, "--namespace"))
        cli->space = namespace_is_default(slice_cstr(p->space)) ? NULL : p->space;
    cli->word = module_kinds[p->kind].word;
    *ret_project = p;
    return take_name(cli, p);
}

/* ---- its own build ---- */

/* As npm does it: the project's programs, and those of the folders above, are found by their names. */
static char *path_with_bins(const char *dir)
{
    struct bytes path = BYTES_INIT;
    for (size_t len = strlen(dir); len > 0;) {
        bytes_printf(&path, "%.*s/node_modules/.bin:", (int)len, dir);
        while (len > 0 && dir[len - 1] != '/')
            len--;
        len -= len > 0;
    }
    const char *old = getenv("PATH");
    bytes_append_cstr(&path, old ? old : "/usr/local/bin:/usr/bin:/bin");
    return bytes_take(&path);
}

/* Blocks until the shell has ended. ret_status: of waitpid(). */
static int run_shell(const char *command, const char *dir, int *ret_status)
{
    posix_spawn_file_actions_t files;
    pid_t pid;
    char *path = path_with_bins(dir);
    const char *const argv[] = {"sh", "-c", command, NULL};
    setenv("PATH", path, 1);
    free(path);
    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawn_file_actions_addchdir_np(&files, dir);
    (void)posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_t attr;
    sigset_t none;
    sigemptyset(&none);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    int os = posix_spawn(&pid, "/bin/sh", &files, &attr, (char *const *)argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    while (os == 0 && waitpid(pid, ret_status, 0) < 0)
        os = errno == EINTR ? 0 : errno;
    return os;
}

int deploy_run_build(struct cli *cli, struct project **project)
{
    struct project *p = *project;
    struct error error = {0};
    int status = 0;
    if (!p->build.command)
        return EXIT_OK;
    const char *dir = p->build.cwd ? project_path(p, p->build.cwd) : p->dir;
    say_progress(cli->is_json, "$ %s", p->build.command);
    int os = run_shell(p->build.command, dir, &status);
    if (os) {
        error_set(&error, ERR_IO, "cannot run '%.200s' in %.200s: %s", p->build.command, dir,
                  strerror(os));
        error_hint(&error, "check build.command and build.cwd in %s", p->file);
        return say_error(cli->is_json, &error, EXIT_FAILED);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        error_set(&error, ERR_BUILD_FAILED, "'%.200s' failed (%s %d)", p->build.command,
                  WIFEXITED(status) ? "exit code" : "signal",
                  WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        error_hint(&error, "it is the project's own build, of %s", p->file);
        return say_error(cli->is_json, &error, EXIT_FAILED);
    }
    const char *to = redirected(cli, p);
    return to && strcmp(to, p->path) != 0 ? deploy_open(cli, p->path, project) : EXIT_OK;
}

/* ---- what is missing ---- */

int deploy_check_missing(struct cli *cli, const struct project *p, bool is_warning)
{
    struct error error = {0};
    CLEANUP(bytes_done) struct bytes list = BYTES_INIT;
    if (p->missing_len == 0)
        return EXIT_OK;
    for (size_t i = 0; i < p->missing_len; i++)
        bytes_printf(&list, "%s%s (%s:%d, %s)", i == 0 ? "" : ", ", p->missing[i].what, p->file,
                     p->missing[i].line, p->missing[i].key);
    if (is_warning || args_has(&cli->args, "--without-bindings")) {
        say_progress(cli->is_json, "warning: there is no such thing on this server yet: %s",
                     bytes_cstr(&list));
        return EXIT_OK;
    }
    error_set(&error, ERR_INVALID, "there is no such thing on this server yet: %s",
              bytes_cstr(&list));
    error_hint(&error,
               "--without-bindings deploys without them: their variables are then undefined");
    return say_error(cli->is_json, &error, EXIT_FAILED);
}

/* ---- code ---- */

static const char no_code[] =
    "export default { fetch() { return new Response(\"Not Found\", { status: 404 }); } };\n";

int deploy_bundle_entry(struct cli *cli, struct project *p, const char *entry,
                        struct bundle *ret_bundle)
{
    const char *const *args = project_bundle_args(p);
    say_warnings(cli, p);
    const struct build_entry build = {
        .name = p->name, .file = entry, .shown = p->main, .base = p->dir, .args = args};
    return build_bundle(cli, &build, ret_bundle);
}

int deploy_bundle(struct cli *cli, struct project *p, struct bundle *ret_bundle)
{
    struct error error = {0};
    if (!p->main) {
        *ret_bundle = (struct bundle){0};
        bytes_append_cstr(&ret_bundle->code, no_code);
        return EXIT_OK;
    }
    const char *main_path = project_path(p, p->main);
    if (access(main_path, R_OK) != 0) {
        error_set(&error, ERR_NOT_FOUND, "main '%.200s' of %s cannot be read", p->main, p->path);
        error_hint(&error, "is it made by the project's own build? Run that (npm run build), or "
                           "name it: build = { command = \"npm run build\" }");
        return say_error(cli->is_json, &error, EXIT_FAILED);
    }
    return deploy_bundle_entry(cli, p, main_path, ret_bundle);
}

int deploy_upload(struct cli *cli, struct project *p, const struct bundle *b)
{
    CLEANUP(bytes_done) struct bytes assets = BYTES_INIT;
    int code = assets_upload(cli, p, &assets);
    if (code)
        return code;
    project_name_resources(p);
    project_name_classes(p);
    CLEANUP(bytes_done) struct bytes schedules = BYTES_INIT;
    project_schedules(p, &schedules);
    const struct upload u = {
        .name = p->name,
        .schedules = bytes_slice(&schedules),
        .consumers = p->consumers,
        .options = p->options,
        .egress = p->egress.len > 0 ? p->egress.items : NULL,
        .vars = &p->vars,
        .routes = &p->routes,
        .bindings = &p->bindings,
        .assets = bytes_slice(&assets),
        .is_kept_back = args_has(&cli->args, "--no-serve"),
    };
    return upload_send(cli, &u, b);
}
