/* SPDX-License-Identifier: Apache-2.0
 *
 * Uploading, listing, showing and deleting functions and workflows: r->kind says which. They share
 * one space of names, so asking for the one as the other is answered with where it is.
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
#include "module/runtimes.h"

const char *kind_word(enum module_kind kind)
{
    return module_kinds[kind].word;
}

enum err function_read(struct admin_request *r, struct slice name, struct function_row *ret_row,
                       struct error *ret_error)
{
    const char *word = kind_word(r->kind);
    enum err err = names_check_function(module_name_split(name).name, ret_error);
    if (err)
        return err;
    err = read_function(r, name, ret_row, ret_error);
    if (err == ERR_NOT_FOUND) {
        error_set(ret_error, ERR_NOT_FOUND, "there is no %s '%.*s'", word, SLICE_ARG(name));
        error_hint(ret_error,
                   "'limpet %s list' shows what there is; 'limpet %s upload %.*s FILE' makes it",
                   word, word, SLICE_ARG(name));
    } else if (!err && ret_row->kind != r->kind) {
        const char *other = kind_word(ret_row->kind);
        err = error_set(ret_error, ERR_NOT_FOUND, "'%.*s' is a %s, not a %s", SLICE_ARG(name),
                        other, word);
        error_hint(ret_error, "ask for it under %s/%ss/%.*s, or with 'limpet %s …'", r->base, other,
                   SLICE_ARG(module_name_split(name).name), other);
    }
    return err;
}

enum err module_check(struct admin_request *r, struct slice name, struct error *ret_error)
{
    struct function_row function;
    enum err err = names_check_function(module_name_split(name).name, ret_error);
    if (!err)
        err = read_function(r, name, &function, ret_error);
    if (err != ERR_NOT_FOUND)
        return err;
    CLEANUP(bytes_done) struct bytes words = BYTES_INIT;
    module_kinds_words(&words);
    error_set(ret_error, ERR_NOT_FOUND, "there is no %.*s '%.*s'", SLICE_ARG(bytes_slice(&words)),
              SLICE_ARG(name));
    error_hint(ret_error, "'limpet function list' and the like show what there is");
    return ERR_NOT_FOUND;
}

enum err request_module(struct admin_request *r, struct slice name, struct slice *ret_module,
                        struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes module = BYTES_INIT;
    enum err err = names_check_function(name, ret_error);
    if (err)
        return err;
    module_name_join(r->space, name, &module);
    *ret_module = arena_copy(r->arena, bytes_slice(&module));
    return OK;
}

struct slice function_url(struct admin_request *r, struct slice name)
{
    int port = r->admin->public_port;
    struct module_name n = module_name_split(name);
    bool is_default = namespace_is_default(n.space);
    if (port <= 0 || !module_kinds[r->kind].is_routed)
        return SLICE_EMPTY;
    return slice_cstr(arena_printf(r->arena, "http%s://%.*s%s%.*s.localhost:%d/",
                                   r->admin->is_public_tls ? "s" : "", SLICE_ARG(n.name),
                                   is_default ? "" : ".",
                                   SLICE_ARG(is_default ? SLICE_EMPTY : n.space), port));
}

/* ---- upload: what the body says ---- */

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

/* The parts of an upload while its body is read. */
struct upload_parts {
    struct bytes name, domains, vars;
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
    static const char *const members[] = {"name",   "source", "runtime", "isolation", "limits",
                                          "egress", "vars",   "serve",   "assets"};
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
    return read_egress(v, &p->domains, ret_error);
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
    return OK;
}

/* ---- upload: the answer ---- */

