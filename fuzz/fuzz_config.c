/* SPDX-License-Identifier: Apache-2.0
 *
 * Flags of `limpet serve`: one a line of the input. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "server/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *argv[64];
    int argc = 0;
    struct slice rest = slice_of((const char *)data, size);
    while (rest.len > 0 && argc < (int)ARRAY_LEN(argv)) {
        struct slice line = slice_split(&rest, '\n');
        struct bytes copy = BYTES_INIT;
        bytes_append_slice(&copy, line);
        argv[argc++] = bytes_take(&copy);
    }
    struct config config;
    struct error error = {0};
    if (config_parse(argc, argv, &config, &error) == OK) {
        CHECK(config.threads > 0);
        CHECK(config.admin_port >= 0 && config.admin_port <= 65535);
        CHECK(!config.tls_cert == !config.tls_key);
        config_done(&config);
    } else {
        CHECK(error.message[0]);
        CHECK(error.hint[0]);
    }
    for (int k = 0; k < argc; k++)
        free(argv[k]);
    return 0;
}
