/* SPDX-License-Identifier: Apache-2.0
 *
 * Source maps come with uploads. Input: the map, a NUL, a stack trace; or the map alone. */
#include <stdlib.h>
#include <string.h>

#include "script/sourcemap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice stack = slice_of((const char *)data, size), json = slice_split(&stack, '\0');
    struct sourcemap *map = NULL;
    if (sourcemap_parse(json, &map, NULL) != OK)
        return 0;
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct slice file;
    int line, column;
    for (int at = 0; at < 40; at++)
        if (sourcemap_find(map, at, 3 * at, &file, &line, &column)) {
            CHECK(line >= 1 && column >= 1);
            sourcemap_frame(sourcemap_content(map, file), line, column, &out);
        }
    sourcemap_map_stack(map, SLICE_LIT("a.js"), stack, &out);
    sourcemap_free(map);
    return 0;
}
