/* SPDX-License-Identifier: Apache-2.0
 *
 * See budget.h. A budget is one atomic counter: taken with a compare-and-swap, so that the limit is
 * never passed by takers, not even for a moment in which others would be refused for nothing. */
#include "base/budget.h"

#include <stdio.h>
#include <stdlib.h>

static bool level_take(struct budget *b, size_t n)
{
    size_t used = atomic_load_explicit(&b->used, memory_order_relaxed);
    size_t max = atomic_load_explicit(&b->max, memory_order_relaxed);
    do {
        if (used > max || n > max - used)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&b->used, &used, used + n, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static void level_give(struct budget *b, size_t n)
{
    size_t before = atomic_fetch_sub_explicit(&b->used, n, memory_order_relaxed);
    CHECK(before >= n);
}

bool budget_take(struct budget *b, size_t n, struct budget **ret_full)
{
    for (struct budget *at = b; at; at = at->parent) {
        if (level_take(at, n))
            continue;
        for (struct budget *taken = b; taken != at; taken = taken->parent)
            level_give(taken, n);
        if (ret_full)
            *ret_full = at;
        return false;
    }
    return true;
}

void budget_force(struct budget *b, size_t n)
{
    for (; b; b = b->parent)
        atomic_fetch_add_explicit(&b->used, n, memory_order_relaxed);
}

void budget_give(struct budget *b, size_t n)
{
    for (; b; b = b->parent)
        level_give(b, n);
}

size_t budget_used(const struct budget *b)
{
    return atomic_load_explicit(&b->used, memory_order_relaxed);
}

size_t budget_left(const struct budget *b)
{
    size_t left = SIZE_MAX;
    for (; b; b = b->parent) {
        size_t used = budget_used(b), max = atomic_load_explicit(&b->max, memory_order_relaxed);
        size_t here = used < max ? max - used : 0;
        if (here < left)
            left = here;
    }
    return left;
}

/* ---- allowances ---- */

static size_t grains(size_t n)
{
    size_t rest = n % ALLOWANCE_GRAIN_BYTES;
    return rest ? n - rest + ALLOWANCE_GRAIN_BYTES : n;
}

bool allowance_take(struct allowance *a, size_t n, struct budget **ret_full)
{
    size_t lacks = a->used + n > a->held ? grains(a->used + n - a->held) : 0;
    if (lacks > 0 && a->from && !budget_take(a->from, lacks, ret_full))
        return false;
    a->held += lacks;
    a->used += n;
    return true;
}

void allowance_force(struct allowance *a, size_t n)
{
    size_t lacks = a->used + n > a->held ? grains(a->used + n - a->held) : 0;
    if (lacks > 0 && a->from)
        budget_force(a->from, lacks);
    a->held += lacks;
    a->used += n;
}

/* One grain is kept, so that an amount that goes up and down around a border stays here. */
void allowance_give(struct allowance *a, size_t n)
{
    CHECK(a->used >= n);
    a->used -= n;
    size_t keeps = grains(a->used) + ALLOWANCE_GRAIN_BYTES;
    if (a->held <= keeps)
        return;
    if (a->from)
        budget_give(a->from, a->held - keeps);
    a->held = keeps;
}

void allowance_done(struct allowance *a)
{
    CHECK(a->used == 0);
    if (a->from && a->held > 0)
        budget_give(a->from, a->held);
    a->held = 0;
}

/* ---- accounts ---- */

static const struct {
    const char *name, *text;
    enum err code;
} resources[] = {
#define X(CODE, name, error, text) {name, text, ERR_##error},
    RESOURCE_TABLE(X)
#undef X
};

const char *resource_name(enum resource r)
{
    return resources[r].name;
}

struct account *account_new(struct account *parent, const char *kind, struct slice name)
{
    struct account *a = calloc(1, sizeof(*a));
    CHECK(a);
    atomic_init(&a->refs, 1);
    a->parent = parent ? account_ref(parent) : NULL;
    int len = name.len > 0 ? snprintf(a->text, sizeof(a->text), "the %s '%.*s'", kind,
                                      name.len > 127 ? 127 : (int)name.len, name.ptr)
                           : snprintf(a->text, sizeof(a->text), "the %s", kind);
    a->name = slice_of(a->text, (size_t)len);
    for (int r = 0; r < RESOURCES; r++) {
        struct budget *b = &a->budgets[r];
        b->parent = parent ? &parent->budgets[r] : NULL;
        b->owner = a;
        atomic_init(&b->max, SIZE_MAX);
    }
    return a;
}

struct account *account_ref(struct account *a)
{
    atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
    return a;
}

void account_unref(struct account *a)
{
    while (a && atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) == 1) {
        struct account *parent = a->parent;
        free(a);
        a = parent;
    }
}

bool account_is_single(const struct account *a)
{
    return atomic_load_explicit(&a->refs, memory_order_acquire) == 1;
}

void account_limit(struct account *a, enum resource r, size_t max)
{
    atomic_store_explicit(&a->budgets[r].max, max, memory_order_relaxed);
}

enum err budget_refuse(const struct budget *full, struct error *ret_error)
{
    const struct account *a = full->owner;
    enum resource r = (enum resource)(full - a->budgets);
    size_t max = atomic_load_explicit(&full->max, memory_order_relaxed);
    enum err code = a->parent ? resources[r].code : ERR_OVERLOAD;
    error_set(ret_error, code, "%.*s has reached its limit of %zu %s", SLICE_ARG(a->name), max,
              resources[r].text);
    error_hint(ret_error,
               a->parent ? "hold less at once, or raise the quota %s"
                         : "try again later, or raise the server's limit %s",
               resources[r].name);
    return code;
}

enum err account_take(struct account *a, enum resource r, size_t n, struct error *ret_error)
{
    struct budget *full;
    if (budget_take(&a->budgets[r], n, &full))
        return OK;
    return budget_refuse(full, ret_error);
}

void account_give(struct account *a, enum resource r, size_t n)
{
    budget_give(&a->budgets[r], n);
}
