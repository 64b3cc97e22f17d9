/* SPDX-License-Identifier: Apache-2.0
 *
 * What may leave: secrets that are bound to hosts, and the egress policies of namespaces as an engine
 * thread has them, with what becomes of requests that they refuse: an error for the code, a row in the
 * audit log, now and then. The worker's thread, but where it is said. */
#pragma once

#include "base/error.h"
#include "base/slice.h"

struct deployment;
struct egress_policy;
struct store_query;
struct url_target;
struct worker;

/* Of what the store has, a reference; NULL: there are no rules. Any thread. */
struct egress_policy *policy_of(struct slice space, const struct store_query *q);
/* Which of its secrets are filled in on the way out, and where. Any thread. */
void policy_placeholders(struct deployment *d, const struct store_query *q);
/* From the next hop on. The reference is taken over; NULL: the namespace has none. */
void policy_change(struct worker *w, struct slice space, struct egress_policy *p);
/* For struct guest_host. */
NODISCARD enum err policy_may_fetch(void *ctx, const struct deployment *d, struct slice method,
                                    struct url_target *t, struct error *ret_error);
void policies_done(struct worker *w);
