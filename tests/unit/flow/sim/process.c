/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated process: what flow/ has of the world (struct flow_env), as queues from which the dice
 * take. A thread's messages and timers keep their order; reads are answered in any; mutations are
 * applied in order, some time later, and told of later still. */
#include "sim/sim.h"

#include <stdlib.h>

#include "module/deployment.h"
#include "module/runtime.h"

struct sim_read {
    struct list link;
    struct store_query *query;
    bool is_answered; /* as of when it was asked */
};

struct sim_answer {
    struct list link;
    struct store_op *op;
};

struct sim_wish { /* struct prepare, on its way */
    struct list link;
    struct sim_thread *thread;
    struct prepare *prepare;
};

struct sim_code_wish {
    struct list link;
    struct deployment_ask *ask;
    int64_t version;
};

static struct sim_thread *thread_of(struct loop *l)
{
    return container_of(l, struct sim_thread, loop);
}

static bool trouble(const struct sim_process *p, uint64_t n)
{
    return W->fails && !W->is_over && !p->is_dead && percent(n);
}

/* ---- time and messages ---- */

static int64_t clock_us(void)
{
    return W->now_us;
}

static uint64_t clock_ns(void)
{
    return (uint64_t)W->now_us * 1000;
}

static void timer_set(struct loop *l, struct timer *t, uint64_t ms, void (*fn)(struct timer *t))
{
    struct sim_thread *h = thread_of(l);
    t->due_ms = ms > INT64_MAX / 1000 ? UINT64_MAX : (uint64_t)(W->now_us + 999) / 1000 + ms;
    t->fn = fn;
    if (t->heap_pos)
        return;
    if (h->timers_len == h->timers_cap) {
        h->timers_cap = h->timers_cap ? 2 * h->timers_cap : 16;
        h->timers = reallocarray(h->timers, h->timers_cap, sizeof(*h->timers));
        CHECK(h->timers);
    }
    h->timers[h->timers_len++] = t;
    t->heap_pos = h->timers_len;
}

static void timer_unset(struct loop *l, struct timer *t)
{
    struct sim_thread *h = thread_of(l);
    if (!t->heap_pos)
        return;
    CHECK(h->timers[t->heap_pos - 1] == t);
    struct timer *last = h->timers[--h->timers_len];
    h->timers[t->heap_pos - 1] = last;
    last->heap_pos = t->heap_pos;
    t->heap_pos = 0;
}

static struct timer *timer_first(const struct sim_thread *h)
{
    struct timer *first = NULL;
    for (size_t k = 0; k < h->timers_len; k++)
        if (!first || h->timers[k]->due_ms < first->due_ms)
            first = h->timers[k];
    return first;
}

static void post(struct loop *l, struct post *p)
{
    struct sim_thread *h = thread_of(l);
    if (h->flow && W->loses_wakes && !W->is_over && percent(10)) { /* then only wakes are sent */
        struct run_wake *m = container_of(p, struct run_wake, post);
        SAY("a wake of %s is lost", m->id);
        deployment_unref(m->deployment);
        free(m);
        W->has_lost = true;
        stats.lost_wakes++;
        return;
    }
    p->next = NULL;
    *h->posts_end = p;
    h->posts_end = &p->next;
}

static const struct flow_clock sim_clock = {
    .wall_us = clock_us,
    .monotonic_ns = clock_ns,
    .timer_start = timer_set,
    .timer_stop = timer_unset,
    .post = post,
};

/* ---- the store, from here ---- */

static enum op_status db_read(void *db, struct store_query *q)
{
    struct sim_process *p = db;
    if (!W->is_slow && !p->is_dead) {
        store_answer(p, q);
        if (trouble(p, 3)) {
            stats.failed_reads++;
            error_set(&q->error, ERR_IO, "the disk fails");
        }
        return OP_DONE;
    }
    struct sim_read *r = calloc(1, sizeof(*r));
    CHECK(r);
    r->query = q;
    if (percent(50)) {
        store_answer(p, q);
        r->is_answered = true;
    }
    list_push_back(&p->reads, &r->link);
    return OP_PENDING;
}

