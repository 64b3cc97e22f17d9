/* SPDX-License-Identifier: Apache-2.0
 *
 * Source map v3 reader (https://tc39.es/ecma426/): maps positions of a bundle back to the sources,
 * and rewrites stack traces. Immutable after parse; any thread. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"

struct sourcemap;

NODISCARD enum err sourcemap_parse(struct slice json, struct sourcemap **ret_map,
                                   struct error *ret_error);
void sourcemap_free(struct sourcemap *m);
size_t sourcemap_bytes(const struct sourcemap *m); /* held in memory */
/* line and column from 1. False if nothing maps there. Texts are the map's. */
bool sourcemap_find(const struct sourcemap *m, int line, int column, struct slice *ret_file,
                    int *ret_line, int *ret_column);
/* The text of a source as stored in the map (sourcesContent), or empty. */
struct slice sourcemap_content(const struct sourcemap *m, struct slice file);
/* Copies a QuickJS stack trace to out with each position "BUNDLE:LINE:COL" of the file named bundle
 * replaced by its source position; frames of the platform's runtime ("limpet:…") are dropped. m may
 * be NULL: there is no map. */
void sourcemap_map_stack(const struct sourcemap *m, struct slice bundle, struct slice stack,
                         struct bytes *out);
/* Three lines around the position with a caret, for people. */
void sourcemap_frame(struct slice content, int line, int column, struct bytes *out);
