/* SPDX-License-Identifier: Apache-2.0
 *
 * What a bundle may still import: the platform's modules. esbuild's metafile lists the imports that
 * are left but not where they are, so the place is found in the bundle, which esbuild prints in one
 * way only, and brought back to the source by the map. */
#include <jansson.h>

#include "base/check.h"
#include "script/builtin.h"
#include "script/bundle_internal.h"
#include "script/sourcemap.h"
#include "script/wasm_modules.h"

const char *const bundle_platform[] = {
    "derp:runtime/types",
    "derp:runtime/context",
    "derp:runtime/logger",
    "derp:runtime/http",
    "derp:runtime/sql",
    "derp:runtime/env",
    "limpet",
    "cloudflare:workers",
    "cloudflare:workflows",
    "cloudflare:sockets",
    "cloudflare:node",
    NULL,
};
const char bundle_node_prefix[] = "limpet:node/";
const char bundle_node_hint[] =
    "docs/node.md lists those that it has; else use the web's own APIs (fetch, crypto, URL, "
    "TextEncoder) or a package made for browsers and workers";
const char bundle_platform_text[] =
    "derp:runtime/{types,context,logger,http,sql,env}, limpet, "
    "cloudflare:workers, cloudflare:workflows, cloudflare:sockets, cloudflare:node "
    "and modules of Node.js";

static bool imports_is_node(struct slice path)
{
    struct slice ignored;
    const struct slice bundled = slice_cstr(bundle_node_prefix), node = SLICE_LIT("node:");
    if (slice_starts(path, bundled))
        path = slice_skip(path, bundled.len);
    else if (slice_starts(path, node))
        path = slice_skip(path, node.len);
    return !slice_starts(path, SLICE_LIT("internal/")) && builtin_find(path, &ignored);
}

static bool imports_is_platform(const char *path)
{
    if (imports_is_node(slice_cstr(path)))
        return true;
    for (size_t i = 0; bundle_platform[i]; i++)
        if (slice_eq_cstr(slice_cstr(path), bundle_platform[i]))
            return true;
    return false;
}

/* Is a string literal the module of an import of this kind? before: its line up to it. Statements
 * begin their line, so that a text that only talks about an import is not taken for one. */
static bool imports_is_context(struct slice before, struct slice kind)
{
    struct slice trimmed = slice_trim(before);
    if (slice_eq_cstr(kind, "dynamic-import"))
        return slice_ends(before, SLICE_LIT("import("));
    if (slice_eq_cstr(kind, "require-call"))
        return slice_ends(before, SLICE_LIT("require("));
    return slice_eq_cstr(trimmed, "import") ||
           (slice_ends(trimmed, SLICE_LIT("from")) &&
            (slice_starts(before, SLICE_LIT("import ")) ||
             slice_starts(before, SLICE_LIT("export ")) || slice_starts(before, SLICE_LIT("} "))));
}

/* From 1, in UTF-16 units. */
static int imports_column(struct slice line, size_t offset)
{
    int column = 1;
    for (size_t i = 0; i < offset && i < line.len; i++)
        column +=
            (((unsigned char)line.ptr[i] & 0xc0) != 0x80) + ((unsigned char)line.ptr[i] >= 0xf0);
    return column;
}

/* Line and column, from 1 and in UTF-16 units, of the import of path in the bundle. */
static bool imports_find(struct slice code, struct slice path, struct slice kind, int *ret_line,
                         int *ret_column)
{
    CLEANUP(bytes_done) struct bytes quoted = BYTES_INIT;
    bytes_printf(&quoted, "\"%.*s\"", SLICE_ARG(path));
    for (int line = 1; code.len; line++) {
        struct slice text = slice_split(&code, '\n');
        const char *at = memmem(text.ptr, text.len, quoted.ptr, quoted.len);
        if (!at || !imports_is_context(slice_of(text.ptr, (size_t)(at - text.ptr)), kind))
            continue;
        *ret_line = line;
        *ret_column = imports_column(text, (size_t)(at - text.ptr));
        return true;
    }
    return false;
}

