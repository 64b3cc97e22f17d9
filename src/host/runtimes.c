/* SPDX-License-Identifier: Apache-2.0
 *
 * See runtimes.h. What is saved: for each type lstr name, lstr what it saved. */
#include "host/runtimes.h"

#include <stdlib.h>
#include <string.h>

#include "host/internal.h"
#include "module/runtimes.h"
#include "sandbox/engine.h"

struct runtimes {
    struct engine *engine;
    struct runtime *of[]; /* in the order of runtime_types */
};

static struct slice take_lstr(struct slice *in)
{
    uint32_t len;
    CHECK(in->len >= sizeof(len));
    memcpy(&len, in->ptr, sizeof(len));
    *in = slice_skip(*in, sizeof(len));
    CHECK(len <= in->len);
    struct slice text = slice_of(in->ptr, len);
    *in = slice_skip(*in, len);
    return text;
}

static struct slice saved_of(struct slice saved, const char *name)
{
    while (saved.len > 0) {
        struct slice whose = take_lstr(&saved), what = take_lstr(&saved);
        if (slice_eq_cstr(whose, name))
            return what;
    }
    return SLICE_EMPTY;
}

enum err runtimes_start(struct slice saved, struct runtimes **ret_runtimes, struct error *ret_error)
{
    struct runtimes *rs = calloc(1, sizeof(*rs) + runtime_types_len * sizeof(rs->of[0]));
    CHECK(rs);
    rs->engine = engine_new();
    for (size_t k = 0; k < runtime_types_len; k++) {
        const struct runtime_type *type = runtime_types[k];
        enum err err = guest_runtime_start(type, rs->engine, saved_of(saved, type->name),
                                           &rs->of[k], ret_error);
        if (err != OK) {
            runtimes_stop(rs);
            return err;
        }
    }
    *ret_runtimes = rs;
    return OK;
}

void runtimes_save(const struct runtimes *rs, struct bytes *out)
{
    for (size_t k = 0; k < runtime_types_len; k++) {
        CLEANUP(bytes_done) struct bytes what = BYTES_INIT;
        if (!runtime_types[k]->save)
            continue;
        runtime_types[k]->save(rs->of[k], &what);
        bytes_append_lstr(out, slice_cstr(runtime_types[k]->name));
        bytes_append_lstr(out, bytes_slice(&what));
    }
}

void runtimes_stop(struct runtimes *rs)
{
    if (!rs)
        return;
    for (size_t k = 0; k < runtime_types_len; k++)
        if (rs->of[k])
            runtime_types[k]->stop(rs->of[k]);
    engine_free(rs->engine);
    free(rs);
}

struct runtime *runtimes_find(const struct runtimes *rs, struct slice name)
{
    const struct runtime_type *type = runtime_type_find(name);
    for (size_t k = 0; k < runtime_types_len; k++)
        if (runtime_types[k] == type)
            return rs->of[k];
    return NULL;
}
