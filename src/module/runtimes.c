/* SPDX-License-Identifier: Apache-2.0
 *
 * See runtimes.h. RUNTIMES() is the list in src/meson.build. */
#include "module/runtimes.h"

#include "runtimes.gen.h"

#define RUNTIME(name) extern const struct runtime_type name##_runtime;
RUNTIMES(RUNTIME)
#undef RUNTIME

const struct runtime_type *const runtime_types[] = {
#define RUNTIME(name) &name##_runtime,
    RUNTIMES(RUNTIME)
#undef RUNTIME
};
const size_t runtime_types_len = ARRAY_LEN(runtime_types);

const struct runtime_type *runtime_type_find(struct slice name)
{
    if (name.len == 0)
        return runtime_types[0];
    for (size_t k = 0; k < runtime_types_len; k++)
        if (slice_eq_cstr(name, runtime_types[k]->name))
            return runtime_types[k];
    return NULL;
}

const struct runtime_type *runtime_type_of_member(struct slice name)
{
    for (size_t k = 0; k < runtime_types_len; k++) {
        const struct runtime_type *t = runtime_types[k];
        if (slice_eq_cstr(name, t->artifact_member) ||
            (t->detail_member && slice_eq_cstr(name, t->detail_member)))
            return t;
    }
    return NULL;
}
