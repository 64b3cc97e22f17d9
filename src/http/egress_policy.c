/* SPDX-License-Identifier: Apache-2.0
 *
 * See egress_policy.h. What a server may read in two ways (url_pattern.h: doubtful) is never allowed by
 * a rule with a path, and always refused by one. */
#include "http/egress_policy.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "http/grammar.h"

#define REPORT_MS UINT64_C(60000)

struct policy_rule {
    struct egress_policy_rule row;
    struct url_pattern pattern;
};

/* Of refusals; the last of them is the default's. */
struct policy_count {
    _Atomic uint64_t since, reported_ms;
};

struct egress_policy {
    atomic_int refs;
    struct arena *arena;
    bool denies;
    size_t len, max;
    struct policy_rule *rules;
    struct policy_count *counts;
    _Atomic uint64_t minute, reports; /* reports of that minute */
};

struct egress_policy *egress_policy_new(bool denies, size_t rules_max)
{
    struct egress_policy *p = calloc(1, sizeof(*p));
    CHECK(p);
    atomic_init(&p->refs, 1);
    p->arena = arena_new(NULL);
    p->denies = denies;
    p->max = rules_max < EGRESS_POLICY_RULES_MAX ? rules_max : EGRESS_POLICY_RULES_MAX;
    p->rules = arena_array(p->arena, p->max + 1, sizeof(*p->rules));
    p->counts = arena_zalloc(p->arena, (p->max + 1) * sizeof(*p->counts));
    return p;
}

struct egress_policy *egress_policy_ref(struct egress_policy *p)
{
    if (p)
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void egress_policy_unref(struct egress_policy *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) > 1)
        return;
    arena_free(p->arena);
    free(p);
}

static enum err methods_check(struct slice methods, struct error *ret_error)
{
    struct slice rest = methods;
    bool is_good = methods.len <= EGRESS_METHODS_BYTES_MAX && !slice_ends(methods, SLICE_LIT(","));
    while (rest.len > 0 && is_good)
        is_good = grammar_is_token(slice_split(&rest, ','));
    if (is_good)
        return OK;
    error_set(ret_error, ERR_INVALID, "'%.*s' are no methods",
              SLICE_ARG(slice_utf8_clip(methods, 100)));
    error_hint(ret_error, "write GET or GET,HEAD; leave it out for all");
    return ERR_INVALID;
}

enum err egress_policy_rule_check(const struct egress_policy_rule *rule, struct error *ret_error)
{
    struct url_pattern ignored;
    struct arena *a = arena_new(NULL);
    enum err err = methods_check(rule->methods, ret_error);
    if (!err)
        err = url_pattern_parse(a, rule->pattern, &ignored, ret_error);
    arena_free(a);
    return err;
}

enum err egress_policy_add(struct egress_policy *p, const struct egress_policy_rule *rule,
                           struct error *ret_error)
{
    if (p->len == p->max)
        return error_set(ret_error, ERR_LIMIT, "more than %zu egress rules", p->max);
    struct policy_rule *r = &p->rules[p->len];
    enum err err = methods_check(rule->methods, ret_error);
    if (!err)
        err = url_pattern_parse(p->arena, rule->pattern, &r->pattern, ret_error);
    if (err)
        return err;
    r->row = (struct egress_policy_rule){.id = rule->id,
                                         .is_allow = rule->is_allow,
                                         .methods = arena_copy(p->arena, rule->methods),
                                         .pattern = r->pattern.text,
                                         .module = arena_copy(p->arena, rule->module)};
    p->len++;
    return OK;
}

static bool method_is_in(struct slice methods, struct slice method)
{
    if (methods.len == 0)
        return true;
    while (methods.len > 0)
        if (slice_eq_nocase(slice_split(&methods, ','), method))
            return true;
    return false;
}

static bool rule_fits(const struct policy_rule *r, struct slice module, struct slice method,
                      struct url_target *t)
{
    return (r->row.module.len == 0 || slice_eq(r->row.module, module)) &&
           method_is_in(r->row.methods, method) &&
           url_pattern_matches(&r->pattern, t, !r->row.is_allow);
}

struct egress_verdict egress_policy_judge(const struct egress_policy *p, struct slice module,
                                          struct slice method, struct url_target *t)
{
    for (size_t i = 0; i < p->len; i++)
        if (rule_fits(&p->rules[i], module, method, t))
            return (struct egress_verdict){p->rules[i].row.is_allow, i, &p->rules[i].row};
    return (struct egress_verdict){!p->denies, p->len, NULL};
}

/* Of all rules together so many a minute. */
static bool report_has_room(struct egress_policy *p, uint64_t now_ms)
{
    uint64_t minute = now_ms / REPORT_MS + 1, seen = atomic_load(&p->minute);
    if (seen != minute && atomic_compare_exchange_strong(&p->minute, &seen, minute))
        atomic_store(&p->reports, 0);
    return atomic_fetch_add(&p->reports, 1) < EGRESS_REPORTS_MAX;
}

bool egress_policy_refused(struct egress_policy *p, const struct egress_verdict *v, uint64_t now_ms,
                           uint64_t *ret_since)
{
    struct policy_count *c = &p->counts[v->index];
    uint64_t last = atomic_load(&c->reported_ms), now = now_ms + 1; /* 0: never */
    bool is_due = last == 0 || now - last >= REPORT_MS;
    if (is_due && atomic_compare_exchange_strong(&c->reported_ms, &last, now) &&
        report_has_room(p, now_ms)) {
        *ret_since = atomic_exchange(&c->since, 0);
        return true;
    }
    atomic_fetch_add(&c->since, 1);
    return false;
}

void egress_policy_rule_text(const struct egress_policy_rule *rule, struct bytes *out)
{
    bytes_append_cstr(out, rule->is_allow ? "allow " : "deny ");
    if (rule->methods.len > 0)
        bytes_printf(out, "%.*s ", SLICE_ARG(rule->methods));
    bytes_append_slice(out, rule->pattern);
    if (rule->module.len > 0)
        bytes_printf(out, " from %.*s", SLICE_ARG(rule->module));
}
