/* SPDX-License-Identifier: Apache-2.0
 *
 * See call.h. Each function changes its own end and says an event to the other one by call_tell(): on
 * the same thread that is a call of call_arrive(), else a message that becomes one there. Of struct
 * call a thread touches its own end, and what is constant since the start.
 *
 * The other end may end, and the owner of this one be gone, by the time that call_tell() returns: it
 * is the last thing that a function does with its end, or the call is held meanwhile. */
#include "call/call.h"

#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "loop/loop.h"

enum event {
    EVENT_WANTED, /* the caller's body */
    EVENT_DATA,
    EVENT_BROKEN,
    EVENT_TAKEN,
    EVENT_ANSWER,
    EVENT_VALUE,
    EVENT_FAIL,
    EVENT_OVER,
};

/* What one end says to the other; what it points to is borrowed. */
struct said {
    enum event event;
    bool is_end;
    size_t taken;
    int64_t version;   /* the callee's */
    struct slice data; /* DATA, VALUE */
    struct bytes *own; /* that it lies in, if it is the receiver's */
    const struct error *error;
    const struct call_answer *answer;
    const struct call_failure *failure;
};

/* The same on its way to another thread. */
struct message {
    struct post post;
    struct call *call; /* a reference */
    enum call_side to;
    struct loop *loop; /* it was posted to */
    bool is_start;
    struct said said;
    struct bytes data;
    size_t charged;
    struct arena *arena; /* of the rest; NULL: there is none */
};

static void call_ref(struct call *c)
{
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
}

static void call_unref(struct call *c)
{
    if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    account_unref(c->account); /* analyze: each open end has a reference, so it is freed once */
    arena_free(c->arena);
    free(c);
}

/* ---- arriving ---- */

static void end_later(struct call *c, enum call_side side)
{
    struct call_end *e = &c->ends[side];
    if (!e->events)
        return;
    if (e->owes_over) {
        e->events->over(c, e->user);
        return;
    }
    e->owes_drained = false;
    e->events->drained(c, e->user);
}

static void caller_later(struct timer *t)
{
    end_later(container_of(t, struct call, ends[CALL_CALLER].later), CALL_CALLER);
}

static void callee_later(struct timer *t)
{
    end_later(container_of(t, struct call, ends[CALL_CALLEE].later), CALL_CALLEE);
}

/* Messages come from the loop; on one thread it is asked for. */
static void end_owes(struct call *c, enum call_side side)
{
    struct call_end *e = &c->ends[side];
    if (c->carrier)
        end_later(c, side);
    else
        timer_start(c->loops[side], &e->later, 0,
                    side == CALL_CALLER ? caller_later : callee_later);
}

static void arrive_drained(struct call *c, enum call_side to)
{
    c->ends[to].owes_drained = true;
    end_owes(c, to);
}

static void arrive_over(struct call *c, enum call_side to)
{
    struct call_end *e = &c->ends[to];
    if (to == CALL_CALLER) {
        e->events->over(c, e->user);
        return;
    }
    e->owes_over = true;
    end_owes(c, to);
}

static void arrive_taken(struct call *c, enum call_side to, size_t n)
{
    struct call_end *e = &c->ends[to];
    CHECK(e->out >= n);
    e->out -= n;
    if (!e->is_full || e->out > LIMIT_HTTP_BODY_WINDOW_BYTES / 2)
        return;
    e->is_full = false;
    if (!e->has_ended)
        arrive_drained(c, to);
}

/* Whatever it is: there is no need to wait any longer. */
static void call_answered(struct call *c)
{
    if (c->loops[CALL_CALLER])
        timer_stop(c->loops[CALL_CALLER], &c->timer);
}

static void call_is_late(struct timer *t)
{
    struct call *c = container_of(t, struct call, timer);
    struct call_end *e = &c->ends[CALL_CALLER];
    struct call_failure f = {0};
    error_set(&f.error, ERR_TIMEOUT, "'%.*s' has not answered within %u ms",
              SLICE_ARG(c->request.module), c->request.answer_ms);
    e->events->failed(c, e->user, &f);
}

/* On the thread of that end, with the call held. */
static void call_arrive(struct call *c, enum call_side to, const struct said *s)
{
    struct call_end *e = &c->ends[to];
    e->is_alone |= s->event == EVENT_OVER;
    if (!e->events)
        return; /* it has ended */
    if (to == CALL_CALLER) {
        c->version = s->version;
        if (s->event >= EVENT_ANSWER)
            call_answered(c);
    }
    switch (s->event) {
    case EVENT_WANTED:
        arrive_drained(c, to);
        break;
    case EVENT_DATA:
        e->events->data(c, e->user, s->data, s->own, s->is_end);
        break;
    case EVENT_BROKEN:
        e->events->broken(c, e->user, s->error);
        break;
    case EVENT_TAKEN:
        arrive_taken(c, to, s->taken);
        break;
    case EVENT_ANSWER:
        e->events->answered(c, e->user, s->answer);
        break;
    case EVENT_VALUE:
        e->events->value(c, e->user, s->data);
        break;
    case EVENT_FAIL:
        e->events->failed(c, e->user, s->failure);
        break;
    case EVENT_OVER:
        arrive_over(c, to);
        break;
    }
}