static void db_take(void *db, struct mutation *m)
{
    struct sim_process *p = db;
    m->next = NULL;
    *p->mutations_end = m;
    p->mutations_end = &m->next;
}

static const struct store_backend sim_backend = {.scheme = "sim", .read = db_read, .take = db_take};

static struct list *list_any(const struct list *l)
{
    size_t len = 0;
    for (const struct list *n = l->next; n != l; n = n->next)
        len++;
    struct list *n = l->next;
    for (uint64_t k = roll() % len; k > 0; k--)
        n = n->next;
    return n;
}

static void tell_read(struct sim_process *p)
{
    struct sim_read *r = container_of(list_any(&p->reads), struct sim_read, link);
    struct store_query *q = r->query;
    list_remove(&r->link);
    if (p->is_dead) {
        error_set(&q->error, ERR_UNAVAILABLE, "the process has ended");
    } else {
        if (!r->is_answered)
            store_answer(p, q);
        if (trouble(p, 3)) {
            stats.failed_reads++;
            error_set(&q->error, ERR_IO, "the disk fails");
        }
    }
    free(r);
    q->done(q);
}

static void apply_first(struct sim_process *p)
{
    struct mutation *m = p->first;
    struct error e = {0};
    int64_t number = 0;
    if (!(p->first = m->next))
        p->mutations_end = &p->first;
    if (p->is_dead)
        error_set(&e, ERR_FENCED, "the process has ended");
    else if (trouble(p, 4))
        error_set(&e, percent(20) ? ERR_OVERLOAD : ERR_IO, "the disk fails");
    else
        (void)(store_apply(p, m, &number, &e) == OK);
    stats.failed_commits += e.code != OK;
    SAY("store: %s of %.*s: %s", mutation_text(m), SLICE_ARG(mutation_subject(m)),
        e.code == OK ? "ok" : error_text(e.code));
    if (m->op) {
        m->op->error = e;
        m->op->number = number;
        struct sim_answer *a = calloc(1, sizeof(*a));
        CHECK(a);
        a->op = m->op;
        list_push_back(&p->answers, &a->link);
    }
    free(m);
}

/* Answers of one thread come in their order. */
static void tell_answer(struct sim_process *p)
{
    struct sim_answer *any = container_of(list_any(&p->answers), struct sim_answer, link),
                      *a = NULL;
    for (struct list *n = p->answers.next; !a; n = n->next)
        if (container_of(n, struct sim_answer, link)->op->loop == any->op->loop)
            a = container_of(n, struct sim_answer, link);
    struct store_op *op = a->op;
    list_remove(&a->link);
    free(a);
    op->done(op);
}

/* An execution's commit that its run has not been told of. */
bool process_is_committing(const struct sim_process *p, struct slice id)
{
    for (const struct mutation *m = p->first; m; m = m->next)
        if (m->kind == MUTATION_DURABLE_COMMIT && m->op && slice_eq(m->durable_commit.id, id))
            return true;
    for (const struct list *n = p->answers.next; n != &p->answers; n = n->next) {
        const struct store_op *op = container_of(n, struct sim_answer, link)->op;
        for (int k = 1; k <= THREADS; k++)
            LIST_FOREACH (m, &p->threads[k].flow->all) {
                struct activation *a = container_of(m, struct activation, member);
                struct activation_commit *c = container_of(op, struct activation_commit, op);
                if (slice_eq_cstr(id, a->key) && op != &a->parking && op->loop == a->env->loop &&
                    c->activation == a)
                    return true;
            }
    }
    return false;
}

/* ---- places ---- */

static struct slot *place_hold(void *ctx, struct deployment *d)
{
    struct sim_thread *h = ctx;
    h->held++;
    return (struct slot *)h;
}

static void place_release(struct slot *s)
{
    struct sim_thread *h = (struct sim_thread *)s;
    CHECK(h->held > 0);
    h->held--;
}

