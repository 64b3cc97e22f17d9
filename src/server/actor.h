/* SPDX-License-Identifier: Apache-2.0
 *
 * Actors: instances of a class of a module, one for each id, each on the engine thread that its key says and
 * in an isolate of its own, which it keeps between requests:
 *
 *     absent -> PREPARING (code) -> QUEUED (for an isolate) -> LIVE -> absent
 *
 * There is at most one of a key, since only its thread makes it, and only when the last one has gone. Calls
 * that come before it is LIVE, or while it is on its way out (another version serves, its constructor has
 * failed), wait in its mailbox. What it has stored is in its database (host/sql_store.h); its memory may go at any
 * time: when it was idle for a while, when others want the isolate, at a deploy. For the worker's thread but
 * where it says otherwise. */
#pragma once

#include "server/worker.h"

struct call;
struct call_request;
struct invocation;

/* Which thread has it. Any thread. */
struct worker *actor_home(struct server *s, const struct call_request *r);
/* A call has come for an actor of this slot's module. */
void actor_accept(struct slot *s, struct call *c);
/* For the turn: its guest has been stepped. */
void actor_stepped(struct guest *g, enum guest_status status);
/* The invocation that waits for it, if it does, goes; one that it had is over. */
void actor_withdraw(struct invocation *v);
void actor_answered(struct invocation *v);
/* Its database: a connection, inside of an op's task. */
NODISCARD enum err actor_sql_take(struct guest *g, struct sql_conn **ret_conn,
                                  struct sql_file **ret_file, struct error *ret_error);
void actor_sql_give(struct guest *g, struct sql_conn *conn);

/* Its alarm was set: in the order of the thread's. */
void actor_alarm_is_set(struct guest *g, uint64_t number);
/* When it is next due, INT64_MAX: never; as alarm() has just said, unless it was set after `since`: false. */
bool actor_alarm_next(struct worker *w, const struct call_request *r, uint64_t since,
                      int64_t *ret_next_us);

void actors_init(struct worker *w);
/* Those that are idle for long go. */
void actors_trim(struct worker *w);
/* The one that is idle for longest goes. False: there is none. */
bool actors_reclaim(struct worker *w);
/* Its version does not serve any more: those of the slot go as soon as they can. */
void actors_retire(struct slot *s);
/* The thread ends: whatever still runs is broken off. */
void actors_abandon(struct worker *w);
