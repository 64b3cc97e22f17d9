/* SPDX-License-Identifier: Apache-2.0
 *
 * `limpet init`: a project to start from. Nothing that is there is changed. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/names.h"
#include "cli/cli.h"
#include "cli/say.h"

/* "@" in a text is the project's name. template NULL: of all. */
static const struct init_file {
    const char *template, *path, *text;
} init_files[] = {
    {"function", "limpet.toml",
     "name = \"@\"\nmain = \"src/index.ts\"\n\n[vars]\nGREETING = \"Hello\"\n"},
    {"function", "src/index.ts",
     "import { sql } from \"limpet\";\n\n"
     "export default {\n"
     "    fetch(request, env) {\n"
     "        const { pathname } = new URL(request.url);\n"
     "        sql.exec(\"CREATE TABLE IF NOT EXISTS visits (path TEXT PRIMARY KEY, n INTEGER NOT "
     "NULL)\");\n"
     "        const { n } = sql.exec(\n"
     "            \"INSERT INTO visits VALUES (?, 1) ON CONFLICT (path) DO UPDATE SET n = n + 1 "
     "RETURNING n\",\n"
     "            pathname,\n"
     "        ).one();\n"
     "        return new Response(`${env.GREETING}! ${pathname} was visited ${n} times.\\n`);\n"
     "    },\n"
     "} satisfies ExportedHandler;\n"},
    {"workflow", "limpet.toml", "name = \"@\"\nkind = \"workflow\"\nmain = \"src/index.ts\"\n"},
    {"workflow", "src/index.ts",
     "import { sleep, step, waitForEvent, workflow } from \"limpet\";\n\n"
     "export default workflow(async (input: { name?: string }) => {\n"
     "    const greeting = await step(\"greet\", () => `Hello, ${input.name ?? \"you\"}!`);\n"
     "    await sleep(\"1 second\");\n"
     "    const { data } = await waitForEvent<{ answer: string }>(\"answer\", { timeout: \"1 day\" "
     "});\n"
     "    return { greeting, answer: data.answer };\n"
     "});\n"},
    {"hono", "limpet.toml",
     "name = \"@\"\nmain = \"src/index.ts\"\n\n[vars]\nGREETING = \"Hello\"\n"},
    {"hono", "src/index.ts",
     "import { Hono } from \"hono\";\n\n"
     "const app = new Hono<{ Bindings: Env }>();\n\n"
     "app.get(\"/\", (c) => c.text(`${c.env.GREETING} from Hono!`));\n"
     "app.get(\"/hello/:name\", (c) => c.json({ hello: c.req.param(\"name\") }));\n\n"
     "export default app;\n"},
    {"static", "limpet.toml",
     "name = \"@\"\n\n[assets]\ndirectory = \"public\"\nnot_found_handling = \"404-page\"\n"},
    {"static", "public/index.html",
     "<!doctype html>\n<meta charset=\"utf-8\">\n<title>@</title>\n<link rel=\"stylesheet\" "
     "href=\"/style.css\">\n"
     "<h1>@</h1>\n<p>Change public/index.html and look here again.\n"},
    {"static", "public/style.css",
     "body { font: 18px/1.5 system-ui, sans-serif; margin: 4rem auto; max-width: 40rem; }\n"},
    {"static", "public/404.html",
     "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Not found</title>\n<h1>There is nothing "
     "here</h1>\n"},
    {NULL, ".gitignore", "node_modules\n.limpet\n.dev.vars\n"},
};

static const char init_tsconfig[] = "{\n    \"extends\": \"limpet/tsconfig.json\",\n    "
                                    "\"compilerOptions\": { \"types\": [\"limpet\"] },\n"
                                    "    \"include\": [\"src\", \"limpet-env.d.ts\"]\n}\n";

static const char *const init_templates[] = {"function", "workflow", "hono", "static"};