static void place_prepare(struct prepare *p)
{
    struct sim_thread *h = (struct sim_thread *)p->slot;
    const struct activation *a = container_of(p, struct activation, prepare);
    if (!a->kind->is_once && process_is_committing(h->process, p->execution_id))
        world_fails("%.*s begins again while a commit of it is on its way",
                    SLICE_ARG(p->execution_id));
    if (percent(50) && !W->fails) {
        static const struct error ok = {.code = OK};
        p->done(p, &ok);
        return;
    }
    struct sim_wish *w = calloc(1, sizeof(*w));
    CHECK(w);
    w->thread = h;
    w->prepare = p;
    list_push_back(&h->prepares, &w->link);
}

static void place_enqueue(void *ctx, struct task *t)
{
    list_push_back(&((struct sim_thread *)ctx)->tasks, &t->link);
}

static void place_withdraw(struct task *t)
{
    list_remove(&t->link);
}

static void place_give_back(void *ctx, struct guest *g)
{
    struct sim_guest *s = container_of(g, struct sim_guest, g);
    list_remove(&g->link);
    list_remove(&s->link);
    guest_make_ordinary(g);
    free(s);
}

static void place_runnable(void *ctx, struct guest *g)
{
    struct sim_thread *h = container_of(g, struct sim_guest, g)->thread;
    if (g->is_queued)
        return;
    g->is_queued = true;
    list_push_back(&h->fresh, &g->link);
}

static bool place_is_crowded(void *ctx)
{
    return !list_is_empty(&((struct sim_thread *)ctx)->tasks);
}

static struct sim_execution *execution_of_tail(const char *name)
{
    return store_find(slice_of(name, 36));
}

static enum op_status place_tail_read(struct slot *s, struct tail *t)
{
    const struct sim_thread *h = (const struct sim_thread *)s;
    const struct sim_execution *x = execution_of_tail(t->name);
    if (h->process->epoch != W->store.epoch)
        return error_set(&t->error, ERR_FENCED, "another server has it"), OP_DONE;
    if (trouble(h->process, 3))
        return error_set(&t->error, ERR_IO, "the disk fails"), OP_DONE;
    struct slice all = x ? bytes_slice(&x->db.tail) : SLICE_EMPTY;
    int64_t end = x ? x->db.first + record_count(all) : 0;
    if (!x || end <= t->from)
        return OP_DONE;
    int64_t skip = t->from > x->db.first ? t->from - x->db.first : 0;
    t->first = x->db.first + skip;
    bytes_append_slice(&t->records, slice_skip(all, record_prefix(all, skip).len));
    t->gate_seq = h->process->db_seq;
    stats.tails++;
    return OP_DONE;
}

static void place_tail_drop(struct tail *t)
{
}

static void place_tail_forget(struct slot *s, const char *name)
{
}

static bool place_gate_is_open(struct slot *s, int64_t seq)
{
    return seq <= ((struct sim_thread *)s)->process->db_durable;
}

static void place_gate_wait(struct slot *s, struct sql_gate_wait *w)
{
    stats.gates++;
    list_push_back(&((struct sim_thread *)s)->gates, &w->link);
}

static const struct flow_place sim_place = {
    .hold = place_hold,
    .release = place_release,
    .prepare = place_prepare,
    .enqueue = place_enqueue,
    .withdraw = place_withdraw,
    .give_back = place_give_back,
    .runnable = place_runnable,
    .is_crowded = place_is_crowded,
    .tail_read = place_tail_read,
    .tail_drop = place_tail_drop,
    .tail_forget = place_tail_forget,
    .gate_is_open = place_gate_is_open,
    .gate_wait = place_gate_wait,
};

static void code_get(void *ctx, struct deployment_ask *a, struct slice name, int64_t version)
{
    struct sim_thread *h = ctx;
    struct sim_code_wish *w = calloc(1, sizeof(*w));
    CHECK(w);
    w->ask = a;
    w->version = version;
    list_push_back(&h->codes, &w->link);
}

/* Other code that comes to the same. */
static void code_trial(void *ctx, struct deployment_ask *a, struct slice name, struct slice code,
                       struct slice detail)
{
    code_get(ctx, a, name, 0);
}

static const struct flow_code sim_code = {.get = code_get, .trial = code_trial};

/* ---- what a thread may do next ---- */

