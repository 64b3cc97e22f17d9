/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of coders that somebody accounts for: asked for before it is taken, and given back. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct coding_memory {
    bool (*take)(void *arg, size_t len); /* false: no more */
    void (*give)(void *arg, size_t len);
    void *arg;
    bool is_refused; /* take() has said no; stays */
};

/* Asks for as much. False: refused. */
bool coding_take(struct coding_memory *m, size_t len);
/* NULL: refused. */
void *coding_alloc(struct coding_memory *m, size_t size);
void coding_free(struct coding_memory *m, void *ptr); /* NULL is fine */
