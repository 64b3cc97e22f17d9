/* SPDX-License-Identifier: Apache-2.0
 *
 * Uploads of functions and workflows: what the body says, and the answer.
 *
 * An upload is checked whole before anything happens: an unknown or misspelled member is refused,
 * so that nobody believes in a limit that was never set. It is answered when its build's record is
 * durable, or, with ?wait=, when the build has ended. */
#include "admin/body.h"
#include "admin/build_queue.h"
#include "admin/internal.h"
#include "admin/names.h"
#include "asset/assets.h"
#include "base/limits.h"
#include "base/module_name.h"
#include "http/route_pattern.h"
#include "module/binding.h"
#include "module/runtimes.h"

/* ---- what the body says ---- */

static enum err wrong_kind(const char *member, const char *wanted, const struct body_value *v,
                           struct error *ret_error)
{
    error_set(ret_error, ERR_INVALID, "'%s' is %s, but must be %s", member, body_kind_text(v->kind),
              wanted);
    error_hint(ret_error, "GET /openapi.json describes the members of an upload");
    return ERR_INVALID;
}

static enum err read_text(const char *member, const struct body_value *v, struct bytes *ret_text,
                          struct error *ret_error)
{
    if (v->kind != BODY_STRING)
        return wrong_kind(member, "a string", v, ret_error);
    bytes_clear(ret_text);
    body_string(v, ret_text);
    if (ret_text->len <= LIMIT_SOURCE_BYTES)
        return OK;
    error_set(ret_error, ERR_TOO_LARGE,
              "'%s' has %zu bytes, more than the %d that a module may have", member, ret_text->len,
              LIMIT_SOURCE_BYTES);
    error_hint(ret_error, "leave large data out of the module");
    return ERR_TOO_LARGE;
}

static enum err read_isolation(const struct body_value *v, enum isolation *ret_isolation,
                               struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    if (v->kind != BODY_STRING)
        return wrong_kind("isolation", "a string", v, ret_error);
    body_string(v, &text);
    if (slice_eq_cstr(bytes_slice(&text), "request"))
        *ret_isolation = ISOLATION_REQUEST;
    else if (slice_eq_cstr(bytes_slice(&text), "module"))
        *ret_isolation = ISOLATION_MODULE;
    else {
        error_set(ret_error, ERR_INVALID, "there is no isolation '%.*s'",
                  SLICE_ARG(slice_utf8_clip(bytes_slice(&text), 40)));
        error_hint(ret_error, "'request' gives each request fresh globals, 'module' keeps them");
        return ERR_INVALID;
    }
    return OK;
}

static enum err unknown_member(const char *where, const struct bytes *key, const char *const *known,
                               size_t known_len, struct error *ret_error)
{
    const char *nearest = names_nearest(bytes_slice(key), known, known_len);
    error_set(ret_error, ERR_INVALID, "%s has no member '%.*s'", where,
              SLICE_ARG(slice_utf8_clip(bytes_slice(key), 60)));
    if (nearest)
        error_hint(ret_error, "did you mean '%s'?", nearest);
    else
        error_hint(ret_error, "GET /openapi.json describes the members");
    return ERR_INVALID;
}

static enum err read_limits(const struct body_value *v, struct version_options *options,
                            struct error *ret_error)
{
    static const char *const names[] = {"memory_mb", "cpu_ms", "wall_ms", "sql_transaction_ms"};
    uint32_t *const values[] = {&options->memory_mb, &options->cpu_ms, &options->wall_ms,
                                &options->sql_transaction_ms};
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    struct body_value value;
    if (v->kind != BODY_OBJECT)
        return wrong_kind("limits", "an object", v, ret_error);
    struct body_walk walk = body_walk(v);
    while (body_next_member(&walk, &key, &value)) {
        size_t i = 0;
        while (i < ARRAY_LEN(names) && !slice_eq_cstr(bytes_slice(&key), names[i]))
            i++;
        if (i == ARRAY_LEN(names))
            return unknown_member("'limits'", &key, names, ARRAY_LEN(names), ret_error);
        uint64_t number;
        if (value.kind == BODY_NULL)
            continue;
        if (!body_uint(&value, &number) || number == 0 || number > UINT32_MAX) {
            error_set(ret_error, ERR_INVALID, "limit '%s' must be a whole number above 0",
                      names[i]);
            error_hint(ret_error, "leave it out for the default");
            return ERR_INVALID;
        }
        *values[i] = (uint32_t)number;
    }
    return names_check_limits(options, ret_error);
}

