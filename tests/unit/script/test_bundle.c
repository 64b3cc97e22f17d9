/* SPDX-License-Identifier: Apache-2.0
 *
 * The bundler with the real esbuild (LIMPET_ESBUILD). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/limits.h"
#include "script/bundle.h"
#include "script/bundle_internal.h"
#include "script/sourcemap.h"

struct build {
    struct bundle bundle;
    struct bundle_failure failure;
    struct error error;
    enum err code;
};

static char *esbuild;
static char folder[64];

static void build_done(struct build *b)
{
    bundle_done(&b->bundle);
    bundle_failure_done(&b->failure);
}

static struct build build_source(const char *source)
{
    struct bundle_config config = {.esbuild = esbuild, .name = "hello"};
    struct build b = {0};
    b.code = bundle_source(&config, slice_cstr(source), &b.bundle, &b.failure, &b.error);
    return b;
}

static struct build build_file(const char *path)
{
    struct bundle_config config = {.esbuild = esbuild, .name = "hello"};
    char entry[256];
    snprintf(entry, sizeof(entry), "%s/%s", folder, path);
    struct build b = {0};
    b.code = bundle_file(&config, entry, &b.bundle, &b.failure, &b.error);
    return b;
}

/* Writes FOLDER/PATH, with the folders in between. */
static void put(const char *path, const char *content)
{
    char full[256];
    snprintf(full, sizeof(full), "%s/%s", folder, path);
    for (char *slash = full + strlen(folder) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, strlen(content), file), strlen(content));
    assert_int_equal(fclose(file), 0);
}

static void expect_ok(const struct build *b)
{
    if (b->code != OK)
        fail_msg("%s: %s", error_text(b->code), b->error.message);
}

static void expect_failed(struct build *b, const char *file, int line, int column,
                          const char *message)
{
    if (b->code != ERR_BUILD_FAILED)
        fail_msg("%s: %s", error_text(b->code), b->error.message);
    assert_string_equal(bytes_cstr(&b->failure.file), file);
    assert_int_equal(b->failure.line, line);
    assert_int_equal(b->failure.column, column);
    if (!strstr(bytes_cstr(&b->failure.message), message))
        fail_msg("'%s' does not have '%s'", bytes_cstr(&b->failure.message), message);
}

static void expect_has(struct bytes *text, const char *part)
{
    if (!strstr(bytes_cstr(text), part))
        fail_msg("'%s' does not have '%s'", bytes_cstr(text), part);
}

static void expect_lacks(struct bytes *text, const char *part)
{
    if (strstr(bytes_cstr(text), part))
        fail_msg("'%s' has '%s'", bytes_cstr(text), part);
}

/* Where the text of the bundle comes from. */
static void expect_maps(struct build *b, const char *text, const char *file, int line, int column)
{
    struct sourcemap *map = NULL;
    assert_int_equal(sourcemap_parse(bytes_slice(&b->bundle.source_map), &map, &b->error), OK);
    const char *code = bytes_cstr(&b->bundle.code), *at = strstr(code, text);
    assert_non_null(at);
    int out_line = 1, out_column = 1;
    for (; code < at; code++) {
        out_column = *code == '\n' ? 1 : out_column + 1;
        out_line += *code == '\n';
    }
    struct slice found;
    int found_line = 0, found_column = 0;
    assert_true(sourcemap_find(map, out_line, out_column, &found, &found_line, &found_column));
    assert_true(slice_eq_cstr(found, file));
    assert_int_equal(found_line, line);
    assert_int_equal(found_column, column);
    sourcemap_free(map);
}

