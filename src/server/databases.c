/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the databases of modules and of resources lie: the one place that makes a row into a path, and
 * what removes files, also those of images, that no row names any more. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/module_name.h"
#include "host/database.h"
#include "loop/work.h"
#include "server/accounts.h"
#include "server/actor_files.h"
#include "server/server.h"
#include "store/store.h"

/* With the time it was made in its name, a module deleted and made again has a new database. What
 * is in the default namespace has no prefix. */
void databases_file_name(const struct function_row *f, struct bytes *out)
{
    struct module_name n = module_name_split(f->name);
    bool is_default = namespace_is_default(n.space);
    bytes_printf(out, "%.*s%s%.*s-%lld.sqlite", SLICE_ARG(is_default ? SLICE_EMPTY : n.space),
                 is_default ? "" : "@", SLICE_ARG(n.name), (long long)f->created_us);
}

void databases_path(const struct server *s, const struct function_row *f, struct bytes *out)
{
    bytes_printf(out, "%s/", s->config.sql_dir);
    databases_file_name(f, out);
}

/* No namespace begins so. */
static void resource_file_name(int64_t id, struct bytes *out)
{
    bytes_printf(out, "=%lld.sqlite", (long long)id);
}

struct database *databases_resource(struct server *s, struct slice space, int64_t id)
{
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    struct account *account = accounts_namespace(s->accounts, space);
    bytes_printf(&path, "%s/", s->config.sql_dir);
    resource_file_name(id, &path);
    struct database *b = databases_get(s->databases, bytes_cstr(&path), account);
    account_unref(account);
    return b;
}

/* ---- sweep ---- */

/* The database that a file is a part of; "": it is none of ours. */
static struct slice file_database(struct slice name)
{
    static const char *const suffixes[] = {".sqlite", ".sqlite-wal", ".sqlite-shm"};
    for (size_t k = 0; k < ARRAY_LEN(suffixes); k++) {
        struct slice suffix = slice_cstr(suffixes[k]);
        if (name.len > suffix.len && slice_ends(name, suffix))
            return slice_of(name.ptr, name.len - suffix.len + strlen(".sqlite"));
    }
    return SLICE_EMPTY;
}

/* Files are listed first: what is made after that has a row by the time the rows are read. */
struct sweep {
    struct work work;
    struct store_query query;
    struct server *server;
    struct loop *loop;
    struct namespace_row *spaces; /* of the query's arena, as all texts */
    size_t spaces_len, at;        /* at: of all kinds of modules and resources in each */
    struct map files, names;
    struct map images, modules; /* folders of images; names */
    struct map actors;          /* folders of actors */
    bool is_removing;
};

static void sweep_list(struct sweep *s)
{
    DIR *dir = opendir(s->server->config.sql_dir);
    struct dirent *e;
    while (dir && (e = readdir(dir)))
        if (slice_ends(slice_cstr(e->d_name), SLICE_LIT(ACTOR_FILES_SUFFIX)))
            (void)map_put(&s->actors, slice_cstr(e->d_name), s);
        else if (file_database(slice_cstr(e->d_name)).len > 0)
            (void)map_put(&s->files, slice_cstr(e->d_name), s);
    if (dir)
        (void)closedir(dir);
    images_list(s->server, &s->images);
}

static void sweep_remove(struct sweep *s)
{
    size_t cursor = 0;
    struct slice file;
    void *ignored;
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    while (map_next(&s->files, &cursor, &file, &ignored)) {
        if (map_get(&s->names, file_database(file)))
            continue;
        bytes_clear(&path);
        bytes_printf(&path, "%s/%.*s", s->server->config.sql_dir, SLICE_ARG(file));
        if (unlink(bytes_cstr(&path)) == 0)
            log_info("a file of a deleted module is removed", LOG_SLICE("file", file));
    }
}

