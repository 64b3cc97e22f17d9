/* SPDX-License-Identifier: Apache-2.0
 *
 * Prints docs/http-api.md anew: the file's own text up to the mark, then what the tables say.
 * Usage: admin-docs docs/http-api.md > new. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/internal.h"

int main(int argc, char **argv)
{
    static const char mark[] = "<!-- generated below: do not edit -->\n";
    if (argc != 2) {
        fprintf(stderr, "usage: admin-docs FILE\n");
        return 2;
    }
    FILE *f = fopen(argv[1], "r");
    if (!f) {
        perror(argv[1]);
        return 1;
    }
    char line[4096];
    bool is_marked = false;
    while (!is_marked && fgets(line, sizeof(line), f)) {
        fputs(line, stdout);
        is_marked = strcmp(line, mark) == 0;
    }
    fclose(f);
    if (!is_marked)
        fputs(mark, stdout);
    struct bytes out = BYTES_INIT;
    openapi_markdown(&out);
    fwrite(out.ptr, 1, out.len, stdout);
    bytes_done(&out);
    return 0;
}