static enum err read_egress(const struct body_value *v, struct bytes *ret_domains,
                            struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes domain = BYTES_INIT;
    struct body_value item;
    size_t count = 0;
    if (v->kind != BODY_ARRAY)
        return wrong_kind("egress", "an array of domains", v, ret_error);
    bytes_clear(ret_domains);
    struct body_walk walk = body_walk(v);
    for (; body_next_item(&walk, &item); count++) {
        if (item.kind != BODY_STRING)
            return wrong_kind("egress", "an array of strings", &item, ret_error);
        bytes_clear(&domain);
        body_string(&item, &domain);
        enum err err = names_check_domain(bytes_slice(&domain), ret_error);
        if (err)
            return err;
        if (count > 0)
            bytes_append_char(ret_domains, ',');
        bytes_append_slice(ret_domains, bytes_slice(&domain));
        if (count == NAMES_DOMAINS_MAX) {
            error_set(ret_error, ERR_INVALID, "'egress' has more than %d domains",
                      NAMES_DOMAINS_MAX);
            error_hint(ret_error, "use '*.suffix' for many names of one domain");
            return ERR_INVALID;
        }
    }
    if (count > 0)
        return OK;
    error_set(ret_error, ERR_INVALID, "'egress' is empty");
    error_hint(ret_error,
               "leave it out to allow all public hosts, or name those that may be reached");
    return ERR_INVALID;
}

/* As a JSON object without what does not matter, so that equal variables are equal texts. */
static enum err read_vars(const struct body_value *v, struct bytes *ret_vars,
                          struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes name = BYTES_INIT;
    struct body_value value;
    size_t count = 0;
    if (v->kind != BODY_OBJECT)
        return wrong_kind("vars", "an object", v, ret_error);
    bytes_clear(ret_vars);
    struct json_writer w = json_writer(ret_vars);
    json_open(&w, '{');
    struct body_walk walk = body_walk(v);
    for (; body_next_member(&walk, &name, &value); count++) {
        enum err err = names_check_env(bytes_slice(&name), ret_error);
        if (err)
            return err;
        if (value.text.len > LIMIT_ENV_VALUE_BYTES || count == LIMIT_ENV_VARS) {
            error_set(ret_error, ERR_TOO_LARGE,
                      "'vars' has more than %d variables, or one of more than %d bytes",
                      LIMIT_ENV_VARS, LIMIT_ENV_VALUE_BYTES);
            error_hint(ret_error, "keep large data in the bundle or in its database");
            return ERR_TOO_LARGE;
        }
        json_key(&w, bytes_cstr(&name));
        json_raw(&w, value.text);
    }
    json_close(&w, '}');
    if (count == 0)
        bytes_clear(ret_vars);
    return OK;
}

static enum err read_routes(struct arena *a, const struct body_value *v, struct bytes *ret_lines,
                            struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    struct body_value item;
    struct route_pattern pattern;
    size_t count = 0;
    if (v->kind != BODY_ARRAY)
        return wrong_kind("routes", "an array of patterns", v, ret_error);
    bytes_clear(ret_lines);
    struct body_walk walk = body_walk(v);
    for (; body_next_item(&walk, &item); count++) {
        if (item.kind != BODY_STRING)
            return wrong_kind("routes", "an array of strings", &item, ret_error);
        bytes_clear(&text);
        body_string(&item, &text);
        enum err err = route_pattern_parse(bytes_slice(&text), a, &pattern, ret_error);
        if (err)
            return err;
        if (count == ROUTE_PATTERNS_MAX) {
            error_set(ret_error, ERR_INVALID, "'routes' has more than %d patterns",
                      ROUTE_PATTERNS_MAX);
            error_hint(ret_error, "use '*' for many paths, or many hosts");
            return ERR_INVALID;
        }
        if (count > 0)
            bytes_append_char(ret_lines, '\n');
        bytes_append_slice(ret_lines, bytes_slice(&text));
    }
    return OK;
}

