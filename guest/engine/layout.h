/* SPDX-License-Identifier: Apache-2.0
 *
 * The few places where the engine looks into QuickJS's own structs: the stack limit, which its API
 * leaves off on WASI, and what the JSON code needs to be fast. Offsets belong to one version of
 * QuickJS-ng (checked at compile time) and are checked against live objects when an instance boots,
 * so that a mismatch is a failed boot and never a wild read. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "quickjs.h"

/* JS recursion ends with a RangeError when less than reserve bytes of the stack are left. */
void layout_set_stack_limit(uint32_t reserve);
