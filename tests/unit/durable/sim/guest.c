/* SPDX-License-Identifier: Apache-2.0
 *
 * An interpreter for tasks (async functions) with a stack of frames each, and a queue of those that
 * are ready, like the jobs of a JavaScript engine: first in, first out. */
#include "sim/guest.h"

uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t z = a * 0x9e3779b97f4a7c15ULL + b + 0x632be59bd9b4e019ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

uint64_t dice_roll(struct dice *d)
{
    d->state += 0x9e3779b97f4a7c15ULL;
    return mix(d->state, 1);
}

uint64_t dice_below(struct dice *d, uint64_t n)
{
    return dice_roll(d) % n;
}

bool dice_percent(struct dice *d, uint64_t percent)
{
    return dice_below(d, 100) < percent;
}

/* ---- programs ---- */

enum node_kind {
    NODE_SEQ,
    NODE_LOOP, /* param: rounds */
    NODE_IF,
    NODE_TRY,
    NODE_FINALLY,
    NODE_ALL, /* allSettled, then fails if one has */
    NODE_FETCH,
    NODE_STEP,
    NODE_TIMER,
    NODE_LOG,
    NODE_SQL,
    NODE_CHILD,
    NODE_THROW,
    NODE_BLOCK, /* a fetch that everything waits for */
    /* not in pure programs: */
    NODE_PROMISE_ALL, /* fails with the first; the others go on */
    NODE_RACE,
    NODE_SPAWN, /* nobody awaits it */
    NODE_RANDOM,
    NODE_NOW,
    NODE_EVENT,
    NODE_SELECT,   /* becomes a loop around a race */
    NODE_WITHDRAW, /* what another task waits for */
    NODE_KINDS,
};
enum { NODE_FIRST_IMPURE = NODE_PROMISE_ALL };

static size_t node_children(enum node_kind kind, struct dice *d)
{
    switch (kind) {
    case NODE_SEQ:
        return 2 + dice_below(d, 3);
    case NODE_ALL:
    case NODE_PROMISE_ALL:
    case NODE_RACE:
        return 2 + dice_below(d, 3);
    case NODE_IF:
    case NODE_TRY:
    case NODE_FINALLY:
        return 2;
    case NODE_LOOP:
    case NODE_SPAWN:
        return 1;
    default:
        return 0;
    }
}

static enum node_kind node_choose(const struct program *p, struct dice *d, size_t depth)
{
    static const enum node_kind inner[] = {NODE_SEQ,         NODE_SEQ,     NODE_LOOP, NODE_IF,
                                           NODE_TRY,         NODE_FINALLY, NODE_ALL,  NODE_ALL,
                                           NODE_PROMISE_ALL, NODE_RACE,    NODE_RACE, NODE_SPAWN};
    static const enum node_kind leaf[] = {
        NODE_FETCH, NODE_FETCH, NODE_BLOCK,  NODE_STEP,   NODE_STEP,    NODE_STEP,   NODE_TIMER,
        NODE_LOG,   NODE_SQL,   NODE_SQL,    NODE_CHILD,  NODE_THROW,   NODE_RANDOM, NODE_NOW,
        NODE_EVENT, NODE_EVENT, NODE_SELECT, NODE_SELECT, NODE_WITHDRAW};
    for (;;) {
        const bool is_leaf = depth >= 5 || p->len > PROGRAM_NODES_MAX - 10 || dice_percent(d, 45);
        const enum node_kind kind =
            is_leaf ? leaf[dice_below(d, ARRAY_LEN(leaf))] : inner[dice_below(d, ARRAY_LEN(inner))];
        if (!p->is_pure || (int)kind < NODE_FIRST_IMPURE)
            return kind;
    }
}