struct upload_state {
    struct admin_request *request;
    struct build_watch watch;
    struct timer timer;
    struct slice function;
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
    build_reply_ended(r, s->function, s->number);
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
    struct error error = {0};
    struct upload_state *s = arena_new_struct(r->arena, struct upload_state);
    if (request_query_wait(r, &s->wait_ms, &error) || read_upload(r, &parts, &error)) {
        reply_error(r, &error);
        return;
    }
    request_body_drop(r);
    s->request = r;
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

/* ---- list, show ---- */

/* derp's words for the function itself. */
static const char *status_text(const struct function_row *row, enum build_status build)
{
    if (row->version > 0)
        return "ready";
    switch (build) {
    case BUILD_FAILED:
        return "failed";
    case BUILD_QUEUED:
        return "storing";
    default:
        return "compiling";
    }
}

static void split_json(struct json_writer *w, const struct function_row *row)
{
    json_key(w, "split");
    if (!row->split_version) {
        json_nil(w);
        return;
    }
    json_open(w, '{');
    json_key(w, "version");
    json_int(w, row->split_version);
    json_key(w, "percent");
    json_double(w, row->split_permyriad / 100.0);
    json_close(w, '}');
}

static void function_json_members(struct admin_request *r, struct json_writer *w,
                                  const struct function_row *row)
{
    enum build_status build = row->last_build_status;
    int64_t started_us;
    (void)build_queue_live(r->admin->builds, row->name, row->last_build, &build, &started_us);
    module_json(w, "name", row->name);
    json_key(w, "status");
    json_cstr(w, status_text(row, build));
    json_key(w, "version");
    json_int(w, row->version);
    split_json(w, row);
    text_json(w, "content_hash", row->hash);
    text_json(w, "url", function_url(r, row->name));
    json_key(w, "last_build");
    if (row->last_build > 0) {
        json_open(w, '{');
        json_key(w, "id");
        json_int(w, row->last_build);
        json_key(w, "status");
        json_cstr(w, build_status_text(build));
        json_close(w, '}');
    } else {
        json_nil(w);
    }
    times_json(w, "created_at", row->created_us);
    times_json(w, "updated_at", row->updated_us);
}

static void function_json(struct admin_request *r, struct json_writer *w, const void *row)
{
    json_open(w, '{');
    function_json_members(r, w, row);
    json_close(w, '}');
}

void function_list(struct admin_request *r)
{
    struct function_row *rows;
    size_t len;
    struct error error = {0};
    if (read_functions(r, r->kind, &rows, &len, &error))
        reply_error(r, &error);
    else
        reply_rows(r, rows, len, sizeof(*rows), function_json);
}

static void limit_json(struct json_writer *w, const char *key, uint32_t value, uint32_t def)
{
    json_key(w, key);
    json_int(w, value ? value : def);
}

/* Limits that were not given show the defaults that hold. */
void version_options_json(struct json_writer *w, const struct version_options *o)
{
    json_key(w, "isolation");
    json_cstr(w, o->isolation == ISOLATION_MODULE ? "module" : "request");
    json_key(w, "limits");
    json_open(w, '{');
    limit_json(w, "memory_mb", o->memory_mb, LIMIT_GUEST_MEMORY_BYTES >> 20);
    limit_json(w, "cpu_ms", o->cpu_ms, LIMIT_GUEST_CPU_MS);
    limit_json(w, "wall_ms", o->wall_ms, LIMIT_GUEST_WALL_MS);
    limit_json(w, "sql_transaction_ms", o->sql_transaction_ms, LIMIT_SQL_TRANSACTION_MS);
    json_close(w, '}');
    raw_json(w, "vars", o->vars);
    json_key(w, "egress");
    if (o->domains.len == 0) {
        json_nil(w);
        return;
    }
    json_open(w, '[');
    for (struct slice rest = o->domains; rest.len > 0;)
        json_slice(w, slice_split(&rest, ','));
    json_close(w, ']');
}

void function_show(struct admin_request *r)
{
    struct function_row row;
    struct version_row version = {0};
    struct error error = {0};
    enum err err = function_read(r, r->params[0], &row, &error);
    if (!err && row.version > 0)
        err = read_version(r, row.name, &version, &error);
    if (err) {
        reply_error(r, &error);
        return;
    }
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    function_json_members(r, &w, &row);
    if (row.version > 0) {
        version_options_json(&w, &version.options);
        times_json(&w, "version_created_at", version.created_us);
    }
    json_close(&w, '}');
    reply_json(r, 200, &body);
}

/* ---- delete ---- */

static void on_deleted(struct admin_request *r, const struct store_op *op)
{
    if (op->error.code)
        reply_error(r, &op->error);
    else
        function_forget(r, r->params[0], reply_changed);
}

void function_forget(struct admin_request *r, struct slice module,
                     void (*fn)(struct admin_request *r, const struct error *e))
{
    log_followers_end(r->admin, module);
    change_announce(r, module, ADMIN_DELETED, fn);
}

void function_delete(struct admin_request *r)
{
    struct function_row row;
    struct error error = {0};
    if (function_read(r, r->params[0], &row, &error)) {
        reply_error(r, &error);
        return;
    }
    build_queue_cancel(r->admin->builds, r->params[0]);
    store_function_delete(r->admin->store, request_op(r, on_deleted), r->params[0]);
}
