/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits that code sets itself: how often something may happen under a key. */
#include "base/limits.h"
#include "host/recording.h"
#include "module/binding.h"
#include "module/deployment.h"

enum err op_rate_limit(struct guest *g, const struct op_rate_limit_args *a)
{
    const struct binding *b = deployment_binding(g->deployment, BINDING_RATE_LIMIT, a->binding);
    if (!b)
        return op_refuse(g, ERR_FORBIDDEN, "this code has no limit bound as '%.*s'",
                         SLICE_ARG(slice_utf8_clip(a->binding, 128)));
    bool may = !g->host->rate_limit || g->host->rate_limit(g->host->ctx, g->deployment, b->target,
                                                           a->key, b->limit, b->period_s);
    double answer = may;
    bytes_append(&g->result, &answer, sizeof(answer));
    return OK;
}