/* As they are kept: checked, sorted, and without what does not matter. */
static enum err read_bindings(struct arena *a, const struct body_value *v,
                              struct binding **ret_items, size_t *ret_len, struct bytes *ret_json,
                              struct error *ret_error)
{
    enum err err = bindings_read(v->text, a, ret_items, ret_len, ret_error);
    for (size_t k = 0; err == OK && k < *ret_len; k++)
        err = names_check_binding(&(*ret_items)[k], ret_error);
    if (err == OK) {
        bytes_clear(ret_json);
        bindings_write(*ret_items, *ret_len, ret_json);
    }
    return err;
}

/* The parts of an upload while its body is read. */
struct upload_parts {
    struct arena *arena;
    struct binding *items; /* of bindings; the arena's */
    size_t items_len;
    struct bytes name, domains, vars, bindings, routes;
    struct slice schedules, consumers; /* JSON, borrowed from the body; "": none */
    struct build_upload upload;
    const struct runtime_type *of; /* whose artifact or detail it has */
    struct bytes runtime;          /* named */
    bool has_source, has_code;
};

static void upload_parts_done(struct upload_parts *p)
{
    bytes_done(&p->name);
    bytes_done(&p->domains);
    bytes_done(&p->vars);
    bytes_done(&p->bindings);
    bytes_done(&p->routes);
    bytes_done(&p->upload.source);
    build_output_done(&p->upload.built);
    bytes_done(&p->runtime);
    bytes_done(&p->upload.assets);
}

enum { RUNTIMES_SHOWN_MAX = 8 };

/* All that an upload may have, for who has mistyped one. */
static size_t upload_members(const char *const *members, size_t members_len, const char **ret,
                             size_t max)
{
    size_t n = 0;
    for (size_t k = 0; k < members_len; k++)
        ret[n++] = members[k];
    for (size_t k = 0; k < runtime_types_len && n + 2 <= max; k++) {
        ret[n++] = runtime_types[k]->artifact_member;
        if (runtime_types[k]->detail_member)
            ret[n++] = runtime_types[k]->detail_member;
    }
    return n;
}

/* What runs it: named, or told by what was uploaded. */
static enum err choose_runtime(struct upload_parts *p, struct error *ret_error)
{
    struct slice name = bytes_slice(&p->runtime);
    const struct runtime_type *type = name.len == 0 && p->of ? p->of : runtime_type_find(name);
    if (!type || (p->of && type != p->of)) {
        error_set(ret_error, ERR_INVALID, "there is no runtime '%.*s'%s%s",
                  SLICE_ARG(slice_utf8_clip(name, 60)), type ? " that takes a " : "",
                  type ? p->of->artifact_member : "");
        error_hint(ret_error, "leave 'runtime' out for TypeScript and JavaScript");
        return ERR_INVALID;
    }
    if (type != runtime_types[0]) /* the first is meant by none */
        p->upload.options.runtime = slice_cstr(type->name);
    return OK;
}

