/* SPDX-License-Identifier: Apache-2.0
 *
 * See claims.h. A check looks at all patterns there are, once a deploy. */
#include "server/claims.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/module_name.h"
#include "http/route_pattern.h"

struct claimed {
    struct arena *arena; /* NULL: none */
    struct route_pattern *patterns;
    size_t len;
};

struct claim {
    struct claimed serving, coming;
};

static void claimed_clear(struct claimed *c)
{
    if (c->arena)
        arena_free(c->arena);
    *c = (struct claimed){0};
}

static struct claim *claim_get(struct claims *c, struct slice module)
{
    struct claim *claim = map_get(&c->modules, module);
    if (!claim) {
        claim = calloc(1, sizeof(*claim));
        CHECK(claim);
        (void)map_put(&c->modules, module, claim);
    }
    return claim;
}

static void claim_tidy(struct claims *c, struct slice module)
{
    const struct claim *claim = map_get(&c->modules, module);
    if (claim && claim->serving.len == 0 && claim->coming.len == 0)
        free(map_remove(&c->modules, module));
}

void claims_done(struct claims *c)
{
    size_t cursor = 0;
    void *value;
    while (map_next(&c->modules, &cursor, NULL, &value)) {
        struct claim *claim = value;
        claimed_clear(&claim->serving);
        claimed_clear(&claim->coming);
        free(claim);
    }
    map_done(&c->modules);
}

static bool claimed_has(const struct claimed *c, const struct route_pattern *p)
{
    for (size_t i = 0; i < c->len; i++)
        if (route_pattern_is(&c->patterns[i], p))
            return true;
    return false;
}

/* What was to come serves. */
static void claims_settle(struct claim *c)
{
    for (size_t i = 0; i < c->coming.len; i++)
        if (!claimed_has(&c->serving, &c->coming.patterns[i]))
            return;
    claimed_clear(&c->coming);
}

void claims_set(struct claims *c, struct slice module, const struct route_pattern *patterns,
                size_t len)
{
    if (len == 0 && !map_get(&c->modules, module))
        return;
    struct claimed *to = &claim_get(c, module)->serving;
    claimed_clear(to);
    if (len > 0) {
        to->arena = arena_new(NULL);
        to->patterns = arena_array(to->arena, len, sizeof(*patterns));
        for (size_t i = 0; i < len; i++)
            to->len += route_pattern_parse(patterns[i].text, to->arena, &to->patterns[to->len],
                                           NULL) == OK;
    }
    claims_settle(map_get(&c->modules, module));
    claim_tidy(c, module);
}

void claims_hold(struct claims *c, struct slice module, struct slice lines)
{
    if (lines.len == 0 && !map_get(&c->modules, module))
        return;
    struct claimed *to = &claim_get(c, module)->coming;
    claimed_clear(to);
    if (lines.len > 0) {
        to->arena = arena_new(NULL);
        to->patterns = route_patterns_read(lines, to->arena, &to->len);
    }
    claim_tidy(c, module);
}

static enum err refuse(const struct route_pattern *p, const char *what, struct slice whose,
                       const char *hint, struct error *ret_error)
{
    error_set(ret_error, ERR_CONFLICT, "the route '%.*s' %s%.*s",
              SLICE_ARG(slice_utf8_clip(p->text, 200)), what, SLICE_ARG(whose));
    error_hint(ret_error, "%s", hint);
    return ERR_CONFLICT;
}

/* What another module has against it. */
static enum err check_against(const struct route_pattern *p, const struct claimed *other,
                              struct module_name of, bool is_own_space, struct error *ret_error)
{
    for (size_t i = 0; i < other->len; i++) {
        const struct route_pattern *q = &other->patterns[i];
        if (!is_own_space && route_pattern_meets(p, q))
            return refuse(p, "is of a host that another namespace answers for", SLICE_EMPTY,
                          "a host is one namespace's: take another, or ask who runs the server",
                          ret_error);
        if (is_own_space && route_pattern_is(p, q))
            return refuse(p, "is already one of ", of.name,
                          "take it out of that module's project and deploy that first", ret_error);
    }
    return OK;
}

/* Hosts name modules by their labels, of the default namespace as a rule: another namespace takes none of
 * these, and no wildcards, in which all of them are. */
static enum err check_labels(const struct route_pattern *p, const struct map *names,
                             struct slice space, struct error *ret_error)
{
    struct slice rest = slice_skip(p->host, 1), name = slice_split(&rest, '.');
    const struct slice second = slice_split(&rest, '.');
    size_t cursor = 0;
    struct slice module;
    if (namespace_is_default(space))
        return OK;
    if (p->host.ptr[0] != '=')
        return refuse(p, "has a wildcard in its host", SLICE_EMPTY,
                      "only modules of the default namespace may; name each host", ret_error);
    while (map_next(names, &cursor, &module, NULL)) {
        const struct module_name m = module_name_split(module);
        const bool is_named = namespace_is_default(m.space)
                                  ? slice_eq(m.name, name)
                                  : slice_eq(m.space, second) && !slice_eq(m.space, space);
        if (is_named)
            return refuse(p, "is of a host that names a module of another namespace", SLICE_EMPTY,
                          "take another host, or ask who runs the server", ret_error);
    }
    return OK;
}

enum err claims_check(const struct claims *c, const struct map *names, struct slice module,
                      struct slice lines, struct error *ret_error)
{
    struct arena *arena = arena_new(NULL);
    const struct slice space = module_name_split(module).space;
    size_t len;
    enum err err = OK;
    const struct route_pattern *all = route_patterns_read(lines, arena, &len);
    for (size_t i = 0; i < len && err == OK; i++) {
        size_t cursor = 0;
        struct slice name;
        void *value;
        err = check_labels(&all[i], names, space, ret_error);
        while (err == OK && map_next(&c->modules, &cursor, &name, &value)) {
            const struct claim *other = value;
            const struct module_name of = module_name_split(name);
            const bool is_own = slice_eq(of.space, space);
            if (slice_eq(name, module))
                continue;
            err = check_against(&all[i], &other->serving, of, is_own, ret_error);
            if (err == OK)
                err = check_against(&all[i], &other->coming, of, is_own, ret_error);
        }
    }
    arena_free(arena);
    return err;
}

static int compare_names(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    const int order = memcmp(x->ptr, y->ptr, x->len < y->len ? x->len : y->len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

void claims_json(const struct claims *c, struct slice space, struct json_writer *w)
{
    struct slice *names = calloc(map_count(&c->modules) + 1, sizeof(*names));
    CHECK(names);
    size_t cursor = 0, len = 0;
    while (map_next(&c->modules, &cursor, &names[len], NULL))
        len += slice_eq(module_name_split(names[len]).space, space);
    qsort(names, len, sizeof(*names), compare_names);
    json_open(w, '[');
    for (size_t k = 0; k < len; k++) {
        const struct claim *claim = map_get(&c->modules, names[k]);
        for (size_t i = 0; i < claim->serving.len; i++) {
            json_open(w, '{');
            json_key(w, "pattern");
            json_slice(w, claim->serving.patterns[i].text);
            json_key(w, "module");
            json_slice(w, module_name_split(names[k]).name);
            json_close(w, '}');
        }
    }
    json_close(w, ']');
    free(names);
}
