/* SPDX-License-Identifier: Apache-2.0
 *
 * Build tool: limpet-boot OUT boots the engine once and writes its memory, which the server embeds.
 */
#include <stdio.h>

#include "host/guest.h"
#include "script/engine.h"

int main(int argc, char **argv)
{
    struct engine *engine;
    struct error error = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: limpet-boot OUT\n");
        return 2;
    }
    if (guest_engine_new(SLICE_EMPTY, &engine, &error) != OK) {
        fprintf(stderr, "the engine does not boot: %s\n", error.message);
        return 1;
    }
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    engine_save(engine, &out);
    FILE *f = fopen(argv[1], "wb");
    if (!f || fwrite(out.ptr, 1, out.len, f) != out.len || fclose(f) != 0) {
        perror(argv[1]);
        return 1;
    }
    engine_free(engine);
    return 0;
}
