/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared inside host/. */
#pragma once

#include "coding/memory.h"
#include "guest/abi.h"
#include "host/guest.h"
#include "websocket/handshake.h"

/* Pages that an isolate has of its own once it has run, as a rule; more is asked for as it grows.
 */
enum { GUEST_ISOLATE_BYTES = 512 * 1024 };

/* ---- guest.c ---- */

/* An output that waits at the gate. */
struct held {
    struct list link;
    /* error is NULL when the commits are on disk; else they are lost and nothing may leave. */
    void (*release)(struct held *h, const struct error *error);
    int64_t records; /* of a durable execution, that must be stored before */
    uint64_t seq;    /* the commit of its database that must be on disk before */
};
/* True: it may leave now. False: h was queued and is released later, or dropped when the guest
 * ends. */
NODISCARD bool guest_gate_pass(struct guest *g, struct held *h);
/* Nothing that it let out now would have to wait for its database. */
bool guest_gate_is_open(const struct guest *g);
/* The transaction of an actor's turn is over: what has waited for it waits for its commit to be on disk. */
void guest_gate_turned(struct guest *g);
/* Has it several dispatches at once, each with a context of its own? */
bool guest_is_shared(const struct guest *g);
void guest_report(struct guest *g); /* there is work: tell the owner */
/* Whose isolate it is. */
struct guest *guest_of_isolate(const struct isolate *i);
/* For runtimes.c: starts one, as far as it runs code in a guest of its own. saved: as for
 * runtime_start. */
NODISCARD enum err guest_runtime_start(const struct runtime_type *type, struct engine *engine,
                                       struct slice saved, struct runtime **ret_runtime,
                                       struct error *ret_error);
/* Accounts for host memory held for the guest; ERR_LIMIT_MEMORY at its limit. */
NODISCARD enum err guest_charge(struct guest *g, size_t len);
void guest_hold(struct guest *g, size_t len); /* what is there already; may pass the limit */
void guest_discharge(struct guest *g, size_t len);

/* ---- context.c ---- */

struct context *context_new(struct guest *g, struct dispatch *d);
/* Does the engine call a context by what it would call this dispatch? */
bool context_is_numbered(struct guest *g, uint32_t id);
/* The next call into the isolate uses CPU time of the context. False: it has none left and ends. */
bool context_bill(struct context *c);
/* CPU time that was used elsewhere, and what may be. */
void context_charge_cpu(struct context *c, uint64_t ns);
uint64_t context_cpu_left(const struct context *c);
/* It has used all of it: it and its dispatch end. */
void context_exhaust(struct context *c);
void context_billed(struct guest *g); /* the call has ended: isolation by module */
/* Whose code calls an op: by the number that the engine gives with it. NULL: it is over. */
struct context *context_of_code(struct guest *g, uint32_t number);
/* Ends what it has under way; its dispatch is over. */
void context_end(struct context *c);
void contexts_end(struct guest *g);
/* Ends those whose dispatch is over and whose code waits for nothing more. Isolate at rest. */
void contexts_settle(struct guest *g);
/* Does its code wait for something that it gave to waitUntil()? */
bool context_has_waits(struct context *c);
/* Bounds what goes on after the dispatch is over. */
void context_await_tail(struct context *c);
/* Its time is up: it ends at the guest's next step, alone or, isolated by request, with the guest.
 */
void context_expire(struct context *c);
void contexts_reap(struct guest *g); /* ends those, isolate at rest */

/* ---- op_codec.c ---- */

/* A stream that is coded, a text that is decoded, a document that is rewritten: one of these. */
struct open_codec {
    struct list link; /* guest->codecs */
    struct guest *guest;
    const struct context *context; /* NULL: top-level code */
    uint32_t id;
    struct codec *codec;
    struct deps_text *text;
    struct html *html;
};