static enum err read_member(struct upload_parts *p, const struct bytes *key,
                            const struct body_value *v, struct error *ret_error)
{
    static const char *const members[] = {
        "name",  "source", "runtime",  "isolation", "limits",    "egress", "vars",
        "serve", "assets", "bindings", "schedules", "consumers", "routes"};
    const char *known[ARRAY_LEN(members) + 2 * RUNTIMES_SHOWN_MAX];
    size_t known_len = upload_members(members, ARRAY_LEN(members), known, ARRAY_LEN(known));
    struct slice name = bytes_slice(key);
    struct build_upload *u = &p->upload;
    if (slice_eq_cstr(name, "name"))
        return read_text("name", v, &p->name, ret_error);
    const struct runtime_type *of = runtime_type_of_member(name);
    bool is_known = of;
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        is_known |= slice_eq_cstr(name, members[i]);
    if (!is_known)
        return unknown_member("an upload", key, known, known_len, ret_error);
    if (v->kind == BODY_NULL)
        return OK; /* as if left out */
    if (slice_eq_cstr(name, "source")) {
        p->has_source = true;
        return read_text("source", v, &u->source, ret_error);
    }
    if (of) {
        bool is_artifact = slice_eq_cstr(name, of->artifact_member);
        p->of = of;
        p->has_code |= is_artifact;
        return read_text(is_artifact ? of->artifact_member : of->detail_member, v,
                         is_artifact ? &u->built.artifact : &u->built.detail, ret_error);
    }
    if (slice_eq_cstr(name, "runtime"))
        return read_text("runtime", v, &p->runtime, ret_error);
    if (slice_eq_cstr(name, "isolation"))
        return read_isolation(v, &u->options.isolation, ret_error);
    if (slice_eq_cstr(name, "limits"))
        return read_limits(v, &u->options, ret_error);
    if (slice_eq_cstr(name, "assets")) {
        struct assets *assets;
        enum err err = assets_parse(v->text, &assets, ret_error);
        if (err)
            return err;
        assets_unref(assets);
        bytes_clear(&u->assets);
        bytes_append_slice(&u->assets, v->text);
        return OK;
    }
    if (slice_eq_cstr(name, "serve")) {
        if (v->kind != BODY_BOOL)
            return wrong_kind("serve", "true or false", v, ret_error);
        u->is_kept_back = slice_eq_cstr(v->text, "false");
        return OK;
    }
    if (slice_eq_cstr(name, "vars"))
        return read_vars(v, &p->vars, ret_error);
    if (slice_eq_cstr(name, "routes"))
        return read_routes(p->arena, v, &p->routes, ret_error);
    if (slice_eq_cstr(name, "bindings"))
        return read_bindings(p->arena, v, &p->items, &p->items_len, &p->bindings, ret_error);
    if (slice_eq_cstr(name, "consumers")) {
        p->consumers = v->text;
        return OK;
    }
    if (slice_eq_cstr(name, "schedules")) {
        p->schedules = v->text;
        return OK;
    }
    return read_egress(v, &p->domains, ret_error);
}

/* A name in `env` is a variable's or a binding's. */
static enum err check_bound_once(const struct upload_parts *p, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes name = BYTES_INIT;
    struct body_value root, value;
    if (p->vars.len == 0 || body_parse(bytes_slice(&p->vars), &root, NULL) != OK)
        return OK;
    for (struct body_walk walk = body_walk(&root); body_next_member(&walk, &name, &value);)
        for (size_t k = 0; k < p->items_len; k++)
            if (slice_eq(p->items[k].name, bytes_slice(&name)))
                return error_set(ret_error, ERR_INVALID,
                                 "'%.*s' is the name of a variable and of a binding",
                                 SLICE_ARG(p->items[k].name));
    return OK;
}

static enum err read_upload(struct admin_request *r, struct upload_parts *p,
                            struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    struct body_value root, value;
    enum err err = body_parse(r->body, &root, ret_error);
    if (err)
        return err;
    if (root.kind != BODY_OBJECT)
        return wrong_kind("the request body", "an object", &root, ret_error);
    struct body_walk walk = body_walk(&root);
    while (body_next_member(&walk, &key, &value)) {
        err = read_member(p, &key, &value, ret_error);
        if (err)
            return err;
    }
    err = request_module(r, bytes_slice(&p->name), &p->upload.function, ret_error);
    if (err)
        return err;
    if (p->has_source == p->has_code) {
        error_set(ret_error, ERR_INVALID,
                  p->has_code ? "an upload has 'source' or '%s', not both"
                              : "the upload has no 'source'",
                  p->of ? p->of->artifact_member : "");
        error_hint(ret_error, "send {\"name\": …, \"source\": \"…TypeScript…\"}");
        return ERR_INVALID;
    }
    if (p->has_source && p->upload.built.detail.len > 0) {
        error_set(ret_error, ERR_INVALID, "'%s' belongs to '%s', not to 'source'",
                  p->of->detail_member, p->of->artifact_member);
        error_hint(ret_error, "leave it out: the server makes one");
        return ERR_INVALID;
    }
    err = choose_runtime(p, ret_error);
    if (err)
        return err;
    p->upload.is_built = p->has_code;
    p->upload.options.domains = bytes_slice(&p->domains);
    p->upload.options.vars = bytes_slice(&p->vars);
    p->upload.options.bindings = bytes_slice(&p->bindings);
    if (p->consumers.len > 0) {
        err = consumers_of_upload(p->consumers, r->arena, &p->upload.options.consumers, ret_error);
        if (err)
            return err;
    }
    if (p->schedules.len > 0) {
        err = schedules_of_upload(p->schedules, p->upload.function, r->kind, r->arena,
                                  &p->upload.options.schedules, ret_error);
        if (err)
            return err;
    }
    p->upload.options.routes = bytes_slice(&p->routes);
    return check_bound_once(p, ret_error);
}

