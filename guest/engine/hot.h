/* SPDX-License-Identifier: Apache-2.0
 *
 * Keeping the pages few that a request writes. The host gives every request a pristine memory by
 * copying back what was written, a page at a time, so what requests allocate lies close together:
 *
 * - QuickJS takes small blocks from a page per size class. Here tiers of small arenas are put in
 * front of those, with a few blocks of every class in one page.
 * - Shapes, C functions and prototypes that requests use are made while the image is made, and
 * kept, so that requests neither make them nor free them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "quickjs.h"

/* Checks QuickJS's allocator against what we know of it, and places the context. Before the
 * context. */
bool hot_init(JSRuntime *rt);
/* Makes lazy functions of the globals, and keeps shapes. Once, after all globals of C are there. */
bool hot_prebuild(JSContext *ctx);
/* Places for what the user's module makes when it is loaded; and, when the image is finished, for
 * what requests make. Once each, in this order. */
void hot_begin_module(void);
void hot_end_module(JSContext *ctx);