/* Of the code that runs. NULL: the op is refused, since that code's request is over or too many are open. */
struct open_codec *open_codec_new(struct guest *g);
/* Its memory is the guest's. */
struct coding_memory open_codec_memory(struct open_codec *o);
void open_codec_add(struct open_codec *o); /* gives it a number */
/* NULL: the op is refused. */
struct open_codec *open_codec_find(struct guest *g, uint32_t id);
void open_codec_free(struct open_codec *o);
void codecs_close(struct guest *g, const struct context *c);
/* Ends those that the context's code has open; NULL: all. Most requests have none. */
static inline void codecs_end(struct guest *g, const struct context *c)
{
    if (!list_is_empty(&g->codecs))
        codecs_close(g, c);
}

/* ---- op_durable.c ---- */

/* Numbers of a durable guest's ops that the journal does not know (those of steps) are above those
 * that the execution gives. */
#define GUEST_OWN_OPS 0x80000000u

uint32_t guest_count_fetch(struct guest *g); /* how many this step has made now */
void guest_forget_scope(struct guest *g, uint32_t scope);

/* ---- op_sql.c ---- */

/* Ends what the guest has open in its database, for it does not. False: a statement is away; then
 * this is done, and guest_free() called if is_freed, when that comes home. */
bool guest_sql_end(struct guest *g);
/* The op in which the guest stood still is over: what it has not kept of the database is given back. */
void guest_sql_stood(struct guest *g, uint64_t cpu_ns);
/* Also in a replay, which is refused what its first run was. */
static inline bool guest_is_in_transaction(const struct guest *g)
{
    return g->sql.depth + g->sql.depth_replayed > 0;
}
/* The isolate is at rest: what its code has left open ends, but for the transaction of a setup() that
 * goes on. */
void guest_sql_rest(struct guest *g);
/* A slice is over: has the open transaction lasted too long? */
void guest_sql_check(struct guest *g);

/* An actor's own storage, in its turn (sql_store.h): run() gets the connection, and what it appends to out is
 * the op's result. Inside of op_stand(). */
enum err guest_store(struct guest *g,
                     enum err (*run)(struct sql_conn *c, const void *arg, struct bytes *out,
                                     struct error *ret_error),
                     const void *arg);

/* ---- op_actor.c ---- */

/* What a class of that module, of which there are actors, was called at first. */
struct slice guest_actor_origin(struct guest *g, struct slice module, struct slice class);

/* ---- op_wasm.c ---- */

int64_t import_wasm_call(struct isolate *i, const int64_t *args);

/* ---- op_stand.c ---- */

/* Calls run() on a fiber, where it may await something of the loop, or go on in the pool, while the
 * guest stands still. Its arguments are g->stand.args; when it has waited, the guest may have been ended
 * (op_is_over), and g->result and g->op_error are another's until it sets them. */
enum err op_stand(struct guest *g, enum err (*run)(struct guest *g));
static inline bool op_is_over(const struct guest *g)
{
    return fiber_task_is_cancelled(&g->stand.task);
}

/* ---- op_table.c ---- */

/* Decodes the arguments of op `number`, at slots in guest memory, and does with it what its row says. */
enum err op_run(struct guest *g, const struct op_row *row, uint32_t args_at);

/* ---- op.c ---- */

/* What an op_wait returns that did not stand still. */
int64_t op_give_result(struct guest *g, enum err err, uint32_t ret_at, uint32_t ret_cap);

/* Fails the running op with a message: return op_refuse(...). */
enum err op_refuse(struct guest *g, enum err code, const char *format, ...) PRINTF_LIKE(3, 4);
/* Because `what` is larger than one value may be; instead: what to do. */
enum err op_refuse_large(struct guest *g, const char *what, size_t len, const char *instead);
/* May the guest stand still for the op that runs, if it is not done at once? Others wait for a
 * transaction. To be asked before the op has any effect; op_begin() and recording_call() do. */
NODISCARD enum err op_check_wait(struct guest *g);
/* The module that code means by "name" or "name.export", which is in its own namespace; "namespace/name" may
 * be said, but there is no other that it reaches: ERR_FORBIDDEN. Appends "namespace/name.export". */
NODISCARD enum err op_workflow_name(struct guest *g, struct slice said, struct bytes *out,
                                    struct error *ret_error);
/* Is it text that one value may hold? Refuses the op if not. */
NODISCARD enum err op_check_value(struct guest *g, const char *what, struct slice json,
                                  const char *instead);
