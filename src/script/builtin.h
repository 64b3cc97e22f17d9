/* SPDX-License-Identifier: Apache-2.0
 *
 * The platform's own modules (guest/runtime, guest/node): the engine's bytecode, put into the program and
 * given to an engine when something imports them. Any thread. */
#pragma once

#include "base/bytes.h"

/* The bytecode of a module: "events", "fs/promises" of the Node layer, "internal/runtime/…" of the runtime;
 * a NUL follows it. False: there is none of that name. */
bool builtin_find(struct slice name, struct slice *ret_code);
/* The i-th module that bundles may import; those under "internal/" are the platform's own. Empty: there
 * are no more. */
struct slice builtin_name(size_t i);
