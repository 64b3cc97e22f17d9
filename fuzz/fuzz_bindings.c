/* SPDX-License-Identifier: Apache-2.0
 *
 * Declarations of bindings: what is read and written again is the same when it is read once more. */
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "module/binding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(NULL);
    struct bytes first = BYTES_INIT, second = BYTES_INIT;
    struct binding *items;
    struct error e;
    size_t len;
    if (bindings_read(slice_of((const char *)data, size), arena, &items, &len, &e) == OK &&
        len > 0) {
        bindings_write(items, len, &first);
        CHECK(bindings_read(bytes_slice(&first), arena, &items, &len, &e) == OK);
        bindings_write(items, len, &second);
        CHECK(slice_eq(bytes_slice(&first), bytes_slice(&second)));
    }
    bytes_done(&first);
    bytes_done(&second);
    arena_free(arena);
    return 0;
}
