/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the value of each key goes. */
#include <ctype.h>
#include <string.h>

#include "admin/names.h"
#include "base/json.h"
#include "project/internal.h"

static const char *text_of(struct project_reader *r, const struct document_value *v)
{
    return arena_cstr(r->p->arena, v->text);
}

/* A string or a list of them. */
static void take_texts(struct project_reader *r, const struct document_value *v,
                       struct project_texts *ret)
{
    *ret = (struct project_texts){0};
    if (v->kind == BODY_STRING)
        texts_add(r->p->arena, ret, text_of(r, v));
    for (size_t i = 0; i < v->len; i++)
        if (v->items[i].kind == BODY_STRING)
            texts_add(r->p->arena, ret, text_of(r, &v->items[i]));
}

static enum err take_pairs(struct project_reader *r, const struct document_value *v,
                           struct project_pairs *ret)
{
    ret->items = arena_array(r->p->arena, v->len + 1, sizeof(*ret->items));
    ret->len = v->len;
    for (size_t i = 0; i < v->len; i++) {
        const struct document_member *m = &v->members[i];
        if (m->value.kind != BODY_STRING)
            return reader_error(r, m->value.at, "'%.*s' is %s, but must be a string",
                                SLICE_ARG(m->name), body_kind_text(m->value.kind));
        ret->items[i] =
            (struct project_pair){arena_cstr(r->p->arena, m->name), text_of(r, &m->value)};
    }
    return OK;
}

/* An object of the tree, as JSON: places of TOML do not lead to it, so it is written again. */
static void write_json(const struct document_value *v, struct bytes *out)
{
    switch (v->kind) {
    case BODY_STRING:
        json_quote(out, v->text);
        break;
    case BODY_ARRAY:
        bytes_append_char(out, '[');
        for (size_t i = 0; i < v->len; i++) {
            bytes_append_cstr(out, i > 0 ? "," : "");
            write_json(&v->items[i], out);
        }
        bytes_append_char(out, ']');
        break;
    case BODY_OBJECT:
        bytes_append_char(out, '{');
        for (size_t i = 0; i < v->len; i++) {
            bytes_append_cstr(out, i > 0 ? "," : "");
            json_quote(out, v->members[i].name);
            bytes_append_char(out, ':');
            write_json(&v->members[i].value, out);
        }
        bytes_append_char(out, '}');
        break;
    default:
        bytes_append_slice(out, v->text);
        break;
    }
}

static struct slice json_of(struct project_reader *r, const struct document_value *v)
{
    CLEANUP(bytes_done) struct bytes json = BYTES_INIT;
    write_json(v, &json);
    return arena_copy(r->p->arena, bytes_slice(&json));
}

static enum err take_vars(struct project_reader *r, const struct document_value *v)
{
    for (size_t i = 0; i < v->len; i++) {
        const struct document_member *m = &v->members[i];
        struct error why = {0};
        if (names_check_env(m->name, &why)) {
            enum err err = reader_error(r, m->value.at, "%s", why.message);
            error_hint(r->error, "%s", why.hint);
            return err;
        }
        struct project_var var = {.name = m->name, .value = m->value.text};
        if (m->value.kind != BODY_STRING) {
            var.value = json_of(r, &m->value);
            var.is_json = true;
        }
        vars_put(r->p->arena, &r->p->vars, var);
    }
    return OK;
}

/* One of the words, or an error that lists them. */
static enum err take_word(struct project_reader *r, const struct document_value *v,
                          const char *const *words, size_t len, size_t *ret_index)
{
    CLEANUP(bytes_done) struct bytes known = BYTES_INIT;
    for (size_t i = 0; i < len; i++) {
        if (slice_eq_cstr(v->text, words[i])) {
            *ret_index = i;
            return OK;
        }
        bytes_printf(&known, "%s%s", i == 0 ? "" : i + 1 < len ? ", " : " or ", words[i]);
    }
    const char *nearest = names_nearest(v->text, words, len);
    enum err err = reader_error(r, v->at, "'%.*s' is none of %s",
                                SLICE_ARG(slice_utf8_clip(v->text, 60)), bytes_cstr(&known));
    error_hint(r->error, nearest ? "did you mean '%s'?" : "choose one of them%s",
               nearest ? nearest : "");
    return err;
}

