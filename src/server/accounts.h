/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose budgets are whose: the server's account, one for each namespace below it, one for each module
 * below that, kept for as long as the module is known, whatever versions of it come and go. */
#pragma once

#include "base/budget.h"

struct accounts;
struct config;

struct accounts *accounts_new(const struct config *config);
void accounts_free(struct accounts *a);
struct account *accounts_server(struct accounts *a); /* borrowed */
/* What the module holds at this moment; 0 where there is none. Any thread. */
size_t accounts_held(struct accounts *a, struct slice name, enum resource r);
/* A reference, made at first use. Any thread. */
struct account *accounts_module(struct accounts *a, struct slice name);
/* Likewise. */
struct account *accounts_namespace(struct accounts *a, struct slice name);
/* The module was deleted: a new one of its name begins at zero. What the last guests of the old one
 * use is still seen by accounts_used(). */
void accounts_forget(struct accounts *a, struct slice name);
/* The namespace was deleted, its modules before it. */
void accounts_forget_namespace(struct accounts *a, struct slice name);
/* Each module, each namespace with its name; under the lock, so fn calls nothing that comes back here.
 */
void accounts_each(struct accounts *a, void (*fn)(void *arg, struct slice name, struct account *of),
                   void *arg);
void accounts_each_namespace(struct accounts *a,
                             void (*fn)(void *arg, struct slice name, struct account *of),
                             void *arg);

/* The module's limits: its quota where it has one (0: none), else what the server gives each. At
 * once; who holds more already gets nothing new until it is below. */
void accounts_quota(struct accounts *a, struct slice name, const int64_t quota[RESOURCES]);
/* Of all that is in it. Without a quota only the server's limit bounds it. */
void accounts_namespace_quota(struct accounts *a, struct slice name,
                              const int64_t quota[RESOURCES]);
/* Resources that are charged to modules, and so may have a quota. ret_least, ret_most: what one may
 * be. */
bool accounts_has_quota(const struct accounts *a, enum resource r, size_t *ret_least,
                        size_t *ret_most);
/* The limit without a quota. */
size_t accounts_default(const struct accounts *a, enum resource r);
size_t accounts_namespace_default(const struct accounts *a, enum resource r);
struct used {
    uint64_t requests, cpu_us, memory_byte_s, egress_bytes;
};
/* What each has used since the last call, if anything. Under the lock, as above. */
void accounts_used(struct accounts *a,
                   void (*fn)(void *arg, struct slice name, const struct used *used), void *arg);

/* What the process may use: the least of the machine's memory and its cgroups' limits. Bytes. */
uint64_t machine_memory_bytes(void);
