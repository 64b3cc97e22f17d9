/* SPDX-License-Identifier: Apache-2.0
 *
 * Iteration over Headers (Fetch §5.1, Web IDL §3.7.10): sorted by name, values of one name combined except those of
 * set-cookie. An iterator looks at the list as it is when it is asked, so what is added or removed meanwhile is seen. */
#pragma once

#include <stdbool.h>

#include "quickjs.h"

enum headers_iteration { HEADERS_ENTRIES, HEADERS_KEYS, HEADERS_VALUES };

/* Methods of Headers: magic is an enum headers_iteration. */
JSValue headers_iterate(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                        int magic);
JSValue headers_for_each(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
/* iterator: the atom of Symbol.iterator. */
bool headers_iterator_init(JSContext *ctx, JSAtom iterator);
