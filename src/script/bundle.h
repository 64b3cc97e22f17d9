/* SPDX-License-Identifier: Apache-2.0
 *
 * TypeScript to one ES module, by esbuild as a bounded child process. The same code bundles in the
 * server (one source text, which may import only the platform's modules, so that an upload can
 * never read the server's files) and in the CLI (an entry file with its local imports and
 * node_modules). Platform modules ("derp:runtime/…", "limpet", "cloudflare:workers") stay imports.
 * Blocking; for the work pool or the CLI. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"

struct bundle {
    struct bytes code;       /* ES module */
    struct bytes source_map; /* JSON, version 3, with sourcesContent */
    struct bytes inputs;     /* of bundle_file(): absolute paths of what was read, a line each */
};

/* Where a build failed; owned texts, released by bundle_failure_done(). line 0: unknown. */
struct bundle_failure {
    struct bytes message, file, frame;
    int line, column; /* from 1 */
};

struct bundle_config {
    const char *esbuild; /* path of the program; NULL: ERR_UNAVAILABLE with advice */
    const char *name;    /* of the function: names the source in stack traces, "NAME.ts" */
    const char *base;    /* of bundle_file(): a folder above it, that sources are named relative to;
                                NULL: the nearest with a package.json, else its own */
    const char *const *args; /* of bundle_file(): more of esbuild's, NULL-terminated; NULL: none */
};

enum { BUNDLE_ARGS_MAX = 512 }; /* of those */

/* ERR_BUILD_FAILED fills ret_failure too. */
NODISCARD enum err bundle_source(const struct bundle_config *config, struct slice source,
                                 struct bundle *ret_bundle, struct bundle_failure *ret_failure,
                                 struct error *ret_error);
NODISCARD enum err bundle_file(const struct bundle_config *config, const char *entry,
                               struct bundle *ret_bundle, struct bundle_failure *ret_failure,
                               struct error *ret_error);
/* Why the engine could not link a module: it wants a name that a module of the platform does not export
 * ("Could not find export 'NAME' in module 'MODULE'…"), and such an error has no stack. Line and column of
 * that import in the bundle, from 1. False: it is another error, or nothing imports that. */
bool bundle_find_missing_export(struct slice code, struct slice message, int *ret_line,
                                int *ret_column);
void bundle_done(struct bundle *b);
void bundle_failure_done(struct bundle_failure *f);
/* Finds esbuild: LIMPET_ESBUILD, beside the running program, in node_modules/.bin above it, in
 * PATH. Result: malloc'd path or NULL. */
char *bundle_find_esbuild(void);
