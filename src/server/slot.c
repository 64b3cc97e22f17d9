/* SPDX-License-Identifier: Apache-2.0
 *
 * See slot.h. Isolates are kept where they were used last: pristine ones in the slot's pool, the one
 * of isolation = "module" as its resident. Slots with something to give back are in two lists of the
 * thread, the one first that was not wanted for longest, so nothing here walks over all slots. */
#include "server/slot.h"

#include <malloc.h>
#include <stdlib.h>

#include "base/clock.h"
#include "loop/work.h"
#include "server/actor.h"
#include "server/turn.h"

enum {
    IDLE_MAX = 128,    /* isolates of a thread that wait for work */
    SLOT_RESERVE = 8,  /* one slot does not get the last eighth of the isolates */
    CALLS_RESERVE = 4, /* nor do calls get the last quarter: who makes them holds some already */
    SLOTS_GIVE_BACK = 256, /* that have rested: worth giving memory back for */
    TRIMS_LOOK = 8,        /* of so many one looks at what malloc keeps */
};
/* What it may keep for later; above, who wants it may be others. */
#define MALLOC_KEPT_BYTES ((size_t)64 << 20)
/* So long after a request they stay: state that is lost for good, and an image, which comes again. */
#define RESIDENT_NS_MIN (UINT64_C(2) * 1000 * 1000 * 1000)
#define IMAGE_NS_MIN (UINT64_C(200) * 1000 * 1000)

struct slot *slot_new(struct worker *w, struct deployment *d)
{
    struct slot *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->deployment = d;
    s->worker = w;
    s->is_routed = true;
    s->metered_ms = loop_now_ms(&w->loop);
    list_init(&s->idle);
    list_init(&s->all);
    list_init(&s->fresh);
    list_init(&s->lengthy);
    list_init(&s->tasks);
    list_init(&s->actors);
    list_push_back(&w->slots, &s->link);
    return s;
}

/* ---- idle isolates ---- */

static void drop_guest(struct slot *s, struct guest *g)
{
    s->guests--;
    s->worker->guests_len--;
    list_remove(&g->member);
    guest_free(g);
}

static void idle_push(struct slot *s, struct guest *g)
{
    list_push_front(&s->idle, &g->link);
    s->idle_len++;
    s->worker->idle_len++;
    list_remove(&s->pool);
    list_push_back(&s->worker->pools, &s->pool);
}

static struct guest *idle_take(struct slot *s, struct list *which)
{
    list_remove(which);
    s->worker->idle_len--;
    if (--s->idle_len < s->idle_min)
        s->idle_min = s->idle_len;
    if (s->idle_len == 0)
        list_remove(&s->pool);
    return container_of(which, struct guest, link);
}

static void drop_idle(struct slot *s, unsigned n)
{
    while (n-- > 0 && s->idle_len > 0)
        drop_guest(s, idle_take(s, s->idle.prev));
}

/* The resident, if nothing is to be done in it. */
static bool drop_resident(struct slot *s)
{
    struct guest *g = s->resident;
    if (!g || guest_has_work(g) || g->is_queued)
        return false;
    s->resident = NULL;
    guest_end(g, NULL);
    drop_guest(s, g);
    return true;
}

static void slot_rest(struct slot *s);

/* What was not called lately loses for others that have nothing: a module its state between requests,
 * a function its image. */
static bool reclaim_warm(struct worker *w)
{
    uint64_t now = clock_monotonic_ns();
    LIST_FOREACH (n, &w->warm) { /* the one used longest ago first */
        struct slot *s = container_of(n, struct slot, warm);
        if (now - s->used_ns < IMAGE_NS_MIN)
            return false;
        if (s->invocations > 0)
            continue;
        if (now - s->used_ns >= RESIDENT_NS_MIN && drop_resident(s))
            return true;
        if (s->is_user && s->guests == 0) {
            slot_rest(s); /* perhaps it is gone then */
            return true;
        }
    }
    return false;
}

bool slots_reclaim(struct worker *w)
{
    if (list_is_empty(&w->pools))
        return actors_reclaim(w) || reclaim_warm(w);
    drop_idle(container_of(w->pools.next, struct slot, pool), 1);
    return true;
}

/* ---- taken and given back ---- */

