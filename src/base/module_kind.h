/* SPDX-License-Identifier: Apache-2.0
 *
 * What kinds of modules there are, a row each (module_kind.c). Whatever tells kinds apart asks its
 * row, never for the kind itself. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct bytes;

/* Stored as numbers. */
enum module_kind { MODULE_FUNCTION, MODULE_WORKFLOW, MODULE_KINDS };

/* What code exports, as bits; stored with a version. */
enum module_export {
    MODULE_EXPORT_FETCH = 1,       /* answers requests as the web's handlers do */
    MODULE_EXPORT_FUNCTION = 2,    /* a function is its default export */
    MODULE_EXPORT_HANDLER = 4,     /* one that serves either way */
    MODULE_EXPORT_SETUP = 8,       /* to be run once for a version, before anything else */
    MODULE_EXPORT_WORKFLOW = 16,   /* at least one workflow */
    MODULE_EXPORT_ENTRYPOINT = 32, /* at least one class that others may be bound to */
    MODULE_EXPORT_EVENT = 64,      /* handlers of events: scheduled(), queue() */
};

struct module_kind_info {
    const char *word;    /* "function": in messages, commands and JSON; its plural in paths */
    const char *words;   /* "functions" */
    uint32_t started_by; /* enum module_export; one of them is enough */
    /* Shown to whoever builds one that exports none of these. NULL: it may be built all the same,
     * unless what it exports makes another kind. */
    const char *example;
    const char *does;  /* "answer requests" */
    bool is_routed;    /* public requests reach it, by its name */
    bool has_isolates; /* what it runs at a time shares none, whatever its version says */
    /* What it runs are executions with a journal, started by requests to the API and by each other;
     * they have ids of their own, suspend, and may run on after a crash. */
    bool is_durable; /* of the kind; see module_is_durable() */
};
extern const struct module_kind_info module_kinds[MODULE_KINDS];

/* The kind whose plural the path begins with, "/functions/…"; MODULE_FUNCTION if none. */
enum module_kind module_kind_of_path(struct slice path);
/* Appends "function or workflow". */
void module_kinds_words(struct bytes *out);
/* Can executions with a journal be started of a module of this kind that exports these? A workflow, or
 * any other that exports one. */
bool module_is_durable(enum module_kind kind, uint32_t exports);
/* Has code that exports these what the kind is started by? ERR_BUILD_FAILED. */
NODISCARD enum err module_kind_check(enum module_kind kind, struct slice module, uint32_t exports,
                                     struct error *ret_error);
