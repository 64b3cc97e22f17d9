/* SPDX-License-Identifier: Apache-2.0
 *
 * A project: what limpet.toml, or wrangler's file or worky.toml in its place, says of a function or
 * workflow. limpet.toml is strict: what is not in the table (keys.def) is an error that names the
 * nearest key and the line. Files of others are read as they are: what means nothing here is a warning.
 *
 * Everything belongs to the arena. Any thread. */
#pragma once

#include "module/binding.h"
#include "project/document.h"
#include "store/store.h"

struct project_texts {
    const char **items; /* NULL-terminated */
    size_t len;
};

struct project_var {
    struct slice name, value;
    bool is_json; /* the value is JSON, of something that is no string */
};

struct project_vars {
    struct project_var *items;
    size_t len;
};

struct project_bindings {
    struct binding *items;
    size_t len;
};

/* Of a D1 binding that says something of them. */
struct project_migrations {
    size_t binding;          /* its place in project.bindings */
    const char *dir, *table; /* NULL: the usual ones */
};

struct project_pair {
    const char *name, *value;
};

struct project_pairs {
    struct project_pair *items;
    size_t len;
};

struct project_rule {
    const char *type;
    struct project_texts globs;
    bool falls_through;
};

struct project_assets {
    const char *directory; /* NULL: it has none */
    const char *binding;   /* NULL: none */
    const char *not_found; /* "none", "404-page", "single-page-application" */
    const char *html;      /* "auto-trailing-slash", … */
    bool is_code_first;
    struct project_texts code_first; /* patterns, if not always */
    struct project_texts immutable;  /* patterns */
};

struct project_build {
    const char *command, *cwd; /* NULL: none */
    struct project_texts watch;
};

/* A class of actors, by what it was called at first. */
struct project_class {
    struct slice name, origin; /* name "": deleted */
};

/* A kind of thing that it declares and that this server does not have. */
struct project_missing {
    const char *what; /* "KV namespaces" */
    const char *key;  /* "kv_namespaces" */
    int line;
};

struct project {
    struct arena *arena;
    const char *dir;         /* absolute */
    const char *path;        /* of the file, absolute */
    const char *file;        /* its name, for messages */
    bool is_foreign;         /* wrangler's or worky's */
    const char *environment; /* --env, or NULL */

    const char *name, *main, *space; /* NULL: not given */
    enum module_kind kind;
    struct version_options options; /* isolation and limits */
    struct project_texts egress, routes, compatibility_flags;
    const char *compatibility_date;
    struct project_vars vars;
    struct project_bindings bindings;
    struct project_texts crons;
    struct project_class *classes; /* of actors, as migrations say; in their order */
    size_t classes_len;
    struct slice consumers; /* of queues: a JSON array; "": none */
    struct slice schedules; /* JSON objects, with commas between; "": none */
    struct project_migrations *migrations;
    size_t migrations_len;
    struct project_pairs define, alias;
    struct project_rule *rules;
    size_t rules_len;
    const char *tsconfig, *jsx_factory, *jsx_fragment;
    bool is_minified, drops_names, is_built; /* is_built: no_bundle */
    struct project_assets assets;
    struct project_build build;

    const char *page_script; /* put behind its pages, by `limpet dev`; NULL: none */

    struct project_missing *missing;
    size_t missing_len;
    struct project_texts warnings;
};

/* The project's file of a folder: limpet.toml, wrangler.json, wrangler.jsonc, wrangler.toml, worky.toml,
 * the first there is; a path of such a file is that one. NULL: there is none. */
const char *project_find(struct arena *a, const char *path);
/* Reads a folder's project, or that of a file. environment: of --env, NULL for none. ERR_NOT_FOUND:
 * there is no project file; ERR_INVALID: a message with file and line. */
NODISCARD enum err project_read(struct arena *a, const char *path, const char *environment,
                                struct project **ret_project, struct error *ret_error);
/* The same from a text; for tests. dir: "" for none. */
NODISCARD enum err project_parse(struct arena *a, const char *dir, const char *file,
                                 struct slice source, const char *environment,
                                 struct project **ret_project, struct error *ret_error);
/* Reads .dev.vars, else .env, of its folder, if there is one (with --env NAME .dev.vars.NAME first): each
 * variable takes the place of the one in vars. */
NODISCARD enum err project_read_dev_vars(struct project *p, struct error *ret_error);
/* NAME=VALUE lines, as in .env files; is pure. Later ones win. */
NODISCARD enum err project_dotenv(struct arena *a, const char *file, struct slice source,
                                  struct project_vars *vars, struct error *ret_error);
/* Appends what it declares, as uploads have it: a JSON array; nothing if there is none. */
void project_schedules(const struct project *p, struct bytes *out);
/* A path of the project as the system takes it: what is relative is of its folder. */
const char *project_path(const struct project *p, const char *path);
/* esbuild's arguments for what it says of bundling, NULL-terminated. */
const char *const *project_bundle_args(struct project *p);
/* Adds a warning to those there are. */
void project_warn(struct project *p, const char *format, ...) PRINTF_LIKE(2, 3);
/* Gives resources that it is bound to and does not name their usual names, when its own is settled. */
void project_name_resources(struct project *p);
/* Bindings to classes that were renamed say so. */
void project_name_classes(struct project *p);
