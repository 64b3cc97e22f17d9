/* SPDX-License-Identifier: Apache-2.0
 *
 * What the code could tell apart of the state that an execution is in, as text: two executions that
 * are described alike go on alike. Compared by the server's --verify-replay, which holds what is in
 * memory against a replay. */
#include <inttypes.h>

#include "durable/internal.h"

void execution_describe(const struct execution *x, struct bytes *out)
{
    bytes_printf(out, "records %" PRId64 " time %" PRId64 " calls %u cancelled %d\n", x->end,
                 x->now_us, x->last_id, x->is_cancelled);
    LIST_FOREACH (n, &x->calls) {
        const struct call *c = container_of(n, const struct call, link);
        bytes_printf(out, "call %u kind %d op %u digest %016" PRIx64 " due %" PRId64 " failed %u\n",
                     (unsigned)c->by_id.key, (int)c->kind, c->op, c->digest, c->due_us, c->failed);
    }
}
