/* SPDX-License-Identifier: Apache-2.0
 *
 * What a bundle may still import: the platform's modules. esbuild's metafile lists the imports that
 * are left but not where they are, so the place is found in the bundle, which esbuild prints in one
 * way only, and brought back to the source by the map. */
#include <jansson.h>

#include "base/check.h"
#include "script/bundle_internal.h"
#include "script/sourcemap.h"

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
    NULL,
};
const char bundle_platform_text[] = "derp:runtime/{types,context,logger,http,sql,env}, limpet, "
                                    "cloudflare:workers and cloudflare:workflows";

static bool imports_is_platform(const char *path)
{
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
        *ret_column = 1;
        for (const char *p = text.ptr; p < at; p++)
            *ret_column += (((unsigned char)*p & 0xc0) != 0x80) + ((unsigned char)*p >= 0xf0);
        return true;
    }
    return false;
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
    bool is_node = slice_starts(slice_cstr(path), SLICE_LIT("node:"));
    if (is_node) {
        code_failed =
            bundle_fail(ret_failure, ret_error, file, line, column, bytes_slice(&frame),
                        "\"%s\" is a module of Node.js, which this platform does not have", path);
        error_hint(ret_error,
                   "use the web's own APIs (fetch, crypto, URL, TextEncoder) or a package made for "
                   "browsers and workers");
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

enum err bundle_check_imports(struct slice meta, struct slice code, struct slice source_map,
                              bool is_upload, struct bundle_failure *ret_failure,
                              struct error *ret_error)
{
    json_t *root = json_loadb(meta.ptr ? meta.ptr : "", meta.len, 0, NULL);
    json_t *outputs = json_object_get(root, "outputs"), *output;
    const char *name;
    if (!json_is_object(outputs)) {
        json_decref(root);
        return error_set(ret_error, ERR_INTERNAL, "the bundler's list of imports cannot be read");
    }
    enum err result = OK;
    json_object_foreach(outputs, name, output)
    {
        size_t i;
        json_t *import;
        json_array_foreach(json_object_get(output, "imports"), i, import)
        {
            const char *path = json_string_value(json_object_get(import, "path"));
            const char *kind = json_string_value(json_object_get(import, "kind"));
            if (result == OK && path && !imports_is_platform(path) &&
                imports_matters(kind, is_upload))
                result =
                    imports_refuse(path, kind, code, source_map, is_upload, ret_failure, ret_error);
        }
    }
    json_decref(root);
    return result;
}
