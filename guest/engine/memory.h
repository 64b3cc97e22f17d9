/* SPDX-License-Identifier: Apache-2.0
 *
 * The allocator under QuickJS. QuickJS carves small objects from blocks of just under 4 KiB; these
 * are given whole, aligned pages, so that a request which uses one such block dirties one page and
 * not two. Everything else is wasi-libc's malloc. */
#pragma once

#include "quickjs.h"

extern const JSMallocFunctions memory_functions;
