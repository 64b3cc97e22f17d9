/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of runtimes. host/runtimes.h has them started. */
#pragma once

#include "module/runtime.h"

/* The first is that of modules which name none. */
extern const struct runtime_type *const runtime_types[];
extern const size_t runtime_types_len;
/* "": the first. NULL: there is none of that name. */
const struct runtime_type *runtime_type_find(struct slice name);
/* Whose artifact or detail an upload calls so; NULL: nobody's. */
const struct runtime_type *runtime_type_of_member(struct slice name);