static bool write_new(const char *dir, const char *path, const char *text, const char *name,
                      struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes to = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes content = BYTES_INIT;
    bytes_printf(&to, "%s/%s", dir, path);
    for (const char *c = text; *c; c++) {
        if (*c == '@')
            bytes_append_cstr(&content, name);
        else
            bytes_append_char(&content, *c);
    }
    char *slash = strrchr(to.ptr, '/');
    (void)bytes_cstr(&to);
    if (strchr(path, '/') && slash) { /* one folder deep */
        *slash = '\0';
        (void)mkdir(to.ptr, 0777);
        *slash = '/';
    }
    const int fd = open(bytes_cstr(&to), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    const ssize_t n = fd < 0 ? -1 : write(fd, content.ptr, content.len);
    if (fd >= 0 && close(fd) == 0 && n == (ssize_t)content.len)
        return true;
    error_set(ret_error, ERR_IO, "cannot write %.300s: %s", bytes_cstr(&to), strerror(errno));
    return false;
}

static const char *package_text(struct cli *cli, const char *template)
{
    const char *more =
        strcmp(template, "hono") == 0 ? "    \"dependencies\": { \"hono\": \"^4\" },\n" : "";
    return arena_printf(
        cli->arena,
        "{\n    \"name\": \"@\",\n    \"private\": true,\n    \"type\": \"module\",\n"
        "    \"scripts\": { \"dev\": \"limpet dev\", \"deploy\": \"limpet deploy\", "
        "\"types\": \"limpet types && tsc --noEmit\" },\n%s"
        "    \"devDependencies\": { \"limpet\": \"^0.1.0\", \"typescript\": \"^5\" }\n}\n",
        more);
}

/* The first of the files that is there already; NULL: none. */
static const char *found_already(struct cli *cli, const char *dir, const char *template)
{
    for (size_t i = 0; i < ARRAY_LEN(init_files); i++) {
        const struct init_file *f = &init_files[i];
        if (f->template && strcmp(f->template, template) == 0 &&
            access(arena_printf(cli->arena, "%s/%s", dir, f->path), F_OK) == 0)
            return f->path;
    }
    return NULL;
}

static int write_all(struct cli *cli, const char *dir, const char *template, const char *name)
{
    struct error error = {0};
    const bool has_code = strcmp(template, "static") != 0;
    bool is_good = true;
    for (size_t i = 0; i < ARRAY_LEN(init_files) && is_good; i++) {
        const struct init_file *f = &init_files[i];
        if (f->template && strcmp(f->template, template) != 0)
            continue;
        if (!f->template && access(arena_printf(cli->arena, "%s/%s", dir, f->path), F_OK) == 0)
            continue;
        is_good = write_new(dir, f->path, f->text, name, &error);
    }
    const struct {
        const char *path, *text;
    } more[] = {{"package.json", package_text(cli, template)}, {"tsconfig.json", init_tsconfig}};
    for (size_t i = 0; has_code && i < ARRAY_LEN(more) && is_good; i++)
        if (access(arena_printf(cli->arena, "%s/%s", dir, more[i].path), F_OK) != 0)
            is_good = write_new(dir, more[i].path, more[i].text, name, &error);
    return is_good ? EXIT_OK : say_error(cli->is_json, &error, EXIT_FAILED);
}

/* A name of the folder's: lower case, with hyphens for what may not be in it. */
static const char *name_of(struct cli *cli, const char *dir)
{
    char path[PATH_MAX];
    const char *slash = realpath(dir, path) ? strrchr(path, '/') : NULL;
    char *name = arena_cstr(cli->arena, slice_cstr(slash ? slash + 1 : "app"));
    for (char *c = name; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + 32);
        else if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9')))
            *c = '-';
    }
    return names_check_function(slice_cstr(name), NULL) == OK ? name : "app";
}

int cmd_init(struct cli *cli)
{
    const struct args *args = &cli->args;
    struct error error = {0};
    const char *template = args->positional_len > 0 ? args->positional[0] : "function";
    const char *dir = args->positional_len > 1 ? args->positional[1] : ".";
    bool is_known = false;
    for (size_t i = 0; i < ARRAY_LEN(init_templates); i++)
        is_known |= strcmp(template, init_templates[i]) == 0;
    if (!is_known) {
        const char *nearest =
            names_nearest(slice_cstr(template), init_templates, ARRAY_LEN(init_templates));
        error_set(&error, ERR_INVALID, "there is no template '%.60s'", template);
        error_hint(&error,
                   nearest ? "did you mean '%s'?"
                           : "there are function, workflow, hono and static%s",
                   nearest ? nearest : "");
        return say_error(cli->is_json, &error, EXIT_USAGE);
    }
    if (mkdir(dir, 0777) && errno != EEXIST) {
        error_set(&error, ERR_IO, "cannot make the folder %.300s: %s", dir, strerror(errno));
        return say_error(cli->is_json, &error, EXIT_FAILED);
    }
    const char *there = found_already(cli, dir, template);
    if (there) {
        error_set(&error, ERR_CONFLICT, "%.200s has a %s already", dir, there);
        error_hint(&error, "name another folder: limpet init %s DIR", template);
        return say_error(cli->is_json, &error, EXIT_FAILED);
    }
    const char *name = name_of(cli, dir);
    int code = write_all(cli, dir, template, name);
    if (code)
        return code;
    const bool is_here = strcmp(dir, ".") == 0;
    say_progress(cli->is_json, "made %s in %s", name, is_here ? "this folder" : dir);
    if (!cli->is_json)
        printf("%s%s%slimpet dev\n", is_here ? "" : "cd ", is_here ? "" : dir,
               is_here ? "" : " && ");
    return EXIT_OK;
}