/* The beginning of a text that the guest has put anywhere; "" if that is not UTF-8. */
struct slice op_text_clip(struct slice text, size_t len_max);
/* Empties g->result and gives back what was charged for it. */
void op_result_clear(struct guest *g);

/* The call that the guest stands still for: true if it is complete, the guest can go on. */
bool op_wait_delivered(struct guest *g);
/* Hands the queued completions of a context (NULL: all) to the guest, which runs no code yet.
 * False: the isolate trapped. */
NODISCARD bool completions_deliver(struct guest *g, const struct context *only);
/* Whose is the oldest one? of: only its ones count, NULL: all. */
struct context *completions_first(struct guest *g, const struct context *of);
/* Cancels what is pending in the context, without a word. */
void ops_end(struct context *c);

/* ---- stream.c: sources are read by guests, sinks are written by them ---- */

struct source_owner {
    void (*start)(struct source *s); /* the first read; may be NULL */
    void (*consumed)(struct source *s, size_t n);
    void (*closed)(struct source *s); /* nobody will read on; the source is gone after it */
};

struct source {
    struct list link; /* in context->sources */
    struct guest *guest;
    uint32_t id;
    uint32_t scope;                   /* of the step that it ends with, 0: none */
    const struct source_owner *owner; /* NULL once the owner is gone */
    void *arg;                        /* the owner's */
    struct bytes buffer;
    bool is_started, is_end, is_failed;
    struct error error;
    struct op read; /* STREAM_READ */
    bool is_reading;
    uint32_t read_max;
    struct sink *pipe; /* all goes there */
    /* Instead of the guest something here reads it: called when there are bytes, the end, or a failure. NULL: the
     * guest, who does not see one that has a reader. */
    void (*reader)(struct source *s);
    void (*reader_gone)(struct source *s); /* the source goes */
    void *reader_arg;
};

struct sink_owner {
    bool (*write)(struct sink *s, struct slice data,
                  bool is_end); /* false: wait for sink_drained() */
    void (*abort)(struct sink *s);
    void (*over)(struct sink *s); /* ended or failed: the last call; may be NULL */
};

struct sink {
    struct list link; /* in context->sinks; gone when it is over */
    struct guest *guest;
    struct context *context;
    uint32_t id;
    uint32_t scope;                 /* of the step that it ends with, 0: none */
    const struct sink_owner *owner; /* NULL once it is over */
    void *arg;
    struct bytes queued;
    struct slice lent;         /* in guest memory, instead of queued: sent from there */
    struct timer turn;         /* goes on with it */
    bool is_open;              /* the head has left, data may follow */
    bool is_full;              /* the owner asked to wait */
    bool is_ending;            /* the guest ended it */
    bool is_sending, is_ended; /* inside owner->write(); over, to be freed after it */
    bool is_held;              /* waits at the gate */
    struct held held;
    struct op write; /* STREAM_WRITE */
    bool is_writing;
    struct source *pipe;
    struct op pipe_op; /* STREAM_PIPE; none for answers made of a source */
    bool has_pipe_op;
    /* Instead of the guest something here writes to it, by sink_put(): called when it has room again. As for sources. */
    void (*writer)(struct sink *s);
    void (*writer_gone)(struct sink *s); /* it is over */
    void *writer_arg;
};

struct source *source_new(struct context *c, const struct source_owner *owner, void *arg);
struct source *source_find(struct guest *g, uint32_t id);
void source_start(struct source *s); /* its owner may begin to push */
void source_push(struct source *s, struct slice data, bool is_end);
/* The same; the bytes lie in a buffer that may be taken, or own is NULL. */
void source_push_own(struct source *s, struct slice data, struct bytes *own, bool is_end);
void source_fail(struct source *s, const struct error *error);
void source_orphan(struct source *s); /* the owner is gone; what is buffered can be read */
void source_close(struct source *s);  /* frees */
/* Something here reads it from now on. */
void source_read_by(struct source *s, void (*reader)(struct source *s),
                    void (*gone)(struct source *s), void *arg);
void source_taken(struct source *s, size_t n); /* by its reader, from the front of its buffer */

