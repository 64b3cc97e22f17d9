/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy.h. Rows of refusals are bounded by the policy, over all threads; those that have none are
 * counted, and the next row of their rule says how many. */
#include "server/policy.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/module_name.h"
#include "http/egress_policy.h"
#include "http/placeholder.h"
#include "server/worker.h"

enum { POLICY_TARGET_BYTES_MAX = 300 };

/* Rules that were stored were checked; if they are bad all the same, nothing may be sent. */
struct egress_policy *policy_of(struct slice space, const struct store_query *q)
{
    struct egress_policy *p = NULL;
    struct error error;
    if (q->egress.len == 0 && !q->egress.denies)
        return NULL;
    if (admin_egress_policy(q->egress.rows, q->egress.len, q->egress.denies, &p, &error) == OK)
        return p;
    log_error("egress rules cannot be read, nothing may be sent", LOG_SLICE("namespace", space),
              LOG_STR("error", error.message));
    return egress_policy_new(true, 0);
}

void policy_placeholders(struct deployment *d, const struct store_query *q)
{
    struct placeholder *list = arena_array(d->arena, q->module.env_len + 1, sizeof(*list));
    d->placeholders = list;
    for (size_t k = 0; k < q->module.env_len; k++) {
        const struct env_row *row = &q->module.env[k];
        if (row->hosts.len == 0)
            continue;
        struct url_pattern *hosts = arena_array(d->arena, PLACEHOLDER_HOSTS_MAX, sizeof(*hosts));
        struct placeholder p = {.text = arena_copy(d->arena, row->value),
                                .value = arena_copy(d->arena, row->secret),
                                .hosts = hosts};
        for (struct slice rest = row->hosts; rest.len > 0 && p.hosts_len < PLACEHOLDER_HOSTS_MAX;)
            p.hosts_len += placeholder_host_parse(d->arena, slice_split(&rest, ' '),
                                                  &hosts[p.hosts_len], NULL) == OK;
        list[d->placeholders_len++] = p;
    }
}

void policy_change(struct worker *w, struct slice space, struct egress_policy *p)
{
    struct egress_policy *old =
        p ? map_put(&w->policies, space, p) : map_remove(&w->policies, space);
    egress_policy_unref(old);
}

void policies_done(struct worker *w)
{
    size_t cursor = 0;
    struct slice space;
    void *policy;
    while (map_next(&w->policies, &cursor, &space, &policy))
        egress_policy_unref(policy);
    map_done(&w->policies);
}

/* "GET https://api.example.com:8443"; neither path nor query, which may be nobody's business. */
static void target_text(struct slice method, const struct url_target *t, struct bytes *out)
{
    bytes_printf(out, "%.*s http%s://%.*s", SLICE_ARG(slice_utf8_clip(method, 40)),
                 t->is_tls ? "s" : "", SLICE_ARG(slice_utf8_clip(t->host, 200)));
    if (t->port != (t->is_tls ? 443 : 80))
        bytes_printf(out, ":%d", t->port);
}

static void policy_report(struct worker *w, struct egress_policy *p, const struct egress_verdict *v,
                          struct module_name module, struct slice request)
{
    CLEANUP(bytes_done) struct bytes target = BYTES_INIT;
    uint64_t since;
    if (!egress_policy_refused(p, v, clock_monotonic_ns() / 1000000, &since))
        return;
    bytes_printf(&target, "%.*s: %.*s (", SLICE_ARG(module.name), SLICE_ARG(request));
    if (v->rule)
        bytes_printf(&target, "rule %lld", (long long)v->rule->id);
    else
        bytes_append_cstr(&target, "no rule");
    if (since > 0)
        bytes_printf(&target, "; %llu more since the last row", (unsigned long long)since);
    bytes_append_char(&target, ')');
    struct store_audit audit = {.actor = SLICE_LIT("code"),
                                .space = module.space,
                                .action = SLICE_LIT("egress"),
                                .target =
                                    slice_utf8_clip(bytes_slice(&target), POLICY_TARGET_BYTES_MAX)};
    store_audit(w->server->store, NULL, &audit, ERR_FORBIDDEN);
}

enum err policy_may_fetch(void *ctx, const struct deployment *d, struct slice method,
                          struct url_target *t, struct error *ret_error)
{
    struct worker *w = ctx;
    if (map_count(&w->policies) == 0)
        return OK;
    struct module_name module = module_name_split(d->name);
    struct egress_policy *p = map_get(&w->policies, module.space);
    if (!p)
        return OK;
    struct egress_verdict v = egress_policy_judge(p, module.name, method, t);
    if (v.is_allowed)
        return OK;
    CLEANUP(bytes_done) struct bytes request = BYTES_INIT, rule = BYTES_INIT;
    atomic_fetch_add_explicit(&w->metrics.egress_refusals, 1, memory_order_relaxed);
    target_text(method, t, &request);
    policy_report(w, p, &v, module, bytes_slice(&request));
    if (v.rule) {
        egress_policy_rule_text(v.rule, &rule);
        error_set(ret_error, ERR_FORBIDDEN,
                  "%s is refused by egress rule %lld of namespace '%.*s': %s", bytes_cstr(&request),
                  (long long)v.rule->id, SLICE_ARG(module.space), bytes_cstr(&rule));
    } else {
        error_set(ret_error, ERR_FORBIDDEN, "%s is allowed by no egress rule of namespace '%.*s'",
                  bytes_cstr(&request), SLICE_ARG(module.space));
    }
    error_hint(ret_error, "'limpet egress list' shows the rules, 'limpet egress allow' adds one");
    return ERR_FORBIDDEN;
}
