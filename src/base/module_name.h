/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of modules. A module is `namespace/name`; inside the program one slice has both: "name" in
 * the default namespace, "namespace/name" in any other. So whatever is kept by name (routes,
 * accounts, usage, images, keys of executions) is kept apart by namespace, and what is stored of
 * the default one is as it was before there were others. Both parts are DNS labels: neither has a
 * '/', a '.' or an '@'. Any thread. */
#pragma once

#include "base/bytes.h"
#include "base/slice.h"

#define NAMESPACE_DEFAULT "default"

struct module_name {
    struct slice space, name; /* space: NAMESPACE_DEFAULT when none is named; borrowed */
};

struct module_name module_name_split(struct slice module);
/* Appends the one slice of both. */
void module_name_join(struct slice space, struct slice name, struct bytes *out);
/* "" or "default": the default one. */
bool namespace_is_default(struct slice space);
bool namespace_is_same(struct slice a, struct slice b);
/* Is the module in this namespace? */
bool module_name_is_in(struct slice module, struct slice space);
