/* SPDX-License-Identifier: Apache-2.0
 *
 * See project.h. One walk over the tree: each member is looked up in the table, its type is checked there,
 * and project_take() (take.c) puts it where it belongs. */
#include "project/project.h"

#include <stdarg.h>
#include <stdio.h>

#include "admin/names.h"
#include "project/internal.h"

void texts_add(struct arena *a, struct project_texts *t, const char *text)
{
    const char **items = arena_array(a, t->len + 2, sizeof(*items));
    if (t->len > 0)
        memcpy(items, t->items, t->len * sizeof(*items));
    items[t->len] = text;
    items[t->len + 1] = NULL;
    t->items = items;
    t->len++;
}

void project_warn(struct project *p, const char *format, ...)
{
    struct bytes text = BYTES_INIT;
    va_list args;
    va_start(args, format);
    bytes_vprintf(&text, format, args);
    va_end(args);
    texts_add(p->arena, &p->warnings, arena_cstr(p->arena, bytes_slice(&text)));
    bytes_done(&text);
}

void vars_put(struct arena *a, struct project_vars *vars, struct project_var var)
{
    for (size_t i = 0; i < vars->len; i++) {
        if (slice_eq(vars->items[i].name, var.name)) {
            vars->items[i] = var;
            return;
        }
    }
    struct project_var *items = arena_array(a, vars->len + 1, sizeof(*items));
    if (vars->len > 0)
        memcpy(items, vars->items, vars->len * sizeof(*items));
    items[vars->len++] = var;
    vars->items = items;
}

int reader_line(const struct project_reader *r, size_t at)
{
    int line, column;
    document_place(r->document->source, at, &line, &column);
    return line;
}

enum err reader_error(struct project_reader *r, size_t at, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return error_set(r->error, ERR_INVALID, "%s:%d: %s", r->document->file, reader_line(r, at),
                     text);
}

/* ---- types ---- */

static bool is_all(const struct document_value *v, enum body_kind kind)
{
    for (size_t i = 0; i < v->len; i++)
        if (v->items[i].kind != kind)
            return false;
    return true;
}

static bool is_typed(unsigned types, const struct document_value *v)
{
    if (types & KEY_ANY)
        return true;
    switch (v->kind) {
    case BODY_STRING:
        return types & KEY_STRING;
    case BODY_BOOL:
        return types & KEY_BOOL;
    case BODY_NUMBER: {
        uint64_t n;
        return (types & KEY_UINT) && slice_to_u64(v->text, &n) && n <= UINT32_MAX;
    }
    case BODY_OBJECT:
        return types & KEY_OBJECT;
    case BODY_ARRAY: /* of either, where both may be: project_take() looks at each */
        if ((types & KEY_STRINGS) && (types & KEY_OBJECTS)) {
            for (size_t i = 0; i < v->len; i++)
                if (v->items[i].kind != BODY_STRING && v->items[i].kind != BODY_OBJECT)
                    return false;
            return true;
        }
        return ((types & KEY_STRINGS) && is_all(v, BODY_STRING)) ||
               ((types & KEY_OBJECTS) && is_all(v, BODY_OBJECT));
    default:
        return false;
    }
}

/* ---- the walk ---- */

/* A declaration of nothing ("kv_namespaces": [], or crons of none) misses nothing. */
static bool is_empty(const struct document_value *v)
{
    return (v->kind == BODY_ARRAY || v->kind == BODY_OBJECT) && v->len == 0;
}

/* queues = { producers = [] } is empty, too. */
static bool declares_nothing(const struct document_value *v)
{
    if (v->kind == BODY_NULL || is_empty(v))
        return true;
    for (size_t i = 0; v->kind == BODY_OBJECT && i < v->len; i++)
        if (!is_empty(&v->members[i].value))
            return false;
    return v->kind == BODY_OBJECT;
}

static void add_missing(struct project_reader *r, const struct key *k,
                        const struct document_value *v)
{
    struct project *p = r->p;
    struct project_missing *all = arena_array(p->arena, p->missing_len + 1, sizeof(*all));
    if (declares_nothing(v))
        return;
    if (p->missing_len > 0)
        memcpy(all, p->missing, p->missing_len * sizeof(*all));
    all[p->missing_len++] = (struct project_missing){k->doc, k->name, reader_line(r, v->at)};
    p->missing = all;
}

static enum err unknown_key(struct project_reader *r, enum key_shape owner, struct slice name,
                            size_t at)
{
    const struct slice shown = slice_utf8_clip(name, 60);
    const char *nearest = key_nearest(owner, name, r->where);
    if (r->where == KEY_WRANGLER) {
        project_warn(r->p, "%s:%d: '%.*s' means nothing here%s%s%s", r->document->file,
                     reader_line(r, at), SLICE_ARG(shown), nearest ? "; did you mean '" : "",
                     nearest ? nearest : "", nearest ? "'?" : "");
        return OK;
    }
    enum err err = reader_error(r, at, "there is no key '%.*s'", SLICE_ARG(shown));
    if (nearest)
        error_hint(r->error, "did you mean '%s'?", nearest);
    else
        error_hint(r->error, "docs/projects.md lists the keys");
    return err;
}

