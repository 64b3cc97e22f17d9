/* SPDX-License-Identifier: Apache-2.0
 *
 * See memory.h. Each block knows its size, which the libraries do not say when they free it. */
#include "coding/memory.h"

#include <stdlib.h>

#include "base/check.h"

struct block {
    size_t size;
    max_align_t data[];
};

bool coding_take(struct coding_memory *m, size_t len)
{
    if (m->take(m->arg, len))
        return true;
    m->is_refused = true;
    return false;
}

void *coding_alloc(struct coding_memory *m, size_t size)
{
    struct block *b;
    size += sizeof(*b);
    if (!coding_take(m, size))
        return NULL;
    b = malloc(size);
    if (!b)
        check_out_of_memory(size);
    b->size = size;
    return b->data;
}

void coding_free(struct coding_memory *m, void *ptr)
{
    if (!ptr)
        return;
    struct block *b = (struct block *)(void *)((char *)ptr - offsetof(struct block, data));
    m->give(m->arg, b->size);
    free(b);
}