/* ---- names that the platform's modules do not export ---- */

static bool imports_is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

/* Offset of name as what is imported, not as what it is called here ("x as name"); -1: it is not there. */
static ptrdiff_t imports_specifier(struct slice line, struct slice name)
{
    const struct slice as = SLICE_LIT(" as ");
    if (slice_eq_cstr(name, "default") && slice_starts(line, SLICE_LIT("import ")) &&
        line.len > 7 && imports_is_word(line.ptr[7]))
        return 7;
    for (size_t i = 0; name.len && i + name.len <= line.len; i++) {
        const struct slice before = slice_of(line.ptr, i);
        if (memcmp(line.ptr + i, name.ptr, name.len) != 0 ||
            (i && imports_is_word(line.ptr[i - 1])) ||
            (i + name.len < line.len && imports_is_word(line.ptr[i + name.len])) ||
            slice_ends(before, as))
            continue;
        return (ptrdiff_t)i;
    }
    return -1;
}

/* "TEXT 'RESULT'REST": the quoted part, which *rest then follows. */
static bool imports_quoted(struct slice *rest, struct slice text, struct slice *ret_quoted)
{
    if (!slice_starts(*rest, text))
        return false;
    struct slice from = slice_skip(*rest, text.len);
    const ptrdiff_t end = slice_find(from, '\'');
    if (end < 0)
        return false;
    *ret_quoted = slice_of(from.ptr, (size_t)end);
    *rest = slice_skip(from, (size_t)end + 1);
    return true;
}

bool bundle_find_missing_export(struct slice code, struct slice message, int *ret_line,
                                int *ret_column)
{
    struct slice name, module;
    const char *begin =
        message.len ? memmem(message.ptr, message.len, "Could not find export '", 23) : NULL;
    if (!begin)
        return false;
    struct slice rest = slice_skip(message, (size_t)(begin - message.ptr));
    if (!imports_quoted(&rest, SLICE_LIT("Could not find export '"), &name) ||
        !imports_quoted(&rest, SLICE_LIT(" in module '"), &module))
        return false;
    CLEANUP(bytes_done) struct bytes end = BYTES_INIT;
    bytes_printf(&end, " from \"%.*s\"", SLICE_ARG(module));
    int name_line = 0, name_column = 0; /* of the statement that is being read */
    for (int line = 1; code.len; line++) {
        struct slice text = slice_split(&code, '\n');
        if (slice_starts(text, SLICE_LIT("import ")) || slice_starts(text, SLICE_LIT("export ")))
            name_line = 0;
        const char *at = memmem(text.ptr ? text.ptr : "", text.len, end.ptr, end.len);
        const size_t names = at ? (size_t)(at - text.ptr) : text.len;
        const ptrdiff_t offset =
            name_line ? -1 : imports_specifier(slice_of(text.ptr, names), name);
        if (offset >= 0) {
            name_line = line;
            name_column = imports_column(text, (size_t)offset);
        }
        if (!at || !name_line)
            continue;
        *ret_line = name_line;
        *ret_column = name_column;
        return true;
    }
    return false;
}

/* ---- modules that the platform does not have ---- */

static bool imports_scheme(struct slice path, const char *scheme, struct slice *ret_rest)
{
    if (!slice_starts(path, slice_cstr(scheme)))
        return false;
    *ret_rest = slice_skip(path, strlen(scheme));
    return true;
}

/* "@a/b@1/c" → "@a/b": what is installed. */
struct slice bundle_package_name(struct slice name)
{
    size_t len = 0;
    for (bool is_scoped = name.len && name.ptr[0] == '@', is_name = !is_scoped; len < name.len;
         len++) {
        const char c = name.ptr[len];
        if ((c == '@' && len > 0) || (c == '/' && is_name))
            break;
        is_name = is_name || c == '/';
    }
    return slice_of(name.ptr, len);
}

