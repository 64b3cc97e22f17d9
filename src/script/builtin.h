/* SPDX-License-Identifier: Apache-2.0
 *
 * The modules of the Node layer (guest/node): texts that are put into the program and given to an
 * engine when a bundle imports them. Any thread. */
#pragma once

#include "base/bytes.h"

/* The text of an ES module by its name without "node:", as "events" or "fs/promises"; it is followed
 * by a NUL. False: there is none of that name. */
bool builtin_find(struct slice name, struct slice *ret_text);
/* The i-th module that bundles may import; those under "internal/" are the layer's own. Empty: there
 * are no more. */
struct slice builtin_name(size_t i);
