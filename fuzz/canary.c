/* SPDX-License-Identifier: Apache-2.0
 *
 * Fails at the first input that is not empty. tools/fuzz runs it before all others: if it does not
 * report this one, it would report none. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)data;
    if (size > 0)
        abort();
    return 0;
}