/* A wake, for one that was paused and resumed, while its run leaves because it was paused. */
static void note_wake(const struct sim_thread *h, struct post *p)
{
    const struct run_wake *m = container_of(p, struct run_wake, post);
    const struct activation *a = activation_find(h->flow, RUN_SPACE, slice_cstr(m->id));
    struct sim_execution *x = store_find(slice_cstr(m->id));
    stats.resumed_leaving += a && a->state == ACTIVATION_LEAVING && x && x->was_resumed &&
                             !x->is_paused && !durable_is_finished(x->status);
    if (x)
        x->was_resumed = false;
}

/* A pause after a failure ends while a commit is still at a slow disk. */
static void note_timer(const struct sim_thread *h, const struct timer *t)
{
    for (const struct list *n = h->flow->all.next; n != &h->flow->all; n = n->next) {
        const struct activation *a = container_of(n, struct activation, member);
        stats.began_early +=
            &a->due.timer == t && a->state == ACTIVATION_PAUSING && !activation_is_settled(a);
    }
}

static void do_post(struct sim_thread *h)
{
    struct post *p = h->posts;
    if (h->flow && !W->has_checks)
        note_wake(h, p);
    if (!(h->posts = p->next))
        h->posts_end = &h->posts;
    p->fn(p);
}

static void do_prepare(struct sim_thread *h)
{
    struct sim_wish *w = container_of(list_any(&h->prepares), struct sim_wish, link);
    struct prepare *p = w->prepare;
    struct error e = {0};
    list_remove(&w->link);
    free(w);
    if (h->process->is_dead || trouble(h->process, 5))
        error_set(&e, percent(50) ? ERR_IO : ERR_OVERLOAD, "the code cannot be read");
    p->done(p, &e);
}

static void step_guest(struct sim_thread *h, struct guest *g)
{
    struct sim_guest *s = container_of(g, struct sim_guest, g);
    g->is_queued = false;
    if (activation_is_standing(g)) {
        SAY("%s stands still", s->execution ? s->execution->id : "");
        return;
    }
    enum guest_status status = code_step(s);
    if (status != GUEST_AGAIN) {
        activation_stepped(g, status);
        return;
    }
    stats.slices++;
    list_remove(&g->link);
    if (!activation_may_go_on(g)) {
        stats.stood++;
        g->is_queued = false;
        return;
    }
    g->is_queued = true;
    list_push_back(&h->fresh, &g->link);
}

static void do_task(struct sim_thread *h)
{
    struct task *t = container_of(list_any(&h->tasks), struct task, link);
    list_remove(&t->link);
    if (trouble(h->process, 5)) {
        struct error e;
        error_set(&e, ERR_IO, "no isolate");
        t->refuse(t, &e);
        return;
    }
    struct sim_guest *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->thread = h;
    s->g.host = &h->host;
    list_push_back(&h->guests, &s->link);
    if (!t->start(t, &s->g))
        return;
    list_remove(&s->g.link);
    step_guest(h, &s->g);
}

static void do_code(struct sim_thread *h)
{
    struct sim_code_wish *w = container_of(list_any(&h->codes), struct sim_code_wish, link);
    struct deployment_ask *a = w->ask;
    bool is_first = w->version == 1;
    list_remove(&w->link);
    free(w);
    a->error.code = OK;
    a->deployment = NULL;
    if (h->process->is_dead || trouble(h->process, 3))
        error_set(&a->error, ERR_IO, "the code cannot be read");
    else
        a->deployment = deployment_ref(is_first ? h->process->deployment : h->process->newer);
    a->done(a);
}

static void do_gate(struct sim_thread *h)
{
    struct sim_process *p = h->process;
    struct error e = {0};
    struct sql_gate_wait *w = container_of(h->gates.next, struct sql_gate_wait, link);
    list_remove(&w->link);
    if (p->is_dead || trouble(p, 5)) {
        error_set(&e, ERR_IO, "the database cannot be synced");
    } else if (p->epoch == W->store.epoch) {
        p->db_durable = p->db_seq;
        for (int k = 0; k < W->store.len; k++) {
            struct sim_execution *x = &W->store.executions[k];
            bytes_clear(&x->db_safe.tail);
            bytes_append_slice(&x->db_safe.tail, bytes_slice(&x->db.tail));
            x->db_safe.first = x->db.first;
            memcpy(x->db_safe.rows, x->db.rows, sizeof(x->db.rows));
        }
    }
    w->done(w, &e);
}

