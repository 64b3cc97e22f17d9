/* SPDX-License-Identifier: Apache-2.0
 *
 * When an activation does what: activation_step() is all of it, by state. See activation.h.
 *
 * At rest it stays while its next deadline is near, lingers a little when it waits for events (a parent
 * of a thousand children would otherwise be brought back a thousand times), and else leaves with what
 * it needs to come back.
 *
 * Whatever is called here may be the end of the activation: nothing touches it after a step. */
#include "flow/activation.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "flow/director.h"
#include "flow/witness.h"

enum {
    ACTIVATION_STAY_US = 1000 * 1000, /* a deadline nearer than this is waited for in memory */
    ACTIVATION_LINGER_MS = 200,       /* after the last event, when more may come */
    ACTIVATION_PAUSE_MS = 500,        /* after a failure that may pass; doubled each time */
    ACTIVATION_TRIES_MAX = 10, /* of what needs somebody, perhaps: some two minutes, then parked */
};

enum event {
    ON_READY,  /* what the state waits for is there: code, isolate, answer, a step of its code */
    ON_ERROR,  /* it will not come */
    ON_DUE,    /* its time has come */
    ON_STORED, /* a commit is */
    ON_WOKEN,  /* something happened to it */
    ON_CANCEL, /* it is to leave: the thread stops, or the key is wanted by another */
    ON_LOST,   /* another server has it: what is here is void */
};

struct happening {
    enum event on;
    const struct error *error; /* ON_ERROR */
    const char *about;         /* ON_WOKEN */
    enum guest_status status;  /* ON_READY of a step */
};

static void activation_step(struct activation *a, struct happening h);

static struct slice key_of(const struct activation *a)
{
    return slice_of(a->key, strlen(a->key));
}

/* ---- by key ---- */

struct place_key {
    char text[ACTIVATION_KEY_BYTES + 32];
};

static struct slice place_key(const char *space, struct slice key, struct place_key *ret_key)
{
    int len = snprintf(ret_key->text, sizeof(ret_key->text), "%s/%.*s", space, SLICE_ARG(key));
    CHECK(len > 0 && (size_t)len < sizeof(ret_key->text));
    return slice_of(ret_key->text, (size_t)len);
}

struct activation *activation_find(struct flow *f, const char *space, struct slice key)
{
    struct place_key k;
    return key.len < ACTIVATION_KEY_BYTES ? map_get(&f->map, place_key(space, key, &k)) : NULL;
}

