/* SPDX-License-Identifier: Apache-2.0
 *
 * The egress policies of namespaces as an engine thread has them, and what becomes of requests that
 * they refuse: an error for the code, a row in the audit log, now and then. The worker's thread. */
#pragma once

#include "base/error.h"
#include "base/slice.h"

struct deployment;
struct egress_policy;
struct url_target;
struct worker;

/* From the next hop on. The reference is taken over; NULL: the namespace has none. */
void policy_change(struct worker *w, struct slice space, struct egress_policy *p);
/* For struct guest_host. */
NODISCARD enum err policy_may_fetch(void *ctx, const struct deployment *d, struct slice method,
                                    struct url_target *t, struct error *ret_error);
void policies_done(struct worker *w);
