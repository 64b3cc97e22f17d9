/* SPDX-License-Identifier: Apache-2.0
 *
 * Project files: the first byte says which of their names the rest is read under. */
#include <stdint.h>

#include "project/project.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const files[] = {"limpet.toml", "wrangler.toml", "wrangler.jsonc"};
    if (size == 0)
        return 0;
    struct arena *a = arena_new(NULL);
    struct project *p = NULL;
    struct error error = {0};
    const struct slice text = slice_of((const char *)data + 1, size - 1);
    if (project_parse(a, "/p", files[data[0] % ARRAY_LEN(files)], text, NULL, &p, &error) == OK) {
        CHECK(p->main || p->assets.directory || p->is_foreign);
        (void)project_bundle_args(p);
    } else {
        CHECK(error.message[0]);
    }
    arena_free(a);
    return 0;
}