struct sink *sink_new(struct context *c, const struct sink_owner *owner, void *arg);
void sink_open(struct sink *s);
/* All of the body is where the guest has it, until the op that begins here (its number is appended to
 * the result) completes. The sink ends after it. */
NODISCARD enum err sink_lend(struct sink *s, struct slice body);
/* Takes back a sink that nobody knows yet. */
void sink_withdraw(struct sink *s);
void sink_drained(struct sink *s);
void sink_write_by(struct sink *s, void (*writer)(struct sink *s), void (*gone)(struct sink *s),
                   void *arg);
/* By its writer: all of data, which is then empty; it may be over after it. is_end: that was the last. */
void sink_put(struct sink *s, struct bytes *data, bool is_end);
void sink_abort(struct sink *s,
                const struct error *error); /* breaks it off, so that its reader notices */
/* Nobody takes the data any more: writes fail with this error. */
void sink_fail(struct sink *s, const struct error *error);
void sink_pipe(struct sink *s, struct source *source);
/* The same, but nothing is read until source_start(). */
void sink_pipe_later(struct sink *s, struct source *source);
void streams_end(struct context *c); /* ends all */
/* A step is over: so is what came of its fetches, read or not. */
void streams_scope_over(struct guest *g, uint32_t scope);

/* ---- socket.c: WebSockets ---- */

struct open_socket;

/* One whose bytes come by source and go by sink; nobody has accepted it yet. extensions: what the other side
 * has agreed to (a client's). */
struct open_socket *open_socket_new(struct context *c, enum websocket_role role,
                                    const struct websocket_deflate *deflate, struct source *source,
                                    struct sink *sink);
uint32_t open_socket_id(const struct open_socket *o);
/* The same for what a request to `upgrade: websocket` was answered with 101 with. NULL: the answer cannot be spoken. */
struct open_socket *open_socket_fetched(struct context *c, const struct http_header *headers,
                                        size_t headers_len, struct source *source,
                                        struct sink *sink);
/* Does it ask for a WebSocket? */
bool headers_upgrade(const struct http_header *headers, size_t headers_len);
/* Of a dispatch whose answer 101 has left: may now be read. */
void open_socket_go(struct open_socket *o);
/* The dispatch that it belongs to is broken off: says so, and ends the answer, by its port. False: it cannot. */
bool open_socket_last_words(struct open_socket *o, struct dispatch *d);
void open_socket_forget_dispatch(struct open_socket *o);
void open_socket_going_away(struct open_socket *o);
bool open_socket_is_accepted(const struct open_socket *o);
/* Those of the context end. */
void sockets_end(struct context *c);
void sockets_scope_over(struct guest *g, uint32_t scope);

/* ---- answer.c ---- */

extern const struct sink_owner dispatch_sink_owner; /* of the answer's body; arg: the dispatch */

void dispatch_fail(struct dispatch *d, const struct error *error, struct slice name,
                   struct slice stack);
/* Ends the dispatch if its answer has left completely. */
void dispatch_check_over(struct dispatch *d);
void dispatch_end(struct dispatch *d);
struct dispatch *dispatch_find(struct guest *g, uint32_t id);
void dispatch_await(struct dispatch *d); /* (re)starts the wall clock */
/* NULL: the op is refused, it has been answered. */
struct dispatch *dispatch_unanswered(struct guest *g, uint32_t id);
/* The answer's head, now or when the gate opens; headers: the same, packed. At most ANSWER_HEADERS_MAX. */
void dispatch_answer(struct dispatch *d, const struct call_answer *answer, struct slice headers);

/* ---- input.c ---- */

/* What the dispatch gives to the code; a body that streams gets its source. */
struct dispatch_input dispatch_input(struct dispatch *d);

/* The request's body from now on, of one that had none and is answered with 101. */
struct source *dispatch_source(struct dispatch *d);
/* Decodes packed headers into an array of at most `max`; slices point into packed. Refuses names
 * and values that would break the wire format. */
NODISCARD enum err headers_decode(struct slice packed, struct http_header *ret_headers, size_t max,
                                  size_t *ret_len, struct error *ret_error);