static void types_vanish_and_platform_imports_stay(void **state)
{
    (void)state;
    CLEANUP(build_done)
    struct build b = build_source("import type { Request } from './types';\n"
                                  "import { Response } from 'derp:runtime/types';\n"
                                  "import { success } from 'derp:runtime/context';\n"
                                  "import { exec } from 'derp:runtime/sql';\n"
                                  "import * as limpet from 'limpet';\n"
                                  "import { DurableObject } from 'cloudflare:workers';\n"
                                  "import { NonRetryableError } from 'cloudflare:workflows';\n"
                                  "export class A extends DurableObject { e = NonRetryableError }\n"
                                  "export const handler = {\n"
                                  "  handle(req: Request): Response {\n"
                                  "    exec('SELECT 1'); return success(limpet as any);\n"
                                  "  }\n"
                                  "};\n");
    expect_ok(&b);
    expect_has(&b.bundle.code, "from \"derp:runtime/context\"");
    expect_has(&b.bundle.code, "from \"cloudflare:workers\"");
    expect_lacks(&b.bundle.code, "./types");
    expect_lacks(&b.bundle.code, "derp:runtime/types");
    expect_lacks(&b.bundle.code, "sourceMappingURL");
    expect_has(&b.bundle.code, "from \"cloudflare:workflows\"");
    expect_maps(&b, "exec(\"SELECT 1\")", "hello.ts", 11, 5);
}

static void the_map_has_the_source_and_no_machine_path(void **state)
{
    (void)state;
    const char *source = "export default () => 'é';\n";
    CLEANUP(build_done) struct build b = build_source(source);
    expect_ok(&b);
    expect_has(&b.bundle.source_map, "\"sources\":[\"hello.ts\"]");
    expect_lacks(&b.bundle.source_map, "/tmp");
    struct sourcemap *map = NULL;
    assert_int_equal(sourcemap_parse(bytes_slice(&b.bundle.source_map), &map, &b.error), OK);
    assert_true(slice_eq_cstr(sourcemap_content(map, SLICE_LIT("hello.ts")), source));
    sourcemap_free(map);
}

static void await_outside_async_is_explained(void **state)
{
    (void)state;
    CLEANUP(build_done)
    struct build b = build_source("export default {\n"
                                  "  fetch(request: Request) {\n"
                                  "    const é = 1; const r = await fetch('x');\n"
                                  "    return r;\n"
                                  "  }\n"
                                  "};\n");
    expect_failed(&b, "hello.ts", 3, 28, "\"await\" can only be used inside an \"async\" function");
    expect_has(&b.failure.frame, "const r = await fetch");
    expect_has(&b.failure.frame, "~~~~~");
    assert_non_null(strstr(b.error.hint, "async"));
    assert_non_null(strstr(b.error.hint, "hello.ts:2"));
    assert_non_null(strstr(b.error.message, "hello.ts:3:28: "));
}

static void an_early_end_is_reported_inside_the_source(void **state)
{
    (void)state;
    CLEANUP(build_done) struct build b = build_source("export function handler() {\n  return 1;\n");
    expect_failed(&b, "hello.ts", 2, 12, "nexpected end of file");
    expect_has(&b.failure.frame, "> 2 |   return 1;");
    expect_lacks(&b.failure.frame, "sourceMappingURL");
    CLEANUP(build_done) struct build c = build_source("/* never closed");
    expect_failed(&c, "hello.ts", 1, 16, "");
    expect_lacks(&c.failure.frame, "sourceMappingURL");
}

static void several_errors_are_counted(void **state)
{
    (void)state;
    CLEANUP(build_done) struct build b = build_source("const a = 1;\nconst a = 2;\nconst a = 3;\n");
    expect_failed(&b, "hello.ts", 2, 7, "already been declared (and 1 more error)");
}

static void empty_and_odd_sources_build(void **state)
{
    (void)state;
    CLEANUP(build_done) struct build b = build_source("");
    expect_ok(&b);
    CLEANUP(build_done) struct build c = build_source("// only a comment");
    expect_ok(&c);
    CLEANUP(build_done)
    struct build d = build_source("\xef\xbb\xbf"
                                  "export default 1");
    expect_ok(&d);
    CLEANUP(build_done) struct build e = build_source("export default \"\xff\"");
    assert_int_equal(e.code, ERR_BUILD_FAILED);
    expect_has(&e.failure.message, "not UTF-8");
}