static bool do_guest(struct sim_thread *h)
{
    size_t len = 0;
    for (struct list *n = h->guests.next; n != &h->guests; n = n->next)
        len++;
    struct list *n = h->guests.next;
    for (uint64_t k = roll() % len; k > 0; k--)
        n = n->next;
    for (size_t k = 0; k < len; k++, n = n->next == &h->guests ? h->guests.next->next : n->next) {
        if (n == &h->guests)
            n = n->next;
        if (code_event(container_of(n, struct sim_guest, link)))
            return true;
    }
    return false;
}

static bool thread_step(struct sim_thread *h)
{
    for (uint64_t k = 0, first = roll() % 8; k < 8; k++) {
        switch ((first + k) % 8) {
        case 0:
        case 1:
            if (h->posts)
                return do_post(h), true;
            break;
        case 2:
            if (!list_is_empty(&h->prepares))
                return do_prepare(h), true;
            break;
        case 3:
            if (!list_is_empty(&h->tasks))
                return do_task(h), true;
            break;
        case 4:
            if (!list_is_empty(&h->fresh)) {
                struct list *n = list_pop_front(&h->fresh);
                return step_guest(h, container_of(n, struct guest, link)), true;
            }
            break;
        case 5:
            if (!list_is_empty(&h->codes))
                return do_code(h), true;
            break;
        case 6:
            if (!list_is_empty(&h->gates))
                return do_gate(h), true;
            break;
        case 7: {
            struct timer *t = timer_first(h);
            if (t && t->due_ms * 1000 <= (uint64_t)W->now_us) {
                timer_unset(&h->loop, t);
                SAY("a timer fires");
                if (h->flow)
                    note_timer(h, t);
                return t->fn(t), true;
            }
            if (h->flow && percent(2) && !list_is_empty(&h->flow->resting))
                return stats.evicted++, flow_reclaim(h->flow), true;
            if (!list_is_empty(&h->guests) && do_guest(h))
                return true;
            break;
        }
        }
    }
    return false;
}

bool process_step(struct sim_process *p)
{
    enum { CHOICES = THREADS + 1 + 3 };
    for (uint64_t k = 0, first = roll() % CHOICES; k < CHOICES; k++) {
        uint64_t what = (first + k) % CHOICES;
        if (what <= THREADS) {
            if (thread_step(&p->threads[what]))
                return true;
        } else if (what == THREADS + 1 && !list_is_empty(&p->reads)) {
            return tell_read(p), true;
        } else if (what == THREADS + 2 && p->first &&
                   (p->is_dead || W->now_us >= W->disk_until_us)) {
            return apply_first(p), true;
        } else if (what == THREADS + 3 && !list_is_empty(&p->answers)) {
            return tell_answer(p), true;
        }
    }
    return false;
}

bool process_advance(struct sim_process *p, int64_t *ret_us)
{
    bool has_any = p->first && W->disk_until_us > W->now_us;
    *ret_us = W->disk_until_us;
    for (int k = 0; k <= THREADS; k++) {
        const struct timer *t = timer_first(&p->threads[k]);
        if (!t || t->due_ms > INT64_MAX / 1000)
            continue;
        int64_t us = (int64_t)t->due_ms * 1000;
        if (!has_any || us < *ret_us)
            *ret_us = us;
        has_any = true;
    }
    return has_any;
}

/* ---- begin and end ---- */

static void late(void *ctx, int64_t us)
{
}

static void runnable(void *ctx, struct guest *g)
{
    place_runnable(ctx, g);
}