/* A loop around a select(): an event or a time, and what loses is withdrawn. */
static void node_make_select(struct program *p, struct dice *d, struct node *loop)
{
    struct node race = {.kind = NODE_RACE, .cancels = true, .children_len = 2};
    const uint8_t at = (uint8_t)p->len++;
    race.children[0] = (uint8_t)p->len++;
    race.children[1] = (uint8_t)p->len++;
    p->nodes[at] = race;
    p->nodes[race.children[0]] = (struct node){.kind = NODE_EVENT, .param = loop->param};
    p->nodes[race.children[1]] =
        (struct node){.kind = NODE_TIMER, .param = (uint32_t)dice_below(d, 300)};
    loop->kind = NODE_LOOP;
    loop->children[0] = at;
    loop->children_len = 1;
}

static uint8_t node_make(struct program *p, struct dice *d, size_t depth)
{
    const size_t at = p->len++;
    CHECK(at < PROGRAM_NODES_MAX);
    const enum node_kind kind = depth == 0 ? NODE_SEQ : node_choose(p, d, depth);
    struct node n = {.kind = (uint8_t)kind,
                     .param = (uint32_t)dice_below(d, 1000),
                     .has_timeout = dice_percent(d, 50),
                     .cancels = dice_percent(d, 50),
                     .goes_on = depth == 0 || dice_percent(d, 30)};
    const size_t children = depth == 0 ? NODE_CHILDREN_MAX : node_children(kind, d);
    for (size_t i = 0; i < children && p->len < PROGRAM_NODES_MAX - NODE_CHILDREN_MAX; i++)
        n.children[n.children_len++] = node_make(p, d, depth + 1);
    if (kind == NODE_SELECT)
        node_make_select(p, d, &n);
    p->nodes[at] = n;
    return (uint8_t)at;
}

void program_make(struct program *p, struct dice *d, bool is_pure)
{
    *p = (struct program){.is_pure = is_pure};
    (void)node_make(p, d, 0); /* it is node 0 */
}

/* ---- tasks ---- */

struct run {
    struct guest *g;
    const struct program *p;
    struct guest_host *h;
};

struct outcome {
    uint32_t status;
    uint64_t value;
};

static void task_ready(struct guest *g, const struct task *t, const struct outcome *o)
{
    CHECK(g->ready_len < ARRAY_LEN(g->ready));
    struct ready *r = &g->ready[(g->ready_first + g->ready_len++) % ARRAY_LEN(g->ready)];
    *r = (struct ready){.task = (int16_t)(t - g->tasks)};
    if (!o)
        return;
    r->has_outcome = true;
    r->status = o->status;
    r->value = o->value;
}

static bool frame_push(struct task *t, uint8_t node, uint64_t path, uint64_t acc)
{
    if (t->depth == GUEST_DEPTH_MAX)
        return false;
    struct frame *f = &t->frames[t->depth++];
    memset(f, 0, sizeof(*f));
    f->node = node;
    f->path = path;
    f->acc = acc;
    f->failed_index = UINT8_MAX;
    return true;
}

static bool task_spawn(struct run *r, const struct task *parent, uint32_t join, uint8_t index,
                       uint8_t node, uint64_t path, uint64_t acc)
{
    for (size_t i = 0; i < GUEST_TASKS_MAX; i++) {
        struct task *t = &r->g->tasks[i];
        if (t->is_used)
            continue;
        memset(t, 0, sizeof(*t));
        t->is_used = true;
        t->parent = parent ? (int16_t)(parent - r->g->tasks) : -1;
        t->join = join;
        t->index = index;
        (void)frame_push(t, node, path, acc); /* the first always fits */
        task_ready(r->g, t, NULL);
        return true;
    }
    return false;
}

/* The losers of a race: calls that are awaited directly are given up. */
static void race_cancel(struct run *r, uint32_t join)
{
    for (size_t i = 0; i < GUEST_TASKS_MAX; i++) {
        const struct task *t = &r->g->tasks[i];
        if (t->is_used && t->join == join && t->depth == 1 && t->wait_id)
            r->h->cancel_call(r->h->ctx, t->wait_id);
    }
}