static enum err check_target(struct admin_request *r, const struct upload_parts *p,
                             const struct binding *b, struct error *ret_error)
{
    const struct binding_kind_info *kind = &binding_kinds[b->kind];
    CLEANUP(bytes_done) struct bytes module = BYTES_INIT;
    struct function_row row;
    const struct slice target = binding_module(b);
    if (kind->is_files && p->upload.assets.len == 0) {
        error_set(ret_error, ERR_INVALID,
                  "binding '%.*s' is of static files, and this upload has none",
                  SLICE_ARG(b->name));
        error_hint(ret_error, "give 'assets' (docs/assets.md), or leave the binding out");
        return ERR_INVALID;
    }
    module_name_join(r->space, target, &module);
    if (target.len == 0 || slice_eq(bytes_slice(&module), p->upload.function))
        return OK; /* itself */
    enum err err = read_function(r, arena_copy(r->arena, bytes_slice(&module)), &row, ret_error);
    if (err == OK && (kind->is_workflow ? module_is_durable(row.kind, row.exports)
                                        : module_kinds[row.kind].is_routed))
        return OK;
    if (err != OK && err != ERR_NOT_FOUND)
        return err;
    const char *lacks =
        kind->is_workflow ? " that exports no workflow" : ", which answers no requests";
    error_set(ret_error, ERR_INVALID, "binding '%.*s' leads to '%.*s', and %s%s%s",
              SLICE_ARG(b->name), SLICE_ARG(target),
              err == OK           ? "that is a "
              : kind->is_workflow ? "there is no module of that name"
                                  : "there is no function of that name",
              err == OK ? kind_word(row.kind) : "", err == OK ? lacks : "");
    error_hint(ret_error,
               "deploy that one first, in the same namespace: limpet %s upload %.*s FILE",
               kind->is_workflow ? "workflow" : "function", SLICE_ARG(target));
    return ERR_INVALID;
}

/* Of a binding to a resource, one of a list: is it there? The deploy makes it if not. */
static enum err check_resource(struct admin_request *r, const struct binding *items, size_t at,
                               struct json_writer *made, struct error *ret_error)
{
    const struct binding *b = &items[at];
    const struct binding_kind_info *kind = &binding_kinds[b->kind];
    struct store_query q;
    for (size_t k = 0; k < at; k++)
        if (items[k].kind == b->kind && slice_eq(items[k].target, b->target))
            return OK; /* once is enough */
    enum err err = read_resource(r, kind->resource, b->target, &q, ret_error);
    if (err != ERR_NOT_FOUND)
        return err;
    json_open(made, '{');
    json_key(made, "type");
    json_cstr(made, kind->word);
    json_key(made, "name");
    json_slice(made, b->target);
    json_close(made, '}');
    return OK;
}

/* What it is bound to must be there, or is made by the deploy (written to `made`, a JSON array). All are
 * asked for before the first answer is looked at. */
static enum err check_targets(struct admin_request *r, const struct upload_parts *p,
                              struct bytes *made, struct error *ret_error)
{
    enum err first = OK;
    bytes_clear(made);
    struct json_writer w = json_writer(made);
    json_open(&w, '[');
    for (size_t k = 0; k < p->items_len; k++) {
        struct error error = {0};
        enum err err = binding_kinds[p->items[k].kind].is_resource
                           ? check_resource(r, p->items, k, &w, &error)
                           : check_target(r, p, &p->items[k], &error);
        if (first == OK && err != OK)
            *ret_error = error;
        first = first == OK ? err : first;
    }
    json_close(&w, ']');
    return first;
}