void process_suspects(const struct sim_process *p, struct bytes *ret_ids)
{
    for (int k = 1; k <= THREADS; k++)
        LIST_FOREACH (n, &p->threads[k].guests) {
            const struct sim_guest *s = container_of(n, struct sim_guest, link);
            if (s->execution && !s->execution->is_deleted && s->dispatch)
                bytes_append(ret_ids, s->execution->id, sizeof(s->execution->id));
        }
}

static struct deployment *deploy(int64_t version)
{
    static const struct runtime_type plays = {.name = "sim"};
    static struct runtime nothing = {.type = &plays};
    struct deployment *d = deployment_new();
    d->name = SLICE_LIT("sim");
    d->version = version;
    d->runtime = &nothing;
    d->memory_bytes_max = 1 << 20;
    return d;
}

struct sim_process *process_new(struct slice suspects)
{
    struct sim_process *p = calloc(1, sizeof(*p));
    CHECK(p);
    p->epoch = ++W->store.epoch;
    p->db_seq = 1; /* what is there, synced or not */
    p->store.backend = &sim_backend;
    p->store.db = p;
    p->mutations_end = &p->first;
    list_init(&p->reads);
    list_init(&p->answers);
    p->deployment = deploy(1);
    p->newer = deploy(2);
    p->shared.late = late;
    p->shared.verifies_replay = W->verifies;
    p->shared.snapshot_after = roll() % 2 ? 0 : 3;
    for (int k = 0; k <= THREADS; k++) {
        struct sim_thread *h = &p->threads[k];
        h->process = p;
        h->posts_end = &h->posts;
        h->asks = (struct asks){.store = &p->store, .loop = &h->loop};
        h->env = (struct flow_env){.clock = &sim_clock,
                                   .loop = &h->loop,
                                   .store = &p->store,
                                   .asks = &h->asks,
                                   .shared = &p->shared,
                                   .ctx = h,
                                   .place = &sim_place,
                                   .isolates = &code_isolates,
                                   .metrics = &p->metrics,
                                   .code = &sim_code};
        h->host = (struct guest_host){.ctx = h, .loop = &h->loop, .runnable = runnable};
        list_init(&h->prepares);
        list_init(&h->tasks);
        list_init(&h->fresh);
        list_init(&h->guests);
        list_init(&h->codes);
        list_init(&h->gates);
        if (k > 0)
            p->flows[k - 1] = h->flow = flow_new(&h->env);
    }
    p->director = director_new(&p->threads[0].env, p->flows, THREADS, suspects);
    alarms_serve(p);
    list_push_back(&W->processes, &p->link);
    return p;
}

static void drained(void *arg)
{
    ((struct sim_thread *)arg)->is_drained = true;
}

static bool is_drained(const struct sim_process *p)
{
    for (int k = 1; k <= THREADS; k++)
        if (!p->threads[k].is_drained)
            return false;
    return true;
}

/* What it still does reaches nobody. */
void process_die(struct sim_process *p)
{
    p->is_dead = true;
    list_remove(&p->link);
    director_stop(p->director);
    for (int k = 1; k <= THREADS; k++)
        flow_drain(p->threads[k].flow, drained, &p->threads[k]);
    unsigned steps = 0;
    while (process_step(p) || !is_drained(p) || p->requests_out > 0) {
        int64_t us;
        if (steps++ > 100000) {
            world_fails("a process does not drain");
            break;
        }
        if (!process_step(p) && process_advance(p, &us) && us > W->now_us)
            W->now_us = us;
    }
    stats.replays += atomic_load(&p->metrics.replays);
    stats.verified += atomic_load(&p->shared.verified);
    /* Who is not the owner any more compares with what another one has cut. */
    if (p->epoch == W->store.epoch && atomic_load(&p->shared.verify_failures) > 0)
        world_fails("a replay leads to another state");
    alarms_stop(p);
    director_free(p->director);
    for (int k = 0; k <= THREADS; k++) {
        struct sim_thread *h = &p->threads[k];
        if (h->held > 0 || !list_is_empty(&h->guests))
            world_fails("a drained process holds %u places", h->held);
        if (h->flow)
            flow_free(h->flow);
        free(h->timers);
    }
    deployment_unref(p->deployment);
    deployment_unref(p->newer);
    free(p);
}