/* A child task has ended: what does that mean for who joins it? */
static void task_joined(struct run *r, const struct task *child, const struct outcome *o)
{
    struct task *t = &r->g->tasks[child->parent];
    struct frame *f = t->depth ? &t->frames[t->depth - 1] : NULL;
    if (!t->is_used || !f || f->join != child->join)
        return; /* nobody waits any more */
    const struct node *n = &r->p->nodes[f->node];
    f->pending--;
    if (o->status != OK && child->index < f->failed_index) {
        f->failed_index = child->index;
        f->status = o->status;
        f->value = o->value;
    }
    f->acc += mix(child->index + 1, o->value);
    const bool is_over =
        n->kind == NODE_RACE || (n->kind == NODE_PROMISE_ALL && o->status != OK) || f->pending == 0;
    if (!is_over)
        return;
    f->join = 0;
    if (n->kind == NODE_RACE) {
        if (n->cancels)
            race_cancel(r, child->join);
        task_ready(r->g, t, o);
    } else {
        task_ready(r->g, t, &(struct outcome){f->status, f->status ? f->value : f->acc});
    }
}

static void task_end(struct run *r, struct task *t, const struct outcome *o)
{
    t->is_used = false;
    if (t->parent >= 0) {
        task_joined(r, t, o);
    } else if (t == r->g->tasks) {
        r->g->has_ended = true;
        r->h->finish(r->h->ctx, o->status, o->value);
    }
}

/* ---- statements: each returns what happened ---- */

enum next { NEXT_DONE, NEXT_PUSHED, NEXT_WAITS };

static enum next done(struct outcome *o, uint32_t status, uint64_t value)
{
    *o = (struct outcome){status, value};
    return NEXT_DONE;
}

static enum next limit(struct run *r, struct outcome *o)
{
    r->g->hit_limit = true;
    return done(o, ERR_LIMIT, 0);
}

static enum next push(struct task *t, struct frame *f, size_t child, uint64_t round,
                      const struct node *n, struct outcome *o)
{
    if (child >= n->children_len)
        return done(o, OK, f->acc);
    if (!frame_push(t, n->children[child], mix(f->path, child + 16 * round + 1), f->acc))
        return done(o, ERR_LIMIT_STACK, 0);
    return NEXT_PUSHED;
}

/* in: the outcome of the last child, NULL at first. */
static enum next do_sequence(struct task *t, struct frame *f, const struct node *n,
                             const struct outcome *in, struct outcome *o)
{
    const bool is_loop = n->kind == NODE_LOOP;
    const bool is_cancelled = in && in->status == ERR_CANCELLED;
    if (in && in->status != OK && (!n->goes_on || is_cancelled))
        return done(o, in->status, in->value);
    if (in)
        f->acc = mix(f->acc, in->value + in->status);
    const uint64_t rounds = is_loop ? 1 + (n->param + f->acc % 2) % 4 : n->children_len;
    if (f->state >= rounds || n->children_len == 0)
        return done(o, OK, f->acc);
    f->state++;
    return is_loop ? push(t, f, 0, f->state, n, o) : push(t, f, f->state - 1U, 0, n, o);
}

static enum next do_branch(struct task *t, struct frame *f, const struct node *n,
                           const struct outcome *in, struct outcome *o)
{
    switch (f->state++) {
    case 0:
        return push(t, f, n->kind == NODE_IF ? f->acc % 2 : 0, 0, n, o);
    case 1:
        if (n->kind == NODE_IF || (n->kind == NODE_TRY && in->status == OK))
            return done(o, in->status, in->value);
        f->status = in->status;
        f->value = in->value;
        f->acc = mix(in->status, in->value);
        return push(t, f, 1, 0, n, o);
    default:
        if (n->kind == NODE_FINALLY && in->status == OK)
            return done(o, f->status, f->value);
        return done(o, in->status, in->value);
    }
}