static void an_upload_may_import_the_platform_only(void **state)
{
    (void)state;
    CLEANUP(build_done)
    struct build a =
        build_source("const x = 'import y from \"./util\"';\nimport { y } from './util';\n"
                     "export default () => y + x;\n");
    expect_failed(&a, "hello.ts", 2, 19, "cannot import the file \"./util\"");
    expect_has(&a.failure.frame, "> 2 | import { y } from './util';");
    assert_non_null(strstr(a.error.hint, "limpet function upload"));
    CLEANUP(build_done) struct build b = build_source("import _ from 'lodash';\nexport default _;");
    expect_failed(&b, "hello.ts", 1, 15, "the server bundles no packages");
    CLEANUP(build_done)
    struct build c = build_source("import fs from 'node:nothing';\nexport default fs;");
    expect_failed(&c, "hello.ts", 1, 16, "is a module of Node.js");
    CLEANUP(build_done)
    struct build d = build_source("export default async () => (await import('/etc/passwd')).x;");
    expect_failed(&d, "hello.ts", 1, 42, "cannot import the file \"/etc/passwd\"");
    CLEANUP(build_done) struct build e = build_source("export const x = require('./x.json');");
    expect_failed(&e, "hello.ts", 1, 26, "cannot import the file \"./x.json\"");
    CLEANUP(build_done) struct build f = build_source("export * from 'derp:runtime/nope';");
    expect_failed(&f, "hello.ts", 1, 15, "derp:runtime/nope");
    CLEANUP(build_done) struct build g = build_source("import './side-effect';");
    expect_failed(&g, "hello.ts", 1, 8, "./side-effect");
}

