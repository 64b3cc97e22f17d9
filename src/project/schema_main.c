/* SPDX-License-Identifier: Apache-2.0
 *
 * Prints the JSON schema of limpet.toml: docs/limpet.schema.json. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "project/keys.h"

int main(void)
{
    struct bytes text = BYTES_INIT;
    key_schema(&text);
    json_t *root = json_loadb(text.ptr, text.len, 0, NULL);
    CHECK(root);
    char *pretty = json_dumps(root, JSON_INDENT(4));
    CHECK(pretty);
    puts(pretty);
    free(pretty);
    json_decref(root);
    bytes_done(&text);
    return fflush(stdout) ? 1 : 0;
}