/* A guest for the slot: resident, idle, or new. NULL with code OK: the limit is reached, wait. */
static struct guest *take_guest(struct slot *s, const struct task *t, struct error *ret_error)
{
    struct worker *w = s->worker;
    unsigned max = t->is_call ? w->guests_max - w->guests_max / CALLS_RESERVE : w->guests_max;
    if (s->resident && !t->is_own)
        return s->resident;
    if (s->idle_len > 0)
        return idle_take(s, s->idle.next);
    if (w->guests_len >= max || s->guests >= w->guests_max - w->guests_max / SLOT_RESERVE)
        return NULL;
    struct guest *g;
    if (guest_new(&w->host, s->deployment, &g, ret_error) != OK)
        return NULL;
    g->owner = s;
    list_push_back(&s->all, &g->member);
    s->guests++;
    w->guests_len++;
    if (s->deployment->is_module_isolation && !t->is_own)
        s->resident = g;
    return g;
}

struct guest *slot_take(struct slot *s, const struct task *t, struct error *ret_error)
{
    struct worker *w = s->worker;
    ret_error->code = OK;
    struct guest *g = take_guest(s, t, ret_error);
    while (!g && (ret_error->code == OK || ret_error->code == ERR_OVERLOAD) && slots_reclaim(w)) {
        ret_error->code = OK;
        g = take_guest(s, t, ret_error);
    }
    if (!g && ret_error->code == OK) {
        error_set(ret_error, ERR_OVERLOAD, "all %u isolates of this thread are busy",
                  w->guests_max);
        error_hint(ret_error, "try again later, or raise --isolates-max or --queue-max");
    }
    return g;
}

/* Its module has no isolate left to take: one that waits for work here might be wanted by another
 * thread. */
static bool is_at_quota(const struct slot *s)
{
    struct account *of = s->deployment->account;
    return of && budget_left(&of->budgets[RESOURCE_ISOLATES]) == 0;
}

bool slot_give(struct slot *s, struct guest *g)
{
    struct worker *w = s->worker;
    if (s->resident == g && s->is_routed)
        return false;
    if (s->resident == g)
        s->resident = NULL;
    guest_end(g, NULL);
    list_remove(&g->link); /* whatever it reported last is void now */
    g->is_queued = false;
    if (s->is_routed && !s->deployment->is_module_isolation && !is_at_quota(s) && guest_recycle(g))
        idle_push(s, g);
    else
        drop_guest(s, g);
    if (w->idle_len > IDLE_MAX)
        (void)slots_reclaim(w);
    return true;
}

/* ---- what it uses ---- */