/* Each of these reads a file when esbuild is simply told to treat imports as external. */
static void an_upload_reads_no_file(void **state)
{
    (void)state;
    put("secret.map", "{\"version\":3,\"sources\":[\"s.ts\"],\"sourcesContent\":[\"SECRET\"],"
                      "\"mappings\":\"AAAA\"}");
    put("data/secret.ts", "export default 'SECRET'");
    static const char *const comments[] = {
        "//# sourceMappingURL=%s/secret.map",
        "/*# sourceMappingURL=%s/secret.map */",
        "//@ sourceMappingURL=%s/secret.map",
        "//# sourceMappingURL=file://%s/secret.map",
        "/// <reference path=\"%s/data/secret.ts\" />",
        "export const g = (x: string) => import(`../../../../..%s/data/${x}.ts`);"};
    for (size_t i = 0; i < sizeof(comments) / sizeof(comments[0]); i++) {
        CLEANUP(bytes_done) struct bytes source = BYTES_INIT;
        char line[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(line, sizeof(line), comments[i], folder);
#pragma GCC diagnostic pop
        bytes_printf(&source, "export default function hello() { return 1 }\n%s\n", line);
        CLEANUP(build_done) struct build b = build_source(bytes_cstr(&source));
        expect_ok(&b);
        expect_lacks(&b.bundle.source_map, "SECRET");
        expect_lacks(&b.bundle.code, "SECRET");
        expect_lacks(&b.bundle.code, "data/secret.ts\":");
        expect_maps(&b, "return 1", "hello.ts", 1, 35);
    }
}

static void limits_and_names_are_checked(void **state)
{
    (void)state;
    struct bundle_config config = {.esbuild = esbuild, .name = "../evil"};
    struct build b = {0};
    assert_int_equal(bundle_source(&config, SLICE_LIT("1"), &b.bundle, &b.failure, &b.error),
                     ERR_INVALID);
    config.name = "hello";
    char *big = calloc(1, LIMIT_SOURCE_BYTES + 1);
    assert_int_equal(bundle_source(&config, slice_of(big, LIMIT_SOURCE_BYTES + 1), &b.bundle,
                                   &b.failure, &b.error),
                     ERR_TOO_LARGE);
    free(big);
    config.esbuild = NULL;
    assert_int_equal(bundle_source(&config, SLICE_LIT("1"), &b.bundle, &b.failure, &b.error),
                     ERR_UNAVAILABLE);
    assert_non_null(strstr(b.error.hint, "LIMPET_ESBUILD"));
    config.esbuild = "/no/such/esbuild";
    assert_int_equal(bundle_source(&config, SLICE_LIT("1"), &b.bundle, &b.failure, &b.error),
                     ERR_IO);
    assert_non_null(strstr(b.error.message, "/no/such/esbuild"));
    config.esbuild = "/bin/false";
    assert_int_equal(bundle_source(&config, SLICE_LIT("1"), &b.bundle, &b.failure, &b.error),
                     ERR_BUILD_FAILED);
    expect_has(&b.failure.message, "failed without saying why");
    bundle_failure_done(&b.failure);
}

static void a_file_brings_its_imports(void **state)
{
    (void)state;
    put("package.json", "{}");
    put("src/entry.ts", "import { greet } from './lib/greet';\nimport pkg from 'pkg';\n"
                        "import { success } from 'derp:runtime/context';\n"
                        "import data from './data.json';\n"
                        "export const handler = { handle: () => success(greet(pkg, data)) };\n");
    put("src/lib/greet.ts", "export function greet(x: unknown, y: unknown): string {\n  throw new "
                            "Error(`${x}${y}`);\n}\n");
    put("src/data.json", "{\"a\":1}");
    put("node_modules/pkg/package.json", "{\"name\":\"pkg\",\"exports\":{\".\":{\"worker\":\"./"
                                         "worker.js\",\"default\":\"./node.js\"}}}");
    put("node_modules/pkg/worker.js", "export default 'for workers';");
    put("node_modules/pkg/node.js", "import 'node:nothing'; export default 'for node';");
    CLEANUP(build_done) struct build b = build_file("src/entry.ts");
    expect_ok(&b);
    expect_has(&b.bundle.code, "for workers");
    expect_has(&b.bundle.code, "from \"derp:runtime/context\"");
    expect_lacks(&b.bundle.code, "from \"pkg\"");
    expect_lacks(&b.bundle.source_map, folder);
    expect_lacks(&b.bundle.source_map, "limpet-");
    expect_has(&b.bundle.source_map, "\"node_modules/pkg/worker.js\"");
    expect_maps(&b, "throw new Error", "src/lib/greet.ts", 2, 3);
    expect_maps(&b, "success(greet(", "src/entry.ts", 5, 40);
}

static void files_outside_of_the_project_are_relative(void **state)
{
    (void)state;
    put("shared/s.ts", "export const s = () => { throw new Error('s') };\n");
    put("app/package.json", "{}");
    put("app/entry.ts", "import { s } from '../shared/s';\nexport default s;\n");
    CLEANUP(build_done) struct build b = build_file("app/entry.ts");
    expect_ok(&b);
    expect_maps(&b, "throw new Error", "../shared/s.ts", 1, 26);
    expect_lacks(&b.bundle.source_map, folder);
}

static void missing_modules_are_explained(void **state)
{
    (void)state;
    put("package.json", "{}");
    static const struct {
        const char *source, *message, *hint;
        int column;
    } cases[] = {
        {"import { é } from './nope'; export default é;", "there is no file \"./nope\"",
         "importing file", 19},
        {"import x from 'nope'; export default x;", "cannot find the package \"nope\"",
         "npm install nope", 15},
        {"import x from 'node:nothing'; export default x;", "is a module of Node.js",
         "web's own APIs", 15},
        {"import x from 'derp:runtime/x'; export default x;", "has no module \"derp:runtime/x\"",
         "derp:runtime/{types", 15},
        {"import x from 'cloudflare:nothing'; export default x;",
         "has no module \"cloudflare:nothing\"", "cloudflare:workers", 15},
        {"import x from 'limpet/x'; export default x;", "has no module \"limpet/x\"",
         "cloudflare:workers", 15},
        {"import x from 'npm:hono@4.1/tiny'; export default x;", "without \"npm:\"",
         "npm install hono beside the function, and import \"hono\"", 15},
        {"import x from 'npm:@a/b@1/c'; export default x;", "without \"npm:\"", "import \"@a/b\"",
         15},
        {"import x from 'jsr:@std/path'; export default x;", "without \"jsr:\"",
         "npx jsr add @std/path", 15},
        {"import x from 'https://esm.sh/hono'; export default x;",
         "import of URLs is not supported: \"https://esm.sh/hono\"", "npm install the package", 15},
        {"import x from 'http://h/x.js'; export default x;", "import of URLs is not supported",
         "npm install the package", 15},
        {"import x from 'bun:sqlite'; export default x;", "of another platform",
         "import { sql } from \"limpet\"", 15},
        {"import x from 'bun:sqlite'; export default x;", "of another platform",
         "import { sql } from \"limpet\"", 15},
        {"import x from 'bun:test'; export default x;", "is a module of Bun", "web's own APIs", 15},
        {"import x from 'bun'; export default x;", "is a module of Bun", "web's own APIs", 15},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        put("src/bad.ts", cases[i].source);
        CLEANUP(build_done) struct build b = build_file("src/bad.ts");
        expect_failed(&b, "src/bad.ts", 1, cases[i].column, cases[i].message);
        if (!strstr(b.error.hint, cases[i].hint))
            fail_msg("hint '%s' does not have '%s'", b.error.hint, cases[i].hint);
        expect_has(&b.failure.frame, "import");
    }
    CLEANUP(build_done) struct build none = build_file("src/none.ts");
    assert_int_equal(none.code, ERR_NOT_FOUND);
    CLEANUP(build_done) struct build dir = build_file("src");
    assert_int_equal(dir.code, ERR_INVALID);
}

static void the_same_in_one_source_text(void **state)
{
    (void)state;
    static const struct {
        const char *source, *message, *hint;
    } cases[] = {
        {"import x from 'npm:hono'; export default x;", "without \"npm:\"", "npm install hono"},
        {"import x from 'https://esm.sh/hono'; export default x;",
         "import of URLs is not supported", "npm install the package"},
        {"import x from 'data:text/javascript,export default 1'; export default x;",
         "import of URLs is not supported", "put the code into a file"},
        {"import x from 'node:nothing'; export default x;", "is a module of Node.js",
         "web's own APIs"},
        {"import x from 'deno:x'; export default x;", "is a module of Deno", "web's own APIs"},
        {"import x from 'npm:'; export default x;", "without \"npm:\"", "npm install"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CLEANUP(build_done) struct build b = build_source(cases[i].source);
        expect_failed(&b, "hello.ts", 1, 15, cases[i].message);
        if (!strstr(b.error.hint, cases[i].hint))
            fail_msg("hint '%s' does not have '%s'", b.error.hint, cases[i].hint);
    }
}

static void a_missing_export_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *code, *message;
        int line, column; /* 0: not found */
    } cases[] = {
        {"import { A as B, C } from \"m\";", "Could not find export 'C' in module 'm'", 1, 18},
        {"import { A as B, C } from \"m\";",
         "Could not find export 'A' in module 'm', which exports X", 1, 10},
        {"import { A as B } from \"m\";", "Could not find export 'B' in module 'm'", 0, 0},
        {"import { A as B, B as A } from \"m\";", "Could not find export 'B' in module 'm'", 1, 18},
        {"import D, { A } from \"m\";", "Could not find export 'default' in module 'm'", 1, 8},
        {"import { default as D } from \"m\";", "Could not find export 'default' in module 'm'", 1,
         10},
        {"import { A } from \"n\";\nimport {\n  B,\n  é,\n  A\n} from \"m\";\n",
         "SyntaxError: Could not find export 'A' in module 'm'", 5, 3},
        {"export { AA, A$, A } from \"m\";", "Could not find export 'A' in module 'm'", 1, 18},
        {"import * as A from \"m\";\nA;", "Could not find export 'B' in module 'm'", 0, 0},
        {"A;\nimport { B } from \"m\"", "Could not find export 'A' in module 'm'", 0, 0},
        {"import { A } from \"m\"", "Could not find export 'A", 0, 0},
        {"import { A } from \"m\"", "Could not find export '' in module 'm'", 0, 0},
        {"import { A } from \"m\"", "", 0, 0},
        {"", "Could not find export 'A' in module 'm'", 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int line = 0, column = 0;
        const bool found = bundle_find_missing_export(slice_cstr(cases[i].code),
                                                      slice_cstr(cases[i].message), &line, &column);
        if (found != (cases[i].line > 0) || line != cases[i].line || column != cases[i].column)
            fail_msg("%s in %s: %d:%d", cases[i].message, cases[i].code, line, column);
    }
}

static void an_optional_require_may_stay(void **state)
{
    (void)state;
    put("package.json", "{}");
    put("src/optional.ts", "let x; try { x = require('nope') } catch { x = 1 } export default x;");
    CLEANUP(build_done) struct build b = build_file("src/optional.ts");
    expect_ok(&b);
}

/* The folder in TMPDIR is gone after success and after failure. */
static void nothing_is_left_behind(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof(path), "%s/tmp", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    setenv("TMPDIR", path, 1);
    CLEANUP(build_done) struct build a = build_source("export default 1");
    CLEANUP(build_done) struct build b = build_source("let a b");
    CLEANUP(build_done) struct build c = build_source("import './x'");
    expect_ok(&a);
    assert_int_equal(b.code, ERR_BUILD_FAILED);
    assert_int_equal(c.code, ERR_BUILD_FAILED);
    assert_int_equal(rmdir(path), 0); /* empty */
    CLEANUP(build_done) struct build d = build_source("export default 1");
    assert_int_equal(d.code, ERR_IO);
    assert_non_null(strstr(d.error.hint, "TMPDIR"));
    unsetenv("TMPDIR");
}

static void unknown_output_is_passed_on(void **state)
{
    (void)state;
    static const struct {
        const char *text, *file, *message;
        int line, column;
    } cases[] = {
        {"", "", "without saying why", 0, 0},
        {"fatal error: runtime: out of memory\n", "", "fatal error: runtime: out of memory", 0, 0},
        {"✘ [ERROR] ", "", "unknown error", 0, 0},
        {"✘ [ERROR] a\n✘ [ERROR] b\n✘ [ERROR] c", "", "a (and 2 more errors)", 0, 0},
        {"✘ [ERROR] a\r\n\r\n    x.ts:3:4:\r\n      3 │ a\r\n        ╵ ^\r\n", "x.ts", "a", 3, 5},
        {"✘ [ERROR] a\n\n    c:\\odd name.ts:3:4:", "c:\\odd name.ts", "a", 3, 5},
        {"✘ [ERROR] a\n\n    x.ts:3:\n", "", "a", 0, 0},
        {"✘ [ERROR] a\n\n    x.ts:99999999999:4:\n", "", "a", 0, 0},
        {"✘ [ERROR] a\n\n    :3:4:\n", "", "a", 0, 0},
        {"✘ [ERROR] Could not resolve \"", "", "Could not resolve", 0, 0},
        {"✘ [ERROR] Could not resolve \"\"", "", "cannot find the package \"\"", 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct build b = {0};
        b.code = bundle_parse_failure(slice_cstr(cases[i].text), NULL, &b.failure, &b.error);
        expect_failed(&b, cases[i].file, cases[i].line, cases[i].column, cases[i].message);
        build_done(&b);
    }
}

static int setup(void **state)
{
    (void)state;
    esbuild = bundle_find_esbuild();
    snprintf(folder, sizeof(folder), "/tmp/limpet-bundle-XXXXXX");
    return esbuild && mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", folder, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    free(esbuild);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1) { /* "test_bundle time": how long a hello takes */
        esbuild = bundle_find_esbuild();
        for (int i = 0; i < 10; i++) {
            uint64_t start = clock_monotonic_ns();
            struct build b =
                build_source("export const handler = { handle(req: any) { return req.body; } };\n");
            printf("%s %.1f ms\n", error_text(b.code),
                   (double)(clock_monotonic_ns() - start) / 1e6);
            build_done(&b);
        }
        free(esbuild);
        return 0;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_vanish_and_platform_imports_stay),
        cmocka_unit_test(the_map_has_the_source_and_no_machine_path),
        cmocka_unit_test(await_outside_async_is_explained),
        cmocka_unit_test(an_early_end_is_reported_inside_the_source),
        cmocka_unit_test(several_errors_are_counted),
        cmocka_unit_test(empty_and_odd_sources_build),
        cmocka_unit_test(an_upload_may_import_the_platform_only),
        cmocka_unit_test(an_upload_reads_no_file),
        cmocka_unit_test(limits_and_names_are_checked),
        cmocka_unit_test(a_file_brings_its_imports),
        cmocka_unit_test(files_outside_of_the_project_are_relative),
        cmocka_unit_test(missing_modules_are_explained),
        cmocka_unit_test(the_same_in_one_source_text),
        cmocka_unit_test(a_missing_export_is_found),
        cmocka_unit_test(an_optional_require_may_stay),
        cmocka_unit_test(nothing_is_left_behind),
        cmocka_unit_test(unknown_output_is_passed_on),
    };
    return cmocka_run_group_tests_name("bundle", tests, setup, teardown);
}
