/* SPDX-License-Identifier: Apache-2.0
 *
 * Build tool: limpet-compile IN.wasm OUT.cwasm. */
#include <stdio.h>
#include <stdlib.h>

#include "sandbox/code.h"

static bool read_file(const char *path, struct bytes *ret)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    char chunk[65536];
    size_t n;
    do {
        n = fread(chunk, 1, sizeof(chunk), f);
        bytes_append(ret, chunk, n);
    } while (n == sizeof(chunk));
    bool is_ok = !ferror(f);
    fclose(f);
    return is_ok;
}

static bool write_file(const char *path, struct slice content)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return false;
    bool is_ok = fwrite(content.ptr, 1, content.len, f) == content.len;
    return fclose(f) == 0 && is_ok;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: limpet-compile IN.wasm OUT.cwasm\n");
        return 2;
    }
    CLEANUP(bytes_done) struct bytes wasm = BYTES_INIT, compiled = BYTES_INIT;
    struct error error;
    if (!read_file(argv[1], &wasm)) {
        perror(argv[1]);
        return 1;
    }
    if (code_compile(bytes_slice(&wasm), &compiled, &error) != OK) {
        fprintf(stderr, "%s: %s\n", argv[1], error.message);
        return 1;
    }
    if (!write_file(argv[2], bytes_slice(&compiled))) {
        perror(argv[2]);
        return 1;
    }
    return 0;
}
