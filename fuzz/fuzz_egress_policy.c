/* SPDX-License-Identifier: Apache-2.0
 *
 * Input: a pattern, a URL, methods and a method, split by newlines. A pattern that is taken is taken
 * again from its own text and then says the same; what allows never says more than what denies; a
 * pattern with a path fits only what it fits without one; every host is below "*". */
#include "base/check.h"
#include "http/egress_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool fits(const struct url_pattern *p, struct url_target t, bool doubt)
{
    return url_pattern_matches(p, &t, doubt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of((const char *)data, size);
    struct slice pattern = slice_split(&rest, '\n'), url = slice_split(&rest, '\n');
    struct slice methods = slice_split(&rest, '\n'), method = rest;
    struct arena *a = arena_new(NULL);
    struct url_pattern p, again, all;
    struct url_target t;
    struct error error = {0};
    enum err err = url_pattern_parse(a, pattern, &p, &error);
    CHECK(err == OK || (err == ERR_INVALID && error.hint[0]));
    bool has_url = url_target_parse(a, url, &t, NULL) == OK;
    CHECK(url_pattern_parse(a, SLICE_LIT("*"), &all, NULL) == OK);
    CHECK(!has_url || fits(&all, t, false));
    if (err == OK)
        CHECK(url_pattern_parse(a, p.text, &again, NULL) == OK);
    if (err == OK && has_url) {
        struct url_pattern bare = p;
        bare.path = SLICE_EMPTY;
        CHECK(fits(&p, t, false) == fits(&again, t, false));
        CHECK(fits(&p, t, true) || !fits(&p, t, false));
        CHECK(!fits(&p, t, true) || fits(&bare, t, false));
    }
    struct egress_policy *policy = egress_policy_new(true, 1);
    const struct egress_policy_rule rule = {.id = 1, .methods = methods, .pattern = pattern};
    enum err added = egress_policy_add(policy, &rule, NULL);
    CHECK(added == OK || added == ERR_INVALID);
    CHECK(added == egress_policy_rule_check(&rule, NULL) && (added != OK || err == OK));
    if (added == OK && has_url) {
        struct egress_verdict v = egress_policy_judge(policy, SLICE_EMPTY, method, &t);
        CHECK(!v.is_allowed && (!v.rule || fits(&p, t, true)));
    }
    egress_policy_unref(policy);
    arena_free(a);
    return 0;
}