/* So that it is said at once; who is first is decided when it is published. */
static enum err check_routes(struct admin_request *r, const struct upload_parts *p,
                             struct error *ret_error)
{
    const struct admin_host *host = &r->admin->host;
    if (p->routes.len == 0 || p->upload.is_kept_back)
        return OK;
    if (!module_kinds[r->kind].is_routed) {
        error_set(ret_error, ERR_INVALID, "a %s answers no requests, so it has no routes",
                  module_kinds[r->kind].word);
        error_hint(ret_error, "leave 'routes' out");
        return ERR_INVALID;
    }
    return host->routes.check(host->ctx, p->upload.function, bytes_slice(&p->routes), ret_error);
}

/* ---- the answer ---- */

struct upload_state {
    struct admin_request *request;
    struct build_watch watch;
    struct timer timer;
    struct slice function;
    struct slice made; /* JSON: resources that were not there */
    int64_t number;
    uint64_t wait_ms;
};

static void upload_stop(struct admin_request *r)
{
    struct upload_state *s = r->state;
    build_watch_stop(&s->watch);
    timer_stop(r->admin->loop, &s->timer);
}

static void reply_accepted(struct admin_request *r)
{
    struct upload_state *s = r->state;
    struct error error = {0};
    struct function_row function;
    if (function_read(r, s->function, &function, &error)) {
        reply_error(r, &error);
        return;
    }
    enum build_status status = BUILD_QUEUED;
    int64_t started_us;
    (void)build_queue_live(r->admin->builds, s->function, s->number, &status, &started_us);
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    module_json(&w, "name", s->function);
    json_key(&w, "version");
    json_int(&w, function.version);
    json_key(&w, "resources_made");
    json_raw(&w, s->made);
    json_key(&w, "build");
    json_open(&w, '{');
    json_key(&w, "id");
    json_int(&w, s->number);
    json_key(&w, "status");
    json_cstr(&w, build_status_text(status));
    json_close(&w, '}');
    json_close(&w, '}');
    reply_json(r, 202, &body);
}

static void on_wait_over(struct timer *t)
{
    struct upload_state *s = container_of(t, struct upload_state, timer);
    upload_stop(s->request);
    request_go(s->request, reply_accepted);
}

static void on_upload_recorded(struct build_watch *w, int64_t number, const struct error *error)
{
    struct upload_state *s = container_of(w, struct upload_state, watch);
    s->number = number;
    if (error->code) {
        reply_error(s->request, error);
    } else if (s->wait_ms == 0) {
        build_watch_stop(w);
        request_go(s->request, reply_accepted);
    } else {
        timer_start(s->request->admin->loop, &s->timer, s->wait_ms, on_wait_over);
    }
}

static void reply_ended(struct admin_request *r)
{
    struct upload_state *s = r->state;
    build_reply_ended(r, s->function, s->number, s->made);
}

static void on_upload_end(struct build_watch *w, const struct error *error)
{
    struct upload_state *s = container_of(w, struct upload_state, watch);
    upload_stop(s->request);
    if (error->code)
        reply_error(s->request, error);
    else
        request_go(s->request, reply_ended);
}

void function_upload(struct admin_request *r)
{
    CLEANUP(upload_parts_done) struct upload_parts parts = {0};
    CLEANUP(bytes_done) struct bytes made = BYTES_INIT;
    struct error error = {0};
    struct upload_state *s = arena_new_struct(r->arena, struct upload_state);
    parts.arena = r->arena;
    if (request_query_wait(r, &s->wait_ms, &error) || read_upload(r, &parts, &error) ||
        check_targets(r, &parts, &made, &error) || check_routes(r, &parts, &error)) {
        reply_error(r, &error);
        return;
    }
    request_body_drop(r);
    s->request = r;
    s->made = arena_copy(r->arena, bytes_slice(&made));
    parts.upload.kind = r->kind;
    s->function = arena_copy(r->arena, parts.upload.function);
    s->watch.on_recorded = on_upload_recorded;
    s->watch.on_end = on_upload_end;
    request_audit_target(r, s->function);
    parts.upload.audit = request_audit(r);
    struct build_upload upload = parts.upload;
    parts.upload.source = BYTES_INIT;
    parts.upload.built = (struct build_output){0};
    parts.upload.assets = BYTES_INIT;
    if (build_queue_submit(r->admin->builds, &upload, &s->watch, &error)) {
        reply_error(r, &error);
        return;
    }
    r->has_audit = true;
    r->state = s;
    request_on_gone(r, upload_stop); /* the build goes on without its client */
}