/* Those of modules that are there are counted, the others go. */
static void sweep_actors(struct sweep *s)
{
    size_t cursor = 0;
    struct slice folder;
    void *ignored;
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT, database = BYTES_INIT;
    while (map_next(&s->actors, &cursor, &folder, &ignored)) {
        bytes_clear(&path);
        bytes_clear(&database);
        bytes_printf(&path, "%s/%.*s", s->server->config.sql_dir, SLICE_ARG(folder));
        folder.len -= strlen(ACTOR_FILES_SUFFIX);
        bytes_printf(&database, "%.*s.sqlite", SLICE_ARG(folder));
        const struct function_row *row = map_get(&s->names, bytes_slice(&database));
        if (!row) {
            actor_files_unlink(bytes_cstr(&path), NULL);
            log_info("actors of a deleted module are removed", LOG_SLICE("module", folder));
            continue;
        }
        struct account *account = accounts_module(s->server->accounts, row->name);
        actor_files_count(bytes_cstr(&path), account);
        account_unref(account);
    }
}

static void sweep_free(struct sweep *s)
{
    arena_free(s->query.arena);
    map_done(&s->files);
    map_done(&s->names);
    map_done(&s->images);
    map_done(&s->modules);
    map_done(&s->actors);
    loop_arrived(s->loop);
    free(s);
}

static void sweep_run(struct work *w)
{
    struct sweep *s = container_of(w, struct sweep, work);
    if (s->is_removing) {
        sweep_remove(s);
        sweep_actors(s);
        images_sweep(s->server, &s->images, &s->modules);
    } else {
        sweep_list(s);
    }
}

static void sweep_ask(struct sweep *s, enum store_query_kind kind)
{
    s->query.kind = kind;
    store_ask(s->server->store, &s->query);
}

/* The modules or resources of the next namespace and kind; when there are no more, all names are known. */
static void sweep_next(struct sweep *s)
{
    enum { KINDS = MODULE_KINDS + RESOURCE_KINDS };
    size_t kind = s->at % KINDS;
    if (s->at == KINDS * s->spaces_len) {
        s->is_removing = true;
        work_start(s->loop, &s->work);
        return;
    }
    struct slice space = s->spaces[s->at / KINDS].name;
    s->at++;
    if (kind < MODULE_KINDS) {
        s->query.functions.space = space;
        s->query.functions.kind = (enum module_kind)kind;
        sweep_ask(s, STORE_QUERY_FUNCTIONS);
        return;
    }
    s->query.resources.space = space;
    s->query.resources.kind = (enum resource_kind)(kind - MODULE_KINDS);
    sweep_ask(s, STORE_QUERY_RESOURCES);
}

static void sweep_name(struct sweep *s, const struct store_query *q)
{
    CLEANUP(bytes_done) struct bytes name = BYTES_INIT;
    for (size_t k = 0; q->kind == STORE_QUERY_FUNCTIONS && k < q->functions.len; k++) {
        bytes_clear(&name);
        databases_file_name(&q->functions.rows[k], &name);
        (void)map_put(&s->names, bytes_slice(&name), &q->functions.rows[k]);
        (void)map_put(&s->modules, q->functions.rows[k].name, s);
    }
    for (size_t k = 0; q->kind == STORE_QUERY_RESOURCES && k < q->resources.len; k++) {
        bytes_clear(&name);
        resource_file_name(q->resources.rows[k].id, &name);
        (void)map_put(&s->names, bytes_slice(&name), s);
    }
}

static void sweep_answered(struct store_query *q)
{
    struct sweep *s = container_of(q, struct sweep, query);
    if (q->error.code != OK) {
        log_warn("databases of deleted modules stay until the next start",
                 LOG_STR("error", q->error.message));
        sweep_free(s);
        return;
    }
    if (q->kind == STORE_QUERY_NAMESPACES) {
        s->spaces = q->namespaces.rows;
        s->spaces_len = q->namespaces.len;
    }
    sweep_name(s, q);
    sweep_next(s);
}

static void sweep_done(struct work *w)
{
    struct sweep *s = container_of(w, struct sweep, work);
    if (s->is_removing)
        sweep_free(s);
    else
        sweep_ask(s, STORE_QUERY_NAMESPACES);
}

void databases_sweep(struct server *server, struct loop *loop)
{
    struct sweep *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->server = server;
    s->loop = loop;
    s->work = (struct work){.run = sweep_run, .done = sweep_done};
    s->query = (struct store_query){.loop = loop, .done = sweep_answered, .arena = arena_new(NULL)};
    loop_expect(loop);
    work_start(loop, &s->work);
}
