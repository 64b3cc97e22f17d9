/* SPDX-License-Identifier: Apache-2.0
 *
 * Contexts: what the code of a dispatch has under way (guest.h). A context ends when its dispatch
 * is over and its code waits for nothing more, or when its time is up; with it end its pending ops,
 * sources and sinks, so that nothing of a request stays behind in a guest that serves others.
 *
 * With isolation by module one guest has a context for each request. The engine gives the number of
 * the dispatch with each op, completions are delivered for one context at a time, and the CPU time
 * of that run is the context's. */
#include "host/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "module/deployment.h"
#include "sandbox/isolate.h"

enum { CODE_NUMBER_MASK = 0xffff /* of a dispatch, in the code of an op; see guest/abi.h */ };

static struct context *first(struct guest *g)
{
    return list_is_empty(&g->contexts) ? NULL
                                       : container_of(g->contexts.next, struct context, link);
}

struct context *context_of_code(struct guest *g, uint32_t number)
{
    struct context *c = first(g);
    if (!guest_is_shared(g))
        return c;
    LIST_FOREACH (n, &g->contexts) {
        c = container_of(n, struct context, link);
        if ((c->id & CODE_NUMBER_MASK) == number)
            return c;
    }
    return NULL;
}

struct context *context_new(struct guest *g, struct dispatch *d)
{
    struct context *c = calloc(1, sizeof(*c));
    CHECK(c);
    c->guest = g;
    c->id = d->id;
    c->dispatch = d;
    c->depth = d->depth;
    snprintf(c->root, sizeof(c->root), "%.*s",
             SLICE_ARG(d->root.len > 0 ? d->root : d->execution_id));
    list_init(&c->ops);
    list_init(&c->sources);
    list_init(&c->sinks);
    list_init(&c->sockets);
    list_push_back(&g->contexts, &c->link);
    d->context = c;
    return c;
}

bool context_is_numbered(struct guest *g, uint32_t id)
{
    if ((id & CODE_NUMBER_MASK) == 0) /* nobody's */
        return true;
    LIST_FOREACH (n, &g->contexts)
        if (((container_of(n, struct context, link)->id ^ id) & CODE_NUMBER_MASK) == 0)
            return true;
    return false;
}

void context_end(struct context *c)
{
    struct guest *g = c->guest;
    CHECK(!c->dispatch);
    timer_stop(g->host->loop, &c->tail);
    ops_end(c);
    sockets_end(c);
    streams_end(c);
    codecs_end(g, c);
    list_remove(&c->link);
    if (g->context == c)
        g->context = NULL;
    if (g->billed == c)
        g->billed = NULL;
    if (g->actor && g->actor->blocker == c) { /* in the middle of what must be whole */
        g->actor->blocker = NULL;
        g->is_dead |= !g->is_ending;
    }
    free(c);
}

void contexts_end(struct guest *g)
{
    struct context *c;
    while ((c = first(g)))
        context_end(c);
}

/* ---- CPU time ---- */

void context_exhaust(struct context *c)
{
    struct error e;
    error_set(&e, ERR_LIMIT_CPU, "used more than %llu ms of CPU time",
              (unsigned long long)(c->guest->deployment->cpu_ns_max / 1000000));
    error_hint(&e, "do less per request, or raise the module's cpu_ms limit");
    context_expire(c);
    if (c->dispatch)
        dispatch_fail(c->dispatch, &e, SLICE_EMPTY, SLICE_EMPTY);
}

bool context_bill(struct context *c)
{
    struct guest *g = c->guest;
    uint64_t max = g->deployment->cpu_ns_max;
    if (c->cpu_used_ns < max && !c->is_expired) {
        g->billed = c;
        isolate_set_cpu_budget(g->isolate, max - c->cpu_used_ns);
        return true;
    }
    context_exhaust(c);
    contexts_reap(g);
    return false;
}

uint64_t context_cpu_left(const struct context *c)
{
    const struct guest *g = c->guest;
    uint64_t max = g->deployment->cpu_ns_max;
    uint64_t used = guest_is_shared(g) ? c->cpu_used_ns : isolate_cpu_used_ns(g->isolate);
    return used < max ? max - used : 0;
}

void context_charge_cpu(struct context *c, uint64_t ns)
{
    if (guest_is_shared(c->guest))
        c->cpu_used_ns += ns;
    else
        isolate_add_cpu(c->guest->isolate, ns);
}

void context_billed(struct guest *g)
{
    struct context *c = TAKE(g->billed);
    if (c)
        c->cpu_used_ns += isolate_cpu_used_ns(g->isolate);
}

/* ---- waitUntil ---- */

static enum runtime_state state_of(struct context *c)
{
    const struct guest *g = c->guest;
    return g->runtime->type->state(g->isolate, c->id);
}

bool context_has_waits(struct context *c)
{
    return !isolate_is_running(c->guest->isolate) && state_of(c) == RUNTIME_WAITS;
}

/* Ends it. What it waits for will not complete: the engine need not keep what belongs to that. */
static void context_forget(struct context *c)
{
    struct guest *g = c->guest;
    if (c->has_begun_ops && !g->runtime->type->forget(g->isolate, c->id))
        g->is_dead = true;
    context_end(c);
}

void contexts_settle(struct guest *g)
{
    LIST_FOREACH (n, &g->contexts) { /* context_end() ends ops and streams of this one alone */
        struct context *c = container_of(n, struct context, link);
        /* A timer of an actor goes off after the request that has set it, too. */
        if (!c->dispatch && state_of(c) == RUNTIME_CLOSED && !(g->actor && c->ops_len > 0))
            context_forget(c);
    }
}

static void tail_expired(struct timer *t)
{
    struct context *c = container_of(t, struct context, tail);
    struct guest *g = c->guest;
    char text[128];
    int len = snprintf(text, sizeof(text),
                       "what was given to waitUntil() did not end within %u ms and was broken off",
                       g->deployment->wall_ms_max);
    g->host->log(g->host->ctx, g->deployment, NULL, 2, slice_of(text, (size_t)len));
    context_expire(c);
}

void context_await_tail(struct context *c)
{
    if (!c->dispatch && !c->is_expired && !timer_is_running(&c->tail))
        timer_start(c->guest->host->loop, &c->tail, c->guest->deployment->wall_ms_max,
                    tail_expired);
}

/* ---- time is up ---- */

/* Guest code may stand still in the middle of a call, so this only marks: contexts_reap() ends it
 * when the isolate is at rest. A guest of its own is not needed any more. */
void context_expire(struct context *c)
{
    struct guest *g = c->guest;
    c->is_expired = true;
    if (guest_is_shared(g))
        g->has_expired = true;
    else
        g->is_dead = true;
    guest_report(g);
}

void contexts_reap(struct guest *g)
{
    g->has_expired = false;
    LIST_FOREACH (n, &g->contexts) { /* as above */
        struct context *c = container_of(n, struct context, link);
        if (!c->is_expired || c->dispatch)
            continue;
        c->has_begun_ops = true; /* the engine still has its dispatch */
        context_forget(c);
    }
}
