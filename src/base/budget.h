/* SPDX-License-Identifier: Apache-2.0
 *
 * Budgets: how much of a resource someone may hold, with a parent that bounds it, too: guest ->
 * module -> namespace -> process. What a guest causes the host to hold is taken from a budget
 * before it exists and given back when it is gone; so every byte, connection and look-up has an
 * owner, and what all of them hold together has a bound.
 *
 * A budget is shared: any thread may take and give. An allowance is one thread's end of a chain
 * (a guest's, a connection's): it takes from its budget in coarse grains, so that small amounts
 * touch no shared memory. An account is all budgets of one owner, with meters of what it has used.
 *
 * Lifetimes: a budget outlives its children, an account is counted (account_ref). */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

/* name on the wire, unit, what the error says is used up. The limits of memory and disk are bytes.
 */
#define RESOURCE_TABLE(X)                                                                          \
    X(MEMORY, "memory_bytes", LIMIT_MEMORY, "bytes of memory")                                     \
    X(ISOLATES, "isolates", LIMIT_QUOTA, "isolates at once")                                       \
    X(CONNECTIONS, "connections", LIMIT_QUOTA, "outgoing connections at once")                     \
    X(LOOKUPS, "lookups", LIMIT_QUOTA, "name look-ups at once")                                    \
    X(COMPUTATIONS, "computations", LIMIT_QUOTA, "long computations at once")                      \
    X(DISK, "disk_bytes", LIMIT_DISK, "bytes on disk")

enum resource {
#define X(CODE, name, error, text) RESOURCE_##CODE,
    RESOURCE_TABLE(X)
#undef X
        RESOURCES
};

struct account;

struct budget {
    struct budget *parent; /* NULL: the process's */
    const struct account *owner;
    _Atomic size_t used;
    _Atomic size_t max; /* SIZE_MAX: only the parent bounds it */
};

/* Takes n from the budget and all above it, or nothing. *ret_full (may be NULL) is the budget that
 * refused. */
NODISCARD bool budget_take(struct budget *b, size_t n, struct budget **ret_full);
/* For what exists already and cannot be refused: it may pass the limit, and takers then fail. */
void budget_force(struct budget *b, size_t n);
void budget_give(struct budget *b, size_t n);
size_t budget_used(const struct budget *b);
/* How much could be taken at this moment, through all levels. */
size_t budget_left(const struct budget *b);

/* ---- one thread's end of a chain ---- */

enum { ALLOWANCE_GRAIN_BYTES = 64 * 1024 };

/* from NULL: counts only. Zero-initialized is that. */
struct allowance {
    struct budget *from;
    size_t used;
    size_t held; /* taken from the budget: a multiple of the grain, at least used */
};

NODISCARD bool allowance_take(struct allowance *a, size_t n, struct budget **ret_full);
void allowance_force(struct allowance *a, size_t n);
void allowance_give(struct allowance *a, size_t n);
void allowance_done(struct allowance *a); /* gives back what is held; used must be 0 */

/* ---- an owner ---- */

/* What it has used since the process began. Relaxed counters, added to by any thread. */
struct meter {
    _Atomic uint64_t requests;
    _Atomic uint64_t cpu_ns;
    _Atomic uint64_t memory_byte_ms; /* memory of its guests, for as long as they had work */
    _Atomic uint64_t egress_bytes;   /* answers, and requests to others, that left */
};

struct account {
    struct account *parent; /* a reference */
    struct slice name;      /* "module 'a'", for errors */
    struct budget budgets[RESOURCES];
    struct meter meter;
    /* private */
    _Atomic int refs;
    char text[160];
};

/* A new one without limits of its own. kind: "module", "namespace", "server". Takes no reference
 * of yours to the parent but its own. */
struct account *account_new(struct account *parent, const char *kind, struct slice name);
struct account *account_ref(struct account *a);
void account_unref(struct account *a);
/* Nobody but the caller has a reference. What others did before they gave theirs back is seen. */
bool account_is_single(const struct account *a);
void account_limit(struct account *a, enum resource r, size_t max);

/* ERR_LIMIT_MEMORY, ERR_LIMIT_DISK or ERR_LIMIT_QUOTA of an owner's own limit; ERR_OVERLOAD where the whole server's is
 * reached, which can pass. The message names owner and limit. */
NODISCARD enum err account_take(struct account *a, enum resource r, size_t n,
                                struct error *ret_error);
void account_give(struct account *a, enum resource r, size_t n);
/* The error of a budget that refused. */
enum err budget_refuse(const struct budget *full, struct error *ret_error);
const char *resource_name(enum resource r);
