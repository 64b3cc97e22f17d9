/* SPDX-License-Identifier: Apache-2.0
 *
 * Names to addresses on a loop, by c-ares: no threads, whatever a resolver does or does not answer.
 * A name that is being looked up is looked up once, for all who ask; answers are kept for their
 * time to live (within bounds), failures for a moment. Look-ups are places of a fair queue, so who
 * asks for thousands of names delays only itself; a look-up that nobody waits for any more keeps
 * its place until it ends, which is bounded.
 *
 * Answers say nothing about what may be reached: who connects asks egress. Loop thread only. */
#pragma once

#include "base/bytes.h"
#include "base/fair.h"
#include "loop/timer.h"

struct loop;
struct resolver;
struct resolve_lookup;

/* Someone who asks. The caller's memory, zero-initialized, from resolver_ask() until done() or
 * resolver_forget(). */
struct resolve {
    void (*done)(struct resolve *r); /* from the loop, after RESOLVE_WAITS: see the results */
    struct account *owner;           /* in whose name: see base/fair.h; may be NULL */
    const void *member;
    /* results */
    struct error error;     /* code OK: */
    struct bytes addresses; /* "192.0.2.1,[2001:db8::1]", best first; bytes_done() */
    /* private */
    struct list link;
    struct resolve_lookup *lookup;
    struct fair_place place;
    struct timer timer;
};

enum resolve_answer { RESOLVE_DONE, RESOLVE_WAITS };

/* servers: "192.0.2.1,[2001:db8::1]:5353", NULL: those of /etc/resolv.conf, read again when it
 * changes. */
NODISCARD enum err resolver_new(struct loop *loop, const char *servers,
                                struct resolver **ret_resolver, struct error *ret_error);
/* Nobody may be waiting. */
void resolver_free(struct resolver *v);
/* name: of a URL, no address. RESOLVE_DONE: the results are there, done() is not called. */
enum resolve_answer resolver_ask(struct resolver *v, struct resolve *r, struct slice name);
/* done() is not called any more. Harmless if r does not wait. */
void resolver_forget(struct resolver *v, struct resolve *r);
/* Look-ups under way, wanted or not: for tests. */
size_t resolver_busy(const struct resolver *v);
