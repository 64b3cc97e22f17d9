/* SPDX-License-Identifier: Apache-2.0
 *
 * What a namespace lets its own code send: ordered rules by method and URL, the first that fits says
 * whether, else the default. It comes on top of the server's rules about addresses (egress.h), never
 * in their place. Immutable once it is shared, but for the counts of refusals; counted references; any
 * thread. */
#pragma once

#include "base/bytes.h"
#include "http/url_pattern.h"

enum {
    EGRESS_POLICY_RULES_MAX = 256,
    EGRESS_METHODS_BYTES_MAX = 200,
    EGRESS_REPORTS_MAX = 12, /* refusals that are reported in a minute, at most one of each rule */
};

struct egress_policy;

/* What a rule is made of. */
struct egress_policy_rule {
    int64_t id;
    bool is_allow;
    struct slice methods; /* "GET,HEAD"; "": all */
    struct slice pattern;
    struct slice module; /* its bare name; "": of every module */
};

struct egress_verdict {
    bool is_allowed;
    size_t index;                          /* of the rule, or how many there are: the default */
    const struct egress_policy_rule *rule; /* NULL: no rule fits */
};

/* denies: what no rule is about. rules_max: how many will be added at most. */
struct egress_policy *egress_policy_new(bool denies, size_t rules_max);
struct egress_policy *egress_policy_ref(struct egress_policy *p);
void egress_policy_unref(struct egress_policy *p);
/* Behind the others; copied. Before it is shared. ERR_INVALID, ERR_LIMIT. */
NODISCARD enum err egress_policy_add(struct egress_policy *p, const struct egress_policy_rule *rule,
                                     struct error *ret_error);
struct egress_verdict egress_policy_judge(const struct egress_policy *p, struct slice module,
                                          struct slice method, struct url_target *t);
/* A refusal by this verdict. True: it is to be reported, with *ret_since others since the last one of
 * its rule that was. */
bool egress_policy_refused(struct egress_policy *p, const struct egress_verdict *v, uint64_t now_ms,
                           uint64_t *ret_since);
/* "deny GET,POST https://api.example.com/v1 from visits" */
void egress_policy_rule_text(const struct egress_policy_rule *rule, struct bytes *out);
/* Is it a rule? */
NODISCARD enum err egress_policy_rule_check(const struct egress_policy_rule *rule,
                                            struct error *ret_error);