/* ---- to another thread ---- */

static struct loop *call_loop(const struct call *c, enum call_side side)
{
    return __atomic_load_n(&c->loops[side], __ATOMIC_ACQUIRE);
}

static void message_arrived(struct post *p)
{
    struct message *m = container_of(p, struct message, post);
    struct call *c = m->call;
    if (m->loop !=
        call_loop(c, m->to)) { /* that the caller is done; the call has moved meanwhile */
        c->carrier->post(c, m->to, p);
        return;
    }
    if (m->charged > 0)
        budget_give(&c->account->budgets[RESOURCE_MEMORY], m->charged);
    if (m->is_start)
        c->accept(c->accept_ctx, c);
    else
        call_arrive(c, m->to, &m->said);
    bytes_done(&m->data);
    arena_free(m->arena);
    free(m);
    call_unref(c);
}

static struct message *message_new(struct call *c, enum call_side to)
{
    struct message *m = calloc(1, sizeof(*m));
    CHECK(m);
    call_ref(c);
    m->call = c;
    m->to = to;
    m->post.fn = message_arrived;
    return m;
}

static void message_data(struct message *m, struct slice data)
{
    bytes_append_slice(&m->data, data);
    m->said.data = bytes_slice(&m->data);
    m->said.own = &m->data;
    if (!m->call->account || data.len == 0)
        return;
    m->charged = data.len;
    budget_force(&m->call->account->budgets[RESOURCE_MEMORY], m->charged);
}

static void message_answer(struct message *m, const struct call_answer *a)
{
    struct call_answer *copy = arena_new_struct(m->arena, struct call_answer);
    struct http_header *headers = arena_array(m->arena, a->headers_len + 1, sizeof(*headers));
    for (size_t k = 0; k < a->headers_len; k++)
        headers[k] = (struct http_header){arena_copy(m->arena, a->headers[k].name),
                                          arena_copy(m->arena, a->headers[k].value)};
    *copy = *a;
    copy->headers = headers;
    copy->reason = arena_copy(m->arena, a->reason);
    message_data(m, a->body);
    copy->body = bytes_slice(&m->data);
    m->said.answer = copy;
}

static void message_failure(struct message *m, const struct call_failure *f)
{
    struct call_failure *copy = arena_new_struct(m->arena, struct call_failure);
    copy->error = f->error;
    copy->name = arena_copy(m->arena, f->name);
    copy->stack = arena_copy(m->arena, f->stack);
    m->said.failure = copy;
}

static void message_error(struct message *m, const struct error *error)
{
    struct error *copy = arena_new_struct(m->arena, struct error);
    *copy = *error;
    m->said.error = copy;
}

static void message_post(struct call *c, enum call_side to, const struct said *s)
{
    struct message *m = message_new(c, to);
    m->said = (struct said){
        .event = s->event, .is_end = s->is_end, .taken = s->taken, .version = s->version};
    if (s->answer || s->failure || s->error)
        m->arena = arena_new(NULL);
    if (s->answer)
        message_answer(m, s->answer);
    else
        message_data(m, s->data);
    if (s->failure)
        message_failure(m, s->failure);
    if (s->error)
        message_error(m, s->error);
    c->carrier->post(c, to, &m->post);
}

static void loop_carry(struct call *c, enum call_side to, struct post *p)
{
    struct message *m = container_of(p, struct message, post);
    m->loop = call_loop(c, to);
    loop_post(m->loop, p);
}

static const struct call_carrier loop_carrier = {loop_carry};

/* ---- saying ---- */

static void call_tell(struct call *c, enum call_side from, const struct said *what)
{
    enum call_side to = from == CALL_CALLER ? CALL_CALLEE : CALL_CALLER;
    struct said said = *what, *s = &said;
    said.version = c->ends[from].version;
    if (c->carrier) {
        message_post(c, to, s);
        return;
    }
    call_ref(c);
    call_arrive(c, to, s);
    call_unref(c);
}

/* ---- the caller ---- */

struct call *call_new(enum call_kind kind, struct account *account)
{
    struct call *c = calloc(1, sizeof(*c));
    CHECK(c);
    c->arena = arena_new(NULL);
    c->refs = 1;
    c->account = account ? account_ref(account) : NULL;
    c->request.kind = kind;
    return c;
}

static void call_begin(struct call *c, const struct call_events *events, void *user,
                       void (*accept)(void *ctx, struct call *c), void *ctx)
{
    c->ends[CALL_CALLER].events = events;
    c->ends[CALL_CALLER].user = user;
    c->accept = accept;
    c->accept_ctx = ctx;
    if (c->carrier) {
        struct message *m = message_new(c, CALL_CALLEE);
        m->is_start = true;
        c->carrier->post(c, CALL_CALLEE, &m->post);
        return;
    }
    call_ref(c);
    accept(ctx, c);
    call_unref(c);
}

