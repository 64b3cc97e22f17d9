/* SPDX-License-Identifier: Apache-2.0
 *
 * See module_name.h. */
#include "base/module_name.h"

struct module_name module_name_split(struct slice module)
{
    ptrdiff_t slash = slice_find(module, '/');
    if (slash < 0)
        return (struct module_name){SLICE_LIT(NAMESPACE_DEFAULT), module};
    return (struct module_name){slice_of(module.ptr, (size_t)slash),
                                slice_skip(module, (size_t)slash + 1)};
}

bool namespace_is_default(struct slice space)
{
    return space.len == 0 || slice_eq_cstr(space, NAMESPACE_DEFAULT);
}

bool namespace_is_same(struct slice a, struct slice b)
{
    return namespace_is_default(a) ? namespace_is_default(b) : slice_eq(a, b);
}

void module_name_join(struct slice space, struct slice name, struct bytes *out)
{
    if (!namespace_is_default(space)) {
        bytes_append_slice(out, space);
        bytes_append_char(out, '/');
    }
    bytes_append_slice(out, name);
}

bool module_name_is_in(struct slice module, struct slice space)
{
    return namespace_is_same(module_name_split(module).space, space);
}