static enum next do_join(struct run *r, struct task *t, struct frame *f, const struct node *n,
                         const struct outcome *in, struct outcome *o)
{
    if (in)
        return done(o, in->status, in->value);
    if (n->children_len == 0)
        return done(o, OK, 0);
    f->join = ++r->g->joins;
    f->pending = n->children_len;
    for (uint8_t i = 0; i < n->children_len; i++)
        if (!task_spawn(r, t, f->join, i, n->children[i], mix(f->path, i + 1U), f->acc)) {
            f->join = 0; /* those that were made go on */
            return limit(r, o);
        }
    return NEXT_WAITS;
}

static enum next do_sync(struct run *r, struct frame *f, enum guest_op op, struct outcome *o)
{
    uint64_t value = 0;
    if (r->g->syncs++ >= GUEST_SYNCS_MAX)
        return limit(r, o);
    const uint32_t status = r->h->sync(r->h->ctx, op, f->path, f->acc, &value);
    return done(o, status, mix(f->acc, value));
}

static enum next do_call(struct run *r, struct task *t, struct frame *f, const struct node *n,
                         enum guest_op op, struct outcome *o)
{
    struct guest_call call = {.op = op,
                              .path = f->path,
                              .in = f->acc,
                              .delay_us = EXECUTION_NEVER,
                              .name = n->param % GUEST_NAMES,
                              .attempts_max = n->param % 4,
                              .has_timeout = n->has_timeout};
    if (op == GUEST_TIMER || (op == GUEST_EVENT && n->has_timeout))
        call.delay_us = (int64_t)n->param * n->param * (n->param % 7);
    if (r->g->calls++ >= GUEST_CALLS_MAX)
        return limit(r, o);
    const enum err err = r->h->call(r->h->ctx, &call, &t->wait_id);
    if (err != OK)
        return done(o, err, 0);
    if (n->kind == NODE_BLOCK)
        r->g->blocked_id = t->wait_id;
    r->g->made[t->wait_id] = (struct guest_made){f->path, n->has_timeout};
    return NEXT_WAITS;
}

static enum next do_child(struct run *r, struct task *t, struct frame *f, const struct node *n,
                          const struct outcome *in, struct outcome *o)
{
    if (in)
        return done(o, in->status, in->value);
    const enum next started = do_sync(r, f, GUEST_CHILD_START, o);
    if (o->status != OK || r->h->is_stopped || n->param % 4 == 0)
        return started;
    return do_call(r, t, f, n, GUEST_CHILD_RESULT, o);
}

static enum next do_spawn(struct run *r, struct frame *f, const struct node *n, struct outcome *o)
{
    if (n->children_len)
        (void)task_spawn(r, NULL, 0, 0, n->children[0], mix(f->path, 1), f->acc);
    return done(o, OK, f->acc);
}

/* The AbortController of another task: one of the waits that are pending. */
static enum next do_withdraw(struct run *r, const struct task *self, struct frame *f,
                             const struct node *n, struct outcome *o)
{
    size_t skip = n->param % 3;
    for (size_t i = 0; i < GUEST_TASKS_MAX; i++) {
        const struct task *t = &r->g->tasks[i];
        if (!t->is_used || t == self || !t->wait_id || t->depth == 0)
            continue;
        const enum node_kind kind = r->p->nodes[t->frames[t->depth - 1].node].kind;
        if ((kind != NODE_EVENT && kind != NODE_TIMER && kind != NODE_CHILD) || skip-- > 0)
            continue;
        r->h->cancel_call(r->h->ctx, t->wait_id);
        break;
    }
    return done(o, OK, f->acc);
}