static enum err read_member(struct project_reader *r, enum key_shape owner,
                            const struct document_member *m)
{
    if (owner == SHAPE_ROOT && slice_eq_cstr(m->name, "$schema"))
        return OK;
    const struct key *k = key_find(owner, m->name, r->where);
    if (!k)
        return unknown_key(r, owner, m->name, m->value.at);
    if (m->value.kind == BODY_NULL)
        return OK;
    if (!is_typed(k->types, &m->value)) {
        CLEANUP(bytes_done) struct bytes wanted = BYTES_INIT;
        key_types_text(k->types, &wanted);
        enum err err =
            reader_error(r, m->value.at, "'%s' must be %s", k->name, bytes_cstr(&wanted));
        error_hint(r->error, "it is %s", body_kind_text(m->value.kind));
        return err;
    }
    switch (k->use) {
    case KEY_TAKEN:
        return project_take(r, (enum key_id)(k - keys_table), &m->value);
    case KEY_MISSING:
        add_missing(r, k, &m->value);
        return OK;
    case KEY_INERT:
        if (!r->is_warned[k - keys_table])
            project_warn(r->p, "%s:%d: '%s' means nothing here", r->document->file,
                         reader_line(r, m->value.at), k->name);
        r->is_warned[k - keys_table] = true;
        return OK;
    case KEY_QUIET:
        return OK;
    }
    return OK;
}

enum err reader_object(struct project_reader *r, enum key_shape owner,
                       const struct document_value *object)
{
    for (size_t i = 0; i < object->len; i++) {
        enum err err = read_member(r, owner, &object->members[i]);
        if (err)
            return err;
    }
    return OK;
}

/* Environments that were not chosen are read, too, so that mistakes in them are found today. */
static enum err check_envs(struct project_reader *r)
{
    for (size_t i = 0; r->envs && i < r->envs->len; i++) {
        const struct document_member *m = &r->envs->members[i];
        if (m->value.kind != BODY_OBJECT)
            return reader_error(r, m->value.at, "'env.%.*s' must be a table",
                                SLICE_ARG(slice_utf8_clip(m->name, 60)));
        struct project unused = {.arena = r->p->arena};
        struct project_reader other = *r;
        other.p = &unused;
        enum err err = reader_object(&other, SHAPE_ROOT, &m->value);
        if (err)
            return err;
    }
    return OK;
}

static enum err read_environment(struct project_reader *r, const char *environment)
{
    struct project *p = r->p;
    const struct document_value *chosen = r->envs ? document_member(r->envs, environment) : NULL;
    if (!chosen) {
        enum err err = error_set(r->error, ERR_NOT_FOUND, "%s has no environment '%.60s'",
                                 r->document->file, environment);
        error_hint(r->error, "write a table [env.%.60s], or leave --env out", environment);
        return err;
    }
    /* As wrangler: variables and bindings are said again, the rest is inherited. */
    p->vars = (struct project_vars){0};
    p->bindings = (struct project_bindings){0};
    p->missing_len = 0;
    const char *name = p->name;
    p->name = NULL;
    enum err err = reader_object(r, SHAPE_ROOT, chosen);
    if (!p->name && name)
        p->name = arena_printf(p->arena, "%s-%s", name, environment);
    p->environment = environment;
    return err;
}

static enum err check_project(struct project_reader *r)
{
    struct project *p = r->p;
    struct error why = {0};
    if (p->name && names_check_function(slice_cstr(p->name), &why)) {
        error_set(r->error, ERR_INVALID, "%s: %s", r->document->file, why.message);
        error_hint(r->error, "%s", why.hint);
        return ERR_INVALID;
    }
    if (p->space && !slice_eq_cstr(slice_cstr(p->space), "default") &&
        names_check_namespace(slice_cstr(p->space), &why)) {
        error_set(r->error, ERR_INVALID, "%s: %s", r->document->file, why.message);
        error_hint(r->error, "%s", why.hint);
        return ERR_INVALID;
    }
    if (project_bind_assets(p, &why)) {
        error_set(r->error, ERR_INVALID, "%s: %s", r->document->file, why.message);
        error_hint(r->error, "a name in env is one thing's: rename assets.binding or the other");
        return ERR_INVALID;
    }
    if (p->main || p->assets.directory)
        return OK;
    if (p->is_foreign && p->assets.binding) /* of a plugin that builds it: the command says more */
        return OK;
    error_set(r->error, ERR_INVALID, "%s has neither 'main' nor 'assets'", r->document->file);
    error_hint(r->error, "main = \"src/index.ts\" names the code, assets = \"./public\" a folder");
    return ERR_INVALID;
}

enum err project_parse(struct arena *a, const char *dir, const char *file, struct slice source,
                       const char *environment, struct project **ret_project,
                       struct error *ret_error)
{
    struct document doc;
    enum err err = document_parse(a, file, source, &doc, ret_error);
    if (err)
        return err;
    struct project *p = arena_new_struct(a, struct project);
    p->arena = a;
    p->dir = dir;
    p->path = arena_printf(a, "%s/%s", dir, file);
    p->file = file;
    p->is_foreign = strcmp(file, "limpet.toml") != 0;
    struct project_reader *r = arena_new_struct(a, struct project_reader);
    *r = (struct project_reader){.p = p, .document = &doc, .error = ret_error};
    r->where = p->is_foreign ? KEY_WRANGLER : KEY_LIMPET;
    err = reader_object(r, SHAPE_ROOT, &doc.root);
    if (!err)
        err = check_envs(r);
    if (!err && environment)
        err = read_environment(r, environment);
    if (!err)
        err = check_project(r);
    if (!err)
        *ret_project = p;
    return err;
}
