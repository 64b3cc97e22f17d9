/* SPDX-License-Identifier: Apache-2.0
 *
 * Build tool: limpet-boot OUT boots the engine once and writes its memory, which the server embeds.
 */
#include <stdio.h>

#include "host/guest.h"
#include "script/script.h"

int main(int argc, char **argv)
{
    struct script *script;
    struct error error = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: limpet-boot OUT\n");
        return 2;
    }
    if (guest_script_new(SLICE_EMPTY, &script, &error) != OK) {
        fprintf(stderr, "the engine does not boot: %s\n", error.message);
        return 1;
    }
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    script_save(script, &out);
    FILE *f = fopen(argv[1], "wb");
    if (!f || fwrite(out.ptr, 1, out.len, f) != out.len || fclose(f) != 0) {
        perror(argv[1]);
        return 1;
    }
    script_free(script);
    return 0;
}