static enum next frame_step(struct run *r, struct task *t, const struct outcome *in,
                            struct outcome *o)
{
    struct frame *f = &t->frames[t->depth - 1];
    const struct node *n = &r->p->nodes[f->node];
    static const uint8_t ops[NODE_KINDS] = {
        [NODE_FETCH] = GUEST_FETCH,   [NODE_STEP] = GUEST_STEP,  [NODE_TIMER] = GUEST_TIMER,
        [NODE_EVENT] = GUEST_EVENT,   [NODE_LOG] = GUEST_LOG,    [NODE_SQL] = GUEST_SQL,
        [NODE_RANDOM] = GUEST_RANDOM, [NODE_BLOCK] = GUEST_FETCH};
    switch ((enum node_kind)n->kind) {
    case NODE_SEQ:
    case NODE_LOOP:
        return do_sequence(t, f, n, in, o);
    case NODE_IF:
    case NODE_TRY:
    case NODE_FINALLY:
        return do_branch(t, f, n, in, o);
    case NODE_ALL:
    case NODE_PROMISE_ALL:
    case NODE_RACE:
        return do_join(r, t, f, n, in, o);
    case NODE_FETCH:
    case NODE_BLOCK:
    case NODE_STEP:
    case NODE_TIMER:
    case NODE_EVENT:
        return in ? done(o, in->status, in->value)
                  : do_call(r, t, f, n, (enum guest_op)ops[n->kind], o);
    case NODE_LOG:
    case NODE_SQL:
    case NODE_RANDOM:
        return do_sync(r, f, (enum guest_op)ops[n->kind], o);
    case NODE_CHILD:
        return do_child(r, t, f, n, in, o);
    case NODE_SPAWN:
        return do_spawn(r, f, n, o);
    case NODE_NOW:
        return done(o, OK, mix(f->acc, (uint64_t)r->h->now_us(r->h->ctx)));
    case NODE_THROW:
        return f->acc % 3 ? done(o, OK, f->acc) : done(o, ERR_GUEST, f->acc);
    case NODE_WITHDRAW:
        return do_withdraw(r, t, f, n, o);
    case NODE_SELECT:
    case NODE_KINDS:
        break;
    }
    CHECK(false); /* there are no others */
    return NEXT_WAITS;
}

static void task_run(struct run *r, struct task *t, const struct outcome *in)
{
    struct outcome result, o;
    for (;;) {
        const enum next next = frame_step(r, t, in, &o);
        if (next == NEXT_WAITS || r->h->is_stopped)
            return;
        in = NULL;
        if (next == NEXT_PUSHED)
            continue;
        t->depth--;
        memset(&t->frames[t->depth], 0, sizeof(t->frames[0]));
        if (t->depth == 0) {
            task_end(r, t, &o);
            return;
        }
        result = o;
        in = &result;
    }
}

static void guest_run(struct run *r)
{
    struct guest *g = r->g;
    while (g->ready_len > 0 && !r->h->is_stopped && !g->has_ended && !g->blocked_id) {
        const struct ready next = g->ready[g->ready_first];
        g->ready_first = (g->ready_first + 1) % ARRAY_LEN(g->ready);
        g->ready_len--;
        const struct outcome o = {next.status, next.value};
        task_run(r, &g->tasks[next.task], next.has_outcome ? &o : NULL);
    }
}

void guest_start(struct guest *g, const struct program *p, struct guest_host *h)
{
    struct run r = {g, p, h};
    memset(g, 0, sizeof(*g));
    CHECK(task_spawn(&r, NULL, 0, 0, 0, 1, 1));
    guest_run(&r);
}

static uint64_t payload_value(struct slice payload)
{
    uint64_t value = payload.len;
    for (size_t i = 0; i < payload.len; i++)
        value = mix(value, (uint8_t)payload.ptr[i]);
    return value;
}

void guest_deliver(struct guest *g, const struct program *p, struct guest_host *h, uint32_t id,
                   uint32_t status, struct slice payload)
{
    struct run r = {g, p, h};
    for (size_t i = 0; i < GUEST_TASKS_MAX; i++) {
        struct task *t = &g->tasks[i];
        if (!t->is_used || t->wait_id != id)
            continue;
        const struct outcome o = {status, payload_value(payload)};
        t->wait_id = 0;
        if (g->blocked_id == id) {
            g->blocked_id = 0;
            task_run(&r, t, &o); /* it was in the middle of a job */
        } else {
            task_ready(g, t, &o);
        }
        break;
    }
    guest_run(&r);
}