/* Any function will do while one process owns all. */
size_t activation_thread(const char *space, struct slice key, size_t threads)
{
    uint64_t h = 1469598103934665603ULL; /* FNV-1a */
    for (const char *p = space; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211ULL;
    for (size_t k = 0; k < key.len; k++)
        h = (h ^ (unsigned char)key.ptr[k]) * 1099511628211ULL;
    return (h >> 32) % threads;
}

/* ---- its parts ---- */

static void unrest(struct activation *a)
{
    list_remove(&a->resting);
    due_stop(a->env, &a->due);
}

/* Gives the isolate back. */
static void end_guest(struct activation *a)
{
    static const struct error over = {.code = ERR_UNAVAILABLE, .message = "the run leaves"};
    struct guest *g = TAKE(a->guest);
    if (!g)
        return;
    unrest(a);
    a->kind->exit(a);
    a->env->isolates->end(g, &over);
    a->env->place->give_back(a->env->ctx, g);
}

/* What it did last may end the process when it is stored: until then it is noted. */
static void leave_witness(struct activation *a)
{
    witness_leave(a->env->witness, a->env->thread, a->witness);
    a->witness = WITNESS_NOTHING;
}

static void check_drained(struct flow *f)
{
    if (!f->is_draining || !f->drained || !list_is_empty(&f->all))
        return;
    void (*done)(void *) = f->drained;
    f->drained = NULL;
    done(f->drained_arg);
}

/* ---- exits ---- */

/* Absent. What it was woken for and has not seen is still to be seen. */
static void go(struct activation *a)
{
    struct flow *f = a->flow;
    struct flow_env *env = a->env;
    struct slot *s = a->slot;
    CHECK(!a->guest && activation_is_settled(a));
    leave_witness(a);
    if (a->news == NEWS_UNSEEN && !f->is_draining) {
        struct director_note *n = director_note_new(env->shared, a->key, 1);
        memcpy(n->wakes[0], a->key, sizeof(a->key));
        director_send(n);
    }
    unrest(a);
    struct place_key k;
    if (activation_find(f, a->kind->space, key_of(a)) == a)
        (void)map_remove(&f->map, place_key(a->kind->space, key_of(a), &k));
    list_remove(&a->member);
    a->kind->gone(a);
    env->place->release(s);
    check_drained(f);
}

/* LEAVING, or absent if nothing of it is on its way. */
void activation_leave(struct activation *a)
{
    end_guest(a);
    unrest(a);
    a->state = ACTIVATION_LEAVING;
    if (activation_is_settled(a))
        go(a);
}

/* PREPARING: from its beginning, with nothing on its way. */
static void begin_again(struct activation *a)
{
    end_guest(a);
    CHECK(activation_is_settled(a));
    leave_witness(a);
    a->failure.code = OK;
    a->state = ACTIVATION_PREPARING;
    a->env->place->prepare(&a->prepare);
}

static void due_fired(struct due *d)
{
    activation_step(container_of(d, struct activation, due), (struct happening){.on = ON_DUE});
}

static void parked(struct store_op *op)
{
    struct activation *a = container_of(op, struct activation, parking);
    struct error e = a->parked_for;
    bool is_again = op->error.code != OK && retry_of(&op->error) == RETRY_PASSES;
    a->in_flight--;
    if (is_again && !a->flow->is_draining)
        activation_retry(a, &e);
    else
        go(a);
}

/* LEAVING, and nobody brings it back until somebody resumes it. */
static void park(struct activation *a, const struct error *error)
{
    a->state = ACTIVATION_LEAVING;
    a->parked_for = *error;
    a->parking = (struct store_op){.loop = a->env->loop, .done = parked};
    a->in_flight++;
    log_error("an activation is parked", LOG_STR("kind", a->kind->text), LOG_STR("key", a->key),
              LOG_STR("error", error->message));
    a->kind->park(a, &a->parking, error);
}

/* PAUSING, and again after a while; or parked. The server's own trouble may pass at any time, whatever
 * else it is needs somebody after so many tries. */
void activation_retry(struct activation *a, const struct error *error)
{
    enum retry retry = retry_of(error);
    end_guest(a);
    unrest(a);
    if (a->kind->is_once)
        a->kind->failed(a, error);
    if (a->kind->is_once || a->flow->is_draining || retry == RETRY_LOST) {
        activation_leave(a);
        return;
    }
    if (retry != RETRY_PASSES && a->due.failures >= ACTIVATION_TRIES_MAX &&
        activation_is_settled(a)) {
        park(a, error);
        return;
    }
    a->state = ACTIVATION_PAUSING;
    if (due_again(a->env, &a->due, ACTIVATION_PAUSE_MS, due_fired))
        log_warn("an activation cannot go on now, it is tried again",
                 LOG_STR("kind", a->kind->text), LOG_STR("key", a->key),
                 LOG_STR("error", error->message));
}

/* A commit was refused: what the code has done since is void.
 *
 *     it is gone from the store, or not ours any more    absent
 *     the disk fails, somebody else has changed it, a    PAUSING: again from what is stored
 *     receiver takes no signals: that can pass
 *     anything else                                      FAILING: it fails, with the reason
 *
 * Not before the last of those before it has been answered, which may still be good. */
static void refuse(struct activation *a, const struct error *error)
{
    struct error e = *error;
    end_guest(a);
    unrest(a);
    if (a->state != ACTIVATION_FAILING)
        a->state = ACTIVATION_LEAVING;
    a->failure = e;
    commit_drop_all(a);
    if (!activation_is_settled(a))
        return;
    enum retry retry = retry_of(&e);
    if (e.code == ERR_NOT_FOUND || retry == RETRY_LOST || a->flow->is_draining ||
        a->kind->is_once) {
        go(a);
    } else if (retry != RETRY_NEVER) {
        activation_retry(a, &e);
    } else if (a->state == ACTIVATION_FAILING) { /* nor that it has failed: a restart tries again */
        log_error("an activation is left as it is", LOG_STR("kind", a->kind->text),
                  LOG_STR("key", a->key), LOG_STR("error", e.message));
        go(a);
    } else {
        a->failure.code = OK;
        a->state = ACTIVATION_FAILING;
        a->kind->fail(a, &e);
    }
}

/* The last commit is answered. */
static void left(struct activation *a)
{
    struct error e = a->failure;
    if (!activation_is_settled(a))
        return;
    if (e.code != OK)
        refuse(a, &e); /* the ones before what failed were still good */
    else
        go(a);
}

/* ---- at rest ---- */

static bool lingers(const struct activation *a, const struct activation_rest *r)
{
    if (r->is_bound || r->due_us - flow_now_us(a->env) < ACTIVATION_STAY_US)
        return true;
    return r->waits && a->linger_until_ns > a->env->clock->monotonic_ns() &&
           !a->env->place->is_crowded(a->env->ctx);
}

static bool has_work(const struct activation *a)
{
    return guest_has_news(a->guest) || a->guest->is_queued || guest_is_in_sql(a->guest);
}

/* With its last records: one commit, and the isolate is free. */
static void leave_with_all(struct activation *a)
{
    a->kind->leave(a);
    activation_leave(a);
}

void activation_settle(struct activation *a)
{
    struct activation_rest r;
    if (!activation_is_live(a) || a->state == ACTIVATION_STANDING || has_work(a))
        return;
    a->kind->rest(a, &r);
    if (r.is_idle && !r.is_looking && !lingers(a, &r)) {
        if (a->news != NEWS_NONE)
            a->kind->look_at_all(a);
        else
            leave_with_all(a);
        return;
    }
    unrest(a);
    a->state = r.is_idle ? ACTIVATION_AT_REST : ACTIVATION_RUNNING;
    if (r.is_idle && !r.is_bound)
        list_push_back(&a->flow->resting, &a->resting);
    int64_t until_us = r.due_us;
    if (r.is_idle && r.waits && !r.is_bound) {
        int64_t linger_us = flow_now_us(a->env) + ACTIVATION_LINGER_MS * 1000;
        until_us = until_us < linger_us ? until_us : linger_us;
    }
    if (until_us != INT64_MAX)
        due_at(a->env, &a->due, until_us, due_fired);
}

void activation_go_on(struct activation *a, bool pokes)
{
    if (a->state == ACTIVATION_STANDING) {
        if (a->kind->has_to_stand(a))
            return;
        a->state = ACTIVATION_RUNNING;
        a->env->place->runnable(a->env->ctx, a->guest);
    }
    if (pokes)
        guest_poke(a->guest);
}

/* ---- stepped ---- */

/* What has nothing more to do leaves with its records: one commit, and the isolate is free. */
static void come_to_rest(struct activation *a)
{
    struct activation_rest r;
    a->kind->rest(a, &r);
    if (r.is_idle && !r.is_looking && a->news == NEWS_NONE && !guest_has_news(a->guest) &&
        !lingers(a, &r)) {
        leave_with_all(a);
        return;
    }
    a->kind->collect(a);
    a->kind->went_on(a);
    activation_settle(a);
}

static void run(struct activation *a, enum guest_status status)
{
    struct error e;
    unrest(a);
    a->state = ACTIVATION_RUNNING;
    a->linger_until_ns = a->env->clock->monotonic_ns() + ACTIVATION_LINGER_MS * UINT64_C(1000000);
    switch (a->kind->stepped(a, status, &e)) {
    case NEXT_REST:
        come_to_rest(a);
        return;
    case NEXT_END:
        a->kind->collect(a);
        activation_leave(a);
        return;
    case NEXT_FAIL:
        a->state = ACTIVATION_FAILING;
        end_guest(a);
        return;
    case NEXT_LEAVE:
        activation_leave(a);
        return;
    case NEXT_RETRY:
        activation_retry(a, &e);
        return;
    case NEXT_AGAIN:
        begin_again(a);
        return;
    default:
        return;
    }
}

/* True: its guest has something to run. */
static bool read_on(struct activation *a)
{
    struct error e;
    for (;;)
        switch (a->kind->read(a, &e)) {
        case NEXT_READ:
            break;
        case NEXT_RUN:
            a->state = ACTIVATION_RUNNING;
            a->witness = witness_enter(a->env->witness, a->env->thread, a->key);
            a->kind->started(a);
            if (a->news == NEWS_UNSEEN)
                a->kind->woken(a, "");
            return true;
        case NEXT_LEAVE:
            activation_leave(a);
            return false;
        case NEXT_RETRY:
            activation_retry(a, &e);
            return false;
        case NEXT_AGAIN:
            begin_again(a);
            return false;
        default:
            return false;
        }
}

/* ---- the step function ---- */

/* READING also ends in other ways: see read_on(); RUNNING: see run(), activation_settle(). */
static void activation_step(struct activation *a, struct happening h)
{
    switch (a->state) {
    case ACTIVATION_PREPARING:
        if (h.on == ON_READY && !a->flow->is_draining) {
            a->state = ACTIVATION_QUEUED;
            a->env->place->enqueue(a->env->ctx, &a->task);
        } else if (h.on == ON_READY) {
            activation_leave(a);
        } else if (h.on == ON_ERROR) {
            activation_retry(a, h.error); /* PAUSING, or parked */
        } else if (h.on == ON_WOKEN) {
            a->news = NEWS_UNSEEN;
        }
        break; /* cancelled, lost: when the code is here */

    case ACTIVATION_QUEUED: /* ready: activation_start() */
        if (h.on == ON_ERROR) {
            activation_retry(a, h.error);
        } else if (h.on == ON_WOKEN) {
            a->news = NEWS_UNSEEN;
        } else if (h.on == ON_CANCEL || h.on == ON_LOST) {
            a->env->place->withdraw(&a->task);
            activation_leave(a);
        }
        break;

    case ACTIVATION_READING:
        if (h.on == ON_READY)
            (void)read_on(a); /* RUNNING; PAUSING; PREPARING, with more at once; absent */
        else if (h.on == ON_WOKEN)
            a->news = NEWS_UNSEEN;
        else if (h.on == ON_CANCEL || h.on == ON_LOST)
            activation_leave(a);
        break;

    case ACTIVATION_RUNNING:
    case ACTIVATION_STANDING:
    case ACTIVATION_AT_REST:
        if (h.on == ON_READY) {
            run(a, h.status); /* LEAVING with its last commit; PAUSING; AT_REST */
        } else if (h.on == ON_ERROR) {
            refuse(a, h.error); /* PAUSING; FAILING; absent */
        } else if (h.on == ON_DUE) {
            if (a->kind->tick(a) == NEXT_REST && !guest_has_news(a->guest))
                activation_settle(a);
        } else if (h.on == ON_STORED) {
            guest_committed(a->guest);
            activation_go_on(a, false);
            a->kind->went_on(a);
            activation_settle(a);
        } else if (h.on == ON_WOKEN) {
            a->kind->woken(a, h.about);
        } else {
            activation_leave(a);
        }
        break;

    case ACTIVATION_LEAVING:
    case ACTIVATION_FAILING:
        if (h.on == ON_STORED)
            left(a); /* absent, or as refused */
        else if (h.on == ON_ERROR)
            refuse(a, h.error);
        else if (h.on == ON_WOKEN)
            a->news = NEWS_UNSEEN; /* the director wakes it again when it is absent */
        break;                     /* cancelled, lost: when the last commit is answered */

    case ACTIVATION_PAUSING:
        if (h.on == ON_DUE && activation_is_settled(a))
            begin_again(a);
        else if (h.on ==
                 ON_DUE) /* it is read from the store: not before its commits are answered */
            due_in(a->env, &a->due, ACTIVATION_PAUSE_MS, due_fired);
        else if (h.on == ON_ERROR)
            refuse(a, h.error);
        else if (h.on == ON_WOKEN)
            a->news = NEWS_UNSEEN;
        else if (h.on == ON_CANCEL || h.on == ON_LOST)
            activation_leave(a);
        break;
    }
}

/* ---- what happens ---- */

static void prepared(struct prepare *p, const struct error *error)
{
    activation_step(
        container_of(p, struct activation, prepare),
        (struct happening){.on = error->code == OK ? ON_READY : ON_ERROR, .error = error});
}

/* An isolate cannot be made just now. */
static void task_refused(struct task *t, const struct error *error)
{
    activation_step(container_of(t, struct activation, task),
                    (struct happening){.on = ON_ERROR, .error = error});
}

static bool task_start(struct task *t, struct guest *g)
{
    struct activation *a = container_of(t, struct activation, task);
    CHECK(a->state == ACTIVATION_QUEUED && !a->guest);
    a->guest = g;
    g->run = a;
    a->state = ACTIVATION_READING;
    a->kind->enter(a);
    a->news = NEWS_NONE; /* all that has happened is read from here on */
    return read_on(a);
}

void activation_read_on(struct activation *a)
{
    activation_step(a, (struct happening){.on = ON_READY});
}

void activation_stepped(struct guest *g, enum guest_status status)
{
    struct activation *a = g->run;
    CHECK(a->guest == g);
    activation_step(a, (struct happening){.on = ON_READY, .status = status});
}

bool activation_may_go_on(struct guest *g)
{
    struct activation *a = g->run;
    unrest(a); /* it is in the middle of something */
    a->state = ACTIVATION_RUNNING;
    if (a->kind->may_go_on(a))
        return true;
    a->state = ACTIVATION_STANDING;
    return false;
}

bool activation_is_standing(const struct guest *g)
{
    const struct activation *a = g->run;
    return a->state == ACTIVATION_STANDING;
}

uint32_t activation_witness(const struct guest *g)
{
    const struct activation *a = g->run;
    return a->witness;
}

void activation_wake(struct activation *a, const char *about)
{
    activation_step(a, (struct happening){.on = ON_WOKEN, .about = about});
}

void activation_lost(struct activation *a)
{
    activation_step(a, (struct happening){.on = ON_LOST});
}

bool activation_evict(struct flow *f, const char *space, struct slice key)
{
    struct activation *a = activation_find(f, space, key);
    if (a && !a->kind->is_once)
        activation_step(a, (struct happening){.on = ON_CANCEL});
    return !activation_find(f, space, key);
}

void activation_stored(struct activation *a)
{
    a->due.failures = 0;
    activation_step(a, (struct happening){.on = ON_STORED});
}

void activation_refused(struct activation *a, const struct error *error)
{
    activation_step(a, (struct happening){.on = ON_ERROR, .error = error});
}

/* ---- all of a thread ---- */

void activation_init(struct activation *a, struct flow *f, const struct activation_kind *kind,
                     struct deployment *d, const char *key, bool is_writer)
{
    a->kind = kind;
    a->flow = f;
    a->env = f->env;
    a->deployment = d;
    a->slot = f->env->place->hold(f->env->ctx, d);
    a->state = ACTIVATION_PREPARING;
    snprintf(a->key, sizeof(a->key), "%s", key);
    list_init(&a->outbox);
    a->prepare = (struct prepare){.slot = a->slot, .execution_id = key_of(a), .done = prepared};
    a->task = (struct task){
        .slot = a->slot, .start = task_start, .refuse = task_refused, .is_patient = true};
    list_push_back(&f->all, &a->member);
    struct place_key k;
    if (is_writer)
        CHECK(!map_put(&f->map, place_key(kind->space, key_of(a), &k), a));
}

void activation_begin(struct activation *a)
{
    begin_again(a);
}

struct flow *flow_new(struct flow_env *env)
{
    struct flow *f = calloc(1, sizeof(*f));
    CHECK(f);
    f->env = env;
    list_init(&f->resting);
    list_init(&f->all);
    return f;
}

void flow_reclaim(struct flow *f)
{
    struct list *n = list_pop_front(&f->resting);
    if (!n)
        return;
    struct activation *a = container_of(n, struct activation, resting);
    a->linger_until_ns = 0;
    activation_settle(a);
}

void flow_drain(struct flow *f, void (*done)(void *arg), void *arg)
{
    f->is_draining = true;
    f->drained = done;
    f->drained_arg = arg;
    /* Each ends and frees only itself: what it tells others goes by messages. */
    LIST_FOREACH (n, &f->all)
        activation_step(container_of(n, struct activation, member),
                        (struct happening){.on = ON_CANCEL});
    check_drained(f);
}

void flow_free(struct flow *f)
{
    map_done(&f->map);
    free(f);
}