static enum err take_limit(struct project_reader *r, const struct document_value *v,
                           uint32_t *ret_limit)
{
    uint64_t n = 0;
    (void)slice_to_u64(v->text, &n);
    const uint32_t before = *ret_limit;
    *ret_limit = (uint32_t)n;
    struct error why = {0};
    if (n > 0 && names_check_limits(&r->p->options, &why) == OK)
        return OK;
    *ret_limit = before;
    enum err err = reader_error(r, v->at, "%s", n == 0 ? "a limit may not be 0" : why.message);
    error_hint(r->error, "%s", n == 0 ? "leave it out for the default" : why.hint);
    return err;
}

static enum err take_route(struct project_reader *r, const struct document_value *v)
{
    if (v->kind == BODY_STRING) {
        texts_add(r->p->arena, &r->p->routes, text_of(r, v));
        return OK;
    }
    if (v->kind == BODY_OBJECT) {
        const struct document_value *pattern = document_member(v, "pattern");
        enum err err = reader_object(r, SHAPE_ROUTE, v);
        const struct document_value *domain = document_member(v, "custom_domain");
        struct project_texts *all = &r->p->routes;
        if (!err && !pattern)
            err = reader_error(r, v->at, "a route needs a 'pattern'");
        else if (!err && domain && slice_eq_cstr(domain->text, "true")) /* all of the host */
            all->items[all->len - 1] = arena_printf(r->p->arena, "%s/*", all->items[all->len - 1]);
        return err;
    }
    for (size_t i = 0; i < v->len; i++) {
        enum err err = take_route(r, &v->items[i]);
        if (err)
            return err;
    }
    return OK;
}

static enum err take_rules(struct project_reader *r, const struct document_value *v)
{
    struct project *p = r->p;
    p->rules = arena_zalloc(p->arena, (v->len + 1) * sizeof(*p->rules));
    p->rules_len = v->len;
    for (size_t i = 0; i < v->len; i++) {
        r->rule = &p->rules[i];
        enum err err = reader_object(r, SHAPE_RULE, &v->items[i]);
        if (!err && (!r->rule->type || r->rule->globs.len == 0))
            err = reader_error(r, v->items[i].at, "a rule needs 'type' and 'globs'");
        if (err)
            return err;
    }
    return OK;
}

static enum err take_egress(struct project_reader *r, const struct document_value *v)
{
    for (size_t i = 0; i < v->len; i++) {
        struct error why = {0};
        if (names_check_domain(v->items[i].text, &why) == OK)
            continue;
        enum err err = reader_error(r, v->items[i].at, "%s", why.message);
        error_hint(r->error, "%s", why.hint);
        return err;
    }
    take_texts(r, v, &r->p->egress);
    if (v->len > 0)
        return OK;
    enum err err = reader_error(r, v->at, "'egress' is empty");
    error_hint(r->error, "leave it out to allow all public hosts");
    return err;
}

/* A list of declarations of one kind, of that shape, behind those there are. */
static enum err take_bindings(struct project_reader *r, enum binding_kind kind,
                              enum key_shape shape, const struct document_value *v)
{
    const struct binding_kind_info *info = &binding_kinds[kind];
    struct project_bindings *to = &r->p->bindings;
    struct binding *items = arena_zalloc(r->p->arena, (to->len + v->len + 1) * sizeof(*items));
    if (to->len > 0)
        memcpy(items, to->items, to->len * sizeof(*items));
    to->items = items;
    for (size_t i = 0; i < v->len; i++) {
        struct error why = {0};
        struct binding *b = r->binding = &items[to->len++];
        b->kind = kind;
        enum err err = reader_object(r, shape, &v->items[i]);
        /* Resources have a usual name. */
        const char *needed = info->is_own || info->is_resource ? NULL : info->target;
        const char *name = key_find(shape, SLICE_LIT("binding"), KEY_LIMPET) ? "binding" : "name";
        if (!err && (b->name.len == 0 || (needed && b->target.len == 0)))
            err = reader_error(r, v->items[i].at, "a %s needs '%s'%s%s%s", info->word, name,
                               needed ? " and '" : "", needed ? needed : "", needed ? "'" : "");
        else if (!err && names_check_binding(b, &why)) {
            err = reader_error(r, v->items[i].at, "%s", why.message);
            error_hint(r->error, "%s", why.hint);
        }
        if (err)
            return err;
    }
    return OK;
}

