/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose budgets are whose: the server's account, one for each module below it, kept for as long as
 * the module is known, whatever versions of it come and go. */
#pragma once

#include "base/budget.h"

struct accounts;
struct config;

struct accounts *accounts_new(const struct config *config);
void accounts_free(struct accounts *a);
struct account *accounts_server(struct accounts *a); /* borrowed */
/* A reference, made at first use. Any thread. */
struct account *accounts_module(struct accounts *a, struct slice name);
/* The module was deleted: a new one of its name begins at zero. */
void accounts_forget(struct accounts *a, struct slice name);
/* Each with its name; under the lock, so fn calls nothing that comes back here. */
void accounts_each(struct accounts *a, void (*fn)(void *arg, struct slice name, struct account *of),
                   void *arg);

/* What the process may use: the least of the machine's memory and its cgroups' limits. Bytes. */
uint64_t machine_memory_bytes(void);
