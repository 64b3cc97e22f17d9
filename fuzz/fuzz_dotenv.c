/* SPDX-License-Identifier: Apache-2.0
 *
 * .dev.vars and .env. */
#include <stdint.h>

#include "project/project.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(NULL);
    struct project_vars vars = {0};
    struct error error = {0};
    if (size <= 16384 && /* names are looked up in a list */
        project_dotenv(a, ".env", slice_of((const char *)data, size), &vars, &error) != OK)
        CHECK(error.message[0] && error.hint[0]);
    for (size_t i = 0; i < vars.len; i++)
        CHECK(vars.items[i].name.len > 0);
    arena_free(a);
    return 0;
}