/* The static files are inherited by an environment, and so is their binding; of code only. */
enum err project_bind_assets(struct project *p, struct error *ret_error)
{
    struct project_bindings *to = &p->bindings;
    const struct slice name = slice_cstr(p->assets.binding);
    if (!p->assets.binding || !p->assets.directory || !p->main)
        return OK;
    struct binding *items = arena_zalloc(p->arena, (to->len + 1) * sizeof(*items));
    for (size_t i = 0; i < to->len; i++) {
        items[i] = to->items[i];
        if (slice_eq(items[i].name, name))
            return error_set(ret_error, ERR_INVALID, "there are two bindings '%s'",
                             p->assets.binding);
    }
    items[to->len++] = (struct binding){.name = name, .kind = BINDING_ASSETS};
    to->items = items;
    return OK;
}

/* As wrangler names what it makes: "shop-sessions" for SESSIONS of shop. */
void project_name_resources(struct project *p)
{
    for (size_t i = 0; i < p->bindings.len; i++) {
        struct binding *b = &p->bindings.items[i];
        if (!binding_kinds[b->kind].is_resource || b->target.len > 0)
            continue;
        char *name = arena_printf(p->arena, "%s-%.*s", p->name, SLICE_ARG(b->name));
        for (char *c = name; *c; c++)
            *c = *c == '_' ? '-' : (char)tolower((unsigned char)*c);
        while (*name == '-')
            name++;
        b->target = slice_utf8_clip(slice_cstr(name), RESOURCE_NAME_BYTES_MAX);
        while (b->target.len > 0 && b->target.ptr[b->target.len - 1] == '-')
            b->target.len--;
    }
}

/* Each as the JSON that the server reads (schedule/plan.h). */
static enum err take_schedules(struct project_reader *r, const struct document_value *v)
{
    CLEANUP(bytes_done) struct bytes all = BYTES_INIT;
    for (size_t i = 0; i < v->len; i++) {
        enum err err = reader_object(r, SHAPE_SCHEDULE, &v->items[i]);
        if (err)
            return err;
        bytes_append_cstr(&all, i > 0 ? "," : "");
        write_json(&v->items[i], &all);
    }
    r->p->schedules = arena_copy(r->p->arena, bytes_slice(&all));
    return OK;
}

/* Likewise, as {"queue", …}. */
static enum err take_consumers(struct project_reader *r, const struct document_value *v)
{
    CLEANUP(bytes_done) struct bytes all = BYTES_INIT;
    bytes_append_char(&all, '[');
    for (size_t i = 0; i < v->len; i++) {
        enum err err = reader_object(r, SHAPE_CONSUMER, &v->items[i]);
        if (!err && !document_member(&v->items[i], "queue"))
            err = reader_error(r, v->items[i].at, "a consumer needs 'queue'");
        if (err)
            return err;
        bytes_append_cstr(&all, i > 0 ? "," : "");
        write_json(&v->items[i], &all);
    }
    bytes_append_char(&all, ']');
    r->p->consumers = arena_copy(r->p->arena, bytes_slice(&all));
    return OK;
}

void project_schedules(const struct project *p, struct bytes *out)
{
    if (p->crons.len == 0 && p->schedules.len == 0)
        return;
    bytes_append_char(out, '[');
    for (size_t i = 0; i < p->crons.len; i++) {
        bytes_append_cstr(out, i > 0 ? ",{\"cron\":" : "{\"cron\":");
        json_quote(out, slice_cstr(p->crons.items[i]));
        bytes_append_char(out, '}');
    }
    if (p->crons.len > 0 && p->schedules.len > 0)
        bytes_append_char(out, ',');
    bytes_append_slice(out, p->schedules);
    bytes_append_char(out, ']');
}

