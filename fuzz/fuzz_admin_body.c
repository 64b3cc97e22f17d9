/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a JSON request body: what is taken can be walked to its last leaf, and every string
 * in it decodes to UTF-8. */
#include "admin/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct body_value *v, struct bytes *scratch)
{
    struct body_value inner;
    if (v->kind == BODY_STRING) {
        bytes_clear(scratch);
        body_string(v, scratch);
        CHECK(slice_is_utf8(bytes_slice(scratch)));
    } else if (v->kind == BODY_ARRAY) {
        struct body_walk w = body_walk(v);
        while (body_next_item(&w, &inner))
            walk(&inner, scratch);
    } else if (v->kind == BODY_OBJECT) {
        struct body_walk w = body_walk(v);
        while (body_next_member(&w, scratch, &inner))
            walk(&inner, scratch);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes scratch = BYTES_INIT;
    struct body_value root;
    struct error error = {0};
    if (size <= 65536 && !body_parse(slice_of((const char *)data, size), &root, &error))
        walk(&root, &scratch);
    bytes_done(&scratch);
    return 0;
}