void call_start(struct call *c, struct loop *from, struct loop *to,
                const struct call_events *events, void *user,
                void (*accept)(void *ctx, struct call *c), void *ctx)
{
    c->loops[CALL_CALLER] = from;
    c->loops[CALL_CALLEE] = to;
    c->carrier = from == to ? NULL : &loop_carrier;
    if (c->request.answer_ms > 0)
        timer_start(from, &c->timer, c->request.answer_ms, call_is_late);
    call_begin(c, events, user, accept, ctx);
}

void call_start_by(struct call *c, const struct call_carrier *carrier,
                   const struct call_events *events, void *user,
                   void (*accept)(void *ctx, struct call *c), void *ctx)
{
    c->carrier = carrier;
    call_begin(c, events, user, accept, ctx);
}

void call_drop(struct call *c)
{
    CHECK(!c->ends[CALL_CALLER].events);
    call_unref(c);
}

/* ---- the callee ---- */

void call_take_up(struct call *c, const struct call_events *events, void *user, int64_t version)
{
    struct call_end *e = &c->ends[CALL_CALLEE];
    CHECK(!e->events && !e->is_done);
    call_ref(c); /* this end's */
    e->events = events;
    e->user = user;
    e->version = version;
    if (e->is_alone) /* the call was moved, and its caller was faster */
        message_post(c, CALL_CALLEE, &(struct said){.event = EVENT_OVER});
}

/* The caller can have said only that it is done: a body is not sent before the callee wants it. */
void call_move(struct call *c, struct loop *to, void *ctx)
{
    struct message *m = message_new(c, CALL_CALLEE);
    CHECK(c->carrier && !c->ends[CALL_CALLEE].is_done);
    c->accept_ctx = ctx;
    __atomic_store_n(&c->loops[CALL_CALLEE], to, __ATOMIC_RELEASE);
    m->is_start = true;
    c->carrier->post(c, CALL_CALLEE, &m->post);
}

void call_refuse(struct call *c, const struct error *error)
{
    static const struct call_events none = {0};
    call_take_up(c, &none, NULL, 0);
    call_fail(c, &(struct call_failure){.error = *error});
    // The open end has a reference of its own.
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc)
    call_end(c, CALL_CALLEE);
}

void call_want_body(struct call *c)
{
    call_tell(c, CALL_CALLEE, &(struct said){.event = EVENT_WANTED});
}

void call_answer(struct call *c, const struct call_answer *a)
{
    struct call_end *e = &c->ends[CALL_CALLEE];
    CHECK(e->events && !e->has_ended);
    e->has_ended = a->is_end;
    e->out += a->body.len;
    call_tell(c, CALL_CALLEE, &(struct said){.event = EVENT_ANSWER, .answer = a});
}

void call_value(struct call *c, struct slice value)
{
    call_tell(c, CALL_CALLEE, &(struct said){.event = EVENT_VALUE, .data = value});
}

void call_fail(struct call *c, const struct call_failure *f)
{
    call_tell(c, CALL_CALLEE, &(struct said){.event = EVENT_FAIL, .failure = f});
}

/* ---- both ---- */

bool call_send(struct call *c, enum call_side from, struct slice data, bool is_end)
{
    struct call_end *e = &c->ends[from];
    CHECK(e->events && !e->has_ended);
    e->out += data.len;
    e->has_ended = is_end;
    call_ref(c);
    call_tell(c, from, &(struct said){.event = EVENT_DATA, .data = data, .is_end = is_end});
    /* Not before: what is taken meanwhile makes room, and is no news to who is told so here. */
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the call is held
    bool has_room = e->out < LIMIT_HTTP_BODY_WINDOW_BYTES;
    e->is_full = !has_room && !is_end;
    call_unref(c);
    return has_room;
}

void call_break(struct call *c, enum call_side from, const struct error *error)
{
    struct call_end *e = &c->ends[from];
    if (e->has_ended)
        return;
    e->has_ended = true;
    call_tell(c, from, &(struct said){.event = EVENT_BROKEN, .error = error});
}

void call_taken(struct call *c, enum call_side by, size_t n)
{
    struct call_end *e = &c->ends[by];
    e->untold += n;
    /* Few messages: a part of the window is not told of while the sender goes on anyway. */
    if (e->untold == 0 || (c->carrier && e->untold < LIMIT_HTTP_BODY_WINDOW_BYTES / 4))
        return;
    size_t taken = e->untold;
    e->untold = 0;
    call_tell(c, by, &(struct said){.event = EVENT_TAKEN, .taken = taken});
}

void call_end(struct call *c, enum call_side side)
{
    struct call_end *e = &c->ends[side];
    CHECK(e->events && !e->is_done);
    e->events = NULL;
    e->is_done = true;
    if (side == CALL_CALLER)
        call_answered(c);
    if (c->loops[side])
        timer_stop(c->loops[side], &e->later);
    if (!e->is_alone)
        call_tell(c, side, &(struct said){.event = EVENT_OVER});
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): this end's reference, which was there until now
    call_unref(c);
}