bool bundle_explain_scheme(struct slice path, struct bytes *out, char *ret_hint, size_t hint_size)
{
    struct slice rest, package;
    if (imports_scheme(path, "npm:", &rest)) {
        package = bundle_package_name(rest);
        bytes_printf(out, "\"%.*s\": packages are imported by their names, without \"npm:\"",
                     SLICE_ARG(path));
        snprintf(ret_hint, hint_size, "npm install %.*s beside the function, and import \"%.*s\"",
                 SLICE_ARG(package), SLICE_ARG(package));
    } else if (imports_scheme(path, "jsr:", &rest)) {
        package = bundle_package_name(rest);
        bytes_printf(out, "\"%.*s\": packages are imported by their names, without \"jsr:\"",
                     SLICE_ARG(path));
        snprintf(ret_hint, hint_size, "npx jsr add %.*s beside the function, and import \"%.*s\"",
                 SLICE_ARG(package), SLICE_ARG(package));
    } else if (imports_scheme(path, "https:", &rest) || imports_scheme(path, "http:", &rest) ||
               imports_scheme(path, "file:", &rest) || imports_scheme(path, "data:", &rest) ||
               imports_scheme(path, "blob:", &rest)) {
        const struct slice shown = slice_utf8_clip(path, 100);
        bytes_printf(out, "import of URLs is not supported: \"%.*s%s\"", SLICE_ARG(shown),
                     shown.len < path.len ? "…" : "");
        snprintf(ret_hint, hint_size,
                 slice_starts(path, SLICE_LIT("http"))
                     ? "npm install the package beside the function, and import it by its name"
                     : "put the code into a file beside the function, and import \"./FILE\"");
    } else if (slice_eq_cstr(path, "bun:sqlite")) {
        bytes_printf(out, "\"%.*s\" is a module of another platform, which this one does not have",
                     SLICE_ARG(path));
        snprintf(ret_hint, hint_size,
                 "each function has its own database: import { sql } from \"limpet\"");
    } else if (imports_scheme(path, "node:", &rest)) {
        bytes_printf(out, "\"%.*s\" is a module of Node.js, which this platform does not have",
                     SLICE_ARG(path));
        snprintf(ret_hint, hint_size, "%s", bundle_node_hint);
    } else if (slice_eq_cstr(path, "bun") || imports_scheme(path, "bun:", &rest) ||
               imports_scheme(path, "deno:", &rest) || imports_scheme(path, "ext:", &rest)) {
        bytes_printf(out, "\"%.*s\" is a module of %s, which this platform does not have",
                     SLICE_ARG(path), path.ptr[0] == 'b' ? "Bun" : "Deno");
        snprintf(ret_hint, hint_size, "%s", bundle_node_hint);
    } else {
        return false;
    }
    return true;
}

static enum err imports_refuse(const char *path, const char *kind, struct slice code,
                               struct slice source_map, bool is_upload,
                               struct bundle_failure *ret_failure, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes frame = BYTES_INIT;
    struct sourcemap *map = NULL;
    struct slice file = SLICE_EMPTY;
    int line = 0, column = 0;
    if (imports_find(code, slice_cstr(path), slice_cstr(kind), &line, &column) &&
        sourcemap_parse(source_map, &map, NULL) == OK &&
        sourcemap_find(map, line, column, &file, &line, &column))
        sourcemap_frame(sourcemap_content(map, file), line, column, &frame);
    else
        line = column = 0;
    enum err code_failed;
    bool is_relative = path[0] == '.' || path[0] == '/';
    char hint[ERROR_HINT_MAX];
    CLEANUP(bytes_done) struct bytes message = BYTES_INIT;
    if (bundle_explain_scheme(slice_cstr(path), &message, hint, sizeof(hint))) {
        code_failed = bundle_fail(ret_failure, ret_error, file, line, column, bytes_slice(&frame),
                                  "%s", bytes_cstr(&message));
        error_hint(ret_error, "%s", hint);
    } else if (is_upload) {
        code_failed = bundle_fail(
            ret_failure, ret_error, file, line, column, bytes_slice(&frame),
            is_relative
                ? "cannot import the file \"%s\": the server was given one source text only"
                : "cannot import \"%s\": the server bundles no packages, and the platform has "
                  "no such module",
            path);
        error_hint(
            ret_error,
            "use `limpet function upload NAME FILE`, which bundles local files and packages; the "
            "platform has %s",
            bundle_platform_text);
    } else {
        code_failed = bundle_fail(ret_failure, ret_error, file, line, column, bytes_slice(&frame),
                                  "the platform has no module \"%s\"", path);
        error_hint(ret_error, "it has %s", bundle_platform_text);
    }
    sourcemap_free(map);
    return code_failed;
}

