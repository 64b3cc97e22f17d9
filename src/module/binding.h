/* SPDX-License-Identifier: Apache-2.0
 *
 * What code can be bound to beside its variables: a table of kinds, a row each (binding.c). A binding
 * has a name, by which the code finds it in `env`, and says what it leads to. It is declared in a
 * project file or an upload, checked there, kept with the version as JSON, and becomes an object in the
 * guest, made by the constructor of its kind (guest/runtime/binding.ts). Code reaches only what is
 * bound to it: ops name a binding, and the host looks up where that leads. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/resource_kind.h"
#include "base/slice.h"

struct arena;
struct bytes;

enum binding_kind {
    BINDING_SERVICE,
    BINDING_KV,
    BINDING_QUEUE,
    BINDING_BUCKET,
    BINDING_WORKFLOW,
    BINDING_ACTOR,
    BINDING_ASSETS,
    BINDING_D1,
    BINDING_RATE_LIMIT,
    BINDING_KINDS
};

struct binding_kind_info {
    const char *word; /* "service": `type` of a declaration, and what the guest knows it by */
    /* Members of a declaration, beside `type` and `name`. NULL: it has none. */
    const char *target;  /* a text, needed: what it leads to */
    const char *part;    /* a text, may be left out: which part of that */
    const char *details; /* an object, may be left out */
    bool is_module;      /* the target is a module of the same namespace, which must be there */
    bool is_own;         /* and may be left out: the module itself */
    bool is_workflow;    /* and must export a workflow, else answer requests */
    bool
        is_part_module; /* the part is such a module, and may be left out; the target an export of it */
    /* The target is a resource of the same namespace, of that kind; a deploy makes it if it is not there. */
    bool is_resource;
    enum resource_kind resource;
    bool is_limit;    /* its details are {limit, period}, needed */
    bool is_files;    /* it leads to the static files of its own version, which must have some */
    const char *type; /* of env.NAME, in TypeScript (sdk/types) */
};
extern const struct binding_kind_info binding_kinds[BINDING_KINDS];

struct binding {
    struct slice name; /* env.NAME */
    enum binding_kind kind;
    struct slice target, part; /* "": none */
    struct slice origin;      /* of actors, of a deployment: what their class was called at first */
    struct slice details;     /* JSON, "": none */
    uint32_t limit, period_s; /* of a limit: so often in so many seconds */
    /* Of a deployment: the number of the resource; 0: it has been deleted since. */
    int64_t resource;
};

/* The function of the same namespace that it leads to; "": none, or the module itself. */
static inline struct slice binding_module(const struct binding *b)
{
    return binding_kinds[b->kind].is_module        ? b->target
           : binding_kinds[b->kind].is_part_module ? b->part
                                                   : SLICE_EMPTY;
}

/* Reads what bindings_write() or a client has written: a JSON array. Unknown members and kinds are
 * ERR_INVALID, and so are two of one name; what names may look like is names_check_binding()'s
 * business. All is the arena's. */
NODISCARD enum err bindings_read(struct slice json, struct arena *a, struct binding **ret_items,
                                 size_t *ret_len, struct error *ret_error);
/* Appends them as JSON, sorted by name (here, too), so that equal ones are equal texts; nothing if
 * there are none. */
void bindings_write(struct binding *items, size_t len, struct bytes *out);
/* Appends a line "WORD NAME" for each resource that they lead to, as store_publish() wants them. */
void bindings_write_resources(const struct binding *items, size_t len, struct bytes *out);