static void meter_add(_Atomic uint64_t *counter, uint64_t n)
{
    if (n > 0)
        atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* What its guests hold at this moment stands for the time since the last look. */
static void slot_meter(struct slot *s)
{
    struct account *of = s->deployment->account;
    if (!of)
        return;
    uint64_t now = loop_now_ms(&s->worker->loop);
    size_t held = 0;
    LIST_FOREACH (n, &s->all)
        held += container_of(n, struct guest, member)->memory.used;
    meter_add(&of->meter.requests, s->requests);
    meter_add(&of->meter.cpu_ns, s->cpu_ns);
    meter_add(&of->meter.egress_bytes, s->egress_bytes);
    meter_add(&of->meter.memory_byte_ms, held * (now - s->metered_ms));
    s->requests = s->cpu_ns = s->egress_bytes = 0;
    s->metered_ms = now;
}

/* ---- wanted, at rest, gone ---- */

void slot_use(struct slot *s, uint64_t now_ns)
{
    s->used_ns = now_ns;
    if (list_is_linked(&s->warm)) {
        list_remove(&s->warm);
        list_push_back(&s->worker->warm, &s->warm);
    }
}

void slot_warm(struct slot *s)
{
    if (list_is_linked(&s->warm))
        return;
    s->metered_ms = loop_now_ms(&s->worker->loop); /* it held nothing until now */
    list_push_back(&s->worker->warm, &s->warm);
}

/* Its share of the image goes; the next request gets it anew. */
static void leave_deployment(struct slot *s)
{
    s->is_ready = false;
    if (!s->is_user)
        return;
    s->is_user = false;
    s->worker->warm_len--;
    deployment_leave(s->deployment);
}

void slot_release(struct slot *s)
{
    if (s->is_routed || s->guests > 0 || s->invocations > 0 || s->fibers > 0)
        return;
    CHECK(list_is_empty(&s->tasks));
    slot_meter(s);
    list_remove(&s->link);
    list_remove(&s->stalled);
    schedule_remove(&s->fresh_share);
    schedule_remove(&s->lengthy_share);
    list_remove(&s->warm);
    leave_deployment(s);
    deployment_unref(s->deployment);
    free(s);
}

void slot_retire(struct slot *s)
{
    s->is_routed = false;
    s->invocations++;
    actors_retire(s);
    s->invocations--;
    if (s->split)
        slot_retire(TAKE(s->split));
    if (s->is_unnamed)
        (void)map_remove(&s->worker->unnamed, slot_key(&s->deployment));
    drop_idle(s, s->idle_len);
    (void)drop_resident(s);
    slot_release(s);
}

struct give_back {
    struct work work;
    bool is_sure;
};

static void memory_give_back(struct work *work)
{
    if (container_of(work, struct give_back, work)->is_sure ||
        mallinfo2().fordblks > MALLOC_KEPT_BYTES)
        (void)malloc_trim(0);
}

static void memory_given_back(struct work *work)
{
    free(container_of(work, struct give_back, work));
}

/* What slots had is free by then, but malloc keeps it; likewise what a flood has left in between of
 * what is still used. To give it to the system takes milliseconds, in which other threads may have
 * to wait for malloc: once for many slots or a lot of memory, and on the pool. */
static void slots_give_back(struct worker *w)
{
    bool is_sure = w->rested >= SLOTS_GIVE_BACK;
    bool looks = w->index == 0 && ++w->trims % TRIMS_LOOK == 0;
    if (!is_sure && !looks)
        return;
    struct give_back *job = calloc(1, sizeof(*job));
    CHECK(job);
    *job = (struct give_back){{.run = memory_give_back, .done = memory_given_back}, is_sure};
    if (is_sure)
        w->rested = 0;
    work_start(&w->loop, &job->work);
}

/* A workflow's slot goes: the next run makes it again. */
static void slot_rest(struct slot *s)
{
    s->worker->rested++;
    slot_meter(s);
    drop_idle(s, s->idle_len);
    list_remove(&s->warm);
    leave_deployment(s);
    if (s->is_unnamed)
        slot_retire(s);
}

/* Isolates that no load since the last trim has needed; one stays. */
static void trim_pool(struct slot *s)
{
    unsigned spare = s->idle_min;
    if (spare == s->guests && spare > 0)
        spare--;
    drop_idle(s, spare);
    s->idle_min = s->idle_len;
}

void slots_trim(struct worker *w)
{
    uint64_t now = clock_monotonic_ns();
    LIST_FOREACH (n, &w->pools)
        trim_pool(container_of(n, struct slot, pool)); /* takes out that one at most */
    LIST_FOREACH (n, &w->warm)
        slot_meter(container_of(n, struct slot, warm));
    while (!list_is_empty(&w->warm)) {
        struct slot *s = container_of(w->warm.next, struct slot, warm);
        // One that has gone is in no list any more.
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc)
        if (now - s->used_ns < w->server->config.rest_ms * 1000000ULL)
            break;
        if (s->invocations > 0 || s->guests > s->idle_len)
            slot_use(s, now); /* it is at work */
        else
            slot_rest(s);
    }
    slots_give_back(w);
}

void slot_going_away(struct slot *s)
{
    LIST_FOREACH (n, &s->all)
        guest_going_away(container_of(n, struct guest, member));
}

void slot_abandon(struct slot *s)
{
    struct error e;
    error_set(&e, ERR_UNAVAILABLE, "the server is stopping");
    s->invocations++; /* keeps the slot while its last users go */
    s->resident = NULL;
    struct list *n;
    while ((n = list_first(&s->tasks))) { /* a setup() that waits; others have withdrawn */
        struct task *t = container_of(n, struct task, link);
        turn_withdraw(t);
        t->refuse(t, &e);
    }
    while ((n = list_pop_front(&s->all))) {
        struct guest *g = container_of(n, struct guest, member);
        guest_end(g, &e);
        list_remove(&g->link);
        drop_guest(s, g);
    }
    s->worker->idle_len -= s->idle_len;
    s->idle_len = 0;
    list_remove(&s->pool);
    s->invocations--;
    slot_release(s);
}