/* A require() or import() that a package tries and does without may stay; it fails when it runs. In
 * one source text it can only be a mistake. */
static bool imports_matters(const char *kind, bool is_upload)
{
    return is_upload || !kind || slice_eq_cstr(slice_cstr(kind), "import-statement");
}

/* esbuild takes the "?raw" of "./page.ts?raw" for no part of the name, and so would run the file. */
static bool imports_is_raw_code(const char *path)
{
    static const char *const kinds[] = {".ts",  ".tsx", ".mts", ".cts",  ".js", ".jsx",
                                        ".mjs", ".cjs", ".css", ".json", NULL};
    struct slice name = slice_cstr(path);
    const struct slice suffix = SLICE_LIT("?raw");
    if (!slice_ends(name, suffix))
        return false;
    name.len -= suffix.len;
    for (size_t i = 0; kinds[i]; i++)
        if (slice_ends(name, slice_cstr(kinds[i])))
            return true;
    return false;
}

/* The first import of code as "?raw" in esbuild's list of what it has read. */
static enum err imports_check_raw(json_t *inputs, struct bundle_failure *ret_failure,
                                  struct error *ret_error)
{
    const char *name;
    json_t *input, *import;
    size_t i;
    json_object_foreach(inputs, name, input)
    {
        json_array_foreach(json_object_get(input, "imports"), i, import)
        {
            const char *path = json_string_value(json_object_get(import, "path"));
            const char *original = json_string_value(json_object_get(import, "original"));
            if (!path || !imports_is_raw_code(path))
                continue;
            enum err code =
                bundle_fail(ret_failure, ret_error, slice_cstr(name), 0, 0, SLICE_EMPTY,
                            "code cannot be imported by \"%.200s\"", original ? original : path);
            error_hint(ret_error, "say that it is text: import x from \"./FILE\" with { type: "
                                  "\"text\" }");
            return code;
        }
    }
    return OK;
}

/* A WebAssembly module that comes with the bundle: of those that are there already, or a file that esbuild
 * has put beside it. */
static bool imports_is_wasm(const json_t *import, const char *path, struct slice modules)
{
    struct slice rest = slice_cstr(path);
    if (wasm_modules_has(modules, rest))
        return true;
    return !json_is_true(json_object_get(import, "external")) &&
           slice_ends(slice_split(&rest, '?'), SLICE_LIT(".wasm"));
}

enum err bundle_check_imports(struct slice meta, struct slice code, struct slice source_map,
                              bool is_upload, struct slice modules,
                              struct bundle_failure *ret_failure, struct error *ret_error)
{
    json_t *root = json_loadb(meta.ptr ? meta.ptr : "", meta.len, 0, NULL);
    json_t *outputs = json_object_get(root, "outputs"), *output;
    const char *name;
    if (!json_is_object(outputs)) {
        json_decref(root);
        return error_set(ret_error, ERR_INTERNAL, "the bundler's list of imports cannot be read");
    }
    enum err result = imports_check_raw(json_object_get(root, "inputs"), ret_failure, ret_error);
    json_object_foreach(outputs, name, output)
    {
        size_t i;
        json_t *import;
        json_array_foreach(json_object_get(output, "imports"), i, import)
        {
            const char *path = json_string_value(json_object_get(import, "path"));
            const char *kind = json_string_value(json_object_get(import, "kind"));
            if (result == OK && path && !imports_is_platform(path) &&
                imports_matters(kind, is_upload) && !imports_is_wasm(import, path, modules))
                result =
                    imports_refuse(path, kind, code, source_map, is_upload, ret_failure, ret_error);
        }
    }
    json_decref(root);
    return result;
}
