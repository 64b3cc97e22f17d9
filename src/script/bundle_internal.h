/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the bundler share: where a build lives on disk, and how a failure is put. */
#pragma once

#include "script/bundle.h"

/* The modules that the platform provides: what stays an import. NULL-terminated. */
extern const char *const bundle_platform[];
/* What stands before the name of a module of Node.js in a bundle: the engine has it (guest/engine/module.c). */
extern const char bundle_node_prefix[];
/* "derp:runtime/{…}, limpet, cloudflare:workers", for messages. */
extern const char bundle_platform_text[];
/* What to do without modules of Node.js. */
extern const char bundle_node_hint[];

/* Fills both from position and text; always ERR_BUILD_FAILED. file may be empty: position unknown.
 */
enum err bundle_fail(struct bundle_failure *ret_failure, struct error *ret_error, struct slice file,
                     int line, int column, struct slice frame, const char *format, ...)
    PRINTF_LIKE(7, 8);

/* bundle_failure.c: what esbuild wrote to standard error, as a failure. read gives the text of a
 * source file, to count columns in characters and to keep positions inside it; it may say that it
 * does not know. */
struct bundle_source_reader {
    bool (*read)(void *arg, struct slice file, struct bytes *out);
    void *arg;
};
enum err bundle_parse_failure(struct slice text, const struct bundle_source_reader *reader,
                              struct bundle_failure *ret_failure, struct error *ret_error);

/* bundle_imports.c: what to write instead of an import that other platforms have: "npm:x", a URL,
 * "node:fs", "bun:sqlite". False: it is an ordinary name. */
bool bundle_explain_scheme(struct slice path, struct bytes *out, char *ret_hint, size_t hint_size);

/* The package of an import: "@a/b" of "@a/b@1/c". */
struct slice bundle_package_name(struct slice path);

/* bundle_imports.c: refuses what the bundle still imports and the platform does not have. meta is
 * esbuild's metafile. is_upload: it was one source text, whose advice differs. modules: of WebAssembly, that
 * it had behind it. */
NODISCARD enum err bundle_check_imports(struct slice meta, struct slice code,
                                        struct slice source_map, bool is_upload,
                                        struct slice modules, struct bundle_failure *ret_failure,
                                        struct error *ret_error);

/* Arguments, each malloc'd, ended by NULL. */
struct bundle_argv {
    char *args[BUNDLE_ARGS_MAX + 160];
    size_t len;
};
void bundle_arg(struct bundle_argv *argv, const char *format, ...) PRINTF_LIKE(2, 3);
NODISCARD enum err bundle_write_file(const char *path, struct slice first, struct slice second,
                                     struct error *ret_error);

/* bundle_node.c: makes the folder, with a file for each module of Node.js, for NODE_PATH. */
NODISCARD enum err bundle_node_stubs(const char *folder, struct error *ret_error);
/* What else esbuild has to be told: base is the folder of the project. */
NODISCARD enum err bundle_node_args(struct bundle_argv *argv, const char *base, const char *folder,
                                    struct error *ret_error);
