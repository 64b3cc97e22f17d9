/* SPDX-License-Identifier: Apache-2.0
 *
 * esbuild's messages quote the source text, so whoever uploads decides much of them. Input:
 * messages, a NUL, the text of the source; or messages alone. */
#include <string.h>

#include "script/bundle_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_source(void *arg, struct slice file, struct bytes *out)
{
    bytes_append_slice(out, *(const struct slice *)arg);
    return file.len > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice source = slice_of((const char *)data, size), text = slice_split(&source, '\0');
    struct bundle_source_reader reader = {.read = read_source, .arg = &source};
    struct bundle_failure failure;
    struct error error;
    CHECK(bundle_parse_failure(text, source.len ? &reader : NULL, &failure, &error) ==
          ERR_BUILD_FAILED);
    CHECK(failure.message.len > 0);
    CHECK(failure.file.len == 0 || (failure.line >= 0 && failure.column >= 1));
    bundle_failure_done(&failure);
    return 0;
}
