/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds of scripts: the artifact is a bundle, the detail its source map. */
#include <limits.h>
#include <string.h>

#include "script/bundle.h"
#include "script/script.h"
#include "script/sourcemap.h"

enum err script_build(const struct build_config *config, struct slice source,
                      struct build_output *ret_output, struct build_failure *ret_failure,
                      struct error *ret_error)
{
    struct bundle bundle = {0};
    struct bundle_failure failure = {0};
    if (!config->tool) {
        error_set(ret_error, ERR_IO, "the server has no esbuild to bundle with");
        error_hint(ret_error, "install esbuild for it (LIMPET_ESBUILD), or upload with the limpet "
                              "command, which bundles itself");
        return ERR_IO;
    }
    const struct bundle_config how = {.esbuild = config->tool, .name = config->name};
    enum err err = bundle_source(&how, source, &bundle, &failure, ret_error);
    if (err == OK) {
        *ret_output = (struct build_output){bundle.code, bundle.source_map};
        bundle.code = bundle.source_map = BYTES_INIT;
    }
    *ret_failure = (struct build_failure){failure.message, failure.file, failure.frame,
                                          failure.line, failure.column};
    bundle_done(&bundle);
    return err;
}

/* Where it happened is the first frame of the bundle, "NAME:LINE:COLUMN", in the stack. */
static void first_position(struct slice stack, struct slice name, int *ret_line, int *ret_column)
{
    const char *at = stack.len ? memmem(stack.ptr, stack.len, name.ptr, name.len) : NULL;
    if (!at)
        return;
    struct slice rest = slice_skip(stack, (size_t)(at - stack.ptr) + name.len + 1);
    uint64_t line, column;
    struct slice digits = slice_split(&rest, ':');
    if (!slice_to_u64(digits, &line) || line > INT_MAX)
        return;
    for (digits = rest, digits.len = 0;
         digits.len < rest.len && rest.ptr[digits.len] >= '0' && rest.ptr[digits.len] <= '9';)
        digits.len++;
    *ret_line = (int)line;
    *ret_column = slice_to_u64(digits, &column) && column <= INT_MAX ? (int)column : 1;
}

void script_locate(const struct build_trouble *t, struct build_failure *ret_failure)
{
    struct sourcemap *map = NULL;
    struct slice file;
    int line = 0, column = 0;
    if (t->detail.len == 0 || sourcemap_parse(t->detail, &map, NULL) != OK)
        return;
    first_position(t->stack, t->module, &line, &column);
    if (line == 0)
        (void)bundle_find_missing_export(t->artifact, t->message, &line, &column);
    if (line > 0 && sourcemap_find(map, line, column > 0 ? column : 1, &file, &line, &column)) {
        bytes_append_slice(&ret_failure->file, file);
        ret_failure->line = line;
        ret_failure->column = column;
        sourcemap_frame(sourcemap_content(map, file), line, column, &ret_failure->frame);
    }
    sourcemap_free(map);
}
