/* SPDX-License-Identifier: Apache-2.0
 *
 * Build tool: limpet-boot OUT starts the runtimes once and writes what they come to, which the server
 * embeds. */
#include <stdio.h>

#include "host/runtimes.h"

int main(int argc, char **argv)
{
    struct runtimes *runtimes;
    struct error error = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: limpet-boot OUT\n");
        return 2;
    }
    if (runtimes_start(SLICE_EMPTY, &runtimes, &error) != OK) {
        fprintf(stderr, "a runtime does not start: %s\n", error.message);
        return 1;
    }
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    runtimes_save(runtimes, &out);
    FILE *f = fopen(argv[1], "wb");
    if (!f || fwrite(out.ptr, 1, out.len, f) != out.len || fclose(f) != 0) {
        perror(argv[1]);
        return 1;
    }
    runtimes_stop(runtimes);
    return 0;
}
