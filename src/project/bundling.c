/* SPDX-License-Identifier: Apache-2.0
 *
 * What a project says of bundling, as esbuild's arguments. */
#include "project/internal.h"

/* The extension of a glob that matches it everywhere, with its dot; NULL: it is another glob. */
static const char *glob_extension(const char *glob)
{
    if (strncmp(glob, "**/", 3) == 0)
        glob += 3;
    if (glob[0] != '*' || glob[1] != '.')
        return NULL;
    for (const char *c = glob + 1; *c; c++)
        if (strchr("*?[]{}/", *c))
            return NULL;
    return glob + 1;
}

/* As in wrangler: of several rules of a type, those before and with the first that does not fall
 * through. What files are without any rule stays. */
static const struct project_rule *earlier_rule(const struct project *p, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(p->rules[k].type, p->rules[i].type) == 0 && !p->rules[k].falls_through)
            return &p->rules[k];
    return NULL;
}

static void bundle_rules(struct project *p, struct project_texts *args)
{
    static const struct {
        const char *type, *loader;
    } loaders[] = {{"Text", "text"}, {"Data", "binary"}, {"ESModule", "js"}, {"CommonJS", "js"}};
    for (size_t i = 0; i < p->rules_len; i++) {
        const struct project_rule *rule = &p->rules[i];
        const char *loader = NULL;
        for (size_t k = 0; k < ARRAY_LEN(loaders); k++)
            if (strcmp(loaders[k].type, rule->type) == 0)
                loader = loaders[k].loader;
        for (size_t k = 0; loader && k < rule->globs.len; k++) {
            const char *extension = glob_extension(rule->globs.items[k]);
            if (earlier_rule(p, i))
                project_warn(p,
                             "%s: the rule for '%.60s' is not used: an earlier one of type %s does "
                             "not fall through (fallthrough = true)",
                             p->file, rule->globs.items[k], rule->type);
            else if (!extension)
                project_warn(p, "%s: the rule for '%.60s' is not used: globs here are \"**/*.EXT\"",
                             p->file, rule->globs.items[k]);
            else if (strcmp(extension, ".js") != 0 && strcmp(extension, ".mjs") != 0)
                texts_add(p->arena, args,
                          arena_printf(p->arena, "--loader:%s=%s", extension, loader));
        }
    }
}

const char *const *project_bundle_args(struct project *p)
{
    struct project_texts args = {0};
    struct arena *a = p->arena;
    for (size_t i = 0; i < p->define.len; i++)
        texts_add(
            a, &args,
            arena_printf(a, "--define:%s=%s", p->define.items[i].name, p->define.items[i].value));
    for (size_t i = 0; i < p->alias.len; i++) {
        const char *to = p->alias.items[i].value;
        texts_add(a, &args,
                  arena_printf(a, "--alias:%s=%s", p->alias.items[i].name,
                               to[0] == '.' ? project_path(p, to) : to));
    }
    bundle_rules(p, &args);
    if (p->tsconfig)
        texts_add(a, &args, arena_printf(a, "--tsconfig=%s", project_path(p, p->tsconfig)));
    if (p->is_minified && !p->is_built)
        texts_add(a, &args, "--minify");
    if (p->jsx_factory)
        texts_add(a, &args, arena_printf(a, "--jsx-factory=%s", p->jsx_factory));
    if (p->jsx_fragment)
        texts_add(a, &args, arena_printf(a, "--jsx-fragment=%s", p->jsx_fragment));
    if (p->drops_names || p->is_built)
        texts_add(a, &args, "--keep-names=false");
    return args.len > 0 ? args.items : NULL;
}
