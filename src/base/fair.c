/* SPDX-License-Identifier: Apache-2.0
 *
 * See fair.h. Two levels of queues: the round of owners, each with a round of its members that
 * wait, each with its places in the order they came. An owner or member exists while it holds or
 * waits for something. */
#include "base/fair.h"

#include <stdlib.h>

struct fair_owner {
    struct account *key; /* a reference; NULL: nobody's */
    unsigned used, members;
    struct list link;  /* in fair->round while a member waits */
    struct list round; /* members that wait */
};

struct fair_member {
    struct fair_owner *owner;
    const void *key;
    unsigned used;
    struct list link;    /* in owner->round while a place waits */
    struct list waiting; /* places, oldest first */
};

static struct slice owner_key(struct account *const *key)
{
    return slice_of((const char *)key, sizeof(*key));
}

static struct slice member_key(const void *const key[2])
{
    return slice_of((const char *)key, 2 * sizeof(*key));
}

static void *fair_alloc(size_t size)
{
    void *p = calloc(1, size);
    if (!p)
        check_out_of_memory(size);
    return p;
}

static struct fair_owner *owner_of(struct fair *f, struct account *key)
{
    struct fair_owner *o = map_get(&f->owners, owner_key(&key));
    if (o)
        return o;
    o = fair_alloc(sizeof(*o));
    o->key = key ? account_ref(key) : NULL;
    list_init(&o->round);
    list_init(&o->link);
    map_put(&f->owners, owner_key(&key), o);
    return o;
}

static struct fair_member *member_of(struct fair *f, struct account *owner, const void *member)
{
    const void *key[2] = {owner, member};
    struct fair_member *m = map_get(&f->members, member_key(key));
    if (m)
        return m;
    m = fair_alloc(sizeof(*m));
    m->owner = owner_of(f, owner);
    m->owner->members++;
    m->key = member;
    list_init(&m->waiting);
    list_init(&m->link);
    map_put(&f->members, member_key(key), m);
    return m;
}

static void member_settle(struct fair *f, struct fair_member *m)
{
    struct fair_owner *o = m->owner;
    if (list_is_empty(&m->waiting))
        list_remove(&m->link);
    if (list_is_empty(&o->round))
        list_remove(&o->link);
    if (m->used || !list_is_empty(&m->waiting))
        return;
    map_remove(&f->members, member_key((const void *[2]){o->key, m->key}));
    free(m);
    if (--o->members)
        return;
    CHECK(o->used == 0);
    map_remove(&f->owners, owner_key(&o->key));
    account_unref(o->key);
    free(o);
}

static bool owner_may(const struct fair *f, const struct fair_owner *o)
{
    return f->used < f->max && o->used < f->max - f->used;
}

static bool member_may(const struct fair *f, const struct fair_member *m)
{
    /* An owner that may holds less than half. */
    return owner_may(f, m->owner) && m->used < f->max / 2 - m->owner->used;
}

static bool owner_pays(struct fair *f, const struct fair_owner *o)
{
    if (!o->key || budget_take(&o->key->budgets[f->resource], 1, NULL))
        return true;
    f->refused(f);
    return false;
}

static void owner_refund(const struct fair *f, const struct fair_owner *o)
{
    if (o->key)
        budget_give(&o->key->budgets[f->resource], 1);
}

/* Its owner has paid. */
static void place_take(struct fair *f, struct fair_place *p)
{
    p->is_held = true;
    p->member->used++;
    p->member->owner->used++;
    f->used++;
}

static struct fair_member *owner_next(struct fair *f, struct fair_owner *o)
{
    LIST_FOREACH (n, &o->round) {
        struct fair_member *m = container_of(n, struct fair_member, link);
        if (member_may(f, m))
            return m;
    }
    return NULL;
}

/* The first place that may be held now, in turns. It is paid for. */
static struct fair_place *fair_next(struct fair *f)
{
    LIST_FOREACH (n, &f->round) {
        struct fair_owner *o = container_of(n, struct fair_owner, link);
        struct fair_member *m = owner_may(f, o) ? owner_next(f, o) : NULL;
        if (!m || !owner_pays(f, o))
            continue;
        list_remove(&o->link);
        list_push_back(&f->round, &o->link);
        list_remove(&m->link);
        list_push_back(&o->round, &m->link);
        return container_of(m->waiting.next, struct fair_place, link);
    }
    return NULL;
}

void fair_retry(struct fair *f)
{
    struct fair_place *p;
    while (f->waiting && f->used < f->max && (p = fair_next(f))) {
        list_remove(&p->link);
        f->waiting--;
        place_take(f, p);
        member_settle(f, p->member);
        p->granted(p);
    }
}

void fair_init(struct fair *f, unsigned max, enum resource resource,
               void (*refused)(struct fair *f))
{
    CHECK(max >= 2);
    *f = (struct fair){.max = max, .resource = resource, .refused = refused};
    list_init(&f->round);
}

void fair_done(struct fair *f)
{
    CHECK(f->used == 0 && f->waiting == 0);
    map_done(&f->members);
    map_done(&f->owners);
}

bool fair_enter(struct fair *f, struct fair_place *p, struct account *owner, const void *member)
{
    CHECK(!p->member);
    p->member = member_of(f, owner, member);
    p->is_held = false;
    struct fair_member *m = p->member;
    /* A member that may and yet waits does so for the account: it was there first. */
    if (list_is_empty(&m->waiting) && member_may(f, m) && !owner_next(f, m->owner) &&
        owner_pays(f, m->owner)) {
        place_take(f, p);
        return true;
    }
    list_push_back(&m->waiting, &p->link);
    f->waiting++;
    if (!list_is_linked(&m->link))
        list_push_back(&m->owner->round, &m->link);
    if (!list_is_linked(&m->owner->link))
        list_push_back(&f->round, &m->owner->link);
    return false;
}

void fair_leave(struct fair *f, struct fair_place *p)
{
    if (!p->member)
        return;
    struct fair_member *m = TAKE(p->member);
    if (p->is_held) {
        p->is_held = false;
        owner_refund(f, m->owner);
        m->used--;
        m->owner->used--;
        f->used--;
    } else {
        list_remove(&p->link);
        f->waiting--;
    }
    member_settle(f, m);
    fair_retry(f);
}

void fair_hand_over(struct fair_place *from, struct fair_place *to)
{
    CHECK(from->member && !to->member);
    to->is_held = from->is_held;
    if (!from->is_held) {
        list_insert_before(&from->link, &to->link);
        list_remove(&from->link);
    }
    to->member = TAKE(from->member);
    from->is_held = false;
}

unsigned fair_member_held(const struct fair_place *p)
{
    return p->member ? p->member->used : 0;
}

unsigned fair_owner_held(const struct fair_place *p)
{
    return p->member ? p->member->owner->used : 0;
}