/* Of the D1 binding that is being read. */
static struct project_migrations *migrations_of(struct project_reader *r)
{
    struct project *p = r->p;
    size_t at = (size_t)(r->binding - p->bindings.items);
    for (size_t k = 0; k < p->migrations_len; k++)
        if (p->migrations[k].binding == at)
            return &p->migrations[k];
    struct project_migrations *grown =
        arena_zalloc(p->arena, (p->migrations_len + 1) * sizeof(*grown));
    if (p->migrations_len > 0)
        memcpy(grown, p->migrations, p->migrations_len * sizeof(*grown));
    p->migrations = grown;
    grown[p->migrations_len].binding = at;
    return &grown[p->migrations_len++];
}

static enum err take_assets(struct project_reader *r, const struct document_value *v)
{
    if (v->kind == BODY_OBJECT)
        return reader_object(r, SHAPE_ASSETS, v);
    r->p->assets.directory = text_of(r, v);
    return OK;
}

enum err project_take(struct project_reader *r, enum key_id id, const struct document_value *v)
{
    const char *kinds[MODULE_KINDS];
    static const char *const isolations[] = {"request", "module"};
    static const char *const not_founds[] = {"none", "404-page", "single-page-application"};
    static const char *const htmls[] = {"auto-trailing-slash", "force-trailing-slash",
                                        "drop-trailing-slash", "none"};
    static const char *const rules[] = {
        "ESModule",     "CommonJS",         "Text", "Data", "CompiledWasm",
        "PythonModule", "PythonRequirement"};
    struct project *p = r->p;
    const bool is_true = slice_eq_cstr(v->text, "true");
    size_t word = 0;
    enum err err = OK;
    for (size_t k = 0; k < MODULE_KINDS; k++)
        kinds[k] = module_kinds[k].word;
    switch (id) {
    case KEY_ROOT_name:
        p->name = text_of(r, v);
        return OK;
    case KEY_ROOT_main:
        p->main = text_of(r, v);
        return OK;
    case KEY_ROOT_kind:
        err = take_word(r, v, kinds, ARRAY_LEN(kinds), &word);
        p->kind = !err ? (enum module_kind)word : MODULE_FUNCTION;
        return err;
    case KEY_ROOT_namespace:
        p->space = text_of(r, v);
        return OK;
    case KEY_ROOT_vars:
        return take_vars(r, v);
    case KEY_ROOT_env:
        r->envs = v;
        return OK;
    case KEY_ROOT_routes:
    case KEY_ROOT_route:
        p->routes = (struct project_texts){0};
        return take_route(r, v);
    case KEY_ROOT_assets:
        return take_assets(r, v);
    case KEY_ROOT_services:
        return take_bindings(r, BINDING_SERVICE, SHAPE_SERVICE, v);
    case KEY_ROOT_workflows:
        return take_bindings(r, BINDING_WORKFLOW, SHAPE_WORKFLOW, v);
    case KEY_WORKFLOW_class_name:
        r->binding->part = v->text;
        return OK;
    case KEY_WORKFLOW_script_name:
        r->binding->target = v->text;
        return OK;
    case KEY_WORKFLOW_binding:
    case KEY_SERVICE_binding:
        r->binding->name = v->text;
        return OK;
    case KEY_SERVICE_service:
        r->binding->target = v->text;
        return OK;
    case KEY_SERVICE_entrypoint:
        r->binding->part = v->text;
        return OK;
    case KEY_SERVICE_props:
        r->binding->details = json_of(r, v);
        return OK;
    case KEY_ROOT_kv_namespaces:
        return take_bindings(r, BINDING_KV, SHAPE_KV, v);
    case KEY_ROOT_ratelimits:
    case KEY_UNSAFE_bindings:
        return take_bindings(r, BINDING_RATE_LIMIT, SHAPE_RATE_LIMIT, v);
    case KEY_ROOT_unsafe:
        return reader_object(r, SHAPE_UNSAFE, v);
    case KEY_RATE_LIMIT_namespace_id:
        r->binding->target = v->text;
        return OK;
    case KEY_RATE_LIMIT_simple:
        r->binding->details = json_of(r, v);
        return OK;
    case KEY_RATE_LIMIT_type:
        return slice_eq_cstr(v->text, "ratelimit")
                   ? OK
                   : reader_error(r, v->at, "an unsafe binding can only be a \"ratelimit\" here");
    case KEY_RATE_LIMIT_name:
        r->binding->name = v->text;
        return OK;
    case KEY_ROOT_d1_databases:
        return take_bindings(r, BINDING_D1, SHAPE_D1, v);
    case KEY_D1_database_name:
        r->binding->target = v->text;
        return OK;
    case KEY_D1_migrations_dir:
        migrations_of(r)->dir = text_of(r, v);
        return OK;
    case KEY_D1_migrations_table:
        migrations_of(r)->table = text_of(r, v);
        return OK;
    case KEY_D1_binding:
    case KEY_KV_binding:
        r->binding->name = v->text;
        return OK;
    case KEY_KV_id:
        r->binding->target = v->text;
        return OK;
    case KEY_ROOT_migrations:
    case KEY_MIGRATION_tag:
    case KEY_MIGRATION_new_sqlite_classes:
    case KEY_MIGRATION_new_classes:
    case KEY_MIGRATION_renamed_classes:
    case KEY_MIGRATION_deleted_classes:
    case KEY_MIGRATION_transferred_classes:
    case KEY_RENAMED_from:
    case KEY_RENAMED_to:
        return project_take_migrations(r, id, v);
    case KEY_ROOT_durable_objects:
        return reader_object(r, SHAPE_ACTORS, v);
    case KEY_ACTORS_bindings:
        return take_bindings(r, BINDING_ACTOR, SHAPE_ACTOR, v);
    case KEY_ACTOR_name:
        r->binding->name = v->text;
        return OK;
    case KEY_ACTOR_class_name:
        r->binding->target = v->text;
        return OK;
    case KEY_ACTOR_script_name:
        r->binding->part = v->text;
        return OK;
    case KEY_ROOT_queues:
        return reader_object(r, SHAPE_QUEUES, v);
    case KEY_QUEUES_producers:
        return take_bindings(r, BINDING_QUEUE, SHAPE_PRODUCER, v);
    case KEY_PRODUCER_binding:
        r->binding->name = v->text;
        return OK;
    case KEY_PRODUCER_queue:
        r->binding->target = v->text;
        return OK;
    case KEY_QUEUES_consumers:
        return take_consumers(r, v);
    case KEY_CONSUMER_queue:
    case KEY_CONSUMER_max_batch_size:
    case KEY_CONSUMER_max_batch_timeout:
    case KEY_CONSUMER_max_retries:
    case KEY_CONSUMER_dead_letter_queue:
    case KEY_CONSUMER_max_concurrency:
    case KEY_CONSUMER_retry_delay:
        return OK; /* as a whole: take_consumers() */
    case KEY_ROOT_schedules:
        return take_schedules(r, v);
    case KEY_TRIGGERS_crons:
        take_texts(r, v, &p->crons);
        return OK;
    case KEY_SCHEDULE_name:
    case KEY_SCHEDULE_cron:
    case KEY_SCHEDULE_timezone:
    case KEY_SCHEDULE_every_ms:
    case KEY_SCHEDULE_at:
    case KEY_SCHEDULE_function:
    case KEY_SCHEDULE_workflow:
    case KEY_SCHEDULE_queue:
    case KEY_SCHEDULE_input:
    case KEY_SCHEDULE_body:
    case KEY_SCHEDULE_overlap:
    case KEY_SCHEDULE_missed:
    case KEY_SCHEDULE_jitter_ms:
        return OK; /* as a whole: take_schedules() */
    case KEY_ROOT_r2_buckets:
        return take_bindings(r, BINDING_BUCKET, SHAPE_BUCKET, v);
    case KEY_BUCKET_binding:
        r->binding->name = v->text;
        return OK;
    case KEY_BUCKET_bucket_name:
        r->binding->target = v->text;
        return OK;
    case KEY_ROOT_triggers:
        return reader_object(r, SHAPE_TRIGGERS, v);
    case KEY_ROOT_limits:
        return reader_object(r, SHAPE_LIMITS, v);
    case KEY_ROOT_build:
        return reader_object(r, SHAPE_BUILD, v);
    case KEY_ROOT_isolation:
        err = take_word(r, v, isolations, ARRAY_LEN(isolations), &word);
        p->options.isolation = !err && word == 1 ? ISOLATION_MODULE : ISOLATION_REQUEST;
        return err;
    case KEY_ROOT_egress:
        return take_egress(r, v);
    case KEY_ROOT_compatibility_date:
        p->compatibility_date = text_of(r, v);
        return OK;
    case KEY_ROOT_compatibility_flags:
        take_texts(r, v, &p->compatibility_flags);
        return OK;
    case KEY_ROOT_rules:
        return take_rules(r, v);
    case KEY_ROOT_define:
        return take_pairs(r, v, &p->define);
    case KEY_ROOT_alias:
        return take_pairs(r, v, &p->alias);
    case KEY_ROOT_tsconfig:
        p->tsconfig = text_of(r, v);
        return OK;
    case KEY_ROOT_minify:
        p->is_minified = is_true;
        return OK;
    case KEY_ROOT_keep_names:
        p->drops_names = !is_true;
        return OK;
    case KEY_ROOT_no_bundle:
        p->is_built = is_true;
        return OK;
    case KEY_ROOT_jsx_factory:
        p->jsx_factory = text_of(r, v);
        return OK;
    case KEY_ROOT_jsx_fragment:
        p->jsx_fragment = text_of(r, v);
        return OK;
    case KEY_LIMITS_memory_mb:
        return take_limit(r, v, &p->options.memory_mb);
    case KEY_LIMITS_cpu_ms:
        return take_limit(r, v, &p->options.cpu_ms);
    case KEY_LIMITS_wall_ms:
        return take_limit(r, v, &p->options.wall_ms);
    case KEY_LIMITS_sql_transaction_ms:
        return take_limit(r, v, &p->options.sql_transaction_ms);
    case KEY_BUILD_command:
        p->build.command = text_of(r, v);
        return OK;
    case KEY_BUILD_cwd:
        p->build.cwd = text_of(r, v);
        return OK;
    case KEY_BUILD_watch:
    case KEY_BUILD_watch_dir:
        take_texts(r, v, &p->build.watch);
        return OK;
    case KEY_ASSETS_directory:
        p->assets.directory = text_of(r, v);
        return OK;
    case KEY_ASSETS_binding:
        p->assets.binding = text_of(r, v);
        return names_check_env(v->text, r->error);
    case KEY_ASSETS_not_found_handling:
        err = take_word(r, v, not_founds, ARRAY_LEN(not_founds), &word);
        p->assets.not_found = err ? NULL : not_founds[word];
        return err;
    case KEY_ASSETS_html_handling:
        err = take_word(r, v, htmls, ARRAY_LEN(htmls), &word);
        p->assets.html = err ? NULL : htmls[word];
        return err;
    case KEY_ASSETS_run_worker_first:
        p->assets.is_code_first = v->kind == BODY_BOOL && is_true;
        take_texts(r, v, &p->assets.code_first);
        return OK;
    case KEY_ASSETS_immutable:
        take_texts(r, v, &p->assets.immutable);
        return OK;
    case KEY_RULE_type:
        err = take_word(r, v, rules, ARRAY_LEN(rules), &word);
        r->rule->type = err ? NULL : rules[word];
        return err;
    case KEY_RULE_globs:
        take_texts(r, v, &r->rule->globs);
        return OK;
    case KEY_RULE_fallthrough:
        r->rule->falls_through = is_true;
        return OK;
    case KEY_ROUTE_pattern:
        texts_add(p->arena, &p->routes, text_of(r, v));
        return OK;
    case KEY_ROUTE_custom_domain:
        return OK; /* a host alone is one already */
    default:
        CHECK(false); /* the table says TAKEN and there is no case for it */
        return ERR_INTERNAL;
    }
}
