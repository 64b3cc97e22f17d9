/* SPDX-License-Identifier: Apache-2.0
 *
 * A call: one request to the code of a module, whatever carries it there. It has two ends, the caller's
 * and the callee's, each with one owner on one thread; neither knows whether the other is on the same
 * one. A carrier brings what one end says to the other: on the same thread at once and without a copy,
 * to another thread as messages whose buffers change hands. (Another node is a third carrier: it
 * implements `post`, and writes and reads what messages hold.)
 *
 *     caller                                   callee
 *     call_new() … call_start()      ------->  accept(): call_take_up() or call_refuse()
 *     drained                        <-------  call_want_body()
 *     call_send() … body             ------->  data, broken            <- call_taken() opens the window
 *     answered, value or failed      <-------  call_answer(), call_value(), call_fail()
 *     data, broken                   <-------  call_send() … body, call_break()
 *     over                           <-------  call_end()
 *     call_end(): it gives up, if
 *     that is not over               ------->  over
 *
 * Bodies have back-pressure either way: call_send() says false when a window's worth has not been taken
 * by the other end; `drained` says when to go on. What is under way between threads is taken from the
 * account of the caller's module, by force, since the window bounds it.
 *
 * An end's functions are for its own thread, and may be called from inside of its events. What the callee
 * says may come to the caller from inside of the callee's functions (same thread), and bytes either way;
 * `drained`, and the callee's `over`, come from the loop: who streams is not called back from inside of its
 * own doing. After call_end() an end has no more events and
 * must not be used. Everything else is told to the other end in order. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "http/server.h" /* struct http_request */
#include "loop/post.h"
#include "loop/timer.h"

struct account;
struct bytes;
struct call;
struct deployment;
struct loop;

enum call_kind {
    CALL_FETCH,  /* an HTTP request; answered by call_answer() */
    CALL_RUN,    /* JSON in `body` and `metadata`; answered by call_value(), JSON */
    CALL_METHOD, /* of a class: its arguments in `body`, answered by call_value(), both as values are
                    written in guests (docs/values.md) */
};

/* METHOD: in guest/runtime/service.ts, too. */
enum call_what {
    CALL_WHAT_CALL = 0,
    CALL_WHAT_PROPERTY = 1, /* is read */
    CALL_WHAT_ALARM = 2,    /* of an actor: it may be due */
    CALL_WHAT_EVENT = 3, /* a handler of the default export; bytes in and out are the event's own */
};

/* What is asked for. Filled in by the caller before call_start(), constant from then on; texts lie in
 * the call's arena, or where they stay for as long as the caller's end is open. */
struct call_request {
    enum call_kind kind;
    struct slice module;     /* "namespace/name" */
    int64_t version;         /* of it; 0: the one that serves */
    struct slice entrypoint; /* an exported class; "": the default export */
    struct slice props;      /* JSON, "": none */
    struct slice actor; /* FETCH, METHOD: the instance of that class which has this id; "": none */
    struct slice
        actor_class; /* what its class was called at first; entrypoint is what it is called now */
    struct slice actor_name; /* that the id was made of, "": none, or not known */
    /* FETCH: only static files answer, of this one, on the same thread; NULL: the code does, too. The caller's
     * guest holds it. */
    struct deployment *files;
    struct http_request *http; /* FETCH */
    struct slice body;         /* all of it, unless it streams */
    bool has_stream;           /* it comes by call_send() */
    struct slice method;       /* METHOD: its name */
    uint32_t what;             /* METHOD: enum call_what */
    struct slice metadata;     /* RUN: JSON */
    struct slice id; /* RUN: of the execution. Else: the same for each try of one effect, or "" */
    struct slice caller; /* module that calls; "": nobody's code, the server itself */
    struct slice root;   /* id of the request that all this began with, "": this is the one */
    unsigned depth;      /* calls that this one is inside of; at most LIMIT_CALL_DEPTH */
    uint32_t answer_ms;  /* without an answer for so long it fails with ERR_TIMEOUT; 0: for ever */
};

/* An answer's head, borrowed for the call that it is handed to. */
struct call_answer {
    int status;
    struct slice reason; /* "": the usual one */
    const struct http_header *headers;
    size_t headers_len;
    int64_t body_len; /* -1: not known */
    struct slice body;
    bool is_end; /* that is all of the body */
};

/* Instead of an answer. */
struct call_failure {
    struct error error;
    struct slice name, stack; /* of what the code threw, "" */
};

