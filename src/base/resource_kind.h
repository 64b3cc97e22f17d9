/* SPDX-License-Identifier: Apache-2.0
 *
 * What kinds of resources a namespace can have beside its modules, a row each (resource_kind.c): what
 * outlives every version and is shared by whatever is bound to it (module/binding.h). A resource has a
 * name in its namespace, a number that is never used again, and settings. Whatever tells kinds apart
 * asks its row. (What budgets bound, memory and disk, is enum resource: base/budget.h.) Any thread. */
#pragma once

#include "base/error.h"
#include "base/slice.h"

/* Stored as numbers. */
enum resource_kind {
    RESOURCE_KIND_KV,
    RESOURCE_KIND_D1,
    RESOURCE_KIND_QUEUE,
    RESOURCE_KIND_BUCKET,
    RESOURCE_KINDS
};

struct resource_kind_info {
    const char *word;  /* "kv": in JSON, metrics, and first of its commands */
    const char *path;  /* "/kv": of the control API */
    const char *title; /* "KV namespace": in messages */
    bool is_database;  /* each is a SQLite database with a file of its own */
};
extern const struct resource_kind_info resource_kinds[RESOURCE_KINDS];

enum { RESOURCE_NAME_BYTES_MAX = 63 };

/* The kind whose path this one is, or begins with, "/kv/…". */
enum resource_kind resource_kind_of_path(struct slice path);
/* By its word; false: there is none. */
bool resource_kind_find(struct slice word, enum resource_kind *ret_kind);
/* 1 to 63 letters, digits and inner '-', '_', '.'. ERR_INVALID. */
NODISCARD enum err resource_name_check(enum resource_kind kind, struct slice name,
                                       struct error *ret_error);
