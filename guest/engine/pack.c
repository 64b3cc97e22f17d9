/* SPDX-License-Identifier: Apache-2.0 */
#include "pack.h"

#include <stdlib.h>

bool buffer_grow(struct buffer *b, uint32_t more)
{
    if (b->is_failed || more > UINT32_MAX / 4 || b->len > UINT32_MAX / 4) {
        b->is_failed = true;
        return false;
    }
    uint32_t cap = b->cap + b->cap / 2;
    if (cap < b->len + more)
        cap = b->len + more;
    if (cap < 64)
        cap = 64;
    uint8_t *data = realloc(b->is_lent ? NULL : b->data, cap);
    if (!data) {
        b->is_failed = true;
        return false;
    }
    if (b->is_lent)
        memcpy(data, b->data, b->len);
    b->is_lent = false;
    b->data = data;
    b->cap = cap;
    return true;
}

void buffer_done(struct buffer *b)
{
    if (!b->is_lent)
        free(b->data);
    *b = (struct buffer){0};
}