/* What happens at an end. Borrowed arguments last for the call. Members that cannot happen at that end
 * may be NULL. */
struct call_events {
    /* Bytes of the other's body, to be acknowledged by call_taken(). own: the buffer that they lie in, which
     * may be taken; NULL: they are borrowed. */
    void (*data)(struct call *c, void *user, struct slice data, struct bytes *own, bool is_end);
    /* The other's body ends here, and is not whole. */
    void (*broken)(struct call *c, void *user, const struct error *error);
    /* call_send() may begin (the caller's), or go on. From the loop. */
    void (*drained)(struct call *c, void *user);
    /* The caller's: one of these three, or none */
    void (*answered)(struct call *c, void *user, const struct call_answer *a);
    void (*value)(struct call *c, void *user, struct slice value);
    void (*failed)(struct call *c, void *user, const struct call_failure *f);
    /* The other end is done. The callee's: nobody waits for what it does. To be followed by call_end(), now
     * or later. */
    void (*over)(struct call *c, void *user);
};

enum call_side { CALL_CALLER, CALL_CALLEE };

/* How messages get to the other side's thread. */
struct call_carrier {
    void (*post)(struct call *c, enum call_side to, struct post *p);
};

struct call {
    struct call_request request;
    struct arena *arena;
    int64_t version; /* for the caller: of the module that answers, known once it has */
    /* private: see call.c */
    struct account *account;
    struct loop *loops[2];
    const struct call_carrier *carrier; /* NULL: both ends are on one thread */
    void (*accept)(void *ctx, struct call *c);
    void *accept_ctx;
    unsigned refs; /* atomic */
    struct call_end {
        const struct call_events *events; /* NULL: not open yet, or done */
        void *user;
        size_t out;     /* sent, and not taken by the other end */
        size_t untold;  /* taken, and not told to the other end */
        bool is_full;   /* it was told to wait */
        bool has_ended; /* its body has been sent, or broken off */
        bool is_done;
        bool is_alone;                /* the other end is done */
        bool owes_drained, owes_over; /* events that `later` brings */
        struct timer later;
        int64_t version; /* the callee's */
    } ends[2];
    struct timer timer; /* the caller's: for an answer */
};

/* ---- the caller ---- */

/* With one reference, the caller's end's. account: of the module that calls; NULL: nothing is counted. */
struct call *call_new(enum call_kind kind, struct account *account);
/* Opens the caller's end and hands the request to accept() on the thread of `to`; the same one: before
 * this returns. `from` and `to` last until both ends are done. */
void call_start(struct call *c, struct loop *from, struct loop *to,
                const struct call_events *events, void *user,
                void (*accept)(void *ctx, struct call *c), void *ctx);
/* The same with a carrier of one's own, also where from and to are one. */
void call_start_by(struct call *c, const struct call_carrier *carrier,
                   const struct call_events *events, void *user,
                   void (*accept)(void *ctx, struct call *c), void *ctx);

void call_drop(struct call *c); /* instead of a start */

/* ---- the callee ---- */

/* Opens the callee's end; inside accept(). version: of the module that is going to answer. */
void call_take_up(struct call *c, const struct call_events *events, void *user, int64_t version);
/* Instead: its module is on the thread of `to`, whose accept() gets it with this ctx. */
void call_move(struct call *c, struct loop *to, void *ctx);
/* Instead: the call fails with that, and is over. */
void call_refuse(struct call *c, const struct error *error);
/* The caller may send the body. Once; not if it does not stream. */
void call_want_body(struct call *c);
void call_answer(struct call *c, const struct call_answer *a);
void call_value(struct call *c, struct slice value);
void call_fail(struct call *c, const struct call_failure *f);

/* ---- both ---- */

/* More of this end's body, borrowed. False: it was taken, but wait for `drained`. */
bool call_send(struct call *c, enum call_side from, struct slice data, bool is_end);
/* This end's body is broken off. */
void call_break(struct call *c, enum call_side from, const struct error *error);
/* Has all of this end's body been sent, or was it broken off? */
static inline bool call_has_sent(const struct call *c, enum call_side from)
{
    return c->ends[from].has_ended;
}
/* This end has disposed of n bytes of the other's body. */
void call_taken(struct call *c, enum call_side by, size_t n);
/* The end is done; its reference goes. */
void call_end(struct call *c, enum call_side side);
