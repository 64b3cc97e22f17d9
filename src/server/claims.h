/* SPDX-License-Identifier: Apache-2.0
 *
 * Which hosts and paths modules answer for beside their names (http/route_pattern.h), so that no two take the
 * same: those of the versions that serve, and of builds that are about to. A host is one namespace's. Control
 * thread. */
#pragma once

#include "base/error.h"
#include "base/map.h"
#include "base/slice.h"

struct json_writer;
struct route_pattern;

struct claims {
    struct map modules; /* private: name -> struct claim */
};

void claims_done(struct claims *c);
/* What serves of the module has these now; none: it is gone, or has none. */
void claims_set(struct claims *c, struct slice module, const struct route_pattern *patterns,
                size_t len);
/* May the module have these (lines)? names: of all modules, which hosts name by their first labels.
 * ERR_CONFLICT. */
NODISCARD enum err claims_check(const struct claims *c, const struct map *names,
                                struct slice module, struct slice lines, struct error *ret_error);
/* Until they serve (claims_set), or it turns out that they will not ("" then). */
void claims_hold(struct claims *c, struct slice module, struct slice lines);
/* Those of a namespace, as an array of {"pattern", "module"}, by module. */
void claims_json(const struct claims *c, struct slice space, struct json_writer *w);
